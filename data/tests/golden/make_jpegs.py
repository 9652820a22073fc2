#!/usr/bin/env python3
"""Makes jpegs.safetensors: JPEG files, and their pixels as Pillow and torchvision decode them (by libjpeg-turbo).

    python3 data/tests/golden/make_jpegs.py        # numpy, Pillow, torchvision, safetensors

`NAME.file` has the bytes of a file, `NAME.pixels` is `[channels, height, width]`. Pictures are waves, or noise.
"""
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.io import decode_image

rng = np.random.default_rng(0)
tensors = {}


def add(name, pixels, **options):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", **options)
    file = torch.from_numpy(np.frombuffer(data.getvalue(), np.uint8).copy())
    decoded = decode_image(file)
    by_pillow = torch.from_numpy(np.asarray(Image.open(data)).copy())
    by_pillow = by_pillow[None] if by_pillow.dim() == 2 else by_pillow.permute(2, 0, 1)
    assert torch.equal(decoded, by_pillow), name
    tensors[f"{name}.file"], tensors[f"{name}.pixels"] = file, decoded.contiguous()


def waves(height, width):
    y, x = np.mgrid[:height, :width]
    planes = [127 + 127 * np.sin(x / (3 + c) + y / (5 - c)) * np.cos(y / 7 + c) for c in range(3)]
    return np.stack(planes, -1).astype(np.uint8)


def noise(height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


for sampling in range(3):
    for height, width in [(27, 40), (19, 17), (7, 5), (1, 6), (33, 8)]:
        add(f"waves_{height}x{width}_{sampling}", waves(height, width), quality=85, subsampling=sampling)
    add(f"noise_{sampling}", noise(24, 35), quality=98, subsampling=sampling)
    add(f"coarse_{sampling}", noise(18, 21), quality=10, subsampling=sampling, optimize=True)
    add(f"restarts_{sampling}", waves(40, 50), quality=75, subsampling=sampling, restart_marker_blocks=2)
# As wide as several groups of blocks that are transformed together.
add("wide", waves(9, 300), quality=90)
add("grey", waves(21, 34)[..., 0], quality=90)
add("grey_restarts", noise(21, 34)[..., 0], quality=90, restart_marker_rows=1)
save_file(tensors, Path(__file__).with_name("jpegs.safetensors"))
