//! Records that cannot be read: a failed read never loses the stored record.

use std::io;
use std::sync::{Arc, Mutex};

use cognito_identity_credentials::testing::{FakeCognito, Fault, FaultyStorage, ManualClock};
use cognito_identity_credentials::transport::{HttpRequest, Transport};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, Credentials, Error, ErrorKind, IdentityChange,
    IdentityChangeReason, IdentityOrigin, MemoryStorage, Storage,
};

use crate::storages::{Colliding, fail_writes};
use crate::support::{GET_CREDENTIALS, POOL, PROVIDER, ROLE, operation, seconds};

const FOR_GOOD: usize = usize::MAX;

/// A storage with these records. It cannot load keys that begin with `prefix`.
fn failing(inner: &Arc<MemoryStorage>, prefix: &str) -> FaultyStorage {
    let storage = FaultyStorage::around(inner.clone());
    storage.fail_next_for("load", prefix, FOR_GOOD, io::ErrorKind::PermissionDenied);
    storage
}

/// The service, the time and the storage that several processes share.
struct Device {
    clock: ManualClock,
    cognito: FakeCognito,
    storage: Arc<MemoryStorage>,
    changes: Arc<Mutex<Vec<IdentityChange>>>,
}

impl Device {
    fn new() -> Self {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        cognito.accept_login(PROVIDER, "token", "ann");
        Self { clock, cognito, storage: Arc::default(), changes: Arc::default() }
    }

    fn process(
        &self,
        storage: impl Storage + 'static,
        settings: impl FnOnce(Builder) -> Builder,
    ) -> CognitoIdentityCredentials {
        let changes = self.changes.clone();
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(self.cognito.clone())
            .clock(self.clock.clone())
            .storage(storage)
            .on_identity_change(move |change| changes.lock().unwrap().push(change.clone()));
        settings(builder).build().unwrap()
    }

    fn healthy(&self) -> CognitoIdentityCredentials {
        self.process(self.storage.clone(), |builder| builder)
    }

    fn record(&self, kind: &str) -> Option<Vec<u8>> {
        self.storage.load(&format!("{kind}/{POOL}")).unwrap()
    }

    fn calls(&self) -> usize {
        self.cognito.calls("GetId")
    }

    fn changes(&self) -> Vec<(Option<String>, Option<String>, IdentityChangeReason)> {
        let changes = std::mem::take(&mut *self.changes.lock().unwrap());
        changes.into_iter().map(|change| (change.old, change.new, change.reason)).collect()
    }
}

fn id(credentials: &Credentials) -> Option<String> {
    credentials.identity_id().map(str::to_owned)
}

type Refresh = fn(&Device, &CognitoIdentityCredentials) -> Result<Credentials, Error>;

/// Every kind of refresh.
const REFRESHES: [(&str, Refresh); 3] = [
    ("refresh", |_, provider| provider.refresh()),
    ("expired credentials", |_, provider| {
        provider.expire();
        provider.get()
    }),
    ("an early refresh", |device, provider| {
        device.clock.advance(seconds(2_900));
        provider.get()
    }),
];

#[test]
fn a_stored_identity_survives_failed_reads_and_the_next_refresh_uses_it() {
    let flows: [(&str, fn(Builder) -> Builder); 3] = [
        ("enhanced", |builder| builder),
        ("classic", |builder| builder.role_arn(ROLE)),
        ("persisted", |builder| builder.persist_credentials(true)),
    ];
    for (flow, settings) in flows {
        for (how, refresh) in REFRESHES {
            let what = format!("{flow}, {how}");
            let device = Device::new();
            let good = id(&device.healthy().get().unwrap());
            let record = device.record("identity");
            let failing = failing(&device.storage, "identity/");
            let provider = device.process(failing.clone(), settings);
            device.changes();
            let guest = id(&provider.get().unwrap());
            assert_ne!(guest, good, "{what}");
            for _ in 0..3 {
                assert_eq!(id(&refresh(&device, &provider).unwrap()), guest, "{what}");
                let error = provider.status().storage_error.expect(&what);
                assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Storage, false));
                assert!(
                    error.hint().is_some() && format!("{error:#}").contains("permission denied")
                );
                assert_eq!(device.record("identity"), record, "{what}");
            }
            assert_eq!(device.calls(), 2, "{what}: one guest while the reads fail");
            assert_eq!(device.changes(), [(None, guest.clone(), IdentityChangeReason::Minted)]);

            failing.clear_faults();
            assert_eq!(id(&refresh(&device, &provider).unwrap()), good, "{what}");
            assert_eq!(device.changes(), [(guest, good, IdentityChangeReason::Replaced)]);
            let status = provider.status();
            assert_eq!(status.identity_origin, Some(IdentityOrigin::Stored), "{what}");
            assert!(status.storage_error.is_none(), "{what}");
            assert_eq!((device.record("identity"), device.calls()), (record, 2), "{what}");
        }
    }
}

