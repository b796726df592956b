//! The commands, except `serve` and `doctor`.
//!
//! * `output`: `process` and `env`; standard output
//! * `exec`: `exec`
//! * `supervise`: `exec --serve`
//! * `status`: `identity` and `status`
//! * `kept`: what the cache holds, for `status` and `doctor`
//! * `offline`: a provider without network
//! * `forget`: `forget`
//! * `shell_files`: `completions`

pub(crate) mod exec;
pub(crate) mod forget;
pub(crate) mod kept;
pub(crate) mod offline;
pub(crate) mod output;
pub(crate) mod shell_files;
pub(crate) mod status;
#[cfg(unix)]
pub(crate) mod supervise;
