//! Login tokens of a user pool that renew themselves.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::builder::{Builder, Faults, default_transport};
use crate::cell::{Cell, Epoch, Limits, Loaded, Task};
use crate::client::{Answer, Client};
use crate::clock::{Clock, SystemClock};
use crate::endpoint;
use crate::error::{BoxError, Cause, Error};
use crate::lease::{Lease, Windows};
use crate::logins::TokenSource;
use crate::protocol::{Malformed, Operation, aws_json};
use crate::retry::Budget;
use crate::secret::Secret;
use crate::storage::{Storage, StorageLock};
use crate::transport::Transport;
use crate::user_pool::{
    self, AppClient, ClientSecret, GetTokensFromRefreshToken, InitiateAuth, Renewal, UserPoolId,
};

/// The version of the record. One that a later version wrote counts as absent.
const VERSION: &str = "1";

/// With less life than this a token is not handed out: it is on its way to another service.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

/// No token is believed to live longer: it is the most that a user pool grants.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

const COOLDOWN: Duration = Duration::from_secs(5);

/// ID tokens of an Amazon Cognito user pool, by the refresh token that the user's sign-in yielded:
/// a [`TokenSource`] that keeps its token and renews it in time (feature `user-pool`).
///
/// A login of a user pool is good for as long as its ID token, an hour by default; the refresh token
/// is good for days or years. How the user signs in is the program's business: with a password, in a
/// browser, or on the maker's site. What this needs of it is the refresh token.
///
/// * A token that is handed out has at least a minute of life left. It is cached, and renewed as
///   [`get`](crate::CognitoIdentityCredentials::get) renews credentials: by one caller, ahead of
///   time, with the old one still in use if that fails. Its life is what it says itself (`exp`),
///   on the service's clock, at most 24 hours; the answer's `ExpiresIn` if it does not say.
/// * If the identity pool refuses a token that looked good, it is renewed at once.
/// * If the app client *rotates* refresh tokens, each renewal brings another one and ends the old
///   one. It is then kept in the [`storage`](UserPoolTokensBuilder::storage) before anything else is
///   done with the answer; a program without one needs a new sign-in when it restarts.
/// * [`needs_sign_in`](Error::needs_sign_in) tells when only the user can help, also on what `get()`
///   of the provider returns; then call [`set_refresh_token`](Self::set_refresh_token).
///
/// Clones share one token and one renewal at a time. `Debug` shows no token.
///
/// ```
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// # #[cfg(feature = "testing")] {
/// use cognito_identity_credentials::testing::FakeCognito;
/// use cognito_identity_credentials::{CognitoIdentityCredentials, UserPoolTokens};
///
/// let cognito = FakeCognito::new();
/// let refresh_token = cognito.sign_in("ann"); // the program's part
///
/// let tokens = UserPoolTokens::builder()
///     .user_pool_id(FakeCognito::USER_POOL_ID)
///     .client_id(FakeCognito::CLIENT_ID)
///     .refresh_token(refresh_token)
///     .transport(cognito.clone()) // leave this out to talk to AWS
///     .build()?;
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .login_from_user_pool(&tokens)
///     .transport(cognito.clone())
///     .build()?;
/// credentials.get()?; // Ann's, however often her ID token ends
///
/// cognito.sign_out("ann");
/// let error = credentials.refresh().and_then(|_| tokens.id_token()).unwrap_err();
/// assert!(error.needs_sign_in());
/// tokens.set_refresh_token(cognito.sign_in("ann"))?;
/// credentials.refresh()?;
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct UserPoolTokens(Arc<Inner>);

struct Inner {
    cell: Cell<Secret, Session>,
    client: Client,
    url: String,
    pool: UserPoolId,
    provider: String,
    app: AppClient,
    /// Whether the program says that the app client rotates refresh tokens.
    rotates: bool,
    /// What a refresh token's origin is told by.
    key: String,
    store: Option<TokenStore>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    attempts: u32,
}

/// What the user's sign-in has come to.
#[derive(Clone, Default)]
struct Session {
    /// What the program gave.
    given: Option<Link>,
    /// What the last rotation brought.
    current: Option<Link>,
    kept: Kept,
    /// Whether the storage has had a token of this sign-in.
    owned: bool,
    /// Whether the app client turned out to rotate refresh tokens.
    rotates: bool,
    /// Whether the user signed out: what is stored, or comes to be stored, is not theirs any more.
    signed_out: bool,
}

