"""Makes g2p_en.safetensors in this folder from the file checkpoint20.npz of the package g2p-en 2.1.0: the same values in half
precision.

    python3 make.py checkpoint20.npz
"""

import sys

import numpy as np
from safetensors.numpy import save_file

arrays = np.load(sys.argv[1])
save_file({name: arrays[name].astype(np.float16) for name in arrays.files}, "g2p_en.safetensors")
