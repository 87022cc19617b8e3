"""Every registered measure keeps what it declares: range, symmetry, invariances, and errors that say why."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netalike import measures
from netalike.errors import ShapeError, UnknownNameError
from netalike.measures import INVARIANCES, Measure, UndefinedMeasureError
from netalike.measures import registry as registry_module

ALL = measures.all_measures()
NEEDS_FULL_RANK = ("cca", "pwcca", "linear_regression")
every_measure = pytest.mark.parametrize("measure", ALL, ids=[m.key for m in ALL])
few_examples = settings(max_examples=12, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def related(seed: int, n: int = 40, p: int = 6, q: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Two representations and the inputs that both are noisy, non-linear functions of."""
    draw = generator(seed)
    inputs, first, second = (torch.randn(*shape, generator=draw).double() for shape in ((n, 12), (12, p), (12, q)))
    noise = [torch.randn(n, width, generator=draw).double() for width in (p, q)]
    x = torch.tanh(inputs @ first / 3) * torch.linspace(0.5, 2.0, p).double() + 0.1 * noise[0]
    y = torch.relu(inputs @ second / 3) + 0.3 * noise[1]
    return x, y, inputs


def orthogonal(width: int, seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator(seed)).double())[0]


def invertible(width: int, seed: int) -> Tensor:
    """Orthogonal maps with a diagonal of condition 8 between them."""
    scales = torch.linspace(1.0, 8.0, width).double()
    return orthogonal(width, seed) @ torch.diag(scales) @ orthogonal(width, seed + 1)


def transformed(x: Tensor, name: str, seed: int) -> Tensor:
    width = x.shape[1]
    return {
        "permutation": lambda: x[:, torch.randperm(width, generator=generator(seed))],
        "orthogonal": lambda: x @ orthogonal(width, seed),
        "isotropic_scaling": lambda: 0.01 * (seed % 500 + 1) * x,
        "translation": lambda: x + 3 * torch.randn(width, generator=generator(seed)).double(),
        "invertible_linear": lambda: x @ invertible(width, seed),
    }[name]()


def value(measure: Measure, x: Tensor, y: Tensor, inputs: Tensor) -> float:
    return measure(x, y, inputs) if measure.needs_inputs else measure(x, y)


@every_measure
@given(seed=seeds, n=st.integers(14, 40), p=st.integers(2, 6), q=st.integers(2, 9))
@few_examples
def test_the_value_is_in_the_declared_range(measure, seed, n, p, q):
    x, y, inputs = related(seed, n, p, q)
    found = value(measure, x, y, inputs)
    assert math.isfinite(found)
    assert measure.low - 1e-12 <= found <= measure.high + 1e-12


@every_measure
@given(seed=seeds)
@few_examples
def test_identical_representations_have_the_declared_value(measure, seed):
    x, y, inputs = related(seed)
    assert value(measure, x, x.clone(), inputs) == pytest.approx(measure.identical, abs=1e-9)
    other = value(measure, x, y, inputs)
    assert other < measure.identical if measure.direction == "similarity" else other > measure.identical


@every_measure
def test_more_noise_is_less_alike_in_the_declared_direction(measure):
    x, _, inputs = related(5)
    noise = torch.randn(x.shape, generator=generator(6)).double()
    values = [value(measure, x, x + share * noise, inputs) for share in (0.1, 0.5, 2.0)]
    assert values == sorted(values, reverse=measure.direction == "similarity")
    assert abs(values[0] - values[2]) > 0.05


@pytest.mark.parametrize("measure", [m for m in ALL if m.symmetric], ids=lambda m: m.key)
@given(seed=seeds)
@few_examples
def test_declared_symmetry_holds(measure, seed):
    x, y, inputs = related(seed)
    assert value(measure, x, y, inputs) == pytest.approx(value(measure, y, x, inputs), abs=1e-9)


@pytest.mark.parametrize("measure", [m for m in ALL if not m.symmetric], ids=lambda m: m.key)
def test_what_is_not_declared_symmetric_is_not(measure):
    there_and_back = [(value(measure, x, y, i), value(measure, y, x, i)) for x, y, i in map(related, range(5))]
    assert max(abs(there - back) for there, back in there_and_back) > 1e-3


def changes(measure: Measure, invariance: str, seed: int) -> float:
    """The largest change of the value by a transformation of either representation, or of both."""
    x, y, inputs = related(seed)
    plain = value(measure, x, y, inputs)
    first, second = transformed(x, invariance, seed), transformed(y, invariance, seed + 1)
    return max(abs(value(measure, *pair, inputs) - plain) for pair in ((first, y), (x, second), (first, second)))


DECLARED = [(m, name) for m in ALL for name in INVARIANCES if name in m.invariances]
NOT_DECLARED = [(m, name) for m in ALL for name in INVARIANCES if name not in m.invariances]


@pytest.mark.parametrize(("measure", "invariance"), DECLARED, ids=[f"{m.key}-{name}" for m, name in DECLARED])
@given(seed=seeds)
@few_examples
def test_declared_invariances_hold(measure, invariance, seed):
    assert changes(measure, invariance, seed) < 1e-8


@pytest.mark.parametrize(("measure", "invariance"), NOT_DECLARED, ids=[f"{m.key}-{name}" for m, name in NOT_DECLARED])
def test_invariances_that_are_not_declared_fail(measure, invariance):
    assert max(changes(measure, invariance, seed) for seed in range(5)) > 1e-3


@every_measure
@given(seed=seeds)
@few_examples
def test_the_order_of_the_samples_does_not_matter(measure, seed):
    x, y, inputs = related(seed)
    order = torch.randperm(len(x), generator=generator(seed))
    moved = value(measure, x[order], y[order], inputs[order])
    assert moved == pytest.approx(value(measure, x, y, inputs), abs=1e-9)


