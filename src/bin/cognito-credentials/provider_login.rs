//! [`ProviderLogin`]: a login of the option `--login`, and what its token says.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::BoxError;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret_source::SecretSource;

pub(crate) struct ProviderLogin {
    pub(crate) provider: String,
    pub(crate) source: SecretSource,
    /// How long it may take to read the token.
    limit: Duration,
    /// A token that was read for its claims. It is used once.
    read: Mutex<Option<Zeroizing<String>>>,
    /// The digest of the last token that was read. A source may return another one during a refresh.
    digest: Mutex<Option<[u8; 32]>>,
}

/// The claims of a JWT, not verified. They distinguish the caches of users, and `doctor` checks the end of
/// the token.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claims {
    pub(crate) iss: Option<String>,
    pub(crate) sub: Option<String>,
    exp: Option<f64>,
    token_use: Option<String>,
}

impl ProviderLogin {
    /// Whether the login belongs to a user pool. Its name ends in a user pool ID, `REGION_NAME`.
    pub(crate) fn is_of_user_pool(&self) -> bool {
        let (_, pool) = self.provider.rsplit_once('/').unwrap_or_default();
        self.provider.starts_with("cognito-idp") || pool.contains('_')
    }

    pub(crate) fn new(provider: String, source: SecretSource, limit: Duration) -> Self {
        Self { provider, source, limit, read: Mutex::default(), digest: Mutex::default() }
    }

    #[cfg(test)]
    pub(crate) fn already_read(provider: &str, source: SecretSource, token: &str) -> Self {
        let login = Self::new(provider.to_owned(), source, Duration::ZERO);
        *login.read.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Zeroizing::new(token.to_owned()));
        login
    }

    /// Reads the token and returns its claims; `None` if it is no JWT. Keeps the token for the next call
    /// of [`token`](Self::token).
    pub(crate) fn claims(&self) -> Result<Option<Claims>, BoxError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let token = match read.take() {
            Some(token) => token,
            None => self.source.read(self.limit)?,
        };
        self.set_digest(&token);
        let claims = Claims::of(&token);
        *read = Some(token);
        Ok(claims)
    }

    /// Returns the token that `claims` has read, and reads a new one from then on.
    pub(crate) fn token(&self) -> Result<String, BoxError> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut token = match read {
            Some(token) => token,
            None => self.source.read(self.limit)?,
        };
        self.set_digest(&token);
        Ok(std::mem::take(&mut *token))
    }

    /// Returns the SHA-256 digest of the last token that was read. `None` before the first one.
    pub(crate) fn token_digest(&self) -> Option<[u8; 32]> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_digest(&self, token: &str) {
        let digest = Sha256::digest(token).into();
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }
}

impl Claims {
    fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
        serde_json::from_slice(&payload).ok()
    }

    /// Whether this is an access token of a user pool, which is no login.
    pub(crate) fn is_access_token(&self) -> bool {
        self.token_use.as_deref() == Some("access")
    }

    /// Returns when the token expires.
    pub(crate) fn end(&self) -> Option<SystemTime> {
        let since_1970 = Duration::try_from_secs_f64(self.exp?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since_1970)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn only_a_jwt_has_claims() {
        for text in ["", "a.b", "a.b.c.d", "a.!.c", &jwt("{"), &jwt(r#"{"sub": 1}"#)] {
            assert!(Claims::of(text).is_none(), "{text}");
        }
        assert!(Claims::of(&jwt(r#"{"exp": 1e300}"#)).unwrap().end().is_none());
        assert!(Claims::of(&jwt(r#"{"exp": -1}"#)).unwrap().end().is_none());
        assert_eq!(
            Claims::of(&jwt(r#"{"exp": 1.0}"#)).unwrap().end(),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        );
    }

    #[test]
    fn a_token_that_was_read_for_its_claims_is_used_once() {
        let source = SecretSource::File("/no/such/file".into());
        let login = ProviderLogin::already_read("p", source, "first");
        assert!(login.claims().is_ok(), "it is not read again");
        assert_eq!(login.token().unwrap(), "first");
        assert!(login.token().unwrap_err().to_string().contains("/no/such/file"));
    }
}
