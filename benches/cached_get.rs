//! Measures a cached `get()` and compares it with the least that it can cost: reading the boot
//! clock, a reference count, and a way to share a value between threads. The floor is a mutex,
//! which the provider uses too. A lock-free snapshot (`arc-swap`) is measured as well.
//!
//! ```sh
//! cargo bench --bench cached_get --features testing
//! ```
//!
//! The table shows times and allocations. A sample has a thousand calls, because one call is too
//! short to measure. The last lines show ratios to the mutex: medians of alternating rounds, which
//! do not depend on the machine or its load.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

#[path = "shared/rounds.rs"]
mod rounds;

use std::hint::black_box;
use std::sync::{LazyLock, Mutex};
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
    assert_eq!(provider.get().unwrap(), loaded, "the second `get` must be cached");
    provider
});

/// The shared value: the end of the credentials on the boot clock, and the credentials.
struct Held(Duration, Credentials);

impl Held {
    fn by(&self, now: Duration) -> Option<Credentials> {
        (now < self.0).then(|| self.1.clone())
    }
}

struct Floors {
    mutex: Mutex<Held>,
    arc_swap: ArcSwap<Held>,
}

impl Floors {
    fn mutex(&self) -> Option<Credentials> {
        let now = SystemClock.boot();
        self.mutex.lock().unwrap().by(now)
    }

    fn arc_swap(&self) -> Option<Credentials> {
        let now = SystemClock.boot();
        self.arc_swap.load().by(now)
    }
}

static FLOORS: LazyLock<Floors> = LazyLock::new(|| {
    let held = || Held(SystemClock.boot() + Duration::from_secs(3600), PROVIDER.get().unwrap());
    let floors = Floors { mutex: Mutex::new(held()), arc_swap: ArcSwap::from_pointee(held()) };
    for value in [floors.mutex(), floors.arc_swap()] {
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
fn floor_arc_swap(bencher: divan::Bencher<'_, '_>) {
    let floors = &*FLOORS;
    bencher.bench(|| floors.arc_swap().unwrap());
}

/// Returns the nanoseconds for each call, with this many threads.
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
                time(threads, &|| floors.arc_swap().unwrap()),
            ]
        });
        println!(
            "{threads} threads: mutex {:.1} ns; get {:.1} ns, {:.2} of it; arc_swap {:.1} ns, {:.2}",
            rounds.ns(0),
            rounds.ns(1),
            rounds.ratio(1, 0),
            rounds.ns(2),
            rounds.ratio(2, 0)
        );
    }
}
