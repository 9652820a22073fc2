"""Writes grad_scaler.json: programs of calls of torch.amp.GradScaler with two optimisers, and what PyTorch has after each.

    python parity/tests/golden/make_grad_scaler.py

A call that PyTorch refuses has its text. Numbers that JSON does not have are strings.
"""

import json
import math
import pathlib

import torch

HERE = pathlib.Path(__file__).parent
INF, NAN = math.inf, math.nan


def number(x):
    return x if math.isfinite(x) else str(x)


def numbers(t):
    return None if t is None else [number(x) for x in t.tolist()]


class Program:
    """Two optimisers: SGD with momentum over two groups, and SGD over one parameter."""

    def __init__(self, **options):
        self.scaler = torch.amp.GradScaler("cpu", **options)
        self.params = [torch.tensor(x, requires_grad=True) for x in ([1.0, -2.0], [0.5], [3.0, 4.0, 5.0])]
        a, b, c = self.params
        self.optimizers = [
            torch.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.01}], lr=0.1, momentum=0.9),
            torch.optim.SGD([c], lr=0.5),
        ]
        self.program = {"options": options, "calls": []}

    def call(self, name, *args):
        entry = {"call": name, "args": [number(x) if isinstance(x, float) else x for x in args]}
        try:
            result = getattr(self, name)(*args)
            if result is not None:
                entry["result"] = result
        except (RuntimeError, AssertionError, ValueError) as error:
            entry["error"] = str(error)
        entry["scale"] = number(self.scaler.get_scale())
        entry["growth_tracker"] = self.scaler._get_growth_tracker()
        entry["params"] = [numbers(p.detach()) for p in self.params]
        entry["grads"] = [numbers(p.grad) for p in self.params]
        self.program["calls"].append(entry)

    def backward(self, *factors):
        """Backward of the scaled loss Σ factor·Σ param²/2: gradients are scale·factor·param. None: the parameter is left out."""
        terms = [f * p.square().sum() / 2 for f, p in zip(factors, self.params) if f is not None]
        self.scaler.scale(sum(terms)).backward()

    def grad(self, i, *values):
        """Gradients as they may come of overflows."""
        self.params[i].grad = torch.tensor([float(v) for v in values])

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def unscale_(self, i):
        self.scaler.unscale_(self.optimizers[i])

    def clip(self, i, max_norm):
        params = [p for g in self.optimizers[i].param_groups for p in g["params"]]
        return number(torch.nn.utils.clip_grad_norm_(params, max_norm).item())

    def step(self, i):
        self.scaler.step(self.optimizers[i])

    def update(self, *new_scale):
        self.scaler.update(*new_scale)

    def state_dict(self):
        return self.scaler.state_dict()

    def load_state_dict(self, state):
        self.scaler.load_state_dict(state)

    def scaled(self, value, dtype):
        """A scaled loss of a type."""
        return number(self.scaler.scale(torch.tensor(value, dtype=getattr(torch, dtype))).item())


def growth():
    """Growth after three good steps, a factor that is no power of two, backoff, and the tracker's fate."""
    p = Program(init_scale=1000.0, growth_factor=1.3, backoff_factor=0.7, growth_interval=3)
    p.call("state_dict")
    for good in [1, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1]:
        p.call("zero_grad")
        p.call("backward", 1.0, 2.0, -1.0)
        if not good:
            p.call("grad", 1, INF)
        p.call("step", 0)
        p.call("step", 1)
        p.call("update")
    p.call("state_dict")
    return p


def groups():
    """An inf or a NaN in one group leaves out the optimiser's step, but not the other's; a parameter may have no gradient."""
    p = Program(init_scale=8.0, growth_interval=2)
    for i, bad in [(1, INF), (0, NAN), (2, -INF)]:
        p.call("zero_grad")
        p.call("backward", 0.5, 0.25, 0.125)
        p.call("grad", i, *([bad] * len(p.params[i])))
        p.call("step", 0)
        p.call("step", 1)
        p.call("update")
    p.call("zero_grad")
    p.call("backward", 1.0, None, 1.0)
    p.call("step", 0)
    p.call("step", 1)
    p.call("update")
    return p


