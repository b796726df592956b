//! The classic flow: `GetOpenIdToken`, then STS.

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, ErrorKind};

use crate::secrets::{logged, record_log};
use crate::settings::urls_called;
use crate::support::{IDENTITY, POOL, PROVIDER, ROLE, Stage, seconds};

const OPEN_ID: &str = "GetOpenIdToken";
const ASSUME: &str = "AssumeRoleWithWebIdentity";

fn calls(stage: &Stage) -> Vec<String> {
    stage.cognito.requests().iter().map(|request| request.operation().to_owned()).collect()
}

#[test]
fn a_role_selects_the_classic_flow_and_each_setting_is_sent() {
    let stage = Stage::with(|builder| {
        builder
            .role_arn(ROLE)
            .role_session_name("session@1")
            .policy("{}")
            .policy_arns(["arn:aws:iam::1:policy/a", "arn:aws:iam::1:policy/b"])
            .provider_id("www.example.com")
            .duration(seconds(900))
            .account_id("123")
            .login(PROVIDER, "token")
    });
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let set = stage.credentials.get().unwrap();
    assert_eq!(calls(&stage), ["GetId", OPEN_ID, ASSUME]);
    let requests = stage.cognito.requests();
    assert_eq!(requests[0].account_id(), Some("123"));
    assert_eq!((requests[1].account_id(), requests[1].custom_role_arn()), (None, None));
    assert_eq!(requests[1].login(PROVIDER), Some("token"));
    assert_eq!(requests[1].identity_id(), set.identity_id());
    let form: Vec<_> = requests[2].form_fields().collect();
    assert_eq!(
        form.join(" "),
        "Action Version RoleArn RoleSessionName WebIdentityToken ProviderId \
         PolicyArns.member.1.arn PolicyArns.member.2.arn Policy DurationSeconds"
    );
    for (name, value) in [
        ("RoleArn", ROLE),
        ("RoleSessionName", "session@1"),
        ("PolicyArns.member.2.arn", "arn:aws:iam::1:policy/b"),
        ("DurationSeconds", "900"),
    ] {
        assert_eq!(requests[2].form_field(name), Some(value));
    }
    assert_eq!(stage.credentials.status().expires_in, Some(seconds(900)));

    let data = stage.credentials.data().unwrap();
    assert_eq!(Some(&*data.identity_id), set.identity_id());
    assert_eq!(data.assumed_role_arn.as_deref(), Some(&*format!("{ROLE}/session@1")));
    assert_eq!(data.subject_from_web_identity_token.as_deref(), set.identity_id());
    assert_eq!(data.provider.as_deref(), Some("cognito-identity.amazonaws.com"));
    assert_eq!((data.packed_policy_size, data.source_identity), (None, None));
}

#[test]
fn unset_settings_are_not_sent_and_a_refresh_makes_two_calls() {
    let stage = Stage::with(|builder| builder.role_arn(ROLE));
    stage.credentials.get().unwrap();
    stage.credentials.refresh().unwrap();
    assert_eq!(calls(&stage), ["GetId", OPEN_ID, ASSUME, OPEN_ID, ASSUME]);
    let requests = stage.cognito.requests();
    assert_eq!(requests[2].form_field("RoleSessionName"), Some("web-identity"));
    assert_eq!(requests[2].form_fields().count(), 5);
    assert_eq!(requests[1].providers().count(), 0);
}

#[test]
fn each_service_has_its_regional_host_or_its_own_endpoint() {
    let cognito = "https://cognito-identity.us-east-1.amazonaws.com/";
    let cognito_fips = "https://cognito-identity-fips.us-east-1.amazonaws.com/";
    let sts = "https://sts.us-east-1.amazonaws.com/";
    let sts_fips = "https://sts-fips.us-east-1.amazonaws.com/";
    let (own, own_sts) = ("https://cognito.example/", "https://sts.example/");
    let rows: [(fn(Builder) -> Builder, &str, &str); 6] = [
        (|b| b, cognito, sts),
        (|b| b.use_fips(true), cognito_fips, sts_fips),
        (|b| b.sts_endpoint_url("http://localhost:1/sts"), cognito, "http://localhost:1/sts/"),
        (|b| b.endpoint_url("https://cognito.example"), own, sts),
        (|b| b.sts_endpoint_url("https://sts.example"), cognito, own_sts),
        (
            |b| b.endpoint_url("https://cognito.example").sts_endpoint_url("https://sts.example"),
            own,
            own_sts,
        ),
    ];
    for (settings, cognito_url, sts_url) in rows {
        let builder = CognitoIdentityCredentials::builder().identity_pool_id(POOL).role_arn(ROLE);
        assert_eq!(urls_called(settings(builder)), [cognito_url, cognito_url, sts_url]);
    }
}

/// In the classic flow only STS gets an OpenID token, so only STS can reject one.
#[test]
fn an_sts_error_code_from_cognito_causes_no_retry() {
    for operation in ["GetId", "GetOpenIdToken"] {
        let stage = Stage::with(|builder| builder.role_arn(ROLE));
        stage.cognito.fail_next(operation, 1, Fault::error(400, "InvalidIdentityToken", ""));
        assert_eq!(stage.credentials.get().unwrap_err().operation(), Some(operation));
        assert_eq!(stage.cognito.calls(operation), 1);
    }
}

