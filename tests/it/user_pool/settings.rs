//! The settings of login tokens of a user pool, the requests, and what is printed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::FakeCognito;
#[cfg(feature = "ureq")]
use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{ErrorKind, UserPoolTokens, UserPoolTokensBuilder};

use super::Pool;
use crate::secrets::{assert_clean, logged, record_log};
#[cfg(feature = "ureq")]
use crate::support::jwt;
use crate::support::seconds;

#[test]
fn an_app_client_with_a_secret_gets_the_secret_or_its_hash() {
    let pool = Pool::new();
    pool.cognito.set_client_secret(Some("shhh-client-secret"));
    let with = |name: &str| {
        let settings = pool.settings().client_secret("shhh-client-secret").username(name);
        settings.build().unwrap()
    };
    with("ann").id_token().unwrap();
    let request = pool.cognito.requests().pop().unwrap();
    assert_eq!(
        request.auth_parameter("SECRET_HASH"),
        // Computed with the module `hmac` of Python.
        Some("L2aAbk8kvX6wrRK5qBLQI4fL1wa2/HHUMiOcd27Ysw4=")
    );
    for tokens in [with("bob"), pool.tokens()] {
        let error = tokens.id_token().unwrap_err();
        assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::NotAuthorized, false));
        assert!(error.hint().unwrap().contains("client_secret"), "{error}");
    }
    pool.cognito.set_refresh_token_rotation(Some(Duration::ZERO));
    with("ann").id_token().unwrap();
    let other = pool.bare().refresh_token(pool.cognito.sign_in("ann"));
    let other = other.client_secret("shhh-client-secret").refresh_token_rotation(true);
    other.build().unwrap().id_token().unwrap();
}

#[test]
fn all_settings_are_checked_before_the_first_call() {
    let tokens = || Pool::new().settings();
    let long = "SENTINEL".repeat(2_049);
    let rows = [
        (
            UserPoolTokens::builder().transport(FakeCognito::new()),
            "user_pool_id: not set; client_id: not set",
        ),
        (
            tokens().user_pool_id("SENTINEL").client_id("SENTINEL-"),
            "user_pool_id: must have the form REGION_NAME, such as us-east-1_aBcDeFgHi; \
             client_id: may only have A-Z a-z 0-9 _ +",
        ),
        (
            tokens().user_pool_id("x_y_z"),
            "user_pool_id: its region cannot be part of a host name; set endpoint_url for an emulator",
        ),
        (
            tokens().refresh_token("SENTINEL\n").client_id(""),
            "client_id: has 0 characters, it must have 1 to 128; \
             refresh_token: has a character other than A-Z a-z 0-9 - _ = .",
        ),
        (
            tokens().refresh_token(long),
            "refresh_token: has 16392 characters, it must have at most 16384",
        ),
        (tokens().refresh_token(""), "refresh_token: is empty"),
        (
            tokens().client_secret("SENTINEL SENTINEL"),
            "client_secret: has a space or a character that no secret has; \
             client_secret: needs username: the service gets a hash of both",
        ),
        (
            tokens().username("SENTINEL"),
            "username: is only used with client_secret, which is not set",
        ),
        (
            tokens().username("").client_secret(""),
            "client_secret: has 0 characters, it must have 1 to 128; \
             username: has 0 characters, it must have 1 to 128",
        ),
        (tokens().device_key("SENTINEL"), "device_key: must have the form REGION_GUID"),
        (
            tokens().login_id(""),
            "login_id: is empty; login_id: names a stored refresh token, but no storage is set",
        ),
        (
            tokens().timeout(Duration::ZERO).attempt_timeout(Duration::ZERO).max_attempts(0),
            "timeout: must be longer than zero; attempt_timeout: must be longer than zero; \
             max_attempts: must be at least 1",
        ),
        (
            tokens().endpoint_url("http://example.com").use_fips(true).use_dual_stack(true),
            "use_fips: cannot be combined with endpoint_url; use_dual_stack: cannot be combined with endpoint_url; \
             endpoint_url: is plain http, so others on the network could read login tokens and \
             credentials: use https, or set danger_allow_http for an emulator on a private network",
        ),
    ];
    for (settings, fault) in rows {
        assert!(!format!("{settings:?}").contains("SENTINEL"));
        let error = settings.build().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Config, fault));
    }
    let at_the_limits = tokens()
        .client_id("a".repeat(128))
        .client_secret("s".repeat(128))
        .username("é".repeat(128))
        .refresh_token("r".repeat(16_384))
        .device_key("us-east-1_0123456789abcdef-0123456789abcdef-0123456789")
        .endpoint_url("http://example.com")
        .danger_allow_http(true);
    at_the_limits.build().unwrap();
}

#[test]
fn the_endpoint_is_in_the_region_of_the_user_pool() {
    let rows: [(&str, fn(UserPoolTokensBuilder) -> UserPoolTokensBuilder, &str); 4] = [
        ("eu-west-1_a", |s| s, "https://cognito-idp.eu-west-1.amazonaws.com/"),
        ("cn-north-1_a", |s| s, "https://cognito-idp.cn-north-1.amazonaws.com.cn/"),
        (
            "ca-central-1_a",
            |s| s.use_fips(true).use_dual_stack(true),
            "https://cognito-idp-fips.ca-central-1.api.aws/",
        ),
        ("x_y_a", |s| s.endpoint_url("http://127.0.0.1:9/idp"), "http://127.0.0.1:9/idp/"),
    ];
    for (id, settings, url) in rows {
        let seen = Arc::new(Mutex::new(String::new()));
        let urls = seen.clone();
        let transport = move |request: &HttpRequest| {
            request.url().clone_into(&mut urls.lock().unwrap());
            assert_eq!(request.timeout(), seconds(10));
            Ok(HttpResponse::new(403, ""))
        };
        let pool = Pool::new();
        let tokens = settings(pool.settings().user_pool_id(id).transport(transport));
        tokens.build().unwrap().id_token().unwrap_err();
        assert_eq!(*seen.lock().unwrap(), url);
    }
}

