//! Shapes, dimensions given from either end, and broadcasting.

use std::ops::Deref;

use smallvec::SmallVec;

use crate::{Result, bail, ensure};

/// The sizes of a tensor's dimensions, or its strides. Dereferences to `[usize]`.
#[derive(PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 6]>);

impl Shape {
    /// The shape with these sizes.
    #[inline]
    pub fn new(sizes: &[usize]) -> Shape {
        Shape(SmallVec::from_slice(sizes))
    }

    /// The number of elements, 1 for a 0-d tensor; `usize::MAX` stands for more than can be counted.
    #[inline]
    pub fn numel(&self) -> usize {
        numel(self)
    }

    /// The strides, in elements, of a contiguous tensor of this shape.
    #[inline]
    pub fn contiguous_strides(&self) -> Shape {
        let mut strides = self.clone();
        let mut step = 1;
        for (stride, &size) in strides.0.iter_mut().zip(&self.0).rev() {
            *stride = step;
            step = step.saturating_mul(size.max(1));
        }
        strides
    }

    /// Appends a dimension.
    pub fn push(&mut self, size: usize) {
        self.0.push(size)
    }

    /// Inserts a dimension at `dim`.
    pub fn insert(&mut self, dim: usize, size: usize) {
        self.0.insert(dim, size)
    }

    /// Removes the dimension `dim` and returns its size.
    pub fn remove(&mut self, dim: usize) -> usize {
        self.0.remove(dim)
    }

    /// Sizes before `dim` multiplied, the size of `dim`, sizes after it multiplied.
    pub fn around(&self, dim: usize) -> (usize, usize, usize) {
        (numel(&self[..dim]), self[dim], numel(&self[dim + 1..]))
    }
}

/// The number of elements of a shape; `usize::MAX` stands for more than can be counted.
#[inline]
pub(crate) fn numel(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &size| n.saturating_mul(size))
}

impl Clone for Shape {
    #[inline]
    fn clone(&self) -> Shape {
        Shape::new(self)
    }
}

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl std::ops::DerefMut for Shape {
    #[inline]
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(sizes: I) -> Shape {
        Shape(sizes.into_iter().collect())
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        **self == other[..]
    }
}

impl PartialEq<[usize]> for Shape {
    fn eq(&self, other: &[usize]) -> bool {
        **self == *other
    }
}

/// What is accepted where a shape is expected: `()`, `3`, `[2, 3]`, `(2, 3)`, `&[2, 3][..]`, `vec![2, 3]`, a [`Shape`].
pub trait IntoShape {
    /// The shape.
    fn into_shape(self) -> Shape;
}

impl IntoShape for Shape {
    fn into_shape(self) -> Shape {
        self
    }
}

impl IntoShape for &Shape {
    fn into_shape(self) -> Shape {
        self.clone()
    }
}

impl IntoShape for () {
    fn into_shape(self) -> Shape {
        Shape::default()
    }
}

impl IntoShape for usize {
    fn into_shape(self) -> Shape {
        Shape::new(&[self])
    }
}

impl IntoShape for &[usize] {
    fn into_shape(self) -> Shape {
        Shape::new(self)
    }
}

impl IntoShape for Vec<usize> {
    fn into_shape(self) -> Shape {
        Shape::new(&self)
    }
}

impl<const N: usize> IntoShape for [usize; N] {
    fn into_shape(self) -> Shape {
        Shape::new(&self)
    }
}

impl<const N: usize> IntoShape for &[usize; N] {
    fn into_shape(self) -> Shape {
        Shape::new(self)
    }
}

macro_rules! tuple_shapes {
    ($($($name:ident)+;)*) => { $(
        impl IntoShape for ($(replace!($name usize),)+) {
            #[allow(non_snake_case)]
            fn into_shape(self) -> Shape {
                let ($($name,)+) = self;
                Shape::new(&[$($name),+])
            }
        }
    )* };
}
macro_rules! replace {
    ($name:ident $with:ty) => {
        $with
    };
}
tuple_shapes!(a; a b; a b c; a b c d; a b c d e; a b c d e f;);

/// A size, or -1 for one that follows from the others.
pub trait Size: Copy {
    /// The size; -1 if it is to be inferred.
    fn to_size(self) -> isize;
}

macro_rules! sizes {
    ($($t:ty)*) => { $(
        impl Size for $t {
            fn to_size(self) -> isize {
                isize::try_from(self).unwrap_or(isize::MAX) // no size of that kind exists, and -1 means another
            }
        }

        impl IntoSizes for $t {
            fn into_sizes(self) -> SmallVec<[isize; 6]> {
                SmallVec::from_slice(&[self.to_size()])
            }
        }
    )* };
}
sizes!(usize isize i64 i32);

/// What is accepted where a shape with sizes to be inferred is expected: whatever [`IntoShape`] accepts, with -1 among
/// the sizes: `(2, -1)`, `[-1, 3]`, `-1`.
pub trait IntoSizes {
    /// The sizes.
    fn into_sizes(self) -> SmallVec<[isize; 6]>;
}

impl IntoSizes for () {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        SmallVec::new()
    }
}

