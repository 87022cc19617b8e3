"""Restricted stitching layers: rank, sparsity, CKA regularisation, masks, targets, and the way from least squares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netalike.comparison import Member
from netalike.experiments.stitching import (
    ENOUGH,
    Job,
    Row,
    Seam,
    Stitcher,
    names_in,
    score_rows,
    scores_of,
    seams,
    valued,
)
from netalike.stitching.evaluation import Report
from netalike.stitching.masks import mask as mask_of
from netalike.stitching.transform import StitchingLayer

SMALL = 0.01
"""Entries of a stitching layer below this share of the largest count as small."""


class _Variant(NamedTuple):
    """One stitching layer of a sweep."""

    experiment: str
    estimator: str
    factors: dict[str, Any]
    layer: StitchingLayer
    step: int | None = None


def sweep_rows(front: Member, end: Member, sweeps: Mapping[str, Sequence[Any]], job: Job, experiment: str) -> list[Row]:
    """Stitch two networks with stitching layers that are restricted, or trained otherwise, at every layer given.

    Parameters
    ----------
    front, end : Member
        Of one family.
    sweeps : mapping of str to sequence
        What is varied: ``ranks``, ``l1``, ``cka_reg``, ``masks``, ``targets``, one at a time; everything else is
        trained on the task loss from least squares, as `job` says. The full rank, no penalty, no mask and hard targets
        are one and the same stitching layer, which every sweep has.
    job : Job
    experiment : str
        Name of the study; the rows belong to ``ranks_<study>``, ``l1_<study>``, ..., ``trajectory_<study>``.

    Returns
    -------
    list of dict
        Rows without paper, data set and seed; quantities as `experiments.stitching.scores_of`, CKA of ``cka_reg`` and
        ``trajectory`` alone. Estimators ``task_loss`` and, of ranks and masks, ``least_squares`` under the same
        restriction. Condition: the varied factor (``rank``, ``l1``, ``cka_reg``, ``mask``, ``target``), ``steps`` of
        what was trained, ``pair``, ``depth``. Furthermore, ``rank_for_95_percent``: the smallest rank with 0.95 of the
        accuracy of the full rank; ``small_weights``: the share of the entries below 1 % of the largest, with the
        estimator ``task_loss_pruned`` for the stitching layer without them; and ``trajectory``: the stitching layer
        along its training, by `step`, from least squares at 0.
    """
    rows: list[Row] = []
    for stitcher in Stitcher.of_seams(list(seams(front, end)), job):
        rows += _seam_rows(stitcher, sweeps, experiment)
        stitcher.forget()
    return rows


def _seam_rows(stitcher: Stitcher, sweeps: Mapping[str, Sequence[Any]], experiment: str) -> Iterator[Row]:
    direct = stitcher.direct("least_squares")
    plain, history = stitcher.trained(stitcher.direct("least_squares"))
    snapshots = {step: stitcher.layer(*snapshot) for step, snapshot in sorted(history.snapshots.items())}
    steps = {"steps": stitcher.job.steps}
    along = [_Variant("trajectory", "task_loss", steps, layer, step) for step, layer in snapshots.items()]
    likeness = [*along, *_trainings(stitcher, plain, "cka_reg", "cka_reg", 0.0, sweeps.get("cka_reg", ()))]
    others = [
        *_ranks(stitcher, direct, plain, sweeps.get("ranks", ())),
        *_sparse(stitcher, plain, sweeps.get("l1", ())),
        *_masked(stitcher, direct, plain, sweeps.get("masks", ())),
        *_trainings(stitcher, plain, "targets", "target", "hard", sweeps.get("targets", ())),
    ]
    for variants, with_cka in ((likeness, True), (others, False)):
        for row in _variant_rows(stitcher, variants, with_cka):
            yield {**row, "experiment": f"{row['experiment']}_{experiment}"}


# ---- the variants ----------------------------------------------------------------------------------------------------


def _trainings(
    stitcher: Stitcher, plain: StitchingLayer, experiment: str, key: str, neutral: Any, values: Sequence[Any]
) -> Iterator[_Variant]:
    """Trainings from least squares with one setting changed; that with the neutral value is done already."""
    steps = {"steps": stitcher.job.steps}
    for value in dict.fromkeys([neutral, *values]):
        layer = plain
        if value != neutral:
            layer, _ = stitcher.trained(stitcher.direct("least_squares"), **{key: value})
        yield _Variant(experiment, "task_loss", {key: _told(value), **steps}, layer)


def _ranks(
    stitcher: Stitcher, direct: StitchingLayer, plain: StitchingLayer, ranks: Sequence[int]
) -> Iterator[_Variant]:
    full, steps = min(stitcher.channels), {"steps": stitcher.job.steps}
    for rank in [*sorted(rank for rank in set(ranks) if rank < full), full]:
        solution, trained = direct, plain
        if rank < full:
            weight, bias = stitcher.equations.reduced_rank(rank)
            solution = stitcher.layer(weight, bias)
            trained, _ = stitcher.trained(stitcher.layer(weight, bias, rank=rank))
        yield _Variant("ranks", "least_squares", {"rank": rank}, solution)
        yield _Variant("ranks", "task_loss", {"rank": rank, **steps}, trained)


def _sparse(stitcher: Stitcher, plain: StitchingLayer, weights: Sequence[float]) -> Iterator[_Variant]:
    for variant in _trainings(stitcher, plain, "l1", "l1", 0.0, weights):
        matrix, bias = variant.layer.snapshot()
        pruned = stitcher.layer(matrix.masked_fill(_is_small(matrix), 0.0), bias)
        yield variant
        yield variant._replace(estimator="task_loss_pruned", layer=pruned)


def _masked(
    stitcher: Stitcher, direct: StitchingLayer, plain: StitchingLayer, names: Sequence[str]
) -> Iterator[_Variant]:
    steps = {"steps": stitcher.job.steps}
    yield _Variant("masks", "least_squares", {"mask": "none"}, direct)
    yield _Variant("masks", "task_loss", {"mask": "none", **steps}, plain)
    for name in names:
        mask = mask_of(name, *stitcher.channels, stitcher.equations.correlation(), stitcher.job.generator())
        assert mask is not None
        start = masked_least_squares(stitcher, mask)
        yield _Variant("masks", "least_squares", {"mask": name}, stitcher.layer(*start, mask=mask))
        trained, _ = stitcher.trained(stitcher.layer(*start, mask=mask))
        yield _Variant("masks", "task_loss", {"mask": name, **steps}, trained)


def masked_least_squares(stitcher: Stitcher, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Fit the affine map of least squares under a mask that leaves one input channel to each output channel.

    Parameters
    ----------
    stitcher : Stitcher
    mask : Tensor, shape (outputs, inputs)
        One 1 in each row.

    Returns
    -------
    weight : Tensor, float64, shape (outputs, inputs)
        A regression on one variable in each row; 0 where that input channel is constant.
    bias : Tensor, float64, shape (outputs,)
    """
    moments = stitcher.equations._moments
    partner = mask.argmax(1)
    variance, covariance = moments.xx.diagonal()[partner], moments.xy.T.gather(1, partner[:, None])[:, 0]
    slope = torch.where(variance > 0, covariance / variance, torch.zeros_like(variance))
    weight = mask.double() * slope[:, None]
    return weight, moments.y_mean - weight @ moments.x_mean


