//! The command `serve`: an endpoint for container credentials, which every AWS SDK can use.
//!
//! | file | holds |
//! |---|---|
//! | `token`, `token_file` | the secret that clients send, and the file with it |
//! | `request`, `answer` | one request and its answer, without sockets |
//! | `keeper` | the credentials, and the thread that refreshes them |
//! | `connections` | the connections of the clients |
//! | `notify` | the messages to systemd |
//!
//! One thread serves all connections and never blocks. Only the keeper's thread uses the network.

mod answer;
mod connections;
mod keeper;
mod notify;
mod request;
mod token;
mod token_file;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use cognito_identity_credentials::{Clock as _, CognitoIdentityCredentials, Error, SystemClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cache::Cache;
use crate::commands::credentials;
use crate::login::token_command;
use crate::messages::failure::{Failure, REFUSED};
use crate::messages::logger;
use crate::options::arguments::Options;
use crate::settings::Settings;
use crate::signals::Signals;

use connections::Connections;
use keeper::Keeper;
use request::Guard;
use token::Token;
use token_file::TokenFile;

/// boto3 and .NET refresh credentials with less than 15 minutes left. boto3 blocks its caller below
/// 10.
const ADVISORY_WINDOW: Duration = Duration::from_secs(30 * 60);
/// How long `serve` waits for the command of a `cmd:` when it ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1200);
/// The kernel's timeouts stop while the system is suspended, so a poll must not be longer.
const MAX_POLL_TIME: Duration = Duration::from_secs(10);

pub(crate) fn serve(
    options: &Options,
    listen: Option<&str>,
    token_file: Option<&Path>,
) -> Result<(), Failure> {
    let address = listen.map_or(Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), address)?;
    let settings = settings(options)?;
    let signals = Signals::catch(&[]).map_err(|error| unusable(&error))?;
    let mut endpoint = Endpoint::start(settings.build()?, options, address)?;
    let path = match token_file {
        Some(path) => path.to_owned(),
        None => token_file::default_path(
            endpoint.address.port(),
            settings.cache.as_ref().map(Cache::path),
        )?,
    };
    // Declared last, so that it is dropped first.
    let file = TokenFile::create(&path, &endpoint.guard.token)?;
    announce(&endpoint.uri(), &file.path);
    notify::ready(&endpoint.uri());
    let ended = endpoint.run(&signals, None, |signal| match signal {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    });
    notify::stopping();
    ended
}

pub(crate) fn settings(options: &Options) -> Result<Settings, Failure> {
    let mut settings = credentials::settings(options)?;
    // If the window were longer than the lifetime, there would be a call each minute.
    let half = options.duration.map(|duration| duration / 2);
    let window = half.map_or(ADVISORY_WINDOW, |half| half.min(ADVISORY_WINDOW));
    settings.builder = settings.builder.advisory_window(window);
    Ok(settings)
}

pub(crate) struct Endpoint {
    address: SocketAddr,
    listener: TcpListener,
    guard: Guard,
    keeper: Keeper,
    connections: Connections,
}

impl Endpoint {
    pub(crate) fn start(
        provider: CognitoIdentityCredentials,
        options: &Options,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let listener =
            TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
        listener.set_nonblocking(true).map_err(|error| unusable(&error))?;
        let address = listener.local_addr().map_err(|error| unusable(&error))?;
        logger::never_wait();
        let guard = Guard::new(address, Token::new()?);
        let options = options.clone();
        let explain = Box::new(move |error: &Error| Failure::of_refresh(error, &options));
        let keeper = Keeper::start(provider, explain, SystemClock.boot())?;
        Ok(Self { address, listener, guard, keeper, connections: Connections::new() })
    }

    /// Returns the value of `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub(crate) fn uri(&self) -> String {
        self.guard.uri()
    }

    /// Returns the value of `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    pub(crate) fn token(&self) -> &str {
        self.guard.token.as_str()
    }

    /// Serves until `on_wake` breaks. Each time this wakes up, at least once in `longest_poll`, it
    /// calls `on_wake` for each signal, and then once with `None`.
    pub(crate) fn run<T>(
        &mut self,
        signals: &Signals,
        longest_poll: Option<Duration>,
        mut on_wake: impl FnMut(Option<i32>) -> ControlFlow<T>,
    ) -> Result<T, Failure> {
        loop {
            let now = SystemClock.boot();
            self.keeper.tick(now);
            let ready = self.wait(signals, longest_poll, now).map_err(|error| unusable(&error))?;
            loop {
                let signal = signals.received();
                if let ControlFlow::Break(outcome) = on_wake(signal) {
                    return Ok(outcome);
                }
                if signal.is_none() {
                    break;
                }
            }
            let now = SystemClock.boot();
            self.keeper.receive(now)?;
            let Self { listener, guard, keeper, connections, .. } = self;
            connections.advance(&ready, listener, guard, keeper, now);
        }
    }

    /// Waits until a source is ready, and returns which ones are.
    fn wait(
        &self,
        signals: &Signals,
        longest_poll: Option<Duration>,
        now: Duration,
    ) -> io::Result<Vec<bool>> {
        let deadline = self.connections.deadline().into_iter().chain(self.keeper.next_tick(now));
        let limit = deadline.min().map(|deadline| deadline.saturating_sub(now).min(MAX_POLL_TIME));
        let limit = limit.into_iter().chain(longest_poll).min();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut sources = self.connections.sources(&self.listener);
        sources.push(PollFd::new(&self.keeper, PollFlags::IN));
        sources.push(PollFd::new(signals, PollFlags::IN));
        match poll(&mut sources, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(sources.iter().map(|source| !source.revents().is_empty()).collect())
    }
}

