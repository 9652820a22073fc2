"""Checksums of the keys of torchvision's models that classify images: for each, how many entries its state has and the
CRC-32 of lines `key dtype d0,d1,…`, one an entry, in their order.

    python checksums.py > checksums.json
"""

import json
import warnings
import zlib

import torch
import torchvision.models as models

warnings.filterwarnings("ignore")

if __name__ == "__main__":
    checksums = {}
    for name in models.list_models(module=models):
        if name == "maxvit_t":
            continue
        # RegNets compute their widths by tensors, so they can't be made without memory.
        with torch.device("cpu" if name.startswith("regnet") else "meta"):
            state = models.get_model(name).state_dict()
        lines = [
            f"{key} {str(value.dtype).removeprefix('torch.')} {','.join(map(str, value.shape))}\n"
            for key, value in state.items()
        ]
        checksums[name] = [len(lines), zlib.crc32("".join(lines).encode())]
    print("{\n" + ",\n".join(f' "{name}": {json.dumps(pair)}' for name, pair in checksums.items()) + "\n}")
