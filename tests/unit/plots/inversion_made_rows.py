"""Rows of an inversion study as its rules write them, made up by simple rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from netalike.evidence.measurements import condition, table
from netalike.experiments.inversion_roles import Role, pair_condition, pair_kind
from netalike.experiments.inversion_summaries import cells_of

CONSTANTS = {"paper": "inversion", "experiment": "inversion_digits", "dataset": "digits", "split": "test", "seed": 0}
MEASURES = (("cka", "published"), ("cka", "unbiased"), ("deconfounded_cka", "published"), ("procrustes", "published"))
KINDS = ("other_class", "noise", "same_class")


def roles(architectures: tuple[str, ...], sizes: tuple[str, ...]) -> dict[str, Role]:
    found = [
        Role(f"{a}{f'-eps{eps}' if eps != '0' else ''}-digits-s0", f"{a}-{eps}", a, eps)
        for eps in sizes
        for a in architectures
    ]
    found += [Role(f"{a}-digits-s0@untrained", f"{a}-0", a, "none") for a in architectures]
    return {role.name: role for role in found}


def value_of(a: Role, b: Role, images: str, quantity: str) -> float:
    """Robust rows are seen alike; on targets all are."""
    if a.name == b.name:
        return 0.0 if quantity == "procrustes" else 1.0
    kind = pair_kind(a, b)
    strength = 0.0 if a.eps == "none" else float(a.eps)
    value = 0.7 if images == "targets" else 0.2 + 0.25 * min(strength, 2)
    value *= 0.4 if kind in ("untrained", "trained_untrained") else 1.0
    value += 0.01 * (len(a.architecture) - len(b.architecture)) * (images == "inverted")
    return 1 - value if quantity == "procrustes" else value


def pair_rows(found: dict[str, Role], kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    sets = [("targets", "none"), *(("inverted", kind) for kind in kinds)]
    for images, seeds in sets:
        for quantity, estimator in MEASURES:
            told = {"quantity": quantity, "estimator": estimator}
            values = {}
            for a in found.values():
                for b in found.values():
                    value = values[a.name, b.name] = value_of(a, b, images, quantity)
                    words = pair_condition(a, b, images=images, seeds=seeds, control="none")
                    ends = {"low": value - 0.04, "high": value + 0.04}
                    yield {**told, "network_a": a.name, "network_b": b.name, "condition": words, "value": value, **ends}
            for (kind, eps_a, eps_b), pairs in cells_of(values, found).items():
                factors = {"images": images, "seeds": seeds, "pair": kind, "eps_a": eps_a, "eps_b": eps_b}
                factors["same_eps"] = "yes" if eps_a == eps_b else "no"
                mean = float(np.mean([values[pair] for pair in pairs]))
                one = {**told, "quantity": f"mean_{quantity}", "condition": condition(control="none", **factors)}
                yield {**one, "value": mean, "low": mean - 0.03, "high": mean + 0.03}
                yield {**one, "condition": condition(control="shuffled", **factors), "value": 0.1}
                if images == "inverted" and eps_a not in ("0", "none") and eps_b == "0":
                    lost = float(np.mean([values[a, b] - values[b, a] for a, b in pairs]))
                    ends = {"low": lost - 0.05, "high": lost + 0.05}
                    yield {**one, "quantity": f"mean_{quantity}_asymmetry", "value": lost, **ends}


def agreement_rows(found: dict[str, Role]) -> Iterator[dict[str, Any]]:
    pairs = {(a, b): None for a in found for b in found if a != b}
    for estimator, value in (("own_heads", 0.9), ("refitted_heads", 0.95)):
        for kind, eps_a, eps_b in cells_of(pairs, found):
            factors = {
                "images": "targets",
                "seeds": "none",
                "control": "none",
                "pair": kind,
                "eps_a": eps_a,
                "eps_b": eps_b,
            }
            words = condition(same_eps="yes" if eps_a == eps_b else "no", **factors)
            told = {"quantity": "mean_agreement", "estimator": estimator, "condition": words}
            yield {**told, "value": value, "low": value - 0.02, "high": value + 0.02}


def network_rows(found: dict[str, Role], kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for i, role in enumerate(found.values()):
        factors = {"architecture": role.architecture, "eps": role.eps}
        told = {"network_a": role.name, "quantity": "target_accuracy", "estimator": "own_head"}
        yield {**told, "condition": condition(**factors), "value": 0.9}
        for kind in kinds:
            for estimator, scale in (("start", 1.0), ("final", 0.03 * (1 + i % 4))):
                told = {"network_a": role.name, "estimator": estimator, "n_samples": 48}
                for name, level in {"mean": 1, "q05": 0.3, "q25": 0.6, "q50": 0.9, "q75": 1.3, "q95": 2.5}.items():
                    words = condition(statistic=name, seeds=kind, eps=role.eps)
                    yield {**told, "quantity": "inversion_loss", "condition": words, "value": scale * level}
            for step in range(0, 151, 10):
                told = {"network_a": role.name, "quantity": "inversion_loss_curve", "step": step}
                words = condition(seeds=kind, eps=role.eps)
                yield {**told, "estimator": "best", "condition": words, "value": 1.2 * 0.97**step + 0.01 * (i % 3)}
        if role.eps == "none":
            continue
        for size in ("0", "0.5", "1", "2"):
            value = max(0.02, 0.97 - 0.45 * float(size) / (1 + float(role.eps)))
            told = {"network_a": role.name, "quantity": "accuracy", "n_samples": 500}
            words = condition(eps_test=size, own_eps="yes" if size == role.eps else "no", **factors)
            ends = {"low": value - 0.02, "high": min(1.0, value + 0.02)}
            yield {**told, "estimator": "clean" if size == "0" else "pgd20", "condition": words, "value": value, **ends}


def study_rows(
    architectures: tuple[str, ...] = ("mlp", "lenet", "resnet8"),
    sizes: tuple[str, ...] = ("0", "2"),
    kinds: tuple[str, ...] = KINDS,
) -> pd.DataFrame:
    found = roles(architectures, sizes)
    return table([*pair_rows(found, kinds), *agreement_rows(found), *network_rows(found, kinds)], **CONSTANTS)


def pictures(networks: int = 4, pairs: int = 8, side: int = 8) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "seeds": generator.random((pairs, 1, side, side), dtype=np.float32),
        "targets": generator.random((pairs, 1, side, side), dtype=np.float32),
        "seed_classes": np.array([str(i) for i in range(pairs)]),
        "target_classes": np.array([str(9 - i) for i in range(pairs)]),
        "inverted": generator.random((networks, pairs, 1, side, side), dtype=np.float32),
        "losses": generator.random((networks, pairs)),
        "networks": np.array([f"n{i}" for i in range(networks)]),
        "architectures": np.array(["lenet", "lenet", "mlp", "mlp", "resnet8", "resnet8"][:networks]),
        "eps": np.array(["0", "2"] * 3)[:networks],
    }
