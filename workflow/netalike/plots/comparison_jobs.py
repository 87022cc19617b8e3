"""What the plotting scripts of the comparison read and write beside rows of the measurement table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from netalike.errors import BadFileError
from netalike.evidence.metering import COLUMNS
from netalike.plots.captions import caption
from netalike.plots.cards import FigureCard, save


def timings_of(job: Any) -> pd.DataFrame:
    """Read the files of costs that a plotting rule gets.

    Parameters
    ----------
    job : object
        ``snakemake``; its input ``timings``, one CSV file or several, as evidence.metering writes them.

    Returns
    -------
    DataFrame
        Columns ``evidence.metering.COLUMNS``.

    Raises
    ------
    BadFileError
        If a file has other columns; it is named.
    """
    found = job.input.timings
    files = [found] if isinstance(found, str) else list(found)
    frames = [_timings(file) for file in files]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _timings(file: str) -> pd.DataFrame:
    try:
        frame = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise BadFileError(f"{file} is no file of costs: {error}") from error
    if list(frame.columns) != list(COLUMNS):
        raise BadFileError(f"{file} is no file of costs: columns {list(frame.columns)}, expected {list(COLUMNS)}.")
    return frame


def save_claims_figure(job: Any, figure: Figure, claims: pd.DataFrame, title: str, caption_name: str) -> None:
    """Save a figure of the claims table with its card.

    Parameters
    ----------
    job : object
        ``snakemake``; its output ``figure`` names the file.
    figure : Figure
    claims : DataFrame
        The claims that were drawn or counted.
    title : str
    caption_name : str
        A file of workflow/report.
    """
    path = Path(job.output.figure)
    card = FigureCard(
        name=f"{path.parent.name}/{path.stem}",
        title=title,
        caption=caption(caption_name, snakemake=job),
        category="comparison",
        rule=job.rule,
        script=f"workflow/scripts/{job.rule}.py",
        command=f"snakemake --cores 2 --force {path}",
        rows={"paper": sorted(set(claims["paper"]))},  # what the claims are judged on
        n_rows=int(claims["n_rows"].fillna(0).sum()),
        labels={"claims": f"{len(claims):,}"},
    )
    save(figure, path, card)
