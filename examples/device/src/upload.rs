//! One signed request to S3.

use std::fmt;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::Credentials;
use jiff::Timestamp;
use rusty_s3::actions::PutObject;
use rusty_s3::{S3Action, UrlStyle};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::settings::{Settings, WrongSetting};

/// How long the signature is valid.
const VALID: Duration = Duration::from_secs(300);

/// Errors of S3 are shorter than this.
const MAX_ERROR: u64 = 64 * 1024;

/// What the log shows of them.
const MAX_TEXT: usize = 200;

pub struct Bucket {
    bucket: rusty_s3::Bucket,
    agent: Agent,
}

impl Bucket {
    pub fn new(settings: &Settings, authorities: Option<&[u8]>) -> Result<Self, WrongSetting> {
        let region = &settings.region;
        let (url, style) = match &settings.s3_url {
            Some(url) => (url.clone(), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let url = url.parse().map_err(|error| wrong("the URL of S3", error))?;
        let bucket = rusty_s3::Bucket::new(url, style, settings.bucket.clone(), region.clone());
        let bucket = bucket.map_err(|error| wrong("BUCKET", error))?;
        let proxy = settings.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(|error| wrong("PROXY", error))?;
        let mut agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0) // the signature is for one host
            .proxy(proxy) // without this, ureq would read one from the environment
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(settings.call_time));
        if let Some(pem) = authorities {
            let roots = root_certs(pem).map_err(|error| wrong("AWS_CA_BUNDLE", error))?;
            agent = agent.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { bucket, agent: agent.build().into() })
    }

    pub fn put(
        &self,
        keys: &Credentials,
        time: SystemTime,
        object: &str,
        body: &str,
    ) -> Result<(), UploadError> {
        let signer = rusty_s3::Credentials::new_with_token(
            keys.access_key_id(),
            keys.secret_access_key(),
            keys.session_token(),
        );
        let time = Timestamp::try_from(time).map_err(UploadError::local)?;
        let url = PutObject::new(&self.bucket, Some(&signer), object).sign_with_time(VALID, &time);
        let mut answer = self.agent.put(url.as_str()).send(body).map_err(UploadError::local)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let document = answer.body_mut().with_config().limit(MAX_ERROR).read_to_string();
        Err(UploadError::answer(status.as_u16(), &document.unwrap_or_default()))
    }
}

fn wrong(name: &str, error: impl fmt::Display) -> WrongSetting {
    WrongSetting(format!("{name}: {error}"))
}

fn root_certs(pem: &[u8]) -> Result<RootCerts, ureq::Error> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item? {
            certificates.push(certificate);
        }
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

#[derive(Debug)]
pub struct UploadError {
    code: Option<String>,
    text: String,
}

impl UploadError {
    /// Returns `true` if S3 answered with this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    fn local(error: impl fmt::Display) -> Self {
        Self { code: None, text: error.to_string() }
    }

    /// Reads only the code and the message from the answer, because some answers of S3 repeat the
    /// session token. Each becomes one short line of the log.
    fn answer(status: u16, document: &str) -> Self {
        let element = |name: &str| {
            let (_, rest) = document.split_once(&format!("<{name}>"))?;
            let text = rest.split_once("</")?.0.chars();
            Some(text.filter(|c| matches!(c, ' '..='~')).take(MAX_TEXT).collect::<String>())
        };
        let code = element("Code");
        let message = element("Message").unwrap_or_default();
        let text =
            format!("S3: {status} {}: {message}", code.as_deref().unwrap_or("without a code"));
        Self { code, text }
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_code_and_the_message_but_not_the_token() {
        let document = "<?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code><Message>The provided \
            token has expired.</Message><Token-0>secret</Token-0></Error>";
        let error = UploadError::answer(400, document);
        assert!(error.is("ExpiredToken"));
        assert_eq!(error.to_string(), "S3: 400 ExpiredToken: The provided token has expired.");

        let long = format!("<Code>A\u{202e}\n</Code><Message>{}</Message>", "x".repeat(60_000));
        let long = UploadError::answer(500, &long).to_string();
        assert_eq!(long, format!("S3: 500 A: {}", "x".repeat(200)));

        let page = UploadError::answer(503, "<html>");
        assert!(!page.is("ExpiredToken"));
        assert_eq!(page.to_string(), "S3: 503 without a code: ");
    }
}
