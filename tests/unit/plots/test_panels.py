"""Which rows go into which figure of a panel: averages by hand, layers of equal depth, the pair that is shown."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from netalike.errors import NetalikeError, UnknownNameError
from netalike.evidence.measurements import table
from netalike.plots import panels

FAMILIES = {"a-s0": "a", "a-s1": "a", "b-s0": "b", "b-s1": "b"}
LAYERS = {"a": ["l1", "l2"], "b": ["m1", "m2", "m3"]}


def rows(*pairs: tuple[str, str, str, float], estimator: str = "unbiased", quantity: str = "cka") -> pd.DataFrame:
    """All layers of each pair; the entry (i, j) is the pair's number plus i + j / 10."""
    entries = []
    for network_a, network_b, kind, base in pairs:
        for i, layer_a in enumerate(LAYERS[network_a[0]]):
            layers_b = ["noise"] if network_b == "noise" else LAYERS[network_b[0]]
            for j, layer_b in enumerate(layers_b):
                entries.append(
                    {
                        "network_a": network_a,
                        "layer_a": layer_a,
                        "network_b": network_b,
                        "layer_b": layer_b,
                        "quantity": quantity,
                        "estimator": estimator,
                        "condition": f"pair={kind}",
                        "value": base + i + j / 10,
                    }
                )
    return table(entries)


ALL = rows(
    ("a-s0", "a-s0", "self", 100),
    ("a-s0", "a-s1", "same_family", 1),
    ("a-s0", "b-s0", "other_family", 2),
    ("a-s0", "b-s1", "other_family", 4),
    ("a-s1", "b-s0", "other_family", 9),
    ("b-s0", "b-s1", "same_family", 3),
    ("a-s0", "noise", "noise", 50),
)
GRID = {"ab": np.add.outer([0, 1], [0, 0.1, 0.2]), "aa": np.add.outer([0, 1], [0, 0.1])}


# ---- estimators -----------------------------------------------------------------------------------------------------


def test_an_estimator_is_that_of_the_panel_configuration():
    mixed = pd.concat(
        [
            rows(("a-s0", "a-s1", "same_family", 1), estimator="published"),
            rows(("a-s0", "a-s1", "same_family", 2), estimator="published", quantity="deconfounded_cka"),
            rows(("a-s0", "a-s1", "same_family", 3), estimator="published_psd", quantity="deconfounded_cka"),
        ]
    )
    firsts = {name: panels.of_estimator(mixed, name)["value"].iloc[0] for name in ("published", "deconfounded")}
    assert firsts == {"published": 1.0, "deconfounded": 2.0}
    assert panels.of_estimator(mixed, "deconfounded_psd")["value"].iloc[0] == 3.0
    with pytest.raises(
        UnknownNameError, match=r"unknown estimator of this panel 'publised': .*Did you mean 'published'"
    ):
        panels.of_estimator(mixed, "publised")
    with pytest.raises(UnknownNameError, match="expected one of published, deconfounded, deconfounded_psd"):
        panels.of_estimator(mixed, "unbiased")


# ---- matrices of families -------------------------------------------------------------------------------------------


def test_matrices_are_averaged_over_pairs_by_hand():
    matrices, drawn = panels.family_matrices(ALL, FAMILIES)
    assert list(matrices) == ["a and a\nmean of 1 pair", "a and b\nmean of 3 pairs", "b and b\nmean of 1 pair"]
    across = matrices["a and b\nmean of 3 pairs"]
    np.testing.assert_allclose(across.to_numpy(), (2 + 4 + 9) / 3 + GRID["ab"])
    assert across.index.tolist() == ["l1", "l2"]
    assert across.columns.tolist() == ["m1", "m2", "m3"]
    assert (across.index.name, across.columns.name) == ("a", "b")
    np.testing.assert_allclose(matrices["a and a\nmean of 1 pair"].to_numpy(), 1 + GRID["aa"])
    assert set(drawn["condition"]) == {"pair=same_family", "pair=other_family"}
    assert len(drawn) == 4 + 3 * 6 + 9


def test_families_that_take_turns_are_one_matrix_and_not_two():
    mixed = rows(("a-s0", "b-s0", "other_family", 2), ("b-s0", "a-s1", "other_family", 0))
    matrices, drawn = panels.family_matrices(mixed, {"a-s0": "a", "b-s0": "b", "a-s1": "a"})
    (title,) = matrices
    assert title == "a and b\nmean of 2 pairs"
    turned = np.add.outer([0, 0.1], [0, 1, 2])  # of b with a, transposed
    np.testing.assert_allclose(matrices[title].to_numpy(), (2 + GRID["ab"] + turned) / 2)
    pd.testing.assert_frame_equal(drawn, mixed)  # the rows as they are in the table


def test_networks_without_a_second_one_are_shown_with_themselves():
    alone = rows(("a-s0", "a-s0", "self", 7), ("a-s0", "noise", "noise", 50))
    matrices, drawn = panels.family_matrices(alone, {"a-s0": "a"})
    assert list(matrices) == ["a and a\nmean of 1 pair"]
    np.testing.assert_allclose(matrices["a and a\nmean of 1 pair"].to_numpy(), 7 + GRID["aa"])
    assert set(drawn["condition"]) == {"pair=self"}


