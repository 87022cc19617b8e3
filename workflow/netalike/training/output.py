"""Where a training run puts what it makes, and its log."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from netalike.networks.naming import folder_name

if TYPE_CHECKING:
    from netalike.training.plain import History

# The stitching paper's code names the folders after torchvision's classes.
_DATASET_FOLDERS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion": "FashionMNIST"}


def output_folder(out: Path, architecture: str, dataset: str, seed: int, batch_seed: int) -> Path:
    """Return the folder of one training run, as the stitching paper's code lays it out.

    Parameters
    ----------
    out : Path
    architecture, dataset : str
        As the user names them.
    seed, batch_seed : int
        Of the initialisation and of the batches.

    Returns
    -------
    Path
        ``<out>/Tiny10/CIFAR10/in0-gn0``; not made yet.
    """
    last = re.split(r"[/\\]", dataset.rstrip("/\\"))[-1].removeprefix("folder:")
    plain = f"folder-{last}" if dataset.startswith("folder:") else last
    return out / folder_name(architecture) / _DATASET_FOLDERS.get(dataset, plain) / f"in{seed}-gn{batch_seed}"


def write_log(history: History, path: Path) -> None:
    """Write one row per epoch: epoch (from 1), learning_rate, train_loss, train_accuracy, test_loss, test_accuracy."""
    from netalike.networks.checkpoint import write_atomically

    rows = history.rows()
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
