"""`netalike stitch`, `compare`, `compare-stitch` and `match`, with the options and letters of the published code.

Frameworks are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netalike.errors import NetalikeError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from netalike.data import ImageSet
    from netalike.networks import Card
    from netalike.stitching.comparison import Comparison
    from netalike.stitching.evaluation import Report
    from netalike.stitching.least_squares import NormalEquations
    from netalike.stitching.results import Side, StitchResult
    from netalike.stitching.settings import Settings
    from netalike.stitching.split import Split
    from netalike.stitching.training import History
    from netalike.stitching.transform import StitchingLayer

_CHECKPOINT = "checkpoint.safetensors"
_DATASET = "cifar10"  # the published code's default
# Least squares over all units of a flattened layer holds (units + 1)^2 numbers of 8 bytes and takes O(units^3).
_MOST_FLATTENED_UNITS = 2048
_SNAPSHOT_GB = 4.0
# What `compare-stitch` measures beside the methods of comparison: of the stitched network as a whole.
_OF_THE_NETWORK = ("accuracy", "loss", "relative_accuracy", "agreement", "cross_entropy")
# The published code's splits.
_SPLITS = {"val": "test"}
_MATCHED = {"frank_model": "after", "ps_inv_model": "least_squares"}
_NOT_STITCHES = ("front_model", "end_model")


class Optimizer(StrEnum):
    """The optimisers of `netalike stitch`."""

    adam = "adam"
    sgd = "sgd"


class Start(StrEnum):
    """From which factors a matrix of low rank starts."""

    least_squares = "least_squares"
    random = "random"


def _complete(kind: str) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        if kind == "architecture":
            from netalike.networks.naming import names as known
        elif kind == "dataset":
            from netalike.data import names as known
        else:
            from netalike.stitching.names import spellings

            return [name for name in spellings(kind) if name.startswith(incomplete)]
        return [name for name in known() if name.startswith(incomplete)]

    return complete


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto (a GPU where there is one).")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as PyTorch chooses unless given.")]
DataRoot = Annotated[Path, typer.Option("--data", help="Folder of the data sets.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use the first so many images of each split only.")]
Dataset = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--dataset",
        help="Name, or folder:PATH.",
        show_default=f"that of the cards, or {_DATASET}",
        autocompletion=_complete("dataset"),
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "-a",
        "--architecture",
        help="Of both networks; needed where no card says it.",
        autocompletion=_complete("architecture"),
    ),
]
FrontArchitecture = Annotated[
    str | None,
    typer.Option(help="Of the first network, where the two differ.", autocompletion=_complete("architecture")),
]
EndArchitecture = Annotated[
    str | None,
    typer.Option(help="Of the second network, where the two differ.", autocompletion=_complete("architecture")),
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
CompareBatch = Annotated[int, typer.Option("-b", "--batch-size", min=1, help="Images per forward pass.")]


FrontArgument = Annotated[Path, typer.Argument(metavar="FRONT", help=f"The network whose front is used. {Weights}")]
EndArgument = Annotated[Path, typer.Argument(metavar="END", help=f"The network whose end is used. {Weights}")]
FrontLayer = Annotated[str, typer.Argument(metavar="LAYER1", help="Of FRONT; `netalike layers` lists them.")]
EndLayer = Annotated[str, typer.Argument(metavar="LAYER2", help="Of END; its output is replaced.")]
OutDir = Annotated[Path, typer.Option("-o", "--out-dir", help="Folder of the stitches.")]
RunName = Annotated[str | None, typer.Option(help="Of the folder in it.", show_default="the time")]
OptimizerName = Annotated[Optimizer, typer.Option(help="sgd has Nesterov momentum 0.9.")]
Seed = Annotated[int, typer.Option(min=0, help="Of initialisation, batches and augmentation.")]
Epochs = Annotated[int, typer.Option("-e", "--epochs", help="Passes over the training images.")]
BatchSize = Annotated[int, typer.Option("-b", "--batch-size", help="Images per step.")]
LearningRate = Annotated[
    float, typer.Option("-lr", "--lr", help="Learning rate; a tenth after 1/3 and after 2/3 of the epochs.")
]
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
        autocompletion=_complete("init"),
    ),
]
Mask = Annotated[
    str,
    typer.Option(
        "-m",
        "--mask",
        help="identity (none), semi_match, abs_semi_match, random_permutation.",
        autocompletion=_complete("mask"),
    ),
]
TargetType = Annotated[
    str,
    typer.Option(
        "--target-type", help="hard, soft_1, soft_2, soft_12, soft_1_plus_2.", autocompletion=_complete("target")
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
    asked = _Stitch.of(init, mask, low_rank, rank_start, flatten, resize)
    steps = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "weight_decay": weight_decay, "seed": seed}
    terms = {"l1": l1, "cka_reg": cka_reg, "target": target_type, "temperature": temperature}
    settings = _settings({**steps, **terms, "save_frequency": save_frequency, "augment": augment}, optimizer.value)
    _use_threads(threads)
    architectures = front_architecture or architecture, end_architecture or architecture
    pair = _Networks((front_model, end_model), architectures, (front_layer, end_layer), dataset)
    folder = out_dir / (run_name or datetime.now().strftime("%Y-%m-%d_%H%M%S")) / f"{front_layer}-{end_layer}"
    if not resume:
        (folder / _CHECKPOINT).unlink(missing_ok=True)
    pair.check_layers()
    images = pair.images("train", data_root, limit), pair.images("test", data_root, limit)
    result = _stitch(pair, images, asked, settings, folder, _device(device))
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
    batch_size: CompareBatch = 256,
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
    _use_threads(threads)
    from netalike.stitching import comparison

    for method in methods:
        comparison.canonical_method(method)
    architectures = front_architecture or architecture, end_architecture or architecture
    pair = _Networks((front_model, end_model), architectures, (front_layer, end_layer), dataset)
    pair.check_layers()
    images = pair.images(split, data_root, limit)
    models = pair.models
    found = comparison.compare(
        *models, front_layer, end_layer, images, methods, group_at, batch_size, _device(device), resize
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
    batch_size: CompareBatch = 256,
    front: FrontFile = None,
    end: EndFile = None,
    limit: Limit = None,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compare a stitched activation with the one that it replaces."""
    _use_threads(threads)
    from netalike.stitching import comparison, results

    wanted = [m for m in methods if m not in _OF_THE_NETWORK]
    for method in wanted:
        comparison.canonical_method(method, also=_OF_THE_NETWORK)
    stored = results.load(result)
    chosen = stored.layer(stage)
    cut = results.open_networks(stored, front, end)
    images = _load_images(stored.data["dataset"], split, data_root, limit)
    target = _device(device)
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
    _use_threads(threads)
    if init_model in _NOT_STITCHES:
        raise NetalikeError(f"{init_model} is a network, not a matrix to start from: choose least_squares or after.")
    stage = _MATCHED.get(init_model, init_model)
    if (front or end) and len(stitches) > 1:
        raise NetalikeError("--front and --end name the networks of one stitch: match one RESULT at a time.")
    options = {"loss": loss, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    told = []
    for path in stitches:
        place = None if out_dir is None else (out_dir / path.name if len(stitches) > 1 else out_dir)
        found = _match(path, stage, options, (train_on, data_root, limit), (front, end), _device(device), place)
        told.append({"result": str(path), **found})
    _print_matches(as_json, told)


_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "stitch": (stitch_command, "in0-gn0.pt in1-gn1.pt bn3 bn3 -a tiny10 -d cifar10 -i least_squares -e 5"),
    "compare": (compare_command, "in0-gn0.pt in1-gn1.pt bn3 bn3 -a tiny10 -d cifar10 cka l2 ps_inv"),
    "compare-stitch": (compare_stitch_command, "results/first/bn3-bn3 after cka l2 accuracy"),
    "match": (match_command, "results/first/bn3-bn3 --loss cka --epochs 10"),
}


