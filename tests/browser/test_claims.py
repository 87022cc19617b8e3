"""The claims and the papers' pages in a real browser: they sort, filter and open, and show text as text."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from netalike import page, plots
from netalike.configuration import Difference
from netalike.evidence.provenance import Provenance

expect = pytest.importorskip("playwright.sync_api", reason="browser tests: skipped: no playwright").expect

NAN = float("nan")
EVIL = "<script>alert(1)</script>"
LONG = "A statement that goes on and on about how similar two networks are when nothing but the inputs is alike. " * 4
COLUMNS = [
    *("paper", "experiment", "dataset", "split", "n_samples", "network_a", "layer_a", "network_b", "layer_b"),
    *("quantity", "estimator", "condition", "seed", "step", "value", "low", "high", "status"),
]


def measurements() -> pd.DataFrame:
    rows = []
    for quantity, pair in (("cka", "a"), ("cka", "b"), ("deconfounded_cka", "a"), ("deconfounded_cka", "c")):
        named = ["deconfounded_cka", "layers", EVIL, "test", 360, EVIL, "conv1", "tiny10-digits-s1", "conv1"]
        for depth in ("0.000", "1.000"):
            condition = f"depth={depth};pair={pair}"
            rows.append([*named, quantity, "published", condition, 0, NAN, 0.5, NAN, NAN, "ok"])
    return pd.DataFrame(rows, columns=COLUMNS)


def claim(name: str, verdict: str, value: float, low: float, high: float, **given: object) -> dict[str, object]:
    texts = {"paper": "deconfounded_cka", "id": name, "statement": f"Statement of {name}.", "verdict": verdict}
    texts |= {"needs": "quick", "tolerance": "above 0", "paper_value": "", "figure": "layers", "command": "snakemake x"}
    rows = [
        {"quantity": ["cka"], "condition": ["depth=0.000;pair=a", "depth=0.000;pair=b"]},
        {"quantity": ["deconfounded_cka"]},
    ]
    return {**texts, "value": value, "low": low, "high": high, "rows": json.dumps(rows), **given}


def claims() -> pd.DataFrame:
    others = [{"on": EVIL, "value": 0.5, "low": 0.25, "high": 0.75, "verdict": "reproduced"}]
    missing = {"paper": "stitching", "needs": "standard", "rows": "[]", "figure": "stitching/none", "command": ""}
    return pd.DataFrame(
        [
            claim("a-ten", "reproduced", 10.0, 9.0, 11.0, others=json.dumps(others), statement=LONG),
            claim("a-nine", "contradicted", -9.5, -11.0, -9.0, paper_value="2"),
            claim("a-evil", "inconclusive", 0.5, -1.0, 1.0, statement=EVIL, reason=EVIL, paper_value="10"),
            claim("a-paper", "not testable at this scale", NAN, NAN, NAN, needs="paper"),
            claim("b-none", "not run", NAN, NAN, NAN, **missing),
        ]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    figure, _ = plots.new_figure(8, 3)
    texts = dict.fromkeys(("name", "title", "caption", "rule", "script", "command"), "words")
    *_, card = plots.save(figure, folder / "figures" / "layers.svg", {**texts, "category": "deconfounded_cka"})
    cost = pd.DataFrame(columns=["paper", "rule", "job", "s", "max_rss", "cpu_time"])
    provenance = Provenance(preset="quick", configuration={"name": EVIL}, created="2022-01-01T00:00:00Z")
    differences = [Difference(f"networks.{EVIL}", "absent", {"architecture": EVIL, "layers": ["x" * 300]})]
    index = folder / "index.html"
    page.build(index, measurements(), [card], cost, provenance, claims=claims(), differences=differences)
    return folder


@pytest.fixture
def address(folder) -> str:
    return (folder / "index.html").as_uri()


@pytest.fixture
def opened(open_page, address):
    return open_page(address)


def ids(tab) -> list[str]:
    """Return the claims that are shown, in their order."""
    found = tab.locator("#claims-table > tbody:not([hidden])").evaluate_all("all => all.map((body) => body.id)")
    return [name.removeprefix("claim-") for name in found]


def is_open(tab, name: str) -> bool:
    return tab.locator(f"#claim-{name} details").first.evaluate("details => details.open")


def sort_by(tab, column: str) -> list[str]:
    tab.locator(f"#claims-table th[data-sort={column}] button").click()
    return ids(tab)


def choose(tab, column: str, value: str) -> None:
    tab.locator(f"select[data-claims={column}]").select_option(value)


IN_ORDER = ["b-none", "a-ten", "a-nine", "a-evil", "a-paper"]  # of the papers, then of the file


@pytest.mark.parametrize(
    ("column", "ascending", "descending"),
    [
        (
            "value",
            ["a-nine", "a-evil", "a-ten", "b-none", "a-paper"],
            ["a-ten", "a-evil", "a-nine", "b-none", "a-paper"],
        ),
        (
            "paper_value",
            ["a-nine", "a-evil", "b-none", "a-ten", "a-paper"],
            ["a-evil", "a-nine", "b-none", "a-ten", "a-paper"],
        ),
        (
            "verdict",
            ["a-ten", "a-nine", "a-evil", "a-paper", "b-none"],
            ["b-none", "a-paper", "a-evil", "a-nine", "a-ten"],
        ),
        (
            "needs",
            ["a-ten", "a-nine", "a-evil", "b-none", "a-paper"],
            ["a-paper", "b-none", "a-ten", "a-nine", "a-evil"],
        ),
        ("paper", IN_ORDER, ["a-ten", "a-nine", "a-evil", "a-paper", "b-none"]),
        (
            "statement",
            ["a-evil", "a-ten", "a-nine", "a-paper", "b-none"],
            ["b-none", "a-paper", "a-nine", "a-ten", "a-evil"],
        ),
        ("tolerance", IN_ORDER, IN_ORDER),
    ],
)
def test_each_heading_sorts_both_ways_and_missing_values_are_last(opened, column, ascending, descending):
    assert ids(opened) == IN_ORDER
    assert sort_by(opened, column) == ascending
    assert opened.locator(f"#claims-table th[data-sort={column}]").get_attribute("aria-sort") == "ascending"
    assert sort_by(opened, column) == descending
    assert opened.locator("#claims-table th[aria-sort=none]").count() == 6


def test_headings_sort_with_the_keyboard(opened):
    opened.locator("#claims-table th[data-sort=verdict] button").focus()
    opened.keyboard.press("Enter")
    assert ids(opened)[0] == "a-ten"


def test_filters_by_paper_verdict_and_preset(opened):
    shown = opened.locator("#claims-shown")
    choose(opened, "paper", "deconfounded_cka")
    assert ids(opened) == ["a-ten", "a-nine", "a-evil", "a-paper"]
    expect(shown).to_have_text("4 of 5 claims")
    choose(opened, "needs", "quick")
    assert ids(opened) == ["a-ten", "a-nine", "a-evil"]
    choose(opened, "verdict", "contradicted")
    assert ids(opened) == ["a-nine"]
    opened.locator("#claim-filters button[type=reset]").click()
    assert ids(opened) == IN_ORDER
    expect(shown).to_have_text("5 claims")


def test_words_are_searched_in_all_of_a_claim(opened):
    opened.locator("#claim-text").fill("STATEMENT nine")
    assert ids(opened) == ["a-nine"]
    opened.locator("#claim-text").fill("alert(1)")
    assert ids(opened) == ["a-ten", "a-evil"]  # one in its statement, one in another data set
    opened.locator("#claim-text").fill("nothing says this")
    assert ids(opened) == []
    expect(opened.locator("#claims-shown")).to_have_text("0 of 5 claims")


@pytest.mark.parametrize("width", [400, 1400])
def test_a_claim_that_is_filtered_out_is_not_seen(open_page, address, width):
    tab = open_page(address, width)
    choose(tab, "verdict", "not run")
    expect(tab.locator("#claim-b-none tr.claim")).to_be_visible()
    expect(tab.locator("#claim-a-ten tr.claim")).to_be_hidden()


def test_sorting_keeps_the_filter(opened):
    choose(opened, "needs", "quick")
    assert sort_by(opened, "value") == ["a-nine", "a-evil", "a-ten"]


def test_a_claim_opens_and_closes_with_a_click(opened):
    row = opened.locator("#claim-a-nine tr.claim td").nth(4)
    row.click()
    assert is_open(opened, "a-nine")
    expect(opened.locator("#claim-a-nine dl")).to_be_visible()
    row.click()
    assert not is_open(opened, "a-nine")
    opened.locator("#claim-a-nine summary").click()
    assert is_open(opened, "a-nine")


def test_a_claim_opens_with_the_keyboard(opened):
    opened.locator("#claim-a-nine summary").focus()
    opened.keyboard.press("Enter")
    assert is_open(opened, "a-nine")
    opened.keyboard.press("Space")
    assert not is_open(opened, "a-nine")


def test_a_link_to_a_claim_opens_it_and_goes_there(open_page, address):
    tab = open_page(f"{address}#claim-a-paper")
    assert is_open(tab, "a-paper")
    expect(tab.locator("#claim-a-paper tr.claim")).to_be_in_viewport()
    assert not is_open(tab, "a-nine")


def test_a_link_finds_a_claim_that_is_filtered_out_or_closed_again(opened):
    link = opened.locator("#claim-a-nine a.permalink")
    link.click()
    assert is_open(opened, "a-nine")
    opened.locator("#claim-a-nine summary").click()
    link.click()
    assert is_open(opened, "a-nine")
    choose(opened, "verdict", "not run")
    opened.evaluate("location.hash = '#claim-a-evil'")
    expect(opened.locator("#claim-a-evil dl")).to_be_visible()
    assert ids(opened) == IN_ORDER


def test_the_rows_of_a_group_are_shown_in_the_table(opened):
    opened.locator("#claim-a-nine summary").click()
    links = opened.locator("#claim-a-nine dl a")
    assert links.all_inner_texts() == [
        "cka, depth=0.000;pair=a or depth=0.000;pair=b",
        "deconfounded_cka",
    ]
    shown = opened.locator("#shown")
    links.nth(0).click()
    expect(shown).to_have_text("1 to 2 of 2 matching rows (of 8)")
    expect(opened.locator("#rows h2")).to_be_in_viewport()
    links.nth(1).click()
    expect(shown).to_have_text("1 to 4 of 4 matching rows (of 8)")


def test_a_claims_picture_leads_to_the_figure(opened):
    opened.locator("#claim-a-nine summary").click()
    opened.locator("#claim-a-nine .thumbnail a").click()
    expect(opened.locator("#figure-1-1 figcaption")).to_be_in_viewport()
    opened.locator("#claim-b-none summary").click()
    expect(opened.locator("#claim-b-none p.thumbnail")).to_have_text("This run has no figure stitching/none.")


def test_the_command_is_copied(opened):
    opened.locator("#claim-a-nine summary").click()
    button = opened.locator("#claim-a-nine button[data-copy]")
    button.click()
    expect(button).not_to_have_text("Copy")


def test_a_claim_that_was_not_run_has_no_number(opened):
    row = opened.locator("#claim-b-none tr.claim")
    assert row.locator("td.ours").inner_text().strip() == "no number"
    assert "not run" in row.locator("td.verdict").inner_text()
    assert row.locator("svg").count() == 0


def test_without_scripts_claims_open_and_nothing_promises_more(open_page, address):
    tab = open_page(address, java_script_enabled=False)
    expect(tab.locator("#claim-filters")).to_be_hidden()
    expect(tab.locator("#claims-table th button")).to_have_count(0)
    expect(tab.locator("#claim-a-nine dl")).to_be_hidden()
    tab.locator("#claim-a-nine summary").click()
    expect(tab.locator("#claim-a-nine dl")).to_be_visible()


def test_a_name_like_a_script_is_text_on_the_index(opened):
    statement = opened.locator("#claim-a-evil td.text")
    assert statement.inner_text().startswith(EVIL)
    opened.locator("#claim-a-ten summary").click()
    assert EVIL in opened.locator("#claim-a-ten").inner_text()
    assert EVIL in opened.locator("#measurements tbody").inner_text()
    assert EVIL in opened.locator("#run").inner_text()
    assert opened.locator("main script").count() == 0


def test_a_name_like_a_script_is_text_on_a_papers_page(open_page, folder):
    tab = open_page((folder / "papers" / "deconfounded_cka.html").as_uri())
    assert EVIL in tab.locator("#claims").inner_text()
    tab.locator("#differences summary").click()
    assert tab.locator("#differences pre").inner_text().startswith(f"architecture: {EVIL}")
    assert tab.locator("script").count() == 0


def test_index_and_papers_page_lead_to_each_other(opened):
    opened.locator("#papers a", has_text="Deconfounded CKA").click()
    expect(opened).to_have_title("netalike: Deconfounded CKA")
    assert opened.locator("figure img").evaluate("image => image.getAttribute('src')") == "../figures/layers.png"
    opened.locator("#claims a", has_text="a-nine").click()
    expect(opened.locator("#claim-a-nine dl")).to_be_visible()
    opened.go_back()
    opened.locator("header a", has_text="8").click()
    expect(opened.locator("select[data-column=paper]")).to_have_value("deconfounded_cka")


@pytest.mark.parametrize("width", [400, 800, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["index.html", "papers/deconfounded_cka.html", "papers/stitching.html"])
def test_nothing_runs_off_the_side(open_page, folder, path, width, scheme):
    tab = open_page((folder / path).as_uri(), width, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    outside = """(edge) => [...document.querySelectorAll(".claims td, .claims dd, .claims svg, .differences td")]
        .filter((e) => !e.closest(".scroll") && e.getBoundingClientRect().right > edge + 0.5).map((e) => e.outerHTML)"""
    assert tab.evaluate(outside, width) == []