@every_measure
def test_pairing_the_samples_wrongly_does(measure):
    x, y, inputs = related(3)
    assert abs(value(measure, x, y.roll(1, 0), inputs) - value(measure, x, y, inputs)) > 0.02


@every_measure
def test_arrays_lists_and_feature_maps_give_the_same_number(measure):
    x, y, inputs = related(4, p=8, q=8)
    plain = value(measure, x, y, inputs)
    maps = y.reshape(len(y), 2, 2, 2).to(memory_format=torch.channels_last)
    assert value(measure, x.numpy(), y.tolist(), inputs.numpy()) == plain
    assert value(measure, x.reshape(len(x), 2, 4), maps, inputs) == pytest.approx(plain, abs=1e-9)


@every_measure
def test_different_samples_are_refused_with_both_numbers(measure):
    x, y, inputs = related(0)
    with pytest.raises(ShapeError, match=rf"^{measure.key}: representations of different samples: 40 and 39\.$"):
        value(measure, x, y[:39], inputs)


@every_measure
def test_no_samples_and_no_units_are_refused(measure):
    x, y, inputs = related(0)
    with pytest.raises(ShapeError, match=r"shape \(0, 6\) has no samples or no units"):
        value(measure, x[:0], y[:0], inputs)
    with pytest.raises(ShapeError, match=r"shape \(40, 0\) has no samples or no units"):
        value(measure, x[:, :0], y, inputs)


@every_measure
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_entries_that_are_not_finite_are_refused_by_sample(measure, bad):
    x, y, inputs = related(0)
    y[17, 2] = bad
    with pytest.raises(ShapeError, match="sample 17 has an entry that is not finite"):
        value(measure, x, y, inputs)


@every_measure
@pytest.mark.parametrize("constant", [0.0, 0.1, -1234.5])
def test_a_constant_representation_is_undefined_with_the_reason(measure, constant):
    x, y, inputs = related(0)
    flat = torch.full_like(y, constant)
    for pair in ((x, flat), (flat, x), (flat, flat)):
        with pytest.raises(UndefinedMeasureError, match="zero variance over the") as caught:
            value(measure, *pair, inputs)
        assert caught.value.status.startswith("undefined: zero variance over the")


@pytest.mark.parametrize("measure", [m for m in ALL if m.quantity in NEEDS_FULL_RANK], ids=lambda m: m.key)
def test_too_few_samples_for_the_width_are_undefined(measure):
    x, y, _ = related(0, n=10, p=3, q=9)
    with pytest.raises(UndefinedMeasureError, match=r"^10 samples of 9 dimensions: with n <= width \+ 1 any two"):
        measure(x, y)
    with pytest.raises(UndefinedMeasureError, match="10 samples of 9 dimensions"):
        measure(y, x)
    enough = related(0, n=11, p=3, q=9)
    assert 0 < measure(enough[0], enough[1]) <= 1


def test_svcca_is_undefined_where_the_subspace_it_keeps_is_too_wide():
    svcca = measures.measure("svcca")
    wide = torch.randn(12, 400, generator=generator(0)).double()
    x, _, _ = related(0, n=12)
    # all 11 directions of 12 centred samples are needed for 99 % of the variance of white noise
    with pytest.raises(UndefinedMeasureError, match=r"^12 samples of 11 dimensions"):
        svcca(x, wide)
    low_rank = x[:, :3] @ torch.randn(3, 400, generator=generator(1)).double()
    assert svcca(x[:, :3], low_rank) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("measure", [m for m in ALL if m.needs_inputs], ids=lambda m: m.key)
def test_what_adjusts_for_the_inputs_wants_them(measure):
    x, y, inputs = related(0)
    with pytest.raises(ShapeError, match=rf"{measure.key} adjusts for the inputs: give them as the third argument"):
        measure(x, y)
    with pytest.raises(ShapeError, match=r"\(40, 40\), got \(39, 39\)"):
        measure(x, y, inputs[:39])
    with pytest.raises(UndefinedMeasureError, match="inputs are constant"):
        measure(x, y, torch.ones_like(inputs))


def test_the_registry():
    assert measures.names() == [
        "cka",
        "deconfounded_cka",
        "procrustes",
        "cca",
        "svcca",
        "pwcca",
        "linear_regression",
        "rsa",
    ]
    assert measures.measure("cka").key == "cka/unbiased"
    assert measures.measure("rsa/pearson").estimator == "pearson"
    assert [m.key for m in measures.of_quantity("rsa")] == ["rsa/spearman", "rsa/pearson"]
    with pytest.raises(UnknownNameError, match=r"unknown measure 'procrustis': .*Did you mean 'procrustes'"):
        measures.measure("procrustis")
    with pytest.raises(UnknownNameError, match="Did you mean 'svcca'"):
        measures.of_quantity("svca")


def test_the_registry_refuses_doubles_and_invariances_that_do_not_exist(monkeypatch):
    monkeypatch.setattr(registry_module, "_MEASURES", {})
    monkeypatch.setattr(registry_module, "_DEFAULT", {})
    first = ALL[0]
    registry_module.register(first)
    with pytest.raises(ValueError, match=f"{first.key} is registered twice"):
        registry_module.register(first)
    odd = Measure(**{**vars(ALL[1]), "invariances": frozenset({"rotation"})})
    with pytest.raises(ValueError, match="invariances must be among permutation, orthogonal"):
        registry_module.register(odd)


def test_every_measure_says_where_it_comes_from():
    assert all(measure.source for measure in ALL)
    assert {measure.direction for measure in ALL} == {"similarity", "distance"}
    assert measures.measure("cka/unbiased").low == -1  # never clamped: negative values occur
