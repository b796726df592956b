//! `persist_credentials`: the next process uses stored credentials if nothing differs.

mod early_refresh;
mod misses;
mod storage_calls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Credentials, IdentityOrigin, MemoryStorage, Storage,
};

use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, ROLE, Stage, seconds};

const OTHER_POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000bb";
const RECORD: &str = "credentials/us-east-1:00000000-0000-4000-8000-0000000000aa";

/// The time, the storage and the service of one device.
struct Device {
    clock: ManualClock,
    cognito: FakeCognito,
    storage: Arc<MemoryStorage>,
}

impl Device {
    fn new() -> Self {
        Self::on(ManualClock::new())
    }

    fn on(clock: ManualClock) -> Self {
        let cognito = FakeCognito::with_clock(clock.clone());
        for (provider, token, user) in
            [(PROVIDER, "token", "ann"), ("other", "token", "ann"), (PROVIDER, "of-bob", "bob")]
        {
            cognito.accept_login(provider, token, user);
        }
        cognito.add_pool(OTHER_POOL);
        Self { clock, cognito, storage: Arc::default() }
    }

    /// A new process of this device.
    fn process(&self, settings: impl FnOnce(Builder) -> Builder) -> CognitoIdentityCredentials {
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(self.cognito.clone())
            .clock(self.clock.clone())
            .storage(self.storage.clone())
            .persist_credentials(true);
        settings(builder).build().unwrap()
    }

    fn guest(&self) -> CognitoIdentityCredentials {
        self.process(|builder| builder)
    }

    fn calls(&self) -> usize {
        self.cognito.requests().len()
    }

    /// What `get` returns, and whether the service was called for it.
    fn get(&self, credentials: &CognitoIdentityCredentials) -> (Credentials, bool) {
        let calls = self.calls();
        let set = credentials.get().unwrap();
        (set, self.calls() > calls)
    }
}

fn ann(builder: Builder) -> Builder {
    builder.login_id("ann").login(PROVIDER, "token")
}

#[test]
fn the_next_process_uses_stored_credentials_without_a_call_or_a_login_token() {
    type Settings = fn(Builder, &Arc<AtomicUsize>, &FakeCognito) -> Builder;
    let flows: [(&str, Settings); 5] = [
        ("a guest", |builder, _, _| builder),
        ("a token source", |builder, calls, _| {
            let calls = calls.clone();
            builder.login_id("ann").login_from(PROVIDER, move || {
                calls.fetch_add(1, Ordering::Relaxed);
                Ok("token".to_owned())
            })
        }),
        ("the classic flow", |builder, _, _| builder.role_arn(ROLE)),
        ("a custom role of a user", |builder, _, _| ann(builder).custom_role_arn(ROLE)),
        ("a developer identity", |builder, calls, cognito| {
            let (calls, cognito) = (calls.clone(), cognito.clone());
            builder.login_id("ann").developer_identity(move || {
                calls.fetch_add(1, Ordering::Relaxed);
                Ok(cognito.developer_identity(POOL, "ann"))
            })
        }),
    ];
    for (what, settings) in flows {
        let (device, source_calls) = (Device::new(), Arc::new(AtomicUsize::new(0)));
        let process =
            || device.process(|builder| settings(builder, &source_calls, &device.cognito));
        let first = process();
        let (set, called) = device.get(&first);
        assert!(called && first.data().is_some(), "{what}");
        let source_calls_before = source_calls.load(Ordering::Relaxed);
        device.clock.advance(seconds(100));

        let changes = Arc::new(AtomicUsize::new(0));
        let counted = changes.clone();
        let next = device.process(|builder| {
            settings(builder, &source_calls, &device.cognito).on_identity_change(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
            })
        });
        assert!(next.needs_refresh() && next.cached().is_none(), "`build` reads no credentials");
        assert_eq!(next.service_time(), None);
        assert_eq!(device.get(&next), (set.clone(), false), "{what}");
        let calls = source_calls.load(Ordering::Relaxed);
        assert_eq!(calls, source_calls_before, "{what}: no login token is needed");
        assert_eq!(next.data(), None, "{what}");
        let status = next.status();
        assert_eq!(status.expires_in, Some(seconds(3500)), "{what}");
        assert_eq!(status.identity_id.as_deref(), set.identity_id(), "{what}");
        assert_eq!(status.identity_origin, Some(IdentityOrigin::Stored), "{what}");
        assert_eq!(next.service_time(), first.service_time(), "{what}");
        assert_eq!(changes.load(Ordering::Relaxed), 0, "{what}: the identity is the stored one");

        // The next process refreshes the credentials when they expire, for the same identity.
        device.clock.advance(seconds(3490));
        let (refreshed, called) = device.get(&next);
        assert!(called && refreshed != set, "{what}");
        assert_eq!(refreshed.identity_id(), set.identity_id(), "{what}");
        assert_eq!(changes.load(Ordering::Relaxed), 0, "{what}");
        assert!(next.data().is_some(), "{what}");
        assert_eq!(device.get(&process()), (refreshed, false), "{what}");
    }
}

