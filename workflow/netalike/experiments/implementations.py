"""Our measures beside independent implementations of them, on the same recorded activations."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netalike import comparison
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.evidence.rows import kind
from netalike.experiments.peers import BATCHES, CHECKS, Check, Sample
from netalike.measures import UndefinedMeasureError
from netalike.measures.recorded import matched_layers
from netalike.progress import progress as progress_bar

EXPERIMENT = "implementations"
AGREES, DIFFERS = "largest_difference", "difference_by_definition"
MAX_PAIRS = 3
_MODULES = {"pytorch_cka": "cka", "scikit-learn": "sklearn", "brainiak": "brainiak.funcalign.srm"}  # where other
_SMALLEST = 4 * BATCHES  # images: a CKA needs four

Row = dict[str, Any]
Recordings = Mapping[str, Mapping[str, ArrayLike]]


@dataclass(frozen=True)
class _Job:
    check: Check
    version: str
    missing: str  # why the peer cannot be called; empty where it can


def chosen_pairs(panel: Mapping[str, Any], count: int = MAX_PAIRS) -> list[tuple[str, str]]:
    """Choose some pairs of different trained networks, spread over all pairs of a panel.

    Parameters
    ----------
    panel : mapping
        See `netalike.comparison.pairs_of`.
    count : int
        At most so many.

    Returns
    -------
    list of (str, str)
    """
    pairs = [(a, b) for a, b in comparison.pairs_of(panel) if a != b and {kind(name) for name in (a, b)} == {"trained"}]
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs[place] for place in places]


def implementation_rows(
    activations: Recordings,
    pairs: Sequence[tuple[str, str]],
    max_images: int = 256,
    max_units: int = 48,
    seed: int = 0,
    progress: bool | None = None,
) -> list[Row]:
    """Compute every measure that others have implemented by theirs and by ours.

    Parameters
    ----------
    activations : mapping of network to mapping of layer to array, shape (n, ...)
        Of the same n images; memory-mapped arrays are read one layer at a time.
    pairs : sequence of (str, str)
        Networks to compare, at matched layers.
    max_images : int
        The first so many images take part.
    max_units : int
        Of a layer with more units so many take part, drawn by the seed: canonical correlations need more images than
        units, and some of the others decompose p x p matrices.
    seed : int
    progress : bool, optional
        None shows a bar on a terminal.

    Returns
    -------
    list of dict
        Without paper, experiment, data set and split. The estimator is the key of the measure, the condition says
        ``peer``, ``version``, ``on`` (how many pairs of layers) and, where it is not the measure alone, ``how``.
        Quantity ``largest_difference``: the largest absolute difference where the two are meant to agree.
        Quantity ``difference_by_definition``: the same of what is not the same thing, with ``reason``. A peer that is
        missing has no number, and the status says so; pairs of layers where our measure is undefined are left out.

    Raises
    ------
    UnknownNameError
        For a network without activations.
    ShapeError
        If there are fewer than 8 images, or networks have different numbers of them.

    Notes
    -----
    The deconfounded measures adjust for the first layer of the first network, in place of the images. simtorch
    computes in single precision, all others in double. Time: that of the peers, some 30 ms for each pair of layers.
    """
    _check(activations, pairs)
    jobs = [_job(check) for check in CHECKS]
    found: list[list[float]] = [[] for _ in jobs]
    failed = [job.missing for job in jobs]
    samples = _samples(activations, pairs, max_images, max_units, seed)
    count = sum(len(matched_layers(list(activations[a]), list(activations[b]))) for a, b in pairs)
    n = 0
    for sample in progress_bar(samples, "other implementations", total=count, shown=progress):
        n = len(sample.x)
        for place, job in enumerate(jobs):
            if not failed[place]:
                failed[place] = _compare(job.check, sample, found[place])
    rows = zip(jobs, found, failed, strict=True)
    return [{**_row(job, values, why, len(pairs)), "n_samples": n} for job, values, why in rows]


def _job(check: Check) -> _Job:
    try:
        number = version(check.peer)
    except PackageNotFoundError:
        return _Job(check, "", f"{check.peer} is not installed")
    try:
        importlib.import_module(_MODULES.get(check.peer, check.peer))
    except Exception as error:  # whatever another's package raises where it does not fit this machine
        return _Job(check, number, _short(f"{check.peer} cannot be imported", error))
    return _Job(check, number, "")


def _compare(check: Check, sample: Sample, differences: list[float]) -> str:
    """Add the difference on one pair of layers; return why there is none, where that is the peer's fault."""
    try:
        difference = check.difference(sample)
    except UndefinedMeasureError:
        return ""
    except NetalikeError:
        raise
    except Exception as error:
        return _short(f"{check.peer} fails", error)
    if math.isnan(difference):
        return f"{check.peer} gives no number"
    differences.append(difference)
    return ""


def _short(what: str, error: Exception) -> str:
    told = next(iter(str(error).splitlines()), "")
    # a path is of this machine, and says nothing on another
    return f"{what}: {type(error).__name__}" + (f": {told[:120]}" if told and "/" not in told else "")


def _row(job: _Job, differences: Sequence[float], failed: str, pairs: int) -> Row:
    check = job.check
    why = failed or ("" if differences else "the measure has no value on any pair of layers")
    factors = {"reason": check.reason, "how": check.how, "version": job.version}
    on = "" if why else f"{_counted(len(differences), 'layer')} of {_counted(pairs, 'pair')}"
    return {
        "quantity": DIFFERS if check.reason else AGREES,
        "estimator": check.key,
        "condition": condition(peer=check.peer, **{k: v for k, v in {**factors, "on": on}.items() if v}),
        "value": math.nan if why else max(differences),
        "status": f"undefined: {why}" if why else OK,
    }


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


# ---- what both get ---------------------------------------------------------------------------------------------------


def _samples(
    activations: Recordings, pairs: Sequence[tuple[str, str]], max_images: int, max_units: int, seed: int
) -> Iterator[Sample]:
    first = next(iter(activations[pairs[0][0]].values())) if pairs else np.empty((0, 0))
    inputs = _features(first, max_images, max_units, [seed, 0])
    for a, b in pairs:
        for place, (layer_a, layer_b) in enumerate(matched_layers(list(activations[a]), list(activations[b]))):
            x = _features(activations[a][layer_a], max_images, max_units, [seed, 1, place])
            y = _features(activations[b][layer_b], max_images, max_units, [seed, 2, place])
            yield Sample(x, y, inputs, seed)


def _check(activations: Recordings, pairs: Sequence[tuple[str, str]]) -> None:
    counts = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        if name not in activations:
            raise unknown_name("recorded network", name, activations)
        counts[name] = len(np.asarray(next(iter(activations[name].values()))))
    if len(set(counts.values())) > 1 or min(counts.values(), default=_SMALLEST) < _SMALLEST:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ShapeError(f"implementations are compared on the same images, at least {_SMALLEST}; got {told}.")


def _features(layer: ArrayLike, max_images: int, max_units: int, seed: list[int]) -> NDArray[np.float64]:
    images = np.asarray(layer)[:max_images]
    flat = images.reshape(len(images), -1)
    if flat.shape[1] > max_units:
        drawn = np.random.default_rng(seed).choice(flat.shape[1], max_units, replace=False)
        flat = flat[:, np.sort(drawn)]
    return flat.astype(np.float64)
