"""`netalike invert`: images that a network represents as it represents others (Jones et al. 2022).

Frameworks are imported inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import netalike
from netalike.cli_options import (
    AsJson,
    DataRoot,
    Device,
    Limit,
    Threads,
    complete,
    device_of,
    in_digits,
    print_json,
    refuse_a_file,
    use_threads,
)
from netalike.errors import NetalikeError
from netalike.similarity_cli import open_given as open_network

if TYPE_CHECKING:
    from torch import nn

    from netalike.data import ImageSet
    from netalike.inversion import Inversion
    from netalike.inversion_output import GivenPairs

UNFINISHED = "unfinished.safetensors"
_TOLERANCE = 1e-3
_NAMED = 8


class Seeds(StrEnum):
    """What an inversion starts from."""

    other_class = "other-class"
    noise = "noise"
    same_class = "same-class"


class Mode(StrEnum):
    """How pixels are moved."""

    published = "published"
    fast = "fast"


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
    typer.Option("-a", "--architecture", help="Needed where no card says it.", autocompletion=complete("architecture")),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--dataset",
        help="Name, or folder:PATH.",
        show_default="that of the card",
        autocompletion=complete("dataset"),
    ),
]
Split = Annotated[str, typer.Option("-t", "--split", help="train or test.")]
Pairs = Annotated[int, typer.Option("-p", "--pairs", min=1, help="Target images, each with a seed image.")]
SeedsChoice = Annotated[
    Seeds,
    typer.Option("--seeds", help="Start from an image of another class (published), noise, or one of the same class."),
]
Layer = Annotated[
    str | None,
    typer.Option(
        "-l",
        "--layer",
        help="Its output is inverted; input:NAME is what goes into it.",
        show_default="the input of the last linear layer",
    ),
]
ModeChoice = Annotated[
    Mode, typer.Option(help="The exact published steps; or about a third as many of another optimiser.")
]
Iterations = Annotated[int, typer.Option(min=1, help="Of the published algorithm.")]
StepSize = Annotated[
    float, typer.Option(help="Longest published step, L2 norm of pixels in [0, 1]; fast ones grow and shrink with it.")
]
Tolerance = Annotated[
    float | None,
    typer.Option(help="Relative loss at which fast mode is done with an image.", show_default=f"{_TOLERANCE:g}"),
]
InversionBatch = Annotated[int, typer.Option("-b", "--batch-size", min=1, help="Pairs at a time.")]
OutDir = Annotated[Path, typer.Option("-o", "--out-dir", "--output", help="Folder of the images, tables and pictures.")]
Resume = Annotated[bool, typer.Option(help="Go on from the batches of an interrupted run.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the pairs, of noise, and of a network with random weights.")]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the command line."""
    example = "netalike invert -n in0-gn0.pt -a tiny10 -d cifar10 -p 64 --mode fast -o inversion --data resources"
    app.command("invert", epilog=f"Example: {example}")(invert_command)


