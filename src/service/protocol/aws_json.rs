//! AWS JSON 1.1: a POST with the operation in `X-Amz-Target`, JSON in both directions.

use std::fmt;
use std::io;
use std::str::Utf8Chunk;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{DecodeError, ErrorMetadata, Operation, text_of};
use crate::error::{Error, KnownRefusal};
use crate::redact::{self, Redactor};
use crate::transport::HttpResponse;

/// The longest error document that is read. The service's are shorter.
const MAX_ERROR: usize = 16 * 1024;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// An [`Operation`] of a service that uses AWS JSON.
pub(crate) trait JsonOperation {
    type Output;

    const NAME: &'static str;
    /// The service's name in the header `X-Amz-Target`.
    const SERVICE: &'static str;
    const REFUSALS: &'static [&'static [KnownRefusal]];

    fn input(&self) -> impl Serialize;

    fn output(&self, response: &HttpResponse) -> Result<Self::Output, DecodeError>;

    fn redactor(&self) -> Redactor<'_>;
}

impl<O: JsonOperation> Operation for O {
    type Output = O::Output;

    const NAME: &'static str = O::NAME;
    const REFUSALS: &'static [&'static [KnownRefusal]] = O::REFUSALS;

    fn headers(&self) -> Vec<(String, String)> {
        headers(O::SERVICE, O::NAME)
    }

    fn body(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        encode(&self.input())
    }

    fn decode(&self, response: &HttpResponse) -> Result<O::Output, DecodeError> {
        self.output(response)
    }

    fn decode_error(&self, response: &HttpResponse) -> ErrorMetadata {
        decode_error(response)
    }

    fn redactor(&self) -> Redactor<'_> {
        JsonOperation::redactor(self)
    }
}

fn headers(service: &str, operation: &str) -> Vec<(String, String)> {
    vec![
        ("content-type".to_owned(), CONTENT_TYPE.to_owned()),
        ("x-amz-target".to_owned(), [service, ".", operation].concat()),
    ]
}

/// Counts the bytes first, because a buffer that grows leaves copies of a token in memory.
pub(crate) fn encode(input: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unencodable = |_| Error::config("", "the request cannot be written as JSON");
    let mut length = Length(0);
    serde_json::to_writer(&mut length, input).map_err(unencodable)?;
    let mut body = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *body, input).map_err(unencodable)?;
    Ok(body)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn decode<'a, const N: usize>(
    response: &'a HttpResponse,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], DecodeError> {
    members("the answer", text_of(response)?, names)
}

/// Returns the members of these names in a JSON object, each as its JSON text. `null` counts as
/// absent. A member that occurs twice is an error. Nothing is copied, because the JSON library does
/// not wipe its copies. The error names only the place, because the library's text may quote a
/// secret.
pub(crate) fn members<'a, const N: usize>(
    what: &str,
    json: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], DecodeError> {
    // The JSON library copies any other value into its error.
    if !json.trim_ascii_start().starts_with('{') {
        return Err(DecodeError(format!("{what} is not a JSON object")));
    }
    read(json, Members { names, allow_repeated: false }).map_err(|error| {
        let what = match error.classify() {
            Category::Data => format!("{what} has a field twice"),
            _ => format!("{what} is not JSON"),
        };
        DecodeError(format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}

fn read<'a, const N: usize>(
    json: &'a str,
    members: Members<'_, N>,
) -> serde_json::Result<[Option<&'a str>; N]> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_map(members)?;
    reader.end().map(|()| found)
}

/// Returns the text of a JSON string, in memory that is wiped. `None` if `json` is not a string.
pub(crate) fn string(json: &str) -> Option<Zeroizing<String>> {
    let mut rest = json.strip_prefix('"')?.strip_suffix('"')?;
    // An escape is never shorter than its character, so this capacity is enough.
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (c, after) = unescape(escape)?;
        text.push(c);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

pub(crate) fn text(json: &str, name: &str) -> Result<Zeroizing<String>, DecodeError> {
    string(json).ok_or_else(|| DecodeError(format!("the answer's {name} is not a JSON string")))
}

/// Returns the text of a field. It is an error if the field is missing or empty.
pub(crate) fn required(json: Option<&str>, name: &str) -> Result<Zeroizing<String>, DecodeError> {
    let text = json.map(|json| text(json, name)).transpose()?;
    text.filter(|text| !text.is_empty()).ok_or_else(|| DecodeError::lacks(name))
}

/// Returns the character of an escape, and the text after it. `escape` starts after the backslash.
fn unescape(escape: &str) -> Option<(char, &str)> {
    let (kind, rest) = escape.split_at_checked(1)?;
    let c = match kind {
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => {
            let (unit, rest) = hex(rest)?;
            if let Some(c) = char::from_u32(unit.into()) {
                return Some((c, rest));
            }
            let (second, rest) = hex(rest.strip_prefix("\\u")?)?;
            let c = char::decode_utf16([unit, second]).next()?.ok()?;
            return Some((c, rest));
        }
        _ => kind.chars().next()?,
    };
    Some((c, rest))
}

fn hex(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

struct Members<'n, const N: usize> {
    names: [&'n str; N],
    /// Whether a member may occur twice. The last one is used.
    allow_repeated: bool,
}

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None::<&str>; N];
        while let Some(position) = map.next_key_seed(Position(&self.names))? {
            let value = map.next_value::<&RawValue>()?.get();
            if let Some(place) = position.and_then(|position| found.get_mut(position)) {
                if place.replace(value).is_some() && !self.allow_repeated {
                    return Err(A::Error::custom("a field twice"));
                }
            }
        }
        Ok(found.map(|value| value.filter(|value| *value != "null")))
    }
}

struct Position<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| *wanted == name))
    }
}

