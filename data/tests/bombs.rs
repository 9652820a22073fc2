//! Packed files that hold far more than they are long: errors, before much of it is unpacked. Memory is counted by the allocator
//! of this program, which has one test so that nothing else is counted.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use flambeau_data::formats::tar::TarReader;
use flambeau_data::formats::{idx, jsonl, mat};
use flambeau_tensor::Result;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// The system's allocator; counts what is in use, and the most that was.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(used, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A file of the test's own, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("flambeau-bomb-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// A gzip file whose end says that it holds little: another part follows.
fn quiet(bytes: &[u8]) -> Vec<u8> {
    [gzip(bytes), gzip(b" ")].concat()
}

/// The header of a file in a tar archive, and zeros.
fn tar(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; 512 + size];
    bytes[..1].copy_from_slice(b"a");
    bytes[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    bytes[156..157].copy_from_slice(b"0");
    bytes[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{:06o}\0", sum + 8 * u32::from(b' '));
    bytes[148..155].copy_from_slice(sum.as_bytes());
    bytes[155] = b' ';
    bytes
}

/// A file of MATLAB's whose elements are `count` times the same packed matrix of zeros.
fn matlab(count: usize, size: u32) -> Vec<u8> {
    let sizes = [5u32, 8, 1, size].map(u32::to_le_bytes).concat();
    let flags = [6u32, 8, 9, 0].map(u32::to_le_bytes).concat();
    let name = [1u32, 1, 0x78, 0].map(u32::to_le_bytes).concat();
    let numbers = [2u32, size].map(u32::to_le_bytes).concat();
    let parts = [flags, sizes, name, numbers, vec![0; size as usize]].concat();
    let matrix = [
        &[14u32, parts.len() as u32].map(u32::to_le_bytes).concat()[..],
        &parts,
    ]
    .concat();
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&matrix).unwrap();
    let packed = packer.finish().unwrap();
    let element = [
        &[15u32, packed.len() as u32].map(u32::to_le_bytes).concat()[..],
        &packed,
    ]
    .concat();
    [&[b' '; 124][..], b"\x00\x01IM", &element.repeat(count)].concat()
}

/// How a file is read, of which the error counts.
type Reader = fn(&Path) -> Result<()>;

#[test]
fn what_unpacks_to_too_much_is_an_error_within_the_limit() {
    let idx_reader: Reader = |path| idx::read(path).map(drop);
    let lines: Reader = |path| jsonl::read::<String>(path).map(drop);
    let entries: Reader = |path| TarReader::open(path)?.try_for_each(|entry| entry.map(drop));
    let mat_reader: Reader = |path| mat::read(path).map(drop);
    let size = 64 << 20;
    let zeros = vec![0; size];
    let mut array = [&[0, 0, 8, 1][..], &(size as u32).to_be_bytes()].concat();
    array.resize(8 + size, 0);
    let large = tar(size);
    let (told, untold, limit) = (1 << 20, 1 << 20, 32 << 20);
    let cases: [(&str, Vec<u8>, Reader, &str, usize); 8] = [
        (
            "a.idx.gz",
            gzip(&array),
            idx_reader,
            "holds 67108872 bytes as its end says",
            told,
        ),
        (
            "b.idx.gz",
            quiet(&array),
            idx_reader,
            "the packed file has at most",
            untold,
        ),
        (
            "a.jsonl.gz",
            gzip(&zeros),
            lines,
            "holds 67108864 bytes as its end says",
            told,
        ),
        // One line, which is kept as it comes; vectors grow to twice what is in them, beside what is in them.
        (
            "b.jsonl.gz",
            quiet(&zeros),
            lines,
            "line 1: it unpacks to more than 33554432 bytes",
            4 * limit,
        ),
        (
            "a.tar.gz",
            gzip(&large),
            entries,
            "holds 67109376 bytes as its end says",
            told,
        ),
        (
            "b.tar.gz",
            quiet(&large),
            entries,
            "a file of 67108864 bytes",
            untold,
        ),
        (
            "a.mat",
            matlab(1, size as u32),
            mat_reader,
            "unpacks to more than 33554432 bytes",
            4 * limit,
        ),
        // Each within the limit, but not all.
        (
            "b.mat",
            matlab(3, 15 << 20),
            mat_reader,
            "unpacks to more than 2097",
            5 * limit,
        ),
    ];
    for (name, bytes, read, expected, allowed) in cases {
        let file = File::new(name, &bytes);
        drop(bytes);
        let before = USED.load(Relaxed);
        MOST.store(before, Relaxed);
        let message = read(&file.0).unwrap_err().to_string();
        let most = MOST.load(Relaxed) - before;
        assert!(message.contains(name) && message.contains(expected), "{message}");
        assert!(most < allowed, "{name}: {most} bytes");
    }
}
