//! Finds the host in an address, and tells whether the host is this machine.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the host of `host:port`, without the brackets of an IPv6 address.
pub(crate) fn host(authority: &str) -> Result<&str, String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("has a bracket without its pair")?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err("has brackets around something that is no IPv6 address".to_owned());
            }
            if !rest.is_empty() && !rest.starts_with(':') {
                return Err("has something other than a port after the address".to_owned());
            }
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if !authority.starts_with('[') && !host.trim_end_matches('.').split('.').all(is_label) {
        return Err("has no valid host name".to_owned());
    }
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if !port.is_none_or(is_port) {
        return Err("has a port that is not a number from 1 to 65535".to_owned());
    }
    Ok(host)
}

/// Allows the characters of registered names, and `_` for names on a private network.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns `true` if a name is `localhost` or ends with `.localhost`. A dot at the end is allowed.
#[cfg(feature = "ureq")]
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rsplit('.').next().is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
}
