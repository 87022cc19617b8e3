"""The section of a study of map alignment refuses what could not be trained."""

import pytest
from pydantic import ValidationError

from netalike.configuration.map_alignment_study import MapAlignmentStudy


def test_the_defaults_are_the_published_ones():
    study = MapAlignmentStudy()
    assert study.widths == (32, 16, 48)
    assert (study.training.input_size, study.training.batch_size, study.training.steps) == (220, 32, 100_000)
    assert (study.training.lr, study.training.keep_polygons, study.training.amplitude) == (1e-4, 0.1, 4)
    assert (study.training.displacements, study.training.moves) == ("field", "vertices")
    assert (study.training.building_weight, study.training.pixel_weights) == (0, "published")
    assert study.noise == ("independent", "smooth", "bias", "clean")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"training": {"input_size": 150}}, "cannot be halved three times: 156 can"),
        (
            {"training": {"input_size": 380}, "scenes": {"size": 256}},
            "need scenes of at least 260 pixels, these have 256",
        ),
        ({"source": "tiles", "training": {"input_size": 380}}, "these have 256"),
        (
            {"training": {"input_size": 156, "building_weight": 100}},
            "few lie whole in the output of 36 pixels that an input of 156 has: use an input_size of at least 172",
        ),
        ({"source": "inria"}, "needs tiles.folder"),
        ({"noise": ["white"]}, "independent"),
        ({"widths": [8, 4]}, "Field required"),
        ({"patch": 3}, "Extra inputs"),
        ({"noise_px": True}, "a boolean is no number"),
    ],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(ValidationError, match=message):
        MapAlignmentStudy.model_validate(given)
