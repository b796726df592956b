//! What one more get costs while the credentials are fresh. Each program takes these lines in, so
//! that they weigh the same in all.

use std::thread;
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_millis(60);
/// So many gets for each look at the time, which would weigh otherwise.
const BATCH: u32 = 64;

/// Calls `get` from so many threads for a while.
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
    tell(start, gets);
}

/// The wall time for each get, of all threads together.
fn tell(start: Instant, gets: u32) {
    println!("ns {:.1}", start.elapsed().as_secs_f64() * 1e9 / f64::from(gets));
}
