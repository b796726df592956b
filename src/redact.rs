//! Removes secrets and control characters from text that goes into error messages and logs.

use zeroize::Zeroizing;

/// A longer text is cut to this number of characters.
const MAX_TEXT_LEN: usize = 256;

/// A run of this many token characters is masked. It may be a part of a token, because no word of a
/// message is so long.
const TOKEN_RUN: usize = 80;

/// A shorter secret is not masked. Only tests use such tokens, and they may be part of any word.
const MIN_SECRET_LEN: usize = 6;

const MASK: &str = "[redacted]";

/// Cleans text, and masks the secrets in it.
#[derive(Default)]
pub(crate) struct Redactor<'a> {
    /// The login tokens and identity IDs of the request.
    pub(crate) secrets: Vec<&'a str>,
    /// The identity pool ID. It looks like an identity ID, but it is not secret.
    pub(crate) public: Option<&'a str>,
}

/// Cleans text that belongs to no request. No secret is known then.
pub(crate) fn clean(text: &str) -> String {
    Redactor::default().clean(text)
}

/// Returns `true` if a text has no character that [`clean`] would remove.
pub(crate) fn is_visible(text: &str) -> bool {
    !text.chars().any(is_invisible)
}

/// Removes white space, and characters that [`clean`] removes, from both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

impl Redactor<'_> {
    /// Removes control characters, masks secrets and identity IDs, and cuts to 256 characters, in
    /// this order, because a control character or the cut may split a secret.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = without_invisible(text);
        // The longest first, because one may be the beginning of another.
        let fits = |secret: &&&str| fits_in(secret, text.len());
        let mut secrets: Vec<_> =
            self.secrets.iter().filter(fits).map(|s| without_invisible(s)).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.trim().len()));
        for secret in &secrets {
            let secret = secret.trim();
            if secret.len() >= MIN_SECRET_LEN && text.contains(secret) {
                text = mask(&text, secret);
            }
        }
        let text = self.without_identity_ids(&text);
        let mut clean = String::with_capacity(text.len().min(MAX_TEXT_LEN));
        let mut left = MAX_TEXT_LEN;
        for word in words(&text) {
            let word = if is_token(word) { MASK } else { word };
            for c in word.chars().take(left) {
                clean.push(c);
                left -= 1;
            }
        }
        clean
    }

    /// Cleans a request ID, which is usually a GUID. Masks a GUID that contains a secret or is part
    /// of one. If the answer may `mint` an identity, masks every GUID, because the new identity ID
    /// is a secret that is not known here.
    pub(crate) fn request_id(&self, id: &str, mint: bool) -> String {
        let part = |secret: &str| secret.len() >= MIN_SECRET_LEN && id.contains(secret);
        let secret = |secret: &&str| contains_guid(secret, id) || part(secret.trim());
        if !is_guid(id) {
            return self.clean(id);
        }
        let shown = if mint || self.secrets.iter().any(secret) { MASK } else { id };
        shown.to_owned()
    }

    /// Masks every GUID except the pool's, because it may be part of an identity ID.
    fn without_identity_ids(&self, text: &str) -> Zeroizing<String> {
        let public = self.public.and_then(|id| id.split_once(':')).map_or("", |(_, guid)| guid);
        let mut clean = Zeroizing::new(String::with_capacity(text.len()));
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (piece, length) = match rest.get(..GUID) {
                Some(guid) if is_guid(guid) && guid != public => (MASK, GUID),
                _ => (rest.get(..c.len_utf8()).unwrap_or_default(), c.len_utf8()),
            };
            clean.push_str(piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        clean
    }
}

/// Returns `true` if a secret contains this GUID, in upper or lower case.
fn contains_guid(secret: &str, guid: &str) -> bool {
    secret.match_indices('-').any(|(hyphen, _)| {
        let part = hyphen.checked_sub(8).and_then(|at| secret.get(at..at + GUID));
        part.is_some_and(|part| part.eq_ignore_ascii_case(guid))
    })
}

/// Removes invisible characters. The result may hold secrets, so it is wiped and never grows.
fn without_invisible(text: &str) -> Zeroizing<String> {
    let mut visible = Zeroizing::new(String::with_capacity(text.len()));
    visible.extend(text.chars().filter(|c| !is_invisible(*c)));
    visible
}

/// Returns `true` if a text of this length can contain the secret. Most tokens are longer than any
/// message. This check needs no copy of them.
fn fits_in(secret: &str, length: usize) -> bool {
    secret.bytes().filter(u8::is_ascii_graphic).nth(length).is_none()
}

/// Masks one secret. The result may hold other secrets, so it is wiped and never grows.
fn mask(text: &str, secret: &str) -> Zeroizing<String> {
    let masks = text.matches(secret).count() * MASK.len();
    let mut masked = Zeroizing::new(String::with_capacity(text.len() + masks));
    for (number, piece) in text.split(secret).enumerate() {
        masked.push_str(if number == 0 { "" } else { MASK });
        masked.push_str(piece);
    }
    masked
}

/// Returns `true` if this is a control character, or one that reorders or hides the text around it.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
                | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/_=.-:".contains(c)
}

