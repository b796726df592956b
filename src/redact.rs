//! Makes text from outside fit for error messages and logs.

/// The longest text that is let through, in characters.
const LONGEST: usize = 256;

/// An unbroken run of this many token characters is no word of a message: it is masked whatever it
/// is, so that a token echoed in part stays out too.
const TOKEN_RUN: usize = 80;

/// A shorter secret is none: a made-up token of a test, which may be part of any word.
const SHORTEST_SECRET: usize = 6;

const MASK: &str = "[redacted]";

/// What to mask in the text of an answer, and what looks like a secret but is none.
#[derive(Default)]
pub(crate) struct Masks<'a> {
    /// Login tokens and identity IDs of the request.
    pub(crate) secrets: Vec<&'a str>,
    /// The identity pool ID: it has the form of an identity ID, but everybody may read it.
    pub(crate) public: Option<&'a str>,
}

impl Masks<'_> {
    /// Strips control characters, masks secrets and identity IDs, and cuts to 256 characters, in
    /// that order: a secret must not come through because a control character or the cut split it.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
        for secret in &self.secrets {
            if secret.len() >= SHORTEST_SECRET && text.contains(secret) {
                text = text.replace(secret, MASK);
            }
        }
        let mut clean = String::with_capacity(text.len().min(LONGEST));
        let mut left = LONGEST;
        for word in words(&text) {
            let word = if self.looks_secret(word) { MASK } else { word };
            for c in word.chars().take(left) {
                clean.push(c);
                left -= 1;
            }
        }
        clean
    }

    fn looks_secret(&self, word: &str) -> bool {
        let id = word.trim_end_matches('.');
        (is_identity_id(id) && self.public != Some(id)) || is_token(word)
    }
}

/// Control characters, and those that reorder or hide the text around them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/_=.-:".contains(c)
}

/// Splits into runs of word characters and single other characters, losing nothing.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(|c| !is_word_char(c)).flat_map(|piece| {
        let word_end = piece.trim_end_matches(|c| !is_word_char(c)).len();
        let (word, rest) = piece.split_at(word_end);
        [word, rest]
    })
}

/// The form `REGION:GUID`.
fn is_identity_id(word: &str) -> bool {
    word.split_once(':').is_some_and(|(region, guid)| {
        !region.is_empty()
            && guid.len() == 36
            && guid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    })
}

fn is_token(word: &str) -> bool {
    word.split(':').any(|run| run.len() >= TOKEN_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "12345678-dead-beef-cafe-123456790ab0";

    #[test]
    fn texts_come_out_clean() {
        let id = format!("us-east-1:{GUID}");
        let pool = format!("eu-west-1:{GUID}");
        let jwt = format!("eyJ{}.eyJ{}.sig", "a".repeat(60), "b".repeat(60));
        let masks = Masks { secrets: vec!["sesame", "two words", "t", ""], public: Some(&pool) };
        let rows = [
            ("plain".to_owned(), "plain".to_owned()),
            ("a sesame b".into(), "a [redacted] b".into()),
            ("ses\u{1b}ame".into(), "[redacted]".into()),
            ("x two words y".into(), "x [redacted] y".into()),
            (
                format!("Access to Identity '{id}' is forbidden."),
                "Access to Identity '[redacted]' is forbidden.".into(),
            ),
            (format!("see {id}."), "see [redacted]".into()),
            (
                format!("IdentityPool '{pool}' not found."),
                format!("IdentityPool '{pool}' not found."),
            ),
            (format!("token {jwt}!"), "token [redacted]!".into()),
            ("\u{1b}[31mred\u{7}\r\n\0".into(), "[31mred".into()),
            ("a\u{202e}b\u{feff}".into(), "ab".into()),
            ("é ".repeat(200), "é ".repeat(128)),
        ];
        for (text, expected) in rows {
            assert_eq!(masks.clean(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_secret_across_the_cut_leaves_no_part() {
        let masks = Masks { secrets: vec!["SENTINEL"], public: None };
        let text = format!("{}SENTINEL", "- ".repeat(126));
        assert!(!masks.clean(&text).contains("SEN"));
    }
}
