//! A device in the field: it reads a sensor and uploads the readings to S3, for years.
//!
//! * this file: the start, the loop, and what each failure means
//! * `settings.rs`: the environment variables
//! * `readings.rs`: what the sensor says, kept in memory until it is uploaded
//! * `upload.rs`: one signed request to S3
//! * `storage.rs`: what is kept on flash, and what in memory
//! * `known_time.rs`: a time that has passed, for a clock that starts in 1970
//! * `metrics.rs`: one line of numbers for each round
//! * `journal.rs`: the log, for systemd's journal
//! * `systemd.rs`: messages to systemd about the start, the watchdog and the end

mod journal;
mod known_time;
mod metrics;
mod readings;
mod settings;
mod storage;
mod systemd;
mod upload;

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io, thread};

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, Credentials, ErrorKind, UserPoolTokens,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::metrics::Metrics;
use crate::readings::Readings;
use crate::settings::{Settings, User, WrongSetting};
use crate::storage::DeviceStorage;
use crate::systemd::Systemd;
use crate::upload::{Bucket, UploadError};

/// How long a round may continue after a signal to end. The program may end in the middle of the
/// round: each stored record is then either the old one or the new one.
const GRACE: Duration = Duration::from_secs(1);

/// The exit status for wrong settings. The unit does not restart the program after it.
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            if is_wrong_setting(&*error) {
                ExitCode::from(WRONG_SETTINGS)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Returns `true` if a restart cannot help. Any other failure may be temporary: for example, a file
/// that does not exist yet, or no memory for another thread.
fn is_wrong_setting(error: &(dyn Error + 'static)) -> bool {
    let library = error.downcast_ref::<cognito_identity_credentials::Error>();
    error.is::<WrongSetting>() || library.is_some_and(|error| error.kind() == ErrorKind::Config)
}

fn run() -> Result<(), Box<dyn Error>> {
    journal::start()?;
    let systemd = Systemd::from_env().map_err(|error| format!("NOTIFY_SOCKET: {error}"))?;
    let systemd = Arc::new(systemd);
    let stop = stop_signal(Arc::clone(&systemd))?;
    let settings = Settings::from_env()?;
    let longest = settings.longest_step();
    if systemd.watchdog().is_some_and(|limit| limit <= longest) {
        let seconds = longest.as_secs();
        let message = format!("WatchdogSec= must be more than {seconds} s, the longest step");
        return Err(WrongSetting(message).into());
    }
    let device = Device::new(settings)?;

    // The device needs no network to be ready: the first round makes the first call.
    systemd.ready();
    log::info!("started");
    device.run(&systemd, &stop);
    log::info!("stopped");
    Ok(())
}

struct Device {
    settings: Settings,
    credentials: CognitoIdentityCredentials,
    tokens: Option<UserPoolTokens>,
    storage: Arc<DeviceStorage>,
    bucket: Bucket,
    metrics: Arc<Metrics>,
}

impl Device {
    fn new(settings: Settings) -> Result<Self, Box<dyn Error>> {
        let authorities = settings.ca_file.as_ref();
        let authorities = authorities.map(|file| settings::read_file("AWS_CA_BUNDLE", file));
        let authorities = authorities.transpose()?;
        let provider = Builder::from_env()?;
        let storage = Arc::new(DeviceStorage::new(&settings.state, settings.runtime.as_deref()));
        let time = known_time::latest(&storage);
        let transport = Arc::new(transport(&settings, authorities.as_deref(), time)?);
        let tokens = settings.user.as_ref();
        let tokens = tokens.map(|user| sign_in(user, &settings, &transport, &storage));
        let tokens = tokens.transpose()?;

        let metrics = Arc::new(Metrics::default());
        let counted = Arc::clone(&metrics);
        let mut provider = provider
            .transport(transport)
            .storage(Arc::clone(&storage))
            .persist_credentials(settings.runtime.is_some())
            .timeout(settings.call_time)
            .on_refresh(move |report| counted.count(report))
            .on_identity_change(|change| match change.old {
                None => log::info!("first identity of this device: {:?}", change.reason),
                Some(_) => log::warn!("another identity: {:?}", change.reason),
            });
        if let (Some(tokens), Some(user)) = (&tokens, &settings.user) {
            provider = provider.login_from_user_pool(tokens).login_id(&user.login_id);
        }
        let credentials = provider.build()?;
        let bucket = Bucket::new(&settings, authorities.as_deref())?;
        Ok(Self { settings, credentials, tokens, storage, bucket, metrics })
    }

    fn run(&self, systemd: &Systemd, stop: &Receiver<()>) {
        let Settings { sensor_file, runtime, .. } = &self.settings;
        let mut readings = Readings::new(sensor_file, runtime.as_deref());
        loop {
            let next = Instant::now() + self.settings.pause;
            self.round(&mut readings, systemd);
            // The thread that does the work also feeds the watchdog, here and between the steps of
            // a round. If this thread hangs, systemd restarts the program.
            loop {
                systemd.alive();
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() && stop.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    break;
                }
                let wait = systemd.watchdog().map_or(left, |limit| left.min(limit / 4));
                if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    if !readings.is_empty() {
                        let count = readings.len();
                        log::warn!("{count} readings wait: a restart keeps them, a stop does not");
                    }
                    return;
                }
            }
        }
    }

    fn round(&self, readings: &mut Readings, systemd: &Systemd) {
        readings.take();
        if !readings.is_empty() {
            match self.upload(readings, systemd) {
                Ok(bytes) => {
                    log::info!("uploaded {} readings, {bytes} bytes", readings.len());
                    readings.clear();
                    self.metrics.uploaded();
                }
                Err(failure) => {
                    failure.log();
                    self.metrics.upload_failed();
                }
            }
        }
        systemd.alive();
        if let Some(time) = self.credentials.service_time() {
            if let Err(error) = known_time::keep(&self.storage, time) {
                log::warn!("cannot keep the time: {error}");
            }
        }
        let token_storage = self.tokens.as_ref().and_then(UserPoolTokens::storage_error);
        let line = self.metrics.line(&self.credentials.status(), token_storage.is_some(), readings);
        log::info!("{line}");
    }

    fn upload(&self, readings: &Readings, systemd: &Systemd) -> Result<usize, Failure> {
        let keys = self.keys(systemd)?;
        match self.put(&keys, readings, systemd) {
            // The role may have changed, or its sessions are revoked. New credentials help only
            // once.
            Err(Failure::Upload(error)) if error.is("ExpiredToken") => {
                log::warn!("S3 says that the credentials have expired: requesting new ones");
                self.credentials.invalidate(keys.access_key_id());
                self.put(&self.keys(systemd)?, readings, systemd)
            }
            result => result,
        }
    }

    /// Called before each request, because `get` refreshes the credentials.
    fn keys(&self, systemd: &Systemd) -> Result<Credentials, Failure> {
        systemd.alive();
        self.credentials.get().map_err(Failure::Credentials)
    }

    fn put(
        &self,
        keys: &Credentials,
        readings: &Readings,
        systemd: &Systemd,
    ) -> Result<usize, Failure> {
        systemd.alive();
        // The service's time is right even if the device's clock is wrong.
        let time = self.credentials.service_time().unwrap_or_else(SystemTime::now);
        let body = readings.as_csv(time);
        // A role can limit each device to its own directory by
        // `${cognito-identity.amazonaws.com:sub}` in its policy.
        let identity = keys.identity_id().unwrap_or("unknown");
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        // The hasher is a source of random numbers. Without one, a second upload within a second,
        // for example after a restart, would overwrite the first one.
        let random = RandomState::new().build_hasher().finish();
        let object = format!("readings/{identity}/{seconds}-{random:016x}.csv");
        self.bucket.put(keys, time, &object, &body).map_err(Failure::Upload)?;
        Ok(body.len())
    }
}

