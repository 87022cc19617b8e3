"""Rows of the stitching studies: by hand, by controls whose outcome is known, and the same twice."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError, UnknownNameError
from netalike.evidence import measurements
from netalike.experiments import stitching, stitching_sweeps
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import split
from netalike.stitching.training import train_stitch

LAYERS = ["relu1", "fc1"]  # a map and a vector
STEPS = 3 * (128 // 32)


def member(name: str, seed: int) -> Member:
    return Member(name, networks.build("lenet", 1, 10, seed).eval(), LAYERS)


@pytest.fixture(scope="module")
def job():
    train_set, test_set = data.load("digits", "train", limit=128), data.load("digits", "test", limit=64)
    settings = Settings(epochs=3, batch_size=32, augment=False, save_frequency=1)
    return stitching.Job(train_set, test_set, settings, batch_size=32, cka_images=48, seed=3)


@pytest.fixture(scope="module")
def front():
    return member("lenet-s0", 0)


@pytest.fixture(scope="module")
def end():
    return member("lenet-s1", 1)


def table(rows) -> pd.DataFrame:
    return measurements.table(rows, paper="stitching", dataset="digits", seed=0)


@pytest.fixture(scope="module")
def layers(front, end, job):
    return table(stitching.layer_rows(front, end, stitching.METHODS, job, "mine"))


@pytest.fixture(scope="module")
def sweeps(front, end, job):
    varied = {
        "ranks": [4, 1, 999],
        "l1": [5.0],
        "cka_reg": [-1.0],
        "masks": ["semi_match", "random_permutation"],
        "targets": ["soft_2"],
    }
    one = Member(front.name, front.model, ["relu1"]), Member(end.name, end.model, ["relu1"])
    return table(stitching_sweeps.sweep_rows(*one, varied, job, "mine"))


def take(rows, quantity, estimator=None, **factors):
    kept = rows["quantity"] == quantity
    if estimator is not None:
        kept &= rows["estimator"] == estimator
    for name, value in factors.items():
        kept &= rows["condition"].map(lambda text, n=name: measurements.parse_condition(text).get(n)) == str(value)
    return rows[kept]


# ---- by layer --------------------------------------------------------------------------------------------------------


def test_every_layer_and_method_has_its_rows(layers):
    for quantity in ("accuracy", "relative_accuracy", "agreement", "shared_errors", "cka", "cka_unbiased", "fit_error"):
        found = take(layers, quantity, pair="same_family")
        found = found[found["layer_b"] != ""]
        assert len(found) == 2 * 5, quantity
        assert set(found["estimator"]) == set(stitching.METHODS)
    assert set(layers["experiment"]) == {"layers_mine", "invariants_mine"}
    assert set(take(layers, "accuracy")["condition"]) == {
        "pair=same_family",
        *(
            f"depth={depth};pair=same_family{steps}"
            for depth in ("0.000", "1.000")
            for steps in ("", f";steps={STEPS}")
        ),
    }
    assert set(take(layers, "cka")["n_samples"]) == {48}
    assert set(take(layers, "accuracy")["n_samples"]) == {64}
    assert set(take(layers, "fit_error")["split"]) == {"train"}
    assert set(take(layers, "fit_error")["n_samples"]) == {128}


def test_numbers_are_those_of_the_stitched_networks(layers, front, end, job):
    seam = next(iter(stitching.seams(front, end)))
    layer = stitching.Stitcher.of_seams([seam], job)[0].direct("least_squares")
    images = job.test_set.inputs()
    with torch.no_grad():
        stitched = seam.end.tail(layer(seam.front.head(images))).argmax(1)
        whole, other = end.model(images).argmax(1), front.model(images).argmax(1)
    right, own = stitched == job.test_set.labels, whole == job.test_set.labels
    rows = layers[(layers["layer_b"] == "relu1") & (layers["estimator"] == "least_squares")].set_index("quantity")
    assert rows.loc["accuracy", "value"] == pytest.approx(float(right.double().mean()))
    assert rows.loc["relative_accuracy", "value"] == pytest.approx(float(right.sum() / own.sum()))
    assert rows.loc["agreement", "value"] == pytest.approx(float((stitched == whole).double().mean()))
    assert rows.loc["shared_errors", "value"] == pytest.approx(float((~right & ~own).double().mean()))
    alone = take(layers, "agreement", "front_network")
    assert list(alone["value"]) == [pytest.approx(float((other == whole).double().mean()))]
    assert list(alone["layer_a"]) == [""]


def test_least_squares_has_the_smallest_error_on_the_images_of_its_fit(layers):
    errors = take(layers, "fit_error").pivot(index="layer_b", columns="estimator", values="value")
    for method in stitching.METHODS:
        assert (errors["least_squares"] <= errors[method]).all(), method
    assert (take(layers, "largest_difference", identity="order_of_fit_errors")["value"] < 1e-9).all()


def test_the_share_of_layers_counts_those_that_keep_95_percent(layers):
    for method in stitching.METHODS:
        accuracy = take(layers, "relative_accuracy", method)["value"]
        (share,) = take(layers, "layers_at_95_percent", method)["value"]
        assert share == pytest.approx((accuracy >= 0.95).mean())


def test_two_runs_give_the_same_numbers(layers, front, end, job):
    again = table(stitching.layer_rows(front, end, stitching.METHODS, job, "mine"))
    pd.testing.assert_frame_equal(layers, again)


def test_networks_with_other_layers_are_refused(front, end, job):
    other = Member(end.name, end.model, ["relu2"])
    with pytest.raises(NetalikeError, match=r"lenet-s0 has the layers relu1, fc1 and lenet-s1 relu2"):
        stitching.layer_rows(front, other, ["identity"], job, "mine")


def test_an_unknown_method_is_refused_with_the_nearest(front, end, job):
    with pytest.raises(UnknownNameError, match="Did you mean 'least_squares'"):
        stitching.layer_rows(front, end, ["least_square"], job, "mine")


# ---- controls --------------------------------------------------------------------------------------------------------


def test_a_network_stitched_to_itself_is_itself(end, job):
    rows = table(stitching.control_rows("self", end, job, "mine"))
    assert (take(rows, "relative_accuracy", "identity")["value"] == 1).all()
    assert (take(rows, "agreement", "identity")["value"] == 1).all()
    assert (take(rows, "largest_difference", identity="self_stitch")["value"] <= 1e-5).all()
    assert set(rows["network_a"]) == set(rows["network_b"]) == {"lenet-s1"}


def test_the_channels_of_a_permuted_twin_are_found(end, job):
    rows = table(stitching.control_rows("permuted_twin", end, job, "mine"))
    for method in ("least_squares", "procrustes"):
        assert (take(rows, "agreement", method)["value"] == 1).all()
        assert (take(rows, "largest_difference", identity=f"twin_{method}")["value"] == 0).all()
    assert take(rows, "fit_error", "least_squares")["value"].max() < 1e-10
    assert take(rows, "fit_error", "identity")["value"].min() > 1e-4
    assert set(rows["network_a"]) == {"lenet-s1@permuted_twin"}


def test_a_permuted_twin_is_the_same_function(end, job):
    seam = next(iter(stitching.seams(end, end)))
    twin = stitching._turned(seam, job).front
    images = job.test_set.inputs(0, 8)
    with torch.no_grad():
        assert torch.equal(twin.tail(twin.head(images)), end.model(images))
        assert not torch.equal(twin.head(images), seam.front.head(images))


def test_a_control_without_its_network_is_refused(end, job):
    with pytest.raises(NetalikeError, match="needs an untrained network"):
        stitching.control_rows("untrained", end, job, "mine")
    with pytest.raises(UnknownNameError, match="Did you mean 'permuted_twin'"):
        stitching.control_rows("permuted", end, job, "mine")


def test_an_untrained_front_network_takes_its_own_name(end, job):
    rows = table(stitching.control_rows("untrained", end, job, "mine", member("lenet-s0@untrained", 99)))
    assert set(rows["network_a"]) == {"lenet-s0@untrained"}
    assert set(take(rows, "cka")["estimator"]) == {"least_squares", "task_loss"}


# ---- sweeps ----------------------------------------------------------------------------------------------------------


def test_each_sweep_varies_one_factor_and_holds_the_plain_stitch(sweeps):
    expected = {
        "ranks_mine": ("rank", {"1", "4", "6"}),  # 6 channels: the full rank; 999 is left out
        "l1_mine": ("l1", {"0", "5"}),
        "cka_reg_mine": ("cka_reg", {"0", "-1"}),
        "masks_mine": ("mask", {"none", "semi_match", "random_permutation"}),
        "targets_mine": ("target", {"hard", "soft_2"}),
    }
    plain = set()
    for experiment, (factor, values) in expected.items():
        own = sweeps[sweeps["experiment"] == experiment]
        accuracy = take(own, "accuracy", "task_loss")
        told = accuracy["condition"].map(lambda text, f=factor: measurements.parse_condition(text)[f])
        assert set(told) == values
        neutral = {"rank": "6", "mask": "none", "target": "hard"}.get(factor, "0")
        plain |= set(accuracy["value"][told == neutral])
        assert all(f"steps={STEPS}" in text for text in accuracy["condition"])
    assert len(plain) == 1


def test_the_way_begins_at_least_squares_and_ends_at_the_plain_stitch(sweeps):
    along = sweeps[sweeps["experiment"] == "trajectory_mine"]
    accuracy = take(along, "accuracy").set_index("step")["value"]
    assert list(accuracy.index) == [0, 3, 6, 9, 12]
    direct = take(sweeps, "accuracy", "least_squares", mask="none")["value"].item()
    plain = take(sweeps, "accuracy", "task_loss", mask="none")["value"].item()
    assert (accuracy[0], accuracy[12]) == (direct, plain)
    cka = take(along, "cka").set_index("step")["value"]
    assert cka[12] == take(sweeps, "cka", "task_loss", cka_reg="0")["value"].item()


def test_the_rank_that_is_needed_is_the_first_with_95_percent(sweeps):
    for estimator in ("least_squares", "task_loss"):
        accuracy = {rank: take(sweeps, "accuracy", estimator, rank=rank)["value"].item() for rank in (1, 4, 6)}
        needed = min(rank for rank, value in accuracy.items() if value >= 0.95 * accuracy[6])
        assert take(sweeps, "rank_for_95_percent", estimator)["value"].item() == needed


def test_a_penalty_has_its_effect(sweeps):
    more = take(sweeps, "cka", "task_loss", cka_reg="-1")["value"].item()
    assert more > take(sweeps, "cka", "task_loss", cka_reg="0")["value"].item()
    small = take(sweeps, "small_weights").set_index("condition")["value"]
    assert ((small >= 0) & (small <= 1)).all()
    assert len(small) == 2


def test_least_squares_under_a_mask_is_a_regression_on_one_channel(front, end, job):
    seam = next(iter(stitching.seams(front, end)))
    [stitcher] = stitching.Stitcher.of_seams([seam], job)
    mask = torch.eye(6)[[2, 0, 0, 5, 1, 3]]
    weight, bias = stitching_sweeps.masked_least_squares(stitcher, mask)
    with torch.no_grad():
        x, y = (
            side.head(job.train_set.inputs()).double().permute(1, 0, 2, 3).flatten(1) for side in (seam.front, seam.end)
        )
    for output, partner in enumerate([2, 0, 0, 5, 1, 3]):
        design = torch.stack([x[partner], torch.ones_like(x[partner])], 1)
        slope, offset = torch.linalg.lstsq(design, y[output][:, None], driver="gelsd").solution.flatten()
        assert weight[output, partner] == pytest.approx(float(slope), rel=1e-5)
        assert bias[output] == pytest.approx(float(offset), rel=1e-5)
    assert torch.equal(weight != 0, mask.bool())


def test_least_squares_under_a_mask_of_a_dead_channel_is_the_mean(front, end, job):
    seam = next(iter(stitching.seams(front, end)))
    [stitcher] = stitching.Stitcher.of_seams([seam], job)
    stitcher.equations._moments.xx[0, :] = stitcher.equations._moments.xx[:, 0] = 0
    mask = torch.zeros(6, 6)
    mask[:, 0] = 1
    weight, bias = stitching_sweeps.masked_least_squares(stitcher, mask)
    assert (weight == 0).all()
    assert torch.allclose(bias, stitcher.equations._moments.y_mean)


# ---- what is shared -------------------------------------------------------------------------------------------------


def test_trainings_at_one_place_share_a_recording_and_come_out_as_without(front, end, job):
    seam = next(iter(stitching.seams(front, end)))
    [stitcher] = stitching.Stitcher.of_seams([seam], job)
    for changes in ({}, {"target": "soft_2"}, {"cka_reg": -1.0}, {"target": "soft_1"}):
        shared, _ = stitcher.trained(stitcher.direct("least_squares"), **changes)
        alone = stitcher.direct("least_squares")
        settings = job.settings.model_copy(update={"seed": job.settings.seed + job.seed, **changes})
        glance = job.test_set.take(slice(8))
        train_stitch(seam.front, seam.end, alone, job.train_set, glance, settings, progress=False)
        for one, other in zip(shared.snapshot(), alone.snapshot(), strict=True):
            assert torch.equal(one, other), changes
    stitcher.forget()
    assert stitcher._recording is None


def test_batch_norm_is_folded_and_the_stitched_networks_are_the_same(job):
    nets = [networks.build("tiny10", 1, 10, seed).eval() for seed in (0, 1)]
    with torch.no_grad():
        for norm in (module for net in nets for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
    members = [Member(f"tiny10-s{i}", net, ["bn2", "bn5"]) for i, net in enumerate(nets)]
    found = list(stitching.seams(*members))
    inputs = job.test_set.inputs(0, 16)
    for seam in found:
        for own, net in ((seam.front, nets[0]), (seam.end, nets[1])):
            assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in own.model.modules())
            whole = split(net, own.layer)
            torch.testing.assert_close(own.head(inputs), whole.head(inputs), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(own.tail(own.head(inputs)), net(inputs), rtol=1e-4, atol=1e-5)
