"""Stitches of all pairs of networks of a panel, both ways, at matched layers: by least squares and on the task loss.

The stitching layer is affine (Csiszarik et al. 2021): a 1 x 1 convolution between maps, where the front's is resized
(bilinear) to the end's height and width, or a linear map between vectors. A map and a vector have no stitch (status).
Controls are fronts alone, since what goes into an untrained network says nothing about the other one; only two
untrained networks are stitched both ways. Noise, which has no layers, stands in for every layer of the end network.

Relative accuracy is undefined where the end network was trained on another task, or is not right more often than by
chance: the share of the most frequent class plus two standard errors. Before an end network of another task, a stitch
is trained on what that network itself predicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from netalike.comparison import Member
from netalike.data import ImageSet
from netalike.errors import NetalikeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.evidence.metering import Meter
from netalike.evidence.rows import kind, relation
from netalike.experiments.panel_fronts import Cast, Layouts, Looked, Onlookers, Representation
from netalike.experiments.panel_sums import SharedSums
from netalike.measures.recorded import matched_layers
from netalike.measures.sources import NOISE
from netalike.progress import progress as progress_bar
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import check_shapes
from netalike.stitching.training import Batch, Pair, train_stitch
from netalike.stitching.transform import StitchingLayer

METHODS = ("least_squares", "task_loss")
QUANTITIES = ("relative_accuracy", "stitched_agreement")

Row = dict[str, Any]
_Item = TypeVar("_Item")

# Tasks whose labels are those of the data set, on the images as they are.
_LABELLED = ("classes", "shortcut")
# train_stitch looks at the loss of some images after every epoch; the evaluation comes later.
_GLANCE = 8
_MEMORY_GB = 0.5  # of the activations that the training of one stitch keeps


@dataclass(eq=False)
class _Seam:
    """A front, and the end network that goes on from it.

    Attributes
    ----------
    x, y : Representation
        Given by the front, resized; and the end network's own.
    pair : str
        Relation of the two networks.
    methods : list of str
        By which a stitch is made here.
    problem : str
        Why there is no stitch, or nothing.
    layers : dict of str to StitchingLayer
        By method.
    found : dict of str to list of Tensor
        By method, the classes that the stitched network predicts, batch by batch.
    failed : dict of str to str
        By method, why it made no stitch.
    """

    x: Representation
    y: Representation
    pair: str
    methods: list[str]
    problem: str = ""
    layers: dict[str, StitchingLayer] = field(default_factory=dict)
    found: dict[str, list[Tensor]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def status(self, method: str) -> str:
        """Why there is no stitch by a method, or nothing."""
        return self.problem or self.failed.get(method, "")


def stitch_pairs(
    members: Sequence[Member],
    pairs: Sequence[tuple[str, str]],
    train: ImageSet,
    test: ImageSet,
    panel: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str | torch.device = "cpu",
    progress: bool | None = None,
    meter: Meter | None = None,
) -> list[Row]:
    """Stitch the networks of each pair at matched layers, and look at what the stitched networks predict.

    Parameters
    ----------
    members : sequence of Member
        Trained networks and untrained twins.
    pairs : sequence of (str, str)
        Names, controls among them; a pair that answers no question (see `evidence.rows.relation`) is left out.
    train, test : ImageSet
        Stitches are made on the first, and judged on the second.
    panel : mapping
        ``members`` (network to family), ``seed``, and ``facts`` (network to its ``task``) where tasks differ.
    settings : mapping
        ``methods`` of `METHODS`, ``n_train``, ``n_test`` (the first so many images), ``task_loss_layers`` (at how many,
        evenly spaced, a stitch is trained), ``epochs``, ``batch_size`` and ``lr`` (Adam, from least squares on).
    device : str or torch.device
    progress : bool, optional
        None shows a bar on a terminal.
    meter : Meter, optional
        Of what the methods cost.

    Returns
    -------
    list of dict
        Without paper, experiment, data set, split and seed. By direction, layer and method: ``relative_accuracy``
        (accuracy over that of the end network) and ``stitched_agreement`` (share of the images on which the stitched
        network predicts what the end network predicts). ``network_a`` is the front, ``network_b`` the end.

    Raises
    ------
    UnknownNameError
        For a network or a method that does not exist.
    NetalikeError
        If there are no images.

    Notes
    -----
    Every network runs once on the training and once on the test images, batch by batch, whatever the number of pairs;
    of a pair only X'Y, the solution and the end network from its layer on are its own. Sums are in float64. Memory: two
    batches of all networks (2e8 bytes each), and (sum of channels)^2 numbers for each height and width.
    """
    _check(pairs, train, test, settings)
    train, test = train.take(slice(settings["n_train"])), test.take(slice(settings["n_test"]))
    cast = Cast.of(members, panel["seed"], device)
    seams = list(_seams(cast, pairs, panel["members"], train.inputs(0, 1), settings))
    other_tasks = {end: _other_task(cast, end, panel, train) for end in dict.fromkeys(seam.y.network for seam in seams)}
    work = _Work(cast, other_tasks, settings, progress, meter or Meter("stitching"))
    work.stitch(seams, train, test)
    return [row for seam in seams for method in seam.methods for row in _rows(seam, method, work, test)]


def task_loss_positions(layers: int, count: int) -> list[int]:
    """Choose layers of equal spacing: each in the middle of one of so many equal parts.

    Parameters
    ----------
    layers : int
        How many there are.
    count : int
        How many are wanted; all, if there are fewer.

    Returns
    -------
    list of int
        Ascending, from 0.
    """
    count = min(count, layers)
    return [int((i + 0.5) * layers / count) for i in range(count)]


def _check(pairs: Sequence[tuple[str, str]], train: ImageSet, test: ImageSet, settings: Mapping[str, Any]) -> None:
    if not settings["methods"]:
        raise NetalikeError(f"stitching needs a method: give one or more of {', '.join(METHODS)}.")
    for method in settings["methods"]:
        if method not in METHODS:
            raise unknown_name("method of stitching in a panel", method, METHODS)
    for images, name in ((train, "n_train"), (test, "n_test")):
        if min(len(images), settings[name]) < 1:
            raise NetalikeError(
                f"stitching needs images: {images.name} ({images.split}) has {len(images)} and {name} is "
                f"{settings[name]}; both have to be at least 1."
            )


# ---- where networks are joined ---------------------------------------------------------------------------------------


def _seams(
    cast: Cast,
    pairs: Sequence[tuple[str, str]],
    families: Mapping[str, str],
    example: Tensor,
    settings: Mapping[str, Any],
) -> Iterator[_Seam]:
    for front, end, pair in _directions(pairs, families):
        matched = _matched(cast, front, end)
        chosen = task_loss_positions(len(matched), settings["task_loss_layers"])
        for position, (layer_a, layer_b) in enumerate(matched):
            wanted = settings["methods"] if position in chosen else ("least_squares",)
            methods = [method for method in METHODS if method in settings["methods"] and method in wanted]
            if methods:
                yield _seam(cast, (front, layer_a), (end, layer_b), pair, methods, example)


def _directions(pairs: Sequence[tuple[str, str]], families: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield front, end and relation."""
    for a, b in pairs:
        pair = relation(a, b, families)
        if pair is None:
            continue
        for front, end in dict.fromkeys([(a, b), (b, a)]):
            # a control is no end, unless both are untrained
            if kind(end) == "trained" or kind(front) == kind(end):
                yield front, end, pair


