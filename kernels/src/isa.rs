//! Which instruction set the kernels run on, chosen once at run time.
//!
//! The environment variable `FLAMBEAU_ISA` (`scalar`, `avx2`, `avx512`, `neon`) lowers the choice for tests and
//! comparisons; asking for a set that the machine lacks leaves the detected one in force.

use std::cell::Cell;
#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that kernels are compiled for, in ascending order of width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// The target's baseline: SSE2 on x86-64.
    Scalar = 1,
    /// Arm's 128-bit vectors (the baseline of aarch64).
    Neon = 2,
    /// AVX2 with FMA.
    Avx2 = 3,
    /// AVX-512 F, VL, DQ and BW.
    Avx512 = 4,
}

/// That of the process.
static CURRENT: AtomicU8 = AtomicU8::new(0);

// That of a thread, if it is another: what a kernel lays out for one set must not meet another one halfway, so that only the
// thread itself changes it, between kernels.
thread_local!(static OWN: Cell<Option<Isa>> = const { Cell::new(None) });

/// The instruction set in force on this thread.
#[inline]
pub fn current() -> Isa {
    match OWN.get() {
        Some(isa) => isa,
        None => of_process(),
    }
}

#[inline]
fn of_process() -> Isa {
    numbered(CURRENT.load(Ordering::Relaxed)).unwrap_or_else(init)
}

#[inline]
fn numbered(number: u8) -> Option<Isa> {
    match number {
        1 => Some(Isa::Scalar),
        2 => Some(Isa::Neon),
        3 => Some(Isa::Avx2),
        4 => Some(Isa::Avx512),
        _ => None,
    }
}

/// Sets that of this thread by its number, as another thread has it.
pub(crate) fn set_numbered(number: u8) {
    OWN.set(numbered(number));
}

#[cold]
fn init() -> Isa {
    let best = detect();
    let wanted = match std::env::var("FLAMBEAU_ISA").as_deref() {
        Ok("scalar") => Isa::Scalar,
        Ok("neon") => Isa::Neon,
        Ok("avx2") => Isa::Avx2,
        _ => best,
    };
    let chosen = at_most(wanted, best);
    // Another thread may have set it meanwhile.
    match CURRENT.compare_exchange(0, chosen as u8, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => chosen,
        Err(_) => of_process(),
    }
}

/// The widest instruction set of this machine that kernels are compiled for.
pub fn detect() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
        {
            return Isa::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Isa::Avx2;
        }
        Isa::Scalar
    }
    #[cfg(target_arch = "aarch64")]
    {
        Isa::Neon
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Isa::Scalar
    }
}

/// Whether the cores are Intel's, for what only the vendor tells.
#[inline]
pub(crate) fn intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static INTEL: LazyLock<bool> = LazyLock::new(|| {
            let id = std::arch::x86_64::__cpuid(0);
            [id.ebx, id.edx, id.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
        });
        *INTEL
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Sets the instruction set of this thread and of the parallel calls that it makes, capped at what the machine has; returns the one
/// now in force.
pub fn set_current(wanted: Isa) -> Isa {
    let chosen = at_most(wanted, detect());
    OWN.set(Some(chosen));
    chosen
}

/// The baseline is there on every machine.
fn at_most(wanted: Isa, best: Isa) -> Isa {
    if wanted == Isa::Scalar {
        wanted
    } else {
        wanted.min(best)
    }
}

/// Compiles function bodies once per instruction set and dispatches at run time.
///
/// The body is ordinary scalar code over slices which the compiler vectorises for the enabled set, so helper
/// functions that it calls must be `#[inline(always)]`. Generic parameters are written `[T: Bound]`.
///
/// ```text
/// simd! {
///     /// `out = a + b`.
///     pub fn add[T: Float](a: &[T], b: &[T], out: &mut [T]) {
///         for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) { *o = a + b; }
///     }
/// }
/// ```
#[macro_export]
macro_rules! simd {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $([$($g:ident : $($bound:path)|+),+ $(,)?])? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    )*) => { $(
        $(#[$meta])*
        #[inline]
        $vis fn $name $(<$($g: $($bound +)+),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$($g: $($bound +)+),+>)? ($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi2")]
                fn avx512 $(<$($g: $($bound +)+),+>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$($g),+>)? ($($arg),*) }
                #[target_feature(enable = "avx2,fma,bmi2")]
                fn avx2 $(<$($g: $($bound +)+),+>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$($g),+>)? ($($arg),*) }
                match $crate::isa::current() {
                    // SAFETY: `isa::current` never exceeds what `isa::detect` saw on this machine.
                    $crate::isa::Isa::Avx512 => unsafe { avx512 $(::<$($g),+>)? ($($arg),*) },
                    // SAFETY: as above.
                    $crate::isa::Isa::Avx2 => unsafe { avx2 $(::<$($g),+>)? ($($arg),*) },
                    _ => body $(::<$($g),+>)? ($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body $(::<$($g),+>)? ($($arg),*)
        }
    )* };
}

#[cfg(test)]
mod tests {
    use super::*;

    simd! {
        fn dot[T: Copy | std::ops::Mul<Output = T> | std::iter::Sum](a: &[T], b: &[T]) -> T {
            a.iter().zip(b).map(|(&a, &b)| a * b).sum()
        }
    }

    #[test]
    fn a_set_is_that_of_a_thread_and_of_its_tasks() {
        let before = current();
        let other = std::thread::spawn(|| {
            assert_eq!(set_current(Isa::Scalar), Isa::Scalar);
            crate::pool::parallel_for(64, |_| assert_eq!(current(), Isa::Scalar));
        });
        crate::pool::parallel_for(64, |_| assert_eq!(current(), before));
        other.join().unwrap();
        assert_eq!(current(), before);
    }

    #[test]
    fn every_set_gives_the_same() {
        crate::testing::for_every_isa(|| {
            assert!(current() <= detect());
            assert_eq!(dot(&[1.0f32, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0);
        });
    }
}
