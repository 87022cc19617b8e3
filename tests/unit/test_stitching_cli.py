"""`netalike stitch`, `compare`, `compare-stitch`, `match`: published options, what is stored, one-line errors."""

from __future__ import annotations

import inspect
import json

import pytest
import torch

from netalike import cli, data, networks, stitching_cli
from netalike.stitching import comparison, names, results
from netalike.stitching.evaluation import evaluate_stitch
from netalike.stitching.transform import StitchedNetwork


def run(capsys, *arguments, code=0):
    """Run the command line in this process; return what it printed to stdout, or to stderr where it fails."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured.err if code else captured.out


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two untrained networks with cards, one as a foreign file, and one of another architecture."""
    folder = tmp_path_factory.mktemp("networks")
    for seed in (0, 1):
        model = networks.build("tiny10", 1, 10, seed=seed)
        networks.save(model, folder / f"in{seed}.safetensors", networks.Card("tiny10", "digits", channels=1, seed=seed))
        torch.save(model.state_dict(), folder / f"in{seed}.pt")
    torch.save(networks.build("dense", 1, 10, seed=0).state_dict(), folder / "dense.pt")
    torch.save(networks.build("tiny10", 3, 10, seed=0).state_dict(), folder / "colour.pt")
    return folder


CARDS = ["in0.safetensors", "in1.safetensors"]
FOREIGN = ["in0.pt", "in1.pt"]
SMALL = ["--limit", 64, "-b", 32, "-e", 1]


@pytest.fixture
def stitch(nets, tmp_path, capsys):
    def call(*options, front="in0.safetensors", end="in1.safetensors", layers=("bn8", "bn8"), name="run", code=0):
        arguments = ["stitch", nets / front, nets / end, *layers, "-o", tmp_path, "--run-name", name, "--json"]
        told = run(capsys, *arguments, *SMALL, *options, code=code)
        return told if code else json.loads(told)

    return call


@pytest.fixture(scope="module")
def stitched(nets, tmp_path_factory):
    """One stitch for all tests that only read it."""
    folder = tmp_path_factory.mktemp("stitch")
    arguments = ["stitch", nets / "in0.safetensors", nets / "in1.safetensors", "bn8", "bn8", "-o", folder]
    with pytest.raises(SystemExit):
        cli.main([str(a) for a in [*arguments, "--run-name", "run", "-i", "ps_inv", "-lr", 0.01, *SMALL]])
    return folder / "run" / "bn8-bn8"


# --- the options of the published code ------------------------------------------------------------------------------


def test_the_defaults_are_the_published_ones():
    found = {name: value.default for name, value in inspect.signature(stitching_cli.stitch_command).parameters.items()}
    published = {
        "optimizer": "adam",
        "seed": 0,
        "epochs": 30,
        "batch_size": 128,
        "lr": 1e-3,
        "weight_decay": 0,
        "l1": 0,
        "cka_reg": 0,
        "low_rank": None,
        "temperature": 1,
        "save_frequency": 10,
        "flatten": False,
        "init": "random",
        "mask": "identity",
        "target_type": "hard",
    }
    assert {name: found[name] for name in published} == published
    assert str(found["out_dir"]) == "results"
    assert names.DATASET == "cifar10"
    found = {name: value.default for name, value in inspect.signature(stitching_cli.match_command).parameters.items()}
    assert [found[name] for name in ("loss", "epochs", "batch_size", "lr")] == ["mse", 100, 64, 1e-4]
    assert (found["init_model"], found["train_on"], found["out_dir"]) == ("least_squares", "test", None)
    found = {name: value.default for name, value in inspect.signature(stitching_cli.compare_command).parameters.items()}
    assert (found["batch_size"], found["group_at"], found["split"]) == (256, None, "test")


