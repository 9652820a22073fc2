//! The feature pyramid network (Lin et al., 2017; `FeaturePyramidNetwork`): coarse feature maps, enlarged and added to
//! finer ones, so that all levels know what is in the picture.
//!
//! Keys are those of torchvision's current version, `inner_blocks.0.0.weight`; weights published before have
//! `inner_blocks.0.weight`.

use flambeau_nn::functional::{
    InterpolateMode, InterpolateOptions, InterpolateSize, MaxPoolOptions, Padding, interpolate, max_pool2d,
};
use flambeau_nn::init::{FanMode, Nonlinearity, kaiming_uniform_, zeros_};
use flambeau_nn::{Conv2d, ConvOptions, Forward, Module};
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::{Conv2dNormActivation, ConvNormOptions, NormLayer};

/// Further levels on top of a pyramid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraFPNBlock {
    /// `pool`: every second cell of the coarsest level (`LastLevelMaxPool`).
    LastLevelMaxPool,
    /// `p6` and `p7`: by convolutions of stride 2 ([`LastLevelP6P7`]).
    LastLevelP6P7 {
        /// Channels of the coarsest feature map that goes into the pyramid.
        in_channels: usize,
    },
}

/// Two more levels, each by a convolution of stride 2.
#[derive(Clone, Debug, Module)]
pub struct LastLevelP6P7 {
    p6: Conv2d,
    p7: Conv2d,
    /// Whether `p6` is made from the pyramid's coarsest level rather than from the map that went into it.
    use_p5: bool,
}

impl LastLevelP6P7 {
    fn new(in_channels: usize, out_channels: usize) -> Result<Self> {
        let options = ConvOptions {
            stride: [2; 2],
            padding: Padding::Explicit([1; 2]),
            ..ConvOptions::default()
        };
        let block = LastLevelP6P7 {
            p6: Conv2d::new(in_channels, out_channels, [3; 2], options)?,
            p7: Conv2d::new(out_channels, out_channels, [3; 2], options)?,
            use_p5: in_channels == out_channels,
        };
        initialise(&block.p6)?;
        initialise(&block.p7)?;
        Ok(block)
    }
}

fn initialise(conv: &Conv2d) -> Result<()> {
    kaiming_uniform_(&conv.weight, FanMode::FanIn, Nonlinearity::LeakyRelu(1.0))?;
    match &conv.bias {
        Some(bias) => zeros_(bias),
        None => Ok(()),
    }
}

/// A pyramid of feature maps that have the same number of channels.
#[derive(Clone, Debug, Module)]
pub struct FeaturePyramidNetwork {
    inner_blocks: Vec<Conv2dNormActivation>,
    layer_blocks: Vec<Conv2dNormActivation>,
    extra_blocks: Option<LastLevelP6P7>,
    pool: bool,
}

impl FeaturePyramidNetwork {
    /// A pyramid on maps of so many channels, from the finest to the coarsest.
    ///
    /// # Errors
    /// `Value` if a map has no channels.
    pub fn new(
        in_channels_list: &[usize],
        out_channels: usize,
        extra_blocks: Option<ExtraFPNBlock>,
        norm_layer: Option<NormLayer>,
    ) -> Result<Self> {
        ensure!(
            in_channels_list.iter().all(|&channels| channels > 0),
            Value,
            "FeaturePyramidNetwork: a map without channels: {in_channels_list:?}"
        );
        let block = |in_channels: usize, kernel: usize| -> Result<Conv2dNormActivation> {
            let options = ConvNormOptions {
                norm_layer,
                activation: None,
                ..ConvNormOptions::kernel(kernel)
            };
            let block = Conv2dNormActivation::new(in_channels, out_channels, options)?;
            initialise(&block.conv)?;
            Ok(block)
        };
        let mut network = FeaturePyramidNetwork {
            inner_blocks: Vec::new(),
            layer_blocks: Vec::new(),
            extra_blocks: None,
            pool: extra_blocks == Some(ExtraFPNBlock::LastLevelMaxPool),
        };
        for &in_channels in in_channels_list {
            network.inner_blocks.push(block(in_channels, 1)?);
            network.layer_blocks.push(block(out_channels, 3)?);
        }
        if let Some(ExtraFPNBlock::LastLevelP6P7 { in_channels }) = extra_blocks {
            network.extra_blocks = Some(LastLevelP6P7::new(in_channels, out_channels)?);
        }
        Ok(network)
    }

