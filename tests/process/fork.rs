//! A process forks after it used a provider, or while another thread uses it.

use std::collections::BTreeSet;
use std::fs;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, Credentials, Error, FileStorage, Storage,
};

use crate::child::Child;
use crate::ids::PROVIDER;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "fork::a_child_uses_the_cached_credentials_without_a_call", run: cached_set },
    Test { name: "fork::a_child_does_not_wait_for_a_refresh_of_its_parent", run: during_a_refresh },
    Test {
        name: "fork::a_child_that_was_forked_inside_a_refresh_can_refresh",
        run: inside_a_refresh,
    },
    Test {
        name: "fork::a_child_that_was_forked_inside_a_listener_can_refresh",
        run: inside_a_listener,
    },
    Test { name: "fork::the_threads_of_a_child_share_one_refresh", run: threads_of_a_child },
    Test { name: "fork::parent_and_children_draw_different_random_numbers", run: random_numbers },
    Test { name: "fork::parent_and_children_can_store_one_record_at_the_same_time", run: stores },
    Test {
        name: "fork::parent_and_child_refresh_on_different_connections",
        run: connections::apart,
    },
    Test {
        name: "fork::a_child_forked_during_an_exchange_uses_another_connection",
        run: connections::during_an_exchange,
    },
    Test { name: "fork::a_child_cannot_release_the_lock_of_its_parent", run: lock },
    #[cfg(feature = "user-pool")]
    Test {
        name: "fork::parent_and_child_refresh_login_tokens_independently",
        run: user_pool::refresh,
    },
    #[cfg(feature = "user-pool")]
    Test {
        name: "fork::a_child_does_not_store_a_token_that_its_parent_could_not_store",
        run: user_pool::unstored,
    },
    #[cfg(feature = "aws-sdk")]
    Test {
        name: "fork::a_future_does_not_wait_for_a_thread_of_the_parent",
        run: futures::during_the_refresh,
    },
];

const GET_CREDENTIALS: &str = "GetCredentialsForIdentity";

/// A service that holds the next answer to the parent until the test releases it. It never holds an
/// answer to a child.
struct Gate {
    cognito: FakeCognito,
    process: u32,
    closed: AtomicBool,
    arrived: Sender<()>,
    released: Mutex<Receiver<()>>,
}

impl Transport for Gate {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if process::id() == self.process && self.closed.swap(false, Ordering::SeqCst) {
            self.arrived.send(()).unwrap();
            self.released.lock().unwrap().recv().unwrap();
        }
        self.cognito.send(request)
    }
}

pub(crate) struct Stage {
    pub(crate) clock: ManualClock,
    cognito: FakeCognito,
    gate: Arc<Gate>,
    arrived: Receiver<()>,
    release: Sender<()>,
    pub(crate) credentials: CognitoIdentityCredentials,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        let (arrive, arrived) = channel();
        let (release, released) = channel();
        let gate = Arc::new(Gate {
            cognito: cognito.clone(),
            process: process::id(),
            closed: AtomicBool::new(false),
            arrived: arrive,
            released: Mutex::new(released),
        });
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(gate.clone())
            .clock(clock.clone())
            .timeout(Duration::from_secs(10));
        let credentials = settings(builder).build().unwrap();
        Self { clock, cognito, gate, arrived, release, credentials }
    }

    pub(crate) fn calls(&self) -> usize {
        self.cognito.calls(GET_CREDENTIALS)
    }

    /// Forks while another thread waits in `call` for the service. Runs `child` in the child.
    fn fork_during<T: Send>(&self, call: impl FnOnce() -> T + Send, child: impl FnOnce()) -> T {
        self.gate.closed.store(true, Ordering::SeqCst);
        thread::scope(|scope| {
            let caller = scope.spawn(call);
            self.arrived.recv().unwrap();
            let passed = Child::fork(|_| child()).wait();
            self.release.send(()).unwrap();
            let returned = caller.join().unwrap();
            assert!(passed, "the child failed");
            returned
        })
    }
}

fn cached_set() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    Child::fork(|_| {
        assert_eq!(stage.credentials.get().unwrap(), first);
        assert_eq!(stage.credentials.status().identity_id.as_deref(), first.identity_id());
        assert_eq!(stage.cognito.requests().len(), 2);
    })
    .join();
}

type Call = fn(&CognitoIdentityCredentials) -> Result<Credentials, Error>;

