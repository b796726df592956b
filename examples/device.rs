//! A program for a device in the field: it uploads something now and then, keeps its identity over a
//! restart, gets by with a clock that begins in 1970, and ends when it is told to.
//!
//! Without settings it runs on the embedded `FakeCognito`, until Ctrl-C or SIGTERM:
//!
//! ```sh
//! cargo run --example device --features device,testing
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_COGNITO_IDENTITY_POOL_ID` | the pool; without it nothing leaves the device |
//! | `STATE_DIRECTORY` | where the identity is kept, as systemd sets it; without it nothing is |
//! | `LOGIN_PROVIDER`, `TOKEN_FILE` | whose user the device is; without them it is a guest |
//! | `UPLOAD_SECONDS` | how long it rests between two uploads: 60 |

use std::error::Error;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{
    CognitoIdentityCredentials, Credentials, FileStorage, FileToken,
};

/// When this firmware was built: it is surely later than that.
const BUILT: Duration = Duration::from_secs(1_795_478_400);

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
    let state = env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let pause = env::var("UPLOAD_SECONDS").map_or(Ok(60), |seconds| seconds.parse())?;

    // An answer takes seconds. With less than the whole default minute, a SIGTERM in the middle of a
    // call is heard well before the system loses patience.
    let mut settings = CognitoIdentityCredentials::builder().timeout(Duration::from_secs(20));
    settings = if let Ok(pool) = env::var("AWS_COGNITO_IDENTITY_POOL_ID") {
        let transport = UreqTransport::builder()
            .earliest_time(last_known_time(state.as_ref()))
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        settings.identity_pool_id(pool).transport(transport)
    } else {
        println!("AWS_COGNITO_IDENTITY_POOL_ID is not set: running on FakeCognito, in memory.");
        settings.identity_pool_id(FakeCognito::POOL_ID).transport(FakeCognito::new())
    };
    if let Some(folder) = &state {
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
        if let (Some(time), Some(folder)) = (credentials.service_time(), &state) {
            keep_time(folder, time).unwrap_or_else(|error| eprintln!("time not kept: {error}"));
        }
        let status = credentials.status();
        println!(
            "status: identity {:?}, credentials good for {:?}, last error {:?}",
            status.identity_origin,
            status.expires_in.map(|left| Duration::from_secs(left.as_secs())),
            status.last_error.map(|error| error.kind()),
        );
        match told_to_stop.recv_timeout(Duration::from_secs(pause)) {
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
fn last_known_time(state: Option<&PathBuf>) -> SystemTime {
    let kept = state.and_then(|folder| fs::read_to_string(folder.join("time")).ok());
    let kept = kept.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let sane = kept.filter(|kept| (BUILT..BUILT + LONGEST_SERVICE).contains(kept));
    SystemTime::UNIX_EPOCH + sane.unwrap_or(BUILT)
}

/// Once a day is enough, and spares the flash.
fn keep_time(folder: &PathBuf, time: SystemTime) -> io::Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
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
