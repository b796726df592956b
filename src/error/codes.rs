//! The error codes and messages of the services, and what they mean.

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
            // From 520 on are those of content delivery networks whose origin did not answer.
            408 | 500 | 502 | 503 | 504 | 520..=529 => {
                (ErrorKind::Unavailable, Retry::AfterFailure)
            }
            501 | 505..=510 | 512..=519 | 530..=599 => (ErrorKind::Unavailable, Retry::Never),
            _ if code.is_empty() => (ErrorKind::Response, Retry::Never),
            _ => (ErrorKind::Refused, Retry::Never),
        },
    }
}

/// What the service refused, as its code and message say. The code `NotAuthorizedException` has
/// many meanings, which only the message tells apart. After an `Unknown` refusal a refresh forgets
/// nothing and tries nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    IdentityForbidden,
    IdentityNotFound,
    PoolNotFound,
    LoginsMismatch,
    TokenExpired,
    TokenInvalid,
    IssuerMismatch,
    CognitoTokenMisplaced,
    GuestsDisabled,
    NoLoginProviders,
    NoRoleForIdentity,
    LoginConflict,
    OpenIdTokenRejected,
    RoleRefused,
    /// A user pool refused the refresh token or the user.
    #[cfg(feature = "user-pool")]
    SignIn,
    /// A user pool refused the app client's secret.
    #[cfg(feature = "user-pool")]
    ClientSecret,
    /// A user pool does not know the app client.
    #[cfg(feature = "user-pool")]
    AppClientNotFound,
    /// The app client does not allow this operation, or not in this form.
    #[cfg(feature = "user-pool")]
    AuthFlowDisabled,
    Unknown,
}

impl Refusal {
    pub(super) fn of(code: Option<&str>, message: &str) -> Self {
        let says = |text: &str| message.contains(text);
        match code.unwrap_or_default() {
            "NotAuthorizedException" if message.starts_with("Access to Identity") => {
                Self::IdentityForbidden
            }
            "NotAuthorizedException" if message.starts_with("Invalid login token") => {
                if says("Token expired") {
                    Self::TokenExpired
                } else if says("Issuer doesn't match") {
                    Self::IssuerMismatch
                } else if says("Can't pass in a Cognito token") {
                    Self::CognitoTokenMisplaced
                } else {
                    Self::TokenInvalid
                }
            }
            "NotAuthorizedException" if message.starts_with("Logins don't match") => {
                Self::LoginsMismatch
            }
            "NotAuthorizedException" if message.starts_with("Unauthenticated access") => {
                Self::GuestsDisabled
            }
            "NotAuthorizedException" if says("does not have identity providers") => {
                Self::NoLoginProviders
            }
            "ResourceNotFoundException" if message.starts_with("IdentityPool") => {
                Self::PoolNotFound
            }
            "ResourceNotFoundException" if message.starts_with("Identity ") => {
                Self::IdentityNotFound
            }
            "InvalidIdentityPoolConfigurationException" => Self::NoRoleForIdentity,
            "ResourceConflictException" => Self::LoginConflict,
            "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidIdentityToken"
            | "InvalidIdentityTokenException" => Self::OpenIdTokenRejected,
            "AccessDenied" | "AccessDeniedException" | "IDPRejectedClaim" => Self::RoleRefused,
            _ => Self::Unknown,
        }
    }

    /// Reads the refusal of a user pool. Its calls only exchange a refresh token, so a
    /// `NotAuthorizedException` with an unknown message is about that token.
    #[cfg(feature = "user-pool")]
    pub(super) fn of_user_pool(code: &str, message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        match code {
            "NotAuthorizedException" if message.contains("secret") => Self::ClientSecret,
            "NotAuthorizedException" if message.contains("not enabled") => Self::AuthFlowDisabled,
            "NotAuthorizedException"
            | "RefreshTokenReuseException"
            | "UserNotFoundException"
            | "UserNotConfirmedException"
            | "PasswordResetRequiredException" => Self::SignIn,
            "ResourceNotFoundException" => Self::AppClientNotFound,
            "InvalidParameterException"
            | "UnsupportedOperationException"
            | "OperationNotEnabledException" => Self::AuthFlowDisabled,
            _ => Self::Unknown,
        }
    }

