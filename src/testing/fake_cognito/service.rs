//! The identity pools of the fake service: identities, logins, credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::request::{ReceivedRequest, RequestBody, STS_OPERATION};
use super::service_error::{ServiceError, invalid, not_authorized, not_found};
use super::sts;
use super::tokens::{LoginTokens, OpenIdTokens};
#[cfg(feature = "user-pool")]
use super::user_pool::{self, UserPool};
use crate::service::cognito_identity::Id;

pub(super) struct ServiceState {
    pub(super) lifetime: Duration,
    /// If set, new credentials end at this time, and `lifetime` has no effect.
    pub(super) expiration: Option<SystemTime>,
    /// Whether guests are allowed, by the ID of the pool.
    pub(super) pools: BTreeMap<String, bool>,
    pub(super) logins: LoginTokens,
    pub(super) identities: BTreeMap<String, FakeIdentity>,
    open_id_tokens: OpenIdTokens,
    /// Makes IDs, keys and tokens unique.
    pub(super) serial: u64,
    #[cfg(feature = "user-pool")]
    pub(super) user_pool: UserPool,
}

pub(super) struct FakeIdentity {
    pool: String,
    owners: Owners,
    pub(super) enabled: bool,
}

/// The provider and the user of each login.
type Owners = BTreeSet<(String, String)>;

