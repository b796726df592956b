//! Decides which requests go through a proxy, and through which one.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use crate::loopback;

/// In this order: the first that is set counts. The names in lower case win, as in curl.
const PROXY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The proxy, and what is reached without.
#[derive(Default)]
pub(super) struct Route {
    proxy: Option<Proxy>,
    /// The environment's is not: it is not for the emulators that plain `http` is for.
    proxy_is_for_http: bool,
    exceptions: String,
}

impl Route {
    /// Through a proxy, whatever the scheme.
    pub(super) fn through(url: &str) -> Result<Self, String> {
        let proxy = parse(url).map_err(|fault| format!("proxy: {fault}"))?;
        Ok(Self { proxy: Some(proxy), proxy_is_for_http: true, exceptions: String::new() })
    }

    /// Takes from the environment what is not set yet.
    pub(super) fn or_from_variables(
        mut self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut first = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| {
                lookup(name).filter(|value| !value.is_empty()).map(|value| (*name, value))
            });
            let (name, value) = found?;
            let text = value.into_string();
            let text = text.map_err(|_| faults.push(format!("{name}: is not UTF-8"))).ok()?;
            Some((name, text))
        };
        if let Some((_, list)) = first(&EXCEPTIONS) {
            self.exceptions = list;
        }
        let found = if self.proxy.is_none() { first(&PROXY) } else { None };
        if let Some((name, url)) = found {
            match parse(&url) {
                Ok(proxy) => self.proxy = Some(proxy),
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    /// The proxy for a request, if it goes through one. What stays on this machine never does: for
    /// the proxy, loopback is another machine.
    pub(super) fn proxy_for(&self, url: &Uri) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let https = url.scheme_str() == Some("https");
        let host = bare(url.host()?);
        let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
        let direct = !(https || self.proxy_is_for_http)
            || loopback::is_loopback(host)
            || covers(&self.exceptions, host, port);
        (!direct).then_some(proxy)
    }
}

/// A proxy as it may be shown: without user name and password.
pub(super) struct Name<'a>(pub(super) &'a Proxy);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.uri().scheme_str().unwrap_or("http");
        write!(f, "{scheme}://{}:{}", self.0.host(), self.0.port())
    }
}

/// The fault never repeats the URL: it may hold a password.
fn parse(url: &str) -> Result<Proxy, String> {
    const FORM: &str = "it must have the form http://user:password@host:port";
    if !url.bytes().all(|b| b.is_ascii_graphic()) || url.contains('\\') {
        return Err(format!("has a space or a character that no URL has; {FORM}"));
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {}
        "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => {
            return Err(format!("is a SOCKS proxy ({scheme}), which is not supported; {FORM}"));
        }
        _ => return Err(format!("has a scheme other than http and https; {FORM}")),
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(format!(
            "has something after the host, or a character in the user name or password that must be percent-encoded; {FORM}"
        ));
    }
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    loopback::host(server).map_err(|fault| format!("{fault}; {FORM}"))?;
    Proxy::new(&format!("{scheme}://{authority}")).map_err(|_| {
        format!("has a character in the user name or password that must be percent-encoded; {FORM}")
    })
}

/// Whether a list as in `NO_PROXY` says that this host and port are reached without a proxy.
///
/// An entry that cannot be understood covers nothing: the proxy will tell, whereas a connection
/// past it would go unnoticed.
pub(crate) fn covers(list: &str, host: &str, port: u16) -> bool {
    let host = bare(host);
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

/// A host without the brackets of an IPv6 address and without the dot of a full name.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or_else(|| host.trim_end_matches('.'))
}

/// The host of an entry, if the entry is for this port or for all.
fn without_port(entry: &str, port: u16) -> Option<&str> {
    let (host, limit) = match entry.rsplit_once(':') {
        Some((host, limit)) if !host.contains(':') || host.ends_with(']') => (host, Some(limit)),
        _ => (entry, None),
    };
    let of_this_port = limit
        .is_none_or(|limit| limit.bytes().all(|b| b.is_ascii_digit()) && limit.parse() == Ok(port));
    of_this_port.then_some(host)
}

