"""Training with a similarity term: the cosine of two images' parameter gradients is added to the loss.

The MNIST experiment of Charpiat et al. (2019). The published code adds ``w * cos``, which training then makes smaller,
while the text wants images of a class to become similar; the sign is an option here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.evidence.measurements import condition
from netalike.training.pair_stream import SIZE

SIGNS = {"baseline": 0, "plus": 1, "minus": -1}
"""Sign of the term in the loss: none, as the published code has it, as the paper describes it."""
MASKS = ("posnegflat", "random")
PARTNERS = ("same_class", "different_class")

_TINY = 1e-30  # below any squared gradient that float32 can hold to a digit


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes
    ----------
    sign : {"baseline", "plus", "minus"}
        The loss is the cross-entropy, that plus weight * cos (the published code), or that minus weight * cos (the
        paper's text).
    weight : float
        Of the cosine, for batches of one image; times the square root of the batch size, as the published code has it.
    partner : {"same_class", "different_class"}
        Whose gradient the first image of a pair is compared with: the second one's, or (the control) that of an image
        of another class, which the cross-entropy does not see.
    mask : {"posnegflat", "random"}
        What the gradient is of; see `class_masks`.

    Raises
    ------
    UnknownNameError
        For another sign, partner or mask.
    NetalikeError
        If a baseline has a weight, or another variant none.
    """

    sign: str = "baseline"
    weight: float = 0.0
    partner: str = "same_class"
    mask: str = "posnegflat"

    def __post_init__(self) -> None:
        for kind, given, allowed in (
            ("sign of the similarity term", self.sign, tuple(SIGNS)),
            ("partner", self.partner, PARTNERS),
            ("mask", self.mask, MASKS),
        ):
            if given not in allowed:
                raise unknown_name(kind, given, allowed)
        if (self.weight > 0) == (self.sign == "baseline") or self.weight < 0:
            raise NetalikeError(
                f"a similarity term with the sign {self.sign!r} and the weight {self.weight:g}: expected weight 0 for "
                "baseline, and a positive weight for plus and minus."
            )

    def signed_weight(self, batch_size: int) -> float:
        """Return what the cosine is multiplied with in the loss."""
        return SIGNS[self.sign] * self.weight * math.sqrt(batch_size)

    def condition(self, **factors: object) -> str:
        """Write the variant as the `condition` column has it, with further factors."""
        if self.sign == "baseline":
            return condition(weight=0, **factors)
        return condition(weight=f"{self.weight:g}", partner=self.partner, mask=self.mask, **factors)

    @property
    def name(self) -> str:
        """Name the variant, for files and messages: ``minus-1-same_class-posnegflat``."""
        return "-".join([self.sign, f"{self.weight:g}", self.partner, self.mask])


def similarity_network(channels: int = 1, classes: int = 10, seed: int = 0) -> nn.Sequential:
    """Build the network of the experiment; 317,069 parameters for one channel and ten classes.

    Parameters
    ----------
    channels, classes : int
        Of the images, 28 x 28 pixels.
    seed : int
        Of PyTorch's default initialisation; the state of PyTorch's generator stays as it is.

    Returns
    -------
    nn.Sequential
        Two 5 x 5 convolutions with 32 and 64 channels, each with a PReLU of one slope and 2 x 2 average pooling; a
        hidden layer of 256 units with a PReLU; logits. The published network ends in a log-softmax, which belongs to
        the loss here.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[tuple[str, nn.Module]] = [
            ("conv1", nn.Conv2d(channels, 32, 5)),
            ("prelu1", nn.PReLU()),
            ("pool1", nn.AvgPool2d(2)),
            ("conv2", nn.Conv2d(32, 64, 5)),
            ("prelu2", nn.PReLU()),
            ("pool2", nn.AvgPool2d(2)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(64 * ((SIZE - 4) // 2 // 2 - 2) ** 2, 256)),
            ("prelu3", nn.PReLU()),
            ("fc2", nn.Linear(256, classes)),
        ]
        return nn.Sequential(OrderedDict(layers))


# ---- the function whose gradient is compared -------------------------------------------------------------------------


def class_masks(
    labels: Tensor, classes: int, drawn: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the weights of the classes in the function whose gradient is compared.

    Parameters
    ----------
    labels : Tensor, int64, shape (n,)
    classes : int
    drawn : Tensor, shape (classes,), optional
        Random weights, the same for all images: the two gradients are then of one function of the logits.
    dtype : torch.dtype
        That of the logits.

    Returns
    -------
    Tensor, shape (n, classes)
        ``posnegflat``: 1 for the true class and -1 / (classes - 1) for each other one; the drawn weights where given.
    """
    if drawn is not None:
        return drawn.to(dtype).expand(len(labels), classes)
    masks = torch.full((len(labels), classes), -1 / (classes - 1), dtype=dtype, device=labels.device)
    return masks.scatter_(1, labels[:, None], 1.0)


