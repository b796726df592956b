//! [`Answer`]: an HTTP response to a client, in the format of the SDKs.

use std::time::Duration;

use cognito_identity_credentials::{CredentialVariables, Credentials};
use serde::Serialize;
use zeroize::Zeroizing;

use super::request::Refusal;
use crate::commands::output;

/// SDKs retry this status.
const UNAVAILABLE: &str = "503 Service Unavailable";

/// An HTTP response. It is zeroized on drop.
pub(super) struct Answer {
    /// The status line, without the version.
    pub(super) status: &'static str,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsDocument<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: &'a str,
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    code: &'a str,
    message: &'a str,
}

impl Answer {
    pub(super) fn credentials(credentials: &Credentials) -> Self {
        let variables = CredentialVariables::from(credentials);
        let expiration = variables.iter().find(|(name, _)| *name == "AWS_CREDENTIAL_EXPIRATION");
        let document = CredentialsDocument {
            access_key_id: credentials.access_key_id(),
            secret_access_key: credentials.secret_access_key(),
            token: credentials.session_token(),
            expiration: expiration.map_or("", |(_, expiration)| expiration),
        };
        Self::new("200 OK", "", &document, output::max_output_len(credentials))
    }

    pub(super) fn refusal(refusal: &Refusal) -> Self {
        let Refusal { status, code, message } = *refusal;
        let headers = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
        Self::new(status, headers, &ErrorDocument { code, message }, 512)
    }

    /// Says that there are no credentials now. `retry_after` is the time until the next attempt.
    pub(super) fn unavailable(message: &str, retry_after: Option<Duration>) -> Self {
        let seconds = retry_after.map(|wait| wait.as_secs() + 1);
        let header = seconds.map(|seconds| format!("Retry-After: {seconds}\r\n"));
        let document = ErrorDocument { code: "CredentialsUnavailable", message };
        Self::new(UNAVAILABLE, &header.unwrap_or_default(), &document, 1024)
    }

    fn new(status: &'static str, headers: &str, document: &impl Serialize, longest: usize) -> Self {
        // It never grows, so that no copy of a secret is left in memory.
        let mut body = Zeroizing::new(Vec::with_capacity(longest));
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut *body, document);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + body.len()));
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&body);
        Self { status, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_to_come_back_only_after_the_next_attempt() {
        let told = |wait: Option<u64>| {
            let answer = Answer::unavailable("later", wait.map(Duration::from_millis));
            let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
            let header = text.lines().find_map(|line| line.strip_prefix("Retry-After: "));
            header.map(str::to_owned)
        };
        for (milliseconds, seconds) in [(0, "1"), (1, "1"), (999, "1"), (1200, "2"), (59_900, "60")]
        {
            assert_eq!(told(Some(milliseconds)).as_deref(), Some(seconds), "{milliseconds} ms");
        }
        assert_eq!(told(None), None);
    }
}
