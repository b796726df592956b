//! Finds the host in an address, and tells whether the host is this machine.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns the host of `host:port`, without the brackets of an IPv6 address.
pub(crate) fn host(authority: &str) -> Result<&str, String> {
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
    if !authority.starts_with('[') && !host.trim_end_matches('.').split('.').all(is_label) {
        return Err("has no valid host name".to_owned());
    }
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    match port {
        Some(port) if !is_port(port) => {
            Err("has a port that is not a number from 1 to 65535".to_owned())
        }
        _ => Ok(host),
    }
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
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns whether a name is `localhost` or ends with `.localhost`. A dot at the end is allowed.
#[cfg(feature = "ureq")]
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let parent = host.len().checked_sub("localhost".len()).and_then(|at| host.split_at_checked(at));
    parent.is_some_and(|(below, name)| {
        name.eq_ignore_ascii_case("localhost") && (below.is_empty() || below.ends_with('.'))
    })
}
