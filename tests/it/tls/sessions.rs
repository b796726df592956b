//! TLS sessions that a later connection resumes.

use std::io::Write;
use std::sync::{Arc, Mutex};

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind};
use rustls::HandshakeKind::{self, Full, Resumed};
use rustls::ServerConfig;

use super::{Server, trusting};
use crate::authority::{Authority, accept, for_names};
use crate::server::drain;
use crate::support::{IDENTITY, at};
use crate::wire::{read_request, respond};

/// Answers one request on each connection. Returns the kinds of the handshakes too.
fn one_each(config: Arc<ServerConfig>) -> (Server, Arc<Mutex<Vec<HandshakeKind>>>) {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = kinds.clone();
    let server = Server::on(move |stream| {
        let mut stream = accept(&config, stream);
        if read_request(&mut stream) {
            seen.lock().unwrap().push(stream.conn.handshake_kind().unwrap());
            let mut answer = Vec::new();
            respond(&mut answer, 1);
            let answer = String::from_utf8(answer).unwrap();
            let answer = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            stream.write_all(answer.as_bytes()).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        drain(&mut stream.sock);
    });
    (server, kinds)
}

fn provider(url: &str, transport: &Arc<UreqTransport>) -> CognitoIdentityCredentials {
    at(url).identity_id(IDENTITY).transport(transport.clone()).build().unwrap()
}

#[test]
fn a_later_connection_resumes_the_session_of_each_server() {
    let authority = Authority::new();
    for version in rustls::ALL_VERSIONS {
        let serve = || {
            let server = authority.issue(for_names(&["localhost", "127.0.0.1"]));
            one_each(server.config(&[version]))
        };
        let (one, its_kinds) = serve();
        let transport = Arc::new(trusting(&authority.pem));
        for _ in 0..3 {
            provider(&one.url("localhost"), &transport).get().unwrap();
        }
        assert_eq!(*its_kinds.lock().unwrap(), [Full, Resumed, Resumed], "{version:?}");

        // Sessions are cached by host name, without the port.
        let (other, other_kinds) = serve();
        let with_address = provider(&other.url("127.0.0.1"), &transport);
        with_address.get().unwrap();
        provider(&one.url("localhost"), &transport).get().unwrap();
        with_address.refresh().unwrap();
        assert_eq!(*other_kinds.lock().unwrap(), [Full, Resumed], "{version:?}");
        assert_eq!(its_kinds.lock().unwrap()[3], Resumed, "{version:?}");

        let fresh = Arc::new(trusting(&authority.pem));
        provider(&one.url("localhost"), &fresh).get().unwrap();
        assert_eq!(its_kinds.lock().unwrap()[4], Full, "not shared between transports");
    }
}

#[test]
fn a_transport_that_trusts_another_authority_resumes_no_session() {
    let authority = Authority::new();
    let (server, _) = one_each(authority.server_config(for_names(&["localhost"])));
    provider(&server.url("localhost"), &Arc::new(trusting(&authority.pem))).get().unwrap();
    let error = provider(&server.url("localhost"), &Arc::new(trusting(&Authority::new().pem)))
        .get()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}
