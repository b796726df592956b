//! Temporary AWS credentials from an [Amazon Cognito identity pool], for programs without an async
//! runtime.
//!
//! A program calls [`get`](CognitoIdentityCredentials::get) before each request to AWS. `get`
//! returns cached credentials, or refreshes them first if they expire soon. The crate is made for
//! small synchronous programs, for Linux devices with little memory, and for unit tests without a
//! network. It is the counterpart of `AWS.CognitoIdentityCredentials` in the AWS SDK for JavaScript
//! v2.
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
//! // Before each request to AWS:
//! let keys = credentials.get()?;
//! println!("{} expires at {:?}", keys.access_key_id(), keys.expiration());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "ureq"))]
//! # fn main() {}
//! ```
//!
//! # Where to look
//!
//! | You want to … | See |
//! |---|---|
//! | get credentials | [`CognitoIdentityCredentials`] |
//! | change a setting, or see its default | [`Builder`] |
//! | know what went wrong and what to do | [`Error`], [`ErrorKind`] |
//! | use a signed-in user instead of a guest | [`Logins`], [`TokenSource`], [`FileToken`] |
//! | sign in with a Cognito user pool | `UserPoolTokens` (feature `user-pool`) |
//! | sign in with your own backend | [`DeveloperIdentityProvider`] |
//! | keep the identity across restarts | [`Storage`], [`FileStorage`] |
//! | see failures without a logger, count refreshes | [`Builder::on_refresh`], [`Status`] |
//! | give credentials to other programs | [`CredentialVariables`], [`CredentialProcessDocument`] |
//! | use another HTTP stack, a proxy or your own certificates | [`transport`] |
//! | write unit tests | `testing` (feature `testing`), [`Clock`] |
//!
//! # Contract
//!
//! **Blocking.** Only `get`, `get_within`, `refresh` and a `UserPoolTokens` use the network. They
//! work on the calling thread and return within `timeout` (default: 60 s). One exception: a refresh
//! in which a user pool rotates the refresh token is never abandoned midway; it takes up to 20 s.
//! All other methods return at once. With a [`Storage`], `identity_id`, `status` and
//! `clear_cached_id` may wait for the disk.
//!
//! **Threads.** All types are `Send + Sync`, and clones of a provider share one cache. If several
//! threads need a refresh, one of them runs it, and all get its result. The library holds no lock
//! while it waits for the network or calls the program's own code. It starts no background threads,
//! with two exceptions: name look-ups of `transport::UreqTransport`, and refreshes for the AWS SDK
//! (feature `aws-sdk`).
//!
//! **Freshness.** Credentials that `get` returns are valid for at least `expiry_window` (default:
//! 15 s), measured on the boot clock, with an error of about one second. While the cached
//! credentials are valid for longer than that, `get` does not fail.
//!
//! **Clocks.** The device's wall clock may be wrong. The library takes the time from the service's
//! answers, and measures lifetimes on the boot clock, which never jumps. Only TLS needs a roughly
//! right wall clock, to check certificates. If the wall clock is earlier than the release date of
//! this crate, `transport::UreqTransport` uses that date instead.
//!
//! **Fork.** A child process has the settings and the cached credentials of its parent. It starts
//! its own refreshes and does not wait for a refresh of the parent. It uses no connection, no
//! random number and no temporary file name of the parent, and it does not release a
//! [`StorageLock`] of the parent. There are four limits:
//!
//! * If a user pool rotates refresh tokens, parent and child must share a [`Storage`].
//! * If another thread holds a mutex of this crate at the moment of the fork, the child may wait for
//!   ever. The library holds a mutex only for a short time, and never during a network call.
//! * The library recognizes a child by its process ID. A child in another PID namespace must not
//!   have the ID of its parent, as when process 1 of a container gets a child with ID 1.
//! * Your own transport, storage or clock must itself allow a fork.
//!
//! **Memory.** The library wipes its copies of tokens and keys when they are dropped, and never
//! prints them. It cannot wipe the buffers of the HTTP and TLS libraries. The XML parser keeps a
//! copy of any text with `&amp;` or the like, but keys and tokens contain none. A `get` that
//! returns cached credentials allocates no memory.
//!
//! **Environment.** The library reads no environment variable, and reads and writes no file, unless
//! the program tells it to.
//!
//! **Logging.** The library logs with the [`log`] crate: failed refreshes (warn), changes of the
//! identity (info), failed attempts (debug), and calls with their URL (trace). It never logs
//! tokens, keys, identity IDs or bodies. A program without a logger sees failed refreshes and
//! failures of the storage in [`Builder::on_refresh`] and [`Status`].
//!
//! # What it does not do
//!
//! * It does not sign requests and does not list identities.
//! * It does not sign users in. The program provides login tokens, or the refresh token of a user
//!   pool.
//! * It does not store credentials, unless [`persist_credentials`](Builder::persist_credentials) is
//!   set. Stored credentials are never used after a restart of the system.
//! * It has no async API. For an async program, the AWS SDK for Rust fits better; this provider
//!   also works inside that SDK (feature `aws-sdk`).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `ureq` | yes | `transport::UreqTransport`: HTTPS with ureq 3, rustls, ring and Mozilla's roots. Without it the crate has no HTTP and no TLS. |
//! | `aws-sdk` | no | For the AWS SDK for Rust: `ProvideCredentials` for [`CognitoIdentityCredentials`], and a conversion of [`Credentials`] into the SDK's type. |
//! | `cli` | no | The command `cognito-credentials`, for shells and as a `credential_process`. It turns on `ureq` and `user-pool`. |
//! | `testing` | no | `testing::FakeCognito`, `FakeServer`, `FaultyStorage` and `ManualClock`, for tests. |
//! | `user-pool` | no | `UserPoolTokens`: login tokens of a Cognito user pool, refreshed with a refresh token. |
//!
//! A feature never changes the behavior of another one.
//!
//! [Amazon Cognito identity pool]: https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-identity.html

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
mod token_file;
mod token_text;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(all(
    doc,
    any(not(doctest), all(feature = "ureq", feature = "testing", feature = "user-pool"))
))]
pub mod guide;

#[cfg(any(feature = "_bench", fuzzing))]
#[doc(hidden)]
pub mod internals;

pub use clock::{Clock, SystemClock};
pub use credentials::{Credentials, ResponseData};
pub use developer::{DeveloperIdentity, DeveloperIdentityProvider};
pub use error::{BoxError, ConfigFault, Error, ErrorKind};
pub use export::{CredentialProcessDocument, CredentialVariables, CredentialVariablesIter};
pub use logins::{Logins, TokenSource};
pub use provider::{Builder, CognitoIdentityCredentials, RefreshReport, Status};
pub use refresh::{IdentityChange, IdentityChangeReason, IdentityOrigin};
pub use storage::{FileStorage, MemoryStorage, Storage, StorageLock};
pub use token_file::FileToken;
#[cfg(feature = "user-pool")]
pub use user_pool_tokens::{UserPoolTokens, UserPoolTokensBuilder};

/// The examples of the README are compiled and run as tests.
#[cfg(all(doctest, feature = "ureq", feature = "testing", feature = "user-pool"))]
#[doc = include_str!("../README.md")]
struct Readme;
