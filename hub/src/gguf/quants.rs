//! The kinds of tensors in GGUF files, and what their blocks mean.
//!
//! A block is a few dozen quantised numbers `q` with a scale `d`, and perhaps a minimum `m`: `x = d·q + m` for the older
//! kinds, of 32 elements. The newer ones (`K`) gather 256 elements in a block: each group of 16 or 32 has a scale `s` and
//! perhaps a minimum `m` of a few bits, and all groups share `d` and `dmin`: `x = d·s·q − dmin·m`. Numbers of 4 bits
//! lie two in a byte: the low halves of some bytes come first, then their high halves. (llama.cpp, `ggml-common.h` has
//! the layout of blocks.)

use flambeau_tensor::{DType, Result, bail};
use half::f16;

/// What the elements of a kind are.
pub(super) enum Layout {
    /// Of a type that tensors have.
    Plain(DType),
    /// Blocks of numbers with scales.
    Blocks(Blocks),
    /// Known by name only.
    Unknown,
}

/// Quantised numbers.
pub(super) struct Blocks {
    /// Elements in a block.
    pub(super) elements: usize,
    /// Bytes of a block.
    pub(super) bytes: usize,
    /// Writes the elements of a block.
    pub(super) decode: fn(&[u8], &mut [f32]),
}

/// A kind of tensor.
pub(super) struct Kind {
    /// GGML's number.
    id: u32,
    /// GGML's name.
    pub(super) name: &'static str,
    pub(super) layout: Layout,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn plain(id: u32, name: &'static str, dtype: DType) -> Kind {
    Kind {
        id,
        name,
        layout: Layout::Plain(dtype),
    }
}

const fn blocks(
    id: u32,
    name: &'static str,
    elements: usize,
    bytes: usize,
    decode: fn(&[u8], &mut [f32]),
) -> Kind {
    Kind {
        id,
        name,
        layout: Layout::Blocks(Blocks {
            elements,
            bytes,
            decode,
        }),
    }
}

const fn unknown(id: u32, name: &'static str) -> Kind {
    Kind {
        id,
        name,
        layout: Layout::Unknown,
    }
}

static KINDS: [Kind; 34] = [
    plain(0, "F32", DType::F32),
    plain(1, "F16", DType::F16),
    plain(24, "I8", DType::I8),
    plain(25, "I16", DType::I16),
    plain(26, "I32", DType::I32),
    plain(27, "I64", DType::I64),
    plain(28, "F64", DType::F64),
    plain(30, "BF16", DType::BF16),
    blocks(2, "Q4_0", 32, 18, q4_0),
    blocks(3, "Q4_1", 32, 20, q4_1),
    blocks(6, "Q5_0", 32, 22, q5_0),
    blocks(7, "Q5_1", 32, 24, q5_1),
    blocks(8, "Q8_0", 32, 34, q8_0),
    blocks(10, "Q2_K", 256, 84, q2_k),
    blocks(11, "Q3_K", 256, 110, q3_k),
    blocks(12, "Q4_K", 256, 144, q4_k),
    blocks(13, "Q5_K", 256, 176, q5_k),
    blocks(14, "Q6_K", 256, 210, q6_k),
    blocks(15, "Q8_K", 256, 292, q8_k),
    unknown(9, "Q8_1"),
    unknown(16, "IQ2_XXS"),
    unknown(17, "IQ2_XS"),
    unknown(18, "IQ3_XXS"),
    unknown(19, "IQ1_S"),
    unknown(20, "IQ4_NL"),
    unknown(21, "IQ3_S"),
    unknown(22, "IQ2_S"),
    unknown(23, "IQ4_XS"),
    unknown(29, "IQ1_M"),
    unknown(34, "TQ1_0"),
    unknown(35, "TQ2_0"),
    unknown(39, "MXFP4"),
    unknown(40, "NVFP4"),
    unknown(41, "Q1_0"),
];

/// The kind of this number.
pub(super) fn kind(id: u32) -> Result<&'static Kind> {
    match KINDS.iter().find(|kind| kind.id == id) {
        Some(kind) => Ok(kind),
        None => bail!(Unsupported, "elements of the unknown kind {id}"),
    }
}

/// Two bytes as a `float16`.
fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// `d`, then 16 bytes: `x = d·(q − 8)`.
fn q4_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (i, byte) in block[2..].iter().enumerate() {
        out[i] = d * (f32::from(byte & 15) - 8.0);
        out[i + 16] = d * (f32::from(byte >> 4) - 8.0);
    }
}

/// `d`, `m`, then 16 bytes: `x = d·q + m`.
fn q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (i, byte) in block[4..].iter().enumerate() {
        out[i] = d * f32::from(byte & 15) + m;
        out[i + 16] = d * f32::from(byte >> 4) + m;
    }
}

/// The fifth bits of 32 numbers, and their four low bits in 16 bytes.
fn five_bits(bytes: &[u8], i: usize) -> (f32, f32) {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let (low, bit) = (bytes[4 + i], |at: usize| ((high >> at & 1) << 4) as u8);
    (f32::from(low & 15 | bit(i)), f32::from(low >> 4 | bit(i + 16)))
}

