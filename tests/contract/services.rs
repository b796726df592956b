//! The services under test: how to reach each, and how a test controls it.

use std::env;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::{
    FakeCognito, FakeServer, Fault, ManualClock, http_request,
};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, UreqTransport,
};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, DeveloperIdentity, Error, UserPoolTokens,
    UserPoolTokensBuilder,
};
use serde_json::{Value, json};

use crate::ids::{POOL, ROLE};
use crate::matrix::{Column, EndsSignIn};

/// Why a scenario did not do what it should.
pub(crate) enum Failure {
    /// A variable that the scenario needs is not set.
    NotSet(String),
    Failed(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet(variable) => write!(f, "{variable} is not set"),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(format!("{:?}: {error:#}", error.kind()))
    }
}

/// The result of a sign-in.
pub(crate) struct SignIn {
    pub(crate) user_pool_id: String,
    pub(crate) client_id: String,
    pub(crate) refresh_token: String,
}

/// What a test reads and changes in a service without the library.
pub(crate) trait Controls {
    fn identity_pool_id(&self) -> Result<String, Failure>;
    fn role_arn(&self) -> Result<String, Failure>;
    /// Signs the user in. If `rotating`, with the app client that rotates refresh tokens.
    fn sign_in(&self, rotating: bool) -> Result<SignIn, Failure>;
    fn end_sign_in(&self, sign_in: &SignIn) -> Result<(), Failure>;
    fn developer_identity(&self) -> Result<DeveloperIdentity, Failure>;
    /// Makes the service throttle the next calls of an operation.
    fn throttle(&self, operation: &str, times: usize) -> Result<(), Failure>;
}

/// A service under test.
pub(crate) struct Service {
    transport: Arc<dyn Transport>,
    requests: Arc<Mutex<Vec<Request>>>,
    /// The clock of a service in this process.
    clock: Option<ManualClock>,
    url: Option<String>,
    pub(crate) controls: Box<dyn Controls>,
}

/// A request that the library sent.
pub(crate) struct Request {
    pub(crate) operation: String,
    pub(crate) refresh_token: Option<String>,
}

impl Service {
    pub(crate) fn fake_in_memory() -> Self {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        let fake = Fake { cognito: cognito.clone(), _server: None };
        Self::new(cognito, Some(clock), None, fake)
    }

    pub(crate) fn fake_over_http() -> Self {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        let server = FakeServer::start(cognito.clone()).unwrap();
        let url = server.url().to_owned();
        let fake = Fake { cognito, _server: Some(server) };
        Self::new(UreqTransport::new(), Some(clock), Some(url), fake)
    }

    /// Returns the service that the environment variables describe, or `None` without them.
    pub(crate) fn deployed(column: &Column) -> Option<Self> {
        let deployed = Deployed { prefix: column.prefix, ends_sign_in: column.ends_sign_in };
        deployed.setting(column.needs).ok()?;
        let url = deployed.setting("ENDPOINT_URL").ok();
        Some(Self::new(UreqTransport::new(), None, url, deployed))
    }

    fn new(
        transport: impl Transport + 'static,
        clock: Option<ManualClock>,
        url: Option<String>,
        controls: impl Controls + 'static,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = requests.clone();
        let transport = move |request: &HttpRequest| -> Result<HttpResponse, TransportError> {
            recorded.lock().unwrap().push(Request::new(request));
            transport.send(request)
        };
        let transport = Arc::new(transport);
        Self { transport, requests, clock, url, controls: Box::new(controls) }
    }

    /// Settings for a provider of this pool.
    pub(crate) fn provider(&self, identity_pool_id: impl Into<String>) -> Builder {
        let mut builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(identity_pool_id)
            .transport(self.transport.clone());
        if let Some(clock) = &self.clock {
            builder = builder.clock(clock.clone());
        }
        if let Some(url) = &self.url {
            builder = builder.endpoint_url(url);
        }
        builder
    }

    /// The same for the classic flow.
    pub(crate) fn classic_provider(&self, identity_pool_id: &str, role_arn: &str) -> Builder {
        let builder = self.provider(identity_pool_id).role_arn(role_arn);
        match &self.url {
            Some(url) => builder.sts_endpoint_url(url),
            None => builder,
        }
    }

    /// Settings for the tokens of a user.
    pub(crate) fn tokens(&self, sign_in: &SignIn) -> UserPoolTokensBuilder {
        let mut builder = UserPoolTokens::builder()
            .user_pool_id(&sign_in.user_pool_id)
            .client_id(&sign_in.client_id)
            .refresh_token(&sign_in.refresh_token)
            .transport(self.transport.clone());
        if let Some(clock) = &self.clock {
            builder = builder.clock(clock.clone());
        }
        if let Some(url) = &self.url {
            builder = builder.endpoint_url(url);
        }
        builder
    }

    /// Returns the requests since the last call of this function.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Request {
    fn new(request: &HttpRequest) -> Self {
        let body = String::from_utf8_lossy(request.body());
        let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
        let operation = match target {
            Some((_, target)) => target.rsplit('.').next(),
            None => body.split('&').find_map(|field| field.strip_prefix("Action=")),
        };
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        Self {
            operation: operation.unwrap_or_default().to_owned(),
            refresh_token: json["RefreshToken"].as_str().map(str::to_owned),
        }
    }
}

