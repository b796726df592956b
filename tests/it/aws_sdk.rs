//! The provider as a credentials provider of the AWS SDK, polled by a small executor.

use std::collections::HashSet;
use std::error::Error as _;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use cognito_identity_credentials::testing::{Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Credentials, Error, ErrorKind,
};

use crate::sharing::gated;
use crate::stored::again;
use crate::support::{
    GET_CREDENTIALS, Gate, IDENTITY, PROVIDER, Stage, answering, issued, seconds,
};

/// A waker that counts how often it wakes its thread.
struct Bell {
    thread: Thread,
    rung: AtomicUsize,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), rung: AtomicUsize::new(0) })
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Runs a future on this thread. Panics if it does not end.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Bell::new());
    let limit = Instant::now() + seconds(30);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = limit.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nothing woke the future");
        thread::park_timeout(left);
    }
}

fn provided(credentials: &CognitoIdentityCredentials) -> Result<SdkCredentials, CredentialsError> {
    block_on(credentials.provide_credentials())
}

/// Polls once.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>, bell: &Arc<Bell>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
}

fn await_that(mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + seconds(30);
    while !condition() {
        assert!(Instant::now() < limit, "the condition does not become true");
        thread::yield_now();
    }
}

fn matches_ours(sdk: &SdkCredentials, ours: &Credentials) -> bool {
    sdk.access_key_id() == ours.access_key_id()
        && sdk.secret_access_key() == ours.secret_access_key()
        && sdk.session_token() == Some(ours.session_token())
        && sdk.expiry() == Some(ours.expiration())
}

#[test]
fn sdk_credentials_have_the_same_values_and_print_no_secret() {
    let end = SystemTime::UNIX_EPOCH + seconds(1_800_000_000);
    let ours = Credentials::new("ASIAEXAMPLE", "hunter2", "hunter3", end);
    let sdk = SdkCredentials::from(&ours);
    assert!(matches_ours(&sdk, &ours));
    assert_eq!(sdk.account_id(), None);
    assert_eq!(
        format!("{sdk:?}"),
        "Credentials { provider_name: \"CognitoIdentity\", access_key_id: \"ASIAEXAMPLE\", \
         secret_access_key: \"** redacted **\", expires_after: \"2027-01-15T08:00:00Z\" }"
    );
    assert_eq!(SdkCredentials::from(ours), sdk);
}

/// Returns a provider, and the threads that send its requests.
fn recording(
    answer: impl Fn() -> Result<HttpResponse, TransportError> + Send + Sync + 'static,
) -> (CognitoIdentityCredentials, Arc<Mutex<Vec<Thread>>>) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&threads);
    let credentials = answering(move |_: &HttpRequest| {
        seen.lock().unwrap().push(thread::current());
        answer()
    });
    (credentials, threads)
}

#[test]
fn a_refresh_runs_on_another_thread_and_fresh_credentials_need_none() {
    let (credentials, threads) = recording(|| Ok(issued("ASIAFIRST")));
    let first = provided(&credentials).unwrap();
    assert!(matches_ours(&first, &credentials.cached().unwrap()));
    let seen = threads.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert_ne!(seen[0].id(), thread::current().id(), "the executor's thread is blocked");
    assert_eq!(seen[0].name(), Some("cognito-refresh"));

    let bell = Bell::new();
    let mut future = pin!(credentials.provide_credentials());
    assert_eq!(poll(future.as_mut(), &bell).map(Result::unwrap), Poll::Ready(first));
    assert_eq!(threads.lock().unwrap().len(), 1);
}

/// Each future is polled twice. The future wakes only the waker of the second poll.
#[test]
fn any_number_of_futures_share_one_thread_and_one_refresh() {
    let clock = WatchedClock::default();
    let (stage, keeper) = gated(|builder| builder.clock(clock.clone()));
    let (first_bells, bells): (Vec<_>, Vec<_>) =
        (0..20).map(|_| (Bell::new(), Bell::new())).unzip();
    let mut futures: Vec<_> =
        bells.iter().map(|_| Box::pin(stage.credentials.provide_credentials())).collect();
    for which in [&first_bells, &bells] {
        for (future, bell) in futures.iter_mut().zip(which) {
            assert!(poll(future.as_mut(), bell).is_pending());
        }
    }
    keeper.await_request();
    assert!(bells.iter().all(|bell| bell.rung.load(Ordering::SeqCst) == 0));
    keeper.let_pass();
    await_that(|| bells.iter().all(|bell| bell.rung.load(Ordering::SeqCst) == 1));
    assert!(first_bells.iter().all(|bell| bell.rung.load(Ordering::SeqCst) == 0));
    let sets: Vec<_> = futures.into_iter().map(|future| block_on(future).unwrap()).collect();
    assert!(sets.iter().all(|set| *set == sets[0]));
    assert_eq!(stage.contacts(), 1);
    let mut threads = clock.readers.lock().unwrap().clone();
    assert!(threads.remove(&thread::current().id()));
    assert_eq!(threads.len(), 1, "one thread for all futures");
}