/// Whether the storage has what the last rotation brought.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kept {
    #[default]
    Yes,
    Writing,
    No,
}

/// A refresh token, and a digest of the one that the program gave and that it descends from. A new
/// sign-in begins another chain, and the digest tells it from the old one.
#[derive(Clone, PartialEq, Eq)]
struct Link {
    token: Secret,
    origin: Secret,
}

impl UserPoolTokens {
    /// Settings to start from: the defaults.
    pub fn builder() -> UserPoolTokensBuilder {
        UserPoolTokensBuilder {
            user_pool_id: None,
            client_id: None,
            client_secret: None,
            username: None,
            refresh_token: None,
            rotates: false,
            device_key: None,
            login_id: None,
            storage: None,
            endpoint_url: None,
            use_fips: false,
            use_dual_stack: false,
            danger_allow_http: false,
            transport: None,
            clock: Arc::new(SystemClock),
            attempt_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
            max_attempts: 4,
        }
    }

    /// The name under which the identity pool knows the user pool:
    /// `cognito-idp.REGION.amazonaws.com/USER_POOL_ID`.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// An ID token with at least a minute of life, from memory or from the user pool. (If the pool
    /// issues a shorter life than that, the caller that asked for it still gets it.) The copy is the
    /// caller's to keep secret.
    ///
    /// After a failure that the user pool itself answered, calls return the same error without
    /// contact for one to five seconds, or for as long as the service asked with `Retry-After`.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (20 s by default), `attempt_timeout` (10 s) while the cached token is still
    /// good; and for as long as the storage does. Where the app client rotates refresh tokens it is
    /// `timeout` in either case, for one caller, the others being served from memory: an answer that
    /// was lost is asked for again at once, within the app client's grace period, for after it the
    /// token that was sent is worth nothing. Up to half of that time may go by waiting for the
    /// storage's lock.
    ///
    /// # Errors
    ///
    /// [`Login`](crate::ErrorKind::Login) when no refresh token is known;
    /// [`NotAuthorized`](crate::ErrorKind::NotAuthorized) when the user pool refuses it, the user or
    /// the app client's secret; any other kind as for a call to the identity pool.
    /// [`needs_sign_in`](Error::needs_sign_in) tells those apart that the user must mend.
    pub fn id_token(&self) -> Result<String, Error> {
        Ok(self.secret()?.expose().to_owned())
    }

    /// Sets the refresh token of a new sign-in, which the next [`id_token`](Self::id_token) goes by.
    /// The cached ID token is not handed out any more, for it may be another user's, and a stored
    /// refresh token of an earlier sign-in is removed. One that is set already changes nothing.
    ///
    /// The credentials of a provider stay as they are; call its
    /// [`expire`](crate::CognitoIdentityCredentials::expire) if the user is another one. With
    /// [`persist_credentials`](crate::Builder::persist_credentials) that is not enough, for there one
    /// `login_id` is one user: another user needs another provider, with a `login_id` of their own.
    ///
    /// Without rotation the token is not stored: it is the program's to keep.
    ///
    /// No network; blocks for as long as the storage does.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when it cannot be a refresh token; nothing is changed
    /// then.
    pub fn set_refresh_token(&self, token: impl Into<String>) -> Result<(), Error> {
        let token = Secret::new(token);
        if let Some(fault) = user_pool::token_fault(token.expose()) {
            return Err(Error::config(format!("refresh_token: {fault}")));
        }
        let given = Link::given(token, &self.0.key)?;
        self.0.begin(Some(given));
        Ok(())
    }

    /// Forgets the refresh token and the cached ID token, and removes what is stored: the user signs
    /// out of this program. From then on none is known until
    /// [`set_refresh_token`](Self::set_refresh_token), whatever another process stores. One that is
    /// built later without a refresh token starts from what is stored then: from nothing, unless
    /// the removal failed, which is logged (warn), or another process stays signed in.
    ///
    /// The user pool is not told; until the tokens end there, somebody who has them can use them. The
    /// credentials of a provider stay as they are, and those that it
    /// [stored](crate::Builder::persist_credentials) are given to the next process until they end:
    /// call its [`clear_cached_id`](crate::CognitoIdentityCredentials::clear_cached_id) and
    /// [`expire`](crate::CognitoIdentityCredentials::expire).
    ///
    /// No network; blocks for as long as the storage does.
    pub fn forget_refresh_token(&self) {
        self.0.begin(None);
    }

