//! The error codes of the services, and the kinds that they become.

use super::kind::{ErrorKind, Retry};

/// Returns the kind of a failed call. A known code decides. The status decides only if the
/// code is missing or unknown. `Error::service` changes the kind of two refusals.
///
/// The throttling codes are AWS's standard list without `LimitExceededException`. Cognito uses that
/// code for limits that do not end with time.
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
        "InternalErrorException"
        | "ExternalServiceException"
        | "IDPCommunicationError"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => (ErrorKind::Unavailable, Retry::AfterFailure),
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
            // 520 to 529: a content delivery network got no answer from its origin.
            408 | 500 | 502 | 503 | 504 | 520..=529 => {
                (ErrorKind::Unavailable, Retry::AfterFailure)
            }
            501 | 505..=510 | 512..=519 | 530..=599 => (ErrorKind::Unavailable, Retry::Never),
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
        // An empty code stands for no code.
        const THROTTLING: &[&str] = &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottledException",
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "TransactionInProgressException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "RequestThrottled",
            "SlowDown",
            "PriorRequestNotComplete",
            "EC2ThrottledException",
        ];
        const TRANSIENT: &[&str] = &[
            "InternalErrorException",
            "ExternalServiceException",
            "IDPCommunicationError",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ];
        const DENIED: &[&str] = &[
            "NotAuthorizedException",
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredTokenException",
            "ExpiredToken",
            "InvalidIdentityToken",
            "IDPRejectedClaim",
        ];
        const REFUSED: &[&str] = &[
            "LimitExceededException",
            "InvalidParameterException",
            "InvalidIdentityPoolConfigurationException",
            "ResourceConflictException",
            "ValidationException",
        ];
        const UNKNOWN: &[&str] =
            &["SomethingNew", "MalformedPolicyDocument", "PackedPolicyTooLarge", "requesttimeout"];
        const NONE: &[&str] = &[""];
        const STATUSES: &[u16] =
            &[200, 302, 400, 403, 404, 408, 413, 418, 429, 500, 501, 503, 511, 520, 529, 599];
        const PASSING: &[u16] =
            &[408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529];
        const LASTING: &[u16] = &[501, 505, 510, 512, 519, 530, 599];
        let rows = [
            // codes, statuses, kind, retry
            (THROTTLING, STATUSES, K::Throttled, AfterThrottling),
            (TRANSIENT, STATUSES, K::Unavailable, AfterFailure),
            (DENIED, STATUSES, K::NotAuthorized, Never),
            (REFUSED, STATUSES, K::Refused, Never),
            (&["ResourceNotFoundException"], STATUSES, K::NotFound, Never),
            (UNKNOWN, &[429], K::Throttled, AfterThrottling),
            (UNKNOWN, PASSING, K::Unavailable, AfterFailure),
            (UNKNOWN, LASTING, K::Unavailable, Never),
            (UNKNOWN, &[200, 302, 400, 403, 404, 407, 409, 413, 418, 511], K::Refused, Never),
            (NONE, &[429], K::Throttled, AfterThrottling),
            (NONE, PASSING, K::Unavailable, AfterFailure),
            (NONE, LASTING, K::Unavailable, Never),
            (NONE, &[200, 302, 400, 403, 404, 407, 409, 413, 418, 511], K::Response, Never),
        ];
        for (codes, statuses, kind, retry) in rows {
            for (code, status) in
                codes.iter().flat_map(|code| statuses.iter().map(move |s| (code, s)))
            {
                let code = Some(*code).filter(|code| !code.is_empty());
                assert_eq!(classify(code, *status), (kind, retry), "{code:?} {status}");
            }
        }
    }
}
