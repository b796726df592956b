//! What to do about an error of the library, with options and variables in place of the library's
//! settings.

use std::fmt::Write as _;

use cognito_identity_credentials::{ConfigFault, Error, ErrorKind};

use crate::login::issuer;
use crate::login::provider_login::ProviderLogin;
use crate::messages::regions;
use crate::options::arguments::Options;
use crate::options::near_misses::{NearMiss, near_misses};
use crate::options::option_names;

const NO_TOKEN: &str =
    "check the source of the token (--login, --refresh-token); the user may have to sign in again";

const POOL: &str = "AWS_COGNITO_IDENTITY_POOL_ID";
const IDENTITY: &str = "AWS_COGNITO_IDENTITY_ID";
const CHECK_NETWORK: &str = "check the network: is it up, does a firewall block HTTPS, is a proxy needed (--proxy or HTTPS_PROXY)";
const CLEAR_ID: &str = "clear the cached ID";

const RUN_IT: &str = "run the command of cmd: by itself: it must print only the token or secret, and end with status 0";

/// The faults of a token source, and what to do about each. The last row is for all others.
const TOKEN_FAULTS: [(&str, &str); 8] = [
    ("No such file", "check the path after the @, and that the program that writes the file runs"),
    ("Permission denied", "let this user read the file"),
    ("Is a directory", "write the path of a file after the @"),
    (" is not set", "set the variable, and export it to this command"),
    ("the command failed", RUN_IT),
    ("what the command printed", RUN_IT),
    ("--user-pool-client-secret: ", "check the source of the client secret"),
    ("", NO_TOKEN),
];

const COPY_POOL: &str = "copy the ID from the page of the identity pool, without spaces and without what stands before REGION in an ARN; an ID of the form REGION_NAME is that of a user pool (--user-pool-id)";

/// Phrases in the library's hints, and the phrases of the command that replace them. A longer
/// phrase comes before a phrase that is part of it.
const PHRASES: [(&str, &str); 31] = [
    (
        "and that the device's name server knows the host",
        "that the network is up, and that the device's name server knows the host",
    ),
    (CLEAR_ID, "run cognito-credentials forget"),
    ("remove it with clear_cached_id or forget_refresh_token", "run cognito-credentials forget"),
    ("set a new one, or use login_from with", "sign in again, or give --login"),
    ("set a new one", "sign in again"),
    ("set the new refresh token", "give the new one by --refresh-token"),
    ("set the login", "give --login"),
    ("set a login", "give --login"),
    ("set the right login", "give the right --login"),
    ("remove one login", "leave one --login out"),
    ("the login's name must be", "the name in --login must be"),
    ("check the login's name", "check the name in --login"),
    (
        "check identity_pool_id and region",
        "check the identity pool's ID and the region in it (--identity-pool-id or AWS_COGNITO_IDENTITY_POOL_ID)",
    ),
    ("if your program supplies the token, supply a fresh one and check", "check"),
    (", or set fewer policy_arns", ""),
    ("check the settings", "check the options and variables"),
    ("the values of the settings", "the values of the options"),
    ("the certificates that the transport was given", "the file of --ca-file or AWS_CA_BUNDLE"),
    (
        "that the transport trusts the authority that signed the certificate",
        "that the file of --ca-file or AWS_CA_BUNDLE has the authority that signed the certificate",
    ),
    ("check client_cert_pem, and ask", "this command has no client certificate: ask"),
    ("a client certificate (client_cert_pem)", "a client certificate, which this command has not"),
    ("give one with client_cert_pem", "this command has none: use an endpoint that asks for none"),
    ("; if the device has none, set a later earliest_time", ""),
    (", or implement boot_id of the program's own Clock", ""),
    ("check the region and the", "check the region in the pool's ID, and the"),
    ("endpoint URL", "endpoint URL (--endpoint-url or AWS_ENDPOINT_URL)"),
    ("the proxy's URL: http", "the URL of HTTPS_PROXY or of the file of --proxy @FILE: http"),
    ("the proxy's URL", "the proxy's URL (--proxy or HTTPS_PROXY)"),
    ("may need a proxy", "may need a proxy (--proxy or HTTPS_PROXY)"),
    ("allow more time", "allow more time (--timeout)"),
    ("that the storage works", "the cache (--cache-dir)"),
];

