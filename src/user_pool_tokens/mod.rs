//! Login tokens of a user pool that refresh themselves: [`UserPoolTokens`].
//!
//! * `builder`: the settings with their defaults and checks, and `build`
//! * `store`: a refresh token, and the record of a rotated one

mod builder;
mod store;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;

use std::fmt;
use std::mem;
use std::process;
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::UserPoolTokensBuilder;

use self::store::{RefreshToken, StoredIn, TokenStore};
use crate::cell::lease::Lease;
use crate::cell::{Epoch, RefreshCell, RefreshInput, Refreshed};
use crate::error::{BoxError, Error, Refusal};
use crate::logins::TokenSource;
use crate::secret::Secret;
use crate::service::budget::Budget;
use crate::service::client::{Client, ServiceResponse};
use crate::service::cognito_idp::{
    self, AppClient, AuthOutput, GetTokensFromRefreshToken, InitiateAuth, UserPoolId,
};
use crate::service::protocol::DecodeError;
use crate::storage::RecordKey;

/// A token with a shorter lifetime is not returned, because it could expire on its way to the
/// service.
const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// The longest lifetime that a user pool grants. A longer lifetime is cut to it.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

const COOLDOWN: Duration = Duration::from_secs(5);

/// Provides ID tokens of an Amazon Cognito user pool, and refreshes them with a refresh token. It
/// is a [`TokenSource`] (feature `user-pool`).
///
/// The login of a user pool is only valid as long as its ID token, which is one hour by default. A
/// refresh token is valid for days or years. Your program signs the user in, for example with a
/// password or in a browser. This type only needs the refresh token of that sign-in.
///
/// * **Lifetime.** Each returned token is valid for at least one minute, unless the user pool
///   issues a shorter lifetime. The end of a token is its claim `exp`, measured on the clock of the
///   service. If the claim is missing, the token is valid for the `ExpiresIn` of the answer. A
///   lifetime of more than 24 hours is cut to 24 hours.
/// * **Refresh.** Tokens are cached and refreshed in the same way as credentials; see
///   [`get`](crate::CognitoIdentityCredentials::get). One caller refreshes the token early. If that
///   fails, the cached token stays in use. If the identity pool rejects a token, it is refreshed at
///   once.
/// * **Rotation.** If the app client *rotates* refresh tokens, each refresh returns a new refresh
///   token and ends the old one. The new one is written to the
///   [`storage`](UserPoolTokensBuilder::storage) before the answer is used. Without a storage, the
///   user must sign in again after each restart of the program.
/// * **Sign-in.** [`needs_sign_in`](Error::needs_sign_in) returns true if only the user can help.
///   It works for the errors of this type and for those of the provider's `get()`. Sign the user in
///   again, then call [`set_refresh_token`](Self::set_refresh_token).
///
/// Clones share one token and one refresh at a time. `Debug` shows no token.
///
/// # Example
///
/// ```
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// # #[cfg(feature = "testing")] {
/// use cognito_identity_credentials::testing::FakeCognito;
/// use cognito_identity_credentials::{CognitoIdentityCredentials, UserPoolTokens};
///
/// let cognito = FakeCognito::new();
/// let refresh_token = cognito.sign_in("ann"); // your program signs the user in
///
/// let tokens = UserPoolTokens::builder()
///     .user_pool_id(FakeCognito::USER_POOL_ID)
///     .client_id(FakeCognito::CLIENT_ID)
///     .refresh_token(refresh_token)
///     .transport(cognito.clone()) // leave this out to talk to AWS
///     .build()?;
/// assert!(tokens.provider().ends_with(FakeCognito::USER_POOL_ID));
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .login_from_user_pool(&tokens)
///     .transport(cognito.clone())
///     .build()?;
/// credentials.get()?; // Ann's, even after her ID token has expired
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
pub struct UserPoolTokens(Arc<TokenRefresher>);

struct TokenRefresher {
    cell: RefreshCell<Secret, SignInState>,
    client: Client,
    url: String,
    pool: UserPoolId,
    provider: String,
    app: AppClient,
    /// The key of [`RefreshToken::sign_in_digest`].
    key: RecordKey,
    store: Option<TokenStore>,
}

