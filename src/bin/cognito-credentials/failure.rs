//! [`Failure`]: why the command failed, its exit status, and what to do.

use std::io::{self, Write};
use std::process::ExitCode;

use cognito_identity_credentials::{Error, ErrorKind};

/// The service rejected a call, or anything else that has no status of its own.
pub(crate) const REFUSED: u8 = 1;
/// The options or the settings are wrong.
pub(crate) const USAGE: u8 = 2;
/// The service did not answer: network, proxy, TLS.
pub(crate) const NETWORK: u8 = 3;
/// There is no login token that the service accepts: sign in again.
pub(crate) const LOGIN: u8 = 4;

const NO_TOKEN: &str = "look at where the token comes from (--login, --refresh-token); the user may have to sign in again";

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

    /// A login token is missing.
    pub(crate) fn login(message: impl Into<String>) -> Self {
        Self { advice: Some(NO_TOKEN.to_owned()), ..Self::new(LOGIN, message) }
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
        let message = if error.kind() == ErrorKind::Config {
            in_options(error.message())
        } else {
            format!("{error:#}")
        };
        let advice = advice(&error).map(in_options);
        Self { status: status(&error), message, advice }
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
            "look at the network: is there one, does a firewall let HTTPS out, is a proxy needed (--proxy or HTTPS_PROXY)",
        ),
        ErrorKind::Login => Some(NO_TOKEN),
        ErrorKind::Throttled | ErrorKind::Unavailable => {
            Some("try again later: the service is throttling or unavailable")
        }
        ErrorKind::NotAuthorized | ErrorKind::NotFound | ErrorKind::Refused => {
            Some("ask the operator of the identity pool, and quote the message above")
        }
        _ => None,
    })
}

/// The library speaks of its settings by their names, which are the options' with other strokes.
pub(crate) fn in_options(message: &str) -> String {
    /// Names that are no words of a sentence.
    const SETTINGS: [(&str, &str); 22] = [
        ("user_pool_id", "--user-pool-id"),
        ("client_id", "--user-pool-client-id"),
        ("client_secret", "--user-pool-client-secret"),
        ("device_key", "--user-pool-device-key"),
        ("user_pool_endpoint_url", "--user-pool-endpoint-url"),
        ("refresh_token", "--refresh-token"),
        ("identity_pool_id", "--identity-pool-id"),
        ("identity_id", "--identity-id"),
        ("account_id", "--account-id"),
        ("login_id", "--login-id"),
        ("login_from", "--login"),
        ("custom_role_arn", "--custom-role-arn"),
        ("role_arn", "--role-arn"),
        ("role_session_name", "--role-session-name"),
        ("endpoint_url", "--endpoint-url"),
        ("sts_endpoint_url", "--sts-endpoint-url"),
        ("danger_allow_http", "--danger-allow-http"),
        ("use_fips", "--fips"),
        ("use_dual_stack", "--dual-stack"),
        ("ca_file", "--ca-file"),
        ("max_attempts", "--max-attempts"),
        ("persist_credentials", "the cache"),
    ];
    /// Names that are, where no fault begins with them.
    const WORDS: [(&str, &str); 7] = [
        ("region", "--region"),
        ("duration", "--duration"),
        ("policy", "--policy"),
        ("timeout", "--timeout"),
        ("proxy", "--proxy"),
        ("login", "--login"),
        ("username", "--user-pool-username"),
    ];

    let message = message.replace("clear the cached ID", "run cognito-credentials forget");
    let mut faults = Vec::new();
    for fault in message.split("; ") {
        let first = fault.split_once(": ").and_then(|(setting, rest)| {
            let (_, option) = WORDS.iter().find(|(name, _)| *name == setting)?;
            Some((*option, rest))
        });
        let (mut said, fault) = match first {
            Some((option, rest)) => (format!("{option}: "), rest),
            None => (String::new(), fault),
        };
        for piece in fault.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let rest = piece.strip_prefix(word).unwrap_or_default();
            let option = SETTINGS.iter().find(|(name, _)| *name == word);
            said.push_str(option.map_or(word, |(_, option)| option));
            said.push_str(rest);
        }
        faults.push(said);
    }
    faults.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_as_the_options_that_they_are() {
        let rows = [
            (
                "identity_pool_id: not set; set it, or identity_id",
                "--identity-pool-id: not set; set it, or --identity-id",
            ),
            (
                "region: eu-west-1 contradicts the identity pool, which is of region us-east-1; timeout: must be longer than zero",
                "--region: eu-west-1 contradicts the identity pool, which is of region us-east-1; --timeout: must be longer than zero",
            ),
            (
                "AWS_USE_FIPS_ENDPOINT, use_fips: cannot go with endpoint_url",
                "AWS_USE_FIPS_ENDPOINT, --fips: cannot go with --endpoint-url",
            ),
            (
                "clear the cached ID or set the right login",
                "run cognito-credentials forget or set the right login",
            ),
            ("sts_endpoint_url: is plain http", "--sts-endpoint-url: is plain http"),
            ("", ""),
        ];
        for (message, expected) in rows {
            assert_eq!(in_options(message), expected);
        }
    }
}
