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
//! | `settings` | the settings of the provider, from options and variables |
//! | `transport` | the HTTPS transport |
//! | `secret_source` | the file, variable or command that a secret is read from |
//! | `token_command` | the command that prints a secret |
//! | `bounded_file` | other files, read up to a bound and within a time limit |
//! | `signals` | the signals that end the command |
//! | `provider_login` | a login of `--login`, and what its token says |
//! | `user_pool_login` | the login of a user pool, with a refresh token |
//! | `issuer` | which name a login needs for the issuer of its token |
//! | `login_id` | the login ID that is derived from the logins, for the cache |
//! | `cache/` | the cache directory, and the records in it |
//! | `output` | the commands `process` and `env`; standard output |
//! | `exec` | the command `exec` |
//! | `serve` | the command `serve`: the endpoint for the SDKs of other programs |
//! | `supervise` | the command `exec --serve` |
//! | `offline`, `status` | a provider without network; the commands `identity` and `status` |
//! | `forget` | the command `forget` |
//! | `kept` | what the cache holds, for `status` and `doctor` |
//! | `doctor`, `login_check`, `report` | the command `doctor`, and its report |
//! | `probe`, `tls_probe`, `certificate` | a connection of the doctor's own: addresses, proxy, TLS |
//! | `reporting_transport` | the service calls of the doctor |
//! | `display` | texts, logins, identity IDs and times as the commands print them |
//! | `failure`, `advice` | why the command failed, its exit status, and what to do |
//! | `regions` | the regions that have identity pools |
//! | `variables`, `near_misses` | the variables that the command reads, and names that look like theirs |
//! | `printable` | text without what controls a terminal |
//! | `logger` | the log of the library on standard error |
//! | `logging_transport`, `steps` | the steps that `--verbose` shows |
//! | `wait_notice` | a line about a long wait, on a terminal |
//!
//! Results go to standard output, everything else to standard error.
//!
//! | exit status | means |
//! |---|---|
//! | 0 | success |
//! | 1 | the service rejected a call, no identity is known, or anything else |
//! | 2 | the options or settings are wrong |
//! | 3 | the service did not answer: network, proxy, TLS, a captive portal |
//! | 4 | no valid login token: sign in again |
//! | 5 | the service is throttling or unavailable: try again later |
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

mod advice;
mod arguments;
mod bounded_file;
mod cache;
mod certificate;
mod display;
mod doctor;
mod exec;
mod failure;
mod forget;
mod help;
mod invalid_value;
mod issuer;
mod kept;
mod logger;
mod logging_transport;
mod login_check;
mod login_id;
mod near_misses;
mod offline;
mod option_names;
mod output;
mod printable;
mod probe;
mod provider_login;
mod regions;
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
mod steps;
#[cfg(unix)]
mod supervise;
mod tls_probe;
mod token_command;
mod token_text;
mod transport;
mod usage;
mod user_pool_login;
mod variables;
mod wait_notice;

use std::process::ExitCode;

use cognito_identity_credentials::Credentials;

use arguments::{Arguments, Command, Options};
use failure::Failure;
use settings::Settings;
use wait_notice::WaitNotice;

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
        Command::Status { json } => status::status(&options, json),
        Command::Forget { all: true } => forget::forget_all(&options),
        Command::Forget { all: false } => forget::forget_user(&options),
        Command::Doctor { json } => {
            let _notice = WaitNotice::start("the service", options.limit());
            doctor::run(&options, json)
        }
        Command::Completions { shell } => shell_files::completions(shell),
        Command::Man { directory } => shell_files::man(&directory),
    }
}

fn credentials(options: &Options) -> Result<Credentials, Failure> {
    let mut settings = Settings::new(options, transport::new(options)?, cache::usable)?;
    let is_stored = settings.stores_credentials();
    settings.builder = steps::log_refreshes(settings.builder, is_stored);
    let provider = settings.build()?;
    steps::log_settings(options, &settings);
    let _notice = WaitNotice::start("the service", options.limit());
    let credentials = provider.get().map_err(|error| Failure::of_refresh(&error, options))?;
    steps::log_credentials(&provider, &credentials);
    Ok(credentials)
}
