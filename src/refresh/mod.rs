//! One refresh, from login tokens to credentials, and what to do about an identity or a login that
//! the service refuses.

pub(crate) mod credential_record;
pub(crate) mod identity;
pub(crate) mod stored_credentials;

use std::sync::Arc;
use std::time::SystemTime;

use self::identity::{Identity, IdentityStore, StoreOutcome};
use crate::cell::lease::{LONGEST_LIFETIME, Lease};
use crate::credentials::{Credentials, ResponseData};
use crate::developer::{DeveloperIdentity, DeveloperIdentityProvider};
use crate::error::{Error, Refusal, ResponseMetadata};
use crate::logins::{Logins, Tokens};
use crate::service::client::{Client, ServiceResponse};
use crate::service::cognito_identity::{GetCredentialsForIdentity, GetId, GetOpenIdToken, Id};
use crate::service::protocol::Operation;
use crate::service::retry::Budget;
use crate::service::sts::{AssumeRoleWithWebIdentity, RoleRequest};

pub use self::identity::{IdentityChange, IdentityChangeReason, IdentityOrigin};

/// The part of the settings that does not change.
pub(crate) struct Flow {
    pub(crate) client: Client,
    pub(crate) cognito_url: String,
    /// The region that identities must be of; `None` for emulators, which do not keep to that.
    pub(crate) region: Option<String>,
    pub(crate) pool: Option<Id>,
    pub(crate) account_id: Option<String>,
    pub(crate) exchange: Exchange,
    pub(crate) developer: Option<Developer>,
    pub(crate) store: Option<IdentityStore>,
    pub(crate) allow_new_guest: bool,
}

/// How an identity becomes credentials.
pub(crate) enum Exchange {
    Enhanced { custom_role_arn: Option<String> },
    Classic { flow: ClassicFlow, sts_url: String, role: RoleRequest },
}

/// The classic flow as a value. Setting a role is all that makes one, so a program that sets none is
/// linked without STS and its XML.
#[derive(Clone, Copy)]
pub(crate) struct ClassicFlow(
    fn(&Flow, &mut Run<'_>, &str, &RoleRequest) -> Result<Refreshed, Error>,
);

impl ClassicFlow {
    pub(crate) const fn new() -> Self {
        Self(Flow::classic)
    }
}

/// The maker's backend, and the name under which its tokens are logins.
pub(crate) struct Developer {
    pub(crate) provider: Arc<dyn DeveloperIdentityProvider>,
    pub(crate) login: &'static str,
}

/// Who a refresh is for.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) logins: Arc<Logins>,
    pub(crate) identity: Option<Identity>,
    /// Whether the identity was cleared or refused since the storage was last written: what is there
    /// may be the old one, if it could not be removed.
    pub(crate) storage_cleared: bool,
}

/// What outlives a refresh. It notes nothing any more once the settings have changed.
pub(crate) trait Memory {
    /// Notes which identity is known from now on; `None` clears it. False if that is out of date.
    fn note(&self, identity: Option<&Identity>) -> bool;

    /// What the storage holds is not what was cleared or refused.
    fn trust_storage(&self);

    /// Whether what this refresh brings is still wanted: nothing was changed or called off since.
    fn current(&self) -> bool;

    /// The identity that is known now, whoever noted it.
    fn known(&self) -> Option<Identity>;

    /// Tells the program of a change.
    fn tell(&self, change: IdentityChange);
}

pub(crate) struct Refreshed {
    pub(crate) credentials: Credentials,
    /// `None` if the credentials were stored: this process has seen no answer.
    pub(crate) data: Option<ResponseData>,
    pub(crate) lease: Lease,
}

/// One refresh under way.
struct Run<'a> {
    budget: &'a Budget,
    memory: &'a dyn Memory,
    subject: &'a Subject,
    tokens: Tokens,
    developer: Option<DeveloperIdentity>,
    identity: Option<Identity>,
    /// Whether `GetId` returned the identity in this refresh.
    minted: bool,
    /// The identity that was refused.
    refused: Option<Identity>,
}

/// What may help against an error.
enum Remedy {
    None,
    /// Ask `GetId` for another identity.
    NewIdentity {
        forget: bool,
        ask_sources: bool,
    },
    /// Ask the token sources, or the maker's backend, again.
    NewTokens,
    /// Fetch another OpenID token.
    NewOpenIdToken,
}

