//! No error, log line or `Debug` text shows a secret.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::SystemTime;

use cognito_identity_credentials::testing::{FakeCognito, Fault, FaultyStorage};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    BoxError, Builder, CognitoIdentityCredentials, Credentials, DeveloperIdentity, Error,
    FileStorage, FileToken, Logins, MemoryStorage, Storage,
};

use crate::recorder::Recorder;
use crate::refusals::STS;
use crate::support::{GET_CREDENTIALS, POOL, PROVIDER, ROLE, Stage, operation};

const TOKEN: &str = "SENTINEL-TOKEN";
const SECRET: &str = "SENTINEL-SECRET";
const SESSION: &str = "SENTINEL-SESSION";
const IDENTITY: &str = "us-east-1:5e471e10-5e47-5e47-5e47-5e471e105e47";

thread_local! {
    /// All log lines of this thread.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The tests run side by side, so the level of the process must not change.
static RECORDER: Recorder = Recorder { takes_answers: || false, keep };

fn keep(record: &log::Record<'_>) {
    let line = format!("{} {} {}\n", record.level(), record.target(), record.args());
    LOG.with_borrow_mut(|log| log.push_str(&line));
}

/// Starts the log, for all tests of this process. Each test sees the lines of its own thread.
pub(crate) fn record_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_logger(&RECORDER).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

pub(crate) fn logged() -> String {
    LOG.with_borrow(Clone::clone)
}

/// Checks that no secret is in the text. All secrets of these tests have one of these parts.
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

/// A provider whose service answers with this status and body, and repeats secrets in its headers.
fn echo(status: u16, body: String) -> CognitoIdentityCredentials {
    let transport = move |_: &HttpRequest| {
        Ok(HttpResponse::new(status, body.clone())
            .with_header("x-amzn-requestid", format!("r {TOKEN} {IDENTITY}"))
            .with_header("date", TOKEN)
            .with_header("retry-after", TOKEN))
    };
    let stage = Stage::with(|builder| {
        builder.identity_id(IDENTITY).login(PROVIDER, TOKEN).transport(transport).max_attempts(1)
    });
    stage.credentials
}

#[test]
fn no_error_shows_a_secret_that_the_service_repeats() {
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
    // An identity ID of an unusual form, and a token that is the beginning of another token.
    let stage = Stage::with(|builder| {
        let builder = builder.identity_id("us-east-1:5e471e10");
        builder.login("a", format!("{TOKEN}-LINE")).login("b", TOKEN)
    });
    let text = format!("{TOKEN}-LINE and {TOKEN} and us-east-1:5e471e10 are odd");
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::raw(400, error_document(&text)));
    assert_clean(&error_prints(&stage.credentials.get().unwrap_err()));
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
    let seen = Arc::new(Mutex::new(String::new()));
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
    let backend = DeveloperIdentity::new(IDENTITY, TOKEN);
    let storage = MemoryStorage::new();
    let file = FileStorage::new("/tmp/x");
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
    assert!(logged().contains("attempt 1 of 4 failed"), "the log is recorded");
    assert_clean(&logged());
}

/// The library shows errors of the program's own code. The program must keep secrets out of them.
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