# --- networks and images --------------------------------------------------------------------------------------------


class _Networks:
    """The two networks that a command names, and the data set on which they are compared."""

    def __init__(
        self,
        paths: tuple[Path, Path],
        architectures: tuple[str | None, str | None],
        layers: tuple[str, str],
        dataset: str | None,
    ) -> None:
        from netalike import data, networks

        cards = [networks.read_card(path) if path.suffix == ".safetensors" else None for path in paths]
        said = next((card.dataset for card in reversed(cards) if card and card.dataset), _DATASET)
        self.paths, self.layers, self.dataset = paths, layers, dataset or said
        spec = data.specification(self.dataset)
        self.models: tuple[nn.Module, nn.Module]
        self.cards: tuple[Card, Card]
        loaded = []
        for path, card, name in zip(paths, cards, architectures, strict=True):
            size = (spec.channels, len(spec.classes) or None) if card is None else (None, None)
            loaded.append(networks.load(path, name, *size))
        (front, front_card), (end, end_card) = loaded
        self.models, self.cards = (front, end), (front_card, end_card)

    def images(self, split: str, root: Path, limit: int | None) -> ImageSet:
        """Load a split, and refuse it where the networks take other images."""
        from netalike.errors import ShapeError

        found = _load_images(self.dataset, split, root, limit)
        channels = found.inputs(0, 1).shape[1]
        for path, card in zip(self.paths, self.cards, strict=True):
            if card.channels != channels:
                raise ShapeError(
                    f"{path} takes images of {card.channels} channels, those of {self.dataset} have {channels}: "
                    f"choose another data set with -d{f' ({card.dataset})' if card.dataset else ''}."
                )
        return found

    def check_layers(self) -> None:
        """Refuse a layer that does not exist before anything runs."""
        for model, layer in zip(self.models, self.layers, strict=True):
            known = [name for name, _ in model.named_modules() if name]
            if layer not in known:
                kind = str(getattr(model, "architecture", type(model).__name__))
                raise unknown_name(f"layer of {kind}", layer, known, "`netalike layers` lists them.")

    def cut(self) -> tuple[Split, Split]:
        """Cut both networks at their layers."""
        from netalike.stitching.split import split

        self.check_layers()
        front, end = (split(model, layer) for model, layer in zip(self.models, self.layers, strict=True))
        return front, end


