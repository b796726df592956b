//! The settings of the user: login tokens, or a developer identity provider.

use std::sync::Arc;

use crate::developer::DeveloperIdentityProvider;
use crate::logins::{Logins, TokenSource};
use crate::provider::builder::Builder;
#[cfg(feature = "user-pool")]
use crate::user_pool_tokens::UserPoolTokens;

impl Builder {
    /// Adds the login token of a provider, or replaces the provider's earlier token. See [`Logins`]
    /// for the provider names.
    ///
    /// Default: no logins. Without a login the user is a guest.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// # let id_token = "token-of-a-sign-in";
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login("accounts.google.com", id_token)
    ///     .login_id("ann") // one of several users of this device
    ///     .storage(FileStorage::new("/var/lib/app/identity"))
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "Logins")]
    pub fn login(mut self, provider: impl Into<String>, token: impl Into<String>) -> Self {
        self.settings.logins.insert(provider, token);
        self
    }

    /// Adds a login whose token comes from a [`TokenSource`]. Each refresh asks the source for the
    /// current token, so the provider keeps working after one token expires.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login_from("accounts.google.com", || {
    ///         Ok(std::fs::read_to_string("/run/app/id-token")?.trim().to_owned())
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "Logins")]
    pub fn login_from(
        mut self,
        provider: impl Into<String>,
        source: impl TokenSource + 'static,
    ) -> Self {
        self.settings.logins.insert_source(provider.into(), source);
        self
    }

    /// Adds the login of a user pool whose tokens refresh themselves. Same as
    /// [`login_from`](Self::login_from) with [`UserPoolTokens::provider`] and a clone of `tokens`.
    ///
    /// A `get()` that needs a new ID token also waits for the user pool, and can exceed its time
    /// limit. See [Blocking](crate::CognitoIdentityCredentials::get).
    ///
    /// See the [example](UserPoolTokens#example).
    #[cfg(feature = "user-pool")]
    #[doc(alias = "Logins")]
    pub fn login_from_user_pool(self, tokens: &UserPoolTokens) -> Self {
        self.login_from(tokens.provider(), tokens.clone())
    }

    /// Replaces all logins, including those of [`login_from`](Self::login_from). Default: none.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, Logins};
    ///
    /// # let id_token = "token-of-a-sign-in";
    /// let logins = Logins::new().with("accounts.google.com", id_token);
    /// let builder = CognitoIdentityCredentials::builder().logins(logins);
    /// ```
    #[doc(alias = "Logins")]
    pub fn logins(mut self, logins: Logins) -> Self {
        self.settings.logins = logins;
        self
    }

    /// Sets your own backend as the source of the identity, for developer-authenticated identities.
    /// Default: none.
    ///
    /// Each refresh asks the backend for an identity ID and a token. The enhanced flow sends the
    /// token to Cognito as a login. The classic flow sends it to STS. This setting cannot be
    /// combined with logins or with [`identity_id`](Self::identity_id).
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, DeveloperIdentity};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// # fn ask_our_backend() -> std::io::Result<(String, String)> { unimplemented!() }
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .developer_identity(|| {
    ///         let (identity_id, token) = ask_our_backend()?;
    ///         Ok(DeveloperIdentity::new(identity_id, token))
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "WebIdentityToken")]
    #[doc(alias = "IdentityId")]
    #[doc(alias = "Logins")]
    pub fn developer_identity(
        mut self,
        provider: impl DeveloperIdentityProvider + 'static,
    ) -> Self {
        self.settings.developer = Some(Arc::new(provider));
        self
    }
}
