"""Stitching: pairs of networks joined at every layer by several kinds of stitching layer, and the controls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netalike.comparison import Member
from netalike.data import ImageSet
from netalike.errors import NetalikeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.experiments.equal_depth import depth_of
from netalike.measures.panel import UNTRAINED
from netalike.networks.folding import folded_copy
from netalike.stitching.evaluation import Report, evaluate_stitches
from netalike.stitching.least_squares import NormalEquations, fit_all
from netalike.stitching.masks import semi_match
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import Split, split
from netalike.stitching.training import History, Recording, record_pair, train_stitch, wanted_parts
from netalike.stitching.transform import StitchingLayer, initial

METHODS = ("identity", "least_squares", "procrustes", "task_loss", "task_loss_random")
CONTROLS = ("self", "permuted_twin", "untrained")
PERMUTED_TWIN = "@permuted_twin"
ENOUGH = 0.95
"""Share of an accuracy that counts as having kept it."""

Row = dict[str, Any]

_TRAINED = ("task_loss", "task_loss_random")
_CONTROL_METHODS = {
    "self": ("identity", "least_squares"),
    "permuted_twin": ("identity", "least_squares", "procrustes"),
    "untrained": ("least_squares", "task_loss"),
}
# The loss of every epoch is looked at on as few test images as possible: the evaluation comes afterwards.
_GLANCE = 8
_LOGITS_OF = 500  # images on which logits are compared
_EXACT_ON = 2000  # images of each split for the controls that come out exactly


@dataclass(frozen=True)
class Job:
    """What all stitches of a study have in common.

    Attributes
    ----------
    train_set, test_set : ImageSet
        On which stitching layers are fitted and trained, and on which they are judged.
    settings : Settings
        Of the training on the task loss.
    batch_size : int
        Of the evaluation: CKA depends on it.
    cka_images : int
        The first so many test images enter CKA and L2.
    seed : int
        Of random weights, permutations, and, with that of the settings, of the training.
    device : str or torch.device
    """

    train_set: ImageSet
    test_set: ImageSet
    settings: Settings
    batch_size: int = 125
    cka_images: int = 2000
    seed: int = 0
    device: str | torch.device = "cpu"

    @property
    def steps(self) -> int:
        """Steps of one training."""
        return self.settings.epochs * (len(self.train_set) // self.settings.batch_size)

    @classmethod
    def of_study(
        cls, study: Mapping[str, Any], train_set: ImageSet, test_set: ImageSet, device: str | torch.device = "cpu"
    ) -> Job:
        """Make the job of a study of the configuration: ``training``, ``batch_size``, ``cka_images`` and ``seed``."""
        settings = Settings(**study["training"])
        return cls(train_set, test_set, settings, study["batch_size"], study["cka_images"], study["seed"], device)

    def generator(self) -> torch.Generator:
        """Make a source of random numbers that begins with the seed."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True, eq=False)
class PermutedTwin(Split):
    """A network as a twin whose channels at the layer are in another order: the same function, other names of channels.

    Attributes
    ----------
    order : Tensor, int64, shape (C,)
        Channel i of the twin is channel order[i] of the network.
    """

    order: Tensor

    def head(self, images: Tensor) -> Tensor:
        """Return the layer's output with its channels reordered; see `Split.head`."""
        return self.of_layer(super().head(images))

    def of_layer(self, output: Tensor) -> Tensor:
        """Reorder the channels; see `Split.of_layer`."""
        return output[:, self.order.to(output.device)]

    def tail(self, activation: Tensor) -> Tensor:
        """Put the channels back, and run what comes after the layer; see `Split.tail`."""
        return super().tail(activation[:, self.order.argsort().to(activation.device)])


@dataclass(frozen=True, eq=False)
class Seam:
    """A place at which two networks are joined.

    Attributes
    ----------
    front_name, end_name : str
        Ids, as the rows have them.
    front, end : Split
    pair : str
        Kind of pair: ``same_family``, or a control.
    depth : str
        Relative depth of the layer, from ``"0.000"`` to ``"1.000"``.
    """

    front_name: str
    end_name: str
    front: Split
    end: Split
    pair: str = "same_family"
    depth: str = "0.000"

    def row(self, **values: Any) -> Row:
        """Make a row of the two layers; further factors of the condition in ``factors``."""
        factors = {"pair": self.pair, "depth": self.depth, **values.pop("factors", {})}
        return {
            "network_a": self.front_name,
            "layer_a": self.front.layer,
            "network_b": self.end_name,
            "layer_b": self.end.layer,
            "split": "test",
            "condition": condition(**factors),
            **values,
        }


