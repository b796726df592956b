//! Stored credentials that must not be used: other settings, another user, expired or invalidated.

use std::io;
use std::sync::Arc;

use cognito_identity_credentials::testing::{FakeCognito, Fault, FaultyStorage};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Logins, MemoryStorage, Storage,
};

use super::{Device, OTHER_POOL, RECORD, ann};
use crate::secrets::{logged, record_log};
use crate::sharing::get_while;
use crate::storages::{Colliding, Hooked};
use crate::support::{GET_CREDENTIALS, Gate, IDENTITY, POOL, PROVIDER, ROLE, seconds};

const OTHER_ROLE: &str = "arn:aws:iam::123456789012:role/other";

/// A storage that returns the same credentials record for every key.
fn one_credentials_record() -> Arc<Colliding> {
    Arc::new(Colliding { records: Arc::default(), kinds: &["credentials"] })
}

/// The identity is unknown until the developer identity provider returns it.
#[test]
fn a_developer_identity_gets_no_other_users_credentials() {
    let rows: [(&str, fn(Builder) -> Builder); 3] = [
        ("the same user", |builder| builder),
        ("another user", |builder| builder.login_id("bob")),
        ("another pool", |builder| builder.identity_pool_id(OTHER_POOL)),
    ];
    for (what, change) in rows {
        let device = Device::new();
        let storage = one_credentials_record();
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
        let is_same = what == "the same user";
        assert_eq!((other == set, called), (is_same, !is_same), "{what}");
    }
}

/// First the settings of two processes differ, then something happens between two processes.
#[test]
fn stored_credentials_are_not_used_if_anything_differs() {
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
            "a developer identity",
            |b| b.login_id("ann"),
            |b| {
                let cognito = FakeCognito::new();
                b.login_id("ann")
                    .developer_identity(move || Ok(cognito.developer_identity(POOL, "a")))
            },
        ),
        ("another given identity", same, |b| b.identity_id(IDENTITY)),
        ("a shorter lifetime than the window", same, |b| b.expiry_window(seconds(3600))),
    ];
    for (what, first, second) in settings {
        let device = Device::new();
        let storage = one_credentials_record();
        let process =
            |change: Change| device.process(|builder| change(builder.storage(storage.clone())));
        let (set, _) = device.get(&process(first));
        assert_eq!(device.get(&process(first)), (set.clone(), false), "{what}: same settings");
        let calls = device.calls();
        match process(second).get() {
            Ok(other) => assert_ne!(other, set, "{what}"),
            // The fake service does not know these two identities.
            Err(error) => {
                assert!(
                    ["a developer identity", "another given identity"].contains(&what),
                    "{error:#}"
                );
            }
        }
        assert!(device.calls() > calls, "{what}");
    }

    let events: [(&str, fn(&Device)); 8] = [
        ("a restart of the system", |device| device.clock.reboot()),
        ("a restart of the system, the same time ago", |device| {
            let boot = device.clock.boot();
            device.clock.reboot();
            device.clock.advance(boot);
        }),
        ("their expiration", |device| device.clock.advance(seconds(3600))),
        ("the expiry window", |device| device.clock.advance(seconds(3585))),
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
        assert_eq!(device.get(&device.guest()), (other, false), "{what}: the record is replaced");
    }
    let device = Device::new();
    let (set, _) = device.get(&device.guest());
    device.clock.advance(seconds(3584));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    assert_eq!(device.get(&device.guest()), (set, true), "a second before the expiry window");
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
    // These credentials are no longer the stored ones.
    other.invalidate(set.access_key_id());
    assert_eq!(device.get(&other), (second.clone(), false));
    device.clock.advance(seconds(1));

    first.expire();
    device.clock.advance(seconds(1));
    let (third, called) = device.get(&first);
    assert!(called && third != second);
    device.clock.advance(seconds(1));
    // After `expire`, the process uses no credentials that were stored before, even newer ones.
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
    assert_eq!(unused.cached(), None, "also after a failed refresh");
    let (fifth, _) = device.get(&first);
    assert_eq!(fifth, third);
    first.refresh().unwrap();
    let (sixth, _) = device.get(&first);
    assert_eq!(device.get(&unused), (sixth, false), "credentials from after `expire` are used");
}

#[test]
fn logins_set_later_without_a_login_id_neither_read_nor_store_credentials() {
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
        let warnings =
            || logged().matches("no credentials are stored or reused: there are logins").count();
        let warnings_before = warnings();
        change(&late);
        device.clock.advance(seconds(1));
        let (bobs, called) = device.get(&late);
        assert!(called && bobs != set);
        assert_eq!(
            device.storage.load(RECORD).unwrap().unwrap(),
            record,
            "the record of the guest stays"
        );
        late.refresh().unwrap();
        assert_eq!(warnings(), warnings_before + 1, "one warning for both refreshes");
        device.clock.advance(seconds(1));
        late.remove_login(PROVIDER);
        late.expire();
        let (again, called) = device.get(&late);
        assert!(called && again != bobs, "a guest again");
        assert_ne!(device.storage.load(RECORD).unwrap().unwrap(), record, "the guest stores again");
        device.storage.store(RECORD, &record).unwrap();
    }
}

/// The settings change during the request, or `expire` is called.
#[test]
fn credentials_that_are_outdated_on_arrival_are_not_stored() {
    let changes: [(&str, fn(&CognitoIdentityCredentials)); 4] = [
        ("expire", |credentials| credentials.expire()),
        ("a login", |credentials| credentials.set_login(PROVIDER, "token")),
        ("an identity", |credentials| credentials.set_identity_id(IDENTITY).unwrap()),
        ("clearing", |credentials| credentials.clear_cached_id()),
    ];
    for (what, change) in changes {
        let device = Device::new();
        let (gate, keeper) = Gate::before(device.cognito.clone());
        let storage = Hooked::<FaultyStorage>::default();
        storage.run(move |operation, key| {
            assert!(operation != "store" || key != RECORD, "stored after {what}");
        });
        let credentials = device.process(|builder| builder.transport(gate).storage(storage));
        get_while(&credentials, &keeper, || change(&credentials)).unwrap();
    }
}

#[test]
fn credentials_invalidated_while_they_are_stored_are_removed() {
    let (device, storage) = (Device::new(), Arc::new(Hooked::<FaultyStorage>::default()));
    let credentials = device.process(|builder| builder.storage(storage.clone()));
    device.get(&credentials);
    assert!(storage.load(RECORD).unwrap().is_some());
    let expiring = credentials.clone();
    storage.run(move |operation, key| {
        if operation == "store" && key == RECORD {
            expiring.expire();
        }
    });
    credentials.refresh().unwrap();
    assert_eq!(storage.load(RECORD).unwrap(), None);
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

#[test]
fn a_record_that_cannot_be_removed_is_not_used_again() {
    for developer in [false, true] {
        let device = Device::new();
        let storage = FaultyStorage::new();
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
        storage.fail_next_for("remove", "credentials/", usize::MAX, io::ErrorKind::Other);
        let next = process();
        next.clear_cached_id();
        let (other, called) = device.get(&next);
        assert!(called && other != set, "developer: {developer}");
    }
}
