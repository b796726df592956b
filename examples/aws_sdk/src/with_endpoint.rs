//! The AWS SDK without this crate. Its default chain of credentials calls the endpoint of
//! `cognito-credentials serve` or `exec --serve`. The environment has the address.
//!
//! It asks STS for its identity every few seconds, until the file of its first argument exists.
//! `AWS_ENDPOINT_URL` is an emulator on loopback, because the client here has no TLS.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::BehaviorVersion;

fn main() -> Result<(), Box<dyn Error>> {
    let end: PathBuf = env::args_os().nth(1).ok_or("usage: with_endpoint FILE")?.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        let sts = aws_sdk_sts::Client::new(&config);
        while !end.exists() {
            let answer = sts.get_caller_identity().send().await?;
            println!("{}", answer.arn().ok_or("the answer has no ARN")?);
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        Ok(())
    })
}
