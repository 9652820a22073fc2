//! `SGD`, `ASGD`, `Rprop` and `Lion`.

use super::{Update, direction, effective_grad, sign};
use crate::element::Float;
use crate::simd;

/// `torch.optim.SGD`. State: the momentum buffer (empty without momentum).
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// How much of the gradient the momentum leaves out.
    pub dampening: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd {
            lr: 1e-3,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            maximize: false,
        }
    }
}

/// One step of [`Sgd`].
#[derive(Clone, Copy, Debug)]
pub struct SgdUpdate<T> {
    lr: T,
    momentum: T,
    keep: T,
    decay: T,
    sign: T,
    nesterov: bool,
    first: bool,
}

impl Sgd {
    /// The update of one step; on a parameter's `first` the buffer becomes the gradient itself.
    pub fn update<T: Float>(&self, first: bool) -> SgdUpdate<T> {
        SgdUpdate {
            lr: T::from_f64(self.lr),
            momentum: T::from_f64(self.momentum),
            keep: T::from_f64(1.0 - self.dampening),
            decay: T::from_f64(self.weight_decay),
            sign: direction(self.maximize),
            nesterov: self.nesterov,
            first,
        }
    }
}

impl<T: Float> Update<T, 1> for SgdUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [buffer]: [&mut [T]; 1]) {
        if self.momentum == T::ZERO {
            plain(param, grad, *self)
        } else {
            with_momentum(param, grad, buffer, *self)
        }
    }
}

simd! {
    fn plain[T: Float](param: &mut [T], grad: &[T], u: SgdUpdate<T>) {
        for (p, &g) in param.iter_mut().zip(grad) {
            *p = *p - u.lr * effective_grad(g, *p, u.sign, u.decay);
        }
    }

    fn with_momentum[T: Float](param: &mut [T], grad: &[T], buffer: &mut [T], u: SgdUpdate<T>) {
        for ((p, &g), b) in param.iter_mut().zip(grad).zip(buffer) {
            let g = effective_grad(g, *p, u.sign, u.decay);
            let moved = if u.first { g } else { *b * u.momentum + u.keep * g };
            *b = moved;
            *p = *p - u.lr * if u.nesterov { g + u.momentum * moved } else { moved };
        }
    }
}