/// All types that the other tests of this file do not print. Each value here holds a secret, if the
/// type allows it.
#[test]
fn no_other_public_type_prints_a_secret() {
    record_log();
    let changes = Arc::new(Mutex::new(Vec::new()));
    let seen = changes.clone();
    let stage = Stage::with(|builder| {
        builder
            .role_arn(ROLE)
            .login(PROVIDER, TOKEN)
            .on_identity_change(move |change| seen.lock().unwrap().push(change.clone()))
    });
    stage.cognito.accept_login(PROVIDER, TOKEN, "ann");
    let set = stage.credentials.get().unwrap();
    let data = stage.credentials.data().unwrap();
    stage.credentials.set_identity_id(IDENTITY).unwrap();
    let message = format!("no {IDENTITY}");
    stage.cognito.fail_next("GetOpenIdToken", 1, Fault::not_authorized(message));
    let error = stage.credentials.refresh().unwrap_err();
    let storage = Arc::new(MemoryStorage::new());
    storage.store("key", SECRET.as_bytes()).unwrap();
    let requests = stage.cognito.requests();
    assert_eq!(changes.lock().unwrap().len(), 2);
    let rows: [(&str, &dyn Debug); 11] = [
        ("ResponseData", &data),
        ("Status", &stage.credentials.status()),
        ("CognitoIdentityCredentials", &stage.credentials),
        ("Error", &error),
        ("IdentityChange", &*changes.lock().unwrap()),
        ("ReceivedRequest", &requests),
        ("FakeCognito", &stage.cognito),
        ("ManualClock", &stage.clock),
        ("MemoryStorage", &storage),
        ("FileToken", &FileToken::new("/run/token")),
        ("TransportErrorKind", &TransportErrorKind::Closed),
    ];
    for (what, value) in rows {
        let print = prints(&[value]);
        assert_clean(&print);
        for secret in
            [set.secret_access_key(), set.session_token(), data.identity_id.split_at(10).1]
        {
            assert!(!print.contains(secret), "{what}: {print}");
        }
    }
    #[cfg(feature = "ureq")]
    {
        use cognito_identity_credentials::transport::UreqTransport;
        let builder = UreqTransport::builder().proxy("http://ann:SENTINEL@127.0.0.1:1");
        assert_clean(&prints(&[&builder, &builder.clone().build().unwrap()]));
        let refused = UreqTransport::builder().proxy("http://ann:SENTINEL@:::").build();
        assert_clean(&error_prints(&refused.unwrap_err()));
    }
}

/// Characters that control a terminal, or that hide or reorder text.
const ODD: &str = "\u{1b}[31m\u{7}\0\r\n\u{85}\u{9b}31m\u{202e}\u{2066}\u{2028}\u{61c}\u{ad}\u{200b}\u{feff}\u{7f}\u{34f}\u{115f}\u{180b}\u{3164}\u{fe0f}\u{ffa0}\u{fff9}\u{1d173}\u{e0001}\u{e0100}";

fn is_odd(c: char) -> bool {
    c.is_control() || ODD.chars().any(|odd| odd == c && !odd.is_ascii())
}

