//! The login of a user pool: the command gets login tokens with a refresh token.

use std::fs;
use std::time::Duration;

use cognito_identity_credentials::testing::{FakeCognito, Fault, ReceivedRequest};
use cognito_identity_credentials::transport::TransportErrorKind;

use crate::layout;
use crate::service::{
    GET_CREDENTIALS, Machine, POOL, SECRET, Said, Variables, refusing_proxy, silent_service,
};

const CLIENT: [&str; 4] =
    ["--user-pool-id", FakeCognito::USER_POOL_ID, "--user-pool-client-id", FakeCognito::CLIENT_ID];

/// Runs a command with this refresh token in a file and in a variable. Checks that it is not
/// printed.
fn run(machine: &Machine, command: &str, token: &str, arguments: &[&str]) -> Said {
    machine.file("refresh-token", format!("{token}\n"));
    let variables = [("REFRESH", token), ("CLIENT_SECRET", SECRET)];
    let said = machine.run_with(&variables, &[&[command], &CLIENT[..], arguments].concat());
    assert!(token.is_empty() || !format!("{said:?}").contains(token), "{said:?}");
    said
}

fn key(said: &Said) -> String {
    assert_eq!((said.status, &*said.err), (0, ""), "{said:?}");
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    document["AccessKeyId"].as_str().unwrap().to_owned()
}

#[test]
fn with_only_a_refresh_token_a_second_call_makes_no_service_call() {
    for source in ["@refresh-token", "env:REFRESH", "cmd:cat refresh-token"] {
        let machine = Machine::new();
        let ann = machine.cognito.sign_in("ann");
        let login = ["--refresh-token", source];
        let first = key(&run(&machine, "process", &ann, &login));
        let requests = machine.cognito.requests();
        let operations: Vec<_> = requests.iter().map(ReceivedRequest::operation).collect();
        assert_eq!(operations, ["InitiateAuth", "GetId", GET_CREDENTIALS]);
        assert_eq!(key(&run(&machine, "process", &ann, &login)), first);
        assert_eq!(machine.calls(), 3, "{source}");

        let bob = machine.cognito.sign_in("bob");
        assert_ne!(key(&run(&machine, "process", &bob, &login)), first, "another user");
        assert_eq!(machine.calls(), 6, "{source}");
    }
}

fn lose_credentials(machine: &Machine) {
    for name in machine.records().iter().filter(|name| name.starts_with("credentials")) {
        fs::remove_file(machine.cache().join(name)).unwrap();
    }
}

#[test]
fn forget_removes_a_rotated_refresh_token_too() {
    let machine = Machine::new();
    machine.cognito.set_refresh_token_rotation(Some(Duration::ZERO));
    let logins: [&[&str]; 3] = [
        &["--refresh-token", "@refresh-token"],
        &["--refresh-token", "@refresh-token", "--login-id", "ann"],
        &["--refresh-token", "@refresh-token", "--login-id", "bob"],
    ];
    let tokens = logins.map(|login| {
        let token = machine.cognito.sign_in("ann");
        key(&run(&machine, "process", &token, login));
        token
    });
    let records = || machine.records().into_iter();
    let kept = || records().filter(|name| name.starts_with("refresh-token")).count();
    for (done, (login, token)) in logins.into_iter().zip(tokens).enumerate() {
        assert_eq!(kept(), 3 - done, "{login:?}");
        assert_eq!(run(&machine, "forget", &token, login).status, 0);
        let said = run(&machine, "process", &token, login);
        assert_eq!(said.status, 4, "the user has to sign in again: {said:?}");
    }
}

#[test]
fn a_rotated_refresh_token_is_stored_until_the_user_signs_in_again() {
    let machine = Machine::new();
    machine.cognito.set_refresh_token_rotation(Some(Duration::ZERO));
    let given = machine.cognito.sign_in("ann");
    let login = ["--refresh-token", "@refresh-token"];
    let mut keys = vec![key(&run(&machine, "process", &given, &login))];
    for _ in 0..2 {
        // Now the command needs a login token, and the given refresh token is no longer valid.
        lose_credentials(&machine);
        keys.push(key(&run(&machine, "process", &given, &login)));
    }
    keys.dedup();
    assert_eq!(keys.len(), 3);
    assert_eq!(machine.cognito.identities(), 1, "all runs have the same user");

    machine.cognito.sign_out("ann");
    lose_credentials(&machine);
    let said = run(&machine, "process", &given, &login);
    assert_eq!(said.status, 4, "{said:?}");
    assert!(said.err.contains("sign in again"), "{said:?}");
    let anew = machine.cognito.sign_in("ann");
    key(&run(&machine, "process", &anew, &login));

    // With a login ID, the stored refresh token is enough.
    let named = ["--login-id", "ann", "--refresh-token", "@refresh-token"];
    let said = run(&machine, "process", &machine.cognito.sign_in("ann"), &named);
    key(&said);
    lose_credentials(&machine);
    key(&run(&machine, "process", "", &named[..2]));
    let before = machine.calls();
    let said = run(&machine, "process", "", &["--login-id", "nobody"]);
    assert_eq!((said.status, machine.calls()), (4, before), "{said:?}");

    for file in fs::read_dir(machine.cache()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains(&given) && !name.contains(&anew), "{name}");
    }
}

