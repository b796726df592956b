//! Answers of the service, with tokens of realistic length.

#![allow(dead_code, reason = "each bench has its share of it")]

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::transport::HttpResponse;

#[allow(unused_imports, reason = "each bench uses some of them")]
pub(crate) use ids::{IDENTITY, POOL, ROLE};

#[path = "../../tests/support/ids.rs"]
mod ids;

/// The usual length, in characters.
pub(crate) const SESSION_TOKEN: usize = 1_200;

pub(crate) fn get_id() -> HttpResponse {
    answer(format!(r#"{{"IdentityId":"{IDENTITY}"}}"#))
}

/// The answer of `GetCredentialsForIdentity`. `expiration` is a JSON number or string.
pub(crate) fn credentials(expiration: &str) -> HttpResponse {
    let (secret, token) = ("s".repeat(40), "t".repeat(SESSION_TOKEN));
    let keys = format!(
        r#""AccessKeyId":"ASIAEXAMPLE","SecretKey":"{secret}","SessionToken":"{token}","Expiration":{expiration}"#
    );
    answer(format!(r#"{{"IdentityId":"{IDENTITY}","Credentials":{{{keys}}}}}"#))
}

/// The answer of `GetCredentialsForIdentity`, valid for an hour from now.
pub(crate) fn credentials_for_an_hour() -> HttpResponse {
    let since = in_an_hour().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    credentials(&since.as_secs().to_string())
}

pub(crate) fn open_id_token() -> HttpResponse {
    let token = "o".repeat(SESSION_TOKEN);
    answer(format!(r#"{{"IdentityId":"{IDENTITY}","Token":"{token}"}}"#))
}

/// The answer of `AssumeRoleWithWebIdentity`. `expiration` is an RFC 3339 text.
pub(crate) fn assumed_role(expiration: &str) -> HttpResponse {
    let (secret, token) = ("s".repeat(40), "t".repeat(SESSION_TOKEN));
    answer(format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>{IDENTITY}</SubjectFromWebIdentityToken><Audience>{POOL}</Audience><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/device/device</Arn><AssumedRoleId>AROACLKWSDQRAOEXAMPLE:device</AssumedRoleId></AssumedRoleUser><Credentials><SessionToken>{token}</SessionToken><SecretAccessKey>{secret}</SecretAccessKey><Expiration>{expiration}</Expiration><AccessKeyId>ASIAEXAMPLE</AccessKeyId></Credentials><Provider>cognito-identity.amazonaws.com</Provider></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6ef4e1a2b3</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"
    ))
}

pub(crate) fn in_an_hour() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn answer(body: String) -> HttpResponse {
    HttpResponse::new(200, body)
        .with_header("date", httpdate::fmt_http_date(SystemTime::now()))
        .with_header("x-amzn-requestid", "d0f4f0a5-6d37-4c9a-9c3b-0b8ff6d5f7a1")
}
