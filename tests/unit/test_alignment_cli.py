"""`netalike align`: its numbers are the library's, its files say what they are, its mistakes are one line."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from netalike import SharedResponse, alignment_cli, alignment_output, cli, data, networks, plots
from netalike.activations import keras, record
from netalike.activations.files import open_activations, read_labels, short_names
from netalike.alignment import brainiak
from netalike.data.image_arrays import ImageArrays
from netalike.evidence import measurements
from netalike.evidence.measurements import parse_condition
from netalike.experiments.given_activations import GivenActivations, match_layers, read_activations
from netalike.experiments.given_alignment import align_given
from netalike.experiments.shared_study import AlignmentStudy, stratified_halves, z_scored

N, WIDTH, CLASSES = 120, 8, 4


def run(capsys, *arguments, code=0):
    """Run the command line in this process; return what it printed to stdout, or to stderr where it fails."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured.err if code else captured.out


def rotation(width, generator):
    q, r = np.linalg.qr(generator.standard_normal((width, width)))
    return q * np.sign(np.diagonal(r))


def copies(count=3, noise=0.0, seed=0, n=N):
    """Rotated copies of one geometry, with the classes of its images."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % CLASSES)
    shared = 2 * generator.standard_normal((CLASSES, WIDTH))[labels] + generator.standard_normal((n, WIDTH))
    arrays = [shared @ rotation(WIDTH, generator) + noise * generator.standard_normal((n, WIDTH)) for _ in range(count)]
    return [array.astype(np.float32) for array in arrays], labels


@pytest.fixture
def align(tmp_path, capsys, monkeypatch):
    """Run the command in JSON; without its pictures, which take longest, unless they are wanted."""

    def call(*arguments, out="out", code=0, pictures=False):
        if not pictures:
            monkeypatch.setattr(alignment_output, "_figures", lambda *given: {})
        told = run(capsys, "align", *arguments, "-o", tmp_path / out, "--json", code=code)
        return told if code else (json.loads(told), tmp_path / out)

    return call


@pytest.fixture
def files(tmp_path):
    """Three noisy, rotated copies as .npy files, and their labels."""
    arrays, labels = copies(noise=0.7)
    for name, array in zip("abc", arrays, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "labels.npy", labels)
    return [tmp_path / f"{name}.npy" for name in "abc"]


def layer_of(told, name="activations"):
    return told["layers"][name]


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_rotated_copies_are_found_to_be_the_same(tmp_path, align):
    arrays, _ = copies()
    for name, array in zip("abc", arrays, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    told, folder = align(*(tmp_path / f"{name}.npy" for name in "abc"), "--no-z-score", "--save-aligned")
    found = layer_of(told)
    for by_network in found["variance_explained"].values():
        np.testing.assert_allclose(list(by_network.values()), 1, atol=1e-5)
    assert found["second_order_similarity"]["centred_kernel"]["after"]["value"] == pytest.approx(1, abs=1e-5)
    assert abs(found["second_order_similarity"]["centred_kernel"]["before"]["value"]) < 0.9
    aligned = [np.load(folder / f"aligned/activations/{name}.npy") for name in "abc"]
    np.testing.assert_allclose(aligned[0], aligned[1], atol=1e-4)
    np.testing.assert_allclose(aligned[0], aligned[2], atol=1e-4)
    assert found["controls"]["shuffled_network"]["by_mean_of_others"]["a"] < 0.2


def test_the_bases_give_the_printed_numbers(files, align):
    told, folder = align(*files, "--save-aligned", "--seed", 3)
    arrays = [z_scored(np.load(path)) for path in files]
    model = SharedResponse.load(folder / "bases-activations.safetensors")
    halves = stratified_halves(np.zeros(N), AlignmentStudy(fit_share=0.8), 3)
    scores = model.score([array[halves.evaluate] for array in arrays])
    printed = layer_of(told)["variance_explained"]["by_mean_of_all"]
    np.testing.assert_allclose(scores, [printed[name] for name in "abc"], atol=1e-5)
    for name, shared in zip("abc", model.transform(arrays), strict=True):
        np.testing.assert_allclose(np.load(folder / f"aligned/activations/{name}.npy"), shared, atol=1e-5)
    assert (told["n"], told["n_fit"], told["n_held_out"]) == (N, 96, 24)
    assert layer_of(told)["features"] == WIDTH
    assert json.loads((folder / "units-activations.json").read_text())["b"] == list(range(WIDTH))


def test_the_table_holds_what_the_summary_says(files, align):
    told, folder = align(*files)
    table = measurements.read(folder / "measurements.parquet")
    assert set(table["experiment"]) == {"align"}
    conditions = table["condition"].map(parse_condition)
    similarity = table[(table["quantity"] == "second_order_similarity") & (table["estimator"] == "pearson")]
    for kind, spaces in layer_of(told)["second_order_similarity"].items():
        for space, said in (("native", spaces["before"]), ("shared", spaces["after"])):
            is_it = conditions.map(lambda c, kind=kind, space=space: c.get("rsm") == kind and c.get("space") == space)
            (row,) = similarity[is_it[similarity.index]].to_dict("records")
            assert (row["value"], row["low"], row["high"]) == (said["value"], said["low"], said["high"])
            assert said["low"] <= said["value"] <= said["high"]
    pairs = table[(table["quantity"] == "consistency") & conditions.map(lambda c: c.get("rsm") == "pearson")]
    assert len(pairs) == 3
    assert layer_of(told)["consistency"]["pearson"] == pytest.approx(pairs["value"].mean())
    assert (folder / "measurements.csv").read_text().count("\n") == len(table) + 1
    stored = json.loads((folder / "summary.json").read_text())
    assert stored["layers"] == told["layers"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(told["files"])


def test_options_reach_the_model(files, align):
    told, folder = align(
        *files, "-k", 5, "--method", "deterministic", "--iterations", 3, "--held-out", 0.5, "--no-controls"
    )
    model = SharedResponse.load(folder / "bases-activations.safetensors")
    assert (model.method, model.iterations, len(model.objective_)) == ("deterministic", 3, 3)
    assert model.bases_[0].shape == (WIDTH, 5)
    assert model.shared_.shape == (60, 5)
    assert (told["held_out"], told["n_held_out"], layer_of(told)["controls"]) == (0.5, 60, {})
    told, _ = align(*files, "--rsm", "cosine")
    assert list(layer_of(told)["second_order_similarity"]) == ["cosine"]


@pytest.mark.parametrize("method", ["probabilistic", "deterministic"])
def test_brainiak_gives_the_same_numbers(files, align, method):
    if not brainiak.is_installed():
        pytest.skip("BrainIAK is not installed")
    ours, _ = align(*files, "--center", "brainiak", "--method", method, out="ours")
    theirs, _ = align(*files, "--implementation", "brainiak", "--method", method, out="theirs")
    assert theirs["center"] == "brainiak"
    for estimator, values in layer_of(ours)["variance_explained"].items():
        other = layer_of(theirs)["variance_explained"][estimator]
        np.testing.assert_allclose([other[name] for name in values], list(values.values()), atol=1e-5)


def test_max_units_keeps_the_same_units_in_all_networks(files, align):
    _, folder = align(*files, "--max-units", 5, "--save-aligned")
    kept = json.loads((folder / "units-activations.json").read_text())
    assert len(kept["a"]) == 5
    assert kept["a"] == kept["b"] == kept["c"] == sorted(set(kept["a"]))
    model = SharedResponse.load(folder / "bases-activations.safetensors")
    arrays = [z_scored(np.load(path)[:, kept["a"]]) for path in files]
    for name, shared in zip("abc", model.transform(arrays), strict=True):
        np.testing.assert_allclose(np.load(folder / f"aligned/activations/{name}.npy"), shared, atol=1e-5)


def test_the_same_call_twice_gives_the_same_bytes(files, align):
    _, one = align(*files, "--save-aligned", out="one")
    _, two = align(*files, "--save-aligned", out="two")
    names = ("measurements.csv", "bases-activations.safetensors", "aligned/activations/b.npy")
    assert [name for name in names if (one / name).read_bytes() != (two / name).read_bytes()] == []


def test_files_of_an_earlier_run_are_removed_and_others_left(files, align):
    _, folder = align(*files, "--save-aligned")
    (folder / "own.txt").write_text("mine")
    told, _ = align(*files)
    assert not list((folder / "aligned").rglob("*.npy"))
    assert {path.name for path in folder.iterdir() if path.is_file()} == {*told["files"], "own.txt"}


def test_a_summary_names_no_file_outside_its_folder(files, align, tmp_path):
    _, folder = align(*files)
    (folder / "summary.json").write_text(json.dumps({"format": alignment_output.FORMAT, "files": ["../a.npy"]}))
    align(*files)
    assert files[0].is_file()


# --- files ------------------------------------------------------------------------------------------------------------


def numbers(told, layer="activations"):
    return [list(values.values()) for values in layer_of(told, layer)["variance_explained"].values()]


def test_all_kinds_of_files_give_the_same(files, align, tmp_path):
    expected, _ = align(*files)
    arrays = {path.stem: np.load(path) for path in files}
    maps = {name: array.reshape(N, 2, 2, 2) for name, array in arrays.items()}
    for name, array in maps.items():
        np.savez(tmp_path / f"{name}.npz", array)
        save_file({"activations": array}, tmp_path / f"{name}.safetensors")
        np.save(tmp_path / f"{name}-double.npy", array.astype(np.float64))
    for pattern in ("{}.npz", "{}.safetensors", "{}-double.npy"):
        told, _ = align(*(tmp_path / pattern.format(name) for name in arrays))
        (layer,) = told["layers"]
        np.testing.assert_allclose(numbers(told, layer), numbers(expected), atol=1e-5)


def test_a_file_may_hold_layers_and_labels(align, tmp_path):
    arrays, labels = copies(noise=0.7)
    others, _ = copies(noise=0.7, seed=1)
    for name, one, two in zip("abc", arrays, others, strict=True):
        np.savez(tmp_path / f"{name}.npz", conv1=one, conv2=two[:, :6], labels=labels)
    paths = [tmp_path / f"{name}.npz" for name in "abc"]
    told, _ = align(*paths)
    assert told["labels"] is True
    assert {layer: facts["features"] for layer, facts in told["layers"].items()} == {"conv1": 8, "conv2": 6}
    assert {"bases-conv1.safetensors", "bases-conv2.safetensors"} <= set(told["files"])
    only, _ = align(*paths, "-l", "conv2")
    assert list(only["layers"]) == ["conv2"]
    np.testing.assert_allclose(numbers(only, "conv2"), numbers(told, "conv2"), atol=1e-5)
    assert "did you mean 'conv2'" in align(*paths, "-l", "con2", code=2).lower()


def test_recordings_of_pytorch_networks(align, tmp_path):
    images = data.load("digits", "test", limit=80)
    for seed in range(2):
        record(networks.build("lenet", 1, 10, seed), images, ["relu3", "relu4"], tmp_path / f"net{seed}")
    told, _ = align(tmp_path / "net0", tmp_path / "net1", "--max-units", 40)
    assert (told["dataset"], told["split"], told["networks"]) == ("digits", "test", ["net0", "net1"])
    assert list(told["layers"]) == ["relu3", "relu4"]
    assert layer_of(told, "relu3")["units_kept"] == {"net0": 40, "net1": 40}
    together, _ = align(tmp_path, "--max-units", 40)  # the folder that holds both
    assert together["layers"] == told["layers"]
    record(networks.build("lenet", 1, 10, 2), images.take(range(79, -1, -1)), ["relu3", "relu4"], tmp_path / "net2")
    assert "recorded over other images, or in another order" in align(tmp_path, "--max-units", 40, code=2)


def keras_folder(folder, arrays, labels):
    images = ImageArrays("digits", "test", np.zeros((N, 2, 2, 1), np.uint8), labels, np.arange(N), ("0", "1"))
    epochs = [0, 5]
    for epoch, array in zip(epochs, arrays, strict=True):
        units = {"pool1": np.arange(WIDTH)}
        keras.write_activations(keras.epoch_folder(folder, epoch), [{"pool1": array}], units, images)
    facts = {"name": folder.name, "dataset": "digits", "split": "test", "layers": ["pool1"], "epochs": epochs}
    keras.write_facts(folder, {**facts, "accuracy": [0.1, 0.9], "seed": 0}, images)


def test_recordings_of_keras_networks_are_read_at_their_last_epoch(files, align, tmp_path):
    (a, b, c), labels = copies(noise=0.7)
    for name, array in zip(("k0", "k1"), (a, b), strict=True):
        keras_folder(tmp_path / "keras" / name, [c, array], labels)
    told, _ = align(tmp_path / "keras")
    expected, _ = align(*files[:2], "--labels", tmp_path / "labels.npy")
    assert (told["networks"], told["labels"], told["dataset"]) == (["k0", "k1"], True, "digits")
    np.testing.assert_allclose(numbers(told, "pool1"), numbers(expected), atol=1e-6)


def test_names_are_as_short_as_they_can_be(tmp_path):
    assert short_names([tmp_path / "a.npy", tmp_path / "b.npz"]) == ["a", "b"]
    assert short_names([tmp_path / "x/act.npy", tmp_path / "y/act.npy"]) == ["x/act", "y/act"]
    assert short_names([tmp_path / "net.v2", tmp_path / "net.v3"]) == ["net.v2", "net.v3"]


def test_layers_of_other_names_match_where_each_network_has_one():
    assert match_layers("ab", [["bn3"], ["layer2"]], []) == ([["bn3"], ["layer2"]], ["bn3|layer2"])
    known = [["bn1", "bn3"], ["layer1", "layer2"]]
    assert match_layers("ab", known, ["bn3", "layer2"])[1] == ["bn3|layer2"]
    assert match_layers("ab", [["x", "y"], ["y", "z"]], []) == ([["y"], ["y"]], ["y"])


def test_labels_as_text_and_as_numbers(tmp_path):
    (tmp_path / "words.txt").write_text("cat\ndog\n\ncat\n")
    assert read_labels(tmp_path / "words.txt").tolist() == ["cat", "dog", "cat"]
    (tmp_path / "numbers.csv").write_text("10\n2\n")
    assert read_labels(tmp_path / "numbers.csv").tolist() == [10, 2]


def test_classes_are_measured_only_where_they_are_known(files, align, tmp_path):
    of_classes = {"block_contrast", "class_rsm", "trajectory_distance"}
    _, without = align(*files, out="without")
    assert not of_classes & set(measurements.read(without / "measurements.parquet")["quantity"])
    told, with_labels = align(*files, "--labels", tmp_path / "labels.npy", out="with")
    assert of_classes <= set(measurements.read(with_labels / "measurements.parquet")["quantity"])
    assert told["labels"] is True


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Untrained networks with cards, one as a foreign file, one of another architecture."""
    folder = tmp_path_factory.mktemp("networks")
    for seed in range(3):
        model = networks.build("lenet", 1, 10, seed)
        networks.save(model, folder / f"net{seed}.safetensors", networks.Card("lenet", "digits", channels=1, seed=seed))
    torch.save(networks.build("lenet", 1, 10, 1).state_dict(), folder / "net1.pt")
    networks.save(
        networks.build("mlp", 1, 10, 0), folder / "mlp.safetensors", networks.Card("mlp", "digits", channels=1)
    )
    colour = networks.Card("lenet", "cifar10", channels=3)
    networks.save(networks.build("lenet", 3, 10, 0), folder / "colour.safetensors", colour)
    return folder


