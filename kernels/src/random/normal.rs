//! Normal numbers (`randn`, `normal_`) and log-normal ones by the Box–Muller transform.
//!
//! From 16 elements on, uniform numbers are drawn straight into the output and transformed in blocks of 16: the first
//! eight of a block give the radii √(−2 ln(1 − u)), the other eight the angles 2πu, and the block becomes eight cosines
//! and eight sines. When the length is no multiple of 16 the last 16 elements are drawn and transformed once more.
//! Shorter outputs take one number at a time, in f64, and keep the sine of a pair for the next call.
//!
//! In f32 the logarithm, sine and cosine are Cephes' polynomials with a fixed order of fused multiply-adds, so the
//! numbers are the same bits on every machine; in f64 they are the system's.

use super::{Generator, RandomFloat, RandomNumber};
use crate::{pool, simd};
use std::f64::consts::PI;

/// Elements of one Box–Muller block.
const BLOCK: usize = 16;
/// Elements that one task transforms: a multiple of the block.
const CHUNK: usize = 8192;

/// ln(x) for x in (0, 1] after Cephes' `logf`: x = m·2^e with m in [√½, √2), ln m = f − f²/2 + f³·P(f), f = m − 1.
#[inline(always)]
fn log_unit(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts, of which the first is exact in few bits.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 126;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let below = mantissa < std::f32::consts::FRAC_1_SQRT_2;
    let e = (exponent - below as i32) as f32;
    let f = (mantissa - 1.0) + if below { mantissa } else { 0.0 };
    let f2 = f * f;
    let mut y = P[0];
    for &p in &P[1..] {
        y = y.mul_add(f, p);
    }
    y = (y * f).mul_add(f2, e * LN2_LOW);
    y = f2.mul_add(-0.5, y);
    e.mul_add(LN2_HIGH, f + y)
}

/// (sin x, cos x) for x in [0, 2π] after Cephes' `sinf` and `cosf`: x less a multiple of π/2, in three parts, leaves
/// |r| ≤ π/4 for the two polynomials, and the multiple tells which is the sine and what the signs are.
#[inline(always)]
fn sin_cos_turn(x: f32) -> (f32, f32) {
    const FOUR_OVER_PI: f32 = 1.273_239_5;
    const QUARTER_PI: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];
    const SIN: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COS: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    // SAFETY: x is in [0, 2π], so the product is finite and at most 8.
    let octant = unsafe { (x * FOUR_OVER_PI).to_int_unchecked::<i32>() };
    let octant = (octant + 1) & !1;
    let y = octant as f32;
    let r = y.mul_add(
        -QUARTER_PI[2],
        y.mul_add(-QUARTER_PI[1], y.mul_add(-QUARTER_PI[0], x)),
    );
    let r2 = r * r;
    let c = COS[0].mul_add(r2, COS[1]).mul_add(r2, COS[2]) * r2;
    let c = c.mul_add(r2, -(r2 * 0.5)) + 1.0;
    let s = SIN[0].mul_add(r2, SIN[1]).mul_add(r2, SIN[2]) * r2;
    let s = s.mul_add(r, r);
    let swap = octant & 2 != 0;
    let (sin, cos) = if swap { (c, s) } else { (s, c) };
    let negative_sin = ((octant & 4) as u32) << 29;
    let negative_cos = (!(octant - 2) & 4) as u32;
    (
        f32::from_bits(sin.to_bits() ^ negative_sin),
        f32::from_bits(cos.to_bits() ^ (negative_cos << 29)),
    )
}

simd! {
    /// Turns blocks of uniform numbers into normal ones.
    fn box_muller_f32(data: &mut [f32], mean: f32, std: f32) {
        for block in data.as_chunks_mut::<BLOCK>().0 {
            let mut out = [0f32; BLOCK];
            for j in 0..BLOCK / 2 {
                let radius = (-2.0 * log_unit(1.0 - block[j])).sqrt();
                let (sin, cos) = sin_cos_turn(block[j + BLOCK / 2] * (2.0 * PI) as f32);
                out[j] = (radius * cos).mul_add(std, mean);
                out[j + BLOCK / 2] = (radius * sin).mul_add(std, mean);
            }
            *block = out;
        }
    }

    fn box_muller_f64(data: &mut [f64], mean: f64, std: f64) {
        for block in data.as_chunks_mut::<BLOCK>().0 {
            let (first, second) = block.split_at_mut(BLOCK / 2);
            for (a, b) in first.iter_mut().zip(second) {
                let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
                let (sin, cos) = (2.0 * PI * *b).sin_cos();
                *a = (radius * cos).mul_add(std, mean);
                *b = (radius * sin).mul_add(std, mean);
            }
        }
    }
}

impl Generator {
    pub(super) fn fill_normal_f32(&mut self, out: &mut [f32], mean: f32, std: f32) {
        self.fill_uniform_f32(out, 0.0, 1.0);
        pool::parallel_chunks_mut(out, CHUNK, |_, piece| box_muller_f32(piece, mean, std));
        if !out.len().is_multiple_of(BLOCK) {
            let start = out.len() - BLOCK;
            self.fill_uniform_f32(&mut out[start..], 0.0, 1.0);
            box_muller_f32(&mut out[start..], mean, std);
        }
    }

