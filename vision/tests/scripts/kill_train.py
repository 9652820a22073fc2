"""Kills a training at random moments, again and again, and compares what comes of it in the end with an uninterrupted run.

    cargo build --release -p flambeau-vision --example train
    python vision/tests/scripts/kill_train.py target/release/examples/train 20

The test `killed.rs` does the same with a few kills at chosen moments."""

import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

program, kills = Path(sys.argv[1]).resolve(), int(sys.argv[2])
folder = Path(tempfile.mkdtemp(prefix="kill-train-"))
random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 0)


def write_png(path, level):
    """A grey picture of 32 by 32 pixels with noise."""
    rows = b"".join(b"\0" + bytes(level + random.randrange(60) for _ in range(32)) for _ in range(32))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


for part, count in (("train", 32), ("test", 8)):
    for name, level in (("dark", 20), ("grey", 90), ("bright", 180)):
        for i in range(count):
            write_png(folder / "data" / part / name / f"{i}.png", level)

command = [program, "--dataset", "folder", "--data", folder / "data", "--image-size", "32"]
command += ["--batch-size", "16", "--epochs", str(max(12, kills)), "--workers", "2"]

begin = time.monotonic()
subprocess.run([*command, "--out", folder / "whole"], check=True, stdout=subprocess.DEVNULL)
seconds = time.monotonic() - begin
print(f"uninterrupted: {seconds:.2f} s")

resumed = [*command, "--out", folder / "killed", "--resume"]
for i in range(kills):
    process = subprocess.Popen(resumed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    delay = random.uniform(0, 2.5 * seconds / kills)
    try:
        process.wait(delay)
        print(f"it was over before kill {i + 1}: {process.stdout.read()}")
        sys.exit(1)
    except subprocess.TimeoutExpired:
        process.kill()
        text = process.stdout.read()
        process.wait()
        assert "error" not in text, text
        print(f"kill {i + 1:2} after {delay:.3f} s, {text.count('epoch ')} epochs further")
subprocess.run(resumed, check=True, stdout=subprocess.DEVNULL)
same = [
    (folder / "whole" / "model.safetensors").read_bytes() == (folder / "killed" / "model.safetensors").read_bytes(),
    [row.rsplit(",", 1)[0] for row in (folder / "whole" / "log.csv").read_text().splitlines()]
    == [row.rsplit(",", 1)[0] for row in (folder / "killed" / "log.csv").read_text().splitlines()],
]
print(f"weights the same bit for bit: {same[0]}; measurements the same: {same[1]}")
sys.exit(not all(same))
