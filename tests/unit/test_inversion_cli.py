"""`netalike invert` and `robust-train`: the library's numbers, files that say what they are, one-line mistakes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from netalike import cli, data, inversion_cli, inversion_output, networks, plots, robust_cli
from netalike.errors import ShapeError
from netalike.inversion import Normalised, inversion_pairs, invert_images, noise_seeds
from netalike.inversion.curves import summarise
from netalike.inversion.fast import fast_iterations
from netalike.inversion.unfinished import Unfinished
from netalike.networks.pixels import pixel_network, pixels
from netalike.plots.inversion_grid import inversion_grid, loss_curve
from netalike.training import checkpoint as checkpoints
from netalike.training.adversarial import AdversarialSettings, robust_accuracy

N, PAIRS, STEPS = 40, 6, 5
OWN = """
from torch import nn

def convolutional(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, classes, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def gated(channels, classes):
    first = [nn.Conv2d(channels, 3, 1), nn.Flatten(), nn.Linear(3072, 32), nn.Unflatten(1, (2, 4, 4))]
    return nn.Sequential(*first, nn.Conv2d(2, classes, 4), nn.Flatten())

def dead(channels, classes):
    layers = [nn.Flatten(), nn.Linear(channels * 1024, 4), nn.ReLU(), nn.Linear(4, classes)]
    nn.init.constant_(layers[1].bias, -1000)
    return nn.Sequential(*layers)
"""


def run(capsys, *arguments, code=0):
    """Run the command line in this process; return what it printed to stdout, or to stderr where it fails."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured.err if code else captured.out


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """An untrained LeNet with a card and as a foreign file, and networks from a user's file."""
    folder = tmp_path_factory.mktemp("networks")
    model = networks.build("lenet", 1, 10, seed=0)
    networks.save(model, folder / "lenet.safetensors", networks.Card("lenet", "digits", channels=1, seed=0))
    torch.save(model.state_dict(), folder / "lenet.pt")
    (folder / "own.py").write_text(OWN)
    return folder


@pytest.fixture
def invert(nets, tmp_path, capsys, monkeypatch):
    """Run the command in JSON; without its pictures, which take longest, unless they are wanted."""

    def call(*options, network="lenet.safetensors", out="out", code=0, figures=False):
        if not figures:
            monkeypatch.setattr(inversion_output, "_figures", lambda *given: {})
        name = f"file:{nets / 'own.py'}:{network}" if "." not in network else nets / network
        common = ["--limit", N, "-p", PAIRS, "--iterations", STEPS, "-b", 4, "-o", tmp_path / out, "--json"]
        told = run(capsys, "invert", "-n", name, *common, *options, code=code)
        return told if code else (json.loads(told), tmp_path / out)

    return call


def column(folder, name):
    with (folder / "losses.csv").open(newline="") as opened:
        return [row[name] for row in csv.DictReader(opened)]


def tensors(folder):
    return safetensors.torch.load_file(folder / "inverted.safetensors")


def expected(nets, seed=0, **options):
    """What the library makes of the same question."""
    model, _ = networks.load(nets / "lenet.safetensors")
    images = data.load("digits", "test", limit=N)
    seeds, targets = (pixels(images.take(rows)) for rows in inversion_pairs(images.labels, PAIRS, seed))
    viewer = Normalised(model, images.spec.mean, images.spec.std)
    return invert_images(viewer, seeds, targets, iterations=STEPS, batch_size=4, **options)


# --- what is inverted -------------------------------------------------------------------------------------------------


def test_the_files_hold_what_the_library_finds(nets, invert):
    told, folder = invert()
    found, stored = expected(nets), tensors(folder)
    assert torch.equal(stored["inverted"], found.images)
    np.testing.assert_array_equal(stored["losses"], found.losses)
    np.testing.assert_allclose([float(loss) for loss in column(folder, "loss")], found.losses, rtol=1e-6)
    np.testing.assert_allclose([row["seed_loss"] for row in told["losses"]], found.seed_losses, rtol=1e-6)
    assert told["loss"]["median"] == pytest.approx(np.median(found.losses))
    assert told["loss"]["max"] < told["seed_loss"]["max"]
    assert (told["layer"], told["representation"], told["pairs"]) == ("input:fc3", 84, PAIRS)
    assert (told["mode"], told["step_size"], told["mean_iterations"], told["seeds"]) == (
        "published",
        0.125,
        STEPS,
        "other-class",
    )


def test_each_inverted_image_is_a_picture_of_its_own(invert):
    told, folder = invert()
    stored = tensors(folder)["inverted"]
    names = [name for name in told["files"] if name.startswith("inverted/")]
    assert names == [f"inverted/{i:04d}.png" for i in range(PAIRS)]
    for name, image in zip(names, stored, strict=True):
        with Image.open(folder / name) as picture:
            assert (picture.mode, picture.size) == ("L", (32, 32))
            assert np.abs(np.asarray(picture) / 255 - image[0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_the_table_says_which_images_make_a_pair(invert):
    told, folder = invert("--seed", 3)
    images, stored = data.load("digits", "test", limit=N), tensors(folder)
    seeds, targets = inversion_pairs(images.labels, PAIRS, 3)
    assert column(folder, "target") == [str(images.ids[row]) for row in targets]
    assert column(folder, "seed") == [str(images.ids[row]) for row in seeds]
    assert all(a != b for a, b in zip(column(folder, "seed_class"), column(folder, "target_class"), strict=True))
    away = (stored["inverted"] - stored["targets"]).flatten(1).norm(dim=1)
    np.testing.assert_allclose([row["inverted_target_distance"] for row in told["losses"]], away, rtol=1e-5)
    assert told["pixel_distance"]["inverted_target"] == pytest.approx(float(away.mean()), rel=1e-5)
    assert 0 < told["pixel_distance"]["inverted_seed"] < STEPS * 0.125
    same = [row["target_predicted"] == row["inverted_predicted"] for row in told["losses"]]
    assert told["same_prediction"] == pytest.approx(np.mean(same))


def test_all_kinds_of_seeds_have_the_same_targets(invert):
    by_kind = {kind: invert("--seeds", kind, out=kind)[1] for kind in ("other-class", "noise", "same-class")}
    stored = {kind: tensors(folder) for kind, folder in by_kind.items()}
    for found in stored.values():
        assert torch.equal(found["targets"], stored["other-class"]["targets"])
    assert torch.equal(stored["noise"]["seeds"], noise_seeds((PAIRS, 1, 32, 32), 0))
    assert set(column(by_kind["noise"], "seed")) == {""}
    assert set(column(by_kind["noise"], "seed_class")) == {"noise"}
    assert torch.equal(stored["same-class"]["seed_labels"], stored["same-class"]["target_labels"])
    assert (stored["noise"]["seed_labels"] == -1).all()


def test_one_image_and_one_class_are_enough_for_noise(invert):
    told, folder = invert("--limit", 1, "-p", 1, "--seeds", "noise")
    assert told["pairs"] == len(column(folder, "loss")) == 1


def test_fast_mode_takes_fewer_steps_and_stops_at_the_tolerance(nets, invert):
    told, folder = invert("--mode", "fast", "--iterations", 200, "-l", "conv1")
    steps = fast_iterations(200)
    assert told["mean_iterations"] == steps < 100
    assert told["tolerance"] == 0.001
    assert len((folder / "curve.csv").read_text().splitlines()) == 1 + 1 + steps
    stopped, folder = invert("--mode", "fast", "--tolerance", 100)
    assert stopped["mean_iterations"] == 0
    assert torch.equal(tensors(folder)["inverted"], tensors(folder)["seeds"])


def test_a_named_layer_is_inverted(nets, invert):
    told, folder = invert("-l", "relu3")
    assert (told["layer"], told["representation"]) == ("relu3", 120)
    assert torch.equal(tensors(folder)["inverted"], expected(nets, layer="relu3").images)
    assert invert("-l", "input:fc2")[0]["loss"] == told["loss"]  # what goes in there comes out of relu3
    message = invert("-l", "relu9", code=2)
    assert "unknown layer 'relu9'" in message
    assert "Did you mean 'relu" in message


def test_foreign_weights_give_the_same_images(invert):
    _, folder = invert()
    _, foreign = invert("-a", "lenet", "-d", "digits", network="lenet.pt", out="foreign")
    assert (folder / "inverted.safetensors").read_bytes() == (foreign / "inverted.safetensors").read_bytes()


def test_targets_represented_by_zeros_have_no_loss(invert):
    """The published relative loss divides by zero there."""
    told, folder = invert("-d", "digits", network="dead", figures=True)
    assert told["without_loss"] == PAIRS
    assert told["loss"]["median"] is None
    assert {row["loss"] for row in told["losses"]} == {None}
    assert set(column(folder, "loss")) == {""}
    assert torch.equal(tensors(folder)["inverted"], tensors(folder)["seeds"])
    assert (folder / "grid.png").is_file()
    assert not (folder / "curve.png").exists()


# --- what is left behind ----------------------------------------------------------------------------------------------


def test_the_summary_names_every_file_and_pictures_have_cards(invert):
    told, folder = invert(figures=True)
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present == set(told["files"])
    stored = json.loads((folder / "summary.json").read_text())
    assert stored["format"] == "netalike invert 1"
    assert stored["loss"] == told["loss"]
    for name in ("grid", "curve"):
        card = plots.load_card(folder / f"{name}.json")
        assert card.files == [f"{name}.svg", f"{name}.png"]
        assert "digits (test)" in card.caption
        assert f"input:fc3; published mode, {STEPS} iterations" in card.caption
        assert (folder / f"{name}.png").stat().st_size > 5_000


def test_a_second_run_replaces_the_first_with_the_same_bytes(invert):
    _, folder = invert()
    names = ("inverted.safetensors", "losses.csv", "curve.csv", "inverted/0000.png")
    first = [(folder / name).read_bytes() for name in names]
    (folder / "inverted" / "mine.txt").write_text("kept")
    invert("-p", PAIRS + 2)
    assert len(list((folder / "inverted").glob("*.png"))) == PAIRS + 2
    invert()
    assert [(folder / name).read_bytes() for name in names] == first
    assert len(list((folder / "inverted").glob("*.png"))) == PAIRS
    assert (folder / "inverted" / "mine.txt").read_text() == "kept"


def test_an_interrupted_run_goes_on_to_the_same_bytes(invert, monkeypatch):
    _, whole = invert(out="whole")
    add = Unfinished.add

    def add_and_stop(self, *arguments, **options):
        add(self, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Unfinished, "add", add_and_stop)
    assert "the same command goes on" in invert(code=130)
    taken = []
    monkeypatch.setattr(Unfinished, "add", lambda self, *a, **o: (taken.append(len(a[0].losses)), add(self, *a, **o)))
    _, folder = invert()
    assert taken == [PAIRS - 4]
    assert (folder / "inverted.safetensors").read_bytes() == (whole / "inverted.safetensors").read_bytes()
    assert (folder / "losses.csv").read_bytes() == (whole / "losses.csv").read_bytes()
    assert not (folder / inversion_cli.UNFINISHED).exists()


def test_an_unfinished_run_of_other_settings_is_refused_unless_told_not_to_resume(invert, monkeypatch):
    add = Unfinished.add

    def add_and_stop(self, *arguments, **options):
        add(self, *arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Unfinished, "add", add_and_stop)
        invert(code=130)
    message = invert("--iterations", STEPS + 1, code=2)
    assert f"iterations ({STEPS} in the file, {STEPS + 1} now)" in message
    told, _ = invert("--iterations", STEPS + 1, "--no-resume")
    assert told["iterations"] == STEPS + 1


def test_what_was_found_is_printed_in_words(nets, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(inversion_output, "_figures", lambda *given: {})
    options = ["-p", PAIRS, "--iterations", STEPS, "-o", tmp_path]
    lines = run(capsys, "invert", "-n", nets / "lenet.safetensors", *options).splitlines()
    assert lines[0] == f"{PAIRS} pairs of digits (test), seeds of another class; lenet, input:fc3, 84 numbers"
    assert lines[1].startswith("relative loss, seeds: min 0.")
    assert lines[2].startswith("relative loss, inverted: min 0.")
    assert lines[3].startswith("distance in pixels (L2, mean): seed to target ")
    assert lines[4].startswith("same class for inverted as for target, by the network: ")
    assert f"written to {tmp_path}: {PAIRS} images in inverted, inverted.safetensors, losses.csv" in lines[5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", N + 1], f"--pairs {N + 1}: digits (test) has {N} images here, and each is a target once. Ask for at"),
        (["--limit", 1, "-p", 1], "--seeds other-class: all images of digits (test) are of one class, '"),
        (["--limit", 1, "-p", 1, "--seeds", "same-class"], "--seeds same-class: a class of digits (test) has one imag"),
        (["--tolerance", 0.1], "--tolerance is of the fast mode"),
        (["--step-size", 0], "step_size of an inversion has to be above 0, got 0.0"),
        (["-d", "digit"], "unknown data set 'digit'"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["-a", "tiny10"], "is, by its card, of architecture 'lenet', but 'tiny10' was asked for"),
        (["-a", "lenets"], "Did you mean 'lenet'?"),
    ],
)
def test_mistakes_are_one_line(invert, options, message):
    told = invert(*options, code=2)
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert message in told


@pytest.mark.parametrize("network", ["convolutional", "gated"])
def test_a_network_without_a_linear_last_layer_needs_a_layer(invert, network):
    message = invert("-d", "digits", network=network, code=2)
    assert "own.py" in message
    assert "is not linear, so its representation has to be named: --layer NAME" in message
    assert "The last layers that run: " in message
    told, _ = invert("-d", "digits", "-l", "0", network=network)
    assert told["layer"] == "0"


def test_missing_files_and_folders_are_told(nets, invert, tmp_path):
    assert "name the architecture (-a on the command line)" in invert("-d", "digits", network="lenet.pt", code=2)
    assert "has no card that says its data set: name it with -d" in invert("-a", "lenet", network="lenet.pt", code=2)
    assert "Did you mean" in invert(network="lenett.safetensors", code=2)
    (tmp_path / "file").write_text("")
    assert "file is a file: choose another folder" in invert(out="file", code=2)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_the_grid_has_three_rows_for_each_eight_pairs():
    images = np.random.default_rng(0).random((10, 4, 4, 3))
    losses = np.array([*np.linspace(0.1, 0.9, 9), np.nan])
    words = ["a class with a very long name"] * 10
    figure = inversion_grid(images, images, images, losses, words, words)
    shown = [ax for ax in figure.axes if ax.images]
    assert (len(figure.axes), len(shown)) == (48, 30)
    assert [ax.get_ylabel() for ax in shown if ax.get_ylabel()] == ["seed", "target", "inverted"] * 2
    below = [ax.get_xlabel() for ax in shown]
    assert below.count("a class with …") == 20
    assert (below[16], below[-1]) == ("0.1", "no loss")
    with pytest.raises(ShapeError, match="needs n > 0 of everything"):
        inversion_grid(images, images, images[:9], losses, words, words)


def test_the_curve_shows_the_smallest_loss_so_far():
    history = np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 4.0]], np.float32)
    (ax,) = loss_curve(summarise(history)).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.5, 1.0, 0.75])
    assert ax.get_yscale() == "log"
    assert loss_curve(summarise(history * [[1], [1], [0]])).axes[0].get_yscale() == "linear"