fn during_a_refresh() {
    #[derive(Clone, Copy, Debug)]
    enum Cached {
        Nothing,
        Fresh,
        Advisory,
        Expired,
    }
    struct Row {
        cached: Cached,
        /// What another thread of the parent does during the fork.
        parent: Call,
        child: Call,
        /// How many calls the child makes.
        calls: usize,
    }
    let get: Call = CognitoIdentityCredentials::get;
    let refresh: Call = CognitoIdentityCredentials::refresh;
    let hurried: Call = |credentials| credentials.get_within(Duration::from_secs(1));
    let rows = [
        Row { cached: Cached::Nothing, parent: get, child: get, calls: 1 },
        Row { cached: Cached::Nothing, parent: get, child: hurried, calls: 1 },
        Row { cached: Cached::Nothing, parent: get, child: refresh, calls: 1 },
        Row { cached: Cached::Nothing, parent: refresh, child: get, calls: 1 },
        Row { cached: Cached::Fresh, parent: refresh, child: get, calls: 0 },
        Row { cached: Cached::Fresh, parent: refresh, child: refresh, calls: 1 },
        Row { cached: Cached::Advisory, parent: get, child: get, calls: 1 },
        Row { cached: Cached::Advisory, parent: refresh, child: get, calls: 1 },
        Row { cached: Cached::Advisory, parent: get, child: refresh, calls: 1 },
        Row { cached: Cached::Expired, parent: get, child: get, calls: 1 },
        Row { cached: Cached::Expired, parent: get, child: refresh, calls: 1 },
    ];
    for (number, Row { cached, parent, child, calls }) in rows.into_iter().enumerate() {
        let stage = Stage::new();
        let credentials = &stage.credentials;
        let first = match cached {
            Cached::Nothing => None,
            _ => Some(credentials.get().unwrap()),
        };
        match cached {
            Cached::Nothing | Cached::Fresh => {}
            Cached::Advisory => stage.clock.advance(Duration::from_secs(2701)),
            Cached::Expired => stage.clock.advance(Duration::from_secs(3601)),
        }
        let before = stage.calls();
        let refreshed = stage.fork_during(
            || parent(credentials),
            || {
                let set = child(credentials).unwrap();
                assert_eq!(stage.calls() - before, calls, "row {number}, {cached:?}");
                assert_eq!(Some(&set) == first.as_ref(), calls == 0, "row {number}, {cached:?}");
                assert_eq!(credentials.get().unwrap(), set, "row {number}, {cached:?}");
            },
        );
        assert_ne!(Some(refreshed.unwrap()), first, "row {number}, {cached:?}");
        assert_eq!(stage.calls() - before, 1, "row {number}, {cached:?}");
    }
}

/// The thread that refreshes forks inside a token source.
fn inside_a_refresh() {
    let parent = process::id();
    let provider: Arc<OnceLock<CognitoIdentityCredentials>> = Arc::default();
    let inside = provider.clone();
    let source = move || {
        if process::id() == parent {
            let credentials = inside.get().unwrap();
            credentials.get().expect_err("a get() inside a refresh");
            Child::fork(|_| drop(credentials.get().unwrap())).join();
        }
        Ok("token".to_owned())
    };
    let stage = Stage::with(|builder| builder.login_from(PROVIDER, source));
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    provider.set(stage.credentials.clone()).unwrap();
    stage.credentials.get().unwrap();
}

/// The thread that runs the listener forks.
fn inside_a_listener() {
    let parent = process::id();
    let provider: Arc<OnceLock<CognitoIdentityCredentials>> = Arc::default();
    let inside = provider.clone();
    let stage = Stage::with(|builder| {
        builder.on_refresh(move |_| {
            let credentials = inside.get().unwrap();
            credentials.get().expect_err("a get() inside the listener");
            if process::id() == parent {
                let first = Child::fork(|_| {
                    credentials.get().unwrap();
                    credentials.refresh().unwrap();
                    credentials.get().unwrap();
                });
                first.join();
            }
        })
    });
    provider.set(stage.credentials.clone()).unwrap();
    stage.credentials.get().unwrap();
}

fn threads_of_a_child() {
    let stage = Stage::new();
    let parents = stage.fork_during(
        || stage.credentials.get(),
        || {
            let sets: Vec<_> = thread::scope(|scope| {
                let callers: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| stage.credentials.get())).collect();
                callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect()
            });
            assert!(sets.iter().all(|set| *set == sets[0]));
            assert_eq!(stage.calls(), 1);
        },
    );
    parents.unwrap();
}

/// The cooldown after a refusal is random.
fn random_numbers() {
    fn draw() -> String {
        let stage = Stage::new();
        stage.cognito.fail_next("GetId", 1, Fault::not_authorized("No."));
        stage.credentials.get().unwrap_err();
        format!("{:?}", stage.credentials.status().next_attempt_in.unwrap())
    }
    for used_before in [false, true] {
        if used_before {
            draw();
        }
        let children: Vec<_> = (0..4)
            .map(|_| {
                Child::fork(|line| {
                    let mut grandchild = Child::fork(|line| line.tell(&draw()));
                    line.tell(&draw());
                    line.tell(&grandchild.line.hear());
                    grandchild.join();
                })
            })
            .collect();
        let mut drawn = BTreeSet::from([draw()]);
        for mut child in children {
            drawn.extend([child.line.hear(), child.line.hear()]);
            child.join();
        }
        assert_eq!(drawn.len(), 9, "used before the fork: {used_before}: {drawn:?}");
    }
}