    fn secret(&self) -> Result<Secret, Error> {
        self.0.write_again();
        self.0.cell.get(Duration::MAX, |task| self.0.load(task))
    }
}

impl TokenSource for UserPoolTokens {
    fn token(&self) -> Result<String, BoxError> {
        Ok(self.id_token()?)
    }

    fn token_after_refusal(&self, refused: &str) -> Result<String, BoxError> {
        self.0.cell.invalidate(|cached| cached.expose() == refused);
        self.token()
    }
}

impl Builder {
    /// Adds the login of a user pool, whose tokens renew themselves: short for
    /// [`login_from`](Self::login_from) with [`provider`](UserPoolTokens::provider) and a clone. A
    /// `get()` that needs a new ID token takes the time that both services need: the `timeout` of
    /// the tokens adds to its own.
    pub fn login_from_user_pool(self, tokens: &UserPoolTokens) -> Self {
        self.login_from(tokens.provider(), tokens.clone())
    }
}

impl Inner {
    fn load(&self, task: &Task<Session>) -> Result<Loaded<Secret>, Error> {
        let session = &task.settings;
        // A rotation that is given up after a lost answer may have ended the token that was sent, so
        // it is seen through, also where the cached ID token is still good.
        let full = Budget {
            deadline: self.clock.boot().saturating_add(self.timeout),
            attempts: self.attempts,
            recover: true,
        };
        let rotation = if task.budget.recover { task.budget } else { full };
        if self.rotates || session.rotates {
            return self.rotate(task, &rotation);
        }
        let (link, _) = self.link(session)?;
        if session.given.as_ref().is_none_or(|given| given.token != link.token) {
            return self.rotate(task, &rotation);
        }
        // With rotation the user pool takes tokens for another operation alone; an app client that
        // does not say so beforehand is asked for both.
        let (client, refresh_token) = (&self.app, &link.token);
        match self.call(&InitiateAuth { client, refresh_token }, &task.budget) {
            Err(error) if error.cause() == Cause::FlowOff => {
                log::debug!("the app client may rotate refresh tokens; asking for that");
                self.rotate(task, &rotation)
            }
            Err(error) if task.budget.recover && error.needs_sign_in() => {
                // Another process that shares the storage may have found out that it rotates.
                match self.stored(session).filter(|stored| stored.token != link.token) {
                    Some(_) => self.rotate(task, &rotation),
                    None => Err(error),
                }
            }
            renewal => self.accept(task.epoch, link, false, renewal?),
        }
    }

    /// Renews with a token that may be replaced thereby. Other processes are kept from sending the
    /// same one until its successor is stored, if the storage can do that.
    fn rotate(&self, task: &Task<Session>, budget: &Budget) -> Result<Loaded<Secret>, Error> {
        let session = &task.settings;
        let left = budget.deadline.saturating_sub(self.clock.boot());
        let _lock = self.store.as_ref().and_then(|store| store.lock(left / 2));
        let client = &self.app;
        let renew = |link: &Link| {
            self.call(&GetTokensFromRefreshToken { client, refresh_token: &link.token }, budget)
        };
        let (link, owned) = self.link(session)?;
        match renew(&link) {
            Err(error) if error.needs_sign_in() => {
                // Without locks another process may have been quicker.
                let stored = self.stored(session);
                let Some(newer) = stored.filter(|stored| stored.token != link.token) else {
                    return Err(error);
                };
                let renewal = renew(&newer)?;
                let noted = self.cell.amend(task.epoch, |session| {
                    session.kept = Kept::Yes;
                    session.current.replace(newer.clone())
                });
                drop(noted);
                self.accept(task.epoch, newer, true, renewal)
            }
            renewal => self.accept(task.epoch, link, owned, renewal?),
        }
    }

