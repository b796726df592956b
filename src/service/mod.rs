//! One call to one service: encode, send, retry, decode.
//!
//! * `client`: the call itself
//! * `budget`: how much time and how many attempts one refresh may spend
//! * `retry`: delays, cooldowns and pauses as pure functions
//! * `call_settings`: the settings that the provider and `UserPoolTokens` share, and their checks
//! * `endpoint`: region ► partition ► URL, and the https rule
//! * `cognito_identity`, `sts`, `cognito_idp`: the operations of each service
//! * `protocol/`: the wire formats

pub(crate) mod budget;
pub(crate) mod call_settings;
pub(crate) mod client;
pub(crate) mod cognito_identity;
#[cfg(feature = "user-pool")]
pub(crate) mod cognito_idp;
pub(crate) mod endpoint;
pub(crate) mod protocol;
pub(crate) mod retry;
pub(crate) mod sts;
