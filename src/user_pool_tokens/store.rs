//! A refresh token, and its record in the storage if the user pool rotates refresh tokens.

use std::sync::Arc;

use serde::Serialize;

use crate::error::Error;
use crate::secret::Secret;
use crate::service::cognito_idp;
use crate::service::protocol::aws_json;
use crate::storage::{
    ParsedRecord, RECORD_VERSION, RecordKey, RecordStore, Storage, VERSION_1_JSON,
};

/// A refresh token, and a digest of the token that the program set at the sign-in. After a
/// rotation, the digest stays the same, so it identifies the sign-in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) token: Secret,
    pub(super) sign_in_digest: Secret,
}

/// The stored refresh token of one user.
pub(super) struct TokenStore {
    pub(super) record: RecordStore,
}

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

impl RefreshToken {
    /// The token is the key of the HMAC, so the digest reveals nothing about the token.
    pub(super) fn given(token: Secret, key: &str) -> Result<Self, Error> {
        let sign_in_digest = cognito_idp::hmac(token.expose(), &[key])?;
        Ok(Self { token, sign_in_digest })
    }
}

impl TokenStore {
    pub(super) fn new(storage: Arc<dyn Storage>, key: RecordKey) -> Self {
        Self { record: RecordStore::new(storage, key, "refresh token") }
    }

    /// Loads the token if it belongs to the sign-in of `given`. Loads any token if there is none.
    pub(super) fn load(
        &self,
        given: Option<&RefreshToken>,
    ) -> Result<Option<(RefreshToken, StoredIn)>, Error> {
        let is_own = |stored: &RefreshToken| {
            given.is_none_or(|given| given.sign_in_digest == stored.sign_in_digest)
        };
        Ok(self.read()?.filter(|(stored, _)| is_own(stored)))
    }

    /// Stores a token. `was_stored` means that a token of this sign-in was stored before. If the
    /// record now holds a token of another sign-in, that sign-in is newer, and its record stays. A
    /// record that cannot be read also stays, because it may be newer.
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
        let (version, key) = (RECORD_VERSION, self.record.key());
        self.record.store(&aws_json::encode(&Record { version, key, given, refresh_token })?)
    }

    pub(super) fn remove_if(&self, matches: impl FnOnce(&RefreshToken) -> bool) {
        if self.read().is_ok_and(|stored| stored.is_some_and(|(stored, _)| matches(&stored))) {
            self.record.remove();
        }
    }

    fn read(&self) -> Result<Option<(RefreshToken, StoredIn)>, Error> {
        self.record.load(parse)
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