def of(nets, *names):
    return [part for name in names for part in ("-n", nets / name)]


def test_networks_give_what_their_recordings_give(nets, align, tmp_path):
    asked = ["-l", "relu3", "--limit", 90, "--max-units", 50]
    told, folder = align(*of(nets, "net0.safetensors", "net1.safetensors"), *asked)
    images = data.load("digits", "test", limit=90)
    for name in ("net0", "net1"):
        record(networks.load(nets / f"{name}.safetensors")[0], images, ["relu3"], tmp_path / name)
    np.save(tmp_path / "labels.npy", images.labels.numpy())
    labels = ["--labels", tmp_path / "labels.npy", "--max-units", 50]
    again, other = align(tmp_path / "net0", tmp_path / "net1", *labels, out="again")
    assert again["layers"] == told["layers"]
    assert (told["networks"], told["dataset"], told["n"]) == (["net0", "net1"], "digits", 90)
    assert (folder / "units-relu3.json").read_text() == (other / "units-relu3.json").read_text()
    assert (folder / "bases-relu3.safetensors").read_bytes() == (other / "bases-relu3.safetensors").read_bytes()


def test_foreign_weights_and_blocks(nets, align):
    told, _ = align(*of(nets, "net0.safetensors", "net1.safetensors"), "-l", "relu4", "--limit", 120, "--max-units", 60)
    asked = ["-a", "lenet", "-d", "digits", "-l", "relu4", "--limit", 120, "--max-units", 60]
    foreign, _ = align(*of(nets, "net0.safetensors", "net1.pt"), *asked)
    assert foreign["layers"] == told["layers"]
    blocks, _ = align(*of(nets, "net0.safetensors", "net1.pt"), *asked, "-l", "blocks", "--no-controls")
    assert list(blocks["layers"]) == ["relu1", "relu2", "relu3", "relu4"]


