//! What `build()` accepts, and its errors.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse, Transport};
use cognito_identity_credentials::{
    BoxError, Builder, CognitoIdentityCredentials, ConfigFault, DeveloperIdentity, Error,
    ErrorKind, Logins, MemoryStorage,
};

use crate::support::{IDENTITY, POOL, ROLE};

fn builder() -> Builder {
    CognitoIdentityCredentials::builder().transport(FakeCognito::new())
}

#[test]
fn each_fault_names_its_setting() {
    let pool = || builder().identity_pool_id(POOL);
    let backend = || -> Result<DeveloperIdentity, BoxError> { Err("unused".into()) };
    let rows = [
        (builder(), "identity_pool_id: not set; set it, or identity_id"),
        (builder().identity_pool_id(""), "identity_pool_id: is empty"),
        (
            builder().identity_pool_id("x".repeat(56)),
            "identity_pool_id: has 56 characters, it must have at most 55",
        ),
        (
            builder().identity_pool_id("us-east-1"),
            "identity_pool_id: must have the form REGION:GUID, such as us-east-1:12345678-dead-beef-cafe-123456790ab0",
        ),
        (
            builder().identity_id("us-east-1:XYZ"),
            "identity_id: must have the form REGION:GUID, such as us-east-1:12345678-dead-beef-cafe-123456790ab0",
        ),
        (
            pool().region("eu-west-1"),
            "region: eu-west-1 contradicts the identity pool, which is in region us-east-1; leave region out",
        ),
        (
            builder().identity_id(IDENTITY).region("eu-west-1"),
            "region: eu-west-1 contradicts the identity, which is in region us-east-1; leave region out",
        ),
        (
            pool().identity_id("eu-west-1:0"),
            "identity_id: it is in region eu-west-1, but the identity pool is in region us-east-1",
        ),
        (
            builder().identity_pool_id("a_b:0"),
            "region: it cannot be part of a host name; set endpoint_url for an emulator",
        ),
        (
            pool().region("a b\u{1b}[31m"),
            "region: a b[31m contradicts the identity pool, which is in region us-east-1; leave region out",
        ),
        (
            pool().endpoint_url("http://127.0.0.1").region("eu-west-1"),
            "region: eu-west-1 contradicts the identity pool, which is in region us-east-1; leave region out",
        ),
        (
            builder().identity_id(IDENTITY).account_id("1"),
            "account_id: needs identity_pool_id: only GetId sends it, and an identity is set",
        ),
        (pool().account_id(""), "account_id: must be 1 to 15 digits"),
        (pool().account_id("1".repeat(16)), "account_id: must be 1 to 15 digits"),
        (pool().account_id("12a"), "account_id: must be 1 to 15 digits"),
        (
            pool().custom_role_arn("arn"),
            "custom_role_arn: has 3 characters, it must have 20 to 2048",
        ),
        (
            pool().custom_role_arn("x".repeat(2049)),
            "custom_role_arn: has 2049 characters, it must have 20 to 2048",
        ),
        (pool().role_arn("arn"), "role_arn: has 3 characters, it must have 20 to 2048"),
        (
            pool().role_arn(ROLE).custom_role_arn(ROLE),
            "custom_role_arn: cannot be combined with role_arn, which selects the classic flow",
        ),
        (
            pool().role_arn(ROLE).role_session_name("x"),
            "role_session_name: has 1 characters, it must have 2 to 64",
        ),
        (
            pool().role_arn(ROLE).role_session_name("a b"),
            "role_session_name: may only have A-Z a-z 0-9 _ + = , . @ -",
        ),
        (pool().role_arn(ROLE).policy(""), "policy: has 0 characters, it must have 1 to 2048"),
        (
            pool().role_arn(ROLE).policy_arns([ROLE; 11]),
            "policy_arns: 11 given, the service takes at most 10",
        ),
        (
            pool().role_arn(ROLE).policy_arns(["arn"]),
            "policy_arns: has 3 characters, it must have 20 to 2048",
        ),
        (
            pool().role_arn(ROLE).provider_id("abc"),
            "provider_id: has 3 characters, it must have 4 to 2048",
        ),
        (
            pool().role_arn(ROLE).duration(Duration::from_secs(899)),
            "duration: must be whole seconds, from 15 minutes to 12 hours",
        ),
        (
            pool().role_arn(ROLE).duration(Duration::from_secs(43_201)),
            "duration: must be whole seconds, from 15 minutes to 12 hours",
        ),
        (
            pool().role_arn(ROLE).duration(Duration::from_millis(900_500)),
            "duration: must be whole seconds, from 15 minutes to 12 hours",
        ),
        (
            pool().role_session_name("xy"),
            "role_session_name: needs role_arn, which selects the classic flow",
        ),
        (pool().policy("{}"), "policy: needs role_arn, which selects the classic flow"),
        (pool().policy_arns([ROLE]), "policy_arns: needs role_arn, which selects the classic flow"),
        (pool().provider_id("abcd"), "provider_id: needs role_arn, which selects the classic flow"),
        (
            pool().duration(Duration::from_secs(900)),
            "duration: needs role_arn, which selects the classic flow",
        ),
        (
            pool().sts_endpoint_url("http://10.0.0.1"),
            "sts_endpoint_url: is plain http, so others on the network could read login tokens and credentials: use https, or set danger_allow_http for an emulator on a private network",
        ),
        (
            pool().role_arn(ROLE).sts_endpoint_url("https://x").use_fips(true),
            "use_fips: cannot be combined with sts_endpoint_url",
        ),
        (
            pool().developer_identity(backend).login("p", "t"),
            "login: cannot be combined with developer_identity",
        ),
        (
            pool().developer_identity(backend).identity_id(IDENTITY),
            "identity_id: cannot be combined with developer_identity",
        ),
        (
            builder().identity_id(IDENTITY).storage(MemoryStorage::new()),
            "storage: needs identity_pool_id: the identity is stored under the pool's ID",
        ),
        (
            builder().identity_id(IDENTITY).storage(MemoryStorage::new()).login_id("ann"),
            "storage: needs identity_pool_id: the identity is stored under the pool's ID",
        ),
        (pool().storage(MemoryStorage::new()).login_id(""), "login_id: is empty"),
        (pool().login_id("ann"), "login_id: names a stored identity, but no storage is set"),
        (
            builder().identity_id(IDENTITY).login_id("ann"),
            "login_id: names a stored identity, but no storage is set",
        ),
        (pool().login("", "t"), "login: the provider name has 0 characters, it must have 1 to 128"),
        (pool().login("p", ""), "login: the token for p is empty"),
        (pool().timeout(Duration::ZERO), "timeout: must be longer than zero"),
        (pool().attempt_timeout(Duration::ZERO), "attempt_timeout: must be longer than zero"),
        (pool().max_attempts(0), "max_attempts: must be at least 1"),
        (
            pool().endpoint_url("https://x/").use_fips(true),
            "use_fips: cannot be combined with endpoint_url",
        ),
        (
            pool().endpoint_url("https://x/").use_dual_stack(true),
            "use_dual_stack: cannot be combined with endpoint_url",
        ),
        (
            pool().endpoint_url("https://ann:hunter2@example.com"),
            "endpoint_url: has a user name or password, which the service does not take",
        ),
        (
            pool().endpoint_url("http://10.0.0.1"),
            "endpoint_url: is plain http, so others on the network could read login tokens and credentials: use https, or set danger_allow_http for an emulator on a private network",
        ),
    ];
    for (builder, fault) in rows {
        let error = builder.build().unwrap_err();
        assert_eq!(error.to_string(), fault);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!error.is_retryable());
    }
}

