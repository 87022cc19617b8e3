"""Whether two networks say the same of the same images: agreement, errors in common, and outputs.

``prediction_agreement/share``
    Share of the images that both give to one class.
``error_consistency/kappa``
    Cohen's kappa of who is right about which image: agreement beyond what two independent networks of the same
    accuracies have (R. Geirhos, K. Meding and F. A. Wichmann, Beyond Accuracy: Quantifying Trial-by-Trial Behaviour of
    CNNs and Humans by Measuring Error Consistency, NeurIPS 2020, arXiv:2006.16736).
``error_overlap/jaccard``
    Images that both are wrong about, as a share of those that at least one of them is wrong about.
``output_divergence/jensen_shannon``
    Mean over the images of the Jensen-Shannon divergence of the two distributions over classes (softmax of the
    logits) in bits, from 0, equal, to 1. The divergence and not its root, as in the ReSi benchmark (Klabunde et al.
    2024, arXiv:2408.00531).
``accuracy_difference/absolute``
    Of the two accuracies, from 0 to 1.
``accuracy/test``
    Of each network.

All but agreement and divergence need labels that are of the networks' task.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from netalike.comparison import Member
from netalike.data.registry import DATASETS
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.evidence.metering import Meter
from netalike.evidence.rows import kind
from netalike.experiments.panel_resampling import (
    Pairs,
    Row,
    interval,
    metered_networks,
    metered_pairs,
    pair_row,
    related_pairs,
)
from netalike.inversion.resampling import image_weights
from netalike.measures.panel import PERMUTED, PERMUTED_UNITS
from netalike.measures.sources import NOISE, batch_permutation, noise
from netalike.networks.running import eval_mode, fast_layout
from netalike.progress import progress as progress_bar

if TYPE_CHECKING:
    from netalike.data import ImageSet

AGREEMENT, CONSISTENCY, OVERLAP = "prediction_agreement/share", "error_consistency/kappa", "error_overlap/jaccard"
DIVERGENCE, DIFFERENCE = "output_divergence/jensen_shannon", "accuracy_difference/absolute"
MEASURES = (AGREEMENT, CONSISTENCY, OVERLAP, DIVERGENCE, DIFFERENCE)

_DIFFERENT_TASKS = "networks of different tasks"
_OTHER_LABELS = "the labels are of another task than the networks"
# Tasks whose outputs are the classes of the data set; others have outputs of their own.
_OF_CLASSES = ("classes", "random_labels", "shortcut")
# Pairs whose images are resampled by one matrix product.
_PAIRS_AT_ONCE = 32


def record_outputs(
    members: Sequence[Member],
    images: ImageSet,
    device: str | torch.device = "cpu",
    batch_size: int = 500,
    progress: bool = True,
    meter: Meter | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Record what the networks of a panel say of some images.

    Parameters
    ----------
    members : sequence of Member
        In eval mode while they run; afterwards in their own.
    images : ImageSet
        n images, under the test transform.
    device : str or torch.device
    batch_size : int
        Images at a time: memory depends on it, and the last digits.
    progress : bool
    meter : Meter, optional
        Notes what it costs.

    Returns
    -------
    dict of network to array, shape (n, classes)
        Logits.

    Raises
    ------
    ShapeError
        If a network does not return a matrix of logits; it is named.
    NetalikeError
        If there are no images.

    Notes
    -----
    One forward pass per network.
    """
    if len(images) == 0:
        raise NetalikeError(f"{images.name} ({images.split}) has no images: outputs need at least 1.")
    with metered_networks(meter, MEASURES, len(members)):
        return {
            member.name: _logits(member, images, torch.device(device), batch_size)
            for member in progress_bar(members, "outputs", shown=progress, unit="network")
        }


def _logits(member: Member, images: ImageSet, device: torch.device, batch_size: int) -> NDArray[np.float32]:
    model, parts = member.model.to(device), []
    with eval_mode(model), fast_layout(model, device) as layout, torch.no_grad():
        for start in range(0, len(images), batch_size):
            found = model(images.inputs(start, start + batch_size).to(device, memory_format=layout))
            if not isinstance(found, Tensor) or found.ndim != 2:
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise ShapeError(f"{member.name} has to return logits of shape (n, classes), got {got}.")
            parts.append(found.float().cpu())
    return np.asarray(torch.cat(parts).numpy())


