//! A value for all groups of parameters, or one for each.

use flambeau_tensor::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// One value for all groups, or a list with one for each: `0.1.into()`, `vec![0.1, 0.01].into()`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerGroup {
    /// The same for all groups.
    All(f64),
    /// One for each group.
    Each(Vec<f64>),
}

impl From<f64> for PerGroup {
    fn from(value: f64) -> Self {
        PerGroup::All(value)
    }
}

impl From<Vec<f64>> for PerGroup {
    fn from(values: Vec<f64>) -> Self {
        PerGroup::Each(values)
    }
}

impl PerGroup {
    /// Refuses a list of another length than the number of groups.
    pub(super) fn check(&self, name: &str, groups: usize) -> Result<()> {
        if let PerGroup::Each(values) = self {
            ensure!(
                values.len() == groups,
                Value,
                "{name} must have the same length as optimizer.param_groups. {name} has {} values, param_groups has {groups}.",
                values.len()
            );
        }
        Ok(())
    }

    /// The value of a group.
    pub(super) fn at(&self, group: usize) -> Result<f64> {
        match self {
            PerGroup::All(value) => Ok(*value),
            PerGroup::Each(values) => match values.get(group) {
                Some(value) => Ok(*value),
                None => bail!(
                    Value,
                    "{} values for the optimiser's groups, of which there is a number {group}",
                    values.len()
                ),
            },
        }
    }
}
