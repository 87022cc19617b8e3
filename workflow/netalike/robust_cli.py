"""`netalike robust-train`: train a network on attacked images, and measure how well it stands attacks.

Frameworks are imported inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netalike.cli_options import (
    AsJson,
    BatchSize,
    DataRoot,
    Device,
    Epochs,
    Limit,
    Optimizer,
    Threads,
    checked,
    complete,
    device_of,
    in_digits,
    print_json,
    use_threads,
)
from netalike.errors import NetalikeError

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.networks import Card
    from netalike.training.adversarial_settings import AdversarialSettings

_CHECKPOINT = "checkpoint.safetensors"
_NORMS = {"2": "L2", "inf": "Linf"}


class Constraint(StrEnum):
    """Norm of an attack."""

    euclidean = "2"
    largest = "inf"


class Method(StrEnum):
    """How the images of a training are attacked."""

    pgd = "pgd"
    free = "free"
    fast = "fast"


class Schedule(StrEnum):
    """How the learning rate changes."""

    step = "step"
    cyclic = "cyclic"


Model = Annotated[str, typer.Option("-m", "--model", help="Architecture.", autocompletion=complete("architecture"))]
Dataset = Annotated[
    str, typer.Option("-d", "--dataset", help="Name, or folder:PATH.", autocompletion=complete("dataset"))
]
Eps = Annotated[float, typer.Option(help="Radius of the attack, pixels from 0 to 1; 0 is standard training.")]
ConstraintChoice = Annotated[Constraint, typer.Option(help="Norm of the attack: Euclidean, or largest change.")]
MethodChoice = Annotated[
    Method, typer.Option(help="pgd as published; free (Shafahi et al. 2019) or fast (Wong et al. 2020) to save time.")
]
Steps = Annotated[int, typer.Option(help="Of the attack; for free, how often each batch is seen.")]
StepSize = Annotated[
    float | None,
    typer.Option(help="Length of a step.", show_default="2.5 eps / steps; fast: 1.25 eps; free: eps"),
]
RandomStart = Annotated[bool, typer.Option(help="Start pgd at a random place within eps; fast always does.")]
ScheduleChoice = Annotated[
    Schedule, typer.Option(help="A tenth after 1/3 and 2/3 of the epochs, or up and down once, step by step.")
]
EvaluateEps = Annotated[
    list[float] | None,
    typer.Option(
        "--evaluate-eps", help="Radius of the final attack; may be given again.", show_default="that of the training"
    ),
]
InitNoise = Annotated[int | None, typer.Option("-i", "--init-noise", min=0, help="Seed of the initial weights.")]
GradientNoise = Annotated[
    int | None,
    typer.Option("-g", "--gradient-noise", min=0, help="Seed of batch order, augmentation and random starts."),
]
Seed = Annotated[int, typer.Option(min=0, help="Both seeds, where -i or -g is not given.")]
OutDir = Annotated[Path, typer.Option("-o", "--out-dir", "--output", help="Folder of the networks.")]
LearningRate = Annotated[float, typer.Option("-lr", "--lr", help="Learning rate: at the start, or the largest.")]
WeightDecay = Annotated[float, typer.Option("-wd", "--weight-decay", help="L2 penalty on all parameters.")]
OptimizerName = Annotated[Optimizer, typer.Option("-opt", "--optimizer", help="sgd has momentum 0.9, not Nesterov's.")]
SaveFrequency = Annotated[
    int, typer.Option("-s", "--save-frequency", min=1, help="Iterations between checkpoints, rounded to whole epochs.")
]
Augment = Annotated[bool, typer.Option(help="Augment the training images.")]
Resume = Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted run.")]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the command line."""
    example = "netalike robust-train -m resnet8 -d mnist --eps 1 -e 10 --method fast --schedule cyclic --data resources"
    app.command("robust-train", epilog=f"Example: {example}")(robust_train_command)


