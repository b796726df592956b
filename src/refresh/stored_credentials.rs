//! Loads stored credentials instead of refreshing.
//!
//! Processes that share a storage share a refresh. One process locks the record, requests
//! credentials and stores them. The others load them.

use std::sync::Arc;
use std::time::Duration;

use crate::cell::lease::{Freshness, Windows};
use crate::clock::Clock;
use crate::error::Error;
use crate::refresh::credential_record::{CredentialRecord, RecordScope};
use crate::refresh::identity::{Identity, IdentityOrigin};
use crate::refresh::{
    CredentialSet, CredentialsFlow, Principal, ProviderState, Refresher, StaleIdentities,
};
use crate::service::budget::Budget;
use crate::service::cognito_identity::Id;
use crate::storage::{RecordStore, StorageFailure};

/// If the boot clock and the wall clock differ by at most this, the boot clock missed no suspend.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

const NO_BOOT_ID_HINT: &str = "make /proc/sys/kernel/random/boot_id and /proc/self/timens_offsets readable, or implement boot_id of the program's own Clock";

/// Says who the credentials are for, and which stored credentials may be used.
pub(crate) struct LoadOptions<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) budget: &'a Budget,
    /// Use no stored credentials.
    pub(crate) from_service: bool,
    /// Use only stored credentials that were requested after this boot time.
    pub(crate) requested_after: Option<Duration>,
}

/// Gets credentials from the storage or from the service. Other code names only this trait, so that
/// the linker drops the record and its parser from programs without `persist_credentials`.
pub(crate) trait LoadOrRefresh: Send + Sync {
    /// Returns the stored credentials if they may be used. Otherwise refreshes and stores the
    /// result.
    fn load_or_refresh(
        &self,
        refresher: &Refresher,
        options: &LoadOptions<'_>,
        state: &dyn ProviderState,
    ) -> Result<CredentialSet, Error>;

    /// Removes the stored credentials. Returns `false` if they may still be there.
    fn remove(&self) -> bool;

    fn storage_error(&self) -> Option<Error>;
}

pub(crate) struct StoredCredentials {
    pub(crate) store: RecordStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) windows: Windows,
    pub(crate) attempt_timeout: Duration,
    pub(crate) login_id: Option<String>,
}

impl StoredCredentials {
    /// Returns the scope that a record must have, or `None` if no credentials may be stored.
    fn scope(&self, refresher: &Refresher, principal: &Principal) -> Option<String> {
        let providers: Vec<_> = principal.logins.providers().collect();
        let user = refresher.developer.is_some() || !providers.is_empty();
        let boot_id = self.clock.boot_id();
        let reason = match &boot_id {
            None => Some(("the clock has no boot ID", NO_BOOT_ID_HINT)),
            Some(_) if user && self.login_id.is_none() => Some((
                "there are logins, but no login_id to tell users apart",
                "set login_id to a name of the user",
            )),
            Some(_) => None,
        };
        let error = reason.map(|(why, hint)| {
            Error::storage_unused(["no credentials are stored or reused: ", why].concat(), hint)
        });
        let is_noted = self.store.set_failure(StorageFailure::NotStored, error.clone());
        if let Some(error) = error {
            if !is_noted {
                log::warn!("{error}");
            }
            return None;
        }
        let (custom_role_arn, role) = match &refresher.flow {
            CredentialsFlow::Enhanced { custom_role_arn } => (custom_role_arn.as_deref(), None),
            CredentialsFlow::Classic { sts_url, role, .. } => {
                (None, Some((sts_url.as_str(), role)))
            }
        };
        let scope = RecordScope {
            boot_id: boot_id.as_deref()?,
            pool: refresher.pool.as_ref()?.as_str(),
            login_id: self.login_id.as_deref(),
            developer: refresher.developer.is_some(),
            providers,
            endpoint: &refresher.cognito_url,
            custom_role_arn,
            role,
        };
        serde_json::to_string(&scope).ok()
    }

    /// Returns the credentials in the record, fresh or advisory, if they may be used.
    fn usable(
        &self,
        refresher: &Refresher,
        options: &LoadOptions<'_>,
        record: CredentialRecord,
        now: Duration,
        state: &dyn ProviderState,
    ) -> Option<Freshness<CredentialSet>> {
        let CredentialRecord { credentials, identity: recorded, lease, service } = record;
        let newer = options.requested_after.is_none_or(|after| lease.start() > after);
        let stored = CredentialSet { credentials, data: None, lease, early_error: None };
        let stored = newer.then(|| self.freshness(stored, now))?;
        if let Freshness::Mandatory = stored {
            return None;
        }
        let principal = options.principal;
        let identity = match &principal.identity {
            Some(known) => known.clone(),
            // The developer identity provider is not called for stored credentials.
            None if refresher.developer.is_some()
                && principal.stale == StaleIdentities::default() =>
            {
                let id = recorded.clone();
                Identity { id, origin: IdentityOrigin::Stored, given: true, temporary: false }
            }
            None => refresher.stored_identity(principal).ok()??,
        };
        if identity.id != recorded || !refresher.is_of_region(&identity.id) {
            return None;
        }
        if principal.identity.is_none() {
            state.set_identity(&identity);
        }
        if let Some(seen) = service {
            refresher.client.set_service_time(seen);
        }
        Some(stored)
    }

