"""Times epochs of the example sentiment in PyTorch: the same texts, vocabulary, network and batches of texts of about one length, forward and
backward pass, clipping, Adam's step, and the pass over the validation's texts.

    python spam_epoch.py spam_assassin.jsonl.gz [THREADS] [EPOCHS]
"""

import collections
import gzip
import json
import random
import re
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

RULES = [
    (r"\'", " '  "), (r"\"", ""), (r"\.", " . "), (r"<br \/>", " "), (r",", " , "), (r"\(", " ( "), (r"\)", " ) "),
    (r"\!", " ! "), (r"\?", " ? "), (r"\;", " "), (r"\:", " "), (r"\s+", " "),
]  # fmt: skip


def basic_english(text):
    text = text.lower()
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text.split()


class Network(torch.nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding = torch.nn.Embedding(words, 32, padding_idx=0)
        self.lstm = torch.nn.LSTM(32, 64, bidirectional=True, batch_first=True)
        self.fc = torch.nn.Linear(128, 2)
        self.dropout = torch.nn.Dropout(0.3)

    def forward(self, ids, lengths):
        embedded = self.dropout(self.embedding(ids))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return self.fc(self.dropout(torch.cat([hidden[-2], hidden[-1]], 1)))


def main():
    path = sys.argv[1]
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with gzip.open(path, "rt") as lines:
        mails = [json.loads(line) for line in lines]
    texts = [basic_english(mail["subject"] + " " + mail["text"]) for mail in mails]
    labels = [int(mail["label"] == "spam") for mail in mails]
    learnt = [i for i in range(len(mails)) if i % 10 not in (0, 4, 9)]
    chosen_by = [i for i in range(len(mails)) if i % 10 == 0]
    counts = collections.Counter(word for i in learnt for word in texts[i])
    words = ["<pad>", "<unk>"] + [word for word, count in counts.most_common(7998) if count > 1]
    number = {word: i for i, word in enumerate(words)}
    ids = [torch.tensor([number.get(word, 1) for word in text[:256]] or [0]) for text in texts]

    def batch(picked):
        rows = [ids[i] for i in picked]
        lengths = torch.tensor([len(row) for row in rows])
        return pad_sequence(rows, batch_first=True), lengths, torch.tensor([labels[i] for i in picked])

    torch.manual_seed(0)
    network = Network(len(words))
    optimizer = torch.optim.Adam(network.parameters(), lr=6e-3)
    by_length = sorted(learnt, key=lambda i: len(ids[i]))
    batches = [by_length[i : i + 32] for i in range(0, len(by_length), 32)]
    for epoch in range(epochs):
        begin = time.perf_counter()
        network.train()
        random.Random(epoch).shuffle(batches)
        for picked in batches:
            rows, lengths, answers = batch(picked)
            loss = F.cross_entropy(network(rows, lengths), answers)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        network.eval()
        right = 0
        with torch.no_grad():
            for i in range(0, len(chosen_by), 32):
                rows, lengths, answers = batch(chosen_by[i : i + 32])
                right += (network(rows, lengths).argmax(1) == answers).sum().item()
        print(
            f"epoch {epoch + 1}: {time.perf_counter() - begin:.2f} s, {100 * right / len(chosen_by):.2f}%", flush=True
        )


if __name__ == "__main__":
    main()
