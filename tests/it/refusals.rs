//! Refusals of the services: each has the right hint, and says whether the user must sign in again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{BoxError, Builder, DeveloperIdentity, Error, ErrorKind};
#[cfg(feature = "user-pool")]
use cognito_identity_credentials::{
    UserPoolTokens,
    testing::{FakeCognito, ManualClock},
};

use crate::support::{GET_CREDENTIALS, IDENTITY, PROVIDER, ROLE, Stage, jwt};

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

/// Returns the error of a `get()` if the service always refuses `operation`.
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

/// A refusal of the service, and what the library makes of it.
struct Refusal {
    operation: &'static str,
    code: &'static str,
    message: &'static str,
    hint: &'static str,
    not_in_hint: Option<&'static str>,
    needs_sign_in: bool,
}

fn refusal(operation: &'static str, code: &'static str, message: &'static str) -> Refusal {
    Refusal { operation, code, message, hint: "", not_in_hint: None, needs_sign_in: false }
}

impl Refusal {
    /// The hint contains this.
    fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// The hint does not contain this, which another refusal of the same code has.
    fn not_in_hint(self, wrong: &'static str) -> Self {
        Self { not_in_hint: Some(wrong), ..self }
    }

    fn needs_sign_in(self) -> Self {
        Self { needs_sign_in: true, ..self }
    }

    fn check(&self, error: &Error) {
        let hint = error.hint().unwrap_or_else(|| panic!("no hint for {error}"));
        assert!(hint.contains(self.hint), "{error}: {hint}");
        assert!(!self.not_in_hint.is_some_and(|wrong| hint.contains(wrong)), "{error}: {hint}");
        assert_eq!(error.needs_sign_in(), self.needs_sign_in, "{error}");
    }
}

