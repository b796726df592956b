//! [`ProviderLogin`]: a login of the option `--login`, and the claims of its token.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::{BoxError, TokenSource};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::login::secret_source::SecretSource;

pub(crate) struct ProviderLogin {
    pub(crate) provider: String,
    pub(crate) source: SecretSource,
    /// The time limit for reading the token.
    limit: Duration,
    /// A token that was read for its claims. `token` returns it once.
    read: Mutex<Option<Zeroizing<String>>>,
    /// The issuer of the token that was used last.
    issuer: Mutex<Option<String>>,
    /// The digest of the token that was read last. During a refresh, the source may return another
    /// token.
    digest: Mutex<Option<[u8; 32]>>,
}

/// The claims of a JWT, not verified. They select the record of a user in the cache. `doctor`
/// checks when the token expires.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claims {
    pub(crate) iss: Option<String>,
    pub(crate) sub: Option<String>,
    exp: Option<f64>,
    token_use: Option<String>,
    typ: Option<String>,
    scope: Option<IgnoredAny>,
    scp: Option<IgnoredAny>,
    nonce: Option<IgnoredAny>,
    at_hash: Option<IgnoredAny>,
    /// The `typ` in the header, by which RFC 9068 marks access tokens.
    #[serde(skip)]
    header_type: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    typ: Option<String>,
}

impl ProviderLogin {
    pub(crate) fn new(provider: String, source: SecretSource, limit: Duration) -> Self {
        let (read, issuer, digest) = Default::default();
        Self { provider, source, limit, read, issuer, digest }
    }

    #[cfg(test)]
    pub(crate) fn already_read(provider: &str, source: SecretSource, token: &str) -> Self {
        let login = Self::new(provider.to_owned(), source, Duration::ZERO);
        *login.read.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Zeroizing::new(token.to_owned()));
        login
    }

    /// Reads the token and returns its claims; `None` if it is not a JWT. Keeps the token for the
    /// next call of [`token`](Self::token).
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

    pub(crate) fn issuer(&self) -> Option<String> {
        self.issuer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn no_token(&self, error: &BoxError) -> String {
        format!("--login: no token for {}: {error:#}", self.provider)
    }

    /// Returns the SHA-256 digest of the token that was read last. `None` before the first one.
    pub(crate) fn token_digest(&self) -> Option<[u8; 32]> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_digest(&self, token: &str) {
        let digest = Sha256::digest(token).into();
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }
}

/// Returns the token that `claims` has read. After that, reads a new one each time.
impl TokenSource for ProviderLogin {
    fn token(&self) -> Result<String, BoxError> {
        self.token_within(self.limit)
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut token = match read {
            Some(token) => token,
            None => self.source.read(limit.min(self.limit))?,
        };
        self.set_digest(&token);
        let issuer = Claims::of(&token).and_then(|claims| claims.iss);
        *self.issuer.lock().unwrap_or_else(PoisonError::into_inner) = issuer;
        Ok(std::mem::take(&mut *token))
    }
}

impl Claims {
    fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (header, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut claims: Self = json(payload)?;
        claims.header_type = json(header).and_then(|header: Header| header.typ);
        Some(claims)
    }

    /// Returns `true` if this is an access token, which cannot be a login. User pools mark it by
    /// `token_use`, Keycloak by `typ`, RFC 9068 in the header. Others show it by scopes, which no
    /// ID token has.
    pub(crate) fn is_access_token(&self) -> bool {
        let of_rfc_9068 = |typ: &str| typ.to_ascii_lowercase().ends_with("at+jwt");
        let is_id_token = self.nonce.is_some() || self.at_hash.is_some();
        match self.token_use.as_deref() {
            Some(kind) => kind == "access",
            None => {
                self.typ.as_deref() == Some("Bearer")
                    || self.header_type.as_deref().is_some_and(of_rfc_9068)
                    || (self.scope.is_some() || self.scp.is_some()) && !is_id_token
            }
        }
    }

    pub(crate) fn end(&self) -> Option<SystemTime> {
        let since_1970 = Duration::try_from_secs_f64(self.exp?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since_1970)
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Option<T> {
    let text = Zeroizing::new(URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?);
    serde_json::from_slice(&text).ok()
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
    fn an_access_token_is_recognised_by_its_claims() {
        let access_tokens = [
            ("{}", r#"{"token_use": "access"}"#),
            ("{}", r#"{"typ": "Bearer"}"#),
            (r#"{"typ": "at+jwt"}"#, "{}"),
            (r#"{"typ": "application/at+JWT"}"#, "{}"),
            ("{}", r#"{"scp": ["openid"]}"#),
            ("{}", r#"{"scope": "openid profile"}"#),
        ];
        let others = [
            ("{}", r#"{"token_use": "id", "scope": "openid"}"#),
            ("{}", r#"{"typ": "ID"}"#),
            (r#"{"typ": "JWT"}"#, r#"{"iss": "https://accounts.google.com"}"#),
            ("{}", r#"{"scope": "openid", "nonce": "n"}"#),
            ("{}", r#"{"scope": "openid", "at_hash": "h"}"#),
            ("{}", "{}"),
        ];
        for (rows, expected) in [(access_tokens, true), (others, false)] {
            for (header, payload) in rows {
                let part = |text| URL_SAFE_NO_PAD.encode(text);
                let token = format!("{}.{}.c2ln", part(header), part(payload));
                let claims = Claims::of(&token).unwrap();
                assert_eq!(claims.is_access_token(), expected, "{header} {payload}");
            }
        }
    }

    #[test]
    fn a_token_that_was_read_for_its_claims_is_used_once() {
        let source = SecretSource::File("/no/such/file".into());
        let login = ProviderLogin::already_read("p", source, "first");
        assert!(login.claims().is_ok(), "the second call reads nothing");
        assert_eq!(login.token().unwrap(), "first");
        assert!(login.token().unwrap_err().to_string().contains("/no/such/file"));
    }
}
