"""`netalike align`: what networks share, by a shared response model, from files of activations or from networks.

Frameworks are imported inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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
    ForwardBatch,
    Limit,
    Threads,
    complete,
    device_of,
    print_json,
    refuse_a_file,
    use_threads,
)
from netalike.cli_options import (
    in_digits as _text,
)
from netalike.errors import NetalikeError

if TYPE_CHECKING:
    from netalike.experiments.given_activations import GivenActivations
    from netalike.experiments.given_alignment import GivenAlignment


class Method(StrEnum):
    """The two models of a shared response."""

    probabilistic = "probabilistic"
    deterministic = "deterministic"


class Center(StrEnum):
    """What becomes of the mean of each unit."""

    mean = "mean"
    brainiak = "brainiak"


class Implementation(StrEnum):
    """Whose code fits the model."""

    netalike = "netalike"
    brainiak = "brainiak"


class Rsm(StrEnum):
    """How the patterns of two images are compared."""

    pearson = "pearson"
    cosine = "cosine"
    centred_kernel = "centred_kernel"


Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILES...",
        help="Activations of one network each: .npy, .npz, .safetensors, or the folder of a recording.",
        show_default=False,
    ),
]
Network = Annotated[
    list[str] | None,
    typer.Option(
        "-n",
        "--network",
        metavar="FILE",
        help="In place of FILES, once for each network: weights, .safetensors with its card, or .pt, .pth, .th; or "
        "torchvision:NAME[:WEIGHTS], file:PATH.py:FUNCTION.",
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "-a",
        "--architecture",
        help="Of the networks; needed where no card says it.",
        autocompletion=complete("architecture"),
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--dataset",
        help="On which networks are compared: name, or folder:PATH.",
        show_default="that of the cards",
        autocompletion=complete("dataset"),
    ),
]
Layer = Annotated[
    list[str] | None,
    typer.Option(
        "-l",
        "--layer",
        help="Exact name, glob, or blocks (of networks); may be given again.",
        show_default="of files, all that they share",
    ),
]
Split = Annotated[str, typer.Option("-t", "--split", help="Of the data set: train or test.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Class of each image, .npy, .txt or .csv: sorts the images and draws borders in the figures.",
        show_default="those of the recording or data set",
    ),
]
Features = Annotated[
    int | None,
    typer.Option(
        "-k",
        "--features",
        min=1,
        help="Of the shared response.",
        show_default="as many as the narrowest network has units: rotations",
    ),
]
MethodChoice = Annotated[Method, typer.Option(help="Which model is fitted; probabilistic is the published one.")]
CenterChoice = Annotated[
    Center | None,
    typer.Option(
        help="mean: each unit's mean is subtracted everywhere; brainiak: it is left in, as published.",
        show_default="mean, or brainiak with --implementation brainiak",
    ),
]
Iterations = Annotated[int, typer.Option(min=1, help="Rounds in which the model is fitted.")]
ImplementationChoice = Annotated[Implementation, typer.Option(help="Whose code fits the model.")]
HeldOut = Annotated[float, typer.Option(metavar="SHARE", help="Of the images: not fitted to, all is measured on them.")]
RsmChoice = Annotated[
    list[Rsm] | None,
    typer.Option(
        "--rsm",
        metavar="KIND",
        help="pearson (published), cosine or centred_kernel (which a rotation leaves as they are); may be given again.",
        show_default="pearson and centred_kernel",
    ),
]
MaxUnits = Annotated[
    int, typer.Option(min=1, help="Of a layer with more units so many are kept, the same in all networks.")
]
ZScore = Annotated[
    bool, typer.Option(help="Bring each image's pattern to mean 0 and variance 1 across units, as published.")
]
Controls = Annotated[bool, typer.Option(help="Also align with shuffled images in one network, and noise.")]
SaveAligned = Annotated[
    bool, typer.Option("--save-aligned", help="Also write the activations in the shared space, .npy per network.")
]
OutDir = Annotated[Path, typer.Option("-o", "--out-dir", "--output", help="Folder of the bases, tables and figures.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the held-out images, the units kept, the model and the intervals.")]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the command line."""
    example = "netalike align -n in0-gn0.pt -n in1-gn1.pt -a tiny10 -d cifar10 -l bn3 --limit 2000 --data resources"
    app.command("align", epilog=f"Example: {example}")(align_command)