    fn freshness(&self, stored: CredentialSet, now: Duration) -> Freshness<CredentialSet> {
        let mut left = stored.lease.left(now);
        let left_by_wall = stored.lease.left_by_wall(self.clock.wall());
        if !self.clock.boot_counts_suspend() {
            // If more time is left by the wall clock, it was set back, and that may hide time in
            // suspend. If less is left, the difference may be time in suspend.
            if left_by_wall > left.saturating_add(MAX_CLOCK_DIFFERENCE) {
                return Freshness::Mandatory;
            }
            left = left.min(left_by_wall);
        }
        // Exactly at the window, the next `get` would refresh them already.
        if left == self.windows.expiry {
            return Freshness::Mandatory;
        }
        let lifetime = stored.lease.lifetime;
        self.windows.freshness(stored, left, lifetime, left_by_wall.is_zero())
    }

    /// Stores new credentials, unless the settings have changed during the refresh. Does not store
    /// credentials of a temporary guest, because they would replace good credentials, and no other
    /// process could use them.
    fn save(
        &self,
        refresher: &Refresher,
        new: &CredentialSet,
        scope: &str,
        state: &dyn ProviderState,
    ) {
        let is_temporary = state.identity().is_some_and(|identity| identity.temporary);
        if !state.is_current() || is_temporary {
            return;
        }
        let credentials = new.credentials.clone();
        let Some(identity) = credentials.identity_id().and_then(|id| Id::parse(id).ok()) else {
            return;
        };
        let (lease, service) = (new.lease, refresher.client.last_service_time());
        CredentialRecord { credentials, identity, lease, service }.save(&self.store, scope);
        // The settings may have changed during the write.
        if !state.is_current() {
            self.store.remove();
        }
    }
}

impl LoadOrRefresh for StoredCredentials {
    fn load_or_refresh(
        &self,
        refresher: &Refresher,
        options: &LoadOptions<'_>,
        state: &dyn ProviderState,
    ) -> Result<CredentialSet, Error> {
        let LoadOptions { principal, budget, from_service, .. } = *options;
        let Some(scope) = self.scope(refresher, principal) else {
            return refresher.refresh(principal, budget, state);
        };
        // After an error, the record must not be overwritten.
        let load = || -> Result<_, Error> {
            let now = self.clock.boot();
            let record = CredentialRecord::load(&self.store, &scope, now, refresher.lifetime)?;
            let record = record.filter(|_| !from_service);
            Ok(record.and_then(|record| self.usable(refresher, options, record, now, state)))
        };
        let mut loaded = if from_service { Ok(None) } else { load() };
        if let Ok(Some(Freshness::Fresh(credentials))) = loaded {
            return Ok(credentials);
        }
        let now = self.clock.boot();
        let budget = match &loaded {
            // The stored credentials are still valid, so one attempt is enough.
            Ok(Some(_)) => {
                &Budget::advisory(budget.deadline.min(now.saturating_add(self.attempt_timeout)))
            }
            _ => budget,
        };
        // The process that holds the lock may hang, so half of the time stays for a refresh.
        let left = budget.deadline.saturating_sub(now);
        let lock = self.store.lock(if from_service { Duration::ZERO } else { left / 2 });
        // A record that cannot be read must not be overwritten, so it is always read first.
        if lock.is_some() || from_service {
            loaded = load();
            if let Ok(Some(Freshness::Fresh(credentials))) = loaded {
                return Ok(credentials);
            }
        }
        match (refresher.refresh(principal, budget, state), loaded) {
            (Ok(new), loaded) => {
                if loaded.is_ok() {
                    self.save(refresher, &new, &scope, state);
                }
                drop(lock);
                Ok(new)
            }
            (Err(error), Ok(Some(Freshness::Advisory(credentials))))
                if !options.budget.is_advisory() =>
            {
                log::warn!("could not refresh the stored credentials early: {error:#}");
                // The credentials may have expired during the attempt.
                if credentials.lease.left(self.clock.boot()) <= self.windows.expiry {
                    let new = refresher.refresh(principal, options.budget, state)?;
                    self.save(refresher, &new, &scope, state);
                    return Ok(new);
                }
                Ok(CredentialSet { early_error: Some(error), ..credentials })
            }
            (Err(error), _) => Err(error),
        }
    }

    fn remove(&self) -> bool {
        self.store.remove()
    }

    fn storage_error(&self) -> Option<Error> {
        self.store.storage_error()
    }
}

#[cfg(feature = "testing")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::lease::Lease;
    use crate::credentials::Credentials;
    use crate::refresh::credential_record;
    use crate::storage::MemoryStorage;
    use crate::testing::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn clocks_that_differ_by_more_than_5_seconds_may_hide_a_suspend() {
        let second = Duration::from_secs(1);
        // how far the wall clock was set back, and whether the credentials are used
        for (set_back, is_used) in [(0, true), (4, true), (5, true), (6, false)] {
            let clock = ManualClock::new().stopping_in_suspend();
            let pool = Id::parse("us-east-1:0").unwrap();
            let storage = Arc::new(MemoryStorage::new());
            let stored = StoredCredentials {
                store: credential_record::store(storage, None, &pool, None, None),
                clock: Arc::new(clock.clone()),
                windows: Windows { expiry: 15 * second, advisory: None },
                attempt_timeout: second,
                login_id: None,
            };
            let lease = Lease::new(clock.boot(), clock.wall(), HOUR);
            let credentials = Credentials::new("ASIA", "secret", "token", lease.wall_end.unwrap());
            let set = CredentialSet { credentials, data: None, lease, early_error: None };
            clock.set_wall(clock.wall() - set_back * second);
            let freshness = stored.freshness(set, clock.boot());
            assert_eq!(matches!(freshness, Freshness::Fresh(_)), is_used, "{set_back} s");
        }
    }
}
