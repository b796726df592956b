//! A cached `get()` allocates nothing. A binary of its own, for the allocator counts everything.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::testing::FakeCognito;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_cached_get_allocates_nothing() {
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(FakeCognito::POOL_ID)
        .transport(FakeCognito::new())
        .build()
        .unwrap();
    let region = Region::new(ALLOCATOR);
    let first = credentials.get().unwrap();
    assert!(region.change().allocations > 10, "the allocator counts");

    // The harness has threads of its own, which may allocate at any time: the least of many counts.
    let least = (0..100).map(|_| {
        let region = Region::new(ALLOCATOR);
        for _ in 0..100 {
            assert_eq!(credentials.get().unwrap(), first);
        }
        region.change().allocations
    });
    assert_eq!(least.min(), Some(0));
}
