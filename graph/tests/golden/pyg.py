"""Values and gradients of PyTorch Geometric's convolutions, in float64, on a graph with an isolated node, self-loops and
duplicate edges; what its transforms draw; what ComplEx says of triples.

    python pyg.py pyg.safetensors
"""

import sys

import torch
import torch_geometric
from safetensors.torch import save_file
from torch.nn import Linear, ReLU, Sequential
from torch_geometric.data import Data
from torch_geometric.nn import ChebConv, ComplEx, EdgeConv, GATConv, GATv2Conv, GCNConv, GINConv, GraphConv, SAGEConv
from torch_geometric.transforms import RandomLinkSplit, RandomNodeSplit
from torch_geometric.utils import to_undirected

NODES, INPUTS, OUTPUTS = 12, 5, 4


def network(inputs):
    return Sequential(Linear(inputs, 6), ReLU(), Linear(6, OUTPUTS))


def splits():
    """Masks and edges that transforms take, by seed."""
    torch.manual_seed(5)
    edge_index = to_undirected(torch.randint(0, 30, (2, 60)))
    y = torch.randint(0, 3, (30,))
    tensors = {"split.edge_index": edge_index, "split.y": y}
    kinds = {
        "train_rest": RandomNodeSplit(num_val=5, num_test=0.3),
        "test_rest": RandomNodeSplit("test_rest", num_train_per_class=4, num_val=0.2),
        "random": RandomNodeSplit("random", num_train_per_class=2, num_val=6, num_test=7),
    }
    for name, transform in kinds.items():
        torch.manual_seed(11)
        data = transform(Data(edge_index=edge_index, y=y, num_nodes=30))
        for mask in ("train_mask", "val_mask", "test_mask"):
            tensors[f"split.{name}.{mask}"] = data[mask]
    torch.manual_seed(11)
    transform = RandomLinkSplit(is_undirected=True, num_val=0.2, num_test=7)
    for name, data in zip(("train", "val", "test"), transform(Data(edge_index=edge_index, num_nodes=30))):
        tensors[f"split.link.{name}.edge_index"] = data.edge_index
        tensors[f"split.link.{name}.pos"] = data.edge_label_index[:, data.edge_label == 1]
        tensors[f"split.link.{name}.negatives"] = (data.edge_label == 0).sum()
    return tensors


def complex_numbers():
    """Scores, loss and ranks of triples by ComplEx."""
    torch.manual_seed(3)
    model = ComplEx(9, 4, 5)
    triples = torch.stack([torch.randint(0, 9, (30,)), torch.randint(0, 4, (30,)), torch.randint(0, 9, (30,))])
    torch.manual_seed(13)
    loss = model.loss(*triples)
    loss.backward()
    tensors = {"complex.triples": triples, "complex.scores": model(*triples), "complex.loss": loss}
    for key, parameter in model.named_parameters():
        tensors |= {f"complex.state.{key}": parameter, f"complex.grad.{key}": parameter.grad}
    tensors["complex.ranks"] = torch.tensor(model.test(*triples, batch_size=100, k=3, log=False))
    return tensors


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
        "gatv2_concat": (GATv2Conv(INPUTS, OUTPUTS, heads=3), edge_index, ()),
        "gatv2_shared": (GATv2Conv(INPUTS, OUTPUTS, heads=2, concat=False, share_weights=True), edge_index, ()),
        "gin": (GINConv(network(INPUTS), eps=0.5), edge_index, ()),
        "gin_learnt": (GINConv(network(INPUTS), train_eps=True), edge_index, ()),
        "graph": (GraphConv(INPUTS, OUTPUTS), edge_index, ()),
        "graph_weighted": (GraphConv(INPUTS, OUTPUTS), weighted, (weights,)),
        "graph_mean_weighted": (GraphConv(INPUTS, OUTPUTS, aggr="mean"), weighted, (weights,)),
        "cheb_sym": (ChebConv(INPUTS, OUTPUTS, K=4), edge_index, ()),
        "cheb_rw": (ChebConv(INPUTS, OUTPUTS, K=3, normalization="rw"), edge_index, ()),
        "cheb_none": (ChebConv(INPUTS, OUTPUTS, K=2, normalization=None, bias=False), edge_index, ()),
        "edge_max": (EdgeConv(network(2 * INPUTS)), edge_index, ()),
        "edge_mean": (EdgeConv(network(2 * INPUTS), aggr="mean"), edge_index, ()),
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
        for key, value in layer.state_dict().items():
            tensors[f"{name}.state.{key}"] = value
        for key, grad in zip(parameters, grads[1:]):
            tensors[f"{name}.grad.{key}"] = grad
    tensors |= splits()
    tensors |= complex_numbers()
    tensors = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    save_file(tensors, sys.argv[1], {"torch_geometric": torch_geometric.__version__})


if __name__ == "__main__":
    main()
