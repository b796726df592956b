//! What the services refuse: each refusal has a hint that fits, and says whether signing in helps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(feature = "user-pool")]
use cognito_identity_credentials::UserPoolTokens;
use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::{
    BoxError, Builder, CognitoIdentityCredentials, DeveloperIdentity, Error, ErrorKind,
};

use crate::classic::ROLE;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, Stage};

const GET_ID: &str = "GetId";
const OPEN_ID: &str = "GetOpenIdToken";
pub(crate) const STS: &str = "AssumeRoleWithWebIdentity";
const DENIED: &str = "NotAuthorizedException";
const MISSING: &str = "ResourceNotFoundException";
const INVALID: &str = "InvalidParameterException";
const MISMATCH: &str = "Logins don't match. Please include at least one valid login for this identity or identity pool.";

#[cfg(feature = "user-pool")]
pub(crate) fn tokens_of(cognito: &FakeCognito) -> UserPoolTokens {
    UserPoolTokens::builder()
        .user_pool_id(FakeCognito::USER_POOL_ID)
        .client_id(FakeCognito::CLIENT_ID)
        .refresh_token(cognito.sign_in("ann"))
        .transport(cognito.clone())
        .clock(ManualClock::new())
        .build()
        .unwrap()
}

/// Returns the error of a `get()` in which `operation` is refused each time.
pub(crate) fn refused(operation: &str, code: &str, message: &str) -> Error {
    let stage = Stage::with(|builder| {
        let builder = builder.login(PROVIDER, "token").max_attempts(1);
        if matches!(operation, OPEN_ID | STS) { builder.role_arn(ROLE) } else { builder }
    });
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    stage.cognito.fail_next(operation, 9, Fault::error(400, code, message));
    let error = stage.credentials.get().unwrap_err();
    assert_eq!(error.operation(), Some(operation), "{error}");
    error
}

