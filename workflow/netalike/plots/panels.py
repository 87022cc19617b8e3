"""Which rows of a panel go into which figure, and the figures that repeat one drawing per family of networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.errors import NetalikeError, unknown_name
from netalike.plots.by_layer import measure_by_layer
from netalike.plots.heatmaps import heatmap_size, layer_matrix
from netalike.plots.theme import direction_label, new_figure

# estimators as a panel names them -> quantity and estimator of the table
_ESTIMATORS = {
    "deconfounded": ("deconfounded_cka", "published"),
    "deconfounded_psd": ("deconfounded_cka", "published_psd"),
}
_ONE_ROW = 3
# measures that share an axis of values
_KINDS = {
    "CKA": ("cka", "deconfounded_cka"),
    "canonical correlation\nand regression": ("cca", "svcca", "pwcca", "linear_regression"),
    "RSA": ("rsa",),
    "Procrustes distance": ("procrustes",),
}
_NOISE = "noise"
_TRAINED_PAIRS = ("pair=same_family", "pair=other_family")


def of_estimator(rows: pd.DataFrame, estimator: str) -> pd.DataFrame:
    """Take the rows of one estimator of a panel.

    Parameters
    ----------
    rows : DataFrame
    estimator : str
        As the panel's configuration names it: ``published``, ``biased``, ``unbiased``, ``deconfounded`` or
        ``deconfounded_psd``.

    Returns
    -------
    DataFrame

    Raises
    ------
    UnknownNameError
        If there are none.
    """
    quantity, name = _ESTIMATORS.get(estimator, ("cka", estimator))
    found = rows[(rows["quantity"] == quantity) & (rows["estimator"] == name)]
    if found.empty:
        known = sorted(set(rows.loc[rows["quantity"] == "cka", "estimator"])) + list(_ESTIMATORS)
        raise unknown_name("estimator of this panel", estimator, known)
    return found


def family_matrices(rows: pd.DataFrame, families: Mapping[str, str]) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Average layer-by-layer matrices over the pairs of networks of each two families.

    Parameters
    ----------
    rows : DataFrame
        Rows of one estimator.
    families : mapping of network to family

    Returns
    -------
    matrices : dict of title to DataFrame, shape (layers of the first, layers of the second)
        The title says how many pairs; a family whose networks have no second seed shows each network with itself.
    drawn : DataFrame
        The rows that went in.
    """
    pairs = rows[rows["condition"].isin(_TRAINED_PAIRS)]
    if pairs.empty:
        pairs = rows[rows["condition"] == "pair=self"]
    oriented = _in_order_of_families(pairs, families)
    names = [oriented[f"network_{side}"].map(families).rename(f"family_{side}") for side in "ab"]
    matrices = {}
    for (first, second), group in oriented.groupby(names, sort=False):
        count = len(group[["network_a", "network_b"]].drop_duplicates())
        matrix = layer_matrix(group)
        matrix.index.name, matrix.columns.name = first, second
        matrices[f"{first} and {second}\nmean of {count} pair{'s' * (count != 1)}"] = matrix
    return matrices, pairs


def _in_order_of_families(pairs: pd.DataFrame, families: Mapping[str, str]) -> pd.DataFrame:
    """Turn pairs round where the second network's family comes first: CKA is symmetric, and A x B is B x A."""
    rank = {family: number for number, family in enumerate(dict.fromkeys(families.values()))}
    first, second = (pairs[f"network_{side}"].map(families).map(rank) for side in "ab")
    there, back = ["network_a", "layer_a", "network_b", "layer_b"], ["network_b", "layer_b", "network_a", "layer_a"]
    oriented = pairs.copy()
    oriented.loc[first > second, there] = pairs.loc[first > second, back].to_numpy()
    return oriented


def first_pair(rows: pd.DataFrame, families: Mapping[str, str]) -> pd.DataFrame:
    """Take the layer-by-layer rows of the first two networks, of two families if there are two.

    Parameters
    ----------
    rows : DataFrame
    families : mapping of network to family

    Returns
    -------
    DataFrame

    Raises
    ------
    NetalikeError
        If no two networks were compared.
    """
    pairs = rows[rows["condition"].isin(_TRAINED_PAIRS)]
    across = pairs[pairs["condition"] == "pair=other_family"]
    chosen = across if len(across) else pairs
    if chosen.empty:
        chosen = rows[rows["condition"] == "pair=self"]
    if chosen.empty:
        raise NetalikeError("no pair of networks in the rows of this panel; a panel needs at least one network.")
    network_a, network_b = chosen[["network_a", "network_b"]].iloc[0]
    pair: pd.DataFrame = chosen[(chosen["network_a"] == network_a) & (chosen["network_b"] == network_b)]
    return pair


