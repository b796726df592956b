//! [`Keeper`]: holds credentials and keeps them fresh. A worker thread calls `get()`. So no request
//! waits for a slow network while the cached credentials are good.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials, Error, ErrorKind};

use super::answer::Answer;
use crate::messages::failure::{Failure, REFUSED};
use crate::messages::logger;

/// The time between two calls of `get()`. Half of the remaining lifetime is used if it is shorter.
const INTERVAL: Duration = Duration::from_secs(60);
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// `get()` is called for this long after the last request.
const KEEP_FRESH_FOR: Duration = Duration::from_secs(60 * 60);
/// With less time left than this, the SDKs refresh credentials early.
const SHORT_LIFE: Duration = Duration::from_secs(15 * 60);
/// With less time left than this, clients cannot use the credentials.
const LAST_LIFE: Duration = Duration::from_secs(5);
/// After a failure of a token source, the time until it is asked again, because a command may ask
/// the user. The library itself pauses only after an answer of the service.
const TOKEN_SOURCE_PAUSE: Duration = Duration::from_secs(5);
/// The longest time that a request waits for the worker. boto3 gives up after 2 s.
const MAX_WAIT: Duration = Duration::from_millis(1500);

type Outcome = Result<Credentials, Error>;
type Explain = Box<dyn Fn(&Error) -> Failure>;

pub(super) struct Keeper {
    provider: CognitoIdentityCredentials,
    schedule: Schedule,
    orders: SyncSender<()>,
    outcomes: Receiver<Outcome>,
    wake: UnixStream,
    /// How many calls of `get()` have ended.
    ended: u64,
    explain: Explain,
    /// Why the last call failed, without secrets.
    fault: Option<String>,
}

/// A request that waits for the worker.
pub(super) struct Wait {
    /// How many calls had ended when the request came.
    ended: u64,
    pub(super) until: Duration,
}

impl Keeper {
    /// Starts the worker. The first call of `get()` starts before the first request. `explain`
    /// returns the failure and the advice for an error.
    pub(super) fn start(
        provider: CognitoIdentityCredentials,
        explain: Explain,
        now: Duration,
    ) -> Result<Self, Failure> {
        let failed =
            |error| Failure::new(REFUSED, format!("the endpoint cannot be started: {error}"));
        let (wake, waker) = UnixStream::pair().map_err(failed)?;
        wake.set_nonblocking(true).map_err(failed)?;
        let (orders, receiver) = sync_channel(1);
        let (sender, outcomes) = channel();
        let worker = provider.clone();
        thread::Builder::new()
            .name("refresh".to_owned())
            .spawn(move || work(&worker, &receiver, &sender, waker))
            .map_err(failed)?;
        let schedule = Schedule::new(now);
        Ok(Self { provider, schedule, orders, outcomes, wake, ended: 0, explain, fault: None })
    }

    /// Starts a call of `get()` if it is time for one.
    pub(super) fn tick(&mut self, now: Duration) {
        if self.schedule.is_time(now) {
            self.call(now);
        }
    }

    /// Returns when to call `tick` next. The end of a call can change this.
    pub(super) fn next_tick(&self, now: Duration) -> Option<Duration> {
        self.schedule.next(now)
    }

    /// Answers a request, or returns a wait for the worker.
    pub(super) fn request(&mut self, now: Duration) -> Result<Answer, Wait> {
        self.schedule.asked = now;
        // In a pause, no call runs, so the last error is the answer.
        let longest = if self.schedule.is_paused(now) { Duration::ZERO } else { MAX_WAIT };
        let wait = Wait { ended: self.ended, until: now + longest };
        let Some(good) = self.good() else {
            self.call(now);
            return Err(wait);
        };
        // Nobody has asked for an hour, so the worker has not refreshed the credentials.
        if self.schedule.is_due(now) && self.life() <= SHORT_LIFE {
            self.call(now);
            return Err(wait);
        }
        Ok(Answer::credentials(&good))
    }

