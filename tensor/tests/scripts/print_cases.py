"""Writes tests/golden/print.txt: tensors as PyTorch prints them.

Run with PyTorch installed: python tensor/tests/scripts/print_cases.py

A case is a line `== dtype; shape; options`, a line with the elements (or `arange`), and the printed text.
"""

import pathlib

import torch

nan, inf = float("nan"), float("inf")
f32, f64, f16, bf16 = torch.float32, torch.float64, torch.float16, torch.bfloat16
i64, i32, i16, i8, u8, boolean = torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool
torch.manual_seed(3)


def normal(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).flatten().tolist()


ARANGE = "arange"
CASES = [
    (f32, [], [2.5], {}),
    (f32, [], [3.0], {}),
    (f32, [], [0.0], {}),
    (f32, [], [-0.0], {}),
    (f32, [], [nan], {}),
    (f32, [], [-inf], {}),
    (f32, [], [1e-7], {}),
    (f32, [], [1e8], {}),
    (f32, [], [1.1e8], {}),
    (i64, [], [-7], {}),
    (boolean, [], [1], {}),
    (f64, [], [0.1], {}),
    (f32, [3], [1.0, 2.0, 3.0], {}),
    (f32, [3], [1.5, 2.25, -3.0], {}),
    (f32, [2], [0.00005, 1.0], {}),
    (f32, [2], [0.0001, 0.05], {}),
    (f64, [2], [0.0001, 0.05], {}),
    (f32, [2], [1e10, 1.0], {}),
    (f32, [2], [1.0, 1000.0], {}),
    (f32, [2], [1.0, 1001.0], {}),
    (f32, [2], [1234567.0, 2345678.0], {}),
    (f32, [4], [0.0, nan, 1.0, inf], {}),
    (f32, [4], [-0.0, nan, 1.5, -inf], {}),
    (f32, [2], [nan, inf], {}),
    (f32, [4], [1e-30, nan, -inf, 0.0], {}),
    (f32, [40], [0.0] * 40, {}),
    (f32, [3], [0.03125, 0.00625, 2.50005], {}),
    (f64, [3], [1e-300, 1e300, -1.0], {}),
    (f64, [2], [0.5, 123456.789], {}),
    (f16, [3], [1.0, 2.0, 65504.0], {}),
    (f16, [3], [0.1, 0.25, -0.75], {}),
    (bf16, [2, 2], [0.1, 0.25, -0.75, 3.0], {}),
    (f32, [0], [], {}),
    (f32, [2, 0], [], {}),
    (i64, [0], [], {}),
    (boolean, [0, 3], [], {}),
    (f64, [0, 3, 1], [], {}),
    (i32, [2], [1, 2], {}),
    (i16, [2], [-100, 2], {}),
    (i8, [2], [-128, 127], {}),
    (u8, [2], [0, 255], {}),
    (i64, [2], [-(2**63), 2**63 - 1], {}),
    (boolean, [2], [1, 0], {}),
    (boolean, [2, 2], [1, 1, 1, 1], {}),
    (i64, [30], ARANGE, {}),
    (i64, [3, 4], ARANGE, {}),
    (i64, [2, 2], [1, 200, -3, 4], {}),
    (f32, [2, 3], normal(2, 3), {}),
    (f32, [2, 3], normal(2, 3, scale=1e5), {}),
    (f32, [25], normal(25), {}),
    (f64, [2, 2, 2], normal(2, 2, 2), {}),
    (f32, [1, 1, 1, 2], normal(2), {}),
    (f32, [2, 1, 2, 3], normal(12), {}),
    (f32, [1000], ARANGE, {}),
    (f32, [2000], ARANGE, {}),
    (i64, [1001], ARANGE, {}),
    (i64, [7, 11, 13], ARANGE, {}),
    (i64, [2, 600], ARANGE, {}),
    (i64, [600, 2], ARANGE, {}),
    (f64, [6, 200], ARANGE, {}),
    (boolean, [1200], [1, 0] * 600, {}),
    (i32, [5, 5, 5, 9], ARANGE, {}),
    (f32, [3], [1.0 / 3, 2.0, -5.125], {"precision": 2}),
    (f32, [3], [1.0 / 3, 2.0, -5.125], {"precision": 0}),
    (f32, [3], [1.0 / 3, 2.0, -5.125], {"precision": 10}),
    (f32, [3], [1.0 / 3, 2.0, -5.125], {"sci_mode": True}),
    (f32, [3], [1.0, 2.0, -5.0], {"sci_mode": True, "precision": 1}),
    (f32, [3], [1e-6, 2.0, -5e7], {"sci_mode": False}),
    (f32, [3], [1.0, 2.0, 5e9], {"sci_mode": False}),
    (i64, [10], ARANGE, {"threshold": 5}),
    (i64, [4, 5], ARANGE, {"threshold": 5, "edgeitems": 1}),
    (i64, [4, 5], ARANGE, {"threshold": 5, "edgeitems": 2}),
    (i64, [20], ARANGE, {"threshold": 5, "edgeitems": 0}),
    (i64, [4, 5], ARANGE, {"threshold": 5, "edgeitems": 0}),
    (i64, [40], ARANGE, {"linewidth": 40}),
    (i32, [3, 8], ARANGE, {"linewidth": 20}),
    (i64, [4], ARANGE, {"linewidth": 1}),
    (f64, [8], normal(8), {"linewidth": 70}),
    (f64, [7], normal(7), {"linewidth": 60}),
]


def main():
    lines = []
    for dtype, shape, data, options in CASES:
        count = torch.Size(shape).numel()
        values = list(range(count)) if data is ARANGE else data
        tensor = torch.tensor(values, dtype=dtype).reshape(shape)
        torch.set_printoptions(profile="default")
        torch.set_printoptions(**options)
        settings = " ".join(f"{name}={value}" for name, value in options.items())
        name = str(dtype).removeprefix("torch.")
        lines.append(f"== {name}; {' '.join(map(str, shape))}; {settings}".rstrip())
        lines.append(data if data is ARANGE else " ".join(map(repr, data)))
        lines.append(str(tensor))
    folder = pathlib.Path(__file__).parent.parent / "golden"
    folder.mkdir(exist_ok=True)
    (folder / "print.txt").write_text("\n".join(lines) + "\n")


main()
