//! Encodes requests and decodes answers without a transport, for `benches/codecs.rs`.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::logins::{Logins, Tokens};
use crate::secret::Secret;
use crate::service::cognito_identity::{GetCredentialsForIdentity, GetId, GetOpenIdToken, Id};
use crate::service::protocol::{ErrorMetadata, Operation, timestamp};
use crate::service::sts::{AssumeRoleWithWebIdentity, RoleRequest};
use crate::transport::HttpResponse;

/// A decoded identity ID or token, not copied. `Debug` does not show it.
#[derive(Debug)]
pub struct DecodedText(Decoded);

#[derive(Debug)]
enum Decoded {
    Id(Id),
    Token(Secret),
}

impl DecodedText {
    /// Returns the text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        match &self.0 {
            Decoded::Id(id) => id.as_str(),
            Decoded::Token(token) => token.expose(),
        }
    }
}

/// The inputs of the four requests of a refresh.
#[derive(Debug)]
pub struct WireFormat {
    pool: Id,
    identity: Id,
    tokens: Tokens,
    role: RoleRequest,
    open_id_token: Secret,
}

impl WireFormat {
    /// Returns an error if an ID or a login breaks the service's limits.
    pub fn new(
        pool: &str,
        identity: &str,
        logins: &Logins,
        role_arn: &str,
        open_id_token: &str,
    ) -> Result<Self, Error> {
        let id = |text| Id::parse(text).map_err(|fault| Error::config("", fault));
        Ok(Self {
            pool: id(pool)?,
            identity: id(identity)?,
            tokens: logins.tokens(&Tokens::default(), || Duration::MAX)?,
            role: RoleRequest {
                role_arn: role_arn.to_owned(),
                session_name: "session".to_owned(),
                ..RoleRequest::default()
            },
            open_id_token: Secret::new(open_id_token),
        })
    }

    /// Encodes a request to `GetId`.
    pub fn encode_get_id(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.get_id().body()
    }

    /// Encodes a request to `GetCredentialsForIdentity`.
    pub fn encode_get_credentials(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.get_credentials().body()
    }

    /// Encodes a request to `GetOpenIdToken`.
    pub fn encode_get_open_id_token(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.get_open_id_token().body()
    }

    /// Encodes a request to `AssumeRoleWithWebIdentity`.
    pub fn encode_assume_role(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.assume_role().body()
    }

    /// Returns the identity ID in a response to `GetId`.
    #[must_use]
    pub fn decode_get_id(&self, answer: &HttpResponse) -> Option<DecodedText> {
        Some(DecodedText(Decoded::Id(self.get_id().decode(answer).ok()?)))
    }

    /// Returns the credentials in a response to `GetCredentialsForIdentity`.
    #[must_use]
    pub fn decode_get_credentials(&self, answer: &HttpResponse) -> Option<Credentials> {
        let issued = self.get_credentials().decode(answer).ok()?;
        let id = issued.identity_id?.as_str().to_owned();
        let [secret, token] = [issued.secret_key, issued.session_token];
        let key_id = issued.access_key_id;
        Some(Credentials::of_identity(id, key_id, secret, token, issued.expiration))
    }

    /// Returns the token in a response to `GetOpenIdToken`.
    #[must_use]
    pub fn decode_get_open_id_token(&self, answer: &HttpResponse) -> Option<DecodedText> {
        Some(DecodedText(Decoded::Token(self.get_open_id_token().decode(answer).ok()?.token)))
    }

    /// Returns the credentials in a response to `AssumeRoleWithWebIdentity`.
    #[must_use]
    pub fn decode_assume_role(&self, answer: &HttpResponse) -> Option<Credentials> {
        let issued = self.assume_role().decode(answer).ok()?;
        let id = self.identity.as_str().to_owned();
        let [secret, token] = [issued.secret_access_key, issued.session_token];
        let key_id = issued.access_key_id;
        Some(Credentials::of_identity(id, key_id, secret, token, issued.expiration))
    }

    /// Returns the error code in a response of Cognito.
    #[must_use]
    pub fn json_error(&self, answer: &HttpResponse) -> Option<Zeroizing<String>> {
        let ErrorMetadata { code, .. } = self.get_id().decode_error(answer);
        code
    }

    /// Returns the error code in a response of STS.
    #[must_use]
    pub fn xml_error(&self, answer: &HttpResponse) -> Option<Zeroizing<String>> {
        let ErrorMetadata { code, .. } = self.assume_role().decode_error(answer);
        code
    }

    fn get_id(&self) -> GetId<'_> {
        GetId {
            identity_pool_id: &self.pool,
            account_id: None,
            logins: &self.tokens,
            refused: None,
        }
    }

    fn get_credentials(&self) -> GetCredentialsForIdentity<'_> {
        let (identity_id, logins) = (&self.identity, &self.tokens);
        GetCredentialsForIdentity { identity_id, logins, custom_role_arn: None }
    }

    fn get_open_id_token(&self) -> GetOpenIdToken<'_> {
        GetOpenIdToken { identity_id: &self.identity, logins: &self.tokens }
    }

    fn assume_role(&self) -> AssumeRoleWithWebIdentity<'_> {
        AssumeRoleWithWebIdentity {
            role: &self.role,
            web_identity_token: &self.open_id_token,
            identity_id: &self.identity,
            logins: &self.tokens,
        }
    }
}

/// Parses a timestamp of a JSON response.
#[must_use]
pub fn json_timestamp(json: &str) -> Option<SystemTime> {
    timestamp::parse_json(json)
}

/// Parses a timestamp of an XML response.
#[must_use]
pub fn xml_timestamp(text: &str) -> Option<SystemTime> {
    timestamp::parse_rfc3339(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token() {
        let id = DecodedText(Decoded::Id(Id::parse("r:1").unwrap()));
        assert_eq!(format!("{id:?}"), "DecodedText(Id(r:[redacted]))");
        let token = DecodedText(Decoded::Token(Secret::new("SENTINEL")));
        assert_eq!(format!("{token:?}"), "DecodedText(Token([redacted]))");
        let logins = Logins::new().with("p", "SENTINEL");
        let wire = WireFormat::new("r:0", "r:1", &logins, "arn:role", "SENTINEL").unwrap();
        assert_eq!(
            format!("{wire:?}"),
            "WireFormat { pool: r:[redacted], identity: r:[redacted], tokens: Tokens({\"p\": [redacted]}), role: RoleRequest { role_arn: \"arn:role\", session_name: \"session\", provider_id: None, policy_arns: [], policy: None, duration_seconds: None }, open_id_token: [redacted] }"
        );
    }
}
