//! TLS: a peer that breaks the handshake, and a peer with a good certificate.

use super::*;

pub(super) fn tls(elsewhere: SocketAddr) -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let half = &good[..length / 2];
    let injected = injected();
    let tls = |name: &str, outcome, steps: Vec<Step>| {
        case(format!("tls: {name}"), Wire::Tls, Calls::One, outcome, steps)
    };
    let beneath = |name: &str, outcome, steps: Vec<Step>| {
        case(format!("tls: {name}"), Wire::Beneath, Calls::One, outcome, steps)
    };
    let whole = raw("", &good);
    let mut all = vec![
        tls("a good answer", TAKEN, vec![Request, say(ok(&good)), Serve]),
        tls(
            "an answer without a length and a close_notify",
            TAKEN,
            vec![Request, say(whole.clone())],
        ),
        tls("an answer without a length, cut", TAKEN, vec![Request, say(whole), Cut]),
        tls("half an answer without a length, cut", UNUSABLE, {
            vec![Request, say(raw("", half)), Cut]
        }),
        tls("silent after the handshake", TIMEOUT, vec![Hold]),
        tls("silent after the request", TIMEOUT, vec![Request, Hold]),
        tls("silent in the body", TIMEOUT, {
            vec![Request, say(raw("Content-Length: 9\r\n", "{")), Hold]
        }),
        tls("a slow body", TIMEOUT, vec![Request, say(raw("", "")), Drip(block())]),
        tls("close_notify after the handshake", BROKEN, vec![]),
        tls("cut after the handshake", BROKEN, vec![Cut]),
        tls("RST after the handshake", BROKEN, vec![Reset]),
        tls("close_notify after the request", BROKEN, vec![Request]),
        tls("cut after the request", BROKEN, vec![Request, Cut]),
        tls(
            "close_notify in the body",
            BROKEN,
            vec![Request, say(raw("Content-Length: 9\r\n", "{"))],
        ),
        tls("cut in the body", BROKEN, {
            vec![Request, say(raw("Content-Length: 9\r\n", "{")), Cut]
        }),
        tls("RST in the body", BROKEN, {
            vec![Request, say(raw("Content-Length: 9\r\n", "{")), Reset]
        }),
        tls("cut in a chunk", BROKEN, vec![Request, say(chunked("9\r\n{")), Cut]),
        tls("a body of 100 MB", UNUSABLE, {
            vec![Request, say(raw("", "")), Repeat(block(), 1600)]
        }),
        tls("103 without end", TIMEOUT, {
            vec![Request, Repeat("HTTP/1.1 103 E\r\n\r\n".repeat(99).into(), usize::MAX)]
        }),
        tls("302 to another host", UNUSABLE, {
            let location = format!("Location: https://{elsewhere}/\r\n");
            vec![Request, say(http("302 Found", &location, "")), Serve]
        }),
        tls("302 to plain text", UNUSABLE, {
            let location = format!("Location: http://{elsewhere}/\r\n");
            vec![Request, say(http("302 Found", &location, "")), Serve]
        }),
        tls("a second answer behind the first", TAKEN, {
            vec![Request, say([ok(&good), injected.clone()].concat()), Serve]
        }),
        tls("a second answer in a record of its own", TAKEN, {
            vec![Request, Together([ok(&good), injected.clone()]), Serve]
        }),
        tls("noise beneath the answer", BROKEN, {
            vec![Request, say(raw("Content-Length: 999\r\n", "")), SayBeneath(noise(999, 6)), Hold]
        }),
        tls("a forged record beneath the answer", BROKEN, {
            vec![Request, SayBeneath(record(23, TLS12, 99, &noise(99, 7))), Hold]
        }),
        tls("a plain answer beneath the TLS", BROKEN, {
            vec![Request, SayBeneath(ok(&good)), Hold]
        }),
        beneath("silent from the start", TIMEOUT, vec![Hold]),
        beneath("silent after the hello", TIMEOUT, vec![Listen, Hold]),
        beneath("half a record's head", TIMEOUT, vec![Listen, say([HANDSHAKE, 3]), Hold]),
        beneath("half a record", TIMEOUT, {
            vec![Listen, say(record(HANDSHAKE, TLS12, 99, &[2])), Hold]
        }),
        beneath("a slow record", TIMEOUT, {
            vec![Listen, Drip(record(HANDSHAKE, TLS12, 16000, &[2, 0, 0x40]))]
        }),
        beneath("slow fragments without end", TIMEOUT, {
            let fragments = record(HANDSHAKE, TLS12, 1, &[0]).repeat(999);
            vec![Listen, say(record(HANDSHAKE, TLS12, 4, &[2, 0, 0xff, 0])), Drip(fragments)]
        }),
        beneath("FIN at once", BROKEN, vec![]),
        beneath("RST at once", BROKEN, vec![Reset]),
        beneath("FIN after the hello", BROKEN, vec![Listen]),
        beneath("RST after the hello", BROKEN, vec![Listen, Reset]),
        beneath("FIN in a record", BROKEN, vec![Listen, say(record(HANDSHAKE, TLS12, 9, &[2]))]),
        beneath(
            "close_notify at once",
            BROKEN,
            vec![Listen, say(record(ALERT, TLS12, 2, &[1, 0]))],
        ),
        beneath("plain HTTP", REFUSED_TLS, vec![Listen, say(ok(&good))]),
        beneath("plain HTTP from a portal", REFUSED_TLS, {
            vec![Listen, say("HTTP/1.1 302 Found\r\nLocation: http://wifi.example/\r\n\r\n")]
        }),
        beneath("the banner of SSH", REFUSED_TLS, vec![say("SSH-2.0-OpenSSH_9.2\r\n"), Listen]),
        beneath("the banner of SMTP", REFUSED_TLS, vec![say("220 mail ESMTP\r\n"), Listen]),
        beneath("100 bytes of noise", REFUSED_TLS, vec![Listen, say(noise(100, 8))]),
        beneath("64 KiB of noise", REFUSED_TLS, vec![Listen, say(noise(65536, 9))]),
        beneath("NULs", REFUSED_TLS, vec![Listen, say([0; 4096])]),
        beneath("a record of another version", REFUSED_TLS, {
            vec![Listen, say(record(HANDSHAKE, 0x9999, 4, &[2, 0, 0, 0]))]
        }),
        beneath("a record that is too long", REFUSED_TLS, {
            vec![Listen, say(record(HANDSHAKE, TLS12, 0xffff, &[2; 999]))]
        }),
        beneath("empty records without end", REFUSED_TLS, {
            vec![Listen, Repeat(record(HANDSHAKE, TLS12, 0, &[]).repeat(99), usize::MAX)]
        }),
        beneath("a handshake message of 16 MB", REFUSED_TLS, {
            vec![
                Listen,
                say(record(HANDSHAKE, TLS12, 4, &[2, 0xff, 0xff, 0xff])),
                Repeat(record(HANDSHAKE, TLS12, 0x4000, &[0; 0x4000]), usize::MAX),
            ]
        }),
        beneath("a handshake message in fragments of one byte", REFUSED_TLS, {
            vec![
                Listen,
                say(record(HANDSHAKE, TLS12, 4, &[2, 0, 0x20, 0])),
                Repeat(record(HANDSHAKE, TLS12, 1, &[0]).repeat(999), usize::MAX),
            ]
        }),
        beneath("data before the handshake", REFUSED_TLS, {
            vec![Listen, say(record(23, TLS12, 99, &noise(99, 10)))]
        }),
        beneath("another hello of a client", REFUSED_TLS, {
            vec![Listen, say(record(HANDSHAKE, TLS12, 4, &[1, 0, 0, 0]))]
        }),
        beneath("a refusal", REFUSED_TLS, vec![Listen, say(record(ALERT, TLS12, 2, &[2, 40]))]),
        beneath(
            "an old version",
            REFUSED_TLS,
            vec![Listen, say(record(ALERT, 0x301, 2, &[2, 70]))],
        ),
        beneath("warnings without end", REFUSED_TLS, {
            vec![Listen, Repeat(record(ALERT, TLS12, 2, &[1, 90]).repeat(99), usize::MAX)]
        }),
        beneath("changes of cipher without end", REFUSED_TLS, {
            vec![Listen, Repeat(record(20, TLS12, 1, &[1]).repeat(99), usize::MAX)]
        }),
        case("tls: a slow handshake", Wire::TlsSlow, Calls::One, TIMEOUT, [Serve]),
    ];
    for bytes in [5, 60, 130, 400] {
        for (how, wire, outcome) in
            [("silent", Wire::TlsStuck(bytes), TIMEOUT), ("cut", Wire::TlsCut(bytes), BROKEN)]
        {
            let name = format!("tls: {how} after {bytes} bytes of the handshake");
            all.push(case(name, wire, Calls::One, outcome, [Serve]));
        }
    }
    all
}
