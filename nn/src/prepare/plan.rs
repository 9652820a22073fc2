//! The steps of a prepared model: which layout each value has, and when it is no longer needed.

use std::collections::HashMap;
use std::ops::Range;

use flambeau_tensor::graph::Op;
use flambeau_tensor::ops::binary::Binary;
use flambeau_tensor::ops::blocked::{self, BLOCK, Finish, Pool, block, finished, unblock};
use flambeau_tensor::ops::conv::{ConvPart, convolution};
use flambeau_tensor::trace::Step;
use flambeau_tensor::{Result, Tensor, ensure};

use super::graph::{Conv, Graph, Kind, Node};

/// What a step does.
#[derive(Debug)]
enum Action {
    /// Into the blocked layout.
    Block,
    /// Out of it, to so many channels.
    Unblock(usize),
    /// A convolution of blocked images, and whether a residual is its second input.
    Conv(Box<blocked::Conv>, Finish),
    /// One that has no blocked form.
    Plain(Box<Conv>),
    /// A factor and a summand for each channel, of what has no blocked form.
    Affine(Tensor, Tensor, Finish),
    /// Pooling of blocked images.
    Pool(Pool),
    /// Blocked images joined along their channels.
    Join,
    /// The same operation as the model's, of whatever layout.
    Replay(Box<Step>),
}

/// An action with its values.
#[derive(Debug)]
struct Work {
    action: Action,
    inputs: Vec<Source>,
    output: usize,
    /// Values that are not needed after it.
    last: Vec<usize>,
    /// Elements of its result for the example.
    elements: usize,
}

/// Where a step takes a value from.
#[derive(Clone, Debug)]
enum Source {
    Value(usize),
    Constant(Tensor),
}

/// Steps, each of which writes one value.
#[derive(Debug)]
pub(super) struct Plan {
    works: Vec<Work>,
    values: usize,
    /// The shape of the model's input.
    input: Vec<usize>,
    output: usize,
    first: First,
}

/// The first steps, which are done for some samples of a batch at a time where all of them would not fit in the last cache.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    steps: usize,
    /// Their result: the one value that the other steps read.
    value: usize,
    /// The most bytes that one of them reads and writes for a sample.
    bytes: usize,
}

/// Bytes of a step's inputs and results that should not be exceeded: a part of common last caches.
const CACHE: usize = 12 << 20;
/// Bytes of a step's values for one sample from which on it is worth while to do some samples at a time.
const LARGE: usize = 1 << 20;

/// The layouts of a node's value.
#[derive(Clone, Copy, Default)]
struct Layouts {
    plain: Option<usize>,
    blocked: Option<usize>,
}

struct Builder {
    nodes: Vec<Node>,
    layouts: Vec<Layouts>,
    works: Vec<Work>,
    values: usize,
}

impl Plan {
    pub(super) fn new(graph: Graph) -> Result<Plan> {
        let mut builder = Builder {
            layouts: vec![Layouts::default(); graph.nodes.len()],
            nodes: graph.nodes,
            works: Vec::new(),
            values: 0,
        };
        let mut input = Vec::new();
        for i in 0..builder.nodes.len() {
            let kind = std::mem::replace(&mut builder.nodes[i].kind, Kind::Gone);
            let inputs = builder.nodes[i].inputs.clone();
            match kind {
                Kind::Gone => {}
                // Stays, for those who take it.
                Kind::Constant(tensor) => builder.nodes[i].kind = Kind::Constant(tensor),
                Kind::Input => {
                    input.clone_from(&builder.nodes[i].shape);
                    builder.layouts[i].plain = Some(builder.value());
                }
                Kind::Conv(conv) => builder.conv(i, &inputs, conv)?,
                Kind::Affine(scale, shift, finish) => builder.affine(i, inputs[0], scale, shift, finish)?,
                Kind::Step(step) => builder.step(i, &inputs, step)?,
            }
        }
        let output = builder.plain(graph.output);
        let mut plan = Plan {
            works: builder.works,
            values: builder.values,
            input,
            output: match output {
                Source::Value(value) => value,
                Source::Constant(_) => 0,
            },
            first: First::default(),
        };
        plan.find_last_uses();
        plan.find_first();
        Ok(plan)
    }

    /// The longest run of first steps that ends with a single value, and of which the last one is still large.
    fn find_first(&mut self) {
        let samples = self.input[0].max(1);
        let size = |elements: usize| elements / samples * size_of::<f32>();
        let mut sizes = vec![size(self.input.iter().product()); self.values];
        let mut live = 1;
        let (mut first, mut bytes) = (First::default(), 0);
        for (i, work) in self.works.iter().enumerate() {
            sizes[work.output] = size(work.elements);
            let inputs = work.inputs.iter().map(|input| match input {
                Source::Value(value) => sizes[*value],
                Source::Constant(_) => 0,
            });
            let here = inputs.sum::<usize>() + sizes[work.output];
            bytes = bytes.max(here);
            live = live + 1 - work.last.len();
            if live == 1 && here >= LARGE {
                first = First {
                    steps: i + 1,
                    value: work.output,
                    bytes,
                };
            }
        }
        self.first = first;
    }

