//! The recorded history: nodes, edges, and what an operation keeps for its gradient.
//!
//! A [`Node`] stands for one recorded operation (or for a leaf). Its `inputs` are edges to the nodes that made its
//! inputs, not values: `add` keeps no data alive. What a gradient rule reads is kept in the [`Op`] as [`Saved`]
//! values; the op is taken out, and its memory freed, when backward has used it, unless the graph is retained.
//! Node numbers ascend in the order of recording, so that an input's number is always below its user's: descending
//! order is a topological order.

use std::backtrace::Backtrace;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flambeau_kernels::mem::Buf;
use smallvec::SmallVec;

pub use crate::ops::Op;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, grad_mode, profiler, trace};

/// One output of one node: where the gradient of a tensor is sent.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The operation that made the tensor, or its leaf.
    pub node: Arc<Node>,
    /// Which of its outputs.
    pub slot: usize,
}

impl Edge {
    /// The shape of the tensor that this edge stands for.
    pub fn shape(&self) -> &Shape {
        &self.node.outputs[self.slot].0
    }

    /// The element type of the tensor that this edge stands for.
    pub fn dtype(&self) -> DType {
        self.node.outputs[self.slot].1
    }
}

/// A hook on the gradient of one output: it may return another gradient.
pub type Hook = Arc<dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync>;

/// A hook that is called with a leaf after its gradient has been accumulated.
pub type AccumulationHook = Arc<dyn Fn(&Tensor) -> Result<()> + Send + Sync>;

/// A recorded operation.
#[derive(Debug)]
pub struct Node {
    id: u64,
    op: Mutex<Option<Op>>,
    inputs: SmallVec<[Option<Edge>; 3]>,
    outputs: SmallVec<[(Shape, DType); 1]>,
    has_hooks: AtomicBool,
    hooks: Mutex<Hooks>,
    /// Where the operation was recorded, when anomaly detection is on.
    backtrace: Option<Box<Backtrace>>,
}

#[derive(Default)]
struct Hooks {
    next: u64,
    list: Vec<(u64, usize, Hook)>,
    after_accumulation: Vec<(u64, AccumulationHook)>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hooks", self.list.len() + self.after_accumulation.len())
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);
static ANOMALY: AtomicBool = AtomicBool::new(false);

/// The number that the next recorded node will get: nodes of what is recorded from now on are not below it.
pub fn next_id() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
}

/// Switches on or off that each recorded operation keeps a backtrace; returns what it was.
pub fn set_anomaly_enabled(enabled: bool) -> bool {
    ANOMALY.swap(enabled, Ordering::Relaxed)
}

