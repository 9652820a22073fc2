//! Environments around environments (`gymnasium.wrappers`), one file each.

mod frame_stack;
mod normalize_observation;
mod order_enforcing;
mod rescale_action;
mod sticky_action;
mod time_limit;
mod transform_reward;

pub use frame_stack::FrameStackObservation;
pub use normalize_observation::NormalizeObservation;
pub use order_enforcing::OrderEnforcing;
pub use rescale_action::RescaleAction;
pub use sticky_action::StickyAction;
pub use time_limit::TimeLimit;
pub use transform_reward::TransformReward;

/// The methods of an environment that a wrapper passes on to its field `env`.
macro_rules! pass_on {
    ($($method:ident),*) => { $($crate::wrappers::pass_on!(@ $method);)* };
    (@ observation_space) => {
        fn observation_space(&self) -> $crate::Space {
            self.env.observation_space()
        }
    };
    (@ action_space) => {
        fn action_space(&self) -> $crate::Space {
            self.env.action_space()
        }
    };
    (@ render) => {
        fn render(&self) -> $crate::render::Frame {
            self.env.render()
        }
    };
    // The environment's state, and the wrapper's own as the field `own`.
    (@ state) => {
        fn state(&self) -> flambeau_tensor::Result<serde_json::Value> {
            Ok(serde_json::Value::Array(vec![self.env.state()?, $crate::env::to_json(&self.own)?]))
        }

        fn set_state(&mut self, state: serde_json::Value) -> flambeau_tensor::Result<()> {
            let [inner, own]: [serde_json::Value; 2] = $crate::env::from_json(state)?;
            self.own = $crate::env::from_json(own)?;
            self.env.set_state(inner)
        }
    };
}
use pass_on;
