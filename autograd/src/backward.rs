//! What users call: `backward`, `grad`, hooks on gradients.

use std::sync::Arc;

use flambeau_tensor::graph::{Edge, Node};
use flambeau_tensor::{Result, Tensor, bail, ensure};

use crate::engine::{self, Walk};

/// `tensor.backward()` and its kin, for [`Tensor`].
pub trait Backward {
    /// Computes the gradients of this one-element tensor and adds them to [`Tensor::grad`] of the leaves it was computed
    /// from. What the operations saved is freed.
    ///
    /// # Errors
    /// `Autograd` if the tensor is not tracked, has more than one element, or its history was freed by an earlier call.
    fn backward(&self) -> Result<()>;

    /// [`Backward::backward`] for a tensor of any shape, with the gradient of the final result with respect to it, and
    /// with options.
    ///
    /// # Errors
    /// As [`Backward::backward`]; `Shape` if the gradient's shape differs from the tensor's.
    fn backward_with(&self, grad: Option<&Tensor>, options: GradOptions) -> Result<()>;

    /// Calls `hook` with the gradient of this tensor whenever one is computed; a tensor that it returns takes the
    /// gradient's place.
    ///
    /// # Errors
    /// `Autograd` if the tensor is not tracked.
    fn register_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Result<HookHandle>;

    /// Calls `hook` with this leaf after a gradient has been added to its [`Tensor::grad`].
    ///
    /// # Errors
    /// `Autograd` if the tensor is not a leaf that requires a gradient.
    fn register_post_accumulate_grad_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<()> + Send + Sync + 'static,
    ) -> Result<HookHandle>;
}

/// Options of [`grad`] and [`Backward::backward_with`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradOptions {
    /// Keep what operations saved, so that the graph can be gone through again.
    pub retain_graph: bool,
    /// Record the computation of the gradients, so that they can be differentiated. Implies `retain_graph`.
    pub create_graph: bool,
    /// In [`grad`]: give `None` for an input that the outputs don't depend on, instead of an error.
    pub allow_unused: bool,
}

impl GradOptions {
    fn walk(self) -> Walk {
        Walk {
            retain_graph: self.retain_graph || self.create_graph,
            create_graph: self.create_graph,
        }
    }
}

/// A registered hook; [`HookHandle::remove`] takes it away.
#[derive(Debug)]
pub struct HookHandle {
    node: Arc<Node>,
    id: u64,
}

impl HookHandle {
    /// Removes the hook.
    pub fn remove(self) {
        self.node.remove_hook(self.id)
    }
}

impl Backward for Tensor {
    fn backward(&self) -> Result<()> {
        self.backward_with(None, GradOptions::default())
    }

    fn backward_with(&self, grad: Option<&Tensor>, options: GradOptions) -> Result<()> {
        engine::accumulate_in_leaves(vec![root("backward", self, grad)?], options.walk())
    }

    fn register_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        let Some(edge) = self.edge() else {
            bail!(Autograd, "register_hook: the tensor is not tracked")
        };
        let id = edge.node.add_hook(edge.slot, Arc::new(hook));
        Ok(HookHandle { node: edge.node, id })
    }

    fn register_post_accumulate_grad_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<()> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        match self.edge() {
            Some(edge) if edge.node.is_leaf() => {
                let id = edge.node.add_accumulation_hook(Arc::new(hook));
                Ok(HookHandle { node: edge.node, id })
            }
            _ => bail!(
                Autograd,
                "register_post_accumulate_grad_hook: expected a leaf that requires a gradient"
            ),
        }
    }
}

/// The gradients of `outputs` with respect to `inputs`, without touching [`Tensor::grad`] (`torch.autograd.grad`).
/// `grad_outputs` are the gradients of the final result with respect to the outputs; `None` stands for 1 and is allowed
/// for one-element outputs only. An empty slice stands for `None` throughout.
///
/// # Errors
/// `Autograd` if an output or input is not tracked, if an input is not used (unless `allow_unused`), or if the history
/// was freed; `Shape` if a gradient does not fit its output.
pub fn grad(
    outputs: &[&Tensor],
    inputs: &[&Tensor],
    grad_outputs: &[Option<&Tensor>],
    options: GradOptions,
) -> Result<Vec<Option<Tensor>>> {
    let counts_fit = grad_outputs.is_empty() || grad_outputs.len() == outputs.len();
    ensure!(
        counts_fit,
        Autograd,
        "grad: {} gradients for {} outputs",
        grad_outputs.len(),
        outputs.len()
    );
    let given = grad_outputs.iter().copied().chain(std::iter::repeat(None));
    let roots = outputs
        .iter()
        .zip(given)
        .map(|(o, g)| root("grad", o, g))
        .collect::<Result<_>>()?;
    let targets: Vec<Option<Edge>> = inputs.iter().map(|input| input.edge()).collect();
    if let Some(i) = targets.iter().position(Option::is_none) {
        let shape = inputs[i].shape();
        bail!(
            Autograd,
            "grad: input {i} of shape {shape:?} does not require a gradient"
        );
    }
    let grads = engine::gradients_of(roots, &targets, options.walk())?;
    if let (false, Some(i)) = (options.allow_unused, grads.iter().position(Option::is_none)) {
        bail!(
            Autograd,
            "grad: the outputs do not depend on input {i} of shape {:?}; pass allow_unused to get None for it",
            inputs[i].shape()
        );
    }
    Ok(grads)
}

/// Where the walk begins: the output's edge and the gradient that enters there.
fn root(op: &str, output: &Tensor, grad: Option<&Tensor>) -> Result<(Edge, Tensor)> {
    let Some(edge) = output.edge() else {
        bail!(
            Autograd,
            "{op}: the output of shape {:?} is not tracked: nothing it was computed from requires a gradient",
            output.shape()
        )
    };
    let shape = output.shape();
    let grad = match grad {
        Some(grad) => {
            ensure!(
                grad.shape() == shape,
                Shape,
                "{op}: gradient {:?} for an output {shape:?}",
                grad.shape()
            );
            grad.to_dtype(output.dtype())?
        }
        None => {
            ensure!(
                output.numel() == 1,
                Autograd,
                "{op}: an output of shape {shape:?} needs a gradient given for it"
            );
            output.ones_like()?
        }
    };
    Ok((edge, grad))
}
