//! The list of hosts that are reached without a proxy, with curl's rules. This file uses no other
//! file of the crate, because the command compiles it too.

use std::net::IpAddr;

/// Returns `true` if a list in the form of `NO_PROXY` covers this host and port.
///
/// An entry that cannot be parsed covers nothing. If the user meant to cover the host, the proxy's
/// error shows the mistake. A direct connection by mistake would not be noticed.
pub(crate) fn no_proxy_covers(list: &str, host: &str, port: u16) -> bool {
    let host = normalized_host(host);
    let address: Option<IpAddr> = host.parse().ok();
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    entries.filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let Some(name) = without_port(entry, port) else { return false };
        match address {
            Some(address) => is_in(name, address),
            None => is_domain_of(name, host),
        }
    })
}

/// Removes the brackets of an IPv6 address, or the dot at the end of a full name.
pub(crate) fn normalized_host(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or_else(|| host.trim_end_matches('.'))
}

/// Returns the host of an entry, if the entry is for this port or for all ports.
fn without_port(entry: &str, port: u16) -> Option<&str> {
    let (host, limit) = match entry.rsplit_once(':') {
        Some((host, limit)) if !host.contains(':') || host.ends_with(']') => (host, Some(limit)),
        _ => (entry, None),
    };
    let of_this_port = limit
        .is_none_or(|limit| limit.bytes().all(|b| b.is_ascii_digit()) && limit.parse() == Ok(port));
    of_this_port.then_some(host)
}

