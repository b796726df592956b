//! Amazon Cognito user pools: their IDs, and the two operations that exchange a refresh token for
//! login tokens.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, KnownRefusal, USER_POOL};
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::service::cognito_identity::check_id;
use crate::service::endpoint;
use crate::service::protocol::aws_json::{self, JsonOperation};
use crate::service::protocol::{DecodeError, jwt, timestamp};
use crate::token_text::token_text_fault;
use crate::transport::HttpResponse;

const SERVICE: &str = "AWSCognitoIdentityProviderService";

/// The service documents no limit. Its tokens have about 2,000 characters.
const MAX_TOKEN: usize = 16_384;

/// The ID of a user pool: `REGION_NAME`, at most 55 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserPoolId(String);

impl UserPoolId {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "REGION_NAME, such as us-east-1_aBcDeFgHi";
        check_id(text, FORM, text.rsplit_once('_'), |b| b.is_ascii_alphanumeric())?;
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn region(&self) -> &str {
        self.0.rsplit_once('_').map_or("", |(region, _)| region)
    }

    /// Returns the provider name under which the pool's tokens are sent as a login.
    pub(crate) fn provider(&self) -> String {
        endpoint::user_pool_login(self.region(), &self.0)
    }
}

/// Returns what is wrong with a refresh token. The text does not quote the token.
pub(crate) fn refresh_token_fault(token: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_=.".contains(&b);
    match token.len() {
        0 => Some("is empty".to_owned()),
        length if length > MAX_TOKEN => {
            Some(format!("has {length} characters, it must have at most {MAX_TOKEN}"))
        }
        _ if !token.bytes().all(allowed) => {
            Some("has a character other than A-Z a-z 0-9 - _ = .".to_owned())
        }
        _ => None,
    }
}

/// An app client of a user pool, and the device that it runs on.
pub(crate) struct AppClient {
    pub(crate) id: String,
    pub(crate) secret: Option<ClientSecret>,
    /// The key of a device that the user pool remembers.
    pub(crate) device_key: Option<String>,
}

pub(crate) struct ClientSecret {
    secret: Secret,
    /// The user's name in the user pool.
    username: Option<Secret>,
    /// The secret hash that `InitiateAuth` requires. It is `None` without a user name.
    hash: Option<Secret>,
}

impl ClientSecret {
    pub(crate) fn new(
        secret: Secret,
        client_id: &str,
        username: Option<Secret>,
    ) -> Result<Self, Error> {
        let hash = |username: &Secret| hmac(secret.expose(), &[username.expose(), client_id]);
        let hash = username.as_ref().map(hash).transpose()?;
        Ok(Self { secret, username, hash })
    }
}

/// Returns the HMAC-SHA256 in Base64.
pub(crate) fn hmac(key: &str, message: &[&str]) -> Result<Secret, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| Error::config("", "a key cannot be used for HMAC"))?;
    for part in message {
        mac.update(part.as_bytes());
    }
    let mut code = Zeroizing::new([0; 32]);
    code.copy_from_slice(&mac.finalize().into_bytes());
    Ok(Secret::new(STANDARD.encode(&code[..])))
}

/// Returns when a JWT expires: its claim `exp`. The signature is not checked, because the token
/// comes directly from its issuer.
pub(crate) fn expiration(token: &str) -> Option<SystemTime> {
    jwt::claim(token, "exp", timestamp::parse_json)
}

/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html>
pub(crate) struct InitiateAuth<'a> {
    pub(crate) client: &'a AppClient,
    pub(crate) refresh_token: &'a Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InitiateAuthInput<'a> {
    auth_flow: &'static str,
    client_id: &'a str,
    auth_parameters: AuthParameters<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct AuthParameters<'a> {
    refresh_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_key: Option<&'a str>,
}

/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetTokensFromRefreshToken.html>
pub(crate) struct GetTokensFromRefreshToken<'a> {
    pub(crate) client: &'a AppClient,
    pub(crate) refresh_token: &'a Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetTokensInput<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_key: Option<&'a str>,
    refresh_token: &'a str,
}

