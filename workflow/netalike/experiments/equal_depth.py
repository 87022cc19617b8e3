"""Rows of pairs of networks, layer against layer of equal depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

from netalike.evidence.measurements import condition
from netalike.evidence.rows import kind, pair_row, single_row
from netalike.measures.panel import PanelResult
from netalike.measures.recorded import matched_layers
from netalike.measures.sources import NOISE

Relation = Callable[[str, str], str | None]
Factors = Callable[[str, str], Mapping[str, object]]


def equal_depth_rows(
    result: PanelResult, relation: Relation, factors: Factors | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of layers of equal depth, for each pair of networks that answers a question.

    Parameters
    ----------
    result : PanelResult
    relation : callable
        Of the two networks in the order of the row: the ``pair`` factor of the condition, or None to leave the pair
        out.
    factors : callable, optional
        Of the same two networks: further factors of the condition.

    Yields
    ------
    dict
        Condition ``depth``, ``pair`` and the further factors; without paper, experiment, data set and number of
        samples. Each pair of different networks once: `network_a` is the one that comes first in the result, unless
        it is a control and the other is none. By pair, then by estimator, then by depth.

    Notes
    -----
    Layers are matched by `measures.recorded.matched_layers`, one pair per layer of the network with fewer layers, whose
    depth it is. Noise, which has one layer and no depth, is compared with every layer.
    """
    places = _places(result)
    for pair in combinations(places, 2):
        a, b = sorted(pair, key=lambda network: kind(network) != "trained")  # stable: order of the result
        relation_name = relation(a, b)
        if relation_name is None:
            continue
        further = {} if factors is None else factors(a, b)
        rows = _matched_rows(places, a, b)
        for estimator in result.values:
            for i, (row, column) in enumerate(rows):
                depth = depth_of(i, len(rows))
                varied = condition(depth=depth, pair=relation_name, **further)
                yield pair_row(result, estimator, row, column, varied)


def explained_rows(result: PanelResult, kind_of: Callable[[str], str | None] = kind) -> Iterator[dict[str, Any]]:
    """Yield the share of variance that the inputs explain, by depth.

    Parameters
    ----------
    result : PanelResult
        Of an estimator that adjusts for the inputs; without one there are no rows.
    kind_of : callable
        Of a network: the ``network`` factor of the condition, or None to leave it out; ``trained``, ``untrained`` and
        ``noise`` by default. Permuted copies are left out: they saw the inputs of the network that they are made of.

    Yields
    ------
    dict
        Condition ``depth`` (not of noise) and ``network``; one network and layer.
    """
    if result.explained is None:
        return
    for network, places in _places(result).items():
        network_kind = kind_of(network)
        if network_kind is None or kind(network) == "permuted_samples":
            continue
        for i, place in enumerate(places.values()):
            depth = {} if network == NOISE else {"depth": depth_of(i, len(places))}
            varied = condition(network=network_kind, **depth)
            yield single_row(result, "explained_by_inputs", result.explained, place, varied)


def depth_of(layer: int, layers: int) -> str:
    """Return the depth of a compared layer as the `condition` column holds it.

    Parameters
    ----------
    layer : int
        Counted from 0.
    layers : int
        Number of compared layers.

    Returns
    -------
    str
        From ``"0.000"``, the first (or only) layer, to ``"1.000"``, the last.
    """
    return f"{layer / max(layers - 1, 1):.3f}"


def _places(result: PanelResult) -> dict[str, dict[str, int]]:
    """Where each network's layers are in the matrices of the result."""
    places: dict[str, dict[str, int]] = {}
    for place, (network, layer) in enumerate(result.representations):
        places.setdefault(network, {})[layer] = place
    return places


def _matched_rows(places: Mapping[str, Mapping[str, int]], a: str, b: str) -> list[tuple[int, int]]:
    layers_a, layers_b = places[a], places[b]
    if NOISE in (a, b):
        return [(row, column) for row in layers_a.values() for column in layers_b.values()]
    return [(layers_a[one], layers_b[two]) for one, two in matched_layers(list(layers_a), list(layers_b))]
