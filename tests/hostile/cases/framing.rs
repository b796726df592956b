//! Lengths, chunks, and bytes behind the answer.

use super::*;

pub(super) fn lengths() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let half = &good[..length / 2];
    let one_chunk = one_chunk();
    let with_length = |value: &str| raw(&format!("Content-Length: {value}\r\n"), &good);
    let mut all = vec![
        last("Content-Length too long", BROKEN, with_length(&(length + 1).to_string())),
        answer("Content-Length too short", UNUSABLE, with_length(&(length - 1).to_string())),
        answer("Content-Length zero", UNUSABLE, with_length("0")),
        last("Content-Length missing", TAKEN, raw("", &good)),
        last("Content-Length missing, and half a body", UNUSABLE, raw("", half)),
        answer("Content-Length twice", TAKEN, with_length(&format!("{length}, {length}"))),
        answer(
            "Content-Length on two lines",
            TAKEN,
            with_length(&format!("{length}\r\nContent-Length: {length}")),
        ),
        last("two Content-Lengths", BROKEN, with_length(&format!("{length}\r\nContent-Length: 2"))),
        last("Content-Length 18446744073709551615", UNUSABLE, with_length("18446744073709551615")),
        last("Content-Length beside chunks", TAKEN, {
            raw("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", &one_chunk)
        }),
        last("Content-Length after chunks", TAKEN, {
            raw("Transfer-Encoding: chunked\r\nContent-Length: 999999\r\n", &one_chunk)
        }),
    ];
    for value in ["-1", "+5", "0x10", "5 5", "1.5", "ten", "", "5,", "18446744073709551616"] {
        all.push(last(format!("Content-Length {value:?}"), BROKEN, with_length(value)));
    }
    all
}

pub(super) fn chunks() -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let size = format!("{length:x}");
    let mut all = vec![
        answer("chunks with an extension", TAKEN, {
            chunked(format!("{size};a=b\r\n{good}\r\n0\r\n\r\n"))
        }),
        answer("chunks with trailers", TAKEN, {
            chunked(format!("{size}\r\n{good}\r\n0\r\nDate: x\r\nContent-Length: 7\r\n\r\n"))
        }),
        plain(
            "a chunk's extension without end",
            BROKEN,
            [Request, say(chunked("1;")), Repeat(block(), 1600)],
        ),
        plain(
            "a trailer without end",
            BROKEN,
            [Request, say(chunked("0\r\na:")), Repeat(block(), 1600)],
        ),
        plain(
            "many trailers",
            TAKEN,
            [
                Request,
                say(chunked(format!("{size}\r\n{good}\r\n0\r\n"))),
                Repeat("a: b\r\n".repeat(99).into(), 100),
                say("\r\n"),
                Serve,
            ],
        ),
        last("Transfer-Encoding identity", TAKEN, raw("Transfer-Encoding: identity\r\n", &good)),
        last(
            "Transfer-Encoding gzip, chunked",
            UNUSABLE,
            raw("Transfer-Encoding: gzip, chunked\r\n", "3\r\n\x1f\u{b}\x08\r\n0\r\n\r\n"),
        ),
    ];
    for (name, body) in [
        ("size is not a number", "xyz\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size is negative", "-5\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size is empty", "\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size overflows", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size is huge", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size has 50 digits", format!("{}1\r\n \r\n0\r\n\r\n", "0".repeat(49))),
        ("has no line end", format!("{size}\r\n{good}0\r\n\r\n")),
        ("is longer than its size", format!("{:x}\r\n{good}\r\n0\r\n\r\n", length - 1)),
        ("is shorter than its size", format!("{:x}\r\n{good}\r\n0\r\n\r\n", length + 1)),
        ("has bare line feeds", format!("{size}\n{good}\n0\n\n")),
    ] {
        all.push(last(format!("a chunk that {name}"), BROKEN, chunked(body)));
    }
    all
}

/// The bytes behind an answer do not answer the next call.
pub(super) fn second_answers() -> Vec<Case> {
    let good = issued("HOSTILE");
    let injected = injected();
    vec![
        answer("a second answer behind the first", TAKEN, [ok(&good), injected.clone()].concat()),
        answer("a second answer behind an error", UNUSABLE, {
            [http("400 Bad", "", "{}"), injected.clone()].concat()
        }),
        answer("a second answer behind chunks", TAKEN, {
            [chunked(one_chunk()), injected.clone()].concat()
        }),
        answer("a second answer behind 204", UNUSABLE, {
            [b"HTTP/1.1 204 No\r\n\r\n", &injected[..]].concat()
        }),
        answer("a line end behind the answer", TAKEN, [ok(&good), b"\r\n".into()].concat()),
        plain(
            "a second answer a moment later",
            TAKEN,
            [Request, say(ok(&good)), SayLate(injected.clone()), Serve],
        ),
    ]
}
