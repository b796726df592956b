//! Texts for the user.
//!
//! * `failure`: why the command failed, and its exit status
//! * `advice`: what to do about an error of the library
//! * `regions`: the regions that have identity pools, to find a misspelt one
//! * `display`: the printed form of logins, identity IDs and times
//! * `os_error`: which errors of the system are temporary; a file of the library
//! * `origins`: the network settings and the source of each
//! * `printable`: escapes characters that control a terminal
//! * `logger`: the log of the library on standard error
//! * `logging_transport`: each call, for `--verbose`
//! * `steps`: the other steps, for `--verbose`
//! * `time_limit`: how a time limit is shown; a file of the library
//! * `wait_notice`: a line about a long wait, on a terminal

pub(crate) mod advice;
pub(crate) mod display;
pub(crate) mod failure;
pub(crate) mod logger;
pub(crate) mod logging_transport;
pub(crate) mod origins;
pub(crate) mod os_error;
pub(crate) mod printable;
pub(crate) mod regions;
pub(crate) mod steps;
#[path = "../../../time_limit.rs"]
pub(crate) mod time_limit;
pub(crate) mod wait_notice;
