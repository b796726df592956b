//! A blocking job on a thread of its own, for futures to wait for: one thread, however many wait.
//! They are woken by the standard library's means, so no executor is assumed.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// `K` tells which jobs are the same, `T` is what a job yields.
pub(crate) struct Errand<K, T> {
    /// The run that began last. It belongs to its thread and to those who wait for it, so what it
    /// has yielded is gone once nobody wants it any more.
    latest: Mutex<Option<(K, Weak<Run<T>>)>>,
    /// How long a run is joined. Whatever holds it up longer is not to hold up everybody else.
    patience: Duration,
}

struct Run<T> {
    /// The ID of the process that its thread belongs to.
    process: u32,
    begun: Instant,
    stage: Mutex<Stage<T>>,
}

enum Stage<T> {
    /// With a place for each future that waits.
    UnderWay(Vec<Option<Waker>>),
    /// `None` when the job panicked.
    Over(Option<T>),
}

/// Becomes what the job yields, or `None` if it panics or runs in the process that this one was forked
/// from. When it is dropped, the job goes on.
pub(crate) struct Wait<T> {
    run: Arc<Run<T>>,
    place: Option<usize>,
}

/// The thread's side of a run, which is over even if the job panics.
struct Ending<T> {
    run: Arc<Run<T>>,
    outcome: Option<T>,
}

impl<K: PartialEq, T: Send + 'static> Errand<K, T> {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { latest: Mutex::new(None), patience }
    }

    /// Waits for the run of the same key that is under way, or else for a new one of `job`. An error
    /// says that no thread is to be had.
    pub(crate) fn join(
        &self,
        key: K,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Wait<T>> {
        let mut latest = lock(&self.latest);
        let same = latest.as_ref().filter(|(of, _)| *of == key);
        let run = same.and_then(|(_, run)| run.upgrade());
        let joined = |run: &Arc<Run<T>>| run.is_under_way() && run.begun.elapsed() < self.patience;
        if let Some(run) = run.filter(joined) {
            return Ok(Wait { run, place: None });
        }
        let stage = Mutex::new(Stage::UnderWay(Vec::new()));
        let run = Arc::new(Run { process: process::id(), begun: Instant::now(), stage });
        let ending = Ending { run: Arc::clone(&run), outcome: None };
        // The lock is held, so that nobody joins a run that cannot begin.
        thread::Builder::new().name("cognito-refresh".to_owned()).spawn(move || {
            let outcome = job();
            ending.end(outcome);
        })?;
        *latest = Some((key, Arc::downgrade(&run)));
        Ok(Wait { run, place: None })
    }
}

impl<T> Run<T> {
    /// Whether a thread of this process is at work on it.
    fn is_under_way(&self) -> bool {
        self.process == process::id() && matches!(*lock(&self.stage), Stage::UnderWay(_))
    }
}

impl<T: Clone> Future for Wait<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Wakers are the executor's code: copied and dropped while the lock is not held.
        let waker = context.waker().clone();
        let this = self.get_mut();
        let replaced = match &mut *lock(&this.run.stage) {
            Stage::Over(outcome) => return Poll::Ready(outcome.clone()),
            Stage::UnderWay(_) if this.run.process != process::id() => return Poll::Ready(None),
            Stage::UnderWay(waiting) => {
                let place = *this.place.get_or_insert(waiting.len());
                if let Some(before) = waiting.get_mut(place) {
                    before.replace(waker)
                } else {
                    waiting.push(Some(waker));
                    None
                }
            }
        };
        drop(replaced);
        Poll::Pending
    }
}

impl<T> Drop for Wait<T> {
    fn drop(&mut self) {
        let forgotten = match (&mut *lock(&self.run.stage), self.place) {
            (Stage::UnderWay(waiting), Some(place)) => {
                waiting.get_mut(place).and_then(Option::take)
            }
            _ => None,
        };
        drop(forgotten);
    }
}

