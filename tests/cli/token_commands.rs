//! `cmd:COMMAND`: when its token is used, and that all its processes are ended.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::endpoint::within;
use crate::service::{
    Machine, PROVIDER, SECRET, after, open_terminal, program, signal, silent_service, wrapped,
};

/// Longer than any machine needs, and shorter than the commands sleep.
const LONG: Duration = Duration::from_secs(50);

const MARK: &str = "COGNITO_CREDENTIALS_IN_CMD";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine
}

/// Returns the login option for a command. The word TOKEN stands for the token. The command first
/// writes the ID of its process group to the file `id`.
fn login(command: &str) -> String {
    let command = command.replace("TOKEN", SECRET);
    format!("--login={PROVIDER}=cmd:echo $$ > id; {command}")
}

/// Waits until the command has begun, and returns its process group.
fn group_of(machine: &Machine) -> i32 {
    let read = || fs::read_to_string(machine.path("id")).ok();
    let id = within(LONG, || read().filter(|id| id.ends_with('\n')));
    id.trim().parse().unwrap()
}

/// Returns the processes of a group, without those that have ended.
pub(crate) fn left(group: i32) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        let (state, _, of) = (fields.next()?, fields.next()?, fields.next()?);
        (of == group.to_string() && !["Z", "X"].contains(&state)).then_some(stat)
    });
    stats.collect()
}

#[test]
fn a_token_is_used_if_the_command_has_printed_all_of_it_in_time() {
    struct Group {
        /// The time limit of the option `--timeout`.
        limit: &'static str,
        /// Empty if the token is used.
        error: &'static str,
        commands: &'static [&'static str],
    }

    let begun = Instant::now();
    let groups = [
        Group {
            limit: "60",
            error: "",
            commands: &[
                "echo TOKEN",
                "printf TOKEN",
                "printf '\\n\\n  TOKEN\\r\\n'",
                "sleep 0.3; echo TOKEN",
                "echo TOKEN | cat",
                "trap '' TERM INT HUP; echo TOKEN",
                // The shell has ended, but another process holds its output open.
                "sleep 55 2>&- & echo $! > daemon; echo TOKEN",
                "(echo TOKEN; exec sleep 55 2>&-) & echo $! > daemon; sleep 0.2",
            ],
        },
        // The shell does not end.
        Group {
            limit: "4",
            error: "",
            commands: &[
                "echo TOKEN; sleep 60",
                "echo TOKEN & sleep 60",
                "echo TOKEN; trap '' TERM; sleep 60; sleep 60",
                "printf TOKEN; exec >&-; sleep 60",
                "echo TOKEN; kill -STOP $$",
            ],
        },
        // The output may be only a part of the token, or no token.
        Group {
            limit: "3",
            error: "the command did not end within",
            commands: &[
                "printf TOKEN; sleep 60",
                "echo please wait; sleep 60",
                "echo; sleep 60",
                "sleep 60",
                "exec >&-; sleep 60",
                "kill -STOP $$",
            ],
        },
        Group {
            limit: "60",
            error: "the command failed with exit status: 3",
            commands: &["echo TOKEN; exit 3"],
        },
        Group {
            limit: "60",
            error: "the command failed with signal: 15",
            commands: &["echo TOKEN; kill $$"],
        },
        Group {
            limit: "60",
            error: "more text than a token can have",
            commands: &["yes", "yes 2>&- & sleep 60"],
        },
    ];
    let mut runs = Vec::new();
    for Group { limit, error, commands } in groups {
        for command in commands {
            for mode in ["--no-cache", "--login-id=me", "--cache-dir=cache"] {
                runs.push(thread::spawn(move || run_in_time(command, limit, error, mode)));
            }
        }
    }
    for run in runs {
        run.join().unwrap();
    }
    assert!(begun.elapsed() < LONG, "no run waits for a process that does not end");
}

fn run_in_time(command: &str, limit: &str, error: &str, mode: &str) {
    let machine = machine();
    let said = machine.run(&["process", &login(command), "--timeout", limit, mode]);
    let status = if error.is_empty() { 0 } else { 4 };
    assert_eq!(said.status, status, "{command} {mode} {said:?}");
    assert_eq!(said.out.contains("AccessKeyId"), status == 0, "{command} {said:?}");
    assert!(said.err.contains(error), "{command} {mode} {said:?}");
    let group = group_of(&machine);
    let Ok(daemon) = fs::read_to_string(machine.path("daemon")) else {
        return assert_eq!(left(group), [""; 0], "{command} {mode}");
    };
    assert_eq!(left(group).len(), 1, "{command}: a background process is not ended");
    assert!(Command::new("kill").arg(daemon.trim()).status().unwrap().success());
}

