"""Makes `sb3_*.zip`: small models as Stable-Baselines3 saves them, and in `sb3.npz` what they do.

    pip install stable-baselines3
    python sb3_models.py

Made with stable-baselines3 2.9.2, gymnasium 1.4.0 and torch 2.15.0. `sb3.npz` has, of each model, observations and the
deterministic actions for them; of DQN also the values of actions, of PPO and A2C also the values of states and the logarithms of
the probabilities of actions.
"""

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC


def main():
    arrays = {}
    models = {
        "dqn_cart_pole": DQN("MlpPolicy", "CartPole-v1", seed=1, buffer_size=100, policy_kwargs={"net_arch": [16, 8]}),
        "ppo_cart_pole": PPO("MlpPolicy", "CartPole-v1", seed=2, n_steps=64, policy_kwargs={"net_arch": [16, 8]}),
        "a2c_pendulum": A2C("MlpPolicy", "Pendulum-v1", seed=3, policy_kwargs={"net_arch": [16, 8]}),
        "sac_pendulum": SAC("MlpPolicy", "Pendulum-v1", seed=4, buffer_size=100, policy_kwargs={"net_arch": [16, 8]}),
    }
    for name, model in models.items():
        rng = np.random.default_rng(0)
        observations = rng.normal(size=(16, model.observation_space.shape[0])).astype(np.float32)
        if hasattr(model.policy, "action_net"):  # scores that differ
            with torch.no_grad():
                model.policy.action_net.weight.mul_(50)
                if isinstance(model.action_space, gym.spaces.Box):
                    model.policy.log_std.fill_(-0.3)
        arrays[f"{name}/observations"] = observations
        actions, _ = model.predict(observations, deterministic=True)
        arrays[f"{name}/actions"] = np.asarray(actions, dtype=np.float32).reshape(16, -1)
        tensor = torch.from_numpy(observations)
        with torch.no_grad():
            if name.startswith("dqn"):
                arrays[f"{name}/q_values"] = model.q_net(tensor).numpy()
            elif not name.startswith("sac"):
                drawn, values, log_prob = model.policy(tensor)
                arrays[f"{name}/drawn"] = drawn.numpy().astype(np.float32).reshape(16, -1)
                arrays[f"{name}/values"] = values.numpy().reshape(-1)
                arrays[f"{name}/log_prob"] = log_prob.numpy()
                arrays[f"{name}/entropy"] = np.broadcast_to(model.policy.evaluate_actions(tensor, drawn)[2].numpy(), 16)
        model.save(f"sb3_{name}.zip", exclude=["replay_buffer"])
    np.savez_compressed("sb3.npz", **arrays)


if __name__ == "__main__":
    main()
