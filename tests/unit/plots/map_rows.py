"""Made-up rows and pictures of map alignment, of the kinds that a study leaves."""

import numpy as np
import pandas as pd

from netalike.evidence.measurements import condition, table
from netalike.experiments.map_pictures import MapPictures, Overlay, PatchPictures

NOISES = ("independent", "smooth", "bias", "clean")
_LEFT = {"independent": 0.5, "smooth": 0.6, "bias": 0.97, "clean": 1.0}
_BEFORE = {"independent": 2.1, "smooth": 3.0, "bias": 2.1, "clean": 0.0}


def map_rows(noises=NOISES, rounds: int = 2, seeds=(0,), patches: int = 30) -> pd.DataFrame:
    rows = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        for noise in noises:
            for number in range(rounds + 1):
                rows += _errors(generator, noise, number, seed)
                if number:
                    rows += _training(noise, number, seed) + _patches(generator, noise, number, seed, patches)
    return table(rows, paper="input_similarity", experiment="map_alignment_mine", dataset="scenes")


def error_of(noise: str, number: int) -> float:
    return _BEFORE[noise] * _LEFT[noise] ** number + 0.1 * (number > 0)


def _errors(generator, noise, number, seed):
    rows = []
    for split in ("train", "test"):
        factors = {"noise": noise, "round": number, "passes": 3 * (number > 0)}
        value = error_of(noise, number)
        common = {"seed": seed, "split": split, "n_samples": 400}
        told = {"quantity": "vertex_error", "estimator": "rms", "condition": condition(**factors), "value": value}
        rows.append({**common, **told, "low": 0.9 * value, "high": 1.1 * value})
        for limit in np.arange(0, 8.01, 0.25):
            share = 1.0 if value == 0 else 1 - np.exp(-((limit / value) ** 2))
            told = {"quantity": "accuracy", "estimator": "share", "value": share}
            named = condition(**factors, threshold=f"{limit:g}")
            rows.append({**common, **told, "condition": named, "low": 0.97 * share, "high": min(1.0, 1.02 * share)})
    return rows


def _training(noise, number, seed):
    rows = []
    for i in range(1, 41):
        for estimator, value in (("displacement", 1.0 + np.exp(-i / 8)), ("zero_displacement", 1.7)):
            told = {"quantity": "training_loss", "estimator": estimator, "step": 10 * i, "value": value}
            rows.append({**told, "seed": seed, "split": "train", "condition": condition(noise=noise, round=number)})
    return rows


def _patches(generator, noise, number, seed, count):
    rows = []
    level = _BEFORE[noise]
    for patch in range(count):
        base = {"noise": noise, "round": number, "outputs": "centre", "patch": patch}
        values = {
            ("averaged_noise", "predicted"): 0.2 * level * generator.uniform(0.9, 1.1),
            ("averaged_noise", "true"): 0.25 * level * generator.uniform(0.2, 2),
            ("label_noise", "true"): level * generator.uniform(0.5, 1.5),
            ("prediction_error", "true"): 0.7 * level * generator.uniform(0.5, 1.5) + 0.1,
            ("soft_count", "trace"): generator.uniform(5, 20),
        }
        common = {"seed": seed, "split": "train", "n_samples": count}
        for (quantity, estimator), value in values.items():
            named = {"quantity": quantity, "estimator": estimator, "condition": condition(**base), "value": value}
            rows.append({**common, **named})
        for fact in ("buildings", "size", "angle", "palette"):
            for estimator, middle in (("nearest", 0.7), ("random", 0.5)):
                value = middle + generator.uniform(-0.2, 0.2)
                named = condition(**base, fact=fact)
                told = {"quantity": "fact_agreement", "estimator": estimator, "condition": named, "value": value}
                rows.append({**common, **told})
    return rows


def map_pictures(noise: str = "independent", rounds: int = 2, patches: int = 12) -> MapPictures:
    generator = np.random.default_rng(0)
    image = generator.integers(80, 120, (200, 180, 3), dtype=np.uint8)
    truth = []
    for row in range(20, 180, 40):
        for column in range(20, 160, 40):
            image[row : row + 16, column : column + 20] = (200, 120, 90)
            corners = [(row, column), (row, column + 20), (row + 16, column + 20), (row + 16, column)]
            truth.append(np.array(corners, float))
    shifts = generator.normal(0, 2, (len(truth), 2))
    labels = tuple(polygon + shift for polygon, shift in zip(truth, shifts, strict=True))
    aligned = tuple(
        tuple(polygon + shift * 0.5**number for polygon, shift in zip(truth, shifts, strict=True))
        for number in range(1, rounds + 1)
    )
    overlay = Overlay("scene", image, tuple(truth), labels, aligned)
    if not patches:
        return MapPictures(noise, (overlay,), None)
    features = generator.normal(size=(patches, 3)) + 1
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    pictures = generator.integers(0, 255, (patches, 124, 124, 3), dtype=np.uint8)
    outlines = tuple((np.array([(50.0, 50), (50, 70), (70, 70)]),) for _ in range(patches))
    return MapPictures(noise, (overlay,), PatchPictures(pictures, outlines, features @ features.T))
