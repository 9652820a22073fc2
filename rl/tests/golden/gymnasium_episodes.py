"""Makes `gymnasium_episodes.npz`: what Gymnasium gives for 20 sequences of actions in each environment.

    pip install gymnasium[toy-text] numpy
    python gymnasium_episodes.py

Made with gymnasium 1.4.0 and numpy 2.4.6. Of each environment: the first observation (`first`), and of each step the action, the
observation, the reward, the end (1 terminated, 2 truncated) and, after an end, the next episode's first observation.
"""

import gymnasium as gym
import numpy as np

IDS = [
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Acrobot-v1",
    "Pendulum-v1",
    "FrozenLake-v1",
    "FrozenLake8x8-v1",
    "CliffWalking-v1",
    "CliffWalkingSlippery-v1",
    "Taxi-v4",
    "Blackjack-v1",
]
STEPS = 120


def numbers(observation):
    return np.asarray(observation, dtype=np.float32).reshape(-1)


def best_actions(env):
    """By value iteration, for environments that tell their transitions."""
    table = getattr(env.unwrapped, "P", None)
    if table is None:
        return None
    values = np.zeros(len(table))
    for _ in range(200):
        returns = [
            [sum(p * (r + 0.99 * values[s] * (not end)) for p, s, r, end in table[state][a]) for a in table[state]]
            for state in range(len(table))
        ]
        values = np.max(returns, axis=1)
    return np.argmax(returns, axis=1)


def policy(env_id, best, observation, env, rng):
    """An action: mostly random, sometimes one that gets somewhere."""
    if env_id == "MountainCar-v0":  # with the velocity: reaches the goal
        return int(2 * (observation[1] >= 0)) if rng.random() < 0.9 else int(rng.integers(3))
    if env_id == "MountainCarContinuous-v0":
        push = np.sign(observation[1]) if rng.random() < 0.8 else rng.uniform(-1.5, 1.5)
        return np.array([push * rng.uniform(0.5, 1.5)], dtype=np.float32)
    if env_id == "Pendulum-v1":
        return rng.uniform(-2.5, 2.5, size=1).astype(np.float32)
    if env_id == "Acrobot-v1":  # pumps
        return int(2 * (observation[4] < 0)) if rng.random() < 0.7 else int(rng.integers(3))
    if best is not None and rng.random() < 0.7:
        return int(best[observation])
    return int(rng.integers(env.action_space.n))


def episodes(env_id, seed, env, best):
    rng = np.random.default_rng(1000 + seed)
    observation, _ = env.reset(seed=seed)
    rows = {"first": numbers(observation), "actions": [], "observations": [], "rewards": [], "ends": [], "resets": []}
    for _ in range(STEPS):
        action = policy(env_id, best, observation, env, rng)
        observation, reward, terminated, truncated, _ = env.step(action)
        rows["actions"].append(np.asarray(action, dtype=np.float32).reshape(-1))
        rows["observations"].append(numbers(observation))
        rows["rewards"].append(float(reward))
        rows["ends"].append(np.uint8(terminated + 2 * truncated))
        if terminated or truncated:  # the next episode goes on with the stream
            observation, _ = env.reset()
        rows["resets"].append(numbers(observation) * (terminated or truncated))
    return {name: np.asarray(values) for name, values in rows.items()}


def main():
    arrays = {}
    for env_id in IDS:
        env = gym.make(env_id)
        best = best_actions(env)
        runs = [episodes(env_id, seed, env, best) for seed in range(20)]
        for name in runs[0]:
            arrays[f"{env_id}/{name}"] = np.stack([run[name] for run in runs])
        env.close()
    np.savez_compressed("gymnasium_episodes.npz", **arrays)


if __name__ == "__main__":
    main()
