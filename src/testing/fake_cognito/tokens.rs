//! Tokens that the fake service accepts: login tokens of any provider, and its own OpenID tokens.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::service_error::{ServiceError, not_authorized};

#[derive(Default)]
pub(super) struct LoginTokens(BTreeMap<(String, String), LoginToken>);

struct LoginToken {
    user: String,
    expired: bool,
    /// `None`: the token is valid until [`LoginTokens::expire`].
    end: Option<SystemTime>,
}

impl LoginTokens {
    pub(super) fn accept(
        &mut self,
        provider: String,
        token: String,
        user: String,
        end: Option<SystemTime>,
    ) {
        self.0.insert((provider, token), LoginToken { user, expired: false, end });
    }

    /// Returns `false` if the token was never accepted.
    pub(super) fn expire(&mut self, provider: &str, token: &str) -> bool {
        let token = self.0.get_mut(&(provider.into(), token.into()));
        token.map(|token| token.expired = true).is_some()
    }

    #[cfg(feature = "user-pool")]
    pub(super) fn remove_user(&mut self, provider: &str, user: &str) {
        self.0.retain(|(of, _), token| of != provider || token.user != user);
    }

    pub(super) fn user(
        &self,
        provider: &str,
        token: &str,
        now: SystemTime,
    ) -> Result<&str, ServiceError> {
        let found = self.0.get(&(provider.into(), token.into())).ok_or_else(|| {
            if self.0.keys().any(|(_, known)| known == token) {
                not_authorized("Invalid login token. Issuer doesn't match providerName")
            } else {
                unverified()
            }
        })?;
        if found.expired || found.end.is_some_and(|end| end <= now) {
            return Err(expired());
        }
        Ok(&found.user)
    }
}

#[derive(Default)]
pub(super) struct OpenIdTokens(BTreeMap<String, OpenIdToken>);

pub(super) struct OpenIdToken {
    pub(super) identity: String,
    pub(super) end: SystemTime,
}

impl OpenIdTokens {
    const LIFETIME: Duration = Duration::from_secs(600);

    pub(super) fn issue(&mut self, serial: u64, identity: &str, now: SystemTime) -> String {
        let token = format!("fake-open-id-token-{serial}");
        let issued = OpenIdToken { identity: identity.to_owned(), end: now + Self::LIFETIME };
        self.0.insert(token.clone(), issued);
        token
    }

    pub(super) fn get(&self, token: &str) -> Option<&OpenIdToken> {
        self.0.get(token)
    }

    /// Returns the identity of an OpenID token that is used as a login.
    pub(super) fn identity(&self, token: &str, now: SystemTime) -> Result<&str, ServiceError> {
        let token = self.get(token).ok_or_else(unverified)?;
        if token.end <= now { Err(expired()) } else { Ok(&token.identity) }
    }
}

fn unverified() -> ServiceError {
    not_authorized("Invalid login token. Couldn't verify signed token.")
}

fn expired() -> ServiceError {
    not_authorized("Invalid login token. Token expired: 1515184654 >= 1515167855")
}
