//! Baseline JPEG, whole or a part of it: what photographs are stored in, byte for byte as libjpeg-turbo decodes it.
//!
//! A part costs no more than its own share of the transform, the chroma filter and the colours, and nothing below it is
//! read; only codes are decoded from the beginning, since each block is coded by the difference to the one before.
//!
//! What is not here (progressive and arithmetic coding, several scans, CMYK, uncommon sampling) and what is damaged is left to
//! the crate `image`: functions return `None`.

use std::ops::Range;

use flambeau_tensor::jpeg::entropy::{Component, Entropy, Huffman, Scan, decode_row};
use flambeau_tensor::jpeg::{Group, LANES, colors, columns_doubled, inverse_dct, rows_mixed};

/// Rows and columns of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

/// What stands before the data of the scan.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) height: usize,
    pub(super) width: usize,
    /// One for grey, three for colours.
    components: Vec<Plane>,
    steps: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    interval: usize,
    /// Where the scan begins.
    scan: usize,
}

/// What the header says of a component.
#[derive(Clone, Copy, Debug)]
struct Plane {
    id: u8,
    across: usize,
    down: usize,
    steps: usize,
    dc: usize,
    ac: usize,
}

/// The two bytes at the beginning as a number.
fn number(bytes: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.first_chunk()?)))
}

impl Header {
    /// The header of a baseline JPEG, if `bytes` are one.
    pub(super) fn new(bytes: &[u8]) -> Option<Header> {
        let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
        let mut header = Header {
            height: 0,
            width: 0,
            components: Vec::new(),
            steps: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            interval: 0,
            scan: 0,
        };
        let (mut jfif, mut adobe) = (false, None);
        loop {
            let behind = rest.strip_prefix(&[0xff])?;
            let at = behind.iter().position(|&byte| byte != 0xff)?;
            let (marker, length) = (behind[at], number(behind.get(at + 1..)?)?);
            let segment = behind.get(at + 3..at + 1 + length)?;
            rest = &behind[at + 1 + length..];
            match marker {
                0xc0 | 0xc1 => header.frame(segment)?,
                0xc4 => header.codes(segment)?,
                0xdb => header.quantisation(segment)?,
                0xdd => header.interval = number(segment)?,
                0xe0 => jfif |= segment.starts_with(b"JFIF\0"),
                0xee => {
                    adobe = adobe.or(segment
                        .strip_prefix(b"Adobe")
                        .and_then(|rest| rest.get(6).copied()))
                }
                0xda => {
                    header.begin(segment)?;
                    header.scan = bytes.len() - rest.len();
                    break;
                }
                0xe1..=0xef | 0xfe => {}
                _ => return None,
            }
        }
        // Three components without a note are luma and chroma, unless they are named otherwise.
        let ids = header.components.iter().map(|plane| plane.id);
        let colors = jfif || adobe == Some(1) || (adobe.is_none() && ids.eq([1, 2, 3]));
        (header.components.len() == 1 || colors).then_some(header)
    }

    /// All of the picture.
    pub(super) fn whole(&self) -> Part {
        Part {
            rows: 0..self.height,
            columns: 0..self.width,
        }
    }