    /// Takes an answer to `link`. `owned` tells whether that is known to have been stored.
    fn accept(
        &self,
        epoch: Epoch,
        mut link: Link,
        owned: bool,
        renewal: Answered,
    ) -> Result<Loaded<Secret>, Error> {
        let Answered { operation, answer: Answer { output, sent, date, info } } = renewal;
        let mut issued = match output {
            Renewal::Tokens(issued) => issued,
            Renewal::Challenge(name) => return Err(Error::challenge(operation, info, &name)),
        };
        // Before anything can fail: the token that was sent is on its way out.
        if let Some(rotated) = issued.refresh_token.take().filter(|token| *token != link.token) {
            link.token = rotated;
            self.adopt(epoch, &link, owned);
        }
        let id_token = match issued.id_token {
            Ok(token) => token,
            Err(Malformed(fault)) => return Err(Error::response(operation, info, fault)),
        };
        // On the service's own clock, counted from before the token was asked for.
        let lifetime = match user_pool::end(id_token.expose()) {
            Some(end) => Some(end.duration_since(date).unwrap_or_default()),
            None => issued.expires_in,
        };
        let Some(lifetime) = lifetime else {
            let what = "the answer's IdToken does not say when it ends, and ExpiresIn is missing";
            return Err(Error::response(operation, info, what));
        };
        if lifetime.is_zero() {
            let what = "the ID token had already expired when it was issued";
            return Err(Error::expired(operation, info, what));
        }
        let lease = Lease::new(sent.boot, sent.wall, lifetime.min(LONGEST_LIFE));
        Ok(Loaded { value: id_token, lease, revived: false })
    }

    /// The refresh token to send, and whether it is stored. What is stored is the latest, for every
    /// rotation is stored and another process may have made the last one; unless a rotation of our
    /// own could not be stored.
    fn link(&self, session: &Session) -> Result<(Link, bool), Error> {
        let in_memory = |link: &Option<Link>| link.clone().map(|link| (link, false));
        let known = || {
            let unsaved = if session.kept == Kept::Yes { &None } else { &session.current };
            in_memory(unsaved)
                .or_else(|| self.stored(session).map(|link| (link, true)))
                .or_else(|| in_memory(&session.current))
                .or_else(|| in_memory(&session.given))
        };
        (if session.signed_out { None } else { known() })
            .ok_or_else(|| Error::sign_in("no refresh token is known: the user has to sign in"))
    }

    fn stored(&self, session: &Session) -> Option<Link> {
        self.store.as_ref()?.load(session.given())
    }

    fn call<O: Operation<Output = Renewal>>(
        &self,
        operation: &O,
        budget: &Budget,
    ) -> Result<Answered, Error> {
        let answer = self.client.call(&self.url, operation, budget).map_err(Error::of_user_pool)?;
        Ok(Answered { operation: O::NAME, answer })
    }

    /// Keeps what a rotation brought, unless the user has signed in anew meanwhile.
    fn adopt(&self, epoch: Epoch, link: &Link, owned: bool) {
        let old = self.cell.amend(epoch, |session| {
            session.rotates = true;
            session.owned |= owned;
            session.kept = Kept::Writing;
            (session.current.replace(link.clone()), session.owned)
        });
        let (Some((_, owned)), Some(store)) = (old, &self.store) else { return };
        if let Err(error) = self.write(store, epoch, link.clone(), owned) {
            log::warn!(
                "the rotated refresh token could not be stored; without it the next start needs another sign-in: {error}"
            );
        }
    }

    /// Tries once more to store what could not be.
    fn write_again(&self) {
        let Some(store) = &self.store else { return };
        let (epoch, session) = self.cell.epoch();
        if session.kept != Kept::No {
            return;
        }
        // Nobody else does it at the same time, nor a storage that asks for a token meanwhile.
        let link = self.cell.amend(epoch, |session| {
            let unsaved = session.kept == Kept::No;
            session.kept = if unsaved { Kept::Writing } else { session.kept };
            session.current.clone().filter(|_| unsaved)
        });
        let Some(Some(link)) = link else { return };
        match self.write(store, epoch, link, session.owned) {
            Ok(()) => log::debug!("the rotated refresh token is stored after all"),
            Err(error) => log::debug!("the rotated refresh token is still not stored: {error}"),
        }
    }

