"""scikit-learn's 1,797 handwritten digits: the data set that needs no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from netalike.data.resize import resize

TEST_PER_CLASS = 50
SPLIT_SEED = 0
SIZE = 32
_FILE = "datasets/data/digits.csv.gz"  # in scikit-learn's folder


def read_digits(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Read one split of the digits, enlarged from 8 x 8 to 32 x 32.

    Parameters
    ----------
    split : {"train", "test"}
        1,297 or 500 images.

    Returns
    -------
    images : ndarray, uint8, shape (n, 1, 32, 32)
        The 17 grey levels 0..16 scaled to 0..255, then enlarged bilinearly.
    labels : ndarray, int64, shape (n,)
    ids : ndarray, int64, shape (n,)
        Positions in ``sklearn.datasets.load_digits()``, increasing.
    """
    pixels, labels = _digits()
    ids = split_ids(labels)[split]
    levels = np.rint(pixels[ids] * (255 / 16)).astype(np.uint8)
    images = resize(torch.from_numpy(levels)[:, None], SIZE).numpy()
    return images, labels[ids], ids


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what ``load_digits()`` does: images (1797, 8, 8) with levels 0..16, and labels."""
    # The file is read without scikit-learn, whose import would be most of the time that a small job takes.
    package = importlib.util.find_spec("sklearn")
    folders = (package.submodule_search_locations if package else None) or []
    file = next((path for folder in folders if (path := Path(folder, _FILE)).is_file()), None)
    if file is None:  # a release that keeps it elsewhere, or no scikit-learn: the import says so
        from sklearn.datasets import load_digits

        digits = load_digits()
        return np.asarray(digits.images), np.asarray(digits.target, dtype=np.int64)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def split_ids(labels: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Split the digits: 50 of each class are the test set, drawn with a fixed seed, and the others the training set.

    Parameters
    ----------
    labels : ndarray, int64, shape (1797,)

    Returns
    -------
    dict
        "train" and "test": positions, increasing.

    Notes
    -----
    Drawn class by class, 0 to 9, from one ``numpy.random.RandomState(0)``, whose stream numpy keeps the same in all
    versions.
    """
    random = np.random.RandomState(SPLIT_SEED)
    chosen = [random.permutation(np.flatnonzero(labels == label))[:TEST_PER_CLASS] for label in np.unique(labels)]
    test = np.sort(np.concatenate(chosen)).astype(np.int64)
    return {"train": np.setdiff1d(np.arange(len(labels)), test).astype(np.int64), "test": test}
