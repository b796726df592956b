//! Counts connections and handshakes (as the fake service reports them), the heap of idle
//! providers, and writes to the storage.
//!
//! `counts URL CA_FILE COUNTS_PORT IDLE_SECONDS`: the arguments and the ports of `serve`.

use std::error::Error;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, Credentials, MemoryStorage, Storage,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

mod report;

type Fallible<T> = Result<T, Box<dyn Error>>;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const PROVIDERS: usize = 1_000;
const REFRESHES: usize = 1_000;

/// A storage in memory that counts the writes.
#[derive(Default)]
struct Counted {
    memory: MemoryStorage,
    writes: AtomicUsize,
}

impl Storage for Counted {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.memory.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.memory.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.memory.remove(key)
    }
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("URL CA_FILE COUNTS_PORT IDLE_SECONDS");
    let (url, ca_file, port) = (next()?, next()?, next()?.parse()?);
    let idle = Duration::from_secs(next()?.parse()?);
    let transport = || UreqTransport::builder().ca_file(&ca_file).build();
    let provider = |transport: Arc<UreqTransport>| {
        CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(&url)
            .transport(transport)
    };

    connections(port, idle, &provider(Arc::new(transport()?)).build()?)?;
    let transport = Arc::new(transport()?);
    heap(|| provider(transport.clone()))?;
    writes("guest", provider(transport.clone()))?;
    writes("login", provider(transport).login("accounts.google.com", "token"))?;
    report::report()?;
    Ok(())
}

/// Returns the connections, full handshakes and resumed handshakes that the service has seen.
fn seen(port: u16) -> Fallible<[usize; 3]> {
    let mut text = String::new();
    TcpStream::connect(("127.0.0.1", port))?.read_to_string(&mut text)?;
    let count = |name: &str| -> Fallible<usize> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.ok_or("the service has no such count")?.parse()?)
    };
    Ok([count("connections")?, count("full")?, count("resumed")?])
}

fn connections(
    port: u16,
    idle: Duration,
    credentials: &CognitoIdentityCredentials,
) -> Fallible<()> {
    let step = |name, what: &dyn Fn() -> Fallible<Credentials>| -> Fallible<()> {
        let before = seen(port)?;
        what()?;
        let after = seen(port)?;
        println!(
            "{name} {} {} {}",
            after[0] - before[0],
            after[1] - before[1],
            after[2] - before[2]
        );
        Ok(())
    };
    step("first", &|| Ok(credentials.get()?))?;
    step("soon", &|| Ok(credentials.refresh()?))?;
    thread::sleep(idle + Duration::from_secs(1));
    step("later", &|| Ok(credentials.refresh()?))
}

/// Prints the heap of each provider in bytes: the memory of 1,000 providers after one fetch each,
/// without the texts of their credentials. One provider comes first and is not counted, because it
/// opens the connection that all share.
fn heap(builder: impl Fn() -> Builder) -> Fallible<()> {
    let first = builder().build()?;
    first.get()?;
    let mut providers = Vec::with_capacity(PROVIDERS);
    report::threads_left()?;
    let region = Region::new(ALLOCATOR);
    let mut texts = 0;
    for _ in 0..PROVIDERS {
        let provider = builder().build()?;
        let set = provider.get()?;
        texts += set.access_key_id().len()
            + set.secret_access_key().len()
            + set.session_token().len()
            + set.identity_id().map_or(0, str::len);
        providers.push(provider);
    }
    if report::threads_left()? > 0 {
        return Err("a thread is still running, and its memory would be counted".into());
    }
    let change = region.change();
    let kept = change.bytes_allocated - change.bytes_deallocated;
    println!("heap {}", (kept - texts).div_ceil(PROVIDERS));
    println!("texts {}", texts / PROVIDERS);
    Ok(())
}

fn writes(name: &str, builder: Builder) -> Fallible<()> {
    let storage = Arc::new(Counted::default());
    let credentials = builder.storage(storage.clone()).build()?;
    for _ in 0..REFRESHES {
        credentials.refresh()?;
    }
    println!("writes_{name} {}", storage.writes.load(Ordering::SeqCst));
    Ok(())
}
