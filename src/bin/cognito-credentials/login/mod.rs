//! The tokens of users: where they are read from, and what they say.
//!
//! * `secret_source`: the file, variable or command that a secret is read from
//! * `token_command`: the command that prints a secret
//! * `bounded_file`: other files, read up to a bound and within a time limit
//! * `token_text`: the check of a token, which is the library's
//! * `provider_login`: a login of `--login`, and what its token says
//! * `user_pool_login`: the login of a user pool, with a refresh token
//! * `login_id`: the login ID that is derived from the logins, for the cache
//! * `issuer`: which name a login needs for the issuer of its token

pub(crate) mod bounded_file;
pub(crate) mod issuer;
pub(crate) mod login_id;
pub(crate) mod provider_login;
pub(crate) mod secret_source;
pub(crate) mod token_command;
pub(crate) mod token_text;
pub(crate) mod user_pool_login;
