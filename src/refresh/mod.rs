//! One refresh: login tokens, then the identity, then credentials.
//!
//! If the service rejects the identity or a login, the refresh recovers at most once. `recovery`
//! has the table of cases.
//!
//! | file | holds |
//! |---|---|
//! | this file | [`Refresher`], which runs a refresh |
//! | `flows` | the enhanced and the classic flow: the calls that get credentials |
//! | `recovery` | what a refresh tries after a rejection |
//! | `identity` | where an identity came from, and how it is stored |
//! | `stored_credentials` | credentials that another process stored, in place of a service call |
//! | `credential_record` | the record they are stored in |

pub(crate) mod credential_record;
mod flows;
pub(crate) mod identity;
mod recovery;
pub(crate) mod stored_credentials;

use std::sync::Arc;
use std::time::Duration;

use self::identity::{Identity, IdentityRecords, StoreOutcome};
use self::recovery::{Caller, Recovery};
use crate::cell::lease::Lease;
use crate::credentials::{Credentials, ResponseData};
use crate::developer::{DeveloperIdentity, DeveloperIdentityProvider};
use crate::error::{Error, ResponseMetadata};
use crate::logins::{Logins, Tokens};
use crate::service::budget::Budget;
use crate::service::client::Client;
use crate::service::cognito_identity::{GetId, Id, check_logins};
use crate::service::protocol::Operation;
use crate::service::sts::RoleRequest;

/// The lifetime of credentials if no duration is requested.
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

pub use self::identity::{IdentityChange, IdentityChangeReason, IdentityOrigin};

/// Runs refreshes. It holds the settings that do not change.
pub(crate) struct Refresher {
    pub(crate) client: Client,
    pub(crate) cognito_url: String,
    /// Identities must be in this region. `None` for emulators, which mix regions.
    pub(crate) region: Option<String>,
    pub(crate) pool: Option<Id>,
    pub(crate) account_id: Option<String>,
    pub(crate) flow: CredentialsFlow,
    /// The lifetime to request. Credentials never live longer here, whatever the answer says.
    /// Otherwise a wrong `Date` or clock would keep expired credentials in use.
    pub(crate) lifetime: Duration,
    pub(crate) developer: Option<Developer>,
    pub(crate) store: Option<Box<dyn IdentityRecords>>,
    pub(crate) allow_new_guest: bool,
}

pub(crate) enum CredentialsFlow {
    Enhanced { custom_role_arn: Option<String> },
    Classic { flow: ClassicFlow, sts_url: String, role: RoleRequest },
}

/// The only value is [`CLASSIC_FLOW`].
#[derive(Clone, Copy)]
pub(crate) struct ClassicFlow(
    fn(&Refresher, &mut Refresh<'_>, &str, &RoleRequest) -> Result<CredentialSet, Error>,
);

/// The classic flow. Only `Builder::role_arn` names it, so the linker drops STS and its XML from
/// programs that never call it.
pub(crate) const CLASSIC_FLOW: ClassicFlow = ClassicFlow(Refresher::classic);

/// The developer identity provider, and the login provider name of its tokens.
pub(crate) struct Developer {
    pub(crate) provider: Arc<dyn DeveloperIdentityProvider>,
    pub(crate) login: &'static str,
}

/// Who a refresh gets credentials for: a guest or a signed-in user.
#[derive(Clone)]
pub(crate) struct Principal {
    pub(crate) logins: Arc<Logins>,
    pub(crate) identity: Option<Identity>,
    pub(crate) stale: StaleIdentities,
}

/// Identities that a refresh must not load: cleared, rejected, or merged into another one. The
/// storage may still hold them, because it could not remove them. The next write to the storage
/// ends this state.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct StaleIdentities {
    /// Whether all stored identities are stale, because the program cleared the identity.
    pub(crate) any: bool,
    rejected: Vec<Id>,
}

