//! Loads stored credentials instead of refreshing.
//!
//! Processes that share a storage share a refresh. One process locks the record, requests
//! credentials and stores them. The others load them.

use std::sync::Arc;
use std::time::Duration;

use crate::cell::lease::{Freshness, Windows};
use crate::clock::Clock;
use crate::error::Error;
use crate::refresh::credential_record::{CredentialRecord, CredentialStore, RecordScope};
use crate::refresh::identity::{Identity, IdentityOrigin};
use crate::refresh::{
    CredentialSet, CredentialsFlow, Principal, ProviderState, Refresher, StaleIdentities,
};
use crate::service::budget::Budget;
use crate::service::cognito_identity::Id;

/// A boot clock that stops during suspend and the wall clock agree if they differ by at most this.
const LARGEST_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

const NO_BOOT_ID_HINT: &str = "make /proc/sys/kernel/random/boot_id readable, or implement boot_id of the program's own Clock";

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

struct UsableCredentials {
    credentials: CredentialSet,
    /// Whether to try a refresh first, because they are inside the advisory window.
    is_advisory: bool,
}

pub(crate) struct StoredCredentials {
    store: CredentialStore,
    clock: Arc<dyn Clock>,
    windows: Windows,
    attempt_timeout: Duration,
    login_id: Option<String>,
}

impl StoredCredentials {
    pub(crate) fn new(
        store: CredentialStore,
        clock: Arc<dyn Clock>,
        windows: Windows,
        attempt_timeout: Duration,
        login_id: Option<String>,
    ) -> Self {
        Self { store, clock, windows, attempt_timeout, login_id }
    }

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
        let is_noted = self.store.set_not_stored(error.clone());
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
        scope.text()
    }

    /// Loads the stored credentials if they may be used. After an error, the record must not be
    /// overwritten.
    fn load(
        &self,
        refresher: &Refresher,
        options: &LoadOptions<'_>,
        scope: &str,
        state: &dyn ProviderState,
    ) -> Result<Option<UsableCredentials>, Error> {
        let now = self.clock.boot();
        let record =
            self.store.load(scope, now, refresher.lifetime)?.filter(|_| !options.from_service);
        Ok(record.and_then(|record| self.usable(refresher, options, record, now, state)))
    }

    fn usable(
        &self,
        refresher: &Refresher,
        options: &LoadOptions<'_>,
        record: CredentialRecord,
        now: Duration,
        state: &dyn ProviderState,
    ) -> Option<UsableCredentials> {
        let newer = options.requested_after.is_none_or(|after| record.lease.start() > after);
        if !newer {
            return None;
        }
        let (record, is_advisory) = match self.freshness(record, now) {
            Freshness::Fresh(record) => (record, false),
            Freshness::Advisory(record) => (record, true),
            Freshness::Mandatory => return None,
        };
        let principal = options.principal;
        let identity = match &principal.identity {
            Some(known) => known.clone(),
            // The developer identity provider is not called for stored credentials.
            None if refresher.developer.is_some()
                && principal.stale == StaleIdentities::default() =>
            {
                let id = record.identity.clone();
                Identity { id, origin: IdentityOrigin::Stored, given: true, temporary: false }
            }
            None => refresher.stored_identity(principal).ok()??,
        };
        if identity.id != record.identity || !refresher.is_of_region(&identity.id) {
            return None;
        }
        if principal.identity.is_none() {
            state.set_identity(&identity);
        }
        if let Some(seen) = record.service {
            refresher.client.set_service_time(seen);
        }
        let CredentialRecord { credentials, lease, .. } = record;
        let credentials = CredentialSet { credentials, data: None, lease, early_error: None };
        Some(UsableCredentials { credentials, is_advisory })
    }

    fn freshness(&self, record: CredentialRecord, now: Duration) -> Freshness<CredentialRecord> {
        let mut left = record.lease.left(now);
        let left_by_wall = record.lease.left_by_wall(self.clock.wall());
        if !self.clock.boot_counts_suspend() {
            // If more time is left by the wall clock, it was set back, and that may hide time in
            // suspend. If less is left, the difference may be time in suspend.
            if left_by_wall > left.saturating_add(LARGEST_CLOCK_DIFFERENCE) {
                return Freshness::Mandatory;
            }
            left = left.min(left_by_wall);
        }
        // Exactly at the window, the next `get` would refresh them already.
        if left == self.windows.expiry {
            return Freshness::Mandatory;
        }
        let advisory_window = self.windows.advisory_for(record.lease.lifetime);
        self.windows.freshness(record, left, advisory_window, left_by_wall.is_zero())
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
        self.store.save(&CredentialRecord { credentials, identity, lease, service }, scope);
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
        let load = || self.load(refresher, options, &scope, state);
        let mut loaded = if from_service { Ok(None) } else { load() };
        if let Ok(Some(UsableCredentials { credentials, is_advisory: false })) = loaded {
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
            if let Ok(Some(UsableCredentials { credentials, is_advisory: false })) = loaded {
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
            (Err(error), Ok(Some(UsableCredentials { credentials, .. })))
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
    use crate::storage::MemoryStorage;
    use crate::testing::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);

    fn record(lease: Lease) -> CredentialRecord {
        let identity = Id::parse("us-east-1:0").unwrap();
        let text = |text: &str| zeroize::Zeroizing::new(text.to_owned()).into();
        let credentials = Credentials::of_identity(
            identity.as_str().to_owned(),
            "ASIA".to_owned(),
            text("secret"),
            text("token"),
            lease.wall_end.unwrap(),
        );
        CredentialRecord { credentials, identity, lease, service: None }
    }

    #[test]
    fn clocks_that_differ_by_more_than_5_seconds_may_hide_a_suspend() {
        let second = Duration::from_secs(1);
        // how far the wall clock was set back, and whether the credentials are used
        for (set_back, is_used) in [(0, true), (4, true), (5, true), (6, false)] {
            let clock = ManualClock::new().stopping_in_suspend();
            let pool = Id::parse("us-east-1:0").unwrap();
            let store =
                CredentialStore::new(Arc::new(MemoryStorage::new()), None, &pool, None, None);
            let windows = Windows { expiry: 15 * second, advisory: None };
            let clock_of_store = Arc::new(clock.clone());
            let stored = StoredCredentials::new(store, clock_of_store, windows, second, None);
            let lease = Lease::new(clock.boot(), clock.wall(), HOUR);
            clock.set_wall(clock.wall() - set_back * second);
            let freshness = stored.freshness(record(lease), clock.boot());
            assert_eq!(matches!(freshness, Freshness::Fresh(_)), is_used, "{set_back} s");
        }
    }
}
