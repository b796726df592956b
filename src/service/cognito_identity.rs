//! Amazon Cognito Identity: its IDs and its operations.

use std::fmt;
use std::mem;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::credentials::{IssuedKeys, is_key};
use crate::error::{Error, GET_ID, IDENTITY, IDENTITY_POOL, KnownRefusal, OPEN_ID_TOKEN};
use crate::logins::{self, Tokens};
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::service::protocol::aws_json::{self, JsonOperation};
use crate::service::protocol::{DecodeError, jwt, timestamp};
use crate::transport::HttpResponse;

const SERVICE: &str = "AWSCognitoIdentityService";
const MAX_ID: usize = 55;

/// The ID of an identity pool or of an identity: `REGION:GUID`, at most 55 characters. Clones share
/// the text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Id(Arc<str>);

impl Id {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "REGION:GUID, such as us-east-1:12345678-dead-beef-cafe-123456790ab0";
        let in_guid = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
        check_id(text, FORM, text.split_once(':'), in_guid)?;
        Ok(Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn region(&self) -> &str {
        self.0.split_once(':').map_or("", |(region, _)| region)
    }
}

/// An identity ID is secret, so the GUID is masked.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.region())
    }
}

/// <https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetId.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetId<'a> {
    #[serde(serialize_with = "id")]
    pub(crate) identity_pool_id: &'a Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Tokens::is_empty", serialize_with = "logins")]
    pub(crate) logins: &'a Tokens,
    /// The identity that the service refused. It is not sent, only masked in error texts.
    #[serde(skip)]
    pub(crate) refused: Option<&'a Id>,
}

impl JsonOperation for GetId<'_> {
    type Output = Id;

    const NAME: &'static str = "GetId";
    const SERVICE: &'static str = SERVICE;
    const REFUSALS: &'static [&'static [KnownRefusal]] = &[GET_ID, IDENTITY_POOL];

    fn input(&self) -> impl Serialize {
        self
    }

    fn output(&self, response: &HttpResponse) -> Result<Id, DecodeError> {
        let [id] = aws_json::decode(response, ["IdentityId"])?;
        identity_id(id)?.ok_or_else(|| DecodeError::lacks("IdentityId"))
    }

    fn redactor(&self) -> Redactor<'_> {
        let public = Some(self.identity_pool_id.as_str());
        Redactor { public, ..redactor(self.logins, self.refused.map(Id::as_str).as_slice()) }
    }
}

/// <https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetCredentialsForIdentity.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetCredentialsForIdentity<'a> {
    #[serde(serialize_with = "id")]
    pub(crate) identity_id: &'a Id,
    #[serde(skip_serializing_if = "Tokens::is_empty", serialize_with = "logins")]
    pub(crate) logins: &'a Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custom_role_arn: Option<&'a str>,
}

/// The output of [`GetCredentialsForIdentity`]. AWS marks no field as required. If the identity ID
/// is missing, the credentials belong to the identity of the request.
#[derive(Debug)]
pub(crate) struct IssuedCredentials {
    pub(crate) identity_id: Option<Id>,
    pub(crate) keys: IssuedKeys,
}

impl JsonOperation for GetCredentialsForIdentity<'_> {
    type Output = IssuedCredentials;

    const NAME: &'static str = "GetCredentialsForIdentity";
    const SERVICE: &'static str = SERVICE;
    const REFUSALS: &'static [&'static [KnownRefusal]] = &[IDENTITY, IDENTITY_POOL];

    fn input(&self) -> impl Serialize {
        self
    }

    fn output(&self, response: &HttpResponse) -> Result<IssuedCredentials, DecodeError> {
        let [id, keys] = aws_json::decode(response, ["IdentityId", "Credentials"])?;
        let keys = keys.ok_or_else(|| DecodeError::lacks("Credentials"))?;
        let names = ["AccessKeyId", "SecretKey", "SessionToken", "Expiration"];
        let [key_id, secret, token, end] =
            aws_json::members("the answer's Credentials", keys, names)?;
        let end = end.ok_or_else(|| DecodeError::lacks("Credentials.Expiration"));
        let identity_id = identity_id(id)?;
        let keys = IssuedKeys {
            access_key_id: mem::take(&mut *key(key_id, "Credentials.AccessKeyId")?),
            secret_access_key: key(secret, "Credentials.SecretKey")?.into(),
            session_token: key(token, "Credentials.SessionToken")?.into(),
            expiration: timestamp::parse_json(end?).ok_or_else(|| {
                let what = "is neither seconds since 1970 nor an RFC 3339 timestamp";
                DecodeError(format!("the answer's Credentials.Expiration {what}"))
            })?,
        };
        Ok(IssuedCredentials { identity_id, keys })
    }

    fn redactor(&self) -> Redactor<'_> {
        redactor(self.logins, &[self.identity_id.as_str()])
    }
}

