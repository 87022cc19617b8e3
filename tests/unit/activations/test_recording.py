"""Recorded activations are exactly what the layers returned, in the order of the ids, and complete or refused."""

from __future__ import annotations

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netalike import data, networks
from netalike.activations import ActivationStore, Recorder, record
from netalike.data import ImageSet
from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError

LAYERS = ["conv1", "relu1", "relu4"]


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return data.load("digits", "test", limit=23)


@pytest.fixture
def lenet() -> nn.Module:
    return networks.build("lenet", channels=1, seed=0)


class Steps(nn.Module):
    """A chain of whatever a test wants to record."""

    def __init__(self, *steps: nn.Module):
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, images: Tensor) -> Tensor:
        for step in self.steps:
            images = step(images)
            images = images[0] if isinstance(images, tuple) else images
        return images


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> object:
        return self.function(images)


# ---- what is recorded -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [5, 23, 100])
def test_files_hold_exactly_what_the_layers_return(lenet, images, tmp_path, batch_size):
    expected: dict[str, list[np.ndarray]] = {layer: [] for layer in LAYERS}
    handles = [
        lenet.get_submodule(layer).register_forward_hook(
            lambda _m, _i, out, layer=layer: expected[layer].append(out.detach().clone().numpy())
        )
        for layer in LAYERS
    ]
    lenet.eval()
    for start in range(0, 23, batch_size):
        lenet(images.inputs(start, min(start + batch_size, 23)))
    for handle in handles:
        handle.remove()

    store = record(lenet, images, LAYERS, tmp_path / "r", batch_size)
    assert list(store) == LAYERS
    assert len(store) == 3
    for layer in LAYERS:
        assert isinstance(store[layer], np.memmap)
        assert store[layer].dtype == np.float32
        np.testing.assert_array_equal(store[layer], np.concatenate(expected[layer]))
    assert store["conv1"].shape == (23, 6, 28, 28)


def test_rows_follow_the_ids(lenet, images, tmp_path):
    chosen = images.take([11, 3, 20, 7, 0])
    store = record(lenet, chosen, ["relu2"], tmp_path / "some", batch_size=2)
    whole = record(lenet, images, ["relu2"], tmp_path / "all")
    assert store.index["ids"] == images.ids[[11, 3, 20, 7, 0]].tolist()
    assert (store.index["dataset"], store.index["split"]) == ("digits", "test")
    positions = {number: row for row, number in enumerate(whole.index["ids"])}
    rows = [positions[number] for number in store.index["ids"]]
    np.testing.assert_allclose(store["relu2"], whole["relu2"][rows], atol=1e-5)


def test_a_recording_can_be_opened_again(lenet, images, tmp_path):
    stored = record(lenet, images, LAYERS, tmp_path)
    again = ActivationStore(tmp_path)
    np.testing.assert_array_equal(again["relu4"], stored["relu4"])
    with pytest.raises(UnknownNameError, match=r"unknown recorded layer 'relu44': .*Did you mean 'relu4'"):
        again["relu44"]


def test_an_in_place_operation_downstream_does_not_alter_what_was_recorded(images, tmp_path):
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 2, 3)
    model = Steps(convolution, nn.ReLU(inplace=True), nn.Flatten())
    store = record(model, images, ["steps.0"], tmp_path)
    with torch.no_grad():
        expected = convolution(images.inputs())
    assert (expected < 0).any()
    np.testing.assert_allclose(store["steps.0"], expected.numpy(), atol=1e-6)


def test_the_first_tensor_of_a_tuple_or_mapping_is_recorded(images, tmp_path):
    pair = Returns(lambda x: (None, x.flatten(1), "state"))
    named = Returns(lambda x: {"features": 2 * x})
    model = nn.Sequential(named, Returns(lambda x: x["features"]), pair)
    store = record(model, images, ["0", "2"], tmp_path)
    np.testing.assert_array_equal(store["0"], 2 * images.inputs().numpy())
    np.testing.assert_array_equal(store["2"], 2 * images.inputs().flatten(1).numpy())
    assert [layer.name for layer in networks.layers(model, images.inputs())] == ["0", "1", "2"]


def test_half_precision_outputs_are_stored_as_float32(images, tmp_path):
    store = record(nn.Sequential(Returns(lambda x: x.bfloat16())), images, ["0"], tmp_path)
    np.testing.assert_array_equal(store["0"], images.inputs().bfloat16().float().numpy())


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_no_batch_is_kept(images, tmp_path):
    """At every batch, nothing is alive of any earlier one."""
    alive: list[int] = []
    made: list[weakref.ref[Tensor]] = []

    def widened(x: Tensor) -> Tensor:
        gc.collect()
        alive.append(sum(reference() is not None for reference in made))
        wide = x.flatten(1).repeat(1, 8)
        made.append(weakref.ref(wide))
        return wide

    model = nn.Sequential(Returns(widened), Returns(lambda x: x.mean(1, keepdim=True)))
    store = record(model, images, ["0"], tmp_path, batch_size=4)
    assert alive == [0] * 6
    assert store["0"].shape == (23, 8 * 1024)
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_no_graph_is_kept(lenet, images):
    kept: list[Tensor] = []
    with Recorder(lenet, ["relu1"], lambda _layer, output: kept.append(output)) as recorder:
        output = recorder.forward(images.inputs(0, 4))
    assert not output.requires_grad
    assert not kept[0].requires_grad
    assert kept[0].shape[0] == 4


