//! The settings of the role, most of them for the classic flow.

use std::time::Duration;

use crate::provider::builder::Builder;
use crate::refresh::CLASSIC_FLOW;

impl Builder {
    /// Sets the role to use instead of the pool's default role: 20 to 2048 characters. It is for
    /// users whose login token allows several roles.
    ///
    /// The enhanced flow sends it with `GetCredentialsForIdentity`. It cannot be combined with
    /// [`role_arn`](Self::role_arn). Default: none.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login("accounts.google.com", "token")
    ///     .custom_role_arn("arn:aws:iam::123456789012:role/operator")
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "CustomRoleArn")]
    pub fn custom_role_arn(mut self, arn: impl Into<String>) -> Self {
        self.set_by_program("custom_role_arn");
        self.settings.custom_role_arn = Some(arn.into());
        self
    }

    /// Sets the role to assume with the classic flow: 20 to 2048 characters. The classic flow calls
    /// `GetOpenIdToken`, then `AssumeRoleWithWebIdentity` of STS.
    ///
    /// The pool must allow the classic flow, and the role must trust the pool. Default: none. The
    /// library then uses the enhanced flow, with the roles of the pool.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// const READ_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [
    ///     {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    /// ]}"#;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .role_arn("arn:aws:iam::123456789012:role/uploader")
    ///     .role_session_name("sensor-7")
    ///     .duration(Duration::from_secs(15 * 60))
    ///     .policy_arns(["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"])
    ///     .policy(READ_ONLY)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "RoleArn")]
    #[doc(alias = "webIdentityCredentials")]
    #[doc(alias = "getCredentialsFromSTS")]
    pub fn role_arn(mut self, arn: impl Into<String>) -> Self {
        self.set_by_program("role_arn");
        self.settings.role_arn = Some(arn.into());
        self.settings.classic = Some(CLASSIC_FLOW);
        self
    }

    /// Sets the session name for [`role_arn`](Self::role_arn). AWS shows it in its logs.
    ///
    /// It has 2 to 64 characters of `A-Z a-z 0-9 _ + = , . @ -`. Default: `web-identity`.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "RoleSessionName")]
    pub fn role_session_name(mut self, name: impl Into<String>) -> Self {
        self.set_by_program("role_session_name");
        self.settings.role_session_name = Some(name.into());
        self
    }

    /// Sets a session policy (JSON) that restricts [`role_arn`](Self::role_arn): 1 to 2048
    /// characters. Default: none.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "Policy")]
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.settings.policy = Some(policy.into());
        self
    }

    /// Sets managed policies that restrict [`role_arn`](Self::role_arn): at most 10 ARNs, each with
    /// 20 to 2048 characters. They replace the policies of an earlier call. Default: none.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "PolicyArns")]
    pub fn policy_arns<A: Into<String>>(mut self, arns: impl IntoIterator<Item = A>) -> Self {
        self.settings.policy_arns = arns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the `ProviderId` that STS receives: 4 to 2048 characters. Default: none.
    ///
    /// STS needs it only for OAuth 2.0 access tokens. Cognito issues OpenID tokens, so most
    /// programs never set it.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// let builder = CognitoIdentityCredentials::builder().provider_id("www.amazon.com");
    /// ```
    #[doc(alias = "ProviderId")]
    pub fn provider_id(mut self, id: impl Into<String>) -> Self {
        self.settings.provider_id = Some(id.into());
        self
    }

    /// Sets the lifetime to request for the credentials of [`role_arn`](Self::role_arn): 15 minutes
    /// to 12 hours, in whole seconds, and at most what the role allows.
    ///
    /// Default: none. STS then grants one hour. In the enhanced flow the lifetime is always one
    /// hour.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "DurationSeconds")]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.settings.duration = Some(duration);
        self
    }
}