impl StaleIdentities {
    /// A temporary guest is never stored, so its rejection changes nothing.
    pub(crate) fn reject(&mut self, rejected: &Identity) {
        if !self.any && !rejected.temporary && !self.rejected.contains(&rejected.id) {
            self.rejected.push(rejected.id.clone());
        }
    }
}

/// Reads and changes the provider's state during a refresh. If the settings have changed since the
/// refresh began, the state does not change.
pub(crate) trait ProviderState {
    /// Sets the identity. Returns `false` if the refresh is out of date.
    fn set_identity(&self, identity: &Identity) -> bool;

    /// Clears the identity, because the service rejected it. Returns the identities that must not
    /// be loaded now, or `None` if the refresh is out of date.
    fn reject_identity(&self, rejected: &Identity) -> Option<StaleIdentities>;

    /// Notes that the storage holds no cleared or rejected identity.
    fn mark_stored_identity_current(&self);

    /// Returns `false` after a change of the settings or a call of `expire` since the refresh
    /// began.
    fn is_current(&self) -> bool;

    /// Returns the current identity. Another thread may have set it.
    fn identity(&self) -> Option<Identity>;

    fn notify(&self, change: IdentityChange);
}

pub(crate) struct CredentialSet {
    pub(crate) credentials: Credentials,
    /// `None` if the credentials come from the storage.
    pub(crate) data: Option<ResponseData>,
    pub(crate) lease: Lease,
    /// The error of the early refresh, if these are stored credentials that it could not replace.
    pub(crate) early_error: Option<Error>,
}

struct Refresh<'a> {
    budget: &'a Budget,
    state: &'a dyn ProviderState,
    principal: &'a Principal,
    tokens: Tokens,
    developer: Option<DeveloperIdentity>,
    identity: Option<Identity>,
    /// Whether `GetId` returned the identity in this refresh.
    minted: bool,
    rejected: Option<Identity>,
}

impl Refresh<'_> {
    fn identity(&self) -> Result<Identity, Error> {
        self.identity.clone().ok_or_else(|| Error::identity_unknown("no identity ID is known"))
    }
}

impl Refresher {
    /// Gets credentials for `principal` from the service. Tries once more if a [`Recovery`] may
    /// help.
    pub(crate) fn refresh(
        &self,
        principal: &Principal,
        budget: &Budget,
        state: &dyn ProviderState,
    ) -> Result<CredentialSet, Error> {
        let mut refresh = Refresh {
            budget,
            state,
            principal,
            tokens: Tokens::default(),
            developer: None,
            identity: principal.identity.clone(),
            minted: false,
            rejected: None,
        };
        self.fetch_tokens(&mut refresh, &Tokens::default())?;
        self.replace_temporary_identity(&mut refresh);
        let error = match self.request_credentials(&mut refresh) {
            Err(error) if budget.allows_recovery() => error,
            done => return done,
        };
        let recovery = self.recovery(&error, &refresh);
        if let Recovery::NewTokensAndIdentity | Recovery::ForgetIdentity = recovery {
            log::info!("the service rejected the identity; requesting another one: {error}");
            refresh.rejected = refresh.identity.take();
        }
        match recovery {
            Recovery::None => return Err(error),
            Recovery::NewOpenIdToken => {}
            Recovery::NewTokens => {
                let before = (refresh.tokens.clone(), refresh.developer.clone());
                self.fetch_tokens(&mut refresh, &before.0)?;
                if before == (refresh.tokens.clone(), refresh.developer.clone()) {
                    return Err(error);
                }
            }
            Recovery::NewTokensAndIdentity => {
                self.fetch_tokens(&mut refresh, &Tokens::default())?;
                self.replace_identity(&mut refresh)?;
            }
            Recovery::ForgetIdentity => {
                self.forget_rejected(&refresh);
                self.replace_identity(&mut refresh).inspect_err(|_| {
                    if state.identity().is_none() {
                        let old = refresh.rejected.as_ref().map(|identity| &identity.id);
                        state.notify(IdentityChange::new(old, None, IdentityChangeReason::Cleared));
                    }
                })?;
            }
        }
        self.request_credentials(&mut refresh)
    }

