"""The first section: sentences from numbers, for any run; and where everything came from."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from panel_run import EVIL, build, comparison, costs, make_figure, make_repository
from small_run import Elements, claim, no_number

from netalike.page.environments import environments
from netalike.page.panels import panel_pages
from netalike.page.sections import networks_used
from netalike.page.sources import sources
from netalike.page.summary import separating
from netalike.page.words import counted, listed, seconds_text


def answers(folder, **given) -> dict[str, str]:
    """Return the sentences under each question of the summary."""
    text = build(folder, **given).read_text(encoding="utf-8")
    pairs = re.findall(r"<dt>([^<]*\?)</dt><dd>(.*?) <a", text, re.DOTALL)
    return {question.replace("&#39;", "'"): answer for question, answer in pairs}


def test_what_was_compared_is_counted(tmp_path):
    assert answers(tmp_path)["What was compared?"] == (
        "4 trained networks in 1 panel: small (4 networks on digits). With their controls they make 10 pairs, each "
        "compared by 5 measures of 4 kinds: representations, stitching, gradient kernels and other."
    )


def test_measures_separate_where_their_whole_interval_lies_above_chance(tmp_path):
    yes, no = separating(panel_pages(comparison(), []))
    assert [one.key for one in yes] == ["cka/unbiased", "procrustes/published", "kernel_cka/biased"]
    assert [one.key for one in no] == ["stitched_agreement/least_squares"]
    found = answers(tmp_path)["Which measures tell networks that were trained alike from untrained ones?"]
    assert found.startswith(
        "3 of 4 measures do, the surest first: CKA, unbiased; Procrustes; and gradient kernels, CKA."
    )
    assert "stitched agreement, LS does not." in found


def test_a_measure_must_separate_on_every_panel():
    weaker = comparison("other")
    asked = weaker["condition"].str.contains("question=controls") & (weaker["estimator"] == "procrustes/published")
    weaker.loc[asked, ["value", "low"]] = 0.45
    yes, no = separating(panel_pages(pd.concat([comparison(), weaker]), []))
    assert [one.key for one in yes] == ["cka/unbiased", "kernel_cka/biased"]
    assert {one.key for one in no} == {"procrustes/published", "stitched_agreement/least_squares"}


def test_the_cheapest_are_of_those_that_separate(tmp_path):
    assert answers(tmp_path)["Which are cheapest?"] == (
        "Of those, CKA, unbiased (30 ms) and Procrustes (200 ms) take least time to compare two networks of small."
    )


def test_agreement_names_the_nearest_and_the_farthest_measures(tmp_path):
    assert answers(tmp_path)["Do the measures agree?"] == (
        "On small, two measures rank the pairs with a median correlation of 0.80: most alike are CKA, unbiased and "
        "Procrustes (0.80), least stitched agreement, LS and gradient kernels, CKA (\N{MINUS SIGN}0.25)."
    )


def test_checks_on_controls_are_counted(tmp_path):
    found = answers(tmp_path)["Do the controls sit where they must?"]
    assert found.startswith("4 of 5 checks on controls with a known answer hold.")


def test_claims_are_counted_by_verdict(tmp_path):
    verdicts = ["reproduced", "reproduced", "contradicted", "not testable at this scale"]
    table = pd.DataFrame([*(claim(id=f"c{i}", verdict=v) for i, v in enumerate(verdicts)), no_number()])
    found = answers(tmp_path, claims=table)
    assert found["Do the five papers' claims hold?"] == (
        "2 of the 3 claims that this run could test are reproduced; 1 contradicted. Of 5 in all, 1 not testable at "
        "this scale and 1 not run."
    )


def test_the_bar_of_verdicts_adds_up(tmp_path):
    table = pd.DataFrame([claim(id=f"c{i}", verdict=v) for i, v in enumerate(["reproduced"] * 3 + ["contradicted"])])
    text = build(tmp_path, claims=table).read_text(encoding="utf-8")
    assert re.findall(r'verdict-(\d)" style="flex-grow: ([\d.]+)"', text) == [("0", "75.0"), ("1", "25.0")]
    assert 'aria-label="3 reproduced, 1 contradicted"' in text


def test_the_main_figures_are_those_of_the_largest_panel_and_of_no_panel(tmp_path):
    names = ["small/measure_separation", "other/cost_pareto", "small/controls", "claims_summary"]
    figures = [make_figure(tmp_path, f"comparison/{name}") for name in names]
    text = build(tmp_path, figures=figures).read_text(encoding="utf-8")
    summary = re.search(r'<section id="summary">.*?</section>', text, re.DOTALL)[0]
    shown = [a["src"] for a in Elements(summary).all("img")]
    assert shown == ["figures/comparison/small/measure_separation.png", "figures/comparison/claims_summary.png"]


def test_a_run_of_claims_alone_has_their_answer_alone(tmp_path):
    found = answers(tmp_path, measurements=comparison().iloc[:0], figures=[], claims=pd.DataFrame([claim()]))
    assert list(found) == ["Do the five papers' claims hold?"]


@pytest.mark.parametrize(
    ("words", "at_most", "expected"),
    [
        ([], None, ""),
        (["a"], None, "a"),
        (["a", "b"], 1, "a and b"),
        (["a", "b", "c"], 1, "a and 2 others"),
        (["a", "b", "c"], None, "a, b and c"),
        (["a, x", "b", "c"], None, "a, x; b; and c"),
    ],
)
def test_words_are_listed(words, at_most, expected):
    assert listed(words, at_most) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.00042, "0.42 ms"), (0.1432, "140 ms"), (2.53, "2.5 s"), (118, "120 s"), (7260, "120 min"), (float("nan"), "")],
)
def test_seconds_in_words(seconds, expected):
    assert seconds_text(seconds) == expected


def test_counts_have_their_noun():
    assert [counted(n, "check") for n in (0, 1, 1200)] == ["0 checks", "1 check", "1,200 checks"]


# ---- where it came from --------------------------------------------------------------------------------------------


def test_a_figure_leads_to_its_rule_and_script(tmp_path):
    repository = make_repository(tmp_path / "repo")
    index = Elements(build(tmp_path, repository=repository).read_text(encoding="utf-8"))
    text = (tmp_path / "sources.html").read_text(encoding="utf-8")
    ids = {attributes.get("id") for _, attributes in Elements(text).found}
    links = [a["href"].partition("#")[2] for a in index.all("a") if a["href"].startswith("sources.html#")]
    wanted = ["rule-plot_measure_separation", "script-workflow/scripts/plot_measure_separation.py"]
    assert links == wanted
    assert set(wanted) <= ids
    assert EVIL not in text
    assert "&#39;&lt;script&gt;" in text


def test_a_rule_is_shown_to_its_last_indented_line(tmp_path):
    found = sources(make_repository(tmp_path), [], ["plot_measure_separation", "absent"])
    [rule] = found["rule"]
    assert rule.file == "rules/comparison.smk"
    assert rule.text.rstrip() == f"rule plot_measure_separation:\n    message:\n        '{EVIL}'"


def test_a_rule_that_a_loop_makes_is_shown_with_its_loop(tmp_path):
    repository = make_repository(tmp_path)
    kinds = 'for kind, study in all():\n\n    rule:\n        name:\n            f"plot_{kind}_{study}"\n'
    kinds += '        input: "a"\n'
    (repository / "rules" / "figures.smk").write_text(
        f"# one\n{kinds}\n\n{kinds.replace('plot_{kind}', 'plot_cka')}x = 1\n"
    )
    found = sources(repository, [], ["plot_toy_clean", "plot_cka_digits", "plotted"])
    assert [rule.name for rule in found["rule"]] == ["plot_cka_digits", "plot_toy_clean"]
    cka, toy = found["rule"]
    assert toy.text.rstrip() == kinds.rstrip()
    assert cka.text.rstrip() == kinds.replace("plot_{kind}", "plot_cka").rstrip()
    assert toy.file == "rules/figures.smk"


def test_a_script_outside_the_repository_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("secret")
    repository = make_repository(tmp_path / "repo")
    assert sources(repository, ["../secret", str(tmp_path / "secret"), "absent.py"], [])["script"] == []


def test_without_a_repository_rule_and_script_are_named_alone(tmp_path):
    text = build(tmp_path).read_text(encoding="utf-8")
    assert "<code>plot_measure_separation</code>" in text
    assert "sources.html#" not in text
    assert "there is nothing to show" in (tmp_path / "sources.html").read_text(encoding="utf-8")


def test_environments_show_what_they_pin(tmp_path):
    repository = make_repository(tmp_path / "repo")
    [environment] = environments(repository)
    assert environment.name == "report"
    assert environment.packages == {"python": "3.11", "numpy": "2.4.6", "shapely": "2.2.0"}
    assert "<dt>shapely</dt><dd>2.2.0</dd>" in build(tmp_path, repository=repository).read_text(encoding="utf-8")


def test_networks_have_the_hashes_of_their_cards(tmp_path):
    known = {"architecture": "lenet", "source": EVIL, "weights_sha256": "ab" * 32, "data_sha256": "cd" * 32}
    (tmp_path / "lenet-s0.json").write_text(json.dumps(known))
    (tmp_path / "lenet-s1.json").write_text("no card")
    cards = [tmp_path / "lenet-s0.json", tmp_path / "lenet-s1.json", tmp_path / "none.json"]
    found = {network.name: network for network in networks_used(comparison(), cards)}
    assert (found["lenet-s0"].architecture, found["lenet-s0"].weights) == ("lenet", "ab" * 32)
    assert (found["lenet-s1"].architecture, found["lenet-s1"].weights) == ("", "")
    text = build(tmp_path, network_cards=cards).read_text(encoding="utf-8")
    assert f'title="{"ab" * 32}"' in text
    assert EVIL not in text


def test_costs_of_a_measure_that_separates_nothing_are_not_the_cheapest(tmp_path):
    table = costs().assign(measure=["stitched_agreement/least_squares"] * 2 + ["cka/unbiased"] * 2)
    found = answers(tmp_path, measure_costs={"small": table})["Which are cheapest?"]
    assert found.startswith("Of those, CKA, unbiased (1.4 s) take")
