"""Who takes part in the stitches of a panel, controls included, and what all of them compute of some images at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor, nn

from netalike.activations import Recorder
from netalike.comparison import Member, UnitsInAnotherOrder
from netalike.data import ImageSet
from netalike.errors import unknown_name
from netalike.evidence.rows import kind
from netalike.experiments.stitching import PermutedTwin
from netalike.measures.sources import NOISE, batch_permutation
from netalike.networks import Network
from netalike.networks.folding import folded_copy
from netalike.networks.running import fast_layout
from netalike.stitching.splitting import Split, resized, split

Layouts = Mapping[str, torch.memory_format]

_LARGEST_BATCH = 128
_BUDGET = 2e8  # bytes of the activations of a batch; two batches are there while one follows the other


@dataclass(frozen=True)
class Representation:
    """What a front gives to a stitching layer, or an end network computes itself.

    Attributes
    ----------
    network, layer : str
        As the rows have them.
    shape : tuple of int
        (C, h, w) or (C,): of one image, after it was resized to the end layer's height and width.
    """

    network: str
    layer: str
    shape: tuple[int, ...]

    @property
    def units(self) -> int:
        """Numbers per image."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class NoiseFront(Split):
    """Independent standard normal numbers in the place of a network's activation, others for every image.

    Attributes
    ----------
    noise_shape : tuple of int
        (C, h, w) or (C,).
    seed : int

    Notes
    -----
    The numbers are drawn from the image itself (SHA-256 of its pixels) and the seed: the same image has the same noise
    in every batch, as an activation has, and nothing about the image can be read from it.
    """

    noise_shape: tuple[int, ...]
    seed: int

    @classmethod
    def of_shape(cls, shape: tuple[int, ...], seed: int) -> NoiseFront:
        """Make noise of some shape."""
        return cls(nn.Identity(), NOISE, (), (), noise_shape=tuple(shape), seed=seed)

    def head(self, images: Tensor) -> Tensor:
        """Return noise for images (n, channels, height, width), shape (n, *noise_shape)."""
        return torch.stack([self._of(image) for image in images.detach().cpu()]).to(images.device)

    def _of(self, image: Tensor) -> Tensor:
        digest = hashlib.sha256(image.contiguous().numpy().tobytes() + str(self.seed).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return torch.randn(self.noise_shape, generator=generator)


@dataclass(frozen=True, eq=False)
class Cast:
    """The networks of a panel by name, with the controls that are made from them.

    Attributes
    ----------
    members : dict of str to Member
        Trained networks and untrained twins.
    seed : int
        Of noise and of permutations.
    device : torch.device
    """

    members: Mapping[str, Member]
    seed: int
    device: torch.device
    _shapes: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    _classes: dict[str, int] = field(default_factory=dict)
    _splits: dict[Representation, Split] = field(default_factory=dict)

    @classmethod
    def of(cls, members: Sequence[Member], seed: int, device: str | torch.device) -> Cast:
        """Put the networks on the device, frozen: batch norm is folded into the convolutions."""
        frozen = [replace(each, model=folded_copy(each.model, keep=each.layers).to(device)) for each in members]
        return cls({member.name: member for member in frozen}, seed, torch.device(device))

    def member(self, name: str) -> Member:
        """Return the network behind a name, which may be that of a control made from it.

        Raises
        ------
        UnknownNameError
            If there is no such network.
        """
        known = name.rpartition("@")[0] if kind(name) in ("permuted_samples", "permuted_units") else name
        if known not in self.members:
            raise unknown_name("network of this panel", name, self.members)
        return self.members[known]

    def layers(self, name: str) -> list[str]:
        """Return the layers of a network or control; those of noise are whatever it is compared with."""
        return self.member(name).layers

    def shape(self, name: str, layer: str, example: Tensor) -> tuple[int, ...]:
        """Return the shape of a layer for one image; each network runs once for all its layers.

        Parameters
        ----------
        name, layer : str
        example : Tensor, shape (1, channels, height, width)
        """
        self._try(self.member(name), example)
        return self._shapes[self.member(name).name][layer]

    def classes(self, name: str, example: Tensor) -> int:
        """Return the number of logits of a network; see `shape`."""
        self._try(self.member(name), example)
        return self._classes[self.member(name).name]

    def _try(self, member: Member, example: Tensor) -> None:
        if member.name not in self._shapes:
            found, logits = self.run(member.name, example.to(self.device), member.layers)
            self._shapes[member.name] = {layer: tuple(values.shape[1:]) for layer, values in found.items()}
            self._classes[member.name] = logits.shape[1]

    def split(self, found: Representation) -> Split:
        """Return a network, or a control, in two parts.

        Raises
        ------
        NetalikeError
            If the network cannot be split there.
        """
        if found not in self._splits:
            self._splits[found] = self._split(found)
        return self._splits[found]

    def _split(self, found: Representation) -> Split:
        if found.network == NOISE:
            return NoiseFront.of_shape(found.shape, self.seed)
        own = split(self.member(found.network).model, found.layer)
        if kind(found.network) != "permuted_units":
            return own
        parts = {entry.name: getattr(own, entry.name) for entry in fields(Split)}
        return PermutedTwin(**parts, order=self.unit_order(found.network, found.layer, found.shape[0]))

    def unit_order(self, name: str, layer: str, channels: int) -> Tensor:
        """Return the order of the units that the recordings of ``<id>@permuted_units`` have, too."""
        units = {each: np.arange(channels, dtype=np.float32)[None] for each in self.layers(name)}
        return torch.from_numpy(UnitsInAnotherOrder(units, self.seed)[layer][0].astype(np.int64))

    def images(self, name: str, images: ImageSet) -> ImageSet:
        """Return the images that a network sees: in another order for ``<id>@permuted_samples``."""
        if kind(name) != "permuted_samples":
            return images
        return images.take(batch_permutation(len(images), len(images), self.seed))

    def run(self, name: str, inputs: Tensor, layers: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
        """Run a network; return what its layers gave, and its logits (n, classes)."""
        member = self.member(name)
        kept: dict[str, Tensor] = {}
        # a network from outside may work in place, and then a later layer changes what an earlier one returned
        is_own = isinstance(member.model, Network)

        def keep(layer: str, output: Tensor) -> None:
            kept[layer] = output if is_own else output.clone()

        with Recorder(member.model, layers, keep) as recorder:
            logits = recorder.forward(inputs)
        return kept, logits


@dataclass(frozen=True, eq=False)
class Looked:
    """What all networks make of some images.

    Attributes
    ----------
    activations : dict of Representation to Tensor, shape (n, *shape)
    logits : dict of str to Tensor, shape (n, classes)
        Of every network that ran on the images in their own order.
    """

    activations: dict[Representation, Tensor]
    logits: dict[str, Tensor]


class Onlookers:
    """Run every network once over images, batch by batch, for all representations that are asked for.

    Parameters
    ----------
    cast : Cast
    wanted : sequence of Representation

    Notes
    -----
    No activation outlives its batch, which is chosen so large that all its activations take at most 2e8 bytes, however
    many networks there are.
    """

    def __init__(self, cast: Cast, wanted: Sequence[Representation]) -> None:
        self._cast = cast
        self._wanted = list(dict.fromkeys(wanted))
        self._needed: dict[str, list[str]] = {}
        for found in self._wanted:
            if found.network != NOISE:
                layers = self._needed.setdefault(self._runner(found.network), [])
                layers += [found.layer] if found.layer not in layers else []

    @property
    def networks(self) -> int:
        """How many networks run."""
        return len(self._needed)

    def batch_size(self, images: int) -> int:
        """Return how many images are looked at together."""
        single = sum(4 * found.units for found in self._wanted)
        return max(1, min(_LARGEST_BATCH, images, int(_BUDGET / single)))

    @contextmanager
    def ready(self) -> Iterator[Layouts]:
        """Lay the weights out as is fastest; yields the layout of the inputs of each network."""
        with ExitStack() as stack:
            layouts: dict[str, torch.memory_format] = {}
            for name in self._needed:
                member = self._cast.member(name)
                if member.name not in layouts:
                    layouts[member.name] = stack.enter_context(fast_layout(member.model, self._cast.device))
            yield layouts

    def views(self, images: ImageSet) -> dict[str, ImageSet]:
        """Return the images as each network sees them, and as noise does."""
        return {name: self._cast.images(name, images) for name in (*self._needed, NOISE)}

    def look(self, views: Mapping[str, ImageSet], start: int, stop: int, layouts: Layouts) -> Looked:
        """Run all networks on the images start..stop.

        Parameters
        ----------
        views : mapping of str to ImageSet
            From `views`.
        start, stop : int
        layouts : mapping
            From `ready`.
        """
        kept: dict[tuple[str, str], Tensor] = {}
        logits: dict[str, Tensor] = {}
        for name, layers in self._needed.items():
            member = self._cast.member(name)
            inputs = views[name].inputs(start, stop).to(self._cast.device, memory_format=layouts[member.name])
            found, logits[name] = self._cast.run(name, inputs, layers)
            kept |= {(name, layer): values for layer, values in found.items()}
        inputs = views[NOISE].inputs(start, stop).to(self._cast.device)
        return Looked({each: self._one(each, kept, inputs) for each in self._wanted}, logits)

    def _one(self, found: Representation, kept: Mapping[tuple[str, str], Tensor], inputs: Tensor) -> Tensor:
        if found.network == NOISE:
            return NoiseFront.of_shape(found.shape, self._cast.seed).head(inputs)
        values = kept[self._runner(found.network), found.layer]
        if kind(found.network) == "permuted_units":
            values = values[:, self._cast.unit_order(found.network, found.layer, found.shape[0]).to(values.device)]
        return resized(values, found.shape)

    def _runner(self, name: str) -> str:
        """Under which name a network runs: other units are read off its own run, other samples need one more."""
        return self._cast.member(name).name if kind(name) == "permuted_units" else name
