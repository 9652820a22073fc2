//! Optimisers that treat each parameter by itself: groups with hyper-parameters and, per parameter, what is remembered.
//!
//! An optimiser is a struct of PyTorch's constructor arguments (say [`AdamOptions`](crate::AdamOptions)) that implements
//! [`HyperParameters`] and [`Algorithm`]; [`Grouped`] turns it into an [`Optimizer`] (`Adam = Grouped<AdamOptions>`).

use std::collections::BTreeMap;
use std::fmt::Debug;

use flambeau_tensor::profiler::{self, Kind};
use flambeau_tensor::{Result, Tensor, bail, ensure, no_grad};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::state::json_error;
use crate::{Optimizer, ParamGroup, ParamState, StateDict};

/// The options of an optimiser, with PyTorch's names and defaults.
pub trait HyperParameters: Clone + Debug + Send + Sync + Serialize + DeserializeOwned {
    /// The optimiser's name.
    const NAME: &'static str;

    /// Refuses values for which the method is not defined.
    ///
    /// # Errors
    /// `Value`, with PyTorch's text.
    fn check(&self) -> Result<()>;

    /// Refuses a parameter that the method can't change.
    ///
    /// # Errors
    /// `Shape` or `DType`, with PyTorch's text.
    fn check_param(&self, _param: &Tensor) -> Result<()> {
        Ok(())
    }

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate.
    fn set_lr(&mut self, lr: f64);

    /// What momentum schedules change, if there is such.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// Sets what [`HyperParameters::momentum`] gives.
    fn set_momentum(&mut self, _momentum: f64) {}
}

/// How one group is changed in one step.
pub trait Algorithm: HyperParameters {
    /// Changes the parameters. Nothing is recorded meanwhile.
    ///
    /// # Errors
    /// `Shape` or `DType` if a gradient or state does not fit.
    fn step(&self, active: &mut [Active<'_>]) -> Result<()>;
}

/// A parameter that has a gradient.
#[derive(Debug)]
pub struct Active<'a> {
    /// The parameter, to be changed in place.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: Tensor,
    /// What is remembered of it.
    pub state: &'a mut ParamState,
}

/// Parameters with their own hyper-parameters.
#[derive(Debug)]
pub struct Group<H> {
    params: Vec<Tensor>,
    pub(crate) states: Vec<ParamState>,
    initial_lr: Option<f64>,
    /// The hyper-parameters, which may be changed between steps.
    pub options: H,
}

impl<H: HyperParameters> Group<H> {
    pub(crate) fn new(params: Vec<Tensor>, options: H) -> Result<Group<H>> {
        let in_name = |error: flambeau_tensor::Error| error.context(H::NAME);
        options.check().map_err(in_name)?;
        for param in &params {
            ensure!(
                param.is_leaf(),
                Value,
                "{}: can't optimize a non-leaf Tensor",
                H::NAME
            );
            options.check_param(param).map_err(in_name)?;
        }
        Ok(Group {
            states: vec![ParamState::default(); params.len()],
            params,
            initial_lr: None,
            options,
        })
    }

    /// What is remembered of each parameter, in their order.
    pub fn states(&self) -> &[ParamState] {
        &self.states
    }

    /// Parameters that have a gradient.
    pub(crate) fn active(&mut self) -> Vec<Active<'_>> {
        let both = self.params.iter().zip(&mut self.states);
        both.filter_map(|(param, state)| {
            let grad = param.grad()?.detach();
            Some(Active { param, grad, state })
        })
        .collect()
    }

    /// Adds the group to `dict`; its parameters' numbers go on from `first`.
    pub(crate) fn save(&self, first: usize, dict: &mut StateDict) -> Result<()> {
        let Json::Object(mut map) = serde_json::to_value(&self.options).map_err(json_error)? else {
            bail!(Format, "{}: the options are not a struct", H::NAME)
        };
        if let Some(lr) = self.initial_lr {
            map.insert("initial_lr".into(), lr.into());
        }
        let numbers = first..first + self.params.len();
        map.insert("params".into(), numbers.clone().collect());
        dict.param_groups.push(map);
        for (number, state) in numbers.zip(&self.states) {
            let tensors = state.to_tensors();
            if !tensors.is_empty() {
                dict.state.insert(number, tensors);
            }
        }
        Ok(())
    }