    fn find_last_uses(&mut self) {
        let mut last = HashMap::new();
        for (i, work) in self.works.iter().enumerate() {
            for input in &work.inputs {
                if let Source::Value(value) = input {
                    last.insert(*value, i);
                }
            }
        }
        last.remove(&self.output);
        for (value, i) in last {
            self.works[i].last.push(value);
        }
    }

    /// The number of steps.
    pub(super) fn len(&self) -> usize {
        self.works.len()
    }

    /// Convolutions by Winograd's algorithm, and all.
    pub(super) fn convolutions(&self) -> [usize; 2] {
        let mut count = [0, 0];
        for work in &self.works {
            match &work.action {
                Action::Conv(conv, _) => {
                    count[0] += usize::from(conv.is_winograd());
                    count[1] += 1;
                }
                Action::Plain(_) => count[1] += 1,
                _ => {}
            }
        }
        count
    }

    pub(super) fn run(&self, x: &Tensor) -> Result<Tensor> {
        ensure!(
            x.rank() == self.input.len() && x.shape()[1..] == self.input[1..],
            Shape,
            "prepared model: expected an input {:?} of any batch, got {:?}: prepare one for each size",
            self.input,
            x.shape()
        );
        let batch = x.shape()[0];
        let together = (CACHE / self.first.bytes.max(1)).max(1);
        let mut values: Vec<Option<Tensor>> = vec![None; self.values];
        if together >= batch {
            values[0] = Some(x.detach());
            self.steps(0..self.works.len(), batch, &mut values)?;
        } else {
            let mut parts = Vec::with_capacity(batch.div_ceil(together));
            for start in (0..batch).step_by(together) {
                let samples = together.min(batch - start);
                values[0] = Some(x.narrow(0, start as isize, samples)?);
                self.steps(0..self.first.steps, samples, &mut values)?;
                parts.extend(values[self.first.value].take());
            }
            values[self.first.value] = Some(Tensor::cat(&parts, 0)?);
            self.steps(self.first.steps..self.works.len(), batch, &mut values)?;
        }
        Ok(values[self.output].take().unwrap_or_else(|| x.clone()))
    }

    fn steps(&self, range: Range<usize>, batch: usize, values: &mut [Option<Tensor>]) -> Result<()> {
        for work in &self.works[range] {
            let mut inputs = Vec::with_capacity(work.inputs.len());
            for input in &work.inputs {
                inputs.extend(match input {
                    Source::Constant(tensor) => Some(tensor.clone()),
                    // Every value is written before it is read, and dropped after it was read last.
                    Source::Value(value) => values[*value].clone(),
                });
            }
            for &value in &work.last {
                values[value] = None;
            }
            values[work.output] = Some(work.action.run(&inputs, batch)?);
        }
        Ok(())
    }
}

impl Action {
    fn run(&self, inputs: &[Tensor], batch: usize) -> Result<Tensor> {
        let x = &inputs[0];
        match self {
            Action::Block => block(x),
            Action::Unblock(channels) => unblock(x, *channels),
            Action::Conv(conv, finish) => conv.forward(x, inputs.get(1), *finish),
            Action::Plain(conv) => {
                let geometry = conv.geometry.with_batch(batch);
                let y = convolution(&geometry, ConvPart::Output, x, &conv.weight, conv.bias.as_ref())?;
                let y = match inputs.get(1) {
                    Some(residual) => y.add(residual)?,
                    None => y,
                };
                finished(y, conv.finish)
            }
            Action::Affine(scale, shift, finish) => finished(x.mul(scale)?.add(shift)?, *finish),
            Action::Pool(pool) => pool.apply(x),
            Action::Join => Tensor::cat(inputs, 1),
            Action::Replay(step) => step.replay(inputs),
        }
    }
}

impl Builder {
    fn value(&mut self) -> usize {
        self.values += 1;
        self.values - 1
    }

    /// A step that gives the value of `node`.
    fn push(&mut self, node: usize, action: Action, inputs: Vec<Source>) -> usize {
        let output = self.value();
        self.works.push(Work {
            action,
            inputs,
            output,
            last: Vec::new(),
            elements: self.nodes[node].shape.iter().product(),
        });
        output
    }

