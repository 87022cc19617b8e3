"""What the activations of several networks must be before they are aligned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netalike.errors import NetalikeError, ShapeError

Reals = NDArray[np.floating[Any]]


def network_names(count: int, names: Sequence[str] | None) -> list[str]:
    """Return what messages call the networks.

    Parameters
    ----------
    count : int
    names : sequence of str, optional
        One for each network, such as ``"conv-s3, layer pool1"``; ``"network 0"``, ``"network 1"``, ... by default.

    Returns
    -------
    list of str

    Raises
    ------
    ShapeError
        If there are more or fewer names than networks.
    """
    if names is None:
        return [f"network {i}" for i in range(count)]
    if len(names) != count:
        raise ShapeError(f"{len(names)} names for {count} networks: give one name for each.")
    return list(names)


def activations(X: Sequence[ArrayLike], names: Sequence[str] | None = None, same_images: bool = True) -> list[Reals]:
    """Check the activations of several networks.

    Parameters
    ----------
    X : sequence of array_like, shape (n, p_i)
        One row for each image.
    names : sequence of str, optional
        What messages call the networks.
    same_images : bool
        Whether all have to have the same number of rows.

    Returns
    -------
    list of array, shape (n, p_i)
        float32 where all are, float64 otherwise; not copied where they are such arrays already.

    Raises
    ------
    ShapeError
        If one is no matrix, is empty, or has another number of images than the first.
    NetalikeError
        If there is a NaN or an infinity; the message names the network and counts them.
    """
    called = network_names(len(X), names)
    given = [np.asarray(x) for x in X]
    dtype = np.float32 if all(x.dtype == np.float32 for x in given) else np.float64
    found = [_matrix(x.astype(dtype, copy=False), name) for x, name in zip(given, called, strict=True)]
    for x, name in zip(found, called, strict=True):
        if same_images and len(x) != len(found[0]):
            counts = ", ".join(f"{other} {len(y)}" for y, other in zip(found, called, strict=True))
            raise ShapeError(
                f"{name} has {len(x)} images and {called[0]} has {len(found[0])}: give all networks the same images "
                f"in the same order (given: {counts})."
            )
    return found


def _matrix(found: Reals, name: str) -> Reals:
    if found.ndim != 2 or 0 in found.shape:
        raise ShapeError(
            f"the activations of {name} have shape {found.shape}: expected (n_images, n_units); flatten feature maps "
            "to one row for each image."
        )
    # a sum is not finite if a term is not; only then is it worth a pass with a mask of the same size
    if not np.isfinite(found.sum()) and (bad := int(np.count_nonzero(~np.isfinite(found)))):
        raise NetalikeError(
            f"the activations of {name} hold {bad} NaN or infinite numbers of {found.size}: leave the layer out, or "
            "look for what diverged in training."
        )
    return found


def fit_size(X: Sequence[Reals], features: int | None, names: Sequence[str] | None = None) -> int:
    """Return the number of shared features to fit, checked against the activations.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    features : int, optional
        As asked for; None is the smallest width.
    names : sequence of str, optional
        What messages call the networks.

    Returns
    -------
    int

    Raises
    ------
    ShapeError
        If there are fewer than two networks, fewer images than features, or a network has fewer units than features.
    """
    called = network_names(len(X), names)
    if len(X) < 2:
        raise ShapeError(f"a shared response needs at least 2 networks, got {len(X)}.")
    widths = [x.shape[1] for x in X]
    size = min(widths) if features is None else features
    narrow = int(np.argmin(widths))
    if not 1 <= size <= widths[narrow]:
        raise ShapeError(
            f"{size} features cannot be fitted to {called[narrow]}, which has {widths[narrow]} units: ask for 1 to "
            f"{widths[narrow]} features (features=None takes the smallest width)."
        )
    if len(X[0]) < size:
        raise ShapeError(
            f"{len(X[0])} images are too few for {size} features: give at least {size} images, or ask for fewer "
            "features."
        )
    return size


def fitted_to(X: Sequence[Reals], bases: Sequence[Reals], names: Sequence[str] | None = None) -> None:
    """Refuse activations that a fitted model does not know.

    Parameters
    ----------
    X : sequence of array, shape (n_i, p_i)
    bases : sequence of array, shape (p_i, k)
        Of the model.
    names : sequence of str, optional
        What messages call the networks.

    Raises
    ------
    ShapeError
        If there are more or fewer networks, or one has another number of units.
    """
    if len(X) != len(bases):
        raise ShapeError(f"{len(X)} networks given to a shared response of {len(bases)}: give the same networks.")
    for x, basis, name in zip(X, bases, network_names(len(X), names), strict=True):
        if x.shape[1] != len(basis):
            raise ShapeError(
                f"{name} has {x.shape[1]} units and was fitted with {len(basis)}: give the same units in order."
            )


def refuse_constant(X: Sequence[Reals], names: Sequence[str] | None = None) -> None:
    """Refuse a network whose activations are the same for all images.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    names : sequence of str, optional
        What messages call the networks.

    Raises
    ------
    NetalikeError
    """
    for x, name in zip(X, network_names(len(X), names), strict=True):
        if not (x != x[0]).any():
            raise NetalikeError(
                f"the activations of {name} do not vary over {len(x)} images: there is nothing to align; leave the "
                "layer out."
            )