impl<T> Ending<T> {
    fn end(mut self, outcome: T) {
        self.outcome = Some(outcome);
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        let over = Stage::Over(self.outcome.take());
        let before = mem::replace(&mut *lock(&self.run.stage), over);
        if let Stage::UnderWay(waiting) = before {
            waiting.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

/// Every critical section leaves the data whole, so a poisoned mutex is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(3600);

    struct Rig {
        errand: Errand<u8, Arc<u8>>,
        begun: (mpsc::Sender<u8>, mpsc::Receiver<u8>),
    }

    impl Rig {
        fn new(patience: Duration) -> Self {
            Self { errand: Errand::new(patience), begun: mpsc::channel() }
        }

        /// Joins with a job that says that it begins, and ends once it is told what it yields.
        fn join(&self, key: u8, number: u8) -> (Wait<Arc<u8>>, mpsc::Sender<u8>) {
            let begun = self.begun.0.clone();
            let (end, ended) = mpsc::channel();
            let job = move || {
                begun.send(number).unwrap();
                Arc::new(ended.recv().unwrap())
            };
            (self.errand.join(key, job).unwrap(), end)
        }

        fn began(&self) -> u8 {
            self.begun.1.recv_timeout(Duration::from_secs(30)).unwrap()
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    }

    #[test]
    fn who_joins_a_run_under_way_has_no_job_run_and_gets_the_same() {
        let rig = Rig::new(LONG);
        let (first, end) = rig.join(1, 1);
        assert_eq!(rig.began(), 1);
        let (second, unused) = rig.join(1, 2);
        assert!(unused.send(0).is_err(), "the second job is dropped");
        end.send(7).unwrap();
        let (first, second) = (block_on(first).unwrap(), block_on(second).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
    }

    /// Even while somebody has not yet looked at what the last one yielded.
    #[test]
    fn a_run_that_is_over_or_has_another_key_is_not_joined() {
        let rig = Rig::new(LONG);
        let (first, end_first) = rig.join(1, 1);
        let (other, end_other) = rig.join(2, 2);
        let mut began = [rig.began(), rig.began()];
        began.sort_unstable();
        assert_eq!(began, [1, 2]);
        end_first.send(10).unwrap();
        end_other.send(20).unwrap();
        assert_eq!(*block_on(first).unwrap(), 10);
        while other.run.is_under_way() {
            thread::yield_now();
        }
        let (next, end_next) = rig.join(2, 3);
        assert_eq!(rig.began(), 3);
        end_next.send(30).unwrap();
        assert_eq!((*block_on(other).unwrap(), *block_on(next).unwrap()), (20, 30));
    }

    #[test]
    fn a_run_that_takes_too_long_is_not_joined() {
        let rig = Rig::new(Duration::ZERO);
        let (first, end_first) = rig.join(1, 1);
        let (second, end_second) = rig.join(1, 2);
        end_second.send(2).unwrap();
        assert_eq!(*block_on(second).unwrap(), 2);
        assert!(first.run.is_under_way());
        end_first.send(1).unwrap();
        assert_eq!(*block_on(first).unwrap(), 1);
    }

    #[test]
    fn a_run_is_over_when_its_job_panics() {
        let errand = Errand::<_, u8>::new(LONG);
        let wait = errand.join(1, || panic!("a fault")).unwrap();
        assert_eq!(block_on(wait), None);
        assert_eq!(block_on(errand.join(1, || 1).unwrap()), Some(1));
    }

    #[test]
    fn what_nobody_wants_any_more_is_dropped() {
        let rig = Rig::new(LONG);
        let (wait, end) = rig.join(1, 1);
        end.send(1).unwrap();
        let yielded = Arc::downgrade(&block_on(wait).unwrap());
        while yielded.strong_count() > 0 {
            thread::yield_now(); // until the thread has let go of its run
        }

        let (wait, end) = rig.join(1, 2);
        let run = Arc::downgrade(&wait.run);
        drop(wait);
        end.send(2).unwrap();
        while run.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
