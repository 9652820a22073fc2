//! The machine's limits, measured at the start of a run with its number of threads: what a workload reaches is a share of them.
//! That of arithmetic is also looked at before and after every measurement ([`crate::load`]), and the most that was ever found counts.
//!
//! Arithmetic: multiply-adds of `f32` between registers, in the widest vectors that kernels use, in chains enough to hide
//! their latency. Memory: a large array is summed, and copied to another, in one stretch per thread; a copied byte counts twice, as it is
//! read and written. Each is the best of several tries, since a limit is what nothing disturbed.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use flambeau_tensor::isa::{self, Isa};
use serde_json::{Value, json};

use crate::workload::Work;

/// Bytes of the arrays that all threads read and write together: many times what caches hold.
const ARRAY_BYTES: usize = 256 << 20;
const TRIES: usize = 5;
/// Rounds of a chain of multiply-adds: about ten milliseconds.
const ROUNDS: usize = 1 << 22;
/// The same for a look: about three.
const FEW_ROUNDS: usize = 1 << 20;

/// What the machine can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peaks {
    /// 10⁹ additions and multiplications per second.
    pub(crate) gflops: f64,
    /// 10⁹ bytes per second that are read.
    read_gbs: f64,
    /// 10⁹ bytes per second that are read and written, each half of them.
    copy_gbs: f64,
}

impl Peaks {
    /// Measures with `threads` threads, for about half a second.
    pub(crate) fn measure(threads: usize) -> Peaks {
        let words = ARRAY_BYTES / threads / size_of::<u64>();
        let arrays = || (vec![1u64; words], vec![2u64; words]);
        let bytes = (words * threads * size_of::<u64>()) as f64;
        Peaks {
            gflops: gflops(threads, ROUNDS),
            read_gbs: best(threads, arrays, |(from, _)| {
                black_box(sum(from));
                bytes / threads as f64
            }) / 1e9,
            copy_gbs: best(threads, arrays, |(from, to)| {
                black_box(&mut *to).copy_from_slice(black_box(from));
                2.0 * bytes / threads as f64
            }) / 1e9,
        }
    }

    /// The part of the limit that `work` in `ms` milliseconds reaches. Data that stay in the caches can go beyond that of memory.
    pub(crate) fn share(&self, work: Work, ms: f64) -> Option<f64> {
        match work {
            Work::Gflop(gflop) => Some(gflop / ms * 1e3 / self.gflops),
            Work::Gb(gb) => Some(gb / ms * 1e3 / self.read_gbs.max(self.copy_gbs)),
            Work::Unstated => None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "gflops": self.gflops, "read_gbs": self.read_gbs, "copy_gbs": self.copy_gbs })
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{:.0} GFLOP/s between registers, {:.1} GB/s read and {:.1} GB/s copied in memory",
            self.gflops, self.read_gbs, self.copy_gbs
        )
    }
}

/// 10⁹ additions and multiplications per second that the machine does just now.
pub(crate) fn gflops_now(threads: usize) -> f64 {
    gflops(threads, FEW_ROUNDS)
}

fn gflops(threads: usize, rounds: usize) -> f64 {
    best(threads, || (), |_| multiply_adds(rounds) as f64 * 2.0) / 1e9
}

#[cfg(test)]
impl Peaks {
    pub(crate) fn of(gflops: f64, gbs: f64) -> Peaks {
        Peaks {
            gflops,
            read_gbs: gbs,
            copy_gbs: gbs,
        }
    }
}

