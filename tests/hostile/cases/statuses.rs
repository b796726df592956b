//! Statuses, redirects, and portals that ask a user to sign in.

use super::*;

pub(super) fn statuses() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let half = &good[..length / 2];
    let mut all = Vec::new();

    for status in ["100 Continue", "102 Processing", "103 Early Hints"] {
        let interim = format!("HTTP/1.1 {status}\r\n\r\n").into_bytes();
        all.push(answer(format!("one {status}"), TAKEN, [interim, ok(&good)].concat()));
    }
    all.extend([
        last("100 with a header", BROKEN, {
            [b"HTTP/1.1 100 Continue\r\na: b\r\n\r\n", &ok(&good)[..]].concat()
        }),
        last("101", UNUSABLE, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nxyz"),
        answer("204", UNUSABLE, "HTTP/1.1 204 No Content\r\n\r\n"),
        answer("204 with a body", UNUSABLE, http("204 No Content", "", &good)),
        answer("205", UNUSABLE, http("205 Reset Content", "", "")),
        answer("206 with a part", UNUSABLE, {
            http("206 Partial Content", "Content-Range: bytes 0-9/999\r\n", half)
        }),
        answer("304", UNUSABLE, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        answer("304 with a body", UNUSABLE, http("304 Not Modified", "", &good)),
        last("503 forever", UNAVAILABLE, {
            http("503 Busy", "Connection: close\r\n", "<html>busy</html>")
        }),
        answer("503 and come back at a time beyond counting", HEALTHY, {
            http("503 Busy", "Retry-After: 99999999999999999999999\r\n", "")
        }),
        answer("511 and come back in three years", UNUSABLE, {
            http("511 Sign In", "Retry-After: 99999999\r\n", PORTAL)
        }),
        answer("511", UNUSABLE, http("511 Sign In", "", "<html>")),
        answer("407", UNUSABLE, http("407 Proxy", "Proxy-Authenticate: Basic\r\n", "<html>")),
        answer("404", UNUSABLE, http("404 Not Found", "", "not found")),
    ]);
    all
}

pub(super) fn redirects(elsewhere: SocketAddr) -> Vec<Case> {
    let mut all = Vec::new();

    for status in [300, 301, 302, 303, 307, 308] {
        let location = format!("Location: http://{elsewhere}/\r\n");
        let bytes = http(&format!("{status} There"), &location, "");
        all.push(answer(format!("{status} to another host"), UNUSABLE, bytes));
    }
    all.extend([
        answer("302 to itself", UNUSABLE, http("302 Found", "Location: /\r\n", "")),
        answer("302 to nowhere", UNUSABLE, http("302 Found", "", "")),
        answer("302 to two places", UNUSABLE, {
            let locations = format!("Location: /\r\nLocation: http://{elsewhere}/\r\n");
            http("302 Found", &locations, PORTAL)
        }),
        answer("302 to no URL", UNUSABLE, http("302 Found", "Location: ::\u{e4}\r\n", PORTAL)),
        silent_after(
            "302 in half a head",
            format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\n"),
        ),
        case(
            "a portal with 200 at the first call",
            Wire::Plain,
            Calls::Two,
            UNUSABLE,
            [Request, say(ok(PORTAL)), Serve],
        ),
        answer("a portal with 200", UNUSABLE, ok(PORTAL)),
        answer("a portal with 200 in chunks", UNUSABLE, {
            chunked(format!("{:x}\r\n{PORTAL}\r\n0\r\n\r\n", PORTAL.len()))
        }),
        last("a portal over HTTP/1.0", UNUSABLE, format!("HTTP/1.0 200 OK\r\n\r\n{PORTAL}")),
        answer("a portal with 403", UNUSABLE, http("403 Forbidden", "", PORTAL)),
        answer("a portal with 200 KiB", UNUSABLE, ok(PORTAL.repeat(2700))),
    ]);
    all
}
