//! Answers that are much too large.

use super::*;

pub(super) fn floods() -> Vec<Case> {
    let good = issued("HOSTILE");
    let flood = |name: &str, outcome, head: Vec<u8>, block: Vec<u8>, times| {
        plain(name, outcome, [Request, say(head), Repeat(block, times)])
    };
    let chunk = [b"10000\r\n", &block()[..], b"\r\n"].concat();
    vec![
        flood(
            "a body of 100 MB",
            UNUSABLE,
            raw("Content-Length: 104857600\r\n", ""),
            block(),
            1600,
        ),
        flood("a body of 100 MB without a length", UNUSABLE, raw("", ""), block(), 1600),
        flood("a body of 100 MB in chunks", UNUSABLE, chunked(""), chunk.clone(), 1600),
        flood(
            "a body of 20 MB in chunks of one byte",
            UNUSABLE,
            chunked(""),
            "1\r\n \r\n".repeat(9999).into(),
            350,
        ),
        flood(
            "an error with a body of 100 MB",
            UNUSABLE,
            format!("HTTP/1.1 500 Oops\r\n{DATE}Connection: close\r\n\r\n").into(),
            block(),
            1600,
        ),
        flood(
            "10,000 headers",
            BROKEN,
            "HTTP/1.1 200 OK\r\n".into(),
            "name: value\r\n".repeat(100).into(),
            100,
        ),
        last("200 headers", BROKEN, http("200 OK", &"a: b\r\n".repeat(200), &good)),
        answer("100 headers", TAKEN, http("200 OK", &"a: b\r\n".repeat(100), &good)),
        answer("15 KiB of headers", TAKEN, {
            http("200 OK", &format!("a: {}\r\n", "x".repeat(15 * 1024)), &good)
        }),
        last("a header of 20 KiB", UNUSABLE, {
            http("200 OK", &format!("a: {}\r\n", "x".repeat(20 * 1024)), &good)
        }),
        flood("a header of 1 MB", UNUSABLE, "HTTP/1.1 200 OK\r\na: ".into(), block(), 16),
        flood("a header's name of 1 MB", UNUSABLE, "HTTP/1.1 200 OK\r\n".into(), block(), 16),
        flood("a status line of 1 MB", UNUSABLE, "HTTP/1.1 200 ".into(), block(), 16),
        flood("1 MB of empty lines", UNUSABLE, Vec::new(), vec![b'\n'; 65536], 16),
        plain(
            "100,000 times 100 and then the answer",
            UNUSABLE,
            [
                Request,
                Repeat("HTTP/1.1 100 Continue\r\n\r\n".repeat(2000).into(), 50),
                say(ok(&good)),
            ],
        ),
        plain(
            "100,000 times 103 and then the answer",
            UNUSABLE,
            [
                Request,
                Repeat("HTTP/1.1 103 E\r\nLink: </x>\r\n\r\n".repeat(2000).into(), 50),
                say(ok(&good)),
            ],
        ),
        answer("300 times 100 and then the answer", TAKEN, {
            [&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(300), &ok(&good)[..]].concat()
        }),
    ]
}
