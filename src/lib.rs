//! placeholder
#![forbid(unsafe_code)]

mod builder;
mod cell;
mod client;
mod clock;
mod cognito;
mod credentials;
mod endpoint;
mod error;
mod flow;
mod lease;
mod logins;
mod protocol;
mod provider;
mod redact;
mod retry;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use builder::Builder;
pub use clock::{Clock, SystemClock};
pub use credentials::Credentials;
pub use error::{BoxError, Error, ErrorKind};
pub use flow::IdentityOrigin;
pub use logins::{Logins, TokenSource};
pub use provider::{CognitoIdentityCredentials, ResponseData, Status};
