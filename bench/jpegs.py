#!/usr/bin/env python3
"""Makes the pictures that the workloads `data/jpeg_*` read: JPEGs of 500 x 375, quality 90, two classes.

    python3 bench/jpegs.py [--pictures ../shared/assets/images] [--folder FOLDER] [--count 256]

Each is a random part of one of the photographs in a folder, enlarged or shrunk, mirrored or not. By default they go where
the workloads look for them: to the folder that FLAMBEAU_BENCH_JPEGS names, or to `flambeau-bench-jpegs` among the
temporary files. Chroma is halved in both directions (4:2:0), as cameras and the web have it.
"""
import argparse
import os
import random
import tempfile
from pathlib import Path

from PIL import Image


def default_folder():
    return os.environ.get("FLAMBEAU_BENCH_JPEGS") or os.path.join(tempfile.gettempdir(), "flambeau-bench-jpegs")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=Path, default=Path("../shared/assets/images"))
    parser.add_argument("--folder", type=Path, default=default_folder())
    parser.add_argument("--count", type=int, default=256)
    options = parser.parse_args()
    paths = sorted(path for path in options.pictures.iterdir() if path.suffix in (".png", ".jpg"))
    photographs = [Image.open(path).convert("RGB") for path in paths]
    rng, bytes_written = random.Random(0), 0
    for i in range(options.count):
        photograph = photographs[i % len(photographs)]
        largest = min(photograph.width / 500, photograph.height / 375)
        scale = largest * rng.uniform(0.7, 1.0)
        width, height = round(500 * scale), round(375 * scale)
        left, top = rng.randint(0, photograph.width - width), rng.randint(0, photograph.height - height)
        part = photograph.crop((left, top, left + width, top + height)).resize((500, 375), Image.Resampling.LANCZOS)
        if rng.random() < 0.5:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        path = Path(options.folder) / f"class{i % 2}" / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.save(path, quality=90)
        bytes_written += path.stat().st_size
    print(f"{options.folder}: {options.count} pictures, {bytes_written / options.count / 1000:.0f} kB each")


if __name__ == "__main__":
    main()
