"""A small run for the tests of the pages, and the pages as a browser reads them."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import pandas as pd

from netalike import page, plots
from netalike.evidence.provenance import Provenance

NAN = float("nan")
EVIL = "<script>alert(1)</script>"
REASON = "undefined: zero variance in layer relu7"
COLUMNS = [
    *("paper", "experiment", "dataset", "split", "n_samples", "network_a", "layer_a", "network_b", "layer_b"),
    *("quantity", "estimator", "condition", "seed", "step", "value", "low", "high", "status"),
]


def row(**given: object) -> dict[str, object]:
    empty: dict[str, object] = dict.fromkeys(COLUMNS, "")
    numbers = {"n_samples": 360, "seed": 0, "step": NAN, "value": 0.5, "low": NAN, "high": NAN, "status": "ok"}
    named = {"paper": "deconfounded_cka", "dataset": "digits", "split": "test", "quantity": "cka"}
    return {**empty, **numbers, **named, "estimator": "unbiased", "network_a": "tiny10-digits-s0", **given}


def measurements() -> pd.DataFrame:
    pair = {"network_b": "tiny10-digits-s1"}
    rows = [
        row(layer_a="relu6", layer_b="relu6", value=0.123456789, **pair),
        row(layer_a="relu7", layer_b="relu6", value=NAN, status=REASON, **pair),
        row(layer_a="relu6", layer_b="relu6", estimator="published", condition="rank=8;init=identity", **pair),
        row(experiment="networks", quantity="accuracy", value=0.97, estimator="test"),
        row(
            network_a=EVIL,
            experiment="networks",
            quantity="accuracy",
            value=NAN,
            status=f"undefined: {EVIL}\u2028",
            estimator="test",
        ),
        row(network_a="noise", paper="stitching", quantity="&amp;", value=-0.25),
    ]
    return pd.DataFrame(rows)[COLUMNS]


def provenance(**given: object) -> Provenance:
    return Provenance(**{"preset": "quick", "configuration": {"seed": 0}, "created": "2022-01-01T00:00:00Z", **given})


def cost() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"paper": "stitching", "rule": "stitch_pair", "job": "a", "s": 2.0, "max_rss": 300.0, "cpu_time": 1.5},
            {"paper": "stitching", "rule": "stitch_pair", "job": "b", "s": 6.0, "max_rss": 200.0, "cpu_time": 5.0},
            {"paper": "networks", "rule": "train", "job": "c", "s": 4.0, "max_rss": 900.0, "cpu_time": NAN},
        ]
    )


def make_figure(folder: Path, **given: object) -> Path:
    card = {
        "name": "layers",
        "title": f"CKA {EVIL}",
        "caption": 'A "caption" & more.',
        "category": "deconfounded_cka",
        "rule": "plot_layers",
        "script": "workflow/scripts/plot_layers.py",
        "command": "snakemake --cores 2 'results/figures/a b.svg'",
        "rows": {"quantity": "cka", "estimator": ["unbiased", "published"]},
        "n_rows": 3,
        **given,
    }
    figure, _ = plots.new_figure(3, 2)
    return plots.save(figure, folder / "figures" / "deconfounded_cka" / "a b.svg", card)[2]


def build(folder: Path, **given: object) -> str:
    figures = given.pop("figures", None)
    if figures is None:
        figures = [make_figure(folder)]
    (folder / "tables").mkdir(exist_ok=True)
    (folder / "tables" / "measurements.csv").write_text("x\n")
    arguments = {"measurements": measurements(), "cost": cost(), "provenance": provenance(), **given}
    return page.build(folder / "index.html", figures=figures, **arguments).read_text(encoding="utf-8")


class Elements(html.parser.HTMLParser):
    """The elements of a page as a browser reads them, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[str] = []
        self.text: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        (self.raw if self.inside else self.text).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def claim(**given: object) -> dict[str, object]:
    """Return a row of the claims table."""
    rows = [
        {"quantity": ["deconfounded_cka"], "estimator": ["published"], "condition": ["pair=a;rank=8", "pair=b;rank=8"]},
        {"quantity": ["cka"], "experiment": ["layers"]},
    ]
    texts = {
        "paper": "deconfounded_cka",
        "id": "dcka-a5-ood",
        "kind": "order",
        "statement": "A statement.",
        "source": "abstract",
        "evidence": "digitised",
        "reading": "Read with a ruler.",
        "paper_value": "",
        "statistic": "mean of a",
        "on": "digits",
        "verdict": "reproduced",
        "reason": "",
        "tolerance": "above 0",
        "tolerance_reason": "The claim is a direction.",
        "needs": "quick",
        "figure": "deconfounded_cka/a b",
        "rows": json.dumps(rows),
        "command": "snakemake 'a b'",
        "changes": "",
        "others": "[]",
    }
    numbers = {"value": 0.25, "low": 0.125, "high": 0.5, "percentile_low": 0.1, "percentile_high": 0.45}
    counts = {"n_units": 8.0, "n_rows": 1240.0, "testable": True, "cpu_minutes": 1.75}
    return {**texts, **numbers, **counts, **given}


def no_number(**given: object) -> dict[str, object]:
    """Return a row of the claims table of a claim whose rows are missing."""
    numbers = ("value", "low", "high", "percentile_low", "percentile_high", "n_units", "cpu_minutes")
    return claim(**{**dict.fromkeys(numbers, NAN), "n_rows": 0, "verdict": "not run", "rows": "[]", **given})
