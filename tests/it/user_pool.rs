//! Login tokens of a user pool: renewed in time, over rotations, restarts and refusals.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, FaultyStorage, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Clock, CognitoIdentityCredentials, Error, ErrorKind, FileStorage, MemoryStorage, Storage,
    StorageLock, UserPoolTokens, UserPoolTokensBuilder,
};

use crate::secrets::{assert_clean, logged, record_log};
use crate::support::{GET_CREDENTIALS, POOL, seconds};

const INITIATE: &str = "InitiateAuth";
const GET_TOKENS: &str = "GetTokensFromRefreshToken";
const USER_POOL: &str = FakeCognito::USER_POOL_ID;
const CLIENT: &str = FakeCognito::CLIENT_ID;
const KEY: &str = "refresh-token/us-east-1_FakePool1/fakeclient0123456789fakecl";

/// A service, its time, and what Ann's sign-in yielded.
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

    fn provider(&self, tokens: &UserPoolTokens) -> CognitoIdentityCredentials {
        CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .login_from_user_pool(tokens)
            .transport(self.cognito.clone())
            .clock(self.clock.clone())
            .build()
            .unwrap()
    }

    /// The refresh tokens that were sent by one operation, in order.
    fn sent(&self, operation: &str) -> Vec<String> {
        let requests = self.cognito.requests().into_iter();
        let sent = requests.filter(|request| request.operation() == operation);
        sent.map(|request| request.refresh_token().unwrap().to_owned()).collect()
    }

    fn calls(&self) -> (usize, usize) {
        (self.cognito.calls(INITIATE), self.cognito.calls(GET_TOKENS))
    }
}

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
    assert_eq!(pool.calls(), (4, 0));
    let requests = pool.cognito.requests();
    let logins: Vec<_> = requests.iter().filter_map(|r| r.login(tokens.provider())).collect();
    assert_eq!(logins.len(), 5, "one GetId, four times credentials");
    assert_eq!(logins.last(), Some(&&*tokens.id_token().unwrap()));
}

/// What is left of an hour, what the user pool does then, and what comes of it.
#[test]
fn a_token_is_refreshed_early_and_never_returned_with_less_than_a_minute() {
    let rows = [
        (900, false, "old", 0),
        (899, false, "new", 1),
        (899, true, "old", 1),
        (60, false, "new", 1),
        (60, true, "old", 1),
        (59, false, "new", 1),
        (59, true, "error", 4),
    ];
    for (left, fails, outcome, calls) in rows {
        let pool = Pool::new();
        // The device's own idea of the time is far off, from before the token was issued.
        pool.clock.set_wall(SystemTime::UNIX_EPOCH + seconds(77));
        let tokens = pool.tokens();
        let first = tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600 - left));
        let before = pool.calls().0;
        if fails {
            pool.cognito.fail_next(INITIATE, 4, Fault::NoAnswer(TransportErrorKind::Connect));
        }
        let next = tokens.id_token();
        let found = match &next {
            Ok(token) if *token == first => "old",
            Ok(_) => "new",
            Err(error) => {
                assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true));
                assert!(!error.needs_sign_in());
                "error"
            }
        };
        assert_eq!((found, pool.calls().0 - before), (outcome, calls), "{left} s left, {fails}");
    }
}

/// A user pool that answers this `AuthenticationResult`, at the hour that the clock begins with.
fn answering(clock: &ManualClock, result: &str) -> UserPoolTokensBuilder {
    let body = format!(r#"{{"AuthenticationResult":{result}}}"#);
    let transport = move |_: &HttpRequest| {
        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        Ok(HttpResponse::new(200, body.clone()).with_header("date", date))
    };
    let settings = UserPoolTokens::builder().user_pool_id(USER_POOL).client_id(CLIENT);
    settings.refresh_token("given").clock(clock.clone()).transport(transport)
}

/// A token that ends so many seconds after that hour: `base64url({"exp":1767225600 + seconds})`.
fn jwt(exp: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for chunk in format!(r#"{{"exp":{exp}}}"#).as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0, |bits, b| bits << 8 | usize::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            encoded.push(char::from(DIGITS[bits >> (18 - 6 * digit) & 63]));
        }
    }
    format!("eyJ.{encoded}.sig")
}

