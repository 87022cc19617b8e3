"""A training step of a stitch beside two whole networks with hooks, and the memory of least squares.

    python benchmarks/stitching.py [--threads 2] [--steps 8] [--repeats 5]

Two Tiny10 networks, batches of 128, the eight batch-norm layers.  The peer is the way of the published code, written
plainly here: both networks run in full, a hook keeps the front activation, another puts the stitching layer's output
in the place of the end network's.  Both ways get the same images, labels and augmentation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from pairing import Row, difference, paired, write
from torch import Tensor, nn
from torch.nn import functional

from netalike import data, networks
from netalike.data import ImageSet
from netalike.data.registry import specification
from netalike.stitching.least_squares import fit
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import split
from netalike.stitching.training import Batch, Pair, frozen, objective, record
from netalike.stitching.transform import StitchingLayer

BATCH, SEED = 128, 0
LAYERS = [f"bn{n}" for n in range(1, 9)]
CPU = torch.device("cpu")
MEMORY_IMAGES, MEMORY_LIMIT = 10_000, 500  # MB
STATUS = Path("/proc/self/status")
_MEMORY_ONLY = "--only-least-squares"

Step = Callable[[], object]


def two_networks() -> list[nn.Module]:
    """The stitching authors' networks; without a mirror, untrained ones of the same kind."""
    mirror = os.environ.get("NETALIKE_MIRROR")
    if mirror is None:
        print("no mirror (NETALIKE_MIRROR): untrained networks on random images", file=sys.stderr)
        return [networks.build("tiny10", seed=seed).eval() for seed in range(2)]
    files = [f"{mirror}/networks/tiny10/in{seed}-gn{seed}.pt" for seed in range(2)]
    return [networks.load(file, "tiny10")[0].eval() for file in files]


def training_images(count: int) -> ImageSet:
    """CIFAR-10; without a mirror, random images of its size."""
    mirror = os.environ.get("NETALIKE_MIRROR")
    if mirror is not None:
        return data.load("cifar10", "train", mirror, limit=count)
    generator = torch.Generator().manual_seed(SEED)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (count,), generator=generator)
    spec = replace(specification("cifar10"), name="random")
    return ImageSet("random", "train", pixels, labels, spec.classes, np.arange(count), spec)


def stitching_layer(model: nn.Module, name: str) -> StitchingLayer:
    channels = model.get_submodule(name).num_features
    return StitchingLayer((channels, 1, 1), (channels, 1, 1), generator=torch.Generator().manual_seed(SEED))


