//! `torch.optim.LBFGS`: a quasi-Newton method that approximates the inverse Hessian by its last few steps.
//!
//! ```text
//! s = last step,   y = change of the gradient
//! d = -H·g   by the two-loop recursion over the last (s, y), from H₀ = (y·s)/(y·y)
//! p ← p + t·d   with t = lr, or from a line search that meets the strong Wolfe conditions
//! ```
//!
//! All parameters together are one vector; numbers round as in PyTorch ([`number`]). Liu and Nocedal 1989, "On the limited
//! memory BFGS method for large scale optimization"; Nocedal and Wright 2006, "Numerical Optimization", algorithms 3.5, 3.6
//! and 7.4.

mod line_search;
mod number;

use flambeau_tensor::{DType, Error, Result, Tensor, bail, enable_grad, ensure, no_grad};
use serde::{Deserialize, Serialize};

use crate::fused::working_dtype;
use crate::group::{Group, HyperParameters, check, rates};
use crate::{Optimizer, ParamGroup, ParamState, StateDict};
use line_search::{Point, strong_wolfe};
use number::Number;

/// Options of [`LBFGS`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LBFGSOptions {
    /// Learning rate: the step's length, or what the line search tries first.
    pub lr: f64,
    /// Most iterations in a step.
    pub max_iter: usize,
    /// Most calls of the closure in a step; none means 5/4 of `max_iter`.
    pub max_eval: Option<usize>,
    /// Stop when no element of the gradient is larger.
    pub tolerance_grad: f64,
    /// Stop when loss or parameters change by less.
    pub tolerance_change: f64,
    /// How many steps are remembered.
    pub history_size: usize,
    /// How the step's length is found.
    pub line_search_fn: Option<LineSearch>,
    /// Ascend instead of descend.
    pub maximize: bool,
}

/// How [`LBFGS`] finds the length of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineSearch {
    /// By cubic interpolation until the strong Wolfe conditions hold.
    StrongWolfe,
}

impl Default for LBFGSOptions {
    fn default() -> Self {
        LBFGSOptions {
            lr: 1.0,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            line_search_fn: None,
            maximize: false,
        }
    }
}

impl HyperParameters for LBFGSOptions {
    const NAME: &'static str = "LBFGS";

    rates!();

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        ensure!(self.history_size > 0, Value, "Invalid history_size value: 0");
        Ok(())
    }
}

/// L-BFGS (`torch.optim.LBFGS`). It has one group of parameters and calls the closure several times in a step.
///
/// ```
/// use flambeau_autograd::Backward;
/// use flambeau_optim::{LBFGS, LBFGSOptions, LineSearch, Optimizer};
/// use flambeau_tensor::Tensor;
///
/// let x = Tensor::new([3.0f64, -1.0])?.requires_grad(true)?;
/// let line_search_fn = Some(LineSearch::StrongWolfe);
/// let mut optimizer = LBFGS::new([x.clone()], LBFGSOptions { line_search_fn, ..Default::default() })?;
/// let loss = optimizer.step_with_closure(&mut || {
///     let loss = x.sub(1.0)?.square()?.sum()?;
///     loss.backward()?;
///     Ok(loss)
/// })?;
/// assert_eq!(loss.item::<f64>()?, 8.0);
/// assert!(x.to_vec::<f64>()?.iter().all(|x| (x - 1.0).abs() < 1e-6));
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct LBFGS {
    group: Group<LBFGSOptions>,
}

impl LBFGS {
    /// An optimiser of the parameters.
    ///
    /// # Errors
    /// `Value` if there is no parameter, one is computed from others, or the learning rate is negative.
    pub fn new(params: impl IntoIterator<Item = Tensor>, options: LBFGSOptions) -> Result<LBFGS> {
        let group = Group::new(params.into_iter().collect(), options)?;
        ensure!(
            !group.params().is_empty(),
            Value,
            "LBFGS: optimizer got an empty parameter list"
        );
        Ok(LBFGS { group })
    }

    /// The group with all its options.
    pub fn group(&self) -> &Group<LBFGSOptions> {
        &self.group
    }

    /// The group, to change its options between steps.
    pub fn group_mut(&mut self) -> &mut Group<LBFGSOptions> {
        &mut self.group
    }

    /// All gradients in a row; zeros for parameters that have none. Negated to maximise.
    fn flat_grad(&self) -> Result<Tensor> {
        let params = self.group.params();
        let double = params.iter().any(|param| working_dtype(param) == DType::F64);
        let dtype = if double { DType::F64 } else { DType::F32 };
        let flat = params.iter().map(|param| {
            let grad = match param.grad() {
                Some(grad) => grad.detach(),
                None => param.detach().zeros_like()?,
            };
            grad.flatten(0, -1)?.to_dtype(dtype)
        });
        let flat = Tensor::cat(&flat.collect::<Result<Vec<_>>>()?, 0)?;
        if self.group.options.maximize {
            flat.neg()
        } else {
            Ok(flat)
        }
    }

