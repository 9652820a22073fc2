//! Dropping blocks of neighbouring elements (Ghiasi et al., 2018; `drop_block2d`, `drop_block3d`).

use flambeau_nn::{Forward, Mode, Module, observed};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::ops::pool::{MaxPoolOptions, max_pool};
use flambeau_tensor::{Result, Tensor, ensure};

/// How much is added to the number of elements that stay.
const EPS: f64 = 1e-6;

/// Zeros in random blocks of `size` elements along each spatial dimension, `p` of all elements on average, and the rest
/// scaled so that the sum stays.
fn drop_block<const D: usize>(op: &str, x: &Tensor, p: f64, size: usize, training: bool) -> Result<Tensor> {
    ensure!(
        (0.0..=1.0).contains(&p),
        Value,
        "{op}: expected a probability from 0 to 1, got {p}"
    );
    let shape = x.shape();
    ensure!(
        shape.len() == D + 2,
        Shape,
        "{op}: expected {} dimensions, got {shape:?}",
        D + 2
    );
    if !training || p == 0.0 {
        return Ok(x.clone());
    }
    let spatial = &shape[2..];
    let size = spatial.iter().fold(size, |size, &n| size.min(n));
    ensure!(
        size % 2 == 1,
        Value,
        "{op}: expected blocks of odd size within {shape:?}, got {size}"
    );
    let elements: usize = spatial.iter().product();
    let middles: usize = spatial.iter().map(|n| n - size + 1).product();
    let gamma = p * elements as f64 / (size.pow(D as u32) * middles) as f64;
    let mut noise_shape = shape.to_vec();
    noise_shape[2..].iter_mut().for_each(|n| *n -= size - 1);
    let noise = Tensor::empty(noise_shape, x.dtype())?;
    noise.bernoulli_(gamma)?;
    let noise = noise.pad(&vec![(size / 2) as isize; 2 * D], PadMode::Constant, 0)?;
    let options = MaxPoolOptions::<D> {
        stride: Some([1; D]),
        padding: [size / 2; D],
        ..MaxPoolOptions::default()
    };
    let stay = max_pool(&noise, [size; D], &options)?.rsub(1.0)?;
    let scale = stay.sum()?.add(EPS)?.reciprocal()?.mul(stay.numel() as f64)?;
    x.mul(&stay)?.mul(&scale)
}

macro_rules! layers {
    ($($function:ident $layer:ident $d:literal $shape:literal;)*) => { $(
        /// Zeros in random blocks of `block_size` elements along each spatial dimension while `training`, `p` of all
        /// elements on average.
        ///
        /// # Shapes
        #[doc = $shape]
        ///
        /// # Errors
        /// `Value` for a probability outside `[0, 1]` or an even block; `Shape` for other dimensions.
        pub fn $function(x: &Tensor, p: f64, block_size: usize, training: bool) -> Result<Tensor> {
            drop_block::<$d>(stringify!($function), x, p, block_size, training)
        }

        /// Drops blocks of neighbouring elements while training.
        ///
        /// # Shapes
        #[doc = $shape]
        #[derive(Clone, Debug, Module)]
        #[module(describe)]
        pub struct $layer {
            #[module(skip)]
            p: f64,
            #[module(skip)]
            block_size: usize,
            mode: Mode,
        }

        impl $layer {
            /// A layer that drops `p` of all elements in blocks of odd size.
            pub fn new(p: f64, block_size: usize) -> $layer {
                $layer {
                    p,
                    block_size,
                    mode: Mode::default(),
                }
            }

            fn describe(&self) -> String {
                format!("p={}, block_size={}, inplace=False", self.p, self.block_size)
            }
        }

        impl Forward for $layer {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                $function(x, self.p, self.block_size, self.mode.is_training())
            }
        }
    )* };
}

layers! {
    drop_block2d DropBlock2d 2 "`[batch, channels, height, width]` → the same.";
    drop_block3d DropBlock3d 3 "`[batch, channels, depth, height, width]` → the same.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn blocks_are_dropped_and_the_sum_stays() {
        flambeau_tensor::random::fork(3, || {
            let x = Tensor::ones((2, 3, 12, 12), DType::F64).unwrap();
            let layer = DropBlock2d::new(0.2, 3);
            let y = layer.forward(&x).unwrap();
            let (sum, zeros) = (
                y.sum().unwrap().item_f64().unwrap(),
                y.eq(0.0).unwrap().sum().unwrap(),
            );
            assert!((sum - 864.0).abs() < 1e-2, "{sum}");
            assert!(zeros.item::<i64>().unwrap() > 0);
            layer.eval();
            assert!(layer.forward(&x).unwrap().equal(&x).unwrap());
            assert!(
                drop_block2d(&x, 0.2, 4, true)
                    .unwrap_err()
                    .to_string()
                    .contains("odd")
            );
            assert!(drop_block3d(&x, 0.2, 3, true).is_err());
        });
    }
}
