//! Identities in the storage: the next run of the program is the same guest or user.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

use cognito_identity_credentials::testing::{Fault, FaultyStorage};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, FileStorage, IdentityChange, IdentityChangeReason,
    IdentityOrigin, Logins, MemoryStorage, Storage,
};

use crate::storages::{Hooked, fail_writes};
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, ROLE, Stage};

/// The next run of the program: a new stage with the same service and clock.
pub(crate) fn again(stage: &Stage, settings: impl FnOnce(Builder) -> Builder) -> Stage {
    let next = Stage::on(stage.clock.clone(), |builder| {
        settings(builder.transport(stage.cognito.clone()))
    });
    Stage { cognito: stage.cognito.clone(), ..next }
}

#[test]
fn a_guest_keeps_its_identity_after_a_restart_even_offline() {
    let directory = tempfile::tempdir().unwrap();
    let storage = || FileStorage::new(directory.path().join("identity"));
    let stage = Stage::with(|builder| builder.storage(storage()));
    let first = stage.credentials.get().unwrap();
    let next = again(&stage, |builder| builder.storage(storage()));
    assert_eq!(next.credentials.identity_id().as_deref(), first.identity_id());
    let status = next.credentials.status();
    assert_eq!(status.identity_origin, Some(IdentityOrigin::Stored));
    assert_eq!(status.identity_id.as_deref(), first.identity_id());
    assert_eq!(next.cognito.requests().len(), 2, "no call so far");
    assert_eq!(next.credentials.get().unwrap().identity_id(), first.identity_id());
    assert_eq!(next.cognito.calls("GetId"), 1);
}

#[test]
fn a_new_guest_is_stored_before_the_next_call_can_fail() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.cognito.fail_next(GET_CREDENTIALS, 4, Fault::timeout());
    stage.credentials.get().unwrap_err();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    next.credentials.get().unwrap();
    assert_eq!((next.cognito.calls("GetId"), next.cognito.identities()), (1, 1));
}

#[test]
fn a_users_identity_is_stored_once_the_service_has_accepted_the_login() {
    for classic in [false, true] {
        let storage = Arc::new(MemoryStorage::new());
        let set = |builder: Builder| {
            let builder = builder.storage(storage.clone()).login(PROVIDER, "token");
            if classic { builder.role_arn(ROLE) } else { builder }
        };
        let stage = Stage::with(set);
        stage.cognito.accept_login(PROVIDER, "token", "ann");
        let accepts = if classic { "GetOpenIdToken" } else { GET_CREDENTIALS };
        stage.cognito.fail_next(accepts, 4, Fault::timeout());
        stage.credentials.get().unwrap_err();
        assert_eq!(again(&stage, set).credentials.identity_id(), None);
        stage.credentials.get().unwrap();
        assert!(again(&stage, set).credentials.identity_id().is_some());
    }
    // In the classic flow, STS refuses the role after Cognito has accepted the login.
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|b| b.storage(storage.clone()).login(PROVIDER, "token").role_arn(ROLE));
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let fault = Fault::error(403, "AccessDenied", "no");
    stage.cognito.fail_next("AssumeRoleWithWebIdentity", 1, fault);
    stage.credentials.get().unwrap_err();
    assert!(again(&stage, |b| b.storage(storage.clone())).credentials.identity_id().is_some());
}

#[test]
fn a_given_identity_replaces_the_stored_one() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    let first = stage.credentials.get().unwrap();
    let other = again(&stage, |builder| builder).credentials.get().unwrap();
    let given =
        again(&stage, |b| b.storage(storage.clone()).identity_id(other.identity_id().unwrap()));
    assert_eq!(given.credentials.identity_id().as_deref(), other.identity_id());
    given.credentials.get().unwrap();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id().as_deref(), other.identity_id());
    assert_ne!(first.identity_id(), other.identity_id());
}

#[test]
fn users_do_not_share_an_identity() {
    let storage = Arc::new(MemoryStorage::new());
    let user = |stage: &Stage, name: &str, provider: &str| {
        again(stage, |builder| {
            builder.storage(storage.clone()).login_id(name).login(provider, name)
        })
    };
    let stage = Stage::new();
    for name in ["ann", "bob"] {
        stage.cognito.accept_login(PROVIDER, name, name);
        stage.cognito.accept_login("other", name, name);
    }
    let ann = user(&stage, "ann", PROVIDER).credentials.get().unwrap();
    let bob = user(&stage, "bob", PROVIDER).credentials.get().unwrap();
    assert_ne!(ann.identity_id(), bob.identity_id());
    assert_eq!(
        user(&stage, "ann", PROVIDER).credentials.identity_id().as_deref(),
        ann.identity_id()
    );
    assert_eq!(
        user(&stage, "ann", "other").credentials.identity_id(),
        None,
        "no provider in common"
    );
    let guest = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(guest.credentials.identity_id(), None);
}

