"""Times a forward and a backward pass of PyTorch Geometric's layers over 10⁷ random edges between 10⁶ nodes with 16 features, as
`cargo xtask bench --only graph/` does ours, and says what the process has resident at most.

    python large_pyg.py gcn|sage|gat edges|csr [THREADS]

`edges` are given as an `edge_index`, `csr` as a sparse matrix of PyTorch's, transposed, which spares a row for each edge where the
layer can do with that.
"""

import resource
import statistics
import sys
import time

import torch
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from torch_geometric.utils import to_torch_csr_tensor

NODES, EDGES, FEATURES, CALLS = 1_000_000, 10_000_000, 16, 5


def main():
    layer, kind = sys.argv[1:3]
    torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
    torch.manual_seed(0)
    edge_index = torch.randint(0, NODES, (2, EDGES))
    adjacency = edge_index if kind == "edges" else to_torch_csr_tensor(edge_index.flip(0), size=(NODES, NODES))
    x = torch.randn(NODES, FEATURES, requires_grad=True)
    model = {
        "gcn": lambda: GCNConv(FEATURES, FEATURES, add_self_loops=False),
        "sage": lambda: SAGEConv(FEATURES, FEATURES),
        "gat": lambda: GATConv(FEATURES, FEATURES // 2, heads=2, add_self_loops=False),
    }[layer]()
    times = []
    for _ in range(CALLS + 1):
        model.zero_grad()
        x.grad = None
        begin = time.perf_counter()
        model(x, adjacency).sum().backward()
        times.append(1e3 * (time.perf_counter() - begin))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    # The first call is a warm-up.
    print(f"{layer} {kind}: {statistics.median(times[1:]):.0f} ms, {peak} MiB; {times[0]:.0f} ms the first time")


if __name__ == "__main__":
    main()
