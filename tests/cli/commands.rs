//! What each command prints, and what it stores for the next one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::{
    Clock, CognitoIdentityCredentials, CredentialVariables, Credentials, FileStorage, SystemClock,
};
use serde_json::{Value, json};

use crate::service::{GET_CREDENTIALS, Machine, POOL, PROVIDER, ROLE, SECRET};

/// Finds the access key ID in the output of any command.
fn key(said: &str) -> &str {
    let start = said.find("ASIA").unwrap_or_else(|| panic!("no key in {said}"));
    let rest = &said[start..];
    &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())]
}

#[test]
fn process_prints_the_document_of_a_credential_process() {
    let machine = Machine::new();
    let document: Value = serde_json::from_str(&machine.fine(&["process"])).unwrap();
    let names: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["AccessKeyId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]);
    assert_eq!(document["Version"], 1);
    assert!(document["AccessKeyId"].as_str().unwrap().starts_with("ASIA"));
    let end = document["Expiration"].as_str().unwrap();
    let end = humantime::parse_rfc3339(end).unwrap();
    let left = end.duration_since(SystemTime::now()).unwrap();
    assert!((3500..=3600).contains(&left.as_secs()), "{left:?}");
}

#[test]
fn a_second_call_makes_no_service_call_whichever_command_it_is() {
    let machine = Machine::new();
    let first = machine.fine(&["process"]);
    assert_eq!(machine.calls(), 2, "GetId and GetCredentialsForIdentity");
    for arguments in [
        &["process"][..],
        &["env"],
        &["env", "--format", "dotenv"],
        &["exec", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"],
        &["status"],
    ] {
        assert_eq!(key(&machine.fine(arguments)), key(&first), "{arguments:?}");
    }
    assert_eq!(machine.calls(), 2);
    assert_ne!(key(&machine.fine(&["process", "--no-cache"])), key(&first));
    assert_eq!(machine.calls(), 4, "without a cache, both calls are made");
}

#[test]
fn commands_that_start_together_make_one_refresh() {
    let machine = Machine::new();
    let children: Vec<_> = (0..6)
        .map(|_| machine.command(&["process"]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let said = children.into_iter().map(|child| child.wait_with_output().unwrap());
    let said: Vec<_> = said.map(|output| String::from_utf8(output.stdout).unwrap()).collect();
    assert!(said.iter().all(|other| key(other) == key(&said[0])), "{said:?}");
    assert_eq!(machine.calls(), 2, "one identity and one set of credentials for all");
}

#[test]
fn status_and_forget_need_no_network() {
    let machine = Machine::new();
    let said = machine.run(&["identity"]);
    assert_eq!((said.status, &*said.out), (1, ""));
    assert!(said.err.contains("no identity is known yet"), "{said:?}");
    let status = machine.fine(&["status"]);
    assert!(status.contains("identity       none known yet"), "{status}");
    assert!(status.contains("credentials    none cached"), "{status}");
    assert_eq!(machine.calls(), 0);
    assert!(!machine.cache().exists(), "status creates no directory");

    machine.fine(&["process"]);
    let id = machine.cognito.requests()[1].identity_id().unwrap().to_owned();
    let offline = |command: &str| machine.fine(&[command]);
    assert_eq!(offline("identity"), format!("{id}\n"));
    let status = offline("status");
    assert!(status.contains(&format!("identity pool  {POOL}\n")), "{status}");
    assert!(status.contains("user           guest\n"), "{status}");
    assert!(status.contains(&format!("us-east-1:…{}\n", &id[id.len() - 4..])), "{status}");
    assert!(!status.contains(&id), "{status}");
    assert!(status.contains("valid for 59 minutes") || status.contains("valid for 60"), "{status}");
    assert!(status.contains(machine.cache().to_str().unwrap()), "{status}");
    assert_eq!(machine.calls(), 2);

    let cache = machine.cache().display().to_string();
    let removed = format!("removed: the identity and the credentials of guest in {cache}\n");
    assert_eq!(machine.fine(&["forget"]), removed);
    assert_eq!(machine.fine(&["forget"]), format!("nothing was stored for guest in {cache}\n"));
    assert_eq!(machine.run(&["identity"]).status, 1);
    assert_eq!(machine.calls(), 2);
    machine.fine(&["process"]);
    assert_eq!(machine.calls(), 4, "another guest and its credentials");
    assert_ne!(machine.fine(&["identity"]), format!("{id}\n"));
}

#[test]
fn forget_reports_a_cache_that_cannot_be_changed() {
    let machine = Machine::new();
    machine.fine(&["process"]);
    let allow = |mode| {
        fs::set_permissions(machine.cache(), fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o777);
    let refused = [&["forget"][..], &["forget", "--all"]].map(|forget| machine.run(forget));
    allow(0o700);
    for said in refused {
        assert_eq!((said.status, &*said.out), (1, ""), "{said:?}");
        assert!(said.err.contains("not everything could be removed from "), "{said:?}");
        assert!(said.err.contains("others may write"), "{said:?}");
    }
    // A directory with the name of a record cannot be removed as a record.
    machine.fine(&["identity"]);
    let folder = machine.cache().join("credentials%2Fx");
    fs::create_dir(&folder).unwrap();
    assert_eq!(machine.run(&["forget", "--all"]).status, 1);
    fs::remove_dir(folder).unwrap();
    assert!(machine.run(&["identity"]).err.contains("no identity is known yet"));
    let said = machine.fine(&["forget", "--all", "--no-cache"]);
    assert_eq!(said, "nothing was removed: there is no cache\n");
}

#[test]
fn forget_removes_all_records_of_this_user_and_none_of_others() {
    let machine = Machine::new();
    let token = URL_SAFE_NO_PAD.encode(r#"{"iss": "https://p", "sub": "ann"}"#);
    let token = format!("e30.{token}.{SECRET}");
    machine.cognito.accept_login(PROVIDER, &token, "ann");
    machine.file("token", &token);
    let other = "us-east-1:00000000-0000-4000-8000-0000000000bb";
    machine.cognito.add_pool(other);
    let long_role = format!("arn:aws:iam::123456789012:role/{}/r", "p".repeat(200));
    let long_name = "Ann".repeat(40);
    let login = format!("--login={PROVIDER}=@token");
    let users: [&[&str]; 6] = [
        &[],
        &[&login],
        &[&login, "--login-id", "ann"],
        &[&login, "--login-id", "ann/b"],
        &[&login, "--login-id", &long_name],
        &["--identity-pool-id", other],
    ];
    let roles: [&[&str]; 3] = [&[], &["--role-arn", ROLE], &["--role-arn", &long_role]];
    let fill = |user: &[&str]| {
        for role in roles {
            machine.fine(&[&["process"], user, role].concat());
        }
    };
    let mut each = Vec::new();
    for user in users {
        let before = if each.is_empty() { Vec::new() } else { machine.records() };
        fill(user);
        let mut own = machine.records();
        own.retain(|name| !before.contains(name));
        assert_eq!(own.len(), 4, "an identity and three sets of credentials: {own:?}");
        each.push(own);
    }
    for (user, own) in users.into_iter().zip(&each) {
        let mut others = machine.records();
        others.retain(|name| !own.contains(name));
        // A killed process leaves a file like this.
        let leaving = format!("{}.0123456789abcdef", own[0]);
        fs::write(machine.cache().join(leaving), "").unwrap();
        let said = machine.fine(&[&["forget"], user].concat());
        assert!(said.starts_with("removed: the identity and the credentials of "), "{said}");
        assert_eq!(machine.records(), others, "{user:?}");
        fill(user);
    }

    let stranger = machine.cache().join("notes");
    fs::write(&stranger, "").unwrap();
    let cache = machine.cache().display().to_string();
    let count = machine.records().len() - 1;
    let forget_all = || machine.finish(machine.bare(&["forget", "--all"]));
    let said = forget_all();
    assert_eq!((said.status, &*said.err), (0, ""), "without any settings");
    assert_eq!(said.out, format!("removed: {count} records in {cache}\n"));
    assert_eq!(forget_all().out, format!("nothing was stored in {cache}\n"));
    let left: Vec<_> =
        fs::read_dir(machine.cache()).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, [stranger], "the locks are gone too");
}

#[test]
fn without_the_token_that_names_the_user_the_commands_say_what_to_do() {
    let machine = Machine::new();
    for source in ["@none", "env:NONE", "cmd:exit 7"] {
        let login = format!("--login={PROVIDER}={source}");
        let status = machine.fine(&["status", &login]);
        for line in [
            &format!("identity pool  {POOL}\n"),
            "login          --login: no token for ",
            "not found: ",
        ] {
            assert!(status.contains(line), "{line} not in {status}");
        }
        for command in ["identity", "forget"] {
            let said = machine.run(&[command, &login]);
            assert_eq!((said.status, &*said.out), (4, ""), "{said:?}");
            for words in ["no token for ", "--login-id NAME", "forget --all"] {
                assert!(said.err.contains(words), "{words} not in {said:?}");
            }
            let named = machine.run(&[command, &login, "--login-id=ann"]);
            assert_eq!(named.status, i32::from(command == "identity"), "{named:?}");
        }
        machine.fine(&["forget", &login, "--all"]);
    }
}

#[test]
fn only_its_owner_can_read_the_cache_which_is_in_the_users_cache_directory() {
    let machine = Machine::new();
    let rows: [(&[(&str, &Path)], &[&str], _); 3] = [
        (&[], &[], machine.cache()),
        (&[("XDG_CACHE_HOME", &machine.path("x/y"))], &[], machine.path("x/y/cognito-credentials")),
        (&[], &["--cache-dir", "a/b/c"], machine.path("a/b/c")),
    ];
    for (variables, arguments, directory) in rows {
        let said = machine.run_with(variables, &[&["process"], arguments].concat());
        assert_eq!((said.status, &*said.err), (0, ""), "{directory:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(directory.parent().unwrap()), 0o700);
        let records: Vec<_> = fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
        assert!(records.len() >= 2, "the identity and the credentials");
        for record in records {
            assert_eq!(mode(&record.path()), 0o600, "{record:?}");
        }
    }

    let mut homeless = machine.command(&["process"]);
    homeless.env_remove("HOME");
    let said = machine.finish(homeless);
    assert_eq!(said.status, 2);
    for word in ["HOME", "--cache-dir", "--no-cache"] {
        assert!(said.err.contains(word), "{said:?}");
    }
}

#[test]
fn an_unusable_cache_is_a_warning_and_credentials_are_printed() {
    let machine = Machine::new();
    let file = machine.file("file", "");
    let said = machine.run(&["process", "--cache-dir", &file]);
    assert_eq!(said.status, 0);
    key(&said.out);
    let start = format!("cognito-credentials: warn: the cache {file} cannot be used: ");
    assert!(said.err.starts_with(&start) && said.err.contains("another guest"), "{said:?}");
    assert_eq!(said.err.matches("warn: ").count(), 1, "there is one warning: {said:?}");
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine.file("token", SECRET);
    let login = format!("--login={PROVIDER}=@token");
    let said = machine.run(&["process", "--cache-dir", &format!("{file}/x"), &login]);
    assert_eq!((said.status, said.err.matches("warn: ").count()), (0, 1), "{said:?}");
    assert!(said.err.contains("asks the service") && !said.err.contains("guest"), "{said:?}");
    let said = machine.run(&["process", "--cache-dir", &file, &login, "--login-id=ann"]);
    assert_eq!((said.status, said.err.matches("warn: ").count()), (0, 1), "{said:?}");
}

#[test]
fn a_login_id_without_a_cache_is_an_error() {
    for command in ["process", "status", "forget", "doctor"] {
        let said = Machine::new().run(&[command, "--login-id=ann", "--no-cache"]);
        assert_eq!((said.status, &*said.out), (2, ""), "{said:?}");
        let expected = "cognito-credentials: --login-id: cannot be combined with --no-cache\n";
        assert_eq!(said.err, expected);
    }
}

/// This test needs root, because only root can change the owner of a directory.
#[test]
fn no_cache_is_created_in_another_users_home() {
    let machine = Machine::new();
    let home = machine.path("home");
    fs::create_dir_all(home.join("theirs")).unwrap();
    if std::os::unix::fs::chown(&home, Some(12345), None).is_err() {
        return;
    }
    let run = |arguments: &[&str]| {
        machine.run_with(&[("HOME", &home)], &[&["process"], arguments].concat())
    };
    let said = run(&[]);
    assert_eq!((said.status, &*said.out), (2, ""), "{said:?}");
    for words in ["belongs to another user", "--cache-dir", "--no-cache"] {
        assert!(said.err.contains(words), "{said:?}");
    }
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "nothing is created");
    assert_eq!(run(&["--no-cache"]).status, 0);
    assert_eq!(run(&["--cache-dir", home.join("theirs/x").to_str().unwrap()]).err, "");

    // The same result with an existing cache, and with a link.
    let theirs = home.join(".cache/cognito-credentials");
    fs::create_dir_all(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(12345), None).unwrap();
    let said = run(&[]);
    assert_eq!((said.status, &*said.out), (2, ""), "{said:?}");
    assert!(said.err.contains("the directory belongs to another user"), "{said:?}");
    fs::remove_dir_all(home.join(".cache")).unwrap();
    fs::create_dir_all(machine.path("of-root")).unwrap();
    std::os::unix::fs::symlink(machine.path("of-root"), home.join(".cache")).unwrap();
    std::os::unix::fs::lchown(home.join(".cache"), Some(12345), None).unwrap();
    let said = run(&[]);
    assert_eq!((said.status, &*said.out), (2, ""), "{said:?}");
    assert!(said.err.contains("the link "), "{said:?}");
    assert_eq!(fs::read_dir(machine.path("of-root")).unwrap().count(), 0);
}

/// The clocks of the system, but this much earlier.
struct Earlier(Duration);

impl Clock for Earlier {
    fn wall(&self) -> SystemTime {
        SystemClock.wall() - self.0
    }

    fn boot(&self) -> Duration {
        SystemClock.boot() - self.0
    }

    fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration);
    }

    fn boot_id(&self) -> Option<String> {
        SystemClock.boot_id()
    }
}

/// Stores credentials that were requested this long ago, and were valid for a minute then.
fn cached_since(machine: &Machine, ago: Duration) -> Credentials {
    machine.cognito.set_lifetime(Duration::from_secs(60));
    machine.cognito.set_time(SystemTime::now() - ago);
    let provider = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(machine.server.url())
        .clock(Earlier(ago))
        .storage(FileStorage::new(machine.cache()))
        .persist_credentials(true)
        .build()
        .unwrap();
    let kept = provider.get().unwrap();
    machine.cognito.set_time(SystemTime::now());
    kept
}

#[test]
fn cached_credentials_are_refreshed_early_and_used_while_that_fails() {
    let machine = Machine::new();
    fs::create_dir(machine.path(".cache")).unwrap();
    let kept = cached_since(&machine, Duration::from_secs(10));
    assert_eq!(key(&machine.fine(&["process"])), kept.access_key_id(), "50 of 60 seconds left");
    assert_eq!(machine.calls(), 2);

    machine.fine(&["forget"]);
    let kept = cached_since(&machine, Duration::from_secs(35)); // 25 left, in the last half
    let before = machine.calls();
    machine.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    let said = machine.run(&["process"]);
    assert_eq!((said.status, key(&said.out)), (0, kept.access_key_id()), "{said:?}");
    assert!(said.err.contains("warn"), "{said:?}");
    assert_ne!(key(&machine.fine(&["process"])), kept.access_key_id());
    assert_eq!(machine.calls(), before + 2);
}

#[test]
fn shells_read_any_secret_unchanged() {
    let secrets =
        ["plain/+=", "it's", "''", "$HOME`id`$(id)${x}!x\\\\n\"q\"#;&|<>*?[]{}~", "#~!", "-n"];
    for secret in secrets {
        let machine = Machine::new();
        let body = json!({
            "IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0",
            "Credentials": {
                "AccessKeyId": "ASIA1", "SecretKey": secret, "SessionToken": format!("t{secret}"),
                "Expiration": 4_000_000_000_u64,
            }
        });
        machine.cognito.fail_next(GET_CREDENTIALS, 1, Fault::raw(200, body.to_string()));
        let lines = machine.fine(&["env", "--no-cache"]);
        assert!(lines.starts_with("export AWS_ACCESS_KEY_ID='ASIA1'\n"), "{lines}");
        let output = Command::new("sh")
            .args(["-c", "eval \"$1\" && exec env -0", "sh", lines.trim_end_matches('\n')])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let read = CredentialVariables::from_variables(|name| {
            let line = said.split('\0').find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.map(Into::into)
        });
        let read = Credentials::from(read.unwrap());
        assert_eq!(read.secret_access_key(), secret, "{lines}");
        assert_eq!(read.session_token(), format!("t{secret}"), "{lines}");
        assert!(read.expiration() > SystemTime::now());
    }
}

#[test]
fn dotenv_lines_are_plain_words_and_values_that_no_variable_can_hold_are_errors() {
    let machine = Machine::new();
    let lines = machine.fine(&["env", "--format=dotenv"]);
    let names: Vec<_> = lines.lines().map(|line| line.split_once('=').unwrap()).collect();
    let [(a, key), (b, _), (c, _), (d, _)] = names[..] else { panic!("{lines}") };
    assert_eq!(
        [a, b, c, d],
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CREDENTIAL_EXPIRATION"
        ]
    );
    assert!(key.starts_with("ASIA"), "{lines}");

    let body = r#"{"IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0", "Credentials": {"AccessKeyId": "a\u0000b", "SecretKey": "s", "SessionToken": "t", "Expiration": 4000000000}}"#;
    for arguments in [&["env", "--no-cache"][..], &["exec", "--no-cache", "--", "true"]] {
        machine.cognito.fail_next(GET_CREDENTIALS, 1, Fault::raw(200, body));
        let said = machine.run(arguments);
        assert_eq!((said.status, &*said.out), (3, ""), "{said:?}");
        assert!(said.err.contains("other than printable ASCII"), "{said:?}");
    }
}

#[test]
fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
    let machine = Machine::new();
    for arguments in [&["process"][..], &["env"], &["--help"], &["status"], &["doctor"]] {
        let mut child = machine
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let mut command = machine.command(&["process"]);
        command.stdout(full);
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

#[test]
fn short_help_is_short_and_long_help_names_every_command_option_and_variable() {
    let machine = Machine::new();
    let short = machine.finish(machine.bare(&["-h"]));
    let long = machine.finish(machine.bare(&["--help"]));
    for help in [&short, &long] {
        assert_eq!((help.status, &*help.err), (0, ""));
        for line in help.out.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
    assert!(short.out.lines().count() <= 60, "{} lines", short.out.lines().count());
    let words = "
        process env exec identity status forget doctor --identity-pool-id --identity-id
        --region --account-id --login --login-id --role-arn --role-session-name --duration
        --policy --custom-role-arn --endpoint-url --sts-endpoint-url --danger-allow-http
        --fips --dual-stack --ca-file --proxy --timeout --max-attempts --cache-dir
        --no-cache --verbose --help --version --user-pool-id --user-pool-client-id
        --user-pool-client-secret --user-pool-username --user-pool-device-key
        --user-pool-endpoint-url --refresh-token serve completions 126 127 @FILE env:NAME
        cmd:COMMAND";
    let variables = [
        "[env: AWS_COGNITO_IDENTITY_POOL_ID]",
        "[env: AWS_ENDPOINT_URL_COGNITO_IDENTITY]",
        "[env: AWS_CA_BUNDLE]",
        "[env: AWS_MAX_ATTEMPTS]",
    ];
    for word in words.split_whitespace().chain(variables) {
        assert!(long.out.contains(word), "{word}");
    }
    assert_eq!(machine.finish(machine.bare(&["help"])).out, long.out);
    for arguments in [["--version"], ["-V"]] {
        let said = machine.finish(machine.bare(&arguments)).out;
        assert_eq!(said, format!("cognito-credentials {}\n", env!("CARGO_PKG_VERSION")));
    }
    for (command, words) in [
        ("process", &["credential_process ="][..]),
        ("env", &["--format", "eval \"$keys\""]),
        ("exec", &["--serve", "cognito-credentials exec -- aws s3 ls"]),
        ("serve", &["--listen", "--token-file", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]),
        ("status", &["--json"]),
        ("forget", &["--all"]),
        ("doctor", &["--json"]),
        ("completions", &["bash", "fish", "zsh"]),
    ] {
        // The option may follow others. The help shows no values of variables.
        let variables = [("AWS_COGNITO_IDENTITY_ID", SECRET)];
        let help = machine.run_with(&variables, &[command, "--region", "x y", "--help"]);
        assert_eq!((help.status, &*help.err), (0, ""), "{command}");
        for word in words {
            assert!(help.out.contains(word), "{command}: {word}: {}", help.out);
        }
    }
}

#[test]
fn completions_name_the_commands_and_options() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = machine.finish(machine.bare(&["completions", shell]));
        assert_eq!((said.status, &*said.err), (0, ""), "{shell}");
        for word in ["doctor", "identity-pool-id", "token-file"] {
            assert!(said.out.contains(word), "{shell}: {word}");
        }
    }
}
