//! Header lines, status lines, and other protocols.

use super::*;

pub(super) fn heads() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let one_chunk = one_chunk();
    let mut all = Vec::new();

    for (name, outcome, header) in [
        ("NUL in a header", BROKEN, &b"a: x\0y\r\n"[..]),
        ("NUL in a header's name", BROKEN, b"a\0: xy\r\n"),
        ("a control character in a header", BROKEN, b"a: \x01\r\n"),
        ("a header without a colon", BROKEN, b"nothing\r\n"),
        ("a header without a name", BROKEN, b": x\r\n"),
        ("a space before the colon", BROKEN, b"a : x\r\n"),
        ("a header that begins with a space", BROKEN, b" a: x\r\n"),
        ("a folded header", BROKEN, b"a: x\r\n y\r\n"),
        ("a header with a bare line feed", TAKEN, b"a: x\n"),
        ("a header with a bare carriage return", BROKEN, b"a: x\ry\r\n"),
        ("a header that is not ASCII", TAKEN, b"a: \xe4\xff\r\n"),
        ("a header's name that is not ASCII", BROKEN, b"\xe4: x\r\n"),
        ("the same date again", TAKEN, DATE.as_bytes()),
        // Then the expiry is measured on the local clock, and the credentials have expired.
        ("two other dates", UNUSABLE, b"Date: never\r\nDate: \xff\r\n"),
        ("gzip that nobody asked for", TAKEN, b"Content-Encoding: gzip\r\n"),
        ("another type", TAKEN, b"Content-Type: text/html; charset=utf-16\r\n"),
        ("an upgrade", TAKEN, b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
    ] {
        let head = ["HTTP/1.1 200 OK\r\n", DATE].concat();
        let end = format!("Content-Length: {length}\r\n\r\n{good}");
        let bytes = [head.as_bytes(), header, end.as_bytes()].concat();
        let row = if outcome == BROKEN { last } else { answer };
        all.push(row(name, outcome, bytes));
    }
    for (line, outcome) in [
        ("HTTP/1.1 200", TAKEN),
        ("HTTP/1.1 200 ", TAKEN),
        ("HTTP/1.0 200 OK", TAKEN),
        ("\r\n\r\nHTTP/1.1 200 OK", TAKEN),
        ("HTTP/1.1 299 Fine", TAKEN),
        ("HTTP/0.9 200 OK", BROKEN),
        ("HTTP/1.2 200 OK", BROKEN),
        ("HTTP/2 200", BROKEN),
        ("HTTP/3.0 200 OK", BROKEN),
        ("http/1.1 200 OK", BROKEN),
        ("HTTP/1.1 99 Low", BROKEN),
        ("HTTP/1.1 099 Low", BROKEN),
        ("HTTP/1.1 0 Zero", BROKEN),
        ("HTTP/1.1 000 Zero", BROKEN),
        ("HTTP/1.1 1000 High", BROKEN),
        ("HTTP/1.1 -200 OK", BROKEN),
        ("HTTP/1.1 2xx OK", BROKEN),
        ("HTTP/1.1  OK", BROKEN),
        ("HTTP/1.1 200 O\0K", BROKEN),
        ("HTTP/1.1 200 \u{e4}", TAKEN),
        ("HTTP/1.1 999 High", UNUSABLE),
        ("HTTP/1.1 600 High", UNUSABLE),
        ("ICY 200 OK", BROKEN),
        ("POST / HTTP/1.1", BROKEN),
    ] {
        let bytes = format!("{line}\r\n{DATE}Content-Length: {length}\r\n\r\n{good}");
        all.push(last(format!("status line {line:?}"), outcome, bytes));
    }
    all.extend([
        last("HTTP/1.0 without a length", TAKEN, format!("HTTP/1.0 200 OK\r\n{DATE}\r\n{good}")),
        answer("HTTP/1.0 that stays", TAKEN, {
            format!("HTTP/1.0 200 OK\r\n{DATE}Connection: keep-alive\r\nContent-Length: {length}\r\n\r\n{good}")
        }),
        answer("a date beyond the expiration", UNUSABLE, {
            format!("HTTP/1.1 200 OK\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: {length}\r\n\r\n{good}")
        }),
        last("HTTP/1.0 with chunks", UNUSABLE, {
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{one_chunk}")
        }),
        last("HTTP/0.9", BROKEN, good.clone()),
        last("the preface of HTTP/2", BROKEN, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        last("a frame of HTTP/2", BROKEN, [0, 0, 0, 4, 0, 0, 0, 0, 0]),
        last("the banner of SSH", BROKEN, "SSH-2.0-OpenSSH_9.2\r\n"),
        plain("the banner of SMTP", BROKEN, [say("220 mail ESMTP\r\n"), Request]),
        last("an alert of TLS", BROKEN, record(ALERT, TLS12, 2, &[2, 40])),
        last("NULs", BROKEN, [0; 4096]),
        last("100 bytes of noise", BROKEN, noise(100, 1)),
        last("10 KB of noise", BROKEN, noise(10_000, 2)),
        plain("the answer before the request", TAKEN, [say(ok(&good)), Request, Serve]),
    ]);
    all
}
