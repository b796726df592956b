//! A login's token, and whose it is.

use std::fmt::Write as _;
use std::path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::BoxError;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::source::Source;
use crate::user_pool::PoolLogin;

pub(crate) struct Login {
    pub(crate) provider: String,
    pub(crate) source: Source,
    /// How long the source may take.
    limit: Duration,
    /// A token that was read before it was needed; good for one time.
    read: Mutex<Option<Zeroizing<String>>>,
}

/// What a token says of itself. Nobody has checked it: it tells one user's cache from another's, and
/// lets `doctor` see that a token is too old. What it is good for is the service's to say.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    exp: Option<f64>,
}

/// Whom the cache is for.
pub(crate) struct User {
    pub(crate) login_id: String,
    /// Whether that tells users apart, so that credentials may be kept and not the identity alone.
    pub(crate) certain: bool,
}

impl Login {
    pub(crate) fn new(provider: String, source: Source, limit: Duration) -> Self {
        Self { provider, source, limit, read: Mutex::new(None) }
    }

    /// Reads the token, for now and for the first time that it is asked for.
    pub(crate) fn claims(&self) -> Result<Option<Claims>, BoxError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let token = match read.take() {
            Some(token) => token,
            None => self.source.read(self.limit)?,
        };
        let claims = Claims::of(&token);
        *read = Some(token);
        Ok(claims)
    }

    /// The token that was read before it was needed, and a fresh one from then on.
    pub(crate) fn token(&self) -> Result<String, BoxError> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut token = match read {
            Some(token) => token,
            None => self.source.read(self.limit)?,
        };
        Ok(std::mem::take(&mut *token))
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

    /// When the token ends.
    pub(crate) fn end(&self) -> Option<SystemTime> {
        let since_1970 = Duration::try_from_secs_f64(self.exp?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since_1970)
    }
}

/// Who the user of these logins is, by a digest from which nothing can be read: of the issuer and
/// the subject that a token names. A token that names none may be anybody's, and next time somebody
/// else's, wherever it comes from. A refresh token is the user's for long, and stands for itself. The
/// error says which login has no token.
pub(crate) fn user(logins: &[Arc<Login>], pool: Option<&PoolLogin>) -> Result<User, String> {
    let mut digest = Sha256::new();
    let mut certain = true;
    let mut add = |piece: &str| {
        digest.update((piece.len() as u64).to_be_bytes());
        digest.update(piece.as_bytes());
    };
    for login in logins {
        add(&login.provider);
        let no_token = |error| format!("--login: no token for {}: {error}", login.provider);
        let claims = login.claims().map_err(no_token)?;
        match (claims.unwrap_or_default(), &login.source) {
            (Claims { iss: Some(iss), sub: Some(sub), .. }, _) => {
                add("subject");
                add(&iss);
                add(&sub);
            }
            (_, Source::File(path)) => {
                certain = false;
                add("file");
                let path = path::absolute(path).unwrap_or_else(|_| path.clone());
                add(&path.to_string_lossy());
            }
            (_, Source::Variable(name)) => {
                certain = false;
                add("variable");
                add(name);
            }
            (_, Source::Command(command)) => {
                certain = false;
                add("command");
                add(command);
            }
        }
    }
    if let Some(pool) = pool {
        add("user pool");
        pool.identify(add).map_err(|error| format!("--refresh-token: {error}"))?;
    }
    let mut login_id = String::new();
    for byte in digest.finalize().iter().take(16) {
        let _ = write!(login_id, "{byte:02x}");
    }
    Ok(User { login_id, certain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    fn login(provider: &str, source: Source, token: &str) -> Arc<Login> {
        let login = Login::new(provider.to_owned(), source, Duration::ZERO);
        *login.read.lock().unwrap() = Some(Zeroizing::new(token.to_owned()));
        Arc::new(login)
    }

    fn file(provider: &str, path: &str, token: &str) -> Arc<Login> {
        login(provider, Source::File(path.into()), token)
    }

    fn id(login: Arc<Login>) -> String {
        user(&[login], None).ok().unwrap().login_id
    }

    #[test]
    fn users_are_told_apart_and_a_new_token_of_the_same_user_is_no_other() {
        let ann = jwt(r#"{"iss": "https://p", "sub": "ann", "exp": 1}"#);
        let ann_later = jwt(r#"{"iss": "https://p", "sub": "ann", "exp": 2}"#);
        let bob = jwt(r#"{"iss": "https://p", "sub": "bob", "exp": 1}"#);
        let base = id(file("p", "/t", &ann));
        assert_eq!(base.len(), 32);
        assert_eq!(base, id(file("p", "/t", &ann_later)));
        assert_eq!(base, id(login("p", Source::Variable("T".into()), &ann)));
        assert_ne!(base, id(file("p", "/t", &bob)));
        assert_ne!(base, id(file("q", "/t", &ann)));
        assert_ne!(base, id(file("p", "/t", "opaque")));
        assert_ne!(id(file("p", "/t", "opaque")), id(file("p", "/u", "opaque")));
        assert_eq!(id(file("p", "/t", "opaque")), id(file("p", "/t", "another")));
        let (both, swapped) = (
            [file("p", "/t", &ann), file("q", "/u", &bob)],
            [file("p", "/t", &bob), file("q", "/u", &ann)],
        );
        assert_ne!(
            user(&both, None).ok().unwrap().login_id,
            user(&swapped, None).ok().unwrap().login_id
        );
    }

    #[test]
    fn a_token_that_says_nothing_may_be_anybodys() {
        let ann = jwt(r#"{"iss": "https://p", "sub": "ann"}"#);
        let (variable, command) = (Source::Variable("T".into()), Source::Command("t".into()));
        let rows = [
            (file("p", "/t", "opaque"), false),
            (file("p", "/t", &ann), true),
            (login("p", variable.clone(), "opaque"), false),
            (login("p", command.clone(), "opaque"), false),
            (login("p", variable, &ann), true),
            (login("p", command.clone(), &ann), true),
            (login("p", command, &jwt(r#"{"sub": "ann"}"#)), false),
        ];
        for (login, certain) in rows {
            assert_eq!(user(&[login], None).ok().unwrap().certain, certain);
        }
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
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
    fn a_token_that_was_read_is_used_once_and_then_read_afresh() {
        let login = file("p", "/no/such/file", "first");
        assert!(login.claims().is_ok(), "it is not read again");
        assert_eq!(login.token().unwrap(), "first");
        assert!(login.token().unwrap_err().to_string().contains("/no/such/file"));
    }
}
