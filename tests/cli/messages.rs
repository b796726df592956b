//! The message for each mistake: it names the right next step, as the user types it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::Fault;

use crate::service::{
    GET_CREDENTIALS, Machine, POOL, PROVIDER, ROLE, SECRET, for_each_row, jwt, on_a_terminal,
    refusing_proxy, silent_service,
};

const HELP: &str = "--help lists";
const IDENTITY: &str = "us-east-1:00000000-0000-4000-8000-0000000000cc";
const USER_POOL: &str = "cognito-idp.us-east-1.amazonaws.com/us-east-1_abc";
const OPERATOR: &str = "ask the operator";

fn token(issuer: &str) -> String {
    jwt(&format!(r#"{{"iss": "{issuer}", "sub": "ann", "exp": 4000000000}}"#))
}

fn refused(operation: &'static str, message: &str) -> (&'static str, Fault) {
    (operation, Fault::not_authorized(message))
}

struct Row<'a> {
    typed: &'a [&'a str],
    variables: &'a [(&'a str, &'a str)],
    /// A call that the service refuses.
    refusal: Option<(&'static str, Fault)>,
    says: &'a [&'a str],
    never: &'a [&'a str],
    status: i32,
}

/// Runs each row on a new machine with two token files. If the row has no variables, those of the
/// pool and the service are set.
fn check(rows: Vec<Row<'_>>) {
    for_each_row(rows, |row| {
        let machine = Machine::new();
        machine.file("token", token(&format!("https://{USER_POOL}")));
        machine.file("google", token("https://accounts.google.com"));
        if let Some((operation, fault)) = row.refusal {
            machine.cognito.fail_next(operation, 4, fault);
        }
        let mut command = if row.variables.is_empty() {
            machine.command(row.typed)
        } else {
            machine.bare(row.typed)
        };
        for (name, value) in row.variables {
            command.env(name, if *value == "SERVICE" { machine.server.url() } else { value });
        }
        let said = machine.finish(command);
        let (typed, variables) = (row.typed, row.variables);
        // The report of `doctor` goes to standard output, in lines of 100 columns.
        let text = format!("{}{}", said.out, said.err);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said.status, row.status, "{typed:?} {variables:?}\n{text}");
        if !typed.contains(&"doctor") {
            assert_eq!(said.out, "", "{typed:?}");
            assert!(row.status != 2 || machine.calls() == 0, "{typed:?}\n{text}");
        }
        for words in row.says {
            assert!(text.contains(words), "{words:?} not said of {typed:?} {variables:?}\n{text}");
        }
        for words in row.never {
            assert!(!text.contains(words), "{words:?} said of {typed:?} {variables:?}\n{text}");
        }
        assert!(row.says.contains(&HELP) || !text.contains(HELP), "{typed:?}\n{text}");
    });
}

