//! Credentials that are kept for the next process: served again where all is the same, and nowhere
//! else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{HttpRequest, Transport};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Credentials, ErrorKind, FileStorage,
    IdentityOrigin, Logins, MemoryStorage, Storage, StorageLock,
};

use crate::classic::ROLE;
use crate::secrets::{logged, record_log};
use crate::support::{GET_CREDENTIALS, Gate, IDENTITY, POOL, PROVIDER, operation, seconds};

const OTHER_POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000bb";
const OTHER_ROLE: &str = "arn:aws:iam::123456789012:role/other";
const RECORD: &str = "credentials/us-east-1:00000000-0000-4000-8000-0000000000aa";

/// One device: its time, its storage and the service.
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

    /// A process that begins now.
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
fn a_stored_set_serves_the_next_process_without_a_call_or_a_token() {
    type Settings = fn(Builder, &Arc<AtomicUsize>, &FakeCognito) -> Builder;
    let flows: [(&str, Settings); 5] = [
        ("a guest", |builder, _, _| builder),
        ("a source", |builder, asked, _| {
            let asked = asked.clone();
            builder.login_id("ann").login_from(PROVIDER, move || {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok("token".to_owned())
            })
        }),
        ("the classic flow", |builder, _, _| builder.role_arn(ROLE)),
        ("a role of the user's", |builder, _, _| ann(builder).custom_role_arn(ROLE)),
        ("a backend", |builder, asked, cognito| {
            let (asked, cognito) = (asked.clone(), cognito.clone());
            builder.login_id("ann").developer_identity(move || {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(cognito.developer_identity(POOL, "ann"))
            })
        }),
    ];
    for (what, settings) in flows {
        let (device, asked) = (Device::new(), Arc::new(AtomicUsize::new(0)));
        let process = || device.process(|builder| settings(builder, &asked, &device.cognito));
        let first = process();
        let (set, called) = device.get(&first);
        assert!(called && first.data().is_some(), "{what}");
        let asked_before = asked.load(Ordering::Relaxed);
        device.clock.advance(seconds(100));

        let told = Arc::new(AtomicUsize::new(0));
        let inner = told.clone();
        let next = device.process(|builder| {
            settings(builder, &asked, &device.cognito).on_identity_change(move |_| {
                inner.fetch_add(1, Ordering::Relaxed);
            })
        });
        assert!(
            next.needs_refresh() && next.cached().is_none(),
            "nothing is read before it is due"
        );
        assert_eq!(next.service_time(), None);
        assert_eq!(device.get(&next), (set.clone(), false), "{what}");
        assert_eq!(asked.load(Ordering::Relaxed), asked_before, "{what}: no token was asked for");
        assert_eq!(next.data(), None, "{what}");
        let status = next.status();
        assert_eq!(status.expires_in, Some(seconds(3500)), "{what}");
        assert_eq!(status.identity_id.as_deref(), set.identity_id(), "{what}");
        assert_eq!(status.identity_origin, Some(IdentityOrigin::Stored), "{what}");
        assert_eq!(next.service_time(), first.service_time(), "{what}");
        assert_eq!(told.load(Ordering::Relaxed), 0, "{what}: an identity found again is no change");

        // It is the same set in every respect: it is renewed when its time comes, and by then the
        // backend names the same identity.
        device.clock.advance(seconds(3490));
        let (renewed, called) = device.get(&next);
        assert!(called && renewed != set, "{what}");
        assert_eq!(renewed.identity_id(), set.identity_id(), "{what}");
        assert_eq!(told.load(Ordering::Relaxed), 0, "{what}");
        assert!(next.data().is_some(), "{what}");
        assert_eq!(device.get(&process()), (renewed, false), "{what}");
    }
}

#[test]
fn a_given_identity_is_served_with_its_own_set() {
    let device = Device::new();
    let (set, _) = device.get(&device.guest());
    let given = || device.process(|builder| builder.identity_id(set.identity_id().unwrap()));
    let next = given();
    assert_eq!(device.get(&next), (set.clone(), false));
    assert_eq!(next.status().identity_origin, Some(IdentityOrigin::Given));
    // It needs no record of the identity.
    device.storage.remove(&format!("identity/{POOL}")).unwrap();
    assert_eq!(device.get(&given()), (set.clone(), false));
}