/// The output of both operations.
#[derive(Debug)]
pub(crate) enum AuthOutput {
    Tokens(IssuedTokens),
    /// The name of a challenge that the user must answer.
    Challenge(String),
}

#[derive(Debug)]
pub(crate) struct IssuedTokens {
    /// The ID token, or why it cannot be used. The caller stores a new refresh token before it
    /// looks at this.
    pub(crate) id_token: Result<Secret, DecodeError>,
    pub(crate) expires_in: Option<Duration>,
    /// The new refresh token, if the app client rotates refresh tokens.
    pub(crate) refresh_token: Option<Secret>,
}

impl JsonOperation for InitiateAuth<'_> {
    type Output = AuthOutput;

    const NAME: &'static str = "InitiateAuth";
    const SERVICE: &'static str = SERVICE;
    const REFUSALS: &'static [&'static [KnownRefusal]] = &[USER_POOL];

    fn input(&self) -> impl Serialize {
        let client = self.client;
        let hash = client.secret.as_ref().and_then(|secret| secret.hash.as_ref());
        InitiateAuthInput {
            auth_flow: "REFRESH_TOKEN_AUTH",
            client_id: &client.id,
            auth_parameters: AuthParameters {
                refresh_token: self.refresh_token.expose(),
                secret_hash: hash.map(Secret::expose),
                device_key: client.device_key.as_deref(),
            },
        }
    }

    fn output(&self, response: &HttpResponse) -> Result<AuthOutput, DecodeError> {
        decode(response)
    }

    fn redactor(&self) -> Redactor<'_> {
        redactor(self.client, self.refresh_token)
    }
}

impl JsonOperation for GetTokensFromRefreshToken<'_> {
    type Output = AuthOutput;

    const NAME: &'static str = "GetTokensFromRefreshToken";
    const SERVICE: &'static str = SERVICE;
    const REFUSALS: &'static [&'static [KnownRefusal]] = &[USER_POOL];

    fn input(&self) -> impl Serialize {
        let client = self.client;
        GetTokensInput {
            client_id: &client.id,
            client_secret: client.secret.as_ref().map(|secret| secret.secret.expose()),
            device_key: client.device_key.as_deref(),
            refresh_token: self.refresh_token.expose(),
        }
    }

    fn output(&self, response: &HttpResponse) -> Result<AuthOutput, DecodeError> {
        decode(response)
    }

    fn redactor(&self) -> Redactor<'_> {
        redactor(self.client, self.refresh_token)
    }
}

/// Does not copy the access token, because nothing needs it.
fn decode(response: &HttpResponse) -> Result<AuthOutput, DecodeError> {
    let [result, challenge] =
        aws_json::decode(response, ["AuthenticationResult", "ChallengeName"])?;
    let Some(result) = result else {
        let name = aws_json::required(challenge, "AuthenticationResult")?;
        let known = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let name = if known { name.as_str() } else { "unknown" };
        return Ok(AuthOutput::Challenge(name.to_owned()));
    };
    let names = ["IdToken", "ExpiresIn", "RefreshToken"];
    let [id, expires_in, refresh] =
        aws_json::members("the answer's AuthenticationResult", result, names)?;
    let refresh = refresh.map(refresh_token).transpose()?;
    Ok(AuthOutput::Tokens(IssuedTokens {
        id_token: aws_json::required(id, "AuthenticationResult.IdToken").and_then(id_token),
        expires_in: expires_in.and_then(|json| json.parse().ok()).map(Duration::from_secs),
        refresh_token: refresh,
    }))
}

fn id_token(token: Zeroizing<String>) -> Result<Secret, DecodeError> {
    let Some(fault) = token_text_fault(&token) else { return Ok(token.into()) };
    // The rest is advice for a token that a person gives.
    let fault = fault.split(';').next().unwrap_or_default();
    Err(DecodeError(format!("the answer's IdToken {fault}")))
}