#[test]
fn errors_of_sts_row_by_row() {
    use ErrorKind::{NotAuthorized, Refused, Throttled, Unavailable};
    const TEXT: &str = "it <says> & means";
    const NO_KEYS: &str = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";
    let rows = [
        // The refresh gets another OpenID token and tries once more.
        ("ExpiredTokenException", TEXT, 400, NotAuthorized),
        ("ExpiredTokenException", NO_KEYS, 400, NotAuthorized),
        ("InvalidIdentityToken", TEXT, 400, NotAuthorized),
        // These calls are retried.
        ("InvalidIdentityToken", NO_KEYS, 400, Unavailable),
        ("InvalidIdentityTokenException", NO_KEYS, 400, Unavailable),
        ("IDPCommunicationError", TEXT, 400, Unavailable),
        ("Throttling", TEXT, 400, Throttled),
        // These errors are final.
        ("IDPRejectedClaim", TEXT, 403, NotAuthorized),
        ("AccessDenied", TEXT, 403, NotAuthorized),
        ("MalformedPolicyDocument", TEXT, 400, Refused),
        ("PackedPolicyTooLarge", TEXT, 400, Refused),
        ("RegionDisabledException", TEXT, 403, Refused),
    ];
    for (code, message, status, kind) in rows {
        let of_token = ["ExpiredTokenException", "InvalidIdentityToken"].contains(&code);
        let new_token = of_token && kind == NotAuthorized;
        let attempts = if matches!(kind, Unavailable | Throttled) { 4 } else { 1 };
        let stage = Stage::with(|builder| builder.role_arn(ROLE));
        stage.cognito.fail_next(ASSUME, 99, Fault::error(status, code, message));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, Some(code)));
        assert_eq!(error.is_retryable(), attempts > 1, "{code}");
        assert_eq!(error.message(), message);
        assert_eq!((error.operation(), error.status()), (Some(ASSUME), Some(status)));
        let rounds = if new_token { 2 } else { 1 };
        assert_eq!(stage.cognito.calls(OPEN_ID), rounds, "{code}");
        assert_eq!(stage.cognito.calls(ASSUME), rounds * attempts, "{code}");
        assert_eq!(stage.clock.sleeps().len(), attempts - 1, "{code}");
        assert_eq!(stage.cognito.calls("GetId"), 1, "{code}: the identity is not replaced");
        assert!(stage.credentials.identity_id().is_some(), "{code}");
    }
    let stage = Stage::with(|builder| builder.role_arn(ROLE));
    stage.cognito.fail_next(ASSUME, 1, Fault::error(400, "ExpiredTokenException", "old"));
    stage.credentials.get().unwrap();
    let requests = stage.cognito.requests();
    let tokens: Vec<_> = requests.iter().filter_map(|r| r.form_field("WebIdentityToken")).collect();
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1]);
}

#[test]
fn a_refused_identity_is_replaced_in_the_classic_flow_too() {
    let stage = Stage::with(|builder| builder.role_arn(ROLE));
    let first = stage.credentials.get().unwrap();
    stage.cognito.disable_identity(first.identity_id().unwrap());
    let second = stage.credentials.refresh().unwrap();
    assert_ne!(second.identity_id(), first.identity_id());
    assert_eq!(calls(&stage)[3..], [OPEN_ID, "GetId", OPEN_ID, ASSUME]);
}

#[test]
fn malformed_answers_of_sts_are_errors() {
    let rows = [
        ("", "the answer is empty"),
        ("<html><body>Accept the terms</html>", "the answer is not XML (line 1, column 29)"),
        ("{}", "the answer is not XML (line 1, column 1)"),
        (
            "<AssumeRoleWithWebIdentityResponse/>",
            "the answer lacks AssumeRoleWithWebIdentityResult",
        ),
    ];
    for (body, message) in rows {
        let stage = Stage::with(|builder| builder.role_arn(ROLE));
        stage.cognito.fail_next(ASSUME, 1, Fault::raw(200, body));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Response, Some(ASSUME)));
        assert_eq!(error.message(), message);
    }
}

#[test]
fn no_secret_of_the_classic_flow_is_printed() {
    record_log();
    let stage = Stage::with(|builder| builder.role_arn(ROLE));
    let mut tokens = Vec::new();
    for _ in 0..2 {
        stage.cognito.fail_next(ASSUME, 1, Fault::error(400, "AccessDenied", "x"));
        stage.credentials.refresh().unwrap_err();
        let set = stage.credentials.refresh().unwrap();
        tokens.push(set.secret_access_key().to_owned());
        tokens.push(set.session_token().to_owned());
    }
    for request in stage.cognito.requests() {
        tokens.extend(request.form_field("WebIdentityToken").map(str::to_owned));
    }
    let token = tokens.last().unwrap().clone();
    let echo = Stage::with(|builder| builder.identity_id(IDENTITY).role_arn(ROLE));
    let json = format!(r#"{{"Token": "{token}"}}"#);
    let xml = format!("<E><Error><Code>X</Code><Message>{token}</Message></Error></E>");
    echo.cognito.fail_next(OPEN_ID, 1, Fault::raw(200, json));
    echo.cognito.fail_next(ASSUME, 1, Fault::raw(400, xml));
    let error = echo.credentials.get().unwrap_err();
    assert_eq!(error.message(), "[redacted]");
    let text = format!("{error:?}{error:#}{:?}{}", stage.credentials, logged());
    for token in tokens {
        assert!(!text.contains(&token));
    }
}
