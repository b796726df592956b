//! Every kind of answer: which error the caller gets, and whether the call is retried.

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, ErrorKind};
use proptest::prelude::*;

use crate::refusals::STS;
use crate::sharing::with_transport;
use crate::support::{
    GET_CREDENTIALS, HEADERS, IDENTITY, ROLE, Stage, answering, issued, seconds,
    with_and_without_socket,
};

/// AWS writes request IDs as GUIDs, like the GUID of an identity ID.
const REQUEST_ID: &str = "d0f4f0a5-6d37-4c9a-9c3b-0b8ff6d5f7a1";

#[test]
fn each_documented_error_code_has_its_kind_in_every_form_of_answer() {
    use ErrorKind::{NotAuthorized, NotFound, Refused, Throttled, Unavailable};
    let rows = [
        ("ExternalServiceException", 400, Unavailable),
        ("InternalErrorException", 500, Unavailable),
        ("InvalidIdentityPoolConfigurationException", 400, Refused),
        ("InvalidParameterException", 400, Refused),
        ("LimitExceededException", 400, Refused),
        ("NotAuthorizedException", 400, NotAuthorized),
        ("ResourceConflictException", 409, Refused),
        ("ResourceNotFoundException", 404, NotFound),
        ("TooManyRequestsException", 429, Throttled),
        ("TooManyRequestsException", 400, Throttled),
        ("TooManyRequestsException", 200, Throttled),
        ("ValidationException", 400, Refused),
    ];
    for (code, status, kind) in rows {
        let retryable = matches!(kind, Throttled | Unavailable);
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
            with_and_without_socket(form, |credentials| {
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
fn the_request_id_is_read_from_either_header() {
    const OTHER: &str = "other";
    let rows: [(&[(&str, &str)], _); 4] = [
        (&[], None),
        (&[("x-amzn-requestid", REQUEST_ID)], Some(REQUEST_ID)),
        (&[("x-amz-request-id", REQUEST_ID)], Some(REQUEST_ID)),
        (&[("x-amz-request-id", OTHER), ("x-amzn-requestid", REQUEST_ID)], Some(REQUEST_ID)),
    ];
    for (headers, id) in rows {
        let credentials = answering(move |_| {
            let answer = HttpResponse::new(400, r#"{"__type": "NotAuthorizedException"}"#);
            Ok(headers.iter().fold(answer, |answer, (name, id)| answer.with_header(*name, *id)))
        });
        assert_eq!(credentials.get().unwrap_err().request_id(), id, "{headers:?}");
    }
}

#[test]
fn the_request_id_of_an_sts_error_is_read_from_the_body() {
    let credentials = CognitoIdentityCredentials::builder()
        .identity_id(IDENTITY)
        .role_arn(ROLE)
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
fn answers_that_do_not_come_from_the_service_have_their_own_errors() {
    use ErrorKind::{Refused, Response, Throttled, Unavailable};
    struct Row {
        status: u16,
        body: &'static str,
        kind: ErrorKind,
        message: &'static str,
    }
    const NO_MESSAGE: &str = "the service gave no message";
    const NOT_THE_SERVICE: &str = "the answer is not one that the service gives";
    let ok = |body, message| Row { status: 200, body, kind: Response, message };
    let rows = [
        ok("", "the answer is empty"),
        ok("<html>Please accept the terms", "the answer is not a JSON object"),
        ok("{", "the answer is not JSON (line 1, column 1)"),
        ok("[]", "the answer is not a JSON object"),
        ok("{}", "the answer lacks Credentials"),
        ok("{\"Credentials\": {}}", "the answer lacks Credentials.AccessKeyId"),
        Row { status: 204, body: "", kind: Response, message: "the answer is empty" },
        Row { status: 301, body: "", kind: Response, message: NOT_THE_SERVICE },
        Row { status: 302, body: "<html>", kind: Response, message: NOT_THE_SERVICE },
        Row { status: 307, body: "", kind: Response, message: NOT_THE_SERVICE },
        Row { status: 403, body: "<html>", kind: Response, message: NOT_THE_SERVICE },
        Row { status: 418, body: "{\"__type\": \"X\"}", kind: Refused, message: NO_MESSAGE },
        Row { status: 408, body: "", kind: Unavailable, message: NO_MESSAGE },
        Row { status: 408, body: "<html>", kind: Unavailable, message: NO_MESSAGE },
        Row { status: 429, body: "", kind: Throttled, message: NO_MESSAGE },
        Row { status: 520, body: "", kind: Unavailable, message: NO_MESSAGE },
        Row { status: 529, body: "", kind: Unavailable, message: NO_MESSAGE },
        Row { status: 500, body: "", kind: Unavailable, message: NO_MESSAGE },
        Row { status: 503, body: "<html>", kind: Unavailable, message: NO_MESSAGE },
    ];
    for Row { status, body, kind, message } in rows {
        with_and_without_socket(HttpResponse::new(status, body), |credentials| {
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

/// The limit is for any transport. A test in `wire` checks that of `UreqTransport`.
#[test]
fn an_answer_over_256_kib_is_an_error_with_every_transport() {
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

/// Such a key would end in a header, or on a terminal that obeys control characters.
#[test]
fn a_key_that_is_empty_or_not_printable_ascii_is_an_error_in_both_flows() {
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
    // XML cannot contain these.
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
            for (classic, answer) in [(false, json.to_string()), (true, xml)] {
                if classic && controls.contains(&text) {
                    continue;
                }
                let stage =
                    Stage::with(|builder| if classic { builder.role_arn(ROLE) } else { builder });
                let operation = if classic { STS } else { GET_CREDENTIALS };
                stage.cognito.fail_next(operation, 1, Fault::raw(200, answer));
                let outcome = stage.credentials.get();
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
        with_and_without_socket(answer, |credentials| {
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
    struct Row {
        transport: TransportErrorKind,
        kind: ErrorKind,
        retryable: bool,
    }
    let rows = [
        Row { transport: T::Connect, kind: ErrorKind::Unreachable, retryable: true },
        Row { transport: T::Tls, kind: ErrorKind::Tls, retryable: false },
        Row { transport: T::Timeout, kind: ErrorKind::Timeout, retryable: true },
        Row { transport: T::Closed, kind: ErrorKind::Unreachable, retryable: true },
        Row { transport: T::Io, kind: ErrorKind::Unreachable, retryable: true },
        Row { transport: T::TooLarge, kind: ErrorKind::Response, retryable: false },
        Row { transport: T::Other, kind: ErrorKind::Unreachable, retryable: false },
    ];
    for Row { transport, kind, retryable } in rows {
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

#[test]
fn temporary_failures_are_retried_and_others_are_not() {
    let throttled = [
        Fault::throttled(),
        Fault::error(400, "TooManyRequestsException", ""),
        Fault::error(200, "ThrottlingException", ""),
        Fault::error(400, "ProvisionedThroughputExceededException", ""),
        Fault::error(503, "SlowDown", ""),
        Fault::raw(429, ""),
        Fault::raw(400, r#"{"Code": "ThrottlingException"}"#),
    ];
    let temporary = [
        Fault::internal_error(),
        Fault::error(400, "InternalErrorException", ""),
        Fault::error(200, "InternalErrorException", ""),
        Fault::error(400, "ExternalServiceException", ""),
        Fault::raw(500, ""),
        Fault::raw(502, ""),
        Fault::raw(503, ""),
        Fault::raw(504, ""),
        Fault::raw(408, ""),
        Fault::raw(408, "<html>"),
        Fault::raw(520, ""),
        Fault::raw(529, ""),
        Fault::error(400, "RequestTimeout", ""),
        Fault::error(408, "RequestTimeoutException", ""),
        Fault::error(400, "ServiceUnavailable", ""),
        Fault::error(400, "ServiceUnavailableException", ""),
        Fault::raw(400, r#"{"Code": "RequestTimeout"}"#),
        Fault::timeout(),
        Fault::NoAnswer(TransportErrorKind::Connect),
        Fault::NoAnswer(TransportErrorKind::Io),
    ];
    let permanent = [
        Fault::NoAnswer(TransportErrorKind::Tls),
        Fault::NoAnswer(TransportErrorKind::TooLarge),
        Fault::NoAnswer(TransportErrorKind::Other),
        Fault::raw(501, ""),
        Fault::raw(505, ""),
        Fault::raw(519, ""),
        Fault::raw(530, ""),
        Fault::raw(511, ""),
        Fault::raw(400, ""),
        Fault::raw(403, ""),
        Fault::raw(404, ""),
        Fault::raw(413, ""),
        Fault::raw(200, ""),
        Fault::raw(302, ""),
        Fault::error(400, "LimitExceededException", ""),
        Fault::error(400, "InvalidParameterException", ""),
    ];
    let check = |fault: &Fault, attempts: usize, longest_first_wait: u128| {
        let stage = Stage::with(|builder| builder.identity_id(IDENTITY));
        stage.cognito.fail_next(GET_CREDENTIALS, 99, fault.clone());
        stage.credentials.get().unwrap_err();
        assert_eq!(stage.contacts(), attempts, "{fault:?}");
        let sleeps = stage.clock.sleeps();
        assert_eq!(sleeps.len(), attempts - 1, "{fault:?}: no sleep after the last attempt");
        for (n, sleep) in sleeps.iter().enumerate() {
            assert!(sleep.as_millis() <= longest_first_wait << n, "{fault:?}: {sleeps:?}");
        }
    };
    for fault in &throttled {
        check(fault, 4, 1_000);
    }
    for fault in &temporary {
        check(fault, 4, 100);
    }
    for fault in &permanent {
        check(fault, 1, 0);
    }
}

#[test]
fn a_call_on_a_stale_connection_is_retried_without_a_wait() {
    let stage = Stage::new();
    stage.cognito.fail_next("GetId", 1, Fault::NoAnswer(TransportErrorKind::Closed));
    stage.credentials.get().unwrap();
    assert!(stage.clock.sleeps().is_empty());
    assert_eq!(stage.cognito.calls("GetId"), 2);
}

#[test]
fn a_retry_waits_as_the_service_asks_and_too_long_a_wait_ends_the_call() {
    let run = |name: &'static str, value: &'static str, shortest, longest| {
        let stage = Stage::with(|builder| {
            builder.transport(move |_: &_| {
                Ok(HttpResponse::new(503, "")
                    .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
                    .with_header(name, value))
            })
        });
        assert_eq!(stage.credentials.get().unwrap_err().kind(), ErrorKind::Unavailable);
        let sleeps = stage.clock.sleeps();
        let kept = |sleep: &Duration| (shortest..=longest).contains(&sleep.as_millis());
        assert!(sleeps.iter().all(kept), "{name}: {value}: {sleeps:?}");
        sleeps.len()
    };
    assert_eq!(run("Retry-After", "7", 7_000, 14_000), 3);
    assert_eq!(run("Retry-After", "Thu, 01 Jan 2026 00:00:05 GMT", 5_000, 10_000), 3);
    assert_eq!(run("x-amz-retry-after", "1500", 1_500, 3_000), 3);
    assert!(
        run("Retry-After", "25", 25_000, 50_000) <= 2,
        "the time limit of 60 s leaves no time for a third retry"
    );
    assert_eq!(run("Retry-After", "60", 0, 0), 0);
    assert_eq!(run("Retry-After", "99999999999", 0, 0), 0);
}

/// The time limit ends the second call with its last error.
#[test]
fn one_limit_covers_all_calls_and_attempts() {
    let slow = |cognito: &FakeCognito, clock: &ManualClock, request: &HttpRequest| {
        assert!(request.timeout() <= seconds(10));
        clock.advance(request.timeout().min(seconds(8)));
        cognito.send(request)
    };
    let Stage { clock, cognito, credentials } =
        with_transport(slow, |builder| builder.max_attempts(99).failure_cooldown(Duration::ZERO));
    cognito.fail_next(GET_CREDENTIALS, 99, Fault::timeout());
    let start = clock.boot();
    assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Timeout);
    let took = clock.boot() - start;
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

    /// One field of a good answer is replaced.
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

/// A proxy or firewall before STS may answer with JSON.
#[test]
fn the_code_of_an_sts_error_is_read_in_every_form() {
    let json = |code: &str| format!(r#"{{"__type":"{code}","message":"m"}}"#);
    let xml =
        |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
    let rows = [
        // body, `x-amzn-errortype`, kind
        (json("ThrottlingException"), None, ErrorKind::Throttled),
        (String::new(), Some("ThrottlingException:http://x/"), ErrorKind::Throttled),
        (json("aws#LimitExceededException"), None, ErrorKind::Refused),
        (json("AccessDenied"), None, ErrorKind::NotAuthorized),
        (xml("aws#Throttling"), None, ErrorKind::Throttled),
        (xml("AccessDenied"), Some("Throttling"), ErrorKind::NotAuthorized),
        ("<html>".to_owned(), None, ErrorKind::Response),
    ];
    for (body, header, kind) in rows {
        let retried = kind == ErrorKind::Throttled;
        let stage = Stage::with(|builder| builder.role_arn(ROLE).max_attempts(2));
        let fault = Fault::raw(400, body.as_str());
        let fault = match header {
            Some(value) => fault.with_header("x-amzn-errortype", value),
            None => fault,
        };
        stage.cognito.fail_next(STS, 2, fault);
        let error = stage.credentials.get().unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, retried), "{body} {header:?}");
        assert_eq!(stage.cognito.calls(STS), if retried { 2 } else { 1 }, "{body} {header:?}");
    }
}

/// Checks that the provider does not panic, and returns only valid credentials.
fn check(status: u16, body: Vec<u8>, headers: &[(usize, String)]) {
    let answer = headers.iter().fold(HttpResponse::new(status, body), |answer, (name, value)| {
        answer.with_header(HEADERS[*name], value)
    });
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
