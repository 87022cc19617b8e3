"""The command line. Each command calls the library function that the workflow's rule calls.

Frameworks are imported inside the commands, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import netalike
from netalike import alignment_cli, claims_cli, inversion_cli, panel_cli, robust_cli, similarity_cli, stitching_cli
from netalike.cli_options import (
    AsJson,
    BatchSize,
    DataRoot,
    Device,
    Epochs,
    ForwardBatch,
    LearningRate,
    Limit,
    Optimizer,
    Threads,
    checked,
    complete,
    print_json,
    use_threads,
)
from netalike.errors import NetalikeError, unknown_name

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.networks import Card, LayerInfo
    from netalike.training import Settings

app = typer.Typer(
    name="netalike",
    help="How alike are these neural networks?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(claims_cli.app, name="claims")

_CHECKPOINT = "checkpoint.safetensors"
# module that may be missing -> extra that brings it
_EXTRAS = {"torch": "torch", "torchvision": "torch", "safetensors": "torch", "matplotlib": "report", "jinja2": "report"}
_EXTRAS |= {"tensorflow": "tensorflow", "keras": "tensorflow", "shapely": "torch"}


# Options of several commands here.
Dataset = Annotated[
    str, typer.Option("-d", "--dataset", help="Name, or folder:PATH.", autocompletion=complete("dataset"))
]
Model = Annotated[str, typer.Option("-m", "--model", help="Architecture.", autocompletion=complete("architecture"))]
InitNoise = Annotated[int | None, typer.Option("-i", "--init-noise", min=0, help="Seed of the initial weights.")]
GradientNoise = Annotated[
    int | None, typer.Option("-g", "--gradient-noise", min=0, help="Seed of batch order and augmentation.")
]
OptimizerName = Annotated[Optimizer, typer.Option("-opt", "--optimizer", help="sgd has Nesterov momentum 0.9.")]
SaveFrequency = Annotated[
    int, typer.Option("-s", "--save-frequency", min=1, help="Iterations between checkpoints, rounded to whole epochs.")
]
Architecture = Annotated[
    str | None,
    typer.Option("-a", "--architecture", help="Needed where no card says it.", autocompletion=complete("architecture")),
]
Channels = Annotated[int, typer.Option(min=1, help="Channels of the images.")]
Classes = Annotated[int, typer.Option(min=1, help="Number of classes.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process unless given.

    Raises
    ------
    SystemExit
        With 0, or with 2 where what was given is wrong: one line on stderr says what. ``--debug`` anywhere shows the
        traceback instead.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app(args=[argument for argument in given if argument != "--debug"], prog_name="netalike")
    except NetalikeError as error:
        if debug:
            raise
        _fail(str(error), error)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if debug or extra is None:
            raise
        _fail(f"{error.name} is not installed: pip install 'netalike[{extra}]'.", error)


def _fail(message: str, cause: Exception) -> None:
    typer.secho(f"error: {' '.join(message.split())}", fg=typer.colors.RED, err=True)
    raise SystemExit(2) from cause


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"netalike {netalike.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (after any command).")
    ] = False,
) -> None:
    """How alike are these neural networks? Five papers reproduced, and their measures on your own networks."""


@app.command("layers", epilog="Example: netalike layers resnet20_w3 --classes 100")
def layers_command(
    name: Annotated[
        str,
        typer.Argument(
            help="tiny10, resnet20_w2, torchvision:resnet18, file:PATH.py:FUNCTION, …",
            autocompletion=complete("architecture"),
        ),
    ],
    channels: Channels = 3,
    classes: Classes = 10,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Height and width; 32 unless given, 224 for torchvision.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the layers of a network: names, kinds, output shapes, parameters."""
    import torch

    from netalike import networks

    size = image_size or (224 if name.startswith("torchvision:") else 32)
    model = networks.build(name, channels, classes, seed=0)
    try:
        found = networks.layers(model, torch.zeros(1, channels, size, size))
    except RuntimeError as error:
        raise NetalikeError(
            f"{name} does not take images of {channels} x {size} x {size} ({error}): give --image-size or --channels."
        ) from error
    if as_json:
        print_json([vars(layer) for layer in found])
    else:
        _print_layers(name, found, sum(parameter.numel() for parameter in model.parameters()))