/// One read fails and all others work: each read of a refresh once.
#[test]
fn one_failed_read_never_loses_the_stored_identity() {
    for persist in [false, true] {
        for position in 0..6 {
            let device = Device::new();
            let good = id(&device.healthy().get().unwrap());
            let record = device.record("identity");
            let failing = FaultyStorage::around(device.storage.clone());
            let provider =
                device.process(failing.clone(), |builder| builder.persist_credentials(persist));
            for round in 0..6 {
                let times = usize::from(round == position);
                failing.clear_faults();
                failing.fail_next("load", times, io::ErrorKind::PermissionDenied);
                provider.refresh().unwrap();
            }
            assert_eq!(id(&provider.refresh().unwrap()), good, "{persist}, {position}");
            assert_eq!(device.record("identity"), record, "{persist}, {position}");
            assert!(device.calls() <= 2, "{persist}, {position}");
        }
    }
}

#[test]
fn a_temporary_guest_is_stored_once_the_storage_is_known_to_be_empty() {
    for (how, refresh) in REFRESHES {
        let device = Device::new();
        let failing = failing(&device.storage, "");
        let provider = device.process(failing.clone(), |builder| builder);
        let guest = id(&provider.get().unwrap());
        assert_eq!(device.record("identity"), None, "{how}");
        failing.clear_faults();
        assert_eq!(id(&refresh(&device, &provider).unwrap()), guest, "{how}");
        assert_eq!(device.healthy().identity_id(), guest, "{how}");
        assert!(provider.status().storage_error.is_none(), "{how}");
        assert_eq!(device.calls(), 1, "{how}");
    }
}

#[test]
fn a_new_guest_whose_record_turns_unreadable_before_it_is_stored_is_temporary() {
    let device = Device::new();
    let failing = FaultyStorage::around(device.storage.clone());
    let provider = {
        let (failing, cognito) = (failing.clone(), device.cognito.clone());
        device.process(failing.clone(), |builder| {
            builder.transport(move |request: &HttpRequest| {
                let times = usize::from(operation(request) == "GetId");
                failing.clear_faults();
                failing.fail_next("load", times, io::ErrorKind::PermissionDenied);
                cognito.send(request)
            })
        })
    };
    let guest = id(&provider.get().unwrap());
    let other = id(&device.healthy().get().unwrap());
    assert_ne!(guest, other);
    assert_eq!(id(&provider.refresh().unwrap()), other, "another process has stored it");
    assert_eq!(device.healthy().identity_id(), other);
}

#[test]
fn a_guest_that_is_refused_while_its_record_is_unreadable_is_neither_removed_nor_used_again() {
    for other_process_stores in [false, true] {
        let device = Device::new();
        let failing = FaultyStorage::around(device.storage.clone());
        let provider = device.process(failing.clone(), |builder| builder);
        let refused = id(&provider.get().unwrap());
        let record = device.record("identity");
        failing.fail_next("load", FOR_GOOD, io::ErrorKind::PermissionDenied);
        device.cognito.disable_identity(refused.as_deref().unwrap());
        let guest = id(&provider.refresh().unwrap());
        assert_ne!(guest, refused);
        assert_eq!(device.record("identity"), record, "the record stays");
        // The temporary guest is refused too.
        device.cognito.disable_identity(guest.as_deref().unwrap());
        let second = id(&provider.refresh().unwrap());
        assert!(second != guest && second != refused);
        assert_eq!((device.record("identity"), device.calls()), (record, 3));

        let expected =
            if other_process_stores { id(&device.healthy().get().unwrap()) } else { second };
        failing.clear_faults();
        let requests = device.cognito.requests().len();
        assert_eq!(id(&provider.refresh().unwrap()), expected, "{other_process_stores}");
        assert_eq!(
            device.cognito.requests().len(),
            requests + 1,
            "no call for the refused identity"
        );
        assert_eq!(device.healthy().identity_id(), expected, "{other_process_stores}");
    }
}

