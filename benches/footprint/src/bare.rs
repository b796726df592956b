//! The two calls by hand: the size and cost of a program with HTTPS and JSON, but without the
//! library.
//!
//! `bare URL [CA_FILE]`

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

mod report;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const BUFFER: usize = 16 * 1024;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let agent = agent(arguments.next().as_deref())?;
    let identity = get_id(&agent, &url)?;
    println!("key {}", get_key(&agent, &url, &identity)?);
    report::report()?;
    Ok(())
}

pub(crate) fn agent(ca_file: Option<&str>) -> Result<Agent, Box<dyn Error>> {
    let roots = match ca_file {
        None => RootCerts::WebPki,
        Some(path) => {
            let pem = std::fs::read(path)?;
            let authorities = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            RootCerts::from(authorities)
        }
    };
    Ok(Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(10)))
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .build()
        .into())
}

pub(crate) fn get_id(agent: &Agent, url: &str) -> Result<Value, Box<dyn Error>> {
    let answer = call(agent, url, "GetId", &json!({ "IdentityPoolId": POOL }))?;
    Ok(answer["IdentityId"].clone())
}

pub(crate) fn get_key(
    agent: &Agent,
    url: &str,
    identity: &Value,
) -> Result<String, Box<dyn Error>> {
    let request = json!({ "IdentityId": identity });
    let answer = call(agent, url, "GetCredentialsForIdentity", &request)?;
    Ok(answer["Credentials"]["AccessKeyId"].as_str().ok_or("no credentials")?.to_owned())
}

fn call(agent: &Agent, url: &str, operation: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
    let mut answer = agent
        .post(url)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AWSCognitoIdentityService.{operation}"))
        .send(serde_json::to_vec(body)?)?;
    let text = answer.body_mut().with_config().limit(256 * 1024).read_to_vec()?;
    if answer.status() != 200 {
        return Err(format!("{operation}: status {}", answer.status()).into());
    }
    Ok(serde_json::from_slice(&text)?)
}
