"""What must fit where networks are compared: in a panel, and in a study of a paper."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from netalike.configuration.common_checks import Known, check_dataset, check_repeated
from netalike.configuration.fields import patterns_of
from netalike.configuration.models import NetworkFamily
from netalike.configuration.names import BLOCKS, layer_names, matching_layers
from netalike.configuration.panels import Panel
from netalike.configuration.papers import OfNetworks, OnImages
from netalike.configuration.problems import NOTHING, Path, Problem
from netalike.configuration.studies import Demonstration
from netalike.errors import nearest

MINIMUM_PAIRS = 8
"""Pairs of images that an inversion takes at least."""
MINIMUM_BATCH = 4
"""Images that the unbiased estimator of HSIC needs."""


def check_panel(path: Path, panel: Panel, known: Known) -> Iterator[Problem]:
    """Find every mistake of a panel; see `checks.check`."""
    yield from check_dataset((*path, "dataset"), panel.dataset, known)
    for key in ("networks", "keras", "compare", "seeds", "controls", "estimators", "measures"):
        yield from check_repeated((*path, key), getattr(panel, key) or ())
    if not (panel.networks or panel.keras or panel.recordings):
        fitting = [name for name, family in known.configuration.networks.items() if family.dataset == panel.dataset]
        what, allowed = "nobody takes part", "families of the section networks; or give keras, or recordings"
        yield Problem((*path, "networks"), what, [], allowed, fitting[:2] or None, None, None if fitting else path)
    yield from check_unknown_families(path, panel, known)
    for place, name, family in members(panel, known):
        yield from _check_panel_dataset((*path, "networks", place), panel, name, family, known)
        yield from check_member(path, panel, name, family, known)
    yield from check_layer_families(path, panel, known)
    yield from check_images(path, panel, panel.dataset, known)
    yield from _check_inverted_pairs(path, panel)
    yield from _check_keras(path, panel, known)
    yield from _check_recordings(path, panel, known)


def members(compared: Panel | OfNetworks, known: Known) -> Iterator[tuple[int, str, NetworkFamily]]:
    """Return place, name and settings of each family that has no mistakes of its own."""
    families = known.configuration.networks
    return ((place, name, families[name]) for place, name in enumerate(compared.families) if name in families)


def noun(path: Path) -> str:
    """Return what a message calls the thing that compares networks."""
    return "panel" if path[0] == "panels" else "study"


def check_unknown_families(path: Path, compared: Panel | OfNetworks, known: Known) -> Iterator[Problem]:
    """Find families that do not exist."""
    for place, name in enumerate(compared.families):
        if name not in known.families:
            families = ", ".join(known.families) or "(there is none)"
            allowed = f"a family of the section networks: {families}; or null for the whole {noun(path)}, to remove it"
            what = "unknown family of networks"
            yield unfit_family(path, compared, place, what, allowed, known.families, (("networks",),))


def unfit_family(
    path: Path,
    compared: Panel | OfNetworks,
    place: int,
    what: str,
    allowed: str,
    fitting: Collection[str],
    relies_on: tuple[Path, ...] = (),
) -> Problem:
    """Make the problem of a family that does not fit: its place goes to the nearest that does, or it is left out.

    Parameters
    ----------
    path : tuple
        Of the panel or study.
    compared : Panel or study
    place : int
        Of the family in `compared.families`.
    what, allowed, relies_on
        As in `Problem`.
    fitting : collection of str
        Families that may stand there; where nothing is left to compare, the panel or study goes as a whole.
    """
    name = compared.families[place]
    near = nearest(name, fitting)
    alone = isinstance(compared.networks, str)
    here: Path = (*path, "networks") if alone else (*path, "networks", place)
    write = _fitting_networks(compared, name, near, fitting)
    if write is not None:
        return Problem(here, what, name, allowed, write, near, (*path, "networks"), relies_on)
    what = f"{what}; name one that fits, or remove the {noun(path)}"
    return Problem(here, what, name, allowed, None, near, path, relies_on)


def _fitting_networks(
    compared: Panel | OfNetworks, name: str, near: str | None, fitting: Collection[str]
) -> str | list[str] | None:
    """The networks with another one in place of `name`, or without it; None where nothing is left."""
    if isinstance(compared.networks, str):
        return near or next(iter(fitting), None)
    kept = [near if other == name and near else other for other in compared.networks]
    kept = [other for other in dict.fromkeys(kept) if other in fitting]
    if isinstance(compared, Demonstration):
        kept = list(dict.fromkeys([*kept, *fitting]))[:2]
        return kept if len(kept) == 2 else None
    return kept or None


def check_member(
    path: Path, compared: Panel | OnImages, name: str, family: NetworkFamily, known: Known
) -> Iterator[Problem]:
    """Find seeds that a family lacks, and patterns that match none of its layers."""
    if compared.seeds is not None and not set(compared.seeds) & set(family.seeds):
        what = f"the family {name} has none of these seeds"
        yield Problem((*path, "seeds"), what, list(compared.seeds), f"some of {list(family.seeds)}", None)
    yield from _check_patterns(path, compared, name, family, known)


def _check_panel_dataset(path: Path, panel: Panel, name: str, family: NetworkFamily, known: Known) -> Iterator[Problem]:
    ours, theirs = known.facts.get(panel.dataset), known.facts.get(family.dataset)
    if family.dataset == panel.dataset or ours is None or theirs is None:
        return
    what = f"the family is on {family.dataset}, the panel on {panel.dataset}"
    if ours.channels != theirs.channels:
        others = [n for n in panel.networks if n != name]
        write = ("dataset", family.dataset) if not others else ("networks", others)
        yield Problem(
            path,
            f"{what}, whose images have {_channels(ours.channels)} and not {theirs.channels}",
            name,
            "families on data sets with as many channels as the panel's",
            write[1],
            instead=(*path[:2], write[0]),
        )
    elif not panel.across_datasets:
        across = (*path[:2], "across_datasets")
        allowed = f"families on {panel.dataset}, or across_datasets: true"
        yield Problem(path, what, name, allowed, True, None, across, relies_on=(across,))


def _check_keras(path: Path, panel: Panel, known: Known) -> Iterator[Problem]:
    """Find Keras networks that are not there, or are recorded on other images than the panel's."""
    studies = known.configuration.shared_response.alignments
    for place, name in enumerate(panel.keras):
        here = (*path, "keras", place)
        if name not in studies:
            fitting = [other for other, study in studies.items() if study.dataset == panel.dataset]
            near = nearest(name, fitting)
            allowed = (
                f"a study of shared_response.alignments on {panel.dataset}: {', '.join(fitting) or '(there is none)'}"
            )
            write = list(dict.fromkeys([near or fitting[0]])) if fitting else None
            place_of_list, relies_on = (*path, "keras"), (("shared_response", "alignments"),)
            whole = write is None and not (panel.networks or panel.recordings)
            instead = path if whole else place_of_list
            yield Problem(
                here,
                "unknown study of Keras networks",
                name,
                allowed,
                write or (None if whole else []),
                near,
                instead,
                relies_on,
            )
        elif studies[name].dataset != panel.dataset:
            what = f"the study is on {studies[name].dataset}, the panel on {panel.dataset}"
            theirs = studies[name].dataset
            yield Problem(here, what, name, "studies on the panel's data set", theirs, None, (*path, "dataset"))
    if panel.keras and (panel.networks or panel.recordings):
        what = "Keras networks are recorded on images of their own choice, so that no others can be compared with them"
        allowed = "keras, or networks and recordings; a second panel for the others"
        yield Problem((*path, "keras"), what, list(panel.keras), allowed, [])