/// The fake service, in memory or behind a server.
struct Fake {
    cognito: FakeCognito,
    /// It serves until this value is dropped.
    _server: Option<FakeServer>,
}

impl Controls for Fake {
    fn identity_pool_id(&self) -> Result<String, Failure> {
        Ok(POOL.to_owned())
    }

    fn role_arn(&self) -> Result<String, Failure> {
        Ok(ROLE.to_owned())
    }

    fn sign_in(&self, rotating: bool) -> Result<SignIn, Failure> {
        self.cognito.set_refresh_token_rotation(rotating.then_some(Duration::from_secs(60)));
        Ok(SignIn {
            user_pool_id: FakeCognito::USER_POOL_ID.to_owned(),
            client_id: FakeCognito::CLIENT_ID.to_owned(),
            refresh_token: self.cognito.sign_in("ann"),
        })
    }

    fn end_sign_in(&self, _: &SignIn) -> Result<(), Failure> {
        self.cognito.sign_out("ann");
        Ok(())
    }

    fn developer_identity(&self) -> Result<DeveloperIdentity, Failure> {
        Ok(self.cognito.developer_identity(FakeCognito::POOL_ID, "bob"))
    }

    fn throttle(&self, operation: &str, times: usize) -> Result<(), Failure> {
        self.cognito.fail_next(operation, times, Fault::throttled());
        Ok(())
    }
}

/// An emulator or AWS. Environment variables say which one.
struct Deployed {
    prefix: &'static str,
    ends_sign_in: EndsSignIn,
}

impl Deployed {
    fn setting(&self, name: &str) -> Result<String, Failure> {
        let variable = format!("{}_{name}", self.prefix);
        let value = env::var(&variable).ok().filter(|value| !value.is_empty());
        value.ok_or(Failure::NotSet(variable))
    }

    /// Calls an operation of the user pool. The operations of AWS that a test calls need no
    /// signature. An emulator reads the region from the signature, and does not check it.
    fn call(&self, operation: &str, body: &Value) -> Result<Value, Failure> {
        let user_pool = self.setting("USER_POOL_ID")?;
        let region = user_pool.split('_').next().unwrap_or_default();
        let url = self
            .setting("ENDPOINT_URL")
            .unwrap_or_else(|_| format!("https://cognito-idp.{region}.amazonaws.com/"));
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}")),
        ];
        let signature = (
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential=emulator/20260101/{region}/cognito-idp/aws4_request"
            ),
        );
        let is_signed = matches!(self.ends_sign_in, EndsSignIn::AdminUserGlobalSignOut);
        let headers = headers.into_iter().chain(is_signed.then_some(signature));
        let request = http_request(&url, headers, body.to_string(), Duration::from_secs(20));
        let failed = |text| Failure::Failed(format!("{operation}, called by the test: {text}"));
        let response =
            UreqTransport::new().send(&request).map_err(|error| failed(error.to_string()))?;
        if response.status() != 200 {
            return Err(failed(format!("status {}", response.status())));
        }
        serde_json::from_slice(response.body()).map_err(|error| failed(error.to_string()))
    }
}

impl Controls for Deployed {
    fn identity_pool_id(&self) -> Result<String, Failure> {
        self.setting("IDENTITY_POOL_ID")
    }

    fn role_arn(&self) -> Result<String, Failure> {
        self.setting("ROLE_ARN")
    }

    fn sign_in(&self, rotating: bool) -> Result<SignIn, Failure> {
        let client_id = self.setting(if rotating { "ROTATING_CLIENT_ID" } else { "CLIENT_ID" })?;
        let body = json!({
            "ClientId": client_id,
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": {
                "USERNAME": self.setting("USERNAME")?,
                "PASSWORD": self.setting("PASSWORD")?,
            },
        });
        let answer = self.call("InitiateAuth", &body)?;
        let token = answer["AuthenticationResult"]["RefreshToken"].as_str();
        let token = token.ok_or(Failure::Failed("the sign-in gave no refresh token".to_owned()))?;
        let user_pool_id = self.setting("USER_POOL_ID")?;
        Ok(SignIn { user_pool_id, client_id, refresh_token: token.to_owned() })
    }

    fn end_sign_in(&self, sign_in: &SignIn) -> Result<(), Failure> {
        let (client_id, token) = (&sign_in.client_id, &sign_in.refresh_token);
        match self.ends_sign_in {
            EndsSignIn::RevokeToken => {
                self.call("RevokeToken", &json!({ "ClientId": client_id, "Token": token }))?;
            }
            EndsSignIn::AdminUserGlobalSignOut => {
                let username = self.setting("USERNAME")?;
                let body = json!({ "UserPoolId": sign_in.user_pool_id, "Username": username });
                self.call("AdminUserGlobalSignOut", &body)?;
            }
        }
        Ok(())
    }

    fn developer_identity(&self) -> Result<DeveloperIdentity, Failure> {
        let id = self.setting("DEVELOPER_IDENTITY_ID")?;
        Ok(DeveloperIdentity::new(id, self.setting("DEVELOPER_TOKEN")?))
    }

    fn throttle(&self, _: &str, _: usize) -> Result<(), Failure> {
        Err(Failure::Failed("a test cannot make this service throttle".to_owned()))
    }
}