def behaviour_rows(
    outputs: Mapping[str, NDArray[np.floating[Any]]],
    labels: ArrayLike | Tensor,
    pairs: Pairs,
    panel: Mapping[str, Any],
    n_boot: int = 1000,
    meter: Meter | None = None,
) -> list[Row]:
    """Compare what networks say of the same images.

    Parameters
    ----------
    outputs : mapping of network to array, shape (n, classes)
        Logits of trained networks and untrained twins.
    labels : int array, shape (n,)
        Of the panel's data set.
    pairs : sequence of (str, str)
        Networks and controls. Of ``ID@permuted_samples`` the outputs of ID are taken in another order; a network with
        its units in another order says what ID says, unless it has outputs of its own; noise has independent standard
        normal logits, as many as the network that it is compared with.
    panel : mapping
        ``members``, ``seed``, ``dataset``; ``facts``, if there are any, say the task and data set of each network, and
        ``recorded`` which networks take part by recorded activations, perhaps without outputs.
    n_boot : int
        Resamples of the images, the same for all pairs.
    meter : Meter, optional
        Notes what it costs.

    Returns
    -------
    list of dict
        ``accuracy/test`` of each network, then five measures of each pair, see the top of this module, with 95 %
        intervals. NaN, and a status, for networks of different tasks or numbers of classes, for labels of another task,
        for recordings without outputs, and where no network makes an error. The interval of the difference of
        accuracies is that of the signed difference, folded at 0.

    Raises
    ------
    ShapeError
        If outputs and labels are of different numbers of images.
    NetalikeError
        If an output is not finite, or there are fewer than 4 images.
    UnknownNameError
        If a network of a pair has no outputs.

    Notes
    -----
    O(n classes) time per pair, and a product of (n_boot, n) with (n, 3 pairs).
    """
    related = list(related_pairs(pairs, panel["members"]))
    labels = torch.as_tensor(labels).long()
    study = _Study(outputs, labels, panel, n_boot)
    with metered_pairs(meter, MEASURES, len(related)):
        spoken = study.pair_rows([pair for pair in related if not study.silent(pair)])
        silent = (_silent_rows(pair, study.silent(pair), len(labels)) for pair in related if study.silent(pair))
        return [*study.single_rows(), *spoken, *itertools.chain.from_iterable(silent)]


@dataclass(frozen=True, eq=False)
class _Said:
    """What one network says of n images.

    Attributes
    ----------
    classes : Tensor, int64, shape (n,)
    right : Tensor, float64, shape (n,)
        1 where that is the label; NaN where the labels are of another task.
    odds : Tensor, float64, shape (n, c)
    entropy : Tensor, float64, shape (n,)
        Of the odds, in nats.
    n_right : Tensor, float64, shape (n_boot + 1,)
        In every resample.
    task : object
        Equal for networks whose outputs mean the same.
    """

    classes: Tensor
    right: Tensor
    odds: Tensor
    entropy: Tensor
    n_right: Tensor
    task: object

    def is_comparable(self, other: _Said) -> bool:
        """Whether the outputs of both are of the same classes."""
        return self.task == other.task


class _Study:
    """Outputs of a panel, and the resamples of its images."""

    def __init__(
        self, outputs: Mapping[str, NDArray[np.floating[Any]]], labels: Tensor, panel: Mapping[str, Any], n_boot: int
    ) -> None:
        self._outputs = {name: _checked(name, found, len(labels)) for name, found in outputs.items()}
        self._labels, self._panel, self._n = labels, panel, len(labels)
        self._weights = image_weights(self._n, n_boot, panel["seed"])
        self._said: dict[str, _Said] = {}

    def silent(self, pair: tuple[str, str, str]) -> str:
        """Return the recorded network of a pair that has no outputs, or nothing."""
        origins = [name.partition("@")[0] for name in pair[:2]]
        recorded = self._panel.get("recorded", {})
        return next((name for name in origins if name in recorded and name not in self._outputs), "")

    def single_rows(self) -> Iterator[Row]:
        """Yield the accuracy of each network."""
        for name in self._outputs:
            if kind(name) in ("trained", "untrained"):
                said = self.said_by(name)
                told = {"network_a": name, "quantity": "accuracy", "estimator": "test"}
                varied = condition(network=kind(name))
                status = "undefined: the labels are of another task" if said.right.isnan().any() else OK
                drawn = interval((said.n_right / self._n).numpy())
                yield {**told, "condition": varied, **drawn, "status": status, "n_samples": self._n}

    def pair_rows(self, related: Sequence[tuple[str, str, str]]) -> Iterator[Row]:
        """Yield all measures of each pair."""
        for start in range(0, len(related), _PAIRS_AT_ONCE):
            some = related[start : start + _PAIRS_AT_ONCE]
            said = [(self.said_by(a, b), self.said_by(b, a)) for a, b, _ in some]
            by_image = torch.stack([_by_image(x, y) for x, y in said])  # (pairs, 3, n)
            totals = (by_image @ self._weights.T).numpy()
            for (a, b, pair), (x, y), total in zip(some, said, totals, strict=True):
                measured = _measured(x, y, total, self._n)
                for key in MEASURES:
                    row = pair_row(a, b, pair, key, measured[key], _reason(key, x, y), self._n)
                    yield _folded(row) if key == DIFFERENCE else row

    def said_by(self, name: str, other: str = "") -> _Said:
        """Return what a network says; noise, what it says with as many classes as the other network."""
        if name == NOISE:
            like = self.said_by(other)
            return self._read(noise(self._n, self._panel["seed"], like.odds.shape[1]).features, like.task)
        if name not in self._said:
            logits = torch.as_tensor(self._logits_of(name))
            self._said[name] = self._read(logits, (_task_of(name, self._panel), logits.shape[1]))
        return self._said[name]

    def _logits_of(self, name: str) -> NDArray[np.floating[Any]]:
        if name.endswith(PERMUTED):
            order = batch_permutation(self._n, self._n, self._panel["seed"]).numpy()
            return np.asarray(self._own(name.removesuffix(PERMUTED))[order])
        return self._own(name if name in self._outputs else name.removesuffix(PERMUTED_UNITS))

    def _own(self, name: str) -> NDArray[np.floating[Any]]:
        if name not in self._outputs:
            advice = "Record the outputs of every network that is compared: record_outputs(members, images)."
            raise unknown_name("network with outputs", name, self._outputs, advice)
        return self._outputs[name]

    def _read(self, logits: Tensor, task: Any) -> _Said:
        classes, odds = logits.argmax(1), logits.double().softmax(1)
        known = task == (_classes_of(self._panel["dataset"]), logits.shape[1])
        known = known and int(self._labels.max()) < logits.shape[1]
        right = (classes == self._labels).double() if known else torch.full((self._n,), torch.nan).double()
        return _Said(classes, right, odds, torch.special.entr(odds).sum(1), self._weights @ right, task)


