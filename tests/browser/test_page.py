"""The page in a real browser, from disk: it asks nothing of the network, sorts, filters, and shows text as text."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from contrasts import contrast

from netalike import page, plots
from netalike.evidence.provenance import Provenance

expect = pytest.importorskip("playwright.sync_api", reason="browser tests: skipped: no playwright").expect

NAN = float("nan")
EVIL = "<script>alert(1)</script>"
TIMES = "\N{MULTIPLICATION SIGN}"
REASON = "undefined: zero variance in layer conv10"
LAYERS = ("conv2", "conv10", "head")
COLUMNS = [
    *("paper", "experiment", "dataset", "split", "n_samples", "network_a", "layer_a", "network_b", "layer_b"),
    *("quantity", "estimator", "condition", "seed", "step", "value", "low", "high", "status"),
]


def measurements() -> pd.DataFrame:
    rows = []
    pairs = [("tiny10-digits-s0", "tiny10-digits-s0"), ("tiny10-digits-s0", "tiny10-digits-s1"), (EVIL, EVIL)]
    for estimator, (a, b) in itertools.product(("published", "unbiased"), pairs):
        for i, j in itertools.product(range(3), range(3)):
            undefined = estimator == "unbiased" and i == 1
            value = NAN if undefined else 1 - abs(i - j) / 4 - (a != b) / 10
            named = dict(zip(COLUMNS, ["deconfounded_cka", "layers", "digits", "test", 360], strict=False))
            row = {**named, "network_a": a, "layer_a": LAYERS[i], "network_b": b, "layer_b": LAYERS[j]}
            row |= {"quantity": "cka", "estimator": estimator, "condition": "", "seed": 0, "step": NAN}
            rows.append(row | {"value": value, "low": NAN, "high": NAN, "status": REASON if undefined else "ok"})
    return pd.DataFrame(rows)[COLUMNS]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("results")
    figure, _ = plots.new_figure(3, 2)
    card = {
        "name": "layers",
        "title": "CKA",
        "caption": "A caption.",
        "category": "deconfounded_cka",
        "rule": "plot_layers",
        "script": "plot_layers.py",
        "command": "snakemake --cores 2 results/figures/layers.svg",
        "rows": {"experiment": "layers", "network_b": "tiny10-digits-s1"},
        "n_rows": 18,
    }
    *_, sidecar = plots.save(figure, folder / "figures" / "layers.svg", card)
    cost = pd.DataFrame([{"paper": "p", "rule": "r", "job": "j", "s": 1.0, "max_rss": 2.0, "cpu_time": 1.0}])
    provenance = Provenance(preset="quick", configuration={"name": EVIL}, created="2022-01-01T00:00:00Z")
    return page.build(folder / "index.html", measurements(), [sidecar], cost, provenance).as_uri()


@pytest.fixture
def opened(open_page, address):
    return open_page(address)


def cells(tab, column: str) -> list[str]:
    heads = tab.locator("#measurements thead th").evaluate_all("all => all.map((th) => th.dataset.column)")
    place = heads.index(column) + 1
    return tab.locator(f"#measurements tbody tr td:nth-child({place})").all_inner_texts()


def shown(tab) -> str:
    return tab.locator("#shown").inner_text()


def expect_shown(tab, text: str) -> None:
    """Wait until the line above the table says this."""
    expect(tab.locator("#shown")).to_have_text(text)


def sort_by(tab, column: str) -> None:
    tab.locator(f"#measurements th[data-column={column}] button").click()


def test_the_page_opens_with_all_rows(opened):
    assert shown(opened) == "1 to 25 of 54 rows"
    assert opened.title() == "netalike: How alike are these neural networks?"
    opened.get_by_role("button", name="Next").click()
    opened.get_by_role("button", name="Next").click()
    assert shown(opened) == "51 to 54 of 54 rows"
    assert opened.get_by_role("button", name="Next").is_disabled()


def test_sorting_by_value_puts_undefined_rows_last_both_ways(opened):
    opened.locator("#page-size").select_option("100")
    expected = sorted(measurements()["value"].dropna().round(6))
    for order, wanted in (("ascending", expected), ("descending", expected[::-1])):
        sort_by(opened, "value")
        values = cells(opened, "value")
        assert [float(value) for value in values[:45]] == wanted
        assert values[45:] == ["undefined"] * 9
        assert opened.locator("th[data-column=value]").get_attribute("aria-sort") == order


def test_headings_sort_with_the_keyboard_and_numbers_in_names_count(opened):
    opened.locator("#page-size").select_option("100")
    opened.locator("#measurements th[data-column=layer_a] button").focus()
    opened.keyboard.press("Enter")
    assert cells(opened, "layer_a") == ["conv2"] * 18 + ["conv10"] * 18 + ["head"] * 18


def test_a_select_filters_and_the_address_remembers_it(opened):
    opened.locator("select[data-column=estimator]").select_option("published")
    assert shown(opened) == "1 to 25 of 27 matching rows (of 54)"
    assert set(cells(opened, "estimator")) == {"published"}
    assert opened.url.endswith("#rows?estimator=published")
    opened.get_by_role("button", name="Clear all").click()
    assert shown(opened) == "1 to 25 of 54 rows"


def test_undefined_rows_show_their_reason_and_no_zero(opened):
    opened.locator("select[data-column=status]").select_option("undefined")
    assert shown(opened) == "1 to 9 of 9 matching rows (of 54)"
    assert cells(opened, "value") == ["undefined"] * 9
    assert cells(opened, "status") == [REASON] * 9


def test_a_network_is_found_on_either_side(opened):
    opened.locator("select[data-column=network]").select_option("tiny10-digits-s1")
    assert shown(opened) == "1 to 18 of 18 matching rows (of 54)"
    assert set(cells(opened, "network_b")) == {"tiny10-digits-s1"}


def test_words_are_searched_in_every_column(opened):
    opened.locator("#filter-text").fill("UNBIASED variance s1")
    expect_shown(opened, "1 to 3 of 3 matching rows (of 54)")
    opened.locator("#filter-text").fill("nothing has this name")
    expect_shown(opened, "0 of 54 rows match")
    assert "No row matches" in opened.locator("#measurements tbody").inner_text()


def test_a_figure_leads_to_its_rows_and_the_filter_can_be_taken_off(opened):
    opened.get_by_role("link", name="Its 18 rows of the table").click()
    expect_shown(opened, "1 to 18 of 18 matching rows (of 54)")
    assert set(cells(opened, "network_b")) == {"tiny10-digits-s1"}
    opened.get_by_role("button", name="Remove the filter network b: tiny10-digits-s1").click()
    assert shown(opened) == "1 to 25 of 54 rows"


def test_a_network_named_like_a_script_is_text(opened):
    opened.locator("select[data-column=network]").select_option(EVIL)
    assert set(cells(opened, "network_a")) == {EVIL}
    assert opened.locator("#measurements script").count() == 0


def test_an_address_with_filters_opens_filtered(open_page, address):
    tab = open_page(address + "#rows?estimator=unbiased&status=undefined&layer_b=head")
    assert shown(tab) == "1 to 3 of 3 matching rows (of 54)"


def test_the_explorer_shows_the_chosen_pair_and_names_what_is_undefined(opened):
    opened.locator("#explorer").scroll_into_view_if_needed()
    opened.wait_for_selector("#explorer-plot .heatmaplayer", state="attached")
    assert opened.locator("#explorer-pair").input_value() == f"tiny10-digits-s0 {TIMES} tiny10-digits-s1"
    opened.locator("#explorer-measure").select_option("cka, unbiased")
    drawn = opened.evaluate("document.getElementById('explorer-plot').data[0].z")
    assert drawn == [[0.9, 0.65, 0.4], [None, None, None], [0.4, 0.65, 0.9]]
    assert f"3 undefined, grey: {REASON}." in opened.locator("#explorer-status").inner_text()
    opened.locator("#explorer-pair").select_option(f"{EVIL} {TIMES} {EVIL}")
    assert EVIL in opened.locator("#explorer-plot").inner_text()


def test_a_click_on_a_cell_leads_to_its_row(opened):
    opened.locator("#explorer").scroll_into_view_if_needed()
    opened.wait_for_selector("#explorer-plot .nsewdrag", state="attached")
    box = opened.locator("#explorer-plot .nsewdrag").bounding_box()
    opened.mouse.move(box["x"] + box["width"] * 5 / 6, box["y"] + box["height"] / 6)
    opened.wait_for_selector("#explorer-plot .hovertext")
    opened.mouse.down()
    opened.mouse.up()
    expect_shown(opened, "1 to 1 of 1 matching rows (of 54)")
    assert (cells(opened, "layer_a"), cells(opened, "layer_b"), cells(opened, "value")) == (
        ["conv2"],
        ["head"],
        ["0.4"],
    )


def test_the_explorer_moves_nothing_below_it_when_it_opens(opened):
    def top() -> float:
        return opened.evaluate("document.getElementById('rows').getBoundingClientRect().top + window.scrollY")

    before = top()
    opened.locator("#explorer").scroll_into_view_if_needed()
    opened.wait_for_selector("#explorer-plot .heatmaplayer", state="attached")
    assert top() == pytest.approx(before, abs=1)


def test_printing_the_page_goes_without_a_fault_and_leaves_the_explorer_as_it_was(opened):
    opened.locator("#explorer").scroll_into_view_if_needed()
    opened.wait_for_selector("#explorer-plot .heatmaplayer", state="attached")
    before = opened.locator("#explorer-plot .main-svg").first.bounding_box()["width"]
    opened.emulate_media(media="print")
    assert opened.locator("#explorer").is_hidden()
    opened.emulate_media(media="screen")
    assert opened.locator("#explorer-plot .main-svg").first.bounding_box()["width"] == before


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_off_the_side_and_text_stands_out(open_page, address, width, scheme):
    tab = open_page(address, width, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert contrast(tab, "body", "color", "background-color") >= 7
    assert contrast(tab, "#explorer-status", "color", "background-color", behind="body") >= 4.5


def test_every_control_has_a_name(opened):
    unnamed = opened.evaluate(
        """() => [...document.querySelectorAll("select, input, button, a, img")]
        .filter((e) => !(e.labels?.length || e.textContent.trim() || e.alt || e.ariaLabel || e.querySelector("img")))
        .map((e) => e.outerHTML)"""
    )
    assert unnamed == []
