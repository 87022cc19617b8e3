"""ImageNet's layout: the crop that torchvision makes, labels by sorted class, and clear words for what is missing."""

import importlib

import numpy as np
import pytest
import torch

from netalike import data
from netalike.data.imagenet import find_imagenet, read_imagenet, read_split
from netalike.errors import BadFileError, NetalikeError, UnknownNameError
from netalike.networks.pixels import pixels
from netalike.networks.torchvision_import import torchvision

Image = pytest.importorskip("PIL.Image")
SIZES = [(40, 31), (31, 40), (25, 25), (64, 23), (17, 90), (20, 21)]  # width, height


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("n02", "n01", "n10"):
            (tmp_path / split / kind).mkdir(parents=True)
            for row, (width, height) in enumerate(SIZES):
                picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(picture).save(tmp_path / split / kind / f"{split}_{row}.png")
    Image.fromarray(random.integers(0, 256, (30, 30), dtype=np.uint8)).save(tmp_path / "val" / "n01" / "grey.JPEG")
    (tmp_path / "val" / "n01" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_scaled_and_cropped_as_torchvision_does(folder):
    torchvision()
    transforms = importlib.import_module("torchvision.transforms")
    published = transforms.Compose([transforms.Resize(24), transforms.CenterCrop(19), transforms.PILToTensor()])
    found = read_imagenet(folder, resize=24, crop=19)
    files = sorted(file for kind in ("n01", "n02", "n10") for file in (folder / "val" / kind).iterdir())
    files = [file for file in files if file.suffix != ".txt"]
    assert len(found) == len(files) == 19
    for row, file in enumerate(files):
        assert torch.equal(found.images[row], published(Image.open(file).convert("RGB"))), file.name


def test_the_published_size_and_statistics_are_the_defaults(folder):
    found = read_imagenet(folder, per_class=1)
    assert found.images.shape == (3, 3, 224, 224)
    assert found.resized is found.images
    assert (found.name, found.split, found.spec.size) == ("imagenet", "test", 224)
    expected = (pixels(found) - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    torch.testing.assert_close(found.inputs(), expected)
    assert next(iter(data.batches(found, 2)))[0].shape == (2, 3, 224, 224)


def test_labels_are_positions_of_the_sorted_classes_and_ids_those_in_the_split(folder):
    found = read_imagenet(folder, per_class=2, resize=8, crop=8)
    assert found.classes == ("n01", "n02", "n10")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.ids.tolist() == [0, 1, 7, 8, 13, 14]
    assert len(read_imagenet(folder, "train", resize=8, crop=8)) == 18


def test_decoded_images_are_kept_and_read_again(folder, tmp_path, monkeypatch):
    first = read_imagenet(folder, resize=8, crop=8, root=tmp_path / "root")
    kept = list((tmp_path / "root" / "folders" / "imagenet").iterdir())
    assert [file.suffix for file in kept] == [".npy"]
    with monkeypatch.context() as patch:
        patch.setattr("netalike.data.imagenet._decode", None)
        again = read_imagenet(folder, resize=8, crop=8, root=tmp_path / "root")
    assert torch.equal(first.images, again.images)
    kept[0].write_bytes(b"damaged")
    assert torch.equal(read_imagenet(folder, resize=8, crop=8, root=tmp_path / "root").images, first.images)


def test_what_is_missing_or_wrong_is_told(folder, tmp_path):
    with pytest.raises(BadFileError, match=r"no folder .*nowhere.*val\. Get ILSVRC2012"):
        read_imagenet(tmp_path / "nowhere")
    (tmp_path / "flat" / "val").mkdir(parents=True)
    (tmp_path / "flat" / "val" / "ILSVRC2012_val_00000001.JPEG").touch()
    with pytest.raises(BadFileError, match=r"has no class folders.*sort them into one"):
        read_imagenet(tmp_path / "flat")
    with pytest.raises(BadFileError, match="n02 has 6 images, expected 7 or more"):
        read_imagenet(folder, per_class=7)
    (folder / "val" / "n10" / "val_0.png").write_bytes(b"damaged")
    with pytest.raises(BadFileError, match=r"val_0\.png cannot be read"):
        read_imagenet(folder, resize=8, crop=8)
    with pytest.raises(UnknownNameError, match="unknown split of imagenet 'val': expected one of train, test"):
        read_imagenet(folder, "val")
    with pytest.raises(NetalikeError, match="resize 100, crop 224, None images per class"):
        read_imagenet(folder, resize=100)
    with pytest.raises(NetalikeError, match="limit 0: expected"):
        read_imagenet(folder, limit=0)


def test_the_first_images_are_the_first_of_each_class(folder):
    found = read_imagenet(folder, resize=8, crop=8, limit=5)
    assert found.labels.tolist() == [0, 1, 2, 0, 1]
    assert found.ids.tolist() == [0, 7, 13, 1, 8]
    by_class = read_imagenet(folder, resize=8, crop=8)
    for row, place in enumerate(found.ids):
        assert torch.equal(found.images[row], by_class.images[place])
    everything = read_imagenet(folder, resize=8, crop=8, limit=10_000)
    assert sorted(everything.ids.tolist()) == list(range(19))
    assert torch.equal(everything.images[:5], found.images)


@pytest.fixture
def root(folder, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "imagenet").symlink_to(folder, target_is_directory=True)
    return tmp_path / "data"


def test_it_is_a_data_set_below_the_data_root(root):
    spec = data.specification("imagenet")
    assert (spec.channels, spec.size, len(spec.classes), spec.augmentation) == (3, 224, 1000, "none")
    assert (spec.mean, spec.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    found = data.load("imagenet", "test", root, limit=4)
    assert torch.equal(found.images, read_split("test", root, 4).images)
    assert (found.classes, found.spec.classes) == (("n01", "n02", "n10"),) * 2
    assert found.inputs().shape == (4, 3, 224, 224)
    assert found.labels.tolist() == [0, 1, 2, 0]
    assert len(data.load("imagenet", "train", root)) == 18
    assert data.fetch("imagenet", root) == []


def test_what_is_there_is_found_without_decoding(root, folder, tmp_path):
    (folder / "val" / "n10" / "val_0.png").write_bytes(b"damaged")
    found = find_imagenet(root)
    assert (found["n"], found["classes"], found["shape"]) == (
        {"test": 19, "train": 18},
        ["n01", "n02", "n10"],
        [3, 224, 224],
    )
    assert find_imagenet(root) == found
    (folder / "val" / "n10" / "val_0.png").write_bytes(b"more")
    changed = find_imagenet(root)["sha256"]
    assert changed["test"] != found["sha256"]["test"]
    assert changed["train"] == found["sha256"]["train"]
    for missing in (find_imagenet, lambda at: data.fetch("imagenet", at)):
        with pytest.raises(
            BadFileError, match=r"no folder .*nowhere/imagenet/val\. Get ILSVRC2012 from https://image-net"
        ):
            missing(tmp_path / "nowhere")


def test_more_images_than_memory_holds_are_refused(folder, monkeypatch):
    monkeypatch.setattr("netalike.data.imagenet._MOST", 10 * 3 * 8 * 8)
    with pytest.raises(NetalikeError, match=r"the 19 images of the split test are 0 GB .*a limit, at most 10\."):
        read_imagenet(folder, resize=8, crop=8)
    assert len(read_imagenet(folder, resize=8, crop=8, limit=10)) == 10
