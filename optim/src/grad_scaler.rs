//! `torch.amp.GradScaler`: the loss is scaled up so that small gradients survive in half precision, gradients are scaled
//! down again, and a step whose gradients overflowed is left out.
//!
//! Micikevicius et al. 2018, "Mixed Precision Training".

use std::collections::BTreeMap;

use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};
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
/// scaler.update(None)?;
/// assert_eq!(weight.to_vec::<f32>()?, [0.5]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GradScaler {
    options: GradScalerOptions,
    /// A number of `float32`, as PyTorch keeps it.
    scale: f64,
    growth_tracker: u64,
    /// What happened since the last update, by optimiser (its first parameter).
    done: BTreeMap<usize, Done>,
}

/// What happened to an optimiser since the last update.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// Whether its gradients, which are scaled down already, overflowed; nothing if it had none.
    overflow: Option<bool>,
    stepped: bool,
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
            scale: single(options.init_scale),
            options,
            growth_tracker: 0,
            done: BTreeMap::new(),
        })
    }

    /// Whether anything is scaled at all.
    pub fn is_enabled(&self) -> bool {
        self.options.enabled
    }

    /// The scale of the next loss; 1 if disabled.
    pub fn get_scale(&self) -> f64 {
        if self.options.enabled { self.scale } else { 1.0 }
    }

    /// The loss times the scale; run `backward` on the result. A 0-d loss of a half-width type becomes one of `float32`,
    /// which has room for the product.
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
            loss.mul(&Tensor::scalar(self.scale as f32))
        } else {
            Ok(loss.clone())
        }
    }

    /// Scales the gradients of an optimiser's parameters down in place, e.g. to clip them before
    /// [`GradScaler::step`].
    ///
    /// # Errors
    /// `Value` if this was done already since the last [`GradScaler::update`], or a gradient is of `float16`: parameters
    /// stay in `float32` where gradients are scaled.
    pub fn unscale_(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let key = key(optimizer);
        if let Some(done) = self.done.get(&key) {
            ensure!(!done.stepped, Value, "unscale_() is being called after step().");
            bail!(
                Value,
                "unscale_() has already been called on this optimizer since the last update()."
            );
        }
        let groups = optimizer.param_groups();
        let params: Vec<&Tensor> = groups
            .iter()
            .flat_map(|group| group.params())
            .filter(|param| param.grad().is_some())
            .collect();
        ensure!(
            params.iter().all(|param| param.dtype() != DType::F16),
            Value,
            "Attempting to unscale FP16 gradients."
        );
        let factor = single(1.0 / self.scale);
        let mut overflow = None;
        no_grad(|| {
            for param in params {
                if let Some(grad) = param.take_grad() {
                    let finite = grad.isfinite()?.all()?.item::<bool>()?;
                    overflow = Some(overflow == Some(true) || !finite);
                    param.set_grad(Some(grad.detach().mul(factor)?))?;
                }
            }
            Ok::<_, flambeau_tensor::Error>(())
        })?;
        let stepped = false;
        self.done.insert(key, Done { overflow, stepped });
        Ok(())
    }

    /// Scales gradients down (if [`GradScaler::unscale_`] was not called) and steps, unless they overflowed. Says
    /// whether the optimiser took the step.
    ///
    /// # Errors
    /// `Value` if this was done already since the last [`GradScaler::update`], or no parameter has a gradient; the
    /// optimiser's.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<bool> {
        if !self.options.enabled {
            optimizer.step()?;
            return Ok(true);
        }
        let key = key(optimizer);
        if !self.done.contains_key(&key) {
            self.unscale_(optimizer)?;
        }
        let Some(done) = self.done.get_mut(&key) else {
            bail!(Value, "GradScaler: the optimizer has no parameters")
        };
        ensure!(
            !done.stepped,
            Value,
            "step() has already been called since the last update()."
        );
        let Some(overflow) = done.overflow else {
            bail!(Value, "No inf checks were recorded for this optimizer.")
        };
        done.stepped = true;
        if !overflow {
            optimizer.step()?;
        }
        Ok(!overflow)
    }

    /// Changes the scale by what the steps since the last update met: down after an overflow, up after many steps
    /// without; or to `new_scale`.
    ///
    /// # Errors
    /// `Value` if no step was taken or left out since the last update, unless there is a new scale.
    pub fn update(&mut self, new_scale: Option<f64>) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        if let Some(new_scale) = new_scale {
            self.scale = single(new_scale);
            self.done.clear();
            return Ok(());
        }
        let found = self.done.values().filter_map(|done| done.overflow);
        let Some(overflow) = found.reduce(|a, b| a || b) else {
            bail!(Value, "No inf checks were recorded prior to update.")
        };
        if overflow {
            self.scale = single(self.scale * self.options.backoff_factor);
            self.growth_tracker = 0;
        } else {
            self.growth_tracker += 1;
            if self.growth_tracker == self.options.growth_interval {
                // A scale beyond float32 would make every loss infinite.
                let larger = single(self.scale * self.options.growth_factor);
                if larger.is_finite() {
                    self.scale = larger;
                }
                self.growth_tracker = 0;
            }
        }
        self.done.clear();
        Ok(())
    }

    /// Scale and counters, as data; nothing if disabled.
    ///
    /// # Errors
    /// `Format` if a number can't be written.
    pub fn state_dict(&self) -> Result<Json> {
        if !self.options.enabled {
            return Ok(Json::Object(Default::default()));
        }
        let saved = Saved {
            scale: self.scale,
            growth_factor: self.options.growth_factor,
            backoff_factor: self.options.backoff_factor,
            growth_interval: self.options.growth_interval,
            growth_tracker: self.growth_tracker,
        };
        serde_json::to_value(saved).map_err(json_error)
    }

    /// Takes over a saved state; does nothing if disabled.
    ///
    /// # Errors
    /// `Value` if it is that of a disabled scaler; `Format` if it is of something else.
    pub fn load_state_dict(&mut self, state: &Json) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        ensure!(
            state.as_object().is_none_or(|state| !state.is_empty()),
            Value,
            "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
        );
        let saved = Saved::deserialize(state).map_err(|e| json_error(e).context("GradScaler"))?;
        self.scale = single(saved.scale);
        self.growth_tracker = saved.growth_tracker;
        self.options.growth_factor = saved.growth_factor;
        self.options.backoff_factor = saved.backoff_factor;
        self.options.growth_interval = saved.growth_interval;
        Ok(())
    }
}

/// The nearest number of `float32`.
fn single(x: f64) -> f64 {
    f64::from(x as f32)
}

/// What tells optimisers apart: no two update the same parameter.
fn key(optimizer: &dyn Optimizer) -> usize {
    let groups = optimizer.param_groups();
    let first = groups.iter().flat_map(|group| group.params()).next();
    first.map_or(0, Tensor::id)
}
