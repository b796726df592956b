//! Where the service is: region → partition → URL, and the rule about `https`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The region names and host suffixes of one AWS partition, from the partition and endpoint rules
/// that AWS publishes with its SDKs.
struct Partition {
    prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// The commercial partition, to which every region belongs that no other claims.
const AWS: Partition = partition("", "amazonaws.com", "api.aws");

const OTHERS: [Partition; 7] = [
    partition("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    partition("us-gov-", "amazonaws.com", "api.aws"),
    partition("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    partition("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    partition("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    partition("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    partition("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
];

const fn partition(
    prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
) -> Partition {
    Partition { prefix, suffix, dual_stack_suffix }
}

/// Whether a region can stand in a host name.
pub(crate) fn is_region(region: &str) -> bool {
    (1..=63).contains(&region.len())
        && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !region.starts_with('-')
        && !region.ends_with('-')
}

/// Cognito Identity's URL in a region.
///
/// Two quirks of AWS's rules: in the `aws` partition the ordinary host serves both address
/// families, and FIPS with dual-stack maps to the ordinary FIPS host in four regions.
pub(crate) fn cognito_identity(region: &str, fips: bool, dual_stack: bool) -> String {
    let claimed = OTHERS.iter().find(|partition| region.starts_with(partition.prefix));
    let partition = claimed.unwrap_or(&AWS);
    let ordinary = match (fips, dual_stack) {
        (_, false) => true,
        (false, true) => claimed.is_none(),
        (true, true) => matches!(region, "us-east-1" | "us-east-2" | "us-west-1" | "us-west-2"),
    };
    let suffix = if ordinary { partition.suffix } else { partition.dual_stack_suffix };
    let service = if fips { "cognito-identity-fips" } else { "cognito-identity" };
    format!("https://{service}.{region}.{suffix}/")
}

/// Checks an endpoint URL given by the user and returns it with a path that ends in `/`.
///
/// The fault never repeats the URL: it may hold a password.
pub(crate) fn custom(url: &str, allow_http: bool) -> Result<String, String> {
    if !url.bytes().all(|b| b.is_ascii_graphic()) || url.contains('\\') {
        return Err("has a space or a character that no URL has".to_owned());
    }
    let (scheme, rest) =
        url.split_once("://").ok_or("has no scheme: it must begin with https://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if url.contains(['?', '#']) {
        return Err("has a query or a fragment, which an endpoint cannot have".to_owned());
    }
    if authority.contains('@') {
        return Err("has a user name or password, which the service does not take".to_owned());
    }
    let host = host(authority)?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => {}
        "http" if allow_http || is_loopback(host) => {}
        "http" => {
            return Err(
                "is plain http, which would show login tokens and credentials to the network: use https, or say danger_allow_http(true) for an emulator on a private network".to_owned(),
            );
        }
        _ => return Err("has a scheme other than https".to_owned()),
    }
    let slash = if path.is_empty() || path.ends_with('/') { "" } else { "/" };
    Ok(format!("{}://{authority}/{path}{slash}", scheme.to_ascii_lowercase()))
}

fn host(authority: &str) -> Result<&str, String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("has a bracket without its pair")?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err("has brackets around something that is no IPv6 address".to_owned());
            }
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err("has something other than a port after the address".to_owned()),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let label = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || !(authority.starts_with('[') || host.bytes().all(label)) {
        return Err("has no valid host name".to_owned());
    }
    match port {
        Some(port) if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() => {
            Err("has a port that is not a number from 0 to 65535".to_owned())
        }
        _ => Ok(host),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_map_to_the_hosts_of_awss_rules() {
        let rows = [
            ("us-east-1", false, false, "cognito-identity.us-east-1.amazonaws.com"),
            ("eu-west-1", false, true, "cognito-identity.eu-west-1.amazonaws.com"),
            ("us-west-2", true, false, "cognito-identity-fips.us-west-2.amazonaws.com"),
            ("us-west-2", true, true, "cognito-identity-fips.us-west-2.amazonaws.com"),
            ("ca-central-1", true, true, "cognito-identity-fips.ca-central-1.api.aws"),
            ("cn-north-1", false, false, "cognito-identity.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, "cognito-identity.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-gov-west-1", true, false, "cognito-identity-fips.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", false, true, "cognito-identity.us-gov-west-1.api.aws"),
            ("eusc-de-east-1", false, false, "cognito-identity.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", false, false, "cognito-identity.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", false, false, "cognito-identity.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", false, false, "cognito-identity.eu-isoe-west-1.cloud.adc-e.uk"),
            (
                "us-isof-south-1",
                true,
                true,
                "cognito-identity-fips.us-isof-south-1.api.aws.hci.ic.gov",
            ),
        ];
        for (region, fips, dual_stack, host) in rows {
            assert_eq!(cognito_identity(region, fips, dual_stack), format!("https://{host}/"));
        }
    }

    #[test]
    fn endpoints_are_https_or_loopback() {
        let accepted = [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.com:8443/cognito", "https://Example.com:8443/cognito/"),
            ("https://example.com/a/", "https://example.com/a/"),
            ("http://localhost:5000", "http://localhost:5000/"),
            ("http://LOCALHOST", "http://LOCALHOST/"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/"),
            ("http://127.255.255.254", "http://127.255.255.254/"),
            ("http://[::1]:5000/x", "http://[::1]:5000/x/"),
        ];
        for (url, expected) in accepted {
            assert_eq!(custom(url, false).as_deref(), Ok(expected), "{url}");
        }
        let refused = [
            "http://example.com",
            "http://128.0.0.1",
            "http://127.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://localhost.",
            "http://[::2]",
            "http://10.0.0.1",
        ];
        for url in refused {
            assert!(custom(url, false).unwrap_err().starts_with("is plain http"), "{url}");
            assert!(custom(url, true).is_ok(), "{url}");
        }
        let malformed = [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https://[::1",
            "https://[x]",
            "https://[::1]x",
            "https://a:b@example.com",
            "http://127.0.0.1@example.com",
            "https://a b",
            "https://ex\u{e4}mple.com",
            "https://example.com?x",
            "https://example.com/#x",
            "http://127.0.0.1\\@example.com",
            "https://example.com:",
            "https://example.com:65536",
            "https://example.com:+1",
            "https://exa%6dple.com",
            "https://example.com\r\nx",
        ];
        for url in malformed {
            // An empty port is what an unset shell variable leaves behind.
            let fault = custom(url, true).unwrap_err();
            assert!(!fault.contains("a:b"), "{url}: {fault}");
        }
    }

    #[test]
    fn regions_are_host_labels() {
        for region in ["us-east-1", "x", "LOCAL"] {
            assert!(is_region(region), "{region}");
        }
        for region in ["", "-x", "x-", "a.b", "a_b", "a/b", "é", &"x".repeat(64)] {
            assert!(!is_region(region), "{region}");
        }
    }
}
