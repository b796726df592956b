//! What a cached `get()` costs, beside the least that it could cost: one look at the boot clock, one
//! reference count, and one way to share the value among threads. The floor is a mutex, which the
//! provider has too; a read-write lock and a lock-free snapshot (`arc-swap`) show what that costs.
//!
//! ```sh
//! cargo bench --bench cached_get --features testing
//! ```
//!
//! The table shows times and allocations, by a thousand calls a sample, for one is too short to be timed;
//! the last lines show the ratios to the mutex as the medians of alternated rounds in the same run,
//! which do not depend on the machine or its load.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

#[path = "shared/rounds.rs"]
mod rounds;

use std::hint::black_box;
use std::sync::{LazyLock, Mutex, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, Credentials, SystemClock};

use rounds::Rounds;

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

/// What is shared: the end of the credentials on the boot clock, and the credentials.
struct Held(Duration, Credentials);

impl Held {
    fn by(&self, now: Duration) -> Option<Credentials> {
        (now < self.0).then(|| self.1.clone())
    }
}

struct Floors {
    mutex: Mutex<Held>,
    rw_lock: RwLock<Held>,
    arc_swap: ArcSwap<Held>,
}

impl Floors {
    fn mutex(&self) -> Option<Credentials> {
        let now = SystemClock.boot();
        self.mutex.lock().unwrap().by(now)
    }

    fn rw_lock(&self) -> Option<Credentials> {
        let now = SystemClock.boot();
        self.rw_lock.read().unwrap().by(now)
    }

    fn arc_swap(&self) -> Option<Credentials> {
        let now = SystemClock.boot();
        self.arc_swap.load().by(now)
    }
}

static FLOORS: LazyLock<Floors> = LazyLock::new(|| {
    let held = || Held(SystemClock.boot() + Duration::from_secs(3600), PROVIDER.get().unwrap());
    let floors = Floors {
        mutex: Mutex::new(held()),
        rw_lock: RwLock::new(held()),
        arc_swap: ArcSwap::from_pointee(held()),
    };
    for value in [floors.mutex(), floors.rw_lock(), floors.arc_swap()] {
        assert_eq!(value, PROVIDER.cached());
    }
    floors
});

#[divan::bench(threads = [1, 2, 8], sample_size = 1000)]
fn get(bencher: divan::Bencher<'_, '_>) {
    let provider = &*PROVIDER;
    bencher.bench(|| provider.get().unwrap());
}

#[divan::bench(threads = [1, 2, 8], sample_size = 1000)]
fn floor_mutex(bencher: divan::Bencher<'_, '_>) {
    let floors = &*FLOORS;
    bencher.bench(|| floors.mutex().unwrap());
}

#[divan::bench(threads = [1, 2, 8], sample_size = 1000)]
fn floor_rw_lock(bencher: divan::Bencher<'_, '_>) {
    let floors = &*FLOORS;
    bencher.bench(|| floors.rw_lock().unwrap());
}

#[divan::bench(threads = [1, 2, 8], sample_size = 1000)]
fn floor_arc_swap(bencher: divan::Bencher<'_, '_>) {
    let floors = &*FLOORS;
    bencher.bench(|| floors.arc_swap().unwrap());
}

/// Nanoseconds for each call, with so many threads calling.
fn time(threads: u32, call: &(impl Fn() -> Credentials + Sync)) -> f64 {
    const CALLS: u32 = 50_000;
    let all = || {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..CALLS {
                        black_box(call());
                    }
                });
            }
        });
    };
    rounds::time(1, all) / f64::from(CALLS * threads)
}

fn main() {
    divan::main();
    if rounds::only_tested() {
        return;
    }
    let (provider, floors) = (&*PROVIDER, &*FLOORS);
    for threads in [1, 2, 8] {
        let rounds = Rounds::run(|| {
            [
                time(threads, &|| floors.mutex().unwrap()),
                time(threads, &|| provider.get().unwrap()),
                time(threads, &|| floors.rw_lock().unwrap()),
                time(threads, &|| floors.arc_swap().unwrap()),
            ]
        });
        println!(
            "{threads} threads: mutex {:.1} ns; get {:.1} ns, {:.2} of it; rw_lock {:.1} ns, {:.2}; arc_swap {:.1} ns, {:.2}",
            rounds.ns(0),
            rounds.ns(1),
            rounds.ratio(1, 0),
            rounds.ns(2),
            rounds.ratio(2, 0),
            rounds.ns(3),
            rounds.ratio(3, 0)
        );
    }
}