impl Flow {
    /// Fetches credentials for `subject`.
    pub(crate) fn refresh(
        &self,
        subject: &Subject,
        budget: &Budget,
        memory: &dyn Memory,
    ) -> Result<Refreshed, Error> {
        let mut run = Run {
            budget,
            memory,
            subject,
            tokens: Tokens::default(),
            developer: None,
            identity: subject.identity.clone(),
            minted: false,
            refused: None,
        };
        self.ask_sources(&mut run, &Tokens::default())?;
        let error = match self.attempt(&mut run) {
            Err(error) if budget.recover => error,
            done => return done,
        };
        match self.remedy(&error, &run) {
            Remedy::None => return Err(error),
            Remedy::NewOpenIdToken => {}
            Remedy::NewTokens => {
                let before = (run.tokens.clone(), run.developer.clone());
                self.ask_sources(&mut run, &before.0)?;
                if before == (run.tokens.clone(), run.developer.clone()) {
                    return Err(error);
                }
            }
            Remedy::NewIdentity { forget, ask_sources } => {
                log::info!("the service refused the identity; asking for another: {error}");
                run.refused = run.identity.take();
                if let (true, Some(refused), Some(store)) =
                    (forget && run.memory.note(None), &run.refused, &self.store)
                {
                    if store.remove_if(&refused.id) {
                        run.memory.trust_storage();
                    }
                }
                if ask_sources {
                    self.ask_sources(&mut run, &Tokens::default())?;
                }
                self.replace(&mut run).inspect_err(|_| {
                    let old = run.refused.as_ref().map(|identity| &identity.id);
                    if forget && run.memory.known().is_none() {
                        memory.tell(IdentityChange::new(old, None, IdentityChangeReason::Cleared));
                    }
                })?;
            }
        }
        self.attempt(&mut run)
    }

    /// The identity that was stored for these logins, if it may be used.
    pub(crate) fn stored(&self, subject: &Subject) -> Option<Identity> {
        let usable = self.developer.is_none() && !subject.storage_cleared;
        let store = self.store.as_ref().filter(|_| usable)?;
        let id = store.load(subject.logins.providers()).filter(|id| self.is_of_region(id))?;
        Some(Identity::new(id, IdentityOrigin::Stored))
    }

    /// Another identity in place of the refused one: for a guest the one that another process has
    /// stored meanwhile, else from `GetId`.
    fn replace(&self, run: &mut Run<'_>) -> Result<(), Error> {
        let refused = run.refused.as_ref().map(|refused| refused.id.clone());
        let stored = self.stored(run.subject).filter(|stored| Some(&stored.id) != refused.as_ref());
        match stored.filter(|_| run.tokens.is_empty()) {
            Some(stored) => {
                self.adopt(run, stored, IdentityChangeReason::Replaced, false);
                Ok(())
            }
            None => self.get_id(run),
        }
    }

    /// The login tokens of now, others than the `refused` ones: from their sources, or from the
    /// maker's backend.
    fn ask_sources(&self, run: &mut Run<'_>, refused: &Tokens) -> Result<(), Error> {
        let Some(developer) = &self.developer else {
            let left = || self.client.left(run.budget);
            run.tokens = run.subject.logins.tokens(refused, left)?;
            return Ok(());
        };
        if run.subject.logins.providers().next().is_some() {
            return Err(Error::config("login: cannot go with developer_identity"));
        }
        let answer = developer.provider.identity().map_err(|source| {
            Error::login("the developer identity provider failed".to_owned(), Some(source))
        })?;
        let id = Id::parse(answer.identity_id()).map_err(|fault| {
            let what = "the developer identity provider returned an identity ID that";
            Error::login(format!("{what} {fault}"), None)
        })?;
        if !self.is_of_region(&id) {
            let what = "the developer identity provider returned an identity ID of another region";
            return Err(Error::login(what.to_owned(), None));
        }
        run.tokens = Tokens::one(developer.login, answer.token().clone())?;
        let identity = Identity::new(id, IdentityOrigin::Developer);
        self.adopt(run, identity, IdentityChangeReason::Given, false);
        run.developer = Some(answer);
        Ok(())
    }

    fn attempt(&self, run: &mut Run<'_>) -> Result<Refreshed, Error> {
        if run.identity.is_none() {
            if let Some(stored) = self.stored(run.subject) {
                run.memory.note(Some(&stored));
                run.identity = Some(stored);
            } else {
                self.get_id(run)?;
            }
        }
        match &self.exchange {
            Exchange::Enhanced { custom_role_arn } => {
                self.enhanced(run, custom_role_arn.as_deref())
            }
            Exchange::Classic { flow, sts_url, role } => (flow.0)(self, run, sts_url, role),
        }
    }

