//! Identities that outlive the program, and those that the maker's backend names.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cognito_identity_credentials::testing::{Fault, FaultyStorage};
use cognito_identity_credentials::{
    BoxError, DeveloperIdentity, ErrorKind, FileStorage, IdentityChange, IdentityChangeReason,
    IdentityOrigin, Logins, MemoryStorage, Storage,
};

use crate::classic::ROLE;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, Stage};

type Told = Arc<Mutex<Vec<IdentityChange>>>;

/// A stage that shares its service and time with another: the next run of the program.
fn again(
    stage: &Stage,
    settings: impl FnOnce(
        cognito_identity_credentials::Builder,
    ) -> cognito_identity_credentials::Builder,
) -> Stage {
    let next = Stage::on(stage.clock.clone(), |builder| {
        settings(builder.transport(stage.cognito.clone()))
    });
    Stage { cognito: stage.cognito.clone(), ..next }
}

#[test]
fn a_guest_keeps_its_identity_over_a_restart_and_is_known_offline() {
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
fn a_minted_guest_is_stored_before_anything_else_can_fail() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.cognito.fail_next(GET_CREDENTIALS, 4, Fault::timeout());
    stage.credentials.get().unwrap_err();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    next.credentials.get().unwrap();
    assert_eq!((next.cognito.calls("GetId"), next.cognito.identities()), (1, 1));
}

#[test]
fn a_user_is_stored_when_the_service_has_accepted_them() {
    for classic in [false, true] {
        let storage = Arc::new(MemoryStorage::new());
        let set = |builder: cognito_identity_credentials::Builder| {
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
    // In the classic flow the refusal of the role comes later.
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|b| b.storage(storage.clone()).login(PROVIDER, "token").role_arn(ROLE));
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let fault = Fault::error(403, "AccessDenied", "no");
    stage.cognito.fail_next("AssumeRoleWithWebIdentity", 1, fault);
    stage.credentials.get().unwrap_err();
    assert!(again(&stage, |b| b.storage(storage.clone())).credentials.identity_id().is_some());
}

#[test]
fn a_given_identity_wins_and_is_stored_in_its_turn() {
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
fn clearing_forgets_memory_and_storage_and_a_refusal_forgets_both_too() {
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
    assert_eq!(format!("{storage:?}"), "MemoryStorage {}", "a dead identity does not come back");
    assert_ne!(next.credentials.refresh().unwrap().identity_id(), first.identity_id());
}

/// A stored identity may be refused like one of our own: it is replaced once.
#[test]
fn a_stored_identity_that_is_refused_is_replaced_row_by_row() {
    let forbidden = || Fault::not_authorized("Access to Identity 'x' is forbidden.");
    let mismatch = || Fault::not_authorized("Logins don't match. Please include at least one.");
    let missing = || Fault::error(400, "ResourceNotFoundException", "Identity 'x' not found.");
    let rows = [
        // as a user, may a guest be minted, the fault, is it replaced
        (false, true, forbidden(), true),
        (false, true, missing(), true),
        (false, false, forbidden(), false),
        (false, true, mismatch(), false),
        (false, true, Fault::not_authorized("Something new."), false),
        (false, true, Fault::timeout(), false),
        (true, true, forbidden(), true),
        (true, false, forbidden(), true),
        (true, true, missing(), true),
        (true, true, mismatch(), true),
        (true, true, Fault::not_authorized("Something new."), false),
    ];
    for (user, may_mint, fault, replaced) in rows {
        let what = format!("user: {user}, may mint: {may_mint}, {fault:?}");
        let storage = Arc::new(MemoryStorage::new());
        let set = |builder: cognito_identity_credentials::Builder| {
            let builder = builder.storage(storage.clone()).max_attempts(1);
            if user { builder.login(PROVIDER, "token") } else { builder }
        };
        let stage = Stage::with(set);
        stage.cognito.accept_login(PROVIDER, "token", "ann");
        let first = stage.credentials.get().unwrap();
        let next = again(&stage, |builder| set(builder).allow_new_guest(may_mint));
        next.cognito.fail_next(GET_CREDENTIALS, 1, fault);
        assert_eq!(next.credentials.get().is_ok(), replaced, "{what}");
        assert_eq!(next.cognito.calls("GetId"), 1 + usize::from(replaced), "{what}");
        let known = next.credentials.identity_id();
        assert_eq!(known.as_deref() == first.identity_id(), user || !replaced, "{what}");
        let kept = again(&stage, set).credentials.identity_id();
        assert_eq!(kept, known, "{what}: memory and storage agree");
    }
}

#[test]
fn changes_are_notified_with_their_reason_and_without_a_lock() {
    let told = Told::default();
    let slot = Arc::new(std::sync::OnceLock::<
        cognito_identity_credentials::CognitoIdentityCredentials,
    >::new());
    let (list, inner) = (told.clone(), slot.clone());
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| {
        builder.storage(storage.clone()).on_identity_change(move |change| {
            if let Some(credentials) = inner.get() {
                assert_eq!(credentials.identity_id(), change.new, "it is in force already");
            }
            list.lock().unwrap().push(change.clone());
        })
    });
    slot.set(stage.credentials.clone()).unwrap();
    let reasons = || {
        let changes = std::mem::take(&mut *told.lock().unwrap());
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
        let list = told.clone();
        builder
            .storage(storage.clone())
            .on_identity_change(move |change| list.lock().unwrap().push(change.clone()))
    });
    found.credentials.get().unwrap();
    assert_eq!(reasons(), [], "a stored identity that is found again is no change");
}

