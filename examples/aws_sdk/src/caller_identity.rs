//! Asks STS for the caller's identity, for both programs, and checks how many calls Cognito gets.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_sts::Client;
use aws_sdk_sts::config::{
    BehaviorVersion, Builder, Config, IdentityCache, Region, SharedIdentityCache,
};
use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::{HttpRequest, Transport, UreqTransport};

/// `under` sets what the executor needs.
pub async fn run(under: impl Fn(Builder) -> Builder) -> Result<(), Box<dyn Error>> {
    let calls = Arc::new(AtomicUsize::new(0));
    let credentials = provider(Arc::clone(&calls))?;
    let client = |cache: SharedIdentityCache| {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(env::var("AWS_REGION").unwrap_or_else(|_| "eu-west-1".into())))
            .credentials_provider(credentials.clone())
            .identity_cache(cache);
        config.set_endpoint_url(env::var("AWS_ENDPOINT_URL").ok());
        Client::from_conf(under(config).build())
    };

    // One client has the SDK's own cache. The other one always asks the provider.
    let cached = client(IdentityCache::lazy().build());
    let uncached = client(IdentityCache::no_cache());
    let mut first = None;
    for client in [&cached, &cached, &uncached, &uncached] {
        println!("{}", who_am_i(client).await?);
        let so_far = calls.load(Ordering::Relaxed);
        assert!(so_far > 0, "no call to Cognito");
        assert_eq!(so_far, *first.get_or_insert(so_far), "Cognito was asked a second time");
    }
    let first = first.unwrap_or_default();
    println!("4 requests, {first} calls for credentials");

    // A client without its own cache asks the provider, which now refreshes.
    credentials.expire();
    println!("{}", who_am_i(&uncached).await?);
    assert!(calls.load(Ordering::Relaxed) > first, "no new credentials after `expire`");
    println!("1 request after expire(), {} calls more", calls.load(Ordering::Relaxed) - first);
    Ok(())
}

async fn who_am_i(client: &Client) -> Result<String, Box<dyn Error>> {
    let answer = client.get_caller_identity().send().await?;
    Ok(answer.arn().ok_or("the answer has no ARN")?.to_owned())
}

fn provider(calls: Arc<AtomicUsize>) -> Result<CognitoIdentityCredentials, Box<dyn Error>> {
    let network = UreqTransport::new();
    let counting = move |request: &HttpRequest| {
        calls.fetch_add(1, Ordering::Relaxed);
        network.send(request)
    };
    let settings = cognito_identity_credentials::Builder::from_env()?;
    Ok(settings.transport(counting).build()?)
}
