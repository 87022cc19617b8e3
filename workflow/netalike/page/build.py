"""Put together the page: everything it shows is in the file, apart from pictures and the library of its explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from netalike.page.environments import environments
from netalike.page.implementations import agreements
from netalike.page.intervals import SMALL_WIDTH, WIDTH
from netalike.page.panels import PanelPage, panel_pages
from netalike.page.paper_pages import PaperPage, paper_pages
from netalike.page.papers import PAPERS
from netalike.page.sections import Group, cost_by_rule, datasets_used, figure_groups, has_layer_pairs, networks_used
from netalike.page.sources import PATH as SOURCES
from netalike.page.sources import Source, sources
from netalike.page.summary import summarise
from netalike.page.words import seconds_text

_FORMATS = {"CSV": "csv", "Parquet": "parquet"}
PLOTLY = "assets/plotly.min.js"


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
    measure_costs: Mapping[str, pd.DataFrame] | None = None,
    network_cards: Sequence[str | Path] = (),
    repository: str | Path | None = None,
) -> Path:
    """Write the page of a run, a page for each of its papers, and one for each panel whose measures were compared.

    Parameters
    ----------
    output : path
        Of the page, `results/index.html`. Beside it are written `papers/<key>.html` for each paper with claims,
        figures or rows; `comparison/<panel>.html` for each panel with rows of `comparison_<panel>`; `sources.html`,
        the scripts and rules of the figures; and, where there is anything to explore, `assets/plotly.min.js`.
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
    measure_costs : mapping of str to DataFrame, optional
        What each measure took, by panel, from `page.read_costs`.
    network_cards : sequence of path, optional
        The card of each network, ``<id>.json``, whose hashes are shown.
    repository : path, optional
        The checkout, whose scripts, rules and environments are shown; without it they are named alone.

    Returns
    -------
    Path
        `output`. Equal arguments give equal bytes.

    Raises
    ------
    BadFileError
        If a card is not readable, or a picture that it names is missing.
    """
    given = _Given(title, measurements, figures, cost, provenance, claims, differences, measure_costs or {}, repository)
    return _write_pages(Path(output), given, embed_rows, network_cards)


@dataclass(frozen=True)
class _Given:
    """What `build` was given, apart from where it goes and how much of it is shown."""

    title: str
    measurements: pd.DataFrame
    figures: Sequence[str | Path]
    cost: pd.DataFrame
    provenance: Provenance
    claims: pd.DataFrame | None
    differences: Sequence[Difference] | None
    measure_costs: Mapping[str, pd.DataFrame]
    repository: str | Path | None


def _write_pages(output: Path, given: _Given, embed_rows: int | None, network_cards: Sequence[str | Path]) -> Path:
    measurements, folder = given.measurements, output.parent
    folder.mkdir(parents=True, exist_ok=True)
    embedded = measurements if embed_rows is None else measurements.head(embed_rows)
    groups = figure_groups(given.figures, measurements, folder)
    tested = shown_claims(given.claims, {picture.name: picture for group in groups for picture in group.pictures})
    pages = paper_pages(tested, groups, measurements, given.differences)
    panels = panel_pages(measurements, groups, given.measure_costs)
    shown = _sources(given.repository, groups)
    explorer = has_layer_pairs(embedded)
    environment = _environment(given.provenance, shown)
    page = environment.get_template("index.html.j2").render(
        title=given.title,
        networks=networks_used(measurements, network_cards),
        datasets=datasets_used(measurements, given.provenance.fingerprints),
        cost=cost_by_rule(given.cost),
        groups=groups,
        n_figures=len(given.figures),
        plotly=PLOTLY if explorer else None,
        panels=panels,
        agreements=agreements(measurements),
        summary=summarise(panels, tested, groups),
        **_provenance_section(given.provenance, given.repository),
        **_rows_section(measurements, embedded, folder),
        **_claims_section(tested, pages, folder),
    )
    _write(output, page)
    _write_others(environment, folder, pages, panels, shown)
    if explorer or panels:
        _write_plotly(folder / PLOTLY)
    return output


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _sources(repository: str | Path | None, groups: Sequence[Group]) -> dict[str, list[Source]]:
    cards = [picture.card for group in groups for picture in group.pictures]
    return sources(repository, [card.script for card in cards], [card.rule for card in cards])


def _downloads(table: str, folder: Path) -> list[tuple[str, str]]:
    """Return the files that hold a whole table, as name and path, as far as they are there."""
    paths = [(name, f"tables/{table}.{suffix}") for name, suffix in _FORMATS.items()]
    return [(name, path) for name, path in paths if (folder / path).is_file()]


def _provenance_section(provenance: Provenance, repository: str | Path | None) -> dict[str, Any]:
    return {
        "configuration": yaml.safe_dump(provenance.configuration, sort_keys=False, allow_unicode=True),
        "environments": environments(repository),
    }


def _rows_section(measurements: pd.DataFrame, embedded: pd.DataFrame, folder: Path) -> dict[str, Any]:
    return {
        "n_rows": len(measurements),
        "n_embedded": len(embedded),
        "n_undefined": int((reasons(measurements) != "ok").sum()),
        "downloads": _downloads("measurements", folder),
        "table": Markup(json_for_page(encode_table(embedded))),
        "script": _own_text("common.js") + _own_text("page.js"),
    }


def _claims_section(claims: Sequence[ShownClaim], pages: Sequence[PaperPage], folder: Path) -> dict[str, Any]:
    return {
        "claims": claims,
        "claim_downloads": _downloads("claims", folder),
        "verdicts": verdict_counts(claims),
        "claim_options": options(claims),
        "pages": pages,
        "paper_paths": {page.paper.key: page.path for page in pages},
        "claims_script": _own_text("claims.js"),
    }


def _write_others(
    environment: jinja2.Environment,
    folder: Path,
    papers: Sequence[PaperPage],
    panels: Sequence[PanelPage],
    shown: Mapping[str, Sequence[Source]],
) -> None:
    template = environment.get_template("paper.html.j2")
    (folder / "papers").mkdir(exist_ok=True)
    for page in papers:
        _write(folder / page.path, template.render(home="../", page=page))
    template = environment.get_template("comparison.html.j2")
    script = _own_text("common.js") + _own_text("heatmap.js") + _own_text("panel.js")
    for panel in panels:
        data = Markup(json_for_page(panel.data))
        _write(folder / panel.path, template.render(home="../", panel=panel, data=data, script=script, plotly=PLOTLY))
    _write(folder / SOURCES, environment.get_template("sources.html.j2").render(shown=shown))


def _environment(provenance: Provenance, shown: Mapping[str, Sequence[Source]]) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("netalike.page", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["seconds_text"] = seconds_text
    environment.globals.update(
        provenance=provenance,
        papers=PAPERS,
        home="",
        style=_own_text("style.css"),
        drawing_width=WIDTH,
        small_width=SMALL_WIDTH,
        source_links={(source.kind, source.name): source.link for found in shown.values() for source in found},
    )
    return environment


def _own_text(name: str) -> Markup:
    """Return a stylesheet or script of the package, which is trusted, unlike everything that comes from a run."""
    return Markup(files("netalike.page").joinpath("templates", name).read_text(encoding="utf-8"))


def _write_plotly(path: Path) -> None:
    from plotly.offline import get_plotlyjs

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(get_plotlyjs(), encoding="utf-8", newline="\n")