    /// A node's value in the plain layout.
    fn plain(&mut self, node: usize) -> Source {
        if let Kind::Constant(tensor) = &self.nodes[node].kind {
            return Source::Constant(tensor.clone());
        }
        let layouts = self.layouts[node];
        let value = match (layouts.plain, layouts.blocked) {
            (Some(value), _) => value,
            (None, Some(blocked)) => {
                let channels = self.nodes[node].shape[1];
                self.push(node, Action::Unblock(channels), vec![Source::Value(blocked)])
            }
            (None, None) => self.value(),
        };
        self.layouts[node].plain = Some(value);
        Source::Value(value)
    }

    /// A node's value in the blocked layout.
    fn blocked(&mut self, node: usize) -> Source {
        let value = match self.layouts[node].blocked {
            Some(value) => value,
            None => {
                let plain = self.plain(node);
                self.push(node, Action::Block, vec![plain])
            }
        };
        self.layouts[node].blocked = Some(value);
        Source::Value(value)
    }

    fn is_blocked(&self, node: usize) -> bool {
        self.layouts[node].blocked.is_some()
    }

    fn conv(&mut self, i: usize, inputs: &[usize], conv: Box<Conv>) -> Result<()> {
        let Some(packed) = blocked::Conv::new(&conv.geometry, &conv.weight, conv.bias.as_ref())? else {
            let sources = inputs.iter().map(|&n| self.plain(n)).collect();
            self.layouts[i].plain = Some(self.push(i, Action::Plain(conv), sources));
            return Ok(());
        };
        let mut sources = vec![match packed.reads_plain() {
            true => self.plain(inputs[0]),
            false => self.blocked(inputs[0]),
        }];
        sources.extend(inputs[1..].iter().map(|&n| self.blocked(n)));
        let action = Action::Conv(Box::new(packed), conv.finish);
        self.layouts[i].blocked = Some(self.push(i, action, sources));
        Ok(())
    }

    fn affine(&mut self, i: usize, input: usize, scale: Tensor, shift: Tensor, finish: Finish) -> Result<()> {
        let shape = &self.nodes[input].shape;
        if self.is_blocked(input)
            && let Some(conv) = blocked::Conv::affine(shape, &scale, &shift)?
        {
            let x = self.blocked(input);
            self.layouts[i].blocked = Some(self.push(i, Action::Conv(Box::new(conv), finish), vec![x]));
            return Ok(());
        }
        let mut sizes = vec![1; shape.len() - 1];
        sizes[0] = shape[1] as isize;
        let [scale, shift] = [scale, shift].map(|t| t.reshape(&sizes[..]));
        let x = self.plain(input);
        self.layouts[i].plain = Some(self.push(i, Action::Affine(scale?, shift?, finish), vec![x]));
        Ok(())
    }

    fn step(&mut self, i: usize, inputs: &[usize], step: Box<Step>) -> Result<()> {
        // Refused now rather than when it is to be done.
        let traced: Vec<Tensor> = step.inputs.iter().map(|x| x.tensor()).collect();
        step.replay(&traced)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|&n| &self.nodes[n].shape[..]).collect();
        let blocked_inputs = inputs.iter().all(|&n| self.is_blocked(n));
        let image = shapes[0].len() == 4;
        let pool = match &step.op {
            Op::LinearMap(op) => Pool::of(op),
            Op::Mean(op) if image && op.dims[..] == [2, 3] && self.nodes[i].shape.len() == 4 => {
                Some(Pool::mean(shapes[0]))
            }
            _ => None,
        };
        let stays = match &step.op {
            Op::Unary(op) => blocked::finish(op.function).is_some(),
            Op::Binary(op) => {
                let channels = shapes.iter().all(|s| s.len() == 4 && s[..2] == shapes[0][..2]);
                channels && matches!(op.function, Binary::Add | Binary::Sub | Binary::Mul)
            }
            _ => false,
        };
        let whole = |shapes: &[&[usize]]| shapes.iter().all(|s| s[1].is_multiple_of(BLOCK));
        let joins =
            matches!(&step.op, Op::Cat(op) if op.dim == 1 && image && whole(&shapes[..shapes.len() - 1]));
        let action = match pool {
            Some(pool) if blocked_inputs => Action::Pool(pool),
            _ if blocked_inputs && joins => Action::Join,
            _ if blocked_inputs && stays => Action::Replay(step),
            _ => {
                let sources = inputs.iter().map(|&n| self.plain(n)).collect();
                self.layouts[i].plain = Some(self.push(i, Action::Replay(step), sources));
                return Ok(());
            }
        };
        let sources = inputs.iter().map(|&n| self.blocked(n)).collect();
        self.layouts[i].blocked = Some(self.push(i, action, sources));
        Ok(())
    }
}
