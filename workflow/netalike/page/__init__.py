"""The page of a run: static files that open from disk, without a network."""

from __future__ import annotations

from netalike.page.build import build
from netalike.page.measures import read_costs
from netalike.page.selection import rows_of_figure

__all__ = ["build", "read_costs", "rows_of_figure"]