    /// Answers a waiting request after a call of `get()` has ended, or when its time limit has
    /// passed.
    pub(super) fn waiting(&mut self, wait: &mut Wait, now: Duration) -> Option<Answer> {
        let has_ended = wait.ended != self.ended;
        if !has_ended && now < wait.until {
            return None;
        }
        if let Some(good) = self.good() {
            return Some(Answer::credentials(&good));
        }
        // The cached credentials still work for some seconds, which is better than an error.
        if self.life() > LAST_LIFE {
            if let Some(last) = self.provider.cached() {
                return Some(Answer::credentials(&last));
            }
        }
        if let Some(fault) = &self.fault {
            let next = self.schedule.pause_left(now);
            let next = next.or_else(|| self.provider.status().next_attempt_in);
            return Some(Answer::unavailable(fault, next));
        }
        if now >= wait.until {
            let message = "the service has not answered yet; try again";
            return Some(Answer::unavailable(message, None));
        }
        // The new credentials expired while the process was stopped or the system was suspended.
        wait.ended = self.ended;
        self.call(now);
        None
    }

    /// Receives the outcomes of the worker. Returns an error if the worker has ended.
    pub(super) fn receive(&mut self, now: Duration) -> Result<(), Failure> {
        let mut bytes = [0; 64];
        // At end of file, the worker has ended.
        if matches!(self.wake.read(&mut bytes), Ok(0)) {
            return Err(Failure::new(REFUSED, "the thread that gets credentials has ended"));
        }
        while let Ok(outcome) = self.outcomes.try_recv() {
            self.schedule.running = false;
            self.ended += 1;
            self.schedule.interval = interval(self.life());
            let is_login = |error: &Error| error.kind() == ErrorKind::Login;
            self.schedule.paused_until =
                outcome.as_ref().is_err_and(is_login).then(|| now + TOKEN_SOURCE_PAUSE);
            self.note(outcome.err());
        }
        Ok(())
    }

    /// Prints a failure once, not each minute.
    fn note(&mut self, error: Option<Error>) {
        let fault = error.map(|error| {
            let Failure { message, advice, .. } = (self.explain)(&error);
            match advice {
                Some(advice) => format!("{message}; what to do: {advice}"),
                None => message,
            }
        });
        match (&self.fault, &fault) {
            (None, Some(fault)) => logger::warn(format_args!("no new credentials: {fault}")),
            (Some(_), None) => logger::warn(format_args!("there are new credentials again")),
            _ => {}
        }
        self.fault = fault;
    }

    fn call(&mut self, now: Duration) {
        if !self.schedule.running && !self.schedule.is_paused(now) {
            self.schedule.running = true;
            self.schedule.called = Some(now);
            // Fails only if the worker has ended, which `receive` reports.
            let _ = self.orders.try_send(());
        }
    }

    /// Returns the cached credentials if they need no refresh. Another thread may replace them
    /// after the check; then this returns the newer ones.
    fn good(&self) -> Option<Credentials> {
        if self.provider.needs_refresh() { None } else { self.provider.cached() }
    }

    fn life(&self) -> Duration {
        self.provider.status().expires_in.unwrap_or_default()
    }
}

/// Readable when the worker has an outcome.
impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Calls `get()` for each order, until the keeper is dropped.
fn work(
    provider: &CognitoIdentityCredentials,
    orders: &Receiver<()>,
    outcomes: &Sender<Outcome>,
    mut waker: UnixStream,
) {
    while orders.recv().is_ok() {
        if outcomes.send(provider.get()).is_err() || waker.write_all(&[0]).is_err() {
            return;
        }
    }
}

/// When to call `get()`. The times are on the boot clock.
struct Schedule {
    running: bool,
    asked: Duration,
    called: Option<Duration>,
    interval: Duration,
    /// Until then, no call starts.
    paused_until: Option<Duration>,
}

fn interval(life: Duration) -> Duration {
    if life.is_zero() { INTERVAL } else { (life / 2).clamp(MIN_INTERVAL, INTERVAL) }
}

impl Schedule {
    fn new(now: Duration) -> Self {
        Self { running: false, asked: now, called: None, interval: INTERVAL, paused_until: None }
    }

    fn is_due(&self, now: Duration) -> bool {
        let last = self.called.map(|called| now.saturating_sub(called));
        !self.running && !self.is_paused(now) && last.is_none_or(|last| last >= self.interval)
    }

    fn is_paused(&self, now: Duration) -> bool {
        self.pause_left(now).is_some()
    }

    fn pause_left(&self, now: Duration) -> Option<Duration> {
        self.paused_until?.checked_sub(now).filter(|left| !left.is_zero())
    }

    fn is_time(&self, now: Duration) -> bool {
        self.is_due(now) && now.saturating_sub(self.asked) < KEEP_FRESH_FOR
    }

