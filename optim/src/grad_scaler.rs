//! `torch.amp.GradScaler`: the loss is scaled up so that small gradients survive in half precision, gradients are scaled
//! down again, and a step whose gradients overflowed is left out.
//!
//! Micikevicius et al. 2018, "Mixed Precision Training".

use std::collections::BTreeMap;

use flambeau_tensor::{Result, Tensor, ensure, no_grad};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Optimizer;
use crate::state::json_error;

/// Options of [`GradScaler`], with PyTorch's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradScalerOptions {
    /// The first scale.
    pub init_scale: f64,
    /// What the scale is multiplied by after `growth_interval` steps without overflow.
    pub growth_factor: f64,
    /// What it is multiplied by after an overflow.
    pub backoff_factor: f64,
    /// Steps without overflow until the scale grows.
    pub growth_interval: u64,
    /// Whether anything is scaled at all.
    pub enabled: bool,
}

impl Default for GradScalerOptions {
    fn default() -> Self {
        GradScalerOptions {
            init_scale: 65536.0,
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
            enabled: true,
        }
    }
}

/// Scales losses and gradients (`torch.amp.GradScaler`).
///
/// ```
/// use flambeau_autograd::Backward;
/// use flambeau_optim::{GradScaler, GradScalerOptions, Optimizer, SGD, SGDOptions};
/// use flambeau_tensor::Tensor;
///
/// let weight = Tensor::new([1.0f32])?.requires_grad(true)?;
/// let mut optimizer = SGD::new([weight.clone()], SGDOptions { lr: 0.25, ..Default::default() })?;
/// let mut scaler = GradScaler::new(GradScalerOptions::default())?;
/// optimizer.zero_grad();
/// let loss = weight.square()?.sum()?;
/// scaler.scale(&loss)?.backward()?;
/// assert!(scaler.step(&mut optimizer)?);
/// scaler.update();
/// assert_eq!(weight.to_vec::<f32>()?, [0.5]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GradScaler {
    options: GradScalerOptions,
    scale: f64,
    growth_tracker: u64,
    /// By optimiser (its first parameter): whether its gradients, which are scaled down already, overflowed.
    unscaled: BTreeMap<usize, bool>,
    /// Whether the gradients of any optimiser overflowed since the last update.
    found_inf: Option<bool>,
}

/// What is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u64,
    #[serde(rename = "_growth_tracker")]
    growth_tracker: u64,
}

impl GradScaler {
    /// A scaler.
    ///
    /// # Errors
    /// `Value` unless the growth factor is above 1 and the backoff factor below 1.
    pub fn new(options: GradScalerOptions) -> Result<GradScaler> {
        if options.enabled {
            ensure!(
                options.growth_factor > 1.0,
                Value,
                "GradScaler: The growth factor must be > 1.0."
            );
            ensure!(
                options.backoff_factor < 1.0,
                Value,
                "GradScaler: The backoff factor must be < 1.0."
            );
        }
        Ok(GradScaler {
            scale: options.init_scale,
            options,
            growth_tracker: 0,
            unscaled: BTreeMap::new(),
            found_inf: None,
        })
    }

    /// The scale of the next loss; 1 if disabled.
    pub fn get_scale(&self) -> f64 {
        if self.options.enabled { self.scale } else { 1.0 }
    }

