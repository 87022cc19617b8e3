"""A small training with everything that has a state: batch norm, dropout, augmentation, momentum."""

import sys
import time
from pathlib import Path

import torch
from torch import nn

from netalike import data, networks, training


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(600, 10),
    )


def settings(**changes):
    values = {"epochs": 6, "batch_size": 50, "lr": 0.05, "weight_decay": 1e-3, "save_every": 2}
    return training.Settings(**(values | changes))


def digits():
    return data.load("digits", "train", limit=220), data.load("digits", "test", limit=100)


def slow(model, inputs, labels):
    """Plain cross-entropy, slow enough to be killed."""
    time.sleep(0.1)
    return training.cross_entropy(model, inputs, labels)


def same(a, b):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


if __name__ == "__main__":
    # The name is part of what a checkpoint belongs to.
    slow.__name__ = "cross_entropy"
    torch.set_num_threads(1)
    model = network() if sys.argv[2] == "small" else networks.build(sys.argv[2], channels=1, seed=0)
    training.train(model, *digits(), settings(), checkpoint=Path(sys.argv[1]), objective=slow)
