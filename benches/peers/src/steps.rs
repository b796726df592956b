//! Single fetches, so that `race` can count the round trips of each.

use std::io;

/// Makes a fetch for each line of the input and prints the access key. At the line `restart`,
/// `fetch` must start again with the identity only.
pub fn run<E: From<io::Error>>(mut fetch: impl FnMut(bool) -> Result<String, E>) -> Result<(), E> {
    for line in io::stdin().lines() {
        println!("key {}", fetch(line? == "restart")?);
    }
    Ok(())
}
