"""Compare a layer of one network with a layer of another, or a stitched activation with the one it stands in for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netalike import measures
from netalike.activations import Recorder
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.measures import Measure, UndefinedMeasureError
from netalike.measures.gram import flatten
from netalike.measures.whole_set import WholeSetCKA, block_pairs, block_size
from netalike.networks.running import eval_mode
from netalike.progress import progress as progress_bar
from netalike.stitching.least_squares import NormalEquations
from netalike.stitching.splitting import check_shapes, resized

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.stitching.splitting import Split
    from netalike.stitching.transform import StitchingLayer

Pair = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps inputs to the two activations that are compared, both of shape (n, ...)."""

VALUES = ("cka", "cca", "lr", "l2")
"""The paper's measures that are one number."""
MATRICES = ("least_squares", "orthogonal", "reduced_rank", "correlation")
"""The paper's fits of the second activation by the first: one matrix (out x in), or several."""
RANKS = (4, 8, 16)
"""Of ``reduced_rank``, besides the full rank."""

_OLD = {
    "cka_torch": "cka",
    "cca_torch": "cca",
    "lr_torch": "lr",
    "ps_inv": "least_squares",
    "ls_orth": "orthogonal",
    "ls_sum": "reduced_rank",
    "corr": "correlation",
}
_BLOCK_BYTES = 2.5e8
_SMALLEST_GROUP = 4  # what CKA needs


@dataclass(frozen=True)
class Comparison:
    """What one method finds between two activations.

    Attributes
    ----------
    method : str
        Canonical name, see `canonical_method`.
    n : int
        Number of images.
    value : float or None
        The number; NaN where it is undefined. None for a correlation matrix. Of a fitted matrix, the mean squared
        error that it leaves.
    status : str
        ``ok``, or why the value is missing.
    rank : int or None
        Bound on the rank of the matrix, of ``reduced_rank``.
    weight : Tensor, shape (channels of the second, channels of the first), float64, or None
    bias : Tensor, shape (channels of the second,), float64, or None
    """

    method: str
    n: int
    value: float | None = None
    status: str = "ok"
    rank: int | None = None
    weight: Tensor | None = field(default=None, repr=False)
    bias: Tensor | None = field(default=None, repr=False)


def method_names() -> list[str]:
    """Return the names of all methods: the paper's, then netalike's measures that are not among them."""
    own = [name for name in measures.names() if name not in VALUES]
    return [*VALUES, *MATRICES, *own]


def canonical_method(name: str, also: Sequence[str] = ()) -> str:
    """Return the one name of a method.

    Parameters
    ----------
    name : str
        The paper's measures as published (``cka``, ``cca``, ``lr``, ``l2``), its fits (``least_squares``,
        ``orthogonal``, ``reduced_rank``, ``correlation``), their old names (``ps_inv``, ``ls_orth``, ``ls_sum``,
        ``corr``, ``cka_torch``, ``cca_torch``, ``lr_torch``), or a measure of netalike: a quantity
        (``procrustes``, ``svcca``), or ``quantity/estimator`` (``cka/unbiased``, ``cca/mean_squared``).
    also : sequence of str
        What else the caller understands, for the message.

    Raises
    ------
    UnknownNameError
        With the nearest name.
    """
    known = _OLD.get(name, name)
    if known in VALUES or known in MATRICES:
        return known
    estimators = [measure.key for measure in measures.all_measures()]
    if known in measures.names() or known in estimators:
        return measures.measure(known).key
    raise unknown_name("method of comparison", name, [*method_names(), *estimators, *_OLD, *also])


