//! AWS Security Token Service (STS): the operation that the classic flow needs.

use roxmltree::Node;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::credentials::{IssuedKeys, ResponseData, is_key};
use crate::error::{Error, KnownRefusal, STS};
use crate::logins::Tokens;
use crate::redact::{self, Redactor};
use crate::secret::Secret;
use crate::service::cognito_identity::{Id, redactor};
use crate::service::protocol::{DecodeError, ErrorMetadata, Operation, aws_query, timestamp};
use crate::transport::HttpResponse;

/// The role of the classic flow and its parameters, without the token.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RoleRequest {
    pub(crate) role_arn: String,
    pub(crate) session_name: String,
    pub(crate) provider_id: Option<String>,
    pub(crate) policy_arns: Vec<String>,
    pub(crate) policy: Option<String>,
    pub(crate) duration_seconds: Option<String>,
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
pub(crate) struct AssumeRoleWithWebIdentity<'a> {
    pub(crate) role: &'a RoleRequest,
    pub(crate) web_identity_token: &'a Secret,
    /// The identity that the token was issued for. It is not sent, only masked in error texts.
    pub(crate) identity_id: &'a Id,
    /// The login tokens that the token was issued for. They are not sent, only masked in error
    /// texts.
    pub(crate) logins: &'a Tokens,
}

#[derive(Debug)]
pub(crate) struct AssumedRole {
    pub(crate) keys: IssuedKeys,
    pub(crate) data: ResponseData,
}

impl Operation for AssumeRoleWithWebIdentity<'_> {
    type Output = AssumedRole;

    const NAME: &'static str = "AssumeRoleWithWebIdentity";
    const REFUSALS: &'static [&'static [KnownRefusal]] = &[STS];

    fn headers(&self) -> Vec<(String, String)> {
        aws_query::headers()
    }

    fn body(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let role = self.role;
        let arns: Vec<(String, &str)> = (1..)
            .zip(&role.policy_arns)
            .map(|(number, arn)| (format!("PolicyArns.member.{number}.arn"), arn.as_str()))
            .collect();
        let mut fields = vec![
            ("Action", Self::NAME),
            ("Version", "2011-06-15"),
            ("RoleArn", &role.role_arn),
            ("RoleSessionName", &role.session_name),
            ("WebIdentityToken", self.web_identity_token.expose()),
        ];
        fields.extend(role.provider_id.as_deref().map(|id| ("ProviderId", id)));
        fields.extend(arns.iter().map(|(key, arn)| (key.as_str(), *arn)));
        fields.extend(role.policy.as_deref().map(|policy| ("Policy", policy)));
        fields.extend(role.duration_seconds.as_deref().map(|s| ("DurationSeconds", s)));
        Ok(aws_query::encode(&fields))
    }

    fn decode(&self, response: &HttpResponse) -> Result<AssumedRole, DecodeError> {
        aws_query::decode(response, |root| {
            let result = element(root, "AssumeRoleWithWebIdentityResult")?;
            let keys = element(result, "Credentials")?;
            let text = |name| aws_query::text(keys, name).ok_or_else(|| DecodeError::lacks(name));
            let key = |name| {
                text(name)?;
                let key = aws_query::untrimmed(keys, name).unwrap_or_default();
                if is_key(key) { Ok(key) } else { Err(DecodeError::not_printable(name)) }
            };
            let user = aws_query::child(result, "AssumedRoleUser");
            // Text with control characters counts as absent.
            let visible = |text: &&str| redact::is_visible(text);
            let field = |name| aws_query::text(result, name).filter(visible).map(str::to_owned);
            let of_user = |name| aws_query::text(user?, name).filter(visible).map(str::to_owned);
            let size = aws_query::text(result, "PackedPolicySize");
            let keys = IssuedKeys {
                access_key_id: key("AccessKeyId")?.to_owned(),
                secret_access_key: Secret::new(key("SecretAccessKey")?),
                session_token: Secret::new(key("SessionToken")?),
                expiration: timestamp::parse_rfc3339(text("Expiration")?).ok_or_else(|| {
                    DecodeError("the answer's Expiration is not an RFC 3339 timestamp".to_owned())
                })?,
            };
            let data = ResponseData {
                identity_id: self.identity_id.as_str().to_owned(),
                assumed_role_arn: of_user("Arn"),
                assumed_role_id: of_user("AssumedRoleId"),
                subject_from_web_identity_token: field("SubjectFromWebIdentityToken"),
                audience: field("Audience"),
                provider: field("Provider"),
                packed_policy_size: size.and_then(|size| size.parse().ok()),
                source_identity: field("SourceIdentity"),
            };
            Ok(AssumedRole { keys, data })
        })
    }

    fn decode_error(&self, response: &HttpResponse) -> ErrorMetadata {
        aws_query::decode_error(response)
    }

    fn redactor(&self) -> Redactor<'_> {
        redactor(self.logins, &[self.web_identity_token.expose(), self.identity_id.as_str()])
    }
}

/// Returns why STS would reject a `WebIdentityToken`, if it would. The text does not quote the
/// token.
pub(crate) fn web_identity_token_fault(token: &Secret) -> Option<String> {
    let length = token.expose().chars().count();
    let fits = (4..=20_000).contains(&length);
    (!fits).then(|| format!("has {length} characters, STS takes 4 to 20000"))
}

