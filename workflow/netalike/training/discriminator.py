"""Domain similarity: how hard it is for a network to tell the images of two domains apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from netalike.data.shifting import random_stream
from netalike.errors import ShapeError
from netalike.networks.evaluation import Evaluation
from netalike.training.networks import train_network
from netalike.training.settings import Settings

if TYPE_CHECKING:
    from netalike.data import ImageSet

DOMAINS = ("base", "shifted")


def discriminate(
    base: tuple[ImageSet, ImageSet],
    shifted: tuple[ImageSet, ImageSet],
    architecture: str,
    settings: Settings,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
) -> Evaluation:
    """Train a network to tell a base domain from a shifted one, and test it on images that it has not seen.

    Parameters
    ----------
    base, shifted : (ImageSet, ImageSet)
        To train on, and to test on; the same images in either domain, in the same order.
    architecture : str
        As `netalike.networks.build` takes it; two classes.
    settings : Settings
        `augment` is taken as False: an augmentation would be a shift of its own.
    seed : int
        Of the weights, of the batches, and of which half of the images is shown in which domain.
    device : str or torch.device
    checkpoint : Path, optional
        As `netalike.training.train` takes it; where it is of a finished training, nothing is trained.

    Returns
    -------
    Evaluation
        On the test images: `loss` is the binary cross-entropy in nats (ln 2 = 0.693 or more: the domains cannot be told
        apart; near 0: they have nothing in common), `accuracy` (0.5: chance), and `n`.

    Raises
    ------
    ShapeError
        If the two domains differ in the number or the size of their images.
    NetalikeError
        As `netalike.training.train` does.

    Notes
    -----
    The test loss of a domain classifier as the ground truth of domain similarity is that of Cui et al. (2022). Half of
    the images are shown in the base domain and the others in the shifted one, so that no image is seen in both: it
    cannot be told by its twin.
    """
    train_set, test_set = (in_two_domains(*sets, seed) for sets in zip(base, shifted, strict=True))
    plain = settings.model_copy(update={"augment": False})
    _, _, history = train_network(architecture, (train_set, test_set), plain, (seed, seed), checkpoint, device)
    return Evaluation(history.test_accuracy[-1], history.test_loss[-1], len(test_set))


def in_two_domains(base: ImageSet, shifted: ImageSet, seed: int) -> ImageSet:
    """Show a random half of the images in the base domain, and the others in the shifted one.

    Parameters
    ----------
    base, shifted : ImageSet
        The same images in either domain, in the same order.
    seed : int
        Of the choice.

    Returns
    -------
    ImageSet
        Each image once, in its place; label 0 for the base domain and 1 for the shifted one.

    Raises
    ------
    ShapeError
        If the two domains differ in the number or the size of their images.
    """
    pixels, others = base.resized, shifted.resized
    if pixels.shape != others.shape:
        raise ShapeError(
            f"the images of the two domains have different shapes: {tuple(pixels.shape)} in the base domain and "
            f"{tuple(others.shape)} in the shifted one; expected the same images in either."
        )
    n = len(base)
    ranks = random_stream(seed, "domains", base.split).permutation(n)
    labels = torch.from_numpy(ranks >= n // 2).long()
    mixed = torch.where(labels.bool()[:, None, None, None], others, pixels)
    return dataclasses.replace(base, images=mixed, labels=labels, classes=DOMAINS)
