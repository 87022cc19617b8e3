"""`netalike similarity`: its numbers are the library's, its files say what they are, its limits hold."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import netalike
from netalike import cli, data, gradients, networks, plots, similarity_cli, similarity_output

N = 40


def run(capsys, *arguments, code=0):
    """Run the command line in this process; return what it printed to stdout, or to stderr where it fails."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured.err if code else captured.out


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """An untrained LeNet with a card and as a foreign file, one in colour, and one from a user's file."""
    folder = tmp_path_factory.mktemp("networks")
    model = networks.build("lenet", 1, 10, seed=0)
    networks.save(model, folder / "lenet.safetensors", networks.Card("lenet", "digits", channels=1, seed=0))
    torch.save(model.state_dict(), folder / "lenet.pt")
    colour = networks.build("lenet", 3, 10, seed=0)
    networks.save(colour, folder / "colour.safetensors", networks.Card("lenet", "cifar10", channels=3, seed=0))
    lines = ["from torch import nn", "def small(channels, classes):"]
    layers = "nn.Flatten(), nn.Linear(channels * 1024, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, classes)"
    (folder / "own.py").write_text("\n".join([*lines, f"    return nn.Sequential({layers})", ""]))
    return folder


@pytest.fixture
def similarity(nets, tmp_path, capsys, monkeypatch):
    """Run the command; without its pictures, which take longest, unless they are wanted."""

    def call(*options, network="lenet.safetensors", out="out", code=0, pictures=False):
        if not pictures:
            monkeypatch.setattr(similarity_output, "_figures", lambda *given: {})
        name = network if ":" in network else nets / network
        common = ["--limit", N, "-k", 2, "-o", tmp_path / out, "--json"]
        told = run(capsys, "similarity", "--network", name, *common, *options, code=code)
        return told if code else (json.loads(told), tmp_path / out)

    return call


def column(folder, name, file="counts.csv"):
    with (folder / file).open(newline="") as opened:
        return [row[name] for row in csv.DictReader(opened)]


def expected(nets, outputs="logits"):
    model, _ = networks.load(nets / "lenet.safetensors")
    images = data.load("digits", "test", limit=N)
    labels = images.labels if outputs == "true-class" else None
    return gradients.similarity(gradients.per_sample_gradients(model, images, outputs, labels).numpy())


@pytest.mark.parametrize("outputs", ["logits", "true-class", "sum"])
def test_the_table_holds_the_counts_of_the_definition(nets, similarity, outputs):
    _, folder = similarity("--outputs", outputs)
    kernel = expected(nets, outputs)
    np.testing.assert_allclose(np.load(folder / "kernel.npy", allow_pickle=False), kernel, atol=1e-5)
    np.testing.assert_allclose([float(value) for value in column(folder, "soft_count")], kernel.sum(1), atol=1e-3)
    np.testing.assert_allclose(
        [float(value) for value in column(folder, "less_soft_2")], (np.clip(kernel, 0, 1) ** 2).sum(1), atol=1e-3
    )
    assert set(column(folder, "above_0.99")) <= {str(n) for n in range(1, N + 1)}  # with itself, so at least 1
    assert column(folder, "id") == [str(i) for i in data.load("digits", "test", limit=N).ids]


def test_the_neighbours_are_the_most_similar_others(nets, similarity):
    told, folder = similarity("-k", 3)
    kernel = expected(nets) - 2 * np.eye(N)
    near = np.array([int(value) for value in column(folder, "neighbour", "neighbours.csv")]).reshape(N, 3)
    values = np.array([float(value) for value in column(folder, "similarity", "neighbours.csv")]).reshape(N, 3)
    np.testing.assert_allclose(values, np.sort(kernel)[:, :-4:-1], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(kernel, near, 1), values, atol=1e-5)
    assert column(folder, "rank", "neighbours.csv")[:4] == ["1", "2", "3", "1"]
    assert told["include_self"] is True


def test_the_summary_says_what_was_found(nets, similarity):
    told, folder = similarity()
    kernel = expected(nets)
    labels = data.load("digits", "test", limit=N).labels.numpy()
    same = (labels[:, None] == labels) & ~np.eye(N, dtype=bool)
    assert told["mean_similarity"]["same_class"] == pytest.approx(kernel[same].mean(), abs=1e-5)
    assert told["mean_similarity"]["other_class"] == pytest.approx(kernel[labels[:, None] != labels].mean(), abs=1e-5)
    assert told["soft_count"]["max"] == pytest.approx(kernel.sum(1).max(), abs=1e-3)
    assert (told["n"], told["parameters"], told["n_outputs"], told["zero_gradients"]) == (N, 61706, 10, 0)
    assert (told["dataset"], told["split"], told["outputs"]) == ("digits", "test", "logits")
    stored = json.loads((folder / "summary.json").read_text())
    assert {key: told[key] for key in stored if key != "files"} == {k: v for k, v in stored.items() if k != "files"}
    assert sorted(path.name for path in folder.iterdir()) == sorted(told["files"])


def test_pictures_have_cards_that_say_what_is_counted(similarity):
    told, folder = similarity(pictures=True)
    assert sorted(path.name for path in folder.iterdir()) == sorted(told["files"])
    for name in ("histogram", "nearest", "similarities"):
        card = plots.load_card(folder / f"{name}.json")
        assert card.files == [f"{name}.svg", f"{name}.png"]
        assert f"{N} images of digits (test)" in card.caption
        assert "Counts include the image itself, neighbours do not" in card.caption
        assert (folder / f"{name}.png").stat().st_size > 5_000


