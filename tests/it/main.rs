//! Tests of the public API, with the fakes and over sockets on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    clippy::large_stack_arrays,
    clippy::type_complexity,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::unchecked_time_subtraction,
    reason = "tests fail by panicking, and a table of cases is one long function"
)]

mod answers;
#[cfg(feature = "aws-sdk")]
mod aws_sdk;
mod classic;
mod clocks;
mod cooldowns;
mod developer;
mod device_transport;
mod documentation;
mod fakes;
mod histories;
mod identity;
mod javascript;
mod javascript_names;
mod layers;
mod log_lines;
mod persisted;
mod pictures;
#[cfg(feature = "ureq")]
mod proxy;
mod public_names;
mod recovery;
mod refresh_reports;
mod refusals;
mod scenarios;
mod secrets;
mod settings;
mod sharing;
mod soak;
mod stale_identities;
mod storages;
mod stored;
mod support;
#[cfg(feature = "ureq")]
mod tls;
#[cfg(feature = "user-pool")]
mod troubleshooting;
#[cfg(unix)]
mod under_fire;
mod unreadable;
#[cfg(feature = "user-pool")]
mod user_pool;
mod windows;
#[cfg(feature = "ureq")]
mod wire;

#[cfg(feature = "ureq")]
#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/recorder.rs"]
mod recorder;
#[path = "../support/server.rs"]
mod server;
