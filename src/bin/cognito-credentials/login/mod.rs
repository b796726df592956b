//! The login tokens of users: their sources and their contents.
//!
//! * `secret_source`: the file, variable or command from which a secret is read
//! * `token_command`: the command that prints a secret
//! * `bounded_file`: other files, read up to a maximal length and within a time limit
//! * `token_text`: the check of a token, a file of the library
//! * `provider_login`: a login of `--login`, and the claims of its token
//! * `user_pool_login`: the login of a user pool, with a refresh token
//! * `login_id`: the login ID for the cache, derived from the logins
//! * `issuer`: the provider name that a login needs for the issuer of its token

pub(crate) mod bounded_file;
pub(crate) mod issuer;
pub(crate) mod login_id;
pub(crate) mod provider_login;
pub(crate) mod secret_source;
pub(crate) mod token_command;
pub(crate) mod user_pool_login;

// This is a file of the library, so that the same rules hold for secrets from all sources.
#[path = "../../../token_text.rs"]
pub(crate) mod token_text;
