//! Refresh tokens whose record cannot be read or stored, or belongs to another key.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cognito_identity_credentials::testing::FaultyStorage;
use cognito_identity_credentials::{ErrorKind, MemoryStorage, Storage};

use super::{GET_TOKENS, KEY, Pool, stored};
use crate::secrets::{logged, record_log};
use crate::storages::{Hooked, fail_writes};
use crate::support::seconds;

#[test]
fn a_token_that_cannot_be_stored_is_used_from_memory_with_a_warning() {
    record_log();
    let pool = Pool::rotating(0);
    let storage = FaultyStorage::new();
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let refresh = || {
        tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    };
    refresh();
    fail_writes(&storage, io::ErrorKind::StorageFull);
    refresh();
    let warning = "WARN cognito_identity_credentials::user_pool_tokens the refresh token could not be stored: no storage space; after a restart the user must sign in again";
    assert_eq!(logged().matches(warning).count(), 1, "{}", logged());
    refresh();
    storage.clear_faults();
    refresh();
    assert_eq!(logged().matches(warning).count(), 2);
    assert!(!logged().contains("fake-refresh-token"));
    pool.settings().storage(storage).build().unwrap().id_token().unwrap();
    tokens.id_token().unwrap();
}

#[test]
fn a_failed_write_is_retried_at_the_next_id_token_call() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let settings = || pool.settings().storage(storage.clone());
    // The storage has a record of an earlier sign-in. The second attempt must replace it too.
    let earlier = pool.bare().refresh_token(pool.cognito.sign_in("ann"));
    earlier.storage(storage.clone()).build().unwrap().id_token().unwrap();
    let earlier = stored(&records);

    fail_writes(&storage, io::ErrorKind::StorageFull);
    let tokens = settings().build().unwrap();
    let first = tokens.id_token().unwrap();
    assert_eq!(tokens.id_token().unwrap(), first);
    assert_eq!(storage.calls("store"), 3, "one of the earlier sign-in, and two failed ones");
    assert_eq!(stored(&records), earlier);

    storage.clear_faults();
    for _ in 0..3 {
        assert_eq!(tokens.id_token().unwrap(), first);
        assert_eq!(storage.calls("store"), 4);
        assert_ne!(stored(&records), earlier);
    }
    settings().build().unwrap().id_token().unwrap();
    assert_eq!(pool.cognito.calls(GET_TOKENS), 3, "no sign-in is needed");
}

#[test]
fn an_unreadable_record_is_kept_and_replaced_once_it_can_be_read() {
    let pool = Pool::rotating(60);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let settings = || pool.settings().storage(storage.clone());
    settings().build().unwrap().id_token().unwrap();
    let before = records.load(KEY).unwrap();
    assert!(before.is_some());
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    let tokens = settings().build().unwrap();
    let first = tokens.id_token().unwrap();
    assert_eq!(tokens.id_token().unwrap(), first);
    assert_eq!(records.load(KEY).unwrap(), before, "neither call overwrites it");
    let error = tokens.storage_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(format!("{error:#}"), "the refresh token could not be read: permission denied");

    storage.clear_faults();
    assert_eq!(tokens.id_token().unwrap(), first, "cached, but the write is retried");
    assert_ne!(records.load(KEY).unwrap(), before);
    assert!(tokens.storage_error().is_none());
    pool.clock.advance(seconds(3600));
    settings().build().unwrap().id_token().expect("the stored token is the newest");
}

#[test]
fn an_unreadable_token_does_not_require_a_sign_in() {
    let pool = Pool::rotating(0);
    let storage = FaultyStorage::new();
    pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
    let tokens = pool.bare().storage(storage.clone()).build().unwrap();
    // 5 is `EIO`.
    let disk = io::Error::from_raw_os_error(5);
    for (fault, is_temporary) in [(io::ErrorKind::PermissionDenied.into(), false), (disk, true)] {
        storage.fail_next("load", usize::MAX, fault);
        let error = tokens.id_token().unwrap_err();
        assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Storage, false));
        assert_eq!(error.is_retryable(), is_temporary, "{error:#}");
        storage.clear_faults();
    }
    tokens.id_token().unwrap();
}

