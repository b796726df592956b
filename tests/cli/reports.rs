//! The reports of `doctor` and `status`: steps, control characters, JSON, colours.

use std::fmt::Write as _;

use cognito_identity_credentials::testing::Fault;
use serde_json::Value;

use crate::diagnosis::examine;
use crate::layout;
use crate::service::{GET_CREDENTIALS, Machine, POOL, PROVIDER, for_each_row, jwt, on_a_terminal};

#[test]
fn a_report_continues_after_a_step_that_fails_and_says_what_it_skips() {
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
        machine.directory("shared", 0o777);
        let said = examine(&machine, arguments);
        assert_eq!(said.status, status, "{arguments:?}\n{}", said.out);
        for line in lines {
            assert!(said.out.contains(line), "{line} not in\n{}", said.out);
        }
    }
}

/// Control characters between two letters.
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
    for_each_row(rows, |(what, arguments)| {
        let machine = Machine::new();
        machine.file("token", jwt(&payload.to_string()));
        check(&machine, what, arguments);
    });
    // Texts in an answer of the service.
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
    for_each_row(faults, |fault| {
        let machine = Machine::new();
        machine.cognito.fail_next(GET_CREDENTIALS, usize::MAX, fault);
        check(&machine, "an answer", &[]);
    });
}

/// Replaces the digits, because times differ between two runs.
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
fn the_json_documents_have_details_for_programs() {
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
    // Without the login token, the user is unknown.
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
fn status_names_a_wrong_setting_even_if_the_login_token_is_missing() {
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

#[test]
fn verdicts_have_colours_on_a_terminal_that_shows_them() {
    let machine = Machine::new();
    let doctor = ["doctor", "--login=p=@none"];
    let pipe = machine.run(&doctor);
    let rows: [(&[(&str, &str)], bool); 5] = [
        (&[("TERM", "xterm")], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
        (&[("TERM", "linux")], true),
    ];
    let plain = |text: &str| without_times(&layout::joined(text));
    for (variables, is_coloured) in rows {
        let (status, out) = on_a_terminal(machine.command(&doctor), |command, terminal| {
            command.envs(variables.iter().copied()).stdout(terminal);
        });
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
