//! Signs a request to any AWS service with `aws-sigv4` and sends it with ureq. The time in the
//! signature is the service's, so that a device whose clock is wrong is let in too.
//!
//! ```sh
//! export AWS_COGNITO_IDENTITY_POOL_ID=…
//! cargo run --example sigv4 --features aws-sdk # asks STS who the program is
//! cargo run --example sigv4 --features aws-sdk -- execute-api https://….amazonaws.com/stage/path
//! ```
//!
//! (S3 wants other `SigningSettings`; `s3_upload` shows an easier way there.)
//!
//! The region is the pool's. `Builder::from_env` lists what else is read for the credentials;
//! `AWS_ENDPOINT_URL` is where STS is asked too.

use std::env;
use std::error::Error;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use cognito_identity_credentials::Builder;
use ureq::Agent;
use ureq::http::Request;

fn main() {
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
    let identity = Credentials::from(credentials.get()?).into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(&service)
        .time(credentials.service_time().unwrap_or_else(SystemTime::now))
        .settings(SigningSettings::default())
        .build()?
        .into();

    let mut request = Request::get(&url).body(())?;
    let signable = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(b""))?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);

    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0) // the signature is for one host
        .build()
        .into();
    let mut answer = agent.run(request)?;
    println!("{}", answer.body_mut().read_to_string()?);
    if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string().into()) }
}