/// Makes the next calls that write or remove fail.
fn fail_writes(storage: &FaultyStorage) {
    for operation in ["store", "remove"] {
        storage.fail_next(operation, usize::MAX, io::ErrorKind::ReadOnlyFilesystem);
    }
}

#[test]
fn a_storage_that_fails_fails_no_refresh() {
    let storage = FaultyStorage::new();
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    fail_writes(&storage);
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

/// The record is there, but cannot be read for a moment: the device is somebody else for that run,
/// and itself again in the next.
#[test]
fn a_record_that_cannot_be_read_for_a_moment_is_not_overwritten() {
    let storage = FaultyStorage::new();
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    let first = stage.credentials.get().unwrap();
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    let unreadable = again(&stage, |builder| builder.storage(storage.clone()));
    unreadable.credentials.get().unwrap();
    storage.clear_faults();
    assert_eq!(storage.calls("store"), 1);
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id().as_deref(), first.identity_id());
}

/// Two processes share a guest that the service refuses: the second takes over what the first got.
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

/// A disk that has become read-only: what was cleared stays cleared for this process.
#[test]
fn clearing_holds_on_a_read_only_disk() {
    let disk = FaultyStorage::new();
    let record = format!(r#"{{"version":1,"identity_id":"{IDENTITY}","providers":[]}}"#);
    disk.store(&format!("identity/{POOL}"), record.as_bytes()).unwrap();
    fail_writes(&disk);
    let stage = Stage::with(|builder| builder.storage(disk));
    assert_eq!(stage.credentials.identity_id().as_deref(), Some(IDENTITY));
    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.identity_id(), None);
    let set = stage.credentials.refresh().unwrap();
    assert_ne!(set.identity_id(), Some(IDENTITY));
    assert_eq!(stage.cognito.calls("GetId"), 1);
}

#[test]
fn what_was_cleared_does_not_come_back_when_its_successor_is_refused() {
    let storage = FaultyStorage::new();
    let record = format!(r#"{{"version":1,"identity_id":"{IDENTITY}","providers":[]}}"#);
    storage.store(&format!("identity/{POOL}"), record.as_bytes()).unwrap();
    fail_writes(&storage);
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.credentials.clear_cached_id();
    let second = stage.credentials.refresh().unwrap();
    stage.cognito.disable_identity(second.identity_id().unwrap());
    let third = stage.credentials.refresh().unwrap();
    assert_ne!(third.identity_id(), Some(IDENTITY));
    assert_ne!(third.identity_id(), second.identity_id());

    // When the disk is well again, the identity of now is kept.
    storage.clear_faults();
    stage.credentials.refresh().unwrap();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id().as_deref(), third.identity_id());
}

