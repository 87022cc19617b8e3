"""What `netalike align` leaves behind: bases, tables, figures, and one summary."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from netalike.evidence import measurements
from netalike.evidence.measurements import OK, parse_condition
from netalike.experiments.given_activations import GivenActivations
from netalike.experiments.given_alignment import GivenAlignment
from netalike.plots import FigureCard, save
from netalike.plots.shared_response import CENTERS, shared_panel, shared_variance
from netalike.plots.trajectories import shared_trajectories
from netalike.plots.variance_bars import variance_bars

FORMAT = "netalike align 1"
SUMMARY = "summary.json"
_CONTROLS = {"shuffled": "shuffled_network", "shuffled_others": "others_beside_it", "noise": "noise"}
_ESTIMATORS = {"published": "by_mean_of_all", "leave_one_out": "by_mean_of_others"}
_SPACES = {"native": "before", "shared": "after"}
_EPOCH = ", trained"
_CLASS_AXIS = "class of the image"


# --- numbers --------------------------------------------------------------------------------------------------------


def facts(found: GivenAlignment, networks: Sequence[GivenActivations]) -> dict[str, Any]:
    """Say in numbers what was found.

    Parameters
    ----------
    found : GivenAlignment
    networks : sequence of GivenActivations

    Returns
    -------
    dict
        For the summary: what was aligned, and by layer the variance explained, the second-order similarity before and
        after alignment, and the consistency. None where there is no number.
    """
    first = networks[0]
    rows = [{**row, **parse_condition(str(row["condition"]))} for row in found.rows]
    return {
        "networks": [network.name for network in networks],
        "dataset": first.dataset,
        "split": first.split,
        "labels": first.has_labels,
        "n": len(first.labels),
        "n_fit": found.n_fit,
        "n_held_out": found.n_held_out,
        "layers": {layer: _layer_facts(layer, found, rows) for layer in first.layers},
    }


def _layer_facts(layer: str, found: GivenAlignment, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if layer in found.problems:
        return {"undefined": found.problems[layer]}
    aligned = found.layers[layer]
    own = [row for row in rows if row["layer_a"] == layer]
    return {
        "features": int(aligned.model.shared_.shape[1]),
        "units": aligned.widths,
        "units_kept": {name: len(units) for name, units in aligned.units.items()},
        "variance_explained": _variances(own, "none"),
        "controls": {name: _variances(own, control) for control, name in _CONTROLS.items() if _has(own, control)},
        "second_order_similarity": _second_orders(own),
        "consistency": {kind: _mean(values) for kind, values in _by_kind(own, "consistency")},
    }


def _has(rows: Iterable[Mapping[str, Any]], control: str) -> bool:
    return any(row["quantity"] == "variance_explained" and row["control"] == control for row in rows)


def _variances(rows: Sequence[Mapping[str, Any]], control: str) -> dict[str, dict[str, float | None]]:
    """Estimator, then network, to its share of variance."""
    chosen = [row for row in rows if row["quantity"] == "variance_explained" and row["control"] == control]
    return {
        name: {str(row["network_a"]): _number(row["value"]) for row in chosen if row["estimator"] == estimator}
        for estimator, name in _ESTIMATORS.items()
    }


def _second_orders(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Kind of RSM, then before or after, to the similarity with its interval."""
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["quantity"] == "second_order_similarity" and row["estimator"] == "pearson":
            entry = {key: _number(row[key]) for key in ("value", "low", "high")}
            status = {} if row["status"] == OK else {"status": row["status"]}
            told.setdefault(row["rsm"], {})[_SPACES[row["space"]]] = {**entry, **status}
    return told


def _by_kind(rows: Sequence[Mapping[str, Any]], quantity: str) -> Iterator[tuple[str, list[float]]]:
    chosen = [row for row in rows if row["quantity"] == quantity]
    for kind in dict.fromkeys(row["rsm"] for row in chosen):
        yield kind, [float(row["value"]) for row in chosen if row["rsm"] == kind]


def _mean(values: Sequence[float]) -> float | None:
    return _number(float(np.mean(values)))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# --- files ----------------------------------------------------------------------------------------------------------


