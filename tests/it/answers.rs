//! Every kind of answer, what becomes of it, and what is repeated.

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind};
use proptest::prelude::*;

use crate::classic::ROLE;
use crate::refusals::STS;
use crate::support::{
    GET_CREDENTIALS, HEADERS, IDENTITY, POOL, Stage, answering, both, issued, seconds,
};

/// In the form that AWS gives them, which is that of an identity's GUID.
const REQUEST_ID: &str = "d0f4f0a5-6d37-4c9a-9c3b-0b8ff6d5f7a1";

#[test]
fn each_documented_error_has_its_kind_wherever_its_code_hides() {
    use ErrorKind::{NotAuthorized, NotFound, Refused, Throttled, Unavailable};
    let rows = [
        ("ExternalServiceException", 400, Unavailable, true),
        ("InternalErrorException", 500, Unavailable, true),
        ("InvalidIdentityPoolConfigurationException", 400, Refused, false),
        ("InvalidParameterException", 400, Refused, false),
        ("LimitExceededException", 400, Refused, false),
        ("NotAuthorizedException", 400, NotAuthorized, false),
        ("ResourceConflictException", 409, Refused, false),
        ("ResourceNotFoundException", 404, NotFound, false),
        ("TooManyRequestsException", 429, Throttled, true),
        ("TooManyRequestsException", 400, Throttled, true),
        ("TooManyRequestsException", 200, Throttled, true),
        ("ValidationException", 400, Refused, false),
    ];
    for (code, status, kind, retryable) in rows {
        let plain = format!(r#"{{"__type": "{code}", "message": "m"}}"#);
        let namespaced = format!(r#"{{"__type": "com.amazonaws.x#{code}", "Message": "m"}}"#);
        let message = r#"{"message": "m"}"#.to_owned();
        let header = |body: &str| {
            HttpResponse::new(status, body)
                .with_header("x-amzn-ErrorType", format!("{code}:http://x/"))
        };
        let forms = [
            HttpResponse::new(status, plain),
            HttpResponse::new(status, namespaced),
            header(&message),
            header("").with_header("x-amzn-ErrorMessage", "m"),
        ];
        for form in forms {
            let form = form.with_header("x-amzn-RequestId", REQUEST_ID);
            both(form, |credentials| {
                let error = credentials.get().unwrap_err();
                assert_eq!(error.kind(), kind, "{code}");
                assert_eq!(error.code(), Some(code));
                assert_eq!(error.message(), "m");
                assert_eq!(error.status(), Some(status));
                assert_eq!(error.request_id(), Some(REQUEST_ID));
                assert_eq!(error.operation(), Some(GET_CREDENTIALS));
                assert_eq!(error.is_retryable(), retryable, "{code}");
                assert_eq!(
                    error.to_string(),
                    format!(
                        "{GET_CREDENTIALS}: {code}: m (HTTP status {status}, request ID {REQUEST_ID})"
                    )
                );
            });
        }
    }
}

#[test]
fn the_id_of_a_request_that_sts_refused_is_found_in_the_body() {
    let credentials = CognitoIdentityCredentials::builder()
        .identity_id(IDENTITY)
        .role_arn("arn:aws:iam::123456789012:role/r")
        .transport(|request: &HttpRequest| {
            Ok(if request.url().starts_with("https://sts.") {
                let error = "<Error><Code>AccessDenied</Code><Message>m</Message></Error>";
                let id = format!("<RequestId>{REQUEST_ID}</RequestId>");
                HttpResponse::new(403, format!("<ErrorResponse>{error}{id}</ErrorResponse>"))
            } else {
                HttpResponse::new(200, r#"{"Token": "token"}"#)
            })
        })
        .build()
        .unwrap();
    let error = credentials.get().unwrap_err();
    assert_eq!(error.request_id(), Some(REQUEST_ID), "{error}");
}

#[test]
fn answers_that_are_not_the_services_are_distinguished() {
    use ErrorKind::{Refused, Response, Throttled, Unavailable};
    let rows = [
        (200, "", Response, "the answer is empty"),
        (200, "<html>Please accept the terms", Response, "the answer is not a JSON object"),
        (200, "{", Response, "the answer is not JSON (line 1, column 1)"),
        (200, "[]", Response, "the answer is not a JSON object"),
        (200, "{}", Response, "the answer lacks Credentials"),
        (200, "{\"Credentials\": {}}", Response, "the answer lacks Credentials.AccessKeyId"),
        (204, "", Response, "the answer is empty"),
        (301, "", Response, "the answer is not one that the service gives"),
        (302, "<html>", Response, "the answer is not one that the service gives"),
        (307, "", Response, "the answer is not one that the service gives"),
        (403, "<html>", Response, "the answer is not one that the service gives"),
        (418, "{\"__type\": \"X\"}", Refused, "the service gave no message"),
        (408, "", Unavailable, "the service gave no message"),
        (408, "<html>", Unavailable, "the service gave no message"),
        (429, "", Throttled, "the service gave no message"),
        (520, "", Unavailable, "the service gave no message"),
        (529, "", Unavailable, "the service gave no message"),
        (500, "", Unavailable, "the service gave no message"),
        (503, "<html>", Unavailable, "the service gave no message"),
    ];
    for (status, body, kind, message) in rows {
        both(HttpResponse::new(status, body), |credentials| {
            let error = credentials.get().unwrap_err();
            assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{status} {body}");
            if let Some((prefix, _)) = message.split_once(" (") {
                assert!(error.message().starts_with(prefix), "{status} {body}: {error}");
            } else {
                assert_eq!(error.message(), message, "{status} {body}");
            }
        });
    }
}

/// Whatever the transport lets through; `wire` shows that `UreqTransport` does not.
#[test]
fn an_answer_over_256_kib_is_refused() {
    for (length, accepted) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let credentials = answering(move |_| {
            let mut body = issued("K").body().to_vec();
            body.resize(length, b' ');
            let answer = HttpResponse::new(200, body);
            Ok(answer.with_header("date", issued("K").header("date").unwrap()))
        });
        match credentials.get() {
            Ok(_) => assert!(accepted),
            Err(error) => {
                assert!(!accepted);
                assert_eq!(error.kind(), ErrorKind::Response);
                assert_eq!(error.message(), "the answer is larger than 256 KiB");
            }
        }
    }
}

/// A signer would put it into a header, and a terminal would obey it.
#[test]
fn a_key_that_is_empty_or_not_printable_ascii_is_refused_in_both_flows() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/r";
    let unclean = [
        "",
        "a b",
        "\t",
        "a\u{7f}",
        "\u{e9}",
        "a\u{85}",
        "\u{9b}31m",
        "a\u{a0}",
        "\u{200b}a",
        "a\u{202e}b",
        "\u{feff}a",
        "\u{1f980}",
    ];
    // XML cannot hold these.
    let controls = ["\0", "a\u{7}", "\u{1b}[31m", "a\r\nb: c"];
    let all: String = (0x21..=0x7e_u8).map(char::from).collect();
    let names = ["AccessKeyId", "SecretAccessKey", "SessionToken"];
    let values = unclean.iter().chain(&controls).copied().map(|text| (text, false));
    for (text, usable) in values.chain([(&*all, true), ("!", true)]) {
        for wrong in 0..3 {
            let keys = [0, 1, 2].map(|at| if at == wrong { text } else { "key" });
            let json = serde_json::json!({ "IdentityId": IDENTITY, "Credentials": {
                "AccessKeyId": keys[0], "SecretKey": keys[1], "SessionToken": keys[2],
                "Expiration": 1_767_229_200,
            }});
            let escaped = |at: usize| {
                let text = keys[at].replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                format!("<{0}>{text}</{0}>", names[at])
            };
            let xml = format!(
                "<R><AssumeRoleWithWebIdentityResult><Credentials>{}{}{}<Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></R>",
                escaped(0),
                escaped(1),
                escaped(2)
            );
            for classic in [false, true] {
                if classic && controls.contains(&text) {
                    continue;
                }
                let (json, xml) = (json.to_string(), xml.clone());
                let mut builder = CognitoIdentityCredentials::builder()
                    .identity_id(IDENTITY)
                    .clock(ManualClock::new())
                    .transport(move |request: &HttpRequest| {
                        let of_sts = request.url().starts_with("https://sts.");
                        let body = match (classic, of_sts) {
                            (true, false) => r#"{"Token": "token"}"#,
                            (true, true) => &xml,
                            (false, _) => &json,
                        };
                        Ok(HttpResponse::new(200, body)
                            .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT"))
                    });
                if classic {
                    builder = builder.role_arn(ROLE);
                }
                let outcome = builder.build().unwrap().get();
                let what = format!("{text:?} as {} (classic: {classic})", names[wrong]);
                assert_eq!(outcome.is_ok(), usable, "{what}: {outcome:?}");
                if let Err(error) = outcome {
                    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Response, false));
                    assert!(error.message().is_ascii(), "{what}: {error}");
                    let name = if classic { names[wrong] } else { names[wrong].split_at(6).0 };
                    assert!(error.message().contains(name), "{what}: {error}");
                }
            }
        }
    }
}