#[test]
fn after_a_clearing_that_worked_what_others_store_is_used() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.credentials.get().unwrap();
    stage.credentials.clear_cached_id();
    let other = again(&stage, |builder| builder.storage(storage.clone()));
    other.credentials.get().unwrap();
    assert_eq!(stage.credentials.identity_id(), other.credentials.identity_id());

    // The same after a refusal and an outage.
    let refused = stage.credentials.refresh().unwrap();
    stage.cognito.disable_identity(refused.identity_id().unwrap());
    stage.cognito.fail_next("GetId", 4, Fault::timeout());
    stage.credentials.refresh().unwrap_err();
    let other = again(&stage, |builder| builder.storage(storage.clone()));
    let new = other.credentials.get().unwrap();
    assert_eq!(stage.credentials.refresh().unwrap().identity_id(), new.identity_id());
}

/// The removal is slow; another thread gets and stores a new identity before it.
#[test]
fn a_clearing_that_is_overtaken_leaves_memory_and_storage_in_step() {
    type Slot = std::sync::OnceLock<cognito_identity_credentials::CognitoIdentityCredentials>;
    struct Overtaken(MemoryStorage, Slot);
    impl Storage for Overtaken {
        fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
            self.0.load(key)
        }
        fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
            self.0.store(key, value)
        }
        fn remove(&self, key: &str) -> io::Result<()> {
            if let Some(credentials) = self.1.get() {
                credentials.refresh().unwrap();
            }
            self.0.remove(key)
        }
    }
    let storage = Arc::new(Overtaken(MemoryStorage::new(), Slot::new()));
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    stage.credentials.get().unwrap();
    storage.1.set(stage.credentials.clone()).unwrap();
    stage.credentials.clear_cached_id();
    let known = stage.credentials.identity_id();
    assert!(known.is_some());
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id(), known);
}

#[test]
fn a_listener_that_fails_does_not_cost_the_identity() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| {
        builder.storage(storage.clone()).on_identity_change(|_| panic!("the listener has a fault"))
    });
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.credentials.get()));
    assert!(panicked.is_err());
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    next.credentials.get().unwrap();
    assert_eq!((next.cognito.calls("GetId"), next.cognito.identities()), (1, 1));
}

#[test]
fn the_backends_identity_is_not_stored_over_a_guests() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    let guest = stage.credentials.get().unwrap();
    let backend = stage.cognito.clone();
    let developer = again(&stage, |builder| {
        builder
            .storage(storage.clone())
            .developer_identity(move || Ok(backend.developer_identity(POOL, "ann")))
    });
    developer.credentials.get().unwrap();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id().as_deref(), guest.identity_id());
}

