"""The scenes of a study: generated, cut from a mosaic, or read from a folder, with noise on the labels."""

import json

import numpy as np
import pytest
from PIL import Image

from netalike.configuration.map_alignment_study import MapAlignmentStudy
from netalike.data.scenes import make_scene
from netalike.errors import NetalikeError, UnknownNameError
from netalike.experiments.map_sources import dataset_of, load_scenes


def study(**changes):
    return MapAlignmentStudy.model_validate({"training": {"input_size": 140}, **changes}).model_dump(mode="json")


def test_generated_scenes_differ_between_train_test_and_seeds():
    given = study(scenes={"n_train": 2, "n_test": 1, "size": 128}, noise_px=2.0)
    train, test = load_scenes(given, "bias")
    assert [len(train), len(test)] == [2, 1]
    names = {scene.name for seed in (0, 1) for part in load_scenes(given, "bias", seed=seed) for scene in part}
    assert len(names) == 6
    offsets = np.concatenate([scene.noise for scene in [*train, *test]])
    assert np.linalg.norm(offsets, axis=1) == pytest.approx(2 * np.sqrt(2))
    assert np.ptp(offsets, axis=0) == pytest.approx([0, 0])
    assert dataset_of(given) == "scenes"


def test_the_noise_of_the_same_scenes_is_another_for_each_kind():
    given = study(scenes={"n_train": 1, "n_test": 1, "size": 128})
    clean, noisy = (load_scenes(given, noise)[0][0] for noise in ("clean", "independent"))
    assert np.array_equal(clean.image, noisy.image)
    assert not clean.noise.any()
    assert noisy.noise.any()


def test_an_unknown_source_or_noise_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'scenes'"):
        load_scenes({**study(), "source": "scene"}, "clean")
    given = study(scenes={"n_train": 1, "n_test": 1, "size": 128})
    with pytest.raises(UnknownNameError, match="Did you mean 'bias'"):
        load_scenes(given, "biass")


def test_tiles_of_a_mosaic_are_split_by_rows(mirror):
    given = study(source="tiles")
    train, test = load_scenes(given, "independent", mirror)
    assert [len(train), len(test)] == [9, 3]
    assert [sum(len(scene.labels) for scene in part) for part in (train, test)] == [1016, 398]
    assert dataset_of(given) == "banepa"
    offsets = np.concatenate([scene.noise for scene in train])
    assert offsets.std() == pytest.approx(1.5, rel=0.05)


@pytest.fixture
def inria(tmp_path):
    """Two tiles in the layout of the Inria images."""
    for number in range(2):
        scene = make_scene(number, 256)
        for folder in ("images", "gt_polygons"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(scene.image).save(tmp_path / f"images/town{number}.png")
        (tmp_path / f"gt_polygons/town{number}.json").write_text(json.dumps([p.tolist() for p in scene.polygons]))
    return tmp_path


def test_images_of_a_folder_are_split_and_scaled(inria):
    given = study(source="inria", tiles={"folder": str(inria), "metres_per_pixel": 0.6, "test_share": 0.5})
    train, test = load_scenes(given, "clean")
    assert {train[0].name, test[0].name} == {"town0", "town1"}
    assert train[0].image.shape == (128, 128, 3)
    assert dataset_of(given) == inria.name


def test_one_image_cannot_be_split(inria):
    (inria / "images/town1.png").unlink()
    given = study(source="inria", tiles={"folder": str(inria)})
    with pytest.raises(NetalikeError, match="1 image cannot be split"):
        load_scenes(given, "clean")