#[derive(Clone, Default)]
struct SignInState {
    /// The refresh token that the program gave.
    given: Option<RefreshToken>,
    current: Option<RefreshToken>,
    /// The process that received `current`. A child process that is forked later does not store it,
    /// because the parent may have stored a newer one.
    issued_to: u32,
    store_state: StoreState,
    /// Whether a token of this sign-in has ever been stored.
    was_stored: bool,
    /// Whether the app client rotates refresh tokens. The program has set it, or the user pool has
    /// shown it.
    rotates: bool,
    /// After a sign-out, stored tokens are not used.
    signed_out: bool,
}

/// Whether the storage has the refresh token of the last rotation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum StoreState {
    #[default]
    Stored,
    Writing,
    Failed,
}

impl UserPoolTokens {
    /// Returns the provider name of the user pool in an identity pool:
    /// `cognito-idp.REGION.amazonaws.com/USER_POOL_ID`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// Returns an ID token that is valid for at least one minute. It contacts the user pool only if
    /// that is necessary. If the user pool issues a token with a shorter lifetime, the callers of
    /// that refresh still get it. Keep the returned copy secret.
    ///
    /// After an error from the user pool, calls return the same error for 1 to 5 seconds, without a
    /// request. While the user pool throttles, each failure doubles this time, to at most 16 to 80
    /// seconds. A longer `Retry-After` sets this time instead, up to 5 minutes.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (20 s by default), or `attempt_timeout` (10 s by default) while the cached
    /// token is valid. It also waits for the storage.
    ///
    /// If the app client rotates refresh tokens, the caller that leads the refresh can always block
    /// for `timeout`. While the cached token is valid, the other callers get it at once. The leader
    /// needs the time: if an answer is lost, it must ask again within the grace period of the app
    /// client. After the grace period, the refresh token is useless. The leader waits for the lock
    /// of the storage for at most half of `timeout`.
    ///
    /// # Errors
    ///
    /// * [`Login`](crate::ErrorKind::Login), if there is no refresh token.
    /// * [`Storage`](crate::ErrorKind::Storage), if there is no refresh token because the storage
    ///   cannot be read.
    /// * [`NotAuthorized`](crate::ErrorKind::NotAuthorized), if the user pool rejects the refresh
    ///   token, the user, or the secret of the app client.
    /// * Any other kind that a call to the identity pool can return.
    ///
    /// [`needs_sign_in`](Error::needs_sign_in) tells whether the user must sign in again.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{UserPoolTokens, testing::FakeCognito};
    /// # let cognito = FakeCognito::new();
    /// # let tokens = UserPoolTokens::builder()
    /// #     .user_pool_id(FakeCognito::USER_POOL_ID).client_id(FakeCognito::CLIENT_ID)
    /// #     .refresh_token(cognito.sign_in("ann")).transport(cognito.clone()).build()?;
    /// let id_token = tokens.id_token()?; // contacts the user pool
    /// assert_eq!(tokens.id_token()?, id_token); // cached
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn id_token(&self) -> Result<String, Error> {
        self.id_token_within(Duration::MAX)
    }

    /// Sets the refresh token of a new sign-in, for the next [`id_token`](Self::id_token). Nothing
    /// changes if this token is already set.
    ///
    /// The cached ID token is dropped, because it may belong to another user. A stored refresh
    /// token of an earlier sign-in is removed. The new token is only stored after a rotation. If
    /// the app client does not rotate, your program must keep the token itself.
    ///
    /// The cached credentials of a provider do not change. If another user has signed in, call
    /// [`expire`](crate::CognitoIdentityCredentials::expire). With
    /// [`persist_credentials`](crate::Builder::persist_credentials), build another provider with
    /// another `login_id` for the other user: one login ID means one user.
    ///
    /// It never uses the network, but waits for the storage.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), if the text cannot be a refresh token. Nothing changes
    /// then.
    pub fn set_refresh_token(&self, token: impl Into<String>) -> Result<(), Error> {
        let token = Secret::new(token);
        if let Some(fault) = cognito_idp::refresh_token_fault(token.expose()) {
            return Err(Error::config("refresh_token", fault));
        }
        let given = RefreshToken::given(token, self.0.key.as_str())?;
        self.0.start_sign_in(Some(given));
        Ok(())
    }