/// Each call of both flows gets a refusal, in each form, that repeats its request in each part of
/// the answer. STS receives the OpenID token, which is equal to the login token here.
#[test]
fn no_part_of_a_refusal_reveals_what_was_sent() {
    record_log();
    let split = format!("{}\u{1b}{}", &TOKEN[..5], &TOKEN[5..]);
    // A token that was not sent is recognised only by its length.
    let session = format!("{SESSION}{}", "x".repeat(80));
    let guid = IDENTITY.rsplit(':').next().unwrap();
    let texts = [
        format!("{ODD}{TOKEN}{ODD}{IDENTITY}{ODD}"),
        format!("{split} {}", IDENTITY.replace('-', "\u{200b}-")),
        format!("{}{TOKEN}", "x ".repeat(125)),
        format!("{TOKEN}{TOKEN} {IDENTITY}{IDENTITY} '{session}'"),
        format!("Invalid login token. Token expired: {TOKEN}"),
        format!("Access to Identity '{IDENTITY}' is forbidden. {}", IDENTITY.to_uppercase()),
        guid.to_owned(),
        guid.to_uppercase(),
    ];
    let places: [(&str, fn(&str) -> HttpResponse); 8] = [
        ("message", |text| {
            let code = "NotAuthorizedException";
            let body = serde_json::json!({ "__type": code, "message": text });
            HttpResponse::new(400, body.to_string())
        }),
        ("Message", |text| {
            let body = serde_json::json!({ "code": "InvalidIdentityToken", "Message": text });
            HttpResponse::new(403, body.to_string())
        }),
        ("__type", |text| {
            HttpResponse::new(400, serde_json::json!({ "__type": text }).to_string())
        }),
        ("a header's code", |text| {
            HttpResponse::new(400, "").with_header("x-amzn-errortype", text)
        }),
        ("other headers", |text| {
            HttpResponse::new(400, r#"{"__type":"ResourceNotFoundException"}"#)
                .with_header("x-amzn-errormessage", text)
                .with_header("x-amzn-requestid", text)
                .with_header("retry-after", text)
                .with_header("date", text)
        }),
        ("XML", |text| {
            let text: String = text.chars().filter(|c| !c.is_ascii_control()).collect::<String>();
            HttpResponse::new(
                400,
                format!(
                    "<E><Error><Code>ExpiredTokenException {text}</Code><Message>{text}</Message></Error><RequestId>{text}</RequestId></E>"
                ),
            )
        }),
        ("a body without JSON or XML", |text| HttpResponse::new(503, text)),
        ("a body that is not UTF-8", |text| {
            HttpResponse::new(200, [text.as_bytes(), b"\xff", text.as_bytes()].concat())
        }),
    ];
    for refused in ["GetId", GET_CREDENTIALS, "GetOpenIdToken", STS] {
        for (place, answer) in places {
            for text in &texts {
                // `GetId` sends no identity, so the GUID may be that of the request.
                if refused == "GetId" && text.eq_ignore_ascii_case(guid) {
                    continue;
                }
                let answer = answer(text);
                let transport = move |request: &HttpRequest| {
                    Ok(match operation(request) {
                        name if name == refused => answer.clone(),
                        "GetId" => {
                            HttpResponse::new(200, format!(r#"{{"IdentityId":"{IDENTITY}"}}"#))
                        }
                        _ => HttpResponse::new(200, format!(r#"{{"Token":"{TOKEN}"}}"#)),
                    })
                };
                let classic = matches!(refused, "GetOpenIdToken" | STS);
                let Stage { credentials, .. } = Stage::with(|builder| {
                    let builder = builder.login(PROVIDER, TOKEN).transport(transport);
                    if classic { builder.role_arn(ROLE) } else { builder }
                });
                let error = credentials.get().unwrap_err();
                assert_eq!(error.operation(), Some(refused), "{error}");
                let print = error_prints(&error);
                assert_clean(&print);
                assert_clean(&prints(&[&credentials, &credentials.status()]));
                let lines = [error.message(), &error.to_string(), &format!("{error:#}")].concat();
                let fields = [error.code(), error.request_id()].map(Option::unwrap_or_default);
                let odd = lines.chars().chain(fields.concat().chars()).find(|c| is_odd(*c));
                assert_eq!(odd, None, "{refused}, {place}: {print:?}");
                assert!(error.message().chars().count() <= 256, "{refused}, {place}");
            }
        }
    }
    assert_clean(&logged());
    let odd = logged().lines().find(|line| line.chars().any(is_odd)).map(str::to_owned);
    assert_eq!(odd, None);
}

/// The request ID repeats the identity of an earlier answer, or an identity that was refused
/// before.
#[test]
fn a_request_id_never_reveals_the_identity_of_another_call() {
    let guid = IDENTITY.rsplit(':').next().unwrap();
    let forbidden = format!("Access to Identity '{IDENTITY}' is forbidden.");
    let forbidden =
        serde_json::json!({ "__type": "NotAuthorizedException", "message": forbidden }).to_string();
    let minted = format!(r#"{{"IdentityId":"{IDENTITY}"}}"#);
    for merged in [false, true] {
        let (minted, forbidden) = (minted.clone(), forbidden.clone());
        let asked = AtomicUsize::new(0);
        let transport = move |request: &HttpRequest| {
            let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            let answer = match (operation(request), merged) {
                ("GetId", true) => {
                    HttpResponse::new(200, minted.replace(guid, &guid.replace('e', "f")))
                }
                ("GetId", false) if first => HttpResponse::new(200, &*minted),
                ("GetId", false) => {
                    HttpResponse::new(400, r#"{"__type":"InvalidParameterException"}"#)
                }
                (_, true) => HttpResponse::new(200, &*minted),
                (_, false) => HttpResponse::new(400, &*forbidden),
            };
            Ok(answer.with_header("x-amzn-requestid", guid))
        };
        let Stage { credentials, .. } = Stage::with(|builder| builder.transport(transport));
        let error = credentials.get().unwrap_err();
        let operation = if merged { GET_CREDENTIALS } else { "GetId" };
        assert_eq!(error.operation(), Some(operation), "{error}");
        assert_eq!(error.request_id(), Some("[redacted]"), "merged: {merged}");
    }
}

/// The error of the program's own code is the cause. Nothing else of it is shown.
#[test]
fn failures_of_transports_sources_and_storages_show_no_token() {
    use TransportErrorKind::{Closed, Connect, Io, Other, Timeout, Tls, TooLarge};
    record_log();
    let stage = |settings: fn(Builder) -> Builder| {
        let stage = Stage::with(settings);
        stage.cognito.accept_login(PROVIDER, TOKEN, "ann");
        stage.credentials
    };
    let check = |what: &str, credentials: CognitoIdentityCredentials| {
        let error = credentials.get().expect_err(what);
        assert_clean(&error_prints(&error));
        assert_clean(&prints(&[&credentials, &credentials.status()]));
    };
    let rows: [(&str, fn(Builder) -> Builder); 7] = [
        ("a token source", |builder| builder.login_from(PROVIDER, || Err("no disk".into()))),
        ("a token source with a malformed token", |builder| {
            builder.login_from(PROVIDER, || Ok(TOKEN.repeat(5_000)))
        }),
        ("a token file", |builder| builder.login_from(PROVIDER, FileToken::new("/no/file"))),
        ("a developer identity provider", |builder| {
            builder.developer_identity(|| Err("no backend".into()))
        }),
        ("a malformed developer identity", |builder| {
            builder.developer_identity(|| Ok(DeveloperIdentity::new(TOKEN, TOKEN)))
        }),
        ("a developer identity of another region", |builder| {
            let identity = IDENTITY.replace("us-east-1", "eu-west-1");
            builder.developer_identity(move || Ok(DeveloperIdentity::new(identity.clone(), TOKEN)))
        }),
        ("a developer identity with a malformed token", |builder| {
            let token = TOKEN.repeat(5_000);
            builder.developer_identity(move || Ok(DeveloperIdentity::new(IDENTITY, token.clone())))
        }),
    ];
    for (what, settings) in rows {
        check(what, stage(settings));
    }
    for kind in [Connect, Tls, Timeout, Closed, Io, TooLarge, Other] {
        let transport = move |_: &HttpRequest| Err(TransportError::new(kind, "no network"));
        let stage = Stage::with(|builder| {
            builder.identity_id(IDENTITY).login(PROVIDER, TOKEN).transport(transport)
        });
        check(&format!("{kind:?}"), stage.credentials);
    }

    let credentials = stage(|builder| {
        let storage = FaultyStorage::new();
        for operation in ["load", "store", "remove"] {
            storage.fail_next(operation, usize::MAX, std::io::ErrorKind::PermissionDenied);
        }
        builder.storage(storage).login(PROVIDER, TOKEN)
    });
    let set = credentials.get().unwrap();
    credentials.clear_cached_id();
    assert_clean(&prints(&[&credentials, &credentials.status()]));
    assert!(logged().contains("could not be read: permission denied"));
    assert!(!logged().contains(set.identity_id().unwrap()));
    assert_clean(&logged());
}
