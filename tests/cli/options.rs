//! Each option, and its variable, changes the requests that are sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cognito_identity_credentials::testing::{Fault, ReceivedRequest};

use crate::certificates::{Certificate, tls_server};
use crate::ids::IDENTITY;
use crate::service::{
    GET_CREDENTIALS, Machine, POOL, PROVIDER, ROLE, SECRET, Variables, program, refusing_proxy,
    run_like, silent_service,
};

const STS: &str = "AssumeRoleWithWebIdentity";

/// Runs the command, and returns its first request of this operation.
fn request(
    machine: &Machine,
    variables: Variables<'_>,
    arguments: &[&str],
    operation: &str,
) -> ReceivedRequest {
    let before = machine.calls();
    let start = ["process", "--no-cache"];
    let said = machine.run_with(variables, &[&start, arguments].concat());
    let requests = machine.cognito.requests().split_off(before);
    let mut found = requests.into_iter().filter(|request| request.operation() == operation);
    found.next().unwrap_or_else(|| panic!("no {operation} by {arguments:?}: {said:?}"))
}

#[test]
fn requests_follow_the_options_and_the_variables() {
    struct Case {
        option: &'static str,
        variable: &'static str,
        value: &'static str,
        /// The call that has the value in its request, and the field with it.
        operation: &'static str,
        field: fn(&ReceivedRequest) -> Option<&str>,
    }

    let rows: [Case; 5] = [
        Case {
            option: "--account-id",
            variable: "AWS_ACCOUNT_ID",
            value: "12345",
            operation: "GetId",
            field: ReceivedRequest::account_id,
        },
        Case {
            option: "--identity-id",
            variable: "AWS_COGNITO_IDENTITY_ID",
            value: IDENTITY,
            operation: GET_CREDENTIALS,
            field: ReceivedRequest::identity_id,
        },
        Case {
            option: "--custom-role-arn",
            variable: "AWS_COGNITO_CUSTOM_ROLE_ARN",
            value: ROLE,
            operation: GET_CREDENTIALS,
            field: ReceivedRequest::custom_role_arn,
        },
        Case {
            option: "--role-arn",
            variable: "AWS_COGNITO_ROLE_ARN",
            value: ROLE,
            operation: STS,
            field: |request| request.form_field("RoleArn"),
        },
        Case {
            option: "--identity-pool-id",
            variable: "AWS_COGNITO_IDENTITY_POOL_ID",
            value: "us-east-1:00000000-0000-4000-8000-0000000000bb",
            operation: "GetId",
            field: ReceivedRequest::identity_pool_id,
        },
    ];
    let machine = Machine::new();
    machine.cognito.add_pool(rows[4].value);
    for Case { option, variable, value, operation, field } in rows {
        let got = request(&machine, &[], &[option, value], operation);
        assert_eq!(field(&got), Some(value), "{option}");
        let joined = format!("{option}={value}");
        // An option takes precedence, even over an invalid variable.
        let got = request(&machine, &[(variable, "no good")], &[&joined], operation);
        assert_eq!(field(&got), Some(value), "{joined}");
        let got = request(&machine, &[(variable, value)], &[], operation);
        assert_eq!(field(&got), Some(value), "{variable}");
    }
}

#[test]
fn the_region_of_the_sdks_may_differ_from_the_region_of_the_pool() {
    let machine = Machine::new();
    for variables in [
        &[("AWS_REGION", "us-west-2"), ("AWS_DEFAULT_REGION", "eu-west-1")][..],
        &[("AWS_DEFAULT_REGION", "not a region")],
    ] {
        for given in [&["--identity-pool-id", POOL], &["--identity-id", IDENTITY]] {
            request(&machine, variables, given, GET_CREDENTIALS);
        }
        let said = machine.run_with(variables, &["exec", "--", "env"]);
        for (name, value) in variables {
            assert!(said.out.contains(&format!("{name}={value}\n")), "the program's: {said:?}");
        }
    }
}

#[test]
fn the_options_of_the_role_select_the_classic_flow() {
    let machine = Machine::new();
    let policy = machine.file("policy.json", "{\"Version\": \"2012-10-17\"}\n");
    let policy = format!("@{policy}");
    let rows: [(Variables<'_>, &[&str], &str, &str); 6] = [
        (&[], &["--role-session-name", "me"], "RoleSessionName", "me"),
        (&[("AWS_ROLE_SESSION_NAME", "me")], &[], "RoleSessionName", "me"),
        (&[], &["--duration", "900"], "DurationSeconds", "900"),
        (&[], &["--duration", "2h"], "DurationSeconds", "7200"),
        (&[], &["--policy", &policy], "Policy", "{\"Version\": \"2012-10-17\"}"),
        (
            &[("AWS_ROLE_SESSION_NAME", "you")],
            &["--role-session-name", "me"],
            "RoleSessionName",
            "me",
        ),
    ];
    for (variables, arguments, field, value) in rows {
        let arguments = [&["--role-arn", ROLE], arguments].concat();
        let got = request(&machine, variables, &arguments, STS);
        assert_eq!(got.form_field(field), Some(value), "{variables:?} {arguments:?}");
    }
}

#[test]
fn a_token_comes_from_a_file_a_variable_or_a_command() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine.cognito.accept_login("graph.facebook.com", "other", "ann");
    let file = machine.file("token", format!(" {SECRET}\n"));
    for source in [format!("@{file}"), "@token".into(), "env:TOKEN".into(), "cmd:cat token".into()]
    {
        let login = format!("{PROVIDER}={source}");
        let got = request(&machine, &[("TOKEN", SECRET)], &["--login", &login], "GetId");
        assert_eq!(got.login(PROVIDER), Some(SECRET), "{login}");
    }
    let (one, two) = (format!("{PROVIDER}=@token"), "graph.facebook.com=cmd:echo other");
    let got = request(&machine, &[], &["--login", &one, "--login", two], GET_CREDENTIALS);
    assert_eq!(got.providers().collect::<Vec<_>>(), [PROVIDER, "graph.facebook.com"]);
}

