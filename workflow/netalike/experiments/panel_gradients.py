"""Whether the same images are alike to two networks: their input-similarity kernels compared.

A network's kernel is the normalised similarity of the gradients of its outputs (Charpiat et al. 2019), Tr(K_ii^(-1/2)
K_ij K_jj^(-1/2)) / d over its d outputs: the trace form. It is n x n whatever the numbers of parameters and outputs, so
that any two networks can be compared, also those of different tasks.

``kernel_correlation/pearson``, ``kernel_correlation/spearman``
    Of the entries off the diagonal, n (n - 1) / 2 pairs of images.
``kernel_cka/biased``, ``kernel_cka/unbiased``
    CKA with the kernels for Gram matrices (Kornblith et al. 2019; Song et al. 2012): centred, diagonal included or left
    out.

Cost: a network with d outputs takes one forward and d backward passes, products of layers (`netalike.gradients`), and
one product of n x (d p) numbers; the kernels of blocks, d^2 / 2 times as dear, are never formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from netalike.comparison import Member
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.evidence.metering import Meter
from netalike.experiments.panel_resampling import (
    Floats,
    Pairs,
    Row,
    metered_networks,
    metered_pairs,
    pair_row,
    related_pairs,
)
from netalike.gradients.high import GradientKernel, gradient_kernel
from netalike.gradients.kernel import similarity
from netalike.gradients.products import similarity_block
from netalike.inversion.resampling import WeightedGram, cka, image_weights, products
from netalike.measures.cka import reason_of
from netalike.measures.gram import double_centre
from netalike.measures.panel import PERMUTED, PERMUTED_UNITS
from netalike.measures.sources import NOISE, batch_permutation, noise
from netalike.networks.running import eval_mode
from netalike.progress import progress as progress_bar

if TYPE_CHECKING:
    from netalike.data import ImageSet

PEARSON, SPEARMAN = "kernel_correlation/pearson", "kernel_correlation/spearman"
BIASED, UNBIASED = "kernel_cka/biased", "kernel_cka/unbiased"
MEASURES = (PEARSON, SPEARMAN, BIASED, UNBIASED)

_N_IMAGES, _MEMORY_GB = 128, 2.5
# Of the memory, for the batch whose gradients are being computed.
_BATCH_SHARE = 0.4
# A variance below this share of the mean square is what rounding leaves of a constant.
_CONSTANT_SHARE = 1e-12
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def gradient_kernels(
    members: Sequence[Member],
    images: ImageSet,
    settings: Mapping[str, Any],
    device: str | torch.device = "cpu",
    progress: bool = True,
    meter: Meter | None = None,
) -> dict[str, Floats]:
    """Compute how alike images are to each network of a panel.

    Parameters
    ----------
    members : sequence of Member
        In eval mode while their gradients are computed; afterwards in their own.
    images : ImageSet
    settings : mapping
        ``n_images`` (the first so many; 128), ``outputs`` (``logits``, all d of them; ``true-class`` and ``sum`` are
        one output each, for about a d-th of the time), ``memory_gb`` (2.5: gradients of all images are held where
        they fit in three fifths of it; else they are computed again and again, several times as slowly).
    device : str or torch.device
    progress : bool
    meter : Meter, optional
        Notes what it costs.

    Returns
    -------
    dict of network to array, float64, shape (n, n)
        Trace of the normalised kernel over d: symmetric, in [-1, 1], 1 on the diagonal (0 for an image whose gradient
        is zero).

    Raises
    ------
    NetalikeError, ShapeError, UnknownNameError
        As `netalike.gradient_kernel`, and the network is named; ``true-class`` of a network of another task, for
        example.

    Notes
    -----
    For n = 128 images of 32 pixels and 10 outputs, on one core: Tiny10 about 1.3 s, for n = 100 ResNet20 about 6 s.
    A kernel does not change when the outputs are scaled, put in another order or rotated.
    """
    some = images.take(slice(0, settings.get("n_images", _N_IMAGES)))
    with metered_networks(meter, MEASURES, len(members)):
        return {
            member.name: _kernel(member, some, settings, device)
            for member in progress_bar(members, "gradient kernels", shown=progress, unit="network")
        }


def _kernel(member: Member, images: ImageSet, settings: Mapping[str, Any], device: str | torch.device) -> Floats:
    outputs, memory_gb = settings.get("outputs", "logits"), settings.get("memory_gb", _MEMORY_GB)
    with eval_mode(member.model):
        try:
            asked = gradient_kernel(member.model, images, outputs, memory_gb=memory_gb, progress=False, device=device)
        except NetalikeError as error:
            raise type(error)(f"gradients of {member.name}: {error}") from error
        found = _of_held(asked, images, outputs) if _can_hold(asked) else asked.kernel
    return np.asarray((found + found.T) / 2, dtype=np.float64)


def _can_hold(kernel: GradientKernel) -> bool:
    """Whether the gradients of all images, as products of layers, fit beside a batch: each is then computed once."""
    held = kernel.products.factors(0, 1).expanded().numbers * kernel.n * 4
    return held <= (1 - _BATCH_SHARE) * kernel.memory_gb * 1e9


def _of_held(kernel: GradientKernel, images: ImageSet, outputs: str) -> Floats:
    chunk = kernel.products.chunk(_BATCH_SHARE * kernel.memory_gb)
    found = similarity_block(kernel.products.model, images, outputs=outputs, chunk=chunk)
    return np.asarray(found.cpu().numpy(), dtype=np.float64)


def noise_kernel(n: int, seed: int) -> Floats:
    """Return the control that knows nothing of the images: the kernel of independent random gradients.

    Parameters
    ----------
    n : int
        Number of images.
    seed : int

    Returns
    -------
    array, float64, shape (n, n)
        Cosines of standard normal gradients of one output and 1024 parameters, the panel's noise features: 1 on the
        diagonal, about 1/32 in size off it. With other numbers of parameters and outputs it would be the same but for
        that scale, to which biased CKA alone responds.
    """
    return np.asarray(similarity(noise(n, seed).features.double().numpy()))


def kernel_rows(
    kernels: Mapping[str, Floats],
    pairs: Pairs,
    panel: Mapping[str, Any],
    n_boot: int = 1000,
    meter: Meter | None = None,
) -> list[Row]:
    """Compare the gradient kernels of networks.

    Parameters
    ----------
    kernels : mapping of network to array, shape (n, n)
        Of trained networks and untrained twins, on the same images: `gradient_kernels`.
    pairs : sequence of (str, str)
        Networks and controls. Of ``ID@permuted_samples`` the rows and columns of the kernel of ID are taken in another
        order; a network with its units in another order has the kernel of ID, unless it has one of its own; for noise
        see `noise_kernel`.
    panel : mapping
        ``members``, ``seed``.
    n_boot : int
        Resamples of the images, the same for all pairs.
    meter : Meter, optional
        Notes what it costs.

    Returns
    -------
    list of dict
        Four measures of each pair, see the top of this module, with 95 % intervals; NaN, and a status, where a kernel
        does not vary.

    Raises
    ------
    ShapeError
        If the kernels are no square matrices of the same images.
    NetalikeError
        If a kernel is not finite, or there are fewer than 4 images.
    UnknownNameError
        If a network of a pair has no kernel.

    Notes
    -----
    A resample draws images with replacement, and pairs of images with them. An image that is drawn twice gives no pair
    with itself: a cell (i, j) off the diagonal has the weight w_i w_j, and there are no others; for CKA see
    `netalike.inversion.resampling.products`. Ranks are of the resample, ties at their middle. O(n_boot n^2) time per
    network and pair: about 7 s for 24 networks, 276 pairs and n = 128.
    """
    related = list(related_pairs(pairs, panel["members"]))
    with metered_pairs(meter, MEASURES, len(related)):
        study = _Study(kernels, related, panel, n_boot)
        return list(study.rows(related))


class _Study:
    """The kernels of a panel, controls included, and the resamples of its images."""

    def __init__(
        self,
        kernels: Mapping[str, Floats],
        related: Sequence[tuple[str, str, str]],
        panel: Mapping[str, Any],
        n_boot: int,
    ) -> None:
        self.n = _number_of_images(kernels)
        self._kernels, self._seed = kernels, panel["seed"]
        self._weights = image_weights(self.n, n_boot, panel["seed"])
        names = dict.fromkeys(name for a, b, _ in related for name in (a, b))
        self._origins = {name: self._origin(name) for name in names}
        self._distinct = {name: self._kernel_of(name) for name in dict.fromkeys(self._origins.values())}
        self._grams = {name: self._weighted(kernel) for name, kernel in self._distinct.items()}
        self._own = {name: products(gram, gram, self._weights) for name, gram in self._grams.items()}

    def rows(self, related: Sequence[tuple[str, str, str]]) -> Iterator[Row]:
        """Yield all measures of each pair."""
        places = {name: place for place, name in enumerate(self._distinct)}
        correlations = _correlations(list(self._distinct.values()), self._weights.numpy()) if places else {}
        for a, b, pair in related:
            x, y = self._origins[a], self._origins[b]
            drawn = {key: values[:, places[x], places[y]] for key, values in correlations.items()}
            drawn |= self._cka(x, y)
            for key in MEASURES:
                yield pair_row(a, b, pair, key, drawn[key], self._reason(key, (a, b)), self.n)

    def _cka(self, x: str, y: str) -> dict[str, Floats]:
        one, other = self._own[x], self._own[y]
        both = one if x == y else products(self._grams[x], self._grams[y], self._weights)
        return {key: _numbers(cka(both, one, other, is_unbiased=key == UNBIASED)) for key in (BIASED, UNBIASED)}

    def _origin(self, name: str) -> str:
        """Return whose kernel it is: of a network with its units in another order, the network's, unless it has one."""
        return name if name in self._kernels else name.removesuffix(PERMUTED_UNITS)

    def _kernel_of(self, name: str) -> Floats:
        if name == NOISE:
            return noise_kernel(self.n, self._seed)
        network = name.removesuffix(PERMUTED)
        if network not in self._kernels:
            advice = (
                "Compute the kernel of every network that is compared: gradient_kernels(members, images, settings)."
            )
            raise unknown_name("network with a gradient kernel", network, self._kernels, advice)
        if name == network:
            return np.asarray(self._kernels[name], dtype=np.float64)
        order = batch_permutation(self.n, self.n, self._seed).numpy()
        return np.asarray(self._kernels[network][np.ix_(order, order)], dtype=np.float64)

    def _weighted(self, kernel: Floats) -> WeightedGram:
        given = torch.from_numpy(kernel)
        gram = double_centre(given)
        if gram.diagonal().sum() <= _CONSTANT_SHARE * self.n * given.abs().max():
            gram.zero_()  # so that what rounding leaves of a constant is no kernel
        return WeightedGram(gram, gram.diagonal().clone(), self._weights @ gram)

    def _reason(self, key: str, names: Sequence[str]) -> str:
        """Say why a measure of two networks has no value, where it has none."""
        for name in names:
            if _is_constant(self._distinct[self._origins[name]]):
                return f"the kernel of {name} is the same for all pairs of images"
        return reason_of("unbiased" if key == UNBIASED else "biased")


