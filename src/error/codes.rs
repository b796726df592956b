//! The error codes of the services, and the kinds that they become.

use super::kind::{ErrorKind, Retry};

/// Returns the kind of a failed call. The code decides; the status counts only if the code is
/// unknown.
///
/// The throttling codes are AWS's standard list without `LimitExceededException`, which Cognito
/// uses for limits that waiting does not lift.
pub(super) fn classify(code: Option<&str>, status: u16) -> (ErrorKind, Retry) {
    match code.unwrap_or_default() {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "TransactionInProgressException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "EC2ThrottledException" => (ErrorKind::Throttled, Retry::AfterThrottling),
        "InternalErrorException" | "ExternalServiceException" | "IDPCommunicationError" => {
            (ErrorKind::Unavailable, Retry::AfterFailure)
        }
        "NotAuthorizedException"
        | "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidIdentityToken"
        | "InvalidIdentityTokenException"
        | "IDPRejectedClaim" => (ErrorKind::NotAuthorized, Retry::Never),
        "ResourceNotFoundException" => (ErrorKind::NotFound, Retry::Never),
        "InvalidParameterException"
        | "InvalidIdentityPoolConfigurationException"
        | "ResourceConflictException"
        | "LimitExceededException"
        | "ValidationException" => (ErrorKind::Refused, Retry::Never),
        code => match status {
            429 => (ErrorKind::Throttled, Retry::AfterThrottling),
            500 | 502 | 503 | 504 => (ErrorKind::Unavailable, Retry::AfterFailure),
            501 | 505..=510 | 512..=599 => (ErrorKind::Unavailable, Retry::Never),
            _ if code.is_empty() => (ErrorKind::Response, Retry::Never),
            _ => (ErrorKind::Refused, Retry::Never),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_before_the_status() {
        use ErrorKind as K;
        use Retry::{AfterFailure, AfterThrottling, Never};
        let rows = [
            ("TooManyRequestsException", 400, K::Throttled, AfterThrottling),
            ("SlowDown", 200, K::Throttled, AfterThrottling),
            ("LimitExceededException", 400, K::Refused, Never),
            ("LimitExceededException", 429, K::Refused, Never),
            ("", 429, K::Throttled, AfterThrottling),
            ("SomethingNew", 429, K::Throttled, AfterThrottling),
            ("InternalErrorException", 400, K::Unavailable, AfterFailure),
            ("ExternalServiceException", 400, K::Unavailable, AfterFailure),
            ("IDPCommunicationError", 400, K::Unavailable, AfterFailure),
            ("", 500, K::Unavailable, AfterFailure),
            ("", 501, K::Unavailable, Never),
            ("", 502, K::Unavailable, AfterFailure),
            ("", 503, K::Unavailable, AfterFailure),
            ("", 511, K::Response, Never),
            ("SomethingNew", 504, K::Unavailable, AfterFailure),
            ("NotAuthorizedException", 500, K::NotAuthorized, Never),
            ("NotAuthorizedException", 400, K::NotAuthorized, Never),
            ("ResourceNotFoundException", 404, K::NotFound, Never),
            ("InvalidParameterException", 400, K::Refused, Never),
            ("ExpiredTokenException", 400, K::NotAuthorized, Never),
            ("InvalidIdentityToken", 400, K::NotAuthorized, Never),
            ("IDPRejectedClaim", 403, K::NotAuthorized, Never),
            ("AccessDenied", 403, K::NotAuthorized, Never),
            ("MalformedPolicyDocument", 400, K::Refused, Never),
            ("PackedPolicyTooLarge", 400, K::Refused, Never),
            ("RegionDisabledException", 403, K::Refused, Never),
            ("SomethingNew", 418, K::Refused, Never),
            ("", 403, K::Response, Never),
            ("", 302, K::Response, Never),
        ];
        for (code, status, kind, retry) in rows {
            let code = Some(code).filter(|code| !code.is_empty());
            assert_eq!(classify(code, status), (kind, retry), "{code:?} {status}");
        }
    }
}
