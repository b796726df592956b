//! The stored refresh token of a user, if the user pool rotates refresh tokens.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::refresh_token::RefreshToken;
use crate::error::Error;
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

    /// Loads the token if it belongs to this sign-in. Without a `sign_in_digest`, loads any token.
    pub(super) fn load(&self, sign_in_digest: Option<&Secret>) -> Option<RefreshToken> {
        self.read().filter(|stored| sign_in_digest.is_none_or(|own| *own == stored.sign_in_digest))
    }

    /// Stores a token. `was_stored`: a token of the same sign-in has been stored before. A stored token
    /// of another sign-in is then newer, and stays.
    pub(super) fn save(&self, token: &RefreshToken, was_stored: bool) -> Result<(), Error> {
        if was_stored
            && self.read().is_some_and(|stored| stored.sign_in_digest != token.sign_in_digest)
        {
            log::warn!(
                "another sign-in has replaced the stored refresh token; the token of this sign-in is only kept in memory"
            );
            return Ok(());
        }
        let (given, refresh_token) = (token.sign_in_digest.expose(), token.token.expose());
        self.0.store(&aws_json::encode(&Record { version: 1, given, refresh_token })?)
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

    pub(super) fn storage_error(&self) -> Option<Error> {
        self.0.storage_error()
    }

    fn read(&self) -> Option<RefreshToken> {
        self.0.load(parse).ok()?
    }
}

fn parse(record: &[u8]) -> Option<RefreshToken> {
    let text = std::str::from_utf8(record).ok()?;
    let names = ["version", "given", "refresh_token"];
    let [version, sign_in_digest, token] = aws_json::members("the record", text, names).ok()?;
    let (sign_in_digest, token) = (aws_json::string(sign_in_digest?)?, aws_json::string(token?)?);
    // A token is not checked further: the service decides what one looks like.
    let usable = version == Some(VERSION) && !token.is_empty();
    usable.then(|| RefreshToken { token: token.into(), sign_in_digest: sign_in_digest.into() })
}
