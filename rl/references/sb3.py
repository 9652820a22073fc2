"""The trainings of the examples `ppo`, `dqn` and `sac` in Stable-Baselines3, for the steps per second.

    pip install stable-baselines3
    python sb3.py ppo|dqn|sac STEPS

Environments, networks and hyper-parameters are those of the examples with their defaults (of `dqn --single`, as Stable-Baselines3 has
no double Q-learning), in one thread. Neither side counts evaluations.
"""

import sys
import time

import torch
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.env_util import make_vec_env


def linear(start):
    return lambda remaining: remaining * start


def main():
    torch.set_num_threads(1)
    name, steps = sys.argv[1], int(sys.argv[2])
    if name == "ppo":
        model = PPO(
            "MlpPolicy",
            make_vec_env("CartPole-v1", 8),
            n_steps=32,
            batch_size=256,
            gae_lambda=0.8,
            gamma=0.98,
            n_epochs=20,
            learning_rate=linear(1e-3),
            clip_range=linear(0.2),
            device="cpu",
        )
    elif name == "dqn":
        model = DQN(
            "MlpPolicy",
            make_vec_env("CartPole-v1", 1),
            learning_rate=linear(1e-3),
            buffer_size=50_000,
            learning_starts=1000,
            batch_size=128,
            train_freq=2,
            tau=0.01,
            target_update_interval=2,
            exploration_final_eps=0.02,
            policy_kwargs={"net_arch": [128, 128]},
            device="cpu",
        )
    else:
        model = SAC(
            "MlpPolicy",
            make_vec_env("Pendulum-v1", 1),
            learning_rate=1e-3,
            policy_kwargs={"net_arch": [64, 64]},
            device="cpu",
        )
    begin = time.perf_counter()
    model.learn(steps)
    print(f"{name}: {model.num_timesteps / (time.perf_counter() - begin):.0f} steps/s")


if __name__ == "__main__":
    main()
