//! Login tokens of a user pool: when they are refreshed, and how long that takes.

mod rotation;
mod settings;
mod several_processes;
mod sign_in;
mod storage_faults;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::SystemTime;

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, ErrorKind, MemoryStorage, Storage, UserPoolTokens,
    UserPoolTokensBuilder,
};

use crate::support::{POOL, jwt, seconds};

const INITIATE: &str = "InitiateAuth";
const GET_TOKENS: &str = "GetTokensFromRefreshToken";
const USER_POOL: &str = FakeCognito::USER_POOL_ID;
const CLIENT: &str = FakeCognito::CLIENT_ID;
const KEY: &str = "refresh-token/us-east-1_FakePool1/fakeclient0123456789fakecl";

/// A service, its clock, and the refresh token of Ann's sign-in.
struct Pool {
    clock: ManualClock,
    cognito: FakeCognito,
    given: String,
}

impl Pool {
    fn new() -> Self {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        let given = cognito.sign_in("ann");
        Self { clock, cognito, given }
    }

    fn rotating(grace: u64) -> Self {
        let pool = Self::new();
        pool.cognito.set_refresh_token_rotation(Some(seconds(grace)));
        pool
    }

    /// Settings without a refresh token.
    fn bare(&self) -> UserPoolTokensBuilder {
        UserPoolTokens::builder()
            .user_pool_id(USER_POOL)
            .client_id(CLIENT)
            .transport(self.cognito.clone())
            .clock(self.clock.clone())
    }

    fn settings(&self) -> UserPoolTokensBuilder {
        self.bare().refresh_token(&self.given)
    }

    fn tokens(&self) -> UserPoolTokens {
        self.settings().build().unwrap()
    }

    /// Settings for a provider without logins.
    fn guest(&self) -> Builder {
        CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(self.cognito.clone())
            .clock(self.clock.clone())
    }

    fn provider(&self, tokens: &UserPoolTokens) -> CognitoIdentityCredentials {
        self.guest().login_from_user_pool(tokens).build().unwrap()
    }

    /// The refresh tokens that one operation has sent, in order.
    fn sent(&self, operation: &str) -> Vec<String> {
        let requests = self.cognito.requests().into_iter();
        let sent = requests.filter(|request| request.operation() == operation);
        sent.map(|request| request.refresh_token().unwrap().to_owned()).collect()
    }

    fn initiate_calls(&self) -> usize {
        self.cognito.calls(INITIATE)
    }

    fn rotating_calls(&self) -> usize {
        self.cognito.calls(GET_TOKENS)
    }
}

/// Returns the stored refresh token.
fn stored(storage: &MemoryStorage) -> Option<String> {
    let record = storage.load(KEY).unwrap()?;
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert_eq!((&record["version"], &record["key"]), (&2.into(), &KEY.into()));
    assert_eq!(record.as_object().unwrap().len(), 4, "version, key, given, refresh_token");
    Some(record["refresh_token"].as_str().unwrap().to_owned())
}

#[test]
fn a_provider_outlives_its_login_tokens() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    assert_eq!(tokens.provider(), "cognito-idp.us-east-1.amazonaws.com/us-east-1_FakePool1");
    let credentials = pool.provider(&tokens);
    let first = credentials.get().unwrap();
    for _ in 0..3 {
        pool.clock.advance(seconds(3601));
        let next = credentials.get().unwrap();
        assert_eq!(next.identity_id(), first.identity_id());
    }
    assert_eq!((pool.initiate_calls(), pool.rotating_calls()), (4, 0));
    let requests = pool.cognito.requests();
    let logins: Vec<_> = requests.iter().filter_map(|r| r.login(tokens.provider())).collect();
    assert_eq!(logins.len(), 5, "one GetId, four GetCredentialsForIdentity");
    assert_eq!(logins.last(), Some(&&*tokens.id_token().unwrap()));
}

#[test]
fn a_token_is_refreshed_early_and_never_returned_with_less_than_a_minute() {
    #[derive(Debug)]
    struct Row {
        seconds_left: u64,
        refresh_fails: bool,
        outcome: &'static str,
        calls: usize,
    }
    let row = |seconds_left, refresh_fails, outcome, calls| Row {
        seconds_left,
        refresh_fails,
        outcome,
        calls,
    };
    let rows = [
        row(900, false, "old token", 0),
        row(899, false, "new token", 1),
        row(899, true, "old token", 1),
        row(60, false, "new token", 1),
        row(60, true, "old token", 1),
        row(59, false, "new token", 1),
        row(59, true, "error", 4),
    ];
    for row in rows {
        let pool = Pool::new();
        // The wall clock is wrong, and was already wrong when the token was issued.
        pool.clock.set_wall(SystemTime::UNIX_EPOCH + seconds(77));
        let tokens = pool.tokens();
        let first = tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600 - row.seconds_left));
        let before = pool.initiate_calls();
        if row.refresh_fails {
            pool.cognito.fail_next(INITIATE, 4, Fault::NoAnswer(TransportErrorKind::Connect));
        }
        let next = tokens.id_token();
        let found = match &next {
            Ok(token) if *token == first => "old token",
            Ok(_) => "new token",
            Err(error) => {
                assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true));
                assert!(!error.needs_sign_in());
                "error"
            }
        };
        let calls = pool.initiate_calls() - before;
        assert_eq!((found, calls), (row.outcome, row.calls), "{row:?}");
    }
}

