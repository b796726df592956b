//! A program for a device in the field: it uploads something now and then, keeps its identity over a
//! restart, gets by with a clock that begins in 1970, and ends when it is told to.
//!
//! ```sh
//! AWS_COGNITO_IDENTITY_POOL_ID=… cargo run --example device --features device
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_COGNITO_IDENTITY_POOL_ID` | the pool; `Builder::from_env` lists what else is read, of which `AWS_CA_BUNDLE` does nothing here |
//! | `STATE_DIRECTORY` | where the identity is kept, as systemd sets it; without it nothing is |
//! | `LOGIN_PROVIDER`, `TOKEN_FILE` | whose user the device is; without them it is a guest |
//! | `UPLOAD_SECONDS` | how long it rests between two uploads: 60 |

use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{Builder, Credentials, FileStorage, FileToken};

/// When this firmware was built: it is surely later than that.
const BUILT: Duration = Duration::from_secs(1_795_478_400);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Twenty years.
const LONGEST_SERVICE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let told_to_stop = signals()?;
    let state = env::var_os("STATE_DIRECTORY");
    let state = state.as_deref().map(Path::new);
    let pause = env::var("UPLOAD_SECONDS").map_or(Ok(60), |seconds| seconds.parse());
    let pause = Duration::from_secs(pause.map_err(|_| "UPLOAD_SECONDS is no number of seconds")?);

    let transport = UreqTransport::builder()
        .earliest_time(last_known_time(state))
        .connect_timeout(Duration::from_secs(5))
        .build()?;
    // An answer takes seconds. With less than the whole default minute, a SIGTERM in the middle of a
    // call is heard well before the system loses patience.
    let mut settings = Builder::from_env()?.transport(transport).timeout(Duration::from_secs(20));
    if let Some(folder) = state {
        settings = settings.storage(FileStorage::new(folder));
    }
    if let (Ok(provider), Ok(file)) = (env::var("LOGIN_PROVIDER"), env::var("TOKEN_FILE")) {
        settings = settings.login_from(provider, FileToken::new(file));
    }
    let credentials = settings.build()?;

    loop {
        // At each upload, and not once at the start: only get() knows when they must be renewed.
        match credentials.get() {
            Ok(keys) => upload(&keys),
            // The network will come back, or somebody will put the pool right.
            Err(error) => eprintln!("no credentials: {error:#}"),
        }
        if let (Some(time), Some(folder)) = (credentials.service_time(), state) {
            keep_time(folder, time).unwrap_or_else(|error| eprintln!("time not kept: {error}"));
        }
        let status = credentials.status();
        println!(
            "status: identity {:?}, credentials good for {:?}, last error {:?}",
            status.identity_origin,
            status.expires_in.map(|left| Duration::from_secs(left.as_secs())),
            status.last_error.map(|error| error.kind()),
        );
        match told_to_stop.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
    println!("stopped");
    Ok(())
}

fn upload(keys: &Credentials) {
    println!("uploading, signed with {}", keys.access_key_id());
}

/// The later of the firmware's time and that at which the service was last heard of. A time that no
/// firmware lives to see is a damaged file, and would make every certificate an old one.
fn last_known_time(state: Option<&Path>) -> SystemTime {
    let kept = state.and_then(|folder| fs::read_to_string(folder.join("time")).ok());
    let kept = kept.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let sane = kept.filter(|kept| (BUILT..BUILT + LONGEST_SERVICE).contains(kept));
    SystemTime::UNIX_EPOCH + sane.unwrap_or(BUILT)
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

/// Gets a message at each signal to end.
#[cfg(unix)]
fn signals() -> io::Result<Receiver<()>> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let (sender, told_to_stop) = mpsc::channel();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // The program is ending already if nobody listens.
            let _ = sender.send(());
        }
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
        let built = SystemTime::UNIX_EPOCH + BUILT;
        assert_eq!(last_known_time(None), built);

        let kept = |time: SystemTime| {
            keep_time(folder, time).unwrap();
            last_known_time(Some(folder))
        };
        assert_eq!(kept(SystemTime::UNIX_EPOCH), built);
        assert_eq!(kept(built + DAY - Duration::from_secs(1)), built);
        assert!(!file.exists());
        assert_eq!(kept(built + DAY), built + DAY);
        assert_eq!(kept(built + DAY + DAY / 2), built + DAY, "not twice a day");
        assert_eq!(kept(built + DAY * 9), built + DAY * 9);
        assert_eq!(kept(built), built + DAY * 9, "never backwards");

        let beyond = (BUILT + LONGEST_SERVICE).as_secs();
        for damaged in ["", "0", "-1", "17954x", &beyond.to_string(), &u64::MAX.to_string()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(last_known_time(Some(folder)), built, "{damaged}");
            assert_eq!(kept(built + DAY), built + DAY, "a new one takes its place");
        }
    }
}
