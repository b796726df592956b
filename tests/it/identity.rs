//! Which identity a refresh uses, and what happens if the service refuses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::transport::TransportErrorKind;
use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind, IdentityOrigin, Logins};

use crate::stored::again;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, ROLE, Stage, seconds};

fn forbidden() -> Fault {
    Fault::not_authorized("Access to Identity 'x' is forbidden.")
}

#[test]
fn get_id_is_not_called_again_until_the_identity_is_cleared() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    for _ in 0..3 {
        stage.credentials.refresh().unwrap();
    }
    let last = stage.credentials.cached().unwrap();
    assert_eq!(stage.cognito.calls("GetId"), 1);
    assert_eq!(stage.credentials.identity_id().as_deref(), first.identity_id());
    assert_eq!(stage.credentials.status().identity_origin, Some(IdentityOrigin::Minted));

    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.identity_id(), None);
    assert_eq!(stage.credentials.get().unwrap(), last, "the cached credentials stay");
    let other = stage.credentials.refresh().unwrap();
    assert_ne!(other.identity_id(), first.identity_id());
    assert_eq!(stage.cognito.calls("GetId"), 2);
}

#[test]
fn an_identity_survives_the_failure_of_the_call_after_get_id() {
    let stage = Stage::with(|builder| builder.failure_cooldown(Duration::ZERO));
    stage.cognito.fail_next(GET_CREDENTIALS, 8, Fault::timeout());
    stage.credentials.get().unwrap_err();
    let minted = stage.credentials.identity_id().unwrap();
    stage.credentials.get().unwrap_err();
    assert_eq!(stage.credentials.get().unwrap().identity_id(), Some(&*minted));
    assert_eq!(stage.cognito.calls("GetId"), 1);
}

#[test]
fn a_given_identity_needs_no_get_id_and_no_pool() {
    let stage = Stage::new();
    let minted = stage.credentials.get().unwrap().identity_id().unwrap().to_owned();
    let given = CognitoIdentityCredentials::builder()
        .identity_id(&minted)
        .transport(stage.cognito.clone())
        .clock(stage.clock.clone())
        .build()
        .unwrap();
    assert_eq!(given.identity_id(), Some(minted));
    given.get().unwrap();
    assert_eq!(given.status().identity_origin, Some(IdentityOrigin::Given));
    assert_eq!(stage.cognito.calls("GetId"), 1);

    given.clear_cached_id();
    let error = given.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdentityUnknown);
    assert!(error.message().contains("identity_pool_id"), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn set_identity_id_rejects_malformed_ids_and_other_regions() {
    let stage = Stage::new();
    for id in ["", "nonsense", "eu-west-1:12345678-dead-beef-cafe-123456790ab0"] {
        let error = stage.credentials.set_identity_id(id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("identity_id: "), "{error}");
        assert_eq!(stage.credentials.identity_id(), None);
    }
    stage.credentials.set_identity_id(IDENTITY).unwrap();
    assert_eq!(stage.credentials.identity_id().as_deref(), Some(IDENTITY));
}

#[test]
fn logins_go_to_both_calls_and_lead_to_the_same_identity() {
    let stage = Stage::with(|builder| builder.login(PROVIDER, "token"));
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let first = stage.credentials.get().unwrap();
    let requests = stage.cognito.requests();
    assert!(requests.iter().all(|request| request.login(PROVIDER) == Some("token")));
    assert_eq!(requests.len(), 2);
    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.refresh().unwrap().identity_id(), first.identity_id());
}

#[test]
fn optional_fields_go_to_the_calls_that_accept_them() {
    let stage = Stage::with(|builder| builder.account_id("123456789012").custom_role_arn(ROLE));
    stage.credentials.get().unwrap();
    let requests = stage.cognito.requests();
    assert_eq!(requests[0].account_id(), Some("123456789012"));
    assert_eq!(requests[0].custom_role_arn(), None);
    assert_eq!(requests[0].identity_pool_id(), Some(POOL));
    assert_eq!(requests[1].account_id(), None);
    assert_eq!(requests[1].identity_pool_id(), None);
    assert_eq!(requests[1].custom_role_arn(), Some(ROLE));
}

#[test]
fn the_identity_in_the_answer_replaces_the_requested_one() {
    let stage = Stage::new();
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let ann = again(&stage, |b| b.login(PROVIDER, "token")).credentials.get().unwrap();
    let guest = stage.credentials.get().unwrap();
    assert_ne!(guest.identity_id(), ann.identity_id());

    stage.credentials.set_login(PROVIDER, "token");
    let merged = stage.credentials.refresh().unwrap();
    assert_eq!(merged.identity_id(), ann.identity_id());
    assert_eq!(stage.credentials.identity_id().as_deref(), ann.identity_id());
    assert_eq!(stage.credentials.status().identity_origin, Some(IdentityOrigin::Merged));
    assert_eq!(Some(&*stage.credentials.data().unwrap().identity_id), ann.identity_id());
    assert_eq!(stage.cognito.calls("GetId"), 2);
}

