//! Tests the whole program against fakes of Cognito and S3 on loopback: power cuts, network losses,
//! a user who is signed out, and signals.
//!
//! `SENSOR` is the command to test, such as `qemu-arm-static -L /usr/arm-linux-gnueabihf sensor`.
//! Without it, the program is the one that Cargo has built for this machine.

mod network;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{FileStorage, Storage};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use crate::network::{Bucket, Mode, Server};

/// How long a step may take, also in an emulator and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Credentials with this lifetime are never fresh, so each round refreshes them.
const SHORT: Duration = Duration::from_secs(16);

/// How wrong the clock of the device is in some tests.
const THREE_DAYS: Duration = Duration::from_secs(3 * 24 * 3600);

/// A device with its directories and its services.
struct Device {
    folder: TempDir,
    cognito: FakeCognito,
    network: Server,
    bucket: Bucket,
    s3: Server,
    signs: Arc<Mutex<Vec<(Instant, String)>>>,
    process: Option<Child>,
    more: Vec<(&'static str, String)>,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cognito = FakeCognito::new();
        let answering = cognito.clone();
        let network = Server::start(move |stream| drop(answering.serve(stream)));
        let bucket = Bucket::default();
        let answering = bucket.clone();
        let s3 = Server::start(move |stream| answering.serve(stream));

        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let signs = Arc::<Mutex<Vec<_>>>::default();
        let heard = Arc::clone(&signs);
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.lock().unwrap().push((Instant::now(), text));
            }
        });
        for name in ["flash", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("sensor"), "20500\n").unwrap();
        let device =
            Self { folder, cognito, network, bucket, s3, signs, process: None, more: Vec::new() };
        device.sign_in();
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a refresh token, like the person who installs the device.
    fn sign_in(&self) {
        fs::write(self.path("token"), self.cognito.sign_in("device-1") + "\n").unwrap();
    }

    fn command(&self) -> Command {
        let command = std::env::var("SENSOR");
        let command = command.unwrap_or_else(|_| env!("CARGO_BIN_EXE_sensor").to_owned());
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .env_clear()
            .env("AWS_COGNITO_IDENTITY_POOL_ID", FakeCognito::POOL_ID)
            .env("AWS_ENDPOINT_URL", self.network.url())
            .env("AWS_ENDPOINT_URL_S3", self.s3.url())
            .env("USER_POOL_ID", FakeCognito::USER_POOL_ID)
            .env("CLIENT_ID", FakeCognito::CLIENT_ID)
            .env("REFRESH_TOKEN_FILE", self.path("token"))
            .env("LOGIN_ID", "device-1")
            .env("STATE_DIRECTORY", self.path("flash"))
            .env("RUNTIME_DIRECTORY", self.path("run"))
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("BUCKET", "readings")
            .env("SENSOR_FILE", self.path("sensor"))
            .env("UPLOAD_SECONDS", "1")
            .envs(self.more.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start(&mut self) {
        let log = File::options().append(true).create(true).open(self.path("log")).unwrap();
        self.process = Some(self.command().stderr(log).spawn().unwrap());
    }

    fn start_and_upload(&mut self) {
        self.start();
        self.wait_for_upload();
    }

    /// Makes each refresh get new credentials, a new ID token and a new refresh token.
    fn rotate(&self) {
        self.cognito.set_lifetime(SHORT);
        self.cognito.set_id_token_lifetime(Duration::from_secs(30));
        self.cognito.set_refresh_token_rotation(Some(Duration::from_secs(3600)));
    }

    /// Kills the program with SIGKILL, to simulate a loss of power.
    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Sends SIGTERM. Returns how long the program took to end.
    fn stop(&mut self) -> Duration {
        let mut process = self.process.take().unwrap();
        let asked = Instant::now();
        let sent = Command::new("kill").arg(process.id().to_string()).status().unwrap();
        assert!(sent.success());
        let status = process.wait().unwrap();
        assert!(status.success(), "{status}");
        asked.elapsed()
    }

    /// Starts the program, and checks how it ends by itself.
    fn ends_with(&self, status: i32, text: &str) {
        let output = self.command().stderr(Stdio::piped()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}: {log}");
        assert!(log.contains(text), "{text}: {log}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until the log after its first `from` bytes has `text` `times` times.
    fn wait_for_log(&self, from: usize, text: &str, times: usize) {
        self.wait_until(text, || self.log()[from..].matches(text).count() >= times);
    }

    fn wait_until(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "not within 60 s: {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn wait_for_upload(&self) {
        let before = self.bucket.objects().len();
        self.wait_until("an upload", || self.bucket.objects().len() > before);
    }

    fn signs(&self) -> Vec<(Instant, String)> {
        self.signs.lock().unwrap().clone()
    }

    /// The names of the directories that the device has uploaded to, one for each identity.
    fn identities(&self) -> Vec<String> {
        let objects = self.bucket.objects();
        let mut names: Vec<_> = objects
            .iter()
            .map(|object| object.path.split('/').nth(3).unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn a_power_cut_at_any_moment_costs_neither_the_identity_nor_the_sign_in() {
    let mut device = Device::new();
    device.rotate();
    device.start_and_upload();
    // The state of the services before the power cut: the answer may be on its way, or already read
    // or stored.
    for delay in [0, 1, 2, 4, 8] {
        for operation in ["GetTokensFromRefreshToken", "GetCredentialsForIdentity", "PUT"] {
            let count = || match operation {
                "PUT" => device.bucket.objects().len(),
                operation => device.cognito.calls(operation),
            };
            let before = count();
            device.wait_until(operation, || count() > before);
            thread::sleep(Duration::from_millis(delay));
            device.kill();
            fs::remove_dir_all(device.path("run")).unwrap();
            device.start();
        }
    }
    device.wait_for_upload();
    device.wait_for_upload();
    assert_eq!(device.cognito.identities(), 1);
    assert_eq!(device.identities().len(), 1, "{:?}", device.identities());
    assert!(!device.log().contains("needs_sign_in"), "{}", device.log());
    assert!(!device.log().contains("another identity"), "{}", device.log());
    eprintln!(
        "{} starts, {} refresh tokens",
        device.log().matches("<6>started").count(),
        device.cognito.calls("GetTokensFromRefreshToken")
    );
    assert!(device.stop() < Duration::from_secs(2));
}

#[test]
fn a_restart_uses_the_credentials_in_memory_and_a_reboot_does_not() {
    let mut device = Device::new();
    device.start_and_upload();
    let calls = device.cognito.requests().len();
    device.kill();
    device.network.set(Mode::Silent);
    device.start_and_upload();
    assert_eq!(device.cognito.requests().len(), calls);
    device.kill();

    // What a loss of power leaves.
    fs::remove_dir_all(device.path("run")).unwrap();
    device.network.set(Mode::Works);
    device.start_and_upload();
    device.wait_for_log(0, "service_calls=1", 1); // no GetId
    assert!(device.cognito.requests().len() > calls);
    assert_eq!(device.identities().len(), 1);
    assert!(device.log().contains("identity=Stored"), "{}", device.log());
    device.stop();
    let mut kept: Vec<_> = fs::read_dir(device.path("flash"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.retain(|name| name != "time" && !name.contains(".lock"));
    assert!(kept.len() == 1 && kept[0].starts_with("identity%2F"), "{kept:?}");
}

#[test]
fn a_network_loss_is_logged_and_overcome_and_the_watchdog_is_fed() {
    let mut device = Device::new();
    device.cognito.set_lifetime(SHORT);
    device.more = vec![("CALL_SECONDS", "2".into()), ("WATCHDOG_USEC", "12000000".into())];
    device.start_and_upload();
    for mode in [Mode::Refuses, Mode::Silent] {
        for server in [&device.network, &device.s3] {
            let from = device.log().len();
            server.set(mode);
            let failure = if std::ptr::eq(server, &raw const device.s3) {
                "<4>no upload: "
            } else {
                "<4>no credentials: "
            };
            device.wait_for_log(from, failure, 2);
            server.set(Mode::Works);
            device.wait_for_upload();
        }
    }
    let from = device.log().len();
    device.bucket.refuse(503, "SlowDown", 2);
    device.wait_for_log(from, "<4>no upload: S3: 503 SlowDown", 2);
    device.wait_for_upload();
    device.wait_for_log(from, "waiting=0 lost=0", 1);
    device.stop();
    device.wait_until("its end", || device.signs().iter().any(|(_, sign)| sign == "STOPPING=1"));

    // No reading was lost: there is one for each round.
    let rounds = device.log().matches("metrics ").count();
    let readings: usize =
        device.bucket.objects().iter().map(|object| object.body.lines().count()).sum();
    assert!(readings >= rounds, "{readings} of {rounds}");
    let signs = device.signs();
    assert_eq!(signs[0].1, "READY=1");
    let gaps = signs.windows(2).map(|pair| pair[1].0 - pair[0].0);
    let longest = gaps.max().unwrap();
    assert!(longest < Duration::from_secs(12), "no sign of life for {longest:?}");
    eprintln!("the longest time without a sign of life: {longest:?}");
}

#[test]
fn a_signed_out_user_is_named_in_the_log_and_a_new_token_brings_the_device_back() {
    let mut device = Device::new();
    device.rotate();
    device.start_and_upload();
    device.cognito.sign_out("device-1");
    device.wait_for_log(0, "<3>needs_sign_in: ", 1);
    assert!(device.log().contains("write the new refresh token to the file of REFRESH_TOKEN_FILE"));
    device.stop();

    device.start();
    device.wait_for_log(device.log().len(), "<3>needs_sign_in: ", 1); // a restart does not help
    device.stop();
    device.sign_in();
    device.start_and_upload();
    assert_eq!(device.identities().len(), 1);
    for secret in ["fake-refresh-token", "eyJ", "X-Amz-Signature"] {
        assert!(!device.log().contains(secret), "{}", device.log());
    }
}

#[test]
fn credentials_that_s3_calls_expired_are_replaced_once() {
    let mut device = Device::new();
    device.start_and_upload();
    let calls = || device.cognito.calls("GetCredentialsForIdentity");
    let before = calls();
    device.bucket.refuse(400, "ExpiredToken", 1);
    device.wait_for_log(0, "requesting new ones", 1);
    device.wait_for_upload();
    assert_eq!(calls(), before + 1);
    assert!(!device.log().contains("no upload"), "{}", device.log());

    device.bucket.refuse(400, "ExpiredToken", 2);
    device.wait_for_log(0, "<4>no upload: S3: 400 ExpiredToken", 1);
    assert_eq!(calls(), before + 2);
    device.wait_for_upload();
}

#[test]
fn sigterm_ends_it_in_the_middle_of_a_call_even_if_the_log_cannot_be_written() {
    for silent in ["network", "s3"] {
        let mut device = Device::new();
        let server = if silent == "s3" { &device.s3 } else { &device.network };
        server.set(Mode::Silent);
        let full = File::options().write(true).open("/dev/full").unwrap();
        device.process = Some(device.command().stderr(full).spawn().unwrap());
        device.wait_until("a call", || server.connections() > 0);
        let took = device.stop();
        assert!(took < Duration::from_secs(2), "{silent}: {took:?}");
    }
}

#[test]
fn a_program_that_hangs_gives_no_sign_of_life_and_still_ends_at_sigterm() {
    let mut device = Device::new();
    device.more = vec![("CALL_SECONDS", "1".into()), ("WATCHDOG_USEC", "2100000".into())];
    // Nobody reads this log, and it is full: the main thread hangs when it writes.
    let (ours, log) = UnixStream::pair().unwrap();
    let filling = log.try_clone().unwrap();
    filling.set_nonblocking(true).unwrap();
    while match (&filling).write(&[b'.'; 4096]) {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    } {}
    filling.set_nonblocking(false).unwrap();
    let log = Stdio::from(OwnedFd::from(log));
    device.process = Some(device.command().stderr(log).spawn().unwrap());
    device.wait_until("the start", || !device.signs().is_empty());
    let deadline = Instant::now() + Duration::from_secs(3);
    device.wait_until("the watchdog's time to pass", || Instant::now() > deadline);
    let signs: Vec<_> = device.signs().into_iter().map(|(_, sign)| sign).collect();
    assert_eq!(signs, ["READY=1"]);
    assert!(device.stop() < Duration::from_secs(2));
    drop(ours.shutdown(Shutdown::Both));
}

#[test]
fn without_a_user_the_device_is_a_guest() {
    let mut device = Device::new();
    device.more =
        ["USER_POOL_ID", "CLIENT_ID", "LOGIN_ID"].map(|name| (name, String::new())).into();
    device.start_and_upload();
    device.kill();
    device.start_and_upload();
    assert_eq!(device.identities().len(), 1);
    assert_eq!(device.cognito.calls("InitiateAuth"), 0);
    if !std::env::var("SENSOR").is_ok_and(|command| command.contains("qemu")) {
        let id = device.process.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        eprintln!("peak memory: {peak}");
    }
}

#[test]
fn it_signs_with_the_time_of_the_service_and_keeps_it() {
    let mut device = Device::new();
    device.cognito.set_time(SystemTime::now() + THREE_DAYS);
    device.start();
    device.wait_for_log(0, "metrics ", 1);
    device.stop();
    let close = |time: Timestamp| {
        let time = SystemTime::from(time);
        let right = SystemTime::now() + THREE_DAYS;
        (right - PATIENCE..right + PATIENCE).contains(&time)
    };
    let object = &device.bucket.objects()[0];
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", &object.time).unwrap();
    assert!(close(TimeZone::UTC.to_timestamp(signed).unwrap()), "{}", object.time);
    let (taken, _) = object.body.split_once(',').unwrap();
    assert!(close(taken.parse().unwrap()), "{taken}");
    let kept = FileStorage::new(device.path("flash")).load("time").unwrap().unwrap();
    let kept = String::from_utf8(kept).unwrap().parse().unwrap();
    assert!(close(Timestamp::from_second(kept).unwrap()), "{kept}");
}

#[test]
fn every_step_of_a_round_begins_with_a_sign_of_life() {
    let mut device = Device::new();
    device.more = vec![("UPLOAD_SECONDS", "3600".into())];
    device.bucket.refuse(400, "ExpiredToken", 1);
    device.start();
    device.wait_for_log(0, "metrics ", 1);
    device.stop();
    // Before each of two `get()` and two uploads, at the end of the round, and before the pause.
    let alive = || device.signs().iter().filter(|(_, sign)| sign == "WATCHDOG=1").count();
    device.wait_until("six signs of life", || alive() == 6);
}

#[test]
fn flash_that_cannot_be_written_stops_no_upload_and_is_named_in_the_log() {
    let mut device = Device::new();
    device.rotate();
    device.cognito.set_time(SystemTime::now() + THREE_DAYS); // a time to keep
    device.more = vec![("STATE_DIRECTORY", "/sys/sensor".into())]; // not even root can make it
    device.start();
    device.wait_for_log(0, "storage=fails token_storage=fails waiting=0 lost=0", 3);
    assert!(device.bucket.objects().len() >= 3);
    for warning in [
        "<4>cannot keep the time: ",
        "<4>the identity could not be stored: ",
        "<4>the refresh token could not be stored: ",
    ] {
        assert!(device.log().contains(warning), "{warning}: {}", device.log());
    }
    assert_eq!(device.identities().len(), 1);
    device.stop();
}

#[test]
fn readings_that_wait_survive_a_restart() {
    let mut device = Device::new();
    device.s3.set(Mode::Refuses);
    device.start();
    device.wait_for_log(0, "waiting=2 ", 1);
    device.kill();
    device.s3.set(Mode::Works);
    device.start_and_upload();
    assert!(device.bucket.objects()[0].body.lines().count() >= 3);
}

#[test]
fn cognito_and_s3_use_the_same_proxy() {
    let mut device = Device::new();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let asked = Arc::clone(&heard);
    let proxy = Server::start(move |stream| {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let request: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        asked.lock().unwrap().push(request.join("\n").to_ascii_lowercase());
        let _ = (&mut &*stream).write_all(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
    });
    let url = proxy.url().replace("://", "://ann:hunter2@");
    let cognito = device.network.url();
    let only_s3 = [
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", cognito.clone()),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", cognito),
        ("AWS_ENDPOINT_URL_S3", String::new()),
    ];
    for (direct, host) in [
        (&[][..], "cognito-idp.us-east-1.amazonaws.com:443"),
        (&only_s3[..], "readings.s3.us-east-1.amazonaws.com:443"),
    ] {
        device.more = vec![("PROXY", url.clone()), ("AWS_ENDPOINT_URL", String::new())];
        device.more.extend_from_slice(direct);
        // ureq would read some of these variables, and the library others.
        for name in ["http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            device.more.push((name, "http://127.0.0.1:9".into()));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            device.more.push((name, "*".into()));
        }
        device.start();
        device.wait_until(host, || !heard.lock().unwrap().is_empty());
        device.kill();
        for request in heard.lock().unwrap().drain(..) {
            assert!(request.starts_with(&format!("connect {host} http/1.1\n")), "{request}");
            assert!(request.contains("\nproxy-authorization: basic yw5uomh1bnrlcji="), "{request}");
        }
    }
    assert!(!device.log().contains("hunter2"), "{}", device.log());
}

#[test]
fn a_failure_at_the_start_that_may_pass_ends_it_with_status_1() {
    let mut device = Device::new();
    for (name, text) in [
        ("REFRESH_TOKEN_FILE", "<3>REFRESH_TOKEN_FILE /nowhere: No such file"),
        ("AWS_CA_BUNDLE", "<3>AWS_CA_BUNDLE /nowhere: No such file"),
        ("NOTIFY_SOCKET", "<3>NOTIFY_SOCKET: No such file"),
    ] {
        device.more = vec![(name, "/nowhere".to_owned())];
        device.ends_with(1, text);
    }
}

#[test]
fn wrong_settings_end_it_with_status_2() {
    let mut device = Device::new();
    for (name, value, text) in [
        ("BUCKET", "", "<3>BUCKET is not set\n"),
        ("BUCKET", "../other", "<3>BUCKET is not the name of a bucket\n"),
        ("LOGIN_ID", "", "<3>LOGIN_ID is not set\n"),
        ("USER_POOL_ID", "", "<3>CLIENT_ID is set, but USER_POOL_ID is not\n"),
        ("AWS_COGNITO_IDENTITY_POOL_ID", "pool", "<3>"),
        ("AWS_ENDPOINT_URL_S3", "s3", "<3>the URL of S3: "),
        ("AWS_CA_BUNDLE", "/dev/null", "<3>AWS_CA_BUNDLE, ca_file: /dev/null: is empty"),
        ("PROXY", "socks5://proxy", "proxy: is a SOCKS proxy"),
        ("LOG_LEVEL", "verbose", "<3>LOG_LEVEL is not "),
        ("WATCHDOG_USEC", "50000000", "<3>WatchdogSec= must be more than 50 s"),
    ] {
        device.more = vec![(name, value.to_owned())];
        device.ends_with(2, text);
    }
}