def robust_train_command(
    eps: Eps,
    model: Model = "tiny10",
    dataset: Dataset = "cifar10",
    constraint: ConstraintChoice = Constraint.euclidean,
    method: MethodChoice = Method.pgd,
    steps: Steps = 7,
    step_size: StepSize = None,
    random_start: RandomStart = False,
    schedule: ScheduleChoice = Schedule.step,
    evaluate_eps: EvaluateEps = None,
    init_noise: InitNoise = None,
    gradient_noise: GradientNoise = None,
    seed: Seed = 0,
    out_dir: OutDir = Path("snapshots"),
    epochs: Epochs = 150,
    batch_size: BatchSize = 128,
    lr: LearningRate = 0.1,
    weight_decay: WeightDecay = 5e-4,
    optimizer: OptimizerName = Optimizer.sgd,
    save_frequency: SaveFrequency = 10_000,
    augment: Augment = True,
    resume: Resume = True,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Train a robust network on attacked images, measure its clean and PGD-20 accuracy; go on where it was cut off."""
    use_threads(threads)
    from netalike import data, networks, training
    from netalike.training.adversarial_settings import AdversarialSettings

    target = device_of(device)
    seeds = (seed if init_noise is None else init_noise, seed if gradient_noise is None else gradient_noise)
    folder = training.output_folder(out_dir, networks.canonical(model), dataset, *seeds)
    image_sets = data.load(dataset, "train", data_root, limit), data.load(dataset, "test", data_root, limit)
    iterations = max(1, len(image_sets[0]) // max(batch_size, 1)) * (steps if method is Method.free else 1)
    settings = checked(
        AdversarialSettings,
        "settings of robust training",
        eps=eps,
        constraint=constraint.value,
        method=method.value,
        steps=steps,
        step_size=step_size,
        random_start=random_start,
        schedule=schedule.value,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        optimizer=optimizer.value,
        augment=augment,
        save_every=max(1, round(save_frequency / max(iterations, 1))),
    )
    run = _Run(networks.canonical(model), image_sets, settings, seeds, target, _radii(evaluate_eps))
    started = time.perf_counter()
    place = folder.with_name(folder.name + leaf(settings))
    card = run.into(place, resume)
    result = {
        "weights": str(place / "weights.safetensors"),
        "accuracy": card.accuracy,
        "loss": card.loss,
        "robust_accuracy": card.settings["robust_accuracy"],
        "n": len(image_sets[1]),
        "eps": eps,
        "constraint": constraint.value,
        "method": method.value,
        "seconds": round(time.perf_counter() - started, 2),
    }
    if as_json:
        print_json(result)
    else:
        _print(result)


def leaf(settings: AdversarialSettings) -> str:
    """Say in the name of a folder what a network was trained against, so that none replaces another.

    Parameters
    ----------
    settings : AdversarialSettings

    Returns
    -------
    str
        ``-eps1``, ``-eps0.1-inf``, ``-eps1-free``; to be put behind ``in0-gn0``.
    """
    norm = "" if settings.constraint == "2" else f"-{settings.constraint}"
    method = "" if settings.method == "pgd" else f"-{settings.method}"
    return f"-eps{settings.eps:g}{norm}{method}"


def _radii(given: Sequence[float] | None) -> list[float] | None:
    for eps in given or ():
        if not 0 <= eps < float("inf"):
            raise NetalikeError(f"--evaluate-eps {eps:g}: expected a radius of at least 0, such as 0.5.")
    return list(given) if given else None


@dataclass(frozen=True)
class _Run:
    architecture: str
    image_sets: tuple[ImageSet, ImageSet]
    settings: AdversarialSettings
    seeds: tuple[int, int]
    device: str
    radii: list[float] | None

    def into(self, folder: Path, resume: bool) -> Card:
        """Train, and store weights, card and log."""
        from netalike import networks, training
        from netalike.training.adversarial_networks import train_robust_network

        checkpoint = folder / _CHECKPOINT
        if not resume:
            checkpoint.unlink(missing_ok=True)
        try:
            network, card, history = train_robust_network(
                self.architecture,
                self.image_sets,
                self.settings,
                self.seeds,
                checkpoint,
                device=self.device,
                evaluate_eps=self.radii,
            )
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on from the last checkpoint.", err=True)
            raise typer.Exit(130) from None
        networks.save(network, folder / "weights.safetensors", card)
        training.write_log(history, folder / "training_log.csv")
        # Only now: until the weights are stored, the checkpoint is all there is.
        checkpoint.unlink(missing_ok=True)
        return card


def _print(result: Mapping[str, Any]) -> None:
    typer.echo(f"weights: {result['weights']}")
    typer.echo(f"clean accuracy: {in_digits(result['accuracy'])} (loss {in_digits(result['loss'])})")
    for eps, accuracy in result["robust_accuracy"].items():
        typer.echo(f"PGD-20 accuracy, {_NORMS[result['constraint']]} {eps}: {in_digits(accuracy)}")
    typer.echo(f"{result['n']:,} test images; {result['seconds']:.1f} s")
