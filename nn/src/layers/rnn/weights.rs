//! The parameters of recurrent layers and cells.

use flambeau_tensor::ops::rnn::{RnnKind, RnnParameters};
use flambeau_tensor::{DType, Result, Tensor};

use crate::{Member, Parameter, Visitor, VisitorMut, init};

/// The parameters of one layer in one direction, or of a cell; gates lie one after the other in PyTorch's order.
#[derive(Clone, Debug)]
pub struct RnnWeights {
    /// `[gates·hidden, input]`.
    pub weight_ih: Parameter,
    /// `[gates·hidden, hidden]`, or `[gates·hidden, projection]`.
    pub weight_hh: Parameter,
    /// `[gates·hidden]`.
    pub bias_ih: Option<Parameter>,
    /// `[gates·hidden]`; the sum of both biases is what counts, except in a GRU.
    pub bias_hh: Option<Parameter>,
    /// `[projection, hidden]`, of an LSTM with a projection.
    pub weight_hr: Option<Parameter>,
}

impl RnnWeights {
    /// Parameters uniform in `±1/√hidden`, drawn in the order of their names.
    pub(super) fn new(
        kind: RnnKind,
        input: usize,
        hidden: usize,
        projection: Option<usize>,
        bias: bool,
    ) -> Result<RnnWeights> {
        let bound = 1.0 / (hidden as f64).sqrt();
        let uniform = |shape: &[usize]| {
            let tensor = Tensor::zeros(shape, DType::F32)?;
            init::uniform_(&tensor, -bound, bound)?;
            Parameter::new(tensor)
        };
        let width = kind.gates() * hidden;
        Ok(RnnWeights {
            weight_ih: uniform(&[width, input])?,
            weight_hh: uniform(&[width, projection.unwrap_or(hidden)])?,
            bias_ih: bias.then(|| uniform(&[width])).transpose()?,
            bias_hh: bias.then(|| uniform(&[width])).transpose()?,
            weight_hr: projection.map(|size| uniform(&[size, hidden])).transpose()?,
        })
    }

    /// Of one step.
    pub(super) fn multiplications(&self) -> u64 {
        let matrices = [
            Some(&self.weight_ih),
            Some(&self.weight_hh),
            self.weight_hr.as_ref(),
        ];
        matrices
            .into_iter()
            .flatten()
            .map(|matrix| matrix.numel() as u64)
            .sum()
    }

    /// As the tensor's operations take them.
    pub(super) fn parameters(&self) -> RnnParameters<'_> {
        RnnParameters {
            w_ih: &self.weight_ih,
            w_hh: &self.weight_hh,
            b_ih: self.bias_ih.as_deref(),
            b_hh: self.bias_hh.as_deref(),
        }
    }

    pub(super) fn visit_with_suffix<'a>(&'a self, suffix: &str, visitor: &mut dyn Visitor<'a>) {
        let biases = [&self.bias_ih, &self.bias_hh, &self.weight_hr].map(Option::as_ref);
        let members = [Some(&self.weight_ih), Some(&self.weight_hh)]
            .into_iter()
            .chain(biases);
        for (name, parameter) in NAMES.iter().zip(members) {
            if let Some(parameter) = parameter {
                visitor.parameter(&format!("{name}{suffix}"), parameter)
            }
        }
    }

    pub(super) fn visit_mut_with_suffix(&mut self, suffix: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        let biases = [&mut self.bias_ih, &mut self.bias_hh, &mut self.weight_hr].map(Option::as_mut);
        let members = [Some(&mut self.weight_ih), Some(&mut self.weight_hh)]
            .into_iter()
            .chain(biases);
        for (name, parameter) in NAMES.iter().zip(members) {
            if let Some(parameter) = parameter {
                visitor.parameter(&format!("{name}{suffix}"), parameter)?;
            }
        }
        Ok(())
    }
}

/// PyTorch's names of a layer's parameters, in its order.
const NAMES: [&str; 5] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"];

/// As members of a cell they stand under their own names, whatever the field is called.
impl Member for RnnWeights {
    fn visit<'a>(&'a self, _: &str, visitor: &mut dyn Visitor<'a>) {
        self.visit_with_suffix("", visitor)
    }

    fn visit_mut(&mut self, _: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        self.visit_mut_with_suffix("", visitor)
    }
}
