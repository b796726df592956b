//! [`Certificate`]: the description of a server's certificate for the command `doctor`.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::doctor::x509::Fields;
use crate::messages::display::{rfc_3339, rounded};

/// More names than these are only counted.
const MAX_NAMES: usize = 6;

#[derive(Serialize)]
pub(crate) struct Certificate {
    subject: String,
    issuer: String,
    /// The DNS names and IP addresses of the server.
    names: Vec<String>,
    not_before: String,
    not_after: String,
    expires_in_seconds: i64,
    #[serde(skip)]
    until_begin: Option<Duration>,
}

impl Certificate {
    /// Parses a certificate. `None` if it is malformed.
    pub(crate) fn read(der: &[u8], now: SystemTime) -> Option<Self> {
        let Fields { subject, issuer, names, not_before, not_after } = Fields::read(der)?;
        Some(Self {
            subject,
            issuer,
            names,
            not_before: rfc_3339(not_before),
            not_after: rfc_3339(not_after),
            expires_in_seconds: seconds_until(not_after, now),
            until_begin: not_before.duration_since(now).ok().filter(|left| !left.is_zero()),
        })
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.subject.is_empty() { "no subject" } else { &self.subject };
        write!(f, "{subject}; issuer {}", self.issuer)?;
        let names = self.names.iter().take(MAX_NAMES).map(String::as_str);
        let names = names.collect::<Vec<_>>().join(", ");
        match self.names.len().saturating_sub(MAX_NAMES) {
            0 if names.is_empty() => f.write_str("; for no name")?,
            0 => write!(f, "; for {names}")?,
            more => write!(f, "; for {names} and {more} more")?,
        }
        if let Some(left) = self.until_begin {
            write!(f, "; begins in {} ({})", rounded(left), self.not_before)?;
        }
        let span = rounded(Duration::from_secs(self.expires_in_seconds.unsigned_abs()));
        match self.expires_in_seconds {
            ..=0 => write!(f, "; expired {span} ago ({})", self.not_after),
            1.. => write!(f, "; expires in {span} ({})", self.not_after),
        }
    }
}

fn seconds_until(time: SystemTime, now: SystemTime) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(now) {
        Ok(left) => whole(left),
        Err(past) => -whole(past.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn at(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400)
    }

    fn made(names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the server");
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        (params.not_before, params.not_after) = (at(20_000).into(), at(20_100).into());
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_described_by_its_names_its_issuer_and_its_end() {
        let der = made(&["a.example", "192.0.2.1", "::1"]);
        let who = "O=Example\\, Inc.,CN=the server";
        let rows = [
            (20_040, "expires in 60 days (2025-01-12T00:00:00Z)"),
            (20_110, "expired 10 days ago (2025-01-12T00:00:00Z)"),
            (
                19_990,
                "begins in 10 days (2024-10-04T00:00:00Z); expires in 110 days (2025-01-12T00:00:00Z)",
            ),
        ];
        for (day, end) in rows {
            let shown = Certificate::read(&der, at(day)).unwrap().to_string();
            let expected = format!("{who}; issuer {who}; for a.example, 192.0.2.1, ::1; {end}");
            assert_eq!(shown, expected);
        }
        let many = made(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        let shown = Certificate::read(&many, at(20_000)).unwrap().to_string();
        assert!(shown.contains("; for a, b, c, d, e, f and 2 more; "), "{shown}");
    }
}
