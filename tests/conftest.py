"""What all tests share."""

import os
from pathlib import Path

import pytest

# Before PyTorch starts: tests run side by side, and results are the same bit for bit only for one number of threads.
os.environ["OMP_NUM_THREADS"] = "1"

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that is tested."""
    return REPOSITORY


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The mirror with real data; tests that need it are skipped without one."""
    folder = os.environ.get("NETALIKE_MIRROR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no mirror")
    return Path(folder)