    fn recovery(&self, error: &Error, refresh: &Refresh<'_>) -> Recovery {
        let given = refresh.identity.as_ref().is_none_or(|identity| identity.given);
        let (caller, allowed) = if refresh.developer.is_some() {
            (Caller::DeveloperUser, true)
        } else if refresh.tokens.is_empty() {
            (Caller::Guest, self.allow_new_guest)
        } else {
            (Caller::User, true)
        };
        let replaceable = allowed && self.pool.is_some() && !given;
        Recovery::after(error, caller, replaceable, refresh.minted)
    }

    /// Removes the rejected identity from memory and storage, unless the settings have changed.
    fn forget_rejected(&self, refresh: &Refresh<'_>) {
        let Some(rejected) = &refresh.rejected else { return };
        let stale = refresh.state.reject_identity(rejected).filter(|_| !rejected.temporary);
        if let (Some(stale), Some(store)) = (stale, &self.store) {
            if store.remove_any_of(&stale.rejected) {
                refresh.state.mark_stored_identity_current();
            }
        }
    }

    /// Returns the stored identity if it may be used with these logins. Returns an error if the
    /// record cannot be read.
    pub(crate) fn stored_identity(&self, principal: &Principal) -> Result<Option<Identity>, Error> {
        let usable = self.developer.is_none() && !principal.stale.any;
        let Some(store) = self.store.as_ref().filter(|_| usable) else { return Ok(None) };
        // If the record had been readable, this user would already own the stored guest. So it may
        // be used now.
        let or_guest = principal.identity.as_ref().is_some_and(|known| known.temporary);
        let id = store
            .load(&mut principal.logins.providers(), or_guest)?
            .filter(|id| self.is_of_region(id) && !principal.stale.rejected.contains(id));
        Ok(id.map(|id| Identity::new(id, IdentityOrigin::Stored)))
    }

    /// Reads the stored identity again, if it could not be read before. Stores the temporary guest
    /// if there is no record.
    fn replace_temporary_identity(&self, refresh: &mut Refresh<'_>) {
        let Some(temporary) = refresh.identity.as_mut().filter(|known| known.temporary) else {
            return;
        };
        match self.stored_identity(refresh.principal) {
            Err(_) => {}
            Ok(Some(stored)) if stored.id != temporary.id => {
                log::info!("the stored identity replaces the temporary guest");
                self.adopt_identity(refresh, stored, IdentityChangeReason::Replaced, false);
            }
            Ok(_) => {
                temporary.temporary = false;
                // A signed-in user's identity is stored after the service has accepted the login.
                if refresh.tokens.is_empty() {
                    self.store_identity(refresh, true);
                }
            }
        }
    }

    /// Gets another identity in place of the rejected one. A guest uses the identity that another
    /// process has stored meanwhile. Otherwise the identity comes from `GetId`.
    fn replace_identity(&self, refresh: &mut Refresh<'_>) -> Result<(), Error> {
        let rejected = refresh.rejected.as_ref().map(|identity| identity.id.clone());
        let stored = self.stored_identity(refresh.principal);
        let is_unreadable = stored.is_err();
        let other =
            |stored: &Identity| Some(&stored.id) != rejected.as_ref() && refresh.tokens.is_empty();
        match stored.ok().flatten().filter(other) {
            Some(stored) => {
                self.adopt_identity(refresh, stored, IdentityChangeReason::Replaced, false);
                Ok(())
            }
            None => self.get_id(refresh, is_unreadable),
        }
    }

