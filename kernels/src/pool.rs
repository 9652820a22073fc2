//! A fork-join thread pool for kernels: the caller and `num_threads() - 1` parked workers.
//!
//! A parallel call publishes one job and deals its tasks out in as many consecutive shares as there are threads. A thread
//! works through its own share in order, so that it walks through memory without gaps (where threads take turns, the
//! hardware's prefetching starts over at every gap), then helps the others from the ends of theirs. A
//! worker that wakes too late finds the job closed and never delays the caller. Calls from inside a task, and calls while
//! another thread holds the pool, run serially. Work below about 8,000 elements is not worth a fork (about 1 µs);
//! callers decide.
//!
//! How work is cut into tasks must not depend on the number of threads, so that sums are the same bits everywhere:
//! use [`chunk_len`] or sizes of your own.
//!
//! The number of threads is `FLAMBEAU_NUM_THREADS`, else `RAYON_NUM_THREADS`, else the machine's parallelism, and can
//! be changed by [`set_num_threads`].

use std::cell::Cell;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;

use crate::isa;

/// Calls `f(0), …, f(tasks - 1)`, spread over the threads. Returns when all are done.
///
/// # Panics
/// If a task panics, the panic reaches the caller after the other tasks of this call have ended.
pub fn parallel_for(tasks: usize, f: impl Fn(usize) + Sync) {
    run(tasks, &f)
}

/// Calls `f` with consecutive ranges that cover `0..len`, each of `chunk` elements but for the last.
pub fn parallel_ranges(len: usize, chunk: usize, f: impl Fn(Range<usize>) + Sync) {
    let chunk = chunk.max(1);
    run(len.div_ceil(chunk), &|i| f(i * chunk..((i + 1) * chunk).min(len)))
}

/// Splits `out` into pieces of `chunk` elements (the last may be shorter) and calls `f(first_index, piece)` for each.
pub fn parallel_chunks_mut<T: Send>(out: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (len, base) = (out.len(), SendPtr(out.as_mut_ptr()));
    parallel_ranges(len, chunk, |r| {
        // SAFETY: the ranges of one call are disjoint and inside `out`, which is borrowed mutably for the whole call.
        let piece = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(r.start), r.len()) };
        f(r.start, piece)
    })
}

/// Calls `f(0), …, f(tasks - 1)`, few and long tasks that make parallel calls of their own: at the same time where there are no more
/// threads than tasks, else one after the other, each with all threads. As it depends on the number of threads, a task's result
/// must not depend on how its own calls are spread.
pub fn side_by_side(tasks: usize, f: impl Fn(usize) + Sync) {
    if num_threads() <= tasks {
        parallel_for(tasks, f)
    } else {
        (0..tasks).for_each(f)
    }
}

/// The threads that a parallel call of this thread may use: one inside of a task, where such calls run serially.
pub fn available_threads() -> usize {
    if INSIDE.get() { 1 } else { num_threads() }
}

/// A chunk length for `len` elements: at least `min`, at most 128 chunks, a multiple of 64, and never a function of
/// the number of threads.
pub fn chunk_len(len: usize, min: usize) -> usize {
    len.div_ceil(128).max(min).max(1).next_multiple_of(64)
}

/// A raw pointer that may cross threads; whoever uses it keeps the accesses disjoint.
#[derive(Debug)]
pub struct SendPtr<T>(pub *mut T);

impl<T> Clone for SendPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SendPtr<T> {}

// SAFETY: the pointer itself is plain data; every dereference is justified where it happens.
unsafe impl<T> Send for SendPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SendPtr<T> {}

impl<T> SendPtr<T> {
    /// The pointer. (A method, so that closures capture the wrapper and not its field.)
    #[inline(always)]
    pub fn ptr(self) -> *mut T {
        self.0
    }
}

