//! [`token`]: runs the command of `cmd:COMMAND`, and returns the token that it prints.
//!
//! `unix` ends all processes of the command; `other` ends only its shell. `running` ends the
//! commands of other threads. `fault` holds the error texts.

mod fault;
#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod process_group;
#[cfg(unix)]
mod running;
#[cfg(unix)]
mod unix;

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use cognito_identity_credentials::BoxError;
use zeroize::Zeroizing;

use crate::login::token_text::token_in;
use crate::messages::wait_notice::WaitNotice;

#[cfg(not(unix))]
use other::output;
#[cfg(unix)]
pub(crate) use running::end_all;
#[cfg(unix)]
use unix::output;

/// This variable is set for the command. If the command runs `cognito-credentials` again, perhaps
/// through `aws` and its `credential_process`, that process sees that it runs inside a `cmd:`.
const MARK: &str = "COGNITO_CREDENTIALS_IN_CMD";

/// Returns the token that the command prints within `limit`.
///
/// The token is valid if the shell ends with status 0, even if a background process still has the
/// output open. The token is also valid if the shell has printed it as a whole line, and still runs
/// after three quarters of `limit`. Then the command is ended, and the last quarter is left for the
/// service calls.
///
/// The command gets no input, because the input belongs to the program of `exec`.
pub(crate) fn token(command: &str, limit: Duration) -> Result<Zeroizing<String>, BoxError> {
    if env::var_os(MARK).is_some_and(|value| !value.is_empty()) {
        return Err(format!(
            "the command of a cmd: has run cognito-credentials again with a cmd: ({MARK} is set), which could go on without end; let the inner one read its token from a file (@FILE) or a variable (env:NAME), or, if the command runs aws, give that another profile than the one of cognito-credentials"
        )
        .into());
    }
    let mut shell = shell(command);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).env(MARK, "1");
    let _notice = WaitNotice::start("the command of cmd:", limit);
    let text = output(shell, limit)?;
    match token_in(&text) {
        Ok(token) => Ok(Zeroizing::new(token.to_owned())),
        Err(fault) => Err(format!("what the command printed {fault}").into()),
    }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// `cmd` does not understand escaped quotes, so the line is passed unchanged. With /S, `cmd`
/// removes only the outer quotes.
#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt;

    let mut shell = Command::new("cmd");
    shell.raw_arg(format!("/S /C \"{command}\""));
    shell
}
