"""The interface of simtorch: its values, its layers, its figure, and its published division, beside simtorch itself."""

import warnings

import numpy as np
import pytest
import torch

from netalike import data, networks
from netalike.compat import simtorch as ours
from netalike.errors import NetalikeError, UnknownNameError
from netalike.networks.torchvision_import import torchvision

LENET, DENSE = ["conv", "relu", "fc"], ["fc"]


@pytest.fixture(scope="module")
def loader():
    # three batches, nine layers: the division by layers instead of batches shows
    return list(data.batches(data.load("digits", "test", limit=112), 40))


@pytest.fixture(scope="module")
def models():
    return networks.build("lenet", channels=1, seed=0), networks.build("dense", channels=1, seed=1)


@pytest.fixture(scope="module")
def wrapped(models):
    return [ours.SimilarityModel(model, None, layers) for model, layers in zip(models, (LENET, DENSE), strict=True)]


def theirs(models, name, loader, **options):
    pytest.importorskip("simtorch")
    from simtorch import similarity
    from simtorch.model.sim_model import SimilarityModel
    from simtorch.similarity.procrustes import Procrustes

    metric = {"CKA": similarity.CKA, "DeltaCKA": similarity.DeltaCKA, "Procrustes": Procrustes}[name]
    pair = [SimilarityModel(model, None, layers) for model, layers in zip(models, (LENET, DENSE), strict=True)]
    return metric(*pair, **options).compute(loader)


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("CKA", {}, 1e-5),
        ("DeltaCKA", {}, 1e-5),
        ("DeltaCKA", {"remove_negative_eig": True}, 1e-5),
        # simtorch takes the nuclear norm in float32
        ("Procrustes", {}, 1e-4),
    ],
)
def test_the_values_are_those_of_the_released_simtorch_with_its_division(
    models, wrapped, loader, name, options, tolerance
):
    expected = theirs(models, name, loader, **options)
    found = getattr(ours, name)(*wrapped, bug_compat=True, **options).compute(loader)
    assert found.shape == expected.shape == (9, 4)
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_without_the_published_division_the_sum_is_divided_by_the_batches(wrapped, loader):
    correct = ours.CKA(*wrapped).compute(loader)
    published = ours.CKA(*wrapped, bug_compat=True).compute(loader)
    np.testing.assert_allclose(published * 9 / 3, correct, rtol=1e-12)


@pytest.mark.parametrize("metric", [ours.CKA, ours.DeltaCKA])
def test_a_model_compared_with_itself_has_ones_on_the_diagonal(models, loader, metric):
    twice = [ours.SimilarityModel(models[0], None, LENET) for _ in range(2)]
    np.testing.assert_allclose(np.diag(metric(*twice).compute(loader)), 1, atol=1e-9)
    np.testing.assert_allclose(np.diag(metric(*twice, bug_compat=True).compute(loader)), 3 / 9, atol=1e-9)


def test_procrustes_is_a_distance(models, loader):
    twice = [ours.SimilarityModel(models[0], None, LENET) for _ in range(2)]
    # the square root of the rounding of the features
    np.testing.assert_allclose(np.diag(ours.Procrustes(*twice).compute(loader)), 0, atol=1e-6)


def test_unbiased_is_no_dead_option(wrapped, loader):
    biased, unbiased = (ours.CKA(*wrapped, unbiased=option).compute(loader) for option in (False, True))
    assert np.abs(biased - unbiased).max() > 0.01


def test_the_share_explained_by_the_inputs_is_kept(wrapped, loader):
    metric = ours.DeltaCKA(*wrapped)
    metric.compute(loader)
    assert metric.pve.shape == (13,)
    assert ((metric.pve > 0) & (metric.pve <= 1)).all()
    assert metric.pve[0] > metric.pve[8]  # the first convolution is nearer to the inputs than the last layer


def test_layers_are_matched_by_substring_as_published_and_exactly_on_demand(models):
    assert ours.SimilarityModel(models[0], None, ["fc1"]).layers == ["fc1"]
    assert ours.SimilarityModel(models[0], None, ["1"]).layers == ["conv1", "relu1", "pool1", "fc1"]
    assert ours.SimilarityModel(models[0], None, ["^fc[12]$"], matching="regex").layers == ["fc1", "fc2"]
    with pytest.raises(UnknownNameError, match="unknown layer of LeNet 'conv'"):
        ours.SimilarityModel(models[0], None, ["conv"], matching="exact")
    with pytest.raises(UnknownNameError, match=r"'sub'.*'substring'"):
        ours.SimilarityModel(models[0], None, ["conv"], matching="sub")


def test_a_filter_that_matches_nothing_is_an_error(models):
    with pytest.raises(UnknownNameError, match="unknown layer of LeNet 'classifier'"):
        ours.SimilarityModel(models[0], None, ["classifier"])
    with pytest.warns(UserWarning, match="No layers have been added"):
        empty = ours.SimilarityModel(models[0])
    with pytest.raises(NetalikeError, match="give layers_to_include"):
        ours.CKA(empty, empty).compute([torch.zeros(4, 1, 32, 32)])


def test_hooks_are_gone_afterwards(loader):
    model = networks.build("lenet", channels=1, seed=0)
    twice = [ours.SimilarityModel(model, None, LENET) for _ in range(2)]
    ours.CKA(*twice).compute(loader)
    assert all(not module._forward_hooks for module in model.modules())


def test_the_figure_has_the_first_model_in_its_rows_from_the_top(wrapped, loader, tmp_path):
    metric = ours.CKA(*wrapped)
    with pytest.raises(NetalikeError, match="call compute"):
        metric.plot_similarity()
    metric.compute(loader)
    axes = metric.plot_similarity(savefig=True, save_path=tmp_path / "new")
    assert axes.get_title() == "CKA: LeNet vs Dense"
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("LeNet", "Dense")
    assert axes.yaxis_inverted()
    assert (tmp_path / "new" / "CKA:_LeNet_vs_Dense.png").stat().st_size > 1000
    # a figure of its own each time
    assert metric.plot_similarity().figure is not axes.figure


def test_no_batch_is_an_error(wrapped):
    with pytest.raises(NetalikeError, match="no batch"):
        ours.CKA(*wrapped).compute([])


def test_the_readme_example_of_simtorch_runs_by_changing_the_import():
    models = torchvision().models
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model1, model2 = models.densenet121(), models.resnet101()
    sim_model1 = ours.SimilarityModel(model1, model_name="DenseNet 121", layers_to_include=["conv", "classifier"])
    sim_model2 = ours.SimilarityModel(model2, model_name="ResNet 101", layers_to_include=["conv", "fc"])
    images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sim_cka = ours.CKA(sim_model1, sim_model2, device="cpu")
    cka_matrix = sim_cka.compute([(batch, None) for batch in images.split(8)])
    assert cka_matrix.shape == (121, 101)
    assert (sim_model1.n_layers, sim_model2.n_layers) == (121, 101)
    assert np.nanmin(cka_matrix) > 0
    assert np.nanmax(cka_matrix) <= 1 + 1e-9
