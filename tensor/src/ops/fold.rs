//! Sliding blocks of images as columns (`nn.functional.unfold`, im2col), columns summed to images (`fold`, col2im), and
//! channels moved into space and back (`pixel_shuffle`, `pixel_unshuffle`, `channel_shuffle`).

use flambeau_kernels::fold::{self, Blocks};

use crate::ops::create::checked_numel;
use crate::ops::linear_map::{LinearMap, LinearMapOp, record_linear_map};
use crate::value::Value;
use crate::{Result, Shape, Tensor, bail, ensure, with_stored};

/// How blocks slide, `[height, width]` each; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct UnfoldOptions {
    /// Distance between the cells of a block.
    pub dilation: [usize; 2],
    /// Zeros around the image.
    pub padding: [usize; 2],
    /// Distance between blocks.
    pub stride: [usize; 2],
}

impl Default for UnfoldOptions {
    fn default() -> Self {
        UnfoldOptions {
            dilation: [1, 1],
            padding: [0, 0],
            stride: [1, 1],
        }
    }
}

fn blocks(
    op: &str,
    image: [usize; 2],
    kernel: [usize; 2],
    options: &UnfoldOptions,
) -> Result<(Blocks, usize)> {
    let UnfoldOptions {
        dilation,
        padding,
        stride,
    } = *options;
    let positive = [kernel, stride, dilation].iter().flatten().all(|&s| s > 0);
    ensure!(
        positive,
        Value,
        "{op}: kernel {kernel:?}, stride {stride:?} and dilation {dilation:?} must be positive"
    );
    let blocks = Blocks {
        image,
        kernel,
        stride,
        padding,
        dilation,
    };
    match blocks.counts() {
        Some([down, across]) => Ok((blocks, down.saturating_mul(across))),
        None => bail!(
            Shape,
            "{op}: no block {kernel:?} with dilation {dilation:?} fits an image {image:?} padded by {padding:?}"
        ),
    }
}

/// The sliding blocks of images as columns.
///
/// # Shapes
/// `[batch, channels, height, width] → [batch, channels · kernel cells, blocks]`; the batch may be left out.
///
/// # Errors
/// `Shape` if the rank does not fit or no block does; `Value` for a zero kernel, stride or dilation.
pub fn unfold(x: &Tensor, kernel: [usize; 2], options: &UnfoldOptions) -> Result<Tensor> {
    let shape = x.shape();
    ensure!(
        shape.len() == 3 || shape.len() == 4,
        Shape,
        "unfold: expected an image of 3 or 4 dimensions, got {shape:?}"
    );
    let (lead, image) = shape.split_at(shape.len() - 2);
    let (blocks, count) = blocks("unfold", [image[0], image[1]], kernel, options)?;
    let mut output = Shape::new(lead);
    let channels = output.len() - 1;
    output[channels] = output[channels].saturating_mul(kernel[0].saturating_mul(kernel[1]));
    output.push(count);
    checked_numel("unfold", &output)?;
    let source = x.value().contiguous()?;
    let value = with_stored!(source.dtype, T => {
        let data = source.data::<T>()?;
        Value::build::<T>(source.dtype, output.clone(), |out| fold::unfold(data, out, &blocks))?
    });
    let op = LinearMapOp::new(LinearMap::Unfold(blocks), x.dims().clone(), output);
    Ok(record_linear_map(value, &x.read(), op))
}

/// Images of size `image` in which every cell is the sum of what the blocks' columns hold for it.
///
/// # Shapes
/// `[batch, channels · kernel cells, blocks] → [batch, channels, height, width]`; the batch may be left out.
///
/// # Errors
/// `Shape` if sizes do not fit; `Value` for a zero kernel, stride or dilation; `DType` for other than floating point types.
pub fn fold(x: &Tensor, image: [usize; 2], kernel: [usize; 2], options: &UnfoldOptions) -> Result<Tensor> {
    let shape = x.shape();
    let (blocks, count) = blocks("fold", image, kernel, options)?;
    let cells = kernel[0].saturating_mul(kernel[1]);
    let fits = (shape.len() == 2 || shape.len() == 3)
        && shape[shape.len() - 2].is_multiple_of(cells)
        && shape[shape.len() - 1] == count;
    ensure!(
        fits,
        Shape,
        "fold: expected [batch, channels · {cells}, {count}] for images {image:?}, got {shape:?}"
    );
    let mut output = Shape::new(&shape[..shape.len() - 1]);
    let channels = output.len() - 1;
    output[channels] /= cells;
    output.push(image[0]);
    output.push(image[1]);
    checked_numel("fold", &output)?;
    x.linear_map(LinearMapOp::new(LinearMap::Unfold(blocks), output, x.dims().clone()).transpose())
}