    /// Stores a token of the session, and the latest one if another rotation came in between: the
    /// two writes may have landed in either order.
    fn write(
        &self,
        store: &TokenStore,
        epoch: Epoch,
        mut link: Link,
        mut owned: bool,
    ) -> Result<(), String> {
        loop {
            let saved = store.save(&link, owned);
            owned |= saved.is_ok();
            let noted = self.cell.amend(epoch, |session| {
                session.owned |= owned;
                let latest = session.current.clone().filter(|latest| *latest != link);
                session.kept = match (&latest, &saved) {
                    (Some(_), _) => Kept::Writing,
                    (None, Ok(())) => Kept::Yes,
                    (None, Err(_)) => Kept::No,
                };
                latest
            });
            match noted {
                Some(Some(latest)) => link = latest,
                Some(None) => return saved,
                None => {
                    // Signed in anew while it was being written: it must not come back.
                    store.remove_if(|stored| *stored == link);
                    return Ok(());
                }
            }
        }
    }

    /// Begins with another sign-in, or with none.
    fn begin(&self, given: Option<Link>) {
        let origin = given.as_ref().map(|given| given.origin.clone());
        let signed_out = given.is_none();
        let (changed, old) = self.cell.change(|session| {
            let changed = signed_out || session.given != given;
            let rotates = session.rotates;
            let next = Session { given, rotates, signed_out, ..Session::default() };
            let old = changed.then(|| mem::replace(session, next));
            (changed, (changed, old))
        });
        drop(old);
        if !changed {
            return;
        }
        self.cell.expire();
        match (&self.store, origin) {
            (None, _) => {}
            // Whatever it is, also what cannot be read.
            (Some(store), None) => store.remove(),
            (Some(store), Some(origin)) => store.remove_if(|stored| stored.origin != origin),
        }
    }
}

/// An answer, and what it answers.
struct Answered {
    operation: &'static str,
    answer: Answer<Renewal>,
}

impl Session {
    fn given(&self) -> Option<&Secret> {
        self.given.as_ref().map(|given| &given.origin)
    }
}

impl Link {
    /// The digest is keyed by the token: it says nothing of it, and cannot be looked up elsewhere.
    fn given(token: Secret, key: &str) -> Result<Self, Error> {
        let origin = user_pool::hmac(token.expose(), &[key])?;
        Ok(Self { token, origin })
    }
}

/// The place of one user's refresh token in a [`Storage`].
struct TokenStore {
    storage: Arc<dyn Storage>,
    key: String,
}

#[derive(Serialize)]
struct Record<'a> {
    version: u32,
    given: &'a str,
    refresh_token: &'a str,
}

impl TokenStore {
    /// The stored token, if it descends from the given one. Where none is given, it is used as it is.
    fn load(&self, origin: Option<&Secret>) -> Option<Link> {
        let stored = self.record()?;
        origin.is_none_or(|origin| *origin == stored.origin).then_some(stored)
    }

    /// Stores a token; `owned` if one of the same sign-in has been stored before. What is there of
    /// another sign-in then came later, and stays.
    fn save(&self, link: &Link, owned: bool) -> Result<(), String> {
        if owned && self.record().is_some_and(|stored| stored.origin != link.origin) {
            log::warn!(
                "another sign-in has taken the place of the stored refresh token; this one's is kept in memory alone"
            );
            return Ok(());
        }
        let (given, refresh_token) = (link.origin.expose(), link.token.expose());
        let record = aws_json::encode(&Record { version: 1, given, refresh_token })
            .map_err(|error| error.to_string())?;
        self.storage.store(&self.key, &record).map_err(|error| error.to_string())
    }

    fn remove_if(&self, is_it: impl FnOnce(&Link) -> bool) {
        if self.record().is_some_and(|stored| is_it(&stored)) {
            self.remove();
        }
    }

    fn remove(&self) {
        if let Err(error) = self.storage.remove(&self.key) {
            log::warn!("the stored refresh token could not be removed: {error}");
        }
    }

    /// Keeps other processes from renewing by the same token, if that can be had in time.
    fn lock(&self, wait: Duration) -> Option<StorageLock> {
        self.storage.lock(&self.key, wait).unwrap_or_else(|error| {
            log::warn!("the stored refresh token could not be locked: {error}");
            None
        })
    }

