"""Networks of a user's, run over images, as the alignment of shared responses takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from netalike import data, networks
from netalike.activations import Recorder
from netalike.activations.files import short_names
from netalike.data import ImageSet
from netalike.errors import NetalikeError, ShapeError
from netalike.experiments.given_activations import (
    Floats,
    GivenActivations,
    Indices,
    kept_units,
    match_layers,
    refuse_not_finite,
    refuse_one,
)
from netalike.networks.checkpoint import FOREIGN
from netalike.networks.layer_table import BLOCKS
from netalike.progress import progress

if TYPE_CHECKING:
    from tqdm import tqdm

_BUILT = ("torchvision:", "file:")


@dataclass(frozen=True)
class GivenNetwork:
    """A network that a user named.

    Attributes
    ----------
    name : str
    given : str
        As the user wrote it.
    model : nn.Module
    card : Card or None
        What is known of it, where a card is beside its weights.
    """

    name: str
    given: str
    model: nn.Module
    card: networks.Card | None = None


def open_networks(
    given: Sequence[str],
    architecture: str | None,
    dataset: str | None,
    selection: tuple[str, Path, int | None],
    seed: int = 0,
) -> tuple[list[GivenNetwork], ImageSet]:
    """Load networks and the images on which they are compared.

    Parameters
    ----------
    given : sequence of str
        Weights (``.safetensors`` with a card, or ``.pt``, ``.pth``, ``.th``), ``torchvision:NAME[:WEIGHTS]`` or
        ``file:PATH.py:FUNCTION``.
    architecture : str, optional
        Of the weights without a card.
    dataset : str, optional
        That of the cards unless given.
    selection : (split, root, limit)
        As `netalike.data.load` takes it.
    seed : int
        Of networks that are built with random weights.

    Returns
    -------
    list of GivenNetwork
    ImageSet

    Raises
    ------
    NetalikeError
        If a file is missing or of another architecture, no card says the data set or two say different ones, or a
        network does not take the images.
    """
    refuse_one(given)
    names = _names(given)
    cards = [_card(one) for one in given]
    said = list(dict.fromkeys(card.dataset for card in cards if card and card.dataset))
    if dataset is None and len(said) != 1:
        for one in given:
            if not _is_built(one) and not Path(one).is_file():
                networks.load(one)  # says that there is no such file
        what = f"the cards say {' and '.join(said)}" if said else "no card says a data set"
        raise NetalikeError(f"{what}: name the one on which the networks are compared with -d.")
    images = data.load(dataset or said[0], *selection)
    size = int(images.inputs(0, 1).shape[1]), len(images.classes)
    found = []
    for name, one, card in zip(names, given, cards, strict=True):
        model = _load(one, card, architecture, size, seed)
        _check_images(model, images, one)
        found.append(GivenNetwork(name, one, model, card))
    return found, images


def _is_built(given: str) -> bool:
    return given.startswith(_BUILT)


def _names(given: Sequence[str]) -> list[str]:
    if len(set(given)) < len(given):
        twice = next(one for i, one in enumerate(given) if one in given[:i])
        raise NetalikeError(f"{twice} is given twice: expected each network once.")
    files = [Path(one) for one in given if not _is_built(one)]
    named = iter(short_names(files, (".safetensors", *FOREIGN)))
    names = [one if _is_built(one) else next(named) for one in given]
    return names if len(set(names)) == len(names) else list(given)


def _card(given: str) -> networks.Card | None:
    is_ours = not _is_built(given) and Path(given).suffix == ".safetensors"
    return networks.read_card(given) if is_ours else None


def _load(
    given: str, card: networks.Card | None, architecture: str | None, size: tuple[int, int], seed: int
) -> nn.Module:
    if _is_built(given):
        return networks.build(given, *size, seed).eval()
    return networks.load(given, architecture if card is None else None, *(size if card is None else (None, None)))[0]


def _check_images(model: nn.Module, images: ImageSet, given: str) -> None:
    """Refuse images that the network does not take, before anything is computed."""
    first = images.inputs(0, 1)
    try:
        with torch.no_grad():
            model(first)
    except RuntimeError as error:
        raise ShapeError(
            f"{given} does not take the images of {images.name}, {' x '.join(map(str, first.shape[1:]))} "
            f"({str(error).splitlines()[0]}): choose another data set with -d."
        ) from error


def record_networks(
    found: Sequence[GivenNetwork],
    images: ImageSet,
    layers: Sequence[str],
    max_units: int | None = None,
    seed: int = 0,
    batch_size: int = 250,
    device: str | torch.device = "cpu",
) -> list[GivenActivations]:
    """Run networks over images, and keep units of their layers.

    Parameters
    ----------
    found : sequence of GivenNetwork
    images : ImageSet
        n of them.
    layers : sequence of str
        Exact names, globs, or ``blocks``. Where each network is left with one, they need not have the same name.
    max_units : int, optional
        Of a layer with more units so many are kept, the same in all networks of that width.
    seed : int
        Of that choice.
    batch_size : int
    device : str or torch.device

    Returns
    -------
    list of GivenActivations

    Raises
    ------
    UnknownNameError
        If there is no such layer; the nearest name is given.
    ShapeError
        If the networks are left with other layers.
    NetalikeError
        If a layer runs twice, or its output is not finite.

    Notes
    -----
    Memory: 4 bytes per network, layer, image and unit kept, and one batch of one network.
    """
    if not layers:
        raise NetalikeError("no layer is named: give -l LAYER (`netalike layers` lists them), or -l blocks.")
    known = [[name for name, _ in one.model.named_modules() if name] for one in found]
    wanted = [pattern for pattern in layers if pattern != BLOCKS]
    wanted += dict.fromkeys(name for one in found for name in _blocks(one.model, layers))
    chosen, names = match_layers([one.given for one in found], known, wanted)
    labels = np.asarray(images.labels, dtype=np.int64)
    recorded = []
    empty: list[None] = []
    with progress(empty, "recording", len(found) * len(images), shown=None, unit="image") as bar:
        for one, own in zip(found, chosen, strict=True):
            sizes = (max_units, seed, batch_size)
            parts = _record(one, dict(zip(own, names, strict=True)), images, sizes, device, bar)
            recorded.append(GivenActivations(one.name, tuple(names), labels, True, *parts, images.name, images.split))
    return recorded


def _blocks(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    return networks.blocks(model) if BLOCKS in patterns else []


def _record(
    one: GivenNetwork,
    layers: dict[str, str],
    images: ImageSet,
    sizes: tuple[int | None, int, int],
    device: str | torch.device,
    bar: tqdm[None],
) -> tuple[dict[str, Floats], dict[str, Indices], dict[str, int]]:
    """Record a network; `layers` is from its own names to the common ones."""
    max_units, seed, batch_size = sizes
    kept: dict[str, Floats] = {}
    units: dict[str, Indices] = {}
    widths: dict[str, int] = {}
    start = 0

    def keep(layer: str, output: Tensor) -> None:
        flat, name = output.flatten(1), layers[layer]
        if name not in kept:
            widths[name] = flat.shape[1]
            units[name] = kept_units(flat.shape[1], max_units, seed, name)
            kept[name] = np.empty((len(images), len(units[name])), np.float32)
        chosen = flat[:, torch.from_numpy(units[name]).to(flat.device)]
        kept[name][start : start + len(flat)] = chosen.float().cpu().numpy()

    with Recorder(one.model.to(device), list(layers), keep) as recorder:
        for start in range(0, len(images), batch_size):
            stop = min(start + batch_size, len(images))
            recorder.forward(images.inputs(start, stop).to(device))
            bar.update(stop - start)
    for own, name in layers.items():
        refuse_not_finite(kept[name], f"layer {own} of {one.given}")
    return kept, units, widths