    /// The group with the hyper-parameters and states of a saved one.
    pub(crate) fn restored(
        &self,
        saved: &Map<String, Json>,
        state: &BTreeMap<usize, BTreeMap<String, Tensor>>,
    ) -> Result<Group<H>> {
        let options = serde_json::from_value(Json::Object(saved.clone()));
        let numbers = saved.get("params").and_then(Json::as_array);
        let numbers = numbers.into_iter().flatten().map(Json::as_u64);
        let mut states = Vec::with_capacity(self.params.len());
        for (number, param) in numbers.zip(&self.params) {
            let tensors = number.and_then(|number| state.get(&(number as usize)));
            states.push(match tensors {
                Some(tensors) => ParamState::from_tensors(tensors, param)?,
                None => ParamState::default(),
            });
        }
        Ok(Group {
            params: self.params.clone(),
            states,
            initial_lr: saved.get("initial_lr").and_then(Json::as_f64),
            options: options.map_err(|e| json_error(e).context(H::NAME))?,
        })
    }
}

impl<H: HyperParameters> ParamGroup for Group<H> {
    fn params(&self) -> &[Tensor] {
        &self.params
    }

    fn lr(&self) -> f64 {
        self.options.lr()
    }

    fn set_lr(&mut self, lr: f64) {
        self.options.set_lr(lr);
    }

    fn initial_lr(&self) -> Option<f64> {
        self.initial_lr
    }

    fn set_initial_lr(&mut self, lr: f64) {
        self.initial_lr = Some(lr);
    }

    fn momentum(&self) -> Option<f64> {
        self.options.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.options.set_momentum(momentum);
    }
}

/// An optimiser that changes each parameter by itself; see the aliases, e.g. [`Adam`](crate::Adam).
#[derive(Debug)]
pub struct Grouped<A> {
    groups: Vec<Group<A>>,
}

impl<A: Algorithm> Grouped<A> {
    /// An optimiser of one group of parameters.
    ///
    /// # Errors
    /// `Value` if there is no parameter, one comes twice or is computed from others, or an option is out of range.
    pub fn new(params: impl IntoIterator<Item = Tensor>, options: A) -> Result<Grouped<A>> {
        Grouped::with_groups([(params.into_iter().collect::<Vec<_>>(), options)])
    }

    /// An optimiser of several groups, each with its own options.
    ///
    /// # Errors
    /// As [`Grouped::new`].
    pub fn with_groups<P>(groups: impl IntoIterator<Item = (P, A)>) -> Result<Grouped<A>>
    where
        P: IntoIterator<Item = Tensor>,
    {
        let mut optimizer = Grouped { groups: Vec::new() };
        for (params, options) in groups {
            optimizer.add_param_group(params, options)?;
        }
        let empty = optimizer.groups.iter().all(|group| group.params.is_empty());
        ensure!(
            !empty,
            Value,
            "{}: optimizer got an empty parameter list",
            A::NAME
        );
        Ok(optimizer)
    }

    /// Adds a group of parameters, e.g. layers that are trained from now on.
    ///
    /// # Errors
    /// As [`Grouped::new`].
    pub fn add_param_group(&mut self, params: impl IntoIterator<Item = Tensor>, options: A) -> Result<()> {
        let group = Group::new(params.into_iter().collect(), options)?;
        let known = self.groups.iter().flat_map(|group| &group.params);
        let mut ids: Vec<usize> = known.chain(&group.params).map(Tensor::id).collect();
        ids.sort_unstable();
        ensure!(
            ids.is_sorted_by(|a, b| a < b),
            Value,
            "{}: some parameters appear in more than one parameter group, or twice in one",
            A::NAME
        );
        self.groups.push(group);
        Ok(())
    }