/// Whether recorded operations keep a backtrace.
pub fn is_anomaly_enabled() -> bool {
    ANOMALY.load(Ordering::Relaxed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    pub(crate) fn new(
        op: Op,
        inputs: SmallVec<[Option<Edge>; 3]>,
        outputs: SmallVec<[(Shape, DType); 1]>,
    ) -> Arc<Node> {
        let backtrace = is_anomaly_enabled().then(|| Box::new(Backtrace::force_capture()));
        Arc::new(Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op: Mutex::new(Some(op)),
            inputs,
            outputs,
            has_hooks: AtomicBool::new(false),
            hooks: Mutex::default(),
            backtrace,
        })
    }

    /// The node's number: larger than those of all its inputs.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Edges to the nodes of the inputs, in the operation's order; `None` where an input is not tracked.
    pub fn inputs(&self) -> &[Option<Edge>] {
        &self.inputs
    }

    /// Shape and type of each output.
    pub fn outputs(&self) -> &[(Shape, DType)] {
        &self.outputs
    }

    /// The operation's name, `"freed"` once backward has taken it.
    pub fn name(&self) -> &'static str {
        lock(&self.op).as_ref().map_or("freed", Op::name)
    }

    /// Where the operation was recorded, if anomaly detection was on then.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.backtrace.as_deref()
    }

    /// A copy of the operation with what it saved; `None` once it has been taken.
    pub fn op(&self) -> Option<Op> {
        lock(&self.op).clone()
    }

    /// Takes the operation out, so that what it saved is freed after use. A leaf keeps its own.
    pub fn take_op(&self) -> Option<Op> {
        let mut op = lock(&self.op);
        if let Some(Op::Leaf(leaf)) = &*op {
            Some(Op::Leaf(leaf.clone()))
        } else {
            op.take()
        }
    }

    /// Adds a hook on the gradient of output `slot`; returns its number for [`Node::remove_hook`].
    pub fn add_hook(&self, slot: usize, hook: Hook) -> u64 {
        let mut hooks = lock(&self.hooks);
        hooks.next += 1;
        let id = hooks.next;
        hooks.list.push((id, slot, hook));
        self.has_hooks.store(true, Ordering::Release);
        id
    }

    /// Adds a hook that is called after a gradient has been accumulated in this leaf; returns its number.
    pub fn add_accumulation_hook(&self, hook: AccumulationHook) -> u64 {
        let mut hooks = lock(&self.hooks);
        hooks.next += 1;
        let id = hooks.next;
        hooks.after_accumulation.push((id, hook));
        self.has_hooks.store(true, Ordering::Release);
        id
    }

    /// Removes a hook; does nothing if it is gone already.
    pub fn remove_hook(&self, id: u64) {
        let mut hooks = lock(&self.hooks);
        hooks.list.retain(|(i, ..)| *i != id);
        hooks.after_accumulation.retain(|(i, _)| *i != id);
    }

    /// Calls the hooks that wait for an accumulated gradient.
    ///
    /// # Errors
    /// The error of a hook.
    pub fn run_after_accumulation(&self, leaf: &Tensor) -> Result<()> {
        if !self.has_hooks.load(Ordering::Acquire) {
            return Ok(());
        }
        let list: Vec<AccumulationHook> = lock(&self.hooks)
            .after_accumulation
            .iter()
            .map(|(_, hook)| hook.clone())
            .collect();
        list.into_iter().try_for_each(|hook| hook(leaf))
    }

    /// The gradient of output `slot` after its hooks, in the order of their registration.
    ///
    /// # Errors
    /// The error of a hook.
    pub fn run_hooks(&self, slot: usize, mut grad: Tensor) -> Result<Tensor> {
        if self.has_hooks.load(Ordering::Acquire) {
            let list: Vec<Hook> = lock(&self.hooks)
                .list
                .iter()
                .filter(|(_, s, _)| *s == slot)
                .map(|(.., h)| h.clone())
                .collect();
            for hook in list {
                if let Some(replacement) = hook(&grad)? {
                    grad = replacement;
                }
            }
        }
        Ok(grad)
    }
}

/// Frees a chain of nodes without recursion, however long it is.
impl Drop for Node {
    fn drop(&mut self) {
        let mut orphans = Vec::new();
        self.dismantle(&mut orphans);
        while let Some(node) = orphans.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                node.dismantle(&mut orphans);
            }
        }
    }
}

impl Node {
    /// Moves the references to the inputs' nodes out. What the op saved refers to the same nodes, and they live on in
    /// `orphans` when the op is dropped, so its drop does not cascade.
    fn dismantle(&mut self, orphans: &mut Vec<Arc<Node>>) {
        orphans.extend(self.inputs.drain(..).flatten().map(|edge| edge.node));
    }
}

/// A value kept for a gradient rule, with what is needed to make it a tracked tensor again.
#[derive(Clone, Debug)]
pub struct Saved {
    pub(crate) value: Value,
    pub(crate) history: History,
}

/// Where a saved value came from.
#[derive(Clone, Debug)]
pub(crate) enum History {
    /// Not tracked.
    None,
    /// An input of the operation.
    Input(Edge),
    /// The operation's own output `slot`; its node is known only to whoever holds it, else it would never be freed.
    Output(usize),
}

impl Saved {
    /// The operation's own output, as kept by an op whose rule reads it.
    pub(crate) fn output(value: &Value, slot: usize) -> Saved {
        Saved {
            value: value.clone(),
            history: History::Output(slot),
        }
    }