    pub(super) fn fill_normal_f64(&mut self, out: &mut [f64], mean: f64, std: f64) {
        self.fill_uniform_f64(out, 0.0, 1.0);
        pool::parallel_chunks_mut(out, CHUNK / 4, |_, piece| box_muller_f64(piece, mean, std));
        if !out.len().is_multiple_of(BLOCK) {
            let start = out.len() - BLOCK;
            self.fill_uniform_f64(&mut out[start..], 0.0, 1.0);
            box_muller_f64(&mut out[start..], mean, std);
        }
    }

    /// The next standard normal number: the kept half of the last pair, or the cosine half of a new one.
    pub fn next_normal(&mut self) -> f64 {
        if let Some(kept) = self.next_normal.take() {
            return kept;
        }
        let (u1, u2) = (self.next_f64(), self.next_f64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let (sin, cos) = (2.0 * PI * u1).sin_cos();
        self.next_normal = Some(radius * sin);
        radius * cos
    }

    /// Normal numbers (`normal_`; `randn` with 0 and 1). Wants `std >= 0`.
    pub fn normal<T: RandomFloat>(&mut self, out: &mut [T], mean: f64, std: f64) {
        if out.len() >= BLOCK {
            T::fill_normal(self, out, mean, std);
        } else {
            self.normal_strided(out, mean, std);
        }
    }

    /// Normal numbers drawn one at a time, as [`Self::normal`] does for fewer than 16: what PyTorch does for a tensor
    /// of any size that isn't contiguous.
    pub fn normal_strided<T: RandomFloat>(&mut self, out: &mut [T], mean: f64, std: f64) {
        for o in out {
            *o = T::from_f64(self.next_normal().mul_add(std, mean));
        }
    }

    /// exp of normal numbers (`log_normal_`). Wants `std > 0`.
    pub fn log_normal<T: RandomNumber>(&mut self, out: &mut [T], mean: f64, std: f64) {
        for o in out {
            *o = T::from_f64(self.next_normal().mul_add(std, mean).exp());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    #[test]
    fn polynomials_are_near_the_functions() {
        for i in 1..=4096 {
            let u = i as f32 / 4096.0;
            let (log, exact) = (log_unit(u), f64::from(u).ln());
            assert!(
                (f64::from(log) - exact).abs() <= 1e-7 * exact.abs(),
                "ln {u}: {log}"
            );
            let x = u * std::f32::consts::TAU;
            let (sin, cos) = sin_cos_turn(x);
            assert!(
                (f64::from(sin) - f64::from(x).sin()).abs() < 2e-7,
                "sin {x}: {sin}"
            );
            assert!(
                (f64::from(cos) - f64::from(x).cos()).abs() < 2e-7,
                "cos {x}: {cos}"
            );
        }
        assert_eq!(log_unit(1.0), 0.0);
    }

    #[test]
    fn every_path_is_that_of_pytorch() {
        // torch.manual_seed(0); torch.randn(2), randn(17)[[0, 1, 15, 16]], randn(17, dtype=torch.float64)[[0, 1, 16]]
        let mut few = [0f32; 2];
        Generator::new(0).normal(&mut few, 0.0, 1.0);
        assert_eq!(few, [1.540_996_1, -0.293_428_9]);
        let mut single = [0f32; 17];
        Generator::new(0).normal(&mut single, 0.0, 1.0);
        assert_eq!(
            [single[0], single[1], single[15], single[16]],
            [-1.125_839_8, -1.695_931_2, -0.843_676_75, 0.931_826_6]
        );
        let mut double = [0f64; 17];
        Generator::new(0).normal(&mut double, 0.0, 1.0);
        for (x, y) in [double[0], double[1], double[16]].iter().zip([
            -2.310_411_800_234_176,
            -0.633_274_608_867_509_6,
            0.674_857_543_594_003_9,
        ]) {
            assert!((x - y).abs() < 1e-15 * y.abs(), "{x} {y}");
        }
    }

    #[test]
    fn the_kept_half_is_used_once() {
        let mut pair = [0f64; 2];
        Generator::new(4).normal(&mut pair, 0.0, 1.0);
        let mut generator = Generator::new(4);
        assert_eq!(generator.next_normal(), pair[0]);
        generator.uniform(&mut [0f32; 40], 0.0, 1.0);
        assert_eq!(generator.next_normal(), pair[1]);
        assert_eq!(generator.state().next_normal, None);
    }

    #[test]
    fn threads_and_instruction_sets_do_not_matter() {
        let draw = || {
            let mut out = vec![0f32; 50_003];
            Generator::new(1).normal(&mut out, 1.0, 2.0);
            out
        };
        let wide = draw();
        crate::testing::for_every_isa(|| {
            assert!(wide.iter().zip(&draw()).all(|(a, b)| a.to_bits() == b.to_bits()));
        });
        let mean = wide.iter().map(|&x| f64::from(x)).sum::<f64>() / wide.len() as f64;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn half_floats_draw_no_spare_numbers() {
        // Unlike f32, they don't draw the incomplete last block before they recompute the last 16.
        let mut generator = Generator::new(3);
        generator.normal(&mut [f16::ZERO; 17], 0.0, 1.0);
        let mut reference = Generator::new(3);
        reference.uniform(&mut [0f32; 32], 0.0, 1.0);
        assert_eq!(generator.state(), reference.state());
        generator.normal(&mut [bf16::ZERO; 2048], 0.0, 1.0);
        reference.uniform(&mut [0f32; 2048], 0.0, 1.0);
        assert_eq!(generator.state(), reference.state());
    }
}
