"""The recipe of `--example train` in PyTorch, to compare its time: python torch_train.py FOLDER [--epochs 1] [--threads 2].

FOLDER holds the four files of Fashion-MNIST. Images are varied a batch at a time, which is faster than torchvision's
transforms in a DataLoader; random numbers differ from the example's, the arithmetic of a step does not.
"""

import argparse
import gzip
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH, SHIFT, DECAY = 128, 2, 0.998


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.pad = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(x + y)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        blocks, inputs = [], 16
        for outputs in (16, 32, 64):
            for i in range(3):
                blocks.append(Block(inputs, outputs, 2 if i == 0 and outputs > 16 else 1))
                inputs = outputs
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        return self.fc(self.blocks(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


def read(folder, name, header):
    with gzip.open(f"{folder}/{name}.gz") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8)[header:].copy())


def normalized(images):
    return ((images.float() / 255 - 0.2860) / 0.3530).expand(-1, 3, 28, 28).contiguous()


def varied(images):
    n, rows = len(images), torch.arange(28)
    images = F.pad(images, (SHIFT,) * 4)
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, n))
    images = images[torch.arange(n)[:, None, None], 0, (down[:, None] + rows)[:, :, None], (right[:, None] + rows)[:, None]]
    mirrored = torch.rand(n) < 0.5
    return torch.where(mirrored[:, None, None], images.flip(2), images)[:, None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    images = read(args.folder, "train-images-idx3-ubyte", 16).view(-1, 1, 28, 28)
    labels = read(args.folder, "train-labels-idx1-ubyte", 8).long()
    tests = read(args.folder, "t10k-images-idx3-ubyte", 16).view(-1, 1, 28, 28)
    answers = read(args.folder, "t10k-labels-idx1-ubyte", 8).long()

    model = ResNet20()
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    average = [value.clone() for value in model.state_dict().values() if value.is_floating_point()]
    steps = args.epochs * (len(images) // BATCH)
    optimizer = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.2, total_steps=steps + 1, pct_start=0.2, div_factor=10, cycle_momentum=False
    )
    for epoch in range(args.epochs):
        model.train()
        start, order = time.time(), torch.randperm(len(images))
        for batch in order.split(BATCH)[: len(images) // BATCH]:
            x = normalized(varied(images[batch]))
            if args.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels[batch], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                current = [value for value in model.state_dict().values() if value.is_floating_point()]
                torch._foreach_lerp_(average, current, 1 - DECAY)
        seconds = time.time() - start
        model.eval()
        with torch.no_grad():
            right = sum((model(normalized(x)).argmax(1) == y).sum() for x, y in zip(tests.split(250), answers.split(250)))
        rate = len(images) // BATCH * BATCH / seconds
        print(f"epoch {epoch + 1}: test accuracy {right / len(tests):.2%}, {seconds:.1f} s, {rate:.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
