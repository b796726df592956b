//! Requests as the fake service receives and records them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::transport::HttpRequest;

/// The only STS operation that the fake service has.
pub(super) const STS_OPERATION: &str = "AssumeRoleWithWebIdentity";

/// Holds a request to the fake service. `Debug` shows no token and no identity ID.
///
/// [`FakeCognito::requests`](super::FakeCognito::requests) returns all of them.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::testing::{FakeCognito, ReceivedRequest};
///
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// let cognito = FakeCognito::new();
/// CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .transport(cognito.clone())
///     .build()?
///     .get()?;
///
/// let requests: Vec<ReceivedRequest> = cognito.requests();
/// assert_eq!(requests[0].operation(), "GetId");
/// assert_eq!(requests[0].identity_pool_id(), Some(FakeCognito::POOL_ID));
/// assert_eq!(requests[0].account_id(), None);
/// assert_eq!(requests[0].providers().count(), 0);
/// assert_eq!(requests[1].operation(), "GetCredentialsForIdentity");
/// assert!(requests[1].identity_id().is_some());
/// assert_eq!(requests[1].login("accounts.google.com"), None);
/// assert_eq!(requests[1].custom_role_arn(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReceivedRequest {
    pub(super) operation: String,
    /// `None` if the body is not a JSON object.
    pub(super) body: Option<RequestBody>,
    /// The form fields of a request to STS, in order.
    pub(super) form: Vec<(String, String)>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RequestBody {
    pub(super) identity_pool_id: Option<String>,
    pub(super) identity_id: Option<String>,
    account_id: Option<String>,
    custom_role_arn: Option<String>,
    #[serde(default)]
    pub(super) logins: BTreeMap<String, String>,
    #[cfg(feature = "user-pool")]
    pub(super) auth_flow: Option<String>,
    #[cfg(feature = "user-pool")]
    #[serde(default)]
    pub(super) auth_parameters: BTreeMap<String, String>,
    #[cfg(feature = "user-pool")]
    pub(super) client_id: Option<String>,
    #[cfg(feature = "user-pool")]
    pub(super) client_secret: Option<String>,
    #[cfg(feature = "user-pool")]
    refresh_token: Option<String>,
}

#[cfg(feature = "user-pool")]
impl RequestBody {
    /// `InitiateAuth` has the token in its parameters, `GetTokensFromRefreshToken` in a field.
    pub(super) fn refresh_token(&self) -> Option<&str> {
        let parameter = self.auth_parameters.get("REFRESH_TOKEN");
        self.refresh_token.as_ref().or(parameter).map(String::as_str)
    }
}

impl ReceivedRequest {
    pub(super) fn new(request: &HttpRequest) -> Self {
        let form = form(request);
        Self {
            operation: operation(request, &form),
            body: serde_json::from_slice(request.body()).ok(),
            form,
        }
    }

    /// Returns the name of the operation, such as `GetId`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Returns the field `IdentityPoolId`, if the request has it.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn identity_pool_id(&self) -> Option<&str> {
        self.body.as_ref()?.identity_pool_id.as_deref()
    }

    /// Returns the field `IdentityId`, if the request has it.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn identity_id(&self) -> Option<&str> {
        self.body.as_ref()?.identity_id.as_deref()
    }

    /// Returns the field `AccountId`, if the request has it.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn account_id(&self) -> Option<&str> {
        self.body.as_ref()?.account_id.as_deref()
    }

    /// Returns the field `CustomRoleArn`, if the request has it.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn custom_role_arn(&self) -> Option<&str> {
        self.body.as_ref()?.custom_role_arn.as_deref()
    }

    /// Returns a field of a request to STS, such as `RoleSessionName` or `PolicyArns.member.1.arn`.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// let cognito = FakeCognito::new();
    /// CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .role_arn("arn:aws:iam::123456789012:role/uploader")
    ///     .transport(cognito.clone())
    ///     .build()?
    ///     .get()?;
    ///
    /// let requests = cognito.requests();
    /// let assume_role = requests.last().unwrap();
    /// assert_eq!(assume_role.form_field("RoleSessionName"), Some("web-identity"));
    /// assert_eq!(assume_role.form_fields().next(), Some("Action"));
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn form_field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the names of the fields of a request to STS, in order.
    ///
    /// See the [example](Self::form_field).
    pub fn form_fields(&self) -> impl Iterator<Item = &str> {
        self.form.iter().map(|(key, _)| key.as_str())
    }

    /// Returns the names of the login providers in the field `Logins`.
    ///
    /// See the [example](Self#example).
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.body.iter().flat_map(|body| body.logins.keys().map(String::as_str))
    }

    /// Returns the login token of a provider, if the request has one.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn login(&self, provider: &str) -> Option<&str> {
        self.body.as_ref()?.logins.get(provider).map(String::as_str)
    }

    /// Returns the refresh token of a request to the user pool (feature `user-pool`).
    ///
    /// ```
    /// use cognito_identity_credentials::UserPoolTokens;
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// let cognito = FakeCognito::new();
    /// let refresh_token = cognito.sign_in("ann");
    /// UserPoolTokens::builder()
    ///     .user_pool_id(FakeCognito::USER_POOL_ID)
    ///     .client_id(FakeCognito::CLIENT_ID)
    ///     .refresh_token(&refresh_token)
    ///     .transport(cognito.clone())
    ///     .build()?
    ///     .id_token()?;
    ///
    /// let requests = cognito.requests();
    /// assert_eq!(requests[0].refresh_token(), Some(&*refresh_token));
    /// assert_eq!(requests[0].auth_parameter("REFRESH_TOKEN"), Some(&*refresh_token));
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[cfg(feature = "user-pool")]
    #[must_use]
    pub fn refresh_token(&self) -> Option<&str> {
        self.body.as_ref()?.refresh_token()
    }

    /// Returns a parameter of `InitiateAuth`, such as `SECRET_HASH` (feature `user-pool`).
    ///
    /// See the [example](Self::refresh_token).
    #[cfg(feature = "user-pool")]
    #[must_use]
    pub fn auth_parameter(&self, name: &str) -> Option<&str> {
        self.body.as_ref()?.auth_parameters.get(name).map(String::as_str)
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("operation", &self.operation)
            .field("providers", &self.providers().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Returns the form fields of a request to STS. A request to Cognito has none.
fn form(request: &HttpRequest) -> Vec<(String, String)> {
    let is_form = request.headers().iter().any(|(_, value)| value.contains("urlencoded"));
    let body = std::str::from_utf8(request.body()).unwrap_or_default();
    let pairs = body.split('&').filter(|_| is_form).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (unescape(key), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(hex, 16).ok());
        bytes.extend(rest.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the form field `Action` (STS), or the end of the `x-amz-target` header (Cognito).
fn operation(request: &HttpRequest, form: &[(String, String)]) -> String {
    if let Some((_, action)) = form.iter().find(|(key, _)| key == "Action") {
        return action.clone();
    }
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    let target = target.map_or("", |(_, value)| value.as_str());
    let services = ["AWSCognitoIdentityService.", "AWSCognitoIdentityProviderService."];
    let bare = services.iter().find_map(|service| target.strip_prefix(service));
    bare.unwrap_or(target).to_owned()
}
