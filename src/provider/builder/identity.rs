//! The settings of the identity: its pool, its ID, and what happens when it changes.

use std::sync::Arc;

use crate::provider::builder::Builder;
use crate::refresh::identity::IdentityChange;

impl Builder {
    /// Sets the identity pool. Required, unless [`identity_id`](Self::identity_id) is set.
    ///
    /// The ID has the form `REGION:GUID` and at most 55 characters. The region may have letters,
    /// digits, `_` and `-`; the GUID `0-9`, `a-f` and `-`.
    ///
    /// See the [example](Self#example).
    #[doc(alias = "IdentityPoolId")]
    pub fn identity_pool_id(mut self, id: impl Into<String>) -> Self {
        self.set_by_program("identity_pool_id");
        self.settings.identity_pool_id = Some(id.into());
        self
    }

    /// Sets the identity ID, in the same form as the [pool](Self::identity_pool_id). The provider
    /// then never calls `GetId`.
    ///
    /// Default: none. The first refresh calls `GetId`, and the provider keeps the ID.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "IdentityId")]
    #[doc(alias = "fromCognitoIdentity")]
    pub fn identity_id(mut self, id: impl Into<String>) -> Self {
        self.set_by_program("identity_id");
        self.settings.identity_id = Some(id.into());
        self
    }

    /// Sets the AWS account that owns the identity pool: 1 to 15 digits. It needs
    /// [`identity_pool_id`](Self::identity_pool_id), because only `GetId` sends it.
    ///
    /// Default: none. The service does not need it.
    ///
    /// See the [example](Self#example).
    #[doc(alias = "AccountId")]
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.set_by_program("account_id");
        self.settings.account_id = Some(id.into());
        self
    }

    /// Sets the region to call. Most programs leave it out.
    ///
    /// Default: the region in the ID of the pool or, without a pool, in the ID of the identity.
    /// Another region is an error.
    ///
    /// See the [example](Self#example).
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.set_by_program("region");
        self.settings.region = Some(region.into());
        self
    }

    /// Sets whether a guest without an identity may get a new one. Default: `true`.
    ///
    /// With `false`, `get()` returns an error if the identity is lost or the service rejects it.
    /// The device then never changes to another identity unnoticed.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity")) // holds an identity
    ///     .allow_new_guest(false)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "clearIdOnNotAuthorized")]
    pub fn allow_new_guest(mut self, allow: bool) -> Self {
        self.settings.allow_new_guest = allow;
        self
    }

    /// Sets a function that the provider calls when the identity ID changes. It gets the old ID,
    /// the new ID and the reason. Default: none.
    ///
    /// The function runs on the thread that caused the change, without a lock. Reading a stored
    /// identity again is not a change.
    ///
    /// ```
    /// use cognito_identity_credentials::{
    ///     CognitoIdentityCredentials, IdentityChange, IdentityChangeReason,
    /// };
    ///
    /// fn log(change: &IdentityChange) {
    ///     match change.reason {
    ///         IdentityChangeReason::Minted => println!("this is a new identity"),
    ///         reason => println!("the identity changed: {reason:?}"),
    ///     }
    /// }
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .on_identity_change(log)
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    pub fn on_identity_change(
        mut self,
        listener: impl Fn(&IdentityChange) + Send + Sync + 'static,
    ) -> Self {
        self.settings.on_identity_change = Some(Arc::new(listener));
        self
    }
}