#[test]
fn each_service_has_its_endpoint() {
    let machine = Machine::new();
    let url = machine.server.url();
    let nowhere = "http://127.0.0.1:1";
    let cognito = ["--endpoint-url", url];
    let sts = ["--sts-endpoint-url", url];
    let role = ["--role-arn", ROLE];
    let all = [&cognito[..], &sts, &role].concat();
    let rows: [(Variables<'_>, Vec<&str>); 8] = [
        (&[("AWS_ENDPOINT_URL", nowhere)], [&cognito[..], &sts, &role].concat()),
        (&[("AWS_ENDPOINT_URL_STS", nowhere)], [&sts[..], &role].concat()),
        (&[("AWS_ENDPOINT_URL_COGNITO_IDENTITY", nowhere)], [&cognito[..], &role].concat()),
        (
            &[
                ("AWS_ENDPOINT_URL", nowhere),
                ("AWS_ENDPOINT_URL_STS", url),
                ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", url),
            ],
            role.to_vec(),
        ),
        (&[("AWS_ENDPOINT_URL", "no good")], [&cognito[..], &sts].concat()),
        (&[("AWS_ENDPOINT_URL", nowhere)], cognito.to_vec()),
        (&[("AWS_ENDPOINT_URL", "no good"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")], all),
        (&[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "yes")], cognito.to_vec()),
    ];
    for (number, (variables, arguments)) in rows.into_iter().enumerate() {
        let start = ["process", "--no-cache"];
        let said = machine.run_with(variables, &[&start, &arguments[..]].concat());
        // The shared URL is checked by itself, because it is also the endpoint of STS.
        let expected = if [4, 7].contains(&number) { 2 } else { 0 };
        assert_eq!(said.status, expected, "{variables:?} {arguments:?} {said:?}");
    }
}

/// The requests at a proxy show which endpoint was chosen, and that the proxy was used.
#[test]
fn endpoints_of_aws_and_proxies_are_chosen() {
    let (proxy, asked) = refusing_proxy();
    let pool = "eu-west-1:00000000-0000-4000-8000-0000000000aa";
    let name = proxy.strip_prefix("http://").unwrap();
    let secret_proxy = format!("http://ann:{SECRET}@{name}");
    let machine = Machine::new();
    let file = format!("@{}", machine.file("proxy", &secret_proxy));
    let basic = "proxy-authorization: basic yw5uomh1bnrlcji=";
    let plain = "cognito-identity.eu-west-1.amazonaws.com:443";
    let fips = "cognito-identity-fips.eu-west-1.amazonaws.com:443";
    let both = "cognito-identity-fips.eu-west-1.api.aws:443";
    let ignored = [
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE"),
        ("AWS_ENDPOINT_URL", "https://device.invalid"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", "https://device.invalid"),
    ];
    let read = [("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "FALSE"), ignored[1]];
    let rows: [(Variables<'_>, &[&str], [&str; 2]); 13] = [
        (&ignored, &["--proxy", &proxy], [plain, ""]),
        (&ignored, &["--proxy", &proxy, "--fips"], [fips, ""]),
        (&read, &["--proxy", &proxy], ["device.invalid:443", ""]),
        (&[], &["--proxy", &proxy], [plain, ""]),
        (&[("HTTPS_PROXY", &proxy)], &[], [plain, ""]),
        (&[("HTTPS_PROXY", &secret_proxy)], &[], [plain, basic]),
        (&[("HTTPS_PROXY", "http://127.0.0.1:1")], &["--proxy", &proxy], [plain, ""]),
        (&[("P", &secret_proxy)], &["--proxy", "env:P"], [plain, basic]),
        (&[], &["--proxy", &file], [plain, basic]),
        (&[], &["--proxy", &proxy, "--fips"], [fips, ""]),
        (&[("AWS_USE_FIPS_ENDPOINT", "true")], &["--proxy", &proxy, "--fips=false"], [plain, ""]),
        (&[], &["--proxy", &proxy, "--fips", "--dual-stack"], [both, ""]),
        (
            &[],
            &["--proxy", &proxy, "--endpoint-url=http://device.invalid", "--danger-allow-http"],
            ["device.invalid:80", ""],
        ),
    ];
    for (variables, arguments, expected) in rows {
        let start = ["process", "--no-cache", "--identity-pool-id", pool];
        let mut command = machine.bare(&[&start, arguments].concat());
        command.envs(variables.iter().copied());
        let said = machine.finish(command);
        assert_eq!(said.status, 3, "{arguments:?} {said:?}");
        let asked = asked.lock().unwrap().drain(..).next().unwrap_or_default().to_lowercase();
        for words in expected {
            assert!(asked.contains(words), "{arguments:?}: {words} not in {asked}");
        }
    }
}

#[test]
fn time_and_attempts_are_limited() {
    let machine = Machine::new();
    for (arguments, attempts) in [(&["--max-attempts", "2"][..], 2), (&[], 1)] {
        machine.cognito.fail_next("GetId", 2, Fault::internal_error());
        let before = machine.calls();
        machine.run(&[&["process", "--no-cache"], arguments].concat());
        assert_eq!(machine.calls(), before + attempts, "{arguments:?}");
        machine.cognito.fail_next("GetId", 0, Fault::internal_error());
    }
    let (silent, _connections) = silent_service();
    for option in [&["--timeout", "100ms"][..], &["--timeout=1"]] {
        let start = ["process", "--no-cache", "--endpoint-url", &silent];
        let said = machine.run(&[&start, option].concat());
        assert_eq!(said.status, 3, "{said:?}");
    }
}

#[test]
fn authorities_are_trusted_by_option_and_by_variable() {
    let machine = Machine::new();
    let certificate = Certificate::default();
    let (url, authority) = tls_server(&machine.cognito, &certificate, rustls::ALL_VERSIONS);
    let pem = machine.file("ca.pem", authority);

    let rows: [(Variables<'_>, &[&str], i32, &str); 6] = [
        (&[], &[], 3, "an authority that is not trusted"),
        (&[], &["--ca-file", &pem], 0, ""),
        (&[("AWS_CA_BUNDLE", &pem)], &[], 0, ""),
        (&[("AWS_CA_BUNDLE", "/no/such/file")], &["--ca-file", &pem], 0, ""),
        (&[("AWS_CA_BUNDLE", "/no/such/file")], &[], 2, "AWS_CA_BUNDLE: /no/such/file"),
        (&[("AWS_CA_BUNDLE", &pem)], &["--ca-file", "/none"], 2, "--ca-file: /none"),
    ];
    for (variables, arguments, status, says) in rows {
        let start = ["process", "--no-cache", "--endpoint-url", &url];
        let said = machine.run_with(variables, &[&start, arguments].concat());
        assert_eq!(said.status, status, "{variables:?} {arguments:?} {said:?}");
        assert!(said.err.contains(says), "{said:?}");
    }
}

#[test]
fn verbose_prints_the_steps_and_warnings_are_always_printed() {
    let machine = Machine::new();
    for flag in ["--verbose", "-v"] {
        machine.cognito.fail_next("GetId", 1, Fault::internal_error());
        let said = machine.run(&["process", "--no-cache", flag, "--max-attempts=2"]);
        assert_eq!(said.status, 0, "{said:?}");
        assert!(said.err.contains("cognito-credentials: debug: "), "{said:?}");
        assert!(said.err.lines().all(|line| line.starts_with("cognito-credentials: ")), "{said:?}");
    }
    machine.cognito.fail_next("GetId", 1, Fault::internal_error());
    let said = machine.run(&["process", "--no-cache", "--max-attempts=2"]);
    assert_eq!((said.status, &*said.err), (0, ""));
}

/// The examples of the help and of `docs/command.md`, with the fake service in place of AWS.
#[test]
fn the_examples_work() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine.file("id-token", SECRET);
    let program = program();
    let program = program.display();
    // This script stands for the installed command. It also runs an emulator, if there is one.
    let runner = std::env::var("TEST_RUNNER").unwrap_or_default();
    fs::create_dir(machine.path("bin")).unwrap();
    let path = format!("{}:{}", machine.path("bin").display(), std::env::var("PATH").unwrap());
    let command = machine
        .file("bin/cognito-credentials", format!("#!/bin/sh\nexec {runner} '{program}' \"$@\"\n"));
    fs::set_permissions(command, fs::Permissions::from_mode(0o755)).unwrap();
    for script in [
        "keys=$(cognito-credentials env) && eval \"$keys\"; printenv AWS_SECRET_ACCESS_KEY",
        "cognito-credentials exec -- sh -c 'printenv AWS_SECRET_ACCESS_KEY'",
        "cognito-credentials process --login accounts.google.com=@id-token",
        "cognito-credentials env --format dotenv > device.env; cat device.env",
    ] {
        let mut shell = Command::new("sh");
        run_like(shell.args(["-euc", script]), &machine.command(&[]));
        shell.env("PATH", &path);
        let said = machine.finish(shell);
        assert!(said.out.contains("fake/secret/key"), "{script}: {said:?}");
    }
    let kept = fs::read_dir(machine.cache()).unwrap().count();
    assert!(kept >= 4, "the guest's and the user's: {kept}");
}
