"""Stitches of the pairs of a panel: controls whose outcome is known, and the same numbers as the package's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError, UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments import panel_fronts, panel_stitching
from netalike.experiments.panel_fronts import NoiseFront, Representation
from netalike.experiments.panel_sums import SharedSums
from netalike.stitching import NormalEquations, Settings, StitchingLayer, evaluate_stitch, fit, split, train_stitch

LAYERS = ["relu1", "relu2", "relu3", "relu4"]  # two maps and two vectors
SETTINGS = {
    "methods": ["least_squares", "task_loss"],
    "n_train": 400,
    "n_test": 120,
    "epochs": 1,
    "batch_size": 40,
    "lr": 0.001,
    "task_loss_layers": 1,
}
LEAST_SQUARES = {"methods": ["least_squares"]}


def trained(name: str, seed: int, train_set) -> Member:
    """LeNet after two passes over the digits."""
    model = networks.build("lenet", 1, 10, seed)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(2):
        for inputs, labels in data.training_batches(train_set, 32, generator, augment=False):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    return Member(name, model.eval(), LAYERS)


def untrained(name: str, architecture: str, layers: list[str], classes: int = 10) -> Member:
    return Member(name, networks.build(architecture, 1, classes, 7).eval(), layers)


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "train", limit=600), data.load("digits", "test", limit=200)


@pytest.fixture(scope="module")
def members(images):
    found = [trained(name, seed, images[0]) for seed, name in enumerate(("a", "b"))]
    return [
        *found,
        untrained("a@untrained", "lenet", LAYERS),
        untrained("b@untrained", "lenet", LAYERS),
        untrained("resnet", "resnet8", ["layer1", "layer3"]),
        untrained("vgg", "vgg_small", ["relu1", "relu4"]),
    ]


def stitched(members, images, *pairs, facts=None, seed=3, meter=None, **changes):
    panel = {"members": {"a": "lenet", "b": "lenet", "resnet": "resnet", "vgg": "vgg"}, "seed": seed}
    panel |= {"facts": facts} if facts else {}
    rows = panel_stitching.stitch_pairs(
        members, pairs, *images, panel, {**SETTINGS, **changes}, progress=False, meter=meter
    )
    return measurements.table(rows, paper="comparison", seed=seed)


def take(table, quantity, method="least_squares"):
    return table[(table["quantity"] == quantity) & (table["estimator"] == method)]


@pytest.fixture(scope="module")
def both(members, images):
    return stitched(members, images, ("a", "b"))


# ---- controls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", ["a", "a@permuted_units"])
def test_a_network_goes_on_from_itself_whatever_the_order_of_its_units(members, images, control):
    table = stitched(members, images, ("a", control))
    assert set(table["network_b"]) == {"a"}
    assert set(table["network_a"]) == {control}
    assert set(table["condition"]) == {"pair=self" if control == "a" else "pair=permuted_units"}
    for quantity in panel_stitching.QUANTITIES:
        assert take(table, quantity)["value"].tolist() == [1.0] * 4, quantity
        # training goes away from least squares, which is exact here, but not far
        assert take(table, quantity, "task_loss")["value"].between(0.85, 1.1).tolist() == [True]


def test_fronts_that_know_nothing_of_the_images_are_far_below(members, images, both):
    related = take(both, "stitched_agreement")["value"]
    assert related.min() > 0.6
    for control in ("noise", "a@permuted_samples"):
        table = stitched(members, images, ("a", control))
        assert set(table["network_b"]) == {"a"}  # the control is never the end
        assert take(table, "stitched_agreement")["layer_b"].tolist() == LAYERS
        for quantity in panel_stitching.QUANTITIES:
            for method in panel_stitching.METHODS:
                assert take(table, quantity, method)["value"].max() < 0.3, (control, quantity, method)
    assert set(stitched(members, images, ("noise", "a"), **LEAST_SQUARES)["layer_a"]) == {"noise"}


def test_an_untrained_twin_is_a_front_alone_but_before_another_untrained_network(members, images):
    table = stitched(members, images, ("a", "a@untrained"), ("a@untrained", "b@untrained"), **LEAST_SQUARES)
    one = table[table["condition"] == "pair=trained_untrained"]
    assert set(zip(one["network_a"], one["network_b"], strict=True)) == {("a@untrained", "a")}
    assert (one["status"] == "ok").all()
    two = table[table["condition"] == "pair=untrained"]
    assert len(set(zip(two["network_a"], two["network_b"], strict=True))) == 2
    assert take(two, "relative_accuracy")["status"].str.contains("no more than by chance").all()
    assert take(two, "relative_accuracy")["value"].isna().all()
    assert take(two, "stitched_agreement")["value"].between(0, 1).all()


def test_a_pair_that_answers_no_question_has_no_rows(members, images):
    assert len(stitched(members, images, ("noise", "a@permuted_samples"))) == 0


# ---- the numbers -----------------------------------------------------------------------------------------------------


def test_both_directions_have_rows_at_matched_layers(both):
    assert len(both) == 2 * 2 * (4 + 1)
    assert set(zip(both["network_a"], both["network_b"], strict=True)) == {("a", "b"), ("b", "a")}
    assert (both["layer_a"] == both["layer_b"]).all()
    assert set(both["condition"]) == {"pair=same_family"}
    assert set(both["n_samples"]) == {120}
    assert set(take(both, "stitched_agreement", "task_loss")["layer_b"]) == {"relu3"}
    assert (both["status"] == "ok").all()


def by_the_package(front, end, layer, images):
    """Stitch as `netalike stitch` would."""
    one, two = split(front.model, layer), split(end.model, layer)
    train, test = images[0].take(slice(400)), images[1].take(slice(120))
    weight, bias = fit(one, two, train).affine()
    kind = "map" if layer in ("relu1", "relu2") else "vector"
    layers = {name: StitchingLayer.from_matrix(weight, bias, kind) for name in ("least_squares", "task_loss")}
    settings = Settings(epochs=1, batch_size=40, lr=0.001, augment=False, seed=3)
    train_stitch(one, two, layers["task_loss"], train, test, settings, progress=False)
    return evaluate_stitch(
        one, two, layers["task_loss"], test, least_squares=layers["least_squares"], cka_images=0
    ).networks


@pytest.mark.parametrize("layer", ["relu2", "relu3"])
def test_one_pair_has_the_numbers_of_the_package(members, images, both, layer):
    expected = by_the_package(members[0], members[1], layer, images)
    rows = both[(both["network_a"] == "a") & (both["layer_b"] == layer)]
    names = {"least_squares": "least_squares", "task_loss": "after"} if layer == "relu3" else {"least_squares": ""}
    for method, name in names.items():
        scores = expected[name or method]
        found = {row["quantity"]: row["value"] for row in take_all(rows, method)}
        assert found == {"relative_accuracy": scores.relative_accuracy, "stitched_agreement": scores.agreement}


def take_all(rows, method):
    return rows[rows["estimator"] == method].to_dict("records")


def test_shared_sums_give_the_normal_equations_of_each_pair():
    generator = torch.Generator().manual_seed(0)
    shapes = {"a": (3, 4, 4), "b": (5, 4, 4), "c": (2, 4, 4)}
    found = {name: Representation(name, "layer", shape) for name, shape in shapes.items()}
    batches = [
        {each: torch.randn(n, *each.shape, generator=generator) + 100 for each in found.values()} for n in (7, 4)
    ]
    pairs = [(found["a"], found["c"]), (found["c"], found["a"]), (found["b"], found["c"]), (found["b"], found["b"])]
    sums = SharedSums(pairs)
    for batch in batches:
        sums.update(batch)
    for x, y in pairs:
        expected = NormalEquations()
        for batch in batches:
            expected.update(batch[x], batch[y])
        got = sums.equations(x, y)
        assert got.positions == expected.positions == 11 * 16
        for one, two in zip(got.affine(), expected.affine(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)
        assert got.mse(*got.affine()) == pytest.approx(expected.mse(*expected.affine()), abs=1e-9)


def test_values_that_are_not_finite_spoil_their_own_pairs_alone():
    one, two, three = (Representation(name, "layer", (2,)) for name in ("a", "b", "c"))
    sums = SharedSums([(one, two), (one, three)])
    values = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    sums.update({one: values, two: values.flip(1), three: values * float("inf")})
    weight, _ = sums.equations(one, two).affine()
    torch.testing.assert_close(weight, torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64))
    with pytest.raises(NetalikeError, match="not finite"):
        sums.equations(one, three)


def test_the_same_call_gives_the_same_bits_and_batches_do_not_matter(members, images, both, monkeypatch):
    assert both.equals(stitched(members, images, ("a", "b")))
    monkeypatch.setattr(panel_fronts, "_LARGEST_BATCH", 33)
    smaller = stitched(members, images, ("a", "b"), **LEAST_SQUARES)
    expected = both[both["estimator"] == "least_squares"]["value"]
    assert smaller["value"].tolist() == pytest.approx(expected.tolist(), abs=1e-9)


def test_other_pairs_do_not_change_a_pair(members, images, both):
    more = stitched(members, images, ("a", "noise"), ("b", "a"), ("a", "a@permuted_samples"), ("b", "b"))
    more = more[more["condition"] == "pair=same_family"].sort_values(["network_a", "layer_a", "estimator", "quantity"])
    expected = both.sort_values(["network_a", "layer_a", "estimator", "quantity"])
    assert more["value"].tolist() == expected["value"].tolist()


def test_the_networks_keep_their_weights_and_modes(members, images):
    model = members[0].model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    try:
        stitched(members, images, ("a", "b"), n_train=80)
        assert all(module.training for module in model.modules())
    finally:
        model.eval()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


# ---- statuses --------------------------------------------------------------------------------------------------------


def test_maps_of_other_sizes_are_resized(members, images):
    # 16 x 16 and 4 x 4, against 32 x 32 and 8 x 8
    table = stitched(members, images, ("resnet", "vgg"), n_train=100, task_loss_layers=2)
    agreement = table[table["quantity"] == "stitched_agreement"]
    assert (agreement["status"] == "ok").all()
    assert len(agreement) == 2 * 4
    front, end = (split(member.model, layer) for member, layer in zip(members[4:], ("layer1", "relu1"), strict=True))
    equations = fit(front, end, images[0].take(slice(100)), resize=True)
    layer = StitchingLayer.from_matrix(*equations.affine())
    report = evaluate_stitch(front, end, layer, images[1].take(slice(120)), resize=True, cka_images=0)
    rows = take(table, "stitched_agreement")
    found = rows[(rows["network_a"] == "resnet") & (rows["layer_b"] == "relu1")]
    assert found["value"].tolist() == [pytest.approx(report.agreement, abs=1 / 120)]


def test_a_map_and_a_vector_have_no_stitch(members, images):
    table = stitched(members, images, ("a", "resnet"), **LEAST_SQUARES)
    broken = table[table["layer_b"] == "relu4"]
    assert set(broken["status"]) == {
        "undefined: the front layer gives (32, 4, 4) for an image and the end layer (84,), not two maps or two vectors"
    }
    assert broken["value"].isna().all()
    fine = table[(table["network_b"] == "a") & (table["layer_b"] == "relu1")]
    assert (fine["status"] == "ok").all()


def test_a_layer_on_a_branch_has_no_stitch(members, images):
    branch = [members[0], untrained("resnet", "resnet8", ["layer1.conv1", "layer3"])]
    table = stitched(branch, images, ("resnet", "resnet"), **LEAST_SQUARES)
    assert table["status"].str.contains("cannot be split at layer 'layer1.conv1'").tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_an_end_of_another_task_is_judged_by_agreement_alone(members, images):
    facts = {"a": {"task": "classes"}, "b": {"task": "random_labels"}}
    table = stitched(members, images, ("a", "b"), facts=facts)
    to_b = table[table["network_b"] == "b"]
    expected = "undefined: the end network was trained on another task (random_labels)"
    for method in panel_stitching.METHODS:
        assert set(take(to_b, "relative_accuracy", method)["status"]) == {expected}
        assert take(to_b, "stitched_agreement", method)["value"].min() > 0.5
    assert (table[table["network_b"] == "a"]["status"] == "ok").all()


def test_a_stitch_before_another_task_is_trained_on_what_the_end_network_predicts(members, images):
    facts = {"b": {"task": "random_labels"}}
    table = stitched(members, images, ("a", "b"), facts=facts, methods=["task_loss"])
    front, end = (split(member.model, "relu3") for member in members[:2])
    train, test = images[0].take(slice(400)), images[1].take(slice(120))
    with torch.no_grad():
        train = replace(train, labels=members[1].model(train.inputs()).argmax(1))
    layer = StitchingLayer.from_matrix(*fit(front, end, train).affine(), "vector")
    settings = Settings(epochs=1, batch_size=40, lr=0.001, augment=False, seed=3)
    train_stitch(front, end, layer, train, test, settings, progress=False)
    expected = evaluate_stitch(front, end, layer, test, cka_images=0).agreement
    found = take(table[table["network_a"] == "a"], "stitched_agreement", "task_loss")
    assert found["value"].tolist() == [expected]


def test_an_end_of_other_classes_is_judged_by_agreement_alone(members, images):
    few = [members[0], untrained("b", "lenet", LAYERS, classes=4)]
    table = stitched(few, images, ("a", "b"))
    to_b = table[table["network_b"] == "b"]
    assert set(take(to_b, "relative_accuracy")["status"]) == {
        "undefined: the end network tells 4 classes and the data set has 10"
    }
    assert (take(to_b, "stitched_agreement", "task_loss")["status"] == "ok").all()
    to_a = table[table["network_b"] == "a"]
    assert (to_a["status"] == "ok").all()


# ---- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "count", "chosen"),
    [(8, 1, [4]), (8, 2, [2, 6]), (8, 3, [1, 4, 6]), (4, 1, [2]), (3, 9, [0, 1, 2]), (5, 0, []), (1, 1, [0])],
)
def test_trained_stitches_are_evenly_spaced(layers, count, chosen):
    assert panel_stitching.task_loss_positions(layers, count) == chosen


def test_task_loss_alone_makes_no_other_rows(members, images):
    table = stitched(members, images, ("a", "a"), methods=["task_loss"], task_loss_layers=2, n_train=80)
    assert set(table["estimator"]) == {"task_loss"}
    assert table["layer_b"].drop_duplicates().tolist() == ["relu2", "relu4"]


def test_a_wrong_request_is_refused(members, images):
    with pytest.raises(UnknownNameError, match=r"unknown method of stitching in a panel 'least_square'.*least_squares"):
        stitched(members, images, ("a", "b"), methods=["least_square"])
    with pytest.raises(NetalikeError, match="needs a method"):
        stitched(members, images, ("a", "b"), methods=[])
    with pytest.raises(UnknownNameError, match="unknown network of this panel 'vgg'"):
        stitched(members[:2], images, ("a", "vgg"))
    with pytest.raises(NetalikeError, match=r"digits .test. has 200 and n_test is 0"):
        stitched(members, images, ("a", "b"), n_test=0)


def test_the_meter_counts_networks_and_pairs(members, images):
    meter = Meter("stitching")
    stitched(members, images, ("a", "b"), ("a", "noise"), ("a", "a@permuted_samples"), meter=meter, n_train=80)
    # the same network sees its images in two orders
    assert {(row["networks"], row["pairs"]) for row in meter.rows()} == {(3, 3)}
    assert len(meter.rows()) == 4
    assert all(row["seconds_pairs"] > 0 for row in meter.rows())


# ---- noise -----------------------------------------------------------------------------------------------------------


def test_noise_belongs_to_an_image_and_not_to_a_batch(images):
    front, inputs = NoiseFront.of_shape((8, 5, 5), seed=1), images[1].inputs(0, 50)
    whole = front.head(inputs)
    assert torch.equal(whole[30:], front.head(inputs[30:]))
    assert not torch.equal(whole, NoiseFront.of_shape((8, 5, 5), seed=2).head(inputs))
    flat = whole.flatten(1)
    assert abs(float(flat.mean())) < 0.03
    assert float(flat.std()) == pytest.approx(1, abs=0.03)
    assert float(torch.corrcoef(flat).fill_diagonal_(0).abs().max()) < 0.4
