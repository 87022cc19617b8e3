"""Claim files: what is right is read as it stands, and each kind of mistake is told with file, claim and field."""

from __future__ import annotations

import copy
import textwrap
from pathlib import Path

import pytest
import yaml

from netalike.configuration.reading import PRESETS
from netalike.evidence.claims import ClaimError, load
from netalike.evidence.claims.filters import Bounds, Group
from netalike.evidence.claims.schema import PAPERS
from netalike.evidence.measurements import COLUMNS
from netalike.page.papers import PAPERS as PAGE_PAPERS

SIMILARITY = {"experiment": "ood_{on}", "quantity": "deconfounded_cka", "condition": {"pair": "with_best"}}
CLAIM = {
    "id": "dcka-a5-advantage",
    "statement": "Deconfounded CKA follows accuracy more closely than CKA.",
    "source": "abstract",
    "evidence": {"kind": "printed", "note": "Table 2."},
    "kind": "order",
    "paper_value": 0.3,
    "on": ["cifar10", "digits"],
    "select": {
        "adjusted": SIMILARITY,
        "plain": {**SIMILARITY, "quantity": "cka"},
        "gap": {"experiment": "ood_{on}", "quantity": "accuracy_gap"},
    },
    "statistic": {
        "name": "kendall",
        "of": ["adjusted", "gap"],
        "minus": ["plain", "gap"],
        "join": ["network_b"],
        "over": ["network_b"],
    },
    "tolerance": {"below": 0, "reason": "A sign."},
    "needs": "quick",
    "figure": "deconfounded_cka/ood_{on}/ood",
}
VALUE = {
    "kind": "value",
    "select": {"a": {"experiment": "ood_{on}"}},
    "statistic": {"name": "mean", "of": ["a"]},
    "tolerance": {"within": 0.1, "reason": "Rounding."},
}


def with_changes(**changes):
    """CLAIM with other values, by dotted key; `...` takes a key out."""
    claim = copy.deepcopy(CLAIM)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = claim
        for key in above:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return claim


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    return Path("claims")


def write(folder, *claims, name="deconfounded_cka", **top):
    content = {"paper": name, "claims": list(claims), **top}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def told(folder):
    with pytest.raises(ClaimError) as caught:
        load(folder)
    return str(caught.value).splitlines()


def test_a_claim_is_read_as_it_stands(folder):
    write(folder, CLAIM, with_changes(id="dcka-other", select__gap__value={"above": 0, "below": 1}))
    first, second = load(folder)
    assert (first.paper, first.file, first.id) == ("deconfounded_cka", "claims/deconfounded_cka.yaml", CLAIM["id"])
    assert first.on == ("cifar10", "digits")
    assert first.tolerance.given() == {"below": 0.0}
    assert first.figure_on("digits") == "deconfounded_cka/ood_digits/ood"
    assert first.groups("digits")["adjusted"] == Group(
        paper="deconfounded_cka",
        experiment="ood_digits",
        quantity="deconfounded_cka",
        condition={"pair": "with_best"},
    )
    assert second.select["gap"].value == Bounds(above=0, below=1)
    assert first.model_dump(exclude_unset=True)["select"]["gap"] == {
        "paper": "deconfounded_cka",
        "experiment": "ood_{on}",
        "quantity": "accuracy_gap",
    }


def test_the_key_on_needs_no_quotes_and_numbers_no_point(folder):
    text = textwrap.dedent("""\
        paper: deconfounded_cka
        claims:
          - id: dcka-one
            statement: One.
            source: code
            evidence: {kind: code}
            kind: identity
            paper_value: 0
            on: [digits]
            select: {a: {experiment: "x_{on}", condition: {augmented: true, depth: [0, {on}]}}}
            statistic: {name: maximum, of: [a]}
            tolerance: {within: 1e-10, reason: Rounding.}
            needs: quick
            figure: deconfounded_cka/identities
        """).replace(", {on}]", ", '1']")
    (folder / "deconfounded_cka.yaml").write_text(text)
    (claim,) = load(folder)
    assert claim.on == ("digits",)
    assert claim.tolerance.within == 1e-10
    assert claim.select["a"].condition == {"augmented": ("True",), "depth": (0, "1")}


