//! The crate from outside: its public API, over real sockets and over the fakes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "tests fail by panicking, and a table of cases is one long function"
)]

mod answers;
mod clocks;
mod identity;
mod layers;
mod secrets;
mod settings;
mod sharing;
mod support;
#[cfg(feature = "ureq")]
mod tls;
mod windows;
#[cfg(feature = "ureq")]
mod wire;
