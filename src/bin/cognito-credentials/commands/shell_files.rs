//! The commands `completions` and `man`, which help to install this one.

use std::fs;
use std::path::Path;

use clap_complete::Shell;

use crate::commands::output;
use crate::messages::failure::{Failure, REFUSED};
use crate::options::arguments;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut command = arguments::command();
    let name = command.get_name().to_owned();
    // `generate` panics if the reader closes the pipe early.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    output::print(&text)
}

/// Writes a manual page for this command and for each of its commands.
pub(crate) fn man(directory: &Path) -> Result<(), Failure> {
    // A page has room for the options that `-h` leaves out.
    let command = arguments::command().mut_args(|argument| argument.hide_short_help(false));
    let written =
        fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    written.map_err(|error| Failure::new(REFUSED, format!("man: {}: {error}", directory.display())))
}
