//! Nothing good is lost, whatever call of the disk fails, and in whatever way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use crate::provider::{Builder, CognitoIdentityCredentials};
use crate::storage::{ERRORS, FaultyDisk, FileStorage, Lasts, Storage};
use crate::testing::{FakeCognito, ManualClock};

/// The first of each kind; `SOAK` tries all.
const KINDS: usize = 10;

/// Without ENOENT and ENAMETOOLONG, which mean that there is no record, and EAGAIN, which means
/// that another process holds the lock.
fn errors() -> Vec<Errno> {
    let others = [Errno::NOENT, Errno::NAMETOOLONG, Errno::AGAIN];
    ERRORS.iter().copied().filter(|errno| !others.contains(errno)).collect()
}

/// What happened before the process that meets the fault starts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// Nothing is stored.
    FirstStart,
    /// A good identity is stored.
    Stored,
    /// The stored identity has been disabled since.
    Refused,
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
        // Syncing takes no time in memory.
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

/// Runs one case. Returns whether any call of the disk failed.
fn check(before: Before, persist: bool, at: usize, errno: Errno, lasts: Lasts) -> bool {
    let device = Device::new(persist);
    let good = (before != Before::FirstStart).then(|| {
        let first = device.process(FileStorage::new(device.path()));
        first.get().unwrap();
        first.identity_id().unwrap()
    });
    if let (Before::Refused, Some(good)) = (before, &good) {
        device.cognito.disable_identity(good);
    }
    // The credentials that the first process stored are over.
    device.clock.advance(Duration::from_secs(3600));
    let minted = || device.cognito.calls("GetId");
    let before_fault = minted();

    let disk = FaultyDisk::default();
    let process = device.process(disk.storage(device.path()));
    disk.fail(at, errno.raw_os_error(), lasts);
    process.get().unwrap();
    let told = process.status().storage_error.is_some();
    let during = process.identity_id();
    let guests = minted() - before_fault;
    let Some(call) = disk.mend() else { return false };
    let case = format!("{before:?} persist {persist} call {at} {call} {errno:?} {lasts:?}");

    // The disk works again, so the next refresh puts everything in order.
    process.refresh().unwrap();
    assert!(process.status().storage_error.is_none(), "{case}");
    let identity = process.identity_id();
    assert_eq!(device.stored_identity(), identity, "{case}: the identity is stored");
    if before == Before::Stored {
        assert_eq!(identity, good, "{case}: the good identity is there afterwards");
        assert!(guests <= 1 && minted() == before_fault + guests, "{case}: {guests} guests");
        assert!(told || guests == 0, "{case}: a guest was created, and nobody was told");
    } else {
        assert!(identity.is_some() && identity != good, "{case}");
        assert!(minted() <= before_fault + 2, "{case}");
    }
    if before == Before::FirstStart {
        assert_eq!(identity, during, "{case}: the guest stays");
    }
    true
}

/// Makes each call of the disk fail in each way.
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
    check_all(Before::Stored);
}

#[test]
fn a_first_guest_is_stored_whatever_failed_at_first() {
    check_all(Before::FirstStart);
}

#[test]
fn a_refused_identity_is_replaced_whatever_failed_at_first() {
    check_all(Before::Refused);
}
