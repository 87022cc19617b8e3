"""Networks compared on each one's inverted images, and on the targets: similarity, STIR, asymmetry, and behaviour.

Network a is the row, whose inverted images are looked at; network b the column. Factors of rows that compare two
networks: ``images`` (``inverted``, ``targets``), ``seeds`` (what the inversion starts from; ``none`` on targets),
``control`` (``none``, or ``shuffled``: images of the one network against other images of the other), ``pair`` and
``training`` (see `inversion_roles`), ``eps_a``, ``eps_b``, ``same_eps``. Intervals are of a bootstrap over the pairs of
images; those of ``shuffled`` rows are of the permutations. Quantities:

``cka``, ``deconfounded_cka``, ``procrustes``
    Linear CKA of all images at once (estimators ``published``, ``unbiased``); deconfounded by the images; the
    Procrustes distance, for which 0 is the same.
``stir``
    CKA of the representations by network b of the targets and of the images inverted through network a (Nanda et al.
    2022): how much of a's invariances b shares.
``cka_asymmetry``
    Entry (a, b) of the matrix of CKA on inverted images less entry (b, a): of a network a with the larger ``eps``, or,
    of two with the same, with the earlier name.
``mean_cka``, ``mean_deconfounded_cka``, ``mean_procrustes``, ``mean_stir``, ``mean_cka_asymmetry``
    Means over pairs, by ``pair``, ``eps_a`` and ``eps_b``.
``cka_difference``, ``deconfounded_cka_difference``, ``procrustes_difference``
    Means on inverted images less those on targets, the same images resampled in both.
``agreement``, ``target_accuracy``
    See `inversion_behaviour`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netalike.comparison import Member
from netalike.data import ImageSet
from netalike.errors import ShapeError, unknown_name
from netalike.experiments.inversion import Pairs, on_pixels, pairs_of
from netalike.experiments.inversion_behaviour import Behaviour, heads_of
from netalike.experiments.inversion_pictures import Gallery
from netalike.experiments.inversion_roles import Role, pair_condition, roles_of
from netalike.experiments.inversion_summaries import summary_rows, with_interval
from netalike.inversion import MEASURES, represent, representation_layer
from netalike.inversion.comparing import PUBLISHED, UNBIASED, OneSet, Prepared
from netalike.inversion.resampling import image_weights
from netalike.networks.pixels import pixels
from netalike.progress import progress as progress_bar

Row = dict[str, Any]
Floats = NDArray[np.float64]
Pair = tuple[str, str]
N_BOOT = 500
"""Resamples of the pairs of images."""
N_NULL = 10
"""Permutations of the rows."""

# Prepared representations of the targets are kept together up to so many bytes, and made again beyond.
_KEPT = 1e9
_STIR = (PUBLISHED, UNBIASED)


@dataclass(frozen=True, eq=False)
class Compared:
    """Every ordered pair of networks on one kind of images.

    Attributes
    ----------
    images, seeds : str
        As in the conditions.
    samples : dict of (row, column) to dict of measure to array, shape (n_boot + 1,)
        Entry 0 is of the sample, the others of its resamples.
    nulls : dict of (row, column) to dict of measure to array, shape (permutations,)
    reasons : dict of (row, column) to dict of measure to str
        Why there is no number.
    """

    images: str
    seeds: str
    samples: dict[Pair, dict[str, Floats]] = field(default_factory=dict)
    nulls: dict[Pair, dict[str, Floats]] = field(default_factory=dict)
    reasons: dict[Pair, dict[str, str]] = field(default_factory=dict)

    def add(self, pair: Pair, one_set: OneSet, a: Prepared, b: Prepared) -> None:
        """Compare two representations, and their images in other orders."""
        self.samples[pair] = one_set.compare(a, b)
        missing = [name for name, values in self.samples[pair].items() if np.isnan(values[0])]
        self.reasons[pair] = {name: one_set.reason(a, b, name) for name in missing}
        if len(one_set.permutations) and pair[0] != pair[1]:
            self.nulls[pair] = one_set.shuffled(a, b)

    def mirror(self, a: str, b: str) -> None:
        """Take the pair (b, a) for (a, b) as well: on one set of images similarity is symmetric."""
        self.samples[a, b], self.reasons[a, b] = self.samples[b, a], self.reasons[b, a]
        if (b, a) in self.nulls:
            self.nulls[a, b] = self.nulls[b, a]

    def rows(self, roles: Mapping[str, Role], n_samples: int) -> Iterator[Row]:
        """Yield a row for each pair and measure, and one with shuffled images."""
        for (a, b), found in self.samples.items():
            told = {"network_a": a, "network_b": b, "n_samples": n_samples}
            for measure, values in found.items():
                yield {**told, **self._row(measure, roles[a], roles[b], values, self.reasons[a, b].get(measure))}
            for measure, values in self.nulls.get((a, b), {}).items():
                drawn = np.concatenate([[values.mean()], values])
                reason = self.reasons[a, b].get(measure)
                yield {**told, **self._row(measure, roles[a], roles[b], drawn, reason, "shuffled")}

    def _row(self, measure: str, a: Role, b: Role, drawn: Floats, reason: str | None, control: str = "none") -> Row:
        quantity, estimator = measure.split("/")
        words = pair_condition(a, b, images=self.images, seeds=self.seeds, control=control)
        told = {"quantity": quantity, "estimator": estimator, "condition": words}
        return {**told, **with_interval(drawn, reason or "")}


def compare_networks(
    members: Sequence[Member],
    inverted: Mapping[str, Tensor],
    images: ImageSet,
    study: Mapping[str, Any],
    eps: Mapping[str, float],
    device: str | torch.device | None = None,
    progress: bool | None = False,
) -> tuple[list[Row], dict[str, NDArray[Any]]]:
    """Compare all networks of a study on the images that were inverted through each of them.

    Parameters
    ----------
    members : sequence of Member
        Networks and untrained twins (`inversion.participants`).
    inverted : mapping of str to Tensor, shape (pairs, channels, height, width)
        By ``NAME/KIND``, of every member and kind of seeds (`inversion.invert_network`).
    images : ImageSet
        The same that were inverted.
    study : mapping
        ``seed_images, pairs, batch_size, seed, members``.
    eps : mapping of network to float
    device, progress
        As `represent` takes them.

    Returns
    -------
    rows : list of dict
        See the head of this module.
    pictures : dict of array
        For the gallery, see `inversion_pictures`.

    Raises
    ------
    UnknownNameError, ShapeError
        If images of a network are missing, or are not as many as the pairs.

    Notes
    -----
    Each representation is computed once, and its Gram matrix shared by all pairs on its set of images.
    ``O(kinds networks^2 (n_boot + width) n^2)`` for n pairs of images; one row of representations is in memory at a
    time.
    """
    kinds = list(study["seed_images"])
    run = _Run(members, images, study, eps, device)
    on_targets = run.on_targets()
    gallery = Gallery(run.roles, pairs_of(images, study, kinds[0]), images.classes)
    rows = [*on_targets.rows(run.roles, run.n), *summary_rows(on_targets, run.roles), *run.behaviour.target_rows()]
    for kind in kinds:
        found, shared = Compared("inverted", kind), Compared("inverted", kind)
        for name in progress_bar(list(run.roles), f"comparing, seeds {kind}", shown=progress, unit="network"):
            own = _images_of(inverted, name, kind, run.n)
            representations = {other: run.represent(other, own) for other in run.roles}
            run.compare_row(name, own, representations, found, shared)
            rows += run.behaviour.inverted_rows(name, representations, kind)
            if kind == kinds[0]:
                gallery.add(name, own, representations[name], run.targets[name])
        rows += [*found.rows(run.roles, run.n), *_renamed(shared.rows(run.roles, run.n))]
        rows += [*summary_rows(found, run.roles, on_targets), *_renamed(summary_rows(shared, run.roles))]
    return [{**row, **run.layers_of(row)} for row in rows], gallery.arrays()


class _Run:
    """What is the same for all sets of images."""

    def __init__(
        self,
        members: Sequence[Member],
        images: ImageSet,
        study: Mapping[str, Any],
        eps: Mapping[str, float],
        device: str | torch.device | None,
    ) -> None:
        self.roles = roles_of(members, study["members"], eps)
        self.device, self.batch_size = device, max(int(study["batch_size"]), 64)
        pairs = pairs_of(images, study, study["seed_images"][0])
        self.target_images, self.n = pairs.targets, len(pairs.targets)
        self.networks = {member.name: on_pixels(member, images) for member in members}
        for network in self.networks.values():
            network.to(device or "cpu")
        self.layers = {name: representation_layer(one, pairs.targets) for name, one in self.networks.items()}
        self.weights = image_weights(self.n, N_BOOT, study["seed"])
        generator = torch.Generator().manual_seed(study["seed"])
        self.orders = torch.stack([torch.randperm(self.n, generator=generator) for _ in range(N_NULL)])
        self.targets = {name: self.represent(name, pairs.targets) for name in self.roles}
        self.behaviour = self._behaviour(images, pairs)
        self._prepared: dict[str, Prepared] = {}

    def _behaviour(self, images: ImageSet, pairs: Pairs) -> Behaviour:
        rest = images.take(np.setdiff1d(np.arange(len(images)), pairs.target_rows))
        to_fit = {name: self.represent(name, pixels(rest)) for name in self.roles} if len(rest) else {}
        heads = heads_of(self.networks, self.layers, to_fit, rest.labels, len(images.classes))
        return Behaviour(heads, self.roles, self.targets, pairs.target_labels, self.weights)

    def represent(self, name: str, images: Tensor) -> Tensor:
        """Compute the representations of images by one network, (n, p)."""
        return represent(self.networks[name], images, self.layers[name], self.batch_size, self.device)

    def on_targets(self) -> Compared:
        """Compare all networks on the targets: symmetric, so that each pair is computed once."""
        one_set = OneSet(self.weights, self.orders, MEASURES, self.target_images)
        found, names = Compared("targets", "none"), list(self.roles)
        for i, a in enumerate(names):
            own = self._of_targets(a, one_set)
            for b in names[i:]:
                found.add((a, b), one_set, own, own if a == b else self._of_targets(b, one_set))
        for i, a in enumerate(names):
            for b in names[:i]:
                found.mirror(a, b)
        return found

    def compare_row(
        self,
        name: str,
        images: Tensor,
        representations: Mapping[str, Tensor],
        found: Compared,
        shared: Compared,
    ) -> None:
        """Compare one network with all others on its inverted images; `shared` takes what STIR is of."""
        one_set = OneSet(self.weights, self.orders, MEASURES, images)
        stir = OneSet(self.weights, self.orders[:0], _STIR)
        own = one_set.prepare(representations[name])
        for other, representation in representations.items():
            prepared = own if other == name else one_set.prepare(representation)
            found.add((name, other), one_set, own, prepared)
            shared.add((name, other), stir, self._of_targets(other, one_set), prepared)

    def _of_targets(self, name: str, one_set: OneSet) -> Prepared:
        """Prepare what a network says of the targets, once where there is memory for all."""
        if name in self._prepared:
            return self._prepared[name]
        prepared = one_set.prepare(self.targets[name])
        if len(self.roles) * self.n * (self.n + N_BOOT) * 8 <= _KEPT:
            self._prepared[name] = prepared
        return prepared

    def layers_of(self, row: Row) -> Row:
        """The layers of the networks of a row."""
        return {f"layer_{side}": self.layers.get(str(row.get(f"network_{side}", "")), "") for side in "ab"}


def _images_of(inverted: Mapping[str, Tensor], name: str, kind: str, n: int) -> Tensor:
    key = f"{name}/{kind}"
    if key not in inverted:
        raise unknown_name("network and kind of seeds with inverted images", key, inverted)
    images = inverted[key]
    if len(images) != n:
        raise ShapeError(f"inverted images of {key}: expected one per pair, {n}, got {len(images)}.")
    return images


def _renamed(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows of STIR are made as those of CKA."""
    yield from ({**row, "quantity": str(row["quantity"]).replace("cka", "stir")} for row in rows)
