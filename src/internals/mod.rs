//! Internals for the benches and fuzz targets of this crate. This is not public API: everything
//! here may change in any version.
//!
//! * `retry_policy.rs` has the default settings and delays (feature `_bench`).
//! * `wire_format.rs` encodes requests and decodes responses (feature `_bench`).
//! * `parsers.rs` has the parsers that only a transport calls (`cfg(fuzzing)`).

#[cfg(all(fuzzing, feature = "ureq"))]
pub mod parsers;
#[cfg(feature = "_bench")]
pub mod retry_policy;
#[cfg(feature = "_bench")]
pub mod wire_format;
