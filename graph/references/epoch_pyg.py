"""Times epochs of the networks of the example node_classification in PyTorch Geometric: forward and backward pass over the whole
graph, Adam's step, and the pass that measures accuracy.

    python epoch_pyg.py cora.safetensors MODEL [THREADS]
"""

import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from torch_geometric.utils import add_remaining_self_loops


class Network(torch.nn.Module):
    def __init__(self, model, inputs, classes):
        super().__init__()
        self.dropout, self.activation = (0.6, F.elu) if model == "gat" else (0.5, F.relu)
        if model == "gcn":
            # Self-loops and weights are computed once, as in the example.
            self.layers = torch.nn.ModuleList(
                [GCNConv(inputs, 16, cached=True), GCNConv(16, classes, cached=True)]
            )
        elif model == "sage":
            self.layers = torch.nn.ModuleList([SAGEConv(inputs, 64), SAGEConv(64, classes)])
        else:
            more = {"dropout": 0.6, "add_self_loops": False}
            self.layers = torch.nn.ModuleList(
                [GATConv(inputs, 8, heads=8, **more), GATConv(64, classes, heads=1, **more)]
            )

    def forward(self, x, edge_index):
        x = F.dropout(x, self.dropout, self.training)
        x = self.activation(self.layers[0](x, edge_index))
        x = F.dropout(x, self.dropout, self.training)
        return self.layers[1](x, edge_index)


def main():
    path, model = sys.argv[1:3]
    torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
    data = load_file(path)
    y = data["y"].long()
    ones = data["x_index"].long()
    x = torch.zeros(len(y), int(ones[1].max()) + 1)
    x[ones[0], ones[1]] = 1
    x = x / x.sum(1, keepdim=True).clamp(min=1)
    edge_index = data["edge_index"].long()
    pairs = edge_index.reshape(-1, 2).t()

    def symmetric(index):
        edges = set(map(tuple, index.t().tolist()))
        return all((t, s) in edges for s, t in edges)

    edge_index = edge_index if symmetric(edge_index) else pairs.contiguous()
    if model == "gat":
        edge_index, _ = add_remaining_self_loops(edge_index, num_nodes=len(y))
    masks = {name: data[f"{name}_mask"].bool() for name in ("train", "val", "test")}
    torch.manual_seed(0)
    network = Network(model, x.shape[1], int(y.max()) + 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=5e-4)
    epochs = 100
    for warm in (20, epochs):
        begin = time.perf_counter()
        for _ in range(warm):
            network.train()
            optimizer.zero_grad()
            out = network(x, edge_index)
            F.cross_entropy(out[masks["train"]], y[masks["train"]]).backward()
            optimizer.step()
            network.eval()
            with torch.no_grad():
                right = network(x, edge_index).argmax(1) == y
                accuracies = [right[masks[name]].float().mean().item() for name in ("val", "test")]
        time_taken = time.perf_counter() - begin
    print(f"{model}: {1e3 * time_taken / epochs:.2f} ms per epoch, {100 * accuracies[1]:.1f}%")


if __name__ == "__main__":
    main()