impl<S: Size> IntoSizes for &[S] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.iter().map(|size| size.to_size()).collect()
    }
}

impl IntoSizes for &Shape {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self[..].into_sizes()
    }
}

impl IntoSizes for Shape {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self[..].into_sizes()
    }
}

impl<S: Size> IntoSizes for Vec<S> {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self[..].into_sizes()
    }
}

impl<S: Size, const N: usize> IntoSizes for [S; N] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self[..].into_sizes()
    }
}

impl<S: Size, const N: usize> IntoSizes for &[S; N] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self[..].into_sizes()
    }
}

macro_rules! tuple_sizes {
    ($($($name:ident)+;)*) => { $(
        impl<$($name: Size),+> IntoSizes for ($($name,)+) {
            #[allow(non_snake_case)]
            fn into_sizes(self) -> SmallVec<[isize; 6]> {
                let ($($name,)+) = self;
                SmallVec::from_slice(&[$($name.to_size()),+])
            }
        }
    )* };
}
tuple_sizes!(A; A B; A B C; A B C D; A B C D E; A B C D E F;);

/// What is accepted where dimensions are expected: `1`, `-1`, `[0, -1]`, `&[..]`, `vec![..]`. Negative ones count from
/// the end.
pub trait Dims {
    /// The dimensions as given.
    fn to_dims(&self) -> SmallVec<[isize; 6]>;
}

impl Dims for isize {
    fn to_dims(&self) -> SmallVec<[isize; 6]> {
        SmallVec::from_slice(&[*self])
    }
}

impl<const N: usize> Dims for [isize; N] {
    fn to_dims(&self) -> SmallVec<[isize; 6]> {
        SmallVec::from_slice(self)
    }
}

impl Dims for [isize] {
    fn to_dims(&self) -> SmallVec<[isize; 6]> {
        SmallVec::from_slice(self)
    }
}

impl Dims for Vec<isize> {
    fn to_dims(&self) -> SmallVec<[isize; 6]> {
        SmallVec::from_slice(self)
    }
}

impl<D: Dims + ?Sized> Dims for &D {
    fn to_dims(&self) -> SmallVec<[isize; 6]> {
        (**self).to_dims()
    }
}

/// The dimension `dim` of a tensor with `rank` dimensions as an index from the front. A 0-d tensor has the dimension 0
/// (and -1), as in PyTorch.
pub(crate) fn resolve_dim(op: &str, dim: isize, rank: usize) -> Result<usize> {
    let n = rank.max(1) as isize;
    ensure!(
        (-n..n).contains(&dim),
        Dim,
        "{op}: dimension {dim} is out of range [{}, {}] of a {rank}-d tensor",
        -n,
        n - 1
    );
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

/// Like [`resolve_dim`] for several dimensions, none of them twice. In the order given.
pub(crate) fn resolve_dims(op: &str, dims: &[isize], rank: usize) -> Result<SmallVec<[usize; 6]>> {
    let mut seen = SmallVec::<[usize; 6]>::new();
    for &dim in dims {
        let d = resolve_dim(op, dim, rank)?;
        ensure!(
            !seen.contains(&d),
            Dim,
            "{op}: dimension {dim} appears twice in {dims:?}"
        );
        seen.push(d);
    }
    Ok(seen)
}

/// The shape that all of these broadcast to (`torch.broadcast_shapes`).
///
/// # Errors
/// `Broadcast` if two sizes at one place differ and neither is 1.
pub fn broadcast_shapes(op: &str, shapes: &[&[usize]]) -> Result<Shape> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out: Shape = std::iter::repeat_n(1, rank).collect();
    for shape in shapes {
        for (o, &size) in out.iter_mut().rev().zip(shape.iter().rev()) {
            if *o == 1 {
                *o = size;
            } else if size != 1 && size != *o {
                bail!(
                    Broadcast,
                    "{op}: shapes {} cannot be broadcast together",
                    list(shapes)
                );
            }
        }
    }
    Ok(out)
}

fn list(shapes: &[&[usize]]) -> String {
    shapes
        .iter()
        .map(|s| format!("{s:?}"))
        .collect::<Vec<_>>()
        .join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dims_count_from_both_ends() {
        assert_eq!(resolve_dim("sum", -1, 3).unwrap(), 2);
        assert_eq!(resolve_dim("sum", 0, 0).unwrap(), 0);
        assert!(
            resolve_dim("sum", 3, 3)
                .unwrap_err()
                .to_string()
                .contains("sum: dimension 3")
        );
        assert!(
            resolve_dims("sum", &[0, -3], 3)
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
    }

    #[test]
    fn broadcasting_follows_pytorch() {
        assert_eq!(broadcast_shapes("add", &[&[3, 1], &[4]]).unwrap(), [3, 4]);
        assert_eq!(broadcast_shapes("add", &[&[0], &[1]]).unwrap(), [0]);
        let error = broadcast_shapes("add", &[&[2, 3], &[4]]).unwrap_err().to_string();
        assert_eq!(error, "add: shapes [2, 3] and [4] cannot be broadcast together");
    }
}