    fn enhanced(
        &self,
        run: &mut Run<'_>,
        custom_role_arn: Option<&str>,
    ) -> Result<Refreshed, Error> {
        let identity = known(run)?;
        let operation = GetCredentialsForIdentity {
            identity_id: &identity.id,
            logins: &run.tokens,
            custom_role_arn,
        };
        let answer = self.client.call(&self.cognito_url, &operation, run.budget)?;
        let name = GetCredentialsForIdentity::NAME;
        let answered = answer.output.identity_id.clone();
        let identity_id = self.confirm(run, name, &answer.info, answered)?.as_str().to_owned();
        let lease = lease(name, &answer, answer.output.expiration)?;
        let issued = answer.output;
        Ok(Refreshed {
            credentials: Credentials::of_identity(
                identity_id.clone(),
                issued.access_key_id,
                issued.secret_key,
                issued.session_token,
                issued.expiration,
            ),
            data: Some(ResponseData { identity_id, ..ResponseData::default() }),
            lease,
        })
    }

    fn classic(
        &self,
        run: &mut Run<'_>,
        sts_url: &str,
        role: &RoleRequest,
    ) -> Result<Refreshed, Error> {
        let identity = known(run)?;
        let (token, id) = if let Some(developer) = &run.developer {
            (developer.token().clone(), identity.id)
        } else {
            let operation = GetOpenIdToken { identity_id: &identity.id, logins: &run.tokens };
            let answer = self.client.call(&self.cognito_url, &operation, run.budget)?;
            let answered = answer.output.identity_id;
            let id = self.confirm(run, GetOpenIdToken::NAME, &answer.info, answered)?;
            (answer.output.token, id)
        };
        let operation =
            AssumeRoleWithWebIdentity { role, web_identity_token: &token, identity_id: &id };
        let answer = self.client.call(sts_url, &operation, run.budget)?;
        let lease = lease(AssumeRoleWithWebIdentity::NAME, &answer, answer.output.expiration)?;
        let issued = answer.output;
        let identity_id = id.as_str().to_owned();
        Ok(Refreshed {
            credentials: Credentials::of_identity(
                identity_id.clone(),
                issued.access_key_id,
                issued.secret_access_key,
                issued.session_token,
                issued.expiration,
            ),
            data: Some(ResponseData {
                identity_id,
                assumed_role_arn: issued.user_arn,
                assumed_role_id: issued.user_id,
                subject_from_web_identity_token: issued.subject_from_web_identity_token,
                audience: issued.audience,
                provider: issued.provider,
                packed_policy_size: issued.packed_policy_size,
                source_identity: issued.source_identity,
            }),
            lease,
        })
    }

    fn get_id(&self, run: &mut Run<'_>) -> Result<(), Error> {
        let Some(pool) = &self.pool else {
            return Err(Error::identity_unknown(
                "no identity ID is known, and without identity_pool_id none can be asked for",
            ));
        };
        let guest = run.tokens.is_empty();
        if guest && !self.allow_new_guest {
            return Err(Error::identity_unknown(
                "no identity ID is known, and allow_new_guest(false) forbids asking for a new guest",
            ));
        }
        let account_id = self.account_id.as_deref();
        let refused = run.refused.as_ref().map(|identity| &identity.id);
        let operation = GetId { identity_pool_id: pool, account_id, logins: &run.tokens, refused };
        let answer = self.client.call(&self.cognito_url, &operation, run.budget)?;
        let id = self.checked(GetId::NAME, &answer.info, answer.output)?;
        let reason = match run.refused {
            Some(_) => IdentityChangeReason::Replaced,
            None => IdentityChangeReason::Minted,
        };
        run.minted = true;
        // A guest is stored at once: a device that crashes before it has credentials must not mint
        // again and again.
        self.adopt(run, Identity::new(id, IdentityOrigin::Minted), reason, guest);
        Ok(())
    }

    /// The service has accepted the identity, perhaps as another one: it is the one from now on.
    fn confirm(
        &self,
        run: &mut Run<'_>,
        operation: &'static str,
        info: &ResponseMetadata,
        answered: Option<Id>,
    ) -> Result<Id, Error> {
        let identity = known(run)?;
        let answered = answered.map(|id| self.checked(operation, info, id)).transpose()?;
        if let Some(id) = answered.filter(|id| *id != identity.id) {
            log::info!("the service merged the identity into another one");
            let merged = Identity { id, origin: IdentityOrigin::Merged, given: identity.given };
            self.adopt(run, merged, IdentityChangeReason::Merged, true);
        } else {
            self.keep(run);
        }
        Ok(known(run)?.id)
    }

