"""Train a classifier: the schedule of the stitching paper, exact resumption, the same weights every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from netalike.errors import NetalikeError
from netalike.networks.evaluation import Evaluation, check_logits, evaluate
from netalike.networks.running import eval_mode, fast_layout
from netalike.progress import progress as progress_bar
from netalike.training import checkpoint as checkpoints
from netalike.training import eager
from netalike.training.settings import Settings, learning_rate

if TYPE_CHECKING:
    from netalike.data import ImageSet

Objective = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps model, inputs and labels to the loss that is minimised (a scalar) and the logits."""

# Looking at a loss waits for the device: often enough to stop early, seldom enough to cost nothing.
STEPS_BETWEEN_LOOKS = 50
# Two independent streams of random numbers in each epoch.
BATCHES, LAYERS = 0, 1


@dataclass
class History:
    """What happened, epoch by epoch.

    Attributes
    ----------
    learning_rate : list of float
    train_loss, train_accuracy : list of float
        Means over the (augmented) images of the epoch, in training mode, while the weights change.
    test_loss, test_accuracy : list of float
        After the epoch, in eval mode, over every test image.
    """

    learning_rate: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.train_loss)

    def rows(self) -> list[dict[str, float]]:
        """Return one dictionary per epoch, with `epoch` counted from 1."""
        return [
            {"epoch": epoch + 1, **{key: values[epoch] for key, values in asdict(self).items()}}
            for epoch in range(len(self))
        ]


