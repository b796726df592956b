//! A refresh token, and how to tell which sign-in it belongs to.

use crate::error::Error;
use crate::secret::Secret;
use crate::service::cognito_idp;

/// A refresh token, and a digest of the token that the program gave and that rotation replaced by
/// this one. The digest tells this sign-in from others.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) token: Secret,
    pub(super) sign_in_digest: Secret,
}

impl RefreshToken {
    /// The digest is keyed by the token, so it says nothing about the token and cannot be looked up
    /// elsewhere.
    pub(super) fn given(token: Secret, key: &str) -> Result<Self, Error> {
        let sign_in_digest = cognito_idp::hmac(token.expose(), &[key])?;
        Ok(Self { token, sign_in_digest })
    }
}