# --- robust training --------------------------------------------------------------------------------------------------


@pytest.fixture
def robust(tmp_path, capsys):
    def train(*options, code=0):
        common = ["-m", "lenet", "-d", "digits", "-b", 50, "--limit", 100, "-e", 1, "--steps", 2, "-o", tmp_path]
        told = run(capsys, "robust-train", *common, "--json", *options, code=code)
        return told if code else json.loads(told)

    return train


def test_a_robust_network_is_stored_as_a_standard_one_is(robust, tmp_path):
    told = robust("--eps", 0.5, "-i", 1, "-g", 2)
    folder = tmp_path / "LeNet" / "digits" / "in1-gn2-eps0.5"
    assert told["weights"] == str(folder / "weights.safetensors")
    assert sorted(path.name for path in folder.iterdir()) == ["training_log.csv", "weights.json", "weights.safetensors"]
    model, card = networks.load(folder / "weights.safetensors")
    assert (card.seed, card.batch_seed, card.epochs, card.architecture) == (1, 2, 1, "lenet")
    asked = {"eps": 0.5, "constraint": "2", "method": "pgd", "steps": 2, "schedule": "step", "weight_decay": 5e-4}
    assert {key: card.settings[key] for key in asked} == asked
    test_set = data.load("digits", "test", limit=100)
    attacked = pixel_network(model, test_set.spec)
    clean, under_attack = robust_accuracy(attacked, pixels(test_set), test_set.labels, 0.5, "2", 20)
    assert told["accuracy"] == pytest.approx(clean)
    assert told["robust_accuracy"] == {"0.5": under_attack}
    assert told["n"] == 100