def matched(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the rows that compare layers of equal depth.

    Parameters
    ----------
    rows : DataFrame

    Returns
    -------
    DataFrame
        Of networks with the same layers, those between equal names; of others, those of equal relative depth; noise,
        which has no depth, counts at each layer.
    """
    kept = [_matched_pair(group) for _, group in rows.groupby(["network_a", "network_b"], sort=False)]
    return pd.concat(kept) if kept else rows


def _matched_pair(rows: pd.DataFrame) -> pd.DataFrame:
    layers_a, layers_b = list(dict.fromkeys(rows["layer_a"])), list(dict.fromkeys(rows["layer_b"]))
    if rows["network_b"].iloc[0] == _NOISE:
        return rows
    shallow, deep = sorted((layers_a, layers_b), key=len)
    depth = max(len(shallow) - 1, 1)
    partner = {name: deep[round(i * (len(deep) - 1) / depth)] for i, name in enumerate(shallow)}
    own, other = ("layer_a", "layer_b") if shallow is layers_a else ("layer_b", "layer_a")
    return rows[rows[own].map(partner) == rows[other]]


def grid_columns(count: int) -> int:
    """Return how many of some heatmaps stand side by side: up to three in one row, else as square as possible."""
    return count if count <= _ONE_ROW else math.ceil(math.sqrt(count))


def grid_figure(matrices: Mapping[str, pd.DataFrame]) -> Figure:
    """Make an empty figure large enough for a grid of heatmaps.

    Parameters
    ----------
    matrices : mapping of title to DataFrame

    Returns
    -------
    Figure
    """
    wide = grid_columns(len(matrices))
    high = math.ceil(len(matrices) / wide)
    widths, heights = zip(*(heatmap_size(matrix) for matrix in matrices.values()), strict=True)
    figure, _ = new_figure(wide * max(widths) + 0.8, high * (max(heights) + 0.35), 0, 0)
    return figure


def measures_grid(rows: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Draw all measures along the layers: a row per kind of measure, a column per family of networks.

    Parameters
    ----------
    rows : DataFrame
        Rows between equally named layers.
    families : mapping of network to family

    Returns
    -------
    Figure

    Raises
    ------
    NetalikeError
        If there are no rows.
    """
    family = rows["network_a"].map(families)
    names = [name for name in dict.fromkeys(families.values()) if (family == name).any()]
    kinds = {kind: members for kind, members in _KINDS.items() if rows["quantity"].isin(members).any()}
    if not names or not kinds:
        raise NetalikeError("nothing to draw: no row belongs to a network of this panel.")
    figure, axes = new_figure(5.6 * len(names), 2.7 * len(kinds), rows=len(kinds), columns=len(names))
    cells = [(kind, name) for kind in kinds for name in names]
    for ax, (kind, name) in zip(axes, cells, strict=True):
        chosen = rows[(family == name) & rows["quantity"].isin(kinds[kind])]
        is_distance = kind == "Procrustes distance"
        label = f"{kind}\n({direction_label(not is_distance, 0 if is_distance else 1)})"
        measure_by_layer(ax, chosen, name if kind == next(iter(kinds)) else "", label)
    return figure


def by_family(
    rows: pd.DataFrame, families: Mapping[str, str], draw: Callable[[Axes, pd.DataFrame, str], Axes]
) -> Figure:
    """Repeat one drawing for each family of networks, since the layers of different architectures have other names.

    Parameters
    ----------
    rows : DataFrame
    families : mapping of network to family
    draw : callable
        ``draw(ax, rows, title)``.

    Returns
    -------
    Figure

    Raises
    ------
    NetalikeError
        If there are no rows.
    """
    family = rows["network_a"].str.split("@").str[0].map(families)
    present: Sequence[str] = [name for name in dict.fromkeys(families.values()) if (family == name).any()]
    if not present:
        raise NetalikeError("nothing to draw: no row belongs to a network of this panel.")
    figure, axes = new_figure(8.0, 3.4 * len(present), rows=len(present), columns=1)
    for ax, name in zip(axes, present, strict=True):
        draw(ax, rows[family == name], name)
    return figure