/// `d`, fifth bits, low bits: `x = d·(q − 16)`.
fn q5_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for i in 0..16 {
        let (first, second) = five_bits(&block[2..], i);
        out[i] = d * (first - 16.0);
        out[i + 16] = d * (second - 16.0);
    }
}

/// `d`, `m`, fifth bits, low bits: `x = d·q + m`.
fn q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for i in 0..16 {
        let (first, second) = five_bits(&block[4..], i);
        out[i] = d * first + m;
        out[i + 16] = d * second + m;
    }
}

/// `d`, then a byte with sign for each element.
fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (x, &byte) in out.iter_mut().zip(&block[2..]) {
        *x = d * f32::from(byte as i8);
    }
}

/// For each group of 16 a byte of scale (low half) and minimum (high half); then 2 bits for each element; `d`, `dmin`.
/// 32 bytes hold four groups of 32 elements, each two bits further up.
fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, numbers) = (&block[..16], &block[16..80]);
    let (d, dmin) = (half_at(block, 80), half_at(block, 82));
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let (scale, min) = (
            d * f32::from(scales[group] & 15),
            dmin * f32::from(scales[group] >> 4),
        );
        let (start, shift) = (group / 8 * 32 + group % 2 * 16, group % 8 / 2 * 2);
        for (x, byte) in out.iter_mut().zip(&numbers[start..]) {
            *x = scale * f32::from(byte >> shift & 3) - min;
        }
    }
}

/// The third bits, inverted, a bit of 32 bytes for each group of 32; the low bits as in `Q2_K`; for each group of 16 a
/// scale of 6 bits from −32 on; `d`.
fn q3_k(block: &[u8], out: &mut [f32]) {
    let (high, numbers, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half_at(block, 108);
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let low = if group < 8 {
            scales[group] & 15
        } else {
            scales[group - 8] >> 4
        };
        let scale = low | (scales[8 + group % 4] >> (group / 4 * 2) & 3) << 4;
        let scale = d * (f32::from(scale) - 32.0);
        let (within, shift) = (group % 2 * 16, group % 8 / 2 * 2);
        for (i, x) in out.iter_mut().enumerate() {
            let low = numbers[group / 8 * 32 + within + i] >> shift & 3;
            let third = high[within + i] >> (group / 2) & 1;
            *x = scale * (f32::from(low | third << 2) - 4.0);
        }
    }
}

/// Scale and minimum of 6 bits of one of eight groups, from 12 bytes: four scales, four minima, then the low bits of the
/// other four of each, whose two high bits are those of the first eight bytes.
fn scale_and_min(bytes: &[u8], group: usize) -> (f32, f32) {
    let (scale, min) = if group < 4 {
        (bytes[group] & 63, bytes[group + 4] & 63)
    } else {
        (
            bytes[group + 4] & 15 | bytes[group - 4] >> 6 << 4,
            bytes[group + 4] >> 4 | bytes[group] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(min))
}

/// `d`, `dmin`, scales and minima of eight groups of 32, then 4 bits for each element: two groups in 32 bytes.
fn q4_k(block: &[u8], out: &mut [f32]) {
    four_bits_and_one(block, &[0; 32], &block[16..], out);
}

/// As `Q4_K`, with the fifth bits, a bit of 32 bytes for each group, before the others.
fn q5_k(block: &[u8], out: &mut [f32]) {
    four_bits_and_one(block, &block[16..48], &block[48..], out);
}

fn four_bits_and_one(block: &[u8], high: &[u8], numbers: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(&block[4..16], group);
        let (scale, min) = (d * scale, dmin * min);
        for (i, x) in out.iter_mut().enumerate() {
            let low = numbers[group / 2 * 32 + i] >> (group % 2 * 4) & 15;
            let fifth = high[i] >> group & 1;
            *x = scale * f32::from(low | fifth << 4) - min;
        }
    }
}

/// Low 4 bits, high 2 bits, for each group of 16 a scale with sign, `d`: `x = d·s·(q − 32)`. In each half of the block,
/// 64 bytes have the low bits, and 32 the high ones of four groups of 32.
fn q6_k(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 208);
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(block[192 + group] as i8);
        let (half, quarter, within) = (group / 8, group % 8 / 2, group % 2 * 16);
        for (i, x) in out.iter_mut().enumerate() {
            let low = block[half * 64 + quarter % 2 * 32 + within + i] >> (quarter / 2 * 4) & 15;
            let high = block[128 + half * 32 + within + i] >> (quarter * 2) & 3;
            *x = scale * (f32::from(low | high << 4) - 32.0);
        }
    }
}

/// `d` in `float32`, a byte with sign for each element, and sums that only products need.
fn q8_k(block: &[u8], out: &mut [f32]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (x, &byte) in out.iter_mut().zip(&block[4..260]) {
        *x = d * f32::from(byte as i8);
    }
}
