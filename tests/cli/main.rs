//! The command as a process. It has only the variables and files of its test, and its service is a
//! fake on loopback.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::unchecked_time_subtraction,
    reason = "tests fail by panicking, and a table of cases is one long function"
)]

mod cache_directory;
mod certificates;
mod commands;
mod diagnosis;
mod endpoint;
mod layout;
mod messages;
mod options;
mod programs;
mod refresh;
mod reports;
mod serve;
mod service;
mod special_files;
mod statuses;
mod supervise;
mod threads;
mod token_commands;
mod users;

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/emulator.rs"]
mod emulator;
#[path = "../support/ids.rs"]
mod ids;
#[path = "../support/server.rs"]
mod server;
