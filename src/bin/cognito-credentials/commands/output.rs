//! Standard output: credentials as JSON, as shell commands, or as lines of a file.

use std::io::{self, Write};

use cognito_identity_credentials::{CredentialProcessDocument, CredentialVariables, Credentials};
use zeroize::Zeroizing;

use crate::messages::failure::{Failure, REFUSED};
use crate::options::arguments::Format;

/// Prints a text. Succeeds if the reader closes the pipe early.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut to = io::stdout().lock();
    match to.write_all(text.as_ref()).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(REFUSED, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints the JSON document of a `credential_process`.
pub(crate) fn process(credentials: &Credentials) -> Result<(), Failure> {
    let mut text = buffer(credentials);
    serde_json::to_writer(&mut *text, &CredentialProcessDocument::from(credentials))
        .map_err(|_| Failure::new(REFUSED, "the credentials cannot be written as JSON"))?;
    text.push(b'\n');
    print(&text)
}

pub(crate) fn env(credentials: &Credentials, format: Format) -> Result<(), Failure> {
    let mut text = buffer(credentials);
    for (name, value) in &CredentialVariables::from(credentials) {
        if matches!(format, Format::Shell) {
            text.extend_from_slice(b"export ");
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        match format {
            Format::Shell => quote(value, &mut text),
            Format::Dotenv => dotenv(value, &mut text),
        }
        text.push(b'\n');
    }
    print(&text)
}

/// Creates a buffer that never grows, so no copy of a secret is left in memory.
fn buffer(credentials: &Credentials) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(max_output_len(credentials)))
}

/// Returns an upper bound for the length of the credentials in any format.
pub(crate) fn max_output_len(credentials: &Credentials) -> usize {
    let secrets =
        [credentials.access_key_id(), credentials.secret_access_key(), credentials.session_token()];
    // In JSON, a control character takes six bytes.
    secrets.iter().map(|secret| secret.len() * 6).sum::<usize>() + 512
}

/// Puts a value between single quotes. A POSIX shell changes nothing between them.
fn quote(value: &str, to: &mut Vec<u8>) {
    to.push(b'\'');
    for byte in value.bytes() {
        match byte {
            b'\'' => to.extend_from_slice(b"'\\''"),
            byte => to.push(byte),
        }
    }
    to.push(b'\'');
}

/// Writes a plain word, such as a key, without quotes, because some readers keep quotes as part of
/// the value. Quotes other values as most readers expect it.
fn dotenv(value: &str, to: &mut Vec<u8>) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-+/=.:@%,".contains(&b);
    if value.bytes().all(plain) {
        to.extend_from_slice(value.as_bytes());
        return;
    }
    if !value.contains(['\'', '\n', '\r', '\\']) {
        return quote(value, to);
    }
    to.push(b'"');
    for byte in value.bytes() {
        match byte {
            b'\n' => to.extend_from_slice(b"\\n"),
            b'\r' => to.extend_from_slice(b"\\r"),
            b'"' | b'\\' | b'$' | b'`' => to.extend_from_slice(&[b'\\', byte]),
            byte => to.push(byte),
        }
    }
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotenv_value_has_quotes_only_if_it_needs_them() {
        let rows = [
            ("ASIA/+=x", "ASIA/+=x"),
            ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z"),
            ("a b#$c", "'a b#$c'"),
            ("it's $x", "\"it's \\$x\""),
            ("a\nb\\", "\"a\\nb\\\\\""),
        ];
        for (value, expected) in rows {
            let mut text = Vec::new();
            dotenv(value, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
