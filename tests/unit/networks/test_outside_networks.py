"""Networks from outside: torchvision's, and those of a user's own file."""

import pytest
import torch

from netalike import networks
from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError
from netalike.networks.torchvision_import import torchvision

SOURCE = """
import torch
from neighbour import WIDTH

def small(channels, classes):
    return torch.nn.Sequential(torch.nn.Conv2d(channels, WIDTH, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten(),
                               torch.nn.LazyLinear(classes))

def fixed():
    return torch.nn.Linear(3, 2)

def anything(**options):
    return torch.nn.Linear(options["channels"], options["classes"])

def number():
    return 3

def broken(channels):
    raise KeyError("no weights")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "neighbour.py").write_text("WIDTH = 5\n")
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "bad.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_function_gets_what_it_accepts(folder):
    assert networks.build("file:mine.py:small", channels=2, classes=7)[0].weight.shape == (5, 2, 3, 3)
    assert networks.build(f"file:{folder}/mine.py:fixed", channels=9).weight.shape == (2, 3)
    assert networks.build("file:mine.py:anything", channels=4, classes=6).weight.shape == (6, 4)


def test_the_seed_reaches_a_users_function_and_in_place_is_switched_off(folder):
    first, again = (networks.build("file:mine.py:fixed", seed=8) for _ in range(2))
    assert torch.equal(first.weight, again.weight)
    assert networks.build("file:mine.py:small")[1].inplace is False


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file:none.py:small", r"no such file: none\.py"),
        ("file:mine.py:smal", r"no function 'smal': it defines .*Did you mean 'small'"),
        ("file:mine.py:number", r"number\(\) of .*mine\.py returned int, expected a torch\.nn\.Module"),
        ("file:mine.py:broken", r"broken\(\) of .*mine\.py raised KeyError: 'no weights'"),
        ("file:bad.py:small", r"bad\.py failed while it was imported: ModuleNotFoundError: .*nowhere_to_be_found"),
    ],
)
def test_a_file_that_holds_no_network_is_refused(folder, name, message):
    with pytest.raises(BadFileError, match=message):
        networks.build(name)


def test_a_name_without_a_function_is_refused(folder):
    with pytest.raises(NetalikeError, match=r"is written file:<path>\.py:<function>, got 'file:mine\.py'"):
        networks.build("file:mine.py")


def test_torchvision_networks_work_and_have_nothing_in_place():
    model = networks.build("torchvision:resnet18", classes=7, seed=0).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert not any(getattr(module, "inplace", False) for module in model.modules())
    assert networks.blocks(model) == [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert torchvision() is torchvision()


def test_densenet_does_not_overwrite_its_last_batch_norm():
    model = networks.build("torchvision:densenet121", classes=4, seed=0).eval()
    seen = {}
    model.features.register_forward_hook(lambda _m, _i, out: seen.update(out=out, then=out.clone()))
    logits = model(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert seen["then"].min() < 0
    assert torch.equal(seen["out"], seen["then"])
    torch.testing.assert_close(
        logits, type(model).forward(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet17", "unknown network of torchvision 'resnet17'.*Did you mean 'resnet1"),
        ("torchvision:resnet18:IMAGENET", "unknown weights of torchvision:resnet18 'IMAGENET'.*'IMAGENET1K_V1'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "unknown network of torchvision"),
    ],
)
def test_unknown_torchvision_names_are_refused(name, message):
    with pytest.raises(UnknownNameError, match=message):
        networks.build(name)


def test_torchvision_takes_three_channels():
    with pytest.raises(ShapeError, match="takes images of 3 channels, got 1"):
        networks.build("torchvision:resnet18", channels=1)
