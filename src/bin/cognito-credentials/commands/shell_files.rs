//! The command `completions`. A test writes the manual pages.

use clap_complete::Shell;

use crate::commands::output;
use crate::messages::failure::Failure;
use crate::options::arguments;

pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut command = arguments::command();
    let name = command.get_name().to_owned();
    // `generate` panics if the reader closes the pipe early.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    output::print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::{env, fs};

    /// Writes the manual pages into the directory in the variable `MAN_DIRECTORY`, for packages.
    #[test]
    fn manual_pages_name_the_commands_and_options() {
        let temporary = tempfile::tempdir().unwrap();
        let directory =
            env::var_os("MAN_DIRECTORY").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
        fs::create_dir_all(&directory).unwrap();
        // A manual page has room for the options that `-h` leaves out.
        let command = arguments::command().mut_args(|argument| argument.hide_short_help(false));
        let names: Vec<_> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
        clap_mangen::generate_to(command, &directory).unwrap();
        let read = |page: &str| fs::read_to_string(directory.join(page)).unwrap();
        assert!(names.len() > 8);
        for name in names {
            let page = read(&format!("cognito-credentials-{name}.1"));
            assert!(page.contains("\\-\\-identity\\-pool\\-id"), "{name}: {page}");
        }
        for (page, word) in [
            ("cognito-credentials.1", "AWS_COGNITO_IDENTITY_POOL_ID"),
            ("cognito-credentials-exec.1", "\\-\\-serve"),
            ("cognito-credentials-serve.1", "\\-\\-token\\-file"),
            ("cognito-credentials-doctor.1", "\\-\\-json"),
        ] {
            assert!(read(page).contains(word), "{page}: {word}");
        }
    }
}
