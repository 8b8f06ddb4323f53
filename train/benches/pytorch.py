#!/usr/bin/env python3
"""The training step of `boxcam-train train benchmark` in PyTorch, channels last: the same layers, batch and optimizer.

    pytorch.py v1|v2 [--input-size 224] [--batch 16] [--steps 10] [--threads N]

Prints one JSON object as `boxcam-train train benchmark` does. Batch norms are folded in both.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Layer(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, groups, relu6):
        super().__init__()
        self.stride, self.relu6 = stride, relu6
        # TensorFlow's SAME at stride 2 on an even side pads only right and bottom.
        self.pad = kernel == 3 and stride == 2
        padding = 1 if kernel == 3 and stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)

    def forward(self, x):
        x = self.conv(F.pad(x, (0, 1, 0, 1)) if self.pad else x)
        return F.relu6(x, inplace=True) if self.relu6 else x


class Residual(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


def v1():
    layers, channels = [Layer(3, 32, 3, 2, 1, True)], 32
    for outputs, stride in [
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
        (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
    ]:
        layers += [
            Layer(channels, channels, 3, stride, channels, True),
            Layer(channels, outputs, 1, 1, 1, True),
        ]
        channels = outputs
    return nn.Sequential(*layers), channels


def v2():
    layers, channels = [Layer(3, 32, 3, 2, 1, True)], 32
    blocks = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outputs, count, first in blocks:
        for index in range(count):
            stride = first if index == 0 else 1
            hidden = channels * expansion
            block = [Layer(channels, hidden, 1, 1, 1, True)] if expansion > 1 else []
            block += [
                Layer(hidden, hidden, 3, stride, hidden, True),
                Layer(hidden, outputs, 1, 1, 1, False),
            ]
            same = stride == 1 and channels == outputs
            layers += [Residual(block)] if same else block
            channels = outputs
    layers.append(Layer(channels, 1280, 1, 1, 1, True))
    return nn.Sequential(*layers), 1280


class Net(nn.Module):
    def __init__(self, backbone, channels, hidden=256, classes=20):
        super().__init__()
        self.backbone = backbone
        self.classes = nn.Linear(channels, classes)
        self.box = nn.Sequential(
            Layer(channels, hidden, 1, 1, 1, True),
            Layer(hidden, hidden, 3, 1, hidden, True),
            Layer(hidden, hidden, 1, 1, 1, True),
            Layer(hidden, hidden, 3, 1, hidden, True),
            Layer(hidden, 5, 1, 1, 1, False),
        )

    def forward(self, x):
        x = self.backbone(x)
        return self.classes(F.dropout(x.mean((2, 3)), 0.2)), self.box(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=["v1", "v2"])
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    backbone, channels = {"v1": v1, "v2": v2}[options.network]()
    net = Net(backbone, channels).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)
    shape = (options.batch, 3, options.input_size, options.input_size)
    x = (torch.rand(shape) * 2 - 1).to(memory_format=torch.channels_last)
    y = torch.zeros(options.batch, dtype=torch.long)
    times = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        logits, box = net(x)
        loss = F.cross_entropy(logits, y) + box.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    median = statistics.median(times[1:])
    result = {
        "images_per_second": options.batch / median,
        "step_ms": median * 1e3,
        "batch": options.batch,
        "input_size": options.input_size,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


main()
