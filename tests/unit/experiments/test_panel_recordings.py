"""Networks that take part in a panel by recorded activations: files of any program, and Keras networks."""

import numpy as np
import pytest

from netalike import data
from netalike.activations import ActivationStore
from netalike.activations.keras import epoch_folder, write_activations, write_facts
from netalike.data.image_arrays import as_arrays
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.experiments.panel_recordings import copy_recordings, read_outputs, write_outputs

RANDOM = np.random.default_rng(0)
LAYERS = {"middle": RANDOM.standard_normal((30, 8)), "logits": RANDOM.standard_normal((30, 10))}


def panel(**recorded):
    return {"recorded": recorded, "measure_images": 20, "n_images": 25}


def given(folder, images=None, **arrays):
    np.savez(folder / "mine.npz", **(arrays or LAYERS))
    return copy_recordings(panel(mine="file"), {"mine": folder / "mine.npz"}, [], [], folder / "out", images)


def test_a_file_becomes_a_recording_of_the_first_images(tmp_path):
    outputs, labels = given(tmp_path, **LAYERS, labels=np.arange(30) % 10)
    store = ActivationStore(tmp_path / "out" / "mine")
    assert list(store) == ["middle", "logits"]
    np.testing.assert_allclose(store["middle"], LAYERS["middle"][:20], rtol=1e-6)
    np.testing.assert_allclose(outputs["mine"], LAYERS["logits"][:20], rtol=1e-6)
    assert labels.tolist() == (np.arange(20) % 10).tolist()


def test_a_file_without_logits_predicts_nothing(tmp_path):
    outputs, labels = given(tmp_path, middle=LAYERS["middle"])
    assert outputs == {}
    assert labels is None


def test_too_few_images_are_named(tmp_path):
    with pytest.raises(ShapeError, match="layer middle of the recording mine is of 19 images, the panel takes 20"):
        given(tmp_path, middle=LAYERS["middle"][:19])


def test_a_layer_without_units_is_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"has shape \(30,\): expected \(n, units, ...\)"):
        given(tmp_path, middle=LAYERS["middle"][:, 0])


def test_other_images_than_the_panels_are_refused(tmp_path):
    images = data.load("digits", "test", limit=20)
    right = np.concatenate([images.labels.numpy(), np.zeros(10, int)])
    given(tmp_path, images, **LAYERS, labels=right)
    with pytest.raises(NetalikeError, match="the labels of its first 20 images are not those of the test split of dig"):
        given(tmp_path, images, **LAYERS, labels=(right + 1) % 10)


def keras_networks(folder):
    """Two networks, before training and after three epochs."""
    images = as_arrays(data.load("digits", "test", limit=30))
    for seed in (0, 1):
        place = folder / f"conv-s{seed}"
        for epoch in (0, 3):
            units = {"pool1": np.arange(6), "logits": np.arange(10)}
            batch = {"pool1": np.full((30, 6), epoch + seed / 10), "logits": np.eye(10)[np.arange(30) % 10]}
            write_activations(epoch_folder(place, epoch), [batch], units, images)
        facts = {"name": f"conv-s{seed}", "architecture": "conv", "seed": seed, "dataset": "digits", "split": "test"}
        write_facts(place, {**facts, "layers": ["pool1", "logits"], "epochs": [0, 3], "accuracy": [0.1, 0.9]}, images)
    return images


def test_keras_networks_take_part_after_the_last_epoch_and_as_they_began(tmp_path):
    images = keras_networks(tmp_path / "trained")
    settings = panel(**{"conv-s0": "keras", "conv-s1": "keras"})
    outputs, labels = copy_recordings(settings, {}, [tmp_path / "trained"], ["conv-s0"], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["conv-s0", "conv-s0@untrained", "conv-s1"]
    assert float(ActivationStore(tmp_path / "out" / "conv-s1")["pool1"].mean()) == pytest.approx(3.1)
    assert float(ActivationStore(tmp_path / "out" / "conv-s0@untrained")["pool1"].mean()) == 0
    assert labels.tolist() == images.labels[:20].tolist()
    assert outputs["conv-s0@untrained"].shape == (20, 10)


def test_a_keras_network_that_is_not_there_is_named_with_the_nearest(tmp_path):
    keras_networks(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'conv-s1'"):
        copy_recordings(panel(**{"conv-s11": "keras"}), {}, [tmp_path], [], tmp_path / "out")


def test_a_folder_of_several_networks_is_not_one_recording(tmp_path):
    keras_networks(tmp_path / "both")
    with pytest.raises(NetalikeError, match="holds 2 networks, the recording mine of a panel is of one"):
        copy_recordings(panel(mine="file"), {"mine": tmp_path / "both"}, [], [], tmp_path / "out")


def test_outputs_are_read_as_they_were_written(tmp_path):
    outputs = {"a": LAYERS["logits"].astype(np.float32), "b": np.zeros((30, 3), np.float32)}
    write_outputs(outputs, np.arange(30), tmp_path / "outputs.safetensors")
    found, labels = read_outputs(tmp_path / "outputs.safetensors")
    assert labels.tolist() == list(range(30))
    assert set(found) == {"a", "b"}
    np.testing.assert_array_equal(found["a"], outputs["a"])
