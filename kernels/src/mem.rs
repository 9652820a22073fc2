//! Memory for tensors and scratch space: aligned blocks, recycled through size-class free lists.
//!
//! Touching a fresh page costs more than most memory-bound kernels do per page, so freed blocks are kept and handed out
//! again. Blocks start on a 64-byte boundary; from 1 MiB on they are mapped from the system directly, with huge pages
//! where it grants them. A block's memory is always initialised (the system hands it out zeroed), only its contents
//! are unspecified: [`Buf::take`] is safe and costs nothing. Debug builds fill what they hand out with `0xFF` bytes
//! (NaN, -1), so that a kernel which reads what it did not write shows.
//!
//! The pool belongs to the process. It keeps at most [`limit`] bytes (`FLAMBEAU_POOL_MB`, by default 2 GiB; 0 switches
//! it off), and [`stats`] tells what it does.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::any::Any;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::element::Pod;

/// Alignment of every block, in bytes: one cache line, one AVX-512 register.
pub const ALIGN: usize = 64;
/// Blocks of this size and above are mapped from the system.
const MAP_FROM: usize = 1 << 20;
/// Blocks up to this size are cached per thread, without a lock.
const LOCAL_UP_TO: usize = 64 << 10;
/// Blocks per size class that a thread keeps for itself at most, and their bytes.
const LOCAL_BLOCKS: usize = 32;
const LOCAL_BYTES: usize = 512 << 10;
/// Four size classes per power of two, from 64 bytes up.
const CLASSES: usize = 4 * 42;
const LOCAL_CLASSES: usize = class_of(LOCAL_UP_TO) + 1;
const DEFAULT_LIMIT: usize = 2 << 30;
/// No block is larger: 2⁴⁶ bytes are more than any machine has.
const LARGEST: usize = 1 << 46;

/// What foreign memory belongs to.
pub type Owner = Box<dyn Any + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// A typed block of `len` elements from the pool; goes back to it when dropped.
pub struct Buf<T: Pod> {
    block: Block,
    len: usize,
    marker: std::marker::PhantomData<T>,
}

impl<T: Pod> Buf<T> {
    /// A block whose contents are unspecified (but initialised).
    ///
    /// Without memory the process ends, as when a `Vec` grows; [`Buf::try_take`] is for sizes that come from outside.
    pub fn take(len: usize) -> Self {
        Self::try_take(len).unwrap_or_else(|| out_of_memory(len.saturating_mul(size_of::<T>())))
    }

    /// A block whose contents are unspecified (but initialised); `None` if the system has no such block.
    #[inline]
    pub fn try_take(len: usize) -> Option<Self> {
        Some(Buf {
            block: Block::try_take(len.checked_mul(size_of::<T>())?)?,
            len,
            marker: std::marker::PhantomData,
        })
    }

    /// A block of zeros.
    pub fn zeroed(len: usize) -> Self {
        Self::try_zeroed(len).unwrap_or_else(|| out_of_memory(len.saturating_mul(size_of::<T>())))
    }

    /// A block of zeros; `None` if the system has no such block.
    pub fn try_zeroed(len: usize) -> Option<Self> {
        let mut buf = Self::try_take(len)?;
        if !buf.block.fresh {
            buf.fill(T::default());
        }
        Some(buf)
    }

    /// Memory from elsewhere, such as a mapped file. It stays as long as `owner`, which is dropped with the block, and never
    /// enters the pool; it need not start on a line.
    ///
    /// # Safety
    /// Until `owner` is dropped, `ptr` is valid for reads and writes of `len` elements, aligned for them, and nobody else
    /// reads or writes them.
    pub unsafe fn foreign(ptr: NonNull<T>, len: usize, owner: Owner) -> Self {
        let block = Block {
            ptr: ptr.cast(),
            bytes: len * size_of::<T>(),
            fresh: false,
            owner: Some(owner),
        };
        Buf {
            block,
            len,
            marker: std::marker::PhantomData,
        }
    }

