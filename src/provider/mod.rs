//! What users call: [`CognitoIdentityCredentials`].
//!
//! * this file: the type, and what it reports: `status`, `data` and `service_time`
//! * `credentials`: the methods that get, refresh and expire the credentials
//! * `identity`: the methods that read and change the identity and the logins
//! * `shared`: what the clones of a provider share, and how one call gets credentials
//! * `builder`: the settings with their documentation, and `build`
//! * `settings`: the values of the settings, and their defaults
//! * `validate`: the checks of the settings; one error reports every fault
//! * `environment`: settings from environment variables
//! * `status`: the types `Status` and `RefreshReport`
//! * `aws_sdk`: the provider trait of the AWS SDK (feature `aws-sdk`)
//! * `background`: a refresh on its own thread, for the futures of `aws_sdk`
//! * `newer_records`: tests of a provider whose records another process has changed
//! * `storage_faults`: tests of a provider on a disk whose calls fail

#[cfg(feature = "aws-sdk")]
mod aws_sdk;
#[cfg(feature = "aws-sdk")]
mod background;
pub(crate) mod builder;
mod credentials;
mod environment;
mod identity;
#[cfg(test)]
#[cfg(feature = "testing")]
mod newer_records;
mod settings;
mod shared;
mod status;
#[cfg(test)]
#[cfg(all(unix, feature = "testing"))]
mod storage_faults;
mod validate;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::credentials::ResponseData;
use crate::provider::shared::{CurrentSettings, Shared};
use crate::service::cognito_identity::Id;

pub use self::builder::Builder;
pub use self::status::{RefreshReport, Status};

/// Provides temporary AWS credentials from an Amazon Cognito identity pool and refreshes them.
///
/// Create it with [`builder`](Self::builder), give a clone to each thread, and call
/// [`get`](Self::get) whenever credentials are needed. `get()` returns the cached credentials while
/// they are fresh, and contacts the service when they are not. An unused provider does nothing.
///
/// Clones share one identity, one set of cached credentials and one refresh at a time.
///
/// ```
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// # #[cfg(feature = "testing")] {
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::testing::FakeCognito;
///
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .transport(FakeCognito::new()) // leave this out to talk to AWS
///     .build()?;
///
/// let keys = credentials.get()?;
/// assert_eq!(keys.identity_id(), credentials.identity_id().as_deref());
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "AWS.CognitoIdentityCredentials")]
pub struct CognitoIdentityCredentials(Arc<Shared>);

impl CognitoIdentityCredentials {
    /// Returns what the provider knows: the identity, the remaining lifetime and the last error.
    ///
    /// It never uses the network. Like [`identity_id`](Self::identity_id), it can read the storage.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// use std::time::Duration;
    ///
    ///
    /// credentials.get()?;
    /// let status: Status = credentials.status();
    /// assert_eq!(status.identity_origin, Some(IdentityOrigin::Minted));
    /// assert!(status.expires_in > Some(Duration::from_secs(3500)));
    /// assert!(status.last_error.is_none());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let identity = self.0.identity();
        let cell = self.0.cell.status();
        Status {
            identity_origin: identity.as_ref().map(|identity| identity.origin),
            identity_id: identity.map(|identity| identity.id.as_str().to_owned()),
            expires_in: cell.left,
            needs_refresh: cell.needs_refresh,
            last_error: cell.last_error,
            next_attempt_in: cell.next_attempt_in,
            storage_error: self.0.storage_error(),
        }
    }

    /// Returns the fields of the last answer other than the credentials. Never blocks.
    ///
    /// It returns `None` before the first answer, and for credentials that another process
    /// [stored](Builder::persist_credentials). Each refresh clears the fields at its start, except
    /// an [early](RefreshReport::early) one.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert!(credentials.data().is_none());
    /// credentials.get()?;
    /// let data: ResponseData = credentials.data().unwrap();
    /// assert_eq!(Some(data.identity_id), credentials.identity_id());
    /// assert_eq!(data.assumed_role_arn, None); // only the classic flow has one
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn data(&self) -> Option<ResponseData> {
        self.0.cell.settings().data.map(Arc::unwrap_or_clone)
    }

    /// Returns the current time on the clock of the service, or `None` before the first answer.
    /// Never blocks.
    ///
    /// Use it to sign requests on a device whose clock is wrong. AWS services usually reject a
    /// signature whose time is wrong by more than five minutes.
    ///
    /// The time is the `Date` of the last answer plus the time since then. Its error is about one
    /// second plus the time that the answer took to arrive. With [stored
    /// credentials](Builder::persist_credentials), it can be an answer to another process. A wrong
    /// `Date` makes this time wrong until the next answer. If new credentials expire before the
    /// `Date` or more than 12 hours after it, the `Date` must be wrong, and this method returns
    /// `None` again.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert_eq!(credentials.service_time(), None);
    /// credentials.get()?;
    /// let now = credentials.service_time().unwrap(); // the time to sign with
    /// # assert!(now > std::time::SystemTime::UNIX_EPOCH);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "systemClockOffset")]
    #[doc(alias = "correctClockSkew")]
    pub fn service_time(&self) -> Option<SystemTime> {
        self.0.refresher.client.service_time()
    }
}

impl fmt::Debug for CognitoIdentityCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CurrentSettings { principal, .. } = self.0.cell.settings();
        f.debug_struct("CognitoIdentityCredentials")
            .field("identity_pool_id", &self.0.refresher.pool.as_ref().map(Id::as_str))
            .field("identity", &principal.identity)
            .field("logins", &principal.logins)
            .field("cached", &self.0.cell.cached())
            .finish_non_exhaustive()
    }
}