#[test]
fn each_signed_in_user_gets_their_own_identity() {
    let stage = Stage::with(|builder| builder.login(PROVIDER, "token-of-ann"));
    stage.cognito.accept_login(PROVIDER, "token-of-ann", "ann");
    stage.cognito.accept_login(PROVIDER, "token-of-bob", "bob");
    let ann = stage.credentials.get().unwrap();
    stage.credentials.set_login(PROVIDER, "token-of-bob");
    let bob = stage.credentials.refresh().unwrap();
    assert_ne!(bob.identity_id(), ann.identity_id());
    stage.credentials.set_login(PROVIDER, "token-of-ann");
    assert_eq!(stage.credentials.refresh().unwrap().identity_id(), ann.identity_id());
}

/// Emulators return identities of another region than that of the pool.
#[test]
fn with_a_custom_endpoint_the_region_of_an_identity_is_not_checked() {
    let stage = Stage::with(|builder| {
        builder.endpoint_url("http://localhost:5000").identity_id("eu-west-1:0")
    });
    stage.credentials.set_identity_id("eu-central-1:0").unwrap();
}

#[test]
fn a_login_without_an_identity_is_linked_to_the_guest() {
    let stage = Stage::new();
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let guest = stage.credentials.get().unwrap();
    stage.credentials.set_login(PROVIDER, "token");
    assert_eq!(stage.credentials.refresh().unwrap().identity_id(), guest.identity_id());
    stage.credentials.set_logins(Logins::new());
    stage.credentials.refresh().expect("a new guest, because the old one now belongs to a user");
    assert_eq!(stage.cognito.identities(), 2);
}

/// Who gets which refusal, and whether the refresh recovers with one more call of `GetId`. A guest
/// gets another identity then, a user gets the same one.
#[test]
fn refused_identities_and_logins_row_by_row() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Who {
        Guest,
        GivenGuest,
        OnlyThisGuest,
        User,
        GivenUser,
    }
    use Who::{GivenGuest, GivenUser, Guest, OnlyThisGuest, User};
    let code = |code, text| Fault::error(400, code, text);
    let missing = || code("ResourceNotFoundException", "Identity 'x' not found.");
    let mismatch =
        || Fault::not_authorized("Logins don't match. Please include at least one valid login.");
    let other = |text| Fault::not_authorized(text);
    let rows = [
        (Guest, forbidden(), true),
        (Guest, missing(), true),
        (GivenGuest, forbidden(), false),
        (GivenGuest, missing(), false),
        (OnlyThisGuest, forbidden(), false),
        (OnlyThisGuest, missing(), false),
        (User, forbidden(), true),
        (User, missing(), true),
        (User, mismatch(), true),
        (GivenUser, forbidden(), false),
        (GivenUser, missing(), false),
        (GivenUser, mismatch(), false),
        (Guest, mismatch(), false),
        (Guest, other("Invalid login token. Token expired: 1 >= 0"), false),
        (User, other("Invalid login token. Token expired: 1 >= 0"), false),
        (User, other("Invalid login token. Issuer doesn't match providerName"), false),
        (Guest, other("Unauthenticated access is not supported for this identity pool."), false),
        (User, other("Invalid login token. Incorrect token audience"), false),
        (User, other("Invalid login token. Missing a required claim: aud"), false),
        (User, other("Not a valid OpenId Connect identity token."), false),
        (User, other("Token is not from a supported provider of this identity pool."), false),
        (User, other("Access to Role 'r' is forbidden."), false),
        (User, other("The ambiguous role mapping rules denied this request."), false),
        (User, code("ResourceConflictException", "taken"), false),
        (Guest, code("ForbiddenException", "blocked"), false),
        (Guest, other("Something new."), false),
        (User, other("Something new."), false),
        (Guest, code("InvalidIdentityPoolConfigurationException", "no role"), false),
        (Guest, code("ResourceNotFoundException", "IdentityPool 'x' not found."), false),
        (Guest, code("ResourceNotFoundException", "What?"), false),
        (Guest, code("ResourceNotFoundException", "Identity pool x not found."), false),
        (Guest, code("AccessDenied", "Access to Identity 'x' is forbidden."), false),
    ];
    for (who, fault, recovers) in rows {
        let what = format!("{who:?}: {fault:?}");
        let stage = Stage::with(|builder| builder.allow_new_guest(who != OnlyThisGuest));
        stage.cognito.accept_login(PROVIDER, "token", "ann");
        if matches!(who, User | GivenUser) {
            stage.credentials.set_login(PROVIDER, "token");
        }
        let before = if who == OnlyThisGuest {
            again(&stage, |builder| builder).credentials.get().unwrap()
        } else {
            stage.credentials.get().unwrap()
        };
        if matches!(who, GivenGuest | GivenUser | OnlyThisGuest) {
            stage.credentials.set_identity_id(before.identity_id().unwrap()).unwrap();
        }
        let (get_ids, contacts) = (stage.cognito.calls("GetId"), stage.contacts());
        stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
        let outcome = stage.credentials.refresh();
        assert_eq!(outcome.is_ok(), recovers, "{what}: {outcome:?}");
        assert_eq!(stage.cognito.calls("GetId") - get_ids, usize::from(recovers), "{what}");
        assert_eq!(stage.contacts() - contacts, 1 + usize::from(recovers), "{what}");
        assert!(stage.credentials.identity_id().is_some(), "{what}");
        if !recovers {
            assert_eq!(stage.credentials.identity_id().as_deref(), before.identity_id(), "{what}");
        } else if who == Guest {
            assert_ne!(outcome.unwrap().identity_id(), before.identity_id(), "{what}");
        }
    }
}

