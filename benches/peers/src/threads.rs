//! Measures one more get while the credentials are fresh. All programs contain this file, so it
//! adds the same to each.

use std::thread;
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_millis(60);
/// The clock is read only once for this many gets, because reading it takes time too.
const BATCH: u32 = 64;

/// Calls `get` from this many threads for a fixed time.
pub fn get(count: usize, get: impl Fn() + Sync) {
    let start = Instant::now();
    let caller = || {
        let mut gets = 0;
        while start.elapsed() < TIME {
            for _ in 0..BATCH {
                get();
            }
            gets += BATCH;
        }
        gets
    };
    let gets = thread::scope(|scope| {
        let others: Vec<_> = (1..count).map(|_| scope.spawn(caller)).collect();
        others.into_iter().fold(caller(), |sum, other| sum + other.join().unwrap_or(0))
    });
    print(start, gets);
}

/// Prints the wall time for each get, over all threads.
fn print(start: Instant, gets: u32) {
    println!("ns {:.1}", start.elapsed().as_secs_f64() * 1e9 / f64::from(gets));
}
