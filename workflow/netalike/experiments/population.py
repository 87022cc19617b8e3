"""A population of networks under corrupted images: is a network as good as it is similar to the best?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd
import torch
from torch import nn

from netalike import networks
from netalike.data import ImageSet
from netalike.data.corruptions import corrupt
from netalike.errors import NetalikeError
from netalike.evidence.measurements import OK, condition, parse_condition, table
from netalike.evidence.rows import kind
from netalike.measures.panel import PERMUTED
from netalike.progress import progress

_CLEAN = ("none", 0)
_MEASURE = ["quantity", "estimator"]
# pair of a similarity -> pair of the row derived from it
_DERIVED = {"population": "with_best", "permuted_samples": "permuted_samples"}
Rows = pd.DataFrame | Iterable[Mapping[str, Any]]


def accuracy_rows(
    models: Mapping[str, nn.Module],
    images: ImageSet,
    corruptions: Sequence[str],
    severities: Sequence[int],
    seed: int,
    device: str | torch.device = "cpu",
) -> list[dict[str, Any]]:
    """Measure the accuracy of networks on images as they are, and under every corruption.

    Parameters
    ----------
    models : mapping of network id to nn.Module
    images : ImageSet
    corruptions : sequence of str
        See `data.corruptions.corrupt`.
    severities : sequence of int
        From 1 to 5.
    seed : int
        Of the corruptions.
    device : str or torch.device
        Where the networks run.

    Returns
    -------
    list of dict
        Rows ``accuracy``/``test`` with condition ``corruption`` and ``severity``, those of the images as they are
        (``corruption=none;severity=0``) first.

    Raises
    ------
    UnknownNameError
        If there is no such corruption.

    Notes
    -----
    Each corrupted set is made once and seen by all networks; one is in memory at a time.
    """
    versions = [_CLEAN, *product(corruptions, severities)]
    rows = []
    for corruption, severity in progress(versions, "accuracy by corruption"):
        seen = images if (corruption, severity) == _CLEAN else corrupt(images, corruption, severity, seed)
        for name, model in models.items():
            rows.append(
                {
                    "network_a": name,
                    "quantity": "accuracy",
                    "estimator": "test",
                    "condition": condition(corruption=corruption, severity=severity),
                    "value": networks.evaluate(model, seen, device=device).accuracy,
                }
            )
    return rows


def population_relation(network_a: str, network_b: str) -> str | None:
    """Say what kind of pair two networks are.

    Parameters
    ----------
    network_a, network_b : str
        Ids.

    Returns
    -------
    str or None
        ``population``, ``permuted_samples`` (a network, and one with its samples in another order), or None.
    """
    kinds = {kind(network_a), kind(network_b)}
    if kinds == {"trained"}:
        return None if network_a == network_b else "population"
    return "permuted_samples" if kinds == {"trained", "permuted_samples"} else None


def with_best_rows(similarities: Rows, accuracies: Rows) -> list[dict[str, Any]]:
    """Compare each network with the one that is best under each corruption, in accuracy and by similarity.

    Parameters
    ----------
    similarities : DataFrame or iterable of mappings
        Rows of `equal_depth_rows` with the pairs of `population_relation`, all networks permuted too.
    accuracies : DataFrame or iterable of mappings
        Rows of `accuracy_rows`; those of the images as they are do not count.

    Returns
    -------
    list of dict
        For each corruption and severity, and each network but the reference, which has the highest accuracy there (of
        equal ones the first by name): the quantities and estimators of `similarities`, mean over depths, with
        condition ``pair=with_best``, or ``pair=permuted_samples`` against the network's permuted copy; and
        ``accuracy_gap``/``test``, the reference's accuracy less the network's. A mean over depths one of which has no
        value is undefined, and its status says why.

    Raises
    ------
    NetalikeError
        If an accuracy is missing, or a similarity that is asked for.
    """
    gaps = _gaps(table(accuracies))
    means = _mean_over_depths(table(similarities))
    _check_pairs(means, gaps)
    merged = gaps.merge(means, left_on=["reference", "other"], right_on=["network_a", "other"])
    constants = {"quantity": "accuracy_gap", "estimator": "test", "pair": "with_best", "status": OK}
    gap_rows = gaps.assign(network_a=gaps["reference"], network_b=gaps["other"], value=gaps["gap"], **constants)
    derived = pd.concat([merged.assign(pair=merged["pair"].map(_DERIVED)), gap_rows], ignore_index=True)
    return _as_rows(derived)


def _gaps(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Columns corruption, severity, reference, other, gap: one row per version of the images and other network."""
    versions = pd.DataFrame([parse_condition(text) for text in accuracies["condition"]])
    by_version = accuracies.assign(corruption=versions["corruption"], severity=versions["severity"])
    corrupted = by_version[by_version["corruption"] != _CLEAN[0]]
    grid = corrupted.pivot(index=["corruption", "severity"], columns="network_a", values="value")
    if grid.isna().any(axis=None):
        network = grid.columns[grid.isna().any()][0]
        version = grid.index[grid[network].isna()][0]
        raise NetalikeError(f"no accuracy of {network} at corruption={version[0]};severity={version[1]}.")
    reference = grid.idxmax(axis="columns")  # columns are sorted: the first of equal ones
    gaps = grid.rsub(grid.max(axis="columns"), axis="index").rename_axis(columns="other")
    gaps = gaps.reset_index().melt(id_vars=["corruption", "severity"], value_name="gap")
    gaps["reference"] = reference.loc[pd.MultiIndex.from_frame(gaps[["corruption", "severity"]])].to_numpy()
    return gaps[gaps["other"] != gaps["reference"]].reset_index(drop=True)


