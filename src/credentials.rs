//! The result of a refresh: the credentials, and the other fields of the answer.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::redact::{self, Redactor};
use crate::secret::Secret;

/// Holds one set of temporary AWS credentials.
///
/// Clones share one copy of the secrets, which is wiped when the last clone is dropped. `Debug`
/// shows the access key ID and the expiration, and no secret.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use cognito_identity_credentials::Credentials;
///
/// let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let credentials = Credentials::new("ASIAEXAMPLE", "secret", "token", end);
///
/// // A library that signs requests needs these values:
/// assert_eq!(credentials.access_key_id(), "ASIAEXAMPLE");
/// assert_eq!(credentials.secret_access_key(), "secret");
/// assert_eq!(credentials.session_token(), "token");
///
/// assert_eq!(credentials.expiration(), end);
/// assert_eq!(credentials.identity_id(), None); // `get` returns credentials with an identity
/// ```
///
/// The guide [`aws_services`](crate::guide::aws_services) shows how to sign requests with them.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "AWS.Credentials")]
pub struct Credentials(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    keys: IssuedKeys,
    identity_id: Option<String>,
}

/// The keys in an answer of the service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IssuedKeys {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
    pub(crate) session_token: Secret,
    pub(crate) expiration: SystemTime,
}

impl Credentials {
    /// Creates credentials from values, for tests and for code that takes this type.
    ///
    /// See the [example](Self#example).
    pub fn new(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: impl Into<String>,
        expiration: SystemTime,
    ) -> Self {
        let keys = IssuedKeys {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
            session_token: Secret::new(session_token),
            expiration,
        };
        Self(Arc::new(Inner { keys, identity_id: None }))
    }

    pub(crate) fn of_identity(identity_id: String, keys: IssuedKeys) -> Self {
        Self(Arc::new(Inner { keys, identity_id: Some(identity_id) }))
    }

    /// Returns the access key ID, `ASIA…`. It is not a secret.
    ///
    /// See the [example](Self#example).
    #[must_use]
    #[doc(alias = "accessKeyId")]
    pub fn access_key_id(&self) -> &str {
        &self.0.keys.access_key_id
    }

    /// Returns the secret key that signs requests. Do not log it.
    ///
    /// See the [example](Self#example).
    #[must_use]
    #[doc(alias = "secretAccessKey")]
    pub fn secret_access_key(&self) -> &str {
        self.0.keys.secret_access_key.expose()
    }

    /// Returns the token that each request carries. Do not log it. AWS documents no maximum length.
    ///
    /// See the [example](Self#example).
    #[must_use]
    #[doc(alias = "sessionToken")]
    pub fn session_token(&self) -> &str {
        self.0.keys.session_token.expose()
    }

    /// Returns when the credentials expire, on the service's clock. Compare it with the device's
    /// wall clock only if that clock is right. The provider itself uses the boot clock.
    ///
    /// See the [example](Self#example).
    #[must_use]
    #[doc(alias = "expireTime")]
    pub fn expiration(&self) -> SystemTime {
        self.0.keys.expiration
    }

    /// Returns the ID of the identity that the credentials belong to, or `None` if they were made
    /// with [`new`](Self::new).
    ///
    /// Do not publish a guest's identity ID: anyone who knows it can get credentials of that guest.
    ///
    /// See the [example](Self#example).
    #[must_use]
    #[doc(alias = "identityId")]
    pub fn identity_id(&self) -> Option<&str> {
        self.0.identity_id.as_deref()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expiration = humantime::format_rfc3339(clamp_to_rfc3339(self.expiration()));
        f.debug_struct("Credentials")
            .field("access_key_id", &redact::clean(self.access_key_id()))
            .field("expiration", &expiration.to_string())
            .finish_non_exhaustive()
    }
}

/// Returns `true` if a text can be an access key ID, a secret access key or a session token. Other
/// text would break the headers of signed requests, or a terminal.
pub(crate) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Limits a time to the years 1970 to 9999, because `humantime` panics on any other.
pub(crate) fn clamp_to_rfc3339(time: SystemTime) -> SystemTime {
    let last = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    time.clamp(SystemTime::UNIX_EPOCH, last)
}