#[test]
fn a_token_lives_as_long_as_it_says_itself_or_as_the_answer_says_of_one_that_does_not() {
    let hour = 1_767_225_600_u64;
    let token = |life: u64| {
        format!(r#"{{"IdToken":"{}","ExpiresIn":77}}"#, jwt(&(hour + life).to_string()))
    };
    let rows: [(String, Result<u64, &str>); 8] = [
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
            r#"{"AccessToken":"opaque","ExpiresIn":1800}"#.to_owned(),
            Err("the answer lacks AuthenticationResult.IdToken"),
        ),
    ];
    for (result, expected) in rows {
        let clock = ManualClock::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let inner = answering(&clock, &result).build().unwrap();
        match expected {
            Err(fault) => {
                let error = inner.id_token().unwrap_err();
                assert_eq!((error.kind(), error.message()), (ErrorKind::Response, fault));
                assert!(!error.needs_sign_in());
            }
            Ok(life) => {
                let body = format!(r#"{{"AuthenticationResult":{result}}}"#);
                let count = calls.clone();
                let tokens = answering(&clock, &result)
                    .transport(move |_: &HttpRequest| {
                        if count.fetch_add(1, Ordering::Relaxed) > 0 {
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

/// A user pool that keeps silent holds up nobody for longer than they have, but for a rotation, which
/// is seen through.
#[test]
fn a_refresh_takes_no_longer_than_the_get_that_needs_it_has() {
    let rows = [
        ("in a hurry", false, 0, Some(2), 2),
        ("with time enough", false, 0, None, 20),
        ("ahead of time", false, 2800, None, 10),
        ("in a hurry, rotating", true, 0, Some(2), 20),
        ("ahead of time, rotating", true, 2800, None, 20),
        ("no time at all, rotating", true, 0, Some(0), 0),
    ];
    for (what, rotating, age, limit, most) in rows {
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
        let tokens = pool.settings().transport(transport).refresh_token_rotation(rotating);
        if rotating {
            pool.cognito.set_refresh_token_rotation(Some(seconds(60)));
        }
        let provider = pool.provider(&tokens.build().unwrap());
        if age > 0 {
            provider.get().unwrap();
            pool.clock.advance(seconds(age));
        }
        silent.store(true, Ordering::SeqCst);
        let begun = pool.clock.boot();
        let outcome = match limit {
            Some(limit) => provider.get_within(seconds(limit)),
            None => provider.get(),
        };
        assert_eq!(outcome.is_ok(), age > 0, "{what}");
        let took = pool.clock.boot() - begun;
        assert!(took <= seconds(most), "{what}: {took:?}");
        assert!(most == 0 || took >= seconds(most) / 2, "{what}: {took:?}");
    }
}

#[test]
fn any_number_of_threads_cause_one_refresh() {
    let pool = Pool::new();
    let (threads, started) = (16, Barrier::new(16));
    let about_to_ask = Arc::new(AtomicUsize::new(0));
    let (service, asking) = (pool.cognito.clone(), about_to_ask.clone());
    let transport = move |request: &HttpRequest| {
        while asking.load(Ordering::SeqCst) < threads {
            thread::yield_now();
        }
        service.send(request)
    };
    let tokens = pool.settings().transport(transport).build().unwrap();
    let found = thread::scope(|scope| {
        let ask = || {
            started.wait();
            about_to_ask.fetch_add(1, Ordering::SeqCst);
            tokens.clone().id_token().unwrap()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|token| *token == found[0]));
    assert_eq!(pool.calls(), (1, 0));
}

#[test]
fn a_transport_that_asks_for_the_token_it_helps_to_fetch_is_reentrant() {
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

#[test]
fn without_rotation_nothing_is_written() {
    let pool = Pool::new();
    let storage = Arc::new(MemoryStorage::new());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    for _ in 0..3 {
        tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    }
    assert_eq!(pool.sent(INITIATE), [&*pool.given; 3]);
    assert_eq!(format!("{storage:?}"), "MemoryStorage {}");
}

#[test]
fn rotation_is_found_out_once_and_its_tokens_outlive_the_program() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let start =
        |settings: UserPoolTokensBuilder| settings.storage(storage.clone()).build().unwrap();
    let mut latest = pool.given.clone();
    let mut renew = |tokens: &UserPoolTokens| {
        tokens.id_token().unwrap();
        assert_eq!(pool.sent(GET_TOKENS).last(), Some(&latest));
        pool.clock.advance(seconds(3600));
        latest = stored(&storage).unwrap();
    };
    let first = start(pool.settings());
    renew(&first);
    renew(&first);
    assert_eq!(pool.calls(), (1, 2), "the first call is refused, and no other made");
    assert_eq!(format!("{storage:?}"), format!("MemoryStorage {{{KEY:?}}}"));
    drop(first);

    renew(&start(pool.settings()));
    let from_storage = start(pool.bare());
    renew(&from_storage);
    renew(&from_storage);
    renew(&start(pool.settings()));
    assert_eq!(pool.calls(), (1, 6), "it still descends from the one that was given");
}

#[test]
fn an_app_client_that_is_said_to_rotate_is_not_asked_otherwise() {
    let pool = Pool::rotating(0);
    let tokens = pool.settings().refresh_token_rotation(true).build().unwrap();
    for _ in 0..3 {
        tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    }
    assert_eq!(pool.calls(), (0, 3));
    pool.cognito.set_refresh_token_rotation(None);
    tokens.id_token().unwrap();
    assert_eq!(pool.calls(), (0, 4), "the operation also serves one that does not");
}

#[test]
fn a_new_sign_in_wins_over_what_is_stored_of_an_old_one() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let start = |token: &str| {
        let settings = pool.bare().refresh_token(token).refresh_token_rotation(true);
        settings.storage(storage.clone()).build().unwrap()
    };
    start(&pool.given).id_token().unwrap();
    let of_ann = stored(&storage).unwrap();
    let bobs = pool.cognito.sign_in("bob");
    start(&bobs).id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS), [&*pool.given, &*bobs]);
    let of_bob = stored(&storage).unwrap();
    assert_ne!(of_ann, of_bob);

    // The old one no longer has a record, and its first token was replaced long ago.
    let error = start(&pool.given).id_token().unwrap_err();
    assert_eq!(error.code(), Some("RefreshTokenReuseException"));
    assert!(error.needs_sign_in());
    assert_eq!(stored(&storage).as_ref(), Some(&of_bob));
}

#[test]
fn users_and_app_clients_have_records_of_their_own() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let settings = pool.settings().storage(storage.clone()).login_id("ann/1");
    settings.build().unwrap().id_token().unwrap();
    assert_eq!(format!("{storage:?}"), format!("MemoryStorage {{\"{KEY}/ann/1\"}}"));
    let error = pool.bare().storage(storage).login_id("bob").build().unwrap().id_token();
    assert_eq!(error.unwrap_err().message(), "no refresh token is known: the user has to sign in");
}

#[cfg(unix)]
#[test]
fn the_file_of_a_rotated_token_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let pool = Pool::rotating(0);
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let settings = || pool.settings().storage(FileStorage::new(&directory)).build().unwrap();
    settings().id_token().unwrap();
    pool.clock.advance(seconds(3600));
    settings().id_token().unwrap();
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 2, "the record, and its lock");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!file.file_name().to_string_lossy().contains("fake-refresh"));
    }
}

#[test]
fn a_rotated_token_is_stored_before_anything_else_is_done() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let (service, kept) = (pool.cognito.clone(), storage.clone());
    let transport = move |request: &HttpRequest| {
        assert!(stored(&kept).is_some(), "the ID token is used before the other is stored");
        service.send(request)
    };
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .login_from(tokens.provider(), tokens.clone())
        .transport(transport)
        .clock(pool.clock.clone())
        .build()
        .unwrap();
    credentials.get().unwrap();

    // Also one that comes with an ID token that is none, and one that looks like no other.
    let lacks = "the answer lacks AuthenticationResult.IdToken";
    let endless = "the answer's IdToken does not say when it ends, and ExpiresIn is missing";
    let no_text = "the answer's AuthenticationResult.IdToken is not a JSON string";
    let rows = [
        (r#""IdToken":"opaque","#, "rotated", Some(endless)),
        (r#""AccessToken":"a","#, "rotated", Some(lacks)),
        (r#""IdToken":"","#, "rotated", Some(lacks)),
        (r#""IdToken":7,"#, "rotated", Some(no_text)),
        (r#""IdToken":"o","ExpiresIn":3600,"#, "rot/ ated+é", None),
        (r#""IdToken":"o","ExpiresIn":3600,"#, &"r".repeat(20_000), None),
    ];
    for (rest, rotated, fault) in rows {
        let clock = ManualClock::new();
        let storage = Arc::new(MemoryStorage::new());
        let result = format!(r#"{{{rest}"RefreshToken":"{rotated}"}}"#);
        let tokens = answering(&clock, &result).storage(storage.clone()).build().unwrap();
        let error = tokens.id_token().err();
        assert_eq!(error.as_ref().map(Error::message), fault, "{result}");
        assert_eq!(stored(&storage).as_deref(), Some(rotated), "{result}");

        // The next process sends it.
        let sent = Arc::new(Mutex::new(None));
        let seen = sent.clone();
        let transport = move |request: &HttpRequest| {
            let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
            *seen.lock().unwrap() = body["RefreshToken"].as_str().map(str::to_owned);
            Ok(HttpResponse::new(403, ""))
        };
        let next = answering(&clock, "").storage(storage).transport(transport).build().unwrap();
        next.id_token().unwrap_err();
        assert_eq!(sent.lock().unwrap().as_deref(), Some(rotated), "{result}");
    }
}

#[test]
fn a_lost_answer_costs_a_sign_in_only_where_there_is_no_grace() {
    let pool = Pool::rotating(60);
    let tokens = pool.settings().refresh_token_rotation(true).build().unwrap();
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::AnswerLost(TransportErrorKind::Io));
    tokens.id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS), [&*pool.given; 2]);

    let pool = Pool::rotating(0);
    let tokens = pool.settings().refresh_token_rotation(true).build().unwrap();
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::AnswerLost(TransportErrorKind::Io));
    let error = tokens.id_token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAuthorized);
    assert!(error.needs_sign_in() && !error.is_retryable());
}

/// Its ID token is still good for a quarter of an hour, but no grace period is that long.
#[test]
fn an_advisory_rotation_is_never_abandoned() {
    // How the rotation is known, and how long each lost answer took.
    for (said, took) in [(true, 0), (false, 0), (true, 11)] {
        for (lost, new) in [(1, true), (2, took == 0), (4, false)] {
            let pool = Pool::rotating(60);
            let (service, clock) = (pool.cognito.clone(), pool.clock.clone());
            let to_lose = Arc::new(AtomicUsize::new(0));
            let losing = to_lose.clone();
            let transport = move |request: &HttpRequest| {
                let answer = service.send(request)?;
                let less = |left: usize| left.checked_sub(1);
                if losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
                    return Ok(answer);
                }
                clock.advance(seconds(took));
                Err(TransportError::new(TransportErrorKind::Timeout, "lost"))
            };
            let settings = pool.settings().refresh_token_rotation(said).transport(transport);
            let tokens = settings.timeout(seconds(15)).build().unwrap();
            let first = tokens.id_token().unwrap();
            pool.clock.advance(seconds(2_800));
            to_lose.store(lost, Ordering::SeqCst);
            let before = pool.cognito.calls(GET_TOKENS);
            let next = tokens.id_token().unwrap();
            let row = format!("{said}, {took} s, {lost} lost");
            assert_eq!(next != first, new, "{row}: the old one is good where no new one came");
            let calls = if took == 0 { 4.min(lost + 1) } else { 2 };
            assert_eq!(pool.cognito.calls(GET_TOKENS) - before, calls, "{row}");
        }
    }
}

/// A power cut between the answer and the storage, and one between the storage and the answer's use.
#[test]
fn a_restart_goes_on_from_whatever_the_storage_has() {
    let pool = Pool::rotating(60);
    let storage = Arc::new(MemoryStorage::new());
    let start = || pool.settings().storage(storage.clone()).build().unwrap();
    start().id_token().unwrap();
    let before = storage.load(KEY).unwrap().unwrap();
    start().id_token().unwrap();
    storage.store(KEY, &before).unwrap();
    start().id_token().unwrap();

    for damage in ["", "null", "{}", "\u{0}", "{\"version\":3}"] {
        storage.store(KEY, damage.as_bytes()).unwrap();
        start().id_token().unwrap();
        let whole = storage.load(KEY).unwrap().unwrap();
        assert!(whole.len() > 60, "it is written anew");
        let later = String::from_utf8(whole).unwrap().replace(":2,", ":3,");
        storage.store(KEY, later.as_bytes()).unwrap();
        let bare = pool.bare().storage(storage.clone()).build().unwrap();
        assert_eq!(bare.id_token().unwrap_err().kind(), ErrorKind::Login, "of a later version");
        start().id_token().unwrap();
    }
}

#[test]
fn processes_that_share_a_storage_go_on_with_each_others_tokens() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let process = || pool.settings().storage(storage.clone()).build().unwrap();
    let (one, other) = (process(), process());
    for _ in 0..3 {
        one.id_token().unwrap();
        other.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    }
    assert_eq!(pool.cognito.calls(GET_TOKENS), 6);
    assert_eq!(pool.cognito.calls(INITIATE), 1, "the other finds the first one's record");
}

