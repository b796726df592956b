//! Credentials for other programs: as environment variables, and as the output of a
//! `credential_process`.

use std::array::IntoIter;
use std::ffi::OsString;
use std::fmt;
use std::iter::Flatten;
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::credentials::{Credentials, clamp_to_rfc3339};
use crate::error::{ConfigFaults, Error};
use crate::redact;
use crate::service::protocol::timestamp;

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";

/// Holds the environment variables that AWS's tools and SDKs read credentials from:
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. Some of them also read
/// `AWS_CREDENTIAL_EXPIRATION` (RFC 3339, UTC).
///
/// [`Credentials`] can be converted into this type and back. Both share one copy of the secrets.
/// `Debug` shows no secret.
///
/// # Example
///
/// ```
/// use std::process::Command;
/// use std::time::{Duration, SystemTime};
/// use cognito_identity_credentials::{CredentialVariables, Credentials};
///
/// let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let credentials = Credentials::new("ASIAEXAMPLE", "secret", "token", end);
///
/// let variables = CredentialVariables::from(&credentials);
/// let mut backup = Command::new("backup");
/// backup.env_remove("AWS_PROFILE").envs(&variables);
///
/// assert_eq!(Credentials::from(variables), credentials);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialVariables {
    credentials: Credentials,
    /// An empty text means that the expiration is unknown.
    expiration: String,
}

impl CredentialVariables {
    /// Reads the variables from the environment of this process, once.
    ///
    /// ```no_run
    /// use cognito_identity_credentials::{CredentialVariables, Credentials};
    ///
    /// let credentials = Credentials::from(CredentialVariables::from_env()?);
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`from_variables`](Self::from_variables).
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// Reads the variables with `lookup`, for example from a file.
    ///
    /// Many programs do not set `AWS_CREDENTIAL_EXPIRATION`. The credentials then count as expired,
    /// and [`Credentials::expiration`] returns [`UNIX_EPOCH`](SystemTime::UNIX_EPOCH).
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use cognito_identity_credentials::{CredentialVariables, Credentials};
    ///
    /// let variables = CredentialVariables::from_variables(|name| match name {
    ///     "AWS_ACCESS_KEY_ID" => Some("ASIAEXAMPLE".into()),
    ///     "AWS_SECRET_ACCESS_KEY" => Some("secret".into()),
    ///     "AWS_SESSION_TOKEN" => Some("token".into()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(Credentials::from(variables).expiration(), SystemTime::UNIX_EPOCH);
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), if one of the first three variables is not set or
    /// blank, if a variable is not UTF-8, or if the expiration is no RFC 3339 timestamp. The
    /// message names each such variable and contains no value.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut faults = ConfigFaults::default();
        let mut get = |name: &'static str, needed: bool| {
            let fault = match lookup(name).map(OsString::into_string) {
                Some(Ok(value)) if !value.trim().is_empty() => return value,
                Some(Err(_)) => "is not UTF-8",
                Some(Ok(_)) if needed => "is blank",
                None if needed => "is not set",
                _ => return String::new(),
            };
            faults.add(name, fault);
            String::new()
        };
        let access_key_id = get(ACCESS_KEY_ID, true);
        let secret_access_key = get(SECRET_ACCESS_KEY, true);
        let session_token = get(SESSION_TOKEN, true);
        let expiration = get(EXPIRATION, false);
        let end = timestamp::parse_rfc3339(expiration.trim());
        if end.is_none() && !expiration.is_empty() {
            faults.add(EXPIRATION, "is no RFC 3339 timestamp");
        }
        let end = end.unwrap_or(SystemTime::UNIX_EPOCH);
        // Created even after a fault, because it wipes the values.
        let credentials = Credentials::new(access_key_id, secret_access_key, session_token, end);
        if faults.is_empty() { Ok(Self::from(&credentials)) } else { Err(faults.into()) }
    }

    /// Returns the names and values for [`Command::envs`](std::process::Command::envs). It leaves
    /// out an unknown expiration.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use cognito_identity_credentials::{
    ///     CredentialVariables, CredentialVariablesIter, Credentials,
    /// };
    ///
    /// let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    /// let credentials = Credentials::new("ASIAEXAMPLE", "secret", "token", end);
    /// let variables = CredentialVariables::from(&credentials);
    /// let pairs: CredentialVariablesIter<'_> = variables.iter();
    /// let names: Vec<&str> = pairs.map(|(name, _)| name).collect();
    /// assert_eq!(names[0], "AWS_ACCESS_KEY_ID");
    /// assert_eq!(names[3], "AWS_CREDENTIAL_EXPIRATION");
    /// ```
    #[must_use]
    pub fn iter(&self) -> CredentialVariablesIter<'_> {
        let Self { credentials, expiration } = self;
        let pairs = [
            Some((ACCESS_KEY_ID, credentials.access_key_id())),
            Some((SECRET_ACCESS_KEY, credentials.secret_access_key())),
            Some((SESSION_TOKEN, credentials.session_token())),
            (!expiration.is_empty()).then_some((EXPIRATION, expiration.as_str())),
        ];
        CredentialVariablesIter(pairs.into_iter().flatten())
    }
}

