//! Nothing secret is printed, whatever happens.

use std::fmt::Debug;
use std::sync::{Mutex, Once};
use std::time::SystemTime;

use cognito_identity_credentials::testing::{FakeCognito, Fault};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    BoxError, CognitoIdentityCredentials, Credentials, Error, Logins,
};

use crate::support::{GET_CREDENTIALS, POOL, PROVIDER, Stage};

const TOKEN: &str = "SENTINEL-TOKEN";
const SECRET: &str = "SENTINEL-SECRET";
const SESSION: &str = "SENTINEL-SESSION";
const IDENTITY: &str = "us-east-1:5e471e10-5e47-5e47-5e47-5e471e105e47";

/// Everything that any test of this binary logs, at level trace.
static LOG: Mutex<String> = Mutex::new(String::new());

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}\n", record.level(), record.target(), record.args());
        LOG.lock().unwrap().push_str(&line);
    }

    fn flush(&self) {}
}

pub(crate) fn record_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

pub(crate) fn logged() -> String {
    LOG.lock().unwrap().clone()
}

pub(crate) fn assert_clean(text: &str) {
    for secret in ["SENTINEL", "5e471e10"] {
        if let Some(at) = text.find(secret) {
            let from = text[..at].rfind('\n').map_or(0, |at| at + 1);
            panic!("{secret} is in: {}", &text[from..]);
        }
    }
}

fn prints(things: &[&dyn Debug]) -> String {
    things.iter().map(|thing| format!("{thing:?}\n{thing:#?}\n")).collect()
}

fn error_prints(error: &Error) -> String {
    let mut text =
        format!("{error}\n{error:#}\n{error:?}\n{:?} {:?}", error.code(), error.request_id());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!("\n{cause} {cause:?}");
        source = cause.source();
    }
    text
}

/// A service that answers with the given status and body, and repeats secrets in its headers.
fn echo(status: u16, body: String) -> CognitoIdentityCredentials {
    let transport = move |_: &HttpRequest| {
        Ok(HttpResponse::new(status, body.clone())
            .with_header("x-amzn-requestid", format!("r {TOKEN} {IDENTITY}"))
            .with_header("date", TOKEN)
            .with_header("retry-after", TOKEN))
    };
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .identity_id(IDENTITY)
        .login(PROVIDER, TOKEN)
        .transport(transport)
        .max_attempts(1)
        .build()
        .unwrap()
}

