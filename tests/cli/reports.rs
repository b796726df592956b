//! The reports of `doctor` and `status`: TLS and certificates, control characters, JSON, colours.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::testing::{FakeCognito, Fault};
use rcgen::DnType;
use rustls::SupportedProtocolVersion;
use serde_json::Value;

use crate::authority::{Authority, accept, for_names};
use crate::layout;
use crate::service::{GET_CREDENTIALS, Machine, POOL, PROVIDER, SECRET, Said, listen};

const DAY: Duration = Duration::from_secs(86_400);

/// How a server's certificate differs from a good one.
struct Certificate {
    name: &'static str,
    subject: &'static str,
    /// Days from now.
    validity: [i64; 2],
}

impl Default for Certificate {
    fn default() -> Self {
        Self { name: "localhost", subject: "the server", validity: [-10, 61] }
    }
}

fn days_from_now(days: i64) -> SystemTime {
    let span = DAY * u32::try_from(days.unsigned_abs()).unwrap();
    let now = SystemTime::now() + Duration::from_secs(60);
    if days < 0 { now - span } else { now + span }
}

/// Starts the service with TLS. Returns its URL and the PEM of its authority.
fn tls_server(
    cognito: &FakeCognito,
    certificate: &Certificate,
    versions: &[&'static SupportedProtocolVersion],
) -> (String, String) {
    let authority = Authority::root(|params| {
        params.distinguished_name.push(DnType::CommonName, "the office's authority");
    });
    let mut params = for_names(&[certificate.name]);
    params.distinguished_name.push(DnType::CommonName, certificate.subject);
    params.not_before = days_from_now(certificate.validity[0]).into();
    params.not_after = days_from_now(certificate.validity[1]).into();
    let config = authority.issue(params).config(versions);
    let cognito = cognito.clone();
    let url = listen(move |stream| {
        let _ = cognito.serve(accept(&config, stream));
    });
    (url.replace("http://127.0.0.1", "https://localhost"), authority.pem)
}

fn examine(machine: &Machine, arguments: &[&str]) -> Said {
    let said = machine.run(&[&["doctor"], arguments].concat());
    assert_eq!(said.err, "", "{arguments:?}");
    layout::check(&said.out);
    Said { out: layout::joined(&said.out), ..said }
}

#[test]
fn the_doctor_shows_version_cipher_and_certificate_of_a_server_also_if_it_is_rejected() {
    let (tls12, both) = ([&rustls::version::TLS12], rustls::ALL_VERSIONS);
    let good = Certificate::default;
    let issuer = "; issuer CN=the office's authority";
    let rows: [(Certificate, &[_], bool, i32, [String; 3]); 7] = [
        (
            good(),
            both,
            true,
            0,
            [
                "ok      TLS          TLS 1.3, TLS13_AES_256_GCM_SHA384\n".to_owned(),
                format!(
                    "ok      certificate  CN=the server{issuer}; for localhost; expires in 61 days ("
                ),
                "ok      clock        right\n".to_owned(),
            ],
        ),
        (
            good(),
            &tls12,
            true,
            0,
            [
                "ok      TLS          TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n"
                    .to_owned(),
                "ok      certificate  CN=the server".to_owned(),
                "ok      credentials  ASIAFAKE".to_owned(),
            ],
        ),
        (
            Certificate { name: "other.example", ..good() },
            both,
            true,
            3,
            [
                "BAD     TLS          the certificate is for another name\n".to_owned(),
                format!(
                    "BAD     certificate  CN=the server{issuer}; for other.example; expires in "
                ),
                "BAD     call         GetId: ".to_owned(),
            ],
        ),
        (
            good(),
            both,
            false,
            3,
            [
                "BAD     TLS          the certificate's issuer is not a trusted authority\n"
                    .to_owned(),
                format!("BAD     certificate  CN=the server{issuer}; for localhost; expires in "),
                "--ca-file".to_owned(),
            ],
        ),
        (
            Certificate { validity: [-30, -3], ..good() },
            both,
            true,
            3,
            [
                "BAD     TLS          the certificate has expired by this machine's clock\n"
                    .to_owned(),
                format!(
                    "BAD     certificate  CN=the server{issuer}; for localhost; expired 2 days ago ("
                ),
                "BAD     credentials  ".to_owned(),
            ],
        ),
        (
            Certificate { validity: [4, 90], ..good() },
            both,
            true,
            3,
            [
                "BAD     TLS          the certificate is not valid yet by this machine's clock\n"
                    .to_owned(),
                format!(
                    "BAD     certificate  CN=the server{issuer}; for localhost; begins in 4 days ("
                ),
                "BAD     credentials  ".to_owned(),
            ],
        ),
        (
            Certificate { subject: "the\u{1b}[31m\r\nok      server \u{202e}", ..good() },
            both,
            true,
            0,
            [
                "ok      certificate  CN=the\\1b[31m\\0d\\0aok      server \\u{202e}; ".to_owned(),
                "ok      TLS          TLS 1.3".to_owned(),
                "ok      credentials  ASIAFAKE".to_owned(),
            ],
        ),
    ];
    for (certificate, versions, is_trusted, status, lines) in rows {
        let machine = Machine::new();
        let (url, authority) = tls_server(&machine.cognito, &certificate, versions);
        let mut arguments = vec!["--endpoint-url", &url];
        machine.file("ca.pem", authority);
        if is_trusted {
            arguments.push("--ca-file=ca.pem");
        }
        let said = examine(&machine, &arguments);
        assert_eq!(said.status, status, "{}", said.out);
        for line in lines {
            assert!(said.out.contains(&line), "{line} not in\n{}", said.out);
        }
    }
}

#[test]
fn the_doctor_makes_no_handshake_without_authorities() {
    let machine = Machine::new();
    let certificate = Certificate::default();
    let (url, _) = tls_server(&machine.cognito, &certificate, rustls::ALL_VERSIONS);
    machine.file("ca.pem", "no certificate");
    for file in ["ca.pem", "missing.pem"] {
        let said = examine(&machine, &["--endpoint-url", &url, "--ca-file", file]);
        assert_ne!(said.status, 0, "{}", said.out);
        let skipped = "skipped TLS          the authorities cannot be read\n";
        assert!(said.out.contains(skipped), "{file}: {}", said.out);
    }
}

/// Opens each tunnel to a server on this machine.
fn tunnel_to(url: &str) -> String {
    let server = url.rsplit_once(':').unwrap().1.to_owned();
    listen(move |mut client| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if client.read(&mut byte).unwrap() == 0 {
                return;
            }
            head.extend(byte);
        }
        let mut server = TcpStream::connect(format!("127.0.0.1:{server}")).unwrap();
        let mut answer = &b"HTTP/1.1 200 OK\r\n\r\n"[..];
        std::io::copy(&mut answer, &mut client).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    })
}

