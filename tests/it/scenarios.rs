//! Every state of the cached credentials, with every answer of the service, after every call of the
//! program: what `get()` returns, how often it calls the service, and what the next `get()` does.

use std::time::Duration;

use cognito_identity_credentials::testing::{Fault, seed_delays};
use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind, Logins};

use crate::support::{EXPIRED, GET_CREDENTIALS, PROVIDER, ROLE, Stage, seconds};

/// The age of the cached credentials in seconds, if there are any. They live for one hour.
const STATES: [(&str, Option<u64>); 5] = [
    ("nothing cached", None),
    ("fresh", Some(1_000)),
    ("advisory", Some(3_000)),
    ("mandatory", Some(3_590)),
    ("expired", Some(4_000)),
];

/// A failure of the service.
struct Failure {
    fault: Fault,
    kind: ErrorKind,
    /// The number of attempts in a refresh without valid cached credentials.
    attempts: usize,
    begins_cooldown: bool,
}

fn answers() -> [(&'static str, Option<Failure>); 6] {
    let failure = |fault, kind, attempts| {
        Some(Failure { fault, kind, attempts, begins_cooldown: kind != ErrorKind::Timeout })
    };
    let denied = Fault::not_authorized("Something new.");
    [
        ("success", None),
        ("no answer", failure(Fault::timeout(), ErrorKind::Timeout, 4)),
        ("throttled", failure(Fault::throttled(), ErrorKind::Throttled, 4)),
        ("unavailable", failure(Fault::internal_error(), ErrorKind::Unavailable, 4)),
        ("refused", failure(denied, ErrorKind::NotAuthorized, 1)),
        ("expired already", failure(Fault::raw(200, EXPIRED), ErrorKind::Response, 1)),
    ]
}

type Call = fn(&CognitoIdentityCredentials);

/// What the program calls before `get`. The first two end the cached credentials.
const CALLS: [(&str, Call); 9] = [
    ("expire", CognitoIdentityCredentials::expire),
    ("invalidate", |c| c.cached().iter().for_each(|set| c.invalidate(set.access_key_id()))),
    ("nothing", |_| {}),
    ("invalidate another", |c| c.invalidate("ASIAOTHER")),
    ("set_login", |c| c.set_login(PROVIDER, "t")),
    ("set_logins", |c| c.set_logins(Logins::new())),
    ("remove_login", |c| c.remove_login(PROVIDER)),
    ("set_identity_id", |c| {
        c.identity_id().into_iter().for_each(|id| c.set_identity_id(id).unwrap());
    }),
    ("clear_cached_id", CognitoIdentityCredentials::clear_cached_id),
];

#[test]
fn every_state_with_every_answer_after_every_call() {
    let mut cells = 0;
    for (state, age) in STATES {
        for (answer, failure) in answers() {
            for (name, call) in CALLS {
                let ends = ["expire", "invalidate"].contains(&name);
                let case = format!("{state}, {answer}, after {name}");
                let stage = Stage::new();
                stage.cognito.accept_login(PROVIDER, "t", "ann");
                let first = age.map(|age| {
                    let first = stage.credentials.get().unwrap();
                    stage.clock.advance(seconds(age));
                    first
                });
                call(&stage.credentials);
                if let Some(failure) = &failure {
                    stage.cognito.fail_next(GET_CREDENTIALS, 99, failure.fault.clone());
                }
                let get = || {
                    let before = stage.contacts();
                    (stage.credentials.get(), stage.contacts() - before)
                };
                let (outcome, contacts) = get();

                match (&failure, state, ends) {
                    (_, "fresh", false) => {
                        assert_eq!(outcome.unwrap(), first.unwrap(), "{case}");
                        assert_eq!(contacts, 0, "{case}");
                    }
                    (None, ..) => {
                        let set = outcome.unwrap();
                        assert_ne!(Some(&set), first.as_ref(), "{case}");
                        assert_eq!(contacts, 1, "{case}");
                        let (next, contacts) = get();
                        assert_eq!((next.unwrap(), contacts), (set, 0), "{case}");
                    }
                    (Some(Failure { kind, .. }), "advisory", false) => {
                        let first = first.unwrap();
                        assert_eq!((outcome.unwrap(), contacts), (first.clone(), 1), "{case}");
                        let status = stage.credentials.status();
                        assert_eq!(status.last_error.map(|error| error.kind()), Some(*kind));
                        let pause = status.next_attempt_in.unwrap();
                        assert!((300..=600).contains(&pause.as_secs()), "{case}: {pause:?}");
                        let (next, contacts) = get();
                        assert_eq!((next.unwrap(), contacts), (first, 0), "{case}: the pause");
                    }
                    (Some(Failure { kind, attempts, begins_cooldown, .. }), ..) => {
                        assert_eq!(outcome.unwrap_err().kind(), *kind, "{case}");
                        assert_eq!(contacts, *attempts, "{case}");
                        assert_eq!(stage.credentials.cached(), first, "{case}: stays readable");
                        let wait = stage.credentials.status().next_attempt_in;
                        assert_eq!(wait.is_some(), *begins_cooldown, "{case}");
                        let (outcome, contacts) = get();
                        assert_eq!(outcome.unwrap_err().kind(), *kind, "{case}");
                        let expected = if *begins_cooldown { 0 } else { *attempts };
                        assert_eq!(contacts, expected, "{case}: the cooldown");
                    }
                }
                cells += 1;
            }
        }
    }
    println!("{cells} cells of state, answer and call");
    assert_eq!(cells, 5 * 6 * 9);
}

#[test]
fn the_default_window_depends_on_the_lifetime_and_does_not_change_later() {
    let minutes = |minutes: u64| seconds(60 * minutes);
    let rows = [
        (seconds(90), seconds(45)),
        (minutes(10), minutes(5)),
        (minutes(20), minutes(5)),
        (minutes(30), minutes(15)),
        (minutes(60), minutes(15)),
        (minutes(120), minutes(60)),
        (minutes(360), minutes(60)),
    ];
    for (lifetime, window) in rows {
        for configured in [None, Some(seconds(40))] {
            let stage = Stage::with(|builder| {
                // In the enhanced flow no credentials live longer than an hour.
                let builder = if lifetime > minutes(60) {
                    builder.role_arn(ROLE).duration(lifetime)
                } else {
                    builder
                };
                match configured {
                    Some(window) => builder.advisory_window(window),
                    None => builder,
                }
            });
            stage.cognito.set_lifetime(lifetime);
            let first = stage.credentials.get().unwrap();
            stage.cognito.set_lifetime(minutes(600));
            stage.clock.advance(lifetime - configured.unwrap_or(window));
            assert_eq!(stage.credentials.get().unwrap(), first, "{lifetime:?} {configured:?}");
            stage.clock.advance(Duration::from_millis(1));
            assert_ne!(stage.credentials.get().unwrap(), first, "{lifetime:?} {configured:?}");
        }
    }
}

/// One generator makes the delays of retries, cooldowns and pauses, so a test can repeat them.
#[test]
fn a_seed_fixes_every_delay() {
    let run = |seed| {
        seed_delays(seed);
        let stage = Stage::new();
        stage.cognito.fail_next(GET_CREDENTIALS, 8, Fault::throttled());
        stage.credentials.get().unwrap_err();
        let cooldown = stage.credentials.status().next_attempt_in.unwrap();
        stage.credentials.refresh().unwrap_err();
        stage.credentials.refresh().unwrap();
        stage.clock.advance(seconds(3_000));
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
        stage.credentials.get().unwrap();
        let pause = stage.credentials.status().next_attempt_in.unwrap();
        (stage.clock.sleeps(), cooldown, pause)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
        assert_ne!(run(seed), run(seed + 1));
    }
}
