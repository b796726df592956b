//! The logins of a user: their tokens, and the sources of the tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{BoxError, ConfigFaults, Error};
use crate::secret::Secret;
use crate::token_text;

/// The service's limits for logins.
const MAX_LOGINS: usize = 10;
const MAX_PROVIDER_LEN: usize = 128;
const MAX_TOKEN_LEN: usize = 50_000;

/// Returns a login token. Each refresh calls it.
///
/// A closure is a token source. So are `Arc<T>` and `Box<dyn TokenSource>`.
///
/// The library calls the source on the thread that runs the refresh, and holds no lock meanwhile.
/// Other callers of `get()` wait at most [`timeout`](crate::Builder::timeout).
///
/// If the source fails, `get()` returns an error of kind [`Login`](crate::ErrorKind::Login). The
/// error of the token source becomes the [`source`](std::error::Error::source) of that error, so
/// its text must hold no secret. The source can also return an [`Error`] of this library that is
/// not about the login, such as a network failure. Then `get()` returns an error of the same kind,
/// which is [retryable](Error::is_retryable) if the source's error is.
///
/// # Example
///
/// A source that caches a token for 10 minutes. [`Builder::login_from`](crate::Builder::login_from)
/// has an example with a closure.
///
/// ```
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
/// use cognito_identity_credentials::{BoxError, TokenSource};
/// # fn fetch(url: &str, limit: Duration) -> std::io::Result<String> { Ok(url.to_owned()) }
///
/// struct Issuer {
///     url: String,
///     cached: Mutex<Option<(String, Instant)>>,
/// }
///
/// impl Issuer {
///     fn new_token(&self, limit: Duration) -> Result<String, BoxError> {
///         let token = fetch(&self.url, limit)?;
///         *self.cached.lock().unwrap() = Some((token.clone(), Instant::now()));
///         Ok(token)
///     }
/// }
///
/// impl TokenSource for Issuer {
///     fn token(&self) -> Result<String, BoxError> {
///         self.token_within(Duration::from_secs(10))
///     }
///
///     fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
///         let cached = self.cached.lock().unwrap().clone();
///         match cached {
///             Some((token, at)) if at.elapsed() < Duration::from_secs(600) => Ok(token),
///             _ => self.new_token(limit),
///         }
///     }
///
///     fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
///         let cached = self.cached.lock().unwrap().clone();
///         match cached {
///             // Another thread has already fetched a new token.
///             Some((token, _)) if token != refused => Ok(token),
///             _ => self.new_token(limit),
///         }
///     }
/// }
/// # let issuer = Issuer { url: "token".to_owned(), cached: Mutex::default() };
/// # assert_eq!(issuer.token().unwrap(), "token");
/// # assert!(issuer.token_after_refusal("old", Duration::MAX).is_ok());
/// ```
pub trait TokenSource: Send + Sync {
    /// Returns the current token.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return any error if there is no token. If yours is a temporary
    /// [`io::Error`](std::io::Error) of the system, such as too many open files, or has one as its
    /// [`source`](std::error::Error::source), the error of `get()` is retryable.
    fn token(&self) -> Result<String, BoxError>;

    /// Like [`token`](Self::token), but must return within `limit`. The limit is the time left of
    /// [`timeout`](crate::Builder::timeout) or of
    /// [`get_within`](crate::CognitoIdentityCredentials::get_within).
    ///
    /// Override this if the source uses a network. By default it calls [`token`](Self::token) and
    /// ignores the limit.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// The errors of [`token`](Self::token).
    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        let _ = limit;
        self.token()
    }

    /// Returns another token than `refused`, within `limit`.
    ///
    /// The library calls this after the identity pool has rejected a token of this refresh as
    /// expired or invalid. The pool does not say which token it rejected, so the library calls
    /// every source with the source's own token. If all sources return the same tokens again, the
    /// refresh fails.
    ///
    /// Override this if the source caches tokens: get a new token if the cached one is `refused`.
    /// By default it calls [`token_within`](Self::token_within).
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// The errors of [`token`](Self::token).
    fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
        let _ = refused;
        self.token_within(limit)
    }
}

impl<F> TokenSource for F
where
    F: Fn() -> Result<String, BoxError> + Send + Sync,
{
    fn token(&self) -> Result<String, BoxError> {
        self()
    }
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn token(&self) -> Result<String, BoxError> {
        (**self).token()
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        (**self).token_within(limit)
    }

    fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
        (**self).token_after_refusal(refused, limit)
    }
}

