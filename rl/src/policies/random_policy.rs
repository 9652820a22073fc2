//! Actions by chance: what every agent is to be better than.

use flambeau_nn::{Module, Sequential};
use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, Tensor};

use super::Policy;
use crate::{Pcg64, Space, Value};

/// Draws actions from the space, whatever is seen.
#[derive(Debug)]
pub struct RandomPolicy {
    actions: Space,
    nothing: Sequential,
}

impl RandomPolicy {
    /// One for these actions.
    pub fn new(actions: &Space) -> RandomPolicy {
        RandomPolicy {
            actions: actions.clone(),
            nothing: Sequential::new(),
        }
    }
}

impl Policy for RandomPolicy {
    fn predict(&self, observations: &Tensor, _: bool, generator: &mut Generator) -> Result<Vec<Value>> {
        let mut rng = Pcg64::new(generator.next_u64());
        Ok((0..observations.size(0)?)
            .map(|_| self.actions.sample(&mut rng))
            .collect())
    }

    fn module(&self) -> &dyn Module {
        &self.nothing
    }
}