/// One transport for the identity pool and the user pool, so that they share connections.
fn transport(
    settings: &Settings,
    authorities: Option<&[u8]>,
    known_time: SystemTime,
) -> Result<UreqTransport, cognito_identity_credentials::Error> {
    let mut transport =
        UreqTransport::builder().earliest_time(known_time).connect_timeout(Duration::from_secs(5));
    if let Some(proxy) = &settings.proxy {
        transport = transport.proxy(proxy);
    }
    if let Some(authorities) = authorities {
        transport = transport.ca_pem(authorities);
    }
    transport.build()
}

fn sign_in(
    user: &User,
    settings: &Settings,
    transport: &Arc<UreqTransport>,
    storage: &Arc<DeviceStorage>,
) -> Result<UserPoolTokens, Box<dyn Error>> {
    let token = settings::read_file("REFRESH_TOKEN_FILE", &user.refresh_token_file)?;
    let token = String::from_utf8_lossy(&token);
    let mut tokens = UserPoolTokens::builder()
        .user_pool_id(&user.pool_id)
        .client_id(&user.client_id)
        // If the user pool has replaced this token, the stored one is used. A new token in the file
        // replaces the stored one.
        .refresh_token(token.trim())
        .timeout(settings.token_time())
        .transport(Arc::clone(transport))
        .storage(Arc::clone(storage));
    if let Some(url) = &user.endpoint_url {
        tokens = tokens.endpoint_url(url);
    }
    Ok(tokens.build()?)
}

/// Receives a message at a signal to end. If the round is still under way after [`GRACE`], the
/// program ends in the middle of it. This thread writes no log, because a log can block.
fn stop_signal(systemd: Arc<Systemd>) -> io::Result<Receiver<()>> {
    let (sender, stop) = mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.forever().next();
        systemd.stopping();
        let _ = sender.send(());
        thread::sleep(GRACE);
        process::exit(0);
    })?;
    Ok(stop)
}

/// Why a round uploaded nothing. The readings are kept, and the next round tries again.
enum Failure {
    Credentials(cognito_identity_credentials::Error),
    Upload(UploadError),
}

impl Failure {
    fn log(&self) {
        match self {
            Self::Credentials(error) if error.needs_sign_in() => log::error!(
                "needs_sign_in: {error:#}. Sign the user in, write the new refresh token to the \
                 file of REFRESH_TOKEN_FILE, and restart this program"
            ),
            Self::Credentials(error) if error.is_retryable() => log::warn!("{self}"),
            Self::Credentials(error) => match error.hint() {
                Some(hint) => log::error!("{self}. {hint}"),
                None => log::error!("{self}"),
            },
            Self::Upload(_) => log::warn!("{self}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(error) => write!(f, "no credentials: {error:#}"),
            Self::Upload(error) => write!(f, "no upload: {error}"),
        }
    }
}
