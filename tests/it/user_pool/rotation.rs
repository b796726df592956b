//! Refresh token rotation: each rotated token is stored, and the next refresh uses it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cognito_identity_credentials::testing::{Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Error, ErrorKind, FileStorage, MemoryStorage, Storage, UserPoolTokens, UserPoolTokensBuilder,
};

use super::{GET_TOKENS, INITIATE, KEY, Pool, answering, stored};
use crate::support::seconds;

#[test]
fn without_rotation_nothing_is_written() {
    let pool = Pool::new();
    let storage = Arc::new(MemoryStorage::new());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    for _ in 0..3 {
        tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    }
    assert_eq!(pool.sent(INITIATE), [&*pool.given; 3]);
    assert_eq!(format!("{storage:?}"), "MemoryStorage {}");
}

#[test]
fn rotation_is_detected_once_and_rotated_tokens_survive_a_restart() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let start =
        |settings: UserPoolTokensBuilder| settings.storage(storage.clone()).build().unwrap();
    let mut latest = pool.given.clone();
    let mut refresh = |tokens: &UserPoolTokens| {
        tokens.id_token().unwrap();
        assert_eq!(pool.sent(GET_TOKENS).last(), Some(&latest));
        pool.clock.advance(seconds(3600));
        latest = stored(&storage).unwrap();
    };
    let first = start(pool.settings());
    refresh(&first);
    refresh(&first);
    let calls = (pool.initiate_calls(), pool.rotating_calls());
    assert_eq!(calls, (1, 2), "only the first call is refused");
    assert_eq!(format!("{storage:?}"), format!("MemoryStorage {{{KEY:?}}}"));
    drop(first);

    refresh(&start(pool.settings()));
    let from_storage = start(pool.bare());
    refresh(&from_storage);
    refresh(&from_storage);
    refresh(&start(pool.settings()));
    let calls = (pool.initiate_calls(), pool.rotating_calls());
    assert_eq!(calls, (1, 6), "the stored token still belongs to the given one");
}

#[test]
fn with_rotation_set_only_get_tokens_from_refresh_token_is_called() {
    let pool = Pool::rotating(0);
    let tokens = pool.settings().refresh_token_rotation(true).build().unwrap();
    for _ in 0..3 {
        tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    }
    assert_eq!((pool.initiate_calls(), pool.rotating_calls()), (0, 3));
    pool.cognito.set_refresh_token_rotation(None);
    tokens.id_token().unwrap();
    let calls = (pool.initiate_calls(), pool.rotating_calls());
    assert_eq!(calls, (0, 4), "the operation also works without rotation");
}

#[test]
fn a_new_sign_in_replaces_the_stored_token_of_an_old_one() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let start = |token: &str| {
        let settings = pool.bare().refresh_token(token).refresh_token_rotation(true);
        settings.storage(storage.clone()).build().unwrap()
    };
    start(&pool.given).id_token().unwrap();
    let of_ann = stored(&storage).unwrap();
    let bobs = pool.cognito.sign_in("bob");
    start(&bobs).id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS), [&*pool.given, &*bobs]);
    let of_bob = stored(&storage).unwrap();
    assert_ne!(of_ann, of_bob);

    // The old sign-in has no record any more, and its first token was replaced by a rotation.
    let error = start(&pool.given).id_token().unwrap_err();
    assert_eq!(error.code(), Some("RefreshTokenReuseException"));
    assert!(error.needs_sign_in());
    assert_eq!(stored(&storage).as_ref(), Some(&of_bob));
}

#[test]
fn each_user_and_app_client_has_its_own_record() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let settings = pool.settings().storage(storage.clone()).login_id("ann/1");
    settings.build().unwrap().id_token().unwrap();
    assert_eq!(format!("{storage:?}"), format!("MemoryStorage {{\"{KEY}/ann/1\"}}"));
    let error = pool.bare().storage(storage).login_id("bob").build().unwrap().id_token();
    assert_eq!(error.unwrap_err().message(), "no refresh token is known: the user has to sign in");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file_of_a_rotated_token() {
    use std::os::unix::fs::PermissionsExt;

    let pool = Pool::rotating(0);
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let settings = || pool.settings().storage(FileStorage::new(&directory)).build().unwrap();
    settings().id_token().unwrap();
    pool.clock.advance(seconds(3600));
    settings().id_token().unwrap();
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 2, "the record and its lock");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!file.file_name().to_string_lossy().contains("fake-refresh"));
    }
}

