//! Whose cache it is: no user gets another's credentials.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::service::{Machine, PROVIDER, SECRET};

/// A token of this user's, as a provider of OpenID Connect issues them.
fn jwt(user: &str, number: u32) -> String {
    let payload = format!(r#"{{"iss": "https://p", "sub": "{user}", "exp": 4000000000}}"#);
    format!("e30.{}.{SECRET}{user}{number}", URL_SAFE_NO_PAD.encode(payload))
}

fn machine() -> Machine {
    let machine = Machine::new();
    for user in ["ann", "bob"] {
        for number in [1, 2] {
            machine.cognito.accept_login(PROVIDER, jwt(user, number), user);
            machine.cognito.accept_login(PROVIDER, format!("{SECRET}{user}{number}"), user);
        }
    }
    machine
}

/// Whose credentials come out, by their key, and how many service calls that took.
fn run(machine: &Machine, token: &str, arguments: &[&str]) -> (String, usize) {
    let before = machine.calls();
    let mut command =
        machine.command(&[&["exec"], arguments, &["--", "printenv", "AWS_ACCESS_KEY_ID"]].concat());
    machine.file("token", token);
    command.env("TOKEN", token);
    let said = machine.finish(command);
    assert_eq!((said.status, &*said.err), (0, ""), "{arguments:?}");
    (said.out, machine.calls() - before)
}

#[test]
fn a_users_second_call_makes_no_service_call() {
    for (source, token) in
        [("@token", jwt("ann", 1)), ("env:TOKEN", jwt("ann", 1)), ("cmd:cat token", jwt("ann", 1))]
    {
        let machine = machine();
        let login = format!("--login={PROVIDER}={source}");
        let (first, calls) = run(&machine, &token, &[&login]);
        assert_eq!(calls, 2, "{source}");
        assert_eq!(run(&machine, &token, &[&login]), (first.clone(), 0), "{source}");
        // A new token of the same user changes nothing.
        let next = token.replace("ann1", "ann2");
        assert_eq!(run(&machine, &next, &[&login]), (first, 0), "{source}");
        assert!(
            machine.fine(&["status"]).contains("none known yet"),
            "the guest has no part in it"
        );
    }
}

#[test]
fn another_user_never_gets_cached_credentials() {
    for (source, ann, bob) in [
        ("@token", jwt("ann", 1), jwt("bob", 1)),
        ("env:TOKEN", jwt("ann", 1), jwt("bob", 1)),
        ("cmd:cat token", jwt("ann", 1), jwt("bob", 1)),
        // These do not say whose they are.
        ("@token", format!("{SECRET}ann1"), format!("{SECRET}bob1")),
        ("env:TOKEN", format!("{SECRET}ann1"), format!("{SECRET}bob1")),
        ("cmd:cat token", format!("{SECRET}ann1"), format!("{SECRET}bob1")),
    ] {
        let machine = machine();
        let login = format!("--login={PROVIDER}={source}");
        let (anns, _) = run(&machine, &ann, &[&login]);
        let (bobs, calls) = run(&machine, &bob, &[&login]);
        assert!(calls >= 2, "{source}");
        assert_ne!(anns, bobs, "{source}");
        let last = machine.cognito.requests().pop().unwrap();
        assert_eq!(last.login(PROVIDER), Some(&*bob), "{source}");
        // Nor does a guest, and nor does a user get a guest's.
        let (guests, calls) = run(&machine, "", &[]);
        assert_eq!(calls, 2);
        assert!(![anns, bobs].contains(&guests));
    }
}

#[test]
fn a_login_id_finds_the_cache_without_reading_the_token() {
    let machine = machine();
    machine.file("token", format!("{SECRET}ann1"));
    let login = format!("--login={PROVIDER}=cmd:echo asked >> asked; cat token");
    let token = format!("{SECRET}ann1");
    let asked = || fs::read_to_string(machine.path("asked")).unwrap_or_default().lines().count();

    let (first, calls) = run(&machine, &token, &[&login, "--login-id", "ann"]);
    assert_eq!((calls, asked()), (2, 1));
    assert_eq!(run(&machine, &token, &[&login, "--login-id", "ann"]), (first.clone(), 0));
    assert_eq!(asked(), 1);
    let (other, calls) = run(&machine, &token, &[&login, "--login-id", "somebody"]);
    assert_eq!((calls, asked()), (2, 2));
    assert_ne!(first, other);
    // Without a name, the token that does not say whose it is is asked for once in each run.
    run(&machine, &token, &[&login]);
    assert_eq!(asked(), 3);
    let status = machine.fine(&["status", &login]);
    assert!(status.contains("only the identity"), "{status}");
    assert!(status.contains("user           accounts.google.com, by a command\n"), "{status}");
}

#[test]
fn no_file_has_a_token_in_its_name_and_none_but_the_keys_in_its_text() {
    let machine = machine();
    for token in [jwt("ann", 1), format!("{SECRET}ann1")] {
        for source in ["@token", "env:TOKEN"] {
            run(&machine, &token, &[&format!("--login={PROVIDER}={source}")]);
        }
        run(&machine, &token, &[&format!("--login={PROVIDER}=cmd:echo {token}")]);
    }
    let mut files = 0;
    for file in fs::read_dir(machine.cache()).unwrap() {
        let file = file.unwrap();
        files += 1;
        let name = file.file_name().into_string().unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        for secret in [SECRET, "e30.", "ann"] {
            assert!(!name.contains(secret), "{name}");
            assert!(!text.contains(secret), "{name}: {text}");
        }
    }
    assert!(files >= 4, "only {files} files");
}