/// `torch.optim.ASGD`. State: the averaged parameter. `eta` and `mu` are per-parameter scalars that the caller keeps:
/// they begin as `lr` and 1, and [`Asgd::next`] gives those of the following step.
#[derive(Clone, Copy, Debug)]
pub struct Asgd {
    /// Learning rate.
    pub lr: f64,
    /// Decay term.
    pub lambd: f64,
    /// Power of the step-size schedule.
    pub alpha: f64,
    /// The step from which on parameters are averaged.
    pub t0: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Asgd {
    fn default() -> Self {
        Asgd {
            lr: 1e-2,
            lambd: 1e-4,
            alpha: 0.75,
            t0: 1e6,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// One step of [`Asgd`].
#[derive(Clone, Copy, Debug)]
pub struct AsgdUpdate<T> {
    eta: T,
    shrink: T,
    mu: T,
    decay: T,
    sign: T,
}

impl Asgd {
    /// The update with the current `eta` and `mu`.
    pub fn update<T: Float>(&self, eta: f64, mu: f64) -> AsgdUpdate<T> {
        AsgdUpdate {
            eta: T::from_f64(eta),
            shrink: T::from_f64(1.0 - self.lambd * eta),
            mu: T::from_f64(mu),
            decay: T::from_f64(self.weight_decay),
            sign: direction(self.maximize),
        }
    }

    /// `(eta, mu)` for the step after `step` (the first is 1).
    pub fn next(&self, step: u64) -> (f64, f64) {
        let step = step as f64;
        (
            self.lr / (1.0 + self.lambd * self.lr * step).powf(self.alpha),
            1.0 / (step - self.t0).max(1.0),
        )
    }
}

impl<T: Float> Update<T, 1> for AsgdUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [average]: [&mut [T]; 1]) {
        asgd(param, grad, average, *self)
    }
}

simd! {
    fn asgd[T: Float](param: &mut [T], grad: &[T], average: &mut [T], u: AsgdUpdate<T>) {
        for ((p, &g), a) in param.iter_mut().zip(grad).zip(average) {
            let g = effective_grad(g, *p, u.sign, u.decay);
            let new = *p * u.shrink - u.eta * g;
            *p = new;
            *a = if u.mu == T::ONE { new } else { *a + (new - *a) * u.mu };
        }
    }
}

/// `torch.optim.Rprop`. State: the previous gradient (zeros at first) and the step sizes (`lr` at first).
#[derive(Clone, Copy, Debug)]
pub struct Rprop {
    /// Factors of the step size where the gradient's sign changes, and where it stays.
    pub etas: (f64, f64),
    /// Smallest and largest step size.
    pub step_sizes: (f64, f64),
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Rprop {
    fn default() -> Self {
        Rprop {
            etas: (0.5, 1.2),
            step_sizes: (1e-6, 50.0),
            maximize: false,
        }
    }
}

/// One step of [`Rprop`].
#[derive(Clone, Copy, Debug)]
pub struct RpropUpdate<T> {
    etas: (T, T),
    step_sizes: (T, T),
    sign: T,
}

impl Rprop {
    /// The update of one step.
    pub fn update<T: Float>(&self) -> RpropUpdate<T> {
        let pair = |(a, b)| (T::from_f64(a), T::from_f64(b));
        RpropUpdate {
            etas: pair(self.etas),
            step_sizes: pair(self.step_sizes),
            sign: direction(self.maximize),
        }
    }
}

impl<T: Float> Update<T, 2> for RpropUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [previous, step_size]: [&mut [T]; 2]) {
        rprop(param, grad, previous, step_size, *self)
    }
}

simd! {
    fn rprop[T: Float](param: &mut [T], grad: &[T], previous: &mut [T], step_size: &mut [T], u: RpropUpdate<T>) {
        for (((p, &g), previous), size) in param.iter_mut().zip(grad).zip(previous).zip(step_size) {
            let g = u.sign * g;
            let agreement = g * *previous;
            let factor = if agreement > T::ZERO {
                u.etas.1
            } else if agreement < T::ZERO {
                u.etas.0
            } else {
                T::ONE
            };
            let new = *size * factor;
            let new = if new < u.step_sizes.0 { u.step_sizes.0 } else { new };
            *size = if new > u.step_sizes.1 { u.step_sizes.1 } else { new };
            // Where the sign changed the parameter stays, and the next step knows no direction.
            let g = if agreement < T::ZERO { T::ZERO } else { g };
            *p = *p - sign(g) * *size;
            *previous = g;
        }
    }
}

/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"). State: the gradient's moving average.
#[derive(Clone, Copy, Debug)]
pub struct Lion {
    /// Learning rate.
    pub lr: f64,
    /// Weights of the average in the direction taken, and of its own past in the average.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Lion {
    fn default() -> Self {
        Lion {
            lr: 1e-4,
            betas: (0.9, 0.99),
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// One step of [`Lion`].
#[derive(Clone, Copy, Debug)]
pub struct LionUpdate<T> {
    lr: T,
    betas: (T, T),
    rest: (T, T),
    shrink: T,
    sign: T,
}

impl Lion {
    /// The update of one step.
    pub fn update<T: Float>(&self) -> LionUpdate<T> {
        LionUpdate {
            lr: T::from_f64(self.lr),
            betas: (T::from_f64(self.betas.0), T::from_f64(self.betas.1)),
            rest: (T::from_f64(1.0 - self.betas.0), T::from_f64(1.0 - self.betas.1)),
            shrink: T::from_f64(1.0 - self.lr * self.weight_decay),
            sign: direction(self.maximize),
        }
    }
}

impl<T: Float> Update<T, 1> for LionUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [average]: [&mut [T]; 1]) {
        lion(param, grad, average, *self)
    }
}

simd! {
    fn lion[T: Float](param: &mut [T], grad: &[T], average: &mut [T], u: LionUpdate<T>) {
        for ((p, &g), m) in param.iter_mut().zip(grad).zip(average) {
            let g = u.sign * g;
            let update = *m * u.betas.0 + g * u.rest.0;
            *p = *p * u.shrink - u.lr * sign(update);
            *m = *m * u.betas.1 + g * u.rest.1;
        }
    }
}