    /// How many values a pixel has.
    pub(super) fn channels(&self) -> usize {
        self.components.len()
    }

    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let [8, _, _, _, _, count, components @ ..] = segment else {
            return None;
        };
        (self.height, self.width) = (number(&segment[1..])?, number(&segment[3..])?);
        let (components, rest) = components.as_chunks::<3>();
        let fits = self.components.is_empty() && self.height > 0 && self.width > 0;
        if !fits || !rest.is_empty() || components.len() != usize::from(*count) {
            return None;
        }
        for &[id, sampling, steps] in components {
            self.components.push(Plane {
                id,
                across: usize::from(sampling >> 4),
                down: usize::from(sampling & 15),
                steps: usize::from(steps),
                dc: 0,
                ac: 0,
            });
        }
        match &mut self.components[..] {
            // The blocks of one component are in the order of rows, whatever its sampling.
            [grey] => (grey.across, grey.down) = (1, 1),
            [luma, chroma @ ..] if chroma.len() == 2 => {
                let halved = matches!((luma.across, luma.down), (1, 1) | (2, 1) | (2, 2));
                if !halved || chroma.iter().any(|plane| (plane.across, plane.down) != (1, 1)) {
                    return None;
                }
            }
            _ => return None,
        }
        // Narrower chroma is not filtered.
        (self.halved().1 == 1 || self.width > 4).then_some(())
    }

    fn codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [class, rest @ ..] = segment {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
            let table = Huffman::new(counts, rest.get(..total)?)?;
            let tables = match class >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(class & 15))? = Some(table);
            segment = &rest[total..];
        }
        Some(())
    }

    fn quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [class, rest @ ..] = segment {
            let wide = match class >> 4 {
                0 => 1,
                1 => 2,
                _ => return None,
            };
            let values = rest.get(..64 * wide)?;
            let step = |k: usize| match wide {
                1 => u16::from(values[k]),
                _ => u16::from_be_bytes([values[2 * k], values[2 * k + 1]]),
            };
            *self.steps.get_mut(usize::from(class & 15))? = Some(std::array::from_fn(step));
            segment = &rest[64 * wide..];
        }
        Some(())
    }

    /// The header of a scan, which must be of all components and all coefficients.
    fn begin(&mut self, segment: &[u8]) -> Option<()> {
        let [count, rest @ ..] = segment else { return None };
        let (components, spectrum) = rest.as_chunks::<2>();
        if components.len() != self.components.len() + 1 || usize::from(*count) != self.components.len() {
            return None;
        }
        let whole = components.last() == Some(&[0, 63]) && spectrum == [0];
        for (plane, &[id, tables]) in self.components.iter_mut().zip(components) {
            if plane.id != id {
                return None;
            }
            (plane.dc, plane.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        }
        (whole && !self.components.is_empty()).then_some(())
    }

    /// By how much chroma is smaller, along columns and rows.
    fn halved(&self) -> (usize, usize) {
        (self.components[0].down, self.components[0].across)
    }

    /// The channels of a part of the picture in the file `bytes`, one after the other, in `out`. `None` for what is damaged.
    pub(super) fn decode(&self, bytes: &[u8], part: &Part, out: &mut [u8]) -> Option<()> {
        let (scan, marker) = Scan::new(&bytes[self.scan..])?;
        // More than one scan is not for us.
        if marker != 0xd9 {
            return None;
        }
        let (down, across) = self.halved();
        // Units of blocks that the part needs, with the neighbours of its chroma.
        let rows = units(&part.rows, down, self.height);
        let columns = units(&part.columns, across, self.width);
        let tables = |plane: &Plane| {
            Some((
                self.dc.get(plane.dc)?.as_ref()?,
                self.ac.get(plane.ac)?.as_ref()?,
                self.steps.get(plane.steps)?.as_ref()?,
            ))
        };
        let groups = |plane: &Plane| (columns.len() * plane.across).div_ceil(LANES);
        let mut coefficients: Vec<Vec<Group>> = Vec::new();
        let mut samples: Vec<Samples> = Vec::new();
        for plane in &self.components {
            coefficients.push(vec![[[0; LANES]; 64]; groups(plane) * plane.down]);
            samples.push(Samples::new(
                groups(plane) * 8 * LANES,
                rows.len() * plane.down * 8,
            ));
        }
        let mut components = Vec::new();
        for (plane, groups) in self.components.iter().zip(&mut coefficients) {
            let (dc, ac, steps) = tables(plane)?;
            components.push(Component {
                dc,
                ac,
                steps,
                across: plane.across,
                down: plane.down,
                groups,
            });
        }
        let mut entropy = Entropy::new(&scan, self.interval);
        let all = self.width.div_ceil(8 * across);
        for row in 0..rows.end {
            let wanted = if row < rows.start { 0..0 } else { columns.clone() };
            decode_row(&mut entropy, &mut components, all, wanted.start, wanted.end)?;
            if row < rows.start {
                continue;
            }
            for (component, samples) in components.iter().zip(&mut samples) {
                let stride = samples.stride;
                let first = (row - rows.start) * component.down;
                let blocks = component
                    .groups
                    .chunks_exact(component.groups.len() / component.down);
                for (at, groups) in blocks.enumerate() {
                    let lines = &mut samples.bytes[(first + at) * 8 * stride..][..8 * stride];
                    inverse_dct(groups, lines, stride);
                }
            }
        }
        let origin = (rows.start * 8 * down, columns.start * 8 * across);
        self.color(part, origin, &samples, out);
        Some(())
    }

    /// The colours of the part, of samples that begin at the pixel `origin`.
    fn color(&self, part: &Part, origin: (usize, usize), samples: &[Samples], out: &mut [u8]) {
        let width = part.columns.len();
        let left = part.columns.start - origin.1;
        let [luma, chroma @ ..] = samples else { return };
        if chroma.is_empty() {
            for (line, row) in out.chunks_exact_mut(width).zip(part.rows.clone()) {
                line.copy_from_slice(&luma.row(row - origin.0)[left..][..width]);
            }
            return;
        }
        let (down, across) = self.halved();
        let plane = out.len() / 3;
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let lines = red
            .chunks_exact_mut(width)
            .zip(green.chunks_exact_mut(width))
            .zip(blue.chunks_exact_mut(width));
        let mut wide = [vec![0; width + 2], vec![0; width + 2]];
        let last = (self.height.div_ceil(down) - 1, self.width.div_ceil(across) - 1);
        let mut mixed = vec![0; width / 2 + 4];
        for (row, ((red, green), blue)) in part.rows.clone().zip(lines) {
            let y = &luma.row(row - origin.0)[left..][..width];
            let mut begin = left;
            if across == 2 {
                for (samples, wide) in chroma.iter().zip(&mut wide) {
                    begin = doubled(
                        samples,
                        row,
                        part,
                        (origin.0 / down, origin.1 / 2),
                        last,
                        down,
                        &mut mixed,
                        wide,
                    );
                }
                let [cb, cr] = &wide;
                colors(y, &cb[begin..][..width], &cr[begin..][..width], red, green, blue);
            } else {
                let [cb, cr] = [0, 1].map(|i: usize| &chroma[i].row(row - origin.0)[begin..][..width]);
                colors(y, cb, cr, red, green, blue);
            }
        }
    }
}

