//! Settings from environment variables. Each line is `NAME=value`.

#![no_main]

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{Builder, Error, ErrorKind};
use cognito_identity_credentials_fuzz::{check_error, check_text, form_field, good, operation};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The URL, the operation and the body of each request.
type Sent = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

struct Variables<'a>(Vec<(&'a [u8], &'a [u8])>);

impl Variables<'_> {
    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| *value)
    }

    fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.raw(name)?).ok().filter(|value| !value.is_empty())
    }

    /// An error may contain the names of regions, but nothing else from the variables.
    fn check(&self, error: &Error) {
        assert_eq!(error.kind(), ErrorKind::Config);
        let told = self.get("AWS_COGNITO_IDENTITY_POOL_ID").unwrap_or_default();
        let region = self.get("AWS_COGNITO_IDENTITY_ID").and_then(|id| id.split(':').next());
        let told = format!("{told} {}", region.unwrap_or_default());
        if !["SENTINEL", "5e471e10", PASSWORD].iter().any(|secret| told.contains(secret)) {
            check_text(&format!("{error} {error:#} {error:?}"));
            assert!(!error.to_string().contains(PASSWORD), "{error}");
        }
        assert!(!error.to_string().chars().any(char::is_control));
    }
}

const PASSWORD: &str = "hunter2";

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|b| *b == b'\n').filter_map(|line| {
        let equals = line.iter().position(|b| *b == b'=')?;
        Some((&line[..equals], &line[equals + 1..]))
    });
    let variables = Variables(lines.collect());
    // AWS_CA_BUNDLE names a file. The fuzzer must not choose one of this machine.
    let known = |name: &str| {
        // These variables are for other services or tools.
        assert!(!["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN"].contains(&name), "{name}");
        variables.raw(name).filter(|_| name != "AWS_CA_BUNDLE")
    };
    let builder =
        Builder::from_variables(|name| known(name).map(|value| OsString::from_vec(value.to_vec())));
    let builder = match builder {
        Ok(builder) => builder,
        Err(error) => return variables.check(&error),
    };
    let print = format!("{builder:?}");
    assert!(!print.chars().any(char::is_control));
    if let Some((_, guid)) =
        variables.get("AWS_COGNITO_IDENTITY_ID").and_then(|id| id.split_once(':'))
    {
        let shown = variables.get("AWS_COGNITO_IDENTITY_POOL_ID").unwrap_or_default();
        assert!(guid.len() < 36 || shown.contains(guid) || !print.contains(guid), "{print}");
    }

    let pool = variables.get("AWS_COGNITO_IDENTITY_POOL_ID");
    let identity = variables.get("AWS_COGNITO_IDENTITY_ID");
    let region =
        pool.or(identity).and_then(|id| id.split_once(':')).map_or("", |(region, _)| region);
    let (sent, minted) = (Sent::default(), format!("{region}:0"));
    let (seen, id) = (sent.clone(), minted.clone());
    let transport = move |request: &HttpRequest| {
        let operation = operation(request).to_owned();
        let minting = operation == "GetId";
        seen.lock().unwrap().push((request.url().to_owned(), operation, request.body().to_vec()));
        Ok(if minting {
            HttpResponse::new(200, format!(r#"{{"IdentityId":"{id}"}}"#))
        } else {
            good(request)
        })
    };
    let clock = ManualClock::new();
    let provider = match builder.clone().transport(transport).clock(clock.clone()).build() {
        Ok(provider) => provider,
        Err(error) => return variables.check(&error),
    };
    let set = provider.get().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(set.access_key_id(), "GOODKEY");

    let (role, custom) =
        (variables.get("AWS_COGNITO_ROLE_ARN"), variables.get("AWS_COGNITO_CUSTOM_ROLE_ARN"));
    let ignore = variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    let ignore = ignore.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let url = |name| variables.get(name).filter(|_| !ignore);
    let shared = url("AWS_ENDPOINT_URL");
    let cognito = url("AWS_ENDPOINT_URL_COGNITO_IDENTITY").or(shared);
    let sts = url("AWS_ENDPOINT_URL_STS").or(shared);
    let expected = match (identity, role) {
        (None, None) => vec!["GetId", "GetCredentialsForIdentity"],
        (None, Some(_)) => vec!["GetId", "GetOpenIdToken", "AssumeRoleWithWebIdentity"],
        (Some(_), None) => vec!["GetCredentialsForIdentity"],
        (Some(_), Some(_)) => vec!["GetOpenIdToken", "AssumeRoleWithWebIdentity"],
    };
    let sent = sent.lock().unwrap();
    assert_eq!(sent.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), expected);
    for (url, operation, body) in sent.iter() {
        assert!(is_safe(url), "{url}");
        let of_sts = operation == "AssumeRoleWithWebIdentity";
        match if of_sts { sts } else { cognito } {
            Some(own) => {
                let slash = if own.ends_with('/') { "" } else { "/" };
                let (scheme, rest) = own.split_once("://").expect("the URL has a scheme");
                let own = format!("{}://{rest}{slash}", scheme.to_ascii_lowercase());
                assert!(*url == own || rest.is_empty(), "{url}, not {own}");
            }
            None => {
                let service = if of_sts { "https://sts" } else { "https://cognito-identity" };
                assert!(url.starts_with(service), "{url}");
                assert!(url.contains(&format!(".{region}.")), "{url} is not in {region}");
            }
        }
        if of_sts {
            let field = |name| form_field(body, name);
            assert_eq!(field("RoleArn").as_deref(), role.map(str::as_bytes));
            let name = variables.get("AWS_ROLE_SESSION_NAME").unwrap_or("web-identity");
            assert_eq!(field("RoleSessionName").as_deref(), Some(name.as_bytes()));
            continue;
        }
        let body: Value = serde_json::from_slice(body).expect("a request is JSON");
        let field = |name| body.get(name).and_then(Value::as_str);
        if operation == "GetId" {
            assert_eq!(field("IdentityPoolId"), pool);
            assert_eq!(field("AccountId"), variables.get("AWS_ACCOUNT_ID"));
        } else {
            assert_eq!(field("IdentityId"), Some(identity.unwrap_or(&minted)));
            assert_eq!(field("CustomRoleArn"), custom);
        }
    }

    // The number of calls is the number of attempts, if the time is enough for them.
    let attempts =
        variables.get("AWS_MAX_ATTEMPTS").map_or(4, |n| n.parse::<u32>().expect("it is a number"));
    let contacts = Arc::new(Mutex::new(0));
    let counter = contacts.clone();
    let down = move |_: &HttpRequest| {
        *counter.lock().unwrap() += 1;
        Ok(HttpResponse::new(503, ""))
    };
    if attempts <= 5 {
        let builder = builder.transport(down).clock(clock).timeout(Duration::from_secs(3600));
        let provider = builder.build().expect("it was built before");
        check_error(&provider.get().expect_err("the service is down"));
        assert_eq!(*contacts.lock().unwrap(), attempts);
    }
});

/// Returns `true` if the URL is `https`, or `http` to this machine.
fn is_safe(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    if let Some(address) = authority.strip_prefix('[') {
        let address = address.split(']').next().unwrap_or_default();
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.octets()[0] == 127)
}
