"""The keys of a study of the toy problem."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from netalike.configuration.toy_study import ToyStudy
from netalike.training.toy import ToySettings


def test_the_defaults_are_those_of_the_published_code():
    study = ToyStudy().model_dump(mode="json")
    assert (study["n"], study["seeds"], study["epochs"], study["batch_size"]) == ([2048], [0, 1, 2, 3, 4], 5000, 64)
    assert (study["lr"], study["loss"], study["noise"], study["polish"]) == (1e-4, "l1", 0.0, 0)
    assert ToySettings.of_study(study, 2048) == ToySettings()


@pytest.mark.parametrize(
    ("keys", "figures"),
    [
        ({}, ("toy_curvature", "toy_measures")),
        ({"frequencies": [4]}, ("toy_curvature",)),
        ({"n": [512, 1024], "frequencies": [1, 4]}, ("toy_curvature", "toy_measures", "toy_sizes")),
        ({"noise": 0.2, "loss": "l2"}, ("toy_denoising",)),
    ],
)
def test_a_study_has_the_figures_that_its_settings_give_rise_to(keys, figures):
    assert ToyStudy(**keys).figures == figures


@pytest.mark.parametrize(
    "keys",
    [
        {"frequency": [1]},
        {"frequencies": []},
        {"frequencies": [0]},
        {"n": [3]},
        {"lr": 0},
        {"lr": True},
        {"noise": -0.1},
        {"loss": "l3"},
        {"thresholds": [1.0]},
        {"epochs": 0},
    ],
)
def test_what_makes_no_sense_is_refused(keys):
    with pytest.raises(ValidationError) as caught:
        ToyStudy(**keys)
    assert next(iter(keys)) in str(caught.value)


def test_every_key_is_described_with_an_example_that_is_valid():
    for name, field in ToyStudy.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        if field.examples:
            assert ToyStudy(**{name: field.examples[0]})
