"""Map alignment trained on noisy labels: how far its polygons are from the truth, round after round."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.data.polygons import centroid, cumulative_accuracy, rms, vertex_errors
from netalike.data.scenes import Scene
from netalike.evidence.measurements import OK, condition
from netalike.experiments.map_pictures import MapPictures, Overlay, PatchPictures
from netalike.experiments.map_similarity import PatchSimilarity, patch_similarity, similarity_rows
from netalike.networks.double_unet import PIXELS_PER_UNIT, Widths
from netalike.training.map_inference import Polygons
from netalike.training.map_rounds import Round, train_rounds
from netalike.training.map_settings import MapTraining

Row = dict[str, Any]
THRESHOLDS = np.arange(0, 8.01, 0.25)
"""Pixels; of the cumulative accuracy."""
_FEWEST_UNITS = 5  # to be resampled, see evidence.claims.resampling
_WANTED_UNITS = 12
_DRAWS = 1000
_CURVE_POINTS = 40
_CURVES = ("total", "segmentation", "displacement", "zero_displacement")
_OVERLAYS = 2  # scenes that are kept for the figure


@dataclass(frozen=True)
class MapStudy:
    """What the experiment does, apart from the scenes.

    Attributes
    ----------
    noise : str
        Kind of the label noise, for the conditions.
    training : MapTraining
    widths : Widths
    rounds : int
    patches : int
        For the similarity of inputs; 0 leaves it out.
    outputs : {"centre", "sum"}
        Whose gradients are compared.
    neighbours : int
        Nearest neighbours whose facts are compared.
    memory_gb : float
        For gradients.
    seed : int
    """

    noise: str
    training: MapTraining
    widths: Widths = field(default_factory=Widths)
    rounds: int = 2
    patches: int = 100
    outputs: str = "centre"
    neighbours: int = 10
    memory_gb: float = 1.0
    seed: int = 0

    @classmethod
    def of_study(cls, study: Mapping[str, Any], noise: str, seed: int) -> MapStudy:
        """Read a `MapAlignmentStudy` that was made a dictionary, for one kind of noise and one seed."""
        taken = {key: study[key] for key in ("rounds", "patches", "outputs", "neighbours", "memory_gb") if key in study}
        training = MapTraining(**study["training"])
        return cls(noise=noise, training=training, widths=Widths(*study["widths"]), seed=seed, **taken)


@dataclass(frozen=True)
class _Unit:
    """Polygons that are resampled together: a scene, or a part of one where scenes are few."""

    name: str
    scene: int
    members: NDArray[np.int64]


def align_noisy_maps(
    train: Sequence[Scene], test: Sequence[Scene], study: MapStudy, checkpoints: str | Path | None = None
) -> tuple[list[Row], MapPictures]:
    """Train on noisy labels, round after round, and measure everything that there is to measure.

    Parameters
    ----------
    train, test : sequence of Scene
        With noisy labels and the truth, or what is taken for it.
    study : MapStudy
    checkpoints : path, optional
        A folder; what was trained there before a break is not trained again.

    Returns
    -------
    rows : list of dict
        Without paper, experiment, data set and seed; see `error_rows`, `accuracy_rows`, `loss_rows` and
        `map_similarity.similarity_rows`.
    pictures : MapPictures
        What the figures need beside the rows.
    """
    rows = [*_split_rows(train, "train", study.noise), *_split_rows(test, "test", study.noise)]
    overlays, patches = [], None
    aligned: list[list[Polygons]] = []
    for found in train_rounds(train, test, study.training, study.rounds, study.widths, study.seed, checkpoints):
        rows += _round_rows(train, test, found, study)
        aligned.append([passes[-1] for passes in found.test])
        if study.patches:
            similarity = patch_similarity(
                found.model, found.learned, study.patches, study.outputs, study.memory_gb, study.seed
            )
            factors: dict[str, Any] = {"noise": study.noise, "round": found.number, "outputs": study.outputs}
            rows += similarity_rows(similarity, study.neighbours, study.seed, **factors)
            patches = _patch_pictures(similarity)
    for number, scene in enumerate(test[:_OVERLAYS]):
        corrected = tuple(by_scene[number] for by_scene in aligned)
        overlays.append(Overlay(scene.name, scene.image, scene.polygons, scene.labels, corrected))
    return rows, MapPictures(study.noise, tuple(overlays), patches)


def _patch_pictures(found: PatchSimilarity) -> PatchPictures:
    return PatchPictures(found.patches.images, found.patches.polygons, found.similarity)


def _split_rows(scenes: Sequence[Scene], split: str, noise: str) -> list[Row]:
    """The labels as they were given, before any training: round 0."""
    labels = [scene.labels for scene in scenes]
    factors: dict[str, Any] = {"noise": noise, "round": 0, "passes": 0}
    return [*error_rows(scenes, labels, split, **factors), *accuracy_rows(scenes, labels, split, **factors)]


def _round_rows(train: Sequence[Scene], test: Sequence[Scene], found: Round, study: MapStudy) -> list[Row]:
    rows = loss_rows(found, study.noise, study.training.batch_size)
    for split, scenes, aligned in (("train", train, found.train), ("test", test, found.test)):
        for i in range(study.training.passes):
            polygons = [passes[i] for passes in aligned]
            factors: dict[str, Any] = {"noise": study.noise, "round": found.number, "passes": i + 1}
            last = i + 1 == study.training.passes
            rows += error_rows(scenes, polygons, split, by_unit=last, **factors)
            if last:
                rows += accuracy_rows(scenes, polygons, split, **factors)
                rows += relative_rows(scenes, polygons, split, **factors)
    return rows


# ---- errors ----------------------------------------------------------------------------------------------------------


def units_of(scenes: Sequence[Scene]) -> list[_Unit]:
    """Divide polygons into groups that are resampled together.

    Parameters
    ----------
    scenes : sequence of Scene

    Returns
    -------
    list
        Scenes, or equal parts of scenes where there are fewer than five; without those that hold no polygon.
    """
    side = 1 if len(scenes) >= _FEWEST_UNITS else math.ceil(math.sqrt(_WANTED_UNITS / max(len(scenes), 1)))
    found = []
    for number, scene in enumerate(scenes):
        centres = np.array([centroid(polygon) for polygon in scene.polygons]).reshape(-1, 2)
        places = np.clip(centres / np.array(scene.image.shape[:2]) * side, 0, side - 1).astype(int)
        for row in range(side):
            for column in range(side):
                members = np.flatnonzero((places == (row, column)).all(axis=1))
                name = scene.name if side == 1 else f"{scene.name}_part{row}{column}"
                found += [_Unit(name, number, members)] * bool(len(members))
    return found


def error_rows(
    scenes: Sequence[Scene], polygons: Sequence[Polygons], split: str, by_unit: bool = True, **factors: object
) -> list[Row]:
    """Measure how far the vertices of polygons are from the truth.

    Parameters
    ----------
    scenes : sequence of Scene
        Their `polygons` are the truth.
    polygons : sequence of tuple of array
        Of each scene, to be measured.
    split : str
    by_unit : bool
        Whether there is a row for each scene (or part of a scene, see `units_of`) as well.
    **factors
        Of the condition.

    Returns
    -------
    list of dict
        ``vertex_error``, the root mean square distance in pixels of all vertices, with a 95 % bootstrap interval over
        scenes; ``vertex_error_of_scene`` by scene, with the factor ``scene``; and ``mean_offset``, the length of the
        mean offset of all polygons: a bias that is left.
    """
    units = units_of(scenes)
    errors = [_errors_of(unit, scenes, polygons) for unit in units]
    pooled = np.concatenate(errors) if errors else np.zeros(0)
    low, high = _interval(errors)
    rows = [_row("vertex_error", "rms", rms(pooled), len(pooled), split, factors, low, high)]
    rows.append(_row("mean_offset", "mean", _mean_offset(scenes, polygons), len(pooled), split, factors))
    if by_unit:
        rows += [
            _row("vertex_error_of_scene", "rms", rms(own), len(own), split, {**factors, "scene": unit.name})
            for unit, own in zip(units, errors, strict=True)
        ]
    return rows


def relative_rows(scenes: Sequence[Scene], polygons: Sequence[Polygons], split: str, **factors: object) -> list[Row]:
    """Measure what share of the labels' error is left after an alignment, scene by scene.

    Parameters
    ----------
    scenes, polygons, split, **factors
        As for `error_rows`.

    Returns
    -------
    list of dict
        ``relative_error`` by scene: below 1 where the alignment has taken noise away. Undefined where the labels are
        the truth.
    """
    rows = []
    for unit in units_of(scenes):
        own = {**factors, "scene": unit.name}
        labels = [scene.labels for scene in scenes]
        before, after = (rms(_errors_of(unit, scenes, which)) for which in (labels, polygons))
        value = after / before if before > 0 else math.nan
        row = _row("relative_error", "after_over_before", value, len(unit.members), split, own)
        rows.append(row if before > 0 else {**row, "status": "undefined: the labels are the truth"})
    return rows


def accuracy_rows(scenes: Sequence[Scene], polygons: Sequence[Polygons], split: str, **factors: object) -> list[Row]:
    """Measure the share of vertices that are at most so far from the truth.

    Parameters
    ----------
    scenes, polygons, split, **factors
        As for `error_rows`.

    Returns
    -------
    list of dict
        ``accuracy`` by ``threshold``, 0 to 8 pixels in steps of a quarter, with 95 % bootstrap intervals over scenes.
    """
    errors = [_errors_of(unit, scenes, polygons) for unit in units_of(scenes)]
    pooled = np.concatenate(errors) if errors else np.zeros(0)
    values = cumulative_accuracy(pooled, THRESHOLDS)
    below = np.array([[(own <= limit).sum() for limit in THRESHOLDS] for own in errors]).reshape(-1, len(THRESHOLDS))
    low, high = _shares_interval(below, np.array([len(own) for own in errors]))
    return [
        _row("accuracy", "share", float(value), len(pooled), split, {**factors, "threshold": f"{limit:g}"}, *ends)
        for limit, value, *ends in zip(THRESHOLDS.tolist(), values, low, high, strict=True)
    ]


def _errors_of(unit: _Unit, scenes: Sequence[Scene], polygons: Sequence[Polygons]) -> NDArray[np.float64]:
    own, truth = polygons[unit.scene], scenes[unit.scene].polygons
    return vertex_errors([own[i] for i in unit.members], [truth[i] for i in unit.members])


def _mean_offset(scenes: Sequence[Scene], polygons: Sequence[Polygons]) -> float:
    offsets = [
        (own - truth).mean(0)
        for scene, found in zip(scenes, polygons, strict=True)
        for own, truth in zip(found, scene.polygons, strict=True)
    ]
    return float(np.linalg.norm(np.mean(offsets, axis=0))) if offsets else math.nan


def _interval(errors: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """95 % percentile bootstrap of the root mean square error over scenes."""
    squares = np.array([(own**2).sum() for own in errors])
    low, high = _shares_interval(squares[:, None], np.array([len(own) for own in errors]))
    return float(np.sqrt(low[0])), float(np.sqrt(high[0]))


def _shares_interval(sums: NDArray[Any], sizes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % percentile bootstrap of sum / size over units, for each column of sums; NaN for fewer than five units."""
    if len(sizes) < _FEWEST_UNITS:
        nothing = np.full(sums.shape[1], np.nan)
        return nothing, nothing
    drawn = np.random.default_rng(0).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=_DRAWS)
    shares = (drawn @ sums) / (drawn @ sizes)[:, None]
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    return low, high


