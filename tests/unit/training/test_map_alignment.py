"""Training of map alignment: the loss by hand, the same bits again, and going on after a break."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

sys.path.insert(0, str(Path(__file__).parent))
from map_scenes import square_scene  # noqa: E402

from netalike.data.polygons import moved  # noqa: E402
from netalike.errors import BadFileError, NetalikeError  # noqa: E402
from netalike.networks.double_unet import Widths, double_unet  # noqa: E402
from netalike.networks.keras_weights import read_arrays, set_variables, variables_of, write_arrays  # noqa: E402
from netalike.training.map_alignment import (  # noqa: E402
    MapTrainer,
    building_loss,
    displacement_losses,
    pixel_weights,
    prepare_tensorflow,
    segmentation_losses,
    train_map_alignment,
    training_identity,
)
from netalike.training.map_inference import Aligner, by_building  # noqa: E402
from netalike.training.map_rounds import label_offsets, train_rounds  # noqa: E402
from netalike.training.map_settings import MapTraining  # noqa: E402

SMALL = Widths(2, 1, 3)
SETTINGS = MapTraining(
    input_size=140, batch_size=2, steps=4, lr=1e-3, lr_schedule="cosine", keep_polygons=0.5, save_every=2, passes=2
)


@pytest.fixture(scope="module", autouse=True)
def _same_bits():
    prepare_tensorflow(1)


def scenes(count=2):
    return [square_scene(f"s{seed}", seed=seed, size=136) for seed in range(count)]


def noisy(found, shift=(1.0, -2.0)):
    return [replace(scene, labels=moved(scene.polygons, shift)) for scene in found]


def weights_of(model):
    return [variable.numpy() for variable in model.variables]


@pytest.fixture(scope="module")
def trained():
    return train_map_alignment(scenes(), SETTINGS, SMALL, seed=1)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(weights_of(one), weights_of(other), strict=True))


def test_displacement_loss_by_hand():
    polygons = np.zeros((1, 2, 2, 3), np.float32)
    polygons[0, 0, 0] = (1, 1, 0)
    polygons[0, 0, 1] = (1, 0, 0)
    weights = pixel_weights(tf.constant(polygons)).numpy()
    assert weights[0].tolist() == [[pytest.approx(0.05 + 1), pytest.approx(0.05)], [0, 0]]
    wanted = np.zeros((1, 2, 2, 2), np.float32)
    wanted[0, 0, 0], wanted[0, 0, 1], wanted[0, 1, 1] = (0.3, 0.4), (0.1, 0), (0.5, 0.5)
    predicted = np.zeros((1, 3, 2, 2, 2), np.float32)
    predicted[0, 1] = wanted[0]
    found = displacement_losses(predicted, wanted, weights).numpy()
    expected = (1.05 * 0.25 + 0.05 * 0.01) / 1.1
    assert found.tolist() == [pytest.approx(expected), 0, pytest.approx(expected)]


def test_patches_without_a_polygon_have_no_displacement_loss():
    weights = pixel_weights(tf.zeros((1, 4, 4, 3)))
    assert displacement_losses(tf.ones((1, 3, 4, 4, 2)), tf.zeros((1, 4, 4, 2)), weights).numpy().tolist() == [0, 0, 0]


def test_building_loss_by_hand():
    """Errors cancel within a building; one that reaches the border of the output is left out."""
    buildings = np.zeros((2, 5, 5), np.int32)
    buildings[0, 1, 1:3], buildings[0, 3, 3], buildings[0, 4, 0] = 1, 2, 3
    buildings[1, 2, 2] = 1
    wanted = np.full((2, 5, 5, 2), 0.25, np.float32)
    predicted = wanted.copy()
    predicted[0, 1, 1:3, 0] += (0.5, -0.3)  # 0.1 on average
    predicted[0, 3, 3] += (0.3, 0.4)
    predicted[0, 4, 0] += 5
    found = building_loss(*(tf.constant(part) for part in (predicted, wanted, buildings)))
    assert float(found) == pytest.approx((0.1**2 + 0.5**2 + 0) / 3, rel=1e-5)
    assert float(building_loss(tf.constant(predicted), tf.constant(wanted), tf.zeros((2, 5, 5), tf.int32))) == 0


def test_the_building_loss_is_minimised_if_it_has_a_weight():
    settings = SETTINGS.model_copy(
        update={"building_weight": 50.0, "displacements": "buildings", "steps": 2, "input_size": 188}
    )
    _, history = train_map_alignment(scenes(), settings, SMALL, seed=1)
    assert min(history.buildings) > 0
    without = settings.model_copy(update={"building_weight": 0.0})
    _, other = train_map_alignment(scenes(), without, SMALL, seed=1)
    assert other.buildings == [0.0, 0.0]
    assert history.total[0] == pytest.approx(other.total[0] + 50 * history.buildings[0], rel=1e-4)


def test_segmentation_loss_by_hand():
    wanted = np.zeros((1, 1, 1, 3), np.float32)
    wanted[..., 1] = 1  # an edge: no background
    logits = np.zeros((1, 3, 1, 1, 4), np.float32)
    logits[:, 1] = [-20, -20, 20, -20]
    found = segmentation_losses(logits, wanted).numpy()
    assert found[0] == pytest.approx(np.log(2) * (0.05 + 0.1 + 1 + 10) / 4, rel=1e-5)
    assert found[1] == pytest.approx(0, abs=1e-6)


def test_a_trainer_that_was_used_before_comes_to_the_same_bits(trained):
    trainer = MapTrainer(SETTINGS, SMALL)
    train_map_alignment(noisy(scenes()), SETTINGS, seed=2, trainer=trainer)
    again, history = train_map_alignment(scenes(), SETTINGS, seed=1, trainer=trainer)
    assert same(trained[0], again)
    assert history == trained[1]


def test_a_training_that_was_cut_off_goes_on_to_the_same_bits(trained, tmp_path, monkeypatch):
    whole, history = trained
    file = tmp_path / "state.safetensors"
    import netalike.training.map_alignment as module

    original = module.PatchMaker.batch

    def broken(self, step):
        if step == 3:
            raise KeyboardInterrupt
        return original(self, step)

    monkeypatch.setattr(module.PatchMaker, "batch", broken)
    with pytest.raises(KeyboardInterrupt):
        train_map_alignment(scenes(), SETTINGS, SMALL, seed=1, checkpoint=file)
    monkeypatch.undo()
    went_on, longer = train_map_alignment(scenes(), SETTINGS, SMALL, seed=1, checkpoint=file)
    assert same(whole, went_on)
    assert longer == history


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file = tmp_path / "state.safetensors"
    identity = training_identity(scenes(), SETTINGS, SMALL, 1)
    write_arrays(file, {}, {"format": "netalike map training 1", "identity": identity})
    with pytest.raises(NetalikeError, match=r"different: seed \(1 in the file, 2 now\)"):
        train_map_alignment(scenes(), SETTINGS, SMALL, seed=2, checkpoint=file)
    with pytest.raises(NetalikeError, match="different: scenes"):
        train_map_alignment(noisy(scenes()), SETTINGS, SMALL, seed=1, checkpoint=file)


def test_b1_weight_decay_is_off_by_default_and_real_when_on(trained):
    plain, _ = trained
    decayed, _ = train_map_alignment(scenes(), SETTINGS.model_copy(update={"weight_decay": 10.0}), SMALL, seed=1)
    norms = [sum(float((weight**2).sum()) for weight in weights_of(model)) for model in (plain, decayed)]
    assert norms[1] < 0.99 * norms[0]


def test_without_a_weight_the_segmentation_is_not_trained():
    settings = SETTINGS.model_copy(update={"segmentation_weight": 0.0})
    start, (model, history) = double_unet(SMALL, 1), train_map_alignment(scenes(), settings, SMALL, seed=1)
    for name, is_same in (("segmentation_0_a", True), ("displacement_0_a", False)):
        before, after = (np.asarray(part.get_layer(name).get_weights()[0]) for part in (start, model))
        assert np.array_equal(before, after) == is_same
    assert history.segmentation == [0.0] * 4


def constant_network(shift):
    """A double U-Net that says the same displacement everywhere."""
    model = double_unet(SMALL)
    head = model.get_layer("displacement_head_0")
    kernel, _ = head.get_weights()
    head.set_weights([np.zeros_like(kernel), np.arctanh(np.array(shift, np.float32) / 8)])
    return model


@pytest.mark.parametrize("tile", [516, 50])
def test_polygons_move_by_what_the_network_says(tile):
    (scene,) = scenes(1)
    found = Aligner(constant_network((0.5, -1.25)), tile).align_scene(scene, passes=2)
    assert np.allclose(found[0][0] - scene.labels[0], [0.5, -1.25], atol=1e-5)
    assert np.allclose(found[1][0] - scene.labels[0], [1.0, -2.5], atol=1e-5)


def test_polygons_may_move_as_a_whole_by_the_mean_over_their_edges():
    square = np.array([(10, 10), (10, 20), (20, 20), (20, 10)], float)
    outside = square + 100
    field = np.zeros((40, 40, 2), np.float32)
    field[8:13, 8:23, 0] = 4  # the upper edge alone
    field[-1, -1, 1] = 3
    one, other = by_building((square, outside), field)
    shift = one - square
    assert np.allclose(shift, shift[0])  # the shape stays
    assert shift[0] == pytest.approx([4 * 67 / 184, 0])  # pixels of the upper edge and its corners, of all edges
    assert np.allclose(other - outside, [0, 3])
    assert by_building((), field) == ()


def test_what_moves_is_a_setting():
    (scene,) = scenes(1)
    found = Aligner(constant_network((0.5, -1.25)), moves="buildings").align_scene(scene, passes=1)
    assert np.allclose(found[0][0] - scene.labels[0], [0.5, -1.25], atol=1e-5)


def test_displacements_cover_images_of_any_shape():
    image = np.zeros((70, 131, 3), np.uint8)
    field = Aligner(constant_network((1.0, 2.0)), tile=68).displacements(image, [])
    assert field.shape == (70, 131, 2)
    assert np.allclose(field, [1.0, 2.0], atol=1e-5)


def test_each_round_aligns_the_original_labels_and_learns_from_the_last():
    train, test = noisy(scenes(2)), noisy(scenes(1))
    rounds = train_rounds(train, test, SETTINGS, rounds=2, widths=SMALL, seed=0)
    first = next(rounds)
    early = weights_of(first.model)
    (second,) = rounds
    assert [found.number for found in (first, second)] == [1, 2]
    assert np.array_equal(first.learned[0].labels[0], train[0].labels[0])
    assert np.array_equal(second.learned[0].labels[0], first.train[0][-1][0])
    assert len(first.test) == 1
    assert len(first.test[0]) == 2
    again = Aligner(second.model).align_scene(train[0], 2)
    assert np.array_equal(again[-1][0], second.train[0][-1][0])
    assert not np.array_equal(early[0], weights_of(second.model)[0])


def test_a_round_may_go_on_from_the_weights_of_the_one_before():
    """At a rate of nearly nothing, what a round starts from is what it ends with."""
    train, still = noisy(scenes()), SETTINGS.model_copy(update={"lr": 1e-12})
    for start, is_same in (("previous", True), ("new", False)):
        rounds = train_rounds(train, [], still.model_copy(update={"start": start}), rounds=2, widths=SMALL, seed=0)
        first, second = (weights_of(found.model)[0].copy() for found in rounds)
        assert np.allclose(first, second, atol=1e-6) is is_same


def test_later_rounds_may_have_a_learning_rate_of_their_own():
    """At a rate of nearly nothing after the first round, what went on from its weights has not moved."""
    train = noisy(scenes())
    own = SETTINGS.model_copy(update={"start": "previous", "later_lr": 1e-12})
    first, second = (weights_of(found.model)[0].copy() for found in train_rounds(train, [], own, 2, SMALL, seed=0))
    assert np.allclose(first, second, atol=1e-6)
    plain = SETTINGS.model_copy(update={"start": "previous"})
    alike, moved_on = (weights_of(found.model)[0].copy() for found in train_rounds(train, [], plain, 2, SMALL, seed=0))
    assert np.array_equal(first, alike)  # the first round does not depend on it
    assert not np.allclose(moved_on, second, atol=1e-6)


def test_the_checkpoint_of_a_first_round_holds_whatever_the_later_rate(tmp_path):
    train = noisy(scenes())
    for rate in (None, 1e-5):
        own = SETTINGS.model_copy(update={"later_lr": rate})
        (only,) = train_rounds(train, [], own, 1, SMALL, seed=0, checkpoints=tmp_path)
        assert len(only.history.total) == SETTINGS.steps


def test_even_weights_look_at_fill_edges_and_vertices_alike():
    polygons = np.zeros((1, 4, 4, 3), np.float32)
    polygons[0, :2, :, 0], polygons[0, 2, :, 1], polygons[0, 3, 0, 2] = 1, 1, 1  # 8, 4 and 1 pixels
    even, published = (pixel_weights(polygons, kind).numpy()[0] for kind in ("even", "published"))
    assert [even[:2].sum(), even[2].sum(), even[3].sum()] == pytest.approx([1, 1, 1])
    assert [published[:2].sum(), published[2].sum(), published[3].sum()] == pytest.approx([0.1, 1, 10])


def test_offsets_of_labels_are_their_noise():
    (scene,) = noisy(scenes(1), (1.5, -0.5))
    assert np.allclose(label_offsets(scene), [[1.5, -0.5]] * 4)


def test_weights_survive_a_file_and_misfits_are_named(tmp_path):
    model, path = double_unet(SMALL, 3), tmp_path / "w.safetensors"
    write_arrays(path, variables_of(model.variables, "model"), {"format": "weights 1", "identity": {"a": 1}})
    other = double_unet(SMALL, 4)
    set_variables(other.variables, read_arrays(path, "weights 1", {"a": 1}), "model", path)
    assert same(model, other)
    with pytest.raises(BadFileError, match=r"does not fit this network: for image_0_a/kernel of shape \(3, 3, 3, 4\)"):
        set_variables(double_unet(Widths(4, 2, 6)).variables, read_arrays(path, "weights 1"), "model", path)
    with pytest.raises(BadFileError, match="is 'weights 1', expected 'other'"):
        read_arrays(path, "other")
    with pytest.raises(NetalikeError, match=r"different: a \(1 in the file, 2 now\)"):
        read_arrays(path, "weights 1", {"a": 2})
    path.write_bytes(b"junk")
    with pytest.raises(BadFileError, match="not a readable file of weights"):
        read_arrays(path, "weights 1")
