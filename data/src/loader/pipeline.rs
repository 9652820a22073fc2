//! Jobs done by threads, their results handed out in the order of the jobs.
//!
//! Workers take jobs from one source in order, at most `ahead` more than have been handed out, and put results on a
//! board; the consumer takes them from there in the order of the jobs. The source has a lock of its own, under which a
//! worker may wait as long as it likes: the consumer never takes it. Dropping the pipeline tells the workers to stop and
//! waits for none of them: a worker that is caught in a job ends when the job does.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flambeau_tensor::{Error, Result, is_grad_enabled, pool, set_grad_enabled};

/// What makes a batch.
pub(crate) type Job<B> = Box<dyn FnOnce() -> Result<B> + Send>;

/// The jobs of an epoch, in order.
pub(crate) type Jobs<B> = Box<dyn Iterator<Item = Job<B>> + Send>;

/// Which worker of a loader a thread is (`torch.utils.data.get_worker_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The worker's number, from 0.
    pub id: usize,
    /// How many workers the loader has.
    pub num_workers: usize,
}

thread_local! {
    static WORKER: Cell<Option<WorkerInfo>> = const { Cell::new(None) };
}

/// Which worker of a loader this thread is; `None` on other threads.
#[doc(alias = "get_worker_info")]
pub fn worker_info() -> Option<WorkerInfo> {
    WORKER.get()
}

/// Locks; a panic of another holder does not matter, because all panics are caught before they reach shared values.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `f`; its error, or its panic as an error, begins with `place`.
pub(crate) fn guarded<T>(place: impl Display, f: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|error| error.context(place)),
        Err(panic) => Err(Error::Backend(format!(
            "{place}: panicked: {}",
            message_of(&*panic)
        ))),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The next job; what the source panics with becomes a job that fails with it.
pub(crate) fn next_job<B: 'static>(jobs: &mut Jobs<B>) -> Option<Job<B>> {
    match guarded("the order or stream of samples", || Ok(jobs.next())) {
        Ok(job) => job,
        Err(error) => Some(Box::new(move || Err(error))),
    }
}

/// What workers and consumer tell each other.
struct Board<B> {
    /// Results that are not handed out yet, by the number of their job.
    ready: BTreeMap<u64, Result<B>>,
    /// How many jobs have been taken from the source.
    issued: u64,
    /// How many results have been handed out.
    taken: u64,
    /// The number of results that there will be, once it is known: all jobs, or those up to one that failed.
    end: Option<u64>,
    /// The consumer has gone.
    stopped: bool,
}

struct Shared<B> {
    jobs: Mutex<Jobs<B>>,
    board: Mutex<Board<B>>,
    /// There is a new result, or the end is known.
    news: Condvar,
    /// A result was handed out, the end is known, or the consumer has gone. One worker waits at a time: it holds `jobs`.
    space: Condvar,
    /// How many jobs may be under way or done beyond those handed out.
    ahead: u64,
}

/// A running set of workers.
pub(crate) struct Pipeline<B> {
    shared: Arc<Shared<B>>,
    timeout: Option<Duration>,
}

