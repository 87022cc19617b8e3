"""The networks of a panel compared on images inverted through each of them, and by the invariances that they share.

Network a is the one whose inverted images are looked at, so that the two directions of a pair differ. What is compared
is the input of the last linear layer, one representation of each network. Quantities (estimators):

``inverted_cka`` (``biased``, ``unbiased``)
    Linear CKA of the two networks on the images inverted through network a from images of other classes (Jones et al.
    2022). A network with itself: 1 exactly.
``stir`` (``cka``)
    CKA of what network b says of the targets and of the images inverted through network a from noise: how much of a's
    invariances b shares (Nanda et al. 2022). A network with itself: how well its own inversion worked, below 1.

Controls: ``<id>@permuted_samples`` sees the inverted images in another order, ``<id>@permuted_units`` has its units in
another order; both are inverted as ``<id>`` is. ``noise`` answers to every set of images by independent normal numbers;
nothing can be inverted through it, so that it is only ever network b. An untrained twin is a network like any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netalike.comparison import Member
from netalike.data import ImageSet
from netalike.errors import unknown_name
from netalike.evidence.measurements import condition
from netalike.evidence.metering import Meter
from netalike.evidence.rows import relation
from netalike.experiments.inversion import invert_network, on_pixels, pairs_of
from netalike.experiments.inversion_comparison import N_BOOT, Compared, _images_of
from netalike.experiments.inversion_summaries import with_interval
from netalike.inversion import represent, representation_layer
from netalike.inversion.comparing import PUBLISHED, UNBIASED, OneSet, Prepared
from netalike.inversion.resampling import image_weights
from netalike.measures.panel import PERMUTED, PERMUTED_UNITS
from netalike.measures.sources import NOISE, batch_permutation, noise
from netalike.progress import progress as progress_bar

Row = dict[str, Any]
Pair = tuple[str, str]

# What images are inverted from -> measure of one set of images -> quantity and estimator of the rows.
_MEASURES = {
    "other_class": {PUBLISHED: ("inverted_cka", "biased"), UNBIASED: ("inverted_cka", "unbiased")},
    "noise": {PUBLISHED: ("stir", "cka")},
}


def invert_members(
    members: Sequence[Member],
    images: ImageSet,
    panel: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str | torch.device | None = None,
    checkpoints: Path | None = None,
    progress: bool | None = False,
    meter: Meter | None = None,
) -> dict[str, Tensor]:
    """Invert the same pairs of images through every network of a panel.

    Parameters
    ----------
    members : sequence of Member
        Trained networks and untrained twins. Controls that are made of one of them need no inversion of their own.
    images : ImageSet
        Of the test split; seeds and targets are drawn from them.
    panel : mapping
        ``seed``.
    settings : mapping
        ``pairs``, ``iterations``, ``step_size``, ``batch_size``, ``mode`` (``published`` or ``fast``), and
        ``seed_images``: of ``other_class`` (for inverted CKA) and ``noise`` (for STIR).
    device, progress
        As `netalike.inversion.invert_images` takes them; the bar counts networks.
    checkpoints : Path, optional
        Folder of what was inverted before a break.
    meter : Meter, optional
        Takes the seconds and memory of each kind of seeds, for the measures that need it.

    Returns
    -------
    dict of str to Tensor, shape (pairs, channels, height, width), float32
        By network and kind of seeds, ``NAME/KIND``; `inversion.write_inverted` and `read_inverted` store them.

    Raises
    ------
    UnknownNameError
        If a kind of seeds is of no measure here.
    NetalikeError
        If there are fewer images than pairs, or they are not of the test split.

    Notes
    -----
    Costs ``6 pairs x iterations`` times a network's multiply-adds, per network and kind.
    """
    inverted: dict[str, Tensor] = {}
    for kind in _kinds(settings):
        study = {**_study(panel, settings), "seed_images": [kind]}
        bar = progress_bar(members, f"inverting, seeds {kind}", shown=progress, unit="network")
        with _metered(meter, "networks", kind, len(members)):
            for member in bar:
                inverted |= invert_network(member, images, study, checkpoints, device=device)[1]
    return inverted


def inverted_rows(
    members: Sequence[Member],
    inverted: Mapping[str, Tensor],
    images: ImageSet,
    pairs: Sequence[Pair],
    panel: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str | torch.device | None = None,
    progress: bool | None = False,
    meter: Meter | None = None,
) -> list[Row]:
    """Compare pairs of networks of a panel on the images that were inverted through either.

    Parameters
    ----------
    members : sequence of Member
        At least the networks of the pairs; a control that is made of another network needs that network.
    inverted : mapping of str to Tensor
        By `invert_members`.
    images : ImageSet
        The same that were inverted.
    pairs : sequence of (str, str)
        Both directions of each are compared; those that answer no question (`evidence.rows.relation`) are left out.
    panel : mapping
        ``members`` (network id to family) and ``seed``.
    settings : mapping
        As `invert_members` takes them.
    device, progress
        As there.
    meter : Meter, optional
        Takes the seconds and memory of the comparisons, by measure.

    Returns
    -------
    list of dict
        See the head of this module. Intervals (95 %) are of a bootstrap over the pairs of images, the same resamples in
        all rows.

    Raises
    ------
    UnknownNameError, ShapeError
        If a network or its images are missing, or the images are not as many as the pairs.

    Notes
    -----
    Each representation of a set of images is computed once; one network's set is in memory at a time.
    ``O(pairs^2 (n_boot + width))`` for each direction, and a forward pass.
    """
    run = _Run(members, inverted, images, panel, settings, device)
    rows: list[Row] = []
    columns_of = _directions(pairs, panel["members"])
    count = len({frozenset((row, column)) for row, columns in columns_of.items() for column in columns})
    for kind in _kinds(settings):
        bar = progress_bar(list(columns_of), f"comparing, seeds {kind}", shown=progress, unit="network")
        with _metered(meter, "pairs", kind, count):
            for row in bar:
                found = run.compare(row, columns_of[row], kind)
                rows += _rows(found, _MEASURES[kind], panel["members"])
    return [{**row, **run.facts(row)} for row in rows]


class _Run:
    """What is the same for all sets of inverted images."""

    def __init__(
        self,
        members: Sequence[Member],
        inverted: Mapping[str, Tensor],
        images: ImageSet,
        panel: Mapping[str, Any],
        settings: Mapping[str, Any],
        device: str | torch.device | None,
    ) -> None:
        study = _study(panel, settings)
        self.seed, self.batch_size, self.device = study["seed"], max(int(study["batch_size"]), 64), device
        self.inverted, self.n = inverted, study["pairs"]
        self.target_images = pairs_of(images, study, "other_class").targets
        self.networks = {member.name: on_pixels(member, images).to(device or "cpu") for member in members}
        self.layers = {name: representation_layer(one, self.target_images) for name, one in self.networks.items()}
        self.weights = image_weights(self.n, N_BOOT, self.seed)
        self.order = batch_permutation(self.n, self.n, self.seed)
        self._targets: dict[str, Prepared] = {}

    def compare(self, row: str, columns: Sequence[str], kind: str) -> Compared:
        """Compare one network with others on its inverted images, or these with the targets."""
        one_set = OneSet(self.weights, torch.empty(0, self.n, dtype=torch.int64), tuple(_MEASURES[kind]))
        shown = _images_of(self.inverted, self.network_of(row), kind, self.n)
        found, own = Compared("inverted", kind), one_set.prepare(self.represent(row, shown))
        for column in columns:
            first = self.of_targets(column, one_set) if kind == "noise" else own
            seen = own if column == row else one_set.prepare(self._in_order(row, column, shown))
            found.add((row, column), one_set, first, seen)
        return found

    def of_targets(self, name: str, one_set: OneSet) -> Prepared:
        """Prepare what a network says of the targets, once."""
        if name not in self._targets:
            self._targets[name] = one_set.prepare(self.represent(name, self.target_images, stream=1))
        return self._targets[name]

    def represent(self, name: str, images: Tensor, stream: int = 0) -> Tensor:
        """Compute the representations of images by a network or control, (n, p); noise has a `stream` for each set."""
        if name == NOISE:
            return noise(self.n, self.seed + stream).features
        network = self.network_of(name)
        found = represent(self.networks[network], images, self.layers[network], self.batch_size, self.device)
        if not name.endswith(PERMUTED_UNITS) or name == network:
            return found
        width = found.shape[1]
        return found[:, batch_permutation(width, width, self.seed)]

    def _in_order(self, row: str, column: str, images: Tensor) -> Tensor:
        """What the column says of the images; in another order if the samples of one of the two are permuted."""
        found = self.represent(column, images)
        return found[self.order] if row.endswith(PERMUTED) != column.endswith(PERMUTED) else found

    def network_of(self, name: str) -> str:
        """Return the member that a network or control is made of."""
        base = name.removesuffix(PERMUTED).removesuffix(PERMUTED_UNITS)
        for known in (name, base):
            if known in self.networks:
                return known
        raise unknown_name("network of the panel", name, self.networks)

    def facts(self, row: Row) -> Row:
        """The layers of the networks of a row, and the number of pairs of images."""
        networks = {side: row[f"network_{side}"] for side in "ab"}
        layers = {
            f"layer_{side}": NOISE if name == NOISE else self.layers[self.network_of(name)]
            for side, name in networks.items()
        }
        return {**layers, "n_samples": self.n}


def _study(panel: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A panel as a study of inversion, in which no network is attacked."""
    return {**settings, "seed": panel["seed"], "attack_eps": ()}


