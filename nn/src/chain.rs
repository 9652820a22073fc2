//! Layers one after the other, of which the later ones are done while the first writes its outputs.

use flambeau_tensor::ops::conv::ConvTail;
use flambeau_tensor::ops::norm::BatchNormOptions;
use flambeau_tensor::ops::unary::Unary;
use flambeau_tensor::{Result, Tensor, is_grad_enabled};

use crate::module::Forward;
use crate::observe::is_watched;

/// What the layer before a module may do in its place, see [`Forward::as_step`].
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A batch norm by its running statistics.
    Norm(BatchNormOptions<'a>),
    /// An element-wise function.
    Activation(Unary),
}

/// The output of layers one after the other, as [`Sequential`](crate::Sequential) gives it.
///
/// If nobody watches the calls, a norm with fixed statistics and an activation are done while the layer before them writes its
/// outputs, if it can: to the same bits, without another pass. Under [`no_grad`](crate::no_grad) that is a convolution or a linear
/// layer, in training a batch norm.
///
/// # Errors
/// Those of the layers.
pub fn chain<'a, I>(x: &Tensor, layers: I) -> Result<Tensor>
where
    I: IntoIterator<Item = &'a dyn Forward, IntoIter: Clone>,
{
    let mut x = x.clone();
    let mut layers = layers.into_iter().peekable();
    while let Some(layer) = layers.next() {
        let (tail, steps) = match layers.peek() {
            Some(next) if next.as_step(x.rank()).is_some() && may_join(layer) => {
                tail(x.rank(), layers.clone())
            }
            _ => Default::default(),
        };
        let done = match steps {
            0 => None,
            _ => layer.forward_with_tail(&x, &tail)?,
        };
        x = match done {
            Some(done) => {
                layers.nth(steps - 1);
                done
            }
            None => layer.forward(&x)?,
        };
    }
    Ok(x)
}

/// Whether a layer may do what follows in its pass.
fn may_join(layer: &dyn Forward) -> bool {
    !is_watched() && (!is_grad_enabled() || layer.joins_recorded())
}

/// The steps at the beginning of `layers` that one pass takes, for outputs of so many dimensions, and how many they are.
fn tail<'a>(rank: usize, layers: impl Iterator<Item = &'a dyn Forward>) -> (ConvTail<'a>, usize) {
    let mut tail = ConvTail::default();
    for (steps, layer) in layers.enumerate() {
        match layer.as_step(rank) {
            Some(Step::Norm(norm)) if steps == 0 => tail.norm = Some(norm),
            Some(Step::Activation(function)) => {
                tail.activation = Some(function);
                return (tail, steps + 1);
            }
            _ => return (tail, steps),
        }
    }
    let steps = usize::from(tail.norm.is_some());
    (tail, steps)
}

/// `activation(norm(layer(x)) + shortcut())`: the end of a residual block, in one pass where [`chain`] would.
///
/// # Errors
/// Those of the layers and of `shortcut`; `Shape` if the sum's sides do not broadcast.
pub fn chain_onto(
    x: &Tensor,
    [layer, norm, activation]: [&dyn Forward; 3],
    shortcut: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    if let (Some(Step::Norm(norm_step)), Some(Step::Activation(function)), true) = (
        norm.as_step(x.rank()),
        activation.as_step(x.rank()),
        !is_grad_enabled() && !is_watched(),
    ) {
        let residual = shortcut()?;
        let tail = ConvTail {
            norm: Some(norm_step),
            residual: Some(&residual),
            activation: Some(function),
        };
        if let Some(done) = layer.forward_with_tail(x, &tail)? {
            return Ok(done);
        }
        return activation.forward(&norm.forward(&layer.forward(x)?)?.add(&residual)?);
    }
    let out = norm.forward(&layer.forward(x)?)?;
    activation.forward(&out.add(&shortcut()?)?)
}
