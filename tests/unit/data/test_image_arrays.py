"""Images as arrays: the publisher's pixels, averaged squares, and draws that keep the classes' shares."""

import numpy as np
import pytest

from netalike.data.image_arrays import ImageArrays, as_arrays, stratified
from netalike.errors import NetalikeError, ShapeError


def arrays(images, labels=None):
    n = len(images)
    found = np.zeros(n, np.int64) if labels is None else np.asarray(labels)
    return ImageArrays("toys", "test", np.asarray(images, np.uint8), found, np.arange(n), ("a", "b"))


def test_an_image_set_becomes_arrays_with_the_channels_last():
    pytest.importorskip("torch")
    from netalike import data

    images = data.load("digits", "test", limit=7)
    found = as_arrays(images)
    assert found.images.shape == (7, 32, 32, 1)
    assert np.array_equal(found.images[..., 0], images.images[:, 0].numpy())
    assert np.array_equal(found.ids, images.ids)
    assert found.labels.tolist() == images.labels.tolist()
    assert (found.name, found.split, found.classes) == ("digits", "test", images.classes)


def test_smaller_images_are_averages_of_squares():
    pixels = np.arange(2 * 4 * 6).reshape(1, 8, 6, 1) * 5
    given = arrays(pixels)
    found = as_arrays(given, 2).images
    assert found.shape == (1, 2, 2, 1)
    assert found[0, 1, 0, 0] == np.rint(given.images[0, 4:, :3].mean())
    with pytest.raises(ShapeError, match="8 x 6 pixels cannot be averaged to 4 x 4"):
        as_arrays(given, 4)


def test_draws_keep_the_shares_of_the_classes():
    labels = np.repeat([3, 1, 2], [50, 30, 20])
    found = stratified(labels, 10, 0)
    assert np.bincount(labels[found]).tolist() == [0, 3, 2, 5]
    assert np.all(np.diff(found) > 0)
    # 7 of them: shares 2.1, 1.4 and 3.5; the largest remainder gets the last one
    assert np.bincount(labels[stratified(labels, 7, 0)]).tolist() == [0, 2, 1, 4]
    assert np.array_equal(found, stratified(labels, 10, 0))
    assert not np.array_equal(found, stratified(labels, 10, 1))
    assert np.array_equal(stratified(labels, 100, 5), np.arange(100))


@pytest.mark.parametrize("n", [0, 101])
def test_more_images_than_there_are(n):
    with pytest.raises(NetalikeError, match=f"{n} images cannot be drawn from 100: expected 1 to 100"):
        stratified(np.zeros(100, int), n, 0)


def test_the_fingerprint_sees_pixels_and_labels():
    pixels = np.zeros((2, 4, 4, 1))
    same, other = arrays(pixels), arrays(pixels, [0, 1])
    assert same.fingerprint() == arrays(pixels).fingerprint() != other.fingerprint()
    pixels[0, 0, 0] = 1
    assert arrays(pixels).fingerprint() != same.fingerprint()
