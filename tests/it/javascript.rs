//! The behaviour that the tests of the JavaScript class check (the part of
//! `test/credentials.spec.js` of aws-sdk 2.x about `CognitoIdentityCredentials`), and several
//! providers that share one storage, as pages share the `localStorage` of a browser.
//!
//! * a stored ID is loaded if no ID is given: `stored_identities_are_used_as_in_javascript`
//! * a stored ID needs a matching provider and the same `LoginId`: the same test
//! * `clearCachedId` clears the ID in the storage and in the object, even an ID from the program:
//!   `clear_cached_id_removes_given_and_stored_identities`
//! * clients are created when they are needed:
//!   `settings::no_call_is_made_before_get_or_refresh`
//! * without a role: `GetId`, `GetCredentialsForIdentity`; the ID in the answer replaces the old
//!   ID: `the_enhanced_flow_as_in_javascript`
//! * with a role: `GetId`, `GetOpenIdToken`, STS; the ID in the answer replaces the old one:
//!   `the_classic_flow_as_in_javascript`
//! * no `GetId` with a given ID: the last two tests
//! * a failed call makes the refresh fail, and a second refresh tries again:
//!   `a_failure_of_each_call_is_returned_and_the_next_refresh_tries_again`
//! * a failure other than `NotAuthorizedException` does not change the storage: the same test
//! * the ID and the providers are stored; a second refresh makes no call of `GetId`:
//!   `after_a_handshake_the_identity_and_the_providers_are_stored`
//! * `identityId` is known from the storage without a call:
//!   `stored::a_guest_keeps_its_identity_after_a_restart_even_offline`
//!
//! Two differences; `docs/from-javascript.md` has the reasons. In JavaScript every
//! `NotAuthorizedException` clears the storage. Here it depends on the cause
//! (`identity::refused_identities_and_logins_row_by_row`). In JavaScript the new ID of a guest is
//! stored after the next call. Here it is stored immediately
//! (`stored::a_new_guest_is_stored_before_the_next_call_can_fail`).
//!
//! More differences from `docs/from-javascript.md` with their tests here. `.ci/javascript` tests
//! the JavaScript class itself in Node:
//!
//! * credentials without `Expiration` never expire: `an_answer_without_expiration_is_an_error`
//! * `clientConfig.endpoint` is the endpoint of both services:
//!   `classic::each_service_has_its_regional_host_or_its_own_endpoint`
//! * `LoginId` is ignored without a storage; without a pool ID, the pool is `undefined`:
//!   `settings::each_fault_names_its_setting`
//! * an assignment to `identityId` does not change the next request:
//!   `a_set_identity_is_what_the_next_refresh_asks_for`
//! * `ExpiredToken` expires the current credentials, also newer ones:
//!   `a_rejected_key_is_not_served_when_the_refresh_fails`
//!
//! Some tests cannot apply. There are no client objects and no global configuration here, and a
//! failing `localStorage` is not replaced by an object
//! (here: `stored::a_failing_storage_fails_no_refresh`).

use std::sync::Arc;

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, ErrorKind, MemoryStorage, Storage,
};

use crate::stored::again;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, ROLE, Stage, seconds};

const OTHER: &str = "us-east-1:87654321-dead-beef-cafe-123456790ab0";

fn record(storage: &MemoryStorage, suffix: &str) -> Option<serde_json::Value> {
    let value = storage.load(&format!("identity/{POOL}{suffix}")).unwrap()?;
    Some(serde_json::from_slice(&value).unwrap())
}

fn put(storage: &MemoryStorage, suffix: &str, id: &str, providers: &[&str]) {
    let value = serde_json::json!({ "version": 1, "identity_id": id, "providers": providers });
    storage.store(&format!("identity/{POOL}{suffix}"), value.to_string().as_bytes()).unwrap();
}

/// The identity that a new provider with this storage knows without a call.
fn known(
    storage: &Arc<MemoryStorage>,
    settings: impl FnOnce(Builder) -> Builder,
) -> Option<String> {
    Stage::with(|builder| settings(builder.storage(storage.clone()))).credentials.identity_id()
}

#[test]
fn stored_identities_are_used_as_in_javascript() {
    let id = || Some(IDENTITY.to_owned());
    let storage = Arc::new(MemoryStorage::new());
    put(&storage, "", IDENTITY, &[]);
    assert_eq!(known(&storage, |b| b), id());
    assert_eq!(known(&storage, |b| b.identity_id(OTHER)), Some(OTHER.to_owned()));
    assert_eq!(known(&storage, |b| b.login("p1", "t")), None);
    for providers in [&["p1"][..], &["p1", "p2", "p3"]] {
        put(&storage, "", IDENTITY, providers);
        assert_eq!(known(&storage, |b| b), id());
        assert_eq!(known(&storage, |b| b.login("p1", "t")), id());
        assert_eq!(known(&storage, |b| b.login("p1", "t").login("p4", "t")), id());
        assert_eq!(known(&storage, |b| b.login("p4", "t")), None);
    }
    put(&storage, "/LOGINID1", OTHER, &[]);
    assert_eq!(known(&storage, |b| b.login_id("LOGINID1")), Some(OTHER.to_owned()));
    assert_eq!(known(&storage, |b| b.login_id("LOGINID2")), None);
}

