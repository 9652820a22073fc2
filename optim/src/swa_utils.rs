//! Averages of parameters over training: stochastic weight averaging (SWA) and the exponential moving average (EMA);
//! `torch.optim.swa_utils`.
//!
//! ```text
//! SWA:  a ← a + (p - a)/(n + 1)
//! EMA:  a ← decay · a + (1 - decay) · p
//! ```
//!
//! Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization"; Polyak and Juditsky 1992,
//! "Acceleration of stochastic approximation by averaging".

use std::collections::BTreeMap;

use flambeau_tensor::{Result, Tensor, ensure, no_grad};

/// How parameters are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Averaging {
    /// All weigh the same (`get_swa_avg_fn`).
    #[default]
    Equal,
    /// The past weighs less and less (`get_ema_avg_fn`).
    Exponential {
        /// How much of the average stays with each update, between 0 and 1; PyTorch's default is 0.999.
        decay: f64,
    },
}

/// A running average of parameters (`torch.optim.swa_utils.AveragedModel`), in tensors of its own. After
/// [`AveragedModel::copy_to`], a model's batch norms want new statistics: `flambeau_nn::utils::update_bn`.
///
/// ```
/// use flambeau_optim::{AveragedModel, Averaging};
/// use flambeau_tensor::Tensor;
///
/// let weight = Tensor::new([1.0f32])?;
/// let mut average = AveragedModel::new([weight.clone()], Averaging::Exponential { decay: 0.75 })?;
/// average.update_parameters([&weight])?;
/// weight.add_(4.0)?;
/// average.update_parameters([&weight])?;
/// assert_eq!(average.params()[0].to_vec::<f32>()?, [2.0]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct AveragedModel {
    params: Vec<Tensor>,
    n_averaged: u64,
    averaging: Averaging,
}

/// The state's key of the number of updates.
const N_AVERAGED: &str = "n_averaged";

impl AveragedModel {
    /// Averages that begin as copies of these tensors; buffers can be among them.
    ///
    /// # Errors
    /// `Value` if the decay is not between 0 and 1.
    pub fn new(params: impl IntoIterator<Item = Tensor>, averaging: Averaging) -> Result<AveragedModel> {
        if let Averaging::Exponential { decay } = averaging {
            ensure!(
                (0.0..=1.0).contains(&decay),
                Value,
                "Invalid decay value {decay:?} provided. Please provide a value in [0,1] range."
            );
        }
        Ok(AveragedModel {
            params: params.into_iter().map(|param| param.detach()).collect(),
            n_averaged: 0,
            averaging,
        })
    }

    /// The averages, in the order of the parameters.
    pub fn params(&self) -> &[Tensor] {
        &self.params
    }

    /// How many times the parameters were taken in.
    pub fn n_averaged(&self) -> u64 {
        self.n_averaged
    }

