//! Reads PEM as real files have it: with byte order marks, comments, any line breaks, and blocks
//! without a line break between them. Returns every block, or an error that shows no part of the
//! text.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN";
const HYPHENS: &[u8] = b"-----";

/// The content of a block, as its label says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Label {
    Certificate,
    /// A certificate followed by OpenSSL's trust settings.
    TrustedCertificate,
    PrivateKey,
    EncryptedPrivateKey,
    Parameters,
    /// Any other label, with the end of the error's sentence.
    Other(&'static str),
}

const PKCS7: &str =
    "is PKCS#7: convert the file with `openssl pkcs7 -print_certs -in FILE -out NEW.pem`";

const LABELS: [(&str, Label); 17] = [
    ("CERTIFICATE", Label::Certificate),
    ("X509 CERTIFICATE", Label::Certificate),
    ("TRUSTED CERTIFICATE", Label::TrustedCertificate),
    ("PRIVATE KEY", Label::PrivateKey),
    ("RSA PRIVATE KEY", Label::PrivateKey),
    ("EC PRIVATE KEY", Label::PrivateKey),
    ("ENCRYPTED PRIVATE KEY", Label::EncryptedPrivateKey),
    ("EC PARAMETERS", Label::Parameters),
    ("DH PARAMETERS", Label::Parameters),
    ("DSA PRIVATE KEY", Label::Other("is a DSA key, which is not supported")),
    ("OPENSSH PRIVATE KEY", Label::Other("is a key for SSH, not for TLS")),
    ("PUBLIC KEY", Label::Other("is a public key, not a certificate")),
    ("CERTIFICATE REQUEST", Label::Other(REQUEST)),
    ("NEW CERTIFICATE REQUEST", Label::Other(REQUEST)),
    ("X509 CRL", Label::Other("is a revocation list, which is not supported: remove it")),
    ("PKCS7", Label::Other(PKCS7)),
    ("CMS", Label::Other(PKCS7)),
];
const REQUEST: &str = "is a request for a certificate, not the certificate";
const UNKNOWN: (&str, Label) =
    ("unknown label", Label::Other("is neither a certificate nor a private key: remove it"));

/// One block. `Display` shows it as errors name it: `block 3 (CERTIFICATE, line 57)`.
pub(super) struct Block<'a> {
    pub(super) label: Label,
    name: &'static str,
    number: usize,
    before: &'a [u8],
    body: &'a [u8],
}

impl<'a> Block<'a> {
    /// Reads the block at the beginning of `text`. Returns it with the text after it.
    fn read(number: usize, before: &'a [u8], text: &'a [u8]) -> Result<(Self, &'a [u8]), String> {
        let (label, body) = text
            .strip_prefix(BEGIN)
            .and_then(|head| split_once(head, HYPHENS))
            .map(|(label, body)| (label.trim_ascii(), body))
            .filter(|(label, _)| !label.iter().any(|byte| is_line_break(*byte)))
            .ok_or_else(|| damaged_line(before))?;
        let known = LABELS.iter().find(|(name, _)| name.as_bytes() == label);
        let (name, kind) = *known.unwrap_or(&UNKNOWN);
        let mut block = Self { label: kind, name, number, before, body };
        let end = split_once(body, HYPHENS).and_then(|(body, end)| {
            let (end, after) = split_once(end.strip_prefix(b"END")?, HYPHENS)?;
            (end.trim_ascii() == label).then_some((body, after))
        });
        let (body, after) =
            end.ok_or_else(|| format!("{block} has no END line with the same label"))?;
        block.body = body;
        if kind == Label::PrivateKey && split_once(body, b"Proc-Type:").is_some() {
            block.label = Label::EncryptedPrivateKey;
        }
        Ok((block, after))
    }