#[test]
fn a_given_identity_uses_its_own_stored_credentials() {
    let device = Device::new();
    let (set, _) = device.get(&device.guest());
    let given = || device.process(|builder| builder.identity_id(set.identity_id().unwrap()));
    let next = given();
    assert_eq!(device.get(&next), (set.clone(), false));
    assert_eq!(next.status().identity_origin, Some(IdentityOrigin::Given));
    // This works without a record of the identity.
    device.storage.remove(&format!("identity/{POOL}")).unwrap();
    assert_eq!(device.get(&given()), (set.clone(), false));
}

#[test]
fn without_the_setting_nothing_is_stored_or_loaded() {
    let device = Device::new();
    let plain = |persist| device.process(|builder| builder.persist_credentials(persist));
    let (set, _) = device.get(&plain(false));
    assert_eq!(format!("{:?}", device.storage), format!("MemoryStorage {{\"identity/{POOL}\"}}"));
    let (stored, called) = device.get(&plain(true));
    assert!(called && stored != set);
    assert!(device.get(&plain(false)).1);
    assert_eq!(device.get(&plain(true)), (stored, false));

    let storage = Arc::new(MemoryStorage::new());
    Stage::with(|builder| builder.storage(storage.clone())).credentials.get().unwrap();
    assert_eq!(storage.load(RECORD).unwrap(), None, "the default is off");
}

/// A clock without a boot ID: it does not know whether the system has restarted.
pub(crate) struct NoBootId(pub(crate) ManualClock);