def test_networks_of_other_architectures_align_in_a_layer_each(nets, align):
    two, asked = of(nets, "net0.safetensors", "mlp.safetensors"), ["--limit", 120, "-k", 10, "--no-controls"]
    told, folder = align(*two, "-l", "fc3", "-l", "fc", *asked)
    assert list(told["layers"]) == ["fc3|fc"]
    assert (folder / "bases-fc3-fc.safetensors").is_file()
    told = align(*two, "-l", "relu*", *asked, code=2)
    assert "the networks have other layers" in told
    assert "name with -l one of each" in told


# --- pictures and words -----------------------------------------------------------------------------------------------


def texts(figure):
    from matplotlib.text import Text

    return " | ".join(text.get_text() for text in figure.findobj(Text) if text.get_text())


def given(count=3, has_labels=True):
    arrays, labels = copies(count, noise=0.7)
    units = {"fc": np.arange(WIDTH)}
    return [
        GivenActivations(f"n{i}", ("fc",), labels if has_labels else labels * 0, has_labels, {"fc": array}, units, {})
        for i, array in enumerate(arrays)
    ]


@pytest.mark.parametrize("has_labels", [True, False])
def test_figures_say_classes_only_where_they_are_known(has_labels):
    found = align_given(
        [GivenActivations(**{**vars(one), "widths": {"fc": WIDTH}}) for one in given(has_labels=has_labels)],
        {"centers": ("mean",), "rsms": ("pearson",), "controls": ("noise",), "bootstrap": 50},
    )
    table = measurements.table(found.rows)
    drawn = alignment_output._figures(found, table, has_labels)
    assert set(drawn) == {"variance", "panel", *(["trajectories"] if has_labels else [])}
    panel = texts(drawn["panel"][0])
    assert ("class of the image" in panel) == has_labels
    assert ("held-out image, in order" in panel) == (not has_labels)
    assert "trained" not in panel
    (left, right) = drawn["variance"][0].axes[:2]
    values = table[(table["quantity"] == "variance_explained") & table["condition"].str.contains("control=none")]
    for ax, estimator in ((left, "published"), (right, "leave_one_out")):
        heights = [patch.get_height() for patch in ax.patches]
        np.testing.assert_allclose(heights, values.loc[values["estimator"] == estimator, "value"])


