//! The library's own file, so that a secret of any source is checked as one in a file is.

#[path = "../../token_text.rs"]
mod of_the_library;

pub(crate) use of_the_library::token_in;