impl From<&Credentials> for CredentialVariables {
    fn from(credentials: &Credentials) -> Self {
        let known = credentials.expiration() > SystemTime::UNIX_EPOCH;
        let expiration = if known { rfc3339(credentials) } else { String::new() };
        Self { credentials: credentials.clone(), expiration }
    }
}

impl From<CredentialVariables> for Credentials {
    fn from(variables: CredentialVariables) -> Self {
        variables.credentials
    }
}

impl<'a> IntoIterator for &'a CredentialVariables {
    type Item = (&'static str, &'a str);
    type IntoIter = CredentialVariablesIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over the names and values of [`CredentialVariables`].
/// [`iter`](CredentialVariables::iter) returns it.
pub struct CredentialVariablesIter<'a>(Flatten<IntoIter<Option<(&'static str, &'a str)>, 4>>);

impl<'a> Iterator for CredentialVariablesIter<'a> {
    type Item = (&'static str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl fmt::Debug for CredentialVariablesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialVariablesIter").finish_non_exhaustive()
    }
}

impl fmt::Debug for CredentialVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_map();
        for (name, value) in self {
            let secret = [SECRET_ACCESS_KEY, SESSION_TOKEN].contains(&name);
            let value = if secret { "[redacted]".to_owned() } else { redact::clean(value) };
            shown.entry(&name, &value);
        }
        shown.finish()
    }
}

/// Holds the output of a [`credential_process`] for AWS's tools and SDKs. It is a JSON object with
/// `Version` 1, `AccessKeyId`, `SecretAccessKey`, `SessionToken` and `Expiration` (RFC 3339, UTC).
///
/// The serialized form contains the secrets. [`Credentials`] cannot be serialized, so no program
/// prints them by accident. `Debug` shows no secret.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use cognito_identity_credentials::{CredentialProcessDocument, Credentials};
///
/// let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let credentials = Credentials::new("ASIAEXAMPLE", "secret", "token", end);
/// assert_eq!(
///     serde_json::to_string(&CredentialProcessDocument::from(&credentials)).unwrap(),
///     r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret","SessionToken":"token","Expiration":"2027-01-15T08:00:00Z"}"#
/// );
/// ```
///
/// ```compile_fail
/// use cognito_identity_credentials::Credentials;
///
/// fn leak(credentials: &Credentials) -> serde_json::Result<String> {
///     serde_json::to_string(credentials)
/// }
/// ```
///
/// [`credential_process`]:
/// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialProcessDocument(Credentials);

impl From<&Credentials> for CredentialProcessDocument {
    fn from(credentials: &Credentials) -> Self {
        Self(credentials.clone())
    }
}

impl Serialize for CredentialProcessDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("CredentialProcessDocument", 5)?;
        document.serialize_field("Version", &1)?;
        document.serialize_field("AccessKeyId", self.0.access_key_id())?;
        document.serialize_field("SecretAccessKey", self.0.secret_access_key())?;
        document.serialize_field("SessionToken", self.0.session_token())?;
        // Always present, because readers treat credentials without it as permanent.
        document.serialize_field("Expiration", &rfc3339(&self.0))?;
        document.end()
    }
}

impl fmt::Debug for CredentialProcessDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CredentialProcessDocument").field(&self.0).finish()
    }
}

