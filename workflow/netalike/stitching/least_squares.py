"""Least-squares maps between activations, from sums over all images and positions: affine, orthogonal, low rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from netalike.errors import NetalikeError, ShapeError
from netalike.networks.running import eval_mode, fast_layout
from netalike.stitching.splitting import Split, check_shapes, resized, whole

if TYPE_CHECKING:
    from netalike.data import ImageSet

# Numbers of float64 that one chunk of activations is converted to at a time (8 MiB).
_CHUNK = 2**20
# A direction in which the scaled channels have less than 1e-6 of the largest standard deviation counts as absent: its
# variance, 1e-12, is what the rounding of float32 activations and of the sums leaves undetermined.
_CUTOFF = 1e-12
# A channel whose variance is this small a share of its mean square is constant; float32 cannot tell such apart.
_CONSTANT = 1e-24


class _Moments(NamedTuple):
    """Means over positions; the covariances are centred."""

    x_mean: Tensor  # (inputs,)
    y_mean: Tensor  # (outputs,)
    xx: Tensor  # (inputs, inputs)
    xy: Tensor  # (inputs, outputs)
    yy: Tensor  # (outputs, outputs)


class NormalEquations:
    """Sums that determine every least-squares map from activations x to activations y.

    Each image and position is one observation of all channels: row of the design [X 1] and of Y. Only the sums
    [X 1]'[X 1], [X 1]'Y and Y'Y are kept, in float64, so that neither the number of images nor their size costs memory.

    Attributes
    ----------
    positions : int
        Observations so far.

    Notes
    -----
    Sums are taken about the means of the first batch, so that large means cost no digits. Time: one product of
    (inputs + outputs + 1)^2 times positions. Memory: 8 MiB beside the batch.
    """

    def __init__(self) -> None:
        self.positions = 0
        self._inputs = 0
        self._shift = torch.zeros(0, dtype=torch.float64)
        self._sums = torch.zeros(0, 0, dtype=torch.float64)

    @property
    def inputs(self) -> int:
        """Channels of x."""
        return self._inputs

    @property
    def outputs(self) -> int:
        """Channels of y."""
        return len(self._shift) - self._inputs

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        x : Tensor, shape (n, C1, h, w) or (n, C1)
        y : Tensor, shape (n, C2, h, w) or (n, C2)
            Of the same images, at the same positions.

        Raises
        ------
        ShapeError
            If the two do not fit each other, or the batches before.
        NetalikeError
            If a value is not finite.
        """
        self._check(x, y)
        for rows in _rows(x.detach(), y.detach()):
            if self.positions == 0:
                self._start(rows, x.shape[1])
            rows[:, :-1] -= self._shift.to(rows.device)
            sums = (rows.T @ rows).cpu()
            if not bool(torch.isfinite(sums).all()):
                raise NetalikeError(
                    "the activations hold values that are not finite, so there is no least-squares map: look at the "
                    "weights and the images."
                )
            self._sums += sums
            self.positions += len(rows)
        vars(self).pop("_moments", None)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return the affine map of least squares.

        Returns
        -------
        weight : Tensor, float64, shape (outputs, inputs)
        bias : Tensor, float64, shape (outputs,)
            Together they minimise the mean of |W x + b - y|^2; where several do (dead or duplicated channels), they
            have the least norm |W|^2 + |b|^2: pinv([X 1]) Y, as published.

        Raises
        ------
        NetalikeError
            If there was no batch.

        Notes
        -----
        By eigen decomposition of the correlation matrix of x, in which directions below 1e-12 of the largest
        eigenvalue are left out; O(inputs^3). The exact null space of [X 1] is then projected out, since the least norm
        is that of the channels as they are, and not as they were scaled.
        """
        moments = self._moments
        weight, null = _solve(moments.xx, moments.xy, self._constant(moments)[: self.inputs])
        bias = moments.y_mean - weight @ moments.x_mean
        return _least_norm(weight, bias, null, moments.x_mean)

    def procrustes(self, centred: bool = False) -> tuple[Tensor, Tensor]:
        """Return the (semi-)orthogonal map of least squares.

        Parameters
        ----------
        centred : bool
            False, as published: from X'Y without centring, and without bias. True: from the covariance, and with the
            bias that fits the means.

        Returns
        -------
        weight : Tensor, float64, shape (outputs, inputs)
            Orthonormal rows or columns; (U V')' of X'Y = U S V'. No scale.
        bias : Tensor, float64, shape (outputs,)
        """
        moments = self._moments
        cross = moments.xy if centred else moments.xy + torch.outer(moments.x_mean, moments.y_mean)
        u, _, vh = torch.linalg.svd(cross, full_matrices=False)
        weight = (u @ vh).T.contiguous()
        bias = moments.y_mean - weight @ moments.x_mean if centred else torch.zeros_like(moments.y_mean)
        return weight, bias

    def reduced_rank(self, rank: int, affine: bool = True) -> tuple[Tensor, Tensor]:
        """Return the map of least squares among those whose weight has at most a given rank.

        Parameters
        ----------
        rank : int
            From 1; above the number of channels it restricts nothing.
        affine : bool
            True: with a bias of any kind. False, as published: without bias.

        Returns
        -------
        weight : Tensor, float64, shape (outputs, inputs)
        bias : Tensor, float64, shape (outputs,)

        Raises
        ------
        NetalikeError
            If the rank is less than 1.

        Notes
        -----
        Reduced-rank regression (Izenman 1975): W_r = (B V V')' with B the full solution and V the first r right
        singular vectors of its fitted values, from the eigen decomposition of B' X'X B.
        """
        if rank < 1:
            raise NetalikeError(f"the rank of a map is at least 1, got {rank}.")
        moments = self._moments
        if affine:
            full, gram = self.affine()[0], moments.xx
        else:
            full, gram = self._linear()
        _, vectors = torch.linalg.eigh(_symmetric(full @ gram @ full.T))
        kept = vectors[:, -rank:]
        weight = kept @ (kept.T @ full)
        bias = moments.y_mean - weight @ moments.x_mean if affine else torch.zeros_like(moments.y_mean)
        return weight, bias

    def mse(self, weight: Tensor, bias: Tensor) -> float:
        """Return the mean squared error of a map on these observations.

        Parameters
        ----------
        weight : Tensor, shape (outputs, inputs)
        bias : Tensor, shape (outputs,)

        Returns
        -------
        float
            Mean of (W x + b - y)^2 over observations and output channels; a perfect map has 0 up to 1e-15 of the
            variance of y.

        Raises
        ------
        ShapeError
            If the map has other channels.
        """
        if tuple(weight.shape) != (self.outputs, self.inputs) or tuple(bias.shape) != (self.outputs,):
            raise ShapeError(
                f"a map between these activations has the shapes ({self.outputs}, {self.inputs}) and "
                f"({self.outputs},), got {tuple(weight.shape)} and {tuple(bias.shape)}."
            )
        moments = self._moments
        weight, bias = weight.detach().double().cpu(), bias.detach().double().cpu()
        offset = weight @ moments.x_mean + bias - moments.y_mean
        explained = (weight @ moments.xx * weight).sum() - 2 * (weight * moments.xy.T).sum()
        total = moments.yy.trace() + explained + offset @ offset
        return max(0.0, float(total) / self.outputs)  # rounding can put a perfect fit below zero

    def correlation(self) -> Tensor:
        """Return the Pearson correlation of every output channel with every input channel.

        Returns
        -------
        Tensor, float64, shape (outputs, inputs)
            0 where a channel is constant and has no correlation; `constant_inputs` and `constant_outputs` name these.
        """
        moments = self._moments
        scales = torch.cat([moments.xx.diagonal(), moments.yy.diagonal()]).sqrt()
        scales[self._constant(moments)] = torch.inf
        correlation: Tensor = moments.xy.T / scales[self.inputs :, None] / scales[: self.inputs]
        return correlation

    @property
    def constant_inputs(self) -> list[int]:
        """The channels of x that have the same value at every position (dead ones, for example)."""
        return self._constant(self._moments)[: self.inputs].nonzero().flatten().tolist()

    @property
    def constant_outputs(self) -> list[int]:
        """The channels of y that have the same value at every position."""
        return self._constant(self._moments)[self.inputs :].nonzero().flatten().tolist()

    @cached_property
    def _moments(self) -> _Moments:
        if self.positions == 0:
            raise NetalikeError("no activations were added, so there is no least-squares map: call update first.")
        means = self._sums / self.positions
        offset, split = means[-1, :-1], self._inputs
        covariance = _symmetric(means[:-1, :-1] - torch.outer(offset, offset))
        mean = offset + self._shift
        return _Moments(
            mean[:split],
            mean[split:],
            covariance[:split, :split],
            covariance[:split, split:],
            covariance[split:, split:],
        )

    def _constant(self, moments: _Moments) -> Tensor:
        variance = torch.cat([moments.xx.diagonal(), moments.yy.diagonal()])
        mean = torch.cat([moments.x_mean, moments.y_mean])
        return variance <= _CONSTANT * (variance + mean.square())

    def _linear(self) -> tuple[Tensor, Tensor]:
        """Return pinv(X) Y, transposed, and X'X / n: without bias."""
        moments = self._moments
        xx = moments.xx + torch.outer(moments.x_mean, moments.x_mean)
        xy = moments.xy + torch.outer(moments.x_mean, moments.y_mean)
        weight, null = _solve(xx, xy, xx.diagonal() == 0)
        null, _ = torch.linalg.qr(null)
        return weight - weight @ null @ null.T, xx

    def _start(self, rows: Tensor, inputs: int) -> None:
        # Rounded to float32: a constant channel of float32 activations is then exactly zero.
        self._shift = rows[:, :-1].mean(0).float().double().cpu()
        self._inputs = inputs
        self._sums = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)

    def _check(self, x: Tensor, y: Tensor) -> None:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        if x.ndim not in (2, 4) or x.ndim != y.ndim or len(x) == 0:
            raise ShapeError(f"expected activations (n, C, h, w) or (n, C) of both networks, n > 0, got {shapes}.")
        if len(x) != len(y) or x.shape[2:] != y.shape[2:]:
            raise ShapeError(
                f"activations of the same images at the same positions are needed, got {shapes}: choose layers of one "
                "size, or resize."
            )
        if self.positions and (x.shape[1], y.shape[1]) != (self.inputs, self.outputs):
            raise ShapeError(
                f"the batches before had {self.inputs} and {self.outputs} channels, this one has {shapes}."
            )


def fit(
    front: Split,
    end: Split,
    images: ImageSet,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
    resize: bool = False,
    augment: torch.Generator | None = None,
    flatten: bool = False,
) -> NormalEquations:
    """Accumulate the normal equations of two layers over a set of images.

    Parameters
    ----------
    front, end : Split
        From whose layer, and to whose.
    images : ImageSet
        Of the training split, for a map that is judged on the test split.
    batch_size : int
        Only speed and memory depend on it.
    device : str or torch.device
        Both networks are moved there.
    resize : bool
        Allow maps of different sizes; see `netalike.stitching.splitting.resized`.
    augment : torch.Generator, optional
        On the CPU: augment the images as the data set says, each network the same ones (as published). None does not.
    flatten : bool
        All units instead of channels; (units + 1)^2 numbers are then kept, and O(units^3) is the time to solve.

    Returns
    -------
    NormalEquations

    Raises
    ------
    ShapeError
        If the two layers do not fit (see `check_shapes`).

    Notes
    -----
    Only the heads run. One fit over all images: the published code averages fits on groups of images for all but its
    smallest networks, which is no least-squares solution. Memory: one batch of both activations and 8 MiB.
    """
    _check_images(images, batch_size)
    device = torch.device(device)
    equations = NormalEquations()
    with ExitStack() as stack, torch.no_grad():
        parts = [(part, stack.enter_context(fast_layout(part.model.to(device), device))) for part in (front, end)]
        for inputs in _inputs(images, batch_size, augment):
            # Not kept in names: the batch before would stay in memory while the next one is computed.
            equations.update(*_activations(parts, inputs.to(device), resize, flatten))
    return equations


def fit_all(
    cuts: Sequence[tuple[Split, Split]], images: ImageSet, batch_size: int = 500, device: str | torch.device = "cpu"
) -> list[NormalEquations]:
    """Accumulate the normal equations of two networks at several layers, in one run of each network.

    Parameters
    ----------
    cuts : sequence of (Split, Split)
        From whose layer, and to whose; all of the same two networks.
    images : ImageSet
    batch_size : int
    device : str or torch.device

    Returns
    -------
    list of NormalEquations
        Of each cut, as `fit` gives them.

    Raises
    ------
    ShapeError
        If two layers do not fit (see `check_shapes`).
    """
    _check_images(images, batch_size)
    device = torch.device(device)
    found = [NormalEquations() for _ in cuts]
    fronts, ends = zip(*cuts, strict=True)
    with ExitStack() as stack, torch.no_grad():
        runs = []
        for splits in (fronts, ends):
            model = splits[0].model.to(device)
            stack.enter_context(eval_mode(model))
            runs.append((stack.enter_context(fast_layout(model, device)), stack.enter_context(whole(splits))))
        for inputs in _inputs(images, batch_size, None):
            (xs, _), (ys, _) = (run(inputs.to(device, memory_format=layout)) for layout, run in runs)
            for equations, x, y in zip(found, xs, ys, strict=True):
                check_shapes(tuple(x.shape[1:]), tuple(y.shape[1:]), resize=False)
                equations.update(x, y)
    return found


def _check_images(images: ImageSet, batch_size: int) -> None:
    if batch_size < 1 or len(images) == 0:
        raise NetalikeError(f"least squares needs images and a batch size from 1, got {len(images)} and {batch_size}.")


def _activations(
    parts: list[tuple[Split, torch.memory_format]], inputs: Tensor, resize: bool, flatten: bool
) -> tuple[Tensor, Tensor]:
    x, y = (part.head(inputs.contiguous(memory_format=layout)) for part, layout in parts)
    check_shapes(tuple(x.shape[1:]), tuple(y.shape[1:]), resize, flatten)
    if flatten:
        return x.flatten(1), y.flatten(1)
    return resized(x, tuple(y.shape[1:])), y


def _inputs(images: ImageSet, batch_size: int, augment: torch.Generator | None) -> Iterator[Tensor]:
    from netalike.data import augment as augmentation
    from netalike.data import normalise

    for start in range(0, len(images), batch_size):
        pixels = images.resized[start : start + batch_size]
        if augment is not None:
            pixels = augmentation.augment(pixels, images.spec.augmentation, augment)
        yield normalise(pixels, images.spec)


def _rows(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Yield the observations [X Y 1] in float64, some images at a time: (positions, inputs + outputs + 1)."""
    if x.device.type == "mps":  # has no float64
        x, y = x.cpu(), y.cpu()
    width = x.shape[1] + y.shape[1] + 1
    images = max(1, _CHUNK // (width * x[0, 0].numel()))
    for start in range(0, len(x), images):
        part, other = x[start : start + images], y[start : start + images]
        rows = torch.ones(part[:, 0].numel(), width, dtype=torch.float64, device=x.device)
        rows[:, : x.shape[1]] = part.movedim(1, -1).reshape(-1, x.shape[1])
        rows[:, x.shape[1] : -1] = other.movedim(1, -1).reshape(-1, y.shape[1])
        yield rows


def _solve(xx: Tensor, xy: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
    """Solve xx W' = xy for some solution, and give a basis of what may be added to it.

    Parameters
    ----------
    xx : Tensor, shape (inputs, inputs)
    xy : Tensor, shape (inputs, outputs)
    absent : Tensor, bool, shape (inputs,)
        Channels that take no part.

    Returns
    -------
    weight : Tensor, shape (outputs, inputs)
    null : Tensor, shape (inputs, k)
        Columns n with xx n = 0; not orthonormal.
    """
    scale = xx.diagonal().clamp_min(0).sqrt().masked_fill(absent, 1.0)
    present = (~absent).to(xx.dtype)
    correlations = xx * torch.outer(present / scale, present / scale)
    values, vectors = torch.linalg.eigh(correlations)
    kept = values > _CUTOFF * values[-1].clamp_min(torch.finfo(xx.dtype).tiny)
    basis = vectors[:, kept] * (present / scale)[:, None]  # (inputs, kept)
    weight = ((basis.T @ xy).T / values[kept]) @ basis.T
    return weight, vectors[:, ~kept] / scale[:, None]


def _least_norm(weight: Tensor, bias: Tensor, null: Tensor, x_mean: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract from [W b] its part in the null space of [X 1], which changes no prediction."""
    if null.shape[1] == 0:
        return weight, bias
    # X n is constant, so the bias can undo it: [n; -mean' n] is in the null space of [X 1].
    whole, _ = torch.linalg.qr(torch.cat([null, -(x_mean @ null)[None]]))
    solution = torch.cat([weight, bias[:, None]], dim=1)
    solution = solution - solution @ whole @ whole.T
    return solution[:, :-1].contiguous(), solution[:, -1].contiguous()


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
