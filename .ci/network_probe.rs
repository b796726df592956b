//! Gets credentials for `.ci/network` in ways that the command has no option for.
//!
//! `network-probe CA_FILE URL ipv4-only`, or `ipv6-only`, gets them once over that family.
//! `network-probe CA_FILE URL suspend` gets them three times. Its boot clock advances by 40 minutes
//! before each refresh. It prints one line for each refresh.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::transport::{IpFamily, UreqTransport};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, SystemClock};

/// The system's clock on a machine that has been suspended for this many seconds.
#[derive(Default)]
struct SuspendedClock(AtomicU64);

impl Clock for SuspendedClock {
    fn wall(&self) -> SystemTime {
        SystemClock.wall() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn boot(&self) -> Duration {
        SystemClock.boot() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [ca_file, url, job] = &arguments[..] else {
        return Err("usage: network-probe CA_FILE URL ipv4-only|ipv6-only|suspend".into());
    };
    let (family, refreshes) = match &**job {
        "ipv4-only" => (IpFamily::Ipv4Only, 1),
        "ipv6-only" => (IpFamily::Ipv6Only, 1),
        "suspend" => (IpFamily::Any, 3),
        _ => return Err("there is no such job".into()),
    };
    let clock = Arc::new(SuspendedClock::default());
    let transport = UreqTransport::builder()
        .ca_file(ca_file)
        .ip_family(family)
        .clock(Arc::clone(&clock))
        .build()?;
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
        .endpoint_url(url)
        .danger_allow_http(true)
        .transport(transport)
        .clock(Arc::clone(&clock))
        .timeout(Duration::from_secs(4))
        .max_attempts(1)
        .build()?;
    for _ in 0..refreshes {
        clock.0.fetch_add(40 * 60, Ordering::Relaxed);
        let begin = Instant::now();
        let keys = credentials.refresh()?;
        println!("{} after {} ms", keys.access_key_id(), begin.elapsed().as_millis());
    }
    Ok(())
}
