"""`netalike compare-panel`: networks of the user's own under all families of measures, with a page.

Frameworks are imported inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netalike.cli_options import (
    AsJson,
    DataRoot,
    Device,
    Threads,
    complete,
    device_of,
    print_json,
    refuse_a_file,
    use_threads,
)
from netalike.errors import NetalikeError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from netalike.comparison import Member
    from netalike.data import ImageSet
    from netalike.experiments.given_networks import GivenNetwork

Networks = Annotated[
    list[str],
    typer.Argument(
        metavar="NETWORKS...",
        help="Two or more: weights, .safetensors with its card, or .pt, .pth, .th; or torchvision:NAME[:WEIGHTS], "
        "file:PATH.py:FUNCTION.",
        show_default=False,
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "-a", "--architecture", help="Of weights whose card does not say it.", autocompletion=complete("architecture")
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--dataset",
        help="On which they are compared: name, or folder:PATH.",
        show_default="that of the cards",
        autocompletion=complete("dataset"),
    ),
]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder of the page, the tables and the figures.")]
Layers = Annotated[
    list[str] | None,
    typer.Option("-l", "--layer", help="Exact name, glob, or blocks; may be given again.", show_default="blocks"),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        "-c",
        "--compare",
        help="Family of measures: representation, alignment, behaviour, gradients, stitching, inversion; may be given "
        "again.",
        show_default="all",
    ),
]
Images = Annotated[int, typer.Option("-n", "--images", min=16, help="The first so many test images.")]
Untrained = Annotated[bool, typer.Option(help="Also compare untrained networks of the same architectures.")]

_EXAMPLE = "Example: netalike compare-panel a.safetensors b.safetensors -o mine"
_SHOWN = (
    "cka/unbiased",
    "shared_variance/srm",
    "relative_accuracy/least_squares",
    "kernel_cka/unbiased",
    "inverted_cka/unbiased",
    "prediction_agreement/share",
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compare-panel", epilog=_EXAMPLE)(compare_panel_command)


def compare_panel_command(
    networks: Networks,
    architecture: Architecture = None,
    dataset: Dataset = None,
    output: Output = Path("panel"),
    layers: Layers = None,
    compare: Compare = None,
    n_images: Images = 500,
    untrained: Untrained = True,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    data_root: DataRoot = Path("resources"),
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compare networks by every family of measures, with controls; writes tables, figures and a page."""
    refuse_a_file(output)
    _check_families(compare or [])
    use_threads(threads)
    from netalike.experiments.given_networks import open_networks
    from netalike.experiments.panel_run import run_panel

    start = time.perf_counter()
    given, images = open_networks(networks, architecture, dataset, ("test", data_root, n_images), seed)
    panel = _panel(given, images, layers or ["blocks"], compare, untrained, seed)
    members, facts = _members(given, panel)
    train = _training_images(images, data_root, panel["stitching"]["n_train"])
    name, begun = output.resolve().name, output / "unfinished"
    done = run_panel(name, members, (train, images), {**panel, "facts": facts}, begun, device_of(device), not as_json)

    from netalike.panel_output import write_panel

    page = write_panel(name, done, panel, output, ["netalike", *sys.argv[1:]])
    shutil.rmtree(begun, ignore_errors=True)
    if as_json:
        print_json({"page": str(page), "seconds": time.perf_counter() - start, "pairs": _told(done.pairs)})
        return
    _print(done.pairs)
    typer.echo(f"Page: {page} (open it in a browser); tables: {output / 'tables'}; {time.perf_counter() - start:.0f} s")


def _check_families(compare: Sequence[str]) -> None:
    from netalike.experiments.panel_measures import FAMILIES

    for family in compare:
        if family not in FAMILIES:
            raise unknown_name("family of measures", family, FAMILIES)


def _panel(
    given: Sequence[GivenNetwork],
    images: ImageSet,
    layers: Sequence[str],
    compare: Sequence[str] | None,
    untrained: bool,
    seed: int,
) -> dict[str, Any]:
    """The panel as the workflow would have it, with the defaults of its configuration."""
    from netalike.configuration.panels import Panel

    controls = ["permuted_samples", "permuted_units", "noise", *(["untrained"] if untrained else [])]
    chosen = {"compare": compare} if compare else {}
    settings = Panel.model_validate(
        {
            "dataset": images.name,
            "networks": [network.name for network in given],
            "layers": list(layers),
            "n_images": len(images),
            "batch_size": len(images) if len(images) < 128 else 125,
            "controls": controls,
            **chosen,
        }
    ).model_dump(mode="json")
    return {**settings, "members": _families(given), "recorded": {}, "seed": seed}


