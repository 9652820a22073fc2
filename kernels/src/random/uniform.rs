//! Uniform floats (`rand`, `uniform_`) and integers (`randint`, `random_`), Bernoulli masks and permutations.

use super::{Generator, RandomFloat, RandomNumber};
use crate::simd;

/// Words drawn at a time: they stay in the first-level cache until they are converted.
const WORDS: usize = 2048;

/// Ranges from here on take 64 random bits, so that the remainder stays nearly uniform.
const WIDE_RANGE: u64 = 1 << 28;

/// [0, 1) from the low 24 bits.
#[inline(always)]
pub(super) fn unit_f32(word: u32) -> f32 {
    (word & 0x00ff_ffff) as f32 * (1.0 / (1u32 << 24) as f32)
}

/// [0, 1) from the low 53 bits.
#[inline(always)]
pub(super) fn unit_f64(bits: u64) -> f64 {
    (bits & ((1 << 53) - 1)) as i64 as f64 * (1.0 / (1u64 << 53) as f64)
}

#[inline(always)]
fn join(pair: &[u32; 2]) -> u64 {
    u64::from(pair[0]) << 32 | u64::from(pair[1])
}

simd! {
    fn scale_f32(words: &[u32], out: &mut [f32], from: f32, width: f32, end: f32) {
        for (o, &w) in out.iter_mut().zip(words) {
            let x = unit_f32(w).mul_add(width, from);
            *o = if x == end { from } else { x };
        }
    }

    fn scale_f64(words: &[u32], out: &mut [f64], from: f64, width: f64, end: f64) {
        for (o, pair) in out.iter_mut().zip(words.as_chunks::<2>().0) {
            let x = unit_f64(join(pair)).mul_add(width, from);
            *o = if x == end { from } else { x };
        }
    }
}

impl Generator {
    /// Calls `convert(words, piece)` for consecutive pieces of `out` with `per_item` random words for every element.
    fn convert_words<T>(&mut self, out: &mut [T], per_item: usize, convert: impl Fn(&[u32], &mut [T])) {
        let mut words = [0u32; WORDS];
        for piece in out.chunks_mut(WORDS / per_item) {
            let words = &mut words[..per_item * piece.len()];
            self.engine.fill(words);
            convert(words, piece);
        }
    }

    /// Fills `out` with `f(word)`, a word of 32 random bits for every element.
    fn map_u32<T>(&mut self, out: &mut [T], f: impl Fn(u32) -> T) {
        self.convert_words(out, 1, |words, piece| {
            for (o, &word) in piece.iter_mut().zip(words) {
                *o = f(word);
            }
        });
    }

    /// Fills `out` with `f(bits)`, 64 random bits for every element.
    fn map_u64<T>(&mut self, out: &mut [T], f: impl Fn(u64) -> T) {
        self.convert_words(out, 2, |words, piece| {
            for (o, pair) in piece.iter_mut().zip(words.as_chunks::<2>().0) {
                *o = f(join(pair));
            }
        });
    }

    pub(super) fn fill_uniform_f32(&mut self, out: &mut [f32], from: f32, to: f32) {
        self.convert_words(out, 1, |words, piece| {
            scale_f32(words, piece, from, to - from, to)
        });
    }

    pub(super) fn fill_uniform_f64(&mut self, out: &mut [f64], from: f64, to: f64) {
        self.convert_words(out, 2, |words, piece| {
            scale_f64(words, piece, from, to - from, to)
        });
    }

    /// Uniform numbers in [from, to) (`uniform_`; `rand` with 0 and 1). Wants `from <= to` and a finite difference.
    ///
    /// f64 takes 64 random bits a number; f32, f16 and bf16 take 32.
    pub fn uniform<T: RandomFloat>(&mut self, out: &mut [T], from: f64, to: f64) {
        T::fill_uniform(self, out, from, to);
    }

    /// Uniform integers in [low, high) (`randint`, `random_(low, high)`). Wants `low < high`, both values of `T`.
    ///
    /// The remainder of 32 random bits, or of 64 when the range is 2²⁸ or more.
    pub fn random_range<T: RandomNumber>(&mut self, out: &mut [T], low: i64, high: i64) {
        self.random_from(out, low, (high as u64).wrapping_sub(low as u64));
    }

    /// `range` consecutive integers beginning with `low`, drawn uniformly: [`Self::random_range`] with the number of
    /// values in place of their end, which may be the 2⁶³ that no i64 holds. Wants `range > 0`.
    pub fn random_from<T: RandomNumber>(&mut self, out: &mut [T], low: i64, range: u64) {
        let value = |remainder: u64| T::from_i64((remainder as i64).wrapping_add(low));
        let range = range.max(1);
        if range >= WIDE_RANGE {
            self.map_u64(out, |bits| value(bits % range));
        } else {
            let range = range as u32;
            self.map_u32(out, |word| value(u64::from(word % range)));
        }
    }

    /// Integers over the whole of i64 (`random_(i64::MIN, None)`).
    pub fn random_full_range<T: RandomNumber>(&mut self, out: &mut [T]) {
        self.map_u64(out, |bits| T::from_i64(bits as i64));
    }

    /// Integers from 0 to the largest value of an integer type, or to the largest up to which a float type holds
    /// every integer (`random_()`).
    pub fn random<T: RandomNumber>(&mut self, out: &mut [T]) {
        if T::TAKES_64_BITS {
            self.map_u64(out, |bits| T::from_i64((bits % T::INTEGERS) as i64));
        } else {
            self.map_u32(out, |word| T::from_i64((u64::from(word) % T::INTEGERS) as i64));
        }
    }

