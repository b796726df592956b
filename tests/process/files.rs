//! A `FileStorage` that several processes write to, one with unusual umasks, and what a new program
//! inherits.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::{
    CognitoIdentityCredentials, FileStorage, FileToken, Storage, TokenSource,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::umask;
use tempfile::TempDir;

use crate::child::Child;
use crate::ids::{IDENTITY, POOL, PROVIDER};
use crate::runner::Test;
use crate::service::{transport, url};

pub(crate) const TESTS: &[Test] = &[
    Test { name: "files::a_record_survives_other_writers_and_killed_writers", run: stores },
    Test {
        name: "files::the_umask_does_not_change_the_modes_of_directories_and_files",
        run: umasks,
    },
    Test { name: "files::a_new_program_inherits_no_file_and_no_connection", run: inheritance },
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

/// A program that is started meanwhile has an idle connection, a lock and a token file, unless they
/// are closed for it.
fn inheritance() {
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .identity_id(IDENTITY)
        .login(PROVIDER, "ann")
        .endpoint_url(url("127.0.0.1"))
        .transport(transport())
        .build()
        .unwrap();
    credentials.get().unwrap();

    let folder = in_memory();
    let lock = FileStorage::new(folder.path().join("records")).lock("key", Duration::ZERO).unwrap();
    assert!(lock.is_some());
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| FileToken::new(&pipe).token_within(Duration::from_secs(60)));
        // Waits until the pipe is open for reading.
        let writer = File::options().write(true).open(&pipe).unwrap();
        let mut list = Command::new("ls");
        let output = list.args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).output().unwrap();
        let files = String::from_utf8(output.stdout).unwrap();
        assert!(files.contains("0 -> /dev/null"), "{files}");
        let ours = |line: &&str| {
            line.contains("socket:") || line.contains(&*folder.path().to_string_lossy())
        };
        assert_eq!(files.lines().find(ours), None, "{files}");
        drop(writer);
        assert!(reader.join().unwrap().is_err(), "the pipe is empty");
    });
    drop(lock);
}
