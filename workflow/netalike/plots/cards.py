"""A figure on disk: SVG, PNG, and a card that says what it shows and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from netalike.errors import BadFileError, NetalikeError, unknown_name
from netalike.plots.theme import PNG_DPI, theme

_PLACES = 6  # of a position, as a share of the figure: a thousandth of a pixel


@dataclass(frozen=True)
class FigureCard:
    """What a figure shows, from which rows, and the command that makes it again.

    Attributes
    ----------
    name : str
        Of the figure, unique within its category.
    title, caption : str
        In plain text.
    category : str
        Key of the paper, or "comparison".
    labels : dict
        Short facts for a list of figures, as in Snakemake's report.
    rows : dict
        Which rows of the measurement table it draws: column to value, or to a list of values.
    n_rows : int
        How many rows those are.
    rule, script : str
        That made it.
    configuration : dict
        The section of the configuration that it depends on.
    command : str
        To be pasted into a shell.
    data : dict
        Data set, split and number of samples.
    files : list of str
        Names of the picture's files, beside the card.
    """

    name: str
    title: str
    caption: str
    category: str
    rule: str
    script: str
    command: str
    rows: dict[str, Any] = field(default_factory=dict)
    n_rows: int = 0
    labels: dict[str, Any] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> FigureCard:
        """Make a card from a mapping.

        Raises
        ------
        UnknownNameError
            If a key is not an attribute of a card.
        NetalikeError
            If a required key is missing.
        """
        allowed = [entry.name for entry in fields(cls)]
        for key in given:
            if key not in allowed:
                raise unknown_name("key of a figure's card", str(key), allowed)
        required = ("name", "title", "caption", "category", "rule", "script", "command")
        missing = [name for name in required if name not in given]
        if missing:
            raise NetalikeError(f"a figure's card needs {', '.join(required)}; missing: {', '.join(missing)}.")
        return cls(**given)


def save(figure: Figure, path: str | Path, card: FigureCard | Mapping[str, Any]) -> list[Path]:
    """Write a figure as .svg and .png with its card as .json; equal figures give equal bytes.

    Parameters
    ----------
    figure : Figure
    path : path
        Of any of the three files; the suffix is replaced. Missing folders are made.
    card : FigureCard or mapping
        What the figure shows; `files` is filled in.

    Returns
    -------
    list of Path
        The .svg, the .png and the .json.

    Raises
    ------
    NetalikeError
        If the card lacks a key or has an unknown one.
    """
    card = card if isinstance(card, FigureCard) else FigureCard.from_mapping(card)
    svg, png, sidecar = (Path(path).with_suffix(suffix) for suffix in (".svg", ".png", ".json"))
    svg.parent.mkdir(parents=True, exist_ok=True)
    with theme():
        _settle(figure)
        # No dates and no versions inside the files: they would differ from run to run.
        figure.savefig(svg, dpi=2 * PNG_DPI, metadata={"Date": None, "Creator": None, "Title": card.title})
        figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None, "Title": card.title})
    filled = replace(card, files=[svg.name, png.name])
    sidecar.write_text(json.dumps(asdict(filled), indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    return [svg, png, sidecar]


def _settle(figure: Figure) -> None:
    """Round where the layout has put the axes: its solver now and then ends elsewhere in the last bits."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax in figure.axes:
        left, bottom, width, height = (round(part, _PLACES) for part in ax.get_position(original=True).bounds)
        ax.set_position((left, bottom, width, height), which="original")
    # none at all: for one that does nothing, savefig draws everything twice
    with rc_context({"figure.constrained_layout.use": False, "figure.autolayout": False}):
        figure.set_layout_engine(None)


def load_card(path: str | Path) -> FigureCard:
    """Read a figure's card.

    Raises
    ------
    BadFileError
        If the file is missing or is not a card.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFileError(f"{path} is not a figure's card: {error}. Make the figure again.") from error
    if not isinstance(content, dict):
        raise BadFileError(f"{path} is not a figure's card: expected a JSON object, got {type(content).__name__}.")
    return FigureCard.from_mapping(content)
