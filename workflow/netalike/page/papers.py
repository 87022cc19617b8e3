"""The five papers, as the page names and cites them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A paper that netalike reproduces; `key` is its name in rules, configuration and folders."""

    key: str
    short: str
    title: str
    authors: str
    venue: str
    url: str


PAPERS = (
    Paper(
        "input_similarity",
        "Input similarity",
        "Input Similarity from the Neural Network Perspective",
        "Charpiat, Girard, Felardos, Tarabalka",
        "NeurIPS 2019",
        "https://arxiv.org/abs/2102.05262",
    ),
    Paper(
        "stitching",
        "Model stitching",
        "Similarity and Matching of Neural Network Representations",
        "Csiszárik, Kőrösi-Szabó, Matszangosz, Papp, Varga",
        "NeurIPS 2021",
        "https://arxiv.org/abs/2110.14633",
    ),
    Paper(
        "deconfounded_cka",
        "Deconfounded CKA",
        "Deconfounded Representation Similarity for Comparison of Neural Networks",
        "Cui, Kumar, Marttinen, Kaski",
        "NeurIPS 2022",
        "https://arxiv.org/abs/2202.00095",
    ),
    Paper(
        "shared_response",
        "Shared response model",
        "Shared Representational Geometry Across Neural Networks",
        "Lu, Chen, Pillow, Ramadge, Norman, Hasson",
        "2018",
        "https://arxiv.org/abs/1811.11684",
    ),
    Paper(
        "inversion",
        "Representation inversion",
        "If You've Trained One You've Trained Them All: Inter-Architecture Similarity Increases With Robustness",
        "Jones, Springer, Kenyon, Moore",
        "UAI 2022, PMLR 180:928-937",
        "https://proceedings.mlr.press/v180/",
    ),
)

COMPARISON = "comparison"


def heading(category: str) -> str:
    """Return what the page calls a category of figures: a paper's short name, or the category's own words."""
    names = {paper.key: paper.short for paper in PAPERS} | {COMPARISON: "Comparison of the five papers' measures"}
    return names.get(category, category.replace("_", " "))


def order(category: str) -> tuple[int, str]:
    """Return a sort key: the papers in their order, then anything else, then the comparison."""
    keys = [paper.key for paper in PAPERS]
    if category in keys:
        return keys.index(category), ""
    return (len(keys) + 1 if category == COMPARISON else len(keys)), category
