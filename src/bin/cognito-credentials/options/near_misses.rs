//! [`near_misses`]: variables in the environment whose names are nearly right.

use std::env;

use crate::options::arguments;

/// Variables that the command reads but that have no option.
const OTHERS: [&str; 2] = ["AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"];

/// A variable that is set but not read, and the variable that was probably meant.
pub(crate) struct NearMiss {
    pub(crate) set: String,
    pub(crate) meant: String,
}

/// Returns the variables that are set and whose names are nearly those that the command reads.
pub(crate) fn near_misses() -> Vec<NearMiss> {
    let command = arguments::command();
    let of_options = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    let read: Vec<_> = of_options.filter(|name| name.starts_with("AWS_")).chain(OTHERS).collect();
    let set = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    set.filter_map(|set| near_miss(&set, &read)).collect()
}

fn near_miss(set: &str, read: &[&str]) -> Option<NearMiss> {
    if read.contains(&set) || belongs_to_another_program(set) || set.len() > 64 {
        return None;
    }
    let near = read.iter().filter(|name| is_near(set, name));
    let meant = near.min_by_key(|name| strsim::osa_distance(set, name))?;
    Some(NearMiss { set: set.to_owned(), meant: (*meant).to_owned() })
}

/// Returns `true` if the variable is one of the AWS tools, or has nothing to do with AWS.
fn belongs_to_another_program(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let of_cognito = upper.contains("COGNITO") || upper.contains("POOL");
    let of_aws = upper == "AWS_ROLE_ARN" || upper.starts_with("AWS_ENDPOINT_URL_");
    !of_cognito && (of_aws || !upper.starts_with("AWS"))
}

/// Returns `true` if two names differ in one or two letters, or one of them leaves out words of the
/// other.
fn is_near(set: &str, read: &str) -> bool {
    let plain = |name: &str| {
        let upper = name.to_ascii_uppercase().replace('_', "");
        upper.strip_prefix("AWS").map_or(upper.clone(), str::to_owned)
    };
    let (set_upper, read_upper) = (set.to_ascii_uppercase(), read.to_ascii_uppercase());
    let mut words: Vec<_> =
        set_upper.split('_').filter(|word| !word.is_empty() && *word != "AWS").collect();
    words.dedup();
    let is_in_read = |word: &&str| read_upper.split('_').any(|other| other == *word);
    let leaves_out = words.len() >= 2 && words.iter().all(is_in_read);
    leaves_out || strsim::osa_distance(&plain(set), &plain(read)) <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nearly_right_name_gets_a_suggestion_and_names_of_other_programs_do_not() {
        let names = ["AWS_COGNITO_IDENTITY_POOL_ID", "AWS_COGNITO_IDENTITY_ID"];
        let [pool, identity] = names.map(Some);
        let endpoint = "AWS_ENDPOINT_URL_COGNITO_IDENTITY";
        let read = [names[0], names[1], "AWS_COGNITO_ROLE_ARN", endpoint, "AWS_MAX_ATTEMPTS"]
            .into_iter()
            .chain(OTHERS)
            .collect::<Vec<_>>();
        let rows = [
            ("AWS_COGNITO_POOL_ID", pool),
            ("COGNITO_IDENTITY_POOL_ID", pool),
            ("COGNITO_POOL_ID", pool),
            ("IDENTITY_POOL_ID", pool),
            ("AWS_IDENTITY_POOL_ID", pool),
            ("AWS_COGNITO_IDENTITY_POOLID", pool),
            ("AWS_COGNITO_IDENTITYPOOL_ID", pool),
            ("AWS_COGNITO_IDENTITY_POOL", pool),
            ("AWS_COGNITO_IDENTIY_POOL_ID", pool),
            ("aws_cognito_identity_pool_id", pool),
            ("COGNITO_IDENTITY_ID", identity),
            ("COGNITO_ROLE_ARN", Some("AWS_COGNITO_ROLE_ARN")),
            ("AWS_MAX_ATTEMPT", Some("AWS_MAX_ATTEMPTS")),
            ("AWS_ENDPOINT_COGNITO_IDENTITY", Some(endpoint)),
            ("AWS_ENDPOINTS_URL", Some("AWS_ENDPOINT_URL")),
            ("AWS_COGNITO_IDENTITY_POOL_ID", None),
            ("AWS_COGNITO_USER_POOL_ID", None),
            ("USER_POOL_ID", None),
            ("AWS_ROLE_ARN", None),
            ("AWS_ENDPOINT_URL_S3", None),
            ("AWS_ENDPOINT_URL_SSM", None),
            ("AWS_ENDPOINT_URL_STS", None),
            ("AWS_REGION", None),
            ("AWS_PROFILE", None),
            ("AWS_SESSION_TOKEN", None),
            ("ENDPOINT_URL", None),
            ("HOME", None),
            ("PATH", None),
        ];
        for (set, meant) in rows {
            let found = near_miss(set, &read).map(|miss| miss.meant);
            assert_eq!(found.as_deref(), meant, "{set}");
        }
    }
}