/// Returns what to do about an error. `None` if the error text says it already.
pub(crate) fn of_error(error: &Error) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::Config => return of_faults(error.config_faults()),
        ErrorKind::Timeout | ErrorKind::Unreachable => error.hint().or(Some(CHECK_NETWORK)),
        ErrorKind::Login => {
            let text = format!("{error:#}");
            return error.hint().or(of_token(&text)).map(with_options);
        }
        ErrorKind::NotAuthorized | ErrorKind::NotFound | ErrorKind::Refused => error
            .hint()
            .or(Some("ask the operator of the identity pool, and quote the message above")),
        _ => error.hint(),
    };
    let hint = hint.map(with_options);
    match (regions::misspelt_in(error.message()), hint) {
        (Some(region), Some(hint)) if error.status().is_none() => {
            Some(format!("{region} If it is new: {hint}"))
        }
        (_, hint) => hint,
    }
}

/// Returns what to do about an error of a token source. `None` if the text says it already.
pub(crate) fn of_token(text: &str) -> Option<&'static str> {
    let says_it =
        ["; give only", "; save it", "; copy the token", "; let the inner one", "; sign in first"];
    if says_it.iter().any(|remedy| text.contains(remedy)) {
        return None;
    }
    let (_, advice) = TOKEN_FAULTS.iter().find(|(fault, _)| text.contains(fault))?;
    Some(advice)
}

pub(crate) fn of_refresh(error: &Error, options: &Options) -> Option<String> {
    let rejected = matches!(error.kind(), ErrorKind::NotAuthorized | ErrorKind::Refused);
    let other_issuer = || options.logins.iter().find_map(|login| wrong_name(login.as_ref()));
    if let Some(advice) = rejected.then(other_issuer).flatten() {
        return Some(advice);
    }
    match (options.origin(IDENTITY, "--identity-id"), error.hint()) {
        // This identity does not come from the cache.
        (Some(from), Some(hint)) if hint.contains(CLEAR_ID) => {
            Some(with_options(&hint.replace(CLEAR_ID, &format!("leave out or correct {from}"))))
        }
        _ => of_error(error),
    }
}

/// Returns the name that a login needs, if it does not fit the issuer of its token.
fn wrong_name(login: &ProviderLogin) -> Option<String> {
    let (provider, issuer) = (&login.provider, login.issuer()?);
    let needed = issuer::mismatch(provider, &issuer)?;
    Some(format!(
        "the token of --login {provider} was issued by {issuer}, so it needs the name {needed}: --login {needed}=SOURCE"
    ))
}

/// Returns what to do about wrong settings. `None` if their texts say it already.
fn of_faults(faults: &[ConfigFault]) -> Option<String> {
    let mut advice = Vec::new();
    for text in faults.iter().filter_map(of_fault) {
        if !advice.contains(&text) {
            advice.push(text);
        }
    }
    (!advice.is_empty()).then(|| advice.join("; "))
}

fn of_fault(fault: &ConfigFault) -> Option<String> {
    let text = fault.to_string();
    match fault.setting() {
        "identity_pool_id" if text.contains("not set") => Some(no_pool()),
        "identity_pool_id"
            if text.contains("must have the form") || text.contains("it must have at most") =>
        {
            Some(COPY_POOL.to_owned())
        }
        "role_arn" | "custom_role_arn" if text.contains("characters, it must have") => {
            Some("write the whole ARN, such as arn:aws:iam::123456789012:role/NAME".to_owned())
        }
        "use_fips" | "use_dual_stack" if text.contains("endpoint_url") => Some(
            "leave out this option or the endpoint, which may also come from a variable: AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_…"
                .to_owned(),
        ),
        "endpoint_url" | "sts_endpoint_url" if text.contains("has no scheme") => {
            Some("write https://HOST; on this machine, http://localhost:PORT is allowed too".to_owned())
        }
        "region" | "identity_id" => regions::misspelt_in(&text),
        _ => None,
    }
}

fn no_pool() -> String {
    let mut advice = format!("give --identity-pool-id REGION:GUID, or set {POOL}");
    if std::env::var_os(POOL).is_some_and(|pool| pool.is_empty()) {
        advice.push_str(", which is empty now");
    }
    for NearMiss { set, meant } in near_misses() {
        if [POOL, IDENTITY].contains(&&*meant) {
            let _ = write!(advice, "; {set} is set, but the name that is read is {meant}");
        }
    }
    advice
}