#[test]
fn without_the_setting_nothing_is_stored_or_loaded() {
    let device = Device::new();
    let plain = |persist| device.process(|builder| builder.persist_credentials(persist));
    let (set, _) = device.get(&plain(false));
    assert_eq!(format!("{:?}", device.storage), format!("MemoryStorage {{\"identity/{POOL}\"}}"));
    let (kept, called) = device.get(&plain(true));
    assert!(called && kept != set);
    assert!(device.get(&plain(false)).1);
    assert_eq!(device.get(&plain(true)), (kept, false));

    let device = Device::new();
    let default = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(device.cognito.clone())
        .clock(device.clock.clone())
        .storage(device.storage.clone());
    default.build().unwrap().get().unwrap();
    assert_eq!(device.storage.load(RECORD).unwrap(), None, "it is off unless asked for");
}

/// A clock that cannot tell one run of the system from another.
struct NoBootId(ManualClock);

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

/// A storage that confuses credentials, whatever their key.
#[derive(Default)]
struct OneRecord(MemoryStorage);

impl OneRecord {
    fn key(key: &str) -> &str {
        if key.starts_with("credentials/") { "credentials" } else { key }
    }
}

impl Storage for OneRecord {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.load(Self::key(key))
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.0.store(Self::key(key), value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.0.remove(Self::key(key))
    }
}

/// Its identity is not known before it is asked.
#[test]
fn a_backends_user_gets_no_other_users_set() {
    let rows: [(&str, fn(Builder) -> Builder); 3] = [
        ("the same", |builder| builder),
        ("another user", |builder| builder.login_id("bob")),
        ("another pool", |builder| builder.identity_pool_id(OTHER_POOL)),
    ];
    for (what, change) in rows {
        let device = Device::new();
        let storage = Arc::new(OneRecord::default());
        let process = |change: fn(Builder) -> Builder| {
            let cognito = device.cognito.clone();
            device.process(|builder| {
                let builder = builder.storage(storage.clone()).login_id("ann");
                change(builder)
                    .developer_identity(move || Ok(cognito.developer_identity(POOL, "ann")))
            })
        };
        let (set, _) = device.get(&process(|builder| builder));
        let (other, called) = device.get(&process(change));
        assert_eq!((other == set, called), (what == "the same", what != "the same"), "{what}");
    }
}

