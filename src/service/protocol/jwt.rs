//! JSON Web Tokens (JWT). The signature is not checked: the service does that.

use zeroize::Zeroizing;

use super::aws_json;

/// Returns a claim of a token. `parse` reads it from its JSON text.
pub(crate) fn claim<T>(token: &str, name: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
    let json = payload(token)?;
    let [claim] = aws_json::members("the token", std::str::from_utf8(&json).ok()?, [name]).ok()?;
    parse(claim?)
}

/// Returns the payload of a token, which is usually JSON. `None` if the token is not a JWT.
fn payload(token: &str) -> Option<Zeroizing<Vec<u8>>> {
    let encoded = token.split('.').nth(1)?.trim_end_matches('=');
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    for group in encoded.as_bytes().chunks(4) {
        let mut bits = 0;
        for byte in group {
            bits = bits << 6 | sextet(*byte)?;
        }
        let [_, first, second, third] = (bits << (24 - 6 * group.len())).to_be_bytes();
        bytes.extend([first, second, third].iter().take(group.len() - 1));
    }
    Some(bytes)
}

/// Returns the six bits of a character of base64url.
fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_the_second_part_in_base64url() {
        let rows = [
            ("h.e30.s", Some("{}")),
            ("h.e30=.s", Some("{}")),
            ("h.e30", Some("{}")),
            ("h.w6k_fn4-Pz4.s", Some("é?~~>?>")),
            ("h.YQ.s", Some("a")),
            ("h.YWI.s", Some("ab")),
            ("h.YWJj.s", Some("abc")),
            ("h..s", Some("")),
            ("h.Y.s", Some("")),
            ("h.e3 0.s", None),
            ("h.+/+/.s", None),
            ("h.é.s", None),
            ("opaque", None),
            ("", None),
        ];
        for (token, expected) in rows {
            let expected = expected.map(str::as_bytes);
            assert_eq!(payload(token).as_deref().map(Vec::as_slice), expected, "{token}");
        }
    }
}