impl Clock for NoBootId {
    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    fn boot(&self) -> Duration {
        self.0.boot()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

#[test]
fn without_a_boot_id_nothing_is_stored_or_loaded() {
    let device = Device::new();
    let process = || device.process(|builder| builder.clock(NoBootId(device.clock.clone())));
    let (set, _) = device.get(&process());
    assert_eq!(device.storage.load(RECORD).unwrap(), None);
    assert!(device.get(&device.guest()).1);
    let (other, called) = device.get(&process());
    assert!(called && other != set);
}

/// Every combination of the wall clock at the refresh and in the next process. If the credentials
/// have expired by the wall clock, the next process tries a refresh first.
#[test]
fn no_wall_clock_extends_or_ends_stored_credentials() {
    let years = |year: u64| SystemTime::UNIX_EPOCH + seconds((year - 1970) * 31_556_952);
    for before in [1970, 2026, 2090] {
        for after in [1970, 2026, 2090] {
            let what = format!("from {before} to {after}");
            let device = Device::on(ManualClock::at(years(before)));
            device.cognito.set_time(years(2026));
            let (set, _) = device.get(&device.guest());
            device.clock.advance(seconds(1000));
            device.clock.set_wall(years(after));
            let expired_by_wall_clock = after > before;
            if expired_by_wall_clock {
                device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
            }
            let next = device.guest();
            assert_eq!(device.get(&next), (set.clone(), expired_by_wall_clock), "{what}");
            assert_eq!(next.service_time(), Some(years(2026) + seconds(1000)), "{what}");
            device.clock.advance(seconds(2600));
            device.clock.set_wall(years(after));
            let (other, called) = device.get(&device.guest());
            assert!(called && other != set, "{what}: the stored credentials have expired");
        }
    }
}

/// If the boot clock stops in suspend, stored credentials are used only if the wall clock agrees.
#[test]
fn stored_credentials_also_expire_during_suspend() {
    struct Event {
        name: &'static str,
        happen: fn(&ManualClock),
        are_used: bool,
    }
    let suspend = [
        Event { name: "nothing", happen: |_| {}, are_used: true },
        Event { name: "a short suspend", happen: |c| c.suspend(seconds(1000)), are_used: true },
        Event { name: "a long suspend", happen: |c| c.suspend(seconds(3000)), are_used: false },
    ];
    let set_back = [
        Event { name: "4 s", happen: |c| c.set_wall(c.wall() - seconds(4)), are_used: true },
        Event { name: "10 s", happen: |c| c.set_wall(c.wall() - seconds(10)), are_used: false },
        Event { name: "1970", happen: |c| c.set_wall(SystemTime::UNIX_EPOCH), are_used: false },
    ];
    let running = suspend.iter().map(|event| (event, false));
    let stopping = suspend.iter().chain(&set_back).map(|event| (event, true));
    for (Event { name, happen, are_used }, stops_in_suspend) in running.chain(stopping) {
        let clock = ManualClock::new();
        let device = Device::on(if stops_in_suspend { clock.stopping_in_suspend() } else { clock });
        let (set, _) = device.get(&device.guest());
        device.clock.advance(seconds(1000));
        happen(&device.clock);
        let (other, called) = device.get(&device.guest());
        let case = format!("{name}, stops in suspend: {stops_in_suspend}");
        assert_eq!((other == set, called), (*are_used, !are_used), "{case}");
    }
}

#[test]
fn a_refresh_calls_the_service_and_stores_the_result_for_the_next_process() {
    let device = Device::new();
    let first = device.guest();
    let (set, _) = device.get(&first);
    for credentials in [first, device.guest()] {
        device.clock.advance(seconds(1));
        let calls = device.calls();
        let new = credentials.refresh().unwrap();
        assert!(device.calls() > calls && new != set);
        assert_eq!(device.get(&device.guest()), (new, false));
    }
}

/// If a machine slept or was restored from a snapshot, only its wall clock may show it.
#[test]
fn a_wall_clock_jump_causes_one_refresh_for_all_later_processes() {
    let device = Device::new();
    let (set, _) = device.get(&device.guest());
    device.clock.set_wall(device.clock.wall() + seconds(7 * 24 * 3600));
    let (new, called) = device.get(&device.guest());
    assert!(called && new != set);
    assert_eq!(device.get(&device.guest()), (new, false));
}

#[test]
fn persist_credentials_without_what_it_needs_is_a_build_error() {
    let device = Device::new();
    let build = |settings: fn(Builder) -> Builder| {
        let builder = CognitoIdentityCredentials::builder()
            .transport(device.cognito.clone())
            .persist_credentials(true);
        settings(builder).build().map(drop).map_err(|error| error.to_string())
    };
    let user = "persist_credentials: needs login_id where there are logins or a developer_identity \
                (without it, one user could get another's credentials)";
    let rows: [(fn(Builder) -> Builder, Option<&str>); 6] = [
        (
            |b| b.identity_pool_id(POOL),
            Some("persist_credentials: needs storage, where the credentials are kept"),
        ),
        (
            |b| b.identity_id(IDENTITY).storage(MemoryStorage::new()),
            Some(
                "storage: needs identity_pool_id: the identity is stored under the pool's ID; \
                 persist_credentials: needs identity_pool_id: credentials are stored under the pool's ID",
            ),
        ),
        (
            |b| b.identity_pool_id(POOL).storage(MemoryStorage::new()).login(PROVIDER, "token"),
            Some(user),
        ),
        (
            |b| {
                let cognito = FakeCognito::new();
                b.identity_pool_id(POOL)
                    .storage(MemoryStorage::new())
                    .developer_identity(move || Ok(cognito.developer_identity(POOL, "a")))
            },
            Some(user),
        ),
        (|b| b.identity_pool_id(POOL).storage(MemoryStorage::new()), None),
        (|b| b.identity_pool_id(POOL).persist_credentials(false), None),
    ];
    for (settings, fault) in rows {
        assert_eq!(build(settings).err().as_deref(), fault);
    }
}

/// The stored time is older than the time that this process has seen itself.
#[test]
fn service_time_is_the_one_seen_last() {
    let device = Device::new();
    let (first, other) = (device.guest(), device.guest());
    let (set, _) = device.get(&other);
    device.clock.advance(seconds(10));
    first.refresh().unwrap();
    device.clock.advance(seconds(10));
    device.cognito.set_time(device.clock.wall() + seconds(500));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    other.refresh().unwrap_err();
    other.set_login("x", "y"); // ends the cooldown
    other.remove_login("x");
    other.invalidate(set.access_key_id());
    assert!(!device.get(&other).1);
    assert_eq!(other.service_time(), Some(device.clock.wall() + seconds(500)));
}

#[test]
fn reboot_gives_a_manual_clock_another_boot_id() {
    let clock = Arc::new(ManualClock::new());
    let before = (clock.boot_id().unwrap(), clock.wall());
    clock.advance(seconds(600));
    assert_eq!(ManualClock::clone(&clock).boot_id().unwrap(), before.0);
    clock.reboot();
    assert_ne!(clock.boot_id().unwrap(), before.0);
    assert_eq!((clock.boot(), clock.wall()), (seconds(1), before.1 + seconds(600)));
    assert_ne!(ManualClock::new().boot_id(), clock.boot_id());
    assert_eq!(NoBootId(ManualClock::new()).boot_id(), None, "the default is no boot ID");
}
