"""Transfer: is a network that was fine-tuned on a more distant domain less like the network that it came from?"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netalike import comparison, networks, training
from netalike.data import ImageSet
from netalike.data.domains import shift_domain
from netalike.data.shift_names import NO_SHIFT, parse_domain
from netalike.data.shifting import random_stream
from netalike.errors import NetalikeError, ShapeError
from netalike.evidence.measurements import condition
from netalike.evidence.rows import kind
from netalike.experiments.equal_depth import equal_depth_rows
from netalike.measures.panel import UNTRAINED, compare_networks
from netalike.measures.sources import NetworkSource, noise
from netalike.training import Settings
from netalike.training.discriminator import discriminate

ESTIMATORS = ("published", "unbiased", "deconfounded")

# kind of the other network -> pair factor of its comparison with the base network
_PAIRS = {
    "trained": "finetuned",
    "untrained": "trained_untrained",
    "permuted_samples": "permuted_samples",
    "noise": "noise",
}

# A training looks at its loss on some test images after every epoch: as few as possible, the accuracies come later.
_GLANCE = 8


def finetune(
    model: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    domain: str,
    settings: Settings,
    seed: int,
    checkpoint: Path | None = None,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """Train a copy of a network further, on shifted images.

    Parameters
    ----------
    model : nn.Module
        Not changed; all weights of the copy are trained.
    train_set, test_set : ImageSet
        In the base domain.
    domain : str
        As `netalike.data.shift_domain` takes it.
    settings : Settings
    seed : int
        Of the batches, the same for all domains, and of the shift.
    checkpoint : Path, optional
        As `netalike.training.train` takes it; where it is of a finished training, nothing is trained.
    device : str or torch.device

    Returns
    -------
    nn.Module
        In eval mode.

    Raises
    ------
    NetalikeError
        As `netalike.training.train` and `netalike.data.shift_domain` do.
    """
    tuned = copy.deepcopy(model)
    shown, tested = (shift_domain(images, domain, seed) for images in (train_set, test_set.take(slice(_GLANCE))))
    training.train(tuned, shown, tested, settings, seed, checkpoint, device=device)
    return tuned


def transfer_rows(
    name: str,
    model: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    domains: Sequence[str],
    settings: Settings,
    layers: Sequence[str],
    seed: int,
    n_images: int,
    batch_size: int,
    device: str | torch.device = "cpu",
    checkpoints: Path | None = None,
    architecture: str | None = None,
) -> list[dict[str, Any]]:
    """Fine-tune a network on each domain, and compare it with all that come out.

    Parameters
    ----------
    name : str
        Id of the base network.
    model : nn.Module
        The base network, trained on the base domain.
    train_set, test_set : ImageSet
        In the base domain.
    domains : sequence of str
        As `netalike.data.shift_domain` takes them; ``none``, which is put first where it is missing, is fine-tuning on
        the base domain itself, the positive control.
    settings : Settings
        Of the fine-tuning: for all domains the same, from the same weights, with the same batches.
    layers : sequence of str
        As `netalike.networks.select_layers` takes them.
    seed : int
        Of the batches, shifts, noise, permutation and untrained twin.
    n_images, batch_size : int
        The first so many test images, of the base domain, are what the networks are compared on.
    device : str or torch.device
    checkpoints : Path, optional
        Folder with one file per domain, the checkpoint of its fine-tuning. A network that is found there finished is
        not trained again, and one whose training was cut off goes on from there. Remove them when the rows are stored.
    architecture : str, optional
        Of the untrained twin; that of the model unless given.

    Returns
    -------
    list of dict
        Rows without paper, experiment, data set and split. Similarities of the base network with each fine-tuned one,
        ``<name>@<domain>``, with its untrained twin, with itself on permuted samples and with noise, between layers of
        equal depth; and the test accuracy of the fine-tuned networks in their own domain and in the base domain, and
        of the base network in each domain.

    Raises
    ------
    NetalikeError
        If a domain or the settings are wrong, or if a checkpoint is of another training.
    ShapeError
        If there are fewer test images than `n_images`, or if a batch has fewer than 4.
    """
    if not 1 <= n_images <= len(test_set):
        raise ShapeError(f"n_images: expected 1 to {len(test_set)}, the number of test images; got {n_images}.")
    tuned: dict[str, nn.Module] = {}
    for domain in _with_base(domains):
        file = _checkpoint(checkpoints, f"{name}@{domain}")
        tuned[domain] = finetune(model, train_set, test_set, domain, settings, seed, file, device)
    twin = _untrained(name, model, test_set, seed, architecture)
    panel = {name: model, **{f"{name}@{domain}": one for domain, one in tuned.items()}, name + UNTRAINED: twin}
    compared = test_set.take(slice(n_images))
    similarities = _similarity_rows(name, panel, compared, layers, seed, batch_size, device)
    accuracies = _accuracy_rows(name, model, tuned, test_set, seed, device)
    return [{**row, "seed": seed} for row in (*similarities, *accuracies)]


def domain_rows(
    train_set: ImageSet,
    test_set: ImageSet,
    domains: Sequence[str],
    settings: Settings,
    architecture: str,
    seeds: Sequence[int],
    device: str | torch.device = "cpu",
    checkpoints: Path | None = None,
) -> list[dict[str, Any]]:
    """Measure how alike each domain and the base domain are, by networks trained to tell them apart.

    Parameters
    ----------
    train_set, test_set : ImageSet
        In the base domain.
    domains : sequence of str
        As for `transfer_rows`; ``none`` is put first where it is missing.
    settings : Settings
        Of the discriminators, without augmentation.
    architecture : str
        Of the discriminators.
    seeds : sequence of int
        One discriminator each.
    device : str or torch.device
    checkpoints : Path, optional
        As for `transfer_rows`, one file per domain and seed.

    Returns
    -------
    list of dict
        Two rows per domain and seed: ``discriminator_loss`` in nats and ``discriminator_accuracy``, on the test images.

    Raises
    ------
    NetalikeError
        If a domain or the settings are wrong, or if a checkpoint is of another training.
    """
    rows = []
    for domain in _with_base(domains):
        for seed in seeds:
            shifted = (shift_domain(train_set, domain, seed), shift_domain(test_set, domain, seed))
            file = _checkpoint(checkpoints, f"discriminator-s{seed}@{domain}")
            found = discriminate((train_set, test_set), shifted, architecture, settings, seed, device, file)
            shared = {"quantity": "domain_similarity", "condition": condition(domain=domain), "seed": seed}
            values = {"discriminator_loss": found.loss, "discriminator_accuracy": found.accuracy}
            rows += [{**shared, "estimator": e, "value": v, "n_samples": found.n} for e, v in values.items()]
    return rows


def _with_base(domains: Sequence[str]) -> list[str]:
    """Check the domains before anything is trained, and put the base domain before them where it is missing."""
    for domain in domains:
        parse_domain(domain)
    return list(dict.fromkeys(domains if NO_SHIFT in domains else [NO_SHIFT, *domains]))


def _checkpoint(folder: Path | None, training_of: str) -> Path | None:
    # a colon is no part of a file's name on every system
    return None if folder is None else folder / f"{training_of.replace(':', '_')}.safetensors"


def _untrained(name: str, model: nn.Module, images: ImageSet, seed: int, architecture: str | None) -> nn.Module:
    known = architecture or getattr(model, "architecture", None)
    if known is None:
        raise NetalikeError(
            f"a {type(model).__name__} does not say which architecture it is: name it with architecture=, as "
            "networks.build takes it, so that an untrained twin can be made."
        )
    shape = {"channels": images.spec.channels, "classes": len(images.classes)}
    drawn = int(random_stream(seed, name, "untrained twin").integers(2**32))  # no two base networks share a twin
    return networks.build(comparison.untrained_name(known), seed=drawn, **shape).eval()


def _similarity_rows(
    name: str,
    panel: dict[str, nn.Module],
    images: ImageSet,
    layers: Sequence[str],
    seed: int,
    batch_size: int,
    device: str | torch.device,
) -> list[dict[str, Any]]:
    chosen = networks.select_layers(panel[name], layers)
    sources = [NetworkSource(network, model, chosen, images, device) for network, model in panel.items()]
    result = compare_networks(
        [*sources, noise(len(images), seed)], images, ESTIMATORS, batch_size, [name], seed, progress=False
    )

    def relation(network_a: str, network_b: str) -> str | None:
        return _PAIRS[kind(network_b)] if network_a == name else None

    def factors(network_a: str, network_b: str) -> dict[str, str]:
        finetuned = kind(network_b) == "trained"
        return {"domain": network_b.removeprefix(f"{name}@")} if finetuned else {}

    return [{**row, "n_samples": len(images)} for row in equal_depth_rows(result, relation, factors)]


def _accuracy_rows(
    name: str, model: nn.Module, tuned: dict[str, nn.Module], images: ImageSet, seed: int, device: str | torch.device
) -> list[dict[str, Any]]:
    rows = []
    for domain, network in tuned.items():
        shifted = shift_domain(images, domain, seed)
        tests = [
            (f"{name}@{domain}", network, shifted, "domain"),
            (f"{name}@{domain}", network, images, "base"),
            (name, model, shifted, "domain"),
        ]
        for tested, tested_model, tested_images, tested_on in tests:
            accuracy = networks.evaluate(tested_model, tested_images, device=device).accuracy
            where = condition(domain=domain, tested_on=tested_on)
            rows.append(
                {"network_a": tested, "quantity": "accuracy", "estimator": "test", "condition": where}
                | {"value": accuracy, "n_samples": len(images)}
            )
    return rows
