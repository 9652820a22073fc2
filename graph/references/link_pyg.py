"""What the example link_prediction does with Cora, in PyTorch Geometric: the same splits, network, optimiser, and choice of the epoch.

    python link_pyg.py FOLDER [SEEDS]

The folder has the files `ind.cora.…`.
"""

import statistics
import sys

import torch
from torch_geometric.data import Data
from torch_geometric.io import read_planetoid_data
from torch_geometric.nn import GAE, GCNConv
from torch_geometric.transforms import NormalizeFeatures, RandomLinkSplit


class Encoder(torch.nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.convs = torch.nn.ModuleList([GCNConv(inputs, 32), GCNConv(32, 16)])

    def forward(self, x, edge_index):
        return self.convs[1](self.convs[0](x, edge_index).relu(), edge_index)


def run(data: Data, seed: int):
    torch.manual_seed(seed)
    split = RandomLinkSplit(num_val=0.05, num_test=0.1, is_undirected=True, add_negative_train_samples=False)
    train, val, test = split(data)
    model = GAE(Encoder(data.num_features))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    found = train.edge_label_index[:, train.edge_label == 1]
    best = (0.0, None)
    for _ in range(200):
        model.train()
        optimizer.zero_grad()
        z = model.encode(train.x, train.edge_index)
        model.recon_loss(z, found).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            scores = []
            for part in (val, test):
                z = model.encode(part.x, part.edge_index)
                one = part.edge_label == 1
                scores.append(model.test(z, part.edge_label_index[:, one], part.edge_label_index[:, ~one]))
        if sum(scores[0]) > best[0]:
            best = (sum(scores[0]), scores[1])
    return best[1]


def main():
    torch.set_num_threads(2)
    data = NormalizeFeatures()(read_planetoid_data(sys.argv[1], "cora"))
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    scores = [run(data, seed) for seed in range(seeds)]
    for name, values in zip(("AUC", "average precision"), zip(*scores)):
        values = [100 * float(value) for value in values]
        print(f"{name}: {statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}")


if __name__ == "__main__":
    main()