def _matched(cast: Cast, front: str, end: str) -> list[tuple[str, str]]:
    layers = cast.layers(end)
    if front == NOISE:
        return [(NOISE, layer) for layer in layers]
    return matched_layers(cast.layers(front), layers)


def _seam(
    cast: Cast, front: tuple[str, str], end: tuple[str, str], pair: str, methods: list[str], example: Tensor
) -> _Seam:
    given = cast.shape(*end, example)
    y = Representation(*end, given)
    own = given if front[0] == NOISE else cast.shape(*front, example)
    x = Representation(*front, (*own[:1], *given[1:]))
    return _Seam(x, y, pair, methods, _problem(cast, x, y, own))


def _problem(cast: Cast, x: Representation, y: Representation, own: tuple[int, ...]) -> str:
    if len(own) != len(y.shape):
        return f"the front layer gives {own} for an image and the end layer {y.shape}, not two maps or two vectors"
    try:
        check_shapes(own, y.shape, resize=True)
        cast.split(x)
        cast.split(y)
    except NetalikeError as error:
        return str(error)
    return ""


def _other_task(cast: Cast, network: str, panel: Mapping[str, Any], images: ImageSet) -> str:
    """Say why the labels of the images are not those of a network, or nothing."""
    task = panel.get("facts", {}).get(network.partition("@")[0], {}).get("task", _LABELLED[0])
    if task not in _LABELLED:
        return f"the end network was trained on another task ({task})"
    classes = cast.classes(network, images.inputs(0, 1))
    if classes != len(images.classes):
        return f"the end network tells {classes} classes and the data set has {len(images.classes)}"
    return ""