#[test]
fn a_credentials_record_that_cannot_be_read_is_not_overwritten() {
    for (how, refresh) in REFRESHES {
        let device = Device::new();
        let persisted = |storage: FaultyStorage| {
            device.process(storage, |builder| builder.persist_credentials(true))
        };
        let failing = FaultyStorage::around(device.storage.clone());
        let provider = persisted(failing.clone());
        provider.get().unwrap();
        let record = device.record("credentials");
        assert!(record.is_some());
        failing.fail_next_for("load", "credentials/", FOR_GOOD, io::ErrorKind::PermissionDenied);
        refresh(&device, &provider).unwrap();
        assert_eq!(device.record("credentials"), record, "{how}");
        let error = provider.status().storage_error.expect(how);
        assert!(error.message().contains("credentials could not be read"), "{error}");
        failing.clear_faults();
        device.clock.advance(seconds(1));
        provider.refresh().unwrap();
        assert_ne!(device.record("credentials"), record, "{how}");
        assert!(provider.status().storage_error.is_none(), "{how}");
    }
}

#[test]
fn the_credentials_of_a_temporary_guest_are_not_stored() {
    let device = Device::new();
    let persist = |builder: Builder| builder.persist_credentials(true);
    let first = device.process(device.storage.clone(), persist).get().unwrap();
    let record = device.record("credentials");
    let failing = failing(&device.storage, "identity/");
    let provider = device.process(failing.clone(), persist);
    assert_ne!(id(&provider.get().unwrap()), id(&first));
    provider.refresh().unwrap();
    assert_eq!(device.record("credentials"), record);
    let requests = device.cognito.requests().len();
    assert_eq!(device.process(device.storage.clone(), persist).get().unwrap(), first);
    assert_eq!(device.cognito.requests().len(), requests, "other processes still use them");
    failing.clear_faults();
    assert_eq!(id(&provider.refresh().unwrap()), id(&first));
    assert_ne!(device.record("credentials"), record);
}

#[test]
fn clear_cached_id_removes_an_unreadable_record() {
    let device = Device::new();
    device.healthy().get().unwrap();
    let failing = failing(&device.storage, "");
    let provider = device.process(failing.clone(), |builder| builder);
    let guest = id(&provider.get().unwrap());
    provider.clear_cached_id();
    assert_eq!(device.record("identity"), None);
    failing.clear_faults();
    let next = id(&provider.refresh().unwrap());
    assert_ne!(next, guest);
    assert_eq!(device.healthy().identity_id(), next);
}

#[test]
fn a_signed_in_user_with_an_unreadable_record_is_stored_once_it_can_be_read() {
    let device = Device::new();
    let ann = |builder: Builder| builder.login_id("ann").login(PROVIDER, "token");
    let key = format!("identity/{POOL}/ann");
    let failing = failing(&device.storage, "");
    let provider = device.process(failing.clone(), ann);
    let user = id(&provider.get().unwrap());
    assert_eq!(device.storage.load(&key).unwrap(), None);
    assert!(provider.status().storage_error.is_some());
    failing.clear_faults();
    provider.refresh().unwrap();
    assert_eq!(device.process(device.storage.clone(), ann).identity_id(), user);
    assert!(provider.status().storage_error.is_none());
}

#[test]
fn a_failed_write_is_in_the_status_until_a_write_works() {
    let device = Device::new();
    let failing = FaultyStorage::around(device.storage.clone());
    fail_writes(&failing, io::ErrorKind::ReadOnlyFilesystem);
    let provider = device.process(failing.clone(), |builder| builder);
    let guest = id(&provider.get().unwrap());
    for _ in 0..2 {
        let error = provider.status().storage_error.unwrap();
        assert_eq!(error.message(), "the identity could not be stored");
        assert!(std::error::Error::source(&error).unwrap().is::<io::Error>());
        assert!(format!("{:?}", provider.status()).contains("could not be stored"));
        provider.refresh().unwrap();
    }
    failing.clear_faults();
    provider.refresh().unwrap();
    assert!(provider.status().storage_error.is_none());
    assert_eq!(device.healthy().identity_id(), guest);
}