impl TokenSource for Box<dyn TokenSource> {
    fn token(&self) -> Result<String, BoxError> {
        (**self).token()
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        (**self).token_within(limit)
    }

    fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
        (**self).token_after_refusal(refused, limit)
    }
}

/// Holds the logins of a user: one token for each login provider.
///
/// Use the name of the login provider that the identity pool is configured with:
///
/// | login provider | name | token |
/// |---|---|---|
/// | Google | `accounts.google.com` | ID token |
/// | Facebook | `graph.facebook.com` | access token |
/// | Login with Amazon | `www.amazon.com` | access token |
/// | Apple | `appleid.apple.com` | ID token |
/// | Cognito user pool | `cognito-idp.<region>.amazonaws.com/<user pool ID>` | ID token |
/// | another OpenID Connect provider, such as Azure AD | its issuer with its path, without `https://` | ID token |
/// | SAML provider | its ARN | SAML assertion in Base64 |
///
/// The library checks the service's limits before any call: at most 10 logins, names of 1 to 128
/// characters, tokens of 1 to 50,000 printable ASCII characters without white space. A user pool's
/// access token is an error of kind [`Login`](crate::ErrorKind::Login), because the identity pool
/// needs the ID token. Clones share the tokens. `Debug` shows only the names.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::Logins;
///
/// let mut logins = Logins::new().with("accounts.google.com", "eyJ…");
/// assert_eq!(format!("{logins:?}"), r#"Logins {"accounts.google.com"}"#);
///
/// logins.insert("graph.facebook.com", "EAA…");
/// logins.remove("accounts.google.com");
/// assert_eq!(logins.providers().collect::<Vec<_>>(), ["graph.facebook.com"]);
/// ```
///
/// The guide [`signed_in_users`](crate::guide::signed_in_users) shows where to get the tokens.
#[derive(Clone, Default)]
pub struct Logins(BTreeMap<Arc<str>, LoginToken>);

#[derive(Clone)]
enum LoginToken {
    Fixed(Secret),
    Source(Arc<dyn TokenSource>),
}

impl Logins {
    /// Creates an empty set of logins, for a guest.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the logins with one more login. Otherwise like [`insert`](Self::insert).
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn with(mut self, provider: impl Into<String>, token: impl Into<String>) -> Self {
        self.insert(provider, token);
        self
    }

    /// Adds a login, or replaces the login of the same provider.
    ///
    /// See the [example](Self#example).
    pub fn insert(&mut self, provider: impl Into<String>, token: impl Into<String>) {
        self.0.insert(provider.into().into(), LoginToken::Fixed(Secret::new(token)));
    }

    pub(crate) fn insert_source(&mut self, provider: String, source: impl TokenSource + 'static) {
        self.0.insert(provider.into(), LoginToken::Source(Arc::new(source)));
    }

    /// Removes the login of this provider, if there is one.
    ///
    /// See the [example](Self#example).
    pub fn remove(&mut self, provider: &str) {
        self.0.remove(provider);
    }

    /// Returns the names of the login providers, in alphabetical order.
    ///
    /// See the [example](Self#example).
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|provider| &**provider)
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|((a, x), (b, y))| {
                a == b
                    && match (x, y) {
                        (LoginToken::Fixed(x), LoginToken::Fixed(y)) => x == y,
                        (LoginToken::Source(x), LoginToken::Source(y)) => Arc::ptr_eq(x, y),
                        _ => false,
                    }
            })
    }

    /// Checks the service's limits without calling a source.
    pub(crate) fn check(&self, faults: &mut ConfigFaults) {
        if self.0.len() > MAX_LOGINS {
            let count = self.0.len();
            let fault = format!("{count} given, the service takes at most {MAX_LOGINS}");
            faults.add_text("logins", fault);
        }
        for (provider, login) in &self.0 {
            let length = provider.chars().count();
            if !(1..=MAX_PROVIDER_LEN).contains(&length) {
                let fault = format!(
                    "the provider name has {length} characters, it must have 1 to {MAX_PROVIDER_LEN}"
                );
                faults.add_text("login", fault);
            }
            if let LoginToken::Fixed(token) = login {
                if let Some(fault) = login_token_fault(token.expose()) {
                    faults.add_text("login", format!("the token for {} {fault}", shown(provider)));
                }
            }
        }
    }

    /// Calls every source with the time that is `left`. Asks a source for another token if its
    /// token is in `refused`. Blocks as long as the sources do.
    pub(crate) fn tokens(
        &self,
        refused: &Tokens,
        left: impl Fn() -> Duration,
    ) -> Result<Tokens, Error> {
        let mut faults = ConfigFaults::default();
        self.check(&mut faults);
        if !faults.is_empty() {
            return Err(faults.into());
        }
        let mut tokens = BTreeMap::new();
        for (provider, login) in &self.0 {
            let token = match login {
                LoginToken::Fixed(token) => token.clone(),
                LoginToken::Source(source) => {
                    let asked = match refused.0.get(provider) {
                        Some(refused) => source.token_after_refusal(refused.expose(), left()),
                        None => source.token_within(left()),
                    };
                    let token = asked.map(Secret::new).map_err(|source| {
                        let message = format!("the token source for {} failed", shown(provider));
                        Error::login(message, Some(source))
                    })?;
                    if let Some(fault) = login_token_fault(token.expose()) {
                        let name = shown(provider);
                        let message =
                            format!("the token source for {name} returned a token that {fault}");
                        return Err(Error::login(message, None));
                    }
                    token
                }
            };
            tokens.insert(provider.clone(), token);
        }
        Ok(Tokens(tokens))
    }
}

