//! The names of the options, and the setting of the library that each one sets.

/// The options with a value, and their settings. An option without a setting has an empty one.
const VALUED: [(&str, &str); 25] = [
    ("--account-id", "account_id"),
    ("--ca-file", "ca_file"),
    ("--cache-dir", ""),
    ("--custom-role-arn", "custom_role_arn"),
    ("--duration", "duration"),
    ("--endpoint-url", "endpoint_url"),
    ("--format", ""),
    ("--identity-id", "identity_id"),
    ("--identity-pool-id", "identity_pool_id"),
    ("--login-id", "login_id"),
    ("--max-attempts", "max_attempts"),
    ("--policy", "policy"),
    ("--proxy", "proxy"),
    ("--refresh-token", "refresh_token"),
    ("--region", "region"),
    ("--role-arn", "role_arn"),
    ("--role-session-name", "role_session_name"),
    ("--sts-endpoint-url", "sts_endpoint_url"),
    ("--timeout", "timeout"),
    ("--user-pool-client-id", "client_id"),
    ("--user-pool-client-secret", "client_secret"),
    ("--user-pool-device-key", "device_key"),
    ("--user-pool-endpoint-url", ""),
    ("--user-pool-id", "user_pool_id"),
    ("--user-pool-username", "username"),
];

/// The options without a value.
const FLAGS: [(&str, &str); 6] = [
    ("--all", ""),
    ("--danger-allow-http", "danger_allow_http"),
    ("--dual-stack", "use_dual_stack"),
    ("--fips", "use_fips"),
    ("--no-cache", ""),
    ("--verbose", ""),
];

/// Settings that more than one option, or an option with parts, decides.
const OTHERS: [(&str, &str); 3] =
    [("--login", "login"), ("--login", "login_from"), ("the cache", "persist_credentials")];

/// Returns the name, without dashes, of an option with a value.
pub(crate) fn valued(name: &str) -> Option<&'static str> {
    find(&VALUED, name)
}

/// Returns the name, without dashes, of an option without a value.
pub(crate) fn flag(name: &str) -> Option<&'static str> {
    find(&FLAGS, name)
}

/// Returns the option that sets a setting of the library, or the setting's own name.
pub(crate) fn of_setting(setting: &str) -> &str {
    let mut all = VALUED.iter().chain(&FLAGS).chain(&OTHERS);
    all.find(|(_, name)| *name == setting && !name.is_empty())
        .map_or(setting, |(option, _)| *option)
}

fn find(options: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    options.iter().filter_map(|(option, _)| option.strip_prefix("--")).find(|found| *found == name)
}