/// The other process renews while this one's request is on its way.
#[test]
fn a_token_that_another_process_replaced_meanwhile_is_looked_up_again_once() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let settings = || pool.settings().storage(storage.clone()).refresh_token_rotation(true);
    // Where nobody has, a refusal is final after one call.
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::not_authorized("Refresh Token has been revoked"));
    assert!(settings().build().unwrap().id_token().unwrap_err().needs_sign_in());
    assert_eq!(pool.cognito.calls(GET_TOKENS), 1);

    let other = settings().build().unwrap();
    let (service, calls) = (pool.cognito.clone(), AtomicUsize::new(0));
    let transport = move |request: &HttpRequest| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            other.id_token().unwrap();
        }
        service.send(request)
    };
    let tokens = settings().transport(transport).build().unwrap();
    tokens.id_token().unwrap();
    let sent = pool.sent(GET_TOKENS);
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[1..3], [&*pool.given; 2], "the other's, and the late one");
    let next = stored(&storage).unwrap();
    pool.clock.advance(seconds(3600));
    tokens.id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS).split_off(4), [next]);

    pool.clock.advance(seconds(3600));
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::not_authorized("Refresh Token has been revoked"));
    tokens.id_token().unwrap_err();
    assert_eq!(pool.cognito.calls(GET_TOKENS), 6, "what is stored is what was refused");
}