/// Leading dimensions and the trailing `[channels, height, width]`.
fn planes<'a>(op: &str, x: &'a Tensor) -> Result<(&'a [usize], [usize; 3])> {
    let shape = x.shape();
    ensure!(
        shape.len() >= 3,
        Shape,
        "{op}: expected at least [channels, height, width], got {shape:?}"
    );
    let (lead, last) = shape.split_at(shape.len() - 3);
    Ok((lead, [last[0], last[1], last[2]]))
}

/// Dimensions split into factors, the factors reordered (numbers count from the first split one) and merged again.
fn shuffle(x: &Tensor, lead: &[usize], split: &[usize], order: &[usize], merged: &[usize]) -> Result<Tensor> {
    let with_lead = |sizes: &[usize]| lead.iter().chain(sizes).copied().collect::<Vec<usize>>();
    let dims: Vec<isize> = (0..lead.len())
        .chain(order.iter().map(|d| d + lead.len()))
        .map(|d| d as isize)
        .collect();
    x.reshape(with_lead(split))?
        .permute(dims)?
        .reshape(with_lead(merged))
}

/// Channels moved into space: `[…, c·r², h, w] → […, c, h·r, w·r]`.
///
/// # Errors
/// `Shape` if there are fewer than three dimensions or `r²` does not divide the channels; `Value` if `r` is 0.
pub fn pixel_shuffle(x: &Tensor, r: usize) -> Result<Tensor> {
    let (lead, [c, h, w]) = planes("pixel_shuffle", x)?;
    ensure!(
        r > 0,
        Value,
        "pixel_shuffle: the upscale factor must be positive, got {r}"
    );
    let fits = r.checked_mul(r).is_some_and(|area| c % area == 0);
    ensure!(
        fits,
        Shape,
        "pixel_shuffle: {c} channels of {:?} do not divide by {r}²",
        x.shape()
    );
    let c = c / (r * r);
    shuffle(x, lead, &[c, r, r, h, w], &[0, 3, 1, 4, 2], &[c, h * r, w * r])
}

/// Space moved into channels: `[…, c, h·r, w·r] → […, c·r², h, w]`.
///
/// # Errors
/// `Shape` if there are fewer than three dimensions or `r` does not divide height and width; `Value` if `r` is 0.
pub fn pixel_unshuffle(x: &Tensor, r: usize) -> Result<Tensor> {
    let (lead, [c, h, w]) = planes("pixel_unshuffle", x)?;
    ensure!(
        r > 0,
        Value,
        "pixel_unshuffle: the downscale factor must be positive"
    );
    ensure!(
        h % r == 0 && w % r == 0,
        Shape,
        "pixel_unshuffle: height and width of {:?} do not divide by {r}",
        x.shape()
    );
    let (h, w) = (h / r, w / r);
    shuffle(x, lead, &[c, h, r, w, r], &[0, 2, 4, 1, 3], &[c * r * r, h, w])
}

/// Channels dealt out: `[batch, g·c, …] → [batch, c·g, …]` (ShuffleNet, Zhang et al., 2017).
///
/// # Errors
/// `Shape` if there are fewer than three dimensions or the groups do not divide the channels; `Value` for no groups.
pub fn channel_shuffle(x: &Tensor, groups: usize) -> Result<Tensor> {
    let shape = x.shape();
    ensure!(
        shape.len() >= 3,
        Shape,
        "channel_shuffle: expected at least 3 dimensions, got {shape:?}"
    );
    ensure!(groups > 0, Value, "channel_shuffle: expected at least one group");
    let (channels, inner) = (shape[1], shape[2..].iter().product::<usize>());
    ensure!(
        channels % groups == 0,
        Shape,
        "channel_shuffle: {channels} channels of {shape:?} do not divide into {groups} groups"
    );
    let y = x.reshape((shape[0], groups, channels / groups, inner))?;
    y.transpose(1, 2)?.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fold_counts_how_often_cells_are_covered() {
        let x = Tensor::ones((1, 1, 3, 3), crate::DType::F32).unwrap();
        let columns = unfold(&x, [2, 2], &UnfoldOptions::default()).unwrap();
        assert_eq!(columns.shape(), [1, 4, 4]);
        let y = fold(&columns, [3, 3], [2, 2], &UnfoldOptions::default()).unwrap();
        assert_eq!(
            y.to_vec::<f32>().unwrap(),
            [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]
        );
        assert!(fold(&columns, [4, 3], [2, 2], &UnfoldOptions::default()).is_err());
    }

    #[test]
    fn shuffles_are_undone() {
        let x = Tensor::from_vec((0..72).collect::<Vec<i64>>(), (2, 9, 2, 2)).unwrap();
        let y = pixel_shuffle(&x, 3).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap()[..7], [0, 4, 8, 1, 5, 9, 12]);
        let back = pixel_unshuffle(&y, 3).unwrap();
        assert_eq!(back.to_vec::<i64>().unwrap(), x.to_vec::<i64>().unwrap());
        assert!(channel_shuffle(&x, 2).is_err());
    }
}
