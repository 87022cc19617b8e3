"""The pages of a comparison in a real browser: every figure draws, reads by pointer and by keys, and fits a phone."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from contrasts import contrast
from panel_run import EVIL, build, comparison, implementations, make_repository
from small_run import claim

expect = pytest.importorskip("playwright.sync_api", reason="browser tests: skipped: no playwright").expect

TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
PLOTS = ("pairs", "agreement", "map")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    hostile = comparison("hostile").replace({"lenet-s0": EVIL, "noise": f"{EVIL}@untrained"})
    rows = pd.concat([comparison(), hostile, implementations()], ignore_index=True)
    repository = make_repository(tmp_path_factory.mktemp("repository"))
    build(folder, measurements=rows, repository=repository, claims=pd.DataFrame([claim(figure="")]))
    return folder


@pytest.fixture
def opened(open_page, folder):
    return drawn(open_page((folder / "comparison" / "small.html").as_uri()))


def drawn(tab):
    """Wait until all figures are there."""
    for name, layer in zip(PLOTS, ("heatmaplayer", "heatmaplayer", "scatterlayer"), strict=True):
        tab.wait_for_selector(f"#{name}-plot .{layer} > *", state="attached")
    return tab


def cell(tab, name: str, row: int, column: int) -> tuple[float, float]:
    """Return the middle of a cell of a heatmap, in the window."""
    place = tab.locator(f"#{name}-plot .nsewdrag")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    rows = tab.evaluate(f"document.getElementById('{name}-plot').data[0].y.length")
    columns = tab.evaluate(f"document.getElementById('{name}-plot').data[0].x.length")
    return box["x"] + box["width"] * (column + 0.5) / columns, box["y"] + box["height"] * (row + 0.5) / rows


def hovered(tab, name: str) -> list[str]:
    return tab.locator(f"#{name}-plot .hovertext tspan.line").all_text_contents()


def test_every_interactive_figure_draws(opened):
    sizes = [opened.locator(f"#{name}-plot .main-svg").first.bounding_box() for name in PLOTS]
    assert all(size["width"] >= 300 and size["height"] >= 250 for size in sizes)
    assert opened.locator("#map-plot .scatterlayer .point").count() == 4
    expect(opened.locator("#pairs-status")).to_have_text("CKA, unbiased, 10 pairs. The larger, the more alike.")
    expect(opened.locator("#map-status")).to_have_text("CKA, unbiased, 4 networks. Stress 0.13.")


def test_pointing_at_a_cell_shows_value_interval_and_layers(opened):
    opened.mouse.move(*cell(opened, "pairs", 0, 1))
    opened.wait_for_selector("#pairs-plot .hovertext")
    assert hovered(opened, "pairs") == [
        f"lenet-s0 {TIMES} lenet-s1",
        "CKA, unbiased 0.95",
        "95 % interval over layers 0.91 to 0.98",
        "standardised 0.8",
        "mean of 7 pairs of layers",
        "same family",
    ]


def test_pointing_at_two_measures_shows_their_correlation(opened):
    opened.mouse.move(*cell(opened, "agreement", 1, 0))
    opened.wait_for_selector("#agreement-plot .hovertext")
    assert hovered(opened, "agreement") == [
        f"Procrustes {TIMES} CKA, unbiased",
        "rank correlation 0.8",
        "95 % interval over networks 0.5 to 0.9",
        "6 pairs of networks",
    ]


def test_arrow_keys_read_the_figure_and_lead_to_the_row(opened):
    opened.locator("#pairs-plot").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp"):
        opened.keyboard.press(key)
    picked = opened.locator("#pairs-picked")
    expect(picked).to_contain_text(f"lenet-s0 {TIMES} lenet-s1 CKA, unbiased 0.95")
    opened.wait_for_selector("#pairs-plot .hovertext")
    picked.get_by_role("link").click()
    expect(opened.locator("#shown")).to_have_text(re.compile("^1 to 1 of 1 matching rows"))
    assert opened.locator("#measurements tbody td.number").first.inner_text() == "0.95"


def test_a_click_writes_down_a_pair_of_measures_and_leads_to_its_row(opened):
    opened.mouse.click(*cell(opened, "agreement", 3, 2))
    picked = opened.locator("#agreement-picked")
    expect(picked).to_contain_text(
        f"gradient kernels, CKA {TIMES} stitched agreement, LS rank correlation {MINUS}0.25 · no interval"
    )
    picked.get_by_role("link").click()
    expect(opened.locator("#shown")).to_have_text(re.compile("^1 to 1 of 1 matching rows"))


def test_what_has_no_number_is_grey_and_says_why(opened):
    opened.locator("#pairs-measure").select_option(label="stitched agreement, LS")
    expect(opened.locator("#pairs-status")).to_contain_text("4 have no number, grey.")
    opened.mouse.move(*cell(opened, "pairs", 0, 2))
    opened.wait_for_selector("#pairs-plot .hovertext")
    assert hovered(opened, "pairs") == [
        f"lenet-s0 {TIMES} tiny-s2",
        "undefined: networks of different tasks",
        "different families",
    ]


def test_choices_change_the_figure(opened):
    value = "document.getElementById('pairs-plot').data[0]"
    assert opened.evaluate(f"[{value}.zmin, {value}.zmax, {value}.z.length]") == [0.55, 1, 7]
    opened.locator("#pairs-networks").select_option("trained")
    assert opened.evaluate(f"[{value}.zmin, {value}.zmax, {value}.z.length]") == [0.7, 1, 4]
    opened.locator("#pairs-range").select_option("whole")
    assert opened.evaluate(f"[{value}.zmin, {value}.zmax]") == [-1, 1]
    opened.locator("#pairs-shown").select_option("standardised")
    assert opened.evaluate(f"{value}.z[0][1]") == pytest.approx(0.8)
    opened.locator("#pairs-shown").select_option("value")
    opened.locator("#pairs-measure").select_option(label="Procrustes")
    assert opened.evaluate(f"[{value}.reversescale, {value}.z[0][1]]") == [True, 0.05]
    expect(opened.locator("#pairs-status")).to_contain_text("A distance: the smaller, the more alike")


def test_a_table_says_the_same_as_the_figure(opened):
    opened.locator("#pairs-table summary").click()
    rows = opened.locator("#pairs-table tbody tr")
    expect(rows).to_have_count(7)
    assert rows.first.locator("th, td").all_inner_texts() == [
        "lenet-s0",
        "1",
        "0.95",
        "0.9",
        "0.85",
        "0.65",
        "0.6",
        "0.55",
    ]
    opened.locator("#pairs-measure").select_option(label="Procrustes")
    expect(rows.first.locator("td").nth(1)).to_have_text("0.05")


def test_columns_sort_and_missing_numbers_stay_last(opened):
    def measures() -> list[str]:
        return opened.locator("#separation tbody th").all_inner_texts()

    head = opened.locator("#separation th[data-sort=controls] button")
    head.focus()
    opened.keyboard.press("Enter")
    expect(opened.locator("#separation th[data-sort=controls]")).to_have_attribute("aria-sort", "ascending")
    assert measures()[0] == "gradient kernels, CKA"
    assert measures()[-1] == "own, measure"
    head.click()
    assert measures()[0] == "CKA, unbiased"
    assert measures()[-1] == "own, measure"


def test_names_are_text_in_figures_too(open_page, folder):
    tab = drawn(open_page((folder / "comparison" / "hostile.html").as_uri()))
    tab.locator("#pairs-plot").focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_selector("#pairs-plot .hovertext")
    assert any(EVIL in line for line in hovered(tab, "pairs"))
    expect(tab.locator("#pairs-picked")).to_contain_text(EVIL)
    tab.locator("#pairs-table summary").click()
    expect(tab.locator("#pairs-table tbody th").first).to_be_visible()
    assert EVIL in "".join(tab.locator("#pairs-table tbody th").all_inner_texts())


def test_all_is_reached_with_the_tab_key_in_the_order_of_the_page(opened):
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert opened.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    seen = []
    for _ in range(60):
        opened.keyboard.press("Tab")
        seen.append(opened.evaluate("document.activeElement.id"))
        if seen[-1] == "map-measure":
            break
    wanted = [
        "pairs-measure",
        "pairs-shown",
        "pairs-networks",
        "pairs-range",
        "pairs-plot",
        "agreement-plot",
        "map-measure",
    ]
    assert [name for name in seen if name in wanted] == wanted
    opened.locator("#pairs-plot").focus()
    opened.keyboard.press("ArrowDown")
    outline = opened.eval_on_selector("#pairs-plot", "e => getComputedStyle(e).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize(
    "page", ["index.html", "comparison/small.html", "sources.html", "papers/deconfounded_cka.html"]
)
@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (400, "dark"), (1400, "dark")])
def test_nothing_runs_off_the_side_and_text_stands_out(open_page, folder, page, width, scheme):
    tab = open_page((folder / page).as_uri(), width, scheme)
    if page.startswith("comparison"):
        drawn(tab)
        assert contrast(tab, "#pairs-status", "color", "background-color", behind="body") >= 4.5
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert contrast(tab, "body", "color", "background-color") >= 7


def test_a_figure_wider_than_a_phone_scrolls_in_its_own_box(open_page, folder):
    tab = drawn(open_page((folder / "comparison" / "small.html").as_uri(), 320))
    inner, box = tab.eval_on_selector("#pairs-plot", "e => [e.scrollWidth, e.clientWidth]")
    assert inner > box
    assert box <= 320
    assert tab.eval_on_selector("#pairs-plot", "e => getComputedStyle(e).overflowX") == "auto"


def test_every_link_of_every_page_leads_somewhere(open_page, folder):
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == 5
    ids, links = {}, {}
    for path in pages:
        tab = open_page(path.as_uri())
        if path.parent.name == "comparison":
            drawn(tab)
        ids[path] = set(tab.locator("[id]").evaluate_all("all => all.map((e) => e.id)"))
        links[path] = tab.locator("a[href]").evaluate_all("all => all.map((a) => a.href)")
    lost = []
    for link in (link for found in links.values() for link in found if not link.startswith("https://")):
        parts = urlparse(link)
        target, place = Path(unquote(parts.path)), unquote(parts.fragment.partition("?")[0])
        if not target.is_file() or (place and place not in ids[target]):
            lost.append(link)
    assert lost == []


def test_a_page_prints_with_its_figures_in_black_and_its_tables_whole(open_page, folder):
    tab = drawn(open_page((folder / "comparison" / "small.html").as_uri(), 1000, "dark"))
    tab.emulate_media(media="print", color_scheme="dark")
    expect(tab.locator("#pairs-plot .ytick text").first).to_have_css("fill", "rgb(0, 0, 0)")
    assert tab.eval_on_selector("body", "e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.eval_on_selector("#separation .scroll", "e => getComputedStyle(e).overflowX") == "visible"
    assert tab.locator("nav.bar").is_hidden()
    expect(tab.locator("#pairs-plot .main-svg").first).to_have_css("width", re.compile(r"^[1-6]\d\d"))
    tab.set_viewport_size({"width": 760, "height": 1000})  # an A4 page
    assert tab.evaluate("document.documentElement.scrollWidth") == 760


def test_without_its_library_a_page_says_what_is_missing(open_page, folder, tmp_path):
    (tmp_path / "comparison").mkdir()
    alone = tmp_path / "comparison" / "small.html"
    alone.write_text((folder / "comparison" / "small.html").read_text(encoding="utf-8"), encoding="utf-8")
    tab = open_page(alone.as_uri(), expected="ERR_FILE_NOT_FOUND")
    expect(tab.locator("#pairs-status")).to_contain_text("they need assets/plotly.min.js beside the page")
    assert tab.locator("#separation tbody tr").count() == 5
