//! What to do about an error, as one sentence for the user.

use super::codes::Refusal;

pub(crate) const NOT_THE_SERVICE: &str = "check what stands between the program and AWS: a captive portal, a proxy, or a wrong endpoint URL";

pub(super) const TLS: &str = "check the device's clock, and that the transport trusts the authority that signed the certificate";

pub(super) const STORAGE: &str = "check that the storage works: that this user may read and write its directory, and that the disk is not full";

/// Returns what to do about a refusal of a known meaning.
pub(super) fn of(refusal: Refusal) -> Option<&'static str> {
    use Refusal as R;
    Some(match refusal {
        R::IdentityForbidden => {
            "the identity was merged or disabled, or it belongs to a signed-in user and no valid login was sent: clear the cached ID, or set the login"
        }
        R::IdentityNotFound => {
            "the identity was deleted or belongs to another region: clear the cached ID"
        }
        R::PoolNotFound => "check identity_pool_id and region",
        R::LoginsMismatch => {
            "the identity ID belongs to another user: clear the cached ID or set the right login"
        }
        R::TokenExpired => {
            "the login token has expired: set a new one, or use login_from with a source that refreshes it"
        }
        R::TokenInvalid => {
            "the login token is not accepted: check that it is the provider's ID token and belongs to the app client that the pool knows"
        }
        R::IssuerMismatch => {
            "the provider name of the login is not that of the token's issuer: the name of a user pool is cognito-idp.REGION.amazonaws.com/USER_POOL_ID"
        }
        R::CognitoTokenMisplaced => {
            "a token of cognito-identity.amazonaws.com is for one identity: set identity_id to that identity too"
        }
        R::GuestsDisabled => "the pool allows no guests: set a login, or turn guest access on",
        R::NoLoginProviders => "add the login's provider to the identity pool",
        R::NoRoleForIdentity => {
            "check that the identity pool has a role for this kind of user, and that the role's trust policy allows it"
        }
        R::LoginConflict => {
            "a login belongs to another identity, or two logins belong to one provider"
        }
        R::OpenIdTokenRejected => {
            "STS rejects the token of the identity: check that the role's account trusts the identity provider; if your program supplies the token, check the device's clock"
        }
        R::RoleRefused => {
            "check role_arn, and that the role's trust policy names the identity pool and this kind of user"
        }
        #[cfg(feature = "user-pool")]
        R::SignIn => {
            "have the user sign in again and set the new refresh token; if the service calls the token invalid, it may also belong to another app client or need its device_key"
        }
        #[cfg(feature = "user-pool")]
        R::ClientSecret => {
            "check client_secret, and that username is the claim cognito:username of the user's tokens"
        }
        #[cfg(feature = "user-pool")]
        R::AppClientNotFound => "check user_pool_id and client_id",
        #[cfg(feature = "user-pool")]
        R::AuthFlowDisabled => {
            "check that the app client allows ALLOW_REFRESH_TOKEN_AUTH or rotates refresh tokens, and check the values of the settings"
        }
        R::Unknown => return None,
    })
}
