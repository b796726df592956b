//! `FileStorage` with processes that are killed, processes that compete, and directories that
//! somebody has changed. No refresh fails, no identity of another user is used, and no link is
//! followed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Lines, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::transport::HttpRequest;
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, FileStorage, Storage, SystemClock,
};
use tempfile::TempDir;

use crate::storages::Hooked;
use crate::support::{IDENTITY, POOL, issued, operation, runnable, seconds};

/// The variables of a child process: its task, and the directory of its storage.
const TASK: &str = "STORAGE_CHILD_TASK";
const DIRECTORY: &str = "STORAGE_CHILD_DIRECTORY";

/// What a child prints when its work has begun.
const AT_WORK: &str = "at work";

const RECORDS: [&str; 2] = ["the one record", "the other record, which is longer"];

/// The text of a file of another user, which must not change.
const FOREIGN: &str = "of another user";

fn soak() -> bool {
    std::env::var_os("SOAK").is_some()
}

/// A child process of `program`, which is this test program or a copy. It does one task.
fn child(program: PathBuf, task: &str, directory: &Path) -> Command {
    let mut command = runnable(&program);
    command
        .args(["--exact", "under_fire::a_child_does_its_task", "--nocapture"])
        .env(TASK, task)
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A child process, which is killed when this value is dropped.
struct Writer {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    /// Waits until the child has begun its work.
    fn start(task: &str, directory: &Path) -> Self {
        let mut command = child(std::env::current_exe().unwrap(), task, directory);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut writer = Self { process, output };
        let at_work = writer.output.any(|line| line.is_ok_and(|line| line.contains(AT_WORK)));
        assert!(at_work, "the child ended before its work began");
        writer
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Does the task of a child process of the tests below. In the test run itself it does nothing.
#[test]
fn a_child_does_its_task() {
    let (Some(task), Some(directory)) = (std::env::var_os(TASK), std::env::var_os(DIRECTORY))
    else {
        return;
    };
    let storage = FileStorage::new(directory.clone());
    let write = |records: &[&str]| {
        let begin = Instant::now();
        storage.store("k", records[0].as_bytes()).unwrap();
        println!("{AT_WORK}");
        // A limit, because the parent that kills this process may have ended.
        while begin.elapsed() < seconds(120) {
            for record in records {
                storage.store("k", record.as_bytes()).unwrap();
            }
        }
    };
    match task.to_str() {
        Some("both") => write(&RECORDS),
        Some("first") => write(&RECORDS[..1]),
        Some("second") => write(&RECORDS[1..]),
        Some("refresh") => refresh_and_tell(directory),
        Some("share") => share(Path::new(&directory)),
        Some("hold") => {
            let _lock = storage.lock(&format!("credentials/{POOL}"), seconds(60)).unwrap().unwrap();
            println!("{AT_WORK}");
            std::thread::sleep(seconds(120));
        }
        _ => panic!("there is no such task"),
    }
}

/// One run of a program, which succeeds if it gets credentials.
fn refresh_and_tell(directory: OsString) {
    let credentials = provider(&FakeCognito::new(), Path::new(&directory));
    let known = credentials.identity_id();
    credentials.get().unwrap();
    println!("known: {}", known.as_deref() == Some(IDENTITY));
}

fn provider(cognito: &FakeCognito, directory: &Path) -> CognitoIdentityCredentials {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(cognito.clone())
        .storage(FileStorage::new(directory))
        .build()
        .unwrap()
}

/// Settings with a slow service, which writes each call to a file.
fn sharing(directory: &Path) -> Builder {
    let calls = directory.with_extension("calls");
    let answer = move |request: &HttpRequest| {
        let call = fs::OpenOptions::new().create(true).append(true).open(&calls);
        // One system call, so that the lines of two processes do not mix.
        call.unwrap().write_all(format!("{}\n", operation(request)).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        Ok(issued(&fastrand::u64(..).to_string()))
    };
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(answer)
        .storage(FileStorage::new(directory))
        .persist_credentials(true)
}

fn calls(directory: &Path) -> Vec<String> {
    let calls = fs::read_to_string(directory.with_extension("calls")).unwrap_or_default();
    calls.lines().map(str::to_owned).collect()
}

/// One run of a program that shares credentials with others. It begins when its parent creates a
/// file.
fn share(directory: &Path) {
    println!("{AT_WORK}");
    let limit = Instant::now() + seconds(60);
    while !directory.with_extension("go").exists() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
    let set = sharing(directory).build().unwrap().get().unwrap();
    println!("key: {}", set.access_key_id());
}

fn private() -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// The file of the identity of this directory's storage.
fn record_of(directory: &Path) -> PathBuf {
    directory.join(format!("identity/{POOL}").replace('/', "%2F").replace(':', "%3A"))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_process_killed_at_any_moment_leaves_the_old_or_the_new_record() {
    let kills = if soak() { 2_500 } else { 200 };
    let root = private();
    let directory = root.path().join("d");
    let storage = FileStorage::new(&directory);
    storage.store("k", RECORDS[0].as_bytes()).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut seen = [0, 0];
    let mut half_written = 0;
    for _ in 0..kills {
        let writer = Writer::start("both", &directory);
        std::thread::sleep(Duration::from_micros(random.u64(0..3_000)));
        drop(writer);
        let record = storage.load("k").unwrap().expect("a record is always there");
        let which = RECORDS.iter().position(|known| known.as_bytes() == record);
        seen[which.expect("one of the two records")] += 1;
        // A writer first removes old temporary files, so this one is of the writer just killed.
        half_written += usize::from(names(&directory).len() > 1);
    }
    println!(
        "storage: {kills} kills, {seen:?} times the one and the other record, {half_written} times in \
         the middle of a write"
    );
    assert!(seen[1] > 0 && half_written > 0, "no writer was killed during a write");
    storage.store("k", b"at last").unwrap();
    assert_eq!(names(&directory), ["k"], "the temporary files are removed");
}

#[test]
fn two_writing_processes_and_a_reader_never_see_half_a_record() {
    let run_for = if soak() { seconds(10) } else { seconds(1) };
    let root = private();
    let directory = root.path().join("d");
    let storage = FileStorage::new(&directory);
    storage.store("k", RECORDS[0].as_bytes()).unwrap();
    let mut writers = ["first", "second"].map(|task| Writer::start(task, &directory));
    let (begin, mut reads) = (Instant::now(), [0, 0]);
    while begin.elapsed() < run_for || (reads.contains(&0) && begin.elapsed() < seconds(30)) {
        let record = storage.load("k").unwrap().expect("a record is always there");
        let which = RECORDS.iter().position(|known| known.as_bytes() == record);
        reads[which.expect("one of the two records")] += 1;
    }
    for writer in &mut writers {
        assert!(writer.process.try_wait().unwrap().is_none(), "a write failed");
    }
    drop(writers);
    println!("storage: two writers for {run_for:?}, {reads:?} reads of the one and the other");
    assert!(!reads.contains(&0), "only one of the writers has written");
    let mode = fs::metadata(directory.join("k")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

fn has_no_boot_id() -> bool {
    let is_none = SystemClock.boot_id().is_none();
    if is_none {
        println!("skipped: without a boot ID of the system, no credentials are shared");
    }
    is_none
}

#[test]
fn processes_that_start_together_refresh_once() {
    if has_no_boot_id() {
        return;
    }
    let (rounds, processes) = if soak() { (40, 8) } else { (1, 5) };
    for round in 0..rounds {
        let root = private();
        let directory = root.path().join("d");
        let mut children: Vec<_> =
            (0..processes).map(|_| Writer::start("share", &directory)).collect();
        fs::write(directory.with_extension("go"), "").unwrap();
        let keys: BTreeSet<_> = children
            .iter_mut()
            .map(|Writer { process, output }| {
                let key = output.map_while(Result::ok).find(|line| line.contains("key: "));
                assert!(process.wait().unwrap().success());
                key.expect("the child has credentials")
            })
            .collect();
        assert_eq!(keys.len(), 1, "round {round}: all have the same credentials");
        assert_eq!(calls(&directory), ["GetId", "GetCredentialsForIdentity"], "round {round}");
    }
    println!(
        "storage: {rounds} times {processes} processes that start together, one refresh each time"
    );
}

/// If the holder hangs, others wait for half of their time limit. If it dies, they stop waiting.
#[test]
fn a_lock_holder_that_hangs_or_dies_fails_no_refresh() {
    if has_no_boot_id() {
        return;
    }
    let root = private();
    let directory = root.path().join("d");
    let holder = Writer::start("hold", &directory);
    let build = || sharing(&directory).build().unwrap();
    let begin = Instant::now();
    sharing(&directory).timeout(seconds(2)).build().unwrap().get().unwrap();
    assert!(begin.elapsed() >= seconds(1), "half of two seconds, not {:?}", begin.elapsed());
    build().get().unwrap();
    build().refresh().unwrap();
    assert!(
        begin.elapsed() < seconds(25),
        "the last two do not wait for the lock: {:?}",
        begin.elapsed()
    );
    assert_eq!(calls(&directory).len(), 3);

    let (locks, lock_calls) = channel();
    let storage = Hooked::around(FileStorage::new(&directory));
    storage.run(move |operation, _| {
        if operation == "lock" {
            locks.send(()).unwrap();
        }
    });
    let next = sharing(&directory).storage(storage).build().unwrap();
    next.expire();
    let waiting = std::thread::spawn(move || next.get());
    lock_calls.recv_timeout(seconds(60)).unwrap();
    let begin = Instant::now();
    drop(holder); // by SIGKILL
    waiting.join().unwrap().unwrap();
    assert!(begin.elapsed() < seconds(25), "not half a minute: {:?}", begin.elapsed());
    assert_eq!(calls(&directory).len(), 4);
}

/// The identity of the device after a change of the directory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// The device keeps its identity.
    Same,
    /// The record is unusable, so the device gets and stores a new identity.
    New,
    /// The record cannot be read, so the device gets a new identity in each run until it can.
    NewInEachRun,
}

struct Disk {
    directory: PathBuf,
    record: PathBuf,
    /// A file of another user.
    foreign: PathBuf,
}

type Mishap = (&'static str, fn(&Disk), Then);

/// Changes the text of the stored record.
fn edited(disk: &Disk, edit: impl FnOnce(String) -> String) {
    let record = fs::read_to_string(&disk.record).unwrap();
    let edited = edit(record.clone());
    assert_ne!(record, edited, "the edit changes something");
    fs::write(&disk.record, edited).unwrap();
}

const MISHAPS: [Mishap; 22] = [
    ("no change", |_| {}, Then::Same),
    ("the directory is gone", |d| fs::remove_dir_all(&d.directory).unwrap(), Then::New),
    ("the record is gone", |d| fs::remove_file(&d.record).unwrap(), Then::New),
    (
        "a file in place of the directory",
        |d| {
            fs::remove_dir_all(&d.directory).unwrap();
            fs::write(&d.directory, FOREIGN).unwrap();
        },
        Then::NewInEachRun,
    ),
    (
        "a link in place of the directory, to a directory that others may write",
        |d| {
            fs::remove_dir_all(&d.directory).unwrap();
            let open = d.foreign.parent().unwrap();
            fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
            symlink(open, &d.directory).unwrap();
        },
        Then::NewInEachRun,
    ),
    (
        "a dangling link in place of the directory",
        |d| {
            fs::remove_dir_all(&d.directory).unwrap();
            symlink("/no/such/place", &d.directory).unwrap();
        },
        Then::NewInEachRun,
    ),
    (
        "a directory that others may write",
        |d| fs::set_permissions(&d.directory, fs::Permissions::from_mode(0o777)).unwrap(),
        Then::NewInEachRun,
    ),
    (
        "a record that others may write",
        |d| fs::set_permissions(&d.record, fs::Permissions::from_mode(0o666)).unwrap(),
        Then::NewInEachRun,
    ),
    (
        "a link in place of the record, to a file of another user",
        |d| {
            fs::remove_file(&d.record).unwrap();
            symlink(&d.foreign, &d.record).unwrap();
        },
        Then::NewInEachRun,
    ),
    (
        "a link in place of the record, to the record",
        |d| {
            fs::rename(&d.record, d.record.with_extension("old")).unwrap();
            symlink(d.record.with_extension("old"), &d.record).unwrap();
        },
        Then::NewInEachRun,
    ),
    (
        "a directory in place of the record",
        |d| {
            fs::remove_file(&d.record).unwrap();
            fs::create_dir(&d.record).unwrap();
        },
        Then::NewInEachRun,
    ),
    ("an empty record", |d| fs::write(&d.record, "").unwrap(), Then::New),
    ("a binary record", |d| fs::write(&d.record, [0, 159, 146, 150, 255]).unwrap(), Then::New),
    ("zeros", |d| fs::write(&d.record, [0; 4096]).unwrap(), Then::New),
    ("64 KiB", |d| edited(d, |r| r + &" ".repeat(65_536 - 400)), Then::Same),
    ("more than 64 KiB", |d| edited(d, |r| r + &" ".repeat(65_536)), Then::New),
    (
        "a future version",
        |d| edited(d, |r| r.replace(r#""version":2"#, r#""version":3"#)),
        Then::New,
    ),
    ("an unknown field", |d| edited(d, |r| r.replace('{', r#"{"colour":"red","#)), Then::Same),
    ("a list", |d| edited(d, |r| format!("[{r}]")), Then::New),
    (
        "no identity at all",
        |d| edited(d, |r| r.replace(r#"_id":"us-east-1:"#, r#"_id":""#)),
        Then::New,
    ),
    (
        "a path for an identity",
        |d| edited(d, |r| r.replace(r#"_id":"us-east-1:"#, r#"_id":"../:"#)),
        Then::New,
    ),
    ("two records", |d| edited(d, |r| r.clone() + &r), Then::New),
];

#[test]
fn whatever_happened_to_the_disk_a_refresh_works_with_the_right_identity() {
    for (name, mishap, then) in MISHAPS {
        let root = private();
        let disk = Disk {
            directory: root.path().join("d"),
            record: record_of(&root.path().join("d")),
            foreign: root.path().join("open/foreign"),
        };
        fs::create_dir(root.path().join("open")).unwrap();
        fs::write(&disk.foreign, FOREIGN).unwrap();
        let cognito = FakeCognito::new();
        let run = || {
            let credentials = provider(&cognito, &disk.directory);
            let set = credentials.get().unwrap_or_else(|error| panic!("{name}: {error:#}"));
            credentials.refresh().unwrap_or_else(|error| panic!("{name}: {error:#}"));
            set.identity_id().unwrap().to_owned()
        };
        let first = run();
        assert!(disk.record.is_file(), "{:?}", names(&disk.directory));
        mishap(&disk);
        let second = run();
        let third = run();
        assert_eq!(first == second, then == Then::Same, "{name}");
        assert_eq!(second == third, then != Then::NewInEachRun, "{name}");
        assert_eq!(fs::read(&disk.foreign).unwrap(), FOREIGN.as_bytes(), "{name}");
        assert_eq!(names(disk.foreign.parent().unwrap()), ["foreign"], "{name}");
        if then == Then::New {
            let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(&disk.record), 0o100_600, "{name}");
            assert_eq!(mode(&disk.directory), 0o40_700, "{name}");
        }
    }
}

#[test]
fn a_truncated_record_counts_as_no_record() {
    let root = private();
    let cognito = FakeCognito::new();
    let first = provider(&cognito, root.path()).get().unwrap().identity_id().unwrap().to_owned();
    let record = root.path().join(&names(root.path())[0]);
    let whole = fs::read(&record).unwrap();
    for length in 0..=whole.len() {
        fs::write(&record, &whole[..length]).unwrap();
        let found = provider(&cognito, root.path()).identity_id();
        assert_eq!(found, (length == whole.len()).then(|| first.clone()), "at {length}");
    }
}

/// Root can write to a read-only directory. If the test runs as root, the child is another user.
#[test]
fn a_read_only_directory_keeps_the_identity_and_fails_no_refresh() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = root.path().join("program");
    // `cp` is another process. If this one wrote the file, a child of another test could inherit
    // the open file, and a program that is open for writing cannot be run.
    let mut copy = Command::new("cp");
    assert!(copy.arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap().success());
    for stored in [true, false] {
        let directory = root.path().join(format!("stored {stored}"));
        fs::create_dir(&directory).unwrap();
        if stored {
            let record = record_of(&directory);
            let text = format!(r#"{{"version":1,"identity_id":"{IDENTITY}","providers":[]}}"#);
            fs::write(&record, text).unwrap();
            fs::set_permissions(&record, fs::Permissions::from_mode(0o444)).unwrap();
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
        let mut command = child(program.clone(), "refresh", &directory);
        if fs::metadata(&program).unwrap().uid() == 0 {
            chown(&directory, Some(65_534), Some(65_534)).unwrap();
            command.uid(65_534).gid(65_534);
        }
        let output = match command.stdout(Stdio::piped()).output() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return println!("skipped: another user cannot be, or cannot reach {root:?}");
            }
            output => output.unwrap(),
        };
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&format!("known: {stored}")), "{said}");
        assert_eq!(names(&directory).len(), usize::from(stored), "nothing could be written");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
