//! Errors of the service. The first byte chooses the operation and the status. Header lines follow,
//! then an empty line, then the body.

#![no_main]

use cognito_identity_credentials::ErrorKind;
use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::HttpResponse;
use cognito_identity_credentials_fuzz::{
    IDENTITY, Notes, PROVIDER, ROLE, TOKEN, check_error, check_text, good, is_invisible, is_json,
    operation, settings, watch_log,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [400, 403, 429, 500, 503, 200, 404, 511];

const NAMES: [&str; 4] =
    ["GetCredentialsForIdentity", "GetId", "GetOpenIdToken", "AssumeRoleWithWebIdentity"];

fuzz_target!(init: watch_log(), |data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let status = STATUSES[usize::from(choice >> 2) % STATUSES.len()];
    let fuzzed = NAMES[usize::from(choice & 3)];
    let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
    let (head, body) = rest.split_at(end);
    let body = body.get(2..).unwrap_or_default();
    let mut answer = HttpResponse::new(status, body);
    for line in head.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line);
        if let Some((name, value)) = line.split_once(':') {
            answer = answer.with_header(name, value.trim());
        }
    }
    let errortype = answer.header("x-amzn-errortype").map(str::to_owned);

    let (clock, notes) = (ManualClock::new(), Notes::default());
    let seen = notes.clone();
    let transport = move |request: &_| {
        seen.take(request);
        if operation(request) == fuzzed { answer.clone() } else { good(request) }
    };
    let mut builder = settings(&clock, transport).max_attempts(2).login(PROVIDER, TOKEN);
    if fuzzed != "GetId" {
        builder = builder.identity_id(IDENTITY);
    }
    if matches!(fuzzed, "GetOpenIdToken" | "AssumeRoleWithWebIdentity") {
        builder = builder.role_arn(ROLE);
    }
    let provider = builder.build().expect("the settings are valid");
    let Err(error) = provider.get() else {
        assert_eq!(status, 200, "credentials from an answer with status {status}");
        return;
    };
    check_error(&error);
    check_text(&format!("{:?}", provider.status()));
    check_text(&format!("{provider:?}"));
    if error.operation() != Some(fuzzed) {
        // With status 200, a wrong answer can fail in a later operation, but not here: the service
        // accepts every ID.
        assert!(fuzzed != "AssumeRoleWithWebIdentity" && status == 200);
        return;
    }
    assert_eq!(error.status(), Some(status));
    let contacts = notes.count_of(fuzzed);
    assert!((1..=2).contains(&contacts));
    // If STS rejects the OpenID token, the library gets another one and tries again.
    let of_sts = fuzzed == "AssumeRoleWithWebIdentity";
    let another = of_sts && error.kind() == ErrorKind::NotAuthorized;
    assert!(contacts == 1 || error.is_retryable() || another, "a call was repeated: {error}");
    // STS answers in XML. The library reads an STS answer without a tag like one of another
    // service.
    if of_sts && body.contains(&b'<') {
        return;
    }

    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}');
    let whole = serde_json::from_str::<Value>(text).ok();
    if whole.is_none() && is_json(text.as_bytes()) {
        return;
    }
    let document = whole.unwrap_or_default();
    let field = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let in_header = errortype.iter().filter_map(|code| code.split(':').next()?.split('#').next_back());
    let fields = ["__type", "code", "Code"].map(field);
    let in_body = fields.iter().flatten();
    let in_body = in_body.filter_map(|code| code.split('#').next_back()?.split(':').next());
    // A code without visible characters counts as absent.
    let blank = |c: char| c.is_whitespace() || is_invisible(c);
    let mut codes = in_header.chain(in_body).map(|code| code.trim_matches(blank).to_owned());
    let code = codes.find(|code| !code.is_empty());
    let plain = |code: &String| {
        code.len() < 60 && code.bytes().all(|b| b.is_ascii_alphabetic())
    };
    match code {
        None if status == 200 => assert_eq!(error.kind(), ErrorKind::Response),
        None => {
            assert_eq!(error.code(), None);
            assert_eq!(error.kind(), kind_of_status(status), "{status}");
        }
        Some(code) if plain(&code) => {
            assert_eq!(error.code(), Some(&*code));
            if let Some(kind) = kind_of(&code) {
                assert_eq!(error.kind(), kind, "{code}");
            }
        }
        Some(_) => assert!(error.code().is_some()),
    }
});

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::Throttled,
        500 | 503 => ErrorKind::Unavailable,
        _ => ErrorKind::Response,
    }
}

fn kind_of(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "TooManyRequestsException" | "ThrottlingException" | "SlowDown" => ErrorKind::Throttled,
        "InternalErrorException" | "ExternalServiceException" | "RequestTimeout" => {
            ErrorKind::Unavailable
        }
        "NotAuthorizedException" | "AccessDenied" | "ExpiredTokenException" => {
            ErrorKind::NotAuthorized
        }
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "InvalidParameterException" | "LimitExceededException" | "ResourceConflictException" => {
            ErrorKind::Refused
        }
        _ => return None,
    })
}