# ---- the state of the model -----------------------------------------------------------------------------------------


def test_hooks_and_modes_are_as_before(images, tmp_path):
    model = networks.build("tiny10", channels=1, seed=0).train()
    model.get_submodule("bn3").eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    record(model, images, ["bn1"], tmp_path)
    assert model.training
    assert model.get_submodule("bn1").training
    assert not model.get_submodule("bn3").training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())  # no batch statistics


def test_also_after_an_error(lenet, images):
    lenet.train()

    def refuse(layer: str, output: Tensor) -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"), Recorder(lenet, ["relu1"], refuse) as recorder:
        recorder.forward(images.inputs())
    assert lenet.training
    assert not any(module._forward_hooks for module in lenet.modules())


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_an_unknown_layer_is_refused_with_the_nearest(lenet, images, tmp_path):
    with pytest.raises(
        UnknownNameError, match=r"unknown layer of \w+ 'rellu1': .*Did you mean 'relu1'.*netalike layers"
    ):
        record(lenet, images, ["rellu1"], tmp_path)


def test_a_layer_that_runs_twice_is_refused_unless_the_last_is_wanted(images, tmp_path):
    shared = nn.Tanh()
    model = Steps(nn.Flatten(), shared, nn.Linear(1024, 3), shared)
    with pytest.raises(NetalikeError, match=r"layer 'steps\.1' of Steps runs more than once .* choose the block"):
        record(model, images, ["steps.1"], tmp_path)
    seen: list[tuple[int, ...]] = []
    with Recorder(model, ["steps.1"], lambda _layer, out: seen.append(tuple(out.shape)), repeats="last") as recorder:
        recorder.forward(images.inputs())
    assert seen == [(23, 1024), (23, 3)]


def test_a_layer_that_does_not_run_is_refused(images, tmp_path):
    model = Steps(nn.Flatten())
    model.unused = nn.Linear(2, 2)
    with pytest.raises(NetalikeError, match="layer 'unused' of Steps does not run in a forward pass"):
        record(model, images, ["unused"], tmp_path)


def test_a_layer_without_a_tensor_is_refused(images, tmp_path):
    model = nn.Sequential(Returns(lambda x: "text"), Returns(lambda x: x))
    with pytest.raises(NetalikeError, match="layer '0' returns str, not a tensor; choose a layer inside it"):
        record(model, images, ["0"], tmp_path)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x.flatten(1).T, r"\(1024, 23\)"),  # features first
        (lambda x: x.flatten(1)[:7], r"\(7, 1024\)"),  # would leave rows of zeros
        (lambda x: x.repeat(2, 1, 1, 1), r"\(46, 1, 32, 32\)"),
        (lambda x: x.mean(), r"\(\)"),
    ],
)
def test_a_layer_whose_rows_are_not_the_samples_is_refused(images, tmp_path, function, shape):
    model = nn.Sequential(Returns(function), Returns(lambda x: x))
    message = rf"layer '0' returns a tensor of shape {shape} for 23 samples: expected \(23, \.\.\.\)"
    with pytest.raises(ShapeError, match=message):
        record(model, images, ["0"], tmp_path)


def test_a_recording_that_was_cut_off_is_refused(lenet, images, tmp_path):
    record(lenet, images, LAYERS, tmp_path)
    calls = []

    def fail_later(x: Tensor) -> Tensor:
        calls.append(len(x))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt):
        record(nn.Sequential(Returns(fail_later)), images, ["0"], tmp_path, batch_size=5)
    # the index of the recording before must not vouch for the files of this one
    with pytest.raises(BadFileError, match=r"no complete recording in .*: index\.json is missing\. Record the layers"):
        ActivationStore(tmp_path)


def test_a_folder_that_is_no_recording_is_refused(tmp_path):
    with pytest.raises(BadFileError, match="no complete recording"):
        ActivationStore(tmp_path / "nothing")


def test_the_index_is_plain_json_and_the_files_hold_no_pickles(lenet, images, tmp_path):
    record(lenet, images, LAYERS, tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["layers"] == {"conv1": "000.npy", "relu1": "001.npy", "relu4": "002.npy"}
    assert np.load(tmp_path / "002.npy", allow_pickle=False).shape == (23, 84)
