//! Log lines that tell why a provider did something else than usual.

use cognito_identity_credentials::{MemoryStorage, Storage};

use crate::secrets::{logged, record_log};
use crate::support::{POOL, PROVIDER, Stage};

fn count(line: &str) -> usize {
    logged().matches(line).count()
}

#[test]
fn a_rejected_identity_is_logged() {
    record_log();
    let Stage { cognito, credentials, .. } = Stage::new();
    credentials.get().unwrap();
    cognito.disable_identity(&credentials.identity_id().unwrap());
    credentials.refresh().unwrap();
    let line = "the service rejected the identity; requesting another one: ";
    assert_eq!(count(line), 1, "{}", logged());
}

#[test]
fn a_damaged_record_is_logged() {
    record_log();
    let storage = MemoryStorage::new();
    storage.store(&format!("identity/{POOL}"), b"damaged").unwrap();
    Stage::with(|builder| builder.storage(storage)).credentials.get().unwrap();
    let line = "the record of the identity cannot be used; it counts as absent";
    assert!(count(line) > 0, "{}", logged());
}

#[test]
fn why_no_credentials_are_stored_is_logged_once() {
    record_log();
    let stage =
        Stage::with(|builder| builder.storage(MemoryStorage::new()).persist_credentials(true));
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    stage.credentials.set_login(PROVIDER, "token");
    for _ in 0..2 {
        stage.credentials.refresh().unwrap();
        assert_eq!(count("no credentials are stored or reused: "), 1, "{}", logged());
    }
}
