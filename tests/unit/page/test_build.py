"""The page: whatever a run contains is shown as text, nothing missing is shown as 0, every link leads somewhere."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, unquote

import numpy as np
import pandas as pd
import pytest
from small_run import COLUMNS, EVIL, NAN, REASON, Elements, build, cost, make_figure, measurements, provenance, row

from netalike import page
from netalike.errors import BadFileError, UnknownNameError
from netalike.page.encoding import as_text, encode_table, json_for_page
from netalike.page.sections import cost_by_rule, networks_used


def table_of(text: str) -> dict[str, list]:
    """Unpack the embedded table: column to list of cells."""
    packed = json.loads(re.search(r'id="table-data">(.*?)</script>', text, re.DOTALL)[1])
    return {column["name"]: unpack(column) for column in packed["columns"]}


def unpack(column: dict) -> list:
    runs = column.get("runs")
    items = (
        column["list"] if runs is None else [x for x, n in zip(runs[::2], runs[1::2], strict=True) for _ in range(n)]
    )
    return [column["texts"][item] for item in items] if "texts" in column else items


# ---- what users wrote is text --------------------------------------------------------------------------------------


def test_a_network_named_like_a_script_makes_no_script(tmp_path):
    text = build(tmp_path)
    elements = Elements(text)
    assert EVIL not in text
    assert len(elements.all("script")) == 2
    assert not any("alert(1)" in raw for raw in elements.raw if not raw.startswith("{"))
    assert any(EVIL in shown for shown in elements.text)
    assert EVIL in table_of(text)["network_a"]


def test_attributes_are_escaped_too(tmp_path):
    text = build(tmp_path)
    [picture] = Elements(text).all("img")
    assert picture["alt"] == f'CKA {EVIL}. A "caption" & more.'


@pytest.mark.parametrize("evil", ["</script>", "<!--", "&lt;", "\u2028", "\u2029", '"\\'])
def test_embedded_json_has_no_character_that_html_acts_on(evil):
    text = json_for_page({evil: [evil, 1.5, None]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {evil: [evil, 1.5, None]}


def test_what_every_section_shows_is_escaped(tmp_path):
    claims = pd.DataFrame([{"paper": EVIL, "id": EVIL, "statement": EVIL, "verdict": EVIL, "reason": EVIL}])
    text = build(
        tmp_path,
        claims=claims,
        cost=cost().assign(rule=EVIL, paper=EVIL),
        provenance=provenance(preset=EVIL, configuration={EVIL: EVIL}, seeds={EVIL: EVIL}, packages={EVIL: EVIL}),
        figures=[make_figure(tmp_path, category=EVIL, command=EVIL, data={EVIL: EVIL}, configuration={EVIL: EVIL})],
    )
    assert EVIL not in text
    assert len(Elements(text).all("script")) == 3


# ---- what is missing -----------------------------------------------------------------------------------------------


def test_a_missing_value_is_its_status_and_never_zero(tmp_path):
    table = table_of(build(tmp_path))
    assert table["value"] == [0.123457, None, 0.5, 0.97, None, -0.25]
    assert table["status"][1] == REASON
    assert table["low"] == [None] * 6
    assert table["step"] == [""] * 6


def test_a_missing_value_without_a_reason_says_that(tmp_path):
    table = table_of(build(tmp_path, measurements=measurements().assign(value=[np.inf, *[NAN] * 5], status="ok")))
    assert table["value"] == [None] * 6
    assert set(table["status"]) == {"undefined: no number, and no reason was given"}


def test_the_head_counts_undefined_rows(tmp_path):
    assert '<a href="#rows?status=undefined">2 undefined</a>' in build(tmp_path)


def test_a_network_without_accuracy_says_why():
    found = {network.name: network.accuracy for network in networks_used(measurements())}
    assert found == {
        EVIL: f"undefined: {EVIL}\u2028",
        "tiny10-digits-s0": "97.0 %",
        "tiny10-digits-s1": "not measured",
    }


def test_accuracy_on_corrupted_images_is_not_that_of_the_network():
    corrupted = row(
        experiment="ood_digits", quantity="accuracy", estimator="test", value=0.1, condition="corruption=fog"
    )
    table = pd.concat([measurements(), pd.DataFrame([corrupted])[COLUMNS]], ignore_index=True)
    assert {one.name: one.accuracy for one in networks_used(table)}["tiny10-digits-s0"] == "97.0 %"


def test_controls_are_not_listed_as_networks():
    names = [f"tiny10-digits-s{i}" for i in (10, 2)] + ["tiny10-digits-s2@untrained", "noise"]
    found = networks_used(pd.DataFrame([row(network_a=name) for name in names]))
    assert [network.name for network in found] == ["tiny10-digits-s2", "tiny10-digits-s10"]


def test_cost_sums_jobs_and_keeps_the_largest_memory(tmp_path):
    stitching, training = cost_by_rule(cost())
    assert (stitching.rule, stitching.jobs, stitching.seconds, stitching.longest) == ("stitch_pair", 2, 8.0, 6.0)
    assert (stitching.memory, stitching.cpu, stitching.share) == (300.0, 6.5, 100.0)
    assert (training.seconds, training.share) == (4.0, 50.0)


def test_what_was_not_measured_of_a_job_is_not_zero(tmp_path):
    partly = cost().assign(cpu_time=["1.5", "NA", "-"], s=[2.0, 6.0, "-"])
    stitching, training = cost_by_rule(partly)
    assert np.isnan([stitching.cpu, training.cpu, training.seconds]).all()
    assert (stitching.seconds, training.share) == (8.0, 0.0)
    assert ">not measured<" in build(tmp_path, cost=partly)


def test_an_empty_run_has_a_page(tmp_path):
    text = build(tmp_path, measurements=measurements().iloc[:0], cost=cost().iloc[:0], figures=[])
    assert "This run made no figure." in text
    assert "No benchmark file was found" in text
    assert not (tmp_path / "assets").exists()


def test_rows_that_the_page_leaves_out_are_counted(tmp_path):
    text = build(tmp_path, embed_rows=2)
    assert len(table_of(text)["value"]) == 2
    assert "the first 2 of 6 rows" in text
    assert "the other 4 are in" in text
    assert ">2 undefined</a>" in text
    assert "page.embed_rows" not in build(tmp_path, embed_rows=6)


def test_the_title_is_the_users(tmp_path):
    text = build(tmp_path, title=EVIL)
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in text


# ---- links ---------------------------------------------------------------------------------------------------------


def test_every_link_is_relative_and_leads_to_a_file(tmp_path):
    elements = Elements(build(tmp_path))
    loaded = [a.get("src") for tag in ("img", "script", "iframe") for a in elements.all(tag)]
    loaded += [a["href"] for a in elements.all("link")] + [a.get("data-library") for a in elements.all("section")]
    clicked = [a["href"] for a in elements.all("a") if not a["href"].startswith(("#", "https://"))]
    files = [link for link in [*loaded, *clicked] if link and link != "data:,"]
    assert "figures/deconfounded_cka/a%20b.png" in files
    assert "tables/measurements.csv" in files
    assert "tables/measurements.parquet" not in files
    assert "assets/plotly.min.js" in files
    assert all((tmp_path / unquote(link)).is_file() for link in files)


def test_nothing_is_loaded_from_a_network(tmp_path):
    text = build(tmp_path)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for a in Elements(text).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_every_fragment_has_its_target(tmp_path):
    elements = Elements(build(tmp_path))
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    targets = {a["href"][1:].partition("?")[0] for a in elements.all("a") if a["href"].startswith("#")}
    assert targets - ids == set()


def test_a_figure_whose_picture_is_missing_is_refused(tmp_path):
    card = make_figure(tmp_path)
    card.with_suffix(".png").unlink()
    with pytest.raises(BadFileError, match=r"a b\.png is missing: make the figure again"):
        build(tmp_path, figures=[card])


def test_a_figure_shows_its_command_and_links_to_its_rows(tmp_path):
    text = build(tmp_path)
    elements = Elements(text)
    assert "snakemake --cores 2 'results/figures/a b.svg'" in elements.text
    [link] = [a["href"] for a in elements.all("a") if a["href"].startswith("#rows?quantity")]
    assert parse_qsl(link.partition("?")[2]) == [
        ("quantity", "cka"),
        ("estimator", "unbiased"),
        ("estimator", "published"),
    ]
    assert "Its 3 rows of the table" in text
    assert "the table has changed" not in text


def test_a_figure_of_another_table_says_so(tmp_path):
    text = build(tmp_path, figures=[make_figure(tmp_path, n_rows=4)])
    assert "The card says 4 rows, more than the table has: the table has changed since this figure was made." in text


def test_a_figure_that_draws_a_part_of_its_rows_says_how_many(tmp_path):
    text = build(tmp_path, figures=[make_figure(tmp_path, n_rows=2)])
    assert "Its 3 rows of the table" in text
    assert "The figure draws 2 of these rows." in text


def test_figures_stand_by_paper_and_the_comparison_last(tmp_path):
    categories = ["comparison", "inversion", "stitching"]
    figures = [make_figure(tmp_path / name, category=name) for name in categories]
    text = build(tmp_path, figures=figures)
    headings = ["Model stitching", "Representation inversion", "Comparison of the five papers"]
    places = [text.index(f"<h3>{name}") for name in headings]
    assert places == sorted(places)


# ---- rows of a figure ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"quantity": "cka"}, [0, 1, 2]),
        ({"quantity": "cka", "estimator": ["published"]}, [2]),
        ({"condition": "rank=8"}, [2]),
        ({"condition": "init=identity;rank=8"}, [2]),
        ({"condition": "rank=80"}, []),
        ({"condition": ""}, [0, 1, 3, 4, 5]),
        ({"n_samples": 360, "seed": 0.0, "paper": "stitching"}, [5]),
        ({"estimator": []}, []),
    ],
)
def test_the_rows_of_a_figure(rows, expected):
    assert list(page.rows_of_figure(measurements(), rows).index) == expected


def test_an_unknown_column_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'estimator'"):
        page.rows_of_figure(measurements(), {"estimater": "unbiased"})


# ---- encoding ------------------------------------------------------------------------------------------------------


def test_the_embedded_table_holds_every_cell():
    given = measurements()
    table = {column["name"]: unpack(column) for column in encode_table(given)["columns"]}
    assert sorted(table) == sorted(COLUMNS)
    for name in set(COLUMNS) - {"value", "low", "high"}:
        assert table[name] == [as_text(cell) for cell in given[name]]


def test_repeated_cells_are_stored_as_runs():
    many = pd.concat([measurements().iloc[[0]]] * 10_000, ignore_index=True)
    assert len(json_for_page(encode_table(many))) < 2000


@pytest.mark.parametrize(
    ("cell", "expected"), [(3.0, "3"), (0.5, "0.5"), (NAN, ""), (None, ""), (pd.NA, ""), (0, "0"), (np.int64(7), "7")]
)
def test_a_cell_as_text(cell, expected):
    assert as_text(cell) == expected


# ---- the same bytes ------------------------------------------------------------------------------------------------


def test_two_builds_are_equal_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert build(tmp_path / "one") == build(tmp_path / "two")
    libraries = [(tmp_path / name / "assets" / "plotly.min.js").read_bytes() for name in ("one", "two")]
    assert libraries[0] == libraries[1]


def test_the_only_time_is_that_of_the_run(tmp_path):
    text = build(tmp_path)
    assert set(re.findall(r"\d{4}-\d\d-\d\d(?:T[\d:]+Z)?", text)) == {"2022-01-01T00:00:00Z"}