    /// A block with a copy of `values`.
    pub fn from_slice(values: &[T]) -> Self {
        let mut buf = Self::take(values.len());
        buf.copy_from_slice(values);
        buf
    }
}

impl<T: Pod> Deref for Buf<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the block holds at least `len` elements, is aligned for them and initialised, and T is plain data.
        unsafe { std::slice::from_raw_parts(self.block.ptr.as_ptr().cast(), self.len) }
    }
}

impl<T: Pod> DerefMut for Buf<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the block is ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.block.ptr.as_ptr().cast(), self.len) }
    }
}

impl<T: Pod> Clone for Buf<T> {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl<T: Pod> std::fmt::Debug for Buf<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.deref().fmt(f)
    }
}

/// What the pool has done so far and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blocks obtained from the system.
    pub system_allocations: u64,
    /// Blocks handed out again from the shared lists (those from a thread's own cache are not counted).
    pub reused: u64,
    /// Bytes that lie in the shared lists now.
    pub cached_bytes: usize,
    /// Bytes obtained from the system and not given back: in use and cached.
    pub system_bytes: usize,
}

static SYSTEM_ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static REUSED: AtomicU64 = AtomicU64::new(0);
static CACHED_BYTES: AtomicUsize = AtomicUsize::new(0);
static SYSTEM_BYTES: AtomicUsize = AtomicUsize::new(0);
/// `usize::MAX` until the environment has been read.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The pool's statistics.
pub fn stats() -> Stats {
    Stats {
        system_allocations: SYSTEM_ALLOCATIONS.load(Ordering::Relaxed),
        reused: REUSED.load(Ordering::Relaxed),
        cached_bytes: CACHED_BYTES.load(Ordering::Relaxed),
        system_bytes: SYSTEM_BYTES.load(Ordering::Relaxed),
    }
}

/// The most bytes that the shared lists keep.
#[inline]
pub fn limit() -> usize {
    match LIMIT.load(Ordering::Relaxed) {
        usize::MAX => {
            let megabytes = std::env::var("FLAMBEAU_POOL_MB")
                .ok()
                .and_then(|v| v.trim().parse::<usize>().ok());
            let bytes = megabytes.map_or(DEFAULT_LIMIT, |m| m.saturating_mul(1 << 20).min(usize::MAX - 1));
            LIMIT.store(bytes, Ordering::Relaxed);
            bytes
        }
        bytes => bytes,
    }
}

/// Sets the most bytes that the shared lists keep; 0 switches the pool off. Frees what is cached above it.
pub fn set_limit(bytes: usize) {
    LIMIT.store(bytes.min(usize::MAX - 1), Ordering::Relaxed);
    if CACHED_BYTES.load(Ordering::Relaxed) > bytes {
        clear();
    }
}

/// Gives all cached blocks of the shared lists, and of this thread's own cache, back to the system.
pub fn clear() {
    let _ = LOCAL.try_with(|local| {
        for class in local.borrow_mut().0.iter_mut() {
            class.drain(..).for_each(Raw::release);
        }
    });
    for class in &SHARED {
        let mut blocks = class.lock().unwrap_or_else(PoisonError::into_inner);
        for raw in blocks.drain(..) {
            CACHED_BYTES.fetch_sub(raw.bytes, Ordering::Relaxed);
            raw.release();
        }
    }
}

/// Whether the system has a block of `bytes` to give, the pool's own apart. It is asked, and the block given back.
pub fn available(bytes: usize) -> bool {
    let raw = (bytes <= LARGEST).then(|| Raw::allocate(bytes.next_multiple_of(MAP_FROM).max(MAP_FROM)));
    raw.flatten().map(Raw::release).is_some()
}

/// The size class that holds `bytes`: sizes 64·(1, 1.25, 1.5, 1.75)·2^k.
const fn class_of(bytes: usize) -> usize {
    if bytes <= ALIGN {
        return 0;
    }
    let bytes = bytes.next_multiple_of(ALIGN);
    let octave = (bytes - 1).ilog2() as usize; // 2^octave < bytes <= 2^(octave + 1)
    let quarter = (bytes - 1 - (1 << octave)) >> (octave - 2);
    4 * (octave - 6) + quarter + 1
}

