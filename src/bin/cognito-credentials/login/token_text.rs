//! [`token_in`]: the library's own check, so that secrets from all sources follow the same rules.

#[path = "../../../token_text.rs"]
mod of_library;

pub(crate) use of_library::token_in;
