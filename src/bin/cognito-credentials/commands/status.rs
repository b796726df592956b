//! The commands `identity` and `status`: what is known without a call.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cache;
use crate::commands::offline;
use crate::commands::output;
use crate::commands::stored::{CacheState, Stored};
use crate::messages::display;
use crate::messages::failure::{Failure, REFUSED};
use crate::messages::logger;
use crate::options::arguments::Options;

pub(crate) fn identity(options: &Options) -> Result<(), Failure> {
    let (_, credentials) = offline::provider(options).map_err(offline::without_token)?;
    if let Some(id) = credentials.identity_id() {
        return output::print(format!("{id}\n"));
    }
    let advice = if options.no_cache {
        "leave --no-cache out: the identity is read from the cache"
    } else {
        "cognito-credentials process requests one from the service"
    };
    Err(Failure::new(REFUSED, "no identity is known yet").advice(advice))
}

const INDENT: usize = 15;

#[derive(Serialize)]
struct Status {
    version: u8,
    identity_pool_id: Option<String>,
    user: String,
    /// Why the user is unknown, if a login token cannot be read.
    login_error: Option<String>,
    #[serde(flatten)]
    stored: Stored,
}

pub(crate) fn status(options: &Options, json: bool) -> Result<(), Failure> {
    let (identity_pool_id, login_error, stored) = match offline::provider(options) {
        Ok((settings, _)) => {
            logger::silence();
            let stored = Stored::read(options, &settings)?;
            (settings.pool, None, stored)
        }
        Err(failure) if failure.is_of_login => {
            let pool = offline::pool_without_tokens(options)?;
            let cache = cache::existing(options)?;
            let cache = cache.map(|cache| CacheState::new(&cache, None, None));
            (pool, Some(failure.message), Stored { cache, ..Stored::default() })
        }
        Err(failure) => return Err(failure),
    };
    let user = display::logins(options);
    let status = Status { version: 1, identity_pool_id, user, login_error, stored };
    if json { display::print_json(&status) } else { output::print(status.lines()) }
}

impl Status {
    fn lines(&self) -> String {
        let Stored { rotated_refresh_token, cache, .. } = &self.stored;
        let mut lines = String::new();
        let mut line = |what: &str, said: &str| {
            let _ = writeln!(lines, "{what:<14} {}", display::wrapped(said, INDENT));
        };
        line("identity pool", self.identity_pool_id.as_deref().unwrap_or("none given"));
        line("user", &self.user);
        if let Some(error) = &self.login_error {
            let unknown =
                "not found: the token that names the user is missing; --login-id can name the user";
            line("login", error);
            line("identity", unknown);
            line("credentials", unknown);
        } else {
            line("identity", &self.stored.identity());
            line("credentials", &self.stored.credentials());
        }
        if *rotated_refresh_token {
            line("refresh token", "a rotated one is stored");
        }
        let cache = cache.as_ref().map(ToString::to_string);
        line("cache", cache.as_deref().unwrap_or("no cache"));
        lines
    }
}