/// The number of threads that parallel calls may use, the caller included.
pub fn num_threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => {
            let n = default_threads();
            THREADS.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

/// Sets the number of threads for the whole process, from 1 to [`MAX_THREADS`].
pub fn set_num_threads(n: usize) {
    THREADS.store(n.clamp(1, MAX_THREADS), Ordering::Relaxed);
}

/// The most threads that the pool will start.
pub const MAX_THREADS: usize = 256;

static THREADS: AtomicUsize = AtomicUsize::new(0);

fn default_threads() -> usize {
    let from_env = |name| {
        std::env::var(name)
            .ok()
            .and_then(|v: String| v.trim().parse::<usize>().ok())
    };
    from_env("FLAMBEAU_NUM_THREADS")
        .or_else(|| from_env("RAYON_NUM_THREADS"))
        .filter(|&n| n > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
        .clamp(1, MAX_THREADS)
}

type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// `state` = OPEN while workers may join, plus the number of workers inside the job.
const OPEN: u64 = 1 << 63;
/// About 100 µs of spinning before a worker parks.
const SPINS: u32 = 4000;

struct Shared {
    state: AtomicU64,
    generation: AtomicU64,
    /// The threads of the current job, the caller included; the others stay out.
    threads: AtomicUsize,
    shares: [Share; MAX_THREADS],
    /// Address of a `Job` on the caller's stack; valid while the state is not zero.
    job: AtomicUsize,
    /// The caller's instruction set.
    isa: AtomicU8,
    panicked: AtomicBool,
}

/// The tasks of a thread that nobody has taken yet, `start..end` as two halves of one word, on a cache line of its own.
#[repr(align(64))]
struct Share(AtomicU64);

impl Share {
    fn set(&self, tasks: Range<usize>) {
        self.0
            .store((tasks.start as u64) << 32 | tasks.end as u64, Ordering::Relaxed);
    }

    /// The first task, for the thread whose share it is.
    #[inline]
    fn take_first(&self) -> Option<usize> {
        self.take(|start, end| (start, (start + 1, end)))
    }

    /// The last task, for the others.
    #[inline]
    fn take_last(&self) -> Option<usize> {
        self.take(|start, end| (end - 1, (start, end - 1)))
    }

    #[inline]
    fn take(&self, cut: impl Fn(u64, u64) -> (u64, (u64, u64))) -> Option<usize> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (start, end) = (word >> 32, word & u64::from(u32::MAX));
            if start == end {
                return None;
            }
            let (task, (start, end)) = cut(start, end);
            match self
                .0
                .compare_exchange_weak(word, start << 32 | end, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(task as usize),
                Err(now) => word = now,
            }
        }
    }
}

struct Worker {
    thread: Thread,
    asleep: &'static AtomicBool,
}

static SHARED: Shared = Shared {
    state: AtomicU64::new(0),
    generation: AtomicU64::new(0),
    threads: AtomicUsize::new(0),
    shares: [const { Share(AtomicU64::new(0)) }; MAX_THREADS],
    job: AtomicUsize::new(0),
    isa: AtomicU8::new(0),
    panicked: AtomicBool::new(false),
};
/// The lock is held for the length of a parallel call; it guards the list of workers.
static WORKERS: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

/// Makes the parallel calls of this thread run serially from now on: for threads that are one of several at work, which
/// would only wait for each other's tasks.
pub fn stay_serial() {
    INSIDE.set(true);
}

fn run(tasks: usize, job: Job<'_>) {
    let threads = num_threads().min(tasks);
    if threads < 2 || tasks > u32::MAX as usize || INSIDE.get() {
        return (0..tasks).for_each(job);
    }
    let Ok(mut workers) = WORKERS.try_lock() else {
        return (0..tasks).for_each(job);
    };
    let shared = &SHARED;
    while workers.len() + 1 < threads {
        match spawn(shared, workers.len() + 1) {
            Some(worker) => workers.push(worker),
            None => break,
        }
    }
    let _inside = Inside::enter();
    shared.job.store(&raw const job as usize, Ordering::Relaxed);
    shared.isa.store(isa::current() as u8, Ordering::Relaxed);
    shared.threads.store(threads, Ordering::Relaxed);
    for (i, share) in shared.shares.iter().enumerate().take(threads) {
        share.set(tasks * i / threads..tasks * (i + 1) / threads);
    }
    shared.panicked.store(false, Ordering::Relaxed);
    shared.state.store(OPEN, Ordering::Release);
    shared.generation.fetch_add(1, Ordering::SeqCst);
    for worker in workers.iter().take(threads - 1) {
        if worker.asleep.load(Ordering::SeqCst) {
            worker.thread.unpark();
        }
    }
    let close = Close(shared);
    take_tasks(shared, 0, job);
    drop(close);
    if shared.panicked.load(Ordering::Relaxed) {
        panic!("a task of a parallel kernel panicked; its message is above");
    }
}

