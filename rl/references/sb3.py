"""The trainings of the examples `ppo`, `dqn` and `sac` in Stable-Baselines3, for the steps per second.

    pip install stable-baselines3
    python sb3.py ppo|dqn|sac [STEPS]

The same environments, networks and hyper-parameters; one thread, as here. Evaluations are left out on both sides. (DQN: the
original one, as Stable-Baselines3 has no double Q-learning; that costs one forward pass less.)
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
    name = sys.argv[1]
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else None
    if name == "ppo":
        model = PPO(
            "MlpPolicy",
            make_vec_env("CartPole-v1", 8),
            n_steps=32,
            batch_size=256,
            gae_lambda=0.8,
            gamma=0.98,
            n_epochs=20,
            ent_coef=0.0,
            learning_rate=linear(1e-3),
            clip_range=linear(0.2),
            device="cpu",
        )
        steps = steps or 100_000
    elif name == "dqn":
        model = DQN(
            "MlpPolicy",
            make_vec_env("CartPole-v1", 1),
            learning_rate=linear(2.3e-3),
            batch_size=64,
            buffer_size=100_000,
            learning_starts=1000,
            gamma=0.99,
            target_update_interval=10,
            train_freq=256,
            gradient_steps=128,
            exploration_fraction=0.16,
            exploration_final_eps=0.04,
            policy_kwargs={"net_arch": [256, 256]},
            device="cpu",
        )
        steps = steps or 50_000
    else:
        model = SAC("MlpPolicy", make_vec_env("Pendulum-v1", 1), learning_rate=1e-3, device="cpu")
        steps = steps or 20_000
    begin = time.perf_counter()
    model.learn(steps)
    print(f"{name}: {model.num_timesteps / (time.perf_counter() - begin):.0f} steps/s")


if __name__ == "__main__":
    main()