class Stitcher:
    """Finds the stitching layers of one seam; the two networks run once for all that least squares gives.

    Parameters
    ----------
    seam : Seam
    job : Job
    equations : NormalEquations
        Of the training images.
    """

    def __init__(self, seam: Seam, job: Job, equations: NormalEquations) -> None:
        self.seam, self.job, self.equations = seam, job, equations
        example = job.train_set.inputs(0, 1).to(job.device)
        self._kind = "map" if len(seam.end.shape(example)) == 3 else "vector"
        self._recording: tuple[frozenset[str], Recording | None] | None = None

    @classmethod
    def of_seams(cls, seams: Sequence[Seam], job: Job) -> list[Stitcher]:
        """Make those of several seams of the same two networks, each of which runs once for all of them."""
        cuts = [(seam.front, seam.end) for seam in seams]
        found = fit_all(cuts, job.train_set, device=job.device)
        return [cls(seam, job, equations) for seam, equations in zip(seams, found, strict=True)]

    @property
    def channels(self) -> tuple[int, int]:
        """Of the front and of the end layer."""
        return self.equations.inputs, self.equations.outputs

    def layer(
        self, weight: Tensor, bias: Tensor, rank: int | None = None, mask: Tensor | None = None
    ) -> StitchingLayer:
        """Make a stitching layer of this seam from its matrix."""
        return StitchingLayer.from_matrix(weight, bias, self._kind, rank, mask)  # type: ignore[arg-type]

    def direct(self, method: str) -> StitchingLayer:
        """Return a stitching layer that is not trained: ``identity``, ``least_squares`` or ``procrustes``."""
        if method == "identity":
            return self.layer(*initial("identity", *self.channels, self.job.generator()))
        return self.layer(*(self.equations.affine() if method == "least_squares" else self.equations.procrustes()))

    def trained(self, layer: StitchingLayer, **changes: Any) -> tuple[StitchingLayer, History]:
        """Train a stitching layer on the task loss, with some settings changed."""
        job = self.job
        settings = job.settings.model_copy(update={"seed": job.settings.seed + job.seed, **changes})
        glance = job.test_set.take(slice(_GLANCE))
        front, end = self.seam.front, self.seam.end
        recorded = self._recorded(wanted_parts(settings)) if not settings.augment else None
        history = train_stitch(
            front, end, layer, job.train_set, glance, settings, job.device, progress=False, recorded=recorded
        )
        return layer, history

    def _recorded(self, parts: frozenset[str]) -> Recording | None:
        """What the frozen networks make of the training images: the same for all trainings of this seam."""
        if self._recording is None or not parts <= self._recording[0]:
            known = parts | (self._recording[0] if self._recording else frozenset())
            found = record_pair(self.seam.front, self.seam.end, self.job.train_set, known, self.job.device)
            self._recording = known, found
        return self._recording[1]

    def forget(self) -> None:
        """Give back the memory that trainings shared."""
        self._recording = None

    def by_method(self, method: str) -> StitchingLayer:
        """Return the stitching layer that a method of `METHODS` finds."""
        if method not in METHODS:
            raise unknown_name("method of stitching", method, METHODS)
        if method not in _TRAINED:
            return self.direct(method)
        is_random = method == "task_loss_random"
        start = initial("random", *self.channels, self.job.generator()) if is_random else self.equations.affine()
        return self.trained(self.layer(*start))[0]

    def evaluate(self, layers: Mapping[str, StitchingLayer], with_cka: bool = True) -> Report:
        """Measure stitching layers in one pass over the test images; the first is called "after" in the report."""
        return evaluate_all([self], [layers], with_cka)[0]


def evaluate_all(
    stitchers: Sequence[Stitcher], layers: Sequence[Mapping[str, StitchingLayer]], with_cka: bool = True
) -> list[Report]:
    """Measure stitching layers at several seams of the same two networks, as `Stitcher.evaluate`, in one pass."""
    job = stitchers[0].job
    named = [dict(zip(names_in(list(found)).values(), found.values(), strict=True)) for found in layers]
    return evaluate_stitches(
        [(stitcher.seam.front, stitcher.seam.end) for stitcher in stitchers],
        named,
        job.test_set,
        batch_size=job.batch_size,
        device=job.device,
        cka_images=min(job.cka_images, len(job.test_set)) if with_cka else 0,
    )