/// Replaces the library's settings in a text with options. Only names with an underscore are
/// replaced, because others may be ordinary words.
pub(crate) fn with_options(text: &str) -> String {
    let mut text = text.to_owned();
    for (phrase, ours) in PHRASES {
        text = text.replace(phrase, ours);
    }
    let ends_name = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let pieces = text.split_inclusive(ends_name).map(|piece| {
        let name = piece.trim_end_matches(ends_name);
        let shown = if name.contains('_') { option_names::of_setting(name) } else { name };
        format!("{shown}{}", &piece[name.len()..])
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const HINTS: [&str; 6] = [
        "error/refusals.rs",
        "error/kind.rs",
        "transport/ureq/error.rs",
        "transport/ureq/error/tls.rs",
        "storage/record.rs",
        "refresh/stored_credentials.rs",
    ];
    const RULES: [&str; 7] = [
        "provider/validate.rs",
        "provider/environment.rs",
        "service/call_settings.rs",
        "service/endpoint.rs",
        "service/cognito_identity.rs",
        "transport/ureq/mod.rs",
        "user_pool_tokens/builder.rs",
    ];

    /// Returns the string literals with a space in source files, without those in tests.
    fn texts(files: &[&str]) -> Vec<String> {
        let code = |file: &&str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
            let source = fs::read_to_string(path).unwrap();
            let source = source.split("#[cfg(test)]\nmod ").next().unwrap();
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            code.collect::<Vec<_>>().join("\n").replace("'\"'", "")
        };
        let literals = |code: String| {
            code.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let all = files.iter().map(code).flat_map(literals);
        all.filter(|text| text.contains(' ')).collect()
    }

    /// Returns the words that only a user of the library understands.
    fn names_of_the_library(text: &str) -> Vec<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_name = |word: &&str| {
            let joined = word.contains('_') && word.chars().any(|c| c.is_ascii_lowercase());
            let types = ["UreqTransport", "UserPoolTokens", "FileStorage", "Builder", "Clock"];
            // `no_proxy` is a variable, the others are files of Linux.
            (joined && !["no_proxy", "boot_id", "timens_offsets"].contains(word))
                || types.contains(word)
                || ["storage", "transport", "builder"].contains(word)
        };
        words.filter(is_name).collect()
    }

    #[test]
    fn hints_contain_no_names_of_the_library() {
        let hints = texts(&HINTS);
        assert!(hints.len() > 100, "only {} texts found", hints.len());
        for hint in hints {
            let shown = with_options(&hint);
            let what = "needs a phrase in PHRASES, or other words";
            assert_eq!(names_of_the_library(&shown), [""; 0], "{shown}: {what}");
            assert!(!shown.contains("cached ID"), "{shown}");
        }
    }

    #[test]
    fn rules_of_settings_contain_no_names_of_the_library() {
        // No option can set these.
        let unreachable = [
            "developer_identity",
            "needs storage",
            "no storage is set",
            "feature `ureq` is off",
            "policy_arns",
            "credentials are stored under",
            "the identity is stored under",
            "needs {login_id} where",
            "so nothing is trusted",
        ];
        let rules = texts(&RULES);
        assert!(rules.len() > 40, "only {} texts found", rules.len());
        for rule in rules {
            if unreachable.iter().any(|known| rule.contains(known)) {
                continue;
            }
            let mut shown = String::new();
            let mut rest = &*rule;
            while let Some((before, after)) = rest.split_once('{') {
                let (name, after) = after.split_once('}').unwrap_or((after, ""));
                shown.push_str(before);
                shown.push_str(option_names::of_setting(name));
                rest = after;
            }
            shown.push_str(rest);
            let names = names_of_the_library(&shown);
            assert!(names.iter().all(|name| *name == "region_setting"), "{shown}: {names:?}");
        }
    }

    #[test]
    fn each_replaced_phrase_is_in_the_library() {
        let all = texts(&HINTS).join("\n");
        for (phrase, _) in PHRASES {
            assert!(all.contains(phrase), "{phrase}");
        }
    }

    #[test]
    fn a_hint_names_options_and_commands_in_place_of_settings() {
        let rows = [
            (
                "leave out role_arn (custom_role_arn chooses a role)",
                "leave out --role-arn (--custom-role-arn chooses a role)",
            ),
            (
                "clear the cached ID, or set identity_id for the right login",
                "run cognito-credentials forget, or set --identity-id for the right login",
            ),
            (
                "the policy is too long: shorten it, or set fewer policy_arns",
                "the policy is too long: shorten it",
            ),
            ("list it in no_proxy", "list it in no_proxy"),
        ];
        for (hint, expected) in rows {
            assert_eq!(with_options(hint), expected);
        }
    }
}
