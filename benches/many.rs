//! Providers by the thousand that share one transport, as a server has them that acts for many users:
//! what each costs must not depend on how many there are, but for what the processor's cache holds.
//!
//! ```sh
//! cargo bench --bench many --features testing
//! ```
//!
//! The floor is one provider. The table shows the time of one refresh and of one cached `get()` among so
//! many, in an order that leaves no provider in the processor's cache, by many calls a sample, for one is
//! too short to be timed. The lines behind it show the ratios to one provider's as the medians of
//! alternated rounds, which do not depend on the machine's load; the last lines the heap of each
//! provider with its credentials, which is a count and the same on each run. It is asserted to be flat.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

#[path = "shared/answers.rs"]
mod answers;
#[path = "shared/rounds.rs"]
mod rounds;

use std::alloc::System;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::{HttpRequest, Transport};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use answers::{IDENTITY, POOL, SESSION_TOKEN};
use rounds::Rounds;

/// Counted twice: by divan for its table, and by bytes that are still held.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<&StatsAlloc<System>> =
    divan::AllocProfiler::new(&INSTRUMENTED_SYSTEM);

const NUMBERS: [usize; 3] = [1, 100, 10_000];

fn transport() -> Arc<dyn Transport> {
    let answer = answers::credentials_for_an_hour();
    Arc::new(move |_: &HttpRequest| Ok(answer.clone()))
}

/// So many providers with their credentials, each with a login of its own.
fn providers(number: usize, transport: &Arc<dyn Transport>) -> Vec<CognitoIdentityCredentials> {
    let mut providers = Vec::with_capacity(number);
    for n in 0..number {
        let provider = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .identity_id(IDENTITY)
            .login("example.com", format!("{n:01024}"))
            .transport(transport.clone())
            .build()
            .unwrap();
        assert_eq!(provider.get().unwrap().session_token().len(), SESSION_TOKEN);
        providers.push(provider);
    }
    providers
}

/// One after another, with a step that comes by each before it comes by any again.
fn in_turn<'a>(
    providers: &'a [CognitoIdentityCredentials],
) -> impl Fn() -> &'a CognitoIdentityCredentials {
    let next = Cell::new(0);
    move || {
        next.set((next.get() + 7_919) % providers.len());
        &providers[next.get()]
    }
}

#[divan::bench(args = NUMBERS, sample_size = 100)]
fn refresh_of_one_of(bencher: divan::Bencher<'_, '_>, number: usize) {
    let providers = providers(number, &transport());
    let next = in_turn(&providers);
    bencher.bench_local(|| next().refresh().unwrap());
}

#[divan::bench(args = NUMBERS, sample_size = 1000)]
fn get_of_one_of(bencher: divan::Bencher<'_, '_>, number: usize) {
    let providers = providers(number, &transport());
    let next = in_turn(&providers);
    bencher.bench_local(|| next().get().unwrap());
}

/// What each of so many providers holds on the heap, in bytes.
fn heap(number: usize) -> f64 {
    let transport = transport();
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    let providers = providers(number, &transport);
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated;
    assert_eq!(providers.len(), number);
    held as f64 / number as f64
}

fn print_ratios<T>(what: &str, calls: u32, call: fn(&CognitoIdentityCredentials) -> T) {
    let transport = transport();
    let fleets = NUMBERS.map(|number| providers(number, &transport));
    let nexts = [in_turn(&fleets[0]), in_turn(&fleets[1]), in_turn(&fleets[2])];
    let rounds = Rounds::run(|| {
        nexts.each_ref().map(|next| rounds::time(calls, || drop(black_box(call(next())))))
    });
    for (which, number) in NUMBERS.into_iter().enumerate() {
        let (ns, ratio) = (rounds.ns(which), rounds.ratio(which, 0));
        println!("{what} of one of {number}: {ns:.0} ns, {ratio:.2} of one's");
    }
}

fn main() {
    divan::main();
    if !rounds::only_tested() {
        print_ratios("a refresh", 2_000, |provider| provider.refresh().unwrap());
        print_ratios("a cached get", 20_000, |provider| provider.get().unwrap());
    }
    // What is made once in a process is no provider's.
    heap(1);
    let heaps = NUMBERS.map(heap);
    for (number, heap) in NUMBERS.iter().zip(heaps) {
        println!(
            "{number} providers: {heap:.0} bytes of heap each, {:.3} of one's",
            heap / heaps[0]
        );
        assert!((heap / heaps[0] - 1.0).abs() <= 0.1, "the heap of {number} providers is not flat");
    }
}
