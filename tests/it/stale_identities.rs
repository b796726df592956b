//! An identity that was cleared, rejected, merged or replaced does not come back from the storage.

use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use cognito_identity_credentials::testing::{FakeCognito, FaultyStorage};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, Credentials, IdentityChangeReason, MemoryStorage, Storage,
};

use crate::storages::{Hooked, fail_writes};
use crate::support::{POOL, PROVIDER};

fn builder(cognito: &FakeCognito, storage: impl Storage + 'static) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(cognito.clone())
        .storage(storage)
}

fn id(credentials: &Credentials) -> String {
    credentials.identity_id().unwrap().to_owned()
}

fn stored(storage: &impl Storage) -> Option<String> {
    let value = storage.load(&format!("identity/{POOL}")).unwrap()?;
    Some(String::from_utf8(value).unwrap())
}

/// The result is the same as if the record of the guest could have been read before.
#[test]
fn a_sign_in_after_a_failed_read_is_linked_to_the_stored_guest() {
    use IdentityChangeReason::{Merged, Minted, Replaced};

    for linked_before in [false, true] {
        let cognito = FakeCognito::new();
        cognito.accept_login(PROVIDER, "token-of-ann", "ann");
        let storage = FaultyStorage::new();
        let guest = id(&builder(&cognito, storage.clone()).build().unwrap().get().unwrap());

        let changes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&changes);
        let provider = builder(&cognito, storage.clone())
            .on_identity_change(move |change| seen.lock().unwrap().push(change.reason))
            .build()
            .unwrap();
        storage.fail_next("load", usize::MAX, io::ErrorKind::Other);
        let temporary = id(&provider.get().unwrap());
        provider.set_login(PROVIDER, "token-of-ann");
        if linked_before {
            assert_eq!(id(&provider.refresh().unwrap()), temporary);
        }
        storage.clear_faults();

        let now = id(&provider.refresh().unwrap());
        // The service merges the stored guest into the identity that Ann already has.
        let (expected, reasons) = if linked_before {
            (&temporary, vec![Minted, Replaced, Merged])
        } else {
            (&guest, vec![Minted, Replaced])
        };
        assert_eq!(&now, expected, "linked before: {linked_before}");
        assert_eq!(*changes.lock().unwrap(), reasons, "linked before: {linked_before}");
        assert!(stored(&storage).unwrap().contains(&now));
    }
}

/// The service would merge the guest into the user, and nobody can undo that.
#[test]
fn no_user_gets_the_identity_of_a_guest_that_was_stored_over_a_users_identity() {
    /// Ann's identity is stored. The guest is stored over it, and is returned.
    type Guest = fn(ann: CognitoIdentityCredentials, guest: CognitoIdentityCredentials) -> String;
    let rows: [(&str, &[&str], Guest); 4] = [
        ("a guest of another process refreshes", &[], |_, guest| id(&guest.refresh().unwrap())),
        ("the program gives the guest", &[], |ann, guest| {
            ann.remove_login(PROVIDER);
            ann.set_identity_id(guest.identity_id().unwrap()).unwrap();
            id(&ann.refresh().unwrap())
        }),
        ("Ann signs out, but her identity cannot be removed", &["remove"], |ann, _| {
            ann.remove_login(PROVIDER);
            ann.clear_cached_id();
            id(&ann.refresh().unwrap())
        }),
        ("the service refuses Ann's identity to the guest, as above", &["remove"], |ann, _| {
            ann.remove_login(PROVIDER);
            id(&ann.refresh().unwrap())
        }),
    ];
    for (how, failing, store_guest) in rows {
        for user in ["ann", "bob"] {
            let (cognito, storage) = (FakeCognito::new(), FaultyStorage::new());
            let login = |storage: &FaultyStorage, user: &str| {
                cognito.accept_login(PROVIDER, user, user);
                builder(&cognito, storage.clone()).login(PROVIDER, user).build().unwrap()
            };
            let on_another_device = id(&login(&FaultyStorage::new(), user).get().unwrap());
            let guest = builder(&cognito, storage.clone()).build().unwrap();
            guest.get().unwrap();
            let ann = login(&storage, "ann");
            ann.get().unwrap();
            for operation in failing {
                storage.fail_next(operation, 1, io::ErrorKind::Other);
            }
            let guest = store_guest(ann, guest);
            assert!(stored(&storage).unwrap().contains(&guest), "{how}");

            let before = cognito.requests().len();
            let found = id(&login(&storage, user).get().unwrap());
            assert_eq!(found, on_another_device, "{how}, then {user}");
            let requests = cognito.requests();
            let uses_guest =
                requests[before..].iter().any(|sent| sent.identity_id() == Some(&*guest));
            assert!(!uses_guest, "{how}, then {user}");
        }
    }
}