/// Splits a text into runs of word characters and single other characters. Together they are the
/// whole text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(|c| !is_word_char(c)).flat_map(|piece| {
        let word_end = piece.trim_end_matches(|c| !is_word_char(c)).len();
        let (word, rest) = piece.split_at(word_end);
        [word, rest]
    })
}

/// The length of a GUID.
const GUID: usize = 36;

/// Returns `true` if the text has the form `8-4-4-4-12`.
fn is_guid(text: &str) -> bool {
    text.len() == GUID
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_token(word: &str) -> bool {
    word.split(':').any(|run| run.len() >= TOKEN_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_loses_secrets_identity_ids_and_invisible_characters() {
        let id = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
        let pool = "eu-west-1:87654321-dead-beef-cafe-123456790ab0".to_owned();
        let guid = id.split_once(':').unwrap().1;
        let jwt = format!("eyJ{}.eyJ{}.sig", "a".repeat(60), "b".repeat(60));
        let redactor = Redactor {
            secrets: vec![
                "sesame",
                "sesame-street",
                "line-end\n",
                " spaced ",
                "two words",
                "t",
                "",
            ],
            public: Some(&pool),
        };
        let rows = [
            ("plain".to_owned(), "plain".to_owned()),
            ("a sesame b".into(), "a [redacted] b".into()),
            ("ses\u{1b}ame".into(), "[redacted]".into()),
            ("x two words y".into(), "x [redacted] y".into()),
            ("a sesame-street b".into(), "a [redacted] b".into()),
            ("a line-end b spaced-out".into(), "a [redacted] b [redacted]-out".into()),
            (
                format!("Access to Identity '{id}' is forbidden."),
                "Access to Identity 'us-east-1:[redacted]' is forbidden.".into(),
            ),
            (format!("see {id}."), "see us-east-1:[redacted].".into()),
            (format!("é{guid}é x{guid}{guid}"), "é[redacted]é x[redacted][redacted]".into()),
            (
                format!("arn:aws:cognito-identity:us-east-1:1234:identity/{id} us-east-1%3A{guid}="),
                "arn:aws:cognito-identity:us-east-1:1234:identity/us-east-1:[redacted] us-east-1%3A[redacted]=".into(),
            ),
            (
                format!("IdentityPool '{pool}' not found."),
                format!("IdentityPool '{pool}' not found."),
            ),
            (format!("token {jwt}!"), "token [redacted]!".into()),
            ("\u{1b}[31mred\u{7}\r\n\0".into(), "[31mred".into()),
            ("a\u{202e}b\u{feff}".into(), "ab".into()),
            ("\u{61c}a\u{ad}\u{180e}b\u{fff9}\u{e0041}\u{2066}".into(), "ab".into()),
            ("\u{34f}a\u{600}\u{3164}b\u{fe0f}\u{1d173}\u{e0100}\u{9b}".into(), "ab".into()),
            ("é ".repeat(200), "é ".repeat(128)),
        ];
        for (text, expected) in rows {
            assert_eq!(redactor.clean(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_guid_of_a_request_stays_and_the_guid_of_a_secret_is_masked() {
        let guid = "d0f4f0a5-6d37-4c9a-9c3b-0b8ff6d5f7a1";
        let identity = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
        let token = "0a0a0a0a-0b0b-0c0c-0d0d-0e0e0e0e0e0e";
        let login = format!("x-{token}:5f0c");
        let redactor = Redactor { secrets: vec![identity, &login, "2c2c-2d2d-2e2e"], public: None };
        let rows = [
            (guid.to_owned(), guid.to_owned()),
            ("1b1b1b1b-0b0b-2c2c-2d2d-2e2e1e1e1e1e".to_owned(), MASK.to_owned()),
            (identity[10..].to_owned(), MASK.to_owned()),
            (identity[10..].to_uppercase(), MASK.to_owned()),
            (identity.to_owned(), "[redacted]".to_owned()),
            (token.to_owned(), MASK.to_owned()),
            (format!("{guid} "), "[redacted] ".to_owned()),
            (format!("{guid}\u{7}"), MASK.to_owned()),
            (String::new(), String::new()),
            ("request-1".to_owned(), "request-1".to_owned()),
        ];
        for (id, expected) in rows {
            assert_eq!(redactor.request_id(&id, false), expected, "{id:?}");
            let minting = if id == guid { MASK } else { &expected };
            assert_eq!(redactor.request_id(&id, true), minting, "{id:?}");
        }
    }

    #[test]
    fn a_secret_with_many_invisible_characters_is_found_in_a_short_text() {
        let hidden = format!("{}SEN\u{200b}TINEL{}", " ".repeat(50), "\u{7}".repeat(50));
        let redactor = Redactor { secrets: vec![&hidden], public: None };
        assert_eq!(redactor.clean("SENTINEL"), MASK);
    }

    #[test]
    fn a_secret_across_the_cut_leaves_no_part() {
        let redactor = Redactor { secrets: vec!["SENTINEL"], public: None };
        let text = format!("{}SENTINEL", "- ".repeat(126));
        assert!(!redactor.clean(&text).contains("SEN"));
    }
}