/// Reads the error code from the header `x-amzn-errortype`, or from `__type`, `code` or `Code` in
/// the body. Drops what follows a `:` and what precedes a `#`. A code without a visible character
/// counts as absent. Reads the message from the body, or from the header `x-amzn-errormessage`.
pub(crate) fn decode_error(response: &HttpResponse) -> ErrorMetadata {
    let body = Some(response.body()).filter(|body| body.len() <= MAX_ERROR);
    let text = lossy(body.unwrap_or_default());
    let document = text.trim_start_matches('\u{feff}');
    let names = ["__type", "code", "Code", "message", "Message"];
    // The JSON library copies any other value into its error.
    let document = Some(document).filter(|text| text.trim_ascii_start().starts_with('{'));
    let found = read(document.unwrap_or_default(), Members { names, allow_repeated: true });
    let [kind, code, capital_code, message, other] = found.unwrap_or([None; 5]);
    let field = |json: Option<&str>| string(json?);
    let header = |name| response.header(name).map(|value| Zeroizing::new(value.to_owned()));
    let in_header = header("x-amzn-errortype");
    let in_header = in_header.as_deref().map(|code| after_namespace(before_uri(code)));
    let in_body = [kind, code, capital_code].map(field);
    let in_body = in_body.iter().flatten().map(|code| before_uri(after_namespace(code)));
    let code = in_header.into_iter().chain(in_body).map(redact::trim).find(|code| !code.is_empty());
    let code = code.map(|code| Zeroizing::new(code.to_owned()));
    let message = [field(message), field(other), header("x-amzn-errormessage")];
    ErrorMetadata { code, message: message.into_iter().flatten().next(), request_id: None }
}

/// Returns the body as text, in memory that is wiped. Bytes that are not UTF-8 are replaced.
fn lossy(body: &[u8]) -> Zeroizing<String> {
    const UNKNOWN: char = char::REPLACEMENT_CHARACTER;
    let length = |chunk: Utf8Chunk<'_>| {
        let unknown = if chunk.invalid().is_empty() { 0 } else { UNKNOWN.len_utf8() };
        chunk.valid().len() + unknown
    };
    let mut text = Zeroizing::new(String::with_capacity(body.utf8_chunks().map(length).sum()));
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend((!chunk.invalid().is_empty()).then_some(UNKNOWN));
    }
    text
}

/// `NotFound:http://…` → `NotFound`
fn before_uri(code: &str) -> &str {
    code.split_once(':').map_or(code, |(code, _)| code)
}

