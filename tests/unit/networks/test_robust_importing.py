"""Published robust networks in a run: a file in the publisher's layout becomes a network with a card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netalike import data, networks
from netalike.data.imagenet import read_imagenet
from netalike.data.place import Place
from netalike.errors import BadFileError, NetalikeError, UnknownNameError
from netalike.networks.robust_importing import import_robust
from netalike.networks.robust_names import robust_checkpoint

Image = pytest.importorskip("PIL.Image")
NAME = "robust-imagenet-l2:shufflenet:3"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINDS = ("n01", "n02", "n03")


def published(network, path, mean=MEAN, std=STD):
    """Write the checkpoint of a network of torchvision as the library robustness does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"module.model.model.{key}": value for key, value in network.state_dict().items()}
    state |= {"module.normalizer.new_mean": torch.tensor(mean)[:, None, None]}
    state |= {"module.normalizer.new_std": torch.tensor(std)[:, None, None]}
    torch.save({"model": state, "epoch": 90}, path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for kind in KINDS:
        (folder / "val" / kind).mkdir(parents=True)
        for row in range(4):
            picture = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / "val" / kind / f"{row}.png")
    return read_imagenet(folder, resize=40, crop=36)


@pytest.fixture(scope="module")
def network():
    model = networks.build("torchvision:shufflenet_v2_x1_0", 3, len(KINDS), seed=1).eval()
    with torch.no_grad():
        model.fc.bias.copy_(torch.tensor([0.0, 100.0, 0.0]))  # says n02, always
    return model


@pytest.fixture
def place(tmp_path, network):
    published(network, tmp_path / "mirror" / robust_checkpoint(NAME).file.path)
    return Place(tmp_path / "root", str(tmp_path / "mirror"), offline=True)


def test_a_network_of_the_mirror_is_imported_with_its_accuracy(place, network, images, tmp_path):
    model, card = import_robust(f"published:{NAME}", place, images)
    assert (place.root / "networks/robust_imagenet/shufflenet_l2_eps3.ckpt").is_file()
    with torch.no_grad():
        torch.testing.assert_close(model(images.inputs()), network(images.inputs()), atol=1e-4, rtol=1e-5)
    assert (card.accuracy, card.seed, card.classes, card.dataset) == (pytest.approx(1 / 3), 0, 3, "imagenet")
    assert (card.settings["eps"], card.settings["published_accuracy"]) == (3.0, pytest.approx(0.4332))
    networks.save(model, tmp_path / "ours.safetensors", card)
    loaded, read = networks.load(tmp_path / "ours.safetensors")
    assert read.architecture == "torchvision:shufflenet_v2_x1_0"
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_a_file_that_is_nowhere_is_told_with_the_command_to_get_it(images, tmp_path):
    with pytest.raises(
        BadFileError, match=r"robust-imagenet-l2:vgg16_bn:3 is neither in .*root nor.*curl -L .*'https:"
    ):
        import_robust("published:robust-imagenet-l2:vgg16_bn:3", Place(tmp_path / "root", None, True), images)
    with pytest.raises(UnknownNameError, match="radius of robust-imagenet-l2:vgg16_bn '2'"):
        import_robust("published:robust-imagenet-l2:vgg16_bn:2", Place(tmp_path / "root", None, True), images)


def test_images_that_the_network_was_not_trained_on_are_refused(place, network, images, tmp_path):
    with pytest.raises(NetalikeError, match=f"{NAME} was trained on imagenet, and is to be evaluated on digits"):
        import_robust(f"published:{NAME}", place, data.load("digits", "test", limit=4))
    target = tmp_path / "mirror" / robust_checkpoint(NAME).file.path
    published(networks.build("torchvision:shufflenet_v2_x1_0", 3, 5, seed=1), target)
    with pytest.raises(NetalikeError, match="tells 5 classes, and imagenet has 3 here"):
        import_robust(f"published:{NAME}", Place(tmp_path / "other", str(tmp_path / "mirror"), True), images)
    published(network, target, std=(0.2, 0.224, 0.225))
    with pytest.raises(
        NetalikeError, match=r"images of std \[0\.2, 0\.224, 0\.225\], and those of imagenet have \[0\.229"
    ):
        import_robust(f"published:{NAME}", Place(tmp_path / "third", str(tmp_path / "mirror"), True), images)