def invert_command(
    network: Network,
    dataset: Dataset = None,
    architecture: Architecture = None,
    pairs: Pairs = 32,
    seeds: SeedsChoice = Seeds.other_class,
    layer: Layer = None,
    mode: ModeChoice = Mode.published,
    iterations: Iterations = 2000,
    step_size: StepSize = 0.125,
    tolerance: Tolerance = None,
    batch_size: InversionBatch = 32,
    split: Split = "test",
    limit: Limit = None,
    out_dir: OutDir = Path("inversion"),
    resume: Resume = True,
    seed: Seed = 0,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Invert images: change seed images until the network represents them as it represents target images."""
    descent = _Descent(mode, iterations, step_size, tolerance, batch_size)
    descent.check()
    use_threads(threads)
    from netalike import inversion_output

    refuse_a_file(out_dir)
    target = device_of(device)
    model, images = open_network(network, architecture, dataset, (split, data_root, limit), seed)
    given = _draw(images, pairs, seeds, seed)
    started = time.perf_counter()
    viewer = _viewer(model, images).to(target)
    found = descent.run(viewer, given, layer or _layer(viewer, given, network), out_dir / UNFINISHED, resume)
    table = inversion_output.losses_table(viewer, found, given)
    summary = {
        "network": network,
        "architecture": str(getattr(model, "architecture", type(model).__name__)),
        "dataset": images.name,
        "split": images.split,
        "n_images": len(images),
        "seeds": seeds.value,
        **descent.told(),
        "seed": seed,
        **inversion_output.facts(viewer, found, given, table),
        "seconds": round(time.perf_counter() - started, 2),
        "command": shlex.join(["netalike", *sys.argv[1:]]),
        "version": netalike.__version__,
    }
    names = inversion_output.write(out_dir, found, given, table, summary)
    # Only now: until the images are stored, it is all there is.
    (out_dir / UNFINISHED).unlink(missing_ok=True)
    if as_json:
        print_json({"out_dir": str(out_dir), **summary, "files": names, "losses": table})
    else:
        _print(out_dir, summary, names)


# --- what is inverted -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Descent:
    """How the images are moved."""

    mode: Mode
    iterations: int
    step_size: float
    tolerance: float | None
    batch_size: int

    def check(self) -> None:
        """Refuse a setting of the other mode: it would change nothing."""
        if self.mode is Mode.published and self.tolerance is not None:
            raise NetalikeError("--tolerance is of the fast mode: leave it out, or use --mode fast.")

    def told(self) -> dict[str, Any]:
        """Return the settings that count, for the summary."""
        told = {"mode": self.mode.value, "iterations": self.iterations, "step_size": self.step_size}
        own = {"tolerance": self._tolerance} if self.mode is Mode.fast else {}
        return {**told, **own, "batch_size": self.batch_size}

    @property
    def _tolerance(self) -> float:
        return _TOLERANCE if self.tolerance is None else self.tolerance

    def run(self, model: nn.Module, given: GivenPairs, layer: str, checkpoint: Path, resume: bool) -> Inversion:
        """Invert all pairs, or stop and keep the batches that are done."""
        from netalike.inversion import invert_images

        if not resume:
            checkpoint.unlink(missing_ok=True)
        try:
            return invert_images(
                model,
                given.seeds,
                given.targets,
                layer=layer,
                mode=self.mode.value,
                iterations=self.iterations,
                step_size=self.step_size,
                tolerance=self._tolerance,
                batch_size=self.batch_size,
                checkpoint=checkpoint,
                progress=None,
            )
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on after the last batch that was done.", err=True)
            raise typer.Exit(130) from None


def _viewer(model: nn.Module, images: ImageSet) -> nn.Module:
    """Put the normalisation into the network; its layers keep their names."""
    from netalike.inversion import Normalised

    assert images.spec.mean is not None, "a loaded data set has a mean"
    assert images.spec.std is not None, "a loaded data set has a standard deviation"
    return Normalised(model, images.spec.mean, images.spec.std).eval()


def _draw(images: ImageSet, n: int, seeds: Seeds, seed: int) -> GivenPairs:
    """Draw the pairs; the targets are the same for all kinds of seeds."""
    import numpy as np

    from netalike.inversion import inversion_pairs, noise_seeds
    from netalike.inversion_output import GivenPairs
    from netalike.networks.pixels import pixels

    _check_pairs(images, n, seeds)
    if seeds is Seeds.noise:
        # The order in which `inversion_pairs` takes targets; it would ask for partners, which noise needs not.
        chosen = images.take(np.random.default_rng(seed).permutation(len(images))[:n])
        targets = pixels(chosen)
        return GivenPairs(noise_seeds(targets.shape, seed), targets, None, chosen)
    seed_rows, target_rows = inversion_pairs(images.labels, n, seed, seeds.name)
    sources, chosen = images.take(seed_rows), images.take(target_rows)
    return GivenPairs(pixels(sources), pixels(chosen), sources, chosen)


def _check_pairs(images: ImageSet, n: int, seeds: Seeds) -> None:
    """Say what to do where there are too few images or classes, in the words of the command line."""
    where = f"{images.name} ({images.split})"
    if n > len(images):
        raise NetalikeError(
            f"--pairs {n}: {where} has {len(images)} images here, and each is a target once. Ask for at most "
            f"{len(images)} pairs, or take more images (a larger --limit, or another --split)."
        )
    sizes = Counter(images.labels.tolist()).values()
    if seeds is Seeds.other_class and len(sizes) < 2:
        name = images.classes[int(images.labels[0])]
        raise NetalikeError(
            f"--seeds other-class: all images of {where} are of one class, {name!r}. Take more images (a larger "
            "--limit), or start from --seeds noise or same-class."
        )
    if seeds is Seeds.same_class and min(sizes) < 2:
        raise NetalikeError(
            f"--seeds same-class: a class of {where} has one image only. Take more images (a larger --limit), or "
            "start from --seeds other-class or noise."
        )


def _layer(model: nn.Module, given: GivenPairs, network: str) -> str:
    """Find the input of the last layer, if that is linear."""
    import torch

    from netalike.inversion import representation_layer
    from netalike.inversion.passes import INPUT, calls_in_order, modules_by_name

    modules = modules_by_name(model)
    linear = any(isinstance(module, torch.nn.Linear) for module in modules.values())
    found = representation_layer(model, given.targets[:1]) if linear else ""
    with torch.no_grad():
        outputs = model(given.targets[:1].to(next(model.parameters()).device))
    if found and modules[found.removeprefix(INPUT)].out_features == outputs.numel():
        return found
    leaves = [name for name, module in modules.items() if not any(module.children())]
    ran = list(dict.fromkeys(calls_in_order(model, leaves, given.targets)))[-_NAMED:]
    raise NetalikeError(
        f"the last layer of {network} is not linear, so its representation has to be named: --layer NAME for the "
        f"output of a layer, --layer {INPUT}NAME for what goes into it. The last layers that run: {', '.join(ran)}."
    )


# --- printing -------------------------------------------------------------------------------------------------------

_SEED_WORDS = {
    "other-class": "seeds of another class",
    "noise": "seeds of noise",
    "same-class": "seeds of the same class",
}


def _print(folder: Path, summary: Mapping[str, Any], files: Sequence[str]) -> None:
    where = f"{summary['dataset']} ({summary['split']})"
    typer.echo(
        f"{summary['pairs']:,} pairs of {where}, {_SEED_WORDS[summary['seeds']]}; {summary['architecture']}, "
        f"{summary['layer']}, {summary['representation']:,} numbers"
    )
    for name, quantiles in (("seeds", summary["seed_loss"]), ("inverted", summary["loss"])):
        told = ", ".join(f"{key} {in_digits(value)}" for key, value in quantiles.items())
        typer.echo(f"relative loss, {name}: {told}")
    if summary["without_loss"]:
        typer.echo(f"{summary['without_loss']:,} targets are represented by zeros: no loss, the seed image is kept")
    away = summary["pixel_distance"]
    typer.echo(
        f"distance in pixels (L2, mean): seed to target {away['seed_target']:.2f}, inverted to target "
        f"{away['inverted_target']:.2f}, inverted to seed {away['inverted_seed']:.2f}"
    )
    typer.echo(f"same class for inverted as for target, by the network: {100 * summary['same_prediction']:.1f} %")
    inverted = sum(1 for name in files if "/" in name)
    named = ", ".join(name for name in files if "/" not in name)
    typer.echo(f"{summary['seconds']:.1f} s; written to {folder}: {inverted:,} images in inverted, {named}")
