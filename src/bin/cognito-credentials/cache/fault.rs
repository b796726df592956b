//! [`Fault`]: why a directory must not be used as the cache, and what to do about it.

use std::error;
use std::fmt;
use std::io;

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    pub(super) remedy: Option<String>,
    /// Whether the directory, a link to it or the parent of one belongs to another user.
    pub(super) is_of_another_user: bool,
}

#[cfg(unix)]
impl Fault {
    pub(super) fn new(text: String) -> Self {
        Self { text, remedy: None, is_of_another_user: false }
    }

    pub(super) fn of_another_user(what: &str) -> Self {
        let text = format!("{what} belongs to another user");
        Self { text, remedy: None, is_of_another_user: true }
    }

    pub(super) fn with_remedy(self, remedy: Option<String>) -> Self {
        Self { remedy, ..self }
    }
}

impl Fault {
    pub(super) fn in_error(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, fault)
    }
}
