"""The section of the input-similarity paper: the toy problem, training with a similarity term, and map alignment."""

from __future__ import annotations

from pydantic import Field

from netalike.configuration.fields import Name
from netalike.configuration.map_alignment_study import MapAlignmentStudy
from netalike.configuration.similarity_term_study import SimilarityTermStudy
from netalike.configuration.studies import PaperSection
from netalike.configuration.toy_study import ToyStudy

InputSimilarityStudy = ToyStudy | SimilarityTermStudy | MapAlignmentStudy


class InputSimilarity(PaperSection):
    """The experiments of the input-similarity paper (Charpiat et al. 2019)."""

    toys: dict[Name, ToyStudy] = Field(
        {},
        description="Studies of the toy problem: how many neighbours a sample has, by frequency and number of samples.",
        examples=[{"mine": {"frequencies": [1, 4], "n": [512], "seeds": 3, "epochs": 300}}],
    )
    similarity_terms: dict[Name, SimilarityTermStudy] = Field(
        {},
        description="Studies of training with a similarity term in the loss, of either sign, beside training without.",
        examples=[{"mine": {"dataset": "digits", "weights": [0.3, 1], "seeds": 5, "steps": 100}}],
    )
    map_alignments: dict[Name, MapAlignmentStudy] = Field(
        {},
        description="Studies of map alignment: networks that move building outlines onto aerial images, trained on "
        "outlines that are off, round by round.",
        examples=[{"mine": {"noise": ["independent", "bias"], "rounds": 2, "patches": 100}}],
    )
