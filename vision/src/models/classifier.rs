//! What all models that classify images can do, and the options that builders take.

use flambeau_nn::Forward;
use flambeau_tensor::{Result, Tensor, bail, ensure};

/// Who sees the output of the module of a name.
type Watcher<'a> = dyn FnMut(&str, &Tensor) + 'a;

/// Whom a model shows its intermediate outputs to, under the names of the modules that they come from.
pub struct Tap<'a>(Option<Box<Watcher<'a>>>);

impl<'a> Tap<'a> {
    /// Shows every output to `f`.
    pub fn new(f: impl FnMut(&str, &Tensor) + 'a) -> Self {
        Tap(Some(Box::new(f)))
    }

    /// Shows them to nobody, so that stages may be done together.
    pub fn none() -> Self {
        Tap(None)
    }

    /// Whether nobody sees the outputs.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Shows the output of the module of that name.
    pub fn show(&mut self, name: &str, output: &Tensor) {
        if let Some(f) = &mut self.0 {
            f(name, output)
        }
    }
}

/// A model that gives a score for each class.
///
/// # Shapes
/// `[batch, 3, height, width] → [batch, num_classes]`.
pub trait Classifier: Forward {
    /// What the head reads, computed while every stage's output is shown to `tap`.
    ///
    /// # Shapes
    /// `[batch, 3, height, width] → [batch, num_features, height', width']`; transformers of tokens give
    /// `[batch, tokens, num_features]`.
    ///
    /// # Errors
    /// `Shape` for other than images that are large enough.
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor>;

    /// Scores from what [`Classifier::forward_features`] gives.
    ///
    /// # Errors
    /// `Shape` for anything else.
    fn forward_head(&self, features: &Tensor) -> Result<Tensor>;

    /// What the head reads.
    ///
    /// # Errors
    /// As [`Classifier::forward_tapped`].
    fn forward_features(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_tapped(x, &mut Tap::none())
    }

    /// The scores and, in training, those of the auxiliary heads, which GoogLeNet and Inception v3 have.
    ///
    /// # Errors
    /// As [`Classifier::forward_tapped`].
    fn forward_outputs(&self, x: &Tensor) -> Result<Outputs> {
        Ok(Outputs {
            logits: self.forward(x)?,
            auxiliary: Vec::new(),
        })
    }

    /// How many features the head reads.
    fn num_features(&self) -> usize;

    /// How many classes there are.
    fn num_classes(&self) -> usize;

    /// Puts a new last layer for so many classes in the place of the old one, and likewise in auxiliary heads: transfer
    /// learning. It is in `float32` and on its own: convert the model and make optimisers afterwards.
    ///
    /// # Errors
    /// `Shape` if the layer is larger than memory can address.
    fn reset_classifier(&mut self, num_classes: usize) -> Result<()>;
}

/// What a model with auxiliary heads gives in training.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The scores, `[batch, num_classes]`.
    pub logits: Tensor,
    /// The auxiliary heads' scores, `[batch, num_classes]`, the one closest to the scores first.
    pub auxiliary: Vec<Tensor>,
}

/// The outputs of the stages of these names, in this order (torchvision's `create_feature_extractor`).
///
/// # Errors
/// `Key` with the names that there are if one is not among them; otherwise as [`Classifier::forward_tapped`].
pub fn intermediate(model: &dyn Classifier, x: &Tensor, names: &[&str]) -> Result<Vec<Tensor>> {
    let (mut found, mut known) = (vec![None; names.len()], Vec::new());
    let mut tap = Tap::new(|name, output| {
        known.push(name.to_string());
        for (place, _) in found.iter_mut().zip(names).filter(|(_, wanted)| **wanted == name) {
            *place = Some(output.clone());
        }
    });
    model.forward_tapped(x, &mut tap)?;
    drop(tap);
    let mut outputs = Vec::with_capacity(names.len());
    for (output, name) in found.into_iter().zip(names) {
        match output {
            Some(output) => outputs.push(output),
            None => bail!(
                Key,
                "{}: no stage is called {name}; there are {}",
                model.name(),
                known.join(", ")
            ),
        }
    }
    Ok(outputs)
}

/// What every builder takes. An option that a model has no use for is an error, so that none is ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How many classes there are.
    pub num_classes: usize,
    /// Probability of dropout before the head (in DenseNets: after each layer); torchvision's default for the model
    /// unless given.
    pub dropout: Option<f64>,
    /// Probability with which the last residual branch is dropped in training; it grows linearly with depth.
    pub stochastic_depth_prob: Option<f64>,
    /// Height and width of images, which vision transformers fix; 224 unless given.
    pub image_size: Option<usize>,
    /// Whether there are auxiliary heads, which GoogLeNet and Inception v3 have unless told otherwise.
    pub aux_logits: Option<bool>,
    /// Whether images that are normalised for torchvision's models are renormalised for weights that came from
    /// TensorFlow: GoogLeNet and Inception v3 with published weights need it.
    pub transform_input: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            num_classes: 1000,
            dropout: None,
            stochastic_depth_prob: None,
            image_size: None,
            aux_logits: None,
            transform_input: None,
        }
    }
}

impl Options {
    /// Refuses options other than the number of classes and those in `known`.
    pub(crate) fn only(&self, model: &str, known: &[&str]) -> Result<()> {
        let given = [
            ("dropout", self.dropout.is_some()),
            ("stochastic_depth_prob", self.stochastic_depth_prob.is_some()),
            ("image_size", self.image_size.is_some()),
            ("aux_logits", self.aux_logits.is_some()),
            ("transform_input", self.transform_input.is_some()),
        ];
        for (name, is_given) in given {
            ensure!(
                !is_given || known.contains(&name),
                Value,
                "{model} has no option {name}"
            );
        }
        Ok(())
    }
}
