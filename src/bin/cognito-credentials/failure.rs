//! [`Failure`]: why the command failed, its exit status, and what to do.

use std::io::{self, Write};
use std::process::ExitCode;

use cognito_identity_credentials::{Error, ErrorKind};

use crate::invalid_value::InvalidValue;
use crate::option_names;

/// The service rejected a call, or anything else that has no status of its own.
pub(crate) const REFUSED: u8 = 1;
/// The options or the settings are wrong.
pub(crate) const USAGE: u8 = 2;
/// The service did not answer: network, proxy, TLS.
pub(crate) const NETWORK: u8 = 3;
/// There is no login token that the service accepts: sign in again.
pub(crate) const LOGIN: u8 = 4;

const NO_TOKEN: &str =
    "check the source of the token (--login, --refresh-token); the user may have to sign in again";

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// Empty if it was already printed.
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), advice: None }
    }

    /// An error in the options or settings.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let advice = "cognito-credentials --help lists the commands and options".to_owned();
        Self { advice: Some(advice), ..Self::new(USAGE, message) }
    }

    /// The value of an option is wrong.
    pub(crate) fn invalid(option: &str, InvalidValue { reason, advice }: InvalidValue) -> Self {
        let usage = Self::usage(format!("{option}: {reason}"));
        Self { advice: advice.or(usage.advice), ..usage }
    }

    /// A login token is missing.
    pub(crate) fn login(message: impl Into<String>) -> Self {
        Self { advice: Some(NO_TOKEN.to_owned()), ..Self::new(LOGIN, message) }
    }

    /// An error of the library, in whose text `name` returns the name to show for each setting.
    pub(crate) fn naming_settings<'a>(error: &'a Error, name: &dyn Fn(&'a str) -> &'a str) -> Self {
        let faults: Vec<_> =
            error.config_faults().iter().map(|fault| fault.describe(name)).collect();
        let message = if faults.is_empty() { format!("{error:#}") } else { faults.join("; ") };
        Self { status: status(error), message, advice: advice(error).map(hint_with_options) }
    }

    /// A failure whose message was already printed.
    pub(crate) fn already_printed(status: u8) -> Self {
        Self::new(status, "")
    }

    /// Prints the message and returns the exit status.
    pub(crate) fn print(self) -> ExitCode {
        // An error is ignored: standard error may be closed.
        let mut to = io::stderr().lock();
        if !self.message.is_empty() {
            let _ = writeln!(to, "cognito-credentials: {}", self.message);
        }
        if let Some(advice) = self.advice {
            let _ = writeln!(to, "  what to do: {advice}");
        }
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::naming_settings(&error, &option_names::of_setting)
    }
}

fn status(error: &Error) -> u8 {
    if error.needs_sign_in() {
        return LOGIN;
    }
    match error.kind() {
        ErrorKind::Config | ErrorKind::IdentityUnknown => USAGE,
        ErrorKind::Timeout | ErrorKind::Unreachable | ErrorKind::Tls | ErrorKind::Response => {
            NETWORK
        }
        ErrorKind::Login => LOGIN,
        _ => REFUSED,
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    error.hint().or(match error.kind() {
        ErrorKind::Config => Some("cognito-credentials --help lists the commands and options"),
        ErrorKind::Timeout | ErrorKind::Unreachable => Some(
            "check the network: is it up, does a firewall block HTTPS, is a proxy needed (--proxy or HTTPS_PROXY)",
        ),
        ErrorKind::Login => Some(NO_TOKEN),
        ErrorKind::NotAuthorized | ErrorKind::NotFound | ErrorKind::Refused => {
            Some("ask the operator of the identity pool, and quote the message above")
        }
        _ => None,
    })
}

/// A hint of the library with options in place of settings. Hints are plain text, so only names
/// with an underscore, which are no words of a sentence, are replaced.
fn hint_with_options(hint: &str) -> String {
    let hint = hint.replace("clear the cached ID", "run cognito-credentials forget");
    let ends_name = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let pieces = hint.split_inclusive(ends_name).map(|piece| {
        let name = piece.trim_end_matches(ends_name);
        let shown = if name.contains('_') { option_names::of_setting(name) } else { name };
        format!("{shown}{}", &piece[name.len()..])
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cognito_identity_credentials::CognitoIdentityCredentials;

    #[test]
    fn settings_are_shown_as_the_options_that_set_them() {
        let builder = CognitoIdentityCredentials::builder;
        let pool = || builder().identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0");
        let rows = [
            (builder(), "--identity-pool-id: not set; set it, or --identity-id"),
            (
                pool().region("eu-west-1").timeout(std::time::Duration::ZERO),
                "--region: eu-west-1 contradicts the identity pool, which is in region us-east-1; leave --region out; --timeout: must be longer than zero",
            ),
            (
                pool().endpoint_url("https://x").use_fips(true),
                "--fips: cannot be combined with --endpoint-url",
            ),
            (
                pool().region("region_{role_arn}"),
                "--region: region_{role_arn} contradicts the identity pool, which is in region us-east-1; leave --region out",
            ),
        ];
        for (builder, expected) in rows {
            assert_eq!(Failure::from(builder.build().unwrap_err()).message, expected);
        }
        assert_eq!(
            hint_with_options(
                "leave out role_arn (custom_role_arn chooses a role, policy_arns none)"
            ),
            "leave out --role-arn (--custom-role-arn chooses a role, policy_arns none)"
        );
        assert_eq!(
            hint_with_options("clear the cached ID, or set identity_id for the right login"),
            "run cognito-credentials forget, or set --identity-id for the right login"
        );
    }
}
