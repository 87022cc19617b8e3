"""The papers' pages: what belongs to a paper, where the run differs from it, links that lead somewhere."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pandas as pd
from small_run import EVIL, Elements, build, claim, make_figure, measurements, no_number

from netalike import configuration
from netalike.configuration import Difference
from netalike.page.paper_pages import grouped_differences

DIFFERENCES = [
    Difference("seed", 1, 0),
    Difference("networks.lenet.seeds", [0, 1], list(range(40))),
    Difference("networks.tiny10", "absent", {"architecture": "tiny10", "training": {"epochs": 300, "text": "x" * 60}}),
    Difference("deconfounded_cka.populations.ood.severities", [1, 3], [1, 3, 5]),
    Difference("stitching.rank", 4, None),
]


def build_pages(folder, **given) -> dict[str, str]:
    build(folder, **given)
    return {path.stem: path.read_text(encoding="utf-8") for path in (folder / "papers").iterdir()}


def rows_of(text: str) -> list[list[str]]:
    """Return the words of each row of the table of differences."""
    tables = re.findall(r'class="differences">.*?</table>', text, re.DOTALL)
    rows = [row for table in tables for row in re.findall(r"<tr>(<td.*?)</tr>", table, re.DOTALL)]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows
    ]


def test_each_paper_with_claims_figures_or_rows_has_a_page(tmp_path):
    figures = [make_figure(tmp_path, category="shared_response"), make_figure(tmp_path / "b", category="comparison")]
    pages = build_pages(tmp_path, claims=pd.DataFrame([no_number(paper="inversion")]), figures=figures)
    # rows of deconfounded_cka and stitching, a claim of inversion, a figure of shared_response
    assert sorted(pages) == ["deconfounded_cka", "inversion", "shared_response", "stitching"]
    assert "No claim of this paper is registered." in pages["stitching"]
    assert "This run made no figure of this paper." in pages["inversion"]


def test_a_page_cites_its_paper(tmp_path):
    text = build_pages(tmp_path)["deconfounded_cka"]
    assert "<h1>Deconfounded Representation Similarity for Comparison of Neural Networks</h1>" in text
    assert "Cui, Kumar, Marttinen, Kaski. NeurIPS 2022." in text
    assert "https://arxiv.org/abs/2202.00095" in text


def test_a_page_shows_its_papers_claims_alone(tmp_path):
    claims = [claim(statement="Mine."), claim(id="stitching-a", paper="stitching", statement="Theirs.")]
    text = build_pages(tmp_path, claims=pd.DataFrame(claims))["deconfounded_cka"]
    assert "Mine." in text
    assert "Theirs." not in text
    assert "../index.html#claim-dcka-a5-ood" in [a["href"] for a in Elements(text).all("a")]
    assert "1 reproduced" in text


def test_every_link_of_a_page_leads_to_a_file_or_a_place_on_the_index(tmp_path):
    text = build_pages(tmp_path, claims=pd.DataFrame([claim()]))["deconfounded_cka"]
    elements = Elements(text)
    index = Elements((tmp_path / "index.html").read_text(encoding="utf-8"))
    ids = {attributes.get("id") for _, attributes in index.found}
    links = [a["href"] for a in elements.all("a")] + [a["src"] for a in elements.all("img")]
    elsewhere = [link for link in links if not link.startswith(("#", "https://"))]
    assert "../figures/deconfounded_cka/a%20b.svg" in elsewhere
    assert all((tmp_path / "papers" / unquote(link.partition("#")[0])).is_file() for link in elsewhere)
    places = {link.partition("#")[2].partition("?")[0] for link in elsewhere if "#" in link}
    assert places == {"claim-dcka-a5-ood", "figure-1-1", "rows"}
    assert places <= ids
    own = {attributes.get("id") for _, attributes in elements.found}
    assert {link[1:] for link in links if link.startswith("#")} <= own


def test_the_index_leads_to_each_page(tmp_path):
    build(tmp_path, claims=pd.DataFrame([claim()]))
    links = {a["href"] for a in Elements((tmp_path / "index.html").read_text(encoding="utf-8")).all("a")}
    assert {"papers/deconfounded_cka.html", "papers/stitching.html"} <= links


def test_differences_are_those_of_the_paper_and_of_what_all_papers_share():
    sections = {
        paper: [group.section for group in grouped_differences(DIFFERENCES, paper)]
        for paper in ("stitching", "inversion")
    }
    assert sections == {"stitching": ["seed", "networks", "stitching"], "inversion": ["seed", "networks"]}


def test_differences_are_shown_with_long_values_folded(tmp_path):
    text = build_pages(tmp_path, differences=DIFFERENCES)["deconfounded_cka"]
    long = "architecture: tiny10\ntraining: {epochs: 300, text: " + "x" * 60 + "}"
    seeds = ", ".join(map(str, range(40)))
    assert rows_of(text) == [
        ["seed", "1", "0"],
        [
            "lenet.seeds",
            "[0, 1]",
            f"[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 \N{HORIZONTAL ELLIPSIS}[{seeds}]",
        ],
        ["tiny10", "absent", f"architecture: tiny10, \N{HORIZONTAL ELLIPSIS}{long}"],
        ["populations.ood.severities", "[1, 3]", "[1, 3, 5]"],
    ]
    assert text.count("<details>") == 2


def test_a_value_of_none_is_not_absent(tmp_path):
    text = build_pages(tmp_path, differences=DIFFERENCES)["stitching"]
    assert ["rank", "4", "null"] in rows_of(text)


def test_the_differences_of_a_real_configuration_are_shown(tmp_path):
    run = configuration.load({"preset": "quick"})
    differences = configuration.explain(run)
    text = build_pages(tmp_path, differences=differences)["deconfounded_cka"]
    shared = [d for d in differences if d.path.partition(".")[0] in ("networks", "panels", "seed", "deconfounded_cka")]
    assert len(rows_of(text)) == len(shared) > 0


def test_no_difference_and_no_comparison_are_told_apart(tmp_path):
    assert "was not compared with" in build_pages(tmp_path)["deconfounded_cka"]
    assert "No setting that concerns this paper differs" in build_pages(tmp_path, differences=[])["deconfounded_cka"]


def test_all_of_a_page_is_text(tmp_path):
    run = measurements().assign(dataset=EVIL, network_a=EVIL)
    evil = {"statement": EVIL, "verdict": EVIL, "reason": EVIL, "tolerance": EVIL, "source": EVIL, "id": EVIL}
    differences = [Difference(f"networks.{EVIL}", {EVIL: EVIL * 3}, EVIL)]
    figure = make_figure(tmp_path, title=EVIL, caption=EVIL)
    claims = pd.DataFrame([claim(**evil)])
    text = build_pages(tmp_path, measurements=run, claims=claims, differences=differences, figures=[figure])[
        "deconfounded_cka"
    ]
    assert EVIL not in text
    assert Elements(text).all("script") == []
    assert text.count("&lt;script&gt;") > 8


def test_a_paper_page_needs_no_script_and_allows_none(tmp_path):
    text = build_pages(tmp_path, claims=pd.DataFrame([claim()]))["deconfounded_cka"]
    policy = next(a["content"] for a in Elements(text).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file: data: blob:"


def test_pages_share_one_stylesheet(tmp_path):
    page = build_pages(tmp_path)["deconfounded_cka"]
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    styles = [re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1] for text in (page, index)]
    assert styles[0] == styles[1] != ""


def test_two_builds_are_equal_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    given = {"claims": pd.DataFrame([claim()]), "differences": DIFFERENCES}
    assert build_pages(tmp_path / "one", **given) == build_pages(tmp_path / "two", **given)
