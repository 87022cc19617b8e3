"""XOR clouds of Lu et al. (2018): four clouds of points, opposite corners of a square in one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, unknown_name

SPLITS = ("train", "test")

Seed = int | Sequence[int]


@dataclass(frozen=True)
class Clouds:
    """Where the four clouds are, and what classes they belong to.

    Attributes
    ----------
    corners : tuple of (float, float)
        One per cloud, in the order of the samples.
    labels : tuple of int
        Class of each cloud, 0 or 1; equal classes are neighbours.
    noise_mean : float
        Mean of the normal noise that is added to both coordinates: it moves every cloud.
    noise_std : float
        Its standard deviation.
    """

    corners: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    noise_mean: float
    noise_std: float

    @property
    def centres(self) -> tuple[tuple[float, float], ...]:
        """Means of the clouds: the corners, moved by the mean of the noise."""
        return tuple((x + self.noise_mean, y + self.noise_mean) for x, y in self.corners)


# The published code calls the standard deviation a variance, and gives the noise the mean 1: the centres of its clouds
# are (2, 0), (0, 2), (2, 2) and (0, 0).
CLOUDS: Mapping[str, Clouds] = {
    "simulation": Clouds(((1, -1), (-1, 1), (1, 1), (-1, -1)), (0, 0, 1, 1), 1.0, 0.3),
    "tutorial": Clouds(((1, 1), (-1, -1), (1, -1), (-1, 1)), (0, 0, 1, 1), 0.0, 0.4),
}


@dataclass(frozen=True, eq=False)
class XorData:
    """A sample of XOR clouds, cloud by cloud.

    Attributes
    ----------
    x : ndarray, float64, shape (n, 2)
    labels : ndarray, int64, shape (n,)
        0 or 1, in ascending order.
    cloud : ndarray, int64, shape (n,)
        0 to 3, in ascending order.
    clouds : Clouds
    split : str
    """

    x: NDArray[np.float64]
    labels: NDArray[np.int64]
    cloud: NDArray[np.int64]
    clouds: Clouds
    split: str = "train"

    def __len__(self) -> int:
        return len(self.labels)


def xor_data(n_per_cluster: int = 50, seed: Seed = 0, split: str = "train", clouds: str = "simulation") -> XorData:
    """Draw a sample of XOR clouds.

    Parameters
    ----------
    n_per_cluster : int
        Points of each of the four clouds.
    seed : int or sequence of int
    split : {"train", "test"}
        Independent draws from the same clouds.
    clouds : {"simulation", "tutorial"}
        Of the published simulation (centres (2, 0), (0, 2), (2, 2), (0, 0), standard deviation 0.3), or of the authors'
        tutorial (centres (1, 1), (-1, -1), (1, -1), (-1, 1), standard deviation 0.4).

    Returns
    -------
    XorData
        With 4 x `n_per_cluster` points.

    Raises
    ------
    UnknownNameError
        For unknown clouds or an unknown split.
    NetalikeError
        For clouds without points.
    """
    _check(n_per_cluster, split, clouds)
    chosen = CLOUDS[clouds]
    parts = [seed] if isinstance(seed, int | np.integer) else list(seed)
    generator = np.random.default_rng([*parts, SPLITS.index(split)])
    corners = np.repeat(np.asarray(chosen.corners, dtype=float), n_per_cluster, axis=0)
    noise = generator.normal(chosen.noise_mean, chosen.noise_std, corners.shape)
    cloud = np.repeat(np.arange(len(chosen.corners)), n_per_cluster)
    return XorData(corners + noise, np.asarray(chosen.labels)[cloud], cloud, chosen, split)


def _check(n_per_cluster: int, split: str, clouds: str) -> None:
    if clouds not in CLOUDS:
        raise unknown_name("kind of XOR clouds", clouds, CLOUDS)
    if split not in SPLITS:
        raise unknown_name("split of the XOR clouds", split, SPLITS)
    if n_per_cluster < 1:
        raise NetalikeError(f"an XOR cloud has at least 1 point, got {n_per_cluster}.")
