//! Activation checkpointing (`torch.utils.checkpoint`): forget what a part of the computation saved and compute it again
//! when its gradient is wanted.
//!
//! Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

use std::collections::BTreeMap;
use std::sync::Arc;

use flambeau_tensor::graph::{Edge, next_id};
use flambeau_tensor::ops::custom::{Function, record_on_edges};
use flambeau_tensor::random::{self, GeneratorState};
use flambeau_tensor::{DType, Result, Tensor, amp, enable_grad, is_grad_enabled, no_grad};

use crate::engine::{self, Walk};

/// Runs `f`, keeping only its results; its gradient runs `f` again. Everything that `f` captures gets its gradient:
/// parameters, inputs, results of earlier operations.
///
/// `f` must compute the same each time. It gets the same random numbers, from a default generator in the state that the
/// thread's was in, and runs in the same region of [`amp::autocast`].
///
/// # Errors
/// The errors of `f`.
pub fn checkpoint(f: impl Fn() -> Result<Vec<Tensor>> + Send + Sync + 'static) -> Result<Vec<Tensor>> {
    if !is_grad_enabled() {
        return f();
    }
    let start = next_id();
    let random_state = random::state();
    let outputs = f()?;
    let boundary = boundary(&outputs, start);
    let values = outputs.iter().map(Tensor::value).collect();
    drop(outputs);
    let function = Recompute {
        f: Box::new(f),
        random_state,
        region: amp::get_autocast_dtype(),
        boundary: boundary.clone(),
    };
    Ok(record_on_edges(Arc::new(function), values, &boundary))
}

/// The edges by which `outputs` depend on what was recorded before `start`.
fn boundary(outputs: &[Tensor], start: u64) -> Vec<Edge> {
    let mut found: BTreeMap<(u64, usize), Edge> = BTreeMap::new();
    let mut visited = std::collections::HashSet::new();
    let mut stack: Vec<Edge> = outputs.iter().filter_map(Tensor::edge).collect();
    while let Some(edge) = stack.pop() {
        let id = edge.node.id();
        if id < start {
            found.insert((id, edge.slot), edge);
        } else if visited.insert(id) {
            stack.extend(edge.node.inputs().iter().flatten().cloned());
        }
    }
    found.into_values().collect()
}

type Recomputed = dyn Fn() -> Result<Vec<Tensor>> + Send + Sync;

struct Recompute {
    f: Box<Recomputed>,
    /// The default generator's state before `f` ran.
    random_state: GeneratorState,
    /// The region of mixed precision in which `f` ran.
    region: Option<DType>,
    boundary: Vec<Edge>,
}

impl Recompute {
    /// Runs `f` again with the random numbers and in the precision it had. In a fork, so that neither draws of other
    /// threads get between nor these change what is drawn afterwards.
    fn replay(&self) -> Result<Vec<Tensor>> {
        random::fork(0, || {
            random::set_state(self.random_state.clone())?;
            amp::autocast(self.region, || (self.f)())
        })
    }
}

impl Function for Recompute {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn forward(&self, _: &[Tensor]) -> Result<Vec<Tensor>> {
        no_grad(|| self.replay())
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let create_graph = is_grad_enabled();
        let outputs = enable_grad(|| self.replay())?;
        let roots = outputs
            .iter()
            .zip(grads)
            .filter_map(|(output, grad)| Some((output.edge()?, grad.clone()?)))
            .collect();
        let targets: Vec<Option<Edge>> = self.boundary.iter().cloned().map(Some).collect();
        engine::gradients_of(
            roots,
            &targets,
            Walk {
                retain_graph: create_graph,
                create_graph,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::ops::dropout::dropout;

    use super::*;
    use crate::{Backward, GradOptions, grad};

    #[test]
    fn captured_parameters_and_earlier_results_get_their_gradients() {
        let w = Tensor::new([2.0f64, 3.0]).unwrap().requires_grad(true).unwrap();
        let x = Tensor::new([1.0f64, -1.0]).unwrap().requires_grad(true).unwrap();
        let plain = || -> Result<Tensor> { w.mul(&x.exp()?)?.tanh()?.sum() };
        plain().unwrap().backward().unwrap();
        let (gw, gx) = (w.take_grad().unwrap(), x.take_grad().unwrap());
        let h = x.exp().unwrap();
        let (w2, h2) = (w.clone(), h.clone());
        let y = checkpoint(move || Ok(vec![w2.mul(&h2)?.tanh()?]))
            .unwrap()
            .remove(0);
        y.sum().unwrap().backward().unwrap();
        assert_eq!(
            w.grad().unwrap().to_vec::<f64>().unwrap(),
            gw.to_vec::<f64>().unwrap()
        );
        assert_eq!(
            x.grad().unwrap().to_vec::<f64>().unwrap(),
            gx.to_vec::<f64>().unwrap()
        );
    }

    #[test]
    fn the_same_elements_are_dropped_again() {
        let x = Tensor::ones(1000, flambeau_tensor::DType::F32)
            .unwrap()
            .requires_grad(true)
            .unwrap();
        let captured = x.clone();
        // In a fork: tests that run at the same time draw, too.
        random::fork(0, || {
            let dropped = move || Ok(vec![dropout(&captured, 0.5, true)?]);
            let y = checkpoint(dropped).unwrap().remove(0);
            let before = random::state();
            y.sum().unwrap().backward().unwrap();
            assert_eq!(
                x.grad().unwrap().to_vec::<f32>().unwrap(),
                y.to_vec::<f32>().unwrap()
            );
            assert_eq!(random::state(), before, "what is drawn afterwards is the same");
        });
    }

    #[test]
    fn a_checkpointed_gradient_can_be_differentiated() {
        let x = Tensor::new(0.5f64).unwrap().requires_grad(true).unwrap();
        let captured = x.clone();
        let y = checkpoint(move || Ok(vec![captured.mul(&captured)?.mul(&captured)?]))
            .unwrap()
            .remove(0);
        let options = GradOptions {
            create_graph: true,
            ..GradOptions::default()
        };
        let first = grad(&[&y], &[&x], &[], options).unwrap().remove(0).unwrap();
        let second = grad(&[&first], &[&x], &[], GradOptions::default())
            .unwrap()
            .remove(0)
            .unwrap();
        assert_eq!(second.item::<f64>().unwrap(), 3.0);
    }
}