def _is_small(matrix: Tensor) -> Tensor:
    return matrix.abs() < SMALL * matrix.abs().max()


def _told(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


# ---- rows ------------------------------------------------------------------------------------------------------------


def _variant_rows(stitcher: Stitcher, variants: Sequence[_Variant], with_cka: bool) -> Iterator[Row]:
    n = len(stitcher.job.test_set)
    layers = {str(i): variant.layer for i, variant in enumerate(variants)}
    report = stitcher.evaluate(layers, with_cka)
    names = list(names_in(list(layers)).values())
    for variant, name in zip(variants, names, strict=True):
        for row in score_rows(stitcher.seam, report, name, variant.estimator, n, **variant.factors):
            yield {**row, "experiment": variant.experiment, "step": variant.step}
    for variant in variants:
        if (variant.experiment, variant.estimator) == ("l1", "task_loss"):
            yield {**_small_weights(stitcher.seam, variant, n), "experiment": "l1"}
    for row in _needed_ranks(stitcher.seam, variants, names, report):
        yield {**row, "experiment": "ranks"}


def _small_weights(seam: Seam, variant: _Variant, n: int) -> Row:
    share = float(_is_small(variant.layer.snapshot()[0]).double().mean())
    told = {"quantity": "small_weights", "estimator": "task_loss", "value": share, "n_samples": n}
    return seam.row(**told, factors=variant.factors)


def _needed_ranks(seam: Seam, variants: Sequence[_Variant], names: Sequence[str], report: Report) -> Iterator[Row]:
    for estimator in ("least_squares", "task_loss"):
        accuracy = {
            variant.factors["rank"]: scores_of(report, name)["accuracy"] or 0.0
            for variant, name in zip(variants, names, strict=True)
            if (variant.experiment, variant.estimator) == ("ranks", estimator)
        }
        if accuracy:
            enough = [rank for rank, value in accuracy.items() if value >= ENOUGH * accuracy[max(accuracy)]]
            told = valued(min(enough), "")
            yield seam.row(quantity="rank_for_95_percent", estimator=estimator, n_samples=report.n, **told)
