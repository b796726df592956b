//! One refresh, from login tokens to credentials, and what to do about an identity or a login that
//! the service refuses.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Answer, Client};
use crate::cognito::{GetCredentialsForIdentity, GetId, Id, IssuedCredentials};
use crate::credentials::Credentials;
use crate::error::{Cause, Error};
use crate::lease::Lease;
use crate::logins::{Logins, Tokens};
use crate::protocol::Operation;
use crate::retry::Budget;

/// No lifetime is believed to be longer: it is the most that a role may grant.
const LONGEST_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The part of the settings that does not change.
pub(crate) struct Flow {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) pool: Option<Id>,
    pub(crate) account_id: Option<String>,
    pub(crate) custom_role_arn: Option<String>,
    pub(crate) allow_new_guest: bool,
}

/// Who a refresh is for.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) logins: Arc<Logins>,
    pub(crate) identity: Option<Identity>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Id,
    pub(crate) origin: IdentityOrigin,
}

/// Where an identity ID came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityOrigin {
    /// The program set it. It is never given up because of a failure.
    Given,
    /// `GetId` returned it.
    Minted,
    /// The service answered with this one instead of the one that it was asked for, as it does
    /// when a login ties two identities together.
    Merged,
}

pub(crate) struct Refreshed {
    pub(crate) credentials: Credentials,
    pub(crate) lease: Lease,
}

/// What may help against an error.
enum Remedy {
    None,
    /// Ask `GetId` for another identity.
    NewIdentity {
        forget: bool,
        ask_sources: bool,
    },
    /// Ask the token sources again.
    NewTokens,
}

impl Flow {
    /// Fetches credentials for `subject`. Every change of the identity goes to `remember` as soon
    /// as it is known, so that it outlives a later failure.
    pub(crate) fn refresh(
        &self,
        subject: &Subject,
        budget: &Budget,
        remember: &dyn Fn(Option<Identity>),
    ) -> Result<Refreshed, Error> {
        let mut tokens = subject.logins.tokens()?;
        let mut known = subject.identity.clone();
        let mut minted = false;
        let error = match self.attempt(&tokens, &mut known, &mut minted, budget, remember) {
            Err(error) if budget.recover => error,
            done => return done,
        };
        match self.remedy(&error, &tokens, known.as_ref(), minted) {
            Remedy::None => return Err(error),
            Remedy::NewIdentity { forget, ask_sources } => {
                log::info!("the service refused the identity; asking for another: {error}");
                if forget {
                    remember(None);
                }
                known = None;
                if ask_sources {
                    tokens = subject.logins.tokens()?;
                }
            }
            Remedy::NewTokens => {
                let fresh = subject.logins.tokens()?;
                if fresh == tokens {
                    return Err(error);
                }
                tokens = fresh;
            }
        }
        self.attempt(&tokens, &mut known, &mut minted, budget, remember)
    }

    fn attempt(
        &self,
        tokens: &Tokens,
        known: &mut Option<Identity>,
        minted: &mut bool,
        budget: &Budget,
        remember: &dyn Fn(Option<Identity>),
    ) -> Result<Refreshed, Error> {
        let identity = if let Some(identity) = known {
            identity
        } else {
            let id = self.get_id(tokens, budget)?;
            let identity = known.insert(Identity { id, origin: IdentityOrigin::Minted });
            *minted = true;
            remember(Some(identity.clone()));
            identity
        };
        let operation = GetCredentialsForIdentity {
            identity_id: &identity.id,
            logins: tokens,
            custom_role_arn: self.custom_role_arn.as_deref(),
        };
        let answer = self.client.call(&self.url, &operation, budget)?;
        if let Some(id) = answer.output.identity_id.as_ref().filter(|id| **id != identity.id) {
            log::info!("the service merged the identity into another one");
            *identity = Identity { id: id.clone(), origin: IdentityOrigin::Merged };
            remember(Some(identity.clone()));
        }
        let lease = lease(&answer)?;
        let id = identity.id.as_str().to_owned();
        let IssuedCredentials { access_key_id, secret_key, session_token, expiration, .. } =
            answer.output;
        let credentials =
            Credentials::of_identity(id, access_key_id, secret_key, session_token, expiration);
        Ok(Refreshed { credentials, lease })
    }

    fn get_id(&self, tokens: &Tokens, budget: &Budget) -> Result<Id, Error> {
        let Some(pool) = &self.pool else {
            return Err(Error::identity_unknown(
                "no identity ID is known, and without identity_pool_id none can be asked for",
            ));
        };
        if tokens.is_empty() && !self.allow_new_guest {
            return Err(Error::identity_unknown(
                "no identity ID is known, and allow_new_guest(false) forbids asking for a new guest",
            ));
        }
        let account_id = self.account_id.as_deref();
        let operation = GetId { identity_pool_id: pool, account_id, logins: tokens };
        self.client.call(&self.url, &operation, budget).map(|answer| answer.output)
    }

    /// At most one remedy is tried in a refresh. What is not known to help is left alone: a wrong
    /// guess would cost the device its identity.
    fn remedy(
        &self,
        error: &Error,
        tokens: &Tokens,
        known: Option<&Identity>,
        minted: bool,
    ) -> Remedy {
        let guest = tokens.is_empty();
        let replaceable = self.pool.is_some()
            && known.is_some_and(|identity| identity.origin != IdentityOrigin::Given);
        match error.cause() {
            Cause::IdentityForbidden | Cause::IdentityNotFound if replaceable && guest => {
                if self.allow_new_guest {
                    Remedy::NewIdentity { forget: true, ask_sources: false }
                } else {
                    Remedy::None
                }
            }
            Cause::IdentityForbidden | Cause::IdentityNotFound if replaceable => {
                Remedy::NewIdentity { forget: false, ask_sources: true }
            }
            Cause::LoginsMismatch if replaceable && !guest && !minted => {
                Remedy::NewIdentity { forget: true, ask_sources: false }
            }
            Cause::TokenExpired | Cause::TokenInvalid if !guest => Remedy::NewTokens,
            _ => Remedy::None,
        }
    }
}

/// The life of the credentials on the service's own clock, counted from before they were asked for.
fn lease(answer: &Answer<IssuedCredentials>) -> Result<Lease, Error> {
    match answer.output.expiration.duration_since(answer.date) {
        Ok(lifetime) if !lifetime.is_zero() => {
            let Answer { sent, .. } = answer;
            Ok(Lease::new(sent.boot, sent.wall, lifetime.min(LONGEST_LIFETIME)))
        }
        _ => Err(Error::response(
            GetCredentialsForIdentity::NAME,
            answer.info.clone(),
            "the credentials had already expired when they were issued",
        )),
    }
}
