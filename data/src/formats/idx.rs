//! IDX files, the format of MNIST: one array each, its numbers in big-endian order.
//!
//! `0, 0, type, rank`, then `rank` sizes of 32 bits, then the elements in row-major order. The types are `uint8` (8),
//! `int8` (9), `int16` (11), `int32` (12), `float32` (13) and `float64` (14).

use std::io::Read;
use std::path::Path;

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::{Input, io_error, read_bytes};

/// Reads the array in the file at `path`, which may be packed by gzip.
///
/// ```no_run
/// use flambeau_data::{TensorDataset, formats::idx};
///
/// let images = idx::read("train-images-idx3-ubyte.gz")?; // [60000, 28, 28], uint8
/// let labels = idx::read("train-labels-idx1-ubyte.gz")?;
/// let digits = TensorDataset::new([images, labels])?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a valid IDX file; both name it.
pub fn read(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let mut input = Input::open(path)?;
    read_array(&mut input).map_err(|error| error.context(path.display()))
}

fn read_array(input: &mut Input) -> Result<Tensor> {
    let mut magic = [0; 4];
    input.reader.read_exact(&mut magic).map_err(io_error)?;
    let [0, 0, kind, rank] = magic else {
        bail!(Format, "not an IDX file: it begins with the bytes {magic:?}")
    };
    let dtype = match kind {
        8 => DType::U8,
        9 => DType::I8,
        11 => DType::I16,
        12 => DType::I32,
        13 => DType::F32,
        14 => DType::F64,
        _ => bail!(Format, "IDX: unknown element type {kind}"),
    };
    let mut shape = Vec::new();
    let mut size = dtype.size_in_bytes() as u64;
    for _ in 0..rank {
        let mut bytes = [0; 4];
        input.reader.read_exact(&mut bytes).map_err(io_error)?;
        let n = u32::from_be_bytes(bytes);
        shape.push(n as usize);
        size = size.saturating_mul(u64::from(n));
    }
    let header = 4 + 4 * u64::from(rank);
    let left = input.most.saturating_sub(header);
    ensure!(
        if input.packed { size <= left } else { size == left },
        Format,
        "IDX: {dtype} elements of shape {shape:?} are {size} bytes, {} {left} bytes",
        if input.packed {
            "the packed file has at most"
        } else {
            "the file has"
        }
    );
    let bytes = read_bytes(&mut input.reader, size)?;
    let more = input.reader.read(&mut [0]).map_err(io_error)?;
    ensure!(
        more == 0,
        Format,
        "IDX: there are data after the {size} bytes of the array"
    );
    match dtype {
        DType::U8 => Tensor::from_vec(bytes, shape),
        DType::I8 => numbers(&bytes, shape, i8::from_be_bytes),
        DType::I16 => numbers(&bytes, shape, i16::from_be_bytes),
        DType::I32 => numbers(&bytes, shape, i32::from_be_bytes),
        DType::F32 => numbers(&bytes, shape, f32::from_be_bytes),
        _ => numbers(&bytes, shape, f64::from_be_bytes),
    }
}

fn numbers<T: flambeau_tensor::Element, const N: usize>(
    bytes: &[u8],
    shape: Vec<usize>,
    number: fn([u8; N]) -> T,
) -> Result<Tensor> {
    let (groups, _) = bytes.as_chunks::<N>();
    let data: Vec<T> = groups.iter().map(|bytes| number(*bytes)).collect();
    Tensor::from_vec(data, shape)
}

#[cfg(test)]
mod tests {
    use super::super::test_files::{Folder, gzip};
    use super::*;

    fn file_of(kind: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|n| n.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    #[test]
    fn every_type_is_read() {
        let folder = Folder::new();
        let cases: [(u8, Vec<u8>, DType); 6] = [
            (8, vec![1, 250], DType::U8),
            (9, vec![1, 250], DType::I8),
            (
                11,
                [1i16, -6].iter().flat_map(|x| x.to_be_bytes()).collect(),
                DType::I16,
            ),
            (
                12,
                [1i32, -6].iter().flat_map(|x| x.to_be_bytes()).collect(),
                DType::I32,
            ),
            (
                13,
                [1f32, -6.0].iter().flat_map(|x| x.to_be_bytes()).collect(),
                DType::F32,
            ),
            (
                14,
                [1f64, -6.0].iter().flat_map(|x| x.to_be_bytes()).collect(),
                DType::F64,
            ),
        ];
        for (kind, elements, dtype) in cases {
            let plain = file_of(kind, &[1, 2], &elements);
            for bytes in [plain.clone(), gzip(&plain)] {
                let array = read(folder.file("array", bytes)).unwrap();
                assert_eq!((array.shape(), array.dtype()), (&[1, 2][..], dtype));
                let second = if kind == 8 { 250.0 } else { -6.0 };
                assert_eq!(array.to_vec_f64().unwrap(), [1.0, second]);
            }
        }
        let scalar = read(folder.file("scalar", file_of(8, &[], &[7]))).unwrap();
        assert_eq!((scalar.rank(), scalar.item::<u8>().unwrap()), (0, 7));
        assert_eq!(
            read(folder.file("empty", file_of(8, &[0, 5], &[])))
                .unwrap()
                .numel(),
            0
        );
    }

    #[test]
    fn bad_files_are_errors() {
        let folder = Folder::new();
        let huge = [u32::MAX; 4];
        let mut cut = gzip(&file_of(
            8,
            &[1000],
            &(0..1000).map(|i| (i * 7) as u8).collect::<Vec<_>>(),
        ));
        cut.truncate(cut.len() / 2);
        let cases = [
            (vec![], "the data end early"),
            (
                b"\x89PNG".to_vec(),
                "not an IDX file: it begins with the bytes [137, 80, 78, 71]",
            ),
            (file_of(10, &[1], &[0]), "IDX: unknown element type 10"),
            (
                file_of(8, &[2, 2], &[0; 3]),
                "of shape [2, 2] are 4 bytes, the file has 3 bytes",
            ),
            (file_of(8, &[2], &[0; 3]), "are 2 bytes, the file has 3 bytes"),
            (
                file_of(14, &huge, &[0; 3]),
                "are 18446744073709551615 bytes, the file has 3 bytes",
            ),
            (vec![0, 0, 8, 3, 0, 0], "the data end early"),
            (gzip(&file_of(14, &huge, &[0; 3])), "the packed file has at most"),
            (
                gzip(&file_of(8, &[5], &[0; 3])),
                "the data end early: 3 bytes of 5 are there",
            ),
            (
                gzip(&file_of(8, &[2], &[0; 3])),
                "there are data after the 2 bytes",
            ),
            (cut, "ends early, or holds"),
        ];
        for (bytes, expected) in cases {
            let error = folder.stripped(read(folder.file("bad", bytes)).unwrap_err());
            assert!(
                error.starts_with("FOLDER/bad: ") && error.contains(expected),
                "{error}"
            );
        }
        let error = folder.stripped(read(folder.path().join("absent")).unwrap_err());
        assert!(error.starts_with("FOLDER/absent: "), "{error}");
        let error = folder.stripped(read(folder.path()).unwrap_err());
        assert!(error.starts_with("FOLDER: "), "{error}");
    }
}
