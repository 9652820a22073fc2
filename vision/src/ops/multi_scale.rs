//! Regions of interest read from the level of a feature pyramid that suits their size (`MultiScaleRoIAlign`).

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{BoundingBoxFormat, RoiAlignOptions, box_area, roi_align, rois_of};

/// Reads regions from several feature maps of one picture: from level `⌊k₀ + log₂(√area/s₀)⌋` of those that there are
/// (Lin et al., 2017, equation 1).
#[derive(Clone, Debug)]
pub struct MultiScaleRoIAlign {
    /// The names of the feature maps that are read, from the finest to the coarsest.
    pub featmap_names: Vec<String>,
    /// Rows and columns of bins.
    pub output_size: [usize; 2],
    /// Points sampled along each side of a bin; as many as it has cells unless given.
    pub sampling_ratio: Option<usize>,
    /// The side s₀ of a region that is read from the canonical level.
    pub canonical_scale: f64,
    /// The canonical level k₀.
    pub canonical_level: i32,
}

impl MultiScaleRoIAlign {
    /// A reader with torchvision's canonical scale and level.
    pub fn new(featmap_names: &[&str], output_size: [usize; 2], sampling_ratio: Option<usize>) -> Self {
        MultiScaleRoIAlign {
            featmap_names: featmap_names.iter().map(|name| name.to_string()).collect(),
            output_size,
            sampling_ratio,
            canonical_scale: 224.0,
            canonical_level: 4,
        }
    }

    /// The regions in the feature maps `features`, which are given by name.
    ///
    /// # Shapes
    /// features `[images, channels, height, width]`, boxes of each image `[boxes, 4]` (x, y, x, y), heights and widths of
    /// the images → `[boxes of all images, channels, output_size[0], output_size[1]]`.
    ///
    /// # Errors
    /// `Key` if none of the feature maps has one of the names; `Shape` or `DType` if the tensors do not fit.
    pub fn forward(
        &self,
        features: &[(String, Tensor)],
        boxes: &[Tensor],
        image_shapes: &[(usize, usize)],
    ) -> Result<Tensor> {
        let op = "MultiScaleRoIAlign";
        let read = features
            .iter()
            .filter(|(name, _)| self.featmap_names.contains(name));
        let read: Vec<&Tensor> = read.map(|(_, features)| features).collect();
        let names = || features.iter().map(|(name, _)| name).collect::<Vec<_>>();
        ensure!(
            !read.is_empty(),
            Key,
            "{op}: none of {:?} among the feature maps {:?}",
            self.featmap_names,
            names()
        );
        ensure!(
            !image_shapes.is_empty(),
            Shape,
            "{op}: expected the size of one image or more"
        );
        let largest = image_shapes
            .iter()
            .fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        let levels: Vec<i32> = read.iter().map(|features| level_of(features, largest)).collect();
        let regions = rois_of(boxes)?;
        let align = |level: usize, regions: &Tensor| {
            let options = RoiAlignOptions {
                spatial_scale: 2f64.powi(-levels[level]),
                sampling_ratio: self.sampling_ratio,
                aligned: false,
            };
            roi_align(read[level], regions, self.output_size, &options)
        };
        if read.len() == 1 {
            return align(0, &regions);
        }
        let (first, last) = (levels[0], levels[levels.len() - 1]);
        let mut of_level = vec![Vec::new(); read.len()];
        for (region, level) in self.levels(&regions, first, last)?.into_iter().enumerate() {
            of_level[level.min(read.len() - 1)].push(region as i64);
        }
        let (mut parts, mut order) = (Vec::new(), Vec::new());
        for (level, members) in of_level.into_iter().enumerate() {
            if members.is_empty() {
                continue;
            }
            let index = Tensor::from_slice(&members, members.len())?;
            parts.push(align(level, &regions.index_select(0, &index)?)?);
            order.extend(members);
        }
        if parts.is_empty() {
            return align(0, &regions);
        }
        // Back from the order of the levels to that of the regions.
        let count = order.len();
        let back = Tensor::from_vec(order, count)?.argsort(0, false)?;
        Tensor::cat(&parts, 0)?.index_select(0, &back)
    }

    /// The level of each region, counted from the finest.
    fn levels(&self, regions: &Tensor, first: i32, last: i32) -> Result<Vec<usize>> {
        let boxes = regions.detach().narrow(1, 1, 4)?;
        let side = box_area(&boxes, BoundingBoxFormat::Xyxy)?.sqrt()?;
        let level = side
            .div(self.canonical_scale)?
            .log2()?
            .add(self.canonical_level as f64)?
            .add(1e-6)?;
        let level = level
            .floor()?
            .clamp(Some(f64::from(first).into()), Some(f64::from(last).into()))?;
        let levels = level.to_dtype(DType::I64)?.to_vec::<i64>()?;
        Ok(levels
            .into_iter()
            .map(|level| (level - i64::from(first)).max(0) as usize)
            .collect())
    }
}

/// The power of two by which the features are smaller than a picture of this height and width.
fn level_of(features: &Tensor, image: (usize, usize)) -> i32 {
    let height = features.shape().get(2).copied().unwrap_or(0);
    -(height as f64 / image.0 as f64).log2().round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_regions_are_read_from_coarse_maps() {
        let map = |side: usize, value: f64| Tensor::full((1, 2, side, side), value, DType::F32).unwrap();
        let features: Vec<(String, Tensor)> = vec![
            ("0".into(), map(64, 1.0)),
            ("1".into(), map(32, 2.0)),
            ("2".into(), map(16, 3.0)),
        ];
        let boxes = Tensor::new([
            [0.0f32, 0.0, 250.0, 250.0],
            [4.0, 4.0, 20.0, 20.0],
            [0.0, 0.0, 120.0, 120.0],
        ])
        .unwrap();
        let pool = MultiScaleRoIAlign::new(&["0", "1", "2"], [3, 3], Some(2));
        let read = pool.forward(&features, &[boxes], &[(256, 256)]).unwrap();
        assert_eq!(read.shape(), [3, 2, 3, 3]);
        assert_eq!(
            read.i((0.., 0, 1, 1)).unwrap().to_vec::<f32>().unwrap(),
            [3.0, 1.0, 2.0]
        );
        let none = pool.forward(&[], &[], &[(256, 256)]).unwrap_err().to_string();
        assert!(none.contains("none of"), "{none}");
    }
}
