//! The engine: walks recorded history from results to inputs and applies the rules.
//!
//! Nodes are handled in descending order of their numbers, which is a topological order (see
//! [`flambeau_tensor::graph`]): when a node's turn comes, all its users have sent their gradients. Nothing recurses.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use flambeau_tensor::graph::{Edge, Node, Op};
use flambeau_tensor::profiler::{self, Kind};
use flambeau_tensor::{Error, Result, Tensor, amp, bail, no_grad, set_grad_enabled};
use smallvec::SmallVec;

use crate::rules::{self, Context};

/// What a walk does besides computing gradients.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walk {
    /// Keep what operations saved, for another walk.
    pub(crate) retain_graph: bool,
    /// Record the rules themselves, so that gradients can be differentiated.
    pub(crate) create_graph: bool,
}

/// Gradients on their way to one node, one per output.
struct Pending {
    node: Arc<Node>,
    grads: SmallVec<[Option<Tensor>; 1]>,
}

/// Restores the recording mode when dropped, on errors too.
struct Recording(bool);

impl Recording {
    fn set(enabled: bool) -> Recording {
        Recording(set_grad_enabled(enabled))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        set_grad_enabled(self.0);
    }
}

/// Sends `roots`' gradients back through the history and accumulates them in the leaves.
pub(crate) fn accumulate_in_leaves(roots: Vec<(Edge, Tensor)>, walk: Walk) -> Result<()> {
    run(roots, walk, None, |_, _| ())
}

/// Sends `roots`' gradients back and returns those that reach `targets`; leaves are left alone.
pub(crate) fn gradients_of(
    roots: Vec<(Edge, Tensor)>,
    targets: &[Option<Edge>],
    walk: Walk,
) -> Result<Vec<Option<Tensor>>> {
    let path = Path::between(&roots, targets);
    let mut found = vec![None; targets.len()];
    run(roots, walk, Some(&path), |node, grads: &[Option<Tensor>]| {
        for (target, slot) in targets.iter().zip(&mut found) {
            if let Some(edge) = target
                && edge.node.id() == node.id()
            {
                slot.clone_from(&grads[edge.slot]);
            }
        }
    })?;
    Ok(found)
}

/// Rules work in the types of their forward operations, whatever region of mixed precision this thread is in.
fn run(
    roots: Vec<(Edge, Tensor)>,
    walk: Walk,
    path: Option<&Path>,
    visit: impl FnMut(&Arc<Node>, &[Option<Tensor>]),
) -> Result<()> {
    amp::autocast(None, || walk_back(roots, walk, path, visit))
}

fn walk_back(
    roots: Vec<(Edge, Tensor)>,
    walk: Walk,
    path: Option<&Path>,
    mut visit: impl FnMut(&Arc<Node>, &[Option<Tensor>]),
) -> Result<()> {
    let _recording = Recording::set(walk.create_graph);
    let mut queue = BTreeMap::new();
    for (edge, grad) in roots {
        send(&mut queue, &edge, grad, walk)?;
    }
    while let Some((id, Pending { node, mut grads })) = queue.pop_last() {
        for (slot, grad) in grads.iter_mut().enumerate() {
            if let Some(g) = grad.take() {
                *grad = Some(node.run_hooks(slot, g)?);
            }
        }
        visit(&node, &grads);
        if path.is_some_and(|path| !path.through.contains(&id)) {
            continue;
        }
        let op = if walk.retain_graph || walk.create_graph {
            node.op()
        } else {
            node.take_op()
        };
        let Some(op) = op else {
            bail!(
                Autograd,
                "backward: this part of the graph has been used and freed; pass retain_graph to go through it twice"
            )
        };
        if let Op::Leaf(leaf) = op {
            if let (Some(tensor), Some(Some(grad))) = (leaf.tensor(), grads.pop()) {
                accumulate_in_leaf(&tensor, grad, walk)?;
                node.run_after_accumulation(&tensor)?;
            }
            continue;
        }
        let needs: SmallVec<[bool; 3]> = node
            .inputs()
            .iter()
            .map(|e| {
                e.as_ref()
                    .is_some_and(|e| path.is_none_or(|path| path.onto.contains(&e.node.id())))
            })
            .collect();
        let context = Context {
            node: &node,
            grads: &grads,
            needs: &needs,
        };
        let name = || format!("{}_backward", op.name());
        let input_grads = profiler::span(Kind::Gradient, name, || rules::backward(&op, &context))
            .map_err(|error| located(error, &node, &op))?;
        let name = op.name();
        drop(op);
        for ((edge, grad), needed) in node.inputs().iter().zip(input_grads).zip(needs) {
            if let (Some(edge), Some(grad), true) = (edge, grad, needed) {
                check_finite(&grad, &node, name)?;
                send(&mut queue, edge, grad, walk)
                    .map_err(|error| error.context(format_args!("backward of {name}")))?;
            }
        }
    }
    Ok(())
}

