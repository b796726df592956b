//! What becomes of a process that is forked, and of one that the system refuses a thread or a file
//! descriptor.
//!
//! `main.rs` runs each test in a process of its own, which has one thread when the test begins: `fork`
//! copies no other, and a limit is a whole process's. So there is no test harness. `child.rs` forks,
//! `service.rs` answers on loopback, `files.rs`,
//! `fork.rs` and `limits.rs` hold the tests.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "tests fail by panicking, and a table of cases is one long function"
)]

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod service;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    runner::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod runner {
    use std::env;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Command, ExitCode, Output};

    use crate::service::Service;
    use crate::{child, files, fork, limits};

    /// The variable that names the test to run in this process.
    const TEST: &str = "PROCESS_TEST";
    /// What a test's process prints when the test has ended well.
    const PASSED: &str = "the test has passed";
    /// The longest that a test takes.
    const SECONDS: u32 = 120;
    /// The user `nobody`: root may have more threads than a limit says.
    const NOBODY: u32 = 65_534;

    pub(crate) type Test = (&'static str, fn());

    pub(crate) fn main() -> ExitCode {
        let tests = [files::TESTS, fork::TESTS, limits::TESTS].concat();
        if let Ok(name) = env::var(TEST) {
            let (_, test) = tests.iter().find(|(known, _)| *known == name).unwrap();
            child::end_after(SECONDS);
            test();
            println!("{PASSED}");
            return ExitCode::SUCCESS;
        }
        // As with other tests: `cargo test NAME`, where a test's name contains it.
        let wanted: Vec<String> =
            env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
        let chosen =
            |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));

        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("process");
        fs::copy(env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let service = Service::start();
        let mut failed = 0;
        for (name, _) in tests.iter().filter(|(name, _)| chosen(name)) {
            let output = run(&program, name, &service);
            let said = String::from_utf8_lossy(&output.stdout);
            if output.status.success() && said.contains(PASSED) {
                println!("test {name} ... ok");
            } else {
                failed += 1;
                let complaint = String::from_utf8_lossy(&output.stderr);
                println!("test {name} ... FAILED: {}\n{said}{complaint}", output.status);
            }
        }
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn run(program: &Path, name: &str, service: &Service) -> Output {
        // Where the kernel cannot run this program, the variable names an emulator that does.
        let emulator = env::var("TEST_RUNNER").unwrap_or_default();
        let mut words = emulator.split_whitespace().map(Path::new).chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env(TEST, name).current_dir("/");
        service.announce(&mut command);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    }
}