#[test]
fn all_faults_are_reported_together_and_none_shows_a_token() {
    let error = builder()
        .identity_pool_id("nonsense")
        .account_id("x")
        .custom_role_arn("y")
        .login("p", "SENTINEL".repeat(10_000))
        .timeout(Duration::ZERO)
        .max_attempts(0)
        .endpoint_url("http://SENTINEL@example.com")
        .build()
        .unwrap_err();
    let text = format!("{error} {error:?}");
    for setting in [
        "identity_pool_id",
        "account_id",
        "custom_role_arn",
        "login",
        "timeout",
        "max_attempts",
        "endpoint_url",
    ] {
        assert!(text.contains(&format!("{setting}: ")), "{setting}: {text}");
    }
    assert!(!text.contains("SENTINEL"), "{text}");
}

#[test]
fn each_fault_is_a_value_with_its_setting_and_its_variable() {
    let variables =
        [("AWS_COGNITO_IDENTITY_ID", "eu-west-1:0"), ("AWS_COGNITO_IDENTITY_POOL_ID", POOL)];
    let error = from_variables(&variables)
        .unwrap()
        .transport(FakeCognito::new())
        .login("p", "{region}".repeat(10_000))
        .policy("{}")
        .build()
        .unwrap_err();
    let faults: Vec<_> =
        error.config_faults().iter().map(|fault| (fault.setting(), fault.variable())).collect();
    assert_eq!(
        faults,
        [("identity_id", Some("AWS_COGNITO_IDENTITY_ID")), ("login", None), ("policy", None)]
    );
    let upper = |name: &str| match name {
        "identity_id" => "IDENTITY",
        "role_arn" => "ROLE",
        _ => "OTHER",
    };
    let texts: Vec<_> = error.config_faults().iter().map(|fault| fault.describe(&upper)).collect();
    assert_eq!(
        texts,
        [
            "AWS_COGNITO_IDENTITY_ID, IDENTITY: it is in region eu-west-1, but the identity pool is in region us-east-1",
            "OTHER: the token for p has 80000 characters, the service takes at most 50000",
            "OTHER: needs ROLE, which selects the classic flow",
        ]
    );
    let texts: Vec<_> = error.config_faults().iter().map(ToString::to_string).collect();
    assert_eq!(error.message(), texts.join("; "));
}

