//! The peer falls silent, is slow, or closes the connection too early.

use super::*;

pub(super) fn silent() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let half = &good[..length / 2];
    let size = format!("{length:x}");
    vec![
        plain("silent from the start", TIMEOUT, [Hold]),
        plain("silent after the request", TIMEOUT, [Request, Hold]),
        silent_after("silent in the status line", "HTTP/1.1 2"),
        silent_after("silent in a header", "HTTP/1.1 200 OK\r\nDa"),
        silent_after(
            "silent before the end of the head",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        ),
        silent_after("silent after the head", raw("Content-Length: 9\r\n", "")),
        silent_after("silent in the body", raw("Content-Length: 9999\r\n", half)),
        silent_after("silent in a chunk's size", chunked("f")),
        silent_after("silent in a chunk", chunked("ff\r\nhalf")),
        silent_after("silent before the last chunk", chunked(format!("{size}\r\n{good}\r\n"))),
        silent_after("silent in the last chunk", chunked(format!("{size}\r\n{good}\r\n0\r\n"))),
        silent_after("a body without a length, on a connection that stays open", raw("", &good)),
        silent_after("100 and then silence", "HTTP/1.1 100 C\r\n\r\n"),
        silent_after(
            "Content-Length too long, and silence",
            raw(&format!("Content-Length: {}\r\n", length + 1), &good),
        ),
        silent_after(
            "chunks with bare line feeds, and silence",
            chunked(format!("{size}\n{good}\n0\n\n")),
        ),
        case("silent at the second call", Wire::Plain, Calls::Two, TIMEOUT, [First, Request, Hold]),
        case("sts: silent", Wire::Plain, Calls::Classic, TIMEOUT, [First, Request, Hold]),
    ]
}

pub(super) fn slow() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    vec![
        plain("a slow status line", TIMEOUT, [Request, Drip(ok(&good)), Hold]),
        plain("a slow header", TIMEOUT, [Request, say("HTTP/1.1 200 OK\r\n"), Drip(block())]),
        plain(
            "a slow body",
            TIMEOUT,
            [
                Request,
                say(raw(&format!("Content-Length: {length}\r\n"), "")),
                Drip(good.clone().into()),
            ],
        ),
        plain("a slow body without a length", TIMEOUT, [Request, say(raw("", "")), Drip(block())]),
        plain(
            "slow chunks",
            TIMEOUT,
            [Request, say(chunked("")), Drip("1\r\n \r\n".repeat(999).into())],
        ),
        plain("a slow 103", TIMEOUT, [Request, Drip("HTTP/1.1 103 E\r\n\r\n".repeat(99).into())]),
        plain(
            "103 without end",
            UNUSABLE,
            [
                Request,
                Repeat("HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n".repeat(2000).into(), usize::MAX),
            ],
        ),
        plain(
            "100 without end",
            UNUSABLE,
            [Request, Repeat("HTTP/1.1 100 Continue\r\n\r\n".repeat(2000).into(), usize::MAX)],
        ),
        plain(
            "trailers without end",
            TIMEOUT,
            [Request, say(chunked("0\r\n")), Repeat("a: b\r\n".repeat(99).into(), usize::MAX)],
        ),
    ]
}

pub(super) fn closed() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let half = &good[..length / 2];
    let size = format!("{length:x}");
    let mut all = Vec::new();

    for (how, end) in [("FIN", None), ("RST", Some(Reset))] {
        let mut broken = |name: &str, bytes: Vec<u8>| {
            let steps = [Request, say(bytes)].into_iter().chain(end.clone());
            all.push(plain(format!("{how} {name}"), BROKEN, steps.collect::<Vec<_>>()));
        };
        broken("after the request", Vec::new());
        broken("in the status line", "HTTP/1.1 2".into());
        broken("after the status line", "HTTP/1.1 200 OK\r\n".into());
        broken("in a header", "HTTP/1.1 200 OK\r\nContent-".into());
        broken("after the head", raw("Content-Length: 9\r\n", ""));
        broken("in the body", raw(&format!("Content-Length: {length}\r\n"), half));
        broken("in a chunk's size", chunked("f"));
        broken("in a chunk", chunked(format!("{size}\r\n{half}")));
        broken("after a chunk", chunked(format!("{size}\r\n{good}\r\n")));
    }
    let second = |name: &str, steps: Vec<Step>| case(name, Wire::Plain, Calls::Two, HEALTHY, steps);
    all.extend([
        plain("FIN at once", BROKEN, []),
        plain("RST at once", BROKEN, [Reset]),
        plain("FIN in the request", BROKEN, [Listen, Cut]),
        last("FIN in the last chunk", TAKEN, chunked(format!("{size}\r\n{good}\r\n0\r\n"))),
        second("FIN between the calls", vec![Request, Answer]),
        second("RST between the calls", vec![Request, Answer, Listen, Reset]),
        second("FIN at the second call", vec![Request, Answer, Request, Cut]),
        second("RST in the second answer", {
            vec![Request, Answer, Request, say(raw("Content-Length: 9\r\n", "{")), Reset]
        }),
        case(
            "sts: FIN in the answer",
            Wire::Plain,
            Calls::Classic,
            HEALTHY,
            [Request, Answer, Request, say(raw("Content-Length: 9\r\n", "<"))],
        ),
    ]);
    all
}
