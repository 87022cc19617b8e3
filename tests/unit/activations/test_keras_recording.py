"""Recordings of a training: the units that are kept, files as the PyTorch side's, and reading with numpy alone."""

import json
import subprocess
import sys

import numpy as np
import pytest

from netalike.activations.keras import (
    epoch_folder,
    kept_units,
    read_network,
    read_networks,
    training_rows,
    write_activations,
    write_facts,
)
from netalike.data.image_arrays import ImageArrays
from netalike.errors import BadFileError, NetalikeError, UnknownNameError
from netalike.evidence import measurements

IMAGES = ImageArrays(
    "toys", "test", np.zeros((5, 4, 4, 1), np.uint8), np.array([0, 1, 0, 1, 1]), np.array([2, 3, 5, 8, 9]), ("a", "b")
)
CHOICE = {"n_units": 50, "max_units": 20, "architecture": "conv", "layer": "pool1", "seed": 3}


def outputs(seed):
    generator = np.random.default_rng(seed)
    return {
        "pool1": generator.normal(size=(5, 3, 2, 2)).astype(np.float32),
        "logits": generator.normal(size=(5, 2)).astype(np.float32),
    }


def batches(layers):
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        yield {layer: found[rows] for layer, found in layers.items()}


UNITS = {"pool1": np.array([7, 0, 11]), "logits": np.arange(2)}


def recorded(folder, seed=0, **changed):
    for epoch in (0, 3):
        write_activations(epoch_folder(folder, epoch), batches(outputs(seed + epoch)), UNITS, IMAGES)
    history = {
        "train_loss": [[1, 2.0], [2, 1.5], [3, 1.0]],
        "train_accuracy": [[1, 0.2], [2, 0.3], [3, 0.4]],
        "test_loss": [[0, 2.3], [3, 1.1]],
        "test_accuracy": [[0, 0.1], [3, 0.5]],
    }
    facts = {
        "name": f"conv-s{seed}",
        "architecture": "conv",
        "seed": seed,
        "dataset": "toys",
        "split": "test",
        "n_train": 9,
        "layers": ["pool1", "logits"],
        "epochs": [0, 3],
        "accuracy": [0.1, 0.5],
        "history": history,
    }
    write_facts(folder, {**facts, **changed}, IMAGES)
    return read_network(folder)


def test_N6_shared_units_are_the_same_in_every_network_and_at_every_epoch():
    found = [
        kept_units(**CHOICE, units="shared", network=network, epoch=epoch) for network in (0, 1) for epoch in (0, 9)
    ]
    assert all(np.array_equal(found[0], other) for other in found)
    assert len(set(found[0].tolist())) == 20
    assert np.all(np.diff(found[0]) > 0)
    assert found[0].max() < 50


def test_N6_published_units_differ_between_networks_and_epochs_but_are_seeded():
    def draw(**changed):
        return kept_units(**{**CHOICE, "units": "per_network", "network": 0, "epoch": 0, **changed})

    assert np.array_equal(draw(), draw())
    for changed in ({"network": 1}, {"epoch": 1}, {"layer": "pool2"}, {"seed": 4}):
        assert not np.array_equal(np.sort(draw()), np.sort(draw(**changed)))
    assert not np.all(np.diff(draw()) > 0)


def test_N6_shared_units_depend_on_the_layer_the_architecture_and_the_seed():
    first = kept_units(**CHOICE, units="shared")
    for changed in ({"layer": "pool2"}, {"architecture": "mlp"}, {"seed": 4}):
        assert not np.array_equal(first, kept_units(**{**CHOICE, **changed}, units="shared"))


@pytest.mark.parametrize("units", ["shared", "per_network", "all"])
def test_small_layers_are_kept_whole(units):
    assert np.array_equal(kept_units(**{**CHOICE, "max_units": 50}, units=units), np.arange(50))


def test_all_units_and_unknown_choices():
    assert np.array_equal(kept_units(**CHOICE, units="all"), np.arange(50))
    with pytest.raises(UnknownNameError, match=r"unknown choice of units 'share'.*Did you mean 'shared'"):
        kept_units(**CHOICE, units="share")


