"""What a panel says in the end, as rows: pairs, agreement of measures, what they separate, and controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from netalike.evidence.measurements import OK, condition
from netalike.experiments.panel_controls import control_rows
from netalike.experiments.panel_grid import NetworkBootstrap, PairGrid, pair_grid
from netalike.experiments.panel_layers import conformities
from netalike.experiments.panel_questions import facts_of
from netalike.experiments.panel_separation import Correlations, separation_rows

Row = dict[str, Any]

_NAN = float("nan")
_UNKNOWN = {"value": _NAN, "low": _NAN, "high": _NAN}


def summary_rows(
    pairs: pd.DataFrame, panel: Mapping[str, Any], rows: pd.DataFrame | None = None, n_boot: int = 1000
) -> list[Row]:
    """Summarise a panel.

    Parameters
    ----------
    pairs : DataFrame
        As `panel_pairs.pair_table` makes it.
    panel : mapping
        ``members`` (network id to family), ``facts`` (see `panel_questions.facts_of`), ``seed``.
    rows : DataFrame, optional
        The rows that `pairs` was made from. The question ``layer_monotonicity`` needs them, for it is about all pairs
        of layers of a network with itself; without them its status says so.
    n_boot : int
        Resamples of the networks.

    Returns
    -------
    list of dict
        Rows of the quantities, estimator being the measure's key unless said otherwise:

        - ``pair_similarity`` of two networks, in the measure's own unit, with its interval; condition ``pair``,
          ``family`` (of measures), ``layers`` (how many) and ``interval`` (what of: see `pair_table`);
        - ``pair_standardised`` of two networks: see `pair_table`; condition ``pair``, ``family``;
        - ``rank_correlation`` / ``spearman`` over the pairs of trained networks, larger being more alike in both;
          condition ``measure_a``, ``measure_b`` (each two once, in the order of `PANEL_MEASURES`), ``n_pairs``;
        - ``separation``: see `panel_separation.separation_rows`;
        - ``control_check``, ``control_holds``: see `panel_controls.control_rows`.

    Raises
    ------
    NetalikeError
        If some members have facts and others none.

    Notes
    -----
    Intervals of correlations and separations are 95 % percentiles of a bootstrap over networks
    (`panel_grid.NetworkBootstrap`); there is none of fewer than 5 networks.
    O(n_boot * pairs * measures^2) time, O(n_boot * pairs) memory.
    """
    grid, facts = pair_grid(pairs), facts_of(panel)
    networks = NetworkBootstrap(list(panel["members"]), n_boot, panel.get("seed", 0))
    layers = [] if rows is None else conformities(rows)
    return [
        *_pair_rows(pairs),
        *_correlation_rows(grid, networks),
        *separation_rows(grid, facts, networks, layers),
        *control_rows(pairs),
    ]


def _pair_rows(pairs: pd.DataFrame) -> Iterator[Row]:
    for pair in pairs.to_dict("records"):
        told = {"network_a": pair["network_a"], "network_b": pair["network_b"], "estimator": pair["measure"]}
        told |= {"n_samples": pair["n_samples"]}
        kind = {"pair": pair["pair"], "family": pair["family"]}
        yield {
            **told,
            "quantity": "pair_similarity",
            "condition": condition(**kind, layers=pair["n_layers"], interval=pair["interval"] or "none"),
            **{name: pair[name] for name in ("value", "low", "high", "status")},
        }
        yield {
            **told,
            "quantity": "pair_standardised",
            "condition": condition(**kind),
            **_UNKNOWN,
            "value": pair["standardised"],
            "status": _standardised_status(pair),
        }


def _standardised_status(pair: Mapping[Any, Any]) -> str:
    if pair["status"] != OK:
        return str(pair["status"])
    if np.isfinite(pair["standardised"]):
        return OK
    return "undefined: the pairs of trained networks do not vary, or are fewer than two"


def _correlation_rows(grid: PairGrid, networks: NetworkBootstrap) -> Iterator[Row]:
    correlations = Correlations(grid, networks)
    for (i, one), (j, other) in combinations(enumerate(grid.measures), 2):
        found, pairs, status = correlations.of(grid.values[:, i], grid.values[:, j])
        yield {
            "quantity": "rank_correlation",
            "estimator": "spearman",
            "condition": condition(measure_a=one, measure_b=other, n_pairs=pairs),
            **_UNKNOWN,
            **found,
            "status": status,
        }
