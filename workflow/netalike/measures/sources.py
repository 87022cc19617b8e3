"""What can be compared in a panel: networks on images, and the controls made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from netalike.activations import Recorder
from netalike.data import ImageSet
from netalike.measures.gram import centred_gram, flatten, flatten_in_memory_order
from netalike.measures.layer_grams import LayerGrams

NOISE = "noise"
NOISE_WIDTH = 1024
_FORWARD_BATCH = 125  # images per forward pass within a block: the features stay in the cache


class Source(Protocol):
    """Representations of a fixed set of samples, one per layer."""

    name: str
    layers: list[str]

    def grams(self, start: int, stop: int) -> Tensor:
        """Centred Gram matrices of a batch, shape (layers, n, n); remembers the feature means on the way."""
        ...

    def blocks(self, rows: slice, columns: slice, dtype: torch.dtype) -> list[Tensor]:
        """Blocks of the Gram matrices centred over the whole set, one of shape (rows, columns) per layer."""
        ...

    def units(self) -> int:
        """Summed width of the layers; known after the first batch."""
        ...


class NetworkSource:
    """The layers of a network on images.

    Parameters
    ----------
    name : str
        The network's id in the measurement table.
    model : nn.Module
    layers : sequence of str
        Exact names.
    images : ImageSet
    device : str or torch.device
    """

    def __init__(
        self, name: str, model: nn.Module, layers: Sequence[str], images: ImageSet, device: str | torch.device = "cpu"
    ) -> None:
        self.name, self.layers = name, list(layers)
        self._model, self._images, self._device = model.to(device), images, device
        self._grams = LayerGrams(self._model, self.layers, precise=True)
        self._sums: dict[str, Tensor] = {}
        self._counted = 0

    def grams(self, start: int, stop: int) -> Tensor:
        """Run one batch; see `Source.grams`."""
        is_new = start == self._counted  # each sample counts once, however often a batch is asked for

        def add(layer: str, features: Tensor) -> None:
            self._sums[layer] = self._sums.get(layer, torch.zeros(())) + features.sum(0, dtype=torch.float64)

        grams = self._grams(self._inputs(start, stop), add if is_new else None)
        self._counted = max(self._counted, stop)
        return grams.cpu()

    def blocks(self, rows: slice, columns: slice, dtype: torch.dtype) -> list[Tensor]:
        """Run the rows' and the columns' images; see `Source.blocks`."""
        left = self._centred(rows, dtype)
        right = left if rows == columns else self._centred(columns, dtype)
        return [torch.mm(left[layer], right[layer].T).cpu() for layer in self.layers]

    def units(self) -> int:
        """Summed width of the layers."""
        return sum(len(total) for total in self._sums.values())

    def _centred(self, samples: slice, dtype: torch.dtype) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        first = samples.start

        def consume(layer: str, output: Tensor) -> None:
            part = flatten_in_memory_order(output)
            mean = (self._sums[layer] / self._counted).to(part.dtype)
            if layer not in features:
                features[layer] = part.new_empty(samples.stop - samples.start, part.shape[1], dtype=dtype)
            features[layer][first - samples.start : first - samples.start + len(part)] = part - mean

        with Recorder(self._model, self.layers, consume) as recorder:
            for first in range(samples.start, samples.stop, _FORWARD_BATCH):
                stop = min(first + _FORWARD_BATCH, samples.stop)
                recorder.forward(self._inputs(first, stop))
        return features

    def _inputs(self, start: int, stop: int) -> Tensor:
        # channels last: convolutions on a CPU take two thirds of the time
        return self._images.inputs(start, stop).to(self._device, memory_format=torch.channels_last)


class MatrixSource:
    """One representation given as a matrix: the inputs, or noise.

    Parameters
    ----------
    name, layer : str
    features : Tensor, shape (n, p)
        Kept as the attribute of this name.
    """

    def __init__(self, name: str, layer: str, features: Tensor) -> None:
        self.name, self.layers = name, [layer]
        self.features = flatten(features)

    def grams(self, start: int, stop: int) -> Tensor:
        """See `Source.grams`."""
        return centred_gram(self.features[start:stop])[None]

    def blocks(self, rows: slice, columns: slice, dtype: torch.dtype) -> list[Tensor]:
        """See `Source.blocks`."""
        centred = (self.features - self.features.mean(0)).to(dtype)
        return [torch.mm(centred[rows], centred[columns].T)]

    def units(self) -> int:
        """Width of the matrix."""
        return self.features.shape[1]


def noise(samples: int, seed: int, width: int = NOISE_WIDTH) -> MatrixSource:
    """Make the control that knows nothing of the images: independent standard normal features.

    Parameters
    ----------
    samples : int
    seed : int
    width : int
        Large beside a batch, so that the bias of the biased estimators shows.

    Returns
    -------
    MatrixSource
        Named ``noise``.
    """
    generator = torch.Generator().manual_seed(seed)
    return MatrixSource(NOISE, NOISE, torch.randn(samples, width, generator=generator))


def batch_permutation(samples: int, batch_size: int, seed: int) -> Tensor:
    """Permute the samples within each batch, so that no batch exchanges samples with another.

    Parameters
    ----------
    samples, batch_size, seed : int

    Returns
    -------
    Tensor, shape (samples,), int64
    """
    generator = torch.Generator().manual_seed(seed)
    starts = range(0, samples, batch_size)
    sizes = [min(batch_size, samples - start) for start in starts]
    return torch.cat(
        [start + torch.randperm(size, generator=generator) for start, size in zip(starts, sizes, strict=True)]
    )
