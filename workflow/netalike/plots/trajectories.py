"""Trajectories of networks through label-sorted images, before and after alignment: static, and as an animation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d.axes3d import Axes3D  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from netalike.errors import BadFileError, NetalikeError
from netalike.plots.shared_response import epoch_words
from netalike.plots.studies import shared_legend
from netalike.plots.theme import GREY, new_figure, palette, theme

Pictures = Mapping[str, NDArray[Any]]

_SPACES = {"native": "before: native units", "shared": "after: shared space"}
_LIGHT = "#d1d5db"
_COLOURS = palette(10)
_NETWORK_COLOURS: tuple[Any, ...] = (_COLOURS[0], _COLOURS[1], _COLOURS[2], _COLOURS[4], "black")
FRAMES = 60
FRAMES_PER_SECOND = 10
_TURN = 90.0  # degrees of azimuth over the animation
_TAIL = 0.06  # of the trajectory
_SHADES = 12  # of each colour in a GIF


@theme()
def shared_trajectories(pictures: Pictures) -> Figure:
    """Draw the trajectories of networks before and after alignment.

    Parameters
    ----------
    pictures : mapping of ndarray
        Of `netalike.experiments.shared_pictures`.

    Returns
    -------
    Figure
        A row per recorded end of training, columns for the first and the last layer in native units and in the shared
        space; three principal components that are common to the networks.

    Raises
    ------
    NetalikeError
        If there are no trajectories in the pictures.
    """
    layers, epochs = _places(pictures)
    columns = [(layer, space) for layer in layers for space in _SPACES]
    figure, _ = new_figure(2.5 * len(columns) + 0.6, 2.75 * len(epochs) + 1.1, 0, 0)
    for number, (epoch, (layer, space)) in enumerate((e, c) for e in epochs for c in columns):
        ax = figure.add_subplot(len(epochs), len(columns), number + 1, projection="3d")
        name = f"trajectory/{space}/{layer}/{epoch}"
        _prepare(ax, pictures.get(name))
        _title(ax, pictures, layer, epoch, space)
        if name in pictures:
            for path, colour in zip(pictures[name], _NETWORK_COLOURS * 9, strict=False):
                ax.plot(*path.T, color=colour, linewidth=0.6, alpha=0.7, rasterized=True)
    shared_legend(figure, _handles(pictures), [_words(pictures)], columns=5)
    return figure


def _places(pictures: Pictures) -> tuple[list[int], list[int]]:
    """Layers and epochs that have trajectories."""
    names = [name.split("/") for name in pictures if name.startswith("trajectory/") and name.count("/") == 3]
    if not names:
        raise NetalikeError(
            "nothing to draw for shared_trajectories: expected trajectories of networks; there are none. Evaluate on "
            "more images than the moving average takes."
        )
    return sorted({int(name[2]) for name in names}), sorted({int(name[3]) for name in names})


def _prepare(ax: Axes3D, paths: NDArray[Any] | None) -> None:
    """Give the axes one scale in all directions, and no numbers: the components have no unit."""
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_ticks([])
        axis.set_pane_color((1, 1, 1, 1))
        axis.line.set_color(_LIGHT)
    if paths is None:
        ax.text2D(
            0.5,
            0.5,
            "undefined: networks differ\nin their number of units",
            ha="center",
            color=GREY,
            fontsize=7,
            transform=ax.transAxes,
        )
        return
    points = paths.reshape(-1, 3)
    middle, reach = (points.max(0) + points.min(0)) / 2, np.ptp(points, axis=0).max() * 0.52
    for axis, centre in zip("xyz", middle, strict=True):
        getattr(ax, f"set_{axis}lim")(centre - reach, centre + reach)
    ax.set_box_aspect((1, 1, 1), zoom=1.15)


def _title(ax: Axes3D, pictures: Pictures, layer: int, epoch: int, space: str) -> None:
    told = f"{pictures['layers'][layer]}, {epoch_words(pictures['epochs'])[epoch]}"
    explained = pictures.get(f"trajectory/{space}/{layer}/{epoch}/explained")
    share = "" if explained is None else f"\n3 components: {100 * float(explained.sum()):.0f} % of variance"
    ax.set_title(f"{told}\n{_SPACES[space]}{share}", fontsize=7.5, fontweight="normal", loc="center", pad=2)


def _handles(pictures: Pictures) -> list[Line2D]:
    shown = min(pictures["networks"].size, _drawn(pictures))
    return [
        Line2D([], [], color=colour, linewidth=1.5, label=str(name))
        for name, colour in zip(pictures["networks"][:shown], _NETWORK_COLOURS * 9, strict=False)
    ]


def _drawn(pictures: Pictures) -> int:
    return next(len(pictures[name]) for name in pictures if name.startswith("trajectory/") and name.count("/") == 3)


def _words(pictures: Pictures) -> str:
    return f"images sorted by class, moving average of {int(pictures['window'])} images; axes have no unit"


# ---- animation -------------------------------------------------------------------------------------------------------


@theme()
def animate_trajectories(pictures: Pictures, path: str | Path, frames: int = FRAMES) -> None:
    """Write an animation of the last layer after training: points run along the images while the view turns.

    Parameters
    ----------
    pictures : mapping of ndarray
        Of `netalike.experiments.shared_pictures`.
    path : path
        Ends in ``.gif``, or in ``.mp4`` where ffmpeg is installed.
    frames : int
        10 per second.

    Raises
    ------
    BadFileError
        For another ending.
    NetalikeError
        If there are no trajectories, or an MP4 is asked for without ffmpeg.

    Notes
    -----
    The same pictures give the same GIF, below 3 MB for 60 frames.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise BadFileError(f"{path}: an animation is a .gif or an .mp4; choose such a name.")
    if path.suffix == ".mp4" and not has_ffmpeg():
        raise NetalikeError(f"{path}: an MP4 needs ffmpeg, which is not found. Install it, or ask for a .gif.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    figure, steps = _scene(pictures, frames)
    if path.suffix == ".mp4":
        _write_mp4(figure, steps, partial)
    else:
        _write_gif(figure, steps, partial)
    os.replace(partial, path)


def has_ffmpeg() -> bool:
    """Whether an MP4 can be written."""
    return shutil.which("ffmpeg") is not None


def _scene(pictures: Pictures, frames: int) -> tuple[Figure, Iterator[None]]:
    """A figure with both spaces, and an iterator that moves it from frame to frame."""
    layers, epochs = _places(pictures)
    spaces = [space for space in _SPACES if f"trajectory/{space}/{layers[-1]}/{epochs[-1]}" in pictures]
    figure = Figure(figsize=(3.3 * len(spaces), 3.7))
    FigureCanvasAgg(figure)
    parts = []
    for i, space in enumerate(spaces):
        ax = figure.add_axes((i / len(spaces), 0.1, 1 / len(spaces), 0.74), projection="3d")
        paths = pictures[f"trajectory/{space}/{layers[-1]}/{epochs[-1]}"]
        _prepare(ax, paths)
        _title(ax, pictures, layers[-1], epochs[-1], space)
        parts.append((ax, paths, _lines(ax, paths)))
    caption = figure.text(0.5, 0.045, "", ha="center", fontsize=8)
    figure.legend(
        handles=_handles(pictures),
        loc="lower center",
        ncols=5,
        fontsize=6.5,
        bbox_to_anchor=(0.5, -0.015),
        handlelength=1.2,
        columnspacing=1.0,
    )
    return figure, _moves(parts, caption, pictures["trajectory/labels"], frames)


def _lines(ax: Axes3D, paths: NDArray[Any]) -> list[tuple[Line2D, Line2D]]:
    found = []
    for path, colour in zip(paths, _NETWORK_COLOURS * 9, strict=False):
        ax.plot(*path.T, color=colour, linewidth=0.5, alpha=0.25)
        (tail,) = ax.plot([], [], [], color=colour, linewidth=1.5)
        (head,) = ax.plot([], [], [], "o", color=colour, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5)
        found.append((tail, head))
    return found


def _moves(parts: list[Any], caption: Any, labels: NDArray[Any], frames: int) -> Iterator[None]:
    count = len(labels)
    length = max(2, round(_TAIL * count))
    for frame in range(frames):
        now = round(frame * (count - 1) / max(frames - 1, 1))
        for ax, paths, lines in parts:
            for path, (tail, head) in zip(paths, lines, strict=True):
                tail.set_data_3d(*path[max(0, now - length) : now + 1].T)
                head.set_data_3d(*path[now : now + 1].T)
            ax.view_init(elev=22, azim=-60 + _TURN * frame / frames)
        caption.set_text(f"images of class {labels[now]}")
        yield


def _write_gif(figure: Figure, steps: Iterator[None], path: Path) -> None:
    """Draw all frames with the colours of one palette: it keeps the file small, and colours from flickering."""
    canvas: Any = figure.canvas
    colours, images = _gif_palette(), []
    for _ in steps:
        canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        images.append(drawn.quantize(palette=colours, dither=Image.Dither.NONE))
    duration = round(100 / FRAMES_PER_SECOND) * 10  # GIF counts in hundredths of a second
    first, *others = images
    first.save(path, format="GIF", save_all=True, append_images=others, duration=duration, loop=0, optimize=False)


def _gif_palette() -> Image.Image:
    """The colours of the networks and black, each mixed with white in steps."""
    own = [np.asarray(to_rgb(colour)) for colour in _NETWORK_COLOURS]
    mixed = [1 - share * (1 - colour) for colour in own for share in np.linspace(0, 1, _SHADES)]
    colours = Image.new("P", (1, 1))
    colours.putpalette(np.round(255 * np.stack(mixed)).astype(np.uint8).ravel().tolist())
    return colours


def _write_mp4(figure: Figure, steps: Iterator[None], path: Path) -> None:
    writer = FFMpegWriter(fps=FRAMES_PER_SECOND)
    with writer.saving(figure, str(path), dpi=150):
        for _ in steps:
            writer.grab_frame()
