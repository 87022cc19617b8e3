"""What `netalike similarity` leaves behind: tables, similarities, pictures, and one summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netalike import gradients
from netalike.data import ImageSet
from netalike.evidence.measurements import write_csv
from netalike.gradients.counts import nearest_columns, row_blocks
from netalike.plots import FigureCard, input_similarity, save

BINS = 10
_QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}


@dataclass(frozen=True)
class Similarities:
    """Counts of all images, the neighbours of some, and the similarity of all pairs where it fits.

    Attributes
    ----------
    p, d : int
        Numbers of parameters and of outputs.
    counts : array, shape (n,)
        Soft counts, each image itself included.
    sources : array of int, shape (s,)
        The images of the sheet: one per bar of the histogram.
    to_sources : array, shape (s, n)
        Similarity of the sources with all images.
    neighbours, similarities : arrays, shape (s, k)
        Without the source itself.
    matrix : array, shape (n, n), or None
    """

    p: int
    d: int
    counts: NDArray[np.floating]
    sources: list[int]
    to_sources: NDArray[np.floating]
    neighbours: NDArray[np.int64]
    similarities: NDArray[np.floating]
    matrix: NDArray[np.floating] | None


def facts(found: Similarities, images: ImageSet) -> dict[str, Any]:
    """Say in numbers what was found.

    Parameters
    ----------
    found : Similarities
    images : ImageSet

    Returns
    -------
    dict
        For the summary. ``mean_similarity`` of pairs of one class and of two, each without an image and itself, where
        all pairs were compared; None where there is no such pair.
    """
    told: dict[str, Any] = {
        "dataset": images.name,
        "split": images.split,
        "n": len(images),
        "parameters": found.p,
        "n_outputs": found.d,
        "include_self": True,
        "soft_count": {name: float(np.quantile(found.counts, q)) for name, q in _QUANTILES.items()},
        "mean_soft_count": float(found.counts.mean()),
        "zero_gradients": int((found.counts == 0).sum()),
    }
    if found.matrix is None:
        return told
    return {**told, "mean_similarity": _mean_similarities(found.matrix, images.labels.numpy())}


def _mean_similarities(matrix: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float | None]:
    """Average over the pairs of one class, without an image and itself, and over those of two."""
    same = every = 0.0
    for rows in row_blocks(matrix.shape):
        is_same = labels[rows, None] == labels[None]
        same += matrix[rows].sum(where=is_same, dtype=np.float64)
        every += matrix[rows].sum(dtype=np.float64)
    n, n_same = len(labels), int((np.unique(labels, return_counts=True)[1] ** 2).sum())
    return {
        "same_class": float((same - matrix.trace(dtype=np.float64)) / (n_same - n)) if n_same > n else None,
        "other_class": float((every - same) / (n**2 - n_same)) if n**2 > n_same else None,
    }


def write(
    folder: Path, found: Similarities, images: ImageSet, predicted: list[str], summary: Mapping[str, Any]
) -> list[str]:
    """Write tables, similarities, pictures and the summary.

    Parameters
    ----------
    folder : Path
        Made if need be; files of an earlier run are replaced.
    found : Similarities
    images : ImageSet
    predicted : list of str
        Class of each image by the network, for the table.
    summary : mapping
        As JSON; names the network, the outputs and the command for the captions.

    Returns
    -------
    list of str
        Names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(_count_table(found, images, predicted), folder / "counts.csv")
    write_csv(_neighbour_table(found, images), folder / "neighbours.csv")
    names = ["counts.csv", "neighbours.csv"]
    if found.matrix is None:
        (folder / "kernel.npy").unlink(missing_ok=True)  # of another run
    else:
        np.save(folder / "kernel.npy", found.matrix, allow_pickle=False)
        names.append("kernel.npy")
    for name, (figure, title) in _figures(found, images).items():
        names += _save_figure(folder / name, figure, title, summary)
    (folder / "summary.json").write_text(json.dumps({**summary, "files": names}, indent=2) + "\n", encoding="utf-8")
    return [*names, "summary.json"]


def _count_table(found: Similarities, images: ImageSet, predicted: list[str]) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "image": range(len(images)),
        "id": images.ids,
        "label": [images.classes[i] for i in images.labels.tolist()],
        "predicted": predicted,
        "soft_count": found.counts,
    }
    if found.matrix is not None:
        less, hard = gradients.less_soft_counts(found.matrix), gradients.hard_counts(found.matrix)
        columns |= {f"less_soft_{m:g}": row for m, row in zip(gradients.EXPONENTS, less, strict=True)}
        columns |= {f"above_{t:g}": row for t, row in zip(gradients.THRESHOLDS, hard, strict=True)}
    return pd.DataFrame(columns)


def _neighbour_table(found: Similarities, images: ImageSet) -> pd.DataFrame:
    """Neighbours of all images where all pairs were compared, of the sheet's sources otherwise."""
    k = found.neighbours.shape[1]
    sources, near, values = np.array(found.sources), found.neighbours, found.similarities
    if found.matrix is not None and k:
        sources = np.arange(len(images))
        near, values = nearest_columns(found.matrix, k, sources)
    columns = {
        "image": np.repeat(sources, k),
        "rank": np.tile(np.arange(1, k + 1), len(sources)),
        "neighbour": near.ravel(),
        "similarity": values.ravel(),
    }
    return pd.DataFrame(columns)


def _figures(found: Similarities, images: ImageSet) -> dict[str, tuple[Figure, str]]:
    pictures = images.images.permute(0, 2, 3, 1).numpy()
    if pictures.shape[3] not in (1, 3):
        pictures = pictures[..., :1]
    labels = images.labels.tolist()
    names = [f"#{i}: {images.classes[label]}" for i, label in enumerate(labels)]
    drawn = {
        "histogram": (input_similarity.count_histogram(found.counts, pictures, BINS), "Soft counts of neighbours"),
        "similarities": (
            input_similarity.similarity_histograms(found.to_sources, found.sources, pictures, found.counts),
            "Similarity of all images to one",
        ),
    }
    if found.neighbours.size:
        sheet = input_similarity.nearest_sheet(
            pictures, found.sources, found.neighbours, found.similarities, names=names
        )
        drawn["nearest"] = (sheet, "Nearest neighbours by input similarity")
    return drawn


def _save_figure(path: Path, figure: Figure, title: str, summary: Mapping[str, Any]) -> list[str]:
    what = f"{summary['n']:,} images of {summary['dataset']} ({summary['split']}) to {summary['network']}"
    card = FigureCard(
        name=path.name,
        title=title,
        caption=f"{title}: {what}. Outputs: {summary['outputs']}. Counts include the image itself, neighbours do not.",
        category="input_similarity",
        rule="",
        script="netalike similarity",
        command=str(summary["command"]),
        data={key: summary[key] for key in ("dataset", "split", "n")},
    )
    return [written.name for written in save(figure, path, card)]