impl ServiceState {
    pub(super) fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(3600),
            expiration: None,
            pools: BTreeMap::new(),
            logins: LoginTokens::default(),
            identities: BTreeMap::new(),
            open_id_tokens: OpenIdTokens::default(),
            serial: 0,
            #[cfg(feature = "user-pool")]
            user_pool: UserPool::default(),
        }
    }

    /// Returns the identity ID of a developer's user, and a new token for it.
    pub(super) fn developer_identity(
        &mut self,
        pool_id: &str,
        user: &str,
        now: SystemTime,
    ) -> (String, String) {
        let owners = Owners::from([("developer".to_owned(), user.to_owned())]);
        let existing = self.identities_of(pool_id, &owners).into_iter().next();
        let id = existing.unwrap_or_else(|| self.create_identity(pool_id));
        self.add_owners(&id, owners);
        let token = self.open_id_token(&id, now);
        (id, token)
    }

    pub(super) fn answer(
        &mut self,
        request: &ReceivedRequest,
        now: SystemTime,
    ) -> Result<String, ServiceError> {
        if request.operation() == STS_OPERATION {
            let (tokens, serial) = (&self.open_id_tokens, &mut self.serial);
            return sts::assume_role(request, tokens, serial, self.lifetime, self.expiration, now);
        }
        if let Some(action) = request.form_field("Action") {
            let message = format!("Could not find operation {action} for version 2011-06-15");
            return Err(ServiceError("InvalidAction", message));
        }
        let body = request.body.as_ref().ok_or_else(|| {
            ServiceError("SerializationException", "the request is not an object".to_owned())
        })?;
        if body.logins.len() > 10 {
            return Err(invalid("Logins may have at most 10 entries"));
        }
        let answer = match request.operation() {
            "GetId" => self.get_id(body, now)?,
            "GetCredentialsForIdentity" => {
                let id = self.authenticate(body, now)?;
                self.credentials(&id, now)
            }
            "GetOpenIdToken" => {
                let id = self.authenticate(body, now)?;
                let token = self.open_id_token(&id, now);
                json!({ "IdentityId": id, "Token": token })
            }
            #[cfg(feature = "user-pool")]
            operation if user_pool::OPERATIONS.contains(&operation) => {
                let (serial, logins) = (&mut self.serial, &mut self.logins);
                self.user_pool.refresh_tokens(operation, body, serial, logins, now)?
            }
            _ => return Err(ServiceError("UnknownOperationException", String::new())),
        };
        Ok(answer.to_string())
    }

    fn open_id_token(&mut self, identity_id: &str, now: SystemTime) -> String {
        self.serial += 1;
        self.open_id_tokens.issue(self.serial, identity_id, now)
    }

    fn get_id(&mut self, body: &RequestBody, now: SystemTime) -> Result<Value, ServiceError> {
        let pool_id = checked_id(body.identity_pool_id.as_deref(), "identityPoolId")?;
        let allows_guests = self.allows_guests(pool_id)?;
        if body.logins.is_empty() && !allows_guests {
            return Err(guests_are_off());
        }
        let owners = self.owners(&body.logins, now)?;
        let mut existing = self.identities_of(pool_id, &owners).into_iter();
        let id = existing.next().unwrap_or_else(|| self.create_identity(pool_id));
        for other in existing {
            self.merge(&other, &id);
        }
        self.add_owners(&id, owners);
        Ok(json!({ "IdentityId": id }))
    }

    /// Returns the identity that these logins belong to: the one in the request, or the one that a
    /// login merges it into.
    fn authenticate(
        &mut self,
        body: &RequestBody,
        now: SystemTime,
    ) -> Result<String, ServiceError> {
        let id = checked_id(body.identity_id.as_deref(), "identityId")?;
        let Some(identity) = self.identities.get(id) else {
            return Err(not_found(format!("Identity '{id}' not found.")));
        };
        let pool_id = identity.pool.clone();
        let owners = self.owners(&body.logins, now)?;
        let guest = identity.owners.is_empty();
        if !identity.enabled || (owners.is_empty() && !guest) {
            return Err(not_authorized(format!("Access to Identity '{id}' is forbidden.")));
        }
        if owners.is_empty() && !self.allows_guests(&pool_id)? {
            return Err(guests_are_off());
        }
        if !owners.is_empty() && !guest && identity.owners.is_disjoint(&owners) {
            return Err(not_authorized(
                "Logins don't match. Please include at least one valid login for this identity or identity pool.",
            ));
        }
        let others = self.identities_of(&pool_id, &owners);
        let parent = others.into_iter().find(|other| other != id).unwrap_or_else(|| id.to_owned());
        if parent != id {
            self.merge(id, &parent);
        }
        self.add_owners(&parent, owners);
        Ok(parent)
    }

    fn allows_guests(&self, pool: &str) -> Result<bool, ServiceError> {
        let allowed = self.pools.get(pool).copied();
        allowed.ok_or_else(|| not_found(format!("IdentityPool '{pool}' not found.")))
    }

    /// Returns the provider and the user of each login. For an OpenID token, these are the owners
    /// of its identity.
    fn owners(
        &self,
        logins: &BTreeMap<String, String>,
        now: SystemTime,
    ) -> Result<Owners, ServiceError> {
        let mut owners = Owners::new();
        for (provider, token) in logins {
            if provider.starts_with("cognito-identity") {
                let identity = self.identities.get(self.open_id_tokens.identity(token, now)?);
                owners.extend(identity.into_iter().flat_map(|identity| identity.owners.clone()));
            } else {
                let user = self.logins.user(provider, token, now)?;
                owners.insert((provider.clone(), user.to_owned()));
            }
        }
        Ok(owners)
    }

    /// Returns the enabled identities of a pool that these users own, oldest first.
    fn identities_of(&self, pool: &str, owners: &Owners) -> Vec<String> {
        let theirs = |identity: &FakeIdentity| {
            identity.enabled && identity.pool == pool && !identity.owners.is_disjoint(owners)
        };
        self.identities.iter().filter(|(_, i)| theirs(i)).map(|(id, _)| id.clone()).collect()
    }

    /// The IDs count up, so sorting them sorts by age.
    fn create_identity(&mut self, pool_id: &str) -> String {
        self.serial += 1;
        let region = pool_id.split_once(':').map_or("", |(region, _)| region);
        let id = format!("{region}:00000000-0000-4000-8000-{:012x}", self.serial);
        let pool = pool_id.to_owned();
        let identity = FakeIdentity { pool, owners: Owners::new(), enabled: true };
        self.identities.insert(id.clone(), identity);
        id
    }

    /// Merges the identity of an answer into `parent`, and creates `parent` if it does not exist.
    /// Returns the answer with the ID of `parent`.
    pub(super) fn with_identity(&mut self, answer: String, parent: &str) -> String {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(&answer) else { return answer };
        let new = Value::from(parent);
        let Some(Value::String(child)) = fields.insert("IdentityId".to_owned(), new) else {
            return answer;
        };
        if let Some(pool) = self.identities.get(&child).map(|identity| identity.pool.clone()) {
            let identity = FakeIdentity { pool, owners: Owners::new(), enabled: true };
            self.identities.entry(parent.to_owned()).or_insert(identity);
        }
        if child != parent {
            self.merge(&child, parent);
        }
        Value::Object(fields).to_string()
    }

    fn merge(&mut self, child: &str, parent: &str) {
        let Some(child) = self.identities.get_mut(child) else { return };
        child.enabled = false;
        let owners = std::mem::take(&mut child.owners);
        self.add_owners(parent, owners);
    }

    fn add_owners(&mut self, identity_id: &str, owners: Owners) {
        if let Some(identity) = self.identities.get_mut(identity_id) {
            identity.owners.extend(owners);
        }
    }

    fn credentials(&mut self, identity_id: &str, now: SystemTime) -> Value {
        self.serial += 1;
        let expiration = self.expiration.unwrap_or_else(|| now + self.lifetime);
        let expiration = match expiration.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        json!({
            "IdentityId": identity_id,
            "Credentials": {
                "AccessKeyId": format!("ASIAFAKE{:012}", self.serial),
                "SecretKey": format!("fake/secret/key/{:024}", self.serial),
                "SessionToken": format!("fake+session+token+{}=", self.serial),
                "Expiration": expiration,
            },
        })
    }
}

fn guests_are_off() -> ServiceError {
    not_authorized("Unauthenticated access is not supported for this identity pool.")
}

fn checked_id<'a>(id: Option<&'a str>, field: &str) -> Result<&'a str, ServiceError> {
    match id {
        Some(id) if Id::parse(id).is_ok() => Ok(id),
        _ => Err(invalid(format!(
            "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w-]+:[0-9a-f-]+"
        ))),
    }
}
