"""One function per kind of figure; rows of the measurement table in, Axes out."""

from __future__ import annotations

from netalike.plots.by_layer import measure_by_layer, pve_by_depth, self_similarity
from netalike.plots.cards import FigureCard, load_card, save
from netalike.plots.controls import control_of, controls
from netalike.plots.demonstration import demonstration
from netalike.plots.heatmaps import heatmap_size, layer_heatmap, layer_heatmap_grid, layer_matrix
from netalike.plots.identities import identities
from netalike.plots.labels import label_points
from netalike.plots.map_alignment import (
    map_alignment_accuracy,
    map_alignment_denoising,
    map_alignment_error,
    map_alignment_facts,
    map_alignment_training,
)
from netalike.plots.map_pictures import map_alignment_counts, map_alignment_neighbours, map_alignment_overlay
from netalike.plots.population import ood
from netalike.plots.random_networks import explained_by_depth, random_by_depth
from netalike.plots.separation import roc_curve, separation
from netalike.plots.stitching import stitching_agreement, stitching_layers, stitching_similarity
from netalike.plots.stitching_sweeps import stitching_masks, stitching_ranks, stitching_training
from netalike.plots.theme import direction_label, measure_label, new_figure, theme
from netalike.plots.transfer import transfer

__all__ = [
    "FigureCard",
    "control_of",
    "controls",
    "demonstration",
    "direction_label",
    "explained_by_depth",
    "heatmap_size",
    "identities",
    "label_points",
    "layer_heatmap",
    "layer_heatmap_grid",
    "layer_matrix",
    "load_card",
    "map_alignment_accuracy",
    "map_alignment_counts",
    "map_alignment_denoising",
    "map_alignment_error",
    "map_alignment_facts",
    "map_alignment_neighbours",
    "map_alignment_overlay",
    "map_alignment_training",
    "measure_by_layer",
    "measure_label",
    "new_figure",
    "ood",
    "pve_by_depth",
    "random_by_depth",
    "roc_curve",
    "save",
    "self_similarity",
    "separation",
    "stitching_agreement",
    "stitching_layers",
    "stitching_masks",
    "stitching_ranks",
    "stitching_similarity",
    "stitching_training",
    "theme",
    "transfer",
]
