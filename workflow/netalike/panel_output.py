"""What `netalike compare-panel` leaves behind: tables, figures and a page that opens from disk."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from netalike.evidence import measurements, provenance
from netalike.page import build
from netalike.plots import cards
from netalike.plots.comparison_correlations import measure_correlations
from netalike.plots.comparison_cost import cost_pareto
from netalike.plots.comparison_maps import network_maps
from netalike.plots.comparison_pairs import pair_heatmap
from netalike.plots.comparison_separation import measure_separation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netalike.experiments.panel_run import PanelTables

_NO_JOBS = ("paper", "rule", "job", "s", "max_rss", "cpu_time")


def write_panel(name: str, found: PanelTables, panel: Mapping[str, Any], folder: Path, command: Sequence[str]) -> Path:
    """Write the tables, figures and page of a panel.

    Parameters
    ----------
    name : str
        Of the panel.
    found : PanelTables
    panel : mapping
        That was run; it is shown as the configuration.
    folder : Path
        Gets ``index.html``, ``tables`` and ``figures``.
    command : sequence of str
        That makes all of it again.

    Returns
    -------
    Path
        The page.
    """
    tables = folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    found.measurements.to_parquet(tables / "measurements.parquet", index=False)
    measurements.write_csv(found.measurements, tables / "measurements.csv")
    found.pairs.to_parquet(tables / "pairs.parquet", index=False)
    found.pairs.to_csv(tables / "pairs.csv", index=False)
    found.timings.to_csv(tables / "timings.csv", index=False)
    drawn = [_draw(kind, name, found, panel, folder, shlex.join(command)) for kind in _FIGURES]
    ran = provenance.collect({"panels": {name: _shown(panel)}}, "compare-panel", folder)
    return build(
        folder / "index.html",
        found.measurements,
        drawn,
        pd.DataFrame(columns=list(_NO_JOBS)),
        ran,
        title=f"How alike are these networks? ({name})",
        measure_costs={name: found.timings},
    )


def _shown(panel: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in panel.items() if key != "facts"}


# figure -> the rows of the summary that it draws, its title and its function
_FIGURES: dict[str, tuple[tuple[str, ...], str, Callable[[pd.DataFrame, PanelTables, Mapping[str, Any]], Figure]]] = {
    "measure_correlations": (
        ("rank_correlation",),
        "Which measures agree",
        lambda rows, found, panel: measure_correlations(rows),
    ),
    "pair_heatmap": (
        ("pair_standardised",),
        "All pairs of networks under all measures",
        lambda rows, found, panel: pair_heatmap(rows, panel["members"]),
    ),
    "measure_separation": (
        ("separation",),
        "What each measure tells apart",
        lambda rows, found, panel: measure_separation(rows),
    ),
    "cost_pareto": (
        ("separation",),
        "What each measure costs and what it tells apart",
        lambda rows, found, panel: cost_pareto(rows, found.timings),
    ),
    "network_maps": (
        ("map_position", "map_stress"),
        "Maps of the networks",
        lambda rows, found, panel: network_maps(rows, panel["members"]),
    ),
}


def _draw(kind: str, name: str, found: PanelTables, panel: Mapping[str, Any], folder: Path, command: str) -> Path:
    quantities, title, plot = _FIGURES[kind]
    rows = found.summary[found.summary["quantity"].isin(quantities)]
    card = cards.FigureCard(
        name=f"{name}/{kind}",
        title=f"{title} ({name})",
        caption=title + ".",
        category="comparison",
        rule="compare-panel",
        script="netalike/panel_output.py",
        command=command,
        rows={"experiment": f"comparison_{name}", "quantity": list(quantities)},
        n_rows=len(rows),
    )
    path = folder / "figures" / "comparison" / name / f"{kind}.svg"
    return cards.save(plot(rows, found, panel), path, card)[-1]