/// Every cell of the recovery table, in both flows: which calls are made (I for `GetId`, C for
/// `GetCredentialsForIdentity`, O for `GetOpenIdToken`, S for STS), and whether the ID stays.
#[test]
fn the_recovery_table_cell_by_cell() {
    let faults: [(&str, fn() -> Fault); 6] = [
        ("forbidden", || Fault::not_authorized("Access to Identity 'x' is forbidden.")),
        ("not found", || Fault::error(400, "ResourceNotFoundException", "Identity 'x' not found.")),
        ("mismatch", || Fault::not_authorized("Logins don't match. Please include at least one.")),
        ("expired", || Fault::not_authorized("Invalid login token. Token expired: 1 >= 0")),
        ("invalid", || Fault::not_authorized("Invalid login token. Couldn't verify signed token.")),
        ("guests off", || Fault::not_authorized("Unauthenticated access is not supported.")),
    ];
    let origins = ["GetId", "memory", "stored", "given"];
    let mut rows = 0;
    for classic in [false, true] {
        for user in [false, true] {
            for origin in origins {
                for (name, fault) in faults {
                    let what = format!("classic: {classic}, user: {user}, {origin}, {name}");
                    let storage = Arc::new(MemoryStorage::new());
                    let settings = |builder: cognito_identity_credentials::Builder| {
                        let builder = builder.storage(storage.clone());
                        let builder = if classic { builder.role_arn(ROLE) } else { builder };
                        if !user {
                            return builder;
                        }
                        let asked = AtomicUsize::new(0);
                        builder.login_from(PROVIDER, move || {
                            Ok(format!("token-{}", asked.fetch_add(1, Ordering::Relaxed)))
                        })
                    };
                    let first = Stage::with(settings);
                    for n in 0..9 {
                        first.cognito.accept_login(PROVIDER, format!("token-{n}"), "ann");
                    }
                    if origin != "GetId" {
                        first.credentials.get().unwrap();
                    }
                    let run = match origin {
                        "memory" => {
                            Stage { credentials: first.credentials.clone(), ..again(&first, |b| b) }
                        }
                        "given" => {
                            let id = first.credentials.identity_id().unwrap();
                            again(&first, |builder| settings(builder).identity_id(id))
                        }
                        _ => again(&first, settings),
                    };
                    let before = run.credentials.identity_id();
                    let requests = run.cognito.requests().len();
                    let second = if classic { "GetOpenIdToken" } else { GET_CREDENTIALS };
                    run.cognito.fail_next(second, 1, fault());
                    let outcome = run.credentials.refresh();

                    let replaced = origin != "given"
                        && match name {
                            "forbidden" | "not found" => true,
                            "mismatch" => user && origin != "GetId",
                            _ => false,
                        };
                    let again = user && matches!(name, "expired" | "invalid");
                    let fetch = if classic { "OS" } else { "C" };
                    let refused = if classic { "O" } else { "C" };
                    let mut calls = if origin == "GetId" { "I".to_owned() } else { String::new() };
                    calls += refused;
                    if replaced {
                        calls += "I";
                    }
                    if replaced || again {
                        calls += fetch;
                    }
                    let made: String = run.cognito.requests()[requests..]
                        .iter()
                        .map(|request| match request.operation() {
                            "GetId" => 'I',
                            "GetOpenIdToken" => 'O',
                            "AssumeRoleWithWebIdentity" => 'S',
                            _ => 'C',
                        })
                        .collect();
                    assert_eq!(made, calls, "{what}");
                    assert_eq!(outcome.is_ok(), replaced || again, "{what}");
                    let after = run.credentials.identity_id();
                    assert!(after.is_some(), "{what}");
                    if origin != "GetId" {
                        assert_eq!(after == before, user || !replaced, "{what}");
                    }
                    rows += 1;
                }
            }
        }
    }
    println!("{rows} cells of flow, login, origin and refusal");
    assert_eq!(rows, 2 * 2 * 4 * 6);
}

/// The storage is asked while a refresh of outdated settings is under way.
#[test]
fn what_was_cleared_during_a_refresh_does_not_come_back() {
    struct Slow(
        MemoryStorage,
        std::sync::OnceLock<cognito_identity_credentials::CognitoIdentityCredentials>,
    );
    impl Storage for Slow {
        fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
            self.0.load(key)
        }
        fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
            if let Some(credentials) = self.1.get() {
                credentials.clear_cached_id();
            }
            self.0.store(key, value)
        }
        fn remove(&self, key: &str) -> io::Result<()> {
            self.0.remove(key)
        }
    }
    let storage = Arc::new(Slow(MemoryStorage::new(), std::sync::OnceLock::new()));
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    storage.1.set(stage.credentials.clone()).unwrap();
    stage.credentials.get().unwrap();
    assert_eq!(stage.credentials.identity_id(), None);
    assert_eq!(format!("{:?}", storage.0), "MemoryStorage {}");
}

