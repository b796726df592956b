//! Measures thousands of providers that share one transport, as in a server that acts for many
//! users. The cost of each must not depend on their number, except for the effect of the
//! processor's cache.
//!
//! ```sh
//! cargo bench --bench many --features testing
//! ```
//!
//! The floor is one provider. The first lines show the time of a refresh and of a cached `get()` as
//! a ratio to one provider. The ratios are medians of alternating rounds, so they do not depend on
//! the load. The order of the calls leaves no provider in the processor's cache. The last lines
//! show the heap of each provider with its credentials. That is a count and the same in each run;
//! the bench asserts that it does not grow.

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

/// Counts the bytes that are still allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NUMBERS: [usize; 3] = [1, 100, 10_000];

fn transport() -> Arc<dyn Transport> {
    let answer = answers::credentials_for_an_hour();
    Arc::new(move |_: &HttpRequest| Ok(answer.clone()))
}

/// Creates providers with credentials, each with its own login.
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

/// Returns a function that chooses the next provider, with a step that visits all before it repeats
/// one.
fn in_turn<'a>(
    providers: &'a [CognitoIdentityCredentials],
) -> impl Fn() -> &'a CognitoIdentityCredentials {
    let next = Cell::new(0);
    move || {
        next.set((next.get() + 7_919) % providers.len());
        &providers[next.get()]
    }
}

/// Returns the heap of each provider, in bytes.
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
    if !rounds::only_tested() {
        print_ratios("a refresh", 2_000, |provider| provider.refresh().unwrap());
        print_ratios("a cached get", 20_000, |provider| provider.get().unwrap());
    }
    // The first provider of a process also allocates what all share.
    heap(1);
    let heaps = NUMBERS.map(heap);
    for (number, heap) in NUMBERS.iter().zip(heaps) {
        println!(
            "{number} providers: {heap:.0} bytes of heap each, {:.3} of one's",
            heap / heaps[0]
        );
        assert!(
            (heap / heaps[0] - 1.0).abs() <= 0.1,
            "the heap of each provider differs with {number} providers"
        );
    }
}
