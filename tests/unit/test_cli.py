"""The command line: what is typed reaches the library, and what is wrong is told in one line with exit code 2."""

import json
import subprocess
import sys

import pytest
import torch

import netalike
from netalike import cli, cli_options, data, networks
from netalike.errors import NetalikeError

COMMANDS = [command.name for command in cli.app.registered_commands]


def run(capsys, *arguments, code=0):
    """Run the command line in this process; return what it printed to stdout, or to stderr where it fails."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured.err if code else captured.out


@pytest.fixture
def trained(tmp_path, capsys):
    def train(*arguments):
        told = run(
            capsys,
            "train",
            "-m",
            "lenet",
            "-d",
            "digits",
            "-b",
            100,
            "--limit",
            200,
            "-o",
            tmp_path,
            "--json",
            *arguments,
        )
        return json.loads(told)

    return train


def python(*lines):
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], *[[name, "--help"] for name in COMMANDS], ["--version"]])
def test_help_loads_no_framework(arguments):
    done = python(
        "import sys",
        "from netalike import cli",
        f"try: cli.main({arguments})",
        "except SystemExit as end: assert not end.code",
        "print([name for name in ('torch', 'torchvision', 'pandas', 'tensorflow') if name in sys.modules])",
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_line_of_help_and_an_example(name, capsys):
    command = next(command for command in cli.app.registered_commands if command.name == name)
    assert len(command.callback.__doc__.splitlines()) == 1
    assert f"Example: netalike {name} " in command.epilog
    assert "Example:" in run(capsys, name, "--help")


def test_the_commands_of_this_module_are_there():
    assert {"layers", "train", "evaluate", "fetch"} <= set(COMMANDS)


def test_the_version(capsys):
    assert run(capsys, "--version") == f"netalike {netalike.__version__}\n"


def test_python_m_netalike_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "netalike", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == f"netalike {netalike.__version__}\n"


def test_layers_as_json(capsys):
    found = json.loads(run(capsys, "layers", "tiny10", "--channels", 1, "--classes", 7, "--json"))
    assert len(found) == 25
    assert found[7] == {"name": "bn3", "kind": "BatchNorm2d", "shape": [32, 13, 13], "parameters": 64, "calls": 1}
    assert found[0]["parameters"] == 16 * 9 + 16
    assert found[-1]["shape"] == [7]


def test_layers_as_a_table(capsys):
    text = run(capsys, "layers", "resnet20", "--image-size", 48)
    assert "resnet20: 272,474 parameters" in text
    assert "16 x 48 x 48" in text
    assert "called 2 times" in text


def test_the_published_short_options_are_understood(trained, tmp_path):
    told = trained("-i", 1, "-g", 2, "-e", 2, "-lr", 0.05, "-wd", 0, "-opt", "adam", "-s", 4)
    card = networks.read_card(tmp_path / "LeNet" / "digits" / "in1-gn2" / "weights.safetensors")
    assert told["weights"] == str(tmp_path / "LeNet" / "digits" / "in1-gn2" / "weights.safetensors")
    assert (card.seed, card.batch_seed, card.epochs, card.architecture) == (1, 2, 2, "lenet")
    assert card.settings == {
        "epochs": 2,
        "batch_size": 100,
        "lr": 0.05,
        "weight_decay": 0.0,
        "optimizer": "adam",
        "augment": True,
        "save_every": 2,
    }
    assert card.data_sha256 == data.load("digits", "train", limit=200).fingerprint()
    assert told["accuracy"] == card.accuracy
    assert told["n"] == 200


def test_a_finished_training_leaves_weights_card_and_log(trained, tmp_path):
    folder = tmp_path / "LeNet" / "digits" / "in5-gn3"
    trained("--seed", 5, "-g", 3, "-e", 3, "-s", 1)
    assert sorted(path.name for path in folder.iterdir()) == ["training_log.csv", "weights.json", "weights.safetensors"]
    lines = (folder / "training_log.csv").read_text().splitlines()
    assert lines[0] == "epoch,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy"
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "0.1"], ["2", "0.01"], ["3", "0.001"]]


def test_the_same_command_gives_the_same_file_and_resumes(trained, tmp_path, monkeypatch):
    weights = trained("-e", 2, "-s", 1)["weights"]
    with open(weights, "rb") as file:
        first = file.read()
    from netalike.training import checkpoint as checkpoints

    write = checkpoints.write

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write", write_and_stop)
    with pytest.raises(SystemExit) as caught:
        cli.main(f"train -m lenet -d digits -b 100 --limit 200 -o {tmp_path} -e 2 -s 1".split())
    assert caught.value.code == 130
    checkpoint = tmp_path / "LeNet/digits/in0-gn0/checkpoint.safetensors"
    assert checkpoint.exists()
    monkeypatch.setattr(checkpoints, "write", write)
    trained("-e", 2, "-s", 1)
    with open(weights, "rb") as file:
        assert file.read() == first
    assert not checkpoint.exists()


def test_a_checkpoint_of_other_settings_is_refused_unless_told_not_to_resume(trained, tmp_path, capsys):
    from netalike import training

    path = tmp_path / "LeNet/digits/in0-gn0/checkpoint.safetensors"
    sets = [data.load("digits", split, limit=200) for split in ("train", "test")]
    model = networks.build("lenet", channels=1, seed=0)
    training.train(model, *sets, training.Settings(epochs=1, batch_size=100), checkpoint=path)
    common = f"train -m lenet -d digits -b 100 --limit 200 -o {tmp_path} -e 1 -lr 0.01".split()
    assert "different: lr (0.1 in the checkpoint, 0.01 now)" in run(capsys, *common, code=2)
    run(capsys, *common, "--no-resume")
    assert not path.exists()


def test_evaluate_takes_architecture_and_data_set_from_the_card(trained, capsys):
    told = trained("-e", 1)
    found = json.loads(run(capsys, "evaluate", told["weights"], "--limit", 200, "--json"))
    assert found == {"accuracy": told["accuracy"], "loss": told["loss"], "n": 200}
    text = run(capsys, "evaluate", told["weights"], "--limit", 200)
    assert text.splitlines() == [f"accuracy: {told['accuracy']:.4f}", f"loss: {told['loss']:.4f}", "n: 200"]


def test_evaluate_a_foreign_file(tmp_path, capsys):
    model = networks.build("dense", channels=1, seed=0)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "net.pt")
    arguments = ["evaluate", tmp_path / "net.pt", "-d", "digits", "--limit", 60, "--json"]
    found = json.loads(run(capsys, *arguments, "-a", "dense"))
    assert found == vars(networks.evaluate(model, data.load("digits", "test", limit=60)))
    assert "name the architecture (-a on the command line)" in run(capsys, *arguments, code=2)
    assert "does not fit lenet" in run(capsys, *arguments, "-a", "lenet", code=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers", "tiny11"], "unknown architecture 'tiny11'"),
        (["layers", "lenet", "--image-size", "28"], "lenet takes images of shape (n, 3, height, width), 32 x 32"),
        (["layers", "torchvision:vgg11", "--image-size", "8"], "torchvision:vgg11 does not take images of 3 x 8 x 8"),
        (["layers", "file:nowhere.py:net"], "no such file: nowhere.py"),
        (["train", "-m", "lenet", "-d", "digit"], "unknown data set 'digit'"),
        (["train", "-m", "lenets", "-d", "digits"], "Did you mean 'lenet'?"),
        (["train", "-m", "lenet", "-d", "digits", "--device", "gpu"], "unknown device 'gpu'"),
        (["train", "-m", "lenet", "-d", "digits", "-lr", "0"], "lr: input should be greater than 0, got 0.0"),
        (["train", "-m", "lenet", "-d", "digits", "-e", "0"], "epochs: input should be greater than or equal to 1"),
        (["train", "-m", "lenet", "-d", "digits", "--limit", "9"], "has 9 images, fewer than one batch of 128"),
        (["train", "-m", "lenet", "-d", "mnist", "--data", "nowhere"], "netalike fetch mnist --data nowhere"),
        (["evaluate", "nowhere.pt", "-a", "lenet", "-d", "digits"], "no such file: nowhere.pt"),
        (["evaluate", "nowhere.safetensors"], "no such file: nowhere.safetensors"),
        (["fetch", "cifar"], "unknown data set or collection of networks 'cifar'"),
        (["fetch", "tiny10-author", "--offline"], "Did you mean 'tiny10-authors'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = run(capsys, *arguments, code=2)
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert message in text


@pytest.mark.parametrize("arguments", [["--debug", "layers", "tiny11"], ["layers", "tiny11", "--debug"]])
def test_debug_shows_the_traceback(arguments):
    with pytest.raises(NetalikeError, match="tiny11"):
        cli.main(arguments)


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    text = run(capsys, "layers", "tiny10", code=2)
    assert text == "error: torch is not installed: pip install 'netalike[torch]'.\n"


def test_an_unknown_option_or_optimiser_is_refused(capsys):
    assert "No such option" in run(capsys, "train", "--learning-rat", "3", code=2)
    assert "rmsprop" in run(capsys, "train", "-opt", "rmsprop", code=2)


def test_fetch_copies_from_a_mirror_folder(tmp_path, capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(data, "fetch", lambda *arguments: calls.append(arguments) or [tmp_path / "a"], raising=False)
    told = json.loads(run(capsys, "fetch", "mnist", "--data", tmp_path, "--mirror", "m", "--offline", "--json"))
    assert told == {"name": "mnist", "files": [str(tmp_path / "a")]}
    assert calls == [("mnist", tmp_path, "m", True)]


def test_fetch_the_digits_needs_nothing(capsys, tmp_path):
    assert json.loads(run(capsys, "fetch", "digits", "--data", tmp_path, "--offline", "--json"))["files"] == []


def test_completion_offers_names():
    assert cli_options.complete("architecture")("res")[:2] == ["resnet20_w1", "resnet20_w2"]
    assert cli_options.complete("dataset")("cifar") == ["cifar10", "cifar100"]
    assert "tiny10-authors" in cli_options.complete("fetchable")("tiny")


@pytest.mark.parametrize(("command", "option"), [("train", "-m"), ("train", "--dataset"), ("evaluate", "-a")])
def test_the_shell_is_given_names(command, option, monkeypatch):
    offered = {"-m": "tiny10", "-a": "tiny10", "--dataset": "cifar100"}[option]
    line = f"netalike {command} {option} {offered[:4]}"
    environment = {"_NETALIKE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "3"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    done = python("from netalike.cli import main", "main([])")
    assert offered in done.stdout.split(), done.stderr


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("architecture", "network", "accuracy", "loss"),
    [
        ("tiny10", "in0-gn0", 0.8649, 0.4575),
        ("tiny10", "in1-gn1", 0.8627, 0.4741),
        ("resnet20_w1", "in0-gn0", 0.9153, 0.402),
    ],
)
def test_the_authors_networks_have_their_accuracy(mirror, capsys, architecture, network, accuracy, loss):
    path = mirror / "networks" / architecture / f"{network}.pt"
    told = json.loads(run(capsys, "evaluate", path, "-a", architecture, "-d", "cifar10", "--data", mirror, "--json"))
    assert told["n"] == 10_000
    assert told["accuracy"] == pytest.approx(accuracy, abs=0.0005)
    assert told["loss"] == pytest.approx(loss, abs=0.001)


@pytest.mark.mirror
def test_fetch_takes_the_authors_networks_from_a_mirror(mirror, capsys, tmp_path):
    arguments = ["fetch", "resnet20_w1-authors", "--data", tmp_path, "--mirror", mirror, "--offline", "--json"]
    files = json.loads(run(capsys, *arguments))["files"]
    assert files == [str(tmp_path / "networks" / "resnet20_w1" / f"in{k}-gn{k}.pt") for k in (0, 1)]


@pytest.mark.mirror
def test_fetch_takes_the_aerial_images_from_a_mirror(mirror, capsys, tmp_path):
    told = json.loads(run(capsys, "fetch", "aerial", "--data", tmp_path, "--mirror", mirror, "--offline", "--json"))
    assert {file.rpartition("/")[2] for file in told["files"]} >= {"buildings.geojson", "mosaic.png"}
