"""The toy problem of Charpiat et al. (2019): points on a circle, and a sine of the angle with a chosen frequency."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, unknown_name

DISTRIBUTIONS = ("uniform", "triangular")
SPLITS = ("train", "validation", "test")

Floats = NDArray[np.float64]

_POSITIONS, _NOISE = 0, 1  # independent streams of random numbers


@dataclass(frozen=True, eq=False)
class ToyData:
    """A sample of the toy problem, in the order of increasing position.

    Attributes
    ----------
    alpha : ndarray, shape (n,)
        Positions on the circle, in turns, from [0, 1), sorted.
    noise : ndarray, shape (n,)
        What is added to the targets to make the labels; zeros for clean labels.
    frequency : float
        Periods of the target in one turn.
    distribution : str
        Of the positions: ``uniform``, or ``triangular`` with the density 2 alpha.
    noise_std : float
    seed, noise_seed : int
        Of the positions and of the noise.
    split : str
    """

    alpha: Floats
    noise: Floats
    frequency: float
    distribution: str = "uniform"
    noise_std: float = 0.0
    seed: int = 0
    noise_seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def x(self) -> Floats:
        """Inputs (cos 2 pi alpha, sin 2 pi alpha), shape (n, 2)."""
        angle = 2 * np.pi * self.alpha
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    @property
    def target(self) -> Floats:
        """The true function sin(2 pi f alpha), shape (n,)."""
        return np.sin(2 * np.pi * self.frequency * self.alpha)

    @property
    def labels(self) -> Floats:
        """What a network is trained on: target and noise, shape (n,)."""
        return self.target + self.noise

    @property
    def density(self) -> Floats:
        """Probability density of the positions at each of them, shape (n,)."""
        return np.ones_like(self.alpha) if self.distribution == "uniform" else 2 * self.alpha

    @property
    def curvature(self) -> Floats:
        """Curvature of the target over alpha, |y''| / (1 + y'^2)^(3/2), shape (n,); at most 4 pi^2 f^2."""
        return curvature(self.alpha, self.frequency)

    @property
    def name(self) -> str:
        """The setting as the published code writes it, such as ``d_uniform_f_1_n_2048_s_0``."""
        return f"d_{self.distribution}_f_{self.frequency:g}_n_{len(self)}_s_{self.noise_std:g}"


def curvature(alpha: Floats, frequency: float) -> Floats:
    """Return the curvature of sin(2 pi f alpha) over alpha.

    Parameters
    ----------
    alpha : ndarray
        Positions, in turns.
    frequency : float

    Returns
    -------
    ndarray
        Of the shape of `alpha`: |y''| / (1 + y'^2)^(3/2), as the published code has it.
    """
    rate = 2 * np.pi * frequency
    slope = rate * np.cos(rate * alpha)
    bend = rate**2 * np.sin(rate * alpha)
    return np.asarray(np.abs(bend) / (1 + slope**2) ** 1.5)


def toy_data(
    n: int,
    frequency: float,
    distribution: str = "uniform",
    noise: float = 0.0,
    seed: int = 0,
    noise_seed: int | None = None,
    split: str = "train",
) -> ToyData:
    """Draw a sample of the toy problem.

    Parameters
    ----------
    n : int
        Number of samples.
    frequency : float
        Periods of the target in one turn.
    distribution : {"uniform", "triangular"}
        Of the positions.
    noise : float
        Standard deviation of the labels' normal noise; 0 for clean labels.
    seed : int
        Of the positions. They do not depend on frequency and noise: all runs of a setting share them, as published, and
        those of other frequencies as well. A smaller sample consists of the first draws of a larger one.
    noise_seed : int, optional
        Of the noise; `seed` when left out.
    split : {"train", "validation", "test"}
        Splits are independent draws.

    Returns
    -------
    ToyData

    Raises
    ------
    UnknownNameError
        For an unknown distribution or split.
    NetalikeError
        For less than one sample, or a frequency or noise that is out of range.
    """
    _check(n, frequency, distribution, noise, split)
    stream = [seed, SPLITS.index(split), _POSITIONS]
    drawn = np.random.default_rng(stream).random(n)
    alpha = np.sort(drawn if distribution == "uniform" else np.sqrt(drawn))
    clean = ToyData(alpha, np.zeros(n), float(frequency), distribution, 0.0, seed, seed, split)
    return with_noise(clean, noise, seed if noise_seed is None else noise_seed)


def with_noise(data: ToyData, noise: float, seed: int) -> ToyData:
    """Give a sample other noise on its labels.

    Parameters
    ----------
    data : ToyData
    noise : float
        Standard deviation; 0 gives the clean labels.
    seed : int

    Returns
    -------
    ToyData
        With the same positions and targets. Noise of one seed is the same but for its size.
    """
    generator = np.random.default_rng([seed, SPLITS.index(data.split), _NOISE])
    return replace(
        data, noise=noise * generator.standard_normal(len(data)), noise_std=float(noise), noise_seed=int(seed)
    )


def _check(n: int, frequency: float, distribution: str, noise: float, split: str) -> None:
    if distribution not in DISTRIBUTIONS:
        raise unknown_name("distribution of the toy problem", distribution, DISTRIBUTIONS)
    if split not in SPLITS:
        raise unknown_name("split of the toy problem", split, SPLITS)
    if n < 1:
        raise NetalikeError(f"the toy problem needs at least 1 sample, got {n}.")
    if not (np.isfinite(frequency) and frequency > 0):
        raise NetalikeError(f"a frequency of the toy problem is a number above 0, got {frequency}.")
    if not (np.isfinite(noise) and noise >= 0):
        raise NetalikeError(f"the noise of the toy problem is a standard deviation, 0 or more; got {noise}.")
