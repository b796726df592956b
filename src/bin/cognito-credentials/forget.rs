//! What is kept, removed: a user's, or everybody's.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use cognito_identity_credentials::{FileStorage, Storage};

use crate::arguments::Options;
use crate::cache;
use crate::failure::{Failure, REFUSED};
use crate::offline;
use crate::settings::Settings;

/// What the keys of all records begin with.
const KINDS: [&str; 3] = ["identity/", "credentials/", "refresh-token/"];

/// How much is left of a record's name that is cut for its length; `~` and a digest follow.
const CUT: usize = 167;

/// All that is kept for the pool and the user. The empty files of the locks stay, for another process
/// may be at one.
pub(crate) fn users(options: &Options) -> Result<(), Failure> {
    let (settings, _) = offline::provider(options).map_err(offline::without_token)?;
    let Settings { cache: Some(directory), pool: Some(pool), login_id, .. } = &settings else {
        return Ok(());
    };
    let end = login_id.as_ref().map(|login_id| format!("/{login_id}")).unwrap_or_default();
    let refresh_token = match &settings.user_pool {
        Some([user_pool, client]) => format!("refresh-token/{user_pool}/{client}{end}"),
        None => String::new(),
    };
    let credentials = format!("credentials/{pool}{end}");
    let (identity, refresh_token) =
        (escaped(&format!("identity/{pool}{end}")), escaped(&refresh_token));
    let (credentials, roles) = (escaped(&credentials), escaped(&format!("{credentials}/arn:")));
    remove(directory, |name| {
        let record = name.split_once('.').map_or(name, |(record, _)| record);
        let all = [&identity, &refresh_token, &credentials];
        !is_lock(name) && (all.iter().any(|of| is(record, of)) || begins(record, &roles))
    })
}

/// Everybody's, and the locks. Needs to know nobody.
pub(crate) fn everybodys(options: &Options) -> Result<(), Failure> {
    let Some(directory) = cache::directory(options)? else { return Ok(()) };
    let kinds = KINDS.map(escaped);
    remove(&directory, |name| kinds.iter().any(|kind| name.starts_with(kind)))
}

/// Removes files by their names, those of writers that died too.
fn remove(directory: &Path, is_one: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let directory = directory.display();
        Failure::new(REFUSED, format!("not everything could be removed from {directory}: {error}"))
    };
    let storage = FileStorage::new(directory);
    // Refuses a directory that is others' too.
    storage.load(cache::TRIAL).map_err(failed)?;
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let mut outcome = Ok(());
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_str().is_some_and(&is_one) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => outcome = Err(failed(error)),
            _ => {}
        }
    }
    // Makes it last.
    storage.remove(cache::TRIAL).map_err(failed)?;
    outcome
}

/// As [`FileStorage`] makes names of keys, before it cuts long ones.
fn escaped(key: &str) -> String {
    let mut name = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

fn is_lock(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "lock")
}

/// Whether the record has this name. A cut name may be another's that begins alike, who then has to
/// ask the service again.
fn is(record: &str, name: &str) -> bool {
    !name.is_empty() && (record == name || cut(record).is_some_and(|cut| name.starts_with(cut)))
}

fn begins(record: &str, name: &str) -> bool {
    record.starts_with(name) || cut(record).is_some_and(|cut| name.starts_with(cut))
}

/// What is left of a name that was cut.
fn cut(record: &str) -> Option<&str> {
    record.split_once('~').map(|(start, _)| start).filter(|start| start.len() == CUT)
}
