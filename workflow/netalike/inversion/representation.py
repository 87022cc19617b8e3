"""The representation that is inverted: where in a network it is, and what images are there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from netalike.errors import NetalikeError, ShapeError
from netalike.inversion.passes import INPUT, Normalised, calls_in_order, modules_by_name, representing
from netalike.progress import progress as progress_bar

__all__ = ["INPUT", "Normalised", "check_images", "represent", "representation_layer"]


def representation_layer(model: nn.Module, example: Tensor | None = None) -> str:
    """Find the representation of Jones et al. (2022): what goes into the final fully connected layer.

    Parameters
    ----------
    model : nn.Module
    example : Tensor, shape (n, channels, height, width), optional
        Images in [0, 1], of which the first is used. With them the final layer is the linear layer that runs last,
        without them the one that the model lists last.

    Returns
    -------
    str
        ``input:`` and the name of the layer, as ``input:fc``; `represent` and `invert_images` take it.

    Raises
    ------
    NetalikeError
        If there is no linear layer.

    Notes
    -----
    What that is differs in kind between architectures: pooled features of a residual network, a hidden layer after
    its ReLU of VGG (fc7) or LeNet.
    """
    linear = [name for name, module in modules_by_name(model).items() if isinstance(module, nn.Linear)]
    ran: Sequence[str] = linear if example is None else calls_in_order(model, linear, example)
    if not ran:
        raise NetalikeError(
            f"{type(model).__name__} runs through no linear layer, so its representation has to be named: give layer="
            f"a layer's name (its output is used), or {INPUT!r} and a name. `netalike layers` lists them."
        )
    return INPUT + ran[-1]


def represent(
    model: nn.Module,
    images: Tensor,
    layer: str | None = None,
    batch_size: int = 256,
    device: str | torch.device | None = None,
    progress: bool | None = False,
) -> Tensor:
    """Compute the representations of images.

    Parameters
    ----------
    model : nn.Module
        Takes pixels in [0, 1] (see `Normalised`). In eval mode while it runs; its mode is put back.
    images : Tensor, shape (n, channels, height, width)
        In [0, 1].
    layer : str, optional
        As `representation_layer` returns it, or a layer's name, which stands for its output; by default the input of
        the last linear layer.
    batch_size : int
        Only speed and memory depend on it.
    device : str or torch.device, optional
        The model is moved there; by default it stays where it is.
    progress : bool, optional
        Whether to show a progress bar; None shows one on a terminal.

    Returns
    -------
    Tensor, shape (n, p), float32
        On the CPU, in the order of the images; feature maps are flattened.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    ShapeError, NetalikeError
        If the images are not float images in [0, 1], or the layer runs more than once or not at all.
    """
    check_images(images, "images")
    if batch_size < 1:
        raise NetalikeError(f"the batch size must be at least 1, got {batch_size}.")
    layer = layer or representation_layer(model if device is None else model.to(device), images)
    with representing(model, images[:1], layer, device) as representation, torch.no_grad():
        starts = progress_bar(range(0, len(images), batch_size), "representations", shown=progress, unit="batch")
        parts = [representation(images[start : start + batch_size]).float().cpu() for start in starts]
    return torch.cat(parts)


def check_images(images: Tensor, what: str) -> None:
    """Raise unless these are images with pixels in [0, 1].

    Parameters
    ----------
    images : Tensor
    what : str
        What the caller calls them.

    Raises
    ------
    ShapeError
        If they are not a floating-point tensor of shape (n, channels, height, width) with n > 0.
    NetalikeError
        If a pixel is outside [0, 1] or not finite.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.numel() == 0 or not images.is_floating_point():
        got = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise ShapeError(
            f"{what}: expected a float tensor of shape (n, channels, height, width), n > 0, got {got}. "
            "Bytes become pixels in [0, 1] by images.float() / 255."
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= 1.0):
        raise NetalikeError(
            f"{what}: pixels have to be in [0, 1], got {low:g} to {high:g}. Where they are normalised already, undo "
            "it, and let the model normalise them (netalike.inversion.Normalised)."
        )
