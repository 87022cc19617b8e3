"""Record the layers of a network over a data set, with memory that does not grow with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netalike.data import ImageSet
from netalike.errors import BadFileError, NetalikeError, ShapeError, unknown_name
from netalike.networks import first_tensor

Consumer = Callable[[str, Tensor], None]
INDEX = "index.json"


class Recorder:
    """Hand the outputs of chosen layers to a function, batch by batch.

    A context manager: inside it the model is in eval mode and its layers are hooked; on leaving, also after an error,
    the hooks are gone and the training mode is what it was.

    Parameters
    ----------
    model : nn.Module
    layers : sequence of str
        Exact names of modules (`networks.select_layers` turns patterns into them).
    consume : callable
        Called as ``consume(layer, output)`` while the forward pass runs, so before any in-place operation downstream
        can change the output.  What it does not keep is freed.
    repeats : {"error", "last"}
        What to do if one module runs twice in a forward pass: refuse, since its name does not say which output is
        meant, or hand over each, the last one counting (simtorch's way).

    Raises
    ------
    UnknownNameError
        If a layer does not exist; the nearest name is given.
    NetalikeError
        On a forward pass in which a layer runs twice, not at all, or returns no tensor.
    ShapeError
        If the first axis of a layer's output is not that of the samples.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], consume: Consumer, repeats: str = "error") -> None:
        modules = dict(model.named_modules())
        for layer in layers:
            if layer not in modules:
                names = [name for name in modules if name]
                raise unknown_name(f"layer of {type(model).__name__}", layer, names, "`netalike layers` lists them.")
        self.model, self.layers, self.repeats = model, list(layers), repeats
        self._consume, self._modules = consume, modules
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._seen: set[str] = set()
        self._samples = 0

    def __enter__(self) -> Self:
        self._training = [module for module in self._modules.values() if module.training]
        if self._training:
            self.model.eval()
        for layer in self.layers:
            self._handles.append(self._modules[layer].register_forward_hook(self._hook(layer)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for module in self._training:
            module.training = True

    def forward(self, inputs: Tensor) -> Tensor:
        """Run the model on one batch; `consume` is called once per layer.

        Parameters
        ----------
        inputs : Tensor, shape (n, channels, height, width)

        Returns
        -------
        Tensor
            The model's own output.
        """
        self._seen.clear()
        self._samples = len(inputs)
        with torch.no_grad():
            output: Tensor = self.model(inputs)
        missing = [layer for layer in self.layers if layer not in self._seen]
        if missing:
            raise NetalikeError(f"layer {missing[0]!r} of {type(self.model).__name__} does not run in a forward pass.")
        return output

    def _hook(self, layer: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if layer in self._seen and self.repeats == "error":
                raise NetalikeError(
                    f"layer {layer!r} of {type(self.model).__name__} runs more than once in a forward pass, so its "
                    "name does not say which output is meant; choose the block around it, or the layer after it."
                )
            self._seen.add(layer)
            self._consume(layer, _rows_of(layer, output, self._samples).detach())

        return hook


def _rows_of(layer: str, output: object, samples: int) -> Tensor:
    """The tensor that a layer returns, if its rows are the samples: other rows would be filed under wrong ids."""
    tensor = first_tensor(output)
    if tensor is None:
        raise NetalikeError(f"layer {layer!r} returns {type(output).__name__}, not a tensor; choose a layer inside it.")
    if tensor.shape[:1] != (samples,):
        raise ShapeError(
            f"layer {layer!r} returns a tensor of shape {tuple(tensor.shape)} for {samples} samples: expected "
            f"({samples}, ...), one row per sample; choose a layer before or after it."
        )
    return tensor


class ActivationStore(Mapping[str, NDArray[np.float32]]):
    """Recorded activations: a mapping from layer names to memory-mapped arrays of shape (n, ...).

    Parameters
    ----------
    directory : Path
        What `record` has written.

    Raises
    ------
    BadFileError
        If the folder holds no complete recording.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        index = self.directory / INDEX
        if not index.is_file():
            raise BadFileError(f"no complete recording in {directory}: {INDEX} is missing. Record the layers again.")
        self.index = json.loads(index.read_text())

    def __getitem__(self, layer: str) -> NDArray[np.float32]:
        if layer not in self.index["layers"]:
            raise unknown_name("recorded layer", layer, self.index["layers"])
        stored: NDArray[np.float32] = np.load(
            self.directory / self.index["layers"][layer], mmap_mode="r", allow_pickle=False
        )
        return stored

    def __iter__(self) -> Iterator[str]:
        return iter(self.index["layers"])

    def __len__(self) -> int:
        return len(self.index["layers"])


def record(
    model: nn.Module,
    images: ImageSet,
    layers: Sequence[str],
    directory: Path,
    batch_size: int = 128,
    device: str | torch.device = "cpu",
) -> ActivationStore:
    """Record layers of a network over a set of images into memory-mapped files.

    Parameters
    ----------
    model : nn.Module
        Put into eval mode while it runs; no gradients.
    images : ImageSet
        n images; row i of every file belongs to ``images.ids[i]``.
    layers : sequence of str
        Exact layer names.
    directory : Path
        Gets one ``.npy`` per layer, shape (n, ...) float32, and, last of all, ``index.json``.
    batch_size : int
    device : str or torch.device

    Returns
    -------
    ActivationStore

    Notes
    -----
    Memory: one batch of the network and of its recorded layers, whatever the number of images.  Disk: 4 bytes a unit
    and image.  A recording that was cut off has no index and is refused by `ActivationStore`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / INDEX).unlink(missing_ok=True)
    files = {layer: f"{number:03d}.npy" for number, layer in enumerate(layers)}
    stores: dict[str, np.memmap] = {}
    start = 0

    def write(layer: str, output: Tensor) -> None:
        if layer not in stores:
            shape = (len(images), *output.shape[1:])
            stores[layer] = np.lib.format.open_memmap(directory / files[layer], "w+", np.float32, shape)
        stores[layer][start : start + len(output)] = output.float().cpu().numpy()

    model = model.to(device)
    with Recorder(model, layers, write) as recorder:
        for start in range(0, len(images), batch_size):
            recorder.forward(images.inputs(start, min(start + batch_size, len(images))).to(device))
    for store in stores.values():
        store.flush()
    index = {"layers": files, "dataset": images.name, "split": images.split, "ids": images.ids.tolist()}
    (directory / INDEX).write_text(json.dumps(index))
    return ActivationStore(directory)
