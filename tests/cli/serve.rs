//! `serve`: the endpoint for container credentials.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::transport::TransportErrorKind;

use crate::endpoint::{Answer, Serving, command, within};
use crate::service::{GET_CREDENTIALS, Machine, PATIENCE, after, signal, silent_service};

#[test]
fn a_client_gets_credentials_in_the_format_of_the_sdks() {
    let machine = Machine::new();
    let serving = Serving::start(&machine);
    let answer = serving.endpoint.get();
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.body.as_object().unwrap();
    let names: Vec<_> = body.keys().map(String::as_str).collect();
    assert_eq!(names, ["AccessKeyId", "Expiration", "SecretAccessKey", "Token"]);
    assert!(body.values().all(|value| !value.as_str().unwrap().is_empty()), "{body:?}");
    let end = body["Expiration"].as_str().unwrap();
    assert!(end.len() == 20 && end.ends_with('Z') && end.contains('T'), "{end}");
    for header in ["content-type: application/json", "cache-control: no-store", "connection: close"]
    {
        assert!(answer.headers.contains(header), "{answer:?}");
    }
    assert!(serving.end().success());
}

#[test]
fn serve_listens_on_any_loopback_address_and_without_a_runtime_directory_its_token_is_in_the_cache()
{
    let machine = Machine::new();
    for (listen, authority) in [("127.0.0.1:0", "127.0.0.1:"), ("[::1]:0", "[::1]:")] {
        let serving = Serving::spawn(machine.command(&["serve", "--listen", listen]));
        assert!(serving.endpoint.address.starts_with(authority), "{serving:?}");
        assert_eq!(serving.endpoint.get().status, 200);
        assert_eq!(serving.token_file.parent().unwrap(), machine.cache());
        assert!(serving.end().success());
    }
}

#[test]
fn only_its_owner_can_read_the_token_file_and_the_end_removes_it() {
    let machine = Machine::new();
    let mut tokens = Vec::new();
    for name in ["TERM", "INT", "HUP"] {
        // The umask must not change the rights of the file.
        let mut serving = Serving::spawn(after("umask 777", &command(&machine, &["--no-cache"])));
        let file = fs::metadata(&serving.token_file).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o600);
        let token = &serving.endpoint.token;
        assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
        let port = serving.endpoint.address.split(':').next_back().unwrap();
        assert!(serving.token_file.to_str().unwrap().contains(port));
        tokens.push(token.clone());
        serving.signal(name);
        assert!(serving.ended(Duration::from_secs(2)).success(), "{name}");
        assert!(!serving.token_file.exists(), "{name}");
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
}

#[test]
fn only_a_request_of_an_sdk_with_the_token_gets_credentials() {
    let machine = Machine::new();
    let serving = Serving::start(&machine);
    let good = serving.endpoint.request();
    let host = format!("Host: {}\r\n", serving.endpoint.address);
    let token = format!("Authorization: {}\r\n", serving.endpoint.token);
    let port = serving.endpoint.address.split(':').next_back().unwrap();
    let rows: [(String, u16); 19] = [
        (good.clone(), 200),
        (good.replace(&token, ""), 403),
        (good.replace(&serving.endpoint.token, &"0".repeat(64)), 403),
        (good.replace("Authorization: ", "Authorization: Bearer "), 403),
        (good.replace(&token, &token.repeat(2)), 400),
        (good.replace(&host, ""), 400),
        (good.replace(&host, &host.repeat(2)), 400),
        (good.replace(&host, "Host: evil.example\r\n"), 403),
        (good.replace(&host, &format!("Host: evil.example:{port}\r\n")), 403),
        (good.replace(&host, &format!("Host: localhost:{port}\r\n")), 403),
        (good.replace("/credentials", "/"), 404),
        (good.replace("/credentials", "/credentials/../x"), 404),
        (good.replace("GET", "POST"), 405),
        (good.replace("GET", "HEAD"), 405),
        (good.replace("GET", "OPTIONS"), 405),
        (
            good.replace("\r\n\r\n", "\r\nContent-Length: 100000\r\n\r\n") + &"x".repeat(100_000),
            400,
        ),
        (good.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(100_000))), 431),
        (good.replace("\r\n\r\n", &format!("\r\n{}\r\n", "X: x\r\n".repeat(100))), 431),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), 400),
    ];
    for (request, status) in rows {
        let shown: String = request.chars().take(200).collect();
        let answer = Answer::parse(&serving.endpoint.send(request.as_bytes()));
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        if status != 200 {
            let texts = ["code", "message"].map(|name| answer.body[name].as_str().unwrap_or(""));
            assert!(texts.iter().all(|text| !text.is_empty()), "{shown}: {answer:?}");
            assert!(!format!("{answer:?}").contains("ASIA"), "{shown}: {answer:?}");
        }
        assert_eq!(answer.headers.contains("\r\nallow: get"), status == 405, "{answer:?}");
    }
    assert!(
        serving.endpoint.get().key().starts_with("ASIA"),
        "after all refusals, the endpoint still answers"
    );
}

