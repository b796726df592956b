//! What kind of failure an error is, and how the failed attempt may be retried.

/// The kinds of failure. Each one says what to do. See the [example](crate::Error#example).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing, is malformed, or contradicts another setting. The message names each
    /// such setting. Correct the program or its configuration.
    Config,
    /// A token source failed, or returned a text that cannot be a token. If
    /// [`needs_sign_in`](crate::Error::needs_sign_in) is true, have the user sign in again.
    /// Otherwise look at [`source`](std::error::Error::source).
    /// [`is_retryable`](crate::Error::is_retryable) is true if the operating system failed in a way
    /// that is temporary, such as too many open files.
    ///
    /// If the token source failed with an [`Error`](crate::Error) of this library that is not about
    /// the login, such as [`Unreachable`](Self::Unreachable), this error has the same kind.
    Login,
    /// The provider has no identity ID and must not create a new guest. Set an identity ID or an
    /// identity pool ID, or allow new guests.
    IdentityUnknown,
    /// Code that the provider calls (transport, token source, storage, clock, listener) called
    /// `get()`, `get_within()` or `refresh()`. Change the program: such code must not need the
    /// credentials that it helps to get.
    Reentrant,
    /// The time limit passed. Try again later. The device may have no network.
    Timeout,
    /// The service could not be reached. Check the network, then try again. If
    /// [`is_retryable`](crate::Error::is_retryable) is false, check the transport first.
    Unreachable,
    /// The TLS connection failed: unknown authority, wrong name, or a certificate that is not valid
    /// at this time. Check the device's clock and the authorities that the transport trusts.
    Tls,
    /// The service asks for fewer requests. Try again later.
    Throttled,
    /// The service has an internal failure. Try again later if
    /// [`is_retryable`](crate::Error::is_retryable) is true.
    Unavailable,
    /// The service rejected this identity, login or role, or a user pool rejected the refresh
    /// token. For known messages of the service, [`hint`](crate::Error::hint) names the setting to
    /// check. If [`needs_sign_in`](crate::Error::needs_sign_in) is true, have the user sign in
    /// again.
    NotAuthorized,
    /// The identity or the identity pool does not exist. Check the IDs and the region.
    NotFound,
    /// The service rejected the request for another reason. [`code`](crate::Error::code) and
    /// [`message`](crate::Error::message) say which.
    Refused,
    /// The answer did not come from the service, or it cannot be used. Examples: the page of a
    /// captive portal, the answer of a proxy, credentials that had already expired. Check what
    /// stands between the program and AWS.
    Response,
    /// The storage could not be read, written or locked, or the library must not use it.
    /// [`Status::storage_error`](crate::Status::storage_error) returns this error. A refresh fails
    /// with it only if a `UserPoolTokens` has its refresh token nowhere else. Check that the
    /// storage works. [`is_retryable`](crate::Error::is_retryable) is true if the operating system
    /// failed in a way that is temporary, such as too many open files.
    Storage,
}

impl ErrorKind {
    /// Returns what to do, if that is the same for every failure of this kind.
    pub(super) fn hint(self) -> Option<&'static str> {
        match self {
            Self::Tls => Some(
                "check the device's clock, and that the transport trusts the authority that signed the certificate",
            ),
            Self::Storage => Some(
                "check that the storage works: that this user may read and write its directory, and that the disk is not full",
            ),
            Self::Throttled => Some("try again later: the service asks for fewer requests"),
            Self::Unavailable => Some("try again later: the service has an internal failure"),
            _ => None,
        }
    }
}

/// Whether and how a failed attempt may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// The peer had closed the connection, so the service has not processed the request.
    AtOnce,
    AfterFailure,
    AfterThrottling,
}