def align_command(
    files: Files = None,
    network: Network = None,
    dataset: Dataset = None,
    layer: Layer = None,
    architecture: Architecture = None,
    split: Split = "test",
    limit: Limit = None,
    labels: Labels = None,
    features: Features = None,
    method: MethodChoice = Method.probabilistic,
    center: CenterChoice = None,
    iterations: Iterations = 10,
    implementation: ImplementationChoice = Implementation.netalike,
    held_out: HeldOut = 0.2,
    rsm: RsmChoice = None,
    max_units: MaxUnits = 1000,
    z_score: ZScore = True,
    controls: Controls = True,
    save_aligned: SaveAligned = False,
    out_dir: OutDir = Path("alignment"),
    seed: Seed = 0,
    batch_size: ForwardBatch = 250,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Align networks by a shared response, and measure what they share on held-out images."""
    asked = _Asked(files or [], network or [], layer or [], dataset, architecture, labels)
    asked.check(limit)
    study = {
        "fit_share": _fit_share(held_out),
        "features": features,
        "method": method.value,
        "implementation": implementation.value,
        "centers": (_center(center, implementation),),
        "iterations": iterations,
        "rsms": tuple(dict.fromkeys(kind.value for kind in rsm or (Rsm.pearson, Rsm.centred_kernel))),
        "z_score": z_score,
        "controls": ("shuffled", "noise") if controls else (),
    }
    _use_threads(threads, bool(asked.networks))
    from netalike import alignment_output

    refuse_a_file(out_dir)
    started = time.perf_counter()
    found, told = asked.align(study, (split, data_root, limit), (max_units, seed, batch_size), device)
    settings = {**study, "held_out": held_out, "max_units": max_units, "seed": seed}
    summary = {**told, **_settings(settings), "seconds": round(time.perf_counter() - started, 2), **_origin()}
    names = alignment_output.write(out_dir, found, summary, save_aligned)
    if as_json:
        print_json({"out_dir": str(out_dir), **summary, "files": names})
    else:
        _print(out_dir, summary, names)


# --- what is aligned ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """What the user named: files, or networks and a data set."""

    files: Sequence[Path]
    networks: Sequence[str]
    layers: Sequence[str]
    dataset: str | None
    architecture: str | None
    labels: Path | None

    def check(self, limit: int | None) -> None:
        """Refuse what does not go together, before anything is read."""
        if self.files and self.networks:
            raise NetalikeError("FILES and --network are both given: align files of activations, or networks.")
        if not self.files and not self.networks:
            raise NetalikeError(
                "nothing to align: give files of activations (netalike align a.npy b.npy), or networks and a data set "
                "(-n A -n B -d DATASET -l LAYER)."
            )
        if self.networks and not self.layers:
            raise NetalikeError("no layer is named: give -l LAYER (`netalike layers` lists them), or -l blocks.")
        of_networks = {"--dataset": self.dataset, "--architecture": self.architecture, "--limit": limit}
        for option, value in of_networks.items():
            if self.files and value is not None:
                raise NetalikeError(f"{option} belongs to --network: activations in files are taken as they are.")

    def align(
        self,
        study: Mapping[str, Any],
        selection: tuple[str, Path, int | None],
        sizes: tuple[int, int, int],
        device: str,
    ) -> tuple[GivenAlignment, dict[str, Any]]:
        """Read or record the activations, align them, and say in numbers what was found."""
        from netalike import alignment_output
        from netalike.experiments.given_alignment import align_given, check_study

        max_units, seed, _ = sizes
        check_study(study, seed)
        try:
            given = self.record(selection, sizes, device) if self.networks else self.read(max_units, seed)
            found = align_given(given, study, seed)
        except KeyboardInterrupt:
            typer.echo("stopped; nothing was written.", err=True)
            raise typer.Exit(130) from None
        return found, alignment_output.facts(found, given)

    def read(self, max_units: int, seed: int) -> list[GivenActivations]:
        """Read the files."""
        from netalike.activations.files import open_activations, read_labels
        from netalike.experiments.given_activations import read_activations, refuse_one

        opened = open_activations(self.files)
        refuse_one([str(file.path) for file in opened])
        labels = None if self.labels is None else read_labels(self.labels)
        return read_activations(opened, self.layers, labels, max_units, seed)

    def record(
        self, selection: tuple[str, Path, int | None], sizes: tuple[int, int, int], device: str
    ) -> list[GivenActivations]:
        """Run the networks."""
        from dataclasses import replace

        from netalike.activations.files import read_labels
        from netalike.experiments.given_activations import check_labels
        from netalike.experiments.given_networks import open_networks, record_networks

        max_units, seed, batch_size = sizes
        labels = None if self.labels is None else read_labels(self.labels)
        target = device_of(device)
        opened, images = open_networks(self.networks, self.architecture, self.dataset, selection, seed)
        if labels is not None:
            check_labels(labels, len(images), opened[0].given)
        found = record_networks(opened, images, self.layers, max_units, seed, batch_size, target)
        return found if labels is None else [replace(one, labels=labels) for one in found]


def _fit_share(held_out: float) -> float:
    if not 0 < held_out < 1:
        raise NetalikeError(f"--held-out {held_out:g}: expected a share between 0 and 1, such as 0.2.")
    return 1 - held_out


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as the options call them."""
    return {"center": given["centers"][0], **{k: v for k, v in given.items() if k not in ("centers", "fit_share")}}


def _origin() -> dict[str, str]:
    return {"command": shlex.join(["netalike", *sys.argv[1:]]), "version": netalike.__version__}


def _center(center: Center | None, implementation: Implementation) -> str:
    if center is None:
        return "brainiak" if implementation is Implementation.brainiak else "mean"
    return center.value


def _use_threads(threads: int | None, is_torch: bool) -> None:
    """Limit the products of matrices, and PyTorch where networks are run."""
    if threads is None:
        return
    if is_torch:
        use_threads(threads)
    import numpy  # noqa: F401 (only a library that is loaded can be told)

    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]
    except ModuleNotFoundError as error:
        raise NetalikeError(
            "--threads needs threadpoolctl: pip install threadpoolctl, or set OMP_NUM_THREADS."
        ) from error
    threadpool_limits(threads)