def _number_of_images(kernels: Mapping[str, Floats]) -> int:
    """Return n; raise unless all kernels are finite (n, n) matrices."""
    first, n = "", 0
    for name, kernel in kernels.items():
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
            raise ShapeError(f"the kernel of {name} has shape {kernel.shape}, expected (n, n).")
        if not np.isfinite(kernel).all():
            raise NetalikeError(
                f"the kernel of {name} is not finite: look for an overflow in the network or its inputs."
            )
        first, n = (first, n) if first else (name, len(kernel))
        if len(kernel) != n:
            raise ShapeError(f"kernels of different images: {first} has {n}, {name} has {len(kernel)}.")
    if not kernels:
        raise NetalikeError(
            "no gradient kernels were given: expected one per network, as gradient_kernels returns them."
        )
    return n


def _cells(kernel: Floats) -> Floats:
    """Return the entries above the diagonal, shape (n (n - 1) / 2,)."""
    return np.asarray(kernel[np.triu_indices(len(kernel), 1)])


def _is_constant(kernel: Floats) -> bool:
    cells = _cells(kernel)
    return bool(cells.var() <= _CONSTANT_SHARE * np.square(cells).mean())


def _numbers(values: torch.Tensor) -> Floats:
    return np.asarray(values.numpy())


def _correlations(kernels: Sequence[Floats], weights: Floats) -> dict[str, Floats]:
    """Correlate the cells of all kernels in every resample, shape (n_boot + 1, kernels, kernels) by measure."""
    cells = np.stack([_cells(kernel) for kernel in kernels])
    above, below = np.triu_indices(len(kernels[0]), 1)
    ranks = _Ranks(cells)
    shape = (len(weights), len(kernels), len(kernels))
    found = {key: np.empty(shape) for key in (PEARSON, SPEARMAN)}
    for place, drawn in enumerate(progress_bar(weights, "kernels in resamples", shown=None)):
        often = drawn[above] * drawn[below]
        found[PEARSON][place] = _correlation(cells, often)
        found[SPEARMAN][place] = _correlation(ranks(often), often)
    return found


