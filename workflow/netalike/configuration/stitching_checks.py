"""What must fit in the studies of the stitching paper."""

from __future__ import annotations

from collections.abc import Iterator

from netalike.configuration.common_checks import Known, check_repeated, check_training_images
from netalike.configuration.comparison_checks import check_last_batch, members
from netalike.configuration.models import network_id
from netalike.configuration.papers import StitchingStudy
from netalike.configuration.problems import Path, Problem
from netalike.configuration.stitching_studies import LayerStudy

_LISTS = ("methods", "controls", "ranks", "l1", "cka_reg", "masks", "targets")
# key of the training -> the list of the sweep that varies it, and the value that is always part of it
_SWEPT = {"l1": ("l1", 0.0), "cka_reg": ("cka_reg", 0.0), "target": ("targets", "hard")}


def check_stitching(path: Path, study: StitchingStudy, known: Known) -> Iterator[Problem]:
    """Find every mistake of a study of stitching that other studies cannot have; see `checks.check`."""
    for key in _LISTS:
        yield from check_repeated((*path, key), getattr(study, key, ()))
    if study.cka_images < study.n_images:
        yield from check_last_batch(path, study.cka_images, "cka_images", study.batch_size)
    if not isinstance(study, LayerStudy):
        yield from _check_swept(path, study)
    for _, name, family in members(study, known):
        facts = known.facts.get(family.dataset)
        yield from check_training_images(path, study.n_train, family.dataset, {("training",): study.training}, facts)
        yield from _check_pairs(path, study, name, family.seeds)


def _check_pairs(path: Path, study: StitchingStudy, family: str, seeds: tuple[int, ...]) -> Iterator[Problem]:
    networks = [network_id(family, seed) for seed in seeds if study.seeds is None or seed in study.seeds]
    relies_on: tuple[Path, ...] = ((*path, "seeds"), ("networks", family, "seeds"))
    if len(networks) == 1:
        what = f"the family {family} has one network here, {networks[0]}, and no pair"
        here = (*path, "seeds") if study.seeds is not None else ("networks", family, "seeds")
        given, write = (list(study.seeds), None) if study.seeds is not None else (list(seeds), 2)
        yield Problem(here, what, given, "at least two networks of a family", write, relies_on=relies_on)


def _check_swept(path: Path, study: StitchingStudy) -> Iterator[Problem]:
    """Find settings of the training that the sweep varies itself."""
    for key, (swept, plain) in _SWEPT.items():
        given = getattr(study.training, key)
        if given != plain:
            what, allowed = "a sweep varies this itself", f"{plain} here; list {given} in {swept} instead"
            yield Problem((*path, "training", key), what, given, allowed, plain)
