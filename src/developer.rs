//! Developer-authenticated identities: the developer's own backend signs the user in.

use std::fmt;
use std::sync::Arc;

use crate::error::BoxError;
use crate::secret::Secret;

/// Returns an identity that the developer's own backend has authenticated.
///
/// The backend calls `GetOpenIdTokenForDeveloperIdentity` with its AWS credentials and sends the
/// identity ID and the token to the program. AWS describes this under [developer-authenticated
/// identities][1].
///
/// A closure is a provider. So are `Arc<T>` and `Box<dyn DeveloperIdentityProvider>`. Each refresh
/// calls it once, and a second time if the service rejects the identity or the token. The rules for
/// threads and errors are those of a [`TokenSource`](crate::TokenSource).
///
/// [1]: https://docs.aws.amazon.com/cognito/latest/developerguide/developer-authenticated-identities.html
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::{BoxError, DeveloperIdentity, DeveloperIdentityProvider};
/// # type Session = String;
/// # fn post(url: &str, session: &str) -> std::io::Result<(String, String)> {
/// #     Ok(("us-east-1:12345678-dead-beef-cafe-123456790ab0".into(), "token".into()))
/// # }
///
/// struct Backend {
///     url: String,
///     session: Session,
/// }
///
/// impl DeveloperIdentityProvider for Backend {
///     fn identity(&self) -> Result<DeveloperIdentity, BoxError> {
///         let (identity_id, token) = post(&self.url, &self.session)?;
///         Ok(DeveloperIdentity::new(identity_id, token))
///     }
/// }
/// # let backend = Backend { url: String::new(), session: String::new() };
/// # assert!(backend.identity().is_ok());
/// ```
///
/// [`Builder::developer_identity`](crate::Builder::developer_identity) has an example with a
/// closure.
pub trait DeveloperIdentityProvider: Send + Sync {
    /// Returns the current identity ID and its token.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return any error if there is no identity.
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

impl<T: DeveloperIdentityProvider + ?Sized> DeveloperIdentityProvider for Arc<T> {
    fn identity(&self) -> Result<DeveloperIdentity, BoxError> {
        (**self).identity()
    }
}

impl DeveloperIdentityProvider for Box<dyn DeveloperIdentityProvider> {
    fn identity(&self) -> Result<DeveloperIdentity, BoxError> {
        (**self).identity()
    }
}

/// Holds an identity ID and the OpenID token that proves it. `Debug` shows neither.
///
/// See the [example](DeveloperIdentityProvider#example).
#[derive(Clone, PartialEq, Eq)]
pub struct DeveloperIdentity {
    pub(crate) identity_id: String,
    pub(crate) token: Secret,
}

impl DeveloperIdentity {
    /// Creates an identity from the two fields that `GetOpenIdTokenForDeveloperIdentity` returned.
    /// The classic flow needs a token of 4 to 20,000 characters.
    ///
    /// See the [example](DeveloperIdentityProvider#example).
    pub fn new(identity_id: impl Into<String>, token: impl Into<String>) -> Self {
        Self { identity_id: identity_id.into(), token: Secret::new(token) }
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
    fn debug_shows_neither_the_identity_id_nor_the_token() {
        let identity = DeveloperIdentity::new("us-east-1:0", "hunter2");
        assert_eq!(format!("{identity:?}"), "DeveloperIdentity([redacted])");
    }
}
