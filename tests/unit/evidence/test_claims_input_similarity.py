"""The claims of the input-similarity paper: what they hold, and that the experiments write the rows they ask for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from netalike import data
from netalike.configuration.similarity_term_study import SimilarityTermStudy
from netalike.evidence.claims import judge, load
from netalike.evidence.claims.selection import rows_of
from netalike.evidence.measurements import OK, table
from netalike.experiments import similarity_term
from netalike.experiments.gradient_identities import gradient_identity_rows
from netalike.experiments.similarity_term_published import CURVES, FIRST_STEPS, READING_ERROR, STEPS
from netalike.experiments.toy import toy_rows
from netalike.experiments.toy_denoising import denoising_rows
from netalike.training.pair_stream import hold_out
from netalike.training.similarity_runs import train_runs
from netalike.training.toy import ToySettings, toy_runs, train_toys

PAPER = {"paper": "input_similarity"}


@pytest.fixture(scope="module")
def claims(repository):
    return [claim for claim in load(repository / "workflow" / "claims") if claim.paper == "input_similarity"]


@pytest.fixture(scope="module")
def by_id(claims):
    return {claim.id: claim for claim in claims}


# ---- what the file says ----------------------------------------------------------------------------------------------


def test_what_is_from_memory_has_no_value_and_every_other_has_its_kind_of_evidence(claims):
    kinds = {claim.id: claim.evidence.kind for claim in claims}
    assert set(kinds.values()) == {"code", "digitised", "abstract", "hypothesis"}
    assert all(claim.paper_value is None for claim in claims if claim.evidence.kind == "hypothesis")
    # of the paper's text we hold the abstract and public pages: these claims and no others
    assert {name for name, kind in kinds.items() if kind == "abstract"} == {
        "insim-c1-described-speeds-up",
        "insim-p11-over-fitting",
        "insim-p14-independent",
    }


@pytest.mark.parametrize(("word", "sign"), [("without", "baseline"), ("coded", "plus")])
@pytest.mark.parametrize("step", [30, 140])
def test_digitised_values_are_those_of_the_published_curve(by_id, word, sign, step):
    claim = by_id[f"insim-p12-{word}-step-{step}"]
    assert claim.paper_value == CURVES[sign][STEPS.index(step)]
    assert claim.evidence.reading_error == READING_ERROR == 0.003
    (group,) = claim.groups("mnist").values()
    assert group.estimator == (sign,)
    assert group.step == (step,)


def test_the_lead_is_that_of_the_published_first_steps(by_id):
    leads = [FIRST_STEPS["baseline"][accuracy] - FIRST_STEPS["plus"][accuracy] for accuracy in (0.5, 0.6, 0.7)]
    assert by_id["insim-p12-coded-lead"].paper_value == pytest.approx(np.mean(leads), abs=0.05)


def test_the_note_of_the_coded_sign_tells_the_published_gain():
    gains = [100 * (CURVES["plus"][i] - CURVES["baseline"][i]) for i, step in enumerate(STEPS) if 10 <= step <= 60]
    assert 6 < min(gains) < max(gains) < 11


# ---- the rows it asks for --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    found = [_exact_rows(), _toy_rows("clean", (8, 16)), _toy_rows("sizes", (8, 16)), _toy_rows("noisy", (8,), 0.2)]
    return pd.concat([*found, _term_rows()], ignore_index=True)


def _exact_rows():
    return table(gradient_identity_rows("gradient_identities_clean", range(1)), **PAPER, dataset="gaussian")


def _toy_rows(name, sizes, noise=0.0):
    settings = ToySettings(epochs=4, batch_size=8, lr=1e-3, loss="l2" if noise else "l1", polish=2)
    trained = [train_toys(toy_runs(n, [1, 4], range(2), noise=noise), settings) for n in sizes]
    experiment = f"toy_{name}"
    return table([*toy_rows(trained, experiment, bins=4), *denoising_rows(trained, experiment, 4)], **PAPER)


def _term_rows():
    """A few steps on digits; every claim's steps and accuracies are put in their place."""
    given = {"seeds": 1, "steps": 4, "evaluate_every": 2, "n_validation": 60, "cosine_images": 2}
    study = {**SimilarityTermStudy.model_validate(given).model_dump(mode="json"), "seed": 0}
    pool, settings = hold_out(data.load("digits", "train", limit=300), 60), similarity_term.settings_of(study)
    found = [
        {**row, "step": {0: 0, 2: 30, 4: 140}.get(row.get("step"), row.get("step")), "status": OK, "value": 0.5}
        for run in train_runs(pool, similarity_term.runs_of(study, [0]), settings)
        for row in similarity_term.run_rows(run, pool, settings)
    ]
    return table(found, **PAPER, experiment="similarity_term_mnist", dataset="mnist")