/// The most work per second that `threads` threads do side by side. Each makes its data itself; `work` says how much it did.
fn best<D>(threads: usize, data: impl Fn() -> D + Sync, work: impl Fn(&mut D) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let worker = || {
        let mut data = data();
        work(&mut data);
        let mut tries = [(0.0, Instant::now(), Instant::now()); TRIES];
        for (done, begin, end) in &mut tries {
            barrier.wait();
            *begin = Instant::now();
            *done = work(&mut data);
            *end = Instant::now();
        }
        tries
    };
    let all: Vec<[(f64, Instant, Instant); TRIES]> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        handles
            .into_iter()
            .filter_map(|handle| handle.join().ok())
            .collect()
    });
    let rate = |at: usize| {
        let tries = || all.iter().map(|tries| tries[at]);
        let begin = tries().map(|(_, begin, _)| begin).min();
        let end = tries().map(|(_, _, end)| end).max();
        let seconds = begin
            .zip(end)
            .map_or(f64::INFINITY, |(begin, end)| (end - begin).as_secs_f64());
        tries().map(|(done, ..)| done).sum::<f64>() / seconds
    };
    (0..TRIES).map(rate).fold(0.0, f64::max)
}

fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    let (chunks, rest) = words.as_chunks::<16>();
    for chunk in chunks {
        sums.iter_mut()
            .zip(chunk)
            .for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    rest.iter()
        .chain(&sums)
        .fold(0, |all, word| all.wrapping_add(*word))
}

/// Multiplies and adds `f32` in registers, and says how often.
fn multiply_adds(rounds: usize) -> usize {
    match isa::current() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa::current` never exceeds what the machine has.
        Isa::Avx512 => unsafe { x86::avx512(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { x86::avx2(rounds) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => neon(rounds),
        _ => baseline(rounds),
    }
}

/// Chains of `x = x · a + b` in registers of one kind.
macro_rules! chains {
    ($rounds:expr, $count:literal chains of $lanes:literal, $splat:expr, $fma:expr) => {{
        let (a, b) = ($splat(black_box(0.5)), $splat(black_box(1.0)));
        let mut chains = [$splat(black_box(0.0)); $count];
        for _ in 0..$rounds {
            for chain in &mut chains {
                *chain = $fma(*chain, a, b);
            }
        }
        black_box(chains);
        $rounds * $count * $lanes
    }};
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(rounds: usize) -> usize {
        chains!(rounds, 16 chains of 16, |x| _mm512_set1_ps(x), |x, a, b| _mm512_fmadd_ps(x, a, b))
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(rounds: usize) -> usize {
        chains!(rounds, 12 chains of 8, |x| _mm256_set1_ps(x), |x, a, b| _mm256_fmadd_ps(x, a, b))
    }
}

#[cfg(target_arch = "aarch64")]
fn neon(rounds: usize) -> usize {
    use std::arch::aarch64::*;
    // SAFETY: NEON is part of the target's baseline.
    chains!(rounds, 16 chains of 4, |x| unsafe { vdupq_n_f32(x) }, |x, a, b| unsafe { vfmaq_f32(b, x, a) })
}

/// Products and sums one after the other, as the portable kernels compute.
fn baseline(rounds: usize) -> usize {
    let step = |x: [f32; 4], a: [f32; 4], b: [f32; 4]| std::array::from_fn(|i| x[i] * a[i] + b[i]);
    chains!(rounds, 12 chains of 4, |x: f32| [x; 4], step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_positive_and_work_is_a_share_of_them() {
        let rate = best(2, || vec![1u64; 1000], |words| sum(words) as f64);
        assert!(rate > 0.0 && rate.is_finite());
        let now = gflops_now(2);
        assert!(now > 0.0 && now.is_finite());
        let peaks = Peaks::of(200.0, 20.0);
        assert_eq!(peaks.share(Work::Gflop(1.0), 10.0), Some(0.5));
        assert_eq!(peaks.share(Work::Gb(0.1), 10.0), Some(0.5));
        assert_eq!(peaks.share(Work::Unstated, 10.0), None);
    }

    #[test]
    fn multiply_adds_are_counted() {
        assert!(baseline(3) == 3 * 12 * 4 && multiply_adds(10) >= 10 * 12 * 4);
        let words: Vec<u64> = (0..100).collect();
        assert_eq!(sum(&words), 4950);
    }
}
