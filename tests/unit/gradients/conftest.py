import sys
from pathlib import Path

import pytest
import torch

# gradient_networks.py holds the networks that several files test.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
