//! `exec --serve`: the environment, the signals and the end of the program.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cognito_identity_credentials::testing::Fault;

use crate::endpoint::{Endpoint, within};
use crate::service::{Machine, PATIENCE, PROVIDER, SECRET, after, open_terminal, signal, wrapped};
use crate::token_commands::left;

fn exec(machine: &Machine, script: &str) -> Command {
    machine.command(&["exec", "--serve", "--", "sh", "-c", script])
}

fn environment(text: &str) -> Vec<(&str, &str)> {
    text.split_terminator('\0').map(|line| line.split_once('=').unwrap()).collect()
}

/// Starts a program that traps signals, and waits until it has set the traps.
fn start(machine: &Machine, traps: &str) -> Child {
    let script = format!("{traps}; env -0 > env; while :; do sleep 0.01; done");
    let child = exec(machine, &script).stdout(Stdio::null()).spawn().unwrap();
    within(PATIENCE, || {
        fs::read_to_string(machine.path("env")).ok().filter(|text| text.ends_with('\0'))
    });
    child
}

#[test]
fn a_program_gets_the_endpoint_and_no_variable_that_sdks_prefer() {
    let machine = Machine::new();
    let gone = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_SESSION_NAME",
    ];
    let mut command = exec(&machine, "env -0");
    command.envs(gone.map(|name| (name, SECRET)));
    command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", SECRET).env("KEPT", "kept");
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", SECRET);
    let said = machine.finish(command);
    assert_eq!((said.status, &*said.err), (0, ""), "{said:?}");
    assert!(!said.out.contains(SECRET), "{}", said.out);
    let environment = environment(&said.out);
    for name in gone {
        assert!(environment.iter().all(|(known, _)| *known != name), "{name} is still there");
    }
    assert!(environment.contains(&("KEPT", "kept")));
}

