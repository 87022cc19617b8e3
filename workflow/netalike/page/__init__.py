"""The page of a run: one static file that opens from disk, without a network."""

from __future__ import annotations

from netalike.page.build import build
from netalike.page.selection import rows_of_figure

__all__ = ["build", "rows_of_figure"]
