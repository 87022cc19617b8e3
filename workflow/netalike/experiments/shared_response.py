"""Shared responses of networks: held-out variance explained, representational similarity within and between networks.

Native patterns are those of a network's own units, shared ones their projections on the shared response. Within: the
RSM of a network; between: of a network with the mean of the other networks. All rows have the factors ``center`` (mode
of the model), ``depth`` (0 is the first layer, 1 the last) and ``units`` (``classes`` for an output layer, whose units
the task matches between networks, else ``hidden``); `step` is the epoch. Quantities:

``variance_explained``
    Of each network's evaluation half, factor ``control``: ``none``, ``untrained`` (epoch 0),
    ``shuffled`` (the network whose images are shuffled), ``shuffled_others``, ``noise``. Estimator ``published``: by
    the mean over networks; ``leave_one_out``: by the mean over the others, which says nothing of independent networks.
    Shuffled images and noise are fitted in the first of the modes.
``second_order_similarity``
    Of the mean RSM between networks (factors ``space``, ``rsm``) with the mean native RSM within networks at the last
    or the same epoch (``reference``). Estimator ``pearson``; at the last epoch, in the first mode, also
    ``pearson_fisher_z`` (means of Fisher's z) and ``pearson_symmetric`` (both triangles of the RSM between networks),
    which the published mean of correlations and lower triangle leave open (N11).
``second_order_of_network``
    The same for the RSM between one network and the others.
``within_similarity``
    Of the mean shared and the mean native RSM within networks, last epoch: 1 for the kinds that a rotation leaves (N7).
``consistency``
    Of the native RSMs within two networks.
``block_contrast``
    Mean entry within classes less that between classes, of each network's RSM: ``space``, ``rsm``, ``pair`` (``within``
    or ``between`` networks).
``class_rsm``
    Correlation of the mean patterns of ``class_a`` and ``class_b`` within networks, mean over networks.
``trajectory_distance``
    Of a network's smoothed trajectory over label-sorted images from the mean of the others', beside its own extent;
    first and last epoch.
``development_epoch``
    First epoch at which nine tenths of the rise of `second_order_of_network` to its last value is done; of at least
    three epochs.
``ends_minus_middle``
    The smaller value of the first and the last hidden layer, less the smallest between them (factor ``of``): the U over
    depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.alignment.srm import SharedResponse
from netalike.errors import NetalikeError
from netalike.experiments.shared_geometry import network_draws, share_explained
from netalike.experiments.shared_measures import (
    Cell,
    class_rows,
    contrast_rows,
    distance_rows,
    second_order_rows,
    undefined_rows,
    variance_rows,
)
from netalike.experiments.shared_pictures import panel_pictures, picture_head, trajectory_pictures
from netalike.experiments.shared_study import (
    AlignmentStudy,
    Epoch,
    Halves,
    Patterns,
    Recording,
    common_schedule,
    output_layer,
    prepare,
    stratified_halves,
    z_scored,
)
from netalike.experiments.shared_summaries import summary_rows
from netalike.progress import progress

Row = dict[str, Any]
Floats = NDArray[np.float32]
Pictures = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Evaluation halves of all networks in one layer at one epoch, before and after alignment.

    Attributes
    ----------
    native : list of ndarray, shape (n, p_i)
        As they were projected: less the means of the fitting half where the model subtracts them, so that a perfect
        alignment has the RSMs of its native patterns.
    shared : list of ndarray, shape (n, k)
    explained : ndarray, shape (N,)
        Share of variance explained, as published.
    """

    native: list[Floats]
    shared: list[Floats]
    explained: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Run:
    """What is the same for all layers."""

    networks: Sequence[Recording]
    study: AlignmentStudy
    halves: Halves
    layers: list[str]
    output: str
    epochs: list[Epoch]
    seed: int
    draws: NDArray[np.float64]
    noise: dict[tuple[object, ...], Aligned] = field(default_factory=dict)

    def cell(self, layer: str, epoch: Epoch) -> Cell:
        depth = self.layers.index(layer) / max(len(self.layers) - 1, 1)
        names = tuple(network.name for network in self.networks)
        units = "classes" if layer == self.output else "hidden"
        return Cell(names, layer, depth, units, epoch, self.epochs, self.halves.labels, self.draws, self.seed)

    @property
    def hidden(self) -> list[str]:
        """Layers but for an output layer."""
        return [layer for layer in self.layers if layer != self.output]