/// A storage with locks, and what was asked of them.
#[derive(Default)]
struct Locked {
    inner: MemoryStorage,
    taken: Mutex<bool>,
    free: Condvar,
    asked: Mutex<Vec<(String, Duration)>>,
    broken: AtomicBool,
}

impl Locked {
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Waits until somebody has asked for a lock for the so-many-th time.
    fn await_asked(&self, count: usize) {
        let start = std::time::Instant::now();
        while self.asked() < count {
            assert!(start.elapsed() < seconds(8), "nobody asks for the lock");
            thread::yield_now();
        }
    }
}

struct Guard(Arc<Locked>);

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap() = false;
        self.0.free.notify_all();
    }
}

struct OfLocked(Arc<Locked>);

impl Storage for OfLocked {
    fn load(&self, key: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.0.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> std::io::Result<()> {
        assert!(*self.0.taken.lock().unwrap(), "it is stored while the lock is held");
        self.0.inner.store(key, value)
    }

    fn remove(&self, key: &str) -> std::io::Result<()> {
        self.0.inner.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> std::io::Result<Option<StorageLock>> {
        self.0.asked.lock().unwrap().push((key.to_owned(), wait));
        if self.0.broken.load(Ordering::SeqCst) {
            *self.0.taken.lock().unwrap() = true;
            return Err(std::io::Error::other("no locks"));
        }
        let taken = self.0.taken.lock().unwrap();
        let (mut taken, late) =
            self.0.free.wait_timeout_while(taken, wait, |taken| *taken).unwrap();
        if late.timed_out() {
            return Ok(None);
        }
        *taken = true;
        Ok(Some(StorageLock::new(Guard(self.0.clone()))))
    }
}

#[test]
fn two_processes_that_refresh_at_once_do_so_one_after_the_other() {
    for said in [true, false] {
        let pool = Pool::rotating(0);
        let storage = Arc::new(Locked::default());
        let process = || {
            let (service, locks) = (pool.cognito.clone(), storage.clone());
            let transport = move |request: &HttpRequest| {
                let answer = service.send(request);
                let rotated = request.headers().iter().any(|(_, value)| value.contains(GET_TOKENS));
                if rotated {
                    // The old token is gone, and the new one not stored: now the other one comes.
                    locks.await_asked(2);
                }
                answer
            };
            let settings = pool.settings().refresh_token_rotation(said).transport(transport);
            settings.storage(OfLocked(storage.clone())).build().unwrap()
        };
        let (one, other) = (process(), process());
        thread::scope(|scope| {
            let threads = [&one, &other].map(|tokens| scope.spawn(|| tokens.id_token()));
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
        let sent = pool.sent(GET_TOKENS);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], pool.given);
        assert_ne!(sent[1], pool.given, "what the first one stored");
        let asked = storage.asked.lock().unwrap().clone();
        assert_eq!(asked, [(KEY.to_owned(), seconds(10)), (KEY.to_owned(), seconds(10))]);
        assert!(!*storage.taken.lock().unwrap());
    }
}

#[test]
fn the_lock_is_released_however_a_refresh_ends_and_is_only_for_rotation() {
    record_log();
    let pool = Pool::rotating(0);
    let storage = Arc::new(Locked::default());
    let settings =
        || pool.settings().storage(OfLocked(storage.clone())).refresh_token_rotation(true);
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::not_authorized("Refresh Token has been revoked"));
    settings().build().unwrap().id_token().unwrap_err();
    assert!(!*storage.taken.lock().unwrap());
    let panics = |_: &HttpRequest| -> Result<HttpResponse, TransportError> { panic!("on purpose") };
    let tokens = settings().transport(panics).build().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tokens.id_token()));
    assert!(panicked.is_err());
    assert!(!*storage.taken.lock().unwrap());
    assert_eq!(storage.asked(), 2);

    // Who has it and does not let go keeps nobody from renewing.
    *storage.taken.lock().unwrap() = true;
    settings().timeout(Duration::from_millis(20)).build().unwrap().id_token().unwrap();
    storage.broken.store(true, Ordering::SeqCst);
    settings().build().unwrap().id_token().unwrap();
    let warning = "WARN cognito_identity_credentials::storage::record the refresh token could not be locked: no locks";
    assert!(logged().contains(warning), "{}", logged());

    let pool = Pool::new();
    let storage = Arc::new(Locked::default());
    let tokens = pool.settings().storage(OfLocked(storage.clone())).build().unwrap();
    tokens.id_token().unwrap();
    assert_eq!(storage.asked(), 0);
}

#[cfg(unix)]
#[test]
fn processes_that_share_a_directory_need_no_grace_period() {
    let pool = Pool::rotating(0);
    let folder = tempfile::tempdir().unwrap();
    let process = || pool.settings().storage(FileStorage::new(folder.path())).build().unwrap();
    let (one, other, start) = (process(), process(), Barrier::new(2));
    for round in 0..5 {
        thread::scope(|scope| {
            for tokens in [&one, &other] {
                scope.spawn(|| {
                    start.wait();
                    tokens.id_token().unwrap();
                });
            }
        });
        assert_eq!(pool.cognito.calls(GET_TOKENS), 2 * (round + 1));
        pool.clock.advance(seconds(3600));
    }
}

/// The one asks the way that an app client without rotation is asked, and is refused.
#[test]
fn a_rotation_that_another_process_found_out_is_gone_by() {
    let pool = Pool::rotating(0);
    for found_out in [true, false] {
        let given = pool.cognito.sign_in("ann");
        let storage = Arc::new(MemoryStorage::new());
        let settings = || pool.bare().refresh_token(&given).storage(storage.clone());
        let (other, service) = (settings().build().unwrap(), pool.cognito.clone());
        let transport = move |request: &HttpRequest| {
            if request.headers().iter().any(|(_, value)| value.contains(GET_TOKENS)) {
                return service.send(request);
            }
            if found_out {
                other.id_token().unwrap();
            }
            let body = r#"{"__type":"NotAuthorizedException","message":"Invalid Refresh Token"}"#;
            Ok(HttpResponse::new(400, body))
        };
        let tokens = settings().transport(transport).build().unwrap();
        match tokens.id_token() {
            Ok(_) => assert!(found_out),
            Err(error) => assert!(error.needs_sign_in() && !found_out, "{error}"),
        }
    }
    assert_eq!(pool.cognito.calls(GET_TOKENS), 2);
}

