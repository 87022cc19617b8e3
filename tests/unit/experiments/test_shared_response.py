"""Alignment of recordings: known geometries are recovered, controls collapse, and the rows say what they are."""

import sys
from pathlib import Path

import numpy as np
import pytest

from netalike.errors import BadFileError, NetalikeError
from netalike.evidence.measurements import table
from netalike.experiments.shared_pictures import panel_pictures, read_pictures, write_pictures
from netalike.experiments.shared_response import align_recordings
from netalike.plots.studies import with_factors

sys.path.insert(0, str(Path(__file__).parents[1]))
from shared_recordings import made

STUDY = {"n_fit": 180, "n_evaluate": 100, "bootstrap": 200}
FACTORS = ("center", "control", "space", "reference", "rsm", "pair", "depth", "of")


def aligned(networks, seed=0, **study):
    rows, pictures = align_recordings(networks, STUDY | study, seed)
    return with_factors(table(rows), *FACTORS), pictures


@pytest.fixture(scope="module")
def exact():
    """Rotated copies without noise, whose patterns are not standardised: a rotation recovers them exactly."""
    return aligned(made(noise=0.0), z_score=False)[0]


@pytest.fixture(scope="module")
def noisy():
    return aligned(made())


def take(rows, quantity, estimator=None, **factors):
    kept = rows["quantity"] == quantity
    kept &= True if estimator is None else rows["estimator"] == estimator
    for name, value in factors.items():
        kept &= rows[name] == value
    found = rows[kept]
    assert len(found)
    return found


def test_rotated_copies_are_recovered_exactly(exact):
    explained = take(exact, "variance_explained", center="mean", control="none")
    assert explained["value"].min() > 1 - 1e-5
    told = {"space": "shared", "center": "mean", "reference": "same_epoch", "rsm": "cosine"}
    assert take(exact, "second_order_similarity", **told)["value"].min() > 1 - 1e-4
    assert take(exact, "trajectory_distance", center="mean", space="shared")["value"].max() < 1e-2
    assert take(exact, "trajectory_distance", center="mean", space="native")["value"].min() > 0.7


def test_N1_the_mean_that_is_left_in_spoils_the_published_mode():
    networks = made(noise=0.0, epochs=(5,), offset=0.0)
    for i, network in enumerate(networks):  # a bias of each network's own
        for layer in network.layers:
            network.stored[layer, 5] += np.random.default_rng(i).standard_normal(network.stored[layer, 5].shape[1])
    rows = aligned(networks, z_score=False, controls=[])[0]
    corrected = take(rows, "variance_explained", "published", center="mean")["value"]
    published = take(rows, "variance_explained", "published", center="brainiak")["value"]
    assert corrected.min() > 1 - 1e-5
    assert published.max() < 0.95
    told = {"space": "shared", "rsm": "pearson"}
    similar = take(rows, "second_order_similarity", "pearson", center="brainiak", **told)["value"]
    assert (similar < take(rows, "second_order_similarity", "pearson", center="mean", **told)["value"].to_numpy()).all()


def test_N7_companions_of_pearson_do_not_change_in_the_shared_space(noisy):
    rows, _ = noisy
    assert take(rows, "within_similarity", rsm="cosine")["value"].min() > 1 - 1e-5
    assert take(rows, "within_similarity", rsm="centred_kernel")["value"].min() > 1 - 1e-5
    assert take(rows, "within_similarity", rsm="pearson")["value"].max() < 0.999


def test_N11_other_means_and_both_triangles_stand_beside_the_published_number(noisy):
    rows, _ = noisy
    told = {
        "center": "mean",
        "space": "shared",
        "reference": "same_epoch",
        "rsm": "pearson",
        "layer_a": "layer1",
        "step": 5,
    }
    values = [
        take(rows, "second_order_similarity", name, **told)["value"].item()
        for name in ("pearson", "pearson_fisher_z", "pearson_symmetric")
    ]
    assert len(set(values)) == 3
    assert values == pytest.approx([values[0]] * 3, abs=0.05)


def test_N11_intervals_are_over_networks(noisy):
    rows, _ = noisy
    found = take(rows, "second_order_similarity", "pearson")
    assert (found["low"] <= found["value"] + 0.05).all()
    assert (found["high"] - found["low"] > 0).all()