#[test]
fn every_refusal_of_an_identity_pool_or_sts_has_a_hint_that_fits() {
    let rows = [
        // operation, code, message, needs sign-in, a word of the hint, a word that is wrong in it
        (GET_ID, DENIED, MISMATCH, false, "provider", "cached ID"),
        (GET_CREDENTIALS, DENIED, MISMATCH, false, "another user", "provider"),
        (OPEN_ID, DENIED, "LOGINS DON'T MATCH.", false, "another user", "provider"),
        (
            GET_ID,
            DENIED,
            "Token is not from a supported provider of this identity pool.",
            false,
            "app client",
            "sign in",
        ),
        (
            GET_CREDENTIALS,
            DENIED,
            "token is not from a supported provider",
            false,
            "app client",
            "sign in",
        ),
        (
            GET_ID,
            DENIED,
            "Identity pool - us-east-1:0 does not have identity providers configured.",
            false,
            "provider",
            "cached ID",
        ),
        (
            GET_CREDENTIALS,
            DENIED,
            "Invalid login token. Missing a required claim: aud",
            false,
            "ID token",
            "expired",
        ),
        (
            GET_ID,
            DENIED,
            "Invalid login token. Incorrect token audience",
            false,
            "app client",
            "expired",
        ),
        (GET_ID, DENIED, "Incorrect token audience", false, "app client", "expired"),
        (
            OPEN_ID,
            DENIED,
            "Not a valid OpenId Connect identity token.",
            false,
            "ID token",
            "expired",
        ),
        (
            GET_ID,
            DENIED,
            "Invalid login token. Not a valid OpenID Connect identity token.",
            false,
            "access token",
            "expired",
        ),
        (GET_ID, DENIED, "Invalid login token. Token is expired.", true, "has expired", "issuer"),
        (
            GET_CREDENTIALS,
            DENIED,
            "Invalid login token. Token expired: 1446742058 >= 1446727732",
            true,
            "has expired",
            "issuer",
        ),
        (OPEN_ID, DENIED, "invalid login token. token expired: 1 >= 0", true, "expired", "issuer"),
        (
            GET_ID,
            DENIED,
            "Invalid login token. Couldn't verify signed token.",
            true,
            "not accepted",
            "expired",
        ),
        (
            GET_ID,
            DENIED,
            "Invalid login token. Issuer doesn't match providerName",
            false,
            "without https://",
            "expired",
        ),
        (
            GET_CREDENTIALS,
            DENIED,
            "Invalid login token. Can't pass in a Cognito token.",
            false,
            "identity_id",
            "expired",
        ),
        (
            GET_ID,
            DENIED,
            "Unauthenticated access is not supported for this identity pool.",
            false,
            "guest",
            "identity_pool_id",
        ),
        (GET_CREDENTIALS, DENIED, "Access to Identity 'x' is forbidden.", false, "merged", "role"),
        (
            GET_CREDENTIALS,
            DENIED,
            "Access to Role 'arn:aws:iam::123456789012:role/r' is forbidden.",
            false,
            "custom_role_arn",
            "merged",
        ),
        (
            GET_CREDENTIALS,
            DENIED,
            "The ambiguous role mapping rules for: accounts.google.com denied this request.",
            false,
            "role rules",
            "merged",
        ),
        (
            GET_CREDENTIALS,
            "InvalidIdentityPoolConfigurationException",
            "Invalid identity pool configuration. Check assigned IAM roles for this pool.",
            false,
            "trust policy",
            "merged",
        ),
        (
            GET_ID,
            MISSING,
            "IdentityPool 'x' not found.",
            false,
            "identity_pool_id and region",
            "deleted",
        ),
        (
            GET_ID,
            MISSING,
            "Identity pool x not found.",
            false,
            "identity_pool_id and region",
            "deleted",
        ),
        (
            GET_ID,
            MISSING,
            "Identity 'x' not found.",
            false,
            "identity_pool_id and region",
            "deleted",
        ),
        (GET_ID, MISSING, "", false, "identity_pool_id and region", "deleted"),
        (
            GET_CREDENTIALS,
            MISSING,
            "Identity pool x not found.",
            false,
            "identity_pool_id and region",
            "deleted",
        ),
        (
            OPEN_ID,
            MISSING,
            "IdentityPool 'x' not found.",
            false,
            "identity_pool_id and region",
            "deleted",
        ),
        (GET_CREDENTIALS, MISSING, "Identity 'x' not found.", false, "deleted", "identity_pool_id"),
        (OPEN_ID, MISSING, "identity 'x' not found.", false, "deleted", "identity_pool_id"),
        (GET_CREDENTIALS, MISSING, "Not here.", false, "identity_pool_id", "deleted"),
        (
            OPEN_ID,
            INVALID,
            "Basic (classic) flow is not enabled, please use enhanced flow.",
            false,
            "leave out role_arn",
            "the message",
        ),
        (
            OPEN_ID,
            INVALID,
            "Basic (classic) flow is not supported with RoleMappings, please use enhanced flow.",
            false,
            "by rules",
            "turn",
        ),
        (
            GET_ID,
            INVALID,
            "Please provide a valid public provider",
            false,
            "login's name",
            "policy",
        ),
        (GET_CREDENTIALS, INVALID, "No.", false, "settings", "policy"),
        (GET_ID, "ValidationException", "No.", false, "settings", "policy"),
        (GET_ID, "ResourceConflictException", "", false, "another identity", "expired"),
        (GET_CREDENTIALS, "ResourceConflictException", "", false, "another identity", "expired"),
        (OPEN_ID, "ExternalServiceException", "", false, "provider did not answer", "expired"),
        (GET_ID, "LimitExceededException", "", false, "quota", "try again"),
        (GET_ID, "ForbiddenException", "", false, "firewall", "try again"),
        (GET_ID, "TooManyRequestsException", "Rate exceeded", false, "try again later", "quota"),
        (GET_CREDENTIALS, "InternalErrorException", "", false, "try again later", "settings"),
        (
            STS,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            false,
            "audience",
            "STS rejects",
        ),
        (STS, "IDPRejectedClaim", "", false, "amr", "STS rejects"),
        (STS, "ExpiredTokenException", "", false, "fresh", "amr"),
        (
            STS,
            "InvalidIdentityToken",
            "Incorrect token audience",
            false,
            "identity provider",
            "amr",
        ),
        (STS, "IDPCommunicationError", "", false, "try again later", "amr"),
        (STS, "MalformedPolicyDocument", "", false, "JSON", "amr"),
        (STS, "PackedPolicyTooLarge", "", false, "policy_arns", "JSON"),
        (STS, "RegionDisabledException", "", false, "sts_endpoint_url", "amr"),
        (
            STS,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            false,
            "shorter duration",
            "amr",
        ),
        (STS, "ValidationError", "No.", false, "settings", "amr"),
        (STS, "Throttling", "Rate exceeded", false, "try again later", "amr"),
    ];
    for (operation, code, message, sign_in, word, wrong) in rows {
        let error = refused(operation, code, message);
        let hint = error.hint().unwrap_or_else(|| panic!("no hint for {error}"));
        assert!(hint.contains(word), "{error}: {hint}");
        assert!(!hint.contains(wrong), "{error}: {hint}");
        assert_eq!(error.needs_sign_in(), sign_in, "{error}");
    }
}

