//! What has happened, to learn from.

mod n_step;
mod prioritized;
mod replay;
mod rollout;

pub use n_step::NStep;
pub use prioritized::{PrioritizedOptions, PrioritizedReplayBuffer};
pub use replay::{Batch, Replay, ReplayBuffer, Transition};
pub use rollout::{RolloutBatch, RolloutBuffer};
