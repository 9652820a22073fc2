//! The blocked matrix product: what each task packs, and its tiles.

use std::ops::{Range, RangeInclusive};

use smallvec::SmallVec;

use super::kernel::{LINE, MicroKernel, Tile};
use super::output::Output;
use super::pack::{Lines, PackA, PackB};
use super::plan::{BLOCKS_AT_ONCE, Plan};
use super::{Activation, Epilogue};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::Real;

/// Bytes of a panel of B that stays in the first-level cache while A streams past; for a smaller one it does not pay.
const PANEL_BYTES: RangeInclusive<usize> = 16 << 10..=32 << 10;
/// Tiles' widths below which a segment of C is short: then a good part of the tiles crosses its end.
const SHORT_SEGMENT: usize = 4;
/// The tallest and the widest tile of any instruction set, in elements.
const MAX_TILE: usize = 14 * 64;

/// An operand: packed as a whole beforehand, or packed block by block by each task.
pub(crate) enum Operand<'a, T, P: ?Sized> {
    Packed(&'a [T]),
    Source(&'a P),
}

impl<T: Real> Plan<T> {
    /// Multiplies. Operands packed as a whole must have been packed by a plan of the same sizes.
    pub(crate) fn run(
        &self,
        a: Operand<'_, T, dyn PackA<T> + '_>,
        b: Operand<'_, T, dyn PackB<T> + '_>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let writes_only = epilogue.beta == T::ZERO && epilogue.residual.is_none();
        let short = |(len, _)| len < SHORT_SEGMENT * self.width;
        if out.segment.is_some_and(short) && self.depth_blocks > 1 && writes_only {
            return self.run_beside(a, b, out, epilogue);
        }
        self.run_onto(a, b, out, epilogue);
    }

    /// Multiplies into a matrix of its own, which is then cut into segments. Otherwise most tiles would cross from one
    /// short segment to the next, and be copied from and to them for every block of the inner dimension.
    fn run_beside(
        &self,
        a: Operand<'_, T, dyn PackA<T> + '_>,
        b: Operand<'_, T, dyn PackB<T> + '_>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let mut whole = Buf::<T>::take(self.m * self.n);
        let beside = Output {
            c: SendPtr(whole.as_mut_ptr()),
            ldc: self.n,
            segment: None,
        };
        let (activation, rest) = match epilogue.activation {
            Activation::Rows(f) => (Some(f), Activation::None),
            other => (None, other),
        };
        let epilogue = Epilogue {
            activation: rest,
            ..*epilogue
        };
        self.run_onto(a, b, beside, &epilogue);
        const ROWS: usize = 16;
        parallel_for(self.m.div_ceil(ROWS), |t| {
            for row in t * ROWS..((t + 1) * ROWS).min(self.m) {
                let source = &whole[row * self.n..][..self.n];
                // SAFETY: this task alone writes this row of C.
                unsafe {
                    out.for_each_segment(row, 0..self.n, |j, offset, s| {
                        s.copy_from_slice(&source[j..][..s.len()]);
                        if let Some(f) = activation {
                            f(row, offset, s);
                        }
                    })
                };
            }
        });
    }

    fn run_onto(
        &self,
        a: Operand<'_, T, dyn PackA<T> + '_>,
        b: Operand<'_, T, dyn PackB<T> + '_>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let (row_groups, column_groups) =
            self.groups(matches!(a, Operand::Source(_)), matches!(b, Operand::Source(_)));
        parallel_for(row_groups * column_groups, |task| {
            let (column, row) = (task / row_groups, task % row_groups);
            let rows = row * self.row_panels / row_groups..(row + 1) * self.row_panels / row_groups;
            let columns = column * self.column_panels / column_groups
                ..(column + 1) * self.column_panels / column_groups;
            self.block(&a, &b, rows, columns, out, epilogue);
        });
    }

    /// One task: a range of row panels times a range of column panels.
    fn block(
        &self,
        a: &Operand<'_, T, dyn PackA<T> + '_>,
        b: &Operand<'_, T, dyn PackB<T> + '_>,
        rows: Range<usize>,
        columns: Range<usize>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        if let (Operand::Source(a), Operand::Source(b)) = (a, b) {
            self.block_of_sources(*a, *b, rows.clone(), columns.clone(), out, epilogue);
        } else {
            self.block_of_panels(a, b, rows.clone(), columns.clone(), out, epilogue);
        }
        if let Activation::Rows(f) = epilogue.activation {
            let range = self.columns(columns);
            for row in self.row(rows.start)..self.row(rows.end) {
                // SAFETY: this task alone writes these elements of C.
                unsafe { out.for_each_segment(row, range.clone(), |_, offset, s| f(row, offset, s)) };
            }
        }
    }

    /// A task that packs both operands, block by block of the inner dimension.
    fn block_of_sources(
        &self,
        a: &(dyn PackA<T> + '_),
        b: &(dyn PackB<T> + '_),
        rows: Range<usize>,
        columns: Range<usize>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let cuts = self.cuts(rows);
        // What is packed just before its use: a panel of B, if A has been cut for that, or if the panel has the size to stay in the
        // first-level cache and A is no larger than B, so that A streams past it with less traffic than B past a panel of A.
        let panel = self.width * self.longest_depth() * size_of::<T>();
        let no_larger = cuts[cuts.len() - 1] - cuts[0] <= columns.len() * self.width;
        if self.apart.is_some() || (PANEL_BYTES.contains(&panel) && no_larger) {
            self.sources_by_columns(a, b, &cuts, columns, out, epilogue);
        } else {
            self.sources_by_rows(a, b, &cuts, columns, out, epilogue);
        }
    }

    /// Packs the rows of A, and panel by panel of B what they stream past.
    fn sources_by_columns(
        &self,
        a: &(dyn PackA<T> + '_),
        b: &(dyn PackB<T> + '_),
        cuts: &[usize],
        columns: Range<usize>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let (first, last) = (cuts[0], cuts[cuts.len() - 1]);
        let mut a_block = Buf::<T>::take((last - first) * self.longest_depth());
        let mut b_panel = Buf::<T>::take(self.width * self.longest_depth());
        for block in 0..self.depth_blocks {
            let depth = self.depth(block);
            // SAFETY: the panels lie inside A and fill the private block.
            unsafe { a.pack(cuts, depth.clone(), a_block.as_mut_ptr()) };
            for q in columns.clone() {
                // SAFETY: the panel lies inside B and fits in the buffer.
                unsafe {
                    b.pack(
                        depth.clone(),
                        self.columns(q..q + 1),
                        self.width,
                        b_panel.as_mut_ptr(),
                    )
                };
                let strip = self.strip(block, q, b_panel.as_ptr(), epilogue);
                // While a panel is in use, the next one comes from the last cache.
                let next = if q + 1 < columns.end {
                    b.lines(depth.clone(), self.columns(q + 1..q + 2))
                } else if block + 1 < self.depth_blocks {
                    b.lines(
                        self.depth(block + 1),
                        self.columns(columns.start..columns.start + 1),
                    )
                } else {
                    None
                };
                for (i, cut) in cuts.windows(2).enumerate() {
                    let ahead = next.map_or(Ahead::NOTHING, |lines| self.ahead_of(lines, depth.len(), i));
                    let a = a_block[(cut[0] - first) * depth.len()..].as_ptr();
                    self.tile(&strip, cut[0]..cut[1], a, ahead, out, epilogue);
                }
            }
        }
    }

    /// Packs the columns of B, and panel by panel of A what they stream past.
    fn sources_by_rows(
        &self,
        a: &(dyn PackA<T> + '_),
        b: &(dyn PackB<T> + '_),
        cuts: &[usize],
        columns: Range<usize>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let mut a_panel = Buf::<T>::take(self.greatest_height() * self.longest_depth());
        let mut b_block = Buf::<T>::take(columns.len() * self.width * self.longest_depth());
        for block in 0..self.depth_blocks {
            let depth = self.depth(block);
            let range = self.columns(columns.clone());
            // SAFETY: the panels lie inside B and fill the private block.
            unsafe { b.pack(depth.clone(), range, self.width, b_block.as_mut_ptr()) };
            let strips: SmallVec<[Strip<T>; 16]> = (columns.clone())
                .map(|q| {
                    let b = b_block[(q - columns.start) * self.width * depth.len()..].as_ptr();
                    self.strip(block, q, b, epilogue)
                })
                .collect();
            for cut in cuts.windows(2) {
                // SAFETY: the panel lies inside A and fits in the buffer.
                unsafe { a.pack(cut, depth.clone(), a_panel.as_mut_ptr()) };
                for strip in &strips {
                    let a = a_panel.as_ptr();
                    self.tile(strip, cut[0]..cut[1], a, Ahead::NOTHING, out, epilogue);
                }
            }
        }
    }

    /// A task with an operand that was packed as a whole. The other one is packed for some blocks of the inner dimension at a
    /// time, which go into a tile of C one after the other while it is at hand.
    fn block_of_panels(
        &self,
        a: &Operand<'_, T, dyn PackA<T> + '_>,
        b: &Operand<'_, T, dyn PackB<T> + '_>,
        rows: Range<usize>,
        columns: Range<usize>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let cuts = self.cuts(rows.clone());
        let row_range = cuts[0]..cuts[rows.len()];
        let width = columns.len() * self.width;
        let longest = self.longest_round();
        let mut a_block = Buf::<T>::take(match a {
            Operand::Packed(_) => 0,
            Operand::Source(_) => row_range.len() * longest,
        });
        let mut b_block = Buf::<T>::take(match b {
            Operand::Packed(_) => 0,
            Operand::Source(_) => width * longest,
        });
        let (a_block, b_block) = (a_block.as_mut_ptr(), b_block.as_mut_ptr());
        // While a panel is in use, the next one comes from the last cache, a part of it with each tile.
        let by_rows = matches!(b, Operand::Source(_));
        let (lines, tiles) = if by_rows {
            (self.height, columns.len())
        } else {
            (self.width, rows.len())
        };
        for round in 0..self.rounds() {
            let blocks = self.blocks(round);
            let start = self.depth(blocks.start).start;
            let panels: SmallVec<[Panels<T>; BLOCKS_AT_ONCE]> = (blocks.clone())
                .map(|block| {
                    let depth = self.depth(block);
                    let a = match a {
                        Operand::Packed(whole) => {
                            whole[self.m * depth.start + row_range.start * depth.len()..].as_ptr()
                        }
                        Operand::Source(a) => {
                            let part = a_block.wrapping_add(row_range.len() * (depth.start - start));
                            // SAFETY: the panels lie inside A and fill their part of the private block.
                            unsafe { a.pack(&cuts, depth.clone(), part) };
                            part.cast_const()
                        }
                    };
                    let b = match b {
                        Operand::Packed(whole) => {
                            let offset = self.column_panels * depth.start + columns.start * depth.len();
                            whole[self.width * offset..].as_ptr()
                        }
                        Operand::Source(b) => {
                            let part = b_block.wrapping_add(width * (depth.start - start));
                            let range = self.columns(columns.clone());
                            // SAFETY: the panels lie inside B and fill their part of the private block.
                            unsafe { b.pack(depth.clone(), range, self.width, part) };
                            part.cast_const()
                        }
                    };
                    Panels {
                        depth: depth.len(),
                        a,
                        b,
                        requested: requested::<T>(lines * depth.len(), tiles, depth.len()),
                    }
                })
                .collect();
            // By column panel, and for each of them by block.
            let mut strips = SmallVec::<[Strip<T>; 16]>::new();
            for q in columns.clone() {
                for (block, panels) in blocks.clone().zip(&panels) {
                    let b = panels
                        .b
                        .wrapping_add((q - columns.start) * self.width * panels.depth);
                    strips.push(self.strip(block, q, b, epilogue));
                }
            }
            let a_panel = |panels: &Panels<T>, row: usize| {
                panels.a.wrapping_add((row - row_range.start) * panels.depth)
            };
            if by_rows {
                for cut in cuts.windows(2) {
                    for (i, strips) in strips.chunks(blocks.len()).enumerate() {
                        for (strip, panels) in strips.iter().zip(&panels) {
                            let ahead = panels.ahead(a_panel(panels, cut[1]), i);
                            let a = a_panel(panels, cut[0]);
                            self.tile(strip, cut[0]..cut[1], a, ahead, out, epilogue);
                        }
                    }
                }
            } else {
                for strips in strips.chunks(blocks.len()) {
                    for (i, cut) in cuts.windows(2).enumerate() {
                        for (strip, panels) in strips.iter().zip(&panels) {
                            let next = strip.b.wrapping_add(self.width * panels.depth);
                            let ahead = panels.ahead(next, i);
                            let a = a_panel(panels, cut[0]);
                            self.tile(strip, cut[0]..cut[1], a, ahead, out, epilogue);
                        }
                    }
                }
            }
        }
    }

    /// What tile `i` of so many steps asks for of these lines.
    fn ahead_of(&self, lines: Lines<T>, depth: usize, i: usize) -> Ahead<T> {
        let requests = (depth / 2).saturating_sub(self.height).max(1);
        let parts = lines.count.div_ceil(requests);
        let (run, part) = (i / parts, i % parts);
        if run >= lines.runs {
            return Ahead::NOTHING;
        }
        let offset = run * (LINE / size_of::<T>()) + part * requests * lines.stride;
        Ahead {
            from: lines.from.wrapping_add(offset),
            requested: lines.stride,
        }
    }

    /// What a whole row of tiles would otherwise look up one by one, past panels that fill the first-level cache.
    fn strip(&self, block: usize, q: usize, b: *const T, epilogue: &Epilogue<'_, T>) -> Strip<T> {
        let (first, last) = (block == 0, block + 1 == self.depth_blocks);
        let columns = self.columns(q..q + 1);
        let vectors = columns.len().div_ceil(self.table.lanes);
        let kernels = self.table.packed(vectors);
        Strip {
            b,
            depth: self.depth(block).len(),
            kernels: [kernels[self.height - 1], kernels[self.greatest_height() - 1]],
            last,
            tile: Tile {
                last: columns.len() - (vectors - 1) * self.table.lanes,
                alpha: epilogue.alpha,
                beta: if first { epilogue.beta } else { T::ONE },
                column_bias: pointer(epilogue.column_bias, last, columns.start),
                relu: last && matches!(epilogue.activation, Activation::Relu),
                ..Tile::plain(std::ptr::null_mut(), 0, 0)
            },
            columns,
        }
    }

    /// The tile of a panel of A, which holds these rows and lies at `a`.
    #[inline]
    fn tile(
        &self,
        strip: &Strip<T>,
        rows: Range<usize>,
        a: *const T,
        ahead: Ahead<T>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let mut tile = Tile {
            row_bias: pointer(epilogue.row_bias, strip.last, rows.start),
            // Without requests, what is at hand.
            ahead: if ahead.requested == 0 { a } else { ahead.from },
            requested: ahead.requested,
            ..strip.tile
        };
        let Some(offset) = out.offset(rows.start, strip.columns.clone()) else {
            return self.tile_across(strip, rows, a, tile, out, epilogue);
        };
        tile.c = out.c.ptr().wrapping_add(offset);
        tile.ldc = out.ldc;
        tile.residual = pointer(epilogue.residual, strip.last, offset);
        // SAFETY: the panels hold `depth` steps and the tile lies inside C, of which this task alone writes it.
        unsafe { strip.kernels[rows.len() - self.height](strip.depth, a, strip.b, self.width, &tile) };
    }

    /// A tile that crosses from one segment to the next: it is made in a buffer and copied piece by piece.
    #[inline(never)]
    fn tile_across(
        &self,
        strip: &Strip<T>,
        rows: Range<usize>,
        a: *const T,
        mut tile: Tile<T>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let columns = strip.columns.clone();
        let (mut c, mut residual) = ([T::ZERO; MAX_TILE], [T::ZERO; MAX_TILE]);
        let at = |row: usize, column: usize| (row - rows.start) * self.width + column - columns.start;
        for row in rows.clone() {
            if tile.beta != T::ZERO {
                // SAFETY: this task alone writes these elements of C.
                unsafe {
                    out.for_each_segment(row, columns.clone(), |j, _, s| {
                        c[at(row, j)..][..s.len()].copy_from_slice(s)
                    })
                };
            }
            if let (Some(values), true) = (epilogue.residual, strip.last) {
                out.segments(row, columns.clone(), |j, offset, len| {
                    residual[at(row, j)..][..len].copy_from_slice(&values[offset..][..len]);
                });
                tile.residual = residual.as_ptr();
            }
        }
        tile.c = c.as_mut_ptr();
        tile.ldc = self.width;
        // SAFETY: the panels hold `depth` steps; the buffers hold the tallest and widest tile.
        unsafe { strip.kernels[rows.len() - self.height](strip.depth, a, strip.b, self.width, &tile) };
        for row in rows.clone() {
            // SAFETY: this task alone writes these elements of C.
            unsafe {
                out.for_each_segment(row, columns.clone(), |j, _, s| {
                    s.copy_from_slice(&c[at(row, j)..][..s.len()])
                })
            };
        }
    }
}

/// The panels of a task in one block of the inner dimension.
struct Panels<T> {
    depth: usize,
    a: *const T,
    b: *const T,
    /// Elements of the panel after the one in use for which a tile asks with every two steps.
    requested: usize,
}

impl<T> Panels<T> {
    /// What tile `i` asks for of the panel `next`, which need not be there.
    fn ahead(&self, next: *const T, i: usize) -> Ahead<T> {
        Ahead {
            from: next.wrapping_add(i * self.requested * (self.depth / 2)),
            requested: self.requested,
        }
    }
}

/// For how many elements each of so many tiles of `depth` steps asks with every two, to have asked for `len` in the end.
fn requested<T>(len: usize, tiles: usize, depth: usize) -> usize {
    len.div_ceil((tiles * (depth / 2)).max(1))
        .min(LINE / size_of::<T>())
}

/// What the tiles of one panel of B have in common, in one block of the inner dimension.
struct Strip<T> {
    columns: Range<usize>,
    b: *const T,
    depth: usize,
    /// For panels of A of the lesser height and of the greater.
    kernels: [MicroKernel<T>; 2],
    /// Whether this is the last block.
    last: bool,
    /// All but what depends on the panel of A.
    tile: Tile<T>,
}

/// A panel that is asked for while the one before it is in use.
#[derive(Clone, Copy)]
struct Ahead<T> {
    from: *const T,
    /// Elements with every two steps of a tile.
    requested: usize,
}

impl<T> Ahead<T> {
    const NOTHING: Self = Ahead {
        from: std::ptr::null(),
        requested: 0,
    };
}

/// The values from `offset` on, if there are any and the block is the last one.
fn pointer<T>(values: Option<&[T]>, last: bool, offset: usize) -> *const T {
    match values {
        Some(values) if last => values[offset..].as_ptr(),
        _ => std::ptr::null(),
    }
}
