//! Helpers of the kernels' tests.

use std::sync::{Mutex, PoisonError};

use crate::isa::{self, Isa};
use crate::pool;
use crate::simd::Real;

/// A small random generator, so that tests need no crate and repeat.
pub(crate) struct Lcg(u64);

impl Lcg {
    pub(crate) fn new(seed: u64) -> Self {
        Lcg(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Uniform in [-1, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub(crate) fn vec<T: Real>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| T::from_f64(self.uniform())).collect()
    }
}

/// The thread count belongs to the process: tests that change it take turns.
static PROCESS: Mutex<()> = Mutex::new(());

/// Runs a test once for every instruction set of the machine.
pub(crate) fn for_every_isa(test: impl Fn()) {
    let before = isa::current();
    let restore = scopeguard(move || {
        isa::set_current(before);
    });
    for wanted in [Isa::Scalar, Isa::Neon, Isa::Avx2, Isa::Avx512] {
        if isa::set_current(wanted) == wanted {
            test();
        }
    }
    drop(restore);
}

/// Checks that `compute` gives the same bits with 1, 2 and 5 threads.
pub(crate) fn same_bits_for_any_threads<T: Real>(compute: impl Fn() -> Vec<T>) {
    let _turn = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let before = pool::num_threads();
    let restore = scopeguard(move || pool::set_num_threads(before));
    let results = [1, 2, 4, 5].map(|threads| {
        pool::set_num_threads(threads);
        compute()
    });
    for result in &results[1..] {
        assert_eq!(result.len(), results[0].len());
        for (a, b) in result.iter().zip(&results[0]) {
            assert_eq!(a.to_f64().to_bits(), b.to_f64().to_bits());
        }
    }
    drop(restore);
}

/// Elements differ by at most `tolerance · max(1, |want|)`.
#[track_caller]
pub(crate) fn assert_close<T: Real>(got: &[T], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (got, &want)) in got.iter().zip(want).enumerate() {
        let error = (got.to_f64() - want).abs();
        assert!(
            error <= tolerance * want.abs().max(1.0),
            "element {i}: {got:?}, not {want}"
        );
    }
}

/// Runs a closure when dropped, also while unwinding.
fn scopeguard(f: impl FnMut()) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(f)
}