#[test]
fn there_is_one_recovery_in_a_refresh() {
    let stage = Stage::new();
    stage.credentials.get().unwrap();
    stage.cognito.fail_next(GET_CREDENTIALS, 2, forbidden());
    let error = stage.credentials.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAuthorized);
    assert!(error.hint().is_some());
    assert_eq!(stage.cognito.calls("GetId"), 2);
    assert_eq!(stage.contacts(), 3);
}

#[test]
fn a_guest_disabled_or_deleted_on_the_service_is_replaced_once() {
    for delete in [false, true] {
        let stage = Stage::new();
        let first = stage.credentials.get().unwrap();
        let id = first.identity_id().unwrap();
        if delete {
            stage.cognito.delete_identity(id);
        } else {
            stage.cognito.disable_identity(id);
        }
        let second = stage.credentials.refresh().unwrap();
        assert_ne!(second.identity_id(), first.identity_id());
        assert_eq!(stage.credentials.refresh().unwrap().identity_id(), second.identity_id());
        assert_eq!(stage.cognito.calls("GetId"), 2);
    }
}

#[test]
fn a_refused_guest_is_cleared_even_if_get_id_fails() {
    let stage = Stage::new();
    stage.credentials.get().unwrap();
    stage.cognito.fail_next(GET_CREDENTIALS, 1, forbidden());
    stage.cognito.fail_next("GetId", 4, Fault::timeout());
    assert_eq!(stage.credentials.refresh().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(stage.credentials.identity_id(), None);
    stage.credentials.refresh().unwrap();
}

#[test]
fn a_login_mismatch_right_after_get_id_does_not_repeat_get_id() {
    let stage = Stage::with(|builder| builder.login(PROVIDER, "token"));
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    let fault = Fault::not_authorized("Logins don't match. Please include at least one.");
    stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
    stage.credentials.get().unwrap_err();
    assert_eq!(stage.cognito.calls("GetId"), 1);
}

#[test]
fn a_refused_identity_makes_the_token_sources_run_again() {
    let source_calls = Arc::new(AtomicUsize::new(0));
    let counter = source_calls.clone();
    let stage = Stage::with(|builder| {
        builder.login_from(PROVIDER, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok("token".to_owned())
        })
    });
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    stage.cognito.fail_next(GET_CREDENTIALS, 1, forbidden());
    stage.credentials.get().unwrap();
    assert_eq!((source_calls.load(Ordering::Relaxed), stage.cognito.calls("GetId")), (2, 2));
}

/// The service merges the given identity into another one. A refusal does not replace that one.
#[test]
fn a_given_identity_stays_given_when_it_is_merged() {
    let stage = Stage::new();
    stage.cognito.accept_login(PROVIDER, "token", "ann");
    again(&stage, |b| b.login(PROVIDER, "token")).credentials.get().unwrap();
    let guest = stage.credentials.get().unwrap().identity_id().unwrap().to_owned();
    stage.credentials.set_identity_id(guest).unwrap();
    stage.credentials.set_login(PROVIDER, "token");
    let merged = stage.credentials.refresh().unwrap();
    assert_eq!(stage.credentials.status().identity_origin, Some(IdentityOrigin::Merged));
    let calls = stage.cognito.calls("GetId");
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("Logins don't match."));
    stage.credentials.refresh().unwrap_err();
    assert_eq!(stage.cognito.calls("GetId"), calls);
    assert_eq!(stage.credentials.identity_id().as_deref(), merged.identity_id());
}

#[test]
fn an_answer_with_an_identity_of_another_region_is_an_error() {
    for operation in ["GetId", GET_CREDENTIALS] {
        let stage = Stage::new();
        stage.cognito.fail_next(operation, 1, Fault::IdentityId("eu-west-1:0".to_owned()));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Response, Some(operation)));
        assert!(error.message().contains("another region"), "{error}");
        assert!(!stage.credentials.identity_id().is_some_and(|id| id.starts_with("eu-")));
    }
}

