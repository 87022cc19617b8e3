"""`netalike stitch`, `compare`, `compare-stitch` and `match`, with the options and letters of the published code.

Frameworks are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
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
    ForwardBatch,
    LearningRate,
    Limit,
    Optimizer,
    Threads,
    checked,
    complete,
    device_of,
    print_json,
    use_threads,
)
from netalike.cli_options import (
    in_digits as _text,
)
from netalike.errors import NetalikeError
from netalike.stitching.names import DATASET, canonical

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.stitching.comparison import Comparison
    from netalike.stitching.results import StitchResult

# What `compare-stitch` measures beside the methods of comparison: of the stitched network as a whole.
_OF_THE_NETWORK = ("accuracy", "loss", "relative_accuracy", "agreement", "cross_entropy")
_MATCHED = {"frank_model": "after", "ps_inv_model": "least_squares"}
_NOT_STITCHES = ("front_model", "end_model")


class Start(StrEnum):
    """From which factors a matrix of low rank starts."""

    least_squares = "least_squares"
    random = "random"


Dataset = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--dataset",
        help="Name, or folder:PATH.",
        show_default=f"that of the cards, or {DATASET}",
        autocompletion=complete("dataset"),
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "-a",
        "--architecture",
        help="Of both networks; needed where no card says it.",
        autocompletion=complete("architecture"),
    ),
]
FrontArchitecture = Annotated[
    str | None,
    typer.Option(help="Of the first network, where the two differ.", autocompletion=complete("architecture")),
]
EndArchitecture = Annotated[
    str | None,
    typer.Option(help="Of the second network, where the two differ.", autocompletion=complete("architecture")),
]
Resize = Annotated[bool, typer.Option("--resize", help="Resize the front activation where heights and widths differ.")]
Weights = "Weights: .safetensors with its card, or .pt, .pth, .th."
FrontFile = Annotated[Path | None, typer.Option("--front", help="Weights of the front network, if they were moved.")]
EndFile = Annotated[Path | None, typer.Option("--end", help="Weights of the end network, if they were moved.")]
GroupAt = Annotated[
    int | None,
    typer.Option(
        "-g",
        "--group-at",
        "--group_at",
        help="Images per group; numbers are means over groups.",
        show_default="all images in one",
    ),
]
SplitName = Annotated[str, typer.Option("-t", "--dataset-type", help="test (the published val), or train.")]


FrontArgument = Annotated[Path, typer.Argument(metavar="FRONT", help=f"The network whose front is used. {Weights}")]
EndArgument = Annotated[Path, typer.Argument(metavar="END", help=f"The network whose end is used. {Weights}")]
FrontLayer = Annotated[str, typer.Argument(metavar="LAYER1", help="Of FRONT; `netalike layers` lists them.")]
EndLayer = Annotated[str, typer.Argument(metavar="LAYER2", help="Of END; its output is replaced.")]
OutDir = Annotated[Path, typer.Option("-o", "--out-dir", help="Folder of the stitches.")]
RunName = Annotated[str | None, typer.Option(help="Of the folder in it.", show_default="the time")]
OptimizerName = Annotated[Optimizer, typer.Option(help="sgd has Nesterov momentum 0.9.")]
Seed = Annotated[int, typer.Option(min=0, help="Of initialisation, batches and augmentation.")]
WeightDecay = Annotated[float, typer.Option("-wd", "--weight-decay", help="L2 penalty on the matrix.")]
L1 = Annotated[float, typer.Option("--l1", help="Factor of the mean absolute weight in the loss.")]
CkaReg = Annotated[
    float, typer.Option("--cka-reg", help="Factor of CKA with the end network's activation: positive pushes it down.")
]
LowRank = Annotated[int | None, typer.Option("-r", "--low-rank", min=1, help="Train factors of a matrix of this rank.")]
RankStart = Annotated[
    Start | None, typer.Option(help="What the factors start from.", show_default="as --init, if it is one of the two")
]
Temperature = Annotated[float, typer.Option(help="Of soft targets: divides both logits.")]
SaveFrequency = Annotated[
    int, typer.Option("-s", "--save-frequency", help="A snapshot of the matrix every so many steps x epochs.")
]
Flatten = Annotated[bool, typer.Option("-f", "--flatten", help="One linear map over all units.")]
Init = Annotated[
    str,
    typer.Option(
        "-i",
        "--init",
        help="random, permutation (perm), identity (eye), least_squares (ps_inv), ones_zeros.",
        autocompletion=complete("init"),
    ),
]
Mask = Annotated[
    str,
    typer.Option(
        "-m",
        "--mask",
        help="identity (none), semi_match, abs_semi_match, random_permutation.",
        autocompletion=complete("mask"),
    ),
]
TargetType = Annotated[
    str,
    typer.Option(
        "--target-type", help="hard, soft_1, soft_2, soft_12, soft_1_plus_2.", autocompletion=complete("target")
    ),
]
Augment = Annotated[bool, typer.Option(help="Augment the training images.")]
Resume = Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted run.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the command line."""
    for name, (command, example) in _COMMANDS.items():
        app.command(name, epilog=f"Example: netalike {name} {example}")(command)


