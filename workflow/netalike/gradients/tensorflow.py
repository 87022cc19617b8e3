"""Per-sample gradients of a Keras model in TensorFlow: what `per_sample` gives for PyTorch, block by block.

Parameters are ordered as `model.trainable_variables`, each flattened row by row, see `variable_order`. A kernel of
Keras is (inputs, outputs) or (height, width, inputs, outputs), a weight of PyTorch (outputs, inputs, height, width):
equal networks have equal gradients in another order, and the same similarities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from netalike.errors import NetalikeError, ShapeError, unknown_name

# what the model returns for a batch -> its outputs, (b, d)
Outputs = Callable[[Any], Any]
OUTPUTS = ("logits", "true-class", "sum")


class Variable(NamedTuple):
    """Where one variable lies in a flattened gradient: entries start to stop, of this shape."""

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


def variable_order(model: Any, variables: Sequence[Any] | None = None) -> list[Variable]:
    """Say which entries of a gradient belong to which variable.

    Parameters
    ----------
    model : keras.Model
        That was built.
    variables : sequence of variables, optional
        Those of the gradient; ``model.trainable_variables`` unless given.

    Returns
    -------
    list of Variable
        In order, without gaps.

    Raises
    ------
    NetalikeError
        If there is no variable: a model has none before it was built or called.
    """
    found: list[Variable] = []
    for variable in _variables(model, variables):
        shape = tuple(int(size) for size in variable.shape)
        start = found[-1].stop if found else 0
        found.append(Variable(getattr(variable, "path", variable.name), shape, start, start + int(np.prod(shape))))
    return found


def per_sample_gradients(
    model: Any,
    inputs: Any,
    outputs: str | Outputs = "logits",
    labels: ArrayLike | None = None,
    chunk: int = 32,
    variables: Sequence[Any] | None = None,
) -> NDArray[np.float32]:
    """Compute the gradient of each output of each sample with respect to all parameters.

    Parameters
    ----------
    model, inputs, outputs, labels, chunk, variables
        As of `gradient_batches`.

    Returns
    -------
    array, float32, shape (n, p, d)
        n p d numbers of 4 bytes: `gradient_batches` holds one chunk at a time.

    Raises
    ------
    NetalikeError, ShapeError, UnknownNameError
        As `gradient_batches`.
    """
    return np.concatenate(list(gradient_batches(model, inputs, outputs, labels, chunk, variables)))


def gradient_batches(
    model: Any,
    inputs: Any,
    outputs: str | Outputs = "logits",
    labels: ArrayLike | None = None,
    chunk: int = 32,
    variables: Sequence[Any] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Compute per-sample gradients chunk by chunk, so that one chunk is in memory at a time.

    Parameters
    ----------
    model : keras.Model
        Called with ``training=False``: batch normalisation uses its running statistics and dropout does nothing, so
        that each sample has a gradient of its own.
    inputs : array or tensor, shape (n, ...), or list or tuple of them
        As the model takes them; a list for several inputs.
    outputs : {"logits", "true-class", "sum"} or callable
        All d outputs of the model, (n, d); the one of the label; their sum; or a function from what the model returns
        for a batch to (b, d), for example one that takes the centre pixel of a displacement map.
    labels : int array, shape (n,), optional
        For ``true-class``.
    chunk : int
        Samples at a time: memory grows with it, not with n.
    variables : sequence of variables, optional
        Gradients with respect to these; ``model.trainable_variables`` unless given. One that the outputs do not
        depend on gets zeros.

    Yields
    ------
    array, float32, shape (b, p, d)
        In the order of the samples. d backward passes each.

    Raises
    ------
    NetalikeError
        If the model has no variables, labels are missing, or Keras runs on another framework.
    ShapeError
        If inputs or labels differ in number, or the outputs are no (b, d) matrix.
    UnknownNameError
        If there is no such choice of outputs.
    """
    _check_backend()
    parts = [tf.convert_to_tensor(part) for part in (inputs if isinstance(inputs, list | tuple) else [inputs])]
    count = _count(parts)
    chosen = _chosen(outputs, labels, count)
    if chunk < 1:
        raise NetalikeError(f"chunk: expected at least 1 sample, got {chunk}.")
    several = len(parts) > 1
    # Once as it is: what is wrong with the outputs is then said plainly, and a model that was not built is now.
    _select(_call(model, [part[0] for part in parts], several), outputs, chosen[0])
    compute = _compiled(model, outputs, _variables(model, variables), several)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, count, chunk):
            rows = range(start, min(start + chunk, count))
            yield np.stack([compute([part[i] for part in parts], chosen[i]).numpy() for i in rows])

    return blocks()


