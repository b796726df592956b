//! Listeners: on which thread they run, that they keep no waiter waiting, and what they may call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind, RefreshReport};

use crate::sharing::gated;
use crate::support::{GET_CREDENTIALS, Gatekeeper, POOL, PROVIDER, Stage, seconds};

/// A gated stage with this listener. If `fails`, its first refresh is refused.
fn gated_and_failing(
    fails: bool,
    listener: impl Fn(&RefreshReport) + Send + Sync + 'static,
) -> (Stage, Gatekeeper) {
    let (stage, keeper) = gated(|builder| builder.on_refresh(listener));
    if fails {
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    }
    (stage, keeper)
}

#[test]
fn eight_waiters_and_their_leader_cause_one_report_on_the_leaders_thread() {
    for fails in [false, true] {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let reporters = Arc::clone(&threads);
        let (Stage { credentials, .. }, keeper) = gated_and_failing(fails, move |report| {
            let reporter = (thread::current().id(), report.result.is_err());
            reporters.lock().unwrap().push(reporter);
        });
        let start = Barrier::new(8);
        thread::scope(|scope| {
            let leader = scope.spawn(|| credentials.get().is_err());
            let leader_id = leader.thread().id();
            keeper.await_request();
            let waiters: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        credentials.get().is_err()
                    })
                })
                .collect();
            keeper.let_pass();
            assert_eq!(leader.join().unwrap(), fails);
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == fails));
            assert_eq!(*threads.lock().unwrap(), [(leader_id, fails)]);
        });
    }
}

/// Returns a listener that waits for the test, a channel that says when it runs, and a function
/// that lets it return.
fn blocking() -> (impl Fn(&RefreshReport) + Send + Sync + 'static, Receiver<()>, impl Fn()) {
    let (entered, entries) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let listener = move |_: &RefreshReport| {
        entered.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
    };
    (listener, entries, move || release.send(()).unwrap())
}

#[test]
fn the_waiters_have_the_result_while_the_listener_still_runs() {
    for fails in [false, true] {
        let (listener, entries, release) = blocking();
        let (Stage { credentials, cognito, .. }, keeper) = gated_and_failing(fails, listener);
        thread::scope(|scope| {
            let leader = scope.spawn(|| credentials.get());
            keeper.await_request();
            let waiter = scope.spawn(|| credentials.get());
            keeper.let_pass();
            entries.recv_timeout(seconds(30)).unwrap();
            let shared = waiter.join().unwrap();
            assert_eq!(shared.is_err(), fails);
            assert_eq!(credentials.get().is_err(), fails, "another caller gets it too");
            assert_eq!(credentials.status().last_error.is_some(), fails);
            assert!(!leader.is_finished(), "the leader still runs the listener");
            release();
            assert_eq!(leader.join().unwrap().ok(), shared.ok());
        });
        assert_eq!(cognito.calls(GET_CREDENTIALS), 1);
    }
}

#[test]
fn a_listener_that_panics_reaches_the_leader_only() {
    for fails in [false, true] {
        let (Stage { clock, cognito, credentials }, keeper) =
            gated_and_failing(fails, |_| panic!("the listener has a fault"));
        let call = || catch_unwind(AssertUnwindSafe(|| credentials.get()));
        thread::scope(|scope| {
            let leader = scope.spawn(call);
            keeper.await_request();
            let waiter = scope.spawn(call);
            keeper.let_pass();
            let panic = leader.join().unwrap().unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"the listener has a fault"));
            assert_eq!(waiter.join().unwrap().unwrap().is_err(), fails);
        });
        assert_eq!(
            call().unwrap().is_err(),
            fails,
            "the cached credentials, or the error during the cooldown"
        );
        assert_eq!(credentials.status().last_error.is_some(), fails);
        assert_eq!(cognito.calls(GET_CREDENTIALS), 1);
        // The next refresh works, and runs the listener again.
        clock.advance(seconds(3600));
        keeper.let_pass();
        call().unwrap_err();
        assert!(credentials.get().is_ok());
        assert_eq!(cognito.calls(GET_CREDENTIALS), 2);
    }
}

#[test]
fn a_listener_may_use_the_provider_but_not_refresh() {
    for (fails, early) in [(false, false), (true, false), (false, true), (true, true)] {
        let provider: Arc<OnceLock<CognitoIdentityCredentials>> = Arc::default();
        let other = Stage::new();
        let others = other.credentials.clone();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (inside, record) = (Arc::clone(&provider), Arc::clone(&seen));
        let stage = Stage::with(|builder| {
            builder.on_refresh(move |_| {
                let Some(credentials) = inside.get() else { return };
                let kinds = [
                    credentials.get(),
                    credentials.get_within(Duration::ZERO),
                    credentials.refresh(),
                ]
                .map(|result| result.map_err(|error| error.kind()));
                assert!(others.get().is_ok(), "another provider works");
                credentials.set_login(PROVIDER, "token");
                credentials.remove_login(PROVIDER);
                let cached = credentials.cached();
                let state = (credentials.identity_id(), credentials.status().last_error.is_some());
                record.lock().unwrap().push((kinds, cached, state));
            })
        });
        if early {
            stage.credentials.get().unwrap();
            stage.clock.advance(seconds(3000));
        }
        provider.set(stage.credentials.clone()).unwrap();
        if fails {
            stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
        }
        let result = stage.credentials.get();
        assert_eq!(result.is_err(), fails && !early);
        let seen = seen.lock().unwrap();
        let [(kinds, cached, (id, failed))] = &seen[..] else { panic!("{} calls", seen.len()) };
        assert!(kinds.iter().all(|kind| *kind == Err(ErrorKind::Reentrant)), "{kinds:?}");
        assert_eq!(*cached, result.ok());
        assert_eq!((id, *failed), (&stage.credentials.identity_id(), fails));
    }
}

#[test]
fn two_listeners_that_call_each_others_provider_both_return() {
    let providers: Arc<OnceLock<[CognitoIdentityCredentials; 2]>> = Arc::default();
    let depth = Arc::new(Mutex::new(0));
    let make = |other: usize| {
        let (providers, depth) = (Arc::clone(&providers), Arc::clone(&depth));
        let stage = Stage::with(|builder| {
            builder.failure_cooldown(Duration::ZERO).on_refresh(move |_| {
                *depth.lock().unwrap() += 1;
                drop(providers.get().unwrap()[other].get());
            })
        });
        stage.cognito.set_guests(POOL, false);
        stage.credentials
    };
    let both = [make(1), make(0)];
    providers.set(both.clone()).unwrap();
    assert_eq!(both[0].get().unwrap_err().kind(), ErrorKind::NotAuthorized);
    assert_eq!(*depth.lock().unwrap(), 2);
}
