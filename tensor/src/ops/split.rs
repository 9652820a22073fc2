//! Taking a tensor apart along a dimension: `split`, `chunk`, `tensor_split`, `unbind` and their kin. The parts share
//! memory with the tensor.

use crate::ops::create::check_room;
use crate::{Result, Tensor, ensure};

/// Where [`Tensor::tensor_split`] cuts: into a number of parts, or at indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sections {
    /// Parts of sizes that differ by at most 1, the larger ones first.
    Parts(usize),
    /// Before each of these indices; negative ones count from the end.
    At(Vec<isize>),
}

impl From<usize> for Sections {
    fn from(parts: usize) -> Sections {
        Sections::Parts(parts)
    }
}

impl From<Vec<isize>> for Sections {
    fn from(indices: Vec<isize>) -> Sections {
        Sections::At(indices)
    }
}

impl<const N: usize> From<[isize; N]> for Sections {
    fn from(indices: [isize; N]) -> Sections {
        Sections::At(indices.to_vec())
    }
}

impl Tensor {
    /// Parts of `size` entries of a dimension, the last one smaller if it does not divide (`torch.split`).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if `size` is 0 and the dimension is not.
    pub fn split(&self, size: usize, dim: isize) -> Result<Vec<Tensor>> {
        let (d, total) = self.sized_dim("split", dim)?;
        ensure!(
            size > 0 || total == 0,
            Value,
            "split: parts of size 0 of a dimension of size {total}"
        );
        let starts = (0..total.max(1)).step_by(size.max(1));
        starts
            .map(|start| self.narrow(d as isize, start as isize, size.min(total - start)))
            .collect()
    }

    /// Parts of the given sizes of a dimension (`torch.split` with a list, `split_with_sizes`).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` unless the sizes add up to the dimension's.
    pub fn split_with_sizes(&self, sizes: &[usize], dim: isize) -> Result<Vec<Tensor>> {
        let (d, total) = self.sized_dim("split_with_sizes", dim)?;
        ensure!(
            sizes.iter().fold(0, |sum: usize, &size| sum.saturating_add(size)) == total,
            Value,
            "split_with_sizes: sizes {sizes:?} for dimension {d} of size {total} of {:?}",
            self.shape()
        );
        let mut start = 0;
        let part = |&size: &usize| {
            let part = self.narrow(d as isize, start as isize, size);
            start += size;
            part
        };
        sizes.iter().map(part).collect()
    }

    /// At most `chunks` parts of a dimension, all of one size but the last (`torch.chunk`).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if `chunks` is 0.
    pub fn chunk(&self, chunks: usize, dim: isize) -> Result<Vec<Tensor>> {
        let (d, total) = self.sized_dim("chunk", dim)?;
        ensure!(
            chunks > 0,
            Value,
            "chunk: expected at least one chunk, got {chunks}"
        );
        if total == 0 {
            check_room::<Tensor>("chunk", chunks)?;
            return Ok(vec![self.clone(); chunks]);
        }
        self.split(total.div_ceil(chunks), d as isize)
    }

    /// Parts of a dimension: as many as asked for, of nearly one size, or cut at indices (`torch.tensor_split`).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` for 0 parts.
    pub fn tensor_split(&self, sections: impl Into<Sections>, dim: isize) -> Result<Vec<Tensor>> {
        let (d, total) = self.sized_dim("tensor_split", dim)?;
        match sections.into() {
            Sections::Parts(parts) => {
                ensure!(
                    parts > 0,
                    Value,
                    "tensor_split: expected at least one part, got {parts}"
                );
                check_room::<Tensor>("tensor_split", parts)?;
                let (size, larger) = (total / parts, total % parts);
                let sizes: Vec<usize> = (0..parts).map(|i| size + (i < larger) as usize).collect();
                self.split_with_sizes(&sizes, d as isize)
            }
            Sections::At(indices) => {
                let starts = std::iter::once(Some(0)).chain(indices.iter().map(|&i| Some(i)));
                let ends = indices.iter().map(|&i| Some(i)).chain(std::iter::once(None));
                starts
                    .zip(ends)
                    .map(|(start, end)| self.slice(d as isize, start, end, 1))
                    .collect()
            }
        }
    }

