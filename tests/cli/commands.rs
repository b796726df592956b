//! What each command answers, and what is left for the next one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{
    Clock, CognitoIdentityCredentials, CredentialVariables, Credentials, FileStorage, SystemClock,
};
use serde_json::{Value, json};

use crate::service::{GET_CREDENTIALS, Machine, POOL};

/// The set that a document or the lines for a shell hold.
fn key(said: &str) -> &str {
    let start = said.find("ASIA").unwrap_or_else(|| panic!("no key in {said}"));
    let rest = &said[start..];
    &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())]
}

#[test]
fn process_prints_the_document_of_a_credential_process() {
    let machine = Machine::new();
    let document: Value = serde_json::from_str(&machine.fine(&["process"])).unwrap();
    let names: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["AccessKeyId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]);
    assert_eq!(document["Version"], 1);
    assert!(document["AccessKeyId"].as_str().unwrap().starts_with("ASIA"));
    let end = document["Expiration"].as_str().unwrap();
    let end = humantime::parse_rfc3339(end).unwrap();
    let left = end.duration_since(SystemTime::now()).unwrap();
    assert!((3500..=3600).contains(&left.as_secs()), "{left:?}");
}

#[test]
fn a_second_call_makes_no_service_call_whichever_command_it_is() {
    let machine = Machine::new();
    let first = machine.fine(&["process"]);
    assert_eq!(machine.calls(), 2, "GetId and GetCredentialsForIdentity");
    for arguments in [
        &["process"][..],
        &["env"],
        &["env", "--format", "dotenv"],
        &["exec", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"],
        &["status"],
    ] {
        assert_eq!(key(&machine.fine(arguments)), key(&first), "{arguments:?}");
    }
    assert_eq!(machine.calls(), 2);
    assert_ne!(key(&machine.fine(&["process", "--no-cache"])), key(&first));
    assert_eq!(machine.calls(), 4, "without a cache, all of it is asked for");
}

#[test]
fn commands_that_start_together_make_one_fetch() {
    let machine = Machine::new();
    let children: Vec<_> = (0..6)
        .map(|_| machine.command(&["process"]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let said = children.into_iter().map(|child| child.wait_with_output().unwrap());
    let said: Vec<_> = said.map(|output| String::from_utf8(output.stdout).unwrap()).collect();
    assert!(said.iter().all(|other| key(other) == key(&said[0])), "{said:?}");
    assert_eq!(machine.calls(), 2, "one identity and one set, for all of them");
}

#[test]
fn what_is_known_is_told_without_network_and_can_be_forgotten() {
    let machine = Machine::new();
    let said = machine.run(&["identity"]);
    assert_eq!((said.status, &*said.out), (1, ""));
    assert!(said.err.contains("no identity is known yet"), "{said:?}");
    let status = machine.fine(&["status"]);
    assert!(status.contains("identity       none known yet"), "{status}");
    assert!(status.contains("credentials    none at hand"), "{status}");
    assert_eq!(machine.calls(), 0);
    assert!(!machine.cache().exists(), "looking makes no directory");

    machine.fine(&["process"]);
    let id = machine.cognito.requests()[1].identity_id().unwrap().to_owned();
    let offline = |command: &str| machine.fine(&[command]);
    assert_eq!(offline("identity"), format!("{id}\n"));
    let status = offline("status");
    assert!(status.contains(&format!("identity pool  {POOL}\n")), "{status}");
    assert!(status.contains("user           guest\n"), "{status}");
    assert!(status.contains(&format!("us-east-1:…{}\n", &id[id.len() - 4..])), "{status}");
    assert!(!status.contains(&id), "{status}");
    assert!(status.contains("good for 59 minutes") || status.contains("good for 60"), "{status}");
    assert!(status.contains(machine.cache().to_str().unwrap()), "{status}");
    assert_eq!(machine.calls(), 2);

    assert_eq!(machine.fine(&["forget"]), "");
    assert_eq!(machine.run(&["identity"]).status, 1);
    assert_eq!(machine.calls(), 2);
    machine.fine(&["process"]);
    assert_eq!(machine.calls(), 4, "another guest, and its keys");
    assert_ne!(machine.fine(&["identity"]), format!("{id}\n"));
}

#[test]
fn forgetting_in_a_cache_that_cannot_be_changed_is_told() {
    let machine = Machine::new();
    machine.fine(&["process"]);
    let allow = |mode| {
        fs::set_permissions(machine.cache(), fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o777);
    let said = machine.run(&["forget"]);
    allow(0o700);
    assert!(said.err.contains("warn"), "{said:?}");
    assert!(said.err.contains("others may write"), "{said:?}");
    machine.fine(&["identity"]);
}

#[test]
fn the_cache_is_for_its_owner_alone_and_where_the_convention_has_it() {
    let machine = Machine::new();
    let cases: [(&[(&str, &Path)], &[&str], _); 3] = [
        (&[], &[], machine.cache()),
        (&[("XDG_CACHE_HOME", &machine.path("x/y"))], &[], machine.path("x/y/cognito-credentials")),
        (&[], &["--cache-dir", "a/b/c"], machine.path("a/b/c")),
    ];
    for (variables, arguments, directory) in cases {
        let mut command = machine.command(&[&["process"], arguments].concat());
        command.envs(variables.iter().copied());
        let said = machine.finish(command);
        assert_eq!((said.status, &*said.err), (0, ""), "{directory:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(directory.parent().unwrap()), 0o700);
        let records: Vec<_> = fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
        assert!(records.len() >= 2, "the identity and the credentials");
        for record in records {
            assert_eq!(mode(&record.path()), 0o600, "{record:?}");
        }
    }

    let mut homeless = machine.command(&["process"]);
    let said = machine.finish({
        homeless.env_remove("HOME");
        homeless
    });
    assert_eq!(said.status, 2);
    for word in ["HOME", "--cache-dir", "--no-cache"] {
        assert!(said.err.contains(word), "{said:?}");
    }
}

#[test]
fn a_cache_that_cannot_be_used_is_told_and_the_answer_comes_all_the_same() {
    let machine = Machine::new();
    let file = machine.file("file", "");
    let said = machine.run(&["process", "--cache-dir", &file]);
    assert_eq!(said.status, 0);
    key(&said.out);
    assert!(said.err.contains("cognito-credentials: warn: "), "{said:?}");
}

/// The system's clocks as they were some time ago.
struct Earlier(Duration);

impl Clock for Earlier {
    fn wall(&self) -> SystemTime {
        SystemClock.wall() - self.0
    }

    fn boot(&self) -> Duration {
        SystemClock.boot() - self.0
    }

    fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration);
    }

    fn boot_id(&self) -> Option<String> {
        SystemClock.boot_id()
    }
}

/// Keeps credentials that had a life of a minute, some time ago.
fn kept_since(machine: &Machine, ago: Duration) -> Credentials {
    machine.cognito.set_lifetime(Duration::from_secs(60));
    machine.cognito.set_time(SystemTime::now() - ago);
    let provider = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(&machine.url)
        .clock(Earlier(ago))
        .storage(FileStorage::new(machine.cache()))
        .persist_credentials(true)
        .build()
        .unwrap();
    let kept = provider.get().unwrap();
    machine.cognito.set_time(SystemTime::now());
    kept
}

#[test]
fn what_is_kept_is_renewed_before_its_end_and_used_while_that_fails() {
    let machine = Machine::new();
    fs::create_dir(machine.path(".cache")).unwrap();
    let kept = kept_since(&machine, Duration::from_secs(10));
    assert_eq!(key(&machine.fine(&["process"])), kept.access_key_id(), "50 of 60 seconds left");
    assert_eq!(machine.calls(), 2);

    let kept = {
        machine.fine(&["forget"]);
        kept_since(&machine, Duration::from_secs(35)) // 25 left, in the last half
    };
    let before = machine.calls();
    machine.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    let said = machine.run(&["process"]);
    assert_eq!((said.status, key(&said.out)), (0, kept.access_key_id()), "{said:?}");
    assert!(said.err.contains("warn"), "{said:?}");
    assert_ne!(key(&machine.fine(&["process"])), kept.access_key_id());
    assert_eq!(machine.calls(), before + 2);
}

#[test]
fn shells_read_any_secret_as_it_is() {
    let secrets = [
        "plain/+=",
        "it's",
        "''",
        "a b\tc",
        "$HOME `id` $(id) ${x} !x \\ \\n \"q\" #;&|<>*?[]{}~",
        "line\nbreak\r",
        "é \u{1f511}",
        "\u{1}\u{7f}",
        "-n",
        " lead and trail ",
    ];
    for secret in secrets {
        let machine = Machine::new();
        let body = json!({
            "IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0",
            "Credentials": {
                "AccessKeyId": "ASIA1", "SecretKey": secret, "SessionToken": format!("t{secret}"),
                "Expiration": 4_000_000_000_u64,
            }
        });
        machine.cognito.fail_next(GET_CREDENTIALS, 1, Fault::raw(200, body.to_string()));
        let lines = machine.fine(&["env", "--no-cache"]);
        assert!(lines.starts_with("export AWS_ACCESS_KEY_ID='ASIA1'\n"), "{lines}");
        let output = Command::new("sh")
            .args(["-c", "eval \"$1\" && exec env -0", "sh", lines.trim_end_matches('\n')])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let read = CredentialVariables::from_variables(|name| {
            let line = said.split('\0').find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.map(Into::into)
        });
        let read = Credentials::from(read.unwrap());
        assert_eq!(read.secret_access_key(), secret, "{lines}");
        assert_eq!(read.session_token(), format!("t{secret}"), "{lines}");
        assert!(read.expiration() > SystemTime::now());
    }
}

#[test]
fn lines_for_a_file_are_plain_words_and_what_no_variable_can_hold_is_refused() {
    let machine = Machine::new();
    let lines = machine.fine(&["env", "--format=dotenv"]);
    let names: Vec<_> = lines.lines().map(|line| line.split_once('=').unwrap()).collect();
    let [(a, key), (b, _), (c, _), (d, _)] = names[..] else { panic!("{lines}") };
    assert_eq!(
        [a, b, c, d],
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CREDENTIAL_EXPIRATION"
        ]
    );
    assert!(key.starts_with("ASIA"), "{lines}");

    let body = r#"{"IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0", "Credentials": {"AccessKeyId": "ASIA1", "SecretKey": "a\u0000b", "SessionToken": "t", "Expiration": 4000000000}}"#;
    for arguments in [&["env", "--no-cache"][..], &["exec", "--no-cache", "--", "true"]] {
        machine.cognito.fail_next(GET_CREDENTIALS, 1, Fault::raw(200, body));
        let said = machine.run(arguments);
        assert_eq!((said.status, &*said.out), (1, ""), "{said:?}");
        assert!(said.err.contains("no variable can hold"), "{said:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let machine = Machine::new();
    for arguments in [&["process"][..], &["env"], &["--help"], &["status"], &["doctor"]] {
        let mut child = machine
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let mut command = machine.command(&["process"]);
        command.stdout(full);
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

#[test]
fn the_help_fits_a_screen_and_names_every_command_and_option() {
    let machine = Machine::new();
    let help = machine.finish(machine.bare(&["--help"]));
    assert_eq!((help.status, &*help.err), (0, ""));
    assert!(help.out.lines().count() <= 45, "{} lines", help.out.lines().count());
    for line in help.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for word in [
        "process",
        "env",
        "exec",
        "identity",
        "status",
        "forget",
        "doctor",
        "--identity-pool-id",
        "--identity-id",
        "--region",
        "--account-id",
        "--login",
        "--login-id",
        "--role-arn",
        "--role-session-name",
        "--duration",
        "--policy",
        "--custom-role-arn",
        "--endpoint-url",
        "--sts-endpoint-url",
        "--danger-allow-http",
        "--fips",
        "--dual-stack",
        "--ca-file",
        "--proxy",
        "--timeout",
        "--max-attempts",
        "--cache-dir",
        "--no-cache",
        "--verbose",
        "--help",
        "--version",
        "--user-pool-id",
        "--user-pool-client-id",
        "--user-pool-client-secret",
        "--user-pool-username",
        "--user-pool-device-key",
        "--user-pool-endpoint-url",
        "--refresh-token",
        "--format",
        "126",
        "127",
        "@FILE",
        "env:NAME",
        "cmd:COMMAND",
    ] {
        assert!(help.out.contains(word), "{word}");
    }
    for arguments in [["-h"], ["help"]] {
        assert_eq!(machine.finish(machine.bare(&arguments)).out, help.out);
    }
    for arguments in [["--version"], ["-V"]] {
        let said = machine.finish(machine.bare(&arguments)).out;
        assert_eq!(said, format!("cognito-credentials {}\n", env!("CARGO_PKG_VERSION")));
    }
    // After all of a run's options too.
    assert_eq!(machine.run(&["process", "--region", "x y", "--help"]).out, help.out);
}
