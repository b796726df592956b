//! The public names. This file does not compile if an item is renamed or removed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{
    FakeCognito, FakeServer, Fault, FaultyStorage, ManualClock, ReceivedRequest,
};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::*;

type Provider = CognitoIdentityCredentials;

fn transports<T: Transport>() {}
fn token_sources<T: TokenSource>() {}
fn developer_identities<T: DeveloperIdentityProvider>() {}
fn storages<T: Storage>() {}
fn clocks<T: Clock>() {}
fn extends<T: Clone + Default + Extend<(String, String)> + FromIterator<(String, String)>>() {}
fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
fn errors<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn the_traits_are_implemented_for_pointers_and_closures() {
    type Answer<T> = Result<T, BoxError>;

    transports::<Arc<dyn Transport>>();
    transports::<Box<dyn Transport>>();
    transports::<fn(&HttpRequest) -> Result<HttpResponse, TransportError>>();
    transports::<FakeCognito>();
    token_sources::<Arc<dyn TokenSource>>();
    token_sources::<Box<dyn TokenSource>>();
    token_sources::<fn() -> Answer<String>>();
    token_sources::<FileToken>();
    developer_identities::<Arc<dyn DeveloperIdentityProvider>>();
    developer_identities::<Box<dyn DeveloperIdentityProvider>>();
    developer_identities::<fn() -> Answer<DeveloperIdentity>>();
    storages::<Arc<dyn Storage>>();
    storages::<MemoryStorage>();
    storages::<FileStorage>();
    storages::<FaultyStorage>();
    clocks::<Arc<dyn Clock>>();
    clocks::<SystemClock>();
    clocks::<ManualClock>();
    extends::<Logins>();
    shared::<Provider>();
    shared::<Builder>();
    shared::<Credentials>();
    shared::<Logins>();
    shared::<Error>();
    shared::<IdentityChange>();
    shared::<RefreshReport>();
    shared::<ReceivedRequest>();
    shared::<Fault>();
    shared::<FaultyStorage>();
    errors::<Error>();
    errors::<TransportError>();
}

