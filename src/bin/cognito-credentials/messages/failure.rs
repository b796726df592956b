//! [`Failure`]: why the command failed, its exit status, and what to do about it.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::process::ExitCode;

use cognito_identity_credentials::{Error, ErrorKind};

use crate::messages::advice;
use crate::messages::os_error::{self, is_temporary};
use crate::messages::printable::printable;
use crate::messages::regions;
use crate::options::arguments::Options;
use crate::options::invalid_value::InvalidValue;
use crate::options::option_names;

// The exit statuses. `main.rs` says what they mean.
pub(crate) const REFUSED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NETWORK: u8 = 3;
pub(crate) const LOGIN: u8 = 4;
pub(crate) const TRY_LATER: u8 = 5;

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// Empty if it was already printed.
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
    /// Whether a source gives no login token, so it is unknown who the user is.
    pub(crate) is_of_login: bool,
}

impl Failure {
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), advice: None, is_of_login: false }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    pub(crate) fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    pub(crate) fn invalid(option: &str, InvalidValue { reason, advice }: InvalidValue) -> Self {
        Self { advice, ..Self::usage(format!("{option}: {reason}")) }
    }

    /// Creates the failure for a source that returns no login token.
    pub(crate) fn no_token(message: String, error: &(dyn StdError + 'static)) -> Self {
        let advice = advice::of_token(&message).map(str::to_owned);
        Self { advice, is_of_login: true, ..Self::new(LOGIN, message) }.or_temporary(error)
    }

    /// Creates the failure for the file or another source of an option that cannot be read.
    pub(crate) fn unreadable(message: String, error: &(dyn StdError + 'static)) -> Self {
        Self::usage(message).or_temporary(error)
    }

    /// If the error is temporary, no option is wrong and nobody has to sign in again.
    fn or_temporary(self, error: &(dyn StdError + 'static)) -> Self {
        if !is_temporary(error) {
            return self;
        }
        let advice = Some(os_error::TEMPORARY_HINT.to_owned());
        Self { status: TRY_LATER, advice, ..self }
    }

    pub(crate) fn of_refresh(error: &Error, options: &Options) -> Self {
        Self { advice: advice::of_refresh(error, options), ..error.into() }
    }

    /// An error of the library. `name` returns the name to show for each setting in its text.
    pub(crate) fn naming_settings<'a>(error: &'a Error, name: &dyn Fn(&'a str) -> &'a str) -> Self {
        let faults: Vec<_> =
            error.config_faults().iter().map(|fault| fault.describe(name)).collect();
        let mut message = if faults.is_empty() { format!("{error:#}") } else { faults.join("; ") };
        if regions::owner_is_misspelt(&message) {
            message = message.replace("; leave --region out", "");
        }
        Self { advice: advice::of_error(error), ..Self::new(status(error), message) }
    }

    pub(crate) fn already_printed(status: u8) -> Self {
        Self::new(status, "")
    }

    pub(crate) fn print(self) -> ExitCode {
        // Standard error may be closed, so an error is ignored.
        let mut to = io::stderr().lock();
        if !self.message.is_empty() {
            let _ = writeln!(to, "cognito-credentials: {}", printable(&self.message));
        }
        if let Some(advice) = self.advice {
            let _ = writeln!(to, "  what to do: {}", printable(&advice));
        }
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self::naming_settings(error, &option_names::of_setting)
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
        ErrorKind::Login | ErrorKind::Storage if error.is_retryable() => TRY_LATER,
        ErrorKind::Login => LOGIN,
        ErrorKind::Throttled | ErrorKind::Unavailable => TRY_LATER,
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cognito_identity_credentials::testing::{FakeCognito, FaultyStorage};
    use cognito_identity_credentials::{CognitoIdentityCredentials, UserPoolTokens};

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
    }

    /// 5 is `EIO`, and 13 is `EACCES`.
    #[cfg(unix)]
    #[test]
    fn a_refresh_token_on_a_disk_that_fails_is_tried_again_later() {
        let storage = FaultyStorage::new();
        let tokens = UserPoolTokens::builder()
            .user_pool_id(FakeCognito::USER_POOL_ID)
            .client_id("client")
            .transport(FakeCognito::new())
            .storage(storage.clone())
            .build()
            .unwrap();
        for (number, status) in [(5, TRY_LATER), (13, REFUSED)] {
            storage.fail_next("load", usize::MAX, io::Error::from_raw_os_error(number));
            let failure = Failure::from(tokens.id_token().unwrap_err());
            let is_temporary = failure.advice.as_deref() == Some(os_error::TEMPORARY_HINT);
            assert_eq!((failure.status, is_temporary), (status, status == TRY_LATER), "{number}");
            storage.clear_faults();
        }
    }
}
