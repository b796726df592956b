//! A machine with the command on it, and the service that it talks to.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::testing::{FakeCognito, FakeServer};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT};
use signal_hook::flag;
use tempfile::TempDir;

pub(crate) use crate::emulator::runnable;
pub(crate) use crate::ids::{POOL, PROVIDER, ROLE};
use crate::server::{self, read_head};

pub(crate) const GET_CREDENTIALS: &str = "GetCredentialsForIdentity";

/// Longer than any step takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A part of every secret of these tests. The command must never print it on standard error.
pub(crate) const SECRET: &str = "hunter2";

pub(crate) type Variables<'a> = &'a [(&'a str, &'a str)];

/// The service, and a machine's home.
pub(crate) struct Machine {
    pub(crate) cognito: FakeCognito,
    pub(crate) server: FakeServer,
    pub(crate) home: TempDir,
}

/// The exit status and the output of one run.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    pub(crate) fn new() -> Self {
        stop_ignoring_signals();
        let cognito = FakeCognito::new();
        let server = FakeServer::start(cognito.clone()).unwrap();
        Self { cognito, server, home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Creates a file and returns its path.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Creates a directory with this mode.
    pub(crate) fn directory(&self, name: &str, mode: u32) {
        fs::create_dir(self.path(name)).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path(".cache/cognito-credentials")
    }

    /// Returns the names of the records in the cache, without those of locks.
    pub(crate) fn records(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.contains(".lock")).collect();
        names.sort();
        names
    }

    /// Returns the command with these arguments and no variables for the pool and the service.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = runnable(&program());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        // The variables that the runner of the tests needs.
        for name in ["LLVM_PROFILE_FILE", "QEMU_LD_PREFIX"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Returns the command with the variables of the pool and the service.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command
            .env("AWS_COGNITO_IDENTITY_POOL_ID", POOL)
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("AWS_MAX_ATTEMPTS", "1");
        command
    }

    /// Runs the command, and checks that no secret is on standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.finish(self.command(arguments))
    }

    /// Like [`run`](Self::run), with more variables.
    pub(crate) fn run_with<V: AsRef<OsStr>>(
        &self,
        variables: &[(&str, V)],
        arguments: &[&str],
    ) -> Said {
        let mut command = self.command(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        self.finish(command)
    }

    pub(crate) fn finish(&self, mut command: Command) -> Said {
        let output = command.output().unwrap();
        let said = Said {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in self.secrets() {
            assert!(!said.err.contains(&secret), "{secret} in: {}", said.err);
        }
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }

    /// The keys, the secrets of these tests, and the identities.
    fn secrets(&self) -> Vec<String> {
        let requests = self.cognito.requests();
        let ids = requests.iter().filter_map(|request| request.identity_id().map(str::to_owned));
        ids.chain(["SecretKey", "SECRET", "secret-key", SECRET].map(str::to_owned)).collect()
    }

    /// Runs the command, and checks that it succeeds.
    pub(crate) fn fine(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!((said.status, &*said.err), (0, ""), "{arguments:?}: {said:?}");
        said.out
    }

    /// Returns how many calls the service received.
    pub(crate) fn calls(&self) -> usize {
        self.cognito.requests().len()
    }
}

/// Makes sure that the command starts with no ignored signal. Under `nohup` it would inherit one. A
/// handler is not inherited.
fn stop_ignoring_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        for signal in [SIGHUP, SIGINT, SIGQUIT] {
            if ignored.is_some_and(|ignored| ignored >> (signal - 1) & 1 == 1) {
                flag::register(signal, Arc::default()).unwrap();
            }
        }
    });
}

/// Returns the path of the command. Cargo sets a variable with it, but a shell between Cargo and
/// the tests drops variables with a hyphen. Then the command is beside the folder of the tests.
pub(crate) fn program() -> PathBuf {
    if let Some(program) = option_env!("CARGO_BIN_EXE_cognito-credentials") {
        return program.into();
    }
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("cognito-credentials")
}

/// Copies the command to a path that every user can run.
///
/// Another process makes the copy. A file that is open for writing here, and so in each process
/// that another test starts at that moment, cannot be run.
pub(crate) fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(program()).arg(to).status().unwrap().success());
}

/// Gives `command` the variables and the directory of another command, and no input.
pub(crate) fn run_like(command: &mut Command, other: &Command) {
    let variables = other.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).stdin(Stdio::null());
    command.current_dir(other.get_current_dir().unwrap());
}

/// Runs a command through `wrapper`, which gets the command as its last arguments.
pub(crate) fn wrapped(wrapper: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer.args(&wrapper[1..]).arg(command.get_program()).args(command.get_args());
    run_like(&mut outer, command);
    outer
}

/// Runs a command through a shell, after a script.
pub(crate) fn after(script: &str, command: &Command) -> Command {
    wrapped(&["sh", "-c", &format!("{script}; exec \"$@\""), "sh"], command)
}

pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(status.unwrap().success(), "kill -{name}");
}

/// Opens a terminal. Returns this side, and the path of the side for the command.
pub(crate) fn open_terminal() -> (File, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    (terminal.into(), name)
}

/// Runs a command. `attach` gives it a terminal, for example as its standard error. Returns the
/// exit status and what the command wrote to the terminal.
pub(crate) fn on_a_terminal(
    mut command: Command,
    attach: impl FnOnce(&mut Command, File),
) -> (i32, String) {
    let (mut terminal, name) = open_terminal();
    attach(&mut command, File::options().read(true).write(true).open(name).unwrap());
    let mut child = command.spawn().unwrap();
    // The command keeps the terminal open here until it is dropped.
    drop(command);
    let mut said = Vec::new();
    // On Linux, reading a closed terminal returns an error.
    let _ = terminal.read_to_end(&mut said);
    let status = child.wait().unwrap().code().unwrap();
    (status, String::from_utf8(said).unwrap().replace("\r\n", "\n"))
}

/// Returns a JWT whose signature contains [`SECRET`].
pub(crate) fn jwt(payload: &str) -> String {
    format!("e30.{}.{SECRET}", URL_SAFE_NO_PAD.encode(payload))
}

/// Checks the rows of a table, some of them at the same time, because processes mostly wait.
pub(crate) fn for_each_row<T: Send>(
    rows: impl IntoIterator<Item = T, IntoIter: Send>,
    check: impl Fn(T) + Sync,
) {
    let rows = Mutex::new(rows.into_iter());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let row = rows.lock().unwrap().next();
                    let Some(row) = row else { break };
                    check(row);
                }
            });
        }
    });
}

/// Starts a service that accepts connections and never answers. Returns its URL and the
/// connections.
pub(crate) fn silent_service() -> (String, Receiver<TcpStream>) {
    let (connected, connections) = channel();
    let connected = Mutex::new(connected);
    let url = listen(move |stream| drop(connected.lock().unwrap().send(stream)));
    (url, connections)
}

/// Listens on loopback, and gives each connection to `serve`.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    format!("http://{}", server::listen(serve))
}

/// A proxy that notes each request and refuses it.
pub(crate) fn refusing_proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    let url = listen(move |mut stream| {
        let head = read_head(&mut stream).unwrap_or_default();
        notes.lock().unwrap().push(head.trim_end().replace("\r\n", "\n"));
        let _ = stream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
    });
    (url, asked)
}
