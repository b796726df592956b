//! Fakes of Cognito and S3 on loopback, to try the program without AWS ("Try it" in `README.md`).
//!
//! The argument is a file: it writes a refresh token there. It prints the settings for the program,
//! and then each upload.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/network/mod.rs"]
mod network;

use std::time::Duration;
use std::{env, error, fs, path, thread};

use cognito_identity_credentials::testing::FakeCognito;

use crate::network::{Bucket, Server};

fn main() -> Result<(), Box<dyn error::Error>> {
    let token = env::args().nth(1).ok_or("usage: services FILE")?;
    let cognito = FakeCognito::new();
    fs::write(&token, cognito.sign_in("device-1"))?;
    let cognito = Server::start(move |stream| drop(cognito.serve(stream)));
    let bucket = Bucket::default();
    let serving = bucket.clone();
    let s3 = Server::start(move |stream| serving.serve(stream));

    println!("AWS_COGNITO_IDENTITY_POOL_ID={}", FakeCognito::POOL_ID);
    println!("AWS_ENDPOINT_URL={}", cognito.url());
    println!("AWS_ENDPOINT_URL_S3={}", s3.url());
    println!("USER_POOL_ID={}", FakeCognito::USER_POOL_ID);
    println!("CLIENT_ID={}", FakeCognito::CLIENT_ID);
    println!("REFRESH_TOKEN_FILE={}", path::absolute(token)?.display());
    println!("LOGIN_ID=device-1");
    println!("BUCKET=readings");
    for printed in 0.. {
        let upload = loop {
            match bucket.objects().into_iter().nth(printed) {
                Some(upload) => break upload,
                None => thread::sleep(Duration::from_millis(100)),
            }
        };
        eprint!("{}\n{}", upload.path, upload.body);
    }
    Ok(())
}