/// Formats the expiration in whole seconds. It rounds down, so that no program uses the credentials
/// too long.
fn rfc3339(credentials: &Credentials) -> String {
    humantime::format_rfc3339_seconds(clamp_to_rfc3339(credentials.expiration())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use std::time::Duration;

    const END: &str = "2027-01-15T08:00:00Z";

    fn end() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn credentials(end: SystemTime) -> Credentials {
        Credentials::new("ASIAEXAMPLE", "hunter2", "hunter3", end)
    }

    fn read(variables: &[(&str, &str)]) -> Result<Credentials, Error> {
        let lookup = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        CredentialVariables::from_variables(lookup).map(Credentials::from)
    }

    #[test]
    fn the_variables_are_those_of_aws_and_convert_back_to_the_same_credentials() {
        let variables = CredentialVariables::from(&credentials(end()));
        let expected = [
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", "hunter3"),
            ("AWS_CREDENTIAL_EXPIRATION", END),
        ];
        assert_eq!(variables.iter().collect::<Vec<_>>(), expected);
        assert_eq!(read(&expected).unwrap(), credentials(end()));

        let mut command = std::process::Command::new("x");
        command.envs(&variables);
        assert_eq!(command.get_envs().count(), 4);
    }

    #[test]
    fn credentials_with_an_unknown_expiration_count_as_expired() {
        let three = [
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", "hunter3"),
        ];
        let over = SystemTime::UNIX_EPOCH;
        assert_eq!(read(&three).unwrap(), credentials(over));
        let blank = [&three[..], &[("AWS_CREDENTIAL_EXPIRATION", " ")]].concat();
        assert_eq!(read(&blank).unwrap().expiration(), over);

        // The variables then contain no expiration. The document must contain one, because other
        // programs treat credentials without an expiration as permanent.
        let unknown = read(&three).unwrap();
        assert_eq!(CredentialVariables::from(&unknown).iter().count(), 3);
        let document = serde_json::to_string(&CredentialProcessDocument::from(&unknown)).unwrap();
        assert!(document.contains(r#""Expiration":"1970-01-01T00:00:00Z""#), "{document}");
    }

    #[test]
    fn missing_and_malformed_variables_are_named_without_their_values() {
        let all = [
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", "hunter3"),
            ("AWS_CREDENTIAL_EXPIRATION", "2027-01-15T09:00:00+01:00"),
        ];
        assert_eq!(read(&all).unwrap().expiration(), end());
        for (missing, _) in &all[..3] {
            let rest: Vec<_> = all.iter().copied().filter(|(name, _)| name != missing).collect();
            let error = read(&rest).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert_eq!(error.message(), format!("{missing}: is not set"));
            let blank: Vec<_> = rest.into_iter().chain([(*missing, " \n")]).collect();
            assert_eq!(read(&blank).unwrap_err().message(), format!("{missing}: is blank"));
        }
        let error = read(&[("AWS_SECRET_ACCESS_KEY", "hunter2"), (EXPIRATION, "hunter4")]);
        let message = error.unwrap_err().message().to_owned();
        assert_eq!(
            message,
            "AWS_ACCESS_KEY_ID: is not set; AWS_SESSION_TOKEN: is not set; \
             AWS_CREDENTIAL_EXPIRATION: is no RFC 3339 timestamp"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_named() {
        use std::os::unix::ffi::OsStringExt;

        let lookup = |_: &str| Some(OsString::from_vec(vec![0xff]));
        let error = CredentialVariables::from_variables(lookup).unwrap_err();
        assert!(error.message().starts_with("AWS_ACCESS_KEY_ID: is not UTF-8; "), "{error}");
        assert!(error.message().contains("AWS_CREDENTIAL_EXPIRATION: is not UTF-8"), "{error}");
    }

    #[test]
    fn the_expiration_is_rounded_down_and_any_expiration_can_be_printed() {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        let rows = [
            (end() + Duration::from_millis(999), END),
            (late, "9999-12-31T23:59:59Z"),
            (SystemTime::UNIX_EPOCH - Duration::from_secs(1), "1970-01-01T00:00:00Z"),
        ];
        for (end, expected) in rows {
            let document = CredentialProcessDocument::from(&credentials(end));
            let json = serde_json::to_value(&document).unwrap();
            assert_eq!(json["Expiration"], expected);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = credentials(end());
        assert_eq!(
            format!("{:?}", CredentialVariables::from(&credentials)),
            r#"{"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "[redacted]", "AWS_SESSION_TOKEN": "[redacted]", "AWS_CREDENTIAL_EXPIRATION": "2027-01-15T08:00:00Z"}"#
        );
        let odd = Credentials::new("A".repeat(300), "s", "t", end());
        assert!(!format!("{:?}", CredentialVariables::from(&odd)).contains(&"A".repeat(257)));
        assert_eq!(
            format!("{:?}", CredentialVariables::from(&credentials).iter()),
            "CredentialVariablesIter { .. }"
        );
        assert_eq!(
            format!("{:?}", CredentialProcessDocument::from(&credentials)),
            r#"CredentialProcessDocument(Credentials { access_key_id: "ASIAEXAMPLE", expiration: "2027-01-15T08:00:00Z", .. })"#
        );
    }

    /// If credentials implemented `Serialize`, `name` would be ambiguous, and this would not
    /// compile.
    #[test]
    fn credentials_cannot_be_serialized_by_accident() {
        trait Ambiguous<A> {
            fn name() {}
        }
        impl<T> Ambiguous<()> for T {}
        impl<T: Serialize> Ambiguous<u8> for T {}

        <Credentials as Ambiguous<_>>::name();
        <CredentialVariables as Ambiguous<_>>::name();
    }
}
