"""Train a stitching layer between two frozen networks on the task loss."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from netalike import data
from netalike.errors import NetalikeError, ShapeError
from netalike.networks.evaluation import Evaluation, check_logits
from netalike.networks.running import eval_mode, fast_layout
from netalike.progress import progress as progress_bar
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import check_shapes, resized
from netalike.stitching.targets import linear_cka, needed, target_loss
from netalike.training import checkpoint as checkpoints
from netalike.training import plain
from netalike.training.settings import learning_rate

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.stitching.splitting import Split
    from netalike.stitching.transform import StitchingLayer

MEMORY_GB = 2.0
_TEST_BATCH = 500
_PARTS = ("front", "end", "front_logits", "end_logits")


@dataclass
class History(plain.History):
    """What happened, epoch by epoch, and the weights on the way.

    Attributes
    ----------
    train_loss : list of float
        What is minimised, regularisers included; mean over the images of the epoch while the weights change.
    test_loss : list of float
        The loss of the target (hard or soft) alone, over every test image after the epoch.
    train_accuracy, test_accuracy, learning_rate : list of float
    snapshots : dict of int to (weight, bias)
        Copies on the CPU by number of steps: the first at 0, the last after training. The weight is the effective one:
        masked, or the product of the factors.
    """

    snapshots: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False)

    def curves(self) -> dict[str, list[float]]:
        """Return the numbers by name, one list per quantity with one entry per epoch."""
        return {entry.name: getattr(self, entry.name) for entry in fields(plain.History)}

    def rows(self) -> list[dict[str, float]]:
        """Return one dictionary per epoch, with `epoch` counted from 1."""
        return [
            {"epoch": epoch + 1, **{key: values[epoch] for key, values in self.curves().items()}}
            for epoch in range(len(self))
        ]

    @property
    def before(self) -> tuple[Tensor, Tensor]:
        """Weight and bias before the first step."""
        return self.snapshots[min(self.snapshots)]

    @property
    def after(self) -> tuple[Tensor, Tensor]:
        """Weight and bias after the last step."""
        return self.snapshots[max(self.snapshots)]


@dataclass(frozen=True)
class Batch:
    """What the two frozen networks make of some images, as far as a stitch needs it.

    Attributes
    ----------
    labels : Tensor, int64, shape (n,)
    front : Tensor, shape (n, C1, h, w) or (n, C1)
        What the stitching layer is given.
    end : Tensor or None
        The end network's own activation at its layer.
    front_logits, end_logits : Tensor or None, shape (n, classes)
        Of the two networks as they are.
    """

    labels: Tensor
    front: Tensor
    end: Tensor | None = None
    front_logits: Tensor | None = None
    end_logits: Tensor | None = None


class Pair:
    """Two frozen networks that look at images together, without gradients and without work that nobody asked for.

    Parameters
    ----------
    front, end : Split
        Their networks on the device, in eval mode: inside `frozen`.
    wanted : set of str
        Of "end", "front_logits", "end_logits"; "front" always comes.
    device : torch.device
    layouts : tuple of torch.memory_format
        In which the inputs of the two networks have to come; from `frozen`.
    resize : bool
        Whether maps of another height and width are resized (bilinear) to the end layer's.
    """

    def __init__(
        self,
        front: Split,
        end: Split,
        wanted: frozenset[str],
        device: torch.device,
        layouts: tuple[torch.memory_format, torch.memory_format],
        resize: bool = False,
    ) -> None:
        self.front, self.end, self.wanted, self.device, self.layouts = front, end, wanted, device, layouts
        self.resize = resize
        self._shape: tuple[int, ...] | None = None  # of the end layer's output for one image

    @torch.no_grad()
    def look(self, inputs: Tensor, labels: Tensor) -> Batch:
        """Run both networks as far as is needed.

        Parameters
        ----------
        inputs : Tensor, float32, shape (n, channels, size, size)
        labels : Tensor, int64, shape (n,)

        Returns
        -------
        Batch
            On the device.
        """
        first = self.front.head(inputs.to(self.device, memory_format=self.layouts[0]))
        own = None
        if self.wanted & {"end", "end_logits"} or (self.resize and self._shape is None):
            own = self.end.head(inputs.to(self.device, memory_format=self.layouts[1]))
            self._shape = tuple(own.shape[1:])
        return Batch(
            labels=labels.to(self.device),
            front=resized(first, self._shape) if self.resize and self._shape is not None else first,
            end=own if "end" in self.wanted else None,
            front_logits=self.front.tail(first) if "front_logits" in self.wanted else None,
            end_logits=self.end.tail(own) if own is not None and "end_logits" in self.wanted else None,
        )

    def batch(self, front: Tensor, end: Tensor, labels: Tensor, front_logits: Tensor, end_logits: Tensor) -> Batch:
        """Make a batch of what both networks gave at these layers when they ran whole; all parts, on the device."""
        fitting = resized(front, tuple(end.shape[1:])) if self.resize else front
        return Batch(labels.to(self.device), fitting, end, front_logits, end_logits)

    def stitched(self, layer: StitchingLayer, batch: Batch) -> tuple[Tensor, Tensor]:
        """Run the stitching layer and the end network behind it; gradients flow back to the stitching layer alone.

        Returns
        -------
        activation : Tensor
            What the stitching layer puts in the place of the end network's activation.
        logits : Tensor, shape (n, classes)
        """
        activation = layer(batch.front)
        if activation.ndim == 4:  # a network from outside may need its own layout
            activation = activation.contiguous(memory_format=self.layouts[1])
        return activation, self.end.tail(activation)


class Recording:
    """A set's batches, computed once and kept.

    Parameters
    ----------
    kept : dict of str to Tensor
        By part of `Batch`, float32 on the CPU; maps lie channels last.
    labels : Tensor, int64, shape (n,)
    device : torch.device
    """

    def __init__(self, kept: dict[str, Tensor], labels: Tensor, device: torch.device) -> None:
        self._kept, self._labels, self._device = kept, labels, device

    def batch(self, rows: Tensor) -> Batch:
        """Return the images at some positions of the set as one batch on the device."""
        parts = {name: _channels_second(values[rows]).to(self._device) for name, values in self._kept.items()}
        return Batch(labels=self._labels[rows].to(self._device), **parts)

    def only(self, parts: Collection[str]) -> Recording:
        """Return the same recording of some of its parts; nothing is copied."""
        return Recording({name: self._kept[name] for name in parts}, self._labels, self._device)

    @property
    def bytes(self) -> int:
        """How much memory is taken."""
        return sum(values.nbytes for values in self._kept.values())


def record(pair: Pair, images: ImageSet, limit: float, batch_size: int) -> Recording | None:
    """Compute once what the networks make of every image of a set, if it fits.

    Parameters
    ----------
    pair : Pair
    images : ImageSet
        n images, under the test transform.
    limit : float
        Bytes.
    batch_size : int

    Returns
    -------
    Recording or None
        None if it would take more than the limit.
    """
    n = len(images)
    one = _stored(pair.look(images.inputs(0, 1), images.labels[:1]))
    if n * sum(values.nbytes for values in one.values()) > limit:
        return None
    kept = {name: torch.empty(n, *values.shape[1:], dtype=values.dtype) for name, values in one.items()}
    for start in range(0, n, batch_size):
        part = slice(start, start + batch_size)
        for name, values in _stored(pair.look(images.inputs(part.start, part.stop), images.labels[part])).items():
            kept[name][part] = values
    return Recording(kept, images.labels, pair.device)


def _stored(batch: Batch) -> dict[str, Tensor]:
    parts = {name: getattr(batch, name) for name in _PARTS}
    return {
        name: values.permute(0, 2, 3, 1) if values.ndim == 4 else values
        for name, values in parts.items()
        if values is not None
    }


def _channels_second(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2) if values.ndim == 4 else values


@contextmanager
def frozen(front: Split, end: Split, device: torch.device) -> Iterator[tuple[torch.memory_format, torch.memory_format]]:
    """Put two networks on a device, in eval mode and without gradients, and into their own state afterwards.

    Parameters
    ----------
    front, end : Split
        May be of one network.
    device : torch.device

    Yields
    ------
    tuple of torch.memory_format
        In which the inputs of the front and of the end network have to come.
    """
    with ExitStack() as stack:
        for model in (front.model, end.model):
            model.to(device)
            stack.enter_context(eval_mode(model))
            stack.enter_context(_without_gradients(model))
        first, second = (stack.enter_context(fast_layout(model, device)) for model in (front.model, end.model))
        yield first, second


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def wanted_parts(settings: Settings) -> frozenset[str]:
    """Name the parts of a `Batch` that a training step needs beside "front"."""
    logits = {f"{name}_logits" for name in needed(settings.target)}
    return frozenset(logits | ({"end"} if settings.cka_reg else set()))


def objective(pair: Pair, layer: StitchingLayer, batch: Batch, settings: Settings) -> tuple[Tensor, Tensor]:
    """Compute what is minimised.

    Parameters
    ----------
    pair : Pair
    layer : StitchingLayer
    batch : Batch
        With the parts of `wanted_parts`.
    settings : Settings

    Returns
    -------
    loss : Tensor, scalar
        The target's loss + l1 * mean |W| + cka_reg * linear CKA(the end network's own activation, the stitched one).
    logits : Tensor, shape (n, classes)
    """
    activation, logits = pair.stitched(layer, batch)
    loss = _target_loss(logits, batch, settings)
    if settings.l1:
        loss = loss + settings.l1 * layer.weight.abs().mean()
    if settings.cka_reg:
        loss = loss + settings.cka_reg * linear_cka(cast(Tensor, batch.end), activation)
    return loss, logits


def _target_loss(logits: Tensor, batch: Batch, settings: Settings) -> Tensor:
    return target_loss(
        logits, batch.labels, settings.target, settings.temperature, batch.front_logits, batch.end_logits
    )


def train_stitch(
    front: Split,
    end: Split,
    layer: StitchingLayer,
    train_set: ImageSet,
    test_set: ImageSet,
    settings: Settings,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    progress: bool | None = None,
    resize: bool = False,
    memory_gb: float = MEMORY_GB,
    keep_checkpoint: bool = True,
    recorded: Recording | None = None,
) -> History:
    """Train a stitching layer in place, between two networks that stay as they are.

    Parameters
    ----------
    front, end : Split
        Network 1 up to its layer, and network 2 from its layer on. Both run in eval mode, so that batch norm uses its
        stored statistics, and only the stitching layer has gradients; their modes are put back.
    layer : StitchingLayer
        Its weights are the initialisation.
    train_set, test_set : ImageSet
    settings : Settings
    device : str or torch.device
    checkpoint : Path, optional
        Written every `settings.save_every` epochs and after the last; where the file exists, training goes on from
        it, to the same weights, bit for bit, as without the interruption.
    progress : bool, optional
        Whether to show a progress bar on stderr; None shows one where stderr is a terminal.
    resize : bool
        Resize the front activation (bilinear) to the end layer's height and width.
    memory_gb : float
        What the frozen networks make of the images is computed once and kept, where it does not change (the test
        images; the training images without augmentation) and fits into this many 10^9 bytes; else anew each epoch.
    keep_checkpoint : bool
        False removes the checkpoint after the last epoch.
    recorded : Recording, optional
        Of the training images, from `record_pair`, with all parts that the settings need: several trainings at one
        place then share it. The images must not be augmented.

    Returns
    -------
    History
        Of all epochs, also those before an interruption, with snapshots of the weights before the first step, every
        `settings.save_frequency` * `settings.epochs` steps, and after the last.

    Raises
    ------
    NetalikeError
        If there are fewer training images than one batch, if the loss stops being finite, or if the checkpoint is of
        another training.
    ShapeError
        If the stitching layer does not fit between the two layers, or the logits do not fit the labels.
    BadFileError
        If the checkpoint is damaged.

    Notes
    -----
    Csiszarik et al. (2021), the published code: Adam or Nesterov SGD, a tenth of the learning rate after 1/3 and 2/3,
    the last short batch left out. That code runs both networks whole; here a step costs the front network up to its
    layer (nothing, where it was kept) and the end network from its layer on, there and back.
    """
    device = torch.device(device)
    layer.to(device)
    with frozen(front, end, device) as layouts, plain.reproducible(device):
        pair = Pair(front, end, wanted_parts(settings), device, layouts, resize)
        _check_fit(pair, layer, train_set, settings)
        run = _prepare(pair, layer, train_set, test_set, settings, memory_gb * 1e9, recorded)
        history = _resumable(run, checkpoint, progress)
    if checkpoint is not None and not keep_checkpoint:
        checkpoint.unlink(missing_ok=True)
    layer.eval()
    return history


def record_pair(
    front: Split,
    end: Split,
    images: ImageSet,
    parts: Collection[str] = (),
    device: str | torch.device = "cpu",
    memory_gb: float = MEMORY_GB,
    batch_size: int = _TEST_BATCH,
) -> Recording | None:
    """Compute once what two networks make of images at a place, for several trainings there.

    Parameters
    ----------
    front, end : Split
    images : ImageSet
        n images, under the test transform.
    parts : collection of str
        Beside what the stitching layer is given: of "end", "front_logits", "end_logits"; see `wanted_parts`.
    device : str or torch.device
    memory_gb : float
    batch_size : int
        Only speed depends on it.

    Returns
    -------
    Recording or None
        None if it would take more than so many 10^9 bytes.
    """
    device = torch.device(device)
    with frozen(front, end, device) as layouts, plain.reproducible(device):
        pair = Pair(front, end, frozenset(parts), device, layouts)
        return record(pair, images, memory_gb * 1e9, batch_size)


def _prepare(
    pair: Pair,
    layer: StitchingLayer,
    train_set: ImageSet,
    test_set: ImageSet,
    settings: Settings,
    limit: float,
    recorded: Recording | None,
) -> _Run:
    optimizer = plain.make_optimizer(layer, settings)
    if len(test_set) == 0:
        raise NetalikeError(f"{test_set.name} ({test_set.split}) has no images to evaluate on.")
    changing = settings.augment and train_set.spec.augmentation != "none"
    if recorded is not None and not changing:
        trained: Recording | None = recorded.only({"front", *pair.wanted})
    else:
        trained = None if changing else record(pair, train_set, limit, settings.batch_size)
    # The CKA regulariser is of training batches.
    test_pair = Pair(pair.front, pair.end, pair.wanted - {"end"}, pair.device, pair.layouts, pair.resize)
    left = limit - (trained.bytes if trained is not None else 0)
    tested = record(test_pair, test_set, left, _TEST_BATCH)
    return _Run(pair, test_pair, layer, optimizer, train_set, test_set, settings, trained, tested)


def _resumable(run: _Run, checkpoint: Path | None, progress: bool | None) -> History:
    settings, history = run.settings, History()
    identity = run.identity()
    history.snapshots[0] = run.layer.snapshot()
    stored = _Stored(run.layer, history.snapshots)
    if checkpoint is not None and checkpoint.is_file():
        curves = checkpoints.read(checkpoint, stored, run.optimizer, identity).history
        history = replace(history, **cast(dict[str, Any], curves))
    bar = progress_bar(
        range(0), "stitching", run.steps * settings.epochs, progress, begun=run.steps * len(history), unit="step"
    )
    with bar:
        for epoch in range(len(history), settings.epochs):
            trained = run.epoch(epoch, history.snapshots, bar)
            plain.append_epoch(history, learning_rate(settings, epoch), trained, run.test())
            bar.set_postfix(epoch=f"{epoch + 1}/{settings.epochs}", test_accuracy=f"{history.test_accuracy[-1]:.4f}")
            if checkpoint is not None and ((epoch + 1) % settings.save_every == 0 or epoch + 1 == settings.epochs):
                state = checkpoints.State(epoch + 1, identity, history.curves())
                checkpoints.write(checkpoint, stored, run.optimizer, state)
    return history


@dataclass(frozen=True)
class _Run:
    pair: Pair
    test_pair: Pair
    layer: StitchingLayer
    optimizer: torch.optim.Optimizer
    train_set: ImageSet
    test_set: ImageSet
    settings: Settings
    trained: Recording | None
    tested: Recording | None

    @property
    def steps(self) -> int:
        return len(self.train_set) // self.settings.batch_size

    def epoch(self, epoch: int, snapshots: dict[int, tuple[Tensor, Tensor]], bar: tqdm[Any]) -> Evaluation:
        """Run one pass over the training images."""
        rate = learning_rate(self.settings, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses: list[Tensor] = []
        correct = torch.zeros((), dtype=torch.int64, device=self.pair.device)
        for batch in self._batches(epoch):
            loss, right = self.step(batch)
            losses.append(loss)
            correct += right
            bar.update()
            if len(losses) % plain.STEPS_BETWEEN_LOOKS == 0 or len(losses) == self.steps:
                plain.stop_unless_finite(losses, epoch, rate)
            self._note(epoch * self.steps + len(losses), snapshots)
        n = self.steps * self.settings.batch_size
        return Evaluation(int(correct) / n, float(torch.stack(losses).double().mean()), n)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Take one step; return the loss and the number of images that were right before it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, logits = objective(self.pair, self.layer, batch, self.settings)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == batch.labels).sum()

    def _batches(self, epoch: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(plain.epoch_seed(self.settings.seed, epoch, plain.BATCHES))
        size = self.settings.batch_size
        if self.trained is not None:  # in the order of data.training_batches
            order = torch.randperm(len(self.train_set), generator=generator)
            yield from (self.trained.batch(rows) for rows in order[: self.steps * size].split(size))  # type: ignore[no-untyped-call]
            return
        drawn = data.training_batches(self.train_set, size, generator, self.settings.augment, drop_last=True)
        yield from (self.pair.look(inputs, labels) for inputs, labels in drawn)

    def _note(self, step: int, snapshots: dict[int, tuple[Tensor, Tensor]]) -> None:
        if (
            step % (self.settings.save_frequency * self.settings.epochs) == 0
            or step == self.steps * self.settings.epochs
        ):
            snapshots[step] = self.layer.snapshot()

    @torch.no_grad()
    def test(self) -> Evaluation:
        """Measure the target's loss and the accuracy over every test image."""
        correct, loss = 0, 0.0
        for batch in self._test_batches():
            _, logits = self.test_pair.stitched(self.layer, batch)
            correct += int((logits.argmax(1) == batch.labels).sum())
            loss += float(_target_loss(logits.double(), batch, self.settings)) * len(logits)
        return Evaluation(correct / len(self.test_set), loss / len(self.test_set), len(self.test_set))

    def _test_batches(self) -> Iterator[Batch]:
        if self.tested is not None:
            return (self.tested.batch(rows) for rows in torch.arange(len(self.test_set)).split(_TEST_BATCH))  # type: ignore[no-untyped-call]
        return (self.test_pair.look(*batch) for batch in data.batches(self.test_set, _TEST_BATCH))

    def identity(self) -> dict[str, Any]:
        """What a checkpoint belongs to."""
        splits = {"front": self.pair.front, "end": self.pair.end}
        told: dict[str, Any] = self.settings.model_dump(mode="json", exclude={"save_every"})
        for name, split in splits.items():
            weights = checkpoints.digest(split.model.state_dict())[:12]
            architecture = getattr(split.model, "architecture", type(split.model).__name__)
            told[f"{name} network"] = f"{architecture}, layer {split.layer}, SHA-256 {weights}"
        return told | {
            "resize": self.pair.resize,
            "training data": f"{self.train_set.name}, SHA-256 {self.train_set.fingerprint()[:12]}",
            "test data": f"{self.test_set.name}, SHA-256 {self.test_set.fingerprint()[:12]}",
            "initial weights": f"SHA-256 {checkpoints.digest(self.layer.state_dict())[:12]}",
        }


