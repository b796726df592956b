//! The command line and the environment variables.
//!
//! * `arguments`: the commands, their options and variables, described once
//! * `help`: the examples of `--help`
//! * `usage`: error messages about the command line
//! * `invalid_value`: why the value of an option is wrong
//! * `option_names`: the option that sets each setting of the library
//! * `variables`: the variables that the command reads itself
//! * `near_misses`: variables whose names are nearly right

pub(crate) mod arguments;
pub(crate) mod help;
pub(crate) mod invalid_value;
pub(crate) mod near_misses;
pub(crate) mod option_names;
pub(crate) mod usage;
pub(crate) mod variables;

/// Calls the setter of a builder if its value is given.
pub(crate) fn set<B, T>(builder: B, setter: impl FnOnce(B, T) -> B, value: Option<T>) -> B {
    match value {
        Some(value) => setter(builder, value),
        None => builder,
    }
}
