//! The command `forget`: removes what is stored for one user, or for all users.

use std::io;
use std::path::Path;

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
    let Settings { cache: Some(directory), pool: Some(pool), login_id, .. } = &settings else {
        return Ok(());
    };
    let storage = FileStorage::new(directory);
    let user = login_id.as_ref().map(|login_id| format!("/{login_id}")).unwrap_or_default();
    let credentials = format!("credentials/{pool}{user}");
    let refresh_token = settings.user_pool.as_ref().map_or(Ok(()), |[user_pool, client]| {
        storage.remove(&format!("refresh-token/{user_pool}/{client}{user}"))
    });
    report(
        directory,
        vec![
            storage.remove(&format!("identity/{pool}{user}")),
            refresh_token,
            storage.remove(&credentials),
            // One record for each role.
            storage.remove_all(&format!("{credentials}/arn:")).map(drop),
        ],
    )
}

/// Removes all records of all users, and the lock files. It needs no settings.
pub(crate) fn forget_all(options: &Options) -> Result<(), Failure> {
    let Some(directory) = cache::directory(options)? else { return Ok(()) };
    let storage = FileStorage::new(&directory);
    let outcomes = ["identity/", "credentials/", "refresh-token/"]
        .map(|prefix| storage.remove_all(prefix).and(storage.remove_locks(prefix)).map(drop));
    report(&directory, outcomes.into())
}

/// Returns the first failure, after everything has been tried.
fn report(directory: &Path, outcomes: Vec<io::Result<()>>) -> Result<(), Failure> {
    outcomes.into_iter().collect::<io::Result<()>>().map_err(|error| {
        let directory = directory.display();
        Failure::new(REFUSED, format!("not everything could be removed from {directory}: {error}"))
    })
}
