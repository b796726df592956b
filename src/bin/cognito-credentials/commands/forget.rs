//! The command `forget`: removes the records of one user, or of all users.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use cognito_identity_credentials::Storage;

use crate::cache::{self, Cache};
use crate::commands::offline;
use crate::commands::output;
use crate::messages::display;
use crate::messages::failure::{Failure, REFUSED};
use crate::options::arguments::Options;
use crate::settings::Settings;

/// Removes and prints all records of the user in the pool. Lock files stay, because another process
/// may hold a lock.
pub(crate) fn forget_user(options: &Options) -> Result<(), Failure> {
    let (settings, _) = offline::provider(options).map_err(offline::without_token)?;
    let Settings { cache: Some(cache), builder, user_pool, .. } = settings else {
        return output::print("nothing was removed: there is no cache\n");
    };
    let keys = RemovedKeys::default();
    builder.storage(keys.clone()).build()?.clear_cached_id();
    if let Some(user_pool) = user_pool {
        user_pool.storage(keys.clone()).build()?.forget_refresh_token();
    }
    let mut removed = Removed::default();
    for key in keys.take() {
        if let Some(user) = key.strip_prefix("identity/") {
            removed.add("the identity", remove(&cache, &key));
            let credentials = format!("credentials/{user}");
            removed.add("the credentials", remove(&cache, &credentials));
            // One record for each role.
            let roles = cache.remove_all(&format!("{credentials}/arn:"));
            removed.add("the credentials", roles.map(|count| count > 0));
        } else if key.starts_with("refresh-token/") {
            removed.add("the refresh token", remove(&cache, &key));
        }
    }
    let directory = cache.path().display().to_string();
    let what = removed.finish(&directory)?;
    let login_id = options.login_id.as_ref().map(|login_id| format!("the login ID {login_id}"));
    let user = login_id.unwrap_or_else(|| display::logins(options));
    output::print(match what {
        None => format!("nothing was stored for {user} in {directory}\n"),
        Some(what) => format!("removed: {what} of {user} in {directory}\n"),
    })
}

/// Removes the records and lock files of all users. It needs no settings.
pub(crate) fn forget_all(options: &Options) -> Result<(), Failure> {
    let Some(cache) = cache::existing(options)? else {
        return output::print("nothing was removed: there is no cache\n");
    };
    let mut count = 0;
    let mut removed = Removed::default();
    for prefix in ["identity/", "credentials/", "refresh-token/"] {
        let records = cache.remove_all(prefix);
        count += *records.as_ref().unwrap_or(&0);
        removed.add("", records.map(|count| count > 0));
        removed.add("", cache.remove_locks(prefix).map(|()| false));
    }
    let directory = cache.path().display().to_string();
    removed.finish(&directory)?;
    output::print(match count {
        0 => format!("nothing was stored in {directory}\n"),
        1 => format!("removed: 1 record in {directory}\n"),
        count => format!("removed: {count} records in {directory}\n"),
    })
}

fn remove(cache: &Cache, key: &str) -> io::Result<bool> {
    let was_stored = cache.contains(key);
    cache.remove(key).map(|()| was_stored.unwrap_or(true))
}

#[derive(Default)]
struct Removed {
    what: Vec<&'static str>,
    failure: Option<io::Error>,
}

impl Removed {
    fn add(&mut self, what: &'static str, outcome: io::Result<bool>) {
        match outcome {
            Ok(true) if !self.what.contains(&what) => self.what.push(what),
            Ok(_) => {}
            Err(error) => drop(self.failure.get_or_insert(error)),
        }
    }

    /// Returns the first failure. All records have been tried before.
    fn finish(self, directory: &str) -> Result<Option<String>, Failure> {
        if let Some(error) = self.failure {
            let message = format!("not everything could be removed from {directory}: {error:#}");
            return Err(Failure::new(REFUSED, message));
        }
        Ok(match &*self.what {
            [] => None,
            [all @ .., last] if !all.is_empty() => Some(format!("{} and {last}", all.join(", "))),
            all => Some(all.concat()),
        })
    }
}

/// Collects the keys that the library removes. Only the library knows how keys are formed.
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
