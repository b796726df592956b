//! Log lines that tell why a provider did something else than usual.

use std::sync::Arc;

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, MemoryStorage, Storage};

use crate::secrets::{logged, record_log};
use crate::support::{POOL, PROVIDER};

fn settings(cognito: &FakeCognito, storage: &Arc<MemoryStorage>) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(cognito.clone())
        .storage(storage.clone())
}

fn count(line: &str) -> usize {
    logged().matches(line).count()
}

#[test]
fn a_rejected_identity_is_logged() {
    record_log();
    let (cognito, storage) = (FakeCognito::new(), Arc::default());
    let provider = settings(&cognito, &storage).build().unwrap();
    provider.get().unwrap();
    cognito.disable_identity(&provider.identity_id().unwrap());
    provider.refresh().unwrap();
    let line = "the service rejected the identity; requesting another one: ";
    assert_eq!(count(line), 1, "{}", logged());
}

#[test]
fn a_damaged_record_is_logged() {
    record_log();
    let (cognito, storage) = (FakeCognito::new(), Arc::<MemoryStorage>::default());
    let key = format!("identity/{POOL}");
    storage.store(&key, b"damaged").unwrap();
    settings(&cognito, &storage).build().unwrap().get().unwrap();
    let line = "the record of the identity cannot be used; it counts as absent";
    assert!(count(line) > 0, "{}", logged());
}

#[test]
fn why_no_credentials_are_stored_is_logged_once() {
    record_log();
    let (cognito, storage) = (FakeCognito::new(), Arc::default());
    cognito.accept_login(PROVIDER, "token", "ann");
    let provider = settings(&cognito, &storage).persist_credentials(true).build().unwrap();
    provider.set_login(PROVIDER, "token");
    for _ in 0..2 {
        provider.refresh().unwrap();
        assert_eq!(count("no credentials are stored or reused: "), 1, "{}", logged());
    }
}
