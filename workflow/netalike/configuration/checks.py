"""What must fit together across the sections of a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netalike.configuration.models import PUBLISHED, Configuration, NetworkFamily, Panel
from netalike.configuration.names import (
    ARCHITECTURES,
    BLOCKS,
    COLLECTIONS,
    DATASETS,
    DatasetFacts,
    is_architecture,
    is_pretrained,
    layer_names,
    matching_layers,
)
from netalike.configuration.problems import NOTHING, Path, Problem, look_up
from netalike.errors import nearest

MINIMUM_BATCH = 4
"""Images that the unbiased estimator of HSIC needs."""

_FOLDERS: tuple[Path, ...] = (("data",), ("data", "folders"))


def check(configuration: Configuration, values: Mapping[str, Any]) -> list[Problem]:
    """Return every mistake that the sections make together.

    Parameters
    ----------
    configuration : Configuration
        What could be validated by itself.
    values : mapping
        The whole, in which families may stand that have mistakes of their own.
    """
    # what has mistakes of its own is still a name that others may refer to
    context = _Context(configuration, _names(values, "networks"), _names(values, "data", "folders"))
    return [
        *_check_folders(configuration),
        *(problem for name, family in configuration.networks.items() for problem in context.check_family(name, family)),
        *(problem for name, panel in configuration.panels.items() for problem in context.check_panel(name, panel)),
    ]


def _names(values: Any, *path: str) -> list[str]:
    found = look_up(values, path)
    return list(found) if isinstance(found, Mapping) else []


def _check_folders(configuration: Configuration) -> Iterator[Problem]:
    for name, folder in configuration.data.folders.items():
        if name in DATASETS:
            yield Problem(
                ("data", "folders", name),
                "this name is taken by a built-in data set",
                name,
                "any other name",
                {"path": folder.path},
                instead=("data", "folders", f"my-{name}"),
            )


class _Context:
    """The names that families and panels may refer to."""

    def __init__(self, configuration: Configuration, families: Sequence[str], folders: Sequence[str]) -> None:
        self.configuration = configuration
        self.families = families
        self.facts: dict[str, DatasetFacts | None] = dict.fromkeys(folders)
        self.facts |= {name: DatasetFacts(None, f.channels) for name, f in configuration.data.folders.items()}
        self.facts |= DATASETS

    def check_family(self, name: str, family: NetworkFamily) -> Iterator[Problem]:
        path: Path = ("networks", name)
        yield from _unknown((*path, "dataset"), "data set", family.dataset, list(self.facts), self.facts)
        if not is_architecture(family.architecture):
            yield _unknown_architecture((*path, "architecture"), family.architecture)
        yield from _repeated((*path, "seeds"), family.seeds)
        yield from _check_weights(path, family)

    def check_panel(self, name: str, panel: Panel) -> Iterator[Problem]:
        path: Path = ("panels", name)
        yield from _unknown((*path, "dataset"), "data set", panel.dataset, list(self.facts), self.facts)
        for key in ("networks", "seeds", "controls", "estimators", "measures"):
            yield from _repeated((*path, key), getattr(panel, key) or ())
        for place, family in enumerate(panel.networks):
            if family not in self.families:
                yield self._unknown_family((*path, "networks", place), panel, family)
            elif family in self.configuration.networks:
                yield from self._check_member(path, panel, place)
        yield from _check_layer_families(path, panel, self.families)
        yield from self._check_images(path, panel)

    def _unknown_family(self, path: Path, panel: Panel, family: str) -> Problem:
        near = nearest(family, self.families)
        names = [near if name == family and near else name for name in panel.networks]
        known = [name for name in dict.fromkeys(names) if name in self.families]
        allowed = f"a family of the section networks: {', '.join(self.families) or '(there is none)'}"
        if known:
            return Problem(
                path, "unknown family of networks", family, allowed, known, near, path[:-1], relies_on=(("networks",),)
            )
        # nothing is left to compare: the panel goes with its networks
        what = "unknown family of networks; name one that exists, or remove the panel"
        return Problem(path, what, family, allowed, None, near, path[:2], relies_on=(("networks",),))

    def _check_member(self, path: Path, panel: Panel, place: int) -> Iterator[Problem]:
        name = panel.networks[place]
        family = self.configuration.networks[name]
        yield from self._check_dataset((*path, "networks", place), panel, name, family)
        yield from _check_seeds(path, panel, name, family)
        yield from self._check_patterns(path, panel, name, family)

    def _check_dataset(self, path: Path, panel: Panel, name: str, family: NetworkFamily) -> Iterator[Problem]:
        ours, theirs = self.facts.get(panel.dataset), self.facts.get(family.dataset)
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
            allowed = f"families on {panel.dataset}, or across_datasets: true"
            yield Problem(
                path,
                what,
                name,
                allowed,
                True,
                None,
                (*path[:2], "across_datasets"),
                relies_on=((*path[:2], "across_datasets"),),
            )

    def _check_patterns(self, path: Path, panel: Panel, name: str, family: NetworkFamily) -> Iterator[Problem]:
        layers = layer_names(family.architecture)
        mapped = isinstance(panel.layers, dict)
        if layers is None or (mapped and name not in panel.layers):
            return
        here = (*path, "layers", name) if mapped else (*path, "layers")
        patterns = panel.layers_of(name)
        for place, pattern in enumerate(patterns):
            if pattern != BLOCKS and not matching_layers(layers, pattern):
                near = nearest(pattern, layers)
                alone = mapped or len(panel.networks) == 1
                write: object = _better(patterns, layers) if alone else self._better_layers(panel)
                yield Problem(
                    (*here, place),
                    f"matches no layer of {family.architecture} (family {name})",
                    pattern,
                    f"blocks, a glob, or one of {', '.join(layers)}",
                    write,
                    near,
                    here,
                )

    def _better_layers(self, panel: Panel) -> dict[str, list[str]]:
        families = [(name, self.configuration.networks.get(name)) for name in panel.networks]
        return {
            name: _better(panel.layers_of(name), layer_names(family.architecture))
            for name, family in families
            if family
        }

    def _check_images(self, path: Path, panel: Panel) -> Iterator[Problem]:
        facts = self.facts.get(panel.dataset)
        size = None if facts is None else facts.test_images
        n_images = panel.n_images
        if size is not None and n_images > size:
            allowed = f"a whole number from {MINIMUM_BATCH} to {size}, the images in the test split of {panel.dataset}"
            yield Problem((*path, "n_images"), "more images than there are", n_images, allowed, size)
            n_images = size
        last = n_images % panel.batch_size or min(panel.batch_size, n_images)
        if last < MINIMUM_BATCH:
            yield Problem(
                (*path, "batch_size"),
                f"the last batch of {n_images} images would have {last}",
                panel.batch_size,
                f"a size at which every batch has at least {MINIMUM_BATCH} images",
                _batch_size_near(n_images, panel.batch_size),
                relies_on=((*path, "n_images"), (*path, "batch_size")),
            )


def _unknown(
    path: Path, kind: str, given: str, allowed: Sequence[str], known: Mapping[str, object]
) -> Iterator[Problem]:
    if given not in known:
        near = nearest(given, allowed)
        yield Problem(
            path, f"unknown {kind}", given, f"one of {', '.join(allowed)}", near or allowed[0], near, relies_on=_FOLDERS
        )


def _unknown_architecture(path: Path, given: str) -> Problem:
    # torchvision's own names are only known to torchvision
    names = [*ARCHITECTURES, "resnet20"]
    near = nearest(given, names)
    allowed = (
        f"one of {', '.join(names)} (any width), torchvision:NAME, torchvision:NAME:WEIGHTS, or file:PATH:FUNCTION"
    )
    return Problem(path, "unknown architecture", given, allowed, near or f"torchvision:{_word(given)}", near)


def _word(given: str) -> str:
    return re.sub(r"\W", "", given.lower()) or "resnet18"


def _repeated(path: Path, names: Sequence[object]) -> Iterator[Problem]:
    once = list(dict.fromkeys(names))
    if len(once) < len(names):
        twice = next(name for name in once if names.count(name) > 1)
        yield Problem(path, f"{twice} is listed twice", list(names), "each name once", once)


def _check_weights(path: Path, family: NetworkFamily) -> Iterator[Problem]:
    if family.weights is None:
        return
    here = (*path, "weights")
    if family.training is not None:
        allowed = "training, or weights that are trained already, or neither (untrained networks)"
        what = "training and weights are both given"
        yield Problem(here, what, family.weights, allowed, {"weights": family.weights, "training": None}, None, path)
    if is_pretrained(family.architecture):
        what = f"the architecture {family.architecture} brings its own weights"
        yield Problem(here, what, family.weights, "no weights here, or an architecture without weights", None)
    if family.weights.startswith(PUBLISHED):
        yield from _check_collection(path, family)
    else:
        yield from _check_weights_pattern(here, family)


def _check_weights_pattern(path: Path, family: NetworkFamily) -> Iterator[Problem]:
    assert family.weights is not None
    fields = re.findall(r"\{([^}]*)\}", family.weights)
    if others := [name for name in fields if name != "seed"]:
        write = family.weights.replace(f"{{{others[0]}}}", "{seed}")
        yield Problem(path, f"unknown placeholder {{{others[0]}}}", family.weights, "{seed}", write)
    elif not fields and len(family.seeds) > 1:
        stem, dot, ending = family.weights.rpartition(".")
        write = f"{stem}-{{seed}}.{ending}" if dot else f"{family.weights}/{{seed}}.safetensors"
        what = f"{len(family.seeds)} seeds would all read this one file"
        yield Problem(path, what, family.weights, "a path with {seed}, or a single seed", write)


def _check_collection(path: Path, family: NetworkFamily) -> Iterator[Problem]:
    assert family.weights is not None
    collection = family.collection
    names = [PUBLISHED + name for name in COLLECTIONS]
    if collection is None:
        yield from _unknown((*path, "weights"), "published collection", family.weights, names, {})
        return
    for key in ("architecture", "dataset"):
        given, expected = getattr(family, key), getattr(collection, key)
        if given != expected:
            what = f"not the {key} of {family.weights}"
            yield Problem((*path, key), what, given, expected, expected)
    if absent := [seed for seed in family.seeds if seed not in collection.seeds]:
        first, last = collection.seeds[0], collection.seeds[-1]
        kept = [seed for seed in family.seeds if seed in collection.seeds]
        allowed = f"seeds from {first} to {last}, as many as {family.weights} has"
        what = f"{family.weights} has no network of seed {absent[0]}"
        yield Problem((*path, "seeds"), what, list(family.seeds), allowed, kept or f"{first}-{last}")


def _check_seeds(path: Path, panel: Panel, name: str, family: NetworkFamily) -> Iterator[Problem]:
    if panel.seeds is not None and not set(panel.seeds) & set(family.seeds):
        what = f"the family {name} has none of these seeds"
        yield Problem((*path, "seeds"), what, list(panel.seeds), f"some of {list(family.seeds)}", None)


def _check_layer_families(path: Path, panel: Panel, families: Sequence[str]) -> Iterator[Problem]:
    if not isinstance(panel.layers, dict):
        return
    for family in panel.layers:
        # a family that the user took out of the panel may keep its layers
        if family not in families and family not in panel.networks:
            near = nearest(family, panel.networks)
            what, allowed = "unknown family of networks", f"one of {', '.join(panel.networks)}"
            write = {near or panel.networks[0]: list(panel.layers[family])}
            yield Problem((*path, "layers", family), what, family, allowed, write, near, (*path, "layers"))
    for family in panel.networks:
        if family not in panel.layers:
            allowed = "a list of layers for each family of the panel"
            yield Problem((*path, "layers", family), "missing", NOTHING, allowed, [BLOCKS])


def _better(patterns: Sequence[str], layers: Sequence[str] | None) -> list[str]:
    """Put the nearest layer for a pattern that matches none, or leave it out."""
    if layers is None:
        return list(patterns)
    fitting = [
        pattern if pattern == BLOCKS or matching_layers(layers, pattern) else nearest(pattern, layers)
        for pattern in patterns
    ]
    return list(dict.fromkeys(pattern for pattern in fitting if pattern)) or [BLOCKS]


def _channels(count: int) -> str:
    return f"{count} channel{'s' * (count > 1)}"


def _batch_size_near(n_images: int, given: int) -> int:
    fitting = (size for size in range(MINIMUM_BATCH, n_images + 1) if (n_images % size or size) >= MINIMUM_BATCH)
    return min(fitting, key=lambda size: abs(size - given))
