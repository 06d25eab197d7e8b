"""ResNets of He et al. for CIFAR-10 as Y. Idelbayev published them (github.com/akamaster/pytorch_resnet_cifar10).

Networks that this project didn't train, for notebooks 11 and 12. Of their shortcuts those that halve the map take every
second place and fill new channels with zeros, half of them in front. The stored report was made by

    python -m rrahelpers analyse benchmarks.public_resnet:resnet20 --data cifar10 --weights resnet20-cifar10.safetensors
        --mean .485 .456 .406 --std .229 .224 .225 --samples 400 --out data/reports/resnet20-cifar10
        --name "ResNet20 by Y. Idelbayev" --ablation
"""

import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.added = stride, channels - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.added // 2, self.added // 2))
        return F.relu(y + x)


class ResNet(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        sides = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(inputs, channels, stride), *(Block(channels, channels, 1) for _ in range(blocks - 1)))
            for inputs, channels, stride in sides)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def resnet20():
    return ResNet(3)


def resnet32():
    return ResNet(5)


def resnet56():
    return ResNet(9)
