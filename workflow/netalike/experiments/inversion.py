"""Networks, standard and robust: images inverted through each of them, and how well they stand attacks.

What `invert_network` measures; `inversion_comparison` compares the networks on the images. All rows have the factor
``eps`` (the size of the attacks that the network was trained against; 0: standard; ``none``: an untrained twin);
accuracies have ``architecture``, all others ``seeds``, what the inversion starts from. Quantities:

``inversion_loss``
    Distance of the representations of image and target, relative to the target's (``statistic``: ``mean`` over the
    pairs, ``q05`` to ``q95``). Estimator ``start``: of the seed images, ``final``: of the inverted ones.
``pixel_distance``
    Mean L2 distance of images, ``of=target`` or ``of=seed``. Estimator ``start``: of the seed image, ``final``: of the
    inverted one.
``inversion_loss_curve``
    The mean loss by iteration (`step`). Estimator ``iterate``: as it is, ``best``: the smallest so far.
``accuracy``
    On the images as they are (estimator ``clean``, ``eps_test=0``) and under an attack of size ``eps_test``
    (``pgd20``: 20 steps); ``own_eps`` says whether that is the size of the training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from netalike import networks
from netalike.comparison import Member, untrained_name
from netalike.data import ImageSet
from netalike.errors import NetalikeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.inversion import Inversion, Normalised, inversion_pairs, invert_images, noise_seeds
from netalike.measures.panel import UNTRAINED
from netalike.networks.checkpoint import write_atomically
from netalike.networks.pixels import pixels
from netalike.training.adversarial import robust_accuracy

Row = dict[str, Any]
SEED_KINDS = ("other_class", "noise", "same_class")
"""What an inversion starts from: an image of another class than the target's, noise, an image of the same class."""

# An untrained twin is another draw of the weights than any trained network began from.
_TWIN_SEED = 10_000
_LEVELS = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
_CURVE_POINTS = 60
_DRAWS = 1000
_NO_LOSS = "undefined: the network represents every target by zeros"


# ---- who takes part --------------------------------------------------------------------------------------------------


def participants(files: Mapping[str, str | Path], study: Mapping[str, Any], eps: Mapping[str, float]) -> list[Member]:
    """Load networks, and build the untrained twins among them.

    Parameters
    ----------
    files : mapping of network to path
        All networks of a study, or those of a portion: a twin is the same in both.
    study : mapping
        ``members`` (all networks of the study, with their families) and ``untrained_twins``.
    eps : mapping of network to float
        Of all networks of the study.

    Returns
    -------
    list of Member
        The networks in the order of `files`, then the twins of the first standard networks of each family: a robust
        network's twin would be one more of the same kind. Where all networks are robust, of each family.
    """
    found, twins = [], []
    twinned = _twinned(study, eps)
    for name, file in files.items():
        model, card = networks.load(file)
        found.append(Member(name, model.eval(), []))
        if name in twinned:
            seed = _TWIN_SEED + list(study["members"]).index(name)
            twin = networks.build(untrained_name(card.architecture), card.channels, card.classes, seed)
            twins.append(Member(name + UNTRAINED, twin.eval(), []))
    return found + twins


def _twinned(study: Mapping[str, Any], eps: Mapping[str, float]) -> set[str]:
    standard = [name for name in study["members"] if eps[name] == 0] or list(study["members"])
    families: dict[str, list[str]] = {}
    for name in standard:
        families.setdefault(study["members"][name], []).append(name)
    return {name for names in families.values() for name in names[: study["untrained_twins"]]}


def architecture_of(member: Member) -> str:
    """Return the name of a network's architecture."""
    return str(getattr(member.model, "architecture", type(member.model).__name__))


def on_pixels(member: Member, images: ImageSet) -> Normalised:
    """Put the normalisation of a data set in front of a network, whose layers keep their names."""
    assert images.spec.mean is not None, "a loaded data set"
    assert images.spec.std is not None, "a loaded data set"
    return Normalised(member.model, images.spec.mean, images.spec.std)


def eps_text(name: str, eps: Mapping[str, float]) -> str:
    """Write the size of the attacks that a network was trained against; ``none`` for an untrained twin."""
    return "none" if name.endswith(UNTRAINED) else f"{eps[name]:g}"


