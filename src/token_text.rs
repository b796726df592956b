//! Checks the text of a token: printable ASCII without spaces. The library checks every login token
//! with it. The command also compiles this file, to check secrets from variables and commands.

/// Returns the token in `bytes`, without a byte order mark and white space around it, or what is
/// wrong. The message follows the name of a file, a variable or a command.
pub(crate) fn token_in(bytes: &[u8]) -> Result<&str, &'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is UTF-16; save it as UTF-8");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
    let token = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    token_text_fault(token).map_or(Ok(token), Err)
}

/// Returns why the text cannot be a token, or `None` if it can.
pub(crate) fn token_text_fault(token: &str) -> Option<&'static str> {
    let begins =
        |word: &str| token.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
    if token.is_empty() {
        return Some("is empty");
    }
    if token.starts_with(['{', '[']) {
        return Some("is JSON; give only the token in it");
    }
    if token.starts_with(['"', '\'']) {
        return Some("is in quotes; give only the token");
    }
    if begins("Bearer ") {
        return Some("begins with Bearer; give only what follows it");
    }
    match token.chars().find(|c| !c.is_ascii_graphic()) {
        None => None,
        Some('\0') => Some("has a NUL character; give only the token, as UTF-8"),
        Some(c) if c.is_whitespace() => Some("has white space in it; give only the token"),
        Some(c) if c.is_control() => Some("has a control character; give only the token"),
        Some(_) => Some(
            "has a character that is not allowed, perhaps an invisible one; copy the token again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_printable_ascii_without_spaces() {
        const EMPTY: &str = "is empty";
        const UTF_16: &str = "is UTF-16";
        const JSON: &str = "is JSON";
        const QUOTES: &str = "is in quotes";
        const BEARER: &str = "begins with Bearer";
        const NUL: &str = "has a NUL";
        const SPACE: &str = "has white space in it";
        const CONTROL: &str = "has a control character";
        const INVISIBLE: &str = "has a character that is not allowed";
        // The bytes of a file, and the token in it or the beginning of the message.
        let rows: [(&[u8], Result<&str, &str>); 44] = [
            (b"a.b-c_d", Ok("a.b-c_d")),
            (b"a+/=~!{}\"'", Ok("a+/=~!{}\"'")),
            (b"Bearer", Ok("Bearer")),
            (b"Bearer.x", Ok("Bearer.x")),
            (b"x\n", Ok("x")),
            (b" \t\r\n x \r\n\t\x0b\x0c", Ok("x")),
            ("\u{a0}x\u{2028}\u{3000}".as_bytes(), Ok("x")),
            (b"\xef\xbb\xbfx", Ok("x")),
            (b"\xef\xbb\xbf x\r\n", Ok("x")),
            (b"", Err(EMPTY)),
            (b" \r\n", Err(EMPTY)),
            (b"\xef\xbb\xbf", Err(EMPTY)),
            (b"\xef\xbb\xbf\n", Err(EMPTY)),
            (b"\xff\xfex\0", Err(UTF_16)),
            (b"\xfe\xff\0x", Err(UTF_16)),
            (b"\xff\xfe", Err(UTF_16)),
            (b"\xff", Err("is not UTF-8")),
            (b"x\xc3", Err("is not UTF-8")),
            (b"{\"id_token\": \"x\"}", Err(JSON)),
            (b"\n[\"x\"]", Err(JSON)),
            (b"\xef\xbb\xbf{}", Err(JSON)),
            (b"\"x\"\n", Err(QUOTES)),
            (b"'x'", Err(QUOTES)),
            (b"\"x", Err(QUOTES)),
            (b"Bearer x", Err(BEARER)),
            (b"bearer x", Err(BEARER)),
            (b" BEARER  x\n", Err(BEARER)),
            (b"Bearer\tx", Err(SPACE)),
            (b"x\0", Err(NUL)),
            (b"x\0\n", Err(NUL)),
            (b"\0x", Err(NUL)),
            (b"x\0y\0", Err(NUL)),
            (b"x y", Err(SPACE)),
            (b"x\ny", Err(SPACE)),
            (b"x\r\ny\r\n", Err(SPACE)),
            ("x\u{a0}y".as_bytes(), Err(SPACE)),
            (b"x\x1b[31m", Err(CONTROL)),
            (b"x\x7f", Err(CONTROL)),
            (b"\x08x", Err(CONTROL)),
            ("x\u{200b}".as_bytes(), Err(INVISIBLE)),
            ("\u{200b}x".as_bytes(), Err(INVISIBLE)),
            ("x\u{feff}y".as_bytes(), Err(INVISIBLE)),
            ("\u{feff}\u{feff}x".as_bytes(), Err(INVISIBLE)),
            ("eyJ\u{2026}".as_bytes(), Err(INVISIBLE)),
        ];
        for (bytes, expected) in rows {
            match (token_in(bytes), expected) {
                (Ok(token), Ok(expected)) => assert_eq!(token, expected, "{bytes:?}"),
                (Err(fault), Err(begin)) => {
                    assert!(fault.starts_with(begin), "{bytes:?}: {fault}, not {begin}");
                }
                (found, _) => panic!("{bytes:?}: {found:?}, not {expected:?}"),
            }
        }
    }
}
