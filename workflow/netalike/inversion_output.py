"""What `netalike invert` leaves behind: images, tables, pictures, and one summary."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from netalike.data import ImageSet
from netalike.evidence.measurements import write_csv
from netalike.inversion import Inversion, represent
from netalike.networks.checkpoint import write_atomically
from netalike.plots import FigureCard, save
from netalike.plots.inversion_grid import inversion_grid, loss_curve

FORMAT = "netalike invert 1"
SUMMARY = "summary.json"
NOISE = "noise"
SHOWN = 24
"""Pairs in the grid picture, at most; all of them are there as files."""
_FOLDER = "inverted"
_PICTURE = re.compile(r"\d{4,}\.png")
_BATCH = 256
_QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}


@dataclass(frozen=True, eq=False)
class GivenPairs:
    """Seed and target images, row by row.

    Attributes
    ----------
    seeds, targets : Tensor, shape (n, channels, height, width), float32
        In [0, 1].
    sources : ImageSet, or None
        The seed images; None for noise.
    chosen : ImageSet
        The target images.
    """

    seeds: Tensor
    targets: Tensor
    sources: ImageSet | None
    chosen: ImageSet

    @property
    def seed_classes(self) -> list[str]:
        """The class of each seed image, ``noise`` for noise."""
        return [NOISE] * len(self.seeds) if self.sources is None else _classes(self.sources)

    @property
    def target_classes(self) -> list[str]:
        """The class of each target image."""
        return _classes(self.chosen)


def _classes(images: ImageSet) -> list[str]:
    return [images.classes[label] for label in images.labels.tolist()]


# --- numbers --------------------------------------------------------------------------------------------------------


def losses_table(model: nn.Module, found: Inversion, given: GivenPairs) -> list[dict[str, Any]]:
    """Say of each pair what it consists of, and how near the inverted image came.

    Parameters
    ----------
    model : nn.Module
        Takes pixels in [0, 1].
    found : Inversion
    given : GivenPairs

    Returns
    -------
    list of dict
        A row for each pair. ``target`` and ``seed`` are positions in the publisher's split; None for noise, and for
        the losses of a target that is represented by zeros. Distances are L2 norms of pixels in [0, 1].
    """
    ids: Sequence[int | None] = [None] * len(given.seeds)
    if given.sources is not None:
        ids = given.sources.ids.tolist()
    columns = {
        "pair": range(len(given.targets)),
        "target": given.chosen.ids.tolist(),
        "target_class": given.target_classes,
        "seed": ids,
        "seed_class": given.seed_classes,
        "seed_loss": [_number(loss) for loss in found.seed_losses],
        "loss": [_number(loss) for loss in found.losses],
        "iterations": found.iterations.tolist(),
        "seed_target_distance": _distances(given.seeds, given.targets),
        "inverted_target_distance": _distances(found.images, given.targets),
        "inverted_seed_distance": _distances(found.images, given.seeds),
        "target_predicted": _predicted(model, given.targets, given.chosen.classes),
        "inverted_predicted": _predicted(model, found.images, given.chosen.classes),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def facts(model: nn.Module, found: Inversion, given: GivenPairs, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Say in numbers what was found.

    Parameters
    ----------
    model : nn.Module
        Takes pixels in [0, 1].
    found : Inversion
    given : GivenPairs
    table : sequence of mapping
        As `losses_table` makes it.

    Returns
    -------
    dict
        For the summary.
    """
    distances = ("seed_target", "inverted_target", "inverted_seed")
    return {
        "pairs": len(table),
        "layer": found.layer,
        "representation": represent(model, given.targets[:1], found.layer).shape[1],
        "seed_loss": _quantiles([row["seed_loss"] for row in table]),
        "loss": _quantiles([row["loss"] for row in table]),
        "without_loss": sum(row["loss"] is None for row in table),
        "mean_iterations": _mean([row["iterations"] for row in table]),
        "pixel_distance": {name: _mean([row[f"{name}_distance"] for row in table]) for name in distances},
        "same_prediction": _mean([row["target_predicted"] == row["inverted_predicted"] for row in table]),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _quantiles(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {name: float(np.quantile(known, q)) if known else None for name, q in _QUANTILES.items()}


def _distances(a: Tensor, b: Tensor) -> list[float]:
    return [float(value) for value in (a - b).double().flatten(1).norm(dim=1)]


def _predicted(model: nn.Module, images: Tensor, classes: Sequence[str]) -> list[str]:
    """Name the class with the largest logit; its number where the data set has no such class."""
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        best = [label for part in parts for label in model(part.to(device)).flatten(1).argmax(1).tolist()]
    return [classes[label] if label < len(classes) else str(label) for label in best]


# --- files ----------------------------------------------------------------------------------------------------------


def write(
    folder: Path,
    found: Inversion,
    given: GivenPairs,
    table: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
) -> list[str]:
    """Write images, tables, pictures and the summary.

    Parameters
    ----------
    folder : Path
        Made if need be; the inverted images of an earlier run are removed.
    found : Inversion
    given : GivenPairs
    table : sequence of mapping
        As `losses_table` makes it.
    summary : mapping
        `facts`, settings and the command.

    Returns
    -------
    list of str
        Names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _forget(folder)
    names = _write_pictures(folder / _FOLDER, found.images)
    write_atomically(folder / "inverted.safetensors", _tensors(found, given))
    write_csv(pd.DataFrame(table).astype({"seed": "Int64"}), folder / "losses.csv")
    write_csv(_curve_table(found), folder / "curve.csv")
    names += ["inverted.safetensors", "losses.csv", "curve.csv"]
    for name, (figure, title, caption) in _figures(found, given, summary).items():
        card = _card(name, title, caption, summary)
        names += [path.name for path in save(figure, folder / name, card)]
    content = {"format": FORMAT, **summary, "files": names}
    (folder / SUMMARY).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return [*names, SUMMARY]


def _forget(folder: Path) -> None:
    """Remove the pictures of an earlier run, of which there may have been more."""
    if (folder / SUMMARY).is_file() and (folder / _FOLDER).is_dir():
        for path in (folder / _FOLDER).iterdir():
            if _PICTURE.fullmatch(path.name):
                path.unlink()


def _write_pictures(folder: Path, images: Tensor) -> list[str]:
    folder.mkdir(exist_ok=True)
    names = []
    for i, image in enumerate(images):
        levels = (255 * image).round().to(torch.uint8).permute(1, 2, 0).numpy()
        names.append(f"{folder.name}/{i:04d}.png")
        Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels).save(folder / f"{i:04d}.png")
    return names


def _tensors(found: Inversion, given: GivenPairs) -> bytes:
    tensors = {
        "inverted": found.images,
        "seeds": given.seeds,
        "targets": given.targets,
        "seed_labels": torch.full((len(given.seeds),), -1) if given.sources is None else given.sources.labels,
        "target_labels": given.chosen.labels,
        "losses": torch.from_numpy(found.losses),
        "seed_losses": torch.from_numpy(found.seed_losses),
    }
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _curve_table(found: Inversion) -> pd.DataFrame:
    curve = found.curve
    levels = {
        f"best_q{round(100 * level):02d}": row for level, row in zip(curve.levels, curve.best_quantiles, strict=True)
    }
    return pd.DataFrame(
        {"iteration": range(len(curve.mean)), "mean": curve.mean, "best_mean": curve.best_mean, **levels}
    )


# --- figures --------------------------------------------------------------------------------------------------------


def _figures(found: Inversion, given: GivenPairs, summary: Mapping[str, Any]) -> dict[str, tuple[Any, str, str]]:
    n = min(len(given.targets), SHOWN)
    seeds, targets, inverted = (_pixels(images[:n]) for images in (given.seeds, given.targets, found.images))
    classes = given.seed_classes[:n], given.target_classes[:n]
    grid = inversion_grid(seeds, targets, inverted, found.losses[:n], *classes)
    note = f" The first {n} of {summary['pairs']:,} pairs." if n < summary["pairs"] else ""
    what = "Seed images, target images, and the images that the network represents almost as the targets."
    drawn = {"grid": (grid, "Seed, target, and inverted image", what + note)}
    if np.isfinite(found.curve.best_mean).all():
        caption = "The smallest relative loss so far: median over the pairs, the middle half, and 5 to 95 %."
        drawn["curve"] = (loss_curve(found.curve), "Loss of the inversion, step by step", caption)
    return drawn


def _pixels(images: Tensor) -> NDArray[np.float32]:
    return np.asarray(images.permute(0, 2, 3, 1), np.float32)


def _card(name: str, title: str, caption: str, summary: Mapping[str, Any]) -> FigureCard:
    where = f"{summary['dataset']} ({summary['split']}), {summary['network']}, {summary['layer']}"
    how = f"{summary['mode']} mode, {summary['iterations']:,} iterations"
    return FigureCard(
        name=name,
        title=title,
        caption=f"{caption} {where}; {how}.",
        category="inversion",
        rule="",
        script="netalike invert",
        command=str(summary["command"]),
        data={"dataset": summary["dataset"], "split": summary["split"], "n": summary["pairs"]},
    )
