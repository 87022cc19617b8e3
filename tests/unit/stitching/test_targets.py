"""What a stitch is trained on: the targets and the CKA of a batch, against slow formulas of their own."""

import math
from typing import get_args

import pytest
import torch

from netalike import measures
from netalike.errors import ShapeError, UnknownNameError
from netalike.stitching import names
from netalike.stitching.settings import Settings, Target
from netalike.stitching.targets import linear_cka, needed, soft_cross_entropy, target_loss

N, CLASSES = 7, 4


@pytest.fixture(scope="module")
def logits():
    generator = torch.Generator().manual_seed(5)
    values = torch.randn(3, N, CLASSES, generator=generator, dtype=torch.float64) * 3
    return {"logits": values[0], "front": values[1], "end": values[2]}


@pytest.fixture(scope="module")
def labels():
    return torch.tensor([0, 3, 1, 1, 2, 0, 3])


def probabilities(values, temperature):
    """The softmax of one image, by its definition."""
    powers = [math.exp(float(value) / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def slow_loss(outputs, targets, temperature):
    total = 0.0
    for output, target in zip(outputs, targets, strict=True):
        p, q = probabilities(target, temperature), probabilities(output, temperature)
        total -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    return total / len(outputs)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_soft_targets_are_what_the_formulas_say(logits, labels, temperature):
    out, front, end = logits["logits"], logits["front"], logits["end"]
    first, second = slow_loss(out, front, temperature), slow_loss(out, end, temperature)
    expected = {
        "soft_1": first,
        "soft_2": second,
        "soft_12": (first + second) / 2,
        "soft_1_plus_2": slow_loss(out, (front + end) / 2, temperature),
    }
    for target, value in expected.items():
        found = target_loss(out, labels, target, temperature, front, end)
        assert float(found) == pytest.approx(value, abs=1e-12), target


def test_the_hard_target_is_the_labels_and_has_no_temperature(logits, labels):
    out = logits["logits"]
    slow = -sum(math.log(probabilities(row, 1)[label]) for row, label in zip(out, labels.tolist(), strict=True)) / N
    assert float(target_loss(out, labels)) == pytest.approx(slow, abs=1e-12)
    assert float(target_loss(out, labels, "hard", 3.0)) == pytest.approx(slow, abs=1e-12)


def test_b27_the_joint_target_is_the_mean_of_the_logits_and_not_their_sum(labels):
    """Of two equal networks the mean is the target of one of them; the sum would be sharper."""
    out, front = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    found = float(target_loss(out, labels[:1], "soft_1_plus_2", 1.0, front, front))
    assert found == pytest.approx(slow_loss(out, front, 1.0), abs=1e-6)
    assert found - slow_loss(out, front + front, 1.0) == pytest.approx(0.1012, abs=1e-3)


def test_b11_cross_entropy_is_over_images_and_not_over_images_times_classes(logits):
    out, end = logits["logits"], logits["end"]
    published = slow_loss(out, end, 1.0) / CLASSES
    assert float(soft_cross_entropy(out, end)) == pytest.approx(CLASSES * published, abs=1e-12)


def test_b11_an_impossible_class_has_a_finite_cross_entropy():
    certain, other = torch.tensor([[200.0, 0.0]]), torch.tensor([[0.0, 200.0]])
    assert float(soft_cross_entropy(certain, other)) == pytest.approx(200.0)


def test_a_target_says_what_it_needs(logits, labels):
    assert [sorted(needed(target)) for target in names.TARGETS] == [
        [],
        ["front"],
        ["end"],
        ["end", "front"],
        ["end", "front"],
    ]
    with pytest.raises(ShapeError, match=r"the end network's logits of shape \(7, 4\), got none"):
        target_loss(logits["logits"], labels, "soft_2", front=logits["front"])
    with pytest.raises(ShapeError, match=r"the front network's logits of shape \(7, 4\), got shape \(7, 3\)"):
        target_loss(logits["logits"], labels, "soft_12", front=logits["front"][:, :3], end=logits["end"])
    with pytest.raises(UnknownNameError, match="Did you mean 'soft_1'"):
        needed("soft1")


def test_the_settings_know_the_same_targets():
    assert get_args(Target) == names.TARGETS


def test_the_defaults_are_the_published_ones():
    values = Settings().model_dump(exclude={"save_every"})
    assert values == {
        "epochs": 30,
        "batch_size": 128,
        "lr": 1e-3,
        "weight_decay": 0.0,
        "optimizer": "adam",
        "augment": True,
        "l1": 0.0,
        "cka_reg": 0.0,
        "target": "hard",
        "temperature": 1.0,
        "save_frequency": 10,
        "seed": 0,
    }


@pytest.mark.parametrize("shapes", [((6, 3, 4, 4), (6, 5, 2, 2)), ((40, 3), (40, 5)), ((9, 20), (9, 3))])
def test_cka_of_a_batch_is_the_biased_measure(shapes):
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) + 1 for shape in shapes)
    assert float(linear_cka(x, y)) == pytest.approx(measures.cka(x, y, estimator="biased"), abs=1e-12)
    if x.ndim == 4:  # any layout in memory
        last = x.contiguous(memory_format=torch.channels_last)
        assert float(linear_cka(last, y)) == pytest.approx(float(linear_cka(x, y)), abs=1e-12)


@pytest.mark.parametrize("units", [3, 30])
def test_cka_of_a_batch_has_the_right_gradient(units):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(8, units, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: linear_cka(x, values), (y,))


def test_cka_of_a_batch_of_other_samples_is_refused():
    with pytest.raises(ShapeError, match="different samples: 4 and 5"):
        linear_cka(torch.zeros(4, 2), torch.zeros(5, 2))


@pytest.mark.parametrize("samples", [5, 50])
def test_cka_of_a_batch_with_a_constant_activation_is_undefined_and_not_of_the_rounding(samples):
    generator = torch.Generator().manual_seed(3)
    constant = torch.rand(1, 9, generator=generator).expand(samples, 9) * 3.3
    varied = torch.rand(samples, 7, generator=generator)
    assert linear_cka(constant, varied).isnan()
    assert linear_cka(varied, constant).isnan()
    assert linear_cka(varied, torch.zeros(samples, 2)).isnan()
