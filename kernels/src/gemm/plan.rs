//! How a matrix product is cut: into panels, blocks of the inner dimension, and parallel tasks.
//!
//! Every element of C is a sum over the same blocks of the inner dimension in the same order, however rows and columns
//! are cut into tasks, so the cut may follow the number of threads and the bits still do not.

use std::ops::Range;

use smallvec::SmallVec;

use super::kernel::KernelTable;
use super::pack::{PackA, PackB};
use crate::isa;
use crate::mem::Buf;
use crate::pool::{SendPtr, available_threads, num_threads, parallel_for};
use crate::simd::{Real, fence};

/// The longest block of the inner dimension, in elements of 4 bytes: part of what defines a result's bits.
pub(crate) const DEPTH_BLOCK: usize = 384;
/// Blocks that are multiplied into a tile of C one after the other, while it is in the first-level cache.
pub(super) const BLOCKS_AT_ONCE: usize = 2;
/// Bytes of a private block of A or B, which must share the second-level cache with what streams past it.
const PRIVATE_BYTES: usize = 640 << 10;
/// Bytes of B from which on it is packed past the caches. Its panels lie where the last ones lay, which all threads have read, and
/// to write there takes long where the threads have no cache in common, as on AMD's larger processors.
const PAST_BYTES: usize = 1 << 20;
/// Multiplications up to which each task packs what it reads of both operands itself: one fork in place of two, and no panel
/// that another core has just written.
const SMALL_WORK: usize = 1 << 25;
/// Multiplications below which a product is one task: some microseconds.
const SERIAL_WORK: usize = 1 << 18;
/// Elements that are packed in about the time that it takes to fork.
const SERIAL_PACK: usize = 1 << 13;
/// One in so many is few.
const FEW: usize = 16;
/// Tasks per thread, so that a thread that is late leaves its share to the others.
const TASKS_PER_THREAD: usize = 4;

/// The shape of a product, cut into panels.
pub(crate) struct Plan<T: 'static> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(super) table: &'static KernelTable<T>,
    pub(crate) width: usize,
    pub(super) row_panels: usize,
    /// Rows of a panel: so many, or one more.
    pub(super) height: usize,
    pub(super) column_panels: usize,
    pub(super) depth_blocks: usize,
    /// How rows and columns are cut if tasks share no panels.
    pub(super) apart: Option<(usize, usize)>,
}

impl<T: Real> Plan<T> {
    pub(crate) fn new(m: usize, n: usize, k: usize) -> Self {
        let table = T::kernel_table();
        let tiles = |vectors: usize| {
            let rows = m.div_ceil(table.packed(vectors).len());
            (rows * n.div_ceil(vectors * table.lanes), usize::MAX - vectors)
        };
        Self::with_vectors((1..=3).min_by_key(|&v| tiles(v)).unwrap_or(1), m, n, k)
    }

    /// A plan with tiles of a given width.
    pub(crate) fn with_vectors(vectors: usize, m: usize, n: usize, k: usize) -> Self {
        let table = T::kernel_table();
        let width = vectors * table.lanes;
        let depth_block = DEPTH_BLOCK * 4 / size_of::<T>();
        let row_panels = shared_evenly(m.div_ceil(table.packed(vectors).len()).max(1));
        Plan {
            m,
            n,
            k,
            table,
            width,
            row_panels,
            height: m / row_panels,
            column_panels: n.div_ceil(width).max(1),
            depth_blocks: k.div_ceil(depth_block).max(1),
            apart: None,
        }
    }

    /// The same plan with tasks that share no panels, where that pays: one for each thread, which packs its rows of A as a whole and its
    /// columns of B panel by panel. The rows must fit in the cache, nothing may be packed more than twice, no thread may have much more
    /// to do than the others, and it must take long to write what another thread has read: see [`PAST_BYTES`]. B must be cheap to pack
    /// by the panel.
    pub(super) fn apart(self) -> Self {
        const MOST: usize = 2;
        let threads = available_threads();
        if self.work() <= SMALL_WORK || threads == 1 || isa::intel() {
            return self;
        }
        let fits =
            |rows: usize| self.m.div_ceil(rows) * self.longest_depth() * size_of::<T>() <= PRIVATE_BYTES;
        let fair = |rows: usize, columns: usize| {
            let tiles = self.row_panels.div_ceil(rows) * self.column_panels.div_ceil(columns) * threads;
            tiles - self.row_panels * self.column_panels <= tiles / FEW
        };
        let groups = (1..=MOST)
            .map(|rows| (rows, threads / rows))
            .filter(|&(rows, columns)| rows * columns == threads && columns <= MOST)
            .filter(|&(rows, columns)| fits(rows) && fair(rows, columns))
            .min_by_key(|&(rows, columns)| rows * self.n + columns * self.m);
        Plan {
            apart: groups,
            ..self
        }
    }

    /// The first row of panel `p`. Panels of either height take turns, so that as many panels are as many rows.
    pub(super) fn row(&self, p: usize) -> usize {
        p * self.m / self.row_panels
    }

    pub(super) fn depth(&self, block: usize) -> Range<usize> {
        block * self.k / self.depth_blocks..(block + 1) * self.k / self.depth_blocks
    }

    pub(super) fn longest_depth(&self) -> usize {
        self.k.div_ceil(self.depth_blocks)
    }