fn stores() {
    const STORES: u32 = 300;
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path().join("records"));
    storage.store("key", b"first").unwrap();
    let write = |who: &str| {
        for number in 0..STORES {
            storage.store("key", format!("{who} {number}").as_bytes()).unwrap();
        }
    };
    let children: Vec<_> =
        ["one", "two", "three"].map(|who| Child::fork(|_| write(who))).into_iter().collect();
    write("parent");
    children.into_iter().for_each(Child::join);
    let last = String::from_utf8(storage.load("key").unwrap().unwrap()).unwrap();
    assert!(last.ends_with(&format!(" {}", STORES - 1)), "{last}");
    storage.store("key", b"after them").unwrap();
    let files = fs::read_dir(folder.path().join("records")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["key"], "there are temporary files");
}

fn lock() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path().join("records"));
    let try_lock = || storage.lock("key", Duration::ZERO).unwrap();
    let held = try_lock().unwrap();
    let mut held = Some(held);
    let mut child = Child::fork(|line| {
        drop(held.take());
        assert!(try_lock().is_none(), "the child released the lock of its parent");
        line.tell("dropped");
        assert_eq!(line.hear(), "dropped");
        drop(try_lock().unwrap());
    });
    // This child keeps its copy of the lock, and the open file.
    let mut other = Child::fork(|line| assert_eq!(line.hear(), "end"));
    assert_eq!(child.line.hear(), "dropped");
    assert!(try_lock().is_none());
    drop(held);
    drop(try_lock().unwrap());
    child.line.tell("dropped");
    child.join();
    other.line.tell("end");
    other.join();
}

/// Over sockets. The login token of a process is its ID. The service answers with this ID as the
/// access key ID, and with the connection in the session token.
mod connections {
    use super::{
        BTreeSet, Child, CognitoIdentityCredentials, Credentials, Duration, HttpRequest, Transport,
        process, thread,
    };
    use crate::ids::{IDENTITY, POOL, PROVIDER};
    use crate::service::{self, HELD};

    /// Returns a provider for each kind of connection.
    fn providers(
        source: impl Fn() -> String + Clone + Send + Sync + 'static,
    ) -> Vec<CognitoIdentityCredentials> {
        let provider = |url: String, transport: Box<dyn Transport>| {
            let source = source.clone();
            CognitoIdentityCredentials::builder()
                .identity_pool_id(POOL)
                .identity_id(IDENTITY)
                .login_from(PROVIDER, move || Ok(source()))
                .endpoint_url(url)
                .danger_allow_http(true)
                .transport(move |request: &HttpRequest| transport.send(request))
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap()
        };
        let plain = ["127.0.0.1", "127.1"]
            .map(|host| provider(service::url(host), Box::new(service::transport())));
        #[cfg_attr(not(feature = "ureq"), expect(unused_mut))]
        let mut providers = Vec::from(plain);
        #[cfg(feature = "ureq")]
        {
            let transport = service::tls::transport().build().unwrap();
            providers.push(provider(service::tls::url(), Box::new(transport)));
        }
        providers
    }

    fn own_id() -> String {
        process::id().to_string()
    }

    /// Refreshes many times. Returns the connections of the answers.
    fn refresh(credentials: &CognitoIdentityCredentials) -> BTreeSet<String> {
        (0..20).map(|_| connection(&credentials.refresh().unwrap())).collect()
    }

    /// Returns the connection of these credentials. They must be for this process.
    fn connection(set: &Credentials) -> String {
        assert_eq!(set.access_key_id(), own_id(), "the answer for another process");
        let (connection, rest) = set.session_token().split_once(':').unwrap();
        assert!(!rest.ends_with("resumed"), "a TLS session of another process");
        connection.to_owned()
    }

    pub(super) fn apart() {
        for credentials in providers(own_id) {
            let first = connection(&credentials.get().unwrap());
            let mut child = Child::fork(|line| {
                line.tell("ready");
                assert_eq!(line.hear(), "begin");
                let used = refresh(&credentials);
                line.tell(&used.into_iter().collect::<Vec<_>>().join(","));
            });
            assert_eq!(child.line.hear(), "ready");
            child.line.tell("begin");
            let mut parents = refresh(&credentials);
            parents.insert(first);
            let said = child.line.hear();
            child.join();
            let childs: BTreeSet<_> = said.split(',').map(str::to_owned).collect();
            assert!(parents.is_disjoint(&childs), "parent {parents:?}, child {childs:?}");
            if cfg!(feature = "ureq") {
                assert_eq!((parents.len(), childs.len()), (1, 1), "each keeps its connection");
            }
        }
    }

