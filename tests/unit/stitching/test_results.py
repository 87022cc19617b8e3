"""A stitch on disk reloads to equal logits in every mode; what is damaged or of another stitch is refused."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json

import pytest
import safetensors.torch
import torch

from netalike import data, networks
from netalike.errors import BadFileError, NetalikeError, UnknownNameError
from netalike.stitching import masks, report, results
from netalike.stitching.evaluation import evaluate_stitch
from netalike.stitching.least_squares import fit
from netalike.stitching.splitting import split
from netalike.stitching.transform import StitchedNetwork, StitchingLayer, initial

IMAGES = data.load("digits", "test", limit=24)
ROW = {
    "epoch": 1,
    "learning_rate": 1e-3,
    "train_loss": 2.0,
    "train_accuracy": 0.2,
    "test_loss": 2.5,
    "test_accuracy": 0.1,
}
# name of the mode -> layer, flatten, rank, mask, initialisation
MODES = {
    "random": ("bn3", False, None, "identity", "random"),
    "permutation": ("bn3", False, None, "identity", "permutation"),
    "identity": ("bn3", False, None, "identity", "identity"),
    "ones_zeros": ("bn3", False, None, "identity", "ones_zeros"),
    "least_squares": ("bn8", False, None, "identity", "least_squares"),
    "semi_match": ("bn8", False, None, "semi_match", "random"),
    "abs_semi_match": ("bn8", False, None, "abs_semi_match", "least_squares"),
    "random_permutation": ("bn8", False, None, "random_permutation", "identity"),
    "low rank": ("bn8", False, 3, "identity", "random"),
    "low rank from least squares": ("bn8", False, 5, "identity", "least_squares"),
    "flatten": ("bn8", True, None, "identity", "random"),
    "flatten, low rank": ("bn8", True, 2, "identity", "random"),
    "vectors": ("fc", False, None, "identity", "least_squares"),
}


def trained(layer: StitchingLayer) -> StitchingLayer:
    """A copy that training could have made: every parameter moved, the mask respected."""
    moved = copy.deepcopy(layer)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return moved


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for seed in (0, 1):
        card = networks.Card("tiny10", "digits", channels=1, classes=10, seed=seed)
        networks.save(networks.build("tiny10", 1, 10, seed=seed), folder / f"net{seed}.safetensors", card)
    return [folder / f"net{seed}.safetensors" for seed in (0, 1)]


def make(weights, mode="least_squares"):
    name, flatten, rank, mask_name, start = MODES[mode]
    loaded = [networks.load(path) for path in weights]
    cuts = [split(model, name) for model, _ in loaded]
    sides = [
        results.side(path, card, cut, cut.shape(IMAGES.inputs(0, 1)))
        for path, (_, card), cut in zip(weights, loaded, cuts, strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    equations = fit(*cuts, IMAGES, flatten=flatten)
    blank = StitchingLayer(sides[0].shape, sides[1].shape, flatten=flatten)
    correlation = None if flatten else equations.correlation()
    mask = masks.mask(mask_name, blank.inputs, blank.outputs, correlation, generator)
    affine = initial(start, blank.inputs, blank.outputs, generator, equations, rank)
    form = {"kind": blank.kind, "end_shape": blank.end_shape}
    before = StitchingLayer.from_matrix(*affine, rank=rank, mask=mask, **form)
    layers = {
        "before": before,
        "after": trained(before),
        "least_squares": StitchingLayer.from_matrix(*equations.affine(), **form),
    }
    result = results.StitchResult(
        *sides,
        layers,
        snapshots={0: before.snapshot(), 30: layers["after"].snapshot()},
        curve=[dict(ROW)],
        parameters={"init": start, "low_rank": rank},
        data={"dataset": "digits"},
    )
    return result, cuts


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_reloads_to_equal_logits(mode, weights, tmp_path):
    result, cuts = make(weights, mode)
    results.save(tmp_path, result)
    loaded = results.load(tmp_path)
    opened = results.open_networks(loaded)
    x = IMAGES.inputs()
    for stage, layer in result.layers.items():
        expected = StitchedNetwork(cuts[0], layer, cuts[1])(x)
        assert torch.equal(loaded.network(*opened, stage)(x), expected), stage
        assert loaded.layers[stage].rank == layer.rank
    assert torch.equal(loaded.snapshot(30).weight, result.layers["after"].weight)


def test_b1_before_is_not_after(weights, tmp_path):
    result, _ = make(weights, "random")
    results.save(tmp_path, result)
    loaded = results.load(tmp_path)
    difference = loaded.layer("after").weight - loaded.layer("before").weight
    assert difference.abs().mean().item() == pytest.approx(0.08, abs=0.02)  # 0.1 of a normal draw
    assert torch.equal(loaded.snapshots[0][0], result.layers["before"].weight)


def test_b2_a_square_matrix_of_low_rank_comes_back_the_right_way_round(weights, tmp_path):
    result, cuts = make(weights, "low rank")
    results.save(tmp_path, result)
    after = results.load(tmp_path).layer("after")
    activation = cuts[0].head(IMAGES.inputs())
    by_hand = torch.einsum("oi,nihw->nohw", result.layers["after"].weight, activation)
    by_hand += result.layers["after"].bias[None, :, None, None]
    assert torch.allclose(after(activation), by_hand, atol=1e-4)
    transposed = torch.einsum("io,nihw->nohw", result.layers["after"].weight, activation)
    assert (after(activation) - transposed).abs().max() > 0.1
    assert torch.linalg.matrix_rank(after.weight.double(), rtol=1e-5).item() == 3


def test_b8_a_flattened_stitch_is_stored_and_evaluated(weights, tmp_path):
    result, cuts = make(weights, "flatten")
    result.evaluation = evaluate_stitch(*cuts, result.layers["after"], IMAGES, result.layers["before"])
    results.save(tmp_path, result)
    report.write(result, tmp_path)
    loaded = results.load(tmp_path)
    assert loaded.layer("after").weight.shape == (256, 256)
    assert loaded.evaluation == result.evaluation
    assert "map over all units" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("mode", ["semi_match", "random_permutation"])
def test_a_mask_comes_back_and_still_holds(mode, weights, tmp_path):
    result, _ = make(weights, mode)
    results.save(tmp_path, result)
    layer = results.load(tmp_path).layer("after")
    assert torch.equal(layer.mask, result.layers["after"].mask)
    assert torch.equal((layer.weight != 0).sum(1), torch.ones(64, dtype=torch.int64))


def test_b22_what_is_stored_needs_no_pickle_and_no_device(weights, tmp_path):
    result, _ = make(weights)
    results.save(tmp_path, result)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["learning_curve.csv", "stitch.safetensors", "summary.json"]
    tensors = safetensors.torch.load_file(tmp_path / "stitch.safetensors")
    assert set(tensors) == {
        *(f"{stage}.{key}" for stage in ("before", "after", "least_squares") for key in ("matrix", "bias")),
        *(f"history.{step}.{key}" for step in (0, 30) for key in ("weight", "bias")),
    }
    with open(tmp_path / "learning_curve.csv") as file:
        assert next(csv.DictReader(file)) == {key: str(value) for key, value in ROW.items()}


def test_equal_stitches_are_equal_files(weights, tmp_path):
    for name in ("one", "two"):
        results.save(tmp_path / name, make(weights, "low rank")[0])
    for file in ("stitch.safetensors", "summary.json", "learning_curve.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_everything_else_comes_back(weights, tmp_path):
    result, _ = make(weights)
    result.provenance = results.provenance("netalike stitch /somewhere/net.pt")
    results.save(tmp_path, result)
    loaded = results.load(tmp_path / "summary.json")
    for name in ("front", "end", "curve", "parameters", "data", "evaluation", "provenance", "resize"):
        assert getattr(loaded, name) == getattr(result, name), name
    assert loaded.front.shape == (64, 2, 2)


def test_no_path_of_this_machine_is_in_the_command():
    assert (
        results.provenance("netalike stitch /somewhere/net.pt a/b.pt")["command"] == "netalike stitch …/net.pt a/b.pt"
    )


def test_b10_without_a_repository_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(results.netalike, "__file__", str(tmp_path / "a" / "b" / "__init__.py"))
    assert results.provenance("netalike stitch")["commit"] == "unknown"


def test_b10_a_detached_head_has_a_commit(monkeypatch, tmp_path):
    import subprocess

    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (
        ["init", "-q"],
        [*identity, "commit", "-q", "--allow-empty", "-m", "x"],
        ["checkout", "-q", "--detach"],
    ):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)
    monkeypatch.setattr(results.netalike, "__file__", str(tmp_path / "a" / "b" / "__init__.py"))
    assert len(results.provenance()["commit"]) == 40


def test_a_stage_that_does_not_exist_is_told(weights):
    result, _ = make(weights)
    assert result.layer("ps_inv") is result.layers["least_squares"]
    with pytest.raises(UnknownNameError, match="Did you mean 'after'"):
        result.layer("aftr")
    del result.layers["least_squares"]
    with pytest.raises(NetalikeError, match="has no least_squares, only before and after"):
        result.layer("least_squares")
    with pytest.raises(NetalikeError, match="after 5 steps: there are those after 0, 30"):
        result.snapshot(5)


def test_a_folder_without_a_stitch_is_told(tmp_path):
    with pytest.raises(BadFileError, match=r"no stitch in .*: summary\.json is missing"):
        results.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ('{"format": "other"}', "is not the summary of a stitch"),
        ("[]", "is not the summary"),
    ],
)
def test_another_summary_is_refused(content, message, tmp_path):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(BadFileError, match=message):
        results.load(tmp_path)


def test_a_summary_that_lacks_something_is_refused(weights, tmp_path):
    results.save(tmp_path, make(weights)[0])
    told = json.loads((tmp_path / "summary.json").read_text())
    del told["curve"]
    (tmp_path / "summary.json").write_text(json.dumps(told))
    with pytest.raises(BadFileError, match="lacks something of a stitch \\('curve'\\)"):
        results.load(tmp_path)


def test_matrices_of_another_stitch_are_refused(weights, tmp_path):
    results.save(tmp_path, make(weights)[0])
    results.save(tmp_path / "other", make(weights, "random")[0])
    (tmp_path / "other" / "stitch.safetensors").replace(tmp_path / "stitch.safetensors")
    with pytest.raises(BadFileError, match="its SHA-256 differs"):
        results.load(tmp_path)
    (tmp_path / "stitch.safetensors").unlink()
    with pytest.raises(BadFileError, match="which holds the matrices"):
        results.load(tmp_path)


def test_another_network_is_refused_and_a_moved_one_can_be_named(weights, tmp_path):
    result, _ = make(weights)
    with pytest.raises(BadFileError, match=r"net1\.safetensors is not the front network of this stitch"):
        results.open_networks(result, front=weights[1])
    result.end = dataclasses.replace(result.end, weights="gone/net1.safetensors")
    with pytest.raises(BadFileError, match=r"the weights of the end network are not at gone/net1.safetensors any more"):
        results.open_networks(result)
    assert results.open_networks(result, end=weights[1])[1].layer == "bn8"


# --- the report -----------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluated(weights):
    result, cuts = make(weights)
    layers = result.layers
    result.evaluation = evaluate_stitch(*cuts, layers["after"], IMAGES, layers["before"], layers["least_squares"])
    result.curve = [ROW, {**ROW, "epoch": 2, "test_accuracy": 0.3}]
    return result


def test_the_report_has_every_number(evaluated, tmp_path):
    page = report.as_html(evaluated)
    found = evaluated.evaluation
    for scores in found.networks.values():
        for value in (scores.accuracy, scores.agreement, scores.loss, scores.cross_entropy):
            assert f'<td class="number">{report._number(value)}</td>' in page
    for likeness in found.similarity.values():
        assert report._number(likeness.cka) in page
        assert report._number(likeness.l2) in page
    hits = found.hits["end_after"]
    assert all(f"{hits[key]} ({hits[key] / 24:.1%})" in page for key in ("rr", "rw", "wr", "ww"))
    for title in ("The matrix", "Learning curves", "Similarity before and after", "Hit overlaps"):
        assert f"{title}</h2>" in page
    assert page.count("data:image/svg+xml;base64,") == 3
    paths = report.write(evaluated, tmp_path)
    assert [path.name for path in paths] == ["report.html", "report.pdf"]
    assert paths[1].read_bytes().startswith(b"%PDF-")


def test_the_report_escapes_what_comes_from_a_run(evaluated):
    attack = "<script>alert(1)</script>"
    evaluated.parameters = {attack: attack}
    evaluated.data = {"dataset": attack}
    evaluated.provenance = {"command": attack}
    evaluated.front = dataclasses.replace(evaluated.front, weights=attack, architecture=attack, layer=attack)
    page = report.as_html(evaluated)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    report.as_pdf(evaluated)


def test_the_report_asks_nothing_of_the_network_and_names_no_folder(evaluated, weights):
    page = report.as_html(evaluated)
    assert "http" not in page.replace("http-equiv", "")
    assert str(weights[0].parent) not in page
    assert "net0.safetensors" in page


def test_the_same_result_is_the_same_report(evaluated):
    assert report.as_html(evaluated) == report.as_html(evaluated)
    assert report.as_pdf(evaluated) == report.as_pdf(evaluated)


def test_a_stitch_that_was_not_evaluated_has_a_report_that_says_so(weights):
    result, _ = make(weights)
    result.curve = []
    page = report.as_html(result)
    assert "stored before it was evaluated" in page
    assert "Hit overlaps" not in page


@pytest.mark.parametrize(
    ("value", "text"), [(0.94321, "0.9432"), (0.0, "0.0000"), (1e-6, "1.00e-06"), (None, "undefined"), (1.0, "1.0000")]
)
def test_numbers_are_never_a_silent_zero(value, text):
    assert report._number(value) == text


def test_a_large_matrix_is_drawn_by_block_means():
    import numpy as np

    matrix = np.ma.masked_array(np.arange(1200.0 * 3).reshape(1200, 3))
    small = report._block_means(matrix, 600)
    assert small.shape == (600, 3)
    assert small[0].tolist() == [1.5, 2.5, 3.5]