def adam(layer: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(layer.parameters(), 1e-3, foreach=True)


def drawn(images: ImageSet, augment: bool) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(SEED)
    return data.training_batches(images, BATCH, generator, augment)


@contextmanager
def hooked(models: list[nn.Module], name: str, layer: nn.Module) -> Iterator[nn.Module]:
    """The published way: the stitched network is the end network, with hooks on both."""
    front, end = models
    kept: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        kept["activation"] = output

    def replaced(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        mapped: Tensor = layer(kept["activation"])
        return mapped

    handles = [front.get_submodule(name).register_forward_hook(keep)]
    handles.append(end.get_submodule(name).register_forward_hook(replaced))
    for model in models:
        model.requires_grad_(False)
    try:
        yield end
    finally:
        for handle in handles:
            handle.remove()


def whole_network_steps(
    models: list[nn.Module], name: str, layer: StitchingLayer, batches: Iterator[tuple[Tensor, Tensor]]
) -> None:
    optimizer = adam(layer)
    with hooked(models, name, layer) as end:
        for inputs, labels in batches:
            optimizer.zero_grad(set_to_none=True)
            models[0](inputs)
            functional.cross_entropy(end(inputs), labels).backward()
            optimizer.step()


def our_steps(pair: Pair, layer: StitchingLayer, batches: Iterator[Batch]) -> None:
    optimizer, settings = adam(layer), Settings(batch_size=BATCH)
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        objective(pair, layer, batch, settings)[0].backward()
        optimizer.step()


def at_layer(models: list[nn.Module], name: str, images: ImageSet, repeats: int) -> tuple[Row, Row]:
    """Time both ways at one layer, with and without augmentation."""
    front, end = (split(model, name) for model in models)
    with frozen(front, end, CPU) as layouts:
        pair = Pair(front, end, frozenset(), CPU, layouts)
        recording = record(pair, images, 1e12, BATCH)
        assert recording is not None, "without a limit"

        def kept_batches() -> Iterator[Batch]:
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
            return (recording.batch(rows) for rows in order.split(BATCH))

        def augmented_batches() -> Iterator[Batch]:
            return (pair.look(inputs, labels) for inputs, labels in drawn(images, True))

        def ours(batches: Callable[[], Iterator[Batch]]) -> None:
            our_steps(pair, stitching_layer(models[1], name), batches())

        def theirs(augment: bool) -> None:
            batches = drawn(images, augment)
            whole_network_steps(plain, name, stitching_layer(models[1], name), batches)

        # The peer's networks lie as PyTorch has them: copies, since ours are channels last here.
        plain = [contiguous_copy(model) for model in models]
        steps = len(images) // BATCH
        rows = [
            paired(f"{steps} steps at {name}, {word}", "torch", *timed, asked=asked, repeats=repeats)
            for word, timed, asked in (
                ("augmented", (lambda: ours(augmented_batches), lambda: theirs(True)), 1.5),
                ("not augmented", (lambda: ours(kept_batches), lambda: theirs(False)), None),
            )
        ]
    return rows[0], rows[1]


def contiguous_copy(model: nn.Module) -> nn.Module:
    copy = networks.build("tiny10", seed=0).eval()
    copy.load_state_dict({key: value.contiguous() for key, value in model.state_dict().items()})
    return copy


def gap_in_float64(models: list[nn.Module], images: ImageSet) -> float:
    """Return the largest difference of the weights that both ways end with.

    In float32 either way differs from itself in float64: a unit whose sum is nearly 0 falls on the other side of the
    ReLU, and Adam's step does not depend on how small a gradient is.
    """
    exact = [contiguous_copy(model).double() for model in models]
    gaps = []
    for name in LAYERS:
        ours, theirs = (stitching_layer(models[1], name).double() for _ in range(2))
        front, end = (split(model, name) for model in exact)
        with frozen(front, end, CPU) as layouts:
            pair = Pair(front, end, frozenset(), CPU, layouts)
            our_steps(pair, ours, (pair.look(inputs.double(), labels) for inputs, labels in drawn(images, True)))
        batches = ((inputs.double(), labels) for inputs, labels in drawn(images, True))
        whole_network_steps(exact, name, theirs, batches)
        gaps.append((ours.weight - theirs.weight).abs().max().item())
    return max(gaps)


def mean_of(rows: list[Row], work: str, asked: float) -> Row:
    """Average the times and the ratios over the layers."""
    numbers = {
        name: fmean(getattr(row, name) for row in rows)
        for name in ("ours", "theirs", "ratio_min", "ratio_median", "ratio_max")
    }
    print(f"{work}: mean ratio {numbers['ratio_median']:.3g}, asked {asked}", flush=True)
    return replace(rows[0], work=work, asked=asked, **numbers)


def least_squares_memory() -> list[Row]:
    """Measure the peak memory of least squares in a process of its own: what was loaded before leaves no trace."""
    if not STATUS.exists():
        print("no /proc: the memory of least squares is measured on Linux alone")
        return []
    told = subprocess.run([sys.executable, __file__, _MEMORY_ONLY], check=True, capture_output=True, text=True).stdout
    before, peak = (float(number) for number in told.split())
    work = f"least squares at bn1, {MEMORY_IMAGES} images"
    print(f"{work}: {peak - before:.0f} MB beside {before:.0f} MB of PyTorch, networks and images", flush=True)
    return [memory_row(work, peak - before), memory_row(f"{work}, the whole process", peak)]


def memory_row(work: str, megabytes: float) -> Row:
    ratio = MEMORY_LIMIT / megabytes
    return Row(work, "limit", version("torch"), "memory", "MB", megabytes, MEMORY_LIMIT, ratio, ratio, ratio, asked=1.0)


def only_least_squares() -> None:
    """Print the memory in MB before a fit, and its peak during the fit."""
    torch.set_num_threads(1)
    front, end = (split(model, "bn1") for model in two_networks())
    images = training_images(MEMORY_IMAGES)
    before = megabytes("VmRSS")
    (STATUS.parent / "clear_refs").write_text("5")  # the peak starts anew from here
    fit(front, end, images).affine()
    print(before, megabytes("VmHWM"))


def megabytes(entry: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{entry}:"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(_MEMORY_ONLY, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_least_squares:
        only_least_squares()
        return
    torch.set_num_threads(options.threads)

    models, images = two_networks(), training_images(options.steps * BATCH)
    two_steps = images.take(slice(2 * BATCH))
    augmented, kept = zip(*(at_layer(models, name, images, options.repeats) for name in LAYERS), strict=True)
    rows = [
        *augmented,
        mean_of(list(augmented), "mean over bn1 to bn8, augmented", 1.5),
        *kept,
        mean_of(list(kept), "mean over bn1 to bn8, not augmented", 3.0),
        difference("weights after 2 steps at bn1 to bn8, float64", "torch", gap_in_float64(models, two_steps), 1e-10),
        *least_squares_memory(),
    ]
    write("stitching", rows)


if __name__ == "__main__":
    main()