# ---- the work --------------------------------------------------------------------------------------------------------


class _Work:
    """What all pairs share while stitches are made and judged."""

    def __init__(
        self, cast: Cast, other_tasks: Mapping[str, str], settings: Mapping[str, Any], shown: bool | None, meter: Meter
    ) -> None:
        self.other_tasks = other_tasks
        """By end network, why the labels of the images are not its own, or nothing."""
        self.own: dict[str, Tensor] = {}
        """Classes that the networks themselves predict on the test images."""
        self._cast, self._settings, self._shown, self._meter = cast, settings, shown, meter
        # to what methods share, least squares comes first
        self._shared = _key(next(method for method in METHODS if method in settings["methods"]))

    def stitch(self, seams: Sequence[_Seam], train: ImageSet, test: ImageSet) -> None:
        """Find all stitching layers, and what the stitched networks predict."""
        good = [seam for seam in seams if not seam.problem]
        if not good:
            return
        onlookers = Onlookers(self._cast, [found for seam in good for found in (seam.x, seam.y)])
        self._count(good, onlookers.networks)
        own = self._fit(good, onlookers, train)
        for seam in self._bar([seam for seam in good if "task_loss" in seam.layers], "training"):
            with self._meter.pairs(_key("task_loss"), 0):
                self._train(seam, train, own)
        self._predict(good, onlookers, test)

    def _count(self, seams: Sequence[_Seam], networks: int) -> None:
        for method in METHODS:
            pairs = {frozenset((seam.x.network, seam.y.network)) for seam in seams if method in seam.methods}
            if pairs:
                with self._meter.networks(_key(method), networks), self._meter.pairs(_key(method), len(pairs)):
                    pass

    def _fit(self, seams: Sequence[_Seam], onlookers: Onlookers, images: ImageSet) -> dict[str, Tensor]:
        """Find the maps of least squares; return what the networks themselves predict."""
        groups: dict[tuple[int, ...], list[_Seam]] = {}
        for seam in seams:
            groups.setdefault(seam.y.shape[1:], []).append(seam)
        sums = {size: SharedSums((seam.x, seam.y) for seam in group) for size, group in groups.items()}
        own = []
        for looked, _ in self._looked(onlookers, images, "fitting"):
            own.append(_classes_of(looked))
            with self._meter.pairs(self._shared, 0):
                for each in sums.values():
                    each.update(looked.activations)
        with self._meter.pairs(self._shared, 0):
            for seam in seams:
                self._solve(seam, sums[seam.y.shape[1:]])
        return _joined(own)

    def _solve(self, seam: _Seam, sums: SharedSums) -> None:
        try:
            weight, bias = sums.equations(seam.x, seam.y).affine()
        except NetalikeError as error:
            seam.problem = str(error)
            return
        for method in seam.methods:
            layer = StitchingLayer.from_matrix(weight, bias, "map" if len(seam.y.shape) == 3 else "vector")
            seam.layers[method] = layer.to(self._cast.device)

    def _train(self, seam: _Seam, train: ImageSet, own: Mapping[str, Tensor]) -> None:
        """Train a stitch that begins at least squares, on the labels of the end network's own task."""
        seen, end = self._cast.images(seam.x.network, train), seam.y.network
        labels = own[end] if self.other_tasks[end] else train.labels
        images = replace(seen, labels=labels)
        glance, chosen = images.take(slice(_GLANCE)), self._training(len(images))
        parts = self._cast.split(seam.x), self._cast.split(seam.y)
        layer, device = seam.layers["task_loss"], self._cast.device
        try:
            train_stitch(
                *parts, layer, images, glance, chosen, device, progress=False, resize=True, memory_gb=_MEMORY_GB
            )
        except NetalikeError as error:  # the loss is no longer finite
            del seam.layers["task_loss"]
            seam.failed["task_loss"] = str(error)

    def _training(self, images: int) -> Settings:
        given = self._settings
        size, rate = min(given.get("batch_size", 64), images), given.get("lr", 1e-3)
        return Settings(epochs=given["epochs"], batch_size=size, lr=rate, augment=False, seed=self._cast.seed)

    def _predict(self, seams: Sequence[_Seam], onlookers: Onlookers, images: ImageSet) -> None:
        own = []
        for looked, layouts in self._looked(onlookers, images, "stitching"):
            own.append(_classes_of(looked))
            for method in METHODS:
                chosen = [seam for seam in seams if method in seam.layers]
                with self._meter.pairs(_key(method), 0) if chosen else nullcontext(), torch.no_grad():
                    for seam in chosen:
                        seam.found.setdefault(method, []).append(self._predicted(seam, method, looked, layouts))
        self.own = _joined(own)

    def _predicted(self, seam: _Seam, method: str, looked: Looked, layouts: Layouts) -> Tensor:
        front, end = self._cast.split(seam.x), self._cast.split(seam.y)
        layout = layouts[seam.y.network]
        pair = Pair(front, end, frozenset(), self._cast.device, (layout, layout))
        given = looked.activations[seam.x]
        # the labels of a batch are not looked at
        _, logits = pair.stitched(seam.layers[method], Batch(labels=given.new_empty(0), front=given))
        return logits.argmax(1).cpu()

    def _looked(self, onlookers: Onlookers, images: ImageSet, title: str) -> Iterator[tuple[Looked, Layouts]]:
        size, views = onlookers.batch_size(len(images)), onlookers.views(images)
        with onlookers.ready() as layouts:
            for start in self._bar(range(0, len(images), size), title):
                with self._meter.networks(self._shared, 0):
                    looked = onlookers.look(views, start, start + size, layouts)
                yield looked, layouts

    def _bar(self, items: Sequence[_Item], title: str) -> Iterable[_Item]:
        return progress_bar(items, f"stitches: {title}", shown=self._shown)


