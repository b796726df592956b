//! The record of a refresh token that the user pool rotates, and its place in a storage.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use super::refresh_token::RefreshToken;
use crate::secret::Secret;
use crate::service::protocol::aws_json;
use crate::storage::{Storage, StorageLock};

/// The version of the record. One that a later version wrote counts as absent.
const VERSION: &str = "1";

/// The place of one user's refresh token in a [`Storage`].
pub(super) struct TokenStore {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) key: String,
}

#[derive(Serialize)]
struct Record<'a> {
    version: u32,
    given: &'a str,
    refresh_token: &'a str,
}

impl TokenStore {
    /// The stored token, if it descends from the given one. Where none is given, it is used as it is.
    pub(super) fn load(&self, origin: Option<&Secret>) -> Option<RefreshToken> {
        let stored = self.record()?;
        origin.is_none_or(|origin| *origin == stored.origin).then_some(stored)
    }

    /// Stores a token; `owned` if one of the same sign-in has been stored before. What is there of
    /// another sign-in then came later, and stays.
    pub(super) fn save(&self, link: &RefreshToken, owned: bool) -> Result<(), String> {
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

    pub(super) fn remove_if(&self, is_it: impl FnOnce(&RefreshToken) -> bool) {
        if self.record().is_some_and(|stored| is_it(&stored)) {
            self.remove();
        }
    }

    pub(super) fn remove(&self) {
        if let Err(error) = self.storage.remove(&self.key) {
            log::warn!("the stored refresh token could not be removed: {error}");
        }
    }

    /// Keeps other processes from renewing by the same token, if that can be had in time.
    pub(super) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        self.storage.lock(&self.key, wait).unwrap_or_else(|error| {
            log::warn!("the stored refresh token could not be locked: {error}");
            None
        })
    }

    /// What cannot be read as a record of this version counts as absent.
    fn record(&self) -> Option<RefreshToken> {
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

fn parse(record: &[u8]) -> Option<RefreshToken> {
    let text = std::str::from_utf8(record).ok()?;
    let names = ["version", "given", "refresh_token"];
    let [version, origin, token] = aws_json::members("the record", text, names).ok()?;
    let (origin, token) = (aws_json::string(origin?)?, aws_json::string(token?)?);
    // What the service issues is stored as it is, whatever it looks like.
    let sound = version == Some(VERSION) && !token.is_empty();
    sound.then(|| RefreshToken { token: token.into(), origin: origin.into() })
}
