//! The user pool of the fake: refresh tokens, and the ID tokens that come of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::fake_cognito::{FakeCognito, Input, Login, Refusal, Service, not_authorized};
use crate::service::cognito_idp::{UserPoolId, hmac};

pub(super) struct UserPool {
    client_secret: Option<String>,
    /// The grace period, where refresh tokens are rotated.
    rotation: Option<Duration>,
    id_lifetime: Duration,
    refresh_lifetime: Duration,
    refresh_tokens: BTreeMap<String, RefreshToken>,
    disabled: BTreeSet<String>,
}

#[derive(Clone)]
struct RefreshToken {
    user: String,
    end: SystemTime,
    revoked: bool,
    /// When it is no longer taken, since another came in its place.
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

/// The user pool (feature `user-pool`). There is one, with one app client, and its ID tokens are
/// logins of every identity pool. `DeviceKey` is not judged.
impl FakeCognito {
    /// The user pool.
    pub const USER_POOL_ID: &str = "us-east-1_FakePool1";

    /// The user pool's app client.
    pub const CLIENT_ID: &str = "fakeclient0123456789fakecl";

    /// Signs a user in and returns the refresh token. The name is the one that the pool itself has
    /// for the user. A user who was [disabled](Self::disable_user) no longer is.
    #[must_use]
    pub fn sign_in(&self, user: &str) -> String {
        let now = self.now();
        let mut service = self.service();
        service.user_pool.disabled.remove(user);
        service.refresh_token(user, now)
    }

    /// Signs a user out everywhere: refresh tokens are revoked, and ID tokens no longer taken as
    /// logins, as by an identity pool that checks tokens with the user pool.
    pub fn sign_out(&self, user: &str) {
        let mut service = self.service();
        for token in service.user_pool.refresh_tokens.values_mut() {
            token.revoked |= token.user == user;
        }
        let provider = provider();
        service.logins.retain(|(of, _), login| *of != provider || login.user != user);
    }

    /// Disables a user: renewals are refused until they [sign in](Self::sign_in) again.
    pub fn disable_user(&self, user: &str) {
        self.service().user_pool.disabled.insert(user.to_owned());
    }

    /// Gives the app client a secret, or takes it away. Default: none.
    pub fn set_client_secret(&self, secret: Option<&str>) {
        self.service().user_pool.client_secret = secret.map(str::to_owned);
    }

    /// Turns the rotation of refresh tokens on, with the time for which a replaced one is still
    /// taken, or off. Default: off.
    pub fn set_refresh_token_rotation(&self, grace: Option<Duration>) {
        self.service().user_pool.rotation = grace;
    }

    /// Sets how long the ID tokens that are issued from now on live. Default: one hour.
    pub fn set_id_token_lifetime(&self, lifetime: Duration) {
        self.service().user_pool.id_lifetime = lifetime;
    }

    /// Sets how long the refresh tokens that are issued from now on live. Default: 30 days.
    pub fn set_refresh_token_lifetime(&self, lifetime: Duration) {
        self.service().user_pool.refresh_lifetime = lifetime;
    }
}

impl Service {
    pub(super) fn renew(
        &mut self,
        operation: &str,
        input: &Input,
        now: SystemTime,
    ) -> Result<serde_json::Value, Refusal> {
        let id = input.client_id.as_deref().unwrap_or_default();
        if id != FakeCognito::CLIENT_ID {
            let message = format!("User pool client {id} does not exist.");
            return Err(Refusal("ResourceNotFoundException", message));
        }
        let by_flow = operation == "InitiateAuth";
        let flow = input.auth_flow.as_deref().unwrap_or_default();
        if by_flow && (flow != "REFRESH_TOKEN_AUTH" || self.user_pool.rotation.is_some()) {
            let message = format!("{flow} flow not enabled for this client");
            return Err(Refusal("InvalidParameterException", message));
        }
        let sent = input.refresh_token().unwrap_or_default().to_owned();
        let token = self.user_pool.refresh_tokens.get(&sent).cloned();
        self.check_secret(by_flow, input, token.as_ref())?;
        let token = token.ok_or_else(|| not_authorized("Invalid Refresh Token"))?;
        if self.user_pool.disabled.contains(&token.user) {
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
            return Err(Refusal("RefreshTokenReuseException", message));
        }
        let id_token = self.id_token(&token.user, now);
        let rotated = self.user_pool.rotation.map(|grace| {
            if let Some(old) = self.user_pool.refresh_tokens.get_mut(&sent) {
                old.replaced.get_or_insert(now + grace);
            }
            self.refresh_token(&token.user, now)
        });
        let result = json!({
            "AccessToken": format!("fake-access-token-{}", self.serial),
            "ExpiresIn": self.user_pool.id_lifetime.as_secs(),
            "IdToken": id_token,
            "RefreshToken": rotated,
            "TokenType": "Bearer",
        });
        Ok(json!({ "AuthenticationResult": result, "ChallengeParameters": {} }))
    }

    fn check_secret(
        &self,
        by_flow: bool,
        input: &Input,
        token: Option<&RefreshToken>,
    ) -> Result<(), Refusal> {
        let Some(secret) = &self.user_pool.client_secret else { return Ok(()) };
        let id = FakeCognito::CLIENT_ID;
        let user = token.map_or("", |token| &token.user);
        let (sent, expected) = if by_flow {
            let hash = hmac(secret, &[user, id]).map(|hash| hash.expose().to_owned());
            (input.auth_parameters.get("SECRET_HASH"), hash.unwrap_or_default())
        } else {
            (input.client_secret.as_ref(), secret.clone())
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

    fn refresh_token(&mut self, user: &str, now: SystemTime) -> String {
        self.serial += 1;
        let token = format!("fake-refresh-token-{}", self.serial);
        let end = now + self.user_pool.refresh_lifetime;
        let issued = RefreshToken { user: user.to_owned(), end, revoked: false, replaced: None };
        self.user_pool.refresh_tokens.insert(token.clone(), issued);
        token
    }

    /// A token in the form of a JWT, which is a login until it ends.
    fn id_token(&mut self, user: &str, now: SystemTime) -> String {
        self.serial += 1;
        let end = now + self.user_pool.id_lifetime;
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
        };
        let payload = json!({
            "sub": user,
            "cognito:username": user,
            "aud": FakeCognito::CLIENT_ID,
            "iss": format!("https://{}", provider()),
            "token_use": "id",
            "jti": self.serial.to_string(),
            "iat": seconds(now),
            "exp": seconds(end),
        });
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = json!({ "alg": "RS256", "kid": "fake" });
        let token = format!("{}.{}.{}", part(header), part(payload), part(json!("fake")));
        let login = Login { user: user.to_owned(), expired: false, end: Some(end) };
        self.logins.insert((provider(), token.clone()), login);
        token
    }
}

/// The name under which the user pool's tokens are logins.
fn provider() -> String {
    UserPoolId::parse(FakeCognito::USER_POOL_ID).map(|id| id.provider()).unwrap_or_default()
}
