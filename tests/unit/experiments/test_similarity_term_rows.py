"""Rows of the experiment with a similarity term: which runs there are, what a run says, and the published table."""

import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from netalike import data
from netalike.configuration.similarity_term_study import SimilarityTermStudy
from netalike.evidence.claims import Statistic, estimate
from netalike.evidence.measurements import parse_condition, read, table
from netalike.experiments import similarity_term as experiment
from netalike.experiments import similarity_term_published as published
from netalike.training.pair_stream import hold_out
from netalike.training.similarity_runs import Run, train_runs
from netalike.training.similarity_term import Variant


def study(**changes):
    given = {"seeds": 3, "few_seeds": 1, "steps": 4, "evaluate_every": 2, "n_validation": 60, "cosine_images": 2}
    return {**SimilarityTermStudy.model_validate(given | changes).model_dump(mode="json"), "seed": 0}


@pytest.fixture(scope="module")
def pool():
    return hold_out(data.load("digits", "train", limit=300), 60)


@pytest.fixture(scope="module")
def rows(pool):
    wanted, settings = experiment.runs_of(study(), [0, 1]), experiment.settings_of(study())
    return table(row for run in train_runs(pool, wanted, settings) for row in experiment.run_rows(run, pool, settings))


def test_the_first_few_seeds_train_everything_and_the_others_the_main_variants():
    given = study(weights=[1, 0.3, 3], masks=["posnegflat", "random"])
    runs = experiment.runs_of(given, [0, 2])
    main = [Variant(), Variant("plus", 1.0), Variant("minus", 1.0)]
    assert [variant for variant, seed in runs if seed == 2] == main
    first = [variant for variant, seed in runs if seed == 0]
    assert first[:3] == main
    assert [variant.name for variant in first[3:]] == [
        "plus-0.3-same_class-posnegflat",
        "minus-0.3-same_class-posnegflat",
        "plus-3-same_class-posnegflat",
        "minus-3-same_class-posnegflat",
        "plus-1-same_class-random",
        "minus-1-same_class-random",
        "plus-1-different_class-posnegflat",
        "minus-1-different_class-posnegflat",
    ]


def test_the_control_and_a_sign_can_be_left_out():
    runs = experiment.runs_of(study(signs=["minus"], different_class=False), [0])
    assert [variant for variant, _ in runs] == [Variant(), Variant("minus", 1.0)]


def test_settings_are_those_of_the_study():
    settings = experiment.settings_of(study(batch_size=2, lr=0.01))
    assert (settings.steps, settings.evaluate_every, settings.cosine_images) == (4, 2, 2)
    assert (settings.batch_size, settings.lr, settings.seed) == (2, 0.01, 0)


def test_there_is_a_row_for_each_evaluation_of_each_run(rows):
    accuracy = rows[rows["quantity"] == "validation_accuracy"]
    assert len(accuracy) == 8 * 3  # 5 variants of seed 0, 3 of seed 1; 3 evaluations
    assert set(accuracy["step"]) == {0, 2, 4}
    assert set(accuracy["n_samples"]) == {60}
    assert set(accuracy["split"]) == {"validation"}
    assert set(accuracy["network_a"]) == {"prelu_cnn-s0", "prelu_cnn-s1"}
    cosine = rows[rows["quantity"] == "gradient_cosine"]
    assert len(cosine) == 2 * len(accuracy)
    start = cosine[cosine["step"] == 0]
    start = start.assign(between=start["condition"].map(lambda text: parse_condition(text)["between"]))
    lowest, highest = start.groupby("between")["value"].min(), start.groupby("between")["value"].max()
    assert lowest["same_class"] > highest["different_class"] + 0.5


def test_the_evaluation_before_training_is_the_same_in_all_variants_of_a_seed(rows):
    start = rows[(rows["quantity"] == "validation_accuracy") & (rows["step"] == 0)]
    assert start.groupby("seed")["value"].nunique().tolist() == [1, 1]


