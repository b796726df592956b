//! The command line: a command and its options. `settings.rs` checks the values.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::failure::Failure;
use crate::option_names;
use crate::output::Format;
use crate::provider_login::ProviderLogin;
use crate::secret_source::SecretSource;

pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) options: Options,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Process,
    Env(Format),
    Exec { program: OsString, arguments: Vec<OsString> },
    Identity,
    Status,
    Forget,
    Doctor,
    Help,
    Version,
}

#[derive(Default)]
pub(crate) struct Options {
    values: BTreeMap<&'static str, OsString>,
    flags: BTreeMap<&'static str, bool>,
    pub(crate) logins: Vec<Arc<ProviderLogin>>,
}

pub(crate) fn read() -> Result<Arguments, Failure> {
    parse(Parser::from_env())
}

fn parse(mut parser: Parser) -> Result<Arguments, Failure> {
    let mut options = Options::default();
    let mut word: Option<String> = None;
    let mut program = None;
    let mut logins = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| unreadable(&error))? {
        let name = match argument {
            Arg::Short('h') => "help",
            Arg::Short('V') => "version",
            Arg::Short('v') => "verbose",
            Arg::Short(_) => {
                return Err(Failure::usage("there is no such option; long options begin with --"));
            }
            Arg::Long(name) => name,
            Arg::Value(value) if word.as_deref() == Some("exec") => {
                program = Some(value);
                break;
            }
            Arg::Value(value) if word.is_none() => {
                word = Some(value.into_string().unwrap_or_default());
                continue;
            }
            Arg::Value(_) => return Err(Failure::usage("there is one argument too many")),
        };
        if let Some(name) = option_names::valued(name) {
            // If it is given twice, the last one counts.
            let value = parser.value().map_err(|error| unreadable(&error))?;
            options.values.insert(name, value);
        } else if let Some(name) = option_names::flag(name) {
            // `--fips=false` turns off what a variable turns on.
            let on = match parser.optional_value() {
                None => true,
                Some(value) if value == "true" => true,
                Some(value) if value == "false" => false,
                Some(_) => {
                    return Err(Failure::usage(format!("--{name}: can only be true or false")));
                }
            };
            options.flags.insert(name, on);
        } else {
            match name {
                "help" => return Ok(Arguments { command: Command::Help, options }),
                "version" => return Ok(Arguments { command: Command::Version, options }),
                "login" => {
                    let value = parser.value().map_err(|error| unreadable(&error))?;
                    logins.push(login(&value)?);
                }
                unknown => return Err(no_such_option(unknown)),
            }
        }
    }
    let limit = options.limit()?;
    let made =
        logins.into_iter().map(|(provider, source)| ProviderLogin::new(provider, source, limit));
    options.logins = made.map(Arc::new).collect();
    let Some(word) = word else {
        return Err(Failure::usage("which command? process, env, exec, status, doctor, …"));
    };
    let format = options.text("format")?;
    if format.is_some() && word != "env" {
        return Err(Failure::usage("--format: goes with the command env"));
    }
    if options.flag("all") && word != "forget" {
        return Err(Failure::usage("--all: goes with the command forget"));
    }
    let command = match word.as_str() {
        "process" => Command::Process,
        "env" => Command::Env(match format.as_deref() {
            None | Some("sh") => Format::Shell,
            Some("dotenv") => Format::Dotenv,
            Some(_) => return Err(Failure::usage("--format: can only be sh or dotenv")),
        }),
        "exec" => {
            let Some(program) = program else {
                let how = "exec: which program? cognito-credentials exec [OPTIONS] -- PROGRAM …";
                return Err(Failure::usage(how));
            };
            let rest = parser.raw_args().map_err(|error| unreadable(&error))?;
            Command::Exec { program, arguments: rest.collect() }
        }
        "identity" => Command::Identity,
        "status" => Command::Status,
        "forget" => Command::Forget,
        "doctor" => Command::Doctor,
        "help" => Command::Help,
        unknown => {
            // The word may be a secret in the wrong place.
            let shown = if is_plain(unknown) { format!(" {unknown}") } else { String::new() };
            return Err(Failure::usage(format!("there is no command{shown}")));
        }
    };
    Ok(Arguments { command, options })
}