/// Only an empty refresh token is an error, because the service decides the form.
fn refresh_token(json: &str) -> Result<Secret, DecodeError> {
    let token = aws_json::text(json, "AuthenticationResult.RefreshToken")?;
    if token.is_empty() {
        return Err(DecodeError("the answer's RefreshToken is empty".to_owned()));
    }
    Ok(token.into())
}

fn redactor<'a>(client: &'a AppClient, refresh_token: &'a Secret) -> Redactor<'a> {
    let mut secrets = vec![refresh_token.expose(), &client.id];
    if let Some(ClientSecret { secret, username, hash }) = &client.secret {
        secrets.push(secret.expose());
        secrets.extend([username, hash].into_iter().flatten().map(Secret::expose));
    }
    secrets.extend(client.device_key.as_deref());
    Redactor { secrets, public: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::protocol::Operation;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn client(username: Option<&str>, device_key: Option<&str>) -> AppClient {
        let id = "1example23456789";
        let secret = username.map(|username| {
            let (secret, username) = (Secret::new("shhh-client-secret"), Secret::new(username));
            ClientSecret::new(secret, id, Some(username)).unwrap()
        });
        AppClient { id: id.to_owned(), secret, device_key: device_key.map(str::to_owned) }
    }

    fn json(operation: &impl Operation) -> serde_json::Value {
        serde_json::from_slice(&operation.body().unwrap()).unwrap()
    }

    #[test]
    fn user_pool_ids_must_have_the_documented_form() {
        let long = format!("us-east-1_{}", "a".repeat(45));
        for (id, region) in [("us-east-1_aB9", "us-east-1"), ("x_y_z", "x_y"), (&long, "us-east-1")]
        {
            assert_eq!(UserPoolId::parse(id).unwrap().region(), region);
        }
        let longer = format!("{long}a");
        for id in ["", "_", "x", "x_", "_x", "x_y-z", "x y_z", "é_x", "x_é", "x_y\n", &longer] {
            assert!(UserPoolId::parse(id).is_err(), "{id:?}");
        }
        let provider = UserPoolId::parse("cn-north-1_aB9").unwrap().provider();
        assert_eq!(provider, "cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_aB9");
    }

    #[test]
    fn refresh_tokens_must_have_the_documented_form() {
        for token in ["a", "eyJ-_=.9", &"a".repeat(16_384)] {
            assert_eq!(refresh_token_fault(token), None);
        }
        for (token, fault) in [
            ("", "is empty"),
            ("SENTINEL\n", "has a character other than A-Z"),
            (&"SENTINEL".repeat(2_049), "has 16392 characters"),
        ] {
            let found = refresh_token_fault(token).unwrap();
            assert!(found.starts_with(fault) && !found.contains("SENTINEL"), "{found}");
        }
    }

    /// Python's module `hmac` computed the expected values.
    #[test]
    fn the_secret_hash_equals_that_of_another_implementation() {
        let hash = client(Some("ann"), None).secret.unwrap().hash.unwrap();
        assert_eq!(hash.expose(), "79/h1Uvxj6z/H4X7/stzTaCh8RAGJy0y5nQ7yZcbLLM=");
        let long = hmac(&"k".repeat(100), &["é"]).unwrap();
        assert_eq!(long.expose(), "OsGzpd0yYfc5lx+d5ssUU9EwKLiNKgi7HnwM0Soo82U=");
    }

    #[test]
    fn the_request_of_initiate_auth_is_written_as_documented() {
        let token = Secret::new("eyJjd-refresh");
        let (plain, whole) = (client(None, None), client(Some("ann"), Some("us-east-1_abc-9")));
        let operation = InitiateAuth { client: &plain, refresh_token: &token };
        assert_eq!(
            String::from_utf8_lossy(&operation.body().unwrap()),
            r#"{"AuthFlow":"REFRESH_TOKEN_AUTH","ClientId":"1example23456789","AuthParameters":{"REFRESH_TOKEN":"eyJjd-refresh"}}"#
        );
        assert_eq!(
            operation.headers(),
            [
                ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                (
                    "x-amz-target".to_owned(),
                    "AWSCognitoIdentityProviderService.InitiateAuth".to_owned()
                ),
            ]
        );
        let operation = InitiateAuth { client: &whole, refresh_token: &token };
        assert_eq!(
            json(&operation)["AuthParameters"],
            serde_json::json!({
                "REFRESH_TOKEN": "eyJjd-refresh",
                "SECRET_HASH": "79/h1Uvxj6z/H4X7/stzTaCh8RAGJy0y5nQ7yZcbLLM=",
                "DEVICE_KEY": "us-east-1_abc-9",
            })
        );
    }

    #[test]
    fn the_request_of_get_tokens_from_refresh_token_is_written_as_documented() {
        let token = Secret::new("eyJjd-refresh");
        let (plain, whole) = (client(None, None), client(Some("ann"), Some("us-east-1_abc-9")));
        let operation = GetTokensFromRefreshToken { client: &plain, refresh_token: &token };
        let written = serde_json::json!({
            "ClientId": "1example23456789", "RefreshToken": "eyJjd-refresh"
        });
        assert_eq!(json(&operation), written);
        let target = &operation.headers()[1].1;
        assert_eq!(target, "AWSCognitoIdentityProviderService.GetTokensFromRefreshToken");
        let operation = GetTokensFromRefreshToken { client: &whole, refresh_token: &token };
        assert_eq!(
            json(&operation),
            serde_json::json!({
                "ClientId": "1example23456789",
                "ClientSecret": "shhh-client-secret",
                "DeviceKey": "us-east-1_abc-9",
                "RefreshToken": "eyJjd-refresh",
            })
        );
    }

    fn read(body: &str) -> Result<AuthOutput, DecodeError> {
        let (client, token) = (client(None, None), Secret::new("x"));
        let response = HttpResponse::new(200, body);
        let operation = GetTokensFromRefreshToken { client: &client, refresh_token: &token };
        let of_get_tokens = operation.decode(&response).map(|output| format!("{output:?}"));
        let output = InitiateAuth { client: &client, refresh_token: &token }.decode(&response);
        assert_eq!(output.as_ref().map(|output| format!("{output:?}")).ok(), of_get_tokens.ok());
        output
    }

    /// The form of the sample responses in the API reference.
    #[test]
    fn tokens_are_read_as_documented() {
        let sample = r#"{
            "AuthenticationResult": {
                "AccessToken": "eyJra456defEXAMPLE", "ExpiresIn": 3600, "IdToken": "eyJra789ghiEXAMPLE",
                "RefreshToken": "eyJjd123abcEXAMPLE", "TokenType": "Bearer"
            },
            "ChallengeParameters": {}
        }"#;
        let AuthOutput::Tokens(issued) = read(sample).unwrap() else { panic!("no tokens") };
        assert_eq!(issued.id_token.as_ref().map(Secret::expose), Ok("eyJra789ghiEXAMPLE"));
        assert_eq!(issued.expires_in, Some(Duration::from_secs(3600)));
        assert_eq!(issued.refresh_token.as_ref().map(Secret::expose), Some("eyJjd123abcEXAMPLE"));
        assert!(!format!("{issued:?}").contains("EXAMPLE"));

        let bare = read(r#"{"AuthenticationResult":{"IdToken":"t","RefreshToken":null}}"#);
        let AuthOutput::Tokens(issued) = bare.unwrap() else { panic!("no tokens") };
        assert_eq!((issued.expires_in, issued.refresh_token), (None, None));
    }

    #[test]
    fn the_error_for_an_unusable_answer_says_why_and_does_not_quote_it() {
        let (longest, longer) = (&*"X".repeat(64), &*"X".repeat(65));
        let rows =
            [("SMS_MFA", "SMS_MFA"), ("x y", "unknown"), (longest, longest), (longer, "unknown")];
        for (name, shown) in rows {
            match read(&format!(r#"{{"ChallengeName":"{name}","Session":"SENTINEL"}}"#)).unwrap() {
                AuthOutput::Challenge(name) => assert_eq!(name, shown),
                AuthOutput::Tokens(_) => panic!("tokens"),
            }
        }
        let rows = [
            ("{}", "the answer lacks AuthenticationResult"),
            (r#"{"AuthenticationResult":null}"#, "the answer lacks AuthenticationResult"),
            (
                r#"{"AuthenticationResult":"SENTINEL"}"#,
                "the answer's AuthenticationResult is not a JSON object",
            ),
            (
                r#"{"AuthenticationResult":{"IdToken":"t","RefreshToken":""}}"#,
                "the answer's RefreshToken is empty",
            ),
            (
                r#"{"AuthenticationResult":{"IdToken":"SENTINEL","RefreshToken":["SENTINEL"]}}"#,
                "the answer's AuthenticationResult.RefreshToken is not a JSON string",
            ),
        ];
        for (body, fault) in rows {
            assert_eq!(read(body).unwrap_err().0, fault);
        }
        // The new refresh token is read even if the ID token cannot be used.
        let lacks = "the answer lacks AuthenticationResult.IdToken";
        let no_text = "the answer's AuthenticationResult.IdToken is not a JSON string";
        let white_space = "the answer's IdToken has white space in it";
        let control = "the answer's IdToken has a control character";
        let unknown =
            "the answer's IdToken has a character that is not allowed, perhaps an invisible one";
        let rows = [
            ("null", lacks),
            (r#""""#, lacks),
            (r#"["SENTINEL"]"#, no_text),
            (r#""SENTINEL\r""#, white_space),
            (r#""SENTINEL\r\nx: y""#, white_space),
            (r#"" SENTINEL""#, white_space),
            (r#""SENTINEL\u0000""#, "the answer's IdToken has a NUL character"),
            (r#""\u001b[31mSENTINEL""#, control),
            (r#""SENTINEL\u007f""#, control),
            (r#""SENTINEL\u200b""#, unknown),
            (r#""{SENTINEL}""#, "the answer's IdToken is JSON"),
            (r#""'SENTINEL'""#, "the answer's IdToken is in quotes"),
            (r#""Bearer SENTINEL""#, "the answer's IdToken begins with Bearer"),
        ];
        for (id, fault) in rows {
            let body = format!(
                r#"{{"AuthenticationResult":{{"IdToken":{id},"RefreshToken":"rot/ ated+"}}}}"#
            );
            let AuthOutput::Tokens(issued) = read(&body).unwrap() else { panic!("no tokens") };
            assert_eq!(issued.refresh_token.as_ref().map(Secret::expose), Some("rot/ ated+"));
            assert_eq!(issued.id_token, Err(DecodeError(fault.to_owned())));
        }
    }

    #[test]
    fn the_expiration_of_a_token_is_its_claim_exp() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let token = |payload: &str| format!("eyJ.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let rows = [
            (token(r#"{"sub":"a","exp":1767229200,"iat":1}"#), at(1_767_229_200)),
            (token(r#"{"exp":1.7672292e9,"n":"é?>~"}"#), at(1_767_229_200)),
            (token(r#"{"exp":1,"x":"ab"}"#) + "==", at(1)),
            (token(r#"{"exp":null}"#), None),
            (token(r#"{"exp":-1}"#), None),
            (token("{}"), None),
            (token("[1]"), None),
            (token("\u{0}"), None),
            ("eyJ.e30=.sig".to_owned(), None),
            ("eyJ.!!!.sig".to_owned(), None),
            ("eyJ..".to_owned(), None),
            ("opaque".to_owned(), None),
            (String::new(), None),
        ];
        for (token, expected) in rows {
            assert_eq!(expiration(&token), expected, "{token}");
        }
        let padded = format!("eyJ.{}=.sig", URL_SAFE_NO_PAD.encode(r#"{"exp":7}  "#));
        assert_eq!(expiration(&padded), at(7));
    }
}