def names_in(layers: Sequence[str]) -> dict[str, str]:
    """Return what `Stitcher.evaluate` calls each stitching layer in its report."""
    return {name: f"stitch {name}" if i else "after" for i, name in enumerate(layers)}


# ---- rows ------------------------------------------------------------------------------------------------------------


def scores_of(report: Report, name: str) -> dict[str, float | None]:
    """Take what a report says about one network, by quantity of the table.

    Parameters
    ----------
    report : Report
    name : str
        As in `Report.networks`.

    Returns
    -------
    dict of str to float or None
        ``accuracy``, ``relative_accuracy``, ``agreement`` (share of the images on which it says what the end network
        says), ``shared_errors`` (share of the images that both have wrong) and, where they were measured, ``cka``
        (published), ``cka_unbiased`` and ``l2`` to the end network's own activation.
    """
    own = report.networks[name]
    found = {
        "accuracy": own.accuracy,
        "relative_accuracy": own.relative_accuracy,
        "agreement": own.agreement,
        "shared_errors": report.hits[f"end_{name}"]["ww"] / report.n,
    }
    if report.cka_images and name in report.similarity:
        likeness = report.similarity[name]
        found |= {"cka": likeness.cka, "cka_unbiased": likeness.cka_unbiased, "l2": likeness.l2}
    return found


def valued(value: float | None, why: str) -> Row:
    """Return the value and the status of a number that may be missing."""
    if value is None or not math.isfinite(value):
        return {"value": math.nan, "status": f"undefined: {why}"}
    return {"value": float(value), "status": OK}


def score_rows(seam: Seam, report: Report, name: str, estimator: str, n: int, **factors: Any) -> Iterator[Row]:
    """Yield the rows of one stitching layer; without paper, experiment and data set.

    Parameters
    ----------
    seam : Seam
    report : Report
    name : str
        As in `Report.networks`.
    estimator : str
        How the stitching layer was found.
    n : int
        Test images.
    **factors
        Further factors of the condition.
    """
    why = {"relative_accuracy": "the end network has no image right", "l2": "the activations differ in shape"}
    for quantity, value in scores_of(report, name).items():
        told = valued(value, why.get(quantity, f"zero variance in layer {seam.end.layer}"))
        samples = report.cka_images if quantity.startswith("cka") or quantity == "l2" else n
        yield seam.row(quantity=quantity, estimator=estimator, n_samples=samples, factors=factors, **told)


def _front_rows(seam: Seam, report: Report, n: int) -> Iterator[Row]:
    """The front network by itself beside the end network: what a stitch has to be held against."""
    scores = scores_of(report, "front")
    for quantity in ("accuracy", "agreement", "shared_errors"):
        row = seam.row(quantity=quantity, estimator="front_network", n_samples=n, value=scores[quantity])
        yield {**row, "layer_a": "", "layer_b": "", "condition": condition(pair=seam.pair)}


def _error_rows(stitcher: Stitcher, layers: Mapping[str, StitchingLayer], factors: Mapping[str, Any]) -> Iterator[Row]:
    for method, layer in layers.items():
        error = stitcher.equations.mse(*layer.snapshot())
        told = {"quantity": "fit_error", "estimator": method, "value": error, "split": "train"}
        own = factors if method in _TRAINED else {}
        yield stitcher.seam.row(**told, n_samples=len(stitcher.job.train_set), factors=own)


def _method_rows(
    stitchers: Sequence[Stitcher], methods: Sequence[str], with_cka: bool
) -> Iterator[tuple[Stitcher, list[Row], Report]]:
    """Stitch by every method, and judge all stitches in one pass; yields the rows and the report of each stitcher."""
    layers: list[dict[str, StitchingLayer]] = []
    for stitcher in stitchers:
        layers.append({method: stitcher.by_method(method) for method in methods})
        stitcher.forget()
    for stitcher, found, report in zip(stitchers, layers, evaluate_all(stitchers, layers, with_cka), strict=True):
        job, steps = stitcher.job, {"steps": stitcher.job.steps}
        rows = list(_error_rows(stitcher, found, steps))
        for method, name in names_in(methods).items():
            factors = steps if method in _TRAINED else {}
            rows += score_rows(stitcher.seam, report, name, method, len(job.test_set), **factors)
        yield stitcher, rows, report


