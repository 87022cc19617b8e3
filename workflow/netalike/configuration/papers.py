"""The studies of all papers, as their checks and the rules take them."""

from __future__ import annotations

from netalike.configuration.stitching_studies import LayerStudy, SweepStudy
from netalike.configuration.studies import Demonstration, PopulationStudy, TaskStudy, TransferStudy

StitchingStudy = LayerStudy | SweepStudy
OnImages = TaskStudy | TransferStudy | PopulationStudy | StitchingStudy
Study = OnImages | Demonstration
