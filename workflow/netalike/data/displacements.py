"""Smooth displacement fields: made from a seed, read between pixels, applied to points and inverted exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from netalike.errors import NetalikeError, ShapeError

Field = NDArray[np.float32]

COVARIANCE = 0.002  # of each Gaussian, in units of the image's side squared, times a random matrix near 1 to 2
COARSER = 4  # the sum of Gaussians is computed on a grid of every fourth pixel
RESIDUAL = 1e-5  # pixels
_MOST_ITERATIONS = 200


def displacement_field(seed: int, height: int, width: int, components: int = 30, amplitude: float = 4.0) -> Field:
    """Make a random smooth displacement field.

    Parameters
    ----------
    seed : int
    height, width : int
        In pixels; at least 8 each.
    components : int
        Signed Gaussians per direction.
    amplitude : float
        In pixels; each direction is stretched to reach exactly -amplitude and +amplitude.

    Returns
    -------
    ndarray of float32, shape (height, width, 2)
        (rows, columns) by which the centre of each pixel moves, in pixels.

    Raises
    ------
    ShapeError
        If the image is smaller than 8 pixels.
    ValueError
        If there are no components.

    Notes
    -----
    As the map alignment project makes its training displacements (Girard et al. 2018; specs/1 section 3.2): per
    direction a sum of Gaussian densities with random signs, centres uniform in the image and covariances 0.002 times a
    random symmetric positive definite matrix, on a coarser grid, stretched affinely and enlarged. Stretching follows
    the enlarging here, so that the extremes are exact. About 20 ms for 512 pixels.
    """
    if min(height, width) < 2 * COARSER:
        raise ShapeError(f"displacement field: expected at least {2 * COARSER} pixels a side, got {height} x {width}")
    if components < 1:
        raise ValueError(f"displacement field: expected at least 1 component, got {components}")
    random = np.random.default_rng(seed)
    sums = [_signed_gaussians(random, height, width, components) for _ in range(2)]
    return np.stack([_stretched(_enlarged(one, height, width), amplitude) for one in sums], axis=-1)


def _signed_gaussians(random: np.random.Generator, height: int, width: int, components: int) -> NDArray[np.float64]:
    """Sum signed Gaussian densities over the unit square, on the coarser grid."""
    rows, columns = -(-height // COARSER), -(-width // COARSER)
    grid = np.stack(
        np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij"), axis=-1
    )
    total = np.zeros((rows, columns))
    for _ in range(components):
        centre, sign = random.random(2), random.choice([-1.0, 1.0])
        covariance = COVARIANCE * _random_spd(random)
        away = grid - centre
        exponent = np.einsum("rci,ij,rcj->rc", away, np.linalg.inv(covariance), away, optimize=True)
        total += sign * np.exp(-exponent / 2) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    return total


def _random_spd(random: np.random.Generator) -> NDArray[np.float64]:
    """Make a symmetric positive definite 2 x 2 matrix with random axes and eigenvalues uniform in [1, 2)."""
    angle = random.uniform(0, np.pi)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(axes @ np.diag(1 + random.random(2)) @ axes.T)


def _enlarged(coarse: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    image = Image.fromarray(coarse.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float64)


def _stretched(values: NDArray[np.float64], amplitude: float) -> Field:
    low, high = values.min(), values.max()
    if high == low:  # cannot happen with a random sum, but would divide by zero
        return np.zeros(values.shape, np.float32)
    unit = (values - low) / (high - low)
    return np.asarray((2 * unit - 1) * amplitude, np.float32)


def sample_field(field: Field, points: ArrayLike) -> NDArray[np.float64]:
    """Read a field between its pixels, bilinearly.

    Parameters
    ----------
    field : ndarray, shape (height, width, c)
        ``field[i, j]`` is the value at the centre of pixel (i, j), which is the point (i + 0.5, j + 0.5).
    points : array_like, shape (n, 2)
        (row, column) in pixels. Outside the centres of the border pixels the border's value holds.

    Returns
    -------
    ndarray of float64, shape (n, c)

    Raises
    ------
    ShapeError
        If the field does not have three axes or the points do not have two columns.
    """
    array = np.asarray(points, np.float64)
    if field.ndim != 3 or array.ndim != 2 or array.shape[1] != 2:
        raise ShapeError(
            f"expected a field of shape (height, width, channels) and points of shape (n, 2), "
            f"got {field.shape} and {array.shape}"
        )
    last = np.array(field.shape[:2]) - 1
    place = np.clip(array - 0.5, 0, last)
    low = np.minimum(np.floor(place).astype(int), np.maximum(last - 1, 0))
    high = np.minimum(low + 1, last)
    down, right = (place - low).T[:, :, None]  # (n, 1) each
    upper = field[low[:, 0], low[:, 1]] * (1 - right) + field[low[:, 0], high[:, 1]] * right
    lower = field[high[:, 0], low[:, 1]] * (1 - right) + field[high[:, 0], high[:, 1]] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)


def displace(points: ArrayLike, field: Field) -> NDArray[np.float64]:
    """Move points by the field at their place: p + D(p).

    Parameters
    ----------
    points : array_like, shape (n, 2)
        (row, column) in pixels.
    field : ndarray, shape (height, width, 2)

    Returns
    -------
    ndarray of float64, shape (n, 2)
    """
    return np.asarray(points, np.float64) + sample_field(field, points)


def invert_displacement(points: ArrayLike, field: Field, iterations: int = 10) -> NDArray[np.float64]:
    """Find the points that the field moves to the given ones: r with r + D(r) = q.

    Parameters
    ----------
    points : array_like, shape (n, 2)
        q, (row, column) in pixels.
    field : ndarray, shape (height, width, 2)
        Must change by less than 1 pixel per pixel, else there is no unique solution.
    iterations : int
        At least so many steps of r <- q - D(r); more follow where these were not enough.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        r, with |r + D(r) - q| < 1e-5 pixels for every point.

    Raises
    ------
    NetalikeError
        If the iteration does not get that close within 200 steps.

    Notes
    -----
    Reading both ways at rounded places, as the map alignment project does, leaves errors of up to a pixel (specs/1,
    b14); the fixed point is exact, so that the network's target at r is D(r) itself.
    """
    goal = np.asarray(points, np.float64)
    found = goal.copy()
    for step in range(1, _MOST_ITERATIONS + 1):
        found = goal - sample_field(field, found)
        if step >= iterations and _residual(found, goal, field) < RESIDUAL:
            return found
    raise NetalikeError(
        f"the displacement field could not be inverted: {_residual(found, goal, field):.2g} pixels are left after "
        f"{_MOST_ITERATIONS} steps. Expected a field that changes by less than 1 pixel per pixel: use "
        "a smaller amplitude, or a larger image."
    )


def _residual(found: NDArray[np.float64], goal: NDArray[np.float64], field: Field) -> float:
    if not len(found):
        return 0.0
    return float(np.abs(displace(found, field) - goal).max())
