"""The studies of all papers, as their checks and the rules take them."""

from __future__ import annotations

from netalike.configuration.input_similarity_studies import InputSimilarityStudy
from netalike.configuration.inversion_studies import InversionStudy
from netalike.configuration.shared_response_studies import AlignedFamilies, AlignmentStudy, SimulationStudy
from netalike.configuration.stitching_studies import LayerStudy, SweepStudy
from netalike.configuration.studies import Demonstration, PopulationStudy, TaskStudy, TransferStudy

OwnStudy = InputSimilarityStudy | SimulationStudy | AlignmentStudy
"""Studies that train networks of their own, and take none of the section `networks`."""
StitchingStudy = LayerStudy | SweepStudy
OnImages = TaskStudy | TransferStudy | PopulationStudy | StitchingStudy | AlignedFamilies
OfNetworks = OnImages | Demonstration | InversionStudy
Study = OfNetworks | OwnStudy

__all__ = ["OfNetworks", "OnImages", "OwnStudy", "StitchingStudy", "Study"]
