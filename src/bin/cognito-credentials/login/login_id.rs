//! A login ID for the cache, derived from the logins. It replaces a missing option `--login-id`.

use std::fmt::Write as _;
use std::path;
use std::sync::Arc;

use cognito_identity_credentials::BoxError;
use sha2::{Digest, Sha256};

use crate::login::provider_login::{Claims, ProviderLogin};
use crate::login::secret_source::SecretSource;
use crate::login::user_pool_login::UserPoolLogin;
use crate::messages::failure::Failure;

/// Derives the login ID, which is a digest over all logins.
///
/// For each login, the digest covers the issuer and the subject of the token. If the token does not
/// name its user, it covers the source of the token instead, such as the path of a file. For a
/// refresh token it covers the text, because the token belongs to one user.
///
/// The ID only finds the records: nobody has verified the claims, and the next token from the same
/// source may belong to another user. So stored credentials are also bound to the token.
///
/// Returns an error that names the login whose token cannot be read.
pub(crate) fn derive(
    logins: &[Arc<ProviderLogin>],
    user_pool: Option<&UserPoolLogin>,
) -> Result<String, Failure> {
    let mut digest = Sha256::new();
    let mut add = |piece: &str| {
        digest.update((piece.len() as u64).to_be_bytes());
        digest.update(piece.as_bytes());
    };
    for login in logins {
        add(&login.provider);
        let no_token = |error: BoxError| Failure::no_token(login.no_token(&error), &*error);
        let claims = login.claims().map_err(no_token)?;
        match (claims.unwrap_or_default(), &login.source) {
            (Claims { iss: Some(iss), sub: Some(sub), .. }, _) => {
                add("subject");
                add(&iss);
                add(&sub);
            }
            (_, SecretSource::File(path)) => {
                add("file");
                let path = path::absolute(path).unwrap_or_else(|_| path.clone());
                add(&path.to_string_lossy());
            }
            (_, SecretSource::Variable(name)) => {
                add("variable");
                add(name);
            }
            (_, SecretSource::Command(command)) => {
                add("command");
                add(command);
            }
        }
    }
    if let Some(login) = user_pool {
        add("user pool");
        login
            .add_to_digest(add)
            .map_err(|error| Failure::no_token(format!("--refresh-token: {error:#}"), &*error))?;
    }
    let mut login_id = String::new();
    for byte in digest.finalize().iter().take(16) {
        let _ = write!(login_id, "{byte:02x}");
    }
    Ok(login_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    fn login(provider: &str, source: SecretSource, token: &str) -> Arc<ProviderLogin> {
        Arc::new(ProviderLogin::already_read(provider, source, token))
    }

    fn file(provider: &str, path: &str, token: &str) -> Arc<ProviderLogin> {
        login(provider, SecretSource::File(path.into()), token)
    }

    fn id(login: Arc<ProviderLogin>) -> String {
        derive(&[login], None).unwrap()
    }

    #[test]
    fn each_user_has_one_login_id_whatever_the_token() {
        let ann = jwt(r#"{"iss": "https://p", "sub": "ann", "exp": 1}"#);
        let ann_later = jwt(r#"{"iss": "https://p", "sub": "ann", "exp": 2}"#);
        let bob = jwt(r#"{"iss": "https://p", "sub": "bob", "exp": 1}"#);
        let base = id(file("p", "/t", &ann));
        assert_eq!(base.len(), 32);
        assert_eq!(base, id(file("p", "/t", &ann_later)));
        assert_eq!(base, id(login("p", SecretSource::Variable("T".into()), &ann)));
        assert_ne!(base, id(file("p", "/t", &bob)));
        assert_ne!(base, id(file("q", "/t", &ann)));
        assert_ne!(base, id(file("p", "/t", "opaque")));
        assert_ne!(id(file("p", "/t", "opaque")), id(file("p", "/u", "opaque")));
        assert_eq!(id(file("p", "/t", "opaque")), id(file("p", "/t", "another")));
        let (both, swapped) = (
            [file("p", "/t", &ann), file("q", "/u", &bob)],
            [file("p", "/t", &bob), file("q", "/u", &ann)],
        );
        assert_ne!(derive(&both, None).unwrap(), derive(&swapped, None).unwrap());
    }
}
