"""The study of training with a similarity term: its defaults, and what is refused."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from netalike.configuration.similarity_term_study import SimilarityTermStudy


def test_what_a_study_leaves_out_is_the_papers():
    study = SimilarityTermStudy.model_validate({})
    assert (study.dataset, study.signs, study.weights, study.masks) == (
        "digits",
        ("plus", "minus"),
        (1.0,),
        ("posnegflat",),
    )
    assert (study.steps, study.batch_size, study.lr) == (150, 1, 0.001)
    assert (study.evaluate_every, study.n_validation, study.cosine_images) == (5, 1000, 3)
    assert (study.seeds, study.few_seeds, study.different_class) == ((0, 1, 2, 3, 4), 5, True)
    assert study.without_effect == {"seeds_per_job"}


def test_seeds_are_a_range_a_count_or_a_list():
    found = [SimilarityTermStudy.model_validate({"seeds": given}).seeds for given in ("0-2", 3, [0, 1, 2])]
    assert found == [(0, 1, 2)] * 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("signs", ["baseline"]),
        ("signs", []),
        ("weights", [0]),
        ("weights", [True]),
        ("masks", ["posneg"]),
        ("steps", 0),
        ("cosine_images", 1),
        ("lr", 0),
        ("stepz", 3),
    ],
)
def test_mistakes_are_refused_where_they_are(key, value):
    with pytest.raises(ValidationError) as error:
        SimilarityTermStudy.model_validate({key: value})
    assert error.value.errors()[0]["loc"][0] == key


def test_every_key_is_described_with_an_example_that_is_valid():
    for name, field in SimilarityTermStudy.model_fields.items():
        assert field.description, name
        if name != "seeds_per_job":
            assert field.examples, name
        for example in field.examples or []:
            SimilarityTermStudy.model_validate({name: example})


def test_the_names_are_those_of_the_library():
    from typing import get_args

    from netalike.configuration.similarity_term_study import SimilarityMask, SimilaritySign
    from netalike.training.similarity_term import MASKS, SIGNS

    assert get_args(SimilarityMask) == MASKS
    assert {"baseline", *get_args(SimilaritySign)} == set(SIGNS)


def test_no_framework_is_needed():
    code = "import sys; import netalike.configuration.similarity_term_study; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys; import netalike.experiments.similarity_term_published; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
