"""Input similarity of patches for a network that aligns maps: counts, neighbours, denoising of known label noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.data.patches import PATCH_SIZE
from netalike.data.polygons import centroid, inside, overlapping, rasterize
from netalike.data.scenes import Scene
from netalike.errors import NetalikeError, unknown_name
from netalike.evidence.measurements import condition
from netalike.gradients import counts
from netalike.gradients.denoising import denoising, kernel_average, neighbour_consistency
from netalike.gradients.kernel import kernel_matrix, normalise, scalar
from netalike.gradients.tensorflow import gradient_batches
from netalike.networks.double_unet import PIXELS_PER_UNIT, displacement_only
from netalike.progress import progress
from netalike.training.map_patches import scaled_image
from netalike.training.map_rounds import label_offsets

Row = dict[str, Any]
OUTPUTS = ("centre", "sum")
FACTS = ("buildings", "size", "angle", "palette")
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patches:
    """Patches of 124 pixels, each laid around one building, with their labels undisplaced.

    Attributes
    ----------
    images : array of uint8, shape (n, 124, 124, 3)
    polygons : tuple of tuple of array, shape (v, 2)
        The labels that touch each patch, in its own pixels.
    noise : array, shape (n, 2)
        How far the label of the middle building is from the truth, in pixels.
    facts : tuple of mapping
        Of each patch: buildings (number entirely inside), and size, angle and palette of the middle one.
    """

    images: NDArray[np.uint8]
    polygons: tuple[tuple[_Floats, ...], ...]
    noise: _Floats
    facts: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        return len(self.images)

    def inputs(self) -> dict[str, NDArray[np.float32]]:
        """Return what the network takes."""
        drawn = [rasterize(polygons, PATCH_SIZE, PATCH_SIZE) for polygons in self.polygons]
        return {"image": np.stack([scaled_image(image) for image in self.images]), "polygons": np.stack(drawn)}


def choose_patches(scenes: Sequence[Scene], count: int, seed: int = 0) -> Patches:
    """Lay patches around buildings, drawn at random, the same number from each scene as far as there are enough.

    Parameters
    ----------
    scenes : sequence of Scene
        With the labels that a network has learned from.
    count : int
        Patches in all; fewer where there are not so many buildings.
    seed : int
        Each scene is shuffled with a seed of its own (the published code took the same places of each tile).

    Returns
    -------
    Patches
        The middle building's label lies entirely inside, and its centre at the patch's centre pixel: the noise of what
        the network should say there is known. (The published code took a grid of patches, whose centre may lie beside
        any building.)

    Raises
    ------
    NetalikeError
        If no building is at least 62 pixels from the border of its scene.
    """
    corners = [_corners(scene, [seed, number]) for number, scene in enumerate(scenes)]
    # one of each scene in turn
    turns = sorted((turn, number) for number, own in enumerate(corners) for turn in range(len(own)))[:count]
    if not turns:
        raise NetalikeError(
            f"none of the {len(scenes)} scenes has a building whose surroundings of {PATCH_SIZE} pixels lie inside: "
            "use larger scenes."
        )
    chosen = [(scenes[number], *corners[number][turn]) for turn, number in turns]
    return _patches(chosen)


def _corners(scene: Scene, seed: list[int]) -> list[tuple[int, NDArray[np.int64]]]:
    """Buildings around which a patch fits, in a random order, with the patch's upper left pixel."""
    found = []
    last = np.array(scene.image.shape[:2]) - PATCH_SIZE
    for building in np.random.default_rng(seed).permutation(len(scene.labels)):
        label = scene.labels[building]
        # the centre pixel of the 4 x 4 output is the third one, and covers 62 to 63
        corner = np.floor(centroid(label)).astype(np.int64) - PATCH_SIZE // 2
        fits = (corner >= 0).all() and (corner <= last).all()
        if fits and inside([label], float(corner[0]), float(corner[1]), PATCH_SIZE, PATCH_SIZE).all():
            found.append((int(building), corner))
    return found


def _patches(chosen: Sequence[tuple[Scene, int, NDArray[np.int64]]]) -> Patches:
    images, polygons, noise, facts = [], [], [], []
    for scene, building, corner in chosen:
        box = (*corner.tolist(), PATCH_SIZE, PATCH_SIZE)
        near = np.flatnonzero(overlapping(scene.labels, *box))
        images.append(scene.image[corner[0] : corner[0] + PATCH_SIZE, corner[1] : corner[1] + PATCH_SIZE])
        polygons.append(tuple(scene.labels[i] - corner for i in near))
        noise.append(label_offsets(scene)[building])
        own = scene.facts[building]
        number = int(inside(scene.labels, *box).sum())
        facts.append({"buildings": number, **{fact: own[fact] for fact in ("size", "angle", "palette")}})
    return Patches(np.stack(images), tuple(polygons), np.array(noise), tuple(facts))


# ---- kernel ----------------------------------------------------------------------------------------------------------


