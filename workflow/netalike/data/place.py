"""Where a run's data are, from the section `data` of its configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netalike.data.folder import register_folder

MIRROR_VARIABLE = "NETALIKE_MIRROR"


@dataclass(frozen=True)
class Place:
    """Where data sets lie and come from.

    Attributes
    ----------
    root : Path
        The data root.
    mirror : str or None
        A folder or URL that is asked before the publishers.
    offline : bool
        Whether publishers may not be asked.
    """

    root: Path
    mirror: str | None
    offline: bool


def place_of(settings: Mapping[str, Any]) -> Place:
    """Read the section `data`, and make the image folders that it names known as data sets.

    Parameters
    ----------
    settings : mapping
        The validated section: root, mirror, offline, folders.

    Returns
    -------
    Place
        Without a mirror in the settings, the environment variable NETALIKE_MIRROR names it.
    """
    for name, folder in settings.get("folders", {}).items():
        register_folder(
            name,
            folder["path"],
            size=folder["size"],
            channels=folder["channels"],
            test_share=folder["test_share"],
        )
    mirror = settings.get("mirror") or os.environ.get(MIRROR_VARIABLE) or None
    return Place(Path(settings["root"]), mirror, bool(settings["offline"]))
