//! Huffman codes of a baseline scan, to dequantised coefficients.

use super::{Group, LANES};
use crate::simd;

/// Bits of a code that are looked up at once.
const LOOKUP: u32 = 10;

/// The place of coefficient `k` of the zigzag in the order of rows.
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// What the next bits are.
#[derive(Clone, Copy)]
struct Entry {
    /// The value, or how many bits of it follow if `run` says so.
    value: i16,
    /// How many zeros stand before it, and one of the two flags.
    run: u8,
    /// Bits to pass over; none if the code is longer than what was looked up.
    length: u8,
}

/// The value's bits follow.
const FOLLOWS: u8 = 0x40;
/// Only zeros follow in this block.
const END: u8 = 0x80;

/// A table of codes.
#[derive(Clone)]
pub struct Huffman {
    fast: Box<[Entry; 1 << LOOKUP]>,
    /// Behind the codes of each length: the first 16 bits that are none of theirs.
    limits: [u32; 17],
    /// What a code of each length is to be added to for the place of its symbol.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl std::fmt::Debug for Huffman {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Huffman")
    }
}

/// What a symbol stands for, of which `length` bits are the code.
fn meaning(symbol: u8, length: u32) -> Entry {
    let (run, size) = (symbol >> 4, symbol & 15);
    let flag = if size == 0 && run < 15 { END } else { FOLLOWS };
    Entry {
        value: i16::from(size),
        run: run | flag,
        length: length as u8,
    }
}

/// The number that `size` bits are: those that begin with 0 are negative.
#[inline(always)]
fn number(bits: u32, size: u32) -> i16 {
    if size > 0 && bits >> (size - 1) == 0 {
        (bits as i32 - (1 << size) + 1) as i16
    } else {
        bits as i16
    }
}

impl Huffman {
    /// The table with so many codes of each length, and what they stand for; `None` if it is none.
    pub fn new(counts: &[u8; 16], meanings: &[u8]) -> Option<Huffman> {
        let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
        if total != meanings.len() || total > 256 {
            return None;
        }
        let unknown = Entry {
            value: 0,
            run: 0,
            length: 0,
        };
        let mut table = Huffman {
            fast: Box::new([unknown; 1 << LOOKUP]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: [0; 256],
        };
        table.symbols[..total].copy_from_slice(meanings);
        let (mut code, mut at) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            table.offsets[length as usize] = at as i32 - code as i32;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                table.enter(code, length, meanings[at]);
                code += 1;
                at += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// Notes a code under all bits that begin with it.
    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        let Some(rest) = LOOKUP.checked_sub(length) else {
            return;
        };
        for bits in 0..1u32 << rest {
            let mut entry = meaning(symbol, length);
            let size = entry.value as u32;
            if entry.run & FOLLOWS != 0 && size > 0 && size <= rest {
                entry.run &= !FOLLOWS;
                entry.length += size as u8;
                entry.value = number(bits >> (rest - size), size);
            }
            self.fast[(code << rest | bits) as usize] = entry;
        }
    }

    /// What the next 16 bits begin with, if the code is longer than what is looked up.
    #[cold]
    #[inline(never)]
    fn long(&self, bits: u32) -> Option<Entry> {
        let length = (LOOKUP + 1..=16).find(|&length| bits < self.limits[length as usize])?;
        let at = (bits >> (16 - length)) as i32 + self.offsets[length as usize];
        Some(meaning(*self.symbols.get(at as usize)?, length))
    }
}

/// The data of a scan without what keeps them apart from markers, in parts that begin anew.
#[derive(Debug)]
pub struct Scan {
    data: Vec<u8>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Scan {
    /// The scan at the beginning of `bytes`, and the marker behind it; `None` if there is no marker.
    pub fn new(bytes: &[u8]) -> Option<(Scan, u8)> {
        let mut scan = Scan {
            data: Vec::with_capacity(bytes.len() + 8),
            ends: Vec::new(),
        };
        let mut rest = bytes;
        loop {
            let at = rest.iter().position(|&byte| byte == 0xff)?;
            scan.data.extend_from_slice(&rest[..at]);
            // Fill bytes may stand before a marker.
            let behind = rest[at..].iter().position(|&byte| byte != 0xff)?;
            let marker = rest[at + behind];
            rest = &rest[at + behind + 1..];
            match marker {
                0 => scan.data.push(0xff),
                0xd0..=0xd7 => scan.ends.push(scan.data.len()),
                _ => {
                    scan.ends.push(scan.data.len());
                    return Some((scan, marker));
                }
            }
        }
    }
}

/// A component of a picture: how its blocks are coded, and which are wanted.
#[derive(Debug)]
pub struct Component<'a> {
    /// Codes of differences between the means of blocks.
    pub dc: &'a Huffman,
    /// Codes of the other coefficients.
    pub ac: &'a Huffman,
    /// The steps of coefficients, in the order of the zigzag.
    pub steps: &'a [u16; 64],
    /// Blocks of a unit along a row.
    pub across: usize,
    /// Blocks of a unit along a column.
    pub down: usize,
    /// The coefficients of the blocks that are wanted: `down` rows of as many groups as hold them.
    pub groups: &'a mut [Group],
}

/// Where decoding stands within a scan.
#[derive(Debug)]
pub struct Entropy<'a> {
    scan: &'a Scan,
    part: usize,
    /// The next byte that is not in `bits`.
    position: usize,
    /// The next bits, from the highest down.
    bits: u64,
    /// How many of them count.
    count: u32,
    /// The means of the last blocks of each component.
    means: [i16; 4],
    /// How many units there are between two beginnings; 0 if there is one.
    interval: usize,
    /// How many units are left until there is one.
    left: usize,
}

