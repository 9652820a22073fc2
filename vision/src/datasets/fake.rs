//! Random images with random classes (`torchvision.datasets.FakeData`), to try a program without data.

use flambeau_data::Dataset;
use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, Tensor, ensure};

/// Random images `[channels, height, width]` of `uint8` and random classes. The same index always gives the same sample.
#[derive(Clone, Debug)]
pub struct FakeData {
    /// The number of samples.
    pub size: usize,
    /// `[channels, height, width]`.
    pub image_size: [usize; 3],
    /// The number of classes.
    pub num_classes: usize,
    /// Added to a sample's index, it seeds the sample.
    pub seed: u64,
}

/// torchvision's defaults: 1,000 images `[3, 224, 224]` of 10 classes.
impl Default for FakeData {
    fn default() -> Self {
        FakeData {
            size: 1000,
            image_size: [3, 224, 224],
            num_classes: 10,
            seed: 0,
        }
    }
}

impl Dataset for FakeData {
    type Item = (Tensor, i64);

    fn len(&self) -> usize {
        self.size
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        ensure!(
            index < self.size,
            Index,
            "FakeData: index {index} is out of range for {} images",
            self.size
        );
        ensure!(
            self.num_classes > 0,
            Value,
            "FakeData: num_classes must be positive"
        );
        let mut generator = Generator::new(self.seed.wrapping_add(index as u64));
        let pixels = self.image_size.iter().product::<usize>();
        let bytes: Vec<u8> = (0..pixels).map(|_| generator.next_u32() as u8).collect();
        let class = i64::from(generator.next_u32()) % self.num_classes as i64;
        Ok((Tensor::from_vec(bytes, &self.image_size[..])?, class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_the_same_each_time_and_differ_from_each_other() {
        let data = FakeData {
            size: 20,
            image_size: [3, 4, 5],
            num_classes: 2,
            seed: 1,
        };
        let (image, class) = data.get(3).unwrap();
        assert_eq!(image.shape(), [3, 4, 5]);
        assert_eq!(
            image.to_vec::<u8>().unwrap(),
            data.get(3).unwrap().0.to_vec::<u8>().unwrap()
        );
        assert_ne!(
            image.to_vec::<u8>().unwrap(),
            data.get(4).unwrap().0.to_vec::<u8>().unwrap()
        );
        assert_eq!(class, data.get(3).unwrap().1);
        let classes: Vec<i64> = (0..20).map(|i| data.get(i).unwrap().1).collect();
        assert!(classes.contains(&0) && classes.contains(&1));
        assert!(data.get(20).is_err());
    }
}