def _load_images(dataset: str, split: str, root: Path, limit: int | None) -> ImageSet:
    from netalike import data

    return data.load(dataset, _SPLITS.get(split, split), root, limit)


# --- one stitch -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stitch:
    """What kind of stitching layer is asked for."""

    init: str
    mask: str
    rank: int | None
    rank_start: str | None
    flatten: bool
    resize: bool

    @classmethod
    def of(
        cls, init: str, mask: str, rank: int | None, rank_start: Start | None, flatten: bool, resize: bool
    ) -> _Stitch:
        """Check what was given, old names included."""
        from netalike.stitching.names import canonical

        init, mask = canonical("init", init), canonical("mask", mask)
        if rank is None and rank_start is not None:
            raise NetalikeError("--rank-start says what factors start from: give a rank with --low-rank as well.")
        if mask != "identity" and (rank is not None or flatten):
            other = "--low-rank" if rank is not None else "--flatten"
            raise NetalikeError(f"the mask {mask} is of a full matrix over channels: leave out {other}, or the mask.")
        return cls(init, mask, rank, None if rank_start is None else rank_start.value, flatten, resize)

    @property
    def start(self) -> str:
        """What the matrix starts from."""
        if self.rank is None or self.rank_start is None:
            return self.init
        return self.rank_start


def _stitch(
    pair: _Networks,
    images: tuple[ImageSet, ImageSet],
    asked: _Stitch,
    settings: Settings,
    folder: Path,
    device: str,
) -> StitchResult:
    from netalike.stitching import report, results

    front, end = pair.cut()
    sides = _sides(pair, front, end, images[0])
    result = results.StitchResult(
        *sides,
        layers=_layers(front, end, sides, images[0], asked, settings, device),
        parameters={**_told(asked), **settings.model_dump(mode="json")},
        data=_data_facts(*images),
        provenance=results.provenance(shlex.join(["netalike", *sys.argv[1:]])),
        resize=asked.resize,
    )
    history = _train(front, end, result, images, settings, folder / _CHECKPOINT, device)
    result.snapshots, result.curve = history.snapshots, history.rows()
    # At once: whatever fails from here on, the training is not lost.
    results.save(folder, result)
    (folder / _CHECKPOINT).unlink(missing_ok=True)
    result.evaluation = _evaluate(front, end, result.layers, images[1], device, asked.resize)
    results.save(folder, result)
    report.write(result, folder)
    return result


