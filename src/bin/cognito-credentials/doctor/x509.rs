//! [`Fields`]: the names and times of an X.509 certificate.
//!
//! This code only reads the fields, and checks nothing. x509-cert would make the command 270 KB
//! larger, mostly for a table of all object identifiers.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The short names of RFC 4514, and other attributes in certificates of servers.
const ATTRIBUTES: [(&[u8], &str); 11] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

pub(crate) struct Fields {
    /// As in RFC 4514, with the most specific part first.
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) names: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Fields {
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut fields =
            Elements(Elements(der).expect(SEQUENCE)?).expect(SEQUENCE).map(Elements)?;
        if fields.0.first() == Some(&VERSION) {
            fields.next();
        }
        let (_serial_number, _algorithm) = (fields.next()?, fields.next()?);
        let issuer = distinguished_name(fields.expect(SEQUENCE)?)?;
        let mut validity = Elements(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = distinguished_name(fields.expect(SEQUENCE)?)?;
        let names = match fields.find(|(tag, _)| *tag == EXTENSIONS) {
            Some((_, extensions)) => alternative_names(Elements(extensions).expect(SEQUENCE)?),
            None => Vec::new(),
        };
        Some(Self { subject, issuer, names, not_before, not_after })
    }
}

/// Iterates over the elements in a value: the tag and the content of each. Ends at a malformed
/// element.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = std::mem::take(&mut self.0).split_first()?;
        let (&first, rest) = rest.split_first()?;
        // From 0x80 on, this byte says how many bytes of length follow.
        let (length, rest) = match first.checked_sub(0x80) {
            None => (usize::from(first), rest),
            Some(count @ 1..=3) => {
                let (bytes, rest) = rest.split_at_checked(count.into())?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            Some(_) => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

fn distinguished_name(content: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    for (tag, part) in Elements(content) {
        let mut text = String::new();
        for (_, attribute) in Elements(part) {
            let mut attribute = Elements(attribute);
            let kind = attribute.expect(OBJECT_IDENTIFIER)?;
            let (tag, value) = attribute.next()?;
            if !text.is_empty() {
                text.push('+');
            }
            match ATTRIBUTES.iter().find(|(known, _)| *known == kind) {
                Some((_, name)) => text.push_str(name),
                None => write_dotted(&mut text, kind),
            }
            text.push('=');
            write_escaped(&mut text, &string(tag, value));
        }
        (tag == SET).then_some(())?;
        parts.push(text);
    }
    parts.reverse();
    Some(parts.join(","))
}

fn write_dotted(text: &mut String, identifier: &[u8]) {
    let mut number = 0_u64;
    let mut is_first = true;
    for byte in identifier {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            let root = (number / 40).min(2);
            let _ = write!(text, "{root}.{}", number - root * 40);
            is_first = false;
        } else {
            let _ = write!(text, ".{number}");
        }
        number = 0;
    }
}

fn string(tag: u8, value: &[u8]) -> String {
    if tag == BMP_STRING {
        let units =
            value.chunks_exact(2).map(|unit| unit.iter().fold(0, |a, b| a << 8 | u16::from(*b)));
        return char::decode_utf16(units)
            .map(|it| it.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
    }
    String::from_utf8_lossy(value).into_owned()
}

fn write_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, c) in value.char_indices() {
        if c.is_ascii_control() {
            let _ = write!(text, "\\{:02x}", u32::from(c));
            continue;
        }
        let is_special = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => at == 0,
            ' ' => at == 0 || at == last,
            _ => false,
        };
        if is_special {
            text.push('\\');
        }
        text.push(c);
    }
}

fn time((tag, text): (u8, &[u8])) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // The year has two digits and is in 1950 to 2049.
        UTC_TIME if text.len() == 12 => format!("{}{text}", if text < "5" { "20" } else { "19" }),
        GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    let mut parsed = String::new();
    for (at, c) in text.char_indices() {
        match at {
            4 | 6 => parsed.push('-'),
            8 => parsed.push('T'),
            10 | 12 => parsed.push(':'),
            _ => {}
        }
        parsed.push(c);
    }
    parsed.push('Z');
    humantime::parse_rfc3339(&parsed).ok()
}

fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for (_, extension) in Elements(extensions) {
        let mut extension = Elements(extension);
        if extension.expect(OBJECT_IDENTIFIER) != Some(SUBJECT_ALTERNATIVE_NAME) {
            continue;
        }
        // A flag for critical extensions may come before the value.
        let Some((_, value)) = extension.last() else { continue };
        let Some(value) = Elements(value).expect(SEQUENCE) else { continue };
        names.extend(Elements(value).filter_map(|(tag, name)| match tag {
            DNS_NAME => Some(String::from_utf8_lossy(name).into_owned()),
            IP_ADDRESS => address(name).map(|address| address.to_string()),
            _ => None,
        }));
    }
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyPair};
    use std::time::Duration;

    fn params(name: &[(DnType, DnValue)]) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["a.example".into(), "::1".into()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in name {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params
    }

    fn made(params: &CertificateParams) -> Vec<u8> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_written_as_rfc_4514_has_it() {
        let oid = |numbers: &[u64]| DnType::CustomDnType(numbers.to_vec());
        let bmp = DnValue::BmpString(BmpString::try_from("Zürich").unwrap());
        let rows = [
            (vec![], ""),
            (vec![(DnType::CommonName, "é 漢".into())], "CN=é 漢"),
            (vec![(DnType::CommonName, "\u{1b}[m\r\0\u{7f}".into())], "CN=\\1b[m\\0d\\00\\7f"),
            (vec![(DnType::LocalityName, bmp)], "L=Zürich"),
            (
                vec![
                    (DnType::CountryName, "CH".into()),
                    (DnType::StateOrProvinceName, " a,b+c\"d\\e<f>g;h ".into()),
                    (DnType::OrganizationName, "#1 # 2".into()),
                    (DnType::OrganizationalUnitName, " ".into()),
                ],
                "OU=\\ ,O=\\#1 # 2,ST=\\ a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h\\ ,C=CH",
            ),
            (
                vec![
                    (oid(&[0, 9, 2342, 19_200_300, 100, 1, 25]), "example".into()),
                    (oid(&[0, 9, 2342, 19_200_300, 100, 1, 1]), "user".into()),
                    (oid(&[1, 2, 840, 113_549, 1, 9, 1]), "a@b.example".into()),
                    (oid(&[2, 5, 4, 5]), "7".into()),
                    (oid(&[2, 999, 128]), "x".into()),
                ],
                "2.999.128=x,serialNumber=7,emailAddress=a@b.example,UID=user,DC=example",
            ),
        ];
        for (name, expected) in rows {
            let read = Fields::read(&made(&params(&name))).unwrap();
            assert_eq!((&*read.subject, &*read.issuer), (expected, expected));
            assert_eq!(read.names, ["a.example", "::1"]);
        }
    }

    #[test]
    fn times_of_both_forms_are_read() {
        let date = rcgen::date_time_ymd;
        for (year, seconds) in [
            (1970, 0),
            (1999, 915_148_800),
            (2049, 2_493_072_000),
            (2050, 2_524_608_000),
            (9999, 253_370_764_800),
        ] {
            let mut params = params(&[]);
            (params.not_before, params.not_after) = (date(year, 1, 1), date(year, 1, 1));
            let read = Fields::read(&made(&params)).unwrap();
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!((read.not_before, read.not_after), (expected, expected), "{year}");
        }
        for (tag, text) in [
            (UTC_TIME, "2501010000Z"),
            (UTC_TIME, "250101000000+0100"),
            (UTC_TIME, "251301000000Z"),
            (UTC_TIME, "éééééé"),
            (GENERALIZED_TIME, "20250101000000.5Z"),
            (0x04, "250101000000Z"),
        ] {
            assert_eq!(time((tag, text.as_bytes())), None, "{text}");
        }
    }

    #[test]
    fn a_critical_extension_is_read_and_a_malformed_one_is_left_out() {
        let names = [0x30, 3, 0x82, 1, b'b'];
        for (content, critical, expected) in [
            (names.to_vec(), true, &["b"][..]),
            (names.to_vec(), false, &["b"]),
            (vec![0x30, 0x84, 1], false, &[]),
            (vec![], false, &[]),
        ] {
            let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
            extension.set_criticality(critical);
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.custom_extensions = vec![extension];
            assert_eq!(Fields::read(&made(&params)).unwrap().names, expected);
        }
    }

    #[test]
    fn a_truncated_certificate_is_not_read() {
        let der = made(&params(&[(DnType::CommonName, "a".into())]));
        assert!(Fields::read(&der).is_some());
        for length in 0..der.len() {
            assert!(Fields::read(&der[..length]).is_none(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_changed_certificate_causes_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut der = made(&params(&[(DnType::CommonName, "a".into())]));
            for (at, byte) in changes {
                *at.get_mut(&mut der[..]) = byte;
            }
            let _ = Fields::read(&der);
        }

        #[test]
        fn no_bytes_cause_a_panic(der in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Fields::read(&der);
        }
    }
}
