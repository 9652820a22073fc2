#!/usr/bin/env python3
"""PyTorch's side of what torch_bench.py has no workload for: `overhead/*`, `data/*`, `growth/*`, steps in mixed precision, and the
memory of a training step.

    cargo xtask bench --only overhead/ --against "python3 bench/torch_extra.py"
    python3 bench/jpegs.py && cargo xtask bench --only data/ --against "python3 bench/torch_extra.py"
    cargo xtask bench --only growth/ --against "python3 bench/torch_extra.py"
    cargo xtask bench --only step/resnet18_b8_224 --memory
    python3 bench/torch_extra.py --only step/resnet18_b8_224 --memory

The protocol is that of docs/benchmarks/README.md. A call of `add_4_x1000` is a thousand additions of 4 elements, since
one is shorter than a clock can measure well.
"""
import argparse
import json
import os
import tempfile
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def add_4_x1000(tracked):
    a, b = torch.randn(4, requires_grad=tracked), torch.randn(4)

    def run():
        for _ in range(1000):
            a + b

    return run


def mlp():
    return nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))


def mlp_forward():
    model, x = mlp(), torch.randn(64, 4)

    def run():
        with torch.no_grad():
            model(x)

    return run


def adam_step():
    model, x, y = mlp(), torch.randn(64, 4), torch.randn(64, 2)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    F.mse_loss(model(x), y).backward()
    return optimizer.step


def step(optimizer, loss, mixed):
    def run():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            value = loss()
        value.backward()
        optimizer.step()

    return run


def resnet18_step(size, mixed=False):
    from torchvision.models import resnet18

    model, x, y = resnet18(weights=None), torch.randn(8, 3, size, size), torch.randint(0, 1000, (8,))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    return step(optimizer, lambda: F.cross_entropy(model(x), y), mixed)


def transformer_step(mixed):
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)
    model, x, y = nn.TransformerEncoder(layer, 2), torch.randn(8, 64, 256), torch.randn(8, 64, 256)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    return step(optimizer, lambda: F.mse_loss(model(x), y), mixed)


def answers(model, *shape):
    model.eval()
    x = torch.randn(*shape)

    def run():
        with torch.inference_mode():
            model(x)

    return run


def resnet18_answers(batch, side):
    from torchvision.models import resnet18

    return answers(resnet18(weights=None), batch, 3, side, side)


def encoder_answers(length):
    layer = nn.TransformerEncoderLayer(384, 12, 1536, dropout=0.0, activation="gelu", batch_first=True)
    return answers(nn.TransformerEncoder(layer, 6), 1, length, 384)


def jpegs(decode):
    """An epoch over the pictures of jpegs.py, by two worker processes that stay."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import default_loader
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    # OMP_PROC_BIND has bound this process to one processor, and its workers would inherit that.
    os.sched_setaffinity(0, range(os.cpu_count()))

    def read(path):
        return default_loader(path) if decode == "pillow" else decode_image(path, mode=ImageReadMode.RGB)

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    folder = os.environ.get("FLAMBEAU_BENCH_JPEGS") or os.path.join(tempfile.gettempdir(), "flambeau-bench-jpegs")
    dataset = ImageFolder(folder, transform=transform, loader=read)
    loader = DataLoader(dataset, 32, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)

    def run():
        for _ in loader:
            pass

    return run


WORKLOADS = {
    "overhead/add_4_x1000": lambda: add_4_x1000(False),
    "overhead/add_4_tracked_x1000": lambda: add_4_x1000(True),
    "overhead/mlp_4_128_128_2_b64_forward": mlp_forward,
    "overhead/adam_step_mlp_4_128_128_2": adam_step,
    "step/resnet18_b8_224": lambda: resnet18_step(224),
    "step/resnet18_b8_64": lambda: resnet18_step(64),
    "step/resnet18_b8_64_bf16": lambda: resnet18_step(64, True),
    "step/transformer_b8_t64_d256": lambda: transformer_step(False),
    "step/transformer_b8_t64_d256_bf16": lambda: transformer_step(True),
    "data/jpeg_crop224_b32_pillow": lambda: jpegs("pillow"),
    "data/jpeg_crop224_b32_decode_image": lambda: jpegs("decode_image"),
}
for n in (1, 2, 4, 8, 16, 32, 64):
    WORKLOADS[f"growth/resnet18_batch_{n}"] = lambda n=n: resnet18_answers(n, 224)
for n in (64, 96, 128, 192, 256, 384, 512):
    WORKLOADS[f"growth/resnet18_side_{n}"] = lambda n=n: resnet18_answers(1, n)
for n in (64, 128, 256, 512, 1024, 2048):
    WORKLOADS[f"growth/encoder_length_{n}"] = lambda n=n: encoder_answers(n)


def timed(call):
    call()
    call()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < 0.7 and len(times) < 2000):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return {"min_ms": times[0], "median_ms": times[len(times) // 2], "calls": len(times)}


def resident(field):
    """MiB of memory: now (VmRSS), or at most so far (VmHWM)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))


def memory(prepare):
    before = resident("VmRSS")
    call = prepare()
    for _ in range(5):
        call()
    return {"before_mib": before, "peak_mib": resident("VmHWM")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    exact = options.only in WORKLOADS  # a name may begin another
    for name, prepare in WORKLOADS.items():
        if options.only in name and (options.only == name or not exact):
            figures = memory(prepare) if options.memory else timed(prepare())
            by = f"torch {torch.__version__}"
            print(json.dumps({"name": name, "by": by, "threads": options.threads, **figures}), flush=True)


if __name__ == "__main__":
    main()