    /// [`Tensor::tensor_split`] into equal parts, or at indices, along the second dimension, or the only one
    /// (`torch.hsplit`).
    ///
    /// # Errors
    /// `Dim` of a 0-d tensor; `Value` if the parts would not be equal.
    pub fn hsplit(&self, sections: impl Into<Sections>) -> Result<Vec<Tensor>> {
        self.even_split("hsplit", sections.into(), 1, if self.rank() == 1 { 0 } else { 1 })
    }

    /// [`Tensor::tensor_split`] into equal parts, or at indices, along the first dimension (`torch.vsplit`).
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than two dimensions; `Value` if the parts would not be equal.
    pub fn vsplit(&self, sections: impl Into<Sections>) -> Result<Vec<Tensor>> {
        self.even_split("vsplit", sections.into(), 2, 0)
    }

    /// [`Tensor::tensor_split`] into equal parts, or at indices, along the third dimension (`torch.dsplit`).
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than three dimensions; `Value` if the parts would not be equal.
    pub fn dsplit(&self, sections: impl Into<Sections>) -> Result<Vec<Tensor>> {
        self.even_split("dsplit", sections.into(), 3, 2)
    }

    fn even_split(&self, op: &str, sections: Sections, rank: usize, dim: usize) -> Result<Vec<Tensor>> {
        ensure!(
            self.rank() >= rank,
            Dim,
            "{op}: expected at least {rank} dimensions, got {:?}",
            self.shape()
        );
        if let Sections::Parts(parts) = sections {
            let size = self.shape()[dim];
            ensure!(
                parts > 0 && size.is_multiple_of(parts),
                Value,
                "{op}: a dimension of size {size} has no {parts} equal parts"
            );
        }
        self.tensor_split(sections, dim as isize)
    }

    /// The entries of a dimension, which is removed (`torch.unbind`).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn unbind(&self, dim: isize) -> Result<Vec<Tensor>> {
        let (d, size) = self.sized_dim("unbind", dim)?;
        (0..size).map(|i| self.select(d as isize, i as isize)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn sizes(parts: Result<Vec<Tensor>>) -> Vec<usize> {
        parts.unwrap().iter().map(|p| p.shape()[0]).collect()
    }

    #[test]
    fn parts_have_pytorchs_sizes() {
        let x = Tensor::zeros(7, DType::F32).unwrap();
        assert_eq!(sizes(x.split(3, 0)), [3, 3, 1]);
        assert_eq!(sizes(x.chunk(4, 0)), [2, 2, 2, 1]);
        assert_eq!(sizes(x.chunk(5, 0)), [2, 2, 2, 1]);
        assert_eq!(sizes(x.tensor_split(3, -1)), [3, 2, 2]);
        assert_eq!(sizes(x.tensor_split([2, 5, 9], 0)), [2, 3, 2, 0]);
        assert_eq!(sizes(x.tensor_split([-1], 0)), [6, 1]);
        assert_eq!(sizes(x.split_with_sizes(&[1, 0, 6], 0)), [1, 0, 6]);
        assert_eq!(sizes(Tensor::zeros(0, DType::F32).unwrap().split(2, 0)), [0]);
        assert!(x.split_with_sizes(&[1, 2], 0).is_err());
        assert!(x.hsplit(2).unwrap_err().to_string().contains("no 2 equal parts"));
        assert!(x.vsplit(1).is_err());
    }

    #[test]
    fn unbind_removes_the_dimension() {
        let x = Tensor::new([[1i64, 2], [3, 4]]).unwrap();
        let columns = x.unbind(1).unwrap();
        assert_eq!(columns[1].to_vec::<i64>().unwrap(), [2, 4]);
        assert!(columns[0].shares_memory(&x));
    }
}