    /// Moves all parameters by `t·direction`.
    fn advance(&self, t: Number, direction: &Tensor) -> Result<()> {
        let mut offset = 0;
        for param in self.group.params() {
            let part = direction.narrow(0, offset as isize, param.numel())?;
            let part = part.reshape_as(param)?.to_dtype(param.dtype())?;
            param.add_scaled_(&part, t.value())?;
            offset += param.numel();
        }
        Ok(())
    }

    /// Clears the gradients, computes the loss and its gradients.
    fn evaluate(&self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<(Tensor, f64, Tensor)> {
        self.zero_grad();
        let loss = enable_grad(closure)?;
        let value = loss.item_f64()?;
        let value = if self.group.options.maximize {
            -value
        } else {
            value
        };
        Ok((loss, value, self.flat_grad()?))
    }

    /// The loss and gradient at `t·direction` from here; the parameters stay.
    fn look(
        &self,
        closure: &mut dyn FnMut() -> Result<Tensor>,
        t: Number,
        direction: &Tensor,
    ) -> Result<Point> {
        let here: Vec<Tensor> = self.group.params().iter().map(Tensor::detach).collect();
        self.advance(t, direction)?;
        let (_, loss, grad) = self.evaluate(closure)?;
        for (param, value) in self.group.params().iter().zip(&here) {
            param.copy_(value)?;
        }
        let slope = Number::of(&grad.dot(direction)?)?;
        let loss = Number::float(loss);
        Ok(Point { t, loss, grad, slope })
    }

    fn minimize(&self, memory: &mut Memory, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let options = &self.group.options;
        let max_eval = options.max_eval.unwrap_or(options.max_iter * 5 / 4);
        let (first_loss, mut loss, mut grad) = self.evaluate(closure)?;
        let mut evals = 1;
        memory.func_evals += 1.0;
        let tolerance = Number::float(options.tolerance_change);
        let flat = |grad: &Tensor| Ok::<bool, Error>(largest(grad)? <= Number::float(options.tolerance_grad));
        let mut done = flat(&grad)?;
        if done {
            return Ok(first_loss);
        }
        for iteration in 1..=options.max_iter {
            memory.n_iter += 1.0;
            let first = memory.n_iter == 1.0;
            memory.turn(&grad, first, options.history_size)?;
            memory.prev_flat_grad = Some(grad.clone());
            memory.prev_loss = loss;
            let mut t = Number::float(options.lr);
            if first {
                let one = Number::float(1.0);
                t = one.min(one / Number::of(&grad.abs()?.sum()?)?) * t;
            }
            memory.t = t.value();
            let direction = memory.direction()?.clone();
            let slope = Number::of(&grad.dot(&direction)?)?;
            if slope > -tolerance {
                break;
            }
            let mut calls = 0;
            match options.line_search_fn {
                Some(LineSearch::StrongWolfe) => {
                    let start = Point {
                        t: Number::float(0.0),
                        loss: Number::float(loss),
                        grad: grad.clone(),
                        slope,
                    };
                    let budget = max_eval.saturating_sub(evals);
                    let look = &mut |t| self.look(closure, t, &direction);
                    let (best, used) = strong_wolfe(look, start, t, &direction, tolerance, budget)?;
                    (loss, grad, t, calls) = (best.loss.value(), best.grad, best.t, used);
                    self.advance(t, &direction)?;
                    done = flat(&grad)?;
                }
                None => {
                    self.advance(t, &direction)?;
                    if iteration != options.max_iter {
                        (_, loss, grad) = self.evaluate(closure)?;
                        done = flat(&grad)?;
                        calls = 1;
                    }
                }
            }
            memory.t = t.value();
            evals += calls;
            memory.func_evals += calls as f64;
            if iteration == options.max_iter
                || evals >= max_eval
                || done
                || largest(&direction)? * t.abs() <= tolerance
                || (loss - memory.prev_loss).abs() < options.tolerance_change
            {
                break;
            }
        }
        Ok(first_loss)
    }
}

impl Optimizer for LBFGS {
    fn param_groups(&self) -> Vec<&dyn ParamGroup> {
        vec![&self.group]
    }

    fn param_groups_mut(&mut self) -> Vec<&mut dyn ParamGroup> {
        vec![&mut self.group]
    }

    fn step(&mut self) -> Result<()> {
        bail!(
            Value,
            "LBFGS: a step evaluates the loss several times and needs a closure; use step_with_closure"
        )
    }

    fn step_with_closure(&mut self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let mut memory = Memory::from_state(&self.group.states[0])?;
        let loss = no_grad(|| self.minimize(&mut memory, closure));
        self.group.states[0] = memory.to_state();
        loss
    }

    fn state_dict(&self) -> Result<StateDict> {
        let mut dict = StateDict::default();
        self.group.save(0, &mut dict)?;
        Ok(dict)
    }

