//! The methods that read and change the identity and the logins of a provider.

use std::sync::Arc;

use crate::error::Error;
use crate::logins::Logins;
use crate::provider::CognitoIdentityCredentials;
use crate::redact;
use crate::refresh::identity::{Identity, IdentityChange, IdentityChangeReason, IdentityOrigin};
use crate::refresh::{Principal, StaleIdentities};
use crate::service::cognito_identity::Id;

impl CognitoIdentityCredentials {
    /// Returns the identity ID, or `None` if it is not known yet. The program has set it, or it
    /// comes from the storage or from the service.
    ///
    /// It never uses the network. If no ID is known, it reads the storage and blocks meanwhile.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert_eq!(credentials.identity_id(), None);
    /// let keys = credentials.get()?;
    /// assert_eq!(credentials.identity_id().as_deref(), keys.identity_id());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "identityId")]
    #[doc(alias = "loadCachedId")]
    #[doc(alias = "_identityId")]
    pub fn identity_id(&self) -> Option<String> {
        Some(self.0.identity()?.id.as_str().to_owned())
    }

    /// Sets the identity ID that the next refresh uses. The cached credentials do not change; call
    /// [`expire`](Self::expire) to refresh them. It waits for
    /// [`on_identity_change`](crate::Builder::on_identity_change), but not for a running refresh.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) in these cases. The ID does not change then.
    ///
    /// * The ID is malformed.
    /// * The ID belongs to another region, and `endpoint_url` is not set. (Emulators mix regions.)
    /// * A developer identity provider is set.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// credentials.set_identity_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")?;
    /// assert_eq!(credentials.set_identity_id("me").unwrap_err().kind(), ErrorKind::Config);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "IdentityId")]
    pub fn set_identity_id(&self, id: impl Into<String>) -> Result<(), Error> {
        let id = Id::parse(&id.into()).map_err(|fault| Error::config("identity_id", fault))?;
        let refresher = &self.0.refresher;
        if let Some(region) = refresher.region.as_deref().filter(|region| *region != id.region()) {
            let text = format!(
                "it is in region {}, but the provider works in {region}",
                redact::clean(id.region())
            );
            return Err(Error::config("identity_id", text));
        }
        if refresher.developer.is_some() {
            return Err(Error::config("identity_id", "cannot be combined with developer_identity"));
        }
        let identity = Identity::new(id, IdentityOrigin::Given);
        let old = self.swap_identity(Some(&identity));
        self.notify_if_changed(old.as_ref(), Some(&identity), IdentityChangeReason::Given);
        Ok(())
    }

    /// Forgets the identity ID, even if the program has set it, and removes it from the storage. It
    /// also removes [stored credentials](crate::Builder::persist_credentials). The next refresh
    /// gets an ID from the service. The cached credentials do not change.
    ///
    /// It never uses the network, but blocks while it writes to the storage.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let before = credentials.get()?.identity_id().map(str::to_owned);
    /// credentials.clear_cached_id();
    /// assert_eq!(credentials.identity_id(), None);
    /// assert_ne!(credentials.refresh()?.identity_id(), before.as_deref()); // another guest
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "clearCachedId")]
    pub fn clear_cached_id(&self) {
        let old = self.swap_identity(None);
        if let Some(store) = &self.0.refresher.store {
            let (epoch, _) = self.0.cell.settings_with_epoch();
            let credentials = self.0.stored_credentials.as_ref();
            let forgotten = credentials.is_none_or(|stored| stored.remove());
            if store.remove() && forgotten {
                self.0.cell.update_if_no_older_flight(epoch, |settings| {
                    settings.principal.stale = StaleIdentities::default();
                });
            }
            // The removal may have removed a new identity that another thread had just stored.
            let Principal { identity, logins, .. } = self.0.cell.settings().principal;
            let minted = |identity: &Identity| !identity.given && !identity.temporary;
            if let Some(identity) = identity.filter(minted) {
                store.save(&identity.id, &mut logins.providers());
                // Another call may have cleared it during the write.
                if self.0.cell.settings().principal.identity.is_none() {
                    store.remove();
                }
            }
        }
        self.notify_if_changed(old.as_ref(), None, IdentityChangeReason::Cleared);
    }

    /// Sets the login token of a provider, for the next refresh. Never blocks.
    ///
    /// The cached credentials do not change. Call [`expire`](Self::expire) to refresh them, for
    /// example when the user changes. With
    /// [`persist_credentials`](crate::Builder::persist_credentials), each user needs another
    /// provider, because a login ID means one user.
    ///
    /// If the token breaks a limit of the service, the next refresh returns an error.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// cognito.accept_login("accounts.google.com", "token-of-ann", "ann");
    /// credentials.get()?; // credentials of a guest
    ///
    /// credentials.set_login("accounts.google.com", "token-of-ann");
    /// credentials.expire();
    /// credentials.get()?; // credentials of Ann
    /// let requests = cognito.requests();
    /// let login = requests.last().and_then(|request| request.login("accounts.google.com"));
    /// assert_eq!(login, Some("token-of-ann"));
    ///
    /// credentials.remove_login("accounts.google.com");
    /// credentials.expire();
    /// credentials.get()?; // credentials of a guest again
    ///
    /// credentials.set_logins(Logins::new().with("accounts.google.com", "token-of-ann"));
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "Logins")]
    pub fn set_login(&self, provider: impl Into<String>, token: impl Into<String>) {
        let (provider, token) = (provider.into(), token.into());
        self.change_logins(|logins| logins.insert(provider, token));
    }

    /// Replaces all logins, including those with a token source, for the next refresh. Otherwise
    /// like [`set_login`](Self::set_login), which has an example.
    #[doc(alias = "Logins")]
    pub fn set_logins(&self, logins: Logins) {
        self.change_logins(|all| *all = logins);
    }

    /// Removes the login of a provider, for the next refresh. Otherwise like
    /// [`set_login`](Self::set_login), which has an example.
    #[doc(alias = "Logins")]
    pub fn remove_login(&self, provider: &str) {
        self.change_logins(|logins| logins.remove(provider));
    }

    fn swap_identity(&self, identity: Option<&Identity>) -> Option<Identity> {
        self.0.cell.change_settings(|settings| {
            if identity.is_none() {
                settings.principal.stale.any = true;
            }
            (true, std::mem::replace(&mut settings.principal.identity, identity.cloned()))
        })
    }

    fn notify_if_changed(
        &self,
        old: Option<&Identity>,
        new: Option<&Identity>,
        reason: IdentityChangeReason,
    ) {
        let (old, new) = (old.map(|old| &old.id), new.map(|new| &new.id));
        if old != new {
            self.0.notify(&IdentityChange::new(old, new, reason));
        }
    }

    /// Replaces all logins in one step. The old ones may own a token source, and its destructor
    /// must not run under the lock.
    fn change_logins(&self, change: impl FnOnce(&mut Logins)) {
        drop(self.0.cell.change_settings(|settings| {
            let mut logins = (*settings.principal.logins).clone();
            change(&mut logins);
            let changed = !logins.same(&settings.principal.logins);
            (changed, std::mem::replace(&mut settings.principal.logins, Arc::new(logins)))
        }));
    }
}