/// A clock that remembers which threads read it. Each call of the provider reads it.
#[derive(Clone, Default)]
struct WatchedClock {
    time: ManualClock,
    readers: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Clock for WatchedClock {
    fn wall(&self) -> SystemTime {
        self.time.wall()
    }

    fn boot(&self) -> Duration {
        self.readers.lock().unwrap().insert(thread::current().id());
        self.time.boot()
    }

    fn sleep(&self, duration: Duration) {
        self.time.sleep(duration);
    }
}

#[test]
fn a_dropped_future_is_not_woken_and_its_refresh_serves_the_next_future() {
    let (stage, keeper) = gated(|builder| builder);
    let bell = Bell::new();
    let mut future = Box::pin(stage.credentials.provide_credentials());
    assert!(poll(future.as_mut(), &bell).is_pending());
    keeper.await_request();
    drop(future);
    assert_eq!(Arc::strong_count(&bell), 1, "nothing keeps the waker of a dropped future");
    keeper.let_pass();
    await_that(|| stage.credentials.cached().is_some());
    let set = provided(&stage.credentials).unwrap();
    assert!(matches_ours(&set, &stage.credentials.cached().unwrap()));
    assert_eq!((stage.contacts(), bell.rung.load(Ordering::SeqCst)), (1, 0));
}

#[test]
fn a_future_does_nothing_before_it_is_polled() {
    let stage = Stage::new();
    drop(stage.credentials.provide_credentials());
    let later = stage.credentials.provide_credentials();
    let ours = stage.credentials.get().unwrap();
    assert!(matches_ours(&block_on(later).unwrap(), &ours));
    assert_eq!(stage.contacts(), 1);
}

#[test]
fn an_early_refresh_runs_on_another_thread_and_no_future_waits() {
    let clock = WatchedClock::default();
    let (stage, keeper) = gated(|builder| builder.clock(clock.clone()));
    let time = &clock.time;
    let threads = || clock.readers.lock().unwrap().len();
    keeper.let_pass();
    let first = provided(&stage.credentials).unwrap();
    keeper.await_request();
    assert_eq!(threads(), 2);

    // A failure shows only in the status, and delays the next attempt.
    time.advance(seconds(2701));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
    for _ in 0..3 {
        let mut future = pin!(stage.credentials.provide_credentials());
        let set = poll(future.as_mut(), &Bell::new()).map(Result::unwrap);
        assert_eq!(set, Poll::Ready(first.clone()), "the credentials are valid");
    }
    keeper.await_request();
    keeper.let_pass();
    await_that(|| stage.credentials.status().last_error.is_some());
    assert_eq!(provided(&stage.credentials).unwrap(), first);
    assert_eq!(
        (stage.contacts(), threads()),
        (2, 3),
        "one thread for all futures, and no thread during the pause"
    );

    time.advance(stage.credentials.status().next_attempt_in.unwrap());
    // The thread of the last attempt may still be running.
    await_that(|| {
        assert_eq!(provided(&stage.credentials).unwrap(), first);
        keeper.has_request()
    });
    keeper.let_pass();
    await_that(|| !matches_ours(&first, &stage.credentials.cached().unwrap()));
    let second = provided(&stage.credentials).unwrap();
    assert!(matches_ours(&second, &stage.credentials.cached().unwrap()));
    assert_eq!((stage.contacts(), threads()), (3, 4));

    // Another caller leads the refresh.
    time.advance(seconds(2701));
    thread::scope(|scope| {
        let leader = scope.spawn(|| stage.credentials.get().unwrap());
        keeper.await_request();
        assert_eq!(provided(&stage.credentials).unwrap(), second);
        keeper.let_pass();
        assert!(!matches_ours(&second, &leader.join().unwrap()));
    });
    assert_eq!((stage.contacts(), threads()), (4, 5), "only the thread of the leader");
}

/// The limit is on the system's clock, as for threads that wait for the refresh of another thread.
#[test]
fn only_futures_from_before_the_timeout_wait_for_a_transport_that_hangs() {
    let limit = Duration::from_millis(50);
    let (stage, keeper) = gated(|builder| builder.timeout(limit));
    let bell = Bell::new();
    let mut waiting = Box::pin(stage.credentials.provide_credentials());
    assert!(poll(waiting.as_mut(), &bell).is_pending());
    let begun = Instant::now();
    keeper.await_request();
    await_that(|| begun.elapsed() > limit);
    let error = provided(&stage.credentials).unwrap_err();
    assert!(matches!(error, CredentialsError::ProviderTimedOut(_)), "{error:?}");
    assert!(poll(waiting.as_mut(), &bell).is_pending());
    keeper.let_pass();
    assert!(matches_ours(&block_on(waiting).unwrap(), &stage.credentials.cached().unwrap()));
}

#[test]
fn a_future_after_a_new_login_does_not_get_the_credentials_from_before() {
    let (stage, keeper) = gated(|builder| builder);
    let bell = Bell::new();
    let mut guest = Box::pin(stage.credentials.provide_credentials());
    assert!(poll(guest.as_mut(), &bell).is_pending());
    keeper.await_request();
    stage.credentials.set_login(PROVIDER, "token");
    let mut ann = Box::pin(stage.credentials.provide_credentials());
    assert!(poll(ann.as_mut(), &bell).is_pending());
    keeper.let_pass();
    keeper.let_pass();
    let (guest, ann) = (block_on(guest).unwrap(), block_on(ann).unwrap());
    assert_ne!(guest, ann);
    assert!(matches_ours(&ann, &stage.credentials.cached().unwrap()));
    let requests = stage.cognito.requests();
    assert_eq!(requests.last().unwrap().login(PROVIDER), Some("token"));
    assert_eq!(stage.contacts(), 2);
}

/// The next future gets other credentials.
#[test]
fn a_future_accepts_credentials_that_expire_within_the_window() {
    let stage = Stage::with(|builder| builder.expiry_window(seconds(7200)));
    let (first, second) =
        (provided(&stage.credentials).unwrap(), provided(&stage.credentials).unwrap());
    assert_ne!(first, second);
    assert_eq!(stage.contacts(), 2);
}

type Answer = Box<dyn Fn() -> Result<HttpResponse, TransportError> + Send + Sync>;

fn ours(error: &CredentialsError) -> Option<&Error> {
    error.source().and_then(|source| source.downcast_ref::<Error>())
}

#[test]
fn each_error_kind_has_a_variant_of_the_sdk_with_our_error_as_its_source() {
    let answer = |code: &str, status| {
        let body = format!(r#"{{"__type": "{code}", "message": "No."}}"#);
        move || Ok(HttpResponse::new(status, body.clone()))
    };
    let broken = |kind| move || Err(TransportError::new(kind, "cut"));
    let rows: Vec<(Answer, ErrorKind)> = vec![
        (Box::new(broken(TransportErrorKind::Connect)), ErrorKind::Unreachable),
        (Box::new(broken(TransportErrorKind::Tls)), ErrorKind::Tls),
        (Box::new(answer("ThrottlingException", 400)), ErrorKind::Throttled),
        (Box::new(answer("InternalErrorException", 500)), ErrorKind::Unavailable),
        (Box::new(answer("NotAuthorizedException", 400)), ErrorKind::NotAuthorized),
        (Box::new(answer("ResourceNotFoundException", 400)), ErrorKind::NotFound),
        (Box::new(answer("ValidationException", 400)), ErrorKind::Refused),
        (Box::new(|| Ok(HttpResponse::new(200, "<html>"))), ErrorKind::Response),
    ];
    for (answer, kind) in rows {
        let error = provided(&recording(answer).0).unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderError(_)), "{kind:?}: {error:?}");
        assert_eq!(ours(&error).unwrap().kind(), kind);
    }

