//! No block of memory is freed while it contains a secret. A test target by itself, because its
//! allocator examines every block that is freed.

#![allow(unsafe_code, reason = "an allocator is unsafe code")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "tests fail by panicking"
)]

#[path = "support/ids.rs"]
mod ids;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, Credentials, DeveloperIdentity, Error, FileStorage,
    FileToken, Logins, MemoryStorage,
};
use ids::{IDENTITY, POOL, PROVIDER, ROLE};

/// Every secret here contains this text more than once. Nothing else contains it.
const MARK: &[u8] = b"SENTINEL";

/// With characters that JSON may escape, and that a form must escape.
const TOKEN: &str = "eyJSENTINEL/login+SENTINEL=";
const NEWER_TOKEN: &str = "eyJSENTINEL/newer+SENTINEL=";
const OPEN_ID_TOKEN: &str = "eyJSENTINEL/open+id+SENTINEL=";
const KEYS: &str = r#""AccessKeyId":"ASIA","SecretKey":"SENTINEL/secret+SENTINEL","SessionToken":"SENTINEL/session+SENTINEL=""#;

#[global_allocator]
static ALLOCATOR: Watcher = Watcher;

thread_local! {
    /// The freed blocks that contained a secret, with a backtrace.
    static FOUND: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Whether the blocks that this thread frees are examined.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

struct Watcher;

// SAFETY: every call goes to the system's allocator with the same layout. A block is only read,
// within its bounds, before it is freed. It was zeroed, so all its bytes are initialized.
unsafe impl GlobalAlloc for Watcher {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WATCHED.get() {
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            examine(bytes);
        }
        unsafe { System.dealloc(block, layout) }
    }

    /// Always moves the block, as an allocator may.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let moved =
            Layout::from_size_align(size, layout.align()).expect("the caller passes a valid size");
        unsafe {
            let new = self.alloc(moved);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

fn examine(bytes: &[u8]) {
    // A panic holds a lock that a backtrace needs too.
    if std::thread::panicking() || !bytes.windows(MARK.len()).any(|part| part == MARK) {
        return;
    }
    unwatched(|| {
        let text = String::from_utf8_lossy(bytes);
        let report = format!("{text:?} is freed\n{}", Backtrace::force_capture());
        FOUND.with_borrow_mut(|found| found.push(report));
    });
}

/// Runs code of the test, which may copy secrets.
fn unwatched<T>(code: impl FnOnce() -> T) -> T {
    let before = WATCHED.replace(false);
    let result = code();
    WATCHED.set(before);
    result
}

/// Returns the freed blocks that contained a secret.
fn leaks(code: impl FnOnce()) -> Vec<String> {
    let watch = Watch::begin();
    code();
    drop(watch);
    FOUND.take()
}

/// Watches until it is dropped, also by a panic.
struct Watch;

impl Watch {
    fn begin() -> Self {
        WATCHED.set(true);
        Self
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(false);
    }
}

fn assert_clean(what: &str, code: impl FnOnce()) {
    let leaks = leaks(code);
    assert!(leaks.is_empty(), "{what}: {}", leaks.join("\n"));
}

fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    target.map_or("AssumeRole", |(_, target)| target.rsplit('.').next().unwrap())
}

fn json(keys: &str) -> HttpResponse {
    let body = format!(r#"{{"IdentityId":"{IDENTITY}","Credentials":{{{keys}}}}}"#);
    HttpResponse::new(200, body)
}

fn xml(keys: &str) -> HttpResponse {
    HttpResponse::new(
        200,
        format!(
            "<R><AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult></R>"
        ),
    )
}

fn good(request: &HttpRequest) -> HttpResponse {
    match operation(request) {
        "GetId" => HttpResponse::new(200, format!(r#"{{"IdentityId":"{IDENTITY}"}}"#)),
        "GetOpenIdToken" => HttpResponse::new(200, format!(r#"{{"Token":"{OPEN_ID_TOKEN}"}}"#)),
        "GetCredentialsForIdentity" => json(&format!(r#"{KEYS},"Expiration":1767229200"#)),
        _ => xml(
            "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>SENTINEL/secret</SecretAccessKey><SessionToken>SENTINEL/session=</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration>",
        ),
    }
}

/// Returns settings with a service that answers one operation with `what`, in the flow with this
/// operation. The blocks of an answer are examined when the library frees them.
fn service(
    replaced: &'static str,
    what: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static,
) -> Builder {
    let builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .clock(ManualClock::new())
        .failure_cooldown(Duration::ZERO)
        .transport(move |request: &HttpRequest| {
            Ok(unwatched(|| {
                if operation(request) == replaced { what(request) } else { good(request) }
            }))
        });
    let classic = matches!(replaced, "GetOpenIdToken" | "AssumeRole");
    if classic { builder.role_arn(ROLE) } else { builder }
}

fn good_service() -> Builder {
    service("none", |_| HttpResponse::new(500, ""))
}

#[test]
fn every_freed_block_is_examined() {
    assert_eq!(leaks(|| drop(TOKEN.to_owned())).len(), 1);
    let grown = leaks(|| {
        let mut text = TOKEN.to_owned();
        text.reserve(1_000);
        unwatched(|| drop(text));
    });
    assert_eq!(grown.len(), 1, "the old block of a text that grows");
    assert_clean("unwatched code", || unwatched(|| drop(TOKEN.to_owned())));
    assert_clean("no secret", || drop("no secret".to_owned()));
}

#[test]
fn refreshes_of_every_flow_leave_no_secret() {
    let flows: [(&str, fn() -> Builder); 6] = [
        ("a guest", good_service),
        ("a login", || good_service().login(PROVIDER, TOKEN)),
        ("the classic flow", || good_service().login(PROVIDER, TOKEN).role_arn(ROLE)),
        ("a source", || good_service().login_from(PROVIDER, || Ok(TOKEN.to_owned()))),
        ("a backend", || {
            good_service()
                .developer_identity(|| Ok(DeveloperIdentity::new(IDENTITY, OPEN_ID_TOKEN)))
        }),
        ("a backend in the classic flow", || {
            good_service()
                .developer_identity(|| Ok(DeveloperIdentity::new(IDENTITY, OPEN_ID_TOKEN)))
                .role_arn(ROLE)
        }),
    ];
    for (what, builder) in flows {
        assert_clean(what, || {
            let storage = Arc::new(MemoryStorage::new());
            let builder = builder().storage(storage.clone());
            let spare = builder.clone();
            let credentials = builder.build().unwrap();
            let first = credentials.get().unwrap();
            drop(credentials.refresh().unwrap());
            credentials.expire();
            credentials.get().unwrap();
            credentials.invalidate(first.access_key_id());
            credentials.get().unwrap();
            unwatched(|| drop(format!("{credentials:?} {:?}", credentials.status())));
            credentials.clear_cached_id();
            assert!(first.session_token().contains("SENTINEL"));
            drop((spare, credentials, storage));
            drop(first);
        });
    }
    assert_clean("credentials that the program creates", || {
        let (secret, token) = ("SENTINEL".to_owned(), "SENTINEL".to_owned());
        drop(Credentials::new("ASIA", secret, token, SystemTime::UNIX_EPOCH));
    });
}

#[test]
fn stored_and_loaded_credentials_leave_no_secret() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("d");
    let clock = ManualClock::new();
    let escaped = |_: &HttpRequest| {
        json(
            r#""AccessKeyId":"A","SecretKey":"SENTINEL\"\\","SessionToken":"\u0053ENTINEL\/\u002b","Expiration":1767229200"#,
        )
    };
    let long = |_: &HttpRequest| {
        let token = "SENTINEL".repeat(1_500);
        json(&format!(
            r#""AccessKeyId":"A","SecretKey":"SENTINEL","SessionToken":"{token}","Expiration":1767229200"#
        ))
    };
    let answers: [(&str, &dyn Fn() -> Builder); 4] = [
        ("usual keys", &good_service),
        ("a role", &|| good_service().role_arn(ROLE)),
        ("escapes", &|| service("GetCredentialsForIdentity", escaped)),
        ("a long token", &|| service("GetCredentialsForIdentity", long)),
    ];
    for (what, builder) in answers {
        for in_files in [true, false] {
            let memory = Arc::new(MemoryStorage::new());
            let record = || {
                let entries = std::fs::read_dir(&directory).unwrap();
                let mut paths = entries.map(|entry| entry.unwrap().path());
                let is_record = |path: &PathBuf| {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    name.contains("credentials") && path.extension().is_none_or(|it| it != "lock")
                };
                paths.find(is_record).unwrap()
            };
            assert_clean(&format!("{what}, in files: {in_files}"), || {
                let process = || {
                    let builder = builder().clock(clock.clone()).persist_credentials(true);
                    let builder = if in_files {
                        builder.storage(FileStorage::new(&directory))
                    } else {
                        builder.storage(memory.clone())
                    };
                    builder.build().unwrap()
                };
                let first = process();
                let set = first.get().unwrap();
                let next = process();
                assert!(next.get().unwrap() == set, "the stored credentials are used");
                assert_eq!(next.data(), None);
                clock.advance(Duration::from_secs(1));
                first.refresh().unwrap();
                first.refresh().unwrap();
                next.expire();
                next.get().unwrap();
                // Then a record of an unknown version, and a damaged record.
                drop(process().refresh());
                if in_files {
                    let path = unwatched(record);
                    let text = unwatched(|| std::fs::read_to_string(&path).unwrap());
                    assert!(text.contains("SENTINEL"));
                    for damaged in
                        [text.replace("version", "VERSION"), text[..text.len() - 9].into()]
                    {
                        unwatched(|| std::fs::write(&path, &damaged).unwrap());
                        process().get().unwrap();
                        unwatched(|| drop(damaged));
                    }
                    unwatched(|| drop(text));
                }
                next.clear_cached_id();
            });
            unwatched(|| drop(memory));
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn replaced_logins_leave_no_secret() {
    assert_clean("logins", || {
        let credentials = good_service().login(PROVIDER, TOKEN).build().unwrap();
        credentials.get().unwrap();
        credentials.set_login(PROVIDER, NEWER_TOKEN.to_owned());
        credentials.refresh().unwrap();
        credentials.set_logins(Logins::new().with("a", TOKEN).with("a", NEWER_TOKEN));
        credentials.refresh().unwrap();
        credentials.set_logins([(PROVIDER, TOKEN), ("b", TOKEN)].into_iter().collect());
        credentials.remove_login("b");
        credentials.refresh().unwrap();
        credentials.remove_login(PROVIDER);
    });
    assert_clean("settings with faults", || {
        let long = "SENTINEL".repeat(7_000);
        drop(good_service().login(PROVIDER, long).build().unwrap_err());
        drop(good_service().login(PROVIDER, TOKEN).region("x").build().unwrap_err());
        drop(good_service().login(PROVIDER, TOKEN));
    });
}

#[test]
fn token_sources_leave_no_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for length in [1, 500, 1_000, 6_000] {
        let token = format!("\n {}\r\n", "SENTINEL".repeat(length));
        std::fs::write(file.path(), &token).unwrap();
        assert_clean("a file", || {
            let source = FileToken::new(file.path());
            let credentials = good_service().login_from(PROVIDER, source).build().unwrap();
            for _ in 0..3 {
                credentials.refresh().unwrap();
            }
        });
    }
    std::fs::write(file.path(), b"SENTINEL\xff").unwrap();
    let refused: [(&str, fn(Builder) -> Builder); 3] = [
        ("an empty token", |builder| builder.login_from(PROVIDER, || Ok(String::new()))),
        ("a long token", |builder| {
            builder.login_from(PROVIDER, || Ok(unwatched(|| "SENTINEL".repeat(7_000))))
        }),
        ("a long token of a backend", |builder| {
            builder.developer_identity(|| {
                Ok(DeveloperIdentity::new(IDENTITY, unwatched(|| "SENTINEL".repeat(7_000))))
            })
        }),
    ];
    for (what, source) in refused {
        assert_clean(what, || drop(source(good_service()).build().unwrap().get().unwrap_err()));
    }
    assert_clean("a file that is not text", || {
        let source = FileToken::new(file.path());
        drop(good_service().login_from(PROVIDER, source).build().unwrap().get().unwrap_err());
    });
}

/// Every way in which the service may repeat what it was sent.
fn refusals() -> Vec<fn(&str) -> HttpResponse> {
    vec![
        |sent| refusal(sent, 400, "NotAuthorizedException", "Invalid login token. Token expired"),
        |sent| refusal(sent, 400, "NotAuthorizedException", "Access to Identity"),
        |sent| refusal(sent, 400, "NotAuthorizedException", "Logins don't match."),
        |sent| refusal(sent, 403, "ResourceNotFoundException", "Identity 'x' not found."),
        |sent| {
            refusal(sent, 400, "InvalidParameterException", "\\u001b[31m\\u202e\\\\ \\ud83e\\udd80")
        },
        |sent| refusal(sent, 500, "InternalErrorException", ""),
        |sent| refusal(sent, 200, "TooManyRequestsException", ""),
        |sent| HttpResponse::new(400, format!(r#"{{"message":"{sent}"}} {sent}"#)),
        |sent| HttpResponse::new(400, [sent.as_bytes(), b"\xff", sent.as_bytes()].concat()),
        |sent| {
            let parts = [br#"{"message":""#.as_slice(), sent.as_bytes(), b"\xff\"}"];
            HttpResponse::new(400, parts.concat())
        },
        |sent| HttpResponse::new(302, sent),
        |sent| {
            HttpResponse::new(400, "")
                .with_header("x-amzn-errortype", format!("{sent}:{sent}"))
                .with_header("x-amzn-errormessage", format!("{sent} {sent}"))
                .with_header("x-amzn-requestid", sent)
                .with_header("date", sent)
                .with_header("retry-after", sent)
        },
        |sent| {
            let text = format!("no {sent} {sent}");
            HttpResponse::new(
                403,
                format!(
                    "<R><Error><Code>AccessDenied</Code><Message>{text}</Message></Error><RequestId>{sent}</RequestId></R>"
                ),
            )
        },
        |sent| HttpResponse::new(400, format!("<R><Error><Code>{sent}</Code>")),
    ]
}

fn refusal(sent: &str, status: u16, code: &str, message: &str) -> HttpResponse {
    let message = format!("{message} {sent} {sent}");
    let escaped = message.replace('/', "\\/");
    let body = format!(r#"{{"__type":"x#{code}","message":"{message}","Message":"{escaped}"}}"#);
    HttpResponse::new(status, body)
}

/// The token that a request has.
fn sent(request: &HttpRequest) -> &'static str {
    let has =
        |token: &str| request.body().windows(token.len()).any(|part| part == token.as_bytes());
    let token = [TOKEN, NEWER_TOKEN].into_iter().find(|token| has(token));
    token.unwrap_or(OPEN_ID_TOKEN)
}

#[test]
fn refusals_that_repeat_a_token_leave_no_secret() {
    for replaced in ["GetId", "GetCredentialsForIdentity", "GetOpenIdToken", "AssumeRole"] {
        for (number, answer) in refusals().into_iter().enumerate() {
            assert_clean(&format!("{replaced}, refusal {number}"), || {
                let calls = AtomicUsize::new(0);
                let source = move || {
                    let newer = calls.fetch_add(1, Ordering::Relaxed) % 2 == 1;
                    Ok(if newer { NEWER_TOKEN } else { TOKEN }.to_owned())
                };
                let builder = service(replaced, move |request| answer(sent(request)));
                let credentials = builder.login_from(PROVIDER, source).build().unwrap();
                let error = credentials.get().unwrap_err();
                assert_prints_nothing(&error);
                assert!(credentials.status().last_error.is_some());
            });
        }
    }
    assert_clean("two tokens in one text", || {
        let answer = |_: &HttpRequest| {
            let both = format!("{TOKEN} {NEWER_TOKEN} ").repeat(3);
            HttpResponse::new(400, format!(r#"{{"__type":"X","message":"{both}"}}"#))
        };
        let builder = service("GetId", answer).login("a", TOKEN).login("b", NEWER_TOKEN);
        assert_prints_nothing(&builder.build().unwrap().get().unwrap_err());
    });
    assert_clean("a transport that fails", || {
        let transport = |_: &HttpRequest| Err(TransportError::new(TransportErrorKind::Io, "cut"));
        let builder = good_service().login(PROVIDER, TOKEN).transport(transport);
        drop(builder.build().unwrap().get().unwrap_err());
    });
}

fn assert_prints_nothing(error: &Error) {
    let text = unwatched(|| format!("{error:#} {error:?}"));
    assert!(!text.contains("SENTINEL"), "{text}");
}

#[test]
fn answers_that_cannot_be_used_leave_no_secret() {
    let keys = |keys: &'static str| move || json(keys);
    let text = |body: &'static str| move || HttpResponse::new(200, body);
    let of_keys: Vec<Box<dyn Fn() -> HttpResponse + Send + Sync>> = vec![
        Box::new(keys(r#""AccessKeyId":"A","SecretKey":["SENTINEL"]"#)),
        Box::new(keys(r#""AccessKeyId":"A","SecretKey":"SENTINEL","SessionToken":{"SENTINEL":1}"#)),
        Box::new(keys(r#""AccessKeyId":"A","SecretKey":"SENTINEL","SessionToken":"SENTINEL\q"#)),
        Box::new(keys(r#""AccessKeyId":"A","SecretKey":"SENTINEL\n","SessionToken":"SENTINEL""#)),
        Box::new(keys(r#""SecretKey":"SENTINEL\/x","SessionToken":"SENTINEL\u002fx""#)),
        Box::new(|| json(&format!(r#"{KEYS},"Expiration":"SENTINEL""#))),
        Box::new(|| json(&format!(r#"{KEYS},"Expiration":1"#))),
        Box::new(|| json(&format!(r#"{KEYS},"Expiration":1767229200,"#))),
        Box::new(|| json(KEYS)),
        Box::new(text(r#"{"Credentials":"SENTINEL"}"#)),
        Box::new(text(r#""SENTINEL""#)),
        Box::new(text(r#"["SENTINEL\/x"]"#)),
        Box::new(text("SENTINEL")),
        Box::new(text(r#"{"IdentityId":"SENTINEL:SENTINEL"}"#)),
        Box::new(text(r#"{"IdentityId":{"SENTINEL":"SENTINEL"}}"#)),
        Box::new(text(r#"{"message":"SENTINEL","Token":["SENTINEL"]}"#)),
        Box::new(|| HttpResponse::new(200, "SENTINEL".repeat(40_000))),
        Box::new(|| xml("<AccessKeyId>A</AccessKeyId><SecretAccessKey>SENTINEL</SecretAccessKey>")),
        Box::new(|| xml("<SecretAccessKey>SENTINEL</SecretAccessKey><SessionToken>SENTINEL<x/>")),
        Box::new(|| xml("<AccessKeyId>SENTINEL<!-- SENTINEL --></AccessKeyId>")),
    ];
    for (number, answer) in of_keys.into_iter().enumerate() {
        let answer = Arc::new(answer);
        for replaced in ["GetId", "GetCredentialsForIdentity", "GetOpenIdToken", "AssumeRole"] {
            let answer = answer.clone();
            assert_clean(&format!("{replaced}, answer {number}"), || {
                let builder = service(replaced, move |_| answer()).login(PROVIDER, TOKEN);
                drop(builder.build().unwrap().get());
            });
        }
    }
}

#[test]
fn keys_with_escapes_leave_no_secret() {
    assert_clean("escapes", || {
        let answer = |_: &HttpRequest| {
            json(
                r#""AccessKeyId":"A","SecretKey":"SENTINEL\/x\u002b","SessionToken":"\u0053ENTINEL\\\"","Expiration":1767229200"#,
            )
        };
        let credentials = service("GetCredentialsForIdentity", answer).build().unwrap();
        let set = credentials.get().unwrap();
        assert_eq!(set.secret_access_key(), "SENTINEL/x+");
        assert_eq!(set.session_token(), "SENTINEL\\\"");
    });
}

/// Every token that a user pool sends or is sent, over rotations, restarts, refusals and sign-ins.
#[cfg(feature = "user-pool")]
#[test]
fn a_user_pools_tokens_leave_no_secret() {
    use cognito_identity_credentials::{FileStorage, Storage, UserPoolTokens};

    // {"exp":1767229200,"x":"SENTINEL"}
    const ID_TOKEN: &str =
        "eyJSENTINEL.eyJleHAiOjE3NjcyMjkyMDAsIngiOiJTRU5USU5FTCJ9.SENTINEL-SENTINEL";
    let refreshed = |number: usize| {
        let result = format!(
            r#""AccessToken":"SENTINEL","IdToken":"{ID_TOKEN}","RefreshToken":"SENTINEL_{number}-SENTINEL""#
        );
        let body = format!(r#"{{"AuthenticationResult":{{{result}}}}}"#);
        HttpResponse::new(200, body).with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
    };
    let refused = |_: usize| {
        let message = "Refresh Token SENTINEL_given-SENTINEL SENTINEL-SECRET is no more";
        let body = format!(r#"{{"__type":"NotAuthorizedException","message":"{message}"}}"#);
        HttpResponse::new(400, body)
    };
    let unusable = |number: usize| {
        let body = ["SENTINEL", r#"{"AuthenticationResult":{"IdToken":["SENTINEL"]}}"#];
        HttpResponse::new(200, body[number % 2])
    };
    let off = |number: usize| match number {
        0 => HttpResponse::new(400, r#"{"__type":"InvalidParameterException"}"#),
        _ => refreshed(number),
    };
    let answers: [(&str, &(dyn Fn(usize) -> HttpResponse + Sync)); 4] =
        [("refreshed", &refreshed), ("refused", &refused), ("unusable", &unusable), ("off", &off)];
    let folder = tempfile::tempdir().unwrap();
    for (what, answer) in answers {
        let storages: [fn(&std::path::Path) -> Arc<dyn Storage>; 2] =
            [|_| Arc::new(MemoryStorage::new()), |path| Arc::new(FileStorage::new(path))];
        for storage in storages {
            let storage = storage(&folder.path().join(what));
            let bodies: Vec<_> = (0..9).map(answer).collect();
            assert_clean(what, || {
                let calls = Arc::new(AtomicUsize::new(0));
                let transport = move |request: &HttpRequest| {
                    let number = calls.fetch_add(1, Ordering::Relaxed);
                    Ok(unwatched(|| {
                        let answer = &bodies[number % bodies.len()];
                        let body = String::from_utf8_lossy(request.body());
                        if !body.contains("newer") || answer.status() == 200 {
                            return answer.clone();
                        }
                        // A refusal repeats the token of its request.
                        let text = String::from_utf8_lossy(answer.body()).replace("given", "newer");
                        HttpResponse::new(answer.status(), text)
                    }))
                };
                let settings = UserPoolTokens::builder()
                    .user_pool_id("us-east-1_a")
                    .client_id("client")
                    .client_secret("SENTINEL-SECRET")
                    .username("SENTINEL-USER")
                    .refresh_token("SENTINEL_given-SENTINEL")
                    .clock(ManualClock::new())
                    .storage(storage)
                    .transport(transport);
                for _ in 0..2 {
                    let tokens = settings.clone().build().unwrap();
                    let credentials = good_service().login_from_user_pool(&tokens).build().unwrap();
                    for _ in 0..2 {
                        let token = tokens.id_token();
                        unwatched(|| drop(token));
                        drop(credentials.refresh());
                        tokens.set_refresh_token("SENTINEL_newer-SENTINEL").unwrap();
                    }
                    drop(tokens.set_refresh_token("SENTINEL SENTINEL"));
                    unwatched(|| drop(format!("{tokens:?} {settings:?}")));
                    drop(credentials.refresh());
                    tokens.forget_refresh_token();
                    drop(tokens.id_token().unwrap_err());
                }
                drop(settings.refresh_token("SENTINEL\n").build().unwrap_err());
            });
        }
    }
}
