"""Rows of the stitching studies as their rules write them, made up by simple rules with a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from netalike.evidence.measurements import condition, table

CONSTANTS = {"paper": "stitching", "dataset": "digits", "split": "test", "n_samples": 500, "seed": 0}
LAYERS = [f"bn{i}" for i in range(1, 9)]
METHODS = ("identity", "procrustes", "least_squares", "task_loss", "task_loss_random")
STEPS = 234


def pairs_of(networks: int) -> list[tuple[str, str]]:
    return [(f"tiny10-s{i}", f"tiny10-s{(i + 1) % networks}") for i in range(networks)]


def accuracy_of(method: str, depth: float, pair: str) -> float:
    if pair == "self" or (pair == "permuted_twin" and method != "identity"):
        return 1.0
    fall = {"identity": 0.0, "procrustes": 0.5, "least_squares": 0.25, "task_loss": 0.04, "task_loss_random": 0.12}
    value = 0.15 if method == "identity" else 1 - fall[method] * depth
    return value * (1 - 0.7 * depth) if pair == "untrained" else value


def score_rows(
    front: str, end: str, layer: str, estimator: str, accuracy: float, similarity: float, **factors: Any
) -> Iterator[dict[str, Any]]:
    values = {
        "accuracy": 0.9 * accuracy,
        "relative_accuracy": accuracy,
        "agreement": 0.95 * accuracy,
        "shared_errors": 0.07 - 0.02 * accuracy,
        "cka": similarity,
        "cka_unbiased": similarity - 0.02,
    }
    for quantity, value in values.items():
        yield {
            "network_a": front,
            "layer_a": layer,
            "network_b": end,
            "layer_b": layer,
            "quantity": quantity,
            "estimator": estimator,
            "condition": condition(**factors),
            "value": value,
        }


def layer_rows(networks: int = 6) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    pairs = [(front, end, "same_family", METHODS) for front, end in pairs_of(networks)]
    pairs += [(f"{a}@untrained", b, "untrained", METHODS[2:4]) for a, b in pairs_of(networks)[:5]]
    pairs += [(f"{b}@permuted_twin", b, "permuted_twin", METHODS[:3]) for _, b in pairs_of(networks)[:5]]
    pairs += [(b, b, "self", ("identity", "least_squares")) for _, b in pairs_of(networks)[:5]]
    for front, end, pair, methods in pairs:
        shared = 0.02 * generator.standard_normal()
        for i, layer in enumerate(LAYERS):
            depth = i / (len(LAYERS) - 1)
            for method in methods:
                steps = {"steps": STEPS} if method.startswith("task_loss") else {}
                noise = 0 if pair in ("self", "permuted_twin") else shared + 0.01 * generator.standard_normal()
                value = accuracy_of(method, depth, pair) + noise
                factors = {"depth": f"{depth:.3f}", "pair": pair, **steps}
                rows += score_rows(front, end, layer, method, value, 0.98 - 0.3 * depth + noise, **factors)
                error = {**rows[-1], "quantity": "fit_error", "value": 0.1 + 0.3 * depth + abs(noise)}
                rows.append(error)
        if pair == "same_family":
            for row in score_rows(front, end, "", "front_network", 0.93 + shared, 0.0, pair=pair):
                rows += [row] * (row["quantity"] in ("accuracy", "agreement", "shared_errors"))
    return table(rows, experiment="layers_digits", **CONSTANTS)


def sweep_rows(networks: int = 6, layers: tuple[str, ...] = ("bn3",)) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for front, end in pairs_of(networks):
        for layer in layers:
            common = {"pair": "same_family", "depth": "0.000"}
            shift = 0.02 * generator.standard_normal()
            for experiment, step, estimator, accuracy, similarity, factors in sweep_values():
                where = {**common, **factors}
                for row in score_rows(front, end, layer, estimator, accuracy + shift, similarity + shift, **where):
                    if row["quantity"].startswith("cka") and experiment not in ("cka_reg", "trajectory"):
                        continue
                    rows.append({**row, "experiment": f"{experiment}_digits", "step": step})
            last = {**rows[-1], "step": None}
            for value, share in ((0, 0.05), (1, 0.2), (10, 0.6), (100, 0.9)):
                told = {"estimator": "task_loss", "condition": condition(l1=value, steps=STEPS, **common)}
                rows.append({**last, **told, "experiment": "l1_digits", "quantity": "small_weights", "value": share})
            for estimator, rank in (("least_squares", 16), ("task_loss", 4)):
                told = {"estimator": estimator, "condition": condition(**common), "experiment": "ranks_digits"}
                rows.append({**last, **told, "quantity": "rank_for_95_percent", "value": rank})
    return table(rows, **CONSTANTS)


def sweep_values() -> Iterator[tuple[str, int | None, str, float, float, dict[str, Any]]]:
    """Experiment, step, estimator, accuracy, similarity, factors."""
    steps = {"steps": STEPS}
    for rank in (1, 2, 4, 8, 16, 32):
        yield "ranks", None, "least_squares", 1 - 0.9 / rank, 0.9, {"rank": rank}
        yield "ranks", None, "task_loss", 1 - 0.4 / rank, 0.9, {"rank": rank, **steps}
    for value, loss in ((0, 0.0), (1, 0.01), (10, 0.05), (100, 0.2)):
        yield "l1", None, "task_loss", 1 - loss, 0.9, {"l1": value, **steps}
        yield "l1", None, "task_loss_pruned", 1 - 1.5 * loss, 0.9, {"l1": value, **steps}
    for value, similarity in ((0, 0.9), (0.1, 0.8), (1, 0.5), (10, 0.2)):
        yield "cka_reg", None, "task_loss", 0.9 + 0.1 * similarity, similarity, {"cka_reg": value, **steps}
    for name, value in (("none", 0.98), ("semi_match", 0.6), ("abs_semi_match", 0.7), ("random_permutation", 0.2)):
        yield "masks", None, "least_squares", value - 0.1, 0.9, {"mask": name}
        yield "masks", None, "task_loss", value, 0.9, {"mask": name, **steps}
    for i, name in enumerate(("hard", "soft_1", "soft_2", "soft_12", "soft_1_plus_2")):
        yield "targets", None, "task_loss", 0.97 + 0.005 * i, 0.9, {"target": name, **steps}
    for step in range(0, STEPS + 1, 26):
        yield "trajectory", step, "task_loss", 0.85 + 0.13 * step / STEPS, 0.95 - 0.1 * step / STEPS, dict(steps)
