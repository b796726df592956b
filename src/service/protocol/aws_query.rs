//! AWS Query: the request is a form, the answer is XML.

use roxmltree::{Document, Node, ParsingOptions};
use zeroize::Zeroizing;

use super::{DecodeError, ErrorMetadata, aws_json, text_of};
use crate::redact;
use crate::transport::HttpResponse;

/// The limits of an answer. The service's answers have a few KiB, fewer than a hundred elements,
/// one namespace and a few attributes. The parser's time grows with the square of some of these
/// numbers, and it first allocates memory for every `<` and `=`.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_NODES: u32 = 500;
const MAX_TAGS: usize = 2_000;
const MAX_ATTRIBUTES: usize = 500;
const MAX_NAMESPACES: usize = 20;

pub(crate) fn headers() -> Vec<(String, String)> {
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    vec![("content-type".to_owned(), kind.to_owned())]
}

/// Encodes the form `key=value&…`. The buffer has its final size from the start, because a buffer
/// that grows leaves copies of a token in memory.
pub(crate) fn encode(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let length =
        fields.iter().map(|(key, value)| escaped_length(key) + escaped_length(value) + 2).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    for (key, value) in fields {
        if !body.is_empty() {
            body.push(b'&');
        }
        escape(key, &mut body);
        body.push(b'=');
        escape(value, &mut body);
    }
    body
}

/// Returns `true` if a byte needs no escape: an unreserved character of RFC 3986.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn escaped_length(text: &str) -> usize {
    text.bytes().map(|byte| if is_unreserved(byte) { 1 } else { 3 }).sum()
}

fn escape(text: &str, body: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    for byte in text.bytes() {
        if is_unreserved(byte) {
            body.push(byte);
        } else {
            body.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Parses an answer and passes its root element to `read`. The error names only the place, because
/// the parser's own text may quote the answer.
pub(crate) fn decode<T>(
    response: &HttpResponse,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let text = text_of(response)?;
    // Tokens may have an `=` too, but not hundreds.
    if text.len() > MAX_ANSWER
        || text.matches('<').count() > MAX_TAGS
        || text.matches('=').count() > MAX_ATTRIBUTES
        || text.matches("xmlns").count() > MAX_NAMESPACES
    {
        return Err(DecodeError("the answer is larger than any answer of the service".to_owned()));
    }
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let place = error.pos();
        DecodeError(format!("the answer is not XML (line {}, column {})", place.row, place.col))
    })?;
    read(document.root_element())
}

/// Returns the first element of this name inside `node`, in any namespace.
pub(crate) fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// Returns the text of the element of this name inside `node`. An empty element counts as absent.
/// An element with a comment or another element inside counts as absent too: its text may be only a
/// part of a key.
pub(crate) fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    untrimmed(node, name).map(str::trim_ascii).filter(|text| !text.is_empty())
}

/// Like [`text`], but with the white space around it.
pub(crate) fn untrimmed<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let only = child(node, name)?.first_child().filter(|first| first.next_sibling().is_none())?;
    only.text().filter(|_| only.is_text())
}

