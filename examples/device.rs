//! A program for a device in the field: it uploads something now and then, keeps its identity over a
//! restart, gets by with a clock that begins in 1970, and ends when it is told to.
//!
//! ```sh
//! AWS_COGNITO_IDENTITY_POOL_ID=… cargo run --example device
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_COGNITO_IDENTITY_POOL_ID` | the pool; `Builder::from_env` lists what else is read |
//! | `AWS_CA_BUNDLE` | the authorities to trust, in place of Mozilla's |
//! | `https_proxy`, `no_proxy` | the way out, as `UreqTransportBuilder::proxy_from_env` reads them |
//! | `STATE_DIRECTORY` | where the identity is kept, as systemd sets it; without it nothing is |
//! | `LOGIN_PROVIDER`, `TOKEN_FILE` | whose user the device is; without them it is a guest |
//! | `UPLOAD_SECONDS` | how long it rests between two uploads: 60 |

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};
use std::{env, fs, process};

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{Builder, Credentials, FileStorage, FileToken};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Twenty years.
const LONGEST_SERVICE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

fn main() {
    if let Err(error) = run() {
        say(&mut io::stderr(), &format!("error: {error:#}"));
        process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let state = env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let pause = env::var("UPLOAD_SECONDS").map_or(Ok(60), |seconds| seconds.parse());
    let pause = Duration::from_secs(pause.map_err(|_| "UPLOAD_SECONDS is no number of seconds")?);

    let mut transport = UreqTransport::builder()
        .earliest_time(last_known_time(state.as_deref()))
        .connect_timeout(Duration::from_secs(5))
        .proxy_from_env(true);
    if let Some(authorities) = env::var_os("AWS_CA_BUNDLE") {
        transport = transport.ca_file(authorities);
    }
    let mut settings = Builder::from_env()?.transport(transport.build()?);
    if let Some(folder) = &state {
        settings = settings.storage(FileStorage::new(folder));
    }
    if let (Ok(provider), Ok(file)) = (env::var("LOGIN_PROVIDER"), env::var("TOKEN_FILE")) {
        settings = settings.login_from(provider, FileToken::new(file));
    }
    let credentials = settings.build()?;

    let told_to_stop = signals()?;
    loop {
        // At each upload, and not once at the start: only get() knows when they must be renewed.
        match credentials.get() {
            Ok(keys) => upload(&keys),
            // The network will come back, or somebody will put the pool right.
            Err(error) => say(&mut io::stderr(), &format!("no credentials: {error:#}")),
        }
        if let (Some(time), Some(folder)) = (credentials.service_time(), &state) {
            if let Err(error) = keep_time(folder, time) {
                say(&mut io::stderr(), &format!("time not kept: {error}"));
            }
        }
        let status = credentials.status();
        let line = format!(
            "status: identity {:?}, credentials good for {:?}, last error {:?}, storage error {:?}",
            status.identity_origin,
            status.expires_in.map(|left| Duration::from_secs(left.as_secs())),
            status.last_error.map(|error| error.kind()),
            status.storage_error.map(|error| error.to_string()),
        );
        say(&mut io::stdout(), &line);
        if told_to_stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            say(&mut io::stdout(), "stopped");
            return Ok(());
        }
    }
}

fn upload(keys: &Credentials) {
    say(&mut io::stdout(), &format!("uploading, signed with {}", keys.access_key_id()));
}

/// A full disk or a closed log must not end the program, as `println!` would.
fn say(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

/// The later of the library's release and the time at which the service was last heard of. A time
/// that no device lives to see is a damaged file, and would make every certificate an old one.
fn last_known_time(state: Option<&Path>) -> SystemTime {
    let released = UreqTransport::release_time();
    let kept = state.and_then(|folder| fs::read_to_string(folder.join("time")).ok());
    let kept = kept.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let kept = kept.and_then(|kept| SystemTime::UNIX_EPOCH.checked_add(kept));
    kept.filter(|kept| (released..released + LONGEST_SERVICE).contains(kept)).unwrap_or(released)
}

/// Once a day is enough, and spares the flash.
fn keep_time(folder: &Path, time: SystemTime) -> io::Result<()> {
    if time < last_known_time(Some(folder)) + DAY {
        return Ok(());
    }
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let new = folder.join("time.new");
    fs::write(&new, seconds.to_string())?;
    fs::rename(new, folder.join("time"))
}

/// Gets a message at a signal to end. An upload that is under way by then has two seconds, and then
/// ends with the program: what is kept takes no harm when that is killed, at any moment.
#[cfg(unix)]
fn signals() -> io::Result<Receiver<()>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::thread;

    const GRACE: Duration = Duration::from_secs(2);

    let (sender, told_to_stop) = mpsc::channel();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        signals.forever().next();
        let _ = sender.send(());
        thread::sleep(GRACE);
        say(&mut io::stdout(), "stopped in the middle of an upload");
        process::exit(0);
    });
    Ok(told_to_stop)
}

/// Elsewhere the system ends the program.
#[cfg(not(unix))]
fn signals() -> io::Result<Receiver<()>> {
    let (sender, told_to_stop) = mpsc::channel();
    std::mem::forget(sender);
    Ok(told_to_stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_kept_once_a_day_and_a_damaged_file_of_it_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = folder.join("time");
        let released = UreqTransport::release_time();
        assert_eq!(last_known_time(None), released);

        let kept = |time: SystemTime| {
            keep_time(folder, time).unwrap();
            last_known_time(Some(folder))
        };
        assert_eq!(kept(SystemTime::UNIX_EPOCH), released);
        assert_eq!(kept(released + DAY - Duration::from_secs(1)), released);
        assert!(!file.exists());
        assert_eq!(kept(released + DAY), released + DAY);
        assert_eq!(kept(released + DAY + DAY / 2), released + DAY, "not twice a day");
        assert_eq!(kept(released + DAY * 9), released + DAY * 9);
        assert_eq!(kept(released), released + DAY * 9, "never backwards");

        let beyond =
            (released + LONGEST_SERVICE).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        for damaged in ["", "0", "-1", "17954x", &beyond.to_string(), &u64::MAX.to_string()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(last_known_time(Some(folder)), released, "{damaged}");
            assert_eq!(kept(released + DAY), released + DAY, "a new one takes its place");
        }
    }
}