#[test]
fn clearing_or_a_refusal_removes_the_identity_from_memory_and_storage() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.credentials.get().unwrap();
    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.identity_id(), None);
    assert_eq!(format!("{storage:?}"), "MemoryStorage {}");

    let first = stage.credentials.refresh().unwrap();
    stage.cognito.disable_identity(first.identity_id().unwrap());
    stage.cognito.fail_next("GetId", 4, Fault::timeout());
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    next.credentials.get().unwrap_err();
    assert_eq!(format!("{storage:?}"), "MemoryStorage {}", "the disabled identity is removed");
    assert_ne!(next.credentials.refresh().unwrap().identity_id(), first.identity_id());
}

#[test]
fn identity_changes_are_reported_with_their_reason_and_without_a_lock() {
    let changes = Arc::new(Mutex::new(Vec::<IdentityChange>::new()));
    let slot = Arc::new(OnceLock::<CognitoIdentityCredentials>::new());
    let (list, inner) = (changes.clone(), slot.clone());
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| {
        builder.storage(storage.clone()).on_identity_change(move |change| {
            if let Some(credentials) = inner.get() {
                assert_eq!(credentials.identity_id(), change.new, "the change is already done");
            }
            list.lock().unwrap().push(change.clone());
        })
    });
    slot.set(stage.credentials.clone()).unwrap();
    let reasons = || {
        let changes = std::mem::take(&mut *changes.lock().unwrap());
        changes
            .into_iter()
            .map(|change| (change.old, change.new, change.reason))
            .collect::<Vec<_>>()
    };
    let id = |stage: &Stage| stage.credentials.identity_id();

    stage.credentials.get().unwrap();
    let first = id(&stage);
    assert_eq!(reasons(), [(None, first.clone(), IdentityChangeReason::Minted)]);
    stage.credentials.refresh().unwrap();
    assert_eq!(reasons(), [], "nothing has changed");
    stage.cognito.disable_identity(first.as_deref().unwrap());
    stage.credentials.refresh().unwrap();
    let second = id(&stage);
    assert_eq!(reasons(), [(first, second.clone(), IdentityChangeReason::Replaced)]);

    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let ann = again(&stage, |b| b.login(PROVIDER, "token")).credentials.get().unwrap();
    let ann = ann.identity_id().map(str::to_owned);
    stage.credentials.set_login(PROVIDER, "token");
    stage.credentials.refresh().unwrap();
    assert_eq!(reasons(), [(second, ann.clone(), IdentityChangeReason::Merged)]);

    stage.credentials.set_identity_id(IDENTITY).unwrap();
    let given = Some(IDENTITY.to_owned());
    assert_eq!(reasons(), [(ann, given.clone(), IdentityChangeReason::Given)]);
    stage.credentials.clear_cached_id();
    assert_eq!(reasons(), [(given, None, IdentityChangeReason::Cleared)]);
    stage.credentials.clear_cached_id();
    assert_eq!(reasons(), []);

    stage.credentials.set_logins(Logins::new());
    stage.credentials.refresh().unwrap();
    let guest = id(&stage);
    assert_eq!(reasons(), [(None, guest.clone(), IdentityChangeReason::Minted)]);
    stage.cognito.delete_identity(guest.as_deref().unwrap());
    stage.cognito.fail_next("GetId", 4, Fault::timeout());
    stage.credentials.refresh().unwrap_err();
    assert_eq!(reasons(), [(guest, None, IdentityChangeReason::Cleared)]);

    stage.credentials.refresh().unwrap();
    reasons();
    let found = again(&stage, |builder| {
        let list = changes.clone();
        builder
            .storage(storage.clone())
            .on_identity_change(move |change| list.lock().unwrap().push(change.clone()))
    });
    found.credentials.get().unwrap();
    assert_eq!(reasons(), [], "reading the stored identity is not a change");
}

#[test]
fn a_failing_storage_fails_no_refresh() {
    let storage = FaultyStorage::new();
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    fail_writes(&storage, io::ErrorKind::ReadOnlyFilesystem);
    let stage = Stage::with(|builder| builder.storage(storage));
    let first = stage.credentials.get().unwrap();
    assert_eq!(stage.credentials.refresh().unwrap().identity_id(), first.identity_id());
    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.identity_id(), None);
    stage.credentials.refresh().unwrap();
}

#[test]
fn a_thousand_refreshes_write_once_and_no_token_is_stored() {
    let storage = FaultyStorage::new();
    let stage =
        Stage::with(|builder| builder.storage(storage.clone()).login(PROVIDER, "secret-token"));
    stage.cognito.accept_login(PROVIDER, "secret-token", "ann");
    for _ in 0..1_000 {
        stage.credentials.refresh().unwrap();
    }
    assert_eq!(storage.calls("store"), 1);
    let record = storage.load(&format!("identity/{POOL}")).unwrap().unwrap();
    let record = String::from_utf8(record).unwrap();
    assert!(record.contains(PROVIDER) && !record.contains("secret-token"), "{record}");
}

