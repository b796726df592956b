//! Options that name pipes, devices and other special files. Each wait and each read has a limit.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::authority::Authority;
use crate::service::{Machine, PROVIDER, ROLE, SECRET, for_each_row};

#[test]
fn no_option_waits_or_reads_without_end_if_its_file_is_a_pipe_or_a_device() {
    struct Case<'a> {
        /// The option up to the file name.
        option: &'a str,
        /// The other options that this one needs.
        more: &'a [&'a str],
        status: i32,
        /// How the error names the option.
        named: &'static str,
    }

    let machine = Machine::new();
    assert!(Command::new("mkfifo").arg(machine.path("pipe")).status().unwrap().success());
    let _listener = UnixListener::bind(machine.path("socket")).unwrap();
    fs::create_dir(machine.path("directory")).unwrap();
    let late = "did not end within";
    let kinds = [
        ("pipe", late),
        ("socket", ""),
        ("directory", "Is a directory"),
        ("none", "No such file"),
        ("/dev/zero", "is longer than"),
        ("/dev/null", ""),
    ];
    let pool = ["--user-pool-id=us-east-1_x", "--user-pool-client-id=x"];
    let secret = ["--user-pool-username=x", "--refresh-token=env:SECRET"];
    let login = format!("--login={PROVIDER}=@");
    let client_secret = [pool, secret].concat();
    let options = [
        Case { option: &login, more: &[], status: 4, named: PROVIDER },
        Case { option: "--refresh-token=@", more: &pool, status: 4, named: "" },
        Case {
            option: "--user-pool-client-secret=@",
            more: &client_secret,
            status: 4,
            named: "--user-pool-client-secret: ",
        },
        Case { option: "--proxy=@", more: &[], status: 2, named: "--proxy: " },
        Case { option: "--policy=@", more: &["--role-arn", ROLE], status: 2, named: "--policy: " },
        Case { option: "--ca-file=", more: &[], status: 2, named: "--ca-file: " },
    ];
    let begun = Instant::now();
    let check = |mut command: Command, path: &str, status: i32, says: [&str; 3]| {
        command.env("SECRET", SECRET).env_remove("AWS_ENDPOINT_URL");
        let said = machine.finish(command);
        assert_eq!((said.status, &*said.out), (status, ""), "{path} {said:?}");
        for text in says {
            assert!(said.err.contains(text), "{text} {path} {said:?}");
        }
        said
    };
    for (path, fault) in kinds {
        for_each_row(&options, |Case { option, more, status, named }| {
            let option = format!("{option}{path}");
            let start = ["process", "--no-cache", "--timeout=300ms", &option];
            let command = machine.command(&[&start, *more].concat());
            let said = check(command, &option, *status, [named, path, fault]);
            let is_token = named.is_empty() || *named == PROVIDER;
            for text in ["be a token", "write the token", "the user may have to sign in"] {
                assert!(is_token || !said.err.contains(text), "{option}: {said:?}");
            }
        });
        let mut command = machine.command(&["process", "--no-cache", "--timeout=300ms"]);
        command.env("AWS_CA_BUNDLE", path);
        check(command, path, 2, ["AWS_CA_BUNDLE: ", path, fault]);
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(machine.calls(), 0);
}

#[test]
fn a_policy_may_be_read_from_a_pipe_and_have_white_space_around_it() {
    let machine = Machine::new();
    let policy = r#"{"Version": "2012-10-17"}"#;
    let big = format!("{}{policy}", " ".repeat(64 * 1024));
    let rows = [
        (policy.to_owned(), ""),
        (format!("\u{feff}{policy}"), ""),
        (format!("\u{feff}\r\n\t {policy} \n\n"), ""),
        (String::new(), "--policy: pipe: is empty"),
        (" \r\n".to_owned(), "--policy: pipe: is empty"),
        ("\u{feff}\n".to_owned(), "--policy: pipe: is empty"),
        (big, "--policy: pipe: is longer than 64 KiB"),
    ];
    assert!(Command::new("mkfifo").arg(machine.path("pipe")).status().unwrap().success());
    let options = ["process", "--no-cache", "--role-arn", ROLE, "--policy=@pipe"];
    for (text, fault) in rows {
        let path = machine.path("pipe");
        let written = text.clone();
        // The writer of a text that is too long gets an error.
        let writer = std::thread::spawn(move || fs::write(path, written).is_ok());
        let said = machine.run(&options);
        writer.join().unwrap();
        let status = if fault.is_empty() { 0 } else { 2 };
        assert_eq!(said.status, status, "{said:?}");
        assert!(said.err.contains(fault), "{said:?}");
    }
    let requests = machine.cognito.requests();
    let sent: Vec<_> = requests.iter().filter_map(|request| request.form_field("Policy")).collect();
    assert_eq!(sent, [policy; 3]);
    machine.file("latin", b"{\"\xe9\"}");
    let said = machine.run(&["process", "--role-arn", ROLE, "--policy=@latin"]);
    assert!(said.err.contains("--policy: latin: is not UTF-8 text"), "{said:?}");
}

#[test]
fn authorities_may_be_read_from_a_pipe() {
    let machine = Machine::new();
    let pem = Authority::new().pem;
    let path = machine.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = std::thread::spawn(move || fs::write(path, pem).unwrap());
    machine.fine(&["process", "--no-cache", "--ca-file=pipe"]);
    writer.join().unwrap();
}

#[test]
fn a_fault_in_a_file_of_authorities_names_the_setting_and_the_file() {
    let machine = Machine::new();
    machine.file("bad.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    machine.file("empty.pem", "");
    machine.file("long.pem", "x".repeat(1024 * 1024 + 1));
    for (file, fault) in [("bad.pem", "line 1"), ("empty.pem", ""), ("long.pem", "than 1024 KiB")] {
        let option = machine.run(&["process", "--ca-file", file]);
        let variable = machine.run_with(&[("AWS_CA_BUNDLE", file)], &["process"]);
        for (said, setting) in [(option, "--ca-file"), (variable, "AWS_CA_BUNDLE")] {
            assert_eq!(said.status, 2, "{said:?}");
            let begin = format!("cognito-credentials: {setting}: {file}: ");
            assert!(said.err.starts_with(&begin), "{said:?}");
            assert!(said.err.contains(fault), "{said:?}");
        }
    }
}
