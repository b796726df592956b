//! Known refusals of the services: what each one means, and its hint.
//!
//! Each operation names its tables, so the linker drops the tables of operations that a program
//! does not use.

/// The meaning of a refusal. It decides what a refresh does next. The code `NotAuthorizedException`
/// has many meanings, and only the message tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    IdentityForbidden,
    IdentityNotFound,
    LoginsMismatch,
    TokenExpired,
    TokenInvalid,
    /// The token is of a kind or of an app client that the pool never accepts.
    TokenUnsuitable,
    OpenIdTokenRejected,
    /// STS could not get the keys of the identity provider. The code looks like a rejection.
    ProviderUnreachable,
    /// A user pool refused the refresh token.
    #[cfg(feature = "user-pool")]
    SignIn,
    /// The app client does not allow this operation, or not in this form.
    #[cfg(feature = "user-pool")]
    AuthFlowDisabled,
    /// Any other meaning. The refresh keeps its identity and fails without recovery.
    Other,
}

impl Refusal {
    pub(super) fn needs_sign_in(self) -> bool {
        match self {
            #[cfg(feature = "user-pool")]
            Self::SignIn => true,
            Self::TokenExpired | Self::TokenInvalid => true,
            _ => false,
        }
    }
}

/// One row: error codes, parts of the message, meaning, hint. `|` separates alternatives.
///
/// A code has no ending `Exception`, because STS sometimes omits it. Upper and lower case in the
/// message are the same. `^` marks the beginning of the message. An empty part fits every message.
/// The first row that fits is used.
pub(crate) type KnownRefusal = (&'static str, &'static str, Refusal, &'static str);

pub(super) fn find(
    tables: &[&[KnownRefusal]],
    code: &str,
    message: &str,
) -> Option<(Refusal, &'static str)> {
    let code = code.strip_suffix("Exception").unwrap_or(code);
    let fits = |(codes, texts, ..): &&KnownRefusal| {
        codes.split('|').any(|known| known == code)
            && texts.split('|').any(|text| message_fits(message, text))
    };
    let (.., refusal, hint) = tables.iter().copied().flatten().find(fits)?;
    Some((*refusal, hint))
}

/// Compares without copying the message, because it may hold a token.
fn message_fits(message: &str, text: &str) -> bool {
    let (text, anchored) = text.strip_prefix('^').map_or((text, false), |text| (text, true));
    let starts = |at: usize| {
        let part = message.as_bytes().get(at..at + text.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    };
    if anchored { starts(0) } else { (0..=message.len()).any(starts) }
}

const DENIED: &str = "NotAuthorized";
const MISSING: &str = "ResourceNotFound";
const INVALID: &str = "InvalidParameter";
const LIMIT: &str = "LimitExceeded";
const FIREWALL: &str = "Forbidden";

pub(crate) const NOT_THE_SERVICE: &str = "check what stands between the program and AWS: a captive portal, a proxy, or a wrong endpoint URL";
const CHECK_POOL: &str = "check identity_pool_id and region";
const NO_PROVIDER: &str = "the identity pool has no provider for this login: check the login's name, the user pool and the app client in the pool's authentication providers";
pub(crate) const UNSUITABLE_TOKEN: &str = "use the ID token, not the access token, of an app client that the identity pool lists as an authentication provider";
const NO_ROLE: &str = "the identity pool has no role for this user: check the role's trust policy and the pool's role rules, or name a role with custom_role_arn";
const CHECK_VALUES: &str = "check the settings: the service rejects a value";
const QUOTA: &str = "a quota is reached, and waiting does not help: ask its owner to raise it";
const BEHIND_FIREWALL: &str = "a web application firewall refused the request: ask its owner";

/// `GetId`. Its request has no identity ID.
pub(crate) const GET_ID: &[KnownRefusal] = &[
    (DENIED, "logins don't match", Refusal::Other, NO_PROVIDER),
    (MISSING, "", Refusal::Other, CHECK_POOL),
];

/// `GetCredentialsForIdentity` and `GetOpenIdToken`.
pub(crate) const IDENTITY: &[KnownRefusal] = &[
    (
        DENIED,
        "^access to identity",
        Refusal::IdentityForbidden,
        "the identity was merged or disabled, or it belongs to a signed-in user and no valid login was sent: clear the cached ID, or set the login",
    ),
    (
        DENIED,
        "^logins don't match",
        Refusal::LoginsMismatch,
        "the identity ID belongs to another user: clear the cached ID or set the right login",
    ),
    (DENIED, " role ", Refusal::Other, NO_ROLE),
    (MISSING, "^identity pool", Refusal::Other, CHECK_POOL),
    (
        MISSING,
        "^identity ",
        Refusal::IdentityNotFound,
        "the identity was deleted or belongs to another region: clear the cached ID",
    ),
    (MISSING, "", Refusal::Other, CHECK_POOL),
    ("InvalidIdentityPoolConfiguration", "", Refusal::Other, NO_ROLE),
];

/// `GetOpenIdToken`.
pub(crate) const OPEN_ID_TOKEN: &[KnownRefusal] = &[
    (
        INVALID,
        "flow is not enabled",
        Refusal::Other,
        "turn the basic (classic) flow on in the identity pool, or leave out role_arn (custom_role_arn chooses a role in the enhanced flow)",
    ),
    (
        INVALID,
        "rolemapping",
        Refusal::Other,
        "the identity pool chooses roles by rules, which needs the enhanced flow: leave out role_arn (custom_role_arn chooses a role in the enhanced flow)",
    ),
];

/// Every operation of an identity pool.
pub(crate) const IDENTITY_POOL: &[KnownRefusal] = &[
    (
        DENIED,
        "unauthenticated access",
        Refusal::Other,
        "the pool allows no guests: set a login, or turn guest access on",
    ),
    (
        DENIED,
        "pass in a cognito token",
        Refusal::Other,
        "a token of cognito-identity.amazonaws.com is for one identity: set identity_id to that identity too",
    ),
    (
        DENIED,
        "issuer",
        Refusal::Other,
        "the login's name must be the token's issuer without https://, path included; for a user pool cognito-idp.REGION.amazonaws.com/USER_POOL_ID",
    ),
    (
        DENIED,
        "required claim|audience|openid connect identity token",
        Refusal::TokenUnsuitable,
        UNSUITABLE_TOKEN,
    ),
    (
        DENIED,
        "expired",
        Refusal::TokenExpired,
        "the login token has expired: set a new one, or use login_from with a source that refreshes it",
    ),
    (
        DENIED,
        "^invalid login token",
        Refusal::TokenInvalid,
        "the login token is not accepted: set a new one, and check that it is the provider's ID token",
    ),
    (DENIED, " provider", Refusal::Other, NO_PROVIDER),
    (
        "ResourceConflict",
        "",
        Refusal::Other,
        "a login belongs to another identity, or two logins belong to one provider: clear the cached ID, or remove one login",
    ),
    (
        "ExternalService",
        "",
        Refusal::Other,
        "the login's provider did not answer the service: try again later",
    ),
    (INVALID, "public provider", Refusal::Other, NO_PROVIDER),
    ("InvalidParameter|Validation", "", Refusal::Other, CHECK_VALUES),
    (LIMIT, "", Refusal::Other, QUOTA),
    (FIREWALL, "", Refusal::Other, BEHIND_FIREWALL),
    (
        DENIED,
        "",
        Refusal::Other,
        "the identity pool refuses the identity or the login: check both, and the pool's settings",
    ),
];

const CHECK_TRUST: &str = "check role_arn, and that the role's trust policy names the identity pool (audience) and this kind of user (amr)";
const CHECK_OPEN_ID_TOKEN: &str = "STS rejects the token of the identity: check that the role's account trusts the identity provider; if your program supplies the token, supply a fresh one and check the device's clock";
const PROVIDER_UNREACHABLE: &str = "the identity provider did not answer STS: try again later";

pub(crate) const STS: &[KnownRefusal] = &[
    (
        "InvalidIdentityToken",
        "retrieve verification key",
        Refusal::ProviderUnreachable,
        PROVIDER_UNREACHABLE,
    ),
    ("ExpiredToken|InvalidIdentityToken", "", Refusal::OpenIdTokenRejected, CHECK_OPEN_ID_TOKEN),
    ("AccessDenied|IDPRejectedClaim", "", Refusal::Other, CHECK_TRUST),
    (LIMIT, "", Refusal::Other, QUOTA),
    (FIREWALL, "", Refusal::Other, BEHIND_FIREWALL),
    ("IDPCommunicationError", "", Refusal::Other, PROVIDER_UNREACHABLE),
    (
        "MalformedPolicyDocument",
        "",
        Refusal::Other,
        "the policy is not a valid policy: check its JSON",
    ),
    (
        "PackedPolicyTooLarge",
        "",
        Refusal::Other,
        "the policy is too long: shorten it, or set fewer policy_arns",
    ),
    (
        "RegionDisabled",
        "",
        Refusal::Other,
        "enable STS for this region in the role's account, or set sts_endpoint_url to the endpoint of another region",
    ),
    (
        "ValidationError",
        "durationseconds",
        Refusal::Other,
        "set a shorter duration, or raise the maximum session duration of the role",
    ),
    ("ValidationError", "", Refusal::Other, CHECK_VALUES),
];

#[cfg(feature = "user-pool")]
pub(crate) use user_pool::{SIGN_IN_AGAIN, USER_POOL};

#[cfg(feature = "user-pool")]
mod user_pool {
    use super::Refusal;
    use super::{BEHIND_FIREWALL, DENIED, FIREWALL, KnownRefusal, LIMIT, MISSING, QUOTA};

    pub(crate) const SIGN_IN_AGAIN: &str = "have the user sign in again and set the new refresh token; if that does not help, check client_id and device_key";
    const CHECK_FLOW: &str = "check that the app client allows ALLOW_REFRESH_TOKEN_AUTH or rotates refresh tokens, and check the values of the settings";

    /// `InitiateAuth` and `GetTokensFromRefreshToken`. They only exchange a refresh token. So a
    /// `NotAuthorizedException` with an unknown message concerns that token.
    pub(crate) const USER_POOL: &[KnownRefusal] = &[
        (
            DENIED,
            "secret",
            Refusal::Other,
            "check client_secret, and that username is the claim cognito:username of the user's tokens",
        ),
        (DENIED, "not enabled", Refusal::AuthFlowDisabled, CHECK_FLOW),
        (
            DENIED,
            "disabled",
            Refusal::Other,
            "the user is disabled: an administrator of the user pool must enable the user",
        ),
        (
            "NotAuthorized|RefreshTokenReuse|UserNotFound|UserNotConfirmed|PasswordResetRequired",
            "",
            Refusal::SignIn,
            SIGN_IN_AGAIN,
        ),
        (MISSING, "", Refusal::Other, "check user_pool_id and client_id"),
        (
            "InvalidParameter|UnsupportedOperation|OperationNotEnabled",
            "",
            Refusal::AuthFlowDisabled,
            CHECK_FLOW,
        ),
        ("UnsupportedTokenType", "", Refusal::Other, "check refresh_token"),
        (
            "UserLambdaValidation|UnexpectedLambda|InvalidLambdaResponse",
            "",
            Refusal::Other,
            "a trigger (Lambda function) of the user pool refused or failed: the owner of the user pool must look at it",
        ),
        (
            "InvalidUserPoolConfiguration|InvalidSmsRoleAccessPolicy|InvalidSmsRoleTrustRelationship|InvalidEmailRoleAccessPolicy",
            "",
            Refusal::Other,
            "the user pool is not configured correctly: its owner must correct it",
        ),
        (LIMIT, "", Refusal::Other, QUOTA),
        (FIREWALL, "", Refusal::Other, BEHIND_FIREWALL),
    ];
}
