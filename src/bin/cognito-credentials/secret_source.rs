//! [`SecretSource`]: a file, an environment variable or a command that a secret is read from. A secret is
//! never an option itself, because every user of the machine can read command lines.

use std::env;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::{BoxError, FileToken, TokenSource};
use zeroize::Zeroizing;

use crate::invalid_value::InvalidValue;

// The library's own file, so that a secret of any source is checked as one in a file is.
#[path = "../../token_text.rs"]
mod token_text;

/// The longest token and white space around it.
const LONGEST: u64 = 64 * 1024;

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
        } else {
            // The text is likely to be the secret itself, so the message does not repeat it.
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

    /// Parses the value of `--proxy`. A URL without a password is no secret: `None`.
    pub(crate) fn of_proxy(value: &str) -> Result<Option<Self>, InvalidValue> {
        let is_source = ["@", "env:", "cmd:"].iter().any(|prefix| value.starts_with(prefix));
        if is_source || value.contains('@') { Self::parse(value).map(Some) } else { Ok(None) }
    }

    /// Reads the secret, without byte order mark and white space around it. It may take `limit`.
    pub(crate) fn read(&self, limit: Duration) -> Result<Zeroizing<String>, BoxError> {
        match self {
            Self::File(path) => FileToken::new(path).token_within(limit).map(Zeroizing::new),
            Self::Variable(name) => {
                let value = env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
                let value = Zeroizing::new(value.into_encoded_bytes());
                secret_in(&value, name)
            }
            Self::Command(command) => output(command, limit),
        }
    }
}

/// Returns what a command prints. The command gets no input, because the input belongs to the program
/// of `exec`. It stays in the process group, so that it can ask the user on the terminal and an
/// interrupt reaches it.
fn output(command: &str, limit: Duration) -> Result<Zeroizing<String>, BoxError> {
    let mut child = shell(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the shell cannot be run: {error}"))?;
    let outcome = wait(&mut child, limit);
    if outcome.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (text, status) = outcome?;
    // The exit status says more than a broken pipe.
    if !status.success() {
        return Err(format!("the command failed with {status}").into());
    }
    secret_in(&text?, "what the command printed")
}

fn secret_in(text: &[u8], source: &str) -> Result<Zeroizing<String>, BoxError> {
    match token_text::token_in(text) {
        Ok(secret) => Ok(Zeroizing::new(secret.to_owned())),
        Err(fault) => Err(format!("{source} {fault}").into()),
    }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// `cmd` does not understand escaped quotes, so the line is passed as it is. With /S, `cmd` removes
/// only the outer quotes.
#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt;

    let mut shell = Command::new("cmd");
    shell.raw_arg(format!("/S /C \"{command}\""));
    shell
}

/// What a command has printed.
type Output = io::Result<Zeroizing<Vec<u8>>>;

/// Waits until the child ends, at most for `limit`. Returns its output and its exit status.
fn wait(child: &mut Child, limit: Duration) -> Result<(Output, ExitStatus), BoxError> {
    let begun = Instant::now();
    let late = || format!("the command did not end within {limit:?} (--timeout)");
    let stdout = child.stdout.take().ok_or("the command has no output")?;
    let (sender, receiver) = mpsc::channel();
    // A grandchild can hold the pipe open for ever. Then this thread stays behind.
    thread::Builder::new().spawn(move || sender.send(read(stdout))).map_err(|error| {
        format!("the command's output cannot be read without a thread: {error}")
    })?;
    let text = receiver.recv_timeout(limit).map_err(|_| late())?;
    if text.as_ref().is_ok_and(|text| text.len() as u64 > LONGEST) {
        return Err("the command printed more text than a token can have".into());
    }
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((text, status));
        }
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(late().into());
        }
        thread::sleep(left.min(Duration::from_millis(2)));
    }
}

/// Reads into a buffer that never grows, so that no copy of the secret is left in memory.
fn read(stdout: ChildStdout) -> Output {
    let length = usize::try_from(LONGEST + 32).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    stdout.take(LONGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Does not show a command, which may contain secrets.
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
    fn nothing_of_a_command_is_shown() {
        assert_eq!(SecretSource::Command("curl -u ann:hunter2".into()).to_string(), "a command");
    }
}