/// The other process has no locks, and renews while an early renewal's request is on its way.
#[test]
fn a_token_that_was_replaced_is_looked_up_again_also_ahead_of_time() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let other = pool.settings().storage(storage.clone()).build().unwrap();
    let (service, calls) = (pool.cognito.clone(), AtomicUsize::new(0));
    let transport = move |request: &HttpRequest| {
        if calls.fetch_add(1, Ordering::SeqCst) == 1 {
            other.id_token().unwrap();
        }
        service.send(request)
    };
    let settings = pool.settings().storage(storage).refresh_token_rotation(true);
    let tokens = settings.transport(transport).build().unwrap();
    let first = tokens.id_token().unwrap();
    pool.clock.advance(seconds(2_800));
    assert_ne!(tokens.id_token().unwrap(), first);
    assert_eq!(pool.cognito.calls(GET_TOKENS), 4);
}

/// Makes the next calls that write or remove fail.
fn fail_writes(storage: &FaultyStorage) {
    for operation in ["store", "remove"] {
        storage.fail_next(operation, usize::MAX, std::io::ErrorKind::StorageFull);
    }
}

#[test]
fn a_token_that_cannot_be_stored_is_warned_of_and_used_from_memory() {
    record_log();
    let pool = Pool::rotating(0);
    let storage = FaultyStorage::new();
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let renew = || {
        tokens.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    };
    renew();
    fail_writes(&storage);
    renew();
    let warning = "WARN cognito_identity_credentials::user_pool_tokens the refresh token could not be stored: no storage space; after a restart the user must sign in again";
    assert_eq!(logged().matches(warning).count(), 1, "{}", logged());
    renew();
    storage.clear_faults();
    renew();
    assert_eq!(logged().matches(warning).count(), 2);
    assert!(!logged().contains("fake-refresh-token"));
    pool.settings().storage(storage).build().unwrap().id_token().unwrap();
    tokens.id_token().unwrap();
}

#[test]
fn a_write_that_failed_is_tried_again_when_a_token_is_asked_for() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let settings = || pool.settings().storage(storage.clone());
    // What is there is of an earlier sign-in, and must go also by the second attempt.
    let earlier = pool.bare().refresh_token(pool.cognito.sign_in("ann"));
    earlier.storage(storage.clone()).build().unwrap().id_token().unwrap();
    let earlier = stored(&records);

    fail_writes(&storage);
    let tokens = settings().build().unwrap();
    let first = tokens.id_token().unwrap();
    assert_eq!(tokens.id_token().unwrap(), first);
    assert_eq!(storage.calls("store"), 3, "the earlier one's, and two that failed");
    assert_eq!(stored(&records), earlier);

    storage.clear_faults();
    for _ in 0..3 {
        assert_eq!(tokens.id_token().unwrap(), first);
        assert_eq!(storage.calls("store"), 4);
        assert_ne!(stored(&records), earlier);
    }
    settings().build().unwrap().id_token().unwrap();
    assert_eq!(pool.cognito.calls(GET_TOKENS), 3, "nobody is told to sign in");
}

#[test]
fn a_record_that_cannot_be_read_stays_until_it_can_and_then_the_rotated_token_is_stored() {
    let pool = Pool::rotating(60);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let settings = || pool.settings().storage(storage.clone());
    settings().build().unwrap().id_token().unwrap();
    let before = records.load(KEY).unwrap();
    assert!(before.is_some());
    storage.fail_next("load", usize::MAX, std::io::ErrorKind::PermissionDenied);
    let tokens = settings().build().unwrap();
    let first = tokens.id_token().unwrap();
    assert_eq!(tokens.id_token().unwrap(), first);
    assert_eq!(records.load(KEY).unwrap(), before, "neither call overwrites it");
    let error = tokens.storage_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(format!("{error:#}"), "the refresh token could not be read: permission denied");

    storage.clear_faults();
    assert_eq!(tokens.id_token().unwrap(), first, "cached, but the write is repeated");
    assert_ne!(records.load(KEY).unwrap(), before);
    assert!(tokens.storage_error().is_none());
    pool.clock.advance(seconds(3600));
    settings().build().unwrap().id_token().expect("the stored token is the newest");
}

#[test]
fn a_user_need_not_sign_in_because_the_only_token_cannot_be_read() {
    let pool = Pool::rotating(0);
    let storage = FaultyStorage::new();
    pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
    let tokens = pool.bare().storage(storage.clone()).build().unwrap();
    storage.fail_next("load", usize::MAX, std::io::ErrorKind::PermissionDenied);
    let error = tokens.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Storage, false));
    storage.clear_faults();
    tokens.id_token().unwrap();
}

/// Another process may have stored a newer token than the rejected one.
#[test]
fn a_rejected_token_is_no_reason_to_sign_in_while_the_stored_one_cannot_be_read() {
    let pool = Pool::rotating(0);
    let storage = FaultyStorage::new();
    let earlier = pool.settings().storage(storage.clone()).build().unwrap();
    earlier.id_token().unwrap();
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    storage.fail_next("load", usize::MAX, std::io::ErrorKind::PermissionDenied);
    let error = tokens.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Storage, false), "{error:#}");
    storage.clear_faults();
    tokens.id_token().unwrap();
}

#[test]
fn a_program_that_forgets_a_token_removes_a_record_that_cannot_be_read() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    tokens.id_token().unwrap();
    storage.fail_next("load", usize::MAX, std::io::ErrorKind::PermissionDenied);
    tokens.forget_refresh_token();
    assert_eq!(records.load(KEY).unwrap(), None);
}

