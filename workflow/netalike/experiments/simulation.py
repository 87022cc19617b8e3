"""The simulation of Lu et al. (2018): rotated copies of one network, and whether a shared response model undoes it.

Quantities of the rows (conditions: ``transform`` of the copies, ``space``, ``center`` of the model):

``rsm_correlation``
    Of the similarity matrix between networks (iRSM), of all its entries, with the truth: the mean similarity matrix
    within networks (wRSM) in their native space. ``center=none`` and ``center=brainiak`` are as published: nothing is
    subtracted from the test activity. With ``center=mean`` the mean of the training activity is subtracted
    everywhere, in the truth as well. Estimators: ``pearson``; ``kendall`` (tau-b); ``kendall_as_published``, which in
    the native space is Pearson's correlation once more.
``rsm_correlation_uncentred_truth``
    Of the matrix in the shared space of ``center=mean`` with the truth of ``center=none``.
``variance_explained``
    Of held-out activity by the mean of the aligned networks (``held_out``: mean over networks).
``recovered_error``
    Largest distance, over pairs of networks, of the rotation that the model found to the known one: largest difference
    of an entry of the two matrices (``entries``; directions without activity are in it, which nothing can recover), and
    root mean square of what is left between two aligned networks over that of their activity (``activity``; centred,
    held out).
``accuracy``
    Of the trained networks (``rounded``: the output rounds to the label).

Rows with ``variant=independent`` are of the authors' tutorial, which shows matrices and no correlations: two networks
trained independently. Patterns are standardised image by image: with ``z_score=published`` test image j by the mean and
deviation of training image j, with ``z_score=own`` each image by its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.alignment.rsm import between_rsm, second_order, within_rsms
from netalike.alignment.srm import SharedResponse
from netalike.data.xor import SPLITS, XorData, xor_data
from netalike.errors import NetalikeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.progress import progress
from netalike.training.xor import TUTORIAL, XorNetworks, XorSettings, train_xor

TRANSFORMS = ("permutation", "haar", "uniform_qr")
CENTERS = ("brainiak", "mean")
INDEPENDENT = "independent"

Row = dict[str, Any]
Floats = NDArray[np.float64]
Pictures = dict[str, NDArray[Any]]
_Splits = tuple[XorData, XorData]

_LAYER = "hidden"
_DATA, _NETWORK, _COPIES, _TUTORIAL_DATA, _TUTORIAL_NETWORK = range(5)  # independent streams of random numbers
_TUTORIAL_NETWORKS = 2
_FEWEST_COPIES = 2


@dataclass(frozen=True)
class SimulationStudy:
    """What is simulated; the defaults are those of the published code.

    Attributes
    ----------
    copies : int
        Of the trained network, at least 2.
    units : int
        Of the hidden layer.
    epochs : int
        Steps of the training, each on all samples.
    n_per_cluster : int
        Points of each of the four clouds, in the training and in the test set.
    features : int
        Of the shared response model, at most `units`.
    noise : float
        Standard deviation of normal noise on the activity of every copy.
    independent : bool
        Whether the networks of the tutorial are trained as well.
    tutorial_epochs : int
        Of their training.
    """

    copies: int = 10
    units: int = 50
    epochs: int = 1000
    n_per_cluster: int = 50
    features: int = 50
    noise: float = 0.0
    independent: bool = False
    tutorial_epochs: int = TUTORIAL.epochs

    def __post_init__(self) -> None:
        if self.copies < _FEWEST_COPIES:
            raise NetalikeError(f"the simulation needs at least {_FEWEST_COPIES} copies, got {self.copies}.")
        if not 1 <= self.features <= self.units:
            raise NetalikeError(
                f"the shared response of the simulation has 1 to {self.units} features, as many as units at most; "
                f"got {self.features}."
            )
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise NetalikeError(f"noise is a standard deviation, 0 or more; got {self.noise}.")

    @classmethod
    def of(cls, study: Mapping[str, Any]) -> SimulationStudy:
        """Take what is named here from a study of the configuration; the rest of its keys concern the workflow."""
        return cls(**{field.name: study[field.name] for field in fields(cls) if field.name in study})


def simulate(
    study: Mapping[str, Any], repeats: Sequence[int], seed: int, shown: bool | None = False
) -> tuple[list[Row], Pictures]:
    """Train a network per repeat, copy it with permuted and rotated units, and align the copies.

    Parameters
    ----------
    study : mapping
        See `SimulationStudy`; what is left out is as published.
    repeats : sequence of int
        Numbers of the repeats, such as ``range(10)``.
    seed : int
        Of the study. A repeat depends on it and on its own number alone: any split of the repeats into jobs gives the
        same rows, bit for bit.
    shown : bool, optional
        Whether to show progress.

    Returns
    -------
    rows : list of dict
        Of the measurement table, see the head of this module; `seed` is the number of the repeat, `split` is "test".
    pictures : dict of str to ndarray
        Of the first repeat: similarity matrices, float32, shape (n, n), by ``<transform>.<center>.<space>`` with the
        spaces ``shared``, ``native`` and ``truth`` (``independent`` is a transform here, and has ``published.shared``,
        standardised as published); and ``<transform>.labels`` and ``<transform>.clouds`` of the images.

    Raises
    ------
    NetalikeError
        If there are no repeats, or the study is out of range.

    Notes
    -----
    Lu et al. (2018), published code. Cost: a second of training for twenty repeats, and six fits of a shared response
    model and fifteen rank correlations of n x n entries for each.
    """
    settings, numbers = SimulationStudy.of(study), [int(repeat) for repeat in repeats]
    if not numbers:
        raise NetalikeError("nothing to simulate: expected the number of at least one repeat.")
    rows, pictures = _copies_of_all(settings, numbers, seed, shown)
    if settings.independent:
        more, further = _tutorial_of_all(settings, numbers, seed, shown)
        rows, pictures = rows + more, pictures | further
    return rows, pictures


def rotation(transform: str, units: int, generator: np.random.Generator) -> Floats:
    """Draw an orthogonal matrix.

    Parameters
    ----------
    transform : {"permutation", "haar", "uniform_qr"}
        Of the units; uniform among all rotations and reflections (Haar's measure); or, as published, the QR factor of a
        matrix of numbers from [0, 1), whose first column is nearly the same in every draw.
    units : int
    generator : Generator

    Returns
    -------
    ndarray, float64, shape (units, units)
        The activity of a copy is ``activity @ rotation.T``.

    Raises
    ------
    UnknownNameError
        For an unknown transform.
    """
    if transform not in TRANSFORMS:
        raise unknown_name("transform of the copies", transform, TRANSFORMS)
    if transform == "permutation":
        return np.eye(units)[generator.permutation(units)]
    if transform == "uniform_qr":
        return np.linalg.qr(generator.random((units, units))).Q
    factor, triangle = np.linalg.qr(generator.standard_normal((units, units)))
    # without the signs, the factor depends on the convention of the decomposition (Mezzadri 2007)
    return np.asarray(factor * np.sign(np.diagonal(triangle)))


def recovered_errors(
    bases: Sequence[Floats], rotations: Sequence[Floats], activities: Sequence[Floats]
) -> dict[str, float]:
    """Measure how far a shared response model is from the rotations that made the copies.

    Parameters
    ----------
    bases : sequence of ndarray, shape (units, k)
        W_i of the model, one per copy.
    rotations : sequence of ndarray, shape (units, units)
        Q_i, as `rotation` draws them.
    activities : sequence of ndarray, shape (n, units)
        Of the copies, centred.

    Returns
    -------
    dict of str to float
        ``entries``: largest difference between entries of W_i W_j^T and Q_i Q_j^T; ``activity``: largest root mean
        square of the difference between two aligned activities over that of the first. Largest over pairs; 0 is exact.
    """
    aligned = [X @ W for X, W in zip(activities, bases, strict=True)]
    found = {"entries": 0.0, "activity": 0.0}
    for i in range(len(bases)):
        for j in range(i):
            difference = bases[i] @ bases[j].T - rotations[i] @ rotations[j].T
            found["entries"] = max(found["entries"], float(np.abs(difference).max()))
            left = float(np.linalg.norm(aligned[i] - aligned[j]) / np.linalg.norm(activities[i]))
            found["activity"] = max(found["activity"], left)
    return found


# ---- rotated copies --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Activity:
    """Hidden activity of networks, one array (n, units) per network and split."""

    train: list[Floats]
    test: list[Floats]

    def centred(self) -> _Activity:
        """Subtract the mean of the training activity, as ``center="mean"`` does."""
        means = [X.mean(axis=0) for X in self.train]
        return _Activity(*([X - mean for X, mean in zip(Xs, means, strict=True)] for Xs in (self.train, self.test)))

    def matrices(self, center: str) -> Pictures:
        """Return the similarity matrices in the native space: between networks, and the mean within networks."""
        own = self.centred().test if center == "mean" else self.test
        truth = np.mean(within_rsms(own), axis=0)
        return {f"{center}.native": between_rsm(own), f"{center}.truth": truth}


def _copies_of_all(
    settings: SimulationStudy, repeats: list[int], seed: int, shown: bool | None
) -> tuple[list[Row], Pictures]:
    data = [_both_splits(settings, [seed, repeat, _DATA], "simulation") for repeat in repeats]
    training = XorSettings(units=settings.units, epochs=settings.epochs)
    networks = _train(data, [[seed, repeat, _NETWORK] for repeat in repeats], training, shown)
    ones = [_Repeat(f"xor-s{repeat}", repeat, len(data[0][1]), settings.epochs) for repeat in repeats]
    rows = _accuracy_rows(networks, data, ones)
    pictures: Pictures = {}
    activities = _hidden(networks, data)
    for i, one in enumerate(progress(ones, "simulation", shown=shown, unit="repeat")):
        for transform in TRANSFORMS:
            generator = np.random.default_rng([seed, one.repeat, _COPIES, TRANSFORMS.index(transform)])
            more, matrices = _transform_rows(one, settings, transform, activities[i], generator)
            rows += more
            pictures |= _pictures(matrices, transform, data[i][1]) if i == 0 else {}
    return rows, pictures


def _transform_rows(
    one: _Repeat, settings: SimulationStudy, transform: str, activity: _Activity, generator: np.random.Generator
) -> tuple[list[Row], Pictures]:
    """Make copies of one network, align them in both ways, and compare the similarity matrices."""
    rotations = [rotation(transform, settings.units, generator) for _ in range(settings.copies)]
    copies = _Activity(
        *(
            [X @ Q.T + settings.noise * generator.standard_normal(X.shape) for Q in rotations]
            for X in (activity.train[0], activity.test[0])
        )
    )
    matrices = copies.matrices("none") | copies.matrices("mean")
    rows: list[Row] = []
    for center in CENTERS:
        told = {"transform": transform, "center": center}
        model = SharedResponse(settings.features, center=center).fit(copies.train)
        matrices[f"{center}.shared"] = between_rsm(model.transform(copies.test))
        rows.append(one.row("variance_explained", "held_out", model.score(copies.test).mean(), **told))
        for estimator, error in recovered_errors(model.bases_, rotations, copies.centred().test).items():
            rows.append(one.row("recovered_error", estimator, error, **told))
    return rows + _correlation_rows(one, matrices, transform=transform), matrices


def _correlation_rows(one: _Repeat, matrices: Pictures, **factors: str) -> list[Row]:
    """Correlate every matrix between networks with the truth that belongs to it."""
    rows: list[Row] = []
    for center, space in (("none", "native"), ("brainiak", "shared"), ("mean", "native"), ("mean", "shared")):
        told = {**factors, "center": center, "space": space}
        truth = matrices["mean.truth" if center == "mean" else "none.truth"]
        found = _correlations(matrices[f"{center}.{space}"], truth)
        if center != "mean" and "transform" in factors:
            found["kendall_as_published"] = found["pearson" if space == "native" else "kendall"]
        rows += [one.row("rsm_correlation", estimator, value, **told) for estimator, value in found.items()]
    found = _correlations(matrices["mean.shared"], matrices["none.truth"])
    told = {**factors, "center": "mean", "space": "shared"}
    return rows + [one.row("rsm_correlation_uncentred_truth", name, value, **told) for name, value in found.items()]


def _correlations(found: Floats, truth: Floats) -> dict[str, float]:
    """Correlate all entries of two matrices, as published: the diagonal and both triangles."""
    return {method: second_order(found, truth, method=method, part="all") for method in ("pearson", "kendall")}


# ---- networks of the tutorial ----------------------------------------------------------------------------------------


def _tutorial_of_all(
    settings: SimulationStudy, repeats: list[int], seed: int, shown: bool | None
) -> tuple[list[Row], Pictures]:
    data = [_both_splits(settings, [seed, repeat, _TUTORIAL_DATA], "tutorial") for repeat in repeats]
    pairs = [(repeat, network) for repeat in repeats for network in range(_TUTORIAL_NETWORKS)]
    of_pairs = [splits for splits in data for _ in range(_TUTORIAL_NETWORKS)]
    training = replace(TUTORIAL, units=settings.units, epochs=settings.tutorial_epochs)
    networks = _train(of_pairs, [[seed, repeat, _TUTORIAL_NETWORK, i] for repeat, i in pairs], training, shown)
    ones = [
        _Repeat(f"xor-tutorial-s{repeat}-{i}", repeat, len(splits[1]), training.epochs)
        for (repeat, i), splits in zip(pairs, of_pairs, strict=True)
    ]
    rows = _accuracy_rows(networks, of_pairs, ones, variant=INDEPENDENT)
    pictures: Pictures = {}
    activities = _hidden(networks, of_pairs)
    for i, repeat in enumerate(repeats):
        of_repeat = slice(_TUTORIAL_NETWORKS * i, _TUTORIAL_NETWORKS * (i + 1))
        one = replace(ones[of_repeat][0], network=f"xor-tutorial-s{repeat}")
        more, matrices = _tutorial_rows(one, settings.features, _joined(activities[of_repeat]))
        rows += more
        pictures |= _pictures(matrices, INDEPENDENT, data[i][1]) if i == 0 else {}
    return rows, pictures


def _tutorial_rows(one: _Repeat, features: int, activity: _Activity) -> tuple[list[Row], Pictures]:
    """Align networks that were trained independently, standardised as published and image by image."""
    own = _Activity(_standardised(activity.train), _standardised(activity.test))
    crossed = _standardised(activity.test, by=activity.train)  # works only because the splits are of one size
    matrices = own.matrices("none") | own.matrices("mean")  # standardised patterns have the RSM of the patterns
    rows: list[Row] = []
    for center in CENTERS:
        model = SharedResponse(features, center=center).fit(own.train)
        told = {"variant": INDEPENDENT, "center": center}
        matrices[f"{center}.shared"] = between_rsm(model.transform(own.test))
        rows.append(one.row("variance_explained", "held_out", model.score(own.test).mean(), **told, z_score="own"))
        if center == "brainiak":
            matrices["published.shared"] = between_rsm(model.transform(crossed))
    rows += _correlation_rows(one, matrices, variant=INDEPENDENT, z_score="own")
    told = {"variant": INDEPENDENT, "center": "brainiak", "space": "shared", "z_score": "published"}
    found = _correlations(matrices["published.shared"], matrices["none.truth"])
    return rows + [one.row("rsm_correlation", name, value, **told) for name, value in found.items()], matrices


def _joined(activities: Sequence[_Activity]) -> _Activity:
    return _Activity([X for one in activities for X in one.train], [X for one in activities for X in one.test])


def _standardised(activity: Sequence[Floats], by: Sequence[Floats] | None = None) -> list[Floats]:
    """Give the pattern of every image mean 0 and deviation 1 over units, or what gives them to images of `by`."""
    return [
        (X - reference.mean(axis=1, keepdims=True)) / reference.std(axis=1, keepdims=True)
        for X, reference in zip(activity, by or activity, strict=True)
    ]


# ---- what both have in common ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Repeat:
    """What the rows of a repeat have in common."""

    network: str
    repeat: int
    n_samples: int
    step: int

    def row(
        self, quantity: str, estimator: str, value: float | np.floating[Any], split: str = "test", **factors: str
    ) -> Row:
        """Make a row; a number that is not finite has the reason."""
        known = math.isfinite(value)
        return {
            "dataset": "xor-tutorial" if "variant" in factors else "xor",
            "split": split,
            "n_samples": self.n_samples,
            "network_a": self.network,
            "layer_a": _LAYER,
            "quantity": quantity,
            "estimator": estimator,
            "condition": condition(**factors),
            "seed": self.repeat,
            "step": self.step,
            "value": float(value) if known else math.nan,
            "status": OK if known else "undefined: a similarity matrix is constant or not finite",
        }


def _both_splits(settings: SimulationStudy, seed: list[int], clouds: str) -> _Splits:
    train, test = (xor_data(settings.n_per_cluster, seed, split, clouds) for split in ("train", "test"))
    return train, test


def _stacked(data: Sequence[_Splits], split: int) -> tuple[Floats, NDArray[np.int64]]:
    chosen = [splits[split] for splits in data]
    return np.stack([one.x for one in chosen]), np.stack([one.labels for one in chosen])


def _train(
    data: Sequence[_Splits], seeds: Sequence[list[int]], settings: XorSettings, shown: bool | None
) -> XorNetworks:
    return train_xor(*_stacked(data, 0), seeds, settings, shown)


def _hidden(networks: XorNetworks, data: Sequence[_Splits]) -> list[_Activity]:
    """Activity of every network on its own data."""
    train, test = (networks.hidden(_stacked(data, split)[0]) for split in (0, 1))
    return [_Activity([one], [other]) for one, other in zip(train, test, strict=True)]


def _accuracy_rows(
    networks: XorNetworks, data: Sequence[_Splits], ones: Sequence[_Repeat], **factors: str
) -> list[Row]:
    found = [networks.accuracy(*_stacked(data, split)) for split in range(len(SPLITS))]
    return [
        one.row("accuracy", "rounded", accuracies[i], split, **factors)
        for i, one in enumerate(ones)
        for split, accuracies in zip(SPLITS, found, strict=True)
    ]


def _pictures(matrices: Pictures, transform: str, test: XorData) -> Pictures:
    found = {f"{transform}.{name}": matrix.astype(np.float32) for name, matrix in matrices.items()}
    return {**found, f"{transform}.labels": test.labels, f"{transform}.clouds": test.cloud}
