//! Where a secret comes from: a file, a variable or a command, but never the command line, which
//! every user of the machine can read.

use std::env;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cognito_identity_credentials::{BoxError, FileToken, TokenSource};
use zeroize::Zeroizing;

use crate::failure::{Failure, USAGE};

/// The longest token has 50,000 characters of at most four bytes.
const LONGEST: u64 = 200_000;

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Variable(String),
    Command(String),
}

impl Source {
    /// `@FILE`, `env:NAME` or `cmd:COMMAND`.
    pub(crate) fn parse(option: &str, text: &str) -> Result<Self, Failure> {
        let source = if let Some(path) = text.strip_prefix('@') {
            Self::File(path.into())
        } else if let Some(name) = text.strip_prefix("env:") {
            Self::Variable(name.to_owned())
        } else if let Some(command) = text.strip_prefix("cmd:") {
            Self::Command(command.to_owned())
        } else {
            // What is there is likely to be the secret itself.
            let message = format!(
                "{option}: secrets are not taken as arguments, which other users of the machine can read"
            );
            let advice = "put it into a file and write @FILE, or into a variable and write env:NAME, or write cmd:COMMAND for one that prints it";
            return Err(Failure {
                advice: Some(advice.to_owned()),
                ..Failure::new(USAGE, message)
            });
        };
        match &source {
            Self::File(path) if path.as_os_str().is_empty() => {
                Err(Failure::usage(format!("{option}: no file behind the @")))
            }
            Self::Variable(name) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(Failure::usage(format!("{option}: no name of a variable behind env:")))
            }
            Self::Command(command) if command.trim().is_empty() => {
                Err(Failure::usage(format!("{option}: no command behind cmd:")))
            }
            _ => Ok(source),
        }
    }

    /// The secret, without the white space around it. Blocks for as long as the command runs.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, BoxError> {
        match self {
            Self::File(path) => FileToken::new(path).token().map(Zeroizing::new),
            Self::Variable(name) => {
                let value = env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
                let value = value.into_string().map_err(|_| format!("{name} is not text"))?;
                let value = Zeroizing::new(value);
                Ok(Zeroizing::new(value.trim().to_owned()))
            }
            Self::Command(command) => output(command),
        }
    }
}

/// What a command prints. It has no input, for that is the program's of `exec`.
fn output(command: &str) -> Result<Zeroizing<String>, BoxError> {
    let (shell, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut child = Command::new(shell)
        .args([option, command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shell} cannot be run: {error}"))?;
    // Never grows, so that no copy of the secret is left behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST)? + 32));
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(LONGEST + 1).read_to_end(&mut text),
        None => Ok(0),
    };
    if text.len() as u64 > LONGEST {
        let _ = child.kill();
        let _ = child.wait();
        return Err("the command printed more than any token has".into());
    }
    let status = child.wait()?;
    // Its exit status says more than a pipe that broke.
    if !status.success() {
        return Err(format!("the command failed with {status}").into());
    }
    read?;
    let text =
        std::str::from_utf8(&text).map_err(|_| "the command printed something else than text")?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// For people. A command may have secrets in it.
impl fmt::Display for Source {
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
        let parse = |text| Source::parse("--login", text);
        assert!(parse("@/run/token").ok() == Some(Source::File("/run/token".into())));
        assert!(parse("env:TOKEN").ok() == Some(Source::Variable("TOKEN".into())));
        assert!(parse("cmd:a b").ok() == Some(Source::Command("a b".into())));
        for text in ["hunter2", "", "@", "env:", "env:a=b", "cmd:", "cmd: ", "file:hunter2"] {
            let failure = parse(text).err().unwrap();
            assert_eq!(failure.status, USAGE, "{text}");
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        }
    }

    #[test]
    fn nothing_of_a_command_is_shown() {
        assert_eq!(Source::Command("curl -u ann:hunter2".into()).to_string(), "a command");
    }
}
