"""Makes the bundled pictures and weights: `python make.py FOLDER`, the folder with photographs and MTCNN's weights (see
README.md for where each comes from). Needs Pillow, torch and safetensors."""

import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

here, assets = Path(__file__).parent, Path(sys.argv[1])

# The upper middle of the portrait, with the face.
portrait = Image.open(assets / "images/astronaut.png").convert("RGB").crop((110, 0, 366, 256))
portrait.save(here / "astronaut.jpg", quality=90, optimize=True)

# The three networks in one file.
networks = {}
for name in ("pnet", "rnet", "onet"):
    state = torch.load(assets / f"weights/mtcnn_{name}.pt", weights_only=True)
    networks |= {f"{name}.{key}": value.contiguous() for key, value in state.items()}
save_file(networks, here / "mtcnn.safetensors", {"format": "pt"})
