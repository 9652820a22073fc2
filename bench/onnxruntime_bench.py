#!/usr/bin/env python3
"""onnxruntime's side of some `infer/*` workloads: the models of torchvision and an encoder as large as BERT's, exported by PyTorch, with all
optimisations of onnxruntime and the same number of threads.

    pip install torch torchvision onnx onnxruntime
    cargo xtask bench --only prepared/ --against "python3 bench/onnxruntime_bench.py"

The protocol is that of docs/benchmarks/README.md.
"""
import argparse
import io
import json
import os
import time
import warnings

import onnxruntime
import torch
import torchvision

IMAGES = [(name, batch) for name in ("resnet18", "resnet50", "mobilenet_v2") for batch in (1, 8)]
IMAGES += [(name, 1) for name in ("vgg16", "mobilenet_v3_large", "efficientnet_b0", "densenet121")]


def image_model(name, batch):
    return getattr(torchvision.models, name)(weights=None), torch.randn(batch, 3, 224, 224)


def encoder():
    layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.0, activation="gelu", batch_first=True)
    return torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False), torch.randn(1, 128, 768)


WORKLOADS = {f"{group}/{name}_b{batch}": lambda name=name, batch=batch: image_model(name, batch)
             for group in ("infer", "prepared") for name, batch in IMAGES}
WORKLOADS["infer/bert_base_b1_t128"] = encoder


def session(model, x, threads):
    # OMP_PROC_BIND has bound this thread to one processor, and those of onnxruntime would inherit that.
    os.sched_setaffinity(0, range(os.cpu_count()))
    exported = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(model.eval(), (x,), exported, dynamo=False, opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(exported.getvalue(), options, providers=["CPUExecutionProvider"])


def timed(call):
    call()
    call()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < 0.7 and len(times) < 2000):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return {"min_ms": times[0], "median_ms": times[len(times) // 2], "calls": len(times)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for name, prepare in WORKLOADS.items():
        if options.only in name:
            model, x = prepare()
            run = session(model, x, options.threads)
            inputs = {run.get_inputs()[0].name: x.numpy()}
            by = f"onnxruntime {onnxruntime.__version__}"
            figures = timed(lambda: run.run(None, inputs))
            print(json.dumps({"name": name, "by": by, "threads": options.threads, **figures}), flush=True)


if __name__ == "__main__":
    main()