def _check_backend() -> None:
    if keras.backend.backend() != "tensorflow":
        raise NetalikeError(
            f"Keras runs on {keras.backend.backend()}, and these gradients need TensorFlow: "
            "set KERAS_BACKEND=tensorflow before Keras is imported."
        )


def _compiled(model: Any, outputs: str | Outputs, variables: list[Any], several: bool) -> Callable[..., Any]:
    """Make the function from one sample to its gradients, (p, d), and compile it once.

    One sample at a time: TensorFlow's vectorised Jacobian has no batched form of a convolution's weight gradient and
    of bilinear scaling, runs them in a loop of its own, and takes ten times as long to be traced.
    """
    raw = [variable.value if isinstance(variable, keras.Variable) else variable for variable in variables]

    def of_one(parts: list[Any], label: Any) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(raw)
            row = _select(_call(model, parts, several), outputs, label)  # (d,)
            single = tf.unstack(row)
        columns = [_flat_gradient(tape, output, raw) for output in single]
        del tape
        return tf.stack(columns, 1)

    compiled: Callable[..., Any] = tf.function(of_one)
    return compiled


def _flat_gradient(tape: Any, output: Any, variables: list[Any]) -> Any:
    found = tape.gradient(output, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return tf.concat([tf.reshape(tf.cast(part, tf.float32), [-1]) for part in found], 0)  # (p,)


def _call(model: Any, sample: Sequence[Any], several: bool) -> Any:
    batch = [part[None] for part in sample]
    return model(batch if several else batch[0], training=False)


def _select(found: Any, outputs: str | Outputs, label: Any) -> Any:
    """Take the outputs of one sample, (d,), from what the model returned for it."""
    if callable(outputs):
        return _one_row(outputs(found))
    row = _one_row(found)
    if outputs == "logits":
        return row
    return tf.reduce_sum(row, keepdims=True) if outputs == "sum" else tf.gather(row, label)[None]


def _one_row(found: Any) -> Any:
    shape = tuple(getattr(found, "shape", ()))
    if len(shape) != 2 or shape[0] != 1 or shape[1] is None:
        raise ShapeError(
            f"outputs of a batch are a matrix (samples, d) with a known d, got {shape or type(found).__name__}: "
            "give a function that makes one of what the model returns."
        )
    return found[0]


def _variables(model: Any, variables: Sequence[Any] | None) -> list[Any]:
    found = list(model.trainable_variables if variables is None else variables)
    if not found:
        raise NetalikeError(
            f"{getattr(model, 'name', type(model).__name__)} has no trainable variables: build it, or call it once."
        )
    return found


def _count(parts: Sequence[Any]) -> int:
    counts = [int(part.shape[0]) for part in parts]
    if len(set(counts)) != 1 or not counts[0]:
        raise ShapeError(f"the inputs of a model have the same number of samples, at least 1, got {counts}.")
    return counts[0]


def _chosen(outputs: str | Outputs, labels: ArrayLike | None, count: int) -> Any:
    """Check the choice of outputs; return a label per sample, 0 where none is needed."""
    if not callable(outputs) and outputs not in OUTPUTS:
        raise unknown_name("choice of outputs", outputs, OUTPUTS)
    if outputs != "true-class":
        return tf.zeros(count, tf.int32)
    if labels is None:
        raise NetalikeError("outputs 'true-class' needs labels, one per sample.")
    found = np.asarray(labels)
    if found.shape != (count,):
        raise ShapeError(f"expected a label for each of the {count} samples, got the shape {found.shape}.")
    return tf.convert_to_tensor(found, tf.int32)
