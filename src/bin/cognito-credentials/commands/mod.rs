//! The commands, except `serve` and `doctor`.
//!
//! * `credentials`: gets the credentials for `process`, `env`, `exec` and `serve`
//! * `output`: `process` and `env`; standard output
//! * `exec`: `exec`
//! * `supervise`: `exec --serve`
//! * `status`: `identity` and `status`
//! * `stored`: the contents of the cache, for `status` and `doctor`
//! * `offline`: a provider that makes no calls
//! * `forget`: `forget`
//! * `shell_files`: `completions`

pub(crate) mod credentials;
pub(crate) mod exec;
pub(crate) mod forget;
pub(crate) mod offline;
pub(crate) mod output;
pub(crate) mod shell_files;
pub(crate) mod status;
pub(crate) mod stored;
#[cfg(unix)]
pub(crate) mod supervise;
