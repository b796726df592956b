//! Lists of `NO_PROXY`. The first line is the host, the second the port, the rest the list.

#![no_main]

use cognito_identity_credentials::internals::parsers::no_proxy_covers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let host = lines.next().unwrap_or_default();
    let port = lines.next().and_then(|port| port.parse().ok()).unwrap_or(443);
    let list = lines.next().unwrap_or_default();
    let covered = no_proxy_covers(list, host, port);

    let entries: Vec<&str> =
        list.split(|c: char| c == ',' || c.is_whitespace()).filter(|e| !e.is_empty()).collect();
    let by_one = |entry: &str| no_proxy_covers(entry, host, port);
    assert_eq!(covered, entries.iter().any(|entry| by_one(entry)), "list and entries differ");
    assert_eq!(
        covered,
        no_proxy_covers(&entries.join(" , "), host, port),
        "another separator changes the result"
    );
    assert!(no_proxy_covers(&format!("{list},*"), host, port), "`*` covers everything");
    // For a valid name: only the name itself and its parent domains cover it.
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.split('.').all(label) && host.parse::<std::net::IpAddr>().is_err() {
        let last = host.rsplit('.').next().unwrap_or_default().to_lowercase();
        let named = |entry: &str| entry == "*" || entry.to_lowercase().contains(&last);
        let mut covering = entries.iter().filter(|entry| by_one(entry));
        assert!(covering.all(|entry| named(entry)), "{entries:?}");
        assert!(no_proxy_covers(host, host, port));
        assert!(no_proxy_covers(&format!("{host}:{port}"), host, port));
        assert!(!no_proxy_covers(&format!("{host}:{}", port ^ 1), host, port), "another port");
        assert!(no_proxy_covers(host, &format!("a.{host}"), port));
        assert!(
            !no_proxy_covers(host, &format!("a{host}"), port),
            "another name with the same end"
        );
        assert!(!no_proxy_covers(&format!("a.{host}"), host, port), "the domain above");
    }
});
