"""Writes training.json: the losses of 200 training steps of PyTorch's, of each model in float32, in float64, and in mixed
precision with bfloat16; of the last also the 2-norms of the first step's gradients.

    python parity/tests/golden/make_training.py

Learning rates are those at which training is stable: there, weights that differ by 1e-7 of themselves give losses that differ by
1e-6 after 200 steps. At 2.5 times these rates the digits are learnt somewhat faster, but along the edge of stability, where
PyTorch's own losses in float32 with one thread and with two differ by a fifth in the end.

In mixed precision a difference in the last bit of a sum decides now and then to which of two bfloat16 numbers, a 256th apart, the
sum is rounded, and what follows from that grows. So trainings of which each is as right as the other part by some percent. They
are run here: RUNS trainings, from weights that were moved by 1e-7 of themselves, in turn with oneDNN and with PyTorch's own loops.
`autocast_spread` says how far these trainings and the one with `autocast` are apart, at most, in any step up to each, as a part
of the loss.
"""

import gzip
import itertools
import json
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = pathlib.Path(__file__).parent
STEPS = 200
RUNS = 24


def digits():
    """The images [5000, 28, 28] with values from 0 to 1, and their labels, of the example `digits`."""
    path = HERE.parents[2] / "autograd/examples/data/mnist_5k.csv.gz"
    rows = torch.tensor([[float(x) for x in line.split(",")] for line in gzip.open(path, "rt")])
    return rows[:, :-1].reshape(-1, 28, 28) / 255, rows[:, -1].long()


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x.unsqueeze(1))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class LstmClassifier(nn.Module):
    """Reads an image row by row."""

    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(28, 32, num_layers=2, batch_first=True), nn.Linear(32, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


def lenet_optimizer(params):
    optimizer = torch.optim.SGD(params, lr=0.02, momentum=0.9, weight_decay=5e-4)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def lstm_optimizer(params):
    optimizer = torch.optim.AdamW(params)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=STEPS)


def losses(data, build, optimise, clip, dtype, autocast=False):
    """The losses, and the 2-norms of the first gradients in the order of the parameters."""
    torch.manual_seed(0)
    model = build().to(dtype)
    optimizer, scheduler = optimise(model.parameters())
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(*data), batch_size=32, shuffle=True, drop_last=True, generator=generator)
    all, norms = [], []
    while len(all) < STEPS:
        for x, y in loader:
            if len(all) == STEPS:
                break
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = F.cross_entropy(model(x.to(dtype)), y)
            loss.backward()
            norms = norms or [p.grad.norm().item() for p in model.parameters()]
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
            all.append(loss.item())
    return all, norms


def moved(build, seed):
    """A model whose weights are up to 1e-7 of themselves larger or smaller than those of `build`."""
    model = build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + 1e-7 * (2 * torch.rand(p.shape, generator=generator) - 1))
    return model


def spread(data, build, optimise, clip, expected):
    """How far trainings in mixed precision are apart, in any step up to each."""
    runs = [expected]
    for seed in range(RUNS):
        with torch.backends.mkldnn.flags(enabled=seed % 2 == 0):
            runs.append(losses(data, lambda: moved(build, seed), optimise, clip, torch.float32, True)[0])
    ranges = [(max(step) - min(step)) / loss for step, loss in zip(zip(*runs), expected)]
    return [float(f"{part:.3g}") for part in itertools.accumulate(ranges, max)]


if __name__ == "__main__":
    data = digits()
    runs = {"lenet": (LeNet, lenet_optimizer, None), "lstm": (LstmClassifier, lstm_optimizer, 1.0)}
    out = {"torch": torch.__version__}
    for name, run in runs.items():
        out[name] = {str(dtype)[6:]: losses(data, *run, dtype)[0] for dtype in [torch.float32, torch.float64]}
        out[name]["autocast"], out[name]["autocast_gradients"] = losses(data, *run, torch.float32, True)
        out[name]["autocast_spread"] = spread(data, *run, out[name]["autocast"])
    (HERE / "training.json").write_text(json.dumps(out) + "\n")
