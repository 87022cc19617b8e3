"""The similarity term: the published formula by plain double back-propagation, its sign, and what it refuses."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.training import similarity_term as term


@pytest.fixture
def network():
    return term.similarity_network(seed=1).double()


def images(groups, batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(groups, batch, 1, 28, 28, generator=generator, dtype=torch.float64)


def flat_gradient(value, model, create_graph=False):
    found = torch.autograd.grad(value, list(model.parameters()), create_graph=create_graph)
    return torch.cat([gradient.reshape(-1) for gradient in found])


def plain_loss(model, inputs, labels, weight, compared, drawn=None):
    """The formula as it stands: a gradient of all parameters for each batch, kept in the graph."""

    def functional_of(group):
        log_probabilities = model(inputs[group]).log_softmax(1)
        masks = torch.full_like(log_probabilities, -1 / 9)
        masks[torch.arange(len(masks)), labels[group]] = 1
        return (log_probabilities * (masks if drawn is None else drawn)).sum(1).mean()

    entropy = (
        functional.cross_entropy(model(inputs[0]), labels[0]) + functional.cross_entropy(model(inputs[1]), labels[1])
    ) / 2
    g1, g2 = (flat_gradient(functional_of(group), model, create_graph=True) for group in compared)
    return entropy + weight * g1 @ g2 / (g1.norm() * g2.norm())


def test_the_network_has_the_published_number_of_parameters():
    model = term.similarity_network()
    assert sum(parameter.numel() for parameter in model.parameters()) == 317_069
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert [layer.num_parameters for layer in model if isinstance(layer, nn.PReLU)] == [1, 1, 1]


def test_the_seed_alone_decides_the_initialisation():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (term.similarity_network(seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.fc1.weight, again.fc1.weight)
    assert not torch.equal(first.fc1.weight, other.fc1.weight)


@pytest.mark.parametrize("weight", [1.0, -1.0, 3.0])
@pytest.mark.parametrize(("groups", "batch"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_the_gradient_is_that_of_plain_double_back_propagation(network, weight, groups, batch):
    inputs, labels = images(groups, batch), torch.tensor([[3] * batch, [3] * batch, [7, 2][:batch]][:groups])
    loss, _ = term.similarity_loss(network, inputs, labels, weight)
    expected = plain_loss(network, inputs, labels, weight, (0, groups - 1))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    found, wanted = flat_gradient(loss, network), flat_gradient(expected, network)
    assert (found - wanted).norm() < 1e-10 * wanted.norm()


def test_the_gradient_of_a_random_mask_is_that_of_plain_double_back_propagation(network):
    inputs, labels = images(2, 1), torch.tensor([[3], [3]])
    drawn = torch.randn(10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    loss, _ = term.similarity_loss(network, inputs, labels, 1.0, drawn)
    wanted = flat_gradient(plain_loss(network, inputs, labels, 1.0, (0, 1), drawn), network)
    assert (flat_gradient(loss, network) - wanted).norm() < 1e-10 * wanted.norm()


def test_without_a_weight_it_is_the_cross_entropy_of_both_images(network):
    inputs, labels = images(2, 1), torch.tensor([[4], [4]])
    loss, logits = term.similarity_loss(network, inputs, labels, 0.0)
    assert loss.item() == pytest.approx(functional.cross_entropy(network(inputs[:, 0]), labels[:, 0]).item())
    assert logits.shape == (2, 10)


def test_the_control_leaves_the_cross_entropy_alone(network):
    inputs, labels = images(3, 1), torch.tensor([[4], [4], [6]])
    pair, _ = term.similarity_loss(network, inputs[:2], labels[:2], 0.0)
    control, logits = term.similarity_loss(network, inputs, labels, 0.0)
    assert control.item() == pytest.approx(pair.item(), rel=1e-14)
    assert len(logits) == 2


def test_c1_plus_pushes_the_gradients_of_a_pair_apart_and_minus_pulls_them_together():
    inputs, labels = images(2, 1), torch.tensor([[3], [3]])

    def cosine_after(sign):
        model = term.similarity_network(seed=1).double()
        weight = term.Variant(sign, 1.0).signed_weight(1)
        entropy, _ = term.similarity_loss(model, inputs, labels, 0.0)
        loss, _ = term.similarity_loss(model, inputs, labels, weight)
        step = flat_gradient(loss - entropy, model)
        with torch.no_grad():
            nn.utils.vector_to_parameters(
                nn.utils.parameters_to_vector(model.parameters()) - 1e-3 * step, model.parameters()
            )
        return (
            term.similarity_loss(model, inputs, labels, 1.0)[0] - term.similarity_loss(model, inputs, labels, 0.0)[0]
        ).item()

    model = term.similarity_network(seed=1).double()
    before = (
        term.similarity_loss(model, inputs, labels, 1.0)[0] - term.similarity_loss(model, inputs, labels, 0.0)[0]
    ).item()
    assert cosine_after("plus") < before - 1e-5
    assert cosine_after("minus") > before + 1e-5


def test_the_weight_grows_with_the_root_of_the_batch():
    assert term.Variant("plus", 1.0).signed_weight(1) == 1.0
    assert term.Variant("minus", 0.3).signed_weight(4) == -0.6
    assert term.Variant().signed_weight(9) == 0


def test_posnegflat_is_the_true_logit_less_the_mean_of_the_others():
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 3, 9, 3, 5])
    true = logits[torch.arange(5), labels]
    expected = true - (logits.sum(1) - true) / 9
    masks = term.class_masks(labels, 10, dtype=torch.float64)
    torch.testing.assert_close(term.masked_log_probability(logits, masks), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("options", [{}, {"padding": 1, "stride": 2}, {"bias": False, "dilation": 2}])
def test_products_are_those_of_stored_gradients(options):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, **options),
        nn.PReLU(),
        nn.Flatten(),
        nn.LazyLinear(6),
        nn.PReLU(),
        nn.Linear(6, 3, bias=False),
    ).double()
    inputs = torch.randn(5, 2, 9, 9, dtype=torch.float64)
    logits, records = term.run_recorded(model, inputs)
    values = (logits**2).sum(1)
    found = term.gradient_products(values, records)
    gradients = torch.stack([flat_gradient((model(x[None]) ** 2).sum(), model) for x in inputs])
    torch.testing.assert_close(found, gradients @ gradients.T, rtol=1e-11, atol=1e-11)
    some = term.gradient_products(values, records, [4, 1])
    torch.testing.assert_close(some, found[[4, 1]][:, [4, 1]])


def test_mean_cosines_are_over_pairs_of_different_images(network):
    inputs, labels = images(1, 5)[0], torch.tensor([2, 2, 2, 6, 6])
    values = [
        term.masked_log_probability(network(x[None]), term.class_masks(y[None], 10, dtype=x.dtype)).sum()
        for x, y in zip(inputs, labels, strict=True)
    ]
    gradients = functional.normalize(torch.stack([flat_gradient(value, network) for value in values]), dim=1)
    k = gradients @ gradients.T
    same, different = term.mean_cosines(network, inputs, labels, 10)
    assert same == pytest.approx(float(k[0, 1] + k[0, 2] + k[1, 2] + k[3, 4]) / 4)
    assert different == pytest.approx(float(k[:3, 3:].mean()))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_one_image_of_each_class_has_no_pairs_within(network):
    same, different = term.mean_cosines(network, images(1, 2)[0], torch.tensor([0, 1]), 10)
    assert math.isnan(same)
    assert -1 < different < 1


def test_a_zero_gradient_is_similar_to_nothing():
    assert term.cosines(torch.tensor([[0.0, 0.0], [0.0, 4.0]])).tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_conditions_and_names_tell_variants_apart():
    assert term.Variant().condition() == "weight=0"
    assert (
        term.Variant("plus", 0.3).condition(accuracy=0.5)
        == "accuracy=0.5;mask=posnegflat;partner=same_class;weight=0.3"
    )
    assert term.Variant("minus", 1.0, "different_class", "random").name == "minus-1-different_class-random"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sign": "minsu", "weight": 1}, "unknown sign of the similarity term 'minsu': .* Did you mean 'minus'"),
        ({"sign": "plus", "weight": 1, "partner": "same"}, "unknown partner 'same'"),
        ({"sign": "plus", "weight": 1, "mask": "posneg"}, "unknown mask 'posneg': .* Did you mean 'posnegflat'"),
    ],
)
def test_unknown_names_are_refused(given, message):
    with pytest.raises(UnknownNameError, match=message):
        term.Variant(**given)


@pytest.mark.parametrize("given", [("baseline", 1.0), ("plus", 0.0), ("minus", -1.0)])
def test_weights_that_contradict_the_sign_are_refused(given):
    with pytest.raises(NetalikeError, match="expected weight 0 for baseline, and a positive weight for plus and minus"):
        term.Variant(*given)


def test_other_layers_and_groups_are_refused(network):
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(784), nn.Linear(784, 10))
    inputs, labels = torch.zeros(2, 1, 1, 28, 28), torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(NetalikeError, match="no gradient products for LayerNorm"):
        term.similarity_loss(model, inputs, labels, 1.0)
    with pytest.raises(NetalikeError, match="give the padding as a number"):
        term.similarity_loss(nn.Sequential(nn.Conv2d(1, 10, 28, padding="valid"), nn.Flatten()), inputs, labels, 1.0)
    with pytest.raises(ShapeError, match=r"a pair of batches, or three, got labels of shape \(1, 4\)"):
        term.similarity_loss(network, images(1, 4), torch.zeros(1, 4, dtype=torch.int64), 1.0)
