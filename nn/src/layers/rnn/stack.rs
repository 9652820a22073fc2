//! What recurrent layers have in common: running sequences, padded or packed, through several layers in one or both
//! directions.

use flambeau_tensor::ops::dropout::dropout;
use flambeau_tensor::ops::linear::linear;
use flambeau_tensor::ops::rnn::{RnnKind, RnnOutput, RnnParameters, padded_state, rnn_both};
use flambeau_tensor::{DType, Result, Tensor, amp, ensure};

use super::{RnnOptions, RnnWeights};
use crate::layers::text;
use crate::utils::rnn::PackedSequence;
use crate::{Member, Mode, Visitor, VisitorMut};

/// What the three layers have in common: the weights of every layer and direction, and running through them.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    op: &'static str,
    kind: RnnKind,
    input_size: usize,
    hidden_size: usize,
    projection: Option<usize>,
    pub(super) options: RnnOptions,
    /// Of each layer in order, both directions' of each if there are two.
    weights: Vec<RnnWeights>,
    mode: Mode,
}

impl Stack {
    pub(super) fn new(
        op: &'static str,
        kind: RnnKind,
        input_size: usize,
        hidden_size: usize,
        projection: Option<usize>,
        options: RnnOptions,
    ) -> Result<Stack> {
        for (what, size) in [
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", options.num_layers),
        ] {
            ensure!(size > 0, Value, "{op}: expected a positive {what}, got 0");
        }
        ensure!(
            (0.0..=1.0).contains(&options.dropout),
            Value,
            "{op}: expected a dropout probability between 0 and 1, got {}",
            options.dropout
        );
        ensure!(
            projection.is_none_or(|size| size > 0 && size < hidden_size),
            Value,
            "{op}: expected a proj_size from 1 to below hidden_size {hidden_size}, got {projection:?}"
        );
        let directions = 1 + usize::from(options.bidirectional);
        let above = directions * projection.unwrap_or(hidden_size);
        let mut weights = Vec::new();
        for i in 0..options.num_layers * directions {
            let input = if i < directions { input_size } else { above };
            weights.push(RnnWeights::new(
                kind,
                input,
                hidden_size,
                projection,
                options.bias,
            )?);
        }
        Ok(Stack {
            op,
            kind,
            input_size,
            hidden_size,
            projection,
            options,
            weights,
            mode: Mode::default(),
        })
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.options.bidirectional)
    }

    /// What a layer's and direction's parameters have after their names.
    fn suffix(&self, i: usize) -> String {
        let reverse = if i % self.directions() == 1 {
            "_reverse"
        } else {
            ""
        };
        format!("_l{}{reverse}", i / self.directions())
    }

    pub(super) fn weights(&self, layer: usize, reverse: bool) -> Option<&RnnWeights> {
        let direction = usize::from(reverse);
        if direction >= self.directions() {
            return None;
        }
        self.weights.get(layer * self.directions() + direction)
    }

    /// Of one step of one sequence, through all layers.
    pub(super) fn multiplications(&self) -> u64 {
        self.weights.iter().map(RnnWeights::multiplications).sum()
    }

    pub(super) fn describe(&self) -> String {
        let RnnOptions {
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
        } = self.options;
        let mut out = format!("{}, {}", self.input_size, self.hidden_size);
        if let Some(size) = self.projection {
            out += &format!(", proj_size={size}");
        }
        if num_layers != 1 {
            out += &format!(", num_layers={num_layers}");
        }
        if !bias {
            out += ", bias=False";
        }
        if batch_first {
            out += ", batch_first=True";
        }
        if dropout != 0.0 {
            out += &format!(", dropout={}", text::float(dropout));
        }
        if bidirectional {
            out += ", bidirectional=True";
        }
        out
    }

    /// Whether the input's features and type are those of the weights.
    fn check(&self, x: &Tensor) -> Result<()> {
        let (op, dtype) = (self.op, self.weights[0].weight_ih.dtype());
        ensure!(
            x.shape().last() == Some(&self.input_size),
            Shape,
            "{op}: expected inputs of {} features, got {:?}",
            self.input_size,
            x.shape()
        );
        ensure!(
            x.dtype() == dtype || amp::is_autocast_enabled(),
            DType,
            "{op}: expected an input of the parameters' type {dtype}, got {}",
            x.dtype()
        );
        Ok(())
    }

    /// A first state `[layers·directions, batch, size]`: the given one, or zeros.
    fn state(&self, given: Option<&Tensor>, batch: usize, size: usize, dtype: DType) -> Result<Tensor> {
        let shape = [self.weights.len(), batch, size];
        match given {
            None => Tensor::zeros(shape, dtype),
            Some(state) => {
                ensure!(
                    state.shape() == shape,
                    Shape,
                    "{}: expected a state of {shape:?}, got {:?}",
                    self.op,
                    state.shape()
                );
                Ok(state.clone())
            }
        }
    }

    /// First hidden states and cells, the latter for an LSTM alone.
    fn states(
        &self,
        h0: Option<&Tensor>,
        c0: Option<&Tensor>,
        batch: usize,
        dtype: DType,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let h0 = self.state(h0, batch, self.projection.unwrap_or(self.hidden_size), dtype)?;
        let has_cell = self.kind == RnnKind::Lstm;
        let c0 = has_cell.then(|| self.state(c0, batch, self.hidden_size, dtype));
        Ok((h0, c0.transpose()?))
    }

    /// A padded batch, or one sequence without a batch.
    pub(super) fn forward(&self, x: &Tensor, h0: Option<&Tensor>, c0: Option<&Tensor>) -> Result<RnnOutput> {
        let (op, input) = (self.op, self.input_size);
        ensure!(
            (2..=3).contains(&x.rank()),
            Shape,
            "{op}: expected an input [time, batch, {input}] (the batch first if so made) or [time, {input}], got {:?}",
            x.shape()
        );
        self.check(x)?;
        if x.rank() == 2 {
            let batch_dim = if self.options.batch_first { 0 } else { 1 };
            let one = |state: &Tensor| {
                ensure!(
                    state.rank() == 2,
                    Shape,
                    "{op}: expected a state of 2 dimensions for an input without a batch, got {:?}",
                    state.shape()
                );
                state.unsqueeze(1)
            };
            let (h0, c0) = (h0.map(one).transpose()?, c0.map(one).transpose()?);
            let out = self.forward(&x.unsqueeze(batch_dim)?, h0.as_ref(), c0.as_ref())?;
            return Ok(RnnOutput {
                output: out.output.squeeze_dim(batch_dim)?,
                h_n: out.h_n.squeeze_dim(1)?,
                c_n: out.c_n.map(|c| c.squeeze_dim(1)).transpose()?,
            });
        }
        let x = if self.options.batch_first {
            x.transpose(0, 1)?
        } else {
            x.clone()
        };
        let (time, batch) = (x.shape()[0], x.shape()[1]);
        ensure!(
            time > 0 && batch > 0,
            Shape,
            "{op}: expected at least one step and one sequence, got {time} and {batch}"
        );
        let (h0, c0) = self.states(h0, c0, batch, x.dtype())?;
        let (h0, c0) = match self.projection {
            // Not fused in PyTorch either.
            Some(_) => (h0, c0),
            None => (
                padded_state(self.kind, &h0)?,
                c0.map(|c0| padded_state(self.kind, &c0)).transpose()?,
            ),
        };
        let rows = x.reshape((time * batch, input))?;
        let out = self.run(rows, &vec![batch; time], &h0, c0.as_ref())?;
        let output = out.output.reshape((time, batch, out.output.shape()[1]))?;
        Ok(RnnOutput {
            output: if self.options.batch_first {
                output.transpose(0, 1)?
            } else {
                output
            },
            ..out
        })
    }

    /// A packed batch; states are in the order that the sequences had before they were sorted.
    pub(super) fn forward_packed(
        &self,
        x: &PackedSequence,
        h0: Option<&Tensor>,
        c0: Option<&Tensor>,
    ) -> Result<(PackedSequence, Tensor, Option<Tensor>)> {
        ensure!(
            x.data.rank() == 2,
            Shape,
            "{}: expected packed rows of {} features, got {:?}",
            self.op,
            self.input_size,
            x.data.shape()
        );
        self.check(&x.data)?;
        let permuted = |state: &Tensor, order: Option<&Tensor>| match order {
            Some(order) => state.index_select(1, order),
            None => Ok(state.clone()),
        };
        let batch = x.batch_sizes.first().copied().unwrap_or(0);
        let (h0, c0) = self.states(h0, c0, batch, x.data.dtype())?;
        let sorted = x.sorted_indices.as_ref();
        let (h0, c0) = (
            permuted(&h0, sorted)?,
            c0.map(|c| permuted(&c, sorted)).transpose()?,
        );
        let out = self.run(x.data.clone(), &x.batch_sizes, &h0, c0.as_ref())?;
        let unsorted = x.unsorted_indices.as_ref();
        let packed = PackedSequence {
            data: out.output,
            ..x.clone()
        };
        let c_n = out.c_n.map(|c| permuted(&c, unsorted)).transpose()?;
        Ok((packed, permuted(&out.h_n, unsorted)?, c_n))
    }

    /// Rows as of a packed batch through all layers.
    fn run(&self, mut rows: Tensor, steps: &[usize], h0: &Tensor, c0: Option<&Tensor>) -> Result<RnnOutput> {
        let directions = self.directions();
        let states = |all: &Tensor, layer: usize| all.narrow(0, (layer * directions) as isize, directions);
        let (mut h_n, mut c_n) = (Vec::new(), Vec::new());
        for layer in 0..self.options.num_layers {
            let (h, c) = (states(h0, layer)?, c0.map(|c0| states(c0, layer)).transpose()?);
            let weights = &self.weights[layer * directions..][..directions];
            let mut outputs = Vec::new();
            for out in self.layer(&rows, steps, &h, c.as_ref(), weights)? {
                outputs.push(out.output);
                h_n.push(out.h_n);
                c_n.extend(out.c_n);
            }
            rows = match outputs.len() {
                1 => outputs.remove(0),
                _ => Tensor::cat(&outputs, 1)?,
            };
            if layer + 1 < self.options.num_layers {
                rows = dropout(&rows, self.options.dropout, self.mode.is_training())?;
            }
        }
        Ok(RnnOutput {
            output: rows,
            h_n: Tensor::stack(&h_n, 0)?,
            c_n: if c_n.is_empty() {
                None
            } else {
                Some(Tensor::stack(&c_n, 0)?)
            },
        })
    }

    /// One layer in its directions.
    fn layer(
        &self,
        rows: &Tensor,
        steps: &[usize],
        h0: &Tensor,
        c0: Option<&Tensor>,
        weights: &[RnnWeights],
    ) -> Result<Vec<RnnOutput>> {
        let projected = |(i, weights): (usize, &RnnWeights)| match (&weights.weight_hr, c0) {
            (Some(weight_hr), Some(c0)) => {
                let (h, c) = (h0.select(0, i as isize)?, c0.select(0, i as isize)?);
                projected_lstm(rows, steps, &h, &c, weights, weight_hr, i == 1).map(Some)
            }
            _ => Ok(None),
        };
        let outputs: Option<Vec<RnnOutput>> =
            weights.iter().enumerate().map(projected).collect::<Result<_>>()?;
        match outputs {
            Some(outputs) => Ok(outputs),
            None => {
                let parameters: Vec<RnnParameters<'_>> = weights.iter().map(RnnWeights::parameters).collect();
                rnn_both(self.kind, rows, steps, h0, c0, &parameters)
            }
        }
    }
}