#[test]
fn the_names_of_the_methods_of_the_provider() {
    let _: fn() -> Builder = Provider::builder;
    let _: fn() -> Result<Provider, Error> = Provider::from_env;
    let _: fn(&Provider) -> Result<Credentials, Error> = Provider::get;
    let _: fn(&Provider, Duration) -> Result<Credentials, Error> = Provider::get_within;
    let _: fn(&Provider) -> Result<Credentials, Error> = Provider::refresh;
    let _: fn(&Provider) -> bool = Provider::needs_refresh;
    let _: fn(&Provider) -> Option<Credentials> = Provider::cached;
    let _: fn(&Provider) = Provider::expire;
    let _: fn(&Provider, &str) = Provider::invalidate;
    let _: fn(&Provider) -> Option<String> = Provider::identity_id;
    let _: fn(&Provider, &'static str) -> Result<(), Error> = Provider::set_identity_id;
    let _: fn(&Provider) = Provider::clear_cached_id;
    let _: fn(&Provider, &'static str, &'static str) = Provider::set_login;
    let _: fn(&Provider, Logins) = Provider::set_logins;
    let _: fn(&Provider, &str) = Provider::remove_login;
    let _: fn(&Provider) -> Option<ResponseData> = Provider::data;
    let _: fn(&Provider) -> Status = Provider::status;
    let _: fn(&Provider) -> Option<SystemTime> = Provider::service_time;
}

#[test]
fn the_names_of_the_settings() {
    let second = Duration::from_secs(1);
    let _ = |builder: Builder, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>| {
        let _: fn() -> Result<Builder, Error> = Builder::from_env;
        let _ = Builder::from_variables(|_| None);
        builder
            .identity_pool_id("")
            .identity_id("")
            .account_id("")
            .login_id("")
            .region("")
            .login("", "")
            .login_from("", FileToken::new(""))
            .logins(Logins::new().with("", ""))
            .developer_identity(|| Ok(DeveloperIdentity::new("", "")))
            .custom_role_arn("")
            .role_arn("")
            .role_session_name("")
            .policy("")
            .policy_arns([""])
            .provider_id("")
            .duration(second)
            .endpoint_url("")
            .sts_endpoint_url("")
            .use_fips(true)
            .use_dual_stack(true)
            .danger_allow_http(true)
            .transport(transport)
            .storage(MemoryStorage::new())
            .clock(clock)
            .expiry_window(second)
            .advisory_window(second)
            .failure_cooldown(second)
            .attempt_timeout(second)
            .timeout(second)
            .max_attempts(1)
            .allow_new_guest(true)
            .persist_credentials(true)
            .on_identity_change(|change: &IdentityChange| {
                let _ = (&change.old, &change.new, change.reason);
            })
            .on_refresh(|report: &RefreshReport| {
                let _: (&Result<(), Error>, Duration) = (&report.result, report.duration);
                let _: (u32, bool) = (report.service_calls, report.early);
                let _: &Option<Error> = &report.storage_error;
            })
            .build()
    };
}

#[test]
fn the_names_of_the_values() {
    let _ = |credentials: &Credentials| -> Option<SystemTime> {
        let _: (&str, &str) = (credentials.access_key_id(), credentials.secret_access_key());
        let _: (&str, Option<&str>) = (credentials.session_token(), credentials.identity_id());
        let _ = CredentialVariables::from(credentials);
        let _ = CredentialProcessDocument::from(credentials);
        Some(Credentials::new("", "", "", credentials.expiration()).expiration())
    };
    let _ = |mut logins: Logins| -> usize {
        logins.insert("", "");
        logins.remove("");
        logins.providers().count()
    };
    let _ = |error: &Error, transport: &TransportError| {
        let _: (ErrorKind, TransportErrorKind) = (error.kind(), transport.kind());
        let _: (&str, Option<&str>, Option<u16>) = (error.message(), error.code(), error.status());
        let _: [Option<&str>; 3] = [error.request_id(), error.operation(), error.hint()];
        let _: [bool; 2] = [error.is_retryable(), error.needs_sign_in()];
        let _: Option<&TransportError> = error.transport_error();
    };
    let _ = |status: &Status| {
        let _: (&Option<String>, Option<IdentityOrigin>) =
            (&status.identity_id, status.identity_origin);
        let _: (Option<Duration>, bool) = (status.expires_in, status.needs_refresh);
        let _: (&Option<Error>, Option<Duration>) = (&status.last_error, status.next_attempt_in);
        let _: &Option<Error> = &status.storage_error;
    };
}

#[test]
fn the_names_of_the_variants() {
    use ErrorKind as E;
    use IdentityChangeReason as R;
    use IdentityOrigin as O;
    use TransportErrorKind as T;

    let _ = [E::Config, E::Login, E::IdentityUnknown, E::Reentrant, E::Timeout, E::Unreachable];
    let _ = [E::Tls, E::Throttled, E::Unavailable, E::NotAuthorized, E::NotFound, E::Refused];
    let _ = [E::Response, E::Storage];
    let _ = [O::Given, O::Developer, O::Stored, O::Minted, O::Merged];
    let _ = [R::Given, R::Minted, R::Merged, R::Replaced, R::Cleared];
    let _ = [T::Connect, T::Tls, T::Timeout, T::Closed, T::Io, T::TooLarge, T::Other];
}

#[test]
fn the_names_of_the_fakes() {
    let _: fn(FakeCognito) -> std::io::Result<FakeServer> = FakeServer::start;
    let _: fn(&FakeServer) -> &str = FakeServer::url;
    let _: fn(&FakeCognito, &str, usize, Fault) = FakeCognito::fail_next;
    let _: fn(&FakeCognito, Option<SystemTime>) = FakeCognito::set_expiration;
    let _: fn(&FakeCognito, Duration) = FakeCognito::set_lifetime;
    let _: fn(&FakeCognito, i64) = FakeCognito::set_date_offset;
    let _: [fn(&FakeCognito); 1] = [FakeCognito::clear_faults];
    let _ = |fault: Fault| [fault.with_header("", ""), Fault::IdentityId(String::new())];
    let _: fn(&FaultyStorage, &str, usize, std::io::ErrorKind) = FaultyStorage::fail_next;
    let _: fn(&FaultyStorage, &str, &str, usize, std::io::ErrorKind) = FaultyStorage::fail_next_for;
    let _: (fn(&FaultyStorage), fn(&FaultyStorage, &str) -> usize) =
        (FaultyStorage::clear_faults, FaultyStorage::calls);
}

#[cfg(feature = "user-pool")]
#[test]
fn the_names_of_user_pool_tokens() {
    shared::<UserPoolTokens>();
    token_sources::<UserPoolTokens>();
    let _: fn() -> UserPoolTokensBuilder = UserPoolTokens::builder;
    let _: fn(&UserPoolTokens) -> Option<Error> = UserPoolTokens::storage_error;
    let _: fn(Builder, &UserPoolTokens) -> Builder = Builder::login_from_user_pool;
}

#[cfg(feature = "ureq")]
#[test]
fn the_names_of_the_ureq_transport() {
    use cognito_identity_credentials::transport::{IpFamily, UreqTransport};

    transports::<UreqTransport>();
    let _: (fn() -> UreqTransport, fn() -> SystemTime) =
        (UreqTransport::new, UreqTransport::release_time);
    let _ = |clock: Arc<dyn Clock>, family: IpFamily| -> Result<UreqTransport, Error> {
        UreqTransport::builder()
            .ca_file("")
            .ca_pem("")
            .bundled_roots(true)
            .client_cert_pem("")
            .proxy("")
            .proxy_from_env(true)
            .connect_timeout(Duration::from_secs(1))
            .ip_family(family)
            .user_agent("")
            .earliest_time(SystemTime::UNIX_EPOCH)
            .clock(clock)
            .build()
    };
}
