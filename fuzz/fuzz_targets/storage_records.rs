//! Stored identity records. The first byte chooses the login and what is read first. The rest is
//! the record.

#![no_main]

use std::sync::Arc;

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::{IdentityOrigin, MemoryStorage, Storage};
use cognito_identity_credentials_fuzz::{
    MINTED, Notes, PROVIDER, TOKEN, check_text, good, is_identity, is_json, member, settings,
    text_member, watch_log,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const KEY: &str = "identity/us-east-1:00000000-0000-4000-8000-0000000000aa";

fuzz_target!(init: watch_log(), |data: &[u8]| {
    let Some((&choice, record)) = data.split_first() else { return };
    let (login, reads_id_first) = (choice & 1 == 1, choice & 2 == 2);
    let storage = Arc::new(MemoryStorage::new());
    storage.store(KEY, record).expect("memory does not fail");
    let stored = || storage.load(KEY).expect("memory does not fail");
    let (clock, notes) = (ManualClock::new(), Notes::default());
    let seen = notes.clone();
    let transport = move |request: &_| {
        seen.take(request);
        good(request)
    };
    let mut builder = settings(&clock, transport).storage(storage.clone());
    if login {
        builder = builder.login(PROVIDER, TOKEN);
    }
    let provider = builder.build().expect("the settings are valid");

    let whole = serde_json::from_slice::<Value>(record).ok();
    if whole.is_none() && is_json(record) || is_ambiguous(record) {
        return;
    }
    let place = place(whole.as_ref());
    let usable = usable(whole.as_ref(), login).filter(|_| place == Place::Own);
    if reads_id_first {
        assert_eq!(provider.identity_id(), usable);
        let origin = provider.status().identity_origin;
        assert_eq!(origin, usable.as_ref().map(|_| IdentityOrigin::Stored));
    }
    let set = provider.get().expect("the service has no fault");
    let expected = usable.as_deref().unwrap_or(MINTED);
    assert_eq!(set.identity_id(), Some(expected));
    assert_eq!(notes.last_identity().as_deref(), Some(expected));
    assert_eq!(notes.count_of("GetId"), usize::from(usable.is_none()));
    check_text(&format!("{provider:?}"));

    if place == Place::OfAnotherKey {
        assert_eq!(stored().as_deref(), Some(record), "the record was overwritten");
        return;
    }
    // The storage now has a record of the identity in use. It contains no token.
    let kept = stored().expect("a record");
    assert!(!kept.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()) || contains(record));
    let document = serde_json::from_slice(&kept).expect("the record is JSON");
    assert_eq!(member(&document, "version"), Some(&Value::from(2)));
    assert_eq!(text_member(&document, "key").as_deref(), Some(KEY));
    let again = settings(&clock, |request: &_| good(request)).storage(storage);
    let again = again.build().expect("the settings are valid");
    assert_eq!(again.identity_id().as_deref(), Some(expected));
});

/// The name of a provider in the record can be any text.
fn contains(record: &[u8]) -> bool {
    String::from_utf8_lossy(record).contains("SENTINEL") || record.contains(&b'\\')
}

/// If a member occurs twice, serde_json takes the last one, and the library neither.
fn is_ambiguous(record: &[u8]) -> bool {
    let text = String::from_utf8_lossy(record);
    let twice = |name| text.matches(name).count() > 1;
    text.contains("\\u") || ["version", "key", "identity_id", "providers"].into_iter().any(twice)
}

/// The owner of the record.
#[derive(PartialEq)]
enum Place {
    Own,
    OfAnotherKey,
    /// The record counts as absent.
    Nobodys,
}

fn place(record: Option<&Value>) -> Place {
    let version = record.and_then(|record| member(record, "version")?.as_u64());
    match (version, record.and_then(|record| text_member(record, "key"))) {
        (Some(1), _) => Place::Own,
        (_, Some(key)) if key != KEY => Place::OfAnotherKey,
        (Some(2), Some(_)) => Place::Own,
        _ => Place::Nobodys,
    }
}

/// Returns the identity of a record, if it is usable with these logins.
fn usable(record: Option<&Value>, login: bool) -> Option<String> {
    let record = record?;
    let id = text_member(record, "identity_id")?;
    let providers = member(record, "providers")?.as_array()?;
    if !providers.iter().all(Value::is_string) {
        return None;
    }
    let known = !login || providers.iter().any(|provider| provider.as_str() == Some(PROVIDER));
    (known && is_identity(&id) && id.starts_with("us-east-1:")).then_some(id)
}