    fn next(&self, now: Duration) -> Option<Duration> {
        let is_wanted = !self.running && now.saturating_sub(self.asked) < KEEP_FRESH_FOR;
        let due = self.called.map_or(now, |called| called + self.interval);
        is_wanted.then(|| self.paused_until.map_or(due, |until| due.max(until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cognito_identity_credentials::Builder;
    use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
    use cognito_identity_credentials::transport::TransportErrorKind;

    const HOUR: u64 = 3600;

    #[test]
    fn the_service_is_asked_once_a_minute_while_a_client_has_asked_within_the_last_hour() {
        let seconds = Duration::from_secs;
        let mut schedule = Schedule::new(seconds(0));
        let mut calls = Vec::new();
        for second in 0..3 * HOUR {
            let now = seconds(second);
            if second == 2 * HOUR {
                schedule.asked = now;
            }
            assert_eq!(schedule.is_time(now), schedule.next(now).is_some_and(|next| next <= now));
            if schedule.is_time(now) {
                schedule.called = Some(now);
                calls.push(second);
            }
        }
        let first = (0..HOUR).step_by(60);
        let second = (2 * HOUR..3 * HOUR).step_by(60);
        assert_eq!(calls, first.chain(second).collect::<Vec<_>>());
    }

    #[test]
    fn no_call_starts_while_another_one_runs() {
        let start = Duration::ZERO;
        let schedule = Schedule { running: true, called: Some(start), ..Schedule::new(start) };
        assert!(!schedule.is_due(Duration::from_secs(HOUR)));
        assert_eq!(schedule.next(Duration::from_secs(1)), None);
    }

    struct Bench {
        cognito: FakeCognito,
        clock: ManualClock,
        keeper: Keeper,
    }

    impl Bench {
        fn new() -> Self {
            Self::with(|builder| builder)
        }

        fn with(settings: impl Fn(Builder) -> Builder) -> Self {
            let clock = ManualClock::new();
            let cognito = FakeCognito::with_clock(clock.clone());
            let builder = CognitoIdentityCredentials::builder()
                .identity_pool_id(FakeCognito::POOL_ID)
                .transport(cognito.clone())
                .clock(clock.clone())
                .advisory_window(Duration::from_secs(30 * 60))
                .max_attempts(1);
            let provider = settings(builder).build().unwrap();
            let explain = Box::new(|error: &Error| Failure::from(error));
            let keeper = Keeper::start(provider, explain, Duration::ZERO).unwrap();
            keeper.wake.set_nonblocking(false).unwrap();
            Self { cognito, clock, keeper }
        }

        fn now(&self) -> Duration {
            use cognito_identity_credentials::Clock as _;

            self.clock.boot()
        }

        /// Asks as a client does, and runs the loop until there is an answer.
        fn ask(&mut self) -> String {
            let now = self.now();
            let answer = match self.keeper.request(now) {
                Ok(answer) => answer,
                Err(mut wait) => loop {
                    if self.keeper.schedule.running {
                        self.keeper.receive(now).unwrap();
                    }
                    if let Some(answer) = self.keeper.waiting(&mut wait, now) {
                        break answer;
                    }
                    assert!(self.keeper.schedule.running, "the request waits for nothing");
                },
            };
            String::from_utf8(answer.bytes.to_vec()).unwrap()
        }

        fn minute(&mut self) {
            self.pass(60);
        }

        fn pass(&mut self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
            let now = self.now();
            self.keeper.tick(now);
            if self.keeper.schedule.running {
                self.keeper.receive(now).unwrap();
            }
        }
    }

    #[test]
    fn clients_always_get_credentials_with_more_than_15_minutes_left() {
        let mut bench = Bench::new();
        for minute in 0..24 * 60 {
            assert!(bench.ask().starts_with("HTTP/1.1 200 OK"), "{minute}");
            let life = bench.keeper.life();
            assert!(life > Duration::from_secs(29 * 60), "{minute} {life:?}");
            bench.minute();
        }
        let calls = bench.cognito.calls("GetCredentialsForIdentity");
        assert!((47..=49).contains(&calls), "{calls}");
    }

    #[test]
    fn after_hours_without_requests_the_first_client_gets_fresh_credentials() {
        let mut bench = Bench::new();
        bench.ask();
        for _ in 0..80 {
            bench.minute();
        }
        assert!(bench.keeper.life() < SHORT_LIFE, "{:?}", bench.keeper.life());
        bench.ask();
        assert!(bench.keeper.life() > Duration::from_secs(15 * 60), "{:?}", bench.keeper.life());
        bench.clock.suspend(Duration::from_secs(8 * HOUR));
        assert!(bench.ask().starts_with("HTTP/1.1 200 OK"));
        assert!(bench.keeper.life() > Duration::from_secs(29 * 60));
    }

    #[test]
    fn an_outage_is_an_error_only_after_the_credentials_have_expired_and_recovers_by_itself() {
        let mut bench = Bench::new();
        bench.ask();
        bench.cognito.fail_next("GetCredentialsForIdentity", 1000, Fault::internal_error());
        let mut good = 0;
        while bench.ask().starts_with("HTTP/1.1 200 OK") {
            good += 1;
            bench.minute();
        }
        assert_eq!(good, 60);
        let answer = bench.ask();
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable"), "{answer}");
        assert!(answer.contains("Retry-After: "), "{answer}");
        assert!(answer.contains(r#""code":"CredentialsUnavailable","message":""#), "{answer}");
        bench.cognito.clear_faults();
        bench.minute();
        assert!(bench.ask().starts_with("HTTP/1.1 200 OK"));
    }

    #[test]
    fn no_client_notices_an_outage_of_12_seconds_even_if_credentials_live_for_40_seconds() {
        for start in 0..45 {
            let mut bench = Bench::new();
            bench.cognito.set_lifetime(Duration::from_secs(40));
            for second in 0..120 {
                let lost = || Fault::NoAnswer(TransportErrorKind::Io);
                match second {
                    // The first credentials must have arrived before the outage.
                    0 => {}
                    _ if second == start + 1 => {
                        bench.cognito.fail_next("GetCredentialsForIdentity", 1000, lost());
                    }
                    _ if second == start + 13 => bench.cognito.clear_faults(),
                    _ => {}
                }
                let answer = bench.ask();
                assert!(answer.starts_with("HTTP/1.1 200 OK"), "{start} {second}: {answer}");
                assert!(bench.keeper.life() > LAST_LIFE, "{start} {second}");
                bench.pass(1);
            }
        }
    }

    #[test]
    fn in_an_outage_credentials_are_given_out_until_five_seconds_before_their_end() {
        let mut bench = Bench::new();
        bench.cognito.set_lifetime(Duration::from_secs(40));
        bench.ask();
        bench.cognito.fail_next("GetCredentialsForIdentity", 1000, Fault::internal_error());
        for (seconds, status) in [(34, "200"), (1, "503")] {
            bench.clock.advance(Duration::from_secs(seconds));
            let answer = bench.ask();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{seconds} s: {answer}");
        }
    }

    #[test]
    fn a_token_source_that_fails_is_asked_again_after_a_pause() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let source = move || match counter.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err("the user has not answered".into()),
            _ => Ok("token".to_owned()),
        };
        let mut bench = Bench::with(|builder| builder.login_from("p", source.clone()));
        bench.cognito.accept_login("p", "token", "ann");
        // The time that passes, how often the source has been asked then, and the answer.
        let rows = [(0, 1, "503"), (1, 1, "503"), (3, 1, "503"), (1, 2, "503"), (4, 2, "503")];
        for (seconds, asked, status) in rows.into_iter().chain([(1, 3, "200"), (1, 3, "200")]) {
            bench.pass(seconds);
            for _ in 0..10 {
                let answer = bench.ask();
                assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{asked}: {answer}");
                let is_fault = answer.contains("the user has not answered");
                assert_eq!(
                    (is_fault, answer.contains("Retry-After: ")),
                    (status == "503", is_fault)
                );
            }
            assert_eq!(calls.load(Ordering::Relaxed), asked);
        }
    }

    #[test]
    fn in_a_pause_nothing_is_due_even_if_credentials_live_for_seconds() {
        let seconds = Duration::from_secs;
        let (called, paused_until) = (Some(seconds(1)), Some(seconds(6)));
        let schedule =
            Schedule { called, paused_until, interval: seconds(1), ..Schedule::new(seconds(0)) };
        for second in 2..6 {
            assert!(!schedule.is_due(seconds(second)), "{second}");
            assert_eq!(schedule.next(seconds(second)), paused_until);
        }
        assert!(schedule.is_due(seconds(6)));
    }

    #[test]
    fn requests_make_no_calls_while_the_credentials_are_good() {
        let mut bench = Bench::new();
        bench.ask();
        let calls = bench.cognito.requests().len();
        for _ in 0..2000 {
            bench.ask();
        }
        assert_eq!(bench.cognito.requests().len(), calls);
    }
}