    /// Gets login tokens from the token sources or from the developer identity provider. Asks for
    /// tokens other than the `refused` ones.
    fn fetch_tokens(&self, refresh: &mut Refresh<'_>, refused: &Tokens) -> Result<(), Error> {
        let Some(developer) = &self.developer else {
            let left = || self.client.left(refresh.budget);
            refresh.tokens = refresh.principal.logins.tokens(refused, left)?;
            return check_logins(&refresh.tokens);
        };
        if refresh.principal.logins.providers().next().is_some() {
            return Err(Error::config("login", "cannot be combined with developer_identity"));
        }
        let answer = developer.provider.identity().map_err(|source| {
            Error::login("the developer identity provider failed".to_owned(), Some(source))
        })?;
        let id = Id::parse(&answer.identity_id).map_err(|fault| {
            let what = "the developer identity provider returned an identity ID that";
            Error::login(format!("{what} {fault}"), None)
        })?;
        if !self.is_of_region(&id) {
            let what = "the developer identity provider returned an identity ID of another region";
            return Err(Error::login(what.to_owned(), None));
        }
        refresh.tokens = Tokens::one(developer.login, answer.token.clone())?;
        let identity = Identity::new(id, IdentityOrigin::Developer);
        self.adopt_identity(refresh, identity, IdentityChangeReason::Given, false);
        refresh.developer = Some(answer);
        Ok(())
    }

    fn request_credentials(&self, refresh: &mut Refresh<'_>) -> Result<CredentialSet, Error> {
        if refresh.identity.is_none() {
            match self.stored_identity(refresh.principal) {
                Ok(Some(stored)) => {
                    refresh.state.set_identity(&stored);
                    refresh.identity = Some(stored);
                }
                stored => self.get_id(refresh, stored.is_err())?,
            }
        }
        match &self.flow {
            CredentialsFlow::Enhanced { custom_role_arn } => {
                self.enhanced(refresh, custom_role_arn.as_deref())
            }
            CredentialsFlow::Classic { flow, sts_url, role } => {
                (flow.0)(self, refresh, sts_url, role)
            }
        }
    }

    /// Calls `GetId`. A new guest is temporary if the stored identity could not be read.
    fn get_id(&self, refresh: &mut Refresh<'_>, is_unreadable: bool) -> Result<(), Error> {
        let Some(pool) = &self.pool else {
            return Err(Error::identity_unknown(
                "no identity ID is known, and none can be requested because identity_pool_id is not set",
            ));
        };
        let guest = refresh.tokens.is_empty();
        if guest && !self.allow_new_guest {
            return Err(Error::identity_unknown(
                "no identity ID is known, and allow_new_guest(false) forbids a new guest",
            ));
        }
        let account_id = self.account_id.as_deref();
        let refused = refresh.rejected.as_ref().map(|identity| &identity.id);
        let operation =
            GetId { identity_pool_id: pool, account_id, logins: &refresh.tokens, refused };
        let answer = self.client.call(&self.cognito_url, &operation, refresh.budget)?;
        let id = self.check_region(GetId::NAME, &answer.metadata, answer.output)?;
        let reason = match refresh.rejected {
            Some(_) => IdentityChangeReason::Replaced,
            None => IdentityChangeReason::Minted,
        };
        if let Some(rejected) = refresh.rejected.as_ref().filter(|rejected| rejected.id != id) {
            refresh.state.reject_identity(rejected);
        }
        refresh.minted = true;
        // A guest is stored at once. Otherwise a device that crashes before it has credentials
        // would create a new guest at each start.
        let temporary = guest && is_unreadable;
        let identity = Identity { temporary, ..Identity::new(id, IdentityOrigin::Minted) };
        self.adopt_identity(refresh, identity, reason, guest);
        Ok(())
    }

