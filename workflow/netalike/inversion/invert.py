"""Invert the representations of target images, starting from seed images: Jones et al. (2022)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.inversion.curves import LossCurve, summarise
from netalike.inversion.descent import Batch, Matching, Settings, published_descent
from netalike.inversion.fast import fast_descent, fast_iterations
from netalike.inversion.passes import Representation, representing
from netalike.inversion.representation import check_images, representation_layer
from netalike.inversion.unfinished import Unfinished
from netalike.progress import progress as progress_bar
from netalike.training.checkpoint import digest

MODES = ("published", "fast")


@dataclass(frozen=True)
class Inversion:
    """Inverted images.

    Attributes
    ----------
    images : Tensor, shape (n, channels, height, width), float32
        In [0, 1], on the CPU, in the order of the pairs.
    losses : array, shape (n,), float32
        ``||rep(x) - rep(target)|| / ||rep(target)||`` of these images; NaN where the target's representation is zero.
    seed_losses : array, shape (n,), float32
        The same of the seed images.
    curve : LossCurve
        Iteration by iteration.
    iterations : array, shape (n,), int64
        How many steps each image took.
    layer : str
        The representation that was inverted, as `representation_layer` names it.
    """

    images: Tensor
    losses: NDArray[np.float32]
    seed_losses: NDArray[np.float32]
    curve: LossCurve
    iterations: NDArray[np.int64]
    layer: str


def invert_images(
    model: nn.Module,
    seed_images: Tensor,
    target_images: Tensor,
    *,
    layer: str | None = None,
    batch_size: int = 32,
    step_size: float = 0.125,
    iterations: int = 2000,
    momentum: float = 0.9,
    eps: float = 1000.0,
    use_best: bool = True,
    mode: str = "published",
    tolerance: float = 1e-3,
    exact: bool = True,
    checkpoint: Path | None = None,
    progress: bool | None = False,
    device: str | torch.device | None = None,
) -> Inversion:
    """Change seed images until a network represents them as it represents target images.

    Parameters
    ----------
    model : nn.Module
        Takes pixels in [0, 1]: a network that wants them normalised goes into `Normalised`. While it runs it is in
        eval mode and its parameters need no gradient; both are put back.
    seed_images, target_images : Tensor, shape (n, channels, height, width)
        In [0, 1]. Row i of both is one pair; as published, of different classes (`inversion_pairs`).
    layer : str, optional
        Of the representation: a layer's name, which stands for its output, or ``input:`` and a name. By default the
        input of the last linear layer (`representation_layer`).
    batch_size : int
        Only speed and memory depend on it: every image moves on its own. (Rounding differs between batch sizes, and
        many steps make it larger.)
    step_size, momentum, eps : float
        Of the published algorithm: the longest step, the weight of the past in the moving average of the directions,
        and the largest distance from the seed, all in L2 norm of pixels.
    iterations : int
        Of the published algorithm.
    use_best : bool
        Return the best iterate of each image, and not the last.
    mode : {"published", "fast"}
        ``published``: the exact update; on a CPU, from the same network and images, the images are those of
        robustness's Attacker bit for bit. ``fast``: at most 0.36 of the iterations (or 60), with an annealed step of
        another optimiser, to about the same median loss or a smaller one; images at the tolerance leave the batch.
    tolerance : float
        Of the fast mode: a relative loss at which an image is finished.
    exact : bool
        Of the published mode: compute representations and gradients as the model itself does, to the last bit. With
        False, as always in the fast mode, batch norm is folded into the convolutions: 0.8 of the time (on a CPU), and
        another rounding, which ReLUs near their kinks make visible in a few images.
    checkpoint : Path, optional
        A safetensors file, written after each batch (or less often, if that would take more than 5 % of the time).
        Where it exists, its batches are not done again; the result is the same, bit for bit.
    progress : bool, optional
        Whether to show a progress bar with an estimate of the time left; None shows one on a terminal.
    device : str or torch.device, optional
        The model is moved there; by default it stays where it is.

    Returns
    -------
    Inversion

    Raises
    ------
    ShapeError, NetalikeError
        If the images do not fit each other or are not in [0, 1], a setting is out of range, or the checkpoint is of
        another inversion.
    UnknownNameError
        If there is no such mode or layer.
    BadFileError
        If the checkpoint is damaged.

    Notes
    -----
    Minimises ``||rep(x) - rep_t|| / ||rep_t||`` per image (`descent.published_descent`). One pass forward, to the
    representation and no further, and one back per iteration: about ``6 n iterations x`` the network's multiply-adds.
    Memory: one batch. A target that the network represents by zeros has no relative loss; its pair keeps the seed
    image, with a loss of NaN.
    """
    lengths = (float(step_size), iterations, float(momentum), float(eps))
    settings = Settings(*lengths, use_best, mode, float(tolerance), exact and mode == "published")
    _check(seed_images, target_images, settings, batch_size)
    if device is not None:
        model.to(device)
    layer = layer or representation_layer(model, seed_images)
    unfinished = Unfinished(
        checkpoint,
        {} if checkpoint is None else _identity(model, seed_images, target_images, settings, layer, batch_size),
    )
    with representing(model, seed_images[:1], layer, fold=not settings.exact) as representation:
        batches = _batches(representation, seed_images, target_images, settings, batch_size, unfinished, progress)
    return _together(batches, layer)


def _batches(
    representation: Representation,
    seeds: Tensor,
    targets: Tensor,
    settings: Settings,
    batch_size: int,
    unfinished: Unfinished,
    progress: bool | None,
) -> list[Batch]:
    starts = range(0, len(seeds), batch_size)
    steps = _steps(settings)
    begun = len(unfinished.batches)
    nothing: list[int] = []
    with progress_bar(nothing, "inverting", len(starts) * steps, progress, begun * steps) as bar:
        for number, start in list(enumerate(starts))[begun:]:
            rows = slice(start, start + batch_size)
            batch = invert_batch(representation, seeds[rows], targets[rows], settings, lambda _: bar.update())
            unfinished.add(batch, last=number + 1 == len(starts))
            bar.update((number + 1) * steps - bar.n)
            bar.set_postfix(loss=f"{float(batch.losses.nanmedian()):.3g}")
    return unfinished.batches


def invert_batch(
    representation: Representation,
    seeds: Tensor,
    targets: Tensor,
    settings: Settings,
    tick: Callable[[Tensor], object] | None = None,
) -> Batch:
    """Invert the representations of one batch.

    Parameters
    ----------
    representation : callable
        Maps images to representations (b, p).
    seeds, targets : Tensor, shape (b, channels, height, width)
        In [0, 1].
    settings : Settings
    tick : callable, optional
        Called with losses after each iteration.

    Returns
    -------
    Batch
        With NaN as the losses of pairs whose target's representation is zero.
    """
    with torch.no_grad():
        wanted = representation(targets)
    has_loss = torch.linalg.vector_norm(wanted, dim=1) > 0
    start = seeds.to(wanted.device, wanted.dtype)
    steps = _steps(settings)
    descend = published_descent if settings.mode == "published" else fast_descent
    if bool(has_loss.all()):
        return descend(Matching(representation, wanted), start, settings, tick)
    whole = Batch(
        seeds.float().cpu().clone(),
        torch.full((len(seeds),), torch.nan),
        torch.zeros(len(seeds), dtype=torch.int64),
        torch.full((steps + 1, len(seeds)), torch.nan),
    )
    if bool(has_loss.any()):
        part = descend(Matching(representation, wanted[has_loss]), start[has_loss], settings, tick)
        kept = has_loss.cpu()
        whole.images[kept], whole.losses[kept], whole.iterations[kept] = part.images, part.losses, part.iterations
        whole.history[:, kept] = part.history
    return whole


def _together(batches: list[Batch], layer: str) -> Inversion:
    history = torch.cat([batch.history for batch in batches], 1).numpy()
    return Inversion(
        images=torch.cat([batch.images for batch in batches]),
        losses=torch.cat([batch.losses for batch in batches]).numpy(),
        seed_losses=history[0].copy(),
        curve=summarise(history),
        iterations=torch.cat([batch.iterations for batch in batches]).numpy(),
        layer=layer,
    )


def _steps(settings: Settings) -> int:
    return settings.iterations if settings.mode == "published" else fast_iterations(settings.iterations)


def _check(seeds: Tensor, targets: Tensor, settings: Settings, batch_size: int) -> None:
    check_images(seeds, "seed images")
    check_images(targets, "target images")
    if seeds.shape != targets.shape:
        raise ShapeError(
            f"seed and target images come in pairs of one size, got {tuple(seeds.shape)} and {tuple(targets.shape)}."
        )
    if settings.mode not in MODES:
        raise unknown_name("mode of inversion", settings.mode, MODES)
    ranges = {
        "batch_size": (batch_size, batch_size >= 1, "at least 1"),
        "iterations": (settings.iterations, settings.iterations >= 1, "at least 1"),
        "step_size": (settings.step_size, settings.step_size > 0, "above 0"),
        "momentum": (settings.momentum, 0 <= settings.momentum < 1, "at least 0 and below 1"),
        "eps": (settings.eps, settings.eps > 0, "above 0"),
        "tolerance": (settings.tolerance, settings.tolerance >= 0, "at least 0"),
    }
    for name, (value, is_good, expected) in ranges.items():
        if not is_good:
            raise NetalikeError(f"{name} of an inversion has to be {expected}, got {value}.")


def _identity(
    model: nn.Module, seeds: Tensor, targets: Tensor, settings: Settings, layer: str, batch_size: int
) -> dict[str, Any]:
    images = hashlib.sha256()
    for tensor in (seeds, targets):
        images.update(digest({"images": tensor}).encode())
    # The batch size is part of it: rounding differs between batch sizes.
    return {
        **asdict(settings),
        "layer": layer,
        "batch_size": batch_size,
        "network": digest(model.state_dict()),
        "images": images.hexdigest(),
    }