def compare(
    front_model: nn.Module,
    end_model: nn.Module,
    layer_a: str,
    layer_b: str,
    images: ImageSet,
    methods: Sequence[str],
    group_at: int | None = None,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    resize: bool = False,
    progress: bool | None = None,
) -> list[Comparison]:
    """Compare a layer of one network with a layer of another.

    Parameters
    ----------
    front_model, end_model : nn.Module
        May be one and the same.
    layer_a, layer_b : str
        Exact names of layers of the first and of the second.
    images : ImageSet
        n images, in order, under the test transform.
    methods : sequence of str
        See `canonical_method`.
    group_at : int, optional
        Images per group. A number is the mean over groups, each weighted by its images; a matrix and ``l2`` are of all
        images, whatever the groups. All images in one group unless given. A last group of fewer than 4 images joins
        the one before it.
    batch_size : int
        Images per forward pass.
    device : str or torch.device
    resize : bool
        Resize the first activation to the second's height and width (bilinear) where they differ and a method needs
        equal ones.
    progress : bool, optional
        None shows a bar on a terminal.

    Returns
    -------
    list of Comparison
        In the order of `methods`; ``reduced_rank`` gives one for each rank.

    Raises
    ------
    UnknownNameError
        For a layer or a method that does not exist.
    ShapeError
        If the shapes do not fit a method, both shapes being named.

    Notes
    -----
    Formulas as in the published code: ``cka`` is biased linear CKA of (n, C H W) matrices, ``cca`` is
    ``|Q2' Q1|^2 / columns(Q1)`` of thin QR factors without centring, ``lr`` is ``|Q2' X1|^2 / |X1|^2`` (both 1 where
    the second has at least n units), ``l2`` the mean squared difference. The fits take channels as columns and all
    positions of all images as rows. Memory: the activations of one group, 4 bytes a unit and image, unless only ``l2``
    and fits are asked for, which keep one batch.
    """
    front_model.to(device)
    end_model.to(device)

    def pair(inputs: Tensor) -> tuple[Tensor, Tensor]:
        return _output(front_model, layer_a, inputs), _output(end_model, layer_b, inputs)

    return compare_activations(pair, images, methods, group_at, batch_size, device, resize, progress)


def compare_stitched(
    front: Split,
    end: Split,
    layer: StitchingLayer,
    images: ImageSet,
    methods: Sequence[str],
    at: str | None = None,
    group_at: int | None = None,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    resize: bool = False,
    progress: bool | None = None,
) -> list[Comparison]:
    """Compare what a stitched network computes at a layer with what its end network computes there by itself.

    Parameters
    ----------
    front, end : Split
        Of the two networks, at the stitched layers.
    layer : StitchingLayer
    images : ImageSet
    methods : sequence of str
    at : str, optional
        A layer of the end network after the stitch; the stitched layer itself unless given.
    group_at, batch_size, device, progress
        As in `compare`.
    resize : bool
        Whether the stitch resizes the front activation.

    Returns
    -------
    list of Comparison
        The stitched activation is the first of the two.

    Raises
    ------
    UnknownNameError
        If the end network has no such layer.
    NetalikeError
        If the layer does not come after the stitch.
    """
    for module in (front.model, end.model, layer):
        module.to(device)
    shape = end.shape(images.inputs(0, 1).to(device))

    def stitched(inputs: Tensor) -> Tensor:
        activation = front.head(inputs)
        mapped: Tensor = layer(resized(activation, shape) if resize else activation)
        return mapped

    def pair(inputs: Tensor) -> tuple[Tensor, Tensor]:
        if at is None or at == end.layer:
            return stitched(inputs), end.head(inputs)
        with _seen(end.model, at) as outputs:
            end.tail(stitched(inputs))
            end.tail(end.head(inputs))
        if len(outputs) != 2:  # what lies before the stitch runs in the head of the end network alone
            raise NetalikeError(f"layer {at!r} does not come after the stitch at {end.layer!r}: name a later layer.")
        return outputs[0], outputs[1]

    with eval_mode(layer), torch.no_grad():
        return compare_activations(pair, images, methods, group_at, batch_size, device, progress=progress)