#[test]
fn no_error_repeats_what_the_service_repeats() {
    record_log();
    let split = format!("{}\u{1b}[31m{}", &TOKEN[..4], &TOKEN[4..]);
    let error_document = |message: &str| {
        serde_json::json!({ "__type": format!("Some{TOKEN}Exception"), "message": message })
            .to_string()
    };
    let bodies = [
        error_document(&format!("Access to Identity '{IDENTITY}' is forbidden, {TOKEN}!")),
        error_document(&split.replace("[31m", "")),
        error_document(&format!("{}{TOKEN}", "x ".repeat(124))),
        error_document(&format!("another identity, {IDENTITY}.")),
        error_document(&format!("{TOKEN}{}", "a".repeat(100))),
        format!(r#"{{"Credentials": {{"AccessKeyId": "k", "SecretKey": ["{SECRET}"]}}}}"#),
        format!(
            r#"{{"Credentials": {{"AccessKeyId": "k", "SecretKey": "{SECRET}", "Expiration": "{SESSION}"}}}}"#
        ),
        format!(
            r#"{{"Credentials": {{"SecretKey": "{SECRET}", "SessionToken": "{SESSION}"}}, "IdentityId": "{IDENTITY}"}}"#
        ),
        format!(
            r#"{{"IdentityId": "{TOKEN}", "Credentials": {{"AccessKeyId": "k", "SecretKey": "{SECRET}", "SessionToken": "{SESSION}", "Expiration": 9e9}}}}"#
        ),
        format!("{TOKEN} {SECRET}"),
        format!(r#""{SECRET}"#),
    ];
    // Our own ID in a form that no pattern knows, and a token read from a file with its line end.
    let credentials = {
        let transport = move |_: &HttpRequest| {
            let text = format!("{TOKEN}-LINE and {TOKEN} and us-east-1:5e471e10 are odd");
            Ok(HttpResponse::new(400, error_document(&text)))
        };
        CognitoIdentityCredentials::builder()
            .identity_id("us-east-1:5e471e10")
            .login("a", format!("{TOKEN}-LINE\n"))
            .login("b", TOKEN)
            .transport(transport)
            .build()
            .unwrap()
    };
    assert_clean(&error_prints(&credentials.get().unwrap_err()));
    for status in [200, 400, 403, 500] {
        for body in &bodies {
            let credentials = echo(status, body.clone());
            let error = credentials.get().expect_err(body);
            assert_clean(&error_prints(&error));
            assert_clean(&prints(&[&credentials, &credentials.status(), &credentials.data()]));
            assert!(error.message().chars().count() <= 256);
            assert!(!error.message().chars().any(char::is_control));
        }
    }
    assert_clean(&logged());
}

#[test]
fn no_value_of_the_public_api_prints_a_secret() {
    record_log();
    let logins = Logins::new().with(PROVIDER, TOKEN);
    let cognito = FakeCognito::new();
    cognito.accept_login(PROVIDER, TOKEN, "ann");
    let seen = std::sync::Arc::new(Mutex::new(String::new()));
    let (service, print) = (cognito.clone(), seen.clone());
    let builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .logins(logins.clone())
        .transport(move |request: &HttpRequest| {
            let answer = service.send(request)?;
            print.lock().unwrap().push_str(&prints(&[request, &answer]));
            Ok(answer)
        });
    let credentials = builder.clone().build().unwrap();
    let set = credentials.get().unwrap();
    let by_hand = Credentials::new("ASIAEXAMPLE", SECRET, SESSION, SystemTime::now());
    let text = prints(&[
        &logins,
        &builder,
        &credentials,
        &set,
        &by_hand,
        &credentials.status(),
        &credentials.data(),
        &cognito,
        &cognito.requests(),
    ]) + &seen.lock().unwrap();
    assert_clean(&text);
    for secret in [set.secret_access_key(), set.session_token(), set.identity_id().unwrap()] {
        assert!(!text.contains(secret), "{text}");
        assert!(!logged().contains(secret));
    }
    let with_identity = CognitoIdentityCredentials::builder().identity_id(IDENTITY);
    let backend = cognito_identity_credentials::DeveloperIdentity::new(IDENTITY, TOKEN);
    let storage = cognito_identity_credentials::MemoryStorage::new();
    let file = cognito_identity_credentials::FileStorage::new("/tmp/x");
    assert_clean(&prints(&[&backend, &storage, &file]));
    assert_clean(&prints(&[&with_identity, &with_identity.clone().transport(cognito).build()]));
}

#[test]
fn failures_and_recoveries_log_no_secret() {
    record_log();
    let stage = Stage::with(|builder| builder.identity_id(IDENTITY).login(PROVIDER, TOKEN));
    stage.cognito.accept_login(PROVIDER, TOKEN, "ann");
    for fault in [
        Fault::throttled(),
        Fault::not_authorized(format!("Access to Identity '{IDENTITY}' is forbidden.")),
        Fault::not_authorized(format!("Invalid login token. Token expired: {TOKEN}")),
        Fault::not_authorized(format!("Logins don't match. {IDENTITY}")),
        Fault::raw(200, SECRET),
        Fault::timeout(),
    ] {
        stage.credentials.set_identity_id(IDENTITY).unwrap();
        stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
        if let Err(error) = stage.credentials.refresh() {
            assert_clean(&error_prints(&error));
        }
        stage.credentials.clear_cached_id();
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
        stage.credentials.refresh().unwrap();
    }
    assert!(logged().contains("attempt 1 of 4 failed"), "the log is being recorded");
    assert_clean(&logged());
}

/// What the program's own code says in its errors is passed on: it is the program's to keep clean.
#[test]
fn a_transports_own_cause_is_kept_as_the_source() {
    let credentials = crate::support::answering(|_| {
        let cause: BoxError = "modem on fire".into();
        Err(TransportError::new(TransportErrorKind::Other, cause))
    });
    let error = credentials.get().unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "GetCredentialsForIdentity: the transport failed: modem on fire"
    );
}
