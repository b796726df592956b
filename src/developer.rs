//! Identities that the maker's own backend hands out.

use std::fmt;

use crate::error::BoxError;
use crate::secret::Secret;

/// Yields an identity that the maker's own backend has authenticated.
///
/// The backend calls `GetOpenIdTokenForDeveloperIdentity` with its AWS credentials and passes on
/// what it gets: an identity ID and a token. The provider is asked for every refresh, and once more
/// if the service refuses either. Closures are providers; they are called like
/// [`TokenSource`](crate::TokenSource)s.
///
/// See AWS on [developer authenticated identities][1].
///
/// [1]: https://docs.aws.amazon.com/cognito/latest/developerguide/developer-authenticated-identities.html
pub trait DeveloperIdentityProvider: Send + Sync {
    /// The current identity and its token.
    ///
    /// # Errors
    ///
    /// Whatever keeps the backend from yielding one.
    fn identity(&self) -> Result<DeveloperIdentity, BoxError>;
}

impl<F> DeveloperIdentityProvider for F
where
    F: Fn() -> Result<DeveloperIdentity, BoxError> + Send + Sync,
{
    fn identity(&self) -> Result<DeveloperIdentity, BoxError> {
        self()
    }
}

/// An identity ID and the OpenID token that proves it. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct DeveloperIdentity {
    identity_id: String,
    token: Secret,
}

impl DeveloperIdentity {
    /// What the backend got from `GetOpenIdTokenForDeveloperIdentity`.
    pub fn new(identity_id: impl Into<String>, token: impl Into<String>) -> Self {
        Self { identity_id: identity_id.into(), token: Secret::new(token) }
    }

    pub(crate) fn identity_id(&self) -> &str {
        &self.identity_id
    }

    pub(crate) fn token(&self) -> &Secret {
        &self.token
    }
}

impl fmt::Debug for DeveloperIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeveloperIdentity([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_nothing_of_itself() {
        let identity = DeveloperIdentity::new("us-east-1:0", "hunter2");
        assert_eq!(format!("{identity:?}"), "DeveloperIdentity([redacted])");
    }
}