#[test]
fn debug_shows_only_the_user_pool() {
    let pool = Pool::new();
    let settings = pool.settings().client_secret("SENTINEL").username("SENTINEL");
    assert_eq!(
        format!("{settings:?}"),
        r#"UserPoolTokensBuilder { user_pool_id: Some("us-east-1_FakePool1"), refresh_token: Some([redacted]), client_secret: Some([redacted]), .. }"#
    );
    let tokens = pool.tokens();
    tokens.id_token().unwrap();
    assert_eq!(
        format!("{tokens:?}"),
        r#"UserPoolTokens { user_pool_id: "us-east-1_FakePool1", refresh_token: Some([redacted]), id_token: Some([redacted]), .. }"#
    );
    assert_eq!(
        format!("{:?}", pool.bare().build().unwrap()),
        r#"UserPoolTokens { user_pool_id: "us-east-1_FakePool1", refresh_token: None, id_token: None, .. }"#
    );
    let request = pool.cognito.requests().pop().unwrap();
    assert_eq!(
        format!("{request:?}"),
        r#"ReceivedRequest { operation: "InitiateAuth", providers: [], .. }"#
    );
}

/// The user pool repeats everything that it receives, in each field of its answers.
#[test]
fn errors_and_logs_show_no_secret_that_was_sent_or_received() {
    record_log();
    let secrets =
        ["SENTINEL-REFRESH", "SENTINEL-CLIENT-SECRET", "SENTINEL-USER", "us-east-1_5e471e10-5e47"];
    let client = "SENTINELclient";
    let hash = Arc::new(Mutex::new(String::new()));
    for status in [200, 400, 500] {
        for code in ["NotAuthorizedException", "InvalidParameterException", "SENTINEL-REFRESH", ""]
        {
            for place in ["message", "ChallengeName", "AuthenticationResult"] {
                let seen = hash.clone();
                let transport = move |request: &HttpRequest| {
                    let sent: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
                    let sent = sent["AuthParameters"]["SECRET_HASH"].as_str().map(str::to_owned);
                    if let Some(hash) = sent {
                        *seen.lock().unwrap() = hash;
                    }
                    let text = format!("{} {client} {}", secrets.join(" "), seen.lock().unwrap());
                    let body = serde_json::json!({ "__type": code, place: text }).to_string();
                    let answer = HttpResponse::new(status, body);
                    Ok(answer.with_header("x-amzn-requestid", text))
                };
                let pool = Pool::new();
                let tokens = pool
                    .bare()
                    .client_id(client)
                    .refresh_token(secrets[0])
                    .client_secret(secrets[1])
                    .username(secrets[2])
                    .device_key(secrets[3])
                    .transport(transport)
                    .build()
                    .unwrap();
                let error = tokens.id_token().unwrap_err();
                let credentials = pool.provider(&tokens);
                let outer = credentials.get().unwrap_err();
                let text =
                    format!("{error:#} {error:?} {outer:#} {outer:?} {tokens:?} {credentials:?}");
                let hash = hash.lock().unwrap();
                assert_clean(&text);
                assert!(hash.len() == 44 && !text.contains(&*hash), "{text}");
            }
        }
    }
    let pool = Pool::rotating(0);
    let tokens = pool.tokens();
    pool.provider(&tokens).get().unwrap();
    let id_token = tokens.id_token().unwrap();
    assert!(logged().contains("InitiateAuth → https://cognito-idp.us-east-1.amazonaws.com/"));
    assert_clean(&logged());
    for secret in [&*id_token, "fake-refresh-token", "fake-access-token", &hash.lock().unwrap()] {
        assert!(!logged().contains(secret));
    }
}

#[cfg(feature = "ureq")]
#[test]
fn the_request_goes_over_a_socket_as_documented() {
    let mut server = mockito::Server::new();
    let id_token = jwt(r#"{"exp":1767229200}"#);
    let mock = server
        .mock("POST", "/")
        .match_header("content-type", "application/x-amz-json-1.1")
        .match_header("x-amz-target", "AWSCognitoIdentityProviderService.InitiateAuth")
        .match_body(
            r#"{"AuthFlow":"REFRESH_TOKEN_AUTH","ClientId":"fakeclient0123456789fakecl","AuthParameters":{"REFRESH_TOKEN":"given","DEVICE_KEY":"us-east-1_0-9"}}"#,
        )
        .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
        .with_body(format!(r#"{{"AuthenticationResult":{{"IdToken":"{id_token}"}}}}"#))
        .create();
    let tokens = UserPoolTokens::builder()
        .user_pool_id(super::USER_POOL)
        .client_id(super::CLIENT)
        .refresh_token("given")
        .device_key("us-east-1_0-9")
        .endpoint_url(server.url())
        .clock(ManualClock::new())
        .build()
        .unwrap();
    assert_eq!(tokens.id_token().unwrap(), id_token);
    assert_eq!(tokens.id_token().unwrap(), id_token);
    mock.assert();
}
