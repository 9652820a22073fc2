//! The arithmetic of baseline JPEG (ITU-T T.81): codes to coefficients ([`entropy`]), coefficients to samples
//! ([`inverse_dct`]), halved chroma to full size ([`columns_doubled`]), samples to colours ([`colors`]).
//!
//! All of it is in integers and rounds as libjpeg-turbo does by default, so that pictures are the same bytes: the "slow"
//! transform of Loeffler, Ligtenberg and Moschytz (1989), triangular filters for chroma, colours to 16 binary places.
//!
//! Coefficients of [`LANES`] neighbouring blocks lie side by side: a vector holds the same frequency of all of them, and
//! neither pass of the transform has to transpose.

pub mod entropy;

use crate::simd;

/// Blocks whose coefficients lie side by side.
pub const LANES: usize = 16;

/// Coefficients of that many blocks: `[frequency][block]`, dequantised, frequencies in the order of rows.
pub type Group = [[i16; LANES]; 64];

/// cos and sin of multiples of π/16, combined, with 13 binary places.
const FIX_0_298631336: i32 = 2446;
const FIX_0_390180644: i32 = 3196;
const FIX_0_541196100: i32 = 4433;
const FIX_0_765366865: i32 = 6270;
const FIX_0_899976223: i32 = 7373;
const FIX_1_175875602: i32 = 9633;
const FIX_1_501321110: i32 = 12299;
const FIX_1_847759065: i32 = 15137;
const FIX_1_961570560: i32 = 16069;
const FIX_2_053119869: i32 = 16819;
const FIX_2_562915447: i32 = 20995;
const FIX_3_072711026: i32 = 25172;

/// The inverse transform of eight values, times √8 and with 13 more binary places. Damaged files overflow.
#[inline(always)]
fn transform(x: [i32; 8]) -> [i32; 8] {
    let times = i32::wrapping_mul;
    let sum = i32::wrapping_add;
    let difference = i32::wrapping_sub;
    // The even part.
    let z = times(sum(x[2], x[6]), FIX_0_541196100);
    let (e2, e3) = (
        difference(z, times(x[6], FIX_1_847759065)),
        sum(z, times(x[2], FIX_0_765366865)),
    );
    let (e0, e1) = (
        sum(x[0], x[4]).wrapping_shl(13),
        difference(x[0], x[4]).wrapping_shl(13),
    );
    let even = [sum(e0, e3), sum(e1, e2), difference(e1, e2), difference(e0, e3)];
    // The odd part.
    let (z1, z2, z3, z4) = (sum(x[7], x[1]), sum(x[5], x[3]), sum(x[7], x[3]), sum(x[5], x[1]));
    let z5 = times(sum(z3, z4), FIX_1_175875602);
    let (z1, z2) = (times(z1, -FIX_0_899976223), times(z2, -FIX_2_562915447));
    let (z3, z4) = (
        sum(times(z3, -FIX_1_961570560), z5),
        sum(times(z4, -FIX_0_390180644), z5),
    );
    let odd = [
        sum(times(x[1], FIX_1_501321110), sum(z1, z4)),
        sum(times(x[3], FIX_3_072711026), sum(z2, z3)),
        sum(times(x[5], FIX_2_053119869), sum(z2, z4)),
        sum(times(x[7], FIX_0_298631336), sum(z1, z3)),
    ];
    std::array::from_fn(|i| {
        if i < 4 {
            sum(even[i], odd[i])
        } else {
            difference(even[7 - i], odd[7 - i])
        }
    })
}

#[inline(always)]
fn descaled<const PLACES: u32>(x: i32) -> i32 {
    x.wrapping_add(1 << (PLACES - 1)) >> PLACES
}

