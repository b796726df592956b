//! A unit test without a network: the transport is a closure that checks the request and answers.
//!
//! ```sh
//! cargo run --example unit_test_transport
//! ```
//!
//! For several answers, see `testing::FakeCognito`.

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{CognitoIdentityCredentials, Error};

const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

fn main() -> Result<(), Error> {
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    let in_an_hour =
        in_an_hour.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let transport = move |request: &HttpRequest| {
        assert_eq!(request.url(), "https://cognito-identity.us-east-1.amazonaws.com/");
        assert_eq!(request.body(), format!(r#"{{"IdentityId":"{IDENTITY}"}}"#).as_bytes());
        let keys = r#""AccessKeyId": "ASIATEST", "SecretKey": "secret", "SessionToken": "token""#;
        let body = format!(r#"{{"Credentials": {{{keys}, "Expiration": {in_an_hour}}}}}"#);
        Ok(HttpResponse::new(200, body))
    };

    let credentials =
        CognitoIdentityCredentials::builder().identity_id(IDENTITY).transport(transport).build()?;
    assert_eq!(credentials.get()?.access_key_id(), "ASIATEST");
    println!("The closure answered: {:?}", credentials.get()?);
    Ok(())
}