def test_N12_untrained_networks_are_a_control(noisy):
    rows, _ = noisy
    untrained = take(rows, "variance_explained", control="untrained")
    assert set(untrained["step"]) == {0}
    plain = take(rows, "variance_explained", control="none", step=0)
    assert np.array_equal(untrained["value"], plain["value"])


def test_alignment_gives_structure_that_native_units_lack(noisy):
    rows, _ = noisy
    told = {"center": "mean", "rsm": "pearson", "step": 5}
    shared = take(rows, "block_contrast", space="shared", pair="between", **told)["value"]
    native = take(rows, "block_contrast", space="native", pair="between", **told)["value"]
    assert shared.min() > 0.5
    assert native.abs().max() < shared.min() / 2
    assert take(rows, "consistency", rsm="pearson", step=5)["value"].min() > 0.7


def test_shuffled_images_and_noise_are_not_explained(noisy):
    rows, _ = noisy
    last = {"center": "mean", "step": 5}
    plain = take(rows, "variance_explained", "leave_one_out", control="none", **last)["value"]
    assert plain.min() > 0.7
    for control in ("shuffled", "noise"):
        assert take(rows, "variance_explained", "leave_one_out", control=control, **last)["value"].max() < 0.05
    shuffled = take(rows, "variance_explained", control="shuffled")
    assert (set(shuffled["network_a"]), set(shuffled["center"])) == ({"conv-s0"}, {"mean"})
    noise = take(rows, "variance_explained", "published", control="noise", **last)["value"]
    assert noise.mean() == pytest.approx(1 / 4, abs=0.03), "the mean holds the network itself"


def test_references_are_the_last_and_the_same_epoch(noisy):
    rows, _ = noisy
    told = {"center": "mean", "rsm": "pearson", "space": "shared", "layer_a": "layer1"}
    final = take(rows, "second_order_similarity", "pearson", reference="final", **told)
    same = take(rows, "second_order_similarity", "pearson", reference="same_epoch", **told)
    assert list(final["step"]) == [0, 1, 5]
    assert final["value"].is_monotonic_increasing
    assert final["value"].iloc[-1] == same["value"].iloc[-1]
    assert same["value"].iloc[0] > final["value"].iloc[0] + 0.1


def test_of_network_averages_near_the_published_number(noisy):
    rows, _ = noisy
    told = {"center": "mean", "rsm": "pearson", "space": "shared", "reference": "same_epoch", "step": 5}
    each = take(rows, "second_order_of_network", **told)
    assert len(each) == 2 * 4
    mean = take(rows, "second_order_similarity", "pearson", **told)["value"].mean()
    assert each["value"].max() < mean
    assert each["value"].mean() > mean - 0.2


def test_one_epoch_leaves_out_what_needs_several():
    rows, pictures = aligned(made(epochs=("final",)))
    assert set(rows["step"]) == {0}
    assert set(rows["reference"]) == {"", "same_epoch"}
    assert set(rows["control"]) == {"", "none", "shuffled", "shuffled_others", "noise"}
    assert "development_epoch" not in set(rows["quantity"])
    assert {name for name in pictures if name.startswith("trajectory/shared") and name[-1].isdigit()} == {
        "trajectory/shared/0/0",
        "trajectory/shared/1/0",
    }


def test_two_epochs_are_no_development():
    rows, _ = aligned(made(epochs=(0, 1)))
    assert "development_epoch" not in set(rows["quantity"])
    assert set(take(rows, "variance_explained", control="untrained")["step"]) == {0}


def test_an_output_layer_is_told_from_hidden_ones():
    rows, pictures = aligned(made(widths=(16, 16, 16, 4)))
    units = with_factors(rows, "units")
    assert set(units.loc[units["layer_a"] == "layer4", "units"]) == {"classes"}
    assert set(units.loc[units["layer_a"].isin(["layer1", "layer2", "layer3"]), "units"]) == {"hidden"}
    assert str(pictures["panel/layer"]) == "layer3"
    assert "trajectory/shared/2/2" in pictures
    assert "trajectory/shared/3/2" not in pictures
    assert len(take(rows, "ends_minus_middle", "published", center="mean")) == 4


def test_networks_of_other_widths_align_but_have_no_native_means():
    narrow, wide = made(n_networks=2, widths=(12, 10)), made(n_networks=4, widths=(24, 16))[2:]
    rows, pictures = aligned([*narrow, *wide])
    undefined = take(rows, "second_order_similarity", space="native")
    assert undefined["value"].isna().all()
    assert undefined["status"].iloc[0] == "undefined: networks differ in the number of units of layer layer1"
    assert take(rows, "second_order_similarity", space="shared")["value"].notna().all()
    assert "panel/between_shared" in pictures
    assert "panel/between_native" not in pictures


