use super::*;
use crate::service::protocol::Operation;
use crate::storage::MemoryStorage;
use crate::testing::{FakeCognito, ManualClock};
use crate::transport::{HttpRequest, HttpResponse, Transport};
use std::sync::atomic::{AtomicBool, Ordering};

fn settings(cognito: &FakeCognito, clock: &ManualClock, given: &str) -> UserPoolTokensBuilder {
    UserPoolTokens::builder()
        .user_pool_id(FakeCognito::USER_POOL_ID)
        .client_id(FakeCognito::CLIENT_ID)
        .refresh_token(given)
        .transport(cognito.clone())
        .clock(clock.clone())
}

#[test]
fn as_a_token_source_it_returns_the_id_token() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let tokens = settings(&cognito, &clock, &cognito.sign_in("ann")).build().unwrap();
    let source: &dyn TokenSource = &tokens;
    assert_eq!(source.token().unwrap(), tokens.id_token().unwrap());
}

/// While the request is on its way, another process rotates the refresh token. That helps only
/// after a rejection of the token.
#[test]
fn a_failure_that_rejects_no_token_is_returned_although_another_process_stored_a_newer_one() {
    for rotates in [false, true] {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        cognito.set_refresh_token_rotation(Some(Duration::ZERO));
        let given = cognito.sign_in("ann");
        let storage = Arc::new(MemoryStorage::new());
        let stored = || settings(&cognito, &clock, &given).storage(storage.clone());
        let other = stored().refresh_token_rotation(true).build().unwrap();
        let (service, is_first) = (cognito.clone(), AtomicBool::new(true));
        let transport = move |request: &HttpRequest| {
            if is_first.swap(false, Ordering::SeqCst) {
                other.id_token().unwrap();
                return Ok(HttpResponse::new(500, ""));
            }
            service.send(request)
        };
        let tokens = stored().refresh_token_rotation(rotates).transport(transport);
        let error = tokens.max_attempts(1).build().unwrap().id_token().unwrap_err();
        assert_eq!(error.status(), Some(500), "rotates: {rotates}: {error:#}");
        assert_eq!(cognito.calls(GetTokensFromRefreshToken::NAME), 1, "rotates: {rotates}");
    }
}