def output_of(name: str) -> Callable[[Any], Any]:
    """Return the two numbers of a patch whose gradients are taken, from what the network says of it.

    Parameters
    ----------
    name : {"centre", "sum"}
        ``centre``: the displacement at the centre pixel, which is also what the predictions are. ``sum``: summed over
        the 4 x 4 output, as published.

    Returns
    -------
    callable
        From (n, 3, 4, 4, 2) to (n, 2).

    Raises
    ------
    UnknownNameError
        If there is no such choice.
    """
    import tensorflow as tf

    if name == "centre":
        return lambda found: found[:, 0, 2, 2, :]
    if name == "sum":
        return lambda found: tf.reduce_sum(found[:, 0], axis=(1, 2))
    raise unknown_name("outputs of the alignment whose gradients are compared", name, OUTPUTS)


class _Numbered:
    """A network as a function of the numbers of patches, whose inputs it holds: one compiled function for all parts."""

    def __init__(self, model: Any, patches: Patches) -> None:
        import tensorflow as tf

        self._model = displacement_only(model)
        self._inputs = {name: tf.constant(part) for name, part in patches.inputs().items()}
        self.name, self.trainable_variables = self._model.name, self._model.trainable_variables

    def __call__(self, numbers: Any, training: bool = False) -> Any:
        import tensorflow as tf

        return self._model({name: tf.gather(part, numbers) for name, part in self._inputs.items()}, training=training)


def patch_kernel(model: Any, patches: Patches, outputs: str = "centre", memory_gb: float = 1.0) -> NDArray[np.float64]:
    """Compute the kernel of the two displacement outputs between all patches.

    Parameters
    ----------
    model : keras.Model
        Of `netalike.networks.double_unet.double_unet`.
    patches : Patches
    outputs : {"centre", "sum"}
        See `output_of`.
    memory_gb : float
        For gradients: as many as fit are held at a time, and the others are computed again for each part. Nothing is
        stored on disk.

    Returns
    -------
    array, shape (n, n, 2, 2)
        Not normalised: entry (i, j) is X_i' X_j.

    Notes
    -----
    Gradients with respect to all parameters that reach the displacements: 8 bytes times these (7,171,302 at full
    width) per patch. Two thirds of the memory are for one part, and a third for the patches that it is compared with.
    """
    network, n = _Numbered(model, patches), len(patches)
    size = 8 * sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)
    part, beside = _portions(n, max(2, int(memory_gb * 1e9 / size)))
    # each pair once: a part, and then the patches after it, which are computed again
    parts = [range(start, min(start + part, n)) for start in range(0, n, part)]
    order = np.concatenate([np.arange(rows.start, n) for rows in parts]).astype(np.int32)
    gradients = gradient_batches(network, order, output_of(outputs), chunk=1)
    kernel = np.zeros((n, n, 2, 2))
    for rows in progress(parts, "Comparing patches", unit="part"):
        own = _taken(gradients, len(rows))
        kernel[rows.start : rows.stop, rows.start : rows.stop] = kernel_matrix(own)
        for start in range(rows.stop, n, beside):
            block = kernel_matrix(own, _taken(gradients, min(beside, n - start)))
            columns = slice(start, start + block.shape[1])
            kernel[rows.start : rows.stop, columns] = block
            kernel[columns, rows.start : rows.stop] = block.transpose(1, 0, 3, 2)
    return kernel