#[test]
fn the_doctor_shows_the_proxy_and_the_certificate_behind_it() {
    let machine = Machine::new();
    let certificate = Certificate { name: "service.test", ..Certificate::default() };
    let (url, authority) = tls_server(&machine.cognito, &certificate, rustls::ALL_VERSIONS);
    machine.file("ca.pem", authority);
    let proxy = tunnel_to(&url);
    let address = proxy.trim_start_matches("http://");
    let with_password = proxy.replace("http://", &format!("http://ann:{SECRET}@"));
    machine.file("proxy", with_password);
    let port = url.rsplit_once(':').unwrap().1;
    let url = format!("--endpoint-url=https://service.test:{port}");
    for proxy in [&*proxy, "@proxy"] {
        let said = examine(&machine, &[&url, "--ca-file=ca.pem", "--proxy", proxy]);
        assert_eq!(said.status, 0, "{}", said.out);
        assert!(said.out.contains(&format!("ok      proxy        {address}\n")), "{}", said.out);
        assert!(said.out.contains("; for service.test; expires in 61 days"), "{}", said.out);
        assert!(!said.out.contains(SECRET), "{}", said.out);
    }
    // A host in no_proxy is reached directly.
    let mut command = machine.command(&["doctor", &url, "--ca-file=ca.pem", "--timeout=5"]);
    command.env("HTTPS_PROXY", &proxy).env("NO_PROXY", ".test");
    let said = machine.finish(command);
    assert!(!said.out.contains("proxy        127.0.0.1"), "{}", said.out);
    assert!(said.out.contains("address      service.test:"), "{}", said.out);
}

fn jwt(payload: &str) -> String {
    format!("e30.{}.{SECRET}", URL_SAFE_NO_PAD.encode(payload))
}

