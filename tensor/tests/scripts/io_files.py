"""Writes tests/golden/io: small files made by NumPy and by the reference implementation of safetensors.

Run with NumPy, PyTorch and safetensors installed: python tensor/tests/scripts/io_files.py
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent.parent / "golden" / "io"
FOLDER.mkdir(parents=True, exist_ok=True)


def values(dtype, shape):
    """0, 1, 2, ... in row-major order; truth values alternate."""
    data = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return (data % 2 == 1) if dtype == "?" else data.astype(dtype)


def save_npy(name, array, version=(1, 0)):
    with open(FOLDER / f"{name}.npy", "wb") as file:
        np.lib.format.write_array(file, array, version=version)


for dtype in ["?", "u1", "i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"]:
    save_npy(f"{np.dtype(dtype).name}", values(dtype, (2, 3)))
for dtype in [">i2", ">i4", ">i8", ">f2", ">f4", ">f8"]:
    save_npy(f"{np.dtype(dtype).name}_big", values(dtype, (2, 3)))
save_npy("fortran", np.asfortranarray(values("<f4", (2, 3, 4))))
save_npy("fortran_big", np.asfortranarray(values(">i4", (3, 2))))
save_npy("version2", values("<f4", (2, 3)), version=(2, 0))
save_npy("version3", values("<f4", (2, 3)), version=(3, 0))
save_npy("zero_dim", np.array(7.5, dtype="<f8"))
save_npy("empty", np.zeros((0, 3), dtype="<f4"))
save_npy("one_dim", values("<i8", (5,)))
save_npy("long", values("<i2", (40,)))
save_npy("structured", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
save_npy("complex", np.zeros(2, dtype="<c8"))
save_npy("unsigned", np.zeros(2, dtype="<u4"))
save_npy("text", np.array(["ab", "c"]))

arrays = {"weight": values("<f4", (2, 3)), "bias/x": values("<i8", (3,)), "flag": np.array(True)}
np.savez(FOLDER / "stored.npz", **arrays)
np.savez_compressed(FOLDER / "deflated.npz", **arrays)

tensors = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.bias": torch.tensor([0.5, -1.0], dtype=torch.bfloat16),
    "count": torch.tensor(3),
    "a.mask": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 2, dtype=torch.float16),
    "z": torch.tensor([[1.0]], dtype=torch.float64),
}
save_file(tensors, FOLDER / "tensors.safetensors", metadata={"format": "pt"})
