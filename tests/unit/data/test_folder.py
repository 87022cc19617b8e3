"""Image folders: classes, splits, decoding, the cache, and what is refused."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from netalike import data
from netalike.data import folder
from netalike.errors import BadFileError


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(folder, "_REGISTERED", {})


def draw(path, value=0, size=(40, 40), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def pets(tmp_path):
    """40 cats and 40 dogs of one colour each; the green channel counts them."""
    for label, kind in enumerate(("cat", "dog")):
        for number in range(40):
            draw(tmp_path / "pets" / kind / f"{number:02}.png", (200 * label, number, 9))
    return tmp_path / "pets"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def both_splits(name, root):
    return {split: data.load(name, split, root) for split in ("train", "test")}


def test_a_registered_folder_is_a_data_set(pets, root):
    spec = data.register_folder("pets", pets)
    assert data.names()[-1] == "pets"
    assert (spec.classes, spec.channels, spec.size) == (("cat", "dog"), 3, 32)
    sets = both_splits("pets", root)
    assert len(sets["train"]) + len(sets["test"]) == 80
    for images in sets.values():
        assert images.images.shape[1:] == (3, 32, 32)
        assert (images.images[:, 0, 0, 0] // 200).tolist() == images.labels.tolist()
        assert images.ids.tolist() == list(range(len(images)))
    seen = {(int(i[0, 0, 0]), int(i[1, 0, 0])) for images in sets.values() for i in images.images}
    assert len(seen) == 80


def test_a_folder_needs_no_registration(pets, root):
    named = data.load(f"folder:{pets}", "test", root)
    data.register_folder("pets", pets)
    assert named.fingerprint() == data.load("pets", "test", root).fingerprint()
    assert data.fetch(f"folder:{pets}", root) == []


def test_mean_and_std_are_those_of_the_training_images(pets, root):
    data.register_folder("pets", pets)
    sets = both_splits("pets", root)
    pixels = sets["train"].images.double().numpy() / 255
    assert sets["test"].spec.mean == pytest.approx(pixels.mean((0, 2, 3)))
    assert sets["test"].spec.std[:2] == pytest.approx(pixels.std((0, 2, 3))[:2])
    assert sets["test"].spec.std[2] == 1.0  # a constant channel
    assert sets["test"].spec == sets["train"].spec
    assert sets["train"].inputs().mean().item() == pytest.approx(0, abs=1e-5)


def test_given_mean_and_std_are_kept(pets, root):
    data.register_folder("pets", pets, channels=1, mean=[0.5], std=[0.25])
    images = data.load("pets", "test", root)
    assert (images.spec.mean, images.spec.std, images.images.shape[1]) == ((0.5,), (0.25,), 1)
    assert images.inputs().numpy() == pytest.approx((images.images.numpy() / 255 - 0.5) / 0.25, abs=1e-5)


def test_images_are_resized_as_pillow_does(tmp_path, root):
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    for kind in ("train/a", "test/a"):
        draw(tmp_path / "x" / kind / "1.png")
        Image.fromarray(noise).save(tmp_path / "x" / kind / "1.png")
    data.register_folder("x", tmp_path / "x", size=24)
    expected = np.asarray(Image.fromarray(noise).resize((24, 24), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(data.load("x", "test", root).images[0].numpy(), expected)


def test_folders_train_and_test_are_the_splits(tmp_path, root):
    for number in range(6):
        draw(tmp_path / "x" / "train" / "a" / f"{number}.png", (number, 0, 0))
    draw(tmp_path / "x" / "train" / "b" / "deep" / "1.JPG", (7, 0, 0))
    draw(tmp_path / "x" / "test" / "b" / "1.png", (8, 0, 0))
    data.register_folder("x", tmp_path / "x")
    sets = both_splits("x", root)
    assert sets["train"].labels.tolist() == [0] * 6 + [1]
    assert (sets["test"].images[:, 0, 0, 0].tolist(), sets["test"].labels.tolist()) == ([8], [1])
    draw(tmp_path / "x" / "test" / "c" / "1.png")
    with pytest.raises(BadFileError, match="class 'c' is in test but not in train"):
        data.load("x", "test", root)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, unique=True), st.floats(0.01, 0.98))
def test_the_split_depends_on_the_path_and_grows_with_the_share(paths, share):
    for path in paths:
        assert folder.split_of(path, share) == folder.split_of(path, share)
        if folder.split_of(path, share) == "test":
            assert folder.split_of(path, share + 0.01) == "test"


def test_the_share_is_kept_on_average_and_the_split_never_changes():
    chosen = [folder.split_of(f"cat/{number}.png", 0.2) for number in range(10_000)]
    assert chosen.count("test") == pytest.approx(2000, abs=4 * 40)  # four standard deviations
    assert [number for number in range(20) if chosen[number] == "test"] == [0, 5, 7, 8, 10, 13, 17, 19]


def test_a_new_image_moves_no_other(pets, root):
    data.register_folder("pets", pets)
    before = {image.numpy().tobytes() for image in data.load("pets", "test", root).images}
    draw(pets / "cat" / "new.png", (1, 2, 3))
    after = {image.numpy().tobytes() for image in data.load("pets", "test", root).images}
    assert before <= after


def test_images_are_decoded_once(pets, root, monkeypatch):
    decoded, decode = [], folder._decode
    monkeypatch.setattr(folder, "_decode", lambda path, source: decoded.append(path) or decode(path, source))
    data.register_folder("pets", pets)
    first = both_splits("pets", root)
    assert len(decoded) == 80
    again = both_splits("pets", root)
    assert len(decoded) == 80
    assert again["test"].fingerprint() == first["test"].fingerprint()
    changed = pets / first_test_image(pets)
    draw(changed, (250, 251, 252), size=(41, 41))
    assert [250, 251, 252] in data.load("pets", "test", root).images[:, :, 0, 0].tolist()
    data.register_folder("pets", pets, size=16)
    assert data.load("pets", "test", root).images.shape[2:] == (16, 16)


def test_a_change_that_keeps_the_size_of_the_file_is_seen(tmp_path, root):
    for split in ("train", "test"):
        draw(tmp_path / "x" / split / "a" / "1.bmp", (1, 1, 1))
    data.register_folder("x", tmp_path / "x")
    path = tmp_path / "x" / "test" / "a" / "1.bmp"
    before = path.stat()
    assert data.load("x", "test", root).images.unique().tolist() == [1]
    draw(path, (2, 2, 2))
    os.utime(path, ns=(0, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    assert data.load("x", "test", root).images.unique().tolist() == [2]


def first_test_image(pets):
    paths = sorted(path.relative_to(pets).as_posix() for path in pets.rglob("*.png"))
    return next(path for path in paths if folder.split_of(path, 0.2) == "test")


def test_a_damaged_cache_is_decoded_again(pets, root):
    data.register_folder("pets", pets)
    first = data.load("pets", "train", root)
    for stored in (root / "folders" / "pets").iterdir():
        stored.write_bytes(stored.read_bytes()[:500])
    assert data.load("pets", "train", root).fingerprint() == first.fingerprint()


def test_an_unreadable_image_is_named(pets, root):
    (pets / "dog" / "broken.png").write_bytes((pets / "dog" / "00.png").read_bytes()[:50])
    data.register_folder("pets", pets)
    with pytest.raises(BadFileError, match=r"image .*dog/broken\.png cannot be read .* Replace it, or remove it"):
        both_splits("pets", root)


def test_pixels_of_more_than_8_bits_are_refused(pets, root):
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(pets / "dog" / "deep.png")
    data.register_folder("pets", pets)
    with pytest.raises(BadFileError, match=r"deep\.png cannot be read \(its pixels are of mode I;16, expected 8 bits"):
        both_splits("pets", root)


def test_an_empty_class_folder_is_named(pets, root):
    (pets / "bird").mkdir()
    (pets / "bird" / "notes.txt").write_text("no birds yet")
    data.register_folder("pets", pets)
    with pytest.raises(BadFileError, match=r"class folder .*bird holds no image \(\.png, .*Add images to it"):
        data.load("pets", "test", root)


def test_a_split_without_images_is_named(tmp_path, root):
    draw(tmp_path / "x" / "cat" / "0.png")
    data.register_folder("x", tmp_path / "x", test_share=0.001)
    with pytest.raises(BadFileError, match=r"is in the split 'test'\. Add images, change test_share"):
        data.load("x", "test", root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "mnist"}, "image folder 'mnist': expected a name of letters"),
        ({"name": "a/b"}, "image folder 'a/b': expected a name of letters"),
        ({"channels": 4}, "channels is 4, expected 1"),
        ({"size": 0}, "size is 0"),
        ({"test_share": 1.0}, "test_share is 1.0"),
        ({"mean": [0.5]}, "mean has 1 values, expected 3"),
        ({"std": [1, 0, 1]}, "expected positive values"),
        ({"path": "/nonexistent"}, "image folder /nonexistent: there is no such folder"),
    ],
)
def test_bad_options_are_refused_when_registering(pets, options, message):
    with pytest.raises(ValueError, match=message):
        data.register_folder(**({"name": "pets", "path": pets} | options))
    assert "pets" not in data.names()


def test_a_folder_without_classes_is_refused(tmp_path):
    draw(tmp_path / "flat" / "1.png")
    with pytest.raises(BadFileError, match="flat: expected one folder per class in it, found none"):
        data.load(f"folder:{tmp_path / 'flat'}")
