//! `doctor`: what works, what does not, and what to do about it.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::transport::TransportErrorKind;

use crate::authority::Authority;
use crate::layout;
use crate::service::{
    GET_CREDENTIALS, Machine, POOL, PROVIDER, ROLE, SECRET, Said, copy_program, for_each_row, jwt,
    listen, refusing_proxy, run_like, runnable,
};

pub(crate) fn examine(machine: &Machine, arguments: &[&str]) -> Said {
    let said = machine.run(&[&["doctor"], arguments].concat());
    assert_eq!(said.err, "", "{arguments:?}: standard error is empty");
    for secret in [SECRET, "fake/secret", "fake+session"] {
        assert!(!said.out.contains(secret), "{}", said.out);
    }
    for request in machine.cognito.requests() {
        if let Some(id) = request.identity_id() {
            assert!(!said.out.contains(id), "{}", said.out);
        }
    }
    layout::check(&said.out);
    Said { out: layout::joined(&said.out), ..said }
}

fn token(end: u64) -> String {
    jwt(&format!(r#"{{"exp": {end}}}"#))
}

#[test]
fn without_faults_the_doctor_reports_no_bad_step() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, token(4_000_000_000), "ann");
    machine.file("token", token(4_000_000_000));
    let login = format!("--login={PROVIDER}=@token");
    let said = examine(&machine, &[&login, "--role-arn", ROLE]);
    assert_eq!(said.status, 0, "{}", said.out);
    for line in [
        "ok      login        accounts.google.com: a token valid for ",
        &format!(
            "ok      settings     identity pool {POOL}; accounts.google.com, by the file token\n"
        ),
        &format!("ok      cache        {}, can be written\n", machine.cache().display()),
        "ok      stored       no identity; no credentials\n",
        "ok      connection   127.0.0.1:",
        "skipped TLS          the endpoint is plain http, without TLS\n",
        "ok      call         GetId: HTTP status 200 in ",
        "ok      call         GetOpenIdToken: HTTP status 200 in ",
        "ok      call         AssumeRoleWithWebIdentity: HTTP status 200 in ",
        "ok      clock        right\n",
        "ok      credentials  ASIAFAKE",
        " minutes; identity us-east-1:…",
    ] {
        assert!(said.out.contains(line), "{line} not in\n{}", said.out);
    }
    assert!(!said.out.contains("BAD"), "{}", said.out);
    let before = machine.calls();
    examine(&machine, &[&login, "--role-arn", ROLE]);
    assert!(
        machine.calls() > before,
        "the doctor makes calls, even if there are cached credentials"
    );
}

