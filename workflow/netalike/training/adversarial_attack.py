"""Adversarial attacks by projected gradient descent, and the accuracy under them.

The conventions are those of MadryLab's library robustness 1.2: no random start, the iterate with the largest loss is
kept, a step is 2.5 eps / steps, and 20 steps evaluate. Pixels are in [0, 1], and the normalisation is part of the
network that is attacked (`netalike.networks.pixels`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.networks.evaluation import check_logits
from netalike.networks.folding import folded
from netalike.networks.running import eval_mode, fast_layout
from netalike.progress import progress as progress_bar

_Run = Callable[[Tensor], Tensor]
CONSTRAINTS = ("2", "inf")
"""Norms of an attack: Euclidean, and the largest change of a pixel."""
_TINY = 1e-10  # added to the length of a gradient, as robustness does, so that a zero gradient moves nothing


# ---- the attack ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """The options of `pgd`."""

    eps: float
    constraint: str
    steps: int
    step_size: float
    random_start: bool = False
    use_best: bool = True


class Iterate(NamedTuple):
    """Images (n, channels, height, width), with their losses (n,) and logits (n, classes)."""

    images: Tensor
    losses: Tensor
    logits: Tensor


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    constraint: str = "2",
    steps: int = 7,
    step_size: float | None = None,
    random_start: bool = False,
    use_best: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Attack images: look within a ball for those that raise the cross-entropy, by projected gradient descent.

    Parameters
    ----------
    model : nn.Module
        Maps pixels in [0, 1], (n, channels, height, width), to logits (n, classes); see `netalike.networks.pixels`.
        Attacked in eval mode; its modes, gradients and weights are left as they were.
    images : Tensor, float, shape (n, channels, height, width)
        On the model's device, with pixels in [0, 1].
    labels : Tensor, int64, shape (n,)
        The true ones: the loss is raised.
    eps : float
        Radius of the ball, in pixels from 0 to 1. 0 gives the images themselves.
    constraint : {"2", "inf"}
        Norm over all pixels and channels of an image.
    steps : int
    step_size : float, optional
        Length of a step in that norm; 2.5 eps / steps by default.
    random_start : bool
        Start at a random place: at distance eps in a random direction (2), or uniformly in the cube (inf).
    use_best : bool
        Return of each image the iterate with the largest loss (the first of equals; the start counts), not the last.
    generator : torch.Generator, optional
        On the CPU; a random start needs it.

    Returns
    -------
    Tensor, as `images`
        Detached, with pixels in [0, 1], within eps of the images.

    Raises
    ------
    UnknownNameError, NetalikeError, ShapeError
        For another constraint, pixels outside [0, 1], a negative eps, no steps, a random start without a generator;
        if images, labels and logits do not fit each other.

    Notes
    -----
    ``x <- P(x + step g / (|g| + 1e-10))`` for the 2-norm, ``x <- P(x + step sign g)`` for the largest change, with P
    the projection on the ball and then on [0, 1]: Madry et al. (2018), as in robustness 1.2. g is the gradient of the
    sum of the losses (there: of the mean), so that the images of a batch do not matter to each other. `steps` forward
    and backward passes, and one more forward pass with `use_best`.
    """
    attack = _checked(Attack(eps, constraint, steps, _size(step_size, eps, steps), random_start, use_best), generator)
    _check_images(images, labels)
    with eval_mode(model), _layout(model, images.device) as layout:
        return attacked(model, images.contiguous(memory_format=layout), labels, attack, generator).contiguous()


def _size(step_size: float | None, eps: float, steps: int) -> float:
    return 2.5 * eps / max(steps, 1) if step_size is None else step_size


