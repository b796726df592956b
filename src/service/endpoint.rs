//! The URLs of the services: region → partition → URL, and the rule about `https`.

use crate::loopback::{host, is_loopback};

/// The region names and host suffixes of one AWS partition, from the partition and endpoint rules
/// that AWS publishes with its SDKs.
struct Partition {
    prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// The commercial partition. Every region that matches no other prefix belongs to it.
static AWS: Partition = partition("", "amazonaws.com", "api.aws");

static OTHERS: [Partition; 7] = [
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

pub(crate) fn is_region(region: &str) -> bool {
    (1..=63).contains(&region.len())
        && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !region.starts_with('-')
        && !region.ends_with('-')
}

/// Returns the URL of Cognito Identity in a region.
///
/// AWS's rules have two exceptions. In the `aws` partition, the ordinary host serves IPv4 and IPv6.
/// In four regions, FIPS with dual-stack uses the ordinary FIPS host.
pub(crate) fn cognito_identity(region: &str, fips: bool, dual_stack: bool) -> String {
    let service = if fips { "cognito-identity-fips" } else { "cognito-identity" };
    regional(region, service, fips, dual_stack)
}

fn regional(region: &str, service: &str, fips: bool, dual_stack: bool) -> String {
    let partition = partition_of(region);
    let ordinary = match (fips, dual_stack) {
        (_, false) => true,
        (false, true) => partition.prefix.is_empty(),
        (true, true) => matches!(region, "us-east-1" | "us-east-2" | "us-west-1" | "us-west-2"),
    };
    let suffix = if ordinary { partition.suffix } else { partition.dual_stack_suffix };
    format!("https://{service}.{region}.{suffix}/")
}

/// Returns the URL of Cognito user pools in a region, with the exceptions of [`cognito_identity`].
#[cfg(feature = "user-pool")]
pub(crate) fn user_pools(region: &str, fips: bool, dual_stack: bool) -> String {
    regional(region, if fips { "cognito-idp-fips" } else { "cognito-idp" }, fips, dual_stack)
}

/// Returns the provider name of a user pool's tokens: their issuer, without the scheme.
#[cfg(feature = "user-pool")]
pub(crate) fn user_pool_login(region: &str, pool_id: &str) -> String {
    format!("cognito-idp.{region}.{}/{pool_id}", partition_of(region).suffix)
}

/// Returns the URL of STS in a region. AWS's rules have one exception: in `aws-us-gov`, the
/// ordinary host is the FIPS host.
pub(crate) fn sts(region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = partition_of(region);
    let suffix = if dual_stack { partition.dual_stack_suffix } else { partition.suffix };
    let ordinary = !fips || (partition.prefix == "us-gov-" && !dual_stack);
    let service = if ordinary { "sts" } else { "sts-fips" };
    format!("https://{service}.{region}.{suffix}/")
}

/// Returns the provider name of Cognito's token for a developer-authenticated identity. It is the
/// token's issuer, and the principal that roles trust.
pub(crate) fn cognito_login(region: &str) -> &'static str {
    match partition_of(region).prefix {
        "cn-" => "cognito-identity.cn-north-1.amazonaws.com.cn",
        "us-gov-" if region == "us-gov-east-1" => "cognito-identity.us-gov-east-1.amazonaws.com",
        "us-gov-" => "cognito-identity-us-gov.amazonaws.com",
        _ => "cognito-identity.amazonaws.com",
    }
}

fn partition_of(region: &str) -> &'static Partition {
    OTHERS.iter().find(|partition| region.starts_with(partition.prefix)).unwrap_or(&AWS)
}