    /// Fair bits as 0 and 1 (`random_()` of a boolean tensor).
    pub fn random_bool(&mut self, out: &mut [u8]) {
        self.map_u32(out, |word| (word & 1) as u8);
    }

    /// 1 with probability `p`, else 0 (`bernoulli_(p)`, and with `1 - p` the mask of dropout). Wants 0 ≤ p ≤ 1.
    ///
    /// Takes 64 random bits a number whatever the type.
    pub fn bernoulli<T: RandomNumber>(&mut self, out: &mut [T], p: f64) {
        let (zero, one) = (T::from_i64(0), T::from_i64(1));
        self.map_u64(out, |bits| if unit_f64(bits) < p { one } else { zero });
    }

    /// 1 with the probability in `p` of the same index, else 0 (`torch.bernoulli(p)`, `bernoulli_(p)` with a tensor).
    ///
    /// Takes 64 random bits a number when the probabilities are f64, else 32.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn bernoulli_each<T: RandomNumber, P: RandomFloat>(&mut self, out: &mut [T], p: &[P]) {
        assert_eq!(
            out.len(),
            p.len(),
            "bernoulli_each: one probability for every element"
        );
        for (out, p) in out.chunks_mut(WORDS / 2).zip(p.chunks(WORDS / 2)) {
            let mut unit = [0f64; WORDS / 2];
            let unit = &mut unit[..out.len()];
            if P::DOUBLE {
                self.map_u64(unit, unit_f64);
            } else {
                self.map_u32(unit, |word| f64::from(unit_f32(word)));
            }
            for ((o, &p), &u) in out.iter_mut().zip(p).zip(unit.iter()) {
                *o = T::from_i64(i64::from(u < p.to_f64()));
            }
        }
    }

    /// A random order of 0, …, `out.len() - 1` (`randperm`).
    pub fn permutation<T: RandomNumber>(&mut self, out: &mut [T]) {
        let n = out.len();
        if n < (u32::MAX / 20) as usize {
            for (i, o) in out.iter_mut().enumerate() {
                *o = T::from_i64(i as i64);
            }
            for i in 0..n.saturating_sub(1) {
                let other = i + self.next_u32() as usize % (n - i);
                out.swap(i, other);
            }
        } else {
            // So many elements would show the bias of a 32-bit remainder; this order builds the permutation in place.
            for i in 0..n {
                let other = (self.next_u64() % (i as u64 + 1)) as usize;
                out[i] = out[other];
                out[other] = T::from_i64(i as i64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    fn drawn<T: RandomNumber>(n: usize, seed: u64, f: impl FnOnce(&mut Generator, &mut [T])) -> Vec<T> {
        let mut out = vec![T::default(); n];
        f(&mut Generator::new(seed), &mut out);
        out
    }

    // Expected values are PyTorch's after torch.manual_seed(0).

    #[test]
    fn uniform_numbers_are_those_of_pytorch() {
        let unit: Vec<f32> = drawn(3, 0, |g, o| g.uniform(o, 0.0, 1.0));
        assert_eq!(unit, [0.496_256_6, 0.768_221_8, 0.088_477_43]);
        let double: Vec<f64> = drawn(2, 0, |g, o| g.uniform(o, 0.0, 1.0));
        assert_eq!(double, [0.970_053_001_806_553_1, 0.707_819_864_399_788]);
    }

    #[test]
    fn integers_are_those_of_pytorch() {
        let small: Vec<i64> = drawn(8, 0, |g, o| g.random_range(o, 0, 10));
        assert_eq!(small, [4, 9, 3, 0, 3, 9, 7, 3]);
        let wide: Vec<i64> = drawn(2, 0, |g, o| g.random_range(o, -5, 1 << 40));
        assert_eq!(wide, [741_234_585_336, 506_077_272_957]);
        let order: Vec<i64> = drawn(10, 0, |g, o| g.permutation(o));
        assert_eq!(order, [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]);
    }

    #[test]
    fn bulk_draws_continue_the_stream() {
        let whole: Vec<f64> = drawn(5000, 9, |g, o| g.uniform(o, -1.0, 2.0));
        let pieces: Vec<f64> = drawn(5000, 9, |g, o| {
            for piece in o.chunks_mut(333) {
                g.uniform(piece, -1.0, 2.0);
            }
        });
        assert_eq!(whole, pieces);
        assert!(whole.iter().all(|x| (-1.0..2.0).contains(x)));
    }

    #[test]
    fn half_floats_never_reach_the_end() {
        let f: Vec<f16> = drawn(20_000, 1, |g, o| g.uniform(o, 0.0, 1.0));
        assert!(f.iter().all(|x| x.to_f32() < 1.0));
        let b: Vec<bf16> = drawn(20_000, 1, |g, o| g.uniform(o, 0.0, 1.0));
        assert!(b.iter().all(|x| x.to_f32() < 1.0));
    }

    #[test]
    fn masks_have_their_probability() {
        let mask: Vec<u8> = drawn(20_000, 5, |g, o| g.bernoulli(o, 0.3));
        let ones = mask.iter().filter(|&&m| m == 1).count();
        assert!((5_700..6_300).contains(&ones), "{ones}");
        let p = [0.0f32, 1.0].repeat(2000);
        let mask: Vec<f32> = drawn(4000, 5, |g, o| g.bernoulli_each(o, &p));
        assert_eq!(mask, p);
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order: Vec<i32> = drawn(1000, 2, |g, o| g.permutation(o));
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &o)| i as i32 == o));
    }
}