    /// Signs the user out of this program: forgets the refresh token and the cached ID token, and
    /// removes the stored refresh token.
    ///
    /// After that, there is no refresh token until [`set_refresh_token`](Self::set_refresh_token),
    /// even if another process stores one. A `UserPoolTokens` that is built later without a refresh
    /// token reads the storage. It finds a token if the removal failed, which is logged (warn), or
    /// if another process is still signed in.
    ///
    /// Two things stay valid:
    ///
    /// * The tokens, at the user pool, until they expire. The user pool is not contacted.
    /// * The credentials of a provider, cached and [stored](crate::Builder::persist_credentials).
    ///   Call its [`clear_cached_id`](crate::CognitoIdentityCredentials::clear_cached_id) and
    ///   [`expire`](crate::CognitoIdentityCredentials::expire), so that no other process uses them.
    ///
    /// It never uses the network, but waits for the storage.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, UserPoolTokens};
    /// # use cognito_identity_credentials::testing::FakeCognito;
    /// # let cognito = FakeCognito::new();
    /// # let tokens = UserPoolTokens::builder()
    /// #     .user_pool_id(FakeCognito::USER_POOL_ID).client_id(FakeCognito::CLIENT_ID)
    /// #     .refresh_token(cognito.sign_in("ann")).transport(cognito.clone()).build()?;
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).login_from_user_pool(&tokens)
    /// #     .transport(cognito.clone()).build()?;
    /// credentials.get()?; // Ann's
    ///
    /// tokens.forget_refresh_token();
    /// credentials.clear_cached_id();
    /// credentials.expire();
    /// assert!(credentials.get().unwrap_err().needs_sign_in());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn forget_refresh_token(&self) {
        self.0.start_sign_in(None);
    }

    /// Returns the last failure of the [storage](UserPoolTokensBuilder::storage). Returns `None` if
    /// a later operation of the same kind succeeded, or if there is no storage. The error has the
    /// kind [`Storage`](crate::ErrorKind::Storage). It never blocks.
    ///
    /// If the newest refresh token could not be stored, the user must sign in again after a restart
    /// of the program. Each later [`id_token`](Self::id_token) tries to store it again.
    ///
    /// ```
    /// use cognito_identity_credentials::UserPoolTokens;
    ///
    /// fn warn(tokens: &UserPoolTokens) {
    ///     if let Some(error) = tokens.storage_error() {
    ///         eprintln!("a restart may need a new sign-in: {error:#}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn storage_error(&self) -> Option<Error> {
        self.0.store.as_ref()?.record.storage_error()
    }

    fn id_token_within(&self, limit: Duration) -> Result<String, Error> {
        self.0.retry_store();
        Ok(self.0.cell.get(limit, |input| self.0.refresh(input), None)?.expose().to_owned())
    }
}

impl TokenSource for UserPoolTokens {
    fn token(&self) -> Result<String, BoxError> {
        Ok(self.id_token()?)
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        Ok(self.id_token_within(limit)?)
    }

    fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
        self.0.cell.invalidate(|cached| cached.expose() == refused);
        self.token_within(limit)
    }
}

impl TokenRefresher {
    fn refresh(&self, input: &RefreshInput<SignInState>) -> Result<Refreshed<Secret>, Error> {
        let sign_in = &input.settings;
        // If the answer to a rotation is lost, the token that was sent may be useless soon. So a
        // rotation always has the full time, even if the cached token is valid or the caller has a
        // limit.
        let rotation = self.cell.full_budget();
        if sign_in.rotates {
            return self.rotate(input, &rotation);
        }
        let (current, _) = self.current_token(sign_in)?;
        if sign_in.given.as_ref().is_none_or(|given| given.token != current.token) {
            return self.rotate(input, &rotation);
        }
        // A user pool that rotates tokens only accepts the other operation. Try both, unless it is
        // known that it rotates.
        let (client, refresh_token) = (&self.app, &current.token);
        match self.client.call(&self.url, &InitiateAuth { client, refresh_token }, &input.budget) {
            Err(error) if error.refusal() == Refusal::AuthFlowDisabled => {
                log::debug!("the app client may rotate refresh tokens; trying that");
                self.rotate(input, &rotation)
            }
            Err(error) if input.budget.allows_recovery() && error.needs_sign_in() => {
                // Another process with this storage may have rotated the token.
                match self.newer(sign_in, &current)? {
                    Some(_) => self.rotate(input, &rotation),
                    None => Err(error),
                }
            }
            answer => self.accept(input.epoch, current, StoredIn::Nothing, answer?),
        }
    }