def _correlation(values: Floats, often: Floats) -> Floats:
    """Correlate all rows of (k, m) values, each column with its weight; NaN for a row that does not vary."""
    total = often.sum()
    centred = values - (values @ often / total)[:, None]
    weighted = centred * often
    inner = weighted @ centred.T
    spread = inner.diagonal().copy()
    spread[spread <= _CONSTANT_SHARE * (np.square(values) @ often)] = np.nan
    return np.asarray(np.clip(inner / np.sqrt(np.outer(spread, spread)), -1, 1))


class _Ranks:
    """Ranks of the columns of each row among columns that occur as often as a resample says.

    Parameters
    ----------
    values : array, shape (k, m)
    """

    def __init__(self, values: Floats) -> None:
        self._order = np.argsort(values, axis=1, kind="stable")
        ordered = np.take_along_axis(values, self._order, axis=1)
        ends = [[np.searchsorted(row, of, side) for row, of in zip(ordered, values, strict=True)] for side in _SIDES]
        self._first, self._last = (np.stack(side) for side in ends)

    def __call__(self, often: Floats) -> Floats:
        """Return the ranks, shape (k, m): the middle of the places that a column and its equals take."""
        up_to = np.zeros((len(self._order), len(often) + 1))
        np.cumsum(often[self._order], axis=1, out=up_to[:, 1:])
        places = [np.take_along_axis(up_to, side, axis=1) for side in (self._first, self._last)]
        return np.asarray((places[0] + places[1] + 1) / 2)
