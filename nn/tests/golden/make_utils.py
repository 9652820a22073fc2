"""Makes utils.safetensors: what torch.nn.utils computes, for tests/utils.rs. Run with PyTorch 2.15."""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import fusion, get_total_norm, parametrizations, parametrize, prune

out = {}


def keep(name, tensor):
    out[name] = tensor.detach().clone().contiguous()


def keep_state(name, module):
    for key, value in module.state_dict().items():
        keep(f"{name}/{key}", value)


def parametrized(name, module, x, extra=None):
    """State before, result and gradients in training, state after, result in evaluation."""
    if extra:
        extra(module)
    keep_state(f"{name}/before", module)
    keep(f"{name}/x", x)
    y = module(x)
    keep(f"{name}/y", y)
    y.square().sum().backward()
    for key, parameter in module.named_parameters():
        keep(f"{name}/grad/{key}", parameter.grad)
    keep_state(f"{name}/after", module)
    module.eval()
    keep(f"{name}/eval", module(x))


def perturbed(module):
    """Originals away from where they begin."""
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if key.startswith("parametrizations"):
                noise = 0.3 * torch.randn_like(parameter)
                if "original" in key and parameter.dim() >= 2:
                    noise.diagonal(dim1=-2, dim2=-1).zero_()  # signs of reflections stay signs
                parameter.add_(noise)


torch.manual_seed(1)
double = torch.float64
for dim in [0, 1, None]:
    layer = parametrizations.weight_norm(nn.Linear(4, 3, dtype=double), dim=dim)
    parametrized(f"weight_norm.linear.{dim}", layer, torch.randn(2, 4, dtype=double), perturbed)
layer = parametrizations.weight_norm(nn.Conv1d(4, 6, 3, groups=2, dtype=double), dim=2)
parametrized("weight_norm.conv1d.2", layer, torch.randn(2, 4, 7, dtype=double), perturbed)
layer = parametrizations.spectral_norm(nn.Linear(4, 3, dtype=double))
parametrized("spectral_norm.linear", layer, torch.randn(2, 4, dtype=double), perturbed)
layer = parametrizations.spectral_norm(nn.ConvTranspose2d(4, 3, 2, dtype=double), n_power_iterations=2)
parametrized("spectral_norm.conv_transpose2d", layer, torch.randn(2, 4, 3, 3, dtype=double), perturbed)
for rows, columns in [(3, 3), (5, 3), (3, 5)]:
    for map in ["matrix_exp", "cayley", "householder"]:
        layer = parametrizations.orthogonal(nn.Linear(columns, rows, dtype=double), orthogonal_map=map)
        parametrized(f"orthogonal.{map}.{rows}x{columns}", layer, torch.randn(2, columns, dtype=double), perturbed)
layer = parametrizations.orthogonal(
    nn.Linear(3, 5, dtype=double), orthogonal_map="householder", use_trivialization=False
)
parametrized("orthogonal.householder.plain", layer, torch.randn(2, 3, dtype=double), perturbed)

# What the functions begin with, for given weights.
weight = torch.randn(4, 3, dtype=double)
keep("begin/weight", weight)
for name, register in {
    "weight_norm": parametrizations.weight_norm,
    "householder": lambda m: parametrizations.orthogonal(m, orthogonal_map="householder", use_trivialization=False),
}.items():
    layer = nn.Linear(3, 4, dtype=double)
    with torch.no_grad():
        layer.weight.copy_(weight)
    register(layer)
    keep_state(f"begin/{name}", layer)
square = torch.linalg.qr(torch.randn(3, 3, dtype=double))[0]
layer = nn.Linear(3, 3, dtype=double)
with torch.no_grad():
    layer.weight.copy_(square)
parametrizations.orthogonal(layer)
keep("begin/square", square)
keep_state("begin/matrix_exp", layer)


# Pruning: masks, of weights that have been pruned before too.
def model():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(5, 4), nn.Conv1d(3, 4, 2))


kept = model()
keep_state("prune/weights", kept)
steps = {
    "l1": lambda m, amount: prune.l1_unstructured(m[0], "weight", amount),
    "random": lambda m, amount: prune.random_unstructured(m[0], "weight", amount),
    "ln1": lambda m, amount: prune.ln_structured(m[1], "weight", amount, n=2, dim=1),
    "ln0": lambda m, amount: prune.ln_structured(m[1], "weight", amount, n=float("inf"), dim=-3),
    "random_structured": lambda m, amount: prune.random_structured(m[1], "weight", amount, dim=0),
    "global": lambda m, amount: prune.global_unstructured(
        [(m[0], "weight"), (m[1], "weight")], prune.L1Unstructured, amount=amount
    ),
    "global_random": lambda m, amount: prune.global_unstructured(
        [(m[0], "weight"), (m[1], "weight")], prune.RandomUnstructured, amount=amount
    ),
}
for name, step in steps.items():
    m = model()
    torch.manual_seed(3)
    step(m, 0.3)
    keep_state(f"prune/{name}/0", m)
    step(m, 1)
    keep_state(f"prune/{name}/1", m)
m = model()
prune.l1_unstructured(m[0], "weight", 6)
prune.ln_structured(m[0], "weight", 0.5, n=1, dim=0)
x = torch.randn(2, 5)
keep("prune/mixed/x", x)
y = m[0](x)
keep("prune/mixed/y", y)
y.square().sum().backward()
keep("prune/mixed/grad", m[0].weight_orig.grad)
keep_state("prune/mixed/0", m)
prune.remove(m[0], "weight")
keep_state("prune/removed", m)

# Fusion.
for name, conv in {
    "conv1d": nn.Conv1d(4, 6, 3, groups=2, bias=False, dtype=double),
    "conv2d": nn.Conv2d(4, 6, 3, dtype=double),
    "conv_transpose2d": nn.ConvTranspose2d(4, 6, 3, dtype=double),
    "linear": nn.Linear(4, 6, dtype=double),
}.items():
    norm = (nn.BatchNorm2d if "2d" in name else nn.BatchNorm1d)(6, eps=1e-3, dtype=double)
    with torch.no_grad():
        for tensor in [norm.weight, norm.bias, norm.running_mean]:
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    conv.eval(), norm.eval()
    if name == "linear":
        fused = fusion.fuse_linear_bn_eval(conv, norm)
    else:
        fused = fusion.fuse_conv_bn_eval(conv, norm, transpose="transpose" in name)
    keep_state(f"fusion/{name}/layer", conv)
    keep_state(f"fusion/{name}/norm", norm)
    keep_state(f"fusion/{name}/fused", fused)

tensors = [torch.randn(3, 2, dtype=double), torch.randn(5, dtype=double)]
for i, tensor in enumerate(tensors):
    keep(f"norm/{i}", tensor)
for p in [1.0, 2.0, float("inf")]:
    keep(f"norm/total/{p}", get_total_norm(tensors, p))

# Printing.
layer = parametrizations.weight_norm(nn.Linear(4, 3))
nested = nn.Sequential(layer, nn.ReLU())
text = repr(nested) + "\n"
pathlib.Path(__file__).with_name("parametrized.txt").write_text(text)
save_file(out, pathlib.Path(__file__).with_name("utils.safetensors"))
