"""Writes samplers.json: orders that PyTorch's samplers, splits and loaders draw.

    python data/tests/golden/make_samplers.py
"""

import json
import pathlib

import torch
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    random_split,
)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def twice(make):
    """The orders of two passes of a sampler."""
    return [list(make), list(make)]


random_sampler = []
for n, replacement, num_samples, seed in [
    (10, False, None, 0),
    (10, False, 25, 1),
    (10, False, 20, 2),
    (7, True, None, 3),
    (1000, True, 70, 4),
    (1, False, None, 5),
]:
    sampler = RandomSampler(range(n), replacement, num_samples, generator(seed))
    random_sampler.append(
        dict(n=n, replacement=replacement, num_samples=num_samples, seed=seed, passes=twice(sampler))
    )

indices = [5, 3, 8, 100, 1]
subset = dict(indices=indices, seed=6, passes=twice(SubsetRandomSampler(indices, generator(6))))

weighted = []
weights = [0.1, 0.9, 0.4, 0.7, 3.0, 0.6]
for num_samples, replacement, seed in [(8, True, 7), (5, False, 8), (1, True, 9), (1, False, 10)]:
    sampler = WeightedRandomSampler(weights, num_samples, replacement, generator(seed))
    weighted.append(
        dict(weights=weights, num_samples=num_samples, replacement=replacement, seed=seed, passes=twice(sampler))
    )

distributed = []
for n, replicas, shuffle, seed, drop_last in [
    (10, 3, True, 0, False),
    (10, 3, True, 11, True),
    (9, 3, False, 0, False),
    (10, 4, False, 0, True),
    (2, 5, False, 0, False),
    (2, 5, True, 0, True),
]:
    epochs = []
    for epoch in range(2):
        ranks = []
        for rank in range(replicas):
            sampler = DistributedSampler(range(n), replicas, rank, shuffle, seed, drop_last)
            sampler.set_epoch(epoch)
            ranks.append(list(sampler))
        epochs.append(ranks)
    distributed.append(
        dict(n=n, replicas=replicas, shuffle=shuffle, seed=seed, drop_last=drop_last, epochs=epochs)
    )

splits = []
for n, parts, seed in [
    (10, [3, 7], 42),
    (30, [0.3, 0.3, 0.4], 42),
    (17, [0.5, 0.25, 0.25], 1),
    (5, [0.9, 0.05, 0.05], 2),
    (10, [0.7, 0.2, 0.1], 3),
]:
    subsets = random_split(range(n), parts, generator(seed))
    splits.append(dict(n=n, parts=parts, seed=seed, indices=[list(s.indices) for s in subsets]))

loaders = []
for n, batch_size, drop_last, seed, own in [
    (10, 3, False, 0, True),
    (10, 3, True, 1, True),
    (10, 4, False, 0, False),
    (64, 16, False, 12, False),
]:
    if own:
        g = generator(seed)
    else:
        torch.manual_seed(seed)
        g = None
    loader = DataLoader(range(n), batch_size=batch_size, shuffle=True, drop_last=drop_last, generator=g)
    epochs = [[batch.tolist() for batch in loader] for _ in range(3)]
    loaders.append(
        dict(n=n, batch_size=batch_size, drop_last=drop_last, seed=seed, own=own, epochs=epochs)
    )

out = dict(
    torch=torch.__version__,
    random=random_sampler,
    subset=subset,
    weighted=weighted,
    distributed=distributed,
    splits=splits,
    loaders=loaders,
)
path = pathlib.Path(__file__).with_name("samplers.json")
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