def _kinds(settings: Mapping[str, Any]) -> list[str]:
    kinds = list(settings["seed_images"])
    for kind in kinds:
        if kind not in _MEASURES:
            raise unknown_name("kind of seed images of a panel", kind, _MEASURES)
    return kinds


def _directions(pairs: Sequence[Pair], families: Mapping[str, str]) -> dict[str, list[str]]:
    """Both directions of the pairs, by network a, each once."""
    columns: dict[str, list[str]] = {}
    for one in pairs:
        for a, b in dict.fromkeys([one, one[::-1]]):
            if a != NOISE and relation(a, b, families) is not None and b not in columns.setdefault(a, []):
                columns[a].append(b)
    return columns


def _rows(found: Compared, measures: Mapping[str, Pair], families: Mapping[str, str]) -> Iterator[Row]:
    for (a, b), samples in found.samples.items():
        told = {"network_a": a, "network_b": b, "condition": condition(pair=relation(a, b, families))}
        for measure, (quantity, estimator) in measures.items():
            number = with_interval(samples[measure], found.reasons[a, b].get(measure, ""))
            yield {**told, "quantity": quantity, "estimator": estimator, **number}


def _metered(meter: Meter | None, what: str, kind: str, count: int) -> contextlib.AbstractContextManager[None]:
    """Measure what the measures of a kind of seeds cost; those of one kind are computed together."""
    if meter is None:
        return contextlib.nullcontext()
    together = "+".join("/".join(names) for names in _MEASURES[kind].values())
    return meter.networks(together, count) if what == "networks" else meter.pairs(together, count)