    let (credentials, _) = recording(broken(TransportErrorKind::Timeout));
    match provided(&credentials).unwrap_err() {
        CredentialsError::ProviderTimedOut(limit) => {
            assert_eq!(limit.timeout_duration(), seconds(60));
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(credentials.status().last_error.unwrap().kind(), ErrorKind::Timeout);

    let login = Stage::with(|builder| builder.login_from(PROVIDER, || Err("signed out".into())));
    let error = provided(&login.credentials).unwrap_err();
    assert!(matches!(error, CredentialsError::ProviderError(_)));
    assert_eq!(ours(&error).unwrap().kind(), ErrorKind::Login);

    let unknown = Stage::with(|builder| builder.allow_new_guest(false));
    let error = provided(&unknown.credentials).unwrap_err();
    assert!(matches!(error, CredentialsError::CredentialsNotLoaded(_)), "{error:?}");
    assert_eq!(ours(&error).unwrap().kind(), ErrorKind::IdentityUnknown);
}

/// During the cooldown, `get()` returns the last error without a request. So does a future.
#[test]
fn during_the_cooldown_the_first_poll_returns_the_error() {
    let stage = Stage::new();
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    assert_eq!(stage.credentials.get().unwrap_err().kind(), ErrorKind::NotAuthorized);
    let bell = Bell::new();
    let mut future = pin!(stage.credentials.provide_credentials());
    match poll(future.as_mut(), &bell) {
        Poll::Ready(Err(error)) => {
            assert_eq!(ours(&error).unwrap().kind(), ErrorKind::NotAuthorized);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.contacts(), 1);
    stage.clock.advance(seconds(5));
    assert!(provided(&stage.credentials).is_ok(), "the cooldown ends");
}

/// The transport runs on the thread of the refresh, or on the thread that calls `get()`.
#[test]
fn a_transport_that_awaits_its_own_credentials_gets_a_reentrant_error() {
    let slot = Arc::new(std::sync::OnceLock::<CognitoIdentityCredentials>::new());
    let inner = Arc::clone(&slot);
    let credentials = answering(move |_: &HttpRequest| {
        let error = provided(inner.get().unwrap()).unwrap_err();
        assert!(matches!(error, CredentialsError::Unhandled(_)), "{error:?}");
        assert_eq!(ours(&error).unwrap().kind(), ErrorKind::Reentrant);
        Ok(issued("ASIAOUTER"))
    });
    slot.set(credentials.clone()).unwrap();
    assert_eq!(provided(&credentials).unwrap().access_key_id(), "ASIAOUTER");
    credentials.expire();
    assert_eq!(credentials.get().unwrap().access_key_id(), "ASIAOUTER");
}

#[test]
fn a_panic_of_the_transport_fails_every_future_and_the_next_future_tries_again() {
    let calls = AtomicUsize::new(0);
    let (gate, keeper) = Gate::before(move |_: &HttpRequest| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "the transport panics");
        Ok(issued("ASIASECOND"))
    });
    let credentials = answering(move |request| gate.send(request));
    let bell = Bell::new();
    let mut futures: Vec<_> = (0..3).map(|_| Box::pin(credentials.provide_credentials())).collect();
    for future in &mut futures {
        assert!(poll(future.as_mut(), &bell).is_pending());
    }
    keeper.await_request();
    keeper.let_pass();
    for future in futures {
        let error = block_on(future).unwrap_err();
        assert!(matches!(error, CredentialsError::Unhandled(_)), "{error:?}");
        let why = error.source().unwrap().to_string();
        assert!(why.starts_with("the thread that was to refresh panicked"), "{why}");
    }
    keeper.let_pass();
    assert_eq!(provided(&credentials).unwrap().access_key_id(), "ASIASECOND");
}

/// An SDK client whose own timeout ends uses the fallback.
#[test]
fn the_fallback_is_the_cached_credentials_while_they_are_valid() {
    let stage = Stage::new();
    let fallback = || stage.credentials.fallback_on_interrupt();
    assert_eq!(fallback(), None);
    let first = provided(&stage.credentials).unwrap();
    assert_eq!(fallback(), Some(first.clone()));
    stage.clock.advance(seconds(3599));
    assert!(stage.credentials.needs_refresh());
    assert_eq!(fallback(), Some(first));
    stage.clock.advance(seconds(1));
    assert_eq!(fallback(), None);

    let second = provided(&stage.credentials).unwrap();
    assert_eq!(fallback(), Some(second.clone()));
    stage.credentials.invalidate(second.access_key_id());
    assert_eq!(fallback(), None);
    provided(&stage.credentials).unwrap();
    stage.credentials.expire();
    assert_eq!(fallback(), None);
    assert_eq!(stage.contacts(), 3);
}

/// The SDK's cache asks 10 s before the credentials expire.
#[test]
fn the_cache_of_the_sdk_gets_new_credentials_when_it_asks() {
    const BUFFER: Duration = Duration::from_secs(10);
    let stage = Stage::new();
    let first = provided(&stage.credentials).unwrap();
    stage.clock.advance(seconds(3600) - BUFFER);
    let second = provided(&stage.credentials).unwrap();
    assert!(second.expiry().unwrap() >= first.expiry().unwrap() + seconds(3600) - BUFFER);
    assert_eq!(stage.contacts(), 2);
}

#[test]
fn the_future_is_send() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let credentials = Stage::new().credentials;
    let moved = credentials.clone();
    let elsewhere =
        thread::spawn(move || block_on(assert_send(moved.provide_credentials())).unwrap());
    assert!(matches_ours(&elsewhere.join().unwrap(), &credentials.cached().unwrap()));
    let shared = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
    assert!(!format!("{shared:?}").contains(IDENTITY));
}

