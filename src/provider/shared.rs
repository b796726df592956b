//! What the clones of a provider share, and one call that gets credentials: `get` or `refresh`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::cell::{CompletedRefresh, Epoch, OnCompleted, RefreshCell, RefreshInput, Refreshed};
use crate::credentials::{Credentials, ResponseData};
use crate::error::Error;
#[cfg(feature = "aws-sdk")]
use crate::provider::background::BackgroundRefresh;
use crate::provider::settings::{IdentityListener, RefreshListener};
use crate::provider::status::RefreshReport;
use crate::refresh::identity::{Identity, IdentityChange};
use crate::refresh::stored_credentials::{LoadOptions, LoadOrRefresh};
use crate::refresh::{CredentialSet, Principal, ProviderState, Refresher, StaleIdentities};

pub(super) struct Shared {
    pub(super) cell: RefreshCell<Credentials, CurrentSettings>,
    pub(super) refresher: Refresher,
    pub(super) stored_credentials: Option<Box<dyn LoadOrRefresh>>,
    pub(super) on_identity_change: Option<Arc<IdentityListener>>,
    pub(super) on_refresh: Option<Arc<RefreshListener>>,
    #[cfg(feature = "aws-sdk")]
    pub(super) background: BackgroundRefresh<Epoch, Result<Credentials, Error>>,
}

/// What the program can change while the provider lives, and what a refresh learns.
#[derive(Clone)]
pub(super) struct CurrentSettings {
    pub(super) principal: Principal,
    pub(super) data: Option<Arc<ResponseData>>,
}

impl Shared {
    /// Returns the known identity. Reads the storage if none is known.
    pub(super) fn identity(&self) -> Option<Identity> {
        let (epoch, settings) = self.cell.settings_with_epoch();
        if settings.principal.identity.is_some() {
            return settings.principal.identity;
        }
        let stored = self.refresher.stored_identity(&settings.principal).ok()??;
        let noted = self.cell.update_if_same_settings(epoch, |settings| {
            settings.principal.identity.get_or_insert_with(|| stored.clone()).clone()
        });
        noted.or(Some(stored))
    }

    pub(super) fn notify(&self, change: &IdentityChange) {
        if let Some(listener) = &self.on_identity_change {
            listener(change);
        }
    }

    pub(super) fn storage_error(&self) -> Option<Error> {
        let identity = self.refresher.store.as_ref().and_then(|store| store.storage_error());
        identity.or_else(|| self.stored_credentials.as_ref()?.storage_error())
    }

    fn run_refresh(
        &self,
        input: &RefreshInput<CurrentSettings>,
        from_service: bool,
    ) -> Result<Refreshed<Credentials>, Error> {
        if !input.budget.is_advisory() {
            self.cell.update_if_same_epoch(input.epoch, |settings| settings.data = None);
        }
        let state = ProviderAtEpoch { shared: self, epoch: input.epoch };
        let (principal, budget) = (&input.settings.principal, &input.budget);
        let done = match &self.stored_credentials {
            None => self.refresher.refresh(principal, budget, &state)?,
            Some(stored_credentials) => {
                let requested_after = input.stored_after;
                let options = LoadOptions { principal, budget, from_service, requested_after };
                stored_credentials.load_or_refresh(&self.refresher, &options, &state)?
            }
        };
        let (from_storage, data) = (done.data.is_none(), done.data.map(Arc::new));
        self.cell.update_if_same_epoch(input.epoch, |settings| settings.data = data);
        let CredentialSet { credentials: value, lease, early_error, .. } = done;
        Ok(Refreshed { value, lease, from_storage, early_error })
    }
}

/// One call of `get` or `refresh`. If it leads a refresh, it calls `on_refresh`.
pub(super) struct ProviderCall<'a> {
    shared: &'a Shared,
    /// Kept here, because another thread may already run the next refresh when the report is
    /// made.
    service_calls: Cell<u32>,
    storage_error: Cell<Option<Error>>,
    /// Gives the result to the futures that wait for this call.
    #[cfg(feature = "aws-sdk")]
    pub(super) publish: Option<&'a dyn Fn(Result<Credentials, Error>)>,
}

impl<'a> ProviderCall<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            service_calls: Cell::new(0),
            storage_error: Cell::new(None),
            #[cfg(feature = "aws-sdk")]
            publish: None,
        }
    }

    pub(super) fn get(&self, limit: Duration) -> Result<Credentials, Error> {
        self.reported(|report| self.shared.cell.get(limit, self.refresh_of(false), report))
    }

    pub(super) fn refresh(&self) -> Result<Credentials, Error> {
        self.reported(|report| self.shared.cell.refresh(self.refresh_of(true), report))
    }

    fn reported<R>(&self, call: impl FnOnce(Option<&OnCompleted<'_, Credentials>>) -> R) -> R {
        let report = |completed: &CompletedRefresh<'_, Credentials>| self.report(completed);
        call(self.shared.on_refresh.is_some().then_some(&report as _))
    }

    /// Returns what the cell runs. With `from_service`, it uses no stored credentials.
    fn refresh_of(
        &self,
        from_service: bool,
    ) -> impl Fn(&RefreshInput<CurrentSettings>) -> Result<Refreshed<Credentials>, Error> {
        move |input| {
            let before = self.shared.refresher.client.calls();
            let result = self.shared.run_refresh(input, from_service);
            if self.shared.on_refresh.is_some() {
                let calls = self.shared.refresher.client.calls().wrapping_sub(before);
                self.service_calls.set(calls);
                self.storage_error.set(self.shared.storage_error());
            }
            result
        }
    }

    fn report(&self, completed: &CompletedRefresh<'_, Credentials>) {
        let &CompletedRefresh { result, duration, early, .. } = completed;
        #[cfg(feature = "aws-sdk")]
        if let Some(publish) = self.publish {
            match (completed.value, result) {
                (Some(value), _) => publish(Ok(value.clone())),
                // After an early attempt that failed, `get` returns the cached credentials.
                (None, Err(error)) if !early => publish(Err(error.clone())),
                _ => {}
            }
        }
        if let Some(listener) = &self.shared.on_refresh {
            listener(&RefreshReport {
                result: result.map(drop).map_err(Error::clone),
                duration,
                service_calls: self.service_calls.get(),
                early,
                storage_error: self.storage_error.take(),
            });
        }
    }
}

/// The state of the provider for a refresh that began in this epoch.
struct ProviderAtEpoch<'a> {
    shared: &'a Shared,
    epoch: Epoch,
}

impl ProviderAtEpoch<'_> {
    fn update<R>(&self, update: impl FnOnce(&mut Principal) -> R) -> Option<R> {
        let cell = &self.shared.cell;
        cell.update_if_same_settings(self.epoch, |settings| update(&mut settings.principal))
    }
}

impl ProviderState for ProviderAtEpoch<'_> {
    fn set_identity(&self, identity: &Identity) -> bool {
        self.update(|principal| principal.identity = Some(identity.clone())).is_some()
    }

    fn reject_identity(&self, rejected: &Identity) -> Option<StaleIdentities> {
        self.update(|principal| {
            principal.identity = None;
            principal.stale.reject(rejected);
            principal.stale.clone()
        })
    }

    fn mark_stored_identity_current(&self) {
        self.update(|principal| principal.stale = StaleIdentities::default());
    }

    fn is_current(&self) -> bool {
        self.shared.cell.settings_with_epoch().0 == self.epoch
    }

    fn identity(&self) -> Option<Identity> {
        self.shared.cell.settings().principal.identity
    }

    fn notify(&self, change: IdentityChange) {
        self.shared.notify(&change);
    }
}
