//! The command `forget`: removes what is stored for one user, or for all users.

use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cognito_identity_credentials::{FileStorage, Storage};

use crate::arguments::Options;
use crate::cache;
use crate::failure::{Failure, REFUSED};
use crate::offline;
use crate::settings::Settings;

/// Removes all records of the pool and the user. Lock files stay, because another process may hold
/// one.
pub(crate) fn forget_user(options: &Options) -> Result<(), Failure> {
    let (settings, _) = offline::provider(options).map_err(offline::without_token)?;
    let Settings { cache: Some(directory), builder, user_pool, .. } = settings else {
        return Ok(());
    };
    let storage = FileStorage::new(&directory);
    let removed = RemovedKeys::default();
    builder.storage(removed.clone()).build()?.clear_cached_id();
    if let Some(user_pool) = user_pool {
        user_pool.storage(removed.clone()).build()?.forget_refresh_token();
    }
    let mut outcomes = Vec::new();
    for key in removed.take() {
        outcomes.push(storage.remove(&key));
        if let Some(user) = key.strip_prefix("identity/") {
            let credentials = format!("credentials/{user}");
            outcomes.push(storage.remove(&credentials));
            // One record for each role.
            outcomes.push(storage.remove_all(&format!("{credentials}/arn:")).map(drop));
        }
    }
    report(&directory, outcomes)
}

/// Removes all records of all users, and the lock files. It needs no settings.
pub(crate) fn forget_all(options: &Options) -> Result<(), Failure> {
    let Some(directory) = cache::directory(options)? else { return Ok(()) };
    let storage = FileStorage::new(&directory);
    let outcomes = ["identity/", "credentials/", "refresh-token/"]
        .map(|prefix| storage.remove_all(prefix).and(storage.remove_locks(prefix)).map(drop));
    report(&directory, outcomes.into())
}

/// Notes the keys that the library removes, because only the library knows how they are made.
#[derive(Clone, Default)]
pub(crate) struct RemovedKeys(Arc<Mutex<Vec<String>>>);

impl RemovedKeys {
    pub(crate) fn take(&self) -> Vec<String> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Storage for RemovedKeys {
    fn load(&self, _: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn store(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
        Ok(())
    }
}

/// Returns the first failure, after everything has been tried.
fn report(directory: &Path, outcomes: Vec<io::Result<()>>) -> Result<(), Failure> {
    outcomes.into_iter().collect::<io::Result<()>>().map_err(|error| {
        let directory = directory.display();
        Failure::new(REFUSED, format!("not everything could be removed from {directory}: {error}"))
    })
}