#[test]
fn every_refusal_of_an_identity_pool_or_sts_has_the_right_hint() {
    let denied = |operation, message| refusal(operation, DENIED, message);
    let no_pool = |operation, message| {
        let row = refusal(operation, MISSING, message);
        row.hint("identity_pool_id and region").not_in_hint("deleted")
    };
    let rows = [
        denied(GET_ID, MISMATCH).hint("provider").not_in_hint("cached ID"),
        denied(GET_CREDENTIALS, MISMATCH).hint("another user").not_in_hint("provider"),
        denied(OPEN_ID, "LOGINS DON'T MATCH.").hint("another user").not_in_hint("provider"),
        denied(GET_ID, "Token is not from a supported provider of this identity pool.")
            .hint("app client")
            .not_in_hint("sign in"),
        denied(GET_CREDENTIALS, "token is not from a supported provider")
            .hint("app client")
            .not_in_hint("sign in"),
        denied(GET_ID, "Identity pool - us-east-1:0 does not have identity providers configured.")
            .hint("provider")
            .not_in_hint("cached ID"),
        denied(GET_CREDENTIALS, "Invalid login token. Missing a required claim: aud")
            .hint("ID token")
            .not_in_hint("expired"),
        denied(GET_ID, "Invalid login token. Incorrect token audience")
            .hint("app client")
            .not_in_hint("expired"),
        denied(GET_ID, "Incorrect token audience").hint("app client").not_in_hint("expired"),
        denied(OPEN_ID, "Not a valid OpenId Connect identity token.")
            .hint("ID token")
            .not_in_hint("expired"),
        denied(GET_ID, "Invalid login token. Not a valid OpenID Connect identity token.")
            .hint("access token")
            .not_in_hint("expired"),
        denied(GET_ID, "Invalid login token. Token is expired.")
            .hint("has expired")
            .not_in_hint("issuer")
            .needs_sign_in(),
        denied(GET_CREDENTIALS, "Invalid login token. Token expired: 1446742058 >= 1446727732")
            .hint("has expired")
            .not_in_hint("issuer")
            .needs_sign_in(),
        denied(OPEN_ID, "invalid login token. token expired: 1 >= 0")
            .hint("expired")
            .not_in_hint("issuer")
            .needs_sign_in(),
        denied(GET_ID, "Invalid login token. Couldn't verify signed token.")
            .hint("not accepted")
            .not_in_hint("expired")
            .needs_sign_in(),
        denied(GET_ID, "Invalid login token. Issuer doesn't match providerName")
            .hint("without https://")
            .not_in_hint("expired"),
        denied(GET_CREDENTIALS, "Invalid login token. Can't pass in a Cognito token.")
            .hint("identity_id")
            .not_in_hint("expired"),
        denied(GET_ID, "Unauthenticated access is not supported for this identity pool.")
            .hint("guest")
            .not_in_hint("identity_pool_id"),
        denied(GET_CREDENTIALS, "Access to Identity 'x' is forbidden.")
            .hint("merged")
            .not_in_hint("role"),
        denied(
            GET_CREDENTIALS,
            "Access to Role 'arn:aws:iam::123456789012:role/device' is forbidden.",
        )
        .hint("custom_role_arn")
        .not_in_hint("merged"),
        denied(
            GET_CREDENTIALS,
            "The ambiguous role mapping rules for: accounts.google.com denied this request.",
        )
        .hint("role rules")
        .not_in_hint("merged"),
        refusal(
            GET_CREDENTIALS,
            "InvalidIdentityPoolConfigurationException",
            "Invalid identity pool configuration. Check assigned IAM roles for this pool.",
        )
        .hint("trust policy")
        .not_in_hint("merged"),
        no_pool(GET_ID, "IdentityPool 'x' not found."),
        no_pool(GET_ID, "Identity pool x not found."),
        no_pool(GET_ID, "Identity 'x' not found."),
        no_pool(GET_ID, ""),
        no_pool(GET_CREDENTIALS, "Identity pool x not found."),
        no_pool(OPEN_ID, "IdentityPool 'x' not found."),
        refusal(GET_CREDENTIALS, MISSING, "Identity 'x' not found.")
            .hint("deleted")
            .not_in_hint("identity_pool_id"),
        refusal(OPEN_ID, MISSING, "identity 'x' not found.")
            .hint("deleted")
            .not_in_hint("identity_pool_id"),
        refusal(GET_CREDENTIALS, MISSING, "Not here.")
            .hint("identity_pool_id")
            .not_in_hint("deleted"),
        refusal(OPEN_ID, INVALID, "Basic (classic) flow is not enabled, please use enhanced flow.")
            .hint("leave out role_arn")
            .not_in_hint("the message"),
        refusal(
            OPEN_ID,
            INVALID,
            "Basic (classic) flow is not supported with RoleMappings, please use enhanced flow.",
        )
        .hint("by rules")
        .not_in_hint("turn"),
        refusal(GET_ID, INVALID, "Please provide a valid public provider")
            .hint("login's name")
            .not_in_hint("policy"),
        refusal(GET_CREDENTIALS, INVALID, "No.").hint("settings").not_in_hint("policy"),
        refusal(GET_ID, "ValidationException", "No.").hint("settings").not_in_hint("policy"),
        refusal(GET_ID, "ResourceConflictException", "")
            .hint("another identity")
            .not_in_hint("expired"),
        refusal(GET_CREDENTIALS, "ResourceConflictException", "")
            .hint("another identity")
            .not_in_hint("expired"),
        refusal(OPEN_ID, "ExternalServiceException", "")
            .hint("provider did not answer")
            .not_in_hint("expired"),
        refusal(GET_ID, "LimitExceededException", "").hint("quota").not_in_hint("try again"),
        refusal(GET_ID, "ForbiddenException", "").hint("firewall").not_in_hint("try again"),
        refusal(GET_ID, "TooManyRequestsException", "Rate exceeded")
            .hint("try again later")
            .not_in_hint("quota"),
        refusal(GET_CREDENTIALS, "InternalErrorException", "")
            .hint("try again later")
            .not_in_hint("settings"),
        refusal(STS, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
            .hint("audience")
            .not_in_hint("STS rejects"),
        refusal(STS, "IDPRejectedClaim", "").hint("amr").not_in_hint("STS rejects"),
        refusal(STS, "ExpiredTokenException", "").hint("fresh").not_in_hint("amr"),
        refusal(STS, "InvalidIdentityToken", "Incorrect token audience")
            .hint("identity provider")
            .not_in_hint("amr"),
        refusal(
            STS,
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
        )
        .hint("try again later")
        .not_in_hint("STS rejects"),
        refusal(STS, "IDPCommunicationError", "").hint("try again later").not_in_hint("amr"),
        refusal(STS, "MalformedPolicyDocument", "").hint("JSON").not_in_hint("amr"),
        refusal(STS, "PackedPolicyTooLarge", "").hint("policy_arns").not_in_hint("JSON"),
        refusal(STS, "RegionDisabledException", "").hint("sts_endpoint_url").not_in_hint("amr"),
        refusal(
            STS,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
        .hint("shorter duration")
        .not_in_hint("amr"),
        refusal(STS, "ValidationError", "No.").hint("settings").not_in_hint("amr"),
        refusal(STS, "Throttling", "Rate exceeded").hint("try again later").not_in_hint("amr"),
    ];
    for row in rows {
        row.check(&refused(row.operation, row.code, row.message));
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
fn every_refusal_of_a_user_pool_has_the_right_hint() {
    let row = |code, message| refusal("InitiateAuth", code, message);
    let rows = [
        row(DENIED, "Refresh Token has expired").hint("sign in again").needs_sign_in(),
        row(DENIED, "Refresh Token has been revoked").hint("sign in again").needs_sign_in(),
        row(DENIED, "Invalid Refresh Token").hint("check client_id and device_key").needs_sign_in(),
        row(DENIED, "User is disabled.").hint("administrator"),
        row(DENIED, "Unable to verify secret hash for client x").hint("client_secret"),
        row(DENIED, "SecretHash does not match the client").hint("client_secret"),
        row(DENIED, "Client x is configured for secret but secret was not received")
            .hint("client_secret"),
        row(DENIED, "Auth flow not enabled for this client").hint("ALLOW_REFRESH_TOKEN_AUTH"),
        row("RefreshTokenReuseException", "").hint("sign in again").needs_sign_in(),
        row("UserNotFoundException", "User does not exist.").hint("sign in again").needs_sign_in(),
        row("UserNotConfirmedException", "").hint("sign in again").needs_sign_in(),
        row("PasswordResetRequiredException", "").hint("sign in again").needs_sign_in(),
        row(MISSING, "User pool client x does not exist.").hint("client_id"),
        row(INVALID, "").hint("app client"),
        row("UnsupportedOperationException", "").hint("app client"),
        row("OperationNotEnabledException", "").hint("app client"),
        row("UnsupportedTokenTypeException", "").hint("refresh_token"),
        row("UserLambdaValidationException", "PreTokenGeneration failed").hint("trigger"),
        row("UnexpectedLambdaException", "").hint("trigger"),
        row("InvalidLambdaResponseException", "").hint("trigger"),
        row("InvalidUserPoolConfigurationException", "").hint("owner"),
        row("InvalidSmsRoleAccessPolicyException", "").hint("owner"),
        row("InvalidSmsRoleTrustRelationshipException", "").hint("owner"),
        row("InvalidEmailRoleAccessPolicyException", "").hint("owner"),
        row("ForbiddenException", "Request not allowed due to WAF block.").hint("firewall"),
        row("LimitExceededException", "").hint("quota"),
        row("TooManyRequestsException", "").hint("try again later"),
        row("InternalErrorException", "").hint("try again later"),
    ];
    for row in rows {
        for operation in [row.operation, "GetTokensFromRefreshToken"] {
            let cognito = FakeCognito::new();
            let fault = Fault::error(400, row.code, row.message);
            cognito.fail_next("GetTokensFromRefreshToken", 9, fault.clone());
            if operation == row.operation {
                cognito.fail_next(operation, 9, fault);
            } else {
                // The library tries the second operation if rotation forbids the first.
                cognito.fail_next(row.operation, 9, Fault::error(400, INVALID, "rotation"));
            }
            let error = tokens_of(&cognito).id_token().unwrap_err();
            row.check(&error);
            let not_authorized = row.needs_sign_in || row.code == DENIED;
            assert_eq!(error.kind() == ErrorKind::NotAuthorized, not_authorized, "{error}");
        }
    }
}

const USER_POOL: &str = "cognito-idp.us-east-1.amazonaws.com/us-east-1_aBcDeFgHi";

#[test]
fn only_an_access_token_of_a_user_pool_is_an_error_before_the_call() {
    let access = jwt(r#"{"sub":"ann","token_use":"access","client_id":"é?>~","exp":1767229200}"#);
    let rejected = [
        (USER_POOL, access.clone()),
        (USER_POOL, jwt(r#"{"token_use" : "\u0061ccess"}"#)),
        ("cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_aB9", access.clone()),
        ("cognito-idp-fips.us-gov-west-1.amazonaws.com/us-gov-west-1_aB9", access.clone()),
        ("localhost:9229/local_4Xy2", access.clone()),
    ];
    let sent = [
        (USER_POOL, jwt(r#"{"token_use":"id"}"#)),
        (USER_POOL, jwt(r#"{"sub":"token_use access"}"#)),
        (USER_POOL, jwt(r#"{"inner":{"token_use":"access"}}"#)),
        (USER_POOL, jwt(r#"{"token_use":["access"]}"#)),
        (USER_POOL, jwt(r#"["token_use","access"]"#)),
        (USER_POOL, jwt(r#"{"token_use":"access""#)),
        (USER_POOL, "token_use=access".to_owned()),
        (USER_POOL, "a.!.c".to_owned()),
        (USER_POOL, "PHNhbWxwOlJlc3BvbnNlPg==".to_owned()),
        ("accounts.google.com", access.clone()),
        ("graph.facebook.com", access.clone()),
        ("arn:aws:iam::123456789012:saml-provider/an_idp", "PHNhbWw-".to_owned()),
    ];
    let text = "is an access token, but the identity pool needs the ID token";
    let rejected = rejected.into_iter().map(|(provider, token)| (provider, token, true));
    let sent = sent.into_iter().map(|(provider, token)| (provider, token, false));
    for (provider, token, is_rejected) in rejected.chain(sent) {
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
            if !is_rejected {
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
fn an_access_token_from_a_source_fails_the_next_refresh() {
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

/// AWS STS: `WebIdentityToken` has 4 to 20,000 characters.
#[test]
fn a_token_with_a_length_that_sts_does_not_accept_is_an_error_before_the_call() {
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

#[test]
fn after_a_rejected_token_the_source_is_asked_again_and_the_identity_is_kept() {
    for text in [
        "Invalid login token. Incorrect token audience",
        "Invalid login token. Missing a required claim: aud",
        "Invalid login token. Not a valid OpenId Connect identity token.",
    ] {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let Stage { cognito, credentials, .. } = Stage::with(|builder| {
            builder.login_from(PROVIDER, move || {
                Ok(format!("token-{}", counter.fetch_add(1, Ordering::Relaxed)))
            })
        });
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