impl<'a> Entropy<'a> {
    /// At the beginning of a scan that begins anew after every `interval` units.
    pub fn new(scan: &'a Scan, interval: usize) -> Entropy<'a> {
        Entropy {
            scan,
            part: 0,
            position: 0,
            bits: 0,
            count: 0,
            means: [0; 4],
            interval,
            left: interval,
        }
    }

    /// Whether no more has been read than this part has.
    fn within(&self) -> bool {
        8 * self.position <= 8 * self.scan.ends[self.part] + self.count as usize
    }

    /// Goes to the next part.
    fn restart(&mut self) -> Option<()> {
        if !self.within() || self.part + 1 == self.scan.ends.len() {
            return None;
        }
        self.position = self.scan.ends[self.part];
        self.part += 1;
        (self.bits, self.count, self.means, self.left) = (0, 0, [0; 4], self.interval);
        Some(())
    }

    /// At least 56 bits; zeros behind the end.
    #[inline(always)]
    fn refill(&mut self) {
        let rest = self.scan.data.get(self.position..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => last_word(rest),
        };
        self.bits |= word >> self.count;
        self.position += (63 - self.count as usize) / 8;
        self.count |= 56;
    }

    #[inline(always)]
    fn skip(&mut self, length: u32) {
        self.bits <<= length;
        self.count -= length;
    }

    /// The next code and its value. There are 31 bits at least.
    #[inline(always)]
    fn next(&mut self, table: &Huffman) -> Option<Entry> {
        let mut entry = table.fast[(self.bits >> (64 - LOOKUP)) as usize];
        if entry.length == 0 {
            entry = table.long((self.bits >> 48) as u32)?;
        }
        self.skip(u32::from(entry.length));
        if entry.run & FOLLOWS != 0 {
            entry.run &= !FOLLOWS;
            let size = entry.value as u32;
            // By two steps: none are as many as 64.
            let bits = (self.bits >> 1 >> (63 - size)) as u32;
            self.skip(size);
            entry.value = number(bits, size);
        }
        Some(entry)
    }

    /// The coefficients of the next block, for each its place in the order of rows.
    #[inline(always)]
    fn block(
        &mut self,
        number: usize,
        (dc, ac, steps): (&Huffman, &Huffman, &[u16; 64]),
        mut put: impl FnMut(usize, i16),
    ) -> Option<()> {
        self.refill();
        // A difference of 0 has the symbol of an end, and no bits.
        let first = self.next(dc)?;
        if first.run & !END != 0 {
            return None;
        }
        let mean = self.means[number].wrapping_add(first.value);
        self.means[number] = mean;
        put(0, mean.wrapping_mul(steps[0] as i16));
        let mut k = 1;
        while k < 64 {
            if self.count < 32 {
                self.refill();
            }
            let entry = self.next(ac)?;
            if entry.run & END != 0 {
                break;
            }
            k += usize::from(entry.run);
            let place = usize::from(*ZIGZAG.get(k)?);
            put(place, entry.value.wrapping_mul(steps[k] as i16));
            k += 1;
        }
        Some(())
    }
}

#[cold]
fn last_word(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

simd! {
    /// Decodes a row of `units`, and keeps the blocks of those in `from..to`. `None` if the data are damaged or end early.
    pub fn decode_row(entropy: &mut Entropy<'_>, components: &mut [Component<'_>], units: usize, from: usize, to: usize) -> Option<()> {
        for component in components.iter_mut() {
            component.groups.as_flattened_mut().fill([0; LANES]);
        }
        for unit in 0..units {
            if entropy.interval > 0 {
                if entropy.left == 0 {
                    entropy.restart()?;
                }
                entropy.left -= 1;
            }
            for (number, component) in components.iter_mut().enumerate() {
                let tables = (component.dc, component.ac, component.steps);
                let groups_per_row = component.groups.len() / component.down;
                for down in 0..component.down {
                    for across in 0..component.across {
                        if unit < from || unit >= to {
                            entropy.block(number, tables, |_, _| ())?;
                            continue;
                        }
                        let block = (unit - from) * component.across + across;
                        let group = &mut component.groups[down * groups_per_row + block / LANES];
                        entropy.block(number, tables, |place, value| group[place][block % LANES] = value)?;
                    }
                }
            }
        }
        entropy.within().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes 0, 10, 110 for a mean that stays, one that differs by a bit, and by two.
    fn table(symbols: [u8; 3]) -> Huffman {
        let mut counts = [0; 16];
        counts[..3].copy_from_slice(&[1, 1, 1]);
        Huffman::new(&counts, &symbols).unwrap()
    }

    fn decoded(bytes: &[u8], interval: usize, units: usize) -> Option<Vec<[i16; 3]>> {
        let (scan, marker) = Scan::new(bytes)?;
        assert_eq!(marker, 0xd9);
        let (dc, ac) = (table([0, 1, 2]), table([0, 0x11, 0xf0]));
        let mut groups = [[[7; LANES]; 64]];
        let mut component = [Component {
            dc: &dc,
            ac: &ac,
            steps: &[3; 64],
            across: 1,
            down: 1,
            groups: &mut groups,
        }];
        decode_row(
            &mut Entropy::new(&scan, interval),
            &mut component,
            units,
            0,
            units,
        )?;
        Some(
            (0..units)
                .map(|at| [groups[0][0][at], groups[0][8][at], groups[0][63][at]])
                .collect(),
        )
    }

    #[test]
    fn codes_become_coefficients() {
        let bits = [
            "101", "0", // +1
            "100", "101", "0", // -1: the mean is 0; the second of the zigzag is 1
            "11011", "0", // +3
        ]
        .concat();
        let bytes = packed(&bits);
        assert_eq!(decoded(&bytes, 0, 3), Some(vec![[3, 0, 0], [0, 3, 0], [9, 0, 0]]));
        // Only two are there.
        assert_eq!(decoded(&packed(&bits[..12]), 0, 3), None);
    }

    fn packed(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().map(|bit| bit - b'0').collect();
        let mut bytes = Vec::new();
        for eight in bits.chunks(8) {
            let byte = (0..8).fold(0, |byte, i| byte << 1 | eight.get(i).unwrap_or(&1));
            bytes.push(byte);
            if byte == 0xff {
                bytes.push(0);
            }
        }
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    #[test]
    fn parts_begin_anew() {
        let mut bytes = packed("1010");
        bytes.truncate(1);
        // A marker with a fill byte before it.
        bytes.extend([0xff, 0xff, 0xd0]);
        bytes.extend(packed("1010"));
        assert_eq!(decoded(&bytes, 1, 2), Some(vec![[3, 0, 0], [3, 0, 0]]));
        // More is said to follow than there is.
        assert_eq!(decoded(&bytes, 1, 3), None);
    }

    #[test]
    fn runs_beyond_the_block_and_codes_of_no_symbol_are_refused() {
        assert_eq!(decoded(&packed(&["0", "110110110110", "0"].concat()), 0, 1), None);
        assert_eq!(decoded(&packed("111"), 0, 1), None);
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Huffman::new(&counts, &[0, 1, 2]).is_none());
        counts[0] = 2;
        assert!(Huffman::new(&counts, &[0]).is_none());
        assert!(Huffman::new(&counts, &[0, 1]).is_some());
    }
}
