//! A refresh on its own thread, for the futures that wait for it.
//!
//! Any number of futures share one thread. The thread wakes them with the wakers of the standard
//! library, so every executor works.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Runs jobs. Jobs with equal keys `K` are the same job. `T` is the result of a job.
pub(crate) struct BackgroundRefresh<K, T> {
    /// The job that started last. Only its thread and its futures own it, so that the result is
    /// dropped with the last future.
    latest: Mutex<Option<(K, Weak<Job<T>>)>>,
    /// How long after its start a job can be joined. A job that hangs must not block every caller.
    join_limit: Duration,
}

struct Job<T> {
    /// The process that the thread runs in.
    process: u32,
    started: Instant,
    state: Mutex<JobState<T>>,
}

enum JobState<T> {
    /// Holds one place for each future that waits.
    Running(Vec<Option<Waker>>),
    /// `None` if the job panicked.
    Finished(Option<T>),
}

/// Waits for the result of the job. The result is `None` if the job panicked, or if it runs in the
/// parent of a forked process. If the future is dropped, the job continues.
pub(crate) struct JobFuture<T> {
    job: Arc<Job<T>>,
    place: Option<usize>,
}

/// Finishes the job when the thread drops it, even after a panic.
struct JobGuard<T> {
    job: Arc<Job<T>>,
}

impl<K: PartialEq, T: Send + 'static> BackgroundRefresh<K, T> {
    pub(crate) fn new(join_limit: Duration) -> Self {
        Self { latest: Mutex::new(None), join_limit }
    }

    /// Joins the running job with this key, or starts `run` on a new thread. `run` may give the
    /// result to the futures before it returns.
    ///
    /// Returns an error if the system cannot start a thread.
    pub(crate) fn join(
        &self,
        key: K,
        run: impl FnOnce(&dyn Fn(T)) -> T + Send + 'static,
    ) -> io::Result<JobFuture<T>> {
        let mut latest = lock(&self.latest);
        let same = latest.as_ref().filter(|(of, _)| *of == key);
        let running = same
            .and_then(|(_, job)| job.upgrade())
            .filter(|job| job.is_running() && job.started.elapsed() < self.join_limit);
        if let Some(job) = running {
            return Ok(JobFuture { job, place: None });
        }
        let state = Mutex::new(JobState::Running(Vec::new()));
        let job = Arc::new(Job { process: process::id(), started: Instant::now(), state });
        let guard = JobGuard { job: Arc::clone(&job) };
        // The lock is still held, so no future can join a job whose thread did not start.
        thread::Builder::new().name("cognito-refresh".to_owned()).spawn(move || {
            let result = run(&|result| guard.job.complete(Some(result)));
            guard.job.complete(Some(result));
        })?;
        *latest = Some((key, Arc::downgrade(&job)));
        Ok(JobFuture { job, place: None })
    }
}

impl<T> Job<T> {
    fn is_running(&self) -> bool {
        self.process == process::id() && matches!(*lock(&self.state), JobState::Running(_))
    }