/// What the first process has, what the second has, and what happens in between. Whatever differs,
/// the set of the first is not the second's.
#[test]
fn whatever_differs_is_a_miss() {
    type Change = fn(Builder) -> Builder;
    let same: Change = |builder| builder;
    let role: Change = |builder| ann(builder).role_arn(ROLE);
    let settings: [(&str, Change, Change); 26] = [
        ("another user", ann, |b| ann(b).login_id("bob")),
        ("a user instead of a guest", same, ann),
        ("a guest instead of a user", ann, |b| b.login_id("ann")),
        ("a guest with a login ID", same, |b| b.login_id("ann")),
        ("another provider", ann, |b| b.login_id("ann").login("other", "token")),
        ("one more provider", ann, |b| ann(b).login("other", "token")),
        ("one provider less", |b| ann(b).login("other", "token"), ann),
        ("another pool", same, |b| b.identity_pool_id(OTHER_POOL)),
        ("a role", ann, role),
        ("no role", role, ann),
        ("another role", role, |b| ann(b).role_arn(OTHER_ROLE)),
        ("the classic flow", |b| ann(b).custom_role_arn(ROLE), role),
        ("a custom role", ann, |b| ann(b).custom_role_arn(ROLE)),
        (
            "another custom role",
            |b| ann(b).custom_role_arn(ROLE),
            |b| ann(b).custom_role_arn(OTHER_ROLE),
        ),
        ("another session name", role, |b| ann(b).role_arn(ROLE).role_session_name("other")),
        ("a policy", role, |b| ann(b).role_arn(ROLE).policy("{}")),
        ("policy ARNs", role, |b| ann(b).role_arn(ROLE).policy_arns([OTHER_ROLE])),
        ("a provider ID", role, |b| ann(b).role_arn(ROLE).provider_id("www.amazon.com")),
        ("a duration", role, |b| ann(b).role_arn(ROLE).duration(seconds(3600))),
        ("another endpoint of STS", role, |b| {
            ann(b).role_arn(ROLE).sts_endpoint_url("https://localhost")
        }),
        ("another endpoint", same, |b| b.endpoint_url("https://localhost")),
        ("FIPS", same, |b| b.use_fips(true)),
        ("dual stack", role, |b| ann(b).role_arn(ROLE).use_dual_stack(true)),
        (
            "a backend",
            |b| b.login_id("ann"),
            |b| {
                let cognito = FakeCognito::new();
                b.login_id("ann")
                    .developer_identity(move || Ok(cognito.developer_identity(POOL, "a")))
            },
        ),
        ("another given identity", same, |b| b.identity_id(IDENTITY)),
        ("a shorter life than the window", same, |b| b.expiry_window(seconds(3600))),
    ];
    for (what, first, second) in settings {
        let device = Device::new();
        let storage = Arc::new(OneRecord::default());
        let process =
            |change: Change| device.process(|builder| change(builder.storage(storage.clone())));
        let (set, _) = device.get(&process(first));
        assert_eq!(device.get(&process(first)), (set.clone(), false), "{what}: the control");
        let calls = device.calls();
        match process(second).get() {
            Ok(other) => assert_ne!(other, set, "{what}"),
            // This backend is of another service, and this identity of no service.
            Err(error) => assert!(what.contains("backend") || what.contains("given"), "{error:#}"),
        }
        assert!(device.calls() > calls, "{what}");
    }

    let events: [(&str, fn(&Device)); 8] = [
        ("another run of the system", |device| device.clock.reboot()),
        ("another run of the system, as long after its start", |device| {
            let boot = device.clock.boot();
            device.clock.reboot();
            device.clock.advance(boot);
        }),
        ("its end", |device| device.clock.advance(seconds(3600))),
        ("the window before its end", |device| device.clock.advance(seconds(3585))),
        ("a lost identity", |device| device.storage.remove(&format!("identity/{POOL}")).unwrap()),
        ("another identity", |device| {
            let other = device.process(|builder| builder.storage(MemoryStorage::new()));
            let set = other.get().unwrap();
            let identity = set.identity_id().unwrap();
            let record = format!(r#"{{"version":1,"identity_id":"{identity}","providers":[]}}"#);
            device.storage.store(&format!("identity/{POOL}"), record.as_bytes()).unwrap();
        }),
        ("a lost record", |device| device.storage.remove(RECORD).unwrap()),
        ("a damaged record", |device| {
            let record = device.storage.load(RECORD).unwrap().unwrap();
            device.storage.store(RECORD, &record[1..]).unwrap();
        }),
    ];
    for (what, event) in events {
        let device = Device::new();
        let (set, _) = device.get(&device.guest());
        event(&device);
        let (other, called) = device.get(&device.guest());
        assert!(called && other != set, "{what}");
        assert_eq!(device.get(&device.guest()), (other, false), "{what}: and is replaced");
    }
    let device = Device::new();
    let (set, _) = device.get(&device.guest());
    device.clock.advance(seconds(3584));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    assert_eq!(device.get(&device.guest()), (set, true), "a second before the window");
}

#[test]
fn without_a_boot_id_nothing_is_stored_or_loaded() {
    let device = Device::new();
    let blind = || device.process(|builder| builder.clock(NoBootId(device.clock.clone())));
    let (set, _) = device.get(&blind());
    assert_eq!(device.storage.load(RECORD).unwrap(), None);
    assert!(device.get(&device.guest()).1);
    let (other, called) = device.get(&blind());
    assert!(called && other != set);
}

/// The wall clock at the fetch and at the next process, in every combination: it ends nothing and
/// revives nothing. Where it says "over", there is an attempt first.
#[test]
fn no_wall_clock_revives_or_ends_what_is_stored() {
    let years = |year: u64| SystemTime::UNIX_EPOCH + seconds((year - 1970) * 31_556_952);
    for before in [1970, 2026, 2090] {
        for after in [1970, 2026, 2090] {
            let what = format!("from {before} to {after}");
            let device = Device::on(ManualClock::at(years(before)));
            device.cognito.set_time(years(2026));
            let (set, _) = device.get(&device.guest());
            device.clock.advance(seconds(1000));
            device.clock.set_wall(years(after));
            let over = after > before;
            if over {
                device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
            }
            let next = device.guest();
            assert_eq!(device.get(&next), (set.clone(), over), "{what}");
            assert_eq!(next.service_time(), Some(years(2026) + seconds(1000)), "{what}");
            device.clock.advance(seconds(2600));
            device.clock.set_wall(years(after));
            let (other, called) = device.get(&device.guest());
            assert!(called && other != set, "{what}: its time was over");
        }
    }
}

/// Where the boot clock stops in suspend, the wall clock must agree.
#[test]
fn time_spent_suspended_counts_on_every_clock() {
    let rows: [(&str, bool, fn(&ManualClock), bool); 9] = [
        ("nothing", true, |_| {}, true),
        ("suspended for a while", true, |clock| clock.suspend(seconds(1000)), true),
        ("suspended beyond its end", true, |clock| clock.suspend(seconds(3000)), false),
        ("nothing", false, |_| {}, true),
        ("suspended for a while", false, |clock| clock.suspend(seconds(1000)), true),
        ("suspended beyond its end", false, |clock| clock.suspend(seconds(3000)), false),
        ("set back a little", false, |clock| clock.set_wall(clock.wall() - seconds(4)), true),
        ("set back", false, |clock| clock.set_wall(clock.wall() - seconds(10)), false),
        ("set back to 1970", false, |clock| clock.set_wall(SystemTime::UNIX_EPOCH), false),
    ];
    for (what, counts, event, served) in rows {
        let clock = ManualClock::new();
        let device = Device::on(if counts { clock } else { clock.stopping_in_suspend() });
        let (set, _) = device.get(&device.guest());
        device.clock.advance(seconds(1000));
        event(&device.clock);
        let (other, called) = device.get(&device.guest());
        assert_eq!((other == set, called), (served, !served), "{what}, counts: {counts}");
    }
}

#[test]
fn expired_or_invalidated_credentials_are_not_loaded_again() {
    let device = Device::new();
    let (first, other) = (device.guest(), device.guest());
    let (set, _) = device.get(&first);
    device.clock.advance(seconds(1));
    assert_eq!(device.get(&other), (set.clone(), false));
    device.clock.advance(seconds(1));

    first.invalidate(set.access_key_id());
    let (second, called) = device.get(&first);
    assert!(called && second != set);
    device.clock.advance(seconds(1));
    // Another has replaced it meanwhile.
    other.invalidate(set.access_key_id());
    assert_eq!(device.get(&other), (second.clone(), false));
    device.clock.advance(seconds(1));

    first.expire();
    device.clock.advance(seconds(1));
    let (third, called) = device.get(&first);
    assert!(called && third != second);
    device.clock.advance(seconds(1));
    // It cannot know that the one in the storage is newer than what it was told about.
    other.expire();
    let (fourth, called) = device.get(&other);
    assert!(called && fourth != third);

    let unused = device.guest();
    unused.expire();
    device.cognito.fail_next(GET_CREDENTIALS, 8, Fault::timeout());
    for _ in 0..2 {
        device.clock.advance(seconds(60));
        unused.get().unwrap_err();
    }
    assert_eq!(unused.cached(), None, "not even after a failure");
    let (fifth, _) = device.get(&first);
    assert_eq!(fifth, third);
    first.refresh().unwrap();
    let (sixth, _) = device.get(&first);
    assert_eq!(device.get(&unused), (sixth, false), "a newer one may");
}

#[test]
fn a_refresh_asks_the_service_and_the_next_process_has_what_it_brings() {
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

#[test]
fn an_advisory_attempt_loads_what_another_process_has_stored() {
    let device = Device::new();
    let (first, other) = (device.guest(), device.guest());
    let (set, _) = device.get(&first);
    device.get(&other);
    device.clock.advance(seconds(2699));
    assert_eq!(device.get(&other), (set.clone(), false));
    device.clock.advance(seconds(2));
    let calls = device.calls();
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    let late = device.guest();
    assert_eq!(device.get(&late), (set.clone(), true), "who has nothing tries first, and takes it");
    assert_eq!(device.calls(), calls + 1, "once");
    assert!(!late.needs_refresh());
    let (second, called) = device.get(&first);
    assert!(called && second != set, "the stored one is in its window too");
    assert_eq!(device.get(&other), (second.clone(), false));
    assert_eq!(device.get(&other), (second.clone(), false), "it is fresh");

    // Newer than what is held, but in its own window.
    device.clock.advance(seconds(100));
    let newer = device.guest();
    newer.refresh().unwrap();
    device.clock.advance(seconds(2750));
    let (third, called) = device.get(&other);
    assert!(called && third != second);
}

#[test]
fn an_advisory_attempt_that_fails_leaves_what_there_was() {
    let device = Device::new();
    let first = device.guest();
    let (set, _) = device.get(&first);
    device.clock.advance(seconds(2800));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    assert_eq!(device.get(&first), (set.clone(), true));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    assert_eq!(device.get(&device.guest()), (set.clone(), true), "whatever failed");
    let (new, called) = device.get(&device.guest());
    assert!(called && new != set);
    assert_eq!(device.get(&device.guest()), (new, false));
}

/// A machine that was asleep or put back to an earlier state may have a boot clock that knows nothing
/// of it.
#[test]
fn a_wall_clock_that_jumped_costs_the_processes_after_it_one_fetch() {
    let device = Device::new();
    let (set, _) = device.get(&device.guest());
    device.clock.set_wall(device.clock.wall() + seconds(7 * 24 * 3600));
    let (new, called) = device.get(&device.guest());
    assert!(called && new != set);
    assert_eq!(device.get(&device.guest()), (new, false));
}

/// Where the wall clock says "over", the next set must have a better word of it.
#[test]
fn an_advisory_attempt_takes_nothing_that_the_wall_clock_ends_too() {
    let device = Device::new();
    let (first, other) = (device.guest(), device.guest());
    device.get(&first);
    device.get(&other);
    device.clock.advance(seconds(1));
    first.refresh().unwrap();
    device.clock.set_wall(device.clock.wall() + seconds(1_000_000));
    device.clock.advance(seconds(1));
    assert!(device.get(&other).1);
}

#[test]
fn contradictions_are_build_errors() {
    let device = Device::new();
    let build = |settings: fn(Builder) -> Builder| {
        let builder = CognitoIdentityCredentials::builder()
            .transport(device.cognito.clone())
            .persist_credentials(true);
        settings(builder).build().map(drop).map_err(|error| error.to_string())
    };
    let user = "persist_credentials: needs login_id where there are logins or a developer_identity \
                (without it, one user could get another's credentials)";
    let rows: [(fn(Builder) -> Builder, Option<String>); 6] = [
        (
            |b| b.identity_pool_id(POOL),
            Some("persist_credentials: needs storage, where the credentials are kept".to_owned()),
        ),
        (
            |b| b.identity_id(IDENTITY).storage(MemoryStorage::new()),
            Some(
                "storage: needs identity_pool_id: the identity is stored under the pool's ID; \
                 persist_credentials: needs identity_pool_id: credentials are stored under the pool's ID"
                    .to_owned(),
            ),
        ),
        (
            |b| b.identity_pool_id(POOL).storage(MemoryStorage::new()).login(PROVIDER, "token"),
            Some(user.to_owned()),
        ),
        (
            |b| {
                let cognito = FakeCognito::new();
                b.identity_pool_id(POOL)
                    .storage(MemoryStorage::new())
                    .developer_identity(move || Ok(cognito.developer_identity(POOL, "a")))
            },
            Some(user.to_owned()),
        ),
        (|b| b.identity_pool_id(POOL).storage(MemoryStorage::new()), None),
        (|b| b.identity_pool_id(POOL).persist_credentials(false), None),
    ];
    for (settings, fault) in rows {
        assert_eq!(build(settings).err(), fault);
    }
}

#[test]
fn logins_that_come_later_without_a_login_id_neither_read_nor_write() {
    record_log();
    let device = Device::new();
    let guest = device.guest();
    let (set, _) = device.get(&guest);
    let record = device.storage.load(RECORD).unwrap().unwrap();
    let changes: [fn(&CognitoIdentityCredentials); 2] = [
        |provider| provider.set_login(PROVIDER, "of-bob"),
        |provider| provider.set_logins(Logins::new().with(PROVIDER, "of-bob")),
    ];
    for change in changes {
        let late = device.guest();
        let told =
            || logged().matches("no credentials are stored or reused: there are logins").count();
        let told_before = told();
        change(&late);
        device.clock.advance(seconds(1));
        let (bobs, called) = device.get(&late);
        assert!(called && bobs != set);
        assert_eq!(device.storage.load(RECORD).unwrap().unwrap(), record, "the guest's is there");
        late.refresh().unwrap();
        assert_eq!(told(), told_before + 1, "and it is told once");
        device.clock.advance(seconds(1));
        late.remove_login(PROVIDER);
        late.expire();
        let (again, called) = device.get(&late);
        assert!(called && again != bobs, "a guest again, after an expire()");
        assert_ne!(device.storage.load(RECORD).unwrap().unwrap(), record, "who stores again");
        device.storage.store(RECORD, &record).unwrap();
    }
}

/// The settings change, or the set is called off, while it is on its way: it is not stored.
#[test]
fn what_is_out_of_date_when_it_comes_is_not_stored() {
    let changes: [(&str, fn(&CognitoIdentityCredentials)); 4] = [
        ("expire", |credentials| credentials.expire()),
        ("a login", |credentials| credentials.set_login(PROVIDER, "token")),
        ("an identity", |credentials| credentials.set_identity_id(IDENTITY).unwrap()),
        ("clearing", |credentials| credentials.clear_cached_id()),
    ];
    for (what, change) in changes {
        let device = Device::new();
        let (gate, keeper) = Gate::before(device.cognito.clone());
        let storage = Arc::new(Moody::default());
        let credentials =
            device.process(|builder| builder.transport(gate).storage(storage.clone()));
        std::thread::scope(|scope| {
            let led = scope.spawn(|| credentials.get());
            keeper.await_request();
            change(&credentials);
            keeper.let_pass();
            led.join().unwrap().unwrap();
        });
        assert!(!storage.asked().contains(&"store credentials".to_owned()), "{what}");
    }
}

/// A storage in which something happens while it writes.
struct Eventful(MemoryStorage, Arc<OnceLock<CognitoIdentityCredentials>>);

impl Storage for Eventful {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        if let (Some(credentials), true) = (self.1.get(), key.starts_with("credentials")) {
            credentials.expire();
        }
        self.0.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.0.remove(key)
    }
}

#[test]
fn credentials_invalidated_while_they_are_stored_are_removed() {
    let (device, slot) = (Device::new(), Arc::new(OnceLock::new()));
    let storage = Arc::new(Eventful(MemoryStorage::new(), slot.clone()));
    let credentials = device.process(|builder| builder.storage(storage.clone()));
    device.get(&credentials);
    assert!(storage.load(RECORD).unwrap().is_some(), "the control");
    slot.set(credentials.clone()).ok().unwrap();
    credentials.refresh().unwrap();
    assert_eq!(storage.load(RECORD).unwrap(), None);
}

/// What this process has seen later itself is the better word.
#[test]
fn the_services_time_is_the_one_that_was_seen_last() {
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
fn clearing_the_identity_removes_the_record() {
    let device = Device::new();
    let credentials = device.guest();
    let (set, _) = device.get(&credentials);
    credentials.clear_cached_id();
    assert_eq!(format!("{:?}", device.storage), "MemoryStorage {}");
    let (other, called) = device.get(&device.guest());
    assert!(called && other.identity_id() != set.identity_id());
}

/// A storage of which some operations fail, and that notes what is asked of it.
#[derive(Default)]
struct Moody {
    inner: MemoryStorage,
    fails: Mutex<Vec<&'static str>>,
    asked: Mutex<Vec<String>>,
    locked: Arc<AtomicUsize>,
}

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Moody {
    fn ask(&self, what: &'static str, key: &str) -> io::Result<()> {
        let kind = key.split('/').next().unwrap();
        self.asked.lock().unwrap().push(format!("{what} {kind}"));
        if kind == "credentials" && self.fails.lock().unwrap().contains(&what) {
            return Err(io::Error::other("on strike"));
        }
        Ok(())
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.into_iter().filter(|asked| asked.ends_with("credentials")).collect()
    }
}

impl Storage for Moody {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.ask("load", key)?;
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.ask("store", key)?;
        self.inner.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.ask("remove", key)?;
        self.inner.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.ask("lock", key)?;
        self.asked.lock().unwrap().push(format!("for {wait:?} credentials"));
        self.locked.fetch_add(1, Ordering::SeqCst);
        Ok(Some(StorageLock::new(Held(self.locked.clone()))))
    }
}

#[test]
fn failures_of_the_storage_fail_nothing_and_are_logged_without_a_secret() {
    record_log();
    for fails in ["load", "store", "lock", "remove"] {
        let logged_before = logged().len();
        let device = Device::new();
        let storage = Arc::new(Moody::default());
        storage.fails.lock().unwrap().push(fails);
        let process = || device.process(|builder| builder.storage(storage.clone()));
        let first = process();
        let (set, _) = device.get(&first);
        let kept = matches!(fails, "lock" | "remove");
        let (next, called) = device.get(&process());
        assert_eq!((next == set, called), (kept, !kept), "{fails}");
        device.clock.advance(seconds(2));
        first.refresh().unwrap();
        first.clear_cached_id();
        device.clock.advance(seconds(2));
        first.expire();
        first.get().unwrap();
        assert_eq!(storage.locked.load(Ordering::SeqCst), 0, "{fails}: every lock is given back");
        let log = logged().split_off(logged_before);
        assert!(log.contains("on strike"), "{fails}: {log}");
        for secret in [set.secret_access_key(), set.session_token(), set.identity_id().unwrap()] {
            assert!(!log.contains(secret), "{fails}: {log}");
        }
    }
}

/// A record that could not be removed is not reused, not even for a backend's identity, which is not
/// known before it is asked.
#[test]
fn a_record_that_cannot_be_removed_does_not_come_back() {
    for developer in [false, true] {
        let device = Device::new();
        let storage = Arc::new(Moody::default());
        let process = || {
            device.process(|builder| {
                let builder = builder.storage(storage.clone());
                if !developer {
                    return builder;
                }
                let cognito = device.cognito.clone();
                builder
                    .login_id("ann")
                    .developer_identity(move || Ok(cognito.developer_identity(POOL, "ann")))
            })
        };
        let (set, _) = device.get(&process());
        storage.fails.lock().unwrap().push("remove");
        let next = process();
        next.clear_cached_id();
        let (other, called) = device.get(&next);
        assert!(called && other != set, "developer: {developer}");
    }
}

/// In this order: look, lock, look again, ask the service, store, give the lock back. Who must be new
/// waits for nobody, others for half of their time.
#[test]
fn one_load_locks_once_and_for_a_bounded_time() {
    let device = Device::new();
    let storage = Arc::new(Moody::default());
    let locked_at_call = Arc::new(Mutex::new(Vec::new()));
    let process = || {
        device.process(|builder| {
            let (cognito, locked) = (device.cognito.clone(), storage.locked.clone());
            let seen = locked_at_call.clone();
            builder.storage(storage.clone()).transport(move |request: &HttpRequest| {
                seen.lock().unwrap().push(locked.load(Ordering::SeqCst));
                cognito.send(request)
            })
        })
    };
    let first = process();
    first.get().unwrap();
    let whole =
        ["load", "lock", "for 30s", "load", "store"].map(|what| format!("{what} credentials"));
    assert_eq!(storage.asked(), whole);
    assert_eq!(*locked_at_call.lock().unwrap(), [1, 1], "GetId and GetCredentialsForIdentity");
    first.get().unwrap();
    assert_eq!(storage.asked(), [""; 0], "from memory");
    process().get().unwrap();
    assert_eq!(storage.asked(), ["load credentials"], "from the storage, without a lock");
    first.refresh().unwrap();
    let new = ["lock", "for 0ns", "load", "store"].map(|what| format!("{what} credentials"));
    assert_eq!(storage.asked(), new);
    device.clock.advance(seconds(2800));
    first.get().unwrap();
    assert_eq!(storage.asked()[2], "for 5s credentials", "attempt_timeout in all");
    device.clock.advance(seconds(3600));
    first.get_within(seconds(8)).unwrap();
    assert_eq!(storage.asked()[2], "for 4s credentials");
    assert_eq!(storage.locked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_panic_gives_the_lock_back() {
    let device = Device::new();
    let storage = Arc::new(Moody::default());
    let credentials = device.process(|builder| {
        builder.storage(storage.clone()).transport(|request: &HttpRequest| {
            panic!("a transport with a fault in {}", operation(request))
        })
    });
    catch_unwind(AssertUnwindSafe(|| credentials.get())).unwrap_err();
    assert_eq!(storage.locked.load(Ordering::SeqCst), 0);
    assert!(storage.asked().contains(&"lock credentials".to_owned()));
}

/// A storage whose code asks for credentials itself is told so, and no lock is held while it runs.
#[test]
fn a_storage_that_asks_for_credentials_is_reentrant() {
    struct Circular(Arc<OnceLock<CognitoIdentityCredentials>>, MemoryStorage);

    impl Storage for Circular {
        fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
            if let Some(credentials) = self.0.get() {
                assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Reentrant);
                assert_eq!((credentials.cached(), credentials.needs_refresh()), (None, true));
                credentials.set_login("x", "y");
                credentials.remove_login("x");
            }
            self.1.load(key)
        }

        fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
            self.1.store(key, value)
        }

        fn remove(&self, key: &str) -> io::Result<()> {
            self.1.remove(key)
        }

        fn lock(&self, key: &str, _: Duration) -> io::Result<Option<StorageLock>> {
            self.load(key).map(|_| None)
        }
    }

    let device = Device::new();
    let slot = Arc::new(OnceLock::new());
    let storage = Circular(slot.clone(), MemoryStorage::new());
    let credentials = device.process(|builder| builder.storage(storage));
    slot.set(credentials.clone()).ok().unwrap();
    credentials.get().unwrap();
}

