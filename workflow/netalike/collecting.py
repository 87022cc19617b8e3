"""Bring everything that a run downloads into place, on a machine with a network: ``python -m netalike.collecting``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netalike.errors import NetalikeError

if TYPE_CHECKING:
    from netalike.configuration.models import Configuration
    from netalike.data.place import Place


def collect(settings: Configuration, show: Callable[[str], None] = print) -> list[str]:
    """Fetch and check all data sets, published networks and pretrained weights of a configuration.

    Parameters
    ----------
    settings : Configuration
        Its section `data` says where to, and from which mirror; with `data.offline` a mirror folder alone is asked.
    show : callable
        Is given one line for each thing that is in place.

    Returns
    -------
    list of str
        What could not be had, each with what to do; empty if everything is in place. One that fails stops no other.

    Notes
    -----
    What is there and right is left alone: a second call takes seconds.
    """
    from netalike.data.place import place_of

    place = place_of(settings.data.model_dump(mode="json"))
    failed = []
    for name, bring in _errands(settings, place):
        try:
            show(f"{name}: {bring()}")
        except NetalikeError as error:
            failed.append(f"{name}: {error}")
    return failed


def _errands(settings: Configuration, place: Place) -> Iterator[tuple[str, Callable[[], str]]]:
    trained_on = [family.dataset for family in settings.networks.values()]
    for name in dict.fromkeys([*settings.datasets(), *trained_on]):
        yield f"data set {name}", lambda name=name: _dataset(name, place)  # type: ignore[misc]
    for family in settings.networks.values():
        if family.learning is not None:
            continue
        weights, architecture = family.weights or "", family.architecture
        if weights.startswith("published:"):
            yield weights, lambda name=weights: _published(name.removeprefix("published:"), place)  # type: ignore[misc]
        elif architecture.startswith("torchvision:") and architecture.count(":") == 2:
            yield architecture, lambda name=architecture: _pretrained(name)  # type: ignore[misc]


def _dataset(name: str, place: Place) -> str:
    from netalike.data.fetching import fetch

    if name == "aerial":
        from netalike.data.aerial import fetch_aerial

        return f"in {fetch_aerial(place.root, place.mirror, place.offline)}"
    files = fetch(name, place.root, place.mirror, place.offline)
    return f"{len(files)} files in {place.root}" if files else "nothing to fetch"


def _published(name: str, place: Place) -> str:
    from netalike.networks.importing import fetch_published
    from netalike.networks.robust_checkpoints import fetch_robust
    from netalike.networks.robust_names import is_robust_name

    if is_robust_name(name):
        return f"in {fetch_robust(name, place.root, place.mirror, place.offline)}"
    fetch_published(f"published:{name}", place)
    return f"in {place.root}"


def _pretrained(architecture: str) -> str:
    import torch

    from netalike.networks.registry import build

    # torchvision keeps what it downloads
    build(architecture, 3, 1000, seed=0)
    return f"in {torch.hub.get_dir()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect what a configuration needs.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default; ``--help`` lists them.

    Returns
    -------
    int
        Exit status: 0 if everything is in place, else 1.
    """
    import argparse

    from netalike import configuration

    parser = argparse.ArgumentParser(prog="python -m netalike.collecting", description=__doc__)
    parser.add_argument("--configfile", type=Path, help="the preset quick by default")
    parser.add_argument("--preset", help="instead of the preset that the file names")
    given = parser.parse_args(arguments)
    try:
        values = dict(configuration.read(given.configfile)) if given.configfile else {}
        settings = configuration.load({**values, "preset": given.preset} if given.preset else values)
    except NetalikeError as error:
        parser.exit(2, f"error: {error}\n")
    failed = collect(settings)
    for line in failed:
        print(f"missing: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