/// Returns the scheme, host and port of a service that is not AWS, or `None` for AWS with its many
/// endpoints (FIPS, dual-stack, VPC). Records of different services are stored apart. `url` comes
/// from [`custom`] or another function of this file.
pub(crate) fn custom_service(url: &str, region: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?.to_ascii_lowercase();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.trim_start_matches('0')),
        _ => (authority.as_str(), if scheme == "http" { "80" } else { "443" }),
    };
    let host = host.trim_end_matches('.');
    let partition = partition_of(region);
    let is_aws = [partition.suffix, partition.dual_stack_suffix].iter().any(|suffix| {
        host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    (!is_aws).then(|| [scheme, "://", host, ":", port].concat())
}

/// Checks an endpoint URL given by the user and returns it with a path that ends in `/`.
///
/// The error is the rule of a `ConfigFault`. It never repeats the URL, which may hold a password.
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
    let in_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b);
    if !path.bytes().all(in_path) {
        return Err("has a path with a character that no URL has".to_owned());
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
                "is plain http, so others on the network could read login tokens and credentials: use https, or set {danger_allow_http} for an emulator on a private network".to_owned(),
            );
        }
        _ => return Err("has a scheme other than https".to_owned()),
    }
    let slash = if path.is_empty() || path.ends_with('/') { "" } else { "/" };
    Ok(format!("{}://{authority}/{path}{slash}", scheme.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row {
        region: &'static str,
        fips: bool,
        dual_stack: bool,
        host: &'static str,
    }

    fn ordinary(region: &'static str, host: &'static str) -> Row {
        Row { region, fips: false, dual_stack: false, host }
    }

    fn fips(region: &'static str, host: &'static str) -> Row {
        Row { fips: true, ..ordinary(region, host) }
    }

    fn dual_stack(region: &'static str, host: &'static str) -> Row {
        Row { dual_stack: true, ..ordinary(region, host) }
    }

    fn fips_dual_stack(region: &'static str, host: &'static str) -> Row {
        Row { fips: true, dual_stack: true, ..ordinary(region, host) }
    }

    fn assert_urls(url: fn(&str, bool, bool) -> String, rows: &[Row]) {
        for &Row { region, fips, dual_stack, host } in rows {
            assert_eq!(url(region, fips, dual_stack), format!("https://{host}/"));
        }
    }

    #[test]
    fn hosts_follow_the_endpoint_rules_of_aws() {
        let rows = [
            ordinary("us-east-1", "cognito-identity.us-east-1.amazonaws.com"),
            dual_stack("eu-west-1", "cognito-identity.eu-west-1.amazonaws.com"),
            fips("us-west-2", "cognito-identity-fips.us-west-2.amazonaws.com"),
            fips_dual_stack("us-west-2", "cognito-identity-fips.us-west-2.amazonaws.com"),
            fips_dual_stack("ca-central-1", "cognito-identity-fips.ca-central-1.api.aws"),
            ordinary("cn-north-1", "cognito-identity.cn-north-1.amazonaws.com.cn"),
            dual_stack("cn-north-1", "cognito-identity.cn-north-1.api.amazonwebservices.com.cn"),
            fips("us-gov-west-1", "cognito-identity-fips.us-gov-west-1.amazonaws.com"),
            dual_stack("us-gov-west-1", "cognito-identity.us-gov-west-1.api.aws"),
            ordinary("eusc-de-east-1", "cognito-identity.eusc-de-east-1.amazonaws.eu"),
            ordinary("us-iso-east-1", "cognito-identity.us-iso-east-1.c2s.ic.gov"),
            ordinary("us-isob-east-1", "cognito-identity.us-isob-east-1.sc2s.sgov.gov"),
            ordinary("eu-isoe-west-1", "cognito-identity.eu-isoe-west-1.cloud.adc-e.uk"),
            fips_dual_stack(
                "us-isof-south-1",
                "cognito-identity-fips.us-isof-south-1.api.aws.hci.ic.gov",
            ),
        ];
        assert_urls(cognito_identity, &rows);
        let rows = [
            ordinary("us-east-1", "sts.us-east-1.amazonaws.com"),
            dual_stack("us-east-1", "sts.us-east-1.api.aws"),
            fips("us-east-1", "sts-fips.us-east-1.amazonaws.com"),
            fips_dual_stack("us-east-1", "sts-fips.us-east-1.api.aws"),
            ordinary("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            fips("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            fips_dual_stack("us-gov-west-1", "sts-fips.us-gov-west-1.api.aws"),
            dual_stack("us-gov-east-1", "sts.us-gov-east-1.api.aws"),
            fips("eusc-de-east-1", "sts-fips.eusc-de-east-1.amazonaws.eu"),
            ordinary("us-iso-west-1", "sts.us-iso-west-1.c2s.ic.gov"),
            dual_stack("us-isob-east-1", "sts.us-isob-east-1.api.aws.scloud"),
            fips("eu-isoe-west-1", "sts-fips.eu-isoe-west-1.cloud.adc-e.uk"),
            ordinary("us-isof-east-1", "sts.us-isof-east-1.csp.hci.ic.gov"),
            ordinary("xx-new-9", "sts.xx-new-9.amazonaws.com"),
        ];
        assert_urls(sts, &rows);
        assert_eq!(cognito_login("eu-west-1"), "cognito-identity.amazonaws.com");
        assert_eq!(cognito_login("us-gov-west-1"), "cognito-identity-us-gov.amazonaws.com");
        assert_eq!(cognito_login("us-gov-east-1"), "cognito-identity.us-gov-east-1.amazonaws.com");
        assert_eq!(cognito_login("cn-north-1"), "cognito-identity.cn-north-1.amazonaws.com.cn");
    }

    #[cfg(feature = "user-pool")]
    #[test]
    fn hosts_of_user_pools_follow_the_endpoint_rules_of_aws() {
        let rows = [
            ordinary("us-east-1", "cognito-idp.us-east-1.amazonaws.com"),
            dual_stack("eu-west-1", "cognito-idp.eu-west-1.amazonaws.com"),
            fips("us-west-2", "cognito-idp-fips.us-west-2.amazonaws.com"),
            fips_dual_stack("us-west-2", "cognito-idp-fips.us-west-2.amazonaws.com"),
            fips_dual_stack("ca-central-1", "cognito-idp-fips.ca-central-1.api.aws"),
            ordinary("cn-north-1", "cognito-idp.cn-north-1.amazonaws.com.cn"),
            dual_stack("cn-north-1", "cognito-idp.cn-north-1.api.amazonwebservices.com.cn"),
            fips("us-gov-west-1", "cognito-idp-fips.us-gov-west-1.amazonaws.com"),
            dual_stack("us-gov-west-1", "cognito-idp.us-gov-west-1.api.aws"),
            ordinary("us-iso-east-1", "cognito-idp.us-iso-east-1.c2s.ic.gov"),
        ];
        assert_urls(user_pools, &rows);
        let rows = [
            ("eu-west-1", "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a"),
            ("us-gov-west-1", "cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_a"),
            ("cn-north-1", "cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_a"),
        ];
        for (region, login) in rows {
            assert_eq!(user_pool_login(region, &format!("{region}_a")), login);
        }
    }

    #[test]
    fn hosts_of_the_partition_belong_to_aws_and_all_others_to_other_services() {
        let rows = [
            // URL as the program gives it, region, service
            ("https://cognito-identity.us-east-1.amazonaws.com", "us-east-1", None),
            ("https://cognito-identity-fips.us-east-1.amazonaws.com./", "us-east-1", None),
            ("https://Cognito-Identity.US-East-1.AmazonAWS.com:8443/x", "us-east-1", None),
            ("https://vpce-1-2.cognito-identity.us-east-1.vpce.amazonaws.com", "us-east-1", None),
            ("https://cognito-identity.us-east-1.api.aws", "us-east-1", None),
            ("https://cognito-identity.cn-north-1.amazonaws.com.cn", "cn-north-1", None),
            ("https://x.api.amazonwebservices.com.cn", "cn-north-1", None),
            ("https://x.amazonaws.com", "us-gov-west-1", None),
            ("https://x.amazonaws.eu", "eusc-de-east-1", None),
            ("https://x.amazonaws.eu", "eu-west-1", Some("https://x.amazonaws.eu:443")),
            ("https://x.amazonaws.com", "cn-north-1", Some("https://x.amazonaws.com:443")),
            ("https://x.amazonaws.com.cn", "us-east-1", Some("https://x.amazonaws.com.cn:443")),
            ("https://xamazonaws.com", "us-east-1", Some("https://xamazonaws.com:443")),
            (
                "https://amazonaws.com.example.com",
                "us-east-1",
                Some("https://amazonaws.com.example.com:443"),
            ),
            ("http://127.0.0.1:4566", "us-east-1", Some("http://127.0.0.1:4566")),
            ("http://127.0.0.1:04566/path", "us-east-1", Some("http://127.0.0.1:4566")),
            ("HTTP://LocalHost", "us-east-1", Some("http://localhost:80")),
            ("https://Moto.Example.com./", "us-east-1", Some("https://moto.example.com:443")),
            ("https://moto.example.com:443", "us-east-1", Some("https://moto.example.com:443")),
            ("http://moto.example.com:443", "us-east-1", Some("http://moto.example.com:443")),
            ("http://[::1]", "us-east-1", Some("http://[::1]:80")),
            ("http://[::1]:5000/", "us-east-1", Some("http://[::1]:5000")),
        ];
        for (url, region, service) in rows {
            let url = custom(url, true).unwrap();
            assert_eq!(custom_service(&url, region).as_deref(), service, "{url} {region}");
        }
        for region in ["us-east-1", "cn-north-1", "us-gov-east-1", "us-isof-east-1", "eusc-x-1"] {
            for [fips, dual_stack] in [[false, false], [false, true], [true, false], [true, true]] {
                let url = cognito_identity(region, fips, dual_stack);
                assert_eq!(custom_service(&url, region), None, "{url}");
            }
        }
        assert_eq!(custom_service("", "us-east-1"), None);
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
            #[cfg(feature = "ureq")]
            assert_plain_http_stays_on_loopback(url);
        }
        let refused = [
            "http://example.com",
            "http://128.0.0.1",
            "http://127.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://localhost.",
            "http://127.0.0.1.",
            "http://localhostx",
            "http://xlocalhost",
            "http://local-host",
            "http://loca1host",
            "http://126.255.255.255",
            "http://0.0.0.0",
            "http://0",
            "http://127",
            "http://127.0.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0x7f.0.0.1",
            "http://0177.0.0.1",
            "http://127.0.0.01",
            "http://127.0.0.1.1",
            "http://127.0.0.256",
            "http://[::2]",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
            "http://[::127.0.0.1]",
            "http://10.0.0.1",
            "HTTP://Example.com",
            "hTTp://example.com/localhost",
            "http://example.com/http://localhost",
            "http://example.com/@localhost",
        ];
        for url in refused {
            assert!(custom(url, false).unwrap_err().starts_with("is plain http"), "{url}");
            assert!(custom(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_malformed_url_is_an_error_even_if_http_is_allowed() {
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
            "http://localhost@example.com",
            "http://localhost:80@example.com",
            "http://example.com@localhost",
            "http://a:b@localhost",
            "http://@localhost",
            "http://localhost%2eexample.com",
            "http://localhost%00.example.com",
            "http://localhost%",
            "http://[::1].example.com",
            "http://[::1]example.com",
            "http://[::1]@example.com",
            "http://[::1]:",
            "http://[::1%25eth0]",
            "http://[127.0.0.1]",
            "http://[localhost]",
            "http://::1",
            "http:\\\\localhost",
            "http:\\\\example.com",
            "http:/\\localhost",
            "http://example.com\\@localhost",
            "http:/localhost",
            "http:localhost",
            "http:////localhost",
            "//localhost",
            "localhost:80",
            "http ://localhost",
            " http://localhost",
            "http://localhost ",
            "http://localhost\t",
            "http://localhost\n.example.com",
            "http://localhost\0",
            "http://localhost?@example.com",
            "http://localhost#@example.com",
            "http://example.com#@localhost",
            "http://localhost,example.com",
            "http://localhost;example.com",
            "http://localhost:80:80",
            "http://127.0.0.1\u{3002}example.com",
            "http://127\u{3002}0\u{3002}0\u{3002}1",
            "http://127\u{ff0e}0.0.1",
            "http://\u{ff4c}ocalhost",
            "http://\u{ff11}27.0.0.1",
            "http://\u{2460}27.0.0.1",
            "http://localhost\u{200b}",
            "http\u{ff1a}//localhost",
            "ws://localhost",
            "https+http://localhost",
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
            "http://localhost:1/<x>",
            "https://a..b",
            "https://.",
            "https://-a",
            "https://a:0",
        ];
        for url in malformed {
            let fault = custom(url, true).unwrap_err();
            assert!(!fault.contains("a:b"), "{url}: {fault}");
        }
        let fault = custom("https://a:b@example.com", true).unwrap_err();
        assert!(fault.starts_with("has a user name or password"), "{fault}");
    }

    /// Checks that the HTTP client reads the same host from the URL. If it read another host, plain
    /// http could leave the machine.
    #[cfg(feature = "ureq")]
    fn assert_plain_http_stays_on_loopback(url: &str) {
        let Ok(url) = custom(url, false) else { return };
        let read: ureq::http::Uri = url.parse().unwrap();
        let host = read.host().unwrap();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<std::net::IpAddr>();
        let here =
            bare.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback());
        assert!(here || read.scheme_str() == Some("https"), "{url} leads to {host}");
        let authority = url.split('/').nth(2);
        assert_eq!(read.authority().map(ureq::http::uri::Authority::as_str), authority, "{url}");
    }

    #[cfg(feature = "ureq")]
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None,
            cases: 2_000,
            ..proptest::prelude::ProptestConfig::default()
        })]

        #[test]
        fn plain_http_never_leaves_loopback(
            scheme in "http://|HTTP://|https://|http:|http:/|http:\\\\|",
            parts in proptest::collection::vec(
                "localhost|127\\.0\\.0\\.1|\\[::1\\]|example\\.com|[@:/\\\\?#%.,;\\[\\]0-9a-f]|:80|%2e|\u{3002}|\u{ff0e}|[ \t\0]",
                1..6,
            ),
        ) {
            assert_plain_http_stays_on_loopback(&format!("{scheme}{}", parts.concat()));
        }
    }

    #[test]
    fn a_region_must_be_a_label_of_a_host_name() {
        for region in ["us-east-1", "x", "LOCAL"] {
            assert!(is_region(region), "{region}");
        }
        for region in ["", "-x", "x-", "a.b", "a_b", "a/b", "é", &"x".repeat(64)] {
            assert!(!is_region(region), "{region}");
        }
    }
}
