"""Networks of one or several tasks, untrained networks and controls: which pairs are alike, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netalike.errors import unknown_name
from netalike.evidence import rows
from netalike.experiments.equal_depth import Relation, equal_depth_rows, explained_rows
from netalike.measures.panel import PanelResult

_NAMES = {"same_family": "same_task", "other_family": "other_task"}


def task_relation(tasks: Mapping[str, str]) -> Relation:
    """Make the function that says what kind of pair two networks are.

    Parameters
    ----------
    tasks : mapping of str to str
        Task of every trained network, by its id ``<family>-s<seed>``.

    Returns
    -------
    callable
        Of two ids: ``same_task``, ``other_task``, ``trained_untrained``, ``untrained`` (both), ``permuted_samples`` (a
        trained network, and one with its samples in another order), ``noise``, or None for a pair that answers no
        question. Two networks of one seed and different tasks are such a pair: where their architectures are the same,
        they began from the same weights, which makes them alike whatever they learned. Raises `UnknownNameError` for a
        trained network that has no task.
    """

    def relation(network_a: str, network_b: str) -> str | None:
        for network in (network_a, network_b):
            if rows.kind(network) == "trained" and network not in tasks:
                raise unknown_name("network of this study", network, tasks)
        pair = rows.relation(network_a, network_b, tasks)
        if pair == "self" or (pair == "other_family" and _seed(network_a) == _seed(network_b)):
            return None
        return None if pair is None else _NAMES.get(pair, pair)

    return relation


def _seed(network: str) -> str:
    return network.rpartition("-s")[2]


def task_rows(result: PanelResult, tasks: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all pairs that answer a question, and of the share that the inputs explain.

    Parameters
    ----------
    result : PanelResult
    tasks : mapping of str to str
        Task of every trained network.

    Yields
    ------
    dict
        See `equal_depth_rows` and `explained_rows`.

    Raises
    ------
    UnknownNameError
        If a trained network of the result has no task.
    """
    yield from equal_depth_rows(result, task_relation(tasks))
    yield from explained_rows(result)
