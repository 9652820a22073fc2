//! What hostile files cost: each is an error that asks for little more memory than the file is long, whatever it claims. Memory is
//! counted by the allocator of this program, which has one test so that nothing else is counted.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use flambeau_hub::load;
use flambeau_tensor::io::npz::{self, Compression};
use flambeau_tensor::{DType, Tensor};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

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

/// A folder of this process that is removed when the value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(format!("flambeau-hub-bounded-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The message about a file, and the most bytes that it took to find out.
fn refused(path: &Path) -> (String, usize) {
    let before = USED.load(Relaxed);
    MOST.store(before, Relaxed);
    let message = load(path).unwrap_err().to_string();
    (message, MOST.load(Relaxed) - before)
}

fn archive(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, method) in entries {
        let options = SimpleFileOptions::default().compression_method(*method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A `.safetensors` file.
fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; data]].concat()
}

/// A `.npy` file of 64 bytes of float32 that claims another shape.
fn npy(shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let start = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..]].concat();
    [&start, header.as_bytes(), &[0; 64]].concat()
}

/// A file of torch.save's legacy format with this content and no storages.
fn legacy(body: &[u8]) -> Vec<u8> {
    let facts: [&[u8]; 3] = [
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        b"\x80\x02M\xe9\x03.",
        b"\x80\x02}.",
    ];
    [&facts.concat(), &b"\x80\x02"[..], body, b".\x80\x02]."].concat()
}

#[test]
fn hostile_files_are_refused_within_their_length() {
    let folder = Folder::new();
    let deflated = CompressionMethod::Deflated;
    let zeros = vec![0; 64 << 20];
    let mask = Tensor::zeros(zeros.len(), DType::U8).unwrap();
    let bomb = npz::to_bytes([("mask", &mask)], Compression::Deflated).unwrap();
    // The same, of which the directory says that it is small.
    let mut quiet = bomb.clone();
    let directory = quiet
        .windows(4)
        .rposition(|window| window == b"PK\x01\x02")
        .unwrap();
    quiet[directory + 24..directory + 28].copy_from_slice(&(1u32 << 20).to_le_bytes());
    let huge = "[1152921504606846976]";
    let nested = [&[b']'; 200_000][..], &[b'a'; 199_999]].concat();
    let gguf = [&b"GGUF\x03\0\0\0"[..], &(1u64 << 60).to_le_bytes(), &[0; 64]].concat();
    let overlapping = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},
        "b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}"#;
    let files: Vec<(&str, Vec<u8>, &str)> = vec![
        ("bomb.npz", bomb, "`mask` claims to expand from"),
        ("quiet.npz", quiet, "`mask`: "),
        (
            "bomb.pt",
            archive(&[("a/data.pkl", &zeros, deflated)]),
            "compressed",
        ),
        (
            "claim.safetensors",
            safetensors(
                &format!(
                    r#"{{"a":{{"dtype":"F32","shape":{huge},"data_offsets":[0,4611686018427387904]}}}}"#
                ),
                64,
            ),
            "overflow computing buffer size",
        ),
        ("overlapping.safetensors", safetensors(overlapping, 24), "header"),
        (
            "header.safetensors",
            [&(1u64 << 31).to_le_bytes()[..], b"{}"].concat(),
            "a header of 2147483648 bytes",
        ),
        ("claim.npy", npy("(1152921504606846976,)"), "does not fit"),
        ("claim.gguf", gguf, "entries are announced"),
        ("cut.npy", npy("(16,)")[..100].to_vec(), "does not fit"),
        (
            "system.pt",
            legacy(b"cos\nsystem\nX\x04\0\0\0true\x85R"),
            "nothing was executed",
        ),
        ("nested.pt", legacy(&nested), "levels"),
        ("marks.pt", legacy(&[b'('; 200_000]), "a mark"),
    ];
    for (name, bytes, expected) in &files {
        let path = folder.write(name, bytes);
        let (message, most) = refused(&path);
        assert!(message.contains(name) && message.contains(expected), "{message}");
        // Objects of a pickle take some words for each of its bytes.
        let allowed = (1 << 20) + 64 * bytes.len();
        assert!(
            most < allowed,
            "{name}: {most} bytes for a file of {}",
            bytes.len()
        );
    }
}
