"""A finished stitch on disk: its matrices, its numbers, its learning curve; all of it reloads to equal logits."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
from torch import Tensor

import netalike
from netalike.errors import BadFileError, NetalikeError
from netalike.evidence import provenance as provenances
from netalike.networks.checkpoint import load as load_network
from netalike.networks.checkpoint import write_atomically
from netalike.stitching.evaluation import Report
from netalike.stitching.names import canonical
from netalike.stitching.splitting import Split, split
from netalike.stitching.transform import StitchedNetwork, StitchingLayer

if TYPE_CHECKING:
    from netalike.networks import Card

TENSORS, SUMMARY, CURVE = "stitch.safetensors", "summary.json", "learning_curve.csv"
_FORMAT = "netalike stitch 1"
_PACKAGES = ("netalike", "torch", "numpy")


@dataclass(frozen=True)
class Side:
    """One of the two networks of a stitch.

    Attributes
    ----------
    architecture : str
    channels, classes : int
        Of its inputs and outputs.
    layer : str
        Where it is cut.
    shape : tuple of int
        Of the layer's output for one image.
    weights : str
        The file, as it was named.
    sha256 : str
        Of that file.
    """

    architecture: str
    channels: int
    classes: int
    layer: str
    shape: tuple[int, ...]
    weights: str
    sha256: str


@dataclass
class StitchResult:
    """A stitch with all that is known about it.

    Attributes
    ----------
    front, end : Side
    layers : dict of str to StitchingLayer
        ``before`` and ``after`` training, and ``least_squares`` where it was fitted.
    snapshots : dict of int to (weight, bias)
        The matrix by number of training steps, (outputs, inputs) and (outputs,).
    curve : list of dict
        One row per epoch, as `netalike.training.History.rows`.
    parameters : dict
        What was asked for.
    data : dict
        Data set, numbers of images, fingerprints.
    evaluation : Report or None
        None until the stitch is evaluated.
    provenance : dict
        With what it was made.
    resize : bool
        Whether the front activation is resized to the end layer's height and width.
    """

    front: Side
    end: Side
    layers: dict[str, StitchingLayer]
    snapshots: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    evaluation: Report | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    resize: bool = False

    def layer(self, stage: str = "after") -> StitchingLayer:
        """Return the stitching layer of a stage.

        Parameters
        ----------
        stage : str
            before, after or least_squares; the published code's ``ps_inv`` is least_squares.

        Raises
        ------
        UnknownNameError
            If there is no such stage.
        NetalikeError
            If this stitch has no least squares.
        """
        known = canonical("matrix", stage)
        if known not in self.layers:
            raise NetalikeError(f"this stitch has no {known}, only {' and '.join(self.layers)}: it was not fitted.")
        return self.layers[known]

    def snapshot(self, step: int) -> StitchingLayer:
        """Return the stitching layer as it was after a number of steps.

        Parameters
        ----------
        step : int
            A key of `snapshots`.

        Returns
        -------
        StitchingLayer
            Of the matrix as it was applied: without factors and without mask.

        Raises
        ------
        NetalikeError
            If there is no snapshot of that step.
        """
        if step not in self.snapshots:
            steps = ", ".join(map(str, sorted(self.snapshots))) or "none"
            raise NetalikeError(f"no snapshot of the matrix after {step} steps: there are those after {steps}.")
        after = self.layers["after"]
        return StitchingLayer.from_matrix(*self.snapshots[step], kind=after.kind, end_shape=after.end_shape)

    def network(self, front: Split, end: Split, stage: str = "after") -> StitchedNetwork:
        """Return the stitched network of a stage, made of two networks that are cut at the stitched layers."""
        return StitchedNetwork(front, self.layer(stage), end, self.resize)


def side(path: str | os.PathLike[str], card: Card, cut: Split, shape: tuple[int, ...]) -> Side:
    """Describe one of the two networks.

    Parameters
    ----------
    path : path
        Of its weights.
    card : Card
        That `netalike.networks.load` returned.
    cut : Split
    shape : tuple of int
        Of the layer's output for one image.

    Returns
    -------
    Side
    """
    source = Path(path)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return Side(card.architecture, card.channels, card.classes, cut.layer, tuple(shape), source.as_posix(), digest)


def provenance(command: str = "") -> dict[str, Any]:
    """Say with what a stitch is made: the command, versions, commit, time; never an error, without a repository either.

    Parameters
    ----------
    command : str
        Absolute paths in it are cut to their last part.

    Returns
    -------
    dict
    """
    root = Path(netalike.__file__).resolve().parents[2]
    found = provenances.collect({"command": command}, "", root)
    commit = found.commit + (", with changes" if found.dirty else "")
    return {
        "command": found.configuration["command"],
        "commit": commit,
        "created": found.created,
        "python": found.python,
        **{name: found.packages[name] for name in _PACKAGES if name in found.packages},
    }


def save(folder: str | os.PathLike[str], result: StitchResult) -> Path:
    """Store a stitch: ``stitch.safetensors``, ``learning_curve.csv``, and, last, ``summary.json``.

    Parameters
    ----------
    folder : path
        Made if need be. Each file is replaced at once, so that none is ever half there.
    result : StitchResult
        May be stored before it is evaluated, so that nothing that happens later can lose the training.

    Returns
    -------
    Path
        The folder. `netalike.stitching.report.write` puts the report beside these files.
    """
    target = Path(folder)
    tensors: dict[str, Tensor] = {}
    for stage, layer in result.layers.items():
        tensors |= {f"{stage}.{key}": value for key, value in layer.state_dict().items()}
    for step, (weight, bias) in result.snapshots.items():
        tensors |= {f"history.{step}.weight": weight, f"history.{step}.bias": bias}
    copies = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in tensors.items()}
    told = {"format": _FORMAT, "layers": {stage: _form(layer) for stage, layer in result.layers.items()}}
    # One entry alone: safetensors writes several in random order, and equal stitches would be unequal files.
    content = safetensors.torch.save(copies, metadata={"netalike": json.dumps(told)})
    write_atomically(target / TENSORS, content)
    write_atomically(target / CURVE, _curve(result.curve))
    summary = _summary(result, hashlib.sha256(content).hexdigest())
    write_atomically(target / SUMMARY, (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode())
    return target


def load(folder: str | os.PathLike[str]) -> StitchResult:
    """Load a stitch.

    Parameters
    ----------
    folder : path
        What `save` has written, or a file in it.

    Returns
    -------
    StitchResult
        On the CPU; its layers give the same output as before, bit for bit.

    Raises
    ------
    BadFileError
        If a file is missing or damaged, or if they are not of one stitch.
    """
    source = Path(folder)
    source = source.parent if source.is_file() else source
    summary = _read_summary(source / SUMMARY)
    tensors, told = _read_tensors(source / TENSORS, summary["tensors_sha256"])
    evaluation = summary["evaluation"]
    try:
        return StitchResult(
            front=_side(summary["front"]),
            end=_side(summary["end"]),
            layers={stage: _layer(stage, form, tensors) for stage, form in told["layers"].items()},
            snapshots=_snapshots(tensors),
            curve=summary["curve"],
            parameters=summary["parameters"],
            data=summary["data"],
            evaluation=None if evaluation is None else Report.from_dict(evaluation),
            provenance=summary["provenance"],
            resize=summary["resize"],
        )
    except (KeyError, TypeError) as error:
        raise BadFileError(f"{source / SUMMARY} lacks something of a stitch ({error}): stitch again.") from error


def save_match(folder: str | os.PathLike[str], layer: StitchingLayer, told: Mapping[str, Any]) -> Path:
    """Store a direct match: ``matched.safetensors``, the state of its stitching layer, and ``matched.json``.

    Parameters
    ----------
    folder : path
        Made if need be.
    layer : StitchingLayer
    told : mapping
        Numbers and names, fit for JSON.

    Returns
    -------
    Path
        The folder.
    """
    target = Path(folder)
    state = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in layer.state_dict().items()}
    form = {"netalike": json.dumps({"format": _FORMAT, "layers": {"matched": _form(layer)}})}
    write_atomically(target / "matched.safetensors", safetensors.torch.save(state, metadata=form))
    write_atomically(target / "matched.json", (json.dumps(dict(told), indent=2) + "\n").encode())
    return target


def open_networks(
    result: StitchResult,
    front: str | os.PathLike[str] | None = None,
    end: str | os.PathLike[str] | None = None,
) -> tuple[Split, Split]:
    """Load the two networks of a stitch, and cut them where it did.

    Parameters
    ----------
    result : StitchResult
    front, end : path, optional
        Their weights, if they lie elsewhere than when they were stitched.

    Returns
    -------
    front, end : Split

    Raises
    ------
    BadFileError
        If a file is not there, or is another one than what was stitched.
    """
    return _open(result.front, front, "front"), _open(result.end, end, "end")


def _open(known: Side, given: str | os.PathLike[str] | None, name: str) -> Split:
    path = Path(known.weights if given is None else given)
    if given is None and not path.is_file():
        raise BadFileError(
            f"the weights of the {name} network are not at {path} any more: name the file with --{name}, or run "
            "the command in the folder in which it was stitched."
        )
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != known.sha256:
        raise BadFileError(
            f"{path} is not the {name} network of this stitch: the SHA-256 of {Path(known.weights).name} was "
            f"{known.sha256[:16]}…. Name the file that was stitched with --{name}, or stitch again."
        )
    is_foreign = path.suffix != ".safetensors"
    size = (known.channels, known.classes) if is_foreign else (None, None)
    model, _ = load_network(path, known.architecture, *size)
    return split(model, known.layer)


def _form(layer: StitchingLayer) -> dict[str, Any]:
    return {"kind": layer.kind, "end_shape": list(layer.end_shape), "rank": layer.rank}


def _layer(stage: str, form: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StitchingLayer:
    prefix = f"{stage}."
    state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return StitchingLayer.from_state(state, form["kind"], tuple(form["end_shape"])).eval()


def _snapshots(tensors: Mapping[str, Tensor]) -> dict[int, tuple[Tensor, Tensor]]:
    steps = sorted(int(key.split(".")[1]) for key in tensors if key.startswith("history.") and key.endswith(".weight"))
    return {step: (tensors[f"history.{step}.weight"], tensors[f"history.{step}.bias"]) for step in steps}


def _side(told: Mapping[str, Any]) -> Side:
    return Side(**{**told, "shape": tuple(told["shape"])})


def _summary(result: StitchResult, digest: str) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "front": dataclasses.asdict(result.front),
        "end": dataclasses.asdict(result.end),
        "parameters": result.parameters,
        "resize": result.resize,
        "data": result.data,
        "layers": {stage: _form(layer) for stage, layer in result.layers.items()},
        "evaluation": None if result.evaluation is None else result.evaluation.to_dict(),
        "curve": result.curve,
        "snapshots": sorted(result.snapshots),
        "provenance": result.provenance,
        "tensors_sha256": digest,
    }


def _curve(rows: list[dict[str, float]]) -> bytes:
    names = ["epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _read_summary(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadFileError(
            f"no stitch in {path.parent}: {path.name} is missing. Name the folder that `netalike stitch` printed."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path} is not valid JSON ({error}): stitch again.") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise BadFileError(f"{path} is not the summary of a stitch: its entry 'format' is not {_FORMAT!r}.")
    return content


def _read_tensors(path: Path, digest: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise BadFileError(f"{path} is missing, which holds the matrices: stitch again.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise BadFileError(
            f"{path} is not the file that {SUMMARY} beside it describes: its SHA-256 differs. Stitch again."
        )
    with safetensors.safe_open(path, framework="pt") as file:
        told = json.loads((file.metadata() or {}).get("netalike", "{}"))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
    return tensors, told
