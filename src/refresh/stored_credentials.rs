//! Credentials that another process has stored, in place of a refresh, and one refresh for all
//! processes that would make the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cell::lease::Windows;
use crate::clock::Clock;
use crate::error::Error;
use crate::refresh::credential_record::{CredentialStore, Kept, Scope};
use crate::refresh::identity::{Identity, IdentityOrigin};
use crate::refresh::{CredentialSet, CredentialsFlow, Principal, ProviderState, Refresher};
use crate::service::cognito_identity::Id;
use crate::service::retry::Budget;
use crate::storage::Storage;

/// On a clock that does not count suspend, the two clocks agree when they differ by no more.
const AGREEMENT: Duration = Duration::from_secs(5);

/// What a load is for.
pub(crate) struct Wanted<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) budget: &'a Budget,
    /// Whether it must come from the service.
    pub(crate) new: bool,
    /// The boot time after which a stored set must have been asked for.
    pub(crate) after: Option<Duration>,
}

/// What a load goes through where credentials are stored. A provider names the trait alone, so that a
/// program without the setting is linked without the record and all that reads it.
pub(crate) trait Reuse: Send + Sync {
    /// What is stored, if it serves, else what the service issues, which is stored then.
    fn load(
        &self,
        refresher: &Refresher,
        wanted: &Wanted<'_>,
        state: &dyn ProviderState,
    ) -> Result<CredentialSet, Error>;

    /// Removes what is stored. False if it may still be there.
    fn forget(&self) -> bool;
}

/// A stored set that serves.
struct Found {
    set: CredentialSet,
    /// Whether an attempt to renew it comes first.
    due: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fresh,
    /// Inside its advisory window, or over by the wall clock alone.
    Due,
    Over,
}

pub(crate) struct Stored {
    store: CredentialStore,
    clock: Arc<dyn Clock>,
    windows: Windows,
    attempt_timeout: Duration,
    login_id: Option<String>,
    /// Whether it was said that nothing is stored.
    told: AtomicBool,
}

