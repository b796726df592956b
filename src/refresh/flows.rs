//! The enhanced and the classic flow: the calls that get credentials for an identity.

use std::time::{Duration, SystemTime};

use super::{CredentialSet, Refresh, Refresher};
use crate::cell::lease::Lease;
use crate::credentials::{Credentials, ResponseData};
use crate::error::{Error, ResponseMetadata};
use crate::service::client::ResponseTimes;
use crate::service::cognito_identity::{GetCredentialsForIdentity, GetOpenIdToken};
use crate::service::protocol::Operation;
use crate::service::sts::{AssumeRoleWithWebIdentity, RoleRequest, web_identity_token_fault};

/// No role allows a longer lifetime.
const LONGEST_LIFETIME: Duration = Duration::from_secs(12 * 3600);

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
        let name = GetCredentialsForIdentity::NAME;
        let answered = answer.output.identity_id.clone();
        let identity_id =
            self.confirm_identity(refresh, name, &answer.metadata, answered)?.as_str().to_owned();
        let expiration = answer.output.expiration;
        let lease = self.lease(name, &answer.metadata, answer.times, expiration)?;
        let issued = answer.output;
        Ok(CredentialSet {
            credentials: Credentials::of_identity(
                identity_id.clone(),
                issued.access_key_id,
                issued.secret_key,
                issued.session_token,
                issued.expiration,
            ),
            data: Some(ResponseData { identity_id, ..ResponseData::default() }),
            lease,
            early_error: None,
        })
    }

    pub(super) fn classic(
        &self,
        refresh: &mut Refresh<'_>,
        sts_url: &str,
        role: &RoleRequest,
    ) -> Result<CredentialSet, Error> {
        let identity = refresh.identity()?;
        let (token, id) = if let Some(developer) = &refresh.developer {
            if let Some(fault) = web_identity_token_fault(developer.token()) {
                let what = "the developer identity provider returned a token that";
                return Err(Error::login(format!("{what} {fault}"), None));
            }
            (developer.token().clone(), identity.id)
        } else {
            let operation = GetOpenIdToken { identity_id: &identity.id, logins: &refresh.tokens };
            let answer = self.client.call(&self.cognito_url, &operation, refresh.budget)?;
            let name = GetOpenIdToken::NAME;
            if let Some(fault) = web_identity_token_fault(&answer.output.token) {
                let what = format!("the answer's Token {fault}");
                return Err(Error::response(name, answer.metadata, what));
            }
            let answered = answer.output.identity_id;
            let id = self.confirm_identity(refresh, name, &answer.metadata, answered)?;
            (answer.output.token, id)
        };
        let operation = AssumeRoleWithWebIdentity {
            role,
            web_identity_token: &token,
            identity_id: &id,
            logins: &refresh.tokens,
        };
        let answer = self.client.call(sts_url, &operation, refresh.budget)?;
        let (name, expiration) = (AssumeRoleWithWebIdentity::NAME, answer.output.expiration);
        let lease = self.lease(name, &answer.metadata, answer.times, expiration)?;
        let issued = answer.output;
        let identity_id = id.as_str().to_owned();
        Ok(CredentialSet {
            credentials: Credentials::of_identity(
                identity_id.clone(),
                issued.access_key_id,
                issued.secret_access_key,
                issued.session_token,
                issued.expiration,
            ),
            data: Some(ResponseData {
                identity_id,
                assumed_role_arn: issued.user_arn,
                assumed_role_id: issued.user_id,
                subject_from_web_identity_token: issued.subject_from_web_identity_token,
                audience: issued.audience,
                provider: issued.provider,
                packed_policy_size: issued.packed_policy_size,
                source_identity: issued.source_identity,
            }),
            lease,
            early_error: None,
        })
    }

    /// Returns the lease of new credentials, counted from before the request. Forgets the service
    /// time if the `Expiration` shows that the `Date` is wrong.
    fn lease(
        &self,
        operation: &'static str,
        metadata: &ResponseMetadata,
        times: ResponseTimes,
        expiration: SystemTime,
    ) -> Result<Lease, Error> {
        if let Some(date) = times.date {
            let life = expiration.duration_since(date).unwrap_or_default();
            if life.is_zero() || life > LONGEST_LIFETIME {
                self.client.forget_service_time();
            }
        }
        let Some(life) = times.life_until(expiration) else {
            let what = "the credentials had already expired when they were issued";
            return Err(Error::expired(operation, metadata.clone(), what));
        };
        Ok(Lease::new(times.sent.boot, times.sent.wall, life.min(self.lifetime)))
    }
}
