"""The results of a run, made small enough to be committed: what later runs are held against."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import netalike
from netalike.errors import BadFileError, NetalikeError
from netalike.progress import progress

TABLES = ("claims", "pairs", "cost", "measurements")
_CONFIGURATION = "configuration.json"
# colours of a figure's palette and its size, from what shows most to what is smallest
_STEPS = ((128, 1.0), (64, 1.0), (64, 0.6), (32, 0.6))
_MB = 1e6


def write_reference(
    results: str | Path, folder: str | Path, limit_mb: float = 10.0, leave_out: Sequence[str] = ()
) -> Path:
    """Copy the tables, claims and figures of a run into a folder that is small enough to be committed.

    Parameters
    ----------
    results : path
        The results of a run that has come to its page.
    folder : path
        Replaced as a whole, once everything is written.
    limit_mb : float
        Megabytes (10^6 bytes) that the folder may have. Tables are kept whole; figures are pictures of fewer colours,
        and smaller ones where that is not enough.
    leave_out : sequence of str
        Figures that are not copied, as patterns of their place below ``figures``, such as ``*/layers_*``.

    Returns
    -------
    path
        The folder: ``tables/*.parquet``, ``tables/configuration.json``, ``figures/``, and a ``README.md`` that says
        what the run came to.

    Raises
    ------
    BadFileError
        If the results lack a table or have no figure.
    NetalikeError
        If a pattern fits no figure, or even the smallest figures are too many.
    """
    results, folder = Path(results), Path(folder)
    figures = sorted((results / "figures").rglob("*.png"))
    needed = [results / "tables" / name for name in (*(f"{table}.parquet" for table in TABLES), _CONFIGURATION)]
    missing = [path for path in needed if not path.is_file()]
    if missing or not figures:
        lacking = missing[0] if missing else results / "figures"
        raise BadFileError(f"{lacking} is missing: a reference is made of a finished run. Run `snakemake` first.")
    figures = _chosen(figures, results / "figures", leave_out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".reference-") as temporary:
        made = Path(temporary) / "reference"
        _write_tables(needed, made / "tables")
        (made / "README.md").write_text(_readme(made / "tables", leave_out), encoding="utf-8")
        _write_figures(figures, results, made, limit_mb - _size(made))
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return folder


def _chosen(figures: Sequence[Path], folder: Path, leave_out: Sequence[str]) -> list[Path]:
    places = {figure: figure.relative_to(folder).with_suffix("").as_posix() for figure in figures}
    for pattern in leave_out:
        if not fnmatch.filter(places.values(), pattern):
            some = ", ".join(list(places.values())[:3])
            raise NetalikeError(f"no figure is called {pattern}: there are {some}, ... Correct or drop --leave-out.")
    return [figure for figure, place in places.items() if not any(fnmatch.fnmatch(place, one) for one in leave_out)]


def _write_tables(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        if file.suffix == ".json":
            shutil.copy(file, folder / file.name)
        else:
            pd.read_parquet(file).to_parquet(folder / file.name, compression="zstd", compression_level=19)


def _write_figures(figures: Sequence[Path], results: Path, made: Path, left_mb: float) -> None:
    for colours, scale in _STEPS:
        shutil.rmtree(made / "figures", ignore_errors=True)
        for figure in progress(figures, f"Figures of {colours} colours", unit="figure"):
            place = made / figure.relative_to(results)
            place.parent.mkdir(parents=True, exist_ok=True)
            _smaller(figure, colours, scale).save(place, optimize=True)
        if _size(made / "figures") <= left_mb:
            return
    raise NetalikeError(
        f"{len(figures)} figures take {_size(made / 'figures'):.1f} MB even with {colours} colours at {scale:.0%} of "
        f"their size, and {left_mb:.1f} MB are left for them: raise --limit-mb, or --leave-out some."
    )


def _smaller(figure: Path, colours: int, scale: float) -> Image.Image:
    with Image.open(figure) as picture:
        whole = picture.convert("RGB")
    if scale != 1:
        size = (round(whole.width * scale), round(whole.height * scale))
        whole = whole.resize(size, Image.Resampling.LANCZOS)
    # dithered areas would compress badly, and look like data
    return whole.quantize(palette=_palette(whole, colours), dither=Image.Dither.NONE)


def _palette(picture: Image.Image, colours: int) -> Image.Image:
    """Choose colours among those that occur, a line's as well as an area's: hues are what tells marks apart."""
    found = picture.getcolors(picture.width * picture.height) or []
    counts, hues = np.array([count for count, _ in found]), np.array([hue for _, hue in found], np.uint8)
    told = np.repeat(hues, np.log2(counts).astype(int) + 1, axis=0)
    return Image.fromarray(told[None]).quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=1)


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / _MB


def _readme(tables: Path, leave_out: Sequence[str]) -> str:
    claims, cost = (pd.read_parquet(tables / f"{name}.parquet") for name in ("claims", "cost"))
    measurements = len(pd.read_parquet(tables / "measurements.parquet", columns=["value"]))
    verdicts = claims.groupby(["paper", "verdict"]).size().unstack(fill_value=0)
    names = list(verdicts.columns)
    lines = [
        "# Reference results",
        "",
        f"The tables, claims and figures of one whole run, made by netalike {netalike.__version__} with "
        "`netalike claims freeze`. `netalike claims diff results/reference` says what is different in another run.",
        "",
        f"{measurements:,} measurements; {len(cost):,} jobs with {cost['cpu_time'].sum() / 60:,.0f} minutes of one "
        f"core, figures apart; at most {cost['max_rss'].max() / 1000:.1f} GB in one job.",
        "",
        f"| paper | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(f"| {paper} | {' | '.join(str(row[name]) for name in names)} |" for paper, row in verdicts.iterrows()),
        f"| all | {' | '.join(str(verdicts[name].sum()) for name in names)} |",
        "",
        "Figures are pictures of few colours here, to be small; a run makes them as SVG too."
        + (f" Not kept: {', '.join(f'`{pattern}`' for pattern in leave_out)}." if leave_out else ""),
        "",
    ]
    return "\n".join(lines)