def _silent_rows(pair: tuple[str, str, str], name: str, n: int) -> list[Row]:
    reason = f"{name} was recorded without a layer called logits"
    return [pair_row(*pair, key, np.array([np.nan]), reason, n) for key in MEASURES]


def _checked(name: str, logits: NDArray[np.floating[Any]], n: int) -> NDArray[np.floating[Any]]:
    if logits.ndim != 2 or len(logits) != n:
        raise ShapeError(
            f"outputs of {name} have shape {logits.shape}, expected ({n}, classes): logits for each of the {n} "
            "labelled images."
        )
    if not np.isfinite(logits).all():
        raise NetalikeError(f"outputs of {name} are not all finite: look for an overflow in the network or its inputs.")
    return logits


def _task_of(name: str, panel: Mapping[str, Any]) -> object:
    """Say what the outputs of a network are: the names of classes, else the name of a data set or a task."""
    facts = panel.get("facts", {}).get(name.partition("@")[0], {})
    task = facts.get("task") or _OF_CLASSES[0]
    return _classes_of(facts.get("dataset") or panel["dataset"]) if task in _OF_CLASSES else task


def _classes_of(dataset: str) -> object:
    return DATASETS[dataset].classes if dataset in DATASETS else dataset


def _by_image(x: _Said, y: _Said) -> Tensor:
    """For each image: the same class, both right or both wrong, and the divergence; shape (3, n)."""
    if not x.is_comparable(y):
        return torch.full((3, len(x.classes)), torch.nan).double()
    between = torch.special.entr((x.odds + y.odds) / 2).sum(1) - (x.entropy + y.entropy) / 2
    bits = (between / np.log(2)).clamp(min=0)  # what rounding leaves below 0 of equal outputs
    return torch.stack([(x.classes == y.classes).double(), 1 - (x.right - y.right).abs(), bits])


def _measured(x: _Said, y: _Said, total: NDArray[np.float64], n: int) -> dict[str, NDArray[np.float64]]:
    """Each measure in every resample, from sums over its images: whole numbers, but for the divergence."""
    same, alike, bits = total
    right_x, right_y = (np.where(np.isnan(alike), np.nan, said.n_right.numpy()) for said in (x, y))
    both_wrong = n - (right_x + right_y + n - alike) / 2
    by_chance = right_x * right_y + (n - right_x) * (n - right_y)
    wrong = 2 * n - right_x - right_y - both_wrong
    return {
        AGREEMENT: same / n,
        CONSISTENCY: _ratio(n * alike - by_chance, n**2 - by_chance),
        OVERLAP: _ratio(both_wrong, wrong),
        DIVERGENCE: bits / n,
        DIFFERENCE: (right_x - right_y) / n,
    }


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)


def _reason(key: str, x: _Said, y: _Said) -> str:
    """Say why a measure of two networks has no value, where it has none."""
    if not x.is_comparable(y):
        return _DIFFERENT_TASKS
    if x.right.isnan().any() or y.right.isnan().any():
        return _OTHER_LABELS
    wrong = "both networks are wrong about every image"
    return wrong if key == CONSISTENCY and not x.right.any() else "neither network is wrong about any image"


def _folded(row: Row) -> Row:
    """Turn a signed difference into an absolute one, its interval too."""
    low, high = row["low"], row["high"]
    ends = sorted((abs(low), abs(high)))
    return {**row, "value": abs(row["value"]), "low": 0.0 if low <= 0 <= high else ends[0], "high": ends[1]}
