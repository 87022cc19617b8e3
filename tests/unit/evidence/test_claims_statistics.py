"""Weighted statistics equal those of the sample written out in full; BCa intervals equal SciPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from netalike.evidence.claims import resampling
from netalike.evidence.claims.statistics import STATISTICS

DRAWS = 4
few_values = st.integers(-3, 3).map(float)  # ties on purpose
any_values = st.floats(-10, 10, allow_subnormal=False).map(lambda value: round(value, 3))


@st.composite
def samples(draw, groups):
    """Arrays of weights and of values for each group."""
    values = draw(st.sampled_from([few_values, any_values]))
    found = []
    for _ in range(groups):
        n = draw(st.integers(1, 12))
        found.append(
            (
                draw(arrays.arrays(float, (DRAWS, n), elements=st.integers(0, 3).map(float))),
                draw(arrays.arrays(float, n, elements=values)),
            )
        )
    return found


@st.composite
def matched_samples(draw):
    (weights, x), *_ = draw(samples(1))
    return weights, x, draw(arrays.arrays(float, len(x), elements=draw(st.sampled_from([few_values, any_values]))))


def written_out(weights, values):
    return np.repeat(values, weights.astype(int))


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def cohens_d(a, b):
    if len(a) + len(b) <= 2 or not len(a) or not len(b):
        return np.nan
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    pooled = np.sqrt(squares / (len(a) + len(b) - 2))
    return (a.mean() - b.mean()) / pooled if pooled > 1e-9 else np.nan


def auc(a, b):
    return stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)) if len(a) and len(b) else np.nan


def correlation(function):
    def value(x, y):
        constant = len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0
        return np.nan if constant else function(x, y).statistic

    return value


@given(samples(1))
@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("mean", lambda a: a.mean() if len(a) else np.nan),
        ("maximum", lambda a: np.abs(a).max() if len(a) else np.nan),
    ],
)
def test_statistics_of_one_group(name, twin, sample):
    ((weights, values),) = sample
    assert_same(STATISTICS[name].compute(weights, values), [twin(written_out(w, values)) for w in weights])


@given(samples(2))
@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("auc", auc),
        ("gap", lambda a, b: a.mean() - b.mean() if len(a) and len(b) else np.nan),
        ("standardised_gap", cohens_d),
    ],
)
def test_statistics_of_two_groups(name, twin, sample):
    (weights_a, a), (weights_b, b) = sample
    ours = STATISTICS[name].compute(weights_a, a, weights_b, b)
    pairs = zip(weights_a, weights_b, strict=True)
    assert_same(ours, [twin(written_out(w_a, a), written_out(w_b, b)) for w_a, w_b in pairs])


@given(matched_samples())
@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("difference", lambda x, y: (x - y).mean() if len(x) else np.nan),
        ("spearman", correlation(stats.spearmanr)),
        ("kendall", correlation(stats.kendalltau)),
    ],
)
def test_statistics_of_matched_rows(name, twin, sample):
    weights, x, y = sample
    ours = STATISTICS[name].compute(weights, x, y)
    assert_same(ours, [twin(written_out(w, x), written_out(w, y)) for w in weights])


def test_known_values():
    ones = np.ones((1, 3))
    assert STATISTICS["auc"].compute(ones, np.array([1.0, 2, 3]), ones, np.array([1.0, 2, 0])).item() == 7 / 9
    # Agresti (2010), as in SciPy's documentation: tau-b of 12, 2, 1, 12, 2 and 1, 4, 7, 1, 0
    x, y = np.array([12.0, 2, 1, 12, 2]), np.array([1.0, 4, 7, 1, 0])
    assert STATISTICS["kendall"].compute(np.ones((1, 5)), x, y).item() == pytest.approx(-0.47140452079103173)


def test_bca_agrees_with_scipy_on_skewed_data():
    values = np.random.default_rng(5).exponential(size=25)
    counts = resampling.draw([25], 20_000, seed=1)[0]
    (left_out,) = resampling.leave_one_out([25])
    means = counts @ values / 25
    ours = resampling.interval(values.mean(), means, [left_out[0] @ values / 24])
    generator = np.random.default_rng(2)
    for method, low, high in [
        ("BCa", ours.low, ours.high),
        ("percentile", ours.percentile_low, ours.percentile_high),
    ]:
        theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method=method, rng=generator)
        width = theirs.confidence_interval.high - theirs.confidence_interval.low
        assert low == pytest.approx(theirs.confidence_interval.low, abs=0.02 * width)
        assert high == pytest.approx(theirs.confidence_interval.high, abs=0.02 * width)
    assert ours.low > ours.percentile_low + 0.012  # and the two are told apart


def test_bca_of_two_factors_uses_the_acceleration_of_two_samples():
    generator = np.random.default_rng(3)
    a, b = generator.exponential(size=12), generator.exponential(size=20)
    influences = [(len(x) - 1) / len(x) * (x - x.mean()) * sign / (len(x) - 1) for x, sign in ((a, 1), (b, -1))]
    pooled = np.concatenate(influences)
    expected = (pooled**3).sum() / (6 * (pooled**2).sum() ** 1.5)
    value = a.mean() - b.mean()
    left_out = [(a.sum() - a) / 11 - b.mean(), a.mean() - (b.sum() - b) / 19]
    replicates = np.random.default_rng(4).normal(value, 1, 5000)
    bias = stats.norm.ppf((replicates < value).mean())
    shifted = bias + stats.norm.ppf([0.025, 0.975])
    tails = stats.norm.cdf(bias + shifted / (1 - expected * shifted))
    ours = resampling.interval(value, replicates, left_out)
    assert [ours.low, ours.high] == pytest.approx(np.quantile(replicates, tails).tolist(), abs=1e-9)


@pytest.mark.parametrize(
    ("value", "replicates", "left_out"),
    [
        (2.0, np.full(100, 2.0), np.full(6, 2.0)),  # no spread: no acceleration
        (9.0, np.linspace(0, 1, 101), np.linspace(0, 1, 6)),  # beyond all replicates: no bias correction
        (0.5, np.linspace(0, 1, 101), np.array([0.1, np.nan, 0.3, 0.4, 0.5, 0.6])),  # a left-out one without value
    ],
)
def test_where_bca_is_undefined_the_interval_is_the_percentile_interval(value, replicates, left_out):
    found = resampling.interval(value, replicates, [left_out])
    low, high = np.quantile(replicates, [0.025, 0.975])
    assert (found.low, found.high, found.percentile_low, found.percentile_high) == (low, high, low, high)


def test_replicates_without_a_value_are_left_out_up_to_a_half():
    known = np.linspace(0, 1, 101)
    half = resampling.interval(0.5, np.r_[known, np.full(101, np.nan)], [known[:10]])
    assert half.percentile_low == pytest.approx(0.025)
    more = resampling.interval(0.5, np.r_[np.tile(known, 10), np.full(1011, np.nan)], [known[:10]])
    assert np.isnan([more.low, more.high, more.percentile_low, more.percentile_high]).all()
    assert more.reason == "no interval: 1,011 of 2,021 resamples have no value"


@settings(max_examples=20)
@given(st.integers(5, 30), st.integers(0, 2**31))
def test_each_draw_takes_as_many_levels_as_there_are(n, seed):
    first, second = resampling.draw([n, 7], 50, seed)
    assert (first.sum(axis=1) == n).all()
    assert (second.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(resampling.draw([n, 7], 50, seed)[1], second)


def test_leaving_out_one_level_of_one_factor_at_a_time():
    (first, all_second), (all_first, second) = resampling.leave_one_out([2, 3])
    np.testing.assert_array_equal(first, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(all_second, np.ones((2, 3)))
    np.testing.assert_array_equal(all_first, np.ones((3, 2)))
    np.testing.assert_array_equal(second, 1 - np.eye(3))
