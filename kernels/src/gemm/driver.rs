//! The blocked matrix product: panels, blocks of the inner dimension, and the split into parallel tasks.
//!
//! Every element of C is a sum over the same blocks of the inner dimension in the same order, however rows and columns
//! are cut into tasks, so the cut may follow the number of threads and the bits still do not.

use std::ops::{Range, RangeInclusive};

use smallvec::SmallVec;

use super::kernel::{KernelTable, MicroKernel, Tile};
use super::pack::{PackA, PackB};
use super::{Activation, Epilogue};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::Real;

/// The longest block of the inner dimension, in elements of 4 bytes: part of what defines a result's bits.
pub(crate) const DEPTH_BLOCK: usize = 384;
/// Bytes of a private block of A or B, which must share the second-level cache with what streams past it.
const PRIVATE_BYTES: usize = 640 << 10;
/// Bytes of a panel of B that stays in the first-level cache while A streams past; for a smaller one it does not pay.
const PANEL_BYTES: RangeInclusive<usize> = 16 << 10..=32 << 10;
/// Multiplications below which a product is one task: some microseconds.
const SERIAL_WORK: usize = 1 << 18;
/// Elements that are packed in about the time that it takes to fork.
const SERIAL_PACK: usize = 1 << 13;
/// Tasks per thread, so that a thread that is late leaves its share to the others.
const TASKS_PER_THREAD: usize = 4;
/// Tiles' widths below which a segment of C is short: then a good part of the tiles crosses its end.
const SHORT_SEGMENT: usize = 4;
/// Bytes that a tile asks for with every two steps at most: a line.
const MOST_REQUESTED: usize = 64;
/// The tallest and the widest tile of any instruction set, in elements.
const MAX_TILE: usize = 14 * 64;

/// The shape of a product, cut into panels.
pub(crate) struct Plan<T: 'static> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    table: &'static KernelTable<T>,
    pub(crate) width: usize,
    row_panels: usize,
    /// Rows of a panel: so many at least, and one more for the first few.
    height: usize,
    taller: usize,
    column_panels: usize,
    depth_blocks: usize,
}