def test_pictures_have_cards(files, align, tmp_path):
    told, folder = align(*files, "--labels", tmp_path / "labels.npy", pictures=True)
    for name in ("variance", "panel", "trajectories"):
        card = plots.load_card(folder / f"{name}.json")
        assert card.files == [f"{name}.svg", f"{name}.png"]
        assert "3 networks, 24 held-out images; fitted to 96 others; means subtracted" in card.caption
        assert (folder / f"{name}.png").stat().st_size > 5_000
    assert sorted(path.name for path in folder.iterdir()) == sorted(told["files"])


def test_what_was_found_is_printed_as_a_table(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(alignment_output, "_figures", lambda *given: {})
    told = run(capsys, "align", *files, "-o", tmp_path / "out").splitlines()
    summary = layer_of(json.loads((tmp_path / "out/summary.json").read_text()))
    assert told[0] == "3 networks on 120 images: fitted to 96, measured on 24 held-out images"
    assert told[2] == "layer activations: 8 units, 8 features; probabilistic, means subtracted"
    printed = next(line.split() for line in told if line.startswith("b "))
    expected = [summary["variance_explained"][key]["b"] for key in ("by_mean_of_all", "by_mean_of_others")]
    assert printed == ["b", *(f"{value:.4f}" for value in expected)]
    after = summary["second_order_similarity"]["pearson"]["after"]
    line = next(line for line in told if line.startswith("pearson"))
    assert line.endswith(f"{after['value']:.3f} [{after['low']:.3f}, {after['high']:.3f}]")
    assert not any("no intervals" in line for line in told)
    told = run(capsys, "align", *files[:2], "-o", tmp_path / "out")
    assert "no intervals over networks: these need 3 networks" in told


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_of_what_is_given(files, align, tmp_path, nets):
    assert "nothing to align: give files of activations" in align(code=2)
    assert "FILES and --network are both given" in align(files[0], "-n", nets / "net0.safetensors", code=2)
    assert "1 network to align" in align(files[0], code=2)
    assert "is given twice" in align(files[0], files[0], code=2)
    assert "--dataset belongs to --network" in align(*files, "-d", "digits", code=2)
    told = align(tmp_path / "a.npy", tmp_path / "bb.npy", code=2)
    assert "no such file" in told
    assert f"Did you mean {tmp_path / 'b.npy'}?" in told
    assert told.count("\n") == 1
    (tmp_path / "a.mat").write_text("")
    assert "expected activations as .npy, .npz or .safetensors" in align(files[0], tmp_path / "a.mat", code=2)
    (tmp_path / "empty").mkdir()
    assert "holds no recording: expected index.json" in align(tmp_path / "empty", code=2)
    (tmp_path / "file").write_text("")
    assert "choose another folder" in align(*files, out="file", code=2)
    assert "--held-out 1: expected a share between 0 and 1" in align(*files, "--held-out", 1, code=2)


def test_mistakes_of_networks(nets, align):
    two = of(nets, "net0.safetensors", "net1.safetensors")
    assert "no layer is named" in align(*two, code=2)
    told = align(*two, "-l", "relu33", "--limit", 20, code=2)
    assert "unknown layer 'relu33'" in told
    assert "Did you mean 'relu3'?" in told
    assert "1 network to align" in align(*two[:2], "-l", "relu3", code=2)
    told = align(*of(nets, "net0.safetensors", "colour.safetensors"), "-l", "relu3", code=2)
    assert "the cards say digits and cifar10: name the one" in told
    told = align(*of(nets, "net0.safetensors", "colour.safetensors"), "-l", "relu3", "-d", "digits", code=2)
    assert "takes images of shape (n, 3" in told or "does not take the images of digits" in told
    told = align(*of(nets, "net0.safetensors", "net9.safetensors"), "-l", "relu3", code=2)
    assert "no such file" in told


def test_mistakes_in_activations(files, align, tmp_path):
    a = np.load(files[0])
    np.save(tmp_path / "short.npy", a[:-1])
    told = align(files[0], tmp_path / "short.npy", code=2)
    assert "short.npy has 119 images" in told
    assert "a.npy has 120: give all networks the same images in the same order" in told
    a[3, 2] = np.nan
    np.save(tmp_path / "nan.npy", a)
    assert "nan.npy holds 1 NaN or infinite numbers of 960" in align(files[1], tmp_path / "nan.npy", code=2)
    np.save(tmp_path / "flat.npy", a[:, 0])
    assert "has shape (120,): expected (n_images, n_units)" in align(files[1], tmp_path / "flat.npy", code=2)
    np.save(tmp_path / "text.npy", np.array([["a"] * 3] * N))
    assert "expected real numbers" in align(files[1], tmp_path / "text.npy", code=2)
    np.save(tmp_path / "zero.npy", np.zeros((N, WIDTH)))
    told = align(files[1], tmp_path / "zero.npy", code=2)
    assert "nothing can be aligned" in told
    assert "have no variance" in told
    np.save(tmp_path / "few.npy", np.arange(7))
    assert "7 labels, and 120 images" in align(*files, "--labels", tmp_path / "few.npy", code=2)


def test_fewer_images_or_units_than_features(files, align):
    told = align(*files, "--held-out", 0.95, code=2)
    assert "8 features in layer activations, and 6 of the 120 images to fit them to" in told
    assert "--features 6" in told
    assert "--max-units 6" in told
    told = align(*files, "-k", 9, code=2)
    assert "9 features cannot be had from the 8 units of a" in told


def test_pickles_are_refused(files, align, tmp_path):
    """A pickled .npy runs code when it is read."""
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1.0, 2.0]))
    np.savez(tmp_path / "objects.npz", x=np.array([None, 1], dtype=object))
    for name in ("objects.npy", "pickle.npy", "objects.npz"):
        told = align(files[0], tmp_path / name, code=2)
        assert "Python objects (a pickle), which are not read" in told, name
        assert "np.save(path, np.asarray(activations, dtype=np.float32))" in told


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_a_file_that_is_cut_off_is_refused(files, align, tmp_path, suffix):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    array = np.load(files[0])
    writers = {".npy": lambda: np.save(whole, array), ".npz": lambda: np.savez(whole, array)}
    writers.get(suffix, lambda: save_file({"x": array}, whole))()
    cut.write_bytes(whole.read_bytes()[:-200])
    assert "it may be cut off" in align(files[0], cut, code=2)


