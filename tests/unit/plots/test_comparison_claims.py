"""All claims in one figure: each on the scale of its tolerance, its verdict in colour and shape, none left out."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from netalike.errors import BadFileError
from netalike.plots.comparison_claims import VERDICT_LOOKS, claims_summary, placed
from netalike.plots.comparison_jobs import save_claims_figure, timings_of

NAN = float("nan")


def claim(
    name: str, verdict: str, value: float = NAN, tolerance: str = "above 0", **other: object
) -> dict[str, object]:
    given = {
        "paper": "stitching",
        "id": name,
        "verdict": verdict,
        "value": value,
        "low": NAN,
        "high": NAN,
        "n_rows": 3.0,
    }
    return {**given, "paper_value": "", "tolerance": tolerance, **other}


CLAIMS = pd.DataFrame(
    [
        claim("fine", "reproduced", 0.5, low=0.25, high=1.0),
        claim("near", "inconclusive", 0.9, "within 0.05 of 0.88", low=0.85, high=0.95, paper_value="0.88"),
        claim("wrong", "contradicted", -0.5, low=-1.0, high=-0.25),
        claim("far", "contradicted", 9.0, "within 1 of 0", low=8.0, high=10.0, paper_value="0", paper="inversion"),
        claim("later", "not testable at this scale"),
        claim("never", "not run", paper="inversion"),
    ]
)


def panel(figure, name: str) -> Axes:
    return next(ax for ax in figure.axes if any(text.get_text() == name for text in ax.texts))


def marks(ax: Axes) -> list[tuple[float, float, str]]:
    lines = [line for line in ax.lines if len(line.get_xdata()) == 1]
    return [
        (round(float(line.get_xdata()[0]), 6), float(line.get_ydata()[0]), str(line.get_marker())) for line in lines
    ]


def test_a_band_about_a_value_runs_from_minus_1_to_1():
    found = placed(claim("", "", 0.9, "within 0.05 of 0.88", low=0.85, high=0.95, paper_value="0.87"))
    np.testing.assert_allclose(found.band, (-1, 1))
    np.testing.assert_allclose((found.value, found.low, found.high, found.paper), (0.4, -0.6, 1.4, -0.2))


def test_a_bound_is_0_and_the_farthest_is_1():
    found = placed(claim("", "", 0.5, "above 0.1", low=0.3, high=0.9, paper_value="higher"))
    assert found.band == (0.0, math.inf)
    np.testing.assert_allclose((found.value, found.low, found.high), (0.5, 0.25, 1.0))
    assert math.isnan(found.paper)
    below = placed(claim("", "", -0.2, "below -0.1", paper_value="-0.5"))
    assert below.band == (-math.inf, 0.0)
    np.testing.assert_allclose((below.value, below.paper), (-0.25, -1.0))


@pytest.mark.parametrize("tolerance", ["within 0 of 0", "above 0"])
def test_a_claim_that_is_met_exactly_has_a_place(tolerance):
    assert placed(claim("", "", 0.0, tolerance, low=0.0, high=0.0)).value == 0.0


def test_claims_are_drawn_by_paper_with_the_contradicted_first():
    figure = claims_summary(CLAIMS)
    stitching = panel(figure, "Model stitching")
    assert [tick.get_text() for tick in stitching.get_yticklabels()] == ["wrong", "near", "fine"]
    looks = {verdict: look.marker for verdict, look in VERDICT_LOOKS.items()}
    assert marks(stitching) == [
        (-0.5, 0, looks["contradicted"]),
        (0.4, 1, looks["inconclusive"]),
        (0.5, 2, looks["reproduced"]),
    ]
    written = [text.get_text() for text in stitching.texts]
    assert "1 reproduced, 1 contradicted, 1 inconclusive, 1 not testable" in written
    assert {"0.5", "above 0", "0.9", "within 0.05 of 0.88"} <= set(written)
    assert stitching.get_xlabel() == "without a number: 1 not testable"
    assert figure.get_suptitle().endswith(
        "6 claims: 1 reproduced, 2 contradicted, 1 inconclusive, 1 not testable, 1 not run"
    )


def test_what_lies_beyond_the_scale_is_an_arrow_at_its_edge():
    ((x, _, shape),) = marks(panel(claims_summary(CLAIMS), "Representation inversion"))
    assert (shape, 1 < x < 1.6) == (">", True)


def test_every_verdict_has_its_own_colour_and_shape():
    assert len({look.marker for look in VERDICT_LOOKS.values()}) == 5
    assert len({str(look.colour) for look in VERDICT_LOOKS.values()}) == 5


def test_without_numbers_or_claims_the_figure_says_so():
    empty = claims_summary(CLAIMS.iloc[:0])
    assert [text.get_text() for text in empty.axes[0].texts] == ["There are no claims: the claims table is empty."]
    (legend,) = claims_summary(CLAIMS[CLAIMS["value"].isna()]).legends
    assert legend.get_title().get_text() == "no claim has a number in this run"


# ---- files -----------------------------------------------------------------------------------------------------------


def test_the_card_of_the_claims_counts_them(tmp_path, monkeypatch):
    job = SimpleNamespace(
        output=SimpleNamespace(figure=str(tmp_path / "comparison" / "claims_summary.svg")), rule="plot_claims_summary"
    )
    monkeypatch.setattr("netalike.plots.comparison_jobs.caption", lambda name, **_: f"caption of {name}")
    save_claims_figure(job, claims_summary(CLAIMS), CLAIMS, "All claims", "claims_summary")
    card = json.loads((tmp_path / "comparison" / "claims_summary.json").read_text())
    assert (card["name"], card["category"], card["n_rows"]) == ("comparison/claims_summary", "comparison", 18)
    assert card["rows"] == {"paper": ["inversion", "stitching"]}
    assert card["labels"] == {"claims": "6"}
    assert card["script"] == "workflow/scripts/plot_claims_summary.py"


def test_files_of_costs_are_read_and_others_are_refused(tmp_path):
    head = "measure,family,networks,pairs,seconds_networks,seconds_pairs,peak_mb\n"
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"{head}cka/{name},representation,2,1,0.5,0.25,3\n")
    (tmp_path / "c.csv").write_text("measure,seconds\n")
    files = [str(tmp_path / f"{name}.csv") for name in "ab"]
    found = timings_of(SimpleNamespace(input=SimpleNamespace(timings=files)))
    assert found["measure"].tolist() == ["cka/a", "cka/b"]
    assert len(timings_of(SimpleNamespace(input=SimpleNamespace(timings=files[0])))) == 1
    assert timings_of(SimpleNamespace(input=SimpleNamespace(timings=[]))).empty
    with pytest.raises(BadFileError, match=r"c\.csv is no file of costs: columns \['measure', 'seconds'\], expected"):
        timings_of(SimpleNamespace(input=SimpleNamespace(timings=[*files, str(tmp_path / "c.csv")])))
