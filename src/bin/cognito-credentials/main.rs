//! The command `cognito-credentials`: temporary AWS credentials from an Amazon Cognito identity pool,
//! for shells, for other programs, and for everything that knows `credential_process`. It rests on
//! the library's public API alone.
//!
//! | file | holds |
//! |---|---|
//! | `arguments` | what was asked for |
//! | `help` | what can be asked for |
//! | `settings` | the provider's settings, from options and variables |
//! | `source` | where a secret comes from: a file, a variable, a command |
//! | `login` | a login's token, and whose it is |
//! | `user_pool` | the login of a user pool, which renews itself |
//! | `cache` | where identities and credentials are kept |
//! | `output` | credentials as JSON, for shells, and as lines of a file |
//! | `run` | a program with the credentials in its environment |
//! | `known` | what is known without network |
//! | `forget` | what is kept, removed |
//! | `doctor` | every step tried, and told in plain words |
//! | `failure` | what went wrong, and the exit status |
//! | `logger` | the library's log on standard error |
//!
//! Answers go to standard output, everything else to standard error.
//!
//! | exit status | means |
//! |---|---|
//! | 0 | fine |
//! | 1 | the service refused or is out of order, or `identity` knows none, or anything else |
//! | 2 | the options or settings are wrong |
//! | 3 | no answer of the service: network, proxy, TLS, a captive portal |
//! | 4 | no login token that is good: sign in again |
//! | 126, 127 | `exec`: the program cannot be run, or is not there; else its status is the program's |
//!
//! The identity and the credentials are kept in the user's cache directory, for the pool and the user,
//! and a second call makes no service call while what is kept has more than the library's advisory
//! window left, 15 minutes of an hour (on Linux and Android: elsewhere the identity alone is kept).
//! Then one attempt is made to renew it; what is kept serves if that fails. Who the user is, `--login-id` says.
//! Without it, it is the issuer and the subject that the login token names, which is read each time
//! for that; for a token that names none the identity alone is kept, by where the token comes from.

#![forbid(unsafe_code)]

mod arguments;
mod cache;
mod doctor;
mod failure;
mod forget;
mod help;
mod known;
mod logger;
mod login;
mod output;
mod run;
mod settings;
mod source;
mod user_pool;

use std::process::ExitCode;

use cognito_identity_credentials::Credentials;

use arguments::{Arguments, Command, Options};
use failure::Failure;
use settings::Settings;

fn main() -> ExitCode {
    match arguments::read().and_then(obey) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn obey(Arguments { command, options }: Arguments) -> Result<(), Failure> {
    logger::start(options.flag("verbose"));
    match command {
        Command::Help => output::print(help::TEXT.as_bytes()),
        Command::Version => output::print(help::VERSION.as_bytes()),
        Command::Process => output::process(&credentials(&options)?),
        Command::Env(format) => output::env(&credentials(&options)?, format),
        Command::Exec { program, arguments } => {
            run::run(&credentials(&options)?, &options, program, arguments)
        }
        Command::Identity => known::identity(&options),
        Command::Status => known::status(&options),
        Command::Forget if options.flag("all") => forget::forget_all(&options),
        Command::Forget => forget::forget_user(&options),
        Command::Doctor => doctor::examine(&options),
    }
}

fn credentials(options: &Options) -> Result<Credentials, Failure> {
    let settings = Settings::new(options, settings::transport(options)?, cache::usable)?;
    Ok(settings.build()?.get()?)
}