    /// What cannot be read as a record of this version counts as absent.
    fn record(&self) -> Option<Link> {
        let value = match self.storage.load(&self.key) {
            Ok(value) => Zeroizing::new(value?),
            Err(error) => {
                log::warn!("the stored refresh token could not be read: {error}");
                return None;
            }
        };
        let link = parse(&value);
        if link.is_none() {
            log::warn!(
                "the stored refresh token is not a record of this version; it counts as absent"
            );
        }
        link
    }
}

fn parse(record: &[u8]) -> Option<Link> {
    let text = std::str::from_utf8(record).ok()?;
    let names = ["version", "given", "refresh_token"];
    let [version, origin, token] = aws_json::members("the record", text, names).ok()?;
    let (origin, token) = (aws_json::string(origin?)?, aws_json::string(token?)?);
    // What the service issues is stored as it is, whatever it looks like.
    let sound = version == Some(VERSION) && !token.is_empty();
    sound.then(|| Link { token: token.into(), origin: origin.into() })
}

impl fmt::Debug for UserPoolTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.0.cell.settings();
        let refresh_token = session.current.or(session.given).map(|link| link.token);
        f.debug_struct("UserPoolTokens")
            .field("user_pool_id", &self.0.pool.as_str())
            .field("refresh_token", &refresh_token)
            .field("id_token", &self.0.cell.cached())
            .finish_non_exhaustive()
    }
}

/// The settings of a [`UserPoolTokens`].
///
/// Setters take what they are given; [`build`](Self::build) checks everything and reports every
/// fault at once. `Debug` shows no more than the user pool's ID.
#[must_use]
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct UserPoolTokensBuilder {
    user_pool_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    username: Option<Secret>,
    refresh_token: Option<Secret>,
    rotates: bool,
    device_key: Option<String>,
    login_id: Option<String>,
    storage: Option<Arc<dyn Storage>>,
    endpoint_url: Option<String>,
    use_fips: bool,
    use_dual_stack: bool,
    danger_allow_http: bool,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    attempt_timeout: Duration,
    timeout: Duration,
    max_attempts: u32,
}

impl UserPoolTokensBuilder {
    /// The user pool, `REGION_NAME`, such as `us-east-1_aBcDeFgHi`: at most 55 characters. Its
    /// region is the one to call. Required.
    pub fn user_pool_id(mut self, id: impl Into<String>) -> Self {
        self.user_pool_id = Some(id.into());
        self
    }

