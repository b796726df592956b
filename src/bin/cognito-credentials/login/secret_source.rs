//! [`SecretSource`]: a file, an environment variable or a command from which a secret is read. A
//! secret is never an argument, because every user of the machine can read command lines.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cognito_identity_credentials::{BoxError, FileToken, TokenSource};
use zeroize::Zeroizing;

use crate::login::token_command;
use crate::login::token_text::token_in;
use crate::messages::os_error::is_temporary;
use crate::options::invalid_value::InvalidValue;

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    File(PathBuf),
    Variable(String),
    Command(String),
}

impl SecretSource {
    /// Parses `@FILE`, `env:NAME` or `cmd:COMMAND`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidValue> {
        let source = if let Some(path) = text.strip_prefix('@') {
            Self::File(path.into())
        } else if let Some(name) = text.strip_prefix("env:") {
            Self::Variable(name.to_owned())
        } else if let Some(command) = text.strip_prefix("cmd:") {
            Self::Command(command.to_owned())
        } else if text.is_empty() {
            return Err(InvalidValue::new("no source: write @FILE, env:NAME or cmd:COMMAND"));
        } else {
            // The text is probably the secret itself, so the message does not repeat it.
            let reason =
                "secrets cannot be arguments, because other users of the machine can read those";
            let advice = "put it into a file and write @FILE, or into a variable and write env:NAME, or write cmd:COMMAND for a command that prints it";
            return Err(InvalidValue {
                advice: Some(advice.to_owned()),
                ..InvalidValue::new(reason)
            });
        };
        match &source {
            Self::File(path) if path.as_os_str().is_empty() => {
                Err(InvalidValue::new("no file name after the @"))
            }
            Self::Variable(name) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(InvalidValue::new("no variable name after env:"))
            }
            Self::Command(command) if command.trim().is_empty() => {
                Err(InvalidValue::new("no command after cmd:"))
            }
            _ => Ok(source),
        }
    }

    /// Parses the value of `--proxy`. Returns `None` for a URL without a password, which is not a
    /// secret.
    pub(crate) fn of_proxy(value: &str) -> Result<Option<Self>, InvalidValue> {
        let is_source = ["@", "env:", "cmd:"].iter().any(|prefix| value.starts_with(prefix));
        if is_source || value.contains('@') { Self::parse(value).map(Some) } else { Ok(None) }
    }

    /// Like [`read`](Self::read), for a secret that is not a token. The error names this `kind`.
    pub(crate) fn read_as(
        &self,
        kind: &str,
        limit: Duration,
    ) -> Result<Zeroizing<String>, BoxError> {
        self.read(limit).map_err(|error| {
            // Unchanged, because the callers check whether it is temporary.
            if is_temporary(&*error) {
                return error;
            }
            let text = format!("{error:#}");
            let named = |text: String, article| {
                text.replace(&format!("{article} token"), &format!("{article} {kind}"))
            };
            named(named(text, " the"), " a").into()
        })
    }

    /// Reads the secret within `limit`. Removes a byte order mark and white space around it.
    pub(crate) fn read(&self, limit: Duration) -> Result<Zeroizing<String>, BoxError> {
        match self {
            Self::File(path) => FileToken::new(path).token_within(limit).map(Zeroizing::new),
            Self::Variable(name) => {
                let value = env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
                let value = Zeroizing::new(value.into_encoded_bytes());
                match token_in(&value) {
                    Ok(secret) => Ok(Zeroizing::new(secret.to_owned())),
                    Err(fault) => Err(format!("{name} {fault}").into()),
                }
            }
            Self::Command(command) => token_command::token(command, limit),
        }
    }
}

/// Never shows a command, because it may contain secrets.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Command(_) => f.write_str("a command"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_a_variable_or_a_command_and_never_from_the_arguments() {
        let parse = SecretSource::parse;
        assert!(parse("@/run/token").ok() == Some(SecretSource::File("/run/token".into())));
        assert!(parse("env:TOKEN").ok() == Some(SecretSource::Variable("TOKEN".into())));
        assert!(parse("cmd:a b").ok() == Some(SecretSource::Command("a b".into())));
        for text in ["hunter2", "", "@", "env:", "env:a=b", "cmd:", "cmd: ", "file:hunter2"] {
            let fault = parse(text).err().unwrap();
            assert!(!fault.reason.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_command_is_never_shown() {
        assert_eq!(SecretSource::Command("curl -u ann:hunter2".into()).to_string(), "a command");
    }
}
