"""A small comparison for the tests of the pages: four networks, their controls, five measures with known numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pandas as pd

from netalike import page, plots
from netalike.evidence import measurements
from netalike.evidence.provenance import Provenance

NAN = float("nan")
EVIL = "<script>alert(1)</script>"
WHY = "undefined: networks of different tasks"
NETWORKS = {"lenet-s0": "lenet", "lenet-s1": "lenet", "tiny-s2": "tiny", "tiny-s10": "tiny"}
CONTROLS = ("lenet-s0@untrained", "lenet-s0@permuted_units", "noise")
MEASURES = {
    "cka/unbiased": ("representation", 7),
    "procrustes/published": ("representation", 7),
    "stitched_agreement/least_squares": ("stitching", 3),
    "kernel_cka/biased": ("gradients", 0),
    "own/measure": ("other", 0),
}
AREAS = {
    "cka/unbiased": (0.96, 0.8, 1.0),
    "procrustes/published": (0.9, 0.7, 0.99),
    "stitched_agreement/least_squares": (0.75, 0.4, 0.95),
    "kernel_cka/biased": (0.6, NAN, NAN),
}


def relation(a: str, b: str) -> str:
    if a == b:
        return "self"
    if "@" in b or b == "noise":
        return {"untrained": "trained_untrained", "permuted_units": "permuted_units"}.get(b.partition("@")[2], "noise")
    return "same_family" if NETWORKS[a] == NETWORKS[b] else "other_family"


def pairs() -> list[tuple[str, str]]:
    return [("lenet-s0", "lenet-s0"), *combinations(NETWORKS, 2), *(("lenet-s0", control) for control in CONTROLS)]


def value(measure: str, a: str, b: str) -> float:
    """Say how alike two networks are: less and less along the list of pairs."""
    similarity = round(1 - pairs().index((a, b)) / 20, 3)
    return round(1 - similarity, 3) if measure.startswith("procrustes") else similarity


def _pair_rows() -> Iterator[dict[str, object]]:
    for measure, (family, layers) in MEASURES.items():
        for a, b in pairs():
            kind = relation(a, b)
            undefined = measure.startswith("stitched") and kind == "other_family"
            number = NAN if undefined else value(measure, a, b)
            told = {"estimator": measure, "network_a": a, "network_b": b, "status": WHY if undefined else "ok"}
            over = measurements.condition(
                family=family, pair=kind, layers=layers, interval="layers" if layers else "none"
            )
            ends = {"low": number - 0.04, "high": number + 0.03} if layers else {}
            yield {"quantity": "pair_similarity", "condition": over, "value": number, **ends, **told}
            standard = measurements.condition(family=family, pair=kind)
            yield {"quantity": "pair_standardised", "condition": standard, "value": 4 * number - 3, **told}


def _answer_rows() -> Iterator[dict[str, object]]:
    numbers = {"one": (0.8, 0.5, 0.9), "last": (-0.25, NAN, NAN)}
    for i, (one, other) in enumerate(combinations(list(MEASURES)[:4], 2)):
        found, low, high = numbers["last" if i == 5 else "one"]
        factors = measurements.condition(measure_a=one, measure_b=other, n_pairs=6)
        told = {"estimator": "spearman", "condition": factors, "value": found, "low": low, "high": high}
        yield {"quantity": "rank_correlation", **told}
    for measure, (area, low, high) in AREAS.items():
        for question, statistic, counts in (("controls", "auc", (2, 1)), ("accuracy", "spearman", (6, 0))):
            factors = {"question": question, "statistic": statistic, "n_positive": counts[0], "n_negative": counts[1]}
            told = {"estimator": measure, "condition": measurements.condition(**factors), "value": area}
            yield {"quantity": "separation", **told, "low": low, "high": high}
        factors = {"question": "shortcut", "statistic": "auc", "n_positive": 0, "n_negative": 0}
        told = {"estimator": measure, "condition": measurements.condition(**factors), "value": NAN}
        yield {"quantity": "separation", **told, "status": "undefined: the panel has no networks with a shortcut"}


def _control_rows() -> Iterator[dict[str, object]]:
    for measure in list(MEASURES)[:4]:
        for control in ("self", "noise"):
            factors = measurements.condition(control=control)
            number = 1.0 if control == "self" else 0.3
            yield {"quantity": "control_check", "estimator": measure, "condition": factors, "value": number}
            holds = {"value": 1.0} if control == "self" else {"value": NAN, "status": "undefined: not fixed"}
            if (measure, control) == ("cka/unbiased", "noise"):
                holds = {"value": 0.0}
            yield {"quantity": "control_holds", "estimator": measure, "condition": factors, **holds}


def _map_rows() -> Iterator[dict[str, object]]:
    for i, (network, family) in enumerate(NETWORKS.items()):
        for axis, number in (("x", i / 2), ("y", -i)):
            factors = measurements.condition(axis=axis, group=family)
            told = {"estimator": "cka/unbiased", "network_a": network, "condition": factors, "value": number}
            yield {"quantity": "map_position", **told}
    yield {"quantity": "map_stress", "estimator": "cka/unbiased", "value": 0.125}


def comparison(panel: str = "small") -> pd.DataFrame:
    """Return the rows of a panel's comparison."""
    rows = [*_pair_rows(), *_answer_rows(), *_control_rows(), *_map_rows()]
    constants = {"paper": "comparison", "dataset": "digits", "split": "test", "seed": 0, "n_samples": 500}
    return measurements.table(rows, experiment=f"comparison_{panel}", **constants)


