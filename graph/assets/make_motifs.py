"""Makes MOTIFS, a small dataset in the text format of TUDataset: trees that grew by preferential attachment, to which a house
(class 0) or a ring of five (class 1) is tied, in the manner of BA-2motifs ("Parameterized Explainer for Graph Neural Network", Luo et
al., 2020). Nodes have no features.

    python make_motifs.py MOTIFS
"""

import pathlib
import random
import sys

GRAPHS = 200
HOUSE = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)]
RING = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]


def graph(rng, label):
    nodes = rng.randint(10, 18)
    edges, ends = [(0, 1)], [0, 1]
    for node in range(2, nodes):
        other = rng.choice(ends)
        edges.append((node, other))
        ends += [node, other]
    edges += [(nodes + a, nodes + b) for a, b in (RING if label else HOUSE)]
    edges.append((rng.randrange(nodes), nodes + rng.randrange(5)))
    numbers = list(range(nodes + 5))
    rng.shuffle(numbers)
    return nodes + 5, [(numbers[a], numbers[b]) for a, b in edges]


def main():
    rng = random.Random(0)
    pairs, indicator, labels, first = [], [], [], 1
    for i in range(GRAPHS):
        label = i % 2
        nodes, edges = graph(rng, label)
        pairs += sorted((first + s, first + t) for a, b in edges for s, t in ((a, b), (b, a)))
        indicator += [i + 1] * nodes
        labels.append(label)
        first += nodes
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    lines = {"A": [f"{s}, {t}" for s, t in pairs], "graph_indicator": indicator, "graph_labels": labels}
    for name, values in lines.items():
        (folder / f"MOTIFS_{name}.txt").write_text("".join(f"{value}\n" for value in values))


if __name__ == "__main__":
    main()