def _portions(n: int, held: int) -> tuple[int, int]:
    """Of the gradients that memory holds: how many make a part, and how many are compared with it at a time."""
    if n <= held:
        return n, 1
    part = max(1, 2 * held // 3)
    return part, max(1, held - part)


def _taken(gradients: Iterator[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """Take the next gradients, without a second copy of all of them."""
    first = next(gradients)
    found = np.empty((count, *first.shape[1:]), first.dtype)
    found[0] = first[0]
    for i in range(1, count):
        found[i] = next(gradients)[0]
    return found


def predictions(model: Any, patches: Patches) -> NDArray[np.float64]:
    """Return the displacement that the network gives the centre pixel of each patch.

    Parameters
    ----------
    model : keras.Model
    patches : Patches

    Returns
    -------
    array, shape (n, 2)
        Pixels down and to the right.
    """
    import tensorflow as tf

    run = tf.function(displacement_only(model))
    inputs = patches.inputs()
    found = [
        run({name: part[start : start + 16] for name, part in inputs.items()}).numpy()[:, 0, 2, 2]
        for start in range(0, len(patches), 16)
    ]
    return np.concatenate(found).astype(np.float64) * PIXELS_PER_UNIT


# ---- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PatchSimilarity:
    """The patches of one round, how similar they are to its network, and what it says of them.

    Attributes
    ----------
    patches : Patches
    kernel : array, shape (n, n, 2, 2)
        Not normalised.
    similarity : array, shape (n, n)
        Trace of the normalised kernel, halved.
    predicted : array, shape (n, 2)
        Pixels.
    """

    patches: Patches
    kernel: _Floats
    similarity: _Floats
    predicted: _Floats


def patch_similarity(
    model: Any, scenes: Sequence[Scene], count: int, outputs: str = "centre", memory_gb: float = 1.0, seed: int = 0
) -> PatchSimilarity:
    """Compare patches of the scenes that a network was trained on.

    Parameters
    ----------
    model : keras.Model
    scenes : sequence of Scene
        With the labels that it learned from.
    count, outputs, memory_gb, seed
        See `choose_patches` and `patch_kernel`.

    Returns
    -------
    PatchSimilarity
    """
    patches = choose_patches(scenes, count, seed)
    kernel = patch_kernel(model, patches, outputs, memory_gb)
    own = kernel[np.arange(len(patches)), np.arange(len(patches))]
    similarity = scalar(normalise(kernel, own, own))
    return PatchSimilarity(patches, kernel, np.asarray(similarity), predictions(model, patches))


def similarity_rows(found: PatchSimilarity, k: int = 10, seed: int = 0, **factors: object) -> list[Row]:
    """Turn the similarity of patches into rows.

    Parameters
    ----------
    found : PatchSimilarity
    k : int
        Nearest neighbours of each patch whose facts are compared.
    seed : int
        Of the random pairs.
    **factors
        Of every condition, such as ``noise`` and ``round``.

    Returns
    -------
    list of dict
        Without paper, experiment, data set and seed; split "train". By patch: ``soft_count`` (the patch itself
        counted), ``denoising_factor`` (estimators ``corrected``, the standard deviation of averaged noise as a share of
        one label's; and ``published``, the same quantity from the published matrix, whose square root its code leaves
        out), ``averaged_noise`` (estimator ``predicted``: factor times the labels' root mean square noise; ``true``:
        length of the average of the known noise with the kernel's weights), ``label_noise``, ``prediction_error``
        (distance of label plus prediction from the truth) and ``neighbour_consistency`` in pixels. By fact:
        ``fact_agreement`` of the ``nearest`` and of ``random`` pairs, see `agreement`.
    """
    rows = _patch_rows(found, factors)
    return [*rows, *_agreement_rows(found, min(k, len(found.patches) - 1), seed, factors)]


def _patch_rows(found: PatchSimilarity, factors: Mapping[str, object]) -> list[Row]:
    denoised = denoising(found.kernel)
    noise = found.patches.noise
    size = float(np.sqrt((noise**2).sum(1).mean()))
    averaged = np.linalg.norm(kernel_average(found.kernel, noise), axis=1)
    published = np.trace(denoised.matrix_published, axis1=1, axis2=2) / 2
    values = {
        ("soft_count", "trace"): counts.soft_counts(found.similarity),
        ("denoising_factor", "corrected"): denoised.factor,
        ("denoising_factor", "published"): published,
        ("denoising_condition", "sum_of_kernels"): denoised.condition,
        ("averaged_noise", "predicted"): denoised.factor * size,
        ("averaged_noise", "true"): averaged,
        ("label_noise", "true"): np.linalg.norm(noise, axis=1),
        ("prediction_error", "true"): np.linalg.norm(noise + found.predicted, axis=1),
        ("neighbour_consistency", "predictions"): neighbour_consistency(found.kernel, found.predicted),
    }
    return [
        _row(quantity, estimator, float(value), len(noise), {**factors, "patch": i})
        for (quantity, estimator), column in values.items()
        for i, value in enumerate(np.asarray(column))
    ]


def _row(quantity: str, estimator: str, value: float, n: int, factors: Mapping[str, object]) -> Row:
    told = {"quantity": quantity, "estimator": estimator, "n_samples": n, "split": "train"}
    # the sum of kernels may be singular, and its condition number infinite
    if not np.isfinite(value):
        told |= {"status": "undefined: the sum of kernels is singular", "value": float("nan")}
        return {**told, "condition": condition(**factors)}
    return {**told, "value": value, "condition": condition(**factors)}


def _agreement_rows(found: PatchSimilarity, k: int, seed: int, factors: Mapping[str, object]) -> list[Row]:
    facts, n = found.patches.facts, len(found.patches)
    if k < 1:
        return []
    near = np.asarray(counts.nearest(found.similarity, k)[0])
    generator = np.random.default_rng(seed)
    others = np.array([[j + (j >= i) for j in generator.integers(0, n - 1, k)] for i in range(n)])
    rows = []
    for fact in FACTS:
        for estimator, pairs in (("nearest", near), ("random", others)):
            shares = [np.mean([agreement(fact, facts[i], facts[j]) for j in pairs[i]]) for i in range(n)]
            rows += [
                _row("fact_agreement", estimator, float(share), n, {**factors, "fact": fact, "patch": i})
                for i, share in enumerate(shares)
            ]
    return rows


def agreement(fact: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Say how far two patches share a fact.

    Parameters
    ----------
    fact : {"buildings", "size", "angle", "palette"}
    one, other : mapping
        Facts of the patches.

    Returns
    -------
    float
        Between 0 and 1. Palettes: 1 for the same. Angles: modulo 90 degrees, 1 - difference / 45. Numbers of buildings
        and sizes: the smaller over the larger.
    """
    if fact == "palette":
        return float(one[fact] == other[fact])
    a, b = float(one[fact]), float(other[fact])
    if fact == "angle":
        apart = abs(a - b) % 90.0
        return 1 - min(apart, 90 - apart) / 45
    return min(a, b) / max(a, b) if max(a, b) > 0 else 1.0