    pub(super) fn during_an_exchange() {
        let parent = process::id();
        let source = move || if process::id() == parent { HELD.to_owned() } else { own_id() };
        for credentials in providers(source) {
            let (set, passed) = thread::scope(|scope| {
                let caller = scope.spawn(|| credentials.get());
                service::await_held();
                let passed = Child::fork(|_| drop(refresh(&credentials))).wait();
                (caller.join().unwrap(), passed)
            });
            assert!(passed, "the child failed");
            assert_eq!(set.unwrap().access_key_id(), HELD);
        }
    }
}

#[cfg(feature = "user-pool")]
mod user_pool {
    use std::io;

    use cognito_identity_credentials::testing::FaultyStorage;
    use cognito_identity_credentials::{MemoryStorage, TokenSource, UserPoolTokens};

    use super::{Child, Duration, FakeCognito, FileStorage, Stage, Storage, fs};

    fn tokens(stage: &Stage, storage: impl Storage + 'static) -> UserPoolTokens {
        UserPoolTokens::builder()
            .user_pool_id(FakeCognito::USER_POOL_ID)
            .client_id(FakeCognito::CLIENT_ID)
            .refresh_token(stage.cognito.sign_in("ann"))
            .login_id("ann")
            .storage(storage)
            .transport(stage.gate.clone())
            .clock(stage.clock.clone())
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap()
    }

    pub(super) fn refresh() {
        let stage = Stage::new();
        let tokens = tokens(&stage, MemoryStorage::new());
        let parents = stage.fork_during(
            || tokens.id_token(),
            || {
                let token = tokens.id_token().unwrap();
                assert_eq!(tokens.id_token().unwrap(), token, "the token is cached");
            },
        );
        let token = parents.unwrap();
        let check = || {
            let calls = stage.cognito.calls("InitiateAuth");
            assert_eq!(tokens.id_token().unwrap(), token);
            assert_eq!(stage.cognito.calls("InitiateAuth"), calls, "a cached token needs no call");
            let limit = Duration::from_secs(10);
            assert_ne!(tokens.token_after_refusal(&token, limit).unwrap(), token);
            assert_eq!(stage.cognito.calls("InitiateAuth"), calls + 1);
        };
        let child = Child::fork(|_| check());
        check();
        child.join();
    }

    /// The parent stores a newer token before the child can store the old one.
    pub(super) fn unstored() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileStorage::new(folder.path().join("records"));
        let disk = FaultyStorage::around(files);
        disk.fail_next("store", usize::MAX, io::ErrorKind::StorageFull);
        let stage = Stage::new();
        stage.cognito.set_refresh_token_rotation(Some(Duration::ZERO));
        let tokens = tokens(&stage, disk.clone());
        tokens.id_token().unwrap();
        let record = || fs::read(record_path(&folder)).unwrap();

        disk.clear_faults();
        let mut child = Child::fork(|line| {
            assert_eq!(line.hear(), "stored");
            let before = record();
            tokens.id_token().unwrap();
            assert_eq!(record(), before, "the child stored an older token");
        });
        tokens.id_token().unwrap();
        let first = record();
        stage.clock.advance(Duration::from_secs(3600));
        tokens.id_token().unwrap();
        assert_ne!(record(), first, "the token was rotated again");
        child.line.tell("stored");
        child.join();
    }

    /// Returns the path of the only record.
    fn record_path(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let files = fs::read_dir(folder.path().join("records")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let mut records = paths.filter(|path| path.extension().is_none());
        records.next().unwrap()
    }
}

#[cfg(feature = "aws-sdk")]
pub(crate) mod futures {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};

    use aws_credential_types::provider::ProvideCredentials;
    use aws_credential_types::provider::error::CredentialsError;

    use super::{Arc, Child, Ordering, Stage, thread};

    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Runs a future on this thread.
    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    }

    pub(super) fn during_the_refresh() {
        let stage = Stage::new();
        let credentials = &stage.credentials;
        stage.gate.closed.store(true, Ordering::SeqCst);
        let mut begun = pin!(credentials.provide_credentials());
        let mut context = Context::from_waker(Waker::noop());
        assert!(begun.as_mut().poll(&mut context).is_pending());
        stage.arrived.recv().unwrap();
        Child::fork(|_| {
            let Poll::Ready(Err(error)) = begun.as_mut().poll(&mut context) else {
                panic!("the future waits for a thread of the parent");
            };
            assert!(matches!(error, CredentialsError::Unhandled(_)), "{error:?}");
            block_on(credentials.provide_credentials()).unwrap();
            assert_eq!(stage.calls(), 1);
        })
        .join();
        stage.release.send(()).unwrap();
        block_on(begun).unwrap();
    }
}
