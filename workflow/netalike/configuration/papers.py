"""The studies of all papers, as their checks and the rules take them."""

from __future__ import annotations

from netalike.configuration.input_similarity_studies import OwnStudy
from netalike.configuration.stitching_studies import LayerStudy, SweepStudy
from netalike.configuration.studies import Demonstration, PopulationStudy, TaskStudy, TransferStudy

StitchingStudy = LayerStudy | SweepStudy
OnImages = TaskStudy | TransferStudy | PopulationStudy | StitchingStudy
OfNetworks = OnImages | Demonstration
Study = OfNetworks | OwnStudy

__all__ = ["OfNetworks", "OnImages", "OwnStudy", "StitchingStudy", "Study"]