def _mean_over_depths(similarities: pd.DataFrame) -> pd.DataFrame:
    """Columns network_a, other (without what is permuted), network_b, pair, quantity, estimator, value, status."""
    pairs = [parse_condition(text).get("pair", "") for text in similarities["condition"]]
    chosen = similarities.assign(pair=pairs)
    chosen = chosen[chosen["pair"].isin(list(_DERIVED))]
    swapped = chosen[chosen["pair"] == "population"].rename(
        columns={"network_a": "network_b", "network_b": "network_a"}
    )
    every = pd.concat([chosen, swapped], ignore_index=True)
    every = every.assign(is_missing=every["status"] != OK, reason=every["status"].where(every["status"] != OK))
    groups = every.groupby(["network_a", "network_b", "pair", *_MEASURE])
    means = groups.agg(
        mean=("value", "mean"),
        missing=("is_missing", "sum"),
        depths=("is_missing", "size"),
        reason=("reason", "first"),
    ).reset_index()
    counts = means["missing"].astype(str) + " of " + means["depths"].astype(str)
    why = means["reason"] + " (no value at " + counts + " depths)"
    is_whole = means["missing"] == 0
    other = means["network_b"].str.removesuffix(PERMUTED)
    return means.assign(other=other, value=means["mean"].where(is_whole), status=why.where(~is_whole, OK))


def _check_pairs(means: pd.DataFrame, gaps: pd.DataFrame) -> None:
    wanted = pd.MultiIndex.from_frame(gaps[["reference", "other"]])
    for keys, group in means.groupby(["pair", *_MEASURE]):
        missing = wanted.difference(pd.MultiIndex.from_frame(group[["network_a", "other"]]))
        if len(missing):
            reference, other = missing[0]
            raise NetalikeError(
                f"no similarity of {reference} and {other} ({', '.join(map(str, keys))}), but both have accuracies: "
                "give similarities of all pairs of the same networks, permuted copies included."
            )


def _as_rows(derived: pd.DataFrame) -> list[dict[str, Any]]:
    factors = derived[["corruption", "pair", "severity"]].to_dict("records")
    derived = derived.assign(condition=[condition(**{str(k): v for k, v in one.items()}) for one in factors])
    columns = ["network_a", "network_b", *_MEASURE, "condition", "value", "status"]
    return [{str(k): v for k, v in row.items()} for row in derived[columns].to_dict("records")]
