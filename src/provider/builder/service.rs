//! The settings of the service calls: time limits, attempts, endpoints and the transport.

use std::sync::Arc;
use std::time::Duration;

use crate::provider::builder::Builder;
use crate::transport::Transport;

impl Builder {
    /// Sets the time limit of one `get()` or `refresh()`, with all calls, retries and delays.
    /// Default: 60 seconds. Zero is an error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .timeout(Duration::from_secs(8)) // a person waits for the result
    ///     .attempt_timeout(Duration::from_secs(3))
    ///     .max_attempts(2)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "httpOptions")]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.calls.timeout = timeout;
        self
    }

    /// Sets the time limit of one attempt at one service call, from the look-up of the host name to
    /// the last byte of the answer. Default: 10 seconds. Zero is an error.
    ///
    /// See the [example](Self::timeout).
    #[doc(alias = "httpOptions")]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.calls.attempt_timeout = timeout;
        self
    }

    /// Sets how many attempts a service call has before `get()` returns its last error. Default: 4.
    /// With 1 there are no retries. Zero is an error.
    ///
    /// See the [example](Self::timeout).
    #[doc(alias = "maxRetries")]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.calls.max_attempts = attempts;
        self
    }

    /// Sets another URL for Cognito Identity, such as the URL of an emulator. Default: AWS's
    /// endpoint in the region.
    ///
    /// It must begin with `https`. Plain `http` is allowed to loopback only: `127.0.0.0/8`, `[::1]`
    /// and `localhost`. [`danger_allow_http`](Self::danger_allow_http) allows it to any host.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .endpoint_url("http://127.0.0.1:4566") // an emulator
    ///     .sts_endpoint_url("http://127.0.0.1:4566") // only for the classic flow
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "endpoint")]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.set_by_program("endpoint_url");
        self.settings.calls.endpoint_url = Some(url.into());
        self
    }

    /// Sets another URL for STS. The rules are those of [`endpoint_url`](Self::endpoint_url).
    /// Default: AWS's endpoint in the region.
    ///
    /// See the [example](Self::endpoint_url).
    #[doc(alias = "endpoint")]
    pub fn sts_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.set_by_program("sts_endpoint_url");
        self.settings.sts_endpoint_url = Some(url.into());
        self
    }

    /// Sets whether to use endpoints with FIPS 140 validated cryptography. Default: `false`.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .use_fips(true)
    ///     .use_dual_stack(true)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "useFipsEndpoint")]
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.set_by_program("use_fips");
        self.settings.calls.use_fips = fips;
        self
    }

    /// Sets whether to use endpoints with both IPv4 and IPv6. Default: `false`.
    ///
    /// See the [example](Self::use_fips).
    #[doc(alias = "useDualstackEndpoint")]
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
        self.set_by_program("use_dual_stack");
        self.settings.calls.use_dual_stack = dual_stack;
        self
    }

    /// Sets whether [`endpoint_url`](Self::endpoint_url) and
    /// [`sts_endpoint_url`](Self::sts_endpoint_url) may use plain `http` to any host. It is for
    /// emulators on a private network. Default: `false`.
    ///
    /// Anyone who can read that network can read the login tokens and the credentials.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .endpoint_url("http://emulator.test:4566")
    ///     .danger_allow_http(true)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.settings.calls.danger_allow_http = allow;
        self
    }

    /// Sets the transport that sends the requests. Default: a new `UreqTransport` (feature `ureq`).
    ///
    /// To share one transport and its connections among several providers, pass an `Arc`.
    ///
    /// ```
    /// # #[cfg(feature = "ureq")] {
    /// use std::sync::Arc;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let transport = Arc::new(UreqTransport::new());
    /// let provider = |pool| {
    ///     CognitoIdentityCredentials::builder()
    ///         .identity_pool_id(pool)
    ///         .transport(Arc::clone(&transport))
    ///         .build()
    /// };
    /// let first = provider("us-east-1:12345678-dead-beef-cafe-123456790ab0")?;
    /// let second = provider("us-east-1:12345678-dead-beef-cafe-123456790ab1")?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "httpOptions")]
    #[doc(alias = "agent")]
    #[doc(alias = "cognito")]
    #[doc(alias = "sts")]
    #[doc(alias = "createClients")]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.settings.calls.transport = Some(Arc::new(transport));
        self
    }
}