    /// An edge without a value worth keeping.
    pub(crate) fn edge_only(edge: Edge) -> Saved {
        let value = Value::new(Buf::<u8>::take(0), DType::U8, Shape::new(&[0]));
        Saved {
            value,
            history: History::Input(edge),
        }
    }

    /// The tensor, tracked as it was; `node` is the node whose op kept it.
    pub fn tensor(&self, node: &Arc<Node>) -> Tensor {
        let edge = match &self.history {
            History::None => None,
            History::Input(edge) => Some(edge.clone()),
            History::Output(slot) => Some(Edge {
                node: node.clone(),
                slot: *slot,
            }),
        };
        Tensor::from_parts(self.value.clone(), edge)
    }

    /// The bare value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether gradients reach this input.
    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        matches!(self.history, History::Input(_))
    }

    /// The same value without history.
    pub(crate) fn detached(&self) -> Saved {
        Saved {
            value: self.value.clone(),
            history: History::None,
        }
    }

    /// The edge by which gradients reach this input.
    pub(crate) fn edge(&self) -> Option<Edge> {
        match &self.history {
            History::Input(edge) => Some(edge.clone()),
            _ => None,
        }
    }
}

/// Whether anybody watches the operations of this thread.
#[inline]
fn is_watched() -> bool {
    profiler::is_enabled() || trace::is_enabled()
}

/// Shows an operation to whoever watches.
#[cold]
fn show(op: Op, inputs: &[&Saved], outputs: &[Value]) {
    if profiler::is_enabled() {
        profiler::ends(op.name(), outputs);
    }
    if trace::is_enabled() {
        trace::push(op, inputs, outputs);
    }
}

/// Makes the result tensor of an operation and records it if recording is on, an input is tracked and the result is of
/// a floating point type. `op` is called only then, or for whoever watches; it gets the result's value.
#[inline]
pub(crate) fn record(value: Value, inputs: &[&Saved], op: impl FnOnce(&Value) -> Op) -> Tensor {
    let tracked = grad_mode::is_grad_enabled()
        && value.dtype().is_float()
        && inputs
            .iter()
            .any(|input| matches!(input.history, History::Input(_)));
    if !tracked {
        if is_watched() {
            show(op(&value), inputs, std::slice::from_ref(&value));
        }
        return Tensor::from_parts(value, None);
    }
    let op = op(&value);
    if is_watched() {
        show(op.clone(), inputs, std::slice::from_ref(&value));
    }
    let edges = inputs.iter().map(|input| input.edge()).collect();
    let outputs = SmallVec::from_elem((value.shape.clone(), value.dtype), 1);
    let node = Node::new(op, edges, outputs);
    Tensor::from_parts(value, Some(Edge { node, slot: 0 }))
}

/// [`record`] for operations with several results. Results of other than floating point types are never tracked.
pub(crate) fn record_many(
    values: Vec<Value>,
    inputs: &[&Saved],
    op: impl FnOnce(&[Value]) -> Op,
) -> Vec<Tensor> {
    let tracked = grad_mode::is_grad_enabled()
        && inputs
            .iter()
            .any(|input| matches!(input.history, History::Input(_)));
    if !tracked {
        if is_watched() {
            show(op(&values), inputs, &values);
        }
        return values
            .into_iter()
            .map(|value| Tensor::from_parts(value, None))
            .collect();
    }
    let edges = inputs.iter().map(|input| input.edge()).collect();
    let outputs = values
        .iter()
        .map(|value| (value.shape.clone(), value.dtype))
        .collect();
    let op = op(&values);
    if is_watched() {
        show(op.clone(), inputs, &values);
    }
    let node = Node::new(op, edges, outputs);
    let edge = |slot, value: &Value| {
        value.dtype.is_float().then(|| Edge {
            node: node.clone(),
            slot,
        })
    };
    values
        .into_iter()
        .enumerate()
        .map(|(slot, v)| {
            let e = edge(slot, &v);
            Tensor::from_parts(v, e)
        })
        .collect()
}