#[test]
fn the_exit_status_says_whether_to_sign_in_again_or_to_wait_for_the_user_pool() {
    let lost = Fault::NoAnswer(TransportErrorKind::Io);
    let refused = |code: &str| Fault::error(400, code, "Something.");
    let rows = [
        (refused("NotAuthorizedException"), 4, "sign in again"),
        (refused("UserNotFoundException"), 4, "sign in again"),
        (refused("ResourceNotFoundException"), 4, "check --user-pool-id and --user-pool-client-id"),
        (refused("TooManyRequestsException"), 5, "try again later"),
        (Fault::internal_error(), 5, "try again later"),
        (lost, 3, "check the network"),
    ];
    for (fault, status, says) in rows {
        let machine = Machine::new();
        let token = machine.cognito.sign_in("ann");
        machine.cognito.fail_next("InitiateAuth", 9, fault.clone());
        machine.cognito.fail_next("GetTokensFromRefreshToken", 9, fault.clone());
        let said = run(&machine, "process", &token, &["--refresh-token=env:REFRESH", "-v"]);
        assert_eq!((said.status, &*said.out), (status, ""), "{fault:?} {said:?}");
        assert!(said.err.contains(says), "{fault:?} {said:?}");
        assert_eq!(
            machine.calls(),
            1,
            "{fault:?}: AWS_MAX_ATTEMPTS limits the calls to the user pool too"
        );
    }
    let machine = Machine::new();
    for (source, says) in
        [("@none", "none: "), ("env:NONE", "NONE is not set"), ("cmd:exit 3", "status: 3")]
    {
        let login = format!("--refresh-token={source}");
        for more in [&["--no-cache"][..], &[]] {
            let said = run(&machine, "process", "", &[&[&*login], more].concat());
            assert_eq!(said.status, 4, "{said:?}");
            assert!(said.err.contains(says), "{said:?}");
        }
    }
    assert_eq!(machine.calls(), 0);
}

#[test]
fn an_app_client_with_a_secret_needs_the_secret_and_the_user_name() {
    let machine = Machine::new();
    machine.cognito.set_client_secret(Some(SECRET));
    let token = machine.cognito.sign_in("ann");
    let login = ["--refresh-token=env:REFRESH", "--user-pool-username=ann", "--no-cache"];
    let said = run(&machine, "process", &token, &login);
    assert_eq!(said.status, 2, "the user name needs a client secret: {said:?}");
    let said = run(&machine, "process", &token, &["--refresh-token=env:REFRESH"]);
    assert_eq!(said.status, 4, "the client secret is missing: {said:?}");
    assert!(said.err.contains("check --user-pool-client-secret"), "{said:?}");
    machine.file("secret", SECRET);
    for source in ["env:CLIENT_SECRET", "@secret", "cmd:cat secret"] {
        let secret = format!("--user-pool-client-secret={source}");
        key(&run(&machine, "process", &token, &[&login[..], &[&secret]].concat()));
    }
    // The options for the endpoint and the device key work too.
    let url = machine.server.url();
    let more = [
        "--user-pool-client-secret=env:CLIENT_SECRET",
        "--user-pool-device-key=us-east-1_12345678-dead-beef-cafe-123456790ab0",
        "--user-pool-endpoint-url",
        url,
    ];
    key(&run(&machine, "process", &token, &[&login[..], &more].concat()));
    let more = [&more[..3], &["http://127.0.0.1:1"]].concat();
    assert_eq!(run(&machine, "process", &token, &[&login[..], &more].concat()).status, 3);
}

#[test]
fn exec_passes_no_refresh_token_and_the_doctor_reports_the_refresh() {
    let machine = Machine::new();
    machine.cognito.set_client_secret(Some(SECRET));
    let token = machine.cognito.sign_in("ann");
    let login = [
        "--refresh-token=env:REFRESH",
        "--user-pool-client-secret=env:CLIENT_SECRET",
        "--user-pool-username=ann",
    ];
    let said = run(&machine, "exec", &token, &[&login[..], &["--", "env"]].concat());
    assert_eq!(said.status, 0, "{said:?}");
    assert!(!said.out.contains(SECRET) && !said.out.contains("REFRESH="), "{said:?}");

    let said = run(&machine, "doctor", &token, &login);
    assert_eq!(said.status, 0, "{said:?}");
    let report = layout::joined(&said.out);
    let settings = format!("user pool {}, by a refresh token\n", FakeCognito::USER_POOL_ID);
    assert!(report.contains(&settings), "{report}");
    assert!(report.contains("ok      call         InitiateAuth: HTTP status 200 in "), "{report}");
}

