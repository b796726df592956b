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
//! | You want to … | Items | Guide |
//! |---|---|---|
//! | get credentials | [`CognitoIdentityCredentials`] | [`guide::simple_program`] |
//! | change a setting, or see its default | [`Builder`] | |
//! | know what went wrong and what to do | [`Error`], [`ErrorKind`] | [`guide::troubleshooting`] |
//! | know what happens if something fails | | [`guide::guarantees`] |
//! | use a signed-in user instead of a guest | [`Logins`], [`TokenSource`], [`FileToken`] | [`guide::signed_in_users`] |
//! | sign in with a Cognito user pool | `UserPoolTokens` (feature `user-pool`) | [`guide::signed_in_users`] |
//! | sign in with your own backend | [`DeveloperIdentityProvider`] | [`guide::signed_in_users`] |
//! | keep the identity across restarts | [`Storage`], [`FileStorage`] | [`guide::simple_program`] |
//! | see failures without a logger, count refreshes | [`Builder::on_refresh`], [`Status`] | [`guide::simple_program`] |
//! | sign requests to S3 and other services | [`Credentials`] | [`guide::aws_services`] |
//! | give credentials to other programs | [`CredentialVariables`], [`CredentialProcessDocument`] | [`guide::command`], [`guide::serve`] |
//! | build for a device | [`SystemClock`] | [`guide::device`] |
//! | use another HTTP stack, a proxy or your own certificates | [`transport`] | [`guide::device`] |
//! | run thousands of devices | [`Builder::failure_cooldown`] | [`guide::fleet`] |
//! | write unit tests | `testing` (feature `testing`), [`Clock`] | [`guide::unit_tests`] |
//! | port a program from JavaScript | | [`guide::from_javascript`] |
//! | compare speed, memory and size | | [`guide::performance`] |
//!
//! The search of this documentation also finds items by their JavaScript names, such as
//! `clearCachedId`.
//!
//! # Contract
//!
//! **Blocking.** Only `get`, `get_within`, `refresh` and a `UserPoolTokens` use the network. They
//! work on the calling thread. With a [`Storage`], `identity_id`, `status` and `clear_cached_id`
//! may wait for the disk, and so may `set_refresh_token` and `forget_refresh_token` of a
//! `UserPoolTokens`. [`from_env`](Builder::from_env) and `transport::UreqTransportBuilder::build`
//! may read files of certificates. All other methods of providers, builders and `UserPoolTokens`
//! return at once, except for the time of your own `on_identity_change`.
//!
//! | limit | default |
//! |---|---|
//! | [`timeout`](Builder::timeout): one `get` or `refresh` | 60 s |
//! | [`attempt_timeout`](Builder::attempt_timeout): one attempt at a service call | 10 s |
//! | [`max_attempts`](Builder::max_attempts): attempts at a service call | 4 |
//! | `UserPoolTokensBuilder::timeout`: one `id_token` | 20 s |
//!
//! The caller that runs the refresh can exceed the limit in two cases: your own transport, token
//! source or storage returns late, or a user pool rotates the refresh token (see
//! [`get`](CognitoIdentityCredentials::get)). All other callers return within `timeout`.
//!
//! **Threads.** All types are `Send`, and all but [`StorageLock`] are `Sync`. Clones of a provider
//! share one cache. If several threads need a refresh, one of them runs it, and all get its result.
//! The library holds no lock while it waits for the network or calls the program's own code. If
//! that code calls `get` of the same provider, it gets an error of kind
//! [`Reentrant`](ErrorKind::Reentrant) and no deadlock. Background threads run only for name
//! look-ups of `transport::UreqTransport` (at most two for each host name), for the AWS SDK
//! (feature `aws-sdk`), and in `testing::FakeServer`.
//!
//! **Freshness.** Credentials that `get` returns are valid for at least
//! [`expiry_window`](Builder::expiry_window) (default: 15 s), measured on the boot clock, with an
//! error of about one second. If the service issues a shorter lifetime, the callers of that refresh
//! still get the credentials. While the cached credentials are valid for longer than
//! `expiry_window`, `get` does not fail. Inside the [`advisory_window`](Builder::advisory_window)
//! (the last 15 minutes of one hour), one caller tries to refresh them early, and the other callers
//! get them at once.
//!
//! **Failures.** After the service has answered with an error, `get` without usable credentials
//! sends no request for 1 to 5 s, or longer while the service throttles. `refresh` ends this
//! [cooldown](Builder::failure_cooldown).
//!
//! **Identity.** A provider remembers the identity ID that the service returned. With a [`Storage`]
//! it also keeps the ID across restarts. No network failure makes it drop the ID.
//!
//! * If the service rejects the identity itself, the refresh requests another one, once. For a
//!   guest, [`allow_new_guest`](Builder::allow_new_guest) must be `true`, which is the default.
//! * If the service rejects a login token, the refresh calls the token sources again, once.
//! * After any other error, the provider keeps the identity.
//! * The library never replaces an identity ID that the program has set.
//! * If the program changes a login or the identity ID during a refresh, the callers that wait for
//!   this refresh get its result. The result is not cached.
//!
//! **Clocks.** The device's wall clock may be wrong. The library takes the time from the service's
//! answers, and measures lifetimes on the boot clock, which never jumps. Only TLS needs a roughly
//! right wall clock, to check certificates. If the wall clock is earlier than the release date of
//! this crate, `transport::UreqTransport` uses that date instead.
//!
//! **Trust.** The library sends requests over `https` only, and over plain `http` only to loopback,
//! unless the program calls [`danger_allow_http`](Builder::danger_allow_http). It rejects answers
//! with a body of more than 256 KiB. `transport::UreqTransport` always checks certificates, follows
//! no redirects, and rejects answers with 16 KiB of headers or more. Before the program sees a text
//! of the service, the library removes control characters and masks login tokens and identity IDs.
//!
//! **Fork.** A child process has the settings and the cached credentials of its parent. It starts
//! its own refreshes and does not wait for a refresh of the parent. It uses no connection, no
//! random number and no temporary file name of the parent, and it does not release a
//! [`StorageLock`] of the parent. There are four limits:
//!
//! * If a user pool rotates refresh tokens, parent and child must share a [`Storage`].
//! * If another thread holds a mutex of this crate at the moment of the fork, the child may wait
//!   forever. The library holds a mutex only for a short time, and never during a network call.
//! * The library recognizes a child by its process ID. A child in another PID namespace must not
//!   have the same ID as its parent. Process 1 of a container can have such a child.
//! * Your own transport, storage or clock must itself allow a fork.
//!
//! **Memory.** Clones share one copy of the secrets. The library wipes its copies of tokens and
//! keys when they are dropped, and never prints them. It cannot wipe the buffers of the HTTP and
//! TLS libraries. The XML parser copies a text with an entity such as `&amp;`, but keys and tokens
//! contain none. A `get` that returns cached credentials allocates no memory.
//!
//! **Environment.** The library reads no environment variable, and reads and writes no file, unless
//! the program tells it to.
//!
//! **Logging.** The library logs with the [`log`] crate: failed early refreshes and failures of the
//! storage (warn), changes of the identity (info), failed attempts (debug), and calls with their
//! URL (trace). An error that `get` returns appears only at debug, but a failure of the storage
//! also at warn. No level shows tokens, keys, identity IDs or bodies. While
//! `transport::UreqTransport` exchanges data, it keeps ureq from logging answers (trace). To see
//! the log, install any logger of that crate before the first call, for example `env_logger`.
//! Without a logger, [`Builder::on_refresh`] and [`Status`] show failed refreshes and failures of
//! the storage.
//!
//! **Versions.** The crate needs Rust 1.85 or later. Only a minor release may raise this version.
//! The feature `ureq` needs ureq 3.5, because it uses traits that ureq may change in a minor
//! version. A program with another minor version of ureq turns off the default features and sets
//! its own [`transport`].
//!
//! **Systems.** The crate is made for Linux and Android, which have the boot clock. Other systems
//! work too. Because their clock may stop while the system is suspended, credentials also expire by
//! the wall clock there.
//!
//! # What it does not do
//!
//! * It does not sign requests and does not list identities.
//! * It does not sign users in. The program provides login tokens, or the refresh token of a user
//!   pool.
//! * It knows identity pools only. For long-lived keys, profiles, SSO or instance roles, use
//!   `aws-config`. A device with a certificate of AWS IoT can use the credentials provider of AWS
//!   IoT, without an identity pool.
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
//! | `cli` | no | The command `cognito-credentials`: for shells, as a `credential_process`, and as an endpoint for other programs. It turns on `ureq` and `user-pool`. |
//! | `testing` | no | `testing::FakeCognito`, `FakeServer`, `FaultyStorage` and `ManualClock`, for tests. |
//! | `user-pool` | no | `UserPoolTokens`: login tokens of a Cognito user pool, refreshed with a refresh token. |
//!
//! A feature never changes the behaviour of another one.
//!
//! [`log`]: https://docs.rs/log
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
mod os_error;
mod random;
mod redact;
mod secret;
#[cfg(unix)]
mod time_limit;
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

/// Compiles and runs the examples of the README as tests.
#[cfg(all(doctest, feature = "ureq", feature = "testing", feature = "user-pool"))]
#[doc = include_str!("../README.md")]
struct Readme;
