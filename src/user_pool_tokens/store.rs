//! The stored refresh token of one user, if the user pool rotates refresh tokens.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::refresh_token::RefreshToken;
use crate::error::Error;
use crate::secret::Secret;
use crate::service::protocol::aws_json;
use crate::storage::{
    ParsedRecord, RECORD_VERSION, RecordKey, RecordStore, Storage, StorageLock, VERSION_1_JSON,
};

pub(super) struct TokenStore(RecordStore);

/// Whether a refresh token is known to be stored, and in which version of the record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredIn {
    Nothing,
    /// The record must be written again, in the current version.
    Version1,
    CurrentVersion,
}

#[derive(Serialize)]
struct Record<'a> {
    version: u32,
    key: &'a str,
    given: &'a str,
    refresh_token: &'a str,
}

impl TokenStore {
    pub(super) fn new(storage: Arc<dyn Storage>, key: RecordKey) -> Self {
        Self(RecordStore::new(storage, key, "refresh token"))
    }

    /// Loads the token if it belongs to this sign-in. Loads any token if `sign_in_digest` is
    /// `None`.
    pub(super) fn load(
        &self,
        sign_in_digest: Option<&Secret>,
    ) -> Result<Option<(RefreshToken, StoredIn)>, Error> {
        let stored = self.read()?;
        let is_own = |digest: &Secret| sign_in_digest.is_none_or(|own| own == digest);
        Ok(stored.filter(|(stored, _)| is_own(&stored.sign_in_digest)))
    }

    /// Stores a token. `was_stored` means that a token of the same sign-in was stored before. Then
    /// a stored token of another sign-in is newer, and stays. A record that cannot be read also
    /// stays, because it may be newer.
    pub(super) fn save(&self, token: &RefreshToken, was_stored: bool) -> Result<(), Error> {
        let stored = self.read()?;
        if was_stored
            && stored.is_some_and(|(stored, _)| stored.sign_in_digest != token.sign_in_digest)
        {
            log::warn!(
                "another sign-in has replaced the stored refresh token; the token of this sign-in is only kept in memory"
            );
            return Ok(());
        }
        let (given, refresh_token) = (token.sign_in_digest.expose(), token.token.expose());
        let (version, key) = (RECORD_VERSION, self.0.key());
        self.0.store(&aws_json::encode(&Record { version, key, given, refresh_token })?)
    }

    pub(super) fn remove_if(&self, matches: impl FnOnce(&RefreshToken) -> bool) {
        if self.read().is_ok_and(|stored| stored.is_some_and(|(stored, _)| matches(&stored))) {
            self.remove();
        }
    }

    pub(super) fn remove(&self) {
        self.0.remove();
    }

    /// Keeps other processes from sending the same token. Returns `None` if there is no lock within
    /// `wait`.
    pub(super) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        self.0.lock(wait)
    }

    pub(super) fn storage_error(&self) -> Option<Error> {
        self.0.storage_error()
    }

    fn read(&self) -> Result<Option<(RefreshToken, StoredIn)>, Error> {
        self.0.load(parse)
    }
}

fn parse(record: &[u8]) -> Option<ParsedRecord<'_, (RefreshToken, StoredIn)>> {
    let text = std::str::from_utf8(record).ok()?;
    let names = ["version", "key", "given", "refresh_token"];
    let [version, key, sign_in_digest, token] =
        aws_json::members("the record", text, names).ok()?;
    let content = || {
        let sign_in_digest = aws_json::string(sign_in_digest?)?.into();
        // The service decides what else a token must look like.
        let token = aws_json::string(token?).filter(|token| !token.is_empty())?.into();
        let is_version_1 = version == Some(VERSION_1_JSON);
        let record = if is_version_1 { StoredIn::Version1 } else { StoredIn::CurrentVersion };
        Some((RefreshToken { token, sign_in_digest }, record))
    };
    Some(ParsedRecord { version, key: key.and_then(aws_json::string), content: content() })
}
