//! A fake of Cognito and STS over TLS on loopback. It has its own certificate authority, and counts
//! what it receives.
//!
//! `serve CA_FILE IDLE_SECONDS [ADDRESS]` writes the certificate of the authority and prints two
//! ports. The first port is the service, which closes connections that are idle for this time. The
//! second port sends the counts, one a line, to every client that connects. If ADDRESS is given and
//! free, the service also listens there, and a third port is printed. This is for clients that
//! cannot set a port. The program runs until it is killed.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

type Fallible<T> = Result<T, Box<dyn Error>>;

const IDENTITY: &str = "us-east-1:abcdef01-dead-beef-cafe-123456790ab0";

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    full: AtomicUsize,
    resumed: AtomicUsize,
    requests: AtomicUsize,
    /// The number of credentials so far. Each key ID ends with its number.
    issued: AtomicUsize,
    /// The bytes of all connections, including TLS.
    received: AtomicUsize,
    sent: AtomicUsize,
    /// Open connections. While there are any, the other counts can still change.
    open: AtomicUsize,
}

struct Counted {
    stream: TcpStream,
    counts: Arc<Counts>,
    /// The bytes that the service holds back. Each of its answers in a handshake is sent in one
    /// piece, and the session tickets are sent with the first answer to a request. So the number of
    /// round trips does not depend on the speed of the program.
    held: Option<Vec<u8>>,
}

impl Counted {
    fn release(&mut self) -> io::Result<()> {
        let held = self.held.take().unwrap_or_default();
        self.write_all(&held)
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.counts.received.fetch_add(length, Ordering::SeqCst);
        Ok(length)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let length = self.stream.write(bytes)?;
        self.counts.sent.fetch_add(length, Ordering::SeqCst);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let ca_file = arguments.next().ok_or("which CA_FILE?")?;
    let idle = Duration::from_secs(arguments.next().ok_or("which IDLE_SECONDS?")?.parse()?);

    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the authority of the footprint");
    let key = KeyPair::generate()?;
    std::fs::write(ca_file, params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "service.test"].map(str::to_owned);
    let certificate = CertificateParams::new(names)?.signed_by(&own, &issuer)?;
    let private = PrivateKeyDer::try_from(own.serialize_der())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    let config = Arc::new(config);

    let counts = Arc::new(Counts::default());
    let counts_listener = TcpListener::bind("127.0.0.1:0")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let other = arguments.next().and_then(|address| TcpListener::bind(address).ok());
    let ports = [Some(&listener), Some(&counts_listener), other.as_ref()]
        .into_iter()
        .flatten()
        .map(|listener| Ok(listener.local_addr()?.port().to_string()))
        .collect::<io::Result<Vec<_>>>()?;
    println!("{}", ports.join(" "));
    let printed = counts.clone();
    thread::spawn(move || {
        for mut stream in counts_listener.incoming().flatten() {
            let count = |what: &AtomicUsize| what.load(Ordering::SeqCst);
            let _ = writeln!(
                stream,
                "connections {}\nfull {}\nresumed {}\nrequests {}\nissued {}\nreceived {}\nsent {}\nopen {}",
                count(&printed.connections),
                count(&printed.full),
                count(&printed.resumed),
                count(&printed.requests),
                count(&printed.issued),
                count(&printed.received),
                count(&printed.sent),
                count(&printed.open)
            );
        }
    });
    if let Some(other) = other {
        let (config, counts) = (config.clone(), counts.clone());
        thread::spawn(move || accept(&other, idle, &config, &counts));
    }
    accept(&listener, idle, &config, &counts);
    Ok(())
}

fn accept(
    listener: &TcpListener,
    idle: Duration,
    config: &Arc<ServerConfig>,
    counts: &Arc<Counts>,
) {
    for stream in listener.incoming().flatten() {
        let (config, counts) = (config.clone(), counts.clone());
        counts.connections.fetch_add(1, Ordering::SeqCst);
        counts.open.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            let _ = converse(stream, idle, config, &counts);
            counts.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn converse(
    stream: TcpStream,
    idle: Duration,
    config: Arc<ServerConfig>,
    counts: &Arc<Counts>,
) -> Fallible<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(idle))?;
    let mut stream = Counted { stream, counts: counts.clone(), held: None };
    let mut tls = ServerConnection::new(config)?;
    while tls.is_handshaking() {
        if tls.read_tls(&mut stream)? == 0 {
            return Ok(());
        }
        tls.process_new_packets()?;
        stream.held = Some(Vec::new());
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        if tls.is_handshaking() {
            stream.release()?;
        }
    }
    let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
    let kind = if resumed { &counts.resumed } else { &counts.full };
    kind.fetch_add(1, Ordering::SeqCst);
    let mut connection = BufReader::new(StreamOwned::new(tls, stream));
    loop {
        let mut operation = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line == "\r\n" {
                    break;
                }
                continue;
            };
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.parse()?,
                "x-amz-target" => {
                    value.rsplit('.').next().unwrap_or_default().clone_into(&mut operation);
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let (status, kind, answer) = answer(&operation, counts);
        let now = httpdate::fmt_http_date(SystemTime::now());
        let head = format!(
            "HTTP/1.1 {status}\r\ndate: {now}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        connection.get_mut().sock.release()?;
        connection.get_mut().write_all(&[head.into_bytes(), answer.into_bytes()].concat())?;
    }
}

/// A call without a target goes to STS. The tokens have realistic lengths.
fn answer(operation: &str, counts: &Counts) -> (&'static str, &'static str, String) {
    const JSON: &str = "application/x-amz-json-1.1";
    let expiration = SystemTime::now() + Duration::from_secs(3600);
    let seconds = expiration.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let timestamp = humantime::format_rfc3339_seconds(expiration);
    let issue = || format!("ASIA{:0>16}", counts.issued.fetch_add(1, Ordering::SeqCst) + 1);
    let (secret, token) = ("s".repeat(40), "t".repeat(1200));
    match operation {
        "GetId" => ("200 OK", JSON, json!({ "IdentityId": IDENTITY }).to_string()),
        "GetCredentialsForIdentity" => {
            let credentials = json!({
                "AccessKeyId": issue(), "SecretKey": secret, "SessionToken": token, "Expiration": seconds
            });
            let answer = json!({ "IdentityId": IDENTITY, "Credentials": credentials });
            ("200 OK", JSON, answer.to_string())
        }
        "GetOpenIdToken" => {
            ("200 OK", JSON, json!({ "IdentityId": IDENTITY, "Token": token }).to_string())
        }
        "" => {
            let key = issue();
            let answer = format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult>\
                 <SubjectFromWebIdentityToken>{IDENTITY}</SubjectFromWebIdentityToken>\
                 <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/device/web-identity</Arn>\
                 <AssumedRoleId>AROA:web-identity</AssumedRoleId></AssumedRoleUser>\
                 <Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
                 <SessionToken>{token}</SessionToken><Expiration>{timestamp}</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            );
            ("200 OK", "text/xml", answer)
        }
        _ => {
            ("400 Bad Request", JSON, json!({ "__type": "UnknownOperationException" }).to_string())
        }
    }
}