def test_every_option_of_the_attack_reaches_the_settings(robust):
    options = ["--constraint", "inf", "--method", "free", "--schedule", "cyclic", "--step-size", 0.02]
    told = robust("--eps", 0.1, *options, "--random-start", "--no-augment", "-lr", 0.02, "-opt", "adam", "-s", 8)
    assert told["weights"].endswith("in0-gn0-eps0.1-inf-free/weights.safetensors")
    settings = networks.read_card(told["weights"]).settings
    asked = {"method": "free", "schedule": "cyclic", "step_size": 0.02, "random_start": True, "augment": False}
    asked |= {"lr": 0.02, "optimizer": "adam", "save_every": 2}  # 2 batches, each seen twice, are 4 iterations
    assert {key: settings[key] for key in asked} == asked


def test_a_standard_network_can_be_attacked_at_several_radii(robust):
    told = robust("--eps", 0, "--evaluate-eps", 0, "--evaluate-eps", 2)
    assert told["robust_accuracy"]["0"] == told["accuracy"]
    assert set(told["robust_accuracy"]) == {"0", "2"}
    assert robust("--eps", 0)["robust_accuracy"] == {}


def test_no_training_has_the_folder_of_another():
    given = [(1, "2", "pgd"), (1, "inf", "pgd"), (1, "2", "free"), (1, "2", "fast"), (0.5, "2", "pgd"), (0, "2", "pgd")]
    leaves = [robust_cli.leaf(AdversarialSettings(eps=e, constraint=c, method=m)) for e, c, m in given]
    assert leaves == ["-eps1", "-eps1-inf", "-eps1-free", "-eps1-fast", "-eps0.5", "-eps0"]