#[cfg(unix)]
#[test]
fn records_in_files_are_their_owners_and_their_names_hold_no_secret() {
    use std::os::unix::fs::PermissionsExt;

    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("d");
    let device = Device::new();
    let process =
        || device.process(|builder| ann(builder).storage(Arc::new(FileStorage::new(&directory))));
    let (set, _) = device.get(&process());
    assert_eq!(device.get(&process()), (set.clone(), false));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode(), 0o100_600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let pool = POOL.replace(':', "%3A");
    let record = format!("credentials%2F{pool}%2Fann");
    assert_eq!(
        names,
        [record.clone(), format!("{record}.lock"), format!("identity%2F{pool}%2Fann")]
    );
    let text = std::fs::read_to_string(directory.join(&record)).unwrap();
    assert!(text.contains(set.session_token()), "this is the record");

    process().clear_cached_id();
    assert!(!directory.join(&record).exists());
}

#[test]
fn a_lock_prints_nothing_of_its_guard() {
    assert_eq!(format!("{:?}", StorageLock::new("SENTINEL")), "StorageLock { .. }");
    let lock = MemoryStorage::new().lock("k", seconds(60)).unwrap();
    assert!(lock.is_none(), "the default is no lock");
}

#[test]
fn a_manual_clock_that_is_started_again_is_another_run_of_the_system() {
    let clock = Arc::new(ManualClock::new());
    let before = (clock.boot_id().unwrap(), clock.wall());
    clock.advance(seconds(600));
    assert_eq!(ManualClock::clone(&clock).boot_id().unwrap(), before.0);
    clock.reboot();
    assert_ne!(clock.boot_id().unwrap(), before.0);
    assert_eq!((clock.boot(), clock.wall()), (seconds(1), before.1 + seconds(600)));
    assert_ne!(ManualClock::new().boot_id(), clock.boot_id());
    assert_eq!(NoBootId(ManualClock::new()).boot_id(), None, "the default is none");
}