def implementations() -> pd.DataFrame:
    """Return comparisons with other implementations: one differs by definition, one agrees, one is missing."""
    by_layers = "how=by layers;peer=simtorch;reason=averages over layers;version=0.2.1"
    agreeing = "on=12 layers of 3 pairs;peer=pytorch_cka;version=1.1.3"
    missing = {"value": NAN, "status": "undefined: rsatoolbox is not installed"}
    rows = [
        {"estimator": "cka/biased", "condition": by_layers, "value": 0.25, "quantity": "difference_by_definition"},
        {"estimator": "cka/unbiased", "condition": agreeing, "value": 2e-7, "quantity": "largest_difference"},
        {"estimator": "rsa/pearson", "condition": "peer=rsatoolbox", "quantity": "largest_difference", **missing},
    ]
    return measurements.table(rows, paper="comparison", experiment="implementations")


def costs() -> pd.DataFrame:
    """Return what the measures took: 0.5 s a pair and 1 s a network for stitching, next to nothing for CKA."""
    columns = ["measure", "family", "networks", "pairs", "seconds_networks", "seconds_pairs", "peak_mb"]
    rows = [
        ["cka/unbiased", "representation", 4, 10, 0.04, 0.1, 12.0],
        ["cka/unbiased", "representation", 4, 10, 0.04, 0.1, 15.0],
        ["procrustes/published", "representation", 4, 10, 0.0, 2.0, 90.0],
        ["stitched_agreement/least_squares", "stitching", 4, 10, 4.0, 5.0, 1234.0],
    ]
    return pd.DataFrame(rows, columns=columns)


def make_figure(folder: Path, name: str = "comparison/small/measure_separation", **given: object) -> Path:
    """Make an empty figure of the comparison, with its card."""
    card = {
        "name": name,
        "title": f"Separation {EVIL}",
        "caption": "A caption.",
        "category": "comparison",
        "rule": "plot_measure_separation",
        "script": "workflow/scripts/plot_measure_separation.py",
        "command": "snakemake --cores 2 results/figures/x.svg",
        "rows": {"experiment": "comparison_small", "quantity": "separation"},
        "n_rows": 12,
        "configuration": {"panels": {"small": {"networks": ["lenet"]}}},
        **given,
    }
    figure, _ = plots.new_figure(3, 2)
    return plots.save(figure, folder / "figures" / f"{name}.svg", card)[2]


def make_repository(folder: Path) -> Path:
    """Make a checkout with a rule, its script and an environment, all with a name that HTML would act on."""
    for name in ("rules", "workflow/scripts", "envs"):
        (folder / name).mkdir(parents=True)
    own = f"rule plot_measure_separation:\n    message:\n        '{EVIL}'\n"
    rules = f"rule other:\n    output: 'x'\n\n\n# words\n{own}\n\nx = 1\n"
    (folder / "rules" / "comparison.smk").write_text(rules)
    (folder / "workflow" / "scripts" / "plot_measure_separation.py").write_text(f'"""{EVIL}"""\n')
    pinned = "      - numpy==2.4.6\n      - shapely==2.2.0 # polygons\n      - free\n"
    (folder / "envs" / "report.yaml").write_text(f"dependencies:\n  - python=3.11\n  - pip:\n{pinned}")
    (folder / "envs" / "none.yaml").write_text("- a list\n")
    return folder


def build(folder: Path, **given: object) -> Path:
    """Write the pages of the small comparison and return the path of its index."""
    arguments = {
        "measurements": pd.concat([comparison(), implementations()], ignore_index=True),
        "figures": [make_figure(folder)],
        "cost": pd.DataFrame(columns=["paper", "rule", "job", "s", "max_rss", "cpu_time"]),
        "provenance": Provenance(preset="quick", created="2022-01-01T00:00:00Z"),
        "measure_costs": {"small": costs()},
        **given,
    }
    return page.build(folder / "index.html", **arguments)
