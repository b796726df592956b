//! [`BoundToToken`]: a storage that returns credentials only for the login tokens that they were
//! requested with.
//!
//! The claims of a token say which record belongs to it, and nobody has verified the claims.
//! Anybody can write a text with the same claims, and must not get the credentials. So the record
//! begins with a digest of the tokens.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cognito_identity_credentials::{Storage, StorageLock};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::login::provider_login::ProviderLogin;

const CREDENTIALS: &str = "credentials/";

pub(crate) struct BoundToToken<S> {
    storage: S,
    logins: Vec<Arc<ProviderLogin>>,
}

impl<S> BoundToToken<S> {
    pub(crate) fn new(storage: S, logins: Vec<Arc<ProviderLogin>>) -> Self {
        Self { storage, logins }
    }

    /// Returns the first line of a record. `None` until all tokens have been read.
    fn line(&self) -> Option<String> {
        let mut digest = Sha256::new();
        for login in &self.logins {
            digest.update((login.provider.len() as u64).to_be_bytes());
            digest.update(&login.provider);
            digest.update(login.token_digest()?);
        }
        let mut line = "tokens ".to_owned();
        for byte in digest.finalize() {
            let _ = write!(line, "{byte:02x}");
        }
        line.push('\n');
        Some(line)
    }
}

impl<S: Storage> Storage for BoundToToken<S> {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        if !key.starts_with(CREDENTIALS) {
            return self.storage.load(key);
        }
        let Some(value) = self.storage.load(key)? else { return Ok(None) };
        let mut value = Zeroizing::new(value);
        match self.line() {
            Some(line) if value.starts_with(line.as_bytes()) => {
                value.drain(..line.len());
                Ok(Some(std::mem::take(&mut *value)))
            }
            _ => Ok(None),
        }
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        if !key.starts_with(CREDENTIALS) {
            return self.storage.store(key, value);
        }
        let line = self.line().ok_or_else(|| io::Error::other("no login token was read yet"))?;
        // Allocated once, so that no copy of the secrets is left in memory.
        let mut bound = Zeroizing::new(Vec::with_capacity(line.len() + value.len()));
        bound.extend_from_slice(line.as_bytes());
        bound.extend_from_slice(value);
        self.storage.store(key, &bound)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.storage.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.storage.lock(key, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::secret_source::SecretSource;
    use cognito_identity_credentials::{MemoryStorage, TokenSource as _};

    fn logins(tokens: &[(&str, &str)]) -> Vec<Arc<ProviderLogin>> {
        let login = |(provider, token): &(&str, &str)| {
            let source = SecretSource::Variable("T".to_owned());
            let login = ProviderLogin::already_read(provider, source, token);
            login.token().unwrap();
            Arc::new(login)
        };
        tokens.iter().map(login).collect()
    }

    #[test]
    fn a_record_of_other_tokens_or_without_a_digest_counts_as_absent() {
        let stored_with = [("p", "ann"), ("q", "bob")];
        let others: [&[(&str, &str)]; 6] = [
            &[("p", "bob"), ("q", "ann")],
            &[("q", "bob"), ("p", "ann")],
            &[("p", "ann")],
            &[("p", "ann"), ("q", "bo")],
            &[("p", "ann"), ("q", "bob"), ("r", "")],
            &[("pann", ""), ("q", "bob")],
        ];
        let memory = Arc::new(MemoryStorage::new());
        let key = "credentials/pool/user";
        let with = |tokens: &[_]| BoundToToken::new(Arc::clone(&memory), logins(tokens));
        with(&stored_with).store(key, b"keys").unwrap();
        assert_eq!(with(&stored_with).load(key).unwrap().as_deref(), Some(&b"keys"[..]));
        for tokens in others {
            assert_eq!(with(tokens).load(key).unwrap(), None, "{tokens:?}");
        }
        let storage = with(&stored_with);
        memory.store(key, b"keys").unwrap();
        assert_eq!(storage.load(key).unwrap(), None, "a record of an earlier version");
        storage.store("identity/pool", b"id").unwrap();
        assert_eq!(memory.load("identity/pool").unwrap().as_deref(), Some(&b"id"[..]));
    }

    #[test]
    fn credentials_are_bound_to_the_token_that_was_read_last() {
        let memory = Arc::new(MemoryStorage::new());
        let source = SecretSource::Variable("NO_SUCH_VARIABLE".to_owned());
        let login = Arc::new(ProviderLogin::already_read("p", source, "first"));
        let storage = BoundToToken::new(Arc::clone(&memory), vec![Arc::clone(&login)]);
        assert!(storage.store("credentials/x", b"keys").is_err(), "no token was read");
        login.claims().unwrap();
        storage.store("credentials/x", b"keys").unwrap();
        assert!(login.token().is_ok() && login.token().is_err());
        assert_eq!(storage.load("credentials/x").unwrap().as_deref(), Some(&b"keys"[..]));
    }
}