/// Reads the code and the message from the element `Error`. It is inside `ErrorResponse`, or inside
/// `Errors` in old answers. The request ID is in the root element. A gateway in front of AWS may
/// send JSON, so the function tries that last.
pub(crate) fn decode_error(response: &HttpResponse) -> ErrorMetadata {
    let decoded = decode(response, |root| {
        let error = root.descendants().find(|node| node.tag_name().name() == "Error");
        let owned = |text: &str| Zeroizing::new(text.to_owned());
        let field = |name| error.and_then(|error| text(error, name)).map(owned);
        let request_id = text(root, "RequestId").map(owned);
        let code = error.and_then(|error| text(error, "Code"));
        let code = code.map(|code| redact::trim(aws_json::after_namespace(code)));
        let code = code.filter(|code| !code.is_empty()).map(owned);
        Ok(ErrorMetadata { code, message: field("Message"), request_id })
    });
    let in_xml = decoded.unwrap_or_default();
    if in_xml.code.is_some() {
        return in_xml;
    }
    let in_json = aws_json::decode_error(response);
    if in_json.code.is_some() { in_json } else { in_xml }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_escaped_and_allocate_the_exact_size() {
        let rows: [(&[(&str, &str)], &str); 4] = [
            (&[], ""),
            (&[("a", ""), ("b", "c")], "a=&b=c"),
            (
                &[("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/x")],
                "PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Fx",
            ),
            (
                &[("p", "a b+c&d=e%~-._*'()\n\u{e9}")],
                "p=a%20b%2Bc%26d%3De%25~-._%2A%27%28%29%0A%C3%A9",
            ),
        ];
        for (fields, expected) in rows {
            let body = encode(fields);
            assert_eq!(std::str::from_utf8(&body), Ok(expected));
            assert!(body.capacity() <= expected.len() + 1);
        }
    }

    #[test]
    fn the_error_is_read_from_every_form_of_answer() {
        #[derive(Default)]
        struct Row {
            body: &'static str,
            code: Option<&'static str>,
            message: Option<&'static str>,
            request_id: Option<&'static str>,
        }
        let body = |body| Row { body, ..Row::default() };
        let rows = [
            Row {
                code: Some("C"),
                message: Some("m"),
                request_id: Some("r"),
                ..body(
                    r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>C</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>"#,
                )
            },
            Row {
                code: Some("C"),
                ..body("<Response><Errors><Error><Code>C</Code></Error></Errors></Response>")
            },
            Row {
                message: Some("m"),
                ..body("<ErrorResponse><Error><Code/><Message>m</Message></Error></ErrorResponse>")
            },
            body(
                "<R><Error><Code>C<!-- D -->E</Code><Message><!-- m --></Message></Error><RequestId>a<b/></RequestId></R>",
            ),
            Row {
                code: Some("C&D"),
                message: Some("m&n"),
                ..body(
                    "<R><Error><Code><![CDATA[C&D]]></Code><Message>m&amp;n</Message></Error></R>",
                )
            },
            Row {
                message: Some("m"),
                ..body("<R><Error><Code>a#\u{200b}</Code><Message>m</Message></Error></R>")
            },
            body("<R><Error><Code>a#</Code></Error></R>"),
            Row { code: Some("C"), ..body("<R><Error><Code>\u{7f}C\u{feff} </Code></Error></R>") },
            body("<html><body>Error</body></html>"),
            body("not XML"),
            body(""),
        ];
        for Row { body, code, message, request_id } in rows {
            let owned = |text: &str| Zeroizing::new(text.to_owned());
            let expected = ErrorMetadata {
                code: code.map(owned),
                message: message.map(owned),
                request_id: request_id.map(owned),
            };
            assert_eq!(decode_error(&HttpResponse::new(400, body)), expected, "{body}");
        }
    }

    #[test]
    fn an_answer_of_64_kib_is_read_and_a_longer_one_is_not() {
        for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
            let body = format!("<a>{}</a>", "x".repeat(length - "<a></a>".len()));
            let read = decode(&HttpResponse::new(200, body), |_| Ok(()));
            assert_eq!(read.is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn hostile_documents_are_an_error() {
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        let wide = format!("<a>{}</a>", "<b/>".repeat(600));
        let nested = format!("{}{}", "<a>".repeat(600), "</a>".repeat(600));
        let bomb = r#"<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><a>&y;</a>"#;
        for body in [&*nested, &*wide, bomb, "<a>", "\u{feff}", "<a>\0</a>"] {
            let read = decode(&HttpResponse::new(200, body), |_| Ok(()));
            let start = &body[..body.len().min(40)];
            assert!(read.unwrap_err().0.starts_with("the answer is not XML"), "{start}");
        }
        assert!(decode(&HttpResponse::new(200, vec![0xff]), |_| Ok(())).is_err());
        let attributes = " a='x'".repeat(600);
        let namespaces = " xmlns:a='x'".repeat(30);
        let long = format!("<a>{}</a>", "x".repeat(70_000));
        let tags = "<".repeat(3_000);
        for body in [deep, format!("<a{attributes}/>"), format!("<a{namespaces}/>"), long, tags] {
            let read = decode(&HttpResponse::new(200, body), |_| Ok(()));
            assert_eq!(read.unwrap_err().0, "the answer is larger than any answer of the service");
        }
    }
}
