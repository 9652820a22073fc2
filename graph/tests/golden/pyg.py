"""Values and gradients of PyTorch Geometric's convolutions, in float64, on a graph with an isolated node, self-loops and
duplicate edges.

    python pyg.py pyg.safetensors
"""

import sys

import torch
import torch_geometric
from safetensors.torch import save_file
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

NODES, INPUTS, OUTPUTS = 12, 5, 4


def main():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    edge_index = torch.randint(0, NODES - 1, (2, 40))
    edge_index = torch.cat([edge_index, edge_index[:, :3], torch.tensor([[2, 5], [2, 5]])], 1)
    loops = torch.arange(NODES)
    weighted = torch.cat([edge_index[:, edge_index[0] != edge_index[1]], torch.stack([loops, loops])], 1)
    weights = torch.rand(weighted.shape[1])
    x = torch.randn(NODES, INPUTS)
    tensors = {"x": x, "edge_index": edge_index, "weighted": weighted, "weights": weights}
    layers = {
        "gcn": (GCNConv(INPUTS, OUTPUTS), edge_index, ()),
        "gcn_weighted": (GCNConv(INPUTS, OUTPUTS, add_self_loops=False), weighted, (weights,)),
        "sage_mean": (SAGEConv(INPUTS, OUTPUTS), edge_index, ()),
        "sage_max": (SAGEConv(INPUTS, OUTPUTS, aggr="max", root_weight=False), edge_index, ()),
        "gat_concat": (GATConv(INPUTS, OUTPUTS, heads=3), edge_index, ()),
        "gat_mean": (GATConv(INPUTS, OUTPUTS, heads=2, concat=False, negative_slope=0.1), edge_index, ()),
    }
    for name, (layer, index, more) in layers.items():
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter)
        leaf = x.clone().requires_grad_()
        out = layer(leaf, index, *more)
        gout = torch.randn_like(out)
        parameters = dict(layer.named_parameters())
        grads = torch.autograd.grad(out, [leaf, *parameters.values()], gout)
        tensors |= {f"{name}.out": out, f"{name}.gout": gout, f"{name}.grad.x": grads[0]}
        for (key, value), grad in zip(parameters.items(), grads[1:]):
            tensors |= {f"{name}.state.{key}": value, f"{name}.grad.{key}": grad}
    tensors = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    save_file(tensors, sys.argv[1], {"torch_geometric": torch_geometric.__version__})


if __name__ == "__main__":
    main()
