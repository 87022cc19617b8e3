"""Gradient descent on pixels until a representation is matched: the published algorithm, for one batch of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from netalike.inversion.passes import Representation

# Added to the norm of the gradient, as robustness's L2Step does: a gradient of zero stays zero.
SMALLEST_NORM = 1e-10


@dataclass(frozen=True)
class Settings:
    """How images are inverted; see `netalike.inversion.invert_images`.

    Attributes
    ----------
    step_size, momentum, eps, iterations, use_best, mode, tolerance, exact
        As `invert_images` takes them.
    """

    step_size: float = 0.125
    iterations: int = 2000
    momentum: float = 0.9
    eps: float = 1000.0
    use_best: bool = True
    mode: str = "published"
    tolerance: float = 0.0
    exact: bool = True


@dataclass(frozen=True)
class Batch:
    """Inverted images of one batch; tensors on the CPU.

    Attributes
    ----------
    images : Tensor, shape (b, channels, height, width), float32
    losses : Tensor, shape (b,)
        Of these images.
    iterations : Tensor, shape (b,), int64
        Steps that each image took.
    history : Tensor, shape (steps + 1, b)
        Loss at the seed image and after each step; of a finished image, the loss that it was finished with.
    """

    images: Tensor
    losses: Tensor
    iterations: Tensor
    history: Tensor


class Matching:
    """The loss of one batch: how far representations are from the targets', relative to these.

    Parameters
    ----------
    representation : callable
        Maps images to (b, p).
    targets : Tensor, shape (b, p)
        Representations of the target images; none of norm zero.

    Notes
    -----
    ``||rep(x) - rep_t||_2 / ||rep_t||_2`` per image (Jones et al. 2022).
    """

    def __init__(self, representation: Representation, targets: Tensor) -> None:
        self._representation = representation
        self._targets = targets.detach()
        self._norms = torch.linalg.vector_norm(self._targets, dim=1)

    def losses(self, images: Tensor) -> Tensor:
        """Return the loss of each image, shape (b,)."""
        away = self._representation(images) - self._targets
        losses: Tensor = torch.linalg.vector_norm(away, dim=1) / self._norms
        return losses

    def losses_and_gradients(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each image, and its gradient to the image: one pass forward and one back."""
        with torch.enable_grad():
            x = images.detach().requires_grad_()
            losses = self.losses(x)
            # The sum, and not the mean: an image's gradient does not depend on how many share its batch.
            (gradients,) = torch.autograd.grad(losses.sum(), x)
        return losses.detach(), gradients

    def take(self, rows: Tensor) -> Matching:
        """Return the loss of the chosen images alone."""
        return Matching(self._representation, self._targets[rows])


class Best:
    """The best image so far, per image of a batch; only a strictly smaller loss replaces it."""

    def __init__(self, images: Tensor, losses: Tensor | None = None) -> None:
        self.images = images
        self.losses = images.new_full((len(images),), torch.inf) if losses is None else losses

    def update(self, images: Tensor, losses: Tensor) -> None:
        """Take over what is better."""
        better = losses < self.losses
        if better.device.type == "cpu" and bool(better.all()):  # most steps; nothing is copied
            self.images, self.losses = images, losses
            return
        self.losses = torch.where(better, losses, self.losses)
        self.images = torch.where(better[:, None, None, None], images, self.images)

    def take(self, rows: Tensor) -> Best:
        """Return the chosen images alone."""
        return Best(self.images[rows], self.losses[rows])


def unit_gradients(gradients: Tensor) -> Tensor:
    """Scale the gradient of each image to length one.

    Parameters
    ----------
    gradients : Tensor, shape (b, channels, height, width)

    Returns
    -------
    Tensor, same shape
        Zero where the gradient is zero; the published snippet divides by zero there.
    """
    return gradients / (_norms(gradients) + SMALLEST_NORM)


def project(images: Tensor, seeds: Tensor, eps: float) -> Tensor:
    """Put images back into the ball around their seeds, and then into the box of pixels.

    Parameters
    ----------
    images, seeds : Tensor, shape (b, channels, height, width)
    eps : float
        Radius in L2 norm. The published 1000 is larger than any two images are apart.

    Returns
    -------
    Tensor, same shape
        In [0, 1].
    """
    away = images - seeds
    if eps < 2 * math.sqrt(away[0].numel()):  # else no image of the box is outside the ball, nor a step away from it
        away = away.renorm(2, 0, eps)
    return away.add_(seeds).clamp_(0, 1)


def published_descent(
    matching: Matching, seeds: Tensor, settings: Settings, tick: Callable[[Tensor], object] | None = None
) -> Batch:
    """Invert one batch as Jones et al. (2022) did.

    Parameters
    ----------
    matching : Matching
        The loss.
    seeds : Tensor, shape (b, channels, height, width)
        In [0, 1].
    settings : Settings
    tick : callable, optional
        Called with the losses after each iteration.

    Returns
    -------
    Batch

    Notes
    -----
    ``g = -gradient / ||gradient||; m <- 0.9 m + 0.1 g; x <- x + m / 8``, from ``m = 0`` without a correction, so the
    first steps are short; then `project`. A step is at most `step_size` long and does not anneal: near the optimum the
    loss goes up and down, and the best image counts (every iterate, the seed and the last included).
    """
    x, average, best = seeds, torch.zeros_like(seeds), Best(seeds)
    history = []
    for _ in range(settings.iterations):
        losses, gradients = matching.losses_and_gradients(x)
        history.append(losses)
        best.update(x, losses)
        ahead = unit_gradients(gradients).mul_(1 - settings.momentum)
        average = average.mul_(settings.momentum).sub_(ahead)
        x = project(torch.add(x, average, alpha=settings.step_size), seeds, settings.eps)
        if tick is not None:
            tick(best.losses)
    with torch.no_grad():
        losses = matching.losses(x)
    history.append(losses)
    best.update(x, losses)
    images, reached = (best.images, best.losses) if settings.use_best else (x, losses)
    steps = torch.full((len(seeds),), settings.iterations)
    return Batch(images.float().cpu(), reached.float().cpu(), steps, torch.stack(history).float().cpu())


def _norms(images: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1)
    return norms[:, None, None, None]
