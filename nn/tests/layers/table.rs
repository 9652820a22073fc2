//! The table of layers: how each is made and called, rightly and wrongly.

use flambeau_nn::{Forward, Module, Result, Tensor};
use flambeau_tensor::DType;

/// A layer.
pub(crate) struct Case {
    /// PyTorch's class and, after a dot, which of its options.
    pub(crate) name: &'static str,
    pub(crate) build: Box<dyn Fn() -> Result<Box<dyn Probe>>>,
    /// What the error for a wrong input contains; nothing if every input is right.
    pub(crate) says: &'static str,
}

/// A layer that was made.
pub(crate) trait Probe {
    fn module(&self) -> &dyn Module;
    fn run(&self) -> Result<Vec<Tensor>>;
    fn wrong(&self) -> Option<Result<Vec<Tensor>>>;
}

struct Of<M, F, W> {
    module: M,
    run: F,
    wrong: W,
}

impl<M, F, W> Probe for Of<M, F, W>
where
    M: Module,
    F: Fn(&M) -> Result<Vec<Tensor>>,
    W: Fn(&M) -> Option<Result<Vec<Tensor>>>,
{
    fn module(&self) -> &dyn Module {
        &self.module
    }

    fn run(&self) -> Result<Vec<Tensor>> {
        (self.run)(&self.module)
    }

    fn wrong(&self) -> Option<Result<Vec<Tensor>>> {
        (self.wrong)(&self.module)
    }
}

/// A layer with how it is called, rightly and wrongly, and what it says in the second case.
pub(crate) fn case<M: Module + 'static>(
    name: &'static str,
    build: impl Fn() -> Result<M> + 'static,
    run: impl Fn(&M) -> Result<Vec<Tensor>> + Copy + 'static,
    wrong: impl Fn(&M) -> Result<Vec<Tensor>> + Copy + 'static,
    says: &'static str,
) -> Case {
    Case {
        name,
        build: Box::new(move || {
            let module = build()?;
            let wrong = move |module: &M| Some(wrong(module));
            Ok(Box::new(Of { module, run, wrong }))
        }),
        says,
    }
}

/// A layer that maps one tensor of a shape to one, and refuses another.
pub(crate) fn unary<M: Forward + 'static>(
    name: &'static str,
    build: impl Fn() -> Result<M> + 'static,
    shape: &'static [usize],
    wrong: Tensor,
    says: &'static str,
) -> Case {
    Case {
        name,
        build: Box::new(move || {
            let (module, wrong) = (build()?, wrong.clone());
            let run = move |module: &M| one(module.forward(&x(shape)));
            let wrong = move |module: &M| (!says.is_empty()).then(|| one(module.forward(&wrong)));
            Ok(Box::new(Of { module, run, wrong }))
        }),
        says,
    }
}

/// Numbers between -1 and 1 that differ from element to element.
pub(crate) fn x(shape: &[usize]) -> Tensor {
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7 + len as f32).sin()).collect();
    Tensor::from_vec(values, shape).unwrap()
}

/// Whole numbers.
pub(crate) fn whole(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, values.len()).unwrap()
}

/// Whole numbers where others are expected.
pub(crate) fn integers(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::I64).unwrap()
}

pub(crate) fn one(output: Result<Tensor>) -> Result<Vec<Tensor>> {
    Ok(vec![output?])
}
