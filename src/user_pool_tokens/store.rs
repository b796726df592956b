//! The stored refresh token of a user, if the user pool rotates refresh tokens.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::refresh_token::RefreshToken;
use crate::secret::Secret;
use crate::service::protocol::aws_json;
use crate::storage::{RecordStore, Storage, StorageLock};

/// The version of the record. A record of another version counts as absent.
const VERSION: &str = "1";

/// The stored refresh token of one user.
pub(super) struct TokenStore(RecordStore);

#[derive(Serialize)]
struct Record<'a> {
    version: u32,
    given: &'a str,
    refresh_token: &'a str,
}

impl TokenStore {
    pub(super) fn new(storage: Arc<dyn Storage>, key: String) -> Self {
        let unusable = "is not a record of this version; it counts as absent";
        Self(RecordStore::new(storage, key, "refresh token", unusable))
    }

    /// Loads the token if it descends from `origin`. Without an `origin`, loads any.
    pub(super) fn load(&self, origin: Option<&Secret>) -> Option<RefreshToken> {
        self.read().filter(|stored| origin.is_none_or(|origin| *origin == stored.origin))
    }

    /// Stores a token. `owned`: a token of the same sign-in has been stored before. A stored token
    /// of another sign-in is then newer, and stays.
    pub(super) fn save(&self, link: &RefreshToken, owned: bool) -> Result<(), String> {
        if owned && self.read().is_some_and(|stored| stored.origin != link.origin) {
            log::warn!(
                "another sign-in has replaced the stored refresh token; the token of this sign-in is only kept in memory"
            );
            return Ok(());
        }
        let (given, refresh_token) = (link.origin.expose(), link.token.expose());
        let record = aws_json::encode(&Record { version: 1, given, refresh_token })
            .map_err(|error| error.to_string())?;
        self.0.store(&record).map_err(|error| error.to_string())
    }

    pub(super) fn remove_if(&self, matches: impl FnOnce(&RefreshToken) -> bool) {
        if self.read().is_some_and(|stored| matches(&stored)) {
            self.remove();
        }
    }

    pub(super) fn remove(&self) {
        self.0.remove();
    }

    /// Keeps other processes from sending the same token. `None` without a lock within `wait`.
    pub(super) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        self.0.lock(wait)
    }

    fn read(&self) -> Option<RefreshToken> {
        self.0.load(parse).ok()?
    }
}

fn parse(record: &[u8]) -> Option<RefreshToken> {
    let text = std::str::from_utf8(record).ok()?;
    let names = ["version", "given", "refresh_token"];
    let [version, origin, token] = aws_json::members("the record", text, names).ok()?;
    let (origin, token) = (aws_json::string(origin?)?, aws_json::string(token?)?);
    // A token is not checked further: the service decides what one looks like.
    let usable = version == Some(VERSION) && !token.is_empty();
    usable.then(|| RefreshToken { token: token.into(), origin: origin.into() })
}