    /// Decodes the block. Skips white space, and line breaks that are written as `\n`.
    pub(super) fn der(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut base64 = Zeroizing::new(Vec::with_capacity(self.body.len()));
        let mut rest = self.body;
        while let [byte, after @ ..] = rest {
            rest = after;
            match rest {
                [b'n' | b'r', after @ ..] if *byte == b'\\' => rest = after,
                _ if byte.is_ascii_whitespace() => {}
                _ => base64.push(*byte),
            }
        }
        let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(base64.len())]);
        let length = STANDARD
            .decode_slice(&base64, &mut der)
            .map_err(|_| format!("{self} is not valid base64"))?;
        der.truncate(length);
        Ok(der)
    }
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} ({}, line {})", self.number, self.name, line_number(self.before))
    }
}

/// Returns all blocks, at least one. Skips lines that begin with `#` and other text outside of
/// blocks. Text that looks like a damaged BEGIN or END line is an error.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, String> {
    // Two hyphens in UTF-16, in either byte order.
    if split_once(text, b"-\0-\0").is_some() {
        return Err("is UTF-16 text: save it as UTF-8 or ASCII".to_owned());
    }
    let mut blocks = Vec::new();
    let mut rest = text;
    let mut is_line_start = true;
    while !rest.is_empty() {
        let (before, _) = text.split_at(text.len() - rest.len());
        let line = rest.split(|byte| is_line_break(*byte)).next().unwrap_or_default();
        let is_comment = is_line_start && is_comment(line);
        let begin = if is_comment { None } else { split_once(line, BEGIN) };
        let outside = begin.map_or(line, |(outside, _)| outside);
        if !is_comment && is_marker(outside) {
            return Err(damaged_line(before));
        }
        is_line_start = begin.is_none();
        if is_line_start {
            rest = rest.get(line.len() + 1..).unwrap_or_default();
        } else {
            let (before, block) = text.split_at(before.len() + outside.len());
            let (block, after) = Block::read(blocks.len() + 1, before, block)?;
            blocks.push(block);
            rest = after;
        }
    }
    if blocks.is_empty() { Err(without_block(text)) } else { Ok(blocks) }
}

fn damaged_line(before: &[u8]) -> String {
    let line = line_number(before);
    format!("line {line} looks like a BEGIN or END line, but is damaged or has no counterpart")
}

