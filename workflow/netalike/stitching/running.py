"""Stitching from files to files: what `netalike stitch` and `netalike match` do once their options are read."""

from __future__ import annotations

import copy
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netalike import data, networks
from netalike.errors import ShapeError, unknown_name
from netalike.stitching import report, results
from netalike.stitching.evaluation import evaluate_stitch
from netalike.stitching.making import evaluate_stages, stitching_layers
from netalike.stitching.matching import match
from netalike.stitching.names import DATASET
from netalike.stitching.splitting import Split, split
from netalike.stitching.training import train_stitch

if TYPE_CHECKING:
    from torch import nn

    from netalike.data import ImageSet
    from netalike.networks import Card
    from netalike.stitching.forms import Form
    from netalike.stitching.settings import Settings

_CHECKPOINT = "checkpoint.safetensors"
# The published code calls the official test split "val".
_SPLITS = {"val": "test"}


def load_images(dataset: str, split_name: str, root: Path, limit: int | None) -> ImageSet:
    """Load a split of a data set by its name, or by the published code's name of the split."""
    return data.load(dataset, _SPLITS.get(split_name, split_name), root, limit)


class NetworkPair:
    """The two networks that a command names, and the data set on which they are compared.

    Parameters
    ----------
    paths : (Path, Path)
        Weights of the front and of the end.
    architectures : (str or None, str or None)
        Needed where no card says them.
    layers : (str, str)
        Where they are cut.
    dataset : str or None
        That of the cards unless given, the last one's first, or cifar10.

    Raises
    ------
    NetalikeError
        If a file is missing, or is not of that architecture.
    """

    def __init__(
        self,
        paths: tuple[Path, Path],
        architectures: tuple[str | None, str | None],
        layers: tuple[str, str],
        dataset: str | None,
    ) -> None:
        cards = [networks.read_card(path) if path.suffix == ".safetensors" else None for path in paths]
        said = next((card.dataset for card in reversed(cards) if card and card.dataset), DATASET)
        self.paths, self.layers, self.dataset = paths, layers, dataset or said
        spec = data.specification(self.dataset)
        self.models: tuple[nn.Module, nn.Module]
        self.cards: tuple[Card, Card]
        loaded = []
        for path, card, name in zip(paths, cards, architectures, strict=True):
            size = (spec.channels, len(spec.classes) or None) if card is None else (None, None)
            loaded.append(networks.load(path, name, *size))
        (front, front_card), (end, end_card) = loaded
        self.models, self.cards = (front, end), (front_card, end_card)

    def images(self, split_name: str, root: Path, limit: int | None) -> ImageSet:
        """Load a split, and refuse it where the networks take other images."""
        found = load_images(self.dataset, split_name, root, limit)
        channels = found.inputs(0, 1).shape[1]
        for path, card in zip(self.paths, self.cards, strict=True):
            if card.channels != channels:
                raise ShapeError(
                    f"{path} takes images of {card.channels} channels, those of {self.dataset} have {channels}: "
                    f"choose another data set with -d{f' ({card.dataset})' if card.dataset else ''}."
                )
        return found

    def check_layers(self) -> None:
        """Refuse a layer that does not exist before anything runs."""
        for model, layer in zip(self.models, self.layers, strict=True):
            known = [name for name, _ in model.named_modules() if name]
            if layer not in known:
                kind = str(getattr(model, "architecture", type(model).__name__))
                raise unknown_name(f"layer of {kind}", layer, known, "`netalike layers` lists them.")

    def cut(self) -> tuple[Split, Split]:
        """Cut both networks at their layers."""
        self.check_layers()
        front, end = (split(model, layer) for model, layer in zip(self.models, self.layers, strict=True))
        return front, end


def forget_checkpoint(folder: Path) -> None:
    """Let a stitch in this folder begin anew."""
    (folder / _CHECKPOINT).unlink(missing_ok=True)


