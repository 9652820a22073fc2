//! What other processes did to the machine during a measurement, from `/proc` (Linux; elsewhere nothing is known).

use std::fs;
use std::time::Instant;

use anyhow::Result;

use crate::clock::Measurement;

/// A measurement is disturbed when other processes kept more than this many processors busy.
pub(crate) const QUIET: f64 = 0.1;

/// The unit of the times in `/proc`, in seconds: Linux shows hundredths on every machine.
const TICK: f64 = 0.01;

/// Measures until nobody disturbs, at most `1 + retries` times, and returns the least disturbed measurement; nothing
/// if `measure` finds nothing to measure.
pub(crate) fn undisturbed(
    retries: u32,
    mut measure: impl FnMut() -> Result<Option<Measurement>>,
) -> Result<Option<Measurement>> {
    least_disturbed(retries, || {
        let (before, begin) = (Times::now(), Instant::now());
        let measured = measure()?;
        let seconds = before
            .zip(Times::now())
            .map(|(before, after)| after.others_since(before));
        let others = seconds.map(|seconds| seconds / begin.elapsed().as_secs_f64());
        Ok(measured.map(|measured| Measurement { others, ..measured }))
    })
}

fn least_disturbed(
    retries: u32,
    mut measure: impl FnMut() -> Result<Option<Measurement>>,
) -> Result<Option<Measurement>> {
    let mut best: Option<Measurement> = None;
    for _ in 0..=retries {
        let Some(measured) = measure()? else {
            return Ok(None);
        };
        if best.is_none_or(|best| measured.others < best.others) {
            best = Some(measured);
        }
        if measured.others.is_none_or(|others| others <= QUIET) {
            break;
        }
    }
    Ok(best)
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

    fn replay(retries: u32, loads: &[Option<f64>]) -> (usize, Option<f64>) {
        let mut calls = 0;
        let best = least_disturbed(retries, || {
            calls += 1;
            Ok(Some(Measurement {
                min_ms: 1.0,
                median_ms: 1.0,
                calls: 5,
                others: loads[calls - 1],
            }))
        });
        (calls, best.unwrap().unwrap().others)
    }

    #[test]
    fn a_disturbed_measurement_is_repeated_and_the_quietest_kept() {
        assert_eq!(replay(3, &[Some(0.0)]), (1, Some(0.0)));
        assert_eq!(replay(3, &[Some(0.9), Some(0.05)]), (2, Some(0.05)));
        assert_eq!(replay(2, &[Some(0.9), Some(0.3), Some(0.5)]), (3, Some(0.3)));
        assert_eq!(replay(3, &[None]), (1, None));
    }
}