/// <https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetOpenIdToken.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetOpenIdToken<'a> {
    #[serde(serialize_with = "id")]
    pub(crate) identity_id: &'a Id,
    #[serde(skip_serializing_if = "Tokens::is_empty", serialize_with = "logins")]
    pub(crate) logins: &'a Tokens,
}

pub(crate) struct OpenIdToken {
    pub(crate) identity_id: Option<Id>,
    pub(crate) token: Secret,
}

impl JsonOperation for GetOpenIdToken<'_> {
    type Output = OpenIdToken;

    const NAME: &'static str = "GetOpenIdToken";
    const SERVICE: &'static str = SERVICE;
    const REFUSALS: &'static [&'static [KnownRefusal]] = &[OPEN_ID_TOKEN, IDENTITY, IDENTITY_POOL];

    fn input(&self) -> impl Serialize {
        self
    }

    fn output(&self, response: &HttpResponse) -> Result<OpenIdToken, DecodeError> {
        let [id, token] = aws_json::decode(response, ["IdentityId", "Token"])?;
        Ok(OpenIdToken {
            identity_id: identity_id(id)?,
            token: aws_json::required(token, "Token")?.into(),
        })
    }

    fn redactor(&self) -> Redactor<'_> {
        redactor(self.logins, &[self.identity_id.as_str()])
    }
}