impl<B: Send + 'static> Pipeline<B> {
    /// Starts `workers` threads on `jobs`. They record operations if the calling thread does.
    pub(crate) fn start(
        jobs: Jobs<B>,
        workers: usize,
        ahead: usize,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            jobs: Mutex::new(jobs),
            board: Mutex::new(Board {
                ready: BTreeMap::new(),
                issued: 0,
                taken: 0,
                end: None,
                stopped: false,
            }),
            news: Condvar::new(),
            space: Condvar::new(),
            ahead: ahead as u64,
        });
        // Its drop stops the threads that have started if another can't be.
        let pipeline = Pipeline { shared, timeout };
        let grad_enabled = is_grad_enabled();
        for id in 0..workers {
            let shared = pipeline.shared.clone();
            let run = move || {
                WORKER.set(Some(WorkerInfo {
                    id,
                    num_workers: workers,
                }));
                set_grad_enabled(grad_enabled);
                // Workers are the parallelism.
                pool::stay_serial();
                shared.work();
            };
            std::thread::Builder::new()
                .name(format!("data-worker-{id}"))
                .spawn(run)
                .map_err(|error| Error::Io(format!("DataLoader: worker {id} can't be started: {error}")))?;
        }
        Ok(pipeline)
    }

    /// The next result, in the order of the jobs; `None` after the last, or after a job that failed.
    pub(crate) fn next(&mut self) -> Option<Result<B>> {
        let deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let mut board = lock(&self.shared.board);
        loop {
            let number = board.taken;
            // Later jobs than one that failed may be done; they are not handed out.
            if board.stopped || board.end.is_some_and(|end| number >= end) {
                return None;
            }
            if let Some(result) = board.ready.remove(&number) {
                board.taken += 1;
                self.shared.space.notify_one();
                return Some(result);
            }
            let Some(deadline) = deadline else {
                board = self
                    .shared
                    .news
                    .wait(board)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                board.stopped = true;
                self.shared.space.notify_one();
                let waited = self.timeout.unwrap_or_default();
                return Some(Err(Error::Backend(format!(
                    "DataLoader: batch {number} did not come within {waited:?}"
                ))));
            }
            board = match self.shared.news.wait_timeout(board, left) {
                Ok((board, _)) => board,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl<B> Drop for Pipeline<B> {
    fn drop(&mut self) {
        let mut board = lock(&self.shared.board);
        board.stopped = true;
        self.shared.space.notify_one();
        let unused = std::mem::take(&mut board.ready);
        // Values are dropped without the lock: their drop is code that we don't know.
        drop(board);
        drop(unused);
    }
}

impl<B: Send + 'static> Shared<B> {
    /// Does jobs until there are no more.
    fn work(&self) {
        while let Some((number, job)) = self.take_job() {
            let result = guarded("DataLoader", job);
            let mut board = lock(&self.board);
            if board.stopped {
                // Later results are of no use; `result` is dropped after the lock.
                drop(board);
                return;
            }
            if result.is_err() {
                self.end_at(&mut board, number + 1);
            }
            board.ready.insert(number, result);
            self.news.notify_one();
        }
    }

    /// Waits until another job may be begun, and takes it with its number.
    fn take_job(&self) -> Option<(u64, Job<B>)> {
        let mut jobs = lock(&self.jobs);
        let mut board = lock(&self.board);
        while !board.stopped && board.end.is_none() && board.issued >= board.taken + self.ahead {
            board = self.space.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
        if board.stopped || board.end.is_some() {
            return None;
        }
        drop(board);
        // The board is free meanwhile: a stream may take its time.
        let job = next_job(&mut jobs);
        let mut board = lock(&self.board);
        let number = board.issued;
        let Some(job) = job else {
            self.end_at(&mut board, number);
            return None;
        };
        board.issued += 1;
        Some((number, job))
    }

    /// No results from `number` on are wanted.
    fn end_at(&self, board: &mut Board<B>, number: u64) {
        board.end = Some(board.end.map_or(number, |end| end.min(number)));
        self.news.notify_one();
        self.space.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn jobs_of(n: u64, job: impl Fn(u64) -> Result<u64> + Send + Sync + 'static) -> Jobs<u64> {
        let job = Arc::new(job);
        Box::new((0..n).map(move |i| {
            let job = job.clone();
            Box::new(move || job(i)) as Job<u64>
        }))
    }

    fn results(mut pipeline: Pipeline<u64>) -> Vec<Result<u64, String>> {
        std::iter::from_fn(|| pipeline.next())
            .map(|result| result.map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn results_come_in_order() {
        for workers in [1, 2, 4] {
            for ahead in [1, 3, 100] {
                let pipeline = Pipeline::start(jobs_of(20, |i| Ok(i * i)), workers, ahead, None).unwrap();
                let expected: Vec<_> = (0..20).map(|i| Ok(i * i)).collect();
                assert_eq!(results(pipeline), expected);
            }
        }
    }

    #[test]
    fn no_more_is_begun_than_allowed() {
        let (begun, count) = mpsc::channel();
        let job = move |i| {
            begun.send(i).map_err(|e| Error::Value(e.to_string()))?;
            Ok(i)
        };
        let mut pipeline = Pipeline::start(jobs_of(100, job), 4, 3, None).unwrap();
        for i in 0..10 {
            assert_eq!(pipeline.next().unwrap().unwrap(), i);
        }
        // The workers have room for jobs up to number 12, and can't get beyond.
        drop(pipeline);
        assert!(count.iter().all(|i| i < 13));
    }

    #[test]
    fn the_first_error_is_the_last_result() {
        for workers in [1, 4] {
            let job = |i| match i {
                3 => Err(Error::Value("three".to_string())),
                5 => panic!("five"),
                _ => Ok(i),
            };
            let pipeline = Pipeline::start(jobs_of(100, job), workers, 8, None).unwrap();
            let expected = [Ok(0), Ok(1), Ok(2), Err("DataLoader: three".to_string())];
            assert_eq!(results(pipeline), expected);
        }
    }

    #[test]
    fn panics_become_errors() {
        let pipeline = Pipeline::start(jobs_of(9, |_| panic!("at work")), 2, 2, None).unwrap();
        assert_eq!(
            results(pipeline),
            [Err("DataLoader: panicked: at work".to_string())]
        );
        let source: Jobs<u64> = Box::new(std::iter::from_fn(|| panic!("in the source")));
        let pipeline = Pipeline::start(source, 2, 2, None).unwrap();
        let [Err(error)] = &results(pipeline)[..] else {
            panic!("expected one error")
        };
        assert_eq!(
            error,
            "DataLoader: the order or stream of samples: panicked: in the source"
        );
    }

    #[test]
    fn neither_drop_nor_timeout_waits_for_a_worker_that_is_caught() {
        for timeout in [None, Some(Duration::from_millis(1))] {
            let (release, caught) = mpsc::channel::<()>();
            let caught = Mutex::new(caught);
            let (begun, has_begun) = mpsc::channel();
            let job = move |i| {
                begun.send(()).map_err(|e| Error::Value(e.to_string()))?;
                // Ends when `release` is dropped: after the pipeline.
                let _ = lock(&caught).recv();
                Ok(i)
            };
            let mut pipeline = Pipeline::start(jobs_of(9, job), 2, 4, timeout).unwrap();
            has_begun.recv().unwrap();
            if timeout.is_some() {
                let error = pipeline.next().unwrap().unwrap_err().to_string();
                assert_eq!(error, "DataLoader: batch 0 did not come within 1ms");
                assert!(pipeline.next().is_none());
            }
            drop(pipeline);
            drop(release);
        }
    }

    #[test]
    fn a_worker_knows_that_it_is_one() {
        assert_eq!(worker_info(), None);
        let job = |i| {
            let info = worker_info().ok_or(Error::Value("not a worker".to_string()))?;
            assert!(info.num_workers == 3 && info.id < 3);
            Ok(i)
        };
        assert_eq!(
            results(Pipeline::start(jobs_of(4, job), 3, 2, None).unwrap()).len(),
            4
        );
    }
}
