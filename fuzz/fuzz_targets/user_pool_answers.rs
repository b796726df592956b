//! Answers of a user pool. The first byte chooses the status, and whether the rest is the body or
//! the payload of the ID token in it.

#![no_main]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{MemoryStorage, UserPoolTokens};
use cognito_identity_credentials_fuzz::{
    START, TOKEN, check_error, check_text, is_json, member, text_member, watch_log,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [200, 200, 200, 299, 400, 403, 500, 302];

/// An ID token is used for at most this long.
const MAX_LIFETIME: u64 = 24 * 3600;

fuzz_target!(init: watch_log(), |data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let status = STATUSES[usize::from(choice >> 1) % STATUSES.len()];
    let is_payload = choice & 1 == 1;
    let body = if is_payload {
        let payload = URL_SAFE_NO_PAD.encode(rest);
        format!(r#"{{"AuthenticationResult":{{"IdToken":"h.{payload}.s"}}}}"#).into_bytes()
    } else {
        rest.to_vec()
    };

    let (clock, sent) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
    let (answer, seen) = (HttpResponse::new(status, &*body), sent.clone());
    let transport = move |request: &HttpRequest| {
        seen.lock().unwrap().push(sent_token(request));
        Ok(answer.clone())
    };
    let tokens = UserPoolTokens::builder()
        .user_pool_id(FakeCognito::USER_POOL_ID)
        .client_id(FakeCognito::CLIENT_ID)
        .refresh_token(TOKEN)
        .storage(MemoryStorage::new())
        .transport(transport)
        .clock(clock.clone())
        .max_attempts(1)
        .build()
        .expect("the settings are valid");

    let outcome = tokens.id_token();
    check_text(&format!("{tokens:?}"));
    let id_token = match outcome {
        Ok(token) => token,
        Err(error) => return check_error(&error),
    };
    assert!((200..300).contains(&status), "a token from an answer with status {status}");
    assert!(is_json(&body), "an answer that is not JSON was used");
    let Ok(document) = serde_json::from_slice::<Value>(&body) else { return };
    let result = member(&document, "AuthenticationResult").expect("the answer has a result");
    assert_eq!(text_member(result, "IdToken").as_deref(), Some(&*id_token));

    let mut life = MAX_LIFETIME;
    if is_payload {
        assert!(is_json(rest), "a payload that is not JSON was used");
        let Ok(payload) = serde_json::from_slice::<Value>(rest) else { return };
        let end = member(&payload, "exp").expect("the payload says when the token ends");
        if let Some(end) = end.as_u64() {
            assert!(end > START, "an expired token was used");
            life = life.min(end - START);
        }
    }
    assert_eq!(tokens.id_token().ok(), Some(id_token), "the token is cached");
    let calls = sent.lock().unwrap().len();
    clock.advance(Duration::from_secs(life));
    if let Err(error) = tokens.id_token() {
        check_error(&error);
    }
    let sent = sent.lock().unwrap();
    assert!(sent.len() > calls, "an expired token was returned");
    // The latest refresh token is sent.
    let rotated = text_member(result, "RefreshToken").unwrap_or_else(|| TOKEN.to_owned());
    assert_eq!(sent[calls], rotated);
});

/// Returns the refresh token in a request of either operation.
fn sent_token(request: &HttpRequest) -> String {
    let body: Value = serde_json::from_slice(request.body()).expect("a request is JSON");
    let parameters = member(&body, "AuthParameters");
    let token = parameters.and_then(|parameters| text_member(parameters, "REFRESH_TOKEN"));
    token.or_else(|| text_member(&body, "RefreshToken")).expect("a request has a refresh token")
}
