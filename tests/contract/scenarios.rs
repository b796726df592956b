//! The scenarios. They check the public behaviour of the library and the calls that it makes.

use std::fmt::Debug;
use std::sync::Arc;

use cognito_identity_credentials::{
    CognitoIdentityCredentials, Credentials, Error, ErrorKind, IdentityOrigin, MemoryStorage,
    UserPoolTokens,
};

use crate::services::{Failure, Service};

type Outcome = Result<(), Failure>;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Service) -> Outcome,
}

pub(crate) const SCENARIOS: [Scenario; 11] = [
    Scenario { name: "user pool", run: user_pool },
    Scenario { name: "guest", run: guest },
    Scenario { name: "user", run: user },
    Scenario { name: "returning user", run: returning_user },
    Scenario { name: "developer", run: developer },
    Scenario { name: "classic", run: classic },
    Scenario { name: "revoked", run: revoked },
    Scenario { name: "rotated", run: rotated },
    Scenario { name: "disabled identity", run: disabled_identity },
    Scenario { name: "unknown pool", run: unknown_pool },
    Scenario { name: "throttled", run: throttled },
];

const GET_ID: &str = "GetId";
const GET_CREDENTIALS: &str = "GetCredentialsForIdentity";
const GET_TOKENS: &str = "GetTokensFromRefreshToken";
const INITIATE_AUTH: &str = "InitiateAuth";

fn expect<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(Failure::Failed(format!("{what}: {found:?}, expected {expected:?}")))
}

/// Checks the calls since the last check.
fn expect_calls(service: &Service, expected: &[&str]) -> Outcome {
    let found: Vec<String> = service.take_requests().into_iter().map(|r| r.operation).collect();
    expect("calls", found, expected.iter().map(|name| (*name).to_owned()).collect())
}

fn expect_error<T>(
    result: Result<T, Error>,
    kind: ErrorKind,
    code: &str,
    hint_has: &str,
    needs_sign_in: bool,
) -> Outcome {
    let Err(error) = result else {
        return Err(Failure::Failed(format!("no error, expected {kind:?} {code}")));
    };
    let text = format!("of {error:#}");
    expect(&format!("kind {text}"), error.kind(), kind)?;
    expect(&format!("code {text}"), error.code(), Some(code))?;
    expect(&format!("needs_sign_in {text}"), error.needs_sign_in(), needs_sign_in)?;
    let hint = error.hint().unwrap_or_default();
    expect(&format!("hint {text}: {hint:?} has {hint_has:?}"), hint.contains(hint_has), true)
}

fn identity_of(credentials: &Credentials) -> Result<String, Failure> {
    let id = credentials.identity_id().map(str::to_owned);
    id.ok_or(Failure::Failed("credentials without an identity".to_owned()))
}

/// Gets credentials, and checks that they have an identity of this origin and need no refresh.
fn expect_credentials(
    credentials: &CognitoIdentityCredentials,
    origin: IdentityOrigin,
) -> Result<String, Failure> {
    let got = credentials.get()?;
    let status = credentials.status();
    let id = identity_of(&got)?;
    expect("identity in the status", status.identity_id.as_ref(), Some(&id))?;
    expect("origin", status.identity_origin, Some(origin))?;
    expect("needs_refresh", status.needs_refresh, false)?;
    expect("cached", credentials.cached() == Some(got), true)?;
    Ok(id)
}

fn new_tokens(service: &Service) -> Result<UserPoolTokens, Failure> {
    Ok(service.tokens(&service.controls.sign_in(false)?).build()?)
}

fn user_pool(service: &Service) -> Outcome {
    let tokens = new_tokens(service)?;
    service.take_requests();
    let first = tokens.id_token()?;
    expect("parts of the ID token", first.split('.').count(), 3)?;
    expect_calls(service, &[INITIATE_AUTH])?;
    expect("the cached token is the same", tokens.id_token()? == first, true)?;
    expect_calls(service, &[])
}

fn guest(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let storage = Arc::new(MemoryStorage::new());
    let settings = || service.provider(&pool).storage(storage.clone());
    service.take_requests();

    let credentials = settings().build()?;
    let id = expect_credentials(&credentials, IdentityOrigin::Minted)?;
    credentials.get()?;
    expect_calls(service, &[GET_ID, GET_CREDENTIALS])?;

    let restarted = expect_credentials(&settings().build()?, IdentityOrigin::Stored)?;
    expect("identity after a restart", restarted, id)?;
    expect_calls(service, &[GET_CREDENTIALS])
}

fn user(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let tokens = new_tokens(service)?;
    service.take_requests();
    let credentials = service.provider(&pool).login_from_user_pool(&tokens).build()?;
    expect_credentials(&credentials, IdentityOrigin::Minted)?;
    expect_calls(service, &[INITIATE_AUTH, GET_ID, GET_CREDENTIALS])?;
    credentials.refresh()?;
    expect_calls(service, &[GET_CREDENTIALS])
}

fn returning_user(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let identity = || {
        let tokens = new_tokens(service)?;
        identity_of(&service.provider(&pool).login_from_user_pool(&tokens).build()?.get()?)
    };
    expect("identity of the returning user", identity()?, identity()?)
}

fn developer(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let given = service.controls.developer_identity()?;
    service.take_requests();
    let mut identities = Vec::new();
    for _ in ["first start", "restart"] {
        let given = given.clone();
        let settings = service.provider(&pool).developer_identity(move || Ok(given.clone()));
        identities.push(expect_credentials(&settings.build()?, IdentityOrigin::Developer)?);
        expect_calls(service, &[GET_CREDENTIALS])?;
    }
    expect("identity after a restart", &identities[1], &identities[0])
}