#[test]
fn the_status_says_why_no_credentials_are_stored() {
    let device = Device::new();
    let provider =
        device.process(device.storage.clone(), |builder| builder.persist_credentials(true));
    provider.get().unwrap();
    assert!(provider.status().storage_error.is_none());
    provider.set_login(PROVIDER, "token");
    provider.refresh().unwrap();
    let error = provider.status().storage_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.hint().unwrap().contains("login_id"), "{error}");
    provider.remove_login(PROVIDER);
    provider.refresh().unwrap();
    assert!(provider.status().storage_error.is_none());
}

#[test]
fn users_whose_keys_collide_never_get_each_others_identity_or_credentials() {
    let device = Device::new();
    device.cognito.accept_login(PROVIDER, "of-bob", "bob");
    let user = |name: &str, token: &str| {
        let kinds = &["identity", "credentials"];
        device.process(Colliding { records: device.storage.clone(), kinds }, |builder| {
            builder.login_id(name).login(PROVIDER, token).persist_credentials(true)
        })
    };
    let ann = user("ann", "token").get().unwrap();
    let records = || ["identity", "credentials"].map(|kind| device.storage.load(kind).unwrap());
    let before = records();
    let bobs = user("bob", "of-bob");
    assert_eq!(bobs.identity_id(), None);
    let bob = bobs.get().unwrap();
    assert_ne!(id(&bob), id(&ann));
    bobs.refresh().unwrap();
    assert_eq!(records(), before, "Ann's records stay");
    let error = bobs.status().storage_error.unwrap();
    assert!(error.message().contains("another key"), "{error}");
    assert!(error.hint().unwrap().contains("login_id"), "{error}");
    assert_eq!(user("ann", "token").get().unwrap(), ann);
}

#[test]
fn an_emulator_and_aws_share_no_record_but_the_endpoints_of_aws_do() {
    let aws = "";
    let apart = [
        (aws, "http://127.0.0.1:4566"),
        ("http://127.0.0.1:4566", aws),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4567"),
    ];
    let together = [
        ("http://localhost:80", "http://LOCALHOST/path"),
        ("https://moto.example.com", "https://moto.example.com.:443"),
        (aws, "https://cognito-identity-fips.us-east-1.amazonaws.com"),
        (aws, "https://vpce-0.cognito-identity.us-east-1.vpce.amazonaws.com"),
        ("https://cognito-identity.us-east-1.api.aws", aws),
    ];
    let rows = apart.map(|row| (row, false)).into_iter().chain(together.map(|row| (row, true)));
    for ((first, second), shared) in rows {
        let device = Device::new();
        let at = |url: &str| {
            device.process(device.storage.clone(), |builder| {
                let builder = builder.persist_credentials(true);
                if url.is_empty() { builder } else { builder.endpoint_url(url) }
            })
        };
        let set = at(first).get().unwrap();
        let found = at(second).identity_id();
        assert_eq!(found, id(&set).filter(|_| shared), "{first}, then {second}");
        let other = at(second).get().unwrap();
        assert_eq!(id(&other) == id(&set), shared, "{first}, then {second}");
        assert_eq!(at(first).identity_id(), id(&set), "{first}, then {second}");
    }
}

#[test]
fn the_identity_of_the_last_answer_is_stored() {
    for fails in [false, true] {
        let device = Device::new();
        let good = id(&device.healthy().get().unwrap());
        let other = "us-east-1:00000000-0000-4000-8000-00000000000b";
        if !fails {
            device.healthy().clear_cached_id();
        }
        device.changes();
        let failing = FaultyStorage::around(device.storage.clone());
        if fails {
            failing.fail_next("load", FOR_GOOD, io::ErrorKind::PermissionDenied);
        }
        let provider = device.process(failing, |builder| builder);
        device.cognito.fail_next(GET_CREDENTIALS, 1, Fault::IdentityId(other.to_owned()));
        assert_eq!(provider.get().unwrap().identity_id(), Some(other));
        let reasons: Vec<_> = device.changes().into_iter().map(|change| change.2).collect();
        assert_eq!(reasons, [IdentityChangeReason::Minted, IdentityChangeReason::Merged]);
        let stored = if fails { good } else { Some(other.to_owned()) };
        assert_eq!(device.healthy().identity_id(), stored, "{fails}");
    }
}
