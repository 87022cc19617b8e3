"""What must hold exactly of shared response models: known maps are found again, and both implementations agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.alignment import SharedResponse, rsm
from netalike.alignment.brainiak import is_installed
from netalike.alignment.products import FromCrossProducts, FromImages
from netalike.alignment.srm import METHODS
from netalike.evidence.measurements import condition

Row = dict[str, Any]
Floats = NDArray[np.float64]

SKIPPED = "skipped: brainiak is not installed"
"""Status of the rows that need BrainIAK where it is missing."""

_IMAGES, _HELD_OUT, _UNITS, _COPIES, _SHARED = 120, 60, 16, 4, 6
_SHIFT = 50.0  # of a unit's activations, whose standard deviation is of the order of 1


@dataclass(frozen=True)
class Copies:
    """One network's activations, and copies of it whose units are rotated or permuted.

    Attributes
    ----------
    train, test : list of array, shape (n, p)
    maps : list of array, shape (p, p)
        Orthogonal; ``copy = original @ map``.
    """

    train: list[Floats]
    test: list[Floats]
    maps: list[Floats]


def identity_rows(seed: int) -> list[Row]:
    """Measure how far each identity of shared response models and of RSMs is from holding.

    Parameters
    ----------
    seed : int
        Of the activations, which are Gaussian numbers, and of the maps.

    Returns
    -------
    list of dict
        Rows without paper, experiment and data set. Quantity ``largest_difference`` with the factors `identity`,
        `method` and `center`, the largest absolute difference between the two sides:

        ``rotation``, ``permutation``
            Known maps between copies of a network, and those that the bases make, W_0 W_i'.
        ``held_out_rotation``, ``held_out_permutation``
            1, and the share of variance explained of held-out images.
        ``mean_shift``
            Bases, shared response and held-out transforms with and without constants added to the units.
        ``cross_products``
            Products with the bases from the images and from cross products.
        ``rsm_rotation``
            RSMs before and after a rotation of the units; estimators ``pearson`` (which changes, N7), ``cosine`` and
            ``centred_kernel``.
        ``brainiak_bases``, ``brainiak_shared``, ``brainiak_objective``
            Our models and BrainIAK's on networks of different widths with noise; the objective relative to its
            largest. Without BrainIAK they have no value, and their status is ``skipped: brainiak is not installed``.

    Notes
    -----
    In float64, ten iterations. With ``center="brainiak"`` the recovery of known maps is not exact: BrainIAK adds 0.001
    to a diagonal. Less than a second, and the import of BrainIAK.
    """
    rows = [_row(seed, *found) for found in _own(seed)]
    return rows + [_row(seed, *found) for method in METHODS for found in _beside_brainiak(seed, method)]


_Found = tuple[str, str, dict[str, str], float | None]  # identity, estimator, further factors, difference


def _own(seed: int) -> Iterator[_Found]:
    for kind in ("rotation", "permutation"):
        copies = make_copies(kind, seed)
        for method in METHODS:
            for center in ("mean", "brainiak"):
                factors = {"method": method, "center": center}
                model = SharedResponse(method=method, center=center, seed=seed).fit(copies.train)
                yield kind, "netalike", factors, _recovery(model, copies)
                yield f"held_out_{kind}", "netalike", factors, float(np.abs(model.score(copies.test) - 1).max())
    for method in METHODS:
        yield "mean_shift", "netalike", {"method": method, "center": "mean"}, _mean_shift(method, seed)
    yield "cross_products", "netalike", {}, _cross_products(seed)
    for rsm_kind in ("pearson", "cosine", "centred_kernel"):
        yield "rsm_rotation", rsm_kind, {}, _rsm_rotation(rsm_kind, seed)


def make_copies(kind: str, seed: int) -> Copies:
    """Draw activations of a network, and make copies with rotated or permuted units.

    Parameters
    ----------
    kind : {"rotation", "permutation"}
        Rotations, with reflections, are Haar.
    seed : int

    Returns
    -------
    Copies
    """
    random = np.random.default_rng([seed, kind == "rotation"])
    units = np.linspace(1, 2, _UNITS)
    images = random.standard_normal((_IMAGES + _HELD_OUT, _UNITS)) * units + 1
    draw: Callable[[np.random.Generator], Floats] = _haar if kind == "rotation" else _permutation
    maps = [draw(random) for _ in range(_COPIES)]
    copies = [images @ one for one in maps]
    return Copies([one[:_IMAGES] for one in copies], [one[_IMAGES:] for one in copies], maps)


def _haar(random: np.random.Generator) -> Floats:
    # with the signs of the diagonal of R the orthogonal factor of a Gaussian matrix is Haar
    orthogonal, triangular = np.linalg.qr(random.standard_normal((_UNITS, _UNITS)))
    return np.asarray(orthogonal * np.sign(triangular.diagonal()))


def _permutation(random: np.random.Generator) -> Floats:
    return np.eye(_UNITS)[random.permutation(_UNITS)]


def _recovery(model: SharedResponse, copies: Copies) -> float:
    pairs = zip(model.bases_, copies.maps, strict=True)
    first, original = model.bases_[0], copies.maps[0]
    return _largest(*(first @ basis.T - original.T @ one for basis, one in pairs))


def _mean_shift(method: str, seed: int) -> float:
    train, test = _noisy(seed)
    random = np.random.default_rng([seed, 2])
    shifts = [_SHIFT * random.standard_normal(x.shape[1]) for x in train]
    plain = SharedResponse(_SHARED, method=method).fit(train)
    moved = SharedResponse(_SHARED, method=method).fit([x + shift for x, shift in zip(train, shifts, strict=True)])
    transformed = moved.transform([x + shift for x, shift in zip(test, shifts, strict=True)])
    sides = [
        *zip([*plain.bases_, plain.shared_], [*moved.bases_, moved.shared_], strict=True),
        *zip(plain.transform(test), transformed, strict=True),
    ]
    return _largest(*(a - b for a, b in sides))


def _cross_products(seed: int) -> float:
    train, _ = _noisy(seed)
    random = np.random.default_rng([seed, 3])
    means = [x.mean(0) for x in train]
    weights, mix = [random.standard_normal((_SHARED, x.shape[1])) for x in train], np.eye(_SHARED) / len(train[0])
    (a, inner_a), (b, inner_b) = (
        way.cross(weights, mix) for way in (FromImages(train, means, _SHARED), FromCrossProducts(train, means))
    )
    return _largest((inner_a - inner_b) / len(train[0]), *(x - y for x, y in zip(a, b, strict=True)))


def _rsm_rotation(kind: str, seed: int) -> float:
    copies = make_copies("rotation", seed)
    return _largest(rsm(copies.test[0], kind) - rsm(copies.test[1], kind))


def _noisy(seed: int) -> tuple[list[Floats], list[Floats]]:
    """Networks of different widths with a shared response and noise of their own."""
    random = np.random.default_rng([seed, 4])
    shared = random.standard_normal((_IMAGES + _HELD_OUT, _SHARED)) * np.linspace(1, 2, _SHARED)
    networks = []
    for width in range(_UNITS, _UNITS + _COPIES):
        noise = 0.3 * random.standard_normal((len(shared), width))
        networks.append(shared @ random.standard_normal((_SHARED, width)) / 3 + noise + random.random(width))
    return [x[:_IMAGES] for x in networks], [x[_IMAGES:] for x in networks]


def _beside_brainiak(seed: int, method: str) -> Iterator[_Found]:
    factors = {"method": method, "center": "brainiak"}
    names = ("brainiak_bases", "brainiak_shared", "brainiak_objective")
    differences = _differences(seed, method) if is_installed() else (None, None, None)
    for name, difference in zip(names, differences, strict=True):
        yield name, "netalike", factors, difference


def _differences(seed: int, method: str) -> tuple[float, float, float]:
    train, _ = _noisy(seed)
    ours, theirs = (
        SharedResponse(_SHARED, method=method, center="brainiak", seed=seed, implementation=name).fit(train)
        for name in ("netalike", "brainiak")
    )
    bases = _largest(*(a - b for a, b in zip(ours.bases_, theirs.bases_, strict=True)))
    objective = _largest(ours.objective_ - theirs.objective_) / _largest(theirs.objective_)
    return bases, _largest(ours.shared_ - theirs.shared_), objective


def _largest(*differences: NDArray[np.floating[Any]]) -> float:
    return float(max(np.abs(difference).max() for difference in differences))


def _row(seed: int, identity: str, estimator: str, factors: dict[str, str], value: float | None) -> Row:
    row: Row = {
        "split": "test" if identity.startswith(("held_out", "rsm")) else "train",
        "n_samples": _HELD_OUT if identity.startswith(("held_out", "rsm")) else _IMAGES,
        "quantity": "largest_difference",
        "estimator": estimator,
        "condition": condition(identity=identity, **factors),
        "seed": seed,
        "value": value,
    }
    return row if value is not None else {**row, "status": SKIPPED}
