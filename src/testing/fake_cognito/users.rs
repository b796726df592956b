//! The methods of [`FakeCognito`] for the user pool (feature `user-pool`).

use std::time::Duration;

use super::{FakeCognito, user_pool};

/// There is one user pool with one app client (feature `user-pool`). Every identity pool accepts
/// its ID tokens as logins. `DeviceKey` is not checked.
impl FakeCognito {
    /// The ID of the user pool.
    ///
    /// See the [example](Self::sign_in).
    pub const USER_POOL_ID: &str = user_pool::ID;

    /// The ID of the user pool's app client.
    ///
    /// See the [example](Self::sign_in).
    pub const CLIENT_ID: &str = user_pool::CLIENT_ID;

    /// Signs a user in and returns a new refresh token. Enables a [disabled](Self::disable_user)
    /// user.
    ///
    /// ```
    /// use cognito_identity_credentials::{TokenSource, UserPoolTokens};
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let cognito = FakeCognito::new();
    /// let tokens = UserPoolTokens::builder()
    ///     .user_pool_id(FakeCognito::USER_POOL_ID)
    ///     .client_id(FakeCognito::CLIENT_ID)
    ///     .refresh_token(cognito.sign_in("ann"))
    ///     .transport(cognito.clone())
    ///     .build()?;
    /// tokens.token()?;
    /// assert_eq!(cognito.calls("InitiateAuth"), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sign_in(&self, user: &str) -> String {
        let now = self.now();
        let state = &mut self.lock().state;
        state.user_pool.disabled.remove(user);
        state.user_pool.refresh_token(user, &mut state.serial, now)
    }

    /// Signs a user out everywhere: revokes the refresh tokens, and stops accepting the ID tokens.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::UserPoolTokens;
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// let cognito = FakeCognito::new();
    /// cognito.set_refresh_token_rotation(Some(Duration::from_secs(60)));
    /// cognito.set_client_secret(Some("secret"));
    /// let tokens = UserPoolTokens::builder()
    ///     .user_pool_id(FakeCognito::USER_POOL_ID)
    ///     .client_id(FakeCognito::CLIENT_ID)
    ///     .client_secret("secret")
    ///     .username("ann")
    ///     .refresh_token(cognito.sign_in("ann"))
    ///     .transport(cognito.clone())
    ///     .build()?;
    /// tokens.id_token()?;
    ///
    /// let signed_out = cognito.sign_in("bob");
    /// cognito.sign_out("bob");
    /// tokens.set_refresh_token(signed_out)?;
    /// assert!(tokens.id_token().unwrap_err().needs_sign_in());
    ///
    /// let disabled = cognito.sign_in("cid");
    /// cognito.disable_user("cid");
    /// tokens.set_refresh_token(disabled)?;
    /// assert_eq!(tokens.id_token().unwrap_err().message(), "User is disabled.");
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn sign_out(&self, user: &str) {
        let state = &mut self.lock().state;
        state.user_pool.revoke(user);
        state.logins.remove_user(&user_pool::provider(), user);
    }

    /// Disables a user: rejects all refresh tokens until the next [sign-in](Self::sign_in).
    ///
    /// See the [example](Self::sign_out).
    pub fn disable_user(&self, user: &str) {
        self.lock().state.user_pool.disabled.insert(user.to_owned());
    }

    /// Sets or removes the secret of the app client. Default: none.
    ///
    /// See the [example](Self::sign_out).
    pub fn set_client_secret(&self, secret: Option<&str>) {
        self.lock().state.user_pool.client_secret = secret.map(str::to_owned);
    }

    /// Turns the rotation of refresh tokens on or off. After a rotation, the old token is still
    /// accepted for `grace`. Default: off.
    ///
    /// See the [example](Self::sign_out).
    pub fn set_refresh_token_rotation(&self, grace: Option<Duration>) {
        self.lock().state.user_pool.rotation = grace;
    }

    /// Sets the lifetime of ID tokens that are issued from now on. Default: one hour.
    ///
    /// ```
    /// # use cognito_identity_credentials::{UserPoolTokens, testing::{FakeCognito, ManualClock}};
    /// # let clock = ManualClock::new();
    /// # let cognito = FakeCognito::with_clock(clock.clone());
    /// # let builder = UserPoolTokens::builder()
    /// #     .user_pool_id(FakeCognito::USER_POOL_ID).client_id(FakeCognito::CLIENT_ID)
    /// #     .transport(cognito.clone()).clock(clock.clone());
    /// use std::time::Duration;
    ///
    /// cognito.set_id_token_lifetime(Duration::from_secs(5 * 60)); // the shortest that AWS allows
    /// cognito.set_refresh_token_lifetime(Duration::from_secs(24 * 3600));
    /// let tokens = builder.refresh_token(cognito.sign_in("ann")).build()?;
    /// let first = tokens.id_token()?;
    /// clock.advance(Duration::from_secs(5 * 60));
    /// assert_ne!(tokens.id_token()?, first);
    /// clock.advance(Duration::from_secs(24 * 3600));
    /// assert!(tokens.id_token().unwrap_err().needs_sign_in());
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn set_id_token_lifetime(&self, lifetime: Duration) {
        self.lock().state.user_pool.id_lifetime = lifetime;
    }

    /// Sets the lifetime of refresh tokens that are issued from now on. Default: 30 days.
    ///
    /// See the [example](Self::set_id_token_lifetime).
    pub fn set_refresh_token_lifetime(&self, lifetime: Duration) {
        self.lock().state.user_pool.refresh_lifetime = lifetime;
    }
}