#[test]
fn a_program_gets_credentials_for_as_long_as_it_runs() {
    let machine = Machine::new();
    machine.cognito.set_lifetime(Duration::from_secs(16));
    let mut child = start(&machine, "trap 'exit 7' TERM");
    let text = fs::read_to_string(machine.path("env")).unwrap();
    let environment = environment(&text);
    let value = |name: &str| environment.iter().find(|(known, _)| *known == name).unwrap().1;
    let endpoint = Endpoint::new(
        value("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        value("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    );
    let mut keys = vec![endpoint.get().key()];
    within(PATIENCE, || {
        keys.push(endpoint.get().key());
        keys.dedup();
        (keys.len() == 3).then_some(())
    });
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(std::net::TcpStream::connect(&endpoint.address).is_err(), "the endpoint is closed");
}

#[test]
fn signals_go_to_the_program_once() {
    let machine = Machine::new();
    let names = ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH"];
    let traps: Vec<_> =
        names.iter().map(|name| format!("trap 'echo {name} >> notes' {name}")).collect();
    let mut child = start(&machine, &format!("{}; trap 'exit 3' TERM", traps.join("; ")));
    let notes = || fs::read_to_string(machine.path("notes")).unwrap_or_default();
    let mut expected = String::new();
    for name in names {
        signal(child.id(), name);
        expected.push_str(name);
        expected.push('\n');
        within(PATIENCE, || (notes().len() >= expected.len()).then_some(()));
        assert_eq!(notes(), expected);
    }
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(notes(), expected);
}

/// The terminal itself sends them to the program too.
#[test]
#[cfg(target_os = "linux")]
fn signals_of_the_terminal_go_to_the_program_once() {
    let machine = Machine::new();
    let (mut terminal, name) = open_terminal();
    let script = "trap 'echo INT >> notes' INT; trap 'echo QUIT >> notes' QUIT
        trap 'echo USR1 >> notes' USR1; trap 'exit 3' TERM; echo > ready
        while :; do sleep 0.01; done";
    // The first terminal that the leader of a session opens becomes the terminal of the session.
    let on_terminal = after(&format!("exec < {name}"), &exec(&machine, script));
    let mut child = wrapped(&["setsid"], &on_terminal).spawn().unwrap();
    within(PATIENCE, || machine.path("ready").exists().then_some(()));
    let notes = || fs::read_to_string(machine.path("notes")).unwrap_or_default();
    let mut expected = String::new();
    // Ctrl-C and Ctrl-\. The command sees the signal when the program has handled it.
    for (key, name) in [(b"\x03", "INT"), (b"\x1c", "QUIT")] {
        signal(child.id(), "STOP");
        terminal.write_all(key).unwrap();
        within(PATIENCE, || notes().contains(name).then_some(()));
        signal(child.id(), "CONT");
        // The command would pass the other signal on before this one.
        signal(child.id(), "USR1");
        expected.extend([name, "\nUSR1\n"]);
        within(PATIENCE, || (notes().len() >= expected.len()).then_some(()));
        assert_eq!(notes(), expected);
    }
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn the_command_ends_as_the_program_ends() {
    let machine = Machine::new();
    let rows = [
        ("exit 0", Some(0), None),
        ("exit 42", Some(42), None),
        ("exit 255", Some(255), None),
        ("kill -TERM $$", None, Some(15)),
        ("kill -KILL $$", None, Some(9)),
        ("kill -INT $$", None, Some(2)),
        ("kill -USR1 $$", None, Some(10)),
        ("ulimit -c 0; kill -ABRT $$", None, Some(6)),
    ];
    for (script, code, by) in rows {
        let status = exec(&machine, script).status().unwrap();
        // The number of SIGUSR1 depends on the system.
        let by = by
            .filter(|_| script != "kill -USR1 $$" || cfg!(target_os = "linux"))
            .or(status.signal());
        assert_eq!((status.code(), status.signal()), (code, by), "{script}");
    }
    for (program, status) in [("/no/such/program", 127), ("/", 126)] {
        let said = machine.run(&["exec", "--serve", "--", program]);
        assert_eq!((said.status, &*said.out), (status, ""), "{said:?}");
        assert!(said.err.contains(program), "{said:?}");
    }
}

#[test]
fn ignored_signals_stay_ignored_for_exec_serve() {
    let machine = Machine::new();
    let program = exec(&machine, "trap 'exit 3' TERM; kill -HUP $$; exit 42");
    let mut shell = after("trap '' HUP", &program);
    assert_eq!(shell.status().unwrap().code(), Some(42), "SIGHUP stays ignored");
    if cfg!(target_os = "linux") {
        // Not by `trap`: dash does not ignore SIGCHLD then.
        let mut env = wrapped(&["env", "--ignore-signal=CHLD", "--ignore-signal=HUP"], &program);
        assert_eq!(env.status().unwrap().code(), Some(42), "the exit status is not lost");
    }
}

#[test]
fn a_program_does_not_start_without_credentials() {
    let machine = Machine::new();
    machine.cognito.fail_next("GetId", 1, Fault::not_authorized("No."));
    let said = machine.finish(exec(&machine, "echo started"));
    assert_eq!((said.status, &*said.out), (1, ""), "{said:?}");
    let said =
        machine.run(&["exec", "--serve", "--endpoint-url", "http://127.0.0.1:1", "--", "echo"]);
    assert_eq!((said.status, &*said.out), (3, ""), "{said:?}");
}

/// The program ends while the worker runs a `cmd:` for the next credentials.
#[test]
fn no_command_is_left_behind_when_the_program_ends() {
    for (end, code, by) in [("exit 7", Some(7), None), ("kill -KILL $$", None, Some(9))] {
        let machine = Machine::new();
        machine.cognito.accept_login(PROVIDER, SECRET, "ann");
        machine.cognito.set_lifetime(Duration::from_secs(20));
        let second = "echo $$ > new; mv new id; sleep 300";
        let token = format!("if [ -e first ]; then {second}; else echo > first; echo {SECRET}; fi");
        let script = format!("until [ -e id ]; do sleep 0.01; done; {end}");
        let login = format!("--login={PROVIDER}=cmd:{token}");
        let arguments = ["exec", "--serve", "--no-cache", &login, "--", "sh", "-c", &script];
        let mut command = machine.command(&arguments);
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (code, by), "{output:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "",
            "the end of the command is not logged"
        );
        let group = fs::read_to_string(machine.path("id")).unwrap();
        assert_eq!(left(group.trim().parse().unwrap()), [""; 0], "{end}: the command still runs");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_end_of_the_program_is_noticed_even_if_the_parent_has_blocked_sigchld() {
    let machine = Machine::new();
    let program = exec(&machine, "exit 42");
    let mut env = wrapped(&["env", "--block-signal=CHLD"], &program);
    let mut child = env.stdout(Stdio::null()).spawn().unwrap();
    let status = within(PATIENCE, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(42));
}
