"""`netalike compare-panel`: networks of one's own under all families of measures, with tables, figures and a page."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from netalike import networks
from netalike.cli import app
from netalike.errors import NetalikeError
from netalike.experiments.panel_run import facts_of_card


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    files = []
    for seed in (0, 1):
        model = networks.build("lenet", channels=1, classes=10, seed=seed)
        settings = {"task": "classes", "lr": 0.1, "augment": False}
        card = networks.Card(
            architecture="lenet", dataset="digits", channels=1, classes=10, seed=seed, settings=settings
        )
        networks.save(model, folder / f"net{seed}.safetensors", card)
        files.append(str(folder / f"net{seed}.safetensors"))
    return files


def run(*arguments):
    return CliRunner().invoke(app, ["compare-panel", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def done(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "mine"
    families = ["-c", "representation", "-c", "behaviour", "-c", "alignment"]
    found = run(*weights, "-o", folder, "-n", 40, *families, "-l", "relu3", "-l", "relu4", "--json", "--threads", 1)
    assert found.exit_code == 0, found.output
    return folder, json.loads(found.stdout.splitlines()[-1])


def value(told, a, b, measure):
    found = [p["value"] for p in told["pairs"] if (p["network_a"], p["network_b"], p["measure"]) == (a, b, measure)]
    assert len(found) == 1
    return found[0]


def test_a_network_is_like_itself_and_like_its_units_in_another_order(done):
    _, told = done
    for measure in ("cka/unbiased", "cka/biased", "prediction_agreement/share", "rsa/pearson"):
        assert value(told, "net0", "net0", measure) == pytest.approx(1, abs=1e-6)
    assert value(told, "net0", "net0@permuted_units", "procrustes/published") == pytest.approx(0, abs=1e-6)
    assert 0 < value(told, "net0", "net1", "cka/unbiased") < 0.999
    assert abs(value(told, "net0", "noise", "cka/unbiased")) < 0.15


def test_untrained_twins_take_part_where_a_card_says_how_to_build_them(done):
    _, told = done
    names = {pair["network_b"] for pair in told["pairs"]}
    assert {"net0@untrained", "net1@untrained", "net0@permuted_samples"} <= names


def test_tables_figures_and_a_page_are_left_and_nothing_unfinished(done):
    folder, told = done
    table = pd.read_parquet(folder / "tables/measurements.parquet")
    assert set(table["experiment"]) == {
        f"{e}_mine" for e in ("layers", "measures", "behaviour", "alignment", "comparison")
    }
    assert len(pd.read_csv(folder / "tables/pairs.csv")) == len(told["pairs"])
    timings = pd.read_csv(folder / "tables/timings.csv")
    assert (timings["seconds_pairs"] + timings["seconds_networks"] > 0).all()
    figures = {path.stem for path in (folder / "figures/comparison/mine").glob("*.svg")}
    assert figures == {"measure_correlations", "pair_heatmap", "measure_separation", "cost_pareto", "network_maps"}
    assert "How alike are these networks? (mine)" in (folder / "index.html").read_text()
    assert (folder / "comparison/mine.html").is_file()
    assert not (folder / "unfinished").exists()


def test_the_same_command_gives_the_same_numbers(done, weights, tmp_path):
    folder, _ = done
    families = ["-c", "representation", "-c", "behaviour", "-c", "alignment"]
    again = tmp_path / "mine"
    assert run(*weights, "-o", again, "-n", 40, *families, "-l", "relu3", "-l", "relu4", "--threads", 1).exit_code == 0
    first, second = ((f / "tables/measurements.csv").read_bytes() for f in (folder, again))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-c", "stitch"], "unknown family of measures 'stitch'.*Did you mean 'stitching'"),
        (["-l", "relu9"], "relu9"),
        (["-d", "digit"], "unknown data set 'digit'.*Did you mean 'digits'"),
    ],
)
def test_a_mistake_is_named_before_anything_is_computed(weights, tmp_path, arguments, message):
    with pytest.raises(NetalikeError, match=message):
        run(*weights, "-o", tmp_path / "out", "-n", 40, *arguments)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(weights, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(NetalikeError, match="out is a file: choose another folder"):
        run(*weights, "-o", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_without_a_card_nobody_builds_a_twin(weights, tmp_path):
    import torch

    model, _ = networks.load(weights[0])
    torch.save(model.state_dict(), tmp_path / "a.pt")
    torch.save(networks.load(weights[1])[0].state_dict(), tmp_path / "b.pt")
    with pytest.raises(NetalikeError, match=r"has no card.*--no-untrained"):
        run(tmp_path / "a.pt", tmp_path / "b.pt", "-a", "lenet", "-d", "digits", "-o", tmp_path / "out", "-n", 40)


def test_facts_of_a_card():
    card = networks.Card(
        architecture="lenet", dataset="digits", settings={"eps": 1, "augment": True, "task": "shortcut"}
    )
    facts = facts_of_card(card, "mine")
    assert (facts["family"], facts["eps"], facts["augment"], facts["task"]) == ("mine", 1.0, True, "shortcut")
    assert json.loads(facts["training"])["eps"] == 1
