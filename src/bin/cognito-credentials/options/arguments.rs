//! The command line: commands, options, variables and their help texts, each described once. If an
//! option sets a setting of the library, its field has the name of that setting.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{OsStringValueParser, Resettable, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::login::provider_login::ProviderLogin;
use crate::login::secret_source::SecretSource;
use crate::options::help::{
    COMPLETIONS_EXAMPLES, DOCTOR_EXAMPLES, ENV_EXAMPLES, EXEC_EXAMPLES, EXIT_STATUSES,
    FORGET_EXAMPLES, IDENTITY_EXAMPLES, PROCESS_EXAMPLES, ROOT_EXAMPLES, SERVE_EXAMPLES,
    STATUS_EXAMPLES,
};
use crate::options::invalid_value::InvalidValue;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Temporary AWS credentials from an Amazon Cognito identity pool.
#[derive(Parser)]
#[command(
    name = "cognito-credentials",
    version,
    args_override_self = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = ROOT_EXAMPLES,
    after_long_help = EXIT_STATUSES
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the credentials as JSON, for `credential_process` in ~/.aws/config
    #[command(after_help = PROCESS_EXAMPLES)]
    Process,
    /// Print the credentials for a shell, or as lines of a file
    #[command(after_help = ENV_EXAMPLES)]
    Env {
        /// How to print them
        #[arg(long, default_value = "sh")]
        format: Format,
    },
    /// Run a program with the credentials in its environment
    #[command(after_help = EXEC_EXAMPLES)]
    Exec {
        /// Serve the credentials to the program for as long as it runs, instead of copying
        /// credentials that expire within the hour
        #[arg(long)]
        serve: bool,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
        program: Vec<OsString>,
    },
    /// Serve the credentials on loopback to every AWS SDK of this machine, until SIGTERM
    #[command(after_help = SERVE_EXAMPLES)]
    Serve {
        /// Loopback address and port [default: 127.0.0.1 and a free port]
        #[arg(long, value_name = "ADDRESS:PORT", value_parser = text())]
        listen: Option<String>,
        /// File for the token that clients send; removed at the end [default: in
        /// `$RUNTIME_DIRECTORY`, `$XDG_RUNTIME_DIR` or the cache directory]
        #[arg(long, value_name = "PATH")]
        token_file: Option<PathBuf>,
    },
    /// Print the identity ID (no network)
    #[command(after_help = IDENTITY_EXAMPLES)]
    Identity,
    /// Print what is known and cached (no network)
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Remove the identity, credentials and refresh token stored for this pool and user
    #[command(after_help = FORGET_EXAMPLES)]
    Forget {
        /// Remove the records of all users and pools
        #[arg(long)]
        all: bool,
    },
    /// Try every step and report what is wrong
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions { shell: clap_complete::Shell },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// Commands of a POSIX shell
    #[value(name = "sh")]
    Shell,
    /// NAME=VALUE lines
    Dotenv,
}

#[derive(Args, Clone)]
pub(crate) struct Options {
    /// REGION:GUID of the identity pool; a guest needs no other option
    #[arg(long, value_name = "ID", env = "AWS_COGNITO_IDENTITY_POOL_ID", value_parser = text())]
    #[arg(help_heading = "Identity")]
    pub(crate) identity_pool_id: Option<String>,
    /// Identity to use; safer in the variable, because other users can read options
    #[arg(long, value_name = "ID", env = "AWS_COGNITO_IDENTITY_ID", value_parser = text())]
    #[arg(help_heading = "Identity")]
    pub(crate) identity_id: Option<String>,
    /// AWS account of the identity pool
    #[arg(long, value_name = "ID", env = "AWS_ACCOUNT_ID", value_parser = text())]
    #[arg(help_heading = "Identity", hide_short_help = true)]
    pub(crate) account_id: Option<String>,
    /// Region of the identity pool; its ID names it already
    #[arg(long, value_name = "NAME", value_parser = text())]
    #[arg(help_heading = "Identity", hide_short_help = true)]
    pub(crate) region: Option<String>,

