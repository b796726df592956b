//! Encodes requests and decodes answers without a transport, for `benches/codecs.rs`.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::logins::{Logins, Tokens};
use crate::secret::Secret;
use crate::service::cognito_identity::{GetCredentialsForIdentity, GetId, Id};
use crate::service::protocol::Operation;
use crate::service::sts::{AssumeRoleWithWebIdentity, RoleRequest};
use crate::transport::HttpResponse;

/// The inputs of the requests of a refresh.
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
        let (identity_pool_id, logins) = (&self.pool, &self.tokens);
        GetId { identity_pool_id, account_id: None, logins, refused: None }.body()
    }

    /// Returns the credentials in a response to `GetCredentialsForIdentity`.
    #[must_use]
    pub fn decode_get_credentials(&self, answer: &HttpResponse) -> Option<Credentials> {
        let (identity_id, logins) = (&self.identity, &self.tokens);
        let operation = GetCredentialsForIdentity { identity_id, logins, custom_role_arn: None };
        let issued = operation.decode(answer).ok()?;
        Some(Credentials::of_identity(issued.identity_id?.as_str().to_owned(), issued.keys))
    }

    /// Returns the credentials in a response to `AssumeRoleWithWebIdentity`.
    #[must_use]
    pub fn decode_assume_role(&self, answer: &HttpResponse) -> Option<Credentials> {
        let operation = AssumeRoleWithWebIdentity {
            role: &self.role,
            web_identity_token: &self.open_id_token,
            identity_id: &self.identity,
            logins: &self.tokens,
        };
        let issued = operation.decode(answer).ok()?;
        Some(Credentials::of_identity(self.identity.as_str().to_owned(), issued.keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token() {
        let logins = Logins::new().with("p", "SENTINEL");
        let wire = WireFormat::new("r:0", "r:1", &logins, "arn:role", "SENTINEL").unwrap();
        assert_eq!(
            format!("{wire:?}"),
            "WireFormat { pool: r:[redacted], identity: r:[redacted], tokens: Tokens({\"p\": [redacted]}), role: RoleRequest { role_arn: \"arn:role\", session_name: \"session\", provider_id: None, policy_arns: [], policy: None, duration_seconds: None }, open_id_token: [redacted] }"
        );
    }
}