def compare_activations(
    pair: Pair,
    images: ImageSet,
    methods: Sequence[str],
    group_at: int | None = None,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    resize: bool = False,
    progress: bool | None = None,
) -> list[Comparison]:
    """Compare any two activations of the same images; parameters as in `compare`.

    Parameters
    ----------
    pair : callable
        See `Pair`.
    images, methods, group_at, batch_size, device, resize, progress
        As in `compare`.

    Returns
    -------
    list of Comparison
    """
    names = list(dict.fromkeys(canonical_method(name) for name in methods))
    if not names:
        raise NetalikeError(f"no method of comparison was named: expected some of {', '.join(method_names())}.")
    groups = list(_groups(len(images), group_at))
    streams = _Streams(names, resize)
    wholes = [name for name in names if name not in MATRICES and name != "l2"]
    found: dict[str, list[tuple[int, float, str]]] = {name: [] for name in wholes}
    with progress_bar(range(0), "comparing", len(images), progress, unit="image") as bar:
        for group in groups:
            kept = _Kept(len(group)) if wholes else None
            for start in range(group.start, group.stop, batch_size):
                stop = min(start + batch_size, group.stop)
                x, y = (part.detach() for part in pair(images.inputs(start, stop).to(device)))
                streams.update(x, y)
                if kept is not None:
                    kept.add(x, y)
                bar.update(stop - start)
            for name in wholes:
                assert kept is not None
                inputs = images.inputs(group.start, group.stop) if _needs_inputs(name) else None
                found[name].append((len(group), *_value(name, kept.x, kept.y, inputs)))
    return [c for name in names for c in (_mean(name, found[name]) if name in found else streams.result(name))]


def _groups(n: int, group_at: int | None) -> Iterator[range]:
    if group_at is not None and group_at < _SMALLEST_GROUP:
        raise NetalikeError(f"groups need at least {_SMALLEST_GROUP} images, got group_at={group_at}.")
    size = min(group_at or n, n)
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] < _SMALLEST_GROUP:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        yield range(start, stop)


def _output(model: nn.Module, layer: str, inputs: Tensor) -> Tensor:
    found: list[Tensor] = []
    with Recorder(model, [layer], lambda _, output: found.append(output.clone())) as recorder:
        recorder.forward(inputs)
    return found[0]