def _families(given: Sequence[GivenNetwork]) -> dict[str, str]:
    """Networks of one architecture and training are one family."""
    kinds: dict[tuple[str, str], str] = {}
    found = {}
    for network in given:
        kind = (_architecture(network), _training(network))
        same = [family for (architecture, _), family in kinds.items() if architecture == kind[0]]
        kinds.setdefault(kind, kind[0] if not same else f"{kind[0]}-{len(same) + 1}")
        found[network.name] = kinds[kind]
    return found


def _architecture(network: GivenNetwork) -> str:
    return network.card.architecture if network.card else type(network.model).__name__


def _training(network: GivenNetwork) -> str:
    from netalike.experiments.panel_run import facts_of_card

    return str(facts_of_card(network.card, "")["training"]) if network.card else ""


def _members(given: Sequence[GivenNetwork], panel: Mapping[str, Any]) -> tuple[list[Member], dict[str, dict[str, Any]]]:
    """The networks and their untrained twins, as far as a card says how to build one, and what is known of each."""
    from netalike import comparison, networks
    from netalike.experiments.panel_run import facts_of_card
    from netalike.measures.panel import UNTRAINED

    found, twins, drawn = [], [], set[tuple[str, int]]()
    facts: dict[str, dict[str, Any]] = {}
    told = {"task": "classes", "dataset": panel["dataset"], "training": "", "eps": 0.0, "augment": None}
    twinned = comparison.twinned(panel)
    for network in given:
        family = panel["members"][network.name]
        layers = networks.select_layers(network.model, panel["layers"])
        found.append(comparison.Member(network.name, network.model.eval(), layers))
        facts[network.name] = {**told, "family": family, "architecture": family}
        if network.card:
            facts[network.name] = facts_of_card(network.card, family)
        if network.name in twinned:
            twin = _twin(network, drawn)
            twins.append(comparison.Member(network.name + UNTRAINED, twin.eval(), layers))
    return found + twins, facts


def _twin(network: GivenNetwork, drawn: set[tuple[str, int]]) -> Any:
    from netalike import comparison

    if network.card is None:
        raise NetalikeError(
            f"{network.given} has no card, so that nobody knows how to build an untrained network like it: give "
            "--no-untrained, or save the network with its card (netalike.networks.save)."
        )
    return comparison.untrained_twin(network.card, drawn)


def _training_images(images: ImageSet, root: Path, n_train: int) -> ImageSet:
    from netalike import data

    return data.load(images.name, "train", root, limit=n_train)


def _told(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    kept = pairs[["network_a", "network_b", "pair", "measure", "value", "low", "high", "status"]]
    return [{str(key): value for key, value in row.items()} for row in kept.to_dict("records")]


def _print(pairs: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    from netalike.experiments.panel_measures import PANEL_MEASURES, TRAINED

    shown = [key for key in _SHOWN if key in set(pairs["measure"])]
    table = Table(title="Pairs of networks, and means of the controls (1: as alike as can be)", title_justify="left")
    table.add_column("networks")
    for key in shown:
        table.add_column(PANEL_MEASURES[key].label, justify="right")
    own = pairs[pairs["pair"].isin(TRAINED)]
    for (a, b), rows in own.groupby(["network_a", "network_b"], sort=False):
        table.add_row(f"{a}\n{b}", *_cells(rows, shown), end_section=True)
    for kind, rows in pairs[~pairs["pair"].isin(TRAINED)].groupby("pair", sort=False):
        table.add_row(str(kind).replace("_", " "), *_cells(rows, shown))
    Console().print(table)


def _cells(rows: pd.DataFrame, measures: Sequence[str]) -> list[str]:
    means = rows.groupby("measure")["value"].mean()
    return [f"{means[key]:.3f}" if key in means.index and means[key] == means[key] else "-" for key in measures]
