//! Login tokens of a user pool that renew themselves.

mod settings;
mod store;

use std::fmt;
use std::mem;
use std::process;
use std::sync::Arc;
use std::time::Duration;

pub use settings::UserPoolTokensBuilder;

use self::store::{Link, TokenStore};
use crate::cell::lease::Lease;
use crate::cell::{Epoch, RefreshCell, RefreshInput, Refreshed};
use crate::clock::Clock;
use crate::error::{BoxError, Error, Refusal};
use crate::logins::TokenSource;
use crate::provider::builder::Builder;
use crate::secret::Secret;
use crate::service::client::{Client, ServiceResponse};
use crate::service::cognito_idp::{
    self, AppClient, AuthOutput, GetTokensFromRefreshToken, InitiateAuth, UserPoolId,
};
use crate::service::protocol::{DecodeError, Operation};
use crate::service::retry::Budget;

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
    cell: RefreshCell<Secret, Session>,
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
    /// The ID of the process that `current` was issued to. A child that was forked later does not
    /// store it: by then the parent may have stored a newer one.
    issued_to: u32,
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

impl UserPoolTokens {
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
    /// contact for one to five seconds, or for as long as the service asked with `Retry-After`. Each
    /// throttled failure in a row doubles that, up to 16 times.
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
        self.within(Duration::MAX)
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
        if let Some(fault) = cognito_idp::token_fault(token.expose()) {
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

    fn within(&self, limit: Duration) -> Result<String, Error> {
        self.0.write_again();
        Ok(self.0.cell.get(limit, |input| self.0.load(input))?.expose().to_owned())
    }
}

impl TokenSource for UserPoolTokens {
    fn token(&self) -> Result<String, BoxError> {
        Ok(self.id_token()?)
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        Ok(self.within(limit)?)
    }

    fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
        self.0.cell.invalidate(|cached| cached.expose() == refused);
        self.token_within(limit)
    }
}

impl Builder {
    /// Adds the login of a user pool, whose tokens renew themselves: short for
    /// [`login_from`](Self::login_from) with [`provider`](UserPoolTokens::provider) and a clone. The
    /// time for a new ID token is part of the `get()` that needs it. Where the app client rotates
    /// refresh tokens a renewal that has begun is seen through all the same, and may hold up the
    /// caller that leads by the `timeout` of the tokens (20 s) in all.
    pub fn login_from_user_pool(self, tokens: &UserPoolTokens) -> Self {
        self.login_from(tokens.provider(), tokens.clone())
    }
}

impl Inner {
    fn load(&self, input: &RefreshInput<Session>) -> Result<Refreshed<Secret>, Error> {
        let session = &input.settings;
        // A rotation that is given up after a lost answer may have ended the token that was sent, so
        // it is seen through, also where the cached ID token is still good or the caller in a hurry.
        let deadline = self.clock.boot().saturating_add(self.timeout);
        let rotation = Budget::full(deadline, self.attempts);
        if self.rotates || session.rotates {
            return self.rotate(input, &rotation);
        }
        let (link, _) = self.link(session)?;
        if session.given.as_ref().is_none_or(|given| given.token != link.token) {
            return self.rotate(input, &rotation);
        }
        // With rotation the user pool takes tokens for another operation alone; an app client that
        // does not say so beforehand is asked for both.
        let (client, refresh_token) = (&self.app, &link.token);
        match self.call(&InitiateAuth { client, refresh_token }, &input.budget) {
            Err(error) if error.refusal() == Refusal::FlowOff => {
                log::debug!("the app client may rotate refresh tokens; asking for that");
                self.rotate(input, &rotation)
            }
            Err(error) if input.budget.allows_recovery() && error.needs_sign_in() => {
                // Another process that shares the storage may have found out that it rotates.
                match self.stored(session).filter(|stored| stored.token != link.token) {
                    Some(_) => self.rotate(input, &rotation),
                    None => Err(error),
                }
            }
            renewal => self.accept(input.epoch, link, false, renewal?),
        }
    }

    /// Renews with a token that may be replaced thereby. Other processes are kept from sending the
    /// same one until its successor is stored, if the storage can do that.
    fn rotate(
        &self,
        input: &RefreshInput<Session>,
        budget: &Budget,
    ) -> Result<Refreshed<Secret>, Error> {
        let session = &input.settings;
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
                let noted = self.cell.amend(input.epoch, |session| {
                    session.kept = Kept::Yes;
                    session.current.replace(newer.clone())
                });
                drop(noted);
                self.accept(input.epoch, newer, true, renewal)
            }
            renewal => self.accept(input.epoch, link, owned, renewal?),
        }
    }

    /// Takes an answer to `link`. `owned` tells whether that is known to have been stored.
    fn accept(
        &self,
        epoch: Epoch,
        mut link: Link,
        owned: bool,
        renewal: Answered,
    ) -> Result<Refreshed<Secret>, Error> {
        let Answered { operation, answer: ServiceResponse { output, sent, date, info } } = renewal;
        let mut issued = match output {
            AuthOutput::Tokens(issued) => issued,
            AuthOutput::Challenge(name) => return Err(Error::challenge(operation, info, &name)),
        };
        // Before anything can fail: the token that was sent is on its way out.
        if let Some(rotated) = issued.refresh_token.take().filter(|token| *token != link.token) {
            link.token = rotated;
            self.adopt(epoch, &link, owned);
        }
        let id_token = match issued.id_token {
            Ok(token) => token,
            Err(DecodeError(fault)) => return Err(Error::response(operation, info, fault)),
        };
        // On the service's own clock, counted from before the token was asked for.
        let lifetime = match cognito_idp::expiration(id_token.expose()) {
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
        Ok(Refreshed { value: id_token, lease, from_storage: false })
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

    fn call<O: Operation<Output = AuthOutput>>(
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
            session.issued_to = process::id();
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
        if session.kept != Kept::No || session.issued_to != process::id() {
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
    answer: ServiceResponse<AuthOutput>,
}

impl Session {
    fn given(&self) -> Option<&Secret> {
        self.given.as_ref().map(|given| &given.origin)
    }
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
