//! `exec`: the program, its arguments, its environment and its exit status.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use cognito_identity_credentials::CredentialVariables;

use crate::service::{Machine, PATIENCE, PROVIDER, SECRET, signal, silent_service};

#[test]
fn a_program_gets_the_credentials_and_no_variable_that_selects_others() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine.cognito.accept_login("www.amazon.com", SECRET, "ann");
    let gone = [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN",
        "MY_TOKEN",
        "OTHER_TOKEN",
        "MY_PROXY",
    ];
    let stale = ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];
    let mut command = machine.command(&[
        "exec",
        "--login=accounts.google.com=env:MY_TOKEN",
        "--login=www.amazon.com=env:OTHER_TOKEN",
        "--proxy=env:MY_PROXY",
        "--",
        "env",
        "-0",
    ]);
    command.envs(gone.map(|name| (name, SECRET))).envs(stale.map(|name| (name, "stale")));
    command.env("MY_PROXY", format!("http://ann:{SECRET}@127.0.0.1:1")).env("KEPT", "kept");
    let said = machine.finish(command);
    assert_eq!((said.status, &*said.err), (0, ""));
    let environment: Vec<_> =
        said.out.split_terminator('\0').map(|line| line.split_once('=').unwrap()).collect();
    for name in gone {
        assert!(environment.iter().all(|(known, _)| *known != name), "{name} is still there");
    }
    assert!(!said.out.contains(SECRET), "{}", said.out);
    assert!(!said.out.contains("stale"), "{}", said.out);
    assert!(environment.contains(&("KEPT", "kept")));
    let read = CredentialVariables::from_variables(|name| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    });
    assert_eq!(read.unwrap().iter().count(), 4);
}

#[test]
fn a_program_gets_the_keys_of_an_identity_but_not_its_id() {
    let machine = Machine::new();
    machine.fine(&["process"]);
    let id = machine.fine(&["identity"]);
    let variables = [("AWS_COGNITO_IDENTITY_ID", id.trim_end())];
    let said = machine.run_with(&variables, &["exec", "--no-cache", "--", "env"]);
    assert!(said.out.contains("AWS_ACCESS_KEY_ID=ASIA"), "{said:?}");
    assert_eq!(machine.cognito.identities(), 1, "one identity in all runs");
    assert!(!said.out.contains(id.trim_end()), "{said:?}");
}

#[test]
fn arguments_and_exit_statuses_are_the_programs_own() {
    let machine = Machine::new();
    let script = machine.file("not executable", "#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let folder = machine.home.path().to_str().unwrap().to_owned();
    let rows: [(&[&str], i32, &str); 9] = [
        (&["--", "printf", "%s|", "a b", "--help", "", "--", "-v"], 0, "a b|--help||--|-v|"),
        (&["printf", "%s|", "--region", "x"], 0, "--region|x|"),
        (&["--", "sh", "-c", "exit 42"], 42, ""),
        (&["--", "sh", "-c", "exit 127"], 127, ""),
        (&["--", "no-such-program-anywhere"], 127, ""),
        (&["--", "/no/such/program"], 127, ""),
        (&["--", &script], 126, ""),
        (&["--", &folder], 126, ""),
        (&[], 2, ""),
    ];
    for (arguments, status, out) in rows {
        let said = machine.run(&[&["exec"], arguments].concat());
        assert_eq!((said.status, &*said.out), (status, out), "{arguments:?} {said:?}");
        let own = matches!(status, 126 | 2) || arguments.last().unwrap().contains("program");
        assert_eq!(said.err.is_empty(), !own, "{arguments:?} {said:?}");
    }
}

#[test]
fn the_program_takes_the_commands_place_and_its_input() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine.file("token", SECRET);
    // A `cmd:` reads nothing of the program's input.
    let login = "--login=accounts.google.com=cmd:cat; cat token";
    let mut child = machine
        .command(&["exec", login, "--", "sh", "-c", "cat; echo $$"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"input\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("input\n{id}\n"));
}

#[test]
fn a_signal_ends_the_command() {
    let machine = Machine::new();
    let (url, connections) = silent_service();
    let mut child = machine.command(&["process", "--endpoint-url", &url]).spawn().unwrap();
    let _connection = connections.recv_timeout(PATIENCE).unwrap();
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}
