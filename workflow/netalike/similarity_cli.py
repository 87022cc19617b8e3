"""`netalike similarity`: how alike the images of a data set are to a network (Charpiat et al. 2019).

Frameworks are imported inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import netalike
from netalike.errors import NetalikeError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from tqdm import tqdm

    from netalike.data import ImageSet
    from netalike.gradients import GradientKernel, LayerProducts, Source
    from netalike.similarity_output import Similarities

_BUILT = ("torchvision:", "file:")  # networks that are built from their name, not loaded from a file of weights
_BATCH = 256
# Of the limit of memory, for the similarities of all pairs: counts and neighbours are made of blocks of rows of it.
_PAIR_SHARE = 0.5


class Outputs(StrEnum):
    """Of which numbers gradients are taken."""

    logits = "logits"
    true_class = "true-class"
    sum = "sum"


class Backend(StrEnum):
    """Where gradients are kept between the passes over the images."""

    streaming = "streaming"
    memory = "memory"
    disk = "disk"


def _complete_architecture(incomplete: str) -> list[str]:
    from netalike.networks.naming import names

    return [name for name in names() if name.startswith(incomplete)]


def _complete_dataset(incomplete: str) -> list[str]:
    from netalike.data import names

    return [name for name in names() if name.startswith(incomplete)]


Network = Annotated[
    str,
    typer.Option(
        "-n",
        "--network",
        metavar="FILE",
        help="Weights: .safetensors with its card, or .pt, .pth, .th; or torchvision:NAME[:WEIGHTS], "
        "file:PATH.py:FUNCTION.",
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option("-a", "--architecture", help="Needed where no card says it.", autocompletion=_complete_architecture),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--dataset",
        help="Name, or folder:PATH.",
        show_default="that of the card",
        autocompletion=_complete_dataset,
    ),
]
OutputsChoice = Annotated[
    Outputs, typer.Option(help="All logits, the logit of each image's own class, or the sum of the logits.")
]
Split = Annotated[str, typer.Option("-t", "--split", help="train or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use the first so many images only.")]
MemoryGb = Annotated[
    float, typer.Option(help="For gradients and similarities, beside the network and the images; more is not used.")
]
BackendChoice = Annotated[
    Backend, typer.Option(help="Where gradients are kept between two passes; streaming computes them anew.")
]
Pairs = Annotated[
    bool,
    typer.Option(help="Compare all pairs where n x n numbers fit in half of the limit: kernel.npy, more counts."),
]
Neighbours = Annotated[int, typer.Option("-k", "--neighbours", min=1, help="Nearest neighbours in the sheet.")]
OutDir = Annotated[Path, typer.Option("-o", "--out-dir", help="Folder of the tables and pictures.")]
Seed = Annotated[int, typer.Option(min=0, help="Of a network that is built with random weights.")]
DataRoot = Annotated[Path, typer.Option("--data", help="Folder of the data sets.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto (a GPU where there is one).")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as PyTorch chooses unless given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the command line."""
    example = "netalike similarity -n weights.safetensors -d mnist --limit 1000 -o similarity --data resources"
    app.command("similarity", epilog=f"Example: {example}")(similarity_command)