def test_claims_can_pair_a_variant_with_the_baseline(rows):
    accuracy = rows[rows["quantity"] == "validation_accuracy"]
    minus = accuracy[(accuracy["estimator"] == "minus") & accuracy["condition"].str.contains("same_class")]
    groups = {"minus": minus, "baseline": accuracy[accuracy["estimator"] == "baseline"]}
    found = estimate(groups, Statistic(name="difference", of=("minus", "baseline"), join=("network_a", "step")))
    expected = minus["value"].to_numpy() - groups["baseline"]["value"].to_numpy()
    assert found.n_rows == 6
    assert found.value == pytest.approx(expected.mean())


def made_up_run():
    evaluated = [0, 5, 10]
    return Run(
        4,
        Variant("plus", 1.0),
        evaluated,
        [0.1, 0.65, 0.55],
        [0.5] * 3,
        [float("nan")] * 3,
        [1.0] * 5 + [3.0] * 5,
        [0.5] * 10,
    )


def test_means_of_training_are_over_the_steps_since_the_last_evaluation(pool):
    rows = table(experiment.run_rows(made_up_run(), pool, experiment.settings_of(study())))
    loss = rows[rows["quantity"] == "train_loss"]
    assert loss["step"].tolist() == [5, 10]
    assert loss["value"].tolist() == [1.0, 3.0]
    assert loss["n_samples"].tolist() == [10, 10]
    assert set(loss["split"]) == {"train"}


def test_steps_to_an_accuracy_are_the_first_and_say_where_there_is_none(pool):
    rows = table(experiment.run_rows(made_up_run(), pool, experiment.settings_of(study())))
    reached = rows[rows["quantity"] == "first_step_at"].set_index("condition")
    name = "accuracy={};mask=posnegflat;partner=same_class;weight=1".format
    assert reached.loc[name("0.5"), "value"] == reached.loc[name("0.6"), "value"] == 5
    assert reached.loc[name("0.75"), "status"] == "not reached in 10 steps"
    assert np.isnan(reached.loc[name("0.75"), "value"])
    assert rows[rows["quantity"] == "final_accuracy"][["step", "value"]].to_numpy().tolist() == [[10, 0.55]]
    missing = rows[(rows["quantity"] == "gradient_cosine") & rows["value"].isna()]
    assert set(missing["status"]) == {"undefined: no such pair of held-out images"}


def test_the_published_table_agrees_with_its_own_first_steps():
    for sign, curve in published.CURVES.items():
        assert len(curve) == len(published.STEPS)
        assert list(curve) == sorted(curve)
        for accuracy, step in published.FIRST_STEPS[sign].items():
            # linear between points that are up to 20 steps apart, on a curve that is not smooth
            assert np.interp(step, published.STEPS, curve) == pytest.approx(accuracy, abs=0.025)


def test_the_rows_are_the_same_twice(pool):
    settings = experiment.settings_of(study(steps=1))
    made = [
        experiment.run_rows(train_runs(pool, [(Variant("minus", 1.0), 1)], settings)[0], pool, settings)
        for _ in range(2)
    ]
    torch.manual_seed(0)
    assert made[0] == made[1]


def test_the_script_writes_the_rows_of_its_seeds_and_leaves_no_checkpoint(tmp_path, repository, monkeypatch):
    monkeypatch.chdir(repository)
    places = {"data": {"root": str(tmp_path), "mirror": None, "offline": True}, "resources": {"device": "cpu"}}
    job = SimpleNamespace(
        config=places,
        log=[str(tmp_path / "log.txt")],
        threads=1,
        wildcards=SimpleNamespace(study="mine"),
        params=SimpleNamespace(study=study(steps=1), seeds=[0, 2], checkpoints=str(tmp_path / "checkpoints")),
        output=SimpleNamespace(measurements=tmp_path / "rows.parquet"),
    )
    runpy.run_path("workflow/scripts/train_with_similarity.py", init_globals={"snakemake": job})
    rows = read(job.output.measurements)
    assert set(rows["seed"]) == {0, 2}
    assert set(rows["experiment"]) == {"similarity_term_mine"}
    assert set(rows["paper"]) == {"input_similarity"}
    assert len(rows[rows["quantity"] == "final_accuracy"]) == 5 + 3
    assert not list((tmp_path / "checkpoints").iterdir())
