//! Street View House Numbers ([Netzer et al., 2011](http://ufldl.stanford.edu/housenumbers/nips2011_housenumbers.pdf)).

use std::path::Path;

use flambeau_data::formats::mat;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{DIGITS, ImageSet, find_file};

/// Which part of SVHN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvhnSplit {
    /// 73,257 digits to learn from.
    Train,
    /// 26,032 digits to test on.
    Test,
    /// 531,131 more digits, which are easier.
    Extra,
}

impl SvhnSplit {
    pub(super) fn file(self) -> &'static str {
        match self {
            SvhnSplit::Train => "train_32x32.mat",
            SvhnSplit::Test => "test_32x32.mat",
            SvhnSplit::Extra => "extra_32x32.mat",
        }
    }
}

/// Digits of house numbers, images `[3, 32, 32]`. Class 0 is the digit 0, which the files call 10.
///
/// `train_32x32.mat`, `test_32x32.mat` or `extra_32x32.mat` is looked for in `root`.
///
/// # Errors
/// `Io` if the file is missing, which says where it belongs; `Format` if it is not what it should be.
pub fn svhn(root: impl AsRef<Path>, split: SvhnSplit) -> Result<ImageSet> {
    let name = split.file();
    let source = format!("http://ufldl.stanford.edu/housenumbers/{name}");
    let path = find_file("SVHN", root.as_ref(), &[""], &[name], &source)?;
    let read = || {
        let arrays = mat::read(&path)?;
        let (Some(images), Some(labels)) = (arrays.get("X"), arrays.get("y")) else {
            flambeau_tensor::bail!(
                Format,
                "expected the arrays X and y, got {:?}",
                arrays.keys().collect::<Vec<_>>()
            )
        };
        ensure!(
            matches!(images.shape(), [_, _, 3, _]) && images.dtype() == DType::U8,
            Format,
            "expected images [height, width, 3, n] of uint8, got {:?} of {}",
            images.shape(),
            images.dtype()
        );
        let images = images.permute([3, 2, 0, 1])?.contiguous()?;
        let labels = labels.to_dtype(DType::I64)?.to_vec::<i64>()?;
        let labels: Vec<i64> = labels
            .into_iter()
            .map(|digit| if digit == 10 { 0 } else { digit })
            .collect();
        let count = labels.len();
        ImageSet::new(images, Tensor::from_vec(labels, count)?, DIGITS)
    };
    read().map_err(|error| error.context(format_args!("SVHN: {}", path.display())))
}

#[cfg(test)]
mod tests {
    use flambeau_data::Dataset;

    use super::*;

    /// A file of MATLAB's with two arrays of bytes.
    fn file(images: &[u8], sizes: &[i32], labels: &[u8]) -> Vec<u8> {
        let element = |kind: u32, data: &[u8]| {
            let mut bytes = [&kind.to_le_bytes(), &(data.len() as u32).to_le_bytes(), data].concat();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let matrix = |name: &str, sizes: &[i32], values: &[u8]| {
            let sizes: Vec<u8> = sizes.iter().flat_map(|n| n.to_le_bytes()).collect();
            let flags = [9, 0, 0, 0, 0, 0, 0, 0];
            let parts = [
                element(6, &flags),
                element(5, &sizes),
                element(1, name.as_bytes()),
                element(2, values),
            ];
            element(14, &parts.concat())
        };
        let mut bytes = vec![b' '; 124];
        bytes.extend(b"\x00\x01IM");
        bytes.extend(matrix("X", sizes, images));
        bytes.extend(matrix("y", &[labels.len() as i32, 1], labels));
        bytes
    }

    #[test]
    fn digits_are_turned_upright_and_ten_is_zero() {
        let root = tempfile::tempdir().unwrap();
        let error = svhn(root.path(), SvhnSplit::Test).unwrap_err().to_string();
        assert!(
            error.contains("SVHN: no test_32x32.mat in ") && error.contains("housenumbers/test_32x32.mat"),
            "{error}"
        );
        // The pixel at row r and column c of channel k of image n is n·100 + k·10 + r·3 + c; rows vary fastest.
        let mut pixels = Vec::new();
        for n in 0..2 {
            for k in 0..3 {
                for c in 0..3 {
                    pixels.extend((0..2).map(|r| n * 100 + k * 10 + r * 3 + c));
                }
            }
        }
        let path = root.path().join("test_32x32.mat");
        std::fs::write(&path, file(&pixels, &[2, 3, 3, 2], &[10, 7])).unwrap();
        let set = svhn(root.path(), SvhnSplit::Test).unwrap();
        assert_eq!(
            (set.len(), set.get(0).unwrap().1, set.get(1).unwrap().1),
            (2, 0, 7)
        );
        let image = set.get(1).unwrap().0;
        assert_eq!(image.shape(), [3, 2, 3]);
        let row = image.select(0, 2).unwrap().to_vec2::<u8>().unwrap();
        assert_eq!(row, [[120, 121, 122], [123, 124, 125]]);

        std::fs::write(&path, file(&pixels, &[2, 3, 3, 2], &[10, 7, 1])).unwrap();
        let error = svhn(root.path(), SvhnSplit::Test).unwrap_err().to_string();
        assert!(
            error.contains("test_32x32.mat: ImageSet: expected images"),
            "{error}"
        );
        std::fs::write(&path, file(&pixels, &[2, 18, 1], &[10, 7])).unwrap();
        let error = svhn(root.path(), SvhnSplit::Test).unwrap_err().to_string();
        assert!(
            error.contains("expected images [height, width, 3, n] of uint8, got [2, 18, 1]"),
            "{error}"
        );
    }
}
