//! Small classifiers of texts, to be trained from scratch: recurrent, convolutional and Transformer ones.

mod conv;
mod pretrained;
mod recurrent;
mod transformer;

pub use conv::{TextCNN, TextCNNOptions};
pub use pretrained::{Description, Prediction, TextClassifier};
pub use recurrent::{GRUClassifier, LSTMClassifier, RNNClassifier, RecurrentOptions};
pub use transformer::{TransformerClassifier, TransformerOptions};

use flambeau_tensor::{Result, Tensor, bail, ensure};

/// Batch and time of `[batch, time]` ids.
fn batch_and_time(model: &str, text: &Tensor) -> Result<(usize, usize)> {
    let &[batch, time] = text.shape() else {
        bail!(
            Shape,
            "{model}: expected text [batch, time], got {:?}",
            text.shape()
        )
    };
    ensure!(
        text.dtype().is_integer(),
        DType,
        "{model}: expected ids of tokens, got {}",
        text.dtype()
    );
    ensure!(
        batch > 0 && time > 0,
        Shape,
        "{model}: expected at least one token, got {:?}",
        text.shape()
    );
    Ok((batch, time))
}
