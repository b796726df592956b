//! Temporary AWS credentials from an [Amazon Cognito identity pool], for programs without an async
//! runtime: small synchronous programs, constrained Linux devices, and unit tests that swap the
//! HTTP away. It is the counterpart of `AWS.CognitoIdentityCredentials` in the AWS SDK for
//! JavaScript v2.
//!
//! ```no_run
//! # #[cfg(feature = "ureq")]
//! # fn main() -> Result<(), cognito_identity_credentials::Error> {
//! use cognito_identity_credentials::CognitoIdentityCredentials;
//!
//! let credentials = CognitoIdentityCredentials::builder()
//!     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
//!     .build()?;
//!
//! // Before each upload, connect or request:
//! let keys = credentials.get()?;
//! println!("{} is good until {:?}", keys.access_key_id(), keys.expiration());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "ureq"))]
//! # fn main() {}
//! ```
//!
//! # Where to look
//!
//! * [`CognitoIdentityCredentials`] is what a program calls: [`get`](CognitoIdentityCredentials::get)
//!   above all.
//! * [`Builder`] has every setting, with its default.
//! * [`Error`] and [`ErrorKind`] say what went wrong, by what there is to do about it.
//! * [`Logins`] and [`TokenSource`] make the program a user instead of a guest,
//!   [`DeveloperIdentityProvider`] a user of the maker's own backend. `UserPoolTokens` (feature
//!   `user-pool`) is a token source that renews the login of a Cognito user pool.
//! * [`CredentialVariables`] and [`CredentialProcessDocument`] hand credentials to other programs.
//! * [`Storage`] keeps the identity over a restart, and the credentials if told to; [`FileStorage`] is
//!   the one for most.
//! * [`transport`] is the seam to HTTP, [`Clock`] the one to time.
//! * `testing` (feature `testing`) has fakes of both, for unit tests of programs that use this
//!   crate.
//!
//! # Contract
//!
//! * **Blocking.** Only `get`, `get_within` and `refresh` (and a `UserPoolTokens`) touch the network, on
//!   the calling thread, and they come back within the `timeout` (60 s by default; a user pool's
//!   rotation of refresh tokens is seen through, within 20 s). Everything else answers at once, but
//!   for the disk: with a [`Storage`], `identity_id`, `status` and `clear_cached_id` may ask it.
//! * **Threads.** Everything is `Send + Sync`; clones share one cell. Any number of threads cause
//!   one refresh and share its outcome. There are no threads in the background (but see
//!   `transport::UreqTransport` on name look-ups and proxies; and with the feature `aws-sdk`, a
//!   refresh that the SDK asks for has a thread of its own). No lock is held while the network or
//!   the program's own code runs.
//! * **Freshness.** What `get` returns has at least `expiry_window` (15 s) of life left, to about a
//!   second, by a clock that neither jumps nor stops in suspend. While that is so, `get` cannot
//!   fail.
//! * **Clocks.** The wall clock of the device may be wrong. Life is measured on the service's clock
//!   and counted on the boot clock. (TLS itself needs a clock that is roughly right, to check
//!   certificates; the feature `device` gives it one to begin with.)
//! * **Memory.** This crate's own copies of tokens and keys are shared, cannot be printed, and are
//!   wiped when they are dropped; buffers of the HTTP and TLS libraries are not, nor what the XML
//!   parser copies of a text with a reference (`&amp;`) in it, which keys and tokens have not.
//!   A cached `get` allocates nothing.
//! * **Environment.** The library reads no environment variable and no file, and writes none,
//!   unless the program says so.
//! * **Logging.** Through the [`log`] crate: renewals that failed (warn), changes of the identity
//!   (info), failed attempts (debug), calls with their URL (trace); no tokens, keys, IDs or bodies.
//!
//! # What it does not do
//!
//! It signs no requests, lists no identities, and signs nobody in: login tokens, or the refresh
//! token of a user pool, come from the program. Over a restart of the program it keeps the identity,
//! a refresh token where the user pool rotates it, and the credentials only if
//! [told to](Builder::persist_credentials); no credentials outlive a restart of the system. It has no
//! async API of its own; an async program is better served by AWS's SDK, which this provider serves in
//! turn (feature `aws-sdk`).
//!
//! # Features
//!
//! | feature | default | what it gives |
//! |---|---|---|
//! | `ureq` | yes | `transport::UreqTransport`: HTTPS by ureq 3 and rustls with ring and Mozilla's roots. Without it the crate contains no HTTP and no TLS. |
//! | `device` | no | what a device in the field needs of `UreqTransport`: certificates are checked at no time before the release's (or another that the program gives), TLS sessions are resumed, names are looked up for new connections alone, and an address that does not answer does not hold up the next. |
//! | `aws-sdk` | no | the AWS SDK for Rust, under any executor: `ProvideCredentials` for [`CognitoIdentityCredentials`], and [`Credentials`] converted into the SDK's. |
//! | `cli` | no | the command `cognito-credentials`, for shells and as a `credential_process`. It turns on `ureq` and `user-pool`. |
//! | `testing` | no | `testing::FakeCognito` and `testing::ManualClock`. |
//! | `user-pool` | no | `UserPoolTokens`: login tokens of a Cognito user pool that renew themselves by a refresh token. |
//!
//! No feature changes what another one does, but that `device` makes the connections of `ureq`.
//!
//! # Architecture
//!
//! A file names only files below it; `tests/it/layers.rs` holds the order and fails on an upward
//! edge. Code of the program's enters through the traits and nowhere else.
//!
//! ```text
//! get() ──► cell: fresh? ─yes─► clone
//!             │ no: one caller leads, the rest wait for the same outcome
//!             ▼
//!           reuse: stored by another process, and good? ─yes─► cell   (with persist_credentials)
//!             │ no
//!             ▼
//!           flow: login tokens ► identity ID (developer / given / remembered / stored / GetId)
//!             │
//!             ├─ enhanced: GetCredentialsForIdentity
//!             ├─ classic:  GetOpenIdToken ► STS AssumeRoleWithWebIdentity
//!             │                                  (then one recovery, if that may help)
//!             ▼
//!           client: encode ► Transport::send ► retry? ► decode
//!             │
//!             ▼
//!           Credentials + lease (when do they end, on two clocks) ► cell ► every waiter
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `aws_sdk` | what the AWS SDK for Rust asks for (feature `aws-sdk`) |
//! | `builder` | every setting with its default; parsed once into values that cannot be wrong |
//! | `environment` | settings from environment variables |
//! | `user_pool_tokens/` | login tokens of a user pool: settings, cell, and what is stored of a rotation |
//! | `provider` | what users call; ties the cell to the flow |
//! | `reuse` | credentials that another process has stored, in place of a refresh |
//! | `cell` | one value, one load in flight, the windows; knows nothing of AWS |
//! | `flow` | one refresh, and what to do about an identity that the service refuses |
//! | `identity` | where an identity came from, how it is kept, how it changes |
//! | `errand` | a refresh on a thread of its own, for futures to wait for (feature `aws-sdk`) |
//! | `persisted` | the record of credentials that are kept, and its place in a storage |
//! | `sync` | the cell's lock, condition variable and thread identity |
//! | `lease` | how long a value is good for, and when it is renewed |
//! | `client` | one service call; the only caller of `Transport::send` and `Clock::sleep` |
//! | `cognito` `sts` `user_pool` | one service each: typed input, wire form, typed output |
//! | `protocol/` | wire formats, and where an error code hides in them |
//! | `endpoint` | region → partition → URL; the https rule |
//! | `retry` | delays, cooldowns and pauses as pure functions |
//! | `error` `credentials` `logins` `developer` `clock` `storage/` `transport/mod` | values, and the traits at the seams |
//! | `export` | credentials as environment variables, and as the answer of a `credential_process` |
//! | `secret` `redact` | text that is not printed, and text that is made fit for it |
//! | `transport/ureq` `transport/proxy` | settings and one exchange; which requests go through a proxy |
//! | `transport/certificates` `transport/failure` | whom TLS trusts and what it shows; what went wrong, in words to act on |
//! | `transport/stock` | connections as ureq makes them |
//! | `transport/connect` `transport/look_up` `transport/tls` | connections with the feature `device` |
//! | `transport/quiet` | what keeps ureq's logs quiet |
//! | `testing/` | the fakes, and what the benches of this crate measure one by one |
//! | `bin/cognito-credentials/` | the command (feature `cli`), on the public API alone |
//!
//! [Amazon Cognito identity pool]: https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-identity.html

