//! The command `cognito-credentials` gets temporary AWS credentials from an Amazon Cognito identity
//! pool, for shells, for other programs, and for everything that supports `credential_process`. It
//! uses the public API of the library, and compiles some of its private files: `token_text.rs`,
//! `time_limit.rs`, `os_error.rs`, `loopback.rs`, `transport/ureq/no_proxy.rs` and
//! `transport/ureq/error/tls.rs`.
//!
//! | folder or file | holds |
//! |---|---|
//! | `options/` | the command line and the environment variables |
//! | `login/` | the login tokens of users: their sources and their contents |
//! | `cache/` | the cache directory, and the records in it |
//! | `settings`, `transport` | the provider and its HTTPS transport, from options and variables |
//! | `commands/` | `process`, `env`, `exec`, `identity`, `status`, `forget`, `completions` |
//! | `serve/` | the command `serve`: the endpoint for the SDKs of other programs |
//! | `doctor/` | the command `doctor` and its report |
//! | `messages/` | failures, advice, log and other texts for the user |
//! | `signals` | the signals that end the command, and the limit of file sizes |
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
//! | 5 | the service is throttling or unavailable, or the system failed: try again later |
//! | 126, 127 | `exec`: the program cannot be run, or does not exist; otherwise its own status |
//!
//! The cache directory holds the identity and the credentials of each pool and user. A second call
//! contacts the service only if the cached credentials are inside the advisory window (the last 15
//! of 60 minutes). It then makes one attempt. If that fails, it uses the cached credentials.
//! Systems without a boot ID (all but Linux and Android) cache only the identity.
//!
//! `--login-id` names the user of the cache. Without it, the command reads the login token each
//! time, and its issuer and subject name the user. A token without these claims is named by its
//! file, variable or command. Nobody has verified the token, so stored credentials are then
//! returned only for the token that they were requested with.

#![forbid(unsafe_code)]

mod cache;
mod commands;
mod doctor;
mod login;
mod messages;
mod options;
#[cfg(unix)]
mod serve;
mod settings;
#[cfg(unix)]
mod signals;
mod transport;

use std::process::ExitCode;

use cognito_identity_credentials::Credentials;

#[cfg(unix)]
use commands::supervise;
use commands::{credentials, exec, forget, output, shell_files, status};
use messages::failure::Failure;
use messages::logger;
use messages::wait_notice::WaitNotice;
use options::arguments::{self, Arguments, Command, Options};
use options::usage;

fn main() -> ExitCode {
    #[cfg(unix)]
    signals::survive_file_size_limit();
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
    }
}

fn credentials(options: &Options) -> Result<Credentials, Failure> {
    let settings = credentials::settings(options)?;
    credentials::warn_if_not_cached(&settings);
    credentials::get(&settings.build()?, options)
}
