//! `Adam` and `AdamW`, `Adamax`, `NAdam`, `RAdam`.

use super::{Update, direction, effective_grad, lerp};
use crate::element::Float;
use crate::simd;

/// `torch.optim.Adam`, and `AdamW` where `decoupled_weight_decay`. State: the average of the gradient, of its square,
/// and the largest of the latter so far (empty without `amsgrad`).
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the two averages.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, or decoupled weight decay.
    pub weight_decay: f64,
    /// Shrink the parameter itself rather than add to the gradient.
    pub decoupled_weight_decay: bool,
    /// Divide by the largest average so far.
    pub amsgrad: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Adam {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            amsgrad: false,
            maximize: false,
        }
    }
}

/// What the updates of this family have in common.
#[derive(Clone, Copy, Debug)]
struct Moments<T> {
    /// Weight of the gradient in its average: `1 - beta1`.
    weight1: T,
    beta2: T,
    weight2: T,
    eps: T,
    /// What the parameter is multiplied by first: `1 - lr · weight_decay` if decoupled, else 1.
    shrink: T,
    /// L2 penalty; 0 if decoupled.
    decay: T,
    sign: T,
}

impl<T: Float> Moments<T> {
    fn new(lr: f64, betas: (f64, f64), eps: f64, weight_decay: f64, decoupled: bool, maximize: bool) -> Self {
        let (shrink, decay) = if decoupled {
            (1.0 - lr * weight_decay, 0.0)
        } else {
            (1.0, weight_decay)
        };
        Moments {
            weight1: T::from_f64(1.0 - betas.0),
            beta2: T::from_f64(betas.1),
            weight2: T::from_f64(1.0 - betas.1),
            eps: T::from_f64(eps),
            shrink: T::from_f64(shrink),
            decay: T::from_f64(decay),
            sign: direction(maximize),
        }
    }

    /// Applies the weight decay and updates both averages; returns the parameter and the gradient to go on with.
    #[inline(always)]
    fn advance(&self, param: T, grad: T, average: &mut T, square: &mut T) -> (T, T) {
        let param = param * self.shrink;
        let grad = effective_grad(grad, param, self.sign, self.decay);
        *average = lerp(*average, grad, self.weight1);
        *square = *square * self.beta2 + self.weight2 * grad * grad;
        (param, grad)
    }
}

/// The [`Moments`] of an optimiser, by its fields.
macro_rules! moments {
    ($optimizer:ident, decoupled: $decoupled:expr) => {
        Moments::new(
            $optimizer.lr,
            $optimizer.betas,
            $optimizer.eps,
            $optimizer.weight_decay,
            $decoupled,
            $optimizer.maximize,
        )
    };
}

/// One step of [`Adam`].
#[derive(Clone, Copy, Debug)]
pub struct AdamUpdate<T> {
    moments: Moments<T>,
    step_size: T,
    correction2_sqrt: T,
    amsgrad: bool,
}

impl Adam {
    /// The update of a parameter's step number `step`; the first is 1.
    pub fn update<T: Float>(&self, step: u64) -> AdamUpdate<T> {
        let (correction1, correction2) = corrections(self.betas, step);
        AdamUpdate {
            moments: moments!(self, decoupled: self.decoupled_weight_decay),
            step_size: T::from_f64(self.lr / correction1),
            correction2_sqrt: T::from_f64(correction2.sqrt()),
            amsgrad: self.amsgrad,
        }
    }
}

/// `1 - beta^step` for both betas.
fn corrections(betas: (f64, f64), step: u64) -> (f64, f64) {
    (1.0 - betas.0.powf(step as f64), 1.0 - betas.1.powf(step as f64))
}

impl<T: Float> Update<T, 3> for AdamUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [average, square, largest]: [&mut [T]; 3]) {
        if self.amsgrad {
            adam_amsgrad(param, grad, average, square, largest, *self)
        } else {
            adam(param, grad, average, square, *self)
        }
    }
}

simd! {
    fn adam[T: Float](param: &mut [T], grad: &[T], average: &mut [T], square: &mut [T], u: AdamUpdate<T>) {
        for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(average).zip(square) {
            let (new, _) = u.moments.advance(*p, g, m, v);
            let denominator = v.sqrt() / u.correction2_sqrt + u.moments.eps;
            *p = new - u.step_size * *m / denominator;
        }
    }

    fn adam_amsgrad[T: Float](
        param: &mut [T],
        grad: &[T],
        average: &mut [T],
        square: &mut [T],
        largest: &mut [T],
        u: AdamUpdate<T>,
    ) {
        for ((((p, &g), m), v), largest) in param.iter_mut().zip(grad).zip(average).zip(square).zip(largest) {
            let (new, _) = u.moments.advance(*p, g, m, v);
            *largest = crate::index::larger(*largest, *v);
            let denominator = largest.sqrt() / u.correction2_sqrt + u.moments.eps;
            *p = new - u.step_size * *m / denominator;
        }
    }
}