#[test]
fn a_refresh_is_reported_once_and_futures_do_not_wait_for_the_listener() {
    struct Row {
        refresh_fails: bool,
        listener_panics: bool,
    }
    for Row { refresh_fails, listener_panics } in [
        Row { refresh_fails: false, listener_panics: false },
        Row { refresh_fails: true, listener_panics: false },
        Row { refresh_fails: false, listener_panics: true },
        Row { refresh_fails: true, listener_panics: true },
    ] {
        let (entered, entries) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let (stage, keeper) = gated(|builder| {
            builder.on_refresh(move |report| {
                entered.send((thread::current().id(), report.service_calls)).unwrap();
                released.lock().unwrap().recv().unwrap();
                assert!(!listener_panics, "the listener panics");
            })
        });
        if refresh_fails {
            stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
        }
        let bell = Bell::new();
        let mut futures: Vec<_> =
            (0..3).map(|_| Box::pin(stage.credentials.provide_credentials())).collect();
        for future in &mut futures {
            assert!(poll(future.as_mut(), &bell).is_pending());
        }
        keeper.await_request();
        keeper.let_pass();
        let (leader, calls) = entries.recv_timeout(seconds(30)).unwrap();
        assert_ne!(leader, thread::current().id());
        assert_eq!(calls, 2);
        for future in futures {
            let result = block_on(future);
            let kind = result.as_ref().err().and_then(ours).map(Error::kind);
            assert_eq!(kind, refresh_fails.then_some(ErrorKind::NotAuthorized), "{result:?}");
        }
        release.send(()).unwrap();
        assert_eq!(provided(&stage.credentials).is_err(), refresh_fails, "cached, or the cooldown");
        assert!(entries.try_recv().is_err(), "one report");
    }
}