def _row(
    quantity: str,
    estimator: str,
    value: float,
    n: int,
    split: str,
    factors: Mapping[str, object],
    low: float = math.nan,
    high: float = math.nan,
) -> Row:
    missing = not math.isfinite(value)
    return {
        "quantity": quantity,
        "estimator": estimator,
        "n_samples": n,
        "split": split,
        "condition": condition(**factors),
        "value": float(value),
        "low": math.nan if missing else float(low),
        "high": math.nan if missing else float(high),
        "status": "undefined: there is no polygon" if missing else OK,
    }


# ---- training --------------------------------------------------------------------------------------------------------


def loss_rows(found: Round, noise: str, batch_size: int) -> list[Row]:
    """Turn the losses of a training into rows, averaged over parts of it.

    Parameters
    ----------
    found : Round
    noise : str
    batch_size : int

    Returns
    -------
    list of dict
        ``training_loss`` at the last step of each of forty parts: ``total``, ``segmentation``, and the root mean square
        of what is left of the displacements in pixels (``displacement``) and of the displacements themselves
        (``zero_displacement``), weighted as in the loss; if buildings have a weight, also of what is left of each
        building's mean displacement (``buildings``). ``loss_slope``: by what share of itself the displacement error
        fell from the third to the last quarter of the training; near 0 when the curve has flattened.
    """
    factors = {"noise": noise, "round": found.number}
    history = found.history
    steps = len(history.total)
    rows = []
    for begin, end in _parts(steps):
        for name in (*_CURVES, *["buildings"] * any(history.buildings)):
            mean = float(np.mean(getattr(history, name)[begin:end]))
            value = mean if name in ("total", "segmentation") else PIXELS_PER_UNIT * math.sqrt(mean)
            row = _row("training_loss", name, value, (end - begin) * batch_size, "train", factors)
            rows.append({**row, "step": end})
    row = _row("loss_slope", "quarters", _slope(history.displacement), steps * batch_size, "train", factors)
    return [*rows, {**row, "step": steps}]


def _parts(steps: int) -> Iterator[tuple[int, int]]:
    edges = np.unique(np.linspace(0, steps, min(_CURVE_POINTS, steps) + 1).round().astype(int)).tolist()
    yield from itertools.pairwise(edges)


def _slope(losses: Sequence[float]) -> float:
    quarter = max(1, len(losses) // 4)
    before, after = np.mean(losses[-2 * quarter : -quarter] or losses[:1]), np.mean(losses[-quarter:])
    return float(1 - math.sqrt(after / before)) if before > 0 else 0.0
