//! A model made ready for inference: [`Prepared`].
//!
//! [`Prepared::new`] runs the model once on an example and watches what it does (as `torch.jit.trace` does). The operations
//! become a plan in which batch norms with fixed statistics are folded into the convolutions before them, a convolution adds its
//! bias, the residual and the activation on its way, weights are packed once for the machine's instruction set, and images
//! stay in a blocked layout ("NCHWc") from one convolution to the next.

mod graph;
mod plan;

use flambeau_tensor::graph::Op;
use flambeau_tensor::trace::{Traced, trace};
use flambeau_tensor::{DType, Result, Tensor, bail, enable_grad, ensure, no_grad};

use crate::module::trained_part;
use crate::{Forward, Module, observed};
use graph::Graph;
use plan::Plan;

/// Numbers by which the second example differs from the first, in turn: it must not be a multiple of it.
const OTHER: [f32; 7] = [0.83, -0.41, 1.27, 0.09, -1.13, 0.57, 1.71];
/// How far results may lie from the module's, as a part of the largest one: what is promised.
const TOLERANCE: f64 = 1e-3;

/// What a module computes, for inference only and faster: see [`Forward::prepare`].
#[derive(Debug, Module)]
#[module(describe)]
pub struct Prepared {
    #[module(skip)]
    plan: Plan,
    name: String,
}

impl Prepared {
    /// See [`Forward::prepare`].
    ///
    /// # Errors
    /// As there.
    pub fn new<M: Forward + ?Sized>(module: &M, example: &Tensor) -> Result<Prepared> {
        let name = module.name();
        ensure!(
            example.dtype() == DType::F32 && example.rank() > 0,
            DType,
            "prepare: expected an example of float32 with a batch in front, got {:?} of {}",
            example.shape(),
            example.dtype()
        );
        if let Some(part) = trained_part(module) {
            bail!(
                Value,
                "prepare: {name} is in training mode ({part} is): call eval() first"
            );
        }
        // With everything tracked no operation takes a way past the record.
        let x = example.detach().requires_grad(true)?;
        let (output, steps) = trace(|| enable_grad(|| module.forward(&x)));
        let output = output?.detach();
        let steps = steps
            .into_iter()
            .filter(|step| !matches!(step.op, Op::Leaf(_)))
            .collect();
        let plan = no_grad(|| Plan::new(Graph::new(&Traced::of(&x), steps, &Traced::of(&output))?))?;
        let prepared = Prepared {
            plan,
            name: name.to_string(),
        };
        // What depends on the example in a way that was not traced shows with another one.
        let factors: Vec<f32> = OTHER.iter().copied().cycle().take(example.numel()).collect();
        let other = example
            .detach()
            .mul(&Tensor::from_vec(factors, example.shape())?)?;
        for x in [&example.detach(), &other] {
            let (want, got) = (no_grad(|| module.forward(x))?, prepared.forward(x)?);
            let largest = want.abs()?.max()?.item::<f32>()?;
            let difference = got.sub(&want)?.abs()?.max()?.item::<f32>()?;
            ensure!(
                f64::from(difference) <= TOLERANCE * f64::from(largest) || !largest.is_finite(),
                Value,
                "prepare: {name} gives something else when it is done again ({difference} from results of up to {largest}): \
                 what it does depends on its input in a way that cannot be traced"
            );
        }
        Ok(prepared)
    }

    /// Convolutions that run by Winograd's algorithm, which rounds more coarsely, and all convolutions.
    pub fn convolutions(&self) -> [usize; 2] {
        self.plan.convolutions()
    }

    fn describe(&self) -> String {
        format!("{}, {} steps", self.name, self.plan.len())
    }
}

impl Forward for Prepared {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        no_grad(|| self.plan.run(x))
    }
}
