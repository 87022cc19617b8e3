"""Shared responses: known maps are found again, constants change nothing, and the published way is BrainIAK's."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netalike.alignment import SharedResponse, brainiak, fitting
from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError

METHODS = ("probabilistic", "deterministic")
needs_brainiak = pytest.mark.skipif(not brainiak.is_installed(), reason="brainiak is not installed")


def haar(size, random):
    q, r = np.linalg.qr(random.standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def rotated_copies(count=4, n=120, units=12, seed=0, kind="rotation"):
    random = np.random.default_rng(seed)
    images = random.standard_normal((n, units)) * np.linspace(1, 3, units) + 2
    maps = [
        haar(units, random) if kind == "rotation" else np.eye(units)[random.permutation(units)] for _ in range(count)
    ]
    return [images @ one for one in maps], maps


def noisy(widths=(14, 15, 17), n=90, features=5, noise=0.4, seed=0, mean=1.0):
    random = np.random.default_rng(seed)
    shared = random.standard_normal((n, features)) * np.linspace(1, 2, features)
    return [
        shared @ random.standard_normal((features, p)) / 2
        + noise * random.standard_normal((n, p))
        + mean * random.random(p)
        for p in widths
    ]


def log_likelihood_by_definition(X, bases, noise, covariance):
    """Gaussian density of all units of all networks together, less its constant."""
    stacked = np.concatenate([x - x.mean(0) for x in X], axis=1)
    loadings = np.concatenate(bases)
    variances = np.repeat(noise, [x.shape[1] for x in X])
    total = loadings @ covariance @ loadings.T + np.diag(variances)
    quadratic = np.einsum("ni,ij,nj->", stacked, np.linalg.inv(total), stacked)
    return -0.5 * (len(stacked) * np.linalg.slogdet(total)[1] + quadratic)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["rotation", "permutation"])
def test_known_maps_are_found_again(method, kind):
    X, maps = rotated_copies(kind=kind)
    model = SharedResponse(method=method).fit([x[:80] for x in X])
    for basis, one in zip(model.bases_, maps, strict=True):
        assert model.bases_[0] @ basis.T == pytest.approx(maps[0].T @ one, abs=1e-8)
    assert model.score([x[80:] for x in X]) == pytest.approx(1, abs=1e-12)
    first, *others = model.transform([x[80:] for x in X])
    for other in others:
        assert other == pytest.approx(first, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_the_published_perturbation_keeps_known_maps_from_being_exact(method):
    X, maps = rotated_copies()
    model = SharedResponse(method=method, center="brainiak").fit(X)
    error = max(np.abs(model.bases_[0] @ b.T - maps[0].T @ m).max() for b, m in zip(model.bases_, maps, strict=True))
    assert 1e-7 < error < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_narrow_model_finds_a_shared_response_that_is_there(method):
    random = np.random.default_rng(0)
    shared = random.standard_normal((90, 5))
    X = [shared @ np.linalg.qr(random.standard_normal((p, 5)))[0].T + random.random(p) for p in (9, 10, 12)]
    model = SharedResponse(5, method=method).fit([x[:60] for x in X])
    assert model.score([x[60:] for x in X]) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_bases_are_orthonormal(method):
    for X in (noisy(), rotated_copies()[0]):
        for basis in SharedResponse(method=method).fit(X).bases_:
            assert basis.T @ basis == pytest.approx(np.eye(basis.shape[1]), abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [1.0, 1000.0])
def test_N1_N2_constants_added_to_units_change_nothing(method, shift):
    X = noisy()
    shifts = [shift * np.random.default_rng(i).standard_normal(x.shape[1]) for i, x in enumerate(X)]
    moved = [x + own for x, own in zip(X, shifts, strict=True)]
    plain, other = (SharedResponse(5, method=method).fit(x) for x in (X, moved))
    for a, b in zip(plain.bases_ + plain.transform(X), other.bases_ + other.transform(moved), strict=True):
        assert b == pytest.approx(a, abs=1e-9)
    assert other.objective_ == pytest.approx(plain.objective_, rel=1e-9)
    assert other.score(moved) == pytest.approx(plain.score(X), abs=1e-9)
    if method == "probabilistic":
        assert other.noise_variances_ == pytest.approx(plain.noise_variances_, rel=1e-8)


def test_N1_transform_subtracts_the_mean():
    X = noisy(mean=5.0)
    corrected, published = (SharedResponse(5, center=center).fit(X) for center in ("mean", "brainiak"))
    for model, expected in ((corrected, X[0] - X[0].mean(0)), (published, X[0])):
        assert model.transform(X)[0] == pytest.approx(expected @ model.bases_[0], abs=1e-12)
    assert np.abs(corrected.transform(X)[0].mean(0)).max() < 1e-12
    assert np.abs(published.transform(X)[0].mean(0)).max() > 1


def test_N2_the_noise_of_centred_data_is_that_of_the_residuals():
    X = noisy(widths=(20, 20, 20, 20), n=400, noise=0.3, mean=20.0)
    corrected, published = (SharedResponse(5, center=center, iterations=30).fit(X) for center in ("mean", "brainiak"))
    assert published.noise_variances_.min() > 20 * corrected.noise_variances_.max()


def test_N1_deterministic_centres_too():
    X = noisy(mean=5.0)
    corrected = SharedResponse(5, method="deterministic").fit(X)
    assert np.abs(corrected.shared_.mean(0)).max() < 1e-12
    assert np.abs(SharedResponse(5, method="deterministic", center="brainiak").fit(X).shared_.mean(0)).max() > 1


def test_the_objective_is_the_marginal_log_likelihood():
    X = noisy()
    one, more = (SharedResponse(5, iterations=iterations).fit(X) for iterations in (3, 4))
    expected = log_likelihood_by_definition(X, one.bases_, one.noise_variances_, one.shared_covariance_)
    assert more.objective_[3] == pytest.approx(expected, rel=1e-10)
    assert more.objective_[:3] == pytest.approx(one.objective_, rel=1e-12)


def test_the_likelihood_rises_and_the_residuals_fall():
    X = noisy()
    assert (np.diff(SharedResponse(5, iterations=30).fit(X).objective_) > -1e-8).all()
    assert (np.diff(SharedResponse(5, method="deterministic", iterations=30).fit(X).objective_) < 1e-8).all()


def test_the_deterministic_objective_is_the_sum_of_squared_residuals():
    X = noisy()
    model = SharedResponse(5, method="deterministic").fit(X)
    built = model.reconstruct(model.shared_)
    assert model.objective_[-1] == pytest.approx(sum(((x - r) ** 2).sum() for x, r in zip(X, built, strict=True)))


@needs_brainiak
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("widths", "features"), [((14, 15, 17), 5), ((12, 12, 12, 12), 12), ((9, 30), 9)])
def test_brainiak_agrees(method, widths, features):
    X = noisy(widths, noise=1.0)
    ours, theirs = (
        SharedResponse(features, method=method, center="brainiak", seed=3, implementation=name).fit(X)
        for name in ("netalike", "brainiak")
    )
    for a, b in zip([*ours.bases_, ours.shared_], [*theirs.bases_, theirs.shared_], strict=True):
        assert a == pytest.approx(b, abs=1e-6)
    assert ours.objective_ == pytest.approx(theirs.objective_, rel=1e-6)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-6)
    assert ours.noise_variances_ == pytest.approx(theirs.noise_variances_, rel=1e-6, nan_ok=True)
    assert ours.shared_covariance_ == pytest.approx(theirs.shared_covariance_, abs=1e-6, nan_ok=True)
    for a, b in zip(ours.transform(X), theirs.transform(X), strict=True):
        assert a == pytest.approx(b, abs=1e-6)


def test_the_start_is_the_published_one():
    states = np.random.RandomState(7)
    for width, basis in zip((6, 9), fitting.initial_bases([6, 9], 4, 7), strict=True):
        own = np.random.RandomState(states.randint(2**32, dtype=np.int64))
        assert np.array_equal(basis.T, np.linalg.qr(own.random_sample((width, 4)))[0])


def test_float32_is_as_float64_to_its_precision():
    X = noisy(n=300, widths=(40, 40, 40))
    single = [x.astype(np.float32) for x in X]
    for center in ("mean", "brainiak"):
        a, b = (SharedResponse(5, center=center).fit(x) for x in (X, single))
        assert b.objective_ == pytest.approx(a.objective_, rel=1e-6)
        assert max(np.abs(x - y).max() for x, y in zip(a.bases_, b.bases_, strict=True)) < 1e-4
        assert b.shared_.dtype == b.bases_[0].dtype == np.float64


def test_the_same_call_gives_the_same_bits():
    X = noisy()
    a, b = (SharedResponse(5, seed=1).fit(X) for _ in range(2))
    assert a.shared_.tobytes() == b.shared_.tobytes()
    assert np.abs(SharedResponse(5, seed=2).fit(X).shared_ - a.shared_).max() > 1e-3


def test_the_given_activations_are_not_changed():
    X = noisy(mean=1000.0)
    before = [x.copy() for x in X]
    for method in METHODS:
        SharedResponse(5, method=method, center="brainiak").fit(X).score(X)
    assert all(np.array_equal(a, b) for a, b in zip(X, before, strict=True))


def test_shuffled_images_in_one_network_collapse():
    X = noisy(widths=(20, 20, 20, 20), n=400)
    plain = SharedResponse(5).fit([x[:300] for x in X]).score([x[300:] for x in X])
    shuffled = [*X[:3], X[3][np.random.default_rng(0).permutation(400)]]
    scores = SharedResponse(5).fit([x[:300] for x in shuffled]).score([x[300:] for x in shuffled])
    assert plain.min() > 0.8
    assert scores[3] < 0.35
    assert scores[:3].min() > scores[3] + 0.3


def test_noise_explains_what_one_network_has_in_the_mean():
    random = np.random.default_rng(0)
    train, test = ([random.standard_normal((n, 50)) for _ in range(6)] for n in (500, 1000))
    assert SharedResponse(10).fit(train).score(test) == pytest.approx(10 / 50 / 6, abs=0.01)


def test_score_is_the_published_formula():
    X = noisy(mean=5.0)
    model = SharedResponse(5, center="brainiak").fit(X)
    mean = np.mean(model.transform(X), axis=0)
    expected = [1 - np.mean((mean @ b.T - x) ** 2) / np.var(x) for b, x in zip(model.bases_, X, strict=True)]
    assert model.score(X) == pytest.approx(expected)


def test_features_are_the_smallest_width_by_default():
    assert SharedResponse().fit(noisy((9, 7, 8))).shared_.shape == (90, 7)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=4),
    st.integers(0, 8),
    st.sampled_from(METHODS),
    st.sampled_from(["mean", "brainiak"]),
    st.integers(0, 5),
)
def test_small_shapes(widths, further, method, center, seed):
    k = min(widths)
    n = max(k, 2) + further
    X = [np.random.default_rng([seed, i]).standard_normal((n, p)) for i, p in enumerate(widths)]
    model = SharedResponse(method=method, center=center, seed=seed, iterations=4).fit(X)
    assert [basis.shape for basis in model.bases_] == [(p, k) for p in widths]
    assert model.shared_.shape == (n, k)
    for basis in model.bases_:
        assert basis.T @ basis == pytest.approx(np.eye(k), abs=1e-7)
    assert (model.score(X) <= 1).all()
    assert np.isfinite(model.objective_).all()
    # the same after a permutation of the images
    order = np.random.default_rng(seed).permutation(n)
    again = SharedResponse(method=method, center=center, seed=seed, iterations=4).fit([x[order] for x in X])
    assert again.objective_ == pytest.approx(model.objective_, rel=1e-5, abs=1e-5)


def test_save_and_load(tmp_path):
    X = noisy()
    for method in METHODS:
        model = SharedResponse(5, method=method, center="brainiak", iterations=3, seed=2).fit(X)
        model.save(tmp_path / "model.safetensors")
        found = SharedResponse.load(tmp_path / "model.safetensors")
        assert (found.features, found.method, found.center, found.iterations, found.seed) == (
            5,
            method,
            "brainiak",
            3,
            2,
        )
        for a, b in zip(model.transform(X), found.transform(X), strict=True):
            assert np.array_equal(a, b)
        for name in ("shared_", "noise_variances_", "shared_covariance_", "objective_"):
            assert np.array_equal(getattr(model, name), getattr(found, name), equal_nan=True)
    with pytest.raises(BadFileError, match=r"stored in a \.safetensors file"):
        model.save(tmp_path / "model.npz")
    with pytest.raises(BadFileError):
        SharedResponse.load(tmp_path / "absent.safetensors")


def test_progress_is_shown_when_asked(capsys):
    SharedResponse(5, iterations=2, progress=True).fit(noisy())
    assert "shared response" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("X", "features", "message"),
    [
        ([np.eye(5)], 2, "at least 2 networks, got 1"),
        ([np.eye(5), np.eye(6)[:, :5]], 2, r"network 1 has 6 images and network 0 has 5.*network 0 5, network 1 6"),
        ([np.eye(5), np.eye(5)[:, :3]], 4, "4 features cannot be fitted to network 1, which has 3 units"),
        ([np.eye(5), np.eye(5)], 0, "0 features cannot be fitted"),
        ([np.ones((3, 5)), np.ones((3, 6))], 4, "3 images are too few for 4 features"),
        ([np.ones((3, 5, 5)), np.ones((3, 6))], 4, r"network 0 have shape \(3, 5, 5\): expected \(n_images, n_units\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(X, features, message):
    with pytest.raises(ShapeError, match=message):
        SharedResponse(features).fit(X)


def test_messages_name_the_network_and_layer():
    X = noisy()
    X[1][3, 4] = np.nan
    X[1][5, 6] = np.inf
    names = [f"conv-s{i}, layer pool1" for i in range(3)]
    with pytest.raises(NetalikeError, match="conv-s1, layer pool1 hold 2 NaN or infinite numbers of 1350"):
        SharedResponse(5).fit(X, names)
    X[1] = np.full_like(X[1], 3.0)
    with pytest.raises(NetalikeError, match="conv-s1, layer pool1 do not vary over 90 images"):
        SharedResponse(5).fit(X, names)
    with pytest.raises(ShapeError, match="2 names for 3 networks"):
        SharedResponse(5).fit(X, names[:2])


def test_other_networks_than_fitted_are_refused():
    X = noisy()
    model = SharedResponse(5).fit(X)
    with pytest.raises(ShapeError, match="2 networks given to a shared response of 3"):
        model.transform(X[:2])
    with pytest.raises(ShapeError, match="network 0 has 15 units and was fitted with 14"):
        model.transform([X[1], X[0], X[2]])
    with pytest.raises(ShapeError, match="4 features given to a model of 5"):
        model.reconstruct(np.ones((3, 4)))
    with pytest.raises(NetalikeError, match="not fitted"):
        SharedResponse().transform(X)
    assert [len(one) for one in model.transform([X[0][:3], X[1][:4], X[2]])] == [3, 4, 90]


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'deterministic'"):
        SharedResponse(method="determinstic")
    with pytest.raises(UnknownNameError, match="centring"):
        SharedResponse(center="median")
    with pytest.raises(UnknownNameError, match="implementation"):
        SharedResponse(implementation="fastsrm")
    with pytest.raises(NetalikeError, match="BrainIAK cannot centre so"):
        SharedResponse(implementation="brainiak")
    with pytest.raises(NetalikeError, match="iterations=0"):
        SharedResponse(iterations=0)


def test_without_brainiak_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "brainiak.funcalign.srm", None)
    assert not brainiak.is_installed()
    with pytest.raises(NetalikeError, match=r"pip install 'netalike\[brainiak\]', which brings mpich"):
        SharedResponse(5, center="brainiak", implementation="brainiak").fit(noisy())


def test_no_framework_is_imported():
    program = (
        "import sys, netalike.alignment as a, numpy as np; a.SharedResponse().fit([np.eye(4)] * 2); "
        "print([m for m in ('torch', 'tensorflow', 'keras', 'brainiak', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
