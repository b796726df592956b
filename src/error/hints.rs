//! What to do about an error whose kind says enough, as one sentence for the user.

use super::kind::ErrorKind;

pub(crate) const NOT_THE_SERVICE: &str = "check what stands between the program and AWS: a captive portal, a proxy, or a wrong endpoint URL";

/// Returns what to do about a failure of this kind.
pub(super) fn of(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Tls => Some(
            "check the device's clock, and that the transport trusts the authority that signed the certificate",
        ),
        ErrorKind::Storage => Some(
            "check that the storage works: that this user may read and write its directory, and that the disk is not full",
        ),
        ErrorKind::Throttled => Some("try again later: the service asks for fewer requests"),
        ErrorKind::Unavailable => Some("try again later: the service has an internal failure"),
        _ => None,
    }
}
