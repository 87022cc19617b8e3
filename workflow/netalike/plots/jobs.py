"""What every plotting script does around its one call: rows in, figure and card out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netalike.evidence import measurements
from netalike.plots.captions import caption
from netalike.plots.cards import FigureCard, save

# kind of study -> its key in the section of its paper, where the two differ
_SECTIONS = {
    "tasks": "tasks",
    "identities": "tasks",
    "transfer": "transfers",
    "ood": "populations",
    "demonstration": "demonstrations",
    "toy": "toys",
    "gradient_identities": "toys",
    "similarity_term": "similarity_terms",
    "map_alignment": "map_alignments",
    "simulation": "simulations",
    "exact_alignment": "simulations",
    "alignment": "alignments",
    "inversion": "inversions",
}
_SCALARS = ("paper", "experiment", "dataset", "quantity", "estimator")


def rows_of(job: Any) -> pd.DataFrame:
    """Read the measurement files that a plotting rule gets.

    Parameters
    ----------
    job : object
        ``snakemake``, as a script sees it.

    Returns
    -------
    DataFrame
        The caller's own; files are read once where several figures of one process show them.
    """
    found = job.input.measurements
    files = [Path(file) for file in ([found] if isinstance(found, str) else found)]
    # with their times, so that files that were made anew are read anew
    return _read(tuple((file, file.stat().st_mtime_ns if file.exists() else 0) for file in files)).copy()


@lru_cache(maxsize=1)
def _read(files: tuple[tuple[Path, int], ...]) -> pd.DataFrame:
    return measurements.read([file for file, _ in files])


def arrays_of(job: Any) -> dict[str, NDArray[Any]]:
    """Read the one file of pictures (.npz) that a plotting rule gets beside rows.

    Parameters
    ----------
    job : object
        ``snakemake``; its input ``pictures``.

    Returns
    -------
    dict of str to array
    """
    found = job.input.pictures
    with np.load(found if isinstance(found, str) else found[0], allow_pickle=False) as arrays:
        return dict(arrays)


def save_figure(job: Any, figure: Figure, rows: pd.DataFrame, title: str, caption_name: str) -> None:
    """Save a figure with its card, which says what it shows and how to make it again.

    Parameters
    ----------
    job : object
        ``snakemake``; its output ``figure`` names the file, and its wildcard and parameter ``panel`` or ``study`` say
        what it belongs to. Figures of a study lie in a folder named after its experiment, ``<kind>_<study>``.
    figure : Figure
    rows : DataFrame
        The rows that were drawn.
    title : str
    caption_name : str
        A file of workflow/report.
    """
    path = Path(job.output.figure)
    card = FigureCard(
        name=f"{path.parent.name}/{path.stem}",
        title=title,
        caption=caption(caption_name, snakemake=job),
        category=path.parent.parent.name,
        rule=job.rule,
        script=f"workflow/scripts/{_script_of(job)}.py",
        command=f"snakemake --cores 2 --force {path}",
        rows=_filter_of(rows),
        n_rows=len(rows),
        labels=dict(job.wildcards.items()),
        configuration=_configuration_of(job, path.parent.parent.name, path.parent.name),
        data={
            "dataset": ", ".join(sorted(set(rows["dataset"]))),
            "split": ", ".join(sorted(set(rows["split"]))),
            "n_samples": ", ".join(f"{n:,}" for n in sorted(set(rows["n_samples"].dropna()))),
        },
    )
    save(figure, path, card)


def _script_of(job: Any) -> str:
    """Several rules may draw one kind of figure: then the script is named after the figure, else after the rule."""
    figure = getattr(job.params, "figure", None)
    return str(job.rule) if figure is None else f"plot_{figure}"


def _configuration_of(job: Any, paper: str, folder: str) -> dict[str, Any]:
    """The section of the configuration that a figure depends on: that of its panel, or of its study."""
    if "panel" in dict(job.wildcards.items()):
        return {"panels": {job.wildcards.panel: dict(job.params.panel)}}
    kind = folder.removesuffix(f"_{job.wildcards.study}")
    return {paper: {_SECTIONS.get(kind, kind): {job.wildcards.study: dict(job.params.study)}}}


def _filter_of(rows: pd.DataFrame) -> dict[str, Any]:
    """The values of the columns that tell these rows from others: one value, or the list of them."""
    found: dict[str, Any] = {}
    for column in (*_SCALARS, "condition"):
        values = sorted(set(rows[column]))
        found[column] = values[0] if len(values) == 1 else values
    return found