    /// Refreshes with the operation that can return a new refresh token. The lock keeps other
    /// processes from sending the same token until the new one is stored.
    fn rotate(
        &self,
        input: &RefreshInput<SignInState>,
        budget: &Budget,
    ) -> Result<Refreshed<Secret>, Error> {
        let sign_in = &input.settings;
        let left = self.client.left(budget);
        let _lock = self.store.as_ref().and_then(|store| store.record.lock(left / 2));
        let client = &self.app;
        let send = |token: &RefreshToken| {
            let operation = GetTokensFromRefreshToken { client, refresh_token: &token.token };
            self.client.call(&self.url, &operation, budget)
        };
        let (current, stored_in) = self.current_token(sign_in)?;
        match send(&current) {
            Err(error) if error.needs_sign_in() => {
                // If the storage has no locks, another process may have rotated it first.
                let Some((newer, stored_in)) = self.newer(sign_in, &current)? else {
                    return Err(error);
                };
                let answer = send(&newer)?;
                let replaced = self.cell.update_if_same_settings(input.epoch, |sign_in| {
                    sign_in.store_state = StoreState::Stored;
                    sign_in.current.replace(newer.clone())
                });
                drop(replaced);
                self.accept(input.epoch, newer, stored_in, answer)
            }
            answer => self.accept(input.epoch, current, stored_in, answer?),
        }
    }

    fn accept(
        &self,
        epoch: Epoch,
        mut refresh_token: RefreshToken,
        stored_in: StoredIn,
        answer: ServiceResponse<AuthOutput>,
    ) -> Result<Refreshed<Secret>, Error> {
        let ServiceResponse { operation, output, times, metadata } = answer;
        let mut issued = match output {
            AuthOutput::Tokens(issued) => issued,
            AuthOutput::Challenge(name) => {
                return Err(Error::challenge(operation, metadata, &name));
            }
        };
        // Store the new refresh token first: the old one ends, and a later step can fail.
        let rotated = issued.refresh_token.take();
        if let Some(rotated) = rotated.filter(|token| *token != refresh_token.token) {
            refresh_token.token = rotated;
            self.save_rotated(epoch, &refresh_token, stored_in != StoredIn::Nothing);
        } else if stored_in == StoredIn::Version1 {
            self.save_rotated(epoch, &refresh_token, true);
        }
        let id_token = match issued.id_token {
            Ok(token) => token,
            Err(DecodeError(fault)) => return Err(Error::response(operation, metadata, fault)),
        };
        // Counted on the clock of the service, from the time when the request was sent.
        let lifetime = match cognito_idp::expiration(id_token.expose()) {
            Some(end) => Some(times.life_until(end).unwrap_or_default()),
            None => issued.expires_in,
        };
        let Some(lifetime) = lifetime else {
            let what = "the answer's IdToken does not say when it ends, and ExpiresIn is missing";
            return Err(Error::response(operation, metadata, what));
        };
        if lifetime.is_zero() {
            let what = "the ID token had already expired when it was issued";
            return Err(Error::expired(operation, metadata, what));
        }
        let lease = Lease::new(times.sent.boot, times.sent.wall, lifetime.min(MAX_LIFETIME));
        Ok(Refreshed { value: id_token, lease, from_storage: false, early_error: None })
    }

    /// Returns the refresh token to send, and where it is stored. The stored token is the latest
    /// one: every rotation is stored, and another process may have made the last one. The exception
    /// is a rotation of this process that could not be stored.
    fn current_token(&self, sign_in: &SignInState) -> Result<(RefreshToken, StoredIn), Error> {
        let unknown = "no refresh token is known: the user has to sign in";
        if sign_in.signed_out {
            return Err(Error::sign_in(unknown));
        }
        if sign_in.store_state != StoreState::Stored {
            if let Some(unsaved) = &sign_in.current {
                return Ok((unsaved.clone(), StoredIn::Nothing));
            }
        }
        let stored = self.stored(sign_in);
        if let Ok(Some(stored)) = stored {
            return Ok(stored);
        }
        match (sign_in.current.as_ref().or(sign_in.given.as_ref()), stored) {
            (Some(known), _) => Ok((known.clone(), StoredIn::Nothing)),
            // The user need not sign in: the storage may work again later.
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(Error::sign_in(unknown)),
        }
    }

    fn stored(&self, sign_in: &SignInState) -> Result<Option<(RefreshToken, StoredIn)>, Error> {
        let Some(store) = &self.store else { return Ok(None) };
        store.load(sign_in.given.as_ref())
    }