def _check_inverted_pairs(path: Path, panel: Panel) -> Iterator[Problem]:
    """Find more pairs of images to invert than there are images."""
    pairs, n_images = panel.inversion.pairs, panel.n_images
    if not panel.has("inversion") or pairs <= n_images:
        return
    here, relies_on = (*path, "inversion", "pairs"), ((*path, "n_images"), (*path, "inversion", "pairs"))
    what = f"more pairs than the panel has images, which are {n_images}"
    if n_images < MINIMUM_PAIRS:
        allowed = "without the family inversion where there are so few"
        rest = [family for family in panel.compare if family != "inversion"]
        yield Problem(here, what, pairs, allowed, rest, None, (*path, "compare"), relies_on)
    else:
        allowed = f"a whole number from {MINIMUM_PAIRS} to {n_images}"
        yield Problem(here, what, pairs, allowed, n_images, relies_on=relies_on)


def _check_recordings(path: Path, panel: Panel, known: Known) -> Iterator[Problem]:
    """Find recordings that are called as networks are."""
    taken = known.configuration.network_ids()
    for name, file in panel.recordings.items():
        if name in taken:
            what, allowed = "a network of the section networks has this name", "any other name"
            instead = (*path, "recordings", f"my-{name}")
            yield Problem((*path, "recordings", name), what, file, allowed, file, None, instead)