/// A row of chroma of full size, in `wide`; returns where the part begins in it.
fn doubled(
    samples: &Samples,
    row: usize,
    part: &Part,
    origin: (usize, usize),
    last: (usize, usize),
    down: usize,
    mixed: &mut Vec<u16>,
    wide: &mut Vec<u8>,
) -> usize {
    // Samples of the part and their neighbours; those at the edges are their own neighbours.
    let (first, end) = (part.columns.start / 2, part.columns.end.div_ceil(2));
    let (before, behind) = (first.saturating_sub(1), end.min(last.1));
    let range = before - origin.1..behind + 1 - origin.1;
    mixed.resize(end - first + 2, 0);
    let inner = &mut mixed[usize::from(first == 0)..][..range.len()];
    let near = row / down;
    if down == 2 {
        let far = if row.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(last.0)
        };
        let line = |row: usize| &samples.row(row - origin.0)[range.clone()];
        rows_mixed(line(near), line(far), inner);
    } else {
        let line = &samples.row(near - origin.0)[range];
        inner
            .iter_mut()
            .zip(line)
            .for_each(|(out, &x)| *out = u16::from(x));
    }
    if first == 0 {
        mixed[0] = mixed[1];
    }
    if end > last.1 {
        let n = mixed.len();
        mixed[n - 1] = mixed[n - 2];
    }
    wide.resize(2 * (end - first), 0);
    columns_doubled(mixed, (down - 1) as u32, wide);
    part.columns.start - 2 * first
}

/// The units of eight samples of chroma that pixels need, which is smaller by a factor of `halved`.
fn units(pixels: &Range<usize>, halved: usize, size: usize) -> Range<usize> {
    let neighbours = halved - 1;
    let first = (pixels.start / halved).saturating_sub(neighbours);
    let last = ((pixels.end - 1) / halved + neighbours).min(size.div_ceil(halved) - 1);
    first / 8..last / 8 + 1
}

/// The samples of a component.
struct Samples {
    bytes: Vec<u8>,
    stride: usize,
}

impl Samples {
    fn new(stride: usize, rows: usize) -> Samples {
        Samples {
            bytes: vec![0; stride * rows],
            stride,
        }
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.stride..][..self.stride]
    }
}
