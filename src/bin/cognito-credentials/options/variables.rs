//! The environment variables that the command reads itself.

use std::env;
use std::ffi::OsString;

use crate::messages::failure::Failure;

/// Returns the text of a variable. `None` if the variable is not set or empty.
pub(crate) fn text(variable: &str) -> Result<Option<String>, Failure> {
    match env::var_os(variable).filter(|value| !value.is_empty()).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Failure::usage(format!("{variable}: is not UTF-8"))),
    }
}

pub(crate) fn is_on(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Returns the variables for endpoint URLs. Returns none if `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`
/// is true. If its value is malformed, the library reports it.
pub(crate) fn endpoint_variables<'a>(names: &'a [&'a str]) -> &'a [&'a str] {
    if is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") { &[] } else { names }
}
