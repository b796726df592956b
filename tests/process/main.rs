//! Processes that fork, and processes that get no more threads or file descriptors.
//!
//! There is no test harness. `main.rs` runs each test in a new process with one thread, because
//! `fork` copies only one thread, and a limit is for a whole process. `child.rs` forks, and
//! `service.rs` answers on loopback. The tests are in `files.rs`, `fork.rs` and `limits.rs`.

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

#[cfg(all(target_os = "linux", feature = "ureq"))]
#[path = "../support/authority.rs"]
mod authority;
#[cfg(target_os = "linux")]
#[path = "../support/emulator.rs"]
mod emulator;
#[cfg(target_os = "linux")]
#[path = "../support/ids.rs"]
mod ids;
#[cfg(target_os = "linux")]
#[path = "../support/server.rs"]
mod server;

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
    use std::process::{ExitCode, Output};

    use crate::emulator::runnable;
    use crate::service::Service;
    use crate::{child, files, fork, limits};

    /// The variable with the name of the test that this process runs.
    const TEST: &str = "PROCESS_TEST";
    /// The process of a test prints this if the test succeeds.
    const PASSED: &str = "the test has passed";
    /// The time limit of a test.
    const SECONDS: u32 = 120;
    /// The user `nobody`: limits do not count the threads of root.
    const NOBODY: u32 = 65_534;

    #[derive(Clone, Copy)]
    pub(crate) struct Test {
        pub(crate) name: &'static str,
        pub(crate) run: fn(),
    }

    pub(crate) fn main() -> ExitCode {
        let tests = [files::TESTS, fork::TESTS, limits::TESTS].concat();
        if let Ok(name) = env::var(TEST) {
            let test = tests.iter().find(|test| test.name == name).unwrap();
            child::end_after(SECONDS);
            (test.run)();
            println!("{PASSED}");
            return ExitCode::SUCCESS;
        }
        // `cargo test NAME` runs the tests whose names contain NAME, as in other targets.
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
        for Test { name, .. } in tests.iter().filter(|test| chosen(test.name)) {
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
        let mut command = runnable(program);
        command.env(TEST, name).current_dir("/");
        service.announce(&mut command);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    }
}