#[test]
fn a_signal_ends_the_command_and_all_that_it_has_started() {
    let commands = [
        "sleep 60",
        "exec sleep 60",
        "sleep 60 | cat",
        "sleep 60 & sleep 60 & wait",
        "echo TOKEN; sleep 60",
        "exec >&-; sleep 60",
        "kill -STOP $$",
        "trap '' TERM INT HUP; sleep 60; sleep 60",
        "(trap '' TERM; sleep 60; sleep 60) & sleep 60",
    ];
    let rows: Vec<_> = commands.map(|command| thread::spawn(move || is_ended(command))).into();
    for row in rows {
        row.join().unwrap();
    }
}

fn is_ended(command: &str) {
    let machine = machine();
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let _ = fs::remove_file(machine.path("id"));
        let mut child = machine
            .command(&["process", "--no-cache", &login(command)])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let group = group_of(&machine);
        assert!(!left(group).is_empty(), "{command}: the process group is found");
        signal(child.id(), name);
        let begun = Instant::now();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{command}: {status}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{command}");
        within(LONG, || left(group).is_empty().then_some(()));
    }
    assert_eq!(machine.calls(), 0);
}

#[test]
fn a_shell_that_is_killed_leaves_nothing_behind() {
    let machine = machine();
    let login = login("sleep 300 & kill -KILL $$; wait");
    let said = machine.run(&["process", "--no-cache", &login]);
    assert_eq!((said.status, &*said.out), (4, ""), "{said:?}");
    assert!(said.err.contains("SIGKILL"), "{said:?}");
    assert_eq!(left(group_of(&machine)), [""; 0]);
}

#[test]
fn a_stopped_command_is_continued_so_that_it_can_clean_up() {
    let machine = machine();
    let stopped = login("trap 'echo > ended; exit 3' TERM; kill -STOP $$; echo TOKEN");
    let said = machine.run(&["process", "--no-cache", "--timeout=1", &stopped]);
    assert_eq!(said.status, 4, "{said:?}");
    assert!(machine.path("ended").exists(), "{said:?}");
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let machine = machine();
    let wait = login("while ! test -e go; do sleep 0.01; done; echo TOKEN");
    for (ignored, name) in [("HUP", "HUP"), ("INT", "INT"), ("TERM", "TERM"), ("HUP INT", "INT")] {
        for file in ["go", "id"] {
            let _ = fs::remove_file(machine.path(file));
        }
        let command = machine.command(&["process", "--no-cache", &wait]);
        let mut child =
            after(&format!("trap '' {ignored}"), &command).stdout(Stdio::null()).spawn().unwrap();
        group_of(&machine);
        signal(child.id(), name);
        machine.file("go", "");
        assert!(child.wait().unwrap().success(), "{ignored}");
    }
}

