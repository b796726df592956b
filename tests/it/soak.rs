//! Many threads on the clocks of the system, for one second, or for 20 seconds with `SOAK` set.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, SystemClock};

use crate::support::{IDENTITY, PROVIDER, seconds};

const THREADS: usize = 32;
const LIFETIME: u64 = 2;
const EXPIRY_WINDOW: Duration = Duration::from_millis(500);

/// A service that fails three calls of ten. Its credentials live for two seconds.
#[derive(Default)]
struct Service {
    calls: AtomicUsize,
    busy: AtomicBool,
    overlaps: AtomicUsize,
    /// When the credentials with this access key were requested, on the boot clock.
    issued: Mutex<HashMap<String, Duration>>,
}

impl Service {
    fn answer(&self) -> Result<HttpResponse, TransportError> {
        let sent = SystemClock.boot();
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let overlap = self.busy.swap(true, Ordering::SeqCst);
        self.overlaps.fetch_add(usize::from(overlap), Ordering::SeqCst);
        thread::sleep(Duration::from_millis(fastrand::u64(0..4)));
        self.busy.store(false, Ordering::SeqCst);
        let now = SystemTime::now();
        match fastrand::u32(0..10) {
            0 => return Err(TransportError::new(TransportErrorKind::Timeout, "nothing came")),
            1 => return Ok(HttpResponse::new(400, r#"{"__type": "TooManyRequestsException"}"#)),
            2 => return Ok(HttpResponse::new(500, r#"{"__type": "InternalErrorException"}"#)),
            _ => {}
        }
        let key = format!("ASIA{call}");
        let end = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + LIFETIME;
        self.issued.lock().unwrap().insert(key.clone(), sent);
        let body = format!(
            r#"{{"IdentityId": "{IDENTITY}", "Credentials": {{"AccessKeyId": "{key}",
            "SecretKey": "s", "SessionToken": "t", "Expiration": {end}}}}}"#
        );
        Ok(HttpResponse::new(200, body).with_header("date", httpdate::fmt_http_date(now)))
    }
}

#[derive(Default)]
struct Totals {
    gets: AtomicUsize,
    failures: AtomicUsize,
    /// Calls of `get_within` whose time limit ended before the request.
    too_late: AtomicUsize,
    longest: Mutex<Duration>,
}

fn call(credentials: &CognitoIdentityCredentials, service: &Service, totals: &Totals) {
    let (begin, boot) = (Instant::now(), SystemClock.boot());
    let before = credentials.cached();
    let outcome = match fastrand::u32(0..10_000) {
        0 => return credentials.expire(),
        1 => return credentials.set_login(PROVIDER, "token"),
        2 => credentials.refresh(),
        3..1_000 => credentials.get_within(Duration::from_millis(fastrand::u64(0..20))),
        _ => credentials.get(),
    };
    totals.gets.fetch_add(1, Ordering::Relaxed);
    {
        let mut longest = totals.longest.lock().unwrap();
        *longest = begin.elapsed().max(*longest);
    }
    let set = match outcome {
        Ok(set) => set,
        Err(error) => {
            totals.failures.fetch_add(1, Ordering::Relaxed);
            let too_late = error.message() == "no time is left to ask the service";
            totals.too_late.fetch_add(usize::from(too_late), Ordering::Relaxed);
            return;
        }
    };
    let key = set.access_key_id();
    let end = service.issued.lock().unwrap()[key] + seconds(LIFETIME);
    // Cached credentials were valid for at least the expiry window when `get` checked them, and so
    // also when the call began (`boot`).
    let old = before.is_some_and(|before| before == set);
    let least = if old { EXPIRY_WINDOW } else { Duration::ZERO };
    assert!(end >= boot + least, "credentials with {:?} left", end.saturating_sub(boot));
}

#[test]
fn many_threads_with_a_failing_service_get_no_expired_credentials_and_one_call_per_refresh() {
    let soak = std::env::var_os("SOAK").is_some();
    let run_for = if soak { seconds(20) } else { seconds(1) };
    let service = Arc::new(Service::default());
    let totals = Arc::new(Totals::default());
    let refreshes = Arc::new(AtomicUsize::new(0));
    let (answering, counted) = (Arc::clone(&service), Arc::clone(&refreshes));
    let credentials = CognitoIdentityCredentials::builder()
        .identity_id(IDENTITY)
        // Each refresh calls it once.
        .login_from("login.example.com", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok("token".to_owned())
        })
        .transport(move |_: &HttpRequest| answering.answer())
        .expiry_window(EXPIRY_WINDOW)
        .failure_cooldown(Duration::from_millis(10))
        .max_attempts(1)
        .timeout(seconds(10))
        .build()
        .unwrap();

    let (done, finished) = channel();
    let begin = Instant::now();
    for _ in 0..THREADS {
        let (credentials, service, totals) =
            (credentials.clone(), Arc::clone(&service), Arc::clone(&totals));
        let done = done.clone();
        thread::spawn(move || {
            while begin.elapsed() < run_for {
                call(&credentials, &service, &totals);
            }
            done.send(()).unwrap();
        });
    }
    drop(done);
    for _ in 0..THREADS {
        finished.recv_timeout(run_for + seconds(60)).expect("a thread failed or is blocked");
    }

    let [calls, refreshes, gets, failures, too_late] =
        [&service.calls, &refreshes, &totals.gets, &totals.failures, &totals.too_late]
            .map(|total| total.load(Ordering::SeqCst));
    println!(
        "soak: {THREADS} threads, {run_for:?}, {gets} calls, {failures} of them failed, {refreshes} \
         refreshes, {calls} service calls, longest call {:?}",
        totals.longest.lock().unwrap()
    );
    assert!(calls <= refreshes, "a refresh made two calls");
    assert!(refreshes - calls <= too_late, "a refresh with enough time made no call");
    assert_eq!(service.overlaps.load(Ordering::SeqCst), 0, "two refreshes ran at the same time");
    assert!(gets > 1_000 && failures > 0 && refreshes > 1, "the test did too little");
}
