"""Published robust networks: every name of the tables, checkpoints in the publishers' layout, no code run from them."""

import importlib
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from netalike import networks
from netalike.errors import BadFileError, ShapeError, UnknownNameError
from netalike.networks.registry import build
from netalike.networks.robust_checkpoints import fetch_robust, load_robust, read_robust_state
from netalike.networks.robust_names import is_robust_name, robust_checkpoint, robust_collections, robust_names

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normaliser(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("new_mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("new_std", torch.tensor(std)[:, None, None])


def attacker_model(network, mean=MEAN, std=STD):
    """The layout of the library's AttackerModel: the network twice, sharing its tensors."""
    model = nn.Module()
    model.normalizer = Normaliser(mean, std)
    model.model = network
    model.attacker = nn.Module()
    model.attacker.normalize = Normaliser(mean, std)
    model.attacker.model = network
    return model


def within(network):
    """The library's DummyModel, around torchvision's networks."""
    outer = nn.Module()
    outer.model = network
    return outer


def checkpoint(network, key="model", **extra):
    parallel = nn.Module()
    parallel.module = attacker_model(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 50)
    return {
        key: parallel.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": 90,
        "amp": None,
        "adv_prec1": torch.tensor(53.1),
        **extra,
    }


def pickler():
    return pytest.importorskip("dill")


def small(name, seed=1):
    """A published architecture with ten classes, so that tests stay small, and statistics that are not 0 and 1."""
    model = build(name, 3, 10, seed=seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1, torch.Generator().manual_seed(seed))
    return model.eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def expected_logits(network, images, mean=MEAN, std=STD):
    mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
    with torch.no_grad():
        return network.eval()((images - mean) / std)


# ---- names -----------------------------------------------------------------------------------------------------------


def test_all_networks_of_the_publishers_tables_have_names():
    counts = {name: len(robust_names(name)) for name in robust_collections()}
    assert counts == {
        "robust-imagenet-l2": 52,
        "robust-imagenet-linf": 15,
        "robust-cifar10-l2": 4,
        "robust-cifar10-linf": 1,
        "robustness-imagenet-l2": 1,
        "robustness-imagenet-linf": 2,
    }
    assert len(set(robust_names())) == 75
    files = [robust_checkpoint(name).file.path for name in robust_names()]
    assert len(set(files)) == 75


def test_a_name_tells_file_radius_and_published_accuracy():
    found = robust_checkpoint("robust-imagenet-l2:wide_resnet50_4:0.25")
    assert found.file.path == "networks/robust_imagenet/wide_resnet50_4_l2_eps0.25.ckpt"
    assert found.url.endswith("madrylab/robust-imagenet-models/resolve/main/wide_resnet50_4_l2_eps0.25.ckpt")
    assert (found.constraint, found.eps, found.dataset) == ("2", 0.25, "imagenet")
    assert found.accuracy == pytest.approx(0.7710)
    largest = robust_checkpoint("robust-imagenet-linf:resnet18:4")
    assert largest.file.path.endswith("/resnet18_linf_eps4.0.ckpt")
    assert largest.eps == pytest.approx(4 / 255)
    assert robust_checkpoint("robust-imagenet-l2:densenet:3.0").name == "robust-imagenet-l2:densenet:3"
    assert robust_checkpoint("robust-cifar10-l2:resnet50:0.5").file.path == "networks/robustness/cifar_l2_0_5.pt"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("robust-imagenet:resnet50:3", r"unknown collection of robust networks 'robust-imagenet': .*Did you mean"),
        ("robust-imagenet-l2", r"unknown architecture of robust-imagenet-l2 ''.*collection:architecture:radius"),
        ("robust-imagenet-l2:resnet5:3", r"unknown architecture of robust-imagenet-l2 'resnet5'.*mean 'resnet50'"),
        ("robust-imagenet-l2:vgg16_bn:1", r"radius of robust-imagenet-l2:vgg16_bn '1': expected one of 0, 3"),
        ("robust-imagenet-l2:resnet50:3:4", r"radius of robust-imagenet-l2:resnet50 '3:4'"),
    ],
)
def test_an_unknown_network_is_refused_with_what_there_is(name, message):
    with pytest.raises(UnknownNameError, match=message):
        robust_checkpoint(name)


def test_unknown_collections_are_refused_and_names_are_told_apart():
    with pytest.raises(UnknownNameError, match="Did you mean 'robust-cifar10-l2'"):
        robust_names("robust-cifar-l2")
    assert is_robust_name("robust-imagenet-l2:resnet:9")
    assert not is_robust_name("tiny10-authors")


def test_names_need_no_framework():
    code = (
        "import sys; from netalike.networks.robust_names import robust_names; robust_names();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", dict.fromkeys(robust_checkpoint(name).facts for name in robust_names()))
def test_each_architecture_has_a_representation_of_the_published_width(name):
    with torch.device("meta"):
        model = build(name.build, 3, 1000)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert linear[-1].in_features == name.width