/// The worker may run the command of a `cmd:`, which must not outlive the process.
impl Drop for Endpoint {
    fn drop(&mut self) {
        // The user expects the command to end then, so the end is not logged.
        logger::silence();
        token_command::end_all(SHUTDOWN_TIMEOUT);
    }
}

/// Parses `--listen`. Only loopback addresses are allowed, because other machines must not reach
/// the endpoint.
fn address(text: &str) -> Result<SocketAddr, Failure> {
    let how = "--listen: must be ADDRESS:PORT with an address of this machine's loopback, such as 127.0.0.1:9911 or [::1]:9911";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        _ => Err(Failure::usage(how)),
    }
}

/// Prints the variables for a client. If standard output is closed, the endpoint still runs.
fn announce(uri: &str, token_file: &Path) {
    let mut text = format!("AWS_CONTAINER_CREDENTIALS_FULL_URI={uri}\n").into_bytes();
    text.extend_from_slice(b"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=");
    text.extend_from_slice(token_file.as_os_str().as_encoded_bytes());
    text.push(b'\n');
    let mut to = io::stdout().lock();
    let _ = to.write_all(&text).and_then(|()| to.flush());
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let (why, advice) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("another program listens on {address}"),
            Some("choose another port, or leave --listen out for a free one"),
        ),
        io::ErrorKind::PermissionDenied => (
            format!("{address}: {error}"),
            Some("choose a port above 1023, or leave --listen out for a free one"),
        ),
        _ => (format!("{address}: {error}"), None),
    };
    let failure = Failure::new(REFUSED, format!("--listen: {why}"));
    Failure { advice: advice.map(str::to_owned), ..failure }
}

fn unusable(error: &io::Error) -> Failure {
    Failure::new(REFUSED, format!("the endpoint cannot be served: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::arguments;
    use cognito_identity_credentials::testing::{FakeCognito, ManualClock};

    #[test]
    fn listen_accepts_only_loopback_addresses() {
        for good in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:9911"] {
            assert_eq!(address(good).unwrap().to_string(), good);
        }
        for bad in [
            "0.0.0.0:1",
            "[::]:1",
            "192.168.0.1:1",
            "localhost:1",
            "127.0.0.1",
            ":1",
            "1",
            "",
            "127.0.0.1:65536",
            "[::ffff:127.0.0.1]:1",
            "[fe80::1]:1",
        ] {
            assert!(address(bad).unwrap_err().message.starts_with("--listen: must be"), "{bad}");
        }
    }

    #[test]
    fn credentials_are_refreshed_30_minutes_or_half_of_the_duration_before_their_end() {
        let role = "--role-arn arn:aws:iam::123456789012:role/device --role-session-name device";
        // the options, the lifetime of the credentials, and when they are refreshed, in minutes
        let rows = [
            (String::new(), 60, 30),
            (format!("{role} --duration 12h"), 720, 690),
            (format!("{role} --duration 30m"), 30, 15),
        ];
        for (options, life, refresh) in rows {
            let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
            let line = "cognito-credentials serve --no-cache --identity-pool-id";
            let line = format!("{line} {} {options}", FakeCognito::POOL_ID);
            let words: Vec<_> = line.split_whitespace().map(Into::into).collect();
            let options = arguments::parse_from(&words).unwrap().options;
            let clock = ManualClock::new();
            let cognito = FakeCognito::with_clock(clock.clone());
            cognito.set_lifetime(minutes(life));
            let builder = settings(&options).unwrap().builder;
            let provider = builder.transport(cognito.clone()).clock(clock.clone()).build().unwrap();
            let first = provider.get().unwrap();
            clock.advance(minutes(refresh).saturating_sub(Duration::from_secs(1)));
            assert_eq!(provider.get().unwrap(), first, "{line}");
            clock.advance(Duration::from_secs(2));
            assert_ne!(provider.get().unwrap(), first, "{line}");
        }
    }
}