def _checked(attack: Attack, generator: torch.Generator | None) -> Attack:
    if attack.constraint not in CONSTRAINTS:
        raise unknown_name("constraint of an attack", attack.constraint, CONSTRAINTS)
    if not 0 <= attack.eps < float("inf"):
        raise NetalikeError(f"eps is {attack.eps}, expected a radius of 0 or more, in pixels from 0 to 1.")
    if attack.steps < 1 or attack.step_size < 0:
        raise NetalikeError(
            f"an attack of {attack.steps} steps of length {attack.step_size:g}: expected at least 1 step, and a "
            "positive length."
        )
    if attack.random_start and generator is None:
        raise NetalikeError("a random start needs a generator: give generator=torch.Generator().manual_seed(...).")
    return attack


def _check_images(images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ShapeError(
            f"an attack takes images (n, channels, height, width) and labels (n,), got {tuple(images.shape)} and "
            f"{tuple(labels.shape)}."
        )
    if len(images) and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise NetalikeError(
            f"pixels from {float(images.min()):.3g} to {float(images.max()):.3g}, expected [0, 1]: give the images "
            "before normalisation (networks.pixels.pixels), and a network that normalises (networks.pixels)."
        )


def attacked(
    model: nn.Module, images: Tensor, labels: Tensor, attack: Attack, generator: torch.Generator | None
) -> Tensor:
    """Attack images in the mode and layout that the model is in, without a check of what is given; see `pgd`."""
    if attack.eps == 0:
        return images.detach()
    with _frozen(model, images, labels) as run:
        _, x, best = _climb(run, images, labels, attack, generator)
        if best is None:
            return x
        with torch.no_grad():
            return _larger(best, _look(run, x, labels)).images


@contextlib.contextmanager
def _frozen(model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[_Run]:
    """Yield the model as a function of images, faster while its weights stay; `NetalikeError` without proper logits."""
    with torch.no_grad():
        check_logits(model(images[:1]), labels)
    with folded(model, model, images[:1]) as run:
        yield run


def _judged(model: _Run, images: Tensor, labels: Tensor, attack: Attack) -> tuple[Tensor, Tensor]:
    """The logits of images as they are, and attacked, both (n, classes)."""
    if attack.eps == 0:
        with torch.no_grad():
            logits = _look(model, images, labels).logits
        return logits, logits
    first, x, best = _climb(model, images, labels, attack, None)
    with torch.no_grad():
        return first, _larger(best, _look(model, x, labels)).logits


def _climb(
    model: _Run, images: Tensor, labels: Tensor, attack: Attack, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Iterate | None]:
    """The logits of the first iterate, the last iterate, and the best one before it (None without `use_best`)."""
    clean = images.detach()
    x = _start(clean, attack, generator) if attack.random_start else clean
    first = torch.empty(0)
    best: Iterate | None = None
    for step in range(attack.steps):
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            here = _look(model, x, labels)
            found = (
                torch.autograd.grad(here.losses.sum(), x, allow_unused=True) if here.losses.requires_grad else (None,)
            )
        gradient = seen_by_network(found[0])
        first = here.logits.detach() if step == 0 else first
        best = _larger(best, here) if attack.use_best else None
        x = project(ascend(x.detach(), gradient, attack.step_size, attack.constraint), clean, attack)
    return first, x, best


def seen_by_network(gradient: Tensor | None) -> Tensor:
    """Return the gradient of images, or raise `NetalikeError` where there is none."""
    if gradient is None:
        raise NetalikeError(
            "the logits do not depend on the images, or not through operations that have a gradient: there is nothing "
            "to attack."
        )
    return gradient


def _look(model: _Run, images: Tensor, labels: Tensor) -> Iterate:
    logits = model(images)
    return Iterate(images, functional.cross_entropy(logits, labels, reduction="none"), logits)


def _larger(best: Iterate | None, here: Iterate) -> Iterate:
    if best is None:
        return Iterate(*(tensor.detach() for tensor in here))
    rows = here.losses > best.losses
    return Iterate(
        torch.where(rows.view(-1, 1, 1, 1), here.images.detach(), best.images),
        torch.where(rows, here.losses.detach(), best.losses),
        torch.where(rows.view(-1, 1), here.logits.detach(), best.logits),
    )


def ascend(images: Tensor, gradient: Tensor, size: float, constraint: str) -> Tensor:
    """Move images by `size` in the direction that raises the loss most, in the norm of the constraint; not in place."""
    if constraint == "inf":
        return images + size * gradient.sign()
    return images + size * gradient / (_lengths(gradient) + _TINY)


def project(images: Tensor, clean: Tensor, attack: Attack) -> Tensor:
    """Bring images back within eps of the clean ones, and to pixels in [0, 1]; not in place."""
    change = images - clean
    if attack.constraint == "inf":
        change = change.clamp(-attack.eps, attack.eps)
    else:
        # Clamping to [0, 1] afterwards brings every pixel nearer to the clean one, so that the length stays within.
        change = change * (attack.eps / _lengths(change).clamp_min(attack.eps))
    return (clean + change).clamp(0, 1)


def _start(clean: Tensor, attack: Attack, generator: torch.Generator | None) -> Tensor:
    if attack.constraint == "inf":
        drawn = (2 * torch.rand(clean.shape, generator=generator) - 1).to(clean)
        return (clean + attack.eps * drawn).clamp(0, 1)
    drawn = torch.randn(clean.shape, generator=generator).to(clean)
    return (clean + attack.eps * drawn / (_lengths(drawn) + _TINY)).clamp(0, 1)


def _lengths(images: Tensor) -> Tensor:
    lengths: Tensor = images.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return lengths


@contextlib.contextmanager
def _layout(model: nn.Module, device: torch.device) -> Iterator[torch.memory_format]:
    # The network within one that normalises: only those of the registry are known to bear another layout.
    network = getattr(model, "network", model)
    with fast_layout(network if isinstance(network, nn.Module) else model, device) as layout:
        yield layout


# ---- evaluation ------------------------------------------------------------------------------------------------------


class RobustAccuracy(NamedTuple):
    """Shares of the images that are classified rightly: as they are, and attacked."""

    clean: float
    robust: float


def robust_accuracy(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    eps: float,
    constraint: str = "2",
    steps: int = 20,
    *,
    step_size: float | None = None,
    use_best: bool = True,
    batch_size: int = 250,
    progress: bool | None = False,
) -> RobustAccuracy:
    """Measure the accuracy on images as they are, and under an attack.

    Parameters
    ----------
    model : nn.Module
        Maps pixels in [0, 1] to logits; its mode is put back.
    images : Tensor, float, shape (n, channels, height, width)
        With pixels in [0, 1]; moved to the model's device batch by batch.
    labels : Tensor, int64, shape (n,)
    eps, constraint, steps, step_size, use_best
        As `pgd` takes them; 20 steps of 2.5 eps / 20 from the images themselves are robustness's convention.
    batch_size : int
        Only speed and memory depend on it.
    progress : bool, optional
        Whether to show a progress bar; None shows one on a terminal.

    Returns
    -------
    RobustAccuracy
        ``(clean, robust)``.

    Raises
    ------
    NetalikeError
        As `pgd` does, and without images.

    Notes
    -----
    The logits of the clean images and of the attacked ones are those that the attack computes anyway: `steps` + 1
    forward passes and `steps` backward ones, and no more.
    """
    attack = _checked(Attack(eps, constraint, steps, _size(step_size, eps, steps), use_best=use_best), None)
    _check_images(images, labels)
    if len(images) == 0 or batch_size < 1:
        raise NetalikeError(f"{len(images)} images in batches of {batch_size}: expected at least 1 of each.")
    device = next((parameter.device for parameter in model.parameters()), images.device)
    clean = robust = 0
    with eval_mode(model), _layout(model, device) as layout:
        for start in progress_bar(range(0, len(images), batch_size), "attacking", shown=progress, unit="batch"):
            batch = images[start : start + batch_size].to(device, memory_format=layout)
            target = labels[start : start + batch_size].to(device)
            with _frozen(model, batch, target) as run:
                before, after = _judged(run, batch, target, attack)
            clean += int((before.argmax(1) == target).sum())
            robust += int((after.argmax(1) == target).sum())
    return RobustAccuracy(clean / len(images), robust / len(images))