/// An operand: packed as a whole beforehand, or packed block by block by each task.
pub(crate) enum Operand<'a, T, P: ?Sized> {
    Packed(&'a [T]),
    Source(&'a P),
}

/// Where C goes. A convolution's columns run over all images, so that they come in segments of one image each.
#[derive(Clone, Copy)]
pub(crate) struct Output<T> {
    pub(crate) c: SendPtr<T>,
    pub(crate) ldc: usize,
    /// Columns per segment, and the distance from one segment's start to the next one's.
    pub(crate) segment: Option<(usize, usize)>,
}

impl<T: Real> Plan<T> {
    pub(crate) fn new(m: usize, n: usize, k: usize) -> Self {
        let table = T::kernel_table();
        let tiles = |vectors: usize| {
            let rows = m.div_ceil(table.packed[vectors - 1].len());
            (rows * n.div_ceil(vectors * table.lanes), usize::MAX - vectors)
        };
        Self::with_vectors((1..=3).min_by_key(|&v| tiles(v)).unwrap_or(1), m, n, k)
    }

    /// A plan with tiles of a given width.
    pub(crate) fn with_vectors(vectors: usize, m: usize, n: usize, k: usize) -> Self {
        let table = T::kernel_table();
        let width = vectors * table.lanes;
        let depth_block = DEPTH_BLOCK * 4 / size_of::<T>();
        let row_panels = m.div_ceil(table.packed[vectors - 1].len()).max(1);
        Plan {
            m,
            n,
            k,
            table,
            width,
            row_panels,
            height: m / row_panels,
            taller: m % row_panels,
            column_panels: n.div_ceil(width).max(1),
            depth_blocks: k.div_ceil(depth_block).max(1),
        }
    }

    /// The first row of panel `p`; panels are of nearly equal height.
    fn row(&self, p: usize) -> usize {
        p * self.height + p.min(self.taller)
    }

    fn depth(&self, block: usize) -> Range<usize> {
        block * self.k / self.depth_blocks..(block + 1) * self.k / self.depth_blocks
    }

    fn longest_depth(&self) -> usize {
        self.k.div_ceil(self.depth_blocks)
    }

    /// Multiplications.
    pub(crate) fn work(&self) -> usize {
        self.m.saturating_mul(self.n).saturating_mul(self.k)
    }

    /// The number of tasks worth making.
    fn tasks(&self) -> usize {
        match num_threads() {
            1 => 1,
            threads => (self.work() / SERIAL_WORK).clamp(1, threads * TASKS_PER_THREAD),
        }
    }

    /// Where the rows of these panels begin, and where the last one ends.
    fn cuts(&self, panels: Range<usize>) -> SmallVec<[usize; 16]> {
        (panels.start..=panels.end).map(|p| self.row(p)).collect()
    }

    /// The columns of these panels.
    fn columns(&self, panels: Range<usize>) -> Range<usize> {
        panels.start * self.width..(panels.end * self.width).min(self.n)
    }

    /// Packs A as a whole: block by block of the inner dimension, panel by panel of rows.
    pub(crate) fn pack_a(&self, a: &dyn PackA<T>) -> Buf<T> {
        let mut packed = Buf::<T>::take(self.m * self.k);
        let base = SendPtr(packed.as_mut_ptr());
        self.pack_all(self.m * self.k, self.row_panels, &|block, panels| {
            let (depth, cuts) = (self.depth(block), self.cuts(panels));
            let offset = self.m * depth.start + cuts[0] * depth.len();
            // SAFETY: panels are disjoint and inside the buffer; the ranges lie inside A.
            unsafe { a.pack(&cuts, depth, base.ptr().add(offset)) }
        });
        packed
    }

    /// Packs B as a whole: block by block of the inner dimension, panel by panel of columns.
    pub(crate) fn pack_b(&self, b: &dyn PackB<T>) -> Buf<T> {
        let mut packed = Buf::<T>::take(self.column_panels * self.width * self.k);
        let base = SendPtr(packed.as_mut_ptr());
        self.pack_all(self.n * self.k, self.column_panels, &|block, panels| {
            let depth = self.depth(block);
            let offset = self.width * (self.column_panels * depth.start + panels.start * depth.len());
            // SAFETY: panels are disjoint and inside the buffer; the ranges lie inside B.
            unsafe { b.pack(depth, self.columns(panels), self.width, base.ptr().add(offset)) }
        });
        packed
    }

    fn pack_all(&self, elements: usize, panels: usize, pack: &(dyn Fn(usize, Range<usize>) + Sync)) {
        const TOGETHER: usize = 16;
        let tasks = self.tasks().min(elements.div_ceil(SERIAL_PACK));
        let enough = tasks.div_ceil(self.depth_blocks).min(panels);
        let groups = panels.div_ceil(TOGETHER).max(enough);
        let total = groups * self.depth_blocks;
        let tasks = tasks.min(total);
        parallel_for(tasks, |t| {
            for i in t * total / tasks..(t + 1) * total / tasks {
                let (block, group) = (i / groups, i % groups);
                pack(block, group * panels / groups..(group + 1) * panels / groups);
            }
        });
    }

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

    /// Into how many groups of panels rows and columns are cut: enough tasks, blocks that fit in the caches, and the
    /// least traffic, given which operand is still to be packed. Each column group reads all of A, each row group all
    /// of B.
    fn groups(&self, pack_a: bool, pack_b: bool) -> (usize, usize) {
        let depth_bytes = self.longest_depth().max(1) * size_of::<T>();
        let fitting = |bytes: usize, panel: usize| (bytes / depth_bytes / panel).max(1);
        let (mut least_rows, mut least_columns) = (1, 1);
        if pack_b {
            least_columns = self.column_panels.div_ceil(fitting(PRIVATE_BYTES, self.width));
        } else if pack_a {
            let height = self.m.div_ceil(self.row_panels);
            least_rows = self.row_panels.div_ceil(fitting(PRIVATE_BYTES / 2, height));
        }
        let mut tasks = self.tasks();
        if pack_a && pack_b {
            // Every task packs: no more of them than threads.
            tasks = tasks.min(num_threads());
        }
        let traffic = |rows: usize, columns: usize| {
            ((columns * self.m) << usize::from(pack_a)) + ((rows * self.n) << usize::from(pack_b))
        };
        let threads = if tasks == 1 { 1 } else { num_threads() };
        let groups = |columns: usize| {
            let rows = tasks.div_ceil(columns).clamp(least_rows, self.row_panels);
            // Nine equal tasks take two threads as long as ten would.
            let even = (rows..rows + threads).find(|rows| (rows * columns).is_multiple_of(threads));
            (even.unwrap_or(rows).min(self.row_panels), columns)
        };
        (least_columns..=self.column_panels.min(least_columns + 64))
            .map(groups)
            .min_by_key(|&(rows, columns)| {
                // Too few tasks leave threads idle, which is worse than any traffic.
                ((rows * columns) < tasks, traffic(rows, columns))
            })
            .unwrap_or((least_rows, least_columns))
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
        let cuts = self.cuts(rows.clone());
        let row_range = cuts[0]..cuts[rows.len()];
        // What is packed just before its use and stays in the first-level cache: a panel of B, if it has the size for it and A
        // is no larger than B, so that A streams past it with less traffic than B past a panel of A.
        let both = matches!((a, b), (Operand::Source(_), Operand::Source(_)));
        let panel = self.width * self.longest_depth() * size_of::<T>();
        let by_columns =
            both && PANEL_BYTES.contains(&panel) && row_range.len() <= columns.len() * self.width;
        let one_by_one = both && !by_columns;
        let mut a_block: Buf<T> = match a {
            Operand::Packed(_) => Buf::take(0),
            Operand::Source(_) if one_by_one => {
                Buf::take(self.m.div_ceil(self.row_panels) * self.longest_depth())
            }
            Operand::Source(_) => Buf::take(row_range.len() * self.longest_depth()),
        };
        let mut b_block: Buf<T> = match b {
            Operand::Packed(_) => Buf::take(0),
            Operand::Source(_) if by_columns => Buf::take(self.width * self.longest_depth()),
            Operand::Source(_) => Buf::take(columns.len() * self.width * self.longest_depth()),
        };
        for block in 0..self.depth_blocks {
            let depth = self.depth(block);
            if let (Operand::Source(a), Operand::Source(b), true) = (a, b, by_columns) {
                // SAFETY: the panels lie inside A and fill the private block.
                unsafe { a.pack(&cuts, depth.clone(), a_block.as_mut_ptr()) };
                for q in columns.clone() {
                    let range = self.columns(q..q + 1);
                    // SAFETY: the panel lies inside B and fits in the buffer.
                    unsafe { b.pack(depth.clone(), range, self.width, b_block.as_mut_ptr()) };
                    let strip = self.strip(block, q, b_block.as_ptr(), epilogue);
                    for p in rows.clone() {
                        let offset = (self.row(p) - row_range.start) * depth.len();
                        let a = a_block[offset..].as_ptr();
                        self.tile(&strip, p, a, Ahead::NOTHING, out, epilogue);
                    }
                }
                continue;
            }
            let b_panels: *const T = match b {
                Operand::Packed(whole) => {
                    let offset = self.column_panels * depth.start + columns.start * depth.len();
                    whole[self.width * offset..].as_ptr()
                }
                Operand::Source(source) => {
                    let columns = self.columns(columns.clone());
                    // SAFETY: the panels lie inside B and fill the private block.
                    unsafe { source.pack(depth.clone(), columns, self.width, b_block.as_mut_ptr()) };
                    b_block.as_ptr()
                }
            };
            let strips: SmallVec<[Strip<T>; 16]> = (columns.clone())
                .map(|q| {
                    // SAFETY: the panel lies inside the packed block.
                    let b = unsafe { b_panels.add((q - columns.start) * self.width * depth.len()) };
                    self.strip(block, q, b, epilogue)
                })
                .collect();
            let tile = |p: usize, strip: &Strip<T>, a: *const T, ahead: Ahead<T>| {
                self.tile(strip, p, a, ahead, out, epilogue);
            };
            if let (Operand::Source(source), true) = (a, one_by_one) {
                for (i, p) in rows.clone().enumerate() {
                    // SAFETY: the panel lies inside A and fits in the buffer.
                    unsafe { source.pack(&cuts[i..i + 2], depth.clone(), a_block.as_mut_ptr()) };
                    strips
                        .iter()
                        .for_each(|strip| tile(p, strip, a_block.as_ptr(), Ahead::NOTHING));
                }
                continue;
            }
            let a_panels: *const T = match a {
                Operand::Packed(whole) => {
                    whole[self.m * depth.start + row_range.start * depth.len()..].as_ptr()
                }
                Operand::Source(source) => {
                    // SAFETY: the panels lie inside A and fill the private block.
                    unsafe { source.pack(&cuts, depth.clone(), a_block.as_mut_ptr()) };
                    a_block.as_ptr()
                }
            };
            let a_panel = |p: usize| a_panels.wrapping_add((self.row(p) - row_range.start) * depth.len());
            // While a panel is in use, the next one comes from the last cache, a part of it with each tile.
            if let Operand::Source(_) = b {
                for p in rows.clone() {
                    let next = Ahead::new(
                        a_panel(p + 1),
                        self.height * depth.len(),
                        strips.len(),
                        depth.len(),
                    );
                    for (i, strip) in strips.iter().enumerate() {
                        tile(p, strip, a_panel(p), next.part(i, depth.len()));
                    }
                }
            } else {
                for strip in &strips {
                    let len = self.width * depth.len();
                    let next = Ahead::new(strip.b.wrapping_add(len), len, rows.len(), depth.len());
                    for (i, p) in rows.clone().enumerate() {
                        tile(p, strip, a_panel(p), next.part(i, depth.len()));
                    }
                }
            }
        }
        if let Activation::Rows(f) = epilogue.activation {
            let range = self.columns(columns);
            for row in row_range {
                // SAFETY: this task alone writes these elements of C.
                unsafe { out.for_each_segment(row, range.clone(), |_, offset, s| f(row, offset, s)) };
            }
        }
    }

    /// What a whole row of tiles would otherwise look up one by one, past panels that fill the first-level cache.
    fn strip(&self, block: usize, q: usize, b: *const T, epilogue: &Epilogue<'_, T>) -> Strip<T> {
        let (first, last) = (block == 0, block + 1 == self.depth_blocks);
        let columns = self.columns(q..q + 1);
        let vectors = columns.len().div_ceil(self.table.lanes);
        let kernels = self.table.packed[vectors - 1];
        let taller = self.height + usize::from(self.taller > 0);
        Strip {
            b,
            depth: self.depth(block).len(),
            kernels: [kernels[self.height - 1], kernels[taller - 1]],
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

    /// The tile of panel `p` of A, which lies at `a`.
    #[inline]
    fn tile(
        &self,
        strip: &Strip<T>,
        p: usize,
        a: *const T,
        ahead: Ahead<T>,
        out: Output<T>,
        epilogue: &Epilogue<'_, T>,
    ) {
        let rows = self.row(p)..self.row(p + 1);
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
        unsafe { strip.kernels[usize::from(p < self.taller)](strip.depth, a, strip.b, self.width, &tile) };
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

impl<T: Real> Ahead<T> {
    const NOTHING: Self = Ahead {
        from: std::ptr::null(),
        requested: 0,
    };

    /// A panel of `len` elements from `from` on, which need not be there, spread over tiles of `depth` steps.
    fn new(from: *const T, len: usize, tiles: usize, depth: usize) -> Self {
        Ahead {
            from,
            requested: len
                .div_ceil((tiles * (depth / 2)).max(1))
                .min(MOST_REQUESTED / size_of::<T>()),
        }
    }

    /// What tile `i` asks for.
    fn part(self, i: usize, depth: usize) -> Self {
        Ahead {
            from: self.from.wrapping_add(i * self.requested * (depth / 2)),
            ..self
        }
    }
}

/// The values from `offset` on, if there are any and the block is the last one.
fn pointer<T>(values: Option<&[T]>, last: bool, offset: usize) -> *const T {
    match values {
        Some(values) if last => values[offset..].as_ptr(),
        _ => std::ptr::null(),
    }
}

impl<T: Real> Output<T> {
    /// Where a tile starts, if its columns lie in one segment.
    fn offset(&self, row: usize, columns: Range<usize>) -> Option<usize> {
        let Some((len, stride)) = self.segment else {
            return Some(row * self.ldc + columns.start);
        };
        let (segment, column) = (columns.start / len, columns.start % len);
        (column + columns.len() <= len).then(|| segment * stride + row * self.ldc + column)
    }

    /// Calls `f(column, offset, len)` for the pieces of a row that lie in one segment each.
    fn segments(&self, row: usize, columns: Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
        let (len, stride) = self.segment.unwrap_or((usize::MAX, 0));
        let mut column = columns.start;
        while column < columns.end {
            let (segment, start) = (column / len, column % len);
            let count = (len - start).min(columns.end - column);
            f(column, segment * stride + row * self.ldc + start, count);
            column += count;
        }
    }

    /// Calls `f(column, offset, elements)` for the same pieces.
    ///
    /// # Safety
    /// The row and the columns lie inside C, and nobody else accesses these elements.
    unsafe fn for_each_segment(
        &self,
        row: usize,
        columns: Range<usize>,
        mut f: impl FnMut(usize, usize, &mut [T]),
    ) {
        self.segments(row, columns, |column, offset, len| {
            // SAFETY: as the caller vouches.
            f(column, offset, unsafe {
                std::slice::from_raw_parts_mut(self.c.ptr().add(offset), len)
            })
        });
    }
}
