"""The claims on the index: verdicts in words, no number where there is none, links to figure, rows and paper."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

import pandas as pd
import pytest
from small_run import EVIL, NAN, Elements, build, claim, no_number

from netalike.evidence.claims import load, verdicts
from netalike.page.claims import EVIDENCE, SYMBOLS, options, shown_claims, verdict_counts
from netalike.page.intervals import tolerance_band

MINUS = "\N{MINUS SIGN}"


def table(*claims: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(claims)


def shown(**given: object):
    [found] = shown_claims(table(claim(**given)), {})
    return found


def details(text: str) -> dict[str, str]:
    """Return what the first claim opens to: each term with its words."""
    pairs = re.findall(
        r"<dt>(.*?)</dt><dd>(.*?)</dd>", text[text.index("<details>") :].split("</details>")[0], re.DOTALL
    )
    return {term: re.sub(r"<[^>]+>", "", words).strip() for term, words in pairs}


def test_a_claim_opens_to_everything_about_it(tmp_path):
    text = build(tmp_path, claims=table(claim(value=-0.25, low=-0.5, high=-0.125, changes="2022-01-01: above 1")))
    assert details(text) == {
        "Source": "abstract",
        "Evidence": "read off a figure. Read with a ruler.",
        "Paper's value": "no number stated",
        "Ours": f"{MINUS}0.25 on digits",
        "95 % interval": f"{MINUS}0.5 to {MINUS}0.125 (BCa bootstrap); 0.1 to 0.45 (percentile bootstrap)",
        "From": "8 resampled units, 1,240 rows",
        "Statistic": "mean of a",
        "Tolerance": "above 0: The claim is a direction.",
        "Changed after the first run": "2022-01-01: above 1",
        "Verdict": "reproduced",
        "Preset needed": "quick",
        "Rows": "deconfounded_cka, published, pair=a;rank=8 or pair=b;rank=8cka, layers",
        "Cost": "1.8 CPU minutes",
    }
    assert 'data-copy="snakemake &#39;a b&#39;"' in text


def test_a_claim_without_rows_has_no_number(tmp_path):
    text = build(tmp_path, claims=table(no_number(reason="no row of group a")))
    found = details(text)
    assert found["Verdict"] == "not run: no row of group a"
    assert (found["Ours"], found["95 % interval"], found["From"], found["Cost"]) == (
        "no number",
        "none",
        "no rows",
        "not measured",
    )
    assert found["Rows"] == "none"
    assert 'class="interval"' not in text
    cell = re.search(r'data-sort="value" data-key="(.*?)".*?>(.*?)</td>', text, re.DOTALL)
    assert cell[1] == ""
    assert "no number" in cell[2]


def test_only_the_columns_that_are_there_are_needed(tmp_path):
    text = build(tmp_path, claims=table({"paper": "stitching", "id": "a-b", "statement": "S.", "verdict": "not run"}))
    assert details(text)["Cost"] == "not measured"


def test_each_verdict_has_its_own_symbol_and_word():
    assert tuple(SYMBOLS) == verdicts.VERDICTS
    assert len(set(SYMBOLS.values())) == 5
    found = {word: shown(verdict=word).ours.verdict for word in SYMBOLS}
    assert [(verdict.word, verdict.symbol, verdict.kind) for verdict in found.values()] == [
        (word, symbol, place) for place, (word, symbol) in enumerate(SYMBOLS.items())
    ]


def test_an_unknown_verdict_is_shown_as_it_is():
    verdict = shown(verdict="unheard of").ours.verdict
    assert (verdict.word, verdict.symbol) == ("unheard of", "")


def test_verdicts_are_counted_in_their_order():
    words = ["not run", "reproduced", "not run", "contradicted"]
    claims = shown_claims(table(*(claim(verdict=word) for word in words)), {})
    assert [(verdict.word, count) for verdict, count in verdict_counts(claims)] == [
        ("reproduced", 1),
        ("contradicted", 1),
        ("not run", 2),
    ]


def test_filters_offer_what_there_is_in_order():
    claims = [claim(needs="paper"), claim(paper="stitching", needs="standard", verdict="not run"), claim(needs="quick")]
    assert options(shown_claims(table(*claims), {})) == {
        "paper": [("stitching", "Model stitching"), ("deconfounded_cka", "Deconfounded CKA")],
        "verdict": [("reproduced", "reproduced"), ("not run", "not run")],
        "needs": [("quick", "quick"), ("standard", "standard"), ("paper", "paper")],
    }


def test_columns_are_sorted_by_numbers_where_words_have_an_order():
    found = shown(value=-0.25, paper_value="1.11", verdict="inconclusive", needs="standard").keys
    assert found == {"paper": "2", "paper_value": "1.11", "value": "-0.25", "verdict": "2", "needs": "1"}
    assert shown(value=NAN, paper_value="highly alike").keys["value"] == ""
    assert shown(paper_value="highly alike").keys["paper_value"] == ""


def test_a_papers_value_may_be_words():
    assert shown(paper_value="highly alike").paper_value == "highly alike"
    assert shown(paper_value="-0.5").paper_value == f"{MINUS}0.5"


def test_links_lead_to_the_rows_of_each_group():
    links = [row.link for row in shown().rows]
    assert [parse_qsl(link.removeprefix("#rows?")) for link in links] == [
        [
            ("quantity", "deconfounded_cka"),
            ("estimator", "published"),
            ("condition", "pair=a;rank=8"),
            ("condition", "pair=b;rank=8"),
        ],
        [("quantity", "cka"), ("experiment", "layers")],
    ]


def test_a_long_list_of_values_is_named_by_its_first():
    rows = [{"condition": [f"depth={i}" for i in range(9)]}]
    [link] = shown(rows=json.dumps(rows)).rows
    assert link.words == "depth=0 or 8 others"
    assert link.link.count("depth%3D") == 9


def test_a_claims_figure_is_shown_small_and_leads_to_the_figure(tmp_path):
    text = build(tmp_path, claims=table(claim()))
    inside = Elements(text[text.index('class="thumbnail"') :].split("</div>")[0])
    assert [a["href"] for a in inside.all("a")] == ["#figure-1-1"]
    assert [a["src"] for a in inside.all("img")] == ["figures/deconfounded_cka/a%20b.png"]


def test_a_claim_whose_figure_the_run_lacks_says_so(tmp_path):
    text = build(tmp_path, claims=table(claim(figure="deconfounded_cka/ood_digits/ood")))
    assert "This run has no figure <code>deconfounded_cka/ood_digits/ood</code>." in text
    assert 'class="thumbnail"' not in text


def test_other_data_sets_stand_beside_with_their_verdicts(tmp_path):
    others = [
        {"on": "cifar10", "value": 0.5, "low": 0.25, "high": 0.75, "verdict": "contradicted"},
        {"on": "mnist", "value": None, "low": None, "high": None, "verdict": "not run"},
    ]
    text = build(tmp_path, claims=table(claim(others=json.dumps(others))))
    cells = re.findall(r"<td.*?>(.*?)</td>", text[text.index("Other data sets</h4>") :].split("</table>")[0])
    words = [re.sub(r"<[^>]+>", "", cell) for cell in cells]
    assert words == [
        *("cifar10", "0.5", "0.25 to 0.75", f"{SYMBOLS['contradicted']} contradicted"),
        *("mnist", "no number", "none", f"{SYMBOLS['not run']} not run"),
    ]


def test_an_interval_is_drawn_and_described(tmp_path):
    text = build(tmp_path, claims=table(claim(paper_value="0.75")))
    [drawn] = [svg for svg in Elements(text).all("svg") if svg.get("class") == "interval"]
    assert drawn["role"] == "img"
    words = "Ours 0.25, 95 % interval 0.125 to 0.5; tolerance above 0; the paper's value 0.75"
    assert drawn["aria-label"] == words


def test_where_nothing_is_resampled_no_interval_is_named():
    assert shown(low=0.25, high=0.25).ours.interval == ""
    assert shown(low=NAN, high=NAN).ours.interval == ""


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(NAN, "not measured"), (0.0, "less than 0.1 CPU minutes"), (1234.56, "1,234.6 CPU minutes")],
)
def test_cost_in_words(minutes, words):
    assert shown(cpu_minutes=minutes).minutes == words


def test_all_of_a_claim_is_text(tmp_path):
    evil = dict.fromkeys(claim(), EVIL)
    evil |= {"rows": json.dumps([{EVIL: [EVIL]}]), "others": json.dumps([{"on": EVIL, "verdict": EVIL}]), "value": 1.0}
    text = build(tmp_path, claims=table(evil))
    assert EVIL not in text
    assert len(Elements(text).all("script")) == 3


def test_every_registered_claim_can_be_drawn_and_says_how_it_is_known(repository):
    claims = load(repository / "workflow" / "claims")
    assert len(claims) > 0
    for one in claims:
        assert tolerance_band(one.tolerance.in_words(one.paper_value)) is not None
        assert one.evidence.kind in EVIDENCE


def test_a_claims_link_leads_to_it(tmp_path):
    elements = Elements(build(tmp_path, claims=table(claim())))
    assert [body["id"] for body in elements.all("tbody") if body.get("id")] == ["claim-dcka-a5-ood"]
    assert "#claim-dcka-a5-ood" in [a["href"] for a in elements.all("a")]


def test_without_claims_there_is_neither_section_nor_script(tmp_path):
    text = build(tmp_path)
    assert 'id="claims"' not in text
    assert "claims-table" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