/// Whether an entry is this address, or a network (`10.0.0.0/8`) that has it.
fn is_in(entry: &str, address: IpAddr) -> bool {
    let Some((network, length)) = entry.split_once('/') else {
        return bare(entry).parse() == Ok(address);
    };
    let Ok(length) = length.parse::<u32>() else { return false };
    match (bare(network).parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) if length <= 32 => {
            (network.to_bits() ^ address.to_bits()).checked_shr(32 - length).unwrap_or(0) == 0
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) if length <= 128 => {
            (network.to_bits() ^ address.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Whether an entry is this name, or a domain above it. `example.com`, `.example.com` and
/// `*.example.com` say the same.
fn is_domain_of(entry: &str, host: &str) -> bool {
    let domain = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
    let domain = bare(domain.strip_prefix('.').unwrap_or(domain)).as_bytes();
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
    fn the_list_of_exceptions_row_by_row() {
        let rows = [
            // list, host, port, covered
            ("", "example.com", 443, false),
            (" , ,, ", "example.com", 443, false),
            ("*", "example.com", 443, true),
            ("*", "10.0.0.1", 443, true),
            ("a, *", "example.com", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "a.example.com", 443, true),
            ("example.com", "a.b.example.com", 443, true),
            (".example.com", "example.com", 443, true),
            (".example.com", "a.example.com", 443, true),
            ("*.example.com", "example.com", 443, true),
            ("*.example.com", "a.example.com", 443, true),
            ("*example.com", "example.com", 443, false),
            ("*example.com", "badexample.com", 443, false),
            ("a.*", "a.example.com", 443, false),
            ("..example.com", "a.example.com", 443, false),
            ("EXAMPLE.com", "a.Example.COM", 443, true),
            ("example.com.", "example.com", 443, true),
            (".example.com.", "a.example.com", 443, true),
            ("example.com", "example.com.", 443, true),
            (".", "example.com", 443, false),
            (".", "example.com.", 443, false),
            ("..", "a.", 443, false),
            ("ample.com", "example.com", 443, false),
            ("-example.com", "a-example.com", 443, false),
            ("example.com", "example.com.evil", 443, false),
            ("example.com", "example.co", 443, false),
            ("a.example.com", "example.com", 443, false),
            ("http://example.com", "example.com", 443, false),
            ("a,example.com", "example.com", 443, true),
            ("a, example.com", "example.com", 443, true),
            ("a example.com", "example.com", 443, true),
            ("\ta ,\r\n example.com ,", "example.com", 443, true),
            ("a;example.com", "example.com", 443, false),
            ("example.com:443", "example.com", 443, true),
            ("example.com:443", "a.example.com", 443, true),
            (".example.com:443", "a.example.com", 443, true),
            ("example.com:8443", "example.com", 443, false),
            ("example.com:8443,example.com:443", "example.com", 443, true),
            ("example.com:", "example.com", 443, false),
            ("example.com:+443", "example.com", 443, false),
            ("example.com:99999", "example.com", 443, false),
            ("example.com:443:443", "example.com", 443, false),
            (":443", "example.com", 443, false),
            ("*:443", "example.com", 443, false),
            ("10.0.0.1", "10.0.0.1", 443, true),
            ("10.0.0.1:443", "10.0.0.1", 443, true),
            ("10.0.0.1:80", "10.0.0.1", 443, false),
            ("10.0.0.1", "10.0.0.10", 443, false),
            ("10.0.0.1", "110.0.0.1", 443, false),
            ("0.0.1", "10.0.0.1", 443, false),
            (".0.0.1", "10.0.0.1", 443, false),
            ("10.0.0.01", "10.0.0.1", 443, false),
            ("10.1", "10.0.0.1", 443, false),
            ("10.0.0.0/8", "10.255.0.1", 443, true),
            ("10.0.0.0/8", "11.0.0.1", 443, false),
            ("10.9.9.9/8", "10.0.0.1", 443, true),
            ("10.0.0.0/8:443", "10.0.0.1", 443, true),
            ("10.0.0.0/8:80", "10.0.0.1", 443, false),
            ("192.168.1.0/31", "192.168.1.1", 443, true),
            ("192.168.1.0/31", "192.168.1.2", 443, false),
            ("192.168.1.1/32", "192.168.1.1", 443, true),
            ("192.168.1.1/32", "192.168.1.2", 443, false),
            ("0.0.0.0/0", "10.0.0.1", 443, true),
            ("0.0.0.0/0", "::1", 443, false),
            ("0.0.0.0/0", "example.com", 443, false),
            ("10.0.0.0/33", "10.0.0.0", 443, false),
            ("10.0.0.0/-1", "10.0.0.0", 443, false),
            ("10.0.0.0/", "10.0.0.0", 443, false),
            ("10.0.0.0/99999999999", "10.0.0.0", 443, false),
            ("example.com/8", "example.com", 443, false),
            ("2001:db8::1", "[2001:db8::1]", 443, true),
            ("[2001:db8::1]", "2001:db8::1", 443, true),
            ("[2001:db8::1]:443", "[2001:db8::1]", 443, true),
            ("[2001:db8::1]:80", "[2001:db8::1]", 443, false),
            ("2001:DB8:0::1", "2001:db8::1", 443, true),
            ("2001:db8::/32", "[2001:db8:ffff::1]", 443, true),
            ("[2001:db8::]/32", "[2001:db8:ffff::1]", 443, true),
            ("2001:db8::/32", "2001:db9::1", 443, false),
            ("::/0", "2001:db9::1", 443, true),
            ("::/0", "10.0.0.1", 443, false),
            ("2001:db8::/129", "2001:db8::", 443, false),
            ("[2001:db8::1", "2001:db8::1", 443, false),
            ("ex\u{e4}mple.com", "example.com", 443, false),
            ("\u{e9}", "a", 443, false),
        ];
        for (list, host, port, expected) in rows {
            assert_eq!(covers(list, host, port), expected, "{list:?} {host} {port}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_list_and_host_get_an_answer(list in ".{0,40}", host in ".{0,20}", port: u16) {
            covers(&list, &host, port);
        }

        #[test]
        fn a_name_is_covered_by_itself_and_what_is_above_it(
            name in "[a-z]{1,8}(\\.[a-z]{1,8}){1,3}",
            other in "[a-z0-9.:,/ \\[\\]-]{0,30}",
            port: u16,
        ) {
            let above = name.split_once('.').unwrap().1;
            for entry in [&name, above] {
                for list in [format!("{other},{entry}"), format!(" .{entry}:{port} {other}")] {
                    prop_assert!(covers(&list, &name, port), "{list}");
                }
            }
            let longer = format!("x{name}");
            prop_assert!(!covers(&name, &longer, port));
            prop_assert!(!covers(&longer, &name, port));
        }

        #[test]
        fn a_network_has_the_addresses_that_share_its_first_bits(
            address: u128, flip in 0_u32..128, length in 0_u32..=128, port: u16,
        ) {
            use std::net::{Ipv4Addr, Ipv6Addr};
            let six = |bits: u128| Ipv6Addr::from_bits(bits);
            let list = format!("{}/{length}", six(address));
            let near = six(address ^ 1 << flip).to_string();
            prop_assert_eq!(covers(&list, &near, port), 128 - length > flip, "{} {}", list, near);
            let (address, flip, length) = (u32::try_from(address >> 96).unwrap(), flip % 32, length % 33);
            let list = format!("{}/{length}", Ipv4Addr::from_bits(address));
            let near = Ipv4Addr::from_bits(address ^ 1 << flip).to_string();
            prop_assert_eq!(covers(&list, &near, port), 32 - length > flip, "{} {}", list, near);
        }
    }

    #[test]
    fn a_proxy_has_a_form_and_a_name_without_its_password() {
        let rows = [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example:3128/", "http://proxy.example:3128"),
            ("HTTP://proxy.example", "http://proxy.example:80"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("ann:hunter2@proxy.example:3128", "http://proxy.example:3128"),
            ("https://proxy.example", "https://proxy.example:443"),
            ("http://ann:hunter2@proxy.example:3128", "http://proxy.example:3128"),
            ("http://ann:hunter%402%23@10.0.0.1:3128", "http://10.0.0.1:3128"),
            ("http://ann:hunter@2@10.0.0.1:3128", "http://10.0.0.1:3128"),
            ("http://ann:%hunter2%@10.0.0.1:3128", "http://10.0.0.1:3128"),
            ("http://ann@[::1]:3128", "http://[::1]:3128"),
            ("http://my_proxy:1", "http://my_proxy:1"),
        ];
        for (url, name) in rows {
            assert_eq!(Name(&parse(url).expect(url)).to_string(), name);
        }
        let proxy = parse("http://ann:hunter%402%23:%25@h:1").unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("ann"), Some("hunter@2#:%")));
    }

    #[test]
    fn what_is_no_proxy_is_told_without_its_password() {
        let rows = [
            ("", "no valid host name"),
            ("http://", "no valid host name"),
            ("http:///", "no valid host name"),
            ("http://ann:hunter2@", "no valid host name"),
            ("http://ann:hunter2@:3128", "no valid host name"),
            ("http://ann:hunter2@h:0", "port"),
            ("http://ann:hunter2@h:65536", "port"),
            ("http://ann:hunter2@h:", "port"),
            ("http://ann:hunter2@h:31/28", "percent-encoded"),
            ("http://ann:hunter2/3@h:3128", "percent-encoded"),
            ("http://ann:3/hunter2@h:3128", "percent-encoded"),
            ("http://ann:hunter2?3@h:3128", "percent-encoded"),
            ("http://ann:hunter2#3@h:3128", "percent-encoded"),
            ("http://ann:hunter2%ff@h:3128", "percent-encoded"),
            ("http://ann:hunter2<>@h:3128", "percent-encoded"),
            ("http://ann:hunter2@h:3128//", "percent-encoded"),
            ("http://ann:hunter2@h h:3128", "space"),
            (" http://ann:hunter2@h:3128", "space"),
            ("http://ann:hunter2@h\r\n:3128", "space"),
            ("http://ann:hunter2\u{e9}@h:3128", "no URL has"),
            ("http://ann:hunter2@h\\x:3128", "no URL has"),
            ("http://ann:hunter2@[::1:3128", "bracket"),
            ("http://ann:hunter2@[x]:3128", "IPv6"),
            ("http://ann:hunter2@a..b:3128", "no valid host name"),
            ("socks4://ann:hunter2@h:1080", "SOCKS proxy (socks4)"),
            ("socks4a://ann:hunter2@h:1080", "SOCKS proxy (socks4a)"),
            ("SOCKS5://ann:hunter2@h:1080", "SOCKS proxy (socks5)"),
            ("socks5h://ann:hunter2@h:1080", "SOCKS proxy (socks5h)"),
            ("socks://ann:hunter2@h:1080", "SOCKS proxy (socks)"),
            ("ftp://ann:hunter2@h:21", "scheme"),
            ("hunter2://h", "scheme"),
        ];
        for (url, expected) in rows {
            let fault = parse(url).expect_err(url);
            assert!(fault.contains(expected), "{url}: {fault}");
            assert!(fault.contains("http://user:password@host:port"), "{url}: {fault}");
            assert!(!fault.contains("hunter2") && !fault.contains("ann"), "{url}: {fault}");
        }
    }

    type Variables = &'static [(&'static str, &'static str)];

    fn from(set: Route, variables: Variables) -> Result<Route, Vec<String>> {
        set.or_from_variables(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_environment_row_by_row() {
        let https = "https://cognito.example/";
        let http = "http://emulator:5000/";
        let rows: [(Variables, &str, Option<&str>); 20] = [
            (&[], https, None),
            (&[("HTTPS_PROXY", "a:1")], https, Some("http://a:1")),
            (&[("https_proxy", "a:1")], https, Some("http://a:1")),
            (&[("HTTPS_PROXY", "b:1"), ("https_proxy", "a:1")], https, Some("http://a:1")),
            (&[("HTTPS_PROXY", "a:1"), ("all_proxy", "b:1")], https, Some("http://a:1")),
            (&[("ALL_PROXY", "a:1")], https, Some("http://a:1")),
            (&[("ALL_PROXY", "b:1"), ("all_proxy", "a:1")], https, Some("http://a:1")),
            (&[("https_proxy", ""), ("ALL_PROXY", "a:1")], https, Some("http://a:1")),
            (&[("https_proxy", "")], https, None),
            (&[("http_proxy", "a:1")], https, None),
            (&[("http_proxy", "a:1"), ("HTTP_PROXY", "a:1")], http, None),
            (&[("HTTPS_PROXY", "a:1")], http, None),
            (&[("all_proxy", "a:1")], http, None),
            (&[("http_proxy", "socks5://a"), ("HTTP_PROXY", "x:y")], https, None),
            (&[("https_proxy", "a:1"), ("ALL_PROXY", "socks5://a")], https, Some("http://a:1")),
            (&[("https_proxy", "a:1"), ("NO_PROXY", "cognito.example")], https, None),
            (&[("https_proxy", "a:1"), ("no_proxy", "x, .example:443")], https, None),
            (
                &[("https_proxy", "a:1"), ("no_proxy", "x"), ("NO_PROXY", "*")],
                https,
                Some("http://a:1"),
            ),
            (&[("https_proxy", "a:1"), ("no_proxy", ""), ("NO_PROXY", "*")], https, None),
            (
                &[("all_proxy", "a:1"), ("no_proxy", "cognito.example:80")],
                https,
                Some("http://a:1"),
            ),
        ];
        for (variables, url, expected) in rows {
            let route = from(Route::default(), variables).unwrap();
            let name = route.proxy_for(&url.parse().unwrap()).map(|proxy| Name(proxy).to_string());
            assert_eq!(name.as_deref(), expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn a_malformed_variable_is_told_by_name_and_not_passed_over() {
        let rows: [(Variables, &str); 5] = [
            (&[("https_proxy", "socks5://ann:hunter2@h:1")], "https_proxy: is a SOCKS proxy"),
            (&[("all_proxy", "socks5://ann:hunter2@h:1")], "all_proxy: is a SOCKS proxy"),
            (
                &[
                    ("https_proxy", "socks5://ann:hunter2@h:1"),
                    ("HTTPS_PROXY", "good:1"),
                    ("ALL_PROXY", "good:1"),
                ],
                "https_proxy: is a SOCKS proxy",
            ),
            (&[("HTTPS_PROXY", "http://ann:hunter2@")], "HTTPS_PROXY: has no valid host"),
            (&[("ALL_PROXY", "ftp://hunter2@h")], "ALL_PROXY: has a scheme"),
        ];
        for (variables, expected) in rows {
            let faults = from(Route::default(), variables).err().expect("a fault");
            let [fault] = &faults[..] else { panic!("{faults:?}") };
            assert!(fault.starts_with(expected), "{fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_told_too() {
        use std::os::unix::ffi::OsStringExt;

        let bad = |set: Route| set.or_from_variables(|_| Some(OsString::from_vec(vec![0xff])));
        let faults = bad(Route::default()).err().unwrap();
        assert_eq!(faults, ["no_proxy: is not UTF-8", "https_proxy: is not UTF-8"]);
        assert!(bad(Route::through("a:1").unwrap()).is_err());
    }

    #[test]
    fn the_programs_own_proxy_wins_over_the_environments_but_not_over_the_exceptions() {
        let route = from(
            Route::through("own:1").unwrap(),
            &[("https_proxy", "socks5://h"), ("all_proxy", "b:1"), ("no_proxy", "example.com")],
        )
        .unwrap();
        let name =
            |url: &str| route.proxy_for(&url.parse().unwrap()).map(|proxy| Name(proxy).to_string());
        assert_eq!(name("https://cognito.example/").as_deref(), Some("http://own:1"));
        assert_eq!(name("http://emulator:5000/").as_deref(), Some("http://own:1"));
        assert_eq!(name("https://a.example.com/"), None);
    }

    #[test]
    fn what_stays_on_this_machine_never_goes_through_a_proxy() {
        let route = Route::through("a:1").unwrap();
        for (url, through) in [
            ("http://localhost:5000/", false),
            ("https://LOCALHOST/", false),
            ("https://localhost./", false),
            ("http://127.0.0.1/", false),
            ("https://127.9.9.9:8443/", false),
            ("http://[::1]:5000/x/", false),
            ("https://[::2]/", true),
            ("https://localhost.example/", true),
            ("https://127.0.0.1.example/", true),
            ("https://128.0.0.1/", true),
        ] {
            assert_eq!(route.proxy_for(&url.parse().unwrap()).is_some(), through, "{url}");
        }
    }
}