# ---- studies of layers -----------------------------------------------------------------------------------------------


def seams(front: Member, end: Member, pair: str = "same_family") -> Iterator[Seam]:
    """Yield the places at which two networks of one family are joined, from the input to the output.

    The networks are frozen, so that their batch norm is folded into the convolutions: `networks.folding.folded_copy`.

    Raises
    ------
    NetalikeError
        If the two networks have other layers.
    """
    if front.layers != end.layers:
        raise NetalikeError(
            f"{front.name} has the layers {', '.join(front.layers)} and {end.name} {', '.join(end.layers)}: choose the "
            "same layers of both."
        )
    models = [folded_copy(member.model, keep=end.layers) for member in (front, end)]
    for i, layer in enumerate(end.layers):
        first, second = (split(model, layer) for model in models)
        yield Seam(front.name, end.name, first, second, pair, depth_of(i, len(end.layers)))


def layer_rows(front: Member, end: Member, methods: Sequence[str], job: Job, experiment: str) -> list[Row]:
    """Stitch two networks at every layer, by every method.

    Parameters
    ----------
    front, end : Member
        Of one family.
    methods : sequence of str
        Of `METHODS`.
    job : Job
    experiment : str
        Name of the study; the rows belong to ``layers_<study>`` and ``invariants_<study>``.

    Returns
    -------
    list of dict
        Rows without paper, data set and seed. By layer and method: see `scores_of`, and ``fit_error``, the mean
        squared error on the images of the fit (split "train"). By pair and method, ``layers_at_95_percent``: the share
        of the layers at which the relative accuracy is at least 0.95. By pair, the accuracy, agreement and shared
        errors of the front network by itself (estimator ``front_network``). Condition: ``pair``, ``depth``, and
        ``steps`` of what was trained. ``largest_difference`` with ``identity=order_of_fit_errors``: by how much the
        error of a less restricted map is the larger one, beside the mean square of the end network's activation.
    """
    rows: list[Row] = []
    invariants: list[Row] = []
    stitchers = Stitcher.of_seams(list(seams(front, end)), job)
    for stitcher, found, report in _method_rows(stitchers, methods, with_cka=True):
        seam = stitcher.seam
        rows += found
        if seam.end.layer == end.layers[0]:
            rows += _front_rows(seam, report, len(job.test_set))
        invariants.append(_invariant(seam, "order_of_fit_errors", _disorder(stitcher.equations), len(job.train_set)))
    rows += _shares_of_layers(rows, methods, len(job.test_set))
    return [
        *({**row, "experiment": f"layers_{experiment}"} for row in rows),
        *({**row, "experiment": f"invariants_{experiment}"} for row in invariants),
    ]


def _shares_of_layers(rows: Sequence[Row], methods: Sequence[str], n: int) -> Iterator[Row]:
    for method in methods:
        own = [r for r in rows if (r["quantity"], r["estimator"]) == ("relative_accuracy", method)]
        values = np.array([row["value"] for row in own])
        told = valued(
            float(np.mean(values >= ENOUGH)) if np.isfinite(values).all() else None, "a layer has no relative accuracy"
        )
        row = {**own[0], "layer_a": "", "layer_b": "", "quantity": "layers_at_95_percent", "n_samples": n}
        kept = [part for part in row["condition"].split(";") if not part.startswith("depth=")]
        yield {**row, "condition": ";".join(kept), **told}


def _disorder(equations: NormalEquations) -> float:
    """By how much a map that is less restricted has the larger error; 0 if none has."""
    zero = torch.zeros(equations.outputs, equations.inputs), torch.zeros(equations.outputs)
    largest = min(equations.inputs, equations.outputs)
    ranks = [rank for rank in (1, 2, 4, 8, 16, 32, 64) if rank < largest]
    best = equations.mse(*equations.affine())
    errors = [*(equations.mse(*equations.reduced_rank(rank)) for rank in ranks), best]
    rises = [after - before for before, after in itertools.pairwise(errors)]
    return max(0.0, best - equations.mse(*equations.procrustes()), *rises) / max(equations.mse(*zero), 1e-300)


