"""Train a double U-Net to bring displaced polygons back: the loss, the step, and checkpoints to go on from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from netalike.data.scenes import Scene
from netalike.networks.double_unet import HEADS, Widths, displacement_only, double_unet
from netalike.networks.keras_weights import read_arrays, set_all, set_variables, variables_of, write_arrays
from netalike.progress import progress
from netalike.training.fused_adam import FusedAdam
from netalike.training.map_patches import BORDER, Batch, PatchMaker
from netalike.training.map_settings import MapTraining, learning_rate, level_coefficients

# of the displacement's error: fill, edge, vertex
_POLYGON_WEIGHTS = {"published": (0.1, 1.0, 10.0), "even": (1.0, 1.0, 1.0)}
# of the segmentation's error: background, fill, edge, vertex
_CLASS_WEIGHTS = {"published": (0.05, 0.1, 1.0, 10.0), "even": (1.0, 1.0, 1.0, 1.0)}
LOSSES = ("total", "displacement", "zero_displacement", "segmentation", "buildings")
_FORMAT = "netalike map training 1"


@dataclass
class MapHistory:
    """The losses of every training step.

    Attributes
    ----------
    total : list of float
        What was minimised.
    displacement, zero_displacement : list of float
        Weighted mean squared error of the prediction, and of predicting no displacement, in units of (8 pixels)^2.
    segmentation : list of float
        Of full resolution, without its weight.
    buildings : list of float
        Mean squared error of each building's mean displacement, in units of (8 pixels)^2, without its weight; 0 if it
        has none.
    """

    total: list[float] = field(default_factory=list)
    displacement: list[float] = field(default_factory=list)
    zero_displacement: list[float] = field(default_factory=list)
    segmentation: list[float] = field(default_factory=list)
    buildings: list[float] = field(default_factory=list)

    def add(self, losses: Sequence[float]) -> None:
        """Append one step, in the order of `LOSSES`."""
        for name, value in zip(LOSSES, losses, strict=True):
            getattr(self, name).append(float(value))


def prepare_tensorflow(threads: int = 1) -> None:
    """Make TensorFlow give the same bits for the same seed, on so many threads; call it before anything else.

    Parameters
    ----------
    threads : int
        Jobs run side by side: each keeps to its own.

    Notes
    -----
    Results are equal bit for bit for one number of threads. Nothing happens to the threads once TensorFlow runs.
    """
    tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow runs already, as in a notebook
        print(f"TensorFlow was already running: its threads stay as they are, not {threads}.")


# ---- the loss --------------------------------------------------------------------------------------------------------


def pixel_weights(polygons: Any, kind: str = "published") -> Any:
    """Weigh the pixels of the input polygons.

    Parameters
    ----------
    polygons : tensor, shape (b, o, o, 3)
        Fill, edges and vertices of the input, where the output is.
    kind : {"published", "even"}

    Returns
    -------
    tensor, shape (b, o, o)
        0.1 fill + 1 edge + 10 vertex (published), or all alike, each channel divided by its sum over the patch.
    """
    sums = tf.reduce_sum(polygons, axis=(1, 2), keepdims=True)
    return tf.reduce_sum(tf.math.divide_no_nan(polygons, sums) * tf.constant(_POLYGON_WEIGHTS[kind]), axis=-1)


def displacement_losses(predicted: Any, wanted: Any, weights: Any) -> Any:
    """Return the weighted mean squared length of the errors of each level.

    Parameters
    ----------
    predicted : tensor, shape (b, 3, o, o, 2)
    wanted : tensor, shape (b, o, o, 2)
    weights : tensor, shape (b, o, o)

    Returns
    -------
    tensor, shape (3,)
        0 where no pixel has a weight.
    """
    squares = tf.reduce_sum(tf.square(predicted - wanted[:, None]), axis=-1)  # (b, 3, o, o)
    return tf.math.divide_no_nan(tf.reduce_sum(squares * weights[:, None], axis=(0, 2, 3)), tf.reduce_sum(weights))


def building_loss(predicted: Any, wanted: Any, buildings: Any) -> Any:
    """Return the mean squared length of the errors of whole buildings.

    Parameters
    ----------
    predicted, wanted : tensor, shape (b, o, o, 2)
    buildings : tensor of int32, shape (b, o, o)
        What building each pixel is an edge of, from 1 in each patch; 0 for none.

    Returns
    -------
    tensor, shape ()
        The error of a building is the mean of its pixels' errors. Buildings that reach the border of the output are
        left out; 0 if there is no other.
    """
    most = tf.reduce_max(buildings) + 1
    patches = tf.shape(buildings)[0]
    numbers = tf.reshape(buildings + most * tf.range(patches)[:, None, None], [-1])
    inner = tf.pad(tf.ones_like(buildings[:, 1:-1, 1:-1]), ((0, 0), (1, 1), (1, 1)))
    told = [tf.ones_like(predicted[..., :1]), tf.cast(1 - inner, predicted.dtype)[..., None], predicted - wanted]
    sums = tf.math.unsorted_segment_sum(tf.reshape(tf.concat(told, axis=-1), [-1, 4]), numbers, most * patches)
    sums = tf.reshape(sums, [patches, most, 4])[:, 1:]
    whole = tf.cast((sums[..., 0] > 0) & (sums[..., 1] == 0), predicted.dtype)
    squares = tf.reduce_sum(tf.square(tf.math.divide_no_nan(sums[..., 2:], sums[..., :1])), axis=-1)
    return tf.math.divide_no_nan(tf.reduce_sum(squares * whole), tf.reduce_sum(whole))


def segmentation_losses(logits: Any, wanted: Any, kind: str = "published") -> Any:
    """Return the weighted sigmoid cross-entropy of each level, averaged over pixels and classes.

    Parameters
    ----------
    logits : tensor, shape (b, 3, o, o, 4)
        Of background, fill, edge and vertex.
    wanted : tensor, shape (b, o, o, 3)
        Fill, edge and vertex; the background is the product of what each leaves.
    kind : {"published", "even"}
        Weights of the classes: 0.05, 0.1, 1 and 10, or all 1.

    Returns
    -------
    tensor, shape (3,)
    """
    background = tf.reduce_prod(1.0 - wanted, axis=-1, keepdims=True)
    classes = tf.broadcast_to(tf.concat([background, wanted], axis=-1)[:, None], tf.shape(logits))
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(classes, logits) * tf.constant(_CLASS_WEIGHTS[kind])
    return tf.reduce_mean(entropy, axis=(0, 2, 3, 4))


# ---- the training ----------------------------------------------------------------------------------------------------


class MapTrainer:
    """A network, its optimiser, and the step that is compiled once, for one training after the other.

    Parameters
    ----------
    settings : MapTraining
    widths : Widths, optional
        The paper's when left out.
    """

    def __init__(self, settings: MapTraining, widths: Widths | None = None) -> None:
        self.settings, self.widths = settings, widths or Widths()
        self.model = model = double_unet(self.widths)
        self.segments = settings.segmentation_weight > 0
        # without a weight the segmentation branch is not even computed
        self.trained = model if self.segments else displacement_only(model)
        self.variables = self.trained.trainable_variables
        self.optimizer = FusedAdam(self.variables)
        self._update = tf.function(self._losses_of_update)

    def begin(self, seed: int, fresh: bool = True) -> None:
        """Give the network the initial weights of a seed, if it is to be fresh; forget what the optimiser knew."""
        if fresh:
            set_all(self.model.variables, [variable.numpy() for variable in double_unet(self.widths, seed).variables])
        self.optimizer.reset()

    def step(self, number: int, batch: Batch, rate: float | None = None) -> list[float]:
        """Train on one batch, with a learning rate or that of the settings; return losses in the order of `LOSSES`."""
        now = tf.constant(learning_rate(self.settings, number) if rate is None else rate, tf.float32)
        coefficients = tf.constant(level_coefficients(self.settings, number), tf.float32)
        losses = self._update(*(tf.constant(part) for part in batch), coefficients, now)
        return [float(loss) for loss in losses.numpy()]

    def _losses_of_update(
        self, image: Any, polygons: Any, wanted: Any, classes: Any, buildings: Any, coefficients: Any, rate: Any
    ) -> Any:
        kind = self.settings.pixel_weights
        weights = pixel_weights(polygons[:, BORDER:-BORDER, BORDER:-BORDER], kind)
        with tf.GradientTape() as tape:
            outputs = self.trained({"image": image, "polygons": polygons}, training=True)
            predicted = outputs["displacement"] if self.segments else outputs
            moved = displacement_losses(predicted, wanted, weights)
            named = segmentation_losses(outputs["segmentation"], classes, kind) if self.segments else tf.zeros(HEADS)
            whole = building_loss(predicted[:, 0], wanted, buildings) if self.settings.building_weight else 0.0
            total = self.settings.displacement_weight * tf.reduce_sum(coefficients * moved)
            total += self.settings.building_weight * whole
            total += self.settings.segmentation_weight * tf.reduce_sum(coefficients * named)
        self._move(tape.gradient(total, self.variables, unconnected_gradients=tf.UnconnectedGradients.ZERO), rate)
        still = displacement_losses(tf.zeros_like(predicted[:, :1]), wanted, weights)
        return tf.stack([total, moved[0], still[0], named[0], whole])

    def _move(self, gradients: Sequence[Any], rate: Any) -> None:
        if self.settings.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.settings.clip_norm)
        if self.settings.weight_decay:
            for weight in self.optimizer.weights:
                weight.assign_sub(weight * self.settings.weight_decay * rate)
        self.optimizer.apply(gradients, rate)


def train_map_alignment(
    scenes: Sequence[Scene],
    settings: MapTraining,
    widths: Widths | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    title: str = "Training",
    trainer: MapTrainer | None = None,
    fresh: bool = True,
) -> tuple[Any, MapHistory]:
    """Train a double U-Net on the labels of scenes, or go on with a training that was cut off.

    Parameters
    ----------
    scenes : sequence of Scene
        Their `labels` are learned from, their true `polygons` are not read.
    settings : MapTraining
    widths : Widths, optional
        The paper's when left out.
    seed : int
        Of the initial weights and of the patches.
    checkpoint : path, optional
        A safetensors file, written every `save_every` steps and at the end; if it is there, the training goes on from
        it, with the same result as without the break.
    title : str
        Of the progress bar.
    trainer : MapTrainer, optional
        With the same widths, and settings that differ in the learning rate at most: saves compiling the step again,
        but its network is overwritten.
    fresh : bool
        False goes on from the weights that the network of the trainer has, with an optimiser that knows nothing.

    Returns
    -------
    model : keras.Model
        The network of the trainer, if one was given.
    history : MapHistory

    Raises
    ------
    NetalikeError
        If no scene has a label, or the checkpoint is of another training.
    BadFileError
        If the checkpoint is damaged.

    Notes
    -----
    Loss of the published code (Charpiat et al. 2019), see `displacement_losses` and `segmentation_losses`; the
    coefficients of the levels follow `level_coefficients`.
    """
    maker = PatchMaker(scenes, settings, seed)
    trainer = trainer or MapTrainer(settings, widths)
    trainer.begin(seed, fresh)
    history = MapHistory()
    path = Path(checkpoint) if checkpoint else None
    identity = training_identity(scenes, settings, trainer.widths, seed)
    if path is not None and path.exists():
        _restore(path, trainer, history, identity)
    begun = len(history.total)
    for number in progress(range(begun, settings.steps), title, total=settings.steps, begun=begun, unit="step"):
        history.add(trainer.step(number, maker.batch(number), learning_rate(settings, number)))
        done = number + 1
        if path is not None and (done % settings.save_every == 0 or done == settings.steps):
            _save(path, trainer, history, identity)
    return trainer.model, history


def training_identity(scenes: Sequence[Scene], settings: MapTraining, widths: Widths, seed: int) -> dict[str, Any]:
    """Say what a training is of, so that a checkpoint is not continued with another one.

    Parameters
    ----------
    scenes : sequence of Scene
    settings : MapTraining
    widths : Widths
    seed : int

    Returns
    -------
    dict
        For JSON; images and labels enter by a digest.
    """
    sha = hashlib.sha256()
    for scene in scenes:
        sha.update(f"{scene.name} {scene.image.shape}".encode() + np.ascontiguousarray(scene.image).tobytes())
        for label in scene.labels:
            sha.update(np.ascontiguousarray(label, np.float64).tobytes())
    # how often it is saved, and what is done with the trained network, is no part of the training
    kept = settings.model_dump(exclude={"save_every", "passes", "moves"})
    return {"settings": kept, "widths": asdict(widths), "seed": seed, "scenes": sha.hexdigest()}


def _save(path: Path, trainer: MapTrainer, history: MapHistory, identity: dict[str, Any]) -> None:
    arrays = variables_of(trainer.model.variables, "model")
    arrays |= variables_of(trainer.optimizer.variables, "optimizer")
    arrays |= {f"history/{name}": np.array(getattr(history, name)) for name in LOSSES}
    write_arrays(path, arrays, {"format": _FORMAT, "identity": identity})


def _restore(path: Path, trainer: MapTrainer, history: MapHistory, identity: dict[str, Any]) -> None:
    arrays: dict[str, NDArray[Any]] = read_arrays(path, _FORMAT, identity)
    set_variables(trainer.model.variables, arrays, "model", path)
    set_variables(trainer.optimizer.variables, arrays, "optimizer", path)
    for name in LOSSES:
        setattr(history, name, arrays[f"history/{name}"].tolist())
