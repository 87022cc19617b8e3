"""What must fit together across the sections of a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from netalike.configuration.common_checks import (
    Known,
    check_architecture,
    check_dataset,
    check_name,
    check_repeated,
    check_training_images,
)
from netalike.configuration.comparison_checks import check_panel
from netalike.configuration.models import PUBLISHED, Configuration, NetworkFamily
from netalike.configuration.names import DATASETS, is_pretrained, published_names
from netalike.configuration.problems import Path, Problem
from netalike.configuration.study_checks import check_study


def check(configuration: Configuration, values: Mapping[str, Any]) -> list[Problem]:
    """Return every mistake that the sections make together.

    Parameters
    ----------
    configuration : Configuration
        What could be validated by itself.
    values : mapping
        The whole, in which families may stand that have mistakes of their own.
    """
    known = Known(configuration, values)
    studies = configuration.studies().items()
    return [
        *_check_folders(configuration),
        *(
            p
            for name, family in configuration.networks.items()
            for p in _check_family(("networks", name), family, known)
        ),
        *(p for name, panel in configuration.panels.items() for p in check_panel(("panels", name), panel, known)),
        *(p for path, study in studies for p in check_study(path, study, known)),
    ]


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


def _check_family(path: Path, family: NetworkFamily, known: Known) -> Iterator[Problem]:
    yield from check_dataset((*path, "dataset"), family.dataset, known)
    yield from check_architecture((*path, "architecture"), family.architecture)
    yield from check_repeated((*path, "seeds"), family.seeds)
    yield from _check_weights(path, family)
    if family.training is not None and family.robust_training is not None:
        what, allowed = "training and robust_training are both given", "one of them"
        yield Problem((*path, "robust_training"), what, "a mapping", allowed, None)
    if family.learning is not None:
        facts = known.facts.get(family.dataset)
        key = "training" if family.training is not None else "robust_training"
        yield from check_training_images(path, family.n_train, family.dataset, {(key,): family.learning}, facts)
    elif family.n_train is not None:
        what, allowed = "the family has no training", "null where networks are not trained here"
        yield Problem(
            (*path, "n_train"),
            what,
            family.n_train,
            allowed,
            None,
            relies_on=((*path, "training"), (*path, "robust_training")),
        )


def _check_weights(path: Path, family: NetworkFamily) -> Iterator[Problem]:
    if family.weights is None:
        return
    here = (*path, "weights")
    if family.learning is not None:
        allowed = "training, or weights that are trained already, or neither (untrained networks)"
        what = "training and weights are both given"
        yield Problem(
            here,
            what,
            family.weights,
            allowed,
            {"weights": family.weights, "training": None, "robust_training": None},
            None,
            path,
        )
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
    if collection is None:
        names = [PUBLISHED + name for name in published_names(family.weights.removeprefix(PUBLISHED))]
        yield from check_name((*path, "weights"), "published collection", family.weights, names)
        return
    published = {"architecture": collection.architecture, "dataset": collection.dataset, "task": "classes"}
    for key, expected in published.items():
        given = getattr(family, key)
        if given != expected:
            what = f"not the {key} of {family.weights}"
            yield Problem((*path, key), what, given, expected, expected)
    if absent := [seed for seed in family.seeds if seed not in collection.seeds]:
        first, last = collection.seeds[0], collection.seeds[-1]
        kept = [seed for seed in family.seeds if seed in collection.seeds]
        allowed = f"seeds from {first} to {last}, as many as {family.weights} has"
        what = f"{family.weights} has no network of seed {absent[0]}"
        yield Problem((*path, "seeds"), what, list(family.seeds), allowed, kept or f"{first}-{last}")