    /// Sets the result and wakes the futures, unless the job has already finished.
    fn complete(&self, result: Option<T>) {
        let wakers = match &mut *lock(&self.state) {
            JobState::Finished(_) => return,
            running @ JobState::Running(_) => mem::replace(running, JobState::Finished(result)),
        };
        if let JobState::Running(wakers) = wakers {
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

impl<T: Clone> Future for JobFuture<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloning or dropping a waker runs code of the executor, so it happens without the lock.
        let waker = context.waker().clone();
        let this = self.get_mut();
        let replaced = match &mut *lock(&this.job.state) {
            JobState::Finished(result) => return Poll::Ready(result.clone()),
            JobState::Running(_) if this.job.process != process::id() => return Poll::Ready(None),
            JobState::Running(wakers) => {
                let place = *this.place.get_or_insert_with(|| {
                    wakers.push(None);
                    wakers.len() - 1
                });
                wakers.get_mut(place).and_then(|before| before.replace(waker))
            }
        };
        drop(replaced);
        Poll::Pending
    }
}

impl<T> Drop for JobFuture<T> {
    fn drop(&mut self) {
        let waker = match (&mut *lock(&self.job.state), self.place) {
            (JobState::Running(wakers), Some(place)) => {
                wakers.get_mut(place).and_then(Option::take)
            }
            _ => None,
        };
        drop(waker);
    }
}

impl<T> Drop for JobGuard<T> {
    fn drop(&mut self) {
        self.job.complete(None);
    }
}

/// Every critical section leaves the data valid, so a poisoned mutex is ignored.
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
        refresh: BackgroundRefresh<u8, Arc<u8>>,
        begun: (mpsc::Sender<u8>, mpsc::Receiver<u8>),
    }

    impl Rig {
        fn new(join_limit: Duration) -> Self {
            Self { refresh: BackgroundRefresh::new(join_limit), begun: mpsc::channel() }
        }

        /// Joins with a job that reports `number` at its start, and returns what is sent to it.
        fn join(&self, key: u8, number: u8) -> (JobFuture<Arc<u8>>, mpsc::Sender<u8>) {
            let begun = self.begun.0.clone();
            let (end, ended) = mpsc::channel();
            let run = move |_: &dyn Fn(_)| {
                begun.send(number).unwrap();
                Arc::new(ended.recv().unwrap())
            };
            (self.refresh.join(key, run).unwrap(), end)
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
    fn a_running_job_is_joined_and_its_result_is_shared() {
        let rig = Rig::new(LONG);
        let (first, end) = rig.join(1, 1);
        assert_eq!(rig.began(), 1);
        let (second, unused) = rig.join(1, 2);
        assert!(unused.send(0).is_err(), "the second job is dropped");
        end.send(7).unwrap();
        let (first, second) = (block_on(first).unwrap(), block_on(second).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
    }

    /// As an executor that polls or drops its futures inside `wake`.
    #[test]
    fn a_waker_may_use_other_futures_of_the_job() {
        struct Dropping(Mutex<Option<JobFuture<Arc<u8>>>>, mpsc::Sender<()>);
        impl std::task::Wake for Dropping {
            fn wake(self: Arc<Self>) {
                drop(lock(&self.0).take());
                self.1.send(()).unwrap();
            }
        }
        let rig = Rig::new(LONG);
        let (first, end) = rig.join(1, 1);
        assert_eq!(rig.began(), 1);
        let (other, _unused) = rig.join(1, 2);
        let (sender, woken) = mpsc::channel();
        let waker = Waker::from(Arc::new(Dropping(Mutex::new(Some(other)), sender)));
        let mut first = Box::pin(first);
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        end.send(7).unwrap();
        if woken.recv_timeout(Duration::from_secs(30)).is_err() {
            mem::forget(first); // its drop would wait for the lock
            panic!("a lock is held during `wake`");
        }
        assert_eq!(*block_on(first).unwrap(), 7);
    }

    #[test]
    fn a_job_that_has_finished_or_has_another_key_is_not_joined() {
        let rig = Rig::new(LONG);
        let (first, end_first) = rig.join(1, 1);
        let (other, end_other) = rig.join(2, 2);
        let mut began = [rig.began(), rig.began()];
        began.sort_unstable();
        assert_eq!(began, [1, 2]);
        end_first.send(10).unwrap();
        end_other.send(20).unwrap();
        assert_eq!(*block_on(first).unwrap(), 10);
        while other.job.is_running() {
            thread::yield_now();
        }
        let (next, end_next) = rig.join(2, 3);
        assert_eq!(rig.began(), 3);
        end_next.send(30).unwrap();
        assert_eq!((*block_on(other).unwrap(), *block_on(next).unwrap()), (20, 30));
    }

    #[test]
    fn a_job_that_runs_longer_than_the_limit_is_not_joined() {
        let rig = Rig::new(Duration::ZERO);
        let (first, end_first) = rig.join(1, 1);
        let (second, end_second) = rig.join(1, 2);
        end_second.send(2).unwrap();
        assert_eq!(*block_on(second).unwrap(), 2);
        assert!(first.job.is_running());
        end_first.send(1).unwrap();
        assert_eq!(*block_on(first).unwrap(), 1);
    }

    #[test]
    fn a_job_that_panics_has_finished_without_a_result() {
        let refresh = BackgroundRefresh::<_, u8>::new(LONG);
        let wait = refresh.join(1, |_| panic!("a fault")).unwrap();
        assert_eq!(block_on(wait), None);
        assert_eq!(block_on(refresh.join(1, |_| 1).unwrap()), Some(1));
    }

    #[test]
    fn a_result_that_was_published_early_stays_even_if_the_job_panics() {
        let refresh = BackgroundRefresh::<_, u8>::new(LONG);
        let wait = refresh.join(1, |publish| {
            publish(1);
            publish(2);
            panic!("a fault")
        });
        assert_eq!(block_on(wait.unwrap()), Some(1));
    }

    #[test]
    fn a_result_is_dropped_with_the_last_future() {
        let rig = Rig::new(LONG);
        let (wait, end) = rig.join(1, 1);
        end.send(1).unwrap();
        let yielded = Arc::downgrade(&block_on(wait).unwrap());
        while yielded.strong_count() > 0 {
            thread::yield_now(); // until the thread has dropped its job
        }

        let (wait, end) = rig.join(1, 2);
        let job = Arc::downgrade(&wait.job);
        drop(wait);
        end.send(2).unwrap();
        while job.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