def write(folder: Path, found: GivenAlignment, summary: Mapping[str, Any], save_aligned: bool = False) -> list[str]:
    """Write bases, tables, figures and the summary.

    Parameters
    ----------
    folder : Path
        Made if need be; what an earlier run left in it is removed.
    found : GivenAlignment
    summary : mapping
        `facts`, settings and the command.
    save_aligned : bool
        Whether also the activations in the shared space are written, (n, features) float32 for each network.

    Returns
    -------
    list of str
        Names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _forget(folder)
    names = _write_bases(folder, found)
    if save_aligned:
        names += _write_aligned(folder, found)
    data = {"dataset": summary["dataset"], "split": summary["split"]}
    table = measurements.table(found.rows, experiment="align", **data)
    measurements.write(table, folder / "measurements.parquet")
    measurements.write_csv(table, folder / "measurements.csv")
    names += ["measurements.csv", "measurements.parquet"]
    for name, (figure, title) in _figures(found, table, bool(summary["labels"])).items():
        names += _save_figure(folder / name, figure, title, summary)
    content = {"format": FORMAT, **summary, "files": names}
    (folder / SUMMARY).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return [*names, SUMMARY]


def _forget(folder: Path) -> None:
    """Remove the files of an earlier run: those that its summary names, within this folder."""
    try:
        told = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        return
    root = folder.resolve()
    for name in told.get("files", []):
        path = (root / str(name)).resolve()
        if path.is_relative_to(root) and path.is_file():
            path.unlink()


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-@" else "-" for letter in name)


def _file_names(names: Iterable[str]) -> dict[str, str]:
    """A name for the file of each; numbered where two would be the same."""
    given = list(names)
    plain = [_file_name(name) for name in given]
    repeated = len({name.casefold() for name in plain}) < len(plain)
    return {name: f"{i:02d}-{own}" if repeated else own for i, (name, own) in enumerate(zip(given, plain, strict=True))}


def _write_bases(folder: Path, found: GivenAlignment) -> list[str]:
    names = []
    for layer, file in _file_names(found.layers).items():
        names.append(f"bases-{file}.safetensors")
        found.layers[layer].model.save(folder / names[-1])
        units = {name: kept.tolist() for name, kept in found.layers[layer].units.items()}
        names.append(f"units-{file}.json")
        (folder / names[-1]).write_text(json.dumps(units) + "\n", encoding="utf-8")
    return names


def _write_aligned(folder: Path, found: GivenAlignment) -> list[str]:
    names = []
    for layer, place in _file_names(found.layers).items():
        shared = found.layers[layer].shared
        (folder / "aligned" / place).mkdir(parents=True, exist_ok=True)
        for network, file in _file_names(shared).items():
            names.append(f"aligned/{place}/{file}.npy")
            np.save(folder / names[-1], shared[network], allow_pickle=False)
    return names


# --- figures --------------------------------------------------------------------------------------------------------


def _figures(found: GivenAlignment, table: pd.DataFrame, has_labels: bool) -> dict[str, tuple[Figure, str]]:
    measured = table[table["quantity"] == "variance_explained"]
    variance = variance_bars(measured) if measured["layer_a"].nunique() == 1 else shared_variance(measured)
    drawn = {"variance": (variance, "Held-out variance explained by a shared response")}
    if "panel/labels" in found.pictures:
        panel = shared_panel(found.pictures)
        if not has_labels:
            _without_classes(panel)
        drawn["panel"] = panel, "Similarity matrices within and between networks, before and after alignment"
    if any(name.startswith("trajectory/") and name.count("/") == 3 for name in found.pictures):
        drawn["trajectories"] = shared_trajectories(found.pictures), "Trajectories before and after alignment"
    for figure, _ in drawn.values():
        _without_epoch(figure)
    return drawn


def _without_epoch(figure: Figure) -> None:
    """Leave out what the figures of a training say of its end: nobody said how these activations came about."""
    for text in figure.findobj(Text):
        text.set_text(text.get_text().replace(_EPOCH, ""))


def _without_classes(figure: Figure) -> None:
    """Call the lines of an RSM what they are where nobody said their classes."""
    for ax in figure.axes:
        if ax.get_xlabel() == _CLASS_AXIS:
            ax.set(xlabel="held-out image, in order", ylabel="held-out image, in order", xticks=[], yticks=[])


def _save_figure(path: Path, figure: Figure, title: str, summary: Mapping[str, Any]) -> list[str]:
    where = f" of {summary['dataset']} ({summary['split']})" if summary["dataset"] else ""
    caption = (
        f"{title}: {len(summary['networks'])} networks, {summary['n_held_out']:,} held-out images{where}; fitted to "
        f"{summary['n_fit']:,} others; {CENTERS[summary['center']]}."
    )
    card = FigureCard(
        name=path.name,
        title=title,
        caption=caption,
        category="shared_response",
        rule="",
        script="netalike align",
        command=str(summary["command"]),
        data={key: summary[key] for key in ("dataset", "split", "n")},
    )
    return [written.name for written in save(figure, path, card)]
