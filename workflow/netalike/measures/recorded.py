"""Any registered measure on recorded activations of many networks, each representation prepared once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netalike.measures.registry import Measure, as_features
from netalike.measures.undefined import UndefinedMeasureError
from netalike.progress import progress as progress_bar

Recording = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Comparison:
    """One value of one measure on one pair of layers.

    Attributes
    ----------
    measure : Measure
    network_a, layer_a, network_b, layer_b : str
    value : float
        NaN where undefined.
    status : str
        ``ok``, or why there is no value.
    """

    measure: Measure
    network_a: str
    layer_a: str
    network_b: str
    layer_b: str
    value: float
    status: str


def matched_layers(layers_a: Sequence[str], layers_b: Sequence[str]) -> list[tuple[str, str]]:
    """Pair the layers of two networks by relative depth.

    Parameters
    ----------
    layers_a, layers_b : sequence of str
        In order of depth.

    Returns
    -------
    list of (str, str)
        One pair per layer of the shallower network; of equal depth, the layers in order.
    """
    if len(layers_a) > len(layers_b):
        return [(a, b) for b, a in matched_layers(layers_b, layers_a)]
    depth = max(len(layers_a) - 1, 1)
    positions = [round(i * (len(layers_b) - 1) / depth) for i in range(len(layers_a))]
    return [(a, layers_b[position]) for a, position in zip(layers_a, positions, strict=True)]


def compare_recorded(
    recordings: Mapping[str, Recording],
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    layer_pairs: str = "matched",
    orders: Mapping[str, NDArray[np.int64]] | None = None,
    progress: bool = True,
) -> Iterator[Comparison]:
    """Compare recorded layers of pairs of networks.

    Parameters
    ----------
    recordings : mapping of network to mapping of layer to array of shape (n, ...)
        Of the same n samples; memory-mapped arrays are read one layer at a time.
    pairs : sequence of (str, str)
        Networks to compare.
    measures : sequence of Measure
        Of recorded activations alone (none that adjusts for the inputs).
    layer_pairs : {"matched", "all"}
        Layers of the same relative depth, or all.
    orders : mapping of network to array of shape (n,), optional
        A network whose samples are to be taken in another order (the permuted control).
    progress : bool

    Yields
    ------
    Comparison

    Notes
    -----
    What a representation contributes to all its pairs (a factor of its Gram matrix, an orthonormal basis, ranks) is
    computed once per measure.  Memory: those of one measure, O(networks * layers * n^2).
    """
    jobs = [
        (a, layer_a, b, layer_b)
        for a, b in pairs
        for layer_a, layer_b in _layers(list(recordings[a]), list(recordings[b]), layer_pairs)
    ]
    bar = progress_bar([(m, *job) for m in measures for job in jobs], "comparing layers", shown=progress)
    prepared: dict[tuple[str, str], Any] = {}
    current: Measure | None = None
    for measure, a, layer_a, b, layer_b in bar:
        if measure is not current:
            prepared, current = {}, measure
        for network, layer in ((a, layer_a), (b, layer_b)):
            if (network, layer) not in prepared:
                order = (orders or {}).get(network)
                prepared[network, layer] = _prepare(measure, layer, recordings[network][layer], order)
        value, status = _compare(measure, prepared[a, layer_a], prepared[b, layer_b])
        yield Comparison(measure, a, layer_a, b, layer_b, value, status)


def _layers(layers_a: list[str], layers_b: list[str], layer_pairs: str) -> list[tuple[str, str]]:
    if layer_pairs == "matched":
        return matched_layers(layers_a, layers_b)
    return [(a, b) for a in layers_a for b in layers_b]


def _prepare(measure: Measure, layer: str, activations: ArrayLike, order: NDArray[np.int64] | None) -> Any:
    features = as_features(np.asarray(activations) if order is None else np.asarray(activations)[order])
    try:
        return measure.prepare(features)
    except UndefinedMeasureError as error:
        return UndefinedMeasureError(f"{error} in layer {layer}")


def _compare(measure: Measure, a: Any, b: Any) -> tuple[float, str]:
    for side in (a, b):
        if isinstance(side, UndefinedMeasureError):
            return float("nan"), side.status
    try:
        return measure.compare(a, b), "ok"
    except UndefinedMeasureError as error:
        return float("nan"), error.status