/// `com.amazonaws.cognito#NotFound` → `NotFound`
pub(crate) fn after_namespace(code: &str) -> &str {
    code.rsplit_once('#').map_or(code, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_code_is_read_from_every_place() {
        #[derive(Default)]
        struct Row {
            body: &'static str,
            /// The header `x-amzn-errortype`.
            header: Option<&'static str>,
            code: Option<&'static str>,
            message: Option<&'static str>,
        }
        let body = |body| Row { body, ..Row::default() };
        let not_found = |text| Row { code: Some("NotFound"), ..body(text) };
        let rows = [
            Row { message: Some("m"), ..not_found(r#"{"__type":"NotFound","message":"m"}"#) },
            Row {
                message: Some("m"),
                ..not_found(r#"{"__type":"com.amazonaws#a#NotFound","Message":"m"}"#)
            },
            not_found(r#"{"code":"NotFound"}"#),
            not_found(r#"{"Code":"NotFound"}"#),
            not_found(r#"{"Code":"a.b#NotFound:http://x/y/"}"#),
            not_found(r#"{"Code":"Other","code":"NotFound"}"#),
            body(r#"{"CODE":"NotFound"}"#),
            not_found(r#"{"code":404,"Code":"NotFound"}"#),
            not_found(r#"{"__type":"http://x/y#NotFound"}"#),
            not_found(r#"{"__type":"NotFound:http://x/y/"}"#),
            Row { header: Some("a.b#NotFound:http://x/y#z"), ..not_found("") },
            Row { header: Some("NotFound:http://x/y#z"), ..not_found(r#"{"__type":"Other"}"#) },
            Row { header: Some("ns#NotFound"), ..not_found("") },
            not_found(r#"{"__type":"NotFound","message":{"a":1}}"#),
            Row { message: Some("m"), ..body(r#"{"__type":7,"message":"m"}"#) },
            body(r#"{"__type":""}"#),
            body(r#"{"__type":"\u007f"}"#),
            body(r#"{"__type":"a#\u200b \u0000:b"}"#),
            not_found(r#"{"__type":"\u007f","code":"NotFound"}"#),
            not_found(r#"{"__type":"\ufeff NotFound\u0000"}"#),
            Row { header: Some("\u{202e}"), ..not_found(r#"{"__type":"NotFound"}"#) },
            Row { header: Some(""), ..not_found(r#"{"__type":"NotFound"}"#) },
            not_found("\u{feff}{\"__type\":\"NotFound\"}"),
            Row {
                message: Some("b"),
                ..not_found(r#"{"__type":"NotFound","message":"a","message":"b"}"#)
            },
            body("<html>"),
            body("[]"),
            body("null"),
        ];
        for Row { body, header, code, message } in rows {
            let mut response = HttpResponse::new(400, body);
            if let Some(header) = header {
                response = response.with_header("x-amzn-ErrorType", header);
            }
            let expected = ErrorMetadata {
                code: code.map(|code| Zeroizing::new(code.into())),
                message: message.map(|message| Zeroizing::new(message.into())),
                request_id: None,
            };
            assert_eq!(decode_error(&response), expected, "{body} {header:?}");
        }
        let response = HttpResponse::new(400, b"{\"__type\":\"X\",\"message\":\"\xff\"}".to_vec());
        assert_eq!(decode_error(&response).code.as_deref().map(String::as_str), Some("X"));
        let response = HttpResponse::new(400, "").with_header("x-amzn-errormessage", "m");
        assert_eq!(decode_error(&response).message.as_deref().map(String::as_str), Some("m"));
    }

    #[test]
    fn no_error_code_is_read_from_a_document_that_is_too_long() {
        for (length, code) in [(MAX_ERROR, Some("X")), (MAX_ERROR + 1, None)] {
            let body = format!("{:length$}", r#"{"__type":"X"}"#);
            let found = decode_error(&HttpResponse::new(400, body)).code;
            assert_eq!(found.as_deref().map(String::as_str), code, "{length}");
        }
    }

    #[test]
    fn a_decode_error_does_not_quote_the_answer() {
        let rows = [
            ("SENTINEL", "the answer is not a JSON object"),
            ("\"SENTINEL\"", "the answer is not a JSON object"),
            ("[]", "the answer is not a JSON object"),
            ("", "the answer is empty"),
            ("{\"n\":SENTINEL}", "the answer is not JSON (line 1, column 6)"),
            ("{\"n\":1,\"n\":1}", "the answer has a field twice (line 1, column 13)"),
            ("{\"n\":1}SENTINEL", "the answer is not JSON (line 1, column 8)"),
            ("{\"n\":\"SENTI\nNEL\"}", "the answer is not JSON (line 1, column 11)"),
        ];
        for (body, expected) in rows {
            let error = decode(&HttpResponse::new(200, body), ["n"]).unwrap_err();
            assert_eq!(error.0, expected);
        }
        let body = b"{\"x\":\"\xff\",\"n\":1}".to_vec();
        let error = decode(&HttpResponse::new(200, body), ["n"]).unwrap_err();
        assert_eq!(error.0, "the answer is not text");
    }

    #[test]
    fn members_are_returned_as_their_json_text() {
        let json =
            r#" {"a": null, "b": [1, {"c": 2}], "\u0063": "x\"y", "d": 2.50, "x": 1, "x": 1} "#;
        let found = members("x", json, ["a", "b", "c", "d", "e"]).unwrap();
        assert_eq!(found, [None, Some(r#"[1, {"c": 2}]"#), Some(r#""x\"y""#), Some("2.50"), None]);
    }

    #[test]
    fn strings_are_read_as_the_json_library_reads_them() {
        let rows = [
            r#""""#,
            r#""plain é""#,
            r#""\"\\\/\b\f\n\r\t\u0041\u00e9\u20aC\ud83e\udd80.""#,
            r#""\ud83e""#,
            r#""\ud83e\u0041""#,
            r#""\udd80\ud83e""#,
            r#""\ud83ex""#,
            "7",
            "[]",
            "true",
        ];
        for json in rows {
            let expected = serde_json::from_str::<String>(json).ok();
            let found = string(json);
            assert_eq!(found.as_deref(), expected.as_ref(), "{json}");
            assert!(found.is_none_or(|text| text.capacity() <= json.len()), "{json}");
        }
    }

    #[test]
    fn encoding_allocates_the_exact_size() {
        let body = encode(&["\u{1f980}\"\n", "x"]).unwrap();
        assert_eq!(&body[..], b"[\"\xf0\x9f\xa6\x80\\\"\\n\",\"x\"]");
        assert_eq!(body.capacity(), body.len());
    }
}