def _groups(claims, maps):
    for claim in claims:
        for name, group in claim.groups(claim.on[0] if claim.on else "").items():
            if any(text.startswith("map_alignment") for text in group.experiment) == maps:
                yield f"{claim.id}: {name}", group


def test_the_experiments_write_the_rows_of_every_group(claims, rows):
    found = {name: rows_of(rows, group)["status"].eq(OK).sum() for name, group in _groups(claims, maps=False)}
    assert len(found) > 35
    assert [name for name, number in found.items() if number == 0] == []


def test_map_alignment_writes_the_rows_of_every_group(claims):
    rows = _map_rows()
    found = {name: rows_of(rows, group)["status"].eq(OK).sum() for name, group in _groups(claims, maps=True)}
    assert len(found) == 11
    assert [name for name, number in found.items() if number == 0] == []
    verdicts = {claim.id: judge(claim, rows, "standard") for claim in claims if claim.on == ("scenes", "tiles")}
    assert verdicts["insim-p14-independent"].estimate.value == pytest.approx(0.25)
    assert verdicts["insim-p14-independent"].verdict == "reproduced"
    assert verdicts["insim-p14-bias-stays"].verdict == "contradicted"
    assert verdicts["insim-p15-second-round"].estimate.value == 0
    assert all(found.estimate.n_rows > 0 for found in verdicts.values())


def _map_rows():
    pytest.importorskip("tensorflow")
    from netalike.data.polygons import moved
    from netalike.data.scenes import clean_scene
    from netalike.experiments.map_alignment import error_rows, relative_rows

    square = np.array([(20, 20), (20, 40), (40, 40), (40, 20)], float)
    clean = [clean_scene(f"s{i}", np.zeros((64, 64, 3), np.uint8), [square], [{}]) for i in range(6)]
    scenes = [replace(one, labels=moved(one.polygons, (0.0, 2.0))) for one in clean]
    found = []
    for noise in ("independent", "smooth", "bias", "clean"):
        for number, left in enumerate((2.0, 0.5, 0.5)):
            aligned = [moved(one.polygons, (0.0, 0.0 if noise == "clean" else left)) for one in scenes]
            factors = {"noise": noise, "round": number, "passes": min(number, 1)}
            found += error_rows(scenes, aligned, "test", **factors)
            found += relative_rows(scenes, aligned, "test", **factors) if number else []
    constants = {**PAPER, "experiment": "map_alignment_scenes", "dataset": "scenes", "seed": 0}
    return table([*found, *_patch_rows()], **constants)


def _patch_rows():
    from netalike.experiments.map_similarity import Patches, PatchSimilarity, similarity_rows

    random, n = np.random.default_rng(0), 6
    gradients = random.standard_normal((n, 5, 2)) + 1
    facts = [{"buildings": 1 + i % 2, "size": 10.0 + i, "angle": 10.0 * i, "palette": "grey"} for i in range(n)]
    patches = Patches(np.zeros((n, 124, 124, 3), np.uint8), ((),) * n, random.normal(size=(n, 2)), tuple(facts))
    kernel = np.einsum("ipa,jpb->ijab", gradients, gradients)
    similarity = PatchSimilarity(patches, kernel, np.corrcoef(gradients[:, :, 0]), np.zeros((n, 2)))
    return similarity_rows(similarity, 2, 0, noise="independent", round=1, outputs="centre")