#[test]
fn status_and_doctor_show_the_cache_without_reading_the_refresh_token() {
    let machine = Machine::new();
    let token = machine.cognito.sign_in("ann");
    let login = ["--refresh-token=cmd:touch asked; cat refresh-token", "--login-id=ann"];
    key(&run(&machine, "process", &token, &login));
    for is_lost in [false, true] {
        fs::remove_file(machine.path("asked")).unwrap();
        if is_lost {
            lose_credentials(&machine);
        }
        let before = machine.calls();
        let said = run(&machine, "status", &token, &login);
        assert_eq!(said.status, 0, "{said:?}");
        assert_eq!(said.out.contains("none cached"), is_lost, "{said:?}");
        assert!(!machine.path("asked").exists(), "{said:?}");
        assert_eq!(machine.calls(), before);
        let said = run(&machine, "doctor", &token, &login);
        let steps: Vec<_> = said.out.lines().filter_map(|line| line.get(8..21)).collect();
        let at = |name: &str| steps.iter().position(|step| step.trim() == name).unwrap();
        assert!(at("stored") < at("call"), "{}", said.out);
    }
}

#[test]
fn wrong_settings_of_a_user_pool_are_shown_as_options() {
    let machine = Machine::new();
    let login = format!("cognito-idp.us-east-1.amazonaws.com/{}=@x", FakeCognito::USER_POOL_ID);
    let both = [&CLIENT[..], &["--refresh-token=@x", "--login", &login]].concat();
    let with = |options: &[&'static str]| [&CLIENT[..], options].concat();
    let rows: [(&[&str], &str); 10] = [
        (&both, "--login: cannot name the user pool of --user-pool-id; leave one of them out"),
        (&["--refresh-token=@x"], "--user-pool-id: not given"),
        (&["--user-pool-username=x"], "--user-pool-id: not given, but needed"),
        (&CLIENT, "--refresh-token: not given"),
        (&["--user-pool-id=x", "--refresh-token=@x"], "--user-pool-id: "),
        (&["--user-pool-id=us-east-1_x", "--refresh-token=@x"], "--user-pool-client-id: "),
        (&with(&["--refresh-token", SECRET]), "env:NAME"),
        (&with(&["--refresh-token=@x", "--user-pool-client-secret", SECRET]), "env:NAME"),
        (
            &with(&["--refresh-token=@x", "--user-pool-endpoint-url=x"]),
            "--user-pool-endpoint-url: ",
        ),
        (
            &with(&["--refresh-token=@x", "--fips"]),
            "--fips: cannot be combined with --user-pool-endpoint-url",
        ),
    ];
    for (arguments, says) in rows {
        let said = machine.run(&[&["process"], arguments].concat());
        assert_eq!((said.status, &*said.out), (2, ""), "{arguments:?} {said:?}");
        assert!(said.err.contains(says), "{arguments:?} {said:?}");
    }
    assert_eq!(machine.calls(), 0);
}

#[test]
fn general_network_settings_apply_to_the_user_pool_too() {
    let (proxy, asked) = refusing_proxy();
    let machine = Machine::new();
    let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
    let aws = "CONNECT cognito-idp.us-east-1.amazonaws.com:443 ";
    let aws_fips = "CONNECT cognito-idp-fips.us-east-1.amazonaws.com:443 ";
    let device = "CONNECT device.invalid:443 ";
    let of_user_pool = ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "https://device.invalid");
    let of_all = ("AWS_ENDPOINT_URL", "https://device.invalid");
    let ignore = |value| ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", value);
    let http = ["--user-pool-endpoint-url=http://device.invalid", "--danger-allow-http"];
    let rows: [(Variables<'_>, &[&str], &str); 9] = [
        (&[of_user_pool, ignore("true")], &[], aws),
        (&[of_user_pool, ignore("false")], &[], device),
        (&[of_all, ignore("true")], &[], aws),
        (&[of_all, ignore("false")], &[], device),
        (&[], &[], aws),
        (&[], &["--fips"], aws_fips),
        (&[fips], &[], aws_fips),
        (&[fips], &["--fips=false"], aws),
        (&[], &http, "CONNECT device.invalid:80 "),
    ];
    for (variables, arguments, expected) in rows {
        let start = ["process", "--identity-pool-id", POOL, "--refresh-token=cmd:echo x"];
        let start = [&start[..], &CLIENT, &["--proxy", &proxy, "--max-attempts=1"]].concat();
        let mut command = machine.bare(&[&start, arguments].concat());
        command.envs(variables.iter().copied());
        let said = machine.finish(command);
        assert_eq!(said.status, 3, "{variables:?} {arguments:?} {said:?}");
        let asked = asked.lock().unwrap().drain(..).next().unwrap_or_default();
        assert!(asked.starts_with(expected), "{variables:?} {arguments:?}: {asked}");
    }

    let (silent, _connections) = silent_service();
    let token = machine.cognito.sign_in("ann");
    let begun = std::time::Instant::now();
    let limits = ["--timeout=100ms", "--refresh-token=env:REFRESH"];
    let limits = [&limits[..], &["--user-pool-endpoint-url", &silent]].concat();
    assert_eq!(run(&machine, "process", &token, &limits).status, 3);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "--timeout limits the call, not the default of the user pool"
    );
}