/// Settings with a user pool that always answers with this `AuthenticationResult`, at the time at
/// which a `ManualClock` begins.
fn answering(clock: &ManualClock, result: &str) -> UserPoolTokensBuilder {
    let body = format!(r#"{{"AuthenticationResult":{result}}}"#);
    let transport = move |_: &HttpRequest| {
        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        Ok(HttpResponse::new(200, body.clone()).with_header("date", date))
    };
    let settings = UserPoolTokens::builder().user_pool_id(USER_POOL).client_id(CLIENT);
    settings.refresh_token("given").clock(clock.clone()).transport(transport)
}

#[test]
fn a_token_lives_until_its_exp_claim_or_for_expires_in_if_it_has_none() {
    const ISSUED: u64 = 1_767_225_600;
    let token = |life: u64| {
        format!(
            r#"{{"IdToken":"{}","ExpiresIn":77}}"#,
            jwt(&format!(r#"{{"exp":{}}}"#, ISSUED + life))
        )
    };
    let rows: [(String, Result<u64, &str>); 9] = [
        (token(3600), Ok(3600)),
        (token(10 * 365 * 86_400), Ok(86_400)),
        (token(59), Ok(59)),
        (token(0), Err("the ID token had already expired when it was issued")),
        (r#"{"IdToken":"opaque","ExpiresIn":1800}"#.to_owned(), Ok(1800)),
        (
            r#"{"IdToken":"opaque","ExpiresIn":0}"#.to_owned(),
            Err("the ID token had already expired when it was issued"),
        ),
        (
            r#"{"IdToken":"opaque"}"#.to_owned(),
            Err("the answer's IdToken does not say when it ends, and ExpiresIn is missing"),
        ),
        (
            r#"{"IdToken":"opa\rque","ExpiresIn":1800}"#.to_owned(),
            Err("the answer's IdToken has white space in it"),
        ),
        (
            r#"{"AccessToken":"opaque","ExpiresIn":1800}"#.to_owned(),
            Err("the answer lacks AuthenticationResult.IdToken"),
        ),
    ];
    for (result, expected) in rows {
        let clock = ManualClock::new();
        match expected {
            Err(fault) => {
                let error = answering(&clock, &result).build().unwrap().id_token().unwrap_err();
                assert_eq!((error.kind(), error.message()), (ErrorKind::Response, fault));
                assert!(!error.needs_sign_in());
            }
            Ok(life) => {
                let body = format!(r#"{{"AuthenticationResult":{result}}}"#);
                let calls = AtomicUsize::new(0);
                let tokens = answering(&clock, &result)
                    .transport(move |_: &HttpRequest| {
                        if calls.fetch_add(1, Ordering::Relaxed) > 0 {
                            return Ok(HttpResponse::new(500, ""));
                        }
                        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
                        Ok(HttpResponse::new(200, body.clone()).with_header("date", date))
                    })
                    .max_attempts(1)
                    .build()
                    .unwrap();
                tokens.id_token().unwrap();
                if life > 60 {
                    clock.advance(seconds(life - 60));
                    assert!(tokens.id_token().is_ok(), "{result}");
                    clock.advance(seconds(1));
                }
                assert!(tokens.id_token().is_err(), "{result}");
            }
        }
    }
}

/// The user pool does not answer. A refresh that rotates the token is never abandoned: it takes up
/// to 20 s, whatever the time limit.
#[test]
fn a_refresh_takes_no_longer_than_the_time_limit_of_its_get() {
    /// Times are in seconds.
    #[derive(Debug)]
    struct Row {
        rotates: bool,
        /// The age of the token, if there is one.
        age: Option<u64>,
        limit: Option<u64>,
        longest: u64,
    }
    let rows = [
        Row { rotates: false, age: None, limit: Some(2), longest: 2 },
        Row { rotates: false, age: None, limit: None, longest: 20 },
        Row { rotates: false, age: Some(2800), limit: None, longest: 10 },
        Row { rotates: true, age: None, limit: Some(2), longest: 20 },
        Row { rotates: true, age: Some(2800), limit: None, longest: 20 },
        Row { rotates: true, age: None, limit: Some(0), longest: 0 },
    ];
    for row in rows {
        let pool = Pool::new();
        let silent = Arc::new(AtomicBool::new(false));
        let (clock, cognito, is_silent) =
            (pool.clock.clone(), pool.cognito.clone(), silent.clone());
        let transport = move |request: &HttpRequest| {
            if is_silent.load(Ordering::SeqCst) {
                clock.advance(request.timeout());
                return Err(TransportError::new(TransportErrorKind::Timeout, "silence"));
            }
            cognito.send(request)
        };
        let tokens = pool.settings().transport(transport).refresh_token_rotation(row.rotates);
        if row.rotates {
            pool.cognito.set_refresh_token_rotation(Some(seconds(60)));
        }
        let provider = pool.provider(&tokens.build().unwrap());
        if let Some(age) = row.age {
            provider.get().unwrap();
            pool.clock.advance(seconds(age));
        }
        silent.store(true, Ordering::SeqCst);
        let start = pool.clock.boot();
        let outcome = match row.limit {
            Some(limit) => provider.get_within(seconds(limit)),
            None => provider.get(),
        };
        assert_eq!(outcome.is_ok(), row.age.is_some(), "{row:?}");
        let (took, longest) = (pool.clock.boot() - start, seconds(row.longest));
        assert!((longest / 2..=longest).contains(&took), "{row:?}: {took:?}");
    }
}

#[test]
fn sixteen_threads_cause_one_refresh() {
    let pool = Pool::new();
    let (threads, started) = (16, Barrier::new(16));
    let callers = Arc::new(AtomicUsize::new(0));
    let (service, arrived) = (pool.cognito.clone(), callers.clone());
    let transport = move |request: &HttpRequest| {
        while arrived.load(Ordering::SeqCst) < threads {
            thread::yield_now();
        }
        service.send(request)
    };
    let tokens = pool.settings().transport(transport).build().unwrap();
    let found = thread::scope(|scope| {
        let call = || {
            started.wait();
            callers.fetch_add(1, Ordering::SeqCst);
            tokens.clone().id_token().unwrap()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|token| *token == found[0]));
    assert_eq!((pool.initiate_calls(), pool.rotating_calls()), (1, 0));
}

#[test]
fn a_transport_that_calls_id_token_during_its_refresh_gets_an_error() {
    let place: Arc<OnceLock<UserPoolTokens>> = Arc::default();
    let inside = place.clone();
    let transport = move |_: &HttpRequest| {
        let error = inside.get().unwrap().id_token().unwrap_err();
        Err(TransportError::new(TransportErrorKind::Other, error))
    };
    let tokens = Pool::new().settings().transport(transport).build().unwrap();
    place.set(tokens.clone()).unwrap();
    let error = tokens.id_token().unwrap_err();
    assert!(format!("{error:#}").contains("from inside"), "{error:#}");
}

/// Tests of other programs rely on this behaviour of `FakeCognito`.
#[test]
fn the_fake_user_pool_rejects_expired_and_revoked_tokens() {
    let pool = Pool::new();
    pool.cognito.set_refresh_token_lifetime(seconds(7_200));
    pool.cognito.set_id_token_lifetime(seconds(300));
    let tokens = pool.bare().refresh_token(pool.cognito.sign_in("ann")).build().unwrap();
    let credentials = pool.provider(&tokens);
    credentials.get().unwrap();
    let expired = tokens.id_token().unwrap();
    pool.clock.advance(seconds(300));
    let by_hand = pool.guest().login(tokens.provider(), expired).build().unwrap();
    let error = by_hand.get().unwrap_err();
    assert!(error.message().starts_with("Invalid login token. Token expired"), "{error}");
    assert!(error.needs_sign_in());
    tokens.id_token().unwrap();
    pool.clock.advance(seconds(7_200));
    assert_eq!(tokens.id_token().unwrap_err().message(), "Refresh Token has expired");

    let rows: [(&str, fn(&Pool)); 2] = [
        ("User is disabled.", |pool| pool.cognito.disable_user("ann")),
        ("Refresh Token has been revoked", |pool| pool.cognito.sign_out("ann")),
    ];
    for (message, end) in rows {
        let pool = Pool::new();
        end(&pool);
        assert_eq!(pool.tokens().id_token().unwrap_err().message(), message);
        let again = pool.bare().refresh_token(pool.cognito.sign_in("ann"));
        again.build().unwrap().id_token().unwrap();
    }
    let pool = Pool::new();
    let error = pool.settings().client_id("other").build().unwrap().id_token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = pool.bare().refresh_token("other").build().unwrap().id_token().unwrap_err();
    assert_eq!(error.message(), "Invalid Refresh Token");
}