def test_the_published_letters_are_understood(nets, tmp_path, capsys):
    letters = "-e 2 -b 16 -lr 0.01 -wd 0.1 --l1 0.001 --cka-reg 0.01 --temperature 2 -s 1 -i ones-zeros -m semi-match"
    others = "--target-type soft_1_plus_2 --optimizer sgd --seed 3 --limit 48 --no-augment"
    files = [nets / "in0.pt", nets / "in1.pt"]
    run(capsys, "stitch", *files, "bn3", "relu3", "-a", "tiny10", "-d", "digits", "-o", tmp_path, "--run-name", "run",
        *letters.split(), *others.split())  # fmt: skip
    stored = results.load(tmp_path / "run" / "bn3-relu3")
    assert stored.parameters == {
        "init": "ones_zeros",
        "mask": "semi_match",
        "low_rank": None,
        "flatten": False,
        "resize": False,
        "epochs": 2,
        "batch_size": 16,
        "lr": 0.01,
        "weight_decay": 0.1,
        "optimizer": "sgd",
        "augment": False,
        "save_every": 1,
        "l1": 0.001,
        "cka_reg": 0.01,
        "target": "soft_1_plus_2",
        "temperature": 2.0,
        "save_frequency": 1,
        "seed": 3,
    }
    assert sorted(stored.snapshots) == [0, 2, 4, 6]  # every save_frequency * epochs steps
    assert (stored.front.layer, stored.end.layer) == ("bn3", "relu3")
    assert stored.data["dataset"] == "digits"
    assert bool((stored.layer("after").mask.sum(1) == 1).all())


def test_the_folder_is_the_time_unless_it_is_named(nets, tmp_path, capsys):
    arguments = ["stitch", nets / "in0.safetensors", nets / "in1.safetensors", "fc", "fc", "-o", tmp_path, *SMALL]
    text = run(capsys, *arguments)
    (folder,) = tmp_path.iterdir()
    assert len(folder.name) == len("2026-01-31_235959")
    assert f"stored in {folder / 'fc-fc'}; open {folder / 'fc-fc' / 'report.html'}" in text


def test_a_stitch_leaves_everything_and_reloads_to_what_was_printed(stitch, tmp_path):
    told = stitch("-i", "ps_inv", "-lr", 0.01)
    folder = tmp_path / "run" / "bn8-bn8"
    assert told["result"] == str(folder)
    files = ["learning_curve.csv", "report.html", "report.pdf", "stitch.safetensors", "summary.json"]
    assert sorted(path.name for path in folder.iterdir()) == files
    stored = results.load(folder)
    images = data.load("digits", "test", limit=64)
    layers = [stored.layers[stage] for stage in ("before", "least_squares")]
    again = evaluate_stitch(*results.open_networks(stored), stored.layer(), images, *layers)
    assert again.to_dict() == {key: told[key] for key in again.to_dict()}
    assert stored.evaluation.to_dict() == again.to_dict()


def test_b1_before_is_not_after(stitched):
    stored = results.load(stitched)
    moved = (stored.layer("after").weight - stored.layer("before").weight).abs().max().item()
    assert 0.001 < moved < 0.1  # two steps of Adam at 0.01
    assert torch.equal(stored.layer("before").weight, stored.layer("least_squares").weight)


def test_b7_least_squares_is_fitted_on_the_training_images(stitched):
    from netalike.stitching.least_squares import fit

    stored = results.load(stitched)
    cuts = results.open_networks(stored)
    train, test = (fit(*cuts, data.load("digits", split, limit=64)).affine()[0].float() for split in ("train", "test"))
    assert torch.allclose(stored.layer("least_squares").weight, train, atol=1e-6)
    assert not torch.allclose(train, test, atol=1e-3)


def test_b4_masks_are_fitted_on_the_training_images(stitch, tmp_path):
    from netalike.stitching import masks
    from netalike.stitching.least_squares import fit

    stitch("-m", "abs-semi-match")
    stored = results.load(tmp_path / "run" / "bn8-bn8")
    cuts = results.open_networks(stored)
    train, test = (
        masks.abs_semi_match(fit(*cuts, data.load("digits", split, limit=64)).correlation())
        for split in ("train", "test")
    )
    assert torch.equal(stored.layer().mask, train)
    assert not torch.equal(train, test)


