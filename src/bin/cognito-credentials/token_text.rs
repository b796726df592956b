//! [`token_in`]: the library's own check, so that a secret of any source is checked as one in a file is.

#[path = "../../token_text.rs"]
mod of_library;

pub(crate) use of_library::token_in;
