//! A traced model as a graph, with batch norms, residuals and activations taken into the convolutions before them.

use std::collections::HashMap;

use flambeau_tensor::graph::Op;
use flambeau_tensor::ops::binary::Binary;
use flambeau_tensor::ops::blocked::{Finish, finish};
use flambeau_tensor::ops::conv::{ConvGeometry, ConvPart};
use flambeau_tensor::ops::norm::{NormKind, NormOp};
use flambeau_tensor::trace::{Place, Step, Traced};
use flambeau_tensor::{Result, Tensor, ensure};

use crate::utils::fusion::{channel_factors, scaled_channels};

/// What a node does.
#[derive(Debug)]
pub(super) enum Kind {
    /// The model's input.
    Input,
    /// A parameter, or anything else that does not depend on the input.
    Constant(Tensor),
    /// `finish(x ∗ weight + bias + residual)` of the first input; the residual is the second one.
    Conv(Box<Conv>),
    /// A factor and a summand for each channel.
    Affine(Tensor, Tensor, Finish),
    /// Anything else.
    Step(Box<Step>),
    /// Taken into another node.
    Gone,
}

#[derive(Debug)]
pub(super) struct Conv {
    pub(super) geometry: ConvGeometry,
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) finish: Finish,
}

/// A value, and what gives it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Vec<usize>,
    /// How often it is taken.
    uses: usize,
}

/// Nodes in an order in which each stands behind what it takes.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) output: usize,
}

impl Graph {
    /// The graph of traced steps that lead from `input` to `output`.
    pub(super) fn new(input: &Traced, steps: Vec<Step>, output: &Traced) -> Result<Graph> {
        let mut graph = Graph {
            nodes: Vec::new(),
            output: 0,
        };
        let mut places: HashMap<Place, usize> = HashMap::new();
        places.insert(input.place(), graph.push(Kind::Input, Vec::new(), input.shape()));
        let mut depends = vec![true];
        for step in steps {
            if !step
                .inputs
                .iter()
                .any(|i| places.get(&i.place()).is_some_and(|&n| depends[n]))
            {
                continue;
            }
            let mut inputs = Vec::with_capacity(step.inputs.len());
            for value in &step.inputs {
                let node = *places.entry(value.place()).or_insert_with(|| {
                    depends.push(false);
                    graph.push(Kind::Constant(value.tensor()), Vec::new(), value.shape())
                });
                inputs.push(node);
            }
            // An operation that gives its input back, such as a reshape to the same shape.
            if step.outputs.len() == 1 && step.outputs[0].place() == step.inputs[0].place() {
                continue;
            }
            let outputs = step.outputs.clone();
            let shape = outputs.first().map_or(&[][..], Traced::shape);
            depends.push(true);
            let node = graph.push(Kind::Step(Box::new(step)), inputs, shape);
            for output in &outputs {
                places.insert(output.place(), node);
            }
        }
        let last = places.get(&output.place()).copied();
        ensure!(
            last.is_some_and(|node| depends[node]),
            Value,
            "prepare: the model's output does not depend on its input by operations that can be traced"
        );
        graph.output = last.unwrap_or(0);
        graph.drop_unused();
        graph.fuse()?;
        Ok(graph)
    }

    fn push(&mut self, kind: Kind, inputs: Vec<usize>, shape: &[usize]) -> usize {
        self.nodes.push(Node {
            kind,
            inputs,
            shape: shape.to_vec(),
            uses: 0,
        });
        self.nodes.len() - 1
    }

    /// Counts how often nodes are taken, and removes those that are not.
    fn drop_unused(&mut self) {
        self.nodes[self.output].uses = 1;
        for i in (0..self.nodes.len()).rev() {
            if self.nodes[i].uses == 0 {
                self.nodes[i].kind = Kind::Gone;
                continue;
            }
            for input in self.nodes[i].inputs.clone() {
                self.nodes[input].uses += 1;
            }
        }
    }

