//! [`InvalidValue`]: why the value of an option is wrong, without the value, which may be a secret.

use std::error::Error;
use std::fmt;

#[derive(Clone, Debug)]
pub(crate) struct InvalidValue {
    pub(crate) reason: String,
    pub(crate) advice: Option<String>,
}

impl InvalidValue {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), advice: None }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for InvalidValue {}