@pytest.fixture
def library(monkeypatch):
    """A function that imports modules of robustness, made to work with today's torchvision."""
    from netalike.networks.torchvision_import import torchvision

    torchvision()
    stand_in = types.ModuleType("torchvision.models.utils")
    stand_in.load_state_dict_from_url = None
    monkeypatch.setitem(sys.modules, "torchvision.models.utils", stand_in)

    def imported(name):
        try:
            return importlib.import_module(f"robustness.{name}")
        except ImportError as error:
            pytest.skip(f"robustness cannot be imported: {error}")

    return imported


def test_wide_resnet50_4_is_that_of_the_library(library):
    with torch.device("meta"):
        ours = build("robustness:wide_resnet50_4", 3, 1000).state_dict()
        theirs = library("imagenet_models.resnet").wide_resnet50_4().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_architectures_of_robustness_have_names_and_folders():
    assert networks.canonical("robustness:wide_resnet50_4") == "robustness:wide_resnet50_4"
    assert networks.folder_name("robustness:wide_resnet50_4") == "robustness-wide_resnet50_4"


def test_architectures_of_robustness_are_refused_with_what_there_is():
    with pytest.raises(
        UnknownNameError, match=r"'robustness:wide_resnet50_5': .*Did you mean 'robustness:wide_resnet5"
    ):
        build("robustness:wide_resnet50_5")
    with pytest.raises(ShapeError, match="takes images of 3 channels, got 1"):
        build("robustness:cifar_resnet50", channels=1)


# ---- checkpoints in the publishers' layout ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrapped", "zipped"),
    [
        ("robust-imagenet-l2:resnet18:3", False, True),
        ("robust-imagenet-l2:shufflenet:0", True, False),  # as PyTorch stored it in 2019
        ("robust-imagenet-l2:mobilenet:3", True, True),
        ("robust-imagenet-l2:mnasnet:3", True, False),
    ],
)
def test_a_checkpoint_of_imagenet_is_loaded(tmp_path, images, name, wrapped, zipped):
    known = robust_checkpoint(name)
    network = small(known.facts.build)
    path = tmp_path / "published.ckpt"
    torch.save(
        checkpoint(within(network) if wrapped else network),
        path,
        pickle_module=pickler(),
        _use_new_zipfile_serialization=zipped,
    )
    model, card = load_robust(path, name)
    assert not model.training
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected_logits(network, images), atol=1e-5, rtol=1e-5)
    assert (card.architecture, card.dataset, card.classes, card.epochs) == (known.facts.build, "imagenet", 10, 90)
    assert card.settings["eps"] == known.eps
    assert card.settings["mean"] == pytest.approx(MEAN)
    assert len(card.settings["file_sha256"]) == 64


def library_names(network):
    """The state of the CIFAR ResNet under the library's own names."""
    state = network.state_dict()
    return {key.replace(".downsample.", ".shortcut.").replace("fc.", "linear."): value for key, value in state.items()}


def test_a_checkpoint_of_cifar10_is_loaded_under_the_librarys_names(tmp_path):
    network = small("robustness:cifar_resnet50")
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    state = {f"module.model.{key}": value for key, value in library_names(network).items()}
    state |= {f"module.attacker.model.{key}": value for key, value in library_names(network).items()}
    state |= {"module.normalizer.new_mean": torch.tensor(mean), "module.normalizer.new_std": torch.tensor(std)}
    torch.save({"state_dict": state, "epoch": 150}, tmp_path / "cifar_l2_0_5.pt", pickle_module=pickler())
    model, card = load_robust(tmp_path / "cifar_l2_0_5.pt", "robust-cifar10-l2:resnet50:0.5")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected_logits(network, images, mean, std), atol=1e-5, rtol=1e-5)
    assert card.settings["std"] == pytest.approx(std)
    assert (card.architecture, card.classes) == ("robustness:cifar_resnet50", 10)


def test_the_cifar_network_is_that_of_the_library(library):
    theirs = library("cifar_models.resnet").ResNet50()
    ours = small("robustness:cifar_resnet50")
    theirs.load_state_dict(library_names(ours))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.eval()(images), atol=1e-5, rtol=1e-5)


