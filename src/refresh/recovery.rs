//! What a refresh tries after the service has rejected an identity or a login.
//!
//! A refresh recovers at most once:
//!
//! | identity came from | rejection | guest | signed-in user |
//! |---|---|---|---|
//! | storage, memory or `GetId` | identity forbidden or not found | [`ForgetIdentity`], unless `allow_new_guest(false)` | [`NewTokensAndIdentity`] |
//! | storage or memory | logins do not match | error | [`ForgetIdentity`] |
//! | anywhere | login token expired, invalid or of the wrong kind | error | [`NewTokens`] |
//! | anywhere | STS rejects the OpenID token | [`NewOpenIdToken`] | [`NewOpenIdToken`] |
//! | the developer identity provider | any of these, except that logins do not match | – | [`NewTokens`] |
//! | anywhere | anything else | error | error |
//!
//! Where the table says "error", the provider keeps the identity. It never forgets an identity that
//! the program has set.
//!
//! [`ForgetIdentity`]: Recovery::ForgetIdentity
//! [`NewTokensAndIdentity`]: Recovery::NewTokensAndIdentity
//! [`NewTokens`]: Recovery::NewTokens
//! [`NewOpenIdToken`]: Recovery::NewOpenIdToken

use crate::error::{Error, Refusal};

/// What to do before the second attempt.
#[derive(Clone, Copy)]
pub(super) enum Recovery {
    None,
    /// Forget the identity, and ask `GetId` for another.
    ForgetIdentity,
    /// Ask the token sources again, then `GetId`. The identity is kept until `GetId` answers.
    NewTokensAndIdentity,
    /// Ask the token sources, or the developer identity provider, again.
    NewTokens,
    NewOpenIdToken,
}

#[derive(Clone, Copy)]
pub(super) enum Caller {
    Guest,
    User,
    /// A user whose identity comes from the developer identity provider.
    DeveloperUser,
}

impl Recovery {
    /// Chooses the recovery. `replaceable`: whether `GetId` may replace this identity. `minted`:
    /// whether `GetId` returned this identity in the same refresh.
    pub(super) fn after(error: &Error, caller: Caller, replaceable: bool, minted: bool) -> Self {
        use Caller::{DeveloperUser, Guest, User};
        use Refusal::{
            IdentityForbidden, IdentityNotFound, LoginsMismatch, OpenIdTokenRejected, TokenExpired,
            TokenInvalid, TokenUnsuitable,
        };
        match (error.refusal(), caller) {
            (IdentityForbidden | IdentityNotFound, Guest) if replaceable => Self::ForgetIdentity,
            (IdentityForbidden | IdentityNotFound, User) if replaceable => {
                Self::NewTokensAndIdentity
            }
            (LoginsMismatch, User) if replaceable && !minted => Self::ForgetIdentity,
            (TokenExpired | TokenInvalid | TokenUnsuitable, User | DeveloperUser)
            | (IdentityForbidden | IdentityNotFound | OpenIdTokenRejected, DeveloperUser) => {
                Self::NewTokens
            }
            (OpenIdTokenRejected, Guest | User) => Self::NewOpenIdToken,
            // A wrong guess would cost the device its identity.
            _ => Self::None,
        }
    }
}
