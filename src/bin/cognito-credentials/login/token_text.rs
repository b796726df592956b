//! [`token_in`]: the check of the library, so that the same rules hold for secrets from all
//! sources.

#[path = "../../../token_text.rs"]
mod of_library;

pub(crate) use of_library::token_in;