/// Adds a gradient to what is on its way to `edge`, summed back to the shape that was broadcast.
fn send(queue: &mut BTreeMap<u64, Pending>, edge: &Edge, grad: Tensor, walk: Walk) -> Result<()> {
    let grad = grad.sum_to_size(edge.shape())?.to_dtype(edge.dtype())?;
    let pending = queue.entry(edge.node.id()).or_insert_with(|| Pending {
        node: edge.node.clone(),
        grads: SmallVec::from_elem(None, edge.node.outputs().len()),
    });
    let slot = &mut pending.grads[edge.slot];
    *slot = Some(match slot.take() {
        None => grad,
        Some(sum) if !walk.create_graph && sum.is_unique() => {
            sum.add_(&grad)?;
            sum
        }
        Some(sum) => sum.add(&grad)?,
    });
    Ok(())
}

fn accumulate_in_leaf(leaf: &Tensor, grad: Tensor, walk: Walk) -> Result<()> {
    match leaf.grad() {
        Some(sum) if walk.create_graph => leaf.set_grad(Some(sum.add(&grad)?)),
        Some(sum) => no_grad(|| sum.add_(&grad).map(|_| ())),
        None if walk.create_graph => leaf.set_grad(Some(grad)),
        None => leaf.set_grad(Some(grad.detach())),
    }
}

/// The part of the history that lies between some roots and some targets.
struct Path {
    /// Nodes whose rules are applied: some input of theirs leads to a target. A target is among them only if another
    /// target lies behind it, so that its operation is kept for the walk that will need it.
    through: HashSet<u64>,
    /// Nodes that gradients are sent to: those of `through` and the targets.
    onto: HashSet<u64>,
}

impl Path {
    fn between(roots: &[(Edge, Tensor)], targets: &[Option<Edge>]) -> Path {
        let mut reached: BTreeMap<u64, Arc<Node>> = BTreeMap::new();
        let mut stack: Vec<Arc<Node>> = roots.iter().map(|(e, _)| e.node.clone()).collect();
        while let Some(node) = stack.pop() {
            if let Entry::Vacant(entry) = reached.entry(node.id()) {
                stack.extend(node.inputs().iter().flatten().map(|e| e.node.clone()));
                entry.insert(node);
            }
        }
        let mut onto: HashSet<u64> = targets.iter().flatten().map(|e| e.node.id()).collect();
        let mut through = HashSet::new();
        // Ascending order: a node's inputs have been decided when its turn comes.
        for (id, node) in &reached {
            if node
                .inputs()
                .iter()
                .flatten()
                .any(|e| onto.contains(&e.node.id()))
            {
                through.insert(*id);
                onto.insert(*id);
            }
        }
        Path { through, onto }
    }
}

/// The error of a rule with the operation and, under anomaly detection, the place where it was recorded.
fn located(error: Error, node: &Node, op: &Op) -> Error {
    match node.backtrace() {
        None => error,
        Some(trace) => Error::Autograd(format!(
            "backward of {}: {error}\nrecorded at:\n{trace}",
            op.name()
        )),
    }
}

/// Under anomaly detection, an error if a rule has made a NaN.
fn check_finite(grad: &Tensor, node: &Node, name: &str) -> Result<()> {
    if let Some(trace) = node.backtrace()
        && grad.to_vec_f64()?.iter().any(|x| x.is_nan())
    {
        bail!(
            Autograd,
            "backward of {name}: the gradient is NaN; the operation was recorded at:\n{trace}"
        );
    }
    Ok(())
}
