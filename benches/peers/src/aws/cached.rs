//! The two calls behind the identity cache of the SDK's clients.

use std::hint::black_box;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::identity::{
    Identity, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use tokio::runtime::Runtime;

use crate::{Cognito, Fallible, tasks};

pub fn run(runtime: &Runtime, cognito: Cognito, threads: usize) -> Fallible<()> {
    let cache = Arc::new(Cache::new(cognito)?);
    let identity = runtime.block_on(cache.identity())?;
    let set = identity.data::<Credentials>().ok_or("other credentials")?;
    println!("key {}", set.access_key_id());
    tasks::get(threads, &cache)
}

impl ProvideCredentials for Cognito {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.fetch().await.map_err(CredentialsError::provider_error)
        })
    }
}

struct Cache {
    kept: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    settings: ConfigBag,
}

impl Cache {
    fn new(provider: Cognito) -> Fallible<Self> {
        let provider = SharedCredentialsProvider::new(provider);
        let resolver = SharedIdentityResolver::new(provider);
        let kept = IdentityCache::lazy().build();
        let schemes = StaticAuthSchemeOptionResolver::new(vec![NO_AUTH_SCHEME_ID]);
        let components = RuntimeComponentsBuilder::new("peer")
            .with_auth_scheme(NoAuthScheme::new())
            .with_auth_scheme_option_resolver(Some(schemes))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::http_localhost(1)))
            .with_identity_cache(Some(kept.clone()))
            .with_identity_resolver(NO_AUTH_SCHEME_ID, resolver.clone())
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .with_sleep_impl(Some(SharedAsyncSleep::new(TokioSleep::new())))
            .with_time_source(Some(SharedTimeSource::new(SystemTimeSource::new())))
            .build()?;
        Ok(Self { kept, resolver, components, settings: ConfigBag::base() })
    }

    async fn identity(&self) -> Fallible<Identity> {
        let resolver = self.resolver.clone();
        self.kept.resolve_cached_identity(resolver, &self.components, &self.settings).await
    }
}

impl tasks::Get for Cache {
    async fn get(&self) {
        black_box(self.identity().await.unwrap_or_else(|_| std::process::abort()));
    }
}
