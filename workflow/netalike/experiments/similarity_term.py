"""The MNIST experiment with a similarity term: with its sign, without it, with other weights, and a control."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from netalike.evidence.measurements import OK
from netalike.experiments.similarity_term_published import ACCURACIES
from netalike.training.pair_stream import PairPool
from netalike.training.similarity_runs import Run, RunSettings
from netalike.training.similarity_term import Variant

NETWORK = "prelu_cnn"
"""What the rows call the network of the experiment; ``prelu_cnn-s3`` has the initialisation and the pairs of seed 3."""

Row = dict[str, Any]


def settings_of(study: Mapping[str, Any]) -> RunSettings:
    """Make the settings of the runs of a study of the configuration."""
    return RunSettings(
        study["steps"],
        study["batch_size"],
        study["evaluate_every"],
        study["cosine_images"],
        study["lr"],
        study["seed"],
    )


def main_variants(study: Mapping[str, Any]) -> list[Variant]:
    """Return the variants of every seed: the baseline, and each sign at the first weight and mask."""
    weight, mask = study["weights"][0], study["masks"][0]
    return [Variant(), *(Variant(sign, weight, mask=mask) for sign in study["signs"])]


def other_variants(study: Mapping[str, Any]) -> list[Variant]:
    """Return the variants of the first few seeds: other weights, other masks, and the control, each with every sign."""
    (weight, *weights), (mask, *masks) = study["weights"], study["masks"]
    found = [Variant(sign, other, mask=mask) for other in weights for sign in study["signs"]]
    found += [Variant(sign, weight, mask=other) for other in masks for sign in study["signs"]]
    if study["different_class"]:
        found += [Variant(sign, weight, "different_class", mask) for sign in study["signs"]]
    return found


def runs_of(study: Mapping[str, Any], seeds: Sequence[int]) -> list[tuple[Variant, int]]:
    """List the runs of some seeds of a study.

    Parameters
    ----------
    study : mapping
        As the configuration has it.
    seeds : sequence of int
        Some of the study's seeds.

    Returns
    -------
    list of (Variant, int)
        Seed by seed.
    """
    few = set(study["seeds"][: study["few_seeds"]])
    return [
        (variant, seed)
        for seed in seeds
        for variant in [*main_variants(study), *(other_variants(study) if seed in few else [])]
    ]


def run_rows(run: Run, pool: PairPool, settings: RunSettings) -> list[Row]:
    """Turn a run into rows of the measurement table.

    Parameters
    ----------
    run : Run
    pool : PairPool
    settings : RunSettings

    Returns
    -------
    list of dict
        Without paper, experiment and data set. `estimator` is the sign; `network_a`, `seed` and `step` are those by
        which a variant's rows are matched with the baseline's. By step ``validation_accuracy``, ``gradient_cosine``
        (factor `between`: same_class or different_class), ``train_loss`` and ``train_accuracy`` (means over the steps
        since the evaluation before); once ``final_accuracy`` and, by the factor `accuracy`, ``first_step_at``.
    """
    rows = [*_evaluations(run), *_trainings(run, settings), *_summary(run)]
    of_run = {"network_a": f"{NETWORK}-s{run.seed}", "estimator": run.variant.sign, "seed": run.seed}
    held_out = {"split": "validation", "n_samples": len(pool.held_out_labels)}
    return [{**of_run, **held_out, **row} for row in rows]


def _evaluations(run: Run) -> Iterator[Row]:
    series = {
        ("validation_accuracy", run.variant.condition()): run.accuracy,
        ("gradient_cosine", run.variant.condition(between="same_class")): run.same_class,
        ("gradient_cosine", run.variant.condition(between="different_class")): run.different_class,
    }
    for (quantity, varied), values in series.items():
        for step, value in zip(run.evaluated, values, strict=True):
            status = "undefined: no such pair of held-out images" if math.isnan(value) else OK
            yield {"quantity": quantity, "condition": varied, "step": step, "value": value, "status": status}


def _trainings(run: Run, settings: RunSettings) -> Iterator[Row]:
    for quantity, values in (("train_loss", run.loss), ("train_accuracy", run.train_accuracy)):
        for start, stop in zip(run.evaluated, run.evaluated[1:], strict=False):
            yield {
                "quantity": quantity,
                "condition": run.variant.condition(),
                "step": stop,
                "value": float(np.mean(values[start:stop])),
                "split": "train",
                "n_samples": 2 * settings.batch_size * (stop - start),
            }


def _summary(run: Run) -> Iterator[Row]:
    yield {
        "quantity": "final_accuracy",
        "condition": run.variant.condition(),
        "step": run.evaluated[-1],
        "value": run.accuracy[-1],
    }
    for accuracy in ACCURACIES:
        step = first_step_at(run.evaluated, run.accuracy, accuracy)
        yield {
            "quantity": "first_step_at",
            "condition": run.variant.condition(accuracy=f"{accuracy:g}"),
            "value": math.nan if step is None else float(step),
            "status": f"not reached in {run.evaluated[-1]} steps" if step is None else OK,
        }


def first_step_at(steps: Sequence[int], accuracies: Sequence[float], wanted: float) -> int | None:
    """Return the first evaluated step with at least the wanted accuracy, or None."""
    return next((step for step, found in zip(steps, accuracies, strict=True) if found >= wanted), None)