def test_files_are_read_in_order_and_an_empty_folder_holds_none(folder):
    assert load(folder) == []
    write(folder, with_changes(id="in-one"), name="inversion")
    write(folder, CLAIM)
    assert [claim.paper for claim in load(folder)] == ["deconfounded_cka", "inversion"]


def test_the_lists_of_names_are_those_of_the_other_parts():
    assert tuple(paper.key for paper in PAGE_PAPERS) == PAPERS
    assert tuple(Group.model_fields) == COLUMNS
    assert PRESETS == ("quick", "standard", "paper")


MISTAKES = [
    ({"id": "Dcka_A5"}, "id: 'Dcka_A5' is malformed; expected words of small letters and digits joined by -"),
    ({"id": 5}, "id: 5 is not valid; expected a text"),
    ({"statement": ...}, "statement: required, but missing"),
    ({"statement": ""}, "statement: '' is not valid; expected a text that is not empty"),
    ({"statment": "x"}, "statment: unknown key; expected one of paper, id, statement"),
    ({"statment": "x"}, "nearest 'statement'"),
    ({"paper": "stitching"}, "paper: not a field of a claim; expected once, at the top of the file"),
    ({"kind": "ordr"}, "kind: unknown name ordr; expected one of value, order, sign, trend, identity, nearest 'order'"),
    ({"evidence__kind": "digitized"}, "evidence.kind: unknown name digitized; expected one of printed, digitised"),
    ({"evidence__kind": "digitized"}, "hypothesis, nearest 'digitised'"),
    ({"evidence": "abstract"}, "evidence: abstract is not valid; expected a mapping"),
    ({"evidence__kind": "digitised"}, "evidence.reading_error: missing; expected a number: by how much"),
    ({"evidence__kind": "hypothesis"}, "paper_value: a hypothesis of ours with the paper's value 0.3; expected null"),
    ({"paper_value": True}, "paper_value: True is not valid; expected a number, a text, or null"),
    ({"on": "digits"}, "on: digits is not valid; expected a list"),
    ({"on": ["digits", "digits"]}, "on: 'digits' stands twice; expected each name once"),
    ({"on": ...}, "select.adjusted: {on} without `on`; expected a list of names in `on`"),
    ({"select__gap__experiment": "ood_{study}"}, "select.gap: unknown placeholder {study}; expected {on}"),
    ({"select__gap__quantitty": "x"}, "select.gap.quantitty: unknown key; expected one of paper, experiment, dataset"),
    ({"select__gap__quantitty": "x"}, "nearest 'quantity'"),
    ({"select__gap__quantity": 3}, "select.gap.quantity: 3 is not valid; expected a text, or a list of texts"),
    ({"select__gap__seed": "one"}, "select.gap.seed: 'one' is not valid; expected a number, a list of numbers"),
    ({"select__gap__value": {"abov": 1}}, "select.gap.value: unknown key 'abov'; expected above or below, or both"),
    ({"select__gap__value": {"above": "x"}}, "select.gap.value: above is 'x'; expected a number"),
    ({"select__gap__condition": "pair=x"}, "select.gap.condition: 'pair=x' is not a mapping; expected factors"),
    (
        {"select__gap__condition": {"pair": []}},
        "select.gap.condition.pair: [] is not valid; expected a text or a number",
    ),
    ({"statistic__name": "kendal"}, "statistic.name: unknown statistic 'kendal'; expected one of mean, difference"),
    ({"statistic__name": "kendal"}, "nearest 'kendall'"),
    ({"statistic__of": ["gap"]}, "statistic.of: 1 group; expected 2 groups for kendall"),
    ({"statistic__minus": ["gap"]}, "statistic.minus: 1 group; expected 2 groups for kendall"),
    (
        {"statistic__of": ["adjsted", "gap"]},
        "statistic.of: unknown group 'adjsted'; expected a group of select: adjusted",
    ),
    ({"statistic__minus": ["plane", "gap"]}, "statistic.minus: unknown group 'plane'"),
    ({"statistic__minus": ["plane", "gap"]}, "nearest 'plain'"),
    ({"statistic__minus": ...}, "select.plain: a group that is never used; expected it in statistic.of or"),
    ({"statistic__join": ...}, "statistic.join: missing; expected the columns or factors by which kendall matches"),
    ({"tolerance__reason": ...}, "tolerance.reason: required, but missing"),
    ({"tolerance__above": 1}, "tolerance: above and below given; expected exactly one of within, above, below"),
    ({"tolerance__below": ...}, "tolerance: no band given; expected exactly one of within, above, below"),
    ({"tolerance__below": "0"}, "tolerance.below: '0' is not valid; expected a number"),
    (
        {"tolerance": {"within": 1, "reason": "x"}},
        "tolerance: within does not fit the kind order; expected above or below",
    ),
    ({"kind": "value"}, "tolerance: below does not fit the kind value; expected within"),
    ({**VALUE, "tolerance__within": -1}, "tolerance.within: -1 is not valid; expected a number that is not negative"),
    (
        {**VALUE, "paper_value": None},
        "tolerance.within: within 0.1 of paper_value None; expected a number in paper_value",
    ),
    ({**VALUE, "paper_value": "high"}, "tolerance.within: within 0.1 of paper_value 'high'; expected a number"),
    (
        {**VALUE, "evidence": {"kind": "digitised", "reading_error": 0.2}},
        "tolerance.within: 0.1 is smaller than the reading error; expected at least 0.2",
    ),
    (
        {"needs": "standart"},
        "needs: unknown preset 'standart'; expected one of quick, standard, paper, nearest 'standard'",
    ),
    (
        {"figure": "deconfounded_cka/ood.svg"},
        "figure: 'deconfounded_cka/ood.svg' has a suffix; expected the path without",
    ),
    ({"figure": "results/figures/x/ood"}, "figure: 'results/figures/x/ood' is not below results/figures/; expected"),
    ({"changes": [{"date": "2025-01-31", "field": "tolerance.below", "was": 1}]}, "changes[0].reason: required"),
    ({"changes": [{"date": "soon", "field": "x", "was": 1, "reason": "x"}]}, "changes[0].date: soon is not valid"),
]


