"""Training of Keras networks: the same bits again, going on after a break, the published update, what is recorded."""

import shutil

import numpy as np
import pytest

keras = pytest.importorskip("keras")
import tensorflow as tf  # noqa: E402

from netalike.activations.keras import read_network, read_networks  # noqa: E402
from netalike.data.image_arrays import ImageArrays  # noqa: E402
from netalike.errors import NetalikeError, ShapeError  # noqa: E402
from netalike.networks.keras_networks import build, recorded_layers  # noqa: E402
from netalike.networks.keras_weights import read_arrays, set_variables  # noqa: E402
from netalike.training import keras_networks as module  # noqa: E402
from netalike.training import keras_trainer  # noqa: E402
from netalike.training.keras_networks import train_and_record, train_networks  # noqa: E402
from netalike.training.keras_settings import KerasTraining  # noqa: E402
from netalike.training.keras_task import prepare  # noqa: E402
from netalike.training.keras_trainer import KerasTrainer, scores  # noqa: E402
from netalike.training.map_alignment import prepare_tensorflow  # noqa: E402

CLASSES = ("dark", "left", "right")
TRAINING = {
    "architecture": "conv_small",
    "epochs": 3,
    "batch_size": 16,
    "lr": 0.003,
    "logged": [0, 1, 3],
    "max_units": 20,
    "augment": "shift",
}
STUDY = {"n_train": 50, "n_images": 30, "training": TRAINING}


@pytest.fixture(scope="module", autouse=True)
def _same_bits():
    prepare_tensorflow(1)


def images(split, n=60, seed=0):
    """Images whose left or right half is bright, or neither."""
    generator = np.random.default_rng([seed, len(split)])
    labels = np.arange(n) % 3
    pixels = generator.integers(0, 120, (n, 8, 8, 1))
    pixels[labels == 1, :, :4] += 100
    pixels[labels == 2, :, 4:] += 100
    return ImageArrays("halves", split, pixels.astype(np.uint8), labels, np.arange(n) + 100, CLASSES)


TRAIN, TEST = images("train"), images("test")


def changed(study=STUDY, **training):
    return {**study, "training": {**study["training"], **training}}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    rows = train_networks(STUDY, TRAIN, TEST, [0, 5], folder)
    return folder, rows


