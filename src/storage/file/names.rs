//! Keys as file names, and back.

use std::fmt::Write as _;
use std::io;

use super::super::digest::digest;
use crate::random;

/// Leaves room for the suffix of a temporary file or a lock.
const LONGEST_NAME: usize = 200;

/// The length that is left of a longer name. `~` and the 32 digits of the key's digest follow.
const CUT_LENGTH: usize = LONGEST_NAME - 33;

/// What a file of a record is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Record,
    Temporary,
    Lock,
}

/// Returns the file name of a key's record.
pub(super) fn record_name(key: &str) -> io::Result<String> {
    let mut name = escape(key);
    if name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the key is empty"));
    }
    if name.len() > LONGEST_NAME {
        name.truncate(CUT_LENGTH);
        let _ = write!(name, "~{:032x}", digest(key));
    }
    Ok(name)
}

/// Returns a new name for a temporary file of the record.
pub(super) fn temporary_name(record: &str) -> String {
    format!("{record}.{:016x}", random::u64())
}

#[cfg(unix)]
pub(super) fn lock_name(record: &str) -> String {
    format!("{record}.lock")
}

/// Splits a file name into the name of its record and its kind. `None` if the file is not ours.
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

/// Returns the key of a record. `None` if the name was cut, or is no record's.
pub(super) fn key(record: &str) -> Option<String> {
    let mut key = Vec::with_capacity(record.len());
    let mut bytes = record.bytes();
    while let Some(byte) = bytes.next() {
        key.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(bytes.next()?)? * 16 + digit(bytes.next()?)?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(key).ok().filter(|key| record_name(key).is_ok_and(|name| name == record))
}

/// Whether the record's key may begin with the prefix. A cut name tells only how its key begins.
pub(super) fn may_begin_with(record: &str, escaped_prefix: &str) -> bool {
    let cut = record.split_once('~').map(|(start, _)| start).filter(|s| s.len() == CUT_LENGTH);
    record.starts_with(escaped_prefix) || cut.is_some_and(|cut| escaped_prefix.starts_with(cut))
}

/// Escapes everything except small letters, digits, `-` and `_`. FAT forbids `:` and does not
/// distinguish capital letters from small ones. An unescaped `.` would allow `../x`.
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
            assert_eq!(record_name(key).unwrap(), name);
            assert_eq!(super::key(name).as_deref(), Some(key));
        }
        assert_eq!(record_name("").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(record_name(&"x".repeat(200)).unwrap(), "x".repeat(200));
        let long = |end: &str| record_name(&format!("{}{end}", "X".repeat(200))).unwrap();
        assert_eq!(long("").len(), 200);
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn names_that_no_key_has_give_no_key() {
        let cut = record_name(&"x".repeat(201)).unwrap();
        let names = [&*cut, "", "Ann", "a:b", "%", "%4", "%4g", "%ff", "%FF", "%61nn", "k.lock"];
        for name in names {
            assert_eq!(key(name), None, "{name}");
        }
    }

    #[test]
    fn a_cut_name_belongs_to_every_prefix_that_it_does_not_rule_out() {
        let cut = record_name(&"x".repeat(201)).unwrap();
        for (prefix, may) in [(1, true), (167, true), (168, true), (300, true)] {
            assert_eq!(may_begin_with(&cut, &"x".repeat(prefix)), may, "{prefix}");
        }
        assert!(
            !may_begin_with(&cut, "y") && !may_begin_with(&cut, &format!("{}y", "x".repeat(166)))
        );
        assert!(may_begin_with("k2", "k") && !may_begin_with("k", "k2"));
    }
}