#[test]
fn an_unknown_refusal_has_no_hint() {
    for (operation, code) in [
        (GET_ID, "SomethingNew"),
        (GET_CREDENTIALS, "SomethingNew"),
        (OPEN_ID, "PackedPolicyTooLarge"),
        (STS, "UserLambdaValidationException"),
    ] {
        let error = refused(operation, code, "Something new.");
        assert_eq!((error.hint(), error.needs_sign_in()), (None, false), "{error}");
    }
    for message in ["Something new.", ""] {
        let error = refused(GET_ID, DENIED, message);
        assert!(error.hint().is_some() && !error.needs_sign_in(), "{error}");
    }
}

#[cfg(feature = "user-pool")]
#[test]
fn every_refusal_of_a_user_pool_has_a_hint_that_fits() {
    let rows = [
        // code, message, needs sign-in, a word of the hint
        (DENIED, "Refresh Token has expired", true, "sign in again"),
        (DENIED, "Refresh Token has been revoked", true, "sign in again"),
        (DENIED, "Invalid Refresh Token", true, "check client_id and device_key"),
        (DENIED, "User is disabled.", false, "administrator"),
        (DENIED, "Unable to verify secret hash for client x", false, "client_secret"),
        (DENIED, "SecretHash does not match the client", false, "client_secret"),
        (
            DENIED,
            "Client x is configured for secret but secret was not received",
            false,
            "client_secret",
        ),
        (DENIED, "Auth flow not enabled for this client", false, "ALLOW_REFRESH_TOKEN_AUTH"),
        ("RefreshTokenReuseException", "", true, "sign in again"),
        ("UserNotFoundException", "User does not exist.", true, "sign in again"),
        ("UserNotConfirmedException", "", true, "sign in again"),
        ("PasswordResetRequiredException", "", true, "sign in again"),
        (MISSING, "User pool client x does not exist.", false, "client_id"),
        (INVALID, "", false, "app client"),
        ("UnsupportedOperationException", "", false, "app client"),
        ("OperationNotEnabledException", "", false, "app client"),
        ("UnsupportedTokenTypeException", "", false, "refresh_token"),
        ("UserLambdaValidationException", "PreTokenGeneration failed", false, "trigger"),
        ("UnexpectedLambdaException", "", false, "trigger"),
        ("InvalidLambdaResponseException", "", false, "trigger"),
        ("InvalidUserPoolConfigurationException", "", false, "owner"),
        ("InvalidSmsRoleAccessPolicyException", "", false, "owner"),
        ("InvalidSmsRoleTrustRelationshipException", "", false, "owner"),
        ("InvalidEmailRoleAccessPolicyException", "", false, "owner"),
        ("ForbiddenException", "Request not allowed due to WAF block.", false, "firewall"),
        ("LimitExceededException", "", false, "quota"),
        ("TooManyRequestsException", "", false, "try again later"),
        ("InternalErrorException", "", false, "try again later"),
    ];
    for (code, message, sign_in, word) in rows {
        for operation in ["InitiateAuth", "GetTokensFromRefreshToken"] {
            let cognito = FakeCognito::new();
            // The second operation follows where the first one is not allowed.
            if operation == "GetTokensFromRefreshToken" {
                cognito.fail_next("InitiateAuth", 9, Fault::error(400, INVALID, "rotation"));
            }
            let fault = Fault::error(400, code, message);
            cognito.fail_next(operation, 9, fault.clone());
            // Where it is allowed to try both, both refuse.
            if operation == "InitiateAuth" {
                cognito.fail_next("GetTokensFromRefreshToken", 9, fault);
            }
            let error = tokens_of(&cognito).id_token().unwrap_err();
            let hint = error.hint().unwrap_or_else(|| panic!("no hint for {error}"));
            assert!(hint.contains(word), "{error}: {hint}");
            assert_eq!(error.needs_sign_in(), sign_in, "{error}");
            assert_eq!(
                error.kind() == ErrorKind::NotAuthorized,
                sign_in || code == DENIED,
                "{error}"
            );
        }
    }
}