#[test]
fn without_allow_new_guest_no_guest_is_created() {
    let stage = Stage::with(|builder| builder.allow_new_guest(false));
    let error = stage.credentials.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdentityUnknown);
    assert!(error.message().contains("allow_new_guest"), "{error}");
    assert!(stage.cognito.requests().is_empty());

    stage.cognito.accept_login(PROVIDER, "token", "ann");
    stage.credentials.set_login(PROVIDER, "token");
    stage.credentials.get().expect("a user needs no new guest");
}

#[test]
fn after_an_expired_token_the_source_is_called_again_and_a_new_token_is_tried_once() {
    for has_new_token in [true, false] {
        let source_calls = Arc::new(AtomicUsize::new(0));
        let counter = source_calls.clone();
        let stage = Stage::with(|builder| {
            builder.login_from(PROVIDER, move || {
                let count = counter.fetch_add(1, Ordering::Relaxed);
                Ok(if has_new_token && count > 0 { "new" } else { "old" }.to_owned())
            })
        });
        stage.cognito.accept_login(PROVIDER, "old", "ann");
        stage.cognito.accept_login(PROVIDER, "new", "ann");
        stage.cognito.expire_login(PROVIDER, "old");
        let outcome = stage.credentials.get();
        assert_eq!(outcome.is_ok(), has_new_token);
        assert_eq!(source_calls.load(Ordering::Relaxed), 2);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::NotAuthorized);
            assert!(error.hint().unwrap().contains("login token has expired"));
            assert_eq!(stage.cognito.requests().len(), 1, "the same token is not sent twice");
        }
    }
}

#[test]
fn a_token_source_is_called_at_every_refresh_and_its_error_is_the_cause() {
    let source_calls = Arc::new(AtomicUsize::new(0));
    let counter = source_calls.clone();
    let stage = Stage::with(|builder| {
        builder.login_from(PROVIDER, move || match counter.fetch_add(1, Ordering::Relaxed) {
            3 => Err(std::io::Error::other("no such file").into()),
            n => Ok(format!("token-{n}")),
        })
    });
    for n in 0..3 {
        stage.cognito.accept_login(PROVIDER, format!("token-{n}"), "ann");
    }
    stage.credentials.get().unwrap();
    stage.credentials.get().unwrap();
    stage.credentials.refresh().unwrap();
    stage.credentials.refresh().unwrap();
    assert_eq!(source_calls.load(Ordering::Relaxed), 3);
    let calls = stage.cognito.requests().len();
    let error = stage.credentials.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    assert_eq!(
        format!("{error:#}"),
        "the token source for accounts.google.com failed: no such file"
    );
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
    assert_eq!(stage.cognito.requests().len(), calls);
    assert_eq!(
        stage.credentials.status().next_attempt_in,
        None,
        "a failure of a token source begins no cooldown"
    );
}

/// `GetId` has no idempotency token, so a lost answer leaves an unused identity behind.
#[test]
fn a_lost_answer_of_get_id_is_retried() {
    let stage = Stage::new();
    stage.cognito.fail_next("GetId", 1, Fault::AnswerLost(TransportErrorKind::Io));
    stage.credentials.get().unwrap();
    assert_eq!((stage.cognito.calls("GetId"), stage.cognito.identities()), (2, 2));
}

#[test]
fn data_holds_the_last_answer_and_nothing_after_a_failure() {
    let stage = Stage::new();
    assert_eq!(stage.credentials.data(), None);
    let set = stage.credentials.get().unwrap();
    assert_eq!(Some(&*stage.credentials.data().unwrap().identity_id), set.identity_id());
    stage.clock.advance(seconds(3000));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::timeout());
    stage.credentials.get().unwrap();
    assert!(stage.credentials.data().is_some(), "the credentials are still valid");
    stage.cognito.fail_next(GET_CREDENTIALS, 4, Fault::timeout());
    stage.credentials.refresh().unwrap_err();
    assert_eq!(stage.credentials.data(), None);
    assert_eq!(stage.credentials.cached(), Some(set), "the credentials stay readable");
}

#[test]
fn an_unknown_pool_is_a_not_found_error() {
    let unknown = "us-east-1:00000000-0000-4000-8000-0000000000cc";
    let stage = Stage::with(|builder| builder.identity_pool_id(unknown));
    stage.cognito.add_pool("us-east-1:00000000-0000-4000-8000-0000000000bb");
    let error = stage.credentials.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.hint(), Some("check identity_pool_id and region"));
    assert!(error.message().contains("0000000000cc"), "a pool ID is not secret: {error}");
}