@pytest.mark.parametrize(("changes", "expected"), MISTAKES, ids=[expected[:40] for _, expected in MISTAKES])
def test_each_mistake_is_told_with_file_claim_and_field(folder, changes, expected):
    write(folder, with_changes(**changes))
    lines = told(folder)
    name = changes.get("id", CLAIM["id"])
    matching = [line for line in lines if expected in line]
    assert len(matching) == 1, lines
    assert matching[0].startswith(f"claims/deconfounded_cka.yaml: {name}: ")


def test_on_that_is_never_used_is_told(folder):
    without = {name: {**group, "experiment": "ood"} for name, group in CLAIM["select"].items()}
    write(folder, with_changes(select=without, figure="deconfounded_cka/ood"))
    assert told(folder) == [
        "claims/deconfounded_cka.yaml: dcka-a5-advantage: on: never used; expected {on} in select or figure (line 11)"
    ]


def test_all_mistakes_are_told_at_once_with_their_lines(folder):
    wrong = with_changes(id="dcka-wrong", needs="large", kind="ordr", select__gap__quantity=1)
    write(folder, wrong, with_changes(source=...))
    lines = told(folder)
    text = (folder / "deconfounded_cka.yaml").read_text().splitlines()
    assert len(lines) == 4
    for line, shown in [(line, line.rpartition("(line ")[2].rstrip(")")) for line in lines]:
        key = line.split(": ")[2].rpartition(".")[2]
        assert (key if key != "source" else "- id") in text[int(shown) - 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("paper: [", "claims/deconfounded_cka.yaml: no YAML in line"),
        ("- a\n- b\n", "claims/deconfounded_cka.yaml: not keys and values; expected paper and claims"),
        ("", "claims/deconfounded_cka.yaml: paper: missing; expected one of input_similarity, stitching"),
        ("paper: deconfounded_cka\n", "claims/deconfounded_cka.yaml: claims: missing; expected a list of claims"),
        ("paper: deconfounded_cka\nclaims: 3\n", "claims/deconfounded_cka.yaml: claims: not a list"),
        ("paper: deconfounded_cka\nclaims: [3]\n", "claim 1: not a mapping; expected the fields of a claim (line 2)"),
        ("paper: deconfounded_cka\nclaim: []\n", "claim: unknown key; expected one of paper, claims, nearest 'claims'"),
        ("paper: deconfounded_ck\nclaims: []\n", "paper: unknown paper 'deconfounded_ck'"),
        ("paper: deconfounded_ck\nclaims: []\n", "nearest 'deconfounded_cka' (line 1)"),
        ("paper: stitching\nclaims: []\n", "paper: stitching in a file called deconfounded_cka.yaml"),
        (
            "paper: deconfounded_cka\nclaims:\n  - id: dcka-x\n    needs: quick\n    needs: paper\n",
            "claims/deconfounded_cka.yaml: dcka-x: needs: given twice, in line 4 and in line 5; expected once",
        ),
        (
            "paper: deconfounded_cka\nclaims:\n  - id: dcka-x\n    tolerance: {above: 1, above: 2}\n",
            "claims/deconfounded_cka.yaml: dcka-x: tolerance.above: given twice, in line 4 and in line 4",
        ),
        ("paper: deconfounded_cka\nclaims: [{date: 2025-13-45}]\n", "no YAML: month must be in 1..12"),
        ("paper: deconfounded_cka\npaper: deconfounded_cka\n", "paper: given twice, in line 1 and in line 2"),
    ],
)
def test_a_file_that_is_no_claim_file(folder, text, expected):
    (folder / "deconfounded_cka.yaml").write_text(text)
    assert any(expected in line for line in told(folder)), told(folder)


