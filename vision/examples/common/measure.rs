//! How far a training has come, and how good a classifier is.

use anyhow::Result;
use flambeau_autograd::no_grad;
use flambeau_data::{DataLoader, LoaderState};
use flambeau_tensor::Tensor;
use flambeau_tensor::ops::loss::{CrossEntropyOptions, cross_entropy};
use flambeau_vision::metrics::top_k_correct;
use flambeau_vision::models::Classifier;
use serde::{Deserialize, Serialize};

/// Hands out images `[batch, 3, height, width]` and classes `[batch]`.
pub(crate) type Loader = DataLoader<(Tensor, Tensor)>;

/// How far a run has come.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epochs that are done.
    pub(crate) epoch: usize,
    /// Where the loader stands in the epoch that was begun.
    pub(crate) loader: Option<LoaderState>,
    /// What was measured in that epoch so far.
    pub(crate) train: Sums,
    /// The time that it has taken so far.
    pub(crate) epoch_seconds: f64,
    /// The time that the training of whole epochs took.
    pub(crate) seconds: f64,
}

/// Sums over images.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) images: usize,
    loss: f64,
    right: f64,
}

impl Sums {
    /// Adds a batch with this mean loss and number of right answers.
    pub(crate) fn add(&mut self, loss: f64, right: Option<f64>, images: usize) {
        self.images += images;
        self.loss += loss * images as f64;
        self.right += right.unwrap_or(0.0);
    }

    /// The mean loss.
    pub(crate) fn loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// The part of the images that were classified correctly.
    pub(crate) fn accuracy(&self) -> f64 {
        self.right / self.images as f64
    }
}

/// The loss and the number of right answers on images that are not trained on.
pub(crate) fn evaluate(model: &dyn Classifier, loader: &Loader) -> Result<Sums> {
    model.eval();
    let mut sums = Sums::default();
    no_grad(|| {
        for batch in loader {
            let (x, y) = batch?;
            let logits = model.forward(&x)?;
            let loss = cross_entropy(&logits, &y, &CrossEntropyOptions::default())?.item_f64()?;
            let right = top_k_correct(&logits, &y, 1)?;
            sums.add(loss, Some(right as f64), y.numel());
        }
        anyhow::Ok(())
    })?;
    Ok(sums)
}
