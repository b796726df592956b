//! Processes that get no more threads or file descriptors, and wall clocks with a wrong time.

use std::fmt::Debug;
use std::fs::File;
use std::thread;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, CredentialProcessDocument, Error, ErrorKind,
    FileStorage, MemoryStorage, Storage,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ids::{IDENTITY, POOL, PROVIDER, ROLE};
use crate::runner::Test;
use crate::service::{transport, url};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "limits::without_cached_credentials_a_limit_is_an_error_until_it_ends",
        run: nothing_cached,
    },
    Test { name: "limits::valid_credentials_are_returned_despite_a_limit", run: valid_credentials },
    Test {
        name: "limits::a_storage_without_descriptors_returns_errors_and_keeps_its_records",
        run: storage,
    },
    Test { name: "limits::a_wrong_wall_clock_does_not_prevent_credentials", run: wall_clocks },
    #[cfg(feature = "ureq")]
    Test { name: "limits::a_wrong_wall_clock_causes_no_panic_in_a_handshake", run: handshakes },
    #[cfg(feature = "aws-sdk")]
    Test {
        name: "limits::a_future_without_a_thread_returns_an_error_or_valid_credentials",
        run: future,
    },
];

/// An address, and a name that the system resolves without a name server.
const ADDRESS: &str = "127.0.0.1";
const NAME: &str = "127.1";

#[derive(Clone, Copy, Debug)]
enum Limit {
    Threads,
    Descriptors,
}

impl Limit {
    /// Runs `run` while this process gets no more of the resource.
    fn during<T>(self, run: impl FnOnce() -> T) -> T {
        let resource = match self {
            Self::Threads => Resource::Nproc,
            Self::Descriptors => Resource::Nofile,
        };
        let before = getrlimit(resource);
        setrlimit(resource, Rlimit { current: Some(0), ..before }).unwrap();
        match self {
            Self::Threads => drop(thread::Builder::new().spawn(|| {}).unwrap_err()),
            Self::Descriptors => drop(File::open("/dev/null").unwrap_err()),
        }
        let done = run();
        setrlimit(resource, before).unwrap();
        done
    }
}

/// Credentials or a login token of a program, with one attempt.
struct Asked {
    what: &'static str,
    clock: ManualClock,
    ask: Box<dyn Fn() -> Result<String, Error>>,
}

/// Returns credentials, and with `user-pool` also login tokens, from the service at this host.
fn asked(host: &str) -> Vec<Asked> {
    let clock = ManualClock::new();
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .identity_id(IDENTITY)
        .login(PROVIDER, "ann")
        .endpoint_url(format!("{}/once", url(host)))
        .danger_allow_http(true)
        .transport(transport())
        .clock(clock.clone())
        .max_attempts(1)
        .build()
        .unwrap();
    let ask = move || Ok(credentials.get()?.session_token().to_owned());
    #[cfg_attr(not(feature = "user-pool"), expect(unused_mut))]
    let mut asked = vec![Asked { what: "credentials", clock, ask: Box::new(ask) }];
    #[cfg(feature = "user-pool")]
    {
        let clock = ManualClock::new();
        let tokens = cognito_identity_credentials::UserPoolTokens::builder()
            .user_pool_id(FakeCognito::USER_POOL_ID)
            .client_id(FakeCognito::CLIENT_ID)
            .refresh_token("ann")
            .endpoint_url(format!("{}/once", url(host)))
            .danger_allow_http(true)
            .transport(transport())
            .clock(clock.clone())
            .max_attempts(1)
            .build()
            .unwrap();
        let ask = move || tokens.id_token();
        asked.push(Asked { what: "a login token", clock, ask: Box::new(ask) });
    }
    asked
}

struct Row {
    limit: Limit,
    host: &'static str,
    /// Whether the program reaches the service despite the limit.
    reached: bool,
}

/// Without `ureq`, the transport of the test looks up names on the thread that calls it.
const ROWS: [Row; 4] = [
    Row { limit: Limit::Threads, host: ADDRESS, reached: true },
    Row { limit: Limit::Threads, host: NAME, reached: cfg!(not(feature = "ureq")) },
    Row { limit: Limit::Descriptors, host: ADDRESS, reached: false },
    Row { limit: Limit::Descriptors, host: NAME, reached: false },
];

