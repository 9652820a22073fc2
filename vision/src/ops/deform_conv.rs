//! Convolutions that read their input at displaced points (Dai et al., 2017; with a mask: Zhu et al., 2019;
//! `deform_conv2d`): `y(p) = Σₖ wₖ·mₖ(p)·x(p + pₖ + Δₖ(p))`.

use flambeau_tensor::{DType, Result, Tensor, amp, bail, ensure};

/// Options of [`deform_conv2d`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct DeformConvOptions {
    /// Steps between output positions.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: [usize; 2],
    /// Steps between the kernel's taps.
    pub dilation: [usize; 2],
}

impl Default for DeformConvOptions {
    fn default() -> Self {
        DeformConvOptions {
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
        }
    }
}

/// The sizes of a call.
struct Sizes {
    batch: usize,
    channels: usize,
    input: [usize; 2],
    kernel: [usize; 2],
    output: [usize; 2],
    /// Groups of channels that share displacements.
    offset_groups: usize,
    /// Groups of channels that are convolved independently.
    groups: usize,
}

impl Sizes {
    fn new(x: &Tensor, offset: &Tensor, weight: &Tensor, options: &DeformConvOptions) -> Result<Sizes> {
        let op = "deform_conv2d";
        let (&[batch, channels, height, width], &[out_channels, in_group, kh, kw]) =
            (x.shape(), weight.shape())
        else {
            bail!(
                Shape,
                "{op}: expected an input and a weight of 4 dimensions, got {:?} and {:?}",
                x.shape(),
                weight.shape()
            )
        };
        let positive = in_group > 0 && kh > 0 && kw > 0 && options.stride.iter().all(|&s| s > 0);
        ensure!(
            positive && channels % in_group == 0 && out_channels % (channels / in_group).max(1) == 0,
            Shape,
            "{op}: input {:?} and weight {:?} with {options:?}",
            x.shape(),
            weight.shape()
        );
        let along = |d: usize, size: usize, kernel: usize| {
            let padded = size + 2 * options.padding[d];
            let reach = options.dilation[d] * (kernel - 1) + 1;
            Some(padded.checked_sub(reach)? / options.stride[d] + 1)
        };
        let (Some(rows), Some(columns)) = (along(0, height, kh), along(1, width, kw)) else {
            bail!(
                Shape,
                "{op}: a kernel of {kh} x {kw} does not fit an input of {height} x {width} with {options:?}"
            )
        };
        let per_group = 2 * kh * kw;
        let displacements = offset.shape().get(1).copied().unwrap_or(0);
        let offset_groups = displacements / per_group;
        ensure!(
            offset_groups > 0
                && offset.shape() == [batch, offset_groups * per_group, rows, columns]
                && channels.is_multiple_of(offset_groups),
            Shape,
            "{op}: expected displacements [{batch}, groups·{per_group}, {rows}, {columns}], got {:?}",
            offset.shape()
        );
        Ok(Sizes {
            batch,
            channels,
            input: [height, width],
            kernel: [kh, kw],
            output: [rows, columns],
            offset_groups,
            groups: channels / in_group,
        })
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn points(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Where the taps lie without displacement along dimension `d`, `[taps·points]`.
    fn lattice(&self, d: usize, options: &DeformConvOptions, dtype: DType) -> Result<Tensor> {
        let mut at = Vec::with_capacity(self.taps() * self.points());
        for tap in 0..self.taps() {
            let tap = [tap / self.kernel[1], tap % self.kernel[1]][d];
            for point in 0..self.points() {
                let point = [point / self.output[1], point % self.output[1]][d];
                let place = point * options.stride[d] + tap * options.dilation[d];
                at.push(place as f64 - options.padding[d] as f64);
            }
        }
        let count = at.len();
        Tensor::from_vec(at, count)?.to_dtype(dtype)
    }
}

/// One side of the cells around points: positions, which are none, and weights.
struct Corner {
    /// Positions within the input, `int64`.
    at: Tensor,
    /// The weight, 0 outside of the input.
    weight: Tensor,
}

/// The cells before and behind points along one dimension.
fn corners(points: &Tensor, size: usize) -> Result<[Corner; 2]> {
    let before = points.detach().floor()?;
    let behind = points.sub(&before)?;
    let corner = |at: Tensor, weight: Tensor| -> Result<Corner> {
        let outside = at.lt(0.0)?.logical_or(&at.gt(size as f64 - 1.0)?)?;
        let at = at.clamp(Some(0.0.into()), Some((size as f64 - 1.0).into()))?;
        Ok(Corner {
            at: at.to_dtype(DType::I64)?,
            weight: weight.masked_fill(&outside, 0.0)?,
        })
    };
    Ok([
        corner(before.clone(), behind.rsub(1.0)?)?,
        corner(before.add(1.0)?, behind)?,
    ])
}

/// A convolution whose taps are displaced, and with a mask also weighted, at each output position. Displacements are pairs
/// (y, x) in cells; outside of the input are zeros.
///
/// # Shapes
/// x `[batch, in, height, width]`, offset `[batch, g·2·kh·kw, h', w']`, weight `[out, in/groups, kh, kw]`, bias `[out]`,
/// mask `[batch, g·kh·kw, h', w']` → `[batch, out, h', w']`; each of `g` groups of input channels has displacements of
/// its own.
///
/// # Errors
/// `Shape` if sizes do not fit; `DType` unless all are of one floating point type.
pub fn deform_conv2d(
    x: &Tensor,
    offset: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    mask: Option<&Tensor>,
    options: &DeformConvOptions,
) -> Result<Tensor> {
    let op = "deform_conv2d";
    let sizes = Sizes::new(x, offset, weight, options)?;
    let all = [Some(x), Some(offset), Some(weight), bias, mask];
    ensure!(
        x.dtype().is_float() && all.iter().flatten().all(|t| t.dtype() == x.dtype()),
        DType,
        "{op}: expected tensors of one floating point type, got {:?}",
        all.iter().flatten().map(|t| t.dtype()).collect::<Vec<_>>()
    );
    let (batch, g) = (sizes.batch, sizes.offset_groups);
    let (taps, points) = (sizes.taps(), sizes.points());
    let [rows, columns] = sizes.output;
    let [height, width] = sizes.input;

    // Where each tap reads, [batch, g, taps·points].
    let offset = offset.reshape([batch, g, taps, 2, points])?;
    let place = |d: usize| {
        let displaced = offset.select(3, d as isize)?.reshape([batch, g, taps * points])?;
        displaced.add(&sizes.lattice(d, options, x.dtype())?)
    };
    let (ys, xs) = (corners(&place(0)?, height)?, corners(&place(1)?, width)?);
    let cells = x.reshape([batch, g, sizes.channels / g, height * width])?;
    let read = [batch, g, sizes.channels / g, taps * points];
    let mut sampled: Option<Tensor> = None;
    for y in &ys {
        for x in &xs {
            let at = y.at.mul(width as i64)?.add(&x.at)?.unsqueeze(2)?.expand(read)?;
            let values = cells
                .gather(3, &at)?
                .mul(&y.weight.mul(&x.weight)?.unsqueeze(2)?)?;
            sampled = Some(match sampled {
                Some(sum) => sum.add(&values)?,
                None => values,
            });
        }
    }
    let Some(mut sampled) = sampled else {
        bail!(Backend, "{op}: no corners")
    };
    if let Some(mask) = mask {
        ensure!(
            mask.shape() == [batch, g * taps, rows, columns],
            Shape,
            "{op}: expected a mask [{batch}, {}, {rows}, {columns}], got {:?}",
            g * taps,
            mask.shape()
        );
        sampled = sampled.mul(&mask.reshape([batch, g, 1, taps * points])?)?;
    }

    let (out, groups) = (weight.shape()[0], sizes.groups);
    let depth = sizes.channels / groups * taps;
    let columns_of = sampled.reshape([batch, groups, depth, points])?;
    let weight = weight.reshape([1, groups, out / groups, depth])?;
    // PyTorch's kernel is one operation, which mixed precision leaves alone.
    let product = amp::autocast(None, || weight.matmul(&columns_of))?;
    let output = product.reshape([batch, out, rows, columns])?;
    match bias {
        Some(bias) => output.add(&bias.reshape([out, 1, 1])?),
        None => Ok(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_autograd::{CheckOptions, gradcheck};
    use flambeau_tensor::ops::conv::{ConvOptions, Padding, conv2d};

    #[test]
    fn without_displacements_it_is_a_convolution() {
        let x = Tensor::rand((2, 4, 6, 5), DType::F32).unwrap();
        let weight = Tensor::rand((6, 2, 3, 2), DType::F32).unwrap();
        let options = DeformConvOptions {
            stride: [2, 1],
            padding: [1, 2],
            dilation: [1, 2],
        };
        let expected = conv2d(
            &x,
            &weight,
            None,
            &ConvOptions {
                stride: [2, 1],
                padding: Padding::Explicit([1, 2]),
                dilation: [1, 2],
                groups: 2,
            },
        )
        .unwrap();
        let [rows, columns] = [expected.shape()[2], expected.shape()[3]];
        let offset = Tensor::zeros((2, 2 * 12, rows, columns), DType::F32).unwrap();
        let output = deform_conv2d(&x, &offset, &weight, None, None, &options).unwrap();
        assert!(output.allclose(&expected, 1e-5, 1e-5, false).unwrap());
        let wrong = Tensor::zeros((2, 10, rows, columns), DType::F32).unwrap();
        assert!(deform_conv2d(&x, &wrong, &weight, None, None, &options).is_err());
        let large = Tensor::zeros((6, 2, 9, 9), DType::F32).unwrap();
        assert!(deform_conv2d(&x, &offset, &large, None, None, &DeformConvOptions::default()).is_err());
    }

    #[test]
    fn everything_gets_a_gradient() {
        flambeau_tensor::random::fork(1, || {
            let tensor = |shape: &[usize]| {
                Tensor::rand(shape, DType::F64)
                    .unwrap()
                    .requires_grad(true)
                    .unwrap()
            };
            let inputs = [
                tensor(&[1, 2, 4, 4]),
                tensor(&[1, 8, 3, 3]),
                tensor(&[2, 2, 2, 2]),
                tensor(&[2]),
                tensor(&[1, 4, 3, 3]),
            ];
            let f = |t: &[Tensor]| {
                let (bias, mask) = (Some(&t[3]), Some(&t[4]));
                Ok(vec![deform_conv2d(
                    &t[0],
                    &t[1],
                    &t[2],
                    bias,
                    mask,
                    &DeformConvOptions::default(),
                )?])
            };
            gradcheck(f, &inputs, CheckOptions::default()).unwrap();
        });
    }
}