    /// Returns the token that another process has stored after the rejected one. The error means
    /// that the storage cannot be read, so the user need not sign in yet.
    fn newer(
        &self,
        sign_in: &SignInState,
        rejected: &RefreshToken,
    ) -> Result<Option<(RefreshToken, StoredIn)>, Error> {
        Ok(self.stored(sign_in)?.filter(|(stored, _)| stored.token != rejected.token))
    }

    /// Saves the token of a rotation, unless the user has signed in again in the meantime.
    fn save_rotated(&self, epoch: Epoch, token: &RefreshToken, was_stored: bool) {
        let old = self.cell.update_if_same_settings(epoch, |sign_in| {
            sign_in.rotates = true;
            sign_in.was_stored |= was_stored;
            sign_in.issued_to = process::id();
            sign_in.store_state = StoreState::Writing;
            (sign_in.current.replace(token.clone()), sign_in.was_stored)
        });
        let (Some((_, was_stored)), Some(store)) = (old, &self.store) else { return };
        if let Err(error) = self.store_latest(store, epoch, token.clone(), was_stored) {
            log::warn!("{error:#}; after a restart the user must sign in again");
        }
    }

    fn retry_store(&self) {
        let Some(store) = &self.store else { return };
        let (epoch, _) = self.cell.settings_with_epoch();
        let unsaved = self.cell.update_if_same_settings(epoch, |sign_in| {
            if sign_in.store_state != StoreState::Failed || sign_in.issued_to != process::id() {
                return None;
            }
            // This stops a second write: by another thread, or by a storage that requests a token.
            sign_in.store_state = StoreState::Writing;
            Some((sign_in.current.clone()?, sign_in.was_stored))
        });
        let Some(Some((token, was_stored))) = unsaved else { return };
        match self.store_latest(store, epoch, token, was_stored) {
            Ok(()) => log::debug!("the rotated refresh token is stored after all"),
            Err(error) => log::debug!("the rotated refresh token is still not stored: {error:#}"),
        }
    }

    /// Stores `token`. If there was another rotation in the meantime, stores the latest token too,
    /// because the two writes may have reached the storage in either order.
    fn store_latest(
        &self,
        store: &TokenStore,
        epoch: Epoch,
        mut token: RefreshToken,
        mut was_stored: bool,
    ) -> Result<(), Error> {
        loop {
            let saved = store.save(&token, was_stored);
            was_stored |= saved.is_ok();
            let latest = self.cell.update_if_same_settings(epoch, |sign_in| {
                sign_in.was_stored |= was_stored;
                let latest = sign_in.current.clone().filter(|latest| *latest != token);
                sign_in.store_state = match (&latest, &saved) {
                    (Some(_), _) => StoreState::Writing,
                    (None, Ok(())) => StoreState::Stored,
                    (None, Err(_)) => StoreState::Failed,
                };
                latest
            });
            match latest {
                Some(Some(latest)) => token = latest,
                Some(None) => return saved,
                None => {
                    // The user has signed in again during the write, so this token must not stay
                    // stored.
                    store.remove_if(|stored| *stored == token);
                    return Ok(());
                }
            }
        }
    }

    /// Starts a new sign-in, or signs out if `given` is `None`.
    fn start_sign_in(&self, given: Option<RefreshToken>) {
        let sign_in_digest = given.as_ref().map(|given| given.sign_in_digest.clone());
        let signed_out = given.is_none();
        let old = self.cell.change_settings(|sign_in| {
            let changed = signed_out || sign_in.given != given;
            let rotates = sign_in.rotates;
            let next = SignInState { given, rotates, signed_out, ..SignInState::default() };
            (changed, changed.then(|| mem::replace(sign_in, next)))
        });
        if old.is_none() {
            return;
        }
        drop(old);
        self.cell.expire();
        match (&self.store, sign_in_digest) {
            (None, _) => {}
            // This also removes a record that cannot be read.
            (Some(store), None) => drop(store.record.remove()),
            (Some(store), Some(sign_in_digest)) => {
                store.remove_if(|stored| stored.sign_in_digest != sign_in_digest);
            }
        }
    }
}

impl fmt::Debug for UserPoolTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign_in = self.0.cell.settings();
        let refresh_token = sign_in.current.or(sign_in.given).map(|token| token.token);
        f.debug_struct("UserPoolTokens")
            .field("user_pool_id", &self.0.pool.as_str())
            .field("refresh_token", &refresh_token)
            .field("id_token", &self.0.cell.cached())
            .finish_non_exhaustive()
    }
}