#[test]
fn clear_cached_id_removes_given_and_stored_identities() {
    let storage = Arc::new(MemoryStorage::new());
    put(&storage, "", OTHER, &["p1"]);
    let stage = Stage::with(|builder| builder.storage(storage.clone()).identity_id(IDENTITY));
    stage.credentials.clear_cached_id();
    assert_eq!(stage.credentials.identity_id(), None);
    assert_eq!(record(&storage, ""), None);
}

fn operations(stage: &Stage) -> Vec<String> {
    stage.cognito.requests().iter().map(|request| request.operation().to_owned()).collect()
}

/// A stage, and the identity of a user. A guest that signs in as this user is merged into it.
fn with_a_merge(settings: impl FnOnce(Builder) -> Builder) -> (Stage, String) {
    let stage = Stage::with(settings);
    stage.cognito.accept_login("p1", "token", "ann");
    let ann = again(&stage, |builder| builder.login("p1", "token")).credentials.get().unwrap();
    let ann = ann.identity_id().unwrap().to_owned();
    (stage, ann)
}

#[test]
fn the_enhanced_flow_as_in_javascript() {
    let (stage, ann) = with_a_merge(|builder| builder);
    stage.credentials.get().unwrap();
    stage.credentials.set_login("p1", "token");
    let set = stage.credentials.refresh().unwrap();
    assert_eq!(stage.credentials.identity_id(), Some(ann.clone()));
    assert_eq!(set.identity_id(), Some(&*ann));
    assert!(!stage.credentials.needs_refresh());
    let after_ann = operations(&stage)[2..].to_vec();
    assert_eq!(after_ann, ["GetId", "GetCredentialsForIdentity", "GetCredentialsForIdentity"]);
    let given = again(&stage, |builder| builder.identity_id(ann).login("p1", "token"));
    given.credentials.get().unwrap();
    assert_eq!(operations(&stage).last().unwrap(), "GetCredentialsForIdentity");
    assert_eq!(stage.cognito.calls("GetId"), 2);
}

#[test]
fn the_classic_flow_as_in_javascript() {
    let (stage, ann) = with_a_merge(|builder| builder.role_arn(ROLE));
    stage.credentials.get().unwrap();
    stage.credentials.set_login("p1", "token");
    stage.credentials.refresh().unwrap();
    assert_eq!(stage.credentials.identity_id(), Some(ann.clone()));
    assert!(!stage.credentials.needs_refresh());
    assert_eq!(
        operations(&stage)[2..],
        [
            "GetId",
            "GetOpenIdToken",
            "AssumeRoleWithWebIdentity",
            "GetOpenIdToken",
            "AssumeRoleWithWebIdentity"
        ]
    );
    let given = again(&stage, |b| b.identity_id(ann).login("p1", "token").role_arn(ROLE));
    given.credentials.get().unwrap();
    assert_eq!(stage.cognito.calls("GetId"), 2);
}

#[test]
fn a_failure_of_each_call_is_returned_and_the_next_refresh_tries_again() {
    let rows = [
        (false, "GetId"),
        (false, "GetCredentialsForIdentity"),
        (true, "GetId"),
        (true, "GetOpenIdToken"),
        (true, "AssumeRoleWithWebIdentity"),
    ];
    for (classic, operation) in rows {
        let storage = Arc::new(MemoryStorage::new());
        put(&storage, "", OTHER, &["another provider"]);
        let before = record(&storage, "");
        let stage = Stage::with(|builder| {
            let builder = builder.storage(storage.clone()).login("p1", "token");
            if classic { builder.role_arn(ROLE) } else { builder }
        });
        stage.cognito.accept_login("p1", "token", "ann");
        let fault = Fault::error(400, "InvalidService", "INVALID SERVICE");
        stage.cognito.fail_next(operation, 1, fault);
        let error = stage.credentials.refresh().unwrap_err();
        assert_eq!((error.code(), error.message()), (Some("InvalidService"), "INVALID SERVICE"));
        // As in JavaScript, the classic flow stores the ID before the call of STS.
        if operation != "AssumeRoleWithWebIdentity" {
            assert_eq!(record(&storage, ""), before, "{operation}");
        }
        stage.credentials.refresh().unwrap();
        assert_eq!(
            stage.credentials.cached().unwrap().identity_id(),
            stage.credentials.identity_id().as_deref()
        );
    }
}