# ---- the images ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pairs:
    """Seed and target images, row by row.

    Attributes
    ----------
    seeds, targets : Tensor, shape (n, channels, height, width), float32
        In [0, 1].
    seed_labels, target_labels : Tensor, shape (n,)
        The label of a noise seed is -1.
    target_rows : array, shape (n,)
        Positions of the targets in the set of images.
    """

    seeds: Tensor
    targets: Tensor
    seed_labels: Tensor
    target_labels: Tensor
    target_rows: NDArray[np.int64]


def pairs_of(images: ImageSet, study: Mapping[str, Any], kind: str) -> Pairs:
    """Draw the pairs of a study; the targets are the same for all kinds of seeds and for all networks.

    Parameters
    ----------
    images : ImageSet
        Of the test split.
    study : mapping
        ``pairs`` and ``seed``.
    kind : {"other_class", "noise", "same_class"}

    Returns
    -------
    Pairs

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    NetalikeError
        If there are too few images, or they are not of the test split.
    """
    if kind not in SEED_KINDS:
        raise unknown_name("kind of seed images", kind, SEED_KINDS)
    if images.split != "test":
        raise NetalikeError(f"images are inverted on the test split, got the split {images.split!r}.")
    drawn_as = "other_class" if kind == "noise" else kind
    seed_rows, target_rows = inversion_pairs(images.labels, study["pairs"], study["seed"], drawn_as)
    targets = pixels(images.take(target_rows))
    labels = images.labels[torch.from_numpy(target_rows)]
    if kind == "noise":
        nothing = torch.full_like(labels, -1)
        return Pairs(noise_seeds(targets.shape, study["seed"]), targets, nothing, labels, target_rows)
    seed_labels = images.labels[torch.from_numpy(seed_rows)]
    return Pairs(pixels(images.take(seed_rows)), targets, seed_labels, labels, target_rows)


# ---- inversion -------------------------------------------------------------------------------------------------------


def invert_network(
    member: Member,
    images: ImageSet,
    study: Mapping[str, Any],
    checkpoint: Path | None = None,
    eps: Mapping[str, float] | None = None,
    device: str | torch.device | None = None,
    progress: bool | None = False,
) -> tuple[list[Row], dict[str, Tensor]]:
    """Invert the pairs of a study through one network, from every kind of seeds, and attack the network.

    Parameters
    ----------
    member : Member
        A network, or an untrained twin, which is not attacked.
    images : ImageSet
        Of the test split; all of them are attacked.
    study : mapping
        ``seed_images, pairs, mode, exact, iterations, step_size, batch_size, attack_eps, attack_steps, seed``.
    checkpoint : Path, optional
        Folder of what was inverted before a break: a file for each kind of seeds.
    eps : mapping of network to float, optional
        What each network was trained against; 0 where left out.
    device, progress
        As `invert_images` takes them.

    Returns
    -------
    rows : list of dict
        See the head of this module.
    inverted : dict of str to Tensor, shape (pairs, channels, height, width), float32
        By network and kind of seeds, ``NAME/KIND``.

    Notes
    -----
    Costs ``6 pairs x iterations`` times the network's multiply-adds per kind, ``6 images x attack_steps`` per attack.
    """
    own_eps = eps_text(member.name, eps or {member.name: 0.0})
    network = on_pixels(member, images)
    rows: list[Row] = []
    inverted: dict[str, Tensor] = {}
    for kind in study["seed_images"]:
        pairs = pairs_of(images, study, kind)
        found = invert_images(
            network,
            pairs.seeds,
            pairs.targets,
            batch_size=study["batch_size"],
            step_size=study["step_size"],
            iterations=study["iterations"],
            mode=study["mode"],
            exact=study.get("exact", True),
            checkpoint=checkpoint and checkpoint_of(checkpoint, member.name, kind),
            progress=progress,
            device=device,
        )
        inverted[f"{member.name}/{kind}"] = found.images
        rows += _inversion_rows(found, pairs, seeds=kind, eps=own_eps)
    if not member.name.endswith(UNTRAINED):
        rows += _accuracy_rows(network, images, study, architecture=architecture_of(member), eps=own_eps)
    return [{"network_a": member.name, **row} for row in rows], inverted


def checkpoint_of(folder: Path, network: str, kind: str) -> Path:
    """Return the file that keeps an unfinished inversion."""
    return folder / f"{network}-{kind}.safetensors"


def write_inverted(inverted: Mapping[str, Tensor], path: str | Path) -> None:
    """Store inverted images as one safetensors file, all of it or nothing."""
    write_atomically(Path(path), safetensors.torch.save({key: found.contiguous() for key, found in inverted.items()}))


