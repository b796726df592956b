//! The command `exec`: runs a program with the credentials in its environment.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::Command;

use cognito_identity_credentials::{CredentialVariables, Credentials};

use crate::login::secret_source::SecretSource;
use crate::messages::failure::Failure;
use crate::messages::os_error::{TEMPORARY_HINT, is_temporary};
use crate::options::arguments::Options;

/// The exit statuses that shells use.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Removed, because with these the AWS tools and SDKs would use other credentials or an old token.
const REMOVED: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN"];
/// Removed, because the ID of a guest is enough to get its credentials.
const IDENTITY_ID: &str = "AWS_COGNITO_IDENTITY_ID";
const REMOVED_PREFIX: &str = "AWS_WEB_IDENTITY_TOKEN";

/// Replaces this process with the program. Systems without `exec` run it, and then exit with its
/// status. Returns only if the program cannot be run.
pub(crate) fn exec(
    credentials: &Credentials,
    options: &Options,
    program: &[OsString],
) -> Result<(), Failure> {
    let mut command = command(options, program);
    command.envs(&CredentialVariables::from(credentials));
    Err(cannot_run(program, &replace(command)))
}

/// Returns the program without variables that are secrets or that select other credentials.
pub(crate) fn command(options: &Options, program: &[OsString]) -> Command {
    let mut words = program.iter();
    let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
    command.args(words);
    for name in REMOVED {
        command.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(REMOVED_PREFIX.as_bytes()) {
            command.env_remove(name);
        }
    }
    // The program needs the credentials, but not the secrets that the options name.
    for source in options.secret_sources() {
        if let SecretSource::Variable(name) = source {
            command.env_remove(name);
        }
    }
    command.env_remove(IDENTITY_ID).env_remove("AWS_CREDENTIAL_EXPIRATION");
    command
}

pub(crate) fn cannot_run(program: &[OsString], error: &io::Error) -> Failure {
    let (status, advice) = match error.kind() {
        io::ErrorKind::NotFound => {
            (NOT_FOUND, "check the name of the program, or write its whole path")
        }
        _ if is_temporary(error) => (NOT_EXECUTABLE, TEMPORARY_HINT),
        _ => (NOT_EXECUTABLE, "check that it is a program, and that this user may run it"),
    };
    let shown = program.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    Failure::new(status, format!("exec: {shown}: {error}")).advice(advice)
}

#[cfg(unix)]
fn replace(mut command: Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(&mut command)
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_program_that_cannot_be_run_now_is_run_later() {
        let later = "try again later: ";
        let rows = [
            (Errno::NOENT, NOT_FOUND, "check the name"),
            (Errno::ACCESS, NOT_EXECUTABLE, "check that it is a program"),
            (Errno::NOEXEC, NOT_EXECUTABLE, "check that it is a program"),
            (Errno::AGAIN, NOT_EXECUTABLE, later),
            (Errno::NOMEM, NOT_EXECUTABLE, later),
            (Errno::MFILE, NOT_EXECUTABLE, later),
            (Errno::TXTBSY, NOT_EXECUTABLE, later),
        ];
        for (errno, status, advice) in rows {
            let failure = cannot_run(&["program".into()], &errno.into());
            assert_eq!(failure.status, status, "{errno}");
            assert!(failure.advice.unwrap().starts_with(advice), "{errno}");
        }
    }
}
