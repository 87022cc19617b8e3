"""What the checks of families, panels and studies share: the names that they may refer to, and common mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netalike.configuration.models import Configuration
from netalike.configuration.names import ARCHITECTURES, DATASETS, DatasetFacts, is_architecture
from netalike.configuration.problems import Path, Problem, look_up
from netalike.errors import nearest
from netalike.training.settings import Settings as TrainingSettings

_FOLDERS: tuple[Path, ...] = (("data",), ("data", "folders"))


class Known:
    """The names that families, panels and studies may refer to.

    Attributes
    ----------
    configuration : Configuration
        What could be validated by itself.
    families : list of str
        Every family, those with mistakes of their own included.
    facts : dict
        Every data set; None for a folder with mistakes of its own.
    """

    def __init__(self, configuration: Configuration, values: Mapping[str, Any]) -> None:
        # what has mistakes of its own is still a name that others may refer to
        folders = configuration.data.folders.items()
        self.configuration = configuration
        self.families = _names(values, "networks")
        self.facts: dict[str, DatasetFacts | None] = dict.fromkeys(_names(values, "data", "folders"))
        self.facts |= {name: DatasetFacts(None, folder.channels, None) for name, folder in folders}
        self.facts |= DATASETS


def _names(values: Any, *path: str) -> list[str]:
    found = look_up(values, path)
    return list(found) if isinstance(found, Mapping) else []


def check_dataset(path: Path, given: str, known: Known) -> Iterator[Problem]:
    """Find a data set that does not exist."""
    yield from check_name(path, "data set", given, list(known.facts), _FOLDERS)


def check_name(
    path: Path, kind: str, given: str, allowed: Sequence[str], relies_on: tuple[Path, ...] = ()
) -> Iterator[Problem]:
    """Find a name that is none of those allowed."""
    if given not in allowed:
        near = nearest(given, allowed)
        yield Problem(
            path,
            f"unknown {kind}",
            given,
            f"one of {', '.join(allowed)}",
            near or allowed[0],
            near,
            relies_on=relies_on,
        )


def check_architecture(path: Path, given: str) -> Iterator[Problem]:
    """Find an architecture that nothing can build."""
    if is_architecture(given):
        return
    # torchvision's own names are only known to torchvision
    names = [*ARCHITECTURES, "resnet20"]
    near = nearest(given, names)
    allowed = (
        f"one of {', '.join(names)} (all but dense in any width, as lenet_w2), torchvision:NAME, "
        "torchvision:NAME:WEIGHTS, or file:PATH:FUNCTION"
    )
    yield Problem(path, "unknown architecture", given, allowed, near or f"torchvision:{_word(given)}", near)


def _word(given: str) -> str:
    return re.sub(r"\W", "", given.lower()) or "resnet18"


def check_repeated(path: Path, names: Sequence[object]) -> Iterator[Problem]:
    """Find a name that stands in a list twice."""
    once = list(dict.fromkeys(names))
    if len(once) < len(names):
        twice = next(name for name in once if names.count(name) > 1)
        yield Problem(path, f"{twice} is listed twice", list(names), "each name once", once)


def check_training_images(
    path: Path,
    n_train: int | None,
    dataset: str,
    trainings: Mapping[Path, TrainingSettings],
    facts: DatasetFacts | None,
) -> Iterator[Problem]:
    """Find an `n_train` beyond the training split, and trainings whose batches are larger than what they train on.

    Parameters
    ----------
    path : tuple
        Of the section that holds `n_train`.
    n_train : int or None
    dataset : str
    trainings : mapping
        From the keys below `path` to the settings.
    facts : DatasetFacts or None
        Of the data set; None if they are not known.
    """
    size = None if facts is None else facts.train_images
    here = (*path, "n_train")
    largest = max((settings.batch_size for settings in trainings.values()), default=1)
    allowed = f"null, or a whole number from {largest}" + (
        f" to {size}, the images in the training split of {dataset}" if size is not None else ""
    )
    relies_on: tuple[Path, ...] = (here, *((*path, *keys, "batch_size") for keys in trainings))
    if n_train is not None and size is not None and n_train > size:
        yield Problem(here, "more images than there are", n_train, allowed, None)
    elif n_train is not None and n_train < largest:
        what = f"fewer images than a batch, which has {largest}"
        yield Problem(here, what, n_train, allowed, largest, relies_on=relies_on)
    elif n_train is None and size is not None:
        for keys, settings in trainings.items():
            if settings.batch_size > size:
                what, most = f"{dataset} has {size} training images", f"a whole number of at most {size}"
                place = (*path, *keys, "batch_size")
                yield Problem(place, what, settings.batch_size, most, size, relies_on=relies_on)