def stitch_into(
    folder: Path,
    pair: NetworkPair,
    images: tuple[ImageSet, ImageSet],
    asked: Form,
    settings: Settings,
    device: str = "cpu",
) -> results.StitchResult:
    """Stitch two networks, and store the stitch with its report.

    Parameters
    ----------
    folder : Path
        Of the results; a checkpoint in it is gone on from.
    pair : NetworkPair
    images : (ImageSet, ImageSet)
        To train and to test on.
    asked : Form
    settings : Settings
    device : str

    Returns
    -------
    StitchResult
    """
    front, end = pair.cut()
    example = images[0].inputs(0, 1)
    one, two = (
        results.side(path, card, half, half.shape(example))
        for path, card, half in zip(pair.paths, pair.cards, (front, end), strict=True)
    )
    result = results.StitchResult(
        one,
        two,
        layers=stitching_layers(front, end, images[0], asked, settings, device),
        parameters={**asked.told(), **settings.model_dump(mode="json")},
        data=_data_facts(*images),
        provenance=results.provenance(shlex.join(["netalike", *sys.argv[1:]])),
        resize=asked.resize,
    )
    checkpoint = folder / _CHECKPOINT
    history = train_stitch(
        front, end, result.layers["after"], *images, settings, device, checkpoint, resize=asked.resize
    )
    result.snapshots, result.curve = history.snapshots, history.rows()
    # At once: whatever fails from here on, the training is not lost.
    results.save(folder, result)
    checkpoint.unlink(missing_ok=True)
    result.evaluation = evaluate_stages(front, end, result.layers, images[1], device, asked.resize)
    results.save(folder, result)
    report.write(result, folder)
    return result


@dataclass(frozen=True)
class Selection:
    """Which images a command uses: the split, the folder of the data sets, and how many of them."""

    split: str
    root: Path
    limit: int | None = None


def match_stored(
    path: Path,
    stage: str,
    options: Mapping[str, Any],
    selection: Selection,
    files: tuple[Path | None, Path | None] = (None, None),
    device: str = "cpu",
    place: Path | None = None,
) -> dict[str, Any]:
    """Match the activations of a stored stitch directly, from one of its matrices; test accuracies before and after.

    Parameters
    ----------
    path : Path
        Folder of the stitch.
    stage : str
        before, after or least_squares: the matrix to start from.
    options : mapping
        Of `netalike.stitching.match`: loss, epochs, batch_size, lr, seed.
    selection : Selection
        Images to match on.
    files : (Path or None, Path or None)
        Weights of the two networks, if they were moved.
    device : str
    place : Path, optional
        Where the matched layer and the numbers are stored.

    Returns
    -------
    dict
        The options, the loss by epoch, and accuracy, cross-entropy, CKA and L2 before and after.
    """
    stored = results.load(path)
    before = stored.layer(stage)
    halves = results.open_networks(stored, *files)
    dataset = stored.data["dataset"]
    images, test_set = (
        load_images(dataset, name, selection.root, selection.limit) for name in (selection.split, "test")
    )
    after = copy.deepcopy(before)
    history = match(*halves, after, images, device=device, resize=stored.resize, **options)
    scored = evaluate_stitch(*halves, after, test_set, before, device=device, resize=stored.resize)
    told = {"init_model": stage, "train_on": images.split, **options, "train_loss": history.loss}
    for name in ("before", "after"):
        scores, likeness = scored.networks[name], scored.similarity[name]
        told |= {
            f"{name}_accuracy": scores.accuracy,
            f"{name}_cross_entropy": scores.cross_entropy,
            f"{name}_cka": likeness.cka,
            f"{name}_l2": likeness.l2,
        }
    if place is not None:
        results.save_match(place, after, told)
    return told


def _data_facts(train_set: ImageSet, test_set: ImageSet) -> dict[str, Any]:
    return {
        "dataset": train_set.name,
        "training_images": len(train_set),
        "test_images": len(test_set),
        "training_sha256": train_set.fingerprint(),
        "test_sha256": test_set.fingerprint(),
    }