    /// Into how many rounds the blocks of the inner dimension are gathered.
    pub(super) fn rounds(&self) -> usize {
        self.depth_blocks.div_ceil(BLOCKS_AT_ONCE)
    }

    /// The blocks of a round.
    pub(super) fn blocks(&self, round: usize) -> Range<usize> {
        round * self.depth_blocks / self.rounds()..(round + 1) * self.depth_blocks / self.rounds()
    }

    /// No round is longer.
    pub(super) fn longest_round(&self) -> usize {
        self.longest_depth() * self.depth_blocks.div_ceil(self.rounds())
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
    pub(super) fn cuts(&self, panels: Range<usize>) -> SmallVec<[usize; 16]> {
        (panels.start..=panels.end).map(|p| self.row(p)).collect()
    }

    /// No panel has more rows.
    pub(super) fn greatest_height(&self) -> usize {
        self.m.div_ceil(self.row_panels)
    }

    /// The columns of these panels.
    pub(super) fn columns(&self, panels: Range<usize>) -> Range<usize> {
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
        let past = size_of_val(&packed[..]) >= PAST_BYTES && num_threads() > 1 && !isa::intel();
        let base = SendPtr(packed.as_mut_ptr());
        self.pack_all(self.n * self.k, self.column_panels, &|block, panels| {
            let depth = self.depth(block);
            let offset = self.width * (self.column_panels * depth.start + panels.start * depth.len());
            let columns = self.columns(panels);
            // SAFETY: panels are disjoint and inside the buffer, which is aligned, and whole vectors wide; the ranges lie inside B.
            unsafe {
                let dst = base.ptr().add(offset);
                if past {
                    b.pack_past(depth, columns, self.width, dst);
                    fence();
                } else {
                    b.pack(depth, columns, self.width, dst);
                }
            }
        });
        packed
    }

    fn pack_all(&self, elements: usize, panels: usize, pack: &(dyn Fn(usize, Range<usize>) + Sync)) {
        const TOGETHER: usize = 16;
        let tasks = self.tasks().min(elements.div_ceil(SERIAL_PACK));
        let enough = tasks.div_ceil(self.depth_blocks).min(panels);
        let groups = even(panels.div_ceil(TOGETHER).max(enough), self.depth_blocks);
        let groups = groups.min(panels);
        let total = groups * self.depth_blocks;
        let tasks = tasks.min(total);
        parallel_for(tasks, |t| {
            for i in t * total / tasks..(t + 1) * total / tasks {
                let (block, group) = (i / groups, i % groups);
                pack(block, group * panels / groups..(group + 1) * panels / groups);
            }
        });
    }

    /// Whether tasks pack both operands themselves.
    pub(super) fn packs_in_tasks(&self) -> bool {
        self.work() <= SMALL_WORK || self.apart.is_some()
    }

    /// Into how many groups of panels rows and columns are cut: enough tasks, blocks that fit in the caches, and the
    /// least traffic, given which operand is still to be packed. Each column group reads all of A, each row group all
    /// of B.
    pub(super) fn groups(&self, pack_a: bool, pack_b: bool) -> (usize, usize) {
        let depth = if pack_a && pack_b {
            self.longest_depth()
        } else {
            self.longest_round()
        };
        let depth_bytes = depth.max(1) * size_of::<T>();
        let fitting = |bytes: usize, panel: usize| (bytes / depth_bytes / panel).max(1);
        let (mut least_rows, mut least_columns) = (1, 1);
        if pack_b {
            least_columns = self.column_panels.div_ceil(fitting(PRIVATE_BYTES, self.width));
        } else if pack_a {
            least_rows = self
                .row_panels
                .div_ceil(fitting(PRIVATE_BYTES / 2, self.greatest_height()));
        }
        if let (true, Some(groups)) = (pack_a && pack_b, self.apart) {
            return groups;
        }
        let mut tasks = self.tasks();
        if pack_a && pack_b {
            // Every task packs: no more of them than threads.
            tasks = tasks.min(num_threads());
        }
        let traffic = |rows: usize, columns: usize| {
            ((columns * self.m) << usize::from(pack_a)) + ((rows * self.n) << usize::from(pack_b))
        };
        let groups = |columns: usize| {
            let rows = tasks.div_ceil(columns).clamp(least_rows, self.row_panels);
            let rows = if tasks == 1 { rows } else { even(rows, columns) };
            (rows.min(self.row_panels), columns)
        };
        (least_columns..=self.column_panels.min(least_columns + 64))
            .map(groups)
            .min_by_key(|&(rows, columns)| {
                // Too few tasks leave threads idle, which is worse than any traffic.
                ((rows * columns) < tasks, traffic(rows, columns))
            })
            .unwrap_or((least_rows, least_columns))
    }
}

/// Panels in place of so many, which all threads can share without one having a panel more, if that takes few more.
fn shared_evenly(panels: usize) -> usize {
    let even = panels.next_multiple_of(num_threads());
    if even - panels <= panels / FEW {
        even
    } else {
        panels
    }
}

/// At least so many groups that all threads have as many of `per_group · groups` equal tasks: nine take two threads as long as ten
/// would.
fn even(groups: usize, per_group: usize) -> usize {
    let threads = num_threads();
    let more = (groups..groups + threads).find(|groups| (groups * per_group).is_multiple_of(threads));
    more.unwrap_or(groups)
}