    /// The app client that the user signed in with: 1 to 128 characters of `A-Z a-z 0-9 _ +`.
    /// Required.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// The app client's secret, if it has one: 1 to 128 printable characters. A program in the hands
    /// of others cannot keep one; give it an app client without. Needs [`username`](Self::username),
    /// unless [`refresh_token_rotation`](Self::refresh_token_rotation) is set. Default: none.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(Secret::new(secret));
        self
    }

    /// The user, by the name that the user pool itself has: the claim `cognito:username` of the
    /// tokens. That is not always what the user types: where they sign in with an e-mail address or
    /// a phone number it is the `sub`, and for users of another identity provider its name with
    /// theirs. 1 to 128 characters. It only goes into the hash of
    /// [`client_secret`](Self::client_secret). Default: none.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(Secret::new(name));
        self
    }

    /// The refresh token that the user's sign-in yielded: 1 to 16,384 characters of
    /// `A-Z a-z 0-9 - _ = .`. Default: none, and the one that is in the
    /// [`storage`](Self::storage) or comes by
    /// [`set_refresh_token`](UserPoolTokens::set_refresh_token).
    ///
    /// A stored token that descends from this one by rotation is used instead; a stored one of
    /// another sign-in is not.
    pub fn refresh_token(mut self, token: impl Into<String>) -> Self {
        self.refresh_token = Some(Secret::new(token));
        self
    }

    /// Says that the app client rotates refresh tokens: they are renewed with
    /// `GetTokensFromRefreshToken` alone, for which `InitiateAuth` does not have to be refused first.
    /// Default: `false`, and it is found out.
    pub fn refresh_token_rotation(mut self, rotates: bool) -> Self {
        self.rotates = rotates;
        self
    }

    /// The key of the device, if the user pool remembers devices and confirmed this one at the
    /// sign-in: 1 to 55 characters. Without it such a pool calls the refresh token invalid.
    /// Default: none.
    pub fn device_key(mut self, key: impl Into<String>) -> Self {
        self.device_key = Some(key.into());
        self
    }

    /// Who the user is, where several share a [`storage`](Self::storage): the refresh token is kept
    /// for the user pool, the app client and this name. Never a token. Default: none, one user.
    pub fn login_id(mut self, id: impl Into<String>) -> Self {
        self.login_id = Some(id.into());
        self
    }

    /// Where the refresh token is kept when the user pool rotates it: one of the provider will do,
    /// for the keys differ. With [`FileStorage`](crate::FileStorage) it is a file that its owner
    /// alone may read, not encrypted. Without rotation nothing is written. Default: nowhere but in
    /// memory.
    ///
    /// A write that fails is logged (warn), the token is kept in memory, and the write is tried again
    /// whenever a token is asked for.
    ///
    /// Several processes may share one: each takes what another has stored, and a token that is
    /// refused is looked up again. A renewal holds the storage's
    /// [`lock`](Storage::lock) until the new token is stored, so that two do not send the same one;
    /// who waits for it goes on without after half of its [`timeout`](Self::timeout). For a storage
    /// without locks give the app client a grace period.
    ///
    /// What a later sign-in has stored under the same [`login_id`](Self::login_id) is not replaced by
    /// a process that goes on with an earlier one; that is logged (warn).
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Another URL for the user pool, such as an emulator's. `https`, or `http` to loopback
    /// (`127.0.0.0/8`, `[::1]`, `localhost`). Default: AWS's endpoint of the region.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Uses the endpoint whose cryptography is validated by FIPS 140. Default: `false`.
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.use_fips = fips;
        self
    }

    /// Uses the endpoint that is reachable by IPv4 and IPv6. Default: `false`.
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
        self.use_dual_stack = dual_stack;
        self
    }

    /// Allows plain `http` to any host in [`endpoint_url`](Self::endpoint_url), for emulators on a
    /// private network. Whoever can read that network reads the refresh token. Default: `false`.
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.danger_allow_http = allow;
        self
    }

    /// What carries the requests. Default: `UreqTransport` (feature `ureq`) of its own. Pass an
    /// `Arc` to share one with a provider.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// The clocks to go by. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The longest that one attempt at one call takes. Default: 10 seconds. Zero is an error.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// The longest that [`id_token`](UserPoolTokens::id_token) takes, with all calls, attempts and
    /// delays. It adds to the time that a provider's `get()` takes. Default: 20 seconds. Zero is an
    /// error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a call is attempted before its last error is returned. 1 turns repeats off.
    /// Default: 4.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Checks the settings and makes the token source. No I/O, no call.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault in its text: the setting, what is
    /// wrong with its value, and the rule.
    pub fn build(self) -> Result<UserPoolTokens, Error> {
        let mut faults = Faults(Vec::new());
        let pool = self.parse_pool(&mut faults);
        let url = self.parse_url(pool.as_ref(), &mut faults);
        self.check(&mut faults);
        let transport = self.transport.or_else(default_transport);
        if transport.is_none() {
            faults.add("transport: not set, and this build has none (feature `ureq` is off)");
        }
        let (Some(pool), Some(id), Some(transport), true) =
            (pool, self.client_id, transport, faults.0.is_empty())
        else {
            return Err(Error::config(faults.0.join("; ")));
        };

        let secret = self.client_secret;
        let secret = secret.map(|secret| ClientSecret::new(secret, &id, self.username));
        let mut key = format!("refresh-token/{}/{id}", pool.as_str());
        if let Some(login_id) = &self.login_id {
            key = format!("{key}/{login_id}");
        }
        let given = self.refresh_token.map(|token| Link::given(token, &key)).transpose()?;
        let limits = Limits {
            what: "the login token",
            windows: Windows { expiry: SHORTEST_LIFE, advisory: None },
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            attempts: self.max_attempts,
            cooldown: COOLDOWN,
        };
        let session = Session { given, ..Session::default() };
        Ok(UserPoolTokens(Arc::new(Inner {
            client: Client::new(transport, Arc::clone(&self.clock), self.attempt_timeout),
            cell: Cell::new(Arc::clone(&self.clock), limits, session),
            clock: self.clock,
            timeout: self.timeout,
            attempts: self.max_attempts,
            url,
            provider: pool.provider(),
            pool,
            app: AppClient { secret: secret.transpose()?, id, device_key: self.device_key },
            rotates: self.rotates,
            store: self.storage.map(|storage| TokenStore { storage, key: key.clone() }),
            key,
        })))
    }

    fn parse_pool(&self, faults: &mut Faults) -> Option<UserPoolId> {
        let Some(id) = &self.user_pool_id else {
            faults.add("user_pool_id: not set");
            return None;
        };
        match UserPoolId::parse(id) {
            Ok(pool) => Some(pool),
            Err(fault) => {
                faults.add(format!("user_pool_id: {fault}"));
                None
            }
        }
    }

    fn parse_url(&self, pool: Option<&UserPoolId>, faults: &mut Faults) -> String {
        let Some(url) = &self.endpoint_url else {
            let region = pool.map_or("", UserPoolId::region);
            if pool.is_some() && !endpoint::is_region(region) {
                faults.add(
                    "user_pool_id: its region cannot stand in a host name; set endpoint_url for an emulator",
                );
            }
            return endpoint::user_pools(region, self.use_fips, self.use_dual_stack);
        };
        for (setting, set) in [("use_fips", self.use_fips), ("use_dual_stack", self.use_dual_stack)]
        {
            if set {
                faults.add(format!("{setting}: cannot go with endpoint_url"));
            }
        }
        endpoint::custom(url, self.danger_allow_http).unwrap_or_else(|fault| {
            faults.add(format!("endpoint_url: {fault}"));
            String::new()
        })
    }

    /// Each value by itself, then those that need each other.
    fn check(&self, faults: &mut Faults) {
        match &self.client_id {
            None => faults.add("client_id: not set"),
            Some(id) => {
                faults.length("client_id", Some(id), 1, 128);
                if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'+') {
                    faults.add("client_id: may have A-Z a-z 0-9 _ + alone");
                }
            }
        }
        let secret = self.client_secret.as_ref().map(Secret::expose);
        faults.length("client_secret", secret, 1, 128);
        if secret.is_some_and(|secret| !secret.bytes().all(|b| b.is_ascii_graphic())) {
            faults.add("client_secret: has a space or a character that no secret has");
        }
        faults.length("username", self.username.as_ref().map(Secret::expose), 1, 128);
        if let Some(fault) =
            self.refresh_token.as_ref().and_then(|token| user_pool::token_fault(token.expose()))
        {
            faults.add(format!("refresh_token: {fault}"));
        }
        let of_device = |key: &str| {
            let (region, rest) = key.rsplit_once('_').unwrap_or_default();
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
            !region.is_empty()
                && region.bytes().all(word)
                && !rest.is_empty()
                && rest.bytes().all(hex)
        };
        faults.length("device_key", self.device_key.as_deref(), 1, 55);
        if self.device_key.as_deref().is_some_and(|key| !of_device(key)) {
            faults.add("device_key: must have the form REGION_GUID");
        }
        let rules = [
            (self.login_id.as_deref() == Some(""), "login_id: is empty"),
            (self.timeout.is_zero(), "timeout: must be longer than zero"),
            (self.attempt_timeout.is_zero(), "attempt_timeout: must be longer than zero"),
            (self.max_attempts == 0, "max_attempts: must be at least 1"),
            (
                self.login_id.is_some() && self.storage.is_none(),
                "login_id: names a stored refresh token, but no storage is set",
            ),
            (
                self.client_secret.is_some() && self.username.is_none() && !self.rotates,
                "client_secret: needs username, of which and the secret a hash is sent",
            ),
            (
                self.username.is_some() && self.client_secret.is_none(),
                "username: goes into the hash of client_secret alone, which is not set",
            ),
        ];
        for (broken, fault) in rules {
            if broken {
                faults.add(fault);
            }
        }
    }
}

impl fmt::Debug for UserPoolTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unchecked text may be anything, so only what is a pool's ID is shown.
        let pool = self.user_pool_id.as_deref().and_then(|id| UserPoolId::parse(id).ok());
        f.debug_struct("UserPoolTokensBuilder")
            .field("user_pool_id", &pool.as_ref().map(UserPoolId::as_str))
            .field("refresh_token", &self.refresh_token)
            .field("client_secret", &self.client_secret)
            .finish_non_exhaustive()
    }
}