#[test]
fn every_form_of_expiration_is_read() {
    let expected = SystemTime::UNIX_EPOCH + seconds(1_767_229_200);
    for form in
        ["1767229200", "1767229200.0", "1767229200.25", "1.7672292E9", "\"2026-01-01T01:00:00Z\""]
    {
        let body = String::from_utf8(issued("K").body().to_vec()).unwrap();
        let body = body.replace("1767229200", form);
        let answer =
            HttpResponse::new(200, body).with_header("date", issued("K").header("date").unwrap());
        both(answer, |credentials| {
            let set = credentials.get().unwrap();
            let off = set.expiration().duration_since(expected).unwrap();
            assert!(off <= Duration::from_millis(250), "{form}");
            assert_eq!(set.access_key_id(), "K");
            assert_eq!(set.secret_access_key(), "secret");
            assert_eq!(set.session_token(), "token");
            assert_eq!(set.identity_id(), Some(IDENTITY));
            assert_eq!(credentials.status().expires_in.map(|left| left.as_secs()), Some(3600));
        });
    }
}

#[test]
fn each_failure_of_a_transport_has_its_kind() {
    use TransportErrorKind as T;
    let rows = [
        (T::Connect, ErrorKind::Unreachable, true),
        (T::Tls, ErrorKind::Tls, false),
        (T::Timeout, ErrorKind::Timeout, true),
        (T::Closed, ErrorKind::Unreachable, true),
        (T::Io, ErrorKind::Unreachable, true),
        (T::TooLarge, ErrorKind::Response, false),
        (T::Other, ErrorKind::Unreachable, false),
    ];
    for (transport, kind, retryable) in rows {
        let credentials = answering(move |_| Err(TransportError::new(transport, "why")));
        let error = credentials.get().unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{transport:?}");
        assert_eq!(error.status(), None);
        assert_eq!(error.operation(), Some(GET_CREDENTIALS));
        assert_eq!(error.transport_error().unwrap().kind(), transport);
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "why");
        assert!(format!("{error:#}").ends_with(": why"), "{error:#}");
        assert!(!error.to_string().contains("why"), "{error}");
        assert_eq!(error.hint().is_some(), matches!(kind, ErrorKind::Tls | ErrorKind::Response));
    }
}