    /// A user's token; SOURCE is @FILE, env:NAME or cmd:COMMAND; may be repeated
    #[arg(long, value_name = "PROVIDER=SOURCE", value_parser = parse(login))]
    #[arg(help_heading = "Login")]
    login: Vec<(String, SecretSource)>,
    /// Name of the user in the cache; without it, each command reads the token
    #[arg(long, value_name = "NAME", value_parser = text())]
    #[arg(help_heading = "Login", conflicts_with = "no_cache")]
    pub(crate) login_id: Option<String>,
    /// User pool whose ID tokens are refreshed
    #[arg(long, value_name = "ID", value_parser = text())]
    #[arg(help_heading = "Login")]
    pub(crate) user_pool_id: Option<String>,
    /// Refresh token of the user pool; SOURCE is @FILE, env:NAME or cmd:COMMAND
    #[arg(long, value_name = "SOURCE", value_parser = parse(SecretSource::parse))]
    #[arg(help_heading = "Login", requires = "user_pool_id")]
    pub(crate) refresh_token: Option<SecretSource>,
    /// App client of the user pool
    #[arg(long = "user-pool-client-id", value_name = "ID", value_parser = text())]
    #[arg(help_heading = "Login", requires = "user_pool_id")]
    pub(crate) client_id: Option<String>,
    /// Secret of the app client; needs --user-pool-username
    #[arg(long = "user-pool-client-secret", value_name = "SOURCE")]
    #[arg(value_parser = parse(SecretSource::parse))]
    #[arg(help_heading = "Login", hide_short_help = true, requires = "user_pool_id")]
    pub(crate) client_secret: Option<SecretSource>,
    /// The user's name, the claim `cognito:username` (with a client secret)
    #[arg(long = "user-pool-username", value_name = "NAME", value_parser = text())]
    #[arg(help_heading = "Login", hide_short_help = true, requires = "user_pool_id")]
    pub(crate) username: Option<String>,
    /// Key of this device, if the user pool remembers devices
    #[arg(long = "user-pool-device-key", value_name = "KEY", value_parser = text())]
    #[arg(help_heading = "Login", hide_short_help = true, requires = "user_pool_id")]
    pub(crate) device_key: Option<String>,

    /// Role that the identity pool's rules allow, in place of the default role
    #[arg(long, value_name = "ARN", env = "AWS_COGNITO_CUSTOM_ROLE_ARN", value_parser = text())]
    #[arg(help_heading = "Role", hide_short_help = true)]
    pub(crate) custom_role_arn: Option<String>,
    /// Role to assume with STS: chooses the classic flow
    #[arg(long, value_name = "ARN", env = "AWS_COGNITO_ROLE_ARN", value_parser = text())]
    #[arg(help_heading = "Role", hide_short_help = true)]
    pub(crate) role_arn: Option<String>,
    /// Session name of the role
    #[arg(long, value_name = "NAME", env = "AWS_ROLE_SESSION_NAME", value_parser = text())]
    #[arg(help_heading = "Role", hide_short_help = true)]
    pub(crate) role_session_name: Option<String>,
    /// Lifetime of the role's credentials, such as 900, 15m or 1h [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse(time))]
    #[arg(help_heading = "Role", hide_short_help = true)]
    pub(crate) duration: Option<Duration>,
    /// JSON policy that limits the role
    #[arg(long, value_name = "@FILE", value_parser = text())]
    #[arg(help_heading = "Role", hide_short_help = true)]
    pub(crate) policy: Option<String>,

    /// Endpoint of Cognito identity pools; `AWS_ENDPOINT_URL` sets it for all services
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_COGNITO_IDENTITY")]
    #[arg(help_heading = "Network", hide_short_help = true, value_parser = text())]
    pub(crate) endpoint_url: Option<String>,
    /// Endpoint of STS
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_STS", value_parser = text())]
    #[arg(help_heading = "Network", hide_short_help = true)]
    pub(crate) sts_endpoint_url: Option<String>,
    /// Endpoint of Cognito user pools
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")]
    #[arg(help_heading = "Network", hide_short_help = true, requires = "user_pool_id")]
    #[arg(value_parser = text())]
    pub(crate) user_pool_endpoint_url: Option<String>,
    /// Use the FIPS endpoints of AWS
    #[arg(long = "fips", env = "AWS_USE_FIPS_ENDPOINT", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = "Network", hide_short_help = true, hide_possible_values = true)]
    pub(crate) use_fips: Option<bool>,
    /// Use the dual-stack endpoints of AWS
    #[arg(long = "dual-stack", env = "AWS_USE_DUALSTACK_ENDPOINT", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = "Network", hide_short_help = true, hide_possible_values = true)]
    pub(crate) use_dual_stack: Option<bool>,
    /// Allow plain http to other hosts than this one
    #[arg(long, help_heading = "Network", hide_short_help = true)]
    pub(crate) danger_allow_http: bool,
    /// Trust only the authorities of this PEM file
    #[arg(long, value_name = "FILE", env = "AWS_CA_BUNDLE")]
    #[arg(help_heading = "Network")]
    pub(crate) ca_file: Option<PathBuf>,
    /// URL of the proxy; if it has a password: @FILE, env:NAME or cmd:COMMAND
    #[arg(long, value_name = "URL", env = "HTTPS_PROXY", value_parser = text())]
    #[arg(help_heading = "Network")]
    pub(crate) proxy: Option<String>,
    /// Longest time for everything, `cmd:` too, such as 90, 15m or 1h [default: 60]
    #[arg(long, value_name = "TIME", value_parser = parse(time), help_heading = "Network")]
    pub(crate) timeout: Option<Duration>,
    /// Attempts for each call [default: 4, of doctor 1]
    #[arg(long, value_name = "N", env = "AWS_MAX_ATTEMPTS", value_parser = parse(count))]
    #[arg(help_heading = "Network", hide_short_help = true)]
    pub(crate) max_attempts: Option<u32>,