def test_the_imported_network_is_saved_and_loaded_under_its_architecture(tmp_path, images):
    network = small("torchvision:shufflenet_v2_x1_0")
    torch.save(checkpoint(within(network)), tmp_path / "a.ckpt")
    model, card = load_robust(tmp_path / "a.ckpt", "robust-imagenet-l2:shufflenet:3")
    networks.save(model.network, tmp_path / "ours.safetensors", card)
    loaded, read = networks.load(tmp_path / "ours.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded(images), model.network(images))
    assert read.settings["collection"] == "robust-imagenet-l2"


@pytest.mark.parametrize("prefix", ["model.", "attacker.model.", "module.attacker.model."])
def test_other_prefixes_are_understood(tmp_path, prefix):
    state = {prefix + key: value for key, value in small("torchvision:shufflenet_v2_x1_0").state_dict().items()}
    torch.save({"model": state}, tmp_path / "a.ckpt")
    found = read_robust_state(tmp_path / "a.ckpt")
    assert "conv1.0.weight" in found.weights
    assert (found.mean, found.std, found.epoch) == (None, None, None)
    _, card = load_robust(tmp_path / "a.ckpt", "robust-imagenet-l2:shufflenet:3")
    assert card.settings["std"] == list(STD)  # the library's, where the file has none


# ---- what a file may hold --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_and_types_of_dill_are_skipped(tmp_path, zipped):
    dill = pickler()
    network = nn.Sequential(nn.Linear(3, 2))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    extra = {
        "adv_prec1": np.float64(53.1),
        "history": np.arange(3.0),
        "kind": float,
        "schedule": torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0).state_dict(),
    }
    path = tmp_path / "a.ckpt"
    content = checkpoint(network, **extra)
    torch.save(content, path, pickle_module=dill, _use_new_zipfile_serialization=zipped)
    found = read_robust_state(path)
    assert torch.equal(found.weights["0.weight"], network[0].weight)
    assert found.mean == pytest.approx(MEAN)
    assert found.epoch == 90


class Evil:
    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "told"), [(exec, r"__builtin__\.exec"), (__import__("os").system, r"(posix|nt)\.system")]
)
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, monkeypatch, function, told, zipped):
    monkeypatch.chdir(tmp_path)
    argument = "open('run', 'w')" if function is exec else "touch run"
    content = checkpoint(nn.Linear(3, 2), extra=Evil(function, argument))
    torch.save(content, "evil.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadFileError, match=rf"evil\.ckpt was refused: beside tensors it holds .*{told}"):
        read_robust_state("evil.ckpt")
    assert not (tmp_path / "run").exists()


def test_no_code_is_run_through_the_modules_that_are_skipped(tmp_path, monkeypatch):
    """dill can make functions out of bytes: a placeholder takes their place."""
    monkeypatch.chdir(tmp_path)
    content = checkpoint(nn.Linear(3, 2), metric=Evil(np.load, "nowhere.npy"))
    torch.save(content, "odd.ckpt")
    assert read_robust_state("odd.ckpt").weights["weight"].shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>", r"is a web page, not a checkpoint"),
        (b"PK\x03\x04 cut off", r"is not a readable PyTorch file"),
        (b"", r"is not a readable PyTorch file"),
        (b"\x80\x02}q\x00.", r"is not a readable PyTorch file"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, content, message):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(BadFileError, match=message):
        read_robust_state(tmp_path / "a.ckpt")


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(BadFileError, match=r"no such file: .*Get robust-imagenet-l2:resnet18:3 from https://hugging"):
        load_robust(tmp_path / "none.ckpt", "robust-imagenet-l2:resnet18:3.0")


def test_a_checkpoint_without_a_network_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "a.ckpt")
    with pytest.raises(BadFileError, match=r"no network as robustness stores it .*found weights"):
        read_robust_state(tmp_path / "a.ckpt")
    torch.save([torch.zeros(3)], tmp_path / "b.ckpt")
    with pytest.raises(BadFileError, match=r"holds list, expected the dictionary"):
        read_robust_state(tmp_path / "b.ckpt")
    torch.save({"model": {"module.model.bias": torch.zeros(3)}}, tmp_path / "c.ckpt")
    with pytest.raises(BadFileError, match=r"no last linear layer"):
        load_robust(tmp_path / "c.ckpt", "robust-imagenet-l2:resnet18:3")


def test_another_architecture_and_values_that_are_not_finite_are_refused(tmp_path):
    network = small("torchvision:shufflenet_v2_x1_0")
    torch.save(checkpoint(within(network)), tmp_path / "a.ckpt")
    with pytest.raises(BadFileError, match=r"does not hold robust-imagenet-l2:resnet18:3 .*missing: conv1.weight"):
        load_robust(tmp_path / "a.ckpt", "robust-imagenet-l2:resnet18:3")
    with torch.no_grad():
        network.fc.weight[0, 0] = torch.nan
    torch.save(checkpoint(within(network)), tmp_path / "b.ckpt")
    with pytest.raises(BadFileError, match=r"values that are not finite: fc.weight"):
        load_robust(tmp_path / "b.ckpt", "robust-imagenet-l2:shufflenet:3")


def test_a_file_comes_from_the_mirror_or_the_command_to_get_it_is_told(tmp_path):
    place = tmp_path / "mirror" / "networks" / "robust_imagenet" / "resnet18_l2_eps3.ckpt"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    found = fetch_robust("robust-imagenet-l2:resnet18:3", tmp_path / "root", tmp_path / "mirror")
    assert found == tmp_path / "root" / "networks" / "robust_imagenet" / "resnet18_l2_eps3.ckpt"
    assert found.read_bytes() == b"weights"
    message = r"neither in .*root nor in a mirror.*curl -L --create-dirs -o .*resnet18_l2_eps5\.ckpt 'https://hugging"
    with pytest.raises(BadFileError, match=message):
        fetch_robust("robust-imagenet-l2:resnet18:5", tmp_path / "root")
