//! Identities that come from the program's own backend (`developer_identity`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{
    BoxError, DeveloperIdentity, ErrorKind, IdentityOrigin, MemoryStorage,
};

use crate::stored::again;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, ROLE, Stage};

#[test]
fn a_developer_identity_does_not_replace_a_stored_guest() {
    let storage = Arc::new(MemoryStorage::new());
    let stage = Stage::with(|builder| builder.storage(storage.clone()));
    let guest = stage.credentials.get().unwrap();
    let cognito = stage.cognito.clone();
    let developer = again(&stage, |builder| {
        builder
            .storage(storage.clone())
            .developer_identity(move || Ok(cognito.developer_identity(POOL, "ann")))
    });
    developer.credentials.get().unwrap();
    let next = again(&stage, |builder| builder.storage(storage.clone()));
    assert_eq!(next.credentials.identity_id().as_deref(), guest.identity_id());
}

#[test]
fn a_developer_identity_is_used_in_both_flows() {
    for classic in [false, true] {
        let stage = Stage::new();
        let (cognito, calls) = (stage.cognito.clone(), Arc::new(AtomicUsize::new(0)));
        let count = calls.clone();
        let stage = again(&stage, |builder| {
            let builder = builder.developer_identity(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(cognito.developer_identity(POOL, "ann"))
            });
            if classic { builder.role_arn(ROLE) } else { builder }
        });
        let first = stage.credentials.get().unwrap();
        let second = stage.credentials.refresh().unwrap();
        assert_eq!(first.identity_id(), second.identity_id());
        assert_eq!(stage.credentials.status().identity_origin, Some(IdentityOrigin::Developer));
        assert_eq!(calls.load(Ordering::Relaxed), 2, "one call in each refresh");
        let requests = stage.cognito.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            if classic {
                assert_eq!(request.operation(), "AssumeRoleWithWebIdentity");
                assert!(request.form_field("WebIdentityToken").is_some());
            } else {
                assert_eq!(request.operation(), GET_CREDENTIALS);
                let providers: Vec<_> = request.providers().collect();
                assert_eq!(providers, ["cognito-identity.amazonaws.com"]);
            }
        }
    }
}

#[test]
fn after_a_refusal_the_developer_identity_provider_is_called_once_more() {
    struct Row {
        classic: bool,
        fault: Fault,
        /// Whether the refresh calls the developer identity provider and the service once more.
        once_more: bool,
    }
    let enhanced = |fault, once_more| Row { classic: false, fault, once_more };
    let classic = |fault, once_more| Row { classic: true, fault, once_more };
    let not_found = Fault::error(400, "ResourceNotFoundException", "Identity 'x' not found.");
    let expired = Fault::not_authorized("Invalid login token. Token expired: 1 >= 0");
    let rows = [
        enhanced(Fault::not_authorized("Access to Identity 'x' is forbidden."), true),
        enhanced(not_found, true),
        enhanced(expired, true),
        enhanced(Fault::not_authorized("Something new."), false),
        classic(Fault::error(400, "ExpiredTokenException", ""), true),
        classic(Fault::error(400, "InvalidIdentityToken", ""), true),
        classic(Fault::error(403, "AccessDenied", ""), false),
    ];
    for Row { classic, fault, once_more } in rows {
        for new_token in [true, false] {
            let stage = Stage::new();
            let cognito = stage.cognito.clone();
            let first = cognito.developer_identity(POOL, "ann");
            let calls = Arc::new(AtomicUsize::new(0));
            let count = calls.clone();
            let stage = again(&stage, |builder| {
                let builder = builder.developer_identity(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    let new = || cognito.developer_identity(POOL, "ann");
                    Ok(if new_token { new() } else { first.clone() })
                });
                if classic { builder.role_arn(ROLE) } else { builder }
            });
            let operation = if classic { "AssumeRoleWithWebIdentity" } else { GET_CREDENTIALS };
            stage.cognito.fail_next(operation, 1, fault.clone());
            let outcome = stage.credentials.get();
            let what = format!("classic: {classic}, {fault:?}, new token: {new_token}");
            assert_eq!(outcome.is_ok(), once_more && new_token, "{what}: {outcome:?}");
            assert_eq!(calls.load(Ordering::Relaxed), 1 + usize::from(once_more), "{what}");
            assert_eq!(stage.cognito.calls("GetId"), 0, "{what}");
            assert!(stage.credentials.identity_id().is_some(), "{what}");
        }
    }
}

#[test]
fn a_failed_or_malformed_developer_identity_is_a_login_error() {
    type Answer = fn() -> Result<DeveloperIdentity, BoxError>;
    let rows: [(Answer, &str); 4] = [
        (
            || Ok(DeveloperIdentity::new("eu-west-1:0", "token")),
            "the developer identity provider returned an identity ID of another region",
        ),
        (
            || Err("no route to the backend".into()),
            "the developer identity provider failed: no route to the backend",
        ),
        (
            || Ok(DeveloperIdentity::new("me", "token")),
            "the developer identity provider returned an identity ID that must have the form REGION:GUID, such as us-east-1:12345678-dead-beef-cafe-123456790ab0",
        ),
        (
            || Ok(DeveloperIdentity::new(IDENTITY, "")),
            "the developer identity provider returned a token that is empty",
        ),
    ];
    for (answer, message) in rows {
        let stage = Stage::with(|builder| builder.developer_identity(answer));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert_eq!(format!("{error:#}"), message);
        assert!(stage.cognito.requests().is_empty());
    }
    let stage = Stage::with(|b| b.developer_identity(|| Ok(DeveloperIdentity::new(IDENTITY, "t"))));
    assert_eq!(stage.credentials.set_identity_id(IDENTITY).unwrap_err().kind(), ErrorKind::Config);
    stage.credentials.set_login(PROVIDER, "token");
    assert_eq!(
        stage.credentials.get().unwrap_err().message(),
        "login: cannot be combined with developer_identity"
    );
}
