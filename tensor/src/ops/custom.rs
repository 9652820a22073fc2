//! Operations whose gradient rule the user writes (`torch.autograd.Function`).

use std::sync::Arc;

use crate::graph::{Edge, History, Op, Saved, record_many};
use crate::value::Value;
use crate::{Result, Tensor, no_grad};

/// A differentiable function with a gradient rule of its own.
///
/// `forward` runs without recording. `backward` gets the gradients of the outputs (`None` where none arrived) and returns
/// one for each input (`None` where there is none); written with tensor operations it can be differentiated again.
pub trait Function: Send + Sync + 'static {
    /// The name in errors and printed graphs.
    fn name(&self) -> &'static str;

    /// Computes the outputs.
    ///
    /// # Errors
    /// Those of the operations used.
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>>;

    /// Computes the gradients of the inputs from those of the outputs.
    ///
    /// # Errors
    /// Those of the operations used.
    fn backward(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>>;
}

/// What a recorded [`Function`] keeps.
#[derive(Clone)]
pub struct CustomOp {
    /// The function.
    pub function: Arc<dyn Function>,
    /// Its inputs.
    pub inputs: Vec<Saved>,
    /// Its outputs.
    pub outputs: Vec<Saved>,
}

impl std::fmt::Debug for CustomOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomOp({})", self.function.name())
    }
}

/// Applies a function to tensors and records it (`Function.apply`).
///
/// # Errors
/// Those of the function's `forward`.
pub fn apply(function: Arc<dyn Function>, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let saved: Vec<Saved> = inputs.iter().map(|t| t.read()).collect();
    let plain: Vec<Tensor> = saved
        .iter()
        .map(|s| Tensor::from_value(s.value.clone()))
        .collect();
    let outputs = no_grad(|| function.forward(&plain))?;
    let values: Vec<Value> = outputs.iter().map(Tensor::value).collect();
    let edges: Vec<&Saved> = saved.iter().collect();
    Ok(record_many(values, &edges, |values| {
        let outputs = values.iter().enumerate().map(|(slot, value)| {
            if value.dtype.is_float() {
                Saved::output(value, slot)
            } else {
                Saved {
                    value: value.clone(),
                    history: History::None,
                }
            }
        });
        Op::Custom(CustomOp {
            function: function.clone(),
            inputs: saved.clone(),
            outputs: outputs.collect(),
        })
    }))
}

/// Records `values` as outputs of a function whose inputs are the given edges; its `backward` gets no input tensors.
pub fn record_on_edges(function: Arc<dyn Function>, values: Vec<Value>, edges: &[Edge]) -> Vec<Tensor> {
    let inputs: Vec<Saved> = edges.iter().map(|edge| Saved::edge_only(edge.clone())).collect();
    record_many(values, &inputs.iter().collect::<Vec<_>>(), |_| {
        Op::Custom(CustomOp {
            function: function.clone(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        })
    })
}
