//! Models that classify images (`torchvision.models`), a file a family.
//!
//! Every model has a builder of torchvision's name (`resnet18`), torchvision's keys and its initial weights for the same
//! seed, and an enum of the weights that torchvision published for it. [`create`] finds a builder by its name, [`list`]
//! has them all.
//!
//! ```
//! use flambeau_nn::{Forward, Module};
//! use flambeau_tensor::{DType, Result, Tensor};
//! use flambeau_vision::models::{self, Classifier, Options};
//!
//! # fn main() -> Result<()> {
//! let mut model = models::create("resnet20", Options { num_classes: 10, ..Options::default() })?;
//! model.eval();
//! let images = Tensor::rand((2, 3, 32, 32), DType::F32)?;
//! assert_eq!(model.forward(&images)?.shape(), [2, 10]);
//!
//! // Another task: a new head, and what stands before it.
//! model.reset_classifier(3)?;
//! assert_eq!(model.forward_features(&images)?.shape(), [2, 64, 8, 8]);
//! let stages = models::intermediate(&*model, &images, &["layer1", "layer2"])?;
//! assert_eq!(stages[0].shape(), [2, 16, 32, 32]);
//! # Ok(())
//! # }
//! ```

mod blocks;
mod classifier;
pub mod detection;
#[macro_use]
mod registry;
mod weights;

mod alexnet;
mod convnext;
mod densenet;
mod efficientnet;
mod efficientnet_lite;
mod googlenet;
mod inception;
mod maxvit;
mod mnasnet;
mod mobilenetv2;
mod mobilenetv3;
mod regnet;
mod resnet;
mod resnet_cifar;
mod shufflenetv2;
mod squeezenet;
mod swin_transformer;
mod vgg;
mod vision_transformer;

pub use classifier::{Classifier, Options, Outputs, Tap, intermediate};
pub use registry::{Entry, create, entry, list};
pub use weights::{Accuracy, HubFile, Preset, Weights, imagenet_categories};

pub use alexnet::*;
pub use convnext::*;
pub use densenet::*;
pub use efficientnet::*;
pub use efficientnet_lite::*;
pub use googlenet::*;
pub use inception::*;
pub use maxvit::*;
pub use mnasnet::*;
pub use mobilenetv2::*;
pub use mobilenetv3::*;
pub use regnet::*;
pub use resnet::*;
pub use resnet_cifar::*;
pub use shufflenetv2::*;
pub use squeezenet::*;
pub use swin_transformer::*;
pub use vgg::*;
pub use vision_transformer::*;