fn login_token_fault(token: &str) -> Option<String> {
    let length = token.chars().count();
    if length > MAX_TOKEN_LEN {
        return Some(format!("has {length} characters, the service takes at most {MAX_TOKEN_LEN}"));
    }
    token_text::token_text_fault(token).map(str::to_owned)
}

/// Returns a provider name as messages show it. If the caller has mixed up the two arguments, the
/// name is a token. Tokens of OpenID Connect begin with `eyJ`. `clean` masks other long tokens.
pub(crate) fn shown(provider: &str) -> String {
    if provider.starts_with("eyJ") {
        return "[redacted]".to_owned();
    }
    crate::redact::clean(provider)
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logins ")?;
        f.debug_set().entries(self.providers().map(shown)).finish()
    }
}

impl<P: Into<String>, T: Into<String>> FromIterator<(P, T)> for Logins {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(logins: I) -> Self {
        let mut all = Self::new();
        all.extend(logins);
        all
    }
}

impl<P: Into<String>, T: Into<String>> Extend<(P, T)> for Logins {
    fn extend<I: IntoIterator<Item = (P, T)>>(&mut self, logins: I) {
        for (provider, token) in logins {
            self.insert(provider, token);
        }
    }
}

/// The login tokens of one refresh, by provider name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(BTreeMap<Arc<str>, Secret>);

impl Tokens {
    /// Returns the token of a developer identity as the only login.
    pub(crate) fn one(provider: &str, token: Secret) -> Result<Self, Error> {
        if let Some(fault) = login_token_fault(token.expose()) {
            let what = "the developer identity provider returned a token that";
            return Err(Error::login(format!("{what} {fault}"), None));
        }
        // `BTreeMap::from` would add the code of a sort to every program.
        let mut tokens = BTreeMap::new();
        tokens.insert(provider.into(), token);
        Ok(Self(tokens))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(provider, token)| (&**provider, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn tokens(logins: &Logins) -> Result<Tokens, Error> {
        logins.tokens(&Tokens::default(), || Duration::MAX)
    }

    #[test]
    fn the_services_limits_are_checked_and_no_token_is_in_the_text() {
        let long = "SENTINEL".repeat(10_000);
        let eleven: Logins = (0..11).map(|n| (format!("p{n}"), "t")).collect();
        let rows = [
            (Logins::new().with("p", ""), "login: the token for p is empty"),
            (
                Logins::new().with("p", &long),
                "login: the token for p has 80000 characters, the service takes at most 50000",
            ),
            (
                Logins::new().with("", "t"),
                "login: the provider name has 0 characters, it must have 1 to 128",
            ),
            (
                Logins::new().with("p".repeat(129), "t"),
                "login: the provider name has 129 characters, it must have 1 to 128",
            ),
            (eleven, "logins: 11 given, the service takes at most 10"),
        ];
        for (logins, fault) in rows {
            let error = tokens(&logins).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Config, fault));
            assert_eq!(error.config_faults().len(), 1);
        }
        let at_the_limits = Logins::new().with("p".repeat(128), "t".repeat(50_000));
        assert!(tokens(&at_the_limits).is_ok());
    }

