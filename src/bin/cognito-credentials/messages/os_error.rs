//! [`is_temporary`]: the check of the library, also for its own errors.

#[path = "../../../os_error.rs"]
mod of_library;

use std::error::Error as StdError;

use cognito_identity_credentials::Error;

pub(crate) use of_library::{SystemFault, TEMPORARY_HINT};

/// Returns `true` if the source of a secret or of a file may work later without any change.
pub(crate) fn is_temporary(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_retryable)
        || of_library::is_temporary(error)
}