def _train(
    front: Split,
    end: Split,
    result: StitchResult,
    images: tuple[ImageSet, ImageSet],
    settings: Settings,
    checkpoint: Path,
    device: str,
) -> History:
    from netalike.stitching.training import train_stitch

    try:
        return train_stitch(
            front, end, result.layers["after"], *images, settings, device, checkpoint, resize=result.resize
        )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command with --run-name goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None


def _evaluate(
    front: Split, end: Split, layers: Mapping[str, StitchingLayer], images: ImageSet, device: str, resize: bool
) -> Report:
    from netalike.stitching.evaluation import evaluate_stitch

    before, fitted = layers["before"], layers.get("least_squares")
    # Where training starts from least squares, one pass through the end network serves both.
    is_same = fitted is not None and _equal(before, fitted)
    found = evaluate_stitch(
        front, end, layers["after"], images, None if is_same else before, fitted, device=device, resize=resize
    )
    if not is_same:
        return found
    return replace(
        found,
        networks={**found.networks, "before": found.networks["least_squares"]},
        similarity={**found.similarity, "before": found.similarity["least_squares"]},
        hits={**found.hits, "end_before": found.hits["end_least_squares"]},
    )


def _equal(one: StitchingLayer, other: StitchingLayer) -> bool:
    import torch

    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


def _sides(pair: _Networks, front: Split, end: Split, images: ImageSet) -> tuple[Side, Side]:
    from netalike.stitching.results import side

    example = images.inputs(0, 1)
    one, two = (
        side(path, card, cut, cut.shape(example))
        for path, card, cut in zip(pair.paths, pair.cards, (front, end), strict=True)
    )
    return one, two


def _layers(
    front: Split,
    end: Split,
    sides: tuple[Side, Side],
    images: ImageSet,
    asked: _Stitch,
    settings: Settings,
    device: str,
) -> dict[str, StitchingLayer]:
    """Make the stitching layer before training, its copy that is to be trained, and that of least squares."""
    import copy

    import torch

    from netalike.stitching import masks
    from netalike.stitching.split import check_shapes
    from netalike.stitching.transform import StitchingLayer, initial

    shapes = sides[0].shape, sides[1].shape
    check_shapes(*shapes, asked.resize, asked.flatten)
    weights = math.prod(shapes[0] + shapes[1]) if asked.flatten else shapes[0][0] * shapes[1][0]
    _check_snapshots(weights, len(images), settings)
    blank = StitchingLayer(*shapes, flatten=asked.flatten)
    generator = torch.Generator().manual_seed(settings.seed)
    equations = _equations(front, end, blank, images, asked, device)
    correlation = equations.correlation() if equations is not None and asked.mask != "identity" else None
    mask = masks.mask(asked.mask, blank.inputs, blank.outputs, correlation, generator)
    weight, bias = initial(asked.start, blank.inputs, blank.outputs, generator, equations, asked.rank)
    form: dict[str, Any] = {"kind": blank.kind, "end_shape": blank.end_shape}
    before = StitchingLayer.from_matrix(weight, bias, rank=asked.rank, mask=mask, **form)
    layers = {"before": before, "after": copy.deepcopy(before)}
    if equations is not None:
        # Least squares of the same rank is what a matrix of low rank is to be compared with.
        solution = initial("least_squares", blank.inputs, blank.outputs, generator, equations, asked.rank)
        layers["least_squares"] = StitchingLayer.from_matrix(*solution, rank=asked.rank, **form)
    return layers


def _check_snapshots(weights: int, images: int, settings: Settings) -> None:
    """Refuse to keep so many snapshots of a matrix that they fill the memory; a map over all units is large."""
    count = images // settings.batch_size // settings.save_frequency + 2
    taken = 4 * weights * count / 1e9
    if taken > _SNAPSHOT_GB:
        raise NetalikeError(
            f"{count} snapshots of a matrix of {weights:,} weights take {taken:.1f} GB: give a larger --save-frequency "
            "(one above the steps of an epoch keeps the first and the last), or leave out --flatten."
        )