def masked_log_probability(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the weighted sum of each image's log-probabilities, shape (n,).

    With the mask posnegflat the normaliser cancels: the logit of the true class less the mean of the others.
    """
    return (logits.log_softmax(1) * masks).sum(1)


# ---- gradients, layer by layer ---------------------------------------------------------------------------------------


class LayerRecord(NamedTuple):
    """A layer with parameters, and what went in and came out."""

    layer: nn.Module
    given: Tensor
    out: Tensor


def run_recorded(model: nn.Sequential, inputs: Tensor) -> tuple[Tensor, list[LayerRecord]]:
    """Run a network, and keep what goes into and comes out of each layer with parameters.

    Parameters
    ----------
    model : nn.Sequential
    inputs : Tensor, shape (n, channels, height, width)

    Returns
    -------
    logits : Tensor, shape (n, classes)
    records : list of LayerRecord
    """
    records, x = [], inputs
    for layer in model:
        given, x = x, layer(x)
        if next(layer.parameters(), None) is not None:
            records.append(LayerRecord(layer, given, x))
    return x, records


def gradient_products(
    values: Tensor, records: Sequence[LayerRecord], rows: Sequence[int] | None = None, differentiable: bool = False
) -> Tensor:
    """Return the inner products of the parameter gradients of all pairs of images, in the form that never stores one.

    Parameters
    ----------
    values : Tensor, shape (n,)
        One number per image, each a function of this image alone.
    records : sequence of LayerRecord
        Of `run_recorded`.
    rows : sequence of int, optional
        Only these images; the others' values are not used.
    differentiable : bool
        Whether the products are to be differentiated themselves (double back-propagation).

    Returns
    -------
    Tensor, shape (k, k)

    Raises
    ------
    NetalikeError
        For a layer that is neither linear, nor a convolution without groups, nor a PReLU of one slope.

    Notes
    -----
    One backward pass gives the gradients with respect to all layers' outputs for all images at once. The gradient of a
    linear layer is an outer product, so that ``<X_i, X_j> = (a_i . a_j + 1) (d_i . d_j)`` with activations a and
    back-propagated signals d; a convolution's is a sum of outer products over positions, and is formed.
    """
    kept = list(range(len(values))) if rows is None else list(rows)
    signals = torch.autograd.grad(
        values[kept].sum(), [record.out for record in records], create_graph=differentiable, retain_graph=True
    )
    parts = [_products(r.layer, r.given[kept], d[kept]) for r, d in zip(records, signals, strict=True)]
    return torch.stack(parts).sum(0)


def _products(layer: nn.Module, given: Tensor, signal: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return (given @ given.T + (layer.bias is not None)) * (signal @ signal.T)
    if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
        slopes = (signal * given.clamp(max=0)).flatten(1).sum(1)
        return torch.outer(slopes, slopes)
    if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros":
        return _convolution_products(layer, given, signal.flatten(2))
    raise NetalikeError(
        f"no gradient products for {layer}: expected layers with parameters to be nn.Linear, nn.Conv2d without groups, "
        "or nn.PReLU with one slope."
    )


def _convolution_products(layer: nn.Conv2d, given: Tensor, signal: Tensor) -> Tensor:
    if isinstance(layer.padding, str):
        raise NetalikeError(f"no gradient products for {layer}: give the padding as a number.")
    patches = functional.unfold(given, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    weights = (signal @ patches.mT).flatten(1)  # (k, out * in * height * width)
    biases = signal.sum(2)  # (k, out)
    return weights @ weights.T + (biases @ biases.T if layer.bias is not None else 0)


def cosines(products: Tensor) -> Tensor:
    """Turn inner products into cosines; 0 wherever a gradient is zero.

    Parameters
    ----------
    products : Tensor, shape (k, k)

    Returns
    -------
    Tensor, shape (k, k)
    """
    lengths = products.diagonal().clamp_min(_TINY).sqrt()
    return products / torch.outer(lengths, lengths)


# ---- the loss --------------------------------------------------------------------------------------------------------


def similarity_loss(
    model: nn.Sequential, inputs: Tensor, labels: Tensor, weight: float, drawn: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the loss of one step: cross-entropy of a pair of batches, plus weight times the cosine of two gradients.

    Parameters
    ----------
    model : nn.Sequential
    inputs : Tensor, shape (groups, batch, channels, height, width)
        The two batches of a pair, and for the control a third one, whose gradient takes the place of the second's in
        the cosine and which the cross-entropy does not see.
    labels : Tensor, int64, shape (groups, batch)
    weight : float
        Of the cosine; 0 leaves it out. Positive as in the published code, negative as in the paper's text.
    drawn : Tensor, shape (classes,), optional
        Random mask; see `class_masks`.

    Returns
    -------
    loss : Tensor, a scalar
        To be differentiated: double back-propagation where there is a weight.
    logits : Tensor, shape (2 * batch, classes)
        Of both batches of the pair.

    Raises
    ------
    ShapeError
        If there are neither two nor three groups.

    Notes
    -----
    The gradients are ``g_b = d/d theta mean_i sum_c m_c log softmax(f(x_i))_c`` over the images i of batch b, and all
    parameters theta; specs/1 section 4.3.
    """
    groups, batch = labels.shape
    if groups not in (2, 3):
        raise ShapeError(f"a similarity loss takes a pair of batches, or three, got labels of shape {(groups, batch)}.")
    logits, records = run_recorded(model, inputs.flatten(0, 1))
    loss = functional.cross_entropy(logits[: 2 * batch], labels[:2].flatten())
    if weight:
        masks = class_masks(labels.flatten(), logits.shape[1], drawn, logits.dtype)
        compared = [*range(batch), *range((groups - 1) * batch, groups * batch)]
        values = masked_log_probability(logits, masks)
        products = gradient_products(values, records, compared, differentiable=True)
        loss = loss + weight * cosines(products.view(2, batch, 2, batch).mean((1, 3)))[0, 1]
    return loss, logits[: 2 * batch].detach()


def mean_cosines(model: nn.Sequential, inputs: Tensor, labels: Tensor, classes: int) -> tuple[float, float]:
    """Measure how similar images are to a network, within classes and between them.

    Parameters
    ----------
    model : nn.Sequential
    inputs : Tensor, shape (n, channels, height, width)
    labels : Tensor, int64, shape (n,)
    classes : int

    Returns
    -------
    same, different : float
        Mean cosine of the gradients (mask posnegflat) over all pairs of different images of one class, and over all
        pairs of images of different classes; NaN where there are none. The network is not changed.
    """
    logits, records = run_recorded(model, inputs)
    values = masked_log_probability(logits, class_masks(labels, classes, dtype=logits.dtype))
    found = cosines(gradient_products(values, records)).detach()
    same = labels[:, None] == labels[None]
    pairs = torch.ones_like(same).triu(1)
    return float(found[pairs & same].mean()), float(found[pairs & ~same].mean())