@contextmanager
def _seen(model: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collect what a layer returns inside the block; nothing stays hooked."""
    modules = dict(model.named_modules())
    if layer not in modules:
        raise unknown_name(
            f"layer of {type(model).__name__}",
            layer,
            [name for name in modules if name],
            "`netalike layers` lists them.",
        )
    outputs: list[Tensor] = []
    handle = modules[layer].register_forward_hook(lambda _module, _inputs, output: outputs.append(output.clone()))
    try:
        yield outputs
    finally:
        handle.remove()


class _Kept:
    """The activations of one group, one row per image."""

    def __init__(self, n: int) -> None:
        self._n, self._filled = n, 0
        self.x = self.y = torch.empty(0)

    def add(self, x: Tensor, y: Tensor) -> None:
        x, y = flatten(x).float().cpu(), flatten(y).float().cpu()
        if not self._filled:
            self.x, self.y = x.new_empty(self._n, x.shape[1]), y.new_empty(self._n, y.shape[1])
        rows = slice(self._filled, self._filled + len(x))
        self.x[rows], self.y[rows] = x, y
        self._filled += len(x)


class _Streams:
    """What needs one batch at a time: the normal equations of the fits, and the squared difference."""

    def __init__(self, names: Sequence[str], resize: bool) -> None:
        self._resize = resize
        self._fits = any(name in MATRICES for name in names)
        self._differs = "l2" in names
        self._equations = NormalEquations()
        self._squares, self._units, self._n = 0.0, 0, 0

    def update(self, x: Tensor, y: Tensor) -> None:
        self._n += len(x)
        if not (self._fits or self._differs):
            return
        check_shapes(tuple(x.shape[1:]), tuple(y.shape[1:]), self._resize)
        x = resized(x, tuple(y.shape[1:]))
        if self._fits:
            self._equations.update(x, y)
        if self._differs:
            if x.shape != y.shape:
                raise ShapeError(
                    f"l2 needs activations of one shape, got {tuple(x.shape[1:])} and {tuple(y.shape[1:])}."
                )
            self._squares += float((x.double() - y.double()).square().sum())
            self._units += x.numel()

    def result(self, name: str) -> list[Comparison]:
        if name == "l2":
            return [Comparison(name, self._n, self._squares / self._units)]
        if name == "correlation":
            return [Comparison(name, self._n, weight=self._equations.correlation())]
        if name == "least_squares":
            return [self._fit(name, *self._equations.affine())]
        if name == "orthogonal":
            return [self._fit(name, *_with_bias(self._equations.procrustes()))]
        full = min(self._equations.affine()[0].shape)
        ranks = [rank for rank in RANKS if rank < full] + [full]
        fits = [_with_bias(self._equations.reduced_rank(rank, affine=False)) for rank in ranks]
        return [self._fit(name, *fit, rank=rank) for rank, fit in zip(ranks, fits, strict=True)]

    def _fit(self, name: str, weight: Tensor, bias: Tensor, rank: int | None = None) -> Comparison:
        return Comparison(name, self._n, self._equations.mse(weight, bias), rank=rank, weight=weight, bias=bias)


def _with_bias(fit: Any) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a fit that may come without a bias."""
    if isinstance(fit, Tensor):
        return fit, fit.new_zeros(len(fit))
    weight, bias = fit
    return weight, weight.new_zeros(len(weight)) if bias is None else bias


def _needs_inputs(name: str) -> bool:
    return name not in VALUES and measures.measure(name).needs_inputs


def _value(name: str, x: Tensor, y: Tensor, inputs: Tensor | None) -> tuple[float, str]:
    own = {"cka": _biased_cka, "cca": published_cca, "lr": published_lr}
    try:
        if name in own:
            return own[name](x, y), "ok"
        return _registered(measures.measure(name), x, y, inputs), "ok"
    except UndefinedMeasureError as error:
        return float("nan"), error.status


def _registered(measure: Measure, x: Tensor, y: Tensor, inputs: Tensor | None) -> float:
    return measure(x, y, inputs) if measure.needs_inputs else measure(x, y)


def _mean(name: str, groups: Sequence[tuple[int, float, str]]) -> list[Comparison]:
    """Weight each group by its images, so that a short last group counts for what it is (B17)."""
    n = sum(size for size, _, _ in groups)
    value = sum(size * value for size, value, _ in groups) / n
    reasons = [status for _, _, status in groups if status != "ok"]
    return [Comparison(name, n, value, reasons[0] if reasons else "ok")]


def _biased_cka(x: Tensor, y: Tensor) -> float:
    """Biased linear CKA, in blocks of Gram matrices that never exist as a whole."""
    features = [_centred(part) for part in (x, y)]
    size = block_size(len(x), 2, x.shape[1] + y.shape[1], 125, _BLOCK_BYTES)
    whole = WholeSetCKA(2)
    for rows, columns in block_pairs(len(x), size):
        whole.update(torch.stack([part[rows] @ part[columns].T for part in features]), diagonal=rows == columns)
    return float(whole.result()[0, 1])


def _centred(x: Tensor) -> Tensor:
    centred = x - x.mean(0, dtype=torch.float64).float()
    if not torch.linalg.norm(centred) > 1e-6 * torch.linalg.norm(x):
        raise UndefinedMeasureError("zero variance over the samples")
    return centred


def published_cca(x: Tensor, y: Tensor) -> float:
    """CCA as the stitching paper's code computes it: ``|Q2' Q1|^2 / columns(Q1)``, without centring.

    Parameters
    ----------
    x : Tensor, shape (n, p)
    y : Tensor, shape (n, q)

    Returns
    -------
    float
        In [0, 1]; 1 whatever y is where q >= n. ``cca/mean_squared`` of netalike's measures is centred, and refuses
        that case.

    Notes
    -----
    Q1 and Q2 are thin QR factors. A factor with n columns is a basis of everything and is not computed.
    """
    n, p, q = len(x), x.shape[1], y.shape[1]
    if p >= n or q >= n:
        return min(n, q) / n if p >= n else 1.0
    return float((_basis(y).T @ _basis(x)).square().sum() / p)


def published_lr(x: Tensor, y: Tensor) -> float:
    """Share of x that y explains linearly, as the stitching paper's code computes it: ``|Q2' X1|^2 / |X1|^2``.

    Parameters
    ----------
    x : Tensor, shape (n, p)
    y : Tensor, shape (n, q)

    Returns
    -------
    float
        In [0, 1]; 1 whatever y is where q >= n. ``linear_regression/r2`` of netalike's measures is centred.
    """
    total = x.double().square().sum()
    if not total > 0:
        raise UndefinedMeasureError("the first representation is zero")
    if y.shape[1] >= len(x):
        return 1.0
    return float((_basis(y).T @ x.double()).square().sum() / total)


def _basis(x: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(x.double()).Q
    return basis
