//! A service on loopback, over plain HTTP and over TLS, and the transport that asks it.
//!
//! Each answer names the caller that it is for and the connection that it came over. A caller names
//! itself by its login token, or by its refresh token.

use std::env;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::SystemTime;

use cognito_identity_credentials::transport::Transport;
use serde_json::{Value, json};

use crate::ids::{IDENTITY, PROVIDER};
use crate::server::{Request, listen};

/// A caller with this name gets its answer after another caller.
pub(crate) const HELD: &str = "held";

const PORT: &str = "PROCESS_TEST_PORT";

pub(crate) struct Service {
    address: SocketAddr,
    #[cfg(feature = "ureq")]
    tls: tls::Tls,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self {
            address: listen(|stream| serve(stream, "plain")),
            #[cfg(feature = "ureq")]
            tls: tls::Tls::start(),
        }
    }

    /// Tells a test's process where the service is.
    pub(crate) fn announce(&self, command: &mut Command) {
        command.env(PORT, self.address.port().to_string());
        #[cfg(feature = "ureq")]
        self.tls.announce(command);
    }
}

/// Returns the URL of the service with this name or address of the machine. Below `/once`, the
/// service closes a connection after one answer.
pub(crate) fn url(host: &str) -> String {
    format!("http://{host}:{}", env::var(PORT).unwrap())
}

/// Waits until the service holds back an answer.
pub(crate) fn await_held() {
    let mut stream = TcpStream::connect(url("127.0.0.1").trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /held HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Answers each request of one connection.
fn serve(stream: impl Read + Write, kind: &str) {
    static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
    let connection = CONNECTIONS.fetch_add(1, Ordering::SeqCst);
    let mut stream = BufReader::new(stream);
    let mut callers = Vec::new();
    while let Some(Request { head, body }) = Request::read(&mut stream) {
        let body = serde_json::from_str(&body).unwrap_or_default();
        let name = format!("{connection}:{}:{kind}", callers.len());
        let (caller, mut answer) = answer(&head, &body, &name);
        hold(&head, caller.as_deref());
        callers.extend(caller);
        let mut status = 200;
        if callers.windows(2).any(|pair| pair[0] != pair[1]) {
            let message = format!("one connection was used by {callers:?}");
            answer = json!({ "__type": "NotAuthorizedException", "message": message });
            status = 400;
        }
        let last = head.contains("Connection: close") || head.starts_with("POST /once");
        let persistence = if last { "close" } else { "keep-alive" };
        let (answer, date) = (answer.to_string(), httpdate::fmt_http_date(SystemTime::now()));
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ndate: {date}\r\nconnection: {persistence}\r\ncontent-length: {length}"
        );
        let answer = format!("{head}\r\n\r\n{answer}");
        if stream.get_mut().write_all(answer.as_bytes()).is_err() || last {
            return;
        }
    }
}

/// Holds back the answer to `HELD` until another caller has one. `GET /held` waits until an answer
/// is held back.
fn hold(head: &str, caller: Option<&str>) {
    struct Callers {
        held: u32,
        /// How many other callers have an answer.
        others: u32,
    }
    static CALLERS: Mutex<Callers> = Mutex::new(Callers { held: 0, others: 0 });
    static CHANGED: Condvar = Condvar::new();
    let mut callers = CALLERS.lock().unwrap();
    if caller == Some(HELD) {
        callers.held += 1;
        CHANGED.notify_all();
        let before = callers.others;
        callers = CHANGED.wait_while(callers, |callers| callers.others == before).unwrap();
        callers.held -= 1;
    } else if caller.is_some() {
        callers.others += 1;
        CHANGED.notify_all();
    } else if head.starts_with("GET /held") {
        drop(CHANGED.wait_while(callers, |callers| callers.held == 0).unwrap());
    }
}

/// Returns the caller, if there is one, and an answer that contains `name`.
fn answer(head: &str, body: &Value, name: &str) -> (Option<String>, Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if head.contains("InitiateAuth") {
        let caller = text(&body["AuthParameters"]["REFRESH_TOKEN"]);
        let result = json!({ "IdToken": format!("{caller}:{name}"), "ExpiresIn": 3600 });
        (Some(caller), json!({ "AuthenticationResult": result }))
    } else if head.contains("GetCredentialsForIdentity") {
        let caller = text(&body["Logins"][PROVIDER]);
        let end =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600;
        let keys = json!({
            "AccessKeyId": caller,
            "SecretKey": "secret",
            "SessionToken": name,
            "Expiration": end,
        });
        (Some(caller), json!({ "IdentityId": body["IdentityId"], "Credentials": keys }))
    } else {
        (None, json!({ "IdentityId": IDENTITY }))
    }
}

#[cfg(feature = "ureq")]
pub(crate) fn transport() -> impl Transport {
    cognito_identity_credentials::transport::UreqTransport::new()
}

/// Without `ureq`: a transport with one connection for each request.
#[cfg(not(feature = "ureq"))]
pub(crate) fn transport() -> impl Transport {
    use cognito_identity_credentials::transport::{
        HttpRequest, HttpResponse, TransportError, TransportErrorKind,
    };

    fn send(request: &HttpRequest) -> std::io::Result<HttpResponse> {
        let url = request.url().trim_start_matches("http://");
        let (authority, path) = url.split_once('/').unwrap();
        let mut stream = TcpStream::connect(authority)?;
        stream.set_read_timeout(Some(request.timeout()))?;
        write!(stream, "POST /{path} HTTP/1.1\r\nContent-Length: {}\r\n", request.body().len())?;
        for (name, value) in request.headers() {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"Connection: close\r\n\r\n")?;
        stream.write_all(request.body())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        Ok(headers.fold(HttpResponse::new(status, body), |answer, (name, value)| {
            answer.with_header(name, value)
        }))
    }

    |request: &HttpRequest| {
        send(request).map_err(|error| TransportError::new(TransportErrorKind::Connect, error))
    }
}

#[cfg(feature = "ureq")]
pub(crate) mod tls {
    use cognito_identity_credentials::transport::{UreqTransport, UreqTransportBuilder};
    use rustls::HandshakeKind;

    use super::{Command, SocketAddr, env, listen, serve};
    use crate::authority::{Authority, accept, for_names};

    const PORT: &str = "PROCESS_TEST_TLS_PORT";
    const AUTHORITY: &str = "PROCESS_TEST_AUTHORITY";

    pub(super) struct Tls {
        address: SocketAddr,
        authority: String,
    }

    impl Tls {
        pub(super) fn start() -> Self {
            let authority = Authority::new();
            let config = authority.server_config(for_names(&["127.0.0.1"]));
            let address = listen(move |stream| {
                let mut stream = accept(&config, stream);
                while stream.conn.is_handshaking() {
                    if stream.conn.complete_io(&mut stream.sock).is_err() {
                        return;
                    }
                }
                let resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
                serve(stream, if resumed { "resumed" } else { "full" });
            });
            Self { address, authority: authority.pem }
        }

        pub(super) fn announce(&self, command: &mut Command) {
            command.env(PORT, self.address.port().to_string()).env(AUTHORITY, &self.authority);
        }
    }

    pub(crate) fn url() -> String {
        format!("https://127.0.0.1:{}", env::var(PORT).unwrap())
    }

    /// A transport that trusts the service.
    pub(crate) fn transport() -> UreqTransportBuilder {
        UreqTransport::builder().ca_pem(env::var(AUTHORITY).unwrap())
    }
}