def _equations(
    front: Split, end: Split, blank: StitchingLayer, images: ImageSet, asked: _Stitch, device: str
) -> NormalEquations | None:
    """Fit least squares on the training images; not over so many units that nobody asked for it."""
    from netalike.stitching.least_squares import fit

    is_large = asked.flatten and max(blank.inputs, blank.outputs) > _MOST_FLATTENED_UNITS
    if is_large and asked.start != "least_squares":
        return None
    return fit(front, end, images, device=device, resize=asked.resize, flatten=asked.flatten)


def _told(asked: _Stitch) -> dict[str, Any]:
    return {
        "init": asked.start,
        "mask": asked.mask,
        "low_rank": asked.rank,
        "flatten": asked.flatten,
        "resize": asked.resize,
    }


def _data_facts(train_set: ImageSet, test_set: ImageSet) -> dict[str, Any]:
    return {
        "dataset": train_set.name,
        "training_images": len(train_set),
        "test_images": len(test_set),
        "training_sha256": train_set.fingerprint(),
        "test_sha256": test_set.fingerprint(),
    }


def _match(
    path: Path,
    stage: str,
    options: Mapping[str, Any],
    selection: tuple[str, Path, int | None],
    files: tuple[Path | None, Path | None],
    device: str,
    place: Path | None,
) -> dict[str, Any]:
    import copy

    from netalike.stitching import results
    from netalike.stitching.evaluation import evaluate_stitch
    from netalike.stitching.matching import match

    split, root, limit = selection
    stored = results.load(path)
    before = stored.layer(stage)
    cut = results.open_networks(stored, *files)
    images = _load_images(stored.data["dataset"], split, root, limit)
    test_set = _load_images(stored.data["dataset"], "test", root, limit)
    after = copy.deepcopy(before)
    history = match(*cut, after, images, device=device, resize=stored.resize, **options)
    scored = evaluate_stitch(*cut, after, test_set, before, device=device, resize=stored.resize)
    told = {"init_model": stage, "train_on": _SPLITS.get(split, split), **options, "train_loss": history.loss}
    for name in ("before", "after"):
        scores, likeness = scored.networks[name], scored.similarity[name]
        told |= {
            f"{name}_accuracy": scores.accuracy,
            f"{name}_cross_entropy": scores.cross_entropy,
            f"{name}_cka": likeness.cka,
            f"{name}_l2": likeness.l2,
        }
    if place is not None:
        results.save_match(place, after, told)
    return told


# --- settings, printing ---------------------------------------------------------------------------------------------


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _device(name: str) -> str:
    from netalike import networks

    return str(networks.resolve_device(name))


def _settings(given: dict[str, Any], optimizer: str) -> Settings:
    from pydantic import ValidationError

    from netalike.stitching.names import canonical
    from netalike.stitching.settings import Settings

    given = {**given, "optimizer": optimizer, "target": canonical("target", given["target"])}
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, got {e['input']!r}" for e in error.errors()]
        raise NetalikeError(f"unusable settings of a stitch: {'; '.join(faults)}.") from error


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content))


def _print_stitch(as_json: bool, folder: Path, result: StitchResult) -> None:
    assert result.evaluation is not None
    found = result.evaluation
    if as_json:
        _print_json({"result": str(folder), "report": str(folder / "report.html"), **found.to_dict()})
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
        _print_json({**about, **(scores or {}), "comparisons": [_as_dict(one) for one in found]})
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
        _print_json(told)
        return
    for one in told:
        losses = one["train_loss"]
        typer.echo(f"{one['result']}: {one['loss']} {_text(losses[0])} -> {_text(losses[-1])} in {len(losses)} epochs")
        for quantity in ("accuracy", "cross_entropy", "cka", "l2"):
            before, after = (_text(one[f"{name}_{quantity}"]) for name in ("before", "after"))
            typer.echo(f"  {quantity}: {before} -> {after}")


def _text(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "undefined"
    return f"{value:.2e}" if 0 < abs(value) < 5e-5 else f"{value:.4f}"
