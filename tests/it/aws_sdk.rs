//! The provider as the AWS SDK sees it, polled by the smallest of executors.

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
use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Credentials, Error, ErrorKind,
};

use crate::support::{
    GET_CREDENTIALS, Gate, Gatekeeper, IDENTITY, POOL, PROVIDER, Stage, answering, issued, seconds,
};

/// Wakes a thread, and counts how often.
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

/// Runs a future on this thread, and fails if it does not end.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Bell::new());
    let limit = Instant::now() + seconds(30);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = limit.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "the future is never woken");
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

/// A stage whose requests for credentials wait to be let go.
fn gated(settings: impl FnOnce(Builder) -> Builder) -> (Stage, Gatekeeper) {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let (gate, keeper) = Gate::before(cognito.clone());
    let builder = CognitoIdentityCredentials::builder().identity_pool_id(POOL);
    let builder = builder.transport(gate).clock(clock.clone());
    let credentials = settings(builder).build().unwrap();
    (Stage { clock, cognito, credentials }, keeper)
}

fn await_that(mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + seconds(30);
    while !condition() {
        assert!(Instant::now() < limit, "what the test waits for does not come");
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
fn the_sdks_credentials_have_all_that_ours_have_and_print_no_secret() {
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

/// Where each request was sent from.
fn recording(
    answer: impl Fn() -> Result<HttpResponse, TransportError> + Send + Sync + 'static,
) -> (CognitoIdentityCredentials, Arc<Mutex<Vec<(ThreadId, Option<String>)>>>) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&threads);
    let credentials = answering(move |_: &HttpRequest| {
        let thread = thread::current();
        seen.lock().unwrap().push((thread.id(), thread.name().map(str::to_owned)));
        answer()
    });
    (credentials, threads)
}

#[test]
fn a_refresh_runs_on_a_thread_of_its_own_and_a_fresh_set_needs_none() {
    let (credentials, threads) = recording(|| Ok(issued("ASIAFIRST")));
    let first = provided(&credentials).unwrap();
    assert!(matches_ours(&first, &credentials.cached().unwrap()));
    let seen = threads.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert_ne!(seen[0].0, thread::current().id(), "the executor's thread is blocked");
    assert_eq!(seen[0].1.as_deref(), Some("cognito-refresh"));

    let bell = Bell::new();
    let mut future = pin!(credentials.provide_credentials());
    assert_eq!(poll(future.as_mut(), &bell).map(Result::unwrap), Poll::Ready(first));
    assert_eq!(threads.lock().unwrap().len(), 1);
}

/// Each future is polled twice, the second time with another waker, and only that one counts.
#[test]
fn any_number_of_futures_share_one_thread_and_one_refresh() {
    let clock = WatchedClock(ManualClock::new(), Arc::default());
    let (stage, keeper) = gated(|builder| builder.clock(clock.clone()));
    let (outdated, bells): (Vec<_>, Vec<_>) = (0..20).map(|_| (Bell::new(), Bell::new())).unzip();
    let mut futures: Vec<_> =
        bells.iter().map(|_| Box::pin(stage.credentials.provide_credentials())).collect();
    for which in [&outdated, &bells] {
        for (future, bell) in futures.iter_mut().zip(which) {
            assert!(poll(future.as_mut(), bell).is_pending());
        }
    }
    keeper.await_request();
    assert!(bells.iter().all(|bell| bell.rung.load(Ordering::SeqCst) == 0));
    keeper.let_pass();
    await_that(|| bells.iter().all(|bell| bell.rung.load(Ordering::SeqCst) == 1));
    assert!(outdated.iter().all(|bell| bell.rung.load(Ordering::SeqCst) == 0));
    let sets: Vec<_> = futures.into_iter().map(|future| block_on(future).unwrap()).collect();
    assert!(sets.iter().all(|set| *set == sets[0]));
    assert_eq!(stage.contacts(), 1);
    let mut threads = clock.1.lock().unwrap().clone();
    assert!(threads.remove(&thread::current().id()));
    assert_eq!(threads.len(), 1, "one thread for all of them");
}

/// Notes the threads that look at it, as each call of the provider does.
#[derive(Clone)]
struct WatchedClock(ManualClock, Arc<Mutex<HashSet<ThreadId>>>);

impl Clock for WatchedClock {
    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    fn boot(&self) -> Duration {
        self.1.lock().unwrap().insert(thread::current().id());
        self.0.boot()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

#[test]
fn a_dropped_future_is_not_woken_and_its_thread_goes_on_for_the_next() {
    let (stage, keeper) = gated(|builder| builder);
    let bell = Bell::new();
    let mut future = Box::pin(stage.credentials.provide_credentials());
    assert!(poll(future.as_mut(), &bell).is_pending());
    keeper.await_request();
    drop(future);
    assert_eq!(Arc::strong_count(&bell), 1, "what is dropped is not held on to");
    keeper.let_pass();
    await_that(|| stage.credentials.cached().is_some());
    let set = provided(&stage.credentials).unwrap();
    assert!(matches_ours(&set, &stage.credentials.cached().unwrap()));
    assert_eq!((stage.contacts(), bell.rung.load(Ordering::SeqCst)), (1, 0));
}

/// A future that is never polled asks nobody.
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
fn when_a_refresh_is_due_a_thread_begins_it_and_nobody_waits() {
    let clock = WatchedClock(ManualClock::new(), Arc::default());
    let (stage, keeper) = gated(|builder| builder.clock(clock.clone()));
    let time = &clock.0;
    let threads = || clock.1.lock().unwrap().len();
    keeper.let_pass();
    let first = provided(&stage.credentials).unwrap();
    keeper.await_request();
    assert_eq!(threads(), 2);

    // A failure shows in the status alone, and keeps the next attempt away.
    time.advance(seconds(2701));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
    for _ in 0..3 {
        let mut future = pin!(stage.credentials.provide_credentials());
        let set = poll(future.as_mut(), &Bell::new()).map(Result::unwrap);
        assert_eq!(set, Poll::Ready(first.clone()), "the set is good");
    }
    keeper.await_request();
    keeper.let_pass();
    await_that(|| stage.credentials.status().last_error.is_some());
    assert_eq!(provided(&stage.credentials).unwrap(), first);
    assert_eq!((stage.contacts(), threads()), (2, 3), "one for all, and none during the pause");

    time.advance(stage.credentials.status().next_attempt_in.unwrap());
    // The thread of the last attempt may not be at its very end yet.
    await_that(|| {
        assert_eq!(provided(&stage.credentials).unwrap(), first);
        keeper.has_request()
    });
    keeper.let_pass();
    await_that(|| !matches_ours(&first, &stage.credentials.cached().unwrap()));
    let second = provided(&stage.credentials).unwrap();
    assert!(matches_ours(&second, &stage.credentials.cached().unwrap()));
    assert_eq!((stage.contacts(), threads()), (3, 4));

    // Somebody else is at it already.
    time.advance(seconds(2701));
    thread::scope(|scope| {
        let leader = scope.spawn(|| stage.credentials.get().unwrap());
        keeper.await_request();
        assert_eq!(provided(&stage.credentials).unwrap(), second);
        keeper.let_pass();
        assert!(!matches_ours(&second, &leader.join().unwrap()));
    });
    assert_eq!((stage.contacts(), threads()), (4, 5), "the leader's own thread alone");
}

/// By the system's clock, as with the threads that wait for another's refresh.
#[test]
fn a_transport_that_hangs_holds_up_those_who_wait_for_it_and_nobody_after_the_timeout() {
    let limit = Duration::from_millis(50);
    let (stage, keeper) = gated(|builder| builder.timeout(limit));
    let bell = Bell::new();
    let mut held_up = Box::pin(stage.credentials.provide_credentials());
    assert!(poll(held_up.as_mut(), &bell).is_pending());
    let begun = Instant::now();
    keeper.await_request();
    await_that(|| begun.elapsed() > limit);
    let error = provided(&stage.credentials).unwrap_err();
    assert!(matches!(error, CredentialsError::ProviderTimedOut(_)), "{error:?}");
    assert!(poll(held_up.as_mut(), &bell).is_pending());
    keeper.let_pass();
    assert!(matches_ours(&block_on(held_up).unwrap(), &stage.credentials.cached().unwrap()));
}

/// The set counts as over, or other settings are in force, since the refresh under way began.
#[test]
fn a_future_after_a_change_does_not_take_the_answer_from_before_it() {
    let (stage, keeper) = gated(|builder| builder);
    stage.cognito.accept_login(PROVIDER, "token", "ann");
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

/// It is handed to who asked for it, though the next one gets another.
#[test]
fn a_set_that_lives_shorter_than_the_window_ends_the_wait() {
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
fn each_kind_of_error_has_its_variant_and_our_error_as_its_source() {
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

/// A refusal that still stands is told without a thread, as `get()` does it without contact.
#[test]
fn what_get_refuses_without_contact_is_refused_at_the_first_poll() {
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
    assert!(provided(&stage.credentials).is_ok(), "and not for ever");
}

/// From inside the transport, on the refresh's own thread, and on one that `get()` leads.
#[test]
fn a_transport_that_awaits_the_credentials_it_helps_to_fetch_is_reentrant() {
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
fn a_panicking_transport_fails_every_future_and_the_next_one_tries_again() {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let calls = AtomicUsize::new(0);
    let credentials = answering(move |_: &HttpRequest| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            arrived.lock().unwrap().send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            panic!("a fault of the transport");
        }
        Ok(issued("ASIASECOND"))
    });
    let bell = Bell::new();
    let mut futures: Vec<_> = (0..3).map(|_| Box::pin(credentials.provide_credentials())).collect();
    for future in &mut futures {
        assert!(poll(future.as_mut(), &bell).is_pending());
    }
    arrivals.recv_timeout(seconds(30)).unwrap();
    release.send(()).unwrap();
    for future in futures {
        let error = block_on(future).unwrap_err();
        assert!(matches!(error, CredentialsError::Unhandled(_)), "{error:?}");
        let why = error.source().unwrap().to_string();
        assert!(why.starts_with("the thread that was to refresh panicked"), "{why}");
    }
    assert_eq!(provided(&credentials).unwrap().access_key_id(), "ASIASECOND");
}

/// An SDK client that loses its patience takes what is still alive, and nothing that is over or
/// called off.
#[test]
fn the_fallback_is_the_cached_set_while_it_lives() {
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

/// The SDK's cache asks 10 s before a set's end, and takes as new whatever lives longer than that.
#[test]
fn when_the_sdks_cache_asks_for_a_new_set_it_gets_one() {
    const BUFFER: Duration = Duration::from_secs(10);
    let stage = Stage::new();
    let first = provided(&stage.credentials).unwrap();
    stage.clock.advance(seconds(3600) - BUFFER);
    let second = provided(&stage.credentials).unwrap();
    assert!(second.expiry().unwrap() >= first.expiry().unwrap() + seconds(3600) - BUFFER);
    assert_eq!(stage.contacts(), 2);
}

#[test]
fn the_future_may_move_between_threads() {
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

/// In a process of its own, where every new thread asks for more stack than there is memory.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_thread_that_cannot_be_had_is_an_error_and_costs_no_good_set() {
    const CHILD: &str = "AWS_SDK_TEST_WITHOUT_THREADS";
    if std::env::var_os(CHILD).is_none() {
        let name = "aws_sdk::a_thread_that_cannot_be_had_is_an_error_and_costs_no_good_set";
        let output = crate::support::runnable(&std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env("RUST_MIN_STACK", (1_u64 << 60).to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("no thread, and all is well"), "{said}");
        return;
    }
    let stage = Stage::new();
    for _ in 0..2 {
        let error = provided(&stage.credentials).unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderError(_)), "{error:?}");
        assert!(error.source().unwrap().is::<std::io::Error>());
    }
    let first = stage.credentials.get().unwrap();
    stage.clock.advance(seconds(2701));
    assert!(matches_ours(&provided(&stage.credentials).unwrap(), &first));
    assert_eq!(stage.contacts(), 1);
    println!("no thread, and all is well");
}

#[test]
fn a_refresh_on_its_own_thread_is_reported_once_and_futures_do_not_wait_for_the_listener() {
    // Whether the refresh fails, and whether the listener then panics.
    for (fails, panics) in [(false, false), (true, false), (false, true), (true, true)] {
        let (entered, entries) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let (stage, keeper) = gated(|builder| {
            builder.on_refresh(move |report| {
                entered.send((thread::current().id(), report.service_calls)).unwrap();
                released.lock().unwrap().recv().unwrap();
                assert!(!panics, "the listener has a fault");
            })
        });
        if fails {
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
            let kind = match &result {
                Ok(_) => None,
                Err(error) => {
                    error.source().and_then(|error| error.downcast_ref()).map(Error::kind)
                }
            };
            assert_eq!(kind, fails.then_some(ErrorKind::NotAuthorized), "{result:?}");
        }
        release.send(()).unwrap();
        assert_eq!(provided(&stage.credentials).is_err(), fails, "cached, or the cooldown");
        assert!(entries.try_recv().is_err(), "one report");
    }
}

#[test]
fn an_early_refresh_on_its_own_thread_is_reported() {
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
fn a_future_inside_the_listener_is_reentrant() {
    let provider: Arc<std::sync::OnceLock<CognitoIdentityCredentials>> = Arc::default();
    let (inside, (send, kinds)) = (Arc::clone(&provider), mpsc::channel());
    let stage = Stage::with(|builder| {
        builder.on_refresh(move |_| {
            let error = provided(inside.get().unwrap()).unwrap_err();
            let source = error.source().and_then(|error| error.downcast_ref());
            send.send(source.map(Error::kind)).unwrap();
        })
    });
    provider.set(stage.credentials.clone()).unwrap();
    stage.credentials.get().unwrap();
    assert_eq!(kinds.try_recv(), Ok(Some(ErrorKind::Reentrant)));
}

/// A stored set whose early refresh fails is still good.
#[test]
fn a_future_gets_stored_credentials_whatever_the_listener_does_with_a_failed_early_refresh() {
    let storage = Arc::new(cognito_identity_credentials::MemoryStorage::new());
    let stored = |builder: Builder| builder.storage(storage.clone()).persist_credentials(true);
    let first = Stage::with(stored);
    let keys = first.credentials.get().unwrap();
    first.clock.advance(seconds(3000));
    first.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    let next = stored(CognitoIdentityCredentials::builder())
        .identity_pool_id(POOL)
        .transport(first.cognito.clone())
        .clock(first.clock.clone())
        .on_refresh(|report| assert!(report.result.is_ok(), "the listener has a fault"))
        .build()
        .unwrap();
    assert!(matches_ours(&provided(&next).unwrap(), &keys));
}
