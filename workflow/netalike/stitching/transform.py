"""The stitching layer, what it starts from, and the stitched network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError
from netalike.stitching.least_squares import NormalEquations
from netalike.stitching.names import canonical
from netalike.stitching.splitting import Split, check_shapes, resized

Kind = Literal["map", "vector", "flatten"]
"""A 1 x 1 convolution of maps, a linear map of vectors, or one linear map over all units."""
_KINDS = ("map", "vector", "flatten")

Affine = tuple[Tensor, Tensor]
"""Weight (outputs, inputs) and bias (outputs,)."""


class StitchingLayer(nn.Module):
    """An affine map from the activation of one network to that of another (Csiszarik et al. 2021).

    Parameters
    ----------
    front, end : tuple of int
        Shapes of the two activations without the batch dimension, (C, h, w) or (C,); for maps the height and width
        do not matter unless `flatten` is set.
    flatten : bool
        One linear map over all units instead of one over channels; its output has the shape `end`.
    rank : int, optional
        The weight is a product of factors (outputs, rank) and (rank, inputs), which are what is trained.
    mask : Tensor, shape (outputs, inputs), optional
        Zeros and ones, fixed: the weight is zero, and stays zero, where the mask is.
    generator : torch.Generator, optional
        Of the random initialisation (see `initial`); seed 0 if there is none.

    Attributes
    ----------
    kind : {"map", "vector", "flatten"}
    inputs, outputs : int
        Channels, or all units with `flatten`.
    end_shape : tuple of int
        (C,) or (C, h, w): what the output is reshaped to with `flatten`.
    rank : int or None
    mask : Tensor or None
    bias : nn.Parameter, shape (outputs,)

    Raises
    ------
    ShapeError
        If one activation is a map and the other a vector, or if the mask has another shape.
    NetalikeError
        If the rank is not between 1 and the number of channels, or if there are both a rank and a mask.

    Notes
    -----
    Every weight here is (outputs, inputs); the published code keeps those of low rank the other way round, and reads
    them back untransposed.
    """

    mask: Tensor | None
    bias: nn.Parameter
    matrix: nn.Parameter  # without a rank
    left: nn.Parameter  # (outputs, rank)
    right: nn.Parameter  # (rank, inputs)

    def __init__(
        self,
        front: tuple[int, ...],
        end: tuple[int, ...],
        flatten: bool = False,
        rank: int | None = None,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_shapes(front, end, resize=True, flatten=flatten)
        self.kind: Kind = "flatten" if flatten else "map" if len(end) == 3 else "vector"
        self.end_shape = tuple(end)
        self.inputs, self.outputs = (math.prod(front), math.prod(end)) if flatten else (front[0], end[0])
        self.rank = rank
        _check_rank(rank, self.inputs, self.outputs, mask)
        _check_mask(mask, self.inputs, self.outputs)
        self.register_buffer("mask", None if mask is None else mask.detach().clone().float())
        generator = generator or torch.Generator().manual_seed(0)
        self._set(*initial("random", self.inputs, self.outputs, generator, rank=rank))

    @classmethod
    def from_matrix(
        cls,
        weight: Tensor,
        bias: Tensor,
        kind: Kind = "map",
        rank: int | None = None,
        mask: Tensor | None = None,
        end_shape: tuple[int, ...] | None = None,
    ) -> Self:
        """Make a layer from its matrix.

        Parameters
        ----------
        weight : Tensor, shape (outputs, inputs)
        bias : Tensor, shape (outputs,)
        kind : {"map", "vector", "flatten"}
        rank : int, optional
            The factors' product is the weight if its rank is not larger, else the nearest matrix of that rank.
        mask : Tensor, shape (outputs, inputs), optional
            The weight is masked.
        end_shape : tuple of int, optional
            Needed for "flatten": what the output is reshaped to.

        Returns
        -------
        StitchingLayer
            float32, with copies of all that was given.
        """
        _check_matrix(weight, bias, kind)
        outputs, inputs = weight.shape
        if kind == "flatten" and (end_shape is None or math.prod(end_shape) != outputs):
            raise ShapeError(
                f"a flattened stitching layer with {outputs} outputs needs the shape of the end layer, with as many "
                f"units; got end_shape={end_shape}."
            )
        sizes = (1, 1) if kind == "map" else ()
        end = tuple(end_shape) if end_shape is not None and kind == "flatten" else (outputs, *sizes)
        layer = cls((inputs, *sizes), end, flatten=kind == "flatten", rank=rank, mask=mask)
        layer._set(weight, bias)
        return layer

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], kind: Kind = "map", end_shape: tuple[int, ...] | None = None
    ) -> Self:
        """Make a layer from its state dictionary: the same parameters, so the same output, bit for bit.

        Parameters
        ----------
        state : mapping of str to Tensor
            As `state_dict` gives it: ``matrix``, or ``left`` and ``right`` for a factorisation; ``bias``; ``mask``
            where there is one. safetensors keeps it as it is.
        kind, end_shape
            As in `from_matrix`.

        Raises
        ------
        NetalikeError
            If keys are missing or unknown.
        """
        keys = set(state) - {"mask"}
        if keys not in ({"matrix", "bias"}, {"left", "right", "bias"}):
            raise NetalikeError(
                f"the state of a stitching layer has the keys {', '.join(sorted(state)) or '(none)'}: expected bias "
                "and matrix, or bias, left and right (low rank), and mask where there is one."
            )
        rank = state["right"].shape[0] if "right" in state else None
        weight = state["matrix"] if rank is None else state["left"] @ state["right"]
        layer = cls.from_matrix(weight, state["bias"], kind, rank, state.get("mask"), end_shape)
        layer.load_state_dict(dict(state))
        return layer

    @property
    def weight(self) -> Tensor:
        """The matrix that is applied, (outputs, inputs): masked, and multiplied out; gradients flow through it.

        Without mask and rank this is the parameter itself: `snapshot` copies.
        """
        if self.rank is not None:
            return self.left @ self.right
        return self.matrix if self.mask is None else self.matrix * self.mask

    def snapshot(self) -> Affine:
        """Return copies of weight and bias, on the CPU, that later training does not change."""
        return self.weight.detach().clone().cpu(), self.bias.detach().clone().cpu()

    def forward(self, activation: Tensor) -> Tensor:
        """Map activations.

        Parameters
        ----------
        activation : Tensor, shape (n, C1, h, w), or (n, C1), or any with the right number of units for "flatten"

        Returns
        -------
        Tensor, shape (n, C2, h, w), or (n, C2), or (n, *end_shape)

        Raises
        ------
        ShapeError
            If the activation does not fit.
        """
        self._check(activation)
        if self.kind == "flatten":
            return self._apply_matrices(activation.flatten(1)).reshape(-1, *self.end_shape)
        return self._apply_matrices(activation)

    def extra_repr(self) -> str:
        """Say what is printed of the layer."""
        text = f"{self.inputs}, {self.outputs}, kind={self.kind!r}"
        return text + (f", rank={self.rank}" if self.rank is not None else "") + (", masked" * (self.mask is not None))

    def _apply_matrices(self, x: Tensor) -> Tensor:
        if self.rank is not None:  # fewer operations than with the product
            return self._affine(self._affine(x, self.right, None), self.left, self.bias)
        return self._affine(x, self.weight, self.bias)

    def _affine(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.kind == "map":
            return functional.conv2d(x, weight[:, :, None, None], bias)
        return functional.linear(x, weight, bias)

    def _check(self, activation: Tensor) -> None:
        units = math.prod(activation.shape[1:]) if self.kind == "flatten" else activation.shape[1]
        if activation.ndim != {"map": 4, "vector": 2, "flatten": activation.ndim}[self.kind] or units != self.inputs:
            expected = {
                "map": f"(n, {self.inputs}, h, w)",
                "vector": f"(n, {self.inputs})",
                "flatten": f"{self.inputs} units for each image",
            }[self.kind]
            raise ShapeError(f"the stitching layer takes {expected}, got an activation {tuple(activation.shape)}.")

    def _set(self, weight: Tensor, bias: Tensor) -> None:
        weight, bias = weight.detach(), bias.detach()
        if self.rank is not None:
            left, right = _factors(weight, self.rank)
            self.left, self.right = nn.Parameter(left.contiguous()), nn.Parameter(right.contiguous())
        else:
            masked = weight if self.mask is None else weight * self.mask.to(weight.dtype)
            self.matrix = nn.Parameter(_copy(masked))
        self.bias = nn.Parameter(_copy(bias))


def initial(
    name: str,
    inputs: int,
    outputs: int,
    generator: torch.Generator,
    least_squares: NormalEquations | Affine | None = None,
    rank: int | None = None,
) -> Affine:
    """Make the weight and bias that a stitching layer starts from.

    Parameters
    ----------
    name : str
        random, permutation, identity, least_squares, ones_zeros, or a name that the published code has for one.
    inputs, outputs : int
        Channels; they have to agree for permutation, identity and ones_zeros.
    generator : torch.Generator
        On the CPU; advanced by random and permutation alone.
    least_squares : NormalEquations, or (weight, bias), optional
        Needed for least_squares: what it takes the affine, or with a rank the reduced-rank solution from, or the
        solution itself.
    rank : int, optional
        The weight gets this rank; only for random and least_squares.

    Returns
    -------
    weight : Tensor, float32, shape (outputs, inputs)
    bias : Tensor, float32, shape (outputs,)

    Raises
    ------
    UnknownNameError
        If there is no such initialisation.
    ShapeError
        If it needs as many inputs as outputs.
    NetalikeError
        If least_squares has no solution, or if another initialisation than random and least_squares has a rank.

    Notes
    -----
    random: uniform within 1/sqrt(inputs) of 0, weight and bias (PyTorch's default for a 1 x 1 convolution); with a
    rank, the product of two factors with orthonormal columns and rows, and no bias.  All as the published code.
    """
    known = canonical("init", name)
    if rank is not None:
        _check_rank(rank, inputs, outputs, None)
        if known not in ("random", "least_squares"):
            raise NetalikeError(
                f"a stitching layer of rank {rank} cannot start from {known}: choose least_squares (the reduced-rank "
                "solution) or random."
            )
    if known == "least_squares":
        weight, bias = _solution(least_squares, rank)
        _check_matrix(weight, bias, "map", (outputs, inputs))
        return weight.float(), bias.float()
    if known == "random":
        return _random(inputs, outputs, generator, rank)
    if inputs != outputs:
        raise ShapeError(
            f"the initialisation {known} needs as many input as output channels, got {inputs} and {outputs}: choose "
            "random or least_squares."
        )
    return _SQUARE[known](inputs, generator), torch.zeros(outputs)


class StitchedNetwork(nn.Module):
    """The head of one network, a stitching layer, and the tail of another.

    Parameters
    ----------
    front : Split
    layer : StitchingLayer
    end : Split
    resize : bool
        Fit the front activation to the height and width of the end layer (bilinear) before it is mapped.

    Notes
    -----
    Both networks run in eval mode whatever the mode of this module, and only what is used of them runs: with `resize`,
    the head of the end network on one image as well, once for each size of images.
    """

    def __init__(self, front: Split, layer: StitchingLayer, end: Split, resize: bool = False) -> None:
        super().__init__()
        # Submodules, so that the networks move with this one.
        self.front_model, self.layer, self.end_model = front.model, layer, end.model
        self.front, self.end, self.resize = front, end, resize
        self._end_shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to the end network's logits (n, classes)."""
        activation = self.front.head(images)
        if self.resize:
            activation = resized(activation, self._end_shape(images))
        return self.end.tail(self.layer(activation))

    def _end_shape(self, images: Tensor) -> tuple[int, ...]:
        size = tuple(images.shape[1:])
        if size not in self._end_shapes:
            self._end_shapes[size] = self.end.shape(images)
        return self._end_shapes[size]


def _random(inputs: int, outputs: int, generator: torch.Generator, rank: int | None) -> Affine:
    if rank is not None:
        left = nn.init.orthogonal_(torch.empty(outputs, rank), generator=generator)
        right = nn.init.orthogonal_(torch.empty(rank, inputs), generator=generator)
        return left @ right, torch.zeros(outputs)
    bound = 1 / math.sqrt(inputs)
    weight = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator)
    return weight, torch.empty(outputs).uniform_(-bound, bound, generator=generator)