fn nothing_cached() {
    for Row { limit, host, reached } in ROWS {
        for Asked { what, ask, .. } in asked(host) {
            let row = format!("{what} from {host} without {limit:?}");
            for _ in 0..2 {
                match limit.during(&ask) {
                    Ok(_) => assert!(reached, "{row}"),
                    Err(error) => assert!(!reached && error.is_retryable(), "{row}: {error:#}"),
                }
            }
            ask().unwrap_or_else(|error| panic!("{row}, afterwards: {error:#}"));
        }
    }
}

fn valid_credentials() {
    for Row { limit, host, reached } in ROWS {
        for Asked { what, clock, ask } in asked(host) {
            let row = format!("{what} from {host} without {limit:?}");
            let first = ask().unwrap_or_else(|error| panic!("{row}, before: {error:#}"));
            assert_eq!(limit.during(&ask).unwrap(), first, "{row}, fresh");
            // Into the advisory window, and then beyond the pause after a failure.
            clock.advance(Duration::from_secs(2701));
            let now = limit.during(&ask).unwrap();
            assert_eq!(now != first, reached, "{row}, advisory");
            clock.advance(Duration::from_secs(601));
            ask().unwrap();
            assert_ne!(ask().unwrap(), first, "{row}, afterwards");
        }
    }
}

fn storage() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path().join("records"));
    storage.store("key", b"old").unwrap();
    drop(storage.lock("key", Duration::ZERO).unwrap().unwrap());
    Limit::Descriptors.during(|| {
        let operations: [(&str, &dyn Fn() -> std::io::Result<()>); 6] = [
            ("load", &|| storage.load("key").map(drop)),
            ("store", &|| storage.store("key", b"new")),
            ("store the same", &|| storage.store("key", b"old")),
            ("store another", &|| storage.store("another key", b"new")),
            ("lock", &|| storage.lock("key", Duration::from_secs(1)).map(drop)),
            ("lock another", &|| storage.lock("another key", Duration::from_secs(1)).map(drop)),
        ];
        for (what, operation) in operations {
            let error = operation().expect_err(what);
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{what}: {error}");
        }
    });
    assert_eq!(storage.load("key").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(storage.load("another key").unwrap(), None);
    storage.store("key", b"new").unwrap();
    assert_eq!(storage.load("key").unwrap().as_deref(), Some(&b"new"[..]));

    // A refresh succeeds even if nothing can be stored.
    let cognito = FakeCognito::new();
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(FakeCognito::POOL_ID)
        .storage(storage)
        .persist_credentials(true)
        .transport(cognito)
        .build()
        .unwrap();
    Limit::Descriptors.during(|| credentials.get()).unwrap();
}

fn wall_clocks() {
    const DAY: u64 = 24 * 3600;
    let before = |seconds| SystemTime::UNIX_EPOCH - Duration::from_secs(seconds);
    let after = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let walls = [
        SystemTime::UNIX_EPOCH - Duration::from_nanos(1),
        before(1),
        before(1 << 31),
        before(1969 * 366 * DAY),
        before(u64::MAX >> 1),
        after(0),
        after((1 << 31) - 1),
        after(1 << 31),
        after(1 << 32),
        after(253_402_300_799),
        after(253_402_300_800),
        after(u64::MAX >> 1),
    ];
    let flows: [fn(Builder, &FakeCognito) -> Builder; 4] = [
        |builder, _| builder,
        |builder, _| builder.role_arn(ROLE),
        |builder, _| builder.storage(MemoryStorage::new()).persist_credentials(true),
        logged_in,
    ];
    for wall in walls {
        for (number, flow) in flows.iter().enumerate() {
            let row = format!("{wall:?}, flow {number}");
            let clock = FixedWall { wall, time: ManualClock::new() };
            let cognito = FakeCognito::with_clock(clock.time.clone());
            let builder = CognitoIdentityCredentials::builder()
                .identity_pool_id(FakeCognito::POOL_ID)
                .transport(cognito.clone())
                .clock(clock.clone());
            let credentials = flow(builder, &cognito).build().unwrap();
            let set = credentials.get().unwrap_or_else(|error| panic!("{row}: {error:#}"));
            let left = credentials.status().expires_in.unwrap();
            assert_eq!(left, Duration::from_secs(3600), "{row}");
            for shown in [&set as &dyn Debug, &credentials, &credentials.status()] {
                assert!(!format!("{shown:?}").is_empty());
            }
            let document = serde_json::to_string(&CredentialProcessDocument::from(&set)).unwrap();
            assert!(document.contains("2026-01-01T01:00:00Z"), "{row}: {document}");

            clock.time.advance(Duration::from_secs(600));
            assert_eq!(credentials.get().unwrap(), set, "{row}");
            clock.time.advance(Duration::from_secs(3000));
            assert_ne!(credentials.get().unwrap(), set, "{row}");
            cognito.set_guests(FakeCognito::POOL_ID, false);
            credentials.clear_cached_id();
            credentials.set_logins(cognito_identity_credentials::Logins::new());
            credentials.expire();
            let error = credentials.get().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotAuthorized, "{row}: {error:#}");
            assert!(credentials.status().next_attempt_in.is_some(), "{row}");
        }
    }
}

