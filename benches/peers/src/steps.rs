//! Fetches that are made one by one, so that `race` can count what each takes.

use std::io;

/// Makes a fetch for each line of the input and prints its key. At the line `restart` the program is
/// to begin anew, with nothing but its identity.
pub fn run<E: From<io::Error>>(mut fetch: impl FnMut(bool) -> Result<String, E>) -> Result<(), E> {
    for line in io::stdin().lines() {
        println!("key {}", fetch(line? == "restart")?);
    }
    Ok(())
}