#[test]
fn a_refresh_token_without_a_key_in_its_record_is_used_and_stored_again_with_the_key() {
    // Whether the answer to the next refresh has another refresh token.
    for rotates in [true, false] {
        let pool = Pool::rotating(0);
        let storage = Arc::new(MemoryStorage::new());
        pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
        let whole = String::from_utf8(storage.load(KEY).unwrap().unwrap()).unwrap();
        let version_1 = whole.replace(&format!(r#""version":2,"key":"{KEY}""#), r#""version":1"#);
        assert_ne!(version_1, whole);
        storage.store(KEY, version_1.as_bytes()).unwrap();
        if !rotates {
            pool.cognito.set_refresh_token_rotation(None);
        }
        let bare = pool.bare().storage(storage.clone()).build().unwrap();
        bare.id_token().unwrap();
        assert!(stored(&storage).is_some(), "of version 2");
    }
}

#[test]
fn refresh_tokens_of_another_service_or_another_key_are_not_used() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
    let emulator = || pool.bare().storage(storage.clone()).endpoint_url("http://127.0.0.1:4566");
    assert_eq!(emulator().build().unwrap().id_token().unwrap_err().kind(), ErrorKind::Login);
    let fips = "https://cognito-idp-fips.us-east-1.amazonaws.com";
    let aws = pool.bare().storage(storage.clone()).endpoint_url(fips).build().unwrap();
    aws.id_token().expect("an endpoint of AWS");

    // A storage that cuts names may return the record of another key.
    let record = storage.load(KEY).unwrap().unwrap();
    let of_bob = format!("{KEY}/bob");
    storage.store(&of_bob, &record).unwrap();
    let bob = pool.bare().storage(storage.clone()).login_id("bob").build().unwrap();
    let error = bob.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Storage, false));
    assert!(error.message().contains("another key"), "{error}");
    bob.set_refresh_token(pool.cognito.sign_in("bob")).unwrap();
    bob.id_token().unwrap();
    assert_eq!(storage.load(&of_bob).unwrap().unwrap(), record, "it is not overwritten");
    assert!(bob.storage_error().is_some());
    bob.forget_refresh_token();
    assert_eq!(storage.load(&of_bob).unwrap(), None);
}

/// A storage that does something else first, once.
#[derive(Default)]
struct Diverted(FaultyStorage, Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Storage for Diverted {
    fn load(&self, key: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.0.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> std::io::Result<()> {
        let first = self.1.lock().unwrap().take();
        if let Some(first) = first {
            first();
        }
        self.0.store(key, value)
    }

    fn remove(&self, key: &str) -> std::io::Result<()> {
        self.0.remove(key)
    }
}

/// A renewal comes while an older token is being written for the second time.
#[test]
fn the_latest_token_is_what_is_stored_in_the_end() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(Diverted::default());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    fail_writes(&storage.0);
    tokens.id_token().unwrap();
    storage.0.clear_faults();
    let (inside, clock) = (tokens.clone(), pool.clock.clone());
    *storage.1.lock().unwrap() = Some(Box::new(move || {
        clock.advance(seconds(3600));
        inside.id_token().unwrap();
    }));
    tokens.id_token().unwrap();
    assert_eq!(pool.cognito.calls(GET_TOKENS), 2);
    pool.settings().storage(storage.clone()).build().unwrap().id_token().unwrap();
    assert_eq!(storage.0.calls("store"), 5, "two, the late one, the latest, the next");
}

#[test]
fn an_earlier_sign_in_does_not_take_the_place_of_a_later_one() {
    record_log();
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let start = |settings: UserPoolTokensBuilder| {
        settings.storage(storage.clone()).refresh_token_rotation(true).build().unwrap()
    };
    let earlier = start(pool.settings());
    earlier.id_token().unwrap();
    let from_storage = start(pool.settings());
    let later = pool.cognito.sign_in("bob");
    let process = || start(pool.bare().refresh_token(&later));
    process().id_token().unwrap();
    let kept = stored(&storage);

    let warning = "another sign-in has replaced the stored refresh token";
    let before = logged().matches(warning).count();
    for _ in 0..2 {
        pool.clock.advance(seconds(3600));
        earlier.id_token().unwrap();
        assert_eq!(stored(&storage), kept);
    }
    assert_eq!(logged().matches(warning).count(), before + 2);
    process().id_token().unwrap();
    assert_ne!(stored(&storage), kept, "the later one goes on");
    // Nor is it replaced by one that had not written any yet, but goes on with what it read.
    let third = pool.cognito.sign_in("cid");
    let comes = start(pool.bare().refresh_token(&third));
    let (service, calls) = (pool.cognito.clone(), AtomicUsize::new(0));
    let transport = move |request: &HttpRequest| {
        let answer = service.send(request);
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            comes.id_token().unwrap();
        }
        answer
    };
    start(pool.bare().transport(transport)).id_token().unwrap();
    pool.clock.advance(seconds(3600));
    start(pool.bare().refresh_token(&third)).id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS).iter().filter(|sent| **sent == third).count(), 1);

    // Its own token was replaced by that of the other process; nothing is stored any more of theirs.
    assert!(from_storage.id_token().unwrap_err().needs_sign_in());
}

#[test]
fn who_signed_out_stays_signed_out_whatever_is_stored() {
    let pool = Pool::rotating(0);
    let records = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::around(records.clone());
    let process = || {
        let tokens = pool.settings().storage(storage.clone()).build().unwrap();
        tokens.id_token().unwrap();
        tokens
    };
    let (tokens, other) = (process(), process());
    let signed_out = || {
        let error = tokens.id_token().unwrap_err();
        assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Login, true));
    };
    // The removal fails.
    fail_writes(&storage);
    tokens.forget_refresh_token();
    assert!(stored(&records).is_some());
    signed_out();
    // It works, and another process that is still signed in stores what it has got.
    storage.clear_faults();
    tokens.forget_refresh_token();
    assert_eq!(stored(&records), None);
    pool.clock.advance(seconds(3600));
    other.id_token().unwrap();
    assert!(stored(&records).is_some());
    signed_out();
    // What cannot be read goes too.
    for record in ["{\"version\":3}", "\u{0}"] {
        records.store(KEY, record.as_bytes()).unwrap();
        tokens.forget_refresh_token();
        assert_eq!(records.load(KEY).unwrap(), None);
    }
    // The same user comes back, and another program starts from what is stored.
    tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
    tokens.id_token().unwrap();
    pool.bare().storage(storage.clone()).build().unwrap().id_token().unwrap();
}

