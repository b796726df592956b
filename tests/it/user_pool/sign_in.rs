//! Sign-ins, sign-outs, and the refusals that need a new sign-in.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cognito_identity_credentials::testing::{Fault, FaultyStorage};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportErrorKind,
};
use cognito_identity_credentials::{Error, ErrorKind, MemoryStorage, Storage, UserPoolTokens};

use super::{GET_TOKENS, INITIATE, KEY, Pool, stored};
use crate::storages::{Hooked, fail_writes};
use crate::support::{GET_CREDENTIALS, seconds};

#[test]
fn a_signed_out_user_stays_signed_out_whatever_is_stored() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let process = || {
        let tokens = pool.settings().storage(storage.clone()).build().unwrap();
        tokens.id_token().unwrap();
        tokens
    };
    let (tokens, other) = (process(), process());
    let signed_out = || {
        let error = tokens.id_token().unwrap_err();
        assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Login, true));
    };
    // The removal of the record fails.
    fail_writes(&storage, io::ErrorKind::StorageFull);
    tokens.forget_refresh_token();
    assert!(stored(&records).is_some());
    signed_out();
    // The removal works, but another process that is still signed in stores a new token.
    storage.clear_faults();
    tokens.forget_refresh_token();
    assert_eq!(stored(&records), None);
    pool.clock.advance(seconds(3600));
    other.id_token().unwrap();
    assert!(stored(&records).is_some());
    signed_out();
    // A record that cannot be decoded is removed too.
    for record in ["{\"version\":3}", "\u{0}"] {
        records.store(KEY, record.as_bytes()).unwrap();
        tokens.forget_refresh_token();
        assert_eq!(records.load(KEY).unwrap(), None);
    }
    // The user signs in again, and another program starts with the stored token.
    tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
    tokens.id_token().unwrap();
    pool.bare().storage(storage.clone()).build().unwrap().id_token().unwrap();
}

/// The documentation of `forget_refresh_token` says how.
#[test]
fn a_sign_out_can_leave_no_credentials_to_the_next_process() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let provider = |tokens: &UserPoolTokens| {
        let settings = pool.guest().login_from_user_pool(tokens).login_id("ann");
        settings.storage(storage.clone()).persist_credentials(true).build().unwrap()
    };
    let next = || provider(&pool.bare().storage(storage.clone()).build().unwrap()).get();
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let credentials = provider(&tokens);
    let anns = credentials.get().unwrap();
    tokens.forget_refresh_token();
    assert_eq!(next().unwrap(), anns, "they are valid until they expire");
    credentials.clear_cached_id();
    credentials.expire();
    assert!(credentials.get().unwrap_err().needs_sign_in());
    assert!(next().unwrap_err().needs_sign_in());
}