/// Returns the number of the line after `before`. Lines end with LF, CR or both.
fn line_number(before: &[u8]) -> usize {
    let count = |end| before.split(|byte| *byte == end).count();
    count(b'\n').max(count(b'\r'))
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_comment(line: &[u8]) -> bool {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    line.trim_ascii_start().starts_with(b"#")
}

/// Returns `true` if text outside of blocks looks like a damaged BEGIN or END line: an END line
/// without BEGIN, lower case, other dashes, or no dashes.
fn is_marker(line: &[u8]) -> bool {
    let starts = |text: &[u8], word: &str| {
        text.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
    };
    (0..line.len()).any(|at| {
        let (before, marker) = line.split_at(at);
        ["BEGIN", "END"].iter().any(|word| {
            let label = marker.get(word.len()..).unwrap_or_default().trim_ascii_start();
            starts(marker, word) && LABELS.iter().any(|(name, _)| starts(label, name))
        }) && before.trim_ascii_end().last().is_none_or(|byte| *byte == b'-' || !byte.is_ascii())
    })
}

/// Returns the error for a text without a block. It names the format of the text, if it is known.
fn without_block(text: &[u8]) -> String {
    if let [0x30, length, ..] = text {
        let is_binary = !length.is_ascii();
        let head = if (0x81..0x85).contains(length) { usize::from(length - 0x80) + 2 } else { 2 };
        let found = match text.get(head..).unwrap_or_default() {
            [2, 1, 3, ..] => Some(("PKCS#12", "pkcs12 -nodes")),
            [2, 1, 0 | 1, ..] => Some(("a private key as DER", "pkey -inform DER")),
            [6, 9, ..] => Some(("PKCS#7 as DER", "pkcs7 -inform DER -print_certs")),
            [0x30, ..] if is_binary => Some(("a certificate as DER", "x509 -inform DER")),
            // Such as PKCS#12 that was read into a string, which replaces its bytes.
            _ if is_binary => Some(("PKCS#12 or DER", "pkcs12 -nodes")),
            _ => None,
        };
        if let Some((what, command)) = found {
            return format!(
                "is {what}, not PEM: convert it with `openssl {command} -in FILE -out NEW.pem`"
            );
        }
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let problem = match text.trim_ascii() {
        [] => "is empty",
        // The beginning of DER in base64.
        text @ [b'M', b'C' | b'H' | b'I', ..]
            if text.iter().all(|byte| byte.is_ascii_whitespace() || is_base64(byte)) =>
        {
            "is base64 without its BEGIN and END lines"
        }
        _ => "holds no PEM block, which begins with a line like -----BEGIN CERTIFICATE-----",
    };
    problem.to_owned()
}

fn split_once<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

#[cfg(test)]
pub(super) fn block(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOM: &str = "\u{feff}";

    fn two() -> String {
        block("CERTIFICATE", b"one") + &block("RSA PRIVATE KEY", b"another")
    }

    fn read(text: &[u8]) -> Result<Vec<(Label, Vec<u8>)>, String> {
        let blocks = blocks(text)?;
        blocks.iter().map(|block| Ok((block.label, block.der()?.to_vec()))).collect()
    }

    #[test]
    fn every_block_is_read_with_any_text_around_it() {
        struct Row {
            name: &'static str,
            text: String,
        }
        let replaced = |name, from: &str, to: &str| Row { name, text: two().replace(from, to) };
        let rows = [
            Row { name: "as tools write it", text: two() },
            Row { name: "a byte order mark", text: format!("{BOM}{}", two()) },
            replaced("byte order marks of joined files", "-----BEGIN", "\u{feff}-----BEGIN"),
            replaced("CRLF", "\n", "\r\n"),
            replaced("CR", "\n", "\r"),
            replaced("no line break between blocks", "-----\n-----BEGIN", "----------BEGIN"),
            Row { name: "no line break at the end", text: two().trim_end().to_owned() },
            replaced("white space around lines", "\n", " \t\n \t"),
            replaced("empty lines", "\n", "\n\n"),
            replaced("an END line with text after it", "-----\n-----BEGIN", "-----#\n-----BEGIN"),
            replaced("text before", "-----BEGIN", "subject=CN = a\n  Issuer: CN = b\n-----BEGIN"),
            replaced("text without a line break", "-----BEGIN", "subject=CN = a-----BEGIN"),
            replaced("comments", "-----BEGIN", "# a\n #-----BEGIN CERTIFICATE-----\n-----BEGIN"),
            replaced("prose", "-----BEGIN", "To append certificates: the END.\n-----BEGIN"),
            Row {
                name: "a comment after a byte order mark",
                text: format!("{BOM}# -----END CERTIFICATE-----\n{}", two()),
            },
            replaced("one line", "\n", ""),
            replaced("one line with spaces", "\n", " "),
            replaced("one line with \\n", "\n", "\\n"),
            replaced("one line with \\r\\n", "\n", "\\r\\n"),
            Row { name: "in quotes", text: format!("CERT=\"{}\"\n", two().replace('\n', "\\n")) },
            replaced("space in the markers", "-----\n", " -----\n"),
        ];
        let expected =
            [(Label::Certificate, b"one".to_vec()), (Label::PrivateKey, b"another".to_vec())];
        for Row { name, text } in rows {
            assert_eq!(read(text.as_bytes()).as_deref(), Ok(&expected[..]), "{name}: {text}");
        }
    }

    #[test]
    fn the_error_for_a_damaged_block_names_the_block_or_the_line() {
        const LOST: &str = "looks like a BEGIN or END line, but is damaged or has no counterpart";
        struct Row {
            name: &'static str,
            text: String,
            says: String,
        }
        let row = |name, text: String, says: &str| Row { name, text, says: says.to_owned() };
        let third = |name, from: &str, to: &str, problem: &str| {
            let text = two() + &block("CERTIFICATE", b"third").replace(from, to);
            Row { name, text, says: format!("block 3 (CERTIFICATE, line 7) {problem}") }
        };
        let line = |name, from: &str, to: &str, line: usize| {
            let text = two() + &block("CERTIFICATE", b"third").replace(from, to);
            Row { name, text, says: format!("line {line} {LOST}") }
        };
        let no_end = "has no END line with the same label";
        let rows = [
            third("another character", "dGhp", "dG-p", "is not valid base64"),
            third("a comment inside", "dGhp", "# a\ndGhp", "is not valid base64"),
            third("a lost character", "dGhp", "dGh", "is not valid base64"),
            third("lost padding", "cmQ=", "cmQ", "is not valid base64"),
            third("one more hyphen", "-----\ndGhp", "------\ndGhp", "is not valid base64"),
            third("a lost hyphen in END", "-----END", "----END", no_end),
            third("no END line", "-----END CERTIFICATE-----\n", "", no_end),
            third("another END line", "END CERTIFICATE", "END X509 CRL", no_end),
            third("cut off", "=\n-----END CERTIFICATE-----\n", "", no_end),
            third("cut off in the END line", "END CERTIFICATE-----\n", "END CERT", no_end),
            line("a lost hyphen in BEGIN", "-----BEGIN", "----BEGIN", 7),
            line("a lost hyphen at the end of BEGIN", "-----\ndGhp", "----\ndGhp", 7),
            line("white space in BEGIN", "-----BEGIN", "----- BEGIN", 7),
            line("no hyphens", "-----", "", 7),
            line("dashes", "-----", "\u{2014}\u{2013}", 7),
            line("small letters", "BEGIN CERTIFICATE", "Begin Certificate", 7),
            line("a lost BEGIN line", "-----BEGIN CERTIFICATE-----", "", 9),
            line("a comment before BEGIN", "-----BEGIN", "# a-----BEGIN", 9),
            row("each word on a line", two().replace(' ', "\n"), &format!("line 6 {LOST}")),
            Row {
                name: "no END line, and another block",
                text: two().replacen("-----END CERTIFICATE-----\n", "", 1),
                says: format!("block 1 (CERTIFICATE, line 1) {no_end}"),
            },
            Row {
                name: "a label that is not known",
                text: format!("\r\n\r\n{}", block("hunter2", b"")).replace("END hunter2", ""),
                says: format!("block 1 (unknown label, line 3) {no_end}"),
            },
            row("empty", String::new(), "is empty"),
            row("white space", " \r\n".to_owned(), "is empty"),
            row(
                "without BEGIN and END",
                STANDARD.encode([0x30, 0x82, 1, 7, 0x30]),
                "is base64 without its BEGIN and END lines",
            ),
            row(
                "comments",
                format!("# {}", two().trim_end().replace('\n', "\n# ")),
                "holds no PEM block, which begins with a line like -----BEGIN CERTIFICATE-----",
            ),
            row(
                "UTF-16 somewhere",
                two() + &two().replace("", "\0"),
                "is UTF-16 text: save it as UTF-8 or ASCII",
            ),
        ];
        for Row { name, text, says } in rows {
            assert_eq!(read(text.as_bytes()), Err(says), "{name}: {text}");
        }
    }

    #[test]
    fn the_error_for_a_file_of_another_form_names_the_command_that_converts_it() {
        struct Row {
            file: &'static [u8],
            says: Option<(&'static str, &'static str)>,
        }
        let row = |file, what, command| Row { file, says: Some((what, command)) };
        let rows = [
            row(b"0\x82\x03\xfc\x02\x01\x030\x82", "PKCS#12", "pkcs12 -nodes"),
            row(b"0\x80\x02\x01\x030\x80", "PKCS#12", "pkcs12 -nodes"),
            // PKCS#8 of an EC key and of Ed25519, and SEC1.
            row(b"0\x81\x87\x02\x01\x000\x13", "a private key as DER", "pkey -inform DER"),
            row(b"0\x2e\x02\x01\x000\x05", "a private key as DER", "pkey -inform DER"),
            row(b"0\x77\x02\x01\x01\x04\x20", "a private key as DER", "pkey -inform DER"),
            row(b"0\x82\x01\x700\x82\x01\x15", "a certificate as DER", "x509 -inform DER"),
            row(
                b"0\x82\x01\x9f\x06\x09\x2a\x86\x48",
                "PKCS#7 as DER",
                "pkcs7 -inform DER -print_certs",
            ),
            row("0\u{fffd}\u{3}\u{fffd}\u{2}\u{1}".as_bytes(), "PKCS#12 or DER", "pkcs12 -nodes"),
            row(b"0\x82", "PKCS#12 or DER", "pkcs12 -nodes"),
            Row { file: b"0123456789", says: None },
            Row { file: b"000000 30 82 03", says: None },
            Row { file: b"0", says: None },
        ];
        for Row { file, says } in rows {
            let said = read(file).unwrap_err();
            match says {
                Some((what, command)) => assert_eq!(
                    said,
                    format!(
                        "is {what}, not PEM: convert it with `openssl {command} -in FILE -out NEW.pem`"
                    )
                ),
                None => assert!(said.starts_with("holds no PEM block"), "{said}"),
            }
        }
    }

    /// Texts between two blocks. No text makes the next BEGIN line a part of a comment.
    const BETWEEN: [&str; 9] = [
        "",
        "\n",
        "\r\n",
        " ",
        "\u{feff}",
        "\n# -----BEGIN CERTIFICATE-----\n",
        "\nsubject=CN = a",
        "\r\r  Certificate:\r    Data:\r\u{feff}",
        "\\n",
    ];
    const LINE_BREAKS: [&str; 6] = ["\n", "\r\n", "\r", " \t\n\t", "", "\\n"];

    fn files() -> impl Strategy<Value = (Vec<(Label, Vec<u8>)>, String)> {
        let der = prop::collection::vec(any::<u8>(), 0..150);
        let part = (0..LABELS.len(), der, 0..BETWEEN.len(), 0..LINE_BREAKS.len(), 1_usize..80);
        prop::collection::vec(part, 1..6).prop_map(|parts| {
            let (mut blocks, mut text) = (Vec::new(), String::new());
            for (label, der, between, line_break, width) in parts {
                let (name, label) = LABELS[label];
                let line_break = LINE_BREAKS[line_break];
                text += BETWEEN[between];
                text.extend(["-----BEGIN ", name, "-----", line_break]);
                for line in STANDARD.encode(&der).as_bytes().chunks(width) {
                    text.extend([std::str::from_utf8(line).unwrap(), line_break]);
                }
                text.extend(["-----END ", name, "-----"]);
                blocks.push((label, der));
            }
            (blocks, text)
        })
    }

    /// Counts the BEGIN lines as a reader of the file would count them.
    fn begin_lines(text: &[u8]) -> usize {
        let text = String::from_utf8_lossy(text);
        let lines =
            text.split(['\n', '\r']).map(|line| line.trim_start_matches(['\u{feff}', ' ', '\t']));
        lines.filter(|line| line.starts_with("-----BEGIN CERTIFICATE-----")).count()
    }

    proptest! {
        #[test]
        fn all_blocks_are_read_in_any_mixture((expected, text) in files()) {
            prop_assert_eq!(read(text.as_bytes()), Ok(expected));
        }

        #[test]
        fn damage_to_a_file_causes_an_error_or_loses_no_block(
            (_, text) in files(),
            at in any::<prop::sample::Index>(),
            removed in 0_usize..40,
            inserted in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..9),
                prop::sample::select(vec!["\n", "#", "-", "BEGIN", "-----BEGIN CERTIFICATE-----\n"])
                    .prop_map(|text| text.as_bytes().to_vec()),
            ],
        ) {
            let mut text = text.into_bytes();
            let at = at.index(text.len());
            let end = text.len().min(at + removed);
            text.splice(at..end, inserted);
            if let Ok(blocks) = read(&text) {
                prop_assert!(blocks.len() >= begin_lines(&text), "{}", text.escape_ascii());
            }
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}