@pytest.mark.parametrize("options", [["-r", 3], ["-r", 3, "-i", "ps_inv"], ["-r", 3, "--rank-start", "least_squares"]])
def test_low_rank_starts_at_random_or_from_the_reduced_rank_solution(options, stitch, tmp_path):
    stitch(*options)
    stored = results.load(tmp_path / "run" / "bn8-bn8")
    for stage in ("before", "after", "least_squares"):
        weight = stored.layer(stage).weight.detach().double()
        assert int(torch.linalg.matrix_rank(weight, rtol=1e-5)) == 3
    is_fitted = torch.equal(stored.layer("before").weight, stored.layer("least_squares").weight)
    assert is_fitted == (len(options) > 2)


def test_b8_flatten_runs_to_the_end(stitch, tmp_path):
    told = stitch("-f", layers=("bn7", "bn8"))
    stored = results.load(tmp_path / "run" / "bn7-bn8")
    assert stored.layer().weight.shape == (256, 256)
    assert told["networks"]["after"]["n"] == 64
    least_squares = told["similarity"]["least_squares"]["l2"]
    assert least_squares < told["similarity"]["before"]["l2"]


def test_vectors_are_stitched_by_a_linear_map(nets, tmp_path, capsys):
    arguments = ["stitch", nets / "dense.pt", nets / "dense.pt", "relu2", "fc2", "-a", "dense", "-d", "digits", *SMALL]
    run(capsys, *arguments, "-o", tmp_path, "--run-name", "run")
    assert results.load(tmp_path / "run" / "relu2-fc2").layer().kind == "vector"


def test_networks_of_two_architectures(nets, tmp_path, capsys):
    options = ["--front-architecture", "tiny10", "--end-architecture", "dense", "-d", "digits", *SMALL]
    arguments = ["stitch", nets / "in0.pt", nets / "dense.pt", "fc", "relu3", *options, "-o", tmp_path]
    run(capsys, *arguments, "--run-name", "run")
    stored = results.load(tmp_path / "run" / "fc-relu3")
    assert (stored.front.architecture, stored.end.architecture) == ("tiny10", "dense")
    assert stored.layer().weight.shape == (300, 10)


def test_resize_stitches_layers_of_two_sizes(stitch, tmp_path, capsys):
    told = stitch("--resize", layers=("bn7", "bn6"))
    text = run(capsys, "compare-stitch", told["result"], "after", "l2", "accuracy", "--limit", 64, "--json")
    found = json.loads(text)
    assert found["accuracy"] == told["networks"]["after"]["accuracy"]
    assert found["comparisons"][0]["value"] == pytest.approx(told["similarity"]["after"]["l2"], rel=1e-5)