/// For each refusal: the error of `UserPoolTokens`, and the error of the provider that uses them.
#[test]
fn a_refusal_says_whether_the_user_must_sign_in() {
    use ErrorKind as K;
    struct Row {
        fault: Fault,
        kind: ErrorKind,
        needs_sign_in: bool,
        is_retryable: bool,
    }
    let row = |kind, fault| Row { fault, kind, needs_sign_in: false, is_retryable: false };
    let sign_in = |fault| Row { needs_sign_in: true, ..row(K::NotAuthorized, fault) };
    let retryable = |kind, fault| Row { is_retryable: true, ..row(kind, fault) };
    let denied = |text: &str| Fault::error(400, "NotAuthorizedException", text);
    let code = |code: &str| Fault::error(400, code, "No.");
    let rows = [
        sign_in(denied("Refresh Token has expired")),
        sign_in(denied("Refresh Token has been revoked")),
        sign_in(denied("Invalid Refresh Token")),
        row(K::NotAuthorized, denied("User is disabled.")),
        row(K::NotAuthorized, denied("Unable to verify secret hash")),
        sign_in(code("UserNotFoundException")),
        sign_in(code("UserNotConfirmedException")),
        sign_in(code("PasswordResetRequiredException")),
        sign_in(code("RefreshTokenReuseException")),
        row(K::NotFound, code("ResourceNotFoundException")),
        row(K::Refused, code("UserLambdaValidationException")),
        retryable(K::Throttled, code("TooManyRequestsException")),
        retryable(K::Unavailable, code("InternalErrorException")),
        retryable(K::Timeout, Fault::timeout()),
        retryable(K::Unreachable, Fault::NoAnswer(TransportErrorKind::Connect)),
        row(K::Tls, Fault::NoAnswer(TransportErrorKind::Tls)),
        row(K::Response, Fault::raw(200, "<html>")),
        sign_in(Fault::raw(200, r#"{"ChallengeName":"SMS_MFA","Session":"x"}"#)),
    ];
    for Row { fault, kind, needs_sign_in, is_retryable } in rows {
        // The provider reports a refusal by the user pool as an error of the login.
        let kind_of_provider = match kind {
            K::NotAuthorized | K::NotFound | K::Refused => K::Login,
            kind => kind,
        };
        let pool = Pool::new();
        let tokens = pool.tokens();
        let credentials = pool.provider(&tokens);
        let what = format!("{fault:?}");
        pool.cognito.fail_next(INITIATE, 4, fault);
        let outer = credentials.get().unwrap_err();
        assert_eq!(
            (outer.kind(), outer.needs_sign_in(), outer.is_retryable()),
            (kind_of_provider, needs_sign_in, is_retryable),
            "{what}"
        );
        let inner = std::error::Error::source(&outer).unwrap();
        let inner = inner.downcast_ref::<Error>().unwrap().clone();
        assert_eq!(
            (inner.kind(), inner.needs_sign_in(), inner.is_retryable(), inner.operation()),
            (kind, needs_sign_in, is_retryable, Some(INITIATE)),
            "{what}"
        );
        assert_eq!(outer.hint(), inner.hint());
        let message =
            "the token source for cognito-idp.us-east-1.amazonaws.com/us-east-1_FakePool1 failed";
        assert!(
            format!("{outer:#}").starts_with(&format!("{message}: InitiateAuth: ")),
            "{outer:#}"
        );
        assert_eq!(pool.cognito.calls("GetId"), 0, "no call without a login token");

        // After a new sign-in, the provider has no cooldown.
        tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
        let cause = |error: Error| std::error::Error::source(&error).map(ToString::to_string);
        let again = credentials.get().map_err(cause);
        assert_eq!(pool.initiate_calls(), if is_retryable { 5 } else { 2 }, "{what}: {again:?}");
    }
}

#[test]
fn a_refusal_is_cached_for_a_while_and_a_new_sign_in_clears_it() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    pool.cognito.sign_out("ann");
    for _ in 0..5 {
        assert!(tokens.id_token().unwrap_err().needs_sign_in());
    }
    assert_eq!(pool.initiate_calls(), 1);
    pool.clock.advance(seconds(6));
    tokens.id_token().unwrap_err();
    assert_eq!(pool.initiate_calls(), 2);
    tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
    tokens.id_token().unwrap();

    // If `Retry-After` is longer than the time that is left, the call ends at once.
    let busy = |_: &HttpRequest| {
        let body = r#"{"__type":"TooManyRequestsException"}"#;
        Ok(HttpResponse::new(400, body).with_header("retry-after", "30"))
    };
    let pool = Pool::new();
    let tokens = pool.settings().transport(busy).build().unwrap();
    assert_eq!(tokens.id_token().unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(pool.clock.sleeps(), [Duration::ZERO; 0]);
}

#[test]
fn a_login_token_that_the_identity_pool_refuses_is_refreshed_at_once() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    let credentials = pool.provider(&tokens);
    credentials.get().unwrap();
    let refused = tokens.id_token().unwrap();
    pool.cognito.expire_login(tokens.provider(), &refused);
    credentials.refresh().unwrap();
    assert_eq!(pool.initiate_calls(), 2);
    assert_ne!(tokens.id_token().unwrap(), refused);

    // If another provider has already refreshed the token, it is not refreshed again.
    let second = pool.provider(&tokens);
    pool.cognito.expire_login(tokens.provider(), &tokens.id_token().unwrap());
    credentials.refresh().unwrap();
    second.get().unwrap();
    assert_eq!(pool.initiate_calls(), 3);

    // If the new token is refused too, the error is final.
    for fault in ["Token expired: 1 >= 0", "Couldn't verify signed token."] {
        let before = pool.initiate_calls();
        let fault = Fault::not_authorized(format!("Invalid login token. {fault}"));
        pool.cognito.fail_next(GET_CREDENTIALS, 2, fault);
        let error = credentials.refresh().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAuthorized);
        assert!(error.needs_sign_in());
        assert_eq!(pool.initiate_calls(), before + 1);
    }
}

