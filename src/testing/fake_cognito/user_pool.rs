//! The user pool of the fake service: its refresh tokens, and the ID tokens that it issues for
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::request::RequestBody;
use super::service_error::{ServiceError, invalid, not_authorized, not_found};
use super::tokens::LoginTokens;
use crate::service::cognito_idp::{UserPoolId, hmac};

pub(super) const OPERATIONS: &[&str] = &["InitiateAuth", "GetTokensFromRefreshToken"];
pub(super) const ID: &str = "us-east-1_FakePool1";
pub(super) const CLIENT_ID: &str = "fakeclient0123456789fakecl";

pub(super) struct UserPool {
    pub(super) client_secret: Option<String>,
    /// How long a replaced refresh token is still accepted. `None` if tokens are not rotated.
    pub(super) rotation: Option<Duration>,
    pub(super) id_lifetime: Duration,
    pub(super) refresh_lifetime: Duration,
    refresh_tokens: BTreeMap<String, RefreshToken>,
    pub(super) disabled: BTreeSet<String>,
}

#[derive(Clone)]
struct RefreshToken {
    user: String,
    end: SystemTime,
    revoked: bool,
    /// After a rotation: when the service stops accepting this token.
    replaced: Option<SystemTime>,
}

impl Default for UserPool {
    fn default() -> Self {
        Self {
            client_secret: None,
            rotation: None,
            id_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(30 * 24 * 3600),
            refresh_tokens: BTreeMap::new(),
            disabled: BTreeSet::new(),
        }
    }
}

impl UserPool {
    /// Answers both operations that exchange a refresh token for an ID token. Adds the ID token to
    /// `logins`.
    pub(super) fn refresh_tokens(
        &mut self,
        operation: &str,
        body: &RequestBody,
        serial: &mut u64,
        logins: &mut LoginTokens,
        now: SystemTime,
    ) -> Result<Value, ServiceError> {
        let id = body.client_id.as_deref().unwrap_or_default();
        if id != CLIENT_ID {
            return Err(not_found(format!("User pool client {id} does not exist.")));
        }
        let by_flow = operation == "InitiateAuth";
        let flow = body.auth_flow.as_deref().unwrap_or_default();
        if by_flow && (flow != "REFRESH_TOKEN_AUTH" || self.rotation.is_some()) {
            return Err(invalid(format!("{flow} flow not enabled for this client")));
        }
        let sent = body.refresh_token().unwrap_or_default().to_owned();
        let token = self.refresh_tokens.get(&sent).cloned();
        self.check_secret(by_flow, body, token.as_ref())?;
        let token = token.ok_or_else(|| not_authorized("Invalid Refresh Token"))?;
        if self.disabled.contains(&token.user) {
            return Err(not_authorized("User is disabled."));
        }
        if token.revoked {
            return Err(not_authorized("Refresh Token has been revoked"));
        }
        if token.end <= now {
            return Err(not_authorized("Refresh Token has expired"));
        }
        if token.replaced.is_some_and(|end| end <= now) {
            let message = "Refresh Token has been replaced".to_owned();
            return Err(ServiceError("RefreshTokenReuseException", message));
        }
        let id_token = self.id_token(&token.user, serial, logins, now);
        let rotated = self.rotation.map(|grace| {
            if let Some(old) = self.refresh_tokens.get_mut(&sent) {
                old.replaced.get_or_insert(now + grace);
            }
            self.refresh_token(&token.user, serial, now)
        });
        let result = json!({
            "AccessToken": format!("fake-access-token-{serial}"),
            "ExpiresIn": self.id_lifetime.as_secs(),
            "IdToken": id_token,
            "RefreshToken": rotated,
            "TokenType": "Bearer",
        });
        Ok(json!({ "AuthenticationResult": result, "ChallengeParameters": {} }))
    }

    fn check_secret(
        &self,
        by_flow: bool,
        body: &RequestBody,
        token: Option<&RefreshToken>,
    ) -> Result<(), ServiceError> {
        let Some(secret) = &self.client_secret else { return Ok(()) };
        let id = CLIENT_ID;
        let user = token.map_or("", |token| &token.user);
        let (sent, expected) = if by_flow {
            let hash = hmac(secret, &[user, id]).map(|hash| hash.expose().to_owned());
            (body.auth_parameters.get("SECRET_HASH"), hash.unwrap_or_default())
        } else {
            (body.client_secret.as_ref(), secret.clone())
        };
        match sent {
            None => Err(not_authorized(format!(
                "Client {id} is configured for secret but secret was not received"
            ))),
            Some(sent) if *sent != expected => {
                Err(not_authorized(format!("SecretHash does not match for the client: {id}")))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn refresh_token(
        &mut self,
        user: &str,
        serial: &mut u64,
        now: SystemTime,
    ) -> String {
        *serial += 1;
        let token = format!("fake-refresh-token-{serial}");
        let end = now + self.refresh_lifetime;
        let issued = RefreshToken { user: user.to_owned(), end, revoked: false, replaced: None };
        self.refresh_tokens.insert(token.clone(), issued);
        token
    }

    pub(super) fn revoke(&mut self, user: &str) {
        for token in self.refresh_tokens.values_mut() {
            token.revoked |= token.user == user;
        }
    }

    /// Issues a JWT and accepts it as a login until it expires.
    fn id_token(
        &self,
        user: &str,
        serial: &mut u64,
        logins: &mut LoginTokens,
        now: SystemTime,
    ) -> String {
        *serial += 1;
        let end = now + self.id_lifetime;
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
        };
        let payload = json!({
            "sub": user,
            "cognito:username": user,
            "aud": CLIENT_ID,
            "iss": format!("https://{}", provider()),
            "token_use": "id",
            "jti": serial.to_string(),
            "iat": seconds(now),
            "exp": seconds(end),
        });
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = json!({ "alg": "RS256", "kid": "fake" });
        let token = format!("{}.{}.{}", part(header), part(payload), part(json!("fake")));
        logins.accept(provider(), token.clone(), user.to_owned(), Some(end));
        token
    }
}

pub(super) fn provider() -> String {
    UserPoolId::parse(ID).map(|id| id.provider()).unwrap_or_default()
}
