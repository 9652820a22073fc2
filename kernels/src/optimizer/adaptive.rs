//! `RMSprop`, `Adagrad`, `Adadelta`.

use super::{Update, direction, effective_grad, lerp};
use crate::element::Float;
use crate::simd;

/// `torch.optim.RMSprop`. State: the average of the squared gradient, the momentum buffer (empty without momentum) and
/// the average of the gradient (empty unless centered).
#[derive(Clone, Copy, Debug)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Decay rate of the averages.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// Divide by the variance, not the second moment.
    pub centered: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            maximize: false,
        }
    }
}

/// One step of [`RmsProp`].
#[derive(Clone, Copy, Debug)]
pub struct RmsPropUpdate<T> {
    lr: T,
    alpha: T,
    rest: T,
    eps: T,
    decay: T,
    momentum: T,
    sign: T,
    centered: bool,
}

impl RmsProp {
    /// The update of one step.
    pub fn update<T: Float>(&self) -> RmsPropUpdate<T> {
        RmsPropUpdate {
            lr: T::from_f64(self.lr),
            alpha: T::from_f64(self.alpha),
            rest: T::from_f64(1.0 - self.alpha),
            eps: T::from_f64(self.eps),
            decay: T::from_f64(self.weight_decay),
            momentum: T::from_f64(self.momentum),
            sign: direction(self.maximize),
            centered: self.centered,
        }
    }
}

impl<T: Float> Update<T, 3> for RmsPropUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [square, buffer, average]: [&mut [T]; 3]) {
        rmsprop(param, grad, square, buffer, average, *self)
    }
}

simd! {
    fn rmsprop[T: Float](
        param: &mut [T],
        grad: &[T],
        square: &mut [T],
        buffer: &mut [T],
        average: &mut [T],
        u: RmsPropUpdate<T>,
    ) {
        for (i, ((p, &g), v)) in param.iter_mut().zip(grad).zip(square).enumerate() {
            let g = effective_grad(g, *p, u.sign, u.decay);
            *v = *v * u.alpha + u.rest * g * g;
            let denominator = if u.centered {
                let m = &mut average[i];
                *m = lerp(*m, g, u.rest);
                (*v - *m * *m).sqrt() + u.eps
            } else {
                v.sqrt() + u.eps
            };
            if u.momentum > T::ZERO {
                let b = &mut buffer[i];
                *b = *b * u.momentum + g / denominator;
                *p = *p - u.lr * *b;
            } else {
                *p = *p - u.lr * g / denominator;
            }
        }
    }
}

/// `torch.optim.Adagrad`. State: the sum of the squared gradients (`initial_accumulator_value` at first).
#[derive(Clone, Copy, Debug)]
pub struct Adagrad {
    /// Learning rate.
    pub lr: f64,
    /// How fast it falls: divided by `1 + (step - 1) · lr_decay`.
    pub lr_decay: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Adagrad {
    fn default() -> Self {
        Adagrad {
            lr: 1e-2,
            lr_decay: 0.0,
            weight_decay: 0.0,
            eps: 1e-10,
            maximize: false,
        }
    }
}

/// One step of [`Adagrad`].
#[derive(Clone, Copy, Debug)]
pub struct AdagradUpdate<T> {
    lr: T,
    eps: T,
    decay: T,
    sign: T,
}

impl Adagrad {
    /// The update of a parameter's step number `step`; the first is 1.
    pub fn update<T: Float>(&self, step: u64) -> AdagradUpdate<T> {
        AdagradUpdate {
            lr: T::from_f64(self.lr / (1.0 + (step as f64 - 1.0) * self.lr_decay)),
            eps: T::from_f64(self.eps),
            decay: T::from_f64(self.weight_decay),
            sign: direction(self.maximize),
        }
    }
}

impl<T: Float> Update<T, 1> for AdagradUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [sum]: [&mut [T]; 1]) {
        adagrad(param, grad, sum, *self)
    }
}

simd! {
    fn adagrad[T: Float](param: &mut [T], grad: &[T], sum: &mut [T], u: AdagradUpdate<T>) {
        for ((p, &g), s) in param.iter_mut().zip(grad).zip(sum) {
            let g = effective_grad(g, *p, u.sign, u.decay);
            *s += g * g;
            *p = *p - u.lr * g / (s.sqrt() + u.eps);
        }
    }
}

/// `torch.optim.Adadelta`. State: the averages of the squared gradient and of the squared update.
#[derive(Clone, Copy, Debug)]
pub struct Adadelta {
    /// Learning rate.
    pub lr: f64,
    /// Decay rate of the averages.
    pub rho: f64,
    /// Added under both roots.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Adadelta {
    fn default() -> Self {
        Adadelta {
            lr: 1.0,
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// One step of [`Adadelta`].
#[derive(Clone, Copy, Debug)]
pub struct AdadeltaUpdate<T> {
    lr: T,
    rho: T,
    rest: T,
    eps: T,
    decay: T,
    sign: T,
}

impl Adadelta {
    /// The update of one step.
    pub fn update<T: Float>(&self) -> AdadeltaUpdate<T> {
        AdadeltaUpdate {
            lr: T::from_f64(self.lr),
            rho: T::from_f64(self.rho),
            rest: T::from_f64(1.0 - self.rho),
            eps: T::from_f64(self.eps),
            decay: T::from_f64(self.weight_decay),
            sign: direction(self.maximize),
        }
    }
}

impl<T: Float> Update<T, 2> for AdadeltaUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [square, updates]: [&mut [T]; 2]) {
        adadelta(param, grad, square, updates, *self)
    }
}

simd! {
    fn adadelta[T: Float](param: &mut [T], grad: &[T], square: &mut [T], updates: &mut [T], u: AdadeltaUpdate<T>) {
        for (((p, &g), v), d) in param.iter_mut().zip(grad).zip(square).zip(updates) {
            let g = effective_grad(g, *p, u.sign, u.decay);
            *v = *v * u.rho + u.rest * g * g;
            let delta = (*d + u.eps).sqrt() / (*v + u.eps).sqrt() * g;
            *d = *d * u.rho + u.rest * delta * delta;
            *p = *p - u.lr * delta;
        }
    }
}
