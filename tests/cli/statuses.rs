//! The exit statuses. No secret is accepted as an argument.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::transport::TransportErrorKind;

use crate::diagnosis::examine;
use crate::layout;
use crate::service::{GET_CREDENTIALS, Machine, POOL, PROVIDER, ROLE, SECRET, for_each_row};

#[test]
fn the_exit_status_says_what_to_do() {
    let lost = || Fault::NoAnswer(TransportErrorKind::Io);
    let machine = Machine::new();
    let rows: [(&str, Fault, i32, &str); 15] = [
        ("GetId", Fault::throttled(), 5, "TooManyRequestsException"),
        ("GetId", Fault::internal_error(), 5, "try again later"),
        (GET_CREDENTIALS, Fault::error(400, "SomethingNew", "No."), 1, "ask the operator"),
        (GET_CREDENTIALS, Fault::not_authorized("Something new."), 1, "the pool's settings"),
        (
            GET_CREDENTIALS,
            Fault::not_authorized(
                "Unauthenticated access is not supported for this identity pool.",
            ),
            1,
            "allows no guests: give --login",
        ),
        (
            "GetId",
            Fault::error(404, "ResourceNotFoundException", "IdentityPool 'x' not found."),
            1,
            "the region in it (--identity-pool-id or ",
        ),
        ("GetId", Fault::error(400, "InvalidParameterException", "No."), 1, "No."),
        (
            GET_CREDENTIALS,
            Fault::not_authorized("Invalid login token. Token expired: 1 >= 0"),
            4,
            "has expired",
        ),
        (
            GET_CREDENTIALS,
            Fault::not_authorized("Invalid login token. Incorrect token audience"),
            1,
            "use the ID token, not the access token",
        ),
        (
            GET_CREDENTIALS,
            Fault::not_authorized("Access to Role 'r' is forbidden."),
            1,
            "name a role with --custom-role-arn",
        ),
        (
            GET_CREDENTIALS,
            Fault::not_authorized("Invalid login token. Couldn't verify signed token."),
            4,
            "not accepted",
        ),
        ("GetId", lost(), 3, "check the network"),
        ("GetId", Fault::raw(200, "<html>Welcome to the hotel</html>"), 3, "captive portal"),
        ("GetId", Fault::raw(302, ""), 3, "captive portal"),
        (
            "GetId",
            Fault::raw(200, "x".repeat(300_000)),
            3,
            "is larger than any answer of the service",
        ),
    ];
    for (operation, fault, status, says) in rows {
        machine.cognito.fail_next(operation, 2, fault.clone());
        let said = machine.run(&["process", "--no-cache", "--verbose"]);
        assert_eq!((said.status, &*said.out), (status, ""), "{fault:?} {said:?}");
        assert!(said.err.contains(says), "{fault:?} {said:?}");
        // Use up the second fault, if the command has made only one call.
        while machine.run(&["process", "--no-cache"]).status != 0 {}
    }
    let nobody = machine.run(&["process", "--endpoint-url", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status, 3, "{nobody:?}");
    assert!(nobody.err.contains("GetId: could not connect"), "{nobody:?}");
}

#[test]
fn a_missing_login_token_has_an_exit_status_of_its_own() {
    let machine = Machine::new();
    let rows = [
        ("@/no/such/file", "/no/such/file"),
        ("env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE is not set"),
        ("cmd:echo to the user >&2; exit 7", "exit status: 7"),
        ("cmd:exit 7", "exit status: 7"),
        ("cmd:kill -9 $$", "signal: 9"),
        ("cmd:true", "is empty"),
        ("env:EMPTY", "is empty"),
        ("cmd:head -c 300000 /dev/zero", "more text than a token can have"),
        ("cmd:printf '\\377'", "what the command printed is not UTF-8 text"),
        ("cmd:printf 'x\\ny'", "what the command printed has white space in it"),
        ("cmd:printf '{}'", "what the command printed is JSON"),
        ("env:JSON", "JSON is JSON; give only the token in it"),
        ("env:BEARER", "BEARER begins with Bearer; give only what follows it"),
        ("@/dev/null", "/dev/null: is empty"),
        ("@/dev/zero", "/dev/zero: is longer than 64 KiB, so it cannot be a token"),
        ("@utf-16", "utf-16: is UTF-16; save it as UTF-8"),
        ("@nul", "nul: has a NUL character"),
        (
            "@zero-width",
            "zero-width: has a character that is not allowed, perhaps an invisible one",
        ),
    ];
    machine.file("utf-16", b"\xff\xfex\0");
    machine.file("nul", b"x\0");
    machine.file("zero-width", "x\u{200b}\n");
    for (source, says) in rows {
        for more in [&["--no-cache"][..], &["--login-id", "me"], &[]] {
            let login = format!("{PROVIDER}={source}");
            let variables = [("EMPTY", ""), ("JSON", "{\"t\": 1}"), ("BEARER", "Bearer x")];
            let arguments = [&["process", "--login", &login], more].concat();
            let said = machine.run_with(&variables, &arguments);
            assert_eq!((said.status, &*said.out), (4, ""), "{login} {more:?} {said:?}");
            assert!(said.err.contains(says), "{login} {more:?} {said:?}");
            // The error text contains the remedy, or another line does.
            let remedies = ["what to do", "; give only", "; save it", "; copy the token"];
            let has_remedy = remedies.iter().any(|remedy| said.err.contains(remedy));
            assert!(has_remedy, "{login} {more:?} {said:?}");
            assert_eq!(said.err.contains("to the user"), source.contains("user"), "{said:?}");
        }
    }
    assert_eq!(machine.calls(), 0);
}

/// `/proc/self/mem` fails as a broken disk does, and the limit leaves no file descriptor.
#[test]
#[cfg(target_os = "linux")]
fn a_failure_of_the_system_is_no_reason_to_sign_in_again_or_to_change_an_option() {
    let machine = Machine::new();
    machine.file("token", SECRET);
    let login = format!("--login={PROVIDER}=");
    let of_login = |source: &str| vec![format!("{login}{source}")];
    let with = |start: &str, more: &[&str]| {
        [start].iter().chain(more).map(|&option| option.to_owned()).collect::<Vec<_>>()
    };
    let pool = ["--user-pool-id=us-east-1_x", "--user-pool-client-id=x"];
    let user = [&pool[..], &["--user-pool-username=x", "--refresh-token=env:SECRET"]].concat();
    let role = ["--role-arn", ROLE];
    let disk = "/proc/self/mem: Input/output error";
    let rows = [
        (":", of_login("@/proc/self/mem"), disk),
        (":", with("--refresh-token=@/proc/self/mem", &pool), disk),
        (":", with("--user-pool-client-secret=@/proc/self/mem", &user), disk),
        (":", with("--proxy=@/proc/self/mem", &[]), disk),
        (":", with("--policy=@/proc/self/mem", &role), disk),
        (":", with("--ca-file=/proc/self/mem", &[]), disk),
        // With 4, the pair that waits for signals is missing. With 10, a pipe of the shell.
        ("ulimit -n 4", of_login("cmd:cat token"), "signals cannot be caught for the command: "),
        ("ulimit -n 10", of_login("cmd:cat token"), "the shell cannot be run: Too many open files"),
    ];
    // An emulator needs descriptors of its own.
    let is_emulated = std::env::var_os("TEST_RUNNER").is_some_and(|runner| !runner.is_empty());
    for (script, options, fault) in rows {
        if script != ":" && is_emulated {
            continue;
        }
        for more in ["--no-cache", "--cache-dir=cache"] {
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            let command = machine.command(&[&["process", more], &options[..]].concat());
            // The limit decides only if the command inherits no other descriptors.
            let script = format!("exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; {script}");
            let mut command = crate::service::after(&script, &command);
            command.env("SECRET", SECRET);
            let said = machine.finish(command);
            assert_eq!((said.status, &*said.out), (5, ""), "{options:?} {said:?}");
            assert!(said.err.contains(fault), "{options:?} {said:?}");
            assert!(
                said.err.contains("what to do: try again later: the settings"),
                "{options:?} {said:?}"
            );
            assert!(!said.err.contains("sign in again"), "{options:?} {said:?}");
            assert!(!said.err.contains("set --cache-dir"), "{options:?} {said:?}");
        }
    }
    let refresh_token = with("--refresh-token=@/proc/self/mem", &pool);
    for options in [of_login("@/proc/self/mem"), refresh_token] {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let said = examine(&machine, &options);
        assert_eq!(said.status, 5, "{said:?}");
        assert_eq!(said.out.matches(disk).count(), 1, "{said:?}");
        assert!(said.out.contains("BAD     login "), "{said:?}");
        assert!(said.out.contains("ok      settings "), "{said:?}");
        let text = machine.fine(&[&["status"], &options[..]].concat());
        let json = machine.fine(&[&["status", "--json"], &options[..]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["login_error"].as_str().unwrap().contains(disk), "{json}");
        assert_eq!(json["identity_pool_id"], POOL, "{json}");
        for shown in [POOL, disk] {
            assert!(layout::joined(&text).contains(shown), "{text}");
        }
    }
    assert_eq!(machine.calls(), 0);
}

#[test]
fn a_pipe_for_a_secret_has_to_end_in_time() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    assert!(Command::new("mkfifo").arg(machine.path("pipe")).status().unwrap().success());
    let login = format!("--login={PROVIDER}=@pipe");
    let pool = ["--user-pool-id=us-east-1_x", "--user-pool-client-id=x", "--refresh-token=@pipe"];
    for_each_row([&[login.as_str()][..], &pool], |secret| {
        for more in ["--no-cache", "--cache-dir=cache"] {
            let arguments = [&["process", "--timeout=300ms", more], secret].concat();
            let said = machine.run(&arguments);
            assert_eq!((said.status, &*said.out), (4, ""), "{arguments:?} {said:?}");
            assert!(said.err.contains("pipe: did not end within"), "{arguments:?} {said:?}");
        }
    });
    assert_eq!(machine.calls(), 0);

    let path = machine.path("pipe");
    let writer = std::thread::spawn(move || fs::write(path, format!("\u{feff}{SECRET}\r\n")));
    machine.fine(&["process", "--no-cache", &login]);
    writer.join().unwrap().unwrap();

    let mut printer = Command::new("echo").arg(SECRET).stdout(Stdio::piped()).spawn().unwrap();
    let login = format!("--login={PROVIDER}=@/dev/stdin");
    let mut command = machine.command(&["process", "--no-cache", &login]);
    command.stdin(printer.stdout.take().unwrap());
    let said = machine.finish(command);
    assert_eq!(said.status, 0, "{said:?}");
    printer.wait().unwrap();
}

#[test]
fn an_unusable_variable_is_an_error_that_names_it() {
    let machine = Machine::new();
    let pool: &[&str] =
        &["--user-pool-id=us-east-1_x", "--user-pool-client-id=x", "--refresh-token=@none"];
    let role: &[&str] = &["--role-arn", ROLE];
    let invalid = OsStr::from_bytes(b"x\xff");
    let rows: [(&str, &OsStr, &[&str], &str); 8] = [
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", invalid, pool, "is not UTF-8"),
        ("AWS_ROLE_SESSION_NAME", invalid, role, "is not UTF-8"),
        ("AWS_ROLE_SESSION_NAME", OsStr::new("a b"), role, "may only have"),
        ("AWS_ROLE_SESSION_NAME", OsStr::new("a"), role, "1 character"),
        ("AWS_COGNITO_IDENTITY_POOL_ID", invalid, &[], "UTF-8"),
        ("AWS_ENDPOINT_URL", invalid, &[], "UTF-8"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", invalid, &[], "UTF-8"),
        ("AWS_COGNITO_ROLE_ARN", invalid, &[], "UTF-8"),
    ];
    for (variable, value, arguments, says) in rows {
        for start in ["process", "status", "identity"] {
            let said = machine.run_with(&[(variable, value)], &[&[start], arguments].concat());
            assert_eq!((said.status, &*said.out), (2, ""), "{variable} {start} {said:?}");
            let begin = format!("cognito-credentials: {variable}");
            assert!(said.err.starts_with(&begin), "{variable} {start} {said:?}");
            assert!(said.err.contains(says), "{variable} {start} {said:?}");
            assert!(!said.err.contains("--role-session-name"), "{said:?}");
        }
    }
    // An option replaces its variable. Without a role, the session name is not read.
    for (variable, arguments) in [
        ("AWS_ROLE_SESSION_NAME", &["--role-arn", ROLE, "--role-session-name=me"][..]),
        ("AWS_ROLE_SESSION_NAME", &[]),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &[]),
    ] {
        let said = machine.run_with(&[(variable, invalid)], &[&["process"], arguments].concat());
        assert_eq!(said.status, 0, "{variable}");
    }
}

#[test]
fn a_secret_is_never_taken_as_an_argument_and_never_repeated() {
    let machine = Machine::new();
    let login = format!("{PROVIDER}={SECRET}");
    let jwt = format!("eyJhbGciOiJub25lIn0.{SECRET}.c2ln");
    let proxy = format!("http://ann:{SECRET}@127.0.0.1:1");
    let (joined, token, long) =
        (format!("--login={login}"), format!("--token={SECRET}"), format!("--{jwt}"));
    let typo = format!("--logni={login}");
    let swapped = format!("--login={jwt}=@file");
    let rows: [(&[&str], &str); 11] = [
        (&["process", &swapped], "PROVIDER=@FILE"),
        (&["process", "--login", &login], "@FILE"),
        (&["process", &joined], "env:NAME"),
        (&["process", "--login", &jwt], "@FILE"),
        (&["process", &token], "=cmd:COMMAND"),
        (&["process", "--id-token", SECRET], "@FILE"),
        (&["process", "--proxy", &proxy], "@FILE"),
        (&["process", &jwt], "one argument too many"),
        (&[&jwt], "there is no command"),
        (&["process", &long], "there is no option"),
        (&["process", &typo], "there is no option --logni"),
    ];
    for (arguments, says) in rows {
        // `Machine` checks after every run that no secret was repeated.
        let said = machine.run(arguments);
        assert_eq!((said.status, &*said.out), (2, ""), "{arguments:?} {said:?}");
        assert!(said.err.contains(says), "{arguments:?} {said:?}");
    }
    assert_eq!(machine.calls(), 0);
}

/// Types of the command that hold secrets have no `Debug`, so nothing can print one by accident.
#[test]
fn only_types_without_secrets_have_debug() {
    fn collect(folder: &Path, printed: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, printed);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                let is_derived = line.starts_with("#[derive(") && line.contains("Debug");
                if is_derived {
                    let is_type = |line: &&str| line.contains("struct ") || line.contains("enum ");
                    printed.extend(lines.find(is_type).map(str::to_owned));
                } else if line.contains("Debug for ") {
                    printed.push(line.to_owned());
                }
            }
        }
    }
    let mut printed = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin"), &mut printed);
    printed.sort();
    let without_secrets = [
        // These texts are for the user.
        "pub(crate) struct Failure {",
        "pub(crate) struct InvalidValue {",
        "pub(super) struct Fault {",
        "pub(super) struct Refusal {",
        // A certificate that a server presented.
        "struct Recorder {",
        "struct Time;",
    ];
    assert_eq!(printed, without_secrets, "can the new type hold a secret?");
}
