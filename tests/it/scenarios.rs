//! Every state of the cached set, with every answer of the service, after every call that touches
//! either: what `get()` gives, how often it contacts the service, and what the next `get()` does.

use std::time::Duration;

use cognito_identity_credentials::testing::{Fault, seed_delays};
use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind, Logins};

use crate::classic::ROLE;
use crate::support::{EXPIRED, GET_CREDENTIALS, PROVIDER, Stage, seconds};

/// What the cell holds: a set of one hour, so many seconds old, or nothing.
const STATES: [(&str, Option<u64>); 5] = [
    ("nothing loaded", None),
    ("fresh", Some(1_000)),
    ("advisory", Some(3_000)),
    ("mandatory", Some(3_590)),
    ("expired", Some(4_000)),
];

/// What the service does: its fault, the error's kind, how often it is asked by a caller that has no
/// usable set, and whether the failure is remembered.
fn answers() -> [(&'static str, Option<Fault>, ErrorKind, usize, bool); 6] {
    let denied = Fault::not_authorized("Something new.");
    [
        ("success", None, ErrorKind::Config, 1, false),
        ("no answer", Some(Fault::timeout()), ErrorKind::Timeout, 4, false),
        ("throttled", Some(Fault::throttled()), ErrorKind::Throttled, 4, true),
        ("unavailable", Some(Fault::internal_error()), ErrorKind::Unavailable, 4, true),
        ("refused", Some(denied), ErrorKind::NotAuthorized, 1, true),
        ("expired already", Some(Fault::raw(200, EXPIRED)), ErrorKind::Response, 1, true),
    ]
}

type Call = fn(&CognitoIdentityCredentials);

/// What is called before, and whether it ends the set.
const CALLS: [(&str, Call, bool); 9] = [
    ("nothing", |_| {}, false),
    ("expire", CognitoIdentityCredentials::expire, true),
    ("invalidate", |c| c.cached().iter().for_each(|set| c.invalidate(set.access_key_id())), true),
    ("invalidate another", |c| c.invalidate("ASIAOTHER"), false),
    ("set_login", |c| c.set_login(PROVIDER, "t"), false),
    ("set_logins", |c| c.set_logins(Logins::new()), false),
    ("remove_login", |c| c.remove_login(PROVIDER), false),
    (
        "set_identity_id",
        |c| c.identity_id().into_iter().for_each(|id| c.set_identity_id(id).unwrap()),
        false,
    ),
    ("clear_cached_id", CognitoIdentityCredentials::clear_cached_id, false),
];

#[test]
fn every_state_meets_every_answer_after_every_call() {
    let mut cells = 0;
    for (state, age) in STATES {
        for (answer, fault, kind, attempts, remembered) in answers() {
            for (call, do_it, ends) in CALLS {
                let case = format!("{state}, {answer}, after {call}");
                let stage = Stage::new();
                stage.cognito.accept_login(PROVIDER, "t", "ann");
                let first = age.map(|age| {
                    let first = stage.credentials.get().unwrap();
                    stage.clock.advance(seconds(age));
                    first
                });
                do_it(&stage.credentials);
                if let Some(fault) = &fault {
                    stage.cognito.fail_next(GET_CREDENTIALS, 99, fault.clone());
                }
                let ask = || {
                    let before = stage.contacts();
                    (stage.credentials.get(), stage.contacts() - before)
                };
                let (outcome, contacts) = ask();

                match (state, ends) {
                    ("fresh", false) => {
                        assert_eq!(outcome.unwrap(), first.unwrap(), "{case}");
                        assert_eq!(contacts, 0, "{case}");
                    }
                    _ if fault.is_none() => {
                        let set = outcome.unwrap();
                        assert_ne!(Some(&set), first.as_ref(), "{case}");
                        assert_eq!(contacts, 1, "{case}");
                        let (next, contacts) = ask();
                        assert_eq!((next.unwrap(), contacts), (set, 0), "{case}");
                    }
                    ("advisory", false) => {
                        let first = first.unwrap();
                        assert_eq!((outcome.unwrap(), contacts), (first.clone(), 1), "{case}");
                        let status = stage.credentials.status();
                        assert_eq!(status.last_error.map(|error| error.kind()), Some(kind));
                        let pause = status.next_attempt_in.unwrap();
                        assert!((300..=600).contains(&pause.as_secs()), "{case}: {pause:?}");
                        let (next, contacts) = ask();
                        assert_eq!((next.unwrap(), contacts), (first, 0), "{case}: the pause");
                    }
                    _ => {
                        assert_eq!(outcome.unwrap_err().kind(), kind, "{case}");
                        assert_eq!(contacts, attempts, "{case}");
                        assert_eq!(stage.credentials.cached(), first, "{case}: stays readable");
                        let pause = stage.credentials.status().next_attempt_in;
                        assert_eq!(pause.is_some(), remembered, "{case}");
                        let again = if remembered { 0 } else { attempts };
                        let (outcome, contacts) = ask();
                        assert_eq!(outcome.unwrap_err().kind(), kind, "{case}");
                        assert_eq!(contacts, again, "{case}: the cooldown");
                    }
                }
                cells += 1;
            }
        }
    }
    println!("{cells} cells of state, answer and call");
    assert_eq!(cells, 5 * 6 * 9);
}

/// The window that opens by default, seen from outside, and that a set keeps the one it came with.
#[test]
fn the_default_window_goes_by_the_lifetime_and_is_fixed_per_set() {
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
        for by_hand in [None, Some(seconds(40))] {
            let stage = Stage::with(|builder| {
                // The enhanced flow issues no longer ones.
                let builder = if lifetime > minutes(60) {
                    builder.role_arn(ROLE).duration(lifetime)
                } else {
                    builder
                };
                match by_hand {
                    Some(window) => builder.advisory_window(window),
                    None => builder,
                }
            });
            stage.cognito.set_lifetime(lifetime);
            let first = stage.credentials.get().unwrap();
            stage.cognito.set_lifetime(minutes(600));
            stage.clock.advance(lifetime - by_hand.unwrap_or(window));
            assert_eq!(stage.credentials.get().unwrap(), first, "{lifetime:?} {by_hand:?}");
            stage.clock.advance(Duration::from_millis(1));
            assert_ne!(stage.credentials.get().unwrap(), first, "{lifetime:?} {by_hand:?}");
        }
    }
}

/// Three kinds of delay come from one generator, so that a test can repeat what it saw.
#[test]
fn a_seed_pins_every_delay() {
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
