"""The registry: names, checksums, what each data set looks like."""

import subprocess
import sys
from dataclasses import replace

import pytest

from netalike import data
from netalike.data import RemoteFile, published
from netalike.errors import UnknownNameError

PUBLIC = ["digits", "mnist", "fashion", "cifar10", "cifar100"]


def test_the_public_data_sets_are_listed():
    assert data.names()[: len(PUBLIC)] == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_specification_is_complete(name):
    spec = data.specification(name)
    assert (spec.name, spec.size) == (name, 32)
    assert len(spec.mean) == len(spec.std) == spec.channels == (3 if "cifar" in name else 1)
    assert len(set(spec.classes)) == (100 if name == "cifar100" else 10)
    assert spec.augmentation == ("crop_flip" if "cifar" in name else "affine")
    assert spec.citation
    assert spec.licence


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("mnist", (0.1307,), (0.3081,)),
        ("fashion", (0.1307,), (0.3081,)),
        ("cifar10", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("cifar100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ],
)
def test_the_normalisation_is_the_stitching_authors(name, mean, std):
    spec = data.specification(name)
    assert (spec.mean, spec.std) == (mean, std)


def test_an_unknown_data_set_gets_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"unknown data set 'cifar': .* Did you mean 'cifar10'\?"):
        data.load("cifar")


def test_the_digits_need_no_file():
    assert data.specification("digits").files == ()


@pytest.mark.parametrize(("name", "files"), [("mnist", 4), ("fashion", 4), ("cifar10", 6), ("cifar100", 2)])
def test_every_file_can_be_had_and_checked(name, files):
    spec = data.specification(name)
    assert len(spec.files) == files
    for file in spec.files:
        source = file.archive or file
        assert file.path.startswith(f"{name}/")
        assert all(url.startswith(("https://", "http://")) for url in source.urls)
        assert source.urls
        assert len(source.checksum()[1]) == {"sha256": 64, "md5": 32}[source.checksum()[0]]


def test_a_file_to_download_needs_a_checksum():
    with pytest.raises(ValueError, match="mnist/x: a file to download needs a sha256 or an md5"):
        RemoteFile("mnist/x", ("https://example.org/x",))


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "a/../../outside"])
def test_a_path_outside_the_data_root_is_refused(path):
    with pytest.raises(ValueError, match="inside the data root"):
        RemoteFile(path)


def test_the_stronger_checksum_is_used():
    both = RemoteFile("x", sha256="a" * 64, md5="b" * 32)
    assert both.checksum() == ("sha256", "a" * 64)
    assert replace(both, sha256=None).checksum() == ("md5", "b" * 32)


def test_the_published_networks_are_all_there():
    assert published.collections() == ["tiny10-authors", "resnet20_w1-authors", "aerial"]
    tiny10 = published.files("tiny10-authors")
    assert [file.path for file in tiny10] == [f"networks/tiny10/in{k}-gn{k}.pt" for k in range(20)]
    assert [file.path for file in published.files("resnet20_w1-authors")] == [
        f"networks/resnet20_w1/in{k}-gn{k}.pt" for k in range(2)
    ]
    assert tiny10[12].urls == (
        "https://raw.githubusercontent.com/renyi-ai/drfrankenstein/b9064cd/model_weights/Tiny10/CIFAR10/in12-gn12/110000.pt",
    )
    assert len({file.sha256 for file in tiny10}) == 20


def test_an_unknown_collection_gets_the_nearest_name():
    with pytest.raises(
        UnknownNameError, match=r"unknown collection of networks or images .* Did you mean 'tiny10-authors'\?"
    ):
        published.files("tiny10")


def test_the_registry_needs_no_torch():
    code = (
        "import sys; from netalike import data; data.specification('mnist'); data.fetch; print('torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "False\n"
