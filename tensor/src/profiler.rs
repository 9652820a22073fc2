//! Where a program's time goes (`torch.profiler`): the operations of one thread, how long each took and what it wrote, and
//! the modules, gradient rules and optimiser steps around them.
//!
//! [`profile`] watches the calling thread while a closure runs. What comes back is printed as a table, or written as a trace
//! that `chrome://tracing` and Perfetto draw. While nothing is profiled, an operation pays one look at a flag.
//!
//! ```
//! use flambeau_tensor::{DType, Result, Tensor, profiler};
//!
//! fn main() -> Result<()> {
//!     let (x, w) = (Tensor::ones((64, 32), DType::F32)?, Tensor::ones((32, 16), DType::F32)?);
//!     let (y, profile) = profiler::profile(|| x.matmul(&w)?.relu());
//!     assert_eq!(y?.shape(), [64, 16]);
//!     let names: Vec<&str> = profile.events().iter().map(|event| &*event.name).collect();
//!     assert_eq!(names, ["matmul", "relu"]);
//!     println!("{profile}");
//!     Ok(())
//! }
//! ```

mod report;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::path::Path;
use std::time::{Duration, Instant};

pub use report::Line;

use crate::value::Value;

thread_local! {
    static PROFILED: Cell<bool> = const { Cell::new(false) };
    static SESSIONS: RefCell<Vec<Session>> = const { RefCell::new(Vec::new()) };
}

/// What an [`Event`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An operation on tensors.
    Operation,
    /// An operation that candle ran, because there is no kernel of ours.
    Fallback,
    /// The gradient rule of an operation, with the operations that it is made of.
    Gradient,
    /// A call of a module.
    Module,
    /// A step of an optimiser.
    Step,
    /// What a program marked by [`record_function`].
    Range,
}

/// Something that took time.
#[derive(Clone, Debug)]
pub struct Event {
    /// The operation's name, as PyTorch's users know it; the module's type; the name of a range.
    pub name: Cow<'static, str>,
    /// What it is.
    pub kind: Kind,
    /// When it began, since the profile began.
    pub begin: Duration,
    /// How long it took.
    pub time: Duration,
    /// How long it took without the events inside it.
    pub own: Duration,
    /// How many events it lies in.
    pub depth: usize,
    /// Bytes of what an operation gave, or wrote in place; zero of what is no operation.
    pub bytes: usize,
    /// The shape of what an operation gave, or wrote in place.
    pub shape: Vec<usize>,
}

/// The events of one thread, in the order in which they ended.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    events: Vec<Event>,
    time: Duration,
}

impl Profile {
    /// The events, in the order in which they ended: those inside another one stand before it.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How long the profiled closure took.
    pub fn time(&self) -> Duration {
        self.time
    }
}

/// Events that have begun.
struct Open {
    name: Cow<'static, str>,
    kind: Kind,
    begin: Duration,
    /// Time of the events inside it.
    inside: Duration,
}

struct Session {
    start: Instant,
    open: Vec<Open>,
    /// When the operation that has not ended took its first memory.
    operation: Option<Duration>,
    profile: Profile,
}

impl Session {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn enter(&mut self, name: Cow<'static, str>, kind: Kind) {
        self.operation = None;
        let begin = self.now();
        self.open.push(Open {
            name,
            kind,
            begin,
            inside: Duration::ZERO,
        });
    }

    fn leave(&mut self, bytes: usize, shape: Vec<usize>) {
        self.operation = None;
        if let Some(Open {
            name,
            kind,
            begin,
            inside,
        }) = self.open.pop()
        {
            let time = self.now().saturating_sub(begin);
            let own = time.saturating_sub(inside);
            self.add(Event {
                name,
                kind,
                begin,
                time,
                own,
                depth: 0,
                bytes,
                shape,
            });
        }
    }

    fn add(&mut self, event: Event) {
        if let Some(outer) = self.open.last_mut() {
            outer.inside += event.time;
        }
        let depth = self.open.len();
        self.profile.events.push(Event { depth, ..event });
    }
}

/// Runs `f` and returns what it gave, and the events of this thread while it ran. A profile inside another one takes the
/// events of its time from the outer one.
pub fn profile<R>(f: impl FnOnce() -> R) -> (R, Profile) {
    /// Takes the session away if `f` panics.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            SESSIONS.with_borrow_mut(|sessions| {
                sessions.pop();
                PROFILED.set(!sessions.is_empty());
            });
        }
    }
    SESSIONS.with_borrow_mut(|sessions| {
        sessions.push(Session {
            start: Instant::now(),
            open: Vec::new(),
            operation: None,
            profile: Profile::default(),
        });
    });
    PROFILED.set(true);
    let guard = Guard;
    let result = f();
    let profile = with_session(|session| {
        session.profile.time = session.now();
        std::mem::take(&mut session.profile)
    });
    drop(guard);
    (result, profile.unwrap_or_default())
}

