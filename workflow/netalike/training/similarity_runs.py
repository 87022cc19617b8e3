"""Runs with a similarity term: one network and stream of pairs per seed, trained in every variant."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from netalike.errors import BadFileError, NetalikeError
from netalike.networks.checkpoint import write_atomically
from netalike.progress import progress as progress_bar
from netalike.training import eager
from netalike.training.checkpoint import digest
from netalike.training.pair_stream import INITIAL, PairPool, draw_masks, draw_others, draw_pairs
from netalike.training.plain import reproducible
from netalike.training.similarity_term import Variant, mean_cosines, similarity_loss, similarity_network

_FORMAT = "netalike similarity run 1"
_BATCH = 50  # images per evaluated batch: with channels last the fastest on the CPU, 0.08 s for 1,000 images


@dataclass(frozen=True)
class RunSettings:
    """What all runs of a study have in common.

    Attributes
    ----------
    steps : int
        Training steps; exactly as many.
    batch_size : int
        Images in each of the two batches of a pair.
    evaluate_every : int
        Steps between evaluations; before the first step and after the last one there is always one.
    cosine_images : int
        Images of each class, of the held-out ones, on whose pairs gradients are compared at each evaluation.
    lr : float
        Of Adam; the published code has 0.001.
    seed : int
        Of the study: mixed with the seed of each run.
    """

    steps: int = 150
    batch_size: int = 1
    evaluate_every: int = 5
    cosine_images: int = 3
    lr: float = 1e-3
    seed: int = 0

    def evaluated(self) -> list[int]:
        """Return the steps after which a network is evaluated, from 0."""
        return sorted({*range(0, self.steps + 1, self.evaluate_every), self.steps})


@dataclass(frozen=True)
class Run:
    """What happened in one run.

    Attributes
    ----------
    seed : int
    variant : Variant
    evaluated : list of int
        Steps after which the network was evaluated.
    accuracy : list of float
        On all held-out images, at each of them.
    same_class, different_class : list of float
        Mean cosine of the gradients of pairs of held-out images, at each of them.
    loss : list of float
        Of every step, the term included.
    train_accuracy : list of float
        Of every step, over both batches of its pair, before the weights change.
    initial, final : str
        SHA-256 of the weights before and after.
    """

    seed: int
    variant: Variant
    evaluated: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    same_class: list[float] = field(default_factory=list)
    different_class: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    initial: str = ""
    final: str = ""


def train_run(
    pool: PairPool,
    variant: Variant,
    seed: int,
    settings: RunSettings,
    device: str | torch.device = "cpu",
    bar: tqdm[Any] | None = None,
) -> Run:
    """Train one network from its initialisation.

    Parameters
    ----------
    pool : PairPool
    variant : Variant
    seed : int
        Of the initialisation and of the pairs: the same in every variant. The control's other images and random masks
        have streams of their own.
    settings : RunSettings
    device : str or torch.device
    bar : tqdm, optional
        Moved by one at each step.

    Returns
    -------
    Run

    Raises
    ------
    NetalikeError
        If the loss stops being finite.

    Notes
    -----
    Costs about 4 ms a step without a term and 11 ms with it on one core, and 80 ms per evaluation of 1,000 images. The
    gradients' products come layer by layer from one backward pass (see `gradient_products`), which takes 10.5 ms where
    two stored gradients take 17 ms. One run at a time: `torch.func.vmap` over 1, 6 or 12 runs takes 31, 16 or 15 ms for
    each, batched matrix products over 3 to 30 runs 11 ms.
    """
    device = torch.device(device)
    model = similarity_network(pool.channels, pool.classes, _mixed(settings.seed, seed, INITIAL)).to(device)
    optimizer = eager.Adam(model.parameters(), settings.lr, fused=True)
    run = Run(seed, variant, settings.evaluated(), initial=digest(model.state_dict()))
    evaluated = set(run.evaluated)
    with reproducible(device):
        _evaluate(run, model, pool, settings, device)
        for step, batch in enumerate(_batches(pool, variant, seed, settings, device), start=1):
            _step(run, model, optimizer, batch, variant.signed_weight(settings.batch_size))
            if bar is not None:
                bar.update()
            if step in evaluated:
                _evaluate(run, model, pool, settings, device)
    return Run(**{**vars(run), "final": digest(model.state_dict())})


def train_runs(
    pool: PairPool,
    runs: Sequence[tuple[Variant, int]],
    settings: RunSettings,
    checkpoints: Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
) -> list[Run]:
    """Train a network for each variant and seed.

    Parameters
    ----------
    pool : PairPool
    runs : sequence of (Variant, int)
        Variant and seed of each.
    settings : RunSettings
    checkpoints : Path, optional
        A folder. Each finished run is stored there, and one that is there is not trained again.
    device : str or torch.device
    progress : bool, optional
        Whether to show a progress bar on stderr; None shows one where stderr is a terminal.

    Returns
    -------
    list of Run
        In the order asked for; the same, bit for bit, whether or not it was interrupted.

    Raises
    ------
    NetalikeError
        If a loss stops being finite.
    BadFileError
        If the file of a finished run is damaged.
    """
    done: list[Run] = []
    with progress_bar(range(0), "training pairs", settings.steps * len(runs), progress, unit="step") as bar:
        for variant, seed in runs:
            path = checkpoints / checkpoint_name(pool, variant, seed, settings) if checkpoints else None
            bar.set_postfix(run=f"{variant.name}, seed {seed}", refresh=False)
            if path is not None and path.is_file():
                done.append(_read(path))
                bar.update(settings.steps)
                continue
            done.append(train_run(pool, variant, seed, settings, device, bar))
            if path is not None:
                _write(done[-1], path)
    return done


# ---- one run ---------------------------------------------------------------------------------------------------------


def _mixed(*seeds: int) -> int:
    # neighbouring seeds share no stream
    return int(np.random.SeedSequence(seeds).generate_state(1)[0])


_Batch = tuple[Tensor, Tensor, Tensor | None]


def _batches(
    pool: PairPool, variant: Variant, seed: int, settings: RunSettings, device: torch.device
) -> Iterator[_Batch]:
    """Yield inputs and labels of each step, of shapes (groups, batch, ...), and the random mask, if there is one."""
    seed = _mixed(settings.seed, seed)
    chosen = draw_pairs(pool.labels, pool.classes, settings.steps, settings.batch_size, seed)
    if variant.partner == "different_class":
        others = draw_others(pool.labels, chosen, pool.classes, seed)
        chosen = torch.cat([chosen, others[:, None]], 1)
    masks = draw_masks(pool.classes, settings.steps, seed).to(device) if variant.mask == "random" else None
    for step, indices in enumerate(chosen):
        inputs = pool.inputs(indices.flatten()).view(*indices.shape, *pool.images.shape[1:])
        yield inputs.to(device), pool.labels[indices].to(device), None if masks is None else masks[step]


def _step(run: Run, model: nn.Sequential, optimizer: torch.optim.Optimizer, batch: _Batch, weight: float) -> None:
    inputs, labels, drawn = batch
    optimizer.zero_grad(set_to_none=True)
    loss, logits = similarity_loss(model, inputs, labels, weight, drawn)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    run.loss.append(float(loss.detach()))
    run.train_accuracy.append(float((logits.argmax(1) == labels[:2].flatten()).float().mean()))
    if not math.isfinite(run.loss[-1]):
        raise NetalikeError(
            f"the loss of {run.variant.name}, seed {run.seed}, is {run.loss[-1]} at step {len(run.loss)}: training "
            "diverged. Try a smaller learning rate or weight."
        )


def _evaluate(run: Run, model: nn.Sequential, pool: PairPool, settings: RunSettings, device: torch.device) -> None:
    run.accuracy.append(held_out_accuracy(model, pool, device))
    chosen = first_of_each_class(pool.held_out_labels, settings.cosine_images)
    images, labels = pool.held_out[chosen].to(device), pool.held_out_labels[chosen].to(device)
    same, different = mean_cosines(model, images, labels, pool.classes)
    run.same_class.append(same)
    run.different_class.append(different)


def held_out_accuracy(model: nn.Sequential, pool: PairPool, device: str | torch.device = "cpu") -> float:
    """Return the share of all held-out images whose largest logit is their label's; the network is not changed."""
    # a copy, because the layout of weights that is fast here would change the last bits of the training
    fast = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    right = 0
    with torch.inference_mode():
        for images, labels in zip(
            torch.split(pool.held_out, _BATCH), torch.split(pool.held_out_labels, _BATCH), strict=True
        ):
            logits = fast(images.to(device, memory_format=torch.channels_last))
            right += int((logits.argmax(1).cpu() == labels).sum())
    return right / len(pool.held_out_labels)


