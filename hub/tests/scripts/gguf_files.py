"""Makes hub/tests/golden/*.gguf and gguf.json: what the Python package gguf (0.19) writes, and the values that it
dequantises to. (Q8_K, which the package does not dequantise, is computed here: a scale and 256 numbers.)

    pip install gguf && python hub/tests/scripts/gguf_files.py hub/tests/golden
"""

import json
import pathlib
import sys
import zlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

# Where the blocks have float16 numbers, which must be finite.
HALVES = {
    Kind.Q4_0: [0], Kind.Q4_1: [0, 2], Kind.Q5_0: [0], Kind.Q5_1: [0, 2], Kind.Q8_0: [0],
    Kind.Q2_K: [80, 82], Kind.Q3_K: [108], Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2], Kind.Q6_K: [208], Kind.Q8_K: [],
}
PLAIN = [np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64]


def random_blocks(rng, kind, rows, blocks):
    """Every bit of a block is random, but for its scales."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = rng.integers(0, 256, (rows * blocks, size), dtype=np.uint8)
    for at in HALVES[kind]:
        scale = rng.normal(size=rows * blocks).astype("<f2")
        data[:, at : at + 2] = scale.view(np.uint8).reshape(-1, 2)
    if kind == Kind.Q8_K:
        data[:, :4] = rng.normal(size=rows * blocks).astype("<f4").view(np.uint8).reshape(-1, 4)
    return data.reshape(rows, blocks * size)


def dequantise(data, kind):
    if kind != Kind.Q8_K:
        return gguf.quants.dequantize(data, kind)
    blocks = data.reshape(-1, 292)
    scale, numbers = blocks[:, :4].copy().view("<f4"), blocks[:, 4:260].view(np.int8)
    return (scale * numbers.astype(np.float32)).reshape(data.shape[0], -1)


def describe(array, dtype=None):
    data = np.ascontiguousarray(array)
    return {"dtype": dtype or str(data.dtype), "shape": list(data.shape), "crc32": zlib.crc32(data.tobytes())}


def main():
    folder = pathlib.Path(sys.argv[1])
    rng = np.random.default_rng(0)
    expected = {}
    writer = gguf.GGUFWriter(folder / "quants.gguf", "test")
    writer.add_name("every kind")
    writer.add_uint8("n.u8", 255)
    writer.add_int8("n.i8", -1)
    writer.add_uint16("n.u16", 65535)
    writer.add_int16("n.i16", -2)
    writer.add_uint32("n.u32", 2**32 - 1)
    writer.add_int32("n.i32", -3)
    writer.add_uint64("n.u64", 2**63 - 1)
    writer.add_int64("n.i64", -(2**63))
    writer.add_float32("n.f32", 0.5)
    writer.add_float64("n.f64", 0.1)
    writer.add_bool("n.bool", True)
    writer.add_array("a.texts", ["a", "", "ü"])
    writer.add_array("a.integers", [1, 2, 3])
    writer.add_array("a.floats", [0.5, -1.5])
    writer.add_array("a.truths", [True, False])
    for dtype in PLAIN:
        array = (np.arange(6).reshape(2, 3) - 2).astype(dtype)
        writer.add_tensor(str(array.dtype), array)
        expected[str(array.dtype)] = describe(array)
    half = np.array([[0x3F80, 0xC000, 0x7F80]], dtype=np.uint16)
    writer.add_tensor("bfloat16", half.view(np.uint8), raw_dtype=Kind.BF16)
    expected["bfloat16"] = describe(half, "bfloat16")
    for kind in HALVES:
        data = random_blocks(rng, kind, 3, 2)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = describe(dequantise(data, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    aligned = gguf.GGUFWriter(folder / "aligned.gguf", "test")
    aligned.add_custom_alignment(256)
    aligned.add_tensor("x", np.arange(3, dtype=np.float32))
    aligned.add_tensor("y", np.arange(4, dtype=np.float32))
    # Of a kind that is known by name only.
    aligned.add_tensor("z", np.zeros((1, 18), dtype=np.uint8), raw_dtype=Kind.IQ4_NL)
    aligned.write_header_to_file()
    aligned.write_kv_data_to_file()
    aligned.write_tensors_to_file()
    aligned.close()

    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(text)}" for name, text in expected.items())
    (folder / "gguf.json").write_text("{\n\"quants.gguf\": {\n" + lines + "\n}\n}\n")


if __name__ == "__main__":
    main()