#[test]
fn idle_and_slow_clients_delay_no_other_client_and_the_memory_is_bounded() {
    let machine = Machine::new();
    let serving = Serving::start(&machine);
    let key = serving.endpoint.get().key();
    let memory = || -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let before = if cfg!(target_os = "linux") { memory() } else { 0 };
    let idle: Vec<_> = (0..200).map(|_| serving.endpoint.connect()).collect();
    let mut slow: Vec<_> = (0..200).map(|_| serving.endpoint.connect()).collect();
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        for stream in &mut slow {
            // Connections that were closed for newer ones return an error here.
            let _ = stream.write_all(if round == 0 {
                b"GET /credentials HTTP/1.1\r\nX: "
            } else {
                b"x"
            });
        }
        let begun = Instant::now();
        assert_eq!(serving.endpoint.get().key(), key);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    if cfg!(target_os = "linux") {
        assert!(memory() < before + 8 * 1024, "{before} KiB, then {} KiB", memory());
    }
    // The oldest connections were closed for newer ones.
    let mut closed = idle.into_iter().next().unwrap();
    assert_eq!(closed.read(&mut [0]).unwrap_or(0), 0);
    assert!(serving.end().success());
}

#[test]
fn serve_starts_without_network_and_has_credentials_when_the_service_answers() {
    let rows = [
        (Fault::NoAnswer(TransportErrorKind::Io), "check the network"),
        (Fault::throttled(), "TooManyRequestsException"),
        (
            Fault::not_authorized("Unauthenticated access is not supported."),
            "Unauthenticated access",
        ),
    ];
    // In parallel, because the library waits up to 5 s after an error of the service.
    thread::scope(|scope| {
        for (fault, says) in rows {
            scope.spawn(move || {
                let machine = Machine::new();
                machine.cognito.fail_next("GetId", 100_000, fault);
                let serving = Serving::spawn(command(&machine, &["--no-cache"]));
                let answer = serving.endpoint.get();
                assert_eq!(answer.status, 503, "{answer:?}");
                assert!(answer.body["code"].is_string(), "{answer:?}");
                assert!(answer.body["message"].as_str().unwrap().contains(says), "{answer:?}");
                machine.cognito.clear_faults();
                within(PATIENCE, || (serving.endpoint.get().status == 200).then_some(()));
                assert!(serving.end().success());
            });
        }
    });
}

#[test]
fn wrong_settings_end_serve_at_once() {
    let machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    machine.file("file", "");
    machine.directory("shared", 0o1777);
    let rows: [(&[&str], i32, &str); 10] = [
        (&["--listen", "0.0.0.0:0"], 2, "--listen: must be ADDRESS:PORT"),
        (&["--listen", "localhost:80"], 2, "--listen: must be ADDRESS:PORT"),
        (&["--listen", &taken], 1, "another program listens on"),
        (&["--token-file", "/no/such/directory/token"], 2, "mkdir -m 700 /no/such/directory"),
        (&["--token-file", "shared/token"], 2, "other users can write to the directory"),
        (&["--token-file", "file/token"], 1, "Not a directory"),
        (&["--token-file", "shared"], 1, "exists already and is not a file of this user"),
        (&["--token-file", "a\nb"], 2, "control character"),
        (&["--region", "eu-west-1"], 2, "--region"),
        (&["--login", "accounts.google.com=@/no/such/file"], 4, "/no/such/file"),
    ];
    for (arguments, status, says) in rows {
        let said = machine.finish(command(&machine, arguments));
        assert_eq!((said.status, &*said.out), (status, ""), "{arguments:?} {said:?}");
        assert!(said.err.contains(says), "{arguments:?} {said:?}");
    }
    let said = machine.run(&["serve", "--no-cache"]);
    assert_eq!(said.status, 2, "{said:?}");
    assert!(said.err.contains("--token-file: is needed here"), "{said:?}");
}

