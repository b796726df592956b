//! A `FileStorage` that several processes write to, and one with unusual umasks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use cognito_identity_credentials::{FileStorage, Storage};
use rustix::fs::Mode;
use rustix::process::umask;
use tempfile::TempDir;

use crate::child::Child;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "files::a_record_survives_other_writers_and_killed_writers", run: stores },
    Test {
        name: "files::the_umask_does_not_change_the_modes_of_directories_and_files",
        run: umasks,
    },
];

/// How many times each process stores a value.
const STORES: u32 = 5_000;

/// A store in memory takes a hundredth of the time.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn stores() {
    let folder = in_memory();
    let directory = folder.path().join("records");
    let storage = FileStorage::new(&directory);
    storage.store("key", b"first").unwrap();
    let write = |who: &str| {
        for number in 0..STORES {
            storage.store("key", format!("{who} {number}").as_bytes()).unwrap();
        }
    };
    let children = ["one", "two", "three", "four"].map(|who| Child::fork(|_| write(who)));
    // A process that is killed at the right moment leaves a temporary file.
    for number in 0..STORES / 100 {
        let victim = Child::fork(|line| {
            line.tell("begins");
            for next in 0..u64::MAX {
                storage.store("key", format!("victim {number} {next}").as_bytes()).unwrap();
            }
        });
        victim.kill_after_a_line();
    }
    children.into_iter().for_each(Child::join);
    storage.store("key", b"after them").unwrap();
    assert_eq!(storage.load("key").unwrap().unwrap(), b"after them");
    let names: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["key"], "there are temporary files");
}

fn umasks() {
    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }
    for mask in [0o177, 0o377, 0o777, 0o277, 0o077, 0o022, 0] {
        let folder = in_memory();
        let outer = folder.path().join("outer");
        let directory = outer.join("records");
        let storage = FileStorage::new(&directory);
        let before = umask(Mode::from_raw_mode(mask));
        storage.store("key", b"value").unwrap();
        drop(storage.lock("key", Duration::ZERO).unwrap().unwrap());
        drop(storage.lock("key", Duration::ZERO).unwrap().unwrap());
        assert_eq!(storage.load("key").unwrap().unwrap(), b"value", "{mask:o}");
        umask(before);
        assert_eq!((mode(&outer), mode(&directory)), (0o700, 0o700), "{mask:o}");
        for name in ["key", "key.lock"] {
            assert_eq!(mode(&directory.join(name)), 0o600, "{mask:o}, {name}");
        }
    }
}