impl Options {
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.switch(name).unwrap_or_default()
    }

    /// Returns whether a flag is on; `None` if it is not given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.flags.get(name).copied()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name).map(OsString::as_os_str)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.to_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Failure::usage(format!("--{name}: is not UTF-8"))),
        }
    }

    /// Returns the source of the secret of this option.
    pub(crate) fn source(&self, name: &str) -> Result<Option<SecretSource>, Failure> {
        let text = self.text(name)?;
        text.map(|text| SecretSource::parse(&format!("--{name}"), &text)).transpose()
    }

    /// Returns the sources of the secrets of all options.
    pub(crate) fn secret_sources(&self) -> impl Iterator<Item = SecretSource> {
        let proxy = self.value("proxy").and_then(OsStr::to_str);
        let proxy = proxy.and_then(|value| SecretSource::of_proxy(value).ok().flatten());
        let pools = ["refresh-token", "user-pool-client-secret"];
        let pools = pools.into_iter().filter_map(|name| self.source(name).ok().flatten());
        self.logins.iter().map(|login| login.source.clone()).chain(pools).chain(proxy)
    }

    pub(crate) fn attempts(&self) -> Result<Option<u32>, Failure> {
        let Some(text) = self.text("max-attempts")? else { return Ok(None) };
        match text.parse() {
            Ok(attempts) => Ok(Some(attempts)),
            Err(_) => Err(Failure::usage("--max-attempts: must be a number, at least 1")),
        }
    }

    /// Returns whether the flag is on, or else its variable.
    pub(crate) fn is_on(&self, flag: &str, variable: &str) -> bool {
        self.switch(flag).unwrap_or_else(|| is_set(variable))
    }

    /// Returns how long a command that prints a secret may take.
    pub(crate) fn limit(&self) -> Result<Duration, Failure> {
        Ok(self.time("timeout")?.unwrap_or(Duration::from_secs(60)))
    }

    /// Parses a duration: `90` seconds, or `15m`, `1h 30m`.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Duration>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let seconds = text.parse().map(Duration::from_secs).ok();
        match seconds.or_else(|| humantime::parse_duration(&text).ok()) {
            Some(time) => Ok(Some(time)),
            None => Err(Failure::usage(format!("--{name}: must be a time, such as 90, 15m or 1h"))),
        }
    }
}

/// Returns those of the variables that may name an endpoint: none if the environment says so. The
/// library reports a malformed value.
pub(crate) fn endpoint_variables<'a>(names: &'a [&'a str]) -> &'a [&'a str] {
    if is_set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") { &[] } else { names }
}

fn is_set(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value.eq_ignore_ascii_case("true"))
}

fn login(value: &OsStr) -> Result<(String, SecretSource), Failure> {
    let how = "--login: must be PROVIDER=@FILE, PROVIDER=env:NAME or PROVIDER=cmd:COMMAND";
    let value = value.to_str().ok_or_else(|| Failure::usage("--login: is not UTF-8"))?;
    let (provider, source) = value.split_once('=').ok_or_else(|| Failure::usage(how))?;
    // The user has mixed up the two sides: the message must not repeat the token.
    if provider.starts_with("eyJ") {
        return Err(Failure::usage(how));
    }
    Ok((provider.to_owned(), SecretSource::parse("--login", source)?))
}

fn no_such_option(name: &str) -> Failure {
    if !is_plain(name) {
        return Failure::usage("there is no such option");
    }
    if ["token", "password", "secret"].iter().any(|word| name.contains(word)) {
        let why = "secrets cannot be arguments, because other users of the machine can read those";
        let how = "--login PROVIDER=@FILE, =env:NAME or =cmd:COMMAND says where a token comes from";
        return Failure {
            advice: Some(how.to_owned()),
            ..Failure::usage(format!("there is no option --{name}: {why}"))
        };
    }
    Failure::usage(format!("there is no option --{name}"))
}

/// Returns whether a text looks like a typed word and not like a secret.
fn is_plain(word: &str) -> bool {
    (1..=24).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// Does not show the parser's own message, which repeats arguments: they may be secrets.
fn unreadable(error: &lexopt::Error) -> Failure {
    match error {
        lexopt::Error::MissingValue { option: Some(option) } if option.len() <= 26 => {
            Failure::usage(format!("{option}: needs a value"))
        }
        _ => Failure::usage("the arguments cannot be read"),
    }
}