/// Four attempts, with full jitter, all on the manual clock.
#[test]
fn what_passes_is_repeated_and_what_does_not_is_not() {
    let rows = [
        (Fault::throttled(), 4, 1_000),
        (Fault::error(400, "TooManyRequestsException", ""), 4, 1_000),
        (Fault::error(200, "ThrottlingException", ""), 4, 1_000),
        (Fault::error(400, "ProvisionedThroughputExceededException", ""), 4, 1_000),
        (Fault::error(503, "SlowDown", ""), 4, 1_000),
        (Fault::raw(429, ""), 4, 1_000),
        (Fault::internal_error(), 4, 100),
        (Fault::error(400, "InternalErrorException", ""), 4, 100),
        (Fault::error(200, "InternalErrorException", ""), 4, 100),
        (Fault::error(400, "ExternalServiceException", ""), 4, 100),
        (Fault::raw(500, ""), 4, 100),
        (Fault::raw(502, ""), 4, 100),
        (Fault::raw(503, ""), 4, 100),
        (Fault::raw(504, ""), 4, 100),
        (Fault::raw(408, ""), 4, 100),
        (Fault::raw(408, "<html>"), 4, 100),
        (Fault::raw(520, ""), 4, 100),
        (Fault::raw(529, ""), 4, 100),
        (Fault::error(400, "RequestTimeout", ""), 4, 100),
        (Fault::error(408, "RequestTimeoutException", ""), 4, 100),
        (Fault::error(400, "ServiceUnavailable", ""), 4, 100),
        (Fault::error(400, "ServiceUnavailableException", ""), 4, 100),
        (Fault::raw(400, r#"{"Code": "ThrottlingException"}"#), 4, 1_000),
        (Fault::raw(400, r#"{"Code": "RequestTimeout"}"#), 4, 100),
        (Fault::timeout(), 4, 100),
        (Fault::NoAnswer(TransportErrorKind::Connect), 4, 100),
        (Fault::NoAnswer(TransportErrorKind::Io), 4, 100),
        (Fault::NoAnswer(TransportErrorKind::Tls), 1, 0),
        (Fault::NoAnswer(TransportErrorKind::TooLarge), 1, 0),
        (Fault::NoAnswer(TransportErrorKind::Other), 1, 0),
        (Fault::raw(501, ""), 1, 0),
        (Fault::raw(505, ""), 1, 0),
        (Fault::raw(519, ""), 1, 0),
        (Fault::raw(530, ""), 1, 0),
        (Fault::raw(511, ""), 1, 0),
        (Fault::raw(400, ""), 1, 0),
        (Fault::raw(403, ""), 1, 0),
        (Fault::raw(404, ""), 1, 0),
        (Fault::raw(413, ""), 1, 0),
        (Fault::raw(200, ""), 1, 0),
        (Fault::raw(302, ""), 1, 0),
        (Fault::error(400, "LimitExceededException", ""), 1, 0),
        (Fault::error(400, "InvalidParameterException", ""), 1, 0),
    ];
    for (fault, attempts, base) in rows {
        let stage = Stage::with(|builder| builder.identity_id(IDENTITY));
        stage.cognito.fail_next(GET_CREDENTIALS, 99, fault.clone());
        stage.credentials.get().unwrap_err();
        assert_eq!(stage.contacts(), attempts, "{fault:?}");
        let sleeps = stage.clock.sleeps();
        assert_eq!(sleeps.len(), attempts - 1, "{fault:?}: no sleep after the last attempt");
        for (n, sleep) in sleeps.iter().enumerate() {
            assert!(sleep.as_millis() <= base << n, "{fault:?}: {sleeps:?}");
        }
    }
}

#[test]
fn a_stale_connection_is_repeated_at_once() {
    let stage = Stage::new();
    stage.cognito.fail_next("GetId", 1, Fault::NoAnswer(TransportErrorKind::Closed));
    stage.credentials.get().unwrap();
    assert!(stage.clock.sleeps().is_empty());
    assert_eq!(stage.cognito.calls("GetId"), 2);
}

#[test]
fn what_the_service_asks_for_is_kept_and_what_does_not_fit_ends_the_call() {
    let run = |name: &'static str, value: &'static str, shortest, longest| {
        let clock = ManualClock::new();
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(move |_: &_| {
                Ok(HttpResponse::new(503, "")
                    .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
                    .with_header(name, value))
            })
            .clock(clock.clone())
            .build()
            .unwrap();
        assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Unavailable);
        let sleeps = clock.sleeps();
        let kept = |sleep: &Duration| (shortest..=longest).contains(&sleep.as_millis());
        assert!(sleeps.iter().all(kept), "{name}: {value}: {sleeps:?}");
        sleeps.len()
    };
    assert_eq!(run("Retry-After", "7", 7_000, 14_000), 3);
    assert_eq!(run("Retry-After", "Thu, 01 Jan 2026 00:00:05 GMT", 5_000, 10_000), 3);
    assert_eq!(run("x-amz-retry-after", "1500", 1_500, 3_000), 3);
    assert!(run("Retry-After", "25", 25_000, 50_000) <= 2, "a third one does not fit into 60 s");
    assert_eq!(run("Retry-After", "60", 0, 0), 0);
    assert_eq!(run("Retry-After", "99999999999", 0, 0), 0);
}

/// Two calls, one time limit; the limit ends the second one with its last error.
#[test]
fn one_limit_covers_all_calls_and_attempts() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let (slow, service) = (clock.clone(), cognito.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &cognito_identity_credentials::transport::HttpRequest| {
            use cognito_identity_credentials::transport::Transport;
            assert!(request.timeout() <= seconds(10));
            slow.advance(request.timeout().min(seconds(8)));
            service.send(request)
        })
        .clock(clock.clone())
        .max_attempts(99)
        .failure_cooldown(Duration::ZERO)
        .build()
        .unwrap();
    cognito.fail_next(GET_CREDENTIALS, 99, Fault::timeout());
    let start = cognito_identity_credentials::Clock::boot(&clock);
    assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Timeout);
    let took = cognito_identity_credentials::Clock::boot(&clock) - start;
    assert!(took <= seconds(60) && took > seconds(50), "{took:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_an_answer_or_an_error(
        status in 100_u16..=599,
        body in prop::collection::vec(any::<u8>(), 0..200),
        headers in prop::collection::vec((0_usize..6, ".{0,40}"), 0..4),
    ) {
        check(status, body, &headers);
    }

    /// Close to the real thing: a field replaced by any JSON-like text.
    #[test]
    fn any_field_gives_an_answer_or_an_error(
        field in prop::sample::select(vec![
            "1767229200", "\"K\"", "\"secret\"", "\"token\"", "\"Credentials\"", "\"IdentityId\"",
        ]),
        text in prop_oneof![
            ".{0,30}", "-?[0-9]{1,30}(\\.[0-9]{1,30})?([eE][-+]?[0-9]{1,4})?", "\"[^\"]{0,60}\"",
            "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.+-]{0,20}Z?".prop_map(|t| format!("\"{t}\"")),
        ],
        date in ".{0,40}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    ) {
        let body = String::from_utf8(issued("K").body().to_vec()).unwrap().replacen(field, &text, 1);
        check(200, body.into_bytes(), &[(5, date)]);
    }
}

/// What stands between the program and STS may answer as JSON services do.
#[test]
fn the_code_of_an_sts_error_is_read_in_every_form() {
    let json = |code: &str| format!(r#"{{"__type":"{code}","message":"m"}}"#);
    let xml =
        |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
    let rows = [
        // body, header, kind, whether it is retried
        (json("ThrottlingException"), None, ErrorKind::Throttled, true),
        (String::new(), Some("ThrottlingException:http://x/"), ErrorKind::Throttled, true),
        (json("aws#LimitExceededException"), None, ErrorKind::Refused, false),
        (json("AccessDenied"), None, ErrorKind::NotAuthorized, false),
        (xml("aws#Throttling"), None, ErrorKind::Throttled, true),
        (xml("AccessDenied"), Some("Throttling"), ErrorKind::NotAuthorized, false),
        ("<html>".to_owned(), None, ErrorKind::Response, false),
    ];
    for (body, header, kind, is_retried) in rows {
        let stage = Stage::with(|builder| builder.role_arn(ROLE).max_attempts(2));
        let fault = Fault::raw(400, body.as_str());
        let fault = match header {
            Some(value) => fault.with_header("x-amzn-errortype", value),
            None => fault,
        };
        stage.cognito.fail_next(STS, 2, fault);
        let error = stage.credentials.get().unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, is_retried), "{body} {header:?}");
        assert_eq!(stage.cognito.calls(STS), if is_retried { 2 } else { 1 }, "{body} {header:?}");
    }
}

/// Whatever comes back is not a panic, and what is served is alive.
fn check(status: u16, body: Vec<u8>, headers: &[(usize, String)]) {
    let mut answer = HttpResponse::new(status, body);
    for (name, value) in headers {
        answer = answer.with_header(HEADERS[*name], value);
    }
    let credentials = answering(move |_| Ok(answer.clone()));
    match credentials.get() {
        Ok(set) => {
            assert!(!set.access_key_id().is_empty() && !set.session_token().is_empty());
            assert!(credentials.status().expires_in.is_some_and(|left| !left.is_zero()));
        }
        Err(error) => {
            assert!(!format!("{error:#} {error:?}").is_empty());
            assert!(error.message().chars().count() <= 256);
        }
    }
    let _ = credentials.service_time();
}