#[test]
fn the_doctor_names_each_fault_and_what_to_do() {
    struct Case<'a> {
        prepare: &'a (dyn Fn(&Machine) + Sync),
        /// The word `URL` stands for the text of the file `url`.
        arguments: &'a [&'a str],
        status: i32,
        says: [&'a str; 2],
    }

    let (proxy, _) = refusing_proxy();
    let rows: [Case<'_>; 13] = [
        Case {
            prepare: &|machine| {
                machine.cognito.set_time(SystemTime::now() + Duration::from_secs(7300));
            },
            arguments: &[],
            status: 1,
            says: [
                "BAD     clock        this machine's clock is 2 hours behind the service's",
                "set it (NTP)",
            ],
        },
        Case {
            prepare: &|machine| {
                machine.cognito.set_time(SystemTime::now() - Duration::from_secs(7300));
            },
            arguments: &[],
            status: 1,
            says: [
                "BAD     clock        this machine's clock is 2 hours ahead of the service's",
                "set it (NTP)",
            ],
        },
        Case {
            prepare: &|machine| {
                machine.cognito.fail_next(
                    GET_CREDENTIALS,
                    2,
                    Fault::not_authorized(
                        "Unauthenticated access is not supported for this identity pool.",
                    ),
                );
            },
            arguments: &[],
            status: 1,
            says: [
                "BAD     call         GetCredentialsForIdentity: HTTP status 400",
                "what to do: the pool allows no guests",
            ],
        },
        Case {
            prepare: &|machine| drop(machine.file("token", token(1))),
            arguments: &["--login=p=@token"],
            status: 4,
            says: [
                "BAD     login        p: the token from the file token expired ",
                "what to do: sign in again",
            ],
        },
        Case {
            prepare: &|machine| {
                machine.file("token", jwt(r#"{"token_use":"access","exp":4000000000}"#));
            },
            arguments: &["--login=cognito-idp.us-east-1.amazonaws.com/us-east-1_x=@token"],
            status: 4,
            says: [
                "BAD     login        cognito-idp.us-east-1.amazonaws.com/us-east-1_x: the token from the file token is an access token",
                "what to do: give --login the ID token",
            ],
        },
        Case {
            prepare: &|_| {},
            arguments: &["--login=p=@none"],
            status: 4,
            says: ["BAD     login        --login: no token for p: none: ", "what to do"],
        },
        Case {
            prepare: &|_| {},
            arguments: &["--timeout=0"],
            status: 2,
            says: ["BAD     settings     --timeout: ", "must be longer than zero"],
        },
        Case {
            prepare: &|_| {},
            arguments: &["--endpoint-url=http://127.0.0.1:1"],
            status: 3,
            says: [
                "BAD     call         GetId: could not connect to 127.0.0.1:1: 127.0.0.1 refused",
                "what to do: nothing listens on that port",
            ],
        },
        Case {
            prepare: &|machine| {
                // This server answers with HTTP instead of TLS.
                let url = listen(|mut stream| {
                    let _ = stream.read(&mut [0; 1024]);
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                });
                machine.file("url", url.replace("http://127.0.0.1", "https://localhost"));
            },
            arguments: &["URL"],
            status: 3,
            says: [
                "BAD     TLS          the answer is not TLS\n",
                "GetId: no TLS connection to localhost:",
            ],
        },
        Case {
            prepare: &|_| {},
            arguments: &["--endpoint-url=https://nowhere.invalid", "--timeout=10"],
            status: 3,
            says: ["BAD     address      nowhere.invalid: ", "name server"],
        },
        Case {
            prepare: &|_| {},
            arguments: &["--endpoint-url=https://nowhere.invalid", "--proxy", &proxy],
            status: 3,
            says: [
                ": no tunnel to nowhere.invalid:443: it answered with status 403\n",
                "GetId: no connection to nowhere.invalid:443 through the proxy ",
            ],
        },
        // Only `localhost` itself and addresses of the loopback are direct.
        Case {
            prepare: &|_| {},
            arguments: &["--endpoint-url=https://app.localhost", "--proxy", &proxy],
            status: 3,
            says: [
                ": no tunnel to app.localhost:443: it answered with status 403\n",
                "GetId: no connection to app.localhost:443 through the proxy ",
            ],
        },
        Case {
            prepare: &|machine| machine.directory("shared", 0o777),
            arguments: &["--cache-dir=shared"],
            status: 1,
            says: ["BAD     cache        shared: ", "mkdir -m 700 "],
        },
    ];
    for_each_row(rows, |Case { prepare, arguments, status, says }| {
        let machine = Machine::new();
        prepare(&machine);
        let url = std::fs::read_to_string(machine.path("url")).unwrap_or_default();
        let url = format!("--endpoint-url={url}");
        let arguments: Vec<_> =
            arguments.iter().map(|word| if *word == "URL" { &*url } else { word }).collect();
        let said = examine(&machine, &arguments);
        assert_eq!(said.status, status, "{arguments:?}\n{}", said.out);
        for words in says {
            assert!(said.out.contains(words), "{words} not in\n{}", said.out);
        }
    });
}

const NOBODY: u32 = 65_534;

/// Runs a copy of the command. If this user is root, the copy runs as another user.
fn run_as_nobody(machine: &Machine, arguments: &[&str]) -> Said {
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(machine.home.path(), open).unwrap();
    let copy = machine.path("program");
    copy_program(&copy);
    let mut command = runnable(&copy);
    command.args(arguments);
    run_like(&mut command, &machine.command(&[]));
    if std::fs::metadata(machine.home.path()).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    machine.finish(command)
}

#[test]
fn a_cache_that_cannot_be_used_is_shown_by_status_and_doctor() {
    let rows: [(&str, &dyn Fn(&Machine), &str); 4] = [
        // Root can write everywhere, so this case runs as another user.
        (
            "this user may not write to it",
            &|machine| {
                machine.directory("cache", 0o555);
                if std::fs::metadata(machine.home.path()).unwrap().uid() == 0 {
                    chown(machine.path("cache"), Some(NOBODY), Some(NOBODY)).unwrap();
                }
            },
            "cache",
        ),
        ("a file is in its place", &|machine| drop(machine.file("cache", "")), "cache"),
        (
            "a file is in its parent's place",
            &|machine| drop(machine.file("home", "")),
            "home/cache",
        ),
        ("others may write to it", &|machine| machine.directory("cache", 0o777), "cache"),
    ];
    for (name, prepare, directory) in rows {
        let machine = Machine::new();
        prepare(&machine);
        let option = format!("--cache-dir={directory}");
        let run = |command| {
            let said = if name == "this user may not write to it" {
                run_as_nobody(&machine, &[command, &option])
            } else {
                machine.run(&[command, &option])
            };
            Said { out: layout::joined(&said.out), ..said }
        };
        let said = run("status");
        assert!(
            said.out
                .contains(&format!("cache          nothing stored: {directory} cannot be used: ")),
            "{name}\n{said:?}"
        );
        assert_eq!((said.status, &*said.err), (0, ""), "{name}");
        let said = run("doctor");
        assert_eq!(said.status, 1, "{name}\n{}", said.out);
        let lines = said.out.lines().filter(|line| line[8..].starts_with("cache ")).count();
        assert_eq!(lines, 1, "{name}\n{}", said.out);
        assert!(said.out.contains(&format!("BAD     cache        {directory}: ")), "{}", said.out);
        assert!(said.out.contains("each call creates a new guest"), "{}", said.out);
    }
    let machine = Machine::new();
    machine.fine(&["process"]);
    for (command, end) in [("status", "\n"), ("doctor", ", can be written\n")] {
        let out = layout::joined(&machine.fine(&[command]));
        assert!(out.contains(&format!("{}{end}", machine.cache().display())), "{out}");
    }
}

/// The directory of the record can be written.
#[test]
fn a_record_that_cannot_be_read_is_shown_by_status_and_doctor() {
    let machine = Machine::new();
    machine.fine(&["process"]);
    for name in machine.records().iter().filter(|name| name.starts_with("identity")) {
        let open = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(machine.cache().join(name), open).unwrap();
    }
    let status = machine.fine(&["status"]);
    assert!(status.contains("cannot be used: "), "{status}");
    let said = examine(&machine, &[]);
    assert_eq!(said.status, 1, "{}", said.out);
    assert!(said.out.contains("BAD     cache        the "), "{}", said.out);
    assert!(said.out.contains("ok      credentials"), "{}", said.out);
}

/// A fault that a retry has solved is bad too.
#[test]
fn each_bad_step_sets_the_exit_status() {
    let (two, lost) = ("--max-attempts=2", Fault::NoAnswer(TransportErrorKind::Io));
    let rows: [(Option<Fault>, &[&str], i32, &str); 4] = [
        (None, &[], 0, "ok      credentials"),
        (Some(Fault::internal_error()), &[two], 1, "BAD     call         GetId"),
        (Some(lost), &[two], 3, "BAD     call"),
        (None, &["--login=accounts.google.com=@token"], 4, "BAD     login"),
    ];
    for (fault, arguments, status, says) in rows {
        let machine = Machine::new();
        // The token has expired by the clock of this machine, but the service accepts it.
        machine.cognito.accept_login(PROVIDER, token(1), "ann");
        machine.file("token", token(1));
        if let Some(fault) = fault {
            machine.cognito.fail_next("GetId", 1, fault);
        }
        let said = examine(&machine, arguments);
        assert_eq!(said.status, status, "{arguments:?}\n{}", said.out);
        assert!(said.out.contains(says), "{}", said.out);
        assert!(said.out.contains("ok      credentials"), "{}", said.out);
    }
}

#[test]
fn the_doctor_shows_where_each_setting_comes_from() {
    let machine = Machine::new();
    let pem = machine.file("ca.pem", Authority::new().pem);
    let secret = format!("http://ann:{SECRET}@proxy.invalid:3128/");
    machine.file("proxy", &secret);
    let url = machine.server.url();
    let rows: [(&[(&str, &str)], &[&str], String); 5] = [
        (
            &[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")],
            &["--proxy=http://127.0.0.1:1"],
            "AWS's endpoint; built-in authorities; proxy 127.0.0.1:1 (--proxy)\n".to_owned(),
        ),
        (
            &[],
            &[],
            format!("region us-east-1 (of the pool's ID); endpoint {url} (AWS_ENDPOINT_URL); built-in authorities; no proxy\n"),
        ),
        (
            &[("HTTPS_PROXY", &secret), ("AWS_CA_BUNDLE", &pem)],
            &[],
            format!("authorities of {pem} (AWS_CA_BUNDLE); proxy proxy.invalid:3128 (HTTPS_PROXY)\n"),
        ),
        (
            &[("HTTPS_PROXY", &secret), ("AWS_CA_BUNDLE", &pem)],
            &["--proxy=@proxy", "--ca-file=ca.pem", "--endpoint-url=http://127.0.0.1:1"],
            "endpoint http://127.0.0.1:1 (--endpoint-url); authorities of ca.pem (--ca-file); proxy by the file proxy (--proxy)\n".to_owned(),
        ),
        (
            &[("AWS_ENDPOINT_URL_COGNITO_IDENTITY", url), ("AWS_REGION", "eu-west-1")],
            &["--proxy=http://proxy.invalid:3128"],
            format!("endpoint {url} (AWS_ENDPOINT_URL_COGNITO_IDENTITY); built-in authorities; proxy proxy.invalid:3128 (--proxy)\n"),
        ),
    ];
    for (variables, arguments, line) in rows {
        let arguments = [&["doctor", "--timeout=5"], arguments].concat();
        let said = machine.run_with(variables, &arguments);
        let said = Said { out: layout::joined(&said.out), ..said };
        assert!(said.out.contains(&line), "{line} not in\n{}", said.out);
        assert!(said.out.contains("ok      settings     region us-east-1 "), "{}", said.out);
        assert!(!said.out.contains(SECRET), "{}", said.out);
    }
}
