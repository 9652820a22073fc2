"""Makes hub/tests/golden: small checkpoints written by PyTorch, and what PyTorch reads from them.

    python hub/tests/scripts/checkpoints.py hub/tests/golden              # the files (PyTorch 2.15)
    python hub/tests/scripts/checkpoints.py hub/tests/golden --weights ../shared/assets/weights
                                                                           # what PyTorch reads from those files

`expected.json` and `weights.json` have, for each file and dotted name, element type, shape and the CRC-32 of the
elements in row-major order, low bytes first.
"""

import argparse
import collections
import io
import json
import pathlib
import zipfile
import zlib

import numpy
import torch

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
]


def values(dtype, shape):
    """Numbers that every type has, and for floating point those that are easily lost."""
    numel = int(numpy.prod(shape))
    numbers = torch.arange(numel, dtype=torch.float64) * 3 % 7
    if dtype.is_floating_point and numel >= 6:
        numbers = numbers / 3 - 1
        numbers[:4] = torch.tensor([float("nan"), float("inf"), -0.0, 6e-8])
    return numbers.to(dtype).reshape(shape)


def every_type():
    shapes = {"scalar": (), "empty": (0, 3), "matrix": (2, 3)}
    return collections.OrderedDict(
        (f"{str(dtype)[6:]}.{name}", values(dtype, shape)) for dtype in DTYPES for name, shape in shapes.items()
    )


def views():
    base = torch.arange(24, dtype=torch.float32)
    matrix = base.view(4, 6)
    column = torch.arange(3.0)
    return {
        "base": base,
        "transposed": matrix.t(),
        "part": matrix[1:3, ::2],
        "offset": base[5:],
        "windows": base.unfold(0, 6, 3),
        "tied": base,
        "repeated": column.view(3, 1).expand(3, 4),
        "repeated_all": torch.tensor(2.5).expand(2, 2),
        "channels_last": torch.arange(16.0).view(1, 2, 2, 4).contiguous(memory_format=torch.channels_last),
        "nested": [column, (column[1:], {"deep": column[2]})],
    }


def training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.rand(4, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    return {
        "model": model.state_dict(),
        "parameters": list(model.parameters()),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 3,
        "best": 0.5,
        "name": "résumé",
        "nothing": None,
        "flags": (True, False),
        "integers": [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**62, -(2**63)],
        "floats": [0.1, float("inf"), -0.0, 1e300],
        "shape": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "bytes": b"\x00\x80\xff",
        "classes": {"cat", },
        "counts": collections.Counter(a=2),
        7: "a number as a key",
    }


def big_endian(state):
    """As a big-endian machine would have written it: the elements swapped, and said so."""
    plain = io.BytesIO()
    torch.save(state, plain)
    widths = {t.untyped_storage().nbytes(): t.element_size() for t in state.values()}
    swapped = io.BytesIO()
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(swapped, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            data = source.read(name)
            if "/data/" in name:
                data = numpy.frombuffer(data, f"<u{widths[len(data)]}").byteswap().tobytes()
            target.writestr(name, b"big" if name.endswith("byteorder") else data)
    return swapped.getvalue()


class Odd:
    pass


def make(folder):
    legacy = dict(_use_new_zipfile_serialization=False)
    files = {
        "types_zip.pt": (every_type(), {}),
        "types_legacy.pt": (every_type(), legacy),
        "views_zip.pt": (views(), {}),
        "views_legacy.pt": (views(), legacy),
        "training_zip.pt": (training(), {}),
        "training_legacy.pt": (training(), legacy),
        "protocol4.pt": (training()["model"], dict(pickle_protocol=4)),
        "protocol5_legacy.pt": (training()["model"], dict(pickle_protocol=5) | legacy),
    }
    for name, (state, options) in files.items():
        torch.save(state, folder / name, **options)
    (folder / "big_endian.pt").write_bytes(
        big_endian({"f32": values(torch.float32, (3, 3)), "i16": values(torch.int16, (5,)), "u8": values(torch.uint8, (7,))})
    )
    # What is refused.
    torch.save(torch.nn.Linear(2, 1), folder / "module.pt")
    torch.save({"nested": {"odd": Odd()}}, folder / "class.pt")
    torch.save({"sparse": torch.eye(2).to_sparse()}, folder / "sparse.pt")
    torch.save({"complex": torch.zeros(2, dtype=torch.complex64)}, folder / "complex.pt")
    torch.save({"huge": 2**64}, folder / "huge_integer.pt")
    torch.save({(1, 2): 3}, folder / "tuple_key.pt")
    torch.jit.script(torch.nn.ReLU()).save(folder / "torchscript.pt")


def read(path):
    if path.suffix == ".npz":
        with numpy.load(path) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    if path.suffix == ".safetensors":
        import safetensors.torch

        return safetensors.torch.load_file(path)
    if path.name == "big_endian.pt":
        state = {"f32": values(torch.float32, (3, 3)), "i16": values(torch.int16, (5,)), "u8": values(torch.uint8, (7,))}
        return state
    # The reader of plain data knows protocol 2 only.
    return torch.load(path, weights_only="protocol" not in path.name, map_location="cpu")


def flat(value, name=""):
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from flat(item, f"{name}.{index}" if name else str(index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))


def describe(tensor):
    tensor = tensor.detach().contiguous()
    data = bytes(tensor.flatten().view(torch.uint8).numpy()) if tensor.numel() else b""
    return {"dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "crc32": zlib.crc32(data)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("golden", type=pathlib.Path)
    parser.add_argument("--weights", type=pathlib.Path)
    args = parser.parse_args()
    if args.weights:
        paths = sorted(p for p in args.weights.iterdir() if p.suffix in (".pt", ".pth", ".npz", ".safetensors"))
        target = "weights.json"
    else:
        make(args.golden)
        refused = "module class sparse complex huge_integer tuple_key torchscript".split()
        paths = [p for p in sorted(args.golden.glob("*.pt")) if p.stem not in refused]
        target = "expected.json"
    expected = {p.name: {n: describe(t) for n, t in flat(read(p))} for p in paths}
    lines = ",\n".join(
        f'"{file}": {{\n' + ",\n".join(f"  {json.dumps(n)}: {json.dumps(d)}" for n, d in tensors.items()) + "\n}"
        for file, tensors in expected.items()
    )
    (args.golden / target).write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
