//! Runs programs that this machine's kernel may not be able to run.

use std::path::Path;
use std::process::Command;

/// Returns a command that runs a program. If the variable `TEST_RUNNER` is set, it names an
/// emulator with its arguments, and the emulator runs the program.
pub(crate) fn runnable(program: &Path) -> Command {
    let emulator = std::env::var("TEST_RUNNER").unwrap_or_default();
    let mut words = emulator.split_whitespace().map(Path::new).chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words);
    command
}