    /// Takes in the parameters as they are now; the first time they become the average. Integers, such as a norm's
    /// number of batches, are copied.
    ///
    /// # Errors
    /// `Shape` if they differ in number or shape from those that are averaged.
    pub fn update_parameters<'a>(&mut self, params: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
        let params: Vec<&Tensor> = params.into_iter().collect();
        ensure!(
            params.len() == self.params.len(),
            Shape,
            "update_parameters: {} parameters, expected {}",
            params.len(),
            self.params.len()
        );
        let weight = match self.averaging {
            _ if self.n_averaged == 0 => 1.0,
            Averaging::Equal => 1.0 / (self.n_averaged as f64 + 1.0),
            Averaging::Exponential { decay } => 1.0 - decay,
        };
        no_grad(|| {
            for (average, param) in self.params.iter().zip(params) {
                ensure!(
                    average.shape() == param.shape(),
                    Shape,
                    "update_parameters: a parameter {:?}, expected {:?}",
                    param.shape(),
                    average.shape()
                );
                let param = param.detach();
                if self.n_averaged == 0 || !average.dtype().is_float() {
                    average.copy_(&param)?;
                } else {
                    average.lerp_(&param.to_dtype(average.dtype())?, weight)?;
                }
            }
            Ok(())
        })?;
        self.n_averaged += 1;
        Ok(())
    }

    /// Copies the averages into parameters, e.g. to evaluate or to save them.
    ///
    /// # Errors
    /// `Shape` if they differ in number or shape.
    pub fn copy_to<'a>(&self, params: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
        let params: Vec<&Tensor> = params.into_iter().collect();
        let shapes = |tensors: &mut dyn Iterator<Item = &Tensor>| -> Vec<Vec<usize>> {
            tensors.map(|tensor| tensor.shape().to_vec()).collect()
        };
        let (own, given) = (
            shapes(&mut self.params.iter()),
            shapes(&mut params.iter().copied()),
        );
        ensure!(
            own == given,
            Shape,
            "copy_to: averages {own:?} for parameters {given:?}"
        );
        no_grad(|| {
            for (average, param) in self.params.iter().zip(params) {
                param.copy_(average)?;
            }
            Ok(())
        })
    }

    /// The averages, called by their numbers, and `n_averaged`.
    pub fn state_dict(&self) -> BTreeMap<String, Tensor> {
        let params = self.params.iter().enumerate();
        let mut state: BTreeMap<String, Tensor> =
            params.map(|(i, param)| (i.to_string(), param.detach())).collect();
        state.insert(N_AVERAGED.into(), Tensor::scalar(self.n_averaged as i64));
        state
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// `Key` if a tensor is missing, `Shape` if one has another shape. Nothing is changed then.
    pub fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let get = |name: &str| {
            let missing = || flambeau_tensor::Error::Key(format!("AveragedModel: no `{name}` in the state"));
            state.get(name).ok_or_else(missing)
        };
        let mut params = Vec::with_capacity(self.params.len());
        for (i, own) in self.params.iter().enumerate() {
            let saved = get(&i.to_string())?;
            ensure!(
                saved.shape() == own.shape(),
                Shape,
                "AveragedModel: `{i}` is {:?} in the state, expected {:?}",
                saved.shape(),
                own.shape()
            );
            params.push(saved.detach().to_dtype(own.dtype())?.detach());
        }
        self.n_averaged = get(N_AVERAGED)?.item::<i64>()?.max(0) as u64;
        self.params = params;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(averaging: Averaging) -> Vec<f64> {
        let param = Tensor::new([1.0f64, -2.0]).unwrap();
        let mut average = AveragedModel::new([param.clone()], averaging).unwrap();
        for _ in 0..4 {
            average.update_parameters([&param]).unwrap();
            param.mul_(2.0).unwrap();
        }
        assert_eq!(average.n_averaged(), 4);
        average.params()[0].to_vec().unwrap()
    }

    #[test]
    fn averages_follow_their_formulas() {
        assert_eq!(run(Averaging::Equal), [3.75, -7.5]); // the mean of 1, 2, 4, 8
        assert_eq!(run(Averaging::Exponential { decay: 0.5 }), [5.375, -10.75]);
        assert!(AveragedModel::new([], Averaging::Exponential { decay: 1.5 }).is_err());
    }

    #[test]
    fn a_saved_average_goes_on() {
        let param = Tensor::new([1.0f32]).unwrap();
        let mut average = AveragedModel::new([param.clone()], Averaging::Equal).unwrap();
        average.update_parameters([&param]).unwrap();
        let saved = average.state_dict();
        let mut other = AveragedModel::new([param.zeros_like().unwrap()], Averaging::Equal).unwrap();
        other.load_state_dict(&saved).unwrap();
        param.fill_(4.0).unwrap();
        other.update_parameters([&param]).unwrap();
        other.copy_to([&param]).unwrap();
        assert_eq!(param.to_vec::<f32>().unwrap(), [2.5]);
        assert_eq!(saved["0"].to_vec::<f32>().unwrap(), [1.0]);
        assert!(other.load_state_dict(&BTreeMap::new()).is_err());
        assert!(other.update_parameters([]).is_err());
    }
}
