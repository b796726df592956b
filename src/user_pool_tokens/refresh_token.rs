//! A refresh token, and the sign-in that it belongs to.

use crate::error::Error;
use crate::secret::Secret;
use crate::service::cognito_idp;

/// A refresh token, and a digest of the token that the program set at the sign-in. After a
/// rotation, the digest stays the same, so it identifies the sign-in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) token: Secret,
    pub(super) sign_in_digest: Secret,
}

impl RefreshToken {
    /// The token is the key of the HMAC, so the digest reveals nothing about the token.
    pub(super) fn given(token: Secret, key: &str) -> Result<Self, Error> {
        let sign_in_digest = cognito_idp::hmac(token.expose(), &[key])?;
        Ok(Self { token, sign_in_digest })
    }
}
