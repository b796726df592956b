//! Answers of Cognito Identity. The first byte chooses the operation and the status. The rest is
//! the body.

#![no_main]

use std::sync::{Arc, Mutex};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::HttpResponse;
use cognito_identity_credentials_fuzz::{
    IDENTITY, MINTED, Notes, PROVIDER, ROLE, TOKEN, check_end, check_error, form_field, good,
    is_identity, is_json, is_key, member, operation, settings, text_member, watch_log,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [200, 200, 200, 299, 400, 403, 500, 302];

const NAMES: [&str; 3] = ["GetId", "GetCredentialsForIdentity", "GetOpenIdToken"];

fuzz_target!(init: watch_log(), |data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let status = STATUSES[usize::from(choice >> 2) % STATUSES.len()];
    let fuzzed = NAMES[usize::from(choice & 3) % NAMES.len()];
    let given = fuzzed != "GetId" && choice & 0x80 == 0;

    let (clock, notes, sent) = (ManualClock::new(), Notes::default(), Arc::new(Mutex::new(None)));
    let (answer, seen, form) = (HttpResponse::new(status, body), notes.clone(), sent.clone());
    let transport = move |request: &_| {
        seen.take(request);
        match operation(request) {
            name if name == fuzzed => answer.clone(),
            "AssumeRoleWithWebIdentity" => {
                *form.lock().unwrap() = form_field(request.body(), "WebIdentityToken");
                good(request)
            }
            _ => good(request),
        }
    };
    let mut builder = settings(&clock, transport).login(PROVIDER, TOKEN);
    if given {
        builder = builder.identity_id(IDENTITY);
    }
    if fuzzed == "GetOpenIdToken" {
        builder = builder.role_arn(ROLE);
    }
    let provider = builder.build().expect("the settings are valid");

    let set = match provider.get() {
        Ok(set) => set,
        Err(error) => {
            check_error(&error);
            assert!(provider.cached().is_none());
            if fuzzed == "GetId" {
                let uses = notes.count_of("GetCredentialsForIdentity");
                assert_eq!(uses, 0, "an ID that no answer contained was used");
            }
            return;
        }
    };
    assert!((200..300).contains(&status), "credentials from an answer with status {status}");
    assert!(is_json(body), "an answer that is not JSON was used");
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return };
    assert!(document.is_object(), "an answer that is not an object was used");
    let identity = text_member(&document, "IdentityId");
    if let Some(id) = &identity {
        assert!(is_identity(id) && id.starts_with("us-east-1:"), "{id:?} is not an ID");
    }
    let before = if given { IDENTITY } else { MINTED };
    let expected = identity.as_deref().unwrap_or(before);
    assert_eq!(provider.identity_id().as_deref(), Some(expected));
    assert_eq!(set.identity_id(), Some(expected));
    match fuzzed {
        "GetId" => assert_eq!(notes.last_identity().as_deref(), Some(expected)),
        "GetOpenIdToken" => {
            let token = text_member(&document, "Token").expect("the answer has a Token");
            assert_eq!(sent.lock().unwrap().as_deref(), Some(token.as_bytes()));
        }
        _ => {
            let keys = member(&document, "Credentials").expect("the answer has Credentials");
            assert!(keys.is_object(), "Credentials is not an object");
            let texts = [
                ("AccessKeyId", set.access_key_id()),
                ("SecretKey", set.secret_access_key()),
                ("SessionToken", set.session_token()),
            ];
            for (name, text) in texts {
                assert_eq!(text_member(keys, name).as_deref(), Some(text));
                assert!(is_key(text), "{name} has other characters");
            }
        }
    }

    check_end(&set, &provider, &clock, &notes);
});