    /// Adopts the identity in the answer if it is another one. Otherwise stores the known identity.
    fn confirm_identity(
        &self,
        refresh: &mut Refresh<'_>,
        operation: &'static str,
        metadata: &ResponseMetadata,
        answered: Option<Id>,
    ) -> Result<Id, Error> {
        let identity = refresh.identity()?;
        let answered = answered.map(|id| self.check_region(operation, metadata, id)).transpose()?;
        if let Some(id) = answered.filter(|id| *id != identity.id) {
            log::info!("the service merged the identity into another one");
            refresh.state.reject_identity(&identity);
            let merged = Identity { id, origin: IdentityOrigin::Merged, ..identity };
            self.adopt_identity(refresh, merged, IdentityChangeReason::Merged, true);
        } else {
            self.store_identity(refresh, false);
        }
        Ok(refresh.identity()?.id)
    }

    fn check_region(
        &self,
        operation: &'static str,
        metadata: &ResponseMetadata,
        id: Id,
    ) -> Result<Id, Error> {
        if self.is_of_region(&id) {
            return Ok(id);
        }
        let what = "the answer's IdentityId is in another region than the identity pool";
        Err(Error::response(operation, metadata.clone(), what))
    }

    pub(crate) fn is_of_region(&self, id: &Id) -> bool {
        self.region.as_deref().is_none_or(|region| id.region() == region)
    }

    /// Makes this the current identity, and stores it if `store` is true. Notifies the program
    /// last, because the listener can panic, and the identity must not be lost then.
    fn adopt_identity(
        &self,
        refresh: &mut Refresh<'_>,
        identity: Identity,
        reason: IdentityChangeReason,
        store: bool,
    ) {
        let before = refresh.rejected.take().or_else(|| refresh.identity.take());
        let current = refresh.state.set_identity(&identity);
        let (old, new) = (before.map(|identity| identity.id), identity.id.clone());
        let is_new = identity.origin == IdentityOrigin::Minted;
        refresh.identity = Some(identity);
        if store {
            self.store_identity(refresh, is_new);
        }
        if current && old.as_ref() != Some(&new) {
            refresh.state.notify(IdentityChange::new(old.as_ref(), Some(&new), reason));
        }
    }

    /// Stores the identity, unless the settings have changed meanwhile. Does not store a temporary
    /// guest, nor an identity of the developer identity provider, which each refresh calls again.
    /// If the record cannot be read, a new guest (`is_new`) becomes temporary.
    fn store_identity(&self, refresh: &mut Refresh<'_>, is_new: bool) {
        let (Some(store), Some(identity), None) =
            (&self.store, &mut refresh.identity, &self.developer)
        else {
            return;
        };
        if !refresh.state.set_identity(identity) || identity.temporary {
            return;
        }
        let mut providers = refresh.tokens.iter().map(|(provider, _)| provider);
        let saved = store.save(&identity.id, &mut providers);
        if matches!(saved, StoreOutcome::Written | StoreOutcome::Unchanged) {
            refresh.state.mark_stored_identity_current();
        }
        if is_new && saved == StoreOutcome::Skipped {
            identity.temporary = true;
            refresh.state.set_identity(identity);
        }
        // Another thread may have cleared it during the write.
        if matches!(saved, StoreOutcome::Written | StoreOutcome::Failed)
            && refresh.state.identity().is_none()
        {
            store.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rejected_identity_that_may_be_stored_is_noted_once() {
        let guest = |digit: char| {
            let id = Id::parse(&format!("us-east-1:{}", digit.to_string().repeat(8))).unwrap();
            Identity::new(id, IdentityOrigin::Minted)
        };
        let temporary = Identity { temporary: true, ..guest('2') };
        for any in [false, true] {
            let mut stale = StaleIdentities { any, rejected: Vec::new() };
            for rejected in [&guest('1'), &temporary, &guest('3'), &guest('1')] {
                stale.reject(rejected);
            }
            let noted = if any { vec![] } else { vec![guest('1').id, guest('3').id] };
            assert_eq!(stale.rejected, noted, "any: {any}");
        }
    }
}