/// Runs `f` as one event of that name, with what happens inside it, if this thread is profiled (`torch.profiler.record_function`).
///
/// ```
/// # use flambeau_tensor::{DType, Result, Tensor, profiler};
/// # fn main() -> Result<()> {
/// let x = Tensor::ones((64, 32), DType::F32)?;
/// let (y, profile) = profiler::profile(|| profiler::record_function("square root", || x.add(1)?.sqrt()));
/// y?;
/// let events = profile.events().iter();
/// let events: Vec<(&str, usize)> = events.map(|event| (&*event.name, event.depth)).collect();
/// assert_eq!(events, [("add", 1), ("sqrt", 1), ("square root", 0)]);
/// # Ok(())
/// # }
/// ```
pub fn record_function<R>(name: &str, f: impl FnOnce() -> R) -> R {
    span(Kind::Range, || name.to_string(), f)
}

/// Runs `f` as one event of that kind, if this thread is profiled; `name` is asked for only then.
#[inline]
pub fn span<R>(kind: Kind, name: impl FnOnce() -> String, f: impl FnOnce() -> R) -> R {
    if !is_enabled() {
        return f();
    }
    enter(kind, Cow::Owned(name()));
    let _guard = Leave {
        bytes: 0,
        shape: Vec::new(),
    };
    f()
}

/// Whether this thread is profiled.
#[inline]
pub fn is_enabled() -> bool {
    PROFILED.get()
}

/// Runs `f` as an operation that does not make a tensor: it writes to `written` elements of some bytes each in place, or reads.
#[inline]
pub(crate) fn operation<R>(
    kind: Kind,
    name: &str,
    written: impl FnOnce() -> (Vec<usize>, usize),
    f: impl FnOnce() -> R,
) -> R {
    if !is_enabled() {
        return f();
    }
    enter(kind, Cow::Owned(name.to_string()));
    let (shape, bytes) = written();
    let _guard = Leave { bytes, shape };
    f()
}

/// The operation that runs takes memory for a result: it has begun.
#[inline]
pub(crate) fn takes_memory() {
    if is_enabled() {
        begin_operation();
    }
}

/// The operation that runs has given `values`. What took no memory, a view, is no event.
#[cold]
pub(crate) fn ends(name: &'static str, values: &[Value]) {
    with_session(|session| {
        if let Some(begin) = session.operation.take() {
            let time = session.now().saturating_sub(begin);
            session.add(Event {
                name: Cow::Borrowed(name),
                kind: Kind::Operation,
                begin,
                time,
                own: time,
                depth: 0,
                bytes: values.iter().map(bytes).sum(),
                shape: values
                    .first()
                    .map_or_else(Vec::new, |value| value.shape().to_vec()),
            });
        }
    });
}

/// The operation that runs has given a value that is not recorded, at that place in our sources. It is called by the name of the
/// file, which is its family's; a part of a gradient rule belongs to the rule.
#[cold]
pub(crate) fn ends_unrecorded(place: &'static Location<'static>, value: &Value) {
    let in_a_rule = with_session(|session| {
        session
            .open
            .last()
            .is_some_and(|open| open.kind == Kind::Gradient)
    });
    if in_a_rule != Some(true) {
        let family = Path::new(place.file()).file_stem().and_then(|stem| stem.to_str());
        ends(family.unwrap_or("unnamed"), std::slice::from_ref(value));
    }
}

fn bytes(value: &Value) -> usize {
    value.numel() * value.dtype().size_in_bytes()
}

#[cold]
fn begin_operation() {
    with_session(|session| {
        if session.operation.is_none() {
            session.operation = Some(session.now());
        }
    });
}

#[cold]
fn enter(kind: Kind, name: Cow<'static, str>) {
    with_session(|session| session.enter(name, kind));
}

fn with_session<R>(f: impl FnOnce(&mut Session) -> R) -> Option<R> {
    SESSIONS.with_borrow_mut(|sessions| sessions.last_mut().map(f))
}

/// Ends the innermost event, also on errors and panics.
struct Leave {
    bytes: usize,
    shape: Vec<usize>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let shape = std::mem::take(&mut self.shape);
        with_session(|session| session.leave(self.bytes, shape));
    }
}
