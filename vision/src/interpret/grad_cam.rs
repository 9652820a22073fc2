//! Grad-CAM: "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (Selvaraju et al., 2017,
//! arXiv:1610.02391).
//!
//! With the score `y` of a class and the maps `A_k` of a stage with `n` places, `α_k = 1/n ∑ ∂y/∂A_k` says how much the
//! class depends on a map, and `relu(∑_k α_k A_k)` where.

use flambeau_autograd::{GradOptions, grad};
use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::{Result, Tensor, bail, enable_grad, ensure, no_grad};

use crate::models::{Classifier, Tap};

/// Options of [`grad_cam`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GradCamOptions<'a> {
    /// The class to look for; the one with the highest score unless given.
    pub class: Option<usize>,
    /// The stage whose maps are weighted, by the name that [`Classifier::forward_tapped`] shows it under. Unless given,
    /// what the head reads; of a transformer, whose head reads one token, what the last layer reads.
    pub stage: Option<&'a str>,
}

/// Where on images a model sees a class: 1 at the most important place of each image, 0 where nothing speaks for the
/// class. The model should be in evaluation mode.
///
/// # Shapes
/// `[batch, 3, height, width] → [batch, height, width]`.
///
/// # Errors
/// As [`Classifier::forward_tapped`]; `Value` for a class that there is not; `Key` for a stage that there is not; `Shape`
/// if the stage's output is neither maps nor tokens.
pub fn grad_cam(model: &dyn Classifier, images: &Tensor, options: GradCamOptions<'_>) -> Result<Tensor> {
    let op = "grad_cam";
    let &[batch, _, height, width] = images.shape() else {
        bail!(
            Shape,
            "{op}: expected images [batch, 3, height, width], got {:?}",
            images.shape()
        )
    };
    let (score, maps) = enable_grad(|| {
        // Tracked even if the model is frozen.
        let images = images.detach().requires_grad(true)?;
        let mut stages = Vec::new();
        let mut tap = Tap::new(|name, output| stages.push((name.to_string(), output.clone())));
        let features = model.forward_tapped(&images, &mut tap)?;
        drop(tap);
        let scores = model.forward_head(&features)?;
        let score = chosen(op, &scores, options.class)?;
        Ok::<_, flambeau_tensor::Error>((score, find_stage(op, features, &stages, options.stage)?))
    })?;
    let slopes = grad(&[&score], &[&maps], &[], GradOptions::default())?;
    let Some(Some(slopes)) = slopes.first() else {
        bail!(Autograd, "{op}: the score does not depend on the stage")
    };
    no_grad(|| {
        let (maps, slopes) = (as_maps(op, &maps)?, as_maps(op, slopes)?);
        let weights = slopes.mean_dim([2, 3], true)?;
        let heat = maps.mul(&weights)?.sum_dim(1, true)?.relu()?;
        let options = InterpolateOptions {
            mode: InterpolateMode::Bilinear,
            ..InterpolateOptions::default()
        };
        let heat = interpolate(&heat, InterpolateSize::Size(&[height, width]), &options)?;
        let heat = heat.reshape([batch, height, width])?;
        let highest = heat.amax([1, 2], true)?;
        // Where nothing speaks for the class, the map is 0 throughout.
        let divisor = highest.eq(0.0)?.where_cond(&highest.ones_like()?, &highest)?;
        heat.div(&divisor)
    })
}

/// The sum over the batch of the scores of a class, or of the highest scores.
fn chosen(op: &str, scores: &Tensor, class: Option<usize>) -> Result<Tensor> {
    let classes = scores.shape()[1];
    match class {
        Some(class) => {
            ensure!(
                class < classes,
                Value,
                "{op}: class {class}, expected one of {classes} classes"
            );
            scores.select(1, class as isize)?.sum()
        }
        None => scores.amax([1], false)?.sum(),
    }
}

fn find_stage(
    op: &str,
    features: Tensor,
    stages: &[(String, Tensor)],
    wanted: Option<&str>,
) -> Result<Tensor> {
    match (wanted, stages) {
        (None, [.., (_, read_by_last), _, _]) if features.rank() == 3 => Ok(read_by_last.clone()),
        (None, _) => Ok(features),
        (Some(name), _) => match stages.iter().find(|(known, _)| known == name) {
            Some((_, output)) => Ok(output.clone()),
            None => {
                let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
                bail!(
                    Key,
                    "{op}: no stage is called {name}; there are {}",
                    names.join(", ")
                )
            }
        },
    }
}

