"""A user's networks aligned: what `align_recordings` measures of them, and the bases of the shared space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.alignment import SharedResponse, brainiak
from netalike.errors import NetalikeError, ShapeError
from netalike.experiments.given_activations import FINAL, Floats, GivenActivations
from netalike.experiments.shared_response import Pictures, Row, align_recordings
from netalike.experiments.shared_study import AlignmentStudy, Halves, Patterns, prepare, stratified_halves

# What is measured by the classes of the images, which a user need not have.
_OF_CLASSES = ("block_contrast", "class_rsm", "trajectory_distance")
_PICTURE_OF_CLASSES = "trajectory/"


@dataclass(frozen=True, eq=False)
class AlignedLayer:
    """One layer, aligned.

    Attributes
    ----------
    model : SharedResponse
        Fitted to the images that are not held out.
    units : dict of str to ndarray
        Positions, in the flattened layer, of the units that were kept of each network.
    widths : dict of str to int
        Units that each network has.
    shared : dict of str to ndarray, float32, shape (n, k)
        All images of each network in the shared space, in their order.
    """

    model: SharedResponse
    units: dict[str, NDArray[np.int64]]
    widths: dict[str, int]
    shared: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class GivenAlignment:
    """What is found of a user's networks.

    Attributes
    ----------
    rows : list of dict
        Of the measurement table, see `netalike.experiments.shared_response`.
    pictures : dict of ndarray
        For the figures, see `netalike.experiments.shared_pictures`.
    layers : dict of str to AlignedLayer
        Those that could be aligned.
    problems : dict of str to str
        Why the others could not be.
    n_fit, n_held_out : int
        Images.
    """

    rows: list[Row]
    pictures: Pictures
    layers: dict[str, AlignedLayer]
    problems: dict[str, str]
    n_fit: int
    n_held_out: int


def check_study(study: Mapping[str, Any], seed: int = 0) -> AlignmentStudy:
    """Refuse settings that cannot be, before anything is read or computed.

    Parameters
    ----------
    study : mapping
        Settings of `AlignmentStudy`, with one center.
    seed : int

    Returns
    -------
    AlignmentStudy

    Raises
    ------
    UnknownNameError
        For a name that does not exist.
    NetalikeError
        For a share that is none, or where BrainIAK is asked for and missing, or asked to centre.
    """
    settings = AlignmentStudy.from_mapping(study)
    _model(settings, seed)
    if settings.implementation == "brainiak":
        brainiak.brainiak_models()
    return settings


def align_given(
    networks: Sequence[GivenActivations], study: Mapping[str, Any], seed: int = 0, shown: bool | None = None
) -> GivenAlignment:
    """Align networks in each of their layers, measure what they share, and keep the bases.

    Parameters
    ----------
    networks : sequence of GivenActivations
        Two or more, of the same images.
    study : mapping
        Settings of `AlignmentStudy`, with one center.
    seed : int
        Of the halves of the images, the models, the controls and the bootstrap.
    shown : bool, optional
        Whether to show progress; on a terminal only unless given.

    Returns
    -------
    GivenAlignment

    Raises
    ------
    ShapeError
        If there are fewer images to fit to, or fewer units, than features.
    NetalikeError
        If no layer can be aligned; says why.

    Notes
    -----
    Costs one fit more per layer than `align_recordings`, whose numbers these bases give.
    """
    settings = check_study(study, seed)
    labels = networks[0].labels
    halves = stratified_halves(labels, settings, seed)
    for layer in networks[0].layers:
        _check_features(networks, layer, settings, (len(halves.fit), len(labels)))
    rows, pictures = align_recordings(networks, study, seed, shown)
    everything = replace(halves, evaluate=np.arange(len(labels)), labels=labels)
    layers, problems = {}, {}
    for layer in networks[0].layers:
        patterns = prepare(networks, layer, FINAL, everything, settings, seed)
        if patterns.problem:
            problems[layer] = patterns.problem
        else:
            layers[layer] = _aligned(networks, layer, patterns, settings, seed)
    if not layers:
        raise NetalikeError(f"nothing can be aligned: {'; '.join(problems.values())}. {_advice(settings)}")
    if not networks[0].has_labels:
        rows, pictures = _without_classes(rows, pictures)
    return GivenAlignment(rows, pictures, layers, problems, *_sizes(halves))


def _model(settings: AlignmentStudy, seed: int) -> SharedResponse:
    return SharedResponse(
        settings.features,
        method=settings.method,
        center=settings.centers[0],
        iterations=settings.iterations,
        seed=seed,
        implementation=settings.implementation,
    )


def _sizes(halves: Halves) -> tuple[int, int]:
    return len(halves.fit), len(halves.evaluate)


def _check_features(
    networks: Sequence[GivenActivations], layer: str, settings: AlignmentStudy, images: tuple[int, int]
) -> None:
    """Refuse more features than images to fit to, or than units: a shared response has as many of each at least."""
    n_fit, n = images
    widths = [network.kept[layer].shape[1] for network in networks]
    narrow = int(np.argmin(widths))
    features = settings.features or widths[narrow]
    if features > widths[narrow]:
        raise ShapeError(
            f"{features} features cannot be had from the {widths[narrow]} units of {networks[narrow].name} in layer "
            f"{layer}: ask for at most {widths[narrow]} (--features {widths[narrow]})."
        )
    if features > n_fit:
        needed = -(-features * n // n_fit)
        raise ShapeError(
            f"{features} features in layer {layer}, and {n_fit} of the {n} images to fit them to (the rest is held "
            f"out): expected at least as many images. Ask for at most {n_fit} features (--features {n_fit}), keep "
            f"fewer units (--max-units {n_fit}), or give about {needed} images."
        )


def _aligned(
    networks: Sequence[GivenActivations], layer: str, patterns: Patterns, settings: AlignmentStudy, seed: int
) -> AlignedLayer:
    model = _model(settings, seed).fit(patterns.fit)
    shared = [np.asarray(one, dtype=np.float32) for one in model.transform(patterns.evaluate)]
    return AlignedLayer(
        model,
        {network.name: network.units[layer] for network in networks},
        {network.name: network.widths[layer] for network in networks},
        {network.name: one for network, one in zip(networks, shared, strict=True)},
    )


def _advice(settings: AlignmentStudy) -> str:
    if settings.z_score:
        return "Give another layer, or images to which the networks respond; --no-z-score leaves patterns as they are."
    return "Give another layer, or images to which the networks respond."


def _without_classes(rows: Sequence[Row], pictures: Pictures) -> tuple[list[Row], Pictures]:
    kept = [row for row in rows if row["quantity"] not in _OF_CLASSES]
    return kept, dict(_kept_pictures(pictures))


def _kept_pictures(pictures: Pictures) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, picture in pictures.items():
        if not name.startswith(_PICTURE_OF_CLASSES):
            yield name, picture