/// `torch.optim.Adamax`. State: the average of the gradient, and its decaying largest magnitude.
#[derive(Clone, Copy, Debug)]
pub struct Adamax {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the average and of the largest magnitude.
    pub betas: (f64, f64),
    /// Added to the magnitude.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for Adamax {
    fn default() -> Self {
        Adamax {
            lr: 2e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// One step of [`Adamax`].
#[derive(Clone, Copy, Debug)]
pub struct AdamaxUpdate<T> {
    moments: Moments<T>,
    step_size: T,
}

impl Adamax {
    /// The update of a parameter's step number `step`; the first is 1.
    pub fn update<T: Float>(&self, step: u64) -> AdamaxUpdate<T> {
        AdamaxUpdate {
            moments: moments!(self, decoupled: false),
            step_size: T::from_f64(self.lr / corrections(self.betas, step).0),
        }
    }
}

impl<T: Float> Update<T, 2> for AdamaxUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [average, magnitude]: [&mut [T]; 2]) {
        adamax(param, grad, average, magnitude, *self)
    }
}

simd! {
    fn adamax[T: Float](param: &mut [T], grad: &[T], average: &mut [T], magnitude: &mut [T], u: AdamaxUpdate<T>) {
        let c = u.moments;
        for (((p, &g), m), n) in param.iter_mut().zip(grad).zip(average).zip(magnitude) {
            let g = effective_grad(g, *p, c.sign, c.decay);
            *m = lerp(*m, g, c.weight1);
            *n = crate::index::larger(*n * c.beta2, g.abs() + c.eps);
            *p = *p - u.step_size * *m / *n;
        }
    }
}

/// `torch.optim.NAdam`. State: the averages of the gradient and of its square. The caller keeps each parameter's
/// `mu_product`, 1 at first, which [`NAdam::update`] advances.
#[derive(Clone, Copy, Debug)]
pub struct NAdam {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the two averages.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, or decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the momentum schedule.
    pub momentum_decay: f64,
    /// Shrink the parameter itself rather than add to the gradient.
    pub decoupled_weight_decay: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for NAdam {
    fn default() -> Self {
        NAdam {
            lr: 2e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
            decoupled_weight_decay: false,
            maximize: false,
        }
    }
}

/// One step of [`NAdam`].
#[derive(Clone, Copy, Debug)]
pub struct NAdamUpdate<T> {
    moments: Moments<T>,
    correction2: T,
    /// Factors of the gradient and of its average.
    gradient: T,
    average: T,
}

impl NAdam {
    /// The update of a parameter's step number `step` (the first is 1); multiplies `mu_product` by this step's.
    pub fn update<T: Float>(&self, step: u64, mu_product: &mut f64) -> NAdamUpdate<T> {
        let momentum =
            |step: u64| self.betas.0 * (1.0 - 0.5 * 0.96f64.powf(step as f64 * self.momentum_decay));
        let (mu, mu_next) = (momentum(step), momentum(step + 1));
        // PyTorch keeps the product in float32.
        *mu_product = f64::from(*mu_product as f32 * mu as f32);
        NAdamUpdate {
            moments: moments!(self, decoupled: self.decoupled_weight_decay),
            correction2: T::from_f64(corrections(self.betas, step).1),
            gradient: T::from_f64(-self.lr * (1.0 - mu) / (1.0 - *mu_product)),
            average: T::from_f64(-self.lr * mu_next / (1.0 - *mu_product * mu_next)),
        }
    }
}

impl<T: Float> Update<T, 2> for NAdamUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [average, square]: [&mut [T]; 2]) {
        nadam(param, grad, average, square, *self)
    }
}

simd! {
    fn nadam[T: Float](param: &mut [T], grad: &[T], average: &mut [T], square: &mut [T], u: NAdamUpdate<T>) {
        for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(average).zip(square) {
            let (new, g) = u.moments.advance(*p, g, m, v);
            let denominator = (*v / u.correction2).sqrt() + u.moments.eps;
            *p = new + u.gradient * g / denominator + u.average * *m / denominator;
        }
    }
}

/// `torch.optim.RAdam`. State: the averages of the gradient and of its square.
#[derive(Clone, Copy, Debug)]
pub struct RAdam {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the two averages.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, or decoupled weight decay.
    pub weight_decay: f64,
    /// Shrink the parameter itself rather than add to the gradient.
    pub decoupled_weight_decay: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        RAdam {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            maximize: false,
        }
    }
}

/// One step of [`RAdam`].
#[derive(Clone, Copy, Debug)]
pub struct RAdamUpdate<T> {
    moments: Moments<T>,
    correction1: T,
    correction2_sqrt: T,
    lr: T,
    /// The variance's rectification; none while the average is too short for one.
    rectification: Option<T>,
}

impl RAdam {
    /// The update of a parameter's step number `step`; the first is 1.
    pub fn update<T: Float>(&self, step: u64) -> RAdamUpdate<T> {
        let (correction1, correction2) = corrections(self.betas, step);
        let (step, beta2) = (step as f64, self.betas.1);
        let rho_inf = 2.0 / (1.0 - beta2) - 1.0;
        let rho = rho_inf - 2.0 * step * beta2.powf(step) / correction2;
        let rectification = (rho > 5.0).then(|| {
            let ratio = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho);
            T::from_f64(ratio.sqrt())
        });
        RAdamUpdate {
            moments: moments!(self, decoupled: self.decoupled_weight_decay),
            correction1: T::from_f64(correction1),
            correction2_sqrt: T::from_f64(correction2.sqrt()),
            lr: T::from_f64(self.lr),
            rectification,
        }
    }
}

impl<T: Float> Update<T, 2> for RAdamUpdate<T> {
    fn apply(&self, param: &mut [T], grad: &[T], [average, square]: [&mut [T]; 2]) {
        radam(param, grad, average, square, *self)
    }
}

simd! {
    fn radam[T: Float](param: &mut [T], grad: &[T], average: &mut [T], square: &mut [T], u: RAdamUpdate<T>) {
        for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(average).zip(square) {
            let (new, _) = u.moments.advance(*p, g, m, v);
            let update = *m / u.correction1 * u.lr;
            *p = new
                - match u.rectification {
                    Some(r) => update * (u.correction2_sqrt / (v.sqrt() + u.moments.eps)) * r,
                    None => update,
                };
        }
    }
}