#[cfg(feature = "ureq")]
fn handshakes() {
    use crate::service::tls;

    struct Row {
        /// Seconds since 1970.
        wall: i64,
        /// Whether the certificate is valid at this time, or at the later release of this crate.
        valid: bool,
    }
    let rows = [
        Row { wall: i64::MIN / 2, valid: true },
        Row { wall: -(1 << 31), valid: true },
        Row { wall: -1, valid: true },
        Row { wall: 0, valid: true },
        Row { wall: (1 << 31) - 1, valid: true },
        Row { wall: 1 << 31, valid: true },
        Row { wall: 1 << 32, valid: true },
        Row { wall: 253_402_300_800, valid: false },
        Row { wall: i64::MAX / 2, valid: false },
    ];
    for Row { wall, valid } in rows {
        let offset = Duration::from_secs(wall.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let wall_time = if wall < 0 { epoch - offset } else { epoch + offset };
        let clock = FixedWall { wall: wall_time, time: ManualClock::new() };
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .identity_id(IDENTITY)
            .login(PROVIDER, "ann")
            .endpoint_url(tls::url())
            .transport(tls::transport().clock(clock.clone()).build().unwrap())
            .clock(clock)
            .build()
            .unwrap();
        match credentials.get() {
            Ok(_) => assert!(valid, "{wall}"),
            Err(error) => {
                assert!(!valid && error.kind() == ErrorKind::Tls, "{wall}: {error:#}");
            }
        }
    }
}

#[cfg(feature = "user-pool")]
fn logged_in(builder: Builder, cognito: &FakeCognito) -> Builder {
    let tokens = cognito_identity_credentials::UserPoolTokens::builder()
        .user_pool_id(FakeCognito::USER_POOL_ID)
        .client_id(FakeCognito::CLIENT_ID)
        .refresh_token(cognito.sign_in("ann"))
        .transport(cognito.clone())
        .build();
    builder.login_from_user_pool(&tokens.unwrap())
}

#[cfg(not(feature = "user-pool"))]
fn logged_in(builder: Builder, cognito: &FakeCognito) -> Builder {
    cognito.accept_login(PROVIDER, "token", "ann");
    builder.login(PROVIDER, "token")
}

/// The wall clock always shows the same time. The other clocks are those of `time`.
#[derive(Clone)]
struct FixedWall {
    wall: SystemTime,
    time: ManualClock,
}

impl Clock for FixedWall {
    fn wall(&self) -> SystemTime {
        self.wall
    }

    fn boot(&self) -> Duration {
        self.time.boot()
    }

    fn sleep(&self, duration: Duration) {
        self.time.sleep(duration);
    }

    fn boot_id(&self) -> Option<String> {
        self.time.boot_id()
    }
}

#[cfg(feature = "aws-sdk")]
fn future() {
    use std::error::Error as _;

    use aws_credential_types::provider::ProvideCredentials;
    use aws_credential_types::provider::error::CredentialsError;

    use crate::fork::{Stage, futures::block_on};

    let stage = Stage::new();
    let provided = || block_on(stage.credentials.provide_credentials());
    for _ in 0..2 {
        let error = Limit::Threads.during(provided).unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderError(_)), "{error:?}");
        assert!(error.source().unwrap().is::<std::io::Error>());
    }
    let first = provided().unwrap();
    stage.clock.advance(Duration::from_secs(2701));
    assert_eq!(Limit::Threads.during(provided).unwrap(), first, "inside the advisory window");
    assert_eq!(stage.calls(), 1);
    stage.clock.advance(Duration::from_secs(899));
    assert_ne!(provided().unwrap(), first);
    assert_eq!(stage.calls(), 2);
}