    #[test]
    fn sources_are_called_each_time_and_their_errors_keep_the_cause() {
        let mut logins = Logins::new();
        let counter = std::sync::atomic::AtomicU32::new(0);
        logins.insert_source("p".into(), move || {
            Ok(counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string())
        });
        assert_ne!(tokens(&logins).unwrap(), tokens(&logins).unwrap());

        logins.insert_source("p".into(), || Err("disk on fire".into()));
        let error = tokens(&logins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert_eq!(format!("{error:#}"), "the token source for p failed: disk on fire");

        logins.insert_source("p".into(), || Ok(String::new()));
        let error = tokens(&logins).unwrap_err();
        assert_eq!(error.to_string(), "the token source for p returned a token that is empty");
    }

    /// The identity pool does not say which token it refused.
    #[test]
    fn after_a_refusal_each_source_is_called_for_another_token() {
        struct Caching;
        impl TokenSource for Caching {
            fn token(&self) -> Result<String, BoxError> {
                Ok("first".to_owned())
            }

            fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
                Ok(format!("first-in-{limit:?}"))
            }

            fn token_after_refusal(
                &self,
                refused: &str,
                limit: Duration,
            ) -> Result<String, BoxError> {
                Ok(format!("after-{refused}-in-{limit:?}"))
            }
        }
        let mut logins = Logins::new().with("c", "fixed");
        logins.insert_source("a".into(), Arc::new(Box::new(Caching) as Box<dyn TokenSource>));
        logins.insert_source("b".into(), || Ok("again".to_owned()));
        let first = logins.tokens(&Tokens::default(), || Duration::from_secs(3)).unwrap();
        let next = logins.tokens(&first, || Duration::from_secs(2)).unwrap();
        let texts = |tokens: &Tokens| -> Vec<String> {
            tokens.iter().map(|(_, token)| token.expose().to_owned()).collect()
        };
        assert_eq!(texts(&first), ["first-in-3s", "again", "fixed"]);
        assert_eq!(texts(&next), ["after-first-in-3s-in-2s", "again", "fixed"]);
    }

    #[test]
    fn a_token_file_that_cannot_be_read_fails_the_login() {
        let mut logins = Logins::new();
        logins.insert_source("p".into(), crate::FileToken::new("/no/such/token"));
        let error = tokens(&logins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert!(format!("{error:#}").contains("/no/such/token: No such file"), "{error:#}");
        assert!(!error.is_retryable());
    }

    /// Nothing is at address 0, so reading there is an error as of a broken disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_token_file_on_a_disk_that_fails_makes_a_retryable_error() {
        let mut logins = Logins::new();
        logins.insert_source("p".into(), crate::FileToken::new("/proc/self/mem"));
        let error = logins.tokens(&Tokens::default(), || Duration::MAX).unwrap_err();
        assert!(error.is_retryable() && error.hint().is_some(), "{error:#}");
        let text = "the token source for p failed: /proc/self/mem: Input/output error (os error 5)";
        assert_eq!((error.kind(), format!("{error:#}").as_str()), (ErrorKind::Login, text));
    }

    /// The test of `token_text` has the rows. This test shows that each kind of login is checked.
    #[test]
    fn a_text_that_cannot_be_a_token_is_an_error_that_names_the_provider() {
        for (token, fault) in [
            ("SENTINEL x", "has white space in it; give only the token"),
            ("SENTINEL\n", "has white space in it; give only the token"),
            ("SENTINEL\x1b", "has a control character; give only the token"),
            ("Bearer SENTINEL", "begins with Bearer; give only what follows it"),
        ] {
            let value = Logins::new().with("p", token);
            let error = tokens(&value).unwrap_err();
            assert_eq!(error.to_string(), format!("login: the token for p {fault}"));

            let mut source = Logins::new();
            source.insert_source("p".into(), move || Ok(token.to_owned()));
            let error = tokens(&source).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Login);
            let says = format!("the token source for p returned a token that {fault}");
            assert_eq!(format!("{error:#}"), says);

            let error = Tokens::one("p", Secret::new(token)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Login);
            let says = format!("the developer identity provider returned a token that {fault}");
            assert_eq!(format!("{error:#}"), says);
        }
    }

    #[test]
    fn debug_shows_only_names_and_masks_those_that_look_like_tokens() {
        let logins =
            Logins::new().with("eyJ0b2tlbg", "x").with("p", "hunter2").with("z".repeat(90), "x");
        assert_eq!(format!("{logins:?}"), r#"Logins {"[redacted]", "p", "[redacted]"}"#);
        assert!(!format!("{:?}", tokens(&logins).unwrap()).contains("hunter2"));
    }
}
