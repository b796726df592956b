//! File names for keys, and back.

use std::fmt::Write as _;
use std::io;

use super::super::digest::digest;
use crate::random;

/// The limit of 120 bytes includes the 17 bytes of the suffix of a temporary file. eCryptfs allows
/// 143 bytes. Other file systems allow fewer in some settings.
const MAX_NAME_LEN: usize = 120 - 17;

/// The limit in earlier versions.
const EARLIER_MAX_NAME_LEN: usize = 200;

/// A cut name ends with `~` and the 32 digits of the key's digest.
const DIGEST_LENGTH: usize = 33;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Record,
    Temporary,
    Lock,
}

pub(super) struct Names {
    pub(super) record: String,
    /// The name in earlier versions, if it was a different one.
    pub(super) earlier: Option<String>,
    /// If the name is cut, the file begins with this: the whole key, escaped, and a line feed.
    pub(super) header: Option<String>,
}

impl Names {
    /// Returns the earlier name if it is not cut. A record with a cut earlier name is never read.
    pub(super) fn earlier_uncut(&self) -> Option<&str> {
        self.earlier.as_deref().filter(|name| !name.contains('~'))
    }

    pub(super) fn contains(&self, record: &str) -> bool {
        self.record == record || self.earlier.as_deref() == Some(record)
    }
}

pub(super) fn names(key: &str) -> io::Result<Names> {
    let escaped = escape_whole(key)?;
    let is_cut = escaped.len() > MAX_NAME_LEN;
    let earlier = is_cut.then(|| cut(escaped.clone(), key, EARLIER_MAX_NAME_LEN));
    let header = is_cut.then(|| format!("{escaped}\n"));
    Ok(Names { record: cut(escaped, key, MAX_NAME_LEN), earlier, header })
}

fn cut(mut name: String, key: &str, longest: usize) -> String {
    if name.len() > longest {
        name.truncate(longest - DIGEST_LENGTH);
        let _ = write!(name, "~{:032x}", digest(key));
    }
    name
}

pub(super) fn temporary_name(record: &str) -> String {
    format!("{record}.{:016x}", random::u64())
}

#[cfg(unix)]
pub(super) fn lock_name(key: &str) -> io::Result<String> {
    let mut name = cut(escape_whole(key)?, key, MAX_NAME_LEN);
    name.push_str(".lock");
    Ok(name)
}

fn escape_whole(key: &str) -> io::Result<String> {
    if key.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the key is empty"));
    }
    Ok(escape(key))
}

/// Splits a file name into the name of its record and its kind. Returns `None` for other files.
pub(super) fn parse(name: &str) -> Option<(&str, FileKind)> {
    let is_random =
        |suffix: &str| suffix.len() == 16 && suffix.bytes().all(|b| b.is_ascii_hexdigit());
    match name.split_once('.') {
        None => Some((name, FileKind::Record)),
        Some((record, "lock")) => Some((record, FileKind::Lock)),
        Some((record, suffix)) if is_random(suffix) => Some((record, FileKind::Temporary)),
        Some(_) => None,
    }
}

/// Returns the key from `escaped`, which is the name or the header of `record`. Returns `None` if
/// that key does not belong to this record.
pub(super) fn key(record: &str, escaped: &str) -> Option<String> {
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        key.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(bytes.next()?)? * 16 + digit(bytes.next()?)?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(key).ok().filter(|key| names(key).is_ok_and(|names| names.contains(record)))
}

/// Returns `true` if the file begins with its key because the name is cut. Earlier versions wrote
/// no key.
pub(super) fn has_header(record: &str) -> bool {
    uncut_part(record).is_some_and(|part| part.len() + DIGEST_LENGTH == MAX_NAME_LEN)
}

/// Returns `true` if the record's key may begin with the prefix. A cut name has only the start of
/// the key.
pub(super) fn may_begin_with(record: &str, escaped_prefix: &str) -> bool {
    let part = uncut_part(record);
    record.starts_with(escaped_prefix) || part.is_some_and(|part| escaped_prefix.starts_with(part))
}

