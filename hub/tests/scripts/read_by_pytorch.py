"""Reads hub/tests/golden/written.pt, which this project wrote, with torch.load(weights_only=True), and compares it with
what hub/tests/files/written.rs puts there.

    FLAMBEAU_WRITE=1 cargo test -p flambeau-hub --test files written    # writes the file again
    python hub/tests/scripts/read_by_pytorch.py hub/tests/golden/written.pt
"""

import sys

import torch


def main():
    path = sys.argv[1]
    for mmap in (False, True):
        value = torch.load(path, weights_only=True, mmap=mmap)
        assert list(value) == ["types", "views", "optimizer", "text", "long", "dtype", "bytes", "limits", "nothing"]
        names = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()
        assert list(value["types"]) == names
        for name, tensor in value["types"].items():
            dtype = getattr(torch, name)
            assert tensor.dtype == dtype and torch.equal(tensor, torch.arange(6).view(2, 3).to(dtype)), name
        base = torch.arange(24.0)
        expected = {
            "base": base,
            "transposed": base.view(4, 6).t(),
            "offset": base[5:8],
            "tied": base,
            "repeated": torch.arange(3.0).view(3, 1).expand(3, 4),
            "small_part": torch.tensor([7.0, 8.0]),
            "every_third": torch.arange(1000.0)[1::3],
            "scalar": torch.tensor(2.5, dtype=torch.float64),
            "empty": torch.zeros(0, 3),
        }
        views = value["views"]
        assert list(views) == list(expected)
        for name, tensor in expected.items():
            assert views[name].dtype == tensor.dtype and torch.equal(views[name], tensor), name
        shared = [views[n].untyped_storage().data_ptr() for n in ("base", "transposed", "offset", "tied")]
        assert len(set(shared)) == 1
        assert [views[n].untyped_storage().nbytes() // 4 for n in ("repeated", "small_part", "every_third")] == [3, 2, 333]
        state = value["optimizer"]
        assert list(state["state"]) == [0] and state["state"][0]["step"].tolist() == [0.0]
        assert state["param_groups"] == [
            {"lr": 0.1, "betas": (0.9, 0.999), "foreach": None, "amsgrad": False, "params": [0, 255, 256, -1, 2**40]}
        ]
        assert value["text"] == "résumé" and value["long"] == "x" * 300 and value["dtype"] == torch.bfloat16
        assert value["bytes"] == b"\x00\x80\xff" and value["nothing"] == []
        assert value["limits"][:3] == [-(2**63), 2**63 - 1, float("inf")] and str(value["limits"][3]) == "-0.0"
    print(f"PyTorch {torch.__version__} reads {path} as expected")


if __name__ == "__main__":
    main()