/// Eight times eight bytes transposed.
#[inline(always)]
fn transposed(mut rows: [u64; 8]) -> [u64; 8] {
    let steps = [
        (4, 32, 0x0000_0000_ffff_ffff),
        (2, 16, 0x0000_ffff_0000_ffff),
        (1, 8, 0x00ff_00ff_00ff_00ff),
    ];
    for (distance, bits, mask) in steps {
        for at in 0..8 {
            if at & distance == 0 {
                let (a, b) = (rows[at], rows[at + distance]);
                let changed = (a >> bits ^ b) & mask;
                rows[at] = a ^ changed << bits;
                rows[at + distance] = b ^ changed;
            }
        }
    }
    rows
}

simd! {
    /// Samples of a row of blocks: eight rows of `stride` bytes, of which each group fills 128.
    pub fn inverse_dct(groups: &[Group], out: &mut [u8], stride: usize) {
        assert!(groups.len() * 8 * LANES <= stride && out.len() == 8 * stride);
        for (at, group) in groups.iter().enumerate() {
            let mut columns = [[0i32; LANES]; 64];
            for column in 0..8 {
                for lane in 0..LANES {
                    let x = std::array::from_fn(|row| i32::from(group[8 * row + column][lane]));
                    for (row, y) in transform(x).into_iter().enumerate() {
                        columns[8 * row + column][lane] = descaled::<11>(y);
                    }
                }
            }
            for row in 0..8 {
                let mut samples = [[0u8; LANES]; 8];
                for lane in 0..LANES {
                    let x = std::array::from_fn(|column| columns[8 * row + column][lane]);
                    for (column, y) in transform(x).into_iter().enumerate() {
                        samples[column][lane] = descaled::<18>(y).wrapping_add(128).clamp(0, 255) as u8;
                    }
                }
                let line = &mut out[row * stride + at * 8 * LANES..][..8 * LANES];
                for half in 0..LANES / 8 {
                    let words = samples.map(|column| word_of(&column, half));
                    let line = &mut line[64 * half..][..64];
                    for (word, block) in transposed(words).into_iter().zip(line.as_chunks_mut::<8>().0) {
                        *block = word.to_le_bytes();
                    }
                }
            }
        }
    }

    /// Three quarters of the nearer row and one of the other, times four.
    pub fn rows_mixed(near: &[u8], far: &[u8], out: &mut [u16]) {
        for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
            *out = 3 * u16::from(near) + u16::from(far);
        }
    }

    /// Twice as many samples along a row: three quarters of the nearer and one of the other neighbour, by which value `i` of
    /// `x` becomes samples `2 i - 2` and `2 i - 1` (the first and the last are only neighbours). Values of `x` are
    /// samples times four to the power of `rows`, which says whether rows have been mixed before.
    pub fn columns_doubled(x: &[u16], rows: u32, out: &mut [u8]) {
        assert_eq!(out.len(), 2 * (x.len() - 2));
        // What is halfway goes down and up in turns.
        let (shift, even, odd) = if rows == 0 { (2, 1, 2) } else { (4, 8, 7) };
        let (before, middle, behind) = (&x[..x.len() - 2], &x[1..], &x[2..]);
        for (((pair, &a), &b), &c) in out.as_chunks_mut::<2>().0.iter_mut().zip(before).zip(middle).zip(behind) {
            *pair = [((3 * b + a + even) >> shift) as u8, ((3 * b + c + odd) >> shift) as u8];
        }
    }

    /// Red, green and blue of luma and two chroma (ITU-R 601 in full range, as JFIF has it).
    pub fn colors(y: &[u8], cb: &[u8], cr: &[u8], red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
        let n = y.len();
        let (cb, cr) = (&cb[..n], &cr[..n]);
        let (red, green, blue) = (&mut red[..n], &mut green[..n], &mut blue[..n]);
        for i in 0..n {
            let (y, cb, cr) = (i32::from(y[i]), i32::from(cb[i]) - 128, i32::from(cr[i]) - 128);
            // 1.402, 1.772, 0.34414 and 0.71414 with 16 binary places.
            red[i] = (y + ((91881 * cr + 32768) >> 16)).clamp(0, 255) as u8;
            green[i] = (y + ((-22554 * cb - 46802 * cr + 32768) >> 16)).clamp(0, 255) as u8;
            blue[i] = (y + ((116130 * cb + 32768) >> 16)).clamp(0, 255) as u8;
        }
    }
}

