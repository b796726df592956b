//! Login tokens, and where they come from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{BoxError, Error};
use crate::secret::{Secret, read_to_end};

/// The service's limits for logins.
const MOST_LOGINS: usize = 10;
const LONGEST_PROVIDER: usize = 128;
const LONGEST_TOKEN: usize = 50_000;

/// Yields a login token, asked afresh for every refresh.
///
/// Closures are token sources. One is called on the thread that leads a refresh, without any lock
/// held; while it runs, other callers wait at most the provider's `timeout`. Its error becomes the
/// [`source`](std::error::Error::source) of an error of kind
/// [`Login`](crate::ErrorKind::Login); keep secrets out of its text. If it is itself an [`Error`] of
/// this library that is no fault of the login (a network that is down, a service that is busy), the
/// kind and [`is_retryable`](Error::is_retryable) are those of that error.
pub trait TokenSource: Send + Sync {
    /// The current token.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from yielding one.
    fn token(&self) -> Result<String, BoxError>;

    /// The current token, by then: what [`get_within`](crate::CognitoIdentityCredentials::get_within)
    /// or the provider's `timeout` leaves. A source that uses a network overrides this; by default
    /// [`token`](Self::token) takes the time that it takes.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        let _ = limit;
        self.token()
    }

    /// A token in place of `refused`: the identity pool has just refused one of the tokens of this
    /// refresh as expired or invalid. It does not say which, so with several logins each source is
    /// asked, and `refused` is the token of this one. If they are all the same again, the refusal is
    /// final. A source that keeps tokens overrides this and fetches another, unless what it keeps is
    /// not `refused` any more; by default [`token_within`](Self::token_within) is asked once more.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
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

/// A [`TokenSource`] that reads a file at every refresh, as something else renews it there.
///
/// White space around the token is dropped. Reading blocks for as long as the disk does.
#[derive(Clone, Debug)]
pub struct FileToken {
    path: PathBuf,
}

impl FileToken {
    /// The token in this file, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl TokenSource for FileToken {
    fn token(&self) -> Result<String, BoxError> {
        let explain = |error: io::Error| {
            let path = self.path.display();
            io::Error::new(error.kind(), format!("{path}: {error}"))
        };
        // A character has at most four bytes; what is longer cannot be a token.
        let longest = LONGEST_TOKEN as u64 * 4;
        let file = File::open(&self.path).map_err(explain)?;
        let text = read_to_end(file.take(longest), 4096).map_err(explain)?;
        let text = std::str::from_utf8(&text)
            .map_err(|_| explain(io::Error::new(io::ErrorKind::InvalidData, "is not text")))?;
        Ok(text.trim().to_owned())
    }
}

/// The logins of a user: for each provider name its token.
///
/// Provider names are those that the identity pool knows: `accounts.google.com`,
/// `graph.facebook.com`, `www.amazon.com`, `appleid.apple.com`,
/// `cognito-idp.<region>.amazonaws.com/<user pool ID>` (with the ID token), the issuer's host for
/// another OpenID Connect provider, or the ARN of a SAML provider. There is one token for each.
///
/// The service's limits are checked before any call: at most 10 logins, names of 1 to 128
/// characters, tokens of 1 to 50,000. Clones share the tokens, and `Debug` shows the names alone.
///
/// ```
/// use cognito_identity_credentials::Logins;
///
/// let logins = Logins::new().with("accounts.google.com", "eyJ…");
/// assert_eq!(format!("{logins:?}"), r#"Logins {"accounts.google.com"}"#);
/// ```
#[derive(Clone, Default)]
pub struct Logins(BTreeMap<Arc<str>, Login>);

#[derive(Clone)]
enum Login {
    Token(Secret),
    Source(Arc<dyn TokenSource>),
}

impl Logins {
    /// No logins: a guest.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a login, or replaces the one of the same provider.
    #[must_use]
    pub fn with(mut self, provider: impl Into<String>, token: impl Into<String>) -> Self {
        self.insert(provider, token);
        self
    }