def _check_patterns(
    path: Path, compared: Panel | OnImages, name: str, family: NetworkFamily, known: Known
) -> Iterator[Problem]:
    layers = layer_names(family.architecture)
    mapped = isinstance(compared.layers, dict)
    if layers is None or (mapped and name not in compared.layers):
        return
    here = (*path, "layers", name) if mapped else (*path, "layers")
    patterns = patterns_of(compared.layers, name)
    for place, pattern in enumerate(patterns):
        if pattern != BLOCKS and not matching_layers(layers, pattern):
            near = nearest(pattern, layers)
            alone = mapped or len(compared.families) == 1
            write: object = _better(patterns, layers) if alone else _better_layers(compared, known)
            yield Problem(
                (*here, place),
                f"matches no layer of {family.architecture} (family {name})",
                pattern,
                f"blocks, a glob, or one of {', '.join(layers)}",
                write,
                near,
                here,
            )


def _better_layers(compared: Panel | OnImages, known: Known) -> dict[str, list[str]]:
    return {
        name: _better(patterns_of(compared.layers, name), layer_names(family.architecture))
        for _, name, family in members(compared, known)
    }


def _better(patterns: Sequence[str], layers: Sequence[str] | None) -> list[str]:
    """Put the nearest layer for a pattern that matches none, or leave it out."""
    if layers is None:
        return list(patterns)
    fitting = [
        pattern if pattern == BLOCKS or matching_layers(layers, pattern) else nearest(pattern, layers)
        for pattern in patterns
    ]
    return list(dict.fromkeys(pattern for pattern in fitting if pattern)) or [BLOCKS]


def check_layer_families(path: Path, compared: Panel | OnImages, known: Known) -> Iterator[Problem]:
    """Find layers of families that do not exist, and families without layers."""
    if not isinstance(compared.layers, dict):
        return
    families = compared.families
    for family in compared.layers:
        # a family that the user took out of the panel may keep its layers
        if family not in known.families and family not in families:
            near = nearest(family, families)
            what, allowed = "unknown family of networks", f"one of {', '.join(families)}"
            write = {near or families[0]: list(compared.layers[family])}
            yield Problem((*path, "layers", family), what, family, allowed, write, near, (*path, "layers"))
    for family in families:
        if family not in compared.layers:
            allowed = f"a list of layers for each family of the {noun(path)}"
            yield Problem((*path, "layers", family), "missing", NOTHING, allowed, [BLOCKS])


def check_images(path: Path, compared: Panel | OfNetworks, dataset: str, known: Known) -> Iterator[Problem]:
    """Find more images than the test split has, and a last batch that is too short."""
    facts = known.facts.get(dataset)
    size = None if facts is None else facts.test_images
    n_images = compared.n_images
    if size is not None and n_images > size:
        allowed = f"a whole number from {MINIMUM_BATCH} to {size}, the images in the test split of {dataset}"
        yield Problem((*path, "n_images"), "more images than there are", n_images, allowed, size)
        n_images = size
    yield from check_last_batch(path, n_images, "n_images", compared.batch_size)


def check_last_batch(path: Path, n_images: int, key: str, batch_size: int) -> Iterator[Problem]:
    """Find a last batch that is too short for the unbiased estimator, of the images that a key counts."""
    last = n_images % batch_size or min(batch_size, n_images)
    if last < MINIMUM_BATCH:
        yield Problem(
            (*path, "batch_size"),
            f"the last batch of {n_images} images would have {last}",
            batch_size,
            f"a size at which every batch has at least {MINIMUM_BATCH} images",
            _batch_size_near(n_images, batch_size),
            relies_on=((*path, key), (*path, "batch_size")),
        )


def _channels(count: int) -> str:
    return f"{count} channel{'s' * (count > 1)}"


def _batch_size_near(n_images: int, given: int) -> int:
    fitting = (size for size in range(MINIMUM_BATCH, n_images + 1) if (n_images % size or size) >= MINIMUM_BATCH)
    return min(fitting, key=lambda size: abs(size - given))
