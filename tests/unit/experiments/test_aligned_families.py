"""Networks of a family, as the alignment of shared responses takes them."""

import numpy as np
import pytest
import torch

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import ShapeError
from netalike.experiments.aligned_families import kept_units, record_family
from netalike.experiments.shared_response import align_recordings


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=60)


def member(seed: int, name: str | None = None, architecture: str = "lenet") -> Member:
    return Member(name or f"lenet-s{seed}", networks.build(architecture, 1, 10, seed=seed).eval(), ["relu1", "relu3"])


def test_kept_units_are_the_same_for_all_networks_and_differ_between_seeds():
    units = kept_units(500, 40, 3)
    np.testing.assert_array_equal(units, kept_units(500, 40, 3))
    assert len(set(units.tolist())) == 40
    assert set(units.tolist()) != set(kept_units(500, 40, 4).tolist())
    np.testing.assert_array_equal(kept_units(30, 40, 3), np.arange(30))


def test_what_is_kept_is_the_layer_itself(images):
    (recording,) = record_family([member(0)], images, 50, 0, batch_size=32)
    model = member(0).model
    with torch.no_grad():
        whole = model.relu1(model.conv1(images.inputs(0, 60))).flatten(1).numpy()
    np.testing.assert_allclose(recording.activations("relu1"), whole[:, kept_units(whole.shape[1], 50, 0)], atol=1e-6)
    assert recording.epochs == (1,)


def test_a_twin_is_epoch_0_of_its_network(images):
    members = [member(0), member(1), member(2, "lenet-s0@untrained"), member(3, "lenet-s1@untrained")]
    recordings = record_family(members, images, 30, 0)
    assert [recording.name for recording in recordings] == ["lenet-s0", "lenet-s1"]
    assert [recording.epochs for recording in recordings] == [(0, 1), (0, 1)]
    rows, _ = align_recordings(recordings, {"n_fit": 40, "n_evaluate": 20, "bootstrap": 20})
    controls = {row["condition"] for row in rows if row["quantity"] == "variance_explained" and row["step"] == 0}
    assert any("control=untrained" in text for text in controls)


def test_networks_of_other_widths_are_refused(images):
    wide = member(1, architecture="lenet_w2")
    with pytest.raises(ShapeError, match=r"layer 'relu1' has .* units in lenet-s0 and .* in lenet-s1"):
        record_family([member(0), wide], images, 50, 0)
