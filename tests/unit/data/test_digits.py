"""The embedded digits: a fixed, stratified split, and constants that are their own."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from netalike import data


@pytest.fixture(scope="module")
def splits():
    return {split: data.load("digits", split, root="/nonexistent") for split in ("train", "test")}


def test_the_split_is_exhaustive_and_stratified(splits):
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test)) == (1297, 500)
    assert sorted([*train.ids, *test.ids]) == list(range(1797))
    assert test.labels.bincount().tolist() == [50] * 10


def test_the_split_never_changes(splits):
    digest = hashlib.sha256(splits["test"].ids.astype("<i8").tobytes()).hexdigest()
    assert digest == "2abc17b61cf49d82ef4c7195be326b9ff0fe8ff47ae52b3cdcce0856b855190f"


def test_ids_are_positions_in_scikit_learns_set(splits):
    digits, test = load_digits(), splits["test"]
    assert test.labels.tolist() == digits.target[test.ids].tolist()
    small = np.rint(digits.images[test.ids[7]] * 255 / 16).astype(np.uint8)
    large = Image.fromarray(small).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(test.images[7, 0].numpy(), np.asarray(large))


def test_mean_and_std_are_those_of_the_training_images(splits):
    pixels, spec = splits["train"].images.double() / 255, splits["train"].spec
    assert pixels.mean().item() == pytest.approx(spec.mean[0], abs=5e-5)
    assert pixels.std(correction=0).item() == pytest.approx(spec.std[0], abs=5e-5)


def test_inputs_are_normalised(splits):
    inputs = splits["train"].inputs()
    assert inputs.shape == (1297, 1, 32, 32)
    assert inputs.mean().item() == pytest.approx(0, abs=1e-3)
    assert inputs.std().item() == pytest.approx(1, abs=1e-3)


def test_nothing_is_fetched(tmp_path):
    assert data.fetch("digits", tmp_path / "root") == []
    assert data.verify("digits", tmp_path / "root") == []
    assert not (tmp_path / "root").exists()