#[test]
fn a_rotated_token_is_stored_before_the_id_token_is_used() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let (service, records) = (pool.cognito.clone(), storage.clone());
    let transport = move |request: &HttpRequest| {
        assert!(
            stored(&records).is_some(),
            "the ID token is used before the refresh token is stored"
        );
        service.send(request)
    };
    let settings = pool.guest().login_from(tokens.provider(), tokens.clone());
    settings.transport(transport).build().unwrap().get().unwrap();

    // It is also stored if the ID token of the answer is malformed, or the refresh token unusual.
    let lacks = "the answer lacks AuthenticationResult.IdToken";
    let endless = "the answer's IdToken does not say when it ends, and ExpiresIn is missing";
    let no_text = "the answer's AuthenticationResult.IdToken is not a JSON string";
    let white_space = "the answer's IdToken has white space in it";
    let rows = [
        (r#""IdToken":"opaque","#, "rotated", Some(endless)),
        (r#""IdToken":"o\r","ExpiresIn":3600,"#, "rotated", Some(white_space)),
        (r#""AccessToken":"a","#, "rotated", Some(lacks)),
        (r#""IdToken":"","#, "rotated", Some(lacks)),
        (r#""IdToken":7,"#, "rotated", Some(no_text)),
        (r#""IdToken":"o","ExpiresIn":3600,"#, "rot/ ated+é", None),
        (r#""IdToken":"o","ExpiresIn":3600,"#, &"r".repeat(20_000), None),
    ];
    for (rest, rotated, fault) in rows {
        let clock = ManualClock::new();
        let storage = Arc::new(MemoryStorage::new());
        let result = format!(r#"{{{rest}"RefreshToken":"{rotated}"}}"#);
        let tokens = answering(&clock, &result).storage(storage.clone()).build().unwrap();
        let error = tokens.id_token().err();
        assert_eq!(error.as_ref().map(Error::message), fault, "{result}");
        assert_eq!(stored(&storage).as_deref(), Some(rotated), "{result}");

        // The next process sends it.
        let sent = Arc::new(Mutex::new(None));
        let seen = sent.clone();
        let transport = move |request: &HttpRequest| {
            let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
            *seen.lock().unwrap() = body["RefreshToken"].as_str().map(str::to_owned);
            Ok(HttpResponse::new(403, ""))
        };
        let next = answering(&clock, "").storage(storage).transport(transport).build().unwrap();
        next.id_token().unwrap_err();
        assert_eq!(sent.lock().unwrap().as_deref(), Some(rotated), "{result}");
    }
}

#[test]
fn a_lost_answer_requires_a_sign_in_only_without_a_grace_period() {
    let pool = Pool::rotating(60);
    let tokens = pool.settings().refresh_token_rotation(true).build().unwrap();
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::AnswerLost(TransportErrorKind::Io));
    tokens.id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS), [&*pool.given; 2]);

    let pool = Pool::rotating(0);
    let tokens = pool.settings().refresh_token_rotation(true).build().unwrap();
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::AnswerLost(TransportErrorKind::Io));
    let error = tokens.id_token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAuthorized);
    assert!(error.needs_sign_in() && !error.is_retryable());
}

/// The ID token is still valid for 13 minutes, but a grace period is never that long.
#[test]
fn an_advisory_rotation_is_never_abandoned() {
    // Whether `refresh_token_rotation` is set, and after how many seconds an answer is lost.
    for (is_set, took) in [(true, 0), (false, 0), (true, 11)] {
        for (lost, is_new) in [(1, true), (2, took == 0), (4, false)] {
            let pool = Pool::rotating(60);
            let (service, clock) = (pool.cognito.clone(), pool.clock.clone());
            let to_lose = Arc::new(AtomicUsize::new(0));
            let losing = to_lose.clone();
            let transport = move |request: &HttpRequest| {
                let answer = service.send(request)?;
                let one_less = |left: usize| left.checked_sub(1);
                if losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
                    return Ok(answer);
                }
                clock.advance(seconds(took));
                Err(TransportError::new(TransportErrorKind::Timeout, "lost"))
            };
            let settings = pool.settings().refresh_token_rotation(is_set).transport(transport);
            let tokens = settings.timeout(seconds(15)).build().unwrap();
            let first = tokens.id_token().unwrap();
            pool.clock.advance(seconds(2_800));
            to_lose.store(lost, Ordering::SeqCst);
            let before = pool.cognito.calls(GET_TOKENS);
            let next = tokens.id_token().unwrap();
            let row = format!("set: {is_set}, {took} s, {lost} lost");
            assert_eq!(next != first, is_new, "{row}: without a new token, the old one is used");
            let calls = if took == 0 { 4.min(lost + 1) } else { 2 };
            assert_eq!(pool.cognito.calls(GET_TOKENS) - before, calls, "{row}");
        }
    }
}

/// A power cut before or after the new token is stored.
#[test]
fn a_restart_works_with_any_stored_record() {
    let pool = Pool::rotating(60);
    let storage = Arc::new(MemoryStorage::new());
    let start = || pool.settings().storage(storage.clone()).build().unwrap();
    start().id_token().unwrap();
    let before = storage.load(KEY).unwrap().unwrap();
    start().id_token().unwrap();
    storage.store(KEY, &before).unwrap();
    start().id_token().unwrap();

    for damage in ["", "null", "{}", "\u{0}", "{\"version\":3}"] {
        storage.store(KEY, damage.as_bytes()).unwrap();
        start().id_token().unwrap();
        let whole = storage.load(KEY).unwrap().unwrap();
        assert!(whole.len() > 60, "a complete record replaces it");
        let later = String::from_utf8(whole).unwrap().replace(":2,", ":3,");
        storage.store(KEY, later.as_bytes()).unwrap();
        let bare = pool.bare().storage(storage.clone()).build().unwrap();
        assert_eq!(
            bare.id_token().unwrap_err().kind(),
            ErrorKind::Login,
            "a record of a later version is not used"
        );
        start().id_token().unwrap();
    }
}