def align_recordings(
    networks: Sequence[Recording], study: Mapping[str, Any], seed: int = 0, shown: bool | None = True
) -> tuple[list[Row], Pictures]:
    """Align networks in every layer at every epoch, and measure what they share.

    Parameters
    ----------
    networks : sequence of Recording
        At least two, recorded over the same images: objects with ``name``, ``layers``, ``epochs``, ``labels`` and
        ``activations(layer, epoch)``. What needs several epochs is left out where there is one; a number 0 among
        several is before training.
    study : mapping
        Settings of `AlignmentStudy`; other keys are passed over.
    seed : int
        Of the halves of the images, the choice of units, the models, the controls and the bootstrap.
    shown : bool, optional
        Whether to show progress.

    Returns
    -------
    rows : list of dict
        Rows without paper, experiment and data set; see the head of this module for their quantities.
    pictures : dict of ndarray
        What the figures need beside rows, see `shared_pictures`; below 5 MB.

    Raises
    ------
    NetalikeError
        If there are fewer than two networks, too few images, or fewer images to fit than features.
    ShapeError
        If layers or labels of the networks differ.
    UnknownNameError
        For a setting that does not exist.

    Notes
    -----
    Lu et al. (2018), published code (run_analyses.py). One layer and epoch is in memory at a time. A layer in which an
    image's pattern has no variance is reported as undefined.
    """
    settings = AlignmentStudy.from_mapping(study)
    layers, epochs = common_schedule(networks)
    halves = stratified_halves(np.asarray(networks[0].labels), settings, seed)
    draws = network_draws(len(networks), settings.bootstrap, seed)
    run = _Run(networks, settings, halves, layers, output_layer(networks, layers, epochs), epochs, seed, draws)
    rows, pictures = _of_layers(run, shown)
    return rows + list(summary_rows(rows)), pictures


def _of_layers(run: _Run, shown: bool | None) -> tuple[list[Row], Pictures]:
    names = [network.name for network in run.networks]
    pictures = picture_head(names, run.layers, run.epochs, run.halves.labels, run.study)
    rows: list[Row] = []
    empty: list[str] = []
    bar = progress(empty, "aligning", len(run.layers) * len(run.epochs), shown, unit="layer")
    for layer in run.layers:
        by_epoch: dict[Epoch, list[Row]] = {}
        finals: dict[tuple[str, str], list[Floats]] = {}
        for epoch in (run.epochs[-1], *run.epochs[:-1]):  # the last one first: the others are compared with it
            by_epoch[epoch] = _measure(run, layer, epoch, finals, pictures)
            bar.update()
        rows += [row for epoch in run.epochs for row in by_epoch[epoch]]
    bar.close()
    return rows, pictures


def _measure(
    run: _Run, layer: str, epoch: Epoch, finals: dict[tuple[str, str], list[Floats]], pictures: Pictures
) -> list[Row]:
    """Measure one layer at one epoch, and add its pictures if it has any."""
    patterns = prepare(run.networks, layer, epoch, run.halves, run.study, run.seed)
    cell = run.cell(layer, epoch)
    rows: list[Row] = []
    for center in run.study.centers:
        if patterns.problem:
            rows += undefined_rows(cell, center, run.study.kinds_of(center, cell.is_end), patterns.problem)
            continue
        aligned = align(patterns, center, run.study, run.seed)
        rows += _of_alignment(run, cell, center, aligned, patterns, finals)
        if center == run.study.centers[0]:
            _draw(run, cell, aligned, pictures)
    return rows


def align(patterns: Patterns, center: str, study: AlignmentStudy, seed: int) -> Aligned:
    """Fit a shared response to the fitting halves, and project the evaluation halves on it.

    Parameters
    ----------
    patterns : Patterns
    center : {"mean", "brainiak"}
    study : AlignmentStudy
    seed : int
        Of the first bases.

    Returns
    -------
    Aligned

    Raises
    ------
    NetalikeError
        If there are fewer images to fit than features.
    """
    features = study.features or min(half.shape[1] for half in patterns.fit)
    if len(patterns.fit[0]) < features:
        raise NetalikeError(
            f"{features} features of a shared response, and {len(patterns.fit[0])} images to fit it to: expected at "
            "least as many images. Lower `units` or `features` of the study, or fit to more images."
        )
    model = SharedResponse(
        study.features,
        method=study.method,
        center=center,
        iterations=study.iterations,
        seed=seed,
        implementation=study.implementation,
    )
    model.fit(patterns.fit)
    shared = [np.asarray(one, dtype=np.float32) for one in model.transform(patterns.evaluate)]
    native = patterns.evaluate
    if center == "mean":
        means = [np.asarray(mean, dtype=np.float32).reshape(1, -1) for mean in model.means_]
        native = [one - mean for one, mean in zip(native, means, strict=True)]
    return Aligned(native, shared, np.asarray(model.score(patterns.evaluate), dtype=np.float64))


