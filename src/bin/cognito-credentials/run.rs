//! A program with the credentials in its environment, and nothing there that would lead it to
//! others.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::Command;

use cognito_identity_credentials::Credentials;

use crate::arguments::Options;
use crate::failure::Failure;
use crate::output;
use crate::source::Source;

/// As shells have it.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// What leads AWS's tools and SDKs to other credentials, or gives them an old token beside these.
const MISLEADING: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN"];
/// A guest's ID is all that one needs to fetch credentials, for ever.
const IDENTITY_ID: &str = "AWS_COGNITO_IDENTITY_ID";
const MISLEADING_PREFIX: &str = "AWS_WEB_IDENTITY_TOKEN";

/// Becomes the program, where the system can do that; else runs it and ends as it ends.
pub(crate) fn run(
    credentials: &Credentials,
    options: &Options,
    program: OsString,
    arguments: Vec<OsString>,
) -> Result<(), Failure> {
    let shown = program.to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(arguments);
    for name in MISLEADING {
        command.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(MISLEADING_PREFIX.as_bytes()) {
            command.env_remove(name);
        }
    }
    // The program needs the credentials, not what they were got with.
    for source in options.secrets() {
        if let Source::Variable(name) = source {
            command.env_remove(name);
        }
    }
    command.env_remove(IDENTITY_ID).env_remove("AWS_CREDENTIAL_EXPIRATION");
    command.envs(&output::variables(credentials)?);
    let error = replace(command);
    let status = match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    Err(Failure::new(status, format!("exec: {shown}: {error}")))
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