    /// The groups with all their options.
    pub fn groups(&self) -> &[Group<A>] {
        &self.groups
    }

    /// The groups, to change their options between steps.
    pub fn groups_mut(&mut self) -> &mut [Group<A>] {
        &mut self.groups
    }
}

impl<A: Algorithm> Optimizer for Grouped<A> {
    fn param_groups(&self) -> Vec<&dyn ParamGroup> {
        self.groups.iter().map(|group| group as &dyn ParamGroup).collect()
    }

    fn param_groups_mut(&mut self) -> Vec<&mut dyn ParamGroup> {
        let groups = self.groups.iter_mut();
        groups.map(|group| group as &mut dyn ParamGroup).collect()
    }

    fn step(&mut self) -> Result<()> {
        let name = || format!("{}.step", A::NAME);
        profiler::span(Kind::Step, name, || {
            no_grad(|| {
                for group in &mut self.groups {
                    let options = group.options.clone();
                    options
                        .step(&mut group.active())
                        .map_err(|error| error.context(A::NAME))?;
                }
                Ok(())
            })
        })
    }

    fn state_dict(&self) -> Result<StateDict> {
        let mut dict = StateDict::default();
        let mut first = 0;
        for group in &self.groups {
            group.save(first, &mut dict)?;
            first += group.params.len();
        }
        Ok(dict)
    }

    fn load_state_dict(&mut self, dict: &StateDict) -> Result<()> {
        let sizes: Vec<usize> = self.groups.iter().map(|group| group.params.len()).collect();
        dict.check_groups(&sizes)?;
        let both = self.groups.iter().zip(&dict.param_groups);
        let restored = both.map(|(group, saved)| group.restored(saved, &dict.state));
        self.groups = restored.collect::<Result<_>>()?;
        Ok(())
    }
}

/// The methods of [`HyperParameters`] that give the learning rate and, where named, what momentum schedules change.
macro_rules! rates {
    () => {
        fn lr(&self) -> f64 {
            self.lr
        }

        fn set_lr(&mut self, lr: f64) {
            self.lr = lr;
        }
    };
    ($($momentum:tt).*) => {
        crate::group::rates!();

        fn momentum(&self) -> Option<f64> {
            Some(self.$($momentum).*)
        }

        fn set_momentum(&mut self, momentum: f64) {
            self.$($momentum).* = momentum;
        }
    };
}
pub(crate) use rates;

/// Checks shared by many optimisers, with PyTorch's texts. NaN fails them all.
pub(crate) mod check {
    use flambeau_tensor::{Result, ensure};

    /// The learning rate must not be negative.
    pub(crate) fn learning_rate(lr: f64) -> Result<()> {
        ensure!(lr >= 0.0, Value, "Invalid learning rate: {lr:?}");
        Ok(())
    }

    /// `eps` must not be negative.
    pub(crate) fn epsilon(eps: f64) -> Result<()> {
        ensure!(eps >= 0.0, Value, "Invalid epsilon value: {eps:?}");
        Ok(())
    }

    /// A value that must not be negative.
    pub(crate) fn not_negative(name: &str, value: f64) -> Result<()> {
        ensure!(value >= 0.0, Value, "Invalid {name} value: {value:?}");
        Ok(())
    }

    /// What all descendants of Adam have.
    pub(crate) fn adam(lr: f64, betas: (f64, f64), eps: f64, weight_decay: f64) -> Result<()> {
        learning_rate(lr)?;
        epsilon(eps)?;
        self::betas(betas)?;
        not_negative("weight_decay", weight_decay)
    }

    /// Both decay rates must be at least 0 and below 1.
    pub(crate) fn betas(betas: (f64, f64)) -> Result<()> {
        for (i, beta) in [betas.0, betas.1].into_iter().enumerate() {
            ensure!(
                (0.0..1.0).contains(&beta),
                Value,
                "Invalid beta parameter at index {i}: {beta:?}"
            );
        }
        Ok(())
    }
}