def test_three_back_ends_agree(similarity):
    folders = [similarity("--backend", name, out=name)[1] for name in ("streaming", "memory", "disk")]
    kernels = [np.load(folder / "kernel.npy", allow_pickle=False) for folder in folders]
    assert max(np.abs(kernel - kernels[0]).max() for kernel in kernels) < 1e-5
    assert not (folders[2] / "gradients").exists()


@pytest.mark.parametrize("backend", ["streaming", "memory", "disk"])
def test_without_pairs_the_counts_are_the_same(similarity, backend):
    _, whole = similarity(out="whole")
    told, folder = similarity("--no-pairs", "--backend", backend)
    assert not (folder / "kernel.npy").exists()
    assert "mean_similarity" not in told
    counts = [np.array([float(value) for value in column(place, "soft_count")]) for place in (whole, folder)]
    np.testing.assert_allclose(*counts, rtol=1e-5)
    sources = {*column(folder, "image", "neighbours.csv")}
    assert 1 < len(sources) <= 10


def test_the_same_call_twice_gives_the_same_bytes(similarity):
    folders = [similarity(out=name)[1] for name in ("one", "two")]
    for name in ("counts.csv", "neighbours.csv", "kernel.npy"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_foreign_weights_and_networks_from_a_file(nets, similarity):
    told, _ = similarity()
    foreign, _ = similarity("-a", "lenet", "-d", "digits", network="lenet.pt")
    assert foreign["soft_count"] == told["soft_count"]
    own, _ = similarity("-d", "digits", "--seed", 3, network=f"file:{nets / 'own.py'}:small")
    again, _ = similarity("-d", "digits", "--seed", 3, network=f"file:{nets / 'own.py'}:small")
    other, _ = similarity("-d", "digits", "--seed", 4, network=f"file:{nets / 'own.py'}:small")
    assert own["soft_count"] == again["soft_count"] != other["soft_count"]
    assert own["parameters"] == 4100 + 8 + 50


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_images(similarity, n):
    """Fewer than 4 failed in the published code: a chunk of n // 4 samples is none."""
    told, folder = similarity("--limit", n, pictures=True)
    assert len(column(folder, "soft_count")) == n
    assert told["soft_count"]["max"] <= n + 1e-5
    assert (folder / "nearest.png").is_file() == (n > 1)


def test_what_was_found_is_printed_in_words(nets, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(similarity_output, "_figures", lambda *given: {})
    told = run(capsys, "similarity", "-n", nets / "lenet.safetensors", "--limit", N, "-o", tmp_path)
    assert told.startswith(f"{N} images of digits (test): 61,706 parameters, 10 outputs (logits)\n")
    assert "soft count of neighbours, the image itself included: mean" in told
    assert "mean similarity, same class: 0." in told


def test_a_limit_that_cannot_be_kept_is_refused(similarity):
    needed = 4 * N * 61706 * 10 / 1e9
    told = similarity("--backend", "memory", "--memory-gb", 0.1, code=2)
    assert f"take {needed:.3g} GB, more than half of the limit of 0.1 GB: use --backend streaming" in told
    told = similarity("--memory-gb", 0.0001, code=2)
    assert "one sample of 10 outputs and 61706 parameters needs about" in told
    assert "Raise the limit" in told
    told = similarity("--memory-gb", 0, code=2)
    assert "memory_gb: expected a limit above 0, got 0.0" in told


def test_all_pairs_are_compared_only_where_that_fits(tmp_path):
    """4-byte numbers, in half of 1 GB: 11,180 images."""
    room = similarity_cli._Room(1.0, similarity_cli.Backend.streaming, tmp_path, pairs=True)
    assert room.holds_pairs(11180)
    assert not room.holds_pairs(11181)
    assert not replace(room, backend=similarity_cli.Backend.memory).holds_pairs(11180)  # beside the gradients
    assert not replace(room, pairs=False).holds_pairs(10)


def test_mistakes_are_one_line(nets, similarity):
    told = similarity("-d", "cifar", code=2)
    assert "unknown data set 'cifar'" in told
    assert "Did you mean 'cifar10'?" in told
    assert "has no card that says its data set: name it with -d" in similarity(
        "-a", "lenet", network="lenet.pt", code=2
    )
    assert "name the architecture (-a on the command line)" in similarity("-d", "digits", network="lenet.pt", code=2)
    assert "Did you mean" in similarity(network="lenett.safetensors", code=2)
    told = similarity("-d", "digits", network="colour.safetensors", code=2)
    assert "takes images of shape (n, 3, height, width), 32 x 32; got (1, 1, 32, 32)" in told
    assert told.count("\n") == 1
    told = similarity("-a", "lenet", "-d", "digits", network=f"file:{nets / 'own.py'}:small", code=2)
    assert "says its architecture itself: leave out -a lenet" in told
    assert "no such file" in similarity("-d", "digits", network="file:gone.py:small", code=2)


def test_three_lines_of_python(nets):
    model, _ = networks.load(nets / "lenet.safetensors")
    images = data.load("digits", "test", limit=N)
    similarity = netalike.gradient_kernel(model, images)
    np.testing.assert_allclose(similarity.soft_counts, expected(nets).sum(1), rtol=1e-5)
