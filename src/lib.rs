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
//!   `transport::UreqTransport` on name look-ups; and with the feature `aws-sdk`, a
//!   refresh that the SDK asks for has a thread of its own). No lock is held while the network or
//!   the program's own code runs.
//! * **Fork.** A child process has the settings and the cached set of its parent. It begins its own
//!   refreshes, and does not wait for one that a thread of its parent leads. It uses no connection, no
//!   random number and no name of a temporary file of its parent, and does not give back a
//!   [`StorageLock`] of its parent. Where a user pool rotates refresh tokens, parent and child need a
//!   [`Storage`] that they share. A fork in the short time in which another thread holds a mutex of this
//!   crate is outside this contract: the child may wait for ever. A transport, storage or clock of the
//!   program's own must allow a fork itself.
//! * **Freshness.** What `get` returns has at least `expiry_window` (15 s) of life left, to about a
//!   second, by a clock that neither jumps nor stops in suspend. While that is so, `get` cannot
//!   fail.
//! * **Clocks.** The wall clock of the device may be wrong. Life is measured on the service's clock
//!   and counted on the boot clock. (TLS needs a clock that is roughly right, to check certificates;
//!   `transport::UreqTransport` never takes it to be earlier than the release of this crate.)
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
//! | `aws-sdk` | no | the AWS SDK for Rust, under any executor: `ProvideCredentials` for [`CognitoIdentityCredentials`], and [`Credentials`] converted into the SDK's. |
//! | `cli` | no | the command `cognito-credentials`, for shells and as a `credential_process`. It turns on `ureq` and `user-pool`. |
//! | `testing` | no | `testing::FakeCognito` and `testing::ManualClock`. |
//! | `user-pool` | no | `UserPoolTokens`: login tokens of a Cognito user pool that renew themselves by a refresh token. |
//!
//! No feature changes what another one does.
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
//! | folder or file | holds |
//! |---|---|
//! | `provider/` | what users call: [`CognitoIdentityCredentials`], its settings and status |
//! | `user_pool_tokens/` | login tokens of a user pool that renew themselves |
//! | `refresh/` | one refresh: login tokens, identity, credentials, and the recovery from a refusal |
//! | `cell/` | one value kept fresh by one refresh at a time; knows nothing of AWS |
//! | `service/` | one call to one service; the only caller of `Transport::send` and `Clock::sleep` |
//! | `transport/` | the seam to HTTP, and `UreqTransport` |
//! | `storage/` | the seam to what outlives a process, and `FileStorage` |
//! | `error/` `credentials` `logins` `developer` `export` `clock` | values, and the other seams |
//! | `secret` `redact` `random` `loopback` | text that is not printed, text made fit for printing, random numbers, hosts that are this machine |
//! | `testing/` | the fakes |
//! | `bin/cognito-credentials/` | the command (feature `cli`), on the public API alone |
//!
//! [Amazon Cognito identity pool]: https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-identity.html

#![forbid(unsafe_code)]

mod provider;
#[cfg(feature = "user-pool")]
mod user_pool_tokens;

mod cell;
mod refresh;
mod service;

mod storage;
pub mod transport;

mod clock;
mod credentials;
mod developer;
mod error;
mod export;
mod logins;
mod loopback;
mod random;
mod redact;
mod secret;

#[cfg(feature = "testing")]
pub mod testing;

pub use clock::{Clock, SystemClock};
pub use credentials::{Credentials, ResponseData};
pub use developer::{DeveloperIdentity, DeveloperIdentityProvider};
pub use error::{BoxError, ConfigFault, Error, ErrorKind};
pub use export::{CredentialProcessDocument, CredentialVariables, CredentialVariablesIter};
pub use logins::{FileToken, Logins, TokenSource};
pub use provider::{Builder, CognitoIdentityCredentials, Status};
pub use refresh::{IdentityChange, IdentityChangeReason, IdentityOrigin};
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

    /// How many certificate authorities a PEM text holds.
    ///
    /// # Errors
    ///
    /// The text of the error, without the name of the setting.
    pub fn authorities(pem: &[u8]) -> Result<usize, String> {
        crate::transport::authorities(pem).map(|authorities| authorities.len())
    }

    /// Reads a PEM text as a client certificate.
    ///
    /// # Errors
    ///
    /// The text of the error, without the name of the setting.
    pub fn client_certificate(pem: &str) -> Result<(), String> {
        crate::transport::ClientCertificate::from_pem(&crate::secret::Secret::new(pem)).map(|_| ())
    }
}

/// The examples of the README are compiled and run as tests.
#[cfg(all(doctest, feature = "ureq", feature = "testing", feature = "user-pool"))]
#[doc = include_str!("../README.md")]
struct Readme;
