//! The answers of Cognito and STS.

use crate::ids::IDENTITY;

pub(crate) const DATE: &str = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";

/// A complete HTTP answer.
pub(crate) fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{DATE}{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    http("200 OK", "", body)
}

/// An answer with exactly these headers, also without `Content-Length`.
pub(crate) fn raw(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{DATE}{headers}\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

pub(crate) fn keys(access_key: &str) -> String {
    format!(
        r#"{{"AccessKeyId":"{access_key}","SecretKey":"secret","SessionToken":"token","Expiration":1767229200}}"#
    )
}

pub(crate) fn issued(access_key: &str) -> String {
    format!(r#"{{"IdentityId":"{IDENTITY}","Credentials":{}}}"#, keys(access_key))
}

pub(crate) fn assumed(access_key: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}

/// What the service answers to the request with this head.
pub(crate) fn serve(request: &str) -> Vec<u8> {
    let target = request.lines().find_map(|line| line.strip_prefix("x-amz-target: "));
    ok(match target {
        Some("AWSCognitoIdentityService.GetId") => format!(r#"{{"IdentityId":"{IDENTITY}"}}"#),
        Some("AWSCognitoIdentityService.GetOpenIdToken") => {
            format!(r#"{{"IdentityId":"{IDENTITY}","Token":"open"}}"#)
        }
        Some(_) => issued("HEALTHY"),
        None => assumed("HEALTHY"),
    })
}