def test_what_is_read_is_what_the_layers_returned(tmp_path):
    network = recorded(tmp_path / "conv-s0")
    assert (network.name, network.dataset, network.seed, len(network)) == ("conv-s0", "toys", 0, 5)
    assert (network.layers, network.epochs) == (("pool1", "logits"), (0, 3))
    assert network.accuracy == {0: 0.1, 3: 0.5}
    assert network.labels.tolist() == [0, 1, 0, 1, 1]
    assert network.ids.tolist() == [2, 3, 5, 8, 9]
    for epoch in (0, 3):
        found = network.activations("pool1", epoch)
        assert isinstance(found, np.memmap)
        assert found.dtype == np.float32
        assert np.array_equal(found, outputs(epoch)["pool1"].reshape(5, 12)[:, [7, 0, 11]])
        assert np.array_equal(network.at(epoch)["logits"], outputs(epoch)["logits"])
        assert network.units("pool1", epoch).tolist() == [7, 0, 11]
    assert list(network.at(3)) == ["pool1", "logits"]


def test_the_torch_side_reads_the_same_files_and_measures_run_on_them(tmp_path):
    pytest.importorskip("torch")
    from netalike.activations import ActivationStore
    from netalike.measures.recorded import compare_recorded
    from netalike.measures.registry import measure

    networks = {seed: recorded(tmp_path / f"conv-s{seed}", seed) for seed in (0, 1)}
    store = ActivationStore(epoch_folder(networks[0].directory, 3))
    assert list(store) == ["pool1", "logits"]
    assert np.array_equal(store["pool1"], networks[0].activations("pool1", 3))
    assert store.index["ids"] == [2, 3, 5, 8, 9]
    recordings = {"a": networks[0].at(3), "b": networks[0].at(3)}
    found = list(compare_recorded(recordings, [("a", "b")], [measure("cka/biased")], progress=False))
    assert [one.value for one in found] == pytest.approx([1, 1])


def test_rows_of_the_training(tmp_path):
    rows = training_rows(recorded(tmp_path / "conv-s1", 1))
    frame = measurements.table(rows, paper="shared_response", experiment="alignment")
    train = measurements.select(frame, split="train", quantity="loss")
    assert train["step"].tolist() == [1, 2, 3]
    assert train["value"].tolist() == [2.0, 1.5, 1.0]
    assert set(train["n_samples"]) == {9}
    test = measurements.select(frame, split="test", quantity="accuracy")
    assert list(zip(test["step"], test["value"], strict=True)) == [(0, 0.1), (3, 0.5)]
    assert set(test["n_samples"]) == {5}
    assert set(frame["network_a"]) == {"conv-s1"}
    assert set(frame["seed"]) == {1}


def test_networks_of_several_jobs_come_by_seed(tmp_path):
    for job, seed in (("a", 10), ("a", 2), ("b", 1)):
        recorded(tmp_path / job / f"conv-s{seed}", seed)
    assert [network.seed for network in read_networks([tmp_path / "a", tmp_path / "b"])] == [1, 2, 10]
    assert [network.seed for network in read_networks(tmp_path / "a")] == [2, 10]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadFileError, match=r"no recorded network in .*empty: train the networks first"):
        read_networks(tmp_path / "empty")


def test_what_is_not_there_is_named(tmp_path):
    network = recorded(tmp_path / "conv-s0")
    with pytest.raises(UnknownNameError, match=r"unknown recorded layer of conv-s0 'pool2'.*Did you mean 'pool1'"):
        network.activations("pool2", 0)
    with pytest.raises(NetalikeError, match="conv-s0 was not recorded after epoch 2: there are 0, 3"):
        network.activations("pool1", 2)
    with pytest.raises(NetalikeError, match="epoch 2"):
        network.at(2)
    (epoch_folder(network.directory, 3) / "000.npy").write_bytes(b"damaged")
    with pytest.raises(BadFileError, match=r"000.npy cannot be read .*record conv-s0 again"):
        network.activations("pool1", 3)


def test_an_incomplete_recording_is_refused(tmp_path):
    folder = recorded(tmp_path / "conv-s0").directory
    facts = json.loads((folder / "network.json").read_text())
    (folder / "network.json").write_text(json.dumps({**facts, "format": "something"}))
    with pytest.raises(BadFileError, match="is 'something', expected 'netalike recorded training 1'"):
        read_network(folder)
    (folder / "network.json").unlink()
    with pytest.raises(BadFileError, match=r"no complete recording of a network in .*record it again"):
        read_network(folder)


def test_N10_numpy_alone_reads_a_recording_and_no_pickle_is_needed(tmp_path):
    recorded(tmp_path / "conv-s0")
    code = (
        "import sys\n"
        "for name in ('torch', 'tensorflow', 'keras', 'pandas', 'scipy', 'safetensors'): sys.modules[name] = None\n"
        "from netalike.activations.keras import read_network\n"
        f"print(read_network({str(tmp_path / 'conv-s0')!r}).activations('pool1', 3).shape)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stderr == ""
    assert found.stdout.strip() == "(5, 3)"
