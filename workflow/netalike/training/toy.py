"""Training on the toy problem: runs of different frequency and seed in one loop, as one stack of networks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from tqdm import tqdm

from netalike.data.toy import ToyData, toy_data
from netalike.errors import BadFileError, NetalikeError, ShapeError, unknown_name
from netalike.networks.checkpoint import write_atomically
from netalike.progress import progress
from netalike.training import checkpoint as checkpoints
from netalike.training import eager
from netalike.training.toy_stack import LOSSES, Buffers, Stack, gradient_, losses, toy_network

_FORMAT = "netalike toy networks 1"
_EVALUATIONS = 50  # of the losses, along a training
_FACTS = ("frequency", "distribution", "noise_std", "seed", "noise_seed")


@dataclass(frozen=True)
class ToySettings:
    """How the networks of the toy problem are trained; the defaults are those of the published code.

    Attributes
    ----------
    epochs : int
        Passes over the training samples.
    batch_size : int
        Samples per step; the last batch of an epoch may be shorter.
    lr : float
        Learning rate of Adam, the same all the time.
    loss : {"l1", "l2"}
        Mean absolute or mean squared error.
    polish : int
        Further epochs of one step each, on all samples at once, with a learning rate that falls to zero along half a
        cosine: towards a stationary point. The published training has none.
    halvings : int
        The networks are kept at the end, after all `epochs`, and after 1/2, 1/4, ... of them, so many times.
    save_every : int
        Epochs between checkpoints.
    """

    epochs: int = 5000
    batch_size: int = 64
    lr: float = 1e-4
    loss: str = "l1"
    polish: int = 0
    halvings: int = 0
    save_every: int = 100

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss of the toy problem", self.loss, LOSSES)
        for name, least in (("epochs", 1), ("batch_size", 1), ("polish", 0), ("halvings", 0), ("save_every", 1)):
            if getattr(self, name) < least:
                raise NetalikeError(f"{name} of a training is at least {least}, got {getattr(self, name)}.")
        if not self.lr > 0:
            raise NetalikeError(f"the learning rate is above 0, got {self.lr}.")

    @classmethod
    def of_study(cls, study: Mapping[str, Any], n: int) -> ToySettings:
        """Make the settings of a study of the configuration for one number of samples."""
        batches = -(-n // study["batch_size"])
        epochs = study["epochs"] if study["steps"] is None else max(1, round(study["steps"] / batches))
        return cls(epochs, study["batch_size"], study["lr"], study["loss"], study["polish"], study["halvings"])

    @property
    def total(self) -> int:
        """Epochs and polishing together."""
        return self.epochs + self.polish

    @property
    def kept(self) -> tuple[int, ...]:
        """Epochs after which the networks are kept, the last one last."""
        return tuple(sorted({*(max(1, self.epochs // 2**i) for i in range(self.halvings + 1)), self.total}))

    @property
    def evaluated(self) -> frozenset[int]:
        """Epochs after which the losses are evaluated, the last among them."""
        every = max(1, self.total // _EVALUATIONS)
        return frozenset({*range(every, self.total + 1, every), self.total})

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        done = max(0, epoch - self.epochs) / max(1, self.polish)
        return self.lr * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, eq=False)
class ToyRun:
    """One training: its data and its seed.

    Attributes
    ----------
    data, validation : ToyData
        Trained on the labels of the first; validated on the targets of the second.
    seed : int
        Of the initialisation and of the order of the batches.
    """

    data: ToyData
    validation: ToyData
    seed: int

    def facts(self) -> dict[str, Any]:
        """Return what the run can be made of again."""
        return {"n": len(self.data), "run": self.seed, **{name: getattr(self.data, name) for name in _FACTS}}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> ToyRun:
        """Make the run that the facts are of."""
        n, frequency, distribution = int(facts["n"]), float(facts["frequency"]), str(facts["distribution"])
        seed, noise = int(facts["seed"]), float(facts["noise_std"])
        data = toy_data(n, frequency, distribution, noise, seed, int(facts["noise_seed"]))
        validation = toy_data(n, frequency, distribution, seed=seed, split="validation")
        return cls(data, validation, int(facts["run"]))


def toy_runs(
    n: int,
    frequencies: Sequence[float],
    seeds: Sequence[int],
    distribution: str = "uniform",
    noise: float = 0.0,
    data_seed: int = 0,
) -> list[ToyRun]:
    """Make the runs of a grid: each frequency with each seed.

    Parameters
    ----------
    n : int
        Number of training samples; validation has as many.
    frequencies : sequence of float
    seeds : sequence of int
        One run each. Runs of equal seed begin with the same weights and draw the same batches at every frequency.
    distribution : {"uniform", "triangular"}
    noise : float
        Standard deviation of the labels' noise: each run draws its own, at the positions that all runs share.
    data_seed : int
        Of the positions.

    Returns
    -------
    list of ToyRun
        Frequency by frequency.
    """
    return [
        ToyRun.of_facts(
            {
                "n": n,
                "frequency": frequency,
                "distribution": distribution,
                "noise_std": noise,
                "seed": data_seed,
                "noise_seed": seed,
                "run": seed,
            }
        )
        for frequency in frequencies
        for seed in seeds
    ]


@dataclass
class ToyHistory:
    """Losses along the training: one list per evaluated epoch, one number per run.

    Attributes
    ----------
    epoch : list of int
    train_loss, validation_loss : list of list of float
        Of the weights after that epoch, over all samples: against the labels, and against the true targets of the
        validation split. Not finite where a run has diverged.
    """

    epoch: list[int] = field(default_factory=list)
    train_loss: list[list[float]] = field(default_factory=list)
    validation_loss: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class TrainedToys:
    """Trained networks of the toy problem.

    Attributes
    ----------
    runs : tuple of ToyRun
    settings : ToySettings
    history : ToyHistory
    vectors : Tensor, shape (kept epochs, parameters of all runs)
        In the order of `settings.kept`, laid out as `Stack` says.
    """

    runs: tuple[ToyRun, ...]
    settings: ToySettings
    history: ToyHistory
    vectors: Tensor

    def network(self, run: int, epoch: int | None = None) -> nn.Sequential:
        """Return the network of one run, after its training or after an earlier epoch that was kept.

        Raises
        ------
        NetalikeError
            If nothing was kept after that epoch.
        """
        kept = self.settings.kept
        if epoch is not None and epoch not in kept:
            raise NetalikeError(f"no network was kept after epoch {epoch}: there are those of {list(kept)}.")
        stack = Stack([toy_network()] * len(self.runs))
        return stack.network(run, self.vectors[-1 if epoch is None else kept.index(epoch)])

    def steps(self, epoch: int) -> int:
        """Return how many steps were made after so many epochs."""
        batches = -(-len(self.runs[0].data) // self.settings.batch_size)
        return batches * min(epoch, self.settings.epochs) + max(0, epoch - self.settings.epochs)


def train_toys(
    runs: Sequence[ToyRun],
    settings: ToySettings,
    checkpoint: Path | None = None,
    shown: bool | None = None,
) -> TrainedToys:
    """Train one network per run, all in one loop.

    Parameters
    ----------
    runs : sequence of ToyRun
        With equal numbers of samples.
    settings : ToySettings
    checkpoint : Path, optional
        Written every `settings.save_every` epochs, and removed at the end; where the file exists, training goes on from
        it, to the same weights as without the interruption.
    shown : bool, optional
        Whether to show progress; None shows it on a terminal.

    Returns
    -------
    TrainedToys
        A run that diverged is in it, with losses that are not finite; it does not disturb the others.

    Raises
    ------
    ShapeError
        If the runs differ in their number of samples, or there are none.
    NetalikeError
        If the checkpoint is of another training.

    Notes
    -----
    As in Charpiat et al. (2019), the published code: Adam at a constant learning rate, shuffled batches, no weight
    decay. The weights of all runs are stacked, so that a step is two batched products per layer for all of them and one
    call of a fused Adam; a run comes to the same weights alone and beside others, but for rounding.
    """
    _check_sizes(runs)
    stack = Stack([toy_network(run.seed) for run in runs], len(settings.kept))
    optimizer = eager.Adam([stack.vector], settings.lr, fused=True)
    identity = _identity(runs, settings)
    history, done = ToyHistory(), 0
    if checkpoint is not None and checkpoint.is_file():
        state = checkpoints.read(checkpoint, stack, optimizer, identity)
        history, done = _unpacked(state.history, len(runs)), state.epoch
    loop = _Loop(stack, optimizer, runs, settings)
    with progress(range(0), "toy networks", settings.total, shown, begun=done, unit="epoch") as bar:
        for epoch in range(done + 1, settings.total + 1):
            loop.epoch(epoch, bar)
            loop.look(epoch, history)
            if checkpoint is not None and epoch % settings.save_every == 0:
                state = checkpoints.State(epoch, identity, _packed(history))
                checkpoints.write(checkpoint, stack, optimizer, state)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return TrainedToys(tuple(runs), settings, history, stack.kept.clone())


class _Loop:
    """The stack, its optimiser and its data, as the loop over epochs uses them."""

    def __init__(
        self, stack: Stack, optimizer: torch.optim.Optimizer, runs: Sequence[ToyRun], settings: ToySettings
    ) -> None:
        self.stack, self.optimizer, self.settings = stack, optimizer, settings
        assert stack.vector.grad is not None
        self.layers, self.gradients = stack.layers(stack.vector.data), stack.layers(stack.vector.grad)
        self.buffers: dict[int, Buffers] = {}
        self.seeds = [run.seed for run in runs]
        self.x, self.labels = (_stacked([getattr(run.data, key) for run in runs]) for key in ("x", "labels"))
        self.unseen, self.targets = (
            _stacked([getattr(run.validation, key) for run in runs]) for key in ("x", "target")
        )

    def epoch(self, epoch: int, bar: tqdm[Any]) -> None:
        """Run one pass over the training samples, each run in an order of its own."""
        n = self.x.shape[1]
        size = self.settings.batch_size if epoch <= self.settings.epochs else n
        self.optimizer.param_groups[0]["lr"] = self.settings.rate(epoch)
        order = _orders(self.seeds, epoch, n)[:, :, None]
        x, labels = self.x.gather(1, order.expand_as(self.x)), self.labels.gather(1, order)
        with torch.no_grad():
            for start in range(0, n, size):
                batch = slice(start, start + size)
                self.step(x[:, batch], labels[:, batch])
        bar.update()

    def step(self, x: Tensor, labels: Tensor) -> None:
        """Make one step on a batch, (runs, batch, 2) and (runs, batch, 1)."""
        size = x.shape[1]
        buffers = self.buffers.get(size) or self.buffers.setdefault(size, Buffers(self.layers, size))
        gradient_(self.layers, self.gradients, x, labels, self.settings.loss, buffers)
        self.optimizer.step()

    def look(self, epoch: int, history: ToyHistory) -> None:
        """Keep the networks and evaluate the losses, where it is time to."""
        if epoch in self.settings.kept:
            self.stack.kept[self.settings.kept.index(epoch)] = self.stack.vector.detach()
        if epoch in self.settings.evaluated:
            history.epoch.append(epoch)
            with torch.no_grad():
                trained = losses(self.layers, self.x, self.labels, self.settings.loss)
                tested = losses(self.layers, self.unseen, self.targets, self.settings.loss)
            history.train_loss.append(trained.tolist())
            history.validation_loss.append(tested.tolist())


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    stacked = torch.from_numpy(np.stack(arrays)).float()
    return stacked if stacked.ndim == 3 else stacked[:, :, None]


def _orders(seeds: Sequence[int], epoch: int, n: int) -> Tensor:
    """The order of the samples in one epoch, shape (runs, n): the same for runs of equal seed."""
    orders = {seed: np.random.default_rng([seed, epoch]).permutation(n) for seed in dict.fromkeys(seeds)}
    return torch.from_numpy(np.stack([orders[seed] for seed in seeds]))


def _check_sizes(runs: Sequence[ToyRun]) -> None:
    sizes = sorted({len(run.data) for run in runs})
    if len(sizes) != 1:
        raise ShapeError(
            f"runs that are trained together have one number of samples, got {sizes or 'no runs'}: "
            "train those of each number by themselves."
        )


def _identity(runs: Sequence[ToyRun], settings: ToySettings) -> dict[str, Any]:
    told = {key: value for key, value in asdict(settings).items() if key != "save_every"}
    return {**told, "runs": [run.facts() for run in runs]}


def _packed(history: ToyHistory) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"epoch": [float(epoch) for epoch in history.epoch]}
    for name in ("train_loss", "validation_loss"):
        for run, values in enumerate(zip(*getattr(history, name), strict=True)):
            found[f"{name}.{run}"] = list(values)
    return found


def _unpacked(packed: Mapping[str, list[float]], n_runs: int) -> ToyHistory:
    epochs = [int(epoch) for epoch in packed["epoch"]]
    train, validation = (
        [[packed[f"{name}.{run}"][i] for run in range(n_runs)] for i in range(len(epochs))]
        for name in ("train_loss", "validation_loss")
    )
    return ToyHistory(epochs, train, validation)


# ---- files -----------------------------------------------------------------------------------------------------------


def save_toys(trained: TrainedToys, path: Path) -> None:
    """Write trained networks to a safetensors file, all of it or nothing; the data are told by their seeds.

    Parameters
    ----------
    trained : TrainedToys
    path : Path
    """
    history = trained.history
    tensors = {"vectors": trained.vectors.contiguous()}
    for name in ("epoch", "train_loss", "validation_loss"):
        tensors[name] = torch.tensor(getattr(history, name), dtype=torch.float64)
    told = {
        "format": _FORMAT,
        "settings": asdict(trained.settings),
        "runs": [run.facts() for run in trained.runs],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, safetensors.torch.save(tensors, metadata={"netalike": json.dumps(told)}))


def load_toys(path: str | Path) -> TrainedToys:
    """Read trained networks that `save_toys` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    TrainedToys

    Raises
    ------
    BadFileError
        If the file is missing, damaged, or of something else.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get("netalike", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise BadFileError(f"{path} does not hold networks of the toy problem ({error}): train them again.") from error
    if told.get("format") != _FORMAT:
        raise BadFileError(f"{path} does not hold networks of the toy problem: expected what train_toys.py writes.")
    history = ToyHistory(
        [int(epoch) for epoch in tensors["epoch"]], tensors["train_loss"].tolist(), tensors["validation_loss"].tolist()
    )
    runs = tuple(ToyRun.of_facts(facts) for facts in told["runs"])
    return TrainedToys(runs, ToySettings(**told["settings"]), history, tensors["vectors"])