#[test]
fn an_identity_that_is_cleared_while_it_is_stored_does_not_come_back() {
    let cognito = FakeCognito::new();
    let storage = Arc::new(MemoryStorage::new());
    let ((reached, gate), (pass, passed)) = (channel(), channel());
    let passed = Mutex::new(passed);
    let gated = Hooked::around(Arc::clone(&storage));
    gated.run(move |operation, _| {
        // The channels fail once the test lets everything pass.
        if ["store", "stored"].contains(&operation) && reached.send(()).is_ok() {
            let _ = passed.lock().unwrap().recv();
        }
    });
    let provider = builder(&cognito, gated).build().unwrap();
    let leader = {
        let provider = provider.clone();
        thread::spawn(move || id(&provider.get().unwrap()))
    };
    gate.recv().unwrap();
    provider.clear_cached_id();
    pass.send(()).unwrap();
    gate.recv().unwrap();
    // The record exists again for a moment. The provider does not use it.
    assert!(stored(&*storage).is_some());
    assert_eq!(provider.identity_id(), None);
    assert_eq!(provider.status().identity_id, None);
    drop((pass, gate));
    let cleared = leader.join().unwrap();
    assert_eq!((provider.identity_id(), stored(&*storage)), (None, None));
    provider.expire();
    assert_ne!(id(&provider.get().unwrap()), cleared);
}

#[test]
fn no_rejected_or_merged_identity_is_read_from_a_storage_that_cannot_be_written() {
    // A guest whose identity is disabled again and again.
    let (cognito, storage) = (FakeCognito::new(), FaultyStorage::new());
    let provider = builder(&cognito, storage.clone()).build().unwrap();
    let mut last = id(&provider.get().unwrap());
    fail_writes(&storage, io::ErrorKind::StorageFull);
    for round in 0..6 {
        cognito.disable_identity(&last);
        let next = id(&provider.refresh().unwrap_or_else(|error| panic!("{round}: {error:#}")));
        assert_ne!(next, last);
        last = next;
    }

    // A user's identity is disabled or merged. The guest after the sign-out must not get it from
    // the storage.
    for merged in [false, true] {
        let (cognito, storage) = (FakeCognito::new(), FaultyStorage::new());
        cognito.accept_login(PROVIDER, "token-of-ann", "ann");
        let provider = builder(&cognito, storage.clone()).build().unwrap();
        if merged {
            let other = FaultyStorage::new();
            let ann = builder(&cognito, other).login(PROVIDER, "token-of-ann").build().unwrap();
            ann.get().unwrap();
        } else {
            provider.set_login(PROVIDER, "token-of-ann");
        }
        let first = id(&provider.get().unwrap());
        storage.fail_next("store", 1, io::ErrorKind::StorageFull);
        if merged {
            provider.set_login(PROVIDER, "token-of-ann");
        } else {
            cognito.disable_identity(&first);
        }
        let second = id(&provider.refresh().unwrap());
        assert_ne!(first, second);
        provider.remove_login(PROVIDER);
        let third = provider.refresh().unwrap_or_else(|error| panic!("merged {merged}: {error:#}"));
        assert_ne!(id(&third), first);
    }
}