/// Maps `[batch, channels, height, width]`, of tokens too: a class token and a square of others.
fn as_maps(op: &str, x: &Tensor) -> Result<Tensor> {
    match *x.shape() {
        [_, _, _, _] => Ok(x.clone()),
        [batch, tokens, channels] if tokens > 1 && (tokens - 1).isqrt().pow(2) == tokens - 1 => {
            let side = (tokens - 1).isqrt();
            x.narrow(1, 1, tokens - 1)?
                .permute([0, 2, 1])?
                .reshape([batch, channels, side, side])
        }
        ref shape => bail!(
            Shape,
            "{op}: expected maps [batch, channels, height, width] or tokens [batch, 1 + side², channels], got {shape:?}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{self, Options};
    use flambeau_nn::{Forward, Linear, LinearOptions, Module};
    use flambeau_tensor::DType;

    /// The head is linear in the means of the image's channels.
    #[derive(Module)]
    struct Means {
        fc: Linear,
    }

    impl Forward for Means {
        fn forward(&self, x: &Tensor) -> Result<Tensor> {
            self.forward_head(&self.forward_features(x)?)
        }
    }

    impl Classifier for Means {
        fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
            tap.show("image", x);
            x.mul(1.0)
        }

        fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
            self.fc.forward(&features.mean_dim([2, 3], false)?)
        }

        fn num_features(&self) -> usize {
            3
        }

        fn num_classes(&self) -> usize {
            2
        }

        fn reset_classifier(&mut self, _: usize) -> Result<()> {
            Ok(())
        }
    }

    fn means() -> Means {
        let model = Means {
            fc: Linear::new(3, 2, LinearOptions::default()).unwrap(),
        };
        let weight = Tensor::new([[1.0f32, 2.0, -1.0], [0.0, -1.0, 0.0]]).unwrap();
        no_grad(|| {
            model.fc.weight.copy_(&weight)?;
            model.fc.weight.requires_grad(false)
        })
        .unwrap();
        model
    }

    #[test]
    fn maps_are_weighted_by_what_the_class_makes_of_them() {
        // α is the class's weights over n, so the map is relu(a + 2b - c), divided by its maximum, which is 8.
        let image = Tensor::new([[
            [[1.0f32, 2.0], [0.0, 0.0]],
            [[0.0, 3.0], [1.0, 0.0]],
            [[5.0, 0.0], [0.0, 0.0]],
        ]])
        .unwrap();
        let model = means();
        let map = |class, stage| {
            let options = GradCamOptions { class, stage };
            grad_cam(&model, &image, options)
                .unwrap()
                .to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(map(Some(0), None), [0.0, 1.0, 0.25, 0.0]);
        assert_eq!(map(Some(0), Some("image")), [0.0, 1.0, 0.25, 0.0]);
        // Class 0 has the higher score.
        assert_eq!(map(None, None), [0.0, 1.0, 0.25, 0.0]);
        // Nothing speaks for class 1.
        assert_eq!(map(Some(1), None), [0.0; 4]);
    }

    #[test]
    fn images_of_a_batch_are_on_their_own() {
        let model = means();
        let images = Tensor::rand((2, 3, 4, 5), DType::F32).unwrap();
        let options = GradCamOptions {
            class: Some(0),
            ..GradCamOptions::default()
        };
        let both = grad_cam(&model, &images, options).unwrap();
        assert_eq!(both.shape(), [2, 4, 5]);
        for i in 0..2 {
            let one = grad_cam(&model, &images.narrow(0, i, 1).unwrap(), options).unwrap();
            assert!(
                both.narrow(0, i, 1)
                    .unwrap()
                    .allclose(&one, 1e-5, 1e-6, false)
                    .unwrap()
            );
        }
    }

    #[test]
    fn what_there_is_not_is_named() {
        let image = Tensor::zeros((1, 3, 4, 4), DType::F32).unwrap();
        let error = |image: &Tensor, class, stage| {
            let options = GradCamOptions { class, stage };
            grad_cam(&means(), image, options).unwrap_err().to_string()
        };
        assert_eq!(
            error(&image, Some(2), None),
            "grad_cam: class 2, expected one of 2 classes"
        );
        assert_eq!(
            error(&image, None, Some("layer9")),
            "grad_cam: no stage is called layer9; there are image"
        );
        assert!(error(&image.squeeze_dim(0).unwrap(), None, None).contains("got [3, 4, 4]"));
    }

    #[test]
    fn networks_of_both_kinds_have_maps() {
        for (name, size) in [("resnet20", 32), ("vit_b_32", 64)] {
            let options = Options {
                num_classes: 3,
                image_size: (size == 64).then_some(size),
                ..Options::default()
            };
            let mut model = models::create(name, options).unwrap();
            // torchvision's transformers begin with a head of zeros.
            model.reset_classifier(3).unwrap();
            model.eval();
            let images = Tensor::rand((1, 3, size, size), DType::F32).unwrap();
            let highest = (0..3).map(|class| {
                let options = GradCamOptions {
                    class: Some(class),
                    ..GradCamOptions::default()
                };
                let map = grad_cam(&*model, &images, options).unwrap();
                assert_eq!(map.shape(), [1, size, size]);
                map.max().unwrap().item::<f32>().unwrap()
            });
            // Every map is empty or reaches 1, and not all are empty.
            let highest: Vec<f32> = highest.collect();
            assert!(
                highest.iter().all(|&x| x == 0.0 || x == 1.0),
                "{name}: {highest:?}"
            );
            assert!(highest.contains(&1.0), "{name}: {highest:?}");
        }
    }
}