#[test]
fn a_failed_early_refresh_of_stored_credentials_is_shown_and_begins_a_pause() {
    let device = Device::new();
    let stored = device.guest().get().unwrap();
    device.clock.advance(seconds(3000));
    let next = device.guest();
    let fault = Fault::throttled().with_header("Retry-After", "120");
    device.cognito.fail_next(GET_CREDENTIALS, 9, fault);
    assert_eq!(device.get(&next), (stored.clone(), true));
    let status = next.status();
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Throttled);
    assert!(status.next_attempt_in.is_some_and(|wait| wait >= seconds(120)));
    assert_eq!(device.get(&next), (stored, false));
}

/// A transport that takes 25 seconds to fail, and then works.
#[test]
fn stored_credentials_that_end_during_their_early_refresh_are_refreshed_with_all_the_time() {
    let device = Device::new();
    device.guest().get().unwrap();
    // 40 seconds are left.
    device.clock.advance(seconds(3560));
    let (cognito, clock, first) =
        (device.cognito.clone(), device.clock.clone(), AtomicUsize::new(0));
    let next = device.process(|builder| {
        builder.attempt_timeout(seconds(30)).transport(move |request: &HttpRequest| {
            if first.fetch_add(1, Ordering::Relaxed) == 0 {
                clock.advance(seconds(30));
                let kind = cognito_identity_credentials::transport::TransportErrorKind::Timeout;
                let error = io::Error::from(io::ErrorKind::TimedOut);
                return Err(cognito_identity_credentials::transport::TransportError::new(
                    kind, error,
                ));
            }
            cognito.send(request)
        })
    });
    next.get().unwrap();
    assert!(next.status().expires_in.unwrap() > seconds(3000), "new ones");
    let calls = device.calls();
    assert_eq!(device.guest().get().unwrap(), next.cached().unwrap());
    assert_eq!(device.calls(), calls, "and they are stored");
}