#[test]
fn a_revoked_login_that_cannot_be_refreshed_needs_sign_in() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    let credentials = pool.provider(&tokens);
    let keys = credentials.get().unwrap();
    pool.cognito.sign_out("ann");
    let error = credentials.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    assert!(error.needs_sign_in());
    assert!(format!("{error:#}").contains("Refresh Token has been revoked"), "{error:#}");
    assert_eq!(credentials.get().unwrap(), keys, "they are still valid");
    tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
    assert_eq!(credentials.refresh().unwrap().identity_id(), keys.identity_id());
}

#[test]
fn the_sign_in_of_another_user_discards_the_tokens_of_the_first() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let anns = tokens.id_token().unwrap();
    tokens.set_refresh_token(&pool.given).unwrap();
    assert_eq!(tokens.id_token().unwrap(), anns, "the same sign-in changes nothing");
    let of_ann = stored(&storage);
    assert!(of_ann.is_some());

    let error = tokens.set_refresh_token("not a token").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.to_string().contains("not a token"));
    assert_eq!((tokens.id_token().unwrap(), stored(&storage)), (anns.clone(), of_ann));

    let bobs = pool.cognito.sign_in("bob");
    tokens.set_refresh_token(&bobs).unwrap();
    assert_eq!(stored(&storage), None, "a restarted program must not be signed in as Ann");
    assert_ne!(tokens.id_token().unwrap(), anns);
    assert_eq!(pool.sent(GET_TOKENS).last(), Some(&bobs));
    assert_eq!(pool.cognito.calls(INITIATE), 1, "the rotation of the app client is known");
    assert!(stored(&storage).is_some());

    tokens.forget_refresh_token();
    assert_eq!(stored(&storage), None);
    let error = tokens.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Login, true));
    assert_eq!(pool.cognito.calls(GET_TOKENS), 2);
}

#[test]
fn tokens_of_an_earlier_sign_in_are_neither_cached_nor_stored() {
    let pool = Pool::rotating(0);
    let bobs = pool.cognito.sign_in("bob");
    let storage = FaultyStorage::new();
    let place: Arc<OnceLock<UserPoolTokens>> = Arc::default();
    let (service, inside, next) = (pool.cognito.clone(), place.clone(), bobs.clone());
    let transport = move |request: &HttpRequest| {
        let answer = service.send(request)?;
        inside.get().unwrap().set_refresh_token(&next).unwrap();
        Ok(answer)
    };
    let settings = pool.settings().storage(storage.clone()).refresh_token_rotation(true);
    let tokens = settings.transport(transport).build().unwrap();
    place.set(tokens.clone()).unwrap();
    tokens.id_token().unwrap();
    assert_eq!(storage.calls("store"), 0);
    tokens.id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS), [&*pool.given, &*bobs]);
    assert_eq!(storage.calls("store"), 1);
}

#[test]
fn a_token_stored_during_a_new_sign_in_is_removed_again() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = Arc::new(Hooked::around(records.clone()));
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let inside = tokens.clone();
    storage.run(move |operation, _| {
        if operation == "store" {
            inside.set_refresh_token("bobs").unwrap();
        }
    });
    tokens.id_token().unwrap();
    assert_eq!(stored(&records), None);
}