def stitch_command(
    front_model: FrontArgument,
    end_model: EndArgument,
    front_layer: FrontLayer,
    end_layer: EndLayer,
    dataset: Dataset = None,
    out_dir: OutDir = Path("results"),
    run_name: RunName = None,
    optimizer: OptimizerName = Optimizer.adam,
    seed: Seed = 0,
    epochs: Epochs = 30,
    batch_size: BatchSize = 128,
    lr: LearningRate = 1e-3,
    weight_decay: WeightDecay = 0.0,
    l1: L1 = 0.0,
    cka_reg: CkaReg = 0.0,
    low_rank: LowRank = None,
    rank_start: RankStart = None,
    temperature: Temperature = 1.0,
    save_frequency: SaveFrequency = 10,
    flatten: Flatten = False,
    init: Init = "random",
    mask: Mask = "identity",
    target_type: TargetType = "hard",
    augment: Augment = True,
    resume: Resume = True,
    resize: Resize = False,
    architecture: Architecture = None,
    front_architecture: FrontArchitecture = None,
    end_architecture: EndArchitecture = None,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Stitch the front of one network to the end of another by one affine layer, and train that layer."""
    from netalike.stitching.forms import form
    from netalike.stitching.settings import Settings

    asked = form(init, mask, low_rank, None if rank_start is None else rank_start.value, flatten, resize)
    settings = checked(
        Settings,
        "settings of a stitch",
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        optimizer=optimizer.value,
        l1=l1,
        cka_reg=cka_reg,
        target=canonical("target", target_type),
        temperature=temperature,
        save_frequency=save_frequency,
        augment=augment,
        seed=seed,
    )
    use_threads(threads)
    from netalike.stitching import running

    architectures = front_architecture or architecture, end_architecture or architecture
    pair = running.NetworkPair((front_model, end_model), architectures, (front_layer, end_layer), dataset)
    folder = out_dir / (run_name or datetime.now().strftime("%Y-%m-%d_%H%M%S")) / f"{front_layer}-{end_layer}"
    if not resume:
        running.forget_checkpoint(folder)
    pair.check_layers()
    images = pair.images("train", data_root, limit), pair.images("test", data_root, limit)
    try:
        result = running.stitch_into(folder, pair, images, asked, settings, device_of(device))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command with --run-name goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None
    _print_stitch(as_json, folder, result)


def compare_command(
    front_model: Annotated[Path, typer.Argument(metavar="A", help=Weights)],
    end_model: Annotated[Path, typer.Argument(metavar="B", help=Weights)],
    front_layer: Annotated[str, typer.Argument(metavar="LAYER1", help="Of A.")],
    end_layer: Annotated[str, typer.Argument(metavar="LAYER2", help="Of B.")],
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="METHOD...",
            help="cka, cca, lr, l2, least_squares (ps_inv), orthogonal (ls_orth), reduced_rank (ls_sum), correlation "
            "(corr), or a measure of netalike (svcca, cka/unbiased, …).",
        ),
    ],
    dataset: Dataset = None,
    split: SplitName = "test",
    group_at: GroupAt = None,
    batch_size: ForwardBatch = 256,
    resize: Resize = False,
    architecture: Architecture = None,
    front_architecture: FrontArchitecture = None,
    end_architecture: EndArchitecture = None,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compare a layer of one network with a layer of another on the same images."""
    use_threads(threads)
    from netalike.stitching import comparison, running

    for method in methods:
        comparison.canonical_method(method)
    architectures = front_architecture or architecture, end_architecture or architecture
    pair = running.NetworkPair((front_model, end_model), architectures, (front_layer, end_layer), dataset)
    pair.check_layers()
    images = pair.images(split, data_root, limit)
    models = pair.models
    found = comparison.compare(
        *models, front_layer, end_layer, images, methods, group_at, batch_size, device_of(device), resize
    )
    _print_comparisons(as_json, found, images)


def compare_stitch_command(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="Folder that `netalike stitch` made.")],
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="before, after, or least_squares (ps_inv).")],
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="METHOD...",
            help="As of `netalike compare`, and accuracy, loss, relative_accuracy, agreement, cross_entropy.",
        ),
    ],
    layer: Annotated[
        str | None,
        typer.Option("-l", "--layer", help="Compare at a later layer of END.", show_default="the stitched layer"),
    ] = None,
    split: SplitName = "test",
    group_at: GroupAt = None,
    batch_size: ForwardBatch = 256,
    front: FrontFile = None,
    end: EndFile = None,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compare a stitched activation with the one that it replaces."""
    use_threads(threads)
    from netalike.stitching import comparison, results, running

    wanted = [m for m in methods if m not in _OF_THE_NETWORK]
    for method in wanted:
        comparison.canonical_method(method, also=_OF_THE_NETWORK)
    stored = results.load(result)
    chosen = stored.layer(stage)
    cut = results.open_networks(stored, front, end)
    images = running.load_images(stored.data["dataset"], split, data_root, limit)
    target = device_of(device)
    scores: dict[str, Any] = {}
    if len(wanted) < len(methods):
        from netalike.stitching.evaluation import evaluate_stitch

        report = evaluate_stitch(*cut, chosen, images, device=target, resize=stored.resize, cka_images=0)
        scores = {name: getattr(report, name) for name in methods if name in _OF_THE_NETWORK}
    found = (
        comparison.compare_stitched(
            *cut, chosen, images, wanted, layer, group_at, batch_size, target, resize=stored.resize
        )
        if wanted
        else []
    )
    _print_comparisons(as_json, found, images, scores)


def match_command(
    stitches: Annotated[list[Path], typer.Argument(metavar="RESULT...", help="Folders that `netalike stitch` made.")],
    init_model: Annotated[
        str,
        typer.Option(
            "--init-model",
            "--init_model",
            help="What to start from: least_squares (ps_inv_model), after (frank_model), before.",
        ),
    ] = "least_squares",
    train_on: Annotated[str, typer.Option("--train-on", "--train_on", help="test (the published val), or train.")] = (
        "test"
    ),
    loss: Annotated[str, typer.Option(help="mse, or cka, which is made large.")] = "mse",
    epochs: Annotated[int, typer.Option("-e", "--epochs", "--epoch", help="Passes over the images.")] = 100,
    batch_size: Annotated[int, typer.Option("-b", "--batch-size", "--batch", help="Images per step.")] = 64,
    lr: Annotated[float, typer.Option("-lr", "--lr", help="Learning rate of Adam, the same in all epochs.")] = 1e-4,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the images.")] = 0,
    out_dir: Annotated[
        Path | None,
        typer.Option("-o", "--out-dir", "--out_dir", help="Store matched.safetensors and matched.json in it."),
    ] = None,
    front: FrontFile = None,
    end: EndFile = None,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Match activations directly: train the stitching layer on the end network's activation, not on the task."""
    use_threads(threads)
    if init_model in _NOT_STITCHES:
        raise NetalikeError(f"{init_model} is a network, not a matrix to start from: choose least_squares or after.")
    stage = _MATCHED.get(init_model, init_model)
    if (front or end) and len(stitches) > 1:
        raise NetalikeError("--front and --end name the networks of one stitch: match one RESULT at a time.")
    options = {"loss": loss, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    from netalike.stitching import running

    selection, target = running.Selection(train_on, data_root, limit), device_of(device)
    told = []
    for path in stitches:
        place = None if out_dir is None else (out_dir / path.name if len(stitches) > 1 else out_dir)
        found = running.match_stored(path, stage, options, selection, (front, end), target, place)
        told.append({"result": str(path), **found})
    _print_matches(as_json, told)


_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "stitch": (stitch_command, "in0-gn0.pt in1-gn1.pt bn3 bn3 -a tiny10 -d cifar10 -i least_squares -e 5"),
    "compare": (compare_command, "in0-gn0.pt in1-gn1.pt bn3 bn3 -a tiny10 -d cifar10 cka l2 ps_inv"),
    "compare-stitch": (compare_stitch_command, "results/first/bn3-bn3 after cka l2 accuracy"),
    "match": (match_command, "results/first/bn3-bn3 --loss cka --epochs 10"),
}


