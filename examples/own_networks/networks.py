"""A network of one's own: a function that returns a torch.nn.Module is all that netalike asks for."""

from torch import nn


def make(channels, classes):
    """Two convolutions and a linear layer; channels and classes are those of the data set."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, classes),
    )
