"""Summary rows of a panel as experiments/panel_summary.py writes them, made up by simple rules with a seed."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from netalike.evidence.measurements import condition, table
from netalike.experiments.panel_measures import PANEL_MEASURES

CONSTANTS = {"paper": "comparison", "experiment": "comparison_made", "dataset": "digits", "split": "test", "seed": 0}
KEYS = [key for key in PANEL_MEASURES if key != "deconfounded_cka/published_psd"]  # thirty
QUESTIONS = ("controls", "architectures", "training", "seeds", "augmentation")
FOLLOWS = ("accuracy", "outputs", "predictions")
ABSENT = {"random_labels": "random labels", "shortcut": "a shortcut"}
NAN = float("nan")
LACKING = {"value": NAN, "low": NAN, "high": NAN, "status": "undefined: the panel has no values of all pairs of layers"}


def members(n: int) -> dict[str, str]:
    families = ("lenet", "tiny10", "resnet20") if n <= 15 else ("lenet", "tiny10", "resnet20", "robust-lenet")
    per = n // len(families)
    return {f"{family}-digits-s{seed}": f"{family}-digits" for family in families for seed in range(per)}


def pairs_of(n: int) -> list[tuple[str, str, str]]:
    """Two networks and their relation: all that a panel with all controls compares."""
    networks = members(n)
    firsts = [name for name in networks if name.endswith("-s0")]
    twins = [f"{name}@untrained" for name in networks if name.endswith(("-s0", "-s1"))]
    found = [(name, name, "self") for name in networks]
    for a, b in itertools.combinations(networks, 2):
        found.append((a, b, "same_family" if networks[a] == networks[b] else "other_family"))
    found += [(a, b, "trained_untrained") for a in networks for b in twins]
    found += [(a, b, "untrained") for a, b in itertools.combinations(twins, 2)]
    found += [(name, f"{name}@permuted_units", "permuted_units") for name in firsts]
    found += [(name, f"{name}@permuted_samples", "permuted_samples") for name in firsts]
    return found + [(name, "noise", "noise") for name in networks]


MEANS = {"self": 6, "permuted_units": 6, "same_family": 0.9, "other_family": -0.4, "trained_untrained": -2.5}


def summary(n: int = 15, keys: list[str] = KEYS, seed: int = 0) -> pd.DataFrame:
    """All rows of a panel's summary."""
    generator = np.random.default_rng(seed)
    rows = [*_pairs(n, keys, generator), *_correlations(keys, generator), *_separations(keys, generator)]
    return table([*rows, *_maps(n, keys, generator)], **CONSTANTS)


def _pairs(n, keys, generator):
    for a, b, pair in pairs_of(n):
        shared = MEANS.get(pair, -4) + 0.6 * generator.standard_normal()
        for key in keys:
            family = PANEL_MEASURES[key].family
            base = {"network_a": a, "network_b": b, "estimator": key, "condition": condition(pair=pair, family=family)}
            if family == "inversion" and pair in ("noise", "permuted_units"):
                nothing = {"value": NAN, "status": "undefined: noise has no network to invert"}
                yield {**base, "quantity": "pair_similarity", **nothing}
                yield {**base, "quantity": "pair_standardised", **nothing}
                continue
            z = shared + 0.5 * generator.standard_normal()
            value = 1 / (1 + np.exp(-z))
            yield {
                **base,
                "quantity": "pair_similarity",
                "value": value,
                "low": value - 0.03,
                "high": value + 0.03,
                "n_samples": 500,
            }
            yield {**base, "quantity": "pair_standardised", "value": z, "n_samples": 500}


def _correlations(keys, generator):
    factors = {key: generator.standard_normal(4) + 2 * (PANEL_MEASURES[key].family != "behaviour") for key in keys}
    for a, b in itertools.combinations(keys, 2):
        base = {
            "quantity": "rank_correlation",
            "estimator": "spearman",
            "condition": condition(measure_a=a, measure_b=b, n_pairs=105),
        }
        if "stir/cka" in (a, b) and "accuracy_difference/absolute" in (a, b):
            yield {**base, "value": NAN, "status": "undefined: all values are equal"}
            continue
        value = factors[a] @ factors[b] / np.linalg.norm(factors[a]) / np.linalg.norm(factors[b])
        width = 0.3 * (1 - abs(value)) + 0.05
        yield {**base, "value": value, "low": max(value - width, -1), "high": min(value + width, 1)}


def _separations(keys, generator):
    for key in keys:
        for place, question in enumerate(QUESTIONS):
            value = float(np.clip(0.95 - 0.1 * place + 0.1 * generator.standard_normal(), 0, 1))
            yield _separation(key, question, "auc", value, 0.08, n_positive=30, n_negative=75)
        for question in FOLLOWS:
            value = float(np.tanh(0.4 + 0.5 * generator.standard_normal()))
            yield _separation(key, question, "spearman", value, 0.2, n_positive=105, n_negative=0)
        if PANEL_MEASURES[key].layerwise:
            yield _separation(key, "layer_monotonicity", "conformity", 0.9, 0.04, n_positive=600, n_negative=0)
        else:
            yield {**_separation(key, "layer_monotonicity", "conformity", 0, 0, n_positive=0, n_negative=0), **LACKING}
        for question, lacks in ABSENT.items():
            yield {
                "quantity": "separation",
                "estimator": key,
                "condition": condition(question=question, statistic="auc", n_positive=0, n_negative=0),
                "value": NAN,
                "status": f"undefined: the panel has no networks trained on {lacks}",
            }


def _separation(key, question, statistic, value, width, **counts):
    lowest = -1 if statistic == "spearman" else 0
    return {
        "quantity": "separation",
        "estimator": key,
        "condition": condition(question=question, statistic=statistic, **counts),
        "value": value,
        "low": max(value - width, lowest),
        "high": min(value + width, 1),
    }


def _maps(n, keys, generator):
    networks = members(n)
    names = [*networks, *(f"{name}@untrained" for name in networks if name.endswith("-s0"))]
    centres = {family: 3 * generator.standard_normal(2) for family in networks.values()}
    for key in keys:
        yield {"quantity": "map_stress", "estimator": key, "value": float(0.05 + 0.2 * generator.random())}
        for name in names:
            place = centres[networks[name.partition("@")[0]]] * (1 - 2 * ("@" in name)) + generator.standard_normal(2)
            for axis, value in zip("xy", place, strict=True):
                yield {
                    "quantity": "map_position",
                    "estimator": key,
                    "network_a": name,
                    "condition": condition(axis=axis, group=networks[name.partition("@")[0]]),
                    "value": float(value),
                }


def timings(keys: list[str] = KEYS, seed: int = 0) -> pd.DataFrame:
    """What evidence.metering writes: measures that are computed together share a line."""
    generator = np.random.default_rng(seed)
    groups: dict[str, list[str]] = {}
    for key in keys:
        joined = key.startswith(("relative_accuracy", "stitched_agreement", "inverted_cka"))
        groups.setdefault(f"{PANEL_MEASURES[key].family} {key.rpartition('/')[2]}" if joined else key, []).append(key)
    return pd.DataFrame(
        {
            "measure": "+".join(group),
            "family": PANEL_MEASURES[group[0]].family,
            "networks": 15,
            "pairs": 105,
            "seconds_networks": 15 * 10 ** generator.uniform(-2, 1),
            "seconds_pairs": 105 * 10 ** generator.uniform(-3, 0.5),
            "peak_mb": 10 ** generator.uniform(0.5, 3),
        }
        for group in groups.values()
    )
