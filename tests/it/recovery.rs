//! The recovery after a rejection: which refusals replace an identity, and with which calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{Builder, MemoryStorage};

use crate::stored::again;
use crate::support::{GET_CREDENTIALS, PROVIDER, ROLE, Stage};

#[test]
fn which_refusals_replace_a_stored_identity() {
    struct Row {
        is_user: bool,
        allow_new_guest: bool,
        fault: Fault,
        is_replaced: bool,
    }
    let forbidden = || Fault::not_authorized("Access to Identity 'x' is forbidden.");
    let mismatch = || Fault::not_authorized("Logins don't match. Please include at least one.");
    let missing = || Fault::error(400, "ResourceNotFoundException", "Identity 'x' not found.");
    let unknown = || Fault::not_authorized("Something new.");
    let row =
        |fault, is_replaced| Row { is_user: false, allow_new_guest: true, fault, is_replaced };
    let user = |fault, is_replaced| Row { is_user: true, ..row(fault, is_replaced) };
    let rows = [
        row(forbidden(), true),
        row(missing(), true),
        Row { allow_new_guest: false, ..row(forbidden(), false) },
        row(mismatch(), false),
        row(unknown(), false),
        row(Fault::timeout(), false),
        user(forbidden(), true),
        Row { allow_new_guest: false, ..user(forbidden(), true) },
        user(missing(), true),
        user(mismatch(), true),
        user(unknown(), false),
    ];
    for Row { is_user, allow_new_guest, fault, is_replaced } in rows {
        let what = format!("user: {is_user}, new guest: {allow_new_guest}, {fault:?}");
        let storage = Arc::new(MemoryStorage::new());
        let set = |builder: Builder| {
            let builder = builder.storage(storage.clone()).max_attempts(1);
            if is_user { builder.login(PROVIDER, "token") } else { builder }
        };
        let stage = Stage::with(set);
        stage.cognito.accept_login(PROVIDER, "token", "ann");
        let first = stage.credentials.get().unwrap();
        let next = again(&stage, |builder| set(builder).allow_new_guest(allow_new_guest));
        next.cognito.fail_next(GET_CREDENTIALS, 1, fault);
        assert_eq!(next.credentials.get().is_ok(), is_replaced, "{what}");
        assert_eq!(next.cognito.calls("GetId"), 1 + usize::from(is_replaced), "{what}");
        let known = next.credentials.identity_id();
        assert_eq!(known.as_deref() == first.identity_id(), is_user || !is_replaced, "{what}");
        let stored = again(&stage, set).credentials.identity_id();
        assert_eq!(stored, known, "{what}: memory and storage agree");
    }
}

/// Every cell of the table of `refresh/recovery.rs`, in both flows: the calls that are made (I for
/// `GetId`, C for `GetCredentialsForIdentity`, O for `GetOpenIdToken`, S for STS), and whether the
/// identity stays.
#[test]
fn the_recovery_table_cell_by_cell() {
    let faults: [(&str, fn() -> Fault); 6] = [
        ("forbidden", || Fault::not_authorized("Access to Identity 'x' is forbidden.")),
        ("not found", || Fault::error(400, "ResourceNotFoundException", "Identity 'x' not found.")),
        ("mismatch", || Fault::not_authorized("Logins don't match. Please include at least one.")),
        ("expired", || Fault::not_authorized("Invalid login token. Token expired: 1 >= 0")),
        ("invalid", || Fault::not_authorized("Invalid login token. Couldn't verify signed token.")),
        ("guests off", || Fault::not_authorized("Unauthenticated access is not supported.")),
    ];
    let origins = ["GetId", "memory", "stored", "given"];
    let mut rows = 0;
    for classic in [false, true] {
        for user in [false, true] {
            for origin in origins {
                for (name, fault) in faults {
                    let what = format!("classic: {classic}, user: {user}, {origin}, {name}");
                    let storage = Arc::new(MemoryStorage::new());
                    let settings = |builder: Builder| {
                        let builder = builder.storage(storage.clone());
                        let builder = if classic { builder.role_arn(ROLE) } else { builder };
                        if !user {
                            return builder;
                        }
                        let calls = AtomicUsize::new(0);
                        builder.login_from(PROVIDER, move || {
                            Ok(format!("token-{}", calls.fetch_add(1, Ordering::Relaxed)))
                        })
                    };
                    let first = Stage::with(settings);
                    for n in 0..9 {
                        first.cognito.accept_login(PROVIDER, format!("token-{n}"), "ann");
                    }
                    if origin != "GetId" {
                        first.credentials.get().unwrap();
                    }
                    let run = match origin {
                        "memory" => {
                            Stage { credentials: first.credentials.clone(), ..again(&first, |b| b) }
                        }
                        "given" => {
                            let id = first.credentials.identity_id().unwrap();
                            again(&first, |builder| settings(builder).identity_id(id))
                        }
                        _ => again(&first, settings),
                    };
                    let before = run.credentials.identity_id();
                    let requests = run.cognito.requests().len();
                    let second = if classic { "GetOpenIdToken" } else { GET_CREDENTIALS };
                    run.cognito.fail_next(second, 1, fault());
                    let outcome = run.credentials.refresh();

                    let replaced = origin != "given"
                        && match name {
                            "forbidden" | "not found" => true,
                            "mismatch" => user && origin != "GetId",
                            _ => false,
                        };
                    let again = user && matches!(name, "expired" | "invalid");
                    let fetch = if classic { "OS" } else { "C" };
                    let refused = if classic { "O" } else { "C" };
                    let mut calls = if origin == "GetId" { "I".to_owned() } else { String::new() };
                    calls += refused;
                    if replaced {
                        calls += "I";
                    }
                    if replaced || again {
                        calls += fetch;
                    }
                    let made: String = run.cognito.requests()[requests..]
                        .iter()
                        .map(|request| match request.operation() {
                            "GetId" => 'I',
                            "GetOpenIdToken" => 'O',
                            "AssumeRoleWithWebIdentity" => 'S',
                            _ => 'C',
                        })
                        .collect();
                    assert_eq!(made, calls, "{what}");
                    assert_eq!(outcome.is_ok(), replaced || again, "{what}");
                    let after = run.credentials.identity_id();
                    assert!(after.is_some(), "{what}");
                    if origin != "GetId" {
                        assert_eq!(after == before, user || !replaced, "{what}");
                    }
                    rows += 1;
                }
            }
        }
    }
    println!("{rows} cells of flow, login, origin and refusal");
    assert_eq!(rows, 2 * 2 * 4 * 6);
}
