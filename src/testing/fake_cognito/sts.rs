//! STS in memory: `AssumeRoleWithWebIdentity`, and the XML of answers and errors.

use std::time::{Duration, SystemTime};

use super::request::ReceivedRequest;
use super::service_error::ServiceError;
use super::tokens::OpenIdTokens;
use crate::credentials::clamp_to_rfc3339;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers `AssumeRoleWithWebIdentity`. `serial` makes the new keys unique.
pub(super) fn assume_role(
    request: &ReceivedRequest,
    tokens: &OpenIdTokens,
    serial: &mut u64,
    default_lifetime: Duration,
    expiration: Option<SystemTime>,
    now: SystemTime,
) -> Result<String, ServiceError> {
    let field = |name: &str| {
        request.form_field(name).ok_or_else(|| {
            let message = format!("1 validation error detected: {name} is missing");
            ServiceError("ValidationError", message)
        })
    };
    let (role, session) = (escape(field("RoleArn")?), escape(field("RoleSessionName")?));
    let token = tokens.get(field("WebIdentityToken")?).ok_or_else(|| {
        let message = "The ID Token provided is not a valid JWT".to_owned();
        ServiceError("InvalidIdentityToken", message)
    })?;
    if token.end <= now {
        return Err(ServiceError("ExpiredTokenException", "Token expired".to_owned()));
    }
    let subject = &token.identity;
    let lifetime = match field("DurationSeconds") {
        Ok(seconds) => Duration::from_secs(seconds.parse().unwrap_or_default()),
        Err(_) => default_lifetime,
    };
    *serial += 1;
    let end = expiration.unwrap_or_else(|| now + lifetime);
    let (n, end) = (*serial, humantime::format_rfc3339_seconds(clamp_to_rfc3339(end)));
    Ok(format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"{NAMESPACE}\">
          <AssumeRoleWithWebIdentityResult>
            <SubjectFromWebIdentityToken>{subject}</SubjectFromWebIdentityToken>
            <Provider>cognito-identity.amazonaws.com</Provider>
            <AssumedRoleUser>
              <Arn>{role}/{session}</Arn><AssumedRoleId>AROAFAKE:{session}</AssumedRoleId>
            </AssumedRoleUser>
            <Credentials>
              <AccessKeyId>ASIAFAKE{n:012}</AccessKeyId>
              <SecretAccessKey>fake/secret/key/{n:024}</SecretAccessKey>
              <SessionToken>fake+session+token+{n}=</SessionToken>
              <Expiration>{end}</Expiration>
            </Credentials>
          </AssumeRoleWithWebIdentityResult>
        </AssumeRoleWithWebIdentityResponse>"
    ))
}

pub(super) fn error_document(code: &str, message: &str) -> String {
    let (code, message) = (escape(code), escape(message));
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