def _invariant(seam: Seam, identity: str, value: float, n: int) -> Row:
    told = {"quantity": "largest_difference", "estimator": "largest", "value": value, "n_samples": n}
    return seam.row(**told, factors={"identity": identity})


# ---- controls --------------------------------------------------------------------------------------------------------


def control_rows(control: str, end: Member, job: Job, experiment: str, untrained: Member | None = None) -> list[Row]:
    """Stitch a control at every layer.

    Parameters
    ----------
    control : str
        ``self``: the end network with itself. ``permuted_twin``: a twin of the end network whose channels are in
        another order, as the front network. ``untrained``: an untrained front network.
    end : Member
    job : Job
    experiment : str
        Name of the study.
    untrained : Member, optional
        The front network of the control ``untrained``.

    Returns
    -------
    list of dict
        As `layer_rows`, with ``pair`` the control. CKA of the control ``untrained`` alone. The others come out exactly
        and are on the first 2,000 images, with ``largest_difference`` of what holds: ``self_stitch`` (of the logits),
        ``twin_least_squares`` and ``twin_procrustes`` (of the relative accuracy and 1), ``twin_semi_match`` (share of
        the channels whose partner is another one).

    Raises
    ------
    UnknownNameError
        If there is no such control.
    NetalikeError
        If the control ``untrained`` comes without a network.
    """
    if control not in CONTROLS:
        raise unknown_name("control of stitching", control, CONTROLS)
    if control == "untrained" and untrained is None:
        raise NetalikeError("the control untrained needs an untrained network of the same architecture: give one.")
    front = untrained if control == "untrained" and untrained is not None else end
    if control != "untrained":
        few = slice(_EXACT_ON)
        job = replace(job, train_set=job.train_set.take(few), test_set=job.test_set.take(few))
    rows: list[Row] = []
    places = [_turned(each, job) if control == "permuted_twin" else each for each in seams(front, end, control)]
    stitchers = Stitcher.of_seams(places, job)
    for stitcher, found, _ in _method_rows(stitchers, _CONTROL_METHODS[control], with_cka=control == "untrained"):
        rows += ({**row, "experiment": f"layers_{experiment}"} for row in found)
        invariants = _control_invariants(stitcher, control, found)
        rows += ({**row, "experiment": f"invariants_{experiment}"} for row in invariants)
    return rows


def _turned(seam: Seam, job: Job) -> Seam:
    channels = seam.front.shape(job.train_set.inputs(0, 1).to(job.device))[0]
    order = torch.randperm(channels, generator=job.generator())
    parts = {entry.name: getattr(seam.front, entry.name) for entry in fields(Split)}
    twin = PermutedTwin(**parts, order=order)
    return Seam(seam.end_name + PERMUTED_TWIN, seam.end_name, twin, seam.end, seam.pair, seam.depth)


def _control_invariants(stitcher: Stitcher, control: str, rows: Sequence[Row]) -> Iterator[Row]:
    seam, n = stitcher.seam, len(stitcher.job.test_set)
    if control == "self":
        yield _invariant(seam, "self_stitch", _logit_difference(stitcher), min(n, _LOGITS_OF))
    elif control == "permuted_twin":
        accuracy = {row["estimator"]: row["value"] for row in rows if row["quantity"] == "relative_accuracy"}
        for method in ("least_squares", "procrustes"):
            yield _invariant(seam, f"twin_{method}", abs(accuracy[method] - 1), n)
        assert isinstance(seam.front, PermutedTwin)
        partners = semi_match(stitcher.equations.correlation()).argmax(1)
        wrong = float((partners != seam.front.order.argsort()).double().mean())
        yield _invariant(seam, "twin_semi_match", wrong, len(stitcher.job.train_set))


@torch.no_grad()
def _logit_difference(stitcher: Stitcher) -> float:
    """Between a network, and the network stitched to itself by the identity."""
    images = stitcher.job.test_set.inputs(0, _LOGITS_OF).to(stitcher.job.device)
    end, layer = stitcher.seam.end, stitcher.direct("identity").to(stitcher.job.device)
    activation = end.head(images)
    return float((end.tail(layer(activation)) - end.tail(activation)).abs().max())


def untrained_of(name: str) -> str:
    """Return the id of a network's untrained twin, as `comparison.load_members` names it."""
    return name + UNTRAINED