#[test]
fn the_limits_themselves_are_accepted() {
    let ten: Logins = (0..10).map(|n| (format!("p{n}"), "t")).collect();
    let cognito = FakeCognito::new();
    for n in 0..10 {
        cognito.accept_login(format!("p{n}"), "t", "ann");
    }
    builder()
        .transport(cognito)
        .identity_pool_id(POOL)
        .region("us-east-1")
        .account_id("1".repeat(15))
        .custom_role_arn("x".repeat(20))
        .logins(ten)
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .expiry_window(Duration::MAX)
        .advisory_window(Duration::MAX)
        .failure_cooldown(Duration::MAX)
        .max_attempts(u32::MAX)
        .build()
        .unwrap()
        .get()
        .unwrap();

    let cognito = FakeCognito::new();
    cognito.set_guests(POOL, false);
    let credentials = builder()
        .transport(cognito)
        .identity_pool_id(POOL)
        .failure_cooldown(Duration::MAX)
        .build()
        .unwrap();
    credentials.get().unwrap_err();
    credentials.get().unwrap_err();
}

#[test]
fn requests_go_to_the_endpoint_of_the_settings() {
    let rows: [(fn(Builder) -> Builder, &str); 6] = [
        (|b| b, "https://cognito-identity.us-east-1.amazonaws.com/"),
        (|b| b.use_fips(true), "https://cognito-identity-fips.us-east-1.amazonaws.com/"),
        (|b| b.use_dual_stack(true), "https://cognito-identity.us-east-1.amazonaws.com/"),
        (|b| b.endpoint_url("https://example.com/x"), "https://example.com/x/"),
        (|b| b.endpoint_url("http://127.0.0.1:5000"), "http://127.0.0.1:5000/"),
        (
            |b| b.endpoint_url("http://emulator:5000").danger_allow_http(true),
            "http://emulator:5000/",
        ),
    ];
    for (settings, url) in rows {
        assert_eq!(urls_called(settings(builder().identity_pool_id(POOL))), [url; 2]);
    }
}

fn from_variables(variables: &[(&str, &str)]) -> Result<Builder, Error> {
    Builder::from_variables(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.into())
    })
}

/// Returns the URLs of the requests for the first credentials.
pub(crate) fn urls_called(settings: Builder) -> Vec<String> {
    urls_called_of(&FakeCognito::new(), settings)
}

fn urls_called_of(cognito: &FakeCognito, settings: Builder) -> Vec<String> {
    let urls = Arc::new(Mutex::new(Vec::new()));
    let (seen, cognito) = (Arc::clone(&urls), cognito.clone());
    let transport = move |request: &HttpRequest| {
        seen.lock().unwrap().push(request.url().to_owned());
        cognito.send(request)
    };
    settings.transport(transport).build().unwrap().get().unwrap();
    urls.lock().unwrap().clone()
}

