//! How much a packed file may hold: a rule against bombs, for all readers of what is packed.
//!
//! A packed file may unpack to 32 MiB, or to 100 times its length if that is more. Deflate makes up to 1032 bytes of one, but only
//! of what hardly says anything: zeros, say. Weights are packed 1.1 times, numbers of classes 11 times, pictures of digits and
//! texts 2 to 5 times, an array with 99 zeros in 100 elements 58 times. Masks, one-hot rows and arrays of nothing but zeros
//! can be packed more than 100 times, and are refused beyond 32 MiB unless a limit is given or they are stored as they are.

use std::io::{Error, ErrorKind, Read, Result};

/// So many bytes may be in any packed file.
const ALWAYS: u64 = 32 << 20;
/// So many times its length may be in a packed file.
const RATIO: u64 = 100;

/// The most bytes that a packed file of `length` bytes may hold.
///
/// ```
/// use flambeau_tensor::io::unpacked_limit;
///
/// assert_eq!(unpacked_limit(1000), 32 << 20);
/// assert_eq!(unpacked_limit(1 << 20), 100 << 20);
/// ```
pub fn unpacked_limit(length: u64) -> u64 {
    length.saturating_mul(RATIO).max(ALWAYS)
}

/// What comes out of a packed file, an error beyond a limit.
#[derive(Debug)]
pub struct Unpacked<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Unpacked<R> {
    /// Gives up to `limit` bytes of `inner`. If there are more, reading is an error of the kind `InvalidData`.
    pub fn new(inner: R, limit: u64) -> Unpacked<R> {
        Unpacked {
            inner,
            left: limit,
            limit,
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        if self.left == 0 && !out.is_empty() {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(Error::new(ErrorKind::InvalidData, too_much(self.limit))),
            };
        }
        let room = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        let count = self.inner.read(&mut out[..room])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// What is said of a file that holds, or says that it holds, more than `limit` bytes.
pub fn too_much(limit: u64) -> String {
    format!(
        "it unpacks to more than {limit} bytes; at most 100 times the length of a packed file, or 32 MiB, are read: unpack it \
         first if that is what it should hold"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limit_is_an_error() {
        let read = |limit| {
            let mut bytes = Vec::new();
            let result = Unpacked::new(&b"12345"[..], limit).read_to_end(&mut bytes);
            (result.map_err(|error| (error.kind(), error.to_string())), bytes)
        };
        assert_eq!(read(6), (Ok(5), b"12345".to_vec()));
        assert_eq!(read(5), (Ok(5), b"12345".to_vec()));
        let (result, bytes) = read(4);
        assert_eq!(
            (result, &bytes[..]),
            (Err((ErrorKind::InvalidData, too_much(4))), &b"1234"[..])
        );
        // Nothing is asked for.
        assert_eq!(Unpacked::new(&b"1"[..], 0).read(&mut []).unwrap(), 0);
    }

    #[test]
    fn limits_grow_with_the_length() {
        assert_eq!(unpacked_limit(0), 32 << 20);
        assert_eq!(unpacked_limit(335_545), 33_554_500);
        assert_eq!(unpacked_limit(u64::MAX), u64::MAX);
    }
}
