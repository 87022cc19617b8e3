"""Checkpoints: what is saved comes back, what does not fit is refused with what would."""

import dataclasses
import json
import os
import pickle

import pytest
import torch

from netalike import networks
from netalike.errors import BadFileError, NetalikeError
from netalike.networks.checkpoint import write_atomically

CARD = networks.Card(
    "lenet",
    "digits",
    channels=1,
    seed=3,
    batch_seed=4,
    epochs=5,
    accuracy=0.5,
    loss=1.25,
    data_sha256="ab",
    settings={"lr": 0.1},
)


@pytest.fixture
def lenet():
    return networks.build("lenet", channels=1, seed=3).eval()


@pytest.fixture
def saved(lenet, tmp_path):
    path = tmp_path / "in3-gn4.safetensors"
    networks.save(lenet, path, CARD)
    return path


def same(a, b):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


def test_weights_and_card_come_back(lenet, saved, tmp_path):
    model, card = networks.load(saved)
    assert same(lenet, model)
    assert not model.training
    assert dataclasses.replace(card, weights_sha256="") == CARD
    assert sorted(os.listdir(tmp_path)) == ["in3-gn4.json", "in3-gn4.safetensors"]


def test_saving_twice_gives_the_same_bytes(lenet, saved, tmp_path):
    networks.save(lenet, tmp_path / "again.safetensors", CARD)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()
    assert (tmp_path / "again.json").read_bytes() == saved.with_suffix(".json").read_bytes()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"architecture": "dense"}, "by its card, of architecture 'lenet', but 'dense' was asked for"),
        ({"channels": 3}, "of channels 1, but 3"),
        ({"classes": 100}, "of classes 10, but 100"),
    ],
)
def test_a_card_that_says_otherwise_is_refused(saved, asked, message):
    with pytest.raises(BadFileError, match=message):
        networks.load(saved, **asked)


def test_a_card_of_another_file_is_refused(lenet, saved):
    card = saved.with_suffix(".json").read_text()
    lenet.conv1.bias.data += 1
    networks.save(lenet, saved, CARD)
    saved.with_suffix(".json").write_text(card)
    with pytest.raises(BadFileError, match=r"not the file that its card in3-gn4\.json describes"):
        networks.load(saved)


def test_a_misspelt_entry_of_a_card_is_named(saved):
    content = json.loads(saved.with_suffix(".json").read_text())
    saved.with_suffix(".json").write_text(json.dumps(content | {"epoch": 3}))
    with pytest.raises(BadFileError, match=r"unknown entry 'epoch'\. Did you mean 'epochs'"):
        networks.load(saved)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_card_is_named(saved, content):
    saved.with_suffix(".json").write_text(content)
    with pytest.raises(BadFileError, match=r"in3-gn4\.json is not"):
        networks.load(saved)


def test_without_a_card_the_fitting_architecture_is_named(saved):
    saved.with_suffix(".json").unlink()
    with pytest.raises(BadFileError, match=r"no card .* fit lenet \(channels=1, classes=10\)"):
        networks.load(saved)
    model, card = networks.load(saved, "lenet", channels=1)
    assert (card.architecture, card.source, card.accuracy) == ("lenet", str(saved), None)
    assert model.conv1.weight.shape == (6, 1, 5, 5)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("ending", [".pt", ".pth", ".th"])
def test_foreign_state_dictionaries_are_read(lenet, tmp_path, wrap, prefix, ending):
    path = tmp_path / f"foreign{ending}"
    torch.save(wrap({prefix + key: value for key, value in lenet.state_dict().items()}), path)
    model, card = networks.load(path, "lenet", channels=1)
    assert same(lenet, model)
    assert card.version == ""


def test_the_wrong_architecture_names_the_right_one(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(networks.build("resnet20_w2", classes=100).state_dict(), path)
    with pytest.raises(BadFileError) as caught:
        networks.load(path, "nbn_tiny10")
    message = str(caught.value)
    assert "does not fit nbn_tiny10: missing: conv1.bias, conv2.weight, conv2.bias" in message
    assert "and 10 more; unexpected: bn1.weight" in message
    assert "wrong shapes: conv1.weight (32, 3, 3, 3) instead of (16, 3, 3, 3)" in message
    assert message.endswith("The weights fit resnet20_w2 (channels=3, classes=100).")


def test_not_strict_allows_missing_keys_but_no_wrong_shapes(lenet, tmp_path):
    path = tmp_path / "part.pt"
    state = lenet.state_dict()
    del state["fc3.bias"]
    torch.save(state, path)
    model, _ = networks.load(path, "lenet", channels=1, strict=False)
    assert torch.equal(model.fc1.weight, lenet.fc1.weight)
    with pytest.raises(BadFileError, match=r"missing: fc3\.bias\. They fit no registered"):
        networks.load(path, "lenet", channels=1)
    with pytest.raises(BadFileError, match=r"wrong shapes: conv1\.weight \(6, 1, 5, 5\) instead of \(6, 3, 5, 5\)"):
        networks.load(path, "lenet", strict=False)


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil-was-here",))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, "evil.pt")
    with pytest.raises(BadFileError, match="was refused: it is a pickle that holds more than tensors"):
        networks.load("evil.pt", "lenet")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", pickle.dumps([1, 2])])
def test_what_is_no_checkpoint_is_a_bad_file(tmp_path, content):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"bad\.pt"):
        networks.load(path, "lenet")


def test_what_holds_no_tensors_is_a_bad_file(tmp_path):
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "numbers.pt")
    with pytest.raises(BadFileError, match=r"no state dictionary.*found a dictionary with epoch, loss"):
        networks.load(tmp_path / "numbers.pt", "lenet")


def test_a_cut_off_file_is_a_bad_file(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    saved.with_suffix(".json").unlink()
    with pytest.raises(BadFileError, match="may be cut off"):
        networks.load(saved, "lenet", channels=1)


def test_weights_that_are_not_finite_are_refused(lenet, saved):
    lenet.fc1.bias.data[3] = float("nan")
    networks.save(lenet, saved, CARD)
    with pytest.raises(BadFileError, match=r"not finite .* in fc1\.bias"):
        networks.load(saved)


def test_paths_that_cannot_be_weights(saved, tmp_path):
    with pytest.raises(
        BadFileError, match=r"no such file: .*in3-gn5\.safetensors\. Did you mean .*in3-gn4\.safetensors"
    ):
        networks.load(tmp_path / "in3-gn5.safetensors")
    with pytest.raises(BadFileError, match="is a folder"):
        networks.load(tmp_path)
    with pytest.raises(BadFileError, match=r"ending '\.json', expected \.safetensors"):
        networks.load(saved.with_suffix(".json"))
    with pytest.raises(NetalikeError, match=r"stored as \.safetensors"):
        networks.save(networks.build("lenet"), tmp_path / "a.pt", CARD)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.mirror
def test_every_published_checkpoint_loads(mirror):
    files = [*mirror.glob("networks/tiny10/*.pt"), *mirror.glob("networks/resnet20_w1/*.pt")]
    assert len(files) == 22
    for path in files:
        model, card = networks.load(path, path.parent.name)
        assert card.architecture == path.parent.name
        tracked = [value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")]
        assert min(map(int, tracked)) >= 110_000