/// Another process may have stored a newer token than the rejected one.
#[test]
fn a_rejected_token_does_not_require_a_sign_in_while_the_stored_one_is_unreadable() {
    let pool = Pool::rotating(0);
    let storage = FaultyStorage::new();
    let earlier = pool.settings().storage(storage.clone()).build().unwrap();
    earlier.id_token().unwrap();
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    let error = tokens.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Storage, false), "{error:#}");
    storage.clear_faults();
    tokens.id_token().unwrap();
}

#[test]
fn forget_refresh_token_removes_an_unreadable_record() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    tokens.id_token().unwrap();
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    tokens.forget_refresh_token();
    assert_eq!(records.load(KEY).unwrap(), None);
}

#[test]
fn a_refresh_token_without_a_key_in_its_record_is_used_and_stored_again_with_the_key() {
    for rotates in [true, false] {
        let pool = Pool::rotating(0);
        let storage = Arc::new(MemoryStorage::new());
        pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
        let whole = String::from_utf8(storage.load(KEY).unwrap().unwrap()).unwrap();
        let version_1 = whole.replace(&format!(r#""version":2,"key":"{KEY}""#), r#""version":1"#);
        assert_ne!(version_1, whole);
        storage.store(KEY, version_1.as_bytes()).unwrap();
        if !rotates {
            pool.cognito.set_refresh_token_rotation(None);
        }
        let bare = pool.bare().storage(storage.clone()).build().unwrap();
        bare.id_token().unwrap();
        assert!(stored(&storage).is_some(), "a record of version 2");
    }
}

#[test]
fn refresh_tokens_of_another_service_or_another_key_are_not_used() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
    let emulator = || pool.bare().storage(storage.clone()).endpoint_url("http://127.0.0.1:4566");
    assert_eq!(emulator().build().unwrap().id_token().unwrap_err().kind(), ErrorKind::Login);
    let fips = "https://cognito-idp-fips.us-east-1.amazonaws.com";
    let aws = pool.bare().storage(storage.clone()).endpoint_url(fips).build().unwrap();
    aws.id_token().expect("this endpoint belongs to AWS");

    // A storage that shortens names may return the record of another key.
    let record = storage.load(KEY).unwrap().unwrap();
    let of_bob = format!("{KEY}/bob");
    storage.store(&of_bob, &record).unwrap();
    let bob = pool.bare().storage(storage.clone()).login_id("bob").build().unwrap();
    let error = bob.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Storage, false));
    assert!(error.message().contains("another key"), "{error}");
    bob.set_refresh_token(pool.cognito.sign_in("bob")).unwrap();
    bob.id_token().unwrap();
    assert_eq!(storage.load(&of_bob).unwrap().unwrap(), record, "it is not overwritten");
    assert!(bob.storage_error().is_some());
    bob.forget_refresh_token();
    assert_eq!(storage.load(&of_bob).unwrap(), None);
}

/// A refresh happens while an older token is written for the second time.
#[test]
fn the_latest_token_is_the_one_that_stays_stored() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(Hooked::<FaultyStorage>::default());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    fail_writes(&storage.inner, io::ErrorKind::StorageFull);
    tokens.id_token().unwrap();
    storage.inner.clear_faults();
    let (inside, clock) = (tokens.clone(), pool.clock.clone());
    let is_first = AtomicBool::new(true);
    storage.run(move |operation, _| {
        if operation == "store" && is_first.swap(false, Ordering::SeqCst) {
            clock.advance(seconds(3600));
            inside.id_token().unwrap();
        }
    });
    tokens.id_token().unwrap();
    assert_eq!(pool.cognito.calls(GET_TOKENS), 2);
    pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
    let stores = storage.inner.calls("store");
    assert_eq!(
        stores, 5,
        "two failed ones, the late one, the latest, and that of the next process"
    );
}