impl Stored {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        windows: Windows,
        attempt_timeout: Duration,
        pool: &Id,
        login_id: Option<String>,
        role_arn: Option<&str>,
    ) -> Self {
        let store = CredentialStore::new(storage, pool, login_id.as_deref(), role_arn);
        Self { store, clock, windows, attempt_timeout, login_id, told: AtomicBool::new(false) }
    }

    /// What a record must be of; `None` if nothing is to be stored.
    fn scope(&self, refresher: &Refresher, principal: &Principal) -> Option<String> {
        let providers: Vec<_> = principal.logins.providers().collect();
        let user = refresher.developer.is_some() || !providers.is_empty();
        let boot_id = self.clock.boot_id();
        let why = match &boot_id {
            None => "the clock has no boot ID",
            Some(_) if user && self.login_id.is_none() => {
                "there are logins, but no login_id to tell users apart"
            }
            Some(_) => "",
        };
        if !why.is_empty() {
            if !self.told.swap(true, Ordering::Relaxed) {
                log::warn!("no credentials are stored or reused: {why}");
            }
            return None;
        }
        let (custom_role_arn, role) = match &refresher.flow {
            CredentialsFlow::Enhanced { custom_role_arn } => (custom_role_arn.as_deref(), None),
            CredentialsFlow::Classic { sts_url, role, .. } => {
                (None, Some((sts_url.as_str(), role)))
            }
        };
        let scope = Scope {
            boot_id: boot_id.as_deref()?,
            pool: refresher.pool.as_ref()?.as_str(),
            login_id: self.login_id.as_deref(),
            developer: refresher.developer.is_some(),
            providers,
            endpoint: &refresher.cognito_url,
            custom_role_arn,
            role,
        };
        scope.text()
    }

    /// The stored set, if it serves.
    fn find(
        &self,
        refresher: &Refresher,
        wanted: &Wanted<'_>,
        scope: &str,
        state: &dyn ProviderState,
    ) -> Option<Found> {
        let now = self.clock.boot();
        let kept = self.store.load(scope, now)?;
        let newer = wanted.after.is_none_or(|after| kept.lease.start() > after);
        let standing = self.standing(&kept, now);
        if !newer || standing == Standing::Over {
            return None;
        }
        let principal = wanted.principal;
        let identity = match &principal.identity {
            Some(known) => known.clone(),
            // The backend would name it, and is not asked.
            None if refresher.developer.is_some() && !principal.storage_cleared => {
                Identity { id: kept.identity.clone(), origin: IdentityOrigin::Stored, given: true }
            }
            None => refresher.stored_identity(principal)?,
        };
        if identity.id != kept.identity || !refresher.is_of_region(&identity.id) {
            return None;
        }
        if principal.identity.is_none() {
            state.set_identity(Some(&identity));
        }
        if let Some(seen) = kept.service {
            refresher.client.has_seen(seen);
        }
        let set = CredentialSet { credentials: kept.credentials, data: None, lease: kept.lease };
        Some(Found { set, due: standing == Standing::Due })
    }

    fn standing(&self, kept: &Kept, now: Duration) -> Standing {
        let mut left = kept.lease.left(now);
        let by_wall = kept.lease.left_by_wall(self.clock.wall());
        if !self.clock.boot_counts_suspend() {
            // What the wall clock gained may be time spent suspended. What it lost cannot be, and may
            // hide such time.
            if by_wall > left.saturating_add(AGREEMENT) {
                return Standing::Over;
            }
            left = left.min(by_wall);
        }
        if left <= self.windows.expiry {
            Standing::Over
        } else if left < self.windows.advisory_for(kept.lease.lifetime) || by_wall.is_zero() {
            Standing::Due
        } else {
            Standing::Fresh
        }
    }

    /// Stores what the service has issued, unless it is called off already.
    fn keep(
        &self,
        refresher: &Refresher,
        set: &CredentialSet,
        scope: &str,
        state: &dyn ProviderState,
    ) {
        if !state.is_current() {
            return;
        }
        let credentials = set.credentials.clone();
        let Some(identity) = credentials.identity_id().and_then(|id| Id::parse(id).ok()) else {
            return;
        };
        let (lease, service) = (set.lease, refresher.client.last_seen());
        self.store.save(&Kept { credentials, identity, lease, service }, scope);
        // Called off while it was being written: it must not come back.
        if !state.is_current() {
            self.store.remove();
        }
    }
}

impl Reuse for Stored {
    fn load(
        &self,
        refresher: &Refresher,
        wanted: &Wanted<'_>,
        state: &dyn ProviderState,
    ) -> Result<CredentialSet, Error> {
        let Wanted { principal, budget, new, .. } = *wanted;
        let Some(scope) = self.scope(refresher, principal) else {
            return refresher.refresh(principal, budget, state);
        };
        let find = || if new { None } else { self.find(refresher, wanted, &scope, state) };
        let mut found = find();
        if let Some(Found { set, due: false }) = found {
            return Ok(set);
        }
        let now = self.clock.boot();
        let budget = match &found {
            // As in the advisory window of a set that is held: it is good for a while yet.
            Some(_) => {
                let end = now.saturating_add(self.attempt_timeout);
                &Budget::advisory(budget.deadline.min(end))
            }
            None => budget,
        };
        // Who must ask the service itself waits for nobody. Others leave as much time for that as they
        // wait, for the holder may hang.
        let left = budget.deadline.saturating_sub(now);
        let lock = self.store.lock(if new { Duration::ZERO } else { left / 2 });
        if lock.is_some() {
            found = find();
            if let Some(Found { set, due: false }) = found {
                return Ok(set);
            }
        }
        match (refresher.refresh(principal, budget, state), found) {
            (Ok(set), _) => {
                self.keep(refresher, &set, &scope, state);
                drop(lock);
                Ok(set)
            }
            (Err(error), Some(Found { set, .. })) if wanted.budget.allows_recovery() => {
                log::warn!("could not renew the stored credentials ahead of time: {error:#}");
                Ok(set)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn forget(&self) -> bool {
        self.store.remove()
    }
}