#[test]
fn a_report_goes_on_after_a_step_that_fails_and_says_what_it_skips() {
    let user_pool = "cognito-idp.us-east-1.amazonaws.com/us-east-1_abc";
    let of_user_pool = jwt(&format!(r#"{{"iss": "https://{user_pool}", "exp": 4000000000}}"#));
    let access = jwt(r#"{"typ": "Bearer", "iss": "https://sso.example.com", "exp": 4000000000}"#);
    let pool = ["--user-pool-id=us-east-1_x", "--user-pool-client-id=x", "--refresh-token=@none"];
    let rows: [(&[&str], i32, &[&str]); 10] = [
        (
            &["--timeout=0"],
            2,
            &[
                "BAD     settings     --timeout: ",
                ".cache/cognito-credentials, can be written\n",
                "skipped stored       ",
                "ok      connection   127.0.0.1:",
                "ok      clock        right\n",
                "skipped credentials  ",
            ],
        ),
        (
            &["--region=eu-west-1", "--cache-dir=shared"],
            2,
            &[
                "BAD     settings     --region: ",
                "BAD     cache        shared: ",
                "ok      connection   ",
            ],
        ),
        (
            &["--ca-file=none.pem"],
            2,
            &[
                "BAD     settings     --ca-file: ",
                "ok      settings     identity pool ",
                "ok      cache        ",
                "ok      connection   127.0.0.1:",
                "ok      clock        right\n",
                "skipped credentials  ",
            ],
        ),
        (
            &["--login=a.example=@none", "--login=accounts.google.com=@google"],
            4,
            &[
                "BAD     login        --login: no token for a.example: none: ",
                "ok      login        accounts.google.com: a token valid for ",
                "ok      connection   127.0.0.1:",
                "ok      clock        right\n",
                "skipped credentials  ",
            ],
        ),
        (
            &["--login=a.example=@none", "--identity-pool-id=pool", "--duration=1s"],
            4,
            &[
                "BAD     login        --login: no token for a.example: none: ",
                "BAD     settings     --identity-pool-id: must have the form",
            ],
        ),
        (
            &pool,
            4,
            &[
                "BAD     login        --refresh-token: none: ",
                "ok      settings     region us-east-1 (of the pool's ID); ",
                "ok      connection   127.0.0.1:",
            ],
        ),
        (
            &["--login=accounts.google.com=@pool-token"],
            4,
            &[
                &format!(
                    "BAD     login        accounts.google.com: the token from the file pool-token was issued by https://{user_pool}, and needs the name {user_pool} what to do: write --login {user_pool}=…"
                ),
                "BAD     credentials  ",
            ],
        ),
        (
            &["--login=sso.example.com=@access"],
            4,
            &[
                "BAD     login        sso.example.com: the token from the file access is an access token, but the identity pool needs the ID token what to do: ",
            ],
        ),
        (
            &["--cache-dir=shared"],
            1,
            &[
                "BAD     cache        shared: ",
                "without a cache each call creates a new guest\n",
                "ok      credentials  ASIAFAKE",
            ],
        ),
        (
            &["--cache-dir=shared", "--login=accounts.google.com=@google"],
            1,
            &["BAD     cache        shared: ", "without a cache each call asks the service\n"],
        ),
    ];
    for (arguments, status, lines) in rows {
        let machine = Machine::new();
        let google = jwt(r#"{"iss": "https://accounts.google.com", "exp": 4000000000}"#);
        for (name, token) in
            [("google", &google), ("pool-token", &of_user_pool), ("access", &access)]
        {
            machine.file(name, token);
        }
        std::fs::create_dir(machine.path("shared")).unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(machine.path("shared"), open).unwrap();
        let said = examine(&machine, arguments);
        assert_eq!(said.status, status, "{arguments:?}\n{}", said.out);
        for line in lines {
            assert!(said.out.contains(line), "{line} not in\n{}", said.out);
        }
    }
}

/// A text with visible ends and control characters between them.
const HOSTILE: &str = "a\u{1b}[2J\r\nok\t\u{9b}31m\u{202e}\u{2066}\u{200b}z";

fn assert_harmless(out: &str) {
    let harmful = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200b}".contains(c);
    assert!(!out.contains(harmful), "{out:?}");
}

#[test]
fn no_text_from_outside_controls_the_terminal() {
    let directory = format!("--cache-dir={HOSTILE}");
    let provider = format!("--login={HOSTILE}=@token");
    let file = format!("--login=p=@{HOSTILE}");
    let rows: [(&str, &[&str]); 8] = [
        ("the directory of the cache", &[&directory]),
        ("the name of a login", &[&provider]),
        ("the file of a token", &[&file]),
        ("the issuer of a token", &["--login=accounts.google.com=@token"]),
        ("the file of the authorities", &[&format!("--ca-file={HOSTILE}")]),
        ("a URL", &[&format!("--endpoint-url=http://127.0.0.1:1/{HOSTILE}")]),
        ("a region", &[&format!("--region={HOSTILE}")]),
        ("a proxy", &[&format!("--proxy=http://{HOSTILE}:1")]),
    ];
    let payload = serde_json::json!({ "iss": format!("https://x.example/{HOSTILE}") });
    let check = |machine: &Machine, what: &str, arguments: &[&str]| {
        for command in ["status", "doctor"] {
            for format in [None, Some("--json")] {
                let all = [&[command], arguments, format.as_slice()].concat();
                let said = machine.run(&all);
                assert_harmless(&said.out);
                if format.is_some() && !said.out.is_empty() {
                    let document: Value = serde_json::from_str(&said.out).unwrap();
                    assert!(document["version"] == 1, "{what}");
                } else if command == "doctor" {
                    layout::check(&said.out);
                }
            }
        }
    };
    for (what, arguments) in rows {
        let machine = Machine::new();
        machine.file("token", jwt(&payload.to_string()));
        check(&machine, what, arguments);
    }
    // From the service.
    let keys = |key: &str| {
        serde_json::json!({
            "IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0",
            "Credentials": {
                "AccessKeyId": key, "SecretKey": "s", "SessionToken": "t", "Expiration": 4e9,
            },
        })
    };
    let faults = [
        Fault::error(400, "NotAuthorizedException", HOSTILE),
        Fault::error(400, HOSTILE, HOSTILE),
        Fault::raw(400, HOSTILE),
        Fault::raw(200, keys(HOSTILE).to_string()),
        Fault::raw(200, HOSTILE),
    ];
    for fault in faults {
        let machine = Machine::new();
        machine.cognito.fail_next(GET_CREDENTIALS, usize::MAX, fault);
        check(&machine, "an answer", &[]);
    }
}

/// The step, result and text of each step, without times of this run.
fn without_times(text: &str) -> String {
    let digits =
        |word: &str| word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let words: Vec<String> = text.split(' ').map(digits).collect();
    words.join(" ").replace("00 ms", "0 ms").replace("00 ms", "0 ms")
}

#[test]
fn the_json_document_of_the_doctor_says_what_its_lines_say() {
    let rows: [(&[&str], i32); 4] = [
        (&[], 0),
        (&["--endpoint-url=http://127.0.0.1:1"], 3),
        (&["--timeout=0"], 2),
        (&["--login=accounts.google.com=@none"], 4),
    ];
    for (arguments, status) in rows {
        let machine = Machine::new();
        // After this, `status` and `doctor` both find an identity.
        machine.fine(&["process"]);
        let json = machine.run(&[&["doctor", "--json"], arguments].concat());
        assert_eq!((json.status, &*json.err), (status, ""), "{}", json.out);
        let document: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(document["version"], 1);
        assert_eq!(document["exit_status"], status);
        let mut lines = String::new();
        for step in document["steps"].as_array().unwrap() {
            let word = match step["result"].as_str().unwrap() {
                "bad" => "BAD",
                word => word,
            };
            let text = |field: &str| step[field].as_str().map(str::to_owned);
            let (name, said) = (text("step").unwrap(), text("text").unwrap());
            write!(lines, "{word:<8}{name:<13}{said}").unwrap();
            if let Some(advice) = text("advice") {
                write!(lines, " what to do: {advice}").unwrap();
            }
            lines.push('\n');
        }
        let text = examine(&machine, arguments);
        assert_eq!(text.status, status);
        let line = |line: &str| without_times(line.split("credentials ASIA").next().unwrap());
        let expected: Vec<_> = text.out.lines().map(line).collect();
        assert_eq!(lines.lines().map(line).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_details_of_the_json_documents_are_for_programs() {
    let machine = Machine::new();
    let empty: Value = serde_json::from_str(&machine.fine(&["status", "--json"])).unwrap();
    assert!(empty["identity"].is_null() && empty["credentials"].is_null(), "{empty}");
    assert_eq!(empty["rotated_refresh_token"], false);
    let doctor = machine.fine(&["doctor", "--json"]);
    let doctor: Value = serde_json::from_str(&doctor).unwrap();
    let details = |name: &str| {
        let steps = doctor["steps"].as_array().unwrap().iter();
        let found = steps.filter(|step| step["step"] == name && !step["details"].is_null());
        found.map(|step| step["details"].clone()).next_back().unwrap_or_default()
    };
    assert_eq!(details("settings")["identity_pool_id"], POOL);
    assert_eq!(details("call")["operation"], "GetCredentialsForIdentity");
    assert_eq!(details("call")["http_status"], 200);
    assert_eq!(details("clock")["difference_seconds"], 0);
    assert!(details("connection")["seconds"].is_number());
    let status: Value = serde_json::from_str(&machine.fine(&["status", "--json"])).unwrap();
    let credentials = details("credentials");
    assert_eq!(status["version"], 1);
    assert_eq!(status["identity_pool_id"], POOL);
    assert_eq!(status["identity"]["id"], credentials["identity_id"], "{status} {credentials}");
    assert_eq!(status["identity"]["given"], false);
    assert_eq!(status["credentials"]["access_key_id"], credentials["access_key_id"]);
    for found in [&status["credentials"], &credentials] {
        let end = found["expiration"].as_str().unwrap();
        let left = found["expires_in_seconds"].as_u64().unwrap();
        assert!(end.len() == 20 && end.ends_with('Z') && (3500..=3600).contains(&left), "{found}");
    }
    let cache = &status["cache"];
    assert_eq!(cache["directory"], machine.cache().to_str().unwrap());
    assert!(cache["problem"].is_null() && cache["limit"].is_null(), "{cache}");
    for id in machine.cognito.requests().iter().filter_map(|request| request.identity_id()) {
        assert!(!status.to_string().contains(id) && !doctor.to_string().contains(id));
    }
    // A missing login token leaves the user unknown.
    let login = format!("--login={PROVIDER}=@none");
    let missing: Value =
        serde_json::from_str(&machine.fine(&["status", "--json", &login])).unwrap();
    assert!(missing["login_error"].as_str().unwrap().contains("none: "), "{missing}");
}

#[test]
fn the_lines_of_status_are_aligned_and_fit() {
    let machine = Machine::new();
    let long = "long/".repeat(40);
    machine.file("file", "");
    machine.fine(&["process"]);
    let rows: [&[&str]; 4] = [
        &["status"],
        &["status", "--cache-dir", &long],
        &[
            "status",
            "--login=accounts.google.com=@none",
            "--login=sso.example.com/realms/devices=@none",
        ],
        &[
            "status",
            "--cache-dir=file/none",
            "--identity-id=us-east-1:12345678-dead-beef-cafe-123456790ab0",
        ],
    ];
    for arguments in rows {
        layout::check_status(&machine.fine(arguments));
    }
    let said = layout::joined(&machine.fine(rows[3]));
    assert!(said.contains("cache          nothing stored: file/none cannot be used: "), "{said}");
}

#[test]
fn status_names_a_wrong_setting_also_while_the_login_token_is_missing() {
    let machine = Machine::new();
    let missing = ["status", "--login=accounts.google.com=@none"];
    let rows = ["--identity-pool-id=pool", "--region=eu-west-1", "--endpoint-url=x", "--timeout=0"];
    for wrong in rows {
        for more in [&["--json"][..], &[]] {
            let said = machine.run(&[&missing, &[wrong][..], more].concat());
            assert_eq!((said.status, &*said.out), (2, ""), "{wrong} {said:?}");
            let option = wrong.split('=').next().unwrap();
            assert!(said.err.contains(&format!(": {option}: ")), "{wrong} {said:?}");
        }
    }
}

/// Runs a command whose standard output is a terminal.
fn on_a_terminal(machine: &Machine, variables: &[(&str, &str)]) -> (i32, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let side = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut command = machine.command(&["doctor", "--login=p=@none"]);
    command.envs(variables.iter().copied()).stdout(Stdio::from(side));
    let mut child = command.spawn().unwrap();
    // Its copy of the terminal would keep the output open.
    drop(command);
    let mut out = Vec::new();
    // The end of a terminal is an error on Linux.
    let _ = std::fs::File::from(terminal).read_to_end(&mut out);
    let status = child.wait().unwrap().code().unwrap();
    (status, String::from_utf8(out).unwrap().replace("\r\n", "\n"))
}

#[test]
fn verdicts_have_colours_on_a_terminal_that_shows_them() {
    let machine = Machine::new();
    let pipe = machine.run(&["doctor", "--login=p=@none"]);
    let rows: [(&[(&str, &str)], bool); 5] = [
        (&[("TERM", "xterm")], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
        (&[("TERM", "linux")], true),
    ];
    let plain = |text: &str| without_times(&layout::joined(text));
    for (variables, is_coloured) in rows {
        let (status, out) = on_a_terminal(&machine, variables);
        assert_eq!(status, pipe.status, "{variables:?}");
        let colours =
            ["\u{1b}[32mok\u{1b}[0m ", "\u{1b}[31mBAD\u{1b}[0m ", "\u{1b}[33mskipped\u{1b}[0m "];
        for colour in colours {
            assert_eq!(out.contains(colour), is_coloured, "{variables:?} {out:?}");
        }
        let codes = ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m"];
        let without = codes.iter().fold(out, |out, code| out.replace(code, ""));
        assert_eq!(plain(&without), plain(&pipe.out), "{variables:?}");
    }
    assert_harmless(&pipe.out);
}
