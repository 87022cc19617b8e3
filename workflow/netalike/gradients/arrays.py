"""NumPy arrays and PyTorch tensors alike, without importing PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.floating[Any]]
Array: TypeAlias = "Floats | Tensor"
# Numbers that are looked at at a time.
_BLOCK = 2_000_000
ArrayT = TypeVar("ArrayT", bound="Floats | Tensor")


def to_numpy(array: object) -> Floats:
    """Return the numbers of an array or tensor as float32 or float64, without copying where that is possible.

    Parameters
    ----------
    array : ndarray, Tensor, or nested sequence of numbers
        A tensor may be on any device and in any graph.

    Returns
    -------
    ndarray
        float32 stays float32; everything else becomes float64.
    """
    detach = getattr(array, "detach", None)
    numbers = np.asarray(array if detach is None else detach().cpu().numpy())
    return numbers if numbers.dtype == np.float32 else numbers.astype(np.float64, copy=False)


def like(result: NDArray[Any], given: ArrayT) -> ArrayT:
    """Return a result as the kind of array that was given: a tensor (on the CPU) for a tensor, else the array."""
    if not hasattr(given, "detach"):
        return result  # type: ignore[return-value]
    import torch

    return torch.from_numpy(np.ascontiguousarray(result))  # type: ignore[return-value]


def finite(array: object, name: str, shape: str) -> Floats:
    """Return an array of a stated shape, all of it finite.

    Parameters
    ----------
    array : ndarray or Tensor
    name : str
        What it is, for the message.
    shape : str
        One letter or number per axis, such as ``"n n d d"``; equal letters are equal sizes.

    Raises
    ------
    ShapeError
        If the shape is another one.
    NetalikeError
        If an entry is NaN or infinite; the first one is named.
    """
    numbers, axes = to_numpy(array), shape.split()
    sizes: dict[str, int] = {}
    fits = numbers.ndim == len(axes)
    fits = fits and all(sizes.setdefault(axis, size) == size for axis, size in zip(axes, numbers.shape, strict=True))
    if not fits or 0 in numbers.shape:
        raise ShapeError(f"{name}: expected shape ({', '.join(axes)}), none of it empty; got {numbers.shape}.")
    if not _all_finite(numbers):
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise NetalikeError(
            f"{name}: the entry {first} is {numbers[first]}, expected finite numbers. "
            "Look for an overflow in the network or its inputs."
        )
    return numbers


def _all_finite(numbers: Floats) -> bool:
    """Say whether all entries are finite, row by row of the first axis where a mask of all would be large."""
    size = max(1, _BLOCK * len(numbers) // numbers.size)
    return all(np.isfinite(numbers[start : start + size]).all() for start in range(0, len(numbers), size))


def as_gradients(gradients: object, name: str = "gradients") -> Floats:
    """Return gradients as (n, p, d); (n, p) is taken for one output, d = 1.

    Raises
    ------
    ShapeError
        If there are fewer than 2 or more than 3 axes, or one is empty.
    NetalikeError
        If an entry is not finite.
    """
    numbers = to_numpy(gradients)
    return finite(numbers[..., None] if numbers.ndim == 2 else numbers, name, "n p d")