/// Eight bytes of sixteen.
#[inline(always)]
fn word_of(bytes: &[u8; LANES], half: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[8 * half..][..8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lcg, for_every_isa};
    use std::f64::consts::PI;

    /// The transform as it is defined.
    fn exact(coefficients: &[f64; 64]) -> [f64; 64] {
        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let wave = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * PI / 16.0).cos();
        std::array::from_fn(|at| {
            let (y, x) = (at / 8, at % 8);
            let terms = (0..64).map(|k| {
                let (v, u) = (k / 8, k % 8);
                0.25 * scale(u) * scale(v) * coefficients[k] * wave(x, u) * wave(y, v)
            });
            terms.sum::<f64>() + 128.0
        })
    }

    #[test]
    fn the_transform_is_within_a_level_of_its_definition() {
        for_every_isa(|| {
            let mut random = Lcg::new(7);
            let mut groups = [[[0; LANES]; 64]; 2];
            for group in &mut groups {
                for (k, lanes) in group.iter_mut().enumerate() {
                    for x in lanes {
                        *x = (random.uniform() * 400.0 / (1 + k) as f64) as i16;
                    }
                }
            }
            let stride = 2 * 8 * LANES + 8;
            let mut out = vec![0; 8 * stride];
            inverse_dct(&groups, &mut out, stride);
            for block in 0..2 * LANES {
                let coefficients =
                    std::array::from_fn(|k| f64::from(groups[block / LANES][k][block % LANES]));
                for (at, want) in exact(&coefficients).into_iter().enumerate() {
                    let got = f64::from(out[at / 8 * stride + 8 * block + at % 8]);
                    assert!(
                        (got - want.clamp(0.0, 255.0)).abs() < 1.0,
                        "{block} {at}: {got}, not {want}"
                    );
                }
            }
        });
    }

    #[test]
    fn what_overflows_is_the_same_on_every_instruction_set() {
        for value in [i16::MIN, i16::MAX] {
            let first = std::cell::OnceCell::new();
            for_every_isa(|| {
                let mut out = vec![0; 8 * 8 * LANES];
                inverse_dct(&[[[value; LANES]; 64]], &mut out, 8 * LANES);
                let first = first.get_or_init(|| out.clone());
                assert_eq!(*first, out, "all coefficients {value}");
            });
        }
    }

    #[test]
    fn chroma_is_filtered_by_triangles() {
        for_every_isa(|| {
            let mut mixed = [0; 4];
            rows_mixed(&[10, 10, 30, 30], &[10, 10, 50, 50], &mut mixed);
            assert_eq!(mixed, [40, 40, 140, 140]);
            let mut out = [0; 4];
            columns_doubled(&mixed, 1, &mut out);
            assert_eq!(out, [10, 16, 29, 35]);
            columns_doubled(&[10, 10, 30, 30], 0, &mut out);
            assert_eq!(out, [10, 15, 25, 30]);
        });
    }

    #[test]
    fn colors_are_rounded_and_cut_off() {
        for_every_isa(|| {
            let (y, cb, cr) = (
                [0, 76, 150, 255, 128],
                [128, 85, 44, 0, 200],
                [128, 255, 21, 255, 60],
            );
            let [mut r, mut g, mut b] = [[0; 5]; 3];
            colors(&y, &cb, &cr, &mut r, &mut g, &mut b);
            for i in 0..5 {
                let (y, cb, cr) = (
                    f64::from(y[i]),
                    f64::from(cb[i]) - 128.0,
                    f64::from(cr[i]) - 128.0,
                );
                let want = [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb];
                for (got, want) in [r[i], g[i], b[i]].into_iter().zip(want) {
                    assert!(
                        (f64::from(got) - want.clamp(0.0, 255.0)).abs() < 0.51,
                        "{i}: {got}, not {want}"
                    );
                }
            }
        });
    }
}