/// One layer in one direction of an LSTM whose hidden states are projected, of recorded operations; arguments and
/// results are as those of `rnn_layer`.
fn projected_lstm(
    rows: &Tensor,
    steps: &[usize],
    h0: &Tensor,
    c0: &Tensor,
    weights: &RnnWeights,
    weight_hr: &Tensor,
    reverse: bool,
) -> Result<RnnOutput> {
    let RnnParameters {
        w_ih,
        w_hh,
        b_ih,
        b_hh,
    } = weights.parameters();
    let from_x = linear(rows, w_ih, b_ih)?;
    let mut starts = vec![0];
    steps
        .iter()
        .for_each(|n| starts.push(starts[starts.len() - 1] + n));
    let mut order: Vec<usize> = (0..steps.len()).collect();
    if reverse {
        order.reverse();
    }
    let (mut h, mut c) = (h0.clone(), c0.clone());
    let mut outputs = vec![None; steps.len()];
    for t in order {
        let n = steps[t];
        // Sequences that have ended, or in reverse not begun, keep their states.
        let rest = |state: &Tensor| state.narrow(0, n as isize, state.shape()[0] - n);
        let (old_h, old_c) = (h.narrow(0, 0, n)?, c.narrow(0, 0, n)?);
        let gates = from_x
            .narrow(0, starts[t] as isize, n)?
            .add(&linear(&old_h, w_hh, b_hh)?)?;
        let gates = gates.chunk(4, 1)?;
        let new_c = gates[1].sigmoid()?.mul(&old_c)?;
        let new_c = new_c.add(&gates[0].sigmoid()?.mul(&gates[2].tanh()?)?)?;
        let new_h = linear(&gates[3].sigmoid()?.mul(&new_c.tanh()?)?, weight_hr, None)?;
        outputs[t] = Some(new_h.clone());
        (h, c) = if n == h.shape()[0] {
            (new_h, new_c)
        } else {
            (
                Tensor::cat(&[&new_h, &rest(&h)?], 0)?,
                Tensor::cat(&[&new_c, &rest(&c)?], 0)?,
            )
        };
    }
    let outputs: Vec<Tensor> = outputs.into_iter().flatten().collect();
    Ok(RnnOutput {
        output: Tensor::cat(&outputs, 0)?,
        h_n: h,
        c_n: Some(c),
    })
}

/// Parameters are members under names such as `weight_ih_l0` and `bias_hh_l1_reverse`.
impl Member for Stack {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        self.mode.visit(name, visitor);
        for (i, weights) in self.weights.iter().enumerate() {
            weights.visit_with_suffix(&self.suffix(i), visitor)
        }
    }

    fn visit_mut(&mut self, _: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        for i in 0..self.weights.len() {
            let suffix = self.suffix(i);
            self.weights[i].visit_mut_with_suffix(&suffix, visitor)?;
        }
        Ok(())
    }
}