def test_brainiak_missing_is_said_before_anything_is_read(align, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "brainiak.funcalign.srm", None)
    told = align("a.npy", "b.npy", "--implementation", "brainiak", code=2)
    assert "implementation='brainiak' needs BrainIAK and an MPI library" in told
    assert "pip install 'netalike[brainiak]'" in told


def test_brainiak_cannot_centre(files, align):
    told = align(*files, "--implementation", "brainiak", "--center", "mean", code=2)
    assert "BrainIAK cannot centre so" in told


def test_an_interruption_writes_nothing(files, align, monkeypatch, tmp_path):
    from netalike.experiments import given_alignment

    def stopped(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(given_alignment, "align_given", stopped)
    assert "stopped; nothing was written" in align(*files, code=130)
    assert not (tmp_path / "out").exists()


def test_one_of_two_layers_may_be_undefined(align, tmp_path):
    arrays, _ = copies(2, noise=0.7)
    for name, array in zip("ab", arrays, strict=True):
        np.savez(tmp_path / f"{name}.npz", dead=np.ones((N, 4)), fc=array)
    told, folder = align(tmp_path / "a.npz", tmp_path / "b.npz")
    assert "have no variance" in told["layers"]["dead"]["undefined"]
    assert layer_of(told, "fc")["features"] == WIDTH
    table = measurements.read(folder / "measurements.parquet")
    assert table.loc[table["layer_a"] == "dead", "status"].str.startswith("undefined").all()
    assert "bases-dead.safetensors" not in told["files"]


def test_three_lines_of_python(files):
    found = align_given(read_activations(open_activations(files)), {"centers": ["mean"]})
    assert found.layers["activations"].model.bases_[0].shape == (WIDTH, WIDTH)
    assert alignment_cli.Rsm.pearson in {row["condition"].partition("rsm=")[2].partition(";")[0] for row in found.rows}