#[test]
fn an_early_refresh_on_another_thread_is_reported() {
    let (send, reports) = mpsc::channel();
    let stage = Stage::with(|builder| {
        builder.on_refresh(move |report| {
            send.send((report.result.is_err(), report.early)).unwrap();
        })
    });
    let report = || reports.recv_timeout(seconds(30)).unwrap();
    provided(&stage.credentials).unwrap();
    assert_eq!(report(), (false, false));
    stage.clock.advance(seconds(3000));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
    provided(&stage.credentials).unwrap();
    assert_eq!(report(), (true, true));
}

#[test]
fn a_future_inside_the_listener_gets_a_reentrant_error() {
    let provider: Arc<std::sync::OnceLock<CognitoIdentityCredentials>> = Arc::default();
    let (inside, (send, kinds)) = (Arc::clone(&provider), mpsc::channel());
    let stage = Stage::with(|builder| {
        builder.on_refresh(move |_| {
            let error = provided(inside.get().unwrap()).unwrap_err();
            send.send(ours(&error).map(Error::kind)).unwrap();
        })
    });
    provider.set(stage.credentials.clone()).unwrap();
    stage.credentials.get().unwrap();
    assert_eq!(kinds.try_recv(), Ok(Some(ErrorKind::Reentrant)));
}

/// The stored credentials are still valid if their early refresh fails.
#[test]
fn a_future_gets_stored_credentials_if_the_listener_panics_after_a_failed_early_refresh() {
    let storage = Arc::new(cognito_identity_credentials::MemoryStorage::new());
    let stored = |builder: Builder| builder.storage(storage.clone()).persist_credentials(true);
    let first = Stage::with(stored);
    let keys = first.credentials.get().unwrap();
    first.clock.advance(seconds(3000));
    first.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    let next = again(&first, |builder| {
        stored(builder).on_refresh(|report| assert!(report.result.is_ok(), "the listener panics"))
    });
    assert!(matches_ours(&provided(&next.credentials).unwrap(), &keys));
}
