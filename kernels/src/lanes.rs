//! Sums along a row in many independent accumulators, which the compiler keeps in registers.
//!
//! They are macros since the terms must be compiled with the instruction set of the function around them, which a closure
//! is only where the compiler inlines it.

/// `Σterm` over the elements of equally long rows, `lane_sum!(LANES, a in row, b in other => a * b)`, in `LANES`
/// accumulators (a power of two), which are then added by halves; what is beyond whole groups of `LANES` comes last, one by
/// one.
macro_rules! lane_sum {
    ($lanes:expr, $first:ident in $row:expr $(, $next:ident in $other:expr)* => $term:expr) => {{
        const WIDTH: usize = $lanes;
        let ($first, $($next,)*) = ($row.as_chunks::<WIDTH>(), $($other.as_chunks::<WIDTH>(),)*);
        let mut sums = [T::ZERO; WIDTH];
        for group in 0..$first.0.len() {
            let ($first, $($next,)*) = (&$first.0[group], $(&$next.0[group],)*);
            for lane in 0..WIDTH {
                let ($first, $($next,)*) = ($first[lane], $($next[lane],)*);
                sums[lane] += $term;
            }
        }
        let mut width = WIDTH / 2;
        while width > 0 {
            for lane in 0..width {
                let other = sums[lane + width];
                sums[lane] += other;
            }
            width /= 2;
        }
        let mut sum = sums[0];
        for i in 0..$first.1.len() {
            let ($first, $($next,)*) = ($first.1[i], $($next.1[i],)*);
            sum += $term;
        }
        sum
    }};
}

/// [`lane_sum`] in 64 accumulators over blocks of 4,096 elements, and in `f64` across blocks.
macro_rules! block_sum {
    ($first:ident in $row:expr $(, $next:ident in $other:expr)* => $term:expr) => {{
        const BLOCK: usize = 4096;
        let ($first, $($next,)*) = ($row, $($other,)*);
        let (len, mut start, mut total) = ($first.len(), 0, 0.0);
        while start < len {
            let end = (start + BLOCK).min(len);
            let sum = $crate::lanes::lane_sum!(
                64, $first in $first[start..end] $(, $next in $next[start..end])* => $term
            );
            total += sum.to_f64();
            start = end;
        }
        total
    }};
}

pub(crate) use {block_sum, lane_sum};
