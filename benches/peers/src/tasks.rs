//! Like `threads.rs`, for futures. One caller has a runtime with one thread. Several callers are
//! tasks of a runtime with as many threads.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

const TIME: Duration = Duration::from_millis(60);
const BATCH: u32 = 64;

pub trait Get: Send + Sync + 'static {
    fn get(&self) -> impl Future<Output = ()> + Send;
}

/// Lets the runtime notice events since the last fetch, such as a closed connection.
pub async fn idle() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

pub fn get(count: usize, peer: &Arc<impl Get>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let gets;
    let start;
    if count == 1 {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        start = Instant::now();
        gets = runtime.block_on(caller(peer.clone(), start));
    } else {
        let runtime = Builder::new_multi_thread().worker_threads(count).enable_all().build()?;
        start = Instant::now();
        let tasks: Vec<_> =
            (0..count).map(|_| runtime.spawn(caller(peer.clone(), start))).collect();
        gets = runtime.block_on(async {
            let mut sum = 0;
            for task in tasks {
                sum += task.await?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(sum)
        })?;
    }
    println!("ns {:.1}", start.elapsed().as_secs_f64() * 1e9 / f64::from(gets));
    Ok(())
}

async fn caller(peer: Arc<impl Get>, start: Instant) -> u32 {
    let mut gets = 0;
    while start.elapsed() < TIME {
        for _ in 0..BATCH {
            peer.get().await;
        }
        gets += BATCH;
    }
    gets
}
