//! The settings of the refresh: when it happens, and the function that is called after it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::provider::builder::Builder;
use crate::provider::status::RefreshReport;

impl Builder {
    /// Sets how long cached credentials must still be valid so that `get()` returns them without a
    /// new request. Default: 15 seconds.
    ///
    /// If the window is as long as the lifetime, every `get()` contacts the service.
    ///
    /// See the [example](Self::advisory_window).
    #[doc(alias = "expiryWindow")]
    pub fn expiry_window(mut self, window: Duration) -> Self {
        self.settings.windows.expiry = window;
        self
    }

    /// Sets how long before the expiry `get()` starts to refresh the credentials early. If an
    /// attempt fails, `get()` still returns the cached credentials. It makes the next attempt after
    /// a random third to two thirds of the window, at most 10 minutes, or after a longer
    /// `Retry-After`.
    ///
    /// Default: it depends on the lifetime of the credentials, and is never more than half of it.
    ///
    /// | lifetime | window |
    /// |---|---|
    /// | up to 20 minutes | 5 minutes |
    /// | below 90 minutes | 15 minutes |
    /// | longer | 60 minutes |
    ///
    /// If the window is as long as the lifetime, every `get()` contacts the service.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .expiry_window(Duration::from_secs(60)) // an upload takes up to a minute
    ///     .advisory_window(Duration::from_secs(20 * 60))
    ///     .failure_cooldown(Duration::from_secs(30)) // 6 to 30 s after a failure
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn advisory_window(mut self, window: Duration) -> Self {
        self.settings.windows.advisory = Some(window);
        self
    }

    /// Sets how long `get()` sends no request after the service has answered with an error.
    /// Default: 5 seconds.
    ///
    /// During the cooldown, a `get()` without usable credentials returns the same error at once.
    /// The cooldown is a random time between a fifth of this value and all of it. Zero turns it
    /// off.
    ///
    /// If the service sent a longer `Retry-After`, this table sets the cooldown, even if the value
    /// is zero:
    ///
    /// | `Retry-After` | cooldown |
    /// |---|---|
    /// | seconds, up to 5 minutes | exactly this time |
    /// | a date, up to 5 minutes ahead | a random 1 to 2 times the time until then, up to 5 minutes |
    /// | above 5 minutes, either form | a random 2.5 to 5 minutes |
    ///
    /// While the service throttles, each failure in a row doubles the cooldown, up to 16 times the
    /// value. With the default it is 1 to 5 seconds after the first failure, and 16 to 80 seconds
    /// from the fifth. This keeps many devices from blocking each other with requests that cannot
    /// succeed. A success or another answer resets the doubling.
    ///
    /// `refresh()` and every change of a login or of the identity ID end the cooldown and reset the
    /// doubling. A failed connection causes no cooldown and does not affect the doubling.
    ///
    /// See the [example](Self::advisory_window).
    pub fn failure_cooldown(mut self, cooldown: Duration) -> Self {
        self.settings.failure_cooldown = cooldown;
        self
    }

    /// Sets a function that the provider calls after each refresh, successful or not. Default:
    /// none. It shows failures without a logger, including those that `get()` does not return: a
    /// failed early refresh, and a failure of the storage.
    ///
    /// The function is called once for each refresh, on the thread that led it. The threads that
    /// wait for the same refresh already have the result, and no lock is held. The calling thread's
    /// own `get()` or `refresh()` returns after the function, so keep it short. If it panics, only
    /// that call panics.
    ///
    /// The function is also called if the credentials come from another process, which
    /// [stored](Self::persist_credentials) them. It is not called:
    ///
    /// * for cached credentials;
    /// * for an error that `get()` returns during a [cooldown](Self::failure_cooldown);
    /// * if your own code panics during the refresh.
    ///
    /// Inside the function, `get()`, `get_within()` and `refresh()` return
    /// [`Reentrant`](crate::ErrorKind::Reentrant). All other methods of the provider work.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use cognito_identity_credentials::RefreshReport;
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, testing::FakeCognito};
    ///
    /// let failures = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&failures);
    /// let credentials = CognitoIdentityCredentials::builder()
    /// #   .transport(FakeCognito::new())
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .on_refresh(move |report: &RefreshReport| {
    ///         if let Err(error) = &report.result {
    ///             counter.fetch_add(1, Ordering::Relaxed);
    ///             eprintln!("refresh failed after {:?}: {error:#}", report.duration);
    ///         }
    ///         if let Some(error) = &report.storage_error {
    ///             eprintln!("storage: {error:#}");
    ///         }
    ///     })
    ///     .build()?;
    ///
    /// credentials.get()?;
    /// assert_eq!(failures.load(Ordering::Relaxed), 0);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "logger")]
    pub fn on_refresh(mut self, listener: impl Fn(&RefreshReport) + Send + Sync + 'static) -> Self {
        self.settings.on_refresh = Some(Arc::new(listener));
        self
    }

    /// Sets the clock that measures expiry, time limits and delays. Default:
    /// [`SystemClock`](crate::SystemClock).
    ///
    /// A thread that waits for the refresh of another thread always uses the system's clock.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .transport(FakeCognito::with_clock(clock.clone()))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// credentials.get()?;
    /// clock.advance(Duration::from_secs(60 * 60));
    /// assert!(credentials.needs_refresh());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.calls.clock = Arc::new(clock);
        self
    }
}
