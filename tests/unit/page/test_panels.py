"""The pages of panels: what each measure says of each pair, which tells what apart, and what is missing says why."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, unquote

import pandas as pd
import pytest
from panel_run import (
    EVIL,
    MEASURES,
    NETWORKS,
    WHY,
    build,
    comparison,
    costs,
    implementations,
    make_figure,
    pairs,
    value,
)
from small_run import Elements

from netalike.evidence import measurements
from netalike.page import read_costs
from netalike.page.intervals import SMALL_WIDTH, draw_share
from netalike.page.measures import costs_of, in_order
from netalike.page.panel_data import networks_in_order
from netalike.page.panels import panel_pages


@pytest.fixture(scope="module")
def page():
    [page] = panel_pages(comparison(), [], {"small": costs()})
    return page


def panel_html(folder, **given) -> str:
    build(folder, **given)
    return (folder / "comparison" / "small.html").read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', text, re.DOTALL)[0]


def cells_of(text: str) -> list[list[str]]:
    """Return the words of each row of the tables of a piece of a page."""
    rows = re.findall(r"<tr>\s*(<t[hd] ?.*?)</tr>", text, re.DOTALL)
    words = [[re.sub(r"<[^>]+>|\s+", " ", cell) for cell in re.split(r"</t[hd]>", row)[:-1]] for row in rows]
    return [[" ".join(cell.split()) for cell in row] for row in words]


# ---- what the figures are drawn from -------------------------------------------------------------------------------


def test_every_pair_has_its_value_interval_and_number_of_layers(page):
    data = page.data
    assert data["networks"] == ["lenet-s0", "lenet-s1", "tiny-s2", "tiny-s10", *CONTROLS_IN_ORDER]
    found = [(data["networks"][a], data["networks"][b]) for a, b, _ in data["pairs"]]
    assert found == pairs()
    cka = data["measures"][0]
    assert (cka["key"], cka["label"], cka["family"], cka["distance"]) == (
        "cka/unbiased",
        "CKA, unbiased",
        "representations",
        False,
    )
    assert cka["value"] == [value("cka/unbiased", a, b) for a, b in pairs()]
    assert (cka["low"][1], cka["high"][1]) == (0.91, 0.98)
    assert cka["n"] == [7] * 10
    assert cka["over"] == "layers"
    assert cka["standardised"][1] == pytest.approx(4 * 0.95 - 3)
    assert cka["range"] == [-1.0, 1.0]


CONTROLS_IN_ORDER = ["lenet-s0@untrained", "lenet-s0@permuted_units", "noise"]


def test_what_has_no_number_says_why_and_is_null(page):
    stitching = next(one for one in page.data["measures"] if one["key"].startswith("stitched"))
    gaps = [i for i, number in enumerate(stitching["value"]) if number is None]
    assert [pairs()[i] for i in gaps] == [(a, b) for a, b in pairs() if {a[0], b[0]} == {"l", "t"}]
    assert stitching["why"] == {str(i): WHY for i in gaps}
    kernels = next(one for one in page.data["measures"] if one["key"] == "kernel_cka/biased")
    assert (set(kernels["low"]), set(kernels["n"]), kernels["over"]) == ({None}, {None}, "")


def test_relations_are_in_words(page):
    named = {tuple(page.data["networks"][i] for i in (a, b)): kind for a, b, kind in page.data["pairs"]}
    words = {pair: page.data["relations"][kind] for pair, kind in named.items()}
    assert words["lenet-s0", "lenet-s0"] == "the same network twice"
    assert words["lenet-s0", "tiny-s2"] == "different families"
    assert words["lenet-s0", "noise"] == "independent noise"


def test_correlations_keep_both_measures_and_their_interval(page):
    places = [row.measure.key for row in page.rows]
    first = page.data["correlations"][0]
    assert [places[first[0]], places[first[1]]] == ["cka/unbiased", "procrustes/published"]
    assert first[2:] == [0.8, 0.5, 0.9, "6", ""]
    assert page.data["correlations"][-1][2:5] == [-0.25, None, None]
    assert page.typical_correlation == 0.8


def test_the_map_has_each_network_with_its_group(page):
    [cka, *others] = page.data["measures"]
    assert cka["map"] == {
        "points": [[0, 0, 0, "lenet"], [1, 0.5, -1, "lenet"], [2, 1, -2, "tiny"], [3, 1.5, -3, "tiny"]],
        "stress": 0.125,
    }
    assert {one["map"] for one in others} == {None}


def test_measures_stand_in_the_order_of_the_registry_and_unknown_ones_last():
    found = in_order(["own/measure", "kernel_cka/biased", "cka/unbiased", "own/measure"])
    assert [one.label for one in found] == ["CKA, unbiased", "gradient kernels, CKA", "own, measure"]


def test_networks_stand_before_controls_and_s2_before_s10():
    given = ["noise", "a-s10", "a-s2@untrained", "a-s2@permuted_samples", "b-s0", "a-s2", ""]
    assert networks_in_order(given) == ["a-s2", "a-s10", "b-s0", "a-s2@untrained", "a-s2@permuted_samples", "noise"]


# ---- tables --------------------------------------------------------------------------------------------------------


def test_answers_have_their_number_and_interval(tmp_path):
    table = cells_of(section(panel_html(tmp_path), "separation"))
    assert table[1] == ["CKA, unbiased", "representations", "0.96 0.80 to 1.00", "0.96 0.80 to 1.00"]
    assert table[4] == ["gradient kernels, CKA", "gradient kernels", "0.60", "0.60"]
    assert table[5] == ["own, measure", "other", "not asked", "not asked"]


def test_questions_tell_what_they_are_of_and_over_how_many_pairs(page):
    trained, accuracy = page.asked
    assert trained.words == "trained or not"
    assert trained.hint.endswith("against a trained and an untrained network (2 against 1 pairs)")
    assert accuracy.hint.endswith("(6 pairs)")
    assert (trained.resi, accuracy.resi) == (0, 1)


def test_a_question_that_nothing_answers_says_why_and_is_no_column(tmp_path):
    text = section(panel_html(tmp_path), "separation")
    assert "with or without a shortcut</dt><dd>undefined: the panel has no networks with a shortcut" in text
    assert 'data-sort="shortcut"' not in text


def test_an_answer_without_a_number_says_why(tmp_path):
    rows = comparison()
    asked = (rows["quantity"] == "separation") & (rows["estimator"] == "cka/unbiased")
    rows.loc[asked & rows["condition"].str.contains("controls"), ["value", "low", "high"]] = float("nan")
    rows.loc[asked, "status"] = f"undefined: {EVIL}"
    text = section(panel_html(tmp_path, measurements=rows), "separation")
    assert cells_of(text)[1][2] == "undefined"
    assert "</dt><dd>CKA, unbiased (trained or not)</dd>" in text
    assert 'title="undefined: &lt;script&gt;alert(1)&lt;/script&gt;"' in text


def test_controls_hold_or_do_not_or_have_no_expectation(page, tmp_path):
    table = cells_of(section(panel_html(tmp_path), "controls"))
    assert table[0] == ["measure", "kind", "self", "noise"]
    assert table[1][2:] == ["1 ✓ holds", "0.3 ✗ does not hold"]
    assert table[2][2:] == ["1 ✓ holds", "0.3 no expectation"]
    assert table[5][2:] == ["none", "none"]
    assert page.checks == (4, 5)
    assert page.checked_controls == ["self", "noise"]


def test_costs_are_summed_over_jobs_per_pair_and_per_network(tmp_path):
    found = costs_of(costs())
    cka, stitching = found["cka/unbiased"], found["stitched_agreement/least_squares"]
    assert (cka.per_pair, cka.per_network) == (pytest.approx(0.01), pytest.approx(0.01))
    assert cka.seconds == pytest.approx(0.03)  # two networks and their pair
    assert (cka.memory, stitching.memory) == (15.0, 1234.0)
    table = cells_of(section(panel_html(tmp_path), "cost"))
    assert table[1] == ["CKA, unbiased", "representations", "10 ms", "10 ms", "30 ms", "15"]
    assert table[3] == ["stitched agreement, LS", "stitching", "500 ms", "1 s", "2.5 s", "1,234"]
    assert len(table) == 4


def test_costs_are_read_by_panel(tmp_path):
    for panel in ("one", "two"):
        (tmp_path / panel).mkdir()
        costs().to_csv(tmp_path / panel / "a.timing.csv", index=False)
        costs().iloc[:1].to_csv(tmp_path / panel / "b.timing.csv", index=False)
    found = read_costs(sorted(tmp_path.glob("*/*.csv")))
    assert {panel: len(table) for panel, table in found.items()} == {"one": 5, "two": 5}


def test_a_panel_without_costs_has_no_section_of_them(tmp_path):
    assert 'id="cost"' not in panel_html(tmp_path, measure_costs=None)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ((0.75, 0.5, 1.0), ((42.0, 84.0), 63.0, 42.0)),
        ((0.75, 0.75, 0.75), (None, 63.0, 42.0)),
        ((1.2, -1.0, 2.0), ((0.0, 84.0), 84.0, 42.0)),
        ((float("nan"),) * 3, None),
    ],
)
def test_a_share_is_drawn_on_its_range(number, expected):
    drawing = draw_share(*number, 0.0, 1.0, 0.5)
    assert SMALL_WIDTH == 84
    assert (drawing and (drawing.line, drawing.dot, drawing.chance)) == expected


# ---- pages ---------------------------------------------------------------------------------------------------------


def test_each_panel_has_a_page_and_the_index_leads_to_it(tmp_path):
    rows = pd.concat([comparison("small"), comparison("other"), comparison("small").iloc[:0]], ignore_index=True)
    text = build(tmp_path, measurements=rows).read_text(encoding="utf-8")
    links = {a["href"] for a in Elements(text).all("a")}
    assert {"comparison/small.html", "comparison/other.html"} <= links
    assert sorted(path.name for path in (tmp_path / "comparison").iterdir()) == ["other.html", "small.html"]
    assert cells_of(section(text, "comparison"))[1:] == [
        [f"{name} 500 test images of digits", "4", "3", "10", "5", "0.80", "4 of 5"] for name in ("other", "small")
    ]


def test_a_run_without_a_comparison_has_no_page_and_no_section_of_it(tmp_path):
    rows = measurements.table([{"value": 1.0, "network_a": "a"}], paper="stitching", experiment="layers")
    text = build(tmp_path, measurements=rows, figures=[]).read_text(encoding="utf-8")
    assert not (tmp_path / "comparison").exists()
    assert not {"comparison", "summary", "implementations"} & {a.get("id") for _, a in Elements(text).found}


def test_every_link_of_a_panels_page_leads_somewhere(tmp_path):
    elements = Elements(panel_html(tmp_path))
    index = Elements((tmp_path / "index.html").read_text(encoding="utf-8"))
    ids = {attributes.get("id") for _, attributes in elements.found}
    links = [a["href"] for a in elements.all("a")] + [a["src"] for a in elements.all("img")]
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    elsewhere = [link for link in links if not link.startswith("#")]
    assert "../figures/comparison/small/measure_separation.svg" in elsewhere
    assert all((tmp_path / "comparison" / unquote(link.partition("#")[0])).is_file() for link in elsewhere)
    places = {link.partition("#")[2].partition("?")[0] for link in elsewhere if link.startswith("../index.html#")}
    assert places <= {attributes.get("id") for _, attributes in index.found}
    data = next(a for a in elements.all("script") if a.get("id") == "panel-data")
    assert (tmp_path / "comparison" / data["data-library"]).is_file()
    assert (tmp_path / "comparison" / data["data-rows"]).is_file()


def test_an_answer_leads_to_its_row(tmp_path):
    elements = Elements(panel_html(tmp_path))
    links = [a["href"] for a in elements.all("a") if "question" in a["href"]]
    assert dict(parse_qsl(links[0].partition("?")[2])) == {
        "quantity": "separation",
        "estimator": "cka/unbiased",
        "experiment": "comparison_small",
        "condition": "question=controls",
    }


def test_all_of_a_panels_page_is_text(tmp_path):
    rows = comparison().replace({name: f"{EVIL}{name}" for name in NETWORKS})
    rows["estimator"] = rows["estimator"].replace("own/measure", f"{EVIL}/x")
    rows["condition"] = rows["condition"].str.replace("question=accuracy", f"question={EVIL}")
    rows["condition"] = rows["condition"].str.replace("control=self", f"control={EVIL}")
    rows.loc[rows["status"] == WHY, "status"] = EVIL
    text = panel_html(tmp_path, measurements=rows.assign(dataset=EVIL, split=EVIL))
    assert EVIL not in text
    assert len(Elements(text).all("script")) == 2
    assert text.count("&lt;script&gt;") > 8


def test_a_panel_with_a_path_for_a_name_stays_in_its_folder(tmp_path):
    rows = comparison().assign(experiment="comparison_../../x y")
    build(tmp_path / "results", measurements=rows, figures=[make_figure(tmp_path / "results")])
    assert [path.name for path in (tmp_path / "results" / "comparison").iterdir()] == [".._.._x_y.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_the_data_of_a_page_is_json_that_html_does_not_act_on(tmp_path):
    packed = re.search(r'id="panel-data"[^>]*>(.*?)</script>', panel_html(tmp_path), re.DOTALL)[1]
    assert not set("<>&") & set(packed)
    assert [measure["key"] for measure in json.loads(packed)["measures"]] == list(MEASURES)


def test_two_builds_are_equal_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert panel_html(tmp_path / "one") == panel_html(tmp_path / "two")


# ---- other implementations -----------------------------------------------------------------------------------------


def test_other_implementations_have_their_difference_or_its_reason(tmp_path):
    text = build(tmp_path, measurements=implementations(), figures=[]).read_text(encoding="utf-8")
    missing = "undefined: rsatoolbox is not installed"
    assert cells_of(section(text, "implementations"))[1:] == [
        ["CKA, unbiased cka/unbiased", "pytorch_cka 1.1.3", "12 layers of 3 pairs", "2e\N{MINUS SIGN}07", "yes", ""],
        ["RSA, Pearson rsa/pearson", "rsatoolbox", "not stated", "no number", "yes", missing],
        ["CKA cka/biased: by layers", "simtorch 0.2.1", "not stated", "0.25", "no", "averages over layers"],
    ]