#![forbid(unsafe_code)]

#[cfg(feature = "aws-sdk")]
mod aws_sdk;
mod builder;
mod environment;
mod provider;
#[cfg(feature = "user-pool")]
mod user_pool_tokens;

mod cell;
#[cfg(feature = "aws-sdk")]
mod errand;
mod flow;
mod identity;
mod lease;
mod persisted;
mod reuse;
mod sync;

mod client;

mod cognito;
mod endpoint;
mod protocol;
mod retry;
mod sts;
#[cfg(feature = "user-pool")]
mod user_pool;

mod clock;
mod credentials;
mod developer;
mod error;
mod export;
mod logins;
mod loopback;
mod redact;
mod secret;
mod storage;
pub mod transport;

#[cfg(feature = "testing")]
pub mod testing;

pub use builder::Builder;
pub use clock::{Clock, SystemClock};
pub use credentials::{Credentials, ResponseData};
pub use developer::{DeveloperIdentity, DeveloperIdentityProvider};
pub use error::{BoxError, Error, ErrorKind};
pub use export::{CredentialProcessDocument, CredentialVariables, CredentialVariablesIter};
pub use identity::{IdentityChange, IdentityChangeReason, IdentityOrigin};
pub use logins::{FileToken, Logins, TokenSource};
pub use provider::{CognitoIdentityCredentials, Status};
pub use storage::{FileStorage, MemoryStorage, Storage, StorageLock};
#[cfg(feature = "user-pool")]
pub use user_pool_tokens::{UserPoolTokens, UserPoolTokensBuilder};

/// What the fuzzers call and programs cannot.
#[cfg(all(fuzzing, feature = "ureq"))]
#[doc(hidden)]
pub mod fuzzing {
    /// Whether a list as in `NO_PROXY` covers a host and port.
    #[must_use]
    pub fn covers(list: &str, host: &str, port: u16) -> bool {
        crate::transport::covers(list, host, port)
    }
}

/// The examples of the README are compiled and run as tests.
#[cfg(all(doctest, feature = "ureq", feature = "testing", feature = "user-pool"))]
#[doc = include_str!("../README.md")]
struct Readme;
