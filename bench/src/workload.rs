//! What is timed: a table of names and of functions that prepare a call.

use anyhow::Result;

use crate::{data, graph, growth, infer, op, overhead, step};

/// One call of a workload; it holds its inputs.
pub(crate) struct Call {
    run: Box<dyn FnMut() -> Result<()>>,
    /// What a call does, if that is known of what was made for it alone.
    work: Work,
}

impl Call {
    /// A call of a function.
    pub(crate) fn new(run: impl FnMut() -> Result<()> + 'static) -> Self {
        Call {
            run: Box::new(run),
            work: Work::Unstated,
        }
    }

    /// States the multiply-adds of a call, two operations each; 0 if they are not known.
    pub(crate) fn multiply_adds(mut self, count: u64) -> Self {
        if count > 0 {
            self.work = Work::Gflop(2.0 * count as f64 / 1e9);
        }
        self
    }

    /// Calls.
    pub(crate) fn run(&mut self) -> Result<()> {
        (self.run)()
    }
}

/// The work that one call does, for the columns GFLOP/s and GB/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    /// 10⁹ additions and multiplications.
    Gflop(f64),
    /// 10⁹ bytes that must be moved: each input read once, each output written once.
    Gb(f64),
    /// Not stated: the time alone counts.
    Unstated,
}

/// A named workload. Its name is the same on both sides; what stands before the `/` is its group.
pub(crate) struct Workload {
    pub(crate) name: String,
    work: Work,
    prepare: Box<dyn Fn() -> Result<Call>>,
    needs: fn() -> Result<()>,
}

impl Workload {
    /// A workload whose inputs `prepare` makes.
    pub(crate) fn new(name: impl Into<String>, prepare: impl Fn() -> Result<Call> + 'static) -> Self {
        Workload {
            name: name.into(),
            work: Work::Unstated,
            prepare: Box::new(prepare),
            needs: || Ok(()),
        }
    }

    /// States what has to be there beforehand: `needs` returns an error if it is not.
    pub(crate) fn needs(mut self, needs: fn() -> Result<()>) -> Self {
        self.needs = needs;
        self
    }

    /// What keeps the workload from running, as an error.
    pub(crate) fn check(&self) -> Result<()> {
        (self.needs)()
    }

    /// States the arithmetic of one call.
    pub(crate) fn gflop(mut self, gflop: f64) -> Self {
        self.work = Work::Gflop(gflop);
        self
    }

    /// States the memory traffic of one call.
    pub(crate) fn gb(mut self, gb: f64) -> Self {
        self.work = Work::Gb(gb);
        self
    }

    /// The work of one call, stated beforehand or by the call.
    pub(crate) fn work(&self, call: &Call) -> Work {
        match self.work {
            Work::Unstated => call.work,
            stated => stated,
        }
    }

    /// Makes the inputs; the returned call can be timed.
    pub(crate) fn prepare(&self) -> Result<Call> {
        (self.prepare)()
    }
}

/// All workloads, in the order in which they run.
pub(crate) fn all() -> Vec<Workload> {
    op::workloads()
        .into_iter()
        .chain(overhead::workloads())
        .chain(infer::workloads())
        .chain(infer::prepared())
        .chain(step::workloads())
        .chain(data::workloads())
        .chain(graph::workloads())
        .chain(growth::workloads())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_belong_to_a_group() {
        let workloads = all();
        let names: BTreeSet<&str> = workloads.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names.len(), workloads.len());
        for name in names {
            assert!(
                matches!(
                    name.split_once('/'),
                    Some((
                        "op" | "overhead" | "infer" | "prepared" | "step" | "data" | "graph" | "growth",
                        _
                    ))
                ),
                "{name}"
            );
        }
    }
}