    /// Adds a login, or replaces the one of the same provider.
    pub fn insert(&mut self, provider: impl Into<String>, token: impl Into<String>) {
        self.0.insert(provider.into().into(), Login::Token(Secret::new(token)));
    }

    pub(crate) fn insert_source(&mut self, provider: String, source: impl TokenSource + 'static) {
        self.0.insert(provider.into(), Login::Source(Arc::new(source)));
    }

    /// Removes the login of this provider, if there is one.
    pub fn remove(&mut self, provider: &str) {
        self.0.remove(provider);
    }

    /// The providers' names, in alphabetical order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|provider| &**provider)
    }

    /// Whether these are the same logins: the same tokens, from the same sources.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|((a, x), (b, y))| {
                a == b
                    && match (x, y) {
                        (Login::Token(x), Login::Token(y)) => x == y,
                        (Login::Source(x), Login::Source(y)) => Arc::ptr_eq(x, y),
                        _ => false,
                    }
            })
    }

    /// What the service's limits say against these logins, without asking a source.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.0.len() > MOST_LOGINS {
            faults.push(format!(
                "logins: {} given, the service takes at most {MOST_LOGINS}",
                self.0.len()
            ));
        }
        for (provider, login) in &self.0 {
            let length = provider.chars().count();
            if !(1..=LONGEST_PROVIDER).contains(&length) {
                faults.push(format!(
                    "login: a provider name of {length} characters, it must have 1 to {LONGEST_PROVIDER}"
                ));
            }
            if let Login::Token(token) = login {
                if let Some(fault) = token_fault(token.expose()) {
                    faults.push(format!("login: the token for {} {fault}", shown(provider)));
                }
            }
        }
        faults
    }

    /// Asks every source, for another token than the `refused` one where there is one, and says how
    /// much time is left. Blocks for as long as they do.
    pub(crate) fn tokens(
        &self,
        refused: &Tokens,
        left: impl Fn() -> Duration,
    ) -> Result<Tokens, Error> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(Error::config_texts(&faults));
        }
        let mut tokens = BTreeMap::new();
        for (provider, login) in &self.0 {
            let token = match login {
                Login::Token(token) => token.clone(),
                Login::Source(source) => {
                    let asked = match refused.0.get(provider) {
                        Some(refused) => source.token_after_refusal(refused.expose(), left()),
                        None => source.token_within(left()),
                    };
                    let token = asked.map(Secret::new).map_err(|source| {
                        let message = format!("the token source for {} failed", shown(provider));
                        Error::login(message, Some(source))
                    })?;
                    if let Some(fault) = token_fault(token.expose()) {
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

fn token_fault(token: &str) -> Option<String> {
    let length = token.chars().count();
    match length {
        0 => Some("is empty".to_owned()),
        1..=LONGEST_TOKEN => None,
        _ => Some(format!("has {length} characters, the service takes at most {LONGEST_TOKEN}")),
    }
}

/// A provider name fit for a message. Whoever mixes up the two arguments must not see their token:
/// one of OpenID Connect begins with `eyJ`, others are long.
fn shown(provider: &str) -> String {
    if provider.starts_with("eyJ") {
        return "[redacted]".to_owned();
    }
    crate::redact::Masks::default().clean(provider)
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
        for (provider, token) in logins {
            all.insert(provider, token);
        }
        all
    }
}

/// The tokens of one refresh, every source asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(BTreeMap<Arc<str>, Secret>);

impl Tokens {
    /// The token of the maker's backend, as the only login.
    pub(crate) fn one(provider: &str, token: Secret) -> Result<Self, Error> {
        match token_fault(token.expose()) {
            // `BTreeMap::from` would have every program linked with a sort.
            None => {
                let mut tokens = BTreeMap::new();
                tokens.insert(provider.into(), token);
                Ok(Self(tokens))
            }
            Some(fault) => {
                let what = "the developer identity provider returned a token that";
                Err(Error::login(format!("{what} {fault}"), None))
            }
        }
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

    #[test]
    fn the_services_limits_hold_and_no_token_is_in_the_fault() {
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
                "login: a provider name of 0 characters, it must have 1 to 128",
            ),
            (
                Logins::new().with("p".repeat(129), "t"),
                "login: a provider name of 129 characters, it must have 1 to 128",
            ),
            (eleven, "logins: 11 given, the service takes at most 10"),
        ];
        for (logins, fault) in rows {
            assert_eq!(logins.faults(), [fault]);
            assert_eq!(
                logins.tokens(&Tokens::default(), || Duration::MAX).unwrap_err().kind(),
                ErrorKind::Config
            );
        }
        let at_the_limits = Logins::new().with("p".repeat(128), "t".repeat(50_000));
        assert!(at_the_limits.faults().is_empty());
    }

    #[test]
    fn sources_are_asked_each_time_and_their_errors_keep_the_cause() {
        let mut logins = Logins::new();
        let counter = std::sync::atomic::AtomicU32::new(0);
        logins.insert_source("p".into(), move || {
            Ok(counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string())
        });
        assert_ne!(
            logins.tokens(&Tokens::default(), || Duration::MAX).unwrap(),
            logins.tokens(&Tokens::default(), || Duration::MAX).unwrap()
        );

        logins.insert_source("p".into(), || Err("disk on fire".into()));
        let error = logins.tokens(&Tokens::default(), || Duration::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert_eq!(format!("{error:#}"), "the token source for p failed: disk on fire");

        logins.insert_source("p".into(), || Ok(String::new()));
        let error = logins.tokens(&Tokens::default(), || Duration::MAX).unwrap_err();
        assert_eq!(error.to_string(), "the token source for p returned a token that is empty");
    }

    /// The identity pool refuses the whole, so nobody knows which of them is to blame.
    #[test]
    fn after_a_refusal_each_source_is_asked_for_another_token_than_its_own() {
        struct Kept;
        impl TokenSource for Kept {
            fn token(&self) -> Result<String, BoxError> {
                Ok("first".to_owned())
            }

            fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
                Ok(format!("first in {limit:?}"))
            }

            fn token_after_refusal(
                &self,
                refused: &str,
                limit: Duration,
            ) -> Result<String, BoxError> {
                Ok(format!("after {refused} in {limit:?}"))
            }
        }
        let mut logins = Logins::new().with("c", "fixed");
        logins.insert_source("a".into(), Kept);
        logins.insert_source("b".into(), || Ok("again".to_owned()));
        let first = logins.tokens(&Tokens::default(), || Duration::from_secs(3)).unwrap();
        let next = logins.tokens(&first, || Duration::from_secs(2)).unwrap();
        let texts = |tokens: &Tokens| -> Vec<String> {
            tokens.iter().map(|(_, token)| token.expose().to_owned()).collect()
        };
        assert_eq!(texts(&first), ["first in 3s", "again", "fixed"]);
        assert_eq!(texts(&next), ["after first in 3s in 2s", "again", "fixed"]);
    }

    #[test]
    fn a_token_file_is_read_afresh_and_its_failure_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = FileToken::new(file.path());
        for token in ["one", " two\r\n"] {
            std::fs::write(file.path(), token).unwrap();
            assert_eq!(source.token().unwrap(), token.trim());
        }
        let mut logins = Logins::new();
        logins.insert_source("p".into(), FileToken::new("/no/such/token"));
        let error = logins.tokens(&Tokens::default(), || Duration::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert!(format!("{error:#}").contains("/no/such/token: No such file"), "{error:#}");
    }

    #[test]
    fn debug_shows_names_alone_and_not_even_those_that_look_like_tokens() {
        let logins =
            Logins::new().with("eyJ0b2tlbg", "x").with("p", "hunter2").with("z".repeat(90), "x");
        assert_eq!(format!("{logins:?}"), r#"Logins {"[redacted]", "p", "[redacted]"}"#);
        assert!(
            !format!("{:?}", logins.tokens(&Tokens::default(), || Duration::MAX).unwrap())
                .contains("hunter2")
        );
    }
}
