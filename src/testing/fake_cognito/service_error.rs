//! The errors that the fake service returns.

/// The error code and the message.
pub(super) struct ServiceError(pub(super) &'static str, pub(super) String);

pub(super) fn not_authorized(message: impl Into<String>) -> ServiceError {
    ServiceError("NotAuthorizedException", message.into())
}

pub(super) fn not_found(message: impl Into<String>) -> ServiceError {
    ServiceError("ResourceNotFoundException", message.into())
}

pub(super) fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError("InvalidParameterException", message.into())
}