def cross_entropy(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy in nats, and the logits: the objective of plain training."""
    logits: Tensor = model(inputs)
    return functional.cross_entropy(logits, labels), logits


def train(
    model: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    settings: Settings,
    batch_seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool | None = None,
    device: str | torch.device = "cpu",
    keep_checkpoint: bool = True,
    objective: Objective = cross_entropy,
) -> History:
    """Train a network in place.

    Parameters
    ----------
    model : nn.Module
        Maps (n, channels, height, width) to logits (n, classes); its weights are the initialisation.
    train_set, test_set : ImageSet
    settings : Settings
    batch_seed : int
        Of the batches' order and augmentation, and of random layers (dropout). Each epoch has generators of its own,
        made from this number and the number of the epoch.
    checkpoint : Path, optional
        Written every `settings.save_every` epochs and after the last; where the file exists, training goes on from
        it, to the same weights, bit for bit, as without the interruption.
    progress : bool, optional
        Whether to show a progress bar on stderr; None shows one where stderr is a terminal.
    device : str or torch.device
    keep_checkpoint : bool
        False removes the checkpoint after the last epoch.
    objective : callable
        See `Objective`; its name is part of what the checkpoint belongs to.

    Returns
    -------
    History
        Of all epochs, also those before an interruption. The model ends in eval mode.

    Raises
    ------
    NetalikeError
        If there are fewer training images than one batch, if the loss stops being finite, or if the checkpoint is of
        other settings, data, initial weights or architecture.
    BadFileError
        If the checkpoint is damaged.

    Notes
    -----
    SGD with Nesterov momentum 0.9 or Adam, weight decay on all parameters, learning rates of
    `netalike.training.learning_rate`, the last short batch left out: Csiszarik et al. (2021), the published code.
    On one machine and with one number of threads, the same arguments give the same weights, bit for bit.
    """
    device = torch.device(device)
    model.to(device)
    _check_fit(model, train_set, settings, device)
    optimizer = make_optimizer(model, settings)
    identity = _identity(model, train_set, test_set, settings, batch_seed, objective)
    history = History()
    if checkpoint is not None and checkpoint.is_file():
        history = History(**checkpoints.read(checkpoint, model, optimizer, identity).history)
    run = _Run(model, optimizer, train_set, settings, batch_seed, device, objective)
    with reproducible(device), _progress_bar(run, len(history), progress) as bar:
        for epoch in range(len(history), settings.epochs):
            append_epoch(
                history, learning_rate(settings, epoch), run.epoch(epoch, bar), evaluate(model, test_set, device=device)
            )
            bar.set_postfix(epoch=f"{epoch + 1}/{settings.epochs}", test_accuracy=f"{history.test_accuracy[-1]:.4f}")
            if checkpoint is not None and ((epoch + 1) % settings.save_every == 0 or epoch + 1 == settings.epochs):
                state = checkpoints.State(epoch + 1, identity, asdict(history))
                checkpoints.write(checkpoint, model, optimizer, state)
    if checkpoint is not None and not keep_checkpoint:
        checkpoint.unlink(missing_ok=True)
    model.eval()
    return history


@dataclass(frozen=True)
class _Run:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    train_set: ImageSet
    settings: Settings
    batch_seed: int
    device: torch.device
    objective: Objective

    @property
    def steps(self) -> int:
        return len(self.train_set) // self.settings.batch_size

    def epoch(self, epoch: int, bar: tqdm[Any]) -> Evaluation:
        """Run one pass over the training images."""
        rate = learning_rate(self.settings, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        torch.manual_seed(epoch_seed(self.batch_seed, epoch, LAYERS))
        losses: list[Tensor] = []
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        with fast_layout(self.model, self.device) as layout:
            _lay_out(self.optimizer, layout)
            for inputs, labels in self._batches(epoch):
                loss, right = self._step(inputs.to(self.device, memory_format=layout), labels.to(self.device))
                losses.append(loss)
                correct += right
                bar.update()
                if len(losses) % STEPS_BETWEEN_LOOKS == 0 or len(losses) == self.steps:
                    stop_unless_finite(losses, epoch, rate)
        n = self.steps * self.settings.batch_size
        return Evaluation(int(correct) / n, float(torch.stack(losses).double().mean()), n)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        from netalike import data

        generator = torch.Generator().manual_seed(epoch_seed(self.batch_seed, epoch, BATCHES))
        return data.training_batches(
            self.train_set, self.settings.batch_size, generator, augment=self.settings.augment, drop_last=True
        )

    def _step(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        loss, logits = self.objective(self.model, inputs, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()


def _check_fit(model: nn.Module, train_set: ImageSet, settings: Settings, device: torch.device) -> None:
    if settings.batch_size > len(train_set):
        raise NetalikeError(
            f"{train_set.name} ({train_set.split}) has {len(train_set)} images, fewer than one batch of "
            f"{settings.batch_size}: choose a smaller batch size, or more images."
        )
    with eval_mode(model), torch.no_grad():
        check_logits(model(train_set.inputs(0, 1).to(device)), train_set.labels)


def _lay_out(optimizer: torch.optim.Optimizer, layout: torch.memory_format) -> None:
    # A checkpoint brings the momenta back contiguous. They have to lie as their weights do: mixed layouts take another
    # path through the optimiser, and the last bit of a sum may differ there.
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.ndim == 4:
                state[key] = value.contiguous(memory_format=layout)


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Make the optimiser of the settings over all parameters that require a gradient; `NetalikeError` if none does."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise NetalikeError("the network has no parameter that requires a gradient: there is nothing to train.")
    # One call for all parameters, instead of several for each.
    how: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay, "foreach": True}
    made: torch.optim.Optimizer
    if settings.optimizer == "adam":
        made = eager.Adam(parameters, **how)
    else:
        made = eager.SGD(parameters, momentum=0.9, nesterov=True, **how)
    return made


def _identity(
    model: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    settings: Settings,
    batch_seed: int,
    objective: Objective,
) -> dict[str, Any]:
    return {
        "architecture": str(getattr(model, "architecture", type(model).__name__)),
        **settings.model_dump(mode="json", exclude={"save_every"}),
        "batch_seed": batch_seed,
        "objective": getattr(objective, "__name__", type(objective).__name__),
        "training data": f"{train_set.name}, SHA-256 {train_set.fingerprint()[:12]}",
        "test data": f"{test_set.name}, SHA-256 {test_set.fingerprint()[:12]}",
        "initial weights": f"SHA-256 {checkpoints.digest(model.state_dict())[:12]}",
    }


def epoch_seed(batch_seed: int, epoch: int, stream: int) -> int:
    """Return the seed of one stream of random numbers (`BATCHES` or `LAYERS`) in one epoch."""
    # SeedSequence mixes the numbers: neighbouring seeds and epochs share no stream.
    mixed = np.random.SeedSequence([batch_seed, epoch, stream]).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))


def stop_unless_finite(losses: list[Tensor], epoch: int, rate: float) -> None:
    """Raise `NetalikeError`, naming epoch and step, if one of the last losses is not finite."""
    finite = torch.isfinite(torch.stack(losses[-STEPS_BETWEEN_LOOKS:]))
    if bool(finite.all()):
        return
    step = len(losses) - len(finite) + int((~finite).nonzero()[0])
    raise NetalikeError(
        f"the loss is {float(losses[step])} in epoch {epoch + 1}, step {step + 1}, at learning rate {rate:g}: "
        "training diverged. Try a learning rate ten times smaller, or look for values that are not finite in the data."
    )


def append_epoch(history: History, rate: float, trained: Evaluation, tested: Evaluation) -> None:
    """Add an epoch to a history."""
    history.learning_rate.append(rate)
    history.train_loss.append(trained.loss)
    history.train_accuracy.append(trained.accuracy)
    history.test_loss.append(tested.loss)
    history.test_accuracy.append(tested.accuracy)


def _progress_bar(run: _Run, done: int, progress: bool | None) -> tqdm[Any]:
    return progress_bar(
        range(0), "training", run.steps * run.settings.epochs, progress, begun=run.steps * done, unit="step"
    )


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Keep the caller's random state apart, and choose the deterministic convolutions."""
    # Dropout draws from PyTorch's own state, which each epoch seeds: the caller's is put back.
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        yield