    /// Directory of the cache [default: ~/.cache/cognito-credentials]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Cache", conflicts_with = "no_cache")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Store nothing
    #[arg(long, help_heading = "Cache")]
    pub(crate) no_cache: bool,
    /// Print each step on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// The logins of `--login`.
    #[arg(skip)]
    pub(crate) logins: Vec<Arc<ProviderLogin>>,
    /// The variables that an option on the command line replaces.
    #[arg(skip)]
    overridden: Vec<OsString>,
}

pub(crate) fn read() -> Result<Arguments, clap::Error> {
    parse_from(&env::args_os().collect::<Vec<_>>())
}

pub(crate) fn command() -> clap::Command {
    Arguments::command().mut_args(|arg| arg.global(true).hide_env_values(true))
}

pub(crate) fn parse_from(arguments: &[OsString]) -> Result<Arguments, clap::Error> {
    // Only the library reads the variables. Clap only shows them in `--help`.
    let mut parser = command().mut_args(|arg| arg.env(Resettable::Reset));
    let matches = match parser.try_get_matches_from_mut(arguments) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Err(command().try_get_matches_from(arguments).err().unwrap_or(error));
        }
        matches => matches?,
    };
    let mut parsed = Arguments::from_arg_matches(&matches)?;
    check_places_of_logins(&parsed, arguments)?;
    let options = &mut parsed.options;
    let given = |arg: &&clap::Arg| {
        matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let described = command();
    let variables = described.get_arguments().filter(given).filter_map(|arg| arg.get_env());
    options.overridden = variables.map(OsStr::to_owned).collect();
    let limit = options.limit();
    let logins = options.login.drain(..);
    options.logins = logins
        .map(|(provider, source)| Arc::new(ProviderLogin::new(provider, source, limit)))
        .collect();
    Ok(parsed)
}

/// Checks that no `--login` is lost. If there are logins before and after the command, clap drops
/// the first ones.
fn check_places_of_logins(parsed: &Arguments, arguments: &[OsString]) -> Result<(), clap::Error> {
    let of_program = match &parsed.command {
        Command::Exec { program, .. } => program.len(),
        _ => 0,
    };
    let own = arguments.iter().take(arguments.len().saturating_sub(of_program));
    let is_login = |argument: &&OsString| {
        *argument == "--login" || argument.as_encoded_bytes().starts_with(b"--login=")
    };
    if own.filter(is_login).count() == parsed.options.login.len() {
        Ok(())
    } else {
        Err(clap::Error::new(ErrorKind::WrongNumberOfValues))
    }
}

impl Options {
    /// Returns the time limit for everything, including commands that print secrets.
    pub(crate) fn limit(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    pub(crate) fn is_guest(&self) -> bool {
        self.logins.is_empty() && self.user_pool_id.is_none()
    }

    /// Returns `true` if an option on the command line replaces this variable.
    pub(crate) fn overrides(&self, variable: &str) -> bool {
        self.overridden.iter().any(|name| name == variable)
    }

    /// Returns the option, or else the variable, that sets a setting.
    pub(crate) fn origin(
        &self,
        variable: &'static str,
        option: &'static str,
    ) -> Option<&'static str> {
        if self.overrides(variable) {
            return Some(option);
        }
        env::var_os(variable).is_some_and(|value| !value.is_empty()).then_some(variable)
    }