    /// The loss times the scale; run `backward` on the result.
    ///
    /// # Errors
    /// `DType` if the loss is not of a floating point type.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor> {
        ensure!(
            loss.dtype().is_float(),
            DType,
            "GradScaler: a loss of {}, expected a floating point type",
            loss.dtype()
        );
        if self.options.enabled {
            loss.mul(self.scale)
        } else {
            Ok(loss.clone())
        }
    }

    /// Scales the gradients of an optimiser's parameters down in place, e.g. to clip them before
    /// [`GradScaler::step`].
    ///
    /// # Errors
    /// `Value` if this was done already since the last [`GradScaler::update`].
    pub fn unscale_(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let key = key(optimizer);
        ensure!(
            !self.unscaled.contains_key(&key),
            Value,
            "unscale_() has already been called on this optimizer since the last update()."
        );
        let mut overflow = false;
        no_grad(|| {
            for group in optimizer.param_groups() {
                for param in group.params() {
                    if let Some(grad) = param.grad() {
                        let grad = grad.detach().mul(1.0 / self.scale)?;
                        overflow |= grad.numel() > 0 && !grad.isfinite()?.all()?.item::<bool>()?;
                        param.set_grad(Some(grad))?;
                    }
                }
            }
            Ok::<_, flambeau_tensor::Error>(())
        })?;
        self.unscaled.insert(key, overflow);
        self.found_inf = Some(overflow || self.found_inf == Some(true));
        Ok(())
    }

    /// Scales gradients down (if [`GradScaler::unscale_`] was not called) and steps, unless they overflowed. Says
    /// whether the optimiser took the step.
    ///
    /// # Errors
    /// The optimiser's.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<bool> {
        if !self.options.enabled {
            optimizer.step()?;
            return Ok(true);
        }
        let key = key(optimizer);
        if !self.unscaled.contains_key(&key) {
            self.unscale_(optimizer)?;
        }
        let overflow = self.unscaled.get(&key) == Some(&true);
        if !overflow {
            optimizer.step()?;
        }
        Ok(!overflow)
    }

    /// Changes the scale by what the steps since the last update met: down after an overflow, up after many steps
    /// without.
    pub fn update(&mut self) {
        let found = self.found_inf.take();
        self.unscaled.clear();
        match found {
            None => {}
            Some(true) => {
                self.scale *= self.options.backoff_factor;
                self.growth_tracker = 0;
            }
            Some(false) => {
                self.growth_tracker += 1;
                if self.growth_tracker == self.options.growth_interval {
                    // A scale beyond float32 would make every loss infinite.
                    let larger = self.scale * self.options.growth_factor;
                    if larger <= f64::from(f32::MAX) {
                        self.scale = larger;
                    }
                    self.growth_tracker = 0;
                }
            }
        }
    }

    /// Scale and counters, as data.
    ///
    /// # Errors
    /// `Format` if a number can't be written.
    pub fn state_dict(&self) -> Result<Json> {
        let saved = Saved {
            scale: self.scale,
            growth_factor: self.options.growth_factor,
            backoff_factor: self.options.backoff_factor,
            growth_interval: self.options.growth_interval,
            growth_tracker: self.growth_tracker,
        };
        serde_json::to_value(saved).map_err(json_error)
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// `Format` if it is of something else.
    pub fn load_state_dict(&mut self, state: &Json) -> Result<()> {
        let saved = Saved::deserialize(state).map_err(|e| json_error(e).context("GradScaler"))?;
        self.scale = saved.scale;
        self.growth_tracker = saved.growth_tracker;
        self.options.growth_factor = saved.growth_factor;
        self.options.backoff_factor = saved.backoff_factor;
        self.options.growth_interval = saved.growth_interval;
        Ok(())
    }
}

/// What tells optimisers apart: no two update the same parameter.
fn key(optimizer: &dyn Optimizer) -> usize {
    let groups = optimizer.param_groups();
    let first = groups.iter().flat_map(|group| group.params()).next();
    first.map_or(0, Tensor::id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SGD, SGDOptions};

    #[test]
    fn overflow_skips_the_step_and_lowers_the_scale() {
        let param = Tensor::new([1.0f32, 2.0]).unwrap().requires_grad(true).unwrap();
        let mut optimizer = SGD::new([param.clone()], SGDOptions::default()).unwrap();
        let options = GradScalerOptions {
            init_scale: 4.0,
            growth_interval: 2,
            ..Default::default()
        };
        let mut scaler = GradScaler::new(options.clone()).unwrap();
        let mut scales = Vec::new();
        for grad in [1.0, f32::INFINITY, 1.0, 1.0, 1.0, f32::NAN] {
            param.set_grad(Some(Tensor::new([grad, 0.0]).unwrap())).unwrap();
            let before = param.to_vec::<f32>().unwrap();
            let stepped = scaler.step(&mut optimizer).unwrap();
            assert_eq!(stepped, grad.is_finite());
            assert_eq!(stepped, before != param.to_vec::<f32>().unwrap());
            scaler.update();
            scales.push(scaler.get_scale());
        }
        assert_eq!(scales, [4.0, 2.0, 2.0, 4.0, 4.0, 2.0]);
        let mut other = GradScaler::new(GradScalerOptions::default()).unwrap();
        other.load_state_dict(&scaler.state_dict().unwrap()).unwrap();
        assert_eq!(other.get_scale(), 2.0);
        let wrong = GradScalerOptions {
            growth_factor: 1.0,
            ..options
        };
        assert!(GradScaler::new(wrong).is_err());
    }

    #[test]
    fn gradients_are_scaled_down_once() {
        let param = Tensor::new([1.0f32]).unwrap().requires_grad(true).unwrap();
        let mut optimizer = SGD::new(
            [param.clone()],
            SGDOptions {
                lr: 1.0,
                ..Default::default()
            },
        )
        .unwrap();
        let mut scaler = GradScaler::new(GradScalerOptions::default()).unwrap();
        param.set_grad(Some(Tensor::new([65536.0f32]).unwrap())).unwrap();
        scaler.unscale_(&optimizer).unwrap();
        assert_eq!(param.grad().unwrap().to_vec::<f32>().unwrap(), [1.0]);
        assert!(scaler.unscale_(&optimizer).is_err());
        assert!(scaler.step(&mut optimizer).unwrap());
        assert_eq!(param.to_vec::<f32>().unwrap(), [0.0]);
    }
}
