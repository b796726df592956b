//! AWS JSON 1.1: a POST with the operation in `X-Amz-Target`, JSON in both directions.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Fault, Malformed};
use crate::error::Error;
use crate::transport::HttpResponse;

/// More than any error document of the service has. A tree of one takes up to thirty times its size.
const LONGEST_FAULT: usize = 16 * 1024;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

pub(crate) fn headers(target: &str) -> Vec<(String, String)> {
    vec![
        ("content-type".to_owned(), CONTENT_TYPE.to_owned()),
        ("x-amz-target".to_owned(), target.to_owned()),
    ]
}

/// Encodes in two passes, so that the buffer never grows and leaves no copy of a token behind.
pub(crate) fn encode(input: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unencodable = |_| Error::config("the request cannot be written as JSON");
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

/// Decodes an answer. Where it fails, only the place is told: the JSON library's own text may quote
/// the answer, and with it a secret.
pub(crate) fn decode<'a, T: Deserialize<'a>>(response: &'a HttpResponse) -> Result<T, Malformed> {
    // Where a structure passes over a field, the JSON library would pass over what is no text, too.
    let text = std::str::from_utf8(response.body())
        .map_err(|_| Malformed("the answer is not text".to_owned()))?;
    serde_json::from_str(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "has a field of the wrong type",
            _ if response.body().is_empty() => "is empty",
            _ => "is not JSON",
        };
        let (line, column) = (error.line(), error.column());
        Malformed(format!("the answer {what} (line {line}, column {column})"))
    })
}

/// The error code is in the header `x-amzn-errortype`, before any `:`, or in the body's `__type`,
/// after the last `#`; the message in the body, or in the header `x-amzn-errormessage`.
pub(crate) fn fault(response: &HttpResponse) -> Fault {
    let body = Some(response.body()).filter(|body| body.len() <= LONGEST_FAULT);
    let text = String::from_utf8_lossy(body.unwrap_or_default());
    let document: Value =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    let field = |name| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let header = |name| response.header(name).map(str::to_owned);
    let code = [header("x-amzn-errortype"), field("__type"), field("code")]
        .into_iter()
        .flatten()
        .map(|code| bare_code(&code).to_owned())
        .find(|code| !code.is_empty());
    let message = [field("message"), field("Message"), header("x-amzn-errormessage")];
    Fault { code, message: message.into_iter().flatten().next(), request_id: None }
}

/// `com.amazonaws.cognito#NotFound:http://…` → `NotFound`
fn bare_code(code: &str) -> &str {
    let code = code.split_once(':').map_or(code, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_wherever_it_hides() {
        let rows = [
            (r#"{"__type":"NotFound","message":"m"}"#, None, Some("NotFound"), Some("m")),
            (
                r#"{"__type":"com.amazonaws#a#NotFound","Message":"m"}"#,
                None,
                Some("NotFound"),
                Some("m"),
            ),
            (r#"{"code":"NotFound"}"#, None, Some("NotFound"), None),
            (r#"{"__type":"Other"}"#, Some("NotFound:http://x/y#z"), Some("NotFound"), None),
            ("", Some("ns#NotFound"), Some("NotFound"), None),
            (r#"{"__type":"NotFound","message":{"a":1}}"#, None, Some("NotFound"), None),
            (r#"{"__type":7,"message":"m"}"#, None, None, Some("m")),
            (r#"{"__type":""}"#, None, None, None),
            (r#"{"__type":"NotFound"}"#, Some(""), Some("NotFound"), None),
            ("\u{feff}{\"__type\":\"NotFound\"}", None, Some("NotFound"), None),
            (
                r#"{"__type":"NotFound","message":"a","message":"b"}"#,
                None,
                Some("NotFound"),
                Some("b"),
            ),
            ("<html>", None, None, None),
            ("[]", None, None, None),
            ("null", None, None, None),
        ];
        for (body, header, code, message) in rows {
            let mut response = HttpResponse::new(400, body);
            if let Some(header) = header {
                response = response.with_header("x-amzn-ErrorType", header);
            }
            let expected = Fault {
                code: code.map(Into::into),
                message: message.map(Into::into),
                request_id: None,
            };
            assert_eq!(fault(&response), expected, "{body} {header:?}");
        }
        let response = HttpResponse::new(400, b"{\"__type\":\"X\",\"message\":\"\xff\"}".to_vec());
        assert_eq!(fault(&response).code.as_deref(), Some("X"));
        let response = HttpResponse::new(400, "").with_header("x-amzn-errormessage", "m");
        assert_eq!(fault(&response).message.as_deref(), Some("m"));
    }

    #[test]
    fn a_code_in_a_document_as_long_as_none_of_the_service_is_not_looked_for() {
        for (length, code) in [(LONGEST_FAULT, Some("X")), (LONGEST_FAULT + 1, None)] {
            let body = format!("{:length$}", r#"{"__type":"X"}"#);
            assert_eq!(fault(&HttpResponse::new(400, body)).code.as_deref(), code, "{length}");
        }
    }

    #[test]
    fn a_decode_error_quotes_nothing_of_the_answer() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code)]
        struct Number {
            n: u32,
        }
        let rows = [
            (r#"{"n":"SENTINEL"}"#, "the answer has a field of the wrong type (line 1, column 15)"),
            ("SENTINEL", "the answer is not JSON (line 1, column 1)"),
            ("", "the answer is empty (line 1, column 0)"),
        ];
        for (body, expected) in rows {
            let error = decode::<Number>(&HttpResponse::new(200, body)).unwrap_err();
            assert_eq!(error.0, expected);
        }
        let error = decode::<Number>(&HttpResponse::new(200, b"{\"x\":\"\xff\",\"n\":1}".to_vec()));
        assert_eq!(error.unwrap_err().0, "the answer is not text");
    }

    #[test]
    fn encoding_allocates_the_exact_size() {
        let body = encode(&["\u{1f980}\"\n", "x"]).unwrap();
        assert_eq!(&body[..], b"[\"\xf0\x9f\xa6\x80\\\"\\n\",\"x\"]");
        assert_eq!(body.capacity(), body.len());
    }
}