# --- printing -------------------------------------------------------------------------------------------------------


def _print_stitch(as_json: bool, folder: Path, result: StitchResult) -> None:
    assert result.evaluation is not None
    found = result.evaluation
    if as_json:
        print_json({"result": str(folder), "report": str(folder / "report.html"), **found.to_dict()})
        return
    names = {"front": "front", "end": "end", "before": "before training", "least_squares": "least squares"}
    rows = [(label, found.networks[key]) for key, label in names.items() if key in found.networks]
    typer.echo(f"{'':16}{'accuracy':>10}{'relative':>10}{'agreement':>11}{'loss':>10}")
    for label, scores in [*rows, ("stitched", found.networks["after"])]:
        numbers = f"{_text(scores.accuracy):>10}{_text(scores.relative_accuracy):>10}{_text(scores.agreement):>11}"
        typer.echo(f"{label:16}{numbers}{_text(scores.loss):>10}")
    typer.echo(f"stored in {folder}; open {folder / 'report.html'}")


def _print_comparisons(
    as_json: bool, found: Sequence[Comparison], images: ImageSet, scores: Mapping[str, Any] | None = None
) -> None:
    about = {"dataset": images.name, "split": images.split, "n": len(images)}
    if as_json:
        print_json({**about, **(scores or {}), "comparisons": [_as_dict(one) for one in found]})
        return
    typer.echo(f"on {len(images):,} images of {images.name} ({images.split})")
    for name, value in (scores or {}).items():
        typer.echo(f"{name}: {_text(value)}")
    for one in found:
        typer.echo(f"{one.method}{'' if one.rank is None else f' (rank {one.rank})'}: {_in_words(one)}")


