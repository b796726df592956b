//! Random numbers for delays and for the names of temporary files.
//!
//! A fork copies the memory of a process, and a child must not draw the same numbers as its parent.
//! So each process creates its own generators.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::process;
use std::time::{Instant, SystemTime};

use fastrand::Rng;

thread_local! {
    /// The generator of this thread, and the process that created it.
    static GENERATOR: Cell<Option<(u32, Rng)>> = const { Cell::new(None) };
}

/// Returns a number from 0 up to 1.
pub(crate) fn f64() -> f64 {
    draw(Rng::f64)
}

pub(crate) fn u64() -> u64 {
    draw(|generator| generator.u64(..))
}

/// Makes this thread draw the same numbers in each run.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn seed(seed: u64) {
    GENERATOR.set(Some((process::id(), Rng::with_seed(seed))));
}

fn draw<T>(draw: impl FnOnce(&mut Rng) -> T) -> T {
    let process = process::id();
    let mut generator = match GENERATOR.take() {
        Some((owner, generator)) if owner == process => generator,
        _ => Rng::with_seed(new_seed(process)),
    };
    let drawn = draw(&mut generator);
    GENERATOR.set(Some((process, generator)));
    drawn
}

/// The keys of `RandomState` come from the system, but a forked child has the keys of its parent.
/// So the seed also depends on the process ID. It also depends on the time, because processes in
/// different containers can have the same ID.
fn new_seed(process: u32) -> u64 {
    RandomState::new().hash_one((process, Instant::now(), SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[test]
    fn a_seed_repeats_the_numbers_of_this_thread() {
        let run = |number| {
            seed(number);
            (u64(), f64().to_bits(), u64())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        seed(1);
        let other = thread::spawn(u64).join().unwrap();
        assert_ne!(other, u64());
    }

    #[test]
    fn a_generator_of_another_process_is_not_used() {
        let inherited = || GENERATOR.set(Some((process::id() + 1, Rng::with_seed(1))));
        let mut drawn = BTreeSet::from([Rng::with_seed(1).u64(..)]);
        for n in 2..102 {
            inherited();
            drawn.insert(u64());
            assert_eq!(drawn.len(), n, "a number came twice");
        }
    }
}