#[test]
fn a_token_file_of_a_killed_process_is_replaced_and_no_link_is_followed() {
    let machine = Machine::new();
    let path = machine.path("token");
    let arguments = ["--token-file", path.to_str().unwrap()];
    let mut killed = Serving::spawn(command(&machine, &arguments));
    let said = machine.finish(command(&machine, &arguments));
    assert!(said.err.contains("in use by another"), "{said:?}");
    assert_eq!(killed.endpoint.get().status, 200, "the second process has changed nothing");
    killed.signal("KILL");
    killed.ended(PATIENCE);
    assert!(path.exists());

    let serving = Serving::spawn(command(&machine, &arguments));
    assert_ne!(serving.endpoint.token, killed.endpoint.token);
    // A file that another process put there is not removed.
    fs::rename(&path, machine.path("away")).unwrap();
    machine.file("token", "of another process");
    assert!(serving.end().success());
    assert_eq!(fs::read_to_string(&path).unwrap(), "of another process");

    fs::remove_file(&path).unwrap();
    machine.file("target", "target");
    symlink(machine.path("target"), &path).unwrap();
    let said = machine.finish(command(&machine, &arguments));
    assert_eq!((said.status, &*said.out), (1, ""), "{said:?}");
    assert_eq!(fs::read_to_string(machine.path("target")).unwrap(), "target");
    assert!(path.is_symlink());
}

/// Starts `serve` with a service that never answers. Returns their connection, to keep it open.
fn start_with_silent_service(machine: &Machine) -> (Serving, TcpStream) {
    let (url, connections) = silent_service();
    let mut command = command(machine, &["--no-cache"]);
    command.env("AWS_ENDPOINT_URL", url);
    let serving = Serving::spawn(command);
    (serving, connections.recv_timeout(PATIENCE).unwrap())
}

#[test]
fn serve_ends_in_time_while_the_service_is_silent() {
    let machine = Machine::new();
    let (serving, silent) = start_with_silent_service(&machine);
    // The answer comes before a client gives up: boto3 does after 2 s.
    let begun = Instant::now();
    let answer = serving.endpoint.get();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(answer.status, 503, "{answer:?}");
    let mut waiting = serving.endpoint.connect();
    waiting.write_all(serving.endpoint.request().as_bytes()).unwrap();
    let token_file = serving.token_file.clone();
    assert!(serving.end().success());
    assert!(!token_file.exists());
    drop(silent);
}

#[test]
fn clients_see_newer_keys_and_no_error_when_keys_expire_or_the_process_was_stopped() {
    let machine = Machine::new();
    // Credentials count as expired 15 s early, so these count as expired after about 1 s.
    machine.cognito.set_lifetime(Duration::from_secs(16));
    let serving = Serving::spawn(command(&machine, &["--no-cache"]));
    let mut key = serving.endpoint.get().key();
    for is_stopped in [false, true] {
        if is_stopped {
            serving.signal("STOP");
            let begun = Instant::now();
            within(PATIENCE, || (begun.elapsed() > Duration::from_secs(2)).then_some(()));
            serving.signal("CONT");
            assert_ne!(serving.endpoint.get().key(), key, "the key is new after the stop");
        }
        let old = std::mem::take(&mut key);
        key = within(PATIENCE, || Some(serving.endpoint.get().key()).filter(|key| *key != old));
    }
    assert!(serving.end().success());
}

#[test]
fn thousands_of_requests_make_no_calls_and_no_client_notices_an_outage_while_the_keys_are_good() {
    let machine = Machine::new();
    let serving = Serving::start(&machine);
    let key = serving.endpoint.get().key();
    let calls = machine.calls();
    machine.cognito.fail_next(GET_CREDENTIALS, 100_000, Fault::internal_error());
    for _ in 0..2000 {
        assert_eq!(serving.endpoint.get().key(), key);
    }
    assert_eq!(machine.calls(), calls);
    assert!(serving.end().success());
}

