"""Turn what the library computes into rows of the measurement table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.evidence.measurements import OK, condition
from netalike.measures.panel import PERMUTED, PERMUTED_UNITS, UNTRAINED, PanelResult
from netalike.measures.recorded import Comparison
from netalike.measures.sources import NOISE

# estimator of a panel -> quantity and estimator of the table
_QUANTITIES = {
    "published": ("cka", "published"),
    "biased": ("cka", "biased"),
    "unbiased": ("cka", "unbiased"),
    "deconfounded": ("deconfounded_cka", "published"),
    "deconfounded_psd": ("deconfounded_cka", "published_psd"),
}


def measure_keys(estimators: Iterable[str]) -> str:
    """Return the measures of a panel's estimators, as `quantity/estimator`, joined by ``+``: they cost one pass."""
    return "+".join("/".join(_QUANTITIES[estimator]) for estimator in estimators)


def relation(network_a: str, network_b: str, families: Mapping[str, str]) -> str | None:
    """Say what kind of pair two networks of a panel are.

    Parameters
    ----------
    network_a, network_b : str
        Ids; controls are ``<id>@untrained``, ``<id>@permuted_samples``, ``<id>@permuted_units`` and ``noise``.
    families : mapping of str to str
        Family of every trained network.

    Returns
    -------
    str or None
        ``self``, ``same_family``, ``other_family``, ``untrained`` (both), ``trained_untrained``,
        ``permuted_samples``, ``permuted_units`` or ``noise``; None for a pair that answers no question, such as two
        controls of different kinds.
    """
    kinds = {kind(network_a), kind(network_b)}
    if kinds == {"trained"}:
        if network_a == network_b:
            return "self"
        return "same_family" if families[network_a] == families[network_b] else "other_family"
    if kinds == {"untrained"}:
        return None if network_a == network_b else "untrained"
    if kinds == {"trained", "untrained"}:
        return "trained_untrained"
    control = kinds - {"trained"}
    return control.pop() if "trained" in kinds and len(control) == 1 else None


def kind(network: str) -> str:
    """Say what a network of a panel is: ``trained``, or which control.

    Parameters
    ----------
    network : str
        Its id.

    Returns
    -------
    str
        ``trained``, ``untrained``, ``permuted_samples``, ``permuted_units`` or ``noise``.
    """
    if network == NOISE:
        return NOISE
    for suffix in (UNTRAINED, PERMUTED, PERMUTED_UNITS):
        if network.endswith(suffix):
            return suffix.removeprefix("@")
    return "trained"


def panel_rows(result: PanelResult, families: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all pairs of a panel, and of the share of variance that the inputs explain.

    Parameters
    ----------
    result : PanelResult
    families : mapping of str to str
        Family of every trained network.

    Yields
    ------
    dict
        Without paper, experiment, data set and number of samples.
    """
    names = result.representations
    for estimator in result.values:
        for i, (network_a, _) in enumerate(names):
            for j, (network_b, _) in enumerate(names):
                pair = relation(network_a, network_b, families)
                if pair is not None and not _is_mirrored(names, i, j):
                    yield pair_row(result, estimator, i, j, condition(pair=pair))
    yield from _single_rows(result)


def pair_row(result: PanelResult, estimator: str, i: int, j: int, varied: str) -> dict[str, Any]:
    """Make the row of one estimator on one pair of representations.

    Parameters
    ----------
    result : PanelResult
    estimator : str
        Of the panel.
    i, j : int
        Places of the two in `result.representations`.
    varied : str
        The `condition` column.

    Returns
    -------
    dict
    """
    quantity, name = _QUANTITIES[estimator]
    (network_a, layer_a), (network_b, layer_b) = result.representations[i], result.representations[j]
    return {
        "network_a": network_a,
        "layer_a": layer_a,
        "network_b": network_b,
        "layer_b": layer_b,
        "quantity": quantity,
        "estimator": name,
        "condition": varied,
        "value": float(result.values[estimator][i, j]),
        "status": result.status(estimator, i, j),
    }


def _is_mirrored(names: list[tuple[str, str]], i: int, j: int) -> bool:
    """The table holds each pair of networks once; the matrices are symmetric."""
    return i > j and names[i][0] != names[j][0]


def _single_rows(result: PanelResult) -> Iterator[dict[str, Any]]:
    singles = {"explained_by_inputs": result.explained, "negative_eigenvalue_share": result.negative_share}
    for quantity, values in singles.items():
        if values is None:
            continue
        for i, (network, _) in enumerate(result.representations):
            if kind(network) != "permuted_samples":
                yield single_row(result, quantity, values, i, condition(network=kind(network)))


def single_row(result: PanelResult, quantity: str, values: NDArray[np.float64], i: int, varied: str) -> dict[str, Any]:
    """Make the row of a quantity of one representation, such as the share that the inputs explain.

    Parameters
    ----------
    result : PanelResult
    quantity : str
    values : array, shape (representations,)
        NaN where undefined.
    i : int
        Place of the representation in `result.representations`.
    varied : str
        The `condition` column.

    Returns
    -------
    dict
    """
    network, layer = result.representations[i]
    reason = result.reasons.get(i, "the Gram matrix is a multiple of the inputs'")
    return {
        "network_a": network,
        "layer_a": layer,
        "quantity": quantity,
        "estimator": "published",
        "condition": varied,
        "value": float(values[i]),
        "status": f"undefined: {reason} in layer {layer}" if np.isnan(values[i]) else OK,
    }


def comparison_rows(comparisons: Iterable[Comparison], families: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of measures on recorded activations.

    Parameters
    ----------
    comparisons : iterable of Comparison
    families : mapping of str to str
        Family of every trained network.

    Yields
    ------
    dict
        Without paper, experiment, data set and number of samples.
    """
    for one in comparisons:
        yield {
            "network_a": one.network_a,
            "layer_a": one.layer_a,
            "network_b": one.network_b,
            "layer_b": one.layer_b,
            "quantity": one.measure.quantity,
            "estimator": one.measure.estimator,
            "condition": condition(pair=relation(one.network_a, one.network_b, families)),
            "value": one.value,
            "status": one.status,
        }