def _key(method: str) -> str:
    """What a meter calls the measures that one method gives."""
    return "+".join(f"{quantity}/{method}" for quantity in QUANTITIES)


def _classes_of(looked: Looked) -> dict[str, Tensor]:
    return {name: logits.argmax(1).cpu() for name, logits in looked.logits.items()}


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


# ---- rows ------------------------------------------------------------------------------------------------------------


def _rows(seam: _Seam, method: str, work: _Work, test: ImageSet) -> Iterator[Row]:
    """Yield both quantities of one stitch."""
    problem = seam.status(method)
    values = dict.fromkeys(QUANTITIES, (math.nan, problem)) if problem else _values(seam, method, work, test)
    for quantity, (value, why) in values.items():
        yield {
            "network_a": seam.x.network,
            "layer_a": seam.x.layer,
            "network_b": seam.y.network,
            "layer_b": seam.y.layer,
            "quantity": quantity,
            "estimator": method,
            "condition": condition(pair=seam.pair),
            "n_samples": len(test),
            "value": value,
            "status": f"undefined: {why}" if why else OK,
        }


def _values(seam: _Seam, method: str, work: _Work, test: ImageSet) -> dict[str, tuple[float, str]]:
    found, own = torch.cat(seam.found[method]), work.own[seam.y.network]
    agreement = float((found == own).double().mean())
    why = work.other_tasks[seam.y.network] or _no_better_than_chance(own, test.labels)
    relative = math.nan if why else int((found == test.labels).sum()) / int((own == test.labels).sum())
    return {"relative_accuracy": (relative, why), "stitched_agreement": (agreement, "")}


def _no_better_than_chance(predicted: Tensor, labels: Tensor) -> str:
    """Say that an accuracy is no more than that of naming the most frequent class, within two standard errors."""
    right, n = float((predicted == labels).double().mean()), len(labels)
    chance = float(labels.bincount().max()) / n
    if right > chance + 2 * math.sqrt(chance * (1 - chance) / n):
        return ""
    return f"the end network is right on {right:.3f} of the images, no more than by chance"