    /// An ID that the service hands us is checked like one from the program.
    fn checked(
        &self,
        operation: &'static str,
        info: &ResponseMetadata,
        id: Id,
    ) -> Result<Id, Error> {
        if self.is_of_region(&id) {
            return Ok(id);
        }
        let what = "the answer's IdentityId is of another region than the identity pool";
        Err(Error::response(operation, info.clone(), what))
    }

    pub(crate) fn is_of_region(&self, id: &Id) -> bool {
        self.region.as_deref().is_none_or(|region| id.region() == region)
    }

    /// Makes an identity the known one, keeps it if that is due, and then tells of it if it is another
    /// than before: a listener that fails must not cost the identity.
    fn adopt(
        &self,
        run: &mut Run<'_>,
        identity: Identity,
        reason: IdentityChangeReason,
        keep: bool,
    ) {
        let before = run.refused.take().or_else(|| run.identity.take());
        let current = run.memory.note(Some(&identity));
        let (old, new) = (before.map(|identity| identity.id), identity.id.clone());
        run.identity = Some(identity);
        if keep {
            self.keep(run);
        }
        if current && old.as_ref() != Some(&new) {
            run.memory.tell(IdentityChange::new(old.as_ref(), Some(&new), reason));
        }
    }

    /// Stores the identity, unless the settings have changed meanwhile. One that the maker's backend
    /// names is not stored: the backend is asked each time.
    fn keep(&self, run: &Run<'_>) {
        let (Some(store), Some(identity), None) = (&self.store, &run.identity, &self.developer)
        else {
            return;
        };
        if !run.memory.note(Some(identity)) {
            return;
        }
        let saved = store.save(&identity.id, run.tokens.iter().map(|(provider, _)| provider));
        if matches!(saved, StoreOutcome::Written | StoreOutcome::Unchanged) {
            run.memory.trust_storage();
        }
        // Cleared while it was being written: it must not come back.
        if matches!(saved, StoreOutcome::Written | StoreOutcome::Failed)
            && run.memory.known().is_none()
        {
            store.remove();
        }
    }

    /// At most one remedy is tried in a refresh. What is not known to help is left alone: a wrong
    /// guess would cost the device its identity.
    fn remedy(&self, error: &Error, run: &Run<'_>) -> Remedy {
        use Refusal::{
            IdentityForbidden, IdentityNotFound, LoginsMismatch, OpenIdTokenRejected, TokenExpired,
            TokenInvalid,
        };
        let guest = run.tokens.is_empty();
        let replaceable =
            self.pool.is_some() && run.identity.as_ref().is_some_and(|identity| !identity.given);
        let developer = run.developer.is_some();
        match error.refusal() {
            IdentityForbidden | IdentityNotFound | TokenExpired | TokenInvalid
            | OpenIdTokenRejected
                if developer =>
            {
                Remedy::NewTokens
            }
            IdentityForbidden | IdentityNotFound if replaceable && guest => {
                if self.allow_new_guest {
                    Remedy::NewIdentity { forget: true, ask_sources: false }
                } else {
                    Remedy::None
                }
            }
            IdentityForbidden | IdentityNotFound if replaceable => {
                Remedy::NewIdentity { forget: false, ask_sources: true }
            }
            LoginsMismatch if replaceable && !guest && !run.minted => {
                Remedy::NewIdentity { forget: true, ask_sources: false }
            }
            TokenExpired | TokenInvalid if !guest => Remedy::NewTokens,
            OpenIdTokenRejected if error.operation() == Some(AssumeRoleWithWebIdentity::NAME) => {
                Remedy::NewOpenIdToken
            }
            _ => Remedy::None,
        }
    }
}

fn known(run: &Run<'_>) -> Result<Identity, Error> {
    run.identity.clone().ok_or_else(|| Error::identity_unknown("no identity ID is known"))
}

/// The life of the credentials on the service's own clock, counted from before they were asked for.
fn lease<T>(
    operation: &'static str,
    answer: &ServiceResponse<T>,
    expiration: SystemTime,
) -> Result<Lease, Error> {
    match expiration.duration_since(answer.date) {
        Ok(lifetime) if !lifetime.is_zero() => {
            let ServiceResponse { sent, .. } = answer;
            Ok(Lease::new(sent.boot, sent.wall, lifetime.min(LONGEST_LIFETIME)))
        }
        _ => Err(Error::expired(
            operation,
            answer.info.clone(),
            "the credentials had already expired when they were issued",
        )),
    }
}