    fn load_state_dict(&mut self, dict: &StateDict) -> Result<()> {
        dict.check_groups(&[self.group.params().len()])?;
        self.group = self.group.restored(&dict.param_groups[0], &dict.state)?;
        Ok(())
    }
}

/// What is remembered between iterations, under PyTorch's names.
#[derive(Debug, Default)]
struct Memory {
    func_evals: f64,
    n_iter: f64,
    /// The direction of the last iteration, and how far it was followed.
    d: Option<Tensor>,
    t: f64,
    /// Changes of the gradient, the steps that made them, and `1/(y·s)` of each pair; the oldest first.
    old_dirs: Vec<Tensor>,
    old_stps: Vec<Tensor>,
    ro: Vec<f64>,
    /// The first approximation of the inverse Hessian: a multiple of the identity.
    h_diag: f64,
    prev_flat_grad: Option<Tensor>,
    prev_loss: f64,
}

impl Memory {
    fn direction(&self) -> Result<&Tensor> {
        let missing = || Error::Value("LBFGS: the loaded state has no `d`".into());
        self.d.as_ref().ok_or_else(missing)
    }

    /// Takes in the gradient after the last step and finds the next direction.
    fn turn(&mut self, grad: &Tensor, first: bool, history_size: usize) -> Result<()> {
        let (Some(last), Some(previous), false) = (&self.d, &self.prev_flat_grad, first) else {
            self.d = Some(grad.neg()?);
            self.h_diag = 1.0;
            return Ok(());
        };
        let (y, s) = (grad.sub(previous)?, last.mul(self.t)?);
        let ys = Number::of(&y.dot(&s)?)?;
        if ys > Number::float(1e-10) {
            if self.old_dirs.len() >= history_size {
                self.old_dirs.remove(0);
                self.old_stps.remove(0);
                self.ro.remove(0);
            }
            self.h_diag = (ys / Number::of(&y.dot(&y)?)?).value();
            self.old_dirs.push(y);
            self.old_stps.push(s);
            self.ro.push((Number::float(1.0) / ys).value());
        }
        let direction = grad.neg()?;
        let pairs = || self.old_dirs.iter().zip(&self.old_stps).zip(&self.ro);
        let mut weights = Vec::with_capacity(self.ro.len());
        for ((y, s), ro) in pairs().rev() {
            let weight = Number::of(&s.dot(&direction)?)? * Number::float(*ro);
            direction.add_scaled_(y, -weight.value())?;
            weights.push(weight);
        }
        direction.mul_(self.h_diag)?;
        for (((y, s), ro), weight) in pairs().zip(weights.into_iter().rev()) {
            let back = Number::of(&y.dot(&direction)?)? * Number::float(*ro);
            direction.add_scaled_(s, (weight - back).value())?;
        }
        self.d = Some(direction);
        Ok(())
    }

    fn from_state(state: &ParamState) -> Result<Memory> {
        let number = |name: &str| Ok::<f64, Error>(state.number(name)?.unwrap_or(0.0));
        let list = |name: &str| {
            let items = (0..).map_while(|i| state.tensor(&format!("{name}.{i}")).cloned());
            items.collect::<Vec<_>>()
        };
        let mut ro = Vec::new();
        while let Some(x) = state.number(&format!("ro.{}", ro.len()))? {
            ro.push(x);
        }
        let (old_dirs, old_stps) = (list("old_dirs"), list("old_stps"));
        ensure!(
            old_dirs.len() == ro.len() && old_stps.len() == ro.len(),
            Value,
            "LBFGS: the loaded state has {} old_dirs, {} old_stps and {} ro",
            old_dirs.len(),
            old_stps.len(),
            ro.len()
        );
        Ok(Memory {
            func_evals: number("func_evals")?,
            n_iter: number("n_iter")?,
            d: state.tensor("d").cloned(),
            t: number("t")?,
            old_dirs,
            old_stps,
            ro,
            h_diag: number("H_diag")?,
            prev_flat_grad: state.tensor("prev_flat_grad").cloned(),
            prev_loss: number("prev_loss")?,
        })
    }

    fn to_state(&self) -> ParamState {
        let mut state = ParamState::default();
        let numbers = [
            ("func_evals", self.func_evals),
            ("n_iter", self.n_iter),
            ("t", self.t),
            ("H_diag", self.h_diag),
            ("prev_loss", self.prev_loss),
        ];
        for (name, number) in numbers {
            state.set_number(name, number);
        }
        for (i, ro) in self.ro.iter().enumerate() {
            state.set_number(&format!("ro.{i}"), *ro);
            state.set_tensor(&format!("old_dirs.{i}"), self.old_dirs[i].clone());
            state.set_tensor(&format!("old_stps.{i}"), self.old_stps[i].clone());
        }
        for (name, tensor) in [("d", &self.d), ("prev_flat_grad", &self.prev_flat_grad)] {
            if let Some(tensor) = tensor {
                state.set_tensor(name, tensor.clone());
            }
        }
        state
    }
}

/// The largest magnitude; 0 of nothing.
fn largest(x: &Tensor) -> Result<Number> {
    match x.numel() {
        0 => Ok(Number::float(0.0)),
        _ => Number::of(&x.abs()?.max()?),
    }
}
