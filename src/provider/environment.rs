//! Settings from environment variables. The library reads them only in these functions.

use std::env;
use std::ffi::OsString;

use crate::error::{ConfigFaults, Error};
use crate::provider::CognitoIdentityCredentials;
use crate::provider::builder::Builder;

impl CognitoIdentityCredentials {
    /// Builds a provider with the variables of [`Builder::from_env`], and defaults for the other
    /// settings.
    ///
    /// # Errors
    ///
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// // AWS_COGNITO_IDENTITY_POOL_ID is set
    /// let credentials = CognitoIdentityCredentials::from_env()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }
}

impl Builder {
    /// Returns a builder with the settings in the environment, and defaults for the others. A later
    /// call of a setter replaces the value of the environment.
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `AWS_COGNITO_IDENTITY_POOL_ID` | [`identity_pool_id`](Self::identity_pool_id) |
    /// | `AWS_COGNITO_IDENTITY_ID` | [`identity_id`](Self::identity_id) |
    /// | `AWS_ACCOUNT_ID` | [`account_id`](Self::account_id) |
    /// | `AWS_COGNITO_CUSTOM_ROLE_ARN` | [`custom_role_arn`](Self::custom_role_arn) |
    /// | `AWS_COGNITO_ROLE_ARN` | [`role_arn`](Self::role_arn), which chooses the classic flow |
    /// | `AWS_ROLE_SESSION_NAME` | [`role_session_name`](Self::role_session_name), if `AWS_COGNITO_ROLE_ARN` is set |
    /// | `AWS_ENDPOINT_URL_COGNITO_IDENTITY`, else `AWS_ENDPOINT_URL` | [`endpoint_url`](Self::endpoint_url) |
    /// | `AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL` | [`sts_endpoint_url`](Self::sts_endpoint_url) |
    /// | `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` | `true` or `false`; with `true`, the three variables with a URL are not read |
    /// | `AWS_USE_FIPS_ENDPOINT` | [`use_fips`](Self::use_fips): `true` or `false` |
    /// | `AWS_USE_DUALSTACK_ENDPOINT` | [`use_dual_stack`](Self::use_dual_stack): `true` or `false` |
    /// | `AWS_MAX_ATTEMPTS` | [`max_attempts`](Self::max_attempts) |
    /// | `AWS_CA_BUNDLE` | the authorities that the default `UreqTransport` trusts: a PEM file, read at once (feature `ureq`); a [`transport`](Self::transport) that you set does not get it |
    ///
    /// An empty variable counts as not set. `AWS_ACCOUNT_ID` is ignored without a pool. No variable
    /// allows plain `http` to hosts other than loopback. The library does not read:
    ///
    /// * `AWS_REGION` and `AWS_DEFAULT_REGION`. The ID of the pool or of the identity names the
    ///   region, and programs need these variables for other services.
    /// * `AWS_ROLE_ARN`. Other systems set it, and it would change the flow.
    /// * the variables of a proxy. `UreqTransportBuilder::proxy_from_env` reads them.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use cognito_identity_credentials::Builder;
    ///
    /// let credentials = Builder::from_env()?.timeout(Duration::from_secs(20)).build()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every variable whose value is malformed.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| env::var_os(name))
    }

    /// Returns a builder like [`from_env`](Self::from_env), but reads the variables with `lookup`,
    /// which gets their names. Use it to read them from a file, or to leave some of them out.
    ///
    /// ```
    /// use cognito_identity_credentials::Builder;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let settings = Builder::from_variables(|name| match name {
    ///     "AWS_COGNITO_IDENTITY_POOL_ID" => {
    ///         Some("us-east-1:12345678-dead-beef-cafe-123456790ab0".into())
    ///     }
    ///     name => std::env::var_os(name).filter(|_| name.starts_with("AWS_ENDPOINT_URL")),
    /// })?;
    /// let credentials = settings.build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`from_env`](Self::from_env).
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut faults = ConfigFaults::default();
        let mut get = |name: &'static str| {
            let value = lookup(name)?.into_string();
            let value = value.map_err(|_| faults.add(name, "is not UTF-8")).ok()?;
            (!value.is_empty()).then_some((name, value))
        };
        let role = get("AWS_COGNITO_ROLE_ARN");
        let session_name = role.as_ref().and_then(|_| get("AWS_ROLE_SESSION_NAME"));
        let ignore = get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        let ignore = ignore.map(|(variable, value)| (variable, flag(&value)));
        let mut url = |name| match ignore {
            Some((_, Some(true))) => None,
            _ => get(name),
        };
        let shared_url = url("AWS_ENDPOINT_URL");
        let cognito_url = url("AWS_ENDPOINT_URL_COGNITO_IDENTITY").or_else(|| shared_url.clone());
        let sts_url = url("AWS_ENDPOINT_URL_STS").or(shared_url);
        let texts: [(_, _, SetText); 8] = [
            ("identity_pool_id", get("AWS_COGNITO_IDENTITY_POOL_ID"), Self::identity_pool_id),
            ("identity_id", get("AWS_COGNITO_IDENTITY_ID"), Self::identity_id),
            ("account_id", get("AWS_ACCOUNT_ID"), Self::account_id),
            ("custom_role_arn", get("AWS_COGNITO_CUSTOM_ROLE_ARN"), Self::custom_role_arn),
            ("role_arn", role, Self::role_arn),
            ("role_session_name", session_name, Self::role_session_name),
            ("endpoint_url", cognito_url, Self::endpoint_url),
            ("sts_endpoint_url", sts_url, Self::sts_endpoint_url),
        ];
        let flags: [(_, _, SetFlag); 2] = [
            ("use_fips", get("AWS_USE_FIPS_ENDPOINT"), Self::use_fips),
            ("use_dual_stack", get("AWS_USE_DUALSTACK_ENDPOINT"), Self::use_dual_stack),
        ];
        let attempts = get("AWS_MAX_ATTEMPTS");
        let bundle = get("AWS_CA_BUNDLE");

        let mut settings = CognitoIdentityCredentials::builder();
        for (setting, found, set) in texts {
            if let Some((variable, value)) = found {
                settings = set(settings, value);
                settings.set_by_variable(setting, variable);
            }
        }
        settings.check_each(&mut faults);
        for (setting, found, set) in flags {
            let Some((variable, value)) = found else { continue };
            match flag(&value) {
                Some(on) => {
                    settings = set(settings, on);
                    settings.set_by_variable(setting, variable);
                }
                None => faults.add(variable, NOT_A_FLAG),
            }
        }
        if let Some((variable, None)) = ignore {
            faults.add(variable, NOT_A_FLAG);
        }
        if let Some((variable, value)) = attempts {
            match value.parse() {
                Ok(attempts @ 1..) => settings = settings.max_attempts(attempts),
                _ => faults.add(variable, "must be a number, at least 1"),
            }
        }
        #[cfg(feature = "ureq")]
        if let Some((variable, path)) = bundle {
            match crate::transport::UreqTransport::builder().ca_file(path).build() {
                Ok(transport) => settings = settings.transport(transport),
                Err(error) => faults.add_from_variable(error.config_faults(), variable),
            }
        }
        #[cfg(not(feature = "ureq"))]
        drop(bundle);
        if faults.is_empty() { Ok(settings) } else { Err(faults.into()) }
    }
}