    pub(super) fn needs_sign_in(self) -> bool {
        match self {
            #[cfg(feature = "user-pool")]
            Self::SignIn => true,
            Self::TokenExpired | Self::TokenInvalid => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hints;

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

    #[test]
    fn messages_are_classified_and_an_unknown_one_is_not() {
        const DENIED: &str = "NotAuthorizedException";
        const MISSING: &str = "ResourceNotFoundException";
        let rows = [
            (DENIED, "Access to Identity '[redacted]' is forbidden.", Refusal::IdentityForbidden),
            (DENIED, "Invalid login token. Token expired: 1 >= 0", Refusal::TokenExpired),
            (DENIED, "Invalid login token. Couldn't verify signed token.", Refusal::TokenInvalid),
            (
                DENIED,
                "Invalid login token. Issuer doesn't match providerName",
                Refusal::IssuerMismatch,
            ),
            (
                DENIED,
                "Invalid login token. Can't pass in a Cognito token.",
                Refusal::CognitoTokenMisplaced,
            ),
            (
                DENIED,
                "Unauthenticated access is not supported for this identity pool.",
                Refusal::GuestsDisabled,
            ),
            (
                DENIED,
                "Logins don't match. Please include at least one valid login for this identity or identity pool.",
                Refusal::LoginsMismatch,
            ),
            (
                DENIED,
                "Identity pool - x does not have identity providers configured.",
                Refusal::NoLoginProviders,
            ),
            (DENIED, "Something new.", Refusal::Unknown),
            (MISSING, "Identity '[redacted]' not found.", Refusal::IdentityNotFound),
            (MISSING, "IdentityPool 'us-east-1:x' not found.", Refusal::PoolNotFound),
            (MISSING, "", Refusal::Unknown),
            ("InvalidIdentityPoolConfigurationException", "", Refusal::NoRoleForIdentity),
            ("ResourceConflictException", "", Refusal::LoginConflict),
            ("ExpiredTokenException", "", Refusal::OpenIdTokenRejected),
            ("InvalidIdentityToken", "", Refusal::OpenIdTokenRejected),
            ("AccessDenied", "Not authorized", Refusal::RoleRefused),
            ("IDPRejectedClaim", "", Refusal::RoleRefused),
            ("Other", "Access to Identity '' is forbidden.", Refusal::Unknown),
        ];
        for (code, message, refusal) in rows {
            assert_eq!(Refusal::of(Some(code), message), refusal, "{code}: {message}");
            assert_eq!(hints::of(refusal).is_some(), refusal != Refusal::Unknown);
        }
    }

    #[cfg(feature = "user-pool")]
    #[test]
    fn the_refusals_of_a_user_pool_are_classified() {
        use crate::error::{Error, ResponseMetadata};
        use crate::redact::Redactor;
        use ErrorKind as K;
        const DENIED: &str = "NotAuthorizedException";
        let rows = [
            (DENIED, "Refresh Token has expired", Refusal::SignIn, K::NotAuthorized),
            (DENIED, "Refresh Token has been revoked", Refusal::SignIn, K::NotAuthorized),
            (DENIED, "Invalid Refresh Token", Refusal::SignIn, K::NotAuthorized),
            (DENIED, "User is disabled.", Refusal::SignIn, K::NotAuthorized),
            (DENIED, "Something new.", Refusal::SignIn, K::NotAuthorized),
            (
                DENIED,
                "Unable to verify secret hash for client x",
                Refusal::ClientSecret,
                K::NotAuthorized,
            ),
            (
                DENIED,
                "SecretHash does not match the client",
                Refusal::ClientSecret,
                K::NotAuthorized,
            ),
            (
                DENIED,
                "Client x is configured for secret but secret was not received",
                Refusal::ClientSecret,
                K::NotAuthorized,
            ),
            (
                DENIED,
                "Auth flow not enabled for this client",
                Refusal::AuthFlowDisabled,
                K::NotAuthorized,
            ),
            ("RefreshTokenReuseException", "", Refusal::SignIn, K::NotAuthorized),
            ("UserNotFoundException", "User does not exist.", Refusal::SignIn, K::NotAuthorized),
            ("UserNotConfirmedException", "", Refusal::SignIn, K::NotAuthorized),
            ("PasswordResetRequiredException", "", Refusal::SignIn, K::NotAuthorized),
            ("ResourceNotFoundException", "", Refusal::AppClientNotFound, K::NotFound),
            ("InvalidParameterException", "", Refusal::AuthFlowDisabled, K::Refused),
            ("UnsupportedOperationException", "", Refusal::AuthFlowDisabled, K::Refused),
            ("OperationNotEnabledException", "", Refusal::AuthFlowDisabled, K::Refused),
            ("UnsupportedTokenTypeException", "", Refusal::Unknown, K::Refused),
            ("UserLambdaValidationException", "", Refusal::Unknown, K::Refused),
            ("ForbiddenException", "", Refusal::Unknown, K::Refused),
            ("TooManyRequestsException", "", Refusal::Unknown, K::Throttled),
            ("InternalErrorException", "", Refusal::Unknown, K::Unavailable),
        ];
        for (code, message, refusal, kind) in rows {
            let response = ResponseMetadata { status: 400, ..ResponseMetadata::default() };
            let redactor = Redactor::default();
            let error =
                Error::service("InitiateAuth", response, Some(code), Some(message), &redactor);
            let error = error.of_user_pool();
            assert_eq!((error.refusal(), error.kind()), (refusal, kind), "{code}: {message}");
            assert_eq!(error.hint().is_some(), refusal != Refusal::Unknown);
            assert_eq!(error.needs_sign_in(), refusal == Refusal::SignIn);
            assert_eq!(error.is_retryable(), matches!(kind, K::Throttled | K::Unavailable));
        }
    }
}