def first_of_each_class(labels: Tensor, count: int) -> Tensor:
    """Return the positions of the first so many images of each class, class by class; all where there are fewer."""
    found = [(labels == label).nonzero().flatten()[:count] for label in torch.unique(labels)]
    return torch.cat(found)


# ---- finished runs on disk -------------------------------------------------------------------------------------------


def checkpoint_name(pool: PairPool, variant: Variant, seed: int, settings: RunSettings) -> str:
    """Name the file of a finished run: other settings, held-out images or data have another name."""
    held_out = hashlib.sha256(pool.held_out.numpy().tobytes()).hexdigest()
    told = json.dumps([asdict(settings), pool.fingerprint, held_out], sort_keys=True)
    return f"{variant.name}-s{seed}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.json"


def forget_runs(pool: PairPool, runs: Sequence[tuple[Variant, int]], settings: RunSettings, checkpoints: Path) -> None:
    """Remove the files of finished runs, once their rows are written: a job that is forced trains again."""
    for variant, seed in runs:
        (checkpoints / checkpoint_name(pool, variant, seed, settings)).unlink(missing_ok=True)


def _write(run: Run, path: Path) -> None:
    write_atomically(path, json.dumps({"format": _FORMAT, **asdict(run)}).encode())


def _read(path: Path) -> Run:
    try:
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told.get("format") != _FORMAT:
            raise ValueError("no finished run of netalike")
        values = {key: value for key, value in told.items() if key != "format"}
        return Run(**{**values, "variant": Variant(**told["variant"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadFileError(f"{path} is not readable ({error}): remove it to train this run again.") from error
