"""What a stitch is worth: accuracy, agreement with the end network, and likeness of the activations, in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from netalike import data
from netalike.errors import NetalikeError
from netalike.measures.gram import centred_gram
from netalike.measures.hsic import MIN_UNBIASED_SAMPLES
from netalike.measures.streaming import PairwiseCKA
from netalike.networks.evaluation import check_logits
from netalike.stitching.splitting import whole
from netalike.stitching.targets import soft_cross_entropy
from netalike.stitching.training import Batch, Pair, check_layer, frozen

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.stitching.splitting import Split
    from netalike.stitching.transform import StitchingLayer

CKA_IMAGES = 10_000
_WANTED = frozenset({"end", "front_logits", "end_logits"})


@dataclass(frozen=True)
class Scores:
    """How well one network does, by itself and beside the end network.

    Attributes
    ----------
    accuracy : float
        Share of the images whose largest logit is that of their label.
    loss : float
        Mean cross-entropy with the labels, in nats; without regularisers, whatever the stitch was trained on.
    relative_accuracy : float or None
        Accuracy over that of the end network; None where the end network has no image right.
    agreement : float
        Share of the images whose largest logit is the same class as the end network's.
    cross_entropy : float or None
        With the end network's class probabilities, in nats, mean over the images; None for another number of classes.
    n : int
        Number of images.
    """

    accuracy: float
    loss: float
    relative_accuracy: float | None
    agreement: float
    cross_entropy: float | None
    n: int


@dataclass(frozen=True)
class Likeness:
    """How like an activation is to the end network's own one at its layer.

    Attributes
    ----------
    cka : float or None
        Linear CKA, the unweighted mean over batches of the biased estimate (estimator "published" of
        `netalike.measures`); None where an activation is constant.
    cka_unbiased : float or None
        Unbiased HSIC summed over the batches, then the ratio.
    l2 : float or None
        Mean squared difference over images and units; None for other shapes.
    """

    cka: float | None
    cka_unbiased: float | None
    l2: float | None


@dataclass(frozen=True)
class Report:
    """What one pass over the test images says about a stitch.

    Attributes
    ----------
    networks : dict of str to Scores
        "front" and "end" as they are, and the stitched network by stitching layer: "after", and, where they were
        given, "before", "least_squares", ....
    hits : dict of str to dict
        By pair of networks, "end_after", "end_least_squares", "after_least_squares", ...: how many images are right
        in both ("rr"), in the first alone ("rw"), in the second alone ("wr"), in neither ("ww").
    similarity : dict of str to Likeness
        To the end network's own activation: of the front network's ("direct") and of each stitching layer's output.
    n : int
        Number of images.
    cka_images, cka_batch : int
        How many of them entered CKA, and in batches of how many.
    """

    networks: dict[str, Scores]
    hits: dict[str, dict[str, int]]
    similarity: dict[str, Likeness]
    n: int
    cka_images: int
    cka_batch: int

    @property
    def accuracy(self) -> float:
        """Of the stitched network."""
        return self.networks["after"].accuracy

    @property
    def loss(self) -> float:
        """Of the stitched network."""
        return self.networks["after"].loss

    @property
    def relative_accuracy(self) -> float | None:
        """Of the stitched network."""
        return self.networks["after"].relative_accuracy

    @property
    def agreement(self) -> float:
        """Of the stitched network."""
        return self.networks["after"].agreement

    @property
    def cross_entropy(self) -> float | None:
        """Of the stitched network."""
        return self.networks["after"].cross_entropy

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries and numbers, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Report:
        """Make a report of what `to_dict` returned."""
        return cls(
            **{
                **told,
                "networks": {name: Scores(**values) for name, values in told["networks"].items()},
                "similarity": {name: Likeness(**values) for name, values in told["similarity"].items()},
            }
        )


def evaluate_stitch(
    front: Split,
    end: Split,
    layer: StitchingLayer,
    test_set: ImageSet,
    before: StitchingLayer | None = None,
    least_squares: StitchingLayer | None = None,
    others: Mapping[str, StitchingLayer] | None = None,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
    resize: bool = False,
    cka_images: int = CKA_IMAGES,
) -> Report:
    """Measure a stitch on a set of images.

    Parameters
    ----------
    front, end : Split
        Both networks run in eval mode; their modes are put back.
    layer : StitchingLayer
        After training: "after" in the report.
    test_set : ImageSet
        n images, under the test transform.
    before, least_squares : StitchingLayer, optional
        To be compared with it. Fit the least squares on training images: the published code fits and measures it on
        the same test images.
    others : mapping of str to StitchingLayer, optional
        More of them, by name.
    batch_size : int
        The most images in a batch; batches are made about equally large. CKA depends on it (see `Likeness`).
    device : str or torch.device
    resize : bool
        Resize the front activation (bilinear) to the end layer's height and width.
    cka_images : int
        CKA and L2 are of the first so many images; 0 leaves them out.

    Returns
    -------
    Report

    Raises
    ------
    NetalikeError
        If there are no images, the batch size is less than 1, or a name is given twice.
    ShapeError
        If a stitching layer does not fit between the two layers, or the logits do not fit the labels.

    Notes
    -----
    One pass: each network's activation is computed once, and the end network runs from its layer on once for each
    stitching layer. CKA costs O(n b p) for batches of b images and p units. No activation outlives its batch.
    Relative accuracy, agreement and hits: Csiszarik et al. (2021), the published code; its cross-entropy is divided by
    n * classes, here by n.
    """
    layers = _named(layer, before, least_squares, others)
    (report,) = _evaluate([(front, end)], [layers], test_set, batch_size, torch.device(device), resize, cka_images)
    return report


def evaluate_stitches(
    cuts: Sequence[tuple[Split, Split]],
    layers: Sequence[Mapping[str, StitchingLayer]],
    test_set: ImageSet,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
    cka_images: int = CKA_IMAGES,
) -> list[Report]:
    """Measure stitches of two networks at several layers, in one run of each network.

    Parameters
    ----------
    cuts : sequence of (Split, Split)
        Front and end of each stitch; all of the same two networks.
    layers : sequence of mapping of str to StitchingLayer
        The stitching layers of each cut, by their names in the report; the first is best called "after".
    test_set, batch_size, device, cka_images
        As in `evaluate_stitch`.

    Returns
    -------
    list of Report
        Of each cut, as `evaluate_stitch` gives it.

    Raises
    ------
    NetalikeError, ShapeError
        As `evaluate_stitch`.
    """
    return _evaluate(cuts, layers, test_set, batch_size, torch.device(device), False, cka_images)


def _evaluate(
    cuts: Sequence[tuple[Split, Split]],
    layers: Sequence[Mapping[str, StitchingLayer]],
    test_set: ImageSet,
    batch_size: int,
    device: torch.device,
    resize: bool,
    cka_images: int,
) -> list[Report]:
    if len(test_set) == 0 or batch_size < 1:
        raise NetalikeError(
            f"nothing to evaluate: {test_set.name} ({test_set.split}) has {len(test_set)} images, in batches of "
            f"{batch_size}; both have to be at least 1."
        )
    for stitching_layer in (layer for named in layers for layer in named.values()):
        stitching_layer.to(device)
    size = _even(len(test_set), batch_size)
    fronts, ends = zip(*cuts, strict=True)
    with frozen(fronts[0], ends[0], device) as layouts, torch.no_grad(), whole(fronts) as front, whole(ends) as end:
        pairs = [Pair(*cut, _WANTED, device, layouts, resize) for cut in cuts]
        judged = [_Judged(pair, named, cka_images) for pair, named in zip(pairs, layers, strict=True)]
        for inputs, labels in data.batches(test_set, size):
            xs, first = front(inputs.to(device, memory_format=layouts[0]))
            ys, second = end(inputs.to(device, memory_format=layouts[1]))
            for each, x, y in zip(judged, xs, ys, strict=True):
                each.update(each.pair.batch(x, y, labels, first, second), test_set.labels)
    return [each.report(size) for each in judged]


class _Judged:
    """What the batches so far say about the stitches at one place."""

    def __init__(self, pair: Pair, layers: Mapping[str, StitchingLayer], cka_images: int) -> None:
        self.pair, self._layers, self._cka_images = pair, layers, cka_images
        self._counts, self._likeness = _Counts(), _Likenesses(["direct", *layers])

    def update(self, batch: Batch, labels: Tensor) -> None:
        if self._counts.n == 0:
            self._check(batch, labels)
        few = max(0, self._cka_images - self._counts.n)
        outputs = {"direct": batch.front}
        logits = {"front": cast(Tensor, batch.front_logits), "end": cast(Tensor, batch.end_logits)}
        for name, stitching_layer in self._layers.items():
            outputs[name], logits[name] = self.pair.stitched(stitching_layer, batch)
        self._counts.update(logits, batch.labels)
        self._likeness.update(cast(Tensor, batch.end)[:few], {name: output[:few] for name, output in outputs.items()})

    def report(self, size: int) -> Report:
        counts = self._counts
        few = min(self._cka_images, counts.n)
        return Report(counts.scores(), counts.hits(), self._likeness.result(), counts.n, few, size)

    def _check(self, batch: Batch, labels: Tensor) -> None:
        for layer in self._layers.values():
            check_layer(layer, batch)
        for logits in (batch.front_logits, batch.end_logits):
            check_logits(cast(Tensor, logits), labels)


def _named(
    layer: StitchingLayer,
    before: StitchingLayer | None,
    least_squares: StitchingLayer | None,
    others: Mapping[str, StitchingLayer] | None,
) -> dict[str, StitchingLayer]:
    given = {"before": before, "after": layer, "least_squares": least_squares}
    taken = {*given, "front", "end", "direct"} & set(others or {})
    if taken:
        raise NetalikeError(f"a stitching layer of the name {min(taken)!r} is there already: choose another name.")
    return {name: value for name, value in {**given, **(others or {})}.items() if value is not None}


def _even(n: int, batch_size: int) -> int:
    # A short last batch would weigh as much as the others in the mean over batches, with a larger bias.
    return math.ceil(n / math.ceil(n / batch_size))


class _Counts:
    """Which images each network has right, and how near it comes to the end network."""

    def __init__(self) -> None:
        self.n = 0
        self._right: dict[str, list[Tensor]] = {}
        self._sums: dict[str, dict[str, float]] = {}

    def update(self, logits: Mapping[str, Tensor], labels: Tensor) -> None:
        self.n += len(labels)
        end = logits["end"].double()
        for name, values in logits.items():
            found, own = values.argmax(1), values.double()
            sums = self._sums.setdefault(name, {"loss": 0.0, "agreement": 0.0, "cross_entropy": 0.0})
            self._right.setdefault(name, []).append((found == labels).cpu())
            sums["loss"] += float(functional.cross_entropy(own, labels, reduction="sum"))
            sums["agreement"] += int((found == end.argmax(1)).sum())
            # Networks of other classes have no cross-entropy with each other.
            sums["cross_entropy"] += (
                float(soft_cross_entropy(own, end)) * len(labels) if own.shape == end.shape else math.nan
            )

    def scores(self) -> dict[str, Scores]:
        right = {name: int(torch.cat(parts).sum()) for name, parts in self._right.items()}
        return {
            name: Scores(
                accuracy=right[name] / self.n,
                loss=sums["loss"] / self.n,
                relative_accuracy=right[name] / right["end"] if right["end"] else None,
                agreement=sums["agreement"] / self.n,
                cross_entropy=None if math.isnan(sums["cross_entropy"]) else sums["cross_entropy"] / self.n,
                n=self.n,
            )
            for name, sums in self._sums.items()
        }

    def hits(self) -> dict[str, dict[str, int]]:
        right = {name: torch.cat(parts) for name, parts in self._right.items()}
        pairs = [("end", name) for name in right if name != "end"]
        pairs += [("after", "least_squares")] if "least_squares" in right else []
        return {f"{one}_{two}": hits(right[one], right[two]) for one, two in pairs}


def hits(first: Tensor, second: Tensor) -> dict[str, int]:
    """Count the images that two networks have right.

    Parameters
    ----------
    first, second : Tensor, bool, shape (n,)
        Whether a network has an image right.

    Returns
    -------
    dict of str to int
        Right in both ("rr"), in the first alone ("rw"), in the second alone ("wr"), in neither ("ww"); they add up
        to n.
    """
    return {
        "rr": int((first & second).sum()),
        "rw": int((first & ~second).sum()),
        "wr": int((~first & second).sum()),
        "ww": int((~first & ~second).sum()),
    }


class _Likenesses:
    """CKA and L2 between the end network's own activation and others, batch by batch."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._cka = PairwiseCKA(["published", "unbiased"])
        self._batches, self._units = 0, 0
        self._squares: dict[str, float] = dict.fromkeys(names, 0.0)

    def update(self, end: Tensor, outputs: Mapping[str, Tensor]) -> None:
        if len(end) == 0:
            return
        self._units += end.numel()
        for name in self._names:
            same = outputs[name].shape == end.shape
            squares = (outputs[name] - end).square().sum(dtype=torch.float64) if same else math.nan
            self._squares[name] += float(squares)
        if len(end) >= MIN_UNBIASED_SAMPLES:
            self._batches += 1
            self._cka.update(torch.stack([centred_gram(end), *(centred_gram(outputs[name]) for name in self._names)]))

    def result(self) -> dict[str, Likeness]:
        values = self._cka.result().values if self._batches else {}
        return {
            name: Likeness(
                cka=_number(values["published"][0, index]) if values else None,
                cka_unbiased=_number(values["unbiased"][0, index]) if values else None,
                l2=_number(self._squares[name] / self._units) if self._units else None,
            )
            for index, name in enumerate(self._names, start=1)
        }


def _number(value: Tensor | float) -> float | None:
    return float(value) if math.isfinite(value) else None