fn guest_of(cognito: &FakeCognito) -> String {
    let guest = builder().transport(cognito.clone()).identity_pool_id(POOL).build().unwrap();
    guest.get().unwrap().identity_id().unwrap().to_owned()
}

/// A program may need the region variables for other services.
#[test]
fn the_region_comes_from_the_pool_or_identity_and_never_from_region_variables() {
    let cognito = FakeCognito::new();
    let guest = guest_of(&cognito);
    for id in [("AWS_COGNITO_IDENTITY_POOL_ID", POOL), ("AWS_COGNITO_IDENTITY_ID", &*guest)] {
        for region in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            for value in ["us-east-1", "eu-west-1", "not a region", ""] {
                let variables = [id, ("AWS_COGNITO_ROLE_ARN", ROLE), (region, value)];
                let settings = from_variables(&variables).unwrap();
                for url in urls_called_of(&cognito, settings) {
                    assert!(url.contains(".us-east-1."), "{variables:?}: {url}");
                }
            }
        }
    }
}

#[test]
fn an_account_id_without_a_pool_is_ignored_if_a_variable_names_it() {
    let cognito = FakeCognito::new();
    let guest = guest_of(&cognito);
    let variables = [("AWS_COGNITO_IDENTITY_ID", &*guest), ("AWS_ACCOUNT_ID", "123")];
    let settings = from_variables(&variables).unwrap();
    assert_eq!(urls_called_of(&cognito, settings.clone()).len(), 1);
    let error = settings.account_id("123").transport(FakeCognito::new()).build().unwrap_err();
    assert_eq!(
        error.message(),
        "account_id: needs identity_pool_id: only GetId sends it, and an identity is set"
    );
}

#[test]
fn endpoint_variables_are_ignored_if_another_variable_says_so() {
    const URL: &str = "https://emulator.test/";
    const URLS: [&str; 3] =
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL_STS"];
    let all = |ignore, url| {
        let urls = URLS.map(|variable| (variable, url));
        let others = [
            ("AWS_COGNITO_IDENTITY_POOL_ID", POOL),
            ("AWS_COGNITO_ROLE_ARN", ROLE),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ignore),
        ];
        from_variables(&[&urls[..], &others].concat())
    };
    for ignore in ["true", "True", "TRUE", "tRuE"] {
        // A malformed URL is ignored too.
        for url in [URL, "nonsense"] {
            for called in urls_called(all(ignore, url).unwrap()) {
                assert!(called.ends_with(".us-east-1.amazonaws.com/"), "{ignore}: {called}");
            }
        }
        let explicit = all(ignore, URL).unwrap().endpoint_url("https://own.test");
        let explicit = explicit.sts_endpoint_url("https://own.test/sts");
        let called = urls_called(explicit);
        assert!(called.iter().all(|url| url.starts_with("https://own.test/")), "{called:?}");
        let fips = all(ignore, URL).unwrap().use_fips(true);
        assert!(urls_called(fips)[0].starts_with("https://cognito-identity-fips."));
    }
    for ignore in ["false", "False", "FALSE", ""] {
        let called = urls_called(all(ignore, URL).unwrap());
        assert_eq!(called, [URL; 3], "{ignore}");
    }
    for ignore in ["yes", "0", "1", " true"] {
        let error = all(ignore, URL).unwrap_err();
        assert_eq!(
            error.message(),
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: must be true or false",
            "{ignore}"
        );
    }
}

#[test]
fn closures_boxes_and_arcs_are_transports() {
    fn provider(transport: impl Transport + 'static) -> CognitoIdentityCredentials {
        builder().identity_pool_id(POOL).transport(transport).build().unwrap()
    }
    let fake = FakeCognito::new();
    provider(fake.clone()).get().unwrap();
    provider(Arc::new(fake.clone())).get().unwrap();
    let shared: Arc<dyn Transport> = Arc::new(fake.clone());
    provider(shared).get().unwrap();
    let boxed: Box<dyn Transport> = Box::new(fake.clone());
    provider(boxed).get().unwrap();
    provider(|_: &HttpRequest| Ok(HttpResponse::new(200, "{}"))).get().unwrap_err();
    assert_eq!(fake.identities(), 4);
}