def test_the_same_call_alone_gives_the_same_bits(whole, tmp_path):
    folder, rows = whole
    again = train_and_record(STUDY, TRAIN, TEST, 5, tmp_path / "conv_small-s5")
    assert contents(tmp_path / "conv_small-s5") == contents(folder / "conv_small-s5")
    assert again == rows[len(rows) // 2 :]


def test_networks_of_other_seeds_differ_but_start_alike_in_no_layer(whole):
    first, second = read_networks(whole[0])
    assert (first.name, second.name) == ("conv_small-s0", "conv_small-s5")
    for epoch in first.epochs:
        assert not np.array_equal(first.activations("dense", epoch), second.activations("dense", epoch))
    assert np.array_equal(first.ids, second.ids)


def test_it_learns_and_the_rows_say_so(whole):
    _, rows = whole
    accuracy = {
        (row["split"], row["step"]): row["value"] for row in rows if row["quantity"] == "accuracy" and row["seed"] == 0
    }
    assert accuracy["test", 3] > 0.9 > accuracy["test", 0]
    assert {key[1] for key in accuracy if key[0] == "train"} == {1, 2, 3}
    assert {row["n_samples"] for row in rows if row["split"] == "train"} == {50}
    assert {row["n_samples"] for row in rows if row["split"] == "test"} == {30}
    assert {row["network_a"] for row in rows} == {"conv_small-s0", "conv_small-s5"}


def test_recorded_activations_before_training_are_those_of_the_initial_weights(whole):
    network = read_networks(whole[0])[1]
    assert network.layers == ("pool1", "pool2", "dense", "logits")
    rows = np.searchsorted(TEST.ids, network.ids)
    assert np.bincount(TEST.labels[rows]).tolist() == [10, 10, 10]
    assert np.array_equal(network.labels, TEST.labels[rows])
    mean = TRAIN.images[:50].mean(0)
    inputs = ((TEST.images[rows] - mean) / 128).astype(np.float32)
    model = recorded_layers(build("conv_small", (8, 8, 1), 3, seed=5), network.layers)
    for layer, expected in zip(network.layers, model(inputs)[1:], strict=True):
        found, kept = network.activations(layer, 0), network.units(layer, 0)
        assert found.shape == (30, min(20, np.prod(expected.shape[1:])))
        np.testing.assert_allclose(found, expected.numpy().reshape(30, -1)[:, kept], atol=1e-5)


def test_N6_all_networks_keep_the_same_units_unless_as_published(whole, tmp_path):
    first, second = read_networks(whole[0])
    for epoch in (0, 3):
        assert np.array_equal(first.units("pool1", 0), second.units("pool1", epoch))
    train_networks(changed(units="per_network", epochs=1, logged=[0, 1]), TRAIN, TEST, [0, 5], tmp_path)
    first, second = read_networks(tmp_path)
    assert not np.array_equal(first.units("pool1", 0), second.units("pool1", 0))
    assert not np.array_equal(first.units("pool1", 0), first.units("pool1", 1))


@pytest.mark.parametrize("killed_at", [("epoch", 2), ("_look", 2), ("_save", 3)])
def test_a_training_that_was_cut_off_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch, killed_at):
    name, epoch = killed_at
    owner = module.KerasTrainer if name == "epoch" else module._Training
    original = getattr(owner, name)

    def broken(self, *given):
        if epoch == (given[2] + 1 if name == "epoch" else given[0]):
            raise KeyboardInterrupt
        return original(self, *given)

    folder, kept = tmp_path / "out", tmp_path / "kept"
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(KeyboardInterrupt):
        train_networks(STUDY, TRAIN, TEST, [5], folder, checkpoints=kept)
    monkeypatch.undo()
    assert (kept / "conv_small-s5" / "state.safetensors").is_file()
    shutil.rmtree(folder, ignore_errors=True)  # as Snakemake does with the output of a job that was killed
    rows = train_networks(STUDY, TRAIN, TEST, [5], folder, checkpoints=kept)
    assert contents(folder / "conv_small-s5") == contents(whole[0] / "conv_small-s5")
    assert rows == whole[1][len(whole[1]) // 2 :]
    assert not (kept / "conv_small-s5").exists()


def test_the_length_of_a_call_changes_nothing(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_trainer, "_STEPS_PER_CALL", 3)  # of the 4 steps of an epoch
    monkeypatch.setattr(keras_trainer, "_EVALUATED", 30)
    train_and_record(STUDY, TRAIN, TEST, 5, tmp_path)
    found, expected = read_network(tmp_path), read_network(whole[0] / "conv_small-s5")
    for layer in expected.layers:
        assert np.array_equal(found.activations(layer, 3), expected.activations(layer, 3))


def test_a_finished_network_is_read_and_not_trained_again(whole, tmp_path, monkeypatch):
    shutil.copytree(whole[0], tmp_path / "again")
    monkeypatch.setattr(module.KerasTrainer, "epoch", None)
    assert train_networks(STUDY, TRAIN, TEST, [0, 5], tmp_path / "again") == whole[1]


def test_another_training_in_the_same_place_is_refused(whole, tmp_path, monkeypatch):
    with pytest.raises(NetalikeError, match=r"holds another network; different: lr \(0.003 there, 0.1 now\)"):
        train_networks(changed(lr=0.1), TRAIN, TEST, [0], whole[0])
    monkeypatch.setattr(module, "write_facts", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    one = changed(epochs=1, logged=[1])
    with pytest.raises(KeyboardInterrupt):
        train_and_record(one, TRAIN, TEST, 0, tmp_path)
    with pytest.raises(NetalikeError, match="belongs to something else; different: training data"):
        train_and_record(one, images("train", seed=1), TEST, 0, tmp_path)


def test_the_final_weights_are_kept(whole):
    folder = whole[0] / "conv_small-s5"
    network = read_network(folder)
    model = build("conv_small", (8, 8, 1), 3)
    set_variables(model.variables, read_arrays(folder / "weights.safetensors", "netalike Keras training 1"), "model")
    task = prepare(STUDY, TRAIN, TEST)
    found = model(((task.test.images - task.mean) / 128).astype(np.float32)).numpy()
    np.testing.assert_allclose(found, network.activations("logits", 3), atol=1e-4)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("...")
    with pytest.raises(NetalikeError, match="mine holds other files, and no recorded network: choose another folder"):
        train_and_record(STUDY, TRAIN, TEST, 0, tmp_path / "mine", tmp_path / "kept")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "..."


# ---- the published update --------------------------------------------------------------------------------------------


def small_trainer(**settings):
    given = {"architecture": "mlp", "epochs": 1, "layers": ["logits"], "lr": 0.01, **settings}
    return KerasTrainer(KerasTraining(**given), (2, 2, 1), 2)


def updated(trainer, gradients, rate=0.01):
    """The first weights after a step for each gradient, and before."""
    trainer.begin(0)
    weight = trainer._weights[-1]
    before = weight.numpy().astype(np.float64)
    for gradient in gradients:
        zeros = [tf.zeros_like(other) for other in trainer._weights[:-1]]
        trainer._update([*zeros, tf.constant(gradient, tf.float32)], tf.constant(rate))
    return before, weight.numpy()


GRADIENTS = np.array([[0.3, -2.0], [0.1, 1e-6], [-0.2, 0.5]])


def test_rmsprop_is_that_of_keras_2():
    before, after = updated(small_trainer(optimizer="rmsprop", lr_decay=0.5), GRADIENTS)
    mean, expected = np.zeros(2), before
    for step, gradient in enumerate(GRADIENTS):
        mean = 0.9 * mean + 0.1 * gradient**2
        expected = expected - 0.01 / (1 + 0.5 * step) * gradient / (np.sqrt(mean) + 1e-7)
    np.testing.assert_allclose(after, expected, rtol=1e-5)


def test_adam_is_that_of_keras():
    before, after = updated(small_trainer(optimizer="adam", lr_decay=0.0), GRADIENTS)
    variable = keras.Variable(before.astype(np.float32))
    optimizer = keras.optimizers.Adam(0.01)
    for gradient in GRADIENTS:
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
    np.testing.assert_allclose(after, variable.numpy(), rtol=1e-5)


def test_the_penalty_is_on_the_kernels_of_convolutions():
    trainer = KerasTrainer(KerasTraining(architecture="conv_small", l2=0.5), (8, 8, 1), 3)
    kernels = [trainer.model.get_layer(f"conv{name}").kernel.numpy() for name in ("1a", "1b", "2a", "2b")]
    assert trainer.penalty() == pytest.approx(0.5 * sum(float((kernel**2).sum()) for kernel in kernels), rel=1e-5)
    mlp = small_trainer(l2=0.5)
    kernels = [mlp.model.get_layer(name).kernel.numpy() for name in ("dense1", "dense2", "logits")]
    assert mlp.penalty() == pytest.approx(0.5 * sum(float((kernel**2).sum()) for kernel in kernels), rel=1e-5)
    assert small_trainer().penalty() == 0


def test_images_are_shifted_with_their_edge_and_mirrored():
    pixels = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    found = keras_trainer._moved(tf.constant(pixels), tf.constant([[1, 0, 0], [0, -2, 1]])).numpy()
    assert np.array_equal(found[0, :, :, 0], pixels[0, [0, 0, 1, 2], :, 0])
    assert np.array_equal(found[1, :, :, 0], pixels[1, :, [3, 3, 3, 2], 0].T)


def test_augmentation_shifts_by_at_most_a_tenth():
    draw = keras_trainer._moves(2000, (32, 20, 3), np.random.default_rng(0), "shift_flip")
    assert (np.abs(draw[:, 0]).max(), np.abs(draw[:, 1]).max()) == (3, 2)
    assert 0.45 < draw[:, 2].mean() < 0.55
    assert keras_trainer._moves(20, (32, 20, 3), np.random.default_rng(0), "shift")[:, 2].max() == 0
    assert not keras_trainer._moves(20, (32, 20, 3), np.random.default_rng(0), "none").any()


def test_scores_by_hand():
    logits = np.array([[2, 0], [0, 0], [0, 1000]], np.float32)
    loss, accuracy = scores(logits, np.array([0, 0, 0]))
    assert loss == pytest.approx((np.log1p(np.exp(-2)) + np.log(2) + 1000) / 3)
    assert accuracy == pytest.approx(2 / 3)


# ---- images ----------------------------------------------------------------------------------------------------------


def test_N9_images_held_out_are_not_trained_on():
    task = prepare(changed(plateau_on="validation", validation_share=0.2), TRAIN, TEST)
    assert len(task.train) == 40
    assert np.bincount(task.held_out.labels).tolist() == [4, 3, 3]
    assert sorted([*task.train.ids, *task.held_out.ids]) == list(range(100, 150))
    assert prepare(STUDY, TRAIN, TEST).held_out is None


@pytest.mark.parametrize(("plateau_on", "same"), [("test", False), ("validation", True)])
def test_N9_the_test_images_decide_the_training_only_as_published(tmp_path, plateau_on, same):
    study = changed(plateau_on=plateau_on, plateau_patience=1, plateau_factor=0.01, epochs=6, logged=[6])
    # labels that a network which learns gets more and more wrong
    wrong = ImageArrays("halves", "test", TEST.images, (TEST.labels + 1) % 3, TEST.ids, CLASSES)
    losses = []
    for name, seen in (("right", TEST), ("wrong", wrong)):
        train_and_record(study, TRAIN, seen, 0, tmp_path / name)
        losses.append(read_network(tmp_path / name).facts["history"]["train_loss"])
    assert (losses[0] == losses[1]) is same


def test_the_choice_of_test_images_is_seeded():
    first, again = prepare(STUDY, TRAIN, TEST).test, prepare({**STUDY, "seed": 0}, TRAIN, TEST).test
    assert np.array_equal(first.ids, again.ids)
    assert not np.array_equal(first.ids, prepare({**STUDY, "seed": 1}, TRAIN, TEST).test.ids)


def test_mistakes_are_named():
    with pytest.raises(NetalikeError, match=r"n_images is 61: halves \(test\) has 60 images, expected 1 to 60"):
        prepare({**STUDY, "n_images": 61}, TRAIN, TEST)
    with pytest.raises(NetalikeError, match=r"n_train is 0: halves \(train\) has 60 images"):
        prepare({**STUDY, "n_train": 0}, TRAIN, TEST)
    with pytest.raises(ShapeError, match="8 x 8 pixels cannot be averaged to 5 x 5: expected one of 4, 8"):
        prepare(changed(size=5), TRAIN, TEST)
    others = ImageArrays("others", "test", TEST.images, TEST.labels, TEST.ids, ("a", "b", "c"))
    with pytest.raises(NetalikeError, match=r"test images \(others, 3 classes.* not of the kind"):
        prepare(STUDY, TRAIN, others)


def test_a_diverging_training_says_so(tmp_path):
    with pytest.raises(NetalikeError, match=r"conv_small of seed 0: the loss is \w+ in epoch \d.*rate 3e\+38"):
        train_and_record(changed(lr=3e38), TRAIN, TEST, 0, tmp_path)
