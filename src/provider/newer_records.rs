//! What a provider does with records that changed after it read them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::provider::{Builder, CognitoIdentityCredentials};
use crate::refresh::IdentityOrigin;
use crate::storage::{MemoryStorage, Storage};
use crate::testing::{FakeCognito, Fault, FaultyStorage, ManualClock};
use crate::transport::TransportErrorKind;

fn settings(
    cognito: &FakeCognito,
    clock: &ManualClock,
    storage: impl Storage + 'static,
) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(FakeCognito::POOL_ID)
        .transport(cognito.clone())
        .clock(clock.clone())
        .storage(storage)
}

#[test]
fn a_temporary_guest_that_is_stored_meanwhile_stays_the_guest_that_this_process_created() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
    let provider = settings(&cognito, &clock, storage.clone()).build().unwrap();
    provider.get().unwrap();
    let guest = provider.identity_id().unwrap();

    let key = format!("identity/{}", FakeCognito::POOL_ID);
    let record = format!(r#"{{"version":2,"key":"{key}","identity_id":"{guest}","providers":[]}}"#);
    records.store(&key, record.as_bytes()).unwrap();
    storage.clear_faults();
    provider.refresh().unwrap();
    assert_eq!(provider.identity_id(), Some(guest));
    assert_eq!(provider.status().identity_origin, Some(IdentityOrigin::Minted));
}

/// The newer credentials would need a refresh as well, so they do not replace the cached ones.
#[test]
fn an_advisory_attempt_that_fails_keeps_the_cached_credentials() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let storage = Arc::new(MemoryStorage::new());
    let process = || {
        let settings = settings(&cognito, &clock, storage.clone()).persist_credentials(true);
        settings.build().unwrap()
    };
    let (one, other) = (process(), process());
    let cached = one.get().unwrap();
    clock.advance(Duration::from_secs(60));
    assert_ne!(other.refresh().unwrap(), cached);
    clock.advance(Duration::from_secs(2_800));
    let lost = Fault::NoAnswer(TransportErrorKind::Connect);
    cognito.fail_next("GetCredentialsForIdentity", usize::MAX, lost);
    assert_eq!(one.get().unwrap(), cached);
    assert!(one.status().last_error.is_some());
}
