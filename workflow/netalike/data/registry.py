"""The data sets by name: what their images look like, which files hold them, and where these come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from netalike.errors import unknown_name

if TYPE_CHECKING:
    from netalike.data.folder import FolderSource

SPLITS = ("train", "test")


@dataclass(frozen=True)
class RemoteFile:
    """A file that is needed, and how to know it when one sees it.

    Parameters
    ----------
    path : str
        Relative to the data root, with forward slashes; the same in a mirror.
    urls : tuple of str
        Where it can be had, best first.
    size : int, optional
        Bytes, if known.
    sha256, md5 : str, optional
        Hexadecimal; the publisher's own checksum where only md5 was ever published. A file with URLs has one of them.
    archive : RemoteFile, optional
        The tar archive that it comes out of; its members lie in the archive's own folder.

    Raises
    ------
    ValueError
        If the file could be downloaded but not checked, or its path leaves the data root.
    """

    path: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    archive: RemoteFile | None = None

    def __post_init__(self) -> None:
        if self.urls and not (self.sha256 or self.md5):
            raise ValueError(f"remote file {self.path}: a file to download needs a sha256 or an md5, got neither")
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise ValueError(f"remote file {self.path}: expected a path inside the data root")

    def checksum(self) -> tuple[str, str] | None:
        """Return ("sha256" or "md5", the hexadecimal digest), the stronger one that is known, or None."""
        if self.sha256:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 else None


@dataclass(frozen=True)
class Layout:
    """One way in which a data set may lie on disk.

    Parameters
    ----------
    reader : str
        Name of the format: "digits", "idx", "cifar10_binary", "cifar100_binary", "cifar10_python", "folder",
        "imagenet".
    files : mapping of str to tuple of RemoteFile
        The files of each split, in the order in which they are read.
    """

    reader: str
    files: Mapping[str, tuple[RemoteFile, ...]] = field(default_factory=lambda: dict.fromkeys(SPLITS, ()))

    def all_files(self) -> tuple[RemoteFile, ...]:
        """Return the files of both splits."""
        return tuple(file for split in SPLITS for file in self.files[split])


@dataclass(frozen=True)
class DatasetSpec:
    """A data set: what a network sees of it, and what it consists of.

    Parameters
    ----------
    name : str
    channels : int
    classes : tuple of str
        Names, by label.
    mean, std : tuple of float, or None
        Per channel, of pixels scaled to [0, 1]; None for an image folder until its training images were read.
    augmentation : {"crop_flip", "affine", "none"}
        Of training batches; see `netalike.data.augment`.
    layouts : tuple of Layout
        The first is the one that is fetched; all are read.
    citation, licence : str
    size : int
        Height and width in pixels after the test transform.
    folder : FolderSource, optional
        Of an image folder.
    """

    name: str
    channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    augmentation: str
    layouts: tuple[Layout, ...]
    citation: str
    licence: str
    size: int = 32
    folder: FolderSource | None = None

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """The files that are fetched."""
        return self.layouts[0].all_files()


_OSSCI = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_CVDF = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_LECUN = "http://yann.lecun.com/exdb/mnist/"
_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_ZALANDO_GITHUB = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
_KRIZHEVSKY = "https://www.cs.toronto.edu/~kriz/"


def _mnist_file(name: str, size: int, sha256: str) -> RemoteFile:
    urls = tuple(base + name for base in (_OSSCI, _CVDF, _LECUN))
    return RemoteFile(f"mnist/MNIST/raw/{name}", urls, size, sha256=sha256)


def _fashion_file(name: str, md5: str) -> RemoteFile:
    urls = tuple(base + name for base in (_ZALANDO, _ZALANDO_GITHUB))
    return RemoteFile(f"fashion/FashionMNIST/raw/{name}", urls, md5=md5)


_MNIST_FILES = {
    "train": (
        _mnist_file(
            "train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        _mnist_file(
            "train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
    ),
    "test": (
        _mnist_file(
            "t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        _mnist_file(
            "t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    ),
}

_FASHION_FILES = {
    "train": (
        _fashion_file("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _fashion_file("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    ),
    "test": (
        _fashion_file("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        _fashion_file("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
}

_CIFAR10_ARCHIVE = RemoteFile(
    "cifar10/cifar-10-binary.tar.gz",
    (_KRIZHEVSKY + "cifar-10-binary.tar.gz",),
    md5="c32a1d4ab5d03f1284b67883e8d87530",
)
_CIFAR100_ARCHIVE = RemoteFile(
    "cifar100/cifar-100-binary.tar.gz",
    (_KRIZHEVSKY + "cifar-100-binary.tar.gz",),
    md5="03b5dce01913d631647c71ecec9e9cb8",
)


def _cifar10_binary(name: str, sha256: str) -> RemoteFile:
    path = f"cifar10/cifar-10-batches-bin/{name}.bin"
    return RemoteFile(path, size=30_730_000, sha256=sha256, archive=_CIFAR10_ARCHIVE)


def _cifar10_python(name: str, md5: str) -> RemoteFile:
    return RemoteFile(f"cifar10/cifar-10-batches-py/{name}", md5=md5)


def _cifar100_binary(name: str, images: int) -> RemoteFile:
    # The members' own checksums were never published: the archive's vouches for them.
    path = f"cifar100/cifar-100-binary/{name}.bin"
    return RemoteFile(path, size=images * 3074, archive=_CIFAR100_ARCHIVE)


_CIFAR10_BINARY = {
    "train": (
        _cifar10_binary("data_batch_1", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        _cifar10_binary("data_batch_2", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        _cifar10_binary("data_batch_3", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        _cifar10_binary("data_batch_4", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        _cifar10_binary("data_batch_5", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ),
    "test": (_cifar10_binary("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),),
}

_CIFAR10_PYTHON = {
    "train": (
        _cifar10_python("data_batch_1", "c99cafc152244af753f735de768cd75f"),
        _cifar10_python("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
        _cifar10_python("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
        _cifar10_python("data_batch_4", "634d18415352ddfa80567beed471001a"),
        _cifar10_python("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
    ),
    "test": (_cifar10_python("test_batch", "40351d587109b95175f43aff81a1287e"),),
}

_CIFAR100_BINARY = {"train": (_cifar100_binary("train", 50_000),), "test": (_cifar100_binary("test", 10_000),)}

_DIGIT_NAMES = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_CIFAR10_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_CIFAR100_NAMES = (
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
)

DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="digits",
            channels=1,
            classes=_DIGIT_NAMES,
            mean=(0.3063,),  # of the 1,297 training images at 32 x 32
            std=(0.3240,),
            augmentation="affine",
            layouts=(Layout("digits"),),
            citation="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
            "Repository, 1998, doi:10.24432/C50P49; as distributed with scikit-learn",
            licence="CC BY 4.0",
        ),
        DatasetSpec(
            name="mnist",
            channels=1,
            classes=_DIGIT_NAMES,
            mean=(0.1307,),
            std=(0.3081,),
            augmentation="affine",
            layouts=(Layout("idx", _MNIST_FILES),),
            citation="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document "
            "recognition, Proceedings of the IEEE 86, 1998, doi:10.1109/5.726791",
            licence="usually stated as CC BY-SA 3.0",
        ),
        DatasetSpec(
            name="fashion",
            channels=1,
            classes=_GARMENTS,
            mean=(0.1307,),  # MNIST's numbers, as the stitching authors use
            std=(0.3081,),
            augmentation="affine",
            layouts=(Layout("idx", _FASHION_FILES),),
            citation="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
            licence="MIT",
        ),
        DatasetSpec(
            name="cifar10",
            channels=3,
            classes=_CIFAR10_NAMES,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2023, 0.1994, 0.2010),
            augmentation="crop_flip",
            layouts=(Layout("cifar10_binary", _CIFAR10_BINARY), Layout("cifar10_python", _CIFAR10_PYTHON)),
            citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
            licence="none stated",
        ),
        DatasetSpec(
            name="cifar100",
            channels=3,
            classes=_CIFAR100_NAMES,
            mean=(0.5071, 0.4867, 0.4408),
            std=(0.2675, 0.2565, 0.2761),
            augmentation="crop_flip",
            layouts=(Layout("cifar100_binary", _CIFAR100_BINARY),),
            citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
            licence="none stated",
        ),
        DatasetSpec(
            name="imagenet",
            channels=3,
            classes=tuple(
                str(place) for place in range(1000)
            ),  # of the sorted class folders; loading gives their names
            mean=(0.485, 0.456, 0.406),  # those of torchvision and robustness
            std=(0.229, 0.224, 0.225),
            augmentation="none",
            layouts=(Layout("imagenet"),),
            citation="O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, International Journal "
            "of Computer Vision 115, 2015, doi:10.1007/s11263-015-0816-y",
            licence="for non-commercial research, from https://image-net.org",
            size=224,
        ),
    )
}


def names() -> list[str]:
    """Return the names of the data sets, registered image folders last.

    Returns
    -------
    list of str
    """
    from netalike.data.folder import registered

    return [*DATASETS, *registered()]


def specification(name: str) -> DatasetSpec:
    """Return what is known about a data set without reading its images.

    Parameters
    ----------
    name : str
        One of `names`, or ``folder:PATH`` for any folder of class folders.

    Returns
    -------
    DatasetSpec
        For an image folder without given mean and std, these are None; `load` fills them in.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    """
    from netalike.data.folder import folder_specification

    if name in DATASETS:
        return DATASETS[name]
    found = folder_specification(name)
    if found is None:
        advice = "An image folder is named folder:PATH, or registered with data.register_folder."
        raise unknown_name("data set", name, names(), advice)
    return found