#[test]
fn systemd_gets_a_message_at_the_start_and_at_the_end() {
    let machine = Machine::new();
    let path = machine.path("notify");
    let mut sockets = vec![(path.to_str().unwrap().to_owned(), UnixDatagram::bind(&path).unwrap())];
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::SocketAddr;

        let name = format!("cognito-credentials-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        sockets.push((format!("@{name}"), UnixDatagram::bind_addr(&address).unwrap()));
    }
    for (name, socket) in sockets {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = command(&machine, &[]);
        command.env("NOTIFY_SOCKET", name);
        let serving = Serving::spawn(command);
        let said = || {
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let ready = said();
        assert!(ready.starts_with("READY=1\n"), "{ready}");
        assert!(!ready.contains(&serving.endpoint.token), "{ready}");
        assert!(serving.end().success());
        assert_eq!(said(), "STOPPING=1\n");
    }
}

#[test]
fn the_log_names_the_requests_and_no_secret() {
    let machine = Machine::new();
    let mut command = command(&machine, &["--verbose"]);
    command.stderr(Stdio::piped());
    let mut serving = Serving::spawn(command);
    let answer = serving.endpoint.get();
    let refused = serving.endpoint.send(b"GET /\x1b[2J HTTP/1.1\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    serving.signal("TERM");
    assert!(serving.ended(Duration::from_secs(2)).success());
    let mut log = String::new();
    serving.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    for step in ["identity pool ", "new credentials, 2 calls", "GET /credentials from port "] {
        assert!(log.contains(&format!("info: {step}")), "{step}: {log}");
    }
    assert!(log.contains(": 200 OK"), "{log}");
    let secrets = ["SecretAccessKey", "Token"].map(|name| answer.body[name].as_str().unwrap());
    for secret in [secrets[0], secrets[1], &serving.endpoint.token, "\x1b"] {
        assert!(!log.contains(secret), "{secret:?} in {log}");
    }
}

#[test]
fn a_log_that_nobody_reads_delays_no_client() {
    let machine = Machine::new();
    let mut command = command(&machine, &["--verbose"]);
    command.stderr(Stdio::piped());
    let serving = Serving::spawn(command);
    // More lines than a pipe has room for.
    for request in 0..2000 {
        assert_eq!(serving.endpoint.get().status, 200, "{request}");
    }
    assert!(serving.end().success());
}

#[test]
fn a_client_that_has_closed_its_half_still_gets_its_answer() {
    let machine = Machine::new();
    let (serving, silent) = start_with_silent_service(&machine);
    let mut client = serving.endpoint.connect();
    client.write_all(serving.endpoint.request().as_bytes()).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(Answer::parse(&text).status, 503, "{text}");
    drop(silent);
    assert!(serving.end().success());
}

#[test]
fn a_client_that_waits_for_credentials_is_not_closed_for_newer_connections() {
    let machine = Machine::new();
    let (serving, silent) = start_with_silent_service(&machine);
    let mut client = serving.endpoint.connect();
    client.write_all(serving.endpoint.request().as_bytes()).unwrap();
    // More than `serve` keeps open.
    let newer: Vec<_> = (0..400).map(|_| serving.endpoint.connect()).collect();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(Answer::parse(&text).status, 503, "{text}");
    drop((newer, silent));
    assert!(serving.end().success());
}

#[test]
fn only_a_token_file_is_replaced() {
    let machine = Machine::new();
    let token = "0123456789abcdef".repeat(4);
    let temporary = "token.cognito-credentials";
    let rows = [
        ("token", token.clone(), true),
        // A process that was killed while it wrote, or a full disk.
        (temporary, token[..10].to_owned(), true),
        (temporary, String::new(), true),
        ("token", token[..63].to_owned(), false),
        ("token", "4711".to_owned(), false),
        ("token", String::new(), false),
        ("token", token.to_uppercase(), false),
        ("token", format!("{token}0"), false),
        ("token", format!("{}\n", &token[..63]), false),
        ("token", "a letter".to_owned(), false),
    ];
    for (name, text, is_replaced) in rows {
        machine.file(name, &text);
        let command = command(&machine, &["--token-file", "token"]);
        if is_replaced {
            let serving = Serving::spawn(command);
            assert_eq!(serving.endpoint.get().status, 200, "{name} {text:?}");
            assert!(serving.end().success());
            assert!(!machine.path("token").exists(), "{name} {text:?}");
        } else {
            let said = machine.finish(command);
            assert_eq!((said.status, &*said.out), (1, ""), "{text:?} {said:?}");
            assert!(said.err.contains("is not a token file; remove it"), "{text:?} {said:?}");
            assert_eq!(fs::read_to_string(machine.path("token")).unwrap(), text);
            fs::remove_file(machine.path("token")).unwrap();
        }
        assert!(!machine.path(temporary).exists(), "{name} {text:?}");
    }
}

#[test]
fn the_advice_in_an_answer_fits_the_options() {
    let machine = Machine::new();
    let identity = "us-east-1:12345678-dead-beef-cafe-000000000000";
    let serving = Serving::spawn(command(&machine, &["--identity-id", identity]));
    let answer = serving.endpoint.get();
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("leave out or correct --identity-id"), "{answer:?}");
    assert!(serving.end().success());
}

#[test]
fn serve_continues_after_its_standard_output_is_closed() {
    let machine = Machine::new();
    let path = machine.path("token");
    let listen = crate::server::closed_address().to_string();
    let mut child = command(&machine, &["--token-file", "token", "--listen", &listen])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let token = within(PATIENCE, || fs::read_to_string(&path).ok().filter(|it| !it.is_empty()));
    let endpoint = crate::endpoint::Endpoint::new(&format!("http://{listen}/credentials"), token);
    assert_eq!(endpoint.get().status, 200);
    signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
}
