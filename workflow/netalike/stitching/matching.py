"""Direct matching: train a stitching layer on the activations alone, without the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from netalike.data import normalise
from netalike.errors import NetalikeError, unknown_name
from netalike.progress import progress as progress_bar
from netalike.stitching.targets import linear_cka
from netalike.stitching.training import (
    MEMORY_GB,
    Batch,
    Pair,
    Recording,
    check_layer,
    frozen,
    record,
)
from netalike.training import eager, plain

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.stitching.splitting import Split
    from netalike.stitching.transform import StitchingLayer

LOSSES = ("mse", "cka")
_RECORD_BATCH = 500


@dataclass
class MatchHistory:
    """What happened in direct matching.

    Attributes
    ----------
    loss : list of float
        One per epoch, the mean over its images while the weights change: the mean squared difference, or 1 - CKA.
    before, after : (weight, bias)
        Copies on the CPU from before the first step and after the last.
    """

    loss: list[float] = field(default_factory=list)
    before: tuple[Tensor, Tensor] | None = field(default=None, compare=False)
    after: tuple[Tensor, Tensor] | None = field(default=None, compare=False)


def match(
    front: Split,
    end: Split,
    layer: StitchingLayer,
    images: ImageSet,
    loss: str = "mse",
    epochs: int = 100,
    batch_size: int = 64,
    lr: float = 1e-4,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
    resize: bool = False,
    memory_gb: float = MEMORY_GB,
) -> MatchHistory:
    """Train a stitching layer in place so that its output is like the end network's own activation.

    Parameters
    ----------
    front, end : Split
        Both networks stay as they are.
    layer : StitchingLayer
        Its weights are the initialisation.
    images : ImageSet
        Under the test transform; labels are not used.
    loss : {"mse", "cka"}
        The mean squared difference over images and units, or 1 - linear CKA of each batch.
    epochs, batch_size : int
        A last, shorter batch counts as well, unless it is too short for CKA (fewer than 2 images).
    lr : float
        Of Adam; the same in all epochs.
    seed : int
        Of the order of the images, which each epoch shuffles anew.
    device : str or torch.device
    progress : bool, optional
        Whether to show a progress bar on stderr; None shows one where stderr is a terminal.
    resize : bool
        Resize the front activation (bilinear) to the end layer's height and width.
    memory_gb : float
        The activations are computed once and kept if they fit into this many 10^9 bytes, else anew each epoch.

    Returns
    -------
    MatchHistory

    Raises
    ------
    UnknownNameError
        If there is no such loss.
    NetalikeError
        If there are no images, a number is out of its range, or the loss stops being finite.
    ShapeError
        If the stitching layer does not fit between the two layers.

    Notes
    -----
    Csiszarik et al. (2021), the published code (Adam, 100 epochs of 64, 1e-4); it minimises CKA where it is asked to
    match by CKA, which is not repeated here. By "mse" the optimum is the least-squares solution.
    """
    _check(images, loss, epochs, batch_size, lr)
    device = torch.device(device)
    layer.to(device)
    optimizer = eager.Adam(layer.parameters(), lr, foreach=True)
    history = MatchHistory(before=layer.snapshot())
    with frozen(front, end, device) as layouts, plain.reproducible(device):
        pair = Pair(front, end, frozenset({"end"}), device, layouts, resize)
        check_layer(layer, pair.look(images.inputs(0, 2), images.labels[:2]))
        recording = record(pair, images, memory_gb * 1e9, _RECORD_BATCH)
        bar = progress_bar(range(epochs), "matching", epochs, progress, unit="epoch")
        for epoch in bar:
            losses, weights = [], []
            for rows in _order(len(images), batch_size, seed, epoch, loss):
                losses.append(_step(layer, _batch(pair, recording, images, rows), loss, optimizer))
                weights.append(len(rows))
            plain.stop_unless_finite(losses, epoch, lr)
            counts = torch.tensor(weights, dtype=torch.float64)
            history.loss.append(float((torch.stack(losses).double().cpu() * counts).sum() / counts.sum()))
            bar.set_postfix(loss=f"{history.loss[-1]:.4g}")
    history.after = layer.snapshot()
    return history


def _check(images: ImageSet, loss: str, epochs: int, batch_size: int, lr: float) -> None:
    if loss not in LOSSES:
        raise unknown_name("loss of direct matching", loss, LOSSES)
    least = 2 if loss == "cka" else 1
    if min(len(images), batch_size) < least or epochs < 1 or not lr > 0:
        raise NetalikeError(
            f"direct matching by {loss} got {len(images)} images, batch size {batch_size}, {epochs} epochs and "
            f"learning rate {lr:g}: expected at least {least} images in a batch, 1 epoch, and a rate above 0."
        )


def _order(n: int, batch_size: int, seed: int, epoch: int, loss: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(plain.epoch_seed(seed, epoch, plain.BATCHES))
    parts = torch.randperm(n, generator=generator).split(batch_size)  # type: ignore[no-untyped-call]
    return [rows for rows in parts if loss == "mse" or len(rows) > 1]


def _batch(pair: Pair, recording: Recording | None, images: ImageSet, rows: Tensor) -> Batch:
    if recording is not None:
        return recording.batch(rows)
    return pair.look(normalise(images.resized[rows], images.spec), images.labels[rows])


def _step(layer: StitchingLayer, batch: Batch, loss: str, optimizer: torch.optim.Optimizer) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    output, wanted = layer(batch.front), cast(Tensor, batch.end)
    value = functional.mse_loss(output, wanted) if loss == "mse" else 1 - linear_cka(wanted, output)
    value.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value.detach()