def test_an_interrupted_training_goes_on_to_the_same_file(robust, tmp_path, monkeypatch):
    options = ["--eps", 0.5, "-e", 2, "-s", 1, "--method", "fast"]
    weights = robust(*options)["weights"]
    with open(weights, "rb") as file:
        first = file.read()
    write = checkpoints.write

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write", write_and_stop)
        assert "the same command goes on from the last checkpoint" in robust(*options, code=130)
    checkpoint = tmp_path / "LeNet/digits/in0-gn0-eps0.5-fast/checkpoint.safetensors"
    assert checkpoint.exists()
    assert "different: lr (0.1 in the checkpoint, 0.2 now)" in robust(*options, "-lr", 0.2, code=2)
    robust(*options)
    with open(weights, "rb") as file:
        assert file.read() == first
    assert not checkpoint.exists()


def test_clean_and_robust_accuracy_are_printed(tmp_path, capsys):
    options = ["-m", "lenet", "-d", "digits", "-b", 50, "--limit", 100, "-e", 1, "--steps", 2, "-o", tmp_path]
    lines = run(capsys, "robust-train", *options, "--eps", 0.1, "--constraint", "inf").splitlines()
    assert lines[0].startswith("weights: ")
    assert lines[1].startswith("clean accuracy: 0.")
    assert lines[2].startswith("PGD-20 accuracy, Linf 0.1: 0.")
    assert lines[3].startswith("100 test images; ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eps", -1], "eps: input should be greater than or equal to 0, got -1.0"),
        (["--eps", 1, "--steps", 0], "steps: input should be greater than or equal to 1, got 0"),
        (["--eps", 1, "--steps", 0, "--method", "free"], "steps: input should be greater than or equal to 1, got 0"),
        (["--eps", 1, "-b", 0], "batch_size: input should be greater than or equal to 1, got 0"),
        (["--eps", 1, "-m", "lenets"], "Did you mean 'lenet'?"),
        (["--eps", 1, "-d", "digit"], "unknown data set 'digit'"),
        (["--eps", 1, "--evaluate-eps", -2], "--evaluate-eps -2: expected a radius of at least 0, such as 0.5"),
        (["--eps", 1, "--device", "gpu"], "unknown device 'gpu'"),
        (["--eps", 1, "-b", 200], "has 100 images, fewer than one batch of 200"),
    ],
)
def test_mistakes_of_robust_training_are_one_line(robust, options, message):
    told = robust(*options, code=2)
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert message in told


def test_unknown_choices_are_refused_by_name(robust):
    assert "'3' is not one of '2', 'inf'" in " ".join(robust("--eps", 1, "--constraint", 3, code=2).split())
    assert "Missing option '--eps'" in robust(code=2)