/// Returns the part of the key that a cut name has.
fn uncut_part(record: &str) -> Option<&str> {
    let lengths = [MAX_NAME_LEN, EARLIER_MAX_NAME_LEN];
    let (part, _) = record.split_once('~')?;
    lengths.contains(&(part.len() + DIGEST_LENGTH)).then_some(part)
}

/// Escapes everything but lower-case letters, digits, `-` and `_`. FAT forbids `:` and ignores
/// case. An unescaped `.` would allow `../x`.
pub(super) fn escape(key: &str) -> String {
    let mut name = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_name(key: &str) -> String {
        names(key).unwrap().record
    }

    #[test]
    fn keys_become_names_that_every_file_system_takes() {
        let rows = [
            ("us-east-1:0a/ann", "us-east-1%3A0a%2Fann"),
            ("../x", "%2E%2E%2Fx"),
            ("Ann", "%41nn"),
            ("%41nn", "%2541nn"),
            ("\u{e9}\0", "%C3%A9%00"),
        ];
        for (key, name) in rows {
            assert_eq!(record_name(key), name);
            assert_eq!(super::key(name, name).as_deref(), Some(key));
        }
        assert_eq!(names("").err().unwrap().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_name_has_at_most_120_bytes_whatever_the_key_and_the_suffix() {
        // the length of the key, and the earlier name
        let rows = [
            (1, "the same"),
            (103, "the same"),
            (104, "whole"),
            (200, "whole"),
            (201, "cut"),
            (5000, "cut"),
        ];
        for letter in ["x", "X", "\u{e9}"] {
            for (length, earlier_is) in rows {
                let key = letter.repeat(length);
                let names = names(&key).unwrap();
                let temporary = temporary_name(&names.record);
                let lock = lock_name(&key).unwrap();
                assert!(temporary.len() <= 120 && lock.len() <= 120, "{key}");
                assert!(parse(&lock) == Some((&names.record, FileKind::Lock)), "{key}");
                assert!(parse(&temporary) == Some((&names.record, FileKind::Temporary)), "{key}");
                assert_ne!(record_name(&format!("{key}a")), record_name(&format!("{key}b")));
                if letter != "x" {
                    continue;
                }
                let says = match &names.earlier {
                    None => "the same",
                    Some(earlier) if *earlier == key => "whole",
                    Some(earlier) => {
                        assert_eq!(*earlier, format!("{}~{:032x}", "x".repeat(167), digest(&key)));
                        "cut"
                    }
                };
                assert_eq!(says, earlier_is, "{length}");
                assert_eq!(names.earlier_uncut().is_some(), earlier_is == "whole", "{length}");
                let listed = names.earlier.as_deref().and_then(|name| super::key(name, name));
                assert_eq!(listed, (earlier_is == "whole").then_some(key), "{length}");
            }
        }
    }

    #[test]
    fn names_that_no_key_has_give_no_key() {
        let cut = record_name(&"x".repeat(104));
        let names = [&*cut, "", "Ann", "a:b", "%", "%4", "%4g", "%ff", "%FF", "%61nn", "k.lock"];
        for name in names {
            assert_eq!(key(name, name), None, "{name}");
        }
    }

    #[test]
    fn a_cut_name_belongs_to_every_prefix_that_it_does_not_rule_out() {
        let names = names(&"x".repeat(201)).unwrap();
        // a cut name, and how many bytes of the key it has
        for (cut, told) in [(names.record, 70), (names.earlier.unwrap(), 167)] {
            for prefix in [1, told, told + 1, 300] {
                assert!(may_begin_with(&cut, &"x".repeat(prefix)), "{prefix}");
            }
            let other = format!("{}y", "x".repeat(told - 1));
            assert!(!may_begin_with(&cut, "y") && !may_begin_with(&cut, &other));
        }
        assert!(may_begin_with("k2", "k") && !may_begin_with("k", "k2"));
    }
}
