"""What must fit in the studies of the input-similarity paper."""

from __future__ import annotations

from collections.abc import Iterator

from netalike.configuration.common_checks import Known, check_dataset, check_repeated
from netalike.configuration.input_similarity_studies import InputSimilarityStudy
from netalike.configuration.problems import Path, Problem
from netalike.configuration.similarity_term_study import SimilarityTermStudy

_LISTS = ("frequencies", "n", "seeds", "thresholds", "exponents", "signs", "weights", "masks", "noise")


def check_input_similarity(path: Path, study: InputSimilarityStudy, known: Known) -> Iterator[Problem]:
    """Find every mistake of a study that trains its own networks; see `checks.check`."""
    for key in _LISTS:
        given = getattr(study, key, ())
        if isinstance(given, tuple):
            yield from check_repeated((*path, key), given)
    if isinstance(study, SimilarityTermStudy):
        yield from check_dataset((*path, "dataset"), study.dataset, known)
        yield from _check_validation(path, study, known)


def _check_validation(path: Path, study: SimilarityTermStudy, known: Known) -> Iterator[Problem]:
    facts = known.facts.get(study.dataset)
    size = None if facts is None else facts.train_images
    if size is not None and study.n_validation >= size:
        what = f"{study.dataset} has {size} training images, and some are needed to train on"
        yield Problem((*path, "n_validation"), what, study.n_validation, f"a whole number below {size}", size // 5)
