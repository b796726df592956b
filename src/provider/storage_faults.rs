//! Tests a provider while each call of the disk fails with each error. It must keep a good identity
//! and report each failure.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use crate::provider::{Builder, CognitoIdentityCredentials};
use crate::storage::{ERRORS, FaultyDisk, FileStorage, Lasts, Storage};
use crate::testing::{FakeCognito, ManualClock};

/// Without `SOAK`, only this many of the [`errors`] are tested.
const KINDS: usize = 10;

/// The errors of a disk, without the three that are not failures: ENOENT and ENAMETOOLONG mean that
/// there is no record, and EAGAIN means that another process holds the lock.
fn errors() -> Vec<Errno> {
    let others = [Errno::NOENT, Errno::NAMETOOLONG, Errno::AGAIN];
    ERRORS.iter().copied().filter(|errno| !others.contains(errno)).collect()
}

/// What the storage holds before the disk fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    GoodIdentity,
    /// The service has disabled the stored identity.
    RefusedIdentity,
}

struct Device {
    directory: tempfile::TempDir,
    clock: ManualClock,
    cognito: FakeCognito,
    persist: bool,
}

impl Device {
    fn new(persist: bool) -> Self {
        let mode = fs::Permissions::from_mode(0o700);
        let mut builder = tempfile::Builder::new();
        builder.permissions(mode);
        // In memory, a sync takes no time.
        let memory = Path::new("/dev/shm");
        let directory =
            if memory.exists() { builder.tempdir_in(memory) } else { builder.tempdir() }.unwrap();
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        Self { directory, clock, cognito, persist }
    }

    fn process(&self, storage: impl Storage + 'static) -> CognitoIdentityCredentials {
        let builder: Builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(self.cognito.clone())
            .clock(self.clock.clone())
            .storage(storage)
            .persist_credentials(self.persist);
        builder.build().unwrap()
    }

    fn stored_identity(&self) -> Option<String> {
        self.process(FileStorage::new(self.path())).identity_id()
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Makes call number `at` of the disk fail. Returns `false` if there were fewer calls.
fn check(before: Before, persist: bool, at: usize, errno: Errno, lasts: Lasts) -> bool {
    let device = Device::new(persist);
    let good = (before != Before::Nothing).then(|| {
        let first = device.process(FileStorage::new(device.path()));
        first.get().unwrap();
        first.identity_id().unwrap()
    });
    if let (Before::RefusedIdentity, Some(good)) = (before, &good) {
        device.cognito.disable_identity(good);
    }
    // The credentials that the first process stored have expired.
    device.clock.advance(Duration::from_secs(3600));
    let minted = || device.cognito.calls("GetId");
    let before_fault = minted();

    let disk = FaultyDisk::default();
    let process = device.process(disk.storage(device.path()));
    disk.fail(at, errno.raw_os_error(), lasts);
    process.get().unwrap();
    let is_reported = process.status().storage_error.is_some();
    let during = process.identity_id();
    let guests = minted() - before_fault;
    let Some(call) = disk.mend() else { return false };
    let case = format!("{before:?} persist {persist} call {at} {call} {errno:?} {lasts:?}");

    // The disk works again, and the next refresh must repair everything.
    process.refresh().unwrap();
    assert!(process.status().storage_error.is_none(), "{case}");
    let identity = process.identity_id();
    assert_eq!(device.stored_identity(), identity, "{case}: the identity must be stored");
    if before == Before::GoodIdentity {
        assert_eq!(identity, good, "{case}: the good identity is lost");
        assert!(guests <= 1 && minted() == before_fault + guests, "{case}: {guests} guests");
        assert!(is_reported || guests == 0, "{case}: a new guest without a storage error");
    } else {
        assert!(identity.is_some() && identity != good, "{case}");
        assert!(minted() <= before_fault + 2, "{case}");
    }
    if before == Before::Nothing {
        assert_eq!(identity, during, "{case}: the guest must stay the same");
    }
    true
}

fn check_all(before: Before) {
    let all = std::env::var_os("SOAK").is_some();
    for persist in [false, true] {
        let mut at = 0;
        loop {
            let mut reached = false;
            for errno in errors().into_iter().take(if all { ERRORS.len() } else { KINDS }) {
                for lasts in [Lasts::Once, Lasts::Always] {
                    reached |= check(before, persist, at, errno, lasts);
                }
            }
            if !reached {
                break;
            }
            at += 1;
        }
        assert!(at >= 4, "persist {persist}: only {at} calls");
    }
}

#[test]
fn a_stored_identity_survives_every_failure_of_the_disk() {
    check_all(Before::GoodIdentity);
}

#[test]
fn a_first_guest_is_stored_after_every_failure_of_the_disk() {
    check_all(Before::Nothing);
}

#[test]
fn a_refused_identity_is_replaced_after_every_failure_of_the_disk() {
    check_all(Before::RefusedIdentity);
}