def test_an_interrupted_stitch_goes_on_to_the_same_weights(stitch, tmp_path, monkeypatch):
    from netalike.training import checkpoint as checkpoints

    write = checkpoints.write

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    stitch("-e", 2)
    monkeypatch.setattr(checkpoints, "write", write_and_stop)
    stitch("-e", 2, name="stopped", code=130)
    assert [path.name for path in (tmp_path / "stopped" / "bn8-bn8").iterdir()] == ["checkpoint.safetensors"]
    monkeypatch.setattr(checkpoints, "write", write)
    stitch("-e", 2, name="stopped")
    first, second = ((tmp_path / name / "bn8-bn8" / "stitch.safetensors").read_bytes() for name in ("run", "stopped"))
    assert first == second
    assert not (tmp_path / "stopped" / "bn8-bn8" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("part", ["netalike.stitching.making.evaluate_stitch", "netalike.stitching.report.write"])
def test_b10_what_fails_after_the_training_does_not_lose_it(part, stitch, nets, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("anything")

    monkeypatch.setattr(part, fail)
    arguments = ["stitch", nets / "in0.safetensors", nets / "in1.safetensors", "bn8", "bn8", "-o", tmp_path]
    with pytest.raises(RuntimeError, match="anything"):
        cli.main([str(a) for a in [*arguments, "--run-name", "run", *SMALL]])
    stored = results.load(tmp_path / "run" / "bn8-bn8")
    cuts = results.open_networks(stored)
    monkeypatch.undo()
    logits = StitchedNetwork(cuts[0], stored.layer(), cuts[1])(data.load("digits", "test", limit=4).inputs())
    assert logits.shape == (4, 10)
    assert len(stored.curve) == 1
    assert (stored.evaluation is None) == ("evaluate" in part)


def test_b10_git_that_fails_does_not_lose_the_stitch(stitch, tmp_path, monkeypatch):
    from netalike.evidence import provenance

    monkeypatch.setattr(provenance.subprocess, "run", lambda *a, **k: (_ for _ in ()).throw(OSError("no git")))
    stitch()
    assert results.load(tmp_path / "run" / "bn8-bn8").provenance["commit"] == "unknown"


# --- compare --------------------------------------------------------------------------------------------------------


def test_compare_prints_what_the_library_finds(nets, capsys):
    files = [nets / "in0.pt", nets / "in1.pt"]
    methods = ["cka", "ps_inv", "l2", "corr", "ls_sum"]
    options = ["-a", "tiny10", "-d", "digits", "--limit", 40, "-g", 16]
    told = json.loads(run(capsys, "compare", *files, "bn4", "bn4", *methods, *options, "--json"))
    models = [networks.load(path, "tiny10", 1, 10)[0] for path in files]
    images = data.load("digits", "test", limit=40)
    expected = comparison.compare(*models, "bn4", "bn4", images, methods, group_at=16)
    assert [one["value"] for one in told["comparisons"]] == [c.value for c in expected]
    assert told["comparisons"][1]["weight"] == expected[1].weight.tolist()
    assert {key: told[key] for key in ("dataset", "split", "n")} == {"dataset": "digits", "split": "test", "n": 40}
    text = run(capsys, "compare", *files, "bn4", "bn4", *methods, *options)
    assert f"cka: {expected[0].value:.4f}" in text
    assert "least_squares: 32 x 32 matrix, mean squared error" in text


def test_compare_takes_the_data_set_from_the_card_and_either_split(nets, capsys):
    files = [nets / "in0.safetensors", nets / "in1.safetensors"]
    arguments = ["compare", *files, "bn8", "bn8", "cka", "--limit", 40, "--json"]
    found = {split: json.loads(run(capsys, *arguments, "-t", split)) for split in ("val", "test", "train")}
    assert found["val"] == found["test"]
    assert (found["train"]["dataset"], found["train"]["split"]) == ("digits", "train")
    assert found["train"]["comparisons"] != found["test"]["comparisons"]


def test_an_undefined_comparison_is_null_with_its_reason(nets, capsys):
    files = [nets / "in0.safetensors", nets / "in1.safetensors"]
    arguments = ["compare", *files, "bn8", "bn8", "cca/mean_squared", "--limit", 40]
    (one,) = json.loads(run(capsys, *arguments, "--json"))["comparisons"]
    assert one["value"] is None
    assert "perfectly correlated" in one["status"]
    assert "cca/mean_squared: undefined: 40 samples" in run(capsys, *arguments)


# --- compare-stitch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "name"), [("before", "before"), ("after", "after"), ("ps_inv", "least_squares")])
def test_compare_stitch_finds_what_the_summary_says(stage, name, stitched, capsys):
    methods = ["l2", "accuracy", "loss", "agreement"]
    found = json.loads(run(capsys, "compare-stitch", stitched, stage, *methods, "--limit", 64, "--json"))
    evaluation = results.load(stitched).evaluation
    assert found["comparisons"][0]["value"] == pytest.approx(evaluation.similarity[name].l2, rel=1e-3, abs=1e-6)
    for quantity in methods[1:]:
        assert found[quantity] == getattr(evaluation.networks[name], quantity)


def test_b5_the_split_is_used(stitched, capsys):
    arguments = ["compare-stitch", stitched, "after", "l2", "--limit", 64, "--json"]
    test, train = (json.loads(run(capsys, *arguments, "-t", split)) for split in ("val", "train"))
    assert train["split"] == "train"
    assert train["comparisons"][0]["value"] != test["comparisons"][0]["value"]


def test_b6_the_layer_is_used(stitched, capsys):
    arguments = ["compare-stitch", stitched, "after", "l2", "--limit", 64, "--json"]
    here, later = (json.loads(run(capsys, *arguments, *o))["comparisons"][0]["value"] for o in ([], ["-l", "relu8"]))
    stored = results.load(stitched)
    front, end = results.open_networks(stored)
    x = data.load("digits", "test", limit=64).inputs()
    with torch.no_grad():
        relu = (stored.layer()(front.head(x)).relu() - end.head(x).relu()).square().mean().item()
    assert later == pytest.approx(relu, rel=1e-5)
    assert later < here


# --- match ----------------------------------------------------------------------------------------------------------


def test_match_by_mse_comes_nearer_and_is_stored(stitched, tmp_path, capsys):
    options = ["--init_model", "frank_model", "--limit", 64, "--epoch", 3, "--batch", 16, "-lr", 0.001]
    (told,) = json.loads(run(capsys, "match", stitched, *options, "--out_dir", tmp_path, "--json"))
    assert told["init_model"] == "after"
    assert told["after_l2"] < told["before_l2"]
    assert told["before_accuracy"] == results.load(stitched).evaluation.accuracy
    assert len(told["train_loss"]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["matched.json", "matched.safetensors"]
    assert json.loads((tmp_path / "matched.json").read_text())["after_l2"] == told["after_l2"]


def test_match_by_cka_makes_it_larger(stitched, capsys):
    options = ["--init-model", "before", "--loss", "cka", "--limit", 64, "-e", 3, "-b", 32, "-lr", 0.001]
    text = run(capsys, "match", stitched, *options, "--train_on", "val")
    line = next(line for line in text.splitlines() if line.startswith("  cka: "))
    before, after = map(float, line.removeprefix("  cka: ").split(" -> "))
    assert after > before


# --- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stitch", *CARDS, "bn33", "bn3"], "Did you mean 'bn3'?"),
        (["stitch", *CARDS, "bn3", "relu33"], "Did you mean 'relu3'?"),
        (["stitch", *CARDS, "bn3", "bn3", "-d", "digit"], "Did you mean 'digits'?"),
        (
            ["stitch", *CARDS, "bn3", "bn3", "-d", "cifar10", "--data", "nowhere"],
            "fetch cifar10 --data nowhere",
        ),
        (["stitch", *CARDS, "bn4", "bn3"], "gives (32, 11, 11) for an image and the end layer (32, 13, 13)"),
        (["stitch", *CARDS, "bn8", "fc"], "Choose layers of one kind, or flatten"),
        (["stitch", *CARDS, "bn3", "bn6", "-i", "eye", "--resize"], "as many input as output channels, got 32 and 64"),
        (["stitch", "in0.pt", "dense.pt", "bn3", "bn3", "-a", "tiny10", "-d", "digits"], "The weights fit dense"),
        (["stitch", *FOREIGN, "bn3", "bn3", "-d", "digits"], "Its weights fit tiny10"),
        (["stitch", "in0.pt", "in2.pt", "bn3", "bn3", "-a", "tiny10", "-d", "digits"], "Did you mean in"),
        (["stitch", *FOREIGN, "bn3", "bn3", "-a", "tiny11", "-d", "digits"], "Did you mean 'tiny10'?"),
        (["stitch", "in0.pt", "colour.pt", "bn3", "bn3", "-a", "tiny10", "-d", "digits"], "fit tiny10 (channels=3"),
        (["stitch", *CARDS, "bn3", "bn3", "-i", "psinv"], "Did you mean 'ps_inv'?"),
        (["stitch", *CARDS, "bn3", "bn3", "-m", "semimatch"], "Did you mean 'semi_match'?"),
        (["stitch", *CARDS, "bn3", "bn3", "--target-type", "soft_3"], "unknown value of target 'soft_3'"),
        (["stitch", *CARDS, "bn3", "bn3", "-lr", "0"], "lr: input should be greater than 0, got 0.0"),
        (["stitch", *CARDS, "bn3", "bn3", "-b", "64"], "has 32 images, fewer than one batch of 64"),
        (["stitch", *CARDS, "bn3", "bn3", "-b", "16", "-r", "99"], "99"),
        (["stitch", *CARDS, "bn3", "bn3", "-r", "2", "-m", "semi-match"], "leave out --low-rank"),
        (["stitch", *CARDS, "bn3", "bn3", "--rank-start", "random"], "give a rank with --low-rank"),
        (["stitch", *CARDS, "bn3", "bn3", "--device", "gpu"], "unknown device 'gpu'"),
        (["stitch", *CARDS, "bn1", "bn1", "-f", "-b", "2", "-s", "1"], "give a larger --save-frequency"),
        (["compare", *CARDS, "bn3", "b3", "cka"], "Did you mean 'bn3'?"),
        (["compare", *CARDS, "bn3", "bn3", "ckaa"], "Did you mean 'cka'?"),
        (["compare", *CARDS, "bn3", "bn3", "cka", "-t", "valid"], "unknown split of digits 'valid'"),
        (["compare", *CARDS, "bn3", "bn3", "cka", "-g", "2"], "groups need at least 4 images"),
        (["compare-stitch", "nowhere", "after", "cka"], "no stitch in nowhere"),
        (["match", "nowhere"], "no stitch in nowhere"),
        (["match", "nowhere", "--init_model", "end_model"], "end_model is a network"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, nets, capsys, tmp_path, monkeypatch):
    for path in nets.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    text = run(capsys, *arguments, "--limit", 32, code=2)
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert message in text
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare-stitch", "aftr", "cka"], "Did you mean 'after'?"),
        (["compare-stitch", "after", "accurcy"], "Did you mean 'accuracy'?"),
        (["compare-stitch", "after", "l2", "-l", "relu88"], "Did you mean 'relu8'?"),
        (["compare-stitch", "after", "l2", "-l", "bn2"], "does not come after the stitch"),
        (["match", "--init-model", "psinv_model"], "Did you mean"),
        (["match", "--loss", "cca"], "Did you mean 'cka'?"),
        (["match", "--front", "dense.pt"], "is not the front network of this stitch"),
    ],
)
def test_mistakes_about_a_stitch(arguments, message, stitched, nets, capsys):
    command, *rest = [str(nets / a) if a == "dense.pt" else a for a in arguments]
    text = run(capsys, command, stitched, *rest, "--limit", 32, code=2)
    assert text.count("\n") == 1
    assert message in text


def test_b20_old_names_of_every_option_are_accepted():
    from netalike.stitching.names import canonical

    assert [canonical("init", n) for n in ("ps_inv", "perm", "eye", "ones-zeros")] == [
        "least_squares",
        "permutation",
        "identity",
        "ones_zeros",
    ]
    assert [stitching_cli._MATCHED[n] for n in ("frank_model", "ps_inv_model")] == ["after", "least_squares"]


@pytest.mark.mirror
def test_the_authors_networks_are_stitched(mirror, tmp_path, capsys):
    """B21 as well: what a network is is named, and not read off its path."""
    files = [mirror / "networks" / "tiny10" / f"in{k}-gn{k}.pt" for k in (0, 1)]
    options = ["-a", "tiny10", "-d", "cifar10", "-i", "ps_inv", "-e", 1, "--limit", 2000, "--data", mirror]
    told = json.loads(run(capsys, "stitch", *files, "bn5", "bn5", *options, "-o", tmp_path, "--json"))
    accuracy = {name: scores["accuracy"] for name, scores in told["networks"].items()}
    assert accuracy["front"] > 0.84
    assert accuracy["end"] > 0.84
    assert accuracy["after"] > accuracy["least_squares"] > 0.3
    assert told["networks"]["after"]["relative_accuracy"] == pytest.approx(accuracy["after"] / accuracy["end"])