fn usage<'a>(typed: &'a [&'a str], says: &'a [&'a str]) -> Row<'a> {
    Row { typed, variables: &[], refusal: None, says, never: &[], status: 2 }
}

#[test]
fn a_missing_pool_names_the_option_the_variable_and_a_variable_with_nearly_that_name() {
    let [option, variable] = ["--identity-pool-id", "AWS_COGNITO_IDENTITY_POOL_ID"];
    let mut rows = Vec::new();
    for command in [&["process"][..], &["env"], &["exec", "--", "true"], &["identity"], &["status"]]
    {
        for more in [&["--no-cache"][..], &[]] {
            rows.push((command, more, "OTHER", "x", vec![option, variable]));
        }
    }
    let near = [
        "AWS_COGNITO_POOL_ID",
        "COGNITO_IDENTITY_POOL_ID",
        "AWS_COGNITO_IDENTITY_POOLID",
        "AWS_IDENTITY_POOL_ID",
        "IDENTITY_POOL_ID",
    ];
    for name in near {
        let read = "but the name that is read is AWS_COGNITO_IDENTITY_POOL_ID";
        rows.push((&["process"], &[], name, SECRET, vec![option, name, read]));
        rows.push((&["doctor"], &[], name, SECRET, vec![option, name, read]));
    }
    rows.push((&["process"], &[], variable, "", vec![option, variable, "is empty now"]));
    rows.push((&["process"], &["--no-cache"], "OTHER", "x", vec!["--identity-pool-id: not set"]));
    for (command, more, name, value, says) in rows {
        let typed: Vec<_> = match command {
            ["exec", rest @ ..] => [&["exec"], more, rest].concat(),
            command => [command, more].concat(),
        };
        check(vec![Row {
            typed: &typed,
            variables: &[(name, value)],
            refusal: None,
            says: &says,
            // The value may be a secret.
            never: &[SECRET, OPERATOR],
            status: 2,
        }]);
    }
}

#[test]
fn the_message_for_an_endpoint_without_a_scheme_or_with_plain_http_says_what_is_allowed() {
    let scheme = ["has no scheme", "https://HOST", "on this machine, http://localhost:PORT"];
    let plain = ["is plain http", "set --danger-allow-http"];
    let mut rows = Vec::new();
    let role = ["--role-arn", ROLE];
    for option in ["--endpoint-url", "--sts-endpoint-url"] {
        for (url, says) in [
            ("localhost:21500", &scheme[..]),
            ("127.0.0.1:21500", &scheme),
            ("cognito.example.com", &scheme),
            ("http://10.1.2.3:80", &plain),
            ("http://cognito.example.com", &plain),
        ] {
            rows.push((["process", role[0], role[1], option, url], says, option));
        }
    }
    for (typed, says, option) in &rows {
        check(vec![usage(typed, &[says, &[*option][..]].concat())]);
    }
    for variable in
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL_STS"]
    {
        for (url, says) in [("localhost:21500", &scheme[..]), ("http://10.1.2.3", &plain)] {
            let variables = [("AWS_COGNITO_IDENTITY_POOL_ID", POOL), (variable, url)];
            let typed = ["process", "--role-arn", ROLE];
            let says = [says, &[variable]].concat();
            check(vec![Row { variables: &variables, ..usage(&typed, &says) }]);
        }
    }
}

#[test]
fn the_message_for_a_misspelt_region_or_another_than_the_pools_names_the_right_one() {
    let meant = "no region us-esat-1 is known here; did you mean us-east-1?";
    let (proxy, _) = refusing_proxy();
    let misspelt = format!("us-esat-1:{}", &POOL[10..]);
    let network = ["process", "--identity-pool-id", &misspelt, "--proxy", &proxy];
    let user_pool = [
        "process",
        "--no-cache",
        "--refresh-token=@google",
        "--user-pool-client-id=x",
        "--user-pool-id=us-esat-1_abc",
        "--proxy",
        &proxy,
    ];
    check(vec![
        usage(&["process", "--region", "us-esat-1"], &[meant, "region us-east-1; leave --region"]),
        usage(
            &["process", "--region", "eu-west-1"],
            &["--region: eu-west-1 contradicts", "in region us-east-1; leave --region out"],
        ),
        Row {
            never: &["leave --region out"],
            ..usage(
                &["status", "--region", "us-east-1", "--identity-pool-id", &misspelt],
                &[meant, "us-east-1 contradicts"],
            )
        },
        // A region that is not known here may be new, so the call is made.
        Row {
            variables: &[("UNUSED", "x")],
            status: 3,
            ..usage(&network, &[meant, "If it is new: "])
        },
        Row {
            variables: &[("AWS_COGNITO_IDENTITY_POOL_ID", POOL), ("UNUSED", "x")],
            status: 3,
            ..usage(&user_pool, &[meant, "If it is new: "])
        },
    ]);
    let machine = Machine::new();
    machine.cognito.add_pool(&misspelt);
    machine.fine(&["process", "--identity-pool-id", &misspelt]);
}

#[test]
fn the_message_for_a_login_with_a_wrong_name_says_the_name_that_it_needs() {
    let login = format!("--login={PROVIDER}=@token");
    let swapped = format!("--login={USER_POOL}=@google");
    let messages = [
        "Token is not from a supported provider of this identity pool.",
        "Invalid login token. Issuer doesn't match providerName",
    ];
    for message in messages {
        let says = [
            &*format!("was issued by https://{USER_POOL}"),
            &*format!("--login {USER_POOL}=SOURCE"),
        ];
        for no_cache in [false, true] {
            let typed: Vec<_> =
                ["process", &*login].into_iter().chain(no_cache.then_some("--no-cache")).collect();
            check(vec![Row {
                refusal: Some(refused("GetId", message)),
                never: &[OPERATOR, "check both"],
                status: 1,
                ..usage(&typed, &says)
            }]);
        }
        check(vec![Row {
            refusal: Some(refused("GetId", message)),
            status: 1,
            ..usage(&["process", &swapped], &["--login accounts.google.com=SOURCE"])
        }]);
    }
    // The name is right, so the pool has no such provider.
    let right = format!("--login={PROVIDER}=@google");
    check(vec![Row {
        refusal: Some(refused("GetId", messages[0])),
        never: &["issued by", OPERATOR],
        status: 1,
        ..usage(&["process", &right], &["has no provider for this login", "the name in --login"])
    }]);
}

#[test]
fn the_message_for_a_refused_identity_says_where_it_came_from() {
    let id = ("AWS_COGNITO_IDENTITY_ID", IDENTITY);
    let pool = ("AWS_COGNITO_IDENTITY_POOL_ID", POOL);
    let url = ("AWS_ENDPOINT_URL", "SERVICE");
    let gone: fn() -> (&'static str, Fault) = || {
        let message = "Identity 'x' not found.";
        (GET_CREDENTIALS, Fault::error(400, "ResourceNotFoundException", message))
    };
    let forbidden: fn() -> (&'static str, Fault) =
        || refused(GET_CREDENTIALS, "Access to Identity 'x' is forbidden.");
    let mismatch: fn() -> (&'static str, Fault) =
        || refused(GET_CREDENTIALS, "Logins don't match. Please include at least one valid login");
    for refusal in [gone, forbidden, mismatch] {
        let refused = |never, usage| Row { refusal: Some(refusal()), never, status: 1, ..usage };
        let never = ["forget", IDENTITY, OPERATOR, "--identity-id"];
        let option = ["leave out or correct --identity-id"];
        let variable = ["leave out or correct AWS_COGNITO_IDENTITY_ID"];
        check(vec![
            refused(&never[..3], usage(&["process", "--identity-id", IDENTITY], &option)),
            refused(&never[..3], usage(&["doctor", "--identity-id", IDENTITY], &option)),
            Row { variables: &[pool, id, url], ..refused(&never, usage(&["process"], &variable)) },
        ]);
    }
    check(vec![Row {
        refusal: Some((
            GET_CREDENTIALS,
            Fault::error(400, "ResourceConflictException", "Login is already linked"),
        )),
        status: 1,
        never: &["the cached ID"],
        ..usage(&["process"], &["run cognito-credentials forget"])
    }]);
}

#[test]
fn the_message_for_a_wrong_command_or_option_names_the_right_one_or_the_help() {
    check(vec![
        usage(&["proces"], &["there is no command proces", "did you mean process?"]),
        usage(&["stauts"], &["did you mean status?"]),
        usage(&["docter"], &["did you mean doctor?"]),
        usage(
            &["process", "--regoin", "x"],
            &["there is no option --regoin", "did you mean --region?"],
        ),
        usage(&["process", "--identity-pool", "x"], &["did you mean --identity-pool-id?"]),
        usage(
            &["process", "--format", "sh"],
            &["there is no option --format", "--format goes with the command env"],
        ),
        usage(&["env", "--all"], &["--all goes with the command forget"]),
        usage(&["status", "--all"], &["there is no option --all"]),
        usage(&["process", "-x"], &["there is no option", HELP]),
        usage(&["process", "--json"], &["--json goes with the command status or doctor"]),
        usage(&["completions", "basic"], &["SHELL: can only be bash or "]),
        usage(&[], &["which command?", HELP]),
        usage(&["process", "more"], &["one argument too many", HELP]),
        usage(&["process", "--xyzzy"], &["there is no option --xyzzy", HELP]),
        usage(&["xyzzy"], &["there is no command xyzzy", HELP]),
    ]);
}

#[test]
fn a_suggestion_is_nearly_the_typed_word_or_means_the_same() {
    let never = |typed, says, never| Row { never, ..usage(typed, says) };
    check(vec![
        usage(&["run"], &["there is no command run", "did you mean exec?"]),
        usage(&["whoami"], &["did you mean identity?"]),
        never(&["start"], &["did you mean serve?"], &["status?"]),
        usage(&["serve", "--port", "9911"], &["did you mean --listen?"]),
        usage(&["process", "--debug"], &["did you mean --verbose?"]),
        never(&["process", "--pool", "x"], &["did you mean --identity-pool-id?"], &["--user-pool"]),
        never(
            &["process", "--profile", "x"],
            &["there is no option --profile", HELP],
            &["did you"],
        ),
        never(&["--sevre"], &["there is no option --sevre", HELP], &["did you"]),
        usage(&["process", "-V"], &["there is no option -V", HELP]),
        usage(&["process", "--timeout", "-5"], &["there is no option -5", HELP]),
        never(&["process", "--Xy9"], &["there is no option of that name", HELP], &["Xy9"]),
        usage(&["process", "--fips", "yes"], &["one argument too many", "--fips=true", HELP]),
        usage(&["process", "--timeout", "5", "minutes"], &["value with spaces in quotes", HELP]),
    ]);
}

#[test]
fn the_message_for_an_unreadable_token_says_what_to_do_about_its_source() {
    let general = "the user may have to sign in again";
    let rows = [
        ("@none", "none: No such file", "check the path after the @"),
        ("@.", "Is a directory", "write the path of a file after the @"),
        ("env:NOT_SET", "NOT_SET is not set", "export it to this command"),
        ("cmd:false", "the command failed", "run the command of cmd: by itself"),
        ("@bearer", "begins with Bearer; give only what follows it", ""),
        ("@json", "is JSON; give only the token in it", ""),
    ];
    for (source, says, advice) in rows {
        for command in ["process", "doctor"] {
            for more in ["--no-cache", "--verbose"] {
                let machine = Machine::new();
                machine.file("bearer", "Bearer a.b.c");
                machine.file("json", r#"{"id_token": "a.b.c"}"#);
                let login = format!("--login={PROVIDER}={source}");
                let said = machine.run(&[command, more, &login]);
                let text = format!("{}{}", said.out, said.err);
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(said.status, 4, "{source}\n{text}");
                assert!(text.contains(says) && text.contains(advice), "{source}\n{text}");
                assert!(!text.contains(general), "{source}\n{text}");
                assert!(!advice.is_empty() || !text.contains("what to do"), "{source}\n{text}");
            }
        }
    }
}

#[test]
fn each_command_has_an_example_and_no_line_of_help_is_broken_or_too_long() {
    let machine = Machine::new();
    let commands = "process env exec serve identity status forget doctor completions";
    for command in commands.split(' ') {
        let help = machine.fine(&["help", command]);
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        let example = help.lines().skip_while(|line| !line.starts_with("Example")).nth(1);
        assert!(example.is_some_and(|line| line.starts_with("  ")), "{help}");
        let config =
            "  credential_process = cognito-credentials process --identity-pool-id REGION:GUID";
        assert!(command != "process" || help.lines().any(|line| line == config), "{help}");
    }
}

/// The mistakes of a newcomer, in all commands.
#[test]
fn the_message_for_each_mistake_of_a_newcomer_names_the_next_step() {
    let login = format!("--login={PROVIDER}=token");
    let spaced = format!("--login={PROVIDER}=@none");
    let user_pool_id = ["process", "--identity-pool-id", "us-east-1_AbC"];
    let arn = format!("arn:aws:cognito-identity:us-east-1:123456789012:identitypool/{POOL}");
    let spaced_pool = format!("{POOL} ");
    let guest = refused("GetId", "Unauthenticated access is not supported for this identity pool.");
    let no_pool = Fault::error(400, "ResourceNotFoundException", "IdentityPool 'x' not found.");
    let expired = refused("GetId", "Invalid login token. Token expired: 1 >= 2");
    let policy = Fault::error(400, "PackedPolicyTooLarge", "The policy is too large");
    check(vec![
        usage(&user_pool_id, &["--user-pool-id", "REGION:GUID"]),
        usage(&["process", "--identity-pool-id", &arn], &["copy the ID", "in an ARN"]),
        usage(&["process", "--identity-pool-id", &spaced_pool], &["without spaces"]),
        usage(
            &["process", "--role-arn", "admin"],
            &["--role-arn: ", "arn:aws:iam::123456789012:role/NAME"],
        ),
        usage(&["process", "--identity-id", "x"], &["--identity-id: "]),
        usage(
            &["process", "--fips"],
            &["--fips: cannot be combined with --endpoint-url", "AWS_ENDPOINT_URL"],
        ),
        usage(&["process", "--fips=maybe"], &["--fips: can only be true or false"]),
        usage(
            &["process", "--endpoint-url", "http://device.invalid"],
            &["--endpoint-url: is plain http"],
        ),
        usage(&["process", "--region"], &["--region: needs a value"]),
        usage(&["process", &login], &["@FILE", "env:NAME", "cmd:COMMAND"]),
        usage(&["process", "--login", "token"], &["--login: must be PROVIDER=@FILE"]),
        usage(&["exec"], &["which program?", "exec [OPTIONS] -- PROGRAM"]),
        usage(
            &["process", "--timeout", "soon"],
            &["--timeout: must be a time, such as 90, 15m or 1h"],
        ),
        usage(&["process", "--max-attempts", "x"], &["--max-attempts: must be a number"]),
        usage(&["process", "--max-attempts", "0"], &["--max-attempts: "]),
        usage(&["process", "--timeout", "0"], &["--timeout: must be longer than zero"]),
        usage(&["process", "--cache-dir"], &["--cache-dir: needs a value"]),
        usage(&["process", "--cache-dir", ""], &["--cache-dir: needs a value"]),
        usage(&["process", "--no-cache", "--cache-dir=x"], &["cannot be combined with --"]),
        usage(&["env", "--format", "fish"], &["--format: can only be sh or dotenv"]),
        usage(&["process", "--duration", "900"], &["--duration: needs --role-arn"]),
        usage(&["process", "--duration", "x"], &["--duration: must be a time"]),
        usage(&["process", "--policy", "{}"], &["--policy: must be @FILE"]),
        usage(&["process", "--policy", "@/no/such/file"], &["--policy: /no/such/file"]),
        usage(
            &["process", "--policy=@/dev/zero", "--role-arn", ROLE],
            &["--policy: /dev/zero: is longer than"],
        ),
        usage(&["process", "--refresh-token", "@token"], &["--user-pool-id: not given"]),
        usage(&["process", "--user-pool-id=us-east-1_x"], &["--refresh-token: not given"]),
        usage(&["process", "--ca-file", "none"], &["--ca-file: none: No such file"]),
        usage(&["process", "--proxy", "socks5://x"], &["--proxy: is a SOCKS proxy", "http://"]),
        usage(&["process", "--token", "x"], &["--login PROVIDER=@FILE"]),
        Row { status: 4, ..usage(&["process", &spaced], &["none: No such file", "--login"]) },
        Row { status: 4, ..usage(&["identity", &spaced], &["--login-id NAME"]) },
        Row { status: 4, ..usage(&["forget", &spaced], &["--login-id NAME"]) },
        Row { status: 1, ..usage(&["identity"], &["cognito-credentials process requests one"]) },
        Row { status: 1, ..usage(&["identity", "--no-cache"], &["leave --no-cache out"]) },
        Row {
            status: 3,
            never: &["--region"],
            ..usage(
                &["process", "--endpoint-url=http://127.0.0.1:1"],
                &["nothing listens", "--endpoint-url or AWS_ENDPOINT_URL"],
            )
        },
        Row {
            status: 3,
            ..usage(
                &["exec", "--proxy=127.0.0.1:1", "--endpoint-url=https://x.invalid", "--", "true"],
                &["check host and port in the proxy's URL (--proxy or HTTPS_PROXY)"],
            )
        },
        Row {
            refusal: Some(guest),
            status: 1,
            never: &[OPERATOR],
            ..usage(&["process"], &["allows no guests: give --login"])
        },
        Row {
            refusal: Some(("GetId", no_pool)),
            status: 1,
            never: &[OPERATOR],
            ..usage(&["env"], &["--identity-pool-id or AWS_COGNITO_IDENTITY_POOL_ID"])
        },
        Row {
            refusal: Some(expired),
            status: 4,
            never: &["login_from"],
            ..usage(
                &["process", &format!("--login={PROVIDER}=@google")],
                &["sign in again, or give --login a source that refreshes it"],
            )
        },
        Row {
            refusal: Some(("AssumeRoleWithWebIdentity", policy)),
            status: 1,
            never: &["policy_arns"],
            ..usage(&["process", "--role-arn", ROLE], &["the policy is too long: shorten it"])
        },
        Row {
            status: 127,
            ..usage(
                &["exec", "--", "no-such-program"],
                &["no-such-program: No", "write its whole path"],
            )
        },
        Row { status: 126, ..usage(&["exec", "--", "./google"], &["that this user may run it"]) },
        Row {
            never: &["secrets cannot"],
            ..usage(&["process", "--login", "accounts.google.com="], &["--login: no source: write"])
        },
    ]);
}

#[test]
fn the_exit_status_for_a_throttling_or_unavailable_service_is_5() {
    let unavailable = || Fault::error(503, "ServiceUnavailableException", "later");
    let rows = [
        (Fault::throttled(), 5),
        (Fault::internal_error(), 5),
        (unavailable(), 5),
        (Fault::raw(502, ""), 5),
        (Fault::error(400, "LimitExceededException", "too many"), 1),
        (Fault::error(400, "InvalidParameterException", "no"), 1),
        (Fault::raw(200, "<html>"), 3),
        (Fault::raw(403, "<html>"), 3),
    ];
    for (fault, status) in rows {
        for command in [&["process"][..], &["env"], &["exec", "--", "true"]] {
            check(vec![Row {
                refusal: Some(("GetId", fault.clone())),
                status,
                ..usage(command, if status == 5 { &["try again later"] } else { &[] })
            }]);
        }
    }
}

#[test]
fn verbose_shows_the_steps_of_a_command_that_succeeds_and_no_secret() {
    let machine = Machine::new();
    let google = token("https://accounts.google.com");
    machine.cognito.accept_login(PROVIDER, &google, "ann");
    machine.file("google", &google);
    let login = format!("--login={PROVIDER}=@google");
    let verbose = || {
        let proxy = format!("http://a:{SECRET}@p");
        let variables = [("AWS_COGNITO_POOL_ID", SECRET), ("HTTPS_PROXY", &proxy)];
        let said = machine.run_with(&variables, &["process", "-v", &login]);
        assert_eq!(said.status, 0, "{said:?}");
        assert!(said.err.lines().all(|line| line.starts_with("cognito-credentials: ")), "{said:?}");
        said.err
    };
    let first = verbose();
    let cache = machine.cache();
    for line in [
        format!("identity pool {POOL} (AWS_COGNITO_IDENTITY_POOL_ID)"),
        format!("user: {PROVIDER}, by the file google"),
        format!("endpoint {} (AWS_ENDPOINT_URL)", machine.server.url()),
        "proxy p (HTTPS_PROXY)".to_owned(),
        format!("cache {}", cache.display()),
        "AWS_COGNITO_POOL_ID is set, but it is not read".to_owned(),
        "127.0.0.1: GetId: HTTP status 200 in ".to_owned(),
        "127.0.0.1: GetCredentialsForIdentity: HTTP status 200 in ".to_owned(),
        "new credentials, 2 calls in ".to_owned(),
        "stored in the cache".to_owned(),
        "; identity us-east-1:…".to_owned(),
    ] {
        assert!(first.contains(&line), "{line} not in\n{first}");
    }
    let second = verbose();
    assert!(second.contains("credentials from the cache, without a call"), "{second}");
    assert!(second.contains(", valid for "), "{second}");
    assert!(!second.contains("HTTP status") && !second.contains("stored in"), "{second}");
    // Without `-v`, nothing is printed.
    machine.fine(&["process", &login]);
}

/// Runs the command with a terminal as its standard error, and returns what it wrote there.
fn said_on_a_terminal(machine: &Machine, arguments: &[&str]) -> String {
    let attach = |command: &mut Command, terminal| {
        command.stdout(Stdio::null()).stderr(terminal);
    };
    on_a_terminal(machine.command(arguments), attach).1
}

#[test]
fn a_wait_of_more_than_two_seconds_is_announced_once_and_only_on_a_terminal() {
    let (silent, _connections) = silent_service();
    let url = format!("--endpoint-url={silent}");
    let login = format!("--login={PROVIDER}=cmd:sleep 60");
    let host = "cognito-credentials: waiting for 127.0.0.1, at most 3s (--timeout)";
    let command = "cognito-credentials: waiting for the command of cmd:, at most 3s (--timeout)";
    let rows: [(&[&str], &str); 3] = [
        (&["process", "--no-cache", "--timeout=3", &url], host),
        (&["process", "--no-cache", "--timeout=3", &login], command),
        (&["identity", "--timeout=3", &login], command),
    ];
    std::thread::scope(|scope| {
        for (arguments, line) in rows {
            scope.spawn(move || {
                let machine = Machine::new();
                let begun = Instant::now();
                let said = said_on_a_terminal(&machine, arguments);
                assert!(begun.elapsed() >= Duration::from_secs(2), "{arguments:?} {said}");
                assert_eq!(said.matches("waiting for").count(), 1, "{arguments:?} {said}");
                assert!(said.contains(line), "{arguments:?} {said}");
            });
            scope.spawn(move || {
                let said = Machine::new().run(arguments);
                assert!(!said.err.contains("waiting for"), "{arguments:?} {said:?}");
            });
        }
        // A quick command prints no such line on a terminal either.
        scope.spawn(|| assert_eq!(said_on_a_terminal(&Machine::new(), &["process"]), ""));
    });
}