def test_a_text_with_a_comma_within_braces_is_explained(folder):
    text = "paper: deconfounded_cka\nclaims:\n  - id: dcka-x\n    tolerance: {above: 0, reason: One, and more.}\n"
    (folder / "deconfounded_cka.yaml").write_text(text)
    assert any("within { } a text with a comma needs quotes" in line for line in told(folder))


def test_an_id_stands_once(folder):
    write(folder, CLAIM, with_changes())
    write(folder, CLAIM, name="stitching")
    first = "claims/deconfounded_cka.yaml, line 3"
    within, across = told(folder)
    assert within.startswith("claims/deconfounded_cka.yaml: dcka-a5-advantage: id: stands already in " + first)
    assert across.startswith("claims/stitching.yaml: dcka-a5-advantage: id: stands already in " + first)


def test_ids_are_permanent(folder):
    write(folder, CLAIM, with_changes(id="dcka-new"), with_changes(id="dcka-old"))
    ids = folder / "ids.txt"
    ids.write_text("# permanent\ndcka-a5-advantage\ndcka-newt\n\nretired: dcka-old It said nothing.\n")
    new, old, gone = told(folder)
    assert new.startswith(
        "claims/deconfounded_cka.yaml: dcka-new: id: not in claims/ids.txt; expected the line 'dcka-new' there, "
        "nearest 'dcka-newt'"
    )
    assert old.startswith("claims/deconfounded_cka.yaml: dcka-old: id: retired in claims/ids.txt; expected a new one")
    assert gone.startswith(
        "claims/ids.txt: dcka-newt: in no claim file; expected its claim, or the line 'retired: dcka-newt REASON': "
        "ids are permanent"
    )
    ids.write_text("dcka-a5-advantage\ndcka-new\ndcka-old\nretired: dcka-gone Never tested.\n")
    assert len(load(folder)) == 3


def test_a_faulty_line_of_ids_is_told(folder):
    write(folder, CLAIM)
    (folder / "ids.txt").write_text("retired: dcka-old\n")
    assert told(folder) == [
        "claims/ids.txt: 'retired: dcka-old' is not valid; expected an id per line, or 'retired: ID REASON'"
    ]


def test_a_folder_that_does_not_exist(folder):
    assert told(folder / "gone") == ["claims/gone: no such folder; expected one that holds claim files"]


def test_the_claims_of_the_repository_load(repository):
    claims = load(repository / "workflow" / "claims")
    assert {"dcka-a5-better-than-cka", "dcka-r7-division-bug"} <= {claim.id for claim in claims}