def clipping():
    """Gradients are clipped as they are without their scale."""
    p = Program(init_scale=512.0)
    for norm in [0.5, 100.0]:
        p.call("zero_grad")
        p.call("backward", 1.0, 1.0, 1.0)
        p.call("unscale_", 0)
        p.call("clip", 0, norm)
        p.call("step", 0)
        p.call("step", 1)
        p.call("update")
    p.call("zero_grad")
    p.call("backward", 1.0, 1.0, 1.0)
    p.call("grad", 0, INF, 1.0)
    p.call("unscale_", 0)
    p.call("clip", 0, 1.0)
    p.call("step", 0)
    p.call("update")
    return p


def nothing_to_do():
    """Optimisers without gradients."""
    p = Program(init_scale=4.0)
    p.call("scaled", 1.0, "float32")
    p.call("update")
    p.call("step", 0)
    p.call("update")
    p.call("backward", 1.0, 1.0, None)
    p.call("step", 0)
    p.call("update", 2.0)
    p.call("step", 0)
    p.call("update")
    return p


def refusals():
    """Calls in a wrong order."""
    p = Program(init_scale=4.0)
    p.call("backward", 1.0, 1.0, None)
    p.call("unscale_", 0)
    p.call("unscale_", 0)
    p.call("step", 0)
    p.call("step", 0)
    p.call("unscale_", 0)
    p.call("step", 1)
    p.call("update")
    p.call("unscale_", 0)
    p.call("step", 0)
    p.call("update")
    return p


def scales():
    """New scales, scales beyond float32, scales below 1, and losses of other types."""
    p = Program(init_scale=3e38, growth_interval=1)
    p.call("backward", 1e-38, 1e-38, 1e-38)
    p.call("step", 0)
    p.call("update")
    p.call("update", 0.1)
    for dtype in ["float16", "bfloat16", "float32", "float64"]:
        p.call("scaled", 3.0, dtype)
    p.call("update", 2.0**-20)
    p.call("zero_grad")
    p.call("grad", 0, 3e38, 1.0)
    p.call("grad", 1, 1.0)
    p.call("step", 0)
    p.call("update")
    p.call("update", 65536.0)
    p.call("scaled", 2.0, "float16")
    return p


def states():
    """States that are saved and loaded, in mid-interval too."""
    p = Program(init_scale=16.0, growth_interval=4)
    for _ in range(3):
        p.call("zero_grad")
        p.call("backward", 1.0, 1.0, 1.0)
        p.call("step", 0)
        p.call("update")
    p.call("state_dict")
    state = {"scale": 12.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2, "_growth_tracker": 1}
    p.call("load_state_dict", state)
    p.call("zero_grad")
    p.call("backward", 1.0, 1.0, 1.0)
    p.call("step", 0)
    p.call("update")
    p.call("state_dict")
    p.call("load_state_dict", {})
    return p


def disabled():
    """Nothing is scaled, nothing checked."""
    p = Program(enabled=False)
    p.call("backward", 1.0, 1.0, 1.0)
    p.call("unscale_", 0)
    p.call("unscale_", 0)
    p.call("grad", 1, INF)
    p.call("step", 0)
    p.call("step", 0)
    p.call("update")
    p.call("state_dict")
    p.call("load_state_dict", {"scale": 2.0})
    return p


if __name__ == "__main__":
    programs = {f.__name__: f().program for f in [growth, groups, clipping, nothing_to_do, refusals, scales, states, disabled]}
    out = {"torch": torch.__version__, "programs": programs}
    (HERE / "grad_scaler.json").write_text(json.dumps(out, separators=(",", ":"), allow_nan=False) + "\n")