def similarity_command(
    network: Network,
    dataset: Dataset = None,
    architecture: Architecture = None,
    outputs: OutputsChoice = Outputs.logits,
    split: Split = "test",
    limit: Limit = None,
    memory_gb: MemoryGb = 1.0,
    backend: BackendChoice = Backend.streaming,
    neighbours: Neighbours = 10,
    pairs: Pairs = True,
    out_dir: OutDir = Path("similarity"),
    seed: Seed = 0,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Find how many similar images each image has to a network, and which: by the gradients of its outputs."""
    _use_threads(threads)
    from netalike import networks, similarity_output

    target = networks.resolve_device(device)
    model, images = open_given(network, architecture, dataset, (split, data_root, limit), seed)
    model.to(target)
    started = time.perf_counter()
    room = _Room(memory_gb, backend, out_dir / "gradients", pairs)
    try:
        found = _analyse(model, images, outputs.value, neighbours, room)
    except KeyboardInterrupt:
        advice = "; the same command goes on from the gradients on disk" if backend is Backend.disk else ""
        typer.echo(f"stopped{advice}.", err=True)
        raise typer.Exit(130) from None
    seconds = time.perf_counter() - started
    asked = {"network": network, "outputs": outputs.value, "backend": backend.value, "memory_gb": memory_gb}
    summary = {
        **asked,
        **similarity_output.facts(found, images),
        "seconds": round(seconds, 2),
        "peak_memory_gb": _peak_gb(),
    }
    summary |= {"command": shlex.join(["netalike", *sys.argv[1:]]), "version": netalike.__version__}
    files = similarity_output.write(out_dir, found, images, _predictions(model, images), summary)
    if as_json:
        typer.echo(json.dumps({"out_dir": str(out_dir), **summary, "files": files}))
    else:
        _print(out_dir, summary, files)


# --- network and images ---------------------------------------------------------------------------------------------


def open_given(
    network: str,
    architecture: str | None,
    dataset: str | None,
    selection: tuple[str, Path, int | None],
    seed: int,
) -> tuple[nn.Module, ImageSet]:
    """Load the network and the images that a command was given.

    Parameters
    ----------
    network : str
        A file of weights, or what `networks.build` takes (``torchvision:...``, ``file:...``).
    architecture, dataset : str or None
        None takes what the card beside the weights says.
    selection : (str, Path, int or None)
        Split, root of the data sets, and how many images at most.
    seed : int
        Of a network that is built with random weights.

    Returns
    -------
    model : nn.Module
        In eval mode.
    images : ImageSet

    Raises
    ------
    NetalikeError
        If the data set or the architecture is not known, or the network does not take such images.
    """
    from netalike import data, networks

    path, is_built = Path(network), network.startswith(_BUILT)
    card = None if is_built or path.suffix != ".safetensors" else networks.read_card(path)
    name = dataset or (card.dataset if card else "")
    if not name and (is_built or path.is_file()):
        raise NetalikeError(f"{network} has no card that says its data set: name it with -d.")
    if is_built and architecture is not None:
        raise NetalikeError(f"{network} says its architecture itself: leave out -a {architecture}.")
    if not name:
        networks.load(path)  # says that there is no such file
    images = data.load(name, *selection)
    size = int(images.inputs(0, 1).shape[1]), len(images.classes)
    if is_built:
        model = networks.build(network, *size, seed).eval()
    else:
        model, _ = networks.load(path, architecture, *(size if card is None else (None, None)))
    _check_images(model, images, network)
    return model, images


def _check_images(model: nn.Module, images: ImageSet, network: str) -> None:
    """Refuse images that the network does not take, before anything is computed."""
    import torch

    first = images.inputs(0, 1)
    try:
        with torch.no_grad():
            model(first)
    except RuntimeError as error:
        raise ShapeError(
            f"{network} does not take the images of {images.name}, {' x '.join(map(str, first.shape[1:]))} "
            f"({str(error).splitlines()[0]}): choose another data set with -d."
        ) from error


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _predictions(model: nn.Module, images: ImageSet) -> list[str]:
    """Name the class with the largest logit of each image; its number where the data set has no such class."""
    import torch

    from netalike.data import batches

    found: list[int] = []
    device = next(model.parameters()).device
    with torch.no_grad():
        for inputs, _ in batches(images, _BATCH):
            found += model(inputs.to(device)).flatten(1).argmax(1).tolist()
    return [images.classes[i] if i < len(images.classes) else str(i) for i in found]


# --- what is found --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Room:
    """How much memory there is, and where gradients are kept."""

    memory_gb: float
    backend: Backend
    folder: Path
    pairs: bool

    def holds_pairs(self, n: int) -> bool:
        """Whether the similarity of all pairs fits."""
        share = _PAIR_SHARE / 2 if self.backend is Backend.memory else _PAIR_SHARE  # half is for the gradients there
        return self.pairs and 4 * n**2 <= share * self.memory_gb * 1e9

    def check(self, products: LayerProducts) -> None:
        """Refuse before the start what will not fit."""
        needed = 4 * products.n * products.p * products.d / 1e9
        if self.backend is Backend.memory and needed > self.memory_gb / 2:
            raise NetalikeError(
                f"the gradients of {products.n:,} images, {products.p:,} parameters and {products.d} outputs take "
                f"{needed:.3g} GB, more than half of the limit of {self.memory_gb:g} GB: use --backend streaming (or "
                f"disk), fewer images (--limit), or --memory-gb {2 * needed:.3g}."
            )
        if self.backend is Backend.disk:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free / 1e9
            if needed > 0.95 * free:
                raise NetalikeError(
                    f"the gradients take {needed:.3g} GB on disk, and {self.folder} has {free:.3g} GB left: use "
                    "--backend streaming, or another folder (-o)."
                )


def _analyse(model: nn.Module, images: ImageSet, outputs: str, k: int, room: _Room) -> Similarities:
    import numpy as np

    from netalike.gradients.counts import nearest_columns
    from netalike.plots.input_similarity import representatives
    from netalike.similarity_output import BINS, Similarities

    source, p = _source(model, images, outputs, room)
    matrix = _pairs(source, p, room) if room.holds_pairs(source.n) else None
    counts = _soft_counts(source) if matrix is None else matrix.sum(1, dtype=np.float64)
    chosen = representatives(counts, np.histogram(counts, BINS)[1])
    sources = [position for position in chosen if position is not None]
    rows = source.similarities_to(sources) if matrix is None else matrix[sources]
    k = min(k, source.n - 1)
    near = nearest_columns(rows, k, np.array(sources)) if k else (np.zeros((len(sources), 0), np.int64), rows[:, :0])
    if room.backend is Backend.disk:
        shutil.rmtree(room.folder)
    return Similarities(p, source.d, counts, sources, rows, *near, matrix)


def _source(model: nn.Module, images: ImageSet, outputs: str, room: _Room) -> tuple[GradientKernel | Source, int]:
    """Make the gradients available in the way that was asked for; show how far that is."""
    from netalike import gradients
    from netalike.progress import progress

    if room.backend is Backend.streaming:
        kernel = gradients.gradient_kernel(model, images, outputs, memory_gb=room.memory_gb)
        return kernel, kernel.p
    products = gradients.LayerProducts(model, images, outputs)
    room.check(products)
    size = products.chunk(room.memory_gb / 4)

    def blocks(first: int) -> Iterator[Tensor]:
        bar: tqdm[None]
        with progress([], "gradients", total=products.n, shown=None, begun=first, unit="image") as bar:
            for start in range(first, products.n, size):
                block = products.gradients(start, min(start + size, products.n))
                yield block
                bar.update(len(block))

    if room.backend is Backend.memory:
        return gradients.MemorySource.of_blocks(blocks(0), products.n), products.p
    return gradients.DiskSource.write(room.folder, blocks, products.fingerprint()), products.p


def _soft_counts(source: GradientKernel | Source) -> NDArray[np.floating]:
    counts = source.soft_counts
    return counts() if callable(counts) else counts


def _pairs(source: GradientKernel | Source, p: int, room: _Room) -> NDArray[np.floating]:
    """Compare all pairs, (n, n) in float32."""
    import numpy as np

    from netalike.progress import progress

    if room.backend is Backend.streaming:
        return np.asarray(source.kernel, np.float32)  # type: ignore[union-attr]  # a GradientKernel
    matrix = np.empty((source.n, source.n), np.float32)
    size = max(1, int(room.memory_gb / 8 * 1e9 / (4 * p * source.d)))  # they are copied once
    for start in progress(range(0, source.n, size), "kernel", shown=None, unit="block"):
        rows = np.arange(start, min(start + size, source.n))
        matrix[rows] = source.similarities_to(rows)
    return matrix


def _peak_gb() -> float | None:
    """Return the most memory that the process held so far, in GB; None where the system does not say."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 3)


def _print(folder: Path, summary: Mapping[str, Any], files: list[str]) -> None:
    said = f"{summary['n']:,} images of {summary['dataset']} ({summary['split']})"
    d = summary["n_outputs"]
    outputs = f"{d} output{'s' * (d != 1)} ({summary['outputs']})"
    typer.echo(f"{said}: {summary['parameters']:,} parameters, {outputs}")
    spread = ", ".join(f"{name} {value:.1f}" for name, value in summary["soft_count"].items())
    typer.echo(f"soft count of neighbours, the image itself included: mean {summary['mean_soft_count']:.1f}; {spread}")
    for name, value in summary.get("mean_similarity", {}).items():
        typer.echo(f"mean similarity, {name.replace('_', ' ')}: {'undefined' if value is None else f'{value:.3f}'}")
    if summary["zero_gradients"]:
        typer.echo(f"{summary['zero_gradients']:,} images have a zero gradient: similar to nothing, count 0")
    typer.echo(f"{summary['seconds']:.1f} s; written to {folder}: {', '.join(files)}")