def read_inverted(paths: Sequence[str | Path]) -> Mapping[str, Tensor]:
    """Read the inverted images of all portions of a study, by ``NAME/KIND``, each when it is asked for."""
    return _Inverted(paths)


class _Inverted(Mapping[str, Tensor]):
    """Images in files: those of many networks are more than memory holds (ImageNet: 6 GB for each)."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._files: dict[str, str | Path] = {}
        for path in paths:
            with safetensors.safe_open(path, framework="pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)

    def __getitem__(self, key: str) -> Tensor:
        with safetensors.safe_open(self._files[key], framework="pt") as file:
            found: Tensor = file.get_tensor(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


# ---- rows ------------------------------------------------------------------------------------------------------------


def _inversion_rows(found: Inversion, pairs: Pairs, **factors: str) -> Iterator[Row]:
    common = {"layer_a": found.layer, "n_samples": len(found.losses)}
    for estimator, losses, images in (
        ("start", found.seed_losses, pairs.seeds),
        ("final", found.losses, found.images),
    ):
        told = {**common, "estimator": estimator}
        yield from ({**told, **row} for row in _loss_rows(losses.astype(np.float64), factors))
        for of, others in (("target", pairs.targets), ("seed", pairs.seeds)):
            if estimator == "start" and of == "seed":
                continue  # the seeds themselves
            distances = (images - others).flatten(1).norm(dim=1).double().numpy()
            words = condition(of=of, **factors)
            yield {**told, "quantity": "pixel_distance", "condition": words, **mean_with_interval(distances)}
    yield from ({**common, **row} for row in _curve_rows(found, condition(**factors)))


def _loss_rows(losses: NDArray[np.float64], factors: Mapping[str, str]) -> Iterator[Row]:
    known = losses[~np.isnan(losses)]
    told = {"quantity": "inversion_loss", "n_samples": len(known)}
    if not len(known):
        yield {**told, "condition": condition(statistic="mean", **factors), "value": np.nan, "status": _NO_LOSS}
        return
    yield {**told, "condition": condition(statistic="mean", **factors), **mean_with_interval(known)}
    for name, level in _LEVELS.items():
        yield {**told, "condition": condition(statistic=name, **factors), "value": float(np.quantile(known, level))}


def _curve_rows(found: Inversion, words: str) -> Iterator[Row]:
    steps = len(found.curve.mean)
    for step in np.unique(np.linspace(0, steps - 1, min(_CURVE_POINTS, steps)).round().astype(int)).tolist():
        for estimator, curve in (("iterate", found.curve.mean), ("best", found.curve.best_mean)):
            value = float(curve[step])
            yield {
                "quantity": "inversion_loss_curve",
                "estimator": estimator,
                "condition": words,
                "step": step,
                "value": value,
                "status": OK if np.isfinite(value) else _NO_LOSS,
            }


def _accuracy_rows(network: Normalised, images: ImageSet, study: Mapping[str, Any], **factors: str) -> Iterator[Row]:
    attacked, n = pixels(images), len(images)
    clean = 0.0
    for eps in study["attack_eps"]:
        clean, robust = robust_accuracy(network, attacked, images.labels, eps, steps=study["attack_steps"])
        own = "yes" if f"{eps:g}" == factors["eps"] else "no"
        words = condition(eps_test=f"{eps:g}", own_eps=own, **factors)
        yield {"estimator": f"pgd{study['attack_steps']}", "condition": words, **_share(robust, n)}
    own = "yes" if factors["eps"] == "0" else "no"
    words = condition(eps_test="0", own_eps=own, **factors)
    yield {"estimator": "clean", "condition": words, **_share(clean, n)}


def _share(share: float, n: int) -> Row:
    """An accuracy with its 95 % interval: Wilson (1927)."""
    z = 1.959964
    centre, spread = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (float((centre + sign * spread) / (1 + z**2 / n)) for sign in (-1, 1))
    # rounding may put an end on the other side of a share of 0 or 1
    return {
        "quantity": "accuracy",
        "n_samples": n,
        "value": share,
        "low": min(max(low, 0.0), share),
        "high": max(min(high, 1.0), share),
    }


def mean_with_interval(values: NDArray[np.float64], seed: int = 0) -> Row:
    """Return the mean with its 95 % interval from a bootstrap over pairs of images, as value, low and high."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}