def _permutation(n: int, generator: torch.Generator) -> Tensor:
    return torch.eye(n)[torch.randperm(n, generator=generator)]


_SQUARE: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "permutation": _permutation,
    "identity": lambda n, generator: torch.eye(n),
    "ones_zeros": lambda n, generator: torch.ones(n, n),
}


def _solution(least_squares: NormalEquations | Affine | None, rank: int | None) -> Affine:
    if least_squares is None:
        raise NetalikeError("the initialisation least_squares needs the normal equations of the two layers, got none.")
    if isinstance(least_squares, NormalEquations):
        return least_squares.affine() if rank is None else least_squares.reduced_rank(rank)
    return least_squares


def _factors(weight: Tensor, rank: int) -> Affine:
    """Factor a matrix (outputs, inputs) into (outputs, rank) and (rank, inputs), its singular values in both alike."""
    u, s, vh = torch.linalg.svd(weight.double().cpu(), full_matrices=False)
    root = s[:rank].sqrt()
    return (u[:, :rank] * root).float(), (root[:, None] * vh[:rank]).float()


def _copy(tensor: Tensor) -> Tensor:
    # Contiguous, as safetensors wants it: a matrix of least squares may be a transposed view.
    return tensor.float().clone(memory_format=torch.contiguous_format)


