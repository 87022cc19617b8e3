"""What must fit in the studies of the shared-response paper."""

from __future__ import annotations

from collections.abc import Iterator

from netalike.configuration.common_checks import Known, check_dataset, check_repeated
from netalike.configuration.problems import Path, Problem
from netalike.configuration.shared_response_studies import AlignedFamilies, AlignmentStudy, SimulationStudy

LEAST_ALIGNED = 2
"""Networks without which there is nothing to share a response."""

_LISTS = ("seeds", "centers", "controls", "rsms")


def check_shared_response(path: Path, study: SimulationStudy | AlignmentStudy, known: Known) -> Iterator[Problem]:
    """Find every mistake of a study that trains its own networks; see `checks.check`."""
    if isinstance(study, SimulationStudy):
        return
    yield from _check_lists(path, study)
    yield from check_dataset((*path, "dataset"), study.dataset, known)
    yield from _check_sizes(path, study, known)
    if len(study.seeds) < LEAST_ALIGNED:
        yield Problem((*path, "seeds"), "one network has none to be aligned with", list(study.seeds), "2 or more", 2)


def check_aligned_family(path: Path, study: AlignedFamilies, known: Known) -> Iterator[Problem]:
    """Find every mistake of a study of a trained family; see `checks.check`."""
    yield from _check_lists(path, study)
    family = known.configuration.networks.get(study.networks)
    if family is None or (study.seeds is not None and not set(study.seeds) & set(family.seeds)):
        return
    if len(known.configuration.study_networks(study)) < LEAST_ALIGNED:
        seeds = family.seeds if study.seeds is None else study.seeds
        here = ("networks", study.networks, "seeds") if study.seeds is None else (*path, "seeds")
        what = f"{study.networks} has one network, which has none to be aligned with"
        relies_on = (("networks", study.networks, "seeds"), (*path, "seeds"))
        yield Problem(here, what, list(seeds), "2 or more seeds", LEAST_ALIGNED, relies_on=relies_on)


def _check_lists(path: Path, study: AlignmentStudy | AlignedFamilies) -> Iterator[Problem]:
    for key in _LISTS:
        given = getattr(study, key)
        if isinstance(given, tuple):
            yield from check_repeated((*path, key), given)


def _check_sizes(path: Path, study: AlignmentStudy, known: Known) -> Iterator[Problem]:
    facts = known.facts.get(study.dataset)
    for key, split, size in (
        ("n_train", "training", None if facts is None else facts.train_images),
        ("n_images", "test", None if facts is None else facts.test_images),
    ):
        given = getattr(study, key)
        if given is not None and size is not None and given > size:
            allowed = f"a whole number of at most {size}, the images in the {split} split of {study.dataset}"
            yield Problem((*path, key), "more images than there are", given, allowed, size)
