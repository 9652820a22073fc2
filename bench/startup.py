#!/usr/bin/env python3
"""From the start of a process to the first answer of a ResNet-18 whose weights come from a .safetensors file: PyTorch's side, and the
comparison.

    python3 bench/startup.py weights model.safetensors                 # writes random weights
    python3 bench/startup.py answer model.safetensors picture.png      # what is timed here
    python3 bench/startup.py compare model.safetensors picture.png --classify PATH/TO/classify

`compare` runs both programs in turn, five times each, and prints the medians of seconds of wall time and of MB of memory at most.
`classify` is the example of flambeau-vision, built with --release.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def weights(path):
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    save_file({name: value.contiguous() for name, value in resnet18(weights=None).state_dict().items()}, path)


def answer(path, picture):
    import torch
    from safetensors.torch import load_file
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.models import ResNet18_Weights, resnet18

    torch.set_num_threads(2)
    model = resnet18(weights=None)
    model.load_state_dict(load_file(path))
    model.eval()
    x = ResNet18_Weights.IMAGENET1K_V1.transforms()(decode_image(picture, mode=ImageReadMode.RGB))
    with torch.inference_mode():
        best = model(x[None]).softmax(1).max(1)
    print(f"{best.values.item():.4f} {best.indices.item()}")


def run(command):
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 1000


def compare(path, picture, classify):
    ours = [classify, picture, "--model", "resnet18", "--weights", path]
    theirs = [sys.executable, __file__, "answer", path, picture]
    runs = [(run(ours), run(theirs)) for _ in range(6)][1:]  # the first ones read the files from the disk
    for name, side in (("flambeau", 0), ("pytorch", 1)):
        seconds, megabytes = (statistics.median(pair[side][i] for pair in runs) for i in (0, 1))
        print(json.dumps({"by": name, "seconds": round(seconds, 4), "mb": round(megabytes, 1)}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["weights", "answer", "compare"])
    parser.add_argument("model")
    parser.add_argument("picture", nargs="?")
    parser.add_argument("--classify")
    options = parser.parse_args()
    if options.what == "weights":
        weights(options.model)
    elif options.what == "answer":
        answer(options.model, options.picture)
    else:
        compare(options.model, options.picture, options.classify)


if __name__ == "__main__":
    main()
