//! What a cached `get()` costs, beside the least that it could cost: one lock, one look at the boot
//! clock, one reference count.
//!
//! ```sh
//! cargo bench --bench cached_get --features testing
//! ```
//!
//! The table shows times and allocations; the last lines show the ratio to the floor as the median
//! of alternated rounds in the same run, which does not depend on the machine or its load.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::hint::black_box;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, Credentials, SystemClock};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

static PROVIDER: LazyLock<CognitoIdentityCredentials> = LazyLock::new(|| {
    let provider = CognitoIdentityCredentials::builder()
        .identity_pool_id(FakeCognito::POOL_ID)
        .transport(FakeCognito::new())
        .build()
        .unwrap();
    let loaded = provider.get().unwrap();
    assert_eq!(provider.get().unwrap(), loaded, "the second get must come from the cell");
    provider
});

struct Floor {
    held: Mutex<(Duration, Credentials)>,
}

impl Floor {
    fn get(&self) -> Option<Credentials> {
        let now = SystemClock.boot();
        let held = self.held.lock().unwrap();
        (now < held.0).then(|| held.1.clone())
    }
}

static FLOOR: LazyLock<Floor> = LazyLock::new(|| {
    let end = SystemClock.boot() + Duration::from_secs(3600);
    let floor = Floor { held: Mutex::new((end, PROVIDER.get().unwrap())) };
    assert_eq!(floor.get(), PROVIDER.cached());
    floor
});

#[divan::bench(threads = [1, 2, 8])]
fn get(bencher: divan::Bencher<'_, '_>) {
    let provider = &*PROVIDER;
    bencher.bench(|| provider.get().unwrap());
}

#[divan::bench(threads = [1, 2, 8])]
fn floor(bencher: divan::Bencher<'_, '_>) {
    let floor = &*FLOOR;
    bencher.bench(|| floor.get().unwrap());
}

/// Nanoseconds for each call, with so many threads calling.
fn time(threads: u32, call: impl Fn() -> Credentials + Sync) -> f64 {
    const CALLS: u32 = 100_000;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    black_box(call());
                }
            });
        }
    });
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS * threads)
}

fn main() {
    divan::main();
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (provider, floor) = (&*PROVIDER, &*FLOOR);
    for threads in [1, 2, 8] {
        let mut rounds: Vec<(f64, f64, f64)> = (0..31)
            .map(|_| {
                let floor = time(threads, || floor.get().unwrap());
                let get = time(threads, || provider.get().unwrap());
                (get / floor, get, floor)
            })
            .collect();
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, get, floor) = rounds[rounds.len() / 2];
        println!("{threads} threads: get {get:.1} ns, floor {floor:.1} ns, ratio {ratio:.2}");
    }
}
