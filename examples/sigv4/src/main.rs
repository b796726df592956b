//! Signs a request to any AWS service with `aws-sigv4` and sends it with ureq. The time in the
//! signature is the service's time, so the request works on a device whose clock is wrong. If the
//! service answers that the token has expired, it gets new credentials and tries once more.
//!
//! ```sh
//! export AWS_COGNITO_IDENTITY_POOL_ID=…
//! sigv4() { cargo run --manifest-path examples/sigv4/Cargo.toml -- "$@"; }
//! sigv4 # asks STS who the program is
//! sigv4 execute-api https://….amazonaws.com/stage/path
//! ```
//!
//! S3 needs other `SigningSettings`; `examples/s3` shows an easier way.
//!
//! The region is the pool's region. `Builder::from_env` lists the other variables for the
//! credentials. `AWS_ENDPOINT_URL` is also the URL of STS.

use std::env;
use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};
use env_logger::Env;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

fn main() {
    env_logger::Builder::from_env(Env::default().default_filter_or("warn")).init();
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let pool = env::var("AWS_COGNITO_IDENTITY_POOL_ID")
        .map_err(|_| "AWS_COGNITO_IDENTITY_POOL_ID is not set")?;
    let region = pool.split(':').next().unwrap_or_default();
    let mut arguments = env::args().skip(1);
    let (service, url) = match (arguments.next(), arguments.next()) {
        (Some(service), Some(url)) => (service, url),
        (None, None) => {
            let endpoint = env::var("AWS_ENDPOINT_URL")
                .unwrap_or_else(|_| format!("https://sts.{region}.amazonaws.com"));
            let endpoint = endpoint.trim_end_matches('/');
            let url = format!("{endpoint}/?Action=GetCallerIdentity&Version=2011-06-15");
            ("sts".to_owned(), url)
        }
        _ => return Err("usage: sigv4 [SERVICE URL]".into()),
    };
    let credentials = Builder::from_env()?.build()?;
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0) // the signature is for one host
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .into();
    println!("{}", get(&credentials, &agent, region, &service, &url)?);
    Ok(())
}

/// Sends a signed GET and returns the body of the answer.
fn get(
    provider: &CognitoIdentityCredentials,
    agent: &Agent,
    region: &str,
    service: &str,
    url: &str,
) -> Result<String, Box<dyn Error>> {
    let mut retried = false;
    loop {
        let keys = provider.get()?; // before each request
        let identity = Credentials::from(&keys).into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(provider.service_time().unwrap_or_else(SystemTime::now))
            .settings(SigningSettings::default())
            .build()?
            .into();
        let mut request = Request::get(url).body(())?;
        let signable =
            SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(b""))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);

        let mut answer = agent.run(request)?;
        let body = answer.body_mut().read_to_string()?;
        if answer.status().is_success() {
            return Ok(body);
        }
        if retried || !token_has_expired(answer.headers(), &body) {
            // Some services repeat the request, with the token.
            let body = body.replace(keys.session_token(), "[redacted]");
            return Err(format!("{service}: {}: {body}", answer.status()).into());
        }
        provider.invalidate(keys.access_key_id());
        retried = true;
    }
}

/// Services have the code `ExpiredToken` or `ExpiredTokenException`, in a header or in the body.
fn token_has_expired(headers: &HeaderMap, body: &str) -> bool {
    let header = headers.get("x-amzn-errortype").and_then(|code| code.to_str().ok());
    header.unwrap_or(body).contains("ExpiredToken")
}