def test_fewer_features_than_units_explain_less():
    rows = aligned(made(), features=3, controls=[])[0]
    rigid = aligned(made(), controls=[])[0]
    few, all_ = (take(found, "variance_explained", "published", step=0)["value"].mean() for found in (rows, rigid))
    assert 0 < few < all_ - 0.1


def test_a_dead_layer_is_undefined_and_stops_nothing():
    networks = made()
    networks[2].stored["layer2", 1][:] = 0
    rows, _ = aligned(networks)
    dead = rows[(rows["layer_a"] == "layer2") & (rows["step"] == 1)]
    assert dead["value"].isna().all()
    assert dead["status"].iloc[0] == "undefined: 280 patterns of conv-s2 in layer layer2 have no variance"
    assert take(rows, "variance_explained", layer_a="layer2", step=5)["value"].notna().all()


def test_too_few_images_for_the_features_are_refused():
    with pytest.raises(NetalikeError, match="24 features of a shared response, and 20 images to fit"):
        aligned(made(), n_fit=20)


def test_the_same_call_gives_the_same_bits_and_another_seed_other_halves(noisy):
    again = align_recordings(made(), STUDY, 0)
    other = align_recordings(made(), STUDY, 1)
    first, second, third = (
        table(one).drop(columns="seed") for one in (noisy[0].drop(columns=list(FACTORS)), again[0], other[0])
    )
    assert first.equals(second)
    assert not np.allclose(first["value"], third["value"], equal_nan=True)
    assert all(np.array_equal(noisy[1][name], again[1][name]) for name in noisy[1])


def test_summaries_tell_when_layers_develop_and_how_values_run_over_depth():
    networks = made(widths=(16, 16, 16))
    for network in networks:  # no classes in the middle: less to share, as noise is the same
        for epoch in network.epochs:
            own = np.random.default_rng(int(network.name[-1])).standard_normal((300, 16))
            network.stored["layer2", epoch] = (network.stored["layer2", epoch] + 2 * own).astype(np.float32)
    rows = aligned(networks)[0]
    found = take(rows, "ends_minus_middle", "published", of="variance_explained", center="mean")
    assert (found["value"] > 0.2).all()
    assert list(found["network_a"]) == [network.name for network in networks]
    assert set(take(rows, "development_epoch", rsm="pearson", center="mean")["value"]) <= {1.0, 5.0}


def test_classes_are_compared_unless_they_are_too_many():
    rows = aligned(made())[0]
    found = rows[rows["quantity"] == "class_rsm"]
    assert len(found) == 2 * 3 * 2 * 6  # layers, epochs, spaces, pairs of four classes
    assert "class_rsm" not in set(aligned(made(), most_classes=3)[0]["quantity"])


# ---- pictures --------------------------------------------------------------------------------------------------------


def test_the_panel_averages_blocks_of_the_matrix():
    generator = np.random.default_rng(0)
    networks = [generator.standard_normal((400, 6)).astype(np.float32) for _ in range(3)]
    found = panel_pictures(networks, networks, np.sort(np.arange(400) % 5))
    matrix = np.mean([np.corrcoef(x) for x in networks], axis=0)
    assert found["panel/within_native"].shape == (200, 200)
    assert found["panel/within_native"][3, 7] == pytest.approx(matrix[6:8, 14:16].mean(), abs=1e-5)
    assert found["panel/within_native"][3, 3] == pytest.approx(matrix[6, 7], abs=1e-5), (
        "an image with itself is left out"
    )


def test_pictures_are_small_and_survive_a_file(noisy, tmp_path):
    pictures = noisy[1]
    write_pictures(pictures, tmp_path / "p.npz")
    assert (tmp_path / "p.npz").stat().st_size < 5e6
    found = read_pictures(tmp_path / "p.npz")
    assert set(found) == set(pictures)
    assert np.array_equal(found["trajectory/shared/1/2"], pictures["trajectory/shared/1/2"])
    assert found["trajectory/labels"].shape == (91,)
    (tmp_path / "p.npz").write_bytes(b"junk")
    with pytest.raises(BadFileError, match="holds no pictures of aligned networks"):
        read_pictures(tmp_path / "p.npz")
