"""Rows of the experiment with a similarity term as its rule writes them, made up by simple rules with a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from netalike.evidence.measurements import condition, table

STEPS = range(0, 151, 5)
SPEED = {"baseline": 1.0, "plus": 1.25, "minus": 0.75}


def variants(seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "baseline", {"weight": 0}
    for sign in ("plus", "minus"):
        yield sign, {"weight": "1", "partner": "same_class", "mask": "posnegflat"}
        if seed < 3:
            yield sign, {"weight": "0.3", "partner": "same_class", "mask": "posnegflat"}
            yield sign, {"weight": "1", "partner": "same_class", "mask": "random"}
            yield sign, {"weight": "1", "partner": "different_class", "mask": "posnegflat"}


def accuracy_of(sign: str, step: int, ceiling: float = 0.9) -> float:
    return 0.1 + (ceiling - 0.1) * (1 - float(np.exp(-SPEED[sign] * step / 60)))


def term_rows(seeds: int = 6, dataset: str = "mnist", ceiling: float = 0.9) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        shared = generator.normal(0, 0.02, len(STEPS))
        for sign, factors in variants(seed):
            of_run = {"network_a": f"prelu_cnn-s{seed}", "seed": seed, "estimator": sign}
            for step, noise in zip(STEPS, shared, strict=True):
                own = generator.normal(0, 0.003)
                told = {
                    "validation_accuracy": [(factors, accuracy_of(sign, step, ceiling) + noise + own)],
                    "gradient_cosine": [
                        ({**factors, "between": "same_class"}, 0.8 + own),
                        ({**factors, "between": "different_class"}, step / 1000 + own),
                    ],
                }
                for quantity, values in told.items():
                    for varied, value in values:
                        row = {"quantity": quantity, "condition": condition(**varied), "step": step, "value": value}
                        rows.append({**of_run, **row})
    constants = {"paper": "input_similarity", "experiment": "similarity_term_mine", "dataset": dataset}
    return table(rows, **constants, split="validation", n_samples=1000)
