"""Networks that others trained and published, and their aerial images, as files to fetch."""

from __future__ import annotations

from netalike.data.registry import RemoteFile
from netalike.errors import unknown_name

_STITCHING_AUTHORS = "https://raw.githubusercontent.com/renyi-ai/drfrankenstein/b9064cd/model_weights/"

# SHA-256 of in0-gn0, in1-gn1, ...: initialisation seed and batch seed k
_TINY10 = (
    "cfbb654d0832def8916cf201b7f93fe33794e3fc9fc2d7f517a89e4fbbf3bd4e",
    "ed8f917b66a53452f348976025a7ddf952bb17fbded27ee36cbd36d11a3bff45",
    "0abdc6967da75762ebabf34a46de5efceef89fa5db67bb7365a17adf1c2eeebb",
    "4512955a0d6b55950e4bef33446ab4fdf6cc3dba04d568f325b2bb17aec5c0f3",
    "4d0f35f66d53d93d0d6a896d3085718b72aa9b8f9baf765cb82141d01131b22d",
    "326c9470de9ec2bbc550a138b79d1467f2fd0a49e81e9e3038f9f9e7c2c26f30",
    "bc0c194f4c993678b4c0f33cc5e2dac97e822601bd4cd238bef6aa95ce00454e",
    "a8f3dde969ca69adc610e5642533fa4d7234402d721b6aaad9b3dc5947c5c63a",
    "6f0067121af4b4f125e2be6a657bef9539030449c7883119b031f014d4a14012",
    "f6cf652a708c5fea939ec3f56481f28207a7c5300d815bc457ce5b0b0374db6d",
    "efd1c96a808c63b77fe9fc7a1ab9fca2f7a867d61094f43de3a8b7e6b19cbfce",
    "358d5c85faa8d1c66c666410bd0b82648879b835cfa71b0bbeca22b379266dd1",
    "04d6c06895d5762c6475cdce00eb0192fc9814d0874d55b935d6440200887be0",
    "f673f336a37e6a9f13d7e32a02b6381f343c5c683ef9de0e72fec0c668323037",
    "c21886a79a1c26dd632394d74e32d2f2c4f90fa83ca87f627ba534230d73be1a",
    "bcc25607d35e15d68025cf7373db78c4a759d41f9a3335669cc5daab7197bae4",
    "021efe311b317c40723da3a13097fe7a09a597773dad8b35ea4b3a362fa63570",
    "edca61797ec6d1326babd1ea54b54cc1c0e6e1e9b049ec904c029d06fd60de6d",
    "a4c5e175e37b5cc9aab4b5942cf51084002bb846f9034aa56962799d8bae655c",
    "ff3cb060b3e77f7afa54a6dec86cceef2ddbf98efc663e5e73afd1f2dd80843d",
)
_RESNET20_W1 = (
    "203c3e74349197afd184cefc7eea37f43edfc602e2bac76e5d30a4cf5d1a71ab",
    "2dc83bd9618da265903ff74f044e178d66405f3b99af19b337c57b6fc55d99e7",
)


def _checkpoints(folder: str, publishers: str, size: int, sums: tuple[str, ...]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(
            f"networks/{folder}/in{k}-gn{k}.pt",
            (f"{_STITCHING_AUTHORS}{publishers}/CIFAR10/in{k}-gn{k}/110000.pt",),
            size,
            sha256=sha256,
        )
        for k, sha256 in enumerate(sums)
    )


_COLLECTIONS = {
    "tiny10-authors": _checkpoints("tiny10", "Tiny10", 358_762, _TINY10),
    "resnet20_w1-authors": _checkpoints("resnet20_w1", "ResNet20_w1", 1_118_912, _RESNET20_W1),
    "aerial": (
        RemoteFile(
            "aerial/banepa/mosaic.png"
        ),  # its bytes depend on who packed it: netalike.data.aerial checks the pixels
        RemoteFile(
            "aerial/banepa/buildings.geojson",
            size=343_002,
            sha256="698764de82780b1d30e2b92980dbcccacd7f3189fcf5f78fbee663d4937fda71",
        ),
    ),
}


def collections() -> list[str]:
    """Return the names of the published collections.

    Returns
    -------
    list of str
        "tiny10-authors": 20 Tiny10 trained on CIFAR-10 by the authors of the stitching paper (MIT licence);
        "resnet20_w1-authors": their 2 ResNet20; "aerial": 48 tiles of Banepa with building outlines
        as a mirror holds them; `netalike.data.aerial.fetch_aerial` also puts them together from the published tiles.
    """
    return list(_COLLECTIONS)


def files(collection: str) -> tuple[RemoteFile, ...]:
    """Return the files of a collection, for `fetch_file`.

    Parameters
    ----------
    collection : str
        One of `collections`.

    Returns
    -------
    tuple of RemoteFile
        Of networks: by seed, each a PyTorch state dict, to be read with ``weights_only=True``.

    Raises
    ------
    UnknownNameError
        If there is no such collection.
    """
    if collection not in _COLLECTIONS:
        raise unknown_name("collection of networks or images", collection, _COLLECTIONS)
    return _COLLECTIONS[collection]
