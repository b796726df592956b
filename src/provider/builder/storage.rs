//! The settings of the storage: where the identity is stored, and whether credentials are too.

use std::sync::Arc;

use crate::error::ConfigFaults;
use crate::provider::builder::Builder;
use crate::provider::settings::{ConfiguredStorage, Parsed, Persistence, Settings};
use crate::refresh::credential_record;
use crate::refresh::identity::{IdentityRecords, IdentityStore};
use crate::refresh::stored_credentials::{LoadOrRefresh, StoredCredentials};
use crate::service::endpoint;
use crate::storage::Storage;

impl Builder {
    /// Sets where the identity ID is stored, to keep the identity across restarts. Most programs
    /// use [`FileStorage`](crate::FileStorage). Default: none. The ID is then only kept in memory.
    ///
    /// It needs [`identity_pool_id`](Self::identity_pool_id), because the key of the record
    /// contains the pool.
    ///
    /// * A guest's new identity is stored at once. A signed-in user's identity is stored after the
    ///   service has accepted it.
    /// * A guest uses the stored identity. A signed-in user uses it if it was stored with a login
    ///   of the same provider.
    /// * An identity that a [developer identity provider](Self::developer_identity) returns is not
    ///   stored.
    /// * A service other than AWS, such as an emulator at
    ///   [`endpoint_url`](Self::endpoint_url), has separate records.
    ///
    /// A failure of the storage does not make a refresh fail.
    /// [`Status::storage_error`](crate::Status::storage_error) shows it. If the identity cannot be
    /// written, a restart of the program may lose it. A record that cannot be read is not
    /// overwritten. If no identity is known then, the provider requests a temporary guest, or
    /// returns an error if [`allow_new_guest`](Self::allow_new_guest) is `false`. Each later
    /// refresh reads the record again. It uses the stored identity, or stores the guest if there is
    /// no record.
    ///
    /// See the [example](Self::persist_credentials).
    #[doc(alias = "localStorage")]
    #[doc(alias = "localStorageKey")]
    #[doc(alias = "cacheId")]
    #[doc(alias = "getStorage")]
    #[doc(alias = "setStorage")]
    #[doc(alias = "cache")]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        let storage = Arc::new(storage);
        self.settings.storage = Some(ConfiguredStorage { storage, identities: stored_identities });
        self
    }

    /// Sets the name of the user, if several users share one [`storage`](Self::storage). Never use
    /// a token as the name.
    ///
    /// The identity and the [credentials](Self::persist_credentials) are stored under the pool and
    /// this name. Default: none. The storage then holds one identity for the pool.
    ///
    /// See the [example](Self::login).
    #[doc(alias = "LoginId")]
    #[doc(alias = "userIdentifier")]
    pub fn login_id(mut self, id: impl Into<String>) -> Self {
        self.settings.login_id = Some(id.into());
        self
    }

    /// Sets whether the current credentials are stored in the [`storage`](Self::storage) too, so
    /// that other processes can use them. It is for programs that run often and briefly, and for
    /// several programs on one device. Default: `false`.
    ///
    /// # When stored credentials are used
    ///
    /// Before a `get()` contacts the service, it reads the storage. It uses the stored credentials
    /// if all of these conditions hold, and then calls no service and no token source.
    ///
    /// * They were issued since the system started. [`Clock::boot_id`](crate::Clock::boot_id) tells
    ///   this. The default clock has a boot ID on Linux and Android only. Without a boot ID,
    ///   nothing is stored.
    /// * They were issued for the same settings: pool, login ID, names of the login providers,
    ///   endpoints, role and everything that restricts the role.
    /// * They belong to the identity that this provider would use. (A developer identity provider
    ///   is not called for this check. The login ID identifies the user instead.)
    /// * They live longer than [`expiry_window`](Self::expiry_window). Inside the
    ///   [`advisory_window`](Self::advisory_window), `get()` first makes one attempt to refresh
    ///   them, and uses the stored ones if it fails. It does the same if only the wall clock says
    ///   that they have expired.
    /// * They were requested after the credentials that this provider has cached, and after the
    ///   last [`expire`](crate::CognitoIdentityCredentials::expire).
    ///
    /// Expiry is measured on the boot clock, so a wrong wall clock cannot make expired credentials
    /// valid. If the boot clock stops while the system is suspended, the wall clock must agree.
    /// [`refresh`](crate::CognitoIdentityCredentials::refresh) never uses stored credentials. Call
    /// it after a machine was restored from a snapshot: if its clocks go on where they stopped,
    /// expired credentials count as valid.
    ///
    /// # What is required
    ///
    /// * [`storage`](Self::storage) and [`identity_pool_id`](Self::identity_pool_id).
    /// * [`login_id`](Self::login_id), if there are logins or a developer identity provider. It
    ///   must name the user, so that no user gets the credentials of another.
    ///
    /// One login ID means one user. For another user, build another provider with another login ID.
    /// If a login is set later and there is no login ID, nothing is stored and nothing is read.
    ///
    /// # Storage
    ///
    /// Each refresh writes one record, about every 45 minutes. Flash memory wears out with each
    /// write. A restart of the system makes the record useless, so it can be kept in memory. Your
    /// own [`Storage`] can put keys that begin with `credentials/` below `/run`. It must keep the
    /// other keys, which hold the identity, in a permanent place.
    ///
    /// Anyone who can read the record has the credentials until they expire.
    /// [`FileStorage`](crate::FileStorage) lets only the owner read it. If credentials cannot be
    /// stored or read, `get()` works without the storage, and
    /// [`Status::storage_error`](crate::Status::storage_error) shows why.
    ///
    /// If the storage has [locks](Storage::lock), one of the processes that start together contacts
    /// the service, and the others wait for what it stores. They wait for at most half of
    /// `timeout`, or half of `attempt_timeout` while the cached credentials are still valid. After
    /// that they contact the service themselves.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity"))
    ///     .persist_credentials(true)
    ///     .on_refresh(|report| {
    ///         report.storage_error.iter().for_each(|error| eprintln!("storage: {error:#}"));
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    pub fn persist_credentials(mut self, persist: bool) -> Self {
        self.settings.persistence = persist.then_some(Persistence(stored_credentials));
        self
    }
}

fn stored_identities(settings: &Settings, parsed: &Parsed) -> Option<Box<dyn IdentityRecords>> {
    let storage = Arc::clone(&settings.storage.as_ref()?.storage);
    let service = endpoint::custom_service(&parsed.cognito_url, &parsed.region);
    let (pool, login_id) = (parsed.pool.as_ref()?, settings.login_id.as_deref());
    Some(Box::new(IdentityStore::new(storage, service.as_deref(), pool, login_id)))
}

fn stored_credentials(
    settings: &Settings,
    parsed: &Parsed,
    faults: &mut ConfigFaults,
) -> Option<Box<dyn LoadOrRefresh>> {
    settings.check_persistence(faults);
    let role_arn = settings.role_arn.as_deref().or(settings.custom_role_arn.as_deref());
    let storage = Arc::clone(&settings.storage.as_ref()?.storage);
    let service = endpoint::custom_service(&parsed.cognito_url, &parsed.region);
    let (pool, login_id) = (parsed.pool.as_ref()?, settings.login_id.as_deref());
    Some(Box::new(StoredCredentials {
        store: credential_record::store(storage, service.as_deref(), pool, login_id, role_arn),
        clock: Arc::clone(&settings.calls.clock),
        windows: settings.windows,
        attempt_timeout: settings.calls.attempt_timeout,
        login_id: settings.login_id.clone(),
    }))
}