#[test]
fn a_refused_guest_takes_the_identity_that_another_process_has_stored_meanwhile() {
    let storage = Arc::new(MemoryStorage::new());
    let a = Stage::with(|builder| builder.storage(storage.clone()));
    let shared = a.credentials.get().unwrap();
    let b = again(&a, |builder| builder.storage(storage.clone()));
    b.credentials.get().unwrap();
    a.cognito.disable_identity(shared.identity_id().unwrap());
    let new = a.credentials.refresh().unwrap();
    assert_eq!(b.credentials.refresh().unwrap().identity_id(), new.identity_id());
    assert_eq!((a.cognito.calls("GetId"), a.cognito.identities()), (2, 2));
    assert_eq!(b.credentials.status().identity_origin, Some(IdentityOrigin::Stored));
}

/// A storage with this guest that cannot be written any more.
fn read_only(identity: &str) -> FaultyStorage {
    let storage = FaultyStorage::new();
    let record = format!(r#"{{"version":1,"identity_id":"{identity}","providers":[]}}"#);
    storage.store(&format!("identity/{POOL}"), record.as_bytes()).unwrap();
    fail_writes(&storage, io::ErrorKind::ReadOnlyFilesystem);
    storage
}

#[test]
fn on_a_read_only_disk_a_cleared_identity_stays_cleared_also_when_the_next_one_is_refused() {
    let storage = read_only(IDENTITY);
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    assert_eq!(stage.credentials.identity_id().as_deref(), Some(IDENTITY));
    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.identity_id(), None);
    let second = stage.credentials.refresh().unwrap();
    assert_ne!(second.identity_id(), Some(IDENTITY));
    assert_eq!(stage.cognito.calls("GetId"), 1);
    stage.cognito.disable_identity(second.identity_id().unwrap());
    let third = stage.credentials.refresh().unwrap();
    assert_ne!(third.identity_id(), Some(IDENTITY));
    assert_ne!(third.identity_id(), second.identity_id());

    // When the disk works again, the current identity is stored.
    storage.clear_faults();
    stage.credentials.refresh().unwrap();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id().as_deref(), third.identity_id());
}

#[test]
fn after_a_clearing_the_identity_stored_by_another_process_is_used() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.credentials.get().unwrap();
    stage.credentials.clear_cached_id();
    let other = again(&stage, |builder| builder.storage(storage.clone()));
    other.credentials.get().unwrap();
    assert_eq!(stage.credentials.identity_id(), other.credentials.identity_id());

    // This also works after a refusal and a network failure.
    let refused = stage.credentials.refresh().unwrap();
    stage.cognito.disable_identity(refused.identity_id().unwrap());
    stage.cognito.fail_next("GetId", 4, Fault::timeout());
    stage.credentials.refresh().unwrap_err();
    let other = again(&stage, |builder| builder.storage(storage.clone()));
    let new = other.credentials.get().unwrap();
    assert_eq!(stage.credentials.refresh().unwrap().identity_id(), new.identity_id());
}

/// Before the record is removed, a refresh gets and stores a new identity.
#[test]
fn a_refresh_during_a_clearing_leaves_memory_and_storage_equal() {
    let storage = Arc::new(Hooked::<FaultyStorage>::default());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.credentials.get().unwrap();
    let credentials = stage.credentials.clone();
    storage.run(move |operation, _| {
        if operation == "remove" {
            credentials.refresh().unwrap();
        }
    });
    stage.credentials.clear_cached_id();
    let known = stage.credentials.identity_id();
    assert!(known.is_some());
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id(), known);
}

#[test]
fn a_listener_that_panics_does_not_lose_the_identity() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| {
        builder.storage(storage.clone()).on_identity_change(|_| panic!("the listener has a fault"))
    });
    assert!(catch_unwind(AssertUnwindSafe(|| stage.credentials.get())).is_err());
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    next.credentials.get().unwrap();
    assert_eq!((next.cognito.calls("GetId"), next.cognito.identities()), (1, 1));
}

#[test]
fn an_identity_cleared_during_a_refresh_does_not_come_back() {
    let records = Arc::new(MemoryStorage::new());
    let storage = Arc::new(Hooked::around(records.clone()));
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    let credentials = stage.credentials.clone();
    storage.run(move |operation, _| {
        if operation == "store" {
            credentials.clear_cached_id();
        }
    });
    stage.credentials.get().unwrap();
    assert_eq!(stage.credentials.identity_id(), None);
    assert_eq!(format!("{records:?}"), "MemoryStorage {}");
}