/// A JWT with this payload.
fn jwt(payload: &str) -> String {
    let mut encoded = String::new();
    for group in payload.as_bytes().chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or_default()));
        let bits = a << 16 | b << 8 | c;
        for at in 0..=group.len() {
            let sextet = (bits >> (18 - 6 * at) & 63) as usize;
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            encoded.push(char::from(alphabet[sextet]));
        }
    }
    format!("eyJhbGciOiJSUzI1NiJ9.{encoded}.c2ln")
}

const USER_POOL: &str = "cognito-idp.us-east-1.amazonaws.com/us-east-1_aBcDeFgHi";

#[test]
fn only_an_access_token_of_a_user_pool_is_refused_before_the_call() {
    let access = jwt(r#"{"sub":"ann","token_use":"access","client_id":"é?>~","exp":1767229200}"#);
    let rows = [
        // provider, token, whether it is refused
        (USER_POOL, access.clone(), true),
        (USER_POOL, jwt(r#"{"token_use" : "\u0061ccess"}"#), true),
        ("cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_aB9", access.clone(), true),
        ("cognito-idp-fips.us-gov-west-1.amazonaws.com/us-gov-west-1_aB9", access.clone(), true),
        ("localhost:9229/local_4Xy2", access.clone(), true),
        (USER_POOL, jwt(r#"{"token_use":"id"}"#), false),
        (USER_POOL, jwt(r#"{"sub":"token_use access"}"#), false),
        (USER_POOL, jwt(r#"{"inner":{"token_use":"access"}}"#), false),
        (USER_POOL, jwt(r#"{"token_use":["access"]}"#), false),
        (USER_POOL, jwt(r#"["token_use","access"]"#), false),
        (USER_POOL, jwt(r#"{"token_use":"access""#), false),
        (USER_POOL, "token_use=access".to_owned(), false),
        (USER_POOL, "a.!.c".to_owned(), false),
        (USER_POOL, "PHNhbWxwOlJlc3BvbnNlPg==".to_owned(), false),
        ("accounts.google.com", access.clone(), false),
        ("graph.facebook.com", access.clone(), false),
        ("arn:aws:iam::123456789012:saml-provider/an_idp", "PHNhbWw-".to_owned(), false),
    ];
    let text = "is an access token, but the identity pool needs the ID token";
    for (provider, token, is_refused) in rows {
        for way in ["build", "set_login", "source"] {
            let stage = Stage::with(|builder| {
                let token = token.clone();
                match way {
                    "build" => builder.login(provider, token),
                    "source" => builder.login_from(provider, move || Ok(token.clone())),
                    _ => builder,
                }
            });
            stage.cognito.accept_login(provider, &*token, "ann");
            if way == "set_login" {
                stage.credentials.set_login(provider, &*token);
            }
            let outcome = stage.credentials.get();
            if !is_refused {
                outcome.unwrap_or_else(|error| panic!("{way} {provider} {token}: {error}"));
                assert_eq!(stage.cognito.requests()[1].login(provider), Some(&*token));
                continue;
            }
            let error = outcome.expect_err(&token);
            assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Login, false), "{error}");
            assert_eq!(error.message(), format!("the token for {provider} {text}"), "{way}");
            assert!(error.hint().unwrap().contains("ID token"));
            assert!(!format!("{error:?}").contains(&token));
            assert!(stage.cognito.requests().is_empty(), "{way} {provider}");
        }
    }
}

#[test]
fn a_source_that_changes_to_an_access_token_is_refused_at_that_refresh() {
    let asked = Arc::new(AtomicU32::new(0));
    let (id, access) = (jwt(r#"{"token_use":"id"}"#), jwt(r#"{"token_use":"access"}"#));
    let (first, counter) = (id.clone(), asked.clone());
    let stage = Stage::with(|builder| {
        builder.login_from(USER_POOL, move || {
            let is_first = counter.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(if is_first { first.clone() } else { access.clone() })
        })
    });
    stage.cognito.accept_login(USER_POOL, id, "ann");
    stage.credentials.get().unwrap();
    let requests = stage.cognito.requests().len();
    assert_eq!(stage.credentials.refresh().unwrap_err().kind(), ErrorKind::Login);
    assert_eq!((stage.cognito.requests().len(), asked.load(Ordering::Relaxed)), (requests, 2));
}

/// `WebIdentityToken` has 4 to 20,000 characters.
#[test]
fn a_token_that_sts_does_not_take_is_refused_before_the_call() {
    let rows = [(1, false), (3, false), (4, true), (20_000, true), (20_001, false)];
    for (length, is_sent) in rows {
        let token = "e".repeat(length);
        let backend = {
            let token = token.clone();
            move || -> Result<_, BoxError> { Ok(DeveloperIdentity::new(IDENTITY, token.clone())) }
        };
        let stage =
            Stage::with(|builder| builder.role_arn(ROLE).developer_identity(backend.clone()));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!(stage.cognito.calls(STS) > 0, is_sent, "{length}: {error}");
        if !is_sent {
            assert_eq!(error.kind(), ErrorKind::Login);
            let says = format!(
                "the developer identity provider returned a token that has {length} characters, STS takes 4 to 20000"
            );
            assert_eq!(error.message(), says);
        }
        // The enhanced flow has another limit.
        let stage = Stage::with(|builder| builder.developer_identity(backend));
        assert_eq!(stage.credentials.get().unwrap_err().operation(), Some(GET_CREDENTIALS));

        let stage = Stage::with(|builder: Builder| builder.role_arn(ROLE));
        let answer = format!(r#"{{"Token":"{token}"}}"#);
        stage.cognito.fail_next(OPEN_ID, 9, Fault::raw(200, answer));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!(stage.cognito.calls(STS) > 0, is_sent, "{length}: {error}");
        if !is_sent {
            assert_eq!((error.kind(), error.operation()), (ErrorKind::Response, Some(OPEN_ID)));
        }
    }
}

/// The recovery stays what it was: the ID is kept, and the token source is asked once more.
#[test]
fn a_token_of_the_wrong_kind_is_asked_for_once_more_and_the_identity_is_kept() {
    for text in [
        "Invalid login token. Incorrect token audience",
        "Invalid login token. Missing a required claim: aud",
        "Invalid login token. Not a valid OpenId Connect identity token.",
    ] {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let cognito = FakeCognito::new();
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .login_from(PROVIDER, move || {
                Ok(format!("token-{}", counter.fetch_add(1, Ordering::Relaxed)))
            })
            .transport(cognito.clone())
            .clock(ManualClock::new())
            .build()
            .unwrap();
        for number in 0..4 {
            cognito.accept_login(PROVIDER, format!("token-{number}"), "ann");
        }
        let before = credentials.get().unwrap();
        cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized(text));
        assert_eq!(credentials.refresh().unwrap().identity_id(), before.identity_id(), "{text}");
        assert_eq!(asked.load(Ordering::Relaxed), 3, "{text}");
        assert_eq!(cognito.calls(GET_ID), 1, "{text}");
    }
}
