"""PyTorch's optimisers without its compiler, whose import takes longer than a small training."""

from __future__ import annotations

import inspect
from typing import Any

import torch


def eager(optimizer: type[torch.optim.Optimizer]) -> type[Any]:
    """Return an optimiser that computes the same, and never imports `torch.compile`.

    Parameters
    ----------
    optimizer : subclass of torch.optim.Optimizer

    Returns
    -------
    subclass of it
        Takes the same arguments, has the same state.

    Notes
    -----
    PyTorch wraps these methods to tell its compiler to leave them alone, and imports all of it (`torch._dynamo`, sympy)
    when the first of them is called: two seconds of each job that trains something. What is wrapped is called as it is.
    """

    class Eager(optimizer):  # type: ignore[misc, valid-type]
        add_param_group = inspect.unwrap(optimizer.add_param_group)
        zero_grad = inspect.unwrap(optimizer.zero_grad)
        state_dict = inspect.unwrap(optimizer.state_dict)
        load_state_dict = inspect.unwrap(optimizer.load_state_dict)
        # the wrapper switched gradients off, since no step here is to be differentiated
        step = torch.no_grad()(inspect.unwrap(optimizer.step))

    Eager.__name__ = Eager.__qualname__ = optimizer.__name__
    return Eager


Adam = eager(torch.optim.Adam)
SGD = eager(torch.optim.SGD)
