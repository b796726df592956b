//! The option that sets each setting of the library.

use std::sync::LazyLock;

use crate::options::arguments;

/// Settings whose option has another name, or that depend on several options.
const OTHERS: [(&str, &str); 2] = [("login_from", "--login"), ("persist_credentials", "the cache")];

/// Returns the option of a setting. If there is none, returns the name of the setting.
pub(crate) fn of_setting(setting: &str) -> &str {
    static OPTIONS: LazyLock<Vec<(String, String)>> = LazyLock::new(options);
    let found = OPTIONS.iter().find(|(name, _)| name == setting);
    found.map_or(setting, |(_, option)| option)
}

fn options() -> Vec<(String, String)> {
    let command = arguments::command();
    let options = command.get_arguments().filter_map(|argument| {
        Some((argument.get_id().to_string(), format!("--{}", argument.get_long()?)))
    });
    options.chain(OTHERS.map(|(setting, option)| (setting.to_owned(), option.to_owned()))).collect()
}
