//! Faults of settings, and the list of them that becomes an error of kind `Config`.

use std::borrow::Cow;
use std::fmt;

/// Describes one wrong setting: its name, where its value came from, and the rule that it breaks.
///
/// [`Error::config_faults`](crate::Error::config_faults) returns the faults. The text never holds a
/// login token, a password or a secret. [`describe`](Self::describe) lets a program use its own
/// names for the settings, such as the options of a command.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "ureq")] {
/// use cognito_identity_credentials::{CognitoIdentityCredentials, ConfigFault};
///
/// let error = CognitoIdentityCredentials::builder().build().unwrap_err();
/// let fault: &ConfigFault = &error.config_faults()[0];
/// assert_eq!(fault.setting(), "identity_pool_id");
/// assert_eq!(fault.variable(), None); // no environment variable set it
/// assert_eq!(fault.to_string(), "identity_pool_id: not set; set it, or identity_id");
///
/// let option = |setting| match setting {
///     "identity_pool_id" => "--pool",
///     "identity_id" => "--identity",
///     other => other,
/// };
/// assert_eq!(fault.describe(&option), "--pool: not set; set it, or --identity");
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFault {
    setting: &'static str,
    variable: Option<&'static str>,
    /// What is wrong. `{}` stands for the value, `{name}` for the name of another setting.
    rule: Cow<'static, str>,
    /// Replaces `{}`. Braces inside the value have no meaning.
    value: String,
}

impl ConfigFault {
    /// Returns the name of the setting: the method of the builder. If an environment variable
    /// cannot be read, it is the name of the variable. It is empty if the fault belongs to no
    /// setting.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn setting(&self) -> &str {
        self.setting
    }

    /// Returns the environment variable that the value came from, if there is one.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.variable
    }

    /// Returns the text of the fault. For each setting in the text, it calls `name` and shows the
    /// name that `name` returns.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn describe<'a>(&'a self, name: &dyn Fn(&'a str) -> &'a str) -> String {
        let mut text = String::new();
        if let Some(variable) = self.variable {
            text.push_str(variable);
            text.push_str(", ");
        }
        if !self.setting.is_empty() {
            text.push_str(name(self.setting));
            text.push_str(": ");
        }
        let mut rest = &*self.rule;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            text.push_str(if inside.is_empty() { &self.value } else { name(inside) });
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(&|setting| setting))
    }
}

impl fmt::Debug for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigFault({self})")
    }
}

/// Collects every fault of the settings, so that one error reports them all.
#[derive(Default)]
pub(crate) struct ConfigFaults(Vec<ConfigFault>);

impl ConfigFaults {
    pub(crate) fn add(&mut self, setting: &'static str, rule: &'static str) {
        self.push(setting, Cow::Borrowed(rule), String::new());
    }

    pub(crate) fn add_rule(&mut self, setting: &'static str, rule: String) {
        self.push(setting, Cow::Owned(rule), String::new());
    }

    /// `value` replaces `{}` in the rule. It is shown, so it must not be a secret.
    pub(crate) fn add_with_value(&mut self, setting: &'static str, rule: String, value: String) {
        self.push(setting, Cow::Owned(rule), value);
    }

    /// Adds a text that is shown unchanged, even if it has braces.
    pub(crate) fn add_text(&mut self, setting: &'static str, text: String) {
        self.push(setting, Cow::Borrowed("{}"), text);
    }

    fn push(&mut self, setting: &'static str, rule: Cow<'static, str>, value: String) {
        self.0.push(ConfigFault { setting, variable: None, rule, value });
    }

    #[cfg(feature = "ureq")]
    pub(crate) fn add_from_variable(&mut self, faults: &[ConfigFault], variable: &'static str) {
        let variable = Some(variable);
        self.0.extend(faults.iter().map(|fault| ConfigFault { variable, ..fault.clone() }));
    }

    pub(crate) fn check_length(
        &mut self,
        setting: &'static str,
        text: Option<&str>,
        least: usize,
        most: usize,
    ) {
        let length = text.map(|text| text.chars().count());
        if let Some(length) = length.filter(|length| !(least..=most).contains(length)) {
            let rule = format!("has {length} characters, it must have {least} to {most}");
            self.add_rule(setting, rule);
        }
    }

    /// Returns the parsed value, or adds the parser's error as a fault.
    pub(crate) fn check<T>(
        &mut self,
        setting: &'static str,
        parsed: Result<T, String>,
    ) -> Option<T> {
        parsed.map_err(|rule| self.add_rule(setting, rule)).ok()
    }

    /// Like [`check`](Self::check), but the error is shown unchanged, even if it has braces.
    #[cfg(feature = "ureq")]
    pub(crate) fn check_text<T>(
        &mut self,
        setting: &'static str,
        parsed: Result<T, String>,
    ) -> Option<T> {
        parsed.map_err(|text| self.add_text(setting, text)).ok()
    }

    /// Sets the variable of each fault. `variables` has pairs of a setting and its variable.
    pub(crate) fn name_variables(&mut self, variables: &[(&str, &'static str)]) {
        for fault in &mut self.0 {
            if let Some((_, variable)) = variables.iter().find(|(name, _)| *name == fault.setting) {
                fault.variable = Some(variable);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_parts(self) -> (String, Vec<ConfigFault>) {
        let mut text = String::new();
        for fault in &self.0 {
            text.push_str(if text.is_empty() { "" } else { "; " });
            text.push_str(&fault.describe(&|setting| setting));
        }
        (text, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_braces_is_shown_unchanged() {
        let mut faults = ConfigFaults::default();
        faults.add_with_value("a", "{} is not {b}".to_owned(), "{b}{".to_owned());
        faults.name_variables(&[("a", "A")]);
        assert_eq!(faults.0[0].describe(&|_| "x"), "A, x: {b}{ is not x");
        faults.add_text("ca_file", "/tmp/{x}: not found".to_owned());
        let fault = &faults.0[1];
        assert_eq!((fault.setting(), fault.variable()), ("ca_file", None));
        assert_eq!(fault.to_string(), "ca_file: /tmp/{x}: not found");
        assert_eq!(format!("{fault:?}"), "ConfigFault(ca_file: /tmp/{x}: not found)");
        faults.add_text("", "no setting".to_owned());
        let fault = &faults.0[2];
        assert_eq!((fault.setting(), &*fault.to_string()), ("", "no setting"));
    }
}