fn element<'a, 'input>(
    node: Node<'a, 'input>,
    name: &str,
) -> Result<Node<'a, 'input>, DecodeError> {
    aws_query::child(node, name).ok_or_else(|| DecodeError::lacks(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    /// The sample response of the API reference.
    const SAMPLE: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>amzn1.account.AF6RHO7KZU5XRVQJGXK6HB56KR2A</SubjectFromWebIdentityToken>
    <Audience>client.5498841531868486423.1548@apps.example.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/FederatedWebIdentityRole/app1</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:app1</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <Expiration>2014-10-24T23:00:23Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
    <SourceIdentity>SourceIdentityValue</SourceIdentity>
    <Provider>www.amazon.com</Provider>
    <PackedPolicySize>123</PackedPolicySize>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#;

    fn role() -> RoleRequest {
        RoleRequest {
            role_arn: "arn:aws:iam::123456789012:role/FederatedWebIdentityRole".into(),
            session_name: "app1".into(),
            ..RoleRequest::default()
        }
    }

    fn written(role: &RoleRequest) -> String {
        let web_identity_token = &Secret::new("Atza|IQ");
        let identity_id = &Id::parse("r:1").unwrap();
        let logins = &Tokens::default();
        let operation = AssumeRoleWithWebIdentity { role, web_identity_token, identity_id, logins };
        let body = operation.body().unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn the_request_is_written_as_documented_with_and_without_each_optional_field() {
        let required = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FFederatedWebIdentityRole&RoleSessionName=app1&WebIdentityToken=Atza%7CIQ";
        assert_eq!(written(&role()), required);
        let full = RoleRequest {
            provider_id: Some("www.amazon.com".into()),
            policy_arns: vec!["arn:aws:iam::1:policy/a".into(), "arn:aws:iam::1:policy/b".into()],
            policy: Some(r#"{"Version": 1}"#.into()),
            duration_seconds: Some("3600".into()),
            ..role()
        };
        assert_eq!(
            written(&full),
            format!(
                "{required}&ProviderId=www.amazon.com&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3A1%3Apolicy%2Fa&PolicyArns.member.2.arn=arn%3Aaws%3Aiam%3A%3A1%3Apolicy%2Fb&Policy=%7B%22Version%22%3A%201%7D&DurationSeconds=3600"
            )
        );
    }

    fn read(body: &str) -> Result<AssumedRole, DecodeError> {
        let role = role();
        let web_identity_token = &Secret::new("t");
        let identity_id = &Id::parse("r:1").unwrap();
        let logins = &Tokens::default();
        let operation =
            AssumeRoleWithWebIdentity { role: &role, web_identity_token, identity_id, logins };
        operation.decode(&HttpResponse::new(200, body))
    }

    #[test]
    fn the_answer_is_read_as_documented() {
        let answer = read(SAMPLE).unwrap();
        assert_eq!(answer.keys.access_key_id, "ASgeIAIOSFODNN7EXAMPLE");
        assert_eq!(
            answer.keys.secret_access_key.expose(),
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
        );
        assert!(answer.keys.session_token.expose().starts_with("AQoDYXdzEE0a8ANXXX"));
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_414_191_623);
        assert_eq!(answer.keys.expiration, end);
        let data = answer.data;
        let texts = [
            (
                data.assumed_role_arn,
                "arn:aws:sts::123456789012:assumed-role/FederatedWebIdentityRole/app1",
            ),
            (data.assumed_role_id, "AROACLKWSDQRAOEXAMPLE:app1"),
            (data.subject_from_web_identity_token, "amzn1.account.AF6RHO7KZU5XRVQJGXK6HB56KR2A"),
            (data.audience, "client.5498841531868486423.1548@apps.example.com"),
            (data.provider, "www.amazon.com"),
            (data.source_identity, "SourceIdentityValue"),
        ];
        for (text, expected) in texts {
            assert_eq!(text.as_deref(), Some(expected));
        }
        assert_eq!(data.packed_policy_size, Some(123));
    }

    #[test]
    fn the_error_for_an_incomplete_answer_names_the_missing_field() {
        let needed = [
            "AssumeRoleWithWebIdentityResult",
            "Credentials",
            "AccessKeyId",
            "SecretAccessKey",
            "SessionToken",
            "Expiration",
        ];
        for name in needed {
            let body = SAMPLE
                .replace(&format!("<{name}>"), "<Nothing>")
                .replace(&format!("</{name}>"), "</Nothing>");
            assert_eq!(read(&body).unwrap_err().0, format!("the answer lacks {name}"));
        }
        let bare = SAMPLE
            .replace("AssumedRoleUser", "Nothing")
            .replace("<PackedPolicySize>123", "<PackedPolicySize>x");
        let data = read(&bare).unwrap().data;
        assert_eq!((data.assumed_role_arn, data.packed_policy_size), (None, None));
        for odd in ["\u{9b}31m", "\u{202e}", "\u{200b}x"] {
            let body = SAMPLE.replace("www.amazon.com", odd).replace("SourceIdentityValue", odd);
            let data = read(&body.replace("AROACLKWSDQRAOEXAMPLE:app1", odd)).unwrap().data;
            assert_eq!((data.provider, data.source_identity), (None, None), "{odd:?}");
            let (arn, id) = (data.assumed_role_arn, data.assumed_role_id);
            assert!(id.is_none() && arn.is_some(), "{odd:?}");
        }
        let odd = SAMPLE.replace("2014-10-24T23:00:23Z", "tomorrow");
        assert_eq!(
            read(&odd).unwrap_err().0,
            "the answer's Expiration is not an RFC 3339 timestamp"
        );
    }
}