def test_a_missing_value_is_left_out_of_the_mean_and_stays_missing_where_all_are():
    some = rows(("a-s0", "b-s0", "other_family", 2), ("a-s0", "b-s1", "other_family", 4))
    some.loc[[0, 1, 7], "value"] = math.nan
    some.loc[[0, 1, 7], "status"] = "undefined: why"
    (matrix,) = panels.family_matrices(some, FAMILIES)[0].values()
    assert matrix.loc["l1", "m1"] == pytest.approx(4.0)
    assert math.isnan(matrix.loc["l1", "m2"])
    assert matrix.loc["l1", "m3"] == pytest.approx(3.2)


# ---- one pair -------------------------------------------------------------------------------------------------------


def test_the_first_pair_is_of_two_families_if_there_are_two():
    chosen = panels.first_pair(ALL, FAMILIES)
    assert set(zip(chosen["network_a"], chosen["network_b"], strict=True)) == {("a-s0", "b-s0")}
    assert len(chosen) == 6


def test_the_first_pair_of_one_family_and_of_one_network():
    same = panels.first_pair(ALL[ALL["condition"] != "pair=other_family"], FAMILIES)
    assert set(same["condition"]) == {"pair=same_family"}
    assert same["value"].tolist() == pytest.approx([1, 1.1, 2, 2.1])
    alone = panels.first_pair(ALL[ALL["condition"].isin(["pair=self", "pair=noise"])], FAMILIES)
    assert alone["value"].tolist() == pytest.approx([100, 100.1, 101, 101.1])
    with pytest.raises(NetalikeError, match="no pair of networks in the rows of this panel"):
        panels.first_pair(ALL[ALL["condition"] == "pair=noise"], FAMILIES)


# ---- matched layers -------------------------------------------------------------------------------------------------


def layer_pairs(count_a: int, count_b: int, network_b: str = "other") -> list[tuple[int, int]]:
    entries = [
        {
            "network_a": "one",
            "layer_a": f"x{i}",
            "network_b": network_b,
            "layer_b": f"y{j}",
            "quantity": "cka",
            "estimator": "biased",
            "value": 0.0,
        }
        for i in range(count_a)
        for j in range(count_b)
    ]
    kept = panels.matched(table(entries))
    return [(int(a[1:]), int(b[1:])) for a, b in zip(kept["layer_a"], kept["layer_b"], strict=True)]


@pytest.mark.parametrize(
    ("count_a", "count_b", "expected"),
    [
        (3, 3, [(0, 0), (1, 1), (2, 2)]),
        (8, 4, [(0, 0), (2, 1), (5, 2), (7, 3)]),
        (4, 8, [(0, 0), (1, 2), (2, 5), (3, 7)]),
        (1, 5, [(0, 0)]),
        (5, 1, [(0, 0)]),
    ],
)
def test_layers_of_equal_relative_depth(count_a, count_b, expected):
    assert layer_pairs(count_a, count_b) == expected


def test_noise_has_no_depth_and_counts_at_each_layer():
    assert layer_pairs(4, 1, "noise") == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_pairs_are_matched_each_for_itself():
    kept = panels.matched(ALL)
    counts = kept.groupby(["network_a", "network_b"], sort=False).size()
    assert counts.to_dict() == {
        ("a-s0", "a-s0"): 2,
        ("a-s0", "a-s1"): 2,
        ("a-s0", "b-s0"): 2,
        ("a-s0", "b-s1"): 2,
        ("a-s1", "b-s0"): 2,
        ("b-s0", "b-s1"): 3,
        ("a-s0", "noise"): 2,
    }
    across = kept[(kept["network_a"] == "a-s0") & (kept["network_b"] == "b-s0")]
    assert list(zip(across["layer_a"], across["layer_b"], strict=True)) == [("l1", "m1"), ("l2", "m3")]
    nothing = ALL[ALL["network_a"] == "nobody"]
    assert len(panels.matched(nothing)) == 0


# ---- figures --------------------------------------------------------------------------------------------------------


def test_the_drawing_is_repeated_for_each_family_that_has_rows():
    seen = []

    def draw(ax, part, title):
        seen.append((title, sorted(set(part["network_a"]))))
        return ax

    with_twin = pd.concat([ALL, ALL[:4].assign(network_a="b-s1@untrained")])
    figure = panels.by_family(with_twin, {**FAMILIES, "c-s0": "c"}, draw)
    assert len(figure.axes) == 2
    assert seen == [("a", ["a-s0", "a-s1"]), ("b", ["b-s0", "b-s1@untrained"])]
    plt.close(figure)
    with pytest.raises(NetalikeError, match="no row belongs to a network of this panel"):
        panels.by_family(ALL[:0], FAMILIES, draw)


def test_a_grid_is_large_enough_for_its_heatmaps():
    matrices, _ = panels.family_matrices(ALL, FAMILIES)
    single = panels.grid_figure(dict(list(matrices.items())[:1]))
    wide, high = single.get_figwidth() - 0.8, single.get_figheight()
    figure = panels.grid_figure(matrices)
    columns, rows_high = round((figure.get_figwidth() - 0.8) / wide), round(figure.get_figheight() / high)
    assert columns * rows_high >= 3
    assert columns * rows_high - 3 < max(columns, rows_high)  # no empty row or column
    assert figure.axes == []
    plt.close(figure)
    plt.close(single)