/// Returns a redactor for the login tokens and `others`.
pub(crate) fn redactor<'a>(logins: &'a Tokens, others: &[&'a str]) -> Redactor<'a> {
    let tokens = logins.iter().map(|(_, token)| token.expose());
    Redactor { secrets: tokens.chain(others.iter().copied()).collect(), public: None }
}

fn key(json: Option<&str>, name: &str) -> Result<Zeroizing<String>, DecodeError> {
    let key = aws_json::required(json, name)?;
    if is_key(&key) { Ok(key) } else { Err(DecodeError::not_printable(name)) }
}

/// Returns an error for an access token of a user pool, because the service would only say that the
/// token is invalid. A token that cannot be read is sent to the service.
pub(crate) fn check_logins(logins: &Tokens) -> Result<(), Error> {
    let is_access_token = |token: &Secret| {
        let token_use = jwt::claim(token.expose(), "token_use", aws_json::string);
        token_use.is_some_and(|token_use| *token_use == "access")
    };
    for (provider, token) in logins.iter() {
        if is_user_pool(provider) && is_access_token(token) {
            let what = "is an access token, but the identity pool needs the ID token";
            let message = ["the token for ", &logins::shown(provider), " ", what].concat();
            return Err(Error::unsuitable_token(message));
        }
    }
    Ok(())
}

/// Returns `true` if a login seems to belong to a user pool: its name begins with `cognito-idp`, or
/// its last part has a `_`, like a user pool ID (`REGION_NAME`).
fn is_user_pool(provider: &str) -> bool {
    provider.starts_with("cognito-idp")
        || provider.rsplit_once('/').is_some_and(|(_, pool)| pool.contains('_'))
}

/// Checks the length of an ID of Cognito, and its `parts`: the region and the name.
pub(crate) fn check_id(
    text: &str,
    form: &str,
    parts: Option<(&str, &str)>,
    in_name: fn(u8) -> bool,
) -> Result<(), String> {
    let in_region = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let well_formed = parts.is_some_and(|(region, name)| {
        !region.is_empty()
            && region.bytes().all(in_region)
            && !name.is_empty()
            && name.bytes().all(in_name)
    });
    if text.is_empty() {
        Err("is empty".to_owned())
    } else if text.len() > MAX_ID {
        Err(format!("has {} characters, it must have at most {MAX_ID}", text.len()))
    } else if !well_formed {
        Err(format!("must have the form {form}"))
    } else {
        Ok(())
    }
}

fn identity_id(json: Option<&str>) -> Result<Option<Id>, DecodeError> {
    let id =
        json.map(|json| aws_json::text(json, "IdentityId")).transpose()?.map(|id| Id::parse(&id));
    id.transpose().map_err(|fault| DecodeError(format!("the answer's IdentityId {fault}")))
}

fn id<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

/// No other function writes login tokens into a request.
fn logins<S: Serializer>(logins: &Tokens, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(logins.iter().map(|(provider, token)| (provider, token.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::protocol::Operation;
    use std::time::{Duration, SystemTime};

    const POOL: &str = "us-east-1:88859bc9-0149-4183-bf10-39e36EXAMPLE";
    const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

    fn tokens(logins: &[(&str, &str)]) -> Tokens {
        logins
            .iter()
            .copied()
            .collect::<crate::Logins>()
            .tokens(&Tokens::default(), || Duration::MAX)
            .unwrap()
    }

    fn json(operation: &impl Operation) -> serde_json::Value {
        serde_json::from_slice(&operation.body().unwrap()).unwrap()
    }

    #[test]
    fn ids_must_have_the_documented_form() {
        assert!(Id::parse(POOL).is_err(), "the GUID of AWS's example has letters beyond f");
        for id in [IDENTITY, "a:0", "cn_north-1:-", &format!("x:{}", "f".repeat(53))] {
            assert!(Id::parse(id).is_ok(), "{id}");
        }
        let long = format!("x:{}", "f".repeat(54));
        for id in ["", ":", "x", "x:", ":f", "x:g", "x:F", "x y:f", "é:f", "x:f\n", "x:f:f", &long]
        {
            assert!(Id::parse(id).is_err(), "{id:?}");
        }
        assert_eq!(format!("{:?}", Id::parse(IDENTITY).unwrap()), "us-east-1:[redacted]");
    }

    #[test]
    fn the_request_of_get_id_is_written_as_documented() {
        let pool = Id::parse("us-east-1:88859bc9-0149-4183-bf10-39e36a0123ef").unwrap();
        let none = Tokens::default();
        let mut operation =
            GetId { identity_pool_id: &pool, account_id: None, logins: &none, refused: None };
        assert_eq!(json(&operation), serde_json::json!({ "IdentityPoolId": pool.as_str() }));

        let logins = tokens(&[("graph.facebook.com", "token"), ("a\"b", "t\"\\")]);
        operation.logins = &logins;
        operation.account_id = Some("123456789012");
        assert_eq!(
            json(&operation),
            serde_json::json!({
                "IdentityPoolId": pool.as_str(),
                "AccountId": "123456789012",
                "Logins": { "graph.facebook.com": "token", "a\"b": "t\"\\" },
            })
        );
        assert_eq!(
            operation.headers(),
            [
                ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target".to_owned(), "AWSCognitoIdentityService.GetId".to_owned()),
            ]
        );
    }

    #[test]
    fn the_answer_of_get_id_is_read_as_documented() {
        let pool = Id::parse("x:0").unwrap();
        let none = Tokens::default();
        let operation =
            GetId { identity_pool_id: &pool, account_id: None, logins: &none, refused: None };
        let read = |body: String| operation.decode(&HttpResponse::new(200, body));
        assert_eq!(read(format!(r#"{{"IdentityId":"{IDENTITY}"}}"#)).unwrap().as_str(), IDENTITY);
        let rows = [
            ("{}", "the answer lacks IdentityId"),
            (r#"{"IdentityId":null}"#, "the answer lacks IdentityId"),
            (
                r#"{"IdentityId":"../x"}"#,
                "the answer's IdentityId must have the form REGION:GUID, such as us-east-1:12345678-dead-beef-cafe-123456790ab0",
            ),
        ];
        for (body, fault) in rows {
            assert_eq!(read(body.to_owned()).unwrap_err().0, fault);
        }
    }

    /// The sample response of the API reference, with its placeholders filled in.
    const SAMPLE: &str = r#"{
        "Credentials": {
            "SecretKey": "4ZZ/EXAMPLEKEY", "SessionToken": "EXAMPLE+TOKEN=", "Expiration": 1.442877512E9,
            "AccessKeyId": "ASIAEXAMPLE"
        },
        "IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0", "Unknown": [{}]
    }"#;

    #[test]
    fn get_credentials_is_written_and_read_as_documented() {
        let identity = Id::parse(IDENTITY).unwrap();
        let none = Tokens::default();
        let mut operation = GetCredentialsForIdentity {
            identity_id: &identity,
            logins: &none,
            custom_role_arn: None,
        };
        assert_eq!(json(&operation), serde_json::json!({ "IdentityId": IDENTITY }));
        let logins = tokens(&[("www.amazon.com", "token")]);
        operation.logins = &logins;
        operation.custom_role_arn = Some("arn:aws:iam::123456789012:role/r");
        assert_eq!(
            json(&operation),
            serde_json::json!({
                "IdentityId": IDENTITY,
                "Logins": { "www.amazon.com": "token" },
                "CustomRoleArn": "arn:aws:iam::123456789012:role/r",
            })
        );

        let issued = operation.decode(&HttpResponse::new(200, SAMPLE)).unwrap();
        assert_eq!(issued.identity_id.as_ref().map(Id::as_str), Some(IDENTITY));
        assert_eq!(issued.keys.access_key_id, "ASIAEXAMPLE");
        assert_eq!(issued.keys.secret_access_key.expose(), "4ZZ/EXAMPLEKEY");
        assert_eq!(issued.keys.session_token.expose(), "EXAMPLE+TOKEN=");
        assert_eq!(
            issued.keys.expiration,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_442_877_512)
        );
        assert!(!format!("{issued:?}").contains("EXAMPLEKEY"));
    }

    #[test]
    fn get_open_id_token_is_written_and_read_as_documented() {
        let identity = Id::parse(IDENTITY).unwrap();
        let none = Tokens::default();
        let mut operation = GetOpenIdToken { identity_id: &identity, logins: &none };
        assert_eq!(json(&operation), serde_json::json!({ "IdentityId": IDENTITY }));
        let logins = tokens(&[("graph.facebook.com", "token")]);
        operation.logins = &logins;
        let written = serde_json::json!({
            "IdentityId": IDENTITY, "Logins": { "graph.facebook.com": "token" }
        });
        assert_eq!(json(&operation), written);
        assert!(operation.headers()[1].1.ends_with(".GetOpenIdToken"));

        let read = |body: &str| operation.decode(&HttpResponse::new(200, body));
        let answer = read(&format!(r#"{{"IdentityId":"{IDENTITY}","Token":"jwt"}}"#)).unwrap();
        assert_eq!(answer.identity_id.as_ref().map(Id::as_str), Some(IDENTITY));
        assert_eq!(answer.token.expose(), "jwt");
        for body in ["{}", r#"{"Token":""}"#, r#"{"Token":null}"#] {
            assert_eq!(
                read(body).err().map(|fault| fault.0).as_deref(),
                Some("the answer lacks Token")
            );
        }
    }

    #[test]
    fn the_error_for_an_incomplete_answer_names_the_missing_field() {
        let identity = Id::parse(IDENTITY).unwrap();
        let none = Tokens::default();
        let operation = GetCredentialsForIdentity {
            identity_id: &identity,
            logins: &none,
            custom_role_arn: None,
        };
        for field in ["Credentials", "SecretKey", "SessionToken", "Expiration", "AccessKeyId"] {
            let body = SAMPLE.replace(&format!("\"{field}\""), "\"Nothing\"");
            let fault = operation.decode(&HttpResponse::new(200, body)).unwrap_err().0;
            let path =
                if field == "Credentials" { field.into() } else { format!("Credentials.{field}") };
            assert_eq!(fault, format!("the answer lacks {path}"));
        }
        let without_id = SAMPLE.replace("IdentityId", "Nothing");
        assert!(
            operation.decode(&HttpResponse::new(200, without_id)).unwrap().identity_id.is_none()
        );
    }
}
