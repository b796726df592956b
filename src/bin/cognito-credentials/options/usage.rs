//! Errors in the command line, as a [`Failure`]. The texts of clap are not shown, because they
//! repeat arguments, which may be secrets.

use std::error::Error as _;
use std::io::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::messages::failure::Failure;
use crate::options::arguments;
use crate::options::invalid_value::InvalidValue;

/// The names that other programs use for commands and options, and ours.
const WORDS_OF_OTHERS: [(&str, &str); 12] = [
    ("run", "exec"),
    ("start", "serve"),
    ("daemon", "serve"),
    ("export", "env"),
    ("logout", "forget"),
    ("clear", "forget"),
    ("whoami", "identity"),
    ("check", "doctor"),
    ("--pool", "--identity-pool-id"),
    ("--pool-id", "--identity-pool-id"),
    ("--port", "--listen"),
    ("--debug", "--verbose"),
];

/// Prints help or the version, or returns the error.
pub(crate) fn report(error: &clap::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // The reader may close the pipe early, so an error is ignored.
            let _ = error.print();
            let _ = std::io::stdout().flush();
            Ok(())
        }
        _ => Err(failure(error)),
    }
}

fn failure(error: &clap::Error) -> Failure {
    let option = text(error, ContextKind::InvalidArg);
    // Clap shows an option together with its value.
    let option = name(&option);
    if let Some(fault) = error.source().and_then(|source| source.downcast_ref::<InvalidValue>()) {
        return Failure::invalid(option, fault.clone());
    }
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            see_help("which command? process, env, exec, serve, status, doctor, …")
        }
        ErrorKind::InvalidSubcommand => no_such("command", error, ContextKind::InvalidSubcommand),
        ErrorKind::UnknownArgument if option.starts_with('-') => no_such_option(option, error),
        ErrorKind::UnknownArgument => {
            let advice = "put a value with spaces in quotes, and write --fips=true, not --fips true; cognito-credentials --help lists the commands and options";
            Failure::usage("there is one argument too many").advice(advice)
        }
        ErrorKind::MissingRequiredArgument => missing(error),
        ErrorKind::ArgumentConflict => {
            let other = text(error, ContextKind::PriorArg);
            Failure::usage(format!("{option}: cannot be combined with {}", name(&other)))
        }
        ErrorKind::InvalidValue if text(error, ContextKind::InvalidValue).is_empty() => {
            Failure::usage(format!("{option}: needs a value"))
        }
        ErrorKind::InvalidValue => {
            let valid = strings(error, ContextKind::ValidValue).join(" or ");
            Failure::usage(format!("{option}: can only be {valid}"))
        }
        ErrorKind::WrongNumberOfValues => {
            Failure::usage("--login: give all logins after the command")
        }
        ErrorKind::TooManyValues => Failure::usage(format!("{option}: takes no value")),
        _ => see_help("the arguments cannot be read"),
    }
}

fn see_help(message: &str) -> Failure {
    Failure::usage(message).advice("cognito-credentials --help lists the commands and options")
}

fn missing(error: &clap::Error) -> Failure {
    let missing = text(error, ContextKind::InvalidArg);
    Failure::usage(match &*missing {
        "<PROGRAM>..." => {
            "exec: which program? cognito-credentials exec [OPTIONS] -- PROGRAM …".to_owned()
        }
        "<SHELL>" => "completions: for which shell? bash, zsh, fish, …".to_owned(),
        option => {
            format!("{}: not given, but needed by the other options of a user pool", name(option))
        }
    })
}

/// Returns the name of an option without the value that clap shows.
fn name(option: &str) -> &str {
    let name = option.split([' ', '=', '[']).next().unwrap_or_default();
    name.trim_start_matches('<').trim_end_matches('>')
}

fn no_such_option(option: &str, error: &clap::Error) -> Failure {
    let name = option.trim_start_matches('-');
    if ["token", "password", "secret"].iter().any(|word| name.contains(word)) && is_plain(name) {
        let why = "secrets cannot be arguments, because other users of the machine can read those";
        let how = "--login PROVIDER=@FILE, =env:NAME or =cmd:COMMAND says where a token comes from";
        return Failure::usage(format!("there is no option {option}: {why}")).advice(how);
    }
    no_such("option", error, ContextKind::InvalidArg)
}

/// Returns a failure that names a wrong word if it cannot be a secret, and the word that was
/// probably meant.
fn no_such(what: &str, error: &clap::Error, place: ContextKind) -> Failure {
    let word = text(error, place);
    let word = name(&word);
    let usage = if is_plain(word.trim_start_matches('-')) {
        see_help(&format!("there is no {what} {word}"))
    } else {
        see_help(&format!("there is no {what} of that name"))
    };
    let mut suggested = strings(error, ContextKind::SuggestedArg);
    suggested.append(&mut strings(error, ContextKind::SuggestedSubcommand));
    let meant = meant_by(word, &suggested).map(|meant| format!("did you mean {meant}?"));
    let advice = goes_with(word).or(meant).or_else(|| usage.advice.clone());
    Failure { advice, ..usage }
}

/// Returns what a wrong word probably means: our name for a word of other programs, or the first
/// suggestion of clap. Clap also suggests words that differ too much; these are ignored.
fn meant_by<'a>(word: &str, suggested: &'a [String]) -> Option<&'a str> {
    if let Some((_, meant)) = WORDS_OF_OTHERS.iter().find(|(other, _)| *other == word) {
        return Some(meant);
    }
    let is_near = |meant: &&str| {
        let part = word.len() > 4 && meant.contains(word.trim_start_matches('-'));
        part || strsim::osa_distance(word, meant) <= 2
    };
    suggested.iter().map(String::as_str).find(is_near)
}

/// If another command has this option, returns advice that names the command.
fn goes_with(option: &str) -> Option<String> {
    let (name, all) = (option.strip_prefix("--")?, arguments::command());
    let has_it = |command: &&clap::Command| {
        command.get_arguments().any(|argument| argument.get_long() == Some(name))
    };
    let commands: Vec<_> =
        all.get_subcommands().filter(has_it).map(clap::Command::get_name).collect();
    (!commands.is_empty())
        .then(|| format!("{option} goes with the command {}", commands.join(" or ")))
}

/// Returns `true` if a text looks like a word and not like a secret.
fn is_plain(word: &str) -> bool {
    let is_short_option = word.len() == 1 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    is_short_option
        || (1..=24).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    strings(error, kind).into_iter().next().unwrap_or_default()
}

fn strings(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}