    /// The levels of the pyramid under the names of the maps, from the finest to the coarsest, then further ones.
    ///
    /// # Shapes
    /// `[batch, in_channels_list[i], height, width] → [batch, out_channels, height, width]` for each level.
    ///
    /// # Errors
    /// `Shape` unless there is a map of the right size for each level.
    pub fn forward(&self, maps: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        ensure!(
            maps.len() == self.inner_blocks.len() && !maps.is_empty(),
            Shape,
            "FeaturePyramidNetwork: {} maps for {} levels",
            maps.len(),
            self.inner_blocks.len()
        );
        let mut levels: Vec<(String, Tensor)> = Vec::with_capacity(maps.len() + 2);
        let mut above: Option<Tensor> = None;
        let blocks = self.inner_blocks.iter().zip(&self.layer_blocks);
        for ((name, map), (inner, layer)) in maps.iter().zip(blocks).rev() {
            let mut lateral = inner.forward(map)?;
            if let Some(above) = &above {
                let nearest = InterpolateOptions {
                    mode: InterpolateMode::Nearest,
                    ..InterpolateOptions::default()
                };
                let size = InterpolateSize::Size(&lateral.shape()[2..]);
                lateral = lateral.add(&interpolate(above, size, &nearest)?)?;
            }
            levels.push((name.clone(), layer.forward(&lateral)?));
            above = Some(lateral);
        }
        levels.reverse();
        let (Some((_, coarsest)), Some((_, map))) = (levels.last().cloned(), maps.last()) else {
            bail!(Shape, "FeaturePyramidNetwork: no maps")
        };
        if self.pool {
            let options = MaxPoolOptions {
                stride: Some([2; 2]),
                ..MaxPoolOptions::default()
            };
            levels.push(("pool".into(), max_pool2d(&coarsest, [1; 2], &options)?));
        }
        if let Some(extra) = &self.extra_blocks {
            let p6 = extra.p6.forward(if extra.use_p5 { &coarsest } else { map })?;
            let p7 = extra.p7.forward(&p6.relu()?)?;
            levels.extend([("p6".into(), p6), ("p7".into(), p7)]);
        }
        Ok(levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    fn maps(sides: &[(usize, usize)]) -> Vec<(String, Tensor)> {
        let map = |(i, &(channels, side)): (usize, &(usize, usize))| {
            (
                i.to_string(),
                Tensor::ones((1, channels, side, side), DType::F32).unwrap(),
            )
        };
        sides.iter().enumerate().map(map).collect()
    }

    #[test]
    fn levels_keep_their_size() {
        let maps = maps(&[(4, 9), (6, 5), (8, 3)]);
        let extra = ExtraFPNBlock::LastLevelP6P7 { in_channels: 8 };
        let network = FeaturePyramidNetwork::new(&[4, 6, 8], 5, Some(extra), None).unwrap();
        let levels = network.forward(&maps).unwrap();
        let described: Vec<(&str, usize)> = levels
            .iter()
            .map(|(name, t)| (name.as_str(), t.shape()[2]))
            .collect();
        assert_eq!(described, [("0", 9), ("1", 5), ("2", 3), ("p6", 2), ("p7", 1)]);
        let keys = network.state_dict();
        for key in [
            "inner_blocks.0.0.weight",
            "layer_blocks.2.0.bias",
            "extra_blocks.p7.weight",
        ] {
            assert!(keys.contains_key(key), "{key}");
        }
        assert!(network.forward(&maps[..2]).is_err());
        let pool = Some(ExtraFPNBlock::LastLevelMaxPool);
        let network = FeaturePyramidNetwork::new(&[4, 6, 8], 5, pool, Some(NormLayer::BATCH)).unwrap();
        assert_eq!(network.forward(&maps).unwrap()[3].1.shape(), [1, 5, 2, 2]);
        assert!(network.state_dict().contains_key("inner_blocks.0.1.running_mean"));
    }
}