#[test]
fn after_a_handshake_the_identity_and_the_providers_are_stored() {
    for classic in [false, true] {
        let storage = Arc::new(MemoryStorage::new());
        let stage = Stage::with(|builder| {
            let builder = builder.storage(storage.clone()).login("p1", "t1").login("p2", "t2");
            let builder = builder.login_id("ann");
            if classic { builder.role_arn(ROLE) } else { builder }
        });
        stage.cognito.accept_login("p1", "t1", "ann");
        stage.cognito.accept_login("p2", "t2", "ann");
        let set = stage.credentials.get().unwrap();
        let record = record(&storage, "/ann").unwrap();
        assert_eq!(record["identity_id"].as_str(), set.identity_id());
        assert_eq!(record["providers"], serde_json::json!(["p1", "p2"]));
        stage.credentials.refresh().unwrap();
        assert_eq!(stage.cognito.calls("GetId"), 1);
    }
}

/// Each provider makes one refresh.
#[test]
fn several_providers_in_a_row_share_one_storage() {
    type Settings = fn(Builder) -> Builder;
    struct Row {
        who: &'static str,
        settings: Settings,
        /// Whether this row has another identity than the row before, and so calls `GetId`.
        is_new: bool,
    }
    let new = |who, settings: Settings| Row { who, settings, is_new: true };
    let same = |who, settings: Settings| Row { who, settings, is_new: false };
    let rows = [
        new("a guest", |b| b),
        same("the guest again", |b| b),
        new("the guest signs in: no provider matches", |b| b.login("p1", "ann")),
        same("the user again", |b| b.login("p1", "ann")),
        same("with a second login", |b| b.login("p1", "ann").login("p2", "ann")),
        same("with only the second login", |b| b.login("p2", "ann")),
        new("another user of the same login provider", |b| b.login("p2", "bob")),
        new("a user with an own record", |b| b.login("p1", "ann").login_id("ann")),
    ];
    let storage = Arc::new(MemoryStorage::new());
    let service = Stage::new();
    for (provider, user) in [("p1", "ann"), ("p2", "ann"), ("p2", "bob")] {
        service.cognito.accept_login(provider, user, user);
    }
    let mut last: Option<CognitoIdentityCredentials> = None;
    for Row { who, settings, is_new } in rows {
        let before = service.cognito.calls("GetId");
        let stage = again(&service, |builder| settings(builder.storage(storage.clone())));
        stage.credentials.refresh().unwrap();
        assert_eq!(service.cognito.calls("GetId") > before, is_new, "{who}");
        if let Some(last) = &last {
            assert_eq!(last.identity_id() != stage.credentials.identity_id(), is_new, "{who}");
        }
        last = Some(stage.credentials);
    }
}

#[test]
fn an_answer_without_expiration_is_an_error() {
    let json = r#"{"IdentityId": "us-east-1:0-0", "Credentials": {"AccessKeyId": "K", "SecretKey": "s", "SessionToken": "t"}}"#;
    let null = json.replace("}}", r#", "Expiration": null}}"#);
    let xml = "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>K</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></Credentials></AssumeRoleWithWebIdentityResult></R>";
    let rows =
        [(GET_CREDENTIALS, json), (GET_CREDENTIALS, &*null), ("AssumeRoleWithWebIdentity", xml)];
    for (operation, answer) in rows {
        let stage = Stage::with(|builder| {
            if operation == GET_CREDENTIALS { builder } else { builder.role_arn(ROLE) }
        });
        stage.cognito.fail_next(operation, 1, Fault::raw(200, answer));
        let error = stage.credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response, "{answer}");
        assert!(error.message().contains("Expiration"), "{error}");
        assert_eq!(stage.credentials.cached(), None);
        stage.credentials.refresh().unwrap();
    }
}

#[test]
fn a_set_identity_is_what_the_next_refresh_asks_for() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.credentials.clear_cached_id();
    let second = stage.credentials.refresh().unwrap();
    assert_ne!(first.identity_id(), second.identity_id());
    stage.credentials.set_identity_id(first.identity_id().unwrap()).unwrap();
    let third = stage.credentials.refresh().unwrap();
    assert_eq!(third.identity_id(), first.identity_id());
    assert_eq!(stage.cognito.requests().last().unwrap().identity_id(), first.identity_id());
}

#[test]
fn a_rejected_key_is_not_served_when_the_refresh_fails() {
    let faults = [Fault::timeout(), Fault::throttled(), Fault::not_authorized("no")];
    for fault in faults {
        let stage = Stage::with(|builder| builder.max_attempts(1));
        let first = stage.credentials.get().unwrap();
        stage.credentials.invalidate(first.access_key_id());
        stage.cognito.fail_next(GET_CREDENTIALS, usize::MAX, fault.clone());
        for _ in 0..2 {
            stage.credentials.get().unwrap_err();
            assert!(stage.credentials.needs_refresh(), "{fault:?}");
            stage.clock.advance(seconds(60));
        }
        assert_eq!(stage.credentials.cached(), Some(first.clone()), "as in JavaScript");
        stage.cognito.clear_faults();
        assert_ne!(stage.credentials.refresh().unwrap(), first);
    }
}
