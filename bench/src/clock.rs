//! The protocol: two warm-up calls, then at least 5 calls and at least 0.7 s of them, at most 2,000.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::workload::Call;

const WARM_UPS: usize = 2;
const MIN_CALLS: usize = 5;
const MAX_CALLS: usize = 2000;
const MIN_TIME: Duration = Duration::from_millis(700);

/// What one measurement of one workload gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measurement {
    pub(crate) min_ms: f64,
    pub(crate) median_ms: f64,
    pub(crate) calls: usize,
    /// Processors that other processes kept busy meanwhile, on average; unknown on systems that don't tell.
    pub(crate) others: Option<f64>,
    /// 10⁹ multiplications and additions per second that the machine did right before and after.
    pub(crate) speeds: Option<[f64; 2]>,
}

/// Times `call`.
pub(crate) fn measure(call: &mut Call) -> Result<Measurement> {
    for _ in 0..WARM_UPS {
        call.run()?;
    }
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < MIN_CALLS || (begin.elapsed() < MIN_TIME && times.len() < MAX_CALLS) {
        let call_begin = Instant::now();
        call.run()?;
        times.push(call_begin.elapsed());
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measurement {
        min_ms: ms(times[0]),
        median_ms: ms(times[times.len() / 2]),
        calls: times.len(),
        others: None,
        speeds: None,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn calls_are_counted_and_bounded() {
        let calls = Rc::new(Cell::new(0));
        let counted = calls.clone();
        let mut call = Call::new(move || {
            counted.set(counted.get() + 1);
            Ok(())
        });
        let measurement = measure(&mut call).unwrap();
        assert!((MIN_CALLS..=MAX_CALLS).contains(&measurement.calls));
        assert_eq!(calls.get(), measurement.calls + WARM_UPS);
        assert!(measurement.min_ms <= measurement.median_ms);
    }

    #[test]
    fn a_failing_call_ends_the_measurement() {
        let mut call = Call::new(|| anyhow::bail!("no memory"));
        assert_eq!(measure(&mut call).unwrap_err().to_string(), "no memory");
    }
}