/// Holds the fields of the last answer other than the credentials. In the enhanced flow, all but
/// the identity ID are `None`. [`data`](crate::CognitoIdentityCredentials::data) returns it.
///
/// `Debug` masks the identity ID.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseData {
    /// The identity that the service issued the credentials to.
    #[doc(alias = "IdentityId")]
    pub identity_id: String,
    /// The ARN of the assumed role, with the session name.
    #[doc(alias = "AssumedRoleUser")]
    pub assumed_role_arn: Option<String>,
    /// The ID of the assumed role, with the session name.
    #[doc(alias = "AssumedRoleUser")]
    pub assumed_role_id: Option<String>,
    /// The ID that the identity provider has for the user.
    #[doc(alias = "SubjectFromWebIdentityToken")]
    pub subject_from_web_identity_token: Option<String>,
    /// The audience of the token: with Cognito, the identity pool.
    #[doc(alias = "Audience")]
    pub audience: Option<String>,
    /// The issuer of the token.
    #[doc(alias = "Provider")]
    pub provider: Option<String>,
    /// The size of the session policies, in percent of the limit.
    #[doc(alias = "PackedPolicySize")]
    pub packed_policy_size: Option<u32>,
    /// The source identity that the token names.
    #[doc(alias = "SourceIdentity")]
    pub source_identity: Option<String>,
}

impl fmt::Debug for ResponseData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The ARN contains the session name, which may be the identity ID or a part of it.
        let id = self.identity_id.as_str();
        let guid = id.split_once(':').map_or(id, |(_, guid)| guid);
        let redactor = Redactor { secrets: vec![id, guid], public: None };
        let role = self.assumed_role_arn.as_deref().map(|arn| redactor.clean(arn));
        f.debug_struct("ResponseData")
            .field("identity_id", &"[redacted]")
            .field("assumed_role_arn", &role)
            .field("packed_policy_size", &self.packed_policy_size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn debug_shows_only_the_key_id_and_the_expiration() {
        let keys = IssuedKeys {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: Secret::new("hunter2"),
            session_token: Secret::new("hunter3"),
            expiration: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        let credentials = Credentials::of_identity("us-east-1:secret-id".to_owned(), keys);
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { access_key_id: "ASIAEXAMPLE", expiration: "2027-01-15T08:00:00Z", .. }"#
        );
    }

    #[test]
    fn debug_shows_an_access_key_id_without_control_characters() {
        let odd = format!("\u{1b}A\u{7}S\u{202e}I\u{200b}A\u{9b} {}", "- ".repeat(300));
        let print = format!("{:?}", Credentials::new(odd, "b", "c", SystemTime::UNIX_EPOCH));
        assert!(print.starts_with("Credentials { access_key_id: \"ASIA - - "), "{print}");
        assert!(print.len() < 350 && print.is_ascii(), "{print}");
    }

    #[test]
    fn debug_of_an_answer_shows_no_identity_and_no_long_text() {
        let guid = "12345678-dead-beef-cafe-123456790ab0";
        let rows = [
            // The session name, and what `Debug` shows of it.
            ("device", "device".to_owned()),
            (guid, "[redacted]".to_owned()),
            ("us-east-1:secret-id", "[redacted]".to_owned()),
            ("secret-id", "[redacted]".to_owned()),
        ];
        for (session, shown) in rows {
            let data = ResponseData {
                identity_id: "us-east-1:secret-id".to_owned(),
                assumed_role_arn: Some(format!("arn:aws:sts::1:assumed-role/r/{session}")),
                ..ResponseData::default()
            };
            let arn = format!("arn:aws:sts::1:assumed-role/r/{shown}");
            let print = format!("{data:?}");
            assert!(print.contains(&format!("assumed_role_arn: Some({arn:?})")), "{print}");
        }
        let long =
            ResponseData { assumed_role_arn: Some("x".repeat(5000)), ..ResponseData::default() };
        assert!(format!("{long:?}").len() < 400);
    }

    #[test]
    fn debug_prints_any_expiration_without_a_panic() {
        for end in [
            SystemTime::UNIX_EPOCH - Duration::from_secs(1),
            SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000),
        ] {
            assert!(format!("{:?}", Credentials::new("a", "b", "c", end)).contains("expiration"));
        }
    }
}
