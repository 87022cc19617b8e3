"""How well each measure of a panel answers each question, with intervals from a bootstrap over networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from netalike.evidence.claims import statistics
from netalike.evidence.measurements import OK, condition
from netalike.experiments.panel_grid import Facts, Floats, Mask, NetworkBootstrap, PairGrid, distinct
from netalike.experiments.panel_layers import Conformity
from netalike.experiments.panel_measures import TRAINED, panel_measure
from netalike.experiments.panel_questions import AUC, CONFORMITY, QUESTIONS, SPEARMAN, Question

Row = dict[str, Any]

_FEWEST_PAIRS = 3
_FEWEST_DRAWN = 6  # pairs in a resample: those of four networks; ranks of fewer say nothing
_NAN = float("nan")


def separation_rows(
    grid: PairGrid, facts: Facts, networks: NetworkBootstrap, layers: Sequence[Conformity]
) -> Iterator[Row]:
    """Yield one row for each question and measure.

    Parameters
    ----------
    grid : PairGrid
    facts : mapping
        As `panel_questions.facts_of` gives them.
    networks : NetworkBootstrap
    layers : sequence of Conformity

    Yields
    ------
    dict
        Quantity ``separation``, estimator the measure's key, condition ``question``, ``statistic``, ``n_positive``
        and ``n_negative``: the pairs that ought to be alike and those that ought not (AUC), all pairs and 0
        (Spearman), all triples of layers and 0 (conformity). Where a question cannot be answered the value is NaN and
        the status says what the panel lacks.
    """
    for question in QUESTIONS.values():
        if question.statistic == AUC:
            yield from _auc_rows(grid, facts, networks, question)
        elif question.statistic == SPEARMAN:
            yield from _yardstick_rows(grid, networks, question)
        else:
            yield from _layer_rows(grid, networks, question, layers)


def _row(question: Question, measure: str, counts: tuple[int, int], found: dict[str, float], status: str) -> Row:
    positive, negative = counts
    factors = condition(question=question.key, statistic=question.statistic, n_positive=positive, n_negative=negative)
    known = found if status == OK else {"value": _NAN, "low": _NAN, "high": _NAN}
    return {"quantity": "separation", "estimator": measure, "condition": factors, **known, "status": status}


# ---- AUC -------------------------------------------------------------------------------------------------------------


def _auc_rows(grid: PairGrid, facts: Facts, networks: NetworkBootstrap, question: Question) -> Iterator[Row]:
    assert question.split is not None
    positive, negative = question.split(grid, facts)
    used = positive | negative
    weights = np.zeros((len(networks.weights), len(used)))
    weights[:, used] = networks.of_pairs(grid.network_a[used], grid.network_b[used])
    for column, measure in enumerate(grid.measures):
        values = grid.values[:, column]
        one, other = positive & np.isfinite(values), negative & np.isfinite(values)
        counts = int(one.sum()), int(other.sum())
        status = _why_no_auc(question, measure, (positive, negative), counts)
        found: dict[str, float] = {}
        if status == OK:
            areas = statistics.auc(weights[:, one], values[one], weights[:, other], values[other])
            found = networks.summary(areas, distinct(grid.network_a[one | other], grid.network_b[one | other]))
        yield _row(question, measure, counts, found, status)


def _why_no_auc(question: Question, measure: str, masks: tuple[Mask, Mask], counts: tuple[int, int]) -> str:
    if all(counts):
        return OK
    if not all(mask.any() for mask in masks):
        return f"undefined: the panel has no {question.needs}"
    return f"undefined: {panel_measure(measure).label} has no value for pairs that ought to be " + (
        "told apart" if counts[0] else "alike"
    )


# ---- rank correlation with a yardstick -------------------------------------------------------------------------------


def _yardstick_rows(grid: PairGrid, networks: NetworkBootstrap, question: Question) -> Iterator[Row]:
    yardstick, correlations = grid.of(question.yardstick), Correlations(grid, networks)
    for column, measure in enumerate(grid.measures):
        if yardstick is None:
            yield _row(question, measure, (0, 0), {}, f"undefined: the panel has no {question.needs}")
        elif measure == question.yardstick:
            yield _row(question, measure, (0, 0), {}, "undefined: the measure is the yardstick itself")
        else:
            found, pairs, status = correlations.of(grid.values[:, column], yardstick)
            yield _row(question, measure, (pairs, 0), found, status)


class Correlations:
    """Rank correlations of measures over the pairs of trained networks, all with the same resamples.

    Parameters
    ----------
    grid : PairGrid
    networks : NetworkBootstrap
    """

    def __init__(self, grid: PairGrid, networks: NetworkBootstrap) -> None:
        self._networks = networks
        self._trained = np.isin(grid.pair, TRAINED)
        self._a, self._b = grid.network_a[self._trained], grid.network_b[self._trained]
        self._weights = networks.of_pairs(self._a, self._b)

    def of(self, x: Floats, y: Floats) -> tuple[dict[str, float], int, str]:
        """Correlate the ranks of two measures.

        Parameters
        ----------
        x, y : array, shape (pairs,)
            Values of all pairs of the grid; pairs without one of them are left out.

        Returns
        -------
        found : dict
            ``value``, ``low``, ``high``: Spearman's correlation and its interval; empty where undefined.
        pairs : int
        status : str

        Notes
        -----
        Resamples of fewer than 6 different pairs, those of four networks, are left out.
        """
        x, y = x[self._trained], y[self._trained]
        both = np.isfinite(x) & np.isfinite(y)
        count = int(both.sum())
        if count < _FEWEST_PAIRS:
            return {}, count, f"undefined: {count} pairs of trained networks have both, at least {_FEWEST_PAIRS} needed"
        if any(np.ptp(values[both]) == 0 for values in (x, y)):
            return {}, count, "undefined: one of the two has the same value for all pairs"
        weights = self._weights if both.all() else self._weights[:, both]
        found = statistics.spearman(weights, x[both], y[both])
        found[1:][(weights[1:] > 0).sum(axis=1) < _FEWEST_DRAWN] = np.nan
        return self._networks.summary(found, distinct(self._a[both], self._b[both])), count, OK


# ---- layers ----------------------------------------------------------------------------------------------------------


def _layer_rows(
    grid: PairGrid, networks: NetworkBootstrap, question: Question, layers: Sequence[Conformity]
) -> Iterator[Row]:
    assert question.statistic == CONFORMITY
    for measure in grid.measures:
        chosen = [one for one in layers if one.measure == measure]
        if not chosen:
            yield _row(question, measure, (0, 0), {}, f"undefined: the panel has no {question.needs}")
            continue
        names = np.array([one.network for one in chosen], object)
        rates = statistics.mean(networks.of_networks(names), np.array([one.rate for one in chosen]))
        counts = sum(one.triples for one in chosen), 0
        yield _row(question, measure, counts, networks.summary(rates, len(set(names))), OK)
