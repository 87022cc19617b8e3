"""One function per kind of figure; rows of the measurement table in, Axes out."""

from __future__ import annotations

from netalike.plots.by_layer import measure_by_layer, pve_by_depth, self_similarity
from netalike.plots.cards import FigureCard, load_card, save
from netalike.plots.controls import control_of, controls
from netalike.plots.heatmaps import heatmap_size, layer_heatmap, layer_heatmap_grid, layer_matrix
from netalike.plots.theme import direction_label, measure_label, new_figure, theme

__all__ = [
    "FigureCard",
    "control_of",
    "controls",
    "direction_label",
    "heatmap_size",
    "layer_heatmap",
    "layer_heatmap_grid",
    "layer_matrix",
    "load_card",
    "measure_by_layer",
    "measure_label",
    "new_figure",
    "pve_by_depth",
    "save",
    "self_similarity",
    "theme",
]
