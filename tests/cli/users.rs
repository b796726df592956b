//! The caches of several users: no user gets the credentials of another.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::testing::FakeCognito;

use crate::service::{self, GET_CREDENTIALS, Machine, PROVIDER, SECRET, Said, for_each_row};

/// Makes a token of this user: `jwt` or `opaque`.
type TokenOf = fn(&str, u32) -> String;

/// The sources of a token, with both kinds of tokens.
fn sources() -> impl Iterator<Item = (&'static str, TokenOf)> + Send {
    let kinds: [TokenOf; 2] = [jwt, opaque];
    let sources = ["@token", "env:TOKEN", "cmd:cat token"];
    kinds.into_iter().flat_map(move |token| sources.map(|source| (source, token)))
}

/// Returns a token that does not name its user.
fn opaque(user: &str, number: u32) -> String {
    format!("{SECRET}{user}{number}")
}

/// Returns an ID token of this user.
fn jwt(user: &str, number: u32) -> String {
    let payload = format!(r#"{{"iss": "https://p", "sub": "{user}", "exp": 4000000000}}"#);
    format!("{}{user}{number}", service::jwt(&payload))
}

fn machine() -> Machine {
    let machine = Machine::new();
    for user in ["ann", "bob"] {
        for number in [1, 2] {
            machine.cognito.accept_login(PROVIDER, jwt(user, number), user);
            machine.cognito.accept_login(PROVIDER, opaque(user, number), user);
        }
    }
    machine
}

impl Machine {
    /// Runs a command with this token in the file `token` and in a variable.
    fn run_as(&self, token: &str, arguments: &[&str]) -> Said {
        self.file("token", token);
        self.run_with(&[("TOKEN", token)], arguments)
    }

    fn fine_as(&self, token: &str, arguments: &[&str]) -> String {
        let said = self.run_as(token, arguments);
        assert_eq!((said.status, &*said.err), (0, ""), "{arguments:?}");
        said.out
    }
}

/// Returns the access key ID that a program gets, and how many service calls the command made.
fn run(machine: &Machine, token: &str, arguments: &[&str]) -> (String, usize) {
    let before = machine.calls();
    let program = ["--", "printenv", "AWS_ACCESS_KEY_ID"];
    let key = machine.fine_as(token, &[&["exec"], arguments, &program].concat());
    (key, machine.calls() - before)
}

#[test]
fn a_users_second_call_makes_no_service_call_and_a_new_token_needs_one() {
    for_each_row(sources(), |(source, token_of)| {
        let machine = machine();
        let [token, next] = [1, 2].map(|number| token_of("ann", number));
        let login = format!("--login={PROVIDER}={source}");
        let (first, calls) = run(&machine, &token, &[&login]);
        assert_eq!(calls, 2, "{source}");
        assert_eq!(run(&machine, &token, &[&login]), (first.clone(), 0), "{source}");
        // The identity of the user stays, so only the credentials are requested.
        let identity = machine.fine_as(&token, &["identity", &login]);
        let (second, calls) = run(&machine, &next, &[&login]);
        assert!(calls == 1 && second != first, "{source}");
        assert_eq!(run(&machine, &next, &[&login]), (second, 0), "{source}");
        assert_eq!(machine.fine_as(&next, &["identity", &login]), identity, "{source}");
        assert!(machine.fine(&["status"]).contains("none known yet"), "no guest is stored");
    });
}

#[test]
fn another_user_never_gets_cached_credentials() {
    for_each_row(sources(), |(source, token_of)| {
        let machine = machine();
        let [ann, bob] = ["ann", "bob"].map(|user| token_of(user, 1));
        let login = format!("--login={PROVIDER}={source}");
        let (anns, _) = run(&machine, &ann, &[&login]);
        let (bobs, calls) = run(&machine, &bob, &[&login]);
        assert!(calls >= 2, "{source}");
        assert_ne!(anns, bobs, "{source}");
        let last = machine.cognito.requests().pop().unwrap();
        assert_eq!(last.login(PROVIDER), Some(&*bob), "{source}");
        // A guest does not get a user's credentials, and a user does not get a guest's.
        let (guests, calls) = run(&machine, "", &[]);
        assert_eq!(calls, 2);
        assert!(![anns, bobs].contains(&guests));
    });
}

#[test]
fn a_login_id_finds_the_cache_without_reading_the_token() {
    let machine = machine();
    let token = opaque("ann", 1);
    machine.file("token", &token);
    let login = format!("--login={PROVIDER}=cmd:echo asked >> asked; cat token");
    let asked = || fs::read_to_string(machine.path("asked")).unwrap_or_default().lines().count();

    let (first, calls) = run(&machine, &token, &[&login, "--login-id", "ann"]);
    assert_eq!((calls, asked()), (2, 1));
    assert_eq!(run(&machine, &token, &[&login, "--login-id", "ann"]), (first.clone(), 0));
    assert_eq!(asked(), 1);
    let (other, calls) = run(&machine, &token, &[&login, "--login-id", "somebody"]);
    assert_eq!((calls, asked()), (2, 2));
    assert_ne!(first, other);
    // Without a name, the token is read once in each run.
    run(&machine, &token, &[&login]);
    assert_eq!(asked(), 3);
    let status = machine.fine(&["status", &login]);
    assert!(status.contains(", valid for "), "{status}");
    assert!(status.contains("user           accounts.google.com, by a command\n"), "{status}");
}

#[test]
fn no_file_in_the_cache_has_a_token_in_its_name_or_text() {
    let machine = machine();
    for token in [jwt("ann", 1), opaque("ann", 1)] {
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

/// Texts with the claims of Ann's token, which the service has never issued.
fn forgeries() -> Vec<(&'static str, String)> {
    let token = |head: &str, payload: &str, signature: &str| {
        format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(payload))
    };
    let claims = r#"{"iss": "https://p", "sub": "ann"}"#;
    vec![
        ("without a signature", token("e30", claims, "")),
        ("only a payload", token("", claims, "")),
        ("for another audience", token("e30", &claims.replace('}', r#", "aud": "x"}"#), "c2ln")),
        ("expired", token("e30", &claims.replace('}', r#", "exp": 1}"#), "c2ln")),
        ("with the end of another", jwt("ann", 1).replace("ann1", "ann9")),
        ("cut off", jwt("ann", 1).trim_end_matches("ann1").to_owned()),
        ("with one letter more", format!("{}x", jwt("ann", 1))),
    ]
}

#[test]
fn a_text_with_the_claims_of_a_token_gets_no_stored_credentials() {
    for_each_row(["@token", "env:TOKEN", "cmd:cat token"], |source| {
        let login = format!("--login={PROVIDER}={source}");
        let machine = machine();
        let ann = jwt("ann", 1);
        let keys = machine.fine_as(&ann, &["process", &login]);
        for (what, forged) in forgeries() {
            let calls = machine.calls();
            let status = machine.fine_as(&forged, &["status", &login]);
            assert!(status.contains("none cached"), "{source}, {what}: {status}");
            for command in ["process", "env"] {
                let said = machine.run_as(&forged, &[command, &login]);
                assert_eq!((said.status, &*said.out), (4, ""), "{source}, {what}");
            }
            assert!(machine.calls() > calls, "{source}, {what}: the service decides");
        }
        // Ann's own stored credentials still work.
        let calls = machine.calls();
        assert_eq!(machine.fine_as(&ann, &["process", &login]), keys, "{source}");
        assert_eq!(machine.calls(), calls, "{source}");
    });
}

/// Anybody can compute a derived login ID from the claims, so as an option it must not replace the
/// digest.
#[test]
fn a_derived_login_id_as_an_option_gets_no_stored_credentials() {
    let machine = machine();
    let login = format!("--login={PROVIDER}=@token");
    machine.fine_as(&jwt("ann", 1), &["process", &login]);
    let records = fs::read_dir(machine.cache()).unwrap();
    let mut records = records.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let record = records.find(|text| text.contains("\"identity/")).unwrap();
    let key = record.split("\"identity/").nth(1).unwrap().split('"').next().unwrap();
    let derived = key.rsplit('/').next().unwrap();
    assert_eq!(derived.len(), 32);
    let (_, forged) = forgeries().remove(0);
    let said = machine.run_as(&forged, &["process", &login, "--login-id", derived]);
    assert_eq!((said.status, &*said.out), (4, ""), "{said:?}");
}

#[test]
fn credentials_are_bound_to_both_of_two_tokens_and_to_their_providers() {
    const OTHER: &str = "graph.facebook.com";
    for [first, second] in
        [["@first", "@second"], ["env:FIRST", "env:SECOND"], ["cmd:cat first", "cmd:cat second"]]
    {
        let machine = machine();
        let (ann, bob) = (jwt("ann", 1), jwt("bob", 1));
        machine.cognito.accept_login(OTHER, &bob, "ann");
        let logins = [format!("--login={PROVIDER}={first}"), format!("--login={OTHER}={second}")];
        let run = |first: &str, second: &str| {
            machine.file("first", first);
            machine.file("second", second);
            let calls = machine.calls();
            let variables = [("FIRST", first), ("SECOND", second)];
            let said = machine.run_with(&variables, &["process", &logins[0], &logins[1]]);
            (said.status, machine.calls() - calls, said.out)
        };
        let (status, calls, keys) = run(&ann, &bob);
        assert_eq!((status, calls), (0, 2), "{first}");
        let forged = |token: &str| format!("{token}x");
        let rows = [(&ann, &forged(&bob)), (&forged(&ann), &bob), (&bob, &ann)];
        for (number, (first, second)) in rows.into_iter().enumerate() {
            let (status, calls, out) = run(first, second);
            assert!(status != 0 && calls > 0, "{first}: row {number}");
            assert_eq!(out, "", "{first}: row {number}");
        }
        assert_eq!(run(&ann, &bob), (0, 0, keys), "{first}");
    }
}

/// The refresh token names the user of the cache, but says nothing about the other login.
#[test]
fn credentials_are_bound_to_the_login_and_to_the_user_pool() {
    let machine = machine();
    let refresh_token = machine.cognito.sign_in("ann");
    let user_pool = format!("--user-pool-id={}", FakeCognito::USER_POOL_ID);
    let client = format!("--user-pool-client-id={}", FakeCognito::CLIENT_ID);
    let login = format!("--login={PROVIDER}=@token");
    let arguments = ["process", &user_pool, &client, "--refresh-token=env:REFRESH", &login];
    let run = |token: &str, refresh_token: &str| {
        machine.file("token", token);
        let calls = machine.calls();
        let said = machine.run_with(&[("REFRESH", refresh_token)], &arguments);
        (said.status, machine.calls() - calls, said.out)
    };
    let ann = jwt("ann", 1);
    let (status, calls, keys) = run(&ann, &refresh_token);
    assert!(status == 0 && calls >= 3, "{status}, {calls} calls");
    let others = [(format!("{ann}x"), refresh_token.clone()), (ann.clone(), "forged".to_owned())];
    for (token, refresh_token) in &others {
        let (status, calls, out) = run(token, refresh_token);
        assert!(status != 0 && calls > 0, "{status}, {calls} calls");
        assert_eq!(out, "");
    }
    assert_eq!(run(&ann, &refresh_token), (0, 0, keys));
}

#[test]
fn credentials_are_bound_to_the_token_that_the_service_accepted() {
    let machine = machine();
    // The service refuses the first token. After that the source has another one.
    let command = "if [ -e asked ]; then cat second; else touch asked; cat first; fi";
    let (refused, accepted) = (format!("{}x", jwt("ann", 1)), jwt("ann", 2));
    machine.file("first", &refused);
    machine.file("second", &accepted);
    let login = format!("--login={PROVIDER}=cmd:{command}");
    let keys = machine.fine(&["process", &login]);
    let calls = machine.calls();
    assert!(machine.cognito.calls(GET_CREDENTIALS) >= 1);
    assert_eq!(machine.fine(&["process", &login]), keys);
    assert_eq!(machine.calls(), calls, "the second token has its credentials");
    let of_file = format!("--login={PROVIDER}=@token");
    let said = machine.run_as(&refused, &["process", &of_file]);
    assert_eq!((said.status, &*said.out), (4, ""), "{said:?}");
}
