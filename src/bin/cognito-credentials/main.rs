//! The command `cognito-credentials`: temporary AWS credentials from an Amazon Cognito identity pool,
//! for shells, for other programs, and for everything that supports `credential_process`. It uses only
//! the public API of the library.
//!
//! | file | holds |
//! |---|---|
//! | `arguments` | the command line: a command and its options |
//! | `option_names` | the names of the options, and the settings that they set |
//! | `help` | the texts of `--help` and `--version` |
//! | `settings` | the settings of the provider, from options and variables |
//! | `transport` | the HTTPS transport |
//! | `secret_source` | the file, variable or command that a secret is read from |
//! | `provider_login` | a login of `--login`, and what its token says |
//! | `user_pool_login` | the login of a user pool, with a refresh token |
//! | `login_id` | the login ID that is derived from the logins, for the cache |
//! | `cache/` | the cache directory, and the records in it |
//! | `output` | the commands `process` and `env`; standard output |
//! | `exec` | the command `exec` |
//! | `offline`, `status` | a provider without network; the commands `identity` and `status` |
//! | `forget` | the command `forget` |
//! | `doctor`, `report`, `reporting_transport` | the command `doctor`, and the lines of its report |
//! | `display` | logins, identity IDs and durations as the commands print them |
//! | `failure` | why the command failed, and its exit status |
//! | `logger` | the log of the library on standard error |
//!
//! Results go to standard output, everything else to standard error.
//!
//! | exit status | means |
//! |---|---|
//! | 0 | success |
//! | 1 | the service rejected a call or is unavailable, no identity is known, or anything else |
//! | 2 | the options or settings are wrong |
//! | 3 | the service did not answer: network, proxy, TLS, a captive portal |
//! | 4 | no valid login token: sign in again |
//! | 126, 127 | `exec`: the program cannot be run, or does not exist; otherwise its own status |
//!
//! The cache directory holds the identity and the credentials of each pool and user. A second call
//! contacts the service only if the cached credentials are inside the advisory window (the last 15 of
//! 60 minutes). It then makes one attempt, and uses the cached credentials if that fails. Systems without
//! a boot ID (all but Linux and Android) cache only the identity.
//!
//! `--login-id` names the user of the cache. Without it, the command reads the login token each time and
//! uses its issuer and subject, or the source of the token if it names no user. Nobody has verified the
//! token, so stored credentials then serve only the token that they were fetched with.

#![forbid(unsafe_code)]

mod arguments;
mod cache;
mod display;
mod doctor;
mod exec;
mod failure;
mod forget;
mod help;
mod logger;
mod login_id;
mod offline;
mod option_names;
mod output;
mod provider_login;
mod report;
mod reporting_transport;
mod secret_source;
mod settings;
mod status;
mod transport;
mod user_pool_login;

use std::process::ExitCode;

use cognito_identity_credentials::Credentials;

use arguments::{Arguments, Command, Options};
use failure::Failure;
use settings::Settings;

fn main() -> ExitCode {
    match arguments::read().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

fn run(Arguments { command, options }: Arguments) -> Result<(), Failure> {
    logger::start(options.flag("verbose"));
    match command {
        Command::Help => output::print(help::TEXT.as_bytes()),
        Command::Version => output::print(help::VERSION.as_bytes()),
        Command::Process => output::process(&credentials(&options)?),
        Command::Env(format) => output::env(&credentials(&options)?, format),
        Command::Exec { program, arguments } => {
            exec::exec(&credentials(&options)?, &options, program, arguments)
        }
        Command::Identity => status::identity(&options),
        Command::Status => status::status(&options),
        Command::Forget if options.flag("all") => forget::forget_all(&options),
        Command::Forget => forget::forget_user(&options),
        Command::Doctor => doctor::run(&options),
    }
}

fn credentials(options: &Options) -> Result<Credentials, Failure> {
    let settings = Settings::new(options, transport::new(options)?, cache::usable)?;
    Ok(settings.build()?.get()?)
}
