"""Multidimensional scaling recovers what was planted, and is the same every time."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from panel_tables import pairs_of, panel_of

from netalike.errors import ShapeError
from netalike.evidence.measurements import parse_condition
from netalike.experiments.panel_map import map_rows, scaled

POINTS = np.random.default_rng(0).normal(size=(9, 2)) * (3, 1)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def mean_apart(matrix: np.ndarray) -> float:
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())


def test_distances_of_a_plane_are_recovered():
    given = distances(POINTS)
    positions, stress = scaled(given)
    assert distances(positions) == pytest.approx(given / mean_apart(given), abs=1e-9)
    assert stress < 1e-9
    assert positions.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert np.ptp(positions[:, 0]) > np.ptp(positions[:, 1])


def test_a_missing_distance_is_recovered_from_the_others():
    given = distances(POINTS)
    holed = given.copy()
    holed[0, 5] = holed[5, 0] = np.nan
    positions, stress = scaled(holed)
    scale = np.nanmean(holed[~np.eye(9, dtype=bool)])
    assert distances(positions)[0, 5] == pytest.approx(given[0, 5] / scale, rel=0.02)
    assert stress < 5e-3


def test_what_does_not_fit_a_plane_has_stress_and_less_than_classical_scaling():
    simplex = np.ones((6, 6)) - np.eye(6)
    _, stress = scaled(simplex)
    assert 0.2 < stress < 0.4


def test_the_same_input_gives_the_same_bits():
    noisy = distances(POINTS) + np.abs(np.subtract.outer(np.arange(9), np.arange(9))) ** 0.5
    assert scaled(noisy)[0].tobytes() == scaled(noisy.copy())[0].tobytes()


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ShapeError, match=r"shape \(2, 3\): expected a square matrix"):
        scaled(np.ones((2, 3)))


def placed(rows: list[dict], measure: str) -> dict[str, tuple[float, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["quantity"] == "map_position" and row["estimator"] == measure:
            found.setdefault(row["network_a"], {})[parse_condition(row["condition"])["axis"]] = row["value"]
    return {network: (axes["x"], axes["y"]) for network, axes in found.items()}


def test_similarities_and_distances_give_the_same_map():
    panel = panel_of("A", "B")
    places = dict(zip(panel["members"], POINTS, strict=False))
    apart = lambda a, b: float(np.linalg.norm(places[a] - places[b])) / 20  # noqa: E731
    rows = map_rows(pairs_of(panel, {"cka/biased": lambda a, b: 1 - apart(a, b), "procrustes/published": apart}), panel)
    one, other = (placed(rows, measure) for measure in ("cka/biased", "procrustes/published"))
    assert list(one) == list(panel["members"])
    assert np.array(list(one.values())) == pytest.approx(np.array(list(other.values())), abs=1e-6)
    ratio = math.dist(one["A0"], one["B2"]) / math.dist(one["A0"], one["A1"])
    assert ratio == pytest.approx(apart("A0", "B2") / apart("A0", "A1"))
    stresses = [row["value"] for row in rows if row["quantity"] == "map_stress"]
    assert stresses == pytest.approx([0, 0], abs=1e-6)


def test_groups_are_told():
    panel = panel_of("A", "B", count=2)
    rows = map_rows(pairs_of(panel, {"cka/biased": lambda a, b: 0.5 if a[0] == b[0] else 0.2}), panel)
    assert [parse_condition(row["condition"])["group"] for row in rows[:-1]] == [*"AAAABBBB"]


def test_a_network_without_values_is_left_out_with_a_reason():
    panel = panel_of("A", "B")
    value = lambda a, b: math.nan if "B2" in (a, b) else 0.1 * (ord(a[1]) + ord(b[1]) - 96)  # noqa: E731
    rows = map_rows(pairs_of(panel, {"cka/biased": value}), panel)
    lost = [row for row in rows if row.get("network_a") == "B2"]
    assert [row["status"] for row in lost] == ["undefined: no chain of defined pairs leads to the other networks"] * 2
    assert all(math.isfinite(row["value"]) for row in rows if row.get("network_a") != "B2")


@pytest.mark.parametrize("value", [1.0, math.nan])
def test_networks_that_are_all_alike_or_all_undefined_have_no_map(value):
    panel = panel_of("A", "B")
    rows = map_rows(pairs_of(panel, {"cka/biased": lambda a, b: value}), panel)
    assert {row["status"] for row in rows} == {"undefined: fewer than 3 networks with values that differ"}
    assert all(math.isnan(row["value"]) for row in rows)
