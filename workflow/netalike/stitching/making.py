"""One stitch from two networks to its evaluation: the layers that are compared, the training, the numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from netalike.errors import NetalikeError
from netalike.stitching import masks
from netalike.stitching.evaluation import Report, evaluate_stitch
from netalike.stitching.forms import Form, form
from netalike.stitching.least_squares import NormalEquations, fit
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import Split, check_shapes, split
from netalike.stitching.training import History, train_stitch
from netalike.stitching.transform import StitchedNetwork, StitchingLayer, initial

if TYPE_CHECKING:
    from torch import nn

    from netalike.data import ImageSet

# Least squares over all units of a flattened layer holds (units + 1)^2 numbers of 8 bytes and takes O(units^3).
_MOST_FLATTENED_UNITS = 2048
_SNAPSHOT_GB = 4.0


@dataclass(frozen=True, eq=False)
class Stitch:
    """Two networks, joined.

    Attributes
    ----------
    network : StitchedNetwork
        With the trained layer.
    layers : dict of str to StitchingLayer
        ``before`` and ``after`` training, and ``least_squares`` where it was fitted.
    history : History
        Losses and accuracies by epoch, snapshots of the matrix.
    evaluation : Report
        On the test images: accuracies, relative accuracy, agreement, CKA, L2.
    """

    network: StitchedNetwork
    layers: dict[str, StitchingLayer]
    history: History
    evaluation: Report


def stitch(
    front: nn.Module,
    end: nn.Module,
    front_layer: str,
    end_layer: str,
    train_set: ImageSet,
    test_set: ImageSet,
    settings: Settings | None = None,
    device: str | torch.device = "cpu",
    **kind: Any,
) -> Stitch:
    """Stitch the front of one network to the end of another by one affine layer, and train that layer.

    Parameters
    ----------
    front, end : nn.Module
        Neither is changed.
    front_layer, end_layer : str
        The output of `front_layer`, mapped, takes the place of that of `end_layer`.
    train_set, test_set : ImageSet
        Of `netalike.data.load`.
    settings : Settings, optional
        Of the training; the published 30 epochs of Adam unless given.
    device : str or torch.device
    **kind
        Of the stitching layer: `init`, `mask`, `rank`, `rank_start`, `flatten`, `resize`; see `Form`.

    Returns
    -------
    Stitch

    Raises
    ------
    UnknownNameError
        If there is no such layer, initialisation or mask: with the nearest name.
    ShapeError
        If the two layers have other sizes, and `resize` is not set.

    References
    ----------
    Csiszarik et al. (2021), "Similarity and Matching of Neural Network Representations".
    """
    asked, settings = form(**kind), settings or Settings()
    halves = split(front, front_layer), split(end, end_layer)
    layers = stitching_layers(*halves, train_set, asked, settings, device)
    history = train_stitch(
        *halves, layers["after"], train_set, test_set, settings, device, progress=False, resize=asked.resize
    )
    evaluation = evaluate_stages(*halves, layers, test_set, device, asked.resize)
    network = StitchedNetwork(halves[0], layers["after"], halves[1], asked.resize)
    return Stitch(network, layers, history, evaluation)


def stitching_layers(
    front: Split, end: Split, images: ImageSet, asked: Form, settings: Settings, device: str | torch.device = "cpu"
) -> dict[str, StitchingLayer]:
    """Make the stitching layer before training, its copy that is to be trained, and that of least squares.

    Parameters
    ----------
    front, end : Split
    images : ImageSet
        Training images, on which least squares are fitted.
    asked : Form
    settings : Settings
        Of the training: its seed is that of random weights, permutations and masks.
    device : str or torch.device

    Returns
    -------
    dict of str to StitchingLayer
        ``before``, ``after``, and ``least_squares``: the last not over more units than nobody would wait for.

    Raises
    ------
    ShapeError
        If the layers' sizes do not allow it.
    NetalikeError
        If the snapshots of the matrix would fill the memory.
    """
    example = images.inputs(0, 1)
    shapes = front.shape(example), end.shape(example)
    check_shapes(*shapes, asked.resize, asked.flatten)
    weights = math.prod(shapes[0] + shapes[1]) if asked.flatten else shapes[0][0] * shapes[1][0]
    _check_snapshots(weights, len(images), settings)
    blank = StitchingLayer(*shapes, flatten=asked.flatten)
    generator = torch.Generator().manual_seed(settings.seed)
    equations = _equations(front, end, blank, images, asked, device)
    correlation = equations.correlation() if equations is not None and asked.mask != "identity" else None
    mask = masks.mask(asked.mask, blank.inputs, blank.outputs, correlation, generator)
    weight, bias = initial(asked.start, blank.inputs, blank.outputs, generator, equations, asked.rank)
    kind: dict[str, Any] = {"kind": blank.kind, "end_shape": blank.end_shape}
    before = StitchingLayer.from_matrix(weight, bias, rank=asked.rank, mask=mask, **kind)
    layers = {"before": before, "after": copy.deepcopy(before)}
    if equations is not None:
        # Least squares of the same rank is what a matrix of low rank is to be compared with.
        solution = initial("least_squares", blank.inputs, blank.outputs, generator, equations, asked.rank)
        layers["least_squares"] = StitchingLayer.from_matrix(*solution, rank=asked.rank, **kind)
    return layers


def evaluate_stages(
    front: Split,
    end: Split,
    layers: Mapping[str, StitchingLayer],
    images: ImageSet,
    device: str | torch.device = "cpu",
    resize: bool = False,
) -> Report:
    """Evaluate a stitch after training, before it, and that of least squares, in one pass over the images.

    Parameters
    ----------
    front, end : Split
    layers : mapping
        As `stitching_layers` makes them, the layer ``after`` trained.
    images : ImageSet
    device : str or torch.device
    resize : bool

    Returns
    -------
    Report
    """
    before, fitted = layers["before"], layers.get("least_squares")
    # Where training starts from least squares, one pass through the end network serves both.
    is_same = fitted is not None and _equal(before, fitted)
    found = evaluate_stitch(
        front, end, layers["after"], images, None if is_same else before, fitted, device=device, resize=resize
    )
    if not is_same:
        return found
    return replace(
        found,
        networks={**found.networks, "before": found.networks["least_squares"]},
        similarity={**found.similarity, "before": found.similarity["least_squares"]},
        hits={**found.hits, "end_before": found.hits["end_least_squares"]},
    )


def _equal(one: StitchingLayer, other: StitchingLayer) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


def _check_snapshots(weights: int, images: int, settings: Settings) -> None:
    """Refuse to keep so many snapshots of a matrix that they fill the memory; a map over all units is large."""
    count = images // settings.batch_size // settings.save_frequency + 2
    taken = 4 * weights * count / 1e9
    if taken > _SNAPSHOT_GB:
        raise NetalikeError(
            f"{count} snapshots of a matrix of {weights:,} weights take {taken:.1f} GB: give a larger --save-frequency "
            "(one above the steps of an epoch keeps the first and the last), or leave out --flatten."
        )


def _equations(
    front: Split, end: Split, blank: StitchingLayer, images: ImageSet, asked: Form, device: str | torch.device
) -> NormalEquations | None:
    """Fit least squares on the training images; not over so many units that nobody asked for it."""
    is_large = asked.flatten and max(blank.inputs, blank.outputs) > _MOST_FLATTENED_UNITS
    if is_large and asked.start != "least_squares":
        return None
    return fit(front, end, images, device=device, resize=asked.resize, flatten=asked.flatten)