type SetText = fn(Builder, String) -> Builder;
type SetFlag = fn(Builder, bool) -> Builder;

const NOT_A_FLAG: &str = "must be true or false";

fn flag(value: &str) -> Option<bool> {
    value.to_ascii_lowercase().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::transport::{HttpRequest, HttpResponse, TransportError, TransportErrorKind};

    const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
    const ROLE: &str = "arn:aws:iam::123456789012:role/r";

    fn from(variables: &[(&str, &str)]) -> Result<Builder, Error> {
        Builder::from_variables(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn each_variable_is_in_the_table_of_from_env() {
        let rows = include_str!("environment.rs").lines().filter(|line| line.contains("/// | `"));
        let table = rows.collect::<String>();
        let lookup = |name: &str| {
            assert!(table.contains(&format!("`{name}`")), "{name} is not documented");
            (name == "AWS_COGNITO_ROLE_ARN").then(|| ROLE.into())
        };
        assert!(Builder::from_variables(lookup).is_ok());
    }

    #[test]
    fn a_malformed_value_is_reported_with_its_variable() {
        let rows = [
            ("AWS_COGNITO_IDENTITY_POOL_ID", "nonsense"),
            ("AWS_COGNITO_IDENTITY_ID", "nonsense"),
            ("AWS_ACCOUNT_ID", "x"),
            ("AWS_COGNITO_CUSTOM_ROLE_ARN", "x"),
            ("AWS_COGNITO_ROLE_ARN", "x"),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", "nonsense"),
            ("AWS_ENDPOINT_URL_STS", "ftp://x"),
            ("AWS_ENDPOINT_URL", "https://ann:hunter2@x"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "yes"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "1"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true "),
            ("AWS_USE_FIPS_ENDPOINT", "yes"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
            ("AWS_MAX_ATTEMPTS", "0"),
            ("AWS_MAX_ATTEMPTS", "many"),
            #[cfg(feature = "ureq")]
            ("AWS_CA_BUNDLE", "/no/such/file"),
        ];
        for (variable, value) in rows {
            let error = from(&[(variable, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().starts_with(variable), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
        let three = ["AWS_ACCOUNT_ID", "AWS_MAX_ATTEMPTS", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"];
        let message = from(&three.map(|name| (name, "x"))).unwrap_err().message().to_owned();
        for variable in three {
            assert!(message.contains(variable), "{message}");
        }
        let error = from(&[("AWS_COGNITO_ROLE_ARN", ROLE), ("AWS_ROLE_SESSION_NAME", "a b")]);
        assert!(
            error.unwrap_err().message().starts_with("AWS_ROLE_SESSION_NAME, role_session_name")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf_8_is_reported() {
        use std::os::unix::ffi::OsStringExt;

        let error = Builder::from_variables(|_| Some(OsString::from_vec(vec![0xff])));
        let message = error.unwrap_err().message().to_owned();
        assert!(message.contains("AWS_COGNITO_IDENTITY_POOL_ID: is not UTF-8"), "{message}");
    }

    #[test]
    fn build_reports_a_contradiction_with_its_variable() {
        let from = |variables: &[_]| {
            let none = TransportErrorKind::Other;
            let transport = move |_: &HttpRequest| Err(TransportError::new(none, "none"));
            from(variables).map(|settings| settings.transport(transport))
        };
        let identity = ("AWS_COGNITO_IDENTITY_ID", "eu-west-1:0");
        let settings = || from(&[("AWS_COGNITO_IDENTITY_POOL_ID", POOL), identity]).unwrap();
        assert_eq!(
            settings().build().unwrap_err().message(),
            "AWS_COGNITO_IDENTITY_ID, identity_id: it is in region eu-west-1, but the identity pool is in region us-east-1"
        );
        let error = settings().identity_id("eu-west-1:1").build().unwrap_err();
        assert!(error.message().starts_with("identity_id: it is in region"), "{error}");
        let settings = from(&[
            ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", "https://x"),
            ("AWS_USE_FIPS_ENDPOINT", "TRUE"),
        ]);
        assert_eq!(
            settings.unwrap().build().unwrap_err().message(),
            "AWS_USE_FIPS_ENDPOINT, use_fips: cannot be combined with endpoint_url"
        );
        let settings = from(&[
            ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
            ("AWS_ENDPOINT_URL_STS", "https://x"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
        ]);
        settings.unwrap().build().expect("STS is not called in the enhanced flow");
        let other_programs = [
            ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
            ("AWS_ENDPOINT_URL_STS", "http://emulator:5000"),
        ];
        from(&other_programs).unwrap().build().expect("its URL may then be plain http");
        let settings = from(&[
            ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
            ("AWS_ENDPOINT_URL", "http://emulator:5000"),
        ]);
        for is_classic in [false, true] {
            let mut settings = settings.clone().unwrap();
            if is_classic {
                settings = settings.role_arn(ROLE);
            }
            let error = settings.build().unwrap_err();
            let says = |what: &str| error.message().contains(what);
            assert!(says("AWS_ENDPOINT_URL, endpoint_url: is plain http"), "{error}");
            assert_eq!(says("AWS_ENDPOINT_URL, sts_endpoint_url: is plain"), is_classic, "{error}");
        }
        settings.unwrap().danger_allow_http(true).build().unwrap();
    }

    #[test]
    fn empty_variables_and_variables_of_other_systems_change_nothing() {
        let settings = from(&[
            ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ""),
            ("AWS_MAX_ATTEMPTS", ""),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_ROLE_SESSION_NAME", "no role of ours"),
        ]);
        let transport = |_: &HttpRequest| Ok(HttpResponse::new(200, "{}"));
        let credentials = settings.unwrap().transport(transport).build().unwrap();
        assert_eq!(credentials.get().unwrap_err().operation(), Some("GetId"));
    }

    /// The unit tests of `endpoint` test the rule. This test shows that every setting and every
    /// variable follows it.
    #[test]
    fn no_setting_and_no_variable_allows_plain_http() {
        type Apply = fn(Builder, &str) -> Builder;
        let builder = || CognitoIdentityCredentials::builder().identity_pool_id(POOL);
        let settings: [(_, Apply); 2] = [
            ("endpoint_url", |builder, url| builder.endpoint_url(url)),
            ("sts_endpoint_url", |builder, url| builder.sts_endpoint_url(url)),
        ];
        for url in [
            "http://emulator:5000",
            "HTTP://emulator:5000",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://evil.example\\@localhost",
            "http://[::1].evil",
            "http:\\\\localhost",
            "http://localhost.",
            "http://127.1",
            "http://0177.0.0.1",
            "http://0x7f000001",
            "http://127\u{3002}0\u{3002}0\u{3002}1",
        ] {
            for (setting, apply) in settings {
                let error = apply(builder().role_arn(ROLE), url).build().unwrap_err();
                assert!(error.message().starts_with(setting), "{setting} {url}: {error}");
            }
            for variable in
                ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL_STS"]
            {
                let settings = from(&[
                    ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
                    ("AWS_COGNITO_ROLE_ARN", ROLE),
                    (variable, url),
                ]);
                let error = settings.and_then(Builder::build).unwrap_err();
                assert!(error.message().starts_with(variable), "{variable} {url}: {error}");
            }
        }
    }
}