def _of_alignment(
    run: _Run,
    cell: Cell,
    center: str,
    aligned: Aligned,
    patterns: Patterns,
    finals: dict[tuple[str, str], list[Floats]],
) -> Iterator[Row]:
    yield from _variances(cell, center, aligned, "none")
    if cell.is_untrained and "untrained" in run.study.controls:
        yield from _variances(cell, center, aligned, "untrained")
    if cell.is_last and center == run.study.centers[0]:
        yield from _controls(run, cell, center, patterns)
    for kind in run.study.kinds_of(center, cell.is_end):
        is_first = center == run.study.centers[0]
        yield from second_order_rows(cell, center, kind, aligned.native, aligned.shared, finals, is_first)
        yield from contrast_rows(cell, center, kind, aligned.native, aligned.shared)
    if cell.is_end:
        yield from distance_rows(cell, center, aligned.native, aligned.shared, run.study.window)
    if center == run.study.raw_center and len(np.unique(cell.labels)) <= run.study.most_classes:
        yield from class_rows(cell, center, aligned.native, aligned.shared)


def _variances(
    cell: Cell, center: str, aligned: Aligned, control: str, chosen: Iterable[int] | None = None
) -> Iterator[Row]:
    rest = share_explained(aligned.native, aligned.shared, own=False, by_unit=center == "mean")
    for estimator, values in (("published", aligned.explained), ("leave_one_out", rest)):
        yield from variance_rows(cell, center, estimator, control, values, chosen)


# ---- controls --------------------------------------------------------------------------------------------------------


def _controls(run: _Run, cell: Cell, center: str, patterns: Patterns) -> Iterator[Row]:
    """Shuffle the images of the first network; replace all networks by noise. In the first mode alone: two fits."""
    if "shuffled" in run.study.controls:
        aligned = align(_shuffled(patterns, run.seed), center, run.study, run.seed)
        yield from _variances(cell, center, aligned, "shuffled", [0])
        yield from _variances(cell, center, aligned, "shuffled_others", range(1, len(run.networks)))
    if "noise" in run.study.controls:
        key = (center, *(half.shape[1] for half in patterns.fit))  # noise is the same for layers of the same widths
        if key not in run.noise:
            run.noise[key] = align(_noise(patterns, run.study, run.seed), center, run.study, run.seed)
        yield from _variances(cell, center, run.noise[key], "noise")


def _shuffled(patterns: Patterns, seed: int) -> Patterns:
    generator = np.random.default_rng([seed, 4])
    fit, evaluate = (
        [generator.permutation(halves[0], axis=0), *halves[1:]] for halves in (patterns.fit, patterns.evaluate)
    )
    return Patterns(fit, evaluate)


def _noise(patterns: Patterns, study: AlignmentStudy, seed: int) -> Patterns:
    generator = np.random.default_rng([seed, 5])

    def like(half: Floats) -> Floats:
        drawn = generator.standard_normal(half.shape, dtype=np.float32)
        return z_scored(drawn) if study.z_score else drawn

    return Patterns([like(half) for half in patterns.fit], [like(half) for half in patterns.evaluate])


# ---- pictures --------------------------------------------------------------------------------------------------------


def _draw(run: _Run, cell: Cell, aligned: Aligned, pictures: Pictures) -> None:
    if cell.is_last and cell.layer == run.hidden[-1]:
        pictures |= panel_pictures(aligned.native, aligned.shared, cell.labels)
        pictures["panel/layer"] = np.array(cell.layer)
    if cell.is_end and cell.layer in (run.hidden[0], run.hidden[-1]):
        place = (run.layers.index(cell.layer), run.epochs.index(cell.epoch))
        chosen = slice(0, run.study.trajectories)
        pictures |= trajectory_pictures(aligned.native[chosen], aligned.shared[chosen], place, run.study.window)
