"""Writes ops/autocast.safetensors and modules/autocast.safetensors: what PyTorch's functions and modules give inside
`torch.autocast("cpu")`, for inputs of float32 and of the region's half-width type.

    python parity/tests/golden/make_autocast.py CASES [--all OUT]

CASES is a directory of reference cases with the folders `ops` and `modules`; the smallest case of float32 of each function and
module is run again. What is kept is what a region changes, and what it might be thought to change; `--all` writes everything,
below another directory.

Tolerances: where the region leaves the results as they are in float32, they are the case's own. Elsewhere numbers were rounded
to half-width floats on the way, once or several times, and sums in another order are rounded to neighbours of each other: results
may differ by two units in the last place of themselves, by half a unit of the largest, or by twice of what PyTorch's own move by
when the inputs are moved by a quarter of a unit, at random.
"""

import argparse
import json
import pathlib
import warnings
from itertools import zip_longest

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
UNIT = {torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
# Not changed by a region in their types, but made of products here or there, or given floats of two types.
WATCHED_OPS = """mv addmv addr dot vdot inner outer kron tensordot bilinear cross cosine_similarity pairwise_distance pdist dist
    norm renorm linalg.norm linalg.det linalg.slogdet linalg.lu linalg.matrix_exp linalg.matrix_power linalg.solve_triangular
    linalg.vander logdet matrix_exp batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm normalize
    embedding embedding_bag add mul where cat stack softmax log_softmax gelu sum cumsum exp pow lerp interpolate
    multilabel_soft_margin_loss gaussian_nll_loss max_pool2d avg_pool2d""".split()
WATCHED_MODULES = """LSTM GRU RNN LSTMCell GRUCell RNNCell MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer
    TransformerEncoder Transformer Linear Bilinear Conv1d Conv2d Conv3d ConvTranspose2d BatchNorm1d BatchNorm2d InstanceNorm2d
    GroupNorm LayerNorm RMSNorm Embedding EmbeddingBag PReLU CrossEntropyLoss MSELoss BCEWithLogitsLoss
    AdaptiveLogSoftmaxWithLoss LinearCrossEntropyLoss MaxPool3d AdaptiveMaxPool3d FractionalMaxPool3d ReflectionPad1d
    ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d CircularPad2d""".split()
FLOAT16 = "matmul conv2d linear prelu cross_entropy mse_loss prod index_copy scaled_dot_product_attention".split()
# Of bfloat16 throughout, weights included, PyTorch's instance norm rounds the batch's statistics before it blends them in. A
# complex tensor is one of pairs here, which there is nothing to be done to.
ONLY_FLOAT32 = ["instance_norm", "view_as_complex"]


class Skip(Exception):
    """A case that is of no use here."""


# What PyTorch says of a call that it has not for these types, and Python of the names that only the cases know.
REFUSALS = (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError, AttributeError, Skip)


class Case:
    """A case with its tensors, floats of which may be cast."""

    def __init__(self, json, tensors, half=None, moved=0.0, seed=0):
        """`moved` is the part of themselves by which floats are moved at most."""
        self.json, self.half, self.moved = json, half, moved
        self.generator = torch.Generator().manual_seed(seed)
        prefix = f"c{json['id']}."
        self.tensors = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        self.read = {}

    def tensor(self, kind, j, complex=False):
        key = f"{kind}.{j}"
        if key not in self.read:
            t = self.tensors[key].clone()
            if kind == "in" and t.is_floating_point() and not complex:
                if self.moved:
                    t = t * (1 + self.moved * (2 * torch.rand(t.shape, generator=self.generator) - 1))
                # Running statistics stay in full width, as they do in trainings.
                if self.half is not None and j not in self.json.get("mutates", []):
                    t = t.to(self.half)
            self.read[key] = t
        t = self.read[key]
        return torch.view_as_complex(t) if complex else t

    def argument(self, kind, j):
        if isinstance(j, list):
            return [self.argument(kind, x) for x in j]
        if not isinstance(j, dict):
            return j
        key, value = next((k, v) for k, v in j.items() if k.startswith("$"))
        if key == "$t":
            return self.tensor(kind, value, j.get("complex", False))
        if key == "$f":
            return float(value)
        if key == "$c":
            return complex(*value)
        if key in ("$dtype", "$memory_format", "$layout"):
            return getattr(torch, value)
        if key == "$slice":
            return slice(*value)
        if key == "$ellipsis":
            return Ellipsis
        if key == "$tuple":
            return tuple(self.argument(kind, x) for x in value)
        if key == "$device":
            return torch.device(value)
        raise Skip(key)

    def arguments(self, kind, args="args", kwargs="kwargs"):
        positional = [self.argument(kind, x) for x in self.json[args]]
        return positional, {k: self.argument(kind, v) for k, v in self.json[kwargs].items()}


def function(name):
    found = torch
    for part in name.split("."):
        found = getattr(found, part, None)
    if callable(found):
        return found

    def method(x, *args, **kwargs):
        found = getattr(x, name)
        return found(*args, **kwargs) if callable(found) else found

    return method


def flat(x):
    if isinstance(x, (tuple, list)):
        return [y for z in x for y in flat(z)]
    return [x]


def prepared(case):
    """What to call, its positional and keyword arguments, and the module, if it is one."""
    json = case.json
    if "module" not in json:
        return function(json["op"]), *case.arguments("in"), None
    args, kwargs = case.arguments("ctor", "ctor_args", "ctor_kwargs")
    module = getattr(torch.nn, json["module"])(*args, **kwargs)
    if json["module"].startswith("Lazy"):
        raise Skip("lazy")
    module.load_state_dict({k: case.tensors[f"sd.{k}"] for k in json["state"]})
    module.train(json.get("training", True))
    return module, *case.arguments("in"), module


def run(json, tensors, half, region, **moved):
    """The call with inputs of `half` (None: float32) inside a region of a type (None: outside of any): its flat results, the
    gradients of its inputs and parameters, its tensors, its module, and which results have gradients."""
    case = Case(json, tensors, half, **moved)
    call, args, kwargs, module = prepared(case)
    wanted = [j for j in json.get("grads", []) if case.tensor("in", j).is_floating_point()]
    for j in wanted:
        case.tensor("in", j).requires_grad_()
    state = torch.get_rng_state()
    with torch.autocast("cpu", dtype=region or torch.bfloat16, enabled=region is not None):
        results = [post(x, out) for x, out in zip_longest(flat(call(*args, **kwargs)), json["outs"])]
    if not torch.equal(torch.get_rng_state(), state):
        raise Skip("random")
    given = [json["gouts"].index(k) if k in json["gouts"] else None for k in range(len(results))]
    roots = [(r, k) for k, (r, g) in enumerate(zip(results, given)) if g is not None and r.requires_grad]
    names = {f"gin.{j}": case.tensor("in", j) for j in wanted}
    if module is not None:
        parameters = dict(module.named_parameters())
        names |= {f"gparam.{n}": parameters[n] for n in json.get("param_grads", [])}
    grads = {}
    if any("post" in (out or {}) for out in json["outs"]):
        roots = []  # gradients through what is compared are another matter
    if roots and names:
        gouts = [given_gradient(case, k, r) for r, k in roots]
        found = torch.autograd.grad([r for r, _ in roots], list(names.values()), gouts, allow_unused=True)
        grads = {n: g for n, g in zip(names, found) if g is not None}
    return results, grads, case, module, [k for _, k in roots]


def post(x, out):
    """What is compared of a result: factors of decompositions have signs, or an order, of their own."""
    kind = (out or {}).get("post")
    if kind is None:
        return x
    if kind == "abs":
        return x.abs()
    raise Skip(kind)


def given_gradient(case, k, result):
    gradient = case.tensors[f"gout.{k}"]
    return torch.view_as_complex(gradient.clone()) if result.is_complex() else gradient.to(result.dtype)


def real(x):
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def equal_types(a, b):
    kind = lambda x: x.dtype if isinstance(x, torch.Tensor) else type(x)
    return [kind(x) for x in a] == [kind(x) for x in b]


def wide(x):
    return real(x.detach()).double() if isinstance(x, torch.Tensor) else torch.tensor(float(x) if isinstance(x, (int, float)) else 0.0)


def tolerances(results, plain, moved, json, names, unit):
    """rtol and atol for results that are in full precision as `plain` are, or are not; `moved` are those of moved inputs."""
    close = lambda x, y: torch.allclose(wide(x), wide(y), json[names[0]], json[names[1]], equal_nan=True)
    if len(results) == len(plain) and all(close(x, y) for x, y in zip(results, plain)):
        return json[names[0]], json[names[1]]
    finite = [x[x.isfinite()].abs() for x in map(wide, results)]
    largest = max([float(x.max()) for x in finite if x.numel()], default=0.0)
    steps = [(wide(x) - wide(y))[wide(x).isfinite()].abs() for other in moved for x, y in zip(results, other)]
    furthest = max([float(x[x.isfinite()].max()) for x in steps if x.isfinite().any()], default=0.0)
    return 2 * unit, max(unit / 2 * largest, 2 * furthest, json[names[1]])


def packed(results):
    """Tensors to keep for the results, and how the case names them."""
    tensors, outs = {}, []
    for k, r in enumerate(results):
        if not isinstance(r, torch.Tensor):
            outs.append({"$v": r} if isinstance(r, (bool, int, float)) else None)
            continue
        tensors[f"out.{k}"] = real(r)
        outs.append({"$t": k} | ({"complex": True} if r.is_complex() else {}))
    return tensors, outs


def variant(json, tensors, half, region):
    """A case of the call in a region, its tensors, and whether the region changed its results' types; None if PyTorch refuses it."""
    try:
        results, grads, case, module, gouts = run(json, tensors, half, region)
    except REFUSALS:
        return None
    # Outside of a region, of the very numbers in float32.
    exact = {k: v.to(half).float() if half and ".in." in k and v.is_floating_point() else v for k, v in tensors.items()}
    try:
        plain, plain_grads, *_ = run(json, exact, None, None)
    except REFUSALS:
        return None
    try:
        changed = not equal_types(results, run(json, tensors, half, None)[0])
    except REFUSALS:
        changed = True
    kept, outs = packed(results)
    # What the original case does not compare is not compared here: indices of equal elements.
    outs = [old and (new or {}) | {k: v for k, v in old.items() if k == "post"} for old, new in zip(json["outs"], outs)] if len(outs) == len(json["outs"]) else outs
    new = {k: v for k, v in json.items() if k not in ("gradgrad", "torch", "seed", "src", "nograd")}
    unit = UNIT[region]
    new |= {"autocast": str(region)[6:], "outs": outs, "torch": torch.__version__}
    if not all(torch.equal(wide(x).isfinite(), wide(y).isfinite()) for x, y in zip(results, plain)):
        return None  # matrix_exp of bfloat16 overflows
    others = []
    for seed in range(4):
        try:
            others.append(run(json, tensors, half, region, moved=unit / 4, seed=seed))
        except REFUSALS:  # probabilities above 1
            pass
    new["rtol"], new["atol"] = tolerances(results, plain, [o[0] for o in others], json, ("rtol", "atol"), unit)
    if grads:
        gradients = [[found[n] for n in grads] for found in [plain_grads] + [o[1] for o in others]]
        pair = tolerances(list(grads.values()), gradients[0], gradients[1:], json, ("grad_rtol", "grad_atol"), unit)
        new["grad_rtol"], new["grad_atol"] = pair
    new["grads"] = [int(n[4:]) for n in grads if n.startswith("gin.")]
    new["gouts"] = gouts if grads else []
    if "module" in new:
        new["param_grads"] = [n[7:] for n in grads if n.startswith("gparam.")]
        new["state_after"] = []
        kept |= {k: v for k, v in case.tensors.items() if k.startswith(("sd.", "ctor."))}
    for k in new["gouts"]:
        kept[f"gout.{k}"] = real(given_gradient(case, k, results[k]))
    before = Case(json, tensors, half)
    for key in case.tensors:
        if key.startswith("in."):
            j = int(key[3:])
            kept[key] = before.tensor("in", j)
    for j in new.get("mutates", []):
        kept[f"after.{j}"] = case.tensor("in", j)
    kept |= grads
    return new, {k: real(v.detach()).contiguous().clone() for k, v in kept.items()}, changed


def smallest(path):
    """The case of float32 with the fewest numbers, and the file's tensors."""
    with safe_open(path, "pt") as file:
        cases = json.loads(file.metadata()["cases"])
    tensors = load_file(path)
    size = lambda c: sum(v.numel() for k, v in tensors.items() if k.startswith((f"c{c['id']}.in.", f"c{c['id']}.sd.")))
    floats = lambda c: any(v.is_floating_point() and v.numel() for k, v in tensors.items() if k.startswith(f"c{c['id']}.in."))
    cases = [c for c in cases if c["dtype"] == "float32" and (floats(c) or "module" in c)]
    return (min(cases, key=size), tensors) if cases else (None, None)


def collect(folder, watched, keep_all):
    cases, tensors = [], {}
    for path in sorted(folder.glob("*.safetensors")):
        json, stored = smallest(path)
        if json is None:
            continue
        name = json.get("op") or json["module"]
        short = name.removeprefix("nn.functional.")
        kinds = [(None, torch.bfloat16)]
        if short not in ONLY_FLOAT32:
            kinds.append((torch.bfloat16, torch.bfloat16))
        if short in FLOAT16:
            kinds += [(None, torch.float16), (torch.float16, torch.float16)]
        found = [v for v in (variant(json, stored, half, region) for half, region in kinds) if v is not None]
        keep = keep_all or short in watched + FLOAT16 or ("op" in json and any(v[2] for v in found))
        for new, kept, _ in found if keep else []:
            new["id"] = len(cases)
            cases.append(new)
            tensors |= {f"c{new['id']}.{k}": v for k, v in kept.items()}
    return cases, tensors


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=pathlib.Path)
    parser.add_argument("--all", type=pathlib.Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    out = arguments.all or HERE
    for group, watched in [("ops", WATCHED_OPS), ("modules", WATCHED_MODULES)]:
        cases, tensors = collect(arguments.cases / group, watched, arguments.all is not None)
        (out / group).mkdir(exist_ok=True, parents=True)
        path = out / group / "autocast.safetensors"
        save_file(tensors, path, {"cases": json.dumps(cases, separators=(",", ":"))})
        print(f"{path}: {len(cases)} cases, {path.stat().st_size} bytes")
