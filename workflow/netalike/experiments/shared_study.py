"""What an alignment of shared responses is run with: its settings, the two halves of the images, and prepared patterns.

Needs numpy alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, ShapeError, unknown_name

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Epoch = int | str

CENTERS = ("mean", "brainiak")
KINDS = ("pearson", "cosine", "centred_kernel")
CONTROLS = ("shuffled", "noise", "untrained")
SUBSETS = ("shared", "separate", "pca")


class Recording(Protocol):
    """The activations of one network over the same images at several epochs."""

    @property
    def name(self) -> str:
        """Of the network, as the measurement table calls it."""

    @property
    def layers(self) -> Sequence[str]:
        """From the input to the output."""

    @property
    def epochs(self) -> Sequence[Any]:
        """In the order of training: numbers, or one text such as ``"final"``."""

    @property
    def labels(self) -> NDArray[Any]:
        """Class of each image, shape (n,)."""

    def activations(self, layer: str, epoch: Any) -> NDArray[Any]:
        """Return the activations of a layer, shape (n, p)."""


@dataclass(frozen=True)
class AlignmentStudy:
    """Settings of `align_recordings`; the defaults are those of the published analyses, or correct them.

    Attributes
    ----------
    fit_share : float
        Share of the images that the model is fitted to, where `n_fit` is not given; the rest evaluates it.
    n_fit, n_evaluate : int, optional
        Numbers of images to fit to and to evaluate on.
    z_score : bool
        Whether each image's pattern is brought to mean 0 and variance 1 across units, as published (N8).
    units : int, optional
        Of a layer with more units, so many are kept; None keeps all.
    subset : {"shared", "separate", "pca"}
        How they are chosen (N6): the same units in all networks and epochs, other units in each network and epoch as
        published, or the first principal components of each network's fitting half.
    features : int, optional
        Of the shared response; None takes the number of units, so that alignment is rigid, as published.
    method, implementation, iterations
        Of `SharedResponse`.
    centers : tuple of {"mean", "brainiak"}
        Modes of `SharedResponse`; native patterns are centred likewise, see `align_recordings`.
    rsms : tuple of {"pearson", "cosine", "centred_kernel"}
        Kinds of representational similarity matrices. The first is computed at every epoch, its companions at the first
        and the last one; with ``brainiak`` Pearson alone, as published, where ``mean`` is there for the companions.
    controls : tuple of {"shuffled", "noise", "untrained"}
    bootstrap : int
        Draws of networks for intervals.
    most_classes : int
        Similarities of classes are left out where there are more: their number grows with the square.
    trajectories, window : int
        Networks whose trajectories are drawn, and images over which they are averaged.
    """

    fit_share: float = 0.8
    n_fit: int | None = None
    n_evaluate: int | None = None
    z_score: bool = True
    units: int | None = None
    subset: str = "shared"
    features: int | None = None
    method: str = "probabilistic"
    implementation: str = "netalike"
    iterations: int = 10
    centers: tuple[str, ...] = CENTERS
    rsms: tuple[str, ...] = KINDS
    controls: tuple[str, ...] = CONTROLS
    bootstrap: int = 1000
    most_classes: int = 20
    trajectories: int = 5
    window: int = 10

    def __post_init__(self) -> None:
        for kind, given, allowed in (
            ("center of a shared response", self.centers, CENTERS),
            ("kind of RSM", self.rsms, KINDS),
            ("control of an alignment", self.controls, CONTROLS),
            ("choice of units", (self.subset,), SUBSETS),
        ):
            for name in given:
                if name not in allowed:
                    raise unknown_name(kind, name, allowed)
        if not self.centers or not self.rsms:
            raise NetalikeError(f"centers {self.centers} and rsms {self.rsms}: give at least one of each.")
        if not 0 < self.fit_share < 1:
            raise NetalikeError(f"fit_share {self.fit_share}: expected a share between 0 and 1, such as 0.8.")

    @classmethod
    def from_mapping(cls, study: Mapping[str, Any]) -> AlignmentStudy:
        """Take the settings of an alignment from a study, which may hold others beside them.

        Parameters
        ----------
        study : mapping

        Returns
        -------
        AlignmentStudy

        Raises
        ------
        UnknownNameError
            For a center, kind of RSM, control or choice of units that does not exist.
        NetalikeError
            For an empty list of centers or kinds, or a share that is none.
        """
        names = [field.name for field in fields(cls)]
        values = {name: study[name] for name in names if name in study}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)

    @property
    def raw_center(self) -> str:
        """The mode whose native patterns are as the network has them, if it is there; else the first."""
        return "brainiak" if "brainiak" in self.centers else self.centers[0]

    def kinds_of(self, center: str, at_end: bool) -> tuple[str, ...]:
        """Return the kinds of RSM that are computed.

        Parameters
        ----------
        center : str
        at_end : bool
            Whether at the first or the last epoch.
        """
        if center == "brainiak" and "mean" in self.centers and "pearson" in self.rsms:
            return ("pearson",)
        return self.rsms if at_end else self.rsms[:1]


@dataclass(frozen=True)
class Halves:
    """Images to fit to and images to evaluate on.

    Attributes
    ----------
    fit : ndarray, shape (n_fit,)
        Positions, ascending.
    evaluate : ndarray, shape (n_evaluate,)
        Positions, sorted by label.
    labels : ndarray, shape (n_evaluate,)
        Of `evaluate`.
    """

    fit: Indices
    evaluate: Indices
    labels: NDArray[Any]


def stratified_halves(labels: NDArray[Any], study: AlignmentStudy, seed: int) -> Halves:
    """Divide images into a half to fit and one to evaluate, each with all classes in proportion.

    Parameters
    ----------
    labels : ndarray, shape (n,)
    study : AlignmentStudy
        `n_fit` and `n_evaluate`, or `fit_share` where one of them is missing.
    seed : int

    Returns
    -------
    Halves
        Numbers of images per class differ from proportion by at most one.

    Raises
    ------
    NetalikeError
        If there are not as many images, or a half would hold fewer than two.
    """
    n_fit, n_evaluate = _sizes(len(labels), study)
    order = _class_by_class(labels, np.random.default_rng([seed, 1]))
    fit, evaluate = np.sort(order[:n_fit]), np.sort(order[n_fit : n_fit + n_evaluate])
    evaluate = evaluate[np.argsort(labels[evaluate], kind="stable")]
    return Halves(fit, evaluate, labels[evaluate])


def _sizes(n: int, study: AlignmentStudy) -> tuple[int, int]:
    share = round(study.fit_share * n)
    n_fit = study.n_fit or (n - study.n_evaluate if study.n_evaluate else share)
    n_evaluate = study.n_evaluate or n - n_fit
    if n_fit + n_evaluate > n or min(n_fit, n_evaluate) < 2:
        raise NetalikeError(
            f"{n_fit} images to fit and {n_evaluate} to evaluate on, of {n} recorded images: expected at least 2 of "
            "each, and no more than were recorded. Record more images, or lower n_fit or n_evaluate of the study."
        )
    return n_fit, n_evaluate


def _class_by_class(labels: NDArray[Any], generator: np.random.Generator) -> Indices:
    """Order images so that every stretch of the order holds the classes in proportion."""
    order = generator.permutation(len(labels))
    place = np.empty(len(labels))
    for name in np.unique(labels):
        members = np.flatnonzero(labels[order] == name)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.asarray(order[np.argsort(place, kind="stable")], dtype=np.int64)


@dataclass(frozen=True)
class Patterns:
    """The prepared patterns of all networks in one layer at one epoch.

    Attributes
    ----------
    fit, evaluate : list of ndarray, float32, shapes (n_fit, p_i) and (n_evaluate, p_i)
    problem : str
        Why they cannot be aligned; "" where they can.
    """

    fit: list[Floats]
    evaluate: list[Floats]
    problem: str = ""

    @property
    def same_width(self) -> bool:
        """Whether all networks have as many units, so that native units can be matched, if arbitrarily."""
        return len({one.shape[1] for one in self.fit}) == 1


def prepare(
    networks: Sequence[Recording], layer: str, epoch: Epoch, halves: Halves, study: AlignmentStudy, seed: int
) -> Patterns:
    """Take the patterns of a layer at an epoch: choose units, divide the images, and standardise each pattern.

    Parameters
    ----------
    networks : sequence of Recording
    layer : str
    epoch : int or str
    halves : Halves
    study : AlignmentStudy
    seed : int
        Of the choice of units.

    Returns
    -------
    Patterns

    Raises
    ------
    ShapeError
        If a network's activations are not of as many images as it has labels.

    Notes
    -----
    Lu et al. (2018), run_analyses.py of the published code: z-scores are across the units of each image, with the
    variance over n; a pattern without variance is 0, and reported as a problem.
    """
    fit, evaluate, problems = [], [], []
    for number, network in enumerate(networks):
        recorded = network.activations(layer, epoch)
        if len(recorded) != len(network.labels):
            raise ShapeError(
                f"layer {layer!r} of {network.name}: activations of {len(recorded)} images, and labels of "
                f"{len(network.labels)}; expected one row of activations per label. Record the network again."
            )
        halved = _choose_units(recorded, halves, study, (seed, layer, number, epoch))
        if not all(np.isfinite(half).all() for half in halved):
            problems.append(f"activations of {network.name} in layer {layer} are not finite")
        if study.z_score:
            halved = (z_scored(halved[0]), z_scored(halved[1]))
        constant = sum(int((~half.any(axis=1)).sum()) for half in halved)
        if constant:
            problems.append(f"{constant} patterns of {network.name} in layer {layer} have no variance")
        fit.append(halved[0])
        evaluate.append(halved[1])
    return Patterns(fit, evaluate, "; ".join(problems[:2]))


def z_scored(patterns: Floats) -> Floats:
    """Bring each row to mean 0 and variance 1; a row without variance becomes 0.

    Parameters
    ----------
    patterns : ndarray, shape (n, p)

    Returns
    -------
    ndarray, float32, shape (n, p)
    """
    centred = patterns - patterns.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True, dtype=np.float64))
    size = np.abs(patterns).max(axis=1, keepdims=True, initial=0)
    constant = spread <= 1e-6 * size  # rounding of float32 beside the values
    return np.asarray(np.where(constant, 0, centred / np.where(constant, 1, spread)), dtype=np.float32)


def _choose_units(
    recorded: NDArray[Any], halves: Halves, study: AlignmentStudy, key: tuple[int, str, int, Epoch]
) -> tuple[Floats, Floats]:
    fit, evaluate = (_rows(recorded, half) for half in (halves.fit, halves.evaluate))
    width = fit.shape[1]
    if study.units is None or width <= study.units:
        return fit, evaluate
    if study.subset == "pca":
        return _components(fit, evaluate, study.units)
    units = chosen_units(width, study.units, study.subset, *key)
    return np.ascontiguousarray(fit[:, units]), np.ascontiguousarray(evaluate[:, units])


def _rows(recorded: NDArray[Any], positions: Indices) -> Floats:
    taken = np.asarray(recorded[positions], dtype=np.float32)
    return taken.reshape(len(taken), -1)


def chosen_units(width: int, count: int, subset: str, seed: int, layer: str, network: int, epoch: Epoch) -> Indices:
    """Draw units of a layer (N6: the published choice is unseeded, and other for each network and epoch).

    Parameters
    ----------
    width, count : int
        Units that there are, and that are kept.
    subset : {"shared", "separate"}
        With ``shared`` neither the network nor the epoch changes the choice.
    seed : int
    layer : str
    network : int
        Position in the list of networks.
    epoch : int or str

    Returns
    -------
    ndarray, shape (count,)
        Ascending.
    """
    key = [seed, 2, zlib.crc32(layer.encode())]
    if subset == "separate":
        key += [network, zlib.crc32(str(epoch).encode())]
    drawn = np.random.default_rng(key).choice(width, size=count, replace=False)
    return np.sort(drawn).astype(np.int64)


def _components(fit: Floats, evaluate: Floats, count: int) -> tuple[Floats, Floats]:
    """Project both halves on the first principal components of the fitting half, with the mean left in."""
    if count > len(fit):
        raise NetalikeError(
            f"units {count} with subset 'pca': expected at most as many components as images to fit, {len(fit)}. "
            "Lower `units`, or fit to more images."
        )
    centred = fit.astype(np.float64) - fit.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(axes[:count]).argmax(axis=1)
    signs = np.sign(axes[np.arange(count), largest])  # the sign of an axis is arbitrary: fixed for the same bits
    basis = (axes[:count] * signs[:, None]).T.astype(np.float32)
    return fit @ basis, evaluate @ basis


def common_schedule(networks: Sequence[Recording]) -> tuple[list[str], list[Epoch]]:
    """Return the layers and the epochs that all networks have.

    Parameters
    ----------
    networks : sequence of Recording

    Returns
    -------
    layers : list of str
    epochs : list of int or str
        In the order of the first network.

    Raises
    ------
    NetalikeError
        If there are fewer than two networks, their names repeat, or they share no epoch.
    ShapeError
        If their layers or labels differ.
    """
    if len(networks) < 2:
        raise NetalikeError(f"{len(networks)} network(s) to align: expected at least 2 of one architecture.")
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise NetalikeError(f"names of networks repeat: {', '.join(names)}; expected each network once.")
    first, *others = networks
    for other in others:
        if list(other.layers) != list(first.layers):
            raise ShapeError(
                f"layers of {other.name}: {', '.join(other.layers)}; expected those of {first.name}, "
                f"{', '.join(first.layers)}. Align networks of one architecture."
            )
        if not np.array_equal(other.labels, first.labels):
            raise ShapeError(f"labels of {other.name} are not those of {first.name}: record both over the same images.")
    epochs = [epoch for epoch in first.epochs if all(epoch in other.epochs for other in others)]
    if not epochs:
        raise NetalikeError(f"no epoch is recorded of all of {', '.join(names)}: record the last epoch of each.")
    return list(first.layers), epochs


def output_layer(networks: Sequence[Recording], layers: Sequence[str], epochs: Sequence[Epoch]) -> str:
    """Return the layer whose units are the classes, if the last one is such; "" where all layers are hidden.

    Parameters
    ----------
    networks : sequence of Recording
    layers : sequence of str
    epochs : sequence of int or str

    Returns
    -------
    str
        Its units are matched between networks by the task, so that it says nothing of arbitrary units, and the
        published summaries leave it out.
    """
    n_classes = len(np.unique(networks[0].labels))
    widths = [int(np.prod(network.activations(layers[-1], epochs[-1]).shape[1:])) for network in networks]
    return layers[-1] if len(layers) > 1 and all(width == n_classes for width in widths) else ""
