"""Put together the page: everything it shows is in the file, apart from pictures and the library of its explorer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from netalike.evidence.provenance import Provenance
from netalike.page.encoding import encode_table, json_for_page, reasons
from netalike.page.papers import PAPERS
from netalike.page.sections import (
    claim_rows,
    cost_by_rule,
    datasets_used,
    figure_groups,
    has_layer_pairs,
    networks_used,
    verdict_counts,
)

_DOWNLOADS = (("CSV", "tables/measurements.csv"), ("Parquet", "tables/measurements.parquet"))
_PLOTLY = "assets/plotly.min.js"


def build(
    output: str | Path,
    measurements: pd.DataFrame,
    figures: Sequence[str | Path],
    cost: pd.DataFrame,
    provenance: Provenance,
    claims: pd.DataFrame | None = None,
    title: str = "How alike are these neural networks?",
    embed_rows: int | None = None,
) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    output : path
        Of the page, `results/index.html`. Links in it are relative to its folder. `assets/plotly.min.js` is written
        beside it, once, where there are pairs of layers to explore.
    measurements : DataFrame
        The measurement table.
    figures : sequence of path
        The .json card of each figure; its pictures lie beside it.
    cost : DataFrame
        One row per job: columns paper, rule, job, s (seconds), max_rss (MB), cpu_time (seconds); may be empty.
    provenance : Provenance
    claims : DataFrame, optional
        One row per claim: columns paper, id, statement, verdict, and optionally source, paper_value, value, low, high,
        reason.
    title : str
    embed_rows : int, optional
        Rows of the table that the page holds, from the first; all when left out (160,000 rows take 2 MB). The page says
        how many it leaves out, and that they are in results/tables.

    Returns
    -------
    Path
        `output`. Equal arguments give equal bytes.

    Raises
    ------
    BadFileError
        If a card is not readable, or a picture that it names is missing.
    """
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    embedded = measurements if embed_rows is None else measurements.head(embed_rows)
    explorer = has_layer_pairs(embedded)
    tested = claim_rows(claims)
    page = (
        _environment()
        .get_template("index.html.j2")
        .render(
            provenance=provenance,
            datasets=datasets_used(measurements, provenance.fingerprints),
            networks=networks_used(measurements),
            groups=figure_groups(figures, measurements, output.parent),
            claims=tested,
            verdicts=verdict_counts(tested),
            configuration=yaml.safe_dump(provenance.configuration, sort_keys=False, allow_unicode=True),
            cost=cost_by_rule(cost),
            papers=PAPERS,
            title=title,
            n_rows=len(measurements),
            n_embedded=len(embedded),
            n_undefined=int((reasons(measurements) != "ok").sum()),
            n_figures=len(figures),
            downloads=[(name, path) for name, path in _DOWNLOADS if (output.parent / path).is_file()],
            plotly=_PLOTLY if explorer else None,
            table=Markup(json_for_page(encode_table(embedded))),
            style=_own_text("style.css"),
            script=_own_text("page.js"),
        )
    )
    output.write_text(page, encoding="utf-8", newline="\n")
    if explorer:
        _write_plotly(output.parent / _PLOTLY)
    return output


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("netalike.page", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def _own_text(name: str) -> Markup:
    """Return a stylesheet or script of the package, which is trusted, unlike everything that comes from a run."""
    return Markup(files("netalike.page").joinpath("templates", name).read_text(encoding="utf-8"))


def _write_plotly(path: Path) -> None:
    from plotly.offline import get_plotlyjs

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(get_plotlyjs(), encoding="utf-8", newline="\n")
