"""Makes the bundled pictures and weights: `python make.py SHARED`, the folder with Fashion-MNIST, photographs and MTCNN's
weights (see README.md for where each comes from). Needs numpy, Pillow, torch and safetensors."""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

here, assets = Path(__file__).parent, Path(sys.argv[1])

# The first test image: an ankle boot.
with gzip.open(assets / "fashion-mnist/t10k-images-idx3-ubyte.gz") as file:
    pixels = np.frombuffer(file.read(16 + 28 * 28)[16:], np.uint8).reshape(28, 28)
with gzip.open(assets / "fashion-mnist/t10k-labels-idx1-ubyte.gz") as file:
    assert file.read(9)[8] == 9
Image.fromarray(pixels).save(here / "ankle_boot.png", optimize=True)

# The upper middle of the portrait, with the face.
portrait = Image.open(assets / "images/astronaut.png").convert("RGB").crop((110, 0, 366, 256))
portrait.save(here / "astronaut.jpg", quality=90, optimize=True)

# The three networks in one file.
networks = {}
for name in ("pnet", "rnet", "onet"):
    state = torch.load(assets / f"weights/mtcnn_{name}.pt", weights_only=True)
    networks |= {f"{name}.{key}": value.contiguous() for key, value in state.items()}
save_file(networks, here / "mtcnn.safetensors", {"format": "pt"})