#[test]
fn a_backend_names_the_identity_in_both_flows() {
    for classic in [false, true] {
        let stage = Stage::new();
        let (backend, asked) = (stage.cognito.clone(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        let stage = again(&stage, |builder| {
            let builder = builder.developer_identity(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(backend.developer_identity(POOL, "ann"))
            });
            if classic { builder.role_arn(ROLE) } else { builder }
        });
        let first = stage.credentials.get().unwrap();
        let second = stage.credentials.refresh().unwrap();
        assert_eq!(first.identity_id(), second.identity_id());
        assert_eq!(stage.credentials.status().identity_origin, Some(IdentityOrigin::Developer));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "asked for every refresh");
        let requests = stage.cognito.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            if classic {
                assert_eq!(request.operation(), "AssumeRoleWithWebIdentity");
                assert!(request.form_field("WebIdentityToken").is_some());
            } else {
                assert_eq!(request.operation(), GET_CREDENTIALS);
                let providers: Vec<_> = request.providers().collect();
                assert_eq!(providers, ["cognito-identity.amazonaws.com"]);
            }
        }
    }
}

#[test]
fn a_refused_backend_identity_has_the_backend_asked_once_more() {
    let faults = [
        ("enhanced", Fault::not_authorized("Access to Identity 'x' is forbidden."), true),
        (
            "enhanced",
            Fault::error(400, "ResourceNotFoundException", "Identity 'x' not found."),
            true,
        ),
        ("enhanced", Fault::not_authorized("Invalid login token. Token expired: 1 >= 0"), true),
        ("enhanced", Fault::not_authorized("Something new."), false),
        ("classic", Fault::error(400, "ExpiredTokenException", ""), true),
        ("classic", Fault::error(400, "InvalidIdentityToken", ""), true),
        ("classic", Fault::error(403, "AccessDenied", ""), false),
    ];
    for (flow, fault, once_more) in faults {
        for renewed in [true, false] {
            let stage = Stage::new();
            let backend = stage.cognito.clone();
            let fixed = backend.developer_identity(POOL, "ann");
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let classic = flow == "classic";
            let stage = again(&stage, |builder| {
                let builder = builder.developer_identity(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(if renewed {
                        backend.developer_identity(POOL, "ann")
                    } else {
                        fixed.clone()
                    })
                });
                if classic { builder.role_arn(ROLE) } else { builder }
            });
            let operation = if classic { "AssumeRoleWithWebIdentity" } else { GET_CREDENTIALS };
            stage.cognito.fail_next(operation, 1, fault.clone());
            let outcome = stage.credentials.get();
            let what = format!("{flow} {fault:?}, renewed: {renewed}");
            assert_eq!(outcome.is_ok(), once_more && renewed, "{what}: {outcome:?}");
            assert_eq!(asked.load(Ordering::Relaxed), 1 + usize::from(once_more), "{what}");
            assert_eq!(stage.cognito.calls("GetId"), 0, "{what}");
            assert!(stage.credentials.identity_id().is_some(), "{what}");
        }
    }
}

#[test]
fn a_backend_that_fails_or_talks_nonsense_is_an_error_of_the_login() {
    type Answer = fn() -> Result<DeveloperIdentity, BoxError>;
    let rows: [(Answer, &str); 4] = [
        (
            || Ok(DeveloperIdentity::new("eu-west-1:0", "token")),
            "the developer identity provider returned an identity ID of another region",
        ),
        (
            || Err("no route to the backend".into()),
            "the developer identity provider failed: no route to the backend",
        ),
        (
            || Ok(DeveloperIdentity::new("me", "token")),
            "the developer identity provider returned an identity ID that must have the form REGION:GUID, such as us-east-1:12345678-dead-beef-cafe-123456790ab0",
        ),
        (
            || Ok(DeveloperIdentity::new(IDENTITY, "")),
            "the developer identity provider returned a token that is empty",
        ),
    ];
    for (answer, message) in rows {
        let stage = Stage::with(|builder| builder.developer_identity(answer));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert_eq!(format!("{error:#}"), message);
        assert!(stage.cognito.requests().is_empty());
    }
    let stage = Stage::with(|b| b.developer_identity(|| Ok(DeveloperIdentity::new(IDENTITY, "t"))));
    assert_eq!(stage.credentials.set_identity_id(IDENTITY).unwrap_err().kind(), ErrorKind::Config);
    stage.credentials.set_login(PROVIDER, "token");
    assert_eq!(
        stage.credentials.get().unwrap_err().message(),
        "login: cannot be combined with developer_identity"
    );
}