/// Returns `true` if an entry is this address, or a network (`10.0.0.0/8`) that contains it.
fn is_in(entry: &str, address: IpAddr) -> bool {
    let Some((network, length)) = entry.split_once('/') else {
        return normalized_host(entry).parse() == Ok(address);
    };
    let Ok(length) = length.parse::<u32>() else { return false };
    match (normalized_host(network).parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) if length <= 32 => {
            (network.to_bits() ^ address.to_bits()).checked_shr(32 - length).unwrap_or(0) == 0
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) if length <= 128 => {
            (network.to_bits() ^ address.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Returns `true` if an entry is this name, or a domain above it. `example.com`, `.example.com` and
/// `*.example.com` mean the same.
fn is_domain_of(entry: &str, host: &str) -> bool {
    let domain = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
    let domain = normalized_host(domain.strip_prefix('.').unwrap_or(domain)).as_bytes();
    let Some(at) = host.len().checked_sub(domain.len()) else { return false };
    let (above, end) = host.as_bytes().split_at(at);
    !domain.is_empty()
        && end.eq_ignore_ascii_case(domain)
        && (above.is_empty() || above.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_list_covers_the_hosts_that_it_covers_in_curl() {
        // Lists and hosts. The port is 443.
        let covered = [
            ("*", "example.com"),
            ("*", "10.0.0.1"),
            ("a, *", "example.com"),
            ("example.com", "example.com"),
            ("example.com", "a.example.com"),
            ("example.com", "a.b.example.com"),
            (".example.com", "example.com"),
            (".example.com", "a.example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", "a.example.com"),
            ("EXAMPLE.com", "a.Example.COM"),
            ("example.com.", "example.com"),
            (".example.com.", "a.example.com"),
            ("example.com", "example.com."),
            ("a,example.com", "example.com"),
            ("a, example.com", "example.com"),
            ("a example.com", "example.com"),
            ("\ta ,\r\n example.com ,", "example.com"),
            ("example.com:443", "example.com"),
            ("example.com:443", "a.example.com"),
            (".example.com:443", "a.example.com"),
            ("example.com:8443,example.com:443", "example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.9.9.9/8", "10.0.0.1"),
            ("10.0.0.0/8:443", "10.0.0.1"),
            ("192.168.1.0/31", "192.168.1.1"),
            ("192.168.1.1/32", "192.168.1.1"),
            ("0.0.0.0/0", "10.0.0.1"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::/32", "[2001:db8:ffff::1]"),
            ("[2001:db8::]/32", "[2001:db8:ffff::1]"),
            ("::/0", "2001:db9::1"),
        ];
        for (list, host) in covered {
            assert!(no_proxy_covers(list, host, 443), "{list:?} {host}");
        }
        let not_covered = [
            ("", "example.com"),
            (" , ,, ", "example.com"),
            ("*example.com", "example.com"),
            ("*example.com", "badexample.com"),
            ("a.*", "a.example.com"),
            ("..example.com", "a.example.com"),
            (".", "example.com"),
            (".", "example.com."),
            ("..", "a."),
            ("ample.com", "example.com"),
            ("-example.com", "a-example.com"),
            ("example.com", "example.com.evil"),
            ("example.com", "example.co"),
            ("a.example.com", "example.com"),
            ("http://example.com", "example.com"),
            ("a;example.com", "example.com"),
            ("example.com:8443", "example.com"),
            ("example.com:", "example.com"),
            ("example.com:+443", "example.com"),
            ("example.com:99999", "example.com"),
            ("example.com:443:443", "example.com"),
            (":443", "example.com"),
            ("*:443", "example.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.10"),
            ("10.0.0.1", "110.0.0.1"),
            ("0.0.1", "10.0.0.1"),
            (".0.0.1", "10.0.0.1"),
            ("10.0.0.01", "10.0.0.1"),
            ("10.1", "10.0.0.1"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8:80", "10.0.0.1"),
            ("192.168.1.0/31", "192.168.1.2"),
            ("192.168.1.1/32", "192.168.1.2"),
            ("0.0.0.0/0", "::1"),
            ("0.0.0.0/0", "example.com"),
            ("10.0.0.0/33", "10.0.0.0"),
            ("10.0.0.0/-1", "10.0.0.0"),
            ("10.0.0.0/", "10.0.0.0"),
            ("10.0.0.0/99999999999", "10.0.0.0"),
            ("example.com/8", "example.com"),
            ("[2001:db8::1]:80", "[2001:db8::1]"),
            ("2001:db8::/32", "2001:db9::1"),
            ("::/0", "10.0.0.1"),
            ("2001:db8::/129", "2001:db8::"),
            ("[2001:db8::1", "2001:db8::1"),
            ("ex\u{e4}mple.com", "example.com"),
            ("\u{e9}", "a"),
        ];
        for (list, host) in not_covered {
            assert!(!no_proxy_covers(list, host, 443), "{list:?} {host}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_list_and_no_host_cause_a_panic(list in ".{0,40}", host in ".{0,20}", port: u16) {
            no_proxy_covers(&list, &host, port);
        }

        #[test]
        fn an_entry_covers_its_own_name_and_the_names_below_it(
            name in "[a-z]{1,8}(\\.[a-z]{1,8}){1,3}",
            other in "[a-z0-9.:,/ \\[\\]-]{0,30}",
            port: u16,
        ) {
            let above = name.split_once('.').unwrap().1;
            for entry in [&name, above] {
                for list in [format!("{other},{entry}"), format!(" .{entry}:{port} {other}")] {
                    prop_assert!(no_proxy_covers(&list, &name, port), "{list}");
                }
            }
            let longer = format!("x{name}");
            prop_assert!(!no_proxy_covers(&name, &longer, port));
            prop_assert!(!no_proxy_covers(&longer, &name, port));
        }

        #[test]
        fn a_network_covers_the_addresses_with_the_same_first_bits(
            address: u128, flip in 0_u32..128, length in 0_u32..=128, port: u16,
        ) {
            use std::net::{Ipv4Addr, Ipv6Addr};
            let six = |bits: u128| Ipv6Addr::from_bits(bits);
            let list = format!("{}/{length}", six(address));
            let near = six(address ^ 1 << flip).to_string();
            prop_assert_eq!(no_proxy_covers(&list, &near, port), 128 - length > flip, "{} {}", list, near);
            let (address, flip, length) = (u32::try_from(address >> 96).unwrap(), flip % 32, length % 33);
            let list = format!("{}/{length}", Ipv4Addr::from_bits(address));
            let near = Ipv4Addr::from_bits(address ^ 1 << flip).to_string();
            prop_assert_eq!(no_proxy_covers(&list, &near, port), 32 - length > flip, "{} {}", list, near);
        }
    }
}