#[test]
fn the_program_of_exec_has_the_signals_of_the_parent() {
    let machine = machine();
    let login = login("echo TOKEN");
    let masks = |trap: &str| {
        let command = machine.command(&["exec", &login, "--", "grep", "^Sig", "/proc/self/status"]);
        let said = machine.finish(after(trap, &command));
        assert_eq!(said.status, 0, "{said:?}");
        let of = |name: &str| {
            let line = said.out.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        (of("SigIgn:"), of("SigCgt:"), of("SigBlk:"))
    };
    // As bits: HUP, INT, TERM, XFSZ.
    let all = 1 | 1 << 1 | 1 << 14 | 1 << 24;
    let (plain, caught, blocked) = masks(":");
    assert_eq!((plain & all, caught & (all | 1 << 16), blocked), (0, 0, 0));
    let rows =
        [("HUP", 1), ("INT", 2), ("TERM", 1 << 14), ("XFSZ", 1 << 24), ("HUP INT TERM XFSZ", all)];
    for (trap, ignored) in rows {
        assert_eq!(masks(&format!("trap '' {trap}")).0 & all, ignored, "{trap}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_token_is_used_if_the_parent_ignores_the_ends_of_children() {
    let machine = machine();
    let rows = [("echo TOKEN", 0), ("echo TOKEN | cat", 0), ("echo TOKEN; exit 3", 4)];
    for (command, status) in rows {
        for more in ["--no-cache", "--login-id=me"] {
            let arguments = ["process", &login(command), "--timeout=20", more];
            // Not by `trap`: dash does not ignore SIGCHLD then.
            let env = wrapped(&["env", "--ignore-signal=CHLD"], &machine.command(&arguments));
            let said = machine.finish(env);
            let expected = if more == "--no-cache" { status } else { 0 };
            assert_eq!(said.status, expected, "{command} {said:?}");
        }
    }
}

#[test]
fn after_the_command_has_ended_a_signal_ends_the_process_at_once() {
    let machine = machine();
    let (url, connections) = silent_service();
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let arguments = ["process", "--no-cache", &login("echo TOKEN"), "--endpoint-url", &url];
        let mut child = machine.command(&arguments).spawn().unwrap();
        let _connection = connections.recv_timeout(LONG).unwrap();
        signal(child.id(), name);
        assert_eq!(child.wait().unwrap().signal(), Some(number));
    }
}

#[test]
fn a_command_that_asks_on_the_terminal_is_ended_with_an_error_that_says_so() {
    let asks = "a cmd: cannot ask questions";
    let rows = [
        ("read answer < /dev/tty; echo TOKEN", asks),
        ("exec head -n 1 /dev/tty", asks),
        ("head -n 1 /dev/tty | cat", asks),
        ("stty -echo < /dev/tty; read answer < /dev/tty; echo TOKEN", asks),
        // ssh and sudo do the same: they catch the signal, and stop only themselves.
        ("sh -c 'kill -STOP $$'; echo TOKEN", asks),
        ("sh -c 'kill -STOP $$; echo TOKEN' | cat", asks),
        ("echo question > /dev/tty; echo TOKEN", ""),
        ("echo question > /dev/tty; sleep 1.2; echo TOKEN", ""),
        ("echo question >&2; echo TOKEN", ""),
    ];
    let begun = Instant::now();
    let runs = rows.map(|(command, says)| thread::spawn(move || run_on_terminal(command, says)));
    for run in runs {
        run.join().unwrap();
    }
    assert!(begun.elapsed() < LONG);
}

fn run_on_terminal(command: &str, says: &str) {
    let machine = machine();
    let (terminal, name) = open_terminal();
    assert!(terminal.as_raw_fd() > 2);
    let arguments = ["process", "--no-cache", &login(command)];
    // The first terminal that the leader of a session opens becomes the terminal of the session.
    let on_terminal = after(&format!("exec < {name}"), &machine.command(&arguments));
    let session = wrapped(&["setsid"], &on_terminal);
    let said = machine.finish(session);
    assert_eq!(said.status, if says.is_empty() { 0 } else { 4 }, "{command} {said:?}");
    assert!(said.err.contains(says), "{command} {said:?}");
    assert_eq!(left(group_of(&machine)), [""; 0], "{command}");
}

#[test]
fn a_command_that_runs_itself_again_ends_at_the_second_level() {
    let machine = machine();
    let own = program();
    let pool = "--user-pool-id=us-east-1_x --user-pool-client-id=x";
    let rows = [
        format!("--login={PROVIDER}=cmd:'sh again'"),
        format!("--login={PROVIDER}=cmd:'sh ./again'"),
        format!("--login=other.example=cmd:'sh again' --login={PROVIDER}=env:HOME"),
        format!("{pool} --refresh-token=cmd:'sh again'"),
        "--proxy=cmd:'sh again'".to_owned(),
    ];
    for source in rows {
        let script = format!(
            "#!/bin/sh\necho level >> levels\n'{}' process {source} --no-cache | sed 's/.*/x/'\n",
            own.display()
        );
        machine.file("again", script);
        let login = format!("--login={PROVIDER}=cmd:sh again");
        for more in ["--no-cache", "--login-id=me"] {
            let _ = fs::remove_file(machine.path("levels"));
            let said = machine.run(&["process", &login, more]);
            assert_eq!(said.status, 4, "{source} {said:?}");
            for says in [MARK, "run cognito-credentials again", "@FILE"] {
                assert!(said.err.contains(says), "{source} {said:?}");
            }
            assert!(!said.err.contains("may have to sign in again"), "{source} {said:?}");
            assert_eq!(fs::read_to_string(machine.path("levels")).unwrap(), "level\n", "{source}");
        }
    }
    assert_eq!(machine.calls(), 0);
}

#[test]
fn a_command_may_use_the_credentials_of_another_login() {
    let machine = machine();
    machine.file("token", SECRET);
    let own = program();
    let own = own.display();
    let rows = [
        format!("'{own}' process --no-cache > keys && echo TOKEN"),
        format!("'{own}' process --no-cache --login={PROVIDER}=@token > keys && echo TOKEN"),
        format!("'{own}' exec --no-cache -- sh -c 'echo TOKEN'"),
        format!("{MARK}= '{own}' exec --no-cache --login={PROVIDER}=cmd:'cat token' echo TOKEN"),
    ];
    for command in rows {
        let said = machine.run(&["process", "--no-cache", &login(&command)]);
        assert_eq!((said.status, &*said.err), (0, ""), "{command} {said:?}");
    }
    assert!(Path::new(&machine.path("keys")).exists());
}