fn classic(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let role = service.controls.role_arn()?;
    service.take_requests();
    let credentials = service.classic_provider(&pool, &role).build()?;
    expect_credentials(&credentials, IdentityOrigin::Minted)?;
    expect_calls(service, &[GET_ID, "GetOpenIdToken", "AssumeRoleWithWebIdentity"])
}

/// The user pool refuses before the identity pool is called, so the identity pool need not exist.
fn revoked(service: &Service) -> Outcome {
    let sign_in = service.controls.sign_in(false)?;
    service.controls.end_sign_in(&sign_in)?;
    let tokens = service.tokens(&sign_in).build()?;
    service.take_requests();
    let hint = "sign in again";
    let code = "NotAuthorizedException";
    expect_error(tokens.id_token(), ErrorKind::NotAuthorized, code, hint, true)?;
    expect_calls(service, &[INITIATE_AUTH])?;

    let tokens = service.tokens(&sign_in).build()?;
    let credentials = service.provider(UNKNOWN_POOL).login_from_user_pool(&tokens).build()?;
    let Err(error) = credentials.get() else {
        return Err(Failure::Failed("credentials without a login".to_owned()));
    };
    expect("kind", error.kind(), ErrorKind::Login)?;
    expect("needs_sign_in", error.needs_sign_in(), true)?;
    expect_calls(service, &[INITIATE_AUTH])
}

/// After a restart the program still has the refresh token of the sign-in, but sends the stored
/// one.
fn rotated(service: &Service) -> Outcome {
    let sign_in = service.controls.sign_in(true)?;
    let storage = Arc::new(MemoryStorage::new());
    service.take_requests();
    for _ in ["first start", "restart"] {
        let settings = service.tokens(&sign_in).refresh_token_rotation(true);
        settings.storage(storage.clone()).build()?.id_token()?;
    }
    let requests = service.take_requests();
    let sent: Vec<_> =
        requests.iter().map(|r| (&*r.operation, r.refresh_token.as_deref())).collect();
    let given = sign_in.refresh_token.as_str();
    match sent.as_slice() {
        [(GET_TOKENS, Some(first)), (GET_TOKENS, Some(_))] if *first != given => {
            Err(Failure::Failed("the first refresh did not send the given token".to_owned()))
        }
        [(GET_TOKENS, Some(_)), (GET_TOKENS, Some(second))] if *second == given => {
            Err(Failure::Failed("the refresh token was not replaced".to_owned()))
        }
        [(GET_TOKENS, Some(_)), (GET_TOKENS, Some(_))] => Ok(()),
        _ => Err(Failure::Failed(format!("{} calls, expected 2 of {GET_TOKENS}", sent.len()))),
    }
}

/// The service disables a guest's identity when a login merges it into the identity of a user.
fn disabled_identity(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let storage = Arc::new(MemoryStorage::new());
    let guest = || service.provider(&pool).storage(storage.clone());
    let disabled = identity_of(&guest().build()?.get()?)?;

    let tokens = new_tokens(service)?;
    let user = || service.provider(&pool).login_from_user_pool(&tokens);
    let of_user = identity_of(&user().build()?.get()?)?;
    let merging = user().identity_id(&disabled).build()?;
    expect("identity after the merge", identity_of(&merging.get()?)?, of_user)?;
    expect_credentials(&merging, IdentityOrigin::Merged)?;
    service.take_requests();

    let only_the_old = guest().allow_new_guest(false).build()?;
    let (code, hint) = ("NotAuthorizedException", "merged or disabled");
    expect_error(only_the_old.get(), ErrorKind::NotAuthorized, code, hint, false)?;
    expect_calls(service, &[GET_CREDENTIALS])?;

    let credentials = guest().build()?;
    let replaced = expect_credentials(&credentials, IdentityOrigin::Minted)? != disabled;
    expect("the guest has another identity", replaced, true)?;
    expect_calls(service, &[GET_CREDENTIALS, GET_ID, GET_CREDENTIALS])
}

const UNKNOWN_POOL: &str = "eu-west-1:ffffffff-ffff-4fff-bfff-ffffffffffff";

fn unknown_pool(service: &Service) -> Outcome {
    let pool = service.controls.identity_pool_id()?;
    let (region, _) = pool.split_once(':').unwrap_or_default();
    let unknown = UNKNOWN_POOL.replace("eu-west-1", region);
    service.take_requests();
    let credentials = service.provider(unknown).build()?;
    let (code, hint) = ("ResourceNotFoundException", "identity_pool_id");
    expect_error(credentials.get(), ErrorKind::NotFound, code, hint, false)?;
    expect_calls(service, &[GET_ID])
}

fn throttled(service: &Service) -> Outcome {
    let code = "TooManyRequestsException";
    service.controls.throttle(GET_CREDENTIALS, 4)?;
    let credentials = service.provider(service.controls.identity_pool_id()?).build()?;
    service.take_requests();
    expect_error(credentials.get(), ErrorKind::Throttled, code, "", false)?;
    expect_calls(
        service,
        &[GET_ID, GET_CREDENTIALS, GET_CREDENTIALS, GET_CREDENTIALS, GET_CREDENTIALS],
    )?;
    // During the cooldown the same error is returned without a call.
    expect_error(credentials.get(), ErrorKind::Throttled, code, "", false)?;
    expect_calls(service, &[])?;
    service.controls.throttle(GET_CREDENTIALS, 2)?;
    credentials.refresh()?;
    expect_calls(service, &[GET_CREDENTIALS, GET_CREDENTIALS, GET_CREDENTIALS])
}