@app.command("train", epilog="Example: netalike train -m lenet -d mnist -e 10 -lr 0.05 -i 1 -g 1 --data resources")
def train_command(
    model: Model = "tiny10",
    dataset: Dataset = "cifar10",
    init_noise: InitNoise = None,
    gradient_noise: GradientNoise = None,
    seed: Annotated[int, typer.Option(min=0, help="Both seeds, where -i or -g is not given.")] = 0,
    out_dir: Annotated[Path, typer.Option("-o", "--out-dir", help="Folder of the networks.")] = Path("snapshots"),
    epochs: Epochs = 300,
    batch_size: BatchSize = 128,
    lr: LearningRate = 0.1,
    weight_decay: Annotated[float, typer.Option("-wd", "--weight-decay", help="L2 penalty on all parameters.")] = 1e-4,
    optimizer: OptimizerName = Optimizer.sgd,
    save_frequency: SaveFrequency = 10_000,
    augment: Annotated[bool, typer.Option(help="Augment the training images.")] = True,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted run.")] = True,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Train a network; the last step is always saved, and an interrupted run goes on where it was."""
    use_threads(threads)
    from netalike import data, networks, training

    target = str(networks.resolve_device(device))
    seeds = (seed if init_noise is None else init_noise, seed if gradient_noise is None else gradient_noise)
    folder = training.output_folder(out_dir, networks.canonical(model), dataset, *seeds)
    train_set, test_set = (data.load(dataset, split, data_root, limit) for split in ("train", "test"))
    settings = checked(
        training.Settings,
        "training settings",
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        optimizer=optimizer.value,
        augment=augment,
        save_every=max(1, round(save_frequency * batch_size / len(train_set))),
    )
    if not resume:
        (folder / _CHECKPOINT).unlink(missing_ok=True)
    card = _train_into(folder, networks.canonical(model), (train_set, test_set), settings, seeds, target)
    weights = str(folder / "weights.safetensors")
    _print_result(as_json, {"weights": weights, "accuracy": card.accuracy, "loss": card.loss, "n": len(test_set)})


@app.command("evaluate", epilog="Example: netalike evaluate in0-gn0.pt -a tiny10 -d cifar10 --data resources --json")
def evaluate_command(
    path: Annotated[Path, typer.Argument(help="Weights: .safetensors with its card, or .pt, .pth, .th.")],
    architecture: Architecture = None,
    dataset: Annotated[
        str | None,
        typer.Option("-d", "--dataset", help="Needed where no card says it.", autocompletion=complete("dataset")),
    ] = None,
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    batch_size: ForwardBatch = 500,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure accuracy and loss of a trained network."""
    use_threads(threads)
    from netalike import data, networks

    target = networks.resolve_device(device)
    card = networks.read_card(path) if path.suffix == ".safetensors" else None
    name = dataset or (card.dataset if card else "")
    if path.is_file() and not name:
        raise NetalikeError(f"{path} has no card that says its data set: name it with -d.")
    spec = data.specification(name) if name and card is None else None
    size = (spec.channels, len(spec.classes)) if spec else (None, None)
    model, _ = networks.load(path, architecture, *size)
    images = data.load(name, split, data_root, limit)
    _print_result(as_json, vars(networks.evaluate(model, images, batch_size, target)))


@app.command("fetch", epilog="Example: netalike fetch cifar10 --data resources --mirror /media/mirror")
def fetch_command(
    name: Annotated[
        str,
        typer.Argument(
            help="A data set, or the published networks tiny10-authors, …", autocompletion=complete("fetchable")
        ),
    ],
    data_root: DataRoot = Path("resources"),
    mirror: Annotated[
        str | None, typer.Option(envvar="NETALIKE_MIRROR", help="Folder or address to look in first.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Open no connection; a mirror folder is used.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch what is missing of a data set or of published networks, and check it."""
    from netalike import data

    if name == "aerial":
        from netalike.data.aerial import fetch_aerial

        # its publisher has the tiles alone: they are put together here
        found = sorted(fetch_aerial(data_root, mirror, offline).iterdir())
    elif name in data.published.collections():
        found = [data.fetch_file(file, data_root, mirror, offline) for file in data.published.files(name)]
    elif name in data.names():
        found = data.fetch(name, data_root, mirror, offline)
    else:
        raise unknown_name("data set or collection of networks", name, [*data.names(), *data.published.collections()])
    if as_json:
        print_json({"name": name, "files": [str(path) for path in found]})
    else:
        typer.echo(f"{name}: {len(found)} files in {data_root}, all checked")


stitching_cli.register(app)
similarity_cli.register(app)
alignment_cli.register(app)
inversion_cli.register(app)
robust_cli.register(app)
panel_cli.register(app)


def _train_into(
    folder: Path,
    architecture: str,
    image_sets: tuple[ImageSet, ImageSet],
    settings: Settings,
    seeds: tuple[int, int],
    device: str,
) -> Card:
    from netalike import networks, training

    checkpoint = folder / _CHECKPOINT
    try:
        network, card, history = training.train_network(
            architecture, image_sets, settings, seeds, checkpoint, device=device
        )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None
    networks.save(network, folder / "weights.safetensors", card)
    training.write_log(history, folder / "training_log.csv")
    # Only now: until the weights are stored, the checkpoint is all there is.
    checkpoint.unlink(missing_ok=True)
    return card


def _print_result(as_json: bool, result: Mapping[str, object]) -> None:
    if as_json:
        print_json(dict(result))
        return
    for key, value in result.items():
        typer.echo(f"{key}: {value:.4f}" if isinstance(value, float) else f"{key}: {value}")


def _print_layers(name: str, found: Sequence[LayerInfo], total: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name}: {total:,} parameters", title_justify="left")
    for heading in ("layer", "kind", "output"):
        table.add_column(heading, overflow="fold")
    table.add_column("parameters", justify="right")
    for layer in found:
        shape = " x ".join(map(str, layer.shape))
        note = f" (called {layer.calls} times)" if layer.calls > 1 else ""
        table.add_row(layer.name, layer.kind + note, shape, f"{layer.parameters:,}")
    Console().print(table)
