//! Decides which requests go through a proxy, and through which one.

use std::ffi::OsString;
use std::fmt;

use ureq::Proxy;
use ureq::http::Uri;

use super::no_proxy::{no_proxy_covers, normalized_host};
use crate::error::ConfigFaults;
use crate::loopback;

/// The first variable that is not empty is used. Lower case comes first, as in curl.
const PROXY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

#[derive(Default)]
pub(super) struct Route {
    proxy: Option<Proxy>,
    /// Whether plain `http` uses the proxy too. `false` for a proxy of the environment, because
    /// plain `http` is only for emulators.
    proxy_is_for_http: bool,
    exceptions: String,
}

impl Route {
    /// Returns a route that uses this proxy for `https` and for plain `http`.
    pub(super) fn through(url: &str) -> Result<Self, String> {
        Ok(Self { proxy: Some(parse(url)?), proxy_is_for_http: true, ..Self::default() })
    }

    /// Adds the proxy of the environment, if none is set, and the list of exceptions.
    pub(super) fn add_variables(
        &mut self,
        lookup: impl Fn(&str) -> Option<OsString>,
        faults: &mut ConfigFaults,
    ) {
        let mut first = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| {
                lookup(name).filter(|value| !value.is_empty()).map(|value| (*name, value))
            });
            let (name, value) = found?;
            let text = value.into_string();
            let text = text.map_err(|_| faults.add(name, "is not UTF-8")).ok()?;
            Some((name, text))
        };
        if let Some((_, list)) = first(&EXCEPTIONS) {
            self.exceptions = list;
        }
        let found = if self.proxy.is_none() { first(&PROXY) } else { None };
        if let Some((name, url)) = found {
            self.proxy = faults.check_text(name, parse(&url));
        }
    }

    /// Returns the proxy for a request, or `None` for a direct connection. Loopback is always
    /// direct, because the proxy would connect to its own machine.
    pub(super) fn proxy_for(&self, url: &Uri) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let https = url.scheme_str() == Some("https");
        let host = normalized_host(url.host()?);
        let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
        let direct = !(https || self.proxy_is_for_http)
            || loopback::is_loopback(host)
            || no_proxy_covers(&self.exceptions, host, port);
        (!direct).then_some(proxy)
    }
}

/// Shows a proxy without its user name and password.
pub(super) struct ProxyName<'a>(pub(super) &'a Proxy);

impl fmt::Display for ProxyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.uri().scheme_str().unwrap_or("http");
        write!(f, "{scheme}://{}:{}", self.0.host(), self.0.port())
    }
}

/// The error never repeats the URL, because the URL may hold a password.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_parsed_and_shown_without_its_password() {
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
            assert_eq!(ProxyName(&parse(url).expect(url)).to_string(), name);
        }
        let proxy = parse("http://ann:hunter%402%23:%25@h:1").unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("ann"), Some("hunter@2#:%")));
    }

    #[test]
    fn a_malformed_proxy_is_an_error_without_its_password() {
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

    fn with_variables(
        mut route: Route,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Route, Vec<String>> {
        let mut faults = ConfigFaults::default();
        route.add_variables(lookup, &mut faults);
        if faults.is_empty() {
            return Ok(route);
        }
        Err(crate::Error::from(faults).config_faults().iter().map(ToString::to_string).collect())
    }

    fn from(route: Route, variables: Variables) -> Result<Route, Vec<String>> {
        with_variables(route, |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_environment_decides_the_proxy_of_a_request() {
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
            let name =
                route.proxy_for(&url.parse().unwrap()).map(|proxy| ProxyName(proxy).to_string());
            assert_eq!(name.as_deref(), expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn a_malformed_variable_is_an_error_and_not_skipped() {
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
    fn a_variable_that_is_not_utf_8_is_an_error_too() {
        use std::os::unix::ffi::OsStringExt;

        let bad = |route| with_variables(route, |_| Some(OsString::from_vec(vec![0xff])));
        let faults = bad(Route::default()).err().unwrap();
        assert_eq!(faults, ["no_proxy: is not UTF-8", "https_proxy: is not UTF-8"]);
        assert!(bad(Route::through("a:1").unwrap()).is_err());
    }

    #[test]
    fn the_setting_wins_over_the_proxy_of_the_environment_but_not_over_no_proxy() {
        let route = from(
            Route::through("own:1").unwrap(),
            &[("https_proxy", "socks5://h"), ("all_proxy", "b:1"), ("no_proxy", "example.com")],
        )
        .unwrap();
        let name = |url: &str| {
            route.proxy_for(&url.parse().unwrap()).map(|proxy| ProxyName(proxy).to_string())
        };
        assert_eq!(name("https://cognito.example/").as_deref(), Some("http://own:1"));
        assert_eq!(name("http://emulator:5000/").as_deref(), Some("http://own:1"));
        assert_eq!(name("https://a.example.com/"), None);
    }

    #[test]
    fn loopback_never_goes_through_a_proxy() {
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