class _Stored(nn.Module):
    """The stitching layer and the snapshots of its weights, as a checkpoint stores them."""

    def __init__(self, layer: nn.Module, snapshots: dict[int, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.layer, self.snapshots = layer, snapshots

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        tensors: dict[str, Tensor] = {f"layer.{key}": value for key, value in self.layer.state_dict().items()}
        for step, (weight, bias) in self.snapshots.items():
            tensors |= {f"snapshot.{step}.weight": weight, f"snapshot.{step}.bias": bias}
        return tensors

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        for key, weight in state_dict.items():
            if key.startswith("snapshot.") and key.endswith(".weight"):
                step = int(key.split(".")[1])
                self.snapshots[step] = (weight, state_dict[f"snapshot.{step}.bias"])
        layer = {key.removeprefix("layer."): value for key, value in state_dict.items() if key.startswith("layer.")}
        return self.layer.load_state_dict(layer, strict, assign)


def _check_fit(pair: Pair, layer: StitchingLayer, train_set: ImageSet, settings: Settings) -> None:
    if settings.batch_size > len(train_set):
        raise NetalikeError(
            f"{train_set.name} ({train_set.split}) has {len(train_set)} images, fewer than one batch of "
            f"{settings.batch_size}: choose a smaller batch size, or more images."
        )
    count = min(settings.batch_size, 32)
    whole = Pair(pair.front, pair.end, pair.wanted | {"end"}, pair.device, pair.layouts, pair.resize)
    batch = whole.look(train_set.inputs(0, count), train_set.labels[:count])
    check_layer(layer, batch)
    with torch.no_grad():
        activation, logits = pair.stitched(layer, batch)
    check_logits(logits, train_set.labels)
    if settings.cka_reg and not bool(torch.isfinite(linear_cka(cast(Tensor, batch.end), activation))):
        raise NetalikeError(
            f"the CKA regularisation is undefined for the first {count} images: an activation at layer "
            f"{pair.end.layer} is the same for all of them. Use larger batches, another initialisation, or cka_reg 0."
        )


def check_layer(layer: StitchingLayer, batch: Batch) -> None:
    """Raise `ShapeError` unless a stitching layer maps the front activation to the shape of the end network's.

    Parameters
    ----------
    layer : StitchingLayer
    batch : Batch
        With the part "end".
    """
    wanted = tuple(cast(Tensor, batch.end).shape[1:])
    check_shapes(tuple(batch.front.shape[1:]), wanted, resize=False, flatten=layer.kind == "flatten")
    with torch.no_grad():
        got = tuple(layer(batch.front).shape[1:])
    if got != wanted:
        raise ShapeError(
            f"the stitching layer makes {got} of a front activation of shape {tuple(batch.front.shape[1:])}, but the "
            f"end layer has {wanted}: build the stitching layer for these two layers."
        )
