//! The enhanced and the classic flow: the calls that get credentials for an identity.

use std::time::Duration;

use super::{CredentialSet, Refresh, Refresher};
use crate::cell::lease::Lease;
use crate::credentials::{Credentials, IssuedKeys, ResponseData};
use crate::error::{Error, ResponseMetadata};
use crate::service::client::{ResponseTimes, ServiceResponse};
use crate::service::cognito_identity::{GetCredentialsForIdentity, GetOpenIdToken};
use crate::service::sts::{AssumeRoleWithWebIdentity, RoleRequest, web_identity_token_fault};

/// No role allows a longer lifetime.
const MAX_LIFETIME: Duration = Duration::from_secs(12 * 3600);

impl Refresher {
    pub(super) fn enhanced(
        &self,
        refresh: &mut Refresh<'_>,
        custom_role_arn: Option<&str>,
    ) -> Result<CredentialSet, Error> {
        let identity = refresh.identity()?;
        let operation = GetCredentialsForIdentity {
            identity_id: &identity.id,
            logins: &refresh.tokens,
            custom_role_arn,
        };
        let answer = self.client.call(&self.cognito_url, &operation, refresh.budget)?;
        let ServiceResponse { operation, output: issued, times, metadata } = answer;
        let id = self.confirm_identity(refresh, operation, &metadata, issued.identity_id)?;
        let data = ResponseData { identity_id: id.as_str().to_owned(), ..ResponseData::default() };
        self.credential_set(operation, metadata, times, issued.keys, data)
    }

    pub(super) fn classic(
        &self,
        refresh: &mut Refresh<'_>,
        sts_url: &str,
        role: &RoleRequest,
    ) -> Result<CredentialSet, Error> {
        let identity = refresh.identity()?;
        let (token, id) = if let Some(developer) = &refresh.developer {
            if let Some(fault) = web_identity_token_fault(&developer.token) {
                let what = "the developer identity provider returned a token that";
                return Err(Error::login(format!("{what} {fault}"), None));
            }
            (developer.token.clone(), identity.id)
        } else {
            let operation = GetOpenIdToken { identity_id: &identity.id, logins: &refresh.tokens };
            let answer = self.client.call(&self.cognito_url, &operation, refresh.budget)?;
            if let Some(fault) = web_identity_token_fault(&answer.output.token) {
                let what = format!("the answer's Token {fault}");
                return Err(Error::response(answer.operation, answer.metadata, what));
            }
            let answered = answer.output.identity_id;
            let id =
                self.confirm_identity(refresh, answer.operation, &answer.metadata, answered)?;
            (answer.output.token, id)
        };
        let operation = AssumeRoleWithWebIdentity {
            role,
            web_identity_token: &token,
            identity_id: &id,
            logins: &refresh.tokens,
        };
        let answer = self.client.call(sts_url, &operation, refresh.budget)?;
        let ServiceResponse { operation, output: issued, times, metadata } = answer;
        self.credential_set(operation, metadata, times, issued.keys, issued.data)
    }

    /// Returns new credentials with their lease, counted from before the request. Forgets the
    /// service time if the `Expiration` shows that the `Date` is wrong.
    fn credential_set(
        &self,
        operation: &'static str,
        metadata: ResponseMetadata,
        times: ResponseTimes,
        keys: IssuedKeys,
        data: ResponseData,
    ) -> Result<CredentialSet, Error> {
        let expiration = keys.expiration;
        if let Some(date) = times.date {
            let life = expiration.duration_since(date).unwrap_or_default();
            if life.is_zero() || life > MAX_LIFETIME {
                self.client.forget_service_time();
            }
        }
        let Some(life) = times.life_until(expiration) else {
            let what = "the credentials had already expired when they were issued";
            return Err(Error::expired(operation, metadata, what));
        };
        let lease = Lease::new(times.sent.boot, times.sent.wall, life.min(self.lifetime));
        let credentials = Credentials::of_identity(data.identity_id.clone(), keys);
        Ok(CredentialSet { credentials, data: Some(data), lease, early_error: None })
    }
}
