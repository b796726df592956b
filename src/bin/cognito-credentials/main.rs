//! The command `cognito-credentials`: temporary AWS credentials from an Amazon Cognito identity pool,
//! for shells, for other programs, and for everything that supports `credential_process`. It uses only
//! the public API of the library.
//!
//! | file | holds |
//! |---|---|
//! | `arguments` | the command line: the commands, their options and variables |
//! | `invalid_value`, `usage` | what is wrong with the value of an option; with the command line |
//! | `option_names` | the option that sets each setting of the library |
//! | `help` | the examples of `--help` |
//! | `shell_files` | the commands `completions` and `man` |
//! | `settings`, `variables` | the settings of the provider, from options and variables |
//! | `transport` | the HTTPS transport |
//! | `secret_source` | the file, variable or command that a secret is read from |
//! | `token_command` | the command that prints a secret |
//! | `bounded_file` | other files, read up to a bound and within a time limit |
//! | `signals` | the signals that end the command |
//! | `provider_login` | a login of `--login`, and what its token says |
//! | `user_pool_login` | the login of a user pool, with a refresh token |
//! | `issuer` | which name a login needs for the issuer of its token |
//! | `login_id` | the login ID that is derived from the logins, for the cache |
//! | `cache` | the cache directory |
//! | `output` | the commands `process` and `env`; standard output |
//! | `exec` | the command `exec` |
//! | `serve` | the command `serve`: the endpoint for the SDKs of other programs |
//! | `supervise` | the command `exec --serve` |
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
//! uses its issuer and subject. If the token does not name them, the cache holds only the identity,
//! under the source of the token.

#![forbid(unsafe_code)]

mod arguments;
mod bounded_file;
mod cache;
mod display;
mod doctor;
mod exec;
mod failure;
mod forget;
mod help;
mod invalid_value;
mod issuer;
mod logger;
mod login_id;
mod offline;
mod option_names;
mod output;
mod provider_login;
mod report;
mod reporting_transport;
mod secret_source;
#[cfg(unix)]
mod serve;
mod settings;
mod shell_files;
#[cfg(unix)]
mod signals;
mod status;
#[cfg(unix)]
mod supervise;
mod token_command;
mod transport;
mod usage;
mod user_pool_login;
mod variables;

// The library's own file, so that a secret of any source is checked as one in a file is.
#[path = "../../token_text.rs"]
mod token_text;

use std::process::ExitCode;

use cognito_identity_credentials::Credentials;

use arguments::{Arguments, Command, Options};
use failure::Failure;
use settings::Settings;

fn main() -> ExitCode {
    let done = match arguments::read() {
        Ok(arguments) => run(arguments),
        Err(error) => usage::report(&error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

fn run(Arguments { command, options }: Arguments) -> Result<(), Failure> {
    logger::start(options.verbose);
    match command {
        Command::Process => output::process(&credentials(&options)?),
        Command::Env { format } => output::env(&credentials(&options)?, format),
        Command::Exec { serve: false, program } => {
            exec::exec(&credentials(&options)?, &options, &program)
        }
        #[cfg(unix)]
        Command::Exec { serve: true, program } => supervise::run(&options, &program),
        #[cfg(unix)]
        Command::Serve { listen, token_file } => {
            serve::serve(&options, listen.as_deref(), token_file.as_deref())
        }
        #[cfg(not(unix))]
        Command::Exec { serve: true, .. } | Command::Serve { .. } => Err(Failure::usage(
            "serve and exec --serve: do not work on this system; use process in ~/.aws/config",
        )),
        Command::Identity => status::identity(&options),
        Command::Status { .. } => status::status(&options),
        Command::Forget { all: true } => forget::forget_all(&options),
        Command::Forget { all: false } => forget::forget_user(&options),
        Command::Doctor { .. } => doctor::run(&options),
        Command::Completions { shell } => shell_files::completions(shell),
        Command::Man { directory } => shell_files::man(&directory),
    }
}

fn credentials(options: &Options) -> Result<Credentials, Failure> {
    let settings = Settings::new(options, transport::new(options)?, cache::usable)?;
    Ok(settings.build()?.get()?)
}
