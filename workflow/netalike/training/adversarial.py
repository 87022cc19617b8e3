"""Training on adversarial attacks: by projected gradient descent, fast, and free.

The conventions are those of MadryLab's library robustness 1.2: every batch is attacked in eval mode with 7 steps of
2.5 eps / 7, without a random start, and the loss is that of the attacked images alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from netalike.errors import NetalikeError
from netalike.networks.evaluation import Evaluation, check_logits, evaluate
from netalike.networks.pixels import PixelNetwork, pixel_network
from netalike.networks.running import eval_mode, fast_layout
from netalike.progress import progress as progress_bar
from netalike.training import checkpoint as checkpoints
from netalike.training.adversarial_attack import (
    Attack,
    RobustAccuracy,
    ascend,
    attacked,
    pgd,
    project,
    robust_accuracy,
    seen_by_network,
)
from netalike.training.adversarial_settings import AdversarialSettings, rate_at
from netalike.training.plain import (
    BATCHES,
    LAYERS,
    STEPS_BETWEEN_LOOKS,
    History,
    append_epoch,
    epoch_seed,
    make_optimizer,
    reproducible,
    stop_unless_finite,
)

if TYPE_CHECKING:
    from netalike.data import ImageSet

__all__ = ["AdversarialSettings", "RobustAccuracy", "pgd", "robust_accuracy", "train_robust"]

# A third stream of random numbers in each epoch, beside BATCHES and LAYERS.
_STARTS = 2


def train_robust(
    model: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    settings: AdversarialSettings,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool | None = None,
    device: str | torch.device = "cpu",
    keep_checkpoint: bool = True,
) -> History:
    """Train a network in place on attacked images.

    Parameters
    ----------
    model : nn.Module
        Maps normalised images, (n, channels, height, width), to logits (n, classes), as all networks of this library
        do; its weights are the initialisation.
    train_set, test_set : ImageSet
    settings : AdversarialSettings
        eps = 0 is standard training with the same optimiser.
    seed : int
        Of the batches' order and augmentation, of random starts, and of random layers.
    checkpoint, progress, device, keep_checkpoint
        As `netalike.training.train` takes them: a checkpoint is gone on from to the same weights, bit for bit.

    Returns
    -------
    History
        `train_loss` and `train_accuracy` are of the attacked images, `test_loss` and `test_accuracy` of the clean ones.
        The model ends in eval mode.

    Raises
    ------
    NetalikeError, BadFileError
        As `netalike.training.train` does: too few images, a loss that is not finite, a checkpoint of something else.

    Notes
    -----
    SGD with momentum, weight decay on all parameters, the cross-entropy of the attacked batch alone, which is attacked
    in eval mode (robustness 1.2). An epoch of pgd costs about steps + 1 standard ones, of fast 2, and of free `steps`,
    each with its own step of the optimiser. ``fast`` differs from Wong et al. (2020) in that it attacks in eval mode,
    ``free`` from Shafahi et al. (2019) in that the change of the images starts from zero in each epoch.
    """
    device = torch.device(device)
    identity = _identity(model, train_set, test_set, settings, seed)
    model.to(device)
    run = _Run(pixel_network(model, train_set.spec), _in_pixels(train_set), settings, seed, _optimizer(model, settings))
    run.check()
    history = History()
    if checkpoint is not None and checkpoint.is_file():
        history = History(**checkpoints.read(checkpoint, model, run.optimizer, identity).history)
    for _ in run.epochs(history, test_set, progress):
        if checkpoint is not None and (len(history) % settings.save_every == 0 or len(history) == settings.epochs):
            state = checkpoints.State(len(history), identity, asdict(history))
            checkpoints.write(checkpoint, model, run.optimizer, state)
    if checkpoint is not None and not keep_checkpoint:
        checkpoint.unlink(missing_ok=True)
    model.eval()
    return history


@dataclass(frozen=True)
class _Run:
    model: PixelNetwork
    train_set: ImageSet  # gives pixels in [0, 1]
    settings: AdversarialSettings
    seed: int
    optimizer: torch.optim.Optimizer

    @property
    def device(self) -> torch.device:
        return self.model.mean.device

    @property
    def replays(self) -> int:
        """How often each batch is seen."""
        return self.settings.steps if self.settings.method == "free" else 1

    @property
    def steps(self) -> int:
        """Steps of the optimiser in an epoch."""
        return len(self.train_set) // self.settings.batch_size * self.replays

    def check(self) -> None:
        if self.settings.batch_size > len(self.train_set):
            raise NetalikeError(
                f"{self.train_set.name} ({self.train_set.split}) has {len(self.train_set)} images, fewer than one "
                f"batch of {self.settings.batch_size}: choose a smaller batch size, or more images."
            )
        with eval_mode(self.model), torch.no_grad():
            check_logits(self.model(self.train_set.inputs(0, 1).to(self.device)), self.train_set.labels)

    def bar(self, done: int, shown: bool | None) -> tqdm[Any]:
        total = self.steps * self.settings.epochs
        return progress_bar(range(0), "robust training", total, shown, begun=self.steps * done, unit="step")

    def epochs(self, history: History, test_set: ImageSet, progress: bool | None) -> Iterator[None]:
        """Run the epochs that are left, and add each to the history."""
        settings, network = self.settings, self.model.network
        with reproducible(self.device), self.bar(len(history), progress) as bar:
            for epoch in range(len(history), settings.epochs):
                trained = self.epoch(epoch, bar)
                tested = evaluate(network, test_set, device=self.device)
                append_epoch(history, rate_at(settings, epoch), trained, tested)
                bar.set_postfix(epoch=f"{epoch + 1}/{settings.epochs}", test_accuracy=f"{tested.accuracy:.4f}")
                yield

    def epoch(self, epoch: int, bar: tqdm[Any]) -> Evaluation:
        """Run one pass over the training images; its evaluation is that of the attacked ones."""
        self.model.train()
        torch.manual_seed(epoch_seed(self.seed, epoch, LAYERS))
        losses: list[Tensor] = []
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        with fast_layout(self.model.network, self.device) as layout:
            _lay_out(self.optimizer, layout)
            for images, labels in self._attacked(epoch, layout):
                rate = self._set_rate(epoch, len(losses))
                loss, right = self._step(images, labels)
                losses.append(loss)
                correct += right
                bar.update()
                if len(losses) % STEPS_BETWEEN_LOOKS == 0 or len(losses) == self.steps:
                    stop_unless_finite(losses, epoch, rate)
        n = self.steps * self.settings.batch_size
        return Evaluation(int(correct) / n, float(torch.stack(losses).double().mean()), n)

    def _set_rate(self, epoch: int, step: int) -> float:
        # The middle of the step, so that the first step of a cyclic schedule is not lost.
        rate = rate_at(self.settings, epoch, (step + 0.5) / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(images)
        loss = functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def _attacked(self, epoch: int, layout: torch.memory_format) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what each step of the optimiser sees."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch, _STARTS))
        change: Tensor | None = None
        for images, labels in self._batches(epoch):
            clean, target = images.to(self.device, memory_format=layout), labels.to(self.device)
            if self.settings.method != "free":
                yield self._attack(clean, target, generator), target
                continue
            change = torch.zeros_like(clean) if change is None else change
            for _ in range(self.replays):
                seen = (clean + change).clamp(0, 1).requires_grad_(True)
                yield seen, target
                change = self._change(seen, clean)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        from netalike import data

        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch, BATCHES))
        return data.training_batches(
            self.train_set, self.settings.batch_size, generator, augment=self.settings.augment, drop_last=True
        )

    def _attack(self, clean: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        with eval_mode(self.model):
            return attacked(self.model, clean, target, self._options, generator)

    def _change(self, seen: Tensor, clean: Tensor) -> Tensor:
        """The change of the images after a step of free training, whose backward pass gave their gradient too."""
        gradient = seen_by_network(seen.grad)
        moved = ascend(seen.detach(), gradient, self._options.step_size, self._options.constraint)
        return project(moved, clean, self._options) - clean

    @property
    def _options(self) -> Attack:
        given, fast = self.settings, self.settings.method == "fast"
        return Attack(
            eps=given.eps,
            constraint=given.constraint,
            steps=given.attack_steps,
            step_size=given.attack_step_size,
            random_start=fast or given.random_start,
            use_best=given.use_best and not fast,
        )


def _in_pixels(images: ImageSet) -> ImageSet:
    """The same images, whose inputs are pixels in [0, 1]."""
    channels = images.spec.channels
    return replace(images, spec=replace(images.spec, mean=(0.0,) * channels, std=(1.0,) * channels))


def _lay_out(optimizer: torch.optim.Optimizer, layout: torch.memory_format) -> None:
    # A checkpoint brings the momenta back contiguous. They have to lie as their weights do: the last bit may differ.
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.ndim == 4:
                state[key] = value.contiguous(memory_format=layout)


def _optimizer(model: nn.Module, settings: AdversarialSettings) -> torch.optim.Optimizer:
    optimizer = make_optimizer(model, settings)
    for group in optimizer.param_groups:
        if "nesterov" in group:
            group.update(momentum=settings.momentum, nesterov=False)
    return optimizer


def _identity(
    model: nn.Module, train_set: ImageSet, test_set: ImageSet, settings: AdversarialSettings, seed: int
) -> dict[str, Any]:
    return {
        "architecture": str(getattr(model, "architecture", type(model).__name__)),
        **settings.model_dump(mode="json", exclude={"save_every"}),
        "seed": seed,
        "training data": f"{train_set.name}, SHA-256 {train_set.fingerprint()[:12]}",
        "test data": f"{test_set.name}, SHA-256 {test_set.fingerprint()[:12]}",
        "initial weights": f"SHA-256 {checkpoints.digest(model.state_dict())[:12]}",
    }