def _check_rank(rank: int | None, inputs: int, outputs: int, mask: Tensor | None) -> None:
    if rank is None:
        return
    largest = min(inputs, outputs)
    if not 1 <= rank <= largest:
        raise NetalikeError(
            f"the rank of a stitching layer from {inputs} to {outputs} channels is from 1 to {largest}, got {rank}."
        )
    if mask is not None:
        raise NetalikeError(f"a stitching layer has a rank (here {rank}) or a mask, not both: leave out one of them.")


def _check_mask(mask: Tensor | None, inputs: int, outputs: int) -> None:
    if mask is None:
        return
    if tuple(mask.shape) != (outputs, inputs):
        raise ShapeError(
            f"the mask of a stitching layer from {inputs} to {outputs} channels has the shape {(outputs, inputs)}, got "
            f"{tuple(mask.shape)}."
        )
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise NetalikeError("the mask of a stitching layer holds zeros and ones alone; got other values.")


def _check_matrix(weight: Tensor, bias: Tensor, kind: str, shape: tuple[int, int] | None = None) -> None:
    if kind not in _KINDS:
        raise NetalikeError(f"unknown kind of stitching layer {kind!r}: expected one of {', '.join(_KINDS)}.")
    fits = weight.ndim == 2 and tuple(bias.shape) == (weight.shape[0],)
    if not fits or (shape is not None and tuple(weight.shape) != shape):
        expected = "(outputs, inputs) and (outputs,)" if shape is None else f"{shape} and ({shape[0]},)"
        raise ShapeError(
            f"the weight and bias of a stitching layer have the shapes {expected}, got {tuple(weight.shape)} and "
            f"{tuple(bias.shape)}."
        )
