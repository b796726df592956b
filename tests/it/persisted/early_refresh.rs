//! Early refreshes, in the advisory window, of processes that share a storage.

use std::sync::atomic::{AtomicUsize, Ordering};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::transport::{
    HttpRequest, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{Clock, ErrorKind};

use super::Device;
use crate::support::{GET_CREDENTIALS, seconds};

#[test]
fn an_early_refresh_uses_credentials_that_another_process_stored() {
    let device = Device::new();
    let (first, other) = (device.guest(), device.guest());
    let (set, _) = device.get(&first);
    device.get(&other);
    device.clock.advance(seconds(2699));
    assert_eq!(device.get(&other), (set.clone(), false));
    device.clock.advance(seconds(2));
    let calls = device.calls();
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    let late = device.guest();
    assert_eq!(
        device.get(&late),
        (set.clone(), true),
        "a process without credentials tries a refresh first"
    );
    assert_eq!(device.calls(), calls + 1, "one attempt");
    assert!(!late.needs_refresh());
    let (second, called) = device.get(&first);
    assert!(called && second != set, "the stored credentials are in their window too");
    assert_eq!(device.get(&other), (second.clone(), false));
    assert_eq!(device.get(&other), (second.clone(), false), "they are fresh");

    // The stored credentials are newer than the cached ones, but also in their window.
    device.clock.advance(seconds(100));
    let newer = device.guest();
    newer.refresh().unwrap();
    device.clock.advance(seconds(2750));
    let (third, called) = device.get(&other);
    assert!(called && third != second);
}

#[test]
fn a_failed_early_refresh_keeps_the_stored_credentials() {
    let device = Device::new();
    let first = device.guest();
    let (set, _) = device.get(&first);
    device.clock.advance(seconds(2800));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    assert_eq!(device.get(&first), (set.clone(), true));
    device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    assert_eq!(device.get(&device.guest()), (set.clone(), true), "also after a refusal");
    let (new, called) = device.get(&device.guest());
    assert!(called && new != set);
    assert_eq!(device.get(&device.guest()), (new, false));
}

#[test]
fn an_early_refresh_uses_no_credentials_that_have_expired_by_the_wall_clock() {
    let device = Device::new();
    let (first, other) = (device.guest(), device.guest());
    device.get(&first);
    device.get(&other);
    device.clock.advance(seconds(1));
    first.refresh().unwrap();
    device.clock.set_wall(device.clock.wall() + seconds(1_000_000));
    device.clock.advance(seconds(1));
    assert!(device.get(&other).1);
}

#[test]
fn a_failed_early_refresh_of_stored_credentials_is_in_the_status_and_begins_a_pause() {
    let device = Device::new();
    let stored = device.guest().get().unwrap();
    device.clock.advance(seconds(3000));
    let next = device.guest();
    let fault = Fault::throttled().with_header("Retry-After", "120");
    device.cognito.fail_next(GET_CREDENTIALS, 9, fault);
    assert_eq!(device.get(&next), (stored.clone(), true));
    let status = next.status();
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Throttled);
    assert!(status.next_attempt_in.is_some_and(|wait| wait >= seconds(120)));
    assert_eq!(device.get(&next), (stored, false));
}

/// The first attempt takes 30 seconds and fails, the next one works.
#[test]
fn stored_credentials_that_expire_during_their_early_refresh_are_refreshed_with_the_full_timeout() {
    let device = Device::new();
    device.guest().get().unwrap();
    // 40 seconds are left.
    device.clock.advance(seconds(3560));
    let (cognito, clock, first) =
        (device.cognito.clone(), device.clock.clone(), AtomicUsize::new(0));
    let next = device.process(|builder| {
        builder.attempt_timeout(seconds(30)).transport(move |request: &HttpRequest| {
            if first.fetch_add(1, Ordering::Relaxed) == 0 {
                clock.advance(seconds(30));
                return Err(TransportError::new(TransportErrorKind::Timeout, "timed out"));
            }
            cognito.send(request)
        })
    });
    next.get().unwrap();
    assert!(next.status().expires_in.unwrap() > seconds(3000), "they are new");
    let calls = device.calls();
    assert_eq!(device.guest().get().unwrap(), next.cached().unwrap());
    assert_eq!(device.calls(), calls, "they are stored");
}