#[test]
fn logins_replaces_and_login_adds() {
    let providers = |builder: Builder| {
        let cognito = FakeCognito::new();
        for provider in ["a", "b", "c"] {
            cognito.accept_login(provider, "t", "ann");
        }
        let credentials =
            builder.identity_pool_id(POOL).transport(cognito.clone()).build().unwrap();
        credentials.get().unwrap();
        let requests = cognito.requests();
        requests[1].providers().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(providers(builder().login("a", "t").login("b", "t")), ["a", "b"]);
    let logins = Logins::new().with("c", "t");
    assert_eq!(providers(builder().login("a", "t").logins(logins.clone())), ["c"]);
    assert_eq!(providers(builder().logins(logins).login("a", "t")), ["a", "c"]);
}

#[test]
fn a_login_set_later_is_checked_before_any_call() {
    let cognito = FakeCognito::new();
    let credentials = builder().identity_pool_id(POOL).transport(cognito.clone()).build().unwrap();
    credentials.set_login("p", "");
    let limit = credentials.get_within(Duration::ZERO).unwrap_err();
    assert_eq!(limit.kind(), ErrorKind::Timeout, "with a limit of zero there is no call");
    let error = credentials.get().unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Config, "login: the token for p is empty")
    );
    assert!(cognito.requests().is_empty());
}

#[test]
fn a_character_that_the_service_does_not_accept_is_a_fault_of_its_setting() {
    let values: [(&str, fn(String) -> Builder); 6] = [
        ("custom_role_arn", |text| builder().custom_role_arn(text)),
        ("role_arn", |text| builder().role_arn(text)),
        ("policy_arns", |text| builder().role_arn(ROLE).policy_arns([ROLE.to_owned(), text])),
        ("provider_id", |text| builder().role_arn(ROLE).provider_id(text)),
        ("role_session_name", |text| builder().role_arn(ROLE).role_session_name(text)),
        ("policy", |text| builder().role_arn(ROLE).policy(text)),
    ];
    let characters = "-é\u{ff}\u{100}\u{1f980}\u{ffff} \t\n\r\0\u{7}\u{b}\u{1b}\u{1f}\u{7f}\u{9b}";
    for (setting, with) in values {
        let accepted = match setting {
            "policy" => "-é\u{ff} \t\n\r\u{7f}\u{9b}",
            "role_session_name" => "-",
            _ => "-é\u{ff}\u{100}\u{1f980} ",
        };
        for character in characters.chars() {
            let accepted = accepted.contains(character);
            let built =
                with(format!("aaaaaaaaaaaaaaaaaaaa{character}")).identity_pool_id(POOL).build();
            assert_eq!(built.is_ok(), accepted, "{setting} with {character:?}: {built:?}");
            if let Err(error) = built {
                let settings: Vec<_> =
                    error.config_faults().iter().map(ConfigFault::setting).collect();
                assert_eq!((error.kind(), &*settings), (ErrorKind::Config, &[setting][..]));
                assert!(!error.message().contains(character) || character == ' ', "{error}");
            }
        }
    }
}

/// Neither `build` nor any other call than `get` and `refresh` calls the service.
#[test]
fn no_call_is_made_before_get_or_refresh() {
    let cognito = FakeCognito::new();
    let credentials = builder().identity_pool_id(POOL).transport(cognito.clone()).build().unwrap();
    let _ = credentials.needs_refresh();
    let _ = credentials.cached();
    let _ = credentials.identity_id();
    let _ = credentials.data();
    let _ = credentials.service_time();
    credentials.set_login("p", "t");
    credentials.remove_login("p");
    credentials.expire();
    assert!(format!("{:?}", credentials.status()).contains("needs_refresh: true"));
    assert!(cognito.requests().is_empty());
}

#[cfg(not(feature = "ureq"))]
#[test]
fn without_a_transport_the_fault_says_what_to_do() {
    let error = CognitoIdentityCredentials::builder().identity_pool_id(POOL).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "transport: not set, and this build has none (feature `ureq` is off)"
    );
}
