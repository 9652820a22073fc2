"""Makes `sb3_cnn_*.zip` and `sb3_elu_*.zip`: policies of pixels and policies with options, as Stable-Baselines3 saves them, and in
`sb3_more.npz` what they do.

    pip install stable-baselines3
    python sb3_more_models.py

Made with stable-baselines3 2.9.2, gymnasium 1.4.0 and torch 2.15.0. Most weights of convolutions are set to 0 and the others rounded to
steps of 1/64, and the archive is packed again with compression: so files of 70,000 weights stay small. Stable-Baselines3 reads them
as it reads its own, and what is compared was computed by the models that it read again. Arrays as in `sb3_models.py`.
"""

import zipfile

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DQN, PPO, SAC
from torch import nn


class Pixels(gym.Env):
    """Pictures of bytes, not square."""

    observation_space = gym.spaces.Box(0, 255, (2, 36, 44), np.uint8)

    def __init__(self, actions):
        self.action_space = actions

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def thin(policy):
    """Keeps one weight of 16 in each convolution."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in policy.named_parameters():
        if ".cnn." in name and name.endswith("weight"):
            kept = torch.rand(parameter.shape, generator=generator) < 1 / 16
            values = torch.randn(parameter.shape, generator=generator) * (2 * 16 / parameter[0].numel()) ** 0.5
            parameter.data = torch.where(kept, (values * 64).round() / 64, 0.0)
    if hasattr(policy, "q_net"):
        policy.q_net_target.load_state_dict(policy.q_net.state_dict())
    if hasattr(policy, "critic"):
        policy.critic_target.load_state_dict(policy.critic.state_dict())


def pack(path):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)


def main():
    arrays = {}
    few = {"features_extractor_kwargs": {"features_dim": 8}}
    discrete, torque = gym.spaces.Discrete(3), gym.spaces.Box(-2, 2, (1,), np.float32)
    models = {
        "cnn_ppo": PPO("CnnPolicy", Pixels(discrete), seed=5, n_steps=64, policy_kwargs=few),
        "cnn_ppo_apart": PPO(
            "CnnPolicy",
            Pixels(torque),
            seed=6,
            n_steps=64,
            policy_kwargs={
                **few,
                "share_features_extractor": False,
                "activation_fn": nn.LeakyReLU,
                "net_arch": {"pi": [], "vf": [6, 4]},
            },
        ),
        "cnn_dqn": DQN("CnnPolicy", Pixels(discrete), seed=7, buffer_size=8, policy_kwargs=few),
        "cnn_sac": SAC(
            "CnnPolicy",
            Pixels(torque),
            seed=8,
            buffer_size=8,
            policy_kwargs={**few, "net_arch": {"pi": [6], "qf": [4, 4]}, "activation_fn": nn.Tanh},
        ),
        "elu_ppo": PPO(
            "MlpPolicy",
            "CartPole-v1",
            seed=9,
            n_steps=64,
            policy_kwargs={"activation_fn": nn.ELU, "net_arch": {"pi": [12, 8], "vf": [4]}},
        ),
        "elu_dqn": DQN(
            "MlpPolicy",
            "CartPole-v1",
            seed=10,
            buffer_size=8,
            policy_kwargs={"activation_fn": nn.ELU, "net_arch": [12, 8]},
        ),
        # One whose exploration has no counterpart: it is refused.
        "sde_ppo": PPO("MlpPolicy", "Pendulum-v1", seed=11, n_steps=64, use_sde=True, policy_kwargs={"net_arch": [2]}),
    }
    for name, model in models.items():
        thin(model.policy)
        if hasattr(model.policy, "action_net"):  # scores that differ
            with torch.no_grad():
                model.policy.action_net.weight.mul_(50)
                if isinstance(model.action_space, gym.spaces.Box) and not model.use_sde:
                    model.policy.log_std.fill_(-0.3)
        path = f"sb3_{name}.zip"
        model.save(path, exclude=["replay_buffer"])
        pack(path)
        if name == "sde_ppo":
            continue
        model = type(model).load(path)
        rng = np.random.default_rng(0)
        if name.startswith("cnn"):
            observations = rng.integers(0, 256, size=(4, 2, 36, 44), dtype=np.uint8)
        else:
            observations = rng.normal(size=(4, 4)).astype(np.float32)
        arrays[f"{name}/observations"] = observations
        actions, _ = model.predict(observations, deterministic=True)
        arrays[f"{name}/actions"] = np.asarray(actions, dtype=np.float32).reshape(4, -1)
        tensor = torch.from_numpy(observations)
        with torch.no_grad():
            if "dqn" in name:
                arrays[f"{name}/q_values"] = model.q_net(tensor).numpy()
            elif "sac" in name:
                tried = torch.from_numpy(rng.uniform(-1, 1, size=(4, 1)).astype(np.float32))
                arrays[f"{name}/tried"] = tried.numpy()
                first, second = model.critic(tensor, tried)
                arrays[f"{name}/critics"] = torch.cat([first, second], 1).numpy()
            else:
                drawn, values, log_prob = model.policy(tensor)
                arrays[f"{name}/drawn"] = drawn.numpy().astype(np.float32).reshape(4, -1)
                arrays[f"{name}/values"] = values.numpy().reshape(-1)
                arrays[f"{name}/log_prob"] = log_prob.numpy()
    np.savez_compressed("sb3_more.npz", **arrays)


if __name__ == "__main__":
    main()