    /// Takes what follows a convolution into it, step by step in the model's order.
    fn fuse(&mut self) -> Result<()> {
        for i in 0..self.nodes.len() {
            let Kind::Step(step) = &self.nodes[i].kind else {
                continue;
            };
            match &step.op {
                Op::Conv(op) if op.part == ConvPart::Output => {
                    let geometry = op.geometry;
                    let inputs = &self.nodes[i].inputs;
                    let constants: Vec<Tensor> =
                        inputs[1..].iter().filter_map(|&n| self.constant(n)).collect();
                    if constants.len() + 1 == inputs.len() {
                        let mut constants = constants.into_iter();
                        if let Some(weight) = constants.next() {
                            let conv = Conv {
                                geometry,
                                weight,
                                bias: constants.next(),
                                finish: Finish::NONE,
                            };
                            self.nodes[i].kind = Kind::Conv(Box::new(conv));
                            self.nodes[i].inputs.truncate(1);
                        }
                    }
                }
                Op::Norm(op) if matches!(op.kind, NormKind::BatchInference(_)) => {
                    let factors = self.factors(op, &self.nodes[i].inputs[1..])?;
                    self.norm(i, factors)?;
                }
                Op::Binary(op) if op.function == Binary::Add => self.add(i),
                Op::Unary(op) => {
                    if let Some(finish) = finish(op.function) {
                        self.activation(i, finish);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn constant(&self, node: usize) -> Option<Tensor> {
        match &self.nodes[node].kind {
            Kind::Constant(tensor) => Some(tensor.clone()),
            _ => None,
        }
    }

    /// The factors and summands of a norm with fixed statistics, if weight and bias are constants.
    fn factors(&self, op: &NormOp, parameters: &[usize]) -> Result<Option<(Tensor, Tensor)>> {
        let constants: Vec<Tensor> = parameters.iter().filter_map(|&n| self.constant(n)).collect();
        if constants.len() < parameters.len() {
            return Ok(None);
        }
        let mut constants = constants.iter();
        let weight = if op.weight.is_some() {
            constants.next()
        } else {
            None
        };
        let bias = if op.has_bias { constants.next() } else { None };
        let [mean, var] = op.statistics();
        channel_factors(&mean, &var, op.eps, weight, bias).map(Some)
    }

    fn norm(&mut self, i: usize, factors: Option<(Tensor, Tensor)>) -> Result<()> {
        let Some((scale, shift)) = factors else {
            return Ok(());
        };
        let input = self.nodes[i].inputs[0];
        let is_free = self.is_free(input);
        if let (Kind::Conv(conv), true) = (&mut self.nodes[input].kind, is_free) {
            conv.weight = scaled_channels(&conv.weight, &scale)?;
            conv.bias = Some(match &conv.bias {
                Some(bias) => bias.mul(&scale)?.add(&shift)?,
                None => shift,
            });
            self.replace(i, input);
        } else {
            self.nodes[i].kind = Kind::Affine(scale, shift, Finish::NONE);
            self.nodes[i].inputs.truncate(1);
        }
        Ok(())
    }

    /// A convolution's sum with something of its shape.
    fn add(&mut self, i: usize) {
        let &[a, b] = &self.nodes[i].inputs[..] else {
            return;
        };
        let fits = |conv: usize, other: usize| {
            matches!(self.nodes[conv].kind, Kind::Conv(_))
                && self.is_free(conv)
                && conv != other
                && self.nodes[conv].shape == self.nodes[other].shape
                && !matches!(self.nodes[other].kind, Kind::Constant(_))
        };
        // The later one: what the other gives is there by then.
        let order = if a > b { [(a, b), (b, a)] } else { [(b, a), (a, b)] };
        if let Some((conv, other)) = order.into_iter().find(|&(conv, other)| fits(conv, other)) {
            self.nodes[conv].inputs.push(other);
            self.replace(i, conv);
        }
    }

    fn activation(&mut self, i: usize, function: Finish) {
        let input = self.nodes[i].inputs[0];
        if self.nodes[input].uses != 1 {
            return;
        }
        match &mut self.nodes[input].kind {
            Kind::Conv(conv) if conv.finish.is_none() => conv.finish = function,
            Kind::Affine(.., finish) if finish.is_none() => *finish = function,
            _ => return,
        }
        self.replace(i, input);
    }

    /// Whether a convolution's outputs go nowhere but to the next node, and nothing happens to them yet.
    fn is_free(&self, node: usize) -> bool {
        let conv = &self.nodes[node];
        let plain = matches!(&conv.kind, Kind::Conv(c) if c.finish.is_none());
        plain && conv.uses == 1 && conv.inputs.len() == 1
    }

    /// Puts a node in the place of one that follows it.
    fn replace(&mut self, i: usize, by: usize) {
        self.nodes[i].kind = std::mem::replace(&mut self.nodes[by].kind, Kind::Gone);
        self.nodes[i].inputs = std::mem::take(&mut self.nodes[by].inputs);
    }
}