/// The size in bytes of a class's blocks. (Below 256 bytes some classes are never used: sizes are whole lines.)
const fn class_bytes(class: usize) -> usize {
    if class == 0 {
        return ALIGN;
    }
    let (octave, quarter) = ((class - 1) / 4 + 6, (class - 1) % 4);
    (1usize << octave) + (quarter + 1) * (1 << (octave - 2))
}

/// Memory from the system. Freed by `release` only.
struct Raw {
    ptr: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory, owned.
unsafe impl Send for Raw {}

static SHARED: [Mutex<Vec<Raw>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];

struct Local([Vec<Raw>; LOCAL_CLASSES]);

impl Drop for Local {
    fn drop(&mut self) {
        self.0
            .iter_mut()
            .for_each(|class| class.drain(..).for_each(Raw::release));
    }
}

thread_local!(static LOCAL: RefCell<Local> = const { RefCell::new(Local([const { Vec::new() }; LOCAL_CLASSES])) });

/// An untyped block. Its size is that of its class.
struct Block {
    ptr: NonNull<u8>,
    bytes: usize,
    /// Straight from the system, hence zero.
    fresh: bool,
    /// What the memory belongs to, if it is not ours.
    owner: Option<Owner>,
}

// SAFETY: plain memory, owned; shared references only read.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    #[inline]
    fn try_take(bytes: usize) -> Option<Block> {
        if bytes > LARGEST {
            return None;
        }
        let class = class_of(bytes);
        Some(match reuse(class) {
            Some(raw) => {
                let block = Block {
                    ptr: raw.ptr,
                    bytes: raw.bytes,
                    fresh: false,
                    owner: None,
                };
                if cfg!(debug_assertions) {
                    // SAFETY: the block is ours and this large.
                    unsafe { block.ptr.as_ptr().write_bytes(0xFF, block.bytes) };
                }
                block
            }
            None => {
                let raw = Raw::allocate(class_bytes(class))?;
                Block {
                    ptr: raw.ptr,
                    bytes: raw.bytes,
                    fresh: true,
                    owner: None,
                }
            }
        })
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        if self.owner.is_none() {
            recycle(Raw {
                ptr: self.ptr,
                bytes: self.bytes,
            });
        }
    }
}

#[inline]
fn reuse(class: usize) -> Option<Raw> {
    if class < LOCAL_CLASSES
        && let Ok(Some(raw)) = LOCAL.try_with(|local| local.borrow_mut().0[class].pop())
    {
        return Some(raw);
    }
    let raw = SHARED[class]
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop()?;
    CACHED_BYTES.fetch_sub(raw.bytes, Ordering::Relaxed);
    REUSED.fetch_add(1, Ordering::Relaxed);
    Some(raw)
}

#[inline]
fn recycle(raw: Raw) {
    let class = class_of(raw.bytes);
    let limit = limit();
    if limit == 0 {
        return raw.release();
    }
    let mut raw = Some(raw);
    if class < LOCAL_CLASSES {
        let _ = LOCAL.try_with(|local| {
            let blocks = &mut local.borrow_mut().0[class];
            if blocks.len() < LOCAL_BLOCKS.min(LOCAL_BYTES / class_bytes(class)) {
                blocks.extend(raw.take());
            }
        });
    }
    let Some(raw) = raw else { return };
    if CACHED_BYTES.fetch_add(raw.bytes, Ordering::Relaxed) + raw.bytes > limit {
        CACHED_BYTES.fetch_sub(raw.bytes, Ordering::Relaxed);
        return raw.release();
    }
    SHARED[class]
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(raw);
}

impl Raw {
    /// Zeroed memory of `bytes` (a class size).
    fn allocate(bytes: usize) -> Option<Raw> {
        let ptr = if bytes >= MAP_FROM {
            map(bytes)
        } else {
            allocate_small(bytes)
        }?;
        SYSTEM_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        SYSTEM_BYTES.fetch_add(bytes, Ordering::Relaxed);
        Some(Raw { ptr, bytes })
    }

