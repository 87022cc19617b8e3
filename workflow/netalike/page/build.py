"""Put together the page: everything it shows is in the file, apart from pictures and the library of its explorer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from netalike.configuration.differences import Difference
from netalike.evidence.provenance import Provenance
from netalike.page.claims import ShownClaim, options, shown_claims, verdict_counts
from netalike.page.encoding import encode_table, json_for_page, reasons
from netalike.page.intervals import WIDTH
from netalike.page.paper_pages import PaperPage, paper_pages
from netalike.page.papers import PAPERS
from netalike.page.sections import cost_by_rule, datasets_used, figure_groups, has_layer_pairs, networks_used

_FORMATS = {"CSV": "csv", "Parquet": "parquet"}
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
    differences: Sequence[Difference] | None = None,
) -> Path:
    """Write the page of a run, and a page for each of its papers.

    Parameters
    ----------
    output : path
        Of the page, `results/index.html`. Links in it are relative to its folder. `assets/plotly.min.js` is written
        beside it, once, where there are pairs of layers to explore, and `papers/<key>.html` for each paper that has
        claims, figures or rows.
    measurements : DataFrame
        The measurement table.
    figures : sequence of path
        The .json card of each figure; its pictures lie beside it.
    cost : DataFrame
        One row per job: columns paper, rule, job, s (seconds), max_rss (MB), cpu_time (seconds); may be empty.
    provenance : Provenance
    claims : DataFrame, optional
        The claims table: one row per claim, with its paper, id, statement and verdict. A column that is missing is
        shown as missing.
    title : str
    embed_rows : int, optional
        Rows of the table that the page holds, from the first; all when left out (160,000 rows take 2 MB). The page says
        how many it leaves out, and that they are in results/tables.
    differences : sequence of Difference, optional
        Where the configuration differs from the paper preset, from `configuration.explain`.

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
    groups = figure_groups(figures, measurements, output.parent)
    tested = shown_claims(claims, {picture.name: picture for group in groups for picture in group.pictures})
    pages = paper_pages(tested, groups, measurements, differences)
    environment = _environment(provenance)
    page = environment.get_template("index.html.j2").render(
        title=title,
        configuration=yaml.safe_dump(provenance.configuration, sort_keys=False, allow_unicode=True),
        networks=networks_used(measurements),
        datasets=datasets_used(measurements, provenance.fingerprints),
        cost=cost_by_rule(cost),
        groups=groups,
        n_figures=len(figures),
        downloads=_downloads("measurements", output.parent),
        claim_downloads=_downloads("claims", output.parent),
        plotly=_PLOTLY if explorer else None,
        **_rows_section(measurements, embedded),
        **_claims_section(tested, pages),
    )
    output.write_text(page, encoding="utf-8", newline="\n")
    _write_paper_pages(environment, pages, output.parent)
    if explorer:
        _write_plotly(output.parent / _PLOTLY)
    return output


def _downloads(table: str, folder: Path) -> list[tuple[str, str]]:
    """Return the files that hold a whole table, as name and path, as far as they are there."""
    paths = [(name, f"tables/{table}.{suffix}") for name, suffix in _FORMATS.items()]
    return [(name, path) for name, path in paths if (folder / path).is_file()]


def _rows_section(measurements: pd.DataFrame, embedded: pd.DataFrame) -> dict[str, Any]:
    return {
        "n_rows": len(measurements),
        "n_embedded": len(embedded),
        "n_undefined": int((reasons(measurements) != "ok").sum()),
        "table": Markup(json_for_page(encode_table(embedded))),
        "script": _own_text("page.js"),
    }


def _claims_section(claims: Sequence[ShownClaim], pages: Sequence[PaperPage]) -> dict[str, Any]:
    return {
        "claims": claims,
        "verdicts": verdict_counts(claims),
        "claim_options": options(claims),
        "pages": pages,
        "paper_paths": {page.paper.key: page.path for page in pages},
        "claims_script": _own_text("claims.js"),
    }


def _write_paper_pages(environment: jinja2.Environment, pages: Sequence[PaperPage], folder: Path) -> None:
    template = environment.get_template("paper.html.j2")
    (folder / "papers").mkdir(exist_ok=True)
    for page in pages:
        (folder / page.path).write_text(template.render(home="../", page=page), encoding="utf-8", newline="\n")


def _environment(provenance: Provenance) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("netalike.page", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.globals.update(
        provenance=provenance, papers=PAPERS, home="", style=_own_text("style.css"), drawing_width=WIDTH
    )
    return environment


def _own_text(name: str) -> Markup:
    """Return a stylesheet or script of the package, which is trusted, unlike everything that comes from a run."""
    return Markup(files("netalike.page").joinpath("templates", name).read_text(encoding="utf-8"))


def _write_plotly(path: Path) -> None:
    from plotly.offline import get_plotlyjs

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(get_plotlyjs(), encoding="utf-8", newline="\n")
