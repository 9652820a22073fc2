"""Small citation networks in the format of Planetoid, and what PyTorch Geometric reads in them.

    python planetoid.py planetoid

`gap` is written as Python 2 wrote the published files, and lacks rows of nodes that are tested on, as CiteSeer does; `whole` is
written by today's Python, NumPy and SciPy. Both have loops and edges that come twice.
"""

import io
import pathlib
import pickle
import struct
import sys
from collections import defaultdict

import numpy as np
import scipy.sparse
import torch_geometric
from safetensors.torch import save_file
from torch_geometric.io import read_planetoid_data


class Old(pickle._Pickler):
    """Writes what Python 2 wrote under protocol 2, with the names that NumPy and SciPy had then."""

    dispatch = dict(pickle._Pickler.dispatch)

    def text(self, bytes, obj):
        short = len(bytes) < 256
        self.write(b"U" + struct.pack("<B", len(bytes)) if short else b"T" + struct.pack("<i", len(bytes)))
        self.write(bytes)
        self.memoize(obj)

    def save_str(self, obj):
        self.text(obj.encode(), obj)

    def save_bytes(self, obj):
        self.text(obj, obj)

    dispatch[str], dispatch[bytes] = save_str, save_bytes


def dump(value, path, old):
    if not old:
        path.write_bytes(pickle.dumps(value, protocol=4))
        return
    file = io.BytesIO()
    Old(file, protocol=2).dump(value)
    names = {
        b"cscipy.sparse._csr\n": b"cscipy.sparse.csr\n",
        b"cnumpy._core.multiarray\n": b"cnumpy.core.multiarray\n",
    }
    bytes = file.getvalue()
    for new, was in names.items():
        bytes = bytes.replace(new, was)
    path.write_bytes(bytes)


def network(rng, folder, name, old, gap):
    classes, features, known, learnt = 3, 7, 9, 4
    tested = known + rng.permutation(5)
    if gap:
        tested = tested[(tested != known + 2) & (tested != known + 3)]
    nodes = known + 5

    def matrix(rows):
        ones = scipy.sparse.random(rows, features, 0.4, format="csr", dtype=np.float32, random_state=rng)
        ones.data[:] = 1
        return ones

    def one_hot(rows):
        return np.eye(classes, dtype=np.int32)[rng.integers(0, classes, rows)]

    allx, ally = matrix(known), one_hot(known)
    graph = defaultdict(list)
    for source, target in rng.integers(0, nodes, (20, 2)).tolist() + [[1, 1], [2, 3], [3, 2]]:
        graph[source].append(target)
        graph[target].append(source)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "x": allx[:learnt],
        "y": ally[:learnt],
        "allx": allx,
        # Not in the order of C, as arrays that were cut out of others are.
        "ally": np.asfortranarray(ally),
        "tx": matrix(len(tested)),
        "ty": one_hot(len(tested)),
        "graph": graph,
    }
    for part, value in parts.items():
        if part != "x":
            dump(value, folder / f"ind.{name}.{part}", old)
    (folder / f"ind.{name}.test.index").write_text("".join(f"{node}\n" for node in tested))
    # That package reads `x`, too, of which it needs nothing, and validates on 500 nodes.
    dump(parts["x"], folder / f"ind.{name}.x", old)
    return classes, known, learnt


def main():
    root = pathlib.Path(sys.argv[1])
    tensors = {}
    for seed, (kind, name, old) in enumerate([("gap", "citeseer", True), ("whole", "toy", False)]):
        folder = root / kind
        _, known, learnt = network(np.random.default_rng(seed), folder, name, old, kind == "gap")
        read = torch_geometric.io.planetoid
        original = read.index_to_mask
        # Of 500 nodes to choose a model by there are five here.
        read.index_to_mask = lambda index, size: original(index[index < (known if len(index) == 500 else size)], size)
        data = read_planetoid_data(str(folder), name)
        read.index_to_mask = original
        (folder / f"ind.{name}.x").unlink()
        for part in ("x", "y", "edge_index", "train_mask", "val_mask", "test_mask"):
            tensors[f"{kind}.{part}"] = data[part].contiguous().clone()
    save_file(tensors, root / "expected.safetensors", {"torch_geometric": torch_geometric.__version__})


if __name__ == "__main__":
    main()