/// Closes the job and waits for the workers inside it, also while unwinding: the job lives on the caller's stack.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while self.0.state.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < 20_000 {
                std::hint::spin_loop()
            } else {
                std::thread::yield_now()
            }
        }
    }
}

/// Marks this thread as being inside a task, so that nested calls run serially.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE.set(true);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// Runs the tasks of share `own`, then what is left of the others'.
fn take_tasks(shared: &Shared, own: usize, job: Job<'_>) {
    while let Some(task) = shared.shares[own].take_first() {
        job(task);
    }
    let threads = shared.threads.load(Ordering::Relaxed);
    for other in (own + 1..threads).chain(0..own) {
        while let Some(task) = shared.shares[other].take_last() {
            job(task);
        }
    }
}

/// Starts the thread of share `index`.
fn spawn(shared: &'static Shared, index: usize) -> Option<Worker> {
    let asleep: &'static AtomicBool = Box::leak(Box::default());
    let seen = shared.generation.load(Ordering::SeqCst);
    let handle = std::thread::Builder::new()
        .name(format!("flambeau-{index}"))
        .spawn(move || work(shared, index, asleep, seen))
        .ok()?;
    Some(Worker {
        thread: handle.thread().clone(),
        asleep,
    })
}

fn work(shared: &'static Shared, index: usize, asleep: &'static AtomicBool, mut seen: u64) {
    INSIDE.set(true);
    loop {
        let mut spins = 0;
        while shared.generation.load(Ordering::Acquire) == seen {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            asleep.store(true, Ordering::SeqCst);
            if shared.generation.load(Ordering::SeqCst) == seen {
                std::thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
            spins = 0;
        }
        seen = shared.generation.load(Ordering::Acquire);
        if !join(shared) {
            continue;
        }
        if index < shared.threads.load(Ordering::Relaxed) {
            isa::set_numbered(shared.isa.load(Ordering::Relaxed));
            // SAFETY: the state counts this worker, so the caller waits in `Close` and its job is still alive.
            let job: Job<'_> = unsafe { *(shared.job.load(Ordering::Relaxed) as *const Job<'_>) };
            let result =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| take_tasks(shared, index, job)));
            if result.is_err() {
                shared.panicked.store(true, Ordering::Relaxed);
            }
        }
        shared.state.fetch_sub(1, Ordering::Release);
    }
}

/// Enters the current job unless it has been closed.
fn join(shared: &Shared) -> bool {
    shared
        .state
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |s| {
            (s & OPEN != 0).then_some(s + 1)
        })
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tasks_run_once_each_however_many_threads_there_are() {
        for threads in [1, 2, 3] {
            set_num_threads(threads);
            let counts = [const { AtomicUsize::new(0) }; 2];
            side_by_side(2, |task| {
                parallel_for(100, |_| {
                    counts[task].fetch_add(1, Ordering::Relaxed);
                })
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 100));
        }
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            set_num_threads(threads);
            for tasks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                parallel_for(tasks, |i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_share_is_emptied_from_both_ends() {
        let share = Share(AtomicU64::new(0));
        share.set(3..6);
        let taken = [share.take_last(), share.take_first(), share.take_first()];
        assert_eq!(taken, [Some(5), Some(3), Some(4)]);
        assert_eq!((share.take_first(), share.take_last()), (None, None));
    }

    #[test]
    fn nested_and_concurrent_calls_work() {
        let total = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..100 {
                        parallel_for(8, |_| {
                            parallel_for(4, |_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            })
                        })
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 4 * 100 * 8 * 4);
    }

    #[test]
    fn chunks_are_disjoint_and_complete() {
        let mut out = vec![0usize; 1000];
        parallel_chunks_mut(&mut out, 64, |start, piece| {
            for (i, o) in piece.iter_mut().enumerate() {
                *o += start + i;
            }
        });
        assert!(out.iter().enumerate().all(|(i, &o)| i == o));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let result = std::panic::catch_unwind(|| parallel_for(16, |i| assert_ne!(i, 7)));
        assert!(result.is_err());
        every_task_runs_once();
    }
}