# --- printing -------------------------------------------------------------------------------------------------------


def _print(folder: Path, summary: Mapping[str, Any], files: Sequence[str]) -> None:
    where = f" of {summary['dataset']} ({summary['split']})" if summary["dataset"] else ""
    typer.echo(
        f"{len(summary['networks'])} networks on {summary['n']:,} images{where}: fitted to {summary['n_fit']:,}, "
        f"measured on {summary['n_held_out']:,} held-out images"
    )
    for layer, told in summary["layers"].items():
        typer.echo("")
        for line in _lines(layer, told, summary):
            typer.echo(line)
    if len(summary["networks"]) < 3:
        typer.echo("\nno intervals over networks: these need 3 networks")
    typer.echo(f"{summary['seconds']:.1f} s; written to {folder}: {', '.join(files)}")


def _lines(layer: str, told: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[str]:
    if "undefined" in told:
        yield f"layer {layer}: undefined: {told['undefined']}"
        return
    yield f"layer {layer}: {_units(told)}, {told['features']:,} features; {_model(summary)}"
    labels = [*summary["networks"], *(f"control: {name.replace('_', ' ')}" for name in told["controls"])]
    width = max(28, *(len(label) + 2 for label in labels))
    yield f"{'variance explained':{width}}{'by the mean of all':>22}{'by the mean of the others':>28}"
    for name in summary["networks"]:
        yield _variance_line(name, [values[name] for values in told["variance_explained"].values()], width)
    for name, by_estimator in told["controls"].items():
        means = [_mean(list(values.values())) for values in by_estimator.values()]
        yield _variance_line(f"control: {name.replace('_', ' ')}", means, width)
    yield f"{'similarity of similarities':{width}}{'before alignment':>22}{'after alignment':>28}"
    for kind, spaces in told["second_order_similarity"].items():
        yield f"{kind:{width}}{_similarity(spaces.get('before')):>22}{_similarity(spaces.get('after')):>28}"
    consistencies = ", ".join(f"{kind} {_text(value)}" for kind, value in told["consistency"].items())
    yield f"consistency of the networks' own similarities: {consistencies}"


def _units(told: Mapping[str, Any]) -> str:
    pairs = {(told["units"][name], told["units_kept"][name]) for name in told["units"]}
    if len(pairs) > 1:
        low, high = min(kept for _, kept in pairs), max(kept for _, kept in pairs)
        return f"{low:,} to {high:,} units" if low < high else f"{low:,} units kept of each network"
    ((width, kept),) = pairs
    return f"{kept:,} units" if kept == width else f"{kept:,} of {width:,} units"


def _model(summary: Mapping[str, Any]) -> str:
    means = "means subtracted" if summary["center"] == "mean" else "means left in, as published"
    theirs = " by BrainIAK" if summary["implementation"] == "brainiak" else ""
    return f"{summary['method']}{theirs}, {means}"


def _variance_line(label: str, values: Sequence[float | None], width: int) -> str:
    all_of_them, others = (_text(value) for value in values)
    return f"{label:{width}}{all_of_them:>22}{others:>28}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _similarity(told: Mapping[str, Any] | None) -> str:
    if told is None or told["value"] is None:
        return "undefined"
    if told["low"] is None:
        return _text(told["value"])
    return f"{told['value']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"