/// As the documentation of `forget_refresh_token` has it.
#[test]
fn who_signs_out_leaves_no_credentials_to_the_next_process() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let provider = |tokens: &UserPoolTokens| {
        CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .login_from_user_pool(tokens)
            .login_id("ann")
            .storage(storage.clone())
            .persist_credentials(true)
            .transport(pool.cognito.clone())
            .clock(pool.clock.clone())
            .build()
            .unwrap()
    };
    let next = || provider(&pool.bare().storage(storage.clone()).build().unwrap()).get();
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let credentials = provider(&tokens);
    let anns = credentials.get().unwrap();
    tokens.forget_refresh_token();
    assert_eq!(next().unwrap(), anns, "which are good until they end");
    credentials.clear_cached_id();
    credentials.expire();
    assert!(credentials.get().unwrap_err().needs_sign_in());
    assert!(next().unwrap_err().needs_sign_in());
}

/// What the user pool says, and what a caller of the tokens and of the provider makes of it.
#[test]
fn a_refusal_says_whether_the_user_must_sign_in() {
    use ErrorKind as K;
    let denied = |text: &str| Fault::error(400, "NotAuthorizedException", text);
    let code = |code: &str| Fault::error(400, code, "No.");
    let rows = [
        (denied("Refresh Token has expired"), K::NotAuthorized, K::Login, true, false),
        (denied("Refresh Token has been revoked"), K::NotAuthorized, K::Login, true, false),
        (denied("Invalid Refresh Token"), K::NotAuthorized, K::Login, true, false),
        (denied("User is disabled."), K::NotAuthorized, K::Login, false, false),
        (denied("Unable to verify secret hash"), K::NotAuthorized, K::Login, false, false),
        (code("UserNotFoundException"), K::NotAuthorized, K::Login, true, false),
        (code("UserNotConfirmedException"), K::NotAuthorized, K::Login, true, false),
        (code("PasswordResetRequiredException"), K::NotAuthorized, K::Login, true, false),
        (code("RefreshTokenReuseException"), K::NotAuthorized, K::Login, true, false),
        (code("ResourceNotFoundException"), K::NotFound, K::Login, false, false),
        (code("UserLambdaValidationException"), K::Refused, K::Login, false, false),
        (code("TooManyRequestsException"), K::Throttled, K::Throttled, false, true),
        (code("InternalErrorException"), K::Unavailable, K::Unavailable, false, true),
        (Fault::timeout(), K::Timeout, K::Timeout, false, true),
        (Fault::NoAnswer(TransportErrorKind::Connect), K::Unreachable, K::Unreachable, false, true),
        (Fault::NoAnswer(TransportErrorKind::Tls), K::Tls, K::Tls, false, false),
        (Fault::raw(200, "<html>"), K::Response, K::Response, false, false),
        (
            Fault::raw(200, r#"{"ChallengeName":"SMS_MFA","Session":"x"}"#),
            K::NotAuthorized,
            K::Login,
            true,
            false,
        ),
    ];
    for (fault, kind, through, sign_in, retryable) in rows {
        let pool = Pool::new();
        let tokens = pool.tokens();
        let credentials = pool.provider(&tokens);
        let what = format!("{fault:?}");
        pool.cognito.fail_next(INITIATE, 4, fault);
        let outer = credentials.get().unwrap_err();
        assert_eq!(
            (outer.kind(), outer.needs_sign_in(), outer.is_retryable()),
            (through, sign_in, retryable),
            "{what}"
        );
        let inner = std::error::Error::source(&outer).unwrap();
        let inner = inner.downcast_ref::<Error>().unwrap().clone();
        assert_eq!(
            (inner.kind(), inner.needs_sign_in(), inner.is_retryable(), inner.operation()),
            (kind, sign_in, retryable, Some(INITIATE)),
            "{what}"
        );
        assert_eq!(outer.hint(), inner.hint());
        let message =
            "the token source for cognito-idp.us-east-1.amazonaws.com/us-east-1_FakePool1 failed";
        assert!(
            format!("{outer:#}").starts_with(&format!("{message}: InitiateAuth: ")),
            "{outer:#}"
        );
        assert_eq!(pool.cognito.calls("GetId"), 0, "nothing is asked for without a token");

        // The provider does not hold against the user what the user has mended.
        tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
        let cause = |error: Error| std::error::Error::source(&error).map(ToString::to_string);
        let again = credentials.get().map_err(cause);
        assert_eq!(pool.calls().0, if retryable { 5 } else { 2 }, "{what}: {again:?}");
    }
}

#[test]
fn a_refusal_stands_for_a_while_and_a_new_sign_in_ends_it() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    pool.cognito.sign_out("ann");
    for _ in 0..5 {
        assert!(tokens.id_token().unwrap_err().needs_sign_in());
    }
    assert_eq!(pool.calls().0, 1);
    pool.clock.advance(seconds(6));
    tokens.id_token().unwrap_err();
    assert_eq!(pool.calls().0, 2);
    tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
    tokens.id_token().unwrap();

    // A time that the service asks for and that does not fit ends the call at once.
    let busy = |_: &HttpRequest| {
        let body = r#"{"__type":"TooManyRequestsException"}"#;
        Ok(HttpResponse::new(400, body).with_header("retry-after", "30"))
    };
    let pool = Pool::new();
    let tokens = pool.settings().transport(busy).build().unwrap();
    assert_eq!(tokens.id_token().unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(pool.clock.sleeps(), [Duration::ZERO; 0]);
}

#[test]
fn a_login_token_that_the_identity_pool_refuses_is_refreshed_at_once() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    let credentials = pool.provider(&tokens);
    credentials.get().unwrap();
    let refused = tokens.id_token().unwrap();
    pool.cognito.expire_login(tokens.provider(), &refused);
    credentials.refresh().unwrap();
    assert_eq!(pool.calls().0, 2);
    assert_ne!(tokens.id_token().unwrap(), refused);

    // One that another provider has renewed already is not renewed once more.
    let second = pool.provider(&tokens);
    let stale = Mutex::new(Some(tokens.id_token().unwrap()));
    pool.cognito.expire_login(tokens.provider(), stale.lock().unwrap().as_ref().unwrap());
    credentials.refresh().unwrap();
    second.get().unwrap();
    assert_eq!(pool.calls().0, 3);

    // And where a new one is refused too, that is final.
    for fault in ["Token expired: 1 >= 0", "Couldn't verify signed token."] {
        let before = pool.calls().0;
        let fault = Fault::not_authorized(format!("Invalid login token. {fault}"));
        pool.cognito.fail_next(GET_CREDENTIALS, 2, fault);
        let error = credentials.refresh().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAuthorized);
        assert!(error.needs_sign_in());
        assert_eq!(pool.calls().0, before + 1);
    }
}