    fn release(self) {
        SYSTEM_BYTES.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.bytes >= MAP_FROM {
            unmap(self.ptr, self.bytes);
        } else {
            // SAFETY: `allocate_small` made it with this very layout.
            unsafe { dealloc(self.ptr.as_ptr(), layout(self.bytes)) };
        }
    }
}

fn out_of_memory(bytes: usize) -> ! {
    handle_alloc_error(layout(bytes.min(LARGEST)))
}

fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, ALIGN) {
        Ok(layout) => layout,
        Err(_) => handle_alloc_error(Layout::new::<u8>()),
    }
}

fn allocate_small(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: the size is a class size, hence not zero.
    NonNull::new(unsafe { alloc_zeroed(layout(bytes)) })
}

#[cfg(unix)]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    const HUGE: usize = 2 << 20;
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // Blocks that can hold huge pages start on one: map more and give the ends back.
    let slack = if bytes >= HUGE { HUGE } else { 0 };
    // SAFETY: an anonymous mapping at an address of the system's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes + slack, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return None;
    }
    let base = base as *mut u8;
    let lead = base.align_offset(HUGE.min(slack.max(1)));
    // SAFETY: all addresses lie inside the mapping just made; `lead` and `slack - lead` are multiples of the page size.
    unsafe {
        let start = base.add(lead);
        if lead > 0 {
            libc::munmap(base.cast(), lead);
        }
        let tail = (slack - lead) & !4095;
        if tail > 0 {
            libc::munmap(
                start
                    .add((bytes + slack - lead - tail).next_multiple_of(4096))
                    .cast(),
                tail,
            );
        }
        #[cfg(target_os = "linux")]
        if slack > 0 {
            libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
        }
        NonNull::new(start)
    }
}

#[cfg(unix)]
fn unmap(ptr: NonNull<u8>, bytes: usize) {
    // SAFETY: `map` made this mapping, and nobody refers to it any more.
    unsafe { libc::munmap(ptr.as_ptr().cast(), bytes) };
}

#[cfg(not(unix))]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    allocate_small(bytes)
}

#[cfg(not(unix))]
fn unmap(ptr: NonNull<u8>, bytes: usize) {
    // SAFETY: `map` made it with this very layout.
    unsafe { dealloc(ptr.as_ptr(), layout(bytes)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_are_asked_for_and_waste_little() {
        for bytes in (0..5000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let got = class_bytes(class_of(bytes));
            assert!(got >= bytes, "{bytes} in {got}");
            assert!(
                bytes < 256 || got <= bytes + bytes / 4 + ALIGN,
                "{bytes} in {got}"
            );
            assert_eq!(class_of(got), class_of(bytes), "{bytes} in {got}");
        }
    }

    #[test]
    fn blocks_are_aligned_and_come_back() {
        for len in [0, 1, 1000, 300_000, 1_000_003] {
            let mut a = Buf::<f32>::take(len);
            assert_eq!(a.as_ptr() as usize % ALIGN, 0);
            a.fill(3.0);
            assert_eq!(a.iter().filter(|&&x| x == 3.0).count(), len);
        }
        let zeros = Buf::<f64>::zeroed(1000);
        assert!(zeros.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        for len in [1 << 45, 1 << 60, usize::MAX / 8, usize::MAX] {
            assert!(Buf::<f64>::try_take(len).is_none());
            assert!(Buf::<f64>::try_zeroed(len).is_none());
            assert!(!available(len.saturating_mul(8)));
        }
        assert!(available(1000) && available(0));
    }

    #[test]
    fn a_thread_that_ends_leaves_nothing_behind() {
        std::thread::spawn(|| drop((0..100).map(|i| Buf::<u8>::take(64 * i)).collect::<Vec<_>>()))
            .join()
            .unwrap();
        assert!(stats().system_allocations > 0);
    }
}