    pub(crate) fn secret_sources(&self) -> impl Iterator<Item = SecretSource> {
        let proxy = self.proxy.as_ref().and_then(|value| SecretSource::of_proxy(value).ok()?);
        let pool = [self.refresh_token.clone(), self.client_secret.clone()];
        let logins = self.logins.iter().map(|login| login.source.clone());
        logins.chain(pool.into_iter().flatten()).chain(proxy)
    }
}

/// Parses `PROVIDER=SOURCE`.
fn login(text: &str) -> Result<(String, SecretSource), InvalidValue> {
    match text.split_once('=') {
        // Here the token is on the wrong side of the `=`, and the message must not repeat it.
        Some((provider, source)) if !provider.starts_with("eyJ") => {
            Ok((provider.to_owned(), SecretSource::parse(source)?))
        }
        _ => Err(InvalidValue::new(
            "must be PROVIDER=@FILE, PROVIDER=env:NAME or PROVIDER=cmd:COMMAND",
        )),
    }
}

/// Parses a duration: `90` seconds, or `15m`, `1h 30m`.
fn time(text: &str) -> Result<Duration, InvalidValue> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let time = seconds.or_else(|| humantime::parse_duration(text).ok());
    time.ok_or_else(|| InvalidValue::new("must be a time, such as 90, 15m or 1h"))
}

fn count(text: &str) -> Result<u32, InvalidValue> {
    text.parse().map_err(|_| InvalidValue::new("must be a number, at least 1"))
}

fn text() -> impl TypedValueParser<Value = String> {
    parse(|text| Ok(text.to_owned()))
}

/// Makes a parser for the value of an option. No error repeats the value, which may be a secret.
fn parse<T: Clone + Send + Sync + 'static>(
    parser: fn(&str) -> Result<T, InvalidValue>,
) -> impl TypedValueParser<Value = T> {
    OsStringValueParser::new().try_map(move |value: OsString| match value.to_str() {
        Some(text) => parser(text),
        None => Err(InvalidValue::new("is not UTF-8")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        let all: Vec<_> = ["cognito-credentials"].iter().chain(arguments).map(Into::into).collect();
        parse_from(&all)
    }

    #[test]
    fn the_description_of_the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_guide_has_each_variable_of_an_option() {
        let guide = include_str!("../../../../docs/command.md");
        for option in command().get_arguments() {
            let Some(variable) = option.get_env() else { continue };
            let cell = format!("`{}`", variable.to_str().unwrap());
            let has_row = guide.lines().any(|line| line.starts_with('|') && line.contains(&cell));
            assert!(has_row, "{cell} is in no row of docs/command.md");
        }
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for arguments in [["--no-cache", "process"], ["process", "--no-cache"]] {
            assert!(parsed(&arguments).unwrap().options.no_cache, "{arguments:?}");
        }
        let twice = parsed(&["--timeout", "1", "process", "--timeout", "2"]).unwrap();
        assert_eq!(twice.options.timeout, Some(Duration::from_secs(2)), "the last one is used");
    }

    #[test]
    fn no_login_is_lost() {
        let rows: [(&[&str], Option<usize>); 7] = [
            (&["--login", "a=@x", "process"], Some(1)),
            (&["process", "--login", "a=@x", "--login=b=@y"], Some(2)),
            (&["--login=a=@x", "--login=b=@y", "process"], Some(2)),
            (&["--login", "a=@x", "process", "--login", "b=@y"], None),
            (&["exec", "--login", "a=@x", "login", "--login", "c"], Some(1)),
            (&["exec", "--login", "a=@x", "--", "login", "--login=c"], Some(1)),
            (&["exec", "--", "--login", "c"], Some(0)),
        ];
        for (arguments, logins) in rows {
            let found = parsed(arguments).ok().map(|parsed| parsed.options.logins.len());
            assert_eq!(found, logins, "{arguments:?}");
        }
    }

    #[test]
    fn a_program_keeps_its_own_options() {
        let Command::Exec { serve, program } =
            parsed(&["exec", "--serve", "aws", "--no-cache", "--", "-v"]).unwrap().command
        else {
            panic!("another command")
        };
        assert!(serve);
        assert_eq!(program, ["aws", "--no-cache", "--", "-v"]);
    }

    #[test]
    fn an_option_replaces_its_variable() {
        let options = parsed(&["--region", "x", "process", "--fips=false"]).unwrap().options;
        assert!(options.overrides("AWS_USE_FIPS_ENDPOINT"));
        assert!(!options.overrides("AWS_REGION") && !options.overrides("AWS_ENDPOINT_URL"));
        assert_eq!((options.use_fips, options.use_dual_stack), (Some(false), None));
    }
}