#[test]
fn a_revoked_login_that_cannot_be_refreshed_needs_sign_in() {
    let pool = Pool::new();
    let tokens = pool.tokens();
    let credentials = pool.provider(&tokens);
    let keys = credentials.get().unwrap();
    pool.cognito.sign_out("ann");
    let error = credentials.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    assert!(error.needs_sign_in());
    assert!(format!("{error:#}").contains("Refresh Token has been revoked"), "{error:#}");
    assert_eq!(credentials.get().unwrap(), keys, "which are still good");
    tokens.set_refresh_token(pool.cognito.sign_in("ann")).unwrap();
    assert_eq!(credentials.refresh().unwrap().identity_id(), keys.identity_id());
}

#[test]
fn another_users_sign_in_puts_an_end_to_the_tokens_of_the_first() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    let anns = tokens.id_token().unwrap();
    tokens.set_refresh_token(&pool.given).unwrap();
    assert_eq!(tokens.id_token().unwrap(), anns, "the same sign-in changes nothing");
    let of_ann = stored(&storage);
    assert!(of_ann.is_some());

    let error = tokens.set_refresh_token("not a token").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.to_string().contains("not a token"));
    assert_eq!((tokens.id_token().unwrap(), stored(&storage)), (anns.clone(), of_ann));

    let bobs = pool.cognito.sign_in("bob");
    tokens.set_refresh_token(&bobs).unwrap();
    assert_eq!(stored(&storage), None, "a restart must not be Ann");
    assert_ne!(tokens.id_token().unwrap(), anns);
    assert_eq!(pool.sent(GET_TOKENS).last(), Some(&bobs));
    assert_eq!(pool.cognito.calls(INITIATE), 1, "the app client is the same");
    assert!(stored(&storage).is_some());

    tokens.forget_refresh_token();
    assert_eq!(stored(&storage), None);
    let error = tokens.id_token().unwrap_err();
    assert_eq!((error.kind(), error.needs_sign_in()), (ErrorKind::Login, true));
    assert_eq!(pool.cognito.calls(GET_TOKENS), 2);
}

#[test]
fn tokens_of_an_earlier_sign_in_are_neither_cached_nor_stored() {
    let pool = Pool::rotating(0);
    let bobs = pool.cognito.sign_in("bob");
    let storage = FaultyStorage::new();
    let place: Arc<OnceLock<UserPoolTokens>> = Arc::default();
    let (service, inside, next) = (pool.cognito.clone(), place.clone(), bobs.clone());
    let transport = move |request: &HttpRequest| {
        let answer = service.send(request)?;
        inside.get().unwrap().set_refresh_token(&next).unwrap();
        Ok(answer)
    };
    let settings = pool.settings().storage(storage.clone()).refresh_token_rotation(true);
    let tokens = settings.transport(transport).build().unwrap();
    place.set(tokens.clone()).unwrap();
    tokens.id_token().unwrap();
    assert_eq!(storage.calls("store"), 0);
    tokens.id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS), [&*pool.given, &*bobs]);
    assert_eq!(storage.calls("store"), 1);
}

/// Signed in anew while the rotated token is being written.
#[test]
fn a_token_that_was_stored_too_late_is_removed_again() {
    struct Slow(MemoryStorage, Arc<OnceLock<UserPoolTokens>>);
    impl Storage for Slow {
        fn load(&self, key: &str) -> std::io::Result<Option<Vec<u8>>> {
            self.0.load(key)
        }

        fn store(&self, key: &str, value: &[u8]) -> std::io::Result<()> {
            self.1.get().unwrap().set_refresh_token("bobs").unwrap();
            self.0.store(key, value)
        }

        fn remove(&self, key: &str) -> std::io::Result<()> {
            self.0.remove(key)
        }
    }
    let pool = Pool::rotating(0);
    let place: Arc<OnceLock<UserPoolTokens>> = Arc::default();
    let storage = Arc::new(Slow(MemoryStorage::new(), place.clone()));
    let tokens = pool.settings().storage(storage.clone()).build().unwrap();
    place.set(tokens.clone()).unwrap();
    tokens.id_token().unwrap();
    assert_eq!(stored(&storage.0), None);
}

#[test]
fn an_app_client_with_a_secret_is_sent_its_hash_or_the_secret() {
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
        // Computed with the `hmac` module of another language's standard library.
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
fn settings_are_checked_all_at_once_before_any_call() {
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
fn the_endpoint_is_the_one_of_the_pools_region() {
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
fn debug_shows_the_user_pool_alone() {
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

/// A user pool that repeats everything that it was sent, everywhere.
#[test]
fn nothing_of_what_is_sent_or_comes_shows_in_errors_and_logs() {
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
                let tokens = UserPoolTokens::builder()
                    .user_pool_id(USER_POOL)
                    .client_id(client)
                    .refresh_token(secrets[0])
                    .client_secret(secrets[1])
                    .username(secrets[2])
                    .device_key(secrets[3])
                    .clock(ManualClock::new())
                    .transport(transport)
                    .build()
                    .unwrap();
                let error = tokens.id_token().unwrap_err();
                let credentials = CognitoIdentityCredentials::builder()
                    .identity_pool_id(POOL)
                    .login_from_user_pool(&tokens)
                    .transport(FakeCognito::new())
                    .build()
                    .unwrap();
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

/// Over a socket, byte by byte.
#[cfg(feature = "ureq")]
#[test]
fn the_request_goes_over_a_socket_as_documented() {
    let mut server = mockito::Server::new();
    let id_token = jwt("1767229200");
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
        .user_pool_id(USER_POOL)
        .client_id(CLIENT)
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

/// The fake itself: what unit tests of others rely on.
#[test]
fn the_fakes_user_pool_ends_what_has_ended() {
    let pool = Pool::new();
    pool.cognito.set_refresh_token_lifetime(seconds(7_200));
    pool.cognito.set_id_token_lifetime(seconds(300));
    let tokens = pool.bare().refresh_token(pool.cognito.sign_in("ann")).build().unwrap();
    let credentials = pool.provider(&tokens);
    credentials.get().unwrap();
    let stale = tokens.id_token().unwrap();
    pool.clock.advance(seconds(300));
    let by_hand = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .login(tokens.provider(), stale)
        .transport(pool.cognito.clone())
        .build()
        .unwrap();
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
