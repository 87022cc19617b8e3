"""Rows of the five experiments as their rules write them, made up by simple rules with a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from netalike.evidence.measurements import condition, table

MEASURES = (("cka", "published"), ("cka", "unbiased"), ("deconfounded_cka", "published"))
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "brightness",
    "contrast",
    "fog",
    "pixelate",
)
DOMAINS = {
    "none": 0.70,
    "rotation:15": 0.61,
    "rotation:30": 0.36,
    "rotation:60": 0.09,
    "inversion:0.25": 0.31,
    "inversion:1": 0.004,
    "blur:0.5": 0.62,
    "blur:1": 0.35,
    "noise:0.1": 0.12,
    "noise:0.3": 0.008,
}
CONSTANTS = {"paper": "deconfounded_cka", "dataset": "digits", "split": "test", "n_samples": 500}
LAYERS = {"lenet": 5, "tiny10": 9}


def layers_of(network: str) -> list[str]:
    return [f"layer{i}" for i in range(LAYERS[network.split("-")[0]])]


def equal_layers(network_a: str, network_b: str) -> Iterator[tuple[str, str, str]]:
    """Depth and the two layers, as measures.recorded.matched_layers pairs them."""
    a = layers_of(network_a)
    b = a if network_b == "noise" else layers_of(network_b)
    short, long = sorted((a, b), key=len)
    for i in range(len(short)):
        j = round(i * (len(long) - 1) / (len(short) - 1))
        pair = (short[i], long[j]) if short is a else (long[j], short[i])
        yield f"{i / (len(short) - 1):.3f}", pair[0], "noise" if network_b == "noise" else pair[1]


def similarity_rows(network_a, network_b, mean, generator, spread=0.08, **factors) -> Iterator[dict[str, object]]:
    """`mean` is a function of measure and depth; the layers of a pair share a part of their noise."""
    shared = spread * generator.standard_normal()
    for depth, layer_a, layer_b in equal_layers(network_a, network_b):
        for quantity, estimator in MEASURES:
            value = mean(quantity, estimator, float(depth)) + shared + 0.03 * generator.standard_normal()
            yield {
                "network_a": network_a,
                "layer_a": layer_a,
                "network_b": network_b,
                "layer_b": layer_b,
                "quantity": quantity,
                "estimator": estimator,
                "condition": condition(depth=depth, **factors),
                "value": min(value, 1.0),
            }


def level_of(pair: str):
    alike = {"same_task": 0.8, "other_task": 0.55, "trained_untrained": 0.4, "untrained": 0.6}
    base = alike.get(pair, 0.0)

    def mean(quantity, estimator, depth):
        value = base * (1 - 0.45 * depth)
        if quantity == "deconfounded_cka":
            return value * (0.8 if pair == "same_task" else 0.25)
        return value if estimator == "unbiased" else 0.15 + 0.85 * value

    return mean


def task_rows(seeds: int = 2) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    families = {"lenet-digits": "classes", "lenet-turned": "rotation", "tiny10-digits": "classes"}
    tasks = {f"{family}-s{seed}": task for family, task in families.items() for seed in range(seeds)}
    rows: list[dict[str, object]] = []
    for a, b in itertools.combinations(tasks, 2):
        pair = "same_task" if tasks[a] == tasks[b] else "other_task"
        rows += similarity_rows(a, b, level_of(pair), generator, pair=pair)
        rows += similarity_rows(f"{a}@untrained", f"{b}@untrained", level_of("untrained"), generator, pair="untrained")
    for a, b in itertools.product(tasks, tasks):
        rows += similarity_rows(a, f"{b}@untrained", level_of("trained_untrained"), generator, pair="trained_untrained")
    for a in tasks:
        rows += similarity_rows(
            a, f"{a}@permuted_samples", level_of("permuted"), generator, 0.01, pair="permuted_samples"
        )
        rows += similarity_rows(a, "noise", level_of("noise"), generator, 0.01, pair="noise")
        for kind, suffix, end in (("trained", "", 0.1), ("untrained", "@untrained", 0.5)):
            for i, layer in enumerate(layers_of(a)):
                depth = i / (len(layers_of(a)) - 1)
                value = 0.8 + (end - 0.8) * depth + 0.05 * generator.standard_normal()
                rows.append(explained(f"{a}{suffix}", layer, value, depth=f"{depth:.3f}", network=kind))
    rows.append(explained("noise", "noise", 0.04, network="noise"))
    return table(rows, experiment="tasks_digits", **CONSTANTS)


def explained(name: str, layer: str, value: float, **factors: str) -> dict[str, object]:
    return {
        "network_a": name,
        "layer_a": layer,
        "quantity": "explained_by_inputs",
        "estimator": "published",
        "condition": condition(**factors),
        "value": value,
    }


def transfer_rows(networks: int = 5) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for seed in range(networks):
        base = f"lenet-digits-s{seed}"
        for domain, loss in DOMAINS.items():

            def mean(quantity, estimator, depth, loss=loss):
                slope = 0.5 if quantity == "deconfounded_cka" else 0.15
                return 0.95 - slope * (0.3 + 0.7 * depth) * (0.75 - loss)

            rows += similarity_rows(base, f"{base}@{domain}", mean, generator, 0.02, domain=domain, pair="finetuned")
        for kind, name in (("trained_untrained", f"{base}@untrained"), ("noise", "noise")):
            rows += similarity_rows(base, name, level_of(kind), generator, pair=kind)
        rows += similarity_rows(base, f"{base}@permuted_samples", level_of(""), generator, pair="permuted_samples")
    for (domain, loss), seed in itertools.product(DOMAINS.items(), (0, 1)):
        noisy = max(loss + 0.02 * generator.standard_normal(), 0.001)
        one = {"quantity": "domain_similarity", "estimator": "discriminator_loss", "seed": seed}
        rows.append({**one, "condition": condition(domain=domain), "value": noisy})
    return table(rows, experiment="transfer_digits", **CONSTANTS)


def ood_rows(networks: int = 6) -> pd.DataFrame:
    generator = np.random.default_rng(2)
    names = [f"lenet-digits-s{seed}" for seed in range(networks)]
    rows: list[dict[str, object]] = []
    for corruption, severity in itertools.product(CORRUPTIONS, (1, 3, 5)):
        accuracy = 0.95 - 0.12 * severity * generator.random() - 0.1 * generator.random(networks)
        best = int(accuracy.argmax())
        factors = {"corruption": corruption, "severity": severity}
        for i, name in enumerate(names):
            if i == best:
                continue
            gap = accuracy[best] - accuracy[i]
            one = {"network_a": names[best], "network_b": name, "condition": condition(pair="with_best", **factors)}
            rows.append({**one, "quantity": "accuracy_gap", "estimator": "test", "value": gap})
            for quantity, estimator in MEASURES:
                measure = {"quantity": quantity, "estimator": estimator}
                slope = 3.0 if quantity == "deconfounded_cka" else 0.5
                value = (0.6 if slope == 3.0 else 0.85) - slope * gap + 0.05 * generator.standard_normal()
                rows.append({**one, **measure, "value": value})
                control = {"network_b": f"{name}@permuted_samples", "value": 0.1 * generator.random()}
                rows.append({**one, **measure, **control, "condition": condition(pair="permuted_samples", **factors)})
    return table(rows, experiment="ood_digits", **CONSTANTS)


def demonstration_rows(layers_a: int = 12, layers_b: int = 9, batches: int = 20) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    sizes = {"tiny10-digits-s0": layers_a, "lenet-digits-s0": layers_b, "resnet18@untrained": 18}
    a, b, resnet = sizes
    compared = [
        (a, b, "two_networks"),
        (a, a, "self"),
        (b, b, "self"),
        (resnet, resnet, "self"),
        (a, f"{b}@permuted_samples", "permuted_samples"),
    ]
    rows = []
    for first, second, pair in compared:
        count_a, count_b = sizes[first], sizes[second.removesuffix("@permuted_samples")]
        for i, j, quantity in itertools.product(range(count_a), range(count_b), ("cka", "deconfounded_cka")):
            distance = abs(i / (count_a - 1) - j / (count_b - 1))
            value = 0.95 * np.exp(-3 * distance) if pair == "two_networks" else np.exp(-2 * distance)
            if quantity == "deconfounded_cka":
                value = value**2
            if pair == "permuted_samples":
                value = 0.05 * generator.standard_normal()
            for estimator, factor in (("published", 1.0), ("division_bug", batches / count_a)):
                rows.append(
                    {
                        "network_a": first,
                        "layer_a": f"features.{i}.conv",
                        "network_b": second,
                        "layer_b": f"blocks.{j}.conv",
                        "quantity": quantity,
                        "estimator": estimator,
                        "condition": condition(pair=pair),
                        "value": factor * value,
                    }
                )
    return table(rows, experiment="demonstration_digits", **CONSTANTS)


IDENTITIES = (
    "partial_correlation",
    "explained_share",
    "residual_with_inputs",
    "diagonal",
    "symmetry",
    "orthogonal_map",
    "isotropic_scaling",
    "cka_orthogonal_map",
    "cka_isotropic_scaling",
)


def identity_rows(seeds: int = 8) -> pd.DataFrame:
    generator = np.random.default_rng(4)
    rows: list[dict[str, object]] = []
    for network, identity in itertools.product(("lenet-digits-s0", "tiny10-digits-s0"), IDENTITIES):
        value = 0.0 if identity == "symmetry" else 10 ** (-15 + 2 * generator.random())
        one = {"network_a": network, "quantity": "largest_difference", "estimator": "float64"}
        rows.append({**one, "condition": condition(identity=identity), "value": value})
    for seed, (estimator, level) in itertools.product(range(seeds), (("biased", 0.961), ("unbiased", 0.0))):
        value = level + (0.001 if level else 0.02) * generator.standard_normal()
        one = {"quantity": "chance_level", "estimator": estimator, "condition": condition(network="noise")}
        rows.append({**one, "seed": seed, "value": value})
    undefined = {"quantity": "deconfounded_cka", "estimator": "published", "status": "undefined: zero variance"}
    rows.append({**undefined, "condition": condition(control="constant_layer"), "value": float("nan")})
    return table(rows, experiment="identities_digits", **CONSTANTS)