def _as_dict(one: Comparison) -> dict[str, Any]:
    return {
        "method": one.method,
        "value": None if one.value is None or not math.isfinite(one.value) else one.value,
        "status": one.status,
        **({} if one.rank is None else {"rank": one.rank}),
        **({} if one.weight is None else {"weight": one.weight.tolist()}),
        **({} if one.bias is None else {"bias": one.bias.tolist()}),
    }


def _in_words(one: Comparison) -> str:
    if one.status != "ok":
        return one.status
    if one.weight is None:
        return _text(one.value)
    shape = " x ".join(map(str, one.weight.shape))
    if one.value is None:
        return f"{shape} matrix, largest {_text(float(one.weight.max()))}; --json prints it"
    return f"{shape} matrix, mean squared error {_text(one.value)}; --json prints it"


def _print_matches(as_json: bool, told: list[dict[str, Any]]) -> None:
    if as_json:
        print_json(told)
        return
    for one in told:
        losses = one["train_loss"]
        typer.echo(f"{one['result']}: {one['loss']} {_text(losses[0])} -> {_text(losses[-1])} in {len(losses)} epochs")
        for quantity in ("accuracy", "cross_entropy", "cka", "l2"):
            before, after = (_text(one[f"{name}_{quantity}"]) for name in ("before", "after"))
            typer.echo(f"  {quantity}: {before} -> {after}")
