//! The command on a system that cannot start a thread.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use crate::service::{Machine, PROVIDER, SECRET, Said};

/// Runs the command so that no thread can start: each asks for more stack than there is memory.
fn run(machine: &Machine, arguments: &[&str]) -> Said {
    machine.run_with(&[("RUST_MIN_STACK", &(1_u64 << 60).to_string())], arguments)
}

#[test]
fn an_endpoint_with_an_ip_address_needs_no_thread() {
    let machine = Machine::new();
    let said = run(&machine, &["process"]);
    assert_eq!((said.status, &*said.err), (0, ""), "{said:?}");
    assert!(said.out.contains("AccessKeyId"), "{said:?}");
}

#[test]
fn reading_a_secret_from_a_command_needs_no_thread() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    let login = format!("--login={PROVIDER}=cmd:echo {SECRET}");
    let said = run(&machine, &["process", &login]);
    assert_eq!((said.status, &*said.err), (0, ""), "{said:?}");
}
