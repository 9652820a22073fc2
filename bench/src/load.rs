//! Whether a measurement was disturbed: by other processes, of which `/proc` tells (Linux; elsewhere nothing is known), or by
//! neighbours outside this system, which show only in how slowly the machine multiplies right before and after it.

use std::fs;
use std::time::Instant;

use anyhow::Result;

use crate::clock::Measurement;
use crate::peak;

/// A measurement is disturbed when other processes kept more than this many processors busy.
pub(crate) const QUIET: f64 = 0.1;
/// And when the machine did less than this part of the multiply-adds that it can do.
pub(crate) const STEADY: f64 = 0.85;

/// The unit of the times in `/proc`, in seconds: Linux shows hundredths on every machine.
const TICK: f64 = 0.01;

/// Repeats measurements that are disturbed.
pub(crate) struct Guard {
    threads: usize,
    retries: u32,
    /// 10⁹ multiplications and additions per second at most, as far as is known.
    gflops: f64,
}

impl Guard {
    /// A guard that repeats up to `retries` times, on a machine that does `gflops` as far as is known.
    pub(crate) fn new(threads: usize, retries: u32, gflops: f64) -> Self {
        Guard {
            threads,
            retries,
            gflops,
        }
    }

    /// The most that the machine did so far.
    pub(crate) fn gflops(&self) -> f64 {
        self.gflops
    }

    /// Measures until nobody disturbs, at most `1 + retries` times, and returns the least disturbed measurement; nothing
    /// if `measure` finds nothing to measure.
    pub(crate) fn undisturbed(
        &mut self,
        mut measure: impl FnMut() -> Result<Option<Measurement>>,
    ) -> Result<Option<Measurement>> {
        let threads = self.threads;
        self.least_disturbed(|| {
            let speed = peak::gflops_now(threads);
            let (before, begin) = (Times::now(), Instant::now());
            let measured = measure()?;
            let seconds = before
                .zip(Times::now())
                .map(|(before, after)| after.others_since(before));
            let others = seconds.map(|seconds| seconds / begin.elapsed().as_secs_f64());
            let speeds = Some([speed, peak::gflops_now(threads)]);
            Ok(measured.map(|measured| Measurement {
                others,
                speeds,
                ..measured
            }))
        })
    }

    fn least_disturbed(
        &mut self,
        mut measure: impl FnMut() -> Result<Option<Measurement>>,
    ) -> Result<Option<Measurement>> {
        let mut all: Vec<Measurement> = Vec::new();
        for _ in 0..=self.retries {
            let Some(measured) = measure()? else {
                return Ok(None);
            };
            for speed in measured.speeds.into_iter().flatten() {
                self.gflops = self.gflops.max(speed);
            }
            all.push(measured);
            if disturbance(&measured, self.gflops) <= 1.0 {
                break;
            }
        }
        let least = |a: &Measurement, b: &Measurement| {
            disturbance(a, self.gflops).total_cmp(&disturbance(b, self.gflops))
        };
        Ok(all.into_iter().min_by(least))
    }
}

/// How much a measurement was disturbed on a machine that does `gflops` at most: up to 1, it was not.
pub(crate) fn disturbance(measured: &Measurement, gflops: f64) -> f64 {
    let slowest = measured
        .speeds
        .map_or(gflops, |[before, after]| before.min(after));
    let missing = (1.0 - slowest / gflops) / (1.0 - STEADY);
    let others = measured.others.unwrap_or(0.0) / QUIET;
    missing.max(others)
}

/// Processor time since the machine started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Times {
    /// Of everybody.
    all: f64,
    /// Of this process and those of its children that have ended.
    own: f64,
}

impl Times {
    fn now() -> Option<Times> {
        Some(Times {
            all: all(&fs::read_to_string("/proc/stat").ok()?)?,
            own: own(&fs::read_to_string("/proc/self/stat").ok()?)?,
        })
    }

    /// Seconds that others used.
    fn others_since(self, before: Times) -> f64 {
        ((self.all - before.all) - (self.own - before.own)).max(0.0) * TICK
    }
}

/// From the first line of `/proc/stat`: user, nice, system, (idle, waiting,) interrupts, soft interrupts, stolen.
fn all(stat: &str) -> Option<f64> {
    let mut words = stat.lines().next()?.split_whitespace();
    if words.next() != Some("cpu") {
        return None;
    }
    let ticks: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&i| ticks.get(i))
        .sum::<f64>();
    (ticks.len() >= 8).then_some(busy)
}

/// From `/proc/self/stat`: user and system time, of the process and of its children. The fields are counted from the
/// closing parenthesis, because the program's name before it may hold anything.
fn own(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Option<Vec<f64>> = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|word| word.parse().ok())
        .collect();
    ticks
        .filter(|ticks| ticks.len() == 4)
        .map(|ticks| ticks.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_proc() {
        let stat = "cpu  100 10 50 9000 70 1 2 3 0 0\ncpu0 1 2 3\n";
        assert_eq!(all(stat), Some(166.0));
        assert_eq!(all("intr 1 2 3"), None);
        let stat = "42 (a) b) R 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1";
        assert_eq!(own(stat), Some(127.0));
        assert_eq!(own("42 (a) R 1"), None);
    }

    #[test]
    fn what_is_not_ours_is_others() {
        let before = Times {
            all: 1000.0,
            own: 100.0,
        };
        let after = Times {
            all: 1300.0,
            own: 350.0,
        };
        assert_eq!(after.others_since(before), 0.5);
        assert_eq!(before.others_since(before), 0.0);
    }

    /// Measurements of which other processes' load and the speeds around them are given: which one is kept, of how many?
    fn replay(retries: u32, gflops: f64, given: &[(f64, [f64; 2])]) -> (usize, usize, f64) {
        let mut guard = Guard::new(1, retries, gflops);
        let mut calls = 0;
        let best = guard.least_disturbed(|| {
            let (others, speeds) = given[calls];
            calls += 1;
            Ok(Some(Measurement {
                min_ms: 1.0,
                median_ms: 1.0,
                calls,
                others: Some(others),
                speeds: Some(speeds),
            }))
        });
        (best.unwrap().unwrap().calls, calls, guard.gflops())
    }

    #[test]
    fn a_disturbed_measurement_is_repeated_and_the_quietest_kept() {
        let full = [100.0, 100.0];
        assert_eq!(replay(3, 100.0, &[(0.0, full)]), (1, 1, 100.0));
        assert_eq!(replay(3, 100.0, &[(0.9, full), (0.05, full)]), (2, 2, 100.0));
        assert_eq!(
            replay(2, 100.0, &[(0.9, full), (0.3, full), (0.5, full)]),
            (2, 3, 100.0)
        );
    }

    #[test]
    fn a_measurement_on_a_slower_machine_is_repeated() {
        let given = [
            (0.0, [60.0, 100.0]),
            (0.0, [100.0, 70.0]),
            (0.0, [90.0, 86.0]),
            (0.0, [100.0, 100.0]),
        ];
        assert_eq!(replay(3, 100.0, &given), (3, 3, 100.0));
        assert_eq!(replay(1, 100.0, &given), (2, 2, 100.0));
        // What was the limit at the start was too low.
        assert_eq!(replay(3, 50.0, &given), (3, 3, 100.0));
    }

    #[test]
    fn what_is_not_known_does_not_disturb() {
        let measured = Measurement {
            min_ms: 1.0,
            median_ms: 1.0,
            calls: 5,
            others: None,
            speeds: None,
        };
        assert_eq!(disturbance(&measured, 100.0), 0.0);
    }
}
